//! Who a peer is: the trust each listener is configured with, and the checks run after every handshake.
//!
//! What a probe proved is a [`PeerInfo`], what an operator is an [`OperatorPeer`]; both reach the services as
//! connection info and can be built here only, so that no report is read and no question answered without one.

use std::net::SocketAddr;
use std::sync::Arc;

use muster_evidence::{Sha256, Timestamp};
use muster_proto::link::{
    Clients, Credentials, InvalidCredentials, InvalidOid, InvalidPolicy, InvalidTls, Oid, OperatorIdentity,
    PeerIdentity, PeerPolicy, SpkiPin, load_certificates, server_config,
};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use sha2::Digest;
use tonic::Status;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::accept::CheckPeer;
use crate::access::OwnCertificate;
use crate::clock::Clock;
use crate::config::TlsFiles;

/// A probe that proved its name, as the report service sees it.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    identity: Arc<PeerIdentity>,
    remote: SocketAddr,
}

impl PeerInfo {
    /// What the peer's certificate proves.
    pub fn identity(&self) -> &PeerIdentity {
        &self.identity
    }

    /// Where it connects from.
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }
}

/// Whoever asks on the operators' side, as the readiness service sees it.
#[derive(Clone, Debug)]
pub struct OperatorPeer(Operator);

#[derive(Clone, Debug)]
enum Operator {
    Loopback,
    Named(Arc<str>),
    Nobody(Arc<str>),
}

impl OperatorPeer {
    /// The operator's name, or the refusal that every method answers with.
    pub fn name(&self) -> Result<&str, Status> {
        match &self.0 {
            Operator::Loopback => Ok("local operator"),
            Operator::Named(name) => Ok(name),
            Operator::Nobody(why) => Err(Status::permission_denied(why.to_string())),
        }
    }
}

/// Says why a listener's trust cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A certificate or key file cannot be used.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
    /// An object identifier cannot be used.
    #[error(transparent)]
    Oid(#[from] InvalidOid),
    /// The trust makes no sense.
    #[error("trust in `{}` cannot be set up", ca.display())]
    Policy {
        /// The file with the CA certificates.
        ca: std::path::PathBuf,
        /// Why.
        #[source]
        cause: InvalidPolicy,
    },
    /// The TLS settings cannot be made.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// The collector's own certificate cannot be parsed.
    #[error("the first certificate of `{}` cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: std::path::PathBuf,
    },
}

/// What a listener presents and whom it believes.
#[derive(Debug)]
pub struct Trust {
    /// The TLS settings.
    pub config: Arc<ServerConfig>,
    /// Whom it believes.
    pub policy: Arc<PeerPolicy>,
    /// The certificate it presents, for those who show when it ends.
    pub own: OwnCertificate,
}

/// Sets up the probes' listener.
pub fn probe_trust(files: &TlsFiles) -> Result<Trust, IdentityError> {
    let policy = Arc::new(policy(files, &[])?);
    let own = Credentials::load(&files.certificate, &files.key)?;
    let config = server_config(&own, Clients::Probes(Arc::clone(&policy)))?;
    Ok(Trust { config, policy, own: own_certificate("probes", &own, &files.certificate)? })
}

/// Sets up the operators' listener. Its handshake lets probes through as well, so that one that asks is answered with
/// a status that says why, and not with a closed connection; the policy returned believes operators only.
pub fn operator_trust(files: &TlsFiles, probes: &TlsFiles) -> Result<Trust, IdentityError> {
    let operators = Arc::new(policy(files, &[])?);
    let anyone = Arc::new(policy(files, &load_certificates(&probes.ca)?)?);
    let own = Credentials::load(&files.certificate, &files.key)?;
    let config = server_config(&own, Clients::AnyOfAnchors(anyone))?;
    Ok(Trust { config, policy: operators, own: own_certificate("operators", &own, &files.certificate)? })
}

