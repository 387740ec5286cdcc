//! `tpm.version`: whether the TPM is a 2.0.
//!
//! Both versions are supported, but since Windows 10 1903 a TPM 1.2 counts as none for hybrid join: the device key
//! then goes to software. As `tpm.present`, the check speaks of Linux machines too.

use muster_evidence::{Kind, Timestamp, TpmVersion as Version};

use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::population::not_an_endpoint;
use crate::{Check, Facts, Freshness, Judged, Judgement, Policy, Verdict};

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
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Tpm]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Hello works with a TPM 1.2 and with a TPM 2.0, and 2.0 is recommended. From Windows 10 1903 on, \
                      a TPM 1.2 counts as no TPM for hybrid join, so the device's key is kept in software.",
            evidence: "The version that the TPM itself answers: on Windows from the TPM base services, on Linux \
                       through the TSS. A machine without a TPM is judged by `tpm.present` alone.",
            threshold: "2.0: ready. 1.2: advisory, since keys are made, only weaker kept. A policy that excludes TPM \
                        1.2 (`ExcludeSecurityDevices`) is not judged here yet: it will be once the policies of a \
                        machine are evidence, in a later version.",
            remedy: "Move to TPM 2.0, by a firmware update where the maker offers one, together with native UEFI boot; \
                     or accept that device keys are kept in software.",
            source: "Microsoft Learn, TPM recommendations; Plan your Microsoft Entra hybrid join implementation",
            query: "muster hosts --check tpm.version --standing advisory",
            alert: "No alert is needed; look at the share of `tpm.version` advisories before hardware is ordered.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        let answer = if let Some(reason) = not_an_endpoint(facts.host) {
            Answer::bare(Verdict::not_applicable(reason))
        } else {
            match look_at!(facts, Tpm) {
                Look::Gap(gap) => Answer::gap(gap),
                Look::Absent(observation) => Answer::from(Verdict::not_applicable("no TPM"), observation),
                Look::Found(tpm, observation) => Answer::from(
                    match tpm.version {
                        Version::V2_0 => Verdict::Ready,
                        Version::V1_2 => Verdict::Advisory(finding(self, "TPM 1.2", "TPM 2.0")),
                    },
                    observation,
                ),
            }
        };
        vec![answer.about(self, Judged::Host)]
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::{self, Host};

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
}
