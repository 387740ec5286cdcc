//! The listeners: our own accept loop, handshakes and peer checks, limits per address. No message is read here.
//!
//! The loop is ours rather than tonic's because each handshake runs in a task of its own under a time limit, because
//! what the peer proved must become a value that only this layer builds, and because a silent peer must cost nothing
//! but its own slot.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use muster_proto::link::{self, Chain};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;
use tracing::{debug, info, warn};

use crate::config::ConnectionLimits;
use crate::connections::{Connections, Entry, Live};
use crate::handshakes::Handshakes;
use crate::log_limit::{HeldBack, LogLimit};

/// Length of the HTTP/2 client connection preface (RFC 9113 section 3.4), in bytes.
const PREFACE_BYTES: usize = 24;

/// Accepted connections that may wait for the server to take them.
pub(crate) const WAITING_CONNECTIONS: usize = 64;

/// Pause after an accept error such as running out of file descriptors, which would otherwise spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// How often idle connections are looked for: a quarter of the idle time, within these bounds.
const SHORTEST_IDLE_SWEEP: Duration = Duration::from_millis(100);
const LONGEST_IDLE_SWEEP: Duration = Duration::from_secs(30);

/// Decides what a peer is from the certificates it proved to hold; run after every handshake, resumed or full.
pub trait CheckPeer: Send + Sync + 'static {
    /// What the services see of the peer, in the request's extensions.
    type Peer: Clone + Send + Sync + 'static;

    /// The peer, or a constant word for counting and a sentence for the log.
    fn check(&self, chain: &[CertificateDer<'_>], remote: SocketAddr) -> Result<Self::Peer, Refusal>;

    /// How long a peer has made no call; zero where it may stay for as long as it likes.
    fn idle(_peer: &Self::Peer) -> Duration {
        Duration::ZERO
    }
}

/// Why a peer is not let in, or not let stay: a constant word for counting, and a sentence for the log.
pub type Refusal = (&'static str, String);

/// How a listener speaks before HTTP/2.
#[derive(Clone, Debug)]
pub enum Security {
    /// TLS by the newest configuration on the channel.
    Tls(watch::Receiver<Arc<ServerConfig>>),
    /// In the clear, for loopback only; the configuration sees to that.
    Loopback,
}

/// How often what was refused, by listener and reason. Shared with whoever shows it.
#[derive(Debug, Default)]
pub struct AcceptCounts {
    refused: Mutex<BTreeMap<&'static str, u64>>,
    ended: Mutex<BTreeMap<&'static str, u64>>,
    accepted: std::sync::atomic::AtomicU64,
}

impl AcceptCounts {
    /// Refused connections by reason.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections that were handed on.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Connections that were ended while they lived, by reason: their peer no longer passed.
    pub fn ended(&self) -> BTreeMap<&'static str, u64> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn refuse(&self, reason: &'static str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    pub(crate) fn end(&self, reason: &'static str) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }
}

/// Says that an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on `{address}`")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// Opens listening sockets. Port 0 takes a free one; ask the listener which.
pub async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        listeners.push(TcpListener::bind(address).await.map_err(|cause| ListenError { address, cause })?);
    }
    Ok(listeners)
}

/// Accepts on all listeners until `stop`; the stream ends when every accept loop has ended.
pub fn accept<C: CheckPeer>(
    listeners: Vec<TcpListener>,
    security: &Security,
    limits: ConnectionLimits,
    check: &Arc<C>,
    live: &Arc<Connections<C::Peer>>,
    counts: &Arc<AcceptCounts>,
    stop: &CancellationToken,
) -> ReceiverStream<io::Result<PeerStream<C::Peer>>> {
    let (sender, receiver) = mpsc::channel(WAITING_CONNECTIONS);
    let door = Arc::new(Door {
        security: security.clone(),
        limits,
        check: Arc::clone(check),
        live: Arc::clone(live),
        counts: Arc::clone(counts),
        connections: Arc::new(Semaphore::new(limits.connections)),
        handshakes: Handshakes::new(limits.handshakes, limits.handshakes_per_address),
        per_address: Arc::default(),
        log_limit: LogLimit::default(),
    });
    for listener in listeners {
        tokio::spawn(door.clone().run(listener, sender.clone(), stop.clone()));
    }
    tokio::spawn(door.end_idle(stop.clone()));
    ReceiverStream::new(receiver)
}

/// What the accept loops of one listener group share.
struct Door<C: CheckPeer> {
    security: Security,
    limits: ConnectionLimits,
    check: Arc<C>,
    live: Arc<Connections<C::Peer>>,
    counts: Arc<AcceptCounts>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Handshakes>,
    per_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    log_limit: LogLimit,
}

/// A connection's place among the live ones, and what it holds.
type Entered<P> = (Entry<P>, Live<P>);

type Accepted<P> = mpsc::Sender<io::Result<PeerStream<P>>>;

impl<C: CheckPeer> Door<C> {
    async fn run(self: Arc<Self>, listener: TcpListener, sender: Accepted<C::Peer>, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => self.admit(stream, remote, &sender, &stop),
                Err(error) => {
                    self.counts.refuse("accept-error");
                    warn!(%error, "accept failed");
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
        info!("listener closed");
    }

    /// Ends connections that have carried no call for too long.
    async fn end_idle(self: Arc<Self>, stop: CancellationToken) {
        let every = (self.limits.idle_time / 4).clamp(SHORTEST_IDLE_SWEEP, LONGEST_IDLE_SWEEP);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(every) => {}
            }
            for live in self.live.that(|peer| C::idle(peer) > self.limits.idle_time) {
                live.end.cancel();
                self.counts.end("idle");
            }
        }
    }

    /// Starts the handshake of a connection, which takes a slot among the connections once it is through.
    fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        sender: &Accepted<C::Peer>,
        stop: &CancellationToken,
    ) {
        let address = remote.ip().to_canonical();
        let handshake = self.handshakes.begin(address);
        let (door, sender, stop) = (Arc::clone(self), sender.clone(), stop.clone());
        tokio::spawn(async move {
            let shaken = tokio::select! {
                () = stop.cancelled() => return,
                () = handshake.gives_way.cancelled() => {
                    return door.refuse(address, "gave-way", "a newer handshake needed the place of this one");
                }
                shaken = timeout(door.limits.handshake_time, door.shake(stream, remote)) => shaken,
            };
            drop(handshake);
            match shaken {
                Ok(Ok((io, (entry, Live { peer, end, .. })))) => {
                    let slots = match door.slots(address) {
                        Ok(slots) => slots,
                        Err((reason, detail)) => return door.refuse(address, reason, detail),
                    };
                    door.counts.accepted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let preface = Preface::expected_within(door.limits.preface_time);
                    let ended = Box::pin(end.cancelled_owned());
                    let stream = PeerStream { io, peer, preface, ended, _entry: entry, _slots: slots };
                    // An error means that the server is gone, and the connection goes with it.
                    let _ = sender.send(Ok(stream)).await;
                }
                Ok(Err((reason, detail))) => door.refuse(address, reason, &detail),
                Err(_) => door.refuse(address, "handshake-timeout", "the handshake was not finished in time"),
            }
        });
    }

    /// Takes a place among the connections.
    fn slots(&self, address: IpAddr) -> Result<Slots, (&'static str, &'static str)> {
        let Ok(connection) = Arc::clone(&self.connections).try_acquire_owned() else {
            return Err(("too-many-connections", "every connection slot is taken"));
        };
        let Some(of_address) = AddressSlot::take(&self.per_address, address, self.limits.connections_per_address)
        else {
            return Err(("too-many-of-address", "every connection slot of this address is taken"));
        };
        Ok(Slots { _connection: connection, _of_address: of_address })
    }

    /// The handshake, and the check of the peer after it.
    async fn shake(&self, stream: TcpStream, remote: SocketAddr) -> Result<(Io, Entered<C::Peer>), Refusal> {
        // Reports are small and answered at once; waiting for more to send would only add delay.
        let _ = stream.set_nodelay(true);
        match &self.security {
            Security::Loopback => {
                let entered = self.enter(&[], remote)?;
                Ok((Io::Plain(stream), entered))
            }
            Security::Tls(configs) => {
                let config = Arc::clone(&configs.borrow());
                let tls = link::accept(config, stream).await.map_err(|failed| {
                    let detail = Chain(&failed).to_string();
                    (failed.reason, detail)
                })?;
                let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
                let entered = self.enter(chain, remote)?;
                Ok((Io::Tls(Box::new(tls)), entered))
            }
        }
    }

    /// Checks a peer by what is believed now, and enters it among the live ones.
    fn enter(&self, chain: &[CertificateDer<'_>], remote: SocketAddr) -> Result<Entered<C::Peer>, Refusal> {
        let owned: Arc<[CertificateDer<'static>]> = chain.iter().map(|own| own.clone().into_owned()).collect();
        loop {
            let generation = self.live.generation();
            let live = Live {
                chain: Arc::clone(&owned),
                peer: self.check.check(chain, remote)?,
                address: remote.ip().to_canonical(),
                end: CancellationToken::new(),
            };
            if let Some(entry) = self.live.enter(generation, live.clone()) {
                return Ok((entry, live));
            }
        }
    }

    /// Counts a refusal and writes at most one line per peer, reason and minute.
    fn refuse(&self, address: IpAddr, reason: &'static str, detail: &str) {
        self.counts.refuse(reason);
        if let Some(HeldBack { same, others }) = self.log_limit.admit(address, reason, Instant::now()) {
            warn!(peer = %address, reason, detail, held_back = same, others_held_back = others, "connection refused");
        } else {
            debug!(peer = %address, reason, detail, "connection refused");
        }
    }
}

/// A slot among the connections of one address, given back when dropped.
struct AddressSlot {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl AddressSlot {
    fn take(counts: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr, most: usize) -> Option<Self> {
        let mut map = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(map);
        Some(Self { counts: Arc::clone(counts), address })
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut map = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.address);
            }
        }
    }
}

