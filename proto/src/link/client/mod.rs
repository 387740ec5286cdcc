//! The way to a collector, for probes and the operators' command line.
//!
//! - [`CollectorUrl`] is where it listens; [`ServiceResolver`] finds it by DNS SRV.
//! - [`connect_through`] takes the way: `dial` tries IPv4 and IPv6 side by side, `proxy` opens a tunnel where there is a
//!   proxy, `verifier` says whether the other end is the collector.
//! - `stream` keeps what the collector said last ([`LastWord`]), which HTTP/2 would lose.
//!
//! Which collector is tried when is left to whoever connects.

mod dial;
mod proxy;
mod service;
mod stream;
mod url;
mod verifier;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use muster_evidence::DnsName;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

pub use self::dial::MOST_ADDRESSES;
pub use self::proxy::{InvalidProxy, MOST_ANSWER_BYTES, PlainProxy, Proxies};
pub use self::service::{
    InvalidNameServer, InvalidServiceName, LookupError, MOST_RECORDS, NameServer, ServiceName, ServiceRecord,
    ServiceResolver, in_order_of_choice,
};
pub use self::stream::{LastWord, RefusedByPeer};
pub use self::url::{CollectorUrl, InvalidUrl};
pub(super) use self::verifier::CollectorVerifier;
pub use self::verifier::RefusedServer;

use self::dial::{DialError, dial, no_answer};
use self::proxy::{TunnelError, Via};
use self::stream::{Connection, Encrypted, explained};

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, and again for a tunnel and for the handshake.
    pub connect: Duration,
    /// For the answer to one call; streams are not bounded by it once they have begun.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), request: Duration::from_secs(30) }
    }
}

/// Time between HTTP/2 pings on a connection that is kept, and how long their answer may take.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Says why a collector was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection failed.
    #[error("failed to connect to `{url}`")]
    Connect {
        /// The address.
        url: CollectorUrl,
        /// What failed.
        #[source]
        source: tonic::transport::Error,
    },
    /// The address is encrypted and no TLS settings were given.
    #[error("`{url}` needs the CA certificate of the collector, and none is configured")]
    NoTls {
        /// The address.
        url: CollectorUrl,
    },
}

/// Says at which step a connection failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("failed to reach the proxy")]
    Proxy(#[source] DialError),
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    #[error("`{name}` is no name that a certificate can hold")]
    Name { name: String },
    #[error("TLS handshake with {address} failed")]
    Handshake {
        address: String,
        #[source]
        source: io::Error,
    },
}

/// A connection to a collector, and the way it took.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The connection. It makes itself anew when it is lost.
    pub channel: Channel,
    /// The address that answered: the collector's, or the proxy's.
    pub address: Option<SocketAddr>,
    /// The proxy it goes through, without its credentials.
    pub proxy: Option<String>,
}

/// Connects to a collector, and returns once the TLS handshake is done.
///
/// Under TLS 1.3 the collector judges our certificate after that: a refusal arrives with the first call, as
/// [`RefusedByPeer`].
pub async fn connect(
    url: &CollectorUrl,
    tls: Option<Arc<ClientConfig>>,
    timeouts: Timeouts,
) -> Result<Channel, ConnectError> {
    connect_as(url, None, tls, timeouts, &LastWord::default()).await
}

/// Does what [`connect`] does, and expects another name in the collector's certificate than the host of the address,
/// for addresses that no certificate names. `last_word` keeps why the collector ended the connection.
pub async fn connect_as(
    url: &CollectorUrl,
    name: Option<&DnsName>,
    tls: Option<Arc<ClientConfig>>,
    timeouts: Timeouts,
    last_word: &LastWord,
) -> Result<Channel, ConnectError> {
    connect_through(url, name, tls, timeouts, last_word, &Proxies::none()).await.map(|connected| connected.channel)
}

/// Does what [`connect_as`] does, through a proxy where one is to be taken, and says which way it went.
pub async fn connect_through(
    url: &CollectorUrl,
    name: Option<&DnsName>,
    tls: Option<Arc<ClientConfig>>,
    timeouts: Timeouts,
    last_word: &LastWord,
    proxies: &Proxies,
) -> Result<Connected, ConnectError> {
    let tls = match (url.is_secure(), tls) {
        (true, None) => return Err(ConnectError::NoTls { url: url.clone() }),
        (true, Some(tls)) => Some(tls),
        (false, _) => None,
    };
    let failed = |source| ConnectError::Connect { url: url.clone(), source };
    let endpoint = Endpoint::from_shared(url.to_string())
        .and_then(|endpoint| endpoint.user_agent(concat!("muster/", env!("CARGO_PKG_VERSION"))))
        .map_err(failed)?
        .timeout(timeouts.request)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let via = proxies.of(url);
    let way = Way {
        url: url.clone(),
        name: name.map_or_else(|| url.host().to_owned(), ToString::to_string),
        tls,
        limit: timeouts.connect,
        last_word: last_word.clone(),
        via: via.clone(),
        reached: Arc::default(),
    };
    let reached = Arc::clone(&way.reached);
    let connector = tower::service_fn(move |_: Uri| {
        let way = way.clone();
        async move { way.open().await.map(TokioIo::new) }
    });
    let channel = endpoint.connect_with_connector(connector).await.map_err(failed)?;
    let address = *reached.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Connected { channel, address, proxy: via.map(|via| via.shown()) })
}

/// Everything that opening a connection needs, also when it must be made anew.
#[derive(Clone)]
struct Way {
    url: CollectorUrl,
    name: String,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
    last_word: LastWord,
    via: Option<Via>,
    /// The address that answered last.
    reached: Arc<Mutex<Option<SocketAddr>>>,
}

impl Way {
    async fn open(self) -> Result<Connection, StepError> {
        let Self { url, name, tls, limit, last_word, via, reached } = self;
        let (stream, address, shown) = match via {
            None => {
                let (stream, address) = dial(url.host(), url.port(), limit).await?;
                (stream, address, address.to_string())
            }
            Some(via) => {
                let (host, port) = via.place();
                let (stream, address) = dial(host, port, limit).await.map_err(StepError::Proxy)?;
                let stream = via.tunnel(stream, &url, limit).await?;
                (stream, address, format!("`{}:{}` through proxy `{}`", url.host(), url.port(), via.shown()))
            }
        };
        *reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        let Some(tls) = tls else { return Ok(Connection::Plain(stream)) };
        let server = ServerName::try_from(name.clone()).map_err(|_| StepError::Name { name })?;
        // A server that answers and is refused is not passed over: another address would hide the reason.
        tokio::time::timeout(limit, TlsConnector::from(tls).connect(server, stream))
            .await
            .unwrap_or_else(|_| Err(no_answer(limit)))
            .map(|stream| Connection::Tls(Box::new(Encrypted::new(stream, last_word))))
            .map_err(|error| StepError::Handshake { address: shown, source: explained(error) })
    }
}
