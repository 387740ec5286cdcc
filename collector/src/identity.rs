//! Who a peer is: what each listener is told to believe, and the checks run after every handshake.
//!
//! What a probe proved is a [`PeerInfo`], what an operator is an [`OperatorPeer`]; both reach the services as
//! connection info and can be built here only, so that no report is read and no question answered without one. The
//! same checks run again at every reload over the connections that are alive; what is believed is exchanged as a
//! whole (`crate::trust`).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use muster_evidence::{Role, Sha256, Timestamp};
use muster_proto::link::{
    Clients, Credentials, InvalidCredentials, InvalidOid, InvalidPolicy, InvalidTls, Oid, OperatorIdentity,
    PeerIdentity, PeerPolicy, SpkiPin, load_certificates, server_config,
};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use sha2::Digest;
use tonic::Status;
use x509_parser::der_parser::oid;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::accept::{AcceptCounts, CheckPeer, Refusal};
use crate::access::OwnCertificate;
use crate::activity::Activity;
use crate::clock::Clock;
use crate::config::TlsFiles;
use crate::crl::{self, Authority, RevocationSet};
use crate::settings::Grants;

/// A probe that proved its name, as the report service sees it.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    identity: Arc<PeerIdentity>,
    remote: SocketAddr,
    /// The roles that were granted to it when it connected.
    granted: Arc<[Role]>,
    activity: Arc<Activity>,
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

    /// Notes that it made a call, or sent a message on a stream: its connection is not idle.
    pub fn note_call(&self) {
        self.activity.note();
    }
}

/// Whoever asks on the operators' side, as the readiness service sees it.
#[derive(Clone, Debug)]
pub struct OperatorPeer {
    operator: Operator,
    /// End of the certificate's validity; `None` where none counts.
    not_after: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum Operator {
    Loopback,
    Named(Arc<str>),
    Nobody(Arc<str>),
}

impl OperatorPeer {
    /// The operator's name, or the refusal that every method answers with.
    pub fn name(&self) -> Result<&str, Status> {
        match &self.operator {
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
        ca: PathBuf,
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
        file: PathBuf,
    },
}

/// What one listener's settings and files say: read as a whole, and held so that revocation lists can be exchanged
/// without reading it again.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    own: Credentials,
    own_certificate: OwnCertificate,
    ca: PathBuf,
    anchors: Vec<CertificateDer<'static>>,
    pins: Vec<SpkiPin>,
    required_eku: Option<Oid>,
    required_template: Option<Oid>,
    blocked: BTreeSet<Sha256>,
}

impl Material {
    /// Reads what a listener needs. Its CAs are pinned as issuers unless others are named.
    pub(crate) fn read(listener: &'static str, files: &TlsFiles) -> Result<Self, IdentityError> {
        let anchors = load_certificates(&files.ca)?;
        let pins = if files.issuer_pins.is_empty() {
            anchors.iter().filter_map(SpkiPin::of_certificate).collect()
        } else {
            files.issuer_pins.iter().map(|pin| SpkiPin(pin.0)).collect()
        };
        let own = Credentials::load(&files.certificate, &files.key)?;
        let oid = |text: &Option<String>| text.as_deref().map(str::parse::<Oid>).transpose();
        Ok(Self {
            own_certificate: own_certificate(listener, &own, &files.certificate)?,
            own,
            ca: files.ca.clone(),
            anchors,
            pins,
            required_eku: oid(&files.required_eku)?,
            required_template: oid(&files.required_template)?,
            blocked: files.blocked.iter().copied().collect(),
        })
    }

    /// The certificate it presents, for those who show when it ends.
    pub(crate) const fn own_certificate(&self) -> &OwnCertificate {
        &self.own_certificate
    }

    /// The keys whose certificates count.
    pub(crate) fn pins(&self) -> &[SpkiPin] {
        &self.pins
    }

    /// The CAs of which certificates are there, so that revocation lists can be verified.
    pub(crate) fn authorities(&self) -> impl Iterator<Item = Authority> + '_ {
        self.anchors.iter().filter_map(Authority::of)
    }

    /// When CAs begin and end, since then other peers pass than before.
    pub(crate) fn boundaries(&self) -> Vec<Timestamp> {
        let validities = self.anchors.iter().filter_map(|anchor| {
            let (_, parsed) = X509Certificate::from_der(anchor).ok()?;
            Some([parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp()])
        });
        validities.flatten().filter_map(|seconds| Timestamp::from_unix_seconds(seconds).ok()).collect()
    }

