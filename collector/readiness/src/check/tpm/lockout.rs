//! `tpm.lockout`: whether the TPM refuses to work because of too many failures.
//!
//! The counters of a TPM 2.0 say so where they can be read. Elsewhere the event that Windows writes when a device key
//! could not be made (344) is the trace of it, and it lapses: as Windows sets a TPM 2.0 up, it locks at 32 failures and
//! forgets one in ten minutes, so that after 320 minutes nothing is left of a lockout.

use muster_evidence::{
    EventLogState, EventSummary, Kind, NewestEvent, Observation, Timestamp, Tpm, TpmLockout, TpmVersion,
};

use super::{judge_any_system, of_tpm};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct TpmNotLocked;

/// The log of device registration.
const LOG: &str = "Microsoft-Windows-User Device Registration/Admin";

/// "The device key could not be created": the TPM is locked, or its state is not known.
const TPM_LOCKED: u32 = 344;

/// A key was registered, or its information saved: the TPM made one.
const TPM_WORKED: [u32; 2] = [300, 350];

/// How long the event counts on a TPM 2.0: 320 minutes, with some air.
const LAPSE_MINUTES: i64 = 6 * 60;

/// What is missing where neither the counters nor the log say.
const MISSING: &str = "the TPM's lockout";

/// What is needed.
const NEEDED: &str = "a TPM that accepts authorisations";

impl Check for TpmNotLocked {
    fn id(&self) -> &'static str {
        "tpm.lockout"
    }

    fn title(&self) -> &'static str {
        "The TPM is not in lockout"
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
        &[Kind::Tpm, Kind::DeviceEvents]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "After too many failed authorisations a TPM refuses all of them for a while. Keys cannot be made \
                      or used until it has forgotten enough failures.",
            evidence: "The counters of a TPM 2.0 where they can be read; else event 344 of `User Device \
                       Registration/Admin`, which says that a device key could not be made. A log that is switched off \
                       or not readable says nothing.",
            threshold: "Not locked: ready. Locked: advisory, since it passes. The event counts for 6 hours on a TPM 2.0: \
                        it locks at 32 failures and forgets one in 10 minutes, which is 320 minutes. How a TPM 1.2 \
                        forgets is its maker's choice, so there it counts until a key was made. Neither counters nor \
                        log: unknown.",
            remedy: "Wait, since one failure is forgotten every 10 minutes on a TPM 2.0, or reset the lockout with the \
                     owner's authorisation; find out what tries a wrong PIN.",
            source: "Microsoft Learn, TPM fundamentals: anti-hammering",
            query: "muster hosts --check tpm.lockout --standing advisory",
            alert: "Alert when the same endpoint is an advisory of `tpm.lockout` for a day: something keeps trying a \
                    wrong authorisation.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_any_system(self, facts, || of_tpm(facts, |tpm, observation| self.of(tpm, observation, facts, now)))
    }
}

impl TpmNotLocked {
    fn of(&self, tpm: &Tpm, observation: &Observation, facts: &Facts<'_>, now: Timestamp) -> Answer {
        if let Some(lockout @ TpmLockout { locked: true, .. }) = &tpm.lockout {
            return Answer::from(Verdict::Advisory(finding(self, by_counters(*lockout), NEEDED)), observation);
        }
        let events = look_at!(facts, DeviceEvents);
        let counted = tpm.lockout.is_some();
        if let Look::Found(summary, read) = &events
            && let Some(event) = summary.newest(LOG, TPM_LOCKED)
        {
            // Counters that were read after the event say more than it does.
            let overtaken = counted && event.at <= observation.observed_at;
            if !overtaken && let Some(answer) = self.by_event(tpm.version, summary, event, read, now) {
                return answer;
            }
        }
        if counted {
            return Answer::from(Verdict::Ready, observation);
        }
        let (summary, read) = match events {
            Look::Found(summary, read) => (summary, read),
            Look::Absent(read) => {
                return Answer::from(Verdict::unknown(MISSING, "neither its counters nor a log were read"), read);
            }
            Look::Gap(gap) => {
                let why = format!("its counters were not read, and {}: {}", gap.missing, gap.why);
                return Answer::from(Verdict::unknown(MISSING, why), observation);
            }
        };
        let why = match summary.log(LOG).map(|log| &log.state) {
            Some(EventLogState::Read) => return Answer::from(Verdict::Ready, read),
            Some(EventLogState::Disabled) => format!("its counters were not read, and the log `{LOG}` is off"),
            Some(EventLogState::Unreadable(why)) => {
                format!("its counters were not read, nor the log `{LOG}`: {why}")
            }
            None => format!("neither its counters nor the log `{LOG}` were read"),
        };
        Answer::from(Verdict::unknown(MISSING, why), read)
    }

    /// The answer by an event, where it still counts.
    fn by_event(
        &self,
        version: TpmVersion,
        summary: &EventSummary,
        event: &NewestEvent,
        read: &Observation,
        now: Timestamp,
    ) -> Option<Answer> {
        let lapses_at = match version {
            TpmVersion::V2_0 => Some(event.at.plus_minutes(LAPSE_MINUTES)),
            TpmVersion::V1_2 => None,
        };
        let worked_since =
            || TPM_WORKED.iter().filter_map(|id| summary.newest(LOG, *id)).any(|worked| worked.at > event.at);
        if lapses_at.is_some_and(|at| now >= at) || worked_since() {
            return None;
        }
        let seen = format!("Windows could not make a key at {}: the TPM is locked or in no known state", event.at);
        Some(Answer { valid_until: lapses_at, ..Answer::from(Verdict::Advisory(finding(self, seen, NEEDED)), read) })
    }
}

