//! `dc.cert-template`: whether the KDC's certificate came from a template that should be superseded.

use muster_evidence::{Kind, Timestamp};

use super::kdc::{SELECTION, judge_selected};
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::derive::template::superseded_template;
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct CertTemplate;

impl Check for CertTemplate {
    fn id(&self) -> &'static str {
        "dc.cert-template"
    }

    fn title(&self) -> &'static str {
        "The KDC's certificate comes from a template made for it"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainControllerSlow
    }

    fn reads(&self) -> &'static [Kind] {
        SELECTION
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Microsoft's own templates *Domain Controller* and *Domain Controller Authentication* give \
                      certificates without KDC Authentication, and *Kerberos Authentication* as it comes has an older \
                      key provider and hash. The guidance is to duplicate the last one, and to let the copy supersede \
                      all three.",
            evidence: "The template extension of the certificate that the KDC would select: the name of a version 1 \
                       template, or the object identifier of a later one, whose last two arcs are the same in every \
                       forest for what Windows brings with it.",
            threshold: "From one of the three: advisory. From any other template, or from a CA that names none: ready. \
                        What a certificate lacks blocks by the checks of its usages, names and key.",
            remedy: "Duplicate *Kerberos Authentication* (compatibility 2016, subject name none, DNS name in the \
                     alternative name, RSA of 2048 bits, SHA256), let the copy supersede the three templates, publish it \
                     and let the domain controllers enrol.",
            source: "Microsoft Learn, hybrid key trust: configure domain controller certificates",
            query: "muster hosts --check dc.cert-template --standing advisory",
            alert: "No alert is needed; look at the advisories of `dc.cert-template` before a phase begins.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| {
            Answer::bare(match superseded_template(selection.certificate) {
                None => Verdict::Ready,
                Some(template) => Verdict::Advisory(finding(
                    self,
                    format!("{} is from the template *{template}*", selection.name()),
                    "a template derived from *Kerberos Authentication* that supersedes it",
                )),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, ExtendedKeyUsage, TemplateReference};

    use super::*;
    use crate::check::fixture::{Host, ekus, kdc_certificate, text};

    #[test]
    fn the_table() {
        let of = |template: Option<TemplateReference>| Host::dc_with(&[Certificate { template, ..kdc_certificate(1) }]);
        let oid = |end: &str| Some(TemplateReference::Oid(text(&format!("1.3.6.1.4.1.311.21.8.1.2.3.4.5.6.{end}"))));
        let old = Certificate {
            template: Some(TemplateReference::Name(text("DomainController"))),
            extended_key_usages: ekus(&[ExtendedKeyUsage::CLIENT_AUTH, ExtendedKeyUsage::SERVER_AUTH]),
            ..kdc_certificate(1)
        };
        let advisory = |template: &str| {
            format!(
                "advisory: certificate `CN=dc01.corp.example` (01010101…) is from the template *{template}* (needed: a \
                 template derived from *Kerberos Authentication* that supersedes it)"
            )
        };
        let cases = [
            (of(None), "ready".to_owned()),
            (of(oid("4711.815")), "ready".to_owned()),
            (of(oid("1.33")), advisory("Kerberos Authentication")),
            (of(oid("1.28")), advisory("Domain Controller Authentication")),
            (Host::dc_with(&[old]), advisory("Domain Controller")),
            (Host::dc_with(&[]), "not-applicable: no certificate that the KDC could select".to_owned()),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&CertTemplate, &Policy::default()), [expected]);
        }
    }
}