    /// The addresses of revocation lists that the collector's own certificate names, where a pinned CA issued it.
    pub(crate) fn distribution_points(&self) -> Vec<String> {
        let parsed = self.own.chain().first().and_then(|der| X509Certificate::from_der(der).ok());
        let Some((_, parsed)) = parsed else { return Vec::new() };
        let issuer = parsed.issuer().as_raw();
        let pinned = self.anchors.iter().any(|anchor| {
            SpkiPin::of_certificate(anchor).is_some_and(|pin| self.pins.contains(&pin))
                && X509Certificate::from_der(anchor).is_ok_and(|(_, ca)| ca.subject().as_raw() == issuer)
        });
        match parsed.get_extension_unique(&oid!(2.5.29.31)) {
            Ok(Some(extension)) if pinned => crl::distribution_points(extension.value)
                .unwrap_or_default()
                .iter()
                .filter_map(|name| crl::http_url(name))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whom the listener believes.
    fn policy(
        &self,
        more_anchors: &[CertificateDer<'static>],
        lists: Option<&Arc<RevocationSet>>,
    ) -> Result<PeerPolicy, IdentityError> {
        let anchors = [&self.anchors, more_anchors].concat();
        let (eku, template) = (self.required_eku.clone(), self.required_template.clone());
        let policy = PeerPolicy::new(&anchors, self.pins.clone(), eku, template)
            .map_err(|cause| IdentityError::Policy { ca: self.ca.clone(), cause })?
            .blocking(self.blocked.iter().copied());
        Ok(match lists {
            Some(lists) => policy.asking(Arc::clone(lists) as Arc<dyn muster_proto::link::Revocation>),
            None => policy,
        })
    }
}

/// What a listener presents and whom it believes.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// The TLS settings, with ticket keys of their own.
    pub(crate) config: Arc<ServerConfig>,
    /// Whom it believes.
    pub(crate) policy: Arc<PeerPolicy>,
}

/// Sets up the probes' listener.
pub(crate) fn probe_trust(own: &Material, lists: Option<&Arc<RevocationSet>>) -> Result<Trust, IdentityError> {
    let policy = Arc::new(own.policy(&[], lists)?);
    let config = server_config(&own.own, Clients::Probes(Arc::clone(&policy)))?;
    Ok(Trust { config, policy })
}

/// The TLS settings of the probes' listener, for a server that is nothing but that: what a collector is compared with.
pub fn probe_server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, IdentityError> {
    Ok(probe_trust(&Material::read("probes", files)?, None)?.config)
}

/// Sets up the operators' listener. Its handshake lets probes through as well, so that one that asks is answered with
/// a status that says why, and not with a closed connection; the policy returned believes operators only.
pub(crate) fn operator_trust(
    own: &Material,
    probes: &Material,
    lists: Option<&Arc<RevocationSet>>,
) -> Result<Trust, IdentityError> {
    let policy = Arc::new(own.policy(&[], lists)?);
    let anyone = Arc::new(own.policy(&probes.anchors, None)?);
    let config = server_config(&own.own, Clients::AnyOfAnchors(anyone))?;
    Ok(Trust { config, policy })
}

/// What is shown of the collector's own certificate.
fn own_certificate(listener: &'static str, own: &Credentials, file: &Path) -> Result<OwnCertificate, IdentityError> {
    let unreadable = || IdentityError::Unreadable { file: file.to_owned() };
    let der = own.chain().first().ok_or_else(unreadable)?;
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
    let not_after = Timestamp::from_unix_seconds(parsed.validity().not_after.timestamp()).map_err(|_| unreadable())?;
    Ok(OwnCertificate { listener, thumbprint: Sha256(sha2::Sha256::digest(der).into()), not_after })
}

/// A check whose peers can be looked at again while they are connected.
pub(crate) trait CheckAgain: CheckPeer {
    /// Whether a peer that was let in may stay, by what is believed now.
    fn still(&self, chain: &[CertificateDer<'_>], peer: &Self::Peer) -> Result<(), Refusal>;

    /// When its certificate ends.
    fn not_after(peer: &Self::Peer) -> Option<Timestamp>;
}

/// Checks probes after the handshake, resumed or full: resumption calls no verifier, so expiry is seen here.
#[derive(Debug)]
pub struct ProbeCheck {
    believed: RwLock<Arc<(Arc<PeerPolicy>, Grants)>>,
    clock: Arc<dyn Clock>,
}

impl ProbeCheck {
    pub(crate) fn new(policy: Arc<PeerPolicy>, grants: Grants, clock: Arc<dyn Clock>) -> Self {
        Self { believed: RwLock::new(Arc::new((policy, grants))), clock }
    }

    /// Believes otherwise from now on.
    pub(crate) fn believe(&self, policy: Arc<PeerPolicy>, grants: Grants) {
        *self.believed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new((policy, grants));
    }

    fn believed(&self) -> Arc<(Arc<PeerPolicy>, Grants)> {
        Arc::clone(&self.believed.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CheckPeer for ProbeCheck {
    type Peer = PeerInfo;

    fn check(&self, chain: &[CertificateDer<'_>], remote: SocketAddr) -> Result<PeerInfo, Refusal> {
        let believed = self.believed();
        let (policy, grants) = &*believed;
        match PeerIdentity::from_chain(chain, policy, self.clock.now()) {
            Ok(identity) => {
                let name = identity.name();
                let granted = Role::ALL.iter().copied().filter(|role| role.needs_grant());
                let granted = granted.filter(|role| grants.allow(*role, name, &identity.thumbprint())).collect();
                Ok(PeerInfo { identity: Arc::new(identity), remote, granted, activity: Arc::default() })
            }
            Err(refused) => Err((refused.reason(), refused.to_string())),
        }
    }

    fn idle(peer: &PeerInfo) -> Duration {
        peer.activity.idle()
    }
}

impl CheckAgain for ProbeCheck {
    fn still(&self, chain: &[CertificateDer<'_>], peer: &PeerInfo) -> Result<(), Refusal> {
        let now = self.check(chain, peer.remote)?;
        match peer.granted.iter().find(|role| !now.granted.contains(role)) {
            Some(role) => Err(("grant-removed", format!("role `{}` is no longer granted", role.name()))),
            None => Ok(()),
        }
    }

    fn not_after(peer: &PeerInfo) -> Option<Timestamp> {
        Some(peer.identity.not_after())
    }
}

/// Who is an operator.
#[derive(Clone, Debug)]
pub(crate) struct Operators {
    /// Whom to believe; `None` on a loopback listener without TLS.
    pub(crate) policy: Option<Arc<PeerPolicy>>,
    /// Names that are operators.
    pub(crate) names: Vec<String>,
}

/// Decides who on the operators' side is an operator. Nobody is turned away here: the methods answer.
#[derive(Debug)]
pub struct OperatorCheck {
    believed: RwLock<Arc<Operators>>,
    counts: Arc<AcceptCounts>,
    clock: Arc<dyn Clock>,
}

impl OperatorCheck {
    pub(crate) fn new(operators: Operators, counts: Arc<AcceptCounts>, clock: Arc<dyn Clock>) -> Self {
        Self { believed: RwLock::new(Arc::new(operators)), counts, clock }
    }

    /// Believes otherwise from now on.
    pub(crate) fn believe(&self, operators: Operators) {
        *self.believed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(operators);
    }

    /// Who a peer is, with the word for counting where it is no operator.
    fn look(
        &self,
        chain: &[CertificateDer<'_>],
        remote: SocketAddr,
    ) -> Result<(OperatorPeer, Option<&'static str>), Refusal> {
        let believed = Arc::clone(&self.believed.read().unwrap_or_else(PoisonError::into_inner));
        let Some(policy) = &believed.policy else {
            // The configuration lets a listener go without TLS on loopback only; this holds it to that.
            if remote.ip().to_canonical().is_loopback() {
                return Ok((OperatorPeer { operator: Operator::Loopback, not_after: None }, None));
            }
            return Err(("not-loopback", format!("{remote} asks in the clear from beyond loopback")));
        };
        let nobody = |why: String| OperatorPeer { operator: Operator::Nobody(why.into()), not_after: None };
        Ok(match OperatorIdentity::from_chain(chain, policy, self.clock.now()) {
            Ok(identity) if believed.names.iter().any(|name| name == identity.name().as_str()) => {
                let operator = Operator::Named(identity.name().as_str().into());
                (OperatorPeer { operator, not_after: Some(identity.not_after()) }, None)
            }
            Ok(identity) => {
                let why = format!("certificate names `{}`, which is no operator", identity.name());
                (nobody(why), Some("not-operator"))
            }
            Err(refused) => (nobody(format!("this is no operator's certificate: {refused}")), Some(refused.reason())),
        })
    }
}

impl CheckPeer for OperatorCheck {
    type Peer = OperatorPeer;

    fn check(&self, chain: &[CertificateDer<'_>], remote: SocketAddr) -> Result<OperatorPeer, Refusal> {
        let (peer, doubt) = self.look(chain, remote)?;
        if let Some(reason) = doubt {
            // It is answered by its methods, and counted here like everybody who is not let in.
            self.counts.refuse(reason);
        }
        Ok(peer)
    }
}

impl CheckAgain for OperatorCheck {
    fn still(&self, chain: &[CertificateDer<'_>], peer: &OperatorPeer) -> Result<(), Refusal> {
        // Where it comes from was checked when it connected; that does not change.
        let (now, doubt) = self.look(chain, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        match (&peer.operator, &now.operator) {
            (Operator::Named(before), Operator::Named(after)) if before == after => Ok(()),
            (Operator::Loopback, Operator::Loopback) | (Operator::Nobody(_), Operator::Nobody(_)) => Ok(()),
            (_, Operator::Nobody(why)) => Err((doubt.unwrap_or("not-operator"), why.to_string())),
            _ => Err(("operator-changed", "what is known of this operator has changed".to_owned())),
        }
    }

    fn not_after(peer: &OperatorPeer) -> Option<Timestamp> {
        peer.not_after
    }
}
