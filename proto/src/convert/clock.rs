//! A machine's clock against the collector's.

use muster_evidence::Clock;

use super::field::{self, InvalidField};
use crate::v1;

impl From<&Clock> for v1::Clock {
    fn from(clock: &Clock) -> Self {
        let Clock { ahead_seconds } = clock;
        Self { ahead_seconds: Some(*ahead_seconds) }
    }
}

impl TryFrom<v1::Clock> for Clock {
    type Error = InvalidField;

    fn try_from(message: v1::Clock) -> Result<Self, Self::Error> {
        let v1::Clock { ahead_seconds } = message;
        Ok(Self { ahead_seconds: field::required(ahead_seconds, "ahead_seconds")? })
    }
}
