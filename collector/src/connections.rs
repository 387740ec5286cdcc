//! The connections that are alive at a listener, with what their peers proved, so that one that should be no more is
//! ended: its certificate came to its end, was revoked or blocked, or a role was taken from its host.
//!
//! A connection is entered under the generation of trust it was checked by. Where trust changed between its check and
//! its entry it is checked again, so that no reload passes it by.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

/// The live connections of one listener.
#[derive(Debug)]
pub struct Connections<P>(Mutex<Inner<P>>);

#[derive(Debug)]
struct Inner<P> {
    generation: u64,
    next: u64,
    live: BTreeMap<u64, Live<P>>,
}

/// A live connection.
#[derive(Clone, Debug)]
pub struct Live<P> {
    /// The certificates its peer proved to hold, its own first; empty without TLS.
    pub chain: Arc<[CertificateDer<'static>]>,
    /// What the peer proved to be.
    pub peer: P,
    /// Where it connects from.
    pub address: IpAddr,
    /// Ends it.
    pub end: CancellationToken,
}

impl<P> Default for Connections<P> {
    fn default() -> Self {
        Self(Mutex::new(Inner { generation: 0, next: 0, live: BTreeMap::new() }))
    }
}

impl<P: Clone> Connections<P> {
    fn lock(&self) -> MutexGuard<'_, Inner<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation of trust. Ask for it before checking a peer.
    pub fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Enters a connection that was checked in a generation; `None` where trust has changed since.
    pub fn enter(self: &Arc<Self>, generation: u64, live: Live<P>) -> Option<Entry<P>> {
        let mut inner = self.lock();
        if inner.generation != generation {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        inner.live.insert(number, live);
        Some(Entry { connections: Arc::clone(self), number })
    }

    /// Begins the next generation, after what is believed was changed: the connections to be checked again.
    pub fn next_generation(&self) -> Vec<Live<P>> {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.live.values().cloned().collect()
    }

    /// The connections for which something holds.
    pub fn that(&self, holds: impl Fn(&P) -> bool) -> Vec<Live<P>> {
        self.lock().live.values().filter(|live| holds(&live.peer)).cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().live.len()
    }
}

/// A connection's place among the live ones, given back when dropped.
#[derive(Debug)]
pub struct Entry<P> {
    connections: Arc<Connections<P>>,
    number: u64,
}

impl<P> Drop for Entry<P> {
    fn drop(&mut self) {
        self.connections.0.lock().unwrap_or_else(PoisonError::into_inner).live.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(peer: u32) -> Live<u32> {
        Live { chain: Arc::new([]), peer, address: IpAddr::from([127, 0, 0, 1]), end: CancellationToken::new() }
    }

    #[test]
    fn no_change_of_trust_passes_a_connection_by() {
        let connections = Arc::new(Connections::default());
        let checked_in = connections.generation();
        let first = connections.enter(checked_in, live(1)).unwrap();
        assert_eq!(connections.next_generation().len(), 1);
        assert!(connections.enter(checked_in, live(2)).is_none(), "was checked by what is believed no more");
        let _second = connections.enter(connections.generation(), live(2)).unwrap();
        assert_eq!(connections.that(|peer| *peer == 2).len(), 1);
        drop(first);
        assert_eq!(connections.count(), 1);
    }
}