/// What a connection holds while it lives.
struct Slots {
    _connection: OwnedSemaphorePermit,
    _of_address: AddressSlot,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Watches that the HTTP/2 preface arrives in time; a peer that shook hands and stays silent is closed.
enum Preface {
    Awaited { bytes: usize, deadline: Pin<Box<Sleep>> },
    Arrived,
}

impl Preface {
    fn expected_within(time: Duration) -> Self {
        Self::Awaited { bytes: 0, deadline: Box::pin(sleep(time)) }
    }
}

/// An accepted connection with what its peer proved to be.
pub struct PeerStream<P> {
    io: Io,
    peer: P,
    preface: Preface,
    /// Resolves when the peer may stay no longer.
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    _entry: Entry<P>,
    _slots: Slots,
}

impl<P> PeerStream<P> {
    /// An error once the peer may stay no longer; what it does next is cut off.
    fn unless_ended(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ended.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was ended"));
        }
        Ok(())
    }
}

impl<P: Clone + Send + Sync + 'static> Connected for PeerStream<P> {
    type ConnectInfo = P;

    fn connect_info(&self) -> P {
        self.peer.clone()
    }
}

impl<P: Unpin> AsyncRead for PeerStream<P> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.unless_ended(cx)?;
        let before = buf.filled().len();
        let read = match &mut this.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if let Preface::Awaited { bytes, deadline } = &mut this.preface {
            *bytes += buf.filled().len() - before;
            if *bytes >= PREFACE_BYTES {
                this.preface = Preface::Arrived;
            } else if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 preface in time")));
            }
        }
        ready!(read)?;
        Poll::Ready(Ok(()))
    }
}

