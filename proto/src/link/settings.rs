//! Reading settings from TOML: every error at once, and unknown keys answered with the nearest known one.
//!
//! Both programs read their settings this way, so that a mistake is answered alike everywhere. What the keys mean is
//! the programs' business.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::{Table, Value};

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The text is not TOML.
    #[error("not TOML: {problem}")]
    Syntax {
        /// The parser's words, with line and column.
        problem: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}`{}", nearest.as_ref().map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default())]
    UnknownKey {
        /// The key found, with its section.
        key: String,
        /// The nearest key that exists, if one is near.
        nearest: Option<String>,
    },
    /// A value that cannot be taken.
    #[error("invalid `{key}`: {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// A key that must be there.
    #[error("missing `{key}`: {expected}")]
    Missing {
        /// The key.
        key: String,
        /// What it should hold.
        expected: String,
    },
}

/// A table of settings being read. Values are taken out one by one; what is left at the end is unknown.
#[derive(Debug)]
pub struct Settings {
    path: String,
    table: Table,
    asked: BTreeSet<String>,
    errors: Vec<SettingsError>,
}

impl Settings {
    /// Reads a TOML text. A text that is not TOML yields empty settings that carry the error.
    pub fn parse(text: &str) -> Self {
        match text.parse::<Table>() {
            Ok(table) => Self::of(String::new(), table),
            Err(error) => {
                let mut settings = Self::of(String::new(), Table::new());
                settings.errors.push(SettingsError::Syntax { problem: error.to_string().trim_end().to_owned() });
                settings
            }
        }
    }

    fn of(path: String, table: Table) -> Self {
        Self { path, table, asked: BTreeSet::new(), errors: Vec::new() }
    }

    /// The full name of a key in this section.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.asked.insert(key.to_owned());
        self.table.remove(key)
    }

    /// Notes that a key's value cannot be taken.
    pub fn invalid(&mut self, key: &str, problem: impl Display) {
        let error = SettingsError::Invalid { key: self.name(key), problem: problem.to_string() };
        self.errors.push(error);
    }

    /// Notes that a key must be there.
    pub fn missing(&mut self, key: &str, expected: &str) {
        let error = SettingsError::Missing { key: self.name(key), expected: expected.to_owned() };
        self.errors.push(error);
    }

    /// Whether the section has anything in it that was not taken yet.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The names left in the section, for sections whose keys are names themselves.
    pub fn names(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// Reads a section, which may be missing; `read` takes its keys.
    pub fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let table = match self.take(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.invalid(key, format!("found {}, expected a section `[{}]`", describe(&other), self.name(key)));
                Table::new()
            }
        };
        let mut inner = Self::of(self.name(key), table);
        let value = read(&mut inner);
        self.errors.extend(inner.end());
        value
    }

    /// Reads a list of sections (`[[key]]`), which may be missing.
    pub fn sections<T>(&mut self, key: &str, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let entries = match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(other) => {
                self.invalid(key, format!("found {}, expected sections `[[{}]]`", describe(&other), self.name(key)));
                Vec::new()
            }
        };
        let mut values = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let path = format!("{}[{index}]", self.name(key));
            if let Value::Table(table) = entry {
                let mut inner = Self::of(path, table);
                values.push(read(&mut inner));
                self.errors.extend(inner.end());
            } else {
                let problem = format!("found {}, expected a section", describe(&entry));
                self.errors.push(SettingsError::Invalid { key: path, problem });
            }
        }
        values
    }

    /// A text.
    pub fn string(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => {
                self.invalid(key, format!("found {}, expected a text in quotes", describe(&other)));
                None
            }
        }
    }

    /// A path.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.string(key).map(PathBuf::from)
    }

    /// A text that parses to `T`.
    pub fn parsed<T: FromStr>(&mut self, key: &str) -> Option<T>
    where
        T::Err: Display,
    {
        let text = self.string(key)?;
        text.parse().map_err(|error| self.invalid(key, error)).ok()
    }

    /// A list of texts that each parse to `T`; a single text is a list of one.
    pub fn list<T: FromStr>(&mut self, key: &str) -> Option<Vec<T>>
    where
        T::Err: Display,
    {
        let entries = match self.take(key)? {
            Value::Array(entries) => entries,
            single @ Value::String(_) => vec![single],
            other => {
                self.invalid(key, format!("found {}, expected a list of texts", describe(&other)));
                return None;
            }
        };
        let mut values = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let Some(text) = entry.as_str() else {
                self.invalid(key, format!("entry {index} is {}, expected a text", describe(entry)));
                continue;
            };
            match text.parse() {
                Ok(value) => values.push(value),
                Err(error) => self.invalid(key, format!("entry {index}: {error}")),
            }
        }
        Some(values)
    }

    /// Yes or no.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        match self.take(key)? {
            Value::Boolean(value) => Some(value),
            other => {
                self.invalid(key, format!("found {}, expected true or false", describe(&other)));
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub fn integer(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        match self.take(key)? {
            Value::Integer(value) => match u64::try_from(value) {
                Ok(value) if (least..=most).contains(&value) => Some(value),
                _ => {
                    self.invalid(key, format!("{value} is outside {least} to {most}"));
                    None
                }
            },
            other => {
                self.invalid(key, format!("found {}, expected a whole number", describe(&other)));
                None
            }
        }
    }

    /// A duration such as `90s`, `15m`, `2h` or `14d`, from `least` to `most`.
    pub fn duration(&mut self, key: &str, least: Duration, most: Duration) -> Option<Duration> {
        let text = self.string(key)?;
        match parse_duration(&text) {
            None => {
                self.invalid(
                    key,
                    format!(
                        "found `{text}`, expected a number with a unit, such as `500ms`, `90s`, `15m`, `2h` or `14d`"
                    ),
                );
                None
            }
            Some(value) if value < least => {
                self.invalid(key, format!("{text} is under the least of {}", format_duration(least)));
                None
            }
            Some(value) if value > most => {
                self.invalid(key, format!("{text} is over the most of {}", format_duration(most)));
                None
            }
            Some(value) => Some(value),
        }
    }

    /// Ends reading: every error, unknown keys included. Of a text that is not TOML nothing was read, so nothing but
    /// that is said.
    pub fn end(mut self) -> Vec<SettingsError> {
        if let Some(syntax) = self.errors.iter().find(|error| matches!(error, SettingsError::Syntax { .. })) {
            return vec![syntax.clone()];
        }
        let unknown: Vec<String> = self.table.keys().cloned().collect();
        for key in unknown {
            let nearest = nearest(&key, self.asked.iter().map(String::as_str)).map(|near| self.name(near));
            let key = self.name(&key);
            self.errors.push(SettingsError::UnknownKey { key, nearest });
        }
        self.errors
    }
}

/// The known name nearest to `found`, if any is near enough to be a slip of the fingers.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

/// Reads a duration such as `500ms`, `90s`, `15m`, `2h` or `14d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

