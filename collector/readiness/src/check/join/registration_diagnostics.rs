//! `join.registration-diagnostics`: what Windows says of a registration that does not succeed.
//!
//! A device that is joined has succeeded, whatever an older attempt left behind. Of the errors one is expected for a
//! while: until Entra Connect has synchronised the computer object, Entra ID does not find it.

use std::fmt::Write as _;

use muster_evidence::{Kind, Observation, RegistrationDiagnostics, TestResult, Timestamp};

use super::is_joined;
use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Finding, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct RegistrationDiagnosis;

const DIAGNOSTICS: &str = "the registration diagnostics";

/// The server does not find the device (yet).
pub(in crate::check) const DIRECTORY_ERROR: u32 = 0x801c_03f2;

impl Check for RegistrationDiagnosis {
    fn id(&self) -> &'static str {
        "join.registration-diagnostics"
    }

    fn title(&self) -> &'static str {
        "The registration in Entra ID does not fail"
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
        &[Kind::RegistrationDiagnostics, Kind::JoinState]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Where a machine should register and does not, Windows names the phase in which it fails and the \
                      error. This check puts both into words; that the machine is not joined, `join.type` blocks.",
            evidence: "The diagnostics of `dsregcmd /status`, which are shown while a hybrid join fails, run with the \
                       rights of the machine. What a code means is data (`error_codes` of the policy).",
            threshold: "Joined: ready. Error 0x801c03f2 whose attempt is younger than two intervals of the \
                        synchronisation (`sync_interval_minutes`): advisory as *pending*, since Entra Connect may not \
                        have synchronised the computer object yet. Any other error, the same one later, or a failed \
                        test: advisory with phase and code. Not joined and nothing shown: unknown.",
            remedy: "Follow the phase: in `discover` the service connection point and the way to the registration \
                     service, in `auth` the token of the machine or federation, in `join` the synchronisation of the \
                     computer object and the tenant's settings of device registration.",
            source: "Microsoft Learn, Troubleshoot Microsoft Entra hybrid joined devices",
            query: "muster hosts --check join.registration-diagnostics --standing advisory",
            alert: "Alert when endpoints at an advisory of `join.registration-diagnostics` grow in number for a day: a \
                    proxy, the service connection point or the synchronisation has changed.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            let join = look_at!(facts, JoinState);
            if let Look::Found(join, observation) = &join
                && is_joined(join) == Some(true)
            {
                return Answer::from(Verdict::Ready, observation);
            }
            match look_at!(facts, RegistrationDiagnostics) {
                Look::Gap(gap) => Answer::gap(gap),
                Look::Found(found, observation) => self.of(found, observation, policy, now),
                Look::Absent(observation) => match join {
                    Look::Gap(gap) => Answer::gap(gap),
                    Look::Found(join, _) if is_joined(join).is_none() => Answer::from(
                        Verdict::unknown(
                            "the join state",
                            "the flags fit no known state, and Windows shows no failure",
                        ),
                        observation,
                    ),
                    Look::Found(..) | Look::Absent(_) => Answer::from(
                        Verdict::unknown(DIAGNOSTICS, "Windows shows none although the machine is not joined"),
                        observation,
                    ),
                },
            }
        })
    }
}

impl RegistrationDiagnosis {
    fn of(
        &self,
        found: &RegistrationDiagnostics,
        observation: &Observation,
        policy: &Policy,
        now: Timestamp,
    ) -> Answer {
        let evidence_at = Some(observation.observed_at);
        let Some(error) = found.client_error.filter(|code| *code != 0) else {
            return Answer::from(self.without_code(found), observation);
        };
        if error == DIRECTORY_ERROR {
            // Without the time of the attempt that of looking counts: the attempt was no later.
            let since = found.previous_registration.unwrap_or(observation.observed_at);
            let waits_until = since.plus_minutes(2 * i64::from(policy.sync_interval_minutes));
            if now < waits_until {
                let seen = format!(
                    "pending sync: at {since} Entra ID did not know the device (0x801c03f2), which is expected until \
                     Entra Connect has synchronised the computer object"
                );
                let needed = format!("registered by {waits_until}");
                let verdict = Verdict::Advisory(finding(self, seen, needed));
                return Answer { verdict, valid_until: Some(waits_until), evidence_at };
            }
        }
        Answer::from(Verdict::Advisory(self.failure(found, error, policy)), observation)
    }

