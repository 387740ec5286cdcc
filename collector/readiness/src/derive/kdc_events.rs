//! What the events of the KDC say: which certificate it uses, and whether it lacked one since.
//!
//! Event 302 of the KDC's Operational log carries the thumbprint of the certificate in use. That log is off by default, so
//! most controllers never say it. Ids are only unique within a provider: the System log holds events 19 and 20 of others
//! too, which are passed over here.

use muster_evidence::{EventLogState, EventSummary, NewestEvent, Thumbprint, Timestamp};

/// The channel of the system's own log.
pub const SYSTEM: &str = "System";
/// The KDC's own channel, off by default.
pub const OPERATIONAL: &str = "Microsoft-Windows-Kerberos-Key-Distribution-Center/Operational";

/// No suitable certificate when somebody tried to sign in with one (19), or none that can be verified (29): System log.
const LACKING_IN_SYSTEM: [u32; 2] = [19, 29];
/// The certificate in use failed validation (120), or there is no suitable one (200): Operational log.
const LACKING_IN_OPERATIONAL: [u32; 2] = [120, 200];
/// The certificate now in use: Operational log.
const IN_USE: u32 = 302;

/// Whether a channel was read.
pub fn was_read(events: &EventSummary, channel: &str) -> bool {
    events.log(channel).is_some_and(|log| log.state == EventLogState::Read)
}

/// The newest of the KDC's events with one of these ids in a channel.
pub fn newest<'a>(events: &'a EventSummary, channel: &str, ids: &[u32]) -> Option<&'a NewestEvent> {
    events
        .events
        .iter()
        .filter(|event| ids.contains(&event.id) && event.channel.as_str() == channel && is_of_kdc(event))
        .max_by_key(|event| event.at)
}

/// The newest event that says that the KDC lacked a certificate.
pub fn newest_lack(events: &EventSummary) -> Option<&NewestEvent> {
    let in_system = newest(events, SYSTEM, &LACKING_IN_SYSTEM);
    let in_operational = newest(events, OPERATIONAL, &LACKING_IN_OPERATIONAL);
    [in_system, in_operational].into_iter().flatten().max_by_key(|event| event.at)
}

/// When the KDC last said which certificate it uses; `None` where its log was not read or holds no such event.
pub fn newest_selection(events: &EventSummary) -> Option<&NewestEvent> {
    was_read(events, OPERATIONAL).then(|| newest(events, OPERATIONAL, &[IN_USE])).flatten()
}

/// The certificate in use, by its thumbprint; `None` where the KDC did not say, or lacked one since.
pub fn in_use(events: &EventSummary) -> Option<Thumbprint> {
    let selection = newest_selection(events)?;
    if newest_lack(events).is_some_and(|lack| lack.at > selection.at) {
        return None;
    }
    selection.data.as_ref()?.as_str().parse().ok()
}

/// Whether the Operational log covers a time: it was read, and what it holds begins before.
pub fn operational_covers(events: &EventSummary, at: Timestamp) -> bool {
    was_read(events, OPERATIONAL)
        && events.log(OPERATIONAL).and_then(|log| log.oldest).is_some_and(|oldest| oldest <= at)
}

fn is_of_kdc(event: &NewestEvent) -> bool {
    let provider = event.provider.as_str();
    event.channel.as_str() != SYSTEM
        || provider.eq_ignore_ascii_case("Microsoft-Windows-Kerberos-Key-Distribution-Center")
        || provider.eq_ignore_ascii_case("KDC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::controller::{event, events, in_use as in_use_event};
    use crate::check::fixture::{at, text};

    const EARLY: &str = "2026-03-01T06:00:00Z";
    const LATE: &str = "2026-03-01T07:00:00Z";

    #[test]
    fn the_certificate_in_use_is_the_one_that_nothing_newer_speaks_against() {
        let seven = Some(Thumbprint([7; 20]));
        let cases = [
            (vec![in_use_event(7, EARLY)], true, seven),
            (vec![in_use_event(7, EARLY)], false, None),
            (vec![in_use_event(7, EARLY), in_use_event(8, LATE)], true, Some(Thumbprint([8; 20]))),
            (vec![event(OPERATIONAL, 200, EARLY), in_use_event(7, LATE)], true, seven),
            (vec![event(OPERATIONAL, 200, EARLY), in_use_event(7, EARLY)], true, seven),
            (vec![in_use_event(7, EARLY), event(OPERATIONAL, 120, LATE)], true, None),
            (vec![in_use_event(7, EARLY), event(SYSTEM, 29, LATE)], true, None),
            (vec![in_use_event(7, EARLY), event(SYSTEM, 21, LATE)], true, seven),
            (vec![], true, None),
        ];
        for (list, enabled, expected) in cases {
            assert_eq!(in_use(&events(enabled, &list)), expected, "{list:?}");
        }
        let garbled = NewestEvent { data: Some(text("0x0")), ..in_use_event(7, EARLY) };
        assert_eq!(in_use(&events(true, &[garbled])), None);
        let silent = NewestEvent { data: None, ..in_use_event(7, EARLY) };
        assert_eq!(in_use(&events(true, &[silent])), None);
    }

    #[test]
    fn others_use_the_same_numbers() {
        let update = NewestEvent { provider: text("Microsoft-Windows-WindowsUpdateClient"), ..event(SYSTEM, 19, LATE) };
        assert_eq!(newest_lack(&events(false, &[update])), None);
        let old_name = NewestEvent { provider: text("KDC"), ..event(SYSTEM, 19, LATE) };
        assert_eq!(newest_lack(&events(false, &[old_name])).map(|event| event.at), Some(at(LATE)));
    }

    #[test]
    fn a_log_covers_what_came_after_its_oldest_event() {
        let mut summary = events(true, &[]);
        assert!(!operational_covers(&summary, at(LATE)), "where it begins is not known");
        summary.logs[1].oldest = Some(at(EARLY));
        assert!(operational_covers(&summary, at(EARLY)) && operational_covers(&summary, at(LATE)));
        summary.logs[1].oldest = Some(at(LATE));
        assert!(!operational_covers(&summary, at(EARLY)));
        summary.logs[1] = muster_evidence::EventLog { state: EventLogState::Disabled, ..summary.logs[1].clone() };
        assert!(!operational_covers(&summary, at(LATE)));
    }
}
