//! `pki.ntauth`: whether the issuer of the KDC's certificate is in NTAuth.
//!
//! On a domain controller its own enterprise store is compared with the issuer of the certificate that its KDC would
//! select. A certificate whose issuer is not there is passed over while another one passes, so that what is judged here is
//! what remains.

use muster_evidence::{Kind, Timestamp, TrustStore};

use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::dc::kdc::judge_selected;
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::Selection;
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct NtAuth;

const NEEDED: &str = "the issuing CA in the enterprise store `NTAuth`";

impl Check for NtAuth {
    fn id(&self) -> &'static str {
        "pki.ntauth"
    }

    fn title(&self) -> &'static str {
        "The issuer of the KDC's certificate is in NTAuth"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainControllerSlow
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::NtAuthStore, Kind::CertificateListing, Kind::Certificate, Kind::OperatingSystem, Kind::DomainController]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Windows takes a certificate for signing in only from a CA that the directory lists in NTAuth. Where \
                      the CA that issued the KDC's certificate is not in the machine's copy of that list, its KDC does \
                      not use the certificate, and clients do not accept it.",
            evidence: "The thumbprints in `HKLM\\SOFTWARE\\Microsoft\\EnterpriseCertificates\\NTAuth\\Certificates`, which \
                       group policy fills from the directory, and the thumbprint of the direct issuer of the certificate \
                       that the KDC would select.",
            threshold: "The issuer is in the store: ready. It is not, or there is no such store: blocked. Issuer not \
                        known, or the list cut before it was found: unknown.",
            remedy: "Publish the issuing CA with `certutil -dspublish -f ca.cer NTAuthCA`, let group policy apply \
                     (`gpupdate /force`), and restart the service `Kdc`.",
            source: "Microsoft Support, KB4519735",
            query: "muster hosts --check pki.ntauth --standing blocked",
            alert: "Alert at once when a domain controller becomes blocked by `pki.ntauth`: its KDC has no certificate \
                    that it may use.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| match look_at!(facts, NtAuthStore) {
            Look::Gap(gap) => Answer::gap(gap),
            Look::Absent(observation) => {
                let found = finding(self, format!("no store `NTAuth`, and {}", of_ca(selection)), NEEDED);
                Answer::from(Verdict::Blocked(found), observation)
            }
            Look::Found(store, observation) => Answer::from(self.of(store, selection), observation),
        })
    }
}

impl NtAuth {
    /// The half of domain controllers.
    fn of(&self, store: &TrustStore, selection: &Selection<'_>) -> Verdict {
        let Some(issuer) = &selection.certificate.issuer_thumbprint else {
            return Verdict::unknown(
                "the certificate of the issuer",
                format!("`{}`, which issued {}, was not at hand", selection.certificate.issuer, selection.name()),
            );
        };
        match store.holds(issuer) {
            Some(true) => Verdict::Ready,
            Some(false) => Verdict::Blocked(finding(
                self,
                format!("{issuer} is not in the store `NTAuth`, and {}", of_ca(selection)),
                NEEDED,
            )),
            None => Verdict::unknown(
                "the NTAuth store",
                format!(
                    "{} of its certificates were left out of the report, and {issuer} is not among the others",
                    store.left_out
                ),
            ),
        }
    }
}

fn of_ca(selection: &Selection<'_>) -> String {
    format!("`{}` issued {}", selection.certificate.issuer, selection.name())
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, Evidence, Thumbprint};

    use super::*;
    use crate::check::fixture::controller::ISSUER;
    use crate::check::fixture::{Host, kdc_certificate};

    #[test]
    fn the_half_of_domain_controllers() {
        let store = |thumbprints: &[Thumbprint], left_out| {
            let store = TrustStore { thumbprints: thumbprints.to_vec(), left_out };
            Host::dc_with(&[kdc_certificate(1)]).with(Evidence::NtAuthStore(store))
        };
        let other = Thumbprint([1; 20]);
        let issued = "`CN=Corp CA` issued certificate `CN=dc01.corp.example` (01010101…)";
        let cases = [
            (store(&[other, ISSUER], 0), "ready".to_owned()),
            (store(&[ISSUER], 3), "ready".to_owned()),
            (
                store(&[other], 0),
                format!("blocked: {ISSUER} is not in the store `NTAuth`, and {issued} (needed: {NEEDED})"),
            ),
            (
                store(&[other], 3),
                format!(
                    "unknown: the NTAuth store: 3 of its certificates were left out of the report, and {ISSUER} is not \
                     among the others"
                ),
            ),
            (
                store(&[], 0).absent(Kind::NtAuthStore),
                format!("blocked: no store `NTAuth`, and {issued} (needed: {NEEDED})"),
            ),
            (
                store(&[], 0).failed(Kind::NtAuthStore),
                "unknown: the NTAuth store: access denied: not allowed".to_owned(),
            ),
            (
                Host::dc_with(&[Certificate { issuer_thumbprint: None, ..kdc_certificate(1) }]),
                "unknown: the certificate of the issuer: `CN=Corp CA`, which issued certificate `CN=dc01.corp.example` \
                 (01010101…), was not at hand"
                    .to_owned(),
            ),
            (Host::dc_with(&[]), "not-applicable: no certificate that the KDC could select".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&NtAuth, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn one_that_is_not_there_is_passed_over_while_another_passes() {
        let foreign = Certificate { issuer_thumbprint: Some(Thumbprint([9; 20])), ..kdc_certificate(1) };
        let host = Host::dc_with(&[foreign, kdc_certificate(2)]);
        assert_eq!(host.judge(&NtAuth, &Policy::default()), ["ready"]);
    }
}
