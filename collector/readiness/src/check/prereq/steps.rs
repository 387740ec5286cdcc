//! Why Windows will not set up Hello: the four steps by which a refusal is read, wherever it was seen.
//!
//! `dsregcmd /status` and the events 360 to 362 tell the same conditions under other names. Not every NO among them is a
//! fault: a policy that is not rolled out yet is no blocker, a remote session says nothing, and enrolment that the user
//! must start is an advisory. A definite NO decides before anything that is not known; what softens a NO counts only
//! where nothing else is open.

use muster_evidence::{JoinKind, Kind, Sid, Tristate};

use crate::check::answer::{Look, finding, look_at};
use crate::derive::effective_policy::{EffectivePolicy, Hello};
use crate::{Check, Facts, Gap, Verdict};

/// What is missing where the only NO is that of a session from afar: the mark of a gap that passes by itself.
pub const REMOTE_SESSION: &str = "the prerequisite evaluation outside a remote session";

/// Whether the subject keeps the verdict it had, where it had one, in place of this gap.
///
/// A rule has no memory, so it answers `Unknown`. Whoever keeps verdicts puts the last one back: a remote session is
/// transient and says nothing about a sign-in at the machine, so it takes nothing away from what was seen there. What is
/// put back keeps its dates, so that it goes stale as it would have.
pub fn keeps_last_verdict(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unknown(gap) if gap.missing == REMOTE_SESSION)
}

/// One condition, as a source names and shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    pub(super) value: Tristate,
    /// Its name where it was seen.
    pub(super) name: &'static str,
}

/// The conditions of one evaluation. Each is wanted as YES.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    pub(super) device_joined: Condition,
    pub(super) user_known: Condition,
    pub(super) policy_enabled: Condition,
    pub(super) post_logon: Condition,
    pub(super) device_eligible: Condition,
    pub(super) session_is_local: Condition,
    /// Whether the user enrols by certificate trust, which refuses for reasons of its own.
    pub(super) certificate_trust: bool,
    /// Whether a condition that says neither leaves the whole open. An event says `Not Tested` of whatever comes after
    /// the first NO, which is no gap.
    pub(super) undetermined_is_a_gap: bool,
    /// The words for the evaluation in a gap.
    pub(super) evaluation: &'static str,
}

/// Whether Hello is meant to be on for a user, as far as a `NO` of the policy is to be read by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// A policy switches it on.
    On,
    /// It was switched off, or is on by default: a NO is what it says.
    Decided,
    /// Nothing switches it on yet.
    NotStarted,
    /// The evidence does not say.
    Unknown(Gap),
}

/// Whether Hello is meant to be on for a user. Where nobody looked at policies, as in a capture of `dsregcmd` alone, the
/// join decides: a machine that is joined to Entra ID only has Hello on by default.
pub(super) fn meant(facts: &Facts<'_>, sid: &Sid) -> Meant {
    let policy = EffectivePolicy::of_user(facts, sid);
    if policy.was_looked_at() {
        return match policy.hello() {
            Hello::On(_) => Meant::On,
            Hello::Off(_) | Hello::OnByDefault => Meant::Decided,
            Hello::NotStarted => Meant::NotStarted,
            Hello::JoinUnknown => Meant::Unknown(join_decides()),
            Hello::Uncertain(uncertain) => Meant::Unknown(policy.gap(uncertain)),
        };
    }
    match look_at!(facts, JoinState) {
        Look::Gap(_) => Meant::Unknown(join_decides()),
        Look::Absent(_) => Meant::NotStarted,
        Look::Found(join, _) => match join.kind() {
            JoinKind::EntraJoined => Meant::Decided,
            JoinKind::Undetermined => Meant::Unknown(join_decides()),
            JoinKind::Hybrid
            | JoinKind::DomainOnly
            | JoinKind::OnPremisesDrs
            | JoinKind::WorkplaceOnly
            | JoinKind::NotJoined => Meant::NotStarted,
        },
    }
}

fn join_decides() -> Gap {
    Gap {
        missing: "the join state".into(),
        why: "it decides whether a NO of the policy is one not rolled out yet or Hello switched off".into(),
    }
}

