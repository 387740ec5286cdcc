//! `join.workplace-residue`: whether a user of a hybrid joined machine still has a registered work account on it.

use muster_evidence::{DeviceRegistrationPolicy, JoinKind, JoinState, Kind, Observation, Sid, Timestamp, Tristate};

use crate::check::answer::{
    Answer, Look, Standpoint, finding, judge_people, look_at, standpoint, unsaid_context, wrong_context,
};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct WorkplaceResidue;

impl Check for WorkplaceResidue {
    fn id(&self) -> &'static str {
        "join.workplace-residue"
    }

    fn title(&self) -> &'static str {
        "No work account is registered beside the hybrid join"
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
        &[Kind::Ngc, Kind::JoinState, Kind::DeviceRegistrationPolicy]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A machine that is hybrid joined and holds a registered work account besides is in two states at \
                      once: there are two device objects, and which of them a sign-in uses is not certain.",
            evidence: "`WorkplaceJoined` of `dsregcmd /status`, read in the user's own session. From 1803 on Windows \
                       removes the registration when it joins.",
            threshold: "NO: ready. YES on a hybrid joined machine: advisory. On other machines a registered account is \
                        no residue: not applicable.",
            remedy: "Remove the account under *Access work or school*, and set `BlockAADWorkplaceJoin` to 1 so that it \
                     does not come back.",
            source: "Microsoft Learn, Plan your Microsoft Entra hybrid join deployment",
            query: "muster hosts --check join.workplace-residue --standing advisory",
            alert: "No alert is needed; clear the list before the site is rolled out.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_people(self, facts, |sid| match look_at!(facts, JoinState) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(Verdict::not_applicable(NOT_HYBRID), observation),
            Look::Found(join, observation) => self.of_user(facts, sid, join, observation),
        })
    }
}

const NOT_HYBRID: &str = "not hybrid joined";

impl WorkplaceResidue {
    fn of_user(&self, facts: &Facts<'_>, sid: &Sid, join: &JoinState, of_join: &Observation) -> Answer {
        match join.kind() {
            JoinKind::Hybrid | JoinKind::Undetermined => {}
            JoinKind::EntraJoined
            | JoinKind::DomainOnly
            | JoinKind::OnPremisesDrs
            | JoinKind::WorkplaceOnly
            | JoinKind::NotJoined => return Answer::from(Verdict::not_applicable(NOT_HYBRID), of_join),
        }
        let (registered, observation) = match look_at!(facts, Ngc, sid) {
            Look::Gap(gap) => return Answer::gap(gap),
            Look::Absent(observation) => (Tristate::NotShown, observation),
            Look::Found(ngc, observation) => (ngc.workplace_joined, observation),
        };
        let verdict = match (standpoint(observation), registered) {
            (Standpoint::Wrong, _) => Verdict::Unknown(wrong_context(Kind::Ngc)),
            (Standpoint::Own, Tristate::No) => Verdict::Ready,
            (Standpoint::Unsaid, Tristate::No) => Verdict::Unknown(unsaid_context(Kind::Ngc, "WorkplaceJoined : NO")),
            (_, Tristate::Yes) if join.kind() == JoinKind::Undetermined => {
                Verdict::unknown("the join state", "it decides whether the registered work account is a residue")
            }
            (_, Tristate::Yes) => {
                let prevented = match look_at!(facts, DeviceRegistrationPolicy) {
                    Look::Found(DeviceRegistrationPolicy { block_workplace_join: Some(1), .. }, _) => {
                        ", which `BlockAADWorkplaceJoin` keeps from coming back once it is removed"
                    }
                    Look::Found(..) | Look::Absent(_) | Look::Gap(_) => "",
                };
                let seen = format!("a registered work account beside the hybrid join{prevented}");
                Verdict::Advisory(finding(self, seen, "the hybrid join alone"))
            }
            (_, Tristate::Undetermined | Tristate::NotShown) => {
                Verdict::unknown("the user's registered work account", "`WorkplaceJoined` says neither yes nor no")
            }
        };
        Answer::from(verdict, observation)
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence, Ngc};

    use super::*;
    use crate::check::fixture::{Host, hybrid, ngc};

    #[test]
    fn the_table() {
        let on = |join: JoinState, workplace_joined, context| {
            let ngc = Ngc { workplace_joined, ..ngc(Tristate::No) };
            Host::endpoint().with(Evidence::JoinState(join)).user(Evidence::Ngc(ngc), context)
        };
        let own = |workplace_joined| on(hybrid(), workplace_joined, Context::UserSession);
        let entra = JoinState { domain_joined: Tristate::No, ..hybrid() };
        let odd = JoinState { enterprise_joined: Tristate::Yes, ..hybrid() };
        let wrong = "unknown: the user's Hello container: wrong context: read by a service, where the answer means \
                     nothing; it must be read in the user's session";
        let block = DeviceRegistrationPolicy { block_workplace_join: Some(1), ..DeviceRegistrationPolicy::default() };
        let cases = [
            (own(Tristate::No), "ready"),
            (
                own(Tristate::Yes),
                "advisory: a registered work account beside the hybrid join (needed: the hybrid join alone)",
            ),
            (
                own(Tristate::Yes).with(Evidence::DeviceRegistrationPolicy(block)),
                "advisory: a registered work account beside the hybrid join, which `BlockAADWorkplaceJoin` keeps from \
                 coming back once it is removed (needed: the hybrid join alone)",
            ),
            (
                on(hybrid(), Tristate::Yes, Context::Unknown),
                "advisory: a registered work account beside the hybrid join (needed: the hybrid join alone)",
            ),
            (
                on(hybrid(), Tristate::No, Context::Unknown),
                "unknown: the user's Hello container: `WorkplaceJoined : NO` counts only from the user's own session, \
                 and where it was read is not known",
            ),
            (on(hybrid(), Tristate::No, Context::Service), wrong),
            (on(hybrid(), Tristate::Yes, Context::Service), wrong),
            (
                own(Tristate::NotShown),
                "unknown: the user's registered work account: `WorkplaceJoined` says neither yes nor no",
            ),
            (
                Host::endpoint().with(Evidence::JoinState(hybrid())).user_absent(Kind::Ngc, Context::UserSession),
                "unknown: the user's registered work account: `WorkplaceJoined` says neither yes nor no",
            ),
            (
                on(odd.clone(), Tristate::Yes, Context::UserSession),
                "unknown: the join state: it decides whether the registered work account is a residue",
            ),
            (on(odd, Tristate::No, Context::UserSession), "ready"),
            (on(entra, Tristate::Yes, Context::UserSession), "not-applicable: not hybrid joined"),
            (own(Tristate::Yes).absent(Kind::JoinState), "not-applicable: not hybrid joined"),
            (own(Tristate::Yes).failed(Kind::JoinState), "unknown: the join state: access denied: not allowed"),
            (
                own(Tristate::Yes).user_failed(Kind::Ngc),
                "unknown: the user's Hello container: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&WorkplaceResidue, &Policy::default()), [expected]);
        }
    }
}
