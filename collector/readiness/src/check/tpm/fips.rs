//! `tpm.fips`: whether a TPM 1.2 that works by FIPS 140 stands in the way of a hybrid join.
//!
//! Hybrid join works with a TPM 2.0 in that mode and not with a TPM 1.2, which must be disabled first. Nothing tells of
//! the certification of a chip, so for most TPM 1.2 the answer is open, until the machine is joined: what could have
//! prevented the join did not.

use muster_evidence::{
    JoinKind, JoinState, Kind, Observation, RegistrationDiagnostics, RegistrationPhase, Timestamp, Tpm, TpmVersion,
};

use super::of_tpm;
use crate::check::answer::{Answer, Look, finding, judge_endpoint, look_at};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct TpmFips;

/// `TPM_E_NOTFIPS`: the registration itself names the mode.
const NOT_FIPS: u32 = 0x8028_0036;

/// What is needed.
const NEEDED: &str = "a TPM 2.0, or no TPM 1.2 in FIPS mode before the hybrid join";

impl Check for TpmFips {
    fn id(&self) -> &'static str {
        "tpm.fips"
    }

    fn title(&self) -> &'static str {
        "No TPM 1.2 in FIPS mode prevents the hybrid join"
    }

    fn scope(&self) -> Scope {
        Scope::Endpoint
    }

    fn severity(&self) -> Severity {
        Severity::BlockerFor("machines with a TPM 1.2 in FIPS mode")
    }

    fn freshness(&self) -> Freshness {
        Freshness::Endpoint
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::Tpm, Kind::JoinState, Kind::RegistrationDiagnostics]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Hybrid join works with a TPM 2.0 in FIPS mode, and not with a TPM 1.2: the registration fails \
                      until that TPM is disabled.",
            evidence: "The TPM's version, and its mode where it tells it; `TPM_E_NOTFIPS` (0x80280036) or another code \
                       of the TPM in a registration that failed in the phase `join`. The policy *System cryptography: \
                       Use FIPS compliant algorithms* speaks of Windows and not of the chip, so it is not read.",
            threshold: "TPM 2.0: not applicable. TPM 1.2 in FIPS mode, or a registration that names it: blocked. TPM 1.2 \
                        and a registration that fails with another code of the TPM: advisory. TPM 1.2 on a machine \
                        that is hybrid joined, or not in that mode: ready. Otherwise unknown, since a chip does not say \
                        whether it is certified.",
            remedy: "Disable the TPM 1.2 in the firmware before the hybrid join, or replace the machine by one with a \
                     TPM 2.0.",
            source: "Microsoft Learn, Plan your Microsoft Entra hybrid join implementation; Troubleshoot Microsoft Entra \
                     hybrid joined devices",
            query: "muster hosts --check tpm.fips --standing blocked --standing unknown",
            alert: "No alert is needed; look at `tpm.fips` before machines with a TPM 1.2 are joined.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_endpoint(self, facts, || {
            of_tpm(facts, |tpm, observation| match tpm.version {
                TpmVersion::V2_0 => Answer::from(Verdict::not_applicable("TPM 2.0"), observation),
                TpmVersion::V1_2 => self.old(tpm, observation, facts),
            })
        })
    }
}

impl TpmFips {
    fn old(&self, tpm: &Tpm, observation: &Observation, facts: &Facts<'_>) -> Answer {
        match tpm.fips_mode {
            Some(true) => {
                return Answer::from(
                    Verdict::Blocked(finding(self, "a TPM 1.2 that works in FIPS mode", NEEDED)),
                    observation,
                );
            }
            Some(false) => return Answer::from(Verdict::Ready, observation),
            None => {}
        }
        if let Look::Found(diagnostics, seen) = look_at!(facts, RegistrationDiagnostics)
            && let Some(verdict) = self.failing(diagnostics)
        {
            return Answer::from(verdict, seen);
        }
        match look_at!(facts, JoinState) {
            Look::Found(join, seen) if is_hybrid(join) => Answer::from(Verdict::Ready, seen),
            Look::Found(..) | Look::Absent(_) | Look::Gap(_) => Answer::from(
                Verdict::unknown(
                    "whether the TPM 1.2 works in FIPS mode",
                    "no chip tells of it, and the machine is not seen to be hybrid joined",
                ),
                observation,
            ),
        }
    }