fn by_counters(lockout: TpmLockout) -> String {
    let TpmLockout { locked: _, max_failures, recovery_seconds, failures } = lockout;
    match failures {
        Some(failures) => format!(
            "the TPM is locked: {failures} failures of at most {max_failures}, and one is forgotten in \
             {recovery_seconds} s"
        ),
        None => format!(
            "the TPM is locked: it locks at {max_failures} failures, and one is forgotten in {recovery_seconds} s"
        ),
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::device::{device_events, registration_log};
    use crate::check::fixture::{Host, now, text, tpm_2_0};

    fn lockout(locked: bool, failures: Option<u32>) -> TpmLockout {
        TpmLockout { locked, max_failures: 32, recovery_seconds: 600, failures }
    }

    fn tpm(version: TpmVersion, lockout: Option<TpmLockout>) -> Host {
        Host::endpoint().with(Evidence::Tpm(Tpm { version, lockout, ..tpm_2_0() }))
    }

    #[test]
    fn the_counters() {
        let cases = [
            (tpm(TpmVersion::V2_0, Some(lockout(false, Some(31)))), "ready"),
            (
                tpm(TpmVersion::V2_0, Some(lockout(true, Some(32)))),
                "advisory: the TPM is locked: 32 failures of at most 32, and one is forgotten in 600 s (needed: a TPM \
                 that accepts authorisations)",
            ),
            (
                tpm(TpmVersion::V2_0, Some(lockout(true, None))),
                "advisory: the TPM is locked: it locks at 32 failures, and one is forgotten in 600 s (needed: a TPM \
                 that accepts authorisations)",
            ),
            (Host::endpoint().absent(Kind::Tpm), "not-applicable: no TPM"),
            (Host::endpoint().failed(Kind::Tpm), "unknown: the TPM: access denied: not allowed"),
            (Host::endpoint(), "unknown: the TPM: not reported"),
            (Host::dc(), "not-applicable: domain controller"),
            (Host::linux().with(Evidence::Tpm(Tpm { lockout: Some(lockout(false, Some(0))), ..tpm_2_0() })), "ready"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&TpmNotLocked, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn the_event_and_the_log() {
        let locked_at = |minutes: i64| device_events(&[(LOG, TPM_LOCKED, now().plus_minutes(-minutes))]);
        let advisory = |at: &str| {
            format!(
                "advisory: Windows could not make a key at {at}: the TPM is locked or in no known state (needed: a \
                 TPM that accepts authorisations)"
            )
        };
        let unread = |version| tpm(version, None);
        let counted = || tpm(TpmVersion::V2_0, Some(lockout(false, Some(0))));
        let six_hours_ago = advisory("2026-03-02T06:01:00Z");
        let long_ago = advisory("2026-02-20T12:00:00Z");
        let days = 10 * 24 * 60;
        let worked = |minutes: i64| {
            device_events(&[
                (LOG, TPM_LOCKED, now().plus_minutes(-days)),
                (LOG, 300, now().plus_minutes(-days).plus_minutes(minutes)),
            ])
        };
        let log = |state| registration_log(state);
        let cases: [(Host, &str); 13] = [
            (unread(TpmVersion::V2_0).with(locked_at(359)), &six_hours_ago),
            (unread(TpmVersion::V2_0).with(locked_at(360)), "ready"),
            (unread(TpmVersion::V2_0).with(device_events(&[])), "ready"),
            (unread(TpmVersion::V1_2).with(locked_at(days)), &long_ago),
            (unread(TpmVersion::V1_2).with(worked(-1)), &long_ago),
            (unread(TpmVersion::V1_2).with(worked(1)), "ready"),
            // The counters were read at noon: an event before that is old, whatever its age.
            (counted().with(locked_at(1)), "ready"),
            (counted().failed(Kind::DeviceEvents), "ready"),
            (
                unread(TpmVersion::V2_0).with(log(EventLogState::Disabled)),
                "unknown: the TPM's lockout: its counters were not read, and the log `Microsoft-Windows-User Device \
                 Registration/Admin` is off",
            ),
            (
                unread(TpmVersion::V2_0).with(log(EventLogState::Unreadable(text("no channel")))),
                "unknown: the TPM's lockout: its counters were not read, nor the log `Microsoft-Windows-User Device \
                 Registration/Admin`: no channel",
            ),
            (
                unread(TpmVersion::V2_0).with(Evidence::DeviceEvents(EventSummary::default())),
                "unknown: the TPM's lockout: neither its counters nor the log `Microsoft-Windows-User Device \
                 Registration/Admin` were read",
            ),
            (
                unread(TpmVersion::V2_0).failed(Kind::DeviceEvents),
                "unknown: the TPM's lockout: its counters were not read, and the events of registration and TPM: access \
                 denied: not allowed",
            ),
            (
                unread(TpmVersion::V2_0),
                "unknown: the TPM's lockout: its counters were not read, and the events of registration and TPM: not \
                 reported",
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&TpmNotLocked, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn an_event_newer_than_the_counters_counts_until_it_lapses() {
        let at = now().plus_minutes(1);
        let host = tpm(TpmVersion::V2_0, Some(lockout(false, Some(0)))).with(device_events(&[(LOG, TPM_LOCKED, at)]));
        let lapses_at = at.plus_minutes(360);
        let judged = |now| host.clone().at(now).judgements(&TpmNotLocked, &Policy::default()).remove(0);
        let early = judged(lapses_at.plus_ms(-1));
        assert_eq!((early.verdict.standing(), early.valid_until), (crate::Standing::Advisory, Some(lapses_at)));
        let late = judged(lapses_at);
        assert_eq!((late.verdict, late.valid_until), (Verdict::Ready, None));
    }
}
