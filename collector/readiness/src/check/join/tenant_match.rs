//! `join.tenant-match`: whether the machine belongs to the tenant that is rolled out.

use muster_evidence::{Guid, JoinState, Kind, Timestamp};

use super::{NOT_JOINED, is_joined};
use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct TenantMatch;

impl Check for TenantMatch {
    fn id(&self) -> &'static str {
        "join.tenant-match"
    }

    fn title(&self) -> &'static str {
        "The machine belongs to the expected tenant"
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
            meaning: "A device that is joined to another tenant registers its users' keys there, where the Entra \
                      Connect of this forest never finds them.",
            evidence: "`TenantId` of `dsregcmd /status`, or of the join functions of Windows, against `expected_tenant` \
                       of the policy.",
            threshold: "The same: ready. Another: blocked. Joined and no tenant shown: unknown. Without \
                        `expected_tenant` nothing is compared: not applicable (`not assessed`).",
            remedy: "Leave the other tenant (`dsregcmd /leave`) and join again; look for the service connection point, \
                     or the machine's own settings of it, that names the other tenant.",
            source: "Microsoft Learn, Troubleshoot Microsoft Entra hybrid joined devices",
            query: "muster hosts --check join.tenant-match --standing blocked",
            alert: "Alert when any endpoint becomes blocked by `join.tenant-match`: machines of one forest do not change \
                    their tenant by themselves.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            let Some(expected) = policy.expected_tenant else {
                return Answer::bare(Verdict::not_applicable("not assessed"));
            };
            match look_at!(facts, JoinState) {
                Look::Gap(gap) => Answer::gap(gap),
                Look::Absent(observation) => Answer::from(Verdict::not_applicable(NOT_JOINED), observation),
                Look::Found(join, observation) => Answer::from(self.of(join, expected), observation),
            }
        })
    }
}

impl TenantMatch {
    fn of(&self, join: &JoinState, expected: Guid) -> Verdict {
        if is_joined(join) == Some(false) {
            return Verdict::not_applicable(NOT_JOINED);
        }
        match join.tenant_id {
            Some(tenant) if tenant == expected => Verdict::Ready,
            Some(tenant) => {
                Verdict::Blocked(finding(self, format!("joined to tenant {tenant}"), format!("tenant {expected}")))
            }
            None => Verdict::unknown("the tenant", "the machine shows none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, Tristate};

    use super::*;
    use crate::check::fixture::{Host, hybrid};

    #[test]
    fn the_table() {
        let own: Guid = "7d0c2f8e-3a41-4c9e-8c50-6e1f2b3a4d5c".parse().unwrap();
        let other: Guid = "11111111-2222-3333-4444-555555555555".parse().unwrap();
        let policy = Policy { expected_tenant: Some(own), ..Policy::default() };
        let join = |tenant_id| JoinState { tenant_id, ..hybrid() };
        let host = |join| Host::endpoint().with(Evidence::JoinState(join));
        let domain_only = JoinState { azure_ad_joined: Tristate::No, ..join(Some(other)) };
        let undetermined = JoinState { enterprise_joined: Tristate::Yes, ..join(Some(other)) };
        let blocked = format!("blocked: joined to tenant {other} (needed: tenant {own})");
        let cases = [
            (host(join(Some(own))), "ready"),
            (host(join(Some(other))), &blocked),
            (host(join(None)), "unknown: the tenant: the machine shows none"),
            (host(domain_only), "not-applicable: not joined to Entra ID"),
            (host(undetermined), &blocked),
            (Host::endpoint().absent(Kind::JoinState), "not-applicable: not joined to Entra ID"),
            (Host::endpoint().failed(Kind::JoinState), "unknown: the join state: access denied: not allowed"),
            (Host::endpoint().unsupported(Kind::JoinState), UNSUPPORTED),
            (Host::endpoint(), "unknown: the join state: not reported"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&TenantMatch, &policy), [expected]);
        }
        let unset = host(join(Some(other))).judge(&TenantMatch, &Policy::default());
        assert_eq!(unset, ["not-applicable: not assessed"]);
    }

    const UNSUPPORTED: &str = "unknown: the join state: not available on this system: no such interface";
}
