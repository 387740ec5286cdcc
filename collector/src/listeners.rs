//! The listeners' set-up: sockets, trust, and what reaches the services through them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::accept::{self, ListenError, PeerStream, Security};
use crate::access::Access;
use crate::clock::Clock;
use crate::config::{Config, ConnectionLimits};
use crate::identity::{self, IdentityError, OperatorCheck, OperatorPeer, PeerInfo, ProbeCheck};

/// Says why the listeners cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenersError {
    /// Certificates, keys or trust cannot be used.
    #[error("the {listener} listener cannot be set up")]
    Identity {
        /// Which listener.
        listener: &'static str,
        /// Why.
        #[source]
        cause: Box<IdentityError>,
    },
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// A listener that is open and does not accept yet.
#[derive(Debug)]
struct Open<C> {
    sockets: Vec<TcpListener>,
    security: Security,
    limits: ConnectionLimits,
    check: Arc<C>,
}

/// Both listeners, open. They accept once the services are there.
#[derive(Debug)]
pub struct Listeners {
    /// How they stand.
    pub access: Arc<Access>,
    /// Where probes connect.
    pub probe_addresses: Vec<SocketAddr>,
    /// Where operators connect.
    pub operator_addresses: Vec<SocketAddr>,
    probes: Open<ProbeCheck>,
    operators: Open<OperatorCheck>,
    /// The TLS settings of the listeners; they end when these are dropped.
    _tls: Vec<watch::Sender<Arc<ServerConfig>>>,
}

impl Listeners {
    /// Reads certificates and trust, and opens the sockets.
    pub async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, ListenersError> {
        let failed = |listener| move |cause| ListenersError::Identity { listener, cause: Box::new(cause) };
        let probe_trust = identity::probe_trust(&config.probes.tls).map_err(failed("probes'"))?;
        let operator_trust = config
            .operators
            .tls
            .as_ref()
            .map(|files| identity::operator_trust(files, &config.probes.tls))
            .transpose()
            .map_err(failed("operators'"))?;
        let probe_sockets = accept::listen(&config.probes.listen).await?;
        let operator_sockets = accept::listen(&config.operators.listen).await?;
        let addresses =
            |sockets: &[TcpListener]| sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect::<Vec<_>>();

        let access = Arc::new(Access::default());
        access.change(|state| {
            state.certificates.push(probe_trust.own.clone());
            state.certificates.extend(operator_trust.as_ref().map(|trust| trust.own.clone()));
            state.reload.last_attempt = Some(clock.now());
            state.reload.last_success = state.reload.last_attempt;
            state.reload.generation = 1;
        });
        let (sender, configs) = watch::channel(probe_trust.config);
        let mut tls = vec![sender];
        let (security, policy) = match operator_trust {
            None => (Security::Loopback, None),
            Some(trust) => {
                let (sender, configs) = watch::channel(trust.config);
                tls.push(sender);
                (Security::Tls(configs), Some(trust.policy))
            }
        };
        let names = config.operators.names.clone();
        Ok(Self {
            access,
            probe_addresses: addresses(&probe_sockets),
            operator_addresses: addresses(&operator_sockets),
            probes: Open {
                sockets: probe_sockets,
                security: Security::Tls(configs),
                limits: config.probes.limits,
                check: Arc::new(ProbeCheck { policy: probe_trust.policy, clock: Arc::clone(clock) }),
            },
            operators: Open {
                sockets: operator_sockets,
                security,
                limits: config.operators.limits,
                check: Arc::new(OperatorCheck { policy, names, clock: Arc::clone(clock) }),
            },
            _tls: tls,
        })
    }

    /// Accepts probes until `stop`. A second call accepts nothing: the sockets are taken.
    pub fn accept_probes(&mut self, stop: &CancellationToken) -> ReceiverStream<io::Result<PeerStream<PeerInfo>>> {
        let Open { sockets, security, limits, check } = &mut self.probes;
        accept::accept(std::mem::take(sockets), security, *limits, check, &self.access.probes, stop)
    }

    /// Accepts operators until `stop`. A second call accepts nothing: the sockets are taken.
    pub fn accept_operators(
        &mut self,
        stop: &CancellationToken,
    ) -> ReceiverStream<io::Result<PeerStream<OperatorPeer>>> {
        let Open { sockets, security, limits, check } = &mut self.operators;
        accept::accept(std::mem::take(sockets), security, *limits, check, &self.access.operators, stop)
    }
}
