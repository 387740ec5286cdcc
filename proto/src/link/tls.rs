//! TLS settings of both ends.
//!
//! TLS 1.3 only: both ends are ours, so nothing older has to be spoken, and 1.3 encrypts the client's certificate. The
//! one application protocol is HTTP/2.
//!
//! The server keeps no sessions (the library's default cache holds 256, useless for a fleet): tickets carry them,
//! under keys that rotate, for [`TICKET_LIFETIME`] at most.

use std::sync::Arc;
use std::time::Duration;

use muster_evidence::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::GetRandomFailed;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::SingleCertAndKey;
use rustls::ticketer::TicketRotator;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::client::CollectorVerifier;
use super::credentials::{Credentials, provider};
use super::peer::PeerIdentity;
use super::policy::{PeerPolicy, root_store};

/// The longest a ticket is taken: two periods of a ticket key.
pub const TICKET_LIFETIME: Duration = Duration::from_hours(2);

/// HTTP/2 over TLS (RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";

/// Sessions a client remembers: one per collector it reports to.
const REMEMBERED_SESSIONS: usize = 16;

/// Which clients a listener lets through the handshake.
#[derive(Clone, Debug)]
pub enum Clients {
    /// Probes: a client that does not prove a [`PeerIdentity`] under this policy does not get through.
    Probes(Arc<PeerPolicy>),
    /// Anyone whose certificate chains to an anchor of this policy. Who may do what is decided per call, so that a
    /// probe that asks as an operator is told so by a status, not by a closed connection.
    AnyOfAnchors(Arc<PeerPolicy>),
}

/// Says why TLS settings cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    /// The library refuses the settings.
    #[error("TLS settings cannot be made")]
    Settings {
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
    /// No CA certificate to verify the other end with.
    #[error("no CA certificate is configured to verify the collector with")]
    NoAnchors,
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
    #[error("the verifier of server certificates cannot be built")]
    Verifier {
        /// What the TLS library says.
        #[source]
        source: rustls::client::VerifierBuilderError,
    },
}

/// Settings of a listener. Each call makes fresh ticket keys, so a reload ends resumption of older sessions.
pub fn server_config(own: &Credentials, clients: Clients) -> Result<Arc<ServerConfig>, InvalidTls> {
    let invalid = |source| InvalidTls::Settings { source };
    let verifier: Arc<dyn ClientCertVerifier> = match clients {
        Clients::Probes(policy) => Arc::new(ProbeVerifier { policy }),
        Clients::AnyOfAnchors(policy) => Arc::clone(&policy.verifier),
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(invalid)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(own.certified())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(ticketer(TICKET_LIFETIME).map_err(invalid)?);
    // One: an endpoint connects once, reports, and comes back with it.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Settings of a client, with its own certificate where it has one.
///
/// The collector is verified by `anchors` and its name. Keep the result: it remembers sessions to resume.
pub fn client_config(
    own: Option<&Credentials>,
    anchors: &[CertificateDer<'static>],
) -> Result<Arc<ClientConfig>, InvalidTls> {
    if anchors.is_empty() {
        return Err(InvalidTls::NoAnchors);
    }
    let roots = root_store(anchors).map_err(|(number, source)| InvalidTls::Anchor { number, source })?;
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|source| InvalidTls::Verifier { source })?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| InvalidTls::Settings { source })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(CollectorVerifier::new(inner, anchors)));
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.certified()))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::in_memory_sessions(REMEMBERED_SESSIONS);
    Ok(Arc::new(config))
}

/// Tickets that are taken for a lifetime at most: under a key that is used for half of it, and known for the other half.
fn ticketer(lifetime: Duration) -> Result<TicketRotator, rustls::Error> {
    TicketRotator::new(u32::try_from(lifetime.as_secs() / 2).unwrap_or(u32::MAX), ticket_key)
}

/// One ticket key. The library's own ticketer rotates its keys after six hours, and this one is dropped before that.
#[derive(Debug)]
struct TicketKey(Arc<dyn ProducesTickets>);

fn ticket_key() -> Result<Box<dyn ProducesTickets>, GetRandomFailed> {
    let ticketer = rustls::crypto::ring::Ticketer::new().map_err(|_| GetRandomFailed)?;
    Ok(Box::new(TicketKey(ticketer)))
}

impl ProducesTickets for TicketKey {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

/// Lets only those through the handshake who prove a [`PeerIdentity`].
#[derive(Debug)]
struct ProbeVerifier {
    policy: Arc<PeerPolicy>,
}

impl ClientCertVerifier for ProbeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.policy.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let mut chain = vec![end_entity.clone()];
        chain.extend_from_slice(intermediates);
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let at = Timestamp::from_unix_seconds(seconds).unwrap_or(Timestamp::MAX);
        PeerIdentity::from_chain(&chain, &self.policy, at).map_err(|refused| refused.into_tls(now))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.policy.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.policy.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.policy.verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rotation goes by the machine's clock, so this test waits: for states, each of which must come, and the last
    /// of which must stay.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing else runs in this test, and the clock is the machine's")]
    fn a_ticket_is_taken_for_its_lifetime_at_most() {
        assert_eq!(TICKET_LIFETIME, Duration::from_hours(2));
        let lifetime = Duration::from_secs(4);
        let tickets = ticketer(lifetime).unwrap();
        let issued = std::time::Instant::now();
        let ticket = tickets.encrypt(b"session").unwrap();
        assert_eq!(tickets.decrypt(&ticket).unwrap(), b"session");
        while tickets.decrypt(&ticket).is_some() {
            // A key that is not used is not rotated; every handshake uses it. A second more is the clock's grain.
            let _ = tickets.encrypt(b"another session").unwrap();
            assert!(issued.elapsed() < lifetime + Duration::from_secs(4), "still taken");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(tickets.decrypt(&ticket).is_none());
        // Fresh keys, as after a reload, take none of the old tickets.
        let ticket = tickets.encrypt(b"session").unwrap();
        assert!(ticketer(lifetime).unwrap().decrypt(&ticket).is_none());
    }
}
