//! `policy.exclude-tpm12`: whether a policy passes over the machine's TPM because it is a 1.2.

use muster_evidence::{Kind, Timestamp, TpmVersion};

use super::{judge_subjects, set_by};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{EffectivePolicy, Setting, Switch};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct ExcludeTpm12;

impl Check for ExcludeTpm12 {
    fn id(&self) -> &'static str {
        "policy.exclude-tpm12"
    }

    fn title(&self) -> &'static str {
        "No policy passes over the machine's TPM"
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
            meaning: "`ExcludeSecurityDevices\\TPM12` makes Hello pass over a TPM 1.2: keys go to software, or, where a \
                      security device is demanded, no PIN can be made.",
            evidence: "`ExcludeSecurityDevices\\TPM12` and `RequireSecurityDevice` of group policy and device \
                       management, of the user and of the computer, by precedence, and the TPM's version. 0 means not \
                       excluded, as hardening templates write it.",
            threshold: "TPM 2.0, or a TPM 1.2 that nothing excludes: ready. An excluded TPM 1.2: advisory, with words for \
                        whether a security device is demanded too (`tpm.version` blocks where both are set for the \
                        machine). No TPM: not applicable. The setting or the TPM could not be read: unknown.",
            remedy: "Exclude TPM 1.2 only for groups whose machines have a TPM 2.0; replace the machine, or do not \
                     demand a security device for it.",
            source: "Microsoft Learn, Windows Hello for Business policy settings: Use a hardware security device",
            query: "muster hosts --check policy.exclude-tpm12 --standing advisory",
            alert: "No alert is needed; look at `policy.exclude-tpm12` before the policy is widened.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_subjects(self, facts, |policy, _| match look_at!(facts, Tpm) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(Verdict::not_applicable("no TPM"), observation),
            Look::Found(tpm, observation) => {
                let verdict = match tpm.version {
                    TpmVersion::V2_0 => Verdict::Ready,
                    TpmVersion::V1_2 => self.of_old(policy),
                };
                let oldest = policy.evidence_at(Setting::ExcludeTpm12).filter(|_| tpm.version == TpmVersion::V1_2);
                let answer = Answer::from(verdict, observation);
                Answer { evidence_at: [answer.evidence_at, oldest].into_iter().flatten().min(), ..answer }
            }
        })
    }
}

impl ExcludeTpm12 {
    fn of_old(&self, policy: &EffectivePolicy<'_>) -> Verdict {
        let channel = match policy.switch(Setting::ExcludeTpm12) {
            Switch::On(channel) => channel,
            Switch::Off(_) | Switch::NotSet => return Verdict::Ready,
            Switch::Uncertain(uncertain) => return Verdict::Unknown(policy.gap(uncertain)),
        };
        let excluded = set_by(Setting::ExcludeTpm12, channel, 1);
        let demand = Setting::RequireSecurityDevice;
        let seen = match policy.switch(demand) {
            Switch::On(channel) => {
                format!("a TPM 1.2, {excluded}, and {}: no PIN can be made", set_by(demand, channel, 1))
            }
            Switch::Off(_) | Switch::NotSet => format!("a TPM 1.2, and {excluded}: keys lie in software"),
            Switch::Uncertain(uncertain) => return Verdict::Unknown(policy.gap(uncertain)),
        };
        Verdict::Advisory(finding(self, seen, "a TPM 2.0, or no exclusion of TPM 1.2"))
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, HelloPolicy, Tpm};

    use super::*;
    use crate::check::fixture::{Host, tpm, tpm_2_0};
    use crate::derive::effective_policy::Channel;

    #[test]
    fn the_table() {
        let set = |exclude_tpm12, require_security_device| HelloPolicy {
            exclude_tpm12,
            require_security_device,
            ..HelloPolicy::default()
        };
        let old = || {
            let old = Tpm { version: TpmVersion::V1_2, ..tpm_2_0() };
            Host::endpoint().no_policy().with(Evidence::Tpm(old))
        };
        let computer = |policy| old().channel(Channel::ComputerPolicy, policy);
        let cases = [
            (old(), "ready"),
            (computer(set(Some(0), Some(1))), "ready"),
            (Host::endpoint().no_policy().with(tpm()).channel(Channel::ComputerPolicy, set(Some(1), Some(1))), "ready"),
            (
                computer(set(Some(1), None)),
                "advisory: a TPM 1.2, and `ExcludeSecurityDevices\\TPM12 = 1` in the computer's group policy: keys lie \
                 in software (needed: a TPM 2.0, or no exclusion of TPM 1.2)",
            ),
            (
                computer(set(Some(1), Some(0))).channel(Channel::UserPolicy, set(None, Some(1))),
                "advisory: a TPM 1.2, `ExcludeSecurityDevices\\TPM12 = 1` in the computer's group policy, and \
                 `RequireSecurityDevice = 1` in the user's group policy: no PIN can be made (needed: a TPM 2.0, or no \
                 exclusion of TPM 1.2)",
            ),
            (
                computer(set(Some(5), None)),
                "unknown: the computer's group policy: `ExcludeSecurityDevices\\TPM12 = 5` is neither 0 nor 1",
            ),
            (
                computer(set(Some(1), None)).unread(Channel::UserMdm),
                "unknown: the user's MDM policy: access denied: not allowed",
            ),
            (old().unread(Channel::DeviceMdm), "unknown: the device's MDM policy: access denied: not allowed"),
            (Host::endpoint().no_policy().absent(Kind::Tpm), "not-applicable: no TPM"),
            (Host::endpoint().no_policy().failed(Kind::Tpm), "unknown: the TPM: access denied: not allowed"),
            (Host::endpoint(), "unknown: the TPM: not reported"),
            (Host::linux().with(tpm()), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&ExcludeTpm12, &Policy::default()), [expected]);
        }
    }
}
