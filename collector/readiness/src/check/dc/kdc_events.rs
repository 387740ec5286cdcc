//! `dc.kdc-events`: whether the KDC complains of its certificate.
//!
//! Complaints written at boot, before network and CA answer, stay in the log until the next restart. So the order decides:
//! only one that is newer than the KDC's word on which certificate it uses (event 302) stands. Without that word, since its
//! log is off by default, a complaint warns, and the certificate checks say what the KDC can use.

use muster_evidence::{EventLogState, EventSummary, Kind, NewestEvent, Timestamp};

use super::kdc::{absent, judge_capable};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_events::{
    OPERATIONAL, SYSTEM, newest, newest_lack, newest_selection, operational_covers, was_read,
};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct KdcEvents;

/// Events that are worth a look and prove nothing about the certificate in use, with the channels to look in: tools differ
/// on where 21 and 45 are written.
const REMARKS: [(&str, u32); 6] =
    [(SYSTEM, 20), (SYSTEM, 21), (OPERATIONAL, 21), (SYSTEM, 32), (SYSTEM, 45), (OPERATIONAL, 45)];

const NEEDED: &str = "no complaint of the KDC that is newer than its word on the certificate in use (event 302)";

impl Check for KdcEvents {
    fn id(&self) -> &'static str {
        "dc.kdc-events"
    }

    fn title(&self) -> &'static str {
        "The KDC does not complain of its certificate"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainController
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::KdcEvents, Kind::OperatingSystem, Kind::DomainController]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "The KDC logs when it has no certificate to prove itself with, or when the one in use no longer \
                      passes. What it says counts more than what its store looks like, if nothing newer contradicts it.",
            evidence: "The newest of each event of the KDC: 19, 20, 21, 29, 32 and 45 in the System log, and 21, 45, 120, \
                       200 and 302 in `Microsoft-Windows-Kerberos-Key-Distribution-Center/Operational`, which is off by \
                       default.",
            threshold: "The newest of 19, 29, 120 and 200 (no suitable certificate, or one that fails validation) is newer \
                        than the newest 302 (the certificate now in use): blocked. It is older, or whether there was a \
                        302 is not known: advisory. 20, 21, 32 and 45 are an advisory always. None of these: ready. \
                        System log not readable: unknown.",
            remedy: "Follow the event: renew the certificate or repair its chain and revocation lists, then restart the \
                     service `Kdc`. Enable the Operational log, so that event 302 says which certificate is in use.",
            source: "Microsoft Support, KB5057784; gradenegger.eu on the events of the KDC (third party)",
            query: "muster hosts --check dc.kdc-events --standing blocked --standing advisory",
            alert: "Alert when a domain controller becomes blocked by `dc.kdc-events`: its KDC has no certificate that \
                    passes.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_capable(self, facts, policy, || match look_at!(facts, KdcEvents) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => absent(Kind::KdcEvents),
            Look::Found(events, observation) => Answer::from(self.of(events), observation),
        })
    }
}

impl KdcEvents {
    fn of(&self, events: &EventSummary) -> Verdict {
        let lack = newest_lack(events);
        let selection = newest_selection(events);
        if let Some(lack) = lack {
            let stands = match selection {
                Some(selection) => lack.at > selection.at,
                // Without a 302 the order is known only if one would have been seen: an event of the same log, or one of
                // a time that log covers.
                None => {
                    (was_read(events, OPERATIONAL) && lack.channel.as_str() == OPERATIONAL)
                        || operational_covers(events, lack.at)
                }
            };
            if stands {
                let since = match selection {
                    Some(selection) => format!("newer than event 302 of {}", selection.at),
                    None => "and no event 302 since".to_owned(),
                };
                return Verdict::Blocked(finding(self, format!("{}, {since}", words(lack)), NEEDED));
            }
        }
        if !was_read(events, SYSTEM) {
            let why = match events.log(SYSTEM).map(|log| &log.state) {
                Some(EventLogState::Unreadable(why)) => why.as_str().to_owned(),
                Some(EventLogState::Disabled) => "it is switched off".to_owned(),
                Some(EventLogState::Read) | None => "nobody looked".to_owned(),
            };
            return Verdict::unknown("the System log", why);
        }
        let mut seen = Vec::new();
        if let Some(lack) = lack {
            seen.push(match selection {
                Some(selection) => format!("{}, before event 302 of {}", words(lack), selection.at),
                None => format!("{}; whether the KDC found a certificate since is not logged", words(lack)),
            });
        }
        seen.extend(REMARKS.iter().filter_map(|(channel, id)| newest(events, channel, &[*id])).map(words));
        if seen.is_empty() { Verdict::Ready } else { Verdict::Advisory(finding(self, seen.join("; "), NEEDED)) }
    }
}

fn words(event: &NewestEvent) -> String {
    let meaning = match event.id {
        19 => "a sign-in came and there was no suitable certificate",
        20 => "the selected certificate became invalid and none replaced it",
        21 => "a client's certificate was refused",
        29 => "no suitable certificate, or none that can be verified",
        32 => "the certificate lacks KDC Authentication",
        45 => "a client's certificate does not chain to NTAuth",
        120 => "the certificate in use failed validation",
        200 => "no suitable certificate",
        _ => "unknown",
    };
    format!("event {} on {} ({meaning})", event.id, event.at)
}