/// The verdict of a refusal.
pub(super) fn why_not(check: &dyn Check, found: &Conditions, meant: impl FnOnce() -> Meant) -> Verdict {
    let quoted = |condition: &Condition| format!("`{} : NO`", condition.name);
    let blocked =
        |condition: &Condition, needed: &'static str| Verdict::Blocked(finding(check, quoted(condition), needed));
    let meant = if found.policy_enabled.value == Tristate::No { meant() } else { Meant::Decided };
    let policy_blocks =
        if matches!(meant, Meant::Decided | Meant::On) { found.policy_enabled.value } else { Tristate::NotShown };
    let blocking = [
        (found.device_joined, "`YES` (see `join.type`)"),
        (found.user_known, "`YES` (see `prt.present`)"),
        (Condition { value: policy_blocks, ..found.policy_enabled }, "`YES` (see `policy.enabled`)"),
        (found.device_eligible, "`YES` (see `tpm.present` and `tpm.version`)"),
    ];
    if let Some((condition, needed)) = blocking.iter().find(|(condition, _)| condition.value == Tristate::No) {
        return blocked(condition, needed);
    }
    let all = [
        found.device_joined,
        found.user_known,
        found.policy_enabled,
        found.post_logon,
        found.device_eligible,
        found.session_is_local,
    ];
    if found.undetermined_is_a_gap
        && let Some(open) = all.iter().find(|condition| condition.value == Tristate::Undetermined)
    {
        return Verdict::unknown(found.evaluation, format!("`{}` is undetermined", open.name));
    }
    if found.policy_enabled.value == Tristate::No {
        return match meant {
            Meant::Unknown(gap) => Verdict::Unknown(gap),
            Meant::NotStarted | Meant::Decided | Meant::On => Verdict::not_applicable("not started"),
        };
    }
    if found.post_logon.value == Tristate::No {
        return Verdict::Advisory(finding(
            check,
            format!("{}: enrolment does not start by itself", quoted(&found.post_logon)),
            "`YES`, unless users are meant to start enrolment themselves",
        ));
    }
    if found.session_is_local.value == Tristate::No {
        return Verdict::unknown(REMOTE_SESSION, "a remote session says nothing about a sign-in at the machine");
    }
    if found.certificate_trust {
        return Verdict::not_applicable("other trust: certificate trust");
    }
    Verdict::unknown(found.evaluation, "Windows will not set up Hello, and no condition says why")
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, JoinState};

    use super::*;
    use crate::check::fixture::device::hello_policy;
    use crate::check::fixture::{Host, ada, hybrid};
    use crate::derive::effective_policy::Channel;

    #[test]
    fn a_policy_that_is_set_decides_and_otherwise_the_join() {
        let joined = |domain_joined, azure_ad_joined| {
            let join = JoinState { domain_joined, azure_ad_joined, ..hybrid() };
            Host::endpoint().with(Evidence::JoinState(join))
        };
        let (hybrid, entra) = (joined(Tristate::Yes, Tristate::Yes), joined(Tristate::No, Tristate::Yes));
        let odd = joined(Tristate::Yes, Tristate::Undetermined);
        let set = |host: &Host, value| host.clone().no_policy().channel(Channel::ComputerPolicy, hello_policy(value));
        let unread = hybrid.clone().no_policy().unread(Channel::ComputerPolicy);
        let gap = Gap { missing: "the computer's group policy".into(), why: "access denied: not allowed".into() };
        let cases = [
            (hybrid.clone(), Meant::NotStarted),
            (hybrid.clone().no_policy(), Meant::NotStarted),
            (set(&hybrid, 1), Meant::On),
            (set(&hybrid, 0), Meant::Decided),
            (unread, Meant::Unknown(gap)),
            (entra.clone(), Meant::Decided),
            (entra.no_policy(), Meant::Decided),
            (odd.clone(), Meant::Unknown(join_decides())),
            (odd.no_policy(), Meant::Unknown(join_decides())),
            (Host::endpoint(), Meant::Unknown(join_decides())),
            (Host::endpoint().absent(Kind::JoinState), Meant::NotStarted),
        ];
        for (host, expected) in cases {
            assert_eq!(meant(&host.facts(), &ada()), expected, "{:?}", host.facts);
        }
    }
}
