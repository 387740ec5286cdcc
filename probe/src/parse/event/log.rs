//! How a log is set up, as `wevtutil gl LOG` prints it: whether it is switched on at all.
//!
//! That a log holds no event says something only where the log is on, and the KDC's operational log is off unless
//! somebody switched it on.

use serde::Serialize;

/// A log's configuration, as far as rules read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogConfiguration {
    /// Its channel.
    pub channel: String,
    /// Whether it is switched on.
    pub enabled: bool,
}

/// Says that a text is not what `wevtutil gl` prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no lines `name: …` and `enabled: true` or `enabled: false` (expected what `wevtutil gl LOG` prints; begins with `{start}`)"
)]
pub struct InvalidLog {
    /// The beginning of the text.
    pub start: String,
}

/// Reads what `wevtutil gl` prints for one or more logs, one output after another.
pub fn log_configuration(text: &str) -> Result<Vec<LogConfiguration>, InvalidLog> {
    let mut logs: Vec<LogConfiguration> = Vec::new();
    let mut channel = None;
    for line in text.lines() {
        // `logging:` and `publishing:` have lines of their own below them, which are indented.
        let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with(char::is_whitespace)) else {
            continue;
        };
        match (key, value.trim()) {
            ("name", name) if !name.is_empty() => channel = Some(name.chars().take(256).collect()),
            ("enabled", enabled @ ("true" | "false")) => {
                if let Some(channel) = channel.take() {
                    logs.push(LogConfiguration { channel, enabled: enabled == "true" });
                }
            }
            _ => {}
        }
        if logs.len() == muster_evidence::limits::EVENT_LOGS {
            break;
        }
    }
    if logs.is_empty() {
        return Err(InvalidLog { start: super::start_of(text) });
    }
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_and_off() {
        let one = |enabled: &str| {
            format!(
                "name: Microsoft-Windows-Kerberos-Key-Distribution-Center/Operational\r\nenabled: {enabled}\r\n\
                 type: Operational\r\nlogging:\r\n  logFileName: x\r\n  enabled: maybe\r\npublishing:\r\n  fileMax: 1\r\n"
            )
        };
        for (text, expected) in
            [(one("true"), vec![true]), (one("false"), vec![false]), (one("false") + &one("true"), vec![false, true])]
        {
            let found: Vec<bool> = log_configuration(&text).unwrap().into_iter().map(|log| log.enabled).collect();
            assert_eq!(found, expected);
        }
        for text in ["", "enabled: true", "name: System\nenabled: perhaps", "Failed to read configuration for log x."] {
            assert!(log_configuration(text).unwrap_err().to_string().contains("wevtutil gl"), "{text}");
        }
    }
}
