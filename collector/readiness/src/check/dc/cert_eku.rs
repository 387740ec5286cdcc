//! `dc.cert-eku`: whether the KDC's certificate carries the usages that clients look for.
//!
//! Entra-joined clients validate the KDC strictly and demand KDC Authentication; hybrid-joined ones do not enforce
//! it, by the newer of Microsoft's pages. So a missing usage blocks only where the first are in the population.

use muster_evidence::{Kind, Timestamp};

use super::kdc::{SELECTION, judge_selected};
use crate::check::answer::{Answer, finding, strict_population};
use crate::check::{Page, Scope, Severity};
use crate::derive::strict::missing_usages;
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct CertEku;

impl Check for CertEku {
    fn id(&self) -> &'static str {
        "dc.cert-eku"
    }

    fn title(&self) -> &'static str {
        "The KDC's certificate carries the extended key usages"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::BlockerFor("sites with Entra-joined endpoints")
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainController
    }

    fn reads(&self) -> &'static [Kind] {
        SELECTION
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A client that is joined to Entra ID only accepts a KDC whose certificate carries KDC \
                      Authentication. Certificates from the templates *Domain Controller* and *Domain Controller \
                      Authentication* do not.",
            evidence: "The extended key usages of the certificate that the KDC would select, not of the best one in \
                       the store.",
            threshold: "Client Authentication, Server Authentication and KDC Authentication are all there: ready. One \
                        is missing: blocked where Entra-joined endpoints belong to the site's population, advisory \
                        where they do not, unknown until enough of them have said.",
            remedy: "Issue a certificate from a template derived from *Kerberos Authentication*, let it supersede the \
                     older templates, and remove the older certificate.",
            source: "Microsoft Learn, hybrid key trust: configure domain controller certificates; Single sign-on to \
                     on-premises resources from Entra joined devices",
            query: "muster hosts --check dc.cert-eku --standing blocked --standing advisory",
            alert: "Alert when a domain controller becomes blocked by `dc.cert-eku`: a renewal went back to an older \
                    template.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| {
            let missing: Vec<_> = missing_usages(selection.certificate).collect();
            if missing.is_empty() {
                return Answer::bare(Verdict::Ready);
            }
            let seen = format!("no {} in {}", missing.join(", no "), selection.name());
            let needed = "Client Authentication, Server Authentication and KDC Authentication (1.3.6.1.5.2.3.5)";
            Answer::bare(strict_population(facts.site, finding(self, seen, needed)))
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, CertificateStore, ExtendedKeyUsage, TemplateReference};

    use super::*;
    use crate::check::fixture::{Host, ekus, kdc_certificate, text};

    const NAME: &str = "certificate `CN=dc01.corp.example` (01010101…)";
    const WANTED: &str =
        "(needed: Client Authentication, Server Authentication and KDC Authentication (1.3.6.1.5.2.3.5))";

    #[test]
    fn the_table() {
        let template = Some(TemplateReference::Name(text("DomainController")));
        let with = |oids: &[&str]| Certificate {
            extended_key_usages: ekus(oids),
            template: template.clone(),
            ..kdc_certificate(1)
        };
        let legacy = with(&[ExtendedKeyUsage::CLIENT_AUTH, ExtendedKeyUsage::SERVER_AUTH]);
        let without = Certificate { extended_key_usages: None, ..with(&[]) };
        let cases = [
            (kdc_certificate(1), Some(true), "ready".to_owned()),
            (legacy.clone(), Some(true), format!("blocked: no KDC Authentication in {NAME} {WANTED}")),
            (legacy.clone(), Some(false), format!("advisory: no KDC Authentication in {NAME} {WANTED}")),
            (
                legacy,
                None,
                format!(
                    "unknown: whether Entra-joined endpoints belong to the site's population: it decides whether this \
                     blocks: no KDC Authentication in {NAME}"
                ),
            ),
            (kdc_certificate(1), None, "ready".to_owned()),
            (
                with(&[ExtendedKeyUsage::KDC_AUTH]),
                Some(false),
                format!("advisory: no Client Authentication, no Server Authentication in {NAME} {WANTED}"),
            ),
            (
                with(&[ExtendedKeyUsage::KDC_AUTH, ExtendedKeyUsage::CLIENT_AUTH]),
                Some(true),
                format!("blocked: no Server Authentication in {NAME} {WANTED}"),
            ),
            (without, Some(true), format!("blocked: no KDC Authentication in {NAME} {WANTED}")),
        ];
        for (certificate, entra_joined, expected) in cases {
            let host = Host::dc_with(&[certificate]).entra_joined(entra_joined);
            assert_eq!(host.judge(&CertEku, &Policy::default()), [expected]);
        }
        assert_eq!(
            Host::dc_with(&[]).judge(&CertEku, &Policy::default()),
            ["not-applicable: no certificate that the KDC could select"]
        );
    }

    #[test]
    fn what_was_seen_over_ldaps_says_so() {
        let legacy = Certificate {
            extended_key_usages: ekus(&[ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::SMART_CARD_LOGON]),
            ..kdc_certificate(1)
        };
        let answers = Host::dc().certificates(CertificateStore::TlsPeer, &[legacy]).judge(&CertEku, &Policy::default());
        assert_eq!(
            answers,
            [format!(
                "blocked: no Client Authentication, no KDC Authentication in {NAME}, as presented over LDAPS; the KDC \
                 may use another {WANTED}"
            )]
        );
    }
}
