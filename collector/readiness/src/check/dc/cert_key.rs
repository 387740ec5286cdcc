//! `dc.cert-key`: whether key, signature and key usage of the KDC's certificate are strong enough.
//!
//! Microsoft's page for Entra-joined clients names RSA of 2048 bits and SHA-256. Longer hashes are not named: where such
//! clients are served, or may be, they are an advisory, since nobody has said that strict clients take them, and nobody
//! that they refuse. Hybrid-joined clients take any hash that is supported.

use std::borrow::Cow;

use muster_evidence::{Certificate, KeyAlgorithm, Kind, SignatureHash, Timestamp};

use super::kdc::{SELECTION, judge_selected};
use crate::check::answer::{Answer, finding, strict_population};
use crate::check::{Page, Scope, Severity};
use crate::derive::kdc_certificate::Selection;
use crate::{Check, Facts, Freshness, Judgement, Policy, SiteFacts, Verdict};

pub(in crate::check) struct CertKey;

impl Check for CertKey {
    fn id(&self) -> &'static str {
        "dc.cert-key"
    }

    fn title(&self) -> &'static str {
        "Key, signature and key usage of the KDC's certificate are strong enough"
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
            meaning: "Clients that are joined to Entra ID only refuse a KDC whose key is short or whose certificate is \
                      signed with an old hash.",
            evidence: "Public key, signature hash and key usage of the certificate that the KDC would select.",
            threshold: "RSA of 2048 bits or more (`rsa_bits_least`), signed with SHA-256, for digital signature and \
                        key encipherment: ready. SHA-384 or SHA-512, which the guidance for Entra-joined clients \
                        does not name: advisory, or ready where no Entra-joined endpoints belong to the site's \
                        population. Anything less: blocked where Entra-joined endpoints belong to the site's population, advisory \
                        where they do not. A signature of unknown kind: unknown.",
            remedy: "Issue a certificate from a template derived from *Kerberos Authentication* with an RSA key of \
                     2048 bits and the request hash SHA256.",
            source: "Microsoft Learn, Single sign-on to on-premises resources from Entra joined devices; hybrid key \
                     trust: configure domain controller certificates",
            query: "muster hosts --check dc.cert-key --standing blocked --standing advisory",
            alert: "Alert when a domain controller becomes blocked by `dc.cert-key`: a template or an issuing CA went \
                    back to older algorithms.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement> {
        judge_selected(self, facts, policy, now, |selection| {
            Answer::bare(self.of(selection, facts.site, policy.rsa_bits_least))
        })
    }
}

