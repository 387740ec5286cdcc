//! `dc.cert-shadowed`: whether a certificate that would do stands behind another one.
//!
//! The store looks right and LDAPS works, so everybody believes that the certificates are fine; the KDC uses another one.
//! A legacy certificate never beats one for KDC Authentication that passes, however new it is; it wins where every such
//! one is refused. Only event 302 tells which one is in use, and without it two that differ leave the question open.

use muster_evidence::{CertificateStore, Kind, Timestamp};

use super::kdc::{SELECTION, absent, judge_selected, names};
use crate::check::answer::{Answer, Look, finding, look_at, strict_population};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::{Candidate, Refused, Selection, candidates, certificate_name};
use crate::derive::strict::complies;
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct CertShadowed;

const NEEDED: &str = "no other certificate that the KDC could use beside the one that Entra-joined clients accept";

impl Check for CertShadowed {
    fn id(&self) -> &'static str {
        "dc.cert-shadowed"
    }

    fn title(&self) -> &'static str {
        "No good certificate stands behind another that the KDC uses"
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
        SELECTION
    }

    fn page(&self) -> Page {
        Page {
            meaning: "The KDC keeps the certificate it uses for as long as that one passes, and else takes the first of \
                      the store that passes, whatever names stand in it. So a new certificate with everything in it can \
                      stand in the store unused, and sign-ins fail with 0xC00000BB while LDAPS works.",
            evidence: "All certificates of the store that the KDC could use, with what speaks against each, and event 302 \
                       of the KDC's Operational log, which names the one in use. That log is off by default.",
            threshold: "Event 302 names one that Entra-joined clients refuse, while another that they accept is there: \
                        blocked where such clients belong to the site's population, advisory where they do not. Without \
                        event 302, certificates for KDC Authentication that pass and differ in this, or a good one that \
                        the KDC refuses: advisory, since the selection was not observed. One certificate, or several \
                        that are alike: ready. Store not seen, as over LDAPS: unknown.",
            remedy: "Remove the certificate that is in the way, or repair what the good one is refused for, restart the \
                     service `Kdc`, and enable its Operational log, so that event 302 says which one it uses.",
            source: "Microsoft Learn, hybrid key trust: supersede existing domain controller certificates; an archived \
                     Microsoft blog on the KDC's selection of certificates (third party since)",
            query: "muster hosts --check dc.cert-shadowed --standing blocked --standing advisory",
            alert: "Alert when a domain controller becomes blocked by `dc.cert-shadowed`: its KDC uses the wrong one of \
                    its certificates.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| {
            if selection.store == CertificateStore::TlsPeer && !selection.in_use {
                return Answer::bare(Verdict::unknown(
                    "the certificate store",
                    "only what is presented over LDAPS was seen, and the KDC may use another",
                ));
            }
            let all = candidates(facts, now);
            if all.len() < 2 {
                return Answer::bare(Verdict::Ready);
            }
            let Some(dc) = names(facts) else {
                return match look_at!(facts, DomainController) {
                    Look::Gap(gap) => Answer::gap(gap),
                    Look::Absent(_) | Look::Found(..) => absent(Kind::DomainController),
                };
            };
            let good = |candidate: &Candidate<'_>| complies(candidate.certificate, dc, policy.rsa_bits_least);
            Answer::bare(self.of(selection, &all, good, facts))
        })
    }
}

