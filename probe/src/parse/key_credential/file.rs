//! Files of key credential values, as people and tools export them.
//!
//! One value per line, or LDIF (RFC 2849) of any objects, of which only `msDS-KeyCredentialLink` is read. Both may
//! stand in one file; `#` begins a comment. A list as PowerShell's `Format-List` prints it is read too, wrapped lines and
//! several values in braces; the `...` with which it leaves values out is a value that cannot be decoded.

use muster_evidence::Timestamp;

use super::{InvalidKeyCredential, KeyCredential, decode, decode_text};
use crate::parse::bytes;

/// The attribute, in the lower case in which names are compared.
const ATTRIBUTE: &str = "msds-keycredentiallink";
/// Most values in one file.
const MAX_VALUES: usize = 4096;

/// One value of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileValue {
    /// The line it begins at, from 1.
    pub line: usize,
    /// What it decodes to.
    pub decoded: Result<KeyCredential, InvalidKeyCredential>,
}

/// Why a file holds no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFile {
    /// Nothing but blanks and comments.
    #[error("file holds no value of `msDS-KeyCredentialLink` (expected one per line, or LDIF)")]
    Empty,
    /// LDIF without the attribute, which reads like a user who has no key but may be an export that left it out.
    #[error("file is LDIF without `msDS-KeyCredentialLink` (was the attribute exported?)")]
    NoValue,
    /// More than one file may hold.
    #[error("file holds more than {MAX_VALUES} values")]
    TooMany,
}

/// Decodes every value of a file. `now` bounds which times are believed.
pub fn decode_file(text: &str, now: Timestamp) -> Result<Vec<FileValue>, InvalidFile> {
    if text.lines().any(|line| list_head(line).is_some()) {
        return decode_list(text, now);
    }
    let mut values = Vec::new();
    let mut is_ldif = false;
    for (line, content) in logical_lines(text) {
        let decoded = match attribute(&content) {
            None => decode_text(&content, now),
            Some((name, _)) if !name.eq_ignore_ascii_case(ATTRIBUTE) => {
                is_ldif = true;
                continue;
            }
            Some((_, AttributeValue::Plain(value))) => decode_text(value, now),
            Some((_, AttributeValue::Base64(value))) => decode_base64(value, now),
        };
        if values.len() == MAX_VALUES {
            return Err(InvalidFile::TooMany);
        }
        values.push(FileValue { line, decoded });
    }
    match (values.is_empty(), is_ldif) {
        (false, _) => Ok(values),
        (true, true) => Err(InvalidFile::NoValue),
        (true, false) => Err(InvalidFile::Empty),
    }
}

/// Decodes the values that `Format-List` prints of any objects.
fn decode_list(text: &str, now: Timestamp) -> Result<Vec<FileValue>, InvalidFile> {
    let mut lists: Vec<(usize, usize, String)> = Vec::new();
    let mut open = false;
    for (index, raw) in text.lines().enumerate() {
        if let Some((column, value)) = list_head(raw) {
            lists.push((index + 1, column, value.to_owned()));
            open = true;
        } else if let Some((_, column, joined)) = lists.last_mut().filter(|_| open) {
            // A wrapped line stands under the beginning of its value.
            let indented = raw.len() > *column && raw.bytes().take(*column).all(|byte| byte == b' ');
            match raw.get(*column..).filter(|_| indented) {
                Some(more) => joined.push_str(more),
                None => open = false,
            }
        }
    }
    let mut values = Vec::new();
    for (line, _, list) in lists {
        let list = list.trim().trim_start_matches('{').trim_end_matches('}').trim();
        let mut rest = list;
        while !rest.is_empty() {
            // A DN may hold commas; a value begins with its own mark.
            let end = [", B:", ", b:", ", ..."].iter().filter_map(|mark| rest.find(mark)).min();
            let (value, after) = end.map_or((rest, ""), |at| (&rest[..at], &rest[at + 2..]));
            if values.len() == MAX_VALUES {
                return Err(InvalidFile::TooMany);
            }
            values.push(FileValue { line, decoded: decode_text(value, now) });
            rest = after;
        }
    }
    if values.is_empty() { Err(InvalidFile::NoValue) } else { Ok(values) }
}

/// The attribute as `Format-List` begins it: the column at which its value begins, and the value.
fn list_head(line: &str) -> Option<(usize, &str)> {
    let (name, value) = line.split_once(" : ")?;
    let begins = name.len() + " : ".len();
    name.trim().eq_ignore_ascii_case(ATTRIBUTE).then_some((begins, value))
}

