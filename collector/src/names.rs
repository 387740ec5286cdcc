//! Names of people, replaced by a keyed hash before anything is stored.
//!
//! People are told apart by their SIDs; a user principal name is there for whoever reads. With a key the collector keeps
//! `hmac-sha256:KEY:HASH` instead: HMAC-SHA-256 of the name in lower case, behind the identifier of the key it was made
//! with. The same name gives the same text for as long as the key lasts, so that what an endpoint and the directory say of
//! one person can still be compared, and nobody without the key can try names.
//!
//! Exchanging keys needs no pass over the store, which holds no names to hash anew. With the earlier key named as
//! `names.previous_key`, probes are asked again for what was stored under it, or stored before there was any key, when
//! they next report; what never reports again keeps its earlier hash, and shows by the key's identifier that it does.

use std::fmt;
use std::path::{Path, PathBuf};

use muster_evidence::{Evidence, InventoryItem, Kind, Outcome, Text};
use muster_proto::convert::{Incoming, decode_body_of, encode_body};
use ring::{digest, hmac};

/// What a replaced name begins with.
const MARK: &str = "hmac-sha256";

/// Length of a key, in bytes.
const KEY_BYTES: usize = 32;

/// Bytes of the digest of a key that name it.
const ID_BYTES: usize = 4;

/// Says why a key cannot be used. Nothing of the key is in it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidNameKey {
    /// The file cannot be read.
    #[error("failed to read the key for names `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It holds something else.
    #[error(
        "`{}` is no key for names: expected {KEY_BYTES} bytes as hexadecimal digits (`openssl rand -hex {KEY_BYTES}`), \
         found {found} characters", path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// Length of what was found.
        found: usize,
    },
    /// The earlier key is the present one.
    #[error("`names.previous_key` holds the key of `names.key`: name the one before it, or none")]
    Same,
}

/// The key that names are replaced by, and which one was before it.
#[derive(Clone)]
pub struct NameKeys {
    key: hmac::Key,
    id: String,
    previous: Option<String>,
}

impl fmt::Debug for NameKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _, id, previous } = self;
        f.debug_struct("NameKeys").field("id", id).field("previous", previous).finish_non_exhaustive()
    }
}

impl NameKeys {
    /// Reads the present key and, where names were stored under another, that one.
    pub fn read(key: &Path, previous: Option<&Path>) -> Result<Self, InvalidNameKey> {
        let (key, previous) = (bytes_of(key)?, previous.map(bytes_of).transpose()?);
        let (id, previous) = (id_of(&key), previous.as_ref().map(id_of));
        if previous.as_ref() == Some(&id) {
            return Err(InvalidNameKey::Same);
        }
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), id, previous })
    }

    /// What names the present key: the first bytes of a digest of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether a body that was stored under that key, or under none, is asked for again.
    pub fn replaces(&self, stored_under: &str) -> bool {
        stored_under.is_empty() || self.previous.as_deref() == Some(stored_under)
    }

    /// Replaces the names of people in a report. What cannot be read is left to whoever refuses it.
    pub fn hide(&self, report: &mut Incoming) {
        for seen in &mut report.observations {
            let Some(key) = seen.key.known().filter(|key| may_name(key.kind)) else { continue };
            let Some(Ok(mut outcome)) = seen.body.as_deref().map(|body| decode_body_of(&key, body)) else { continue };
            if let Outcome::Observed(Evidence::KeyRegistration(registration)) = &mut outcome
                && let Some(upn) = &mut registration.upn
            {
                *upn = self.hashed(upn);
                seen.body = Some(encode_body(&outcome));
            }
        }
        for item in report.inventory.iter_mut().flat_map(|part| &mut part.items) {
            if let InventoryItem::UserKeys(keys) = item
                && let Some(upn) = &mut keys.upn
            {
                *upn = self.hashed(upn);
            }
        }
    }

    fn hashed(&self, name: &Text) -> Text {
        let tag = hmac::sign(&self.key, name.as_str().trim().to_lowercase().as_bytes());
        Text::cut(&format!("{MARK}:{}:{}", self.id, hex(tag.as_ref())))
    }
}

/// Whether evidence of a kind can hold the name of a person in a field of its own.
pub(crate) const fn may_name(kind: Kind) -> bool {
    matches!(kind, Kind::KeyRegistration)
}

fn bytes_of(path: &Path) -> Result<[u8; KEY_BYTES], InvalidNameKey> {
    let text = std::fs::read_to_string(path).map_err(|cause| InvalidNameKey::Read { path: path.to_owned(), cause })?;
    let digits = text.trim();
    let form = || InvalidNameKey::Form { path: path.to_owned(), found: digits.chars().count() };
    if digits.len() != 2 * KEY_BYTES || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(form());
    }
    let mut key = [0; KEY_BYTES];
    for (byte, place) in key.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[place..place + 2], 16).map_err(|_| form())?;
    }
    Ok(key)
}

fn id_of(key: &[u8; KEY_BYTES]) -> String {
    hex(&digest::digest(&digest::SHA256, key).as_ref()[..ID_BYTES])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file with a key, all of whose bytes are that one.
    pub(crate) fn key_file(folder: &Path, byte: u8) -> PathBuf {
        let path = folder.join(format!("names-{byte}.key"));
        std::fs::write(&path, format!("{}\n", hex(&[byte; KEY_BYTES]))).unwrap();
        path
    }

    #[test]
    fn names_are_replaced_by_what_only_the_key_can_make() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (key_file(folder.path(), 1), key_file(folder.path(), 2));
        let (first, second) = (NameKeys::read(&one, None).unwrap(), NameKeys::read(&other, Some(&one)).unwrap());
        let name = |text: &str| Text::exact(text).unwrap();
        let hashed = first.hashed(&name("Anna@Corp.Example"));
        assert_eq!(hashed, first.hashed(&name("anna@corp.example")));
        assert_ne!(hashed, first.hashed(&name("anne@corp.example")));
        assert!(hashed.as_str().starts_with(&format!("hmac-sha256:{}:", first.id())), "{hashed}");
        assert_eq!(hashed.as_str().len(), 11 + 1 + 8 + 1 + 64);
        assert_ne!(hashed, second.hashed(&name("anna@corp.example")));
        assert_ne!(first.id(), second.id());
        assert!(!format!("{first:?}").contains("0101"), "{first:?}");
        for (stored_under, replaced) in [("", true), (first.id(), true), (second.id(), false), ("00000000", false)] {
            assert_eq!(second.replaces(stored_under), replaced, "{stored_under}");
        }
        assert!(!first.replaces(second.id()), "nothing was named as earlier");
    }

    #[test]
    fn keys_that_are_none_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let good = key_file(folder.path(), 1);
        let file = |content: &str| {
            let path = folder.path().join("other.key");
            std::fs::write(&path, content).unwrap();
            NameKeys::read(&path, None).unwrap_err().to_string()
        };
        assert!(file("").ends_with("found 0 characters"), "{}", file(""));
        assert!(file(&"z".repeat(64)).ends_with("found 64 characters"));
        assert!(file(&"é".repeat(32)).ends_with("found 32 characters"));
        assert!(matches!(NameKeys::read(&good, Some(&good)), Err(InvalidNameKey::Same)));
        assert!(matches!(NameKeys::read(&folder.path().join("nowhere"), None), Err(InvalidNameKey::Read { .. })));
    }
}
