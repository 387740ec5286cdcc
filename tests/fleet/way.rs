//! The way of a real probe to its collector: lists, services, proxies, and certificates that change under way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use muster_collector::clock::{Clock as _, ManualClock, SystemClock};
use muster_tests::authority::{Authority, Identity, collector_params, expired, probe_params};
use muster_tests::collector::Served;
use muster_tests::lab::{Lab, Setup};
use muster_tests::network::{Manner, NameServer, Proxy, dead_address};
use muster_tests::operator::Operator;
use muster_tests::program::{Done, Running, binary, command, run};
use muster_tests::wait;
use time::{Duration, OffsetDateTime};

const HOST: &str = "dc01.corp.example";

/// A laboratory with a collector that keeps nothing on disk.
async fn served(lab: &Lab) -> Served {
    Served::start(lab, &Setup { backend: "memory", ..Setup::default() }).await
}

/// Settings of a probe whose way to the collector is up to the scenario.
fn settings(lab: &Lab, identity: &Identity, ca: &Path, top: &str) -> PathBuf {
    let text = format!(
        "{top}\nhost = \"{HOST}\"\nforest = \"corp.example\"\nstate_dir = \"{state}\"\n\
         domain_controller.fqdn = \"{HOST}\"\n\n\
         [identity]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\
         collector_ca = \"{ca}\"\n\n\
         [report]\ninterval = \"1s\"\ninterval_min = \"1s\"\ninterval_max = \"1s\"\ntimeout = \"20s\"\n",
        state = lab.path("state").display(),
        certificate = identity.certificate.display(),
        key = identity.key.display(),
        ca = ca.display(),
    );
    lab.write("probe.toml", text)
}

fn probe(lab: &Lab, verb: &str, top: &str) -> Command {
    let identity = lab.ca.probe(HOST);
    let mut probe = command(binary("muster-probe"));
    probe.arg(verb).arg("--config").arg(settings(lab, &identity, &lab.ca.certificate(), top));
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        probe.env_remove(variable);
    }
    probe
}

