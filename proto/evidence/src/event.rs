//! Events as facts: the newest of each kind that rules read, never the rendered text.

use serde::{Deserialize, Serialize};

use crate::{Text, Timestamp, Tristate};

/// The newest of the events that say whether provisioning of Hello starts for a user (358, 360, 361, 362 of
/// `Microsoft-Windows-User Device Registration/Admin`), read by the names of its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisioningEvent {
    /// 358 it will be launched; 360, 361, 362 it will not.
    pub id: u32,
    /// When it was written.
    pub at: Timestamp,
    /// `DeviceIsJoined`.
    pub device_is_joined: Tristate,
    /// `AADPrt`.
    pub aad_prt: Tristate,
    /// `NgcPolicyEnabled`.
    pub policy_enabled: Tristate,
    /// `NgcPostLogonProvisioningEnabled`; some builds do not write it.
    pub post_logon_enabled: Tristate,
    /// `NgcHardwarePolicyMet`.
    pub hardware_policy_met: Tristate,
    /// `UserIsRemote` turned round: the event's Yes means that the user is *not* connected remotely.
    pub session_is_local: Tristate,
    /// `LogonCertRequired`.
    pub certificate_required: Tristate,
    /// `MachinePolicySource`; `None` where it is not written.
    pub policy_source: Option<Text>,
}

/// The newest events of several kinds in the logs of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSummary {
    /// The logs that were looked through, and whether they could be read. At most [`crate::limits::EVENT_LOGS`].
    pub logs: Vec<EventLog>,
    /// The newest of each kind, by log and id. At most [`crate::limits::EVENT_KINDS`].
    pub events: Vec<NewestEvent>,
}

/// A log that was looked through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLog {
    /// Its channel, such as `System`.
    pub channel: Text,
    /// How looking went.
    pub state: EventLogState,
    /// The oldest event that it still holds; `None` where not known. What came before is not seen.
    pub oldest: Option<Timestamp>,
}

/// How looking through a log went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventLogState {
    /// It was read.
    Read,
    /// The channel is switched off: no event in it says nothing.
    Disabled,
    /// It could not be read: why.
    Unreadable(Text),
}

/// The newest event of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestEvent {
    /// The channel it stands in.
    pub channel: Text,
    /// Its provider.
    pub provider: Text,
    /// Its id.
    pub id: u32,
    /// When it was written.
    pub at: Timestamp,
    /// What of its data rules read, such as a thumbprint or an error code; `None` where nothing of it is read.
    pub data: Option<Text>,
}

impl EventSummary {
    /// The newest event of that id in a channel.
    pub fn newest(&self, channel: &str, id: u32) -> Option<&NewestEvent> {
        self.events
            .iter()
            .filter(|event| event.id == id && event.channel.as_str() == channel)
            .max_by_key(|event| event.at)
    }

    /// How looking through a channel went; `None` where nobody looked.
    pub fn log(&self, channel: &str) -> Option<&EventLog> {
        self.logs.iter().find(|log| log.channel.as_str() == channel)
    }
}
