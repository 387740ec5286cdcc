//! Bounds on everything that can be said, and the bounded text that keeps them.
//!
//! A bound lives here when the probe must cut to it before sending and the collector must refuse what exceeds it:
//! both ends read the same constant.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The bounds, each with its unit and its reason.
pub mod limits {
    /// Longest free text in evidence, in bytes: longer than any name, code or message that a rule reads.
    pub const TEXT_BYTES: usize = 256;
    /// Most observations in one report: 80 for a host, and 10 for each of 24 users.
    pub const OBSERVATIONS_PER_REPORT: usize = 320;
    /// Most users a report may speak of: shared machines beyond this are listed by their latest sign-ins.
    pub const USERS_PER_HOST: usize = 24;
    /// Largest encoded body of one observation, in bytes. Bodies are stored split into records of 4 KiB.
    pub const OBSERVATION_BODY_BYTES: usize = 12 * 1024;
    /// Most certificates listed from one store, in enumeration order.
    pub const CERTIFICATES_PER_STORE: usize = 32;
    /// Most entries in a list inside a certificate (subject alternative names, key usages, distribution points).
    pub const CERTIFICATE_LIST: usize = 24;
    /// Most values of a policy channel that are told beside the known ones, of each sort.
    pub const POLICY_VALUES: usize = 16;
    /// Most tests of a device registration.
    pub const REGISTRATION_TESTS: usize = 16;
    /// Most certificates told of a store of trust: with 20 bytes each they stay within one stored record.
    pub const TRUSTED_CERTIFICATES: usize = 160;
    /// Most distribution points of revocation lists.
    pub const DISTRIBUTION_POINTS: usize = 16;
    /// Most logs of events in one summary.
    pub const EVENT_LOGS: usize = 8;
    /// Most kinds of events in one summary.
    pub const EVENT_KINDS: usize = 32;
    /// Most inbound neighbours of a domain controller.
    pub const REPLICATION_PARTNERS: usize = 32;
    /// Most keys told per user; a user with more is a finding by itself.
    pub const KEYS_PER_USER: usize = 24;
    /// Most points in one append to a series.
    pub const SERIES_POINTS_PER_APPEND: usize = 512;
    /// Most series in one report.
    pub const SERIES_PER_REPORT: usize = 16;
    /// Points kept per series and host at the collector; older ones fall out of the ring.
    pub const SERIES_RING_POINTS: usize = 1440;
    /// Most inventory items in one report.
    pub const INVENTORY_ITEMS_PER_REPORT: usize = 500;
    /// Most parts of inventories in one report.
    pub const INVENTORY_PARTS_PER_REPORT: usize = 16;
    /// Largest report message, in bytes.
    pub const REPORT_BYTES: usize = 1024 * 1024;
}

/// A text of at most [`limits::TEXT_BYTES`] bytes without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(Box<str>);

/// Says that a text exceeds the bound or holds control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextTooLong {
    /// The text is longer than allowed.
    #[error("text has {found} bytes (at most {} are allowed)", limits::TEXT_BYTES)]
    Bytes {
        /// Length found, in bytes.
        found: usize,
    },
    /// The text holds a control character.
    #[error("text holds the control character U+{found:04X}")]
    Control {
        /// The character's code point.
        found: u32,
    },
}

impl Text {
    /// Takes a text that must already be within the bounds: the receiving end.
    pub fn exact(text: &str) -> Result<Self, TextTooLong> {
        if text.len() > limits::TEXT_BYTES {
            return Err(TextTooLong::Bytes { found: text.len() });
        }
        if let Some(c) = text.chars().find(|c| c.is_control()) {
            return Err(TextTooLong::Control { found: u32::from(c) });
        }
        Ok(Self(text.into()))
    }

    /// Takes any text: control characters become blanks and what exceeds the bound is cut, marked by `…`.
    pub fn cut(text: &str) -> Self {
        let clean: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if clean.len() <= limits::TEXT_BYTES {
            return Self(clean.into());
        }
        let mut end = limits::TEXT_BYTES - '…'.len_utf8();
        while !clean.is_char_boundary(end) {
            end -= 1;
        }
        Self(format!("{}…", &clean[..end]).into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.into()
    }
}

impl TryFrom<String> for Text {
    type Error = TextTooLong;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::exact(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_keeps_characters_whole() {
        let text = Text::cut(&"ä".repeat(200));
        assert!(text.as_str().len() <= limits::TEXT_BYTES);
        assert!(text.as_str().ends_with("ä…"));
        assert_eq!(Text::cut(" a\tb ").as_str(), "a b");
    }

    #[test]
    fn exact_names_what_it_refuses() {
        assert_eq!(
            Text::exact(&"x".repeat(257)).unwrap_err().to_string(),
            "text has 257 bytes (at most 256 are allowed)"
        );
        assert_eq!(Text::exact("a\u{1b}b").unwrap_err().to_string(), "text holds the control character U+001B");
    }
}
