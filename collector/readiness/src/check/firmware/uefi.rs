//! `firmware.uefi`: whether a machine with a TPM 2.0 is started by native UEFI.

use muster_evidence::{FirmwareType, Kind, Timestamp, TpmVersion};

use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Gap, Judgement, Policy, Verdict};

pub(in crate::check) struct NativeUefi;

impl Check for NativeUefi {
    fn id(&self) -> &'static str {
        "firmware.uefi"
    }

    fn title(&self) -> &'static str {
        "A machine with a TPM 2.0 is started by native UEFI"
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
        &[Kind::OperatingSystem, Kind::Tpm]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A TPM 2.0 is not supported where the machine is started by a legacy BIOS, or by UEFI with its \
                      compatibility support module: it may not be seen, or its measurements may be missing.",
            evidence: "The kind of firmware that Windows names (`GetFirmwareType`), and the TPM's version.",
            threshold: "UEFI: ready. Legacy with a TPM 2.0: advisory. Legacy without one: not applicable. The firmware \
                        or the TPM could not be read: unknown.",
            remedy: "Convert the system disk to GPT (`mbr2gpt`) and switch the firmware to native UEFI, without the \
                     compatibility support module.",
            source: "Microsoft Learn, TPM recommendations",
            query: "muster hosts --check firmware.uefi --standing advisory",
            alert: "No alert is needed; look at `firmware.uefi` when an image is prepared.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || match look_at!(facts, OperatingSystem) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(_) => {
                Answer::gap(Gap { missing: "the operating system".into(), why: "reported as absent".into() })
            }
            Look::Found(os, observation) => match os.firmware {
                Some(FirmwareType::Uefi) => Answer::from(Verdict::Ready, observation),
                Some(FirmwareType::Bios) => Answer::from(self.legacy(facts), observation),
                None => {
                    Answer::from(Verdict::unknown("the kind of firmware", "the system does not say it"), observation)
                }
            },
        })
    }
}

impl NativeUefi {
    fn legacy(&self, facts: &Facts<'_>) -> Verdict {
        match look_at!(facts, Tpm) {
            Look::Gap(gap) => Verdict::Unknown(gap),
            Look::Found(tpm, _) if tpm.version == TpmVersion::V2_0 => {
                Verdict::Advisory(finding(self, "a TPM 2.0 under a legacy BIOS", "native UEFI"))
            }
            Look::Found(..) | Look::Absent(_) => Verdict::not_applicable("no TPM 2.0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, OperatingSystem, Tpm};

    use super::*;
    use crate::check::fixture::{Host, tpm, tpm_2_0, windows_client};

    #[test]
    fn the_table() {
        let started = |firmware| {
            Host::endpoint().with(Evidence::OperatingSystem(OperatingSystem { firmware, ..windows_client(26_100) }))
        };
        let legacy = || started(Some(FirmwareType::Bios));
        let old = Evidence::Tpm(Tpm { version: TpmVersion::V1_2, ..tpm_2_0() });
        let cases = [
            (started(Some(FirmwareType::Uefi)), "ready"),
            (started(Some(FirmwareType::Uefi)).failed(Kind::Tpm), "ready"),
            (legacy().with(tpm()), "advisory: a TPM 2.0 under a legacy BIOS (needed: native UEFI)"),
            (legacy().with(old), "not-applicable: no TPM 2.0"),
            (legacy().absent(Kind::Tpm), "not-applicable: no TPM 2.0"),
            (legacy().failed(Kind::Tpm), "unknown: the TPM: access denied: not allowed"),
            (legacy(), "unknown: the TPM: not reported"),
            (started(None).with(tpm()), "unknown: the kind of firmware: the system does not say it"),
            (
                Host::endpoint().failed(Kind::OperatingSystem),
                "unknown: the operating system: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&NativeUefi, &Policy::default()), [expected]);
        }
    }
}
