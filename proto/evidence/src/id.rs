//! Names and identifiers, each built only from valid input.
//!
//! Names compare in lower case because DNS and Active Directory compare them so; the site name keeps its spelling
//! for display and compares without regard to ASCII case.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// Says why a text or number is not the identifier it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} `{found}`: expected {expected}")]
pub struct InvalidId {
    /// What was to be built, such as "SID".
    pub what: &'static str,
    /// The text found, cut to 64 characters.
    pub found: String,
    /// What a valid one looks like.
    pub expected: &'static str,
}

fn invalid(what: &'static str, found: &str, expected: &'static str) -> InvalidId {
    InvalidId { what, found: found.chars().take(64).collect(), expected }
}

/// A DNS name in lower case without a trailing dot: labels of letters, digits, `-` and `_` (RFC 1123 section 2.1;
/// the underscore because Active Directory accepts it in host names), 253 bytes at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(Box<str>);

impl DnsName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first label.
    pub fn first_label(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The name without its first label, if anything is left.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, parent)| Self(parent.into()))
    }
}

impl FromStr for DnsName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error =
            || invalid("DNS name", text, "labels of letters, digits, `-` and `_` joined by dots, 253 bytes at most");
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(label_ok) {
            return Err(error());
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        name.0.into()
    }
}

impl TryFrom<String> for DnsName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The DNS name of a host, as its certificate names it.
pub type HostName = DnsName;

/// An Active Directory forest, named by the DNS name of its root domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Forest(pub DnsName);

impl Forest {
    /// The forest's DNS name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Forest {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Forest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an Active Directory site: 1 to 63 characters, none of them a control character; compares without
/// regard to ASCII case and keeps its spelling.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteName(Box<str>);

impl SiteName {
    /// The name as spelt.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which names are equal.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl PartialEq for SiteName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for SiteName {}

impl PartialOrd for SiteName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SiteName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}

impl Hash for SiteName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl FromStr for SiteName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        if name.is_empty() || name.chars().count() > 63 || name.chars().any(char::is_control) {
            return Err(invalid("site name", text, "1 to 63 characters without control characters"));
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SiteName> for String {
    fn from(name: SiteName) -> Self {
        name.0.into()
    }
}

impl TryFrom<String> for SiteName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A site as a subject: its forest, its directory `objectGUID` when known, and its name.
///
/// Host and site names are unique per forest only, so the forest is part of every reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SiteRef {
    /// The forest the site belongs to.
    pub forest: Forest,
    /// The site's name.
    pub name: SiteName,
    /// The site's `objectGUID` in the directory; `None` until the directory role has told it.
    pub object_guid: Option<Guid>,
}

impl fmt::Display for SiteRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.forest, self.name)
    }
}

/// The collector's number for a host, in order of first sight, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostNo(pub u64);

impl fmt::Display for HostNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Writes bytes as lower-case hexadecimal.
fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads exactly `N` bytes of hexadecimal text.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Builds the identifier from exactly the right number of bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidId> {
                bytes.try_into().map(Self).map_err(|_| invalid($what, &format!("{} bytes", bytes.len()), $expected))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text.trim()).map(Self).ok_or_else(|| invalid($what, text, $expected))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// A SHA-256 digest, written as 64 hexadecimal characters.
    Sha256, 32, "SHA-256 digest", "64 hexadecimal characters"
);
hex_id!(
    /// A SHA-1 certificate thumbprint as Windows shows it, written as 40 hexadecimal characters.
    Thumbprint, 20, "thumbprint", "40 hexadecimal characters"
);
hex_id!(
    /// The random identifier of one installation of a probe, made at install and kept across its restarts.
    InstallId, 16, "install id", "32 hexadecimal characters"
);

/// A GUID, held in the order of its text form and written `8-4-4-4-12` in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// Builds a GUID from 16 bytes in the order of the text form.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidId> {
        bytes.try_into().map(Self).map_err(|_| invalid("GUID", &format!("{} bytes", bytes.len()), "16 bytes"))
    }

    /// Builds a GUID from the mixed-endian layout that Windows structures use: the first three groups are
    /// little-endian (MS-DTYP section 2.3.4.2).
    pub const fn from_windows_bytes(b: [u8; 16]) -> Self {
        Self([b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]])
    }

    /// Whether all bytes are zero.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in [&self.0[..4], &self.0[4..6], &self.0[6..8], &self.0[8..10], &self.0[10..]].iter().enumerate()
        {
            if i > 0 {
                f.write_str("-")?;
            }
            write_hex(f, group)?;
        }
        Ok(())
    }
}

impl FromStr for Guid {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || invalid("GUID", text, "`01234567-89ab-cdef-0123-456789abcdef`, braces optional");
        let inner = text.trim();
        let inner = match inner.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or_else(error)?,
            None => inner,
        };
        let groups: Vec<&str> = inner.split('-').collect();
        if groups.iter().map(|g| g.len()).collect::<Vec<_>>() != [8, 4, 4, 4, 12] {
            return Err(error());
        }
        parse_hex(&groups.concat()).map(Self).ok_or_else(error)
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A Windows security identifier in its text form, `S-1-authority-subauthority…`, with 1 to 15 subauthorities
/// (MS-DTYP section 2.4.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sid(Box<str>);

impl Sid {
    /// The null SID, `S-1-0-0`, which Windows uses where the SID is not known (MS-DTYP section 2.4.2.4).
    ///
    /// A capture that names no user is judged under it locally; it is never reported to a collector.
    pub fn unknown() -> Self {
        Self("S-1-0-0".into())
    }