impl<P: Unpin> AsyncWrite for PeerStream<P> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.unless_ended(cx)?;
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_stream::StreamExt;

    struct Anyone;

    impl CheckPeer for Anyone {
        type Peer = SocketAddr;

        fn check(&self, _chain: &[CertificateDer<'_>], remote: SocketAddr) -> Result<SocketAddr, Refusal> {
            Ok(remote)
        }
    }

    fn limits() -> ConnectionLimits {
        ConnectionLimits {
            connections: 3,
            connections_per_address: 2,
            handshakes: 8,
            handshakes_per_address: 8,
            handshake_time: Duration::from_secs(5),
            preface_time: Duration::from_millis(200),
            request_time: Duration::from_secs(5),
            idle_time: Duration::from_mins(1),
            connection_age: Duration::from_mins(1),
        }
    }

    async fn start()
    -> (SocketAddr, ReceiverStream<io::Result<PeerStream<SocketAddr>>>, Arc<AcceptCounts>, CancellationToken) {
        let listeners = listen(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let address = listeners[0].local_addr().unwrap();
        let (counts, stop) = (Arc::new(AcceptCounts::default()), CancellationToken::new());
        let live = Arc::default();
        let stream = accept(listeners, &Security::Loopback, limits(), &Arc::new(Anyone), &live, &counts, &stop);
        (address, stream, counts, stop)
    }

    #[tokio::test]
    async fn a_silent_peer_is_closed_and_its_slot_given_back() {
        let (address, mut accepted, _, _stop) = start().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut stream = accepted.next().await.unwrap().unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(stream);
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0, "the peer sees the end");
    }

    #[tokio::test]
    async fn a_peer_that_speaks_in_time_is_not_closed() {
        let (address, mut accepted, _, _stop) = start().await;
        let mut peer = TcpStream::connect(address).await.unwrap();
        let mut stream = accepted.next().await.unwrap().unwrap();
        peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut preface = [0; PREFACE_BYTES];
        stream.read_exact(&mut preface).await.unwrap();
        sleep(Duration::from_millis(300)).await;
        peer.write_all(b"x").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn an_address_beyond_its_slots_is_refused_and_counted() {
        let (address, mut accepted, counts, stop) = start().await;
        let (_a, _b) = (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let held = (accepted.next().await.unwrap().unwrap(), accepted.next().await.unwrap().unwrap());
        let mut third = TcpStream::connect(address).await.unwrap();
        assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed at once");
        assert_eq!(counts.refused().get("too-many-of-address"), Some(&1));
        drop(held);
        let _again = TcpStream::connect(address).await.unwrap();
        assert!(accepted.next().await.unwrap().is_ok());
        stop.cancel();
    }
}
