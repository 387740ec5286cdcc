//! The signed-in user as `dsregcmd /status` shows him: primary refresh token, Hello container, prerequisites.
//!
//! All of it is valid only when read in the user's own session; the observation's context says whether it was.

use serde::{Deserialize, Serialize};

use crate::{Guid, Text, Timestamp};

/// A flag that a system shows as yes, no, or neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tristate {
    /// YES.
    Yes,
    /// NO.
    No,
    /// UNKNOWN, ERROR, or anything else that says neither.
    Undetermined,
    /// The field was not shown.
    #[default]
    NotShown,
}

impl Tristate {
    /// Whether the field was not shown.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn is_not_shown(&self) -> bool {
        *self == Self::NotShown
    }

    /// The flag for a boolean.
    pub const fn from_bool(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }
}

/// A user's primary refresh token (`SSO State`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prt {
    /// `AzureAdPrt`.
    pub present: Tristate,
    /// `AzureAdPrtUpdateTime`.
    pub updated_at: Option<Timestamp>,
    /// `AzureAdPrtExpiryTime`.
    pub expires_at: Option<Timestamp>,
    /// `Attempt Status` of the last failed attempt, such as `0xc000006d`, if it belongs to this user.
    pub attempt_status: Option<Text>,
    /// `Server Error Description` of that attempt.
    pub server_error: Option<Text>,
    /// `OnPremTgt`: a Kerberos ticket for on-premises obtained through the PRT.
    pub on_prem_tgt: Tristate,
    /// `CloudTgt`.
    pub cloud_tgt: Tristate,
}

/// A user's Windows Hello container (`User State`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ngc {
    /// `NgcSet`.
    pub set: Tristate,
    /// `NgcKeyId`, the cloud's id of the key. Not comparable with the directory's KeyID, which is a hash.
    pub key_id: Option<Guid>,
    /// `CanReset`.
    pub can_reset: Option<CanReset>,
    /// `WamDefaultSet`.
    pub wam_default_set: Tristate,
    /// What `WamDefaultSet` says instead of yes or no, such as `ERROR (0xd0020017)`; `None` where it says one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wam_default_error: Option<Text>,
    /// `WorkplaceJoined`: this user registered a work account on the machine.
    #[serde(default, skip_serializing_if = "Tristate::is_not_shown")]
    pub workplace_joined: Tristate,
    /// `WorkAccountCount`; `None` where not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_accounts: Option<u32>,
}

/// `CanReset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanReset {
    /// `DestructiveOnly`.
    DestructiveOnly,
    /// `NonDestructiveOnly`.
    NonDestructiveOnly,
    /// `DestructiveAndNonDestructive`.
    DestructiveAndNonDestructive,
    /// `Unknown`, or a word that this build does not know.
    Unknown,
}

/// The section `Ngc Prerequisite Check`. Not shown at all is `Outcome::Absent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NgcPrerequisites {
    /// `IsDeviceJoined`.
    pub is_device_joined: Tristate,
    /// `IsUserAzureAD`.
    pub is_user_azure_ad: Tristate,
    /// `PolicyEnabled`.
    pub policy_enabled: Tristate,
    /// `PostLogonEnabled`.
    pub post_logon_enabled: Tristate,
    /// `DeviceEligible`.
    pub device_eligible: Tristate,
    /// `SessionIsNotRemote`.
    pub session_is_not_remote: Tristate,
    /// `CertEnrollment`.
    pub cert_enrollment: Option<CertEnrollment>,
    /// `OnPremTGT`, called `CloudTGT` before Windows 11 23H2.
    pub on_prem_tgt: Tristate,
    /// `PreReqResult`.
    pub result: PreReqResult,
    /// The code of `NgcPreReq : ERROR …`, which replaces the evaluation.
    pub error: Option<Text>,
}

/// `CertEnrollment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertEnrollment {
    /// `none`: key trust.
    None,
    /// `enrollment authority`.
    EnrollmentAuthority,
    /// `mobile device management`.
    MobileDeviceManagement,
    /// A word that this build does not know.
    Other,
}

/// `PreReqResult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreReqResult {
    /// `WillProvision`.
    WillProvision,
    /// `WillNotProvision`.
    WillNotProvision,
    /// Not shown, or a word that this build does not know.
    Undetermined,
}
