//! How each system starts and stops the probe. No probing.
//!
//! Every platform file exposes one function of the same signature, [`requests`].

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub use self::other::requests;
#[cfg(unix)]
pub use self::unix::requests;

/// What the system asks of a running probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To end, in an orderly way.
    Stop,
    /// To look and report at once.
    Collect,
}
