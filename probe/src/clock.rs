//! The clock at the edge of the probe. Everything behind it takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use muster_evidence::Timestamp;

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// Now, by the clock of this machine.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        timestamp(SystemTime::now())
    }
}

/// The same instant in the vocabulary of evidence, held at the ends of its range.
pub fn timestamp(at: SystemTime) -> Timestamp {
    let ms = match at.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Timestamp::from_unix_ms(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_on_both_sides_of_1970() {
        assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(1_500)).unix_ms(), 1_500);
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(2)).unix_ms(), -2_000);
    }
}
