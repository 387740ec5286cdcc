//! Keys in the directory: decoded values of `msDS-KeyCredentialLink` (MS-ADTS section 2.2.20).

use serde::{Deserialize, Serialize};

use crate::{Guid, Sha256, Sid, Text, Timestamp};

/// All keys of one user, as one reader of the directory saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKeys {
    /// The user.
    pub sid: Sid,
    /// The keys that could be decoded, at most [`crate::limits::KEYS_PER_USER`].
    pub keys: Vec<DirectoryKey>,
    /// How many values could not be decoded. Undecodable is not absent.
    pub undecodable: u32,
    /// How many more there were beyond the bound.
    pub left_out: u32,
    /// `userPrincipalName` of the user; `None` where it was not read, or is not reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upn: Option<Text>,
}

/// One key credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryKey {
    /// The KeyID: SHA-256 of the key material for NGC keys; `None` where it has another form (FIDO).
    pub key_id: Option<Sha256>,
    /// What the key is for.
    pub usage: KeyUsage,
    /// Who wrote it; `None` where the entry is missing.
    pub source: Option<KeySource>,
    /// The Entra device the key belongs to; `None` where missing.
    pub device_id: Option<Guid>,
    /// When it was made; `None` where missing or not plausible in either encoding.
    pub created_at: Option<Timestamp>,
    /// When it was last used; `None` where missing or never filled in.
    pub last_used_at: Option<Timestamp>,
    /// Bits of the RSA modulus; `None` for other material.
    pub rsa_bits: Option<u32>,
    /// Whether the RSA modulus shows the structure of CVE-2017-15361; `None` for other material.
    pub roca: Option<bool>,
    /// `KeyStrength` of the custom key information.
    pub strength: KeyStrength,
    /// Whether KeyHash matches the entries it covers; `None` where the entry is missing.
    pub key_hash_valid: Option<bool>,
    /// A word on anything unusual that a person should see; empty when there is nothing.
    pub remark: Text,
}

/// `KeyUsage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUsage {
    /// 1: Windows Hello.
    Ngc,
    /// 7: FIDO.
    Fido,
    /// 8: file encryption key.
    Fek,
    /// Any other number.
    Other(u8),
}

/// `KeySource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySource {
    /// 0: Active Directory.
    ActiveDirectory,
    /// 1: Entra ID, written by Connect.
    AzureAd,
    /// Any other number.
    Other(u8),
}

/// `KeyStrength`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyStrength {
    /// 0, missing, or a number that is not defined.
    #[default]
    Unknown,
    /// 1.
    Weak,
    /// 2.
    Normal,
}
