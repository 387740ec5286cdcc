//! The trusted platform module.

use muster_evidence::{EkCertificates, EndorsementKey, Tpm, TpmLockout, TpmReadiness, TpmVersion};

use super::field::{self, InvalidField, wire_enum};
use crate::v1;
use crate::v1::endorsement_key::Outcome;

wire_enum!(TpmVersion, v1::TpmVersion { V1_2 = TpmVersion12, V2_0 = TpmVersion20 });

impl From<&Tpm> for v1::Tpm {
    fn from(tpm: &Tpm) -> Self {
        let Tpm { version, manufacturer, firmware, lockout, ek_certificates, fips_mode, readiness, endorsement_key } =
            tpm;
        Self {
            version: v1::TpmVersion::from(*version).into(),
            manufacturer: manufacturer.clone().map(Into::into),
            firmware: firmware.clone().map(Into::into),
            lockout: lockout.map(|TpmLockout { locked, max_failures, recovery_seconds, failures: _ }| v1::TpmLockout {
                locked,
                max_failures,
                recovery_seconds,
            }),
            ek_certificates: ek_certificates.map(|EkCertificates { rsa_2048, ecc_p256, ecc_p384 }| {
                v1::EkCertificates { rsa_2048, ecc_p256, ecc_p384 }
            }),
            fips_mode: *fips_mode,
            readiness: readiness.map(|TpmReadiness { ready, missing }| v1::TpmReadiness { ready, missing }),
            endorsement_key: endorsement_key.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::Tpm> for Tpm {
    type Error = InvalidField;

    fn try_from(message: v1::Tpm) -> Result<Self, Self::Error> {
        let v1::Tpm {
            version,
            manufacturer,
            firmware,
            lockout,
            ek_certificates,
            fips_mode,
            readiness,
            endorsement_key,
        } = message;
        Ok(Self {
            version: field::required_enum(version, "version")?,
            manufacturer: field::optional_text(manufacturer.as_deref(), "manufacturer")?,
            firmware: field::optional_text(firmware.as_deref(), "firmware")?,
            lockout: lockout.map(|v1::TpmLockout { locked, max_failures, recovery_seconds }| TpmLockout {
                locked,
                max_failures,
                recovery_seconds,
                failures: None,
            }),
            ek_certificates: ek_certificates.map(|v1::EkCertificates { rsa_2048, ecc_p256, ecc_p384 }| {
                EkCertificates { rsa_2048, ecc_p256, ecc_p384 }
            }),
            fips_mode,
            readiness: readiness.map(|v1::TpmReadiness { ready, missing }| TpmReadiness { ready, missing }),
            endorsement_key: field::nested(endorsement_key, "endorsement_key")?,
        })
    }
}

impl From<&EndorsementKey> for v1::EndorsementKey {
    fn from(key: &EndorsementKey) -> Self {
        let outcome = match key {
            EndorsementKey::SpkiSha256(digest) => Outcome::SpkiSha256(digest.0.to_vec()),
            EndorsementKey::NotShown => Outcome::NotShown(v1::EndorsementKeyNotShown {}),
            EndorsementKey::Unreadable(why) => Outcome::Unreadable(why.to_string()),
        };
        Self { outcome: Some(outcome) }
    }
}

impl TryFrom<v1::EndorsementKey> for EndorsementKey {
    type Error = InvalidField;

    fn try_from(message: v1::EndorsementKey) -> Result<Self, Self::Error> {
        let v1::EndorsementKey { outcome } = message;
        Ok(match field::required(outcome, "outcome")? {
            Outcome::SpkiSha256(digest) => Self::SpkiSha256(field::sha256(&digest, "spki_sha256")?),
            Outcome::NotShown(v1::EndorsementKeyNotShown {}) => Self::NotShown,
            Outcome::Unreadable(why) => Self::Unreadable(field::text(&why, "unreadable")?),
        })
    }
}
