//! Values that decide how Windows Hello for Business and device registration are set up, as each channel carries them.
//!
//! Four channels set the same things: group policy of the computer and of the user, and mobile device management of the
//! device and of the user. Each is an observation of its own, since one may be readable where another is not; which
//! value acts is a rule (`muster-readiness`, `derive`). A channel whose keys do not exist is `Outcome::Absent`; a user's
//! hive that is not loaded is a failure, never "not set".

use serde::{Deserialize, Serialize};

use crate::{Guid, Text};

/// What one channel sets. `None` throughout: this channel does not set the value.
///
/// Numbers are kept as stored, in range or not; whether a number means anything is a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HelloPolicy {
    /// The tenant whose policies these are; `None` outside of MDM.
    pub tenant_id: Option<Guid>,
    /// `Enabled` of group policy, `UsePassportForWork` of MDM.
    pub enabled: Option<u32>,
    /// `DisablePostLogonProvisioning`.
    pub disable_post_logon_provisioning: Option<u32>,
    /// `RequireSecurityDevice`.
    pub require_security_device: Option<u32>,
    /// `ExcludeSecurityDevices\TPM12`.
    pub exclude_tpm12: Option<u32>,
    /// `UseCertificateForOnPremAuth`.
    pub use_certificate_for_on_prem_auth: Option<u32>,
    /// `UseCloudTrustForOnPremAuth`.
    pub use_cloud_trust_for_on_prem_auth: Option<u32>,
    /// `EnablePinRecovery`.
    pub enable_pin_recovery: Option<u32>,
    /// `UseHelloCertificatesAsSmartCardCertificates`.
    pub use_hello_certificates_as_smart_cards: Option<u32>,
    /// `Remote\UseRemotePassport`.
    pub use_remote_passport: Option<u32>,
    /// `EnableWindowsHelloProvisioningForSecurityKeys`.
    pub enable_security_key_provisioning: Option<u32>,
    /// `PINComplexity`.
    pub pin: PinComplexity,
    /// `Biometrics\Enabled` of group policy, `Biometrics\UseBiometrics` of MDM.
    pub use_biometrics: Option<u32>,
    /// `Biometrics\FacialFeaturesUseEnhancedAntiSpoofing`.
    pub enhanced_anti_spoofing: Option<u32>,
    /// Values that are there and are no DWORD, by name: what they set is not known. At most
    /// [`crate::limits::POLICY_VALUES`].
    pub unreadable: Vec<Text>,
    /// Values that this build does not know, as `name=data`. At most [`crate::limits::POLICY_VALUES`].
    pub other: Vec<Text>,
}

/// `PINComplexity`: the eight settings, in the order of Microsoft's page.
///
/// Of the four classes 0 means allowed, 1 required, 2 not allowed (`PassportForWork` CSP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PinComplexity {
    /// `MinimumPINLength`, in characters.
    pub minimum_length: Option<u32>,
    /// `MaximumPINLength`, in characters.
    pub maximum_length: Option<u32>,
    /// `UppercaseLetters`.
    pub uppercase: Option<u32>,
    /// `LowercaseLetters`.
    pub lowercase: Option<u32>,
    /// `SpecialCharacters`.
    pub special: Option<u32>,
    /// `Digits`.
    pub digits: Option<u32>,
    /// `History`: PINs that cannot be used again.
    pub history: Option<u32>,
    /// `Expiration`, in days; 0 never.
    pub expiration_days: Option<u32>,
}

/// What is set on the machine about its registration in Entra ID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRegistrationPolicy {
    /// `SOFTWARE\Policies\Microsoft\Windows\WorkplaceJoin\BlockAADWorkplaceJoin`.
    pub block_workplace_join: Option<u32>,
    /// `SOFTWARE\Policies\Microsoft\Windows\WorkplaceJoin\autoWorkplaceJoin`.
    pub auto_workplace_join: Option<u32>,
    /// `SOFTWARE\Microsoft\Windows\CurrentVersion\CDJ\AAD\TenantId`: the client's own service connection point.
    pub scp_tenant_id: Option<Guid>,
    /// `SOFTWARE\Microsoft\Windows\CurrentVersion\CDJ\AAD\TenantName`.
    pub scp_tenant_name: Option<Text>,
}
