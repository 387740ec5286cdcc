//! The registration of a user's Hello key at the endpoint: event 300 of `User Device Registration/Admin`.
//!
//! The probe stores it durably when first seen, since event logs roll over.

use serde::{Deserialize, Serialize};

use crate::{Guid, Sha256, Text, Timestamp};

/// A key registration that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRegistration {
    /// When the registration succeeded (T_reg).
    pub registered_at: Timestamp,
    /// The cloud's id of the key; `None` where the event did not carry it.
    pub key_id: Option<Guid>,
    /// The Entra device id of the machine at registration; `None` where not known.
    pub device_id: Option<Guid>,
    /// SHA-256 of the public key blob, which equals the directory's KeyID; `None` where it was not exported.
    pub public_key_sha256: Option<Sha256>,
    /// Attestation as the event writes it, such as `ATT_SOFT`.
    pub attestation: Option<Text>,
    /// The user principal name the key was registered under; `None` where it was not known, or is not reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upn: Option<Text>,
}
