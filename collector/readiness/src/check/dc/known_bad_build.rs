//! `dc.known-bad-build`: whether the domain controller's build has a fault that matters to key trust.
//!
//! The faults are data. One that strikes only where the NTAuth check is enforced is an advisory elsewhere: it fills the log.

use std::borrow::Cow;

use muster_evidence::{Kind, OperatingSystem, Timestamp};

use super::kdc::{absent, judge_capable};
use crate::check::answer::{Answer, Look, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::nt_auth::{NtAuthCheck, nt_auth_check};
use crate::reference::{Condition, KnownBadBuild, Machine};
use crate::{Check, Facts, Finding, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct KnownBadDcBuild;

impl Check for KnownBadDcBuild {
    fn id(&self) -> &'static str {
        "dc.known-bad-build"
    }

    fn title(&self) -> &'static str {
        "The domain controller's build has no known fault"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainControllerSlow
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::OperatingSystem, Kind::KdcPolicy, Kind::DomainController]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Some updates broke key trust, and one bad domain controller is enough: two ranges of builds from \
                      late 2020 delete a user's key from the directory after a sign-in, for every site. The user reads \
                      the same words as for a key that has not arrived yet, and in a mixed fleet it comes and goes.",
            evidence: "Build and update build revision (UBR) of the domain controller, and for the faults of 2025 the \
                       value `AllowNtAuthPolicyBypass`.",
            threshold: "The ranges are data (`known_bad_builds` of the policy; what is built in is in \
                        `known-bad-builds.toml`): from the first revision with the fault to the last before the update \
                        that mends it. Inside: blocked; the faults of April to June 2025 only where the NTAuth check is \
                        enforced, advisory elsewhere. Outside: ready. Build known and revision not: unknown.",
            remedy: "Install the update that is named, or a newer one, on every domain controller of the domain before \
                     anybody provisions again; keys that were deleted come back with the next delta synchronisation.",
            source: "Microsoft Learn, Windows Hello for Business known deployment issues; Microsoft Support, KB5057784",
            query: "muster hosts --check dc.known-bad-build --standing blocked",
            alert: "Alert at once when a domain controller becomes blocked by `dc.known-bad-build`: it may delete keys of \
                    users of every site.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_capable(self, facts, policy, || match look_at!(facts, OperatingSystem) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => absent(Kind::OperatingSystem),
            Look::Found(os, observation) => Answer::from(self.of(os, facts, policy), observation),
        })
    }
}

impl KnownBadDcBuild {
    fn of(&self, os: &OperatingSystem, facts: &Facts<'_>, policy: &Policy) -> Verdict {
        let builds = policy.reference().known_bad_builds;
        let Some(build) = os.build else {
            return Verdict::unknown("the Windows build", format!("{} does not say it", os.name));
        };
        if builds.of_build(Machine::DomainController, build).next().is_none() {
            return Verdict::Ready;
        }
        let Some(revision) = os.revision else {
            return Verdict::unknown(
                "the update build revision (UBR)",
                format!("not known, and some revisions of build {build} have a known fault"),
            );
        };
        let mut worst = Verdict::Ready;
        for row in builds.of(Machine::DomainController, build, revision) {
            let verdict = self.of_row(row, revision, facts);
            if verdict.standing() > worst.standing() {
                worst = verdict;
            }
        }
        worst
    }

    /// What a fault of this very build means here.
    fn of_row(&self, row: &KnownBadBuild, revision: u32, facts: &Facts<'_>) -> Verdict {
        let strikes = match row.condition {
            None => true,
            Some(Condition::UserScopePolicy) => false, // of machines that people sign in to
            Some(Condition::NtAuthEnforced) => {
                let value = match look_at!(facts, KdcPolicy) {
                    Look::Gap(gap) => return Verdict::Unknown(gap),
                    Look::Absent(_) => None,
                    Look::Found(set, _) => set.allow_nt_auth_policy_bypass,
                };
                match nt_auth_check(row.build, revision, value) {
                    NtAuthCheck::Enforced => true,
                    NtAuthCheck::Audited | NtAuthCheck::Off => false,
                    NtAuthCheck::Undocumented(value) => {
                        return Verdict::unknown(
                            "whether the NTAuth check is enforced",
                            format!("`AllowNtAuthPolicyBypass` is {value}, which is none of 0, 1 and 2"),
                        );
                    }
                }
            }
        };
        let found = Finding {
            seen: format!("{} {}.{revision} {}", row.product, row.build, row.effect),
            needed: Cow::Owned(format!("{} or newer", row.fixed_by)),
            remedy: Cow::Borrowed(self.page().remedy),
            source: Cow::Owned(row.source.clone()),
        };
        if strikes && row.blocking { Verdict::Blocked(found) } else { Verdict::Advisory(found) }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, KdcPolicy};

