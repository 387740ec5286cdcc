//! Whom an end believes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use muster_evidence::{Sha256, Timestamp};
use rustls::RootCertStore;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use sha2::Digest;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::credentials::provider;
use super::peer::RefusedPeer;

/// The SHA-256 of a public key (of the whole SubjectPublicKeyInfo, as in RFC 7469 section 2.4), written as
/// `sha256:` and 64 hexadecimal characters.
///
/// It names a CA by its key: a renewed CA certificate with the same key keeps its pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpkiPin(pub [u8; 32]);

/// Says why a text is no pin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid pin `{found}`: expected `sha256:` and 64 hexadecimal characters")]
pub struct InvalidPin {
    /// The text found, cut to 80 characters.
    pub found: String,
}

impl SpkiPin {
    /// The pin of the key in a certificate; `None` where it cannot be parsed.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Some(Self::of_spki(parsed.tbs_certificate.subject_pki.raw))
    }

    pub(super) fn of_spki(spki: &[u8]) -> Self {
        Self(sha2::Sha256::digest(spki).into())
    }
}

impl FromStr for SpkiPin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.trim();
        let hex = hex.strip_prefix("sha256:").unwrap_or(hex);
        let digest: Sha256 = hex.parse().map_err(|_| InvalidPin { found: text.chars().take(80).collect() })?;
        Ok(Self(digest.0))
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", Sha256(self.0))
    }
}

/// An object identifier in dotted form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Box<str>);

/// Says why a text is no object identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid object identifier `{found}`: expected numbers joined by dots, such as `1.3.6.1.5.5.7.3.2`")]
pub struct InvalidOid {
    /// The text found, cut to 80 characters.
    pub found: String,
}

impl Oid {
    /// Client Authentication (RFC 5280 section 4.2.1.12).
    pub fn client_auth() -> Self {
        Self("1.3.6.1.5.5.7.3.2".into())
    }

    /// The dotted form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn of(oid: &x509_parser::der_parser::Oid<'_>) -> Self {
        Self(oid.to_id_string().into())
    }
}

