//! The key distribution centre of a domain controller.

use muster_evidence::{KdcCounter, KdcLoad, KdcPolicy, KdcService, ServiceState};

use super::field::{self, InvalidField, wire_enum};
use crate::v1;

wire_enum!(
    ServiceState,
    v1::ServiceState { Running = Running, Starting = Starting, Stopping = Stopping, Stopped = Stopped, Paused = Paused }
);
wire_enum!(KdcCounter, v1::KdcCounter { SecuritySystemWide = SecuritySystemWide, Ntds = Ntds });

impl From<&KdcService> for v1::KdcService {
    fn from(service: &KdcService) -> Self {
        let KdcService { state, disabled } = service;
        Self { state: v1::ServiceState::from(*state).into(), disabled: *disabled }
    }
}

impl TryFrom<v1::KdcService> for KdcService {
    type Error = InvalidField;

    fn try_from(message: v1::KdcService) -> Result<Self, Self::Error> {
        let v1::KdcService { state, disabled } = message;
        Ok(Self { state: field::required_enum(state, "state")?, disabled })
    }
}

impl From<&KdcPolicy> for v1::KdcPolicy {
    fn from(policy: &KdcPolicy) -> Self {
        let KdcPolicy { allow_nt_auth_policy_bypass, sam_ngc_key_roca_validation } = policy;
        Self {
            allow_nt_auth_policy_bypass: *allow_nt_auth_policy_bypass,
            sam_ngc_key_roca_validation: *sam_ngc_key_roca_validation,
        }
    }
}

impl TryFrom<v1::KdcPolicy> for KdcPolicy {
    type Error = InvalidField;

    fn try_from(message: v1::KdcPolicy) -> Result<Self, Self::Error> {
        let v1::KdcPolicy { allow_nt_auth_policy_bypass, sam_ngc_key_roca_validation } = message;
        Ok(Self { allow_nt_auth_policy_bypass, sam_ngc_key_roca_validation })
    }
}

impl From<&KdcLoad> for v1::KdcLoad {
    fn from(load: &KdcLoad) -> Self {
        let KdcLoad { counter, since, peak_milli, mean_milli, minutes } = load;
        Self {
            counter: v1::KdcCounter::from(*counter).into(),
            since_ms: Some(since.unix_ms()),
            peak_milli: *peak_milli,
            mean_milli: *mean_milli,
            minutes: *minutes,
        }
    }
}

impl TryFrom<v1::KdcLoad> for KdcLoad {
    type Error = InvalidField;

    fn try_from(message: v1::KdcLoad) -> Result<Self, Self::Error> {
        let v1::KdcLoad { counter, since_ms, peak_milli, mean_milli, minutes } = message;
        Ok(Self {
            counter: field::required_enum(counter, "counter")?,
            since: field::time(since_ms, "since_ms")?,
            peak_milli,
            mean_milli,
            minutes,
        })
    }
}
