//! The registration of a user's Hello key.

use muster_evidence::KeyRegistration;

use super::field::{self, InvalidField};
use crate::v1;

impl From<&KeyRegistration> for v1::KeyRegistration {
    fn from(registration: &KeyRegistration) -> Self {
        let KeyRegistration { registered_at, key_id, device_id, public_key_sha256, attestation, upn } = registration;
        Self {
            registered_at_ms: Some(registered_at.unix_ms()),
            key_id: key_id.map(|id| id.0.to_vec()),
            device_id: device_id.map(|id| id.0.to_vec()),
            public_key_sha256: public_key_sha256.map(|digest| digest.0.to_vec()),
            attestation: attestation.clone().map(Into::into),
            upn: upn.clone().map(Into::into),
        }
    }
}

impl TryFrom<v1::KeyRegistration> for KeyRegistration {
    type Error = InvalidField;

    fn try_from(message: v1::KeyRegistration) -> Result<Self, Self::Error> {
        let v1::KeyRegistration { registered_at_ms, key_id, device_id, public_key_sha256, attestation, upn } = message;
        Ok(Self {
            registered_at: field::time(registered_at_ms, "registered_at_ms")?,
            key_id: field::optional_guid(key_id.as_deref(), "key_id")?,
            device_id: field::optional_guid(device_id.as_deref(), "device_id")?,
            public_key_sha256: field::optional_sha256(public_key_sha256.as_deref(), "public_key_sha256")?,
            attestation: field::optional_text(attestation.as_deref(), "attestation")?,
            upn: field::optional_text(upn.as_deref(), "upn")?,
        })
    }
}
