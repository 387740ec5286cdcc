//! The outer form of a certificate input: PEM (RFC 7468, lenient about what surrounds the blocks) or DER.

use super::{Bundle, InvalidCertificate, InvalidInput, from_der};
use crate::parse::{bytes, text};

/// Most certificates in one input.
const MAX_CERTIFICATES: usize = 256;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

pub(super) fn read(input: &[u8]) -> Result<Bundle, InvalidInput> {
    if input.iter().all(u8::is_ascii_whitespace) {
        return Err(InvalidInput::Empty);
    }
    // DER begins with a SEQUENCE; no text does, nor does a byte order mark.
    if input.first() == Some(&0x30) && input.get(1).is_some_and(|length| *length >= 0x80) {
        return read_der(input);
    }
    let text = text::decode(input).map_or_else(|_| String::new(), |decoded| decoded.text);
    if text.contains(BEGIN) { read_pem(&text) } else { read_der(input) }
}

fn read_der(der: &[u8]) -> Result<Bundle, InvalidInput> {
    match from_der(der) {
        Ok(parsed) => Ok(Bundle { certificates: vec![parsed], unreadable: Vec::new() }),
        Err(source) => match private_key_form(der) {
            Some(form) => Err(InvalidInput::PrivateKey { form: form.to_owned() }),
            None => Err(InvalidInput::NotACertificate { source }),
        },
    }
}

fn read_pem(text: &str) -> Result<Bundle, InvalidInput> {
    let mut bundle = Bundle::default();
    let mut others = Vec::new();
    let mut rest = text;
    let mut block = 0;
    while let Some(begin) = rest.find(BEGIN) {
        block += 1;
        rest = &rest[begin + BEGIN.len()..];
        let Some((label, body)) = rest.split_once(DASHES) else { break };
        if label.contains("PRIVATE KEY") {
            return Err(InvalidInput::PrivateKey { form: cut(label) });
        }
        // The end is looked for before the next beginning, so that a lost end does not swallow the next block.
        let end = format!("{DASHES}END {label}{DASHES}");
        let next = body.find(BEGIN).unwrap_or(body.len());
        let found = body[..next].find(&end);
        rest = &body[found.map_or(next, |at| at + end.len())..];
        if !matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") {
            others.push(cut(label));
            continue;
        }
        if bundle.certificates.len() + bundle.unreadable.len() == MAX_CERTIFICATES {
            return Err(InvalidInput::TooMany { limit: MAX_CERTIFICATES });
        }
        let parsed = match found {
            None => Err(InvalidCertificate::Unterminated { block, label: cut(label) }),
            Some(at) => bytes::from_base64(&body[..at])
                .ok_or(InvalidCertificate::Base64 { block })
                .and_then(|der| from_der(&der)),
        };
        match parsed {
            Ok(parsed) => bundle.certificates.push(parsed),
            Err(error) => bundle.unreadable.push(error),
        }
    }
    if bundle.certificates.is_empty() && bundle.unreadable.is_empty() {
        others.truncate(4);
        return Err(InvalidInput::OtherPem { found: others.join("`, `") });
    }
    Ok(bundle)
}

fn cut(label: &str) -> String {
    label.chars().take(64).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Knows DER private keys and PFX files by their head: a SEQUENCE that begins with a small version number, where a
/// certificate begins with another SEQUENCE.
fn private_key_form(der: &[u8]) -> Option<&'static str> {
    let body = match der {
        [0x30, 0x82, _, _, body @ ..] | [0x30, 0x81, _, body @ ..] | [0x30, 0x80, body @ ..] => body,
        [0x30, length, body @ ..] if *length < 0x80 => body,
        _ => return None,
    };
    match body {
        [0x02, 0x01, 3, ..] => Some("PKCS #12"),
        [0x02, 0x01, 0 | 1, 0x30, ..] => Some("PKCS #8"),
        [0x02, 0x01, 0 | 1, 0x02, ..] => Some("PKCS #1"),
        [0x02, 0x01, 1, 0x04, ..] => Some("SEC 1"),
        _ => None,
    }
}