    use super::*;
    use crate::Standing;
    use crate::check::fixture::{Host, windows_server};

    fn of(build: u32, revision: Option<u32>) -> Host {
        Host::dc().with(Evidence::OperatingSystem(OperatingSystem { revision, ..windows_server(build) }))
    }

    fn standing(host: &Host) -> Standing {
        host.judgements(&KnownBadDcBuild, &Policy::default())[0].verdict.standing()
    }

    fn with_value(host: Host, allow_nt_auth_policy_bypass: Option<u32>) -> Host {
        host.with(Evidence::KdcPolicy(KdcPolicy { allow_nt_auth_policy_bypass, ..KdcPolicy::default() }))
    }

    #[test]
    fn both_ends_of_every_range() {
        use Standing::{Advisory, Blocked, Ready};
        let rows = [
            (14_393, 3_930, 4_048, Blocked),
            (17_763, 1_457, 1_613, Blocked),
            (14_393, 7_969, 8_147, Advisory),
            (17_763, 7_136, 7_433, Advisory),
            (20_348, 3_453, 3_806, Advisory),
            (26_100, 3_775, 4_348, Advisory),
        ];
        for (build, first, last, inside) in rows {
            let found = [first - 1, first, last, last + 1].map(|revision| standing(&of(build, Some(revision))));
            assert_eq!(found, [Ready, inside, inside, Ready], "{build}");
        }
        assert_eq!([0, 315, 316].map(|ubr| standing(&of(17_763, Some(ubr)))), [Blocked, Blocked, Ready]);
        assert_eq!(standing(&of(25_398, None)), Ready, "no revision of it has a known fault");
    }

    #[test]
    fn the_faults_of_2025_strike_where_the_check_is_enforced() {
        let bad = || of(20_348, Some(3_806));
        let cases = [
            (with_value(bad(), None), Standing::Advisory),
            (with_value(bad(), Some(0)), Standing::Advisory),
            (with_value(bad(), Some(1)), Standing::Advisory),
            (with_value(bad(), Some(2)), Standing::Blocked),
            (with_value(bad(), Some(3)), Standing::Unknown),
            (bad().absent(Kind::KdcPolicy), Standing::Advisory),
            (bad().failed(Kind::KdcPolicy), Standing::Unknown),
            (with_value(of(20_348, Some(3_807)), Some(2)), Standing::Ready),
            (of(20_348, Some(3_807)).failed(Kind::KdcPolicy), Standing::Ready),
        ];
        for (host, expected) in cases {
            assert_eq!(standing(&host), expected);
        }
    }

    #[test]
    fn the_words() {
        let cases = [
            (
                of(14_393, Some(4_000)),
                "blocked: Windows Server 2016 14393.4000 deletes the user's key from msDS-KeyCredentialLink after a \
                 sign-in (needed: 14393.4104 (KB4593226) or newer)",
            ),
            (
                of(20_348, None),
                "unknown: the update build revision (UBR): not known, and some revisions of build 20348 have a known \
                 fault",
            ),
            (Host::dc().failed(Kind::OperatingSystem), "unknown: the operating system: access denied: not allowed"),
            (
                Host::dc().with(Evidence::OperatingSystem(OperatingSystem { build: None, ..windows_server(0) })),
                "unknown: the Windows build: Windows Server does not say it",
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&KnownBadDcBuild, &Policy::default()), [expected]);
        }
        let judgement = &of(14_393, Some(4_000)).judgements(&KnownBadDcBuild, &Policy::default())[0];
        let Verdict::Blocked(found) = &judgement.verdict else { panic!("must be blocked") };
        assert_eq!(found.source, "Microsoft Learn, Windows Hello for Business known deployment issues");
    }

    #[test]
    fn an_operators_table_replaces_what_is_built_in() {
        let text = "[known_bad_builds]\nschema = 1\nversion = \"own\"\n\
                    [[known_bad_builds.row]]\non = \"domain-controller\"\nproduct = \"Windows Server 2022\"\n\
                    build = 20348\nfirst = 9000\nlast = 9000\neffect = \"forgets\"\nfixed_by = \"20348.9001\"\n\
                    blocking = true\nsource = \"own\"\n";
        let policy: Policy = toml::from_str(text).unwrap();
        let judged = |host: Host| host.judgements(&KnownBadDcBuild, &policy)[0].verdict.standing();
        assert_eq!(judged(Host::dc()), Standing::Blocked);
        assert_eq!(judged(of(14_393, Some(4_000))), Standing::Ready);
    }
}