impl CertShadowed {
    fn of(
        &self,
        selection: &Selection<'_>,
        all: &[Candidate<'_>],
        good: impl Fn(&Candidate<'_>) -> bool,
        facts: &Facts<'_>,
    ) -> Verdict {
        let is_selected = |candidate: &&Candidate<'_>| candidate.certificate.sha256 == selection.certificate.sha256;
        let selected_is_good = all.iter().find(is_selected).is_some_and(&good);
        // One that has ended is no good certificate any more, and waits for nothing but to be removed.
        let other_good =
            all.iter().filter(|own| !is_selected(own) && own.refused != Some(Refused::Validity)).find(|own| good(own));
        match other_good {
            Some(other) if !selected_is_good => {
                let name = certificate_name(other.certificate);
                let why = match other.refused {
                    Some(refused) => format!(" ({})", refused.words()),
                    None => String::new(),
                };
                if selection.in_use {
                    let seen = format!("the KDC uses {} (event 302) while {name} would do{why}", selection.name());
                    return strict_population(facts.site, finding(self, seen, NEEDED));
                }
                let seen = format!(
                    "selection not observed: {} comes first, and {name}, which would do, stands behind it{why}",
                    selection.name()
                );
                Verdict::Advisory(finding(self, seen, NEEDED))
            }
            _ if selection.in_use || !selected_is_good => Verdict::Ready,
            _ => {
                // The good one comes first, but a lesser one may be in use since before and is kept then.
                let lesser = all.iter().find(|own| own.refused.is_none() && own.has_kdc_usage && !good(own));
                match lesser {
                    None => Verdict::Ready,
                    Some(lesser) => {
                        let seen = format!(
                            "selection not observed: {}, which would do, comes first, and the KDC may have kept {}",
                            selection.name(),
                            certificate_name(lesser.certificate)
                        );
                        Verdict::Advisory(finding(self, seen, NEEDED))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, ChainStatus, Evidence, ExtendedKeyUsage, SignatureHash, Thumbprint};

    use super::*;
    use crate::check::fixture::controller::{events, in_use};
    use crate::check::fixture::{Host, at, ekus, kdc_certificate as good, text};

    const FIRST: &str = "certificate `CN=dc01.corp.example` (01010101…)";
    const SECOND: &str = "certificate `CN=dc01.corp.example` (02020202…)";
    const LEGACY: &str = "certificate `CN=dc01.corp.example` (04040404…)";

    fn weak(number: u8) -> Certificate {
        Certificate { signature_hash: SignatureHash::Sha1, ..good(number) }
    }

    fn legacy(number: u8) -> Certificate {
        let usages = ekus(&[ExtendedKeyUsage::CLIENT_AUTH, ExtendedKeyUsage::SMART_CARD_LOGON]);
        Certificate { extended_key_usages: usages, ..good(number) }
    }

    fn foreign(number: u8) -> Certificate {
        Certificate { issuer_thumbprint: Some(Thumbprint([0xfe; 20])), ..good(number) }
    }

    fn used(number: u8, certificates: &[Certificate]) -> Host {
        let events = events(true, &[in_use(number, "2026-03-01T06:00:00Z")]);
        Host::dc_with(certificates).with(Evidence::KdcEvents(events))
    }

    fn judged(host: &Host) -> String {
        host.judge(&CertShadowed, &Policy::default())[0].replace(&format!(" (needed: {NEEDED})"), "")
    }

    #[test]
    fn what_the_kdc_says_it_uses_decides() {
        let behind = || used(1, &[weak(1), good(2)]);
        let seen = format!("the KDC uses {FIRST} (event 302) while {SECOND} would do");
        assert_eq!(judged(&behind()), format!("blocked: {seen}"));
        assert_eq!(judged(&behind().entra_joined(Some(false))), format!("advisory: {seen}"));
        assert_eq!(
            judged(&behind().entra_joined(None)),
            format!(
                "unknown: whether Entra-joined endpoints belong to the site's population: it decides whether this \
                 blocks: {seen}"
            )
        );
        assert_eq!(judged(&used(2, &[weak(1), good(2)])), "ready");
        assert_eq!(judged(&used(1, &[weak(1), weak(2)])), "ready", "nothing good stands behind it");
        assert_eq!(
            judged(&used(4, &[legacy(4), foreign(2)])),
            format!("blocked: the KDC uses {LEGACY} (event 302) while {SECOND} would do (its issuer is not in NTAuth)")
        );
    }

    #[test]
    fn without_that_word_a_difference_warns() {
        assert_eq!(
            judged(&Host::dc_with(&[weak(1), good(2)])),
            format!(
                "advisory: selection not observed: {FIRST} comes first, and {SECOND}, which would do, stands behind it"
            )
        );
        assert_eq!(
            judged(&Host::dc_with(&[good(1), weak(2)])),
            format!(
                "advisory: selection not observed: {FIRST}, which would do, comes first, and the KDC may have kept {SECOND}"
            )
        );
        assert_eq!(
            judged(&Host::dc_with(&[legacy(4), foreign(2)])),
            format!(
                "advisory: selection not observed: {LEGACY} comes first, and {SECOND}, which would do, stands behind it \
                 (its issuer is not in NTAuth)"
            )
        );
    }

    #[test]
    fn what_cannot_be_kept_is_in_nobodys_way() {
        let untrusted =
            |number| Certificate { chain: ChainStatus::UntrustedRoot { root: text("CN=Other") }, ..weak(number) };
        let expired = |number| Certificate { not_after: at("2026-03-02T11:59:59Z"), ..good(number) };
        for certificates in [
            vec![good(1)],
            vec![weak(1)],
            vec![good(1), good(2)],
            vec![weak(1), weak(2)],
            vec![legacy(4), good(1)],
            vec![untrusted(2), good(1)],
            vec![weak(1), expired(2)],
        ] {
            assert_eq!(judged(&Host::dc_with(&certificates)), "ready", "{certificates:?}");
        }
    }

    #[test]
    fn gaps() {
        let over_ldaps = Host::dc().certificates(CertificateStore::TlsPeer, &[good(1)]);
        assert_eq!(
            judged(&over_ldaps),
            "unknown: the certificate store: only what is presented over LDAPS was seen, and the KDC may use another"
        );
        let said = over_ldaps.with(Evidence::KdcEvents(events(true, &[in_use(1, "2026-03-01T06:00:00Z")])));
        assert_eq!(judged(&said), "ready");
        let nameless = |certificates: &[Certificate]| Host::dc_with(certificates).failed(Kind::DomainController);
        assert_eq!(
            judged(&nameless(&[good(1), weak(2)])),
            "unknown: the domain controller's names: access denied: not allowed"
        );
        assert_eq!(judged(&nameless(&[good(1)])), "ready");
    }
}
