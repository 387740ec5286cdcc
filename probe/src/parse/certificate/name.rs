//! Distinguished names in the string form of RFC 4514, and the strings of X.509 that are not UTF-8.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Any, Oid, Tag, ToDer};
use x509_parser::x509::X509Name;

use super::fields::dotted;
use crate::parse::bytes::to_hex;

/// Short names: those of RFC 4514 section 3, and two that people know from Windows.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "E"),
    ("2.5.4.5", "SERIALNUMBER"),
];

/// Writes a name as RFC 4514 does: last component first, special characters escaped.
pub(super) fn rfc4514(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let components: Vec<_> = name.iter_rdn().collect();
    for (i, component) in components.iter().rev().enumerate() {
        for (j, attribute) in component.iter().enumerate() {
            if j > 0 {
                text.push('+');
            } else if i > 0 {
                text.push(',');
            }
            push_attribute(&mut text, attribute.attr_type(), attribute.attr_value());
        }
    }
    text
}

/// Whether two names are the same: the same bytes, or the same text without regard to case and string type
/// (RFC 5280 section 7.1).
pub(super) fn same(a: &X509Name<'_>, b: &X509Name<'_>) -> bool {
    a.as_raw() == b.as_raw() || rfc4514(a).to_lowercase() == rfc4514(b).to_lowercase()
}

fn push_attribute(text: &mut String, oid: &Oid<'_>, value: &Any<'_>) {
    let oid = dotted(oid);
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid).map(|(_, short)| *short);
    match (short, string(value)) {
        (Some(short), Some(value)) => {
            text.push_str(short);
            text.push('=');
            push_escaped(text, &value);
        }
        // RFC 4514 section 2.4: any other type is written as `#` and the BER encoding of its value.
        (short, _) => {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{}=#{}", short.unwrap_or(&oid), to_hex(&value.to_der_vec().unwrap_or_default()));
        }
    }
}

fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (i, c) in value.chars().enumerate() {
        let special = matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (i == 0 && matches!(c, ' ' | '#'))
            || (i == last && c == ' ');
        if c == '\0' {
            text.push_str("\\00");
            continue;
        }
        if special {
            text.push('\\');
        }
        text.push(c);
    }
}

/// The text of any of the string types, `None` for another type or a broken encoding.
pub(super) fn string(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        // In practice Latin-1 (ISO 8859-1), whatever T.61 says.
        Tag::T61String => Some(value.data.iter().copied().map(char::from).collect()),
        Tag::BmpString => bmp_string(value.data),
        Tag::UniversalString => {
            if !value.data.len().is_multiple_of(4) {
                return None;
            }
            value.data.chunks_exact(4).map(|c| char::from_u32(u32::from_be_bytes([c[0], c[1], c[2], c[3]]))).collect()
        }
        _ => None,
    }
}

fn bmp_string(bytes: &[u8]) -> Option<String> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}
