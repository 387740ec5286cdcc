//! Prometheus' text format, version 0.0.4, of the list of metrics.

use std::fmt::Write as _;

use super::{Metric, Sink, Value};

/// The content type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes metrics as text.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// What was written.
    pub fn into_string(self) -> String {
        self.0
    }

    fn line(&mut self, name: &str, suffix: &str, metric: &Metric, labels: &[&str], bound: Option<&str>) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        let names = metric.labels.iter().copied().zip(labels.iter().copied()).chain(bound.map(|bound| ("le", bound)));
        let mut opened = false;
        for (label, value) in names {
            self.0.push_str(if opened { "," } else { "{" });
            opened = true;
            self.0.push_str(label);
            self.0.push_str("=\"");
            escape(&mut self.0, value);
            self.0.push('"');
        }
        if opened {
            self.0.push('}');
        }
        self.0.push(' ');
    }
}

/// Escapes a label's value as the format wants it: backslash, quote and line feed.
fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

impl Sink for Text {
    fn metric(&mut self, metric: &'static Metric) {
        // Writing to a `String` cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {} {}", metric.name, metric.help.replace('\\', "\\\\"));
        let _ = writeln!(self.0, "# TYPE {} {}", metric.name, metric.kind.prometheus());
    }

    fn sample(&mut self, metric: &'static Metric, labels: &[&str], value: &Value<'_>) {
        match value {
            Value::Whole(number) => {
                self.line(metric.name, "", metric, labels, None);
                let _ = writeln!(self.0, "{number}");
            }
            Value::Number(number) => {
                self.line(metric.name, "", metric, labels, None);
                let _ = writeln!(self.0, "{number}");
            }
            Value::Distribution(distribution) => {
                let mut within = 0;
                let bounds = distribution.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
                for (bound, count) in bounds.zip(&distribution.counts) {
                    within += count;
                    self.line(metric.name, "_bucket", metric, labels, Some(&bound));
                    let _ = writeln!(self.0, "{within}");
                }
                self.line(metric.name, "_sum", metric, labels, None);
                let _ = writeln!(self.0, "{}", distribution.sum);
                self.line(metric.name, "_count", metric, labels, None);
                let _ = writeln!(self.0, "{within}");
            }
        }
    }
}