/// What a probe says, broken into lines for people, as one line.
fn said(done: &Done) -> String {
    format!("{} {}", done.stdout, done.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_first_address_is_passed_over_and_the_one_in_use_is_shown() {
    let lab = Lab::new();
    let served = served(&lab).await;
    let top = format!("collector = [\"{}\", \"localhost:{}\"]", dead_address(), served.probes.port());
    let told = said(&run(probe(&lab, "once", &top)).await);
    assert!(told.contains("COMMITTED"), "{told}");
    let port = served.probes.port();
    assert!(told.contains(&format!("collector https://localhost:{port} (127.0.0.1:{port})")), "{told}");
    assert!(told.contains("identity the certificate ends on 2090-01-01T00:00:00Z"), "{told}");
    assert!(!told.contains("clock"), "{told}");
    let mut operator = Operator::connect(served.operators).await;
    let host = operator.host("dc01").await.unwrap();
    assert!(host.client_certificate_proved && host.client_certificate.is_some(), "{host:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collectors_of_a_service_are_tried_by_priority() {
    let lab = Lab::new();
    let served = served(&lab).await;
    let records = vec![(20, 0, served.probes.port(), "localhost"), (10, 5, dead_address().port(), "localhost")];
    let dns = NameServer::start("_muster._tcp.corp.example", records).await;
    let top = |name: &str| format!("collector = \"{name}\"\ndns.server = \"{}\"", dns.address);
    let told = said(&run(probe(&lab, "once", &top("_muster._tcp.corp.example"))).await);
    assert!(told.contains("COMMITTED"), "{told}");
    assert!(told.contains(&format!("collector https://localhost:{} (", served.probes.port())), "{told}");

    let done = run(probe(&lab, "once", &top("_muster._tcp.other.example"))).await;
    assert_eq!(done.code, Some(69), "{done:?}");
    assert!(said(&done).contains("`_muster._tcp.other.example` has no SRV record"), "{done:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_wants_credentials_gets_them_and_nobody_else_sees_them() {
    let lab = Lab::new();
    let served = served(&lab).await;
    // ada:s3cret
    let proxy = Proxy::start(Manner::Asks(served.probes, "YWRhOnMzY3JldA==")).await;
    // A name that this machine cannot resolve: the proxy does.
    let collector = "collector = \"collector.corp.example:7443\"\ncollector_name = \"localhost\"";
    let through = |who: &str| format!("{collector}\nproxy.url = \"http://{who}{}\"", proxy.address);
    let told = said(&run(probe(&lab, "once", &through("ada:s3cret@"))).await);
    assert!(told.contains("COMMITTED"), "{told}");
    let shown = format!("https://collector.corp.example:7443 through proxy http://{}", proxy.address);
    assert!(told.contains(&shown), "{told}");
    assert!(!told.contains("s3cret") && !told.contains("YWRh"), "{told}");
    assert_eq!(proxy.asked(), ["CONNECT collector.corp.example:7443 HTTP/1.1"]);

    for (who, hint) in [("", "none are configured"), ("ada:wrong@", "those that are configured were not accepted")] {
        let done = run(probe(&lab, "once", &through(who))).await;
        let told = said(&done);
        assert_eq!(done.code, Some(69), "{done:?}");
        assert!(told.contains("asks for credentials (answered `HTTP/1.1 407 Proxy Authentication Required`"), "{told}");
        assert!(told.contains(hint) && !told.contains("wrong"), "{told}");
    }

    // From the environment, and past it.
    let mut once = probe(&lab, "once", collector);
    once.env("HTTPS_PROXY", format!("http://ada:s3cret@{}", proxy.address));
    let told = said(&run(once).await);
    assert!(told.contains(&shown), "{told}");
    let asked = proxy.asked().len();
    let mut past = probe(&lab, "once", &format!("collector = \"localhost:{}\"", served.probes.port()));
    past.env("HTTPS_PROXY", format!("http://{}", proxy.address));
    let told = said(&run(past).await);
    assert!(told.contains("SEEN") || told.contains("COMMITTED"), "{told}");
    assert_eq!(proxy.asked().len(), asked, "what stays on this machine goes straight");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_answers_a_page_is_named_with_what_was_expected() {
    let lab = Lab::new();
    for (answer, told) in [
        (
            "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Type: text/html\r\n\r\n<html>Welcome</html>",
            "answered `HTTP/1.1 302 Found` with a page of type `text/html` (expected status 200 to CONNECT)",
        ),
        (
            "<!DOCTYPE html><html><body>Welcome to the guest network</body></html>",
            "is no HTTP proxy: answered `<!DOCTY`",
        ),
        ("", "closed the connection without an answer to CONNECT collector.corp.example:7443"),
    ] {
        let proxy = Proxy::start(Manner::Says(answer)).await;
        let top = format!("collector = \"collector.corp.example:7443\"\nproxy.url = \"http://{}\"", proxy.address);
        let done = run(probe(&lab, "once", &top)).await;
        assert_eq!(done.code, Some(69), "{done:?}");
        assert!(said(&done).contains(told), "{done:?}");
        assert!(said(&done).contains(&format!("http://{}", proxy.address)), "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_intercepts_is_found_by_its_issuer() {
    let lab = Lab::new();
    let inspection = Authority::new(&lab.path("inspection"), "Inspection CA of the proxy");
    inspection.issue("collector", &collector_params());
    let setup = Setup { backend: "memory", certificate: "inspection/collector", ..Setup::default() };
    let intercepting = Served::start(&lab, &setup).await;
    let proxy = Proxy::start(Manner::Opens(intercepting.probes)).await;
    let top = format!(
        "collector = \"collector.corp.example:7443\"\ncollector_name = \"localhost\"\nproxy.url = \"http://{}\"",
        proxy.address
    );
    let done = run(probe(&lab, "once", &top)).await;
    let told = said(&done);
    assert_eq!(done.code, Some(69), "{done:?}");
    assert!(told.contains("is issued by `CN=Inspection CA of the proxy`"), "{told}");
    assert!(told.contains("a certificate of `CN=collector`, expected one issued by `CN=Muster Test CA`"), "{told}");
    assert!(told.contains(&format!("through proxy `http://{}`", proxy.address)), "{told}");
    intercepting.stop().await;
}

/// A probe that runs, with files of its own that a scenario changes under it.
fn running(lab: &Lab, top: &str, ca: &str) -> (Running, Identity, PathBuf) {
    let issued = lab.ca.probe(HOST);
    let own = Identity { certificate: lab.path("own.pem"), key: lab.path("own.key") };
    fs::copy(&issued.certificate, &own.certificate).unwrap();
    fs::copy(&issued.key, &own.key).unwrap();
    let anchors = lab.write("anchors.pem", ca);
    let mut probe = command(binary("muster-probe"));
    probe.arg("run").arg("--now").arg("--config").arg(settings(lab, &own, &anchors, top));
    (Running::start(probe, lab.path("probe.log")), own, anchors)
}

/// The certificate that the collector keeps of the host, once it is as it should be.
async fn until_certificate(
    operator: &mut Operator,
    what: &str,
    is_so: impl Fn(&muster_proto::v1::ClientCertificate) -> bool,
) {
    wait::until(what, async || {
        let host = operator.host("dc01").await.map_err(|status| status.to_string())?;
        match host.client_certificate {
            Some(own) if is_so(&own) && host.client_certificate_proved => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_without_a_restart_and_half_a_renewal_does_no_harm() {
    let lab = Lab::new();
    let served = served(&lab).await;
    let top = format!("collector = \"localhost:{}\"", served.probes.port());
    let ca = fs::read_to_string(lab.ca.certificate()).unwrap();
    let (mut probe, own, _) = running(&lab, &top, &ca);
    let mut operator = Operator::connect(served.operators).await;
    until_certificate(&mut operator, "the first certificate is known", |own| own.newer_since_ms.is_none()).await;
    let first = operator.host("dc01").await.unwrap().client_certificate.unwrap();

    // Near its end from the first day: a tenth of a hundred days is ten, and five are left.
    let mut params = probe_params(HOST);
    params.not_before = OffsetDateTime::now_utc() - Duration::days(95);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(5);
    let renewed = lab.ca.issue("renewed", &params);
    let key = fs::read(&renewed.key).unwrap();
    fs::copy(&renewed.certificate, &own.certificate).unwrap();
    fs::write(&own.key, &key[..key.len() / 2]).unwrap();
    until_certificate(&mut operator, "the half-written key is told", |own| {
        own.newer_since_ms.is_some() && own.newer_problem.contains("own.key") && own.not_after_ms == first.not_after_ms
    })
    .await;

    fs::write(&own.key, &key).unwrap();
    until_certificate(&mut operator, "the renewed certificate is used", |own| {
        own.newer_since_ms.is_none() && own.not_after_ms < first.not_after_ms
    })
    .await;
    let host = operator.host("dc01").await.unwrap().host.unwrap();
    assert!(host.certificate_near_end, "{host:?}");

    // Red where the operator looks.
    let muster = |words: &[&str]| {
        let mut muster = command(binary("muster"));
        muster.args(["--collector", &format!("http://{}", served.operators)]).args(words);
        run(muster)
    };
    let told = said(&muster(&["host", "dc01"]).await);
    assert!(told.contains("probe's certificate ends on") && told.contains("nobody has renewed it"), "{told}");
    let told = said(&muster(&["hosts", "--certificate-near-end"]).await);
    assert!(told.contains(HOST) && told.contains("probe's certificate ends in"), "{told}");
    let told = said(&muster(&["status"]).await);
    assert!(told.contains("1 host whose probe's certificate is near its end"), "{told}");
    assert!(probe.ended().is_none(), "{}", probe.log());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ca_is_believed_as_soon_as_it_is_in_the_file() {
    let lab = Lab::new();
    let next = Authority::new(&lab.path("next"), "Next CA");
    next.issue("collector", &collector_params());
    let setup = Setup { backend: "memory", certificate: "next/collector", ..Setup::default() };
    let served = Served::start(&lab, &setup).await;
    let top = format!("collector = \"localhost:{}\"", served.probes.port());
    let present = fs::read_to_string(lab.ca.certificate()).unwrap();
    let (mut probe, _, anchors) = running(&lab, &top, &present);
    probe.until_said("the next CA is foreign", |log| log.contains("CN=Next CA").then_some(())).await;
    let both = format!("{present}{}", fs::read_to_string(next.certificate()).unwrap());
    fs::write(anchors, both).unwrap();
    let mut operator = Operator::connect(served.operators).await;
    wait::until("the host reports", async || operator.host("dc01").await.map_err(|status| status.to_string())).await;
    assert!(probe.ended().is_none(), "{}", probe.log());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_hours_apart_are_shown_on_both_sides() {
    let lab = Lab::new();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let setup = Setup { backend: "memory", ..Setup::default() };
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let top = format!("collector = \"localhost:{}\"", served.probes.port());
    let mut operator = Operator::connect(served.operators).await;
    // Half an hour beyond the hour that is told, since the collector's clock stands still meanwhile.
    for (moved_min, apart) in [(-210, "3 h ahead of the collector's"), (540, "5 h behind the collector's")] {
        clock.advance_ms(moved_min * 60_000);
        let told = said(&run(probe(&lab, "once", &top)).await);
        assert!(told.contains("COMMITTED"), "a clock is no reason to lose evidence: {told}");
        assert!(told.contains("clock the clock here shows") && told.contains(apart), "{told}");
        let host = operator.host("dc01").await.unwrap().host.unwrap();
        assert!(host.clock_ahead_ms.abs() > 2 * 3_600_000, "{host:?}");
        let mut muster = command(binary("muster"));
        muster.args(["--collector", &format!("http://{}", served.operators), "host", "dc01"]);
        let told = said(&run(muster).await);
        assert!(told.contains("clock differs") && told.contains(apart), "{told}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validity_that_the_other_clock_doubts_is_told_with_both_times() {
    let lab = Lab::new();
    // The collector's certificate, by the probe's clock; and the probe's, by the collector's.
    lab.ca.issue("late", &expired(collector_params()));
    let late = Served::start(&lab, &Setup { backend: "memory", certificate: "ca/late", ..Setup::default() }).await;
    let done = run(probe(&lab, "once", &format!("collector = \"localhost:{}\"", late.probes.port()))).await;
    let told = said(&done);
    assert!(
        told.contains("certificate of the collector ended on ") && told.contains("the clock here shows "),
        "{told}"
    );
    late.stop().await;

    let served = served(&lab).await;
    let old = lab.ca.issue("old", &expired(probe_params(HOST)));
    let top = format!("collector = \"localhost:{}\"", served.probes.port());
    let mut once = command(binary("muster-probe"));
    once.arg("once").arg("--config").arg(settings(&lab, &old, &lab.ca.certificate(), &top));
    let told = said(&run(once).await);
    assert!(told.contains("it has expired or is not valid yet"), "{told}");
    assert!(told.contains("it is valid from 2020-01-01T00:00:00Z to ") && told.contains("must be renewed"), "{told}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_whose_certificate_has_expired_is_told_so() {
    let lab = Lab::new();
    let setup = Setup { backend: "memory", operator_certificates: true, ..Setup::default() };
    let served = Served::start(&lab, &setup).await;
    let mut params = probe_params("olga");
    params.subject_alt_names.clear();
    let identity = lab.ca.issue("olga", &expired(params));
    for _ in 0..3 {
        let mut muster = command(binary("muster"));
        muster.args(["--collector", &format!("https://localhost:{}", served.operators.port())]);
        muster.arg("--certificate").arg(&identity.certificate).arg("--key").arg(&identity.key);
        muster.arg("--ca").arg(lab.ca.certificate()).arg("status");
        let done = run(muster).await;
        assert_eq!(done.code, Some(1), "{done:?}");
        let told = said(&done);
        assert!(told.contains("it has expired or is not valid yet") && told.contains("olga.pem"), "{told}");
    }
    served.stop().await;
}
