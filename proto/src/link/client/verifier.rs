//! Whether the other end is the collector, and in which words it is said that it is not.

use std::sync::Arc;

use muster_evidence::{Text, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Says why a collector is not believed, beyond what the TLS library says itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RefusedServer {
    /// Its certificate comes from somebody else.
    #[error(
        "certificate of `{server}` is issued by `{issuer}`, which is none of the configured authorities: found a \
         certificate of `{subject}`, expected one issued by {expected} (is a proxy intercepting the connection?)"
    )]
    ForeignIssuer {
        /// The server asked for.
        server: Text,
        /// The issuer's name, as the certificate has it.
        issuer: Text,
        /// Whose certificate it says it is.
        subject: Text,
        /// The authorities that are believed, by name.
        expected: Text,
    },
    /// Its certificate has ended, by the clock here.
    #[error(
        "certificate of the collector ended on {not_after}, and the clock here shows {own_clock} (one of the two is \
         wrong; compare the clock first)"
    )]
    Expired {
        /// When it ended.
        not_after: Timestamp,
        /// What the clock here shows.
        own_clock: Timestamp,
    },
    /// Its certificate has not begun, by the clock here.
    #[error(
        "certificate of the collector begins on {not_before}, and the clock here shows {own_clock} (one of the two is \
         wrong; compare the clock first)"
    )]
    NotYetValid {
        /// When it begins.
        not_before: Timestamp,
        /// What the clock here shows.
        own_clock: Timestamp,
    },
}

/// Verifies a collector as the library does, and names the issuer where it is foreign: a proxy that intercepts
/// connections is found by that name.
#[derive(Debug)]
pub(in super::super) struct CollectorVerifier {
    inner: Arc<WebPkiServerVerifier>,
    /// The names of the authorities that are believed.
    expected: Text,
}

impl CollectorVerifier {
    /// Verifies by `inner`, which believes in these CA certificates.
    pub(in super::super) fn new(inner: Arc<WebPkiServerVerifier>, anchors: &[CertificateDer<'_>]) -> Self {
        let names: Vec<String> = anchors
            .iter()
            .map(|anchor| match X509Certificate::from_der(anchor) {
                Ok((_, certificate)) => format!("`{}`", certificate.subject()),
                Err(_) => "one that is unreadable".to_owned(),
            })
            .collect();
        Self { inner, expected: Text::cut(&names.join(" or ")) }
    }
}

impl ServerCertVerifier for CollectorVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => {
                let (issuer, subject) = match X509Certificate::from_der(end_entity) {
                    Ok((_, certificate)) => {
                        (Text::cut(&certificate.issuer().to_string()), Text::cut(&certificate.subject().to_string()))
                    }
                    Err(_) => (Text::cut("unreadable"), Text::cut("unreadable")),
                };
                let (server, expected) = (Text::cut(&server_name.to_str()), self.expected.clone());
                let refused = RefusedServer::ForeignIssuer { server, issuer, subject, expected };
                Err(CertificateError::Other(OtherError(Arc::new(refused))).into())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