    fn failure(&self, found: &RegistrationDiagnostics, error: u32, policy: &Policy) -> Finding {
        let known = policy.reference().error_codes.find(error);
        let mut seen = format!("the registration fails{} with {error:#010x}", in_phase(found));
        if let Some(known) = known {
            let _ = write!(seen, ": {}", known.means); // a `String` takes it always
        }
        if let Some(said) = said(found) {
            let _ = write!(seen, " (the server says `{said}`)");
        }
        let mut finding = finding(self, seen, "a registration that succeeds");
        if let Some(known) = known {
            finding.remedy = known.remedy.clone().into();
            finding.source = known.source.clone().into();
        }
        finding
    }

    /// What is said where no code is shown.
    fn without_code(&self, found: &RegistrationDiagnostics) -> Verdict {
        let failed = found.tests.iter().find(|test| test.result == TestResult::Fail);
        let seen = match (failed, said(found)) {
            (_, Some(said)) => format!("the registration fails{}: the server says `{said}`", in_phase(found)),
            (Some(test), None) => {
                let detail = test.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
                format!("the test `{}` of the registration fails{detail}", test.name)
            }
            (None, None) if found.phase.is_some() => format!("the registration fails{}", in_phase(found)),
            (None, None) => return Verdict::unknown(DIAGNOSTICS, "they name no error and no failed test"),
        };
        Verdict::Advisory(finding(self, seen, "a registration that succeeds"))
    }
}

fn in_phase(found: &RegistrationDiagnostics) -> String {
    found.phase.map(|phase| format!(" in the phase `{}`", phase.name())).unwrap_or_default()
}

