//! `join.device-key`: whether the device can still sign with its own key.
//!
//! After imaging or a cleared TPM the registration is there and its key is not. Windows then marks the device for
//! recovery, which counts before whatever the test says.

use muster_evidence::{JoinState, KeySignTest, Kind, Timestamp, Tristate};

use super::{NOT_JOINED, is_joined};
use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct DeviceKey;

const TEST: &str = "the test of the device's key";

/// What is needed.
const NEEDED: &str = "a device key that signs";

impl Check for DeviceKey {
    fn id(&self) -> &'static str {
        "join.device-key"
    }

    fn title(&self) -> &'static str {
        "The device's key works"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::JoinState]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A joined device proves itself to Entra ID with a key of its own. Where that key is broken, as \
                      after imaging or a cleared TPM, no token is issued to its users and no Hello key is registered.",
            evidence: "`AadRecoveryEnabled` and `KeySignTest` of `dsregcmd /status`. The first is readable for \
                       everybody; the test needs an elevated run.",
            threshold: "`AadRecoveryEnabled : YES`, whatever the test says, and a failed test: blocked. A passed test: \
                        ready. Not run elevated, or not shown: unknown.",
            remedy: "Let a user sign in: a hybrid joined device recovers by itself, one joined to Entra ID only asks the \
                     user. Where it does not, leave (`dsregcmd /leave`) and join again.",
            source: "Microsoft Learn, Troubleshoot devices by using the dsregcmd command",
            query: "muster hosts --check join.device-key --standing blocked",
            alert: "Alert when several endpoints become blocked by `join.device-key` on one day: a firmware update has \
                    cleared their TPM, or an image carries a registration.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || match look_at!(facts, JoinState) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(Verdict::not_applicable(NOT_JOINED), observation),
            Look::Found(join, observation) => Answer::from(self.of(join), observation),
        })
    }
}

impl DeviceKey {
    fn of(&self, join: &JoinState) -> Verdict {
        if is_joined(join) == Some(false) {
            return Verdict::not_applicable(NOT_JOINED);
        }
        if join.recovery == Tristate::Yes {
            let seen = "the device is marked for recovery, since its keys are not usable (`AadRecoveryEnabled : YES`)";
            return Verdict::Blocked(finding(self, seen, NEEDED));
        }
        match &join.key_sign_test {
            Some(KeySignTest::Passed) => Verdict::Ready,
            Some(KeySignTest::Failed(said)) => {
                Verdict::Blocked(finding(self, format!("the device's key does not sign: `{said}`"), NEEDED))
            }
            Some(KeySignTest::NotElevated) => Verdict::unknown(TEST, "it was not run elevated"),
            None => Verdict::unknown(TEST, "it is not shown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::{Host, hybrid, text};

    #[test]
    fn the_table() {
        let host = |key_sign_test, recovery| {
            Host::endpoint().with(Evidence::JoinState(JoinState { key_sign_test, recovery, ..hybrid() }))
        };
        let (passed, failed) = (KeySignTest::Passed, KeySignTest::Failed(text("FAILED. ERROR: 0xd0048451")));
        let marked = "blocked: the device is marked for recovery, since its keys are not usable (`AadRecoveryEnabled : \
                      YES`) (needed: a device key that signs)";
        let domain_only = JoinState { azure_ad_joined: Tristate::No, recovery: Tristate::Yes, ..hybrid() };
        let cases = [
            (host(Some(passed.clone()), Tristate::No), "ready"),
            (host(Some(passed.clone()), Tristate::NotShown), "ready"),
            (host(Some(passed.clone()), Tristate::Undetermined), "ready"),
            (host(Some(passed), Tristate::Yes), marked),
            (host(Some(KeySignTest::NotElevated), Tristate::Yes), marked),
            (host(None, Tristate::Yes), marked),
            (
                host(Some(failed), Tristate::No),
                "blocked: the device's key does not sign: `FAILED. ERROR: 0xd0048451` (needed: a device key that signs)",
            ),
            (
                host(Some(KeySignTest::NotElevated), Tristate::No),
                "unknown: the test of the device's key: it was not run elevated",
            ),
            (host(None, Tristate::No), "unknown: the test of the device's key: it is not shown"),
            (Host::endpoint().with(Evidence::JoinState(domain_only)), "not-applicable: not joined to Entra ID"),
            (Host::endpoint().absent(Kind::JoinState), "not-applicable: not joined to Entra ID"),
            (Host::endpoint().failed(Kind::JoinState), "unknown: the join state: access denied: not allowed"),
            (Host::endpoint(), "unknown: the join state: not reported"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&DeviceKey, &Policy::default()), [expected]);
        }
    }
}
