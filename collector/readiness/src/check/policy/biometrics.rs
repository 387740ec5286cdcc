//! `policy.biometrics`: whether biometrics may be used instead of the PIN.
//!
//! It stands in nobody's way and is told for what it shows. What holds where nothing is set differs between Microsoft's
//! pages, so nothing is concluded from that.

use muster_evidence::{Kind, Timestamp};

use super::{NO_CHANNEL, by_channels, set_by};
use crate::check::answer::{finding, judge_endpoint};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{EffectivePolicy, Setting, Switch};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct Biometrics;

impl Check for Biometrics {
    fn id(&self) -> &'static str {
        "policy.biometrics"
    }

    fn title(&self) -> &'static str {
        "Biometrics may be used"
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
        &[Kind::ComputerPolicy, Kind::DeviceMdmPolicy]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "With biometrics users unlock their key by face or finger; without, they type the PIN every time. \
                      Either works, and the PIN stays in both cases.",
            evidence: "`Biometrics\\Enabled` of the computer's group policy, `Biometrics\\UseBiometrics` of device \
                       management.",
            threshold: "Allowed: ready. Switched off: advisory, for information. Not set: not applicable, since \
                        Microsoft's pages differ on what holds then. A channel that could not be read: unknown.",
            remedy: "Nothing needs to be done. Set *Use biometrics* if users should have the choice.",
            source: "Microsoft Learn, PassportForWork CSP",
            query: "muster hosts --check policy.biometrics --standing advisory",
            alert: "No alert is needed.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            let policy = EffectivePolicy::of_machine(facts);
            let verdict = match policy.switch(Setting::UseBiometrics) {
                Switch::On(_) => Verdict::Ready,
                Switch::Off(channel) => Verdict::Advisory(finding(
                    self,
                    set_by(Setting::UseBiometrics, channel, 0),
                    "nothing; biometrics spare users the PIN",
                )),
                Switch::NotSet => Verdict::not_applicable("not set"),
                Switch::Uncertain(_) if !policy.was_looked_at() => {
                    Verdict::unknown(NO_CHANNEL, "none of their channels was reported")
                }
                Switch::Uncertain(uncertain) => Verdict::Unknown(policy.gap(uncertain)),
            };
            by_channels(&policy, Setting::UseBiometrics, verdict)
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::HelloPolicy;

    use super::*;
    use crate::check::fixture::{Host, text};
    use crate::derive::effective_policy::Channel;

    #[test]
    fn the_table() {
        let bare = || Host::endpoint().no_machine_policy();
        let set = |value| HelloPolicy { use_biometrics: Some(value), ..HelloPolicy::default() };
        let no_number = HelloPolicy { unreadable: vec![text(r"Biometrics\Enabled")], ..HelloPolicy::default() };
        let cases = [
            (bare().channel(Channel::DeviceMdm, set(1)), "ready"),
            (
                bare().channel(Channel::DeviceMdm, set(0)),
                "advisory: `Biometrics\\UseBiometrics = 0` in the device's MDM policy (needed: nothing; biometrics \
                 spare users the PIN)",
            ),
            (
                bare().channel(Channel::ComputerPolicy, set(0)).channel(Channel::DeviceMdm, set(1)),
                "advisory: `Biometrics\\Enabled = 0` in the computer's group policy (needed: nothing; biometrics spare \
                 users the PIN)",
            ),
            (bare(), "not-applicable: not set"),
            (bare().channel(Channel::UserMdm, set(0)), "not-applicable: not set"),
            (
                bare().channel(Channel::ComputerPolicy, set(4)),
                "unknown: the computer's group policy: `Biometrics\\Enabled = 4` is neither 0 nor 1",
            ),
            (
                bare().channel(Channel::ComputerPolicy, no_number),
                "unknown: the computer's group policy: `Biometrics\\Enabled` is there and is no number",
            ),
            (bare().unread(Channel::DeviceMdm), "unknown: the device's MDM policy: access denied: not allowed"),
            (Host::endpoint(), "unknown: the policies that set Hello: none of their channels was reported"),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&Biometrics, &Policy::default()), [expected]);
        }
    }
}
