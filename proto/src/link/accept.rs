//! The server's side of a handshake, up to where it is clear who the peer is or why there is none.
//!
//! Under TLS 1.3 a client has finished its handshake, and sent its first request, before the server has judged the
//! client's certificate. A server that just closes then answers that request with a reset, and the reset overtakes the
//! alert that says why. So a failed handshake is ended politely: the alert goes out, our side is closed, and what the
//! client has sent is read and thrown away, for a moment.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::peer::{RefusedPeer, refusal_reason};

/// How long a refused client may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much of what it sent is thrown away meanwhile.
const FAREWELL_BYTES: u64 = 64 * 1024;

/// Says why a handshake failed.
#[derive(Debug, thiserror::Error)]
#[error("handshake failed")]
pub struct FailedHandshake {
    /// A word for counting: a [`RefusedPeer::reason`], `handshake`, or `connection-lost`.
    pub reason: &'static str,
    /// What failed; a [`RefusedPeer`] where our rules refused the certificate.
    #[source]
    pub source: io::Error,
}

/// Shakes hands as a server. The caller bounds the time, of which a refusal may take a second more than the handshake.
pub async fn accept<S>(config: Arc<ServerConfig>, stream: S) -> Result<TlsStream<S>, FailedHandshake>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (error, mut stream) = match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => return Ok(stream),
        Err(failed) => failed,
    };
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let failed = match tls {
        None => FailedHandshake { reason: "connection-lost", source: error },
        Some(tls) => {
            let reason = refusal_reason(tls);
            let source = match RefusedPeer::of(tls) {
                Some(refused) => io::Error::new(io::ErrorKind::PermissionDenied, refused.clone()),
                None => error,
            };
            FailedHandshake { reason, source }
        }
    };
    // The alert is out already; nothing here can make the failure worse, so its own errors do not matter.
    let farewell = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(FAREWELL_BYTES), &mut tokio::io::sink()).await
    };
    let _: Result<io::Result<u64>, _> = tokio::time::timeout(FAREWELL, farewell).await;
    Err(failed)
}