    /// Whether this is the null SID.
    pub fn is_unknown(&self) -> bool {
        &*self.0 == "S-1-0-0"
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this can be a person's account: a domain or local account (`S-1-5-21-…`) or an Entra ID account
    /// (`S-1-12-1-…`). Services, groups of the system and the null SID are not.
    pub fn is_account(&self) -> bool {
        self.0.starts_with("S-1-5-21-") || self.0.starts_with("S-1-12-1-")
    }
}

impl FromStr for Sid {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Most are canonical, since machines write them; a collector reads several with every report.
        if is_canonical_sid(text) {
            return Ok(Self(text.into()));
        }
        let error = || invalid("SID", text, "`S-1-` followed by an authority and 1 to 15 subauthorities");
        let upper = text.trim().to_ascii_uppercase();
        let mut parts = upper.strip_prefix("S-1-").ok_or_else(error)?.split('-');
        let authority: u64 = parts.next().and_then(|p| p.parse().ok()).ok_or_else(error)?;
        let subauthorities: Vec<u32> = parts.map(str::parse).collect::<Result<_, _>>().map_err(|_| error())?;
        if authority >= 1 << 48 || subauthorities.is_empty() || subauthorities.len() > 15 {
            return Err(error());
        }
        let mut canonical = format!("S-1-{authority}");
        for sub in subauthorities {
            canonical.push('-');
            canonical.push_str(&sub.to_string());
        }
        Ok(Self(canonical.into()))
    }
}

/// Whether a text is a SID as this build writes it: numbers without leading zeros. An authority of more than ten digits is
/// read number by number.
fn is_canonical_sid(text: &str) -> bool {
    let Some((authority, rest)) = text.strip_prefix("S-1-").and_then(|rest| rest.split_once('-')) else { return false };
    let is_number = |part: &str| {
        let bytes = part.as_bytes();
        matches!(bytes.len(), 1..=10) && bytes.iter().all(u8::is_ascii_digit) && (bytes.len() == 1 || bytes[0] != b'0')
    };
    let is_subauthority = |part: &str| is_number(part) && (part.len() < 10 || part <= "4294967295");
    is_number(authority) && rest.split('-').all(is_subauthority) && rest.split('-').count() <= 15
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Sid> for String {
    fn from(sid: Sid) -> Self {
        sid.0.into()
    }
}

impl TryFrom<String> for Sid {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_and_refuse() {
        assert_eq!("DC01.Corp.Example.".parse::<DnsName>().unwrap().as_str(), "dc01.corp.example");
        assert_eq!(
            "dc 01".parse::<DnsName>().unwrap_err().to_string(),
            "invalid DNS name `dc 01`: expected labels of letters, digits, `-` and `_` joined by dots, 253 bytes at most"
        );
        assert!("a..b".parse::<DnsName>().is_err());
        assert!("*.corp.example".parse::<DnsName>().is_err());
        assert_eq!("HQ".parse::<SiteName>().unwrap(), "hq".parse::<SiteName>().unwrap());
        assert!(" ".parse::<SiteName>().is_err());
    }

    #[test]
    fn guids_in_both_layouts() {
        let guid: Guid = "{0F3C2A51-77B4-4D0E-9A5C-1B2C3D4E5F60}".parse().unwrap();
        assert_eq!(guid.to_string(), "0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60");
        let windows = [0x51, 0x2A, 0x3C, 0x0F, 0xB4, 0x77, 0x0E, 0x4D, 0x9A, 0x5C, 0x1B, 0x2C, 0x3D, 0x4E, 0x5F, 0x60];
        assert_eq!(Guid::from_windows_bytes(windows), guid);
        for bad in ["", "{0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60", "0f3c2a5177b44d0e9a5c1b2c3d4e5f60", "é"] {
            assert!(bad.parse::<Guid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sids_are_canonical() {
        assert_eq!("s-1-5-21-01-2-3-1104".parse::<Sid>().unwrap().as_str(), "S-1-5-21-1-2-3-1104");
        // The short way for canonical texts takes what the long way takes, and nothing else.
        let most = format!("S-1-5{}", "-1".repeat(15));
        for (text, canonical) in [
            ("S-1-5-21-3623811015-3361044348-30300820-1013", true),
            ("S-1-5-4294967295", true),
            ("S-1-5-4294967296", false),
            ("S-1-9999999999-1", true),
            ("S-1-281474976710655-1", false),
            ("S-1-0-0", true),
            ("S-1-5-01", false),
            ("S-1-05-1", false),
            ("S-1-5", false),
            ("S-1-5-", false),
            ("S-1--5", false),
            ("S-1-5-1x", false),
            (" S-1-5-1", false),
            (&most, true),
            (&format!("{most}-1"), false),
        ] {
            assert_eq!(is_canonical_sid(text), canonical, "{text}");
            if canonical {
                assert_eq!(text.parse::<Sid>().unwrap().as_str(), text);
            }
        }
        assert_eq!("S-1-281474976710655-1".parse::<Sid>().unwrap().as_str(), "S-1-281474976710655-1");
        assert!("S-1-5-4294967296".parse::<Sid>().is_err());
        assert!("S-1-5-21-1-2-3-1104".parse::<Sid>().unwrap().is_account());
        assert!(!"S-1-5-18".parse::<Sid>().unwrap().is_account());
        for bad in ["S-1-5", "S-2-5-21", "S-1-5-4294967296", "S-1-x-1", ""] {
            assert!(bad.parse::<Sid>().is_err(), "{bad}");
        }
    }
}
