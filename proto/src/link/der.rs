//! Reading DER where it lies: as much of X.690 as revocation lists and the extensions of certificates need, without
//! copying.
//!
//! A list of fifty megabytes has more than a million entries. Readers that build a structure for each would take
//! several times the list's size; this one takes nothing.

use muster_evidence::Timestamp;
use time::{Date, Month, PrimitiveDateTime, Time};

/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OID: u8 = 0x06;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0A;
/// UTCTime.
pub const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub const GENERALIZED_TIME: u8 = 0x18;
/// SEQUENCE and SEQUENCE OF.
pub const SEQUENCE: u8 = 0x30;

/// Longest object identifier that is written in dotted form, in bytes.
const OID_BYTES: usize = 64;

/// A context-specific tag of a constructed element.
pub const fn constructed(number: u8) -> u8 {
    0xA0 | number
}

/// A context-specific tag of a primitive element.
pub const fn primitive(number: u8) -> u8 {
    0x80 | number
}

/// Says why bytes are no DER of the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDer {
    /// The bytes end within an element.
    #[error("the bytes end too early")]
    Truncated,
    /// A length that DER does not allow, or that is beyond four gigabytes.
    #[error("a length is not encoded as DER requires")]
    Length,
    /// Another element than expected.
    #[error("found an element with the tag {found:#04x} (expected {expected:#04x})")]
    Tag {
        /// The tag found.
        found: u8,
        /// The tag expected.
        expected: u8,
    },
    /// Bytes follow the last element.
    #[error("bytes follow the last element")]
    Trailing,
    /// A value that is none of its type.
    #[error("a value of the type {kind} is not encoded as DER requires")]
    Value {
        /// The type.
        kind: &'static str,
    },
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// Its tag.
    pub tag: u8,
    /// What is inside.
    pub content: &'a [u8],
    /// With tag and length.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// A reader of what is inside.
    pub const fn inside(&self) -> Reader<'a> {
        Reader(self.content)
    }
}

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, whatever it is.
    pub fn any(&mut self) -> Result<Element<'a>, InvalidDer> {
        let (&tag, rest) = self.0.split_first().ok_or(InvalidDer::Truncated)?;
        // Tags of several bytes occur in nothing that is read here.
        if tag & 0x1F == 0x1F {
            return Err(InvalidDer::Tag { found: tag, expected: SEQUENCE });
        }
        let (&first, mut rest) = rest.split_first().ok_or(InvalidDer::Truncated)?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let bytes = usize::from(first & 0x7F);
            if bytes == 0 || bytes > 4 {
                return Err(InvalidDer::Length);
            }
            let (digits, after) = rest.split_at_checked(bytes).ok_or(InvalidDer::Truncated)?;
            if digits[0] == 0 {
                return Err(InvalidDer::Length);
            }
            length = digits.iter().fold(0, |length, &digit| (length << 8) | usize::from(digit));
            if length < 0x80 {
                return Err(InvalidDer::Length);
            }
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length).ok_or(InvalidDer::Truncated)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Ok(Element { tag, content, whole })
    }

    /// The next element, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Element<'a>, InvalidDer> {
        let element = self.any()?;
        if element.tag == tag { Ok(element) } else { Err(InvalidDer::Tag { found: element.tag, expected: tag }) }
    }

    /// The next element, if there is one with this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, InvalidDer> {
        if self.0.first() == Some(&tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Whether the next element has one of these tags.
    pub fn next_is(&self, tags: &[u8]) -> bool {
        self.0.first().is_some_and(|tag| tags.contains(tag))
    }

    /// Nothing may be left.
    pub const fn end(&self) -> Result<(), InvalidDer> {
        if self.0.is_empty() { Ok(()) } else { Err(InvalidDer::Trailing) }
    }
}

/// An object identifier in dotted form (X.690 section 8.19); a broken or absurdly long one in hexadecimal.
///
/// Written here because the usual way, with numbers of any size, costs more than the rest of a certificate.
pub fn dotted(oid: &[u8]) -> String {
    let broken = || {
        let mut text = String::from("#");
        oid.iter().take(OID_BYTES).for_each(|byte| push(&mut text, format_args!("{byte:02x}")));
        text
    };
    // The last byte of an arc has its upper bit clear.
    if oid.len() > OID_BYTES || oid.last().is_none_or(|last| last & 0x80 != 0) {
        return broken();
    }
    let mut text = String::with_capacity(4 * oid.len());
    let mut arc: u128 = 0;
    for byte in oid {
        if arc >> 121 != 0 {
            return broken();
        }
        arc = arc << 7 | u128::from(byte & 0x7F);
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            // The first two arcs share a number, and the first is at most 2.
            let first = (arc / 40).min(2);
            push(&mut text, format_args!("{first}.{}", arc - 40 * first));
        } else {
            push(&mut text, format_args!(".{arc}"));
        }
        arc = 0;
    }
    text
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = std::fmt::Write::write_fmt(text, more);
}

/// A truth value.
pub const fn boolean(element: &Element<'_>) -> Result<bool, InvalidDer> {
    match element.content {
        [0x00] => Ok(false),
        [0xFF] => Ok(true),
        _ => Err(InvalidDer::Value { kind: "BOOLEAN" }),
    }
}

