//! The scheduler of Entra Connect.

use muster_evidence::{SyncScheduler, Timestamp};

use super::field::{self, InvalidField};
use crate::v1;

impl From<&SyncScheduler> for v1::SyncScheduler {
    fn from(scheduler: &SyncScheduler) -> Self {
        let SyncScheduler {
            allowed_interval_seconds,
            effective_interval_seconds,
            customized_interval_seconds,
            next_policy,
            next_start,
            enabled,
            maintenance_enabled,
            staging,
            suspended,
            in_progress,
        } = scheduler;
        Self {
            allowed_interval_seconds: *allowed_interval_seconds,
            effective_interval_seconds: *effective_interval_seconds,
            customized_interval_seconds: *customized_interval_seconds,
            next_policy: next_policy.clone().map(Into::into),
            next_start_ms: next_start.map(Timestamp::unix_ms),
            enabled: *enabled,
            maintenance_enabled: *maintenance_enabled,
            staging: *staging,
            suspended: *suspended,
            in_progress: *in_progress,
        }
    }
}

impl TryFrom<v1::SyncScheduler> for SyncScheduler {
    type Error = InvalidField;

    fn try_from(message: v1::SyncScheduler) -> Result<Self, Self::Error> {
        let v1::SyncScheduler {
            allowed_interval_seconds,
            effective_interval_seconds,
            customized_interval_seconds,
            next_policy,
            next_start_ms,
            enabled,
            maintenance_enabled,
            staging,
            suspended,
            in_progress,
        } = message;
        Ok(Self {
            allowed_interval_seconds,
            effective_interval_seconds,
            customized_interval_seconds,
            next_policy: field::optional_text(next_policy.as_deref(), "next_policy")?,
            next_start: field::optional_time(next_start_ms, "next_start_ms")?,
            enabled,
            maintenance_enabled,
            staging,
            suspended,
            in_progress,
        })
    }
}
