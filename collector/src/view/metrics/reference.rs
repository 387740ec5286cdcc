//! `docs/metrics.md`: every metric, and how many series they make.

use std::fmt::Write as _;

use super::{Bound, Kind, METRICS};

/// The most series that a collector of `sites` sites makes in Prometheus.
pub fn most_series(sites: usize) -> usize {
    let (per_site, in_all) = bounds();
    per_site * sites + in_all
}

fn bounds() -> (usize, usize) {
    METRICS.iter().fold((0, 0), |(per_site, in_all), metric| match metric.bound {
        Bound::PerSite(most) => (per_site + most, in_all),
        Bound::InAll(most) => (per_site, in_all + most),
    })
}

/// The reference of every metric, in Markdown: the text of `docs/metrics.md`.
pub fn reference_markdown() -> String {
    let (per_site, in_all) = bounds();
    let mut text = format!(
        "# Metrics of the collector\n\n\
         The same numbers are read by Prometheus at `/metrics` on the operators' listener and sent by OTLP where\n\
         `telemetry.otlp` is set (see [telemetry.md](telemetry.md)). This page is made from the code by\n\
         `make docs-generated`.\n\n\
         **Series.** A collector of *n* sites makes at most **{per_site} x n + {in_all}** series in Prometheus, whatever\n\
         the number of hosts, users and domain controllers: 100 sites are at most {hundred} series, 1,000 at most\n\
         {thousand}. No label names a host or a user; those are in the API, in exports and in logs.\n\n\
         **What is not known is absent**, never 0: a site without an inventory has no\n\
         `muster_site_expected_endpoints`, a check that speaks of nobody at a site has no verdicts there. Times are\n\
         absolute, in seconds since 1970. Hosts that no site could be found for are counted in the organisation's\n\
         numbers and in `muster_hosts_without_site` only.\n\n\
         A `state` or `verdict` is `ready`, `advisory`, `blocked`, `unknown` or `not-applicable`; a `rollout` is `go`,\n\
         `partly`, `hold` or `unknown`; a `gate` is one of the first four of those. Histograms have the bounds listed\n\
         at the end.\n\n\
         | Prometheus | OpenTelemetry | unit | kind | labels | meaning |\n|---|---|---|---|---|---|\n",
        hundred = most_series(100),
        thousand = most_series(1_000),
    );
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::State => "gauge, 0 or 1",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Census => "histogram, counted anew",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            text,
            "| `{}` | `{}` | `{}` | {kind} | {} | {} |",
            metric.name,
            metric.otel,
            metric.unit,
            labels.join(", "),
            metric.help
        );
    }
    text.push_str("\n## Bounds of histograms\n\n");
    for (what, bounds) in [
        ("Durations, in seconds", crate::meters::DURATION_BOUNDS),
        ("Changes per commit", crate::meters::GROUP_BOUNDS),
        ("Ages of reports, in seconds", super::observatory::AGE_BOUNDS),
    ] {
        let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "- {what}: {}", bounds.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `docs/metrics.md` is made from the list; `MUSTER_REGENERATE=1` writes it.
    #[test]
    fn the_reference_in_docs_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        if std::env::var_os("MUSTER_REGENERATE").is_some() {
            std::fs::write(&path, reference_markdown()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == reference_markdown(), "`make docs-generated` remakes docs/metrics.md");
    }
}
