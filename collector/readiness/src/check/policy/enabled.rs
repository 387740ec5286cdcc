//! `policy.enabled`: whether Hello is switched on for the person.
//!
//! A machine in a domain waits for a policy; one that is joined to Entra ID alone does not. What is not deployed is not
//! blocked: it is `not started`. Whether a machine or person should have been reached by now is a question of the
//! phase, which nobody is in until its members are known.

use muster_evidence::{Kind, Sid, Timestamp};

use super::{Evaluation, NO_CHANNEL, by_channels, evaluation, judge_subjects, set_by};
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{EffectivePolicy, Hello, Setting, hello_is_on_by_default};
use crate::derive::key_state::{Container, container};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct PolicyEnabled;

/// What is missing where two sources contradict each other.
const WHETHER_ON: &str = "whether Hello is on";

/// What is needed.
const NEEDED: &str = "Hello switched on by *Use Windows Hello for Business*";

impl Check for PolicyEnabled {
    fn id(&self) -> &'static str {
        "policy.enabled"
    }

    fn title(&self) -> &'static str {
        "Hello is switched on for the user"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        &[
            Kind::UserPolicy,
            Kind::ComputerPolicy,
            Kind::UserMdmPolicy,
            Kind::DeviceMdmPolicy,
            Kind::NgcPrerequisites,
            Kind::Ngc,
            Kind::JoinState,
        ]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Hello is offered to a user where a policy switches it on. On a machine that is joined to Entra ID \
                      only it is on without one; a hybrid machine waits for one.",
            evidence: "`Enabled` of group policy and `UsePassportForWork` of device management, each of the user and of \
                       the computer; the first of user policy, computer policy, user MDM and device MDM that sets it \
                       wins. `PolicyEnabled` of `dsregcmd /status` in the user's session is compared with it. Where no \
                       user is known, the machine's own two channels are judged.",
            threshold: "On: ready. Switched off by the channel that wins: blocked. Not set: ready on a machine that is \
                        joined to Entra ID only, `not started` on any other, since what is not rolled out yet is no \
                        fault. A channel that could not be read makes it unknown, unless one before it decides; so does \
                        a `PolicyEnabled` that says otherwise. Where no channel was looked at, a `PolicyEnabled: YES` is \
                        enough; that Hello is set up is not, since the policy may be gone since.",
            remedy: "Set *Use Windows Hello for Business* by group policy or device management for this group, in one \
                     channel; where it is switched off on purpose, waive the check for these machines.",
            source: "Microsoft Learn, Configure Windows Hello for Business; Windows Hello for Business policy settings",
            query: "muster hosts --check policy.enabled --standing blocked",
            alert: "Alert when users of a site that is being rolled out become blocked by `policy.enabled`: a policy \
                    with precedence switches Hello off.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_subjects(self, facts, |policy, sid| self.of(policy, facts, sid))
    }
}

impl PolicyEnabled {
    fn of(&self, policy: &EffectivePolicy<'_>, facts: &Facts<'_>, sid: Option<&Sid>) -> Answer {
        let evaluation = evaluation(facts, sid);
        let windows = evaluation.flag(|found| found.policy_enabled);
        let verdict = match policy.hello() {
            Hello::Uncertain(_) if !policy.was_looked_at() => return self.by_windows(facts, sid, &evaluation),
            Hello::Uncertain(uncertain) => Verdict::Unknown(policy.gap(uncertain)),
            Hello::JoinUnknown => Verdict::unknown(
                "the join state",
                "no policy is set, and the join decides whether Hello is on without one",
            ),
            Hello::Off(channel) if windows != Some(true) => {
                Verdict::Blocked(finding(self, set_by(Setting::Enabled, channel, 0), NEEDED))
            }
            Hello::Off(channel) => contradiction("YES", &set_by(Setting::Enabled, channel, 0)),
            Hello::On(channel) if windows == Some(false) => contradiction("NO", &set_by(Setting::Enabled, channel, 1)),
            Hello::OnByDefault if windows == Some(false) => {
                contradiction("NO", "no channel sets it, and it is on by default on this machine")
            }
            Hello::NotStarted if windows == Some(true) => contradiction("YES", "no channel sets it"),
            Hello::On(_) | Hello::OnByDefault | Hello::NotStarted => match (&evaluation, policy.hello()) {
                (Evaluation::Unreadable(gap), _) => Verdict::Unknown(gap.clone()),
                (_, Hello::NotStarted) => Verdict::not_applicable("not started"),
                _ => Verdict::Ready,
            },
        };
        let mut answer = by_channels(policy, Setting::Enabled, verdict);
        if windows.is_some() {
            answer.evidence_at = [answer.evidence_at, evaluation.read_at()].into_iter().flatten().min();
        }
        answer
    }

