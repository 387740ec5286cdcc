//! Starting the programs' logs and traces.
//!
//! Logs go to standard error, since standard output belongs to results. A line is a constant sentence with fields, as
//! text for people or as JSON for collectors of logs, and names the trace it belongs to. Traces get their numbers whether
//! or not anybody collects them, so that the lines of a probe and of its collector about one report can be found by one
//! number; spans are recorded only where an [`Exporter`] takes them.

mod context;
mod format;
mod otlp;
mod tail;

use std::io::IsTerminal;
use std::str::FromStr;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

pub use self::context::{InvalidTraceParent, ONE_IN, TraceParent, keep};
use self::format::Correlated;
pub use self::otlp::{
    DEFAULT_INTERVAL, ExportCounts, Exporter, Headers, InvalidHeaders, MetricsSource, OtlpError, OtlpSettings,
};
use self::tail::TailSampler;

/// The variable whose directives choose what is logged, such as `info,muster_collector=debug`.
pub const FILTER_VARIABLE: &str = "MUSTER_LOG";

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Says that a text names no form of log lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown log format `{found}` (expected `text` or `json`)")]
pub struct UnknownLogFormat {
    /// The text found.
    pub found: String,
}

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(UnknownLogFormat { found: other.chars().take(64).collect() }),
        }
    }
}

/// Says why logs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter's directives are wrong.
    #[error("invalid log filter `{directives}` (expected for example `info,muster_collector=debug`)")]
    Filter {
        /// The directives found.
        directives: String,
        /// What is wrong with them.
        #[source]
        source: ParseError,
    },
    /// Logs were started before in this process.
    #[error("logs are already started")]
    AlreadyStarted,
}

/// The targets whose spans make up traces: our own crates'. Libraries' spans are theirs.
const TRACED: [&str; 4] = ["muster_proto", "muster_probe", "muster_collector", "muster_cli"];

/// Most links of a span: a group commit serves at most so many reports.
const LINKS: u32 = 512;

/// Most attributes and events of a span.
const ATTRIBUTES: u32 = 32;
const EVENTS: u32 = 32;

/// Starts logs for the whole process, once, and traces with them. `directives` come from [`FILTER_VARIABLE`] or the
/// program's default; spans are exported where there is an exporter.
pub fn start(format: LogFormat, directives: &str, exporter: Option<&Exporter>) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(directives)
        .map_err(|source| TelemetryError::Filter { directives: directives.to_owned(), source })?;
    let colour = format == LogFormat::Text && std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
    let lines = match format {
        LogFormat::Text => {
            let inner = fmt::format().with_ansi(colour);
            lines.event_format(Correlated { inner, format }).with_filter(filter).boxed()
        }
        LogFormat::Json => {
            let inner = fmt::format().json().flatten_event(true).with_ansi(false);
            let fields = fmt::format::JsonFields::new();
            lines.fmt_fields(fields).event_format(Correlated { inner, format }).with_filter(filter).boxed()
        }
    };
    let provider = SdkTracerProvider::builder()
        .with_max_links_per_span(LINKS)
        .with_max_attributes_per_span(ATTRIBUTES)
        .with_max_events_per_span(EVENTS);
    let provider = match exporter {
        None => provider.with_sampler(Sampler::AlwaysOff),
        Some(exporter) => {
            provider.with_sampler(Sampler::AlwaysOn).with_span_processor(TailSampler::new(exporter.clone()))
        }
    };
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.build().tracer("muster"))
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(Targets::new().with_targets(TRACED.map(|target| (target, LevelFilter::INFO))));
    tracing_subscriber::registry().with(lines).with(traces).try_init().map_err(|_| TelemetryError::AlreadyStarted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_settings_is_said() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!(
            "xml".parse::<LogFormat>().unwrap_err().to_string(),
            "unknown log format `xml` (expected `text` or `json`)"
        );
        let error = start(LogFormat::Text, "muster=loud", None).unwrap_err();
        assert!(error.to_string().starts_with("invalid log filter `muster=loud`"), "{error}");
    }

    #[test]
    fn logs_start_once() {
        start(LogFormat::Json, "warn", None).unwrap();
        assert!(matches!(start(LogFormat::Text, "info", None), Err(TelemetryError::AlreadyStarted)));
    }
}
