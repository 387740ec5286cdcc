//! `dc.cert-chain`: whether the KDC's certificate chains to a root that is trusted, with nothing in it revoked.
//!
//! Whether revocation can be told at all is another question, which `dc.crl-fresh` answers. In the controller's own store a missing issuer is a fault, since the KDC looks there
//! as well; in files and over TLS it only says that we were not given it.

use muster_evidence::{CertificateStore, ChainStatus, Kind, Revocation, Timestamp};

use super::kdc::{SELECTION, judge_selected};
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::Selection;
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct CertChain;

const CHAIN: &str = "the verification of the certificate's chain";
const NEEDED: &str = "a chain that ends in a trusted root, with nothing in it revoked";

impl Check for CertChain {
    fn id(&self) -> &'static str {
        "dc.cert-chain"
    }

    fn title(&self) -> &'static str {
        "The KDC's certificate chains to a trusted root and is not revoked"
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
            meaning: "Clients accept the KDC only if they can build a chain from its certificate to a root they trust, \
                      and if no CA in it has revoked what it issued.",
            evidence: "The chain as it was verified where the certificate was found: in the domain controller's own \
                       store, or against the roots that were given along with files or a live connection; and what \
                       the revocation lists at hand there say of it.",
            threshold: "Ends in a trusted root: ready. Ends in another root, holds a signature that does not verify, or \
                        a list names a certificate in it: blocked. An issuer is missing: blocked in the controller's \
                        own store, unknown elsewhere. Not verified at all: unknown. Whether the lists can be had is \
                        judged by `dc.crl-fresh`.",
            remedy: "Publish the root to the machines' trusted roots and the issuing CA to NTAuth, and repair the \
                     missing or wrong intermediate certificate. Replace a revoked certificate, and find out why it was \
                     revoked.",
            source: "Microsoft Support, KB4519735; Microsoft Learn, Requirements for domain controller certificates \
                     from a third-party CA",
            query: "muster hosts --check dc.cert-chain --standing blocked",
            alert: "Alert at once when a domain controller becomes blocked by `dc.cert-chain`: key-trust sign-ins that \
                    reach it fail.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| Answer::bare(self.of(selection)))
    }
}

impl CertChain {
    fn of(&self, selection: &Selection<'_>) -> Verdict {
        let blocked = |seen: String| Verdict::Blocked(finding(self, format!("{seen} of {}", selection.name()), NEEDED));
        if let Some(Revocation::Revoked { subject, at }) = &selection.certificate.revocation {
            return blocked(format!("`{subject}`, revoked on {at}, in the chain"));
        }
        match &selection.certificate.chain {
            ChainStatus::Trusted { .. } => Verdict::Ready,
            ChainStatus::UntrustedRoot { root } => {
                blocked(format!("the untrusted root `{root}` at the end of the chain"))
            }
            ChainStatus::Invalid { detail } => blocked(format!("a broken chain ({detail})")),
            ChainStatus::IssuerMissing { issuer } => match selection.store {
                CertificateStore::LocalMachineMy => blocked(format!("the issuer `{issuer}` missing in the chain")),
                CertificateStore::Files | CertificateStore::TlsPeer => {
                    Verdict::unknown(CHAIN, format!("the issuer `{issuer}` was not given along"))
                }
            },
            ChainStatus::NotChecked { why } => Verdict::unknown(CHAIN, format!("not done: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Certificate;

    use super::*;
    use crate::check::fixture::{Host, at, kdc_certificate, text};

    #[test]
    fn the_table() {
        let name = "certificate `CN=dc01.corp.example` (01010101…)";
        let blocked = |seen: &str| format!("blocked: {seen} of {name} (needed: {NEEDED})");
        let unknown = |why: &str| format!("unknown: {CHAIN}: {why}");
        let missing = || ChainStatus::IssuerMissing { issuer: text("CN=Sub CA") };
        let own = CertificateStore::LocalMachineMy;
        let cases = [
            (own, ChainStatus::Trusted { anchor: text("CN=Corp CA") }, "ready".to_owned()),
            (
                own,
                ChainStatus::UntrustedRoot { root: text("CN=Other") },
                blocked("the untrusted root `CN=Other` at the end of the chain"),
            ),
            (own, ChainStatus::Invalid { detail: text("bad signature") }, blocked("a broken chain (bad signature)")),
            (own, missing(), blocked("the issuer `CN=Sub CA` missing in the chain")),
            (CertificateStore::Files, missing(), unknown("the issuer `CN=Sub CA` was not given along")),
            (CertificateStore::TlsPeer, missing(), unknown("the issuer `CN=Sub CA` was not given along")),
            (own, ChainStatus::NotChecked { why: text("no anchors given") }, unknown("not done: no anchors given")),
        ];
        for (store, chain, expected) in cases {
            let host = Host::dc().certificates(store, &[Certificate { chain, ..kdc_certificate(1) }]);
            assert_eq!(host.judge(&CertChain, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn what_is_revoked_blocks_and_what_cannot_be_told_is_not_judged_here() {
        let revoked = Revocation::Revoked { subject: text("CN=Sub CA"), at: at("2026-02-01T09:00:00Z") };
        let undetermined = Revocation::Undetermined { why: text("no list at hand") };
        let blocked = format!(
            "blocked: `CN=Sub CA`, revoked on 2026-02-01T09:00:00Z, in the chain of certificate `CN=dc01.corp.example` \
             (01010101…) (needed: {NEEDED})"
        );
        for (revocation, expected) in [
            (Some(revoked), blocked.as_str()),
            (Some(Revocation::Good), "ready"),
            (Some(undetermined), "ready"),
            (None, "ready"),
        ] {
            let host = Host::dc_with(&[Certificate { revocation, ..kdc_certificate(1) }]);
            assert_eq!(host.judge(&CertChain, &Policy::default()), [expected]);
        }
    }
}