    /// What a registration that failed while joining says of the TPM.
    fn failing(&self, diagnostics: &RegistrationDiagnostics) -> Option<Verdict> {
        let code = diagnostics.client_error.filter(|_| diagnostics.phase == Some(RegistrationPhase::Join))?;
        if code == NOT_FIPS {
            let seen = format!("the registration fails with 0x{code:08x}: a TPM 1.2 in FIPS mode");
            return Some(Verdict::Blocked(finding(self, seen, NEEDED)));
        }
        is_of_tpm(code).then(|| {
            let seen = format!("a TPM 1.2, and the registration fails with a code of the TPM, 0x{code:08x}");
            Verdict::Advisory(finding(self, seen, NEEDED))
        })
    }
}

/// Whether a code is one of the TPM services (facilities 0x28 and 0x29), or one by which the key storage says that the
/// TPM is not set up (0x80090029) or not usable (0x80090030, 0x80090035).
const fn is_of_tpm(code: u32) -> bool {
    matches!(code >> 16, 0x8028 | 0x8029) || matches!(code, 0x8009_0029 | 0x8009_0030 | 0x8009_0035)
}

fn is_hybrid(join: &JoinState) -> bool {
    join.kind() == JoinKind::Hybrid
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Evidence, Tristate};

    use super::*;
    use crate::check::fixture::{Host, hybrid, tpm, tpm_2_0};

    fn old(fips_mode: Option<bool>) -> Host {
        let tpm = Tpm { version: TpmVersion::V1_2, fips_mode, ..tpm_2_0() };
        let domain = JoinState { azure_ad_joined: Tristate::No, ..hybrid() };
        Host::endpoint().with(Evidence::Tpm(tpm)).with(Evidence::JoinState(domain))
    }

    fn failing(phase: RegistrationPhase, code: u32) -> Evidence {
        Evidence::RegistrationDiagnostics(Box::new(RegistrationDiagnostics {
            phase: Some(phase),
            client_error: Some(code),
            ..RegistrationDiagnostics::default()
        }))
    }

    #[test]
    fn the_table() {
        let open = "unknown: whether the TPM 1.2 works in FIPS mode: no chip tells of it, and the machine is not seen \
                    to be hybrid joined";
        let needed = "(needed: a TPM 2.0, or no TPM 1.2 in FIPS mode before the hybrid join)";
        let blocked = format!("blocked: a TPM 1.2 that works in FIPS mode {needed}");
        let named = format!("blocked: the registration fails with 0x80280036: a TPM 1.2 in FIPS mode {needed}");
        let other = |code: &str| {
            format!("advisory: a TPM 1.2, and the registration fails with a code of the TPM, {code} {needed}")
        };
        let (service, storage) = (other("0x80290407"), other("0x80090029"));
        let cases: [(Host, &str); 15] = [
            (Host::endpoint().with(tpm()), "not-applicable: TPM 2.0"),
            (old(Some(true)), &blocked),
            (old(Some(true)).with(Evidence::JoinState(hybrid())), &blocked),
            (old(Some(false)), "ready"),
            (old(None), open),
            (old(None).with(Evidence::JoinState(hybrid())), "ready"),
            (old(None).failed(Kind::JoinState), open),
            (old(None).with(failing(RegistrationPhase::Join, NOT_FIPS)), &named),
            (old(None).with(failing(RegistrationPhase::Join, 0x8029_0407)), &service),
            (old(None).with(failing(RegistrationPhase::Join, 0x8009_0029)), &storage),
            (old(None).with(failing(RegistrationPhase::Join, 0x801c_03f2)), open),
            (old(None).with(failing(RegistrationPhase::Discover, NOT_FIPS)), open),
            (Host::endpoint().absent(Kind::Tpm), "not-applicable: no TPM"),
            (Host::endpoint().failed(Kind::Tpm), "unknown: the TPM: access denied: not allowed"),
            (Host::linux().with(tpm()), "not-applicable: not a Windows client"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&TpmFips, &Policy::default()), [expected]);
        }
        assert_eq!(Host::dc().judge(&TpmFips, &Policy::default()), ["not-applicable: domain controller"]);
    }
}