    /// The answer by what Windows says, where nobody looked at a channel.
    fn by_windows(&self, facts: &Facts<'_>, sid: Option<&Sid>, evaluation: &Evaluation<'_>) -> Answer {
        let verdict = match (evaluation.flag(|found| found.policy_enabled), evaluation) {
            (Some(true), _) => Verdict::Ready,
            // On by default, so that a policy must say no.
            (Some(false), _) if hello_is_on_by_default(facts) == Some(true) => Verdict::Blocked(finding(
                self,
                "`PolicyEnabled : NO` on a machine that is joined to Entra ID only",
                NEEDED,
            )),
            (Some(false), _) => Verdict::unknown(
                NO_CHANNEL,
                "`PolicyEnabled : NO`, and nobody looked whether a policy says so or none is set yet",
            ),
            (None, Evaluation::Unreadable(gap)) => Verdict::Unknown(gap.clone()),
            (None, _) => {
                let is_set_up = sid.is_some_and(|sid| matches!(container(facts, sid), Container::Set(_)));
                let why = if is_set_up {
                    "none of their channels was reported; that Hello is set up shows only that it was on then"
                } else {
                    "none of their channels was reported"
                };
                Verdict::unknown(NO_CHANNEL, why)
            }
        };
        Answer { verdict, valid_until: None, evidence_at: evaluation.read_at() }
    }
}

fn contradiction(said: &str, set: &str) -> Verdict {
    Verdict::unknown(WHETHER_ON, format!("`PolicyEnabled : {said}` in the user's session, but {set}"))
}

#[cfg(test)]
mod tests {
    use muster_evidence::Tristate::{self, No, NotShown, Undetermined, Yes};
    use muster_evidence::{Context, Evidence, JoinState, NgcPrerequisites};

    use super::*;
    use crate::check::fixture::device::hello_policy;
    use crate::check::fixture::{Host, hybrid, ngc, prerequisites};
    use crate::derive::effective_policy::Channel;

    const OFF: &str = "blocked: `Enabled = 0` in the computer's group policy (needed: Hello switched on by *Use Windows \
                       Hello for Business*)";

    fn entra() -> Evidence {
        Evidence::JoinState(JoinState { domain_joined: No, ..hybrid() })
    }

    fn bare() -> Host {
        Host::endpoint().with(Evidence::JoinState(hybrid())).no_policy()
    }

    fn computer(enabled: u32) -> Host {
        bare().channel(Channel::ComputerPolicy, hello_policy(enabled))
    }

    fn says(policy_enabled: Tristate) -> Evidence {
        Evidence::NgcPrerequisites(NgcPrerequisites { policy_enabled, ..prerequisites() })
    }

    fn expect(cases: &[(Host, &str)]) {
        for (host, expected) in cases {
            assert_eq!(host.judge(&PolicyEnabled, &Policy::default()), [*expected]);
        }
    }