/// What the server said, in its own words.
fn said(found: &RegistrationDiagnostics) -> Option<&muster_evidence::Text> {
    [&found.server_message, &found.server_error].into_iter().flatten().find(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, JoinState, RegistrationPhase, RegistrationTest, Tristate};

    use super::*;
    use crate::check::fixture::{Host, at, hybrid, now, text};

    fn host(found: RegistrationDiagnostics) -> Host {
        let join = JoinState { azure_ad_joined: Tristate::No, ..hybrid() };
        Host::endpoint().with(Evidence::JoinState(join)).with(Evidence::RegistrationDiagnostics(Box::new(found)))
    }

    fn pending(since: Option<&str>) -> RegistrationDiagnostics {
        RegistrationDiagnostics {
            previous_registration: since.map(at),
            phase: Some(RegistrationPhase::Join),
            client_error: Some(DIRECTORY_ERROR),
            server_error: Some(text("DirectoryError")),
            ..RegistrationDiagnostics::default()
        }
    }

    fn of(host: &Host) -> (String, Option<Timestamp>) {
        let judgements = host.judgements(&RegistrationDiagnosis, &Policy::default());
        let verdict = &judgements[0].verdict;
        (format!("{} {}", verdict.standing(), verdict.seen()), judgements[0].valid_until)
    }

    #[test]
    fn an_object_that_is_not_synchronised_yet_is_pending_for_two_intervals() {
        let waiting = |since: &str| {
            format!(
                "advisory pending sync: at {since} Entra ID did not know the device (0x801c03f2), which is expected \
                 until Entra Connect has synchronised the computer object"
            )
        };
        let late = "advisory the registration fails in the phase `join` with 0x801c03f2: the directory object of the \
                    device or of the user's key was not found or was refused (the server says `DirectoryError`)";
        let until = |text: &str| Some(at(text));
        let cases = [
            ("2026-03-02T11:00:00.001Z", until("2026-03-02T12:00:00.001Z")),
            ("2026-03-02T11:59:00Z", until("2026-03-02T12:59:00Z")),
        ];
        for (since, valid_until) in cases {
            assert_eq!(of(&host(pending(Some(since)))), (waiting(since), valid_until));
        }
        assert_eq!(of(&host(pending(Some("2026-03-02T11:00:00Z")))), (late.to_owned(), None));
        let undated = (waiting("2026-03-02T12:00:00Z"), until("2026-03-02T13:00:00Z"));
        assert_eq!(of(&host(pending(None))), undated);
        assert_eq!(of(&host(pending(None)).at(now().plus_minutes(60))).0, late);
    }

    #[test]
    fn other_errors_come_with_phase_code_and_what_to_do() {
        let failing = |client_error| RegistrationDiagnostics {
            phase: Some(RegistrationPhase::Discover),
            client_error,
            ..RegistrationDiagnostics::default()
        };
        let known = host(failing(Some(0x801c_001d))).judgements(&RegistrationDiagnosis, &Policy::default());
        let Verdict::Advisory(finding) = &known[0].verdict else { panic!("must be an advisory") };
        assert_eq!(
            finding.seen,
            "the registration fails in the phase `discover` with 0x801c001d: the service connection point could not be \
             read from the directory"
        );
        assert!(finding.remedy.contains("service connection point exists"), "{}", finding.remedy);

        let test = |result, detail: Option<&str>| RegistrationTest {
            name: text("DRS Discovery"),
            result,
            detail: detail.map(text),
        };
        let tested = |tests| RegistrationDiagnostics { tests, ..RegistrationDiagnostics::default() };
        let cases = [
            (failing(Some(0x1234)), "advisory the registration fails in the phase `discover` with 0x00001234"),
            (failing(None), "advisory the registration fails in the phase `discover`"),
            (failing(Some(0)), "advisory the registration fails in the phase `discover`"),
            (
                RegistrationDiagnostics { server_message: Some(text("no such tenant")), ..failing(None) },
                "advisory the registration fails in the phase `discover`: the server says `no such tenant`",
            ),
            (
                tested(vec![test(TestResult::Pass, None), test(TestResult::Fail, Some("0x54b/0x801c0021"))]),
                "advisory the test `DRS Discovery` of the registration fails (0x54b/0x801c0021)",
            ),
            (tested(vec![test(TestResult::Fail, None)]), "advisory the test `DRS Discovery` of the registration fails"),
            (
                tested(vec![test(TestResult::Skipped, None)]),
                "unknown the registration diagnostics: they name no error \
                 and no failed test",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(of(&host(found)), (expected.to_owned(), None));
        }
    }

    #[test]
    fn the_join_decides_first() {
        let joined = Host::endpoint().with(Evidence::JoinState(hybrid()));
        let not_joined =
            Host::endpoint().with(Evidence::JoinState(JoinState { azure_ad_joined: Tristate::No, ..hybrid() }));
        let none = "unknown: the registration diagnostics: Windows shows none although the machine is not joined";
        let cases = [
            (joined.clone(), "ready"),
            (joined.with(Evidence::RegistrationDiagnostics(Box::new(pending(None)))), "ready"),
            (not_joined.clone().absent(Kind::RegistrationDiagnostics), none),
            (Host::endpoint().absent(Kind::JoinState).absent(Kind::RegistrationDiagnostics), none),
            (not_joined.clone(), "unknown: the registration diagnostics: not reported"),
            (
                not_joined.failed(Kind::RegistrationDiagnostics),
                "unknown: the registration diagnostics: access denied: not allowed",
            ),
            (Host::endpoint().absent(Kind::RegistrationDiagnostics), "unknown: the join state: not reported"),
            (
                Host::endpoint()
                    .with(Evidence::JoinState(JoinState { enterprise_joined: Tristate::Yes, ..hybrid() }))
                    .absent(Kind::RegistrationDiagnostics),
                "unknown: the join state: the flags fit no known state, and Windows shows no failure",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&RegistrationDiagnosis, &Policy::default()), [expected]);
        }
    }
}