impl CertKey {
    fn of(&self, selection: &Selection<'_>, site: &SiteFacts, bits_least: u32) -> Verdict {
        let Certificate { key, signature_hash, digital_signature, key_encipherment, .. } = selection.certificate;
        let mut problems: Vec<Cow<'static, str>> = Vec::new();
        match key {
            KeyAlgorithm::Rsa { bits } if *bits < bits_least => problems.push(format!("RSA of {bits} bits").into()),
            KeyAlgorithm::Rsa { .. } => {}
            KeyAlgorithm::Ec { bits } => problems.push(format!("an elliptic curve key of {bits} bits").into()),
            KeyAlgorithm::Other { oid } => problems.push(format!("a key of the algorithm {oid}").into()),
        }
        match signature_hash {
            SignatureHash::Md5 => problems.push("a signature with MD5".into()),
            SignatureHash::Sha1 => problems.push("a signature with SHA-1".into()),
            SignatureHash::Sha256 | SignatureHash::Sha384 | SignatureHash::Sha512 | SignatureHash::Other { .. } => {}
        }
        if *digital_signature == Some(false) {
            problems.push("no key usage for digital signature".into());
        }
        if *key_encipherment == Some(false) {
            problems.push("no key usage for key encipherment".into());
        }
        let needed = || {
            format!(
                "RSA of at least {bits_least} bits, signed with SHA-256, for digital signature and key encipherment"
            )
        };
        if !problems.is_empty() {
            let seen = format!("{} in {}", problems.join(", "), selection.name());
            return strict_population(site, finding(self, seen, needed()));
        }
        let longer = match signature_hash {
            SignatureHash::Sha384 => "SHA-384",
            SignatureHash::Sha512 => "SHA-512",
            SignatureHash::Other { oid } => {
                return Verdict::unknown(
                    "the hash of the certificate's signature",
                    format!("the signature algorithm {oid} is not known"),
                );
            }
            SignatureHash::Md5 | SignatureHash::Sha1 | SignatureHash::Sha256 => return Verdict::Ready,
        };
        if site.entra_joined_endpoints == Some(false) {
            return Verdict::Ready;
        }
        let seen = format!("a signature with {longer}, which the guidance does not name, in {}", selection.name());
        Verdict::Advisory(finding(self, seen, needed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Host, kdc_certificate, text};

    const NAME: &str = "certificate `CN=dc01.corp.example` (01010101…)";
    const WANTED: &str =
        "(needed: RSA of at least 2048 bits, signed with SHA-256, for digital signature and key encipherment)";

    #[test]
    fn the_table() {
        let good = || kdc_certificate(1);
        let rsa = |bits| Certificate { key: KeyAlgorithm::Rsa { bits }, ..good() };
        let signed = |signature_hash| Certificate { signature_hash, ..good() };
        let finding = |standing: &str, seen: &str| format!("{standing}: {seen} in {NAME} {WANTED}");
        let cases = [
            (rsa(2048), "ready".to_owned()),
            (rsa(4096), "ready".to_owned()),
            (rsa(2047), finding("blocked", "RSA of 2047 bits")),
            (
                Certificate { key: KeyAlgorithm::Ec { bits: 256 }, ..good() },
                finding("blocked", "an elliptic curve key of 256 bits"),
            ),
            (
                Certificate { key: KeyAlgorithm::Other { oid: text("1.3.101.112") }, ..good() },
                finding("blocked", "a key of the algorithm 1.3.101.112"),
            ),
            (signed(SignatureHash::Sha1), finding("blocked", "a signature with SHA-1")),
            (signed(SignatureHash::Md5), finding("blocked", "a signature with MD5")),
            (
                signed(SignatureHash::Sha384),
                finding("advisory", "a signature with SHA-384, which the guidance does not name,"),
            ),
            (
                signed(SignatureHash::Sha512),
                finding("advisory", "a signature with SHA-512, which the guidance does not name,"),
            ),
            (
                signed(SignatureHash::Other { oid: text("1.2.840.113549.1.1.10") }),
                "unknown: the hash of the certificate's signature: the signature algorithm 1.2.840.113549.1.1.10 is \
                 not known"
                    .to_owned(),
            ),
            (
                Certificate { digital_signature: Some(false), key_encipherment: Some(false), ..rsa(1024) },
                finding(
                    "blocked",
                    "RSA of 1024 bits, no key usage for digital signature, no key usage for key encipherment",
                ),
            ),
            (Certificate { digital_signature: None, key_encipherment: None, ..good() }, "ready".to_owned()),
        ];
        for (certificate, expected) in cases {
            assert_eq!(Host::dc_with(&[certificate]).judge(&CertKey, &Policy::default()), [expected]);
        }
    }

    #[test]
    fn a_longer_hash_is_remarked_on_only_where_strict_clients_may_be_served() {
        for signature_hash in [SignatureHash::Sha384, SignatureHash::Sha512] {
            let host = Host::dc_with(&[Certificate { signature_hash, ..kdc_certificate(1) }]);
            let standings = [Some(true), Some(false), None].map(|entra_joined| {
                host.clone().entra_joined(entra_joined).judgements(&CertKey, &Policy::default())[0].verdict.standing()
            });
            assert_eq!(standings.map(crate::Standing::name), ["advisory", "ready", "advisory"]);
        }
    }

    #[test]
    fn the_population_decides_how_grave_it_is() {
        let host = Host::dc_with(&[Certificate { signature_hash: SignatureHash::Sha1, ..kdc_certificate(1) }]);
        let standings = [Some(true), Some(false), None].map(|entra_joined| {
            host.clone().entra_joined(entra_joined).judgements(&CertKey, &Policy::default())[0].verdict.standing()
        });
        assert_eq!(standings.map(crate::Standing::name), ["blocked", "advisory", "unknown"]);
    }
}
