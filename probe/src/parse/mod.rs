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

use crate::source::operating_system::parse as system;
use crate::source::tpm::parse as tpm;

mod bytes;
pub mod certificate;
pub mod dsregcmd;
pub mod key_credential;
pub mod revocation_list;
pub mod text;

/// Largest raw input a parser takes, in bytes. The longest real `dsregcmd /status` text seen is below 20 KiB, and a
/// certificate with every extension below 8 KiB; a folder of them is read file by file.
pub const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// A kind of raw input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputKind {
    /// The text that `dsregcmd /status` prints.
    Dsregcmd,
    /// The line that `cmd /c ver` prints.
    WindowsVersion,
    /// The text that `tpmtool getdeviceinformation` prints.
    Tpmtool,
    /// One or more X.509 certificates, in PEM or DER.
    Certificate,
    /// Values of `msDS-KeyCredentialLink`.
    KeyCredential,
}

impl InputKind {
    /// Every kind, in the order people see them.
    pub const ALL: &'static [Self] =
        &[Self::Dsregcmd, Self::WindowsVersion, Self::Tpmtool, Self::Certificate, Self::KeyCredential];

    /// The name on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dsregcmd => "dsregcmd",
            Self::WindowsVersion => "windows-version",
            Self::Tpmtool => "tpmtool",
            Self::Certificate => "certificate",
            Self::KeyCredential => "key-credential",
        }
    }

    /// The name in manifests of captures, where files of a kind are named in the plural.
    pub const fn capture_name(self) -> &'static str {
        match self {
            Self::Dsregcmd | Self::WindowsVersion | Self::Tpmtool => self.name(),
            Self::Certificate => "certificates",
            Self::KeyCredential => "key-credentials",
        }
    }

    /// What the input is, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Dsregcmd => "the text that `dsregcmd /status` prints",
            Self::WindowsVersion => "the line that `cmd /c ver` prints",
            Self::Tpmtool => "the text that `tpmtool getdeviceinformation` prints",
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
            .find(|kind| kind.name() == name || kind.capture_name() == name)
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
    /// The text is not what `cmd /c ver` prints.
    #[error(transparent)]
    WindowsVersion(#[from] system::InvalidVer),
    /// The text is not what `tpmtool getdeviceinformation` prints.
    #[error(transparent)]
    Tpmtool(#[from] tpm::InvalidTpmtool),
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
            let outputs = dsregcmd::parse_all(&decoded.text)?;
            if let [status] = outputs.as_slice() {
                let facts = status.facts(None);
                json!({ "encoding": decoded.encoding, "facts": facts, "status": status })
            } else {
                let outputs: Vec<Value> =
                    outputs.iter().map(|status| json!({ "facts": status.facts(None), "status": status })).collect();
                json!({ "encoding": decoded.encoding, "outputs": outputs })
            }
        }
        InputKind::WindowsVersion => {
            let decoded = text::decode(bytes)?;
            let system = system::windows_version(&decoded.text)?;
            json!({ "encoding": decoded.encoding, "operating_system": system })
        }
        InputKind::Tpmtool => {
            let decoded = text::decode(bytes)?;
            // No TPM is a fact of its own, and not a text without one.
            let tpm = tpm::tpmtool(&decoded.text)?;
            json!({ "encoding": decoded.encoding, "present": tpm.is_some(), "tpm": tpm })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::FileKind;

    #[test]
    fn every_kind_of_a_capture_can_be_inspected_under_its_name() {
        for kind in FileKind::ALL {
            let found: InputKind = kind.name().parse().unwrap();
            assert_eq!(found.capture_name(), kind.name());
            assert_eq!(found.name().parse(), Ok(found));
        }
        assert_eq!(FileKind::ALL.len(), InputKind::ALL.len());
    }

    #[test]
    fn versions_and_tpms_are_shown() {
        let now = Timestamp::MAX;
        let ver = b"\r\nMicrosoft Windows [Version 10.0.26100.4349]\r\n";
        let shown = inspect_at(InputKind::WindowsVersion, ver, now).unwrap();
        assert_eq!(shown["content"]["operating_system"]["build"], 26100, "{shown}");
        for (text, present) in [("-TPM Present: True\n-TPM Version: 2.0\n", true), ("-TPM Present: False\n", false)] {
            let shown = inspect_at(InputKind::Tpmtool, text.as_bytes(), now).unwrap();
            assert_eq!(shown["content"]["present"], present, "{shown}");
            assert_eq!(shown["content"]["tpm"].is_null(), !present, "{shown}");
        }
        assert!(inspect_at(InputKind::WindowsVersion, b"no version here", now).is_err());
    }
}
