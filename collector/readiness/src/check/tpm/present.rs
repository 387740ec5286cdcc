//! `tpm.present`: whether the machine has a TPM.
//!
//! Hello does not demand one by itself: a key in software is allowed unless the policy demands hardware. The check
//! speaks of Linux machines too, since a TPM is a TPM whatever runs above it; it is the one thing that such a machine
//! can say about its fitness for Windows.

use muster_evidence::{Kind, Timestamp};

use super::{Demand, HARDWARE_DEMANDED, hardware_demand, judge_any_system};
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct TpmPresent;

impl Check for TpmPresent {
    fn id(&self) -> &'static str {
        "tpm.present"
    }

    fn title(&self) -> &'static str {
        "The machine has a TPM"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::BlockerFor(HARDWARE_DEMANDED)
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Tpm, Kind::ComputerPolicy, Kind::DeviceMdmPolicy]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A Hello key is safest in a TPM, where it cannot be copied. Without one, Windows keeps the key in \
                      software, unless a policy demands hardware: then no PIN can be created (0x80090035).",
            evidence: "Windows: the TPM base services. Linux: the TPM device through the TSS. A TPM that does not \
                       answer, or whose service is stopped, is `unknown` and never taken for a missing one. Whether a \
                       TPM 2.0 is in lockout, after how many failures it locks, how fast it forgets one and how many \
                       it counts are told with it. `RequireSecurityDevice` comes from the machine's group policy or \
                       device management; what is set for single people is judged by `policy.require-security-device`.",
            threshold: "A TPM is there: ready. None: advisory, since key trust works without; blocked where \
                        `RequireSecurityDevice` is 1 for the machine, or where the collector's policy sets \
                        `required_security_device`. None, and the machine's settings could not be read: unknown.",
            remedy: "Enable the TPM in the firmware and let Windows provision it, or do not demand a security device \
                     for this group of machines.",
            source: "Microsoft Learn, Windows Hello for Business policy settings: Use a hardware security device",
            query: "muster hosts --check tpm.present --standing blocked --standing advisory",
            alert: "Alert when the number of endpoints blocked by `tpm.present` grows: new machines arrive without a \
                    TPM, or firmware updates switch it off.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_any_system(self, facts, || match look_at!(facts, Tpm) {
            Look::Found(_, observation) => Answer::from(Verdict::Ready, observation),
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => Answer::from(self.without(facts, policy), observation),
        })
    }
}

impl TpmPresent {
    fn without(&self, facts: &Facts<'_>, policy: &Policy) -> Verdict {
        match hardware_demand(facts, policy) {
            Demand::Made(who) => {
                let needed = format!("a TPM, since {who} demands a security device");
                Verdict::Blocked(finding(self, "no TPM", needed))
            }
            Demand::NotMade => Verdict::Advisory(finding(self, "no TPM", "a TPM to keep Hello keys in")),
            Demand::Unknown(gap) => Verdict::Unknown(gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::HelloPolicy;

    use super::*;
    use crate::check::fixture::{self, Host};
    use crate::derive::effective_policy::Channel;

    #[test]
    fn the_table() {
        let plain = Policy::default();
        let strict = Policy { required_security_device: true, ..Policy::default() };
        let tpm = || Host::endpoint().with(fixture::tpm());
        let cases = [
            (tpm(), &strict, "ready"),
            (Host::endpoint().absent(Kind::Tpm), &plain, "advisory: no TPM (needed: a TPM to keep Hello keys in)"),
            (
                Host::endpoint().absent(Kind::Tpm),
                &strict,
                "blocked: no TPM (needed: a TPM, since the policy demands a security device)",
            ),
            (Host::endpoint().failed(Kind::Tpm), &strict, "unknown: the TPM: access denied: not allowed"),
            (
                Host::endpoint().unsupported(Kind::Tpm),
                &plain,
                "unknown: the TPM: not available on this system: no such interface",
            ),
            (Host::endpoint(), &plain, "unknown: the TPM: not reported"),
            (Host::linux().with(fixture::tpm()), &plain, "ready"),
            (Host::dc().with(fixture::tpm()), &plain, "not-applicable: domain controller"),
        ];
        for (host, policy, expected) in cases {
            assert_eq!(host.judge(&TpmPresent, policy), [expected]);
        }
    }

    #[test]
    fn what_is_set_on_the_machine_makes_it_block() {
        let require = |value| HelloPolicy { require_security_device: Some(value), ..HelloPolicy::default() };
        let none = || Host::endpoint().absent(Kind::Tpm).no_machine_policy();
        let advisory = "advisory: no TPM (needed: a TPM to keep Hello keys in)";
        let cases = [
            (none(), advisory),
            (
                none().channel(Channel::ComputerPolicy, require(1)),
                "blocked: no TPM (needed: a TPM, since the computer's group policy demands a security device)",
            ),
            (
                none().channel(Channel::DeviceMdm, require(1)),
                "blocked: no TPM (needed: a TPM, since the device's MDM policy demands a security device)",
            ),
            (none().channel(Channel::ComputerPolicy, require(0)).channel(Channel::DeviceMdm, require(1)), advisory),
            // What is set for one person does not speak of the machine.
            (none().channel(Channel::UserPolicy, require(1)), advisory),
            (
                none().unread(Channel::ComputerPolicy),
                "unknown: the computer's group policy: access denied: not allowed",
            ),
            (
                none().channel(Channel::ComputerPolicy, require(2)),
                "unknown: the computer's group policy: `RequireSecurityDevice = 2` is neither 0 nor 1",
            ),
            (none().unread(Channel::ComputerPolicy).with(fixture::tpm()), "ready"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&TpmPresent, &Policy::default()), [expected]);
        }
    }
}
