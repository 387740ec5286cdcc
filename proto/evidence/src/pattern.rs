//! Patterns over host names, as configuration and policy use them to speak of many machines at once.

use std::fmt;
use std::str::FromStr;

use crate::HostName;

/// A pattern over DNS names: a name in which each `*` stands for any characters, dots included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPattern(Box<str>);

/// Says why a text is no pattern of host names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid host pattern `{found}`: expected a DNS name in which `*` may stand for any characters")]
pub struct InvalidHostPattern {
    /// The text found.
    pub found: String,
}

impl HostPattern {
    /// Whether a name matches.
    pub fn matches(&self, name: &HostName) -> bool {
        let (mut rest, mut first) = (name.as_str(), true);
        let mut parts = self.0.split('*').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let found = match (first, last) {
                (true, true) => return rest == part,
                (true, false) => rest.strip_prefix(part),
                (false, true) => return rest.ends_with(part),
                (false, false) => rest.find(part).map(|at| &rest[at + part.len()..]),
            };
            match found {
                Some(left) => rest = left,
                None => return false,
            }
            first = false;
        }
        false
    }

    /// The pattern as it was written, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pattern = text.trim().to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*');
        if pattern.is_empty() || pattern.len() > 253 || !pattern.bytes().all(allowed) {
            return Err(InvalidHostPattern { found: text.chars().take(64).collect() });
        }
        Ok(Self(pattern.into()))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, matches) in [
            ("dc01.corp.example", "dc01.corp.example", true),
            ("dc01.corp.example", "dc01.corp.example.org", false),
            ("*.corp.example", "dc01.corp.example", true),
            ("*.corp.example", "corp.example", false),
            ("DC*.corp.example", "dc01.corp.example", true),
            ("dc*.corp.example", "pc01.corp.example", false),
            ("*dc*", "a.dc.b", true),
            ("a*a", "a", false),
            ("*", "anything", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
        ] {
            let found = pattern.parse::<HostPattern>().unwrap().matches(&name.parse().unwrap());
            assert_eq!(found, matches, "{pattern} on {name}");
        }
        assert!("a b".parse::<HostPattern>().is_err());
        assert!("".parse::<HostPattern>().is_err());
    }
}
