//! How many traces are kept: all that deserve it, within a bound for each peer and one for all.
//!
//! A trace deserves it when its report was refused, was a host's first, changed a verdict, or was chosen by the probe
//! that began it. The last is the peer's word, and so in effect is the first: without a bound a peer could have every
//! report of a flood recorded and exported.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time in which the bounds below hold.
const WINDOW: Duration = Duration::from_mins(1);

/// Traces kept of one peer. A relay or a domain controller has a few that deserve it in a minute.
const OF_PEER: u32 = 30;

/// Traces kept of all peers: a fleet that reports for the first time has as many at once as it has hosts.
const OF_ALL: u32 = 3_000;

/// Keeps count of the traces that are kept.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    hasher: RandomState,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    all: u32,
    /// Never more of them than traces are kept of all.
    peers: HashMap<u64, u32>,
}

impl Sampling {
    /// Whether one more trace of this peer's is kept.
    pub(crate) fn admit(&self, peer: impl Hash, now: Instant) -> bool {
        let peer = self.hasher.hash_one(peer);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            *window = Window { began: Some(now), ..Window::default() };
        }
        if window.all >= OF_ALL {
            return false;
        }
        let of_peer = window.peers.entry(peer).or_default();
        if *of_peer >= OF_PEER {
            return false;
        }
        *of_peer += 1;
        window.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_peer_or_of_many_is_bounded() {
        let (sampling, now) = (Sampling::default(), Instant::now());
        let flood = |peer: u32, now| (0..10_000).filter(|_| sampling.admit(peer, now)).count();
        assert_eq!(flood(1, now), OF_PEER as usize);
        assert_eq!(flood(2, now), OF_PEER as usize, "another peer has its own");
        let many = (10..10_000_u32).filter(|peer| sampling.admit(peer, now)).count();
        assert_eq!(many, (OF_ALL - 2 * OF_PEER) as usize);
        assert!(sampling.window.lock().unwrap().peers.len() <= OF_ALL as usize);
        assert_eq!(flood(1, now + WINDOW), OF_PEER as usize, "another minute");
    }
}
