//! The key distribution centre of a domain controller: its service, what is set about it, what it has to do.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The state of the service `Kdc` (`SERVICE_STATUS_PROCESS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// `SERVICE_RUNNING`, 4.
    Running,
    /// `SERVICE_START_PENDING`, 2, or `SERVICE_CONTINUE_PENDING`, 5.
    Starting,
    /// `SERVICE_STOP_PENDING`, 3, or `SERVICE_PAUSE_PENDING`, 6.
    Stopping,
    /// `SERVICE_STOPPED`, 1.
    Stopped,
    /// `SERVICE_PAUSED`, 7.
    Paused,
}

/// The service of the KDC. A machine without such a service is `Outcome::Absent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdcService {
    /// Its state.
    pub state: ServiceState,
    /// Whether it is disabled (`Start` 4); `None` where not readable.
    pub disabled: Option<bool>,
}

/// What is set about the KDC in the registry. `None`: the value is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KdcPolicy {
    /// `SYSTEM\CurrentControlSet\Services\Kdc\AllowNtAuthPolicyBypass` (KB5057784).
    pub allow_nt_auth_policy_bypass: Option<u32>,
    /// `SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System\SAM\SamNGCKeyROCAValidation` (ADV190026).
    pub sam_ngc_key_roca_validation: Option<u32>,
}

/// How many AS requests the KDC answers: the last full hour of its counter. The points themselves are a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdcLoad {
    /// Which counter was read.
    pub counter: KdcCounter,
    /// Begin of the hour.
    pub since: Timestamp,
    /// The busiest minute, in thousandths of a request per second.
    pub peak_milli: u32,
    /// The mean, in thousandths of a request per second.
    pub mean_milli: u32,
    /// Minutes of the hour with a value, at most 60.
    pub minutes: u32,
}

/// A performance counter of AS requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KdcCounter {
    /// `\Security System-Wide Statistics\KDC AS Requests`.
    SecuritySystemWide,
    /// `\NTDS\KDC AS Requests`, of old systems.
    Ntds,
}
