//! The trusted platform module. A machine without one is `Outcome::Absent`, never a [`Tpm`].

use serde::{Deserialize, Serialize};

use crate::Text;

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
