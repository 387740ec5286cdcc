//! The way to a collector, for probes and the operators' command line.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use muster_evidence::DnsName;
use rustls::{AlertDescription, CertificateError, ClientConfig, OtherError};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use super::tls::RefusedServer;

/// Where a collector listens: `https://host:port`, or `http://` on the machine itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CollectorUrl {
    secure: bool,
    host: Box<str>,
    port: u16,
}

/// Says why a text is not the address of a collector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It has another form.
    #[error("invalid collector address `{found}`: expected `https://host:port`")]
    Form {
        /// The text found, cut to 200 characters.
        found: String,
    },
    /// It is not encrypted and leaves the machine.
    #[error("collector address `{found}` is not encrypted (`http://` is for this machine only; expected `https://`)")]
    NotEncrypted {
        /// The text found, cut to 200 characters.
        found: String,
    },
}

impl CollectorUrl {
    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted. One that is not stays on the machine.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }
}

impl FromStr for CollectorUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let found = || text.chars().take(200).collect::<String>();
        let form = || InvalidUrl::Form { found: found() };
        let uri: Uri = text.parse().map_err(|_| form())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(form()),
        };
        let authority = uri.authority().ok_or_else(form)?;
        let rest = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        let (host, port) = (authority.host(), authority.port_u16());
        let port = port.filter(|port| *port != 0).ok_or_else(form)?;
        // Brackets belong to the address's form in a URL, not to the address.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if !rest || authority.as_str().contains('@') || ServerName::try_from(host).is_err() {
            return Err(form());
        }
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !secure && !loopback {
            return Err(InvalidUrl::NotEncrypted { found: found() });
        }
        Ok(Self { secure, host: host.into(), port })
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secure, host, port } = self;
        let scheme = if *secure { "https" } else { "http" };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For one address to answer, and again for the handshake.
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
    #[error("failed to resolve `{host}`")]
    Resolve {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("`{host}` has no address")]
    NoAddress { host: String },
    #[error("failed to reach {address}")]
    Reach {
        address: std::net::SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("TLS handshake with {address} failed")]
    Handshake {
        address: std::net::SocketAddr,
        #[source]
        source: io::Error,
    },
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
    let tls = match (url.secure, tls) {
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
    let target = url.clone();
    let name = name.map_or_else(|| url.host.to_string(), ToString::to_string);
    let last_word = last_word.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (target, name, tls, last_word) = (target.clone(), name.clone(), tls.clone(), last_word.clone());
        async move { open(&target, name, tls, timeouts.connect, last_word).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connector).await.map_err(failed)
}

/// Opens a connection, trying every address of the host in turn.
async fn open(
    url: &CollectorUrl,
    name: String,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
    last_word: LastWord,
) -> Result<Connection, StepError> {
    let host = || url.host.to_string();
    let addresses = within(limit, tokio::net::lookup_host((&*url.host, url.port)))
        .await
        .map_err(|source| StepError::Resolve { host: host(), source })?;
    let mut failed = StepError::NoAddress { host: host() };
    for address in addresses {
        let stream = match within(limit, TcpStream::connect(address)).await {
            Ok(stream) => stream,
            Err(source) => {
                failed = StepError::Reach { address, source };
                continue;
            }
        };
        // Reports are single messages; waiting to fill a segment only delays them.
        stream.set_nodelay(true).map_err(|source| StepError::Reach { address, source })?;
        let Some(tls) = tls else { return Ok(Connection::Plain(stream)) };
        let name = ServerName::try_from(name).map_err(|_| StepError::NoAddress { host: host() })?;
        // A server that answers and is refused is not passed over: the next address would hide the reason.
        return within(limit, TlsConnector::from(tls).connect(name, stream))
            .await
            .map(|stream| Connection::Tls(Box::new(Encrypted { stream, write_failed: None, last_word })))
            .map_err(|error| StepError::Handshake { address, source: explained(error) });
    }
    Err(failed)
}

async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", limit.as_millis())))
    })
}

/// Says that the collector ended the connection because of our certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the collector refused this machine's certificate: {why} (alert {alert:?})")]
pub struct RefusedByPeer {
    /// What the alert means.
    pub why: &'static str,
    /// The alert.
    pub alert: AlertDescription,
}

