//! What the pages say, and to whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Version};
use muster_evidence::{Evidence, InstallId, Role, TpmVersion};
use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::accept::CheckPeer;
use crate::clock::Clock;
use crate::fixture::{Lab, Machine, sid, tpm};
use crate::identity::{OperatorCheck, Operators};
use crate::view::guard::{HostNames, guarded};
use crate::view::health::Health;
use crate::view::http;
use crate::view::metrics::Observatory;

/// What a page is, as a browser gets it.
struct Got {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

fn local_operator() -> OperatorPeer {
    let anyone = Operators { policy: None, names: Vec::new() };
    let check = OperatorCheck::new(anyone, Arc::default(), Arc::new(crate::clock::SystemClock));
    check.check(&[] as &[CertificateDer<'_>], "127.0.0.1:1".parse().unwrap()).unwrap()
}

async fn send(core: &Core, request: Request<Body>) -> Got {
    let observatory = Arc::new(Observatory::new(core.clone(), Arc::default(), None, None));
    let health = Arc::new(Health::new(core.clone(), CancellationToken::new()));
    let router = guarded(http::router(&observatory, &health), HostNames::Loopback(Arc::from([])));
    let response = router.oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = String::from_utf8(to_bytes(response.into_body(), 1 << 24).await.unwrap().to_vec()).unwrap();
    Got { status, headers, text }
}

async fn get(core: &Core, path: &str) -> Got {
    let mut request = Request::get(path).header("host", "localhost:8444").body(Body::empty()).unwrap();
    request.extensions_mut().insert(local_operator());
    send(core, request).await
}

/// The text of a page without its elements, blanks run together.
fn read(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A site with a good domain controller, an endpoint with an old TPM and one that is well.
async fn harbour() -> Lab {
    let lab = Lab::new().await;
    let mut dc = Machine::dc("dc01.corp.example", "Harbour");
    dc.install_id = InstallId([1; 16]);
    lab.take(&mut dc).await;
    let mut well = Machine::endpoint("pc-1.corp.example", "Harbour", 1_101);
    well.install_id = InstallId([2; 16]);
    lab.take(&mut well).await;
    let mut old = Machine::endpoint("pc-2.corp.example", "Harbour", 1_102);
    old.put(Evidence::Tpm(tpm(TpmVersion::V1_2)));
    lab.take(&mut old).await;
    lab.core.publish_now().await.unwrap();
    lab
}

#[tokio::test]
async fn every_page_says_what_the_api_says() {
    let lab = harbour().await;
    let user = sid(1_102);
    for (path, said) in [
        (
            "/".to_owned(),
            &[
                "Which sites can roll out key trust?",
                "Harbour",
                "What unlocks the most users",
                "sync.key-state",
                "tpm.version",
            ][..],
        ),
        (
            "/site?name=harbour&forest=corp.example".to_owned(),
            &["Harbour", "dc01.corp.example", "pc-2.corp.example", "3 hosts match"],
        ),
        ("/hosts?standing=advisory&check=tpm.version".to_owned(), &["1 host matches", "pc-2.corp.example"]),
        ("/hosts?name=PC-1".to_owned(), &["1 host matches", "pc-1.corp.example"]),
        (
            "/host?name=pc-2".to_owned(),
            &["pc-2.corp.example", "tpm.version", "advisory", "Why it matters:", "Remedy:", "Source:", "What it says"],
        ),
        (format!("/user?sid={user}"), &[user.as_str(), "On pc-2.corp.example", "Keys in the directory"]),
        ("/check?id=tpm.version".to_owned(), &["How to fix", "Threshold"]),
    ] {
        let got = get(&lab.core, &path).await;
        let text = read(&got.text);
        assert_eq!(got.status, StatusCode::OK, "{path}: {text}");
        for said in said {
            assert!(text.contains(said), "{path} does not say `{said}`:\n{text}");
        }
        for head in
            ["<!DOCTYPE html>", "<html lang=\"en\">", "<title>", "name=\"viewport\"", "<main id=\"content\"", "<h1"]
        {
            assert!(got.text.contains(head), "{path} lacks `{head}`");
        }
        assert_eq!(got.text.matches("<h1").count(), 1, "{path} has one heading of the first order");
        assert!(!got.text.contains("<script") && !got.text.contains(" style="), "{path}");
        for table in got.text.split("<table").skip(1) {
            let table = table.split("</table>").next().unwrap();
            let headings = table.split("</thead>").next().unwrap();
            assert_eq!(headings.matches("<th ").count(), headings.matches("<th scope=\"col\"").count(), "{path}");
            assert!(table.contains("<caption>") && table.contains("scope=\"row\""), "{path}");
        }
        let content = &got.text[got.text.find("<main").unwrap()..];
        let ids: Vec<&str> = content.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{path} has an id twice: {ids:?}");
    }
}

#[tokio::test]
async fn silence_is_told_apart_from_health_in_words() {
    let lab = harbour().await;
    lab.clock.advance_ms(3 * 24 * 3_600_000);
    let mut awake = Machine::endpoint("pc-1.corp.example", "Harbour", 1_101);
    (awake.sequence, awake.install_id) = (1, InstallId([2; 16]));
    lab.report(&mut awake).await.unwrap();
    lab.core.0.table.lock().unwrap().tick(lab.clock.now(), 1_000);
    lab.core.publish_now().await.unwrap();
    let host = read(&get(&lab.core, "/host?name=dc01").await.text);
    assert!(host.contains("◌ quiet"), "{host}");
    assert!(host.contains("was ready before it fell silent"), "{host}");
    let site = read(&get(&lab.core, "/site?name=Harbour").await.text);
    assert!(site.contains("? Unknown") && site.contains("This is not a healthy site, nor a broken one."), "{site}");
}

#[tokio::test]
async fn names_full_of_markup_stay_text() {
    let lab = Lab::new().await;
    let site = "<img src=x onerror=alert(1)>\"'&{{";
    let mut machine = Machine::endpoint("pc-1.corp.example", site, 1_101);
    let detail = muster_evidence::Text::exact("</td><script>alert('x')</script>").unwrap();
    let failure = muster_evidence::Failure { reason: muster_evidence::FailureReason::AccessDenied, detail };
    machine.outcome(
        muster_evidence::ObservationKey::host(muster_evidence::Kind::Tpm),
        muster_evidence::Outcome::Failed(failure),
        muster_evidence::Context::Service,
    );
    lab.take(&mut machine).await;
    lab.core.publish_now().await.unwrap();
    let encoded = params::link("", [("name", site)]);
    let site_page = format!("/site{encoded}");
    let search = format!("/hosts{encoded}");
    let no_page = "/%3Cscript%3Ealert(1)%3C/script%3E";
    for path in
        ["/", site_page.as_str(), "/hosts", search.as_str(), "/host?name=pc-1", no_page, "/site?name=%3Cscript%3E"]
    {
        let got = get(&lab.core, path).await;
        for markup in ["<img", "<script", "onerror=alert(1)>\""] {
            assert!(!got.text.contains(markup), "{path} holds `{markup}`:\n{}", got.text);
        }
    }
    let page = get(&lab.core, &site_page).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("&lt;img src=x onerror=alert(1)&gt;&quot;'&amp;{{"), "{}", page.text);
    assert!(get(&lab.core, "/host?name=pc-1").await.text.contains("&lt;/td&gt;&lt;script&gt;"));
}

#[tokio::test]
async fn what_is_not_there_is_answered_with_the_nearest() {
    let lab = harbour().await;
    for (path, status, said) in [
        ("/site?name=Habour", 404, "no site Habour (did you mean Harbour ?)"),
        ("/host?name=pc-22", 404, "no host pc-22 (did you mean pc-2.corp.example ?)"),
        ("/host", 400, "name"),
        ("/hosts?standing=blokced", 400, "unknown standing blokced (did you mean blocked ?)"),
        ("/hosts?check=tpm.versoin", 400, "did you mean tpm.version ?"),
        ("/hosts?role=endpont", 400, "unknown role endpont (did you mean endpoint ?)"),
        ("/hosts?page=next", 400, "page_token is none that this service gave"),
        ("/hosts?sort=name", 400, "unknown parameter sort"),
        ("/?rollout=hodl", 400, "unknown rollout verdict hodl (did you mean hold ?)"),
        ("/?forest=a..b", 400, "forest"),
        ("/user?sid=S-1-5-21-1-2-3-4", 404, "no host has reported the user"),
        ("/user?sid=me", 400, "sid"),
        ("/check?id=tpm.versoin", 400, "did you mean tpm.version ?"),
        ("/check", 400, "id is missing"),
        ("/sites", 404, "no page /sites"),
        ("/hosts?name=a&name=b", 400, "name is given more than once"),
    ] {
        let got = get(&lab.core, path).await;
        let text = read(&got.text);
        assert_eq!(got.status.as_u16(), status, "{path}: {text}");
        assert!(text.contains(said), "{path} does not say `{said}`:\n{text}");
    }
    let long = format!("/hosts?name={}", "x".repeat(254));
    let got = get(&lab.core, &long).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    assert!(got.text.contains("over 253 bytes"), "{}", got.text);
}

#[tokio::test]
async fn a_user_is_found_by_the_search() {
    let lab = harbour().await;
    let got = get(&lab.core, &format!("/hosts?name={}", sid(1_102))).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    assert_eq!(got.headers["location"], format!("/user?sid={}", sid(1_102)));
}

#[tokio::test]
async fn every_answer_is_safe_to_open() {
    let lab = harbour().await;
    for path in ["/", "/host?name=pc-1", "/nowhere", "/hosts?sort=1", "/style.css", "/icon.svg", "/livez"] {
        let got = get(&lab.core, path).await;
        for (name, value) in HEADERS {
            if name == header::CACHE_CONTROL && matches!(path, "/style.css" | "/icon.svg") {
                continue;
            }
            assert_eq!(got.headers.get(&name).map(|value| value.to_str().unwrap()), Some(value), "{path}");
        }
    }
}

#[tokio::test]
async fn pages_are_only_read() {
    let lab = harbour().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        for path in ["/", "/hosts", "/muster.v1.ReadinessService/RemoveWaiver"] {
            let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
            request = request.header("content-type", "application/grpc");
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(local_operator());
            let got = send(&lab.core, request).await;
            assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
    // A call over HTTP/2 gets through, unless a page of somebody else's makes a browser send it.
    for (name, value, status) in
        [("te", "trailers", 200), ("origin", "https://evil.example", 405), ("sec-fetch-site", "cross-site", 405)]
    {
        let request = Request::post("/no.such.Service/Method").version(Version::HTTP_2).header("host", "localhost");
        let request = request.header("content-type", "application/grpc").header(name, value);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(local_operator());
        let got = send(&lab.core, request).await;
        assert_eq!(got.status.as_u16(), status, "{name}");
        assert_eq!(got.headers.contains_key("grpc-status"), status == 200, "{name}");
    }
    let mut head = Request::head("/").header("host", "localhost").body(Body::empty()).unwrap();
    head.extensions_mut().insert(local_operator());
    let got = send(&lab.core, head).await;
    assert_eq!((got.status, got.text.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn a_foreign_name_is_not_answered() {
    let lab = harbour().await;
    for host in ["evil.example", "evil.example:8444", "127.0.0.1.evil.example"] {
        let mut request = Request::get("/").header("host", host).body(Body::empty()).unwrap();
        request.extensions_mut().insert(local_operator());
        let got = send(&lab.core, request).await;
        assert_eq!(got.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        assert!(!got.text.contains("Harbour"));
    }
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    request.extensions_mut().insert(local_operator());
    assert_eq!(send(&lab.core, request).await.status, StatusCode::MISDIRECTED_REQUEST, "no name at all");
}

#[tokio::test]
async fn whoever_is_no_operator_sees_nothing() {
    let lab = harbour().await;
    // No peer at all, which the listeners never let happen.
    for path in
        ["/", "/site?name=Harbour", "/hosts", "/host?name=pc-1", "/check?id=tpm.version", "/style.css", "/nowhere"]
    {
        let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        let got = send(&lab.core, request).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(!got.text.contains("Harbour") && !got.text.contains('<'), "{path}: {}", got.text);
    }
}

#[tokio::test]
async fn lists_go_on_where_they_ended() {
    let lab = Lab::new().await;
    for number in 0..105 {
        lab.take(&mut Machine::new(&format!("pc-{number:03}.corp.example"), Some("Harbour"), Role::Endpoint)).await;
    }
    lab.core.publish_now().await.unwrap();
    let first = get(&lab.core, "/hosts?role=endpoint").await;
    assert!(read(&first.text).contains("105 hosts match; 100 are shown here."), "{}", read(&first.text));
    let next =
        first.text.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    assert!(next.contains("role=endpoint"), "{next}");
    let second = get(&lab.core, &next).await;
    assert_eq!(second.text.matches("/host?name=").count(), 5);
    assert!(!second.text.contains("rel=\"next\"") && second.text.contains("rel=\"first\""));
}

#[tokio::test]
async fn a_page_reloads_only_when_asked() {
    let lab = harbour().await;
    assert!(!get(&lab.core, "/").await.text.contains("http-equiv"));
    let asked = get(&lab.core, "/?refresh=60").await;
    assert!(asked.text.contains("<meta http-equiv=\"refresh\" content=\"60\">"));
    assert!(read(&asked.text).contains("reloads itself every 60 seconds"));
}
