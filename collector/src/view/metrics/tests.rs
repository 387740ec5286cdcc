//! The list of metrics against itself, against Prometheus' and OpenTelemetry's rules of names, and against the API.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::Arc;

use muster_evidence::{DeviceAuth, Evidence, JoinState, Tristate};

use super::prometheus::Text;
use super::reference::most_series;
use super::*;
use crate::access::Access;
use crate::fixture::{Lab, Machine, joined};

/// Everything read, as `name{label="value"}` and the number.
#[derive(Default)]
struct Everything {
    begun: Vec<&'static str>,
    samples: BTreeMap<String, f64>,
    series: BTreeMap<&'static str, usize>,
}

impl Sink for Everything {
    fn metric(&mut self, metric: &'static Metric) {
        self.begun.push(metric.name);
    }

    #[expect(clippy::cast_precision_loss, reason = "no count of a test reaches 2^52")]
    fn sample(&mut self, metric: &'static Metric, labels: &[&str], value: &Value<'_>) {
        assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
        let labels: Vec<String> =
            metric.labels.iter().zip(labels).map(|(name, value)| format!("{name}={value}")).collect();
        let (number, series) = match value {
            Value::Whole(number) => (*number as f64, 1),
            Value::Number(number) => (*number, 1),
            Value::Distribution(distribution) => (distribution.count() as f64, distribution.counts.len() + 2),
        };
        let name = format!("{} {}", metric.name, labels.join(" ")).trim_end().to_owned();
        assert_eq!(self.samples.insert(name.clone(), number), None, "{name} is there twice");
        *self.series.entry(metric.name).or_default() += series;
    }
}

async fn lab() -> (Lab, Observatory) {
    let lab = Lab::new().await;
    lab.take(&mut Machine::dc("dc01.corp.example", "Harbour")).await;
    lab.take(&mut Machine::endpoint("pc1.corp.example", "Harbour", 1_101)).await;
    let mut broken = Machine::endpoint("pc2.corp.example", "Harbour", 1_102);
    broken.put(Evidence::JoinState(JoinState {
        device_auth: Some(DeviceAuth::DisabledOrDeleted),
        ..joined(Tristate::Yes)
    }));
    lab.take(&mut broken).await;
    lab.core.publish_now().await.unwrap();
    let observatory = Observatory::new(lab.core.clone(), Arc::new(Access::default()), None, None);
    (lab, observatory)
}

fn everything(observatory: &Observatory) -> Everything {
    let mut everything = Everything::default();
    observatory.read(&mut everything);
    everything
}

/// What Prometheus makes of a name of OpenTelemetry
/// (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>, OTLP metric points to
/// Prometheus): dots become underscores, the unit and `_total` are appended.
fn translated(metric: &Metric) -> String {
    let mut name = metric.otel.replace('.', "_");
    let unit = match metric.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        "1" if metric.kind == Kind::Gauge => "_ratio",
        _ => "",
    };
    name.push_str(unit);
    if metric.kind == Kind::Counter {
        name.push_str("_total");
    }
    name
}

#[test]
fn names_are_those_that_opentelemetry_makes_and_prometheus_takes() {
    let mut names = BTreeSet::new();
    for metric in METRICS {
        assert!(names.insert(metric.name) && names.insert(metric.otel), "{} is there twice", metric.name);
        assert!(metric.name.starts_with("muster_"), "{}", metric.name);
        assert_eq!(translated(metric), metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '|']), "{}", metric.name);
        // A name that ends like a series of a histogram would be taken for one.
        for suffix in ["_bucket", "_sum", "_count"] {
            assert!(!metric.name.ends_with(suffix), "{}", metric.name);
        }
        for label in metric.labels {
            assert!(!["host", "user", "sid", "name", "le", "job", "instance"].contains(label), "{}", metric.name);
        }
        assert_eq!(matches!(metric.bound, Bound::PerSite(_)), metric.labels.starts_with(&["forest", "site"]));
    }
}

