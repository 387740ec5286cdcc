//! `tpm.present`: whether the machine has a TPM.
//!
//! Hello does not demand one by itself: a key in software is allowed unless the policy demands hardware. The check
//! speaks of Linux machines too, since a TPM is a TPM whatever runs above it; it is the one thing that such a machine
//! can say about its fitness for Windows.

use muster_evidence::{Kind, Timestamp};

use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::population::not_an_endpoint;
use crate::{Check, Facts, Freshness, Judged, Judgement, Policy, Verdict};

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
        Severity::BlockerFor("machines that must keep their keys in hardware (`required_security_device`)")
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Tpm]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A Hello key is safest in a TPM, where it cannot be copied. Without one, Windows keeps the key in \
                      software, unless a policy demands hardware: then no PIN can be created (0x80090035).",
            evidence: "Windows: the TPM base services. Linux: the TPM device through the TSS. A TPM that does not \
                       answer, or whose service is stopped, is `unknown` and never taken for a missing one. Whether a \
                       TPM 2.0 is in lockout, after how many failures it locks, how fast it forgets one and how many \
                       it counts are told with it.",
            threshold: "A TPM is there: ready. None: advisory, since key trust works without; blocked where the \
                        policy sets `required_security_device`.",
            remedy: "Enable the TPM in the firmware and let Windows provision it, or do not demand a security device \
                     for this group of machines.",
            source: "Microsoft Learn, Windows Hello for Business policy settings: Use a hardware security device",
            query: "muster hosts --check tpm.present --standing blocked --standing advisory",
            alert: "Alert when the number of endpoints blocked by `tpm.present` grows: new machines arrive without a \
                    TPM, or firmware updates switch it off.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        let answer = if let Some(reason) = not_an_endpoint(facts.host) {
            Answer::bare(Verdict::not_applicable(reason))
        } else {
            match look_at!(facts, Tpm) {
                Look::Found(_, observation) => Answer::from(Verdict::Ready, observation),
                Look::Gap(gap) => Answer::gap(gap),
                Look::Absent(observation) if policy.required_security_device => Answer::from(
                    Verdict::Blocked(finding(self, "no TPM", "a TPM, since the policy demands a security device")),
                    observation,
                ),
                Look::Absent(observation) => {
                    Answer::from(Verdict::Advisory(finding(self, "no TPM", "a TPM to keep Hello keys in")), observation)
                }
            }
        };
        vec![answer.about(self, Judged::Host)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{self, Host};

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
}
