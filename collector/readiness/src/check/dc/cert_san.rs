//! `dc.cert-san`: whether the KDC's certificate names the controller and its domain.
//!
//! A strict client compares the names with the domain it asked for. The NetBIOS name is only asked for by guidance on
//! certificates of other makers, so that one alone is an advisory everywhere.

use muster_evidence::{DomainController, Kind, Text, Timestamp};

use super::kdc::{SELECTION, absent, judge_selected, names};
use crate::check::answer::{Answer, Look, finding, look_at, strict_population};
use crate::check::{Page, Scope, Severity};
use crate::derive::strict::{has_dns_name, missing_names};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct CertSan;

impl Check for CertSan {
    fn id(&self) -> &'static str {
        "dc.cert-san"
    }

    fn title(&self) -> &'static str {
        "The KDC's certificate names the controller and its domain"
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
            meaning: "A client that is joined to Entra ID only compares the names in the KDC's certificate with the \
                      domain it asked for, and ends the sign-in (0xC000006D) where none is equal.",
            evidence: "The DNS names among the subject alternative names of the certificate that the KDC would select, \
                       compared without regard to case with the controller's own names. A wildcard matches nothing.",
            threshold: "The controller's full name and the DNS name of its domain are there: ready, if the NetBIOS name \
                        of the domain is there too, else advisory. One of the first two is missing: blocked where \
                        Entra-joined endpoints belong to the site's population, advisory where they do not.",
            remedy: "Issue a certificate from a template derived from *Kerberos Authentication*; it names the \
                     controller, the domain and its NetBIOS name by itself. From another issuer, request all three.",
            source: "Microsoft Learn, Requirements for domain controller certificates from a third-party CA; Single \
                     sign-on to on-premises resources from Entra joined devices",
            query: "muster hosts --check dc.cert-san --standing blocked --standing advisory",
            alert: "Alert when a domain controller becomes blocked by `dc.cert-san`: a renewal lost the domain's name.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| {
            let Some(dc) = names(facts) else {
                return match look_at!(facts, DomainController) {
                    Look::Gap(gap) => Answer::gap(gap),
                    Look::Absent(_) | Look::Found(..) => absent(Kind::DomainController),
                };
            };
            let DomainController { fqdn, domain_dns, domain_netbios, .. } = dc;
            let missing: Vec<_> = missing_names(selection.certificate, dc).collect();
            let needed = || match domain_netbios {
                Some(netbios) => format!("the DNS names `{fqdn}`, `{domain_dns}` and `{netbios}`"),
                None => format!("the DNS names `{fqdn}` and `{domain_dns}`"),
            };
            let has = |name: &&Text| has_dns_name(selection.certificate, name.as_str());
            let verdict = if !missing.is_empty() {
                let seen = format!("no `{}` in {}", missing.join("`, no `"), selection.name());
                strict_population(facts.site, finding(self, seen, needed()))
            } else if let Some(netbios) = domain_netbios.as_ref().filter(|name| !has(name)) {
                let seen = format!("no `{netbios}` in {}", selection.name());
                Verdict::Advisory(finding(self, seen, needed()))
            } else {
                Verdict::Ready
            };
            Answer::bare(verdict)
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, Evidence, SubjectAltName};

    use super::*;
    use crate::check::fixture::{self, Host, kdc_certificate, text};

    const NAME: &str = "certificate `CN=dc01.corp.example` (01010101…)";
    const WANTED: &str = "(needed: the DNS names `dc01.corp.example`, `corp.example` and `CORP`)";

    fn named(names: &[&str]) -> Host {
        let subject_alt_names = names.iter().map(|name| SubjectAltName::Dns(text(name))).collect();
        Host::dc_with(&[Certificate { subject_alt_names, ..kdc_certificate(1) }])
    }

    #[test]
    fn the_table() {
        let principal = Certificate {
            subject_alt_names: vec![SubjectAltName::KerberosPrincipal(text("krbtgt/CORP.EXAMPLE@CORP.EXAMPLE"))],
            ..kdc_certificate(1)
        };
        let cases = [
            (named(&["dc01.corp.example", "corp.example", "CORP"]), "ready".to_owned()),
            (named(&["DC01.Corp.Example.", "CORP.EXAMPLE", "corp"]), "ready".to_owned()),
            (named(&["dc01.corp.example", "corp.example"]), format!("advisory: no `CORP` in {NAME} {WANTED}")),
            (named(&["dc01.corp.example", "CORP"]), format!("blocked: no `corp.example` in {NAME} {WANTED}")),
            (named(&["corp.example", "CORP"]), format!("blocked: no `dc01.corp.example` in {NAME} {WANTED}")),
            (
                named(&["*.corp.example", "CORP"]),
                format!("blocked: no `dc01.corp.example`, no `corp.example` in {NAME} {WANTED}"),
            ),
            (
                Host::dc_with(&[principal]),
                format!("blocked: no `dc01.corp.example`, no `corp.example` in {NAME} {WANTED}"),
            ),
            (
                named(&["dc01.corp.example"]).entra_joined(Some(false)),
                format!("advisory: no `corp.example` in {NAME} {WANTED}"),
            ),
            (
                named(&["dc01.corp.example"]).entra_joined(None),
                format!(
                    "unknown: whether Entra-joined endpoints belong to the site's population: it decides whether this \
                     blocks: no `corp.example` in {NAME}"
                ),
            ),
            (
                named(&[]).failed(Kind::DomainController),
                "unknown: the domain controller's names: access denied: not allowed".to_owned(),
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&CertSan, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn an_unknown_netbios_name_is_not_demanded() {
        let dc = DomainController { domain_netbios: None, ..fixture::domain_controller() };
        let host = named(&["dc01.corp.example", "corp.example"]).with(Evidence::DomainController(dc));
        assert_eq!(host.judge(&CertSan, &Policy::default()), ["ready"]);
    }
}
