//! What the channels of policy set.

use muster_evidence::{DeviceRegistrationPolicy, HelloPolicy, PinComplexity, limits};

use super::field::{self, InvalidField};
use crate::v1;

impl From<&HelloPolicy> for v1::HelloPolicy {
    fn from(policy: &HelloPolicy) -> Self {
        let HelloPolicy {
            tenant_id,
            enabled,
            disable_post_logon_provisioning,
            require_security_device,
            exclude_tpm12,
            use_certificate_for_on_prem_auth,
            use_cloud_trust_for_on_prem_auth,
            enable_pin_recovery,
            use_hello_certificates_as_smart_cards,
            use_remote_passport,
            enable_security_key_provisioning,
            pin,
            use_biometrics,
            enhanced_anti_spoofing,
            unreadable,
            other,
        } = policy;
        Self {
            tenant_id: tenant_id.map(|id| id.0.to_vec()),
            enabled: *enabled,
            disable_post_logon_provisioning: *disable_post_logon_provisioning,
            require_security_device: *require_security_device,
            exclude_tpm12: *exclude_tpm12,
            use_certificate_for_on_prem_auth: *use_certificate_for_on_prem_auth,
            use_cloud_trust_for_on_prem_auth: *use_cloud_trust_for_on_prem_auth,
            enable_pin_recovery: *enable_pin_recovery,
            use_hello_certificates_as_smart_cards: *use_hello_certificates_as_smart_cards,
            use_remote_passport: *use_remote_passport,
            enable_security_key_provisioning: *enable_security_key_provisioning,
            pin: Some(pin.into()),
            use_biometrics: *use_biometrics,
            enhanced_anti_spoofing: *enhanced_anti_spoofing,
            unreadable: unreadable.iter().map(ToString::to_string).collect(),
            other: other.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<v1::HelloPolicy> for HelloPolicy {
    type Error = InvalidField;

    fn try_from(message: v1::HelloPolicy) -> Result<Self, Self::Error> {
        let v1::HelloPolicy {
            tenant_id,
            enabled,
            disable_post_logon_provisioning,
            require_security_device,
            exclude_tpm12,
            use_certificate_for_on_prem_auth,
            use_cloud_trust_for_on_prem_auth,
            enable_pin_recovery,
            use_hello_certificates_as_smart_cards,
            use_remote_passport,
            enable_security_key_provisioning,
            pin,
            use_biometrics,
            enhanced_anti_spoofing,
            unreadable,
            other,
        } = message;
        Ok(Self {
            tenant_id: field::optional_guid(tenant_id.as_deref(), "tenant_id")?,
            enabled,
            disable_post_logon_provisioning,
            require_security_device,
            exclude_tpm12,
            use_certificate_for_on_prem_auth,
            use_cloud_trust_for_on_prem_auth,
            enable_pin_recovery,
            use_hello_certificates_as_smart_cards,
            use_remote_passport,
            enable_security_key_provisioning,
            pin: field::required_nested(pin, "pin")?,
            use_biometrics,
            enhanced_anti_spoofing,
            unreadable: field::texts(&unreadable, limits::POLICY_VALUES, "unreadable")?,
            other: field::texts(&other, limits::POLICY_VALUES, "other")?,
        })
    }
}

impl From<&PinComplexity> for v1::PinComplexity {
    fn from(pin: &PinComplexity) -> Self {
        let PinComplexity {
            minimum_length,
            maximum_length,
            uppercase,
            lowercase,
            special,
            digits,
            history,
            expiration_days,
        } = pin;
        Self {
            minimum_length: *minimum_length,
            maximum_length: *maximum_length,
            uppercase: *uppercase,
            lowercase: *lowercase,
            special: *special,
            digits: *digits,
            history: *history,
            expiration_days: *expiration_days,
        }
    }
}

impl TryFrom<v1::PinComplexity> for PinComplexity {
    type Error = InvalidField;

    fn try_from(message: v1::PinComplexity) -> Result<Self, Self::Error> {
        let v1::PinComplexity {
            minimum_length,
            maximum_length,
            uppercase,
            lowercase,
            special,
            digits,
            history,
            expiration_days,
        } = message;
        Ok(Self { minimum_length, maximum_length, uppercase, lowercase, special, digits, history, expiration_days })
    }
}

impl From<&DeviceRegistrationPolicy> for v1::DeviceRegistrationPolicy {
    fn from(policy: &DeviceRegistrationPolicy) -> Self {
        let DeviceRegistrationPolicy { block_workplace_join, auto_workplace_join, scp_tenant_id, scp_tenant_name } =
            policy;
        Self {
            block_workplace_join: *block_workplace_join,
            auto_workplace_join: *auto_workplace_join,
            scp_tenant_id: scp_tenant_id.map(|id| id.0.to_vec()),
            scp_tenant_name: scp_tenant_name.clone().map(Into::into),
        }
    }
}

impl TryFrom<v1::DeviceRegistrationPolicy> for DeviceRegistrationPolicy {
    type Error = InvalidField;

    fn try_from(message: v1::DeviceRegistrationPolicy) -> Result<Self, Self::Error> {
        let v1::DeviceRegistrationPolicy { block_workplace_join, auto_workplace_join, scp_tenant_id, scp_tenant_name } =
            message;
        Ok(Self {
            block_workplace_join,
            auto_workplace_join,
            scp_tenant_id: field::optional_guid(scp_tenant_id.as_deref(), "scp_tenant_id")?,
            scp_tenant_name: field::optional_text(scp_tenant_name.as_deref(), "scp_tenant_name")?,
        })
    }
}
