//! Membership of the machine: on-premises domain, Entra ID, and the state of its device object.

use serde::{Deserialize, Serialize};

use crate::{Guid, Text, Thumbprint, Timestamp, Tristate};

/// How a machine is joined.
///
/// The three flags are kept as observed; [`Self::kind`] reads them by Microsoft's truth table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinState {
    /// `AzureAdJoined`: the device is joined to Entra ID.
    pub azure_ad_joined: Tristate,
    /// `EnterpriseJoined`: joined to an on-premises device registration service.
    pub enterprise_joined: Tristate,
    /// `DomainJoined`: member of an on-premises domain.
    pub domain_joined: Tristate,
    /// `WorkplaceJoined` of the observed user: a registered work account, which is no device join.
    pub workplace_joined: Tristate,
    /// The domain the machine belongs to; `None` when it belongs to none or the name was not readable.
    pub domain: Option<DomainMembership>,
    /// The Entra ID tenant; `None` when not joined or not readable.
    pub tenant_id: Option<Guid>,
    /// The Entra ID device id; `None` when not joined or not readable.
    pub device_id: Option<Guid>,
    /// Whether the device's key lies in a TPM (`TpmProtected`).
    pub tpm_protected: Tristate,
    /// The answer of the device authentication test; `None` when the system does not show the field.
    pub device_auth: Option<DeviceAuth>,
    /// Validity of the device certificate; `None` when not shown.
    pub device_certificate_not_before: Option<Timestamp>,
    /// End of the device certificate; `None` when not shown.
    pub device_certificate_not_after: Option<Timestamp>,
    /// Thumbprint of the device certificate; `None` when not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_certificate_thumbprint: Option<Thumbprint>,
    /// `KeySignTest`: whether the device's key signs; `None` when not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_sign_test: Option<KeySignTest>,
    /// `AadRecoveryEnabled`, `AadRecoveryNeeded` of old builds: whether the device is marked for recovery, since its keys
    /// are not usable.
    #[serde(default, skip_serializing_if = "Tristate::is_not_shown")]
    pub recovery: Tristate,
}

/// `KeySignTest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySignTest {
    /// `PASSED`.
    Passed,
    /// `FAILED`; what it said.
    Failed(Text),
    /// `MUST Run elevated to test.`
    NotElevated,
}

/// A domain membership, by the names the machine knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainMembership {
    /// NetBIOS or DNS name, as shown.
    pub name: Text,
    /// The client software that holds the membership, such as `windows`, `sssd`, `winbind` or `realmd`.
    pub software: Text,
}

/// `DeviceAuthStatus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceAuth {
    /// `SUCCESS`.
    Success,
    /// `FAILED. Device is either disabled or deleted`.
    DisabledOrDeleted,
    /// The test itself failed; what it said.
    TestFailed(Text),
}

/// What the three flags say together (Microsoft, "Troubleshoot devices by using the dsregcmd command").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinKind {
    /// Joined to Entra ID only.
    EntraJoined,
    /// Member of a domain only.
    DomainOnly,
    /// Joined to both: hybrid.
    Hybrid,
    /// Joined to an on-premises device registration service.
    OnPremisesDrs,
    /// A registered work account and no join.
    WorkplaceOnly,
    /// Nothing.
    NotJoined,
    /// A combination that the table does not contain, or a flag that could not be read.
    Undetermined,
}

impl JoinState {
    /// Reads the three flags by the truth table.
    pub fn kind(&self) -> JoinKind {
        use Tristate::{No, Yes};
        match (self.azure_ad_joined, self.enterprise_joined, self.domain_joined) {
            (Yes, No, No) => JoinKind::EntraJoined,
            (No, No, Yes) => JoinKind::DomainOnly,
            (Yes, No, Yes) => JoinKind::Hybrid,
            (No, Yes, Yes) => JoinKind::OnPremisesDrs,
            (No, No, No) if self.workplace_joined == Yes => JoinKind::WorkplaceOnly,
            (No, No, No) => JoinKind::NotJoined,
            _ => JoinKind::Undetermined,
        }
    }
}
