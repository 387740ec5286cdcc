//! How often the same thing about the same peer is written to the log: once a minute, then a count.
//!
//! A probe that is refused comes back, and a fleet with one fault comes back as a whole; what an operator needs is one
//! line that says so and how often it has been so since. What is remembered is bounded too: beyond it nothing is
//! written for a while, and how much that was is told with the next line that is.
//!
//! Time is an argument, and the monotonic clock's: setting the wall clock must neither open nor close the gate.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For how long a peer's line about a reason stands for all that follow.
const LINE_STANDS_FOR: Duration = Duration::from_mins(1);

/// Pairs of peer and reason that are remembered at once.
pub(crate) const REMEMBERED: usize = 4_096;

/// Least time between two searches for what may be forgotten, while as much as may be is remembered.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What a line that is written says about those that were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldBack {
    /// Lines about the same peer and reason since the last one.
    pub(crate) same: u64,
    /// Lines about peers and reasons that are remembered no more, or were too many to be.
    pub(crate) others: u64,
}

/// Lets through one line per peer, reason and minute.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    hasher: RandomState,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    /// By peer and reason: when a line was last written, and how many were held back since. Peers choose their names
    /// and their number, so what is kept of them is of one size.
    written: HashMap<u64, (Instant, u64)>,
    others: u64,
    swept: Option<Instant>,
}

impl LogLimit {
    /// Whether a line may be written now, and what it must say of those that were not. `reason` is one of few words,
    /// never a text that the peer makes up.
    pub(crate) fn admit(&self, peer: impl Hash, reason: &str, now: Instant) -> Option<HeldBack> {
        let about = self.hasher.hash_one((peer, reason));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = &mut *lines;
        let same = if let Some((at, held_back)) = lines.written.get_mut(&about) {
            if now.duration_since(*at) < LINE_STANDS_FOR {
                *held_back += 1;
                return None;
            }
            *held_back
        } else if lines.has_room(now) {
            0
        } else {
            lines.others += 1;
            return None;
        };
        lines.written.insert(about, (now, 0));
        Some(HeldBack { same, others: std::mem::take(&mut lines.others) })
    }
}

impl Lines {
    /// Whether one more can be remembered, after those are forgotten whose minute is over.
    fn has_room(&mut self, now: Instant) -> bool {
        let swept_lately = self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP_EVERY);
        if self.written.len() >= REMEMBERED && !swept_lately {
            self.swept = Some(now);
            let others = &mut self.others;
            self.written.retain(|_, (at, held_back)| {
                let stands = now.duration_since(*at) < LINE_STANDS_FOR;
                if !stands {
                    *others += *held_back;
                }
                stands
            });
        }
        self.written.len() < REMEMBERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Option<HeldBack> = written(0, 0);

    #[expect(clippy::unnecessary_wraps, reason = "what is compared with is an option")]
    const fn written(same: u64, others: u64) -> Option<HeldBack> {
        Some(HeldBack { same, others })
    }

    #[test]
    fn one_line_per_peer_reason_and_minute_then_a_count() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        // (ms after the start, peer, reason, what may be written)
        let steps = [
            (0, "pc1", "expired", FIRST),
            (0, "pc1", "expired", None),
            (1, "pc1", "revoked", FIRST), // another reason is another matter
            (1, "pc2", "expired", FIRST), // and so is another peer
            (59_999, "pc1", "expired", None),
            (60_000, "pc1", "expired", written(2, 0)),
            (60_000, "pc1", "expired", None), // the minute begins anew
            (60_001, "pc2", "expired", FIRST),
            (180_000, "pc1", "expired", written(1, 0)),
        ];
        for (ms, peer, reason, expected) in steps {
            let now = start + Duration::from_millis(ms);
            assert_eq!(limit.admit(peer, reason, now), expected, "{reason} of {peer} after {ms} ms");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nothing_goes_uncounted() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        for peer in 0..REMEMBERED {
            assert_eq!(limit.admit(peer, "expired", start), FIRST, "{peer}");
        }
        assert_eq!(limit.admit(0, "expired", start), None);
        for peer in 0..10 {
            assert_eq!(limit.admit(REMEMBERED + peer, "expired", start), None, "no room for one more");
        }
        assert_eq!(limit.lines.lock().unwrap().written.len(), REMEMBERED);
        // The ten that had no room, and the one that was held back and is forgotten now.
        let later = start + LINE_STANDS_FOR;
        assert_eq!(limit.admit(REMEMBERED, "expired", later), written(0, 11));
        assert_eq!(limit.admit(REMEMBERED + 1, "expired", later), FIRST);
        assert_eq!(limit.lines.lock().unwrap().written.len(), 2);
    }
}