impl RefusedByPeer {
    /// What an alert says about our certificate; `None` for alerts about something else.
    fn from_alert(alert: AlertDescription) -> Option<Self> {
        let why = match alert {
            AlertDescription::CertificateExpired => "it has expired or is not valid yet",
            AlertDescription::CertificateRevoked => "it is revoked",
            AlertDescription::UnknownCA => "it does not know the issuer",
            AlertDescription::CertificateRequired => "none was shown",
            AlertDescription::BadCertificate | AlertDescription::DecryptError => "it does not verify",
            AlertDescription::UnsupportedCertificate => "it is not for client authentication",
            AlertDescription::CertificateUnknown | AlertDescription::AccessDenied => {
                "its issuer, names, key usage or template are not what the collector requires; \
                 the collector's log has the reason"
            }
            _ => return None,
        };
        Some(Self { why, alert })
    }
}

/// A connection whose errors say what an alert means.
enum Connection {
    Plain(TcpStream),
    Tls(Box<Encrypted>),
}

/// Puts what an error of the TLS library means in its place: [`RefusedByPeer`] for an alert about our certificate,
/// [`RefusedServer`] for a collector we do not believe, of which the library would print its debug form.
///
/// HTTP/2 keeps only the text of an error that ends a connection, so this is the last place that can tell.
fn explained(error: io::Error) -> io::Error {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return error;
    };
    match tls {
        rustls::Error::AlertReceived(alert) => match RefusedByPeer::from_alert(*alert) {
            Some(refused) => io::Error::new(io::ErrorKind::PermissionDenied, refused),
            None => error,
        },
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            match inner.downcast_ref::<RefusedServer>() {
                Some(refused) => io::Error::new(io::ErrorKind::InvalidData, refused.clone()),
                None => error,
            }
        }
        _ => error,
    }
}

/// What a collector said last about our certificate, kept beside the connection.
///
/// Under TLS 1.3 the refusal comes after the handshake and ends the connection, often before the first call is on its
/// way; that call then learns only that the connection is closed. Here the reason is still to be had.
#[derive(Clone, Debug, Default)]
pub struct LastWord(Arc<Mutex<Option<RefusedByPeer>>>);

impl LastWord {
    /// Takes what was said since the last time.
    pub fn take(&self) -> Option<RefusedByPeer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, error: &io::Error) {
        if let Some(refused) = error.get_ref().and_then(|inner| inner.downcast_ref::<RefusedByPeer>()) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(*refused);
        }
    }
}

/// An encrypted connection that keeps why writing failed for whoever reads.
///
/// A collector that refuses us says why and closes. When our next bytes meet the closed connection first, the alert is
/// still there to be read, but HTTP/2 drops an error of writing and tells its callers that of reading only. So a failed
/// write ends quietly here, and reading goes on until the connection has said its last word.
struct Encrypted {
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    write_failed: Option<io::Error>,
    last_word: LastWord,
}

impl Encrypted {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf).map_err(explained);
        match read {
            Poll::Ready(Err(error)) => {
                self.last_word.keep(&error);
                Poll::Ready(Err(error))
            }
            Poll::Ready(Ok(())) if buf.filled().len() == before => {
                // The end: a write that failed before it is the better reason.
                self.write_failed.take().map_or(Poll::Ready(Ok(())), |error| Poll::Ready(Err(error)))
            }
            other => other,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(tls) => tls.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(tls) => match Pin::new(&mut tls.stream).poll_write(cx, bytes) {
                Poll::Ready(Err(error)) => {
                    tls.write_failed = Some(explained(error));
                    Poll::Ready(Ok(bytes.len()))
                }
                other => other,
            },
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(tls) => match Pin::new(&mut tls.stream).poll_flush(cx) {
                Poll::Ready(Err(error)) => {
                    tls.write_failed = Some(explained(error));
                    Poll::Ready(Ok(()))
                }
                other => other,
            },
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx).map_err(explained),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        for good in ["https://collector.corp.example:7443", "https://[::1]:7443", "http://127.0.0.1:7444"] {
            assert_eq!(good.parse::<CollectorUrl>().unwrap().to_string(), good);
        }
        assert_eq!("https://c:1/".parse::<CollectorUrl>().unwrap().to_string(), "https://c:1");
        let error = |text: &str| text.parse::<CollectorUrl>().unwrap_err().to_string();
        for bad in ["", "collector", "collector:7443", "https://c", "https://c:0", "https://c:7443/x", "ftp://c:1"] {
            assert_eq!(error(bad), format!("invalid collector address `{bad}`: expected `https://host:port`"));
        }
        assert!(error("https://user@c:1").starts_with("invalid collector address"));
        assert!(error("http://collector.corp.example:7443").contains("is not encrypted"));
    }
}
