//! The whole walk: raw outputs through a real probe into a real collector on sled, and what an operator reads of it.

use std::sync::Arc;

use muster_collector::clock::{Clock as _, ManualClock, SystemClock};
use muster_evidence::{Evidence, ProductType, Timestamp, TpmVersion};
use muster_proto::v1::Rollout;
use muster_tests::captures;
use muster_tests::collector::{CollectorProgram, Served};
use muster_tests::golden;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, certificate, system, tpm, user, without_kdc_usage};
use muster_tests::operator::Operator;
use muster_tests::probe::FakeProbe;
use muster_tests::program::{Done, Running, binary, command, run};
use muster_tests::wait;
use serde_json::Value;

const ADA: &str = "S-1-5-21-3402785121-1195827043-2687511903-1104";

async fn muster(url: &str, arguments: &[&str]) -> Done {
    let mut muster = command(binary("muster"));
    muster.arg("--collector").arg(url).args(arguments);
    run(muster).await
}

async fn text(url: &str, arguments: &[&str]) -> String {
    muster(url, arguments).await.succeeded()
}

async fn json(url: &str, arguments: &[&str]) -> Value {
    let text = muster(url, &[arguments, &["--format", "json"]].concat()).await.succeeded();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn from_raw_outputs_to_the_operators_screen() {
    let lab = Lab::new();
    let captures = captures::organisation(&lab);
    let setup = Setup::with_sites(&[
        ("Rotterdam", &["dc01.corp.example", "dc02.corp.example"], Some(4)),
        ("Lyon", &["dc11.corp.example"], Some(3)),
    ]);
    let mut collector = CollectorProgram::start(&lab, &setup).await;
    let url = collector.url();

    // Two relays carry what was taken on the machines of two sites, twice.
    for (site, machines) in [("rotterdam", 7), ("lyon", 4)] {
        let relay = lab.ca.probe(&format!("relay-{site}.corp.example"));
        let settings = lab.probe_settings(site, &relay, collector.probes.port(), "");
        for (round, word) in ["COMMITTED - on disk at the collector", "SEEN - the collector had all of it already"]
            .into_iter()
            .enumerate()
        {
            let mut once = command(binary("muster-probe"));
            once.arg("once").arg("--config").arg(&settings).arg("--captures").arg(captures.join(site));
            let said = run(once).await.succeeded();
            assert_eq!(said.matches(word).count(), machines, "round {round} of {site}:\n{said}");
        }
    }

    let mut operator = Operator::connect(collector.operators).await;
    operator.until_rollout("Rotterdam", Rollout::Go).await;
    operator.until_rollout("Lyon", Rollout::Hold).await;

    let sites = text(&url, &["sites"]).await;
    assert!(sites.contains("Rotterdam") && sites.contains("Go"), "{sites}");
    assert!(sites.contains("Hold") && sites.contains("dc.cert-eku: `dc11.corp.example`"), "{sites}");
    let sites = json(&url, &["sites"]).await;
    assert_eq!(sites["sites"][0]["name"], "Lyon", "worst first: {sites}");

    let lyon = text(&url, &["site", "lyon"]).await;
    assert!(lyon.contains("KDC") && lyon.contains("remedy:"), "{lyon}");
    assert_eq!(json(&url, &["site", "Lyon"]).await["site"]["rollout"], "Hold");
    let nearest = muster(&url, &["site", "Rotterdm"]).await;
    assert!(nearest.code != Some(0) && nearest.stderr.contains("Rotterdam"), "{nearest:?}");

    let hosts = json(&url, &["hosts"]).await;
    assert_eq!(hosts["hosts"].as_array().unwrap().len(), 11, "{hosts}");
    let blocked = text(&url, &["hosts", "--standing", "blocked"]).await;
    assert!(blocked.contains("dc11") && !blocked.contains("dc01"), "{blocked}");
    let dc = text(&url, &["host", "dc11", "--all", "--evidence"]).await;
    assert!(dc.contains("dc.cert-eku") && dc.contains("blocked"), "{dc}");
    assert_eq!(json(&url, &["host", "dc11"]).await["host"]["name"], "dc11.corp.example");

    let ada = text(&url, &["user", ADA]).await;
    assert!(ada.contains("pc-0417"), "{ada}");
    let ada = json(&url, &["user", ADA]).await;
    assert_eq!(ada["sid"], ADA);
    // A rollout verdict is written once it has stood for a moment.
    wait::until("Lyon's rollout verdict is written", async || {
        let changes = json(&url, &["transitions", "--limit", "1000"]).await;
        let held = changes["transitions"].as_array().unwrap().iter().any(|one| one["to"] == "Hold");
        if held { Ok(()) } else { Err(changes.to_string()) }
    })
    .await;
    assert!(text(&url, &["transitions", "--site", "Lyon"]).await.contains("dc11"));
    assert!(text(&url, &["status"]).await.contains("Hold") || text(&url, &["status"]).await.contains("hold"));

    let csv = text(&url, &["export", "hosts", "--format", "csv"]).await;
    assert_eq!(csv.lines().count(), 12, "a heading and a line per host:\n{csv}");
    let sites: Value = serde_json::from_str(&text(&url, &["export", "sites", "--format", "json"]).await).unwrap();
    assert!(sites.to_string().contains("Rotterdam"), "{sites}");

    the_policy(&lab, &url).await;
    the_waivers(&url).await;
    watching(&lab, &url, &collector, &mut operator).await;
    assert!(collector.running.terminate().await.success(), "{}", collector.running.log());
    let gone = muster(&url, &["sites"]).await;
    assert!(gone.code != Some(0) && gone.stderr.contains("failed to connect"), "{gone:?}");
}

async fn the_policy(lab: &Lab, url: &str) {
    let shown = text(url, &["policy", "show"]).await;
    assert!(shown.contains("ready_share_percent = 90"), "{shown}");
    let wrong = lab.write("wrong.toml", "ready_share_percnt = 80\n");
    let wrong = muster(url, &["policy", "check", wrong.to_str().unwrap()]).await;
    assert!(wrong.code != Some(0), "{wrong:?}");
    assert!(format!("{}{}", wrong.stdout, wrong.stderr).contains("`ready_share_percnt`"), "{wrong:?}");
    let looser = lab.write("looser.toml", "disabled_checks = [\"dc.cert-eku\"]\n");
    let looser = looser.to_str().unwrap();
    let plan = text(url, &["policy", "plan", looser]).await;
    assert!(plan.contains("Lyon") && plan.contains("Hold"), "{plan}");
    let applied = text(url, &["policy", "apply", looser]).await;
    assert!(applied.contains('2'), "{applied}");
    let shown = json(url, &["policy", "show"]).await;
    assert_eq!(shown["revision"], 2, "{shown}");
    let outdated = muster(url, &["policy", "apply", looser, "--base", "1"]).await;
    assert!(outdated.code != Some(0), "{outdated:?}");
    let empty = lab.write("empty.toml", "");
    text(url, &["policy", "apply", empty.to_str().unwrap()]).await;
}

async fn the_waivers(url: &str) {
    let waive = ["waive", "add", "dc.cert-eku", "--host", "dc11.corp.example", "--reason", "renewal is ordered"];
    let added = text(url, &[&waive[..], &["--for", "30d"]].concat()).await;
    assert!(added.contains("dc.cert-eku"), "{added}");
    let list = json(url, &["waive", "list"]).await;
    assert!(list.to_string().contains("renewal is ordered"), "{list}");
    let too_long = muster(url, &[&waive[..], &["--for", "800d"]].concat()).await;
    assert!(too_long.code != Some(0) && !too_long.stderr.is_empty(), "{too_long:?}");
    text(url, &["waive", "remove", "1"]).await;
    let list = text(url, &["waive", "list"]).await;
    assert!(!list.contains("renewal is ordered"), "{list}");
}

/// What changes while somebody watches is told.
async fn watching(lab: &Lab, url: &str, collector: &CollectorProgram, operator: &mut Operator) {
    operator.until_rollout("Lyon", Rollout::Hold).await;
    let mut watch = command(binary("muster"));
    watch.args(["--collector", url, "--format", "json", "watch", "Lyon"]);
    let mut watch = Running::start(watch, lab.path("watch.log"));
    watch.until_said("the first message has all sites", |said| said.contains("\"Lyon\"").then_some(())).await;

    let now = SystemClock.now();
    let machine = Machine::endpoint("pc-0599", "Lyon", &user(1299)).with(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    let mut probe = FakeProbe::connect(lab, collector.probes, "pc-0599.corp.example").await;
    probe.report(&machine, now).await.unwrap();
    watch.until_said("the new machine", |said| said.contains("pc-0599").then_some(())).await;
    for line in watch.log().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

/// What people read, word for word. The collector's clock stands two and a half days back, so that ages are the same
/// in every run.
#[tokio::test(flavor = "multi_thread")]
async fn the_texts_people_read() {
    let lab = Lab::new();
    let now = SystemClock.now().plus_ms(-(60 * 3_600_000));
    // Whole seconds, so that times are as wide in every run.
    let now = Timestamp::from_unix_seconds(now.unix_ms() / 1_000).unwrap();
    let clock = Arc::new(ManualClock::at(now));
    let setup = Setup {
        backend: "memory",
        ..Setup::with_sites(&[
            ("Rotterdam", &["dc01.corp.example"], Some(2)),
            ("Lyon", &["dc11.corp.example"], Some(2)),
            ("Oslo", &["dc21.corp.example"], None),
        ])
    };
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut relay = FakeProbe::connect(&lab, served.probes, "relay-golden.corp.example").await;
    let mut operator = Operator::connect(served.operators).await;
    let lyon = Machine::dc("dc11", "Lyon", now);
    for machine in [
        Machine::dc("dc01", "Rotterdam", now),
        Machine::endpoint("pc-0417", "Rotterdam", &user(1104)),
        Machine::endpoint("pc-0418", "Rotterdam", &user(1105)),
        lyon.with_certificate(without_kdc_usage(certificate("dc11.corp.example", now))),
        Machine::endpoint("lap-0512", "Lyon", &user(1205)).entra_only(),
        Machine::endpoint("pc-0513", "Lyon", &user(1206))
            .with(Evidence::Tpm(tpm(TpmVersion::V1_2)))
            .with(Evidence::OperatingSystem(system("Windows 10 Enterprise", 10_240, ProductType::Workstation))),
    ] {
        relay.report(&machine, now).await.unwrap();
        // The first Entra-joined laptop decides what the domain controller's certificate means there. That is written in
        // the background, and numbered before what the next machine says.
        if machine.identity.name.as_str().starts_with("lap-0512") {
            wait::until("the domain controller of Lyon is judged again", async || {
                let written = operator.transitions().await.len();
                if written >= 2 { Ok(()) } else { Err(format!("{written} of 2 transitions")) }
            })
            .await;
        }
    }
    operator.until_rollout("Rotterdam", Rollout::Go).await;
    operator.until_rollout("Lyon", Rollout::Hold).await;
    clock.advance_ms(2_000);
    wait::until("all rollout verdicts are written", async || {
        let written = operator.transitions().await.iter().filter(|one| one.subject == "site").count();
        if written >= 3 { Ok(()) } else { Err(format!("{written} of 3")) }
    })
    .await;

    let url = format!("http://{}", served.operators);
    for (name, arguments) in [
        ("sites.txt", &["sites"][..]),
        ("site-held.txt", &["site", "Lyon", "--all"]),
        ("site-unknown.txt", &["site", "Oslo"]),
        ("hosts.txt", &["hosts"]),
        ("host-dc.txt", &["host", "dc11"]),
        ("host-endpoint.txt", &["host", "pc-0513"]),
        ("user.txt", &["user", "S-1-5-21-3402785121-1195827043-2687511903-1206"]),
        ("status.txt", &["status"]),
        ("policy.txt", &["policy", "show"]),
        ("export-hosts.csv", &["export", "hosts"]),
    ] {
        golden::same(name, &text(&url, arguments).await);
    }
    served.stop().await;
}
