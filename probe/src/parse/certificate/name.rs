//! Distinguished names in the string form of RFC 4514, and the strings of X.509 that are not UTF-8.

use std::borrow::Cow;
use std::fmt::Write as _;

use muster_proto::link::der::dotted;
use x509_parser::asn1_rs::{Any, Oid, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::parse::bytes::to_hex;

/// Short names: those of RFC 4514 section 3, and two that people know from Windows; by the content of their object
/// identifiers.
const SHORT_NAMES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 1], "UID"),
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1], "E"),
    (&[0x55, 4, 5], "SERIALNUMBER"),
];

/// Writes a name as RFC 4514 does: last component first, special characters escaped.
pub(in crate::parse) fn rfc4514(name: &X509Name<'_>) -> String {
    let mut text = String::with_capacity(2 * name.as_raw().len());
    let components: Vec<_> = name.iter_rdn().collect();
    for component in components.into_iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        for (i, attribute) in component.iter().enumerate() {
            if i > 0 {
                text.push('+');
            }
            push_attribute(&mut text, attribute.attr_type(), attribute.attr_value());
        }
    }
    text
}

/// The components of a name, first component first, in a form in which equal names are equal (RFC 5280 section 7.1):
/// without regard to case, to the type of string, and to how many blanks stand where one would do.
pub(in crate::parse) fn canonical(name: &X509Name<'_>) -> Vec<String> {
    name.iter_rdn()
        .map(|component| {
            let mut attributes: Vec<String> = component.iter().map(canonical_attribute).collect();
            attributes.sort_unstable();
            attributes.join("+")
        })
        .collect()
}

fn canonical_attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let value = attribute.attr_value();
    let mut text = dotted(attribute.attr_type().as_bytes());
    text.push('=');
    match tag_of(value).and_then(|tag| string(tag, value.data)) {
        Some(value) => {
            for (i, word) in value.split_whitespace().enumerate() {
                if i > 0 {
                    text.push(' ');
                }
                text.push_str(&word.to_lowercase());
            }
        }
        None => text.push_str(&to_hex(&value.to_der_vec().unwrap_or_default())),
    }
    text
}

fn push_attribute(text: &mut String, oid: &Oid<'_>, value: &Any<'_>) {
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid.as_bytes()).map(|(_, short)| *short);
    match (short, tag_of(value).and_then(|tag| string(tag, value.data))) {
        (Some(short), Some(value)) => {
            text.push_str(short);
            text.push('=');
            push_escaped(text, &value);
        }
        // RFC 4514 section 2.4: any other type is written as `#` and the BER encoding of its value.
        (short, _) => {
            let kind = short.map_or_else(|| Cow::Owned(dotted(oid.as_bytes())), Cow::Borrowed);
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{kind}=#{}", to_hex(&value.to_der_vec().unwrap_or_default()));
        }
    }
}

fn tag_of(value: &Any<'_>) -> Option<u8> {
    u8::try_from(value.tag().0).ok()
}

fn push_escaped(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (i, c) in value.char_indices() {
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

/// The text of any of the string types by its universal tag, `None` for another type or a broken encoding.
pub(super) fn string(tag: u8, data: &[u8]) -> Option<Cow<'_, str>> {
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString.
        12 | 18 | 19 | 22 | 26 => std::str::from_utf8(data).ok().map(Cow::Borrowed),
        // TeletexString: in practice Latin-1 (ISO 8859-1), whatever T.61 says.
        20 => Some(data.iter().copied().map(char::from).collect()),
        // UniversalString.
        28 => {
            if !data.len().is_multiple_of(4) {
                return None;
            }
            data.chunks_exact(4).map(|c| char::from_u32(u32::from_be_bytes([c[0], c[1], c[2], c[3]]))).collect()
        }
        30 => bmp_string(data).map(Cow::Owned),
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