/// Writes a duration in the largest unit that names it exactly.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms >= size && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{ms}ms")
}

fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text `{}`", text.chars().take(64).collect::<String>()),
        Value::Integer(number) => format!("the number {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Boolean(value) => format!("{value}"),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a section".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_comes_at_once_and_names_its_key() {
        let mut settings = Settings::parse(
            "listn = \"x\"\n[report]\ninterval = \"5s\"\njitter = 3\n[limits]\nconnections = \"many\"\n[extra]\n",
        );
        assert_eq!(settings.string("listen"), None);
        settings.section("report", |s| {
            s.duration("interval", Duration::from_mins(1), Duration::from_hours(1));
        });
        settings.section("limits", |s| {
            s.integer("connections", 1, 10);
        });
        let texts: Vec<String> = settings.end().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "invalid `report.interval`: 5s is under the least of 1m",
                "unknown key `report.jitter`",
                "invalid `limits.connections`: found the text `many`, expected a whole number",
                "unknown key `extra`",
                "unknown key `listn` (did you mean `listen`?)",
            ]
        );
    }

    #[test]
    fn a_text_that_is_not_toml_says_where() {
        let mut settings = Settings::parse("listen = [");
        settings.missing("certificate", "a path");
        let errors = settings.end();
        assert!(matches!(&errors[..], [SettingsError::Syntax { problem }] if problem.contains("line 1")), "{errors:?}");
    }

    #[test]
    fn durations_both_ways() {
        for text in ["500ms", "90s", "15m", "2h", "14d"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for bad in ["", "5", "m", "-1s", "99999999999999999999s", "5 weeks"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