    #[test]
    fn the_channels() {
        expect(&[
            (computer(1), "ready"),
            (computer(0), OFF),
            (computer(0).channel(Channel::UserPolicy, hello_policy(1)), "ready"),
            (
                computer(1).channel(Channel::UserPolicy, hello_policy(0)),
                "blocked: `Enabled = 0` in the user's group policy (needed: Hello switched on by *Use Windows Hello \
                 for Business*)",
            ),
            (
                bare().channel(Channel::DeviceMdm, hello_policy(0)),
                "blocked: `UsePassportForWork = 0` in the device's MDM policy (needed: Hello switched on by *Use \
                 Windows Hello for Business*)",
            ),
            (computer(2), "unknown: the computer's group policy: `Enabled = 2` is neither 0 nor 1"),
            (bare(), "not-applicable: not started"),
            (bare().with(entra()), "ready"),
            (bare().absent(Kind::JoinState), "not-applicable: not started"),
            (
                bare().failed(Kind::JoinState),
                "unknown: the join state: no policy is set, and the join decides whether Hello is on without one",
            ),
            (computer(1).failed(Kind::JoinState), "ready"),
            (bare().unread(Channel::DeviceMdm), "unknown: the device's MDM policy: access denied: not allowed"),
            (
                bare().with(entra()).unread(Channel::UserMdm),
                "unknown: the user's MDM policy: access denied: not allowed",
            ),
            (computer(1).unread(Channel::UserPolicy), "unknown: the user's group policy: access denied: not allowed"),
            (computer(1).unread(Channel::DeviceMdm), "ready"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ]);
    }

    #[test]
    fn the_machine_alone() {
        let machine = |enabled| {
            let host = Host::endpoint().with(Evidence::JoinState(hybrid())).no_machine_policy();
            host.channel(Channel::ComputerPolicy, hello_policy(enabled))
        };
        expect(&[
            (machine(1), "ready"),
            (machine(0), OFF),
            (Host::endpoint().with(entra()).no_machine_policy(), "ready"),
            (Host::endpoint(), "unknown: the policies that set Hello: none of their channels was reported"),
            (
                Host::endpoint().failed(Kind::ComputerPolicy),
                "unknown: the computer's group policy: access denied: not allowed",
            ),
            (
                Host::endpoint().unsupported(Kind::ComputerPolicy),
                "unknown: the computer's group policy: not available on this system: no such interface",
            ),
        ]);
    }

    #[test]
    fn windows_is_asked_too() {
        let own = |host: Host, said| host.user(says(said), Context::UserSession);
        let unreadable = "unknown: the prerequisite evaluation: access denied: not allowed";
        expect(&[
            (own(computer(1), Yes), "ready"),
            (own(computer(1), Undetermined), "ready"),
            (own(computer(1), NotShown), "ready"),
            (
                own(computer(1), No),
                "unknown: whether Hello is on: `PolicyEnabled : NO` in the user's session, but `Enabled = 1` in the \
                 computer's group policy",
            ),
            (
                own(computer(0), Yes),
                "unknown: whether Hello is on: `PolicyEnabled : YES` in the user's session, but `Enabled = 0` in the \
                 computer's group policy",
            ),
            (own(computer(0), No), OFF),
            (own(bare(), No), "not-applicable: not started"),
            (
                own(bare(), Yes),
                "unknown: whether Hello is on: `PolicyEnabled : YES` in the user's session, but no channel sets it",
            ),
            (
                own(bare().with(entra()), No),
                "unknown: whether Hello is on: `PolicyEnabled : NO` in the user's session, but no channel sets it, and \
                 it is on by default on this machine",
            ),
            // A no counts in the user's own session alone, and nothing that a service reads.
            (computer(1).user(says(No), Context::Unknown), "ready"),
            (computer(1).user(says(No), Context::Service), "ready"),
            (computer(0).user(says(Yes), Context::Service), OFF),
            (
                computer(0).user(says(Yes), Context::Unknown),
                "unknown: whether Hello is on: `PolicyEnabled : YES` in the user's session, but `Enabled = 0` in the \
                 computer's group policy",
            ),
            (computer(1).user_absent(Kind::NgcPrerequisites, Context::UserSession), "ready"),
            (computer(1).user_failed(Kind::NgcPrerequisites), unreadable),
            (bare().user_failed(Kind::NgcPrerequisites), unreadable),
            (computer(0).user_failed(Kind::NgcPrerequisites), OFF),
            // What could not be read in the registry is not put right by what Windows says.
            (
                own(computer(1).unread(Channel::UserPolicy), Yes),
                "unknown: the user's group policy: access denied: not allowed",
            ),
        ]);
    }

    #[test]
    fn where_nobody_looked_at_a_channel_windows_decides() {
        let blind = || Host::endpoint().with(Evidence::JoinState(hybrid()));
        let none = "unknown: the policies that set Hello: none of their channels was reported";
        expect(&[
            (blind().user(says(Yes), Context::UserSession), "ready"),
            (blind().user(says(Yes), Context::Unknown), "ready"),
            (blind().user(says(Yes), Context::Service), none),
            (
                blind().user(says(No), Context::UserSession),
                "unknown: the policies that set Hello: `PolicyEnabled : NO`, and nobody looked whether a policy says so \
                 or none is set yet",
            ),
            (
                blind().with(entra()).user(says(No), Context::UserSession),
                "blocked: `PolicyEnabled : NO` on a machine that is joined to Entra ID only (needed: Hello switched on \
                 by *Use Windows Hello for Business*)",
            ),
            (blind().user(says(No), Context::Unknown), none),
            (blind().user(says(NotShown), Context::UserSession), none),
            (
                blind().user_failed(Kind::NgcPrerequisites),
                "unknown: the prerequisite evaluation: access denied: not allowed",
            ),
            (
                blind().user(Evidence::Ngc(ngc(Yes)), Context::UserSession),
                "unknown: the policies that set Hello: none of their channels was reported; that Hello is set up shows \
                 only that it was on then",
            ),
            (blind().user(Evidence::Ngc(ngc(No)), Context::UserSession), none),
        ]);
    }
}
