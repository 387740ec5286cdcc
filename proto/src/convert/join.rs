//! Membership of the machine.

use muster_evidence::{DeviceAuth, DomainMembership, JoinState, KeySignTest, Timestamp};

use super::field::{self, InvalidField};
use super::tristate;
use crate::v1;

impl From<&JoinState> for v1::JoinState {
    fn from(join: &JoinState) -> Self {
        let JoinState {
            azure_ad_joined,
            enterprise_joined,
            domain_joined,
            workplace_joined,
            domain,
            tenant_id,
            device_id,
            tpm_protected,
            device_auth,
            device_certificate_not_before,
            device_certificate_not_after,
            device_certificate_thumbprint,
            key_sign_test,
            recovery,
        } = join;
        Self {
            azure_ad_joined: tristate::number(*azure_ad_joined),
            enterprise_joined: tristate::number(*enterprise_joined),
            domain_joined: tristate::number(*domain_joined),
            workplace_joined: tristate::number(*workplace_joined),
            domain: domain.as_ref().map(|DomainMembership { name, software }| v1::DomainMembership {
                name: name.to_string(),
                software: software.to_string(),
            }),
            tenant_id: tenant_id.map(|id| id.0.to_vec()),
            device_id: device_id.map(|id| id.0.to_vec()),
            tpm_protected: tristate::number(*tpm_protected),
            device_auth: device_auth.as_ref().map(Into::into),
            device_certificate_not_before_ms: device_certificate_not_before.map(Timestamp::unix_ms),
            device_certificate_not_after_ms: device_certificate_not_after.map(Timestamp::unix_ms),
            device_certificate_thumbprint: device_certificate_thumbprint.map(|thumbprint| thumbprint.0.to_vec()),
            key_sign_test: key_sign_test.as_ref().map(Into::into),
            recovery: tristate::number(*recovery),
        }
    }
}

impl TryFrom<v1::JoinState> for JoinState {
    type Error = InvalidField;

    fn try_from(message: v1::JoinState) -> Result<Self, Self::Error> {
        let v1::JoinState {
            azure_ad_joined,
            enterprise_joined,
            domain_joined,
            workplace_joined,
            domain,
            tenant_id,
            device_id,
            tpm_protected,
            device_auth,
            device_certificate_not_before_ms,
            device_certificate_not_after_ms,
            device_certificate_thumbprint,
            key_sign_test,
            recovery,
        } = message;
        Ok(Self {
            azure_ad_joined: tristate::read(azure_ad_joined, "azure_ad_joined")?,
            enterprise_joined: tristate::read(enterprise_joined, "enterprise_joined")?,
            domain_joined: tristate::read(domain_joined, "domain_joined")?,
            workplace_joined: tristate::read(workplace_joined, "workplace_joined")?,
            domain: field::nested(domain, "domain")?,
            tenant_id: field::optional_guid(tenant_id.as_deref(), "tenant_id")?,
            device_id: field::optional_guid(device_id.as_deref(), "device_id")?,
            tpm_protected: tristate::read(tpm_protected, "tpm_protected")?,
            device_auth: field::nested(device_auth, "device_auth")?,
            device_certificate_not_before: field::optional_time(
                device_certificate_not_before_ms,
                "device_certificate_not_before_ms",
            )?,
            device_certificate_not_after: field::optional_time(
                device_certificate_not_after_ms,
                "device_certificate_not_after_ms",
            )?,
            device_certificate_thumbprint: field::optional_thumbprint(
                device_certificate_thumbprint.as_deref(),
                "device_certificate_thumbprint",
            )?,
            key_sign_test: field::nested(key_sign_test, "key_sign_test")?,
            recovery: tristate::read(recovery, "recovery")?,
        })
    }
}

impl TryFrom<v1::DomainMembership> for DomainMembership {
    type Error = InvalidField;

    fn try_from(message: v1::DomainMembership) -> Result<Self, Self::Error> {
        let v1::DomainMembership { name, software } = message;
        Ok(Self { name: field::text(&name, "name")?, software: field::text(&software, "software")? })
    }
}

impl From<&DeviceAuth> for v1::DeviceAuth {
    fn from(answer: &DeviceAuth) -> Self {
        let (status, detail) = match answer {
            DeviceAuth::Success => (v1::DeviceAuthStatus::Success, String::new()),
            DeviceAuth::DisabledOrDeleted => (v1::DeviceAuthStatus::DisabledOrDeleted, String::new()),
            DeviceAuth::TestFailed(detail) => (v1::DeviceAuthStatus::TestFailed, detail.to_string()),
        };
        Self { status: status.into(), detail }
    }
}

impl TryFrom<v1::DeviceAuth> for DeviceAuth {
    type Error = InvalidField;

    fn try_from(message: v1::DeviceAuth) -> Result<Self, Self::Error> {
        let v1::DeviceAuth { status, detail } = message;
        match v1::DeviceAuthStatus::try_from(status) {
            Ok(v1::DeviceAuthStatus::Unspecified) => Err(InvalidField::missing("status")),
            Ok(v1::DeviceAuthStatus::Success) => Ok(Self::Success),
            Ok(v1::DeviceAuthStatus::DisabledOrDeleted) => Ok(Self::DisabledOrDeleted),
            Ok(v1::DeviceAuthStatus::TestFailed) => Ok(Self::TestFailed(field::text(&detail, "detail")?)),
            Err(_) => Err(InvalidField::UnknownValue {
                field: "status".to_owned(),
                found: status.into(),
                most: (v1::DeviceAuthStatus::TestFailed as i32).into(),
            }),
        }
    }
}

impl From<&KeySignTest> for v1::KeySignTest {
    fn from(test: &KeySignTest) -> Self {
        let (status, detail) = match test {
            KeySignTest::Passed => (v1::KeySignStatus::Passed, String::new()),
            KeySignTest::Failed(detail) => (v1::KeySignStatus::Failed, detail.to_string()),
            KeySignTest::NotElevated => (v1::KeySignStatus::NotElevated, String::new()),
        };
        Self { status: status.into(), detail }
    }
}

impl TryFrom<v1::KeySignTest> for KeySignTest {
    type Error = InvalidField;

    fn try_from(message: v1::KeySignTest) -> Result<Self, Self::Error> {
        let v1::KeySignTest { status, detail } = message;
        match v1::KeySignStatus::try_from(status) {
            Ok(v1::KeySignStatus::Unspecified) => Err(InvalidField::missing("status")),
            Ok(v1::KeySignStatus::Passed) => Ok(Self::Passed),
            Ok(v1::KeySignStatus::Failed) => Ok(Self::Failed(field::text(&detail, "detail")?)),
            Ok(v1::KeySignStatus::NotElevated) => Ok(Self::NotElevated),
            Err(_) => Err(InvalidField::UnknownValue {
                field: "status".to_owned(),
                found: status.into(),
                most: (v1::KeySignStatus::NotElevated as i32).into(),
            }),
        }
    }
}
