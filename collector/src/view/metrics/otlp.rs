//! The list of metrics as messages of OTLP.

use muster_evidence::Timestamp;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyOf;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Message, NumberDataPoint, Sum, metric,
    number_data_point,
};

use super::{Kind, Metric, Observatory, Sink, Value};

/// Most points in one message: about 1.5 MB, where receivers take 4 MB by default.
const POINTS_PER_MESSAGE: usize = 8_000;

/// Everything there is to tell, in as many messages as it needs.
pub fn messages(observatory: &Observatory) -> Vec<Vec<Message>> {
    let mut messages = Messages {
        started_at: nanos(observatory.started_at()),
        now: nanos(observatory.core().now()),
        ..Messages::default()
    };
    observatory.read(&mut messages);
    messages.end()
}

#[derive(Default)]
struct Messages {
    started_at: u64,
    now: u64,
    full: Vec<Vec<Message>>,
    filling: Vec<Message>,
    points: usize,
}

impl Messages {
    fn end(mut self) -> Vec<Vec<Message>> {
        if !self.filling.is_empty() {
            self.full.push(self.filling);
        }
        self.full
    }
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.unix_ms()).unwrap_or(0).saturating_mul(1_000_000)
}

fn begun(metric: &Metric) -> Message {
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match metric.kind {
        Kind::Gauge | Kind::State => metric::Data::Gauge(Gauge::default()),
        Kind::Counter => {
            metric::Data::Sum(Sum { aggregation_temporality: cumulative, is_monotonic: true, ..Sum::default() })
        }
        Kind::Histogram | Kind::Census => {
            metric::Data::Histogram(Histogram { aggregation_temporality: cumulative, ..Histogram::default() })
        }
    };
    Message {
        name: metric.otel.to_owned(),
        description: metric.help.to_owned(),
        unit: metric.unit.to_owned(),
        data: Some(data),
        ..Message::default()
    }
}

impl Sink for Messages {
    fn metric(&mut self, metric: &'static Metric) {
        self.filling.push(begun(metric));
    }

    fn sample(&mut self, metric: &'static Metric, labels: &[&str], value: &Value<'_>) {
        if self.points >= POINTS_PER_MESSAGE {
            self.points = 0;
            self.full.push(std::mem::replace(&mut self.filling, vec![begun(metric)]));
        }
        self.points += 1;
        let attributes: Vec<KeyValue> =
            metric.labels.iter().zip(labels).map(|(name, value)| attribute(name, value)).collect();
        // What is counted anew each time began at no time that could be told.
        let start_time_unix_nano = match metric.kind {
            Kind::Counter | Kind::Histogram => self.started_at,
            Kind::Gauge | Kind::State | Kind::Census => 0,
        };
        let time_unix_nano = self.now;
        let number = |value| NumberDataPoint {
            attributes: attributes.clone(),
            start_time_unix_nano,
            time_unix_nano,
            value: Some(value),
            ..NumberDataPoint::default()
        };
        let Some(data) = self.filling.last_mut().and_then(|message| message.data.as_mut()) else { return };
        let point = match value {
            Value::Whole(whole) => number(number_data_point::Value::AsInt(*whole)),
            Value::Number(value) => number(number_data_point::Value::AsDouble(*value)),
            Value::Distribution(distribution) => {
                if let metric::Data::Histogram(histogram) = data {
                    histogram.data_points.push(HistogramDataPoint {
                        attributes,
                        start_time_unix_nano,
                        time_unix_nano,
                        count: distribution.count(),
                        sum: Some(distribution.sum),
                        bucket_counts: distribution.counts.clone(),
                        explicit_bounds: distribution.bounds.to_vec(),
                        ..HistogramDataPoint::default()
                    });
                }
                return;
            }
        };
        match data {
            metric::Data::Gauge(gauge) => gauge.data_points.push(point),
            metric::Data::Sum(sum) => sum.data_points.push(point),
            _ => {}
        }
    }
}

fn attribute(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(AnyOf::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    }
}
