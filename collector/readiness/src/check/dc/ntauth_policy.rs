//! `dc.ntauth-policy`: whether the NTAuth check is enforced by a build that applies it to key trust too.
//!
//! A key-trust certificate is signed by nobody, so its issuer is never in NTAuth. The updates of April to June 2025 did not
//! except it; since June the check is harmless to key trust, whatever is set.

use muster_evidence::{Kind, OperatingSystem, Timestamp};

use super::kdc::{absent, judge_capable};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::nt_auth::{NtAuthCheck, needs_enforcement, nt_auth_check};
use crate::reference::{KnownBadBuild, Machine};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct NtAuthPolicy;

impl Check for NtAuthPolicy {
    fn id(&self) -> &'static str {
        "dc.ntauth-policy"
    }

    fn title(&self) -> &'static str {
        "The NTAuth check does not refuse key trust"
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
        &[Kind::KdcPolicy, Kind::OperatingSystem, Kind::DomainController]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Since April 2025 the KDC checks whether the issuer of a client's certificate is in NTAuth. The \
                      certificate of a key-trust sign-in has no issuer; the first builds with the check refuse it with \
                      event 21 where the check is enforced.",
            evidence: "The value `AllowNtAuthPolicyBypass` under `HKLM\\SYSTEM\\CurrentControlSet\\Services\\Kdc`, and \
                       build and revision of the domain controller.",
            threshold: "Builds of 2025-04-08 to before 2025-06-10 (the rows of `known_bad_builds` that depend on the \
                        check): 2 (enforced) is blocked; 1 (audited, as where nothing is set) and 0 (off) are ready. All \
                        other builds: ready. From 2025-07-08 the check is enforced by default and 0 is no longer \
                        possible, from 2025-10-14 the value is not honoured; both except key trust.",
            remedy: "Install the update of June 2025 or a newer one on the domain controller; until then set \
                     `AllowNtAuthPolicyBypass` to 1.",
            source: "Microsoft Support, KB5057784",
            query: "muster hosts --check dc.ntauth-policy --standing blocked",
            alert: "Alert at once when a domain controller becomes blocked by `dc.ntauth-policy`: it refuses every \
                    key-trust sign-in.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_capable(self, facts, policy, || match look_at!(facts, OperatingSystem) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => absent(Kind::OperatingSystem),
            Look::Found(os, observation) => {
                let (verdict, read_at) = self.of(os, facts, policy);
                let evidence_at = [read_at, Some(observation.observed_at)].into_iter().flatten().min();
                Answer { verdict, valid_until: None, evidence_at }
            }
        })
    }
}

impl NtAuthPolicy {
    fn of(&self, os: &OperatingSystem, facts: &Facts<'_>, policy: &Policy) -> (Verdict, Option<Timestamp>) {
        let Some(build) = os.build else {
            return (Verdict::unknown("the Windows build", format!("{} does not say it", os.name)), None);
        };
        let rows = policy.reference().known_bad_builds.of_build(Machine::DomainController, build);
        // A build whose revision is not known may be in any of the windows.
        let may_be_in = |row: &&KnownBadBuild| {
            needs_enforcement(row) && os.revision.is_none_or(|revision| (row.first..=row.last).contains(&revision))
        };
        let Some(row) = rows.into_iter().find(may_be_in) else {
            return (Verdict::Ready, None);
        };
        let (value, read_at) = match look_at!(facts, KdcPolicy) {
            Look::Gap(gap) => return (Verdict::Unknown(gap), None),
            Look::Absent(observation) => (None, observation.observed_at),
            Look::Found(set, observation) => (set.allow_nt_auth_policy_bypass, observation.observed_at),
        };
        let verdict = match (nt_auth_check(build, os.revision.unwrap_or(row.first), value), os.revision) {
            (NtAuthCheck::Off | NtAuthCheck::Audited, _) => Verdict::Ready,
            (NtAuthCheck::Undocumented(value), _) => Verdict::unknown(
                "whether the NTAuth check is enforced",
                format!("`AllowNtAuthPolicyBypass` is {value}, which is none of 0, 1 and 2"),
            ),
            (NtAuthCheck::Enforced, None) => Verdict::unknown(
                "the update build revision (UBR)",
                format!("not known, and some revisions of build {build} refuse key trust while the check is enforced"),
            ),
            (NtAuthCheck::Enforced, Some(revision)) => {
                let seen = format!("{build}.{revision} enforces the NTAuth check (`AllowNtAuthPolicyBypass` is 2)");
                Verdict::Blocked(finding(self, seen, format!("{} or newer, or the value 1 until then", row.fixed_by)))
            }
        };
        (verdict, Some(read_at))
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, KdcPolicy};

    use super::*;
    use crate::check::fixture::{Host, windows_server};

    fn dc(revision: Option<u32>, allow_nt_auth_policy_bypass: Option<u32>) -> Host {
        Host::dc()
            .with(Evidence::OperatingSystem(OperatingSystem { revision, ..windows_server(20_348) }))
            .with(Evidence::KdcPolicy(KdcPolicy { allow_nt_auth_policy_bypass, ..KdcPolicy::default() }))
    }

    #[test]
    fn the_table() {
        let blocked = "blocked: 20348.3453 enforces the NTAuth check (`AllowNtAuthPolicyBypass` is 2) (needed: \
                       20348.3807 (KB5060526) or newer, or the value 1 until then)";
        let cases = [
            (dc(Some(3_452), Some(2)), "ready"),
            (dc(Some(3_453), Some(2)), blocked),
            (dc(Some(3_807), Some(2)), "ready"),
            (dc(Some(9_000), None), "ready"),
            (dc(Some(3_453), None), "ready"),
            (dc(Some(3_453), Some(0)), "ready"),
            (dc(Some(3_453), Some(1)), "ready"),
            (
                dc(Some(3_453), Some(4)),
                "unknown: whether the NTAuth check is enforced: `AllowNtAuthPolicyBypass` is 4, which is none of 0, 1 \
                 and 2",
            ),
            (dc(None, Some(1)), "ready"),
            (dc(None, None), "ready"),
            (
                dc(None, Some(2)),
                "unknown: the update build revision (UBR): not known, and some revisions of build 20348 refuse key \
                 trust while the check is enforced",
            ),
            (dc(Some(3_453), Some(2)).absent(Kind::KdcPolicy), "ready"),
            (
                dc(Some(3_453), Some(2)).failed(Kind::KdcPolicy),
                "unknown: the KDC's settings: access denied: not allowed",
            ),
            (dc(Some(9_000), Some(2)).failed(Kind::KdcPolicy), "ready"),
            (Host::dc().failed(Kind::OperatingSystem), "unknown: the operating system: access denied: not allowed"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&NtAuthPolicy, &Policy::default()), [expected]);
        }
        let last = dc(Some(3_806), Some(2)).judge(&NtAuthPolicy, &Policy::default());
        assert!(last[0].starts_with("blocked: 20348.3806"), "{last:?}");
    }

    #[test]
    fn a_build_without_such_a_window_needs_no_value() {
        let other = Host::dc().with(Evidence::OperatingSystem(windows_server(25_398))).failed(Kind::KdcPolicy);
        assert_eq!(other.judge(&NtAuthPolicy, &Policy::default()), ["ready"]);
    }
}
