//! When a connection last carried a call, so that one that only keeps its place is ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The last call of a connection. Pings show that a peer is alive, not that it has anything to say; they do not count.
#[derive(Debug)]
pub(crate) struct Activity {
    since: Instant,
    last_ms: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self { since: Instant::now(), last_ms: AtomicU64::new(0) }
    }
}

impl Activity {
    /// Notes a call, or a message on a stream.
    pub(crate) fn note(&self) {
        self.note_at(self.since.elapsed());
    }

    /// How long ago that was; since the connection began where there was none.
    pub(crate) fn idle(&self) -> Duration {
        self.idle_at(self.since.elapsed())
    }

    fn note_at(&self, age: Duration) {
        self.last_ms.fetch_max(u64::try_from(age.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn idle_at(&self, age: Duration) -> Duration {
        age.saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_call_counts() {
        let activity = Activity::default();
        let seconds = Duration::from_secs;
        assert_eq!(activity.idle_at(seconds(5)), seconds(5));
        activity.note_at(seconds(5));
        activity.note_at(seconds(3));
        assert_eq!(activity.idle_at(seconds(7)), seconds(2));
        assert_eq!(activity.idle_at(seconds(4)), seconds(0));
    }
}
