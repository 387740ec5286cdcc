//! `dc.cert-cdp`: whether revocation of the KDC's certificate can be looked up before anybody is signed in.
//!
//! A client that is joined to Entra ID looks it up without an identity in the directory, so that LDAP is closed to it.
//! HTTPS would need a check of the same kind to begin with. Whether the addresses answer is judged by `dc.crl-fresh`.

use muster_evidence::{Certificate, Kind, Text, Timestamp};

use super::kdc::{SELECTION, judge_selected};
use crate::check::answer::{Answer, finding, strict_population};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::Selection;
use crate::derive::strict::{has_plain_http, has_scheme};
use crate::{Check, Facts, Freshness, Judgement, Policy, SiteFacts, Verdict};

pub(in crate::check) struct CertCdp;

const NEEDED: &str = "a distribution point or OCSP responder with an address that begins with `http://`, and none with \
                      `https://`";

impl Check for CertCdp {
    fn id(&self) -> &'static str {
        "dc.cert-cdp"
    }

    fn title(&self) -> &'static str {
        "Revocation of the KDC's certificate can be looked up over plain HTTP"
    }

    fn scope(&self) -> Scope {
        Scope::DomainController
    }

    fn severity(&self) -> Severity {
        Severity::BlockerFor("sites with Entra-joined endpoints")
    }

    fn freshness(&self) -> Freshness {
        Freshness::DomainControllerSlow
    }

    fn reads(&self) -> &'static [Kind] {
        SELECTION
    }

    fn page(&self) -> Page {
        Page {
            meaning: "A client that is joined to Entra ID looks up whether the KDC's certificate was revoked before it \
                      has a ticket, so that it cannot read the directory. With distribution points in LDAP alone, every \
                      sign-in of such a client fails, while hybrid-joined ones next to it work.",
            evidence: "The CRL distribution points and OCSP responders that stand in the certificate that the KDC would \
                       select.",
            threshold: "At least one address over plain HTTP, and none over HTTPS: ready. HTTPS beside HTTP: advisory, \
                        since whoever asks it first needs a revocation check for that check. Neither HTTP nor OCSP: \
                        blocked where Entra-joined endpoints belong to the site's population, advisory where they do not.",
            remedy: "Add an HTTP distribution point to the issuing CA's extensions, publish its lists there, and issue \
                     the domain controllers' certificates anew: an address stands in the certificate and cannot be added \
                     later.",
            source: "Microsoft Learn, Single sign-on to on-premises resources from Entra joined devices",
            query: "muster hosts --check dc.cert-cdp --standing blocked --standing advisory",
            alert: "Alert when a domain controller becomes blocked by `dc.cert-cdp`: a renewal came from a CA without an \
                    HTTP distribution point.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| Answer::bare(self.of(selection, facts.site)))
    }
}

impl CertCdp {
    fn of(&self, selection: &Selection<'_>, site: &SiteFacts) -> Verdict {
        let Certificate { crl_distribution_points, ocsp_urls, .. } = selection.certificate;
        let mut addresses = crl_distribution_points.iter().chain(ocsp_urls);
        if has_plain_http(selection.certificate) {
            return match addresses.find(|url| has_scheme(url.as_str(), "https")) {
                None => Verdict::Ready,
                Some(url) => {
                    Verdict::Advisory(finding(self, format!("`{url}` besides others in {}", selection.name()), NEEDED))
                }
            };
        }
        let all: Vec<&str> = addresses.map(Text::as_str).collect();
        let seen = if all.is_empty() {
            format!("no distribution point and no OCSP responder in {}", selection.name())
        } else {
            format!("only `{}` in {}", all.join("`, `"), selection.name())
        };
        strict_population(site, finding(self, seen, NEEDED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Host, kdc_certificate, text};

    const NAME: &str = "certificate `CN=dc01.corp.example` (01010101…)";
    const HTTP: &str = "http://pki.corp.example/a.crl";
    const HTTPS: &str = "https://pki.corp.example/a.crl";
    const LDAP: &str = "ldap:///CN=Corp CA,CN=CDP";

    fn with(points: &[&str], ocsp: &[&str]) -> Host {
        let texts = |urls: &[&str]| urls.iter().map(|url| text(url)).collect();
        Host::dc_with(&[Certificate {
            crl_distribution_points: texts(points),
            ocsp_urls: texts(ocsp),
            ..kdc_certificate(1)
        }])
    }

    #[test]
    fn the_table() {
        let cases = [
            (with(&[HTTP], &[]), "ready".to_owned()),
            (with(&[LDAP, HTTP], &[]), "ready".to_owned()),
            (with(&[LDAP], &["http://ocsp.corp.example"]), "ready".to_owned()),
            (with(&["HTTP://pki.corp.example/a.crl"], &[]), "ready".to_owned()),
            (with(&[HTTP, HTTPS], &[]), format!("advisory: `{HTTPS}` besides others in {NAME} (needed: {NEEDED})")),
            (with(&[LDAP], &[]), format!("blocked: only `{LDAP}` in {NAME} (needed: {NEEDED})")),
            (with(&[LDAP, HTTPS], &[]), format!("blocked: only `{LDAP}`, `{HTTPS}` in {NAME} (needed: {NEEDED})")),
            (
                with(&[LDAP], &[]).entra_joined(Some(false)),
                format!("advisory: only `{LDAP}` in {NAME} (needed: {NEEDED})"),
            ),
            (
                with(&[LDAP], &[]).entra_joined(None),
                format!(
                    "unknown: whether Entra-joined endpoints belong to the site's population: it decides whether this \
                     blocks: only `{LDAP}` in {NAME}"
                ),
            ),
            (
                with(&[], &[]),
                format!("blocked: no distribution point and no OCSP responder in {NAME} (needed: {NEEDED})"),
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(host.judge(&CertCdp, &Policy::default()), [expected]);
        }
    }
}
