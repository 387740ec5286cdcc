//! A user's session, and what shows of the user's PIN outside of it.

use muster_evidence::{PinProvider, Timestamp, UserSession};

use super::field::{self, InvalidField};
use super::tristate;
use crate::v1;

impl From<&UserSession> for v1::UserSession {
    fn from(session: &UserSession) -> Self {
        let UserSession { remote, signed_in_at, unlocked_at } = session;
        Self {
            remote: tristate::number(*remote),
            signed_in_at_ms: signed_in_at.map(Timestamp::unix_ms),
            unlocked_at_ms: unlocked_at.map(Timestamp::unix_ms),
        }
    }
}

impl TryFrom<v1::UserSession> for UserSession {
    type Error = InvalidField;

    fn try_from(message: v1::UserSession) -> Result<Self, Self::Error> {
        let v1::UserSession { remote, signed_in_at_ms, unlocked_at_ms } = message;
        Ok(Self {
            remote: tristate::read(remote, "remote")?,
            signed_in_at: field::optional_time(signed_in_at_ms, "signed_in_at_ms")?,
            unlocked_at: field::optional_time(unlocked_at_ms, "unlocked_at_ms")?,
        })
    }
}

impl From<&PinProvider> for v1::PinProvider {
    fn from(pin: &PinProvider) -> Self {
        let PinProvider { logon_credentials_available, convenience_pin } = pin;
        Self { logon_credentials_available: *logon_credentials_available, convenience_pin: *convenience_pin }
    }
}

impl TryFrom<v1::PinProvider> for PinProvider {
    type Error = InvalidField;

    fn try_from(message: v1::PinProvider) -> Result<Self, Self::Error> {
        let v1::PinProvider { logon_credentials_available, convenience_pin } = message;
        Ok(Self { logon_credentials_available, convenience_pin })
    }
}
