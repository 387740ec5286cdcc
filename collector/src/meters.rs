//! What the collector counts about its own work: reports, commits, exports.
//!
//! Counters and histograms are plain atomics, counted where the work is done and read by `view::metrics`, the one place
//! that gives them names. A count is kept for as long as the process lives; nothing in here is about a peer or a host.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_proto::link::Chain;
use muster_proto::v1;

use crate::store::StoreError;
use crate::submit::Refused;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts several.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// How many there have been.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Most bounds of a histogram.
const MOST_BOUNDS: usize = 16;

/// Upper bounds, in seconds, of how long a report or a commit takes: from a report that says nothing new to a disk that
/// hangs.
pub const DURATION_BOUNDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds of how many changes share a commit; the committer's batch is the last.
pub const GROUP_BOUNDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Counts of values by upper bound.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One per bound, and one for what is above all of them.
    counts: [AtomicU64; MOST_BOUNDS + 1],
    /// In millionths, which hold 580,000 years of seconds.
    sum: AtomicU64,
}

/// What a histogram had counted at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Upper bounds, in order; a value that equals one is within it.
    pub bounds: &'static [f64],
    /// Values within each bound and above the one before, and last those above all bounds.
    pub counts: Vec<u64>,
    /// The values' sum.
    pub sum: f64,
}

impl Distribution {
    /// A distribution of nothing yet.
    pub fn empty(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts a value.
    pub fn note(&mut self, value: f64) {
        self.counts[bucket(self.bounds, value)] += 1;
        self.sum += value;
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

fn bucket(bounds: &[f64], value: f64) -> usize {
    bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len())
}

impl Histogram {
    /// A histogram with these upper bounds, at most 16 of them.
    ///
    /// # Panics
    ///
    /// If there are more; both lists of bounds are constants that a test counts.
    pub const fn new(bounds: &'static [f64]) -> Self {
        assert!(bounds.len() <= MOST_BOUNDS, "there is room for 16 bounds");
        Self { bounds, counts: [const { AtomicU64::new(0) }; MOST_BOUNDS + 1], sum: AtomicU64::new(0) }
    }

    /// Counts how long something took.
    pub fn note_duration(&self, took: Duration) {
        self.note_micros(took.as_secs_f64(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a number of things.
    pub fn note_count(&self, count: u32) {
        self.note_micros(f64::from(count), u64::from(count) * 1_000_000);
    }

    fn note_micros(&self, value: f64, micros: u64) {
        self.counts[bucket(self.bounds, value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// What has been counted so far.
    pub fn read(&self) -> Distribution {
        let counts = self.counts[..=self.bounds.len()].iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let sum = Duration::from_micros(self.sum.load(Ordering::Relaxed)).as_secs_f64();
        Distribution { bounds: self.bounds, counts, sum }
    }
}

/// Reports taken and refused.
#[derive(Debug)]
pub struct ReportMeters {
    /// Answered `COMMITTED`.
    pub committed: Counter,
    /// Answered `SEEN`.
    pub seen: Counter,
    /// Answered `SUPERSEDED`.
    pub superseded: Counter,
    /// Refused as a whole, by the words of [`REFUSAL_REASONS`].
    pub refused: [Counter; REFUSAL_REASONS.len()],
    /// From the message's arrival to its answer.
    pub duration: Histogram,
}

/// Why reports are refused as a whole: the words of [`crate::submit::Refused::reason`].
pub const REFUSAL_REASONS: [&str; 4] = ["invalid", "host-mismatch", "not-stored", "contended"];

impl ReportMeters {
    /// Counts a report by its answer.
    pub(crate) fn note(&self, took: Duration, answer: Result<&v1::ReportResponse, &Refused>) {
        self.duration.note_duration(took);
        match answer {
            Ok(answer) => match answer.acknowledgement() {
                v1::Acknowledgement::Committed => self.committed.inc(),
                v1::Acknowledgement::Seen => self.seen.inc(),
                v1::Acknowledgement::Superseded | v1::Acknowledgement::Unspecified => self.superseded.inc(),
            },
            Err(refused) => {
                if let Some(place) = REFUSAL_REASONS.iter().position(|known| *known == refused.reason()) {
                    self.refused[place].inc();
                }
            }
        }
    }
}

/// What the store was asked to write.
#[derive(Debug)]
pub struct CommitMeters {
    /// How long group commits took that succeeded.
    pub duration: Histogram,
    /// How many changes shared one.
    pub group: Histogram,
    /// Group commits that failed.
    pub failed: Counter,
    /// Why the last write failed; empty while the store takes writes.
    trouble: Mutex<String>,
}

impl CommitMeters {
    /// Counts a group commit, and notes whether the store takes writes.
    pub(crate) fn note(&self, took: Duration, changes: usize, error: Option<&StoreError>) {
        let trouble = error.map(|error| Chain(error).to_string()).unwrap_or_default();
        if error.is_some() {
            self.failed.inc();
        } else {
            self.duration.note_duration(took);
            self.group.note_count(u32::try_from(changes).unwrap_or(u32::MAX));
        }
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != trouble {
            *known = trouble;
        }
    }

    /// Why the store took no writes when it was last asked to; `None` while it takes them.
    pub fn trouble(&self) -> Option<String> {
        let known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        (!known.is_empty()).then(|| known.clone())
    }
}

/// Everything the collector counts about its own work.
#[derive(Debug)]
pub struct Meters {
    /// Reports.
    pub reports: ReportMeters,
    /// Group commits.
    pub commits: CommitMeters,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            reports: ReportMeters {
                committed: Counter::default(),
                seen: Counter::default(),
                superseded: Counter::default(),
                refused: Default::default(),
                duration: Histogram::new(DURATION_BOUNDS),
            },
            commits: CommitMeters {
                duration: Histogram::new(DURATION_BOUNDS),
                group: Histogram::new(GROUP_BOUNDS),
                failed: Counter::default(),
                trouble: Mutex::default(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_within_their_bounds() {
        let histogram = Histogram::new(&[1.0, 10.0]);
        for count in [0, 1, 2, 10, 11, 1_000] {
            histogram.note_count(count);
        }
        histogram.note_duration(Duration::from_millis(500));
        let read = histogram.read();
        assert_eq!((read.counts.as_slice(), read.count()), ([3, 2, 2].as_slice(), 7));
        assert!((read.sum - 1_024.5).abs() < 1e-9, "{}", read.sum);
        let mut same = Distribution::empty(&[1.0, 10.0]);
        for value in [0.0, 1.0, 2.0, 10.0, 11.0, 1_000.0, 0.5] {
            same.note(value);
        }
        assert_eq!(same, read);
    }

    #[test]
    fn bounds_rise() {
        for bounds in [DURATION_BOUNDS, GROUP_BOUNDS] {
            assert!(bounds.is_sorted_by(|left, right| left < right) && bounds.len() <= MOST_BOUNDS);
        }
    }
}
