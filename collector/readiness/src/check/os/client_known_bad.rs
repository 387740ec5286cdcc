//! `os.client-known-bad`: whether the Windows build has a fault that matters to Hello.
//!
//! Which builds have one is data (`Reference::known_bad_builds`), as ranges of revisions: an update between the one that
//! brought a fault and the one that mends it carries the fault too. A fault may strike only where Hello is set per user;
//! then the people of the machine are looked at, each by the channel that acts on him.

use std::borrow::Cow;

use muster_evidence::{Kind, OperatingSystem, Timestamp};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{Channel, Effective, EffectivePolicy, Setting, Uncertain};
use crate::reference::{Condition, KnownBadBuild, Machine};
use crate::{Check, Facts, Finding, Freshness, Gap, Judgement, Policy, Verdict};

pub(in crate::check) struct ClientKnownBad;

impl Check for ClientKnownBad {
    fn id(&self) -> &'static str {
        "os.client-known-bad"
    }

    fn title(&self) -> &'static str {
        "The Windows build has no known fault that matters to Hello"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::BlockerFor("builds whose fault blocks (`blocking` in the table `known_bad_builds`)")
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::OperatingSystem, Kind::UserPolicy, Kind::ComputerPolicy, Kind::UserMdmPolicy, Kind::DeviceMdmPolicy]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Some cumulative updates broke Hello. Windows 11 24H2 from KB5060842 on does not apply Hello \
                      policies that are set per user, until KB5065789.",
            evidence: "Build and revision (UBR) of Windows, and for faults that depend on it whether a person's Hello is \
                       switched by a channel of his own, group policy or device management.",
            threshold: "The ranges of the table `known_bad_builds`, both ends included (26100.4349 to 26100.6724): \
                        advisory, or blocked where the table says that the fault blocks. Where a fault needs a policy \
                        in user scope and nobody has one: ready. The revision, or the policies of the machine's people, \
                        could not be read: unknown. A policy can replace the table.",
            remedy: "Install the cumulative update that the finding names, or a later one; until then set Hello by the \
                     machine and not by the user.",
            source: "Third party: notes of the repository aollivierre/WindowsHello; not confirmed by Microsoft",
            query: "muster hosts --check os.client-known-bad --standing advisory --standing blocked",
            alert: "Alert when the number of endpoints that `os.client-known-bad` names grows: an update with a fault \
                    is being rolled out.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || match look_at!(facts, OperatingSystem) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => {
                Answer::gap(Gap { missing: "the operating system".into(), why: "reported as absent".into() })
            }
            Look::Found(os, observation) => Answer::from(self.of(os, facts, policy), observation),
        })
    }
}

impl ClientKnownBad {
    fn of(&self, os: &OperatingSystem, facts: &Facts<'_>, policy: &Policy) -> Verdict {
        let table = policy.reference().known_bad_builds;
        let Some(build) = os.build else {
            return Verdict::unknown("the Windows build", format!("{} does not say it", os.name));
        };
        if table.of_build(Machine::Client, build).next().is_none() {
            return Verdict::Ready;
        }
        let Some(revision) = os.revision else {
            return Verdict::unknown(
                "the revision of the Windows build",
                format!("some revisions of build {build} have a fault, and which one this is was not readable"),
            );
        };
        let mut worst = Verdict::Ready;
        for row in table.of(Machine::Client, build, revision) {
            let verdict = match strikes(row, facts) {
                Strikes::No => continue,
                Strikes::Unknown(gap) => Verdict::Unknown(gap),
                Strikes::Yes => {
                    let seen = format!("{} {build}.{revision} {}", row.product, row.effect);
                    let found = Finding {
                        source: Cow::Owned(row.source.clone()),
                        ..finding(self, seen, format!("{} or later", row.fixed_by))
                    };
                    if row.blocking { Verdict::Blocked(found) } else { Verdict::Advisory(found) }
                }
            };
            if verdict.standing() > worst.standing() {
                worst = verdict;
            }
        }
        worst
    }
}

/// Whether a fault of the build strikes here.
enum Strikes {
    Yes,
    No,
    Unknown(Gap),
}

fn strikes(row: &KnownBadBuild, facts: &Facts<'_>) -> Strikes {
    match row.condition {
        None => Strikes::Yes,
        Some(Condition::NtAuthEnforced) => Strikes::No, // a setting of domain controllers
        Some(Condition::UserScopePolicy) => hello_is_set_per_user(facts),
    }
}

