//! A machine's clock against the collector's.

use serde::{Deserialize, Serialize};

/// How far a clock is ahead of the collector's.
///
/// It moves by itself, so a probe tells a new value only where it crosses 60 or 300 seconds or differs by a quarter of a
/// minute from the one it told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Seconds that it is ahead; negative where it is behind. Half of the way to the collector and back is taken off.
    pub ahead_seconds: i32,
}
