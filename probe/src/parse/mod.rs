//! Parsers of raw inputs: pure functions from bytes to evidence, on every system.
//!
//! A live source, a capture taken elsewhere and `muster-probe inspect` hand the same bytes to the same parser, so what
//! is tested on one machine holds on all of them. Nothing here asks the system or opens a file, and no parser panics:
//! every input is bounded by [`MAX_INPUT_BYTES`], and what cannot be understood is an error that names what was found
//! and what was expected.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use muster_evidence::Timestamp;
use serde_json::{Value, json};

mod bytes;
pub mod certificate;
pub mod dsregcmd;
pub mod key_credential;
pub mod text;

/// Largest raw input a parser takes, in bytes. The longest real `dsregcmd /status` text seen is below 20 KiB, and a
/// certificate with every extension below 8 KiB; a folder of them is read file by file.
pub const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// A kind of raw input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputKind {
    /// The text that `dsregcmd /status` prints.
    Dsregcmd,
    /// One or more X.509 certificates, in PEM or DER.
    Certificate,
    /// Values of `msDS-KeyCredentialLink`.
    KeyCredential,
}

impl InputKind {
    /// Every kind, in the order people see them.
    pub const ALL: &'static [Self] = &[Self::Dsregcmd, Self::Certificate, Self::KeyCredential];

    /// The name on command lines and in captures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dsregcmd => "dsregcmd",
            Self::Certificate => "certificate",
            Self::KeyCredential => "key-credential",
        }
    }

    /// What the input is, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Dsregcmd => "the text that `dsregcmd /status` prints",
            Self::Certificate => "X.509 certificates in PEM or DER",
            Self::KeyCredential => "values of `msDS-KeyCredentialLink`, one per line or as LDIF",
        }
    }
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says that no kind of raw input has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of input `{name}` (known are {})", known_kinds())]
pub struct UnknownInputKind {
    /// The name found, cut to 64 characters.
    pub name: String,
}

fn known_kinds() -> String {
    InputKind::ALL.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
}

impl FromStr for InputKind {
    type Err = UnknownInputKind;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownInputKind { name: name.chars().take(64).collect() })
    }
}

/// Why a raw input could not be parsed at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The input exceeds the bound.
    #[error("input has {found} bytes (at most {MAX_INPUT_BYTES} are read)")]
    TooLarge {
        /// Length found, in bytes.
        found: usize,
    },
    /// The text is not a `dsregcmd /status` output.
    #[error(transparent)]
    Dsregcmd(#[from] dsregcmd::InvalidStatus),
    /// The input holds no certificate, or something that must not be there.
    #[error(transparent)]
    Certificate(#[from] certificate::InvalidInput),
    /// The input holds no key credential value.
    #[error(transparent)]
    KeyCredential(#[from] key_credential::InvalidFile),
}

/// Refuses what exceeds [`MAX_INPUT_BYTES`].
pub(crate) fn check_size(bytes: &[u8]) -> Result<(), ParseError> {
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(ParseError::TooLarge { found: bytes.len() });
    }
    Ok(())
}

/// Parses a raw input and shows what it says, as JSON for people.
pub fn inspect(kind: InputKind, bytes: &[u8]) -> Result<Value, ParseError> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since_1970.as_millis()).ok().and_then(|ms| Timestamp::from_unix_ms(ms).ok());
    inspect_at(kind, bytes, now.unwrap_or(Timestamp::MAX))
}

/// Does what [`inspect`] does at a given time, which bounds the times in a key credential that are believed.
pub fn inspect_at(kind: InputKind, bytes: &[u8], now: Timestamp) -> Result<Value, ParseError> {
    check_size(bytes)?;
    let value = match kind {
        InputKind::Dsregcmd => {
            let decoded = text::decode(bytes)?;
            let status = dsregcmd::parse(&decoded.text)?;
            let facts = status.facts(None);
            json!({ "encoding": decoded.encoding, "facts": facts, "status": status })
        }
        InputKind::Certificate => {
            let bundle = certificate::from_pem_or_der(bytes)?;
            let unreadable: Vec<String> = bundle.unreadable.iter().map(ToString::to_string).collect();
            json!({ "certificates": bundle.certificates, "unreadable": unreadable })
        }
        InputKind::KeyCredential => {
            let values: Vec<Value> = key_credential::decode_input(bytes, now)?
                .into_iter()
                .map(|value| match value.decoded {
                    Ok(credential) => json!({ "line": value.line, "credential": credential }),
                    Err(error) => json!({ "line": value.line, "error": error.to_string() }),
                })
                .collect();
            json!({ "values": values })
        }
    };
    Ok(json!({ "kind": kind.name(), "content": value }))
}