/// Whether anybody's Hello is switched by a channel of his own.
fn hello_is_set_per_user(facts: &Facts<'_>) -> Strikes {
    let mut gap = Some(Gap {
        missing: "the policies of the machine's people".into(),
        why: "the fault strikes where Hello is set per user, and nobody's policies are known".into(),
    });
    let mut nobody = true;
    for sid in facts.host.people() {
        if nobody {
            (nobody, gap) = (false, None);
        }
        let policy = EffectivePolicy::of_user(facts, sid);
        match policy.value(Setting::Enabled) {
            Effective::Set { channel, .. } if channel.is_of_user() => return Strikes::Yes,
            // The last channel is the machine's: the person's own were read, and set nothing.
            Effective::Set { .. }
            | Effective::NotSet
            | Effective::Uncertain(Uncertain { channel: Channel::DeviceMdm, .. }) => {}
            Effective::Uncertain(uncertain) => gap = Some(policy.gap(uncertain)),
        }
    }
    gap.map_or(Strikes::No, Strikes::Unknown)
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::device::hello_policy;
    use crate::check::fixture::{Host, windows_client};

    fn build(build: u32, revision: Option<u32>) -> Host {
        let os = OperatingSystem { revision, ..windows_client(build) };
        Host::endpoint().with(Evidence::OperatingSystem(os))
    }

    #[test]
    fn the_table() {
        let struck = |revision: u32| {
            format!(
                "advisory: Windows 11 24H2 26100.{revision} does not apply Hello policies that are set per user \
                 (0x80090010 in provisioning) (needed: 26100.6725 (KB5065789) or later)"
            )
        };
        let (first, last) = (struck(4_349), struck(6_724));
        let per_user = |revision| build(26_100, Some(revision)).no_policy().channel(Channel::UserMdm, hello_policy(1));
        let bad = || build(26_100, Some(5_000)).no_policy();
        let cases: [(Host, &str); 17] = [
            (per_user(4_348), "ready"),
            (per_user(4_349), &first),
            (per_user(6_724), &last),
            (per_user(6_725), "ready"),
            (bad(), "ready"),
            (bad().channel(Channel::ComputerPolicy, hello_policy(1)), "ready"),
            // The computer's group policy wins over what device management sets for the user.
            (
                bad().channel(Channel::ComputerPolicy, hello_policy(1)).channel(Channel::UserMdm, hello_policy(1)),
                "ready",
            ),
            (bad().unread(Channel::DeviceMdm), "ready"),
            (bad().unread(Channel::UserMdm), "unknown: the user's MDM policy: access denied: not allowed"),
            (
                build(26_100, Some(5_000)).no_machine_policy(),
                "unknown: the policies of the machine's people: the fault strikes where Hello is set per user, and \
                 nobody's policies are known",
            ),
            (
                build(26_100, None),
                "unknown: the revision of the Windows build: some revisions of build 26100 have a fault, and which one \
                 this is was not readable",
            ),
            (build(22_631, None), "ready"),
            (build(17_763, Some(100)), "ready"),
            (
                Host::endpoint().with(Evidence::OperatingSystem(OperatingSystem { build: None, ..windows_client(0) })),
                "unknown: the Windows build: Windows 11 Enterprise does not say it",
            ),
            (
                Host::endpoint().failed(Kind::OperatingSystem),
                "unknown: the operating system: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&ClientKnownBad, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn a_table_of_the_policy_can_block_and_ask_for_nothing_else() {
        let text = "[known_bad_builds]\nschema = 1\nversion = \"own\"\n[[known_bad_builds.row]]\non = \"client\"\n\
                    product = \"Windows 10\"\nbuild = 19045\nfirst = 10\nlast = 20\neffect = \"does nothing\"\n\
                    fixed_by = \"19045.21\"\nblocking = true\nsource = \"own\"\n";
        let policy: Policy = toml::from_str(text).unwrap();
        assert_eq!(policy.validate(), []);
        let judge = |revision| build(19_045, Some(revision)).judgements(&ClientKnownBad, &policy).remove(0).verdict;
        let Verdict::Blocked(finding) = judge(20) else { panic!("{:?}", judge(20)) };
        assert_eq!((finding.seen.as_str(), &*finding.source), ("Windows 10 19045.20 does nothing", "own"));
        assert_eq!(judge(21), Verdict::Ready);
        assert_eq!(build(26_100, None).judge(&ClientKnownBad, &policy), ["ready"], "the table is replaced whole");
    }
}
