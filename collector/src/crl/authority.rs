//! The CAs that revocation lists are believed of: those in the configured files, with the keys to verify a signature.

use std::fmt;

use muster_proto::link::SpkiPin;
use muster_proto::link::der::{BIT_STRING, Reader, SEQUENCE, bits};
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A CA as lists see it.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its name, in words.
    pub name: String,
    /// Its key.
    pub pin: SpkiPin,
    /// Its name in DER.
    pub(super) subject: Vec<u8>,
    /// Its subject key identifier.
    pub(super) key_id: Option<Vec<u8>>,
    /// Whether its certificate lets it sign lists (RFC 5280 section 4.2.1.3).
    pub(super) signs_lists: bool,
    algorithm: Vec<u8>,
    key: Vec<u8>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl Authority {
    /// The CA of a certificate; `None` where it cannot be parsed.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let mut spki = Reader::new(parsed.tbs_certificate.subject_pki.raw).expect(SEQUENCE).ok()?.inside();
        let algorithm = spki.expect(SEQUENCE).ok()?.content.to_vec();
        let key = bits(&spki.expect(BIT_STRING).ok()?).ok()?.to_vec();
        let key_id = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let signs_lists = parsed.key_usage().ok()?.is_none_or(|usage| usage.value.crl_sign());
        Some(Self {
            name: parsed.subject().to_string(),
            pin: SpkiPin::of_certificate(certificate)?,
            subject: parsed.subject().as_raw().to_vec(),
            key_id,
            signs_lists,
            algorithm,
            key,
        })
    }

    /// Whether this CA's key made the signature, under an algorithm that certificates may bear too.
    pub(super) fn verifies(&self, algorithm: &[u8], message: &[u8], signature: &[u8]) -> bool {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .all
            .iter()
            .filter(|known| known.signature_alg_id().as_ref() == algorithm)
            .filter(|known| known.public_key_alg_id().as_ref() == self.algorithm)
            .any(|known| known.verify_signature(&self.key, message, signature).is_ok())
    }
}
