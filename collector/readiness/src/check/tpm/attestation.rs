//! `tpm.attestation`: whether the TPM can prove that it is one.
//!
//! A certificate of its endorsement key, which the maker signed, is what a proof starts from. Key trust needs none.

use muster_evidence::{EkCertificates, Kind, Timestamp, Tpm, TpmReadiness};

use super::{judge_any_system, of_tpm};
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct TpmAttestation;

/// The bit of `Win32_Tpm::IsReadyInformation`: the endorsement certificate was not read and stored.
const EK_NOT_STORED: u32 = 0x4_0000;

/// What is needed.
const NEEDED: &str = "a certificate of the TPM's endorsement key";

impl Check for TpmAttestation {
    fn id(&self) -> &'static str {
        "tpm.attestation"
    }

    fn title(&self) -> &'static str {
        "The TPM has a certificate of its endorsement key"
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
            meaning: "With a certificate of its endorsement key a TPM can prove to Entra ID that a Hello key lies in \
                      it. Key trust works without the proof; a key is then registered as one that may lie in software.",
            evidence: "The endorsement certificates in the TPM's memory; where they were not looked for, what \
                       `IsReadyInformation` of `Win32_Tpm` says of them (0x40000).",
            threshold: "A certificate is there: ready. None: advisory, since attestation is optional. Nobody could look: \
                        unknown.",
            remedy: "Let the machine fetch its certificate: open the firewall to the maker's and Microsoft's attestation \
                     services, and update the TPM's firmware. PIN errors 0x801C0010 and 0x801C03EF name the same cause, \
                     0x801C0011 and 0x801C03EE a proof that failed.",
            source: "Microsoft Learn, TPM recommendations; Windows Hello errors during PIN creation",
            query: "muster hosts --check tpm.attestation --standing advisory",
            alert: "No alert is needed; look at the share of `tpm.attestation` advisories if the tenant demands \
                    attested keys.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_any_system(self, facts, || of_tpm(facts, |tpm, observation| Answer::from(self.of(tpm), observation)))
    }
}

impl TpmAttestation {
    fn of(&self, tpm: &Tpm) -> Verdict {
        let stored = match tpm.readiness {
            Some(TpmReadiness { missing: Some(bits), .. }) => Some(bits & EK_NOT_STORED == 0),
            Some(TpmReadiness { missing: None, .. }) | None => None,
        };
        match tpm.ek_certificates.map(EkCertificates::any).or(stored) {
            Some(true) => Verdict::Ready,
            Some(false) => Verdict::Advisory(finding(self, "no certificate of the TPM's endorsement key", NEEDED)),
            None => Verdict::unknown("the TPM's endorsement certificates", "nobody could look for them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Evidence;

    use super::*;
    use crate::check::fixture::{Host, tpm_2_0};

    #[test]
    fn the_table() {
        let host = |ek_certificates, missing: Option<u32>| {
            let readiness = missing.map(|missing| TpmReadiness { ready: missing == 0, missing: Some(missing) });
            Host::endpoint().with(Evidence::Tpm(Tpm { ek_certificates, readiness, ..tpm_2_0() }))
        };
        let none = EkCertificates::default();
        let advisory = "advisory: no certificate of the TPM's endorsement key (needed: a certificate of the TPM's \
                        endorsement key)";
        let unknown = "unknown: the TPM's endorsement certificates: nobody could look for them";
        let said_nothing = Tpm { readiness: Some(TpmReadiness { ready: true, missing: None }), ..tpm_2_0() };
        let cases = [
            (host(Some(EkCertificates { rsa_2048: true, ..none }), None), "ready"),
            (host(Some(EkCertificates { ecc_p256: true, ..none }), Some(EK_NOT_STORED)), "ready"),
            (host(Some(EkCertificates { ecc_p384: true, ..none }), None), "ready"),
            (host(Some(none), None), advisory),
            (host(Some(none), Some(0)), advisory),
            (host(None, Some(0)), "ready"),
            (host(None, Some(0x24)), "ready"),
            (host(None, Some(EK_NOT_STORED)), advisory),
            (host(None, None), unknown),
            (Host::endpoint().with(Evidence::Tpm(said_nothing)), unknown),
            (Host::endpoint().absent(Kind::Tpm), "not-applicable: no TPM"),
            (Host::endpoint().failed(Kind::Tpm), "unknown: the TPM: access denied: not allowed"),
            (Host::endpoint(), "unknown: the TPM: not reported"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&TpmAttestation, &Policy::default()), [expected]);
        }
    }
}
