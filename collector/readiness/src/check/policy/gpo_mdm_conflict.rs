//! `policy.gpo-mdm-conflict`: whether group policy and device management set the same.
//!
//! Microsoft does not support the mixture. It blocks nobody: the group policy acts, and the other checks judge what acts.
//! The machine is judged, with what is found in its people's channels; that a person's channel could not be read is told
//! by the checks of that person, and whoever is signed out has one.

use std::fmt::Write as _;

use muster_evidence::{Kind, Timestamp};

use super::{CHANNELS, NO_CHANNEL};
use crate::check::answer::{Answer, finding, judge_endpoint};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{Conflict, EffectivePolicy};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct GpoMdmConflict;

/// How many settings are written out.
const TOLD: usize = 6;

impl Check for GpoMdmConflict {
    fn id(&self) -> &'static str {
        "policy.gpo-mdm-conflict"
    }

    fn title(&self) -> &'static str {
        "Group policy and device management do not set the same"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        CHANNELS
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Hello set by group policy and by device management at once is a mixture that Microsoft does not \
                      support. The group policy acts and the other value is passed over until the group policy is \
                      cleared; `MDMWinsOverGP` does not change that.",
            evidence: "The values of Hello in group policy and device management, of the computer and of each of its \
                       people.",
            threshold: "No setting in both: ready. A setting in both: advisory, with both values where they differ. A \
                        channel of the machine could not be read while the other side sets something: unknown.",
            remedy: "Choose one channel for these machines. Until the group policy is cleared its value acts.",
            source: "Microsoft Learn, Configure Windows Hello for Business; PassportForWork CSP",
            query: "muster hosts --check policy.gpo-mdm-conflict --standing advisory",
            alert: "Alert when the number of endpoints that `policy.gpo-mdm-conflict` names grows: device management \
                    reaches machines that group policy has set up.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            let machine = EffectivePolicy::of_machine(facts);
            Answer { verdict: self.of(&machine, facts), valid_until: None, evidence_at: machine.looked_at() }
        })
    }
}

impl GpoMdmConflict {
    fn of(&self, machine: &EffectivePolicy<'_>, facts: &Facts<'_>) -> Verdict {
        let conflicts = conflicts(machine, facts);
        if !conflicts.is_empty() {
            return Verdict::Advisory(finding(self, told(&conflicts), "each setting in one channel"));
        }
        if machine.sets_nothing(true) || machine.sets_nothing(false) {
            return Verdict::Ready;
        }
        match machine.first_gap() {
            None => Verdict::Ready,
            Some(_) if !machine.was_looked_at() => Verdict::unknown(NO_CHANNEL, "none of their channels was reported"),
            Some(gap) => Verdict::Unknown(gap),
        }
    }
}

/// What is set twice on the machine and for its people, each setting once.
fn conflicts(machine: &EffectivePolicy<'_>, facts: &Facts<'_>) -> Vec<Conflict> {
    let mut conflicts: Vec<Conflict> = machine.conflicts().collect();
    for sid in facts.host.people() {
        for conflict in EffectivePolicy::of_user(facts, sid).conflicts() {
            if !conflicts.iter().any(|known| known.setting == conflict.setting) {
                conflicts.push(conflict);
            }
        }
    }
    conflicts
}

fn told(conflicts: &[Conflict]) -> String {
    let mut text = String::new();
    for Conflict { setting, group_policy: (group_policy, acts), mdm: (mdm, ignored) } in conflicts.iter().take(TOLD) {
        let (name, other) = (setting.name(*group_policy), setting.name(*mdm));
        let separator = if text.is_empty() { "" } else { "; " };
        // A `String` takes it always.
        let _ = if acts == ignored {
            write!(text, "{separator}`{name}` in {} and {}", group_policy.words(), mdm.words())
        } else {
            write!(
                text,
                "{separator}`{name} = {acts}` in {}, passing over `{other} = {ignored}` in {}",
                group_policy.words(),
                mdm.words()
            )
        };
    }
    if conflicts.len() > TOLD {
        let _ = write!(text, "; and {} more", conflicts.len() - TOLD);
    }
    text
}

#[cfg(test)]
mod tests {
    use muster_evidence::{HelloPolicy, PinComplexity};

    use super::*;
    use crate::check::fixture::Host;
    use crate::check::fixture::device::hello_policy;
    use crate::derive::effective_policy::Channel::{ComputerPolicy, DeviceMdm, UserMdm, UserPolicy};

    #[test]
    fn the_table() {
        let machine = || Host::endpoint().no_machine_policy();
        let on_both = |group_policy, mdm| {
            machine().channel(ComputerPolicy, hello_policy(group_policy)).channel(DeviceMdm, hello_policy(mdm))
        };
        let pin = HelloPolicy {
            pin: PinComplexity {
                minimum_length: Some(6),
                maximum_length: Some(12),
                uppercase: Some(0),
                lowercase: Some(0),
                special: Some(0),
                digits: Some(1),
                history: Some(5),
                expiration_days: None,
            },
            ..HelloPolicy::default()
        };
        let names =
            ["MinimumPINLength", "MaximumPINLength", "UppercaseLetters", "LowercaseLetters", "SpecialCharacters"];
        let named = names.map(|name| {
            format!("`PINComplexity\\{name}` in the computer's group policy and the device's MDM policy; ")
        });
        let many = format!(
            "advisory: {}`PINComplexity\\Digits` in the computer's group policy and the device's MDM policy; and 1 more \
             (needed: each setting in one channel)",
            named.concat()
        );
        let cases: [(Host, &str); 16] = [
            (machine(), "ready"),
            (machine().channel(ComputerPolicy, hello_policy(1)), "ready"),
            (machine().channel(DeviceMdm, hello_policy(1)), "ready"),
            (machine().channel(ComputerPolicy, hello_policy(1)).channel(DeviceMdm, pin.clone()), "ready"),
            (
                on_both(1, 1),
                "advisory: `Enabled` in the computer's group policy and the device's MDM policy (needed: each setting in \
                 one channel)",
            ),
            (
                on_both(0, 1),
                "advisory: `Enabled = 0` in the computer's group policy, passing over `UsePassportForWork = 1` in the \
                 device's MDM policy (needed: each setting in one channel)",
            ),
            (machine().channel(ComputerPolicy, pin.clone()).channel(DeviceMdm, pin), &many),
            // A person's channels count as well, against those of the machine and against each other.
            (
                machine().channel(UserPolicy, hello_policy(1)).channel(DeviceMdm, hello_policy(0)),
                "advisory: `Enabled = 1` in the user's group policy, passing over `UsePassportForWork = 0` in the \
                 device's MDM policy (needed: each setting in one channel)",
            ),
            (
                machine().channel(ComputerPolicy, hello_policy(1)).channel(UserMdm, hello_policy(1)),
                "advisory: `Enabled` in the computer's group policy and the user's MDM policy (needed: each setting in \
                 one channel)",
            ),
            (machine().unread(UserPolicy), "ready"),
            (machine().unread(DeviceMdm), "ready"),
            (
                machine().channel(ComputerPolicy, hello_policy(1)).unread(DeviceMdm),
                "unknown: the device's MDM policy: access denied: not allowed",
            ),
            (Host::endpoint(), "unknown: the policies that set Hello: none of their channels was reported"),
            (
                Host::endpoint().failed(Kind::ComputerPolicy),
                "unknown: the computer's group policy: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&GpoMdmConflict, &Policy::default()), [expected]);
        }
    }
}
