//! A connection whose errors say what an alert means, and what the collector said last.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use muster_evidence::Timestamp;
use rustls::{AlertDescription, CertificateError, OtherError};
use rustls_pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::verifier::RefusedServer;

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
    /// Whether the collector says that the certificate is not valid at this time.
    pub fn is_about_validity(&self) -> bool {
        self.alert == AlertDescription::CertificateExpired
    }

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
pub(super) enum Connection {
    Plain(TcpStream),
    Tls(Box<Encrypted>),
}

/// Puts what an error of the TLS library means in its place: [`RefusedByPeer`] for an alert about our certificate,
/// [`RefusedServer`] for a collector we do not believe, of which the library would print its debug form.
///
/// HTTP/2 keeps only the text of an error that ends a connection, so this is the last place that can tell.
pub(super) fn explained(error: io::Error) -> io::Error {
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
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            let refused = RefusedServer::Expired { not_after: timestamp(*not_after), own_clock: timestamp(*time) };
            io::Error::new(io::ErrorKind::InvalidData, refused)
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            let refused =
                RefusedServer::NotYetValid { not_before: timestamp(*not_before), own_clock: timestamp(*time) };
            io::Error::new(io::ErrorKind::InvalidData, refused)
        }
        _ => error,
    }
}

fn timestamp(at: UnixTime) -> Timestamp {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_unix_seconds(seconds).unwrap_or(Timestamp::MAX)
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
pub(super) struct Encrypted {
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    write_failed: Option<io::Error>,
    last_word: LastWord,
}

impl Encrypted {
    pub(super) const fn new(stream: tokio_rustls::client::TlsStream<TcpStream>, last_word: LastWord) -> Self {
        Self { stream, write_failed: None, last_word }
    }

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
