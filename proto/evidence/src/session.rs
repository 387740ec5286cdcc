//! A user's session on a machine, and what shows outside of it that the user has a PIN.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, Tristate};

/// The latest interactive session of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSession {
    /// Whether the session is a remote one (`WTSClientProtocolType` other than the console's).
    pub remote: Tristate,
    /// When the user signed in; `None` where not readable.
    pub signed_in_at: Option<Timestamp>,
    /// When the session was last unlocked; `None` where it was not since the probe started, or nobody looked.
    pub unlocked_at: Option<Timestamp>,
}

/// What the registry shows to anybody of a user's PIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PinProvider {
    /// `LogonCredsAvailable` of the PIN credential provider for the user: 1 a Hello PIN is in use, 2 it is not. It does
    /// not tell a business credential from a convenience PIN.
    pub logon_credentials_available: Option<u32>,
    /// Whether `LogonUI\NgcPin\Credentials\<SID>` exists, which third parties read as a convenience PIN; `None` where
    /// nobody looked.
    pub convenience_pin: Option<bool>,
}
