//! `tpm.ready`: whether Windows can use the TPM.
//!
//! A TPM that is there may still be switched off, not owned or waiting for a restart; Windows says so itself.

use std::fmt::Write as _;

use muster_evidence::{Kind, Timestamp, TpmReadiness};

use super::{Demand, HARDWARE_DEMANDED, hardware_demand, of_tpm};
use crate::check::answer::{Answer, finding, judge_endpoint};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct TpmReady;

/// What is needed.
const NEEDED: &str = "a TPM that is ready for use";

/// The bits of `Win32_Tpm::IsReadyInformation` that people can act on.
const MISSING: [(u32, &str); 10] = [
    (0x2, "a shutdown is needed"),
    (0x4, "a restart is needed"),
    (0x8, "it must be cleared, or its owner must authorise"),
    (0x10, "somebody must confirm at the machine"),
    (0x20, "it is disabled or deactivated"),
    (0x100, "its owner authorisation is not in the registry"),
    (0x2_0000, "policy does not store its owner authorisation"),
    (0x4_0000, "its endorsement certificate is not read and stored"),
    (0x10_0000, "nobody owns it"),
    (0x0100_0000, "it has a weakness that matters to attestation"),
];

impl Check for TpmReady {
    fn id(&self) -> &'static str {
        "tpm.ready"
    }

    fn title(&self) -> &'static str {
        "The TPM is ready for use"
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
            meaning: "A TPM that Windows has not set up cannot keep a Hello key: the key goes to software, or, where a \
                      security device is demanded, no PIN can be made (0x80090029).",
            evidence: "`IsReady` and `IsReadyInformation` of `Win32_Tpm`, which tells what is missing. Other systems \
                       than Windows know no such state.",
            threshold: "Ready for use: ready. Not: advisory, since a key in software does too; blocked where \
                        `RequireSecurityDevice` is 1 for the machine, or where the collector's policy sets \
                        `required_security_device`. Windows does not say: unknown.",
            remedy: "Follow what is missing: restart, enable the TPM in the firmware, let Windows provision it, or clear \
                     it (which destroys the keys in it, so suspend BitLocker first).",
            source: "Microsoft Learn, Win32_Tpm::IsReadyInformation; Windows Hello errors during PIN creation",
            query: "muster hosts --check tpm.ready --standing blocked --standing advisory",
            alert: "Alert when the number of endpoints that are not ready by `tpm.ready` grows within a day: a firmware \
                    update has reset TPMs.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            of_tpm(facts, |tpm, observation| {
                let verdict = match &tpm.readiness {
                    None => Verdict::unknown("whether the TPM is ready for use", "Windows did not say"),
                    Some(TpmReadiness { ready: true, .. }) => Verdict::Ready,
                    Some(TpmReadiness { ready: false, missing }) => self.not_ready(*missing, facts, policy),
                };
                Answer::from(verdict, observation)
            })
        })
    }
}

impl TpmReady {
    fn not_ready(&self, missing: Option<u32>, facts: &Facts<'_>, policy: &Policy) -> Verdict {
        let seen = not_ready(missing);
        match hardware_demand(facts, policy) {
            Demand::Made(who) => {
                Verdict::Blocked(finding(self, seen, format!("{NEEDED}, since {who} demands a security device")))
            }
            Demand::NotMade => Verdict::Advisory(finding(self, seen, NEEDED)),
            Demand::Unknown(gap) => Verdict::Unknown(gap),
        }
    }
}

/// What a TPM lacks, in words and as the number that Windows gives.
fn not_ready(missing: Option<u32>) -> String {
    let mut seen = "the TPM is not ready".to_owned();
    let Some(bits) = missing else { return seen };
    let known = MISSING.iter().filter(|(bit, _)| bits & bit != 0);
    for (number, (_, what)) in known.enumerate() {
        let _ = write!(seen, "{}{what}", if number == 0 { ": " } else { ", " }); // a `String` takes it always
    }
    let _ = write!(seen, " (0x{bits:08x})");
    seen
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, HelloPolicy, Tpm};

    use super::*;
    use crate::check::fixture::{Host, tpm_2_0};
    use crate::derive::effective_policy::Channel;

    fn host(ready: bool, missing: Option<u32>) -> Host {
        let readiness = Some(TpmReadiness { ready, missing });
        Host::endpoint().with(Evidence::Tpm(Tpm { readiness, ..tpm_2_0() }))
    }

    #[test]
    fn the_table() {
        let plain = Policy::default();
        let strict = Policy { required_security_device: true, ..Policy::default() };
        let require = HelloPolicy { require_security_device: Some(1), ..HelloPolicy::default() };
        let cases = [
            (host(true, Some(0)), &strict, "ready"),
            (host(true, None), &plain, "ready"),
            (
                host(false, Some(0x24)),
                &plain,
                "advisory: the TPM is not ready: a restart is needed, it is disabled or deactivated (0x00000024) \
                 (needed: a TPM that is ready for use)",
            ),
            (host(false, None), &plain, "advisory: the TPM is not ready (needed: a TPM that is ready for use)"),
            (
                host(false, Some(0x4000_0000)),
                &plain,
                "advisory: the TPM is not ready (0x40000000) (needed: a TPM that is ready for use)",
            ),
            (
                host(false, None),
                &strict,
                "blocked: the TPM is not ready (needed: a TPM that is ready for use, since the policy demands a \
                 security device)",
            ),
            (
                host(false, None).no_machine_policy().channel(Channel::ComputerPolicy, require),
                &plain,
                "blocked: the TPM is not ready (needed: a TPM that is ready for use, since the computer's group \
                 policy demands a security device)",
            ),
            (
                host(false, None).no_machine_policy().unread(Channel::DeviceMdm),
                &plain,
                "unknown: the device's MDM policy: access denied: not allowed",
            ),
            (
                Host::endpoint().with(Evidence::Tpm(tpm_2_0())),
                &plain,
                "unknown: whether the TPM is ready for use: Windows did not say",
            ),
            (Host::endpoint().absent(Kind::Tpm), &strict, "not-applicable: no TPM"),
            (Host::endpoint().failed(Kind::Tpm), &plain, "unknown: the TPM: access denied: not allowed"),
            (
                Host::endpoint().unsupported(Kind::Tpm),
                &plain,
                "unknown: the TPM: not available on this system: no such interface",
            ),
            (Host::endpoint(), &plain, "unknown: the TPM: not reported"),
            (Host::linux().with(Evidence::Tpm(tpm_2_0())), &plain, "not-applicable: not a Windows client"),
            (Host::dc(), &plain, "not-applicable: domain controller"),
        ];
        for (host, policy, expected) in cases {
            assert_eq!(host.judge(&TpmReady, policy), [expected]);
        }
    }
}
