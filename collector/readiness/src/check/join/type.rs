//! `join.type`: whether the machine is joined in a way that key trust knows.
//!
//! The three flags are read by Microsoft's truth table. A registered work account is no join: it is what a private
//! machine has.

use muster_evidence::{JoinKind, JoinState, Kind, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct JoinType;

/// What is needed.
const NEEDED: &str = "hybrid joined or joined to Entra ID";

impl Check for JoinType {
    fn id(&self) -> &'static str {
        "join.type"
    }

    fn title(&self) -> &'static str {
        "The machine is hybrid joined or joined to Entra ID"
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
            meaning: "A Hello key is registered for a user on a device that Entra ID knows. A machine that is only in \
                      the domain has not registered yet; one with a registered work account is not joined at all.",
            evidence: "`AzureAdJoined`, `EnterpriseJoined` and `DomainJoined` as `dsregcmd /status` shows them, or the \
                       join functions of Windows.",
            threshold: "Hybrid joined, or joined to Entra ID: ready. In the domain only, registered only, on-premises \
                        device registration, or none: blocked. Flags that contradict each other: unknown.",
            remedy: "Complete the hybrid join: service connection point, synchronisation of the computer object, reach \
                     of the registration endpoints. `dsregcmd /status` names the phase in which it fails.",
            source: "Microsoft Learn, Configure hybrid Microsoft Entra join manually; Troubleshoot Microsoft Entra \
                     hybrid joined devices",
            query: "muster hosts --check join.type --standing blocked",
            alert: "Alert when the number of endpoints blocked by `join.type` grows for a day: registration of new \
                    machines has stopped.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || match look_at!(facts, JoinState) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => {
                Answer::from(Verdict::Blocked(finding(self, "not joined to anything", NEEDED)), observation)
            }
            Look::Found(join, observation) => Answer::from(self.of(join), observation),
        })
    }
}

impl JoinType {
    fn of(&self, join: &JoinState) -> Verdict {
        let blocked = |seen: &str| Verdict::Blocked(finding(self, seen, NEEDED));
        match join.kind() {
            JoinKind::Hybrid | JoinKind::EntraJoined => Verdict::Ready,
            JoinKind::DomainOnly => blocked("in the domain only, not registered with Entra ID yet"),
            JoinKind::OnPremisesDrs => {
                blocked("joined to on-premises device registration, which is another deployment")
            }
            JoinKind::WorkplaceOnly => blocked("a registered work account only, which is no join"),
            JoinKind::NotJoined => blocked("not joined to anything"),
            JoinKind::Undetermined => Verdict::unknown(
                "the join state",
                format!(
                    "the flags fit no known state (Entra ID {}, on-premises registration {}, domain {})",
                    flag(join.azure_ad_joined),
                    flag(join.enterprise_joined),
                    flag(join.domain_joined)
                ),
            ),
        }
    }
}

const fn flag(flag: muster_evidence::Tristate) -> &'static str {
    use muster_evidence::Tristate;
    match flag {
        Tristate::Yes => "yes",
        Tristate::No => "no",
        Tristate::Undetermined => "undetermined",
        Tristate::NotShown => "not shown",
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;
    use muster_evidence::Tristate::{No, NotShown, Yes};

    use super::*;
    use crate::check::fixture::{Host, hybrid};

    #[test]
    fn the_truth_table() {
        let flags = |azure_ad_joined, enterprise_joined, domain_joined, workplace_joined| {
            let join = JoinState { azure_ad_joined, enterprise_joined, domain_joined, workplace_joined, ..hybrid() };
            Host::endpoint().with(Evidence::JoinState(join))
        };
        let cases = [
            (flags(Yes, No, Yes, No), "ready"),
            (flags(Yes, No, No, No), "ready"),
            (flags(No, No, Yes, No), "blocked: in the domain only, not registered with Entra ID yet"),
            (flags(No, No, Yes, Yes), "blocked: in the domain only, not registered with Entra ID yet"),
            (
                flags(No, Yes, Yes, No),
                "blocked: joined to on-premises device registration, which is another deployment",
            ),
            (flags(No, No, No, Yes), "blocked: a registered work account only, which is no join"),
            (flags(No, No, No, No), "blocked: not joined to anything"),
            (Host::endpoint().absent(Kind::JoinState), "blocked: not joined to anything"),
        ];
        for (host, expected) in cases {
            let expected = match expected {
                "ready" => expected.to_owned(),
                finding => format!("{finding} (needed: {NEEDED})"),
            };
            assert_eq!(host.judge(&JoinType, &Policy::default()), [expected]);
        }
        let cases = [
            (
                flags(Yes, Yes, No, No),
                "unknown: the join state: the flags fit no known state (Entra ID yes, on-premises registration yes, \
                 domain no)",
            ),
            (
                flags(NotShown, No, Yes, No),
                "unknown: the join state: the flags fit no known state (Entra ID not shown, on-premises registration \
                 no, domain yes)",
            ),
            (Host::endpoint().failed(Kind::JoinState), "unknown: the join state: access denied: not allowed"),
            (Host::endpoint(), "unknown: the join state: not reported"),
            (Host::linux().with(Evidence::JoinState(hybrid())), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&JoinType, &Policy::default()), [expected]);
        }
    }
}
