//! The collector's numbers by name: one list of metrics, read from the published snapshot and the process's own counts.
//!
//! [`METRICS`] is the only place that gives a number a name. Prometheus' text ([`prometheus`]) and OTLP
//! ([`otlp`]) walk the same list, so they cannot differ, and `docs/metrics.md` is made from it
//! ([`mod@reference`]).
//!
//! The list is not a set of instruments of the OpenTelemetry SDK: an SDK keeps the last value of every set of
//! attributes it was ever told, while a site that is gone, or a number that is not known any more, must be absent here;
//! it bounds an instrument to 2,000 sets; and it has no instrument for a distribution that is counted anew each time, as
//! report ages are. Here a reader walks the snapshot once and keeps nothing.
//!
//! A number that is not known has no sample: never 0. No label names a host or a user.

mod catalogue;
pub mod observatory;
pub mod otlp;
pub mod prometheus;
pub mod reference;
mod sites;

pub use self::catalogue::METRICS;
pub use self::observatory::Observatory;
use self::observatory::Reading;
use crate::meters::Distribution;

/// What sort of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How things stand; goes up and down.
    Gauge,
    /// 1 or 0: whether something is so.
    State,
    /// How many there have been since the process started.
    Counter,
    /// A distribution over what has been since the process started.
    Histogram,
    /// A distribution over what there is now, counted anew each time: its counts go down as well.
    Census,
}

impl Kind {
    /// The word of Prometheus' text format.
    pub const fn prometheus(self) -> &'static str {
        match self {
            Self::Gauge | Self::State => "gauge",
            Self::Counter => "counter",
            Self::Histogram | Self::Census => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// Its name in OpenTelemetry.
    pub otel: &'static str,
    /// Its unit, as UCUM writes it; words in braces count things.
    pub unit: &'static str,
    /// What sort of number it is.
    pub kind: Kind,
    /// The labels of each of its samples.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
    /// How many samples it has at most, for the documented bound on series.
    pub bound: Bound,
    /// Reads its samples.
    read: fn(&Reading<'_>, &mut Samples<'_>),
}

/// How many samples a metric has at most. Prometheus makes several series of one distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// As many for every site.
    PerSite(usize),
    /// As many in all, however many sites there are.
    InAll(usize),
}

/// The value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number that is whole by nature.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A distribution.
    Distribution(&'a Distribution),
}

/// Takes metrics one after the other, each with all of its samples.
pub trait Sink {
    /// A metric begins. Called only for metrics that have a sample.
    fn metric(&mut self, metric: &'static Metric);

    /// A sample of the metric that began last; one text per label, in the metric's order.
    fn sample(&mut self, metric: &'static Metric, labels: &[&str], value: &Value<'_>);
}

/// Where one metric's samples go.
struct Samples<'a> {
    metric: &'static Metric,
    sink: &'a mut dyn Sink,
    begun: bool,
}

impl Samples<'_> {
    fn put(&mut self, labels: &[&str], value: &Value<'_>) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        if !self.begun {
            self.begun = true;
            self.sink.metric(self.metric);
        }
        self.sink.sample(self.metric, labels, value);
    }

    fn number(&mut self, labels: &[&str], number: f64) {
        self.put(labels, &Value::Number(number));
    }

    fn count(&mut self, labels: &[&str], count: u64) {
        self.put(labels, &Value::Whole(i64::try_from(count).unwrap_or(i64::MAX)));
    }

    fn distribution(&mut self, labels: &[&str], distribution: &Distribution) {
        self.put(labels, &Value::Distribution(distribution));
    }
}

/// Reads every metric into a sink.
pub fn read(reading: &Reading<'_>, sink: &mut dyn Sink) {
    for metric in METRICS {
        let mut samples = Samples { metric, sink, begun: false };
        (metric.read)(reading, &mut samples);
    }
}

#[cfg(test)]
mod tests;
