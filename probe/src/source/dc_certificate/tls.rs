//! Looks at the certificates a domain controller presents over TLS, directly or after StartTLS.
//!
//! The verifier accepts every chain because it only looks: a certificate that a TLS client would refuse is exactly what
//! an operator must hear of. Nothing is sent over the connection, so there is nothing to protect. Whether the peer
//! holds the private key is told by the signature of its handshake.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use muster_evidence::{FailureReason, PrivateKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::ldap::{StartTlsError, start_tls};
use super::{TlsMode, TlsPeer};
use crate::parse::certificate::{self, InvalidCertificate, Parsed};
use crate::source::net::{self, ConnectError};

/// What a peer presented.
#[derive(Debug)]
pub(super) struct Presented {
    /// Its own certificate.
    pub(super) leaf: Parsed,
    /// The certificates it sent along.
    pub(super) intermediates: Vec<Vec<u8>>,
    /// Whether its handshake proved that it holds the leaf's key.
    pub(super) private_key: PrivateKey,
}

/// Why a peer's certificates could not be seen.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("`{host}` is no DNS name and no address")]
    Name { host: String },
    #[error("`{at}` did not begin TLS")]
    StartTls {
        at: String,
        #[source]
        source: StartTlsError,
    },
    #[error("the TLS handshake with `{at}` failed before it presented a certificate")]
    Handshake {
        at: String,
        #[source]
        source: io::Error,
    },
    #[error("this build cannot speak TLS")]
    Config(#[source] rustls::Error),
    #[error("`{at}` presented no certificate")]
    NoCertificate { at: String },
    #[error("`{at}` presented what is no certificate")]
    Unreadable {
        at: String,
        #[source]
        source: InvalidCertificate,
    },
}

impl PeerError {
    pub(super) fn reason(&self) -> FailureReason {
        match self {
            Self::Connect(ConnectError::Resolve { .. }) | Self::Name { .. } => FailureReason::Unavailable,
            Self::Connect(ConnectError::Connect { reason, .. }) => *reason,
            Self::StartTls { source, .. } => match source {
                StartTlsError::Io(error) => stream_reason(error),
                StartTlsError::Malformed { .. } => FailureReason::Unreadable,
                StartTlsError::Refused { .. } => FailureReason::Unavailable,
            },
            Self::Handshake { source, .. } => stream_reason(source),
            Self::Config(_) => FailureReason::Internal,
            Self::NoCertificate { .. } | Self::Unreadable { .. } => FailureReason::Unreadable,
        }
    }

    pub(super) fn line(&self) -> String {
        std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    }
}

/// A connection that ends under way left its answer incomplete; one that says something else is unreadable.
fn stream_reason(error: &io::Error) -> FailureReason {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset => FailureReason::Incomplete,
        _ => crate::source::failure_reason(error),
    }
}

/// Connects, shakes hands and returns what the peer presented.
pub(super) fn present(peer: &TlsPeer) -> Result<Presented, PeerError> {
    let deadline = Instant::now() + peer.timeout.min(TlsPeer::MAX_TIMEOUT);
    let at = net::shown(&peer.host, peer.port);
    let name = ServerName::try_from(peer.host.clone()).map_err(|_| PeerError::Name { host: peer.host.clone() })?;

    let mut stream = net::connect(&peer.host, peer.port, deadline)?;
    if peer.mode == TlsMode::StartTls {
        start_tls(&mut stream).map_err(|source| PeerError::StartTls { at: at.clone(), source })?;
    }

    let looker = Arc::new(Looker::new());
    let mut connection = client(&looker, name).map_err(PeerError::Config)?;
    let mut end = Ok(());
    while connection.is_handshaking() && end.is_ok() {
        end = connection.complete_io(&mut stream).map(|_| ());
    }
    // Polite, and of no consequence when the peer is gone.
    connection.send_close_notify();
    let _ = connection.complete_io(&mut stream);

    // A handshake may fail after the certificate was seen, over a short key or a missing client certificate, say. The
    // certificate is what we came for.
    let seen = looker.seen();
    let Some((leaf, intermediates)) = seen.chain.split_first() else {
        return Err(match end {
            Ok(()) => PeerError::NoCertificate { at },
            Err(source) => PeerError::Handshake { at, source },
        });
    };
    let private_key = if seen.key_proved { PrivateKey::Present } else { PrivateKey::Undetermined };
    let leaf = certificate::from_der(leaf).map_err(|source| PeerError::Unreadable { at, source })?;
    Ok(Presented { leaf, intermediates: intermediates.to_vec(), private_key })
}

fn client(looker: &Arc<Looker>, name: ServerName<'static>) -> Result<ClientConnection, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::clone(&looker.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(looker) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), name)
}

/// A verifier that accepts everything and remembers what it saw. For looking only.
#[derive(Debug)]
struct Looker {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    chain: Vec<Vec<u8>>,
    key_proved: bool,
}

/// Every scheme a domain controller may sign with. RSA-PSS with SHA-256 stands before SHA-512 because GnuTLS, which
/// Samba uses, takes the first it knows and aborts when the key is too short for it, as 1024 bits are for SHA-512.
const SCHEMES: [SignatureScheme; 12] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA1,
    SignatureScheme::ECDSA_SHA1_Legacy,
];

impl Looker {
    fn new() -> Self {
        Self { provider: Arc::new(ring::default_provider()), seen: Mutex::default() }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whether the signature verifies, and goes on either way: ring refuses RSA keys under 2048 bits, and such a
    /// key is a finding to report rather than a reason to look away.
    fn note(&self, verified: &Result<HandshakeSignatureValid, rustls::Error>) -> HandshakeSignatureValid {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).key_proved = verified.is_ok();
        HandshakeSignatureValid::assertion()
    }
}

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).chain = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        Ok(self.note(&verify_tls12_signature(message, certificate, signed, algorithms)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        Ok(self.note(&verify_tls13_signature(message, certificate, signed, algorithms)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}
