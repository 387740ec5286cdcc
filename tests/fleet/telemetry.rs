//! What a real collector and a real probe tell an OTLP receiver, and what they do where there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use muster_collector::clock::{Clock as _, SystemClock};
use muster_collector::view::metrics::{Kind, METRICS};
use muster_proto::v1;
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, user};
use muster_tests::operator::Operator;
use muster_tests::otlp::{Mode, Receiver, python};
use muster_tests::probe::FakeProbe;
use muster_tests::program::{binary, command, run};
use muster_tests::{may_skip, skipped, wait};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn receiver_python(test: &str) -> Option<std::path::PathBuf> {
    let python = python();
    assert!(python.is_some() || may_skip(), "`.tools/python` has no grpcio: run deploy/setup.sh");
    if python.is_none() {
        skipped(test, "no Python with grpcio and opentelemetry-proto in .tools");
    }
    python
}

/// Asks the operators' listener for a page: its status and its body.
async fn page(operators: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(operators).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("chunked"), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The samples of `/metrics` by name and labels; of histograms their counts.
async fn scrape(operators: SocketAddr) -> BTreeMap<String, f64> {
    let (status, text) = page(operators, "/metrics").await;
    assert_eq!(status, 200, "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    samples.filter(|(name, _): &(String, f64)| !name.contains("_bucket{")).collect()
}

/// A point of OTLP as `/metrics` writes it: name, labels and the number.
fn as_sample(point: &Value) -> Option<(String, f64)> {
    let metric = METRICS.iter().find(|metric| point["metric"] == metric.otel).unwrap_or_else(|| panic!("{point}"));
    assert_eq!(point["unit"], metric.unit, "{point}");
    let kind = match metric.kind {
        Kind::Gauge | Kind::State => "gauge",
        Kind::Counter => "sum",
        Kind::Histogram | Kind::Census => "histogram",
    };
    assert_eq!((point["kind"].as_str(), point["monotonic"].as_bool()), (Some(kind), Some(kind == "sum")), "{point}");
    let attributes = point["attributes"].as_object().unwrap();
    assert_eq!(
        attributes.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        metric.labels.iter().copied().collect::<BTreeSet<_>>(),
        "{point}"
    );
    let labels: Vec<String> =
        metric.labels.iter().map(|label| format!("{label}=\"{}\"", attributes[*label].as_str().unwrap())).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let (suffix, value) = match kind {
        "histogram" => ("_count", &point["count"]),
        _ => ("", &point["value"]),
    };
    Some((format!("{}{suffix}{labels}", metric.name), value.as_f64()?))
}

/// The numbers of the last export that was received.
fn last_export(lines: &[Value]) -> BTreeMap<String, f64> {
    let points = || lines.iter().filter(|line| line["metric"].is_string());
    let last = points().filter_map(|point| point["time"].as_u64()).max();
    points().filter(|point| point["time"].as_u64() == last).filter_map(as_sample).collect()
}

/// Whether a number stands still while nobody reports.
fn stands_still(name: &str) -> bool {
    name.starts_with("muster_site")
        || name.starts_with("muster_users")
        || name.starts_with("muster_reports")
        || name.starts_with("muster_endpoints")
        || ["muster_hosts", "muster_policy_revision", "muster_store_writable", "muster_build_info"]
            .iter()
            .any(|still| name.split('{').next() == Some(still))
}

/// A captured folder with one domain controller and one endpoint would be relayed; the trace of a whole way wants the
/// machine itself.
async fn once(lab: &Lab, name: &str, port: u16, more: &str) -> String {
    let identity = lab.ca.probe(&format!("{name}.corp.example"));
    let settings = lab.probe_settings(name, &identity, port, &format!("site = \"Harbour\"\n{more}"));
    let mut once = command(binary("muster-probe"));
    once.args(["--log-format", "json", "once", "--config"]).arg(&settings);
    run(once).await.succeeded()
}

fn exporting(port: u16) -> Setup {
    let mut setup = Setup::with_sites(&[("Harbour", &["dc01.corp.example"], Some(4))]);
    setup.top = format!(
        "telemetry.otlp = \"http://127.0.0.1:{port}\"\ntelemetry.interval = \"1s\"\ntelemetry.headers = [\"x-key=secret\"]\n"
    );
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_gets_the_numbers_of_the_api_and_of_prometheus() {
    let Some(python) = receiver_python("telemetry::a_receiver_gets_the_numbers_of_the_api_and_of_prometheus") else {
        return;
    };
    let lab = Lab::new();
    let receiver = Receiver::start(&lab, &python, Mode::Take).await;
    let mut collector = CollectorProgram::start(&lab, &exporting(receiver.port)).await;
    // A Windows client: this machine is none that Hello concerns, so it would not count.
    let mut probe = FakeProbe::connect(&lab, collector.probes, "pc1.corp.example").await;
    probe.report(&Machine::endpoint("pc1", "Harbour", &user(1)), SystemClock.now()).await.unwrap();
    let mut operator = Operator::connect(collector.operators).await;
    operator.until_site("Harbour", |found| found.site.as_ref().is_some_and(|site| site.endpoints_fresh == 1)).await;

    let still = |samples: BTreeMap<String, f64>| -> BTreeMap<String, f64> {
        samples.into_iter().filter(|(name, _)| stands_still(name)).collect()
    };
    // The report is in both, by the export after it.
    let (scraped, received) = wait::until("the export equals the scrape", async || {
        let scraped = still(scrape(collector.operators).await);
        let received = still(last_export(&receiver.received()));
        if scraped == received && scraped.len() > 50 {
            Ok((scraped, received))
        } else {
            let differ: Vec<_> =
                scraped.iter().filter(|(name, value)| received.get(*name) != Some(*value)).take(5).collect();
            Err(format!("{} scraped, {} received, differ: {differ:?}", scraped.len(), received.len()))
        }
    })
    .await;
    assert_eq!(scraped, received);
    // Every name that is scraped is exported as well, whatever its value.
    let names = |samples: &BTreeMap<String, f64>| -> BTreeSet<String> {
        samples.keys().map(|name| name.split('{').next().unwrap().trim_end_matches("_sum").to_owned()).collect()
    };
    let (all, exported) = (names(&scrape(collector.operators).await), names(&last_export(&receiver.received())));
    let missing: Vec<_> =
        all.iter().filter(|name| !exported.contains(*name) && !exported.contains(&format!("{name}_count"))).collect();
    assert!(missing.is_empty(), "{missing:?}");

    // And the API says the same.
    let answer = operator.site("Harbour").await;
    let site = answer.site.unwrap();
    let at = |name: &str| received.get(name).copied();
    let of_site = |name: &str, more: &str| at(&format!("{name}{{forest=\"corp.example\",site=\"Harbour\"{more}}}"));
    #[expect(clippy::cast_precision_loss, reason = "a handful of machines")]
    let number = |count: u64| Some(count as f64);
    let states = |counts: v1::StandingCounts| {
        [
            ("ready", counts.ready),
            ("advisory", counts.advisory),
            ("blocked", counts.blocked),
            ("unknown", counts.unknown),
            ("not-applicable", counts.not_applicable),
        ]
    };
    for (metric, counts) in [("muster_site_users", site.users), ("muster_site_endpoints", site.endpoints)] {
        for (state, count) in states(counts.unwrap()) {
            assert_eq!(of_site(metric, &format!(",state=\"{state}\"")), number(count), "{metric} {state}");
        }
    }
    for check in &answer.checks {
        for (verdict, count) in states(check.counts.unwrap()) {
            let labels = format!(",check=\"{}\",verdict=\"{verdict}\"", check.check);
            assert_eq!(of_site("muster_site_verdicts", &labels), number(count), "{} {verdict}", check.check);
        }
    }
    assert_eq!(of_site("muster_site_expected_endpoints", ""), Some(4.0));
    assert_eq!(of_site("muster_site_coverage_ratio", ""), Some(0.25));
    assert_eq!(of_site("muster_site_expected_domain_controllers", ""), number(site.dcs_expected));
    assert_eq!(of_site("muster_site_rollout", ",rollout=\"unknown\""), Some(1.0));
    assert_eq!(of_site("muster_site_dc_last_report_timestamp_seconds", ""), None, "none has reported");
    let all = operator.api.get_organisation(v1::GetOrganisationRequest {}).await.unwrap().into_inner();
    assert_eq!(at("muster_hosts"), number(all.hosts));
    assert_eq!(at("muster_reports_total{outcome=\"committed\"}"), Some(1.0));

    // The header is sent, and is in no log.
    assert!(receiver.received().iter().all(|line| line["headers"]["x-key"] == "secret"));
    assert!(!collector.running.log().contains("secret"));

    // Health tells the same as long as all is well.
    assert_eq!(
        page(collector.operators, "/readyz").await,
        (200, "loaded: ok\nstore: ok\ncomplete: ok\nrunning: ok\n".to_owned())
    );
    assert!(collector.running.terminate().await.success());
}

/// The spans of a name.
fn spans<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["span"] == name).collect()
}

fn only<'a>(lines: &'a [Value], name: &str) -> Result<&'a Value, String> {
    match spans(lines, name).as_slice() {
        [only] => Ok(only),
        found => Err(format!("{} spans `{name}`", found.len())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_follows_a_report_from_the_sources_to_the_durable_commit() {
    let Some(python) = receiver_python("telemetry::one_trace_follows_a_report_from_the_sources_to_the_durable_commit")
    else {
        return;
    };
    let lab = Lab::new();
    let receiver = Receiver::start(&lab, &python, Mode::Take).await;
    let mut collector = CollectorProgram::start(&lab, &exporting(receiver.port)).await;
    let more = format!("telemetry.otlp = \"http://127.0.0.1:{}\"", receiver.port);
    once(&lab, "pc1", collector.probes.port(), &more).await;
    let all = receiver
        .until("the first report's trace is there", |lines| {
            for name in ["probe.round", "ingest.submit", "store.group-commit"] {
                only(lines, name)?;
            }
            Ok(lines.to_vec())
        })
        .await;

    let id = |name: &str| only(&all, name).map(|span| span["id"].clone()).unwrap();
    for (name, parent, service) in [
        ("probe.collect", "probe.round", "muster-probe"),
        ("probe.send", "probe.round", "muster-probe"),
        ("ingest.submit", "probe.send", "muster-collector"),
        ("judge.host", "ingest.submit", "muster-collector"),
        ("store.commit", "ingest.submit", "muster-collector"),
    ] {
        let span = only(&all, name).unwrap();
        assert_eq!((&span["parent"], span["service"].as_str()), (&id(parent), Some(service)), "{name}");
        assert_eq!(span["trace"], only(&all, "probe.round").unwrap()["trace"], "{name}");
        assert!(span["start"].as_u64() <= span["end"].as_u64(), "{name}");
    }
    assert_eq!(only(&all, "probe.round").unwrap()["parent"], "");
    let sources = spans(&all, "probe.source");
    let names: BTreeSet<_> = sources.iter().map(|span| span["attributes"]["source"].to_string()).collect();
    assert!(sources.len() >= 2 && names.len() == sources.len(), "{names:?}");
    assert!(sources.iter().all(|span| span["parent"] == id("probe.collect")));
    let batch = only(&all, "store.group-commit").unwrap();
    assert_ne!(batch["trace"], only(&all, "probe.round").unwrap()["trace"], "it serves many reports");
    assert!(batch["links"].as_array().unwrap().iter().any(|link| link["id"] == id("store.commit")), "{batch}");
    assert_eq!(only(&all, "ingest.submit").unwrap()["attributes"]["sampling.reason"], "first-report");

    // A report that says nothing new is not kept, unless its number is among the one in a thousand.
    let trace = once(&lab, "pc1", collector.probes.port(), &more).await;
    assert!(trace.contains("SEEN") || trace.contains("COMMITTED"), "{trace}");
    // One that is refused is: this probe claims another name than its certificate's.
    let identity = lab.ca.probe("pc2.corp.example");
    let liar =
        lab.probe_settings("liar", &identity, collector.probes.port(), &format!("host = \"pc3.corp.example\"\n{more}"));
    let mut liar_once = command(binary("muster-probe"));
    liar_once.args(["--log-format", "json", "once", "--config"]).arg(&liar);
    let refused = run(liar_once).await;
    assert_eq!(refused.code, Some(69), "{refused:?}");
    let refusal = receiver
        .until("the refused report's trace is there", |lines| {
            let of_collector =
                spans(lines, "ingest.submit").into_iter().find(|span| span["attributes"]["sampling.reason"] == "error");
            let found = of_collector.ok_or("no refused `ingest.submit`")?;
            let of_probe = spans(lines, "probe.send").into_iter().find(|span| span["id"] == found["parent"]);
            of_probe.ok_or("no `probe.send` above it")?;
            Ok(found.clone())
        })
        .await;
    assert_eq!(refusal["status"], 2, "an error: {refusal}");

    // Lines in the log name the trace.
    let log = collector.running.log();
    let line = log.lines().find(|line| line.contains("report refused")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["trace_id"], &line["span_id"]), (&refusal["trace"], &refusal["id"]), "{line}");
    assert!(collector.running.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_hang_refuse_or_are_gone_hold_nobody_up_and_show() {
    let Some(python) = receiver_python("telemetry::receivers_that_hang_refuse_or_are_gone_hold_nobody_up_and_show")
    else {
        return;
    };
    let lab = Lab::new();
    for mode in [Some(Mode::Silent), Some(Mode::Refuse), None] {
        let receiver = match mode {
            Some(mode) => Some(Receiver::start(&lab, &python, mode).await),
            None => None,
        };
        // A port that nobody listens on: one that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = receiver.as_ref().map_or(free, |receiver| receiver.port);
        let setup = Setup { store: Path::new("store").join(format!("{mode:?}")), ..exporting(port) };
        let mut collector = CollectorProgram::start(&lab, &setup).await;
        let more = format!("telemetry.otlp = \"http://127.0.0.1:{port}\"");
        for round in 0..3 {
            let said = once(
                &lab,
                &format!("pc-{mode:?}-{round}").to_lowercase().replace(['(', ')'], ""),
                collector.probes.port(),
                &more,
            )
            .await;
            assert!(said.contains("COMMITTED"), "{mode:?}: {said}");
        }
        // It shows in the numbers, which are there for Prometheus all the same, and once in the log.
        let failed = wait::until("the failed export shows", async || {
            let samples = scrape(collector.operators).await;
            let failed = |signal: &str| {
                samples
                    .get(&format!("muster_telemetry_exports_total{{signal=\"{signal}\",outcome=\"failed\"}}"))
                    .copied()
            };
            match (failed("metrics"), failed("traces")) {
                (Some(metrics), Some(traces)) if metrics >= 1.0 && traces >= 1.0 => Ok(samples),
                found => Err(format!("{mode:?}: {found:?}")),
            }
        })
        .await;
        assert!(failed["muster_telemetry_dropped_spans_total"] >= 1.0, "{mode:?}");
        assert_eq!(failed.get("muster_reports_total{outcome=\"committed\"}"), Some(&3.0), "{mode:?}");
        let lines = collector.running.log().lines().filter(|line| line.contains("telemetry was not exported")).count();
        assert!((1..=4).contains(&lines), "{mode:?}: {lines} lines");
        // And does not keep the collector from ending.
        assert!(collector.running.terminate().await.success(), "{mode:?}");
    }
}
