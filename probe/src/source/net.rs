//! Plain connections on which everything together ends by one deadline, for sources that ask servers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use muster_evidence::FailureReason;

/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name has no address that could be found.
    #[error("failed to resolve `{host}`")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No address answers.
    #[error("failed to connect to `{at}`: {tried}")]
    Connect {
        /// Host and port.
        at: String,
        /// The addresses, each with what the system said.
        tried: String,
        /// The class of the last failure.
        reason: FailureReason,
    },
}

/// A host and a port as people write them.
pub(crate) fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Tries every address of a host, IPv6 and IPv4 as the resolver orders them, within the deadline.
pub(crate) fn connect(host: &str, port: u16, deadline: Instant) -> Result<DeadlineStream, ConnectError> {
    let resolve = |source| ConnectError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => (host, port).to_socket_addrs().map_err(resolve)?.take(MOST_ADDRESSES).collect(),
    };
    let mut tried = Vec::new();
    let mut reason = FailureReason::Unavailable;
    for (index, address) in addresses.iter().enumerate() {
        // What is left is shared, so that a dead first address leaves time for the next.
        let others = u32::try_from(addresses.len() - index).unwrap_or(1);
        let share = deadline.saturating_duration_since(Instant::now()) / others;
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(DeadlineStream { stream, deadline }),
            Err(error) => {
                reason = super::failure_reason(&error);
                tried.push(format!("{address}: {error}"));
            }
        }
    }
    let tried = if tried.is_empty() { "the name has no address".to_owned() } else { tried.join("; ") };
    Err(ConnectError::Connect { at: shown(host, port), tried, reason })
}

/// A connection on which all reads and writes together end by one deadline, however slowly the peer drips.
#[derive(Debug)]
pub(crate) struct DeadlineStream {
    stream: TcpStream,
    deadline: Instant,
}

impl DeadlineStream {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "the peer was too slow")) } else { Ok(left) }
    }
}

/// A socket's own timeout reads as "would block" on some systems; it is one word here.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the peer was too slow"),
        _ => error,
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