#[tokio::test]
async fn the_numbers_of_a_site_are_the_snapshots() {
    let (_lab, observatory) = lab().await;
    let samples = everything(&observatory).samples;
    let at = |name: &str| samples.get(name).copied();
    for (name, expected) in [
        ("muster_site_users forest=corp.example site=Harbour state=unknown", Some(1.0)),
        ("muster_site_users forest=corp.example site=Harbour state=blocked", Some(1.0)),
        ("muster_site_users_ready_ratio forest=corp.example site=Harbour", Some(0.0)),
        ("muster_site_verdicts forest=corp.example site=Harbour check=join.device-auth verdict=blocked", Some(1.0)),
        ("muster_site_verdicts forest=corp.example site=Harbour check=join.device-auth verdict=ready", Some(1.0)),
        ("muster_site_blocked_users forest=corp.example site=Harbour check=join.device-auth", Some(1.0)),
        ("muster_site_blocked_users forest=corp.example site=Harbour check=tpm.present", Some(0.0)),
        ("muster_site_rollout forest=corp.example site=Harbour rollout=partly", Some(1.0)),
        ("muster_site_rollout forest=corp.example site=Harbour rollout=go", Some(0.0)),
        ("muster_site_endpoints forest=corp.example site=Harbour state=blocked", Some(1.0)),
        ("muster_site_expected_endpoints forest=corp.example site=Harbour", Some(2.0)),
        ("muster_site_coverage_ratio forest=corp.example site=Harbour", Some(1.0)),
        ("muster_site_coverage_ratio forest=corp.example site=Depot", Some(0.0)),
        // Nobody was seen at the other site, and no domain controller is there.
        ("muster_site_users_ready_ratio forest=corp.example site=Depot", None),
        ("muster_site_dc_last_report_timestamp_seconds forest=corp.example site=Depot", None),
        ("muster_site_verdicts forest=corp.example site=Depot check=tpm.version verdict=ready", None),
        ("muster_hosts", Some(3.0)),
        ("muster_reports_total outcome=committed", Some(0.0)), // those of this test went past the listener
        ("muster_telemetry_dropped_spans_total", None),
        ("muster_store_size_bytes", None),
        ("muster_store_writable", Some(1.0)),
    ] {
        assert_eq!(at(name), expected, "{name}");
    }
    let certificate = at("muster_site_dc_certificate_not_after_timestamp_seconds forest=corp.example site=Harbour");
    let snapshot = observatory.core().snapshot();
    let harbour = snapshot.sites.iter().find(|site| !site.dc_rows.is_empty()).unwrap();
    assert_eq!(certificate, harbour.dc_rows[0].certificate_not_after.map(sites::seconds));
}

#[tokio::test]
async fn ages_are_counted_over_every_host() {
    let (lab, observatory) = lab().await;
    lab.clock.advance_ms(1_000_000);
    let ages = observatory.count_ages().await;
    let counts: Vec<u64> = ages.by_role.iter().map(Distribution::count).collect();
    assert_eq!(counts, [1, 2, 0]);
    // 1,000 s lie between a cadence of 900 s and three of them.
    assert_eq!(ages.by_role[1].counts[3], 2);
    assert!((ages.by_role[1].sum - 2_000.0).abs() < 1e-6);
}

#[tokio::test]
async fn no_more_series_than_the_reference_says() {
    let lab = Lab::new().await;
    let per_site = |series: &BTreeMap<&'static str, usize>, metric: &Metric| series.get(metric.name).copied();
    let count = 25;
    for site in 0..count {
        let name = format!("Site-{site}");
        lab.take(&mut Machine::dc(&format!("dc{site}.corp.example"), &name)).await;
        for pc in 0..2 {
            lab.take(&mut Machine::endpoint(&format!("pc{site}-{pc}.corp.example"), &name, 2_000 + 2 * site + pc))
                .await;
        }
    }
    lab.core.publish_now().await.unwrap();
    let observatory = Observatory::new(lab.core.clone(), Arc::new(Access::default()), None, None);
    let all = everything(&observatory);
    let sites = lab.core.snapshot().sites.len();
    assert_eq!(sites, count as usize + 2, "two more are in the inventory");
    for metric in METRICS {
        let most = match metric.bound {
            Bound::PerSite(most) => most * sites,
            Bound::InAll(most) => most,
        };
        let found = per_site(&all.series, metric).unwrap_or_default();
        assert!(found <= most, "{} has {found} series, {most} are told", metric.name);
    }
    assert!(all.series.values().sum::<usize>() <= most_series(sites));
    // A metric's samples are all in one place.
    let once: BTreeSet<_> = all.begun.iter().collect();
    assert_eq!(once.len(), all.begun.len());
}

#[tokio::test]
async fn the_text_is_prometheus_format() {
    let (_lab, observatory) = lab().await;
    let mut text = Text::default();
    observatory.read(&mut text);
    let text = text.into_string();
    for line in [
        "# TYPE muster_site_users gauge",
        "muster_site_users{forest=\"corp.example\",site=\"Harbour\",state=\"unknown\"} 1",
        "muster_report_duration_seconds_bucket{le=\"+Inf\"} 0",
        "muster_report_duration_seconds_count 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
    }
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        use std::io::Write as _;
        let said = "SKIPPED: the_text_is_prometheus_format: no `promtool` on this machine\n";
        return std::io::stderr().write_all(said.as_bytes()).unwrap();
    };
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn labels_are_escaped() {
    let metric = METRICS.iter().find(|metric| metric.name == "muster_build_info").unwrap();
    let mut text = Text::default();
    text.sample(metric, &["a\\b\"c\nd"], &Value::Whole(1));
    assert_eq!(text.into_string(), "muster_build_info{version=\"a\\\\b\\\"c\\nd\"} 1\n");
}
