//! The scheduler of Entra Connect (`Get-ADSyncScheduler`).

use serde::{Deserialize, Serialize};

use crate::{Text, Timestamp};

/// The scheduler's settings and state. `None`: not shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncScheduler {
    /// `AllowedSyncCycleInterval`, in seconds.
    pub allowed_interval_seconds: Option<u32>,
    /// `CurrentlyEffectiveSyncCycleInterval`, in seconds.
    pub effective_interval_seconds: Option<u32>,
    /// `CustomizedSyncCycleInterval`, in seconds.
    pub customized_interval_seconds: Option<u32>,
    /// `NextSyncCyclePolicyType`, such as `Delta`.
    pub next_policy: Option<Text>,
    /// `NextSyncCycleStartTimeInUTC`.
    pub next_start: Option<Timestamp>,
    /// `SyncCycleEnabled`.
    pub enabled: Option<bool>,
    /// `MaintenanceEnabled`.
    pub maintenance_enabled: Option<bool>,
    /// `StagingModeEnabled`.
    pub staging: Option<bool>,
    /// `SchedulerSuspended`.
    pub suspended: Option<bool>,
    /// `SyncCycleInProgress`.
    pub in_progress: Option<bool>,
}