impl FromStr for Oid {
    type Err = InvalidOid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        // No leading zeros: identifiers are compared as texts.
        let arc_ok = |arc: &str| {
            !arc.is_empty()
                && arc.len() <= 39
                && arc.bytes().all(|b| b.is_ascii_digit())
                && (arc == "0" || !arc.starts_with('0'))
        };
        let arcs = text.split('.').count();
        if text.len() > 256 || arcs < 2 || !text.split('.').all(arc_ok) {
            return Err(InvalidOid { found: text.chars().take(80).collect() });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What revocation lists say. Where they come from and how fresh they must be is the business of whoever keeps them.
pub trait Revocation: Send + Sync + fmt::Debug {
    /// Whether a certificate, which the CA with this key issued, is revoked; or why that cannot be told.
    fn check(&self, certificate: &X509Certificate<'_>, issuer: SpkiPin, now: Timestamp) -> Result<(), RefusedPeer>;

    /// Whether the certificate of a CA is revoked by the one above it, as far as lists are there.
    fn revokes_authority(&self, certificate: &X509Certificate<'_>) -> bool;
}

/// An anchor that is a pinned issuer itself.
pub(super) struct PinnedAnchor {
    pub(super) pin: SpkiPin,
    pub(super) anchor: TrustAnchor<'static>,
    pub(super) certificate: CertificateDer<'static>,
    /// Whether the CA above it has revoked it.
    pub(super) revoked: bool,
}

/// Whom an end believes: certificates issued directly by a pinned CA, for a required purpose.
pub struct PeerPolicy {
    pub(super) issuers: Vec<SpkiPin>,
    pub(super) required_eku: Option<Oid>,
    pub(super) required_template: Option<Oid>,
    /// Those anchors that are pinned issuers themselves.
    pub(super) pinned_anchors: Vec<PinnedAnchor>,
    /// Certificates that are not believed, whatever else is true of them.
    pub(super) blocked: BTreeSet<Sha256>,
    /// Revocation lists; `None`: none are asked.
    pub(super) revocation: Option<Arc<dyn Revocation>>,
    /// The signatures that certificates may bear.
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// Verifies chains up to the anchors, and signatures in handshakes.
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

/// Says why a policy cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPolicy {
    /// No CA certificate to end chains in.
    #[error("no CA certificate is configured, so no peer could be believed")]
    NoAnchors,
    /// No pinned issuer.
    #[error("no issuing CA is pinned (a chain to the root is not enough, since the root also signs for users)")]
    NoIssuers,
    /// Neither an extended key usage nor a template.
    #[error("neither an extended key usage nor a template is required (at least one must be)")]
    NoPurpose,
    /// A CA certificate that cannot be one.
    #[error("CA certificate {number} cannot be used")]
    Anchor {
        /// Its number among those given, from 1.
        number: usize,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
    /// The verifier cannot be built.
    #[error("the verifier of client certificates cannot be built")]
    Verifier {
        /// What the TLS library says.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
}

impl PeerPolicy {
    /// Makes a policy.
    ///
    /// `anchors` are the CA certificates in which chains end; `issuers` the keys of the CAs that may issue peers. An
    /// issuer is an anchor itself, or comes with the peer's chain and is verified up to an anchor. At least one of
    /// `required_eku` and `required_template` (the OID in extension 1.3.6.1.4.1.311.21.7) must be given.
    pub fn new(
        anchors: &[CertificateDer<'static>],
        issuers: Vec<SpkiPin>,
        required_eku: Option<Oid>,
        required_template: Option<Oid>,
    ) -> Result<Self, InvalidPolicy> {
        if anchors.is_empty() {
            return Err(InvalidPolicy::NoAnchors);
        }
        if issuers.is_empty() {
            return Err(InvalidPolicy::NoIssuers);
        }
        if required_eku.is_none() && required_template.is_none() {
            return Err(InvalidPolicy::NoPurpose);
        }
        let roots = root_store(anchors).map_err(|(number, source)| InvalidPolicy::Anchor { number, source })?;
        let pinned_anchors = anchors
            .iter()
            .filter_map(|anchor| {
                let pin = SpkiPin::of_certificate(anchor).filter(|pin| issuers.contains(pin))?;
                let parsed = webpki::anchor_from_trusted_cert(anchor).ok()?.to_owned();
                Some(PinnedAnchor { pin, anchor: parsed, certificate: anchor.clone(), revoked: false })
            })
            .collect();
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|source| InvalidPolicy::Verifier { source })?;
        let (blocked, revocation) = (BTreeSet::new(), None);
        Ok(Self { issuers, required_eku, required_template, pinned_anchors, blocked, revocation, algorithms, verifier })
    }

    /// Believes none of these certificates, named by their SHA-256, whatever else is true of them.
    #[must_use]
    pub fn blocking(mut self, certificates: impl IntoIterator<Item = Sha256>) -> Self {
        self.blocked.extend(certificates);
        self
    }

    /// Asks revocation lists about every peer, and about the pinned issuers as far as lists are there.
    #[must_use]
    pub fn asking(mut self, revocation: Arc<dyn Revocation>) -> Self {
        for pinned in &mut self.pinned_anchors {
            pinned.revoked = X509Certificate::from_der(&pinned.certificate)
                .is_ok_and(|(_, parsed)| revocation.revokes_authority(&parsed));
        }
        self.revocation = Some(revocation);
        self
    }

    /// The pinned issuers.
    pub fn issuers(&self) -> &[SpkiPin] {
        &self.issuers
    }
}

impl fmt::Debug for PeerPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerPolicy")
            .field("issuers", &self.issuers)
            .field("required_eku", &self.required_eku)
            .field("required_template", &self.required_template)
            .field("blocked", &self.blocked.len())
            .field("revocation", &self.revocation)
            .finish_non_exhaustive()
    }
}

/// The anchors as the TLS library keeps them; the error comes with the number of the certificate, from 1.
pub(super) fn root_store(anchors: &[CertificateDer<'static>]) -> Result<RootCertStore, (usize, rustls::Error)> {
    let mut roots = RootCertStore::empty();
    for (index, anchor) in anchors.iter().enumerate() {
        roots.add(anchor.clone()).map_err(|source| (index + 1, source))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_and_identifiers_are_read_strictly() {
        let pin: SpkiPin = format!("sha256:{}", "Ab".repeat(32)).parse().unwrap();
        assert_eq!(pin.to_string(), format!("sha256:{}", "ab".repeat(32)));
        assert_eq!(
            "sha256:ab".parse::<SpkiPin>().unwrap_err().to_string(),
            "invalid pin `sha256:ab`: expected `sha256:` and 64 hexadecimal characters"
        );
        assert_eq!("1.3.6.1.5.5.7.3.2".parse(), Ok(Oid::client_auth()));
        for bad in ["", "1", "1.", ".1", "1.03", "1.a", "clientAuth", "1..2"] {
            assert!(bad.parse::<Oid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_policy_that_would_believe_anyone_is_refused() {
        let refused = |anchors: &[CertificateDer<'static>], issuers, eku| {
            PeerPolicy::new(anchors, issuers, eku, None).unwrap_err().to_string()
        };
        let junk = [CertificateDer::from(vec![0x30, 0x00])];
        let pin = SpkiPin([1; 32]);
        assert!(refused(&[], vec![pin], Some(Oid::client_auth())).starts_with("no CA certificate"));
        assert!(refused(&junk, vec![], Some(Oid::client_auth())).starts_with("no issuing CA"));
        assert!(refused(&junk, vec![pin], None).starts_with("neither an extended key usage"));
        assert_eq!(refused(&junk, vec![pin], Some(Oid::client_auth())), "CA certificate 1 cannot be used");
    }
}
