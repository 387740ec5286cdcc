//! Events as facts.

use muster_evidence::{EventLog, EventLogState, EventSummary, NewestEvent, ProvisioningEvent, Timestamp, limits};

use super::field::{self, InvalidField};
use super::tristate;
use crate::v1;
use crate::v1::event_log::State;

impl From<&ProvisioningEvent> for v1::ProvisioningEvent {
    fn from(event: &ProvisioningEvent) -> Self {
        let ProvisioningEvent {
            id,
            at,
            device_is_joined,
            aad_prt,
            policy_enabled,
            post_logon_enabled,
            hardware_policy_met,
            session_is_local,
            certificate_required,
            policy_source,
        } = event;
        Self {
            id: *id,
            at_ms: Some(at.unix_ms()),
            device_is_joined: tristate::number(*device_is_joined),
            aad_prt: tristate::number(*aad_prt),
            policy_enabled: tristate::number(*policy_enabled),
            post_logon_enabled: tristate::number(*post_logon_enabled),
            hardware_policy_met: tristate::number(*hardware_policy_met),
            session_is_local: tristate::number(*session_is_local),
            certificate_required: tristate::number(*certificate_required),
            policy_source: policy_source.clone().map(Into::into),
        }
    }
}

impl TryFrom<v1::ProvisioningEvent> for ProvisioningEvent {
    type Error = InvalidField;

    fn try_from(message: v1::ProvisioningEvent) -> Result<Self, Self::Error> {
        let v1::ProvisioningEvent {
            id,
            at_ms,
            device_is_joined,
            aad_prt,
            policy_enabled,
            post_logon_enabled,
            hardware_policy_met,
            session_is_local,
            certificate_required,
            policy_source,
        } = message;
        Ok(Self {
            id,
            at: field::time(at_ms, "at_ms")?,
            device_is_joined: tristate::read(device_is_joined, "device_is_joined")?,
            aad_prt: tristate::read(aad_prt, "aad_prt")?,
            policy_enabled: tristate::read(policy_enabled, "policy_enabled")?,
            post_logon_enabled: tristate::read(post_logon_enabled, "post_logon_enabled")?,
            hardware_policy_met: tristate::read(hardware_policy_met, "hardware_policy_met")?,
            session_is_local: tristate::read(session_is_local, "session_is_local")?,
            certificate_required: tristate::read(certificate_required, "certificate_required")?,
            policy_source: field::optional_text(policy_source.as_deref(), "policy_source")?,
        })
    }
}

impl From<&EventSummary> for v1::EventSummary {
    fn from(summary: &EventSummary) -> Self {
        let EventSummary { logs, events } = summary;
        Self { logs: logs.iter().map(Into::into).collect(), events: events.iter().map(Into::into).collect() }
    }
}

impl TryFrom<v1::EventSummary> for EventSummary {
    type Error = InvalidField;

    fn try_from(message: v1::EventSummary) -> Result<Self, Self::Error> {
        let v1::EventSummary { logs, events } = message;
        Ok(Self {
            logs: field::list(logs, limits::EVENT_LOGS, "logs")?,
            events: field::list(events, limits::EVENT_KINDS, "events")?,
        })
    }
}

impl From<&EventLog> for v1::EventLog {
    fn from(log: &EventLog) -> Self {
        let EventLog { channel, state, oldest } = log;
        Self {
            channel: channel.to_string(),
            oldest_ms: oldest.map(Timestamp::unix_ms),
            state: Some(match state {
                EventLogState::Read => State::Read(v1::EventLogRead {}),
                EventLogState::Disabled => State::Disabled(v1::EventLogDisabled {}),
                EventLogState::Unreadable(why) => State::Unreadable(why.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::EventLog> for EventLog {
    type Error = InvalidField;

    fn try_from(message: v1::EventLog) -> Result<Self, Self::Error> {
        let v1::EventLog { channel, oldest_ms, state } = message;
        Ok(Self {
            channel: field::text(&channel, "channel")?,
            state: match field::required(state, "state")? {
                State::Read(v1::EventLogRead {}) => EventLogState::Read,
                State::Disabled(v1::EventLogDisabled {}) => EventLogState::Disabled,
                State::Unreadable(why) => EventLogState::Unreadable(field::text(&why, "unreadable")?),
            },
            oldest: field::optional_time(oldest_ms, "oldest_ms")?,
        })
    }
}

impl From<&NewestEvent> for v1::NewestEvent {
    fn from(event: &NewestEvent) -> Self {
        let NewestEvent { channel, provider, id, at, data } = event;
        Self {
            channel: channel.to_string(),
            provider: provider.to_string(),
            id: *id,
            at_ms: Some(at.unix_ms()),
            data: data.clone().map(Into::into),
        }
    }
}

impl TryFrom<v1::NewestEvent> for NewestEvent {
    type Error = InvalidField;

    fn try_from(message: v1::NewestEvent) -> Result<Self, Self::Error> {
        let v1::NewestEvent { channel, provider, id, at_ms, data } = message;
        Ok(Self {
            channel: field::text(&channel, "channel")?,
            provider: field::text(&provider, "provider")?,
            id,
            at: field::time(at_ms, "at_ms")?,
            data: field::optional_text(data.as_deref(), "data")?,
        })
    }
}
