//! The listeners' set-up: sockets, trust, and what reaches the services through them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::accept::{self, ListenError, PeerStream, Security};
use crate::access::Access;
use crate::clock::Clock;
use crate::config::{Config, ConnectionLimits};
use crate::connections::Connections;
use crate::identity::{CheckAgain, OperatorCheck, OperatorPeer, Operators, PeerInfo, ProbeCheck};
use crate::reload::{self, Reloader};
use crate::trust::{Materials, TrustError};

/// Says why the listeners cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenersError {
    /// Certificates, keys, CAs or revocation lists cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Reading them was given up.
    #[error("reading certificates was given up")]
    Task(#[source] tokio::task::JoinError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// A listener that is open and does not accept yet.
#[derive(Debug)]
struct Open<C: CheckAgain> {
    sockets: Vec<TcpListener>,
    security: Security,
    limits: ConnectionLimits,
    check: Arc<C>,
    live: Arc<Connections<C::Peer>>,
}

/// Both listeners, open. They accept once the services are there.
#[derive(Debug)]
pub struct Listeners {
    /// How they stand.
    pub access: Arc<Access>,
    /// Exchanges what they believe.
    pub reloader: Reloader,
    /// Where probes connect.
    pub probe_addresses: Vec<SocketAddr>,
    /// Where operators connect.
    pub operator_addresses: Vec<SocketAddr>,
    probes: Open<ProbeCheck>,
    operators: Open<OperatorCheck>,
}

impl Listeners {
    /// Reads certificates and trust, and opens the sockets.
    pub async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, ListenersError> {
        let read = config.clone();
        let read = tokio::task::spawn_blocking(move || {
            let looked = reload::look(&read);
            let materials = Materials::read(read, None)?;
            let assembled = materials.assemble()?;
            Ok::<_, TrustError>((materials, looked, assembled))
        });
        let (materials, looked, assembled) = read.await.map_err(ListenersError::Task)??;
        let probe_sockets = accept::listen(&config.probes.listen).await?;
        let operator_sockets = accept::listen(&config.operators.listen).await?;
        let addresses =
            |sockets: &[TcpListener]| sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect::<Vec<_>>();

        let access = Arc::new(Access::default());
        let (probe_tls, configs) = watch::channel(Arc::clone(&assembled.probes.config));
        let probes = Open {
            security: Security::Tls(configs),
            limits: config.probes.limits,
            check: Arc::new(ProbeCheck::new(
                Arc::clone(&assembled.probes.policy),
                config.grants.clone(),
                Arc::clone(clock),
            )),
            live: Arc::default(),
            sockets: probe_sockets,
        };
        let (mut operator_tls, mut security, mut policy) = (None, Security::Loopback, None);
        if let Some(trust) = &assembled.operators {
            let (sender, configs) = watch::channel(Arc::clone(&trust.config));
            (operator_tls, security) = (Some(sender), Security::Tls(configs));
            policy = Some(Arc::clone(&trust.policy));
        }
        let believed = Operators { policy, names: config.operators.names.clone() };
        let operators = Open {
            security,
            limits: config.operators.limits,
            check: Arc::new(OperatorCheck::new(believed, Arc::clone(&access.operators), Arc::clone(clock))),
            live: Arc::default(),
            sockets: operator_sockets,
        };
        let doors = (probes.door(&access.probes, Some(probe_tls)), operators.door(&access.operators, operator_tls));
        Ok(Self {
            reloader: Reloader::new(Arc::clone(&access), Arc::clone(clock), doors, (materials, looked), &assembled),
            access,
            probe_addresses: addresses(&probes.sockets),
            operator_addresses: addresses(&operators.sockets),
            probes,
            operators,
        })
    }

    /// Accepts probes until `stop`. A second call accepts nothing: the sockets are taken.
    pub fn accept_probes(&mut self, stop: &CancellationToken) -> ReceiverStream<io::Result<PeerStream<PeerInfo>>> {
        self.probes.accept(&self.access.probes, stop)
    }

    /// Accepts operators until `stop`. A second call accepts nothing: the sockets are taken.
    pub fn accept_operators(
        &mut self,
        stop: &CancellationToken,
    ) -> ReceiverStream<io::Result<PeerStream<OperatorPeer>>> {
        self.operators.accept(&self.access.operators, stop)
    }
}

impl<C: CheckAgain> Open<C> {
    /// What a reload changes of it.
    fn door(
        &self,
        counts: &Arc<accept::AcceptCounts>,
        tls: Option<watch::Sender<Arc<rustls::ServerConfig>>>,
    ) -> reload::Door<C> {
        let (check, live) = (Arc::clone(&self.check), Arc::clone(&self.live));
        reload::Door { check, live, counts: Arc::clone(counts), tls }
    }

    fn accept(
        &mut self,
        counts: &Arc<accept::AcceptCounts>,
        stop: &CancellationToken,
    ) -> ReceiverStream<io::Result<PeerStream<C::Peer>>> {
        let Self { sockets, security, limits, check, live } = self;
        accept::accept(std::mem::take(sockets), security, *limits, check, live, counts, stop)
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::Timestamp;
    use muster_proto::link::{Credentials, client_config, load_certificates};
    use rustls::HandshakeKind;
    use rustls_pki_types::ServerName;
    use time::OffsetDateTime;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;
    use tokio_stream::StreamExt;

    use super::*;
    use crate::clock::ManualClock;
    use crate::pki::{self, Purpose};

    /// A resumed session asks no verifier: the check after the handshake is all there is. The collector's clock is the
    /// test's; the library's verifier goes by the machine's, and so finds the certificate good at any time.
    #[tokio::test]
    async fn a_session_is_resumed_and_its_certificate_checked_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let at = folder.path();
        pki::init(at, "CA", 300, now).unwrap();
        pki::issue(at, Purpose::Collector, &["localhost".to_owned()], 200, at, now).unwrap();
        pki::issue(at, Purpose::Probe, &["pc1.corp.example".to_owned()], 90, at, now).unwrap();
        let text = "[probes]\nlisten = [\"127.0.0.1:0\"]\ncertificate = \"localhost.pem\"\nkey = \"localhost.key\"\n\
                    ca = \"ca.pem\"\n[operators]\nlisten = [\"127.0.0.1:0\"]\n";
        let config = Config::parse(text, at).unwrap();
        let manual = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(now.unix_timestamp()).unwrap()));
        let clock: Arc<dyn Clock> = Arc::clone(&manual) as Arc<dyn Clock>;
        let mut listeners = Listeners::open(&config, &clock).await.unwrap();
        let stop = CancellationToken::new();
        let mut accepted = listeners.accept_probes(&stop);

        let own = Credentials::load(&at.join("pc1.corp.example.pem"), &at.join("pc1.corp.example.key")).unwrap();
        let tls = client_config(Some(&own), &load_certificates(&at.join("ca.pem")).unwrap()).unwrap();
        let address = listeners.probe_addresses[0];
        let connect = async || -> TlsStream<TcpStream> {
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            TlsConnector::from(Arc::clone(&tls)).connect(name, stream).await.unwrap()
        };
        let mut server_says = async |client: &mut TlsStream<TcpStream>| {
            // The ticket comes with the first bytes that are read.
            let mut server = accepted.next().await.unwrap().unwrap();
            server.write_all(b"x").await.unwrap();
            server.flush().await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'x');
        };
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = connect().await;
            assert_eq!(client.get_ref().1.handshake_kind(), Some(kind));
            server_says(&mut client).await;
        }

        // Ninety-one days on, and the ticket is still good.
        manual.advance_ms(91 * 24 * 3600 * 1000);
        let mut client = connect().await;
        assert_eq!(client.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(client.read_u8().await.is_err(), "the collector has hung up");
        assert_eq!(listeners.access.probes.refused().get("expired"), Some(&1));
        manual.advance_ms(-91 * 24 * 3600 * 1000);

        // No session outlives a reload.
        let mut client = connect().await;
        server_says(&mut client).await;
        listeners.reloader.reload("the test").await.unwrap();
        assert_eq!(connect().await.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        stop.cancel();
    }
}