#[cfg(test)]
mod tests {
    use muster_evidence::{EventLog, Evidence};

    use super::*;
    use crate::check::fixture::controller::{event, events, in_use};
    use crate::check::fixture::{Host, at, text};

    const EARLY: &str = "2026-03-01T06:00:00Z";
    const LATE: &str = "2026-03-01T07:00:00Z";

    fn judged(events: EventSummary) -> String {
        let answers = Host::dc().with(Evidence::KdcEvents(events)).judge(&KdcEvents, &Policy::default());
        answers[0].replace(&format!(" (needed: {NEEDED})"), "")
    }

    #[test]
    fn the_order_decides() {
        let boot = |id| event(SYSTEM, id, EARLY);
        let verdict = |list: &[NewestEvent]| judged(events(true, list));
        assert_eq!(verdict(&[]), "ready");
        assert_eq!(verdict(&[in_use(1, EARLY)]), "ready");
        assert_eq!(
            verdict(&[boot(29), in_use(1, LATE)]),
            format!(
                "advisory: event 29 on {EARLY} (no suitable certificate, or none that can be verified), before event 302 \
                 of {LATE}"
            )
        );
        assert!(verdict(&[boot(19), in_use(1, EARLY)]).starts_with("advisory: event 19"), "equal times are not newer");
        for (channel, id) in [(SYSTEM, 19), (SYSTEM, 29), (OPERATIONAL, 120), (OPERATIONAL, 200)] {
            let answer = verdict(&[in_use(1, EARLY), event(channel, id, LATE)]);
            assert!(answer.starts_with(&format!("blocked: event {id} on {LATE} (")), "{answer}");
            assert!(answer.ends_with(&format!(", newer than event 302 of {EARLY}")), "{answer}");
        }
    }

    #[test]
    fn without_event_302_a_complaint_only_warns() {
        let complaint = event(SYSTEM, 29, LATE);
        let expected = format!(
            "advisory: event 29 on {LATE} (no suitable certificate, or none that can be verified); whether the KDC found \
             a certificate since is not logged"
        );
        assert_eq!(judged(events(false, std::slice::from_ref(&complaint))), expected);
        assert_eq!(
            judged(events(true, std::slice::from_ref(&complaint))),
            expected,
            "where the log begins is not known"
        );
        let mut covered = events(true, std::slice::from_ref(&complaint));
        covered.logs[1].oldest = Some(at(EARLY));
        assert_eq!(
            judged(covered),
            format!(
                "blocked: event 29 on {LATE} (no suitable certificate, or none that can be verified), and no event 302 \
                 since"
            )
        );
        assert!(judged(events(true, &[event(OPERATIONAL, 200, LATE)])).starts_with("blocked: event 200"));
        // What stands in a log that is off now was written before it was switched off.
        assert!(judged(events(false, &[event(OPERATIONAL, 200, LATE)])).starts_with("advisory: event 200"));
        assert!(judged(events(false, &[in_use(1, EARLY), complaint])).starts_with("advisory: event 29"));
    }

    #[test]
    fn other_events_are_remarked_on() {
        for (channel, id) in REMARKS {
            let answer = judged(events(true, &[event(channel, id, LATE), in_use(1, LATE)]));
            assert!(answer.starts_with(&format!("advisory: event {id} on {LATE} (")), "{answer}");
        }
        assert_eq!(
            judged(events(true, &[event(OPERATIONAL, 32, LATE)])),
            "ready",
            "that id means something else there"
        );
        assert_eq!(
            judged(events(false, &[event(SYSTEM, 21, LATE), event(SYSTEM, 45, EARLY)])),
            format!(
                "advisory: event 21 on {LATE} (a client's certificate was refused); event 45 on {EARLY} (a client's \
                 certificate does not chain to NTAuth)"
            )
        );
    }

    #[test]
    fn a_system_log_that_was_not_read_is_a_gap_unless_the_other_blocks() {
        let with = |state: Option<EventLogState>, list: &[NewestEvent]| {
            let mut summary = events(true, list);
            summary.logs.retain(|log| log.channel.as_str() != SYSTEM);
            summary.logs.extend(state.map(|state| EventLog { channel: text(SYSTEM), state, oldest: None }));
            judged(summary)
        };
        let denied = || Some(EventLogState::Unreadable(text("access denied")));
        assert_eq!(with(denied(), &[]), "unknown: the System log: access denied");
        assert_eq!(with(Some(EventLogState::Disabled), &[]), "unknown: the System log: it is switched off");
        assert_eq!(with(None, &[in_use(1, LATE)]), "unknown: the System log: nobody looked");
        assert!(with(denied(), &[in_use(1, EARLY), event(OPERATIONAL, 120, LATE)]).starts_with("blocked: event 120"));
        let host = Host::dc();
        assert_eq!(
            host.clone().failed(Kind::KdcEvents).judge(&KdcEvents, &Policy::default()),
            ["unknown: the KDC's events: access denied: not allowed"]
        );
        assert_eq!(
            host.absent(Kind::KdcEvents).judge(&KdcEvents, &Policy::default()),
            ["unknown: the KDC's events: reported as absent"]
        );
    }
}
