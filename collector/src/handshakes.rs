//! The handshakes under way at a listener: bounded in all and per address, and never in the way of the next one.
//!
//! When every place is taken, the oldest gives way rather than the newest being refused: whoever means it is done
//! within a round trip or two, so what is oldest is most likely a peer that connected and stays silent. A thousand of
//! those cost a machine that wants to report nothing; refusing the newest would lock it out until their time is over.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The handshakes under way.
#[derive(Debug)]
pub(crate) struct Handshakes {
    most: usize,
    most_of_address: usize,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    next: u64,
    /// By age, the oldest first.
    all: BTreeMap<u64, (IpAddr, CancellationToken)>,
    of_address: HashMap<IpAddr, BTreeSet<u64>>,
}

impl UnderWay {
    fn remove(&mut self, number: u64) -> Option<CancellationToken> {
        let (address, gives_way) = self.all.remove(&number)?;
        if let Some(own) = self.of_address.get_mut(&address) {
            own.remove(&number);
            if own.is_empty() {
                self.of_address.remove(&address);
            }
        }
        Some(gives_way)
    }
}

impl Handshakes {
    /// At most so many in all, and so many of one address.
    pub(crate) fn new(most: usize, most_of_address: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), most_of_address: most_of_address.max(1), under_way: Mutex::default() })
    }

    /// Takes a place. Where there is none, the oldest of the address, or of all, gives way.
    pub(crate) fn begin(self: &Arc<Self>, address: IpAddr) -> Handshake {
        let mut guard = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = &mut *guard;
        let oldest_of_address = (under_way.of_address.get(&address))
            .filter(|own| own.len() >= self.most_of_address)
            .and_then(|own| own.first().copied());
        let oldest = oldest_of_address
            .or_else(|| (under_way.all.len() >= self.most).then(|| under_way.all.keys().next().copied()).flatten());
        if let Some(gives_way) = oldest.and_then(|number| under_way.remove(number)) {
            gives_way.cancel();
        }
        let (number, gives_way) = (under_way.next, CancellationToken::new());
        under_way.next += 1;
        under_way.all.insert(number, (address, gives_way.clone()));
        under_way.of_address.entry(address).or_default().insert(number);
        Handshake { of: Arc::clone(self), number, gives_way }
    }
}

/// A place among the handshakes under way, given back when dropped.
#[derive(Debug)]
pub(crate) struct Handshake {
    of: Arc<Handshakes>,
    number: u64,
    /// Cancelled when a newer one needs the place.
    pub(crate) gives_way: CancellationToken,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn given_way(handshakes: &[Handshake]) -> Vec<bool> {
        handshakes.iter().map(|handshake| handshake.gives_way.is_cancelled()).collect()
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let places = Handshakes::new(3, 3);
        let begun: Vec<Handshake> = (1..=5).map(|last| places.begin(address(last))).collect();
        assert_eq!(given_way(&begun), [true, true, false, false, false]);
        drop(begun);
        let under_way = places.under_way.lock().unwrap();
        assert!(under_way.all.is_empty() && under_way.of_address.is_empty(), "{under_way:?}");
    }

    #[test]
    fn an_address_with_many_pushes_out_its_own() {
        let places = Handshakes::new(4, 2);
        let others = [places.begin(address(1)), places.begin(address(2))];
        let greedy: Vec<Handshake> = (0..10).map(|_| places.begin(address(9))).collect();
        assert_eq!(given_way(&others), [false, false]);
        assert_eq!(greedy.iter().filter(|handshake| !handshake.gives_way.is_cancelled()).count(), 2);
    }

    #[test]
    fn a_place_that_was_given_back_pushes_nobody_out() {
        let places = Handshakes::new(2, 2);
        let first = places.begin(address(1));
        for _ in 0..10 {
            drop(places.begin(address(1)));
        }
        assert!(!first.gives_way.is_cancelled());
    }
}
