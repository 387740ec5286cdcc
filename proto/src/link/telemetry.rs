//! Starting the programs' logs.
//!
//! Logs go to standard error, since standard output belongs to results. A line is a constant sentence with fields, as
//! text for people or as JSON for collectors of logs.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

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

/// Starts logs for the whole process, once. `directives` come from [`FILTER_VARIABLE`] or the program's default.
pub fn start(format: LogFormat, directives: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(directives)
        .map_err(|source| TelemetryError::Filter { directives: directives.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
    }
    .map_err(|_| TelemetryError::AlreadyStarted)
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
        let error = start(LogFormat::Text, "muster=loud").unwrap_err();
        assert!(error.to_string().starts_with("invalid log filter `muster=loud`"), "{error}");
    }

    #[test]
    fn logs_start_once() {
        start(LogFormat::Json, "warn").unwrap();
        assert!(matches!(start(LogFormat::Text, "info"), Err(TelemetryError::AlreadyStarted)));
    }
}
