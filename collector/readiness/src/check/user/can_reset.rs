//! `user.can-reset`: whether a user who forgot the PIN can get a new one.

use muster_evidence::{CanReset, Kind, Ngc, Observation, Sid, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_people, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::key_state::{Container, container};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct PinReset;

impl Check for PinReset {
    fn id(&self) -> &'static str {
        "user.can-reset"
    }

    fn title(&self) -> &'static str {
        "The user's PIN can be reset"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Ngc]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A user who forgets the PIN needs a way to a new one. A destructive reset makes a new key, which \
                      must be synchronised before it works; one that is not destructive keeps the key.",
            evidence: "`CanReset` of `dsregcmd /status`, read in the user's own session.",
            threshold: "Any way of resetting: ready. `Unknown` or not shown while Hello is set up: advisory. Hello not \
                        set up: not applicable.",
            remedy: "Enable PIN recovery (`EnablePinRecovery`) and the Microsoft PIN reset service in the tenant, or let \
                     users reset from the settings while they are signed in.",
            source: "Microsoft Learn, Windows Hello for Business policy settings; PIN reset",
            query: "muster hosts --check user.can-reset --standing advisory",
            alert: "No alert is needed; the list says whom the service desk will hear from.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| match container(facts, sid) {
            Container::Unknown(gap) => Answer::gap(gap),
            Container::NotSet(observation) => Answer::from(Verdict::not_applicable("not started"), observation),
            Container::Set(observation) => self.of(facts, sid, observation),
        })
    }
}

impl PinReset {
    fn of(&self, facts: &Facts<'_>, sid: &Sid, observation: &Observation) -> Answer {
        let can_reset = match look_at!(facts, Ngc, sid) {
            Look::Found(Ngc { can_reset, .. }, _) => *can_reset,
            Look::Absent(_) | Look::Gap(_) => None,
        };
        let verdict = match can_reset {
            Some(CanReset::DestructiveOnly | CanReset::NonDestructiveOnly | CanReset::DestructiveAndNonDestructive) => {
                Verdict::Ready
            }
            Some(CanReset::Unknown) => self.advisory("Windows does not say whether the PIN can be reset"),
            None => self.advisory("`CanReset` is not shown"),
        };
        Answer::from(verdict, observation)
    }

    fn advisory(&self, seen: &str) -> Verdict {
        Verdict::Advisory(finding(self, seen, "a way to reset the PIN"))
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence, Tristate};

    use super::*;
    use crate::check::fixture::{Host, ngc};

    #[test]
    fn the_table() {
        let host =
            |set, can_reset, context| Host::endpoint().user(Evidence::Ngc(Ngc { can_reset, ..ngc(set) }), context);
        let own = |can_reset| host(Tristate::Yes, can_reset, Context::UserSession);
        let cases = [
            (own(Some(CanReset::DestructiveOnly)), "ready"),
            (own(Some(CanReset::NonDestructiveOnly)), "ready"),
            (own(Some(CanReset::DestructiveAndNonDestructive)), "ready"),
            (
                own(Some(CanReset::Unknown)),
                "advisory: Windows does not say whether the PIN can be reset (needed: a way to reset the PIN)",
            ),
            (own(None), "advisory: `CanReset` is not shown (needed: a way to reset the PIN)"),
            (host(Tristate::No, None, Context::UserSession), "not-applicable: not started"),
            (
                host(Tristate::Yes, Some(CanReset::DestructiveOnly), Context::Service),
                "unknown: the user's Hello container: wrong context: read by a service, where the answer means \
                 nothing; it must be read in the user's session",
            ),
            (
                Host::endpoint().user_failed(Kind::Ngc),
                "unknown: the user's Hello container: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&PinReset, &Policy::default()), [expected]);
        }
    }
}
