//! Values of `msDS-KeyCredentialLink`, decoded.
//!
//! A value is a KEYCREDENTIALLINK_BLOB (MS-ADTS section 2.2.20) bound to the object it belongs to. A value that
//! cannot be decoded is an error with its reason, never left out: undecodable is not absent. What decodes but looks
//! odd (a KeyID that does not fit its key, a hash that does not match) is kept with a remark, since such values are
//! just the ones a person must see.

use muster_evidence::{DirectoryKey, Timestamp};
use serde::Serialize;

mod blob;
mod file;
mod material;
mod timestamp;

pub use blob::decode;
pub use file::{FileValue, InvalidFile, decode_file};

use crate::parse::{ParseError, bytes, text};

/// A decoded value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyCredential {
    /// The key, as evidence.
    pub key: DirectoryKey,
    /// Distinguished name of the object it belongs to; `None` for a value without one (raw bytes, bare hexadecimal).
    pub owner: Option<String>,
    /// The form of the key material.
    pub material: MaterialForm,
    /// Length of the whole blob, in bytes.
    pub length: usize,
    /// The entries in their order, as identifier and length of the value.
    pub entries: Vec<(u8, usize)>,
}

/// The form of key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaterialForm {
    /// A `BCRYPT_RSAKEY_BLOB` with magic `RSA1`: Hello keys of users.
    BcryptRsa,
    /// A DER public key: keys of computers.
    Der,
    /// A blob of the platform crypto provider with magic `PCPM`.
    Tpm,
    /// JSON: FIDO keys.
    Json,
    /// Something else.
    Unknown,
}

/// Why a value could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyCredential {
    /// The text is neither the LDAP form nor hexadecimal.
    #[error("value is neither `B:<count>:<hex>:<DN>` nor hexadecimal: found `{found}`")]
    NotAValue {
        /// The beginning of the text, cut to 40 characters.
        found: String,
    },
    /// The count of the LDAP form is not a number.
    #[error("count `{found}` of `B:<count>:<hex>:<DN>` is not a number")]
    Count {
        /// What stands there, cut to 40 characters.
        found: String,
    },
    /// The count differs from the number of digits.
    #[error("value claims {claimed} hexadecimal characters, found {found}")]
    CountMismatch {
        /// The count.
        claimed: usize,
        /// Characters up to the next colon, or to the end.
        found: usize,
    },
    /// The number of digits is odd.
    #[error("value has an odd number of hexadecimal characters ({found})")]
    OddHex {
        /// The number.
        found: usize,
    },
    /// A character is no digit.
    #[error("character {position} of the value is no hexadecimal digit")]
    NotHex {
        /// Its position, from 1.
        position: usize,
    },
    /// The blob is longer than any real one.
    #[error("blob has {found} bytes (at most {limit} are read)")]
    TooLong {
        /// Length found, in bytes.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// Fewer bytes than a version number takes.
    #[error("blob has {found} bytes, too few for its version")]
    TooShort {
        /// Length found, in bytes.
        found: usize,
    },
    /// A version that old tools wrote, with entries aligned to four bytes.
    #[error("blob has the legacy version 0x{version:03x} (this build reads 0x200)")]
    Legacy {
        /// The version.
        version: u32,
    },
    /// A version this build does not know.
    #[error("blob has version 0x{version:x} (this build reads 0x200)")]
    UnknownVersion {
        /// The version.
        version: u32,
    },
    /// An entry reaches beyond the end.
    #[error("entry {identifier} at byte {offset} claims {length} bytes, {left} are left")]
    PastEnd {
        /// Identifier of the entry.
        identifier: u8,
        /// Where the entry begins.
        offset: usize,
        /// The length it claims.
        length: usize,
        /// What is left.
        left: usize,
    },
    /// Bytes at the end are too few for an entry.
    #[error("{left} bytes at the end are too few for an entry")]
    Remainder {
        /// How many.
        left: usize,
    },
    /// An entry stands twice.
    #[error("entry {identifier} stands more than once")]
    Repeated {
        /// Identifier of the entry.
        identifier: u8,
    },
    /// An entry that every key has is missing.
    #[error("entry {identifier} (`{name}`) is missing")]
    Missing {
        /// Identifier of the entry.
        identifier: u8,
        /// Its name in the specification.
        name: &'static str,
    },
    /// An entry of fixed size has another.
    #[error("entry {identifier} (`{name}`) has {found} bytes (expected {expected})")]
    WrongSize {
        /// Identifier of the entry.
        identifier: u8,
        /// Its name in the specification.
        name: &'static str,
        /// Length found, in bytes.
        found: usize,
        /// Length of the specification.
        expected: usize,
    },
    /// The key material does not hold what its head claims.
    #[error("key material of {found} bytes is broken: {problem}")]
    Material {
        /// Length of the material, in bytes.
        found: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Decodes a value in text: `B:<count>:<hex>:<DN>` as LDAP writes it, or bare hexadecimal.
///
/// `now` bounds which times are believed.
pub fn decode_text(value: &str, now: Timestamp) -> Result<KeyCredential, InvalidKeyCredential> {
    let value = value.trim();
    let Some(rest) = value.strip_prefix("B:").or_else(|| value.strip_prefix("b:")) else {
        return decode(&hexadecimal(value.strip_prefix("0x").unwrap_or(value), value)?, now);
    };
    // Taken apart by the count, since the DN may hold colons of its own.
    let (count, rest) = rest.split_once(':').ok_or_else(|| not_a_value(value))?;
    let claimed: usize =
        count.parse().map_err(|_| InvalidKeyCredential::Count { found: count.chars().take(40).collect() })?;
    let (hex, owner) = match (rest.get(..claimed), rest.get(claimed..)) {
        (Some(hex), Some(owner)) if owner.starts_with(':') && !hex.contains(':') => (hex, &owner[1..]),
        _ => {
            let found = rest.find(':').unwrap_or(rest.len());
            return Err(InvalidKeyCredential::CountMismatch { claimed, found });
        }
    };
    let mut credential = decode(&hexadecimal(hex, value)?, now)?;
    credential.owner = Some(owner.trim().to_owned()).filter(|owner| !owner.is_empty());
    Ok(credential)
}

fn hexadecimal(hex: &str, value: &str) -> Result<Vec<u8>, InvalidKeyCredential> {
    if let Some(position) = hex.bytes().position(|digit| !digit.is_ascii_hexdigit()) {
        // Text that does not even begin as digits was never meant as a value.
        return Err(if position < 8 {
            not_a_value(value)
        } else {
            InvalidKeyCredential::NotHex { position: position + 1 }
        });
    }
    if hex.is_empty() {
        return Err(not_a_value(value));
    }
    bytes::from_hex(hex).ok_or(InvalidKeyCredential::OddHex { found: hex.len() })
}

fn not_a_value(value: &str) -> InvalidKeyCredential {
    let found = value.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
    InvalidKeyCredential::NotAValue { found }
}

/// Decodes an input of unknown form: the raw bytes of one value, or a text that [`decode_file`] reads.
pub fn decode_input(input: &[u8], now: Timestamp) -> Result<Vec<FileValue>, ParseError> {
    crate::parse::check_size(input)?;
    // The version's upper bytes are zero, which no text has at its third character.
    if matches!(input, [0, _, 0, 0, ..]) {
        return Ok(vec![FileValue { line: 1, decoded: decode(input, now) }]);
    }
    Ok(decode_file(&text::decode(input)?.text, now)?)
}