/// Joins folded lines and leaves out blanks, comments and LDIF's separators.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut folding = false;
    for (index, raw) in text.lines().enumerate() {
        if let Some(folded) = raw.strip_prefix(' ') {
            // Only attributes fold; elsewhere a leading blank is indentation.
            if folding && let Some((_, last)) = lines.last_mut() {
                last.push_str(folded);
                continue;
            }
        }
        folding = false;
        let line = raw.trim();
        if line.is_empty() || line == "-" || line.starts_with('#') {
            continue;
        }
        // A folded line may end in a blank that belongs to the value.
        folding = attribute(raw).is_some();
        lines.push((index + 1, if folding { raw.to_owned() } else { line.to_owned() }));
    }
    lines
}

enum AttributeValue<'a> {
    Plain(&'a str),
    Base64(&'a str),
}

/// Splits an LDIF line. `B:` is the beginning of a value, not an attribute.
fn attribute(line: &str) -> Option<(&str, AttributeValue<'_>)> {
    let (name, value) = line.split_once(':')?;
    if name.eq_ignore_ascii_case("b") || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    // Options such as `;range=0-1499` follow the name.
    let name = name.split(';').next().unwrap_or(name);
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return None;
    }
    Some(match value.strip_prefix(':') {
        Some(base64) => (name, AttributeValue::Base64(base64.trim())),
        None => (name, AttributeValue::Plain(value.trim())),
    })
}

/// Base64 in LDIF holds the text form where the DN is not ASCII, and the bare blob in exports of some tools.
fn decode_base64(value: &str, now: Timestamp) -> Result<KeyCredential, InvalidKeyCredential> {
    let not_a_value = || InvalidKeyCredential::NotAValue { found: value.chars().take(40).collect() };
    let decoded = bytes::from_base64(value).ok_or_else(not_a_value)?;
    match std::str::from_utf8(&decoded) {
        Ok(text) if text.starts_with("B:") => decode_text(text, now),
        _ => decode(&decoded, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_lines_are_joined_and_the_rest_is_left_out() {
        let text = "# comment\n\ndn: CN=Ada\n Example\r\nmsDS-KeyCredentialLink: B:2:00:CN=Ada \n Example\n-\n  B:2:00:x\n00\n";
        let lines = logical_lines(text);
        let expected: [(usize, &str); 4] = [
            (3, "dn: CN=AdaExample"),
            (5, "msDS-KeyCredentialLink: B:2:00:CN=Ada Example"),
            (8, "B:2:00:x"),
            (9, "00"),
        ];
        assert_eq!(lines, expected.map(|(line, content)| (line, content.to_owned())));
    }

    #[test]
    fn attributes_are_told_from_values() {
        for (line, name) in [
            ("msDS-KeyCredentialLink: B:2:00:x", Some("msDS-KeyCredentialLink")),
            ("msDS-KeyCredentialLink;range=0-1499:: Qg==", Some("msDS-KeyCredentialLink")),
            ("dn:CN=Ada", Some("dn")),
            ("B:2:00:CN=Ada", None),
            ("b:2:00:CN=Ada", None),
            ("0002: x", None),
            ("not an attribute: x", None),
            ("00020000", None),
        ] {
            assert_eq!(attribute(line).map(|(name, _)| name), name, "{line}");
        }
    }

    #[test]
    fn a_list_of_powershell_is_unwrapped() {
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        let text = "\r
DistinguishedName      : CN=Ada,DC=corp,DC=example\r
msDS-KeyCredentialLink : {B:2:00:CN=Ada, Ex\r
                         ample,DC=corp, B:4:00\r
                         0:x, ...}\r
Name                   : Ada\r
";
        let values = decode_file(text, now).unwrap();
        let told: Vec<(usize, String)> =
            values.iter().map(|value| (value.line, value.decoded.as_ref().unwrap_err().to_string())).collect();
        assert_eq!(
            told,
            [
                (3, "blob has 1 bytes, too few for its version".to_owned()),
                (3, "value claims 4 hexadecimal characters, found 3".to_owned()),
                (3, "value is neither `B:<count>:<hex>:<DN>` nor hexadecimal: found `...`".to_owned()),
            ]
        );
        assert_eq!(decode_file("msDS-KeyCredentialLink : {}\n", now).unwrap_err(), InvalidFile::NoValue);
    }

    #[test]
    fn a_file_without_values_says_so() {
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        assert_eq!(decode_file("# nothing\n\n", now).unwrap_err(), InvalidFile::Empty);
        assert_eq!(decode_file("dn: CN=Ada\ncn: Ada\n", now).unwrap_err(), InvalidFile::NoValue);
        assert_eq!(decode_file(&"0\n".repeat(MAX_VALUES + 1), now).unwrap_err(), InvalidFile::TooMany);
    }
}
