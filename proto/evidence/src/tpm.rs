//! The trusted platform module. A machine without one is `Outcome::Absent`, never a [`Tpm`].

use serde::{Deserialize, Serialize};

use crate::{Sha256, Text};

/// A TPM that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tpm {
    /// The specification family.
    pub version: TpmVersion,
    /// The manufacturer's four-character vendor id, such as `INTC` or `IFX`; `None` where it was not readable.
    pub manufacturer: Option<Text>,
    /// The firmware version as `major.minor` or in the vendor's own form; `None` where it was not readable.
    pub firmware: Option<Text>,
    /// The dictionary-attack counters; `None` where they were not readable (always for 1.2).
    pub lockout: Option<TpmLockout>,
    /// Endorsement key certificates found in the TPM; `None` where we could not look.
    pub ek_certificates: Option<EkCertificates>,
    /// Whether the TPM says it works in FIPS 140 mode; `None` where it does not say.
    pub fips_mode: Option<bool>,
    /// Whether Windows says that it is ready for use; `None` where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<TpmReadiness>,
    /// The endorsement key; `None` where nobody looked: a TPM 1.2, a capture, a probe that does not know how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endorsement_key: Option<EndorsementKey>,
}

/// Whether a TPM is ready for use (`Win32_Tpm::IsReadyInformation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmReadiness {
    /// Whether it is ready.
    pub ready: bool,
    /// The bits of what is missing, such as 0x20 disabled or deactivated; `None` where they were not readable.
    pub missing: Option<u32>,
}

/// What was found out about a TPM's endorsement key, by which a machine is recognised however it is named or installed.
///
/// A TPM can show several. The first of these counts, so that the same machine always shows the same one: the keys that
/// its maker certified, RSA 2048 (certificate at NV index 0x01C00002), NIST P-256 (0x01C0000A), NIST P-384 (0x01C00016),
/// since nobody else changes those; then the key that lies at the handle reserved for it, 0x81010001, which an
/// operating system may put there (TCG EK Credential Profile for TPM Family 2.0, section 2.2.1; TCG TPM v2.0 Provisioning
/// Guidance, section 7.8). What a certificate says is hashed as it says it; for a key without one the algorithm is
/// `rsaEncryption` with NULL parameters (RFC 3279, section 2.3.1), or `id-ecPublicKey` with a named curve (RFC 5480).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndorsementKey {
    /// SHA-256 over the DER form of its `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7).
    SpkiSha256(Sha256),
    /// The TPM was asked, and shows none.
    NotShown,
    /// It shows one that could not be read: why.
    Unreadable(Text),
}

/// The specification family of a TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TpmVersion {
    /// TPM 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TPM 2.0.
    #[serde(rename = "2.0")]
    V2_0,
}

/// The dictionary-attack protection of a TPM 2.0 (TPM 2.0 Library, Part 1, section "Dictionary Attack Protection").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmLockout {
    /// Whether the TPM is in lockout: it refuses authorisations until the counter has fallen.
    pub locked: bool,
    /// Failures before lockout.
    pub max_failures: u32,
    /// Seconds after which one failure is forgotten.
    pub recovery_seconds: u32,
    /// Failures counted at present; `None` where it was not readable. It moves by itself, so it travels beside the
    /// digested body, and whoever decodes a body alone has `None` here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
}

/// Which endorsement key certificates a TPM carries in its non-volatile memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EkCertificates {
    /// RSA 2048, NV index 0x01C00002.
    pub rsa_2048: bool,
    /// ECC NIST P-256, NV index 0x01C0000A.
    pub ecc_p256: bool,
    /// ECC NIST P-384, NV index 0x01C00016.
    pub ecc_p384: bool,
}

impl EkCertificates {
    /// Whether any certificate is present.
    pub const fn any(self) -> bool {
        self.rsa_2048 || self.ecc_p256 || self.ecc_p384
    }
}
