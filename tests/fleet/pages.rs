//! The pages of three sites with different fates, as a person sees them in Chromium.

use std::future::poll_fn;
use std::sync::Arc;

use muster_collector::clock::{Clock as _, ManualClock, SystemClock};
use muster_proto::v1::Rollout;
use muster_tests::browser::{Browser, chromium};
use muster_tests::collector::Served;
use muster_tests::lab::{Lab, OPERATOR, Setup};
use muster_tests::machine::{Machine, certificate, user, without_kdc_usage};
use muster_tests::operator::Operator;
use muster_tests::probe::{FakeProbe, channel, tls};
use muster_tests::{may_skip, skipped};
use tonic::client::GrpcService;

/// A site whose name is markup, as long as a name may be.
const HOSTILE: &str = "<img src=x onerror=alert(1)><script>document.title=1</script>";

/// Colours of text and ground of every element with text of its own; the least contrast and where it is
/// (WCAG 2.2, 1.4.3).
const LEAST_CONTRAST: &str = r"(() => {
  const rgb = text => { const p = text.match(/[\d.]+/g).map(Number); return p.length < 4 ? [...p, 1] : p; };
  const light = c => { const f = c.slice(0, 3).map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
  let least = [21, ''];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 120)];
  }
  return least;
})()";

#[tokio::test(flavor = "multi_thread")]
async fn three_fates_are_read_in_a_browser() {
    let Some(chromium) = chromium() else {
        assert!(may_skip(), "the pages are looked at in `chromium`: run `make setup`");
        return skipped("pages::three_fates_are_read_in_a_browser", "`chromium` is not installed");
    };
    let lab = Lab::new();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let setup = Setup {
        policy: Some("dc_fresh_seconds = 30\n"),
        ..Setup::with_sites(&[
            ("Rotterdam", &["dc01.corp.example"], Some(1)),
            ("Lyon", &["dc11.corp.example", "dc12.corp.example"], Some(1)),
            ("Oslo", &["dc21.corp.example"], Some(1)),
        ])
    };
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut operator = Operator::connect(served.operators).await;
    let now = clock.now();
    let bad = without_kdc_usage(certificate("dc11.corp.example", now));
    let mut fleet = Vec::new();
    for machine in [
        Machine::dc("dc01", "Rotterdam", now),
        Machine::endpoint("pc-0417", "Rotterdam", &user(1)),
        Machine::dc("dc11", "Lyon", now).with_certificate(bad),
        Machine::endpoint("lap-0511", "Lyon", &user(2)).entra_only(),
        Machine::endpoint("pc-0611", "Oslo", &user(3)),
        Machine::endpoint("pc-0666", HOSTILE, &user(4)),
        Machine::dc("dc21", "Oslo", now),
    ] {
        let probe = FakeProbe::connect(&lab, served.probes, machine.identity.name.as_str()).await;
        fleet.push((probe, machine));
    }
    for (probe, machine) in &mut fleet {
        probe.report(machine, clock.now()).await.unwrap();
    }
    operator.until_rollout("Oslo", Rollout::Go).await;
    // Oslo's only domain controller falls silent; the others go on.
    fleet.pop();
    for _ in 0..3 {
        clock.advance_ms(11_000);
        for (probe, machine) in &mut fleet {
            probe.report(machine, clock.now()).await.unwrap();
        }
    }
    for (site, rollout) in [("Rotterdam", Rollout::Go), ("Lyon", Rollout::Hold), ("Oslo", Rollout::Unknown)] {
        operator.until_rollout(site, rollout).await;
    }

    let base = format!("http://{}", served.operators);
    let looked = tokio::task::spawn_blocking(move || look(&chromium, &base));
    looked.await.unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_for_operators_only() {
    let lab = Lab::new();
    let setup = Setup { backend: "memory", operator_certificates: true, ..Setup::default() };
    let served = Served::start(&lab, &setup).await;
    let ca = lab.ca.certificate();
    for (identity, status) in [
        (lab.ca.operator(OPERATOR), 200),
        (lab.ca.probe("pc-0417.corp.example"), 403),
        (lab.ca.probe("dc01.corp.example"), 403),
        (lab.ca.operator("mallory"), 403),
    ] {
        let mut channel = channel(served.operators, Some(tls(&identity, &ca))).await.unwrap();
        for path in ["/", "/hosts", "/check?id=tpm.version", "/style.css"] {
            let request = http::Request::get(path).body(tonic::body::Body::empty()).unwrap();
            poll_fn(|cx| GrpcService::poll_ready(&mut channel, cx)).await.unwrap();
            let answer = GrpcService::call(&mut channel, request).await.unwrap();
            assert_eq!(answer.status(), status, "{path} for {}", identity.certificate.display());
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        }
    }
    served.stop().await;
}

fn look(chromium: &std::path::PathBuf, base: &str) {
    let sid = user(2);
    let hostile = HOSTILE.replace('<', "%3C").replace('>', "%3E").replace(' ', "+").replace('=', "%3D");
    let pages: Vec<(String, u64, Vec<&str>)> = vec![
        (
            "/".to_owned(),
            200,
            vec![
                "Which sites can roll out key trust?",
                "✕ Hold",
                "? Unknown",
                "✓ Go",
                "dc.cert-eku",
                "What unlocks the most users",
                HOSTILE,
            ],
        ),
        (
            "/site?name=Lyon".to_owned(),
            200,
            vec![
                "✕ Hold",
                "Nobody should be enabled yet.",
                "dc.cert-eku",
                "Remedy:",
                "dc12.corp.example",
                "never; the inventory expects it",
                "Certificate ends",
            ],
        ),
        (
            "/site?name=Oslo".to_owned(),
            200,
            vec!["? Unknown", "This is not a healthy site, nor a broken one.", "◌ quiet"],
        ),
        ("/site?name=Rotterdam".to_owned(), 200, vec!["✓ Go", "1 of 1 (100 %)", "2 hosts match."]),
        (format!("/site?name={hostile}"), 200, vec![HOSTILE, "how many to expect is not known"]),
        ("/hosts".to_owned(), 200, vec!["7 hosts match.", "dc21.corp.example"]),
        ("/hosts?standing=blocked".to_owned(), 200, vec!["1 host matches.", "dc11.corp.example"]),
        (
            "/host?name=dc11".to_owned(),
            200,
            vec!["✕ blocked", "KDC Authentication", "Needed:", "Remedy:", "Source:", "What changed"],
        ),
        (
            "/host?name=dc21".to_owned(),
            200,
            vec!["◌ quiet", "before it fell silent", "it is silent, which says nothing of how it is now"],
        ),
        (format!("/user?sid={sid}"), 200, vec!["On lap-0511.corp.example", "Keys in the directory"]),
        ("/check?id=dc.cert-eku".to_owned(), 200, vec!["How to fix", "Kerberos Authentication"]),
        ("/site?name=Lyn".to_owned(), 404, vec!["no site Lyn (did you mean Lyon?)"]),
        ("/host?name=dc111".to_owned(), 404, vec!["did you mean dc11.corp.example?"]),
        ("/hosts?standing=blokced".to_owned(), 400, vec!["did you mean blocked?"]),
    ];
    let mut browser = Browser::start(chromium);
    for (path, status, said) in &pages {
        for width in [360, 1_600] {
            let seen = browser.open(&format!("{base}{path}"), width);
            assert_eq!(seen.status, *status, "{path}: {}", seen.text);
            for said in said {
                assert!(seen.text.contains(said), "{path} at {width} does not say `{said}`:\n{}", seen.text);
            }
            assert_eq!(seen.too_wide, None, "{path} scrolls sideways at {width}: {:?}", widest(&mut browser, width));
            // The browser itself notes a page that was answered with an error; nothing else may be noted.
            let noted: Vec<&String> = seen
                .console
                .iter()
                .filter(|text| *status == 200 || !text.contains("Failed to load resource"))
                .collect();
            assert!(noted.is_empty(), "{path}: {noted:?}");
            assert!(seen.title.ends_with("– Muster"), "{path}: {}", seen.title);
            keep_picture(&mut browser, path, width, "light");
        }
        for scheme in ["dark", "light"] {
            browser.prefer(scheme);
            let least = browser.look(LEAST_CONTRAST);
            assert!(least[0].as_f64().unwrap() >= 4.5, "{path} in {scheme}: {least}");
            if scheme == "dark" {
                keep_picture(&mut browser, path, 1_600, scheme);
            }
        }
    }
    a_keyboard_suffices(&mut browser, base);
    let port = base.rsplit(':').next().unwrap();
    let seen = browser.open(&format!("http://rebound.example:{port}/"), 1_600);
    assert_eq!(seen.status, 421, "a foreign name that leads here is answered: {}", seen.text);
    assert!(!seen.text.contains("Rotterdam"), "{}", seen.text);
    assert_eq!(browser.open(&format!("http://localhost:{port}/"), 1_600).status, 200);
}

/// The first stop leads past the navigation, and every stop is seen.
fn a_keyboard_suffices(browser: &mut Browser, base: &str) {
    browser.open(&format!("{base}/site?name=Lyon"), 1_600);
    browser.press_tab();
    assert_eq!(browser.look("document.activeElement.innerText"), "Skip to the content");
    for _ in 0..12 {
        let shown = browser.look(
            "(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect(); \
             return [s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2, r.width > 0 && r.left >= 0, e.outerHTML.slice(0, 90)]; })()",
        );
        assert!(shown[0] == true && shown[1] == true, "{shown}");
        browser.press_tab();
    }
}

/// What is wider than the window, for the text of a failure.
fn widest(browser: &mut Browser, width: u32) -> serde_json::Value {
    browser.look(&format!(
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > {width} + 0.5)\
         .map(e => e.outerHTML.slice(0, 100)).slice(0, 5)"
    ))
}

/// Keeps a picture where whoever works on the pages wants to look at them (`MUSTER_PICTURES=DIR`), in base64.
fn keep_picture(browser: &mut Browser, path: &str, width: u32, scheme: &str) {
    let Some(folder) = std::env::var_os("MUSTER_PICTURES") else { return };
    let name: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let file = std::path::Path::new(&folder).join(format!("{name}-{width}-{scheme}.png.base64"));
    std::fs::write(file, browser.picture()).unwrap();
}
