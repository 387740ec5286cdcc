//! `user.ngc-set`: whether the user has a Hello container on this machine.
//!
//! Informative: it blocks nobody. What is missing before a container exists is the question of `prereq.ngc`, and what
//! becomes of the key afterwards that of `sync.key-state`.

use muster_evidence::{Kind, Timestamp};

use crate::check::answer::{Answer, judge_people};
use crate::check::{Page, Scope, Severity};
use crate::derive::key_state::{Container, container};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct NgcSet;

impl Check for NgcSet {
    fn id(&self) -> &'static str {
        "user.ngc-set"
    }

    fn title(&self) -> &'static str {
        "The user has set up Hello"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Informative
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Ngc]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Shows how far the rollout has come: users with a Hello container on the machine have enrolled. \
                      It never counts for or against readiness.",
            evidence: "`NgcSet` of `dsregcmd /status`, read in the user's own session.",
            threshold: "YES: ready, and `sync.key-state` follows the key. NO: not applicable (`not started`), and \
                        `prereq.ngc` says whether enrolment will start.",
            remedy: "None is needed. Where a user should have enrolled, follow `prereq.ngc`.",
            source: "Microsoft Learn, How Windows Hello for Business works: provisioning",
            query: "muster hosts --check user.ngc-set --standing ready",
            alert: "No alert is needed; the number of users at `ready` is the progress of the rollout.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| match container(facts, sid) {
            Container::Set(observation) => Answer::from(Verdict::Ready, observation),
            Container::NotSet(observation) => Answer::from(Verdict::not_applicable("not started"), observation),
            Container::Unknown(gap) => Answer::gap(gap),
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence, Tristate};

    use super::*;
    use crate::check::fixture::{Host, ngc};

    #[test]
    fn the_table() {
        let set = |set, context| Host::endpoint().user(Evidence::Ngc(ngc(set)), context);
        let wrong = "unknown: the user's Hello container: wrong context: read by a service, where the answer means \
                     nothing; it must be read in the user's session";
        let cases = [
            (set(Tristate::Yes, Context::UserSession), "ready"),
            (set(Tristate::Yes, Context::Unknown), "ready"),
            (set(Tristate::Yes, Context::Service), wrong),
            (set(Tristate::No, Context::UserSession), "not-applicable: not started"),
            (
                set(Tristate::No, Context::Unknown),
                "unknown: the user's Hello container: `NgcSet : NO` counts only from the user's own session, and where \
                 it was read is not known",
            ),
            (set(Tristate::No, Context::Service), wrong),
            (
                set(Tristate::NotShown, Context::UserSession),
                "unknown: the user's Hello container: `NgcSet` says neither yes nor no",
            ),
            (Host::endpoint().user_absent(Kind::Ngc, Context::UserSession), "not-applicable: not started"),
            (
                Host::endpoint().user_failed(Kind::Ngc),
                "unknown: the user's Hello container: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&NgcSet, &Policy::default()), [expected]);
        }
    }
}
