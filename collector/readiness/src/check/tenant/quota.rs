//! `tenant.quota`: whether registration was refused because a limit of the tenant was reached.
//!
//! From an endpoint only the refusal is seen: Windows shows its code in the diagnostics of a registration and in events.
//! How much of a limit is left, nobody on the machine can tell.

use muster_evidence::{EventLogState, EventSummary, Kind, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct Quota;

/// The quota is reached, as a number and as events write it.
const QUOTA: u32 = 0x801c_000e;
const QUOTA_TEXT: &[u8] = b"0x801c000e";

impl Check for Quota {
    fn id(&self) -> &'static str {
        "tenant.quota"
    }

    fn title(&self) -> &'static str {
        "No registration was refused for a quota"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::RegistrationDiagnostics, Kind::DeviceEvents]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Entra ID limits how many devices a user may register, and Windows how many people enrol in Hello \
                      on one device (ten). Past a limit registration fails with 0x801C000E.",
            evidence: "The error code in the diagnostics of `dsregcmd /status`, and in the newest events of device \
                       registration.",
            threshold: "The code in the diagnostics, or in an event younger than the freshness limit of endpoints: \
                        advisory. Neither: ready. Neither and the events not read: unknown.",
            remedy: "Remove stale devices of the user in Entra ID or raise the limit of devices per user; on a machine \
                     that many share, remove the containers of people who have left.",
            source: "Microsoft Learn, Windows Hello errors during PIN creation (0x801C000E)",
            query: "muster hosts --check tenant.quota --standing advisory",
            alert: "Alert when several endpoints reach an advisory of `tenant.quota` on one day: an account that \
                    registers many devices has reached its limit.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            let diagnosed = match look_at!(facts, RegistrationDiagnostics) {
                Look::Found(found, observation) => (found.client_error == Some(QUOTA)).then_some(observation),
                Look::Absent(_) | Look::Gap(_) => None,
            };
            if let Some(observation) = diagnosed {
                return Answer::from(self.refused("the registration of the device ends with 0x801c000e"), observation);
            }
            match look_at!(facts, DeviceEvents) {
                Look::Gap(gap) => Answer::gap(gap),
                Look::Absent(observation) => Answer::from(Verdict::Ready, observation),
                Look::Found(events, observation) => {
                    let (verdict, valid_until) = self.of(events, policy, now);
                    Answer { verdict, valid_until, evidence_at: Some(observation.observed_at) }
                }
            }
        })
    }
}

impl Quota {
    fn of(&self, events: &EventSummary, policy: &Policy, now: Timestamp) -> (Verdict, Option<Timestamp>) {
        let lapses = |at: Timestamp| at.plus_ms(Freshness::Endpoint.limit_ms(policy));
        let refused = events
            .events
            .iter()
            .filter(|event| event.data.as_ref().is_some_and(|data| names_quota(data.as_str())))
            .filter(|event| now < lapses(event.at))
            .max_by_key(|event| event.at);
        if let Some(event) = refused {
            let seen = format!("event {} of {} ends with 0x801c000e", event.id, event.at);
            return (self.refused(&seen), Some(lapses(event.at)));
        }
        let unread = events.logs.iter().find_map(|log| match &log.state {
            EventLogState::Read => None,
            EventLogState::Disabled => Some(format!("the log `{}` is switched off", log.channel)),
            EventLogState::Unreadable(why) => Some(format!("the log `{}` could not be read: {why}", log.channel)),
        });
        match unread {
            Some(why) => (Verdict::unknown("the events of registration and TPM", why), None),
            None => (Verdict::Ready, None),
        }
    }

    fn refused(&self, seen: &str) -> Verdict {
        let seen = format!("{seen}: a quota is reached");
        Verdict::Advisory(finding(self, seen, "room for another device of the user, or another user of the device"))
    }
}