/// The bytes of a bit string that has no unused bits.
pub const fn bits<'a>(element: &Element<'a>) -> Result<&'a [u8], InvalidDer> {
    match element.content {
        [0, bytes @ ..] => Ok(bytes),
        _ => Err(InvalidDer::Value { kind: "BIT STRING" }),
    }
}

/// A time in UTC, to the second, in either of the two forms (RFC 5280 section 4.1.2.5).
pub fn time(element: &Element<'_>) -> Result<Timestamp, InvalidDer> {
    let kind = "Time";
    let invalid = || InvalidDer::Value { kind };
    let text = element.content;
    let pair = |at: usize| -> Option<u8> {
        let digits = text.get(at..at + 2)?;
        digits.iter().all(u8::is_ascii_digit).then(|| (digits[0] - b'0') * 10 + (digits[1] - b'0'))
    };
    let (year, rest) = match element.tag {
        UTC_TIME if text.len() == 13 => {
            let short = i32::from(pair(0).ok_or_else(invalid)?);
            (if short >= 50 { 1900 + short } else { 2000 + short }, 2)
        }
        GENERALIZED_TIME if text.len() == 15 => {
            let (century, short) = (pair(0).ok_or_else(invalid)?, pair(2).ok_or_else(invalid)?);
            (i32::from(century) * 100 + i32::from(short), 4)
        }
        _ => return Err(invalid()),
    };
    if text.last() != Some(&b'Z') {
        return Err(invalid());
    }
    let part = |index: usize| pair(rest + 2 * index).ok_or_else(invalid);
    let month = Month::try_from(part(0)?).map_err(|_| invalid())?;
    let date = Date::from_calendar_date(year, month, part(1)?).map_err(|_| invalid())?;
    let time = Time::from_hms(part(2)?, part(3)?, part(4)?).map_err(|_| invalid())?;
    let seconds = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
    Timestamp::from_unix_seconds(seconds).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_strictly() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 0x80]].concat();
        for (bytes, expected) in [
            (&[0x04, 0x01, 0x07][..], Ok(1)),
            (&[0x04, 0x00], Ok(0)),
            (&long, Ok(0x80)),
            (&[], Err(InvalidDer::Truncated)),
            (&[0x04], Err(InvalidDer::Truncated)),
            (&[0x04, 0x02, 0x00], Err(InvalidDer::Truncated)),
            (&[0x04, 0x80, 0x00, 0x00], Err(InvalidDer::Length)), // of indefinite length
            (&[0x04, 0x81, 0x01, 0x00], Err(InvalidDer::Length)), // longer than need be
            (&[0x04, 0x82, 0x00, 0x80], Err(InvalidDer::Length)),
            (&[0x04, 0x85, 0x01, 0x00, 0x00, 0x00, 0x00], Err(InvalidDer::Length)),
            (&[0x04, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], Err(InvalidDer::Truncated)),
            (&[0x1F, 0x01, 0x00], Err(InvalidDer::Tag { found: 0x1F, expected: SEQUENCE })),
        ] {
            assert_eq!(Reader::new(bytes).any().map(|element| element.content.len()), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn times_are_read_in_both_forms_and_no_other() {
        let read =
            |tag, text: &str| time(&Element { tag, content: text.as_bytes(), whole: &[] }).map(|t| t.to_string());
        assert_eq!(read(UTC_TIME, "491231235959Z").unwrap(), "2049-12-31T23:59:59Z");
        assert_eq!(read(UTC_TIME, "500101000000Z").unwrap(), "1950-01-01T00:00:00Z");
        assert_eq!(read(GENERALIZED_TIME, "20500101000000Z").unwrap(), "2050-01-01T00:00:00Z");
        for (tag, bad) in [
            (UTC_TIME, "991301000000Z"),
            (UTC_TIME, "990230000000Z"),
            (UTC_TIME, "9901010000Z"),
            (UTC_TIME, "990101000000+"),
            (UTC_TIME, "99010100000aZ"),
            (GENERALIZED_TIME, "20500101000000.5Z"),
            (INTEGER, "20500101000000Z"),
        ] {
            assert!(read(tag, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn object_identifiers_in_dotted_form() {
        let long = vec![0x81; 65];
        for (bytes, expected) in [
            (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B][..], "1.2.840.113549.1.1.11"),
            (&[0x55, 0x1D, 0x25], "2.5.29.37"),
            (&[0x88, 0x37, 0x03], "2.999.3"),
            (&[0x00], "0.0"),
            (&[0x27], "0.39"),
            // A broken one, an empty one, one of absurd length and one with an absurd arc.
            (&[0x2A, 0x86], "#2a86"),
            (&[], "#"),
            (&long, &format!("#{}", "81".repeat(64))),
            (&[0xFF; 20][..], &format!("#{}", "ff".repeat(20))),
        ] {
            assert_eq!(dotted(bytes), expected);
        }
        let mut absurd = vec![0x2A];
        absurd.extend([0xFF; 20]);
        absurd.push(0x7F);
        assert!(dotted(&absurd).starts_with("#2aff"));
    }
}
