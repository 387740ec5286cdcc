//! `dc.cert-superseded`: whether certificates of superseded templates still stand in the domain controller's store.
//!
//! Superseding a template archives the certificates that came from it when the new one is enrolled. One that was left
//! unarchived goes on taking part in the KDC's choice. Whether the new template names all three as superseded is read from
//! the directory, by another half of this check.

use muster_evidence::{CertificateStore, Kind, Timestamp};

use super::kdc::judge_capable;
use crate::check::answer::{Answer, Look, finding, look_at};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::{certificate, certificate_name};
use crate::derive::template::superseded_template;
use crate::{Check, Facts, Freshness, Gap, Judgement, Policy, Verdict};

pub(in crate::check) struct CertSuperseded;

const ONE: &str = "a certificate of the store";

impl Check for CertSuperseded {
    fn id(&self) -> &'static str {
        "dc.cert-superseded"
    }

    fn title(&self) -> &'static str {
        "No certificate of a superseded template stands in the store"
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
        &[Kind::CertificateListing, Kind::Certificate, Kind::OperatingSystem, Kind::DomainController]
    }

    fn page(&self) -> Page {
        Page {
            meaning: "When the new template supersedes the three old ones, enrolment archives what came from them. A \
                      certificate that stands unarchived beside the new one still takes part in the KDC's choice, and \
                      the KDC keeps one that it uses for as long as it passes.",
            evidence: "Every entry of the machine's certificate store that is not archived, with the template it came \
                       from.",
            threshold: "None from *Domain Controller*, *Domain Controller Authentication* or *Kerberos Authentication*: \
                        ready. One or more: advisory. An entry that could not be read, or a store of which only what it \
                        presents over LDAPS was seen: unknown.",
            remedy: "Name the three templates as superseded in the new one, let the domain controllers enrol, remove what \
                     is left of the old certificates, and restart the service `Kdc`.",
            source: "Microsoft Learn, hybrid key trust: supersede existing domain controller certificates",
            query: "muster hosts --check dc.cert-superseded --standing advisory",
            alert: "No alert is needed; look at the advisories of `dc.cert-superseded` after certificates were renewed.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_capable(self, facts, policy, || {
            let (listing, observation) = match look_at!(facts, CertificateListing) {
                Look::Gap(gap) => return Answer::gap(gap),
                Look::Absent(observation) => return Answer::from(Verdict::Ready, observation),
                Look::Found(listing, observation) => (listing, observation),
            };
            let mut evidence_at = observation.observed_at;
            let mut gap = None;
            let mut found = Vec::new();
            for (place, entry) in listing.certificates.iter().enumerate().filter(|(_, entry)| !entry.archived) {
                match certificate(facts, entry.sha256) {
                    Err(why) => {
                        gap.get_or_insert(Gap {
                            missing: ONE.into(),
                            why: format!("certificate {}: {why}", place + 1).into(),
                        });
                    }
                    Ok((certificate, observation)) => {
                        evidence_at = evidence_at.min(observation.observed_at);
                        if let Some(template) = superseded_template(certificate) {
                            found.push(format!("{} from *{template}*", certificate_name(certificate)));
                        }
                    }
                }
            }
            let more = listing.left_out + listing.unreadable;
            if more > 0 {
                let why = format!("entries that could not be read: {more}");
                gap.get_or_insert(Gap { missing: ONE.into(), why: why.into() });
            }
            if listing.store == CertificateStore::TlsPeer {
                let why = "only what is presented over LDAPS was seen";
                gap.get_or_insert(Gap { missing: "the certificate store".into(), why: why.into() });
            }
            let verdict = match gap {
                _ if !found.is_empty() => {
                    Verdict::Advisory(finding(self, found.join(", "), "none from a superseded template unarchived"))
                }
                Some(gap) => Verdict::Unknown(gap),
                None => Verdict::Ready,
            };
            Answer { verdict, valid_until: None, evidence_at: Some(evidence_at) }
        })
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, CertificateListing, ListedCertificate, PrivateKey, Sha256, TemplateReference};

    use super::*;
    use crate::check::fixture::{Host, kdc_certificate, text};

    fn old(number: u8) -> Certificate {
        let template = Some(TemplateReference::Oid(text("1.3.6.1.4.1.311.21.8.1.2.3.4.5.6.1.33")));
        Certificate { template, ..kdc_certificate(number) }
    }

    fn listing(entries: &[(u8, bool)], left_out: u32, unreadable: u32) -> CertificateListing {
        let entry = |(number, archived): &(u8, bool)| ListedCertificate {
            sha256: Sha256([*number; 32]),
            private_key: PrivateKey::Present,
            archived: *archived,
        };
        CertificateListing {
            store: CertificateStore::LocalMachineMy,
            certificates: entries.iter().map(entry).collect(),
            left_out,
            unreadable,
        }
    }

    #[test]
    fn the_table() {
        let both = || Host::dc_with(&[kdc_certificate(1), old(2)]);
        let advisory = "advisory: certificate `CN=dc01.corp.example` (02020202…) from *Kerberos Authentication* (needed: \
                        none from a superseded template unarchived)";
        let cases = [
            (Host::dc_with(&[kdc_certificate(1)]), "ready"),
            (Host::dc_with(&[]), "ready"),
            (both(), advisory),
            (both().listing(listing(&[(1, false), (2, true)], 0, 0)), "ready"),
            (
                both().listing(listing(&[(1, false), (3, false)], 0, 0)),
                "unknown: a certificate of the store: certificate 2: not reported",
            ),
            (both().listing(listing(&[(2, false), (3, false)], 4, 0)), advisory),
            (
                both().listing(listing(&[(1, false)], 1, 2)),
                "unknown: a certificate of the store: entries that could not be read: 3",
            ),
            (
                Host::dc().certificates(CertificateStore::TlsPeer, &[kdc_certificate(1)]),
                "unknown: the certificate store: only what is presented over LDAPS was seen",
            ),
            (Host::dc().absent(Kind::CertificateListing), "ready"),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&CertSuperseded, &Policy::default()), [expected]);
        }
    }
}