/// Whether the data of an event name the code, in whatever case.
fn names_quota(data: &str) -> bool {
    data.as_bytes().windows(QUOTA_TEXT.len()).any(|part| part.eq_ignore_ascii_case(QUOTA_TEXT))
}

#[cfg(test)]
mod tests {
    use muster_evidence::{EventLog, Evidence, NewestEvent, RegistrationDiagnostics};

    use super::*;
    use crate::check::fixture::{Host, at, text};

    fn logged(data: &[(&str, &str)], state: EventLogState) -> Host {
        let event = |(written, data): &(&str, &str)| NewestEvent {
            channel: text("Microsoft-Windows-User Device Registration/Admin"),
            provider: text("Microsoft-Windows-User Device Registration"),
            id: 304,
            at: at(written),
            data: Some(text(data)),
        };
        let log = EventLog { channel: text("Microsoft-Windows-User Device Registration/Admin"), state, oldest: None };
        let events = EventSummary { logs: vec![log], events: data.iter().map(event).collect() };
        Host::endpoint().with(Evidence::DeviceEvents(events))
    }

    fn diagnosed(client_error: u32) -> Evidence {
        let found = RegistrationDiagnostics { client_error: Some(client_error), ..RegistrationDiagnostics::default() };
        Evidence::RegistrationDiagnostics(Box::new(found))
    }

    #[test]
    fn the_table() {
        let needed = "a quota is reached (needed: room for another device of the user, or another user of the device)";
        let read = || EventLogState::Read;
        let cases = [
            (logged(&[], read()), "ready".to_owned()),
            (logged(&[("2026-03-01T00:00:00Z", "0x801c03f2")], read()), "ready".to_owned()),
            (
                logged(&[("2026-03-01T00:00:00Z", "error 0x801C000E")], read()),
                format!("advisory: event 304 of 2026-03-01T00:00:00Z ends with 0x801c000e: {needed}"),
            ),
            (
                logged(&[("2026-03-01T00:00:00Z", "0x801c000e")], EventLogState::Disabled),
                format!("advisory: event 304 of 2026-03-01T00:00:00Z ends with 0x801c000e: {needed}"),
            ),
            (
                Host::endpoint().with(diagnosed(QUOTA)),
                format!("advisory: the registration of the device ends with 0x801c000e: {needed}"),
            ),
            (logged(&[], read()).with(diagnosed(0x801c_03f2)), "ready".to_owned()),
            (
                logged(&[], EventLogState::Disabled),
                "unknown: the events of registration and TPM: the log `Microsoft-Windows-User Device \
                 Registration/Admin` is switched off"
                    .to_owned(),
            ),
            (
                logged(&[], EventLogState::Unreadable(text("access denied"))),
                "unknown: the events of registration and TPM: the log `Microsoft-Windows-User Device \
                 Registration/Admin` could not be read: access denied"
                    .to_owned(),
            ),
            (Host::endpoint().absent(Kind::DeviceEvents), "ready".to_owned()),
            (
                Host::endpoint().failed(Kind::DeviceEvents),
                "unknown: the events of registration and TPM: access denied: not allowed".to_owned(),
            ),
            (Host::endpoint(), "unknown: the events of registration and TPM: not reported".to_owned()),
            (Host::linux(), "not-applicable: not a Windows client".to_owned()),
            (Host::dc(), "not-applicable: domain controller".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&Quota, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn an_event_counts_for_fourteen_days() {
        let host = logged(&[("2026-02-20T00:00:00Z", "0x801c000e")], EventLogState::Read);
        let judged = |time: &str| host.clone().at(at(time)).judgements(&Quota, &Policy::default()).remove(0);
        let lapses = "2026-03-06T00:00:00Z";
        let last = judged("2026-03-05T23:59:59.999Z");
        assert!(matches!(last.verdict, Verdict::Advisory(_)));
        assert_eq!(last.valid_until, Some(at(lapses)));
        let over = judged(lapses);
        assert_eq!((over.verdict, over.valid_until), (Verdict::Ready, None));
    }
}
