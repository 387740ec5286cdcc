//! `dc.cert-present`: whether the domain controller has a certificate that its KDC could use.

use muster_evidence::{Kind, Timestamp};

use super::kdc::judge_kdc;
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::KdcCertificate;
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct CertPresent;

impl Check for CertPresent {
    fn id(&self) -> &'static str {
        "dc.cert-present"
    }

    fn title(&self) -> &'static str {
        "The domain controller has a certificate for its KDC"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Blocker
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainController
    }

    fn reads(&self) -> &'static [Kind] {
        &[Kind::CertificateListing, Kind::Certificate, Kind::OperatingSystem, Kind::DomainController]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "The KDC proves itself to key-trust clients with a certificate. Without a usable one, the domain \
                      controller still answers such sign-ins, and fails every one of them.",
            evidence: "The machine's certificate store `LocalMachine\\My`, which is the only one the KDC reads, or an \
                       export of it. What a controller presents over LDAPS can show that there is a certificate, and \
                       never that there is none.",
            threshold: "A certificate counts if its private key is there and it carries KDC Authentication \
                        (1.3.6.1.5.2.3.5) or Smart Card Logon, or comes from the template `DomainController`. One or \
                        more: ready. None: blocked. Controllers before Windows Server 2016 and read-only ones are left \
                        out.",
            remedy: "Issue a certificate from a template derived from *Kerberos Authentication* to every domain \
                     controller, and let auto-enrolment keep it.",
            source: "Microsoft Learn, hybrid key trust: configure domain controller certificates",
            query: "muster hosts --check dc.cert-present --standing blocked",
            alert: "Alert at once when a domain controller becomes blocked by `dc.cert-present`: key-trust sign-ins \
                    that reach it fail.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_kdc(self, facts, policy, now, |found| match found {
            KdcCertificate::Unknown(gap) => Answer::gap(gap),
            KdcCertificate::Selected(selection) => {
                Answer { verdict: Verdict::Ready, valid_until: None, evidence_at: Some(selection.evidence_at) }
            }
            KdcCertificate::NoCandidate { seen, evidence_at } => Answer {
                verdict: Verdict::Blocked(finding(
                    self,
                    seen,
                    "a certificate for KDC Authentication with its private key",
                )),
                valid_until: None,
                evidence_at: Some(evidence_at),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, CertificateStore, ExtendedKeyUsage};

    use super::*;
    use crate::check::fixture::{Host, ekus, kdc_certificate};

    #[test]
    fn the_table() {
        let web = Certificate { extended_key_usages: ekus(&[ExtendedKeyUsage::SERVER_AUTH]), ..kdc_certificate(3) };
        let any = Certificate { extended_key_usages: None, ..kdc_certificate(4) };
        let needed = "(needed: a certificate for KDC Authentication with its private key)";
        let cases = [
            (Host::dc_with(&[kdc_certificate(1)]), "ready".to_owned()),
            (Host::dc().certificates(CertificateStore::Files, &[kdc_certificate(1)]), "ready".to_owned()),
            (Host::dc().certificates(CertificateStore::TlsPeer, &[kdc_certificate(1)]), "ready".to_owned()),
            (Host::dc_with(&[]), format!("blocked: no certificate in the store {needed}")),
            (
                Host::dc_with(&[web.clone(), any]),
                format!("blocked: 2 in the store, none for KDC Authentication or of a legacy kind {needed}"),
            ),
            (
                Host::dc().absent(Kind::CertificateListing),
                format!("blocked: the certificate store is not there {needed}"),
            ),
            (
                Host::dc().certificates(CertificateStore::TlsPeer, &[web]),
                "unknown: the KDC's certificate: 1 in the store, none for KDC Authentication or of a legacy kind, as \
                 presented over LDAPS; the KDC may use another, which was not seen"
                    .to_owned(),
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&CertPresent, &Policy::default()), [expected]);
        }
    }
}
