//! A user's primary refresh token.

use muster_evidence::{Prt, Timestamp};

use super::field::{self, InvalidField};
use super::tristate;
use crate::v1;

impl From<&Prt> for v1::Prt {
    fn from(prt: &Prt) -> Self {
        let Prt { present, updated_at, expires_at, attempt_status, server_error, on_prem_tgt, cloud_tgt } = prt;
        Self {
            present: tristate::number(*present),
            updated_at_ms: updated_at.map(Timestamp::unix_ms),
            expires_at_ms: expires_at.map(Timestamp::unix_ms),
            attempt_status: attempt_status.clone().map(Into::into),
            server_error: server_error.clone().map(Into::into),
            on_prem_tgt: tristate::number(*on_prem_tgt),
            cloud_tgt: tristate::number(*cloud_tgt),
        }
    }
}

impl TryFrom<v1::Prt> for Prt {
    type Error = InvalidField;

    fn try_from(message: v1::Prt) -> Result<Self, Self::Error> {
        let v1::Prt { present, updated_at_ms, expires_at_ms, attempt_status, server_error, on_prem_tgt, cloud_tgt } =
            message;
        Ok(Self {
            present: tristate::read(present, "present")?,
            updated_at: field::optional_time(updated_at_ms, "updated_at_ms")?,
            expires_at: field::optional_time(expires_at_ms, "expires_at_ms")?,
            attempt_status: field::optional_text(attempt_status.as_deref(), "attempt_status")?,
            server_error: field::optional_text(server_error.as_deref(), "server_error")?,
            on_prem_tgt: tristate::read(on_prem_tgt, "on_prem_tgt")?,
            cloud_tgt: tristate::read(cloud_tgt, "cloud_tgt")?,
        })
    }
}
