//! The prerequisite evaluation of Windows Hello.

use muster_evidence::{CertEnrollment, NgcPrerequisites, PreReqResult};

use super::field::{self, InvalidField, wire_enum};
use super::tristate;
use crate::v1;

wire_enum!(
    CertEnrollment,
    v1::CertEnrollment {
        None = None,
        EnrollmentAuthority = EnrollmentAuthority,
        MobileDeviceManagement = MobileDeviceManagement,
        Other = Other,
    }
);

impl From<PreReqResult> for v1::PreReqResult {
    fn from(result: PreReqResult) -> Self {
        match result {
            PreReqResult::Undetermined => Self::Unspecified,
            PreReqResult::WillProvision => Self::WillProvision,
            PreReqResult::WillNotProvision => Self::WillNotProvision,
        }
    }
}

/// Reads the result. Unlike other enums, 0 has a meaning of its own: not shown, or a word the probe does not know.
fn result(number: i32, field: &str) -> Result<PreReqResult, InvalidField> {
    match v1::PreReqResult::try_from(number) {
        Ok(v1::PreReqResult::Unspecified) => Ok(PreReqResult::Undetermined),
        Ok(v1::PreReqResult::WillProvision) => Ok(PreReqResult::WillProvision),
        Ok(v1::PreReqResult::WillNotProvision) => Ok(PreReqResult::WillNotProvision),
        Err(_) => Err(InvalidField::UnknownValue {
            field: field.to_owned(),
            found: number.into(),
            most: (v1::PreReqResult::WillNotProvision as i32).into(),
        }),
    }
}

impl From<&NgcPrerequisites> for v1::NgcPrerequisites {
    fn from(section: &NgcPrerequisites) -> Self {
        let NgcPrerequisites {
            is_device_joined,
            is_user_azure_ad,
            policy_enabled,
            post_logon_enabled,
            device_eligible,
            session_is_not_remote,
            cert_enrollment,
            on_prem_tgt,
            result,
            error,
        } = section;
        Self {
            is_device_joined: tristate::number(*is_device_joined),
            is_user_azure_ad: tristate::number(*is_user_azure_ad),
            policy_enabled: tristate::number(*policy_enabled),
            post_logon_enabled: tristate::number(*post_logon_enabled),
            device_eligible: tristate::number(*device_eligible),
            session_is_not_remote: tristate::number(*session_is_not_remote),
            cert_enrollment: field::enum_number(cert_enrollment.map(v1::CertEnrollment::from)),
            on_prem_tgt: tristate::number(*on_prem_tgt),
            result: v1::PreReqResult::from(*result).into(),
            error: error.clone().map(Into::into),
        }
    }
}

impl TryFrom<v1::NgcPrerequisites> for NgcPrerequisites {
    type Error = InvalidField;

    fn try_from(message: v1::NgcPrerequisites) -> Result<Self, Self::Error> {
        let v1::NgcPrerequisites {
            is_device_joined,
            is_user_azure_ad,
            policy_enabled,
            post_logon_enabled,
            device_eligible,
            session_is_not_remote,
            cert_enrollment,
            on_prem_tgt,
            result: evaluated,
            error,
        } = message;
        Ok(Self {
            is_device_joined: tristate::read(is_device_joined, "is_device_joined")?,
            is_user_azure_ad: tristate::read(is_user_azure_ad, "is_user_azure_ad")?,
            policy_enabled: tristate::read(policy_enabled, "policy_enabled")?,
            post_logon_enabled: tristate::read(post_logon_enabled, "post_logon_enabled")?,
            device_eligible: tristate::read(device_eligible, "device_eligible")?,
            session_is_not_remote: tristate::read(session_is_not_remote, "session_is_not_remote")?,
            cert_enrollment: field::optional_enum(cert_enrollment, "cert_enrollment")?,
            on_prem_tgt: tristate::read(on_prem_tgt, "on_prem_tgt")?,
            result: result(evaluated, "result")?,
            error: field::optional_text(error.as_deref(), "error")?,
        })
    }
}
