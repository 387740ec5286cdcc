//! `policy.require-security-device`: whether a person's keys may come to lie in software.
//!
//! With a TPM they do not, whatever is set. Without one it depends: where a security device is demanded no key can be
//! made, and where it is not, the key goes to software.

use muster_evidence::{Kind, Timestamp};

use super::{by_channels, judge_subjects, set_by};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{EffectivePolicy, Setting, Switch};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct RequireSecurityDevice;

impl Check for RequireSecurityDevice {
    fn id(&self) -> &'static str {
        "policy.require-security-device"
    }

    fn title(&self) -> &'static str {
        "Keys lie in a TPM, or are demanded to"
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
        &[Kind::UserPolicy, Kind::ComputerPolicy, Kind::UserMdmPolicy, Kind::DeviceMdmPolicy, Kind::Tpm]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "`RequireSecurityDevice` keeps Hello keys out of software. Without it a machine that has no TPM \
                      keeps them where they can be copied; with it such a machine can make no PIN (0x80090035).",
            evidence: "`RequireSecurityDevice` of group policy and device management, of the user and of the computer, \
                       by precedence, and whether there is a TPM.",
            threshold: "A TPM is there: ready, whatever is set (`tpm.ready` says whether it can be used). No TPM: \
                        advisory, with words for what is set; where it is demanded of the whole machine, `tpm.present` \
                        blocks. The TPM, or without one the setting, could not be read: unknown.",
            remedy: "Demand a security device only for groups whose machines have one; give the others machines with a \
                     TPM, or accept keys in software.",
            source: "Microsoft Learn, Windows Hello for Business policy settings: Use a hardware security device",
            query: "muster hosts --check policy.require-security-device --standing advisory",
            alert: "No alert is needed; look at `policy.require-security-device` before the policy is widened.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_subjects(self, facts, |policy, _| match look_at!(facts, Tpm) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Found(_, observation) => Answer::from(Verdict::Ready, observation),
            Look::Absent(observation) => {
                let answer = by_channels(policy, Setting::RequireSecurityDevice, self.without_tpm(policy));
                Answer {
                    evidence_at: Some(
                        answer.evidence_at.map_or(observation.observed_at, |at| at.min(observation.observed_at)),
                    ),
                    ..answer
                }
            }
        })
    }
}

impl RequireSecurityDevice {
    fn without_tpm(&self, policy: &EffectivePolicy<'_>) -> Verdict {
        let setting = Setting::RequireSecurityDevice;
        let (seen, needed) = match policy.switch(setting) {
            Switch::On(channel) => (
                format!("no TPM, and {}: no PIN can be made", set_by(setting, channel, 1)),
                "a TPM, since a security device is demanded",
            ),
            Switch::Off(channel) => (
                format!("no TPM, and {}: keys lie in software", set_by(setting, channel, 0)),
                "a TPM to keep Hello keys in",
            ),
            Switch::NotSet => (
                "no TPM, and no policy demands a security device: keys lie in software".to_owned(),
                "a TPM to keep Hello keys in",
            ),
            Switch::Uncertain(uncertain) => return Verdict::Unknown(policy.gap(uncertain)),
        };
        Verdict::Advisory(finding(self, seen, needed))
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::HelloPolicy;

    use super::*;
    use crate::check::fixture::{Host, tpm};
    use crate::derive::effective_policy::Channel;

    #[test]
    fn the_table() {
        let bare = || Host::endpoint().no_policy();
        let require = |value| HelloPolicy { require_security_device: Some(value), ..HelloPolicy::default() };
        let none = || bare().absent(Kind::Tpm);
        let cases = [
            (bare().with(tpm()), "ready"),
            (bare().with(tpm()).channel(Channel::UserPolicy, require(1)), "ready"),
            (bare().with(tpm()).unread(Channel::UserPolicy), "ready"),
            (
                none(),
                "advisory: no TPM, and no policy demands a security device: keys lie in software (needed: a TPM to keep \
                 Hello keys in)",
            ),
            (
                none().channel(Channel::UserMdm, require(0)),
                "advisory: no TPM, and `RequireSecurityDevice = 0` in the user's MDM policy: keys lie in software \
                 (needed: a TPM to keep Hello keys in)",
            ),
            (
                none().channel(Channel::UserPolicy, require(1)),
                "advisory: no TPM, and `RequireSecurityDevice = 1` in the user's group policy: no PIN can be made \
                 (needed: a TPM, since a security device is demanded)",
            ),
            (
                none().channel(Channel::ComputerPolicy, require(3)),
                "unknown: the computer's group policy: `RequireSecurityDevice = 3` is neither 0 nor 1",
            ),
            (none().unread(Channel::UserPolicy), "unknown: the user's group policy: access denied: not allowed"),
            (bare().failed(Kind::Tpm), "unknown: the TPM: access denied: not allowed"),
            (bare(), "unknown: the TPM: not reported"),
            (Host::endpoint().absent(Kind::Tpm), "unknown: the computer's group policy: not reported"),
            (Host::linux().with(tpm()), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&RequireSecurityDevice, &Policy::default()), [expected]);
        }
    }
}