/// What is shown of the collector's own certificate.
fn own_certificate(
    listener: &'static str,
    own: &Credentials,
    file: &std::path::Path,
) -> Result<OwnCertificate, IdentityError> {
    let der = own.chain().first();
    let parsed = der.and_then(|der| Some((der, X509Certificate::from_der(der).ok()?.1)));
    let not_after = parsed
        .as_ref()
        .and_then(|(_, parsed)| Timestamp::from_unix_seconds(parsed.validity().not_after.timestamp()).ok());
    match (der, not_after) {
        (Some(der), Some(not_after)) => {
            Ok(OwnCertificate { listener, thumbprint: Sha256(sha2::Sha256::digest(der).into()), not_after })
        }
        _ => Err(IdentityError::Unreadable { file: file.to_owned() }),
    }
}

/// Whom a listener believes: the CAs in its file, pinned as issuers unless others are named.
fn policy(files: &TlsFiles, more_anchors: &[CertificateDer<'static>]) -> Result<PeerPolicy, IdentityError> {
    let mut anchors = load_certificates(&files.ca)?;
    let pins = if files.issuer_pins.is_empty() {
        anchors.iter().filter_map(SpkiPin::of_certificate).collect()
    } else {
        files.issuer_pins.iter().map(|pin| SpkiPin(pin.0)).collect()
    };
    anchors.extend_from_slice(more_anchors);
    let oid = |text: &Option<String>| text.as_deref().map(str::parse::<Oid>).transpose();
    PeerPolicy::new(&anchors, pins, oid(&files.required_eku)?, oid(&files.required_template)?)
        .map_err(|cause| IdentityError::Policy { ca: files.ca.clone(), cause })
}

/// Checks probes after the handshake, resumed or full: resumption calls no verifier, so expiry is seen here.
#[derive(Debug)]
pub struct ProbeCheck {
    /// Whom to believe.
    pub policy: Arc<PeerPolicy>,
    /// The time that validity is judged at.
    pub clock: Arc<dyn Clock>,
}

impl CheckPeer for ProbeCheck {
    type Peer = PeerInfo;

    fn check(&self, chain: &[CertificateDer<'_>], remote: SocketAddr) -> Result<PeerInfo, (&'static str, String)> {
        match PeerIdentity::from_chain(chain, &self.policy, self.clock.now()) {
            Ok(identity) => Ok(PeerInfo { identity: Arc::new(identity), remote }),
            Err(refused) => Err((refused.reason(), refused.to_string())),
        }
    }
}

/// Decides who on the operators' side is an operator. Nobody is turned away here: the methods answer.
#[derive(Debug)]
pub struct OperatorCheck {
    /// Whom to believe; `None` on a loopback listener without TLS.
    pub policy: Option<Arc<PeerPolicy>>,
    /// Names that are operators.
    pub names: Vec<String>,
    /// The time that validity is judged at.
    pub clock: Arc<dyn Clock>,
}

impl CheckPeer for OperatorCheck {
    type Peer = OperatorPeer;

    fn check(&self, chain: &[CertificateDer<'_>], remote: SocketAddr) -> Result<OperatorPeer, (&'static str, String)> {
        let Some(policy) = &self.policy else {
            // The configuration lets a listener go without TLS on loopback only; this holds it to that.
            if remote.ip().to_canonical().is_loopback() {
                return Ok(OperatorPeer(Operator::Loopback));
            }
            return Err(("not-loopback", format!("{remote} asks in the clear from beyond loopback")));
        };
        let operator = match OperatorIdentity::from_chain(chain, policy, self.clock.now()) {
            Ok(identity) if self.names.iter().any(|name| name == identity.name().as_str()) => {
                Operator::Named(identity.name().as_str().into())
            }
            Ok(identity) => {
                Operator::Nobody(format!("certificate names `{}`, which is no operator", identity.name()).into())
            }
            Err(refused) => Operator::Nobody(format!("this is no operator's certificate: {refused}").into()),
        };
        Ok(OperatorPeer(operator))
    }
}
