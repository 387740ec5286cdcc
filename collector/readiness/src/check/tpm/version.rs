//! `tpm.version`: whether the TPM is a 2.0.
//!
//! Both versions are supported, but since Windows 10 1903 a TPM 1.2 counts as none for hybrid join: the device key
//! then goes to software. As `tpm.present`, the check speaks of Linux machines too.

use muster_evidence::{Kind, Timestamp, TpmVersion as Version};

use super::{Demand, hardware_demand, judge_any_system, of_tpm};
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{EffectivePolicy, Setting, Switch};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct TpmVersion;

impl Check for TpmVersion {
    fn id(&self) -> &'static str {
        "tpm.version"
    }

    fn title(&self) -> &'static str {
        "The TPM is a TPM 2.0"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::BlockerFor("machines that must keep their keys in hardware and do not count a TPM 1.2 as such")
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Tpm, Kind::ComputerPolicy, Kind::DeviceMdmPolicy]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Hello works with a TPM 1.2 and with a TPM 2.0, and 2.0 is recommended. From Windows 10 1903 on, \
                      a TPM 1.2 counts as no TPM for hybrid join, so the device's key is kept in software.",
            evidence: "The version that the TPM itself answers: on Windows from the TPM base services, on Linux \
                       through the TSS. A machine without a TPM is judged by `tpm.present` alone. \
                       `ExcludeSecurityDevices\\TPM12` and `RequireSecurityDevice` come from the machine's group policy \
                       or device management.",
            threshold: "2.0: ready. 1.2: advisory, since keys are made, only weaker kept; blocked where TPM 1.2 is \
                        excluded (`ExcludeSecurityDevices\\TPM12` is 1) and a security device is demanded \
                        (`RequireSecurityDevice` is 1, or `required_security_device` in the collector's policy), since \
                        no PIN can be made then. 1.2, and these settings could not be read: unknown.",
            remedy: "Move to TPM 2.0, by a firmware update where the maker offers one, together with native UEFI boot; \
                     or accept that device keys are kept in software.",
            source: "Microsoft Learn, TPM recommendations; Plan your Microsoft Entra hybrid join implementation",
            query: "muster hosts --check tpm.version --standing advisory",
            alert: "No alert is needed; look at the share of `tpm.version` advisories before hardware is ordered.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_any_system(self, facts, || {
            of_tpm(facts, |tpm, observation| {
                let verdict = match tpm.version {
                    Version::V2_0 => Verdict::Ready,
                    Version::V1_2 => self.old(facts, policy),
                };
                Answer::from(verdict, observation)
            })
        })
    }
}

impl TpmVersion {
    fn old(&self, facts: &Facts<'_>, policy: &Policy) -> Verdict {
        let set = EffectivePolicy::of_machine(facts);
        let excluded = set.switch(Setting::ExcludeTpm12);
        match (excluded, hardware_demand(facts, policy)) {
            (Switch::Off(_) | Switch::NotSet, _) | (_, Demand::NotMade) => {
                Verdict::Advisory(finding(self, "TPM 1.2", "TPM 2.0"))
            }
            (Switch::On(channel), Demand::Made(who)) => Verdict::Blocked(finding(
                self,
                format!("TPM 1.2, which {} excludes while {who} demands a security device", channel.words()),
                "TPM 2.0",
            )),
            (Switch::On(_), Demand::Unknown(gap)) => Verdict::Unknown(gap),
            (Switch::Uncertain(uncertain), Demand::Made(_) | Demand::Unknown(_)) => {
                Verdict::Unknown(set.gap(uncertain))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, HelloPolicy};

    use super::*;
    use crate::check::fixture::{self, Host};
    use crate::derive::effective_policy::Channel;

    #[test]
    fn the_table() {
        let old = Evidence::Tpm(muster_evidence::Tpm { version: Version::V1_2, ..fixture::tpm_2_0() });
        let cases = [
            (Host::endpoint().with(fixture::tpm()), "ready"),
            (Host::linux().with(fixture::tpm()), "ready"),
            (Host::endpoint().with(old), "advisory: TPM 1.2 (needed: TPM 2.0)"),
            (Host::endpoint().absent(Kind::Tpm), "not-applicable: no TPM"),
            (Host::endpoint().failed(Kind::Tpm), "unknown: the TPM: access denied: not allowed"),
            (Host::endpoint(), "unknown: the TPM: not reported"),
            (Host::dc().with(fixture::tpm()), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&TpmVersion, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn a_policy_can_pass_over_a_tpm_1_2() {
        let old = Evidence::Tpm(muster_evidence::Tpm { version: Version::V1_2, ..fixture::tpm_2_0() });
        let set = |exclude_tpm12, require_security_device| HelloPolicy {
            exclude_tpm12,
            require_security_device,
            ..HelloPolicy::default()
        };
        let host = || Host::endpoint().with(old.clone()).no_machine_policy();
        let computer = |policy| host().channel(Channel::ComputerPolicy, policy);
        let plain = Policy::default();
        let strict = Policy { required_security_device: true, ..Policy::default() };
        let advisory = "advisory: TPM 1.2 (needed: TPM 2.0)";
        let cases = [
            (host(), &plain, advisory),
            (host(), &strict, advisory),
            (computer(set(Some(1), None)), &plain, advisory),
            (computer(set(None, Some(1))), &plain, advisory),
            (computer(set(Some(0), Some(1))), &plain, advisory),
            (
                computer(set(Some(1), Some(1))),
                &plain,
                "blocked: TPM 1.2, which the computer's group policy excludes while the computer's group policy \
                 demands a security device (needed: TPM 2.0)",
            ),
            (
                computer(set(None, Some(1))).channel(Channel::DeviceMdm, set(Some(1), None)),
                &plain,
                "blocked: TPM 1.2, which the device's MDM policy excludes while the computer's group policy demands a \
                 security device (needed: TPM 2.0)",
            ),
            (
                computer(set(Some(1), None)),
                &strict,
                "blocked: TPM 1.2, which the computer's group policy excludes while the policy demands a security \
                 device (needed: TPM 2.0)",
            ),
            (
                computer(set(Some(1), None)).unread(Channel::DeviceMdm),
                &plain,
                "unknown: the device's MDM policy: access denied: not allowed",
            ),
            (
                host().unread(Channel::ComputerPolicy),
                &plain,
                "unknown: the computer's group policy: access denied: not allowed",
            ),
            (
                host().unread(Channel::ComputerPolicy),
                &strict,
                "unknown: the computer's group policy: access denied: not allowed",
            ),
            (host().unread(Channel::ComputerPolicy).with(fixture::tpm()), &plain, "ready"),
        ];
        for (host, policy, expected) in cases {
            assert_eq!(host.judge(&TpmVersion, policy), [expected]);
        }
    }
}
