//! Reads a TOML table key by key and collects everything that is wrong with it.
//!
//! A derived deserialiser stops at the first mistake; whoever wrote a manifest wants to hear of all of them at once.

use std::cell::RefCell;
use std::fmt::Display;
use std::str::FromStr;

use toml::{Table, Value};

use super::CaptureError;

/// A table under reading. Every key that exists must be asked for before [`Reader::finish`], which answers the others
/// with the nearest that was.
pub(super) struct Reader<'a> {
    table: &'a Table,
    /// The table's own name with a dot, empty at the top.
    prefix: String,
    asked: Vec<&'static str>,
    problems: &'a RefCell<Vec<CaptureError>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a Table, problems: &'a RefCell<Vec<CaptureError>>) -> Self {
        Self { table, prefix: String::new(), asked: Vec::new(), problems }
    }

    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// How many problems there are so far, here and elsewhere in the document.
    pub(super) fn problems(&self) -> usize {
        self.problems.borrow().len()
    }

    pub(super) fn invalid(&self, key: &str, problem: impl Into<String>) {
        let key = format!("{}{key}", self.prefix);
        self.problems.borrow_mut().push(CaptureError::InvalidKey { key, problem: problem.into() });
    }

    pub(super) fn missing(&self, key: &str, why: &'static str) {
        let key = format!("{}{key}", self.prefix);
        self.problems.borrow_mut().push(CaptureError::MissingKey { key, why });
    }

    /// A text, or a time written without quotes.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Datetime(time) => Some(time.to_string()),
            other => {
                self.invalid(key, format!("expected a text, found {}", other.type_str()));
                None
            }
        }
    }

    /// A text that must be a `T`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        text.parse().map_err(|error: T::Err| self.invalid(key, error.to_string())).ok()
    }

    /// A text that must be one of some words.
    pub(super) fn one_of<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.invalid(key, not_one_of(&text, words.iter().map(|(word, _)| *word)));
        }
        found
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.invalid(key, format!("expected `true` or `false`, found {}", value.type_str()));
        }
        flag
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &'static str) -> Option<i32> {
        let value = self.value(key)?;
        let number = value.as_integer().and_then(|number| i32::try_from(number).ok());
        if number.is_none() {
            self.invalid(key, format!("expected a whole number, found {}", value.type_str()));
        }
        number
    }

    /// A list of texts; empty without the key.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let texts = value
            .as_array()
            .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        texts.unwrap_or_else(|| {
            self.invalid(key, "expected a list of texts");
            Vec::new()
        })
    }

    /// A table within this one.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Reader<'a>> {
        match self.value(key)? {
            Value::Table(table) => Some(self.child(table, format!("{}{key}.", self.prefix))),
            other => {
                self.invalid(key, format!("expected a table `[{key}]`, found {}", other.type_str()));
                None
            }
        }
    }

    /// A list of tables; empty without the key.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Reader<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let tables = value.as_array().and_then(|items| items.iter().map(Value::as_table).collect::<Option<Vec<_>>>());
        let Some(tables) = tables else {
            self.invalid(key, format!("expected tables `[[{key}]]`, found {}", value.type_str()));
            return Vec::new();
        };
        tables
            .into_iter()
            .enumerate()
            .map(|(index, table)| self.child(table, format!("{}{key}[{index}].", self.prefix)))
            .collect()
    }

    /// Answers every key that was not asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys().filter(|key| !self.asked.contains(&key.as_str())) {
            let nearest = nearest(key, self.asked.iter().copied()).map(str::to_owned);
            let key = format!("{}{key}", self.prefix);
            self.problems.borrow_mut().push(CaptureError::UnknownKey { key, nearest });
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn child(&self, table: &'a Table, prefix: String) -> Reader<'a> {
        Reader { table, prefix, asked: Vec::new(), problems: self.problems }
    }
}

/// Says that a word is none of the known ones.
pub(super) fn not_one_of<'w>(found: &str, words: impl Iterator<Item = &'w str> + Clone) -> String {
    let found: String = found.chars().take(64).collect();
    if let Some(nearest) = nearest(&found, words.clone()) {
        return format!("unknown word `{found}` (did you mean `{nearest}`?)");
    }
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    format!("unknown word `{found}` (expected one of {})", words.join(", "))
}

/// The word that is likely meant: at most a third of its letters apart.
fn nearest<'w>(found: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    words
        .map(|word| (strsim::damerau_levenshtein(found, word), word))
        .filter(|(distance, word)| *distance <= word.len().div_ceil(3))
        .min()
        .map(|(_, word)| word)
}
