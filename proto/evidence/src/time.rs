//! Points in time. There is no `now()` here: clocks belong to the programs' edges.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z, within the years 1601 to 9999.
///
/// The lower end is the first year a Windows `FILETIME` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Says why a value is no [`Timestamp`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimestamp {
    /// The number lies outside the years 1601 to 9999.
    #[error("timestamp {unix_ms} ms lies outside the years 1601 to 9999")]
    OutOfRange {
        /// The value found, in milliseconds since 1970.
        unix_ms: i64,
    },
    /// The text is not an RFC 3339 time.
    #[error("`{text}` is not an RFC 3339 time (expected for example `2026-03-02T08:14:07Z`)")]
    NotRfc3339 {
        /// The text found.
        text: String,
    },
}

impl Timestamp {
    /// The first representable instant, 1601-01-01T00:00:00Z.
    pub const MIN: Self = Self(-11_644_473_600_000);
    /// The last representable instant, 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// Builds a timestamp from milliseconds since 1970.
    pub const fn from_unix_ms(unix_ms: i64) -> Result<Self, InvalidTimestamp> {
        if unix_ms < Self::MIN.0 || unix_ms > Self::MAX.0 {
            return Err(InvalidTimestamp::OutOfRange { unix_ms });
        }
        Ok(Self(unix_ms))
    }

    /// Builds a timestamp from seconds since 1970.
    pub const fn from_unix_seconds(seconds: i64) -> Result<Self, InvalidTimestamp> {
        Self::from_unix_ms(seconds.saturating_mul(1_000))
    }

    /// Milliseconds since 1970; negative before it.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// This instant plus `ms` milliseconds (which may be negative), held at [`Self::MIN`] and [`Self::MAX`].
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// This instant plus `minutes`, held at the ends of the range.
    #[must_use]
    pub fn plus_minutes(self, minutes: i64) -> Self {
        self.plus_ms(minutes.saturating_mul(60_000))
    }

    /// This instant plus `days` of 24 hours, held at the ends of the range.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        self.plus_ms(days.saturating_mul(86_400_000))
    }

    /// Milliseconds from `earlier` to this instant; negative when `earlier` is the later one.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0 // both lie within ±2^48, so this cannot overflow
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        f.write_str(&at.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| InvalidTimestamp::NotRfc3339 { text: text.chars().take(64).collect() })?;
        let ms = i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX);
        Self::from_unix_ms(ms)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        let at = Timestamp::from_unix_ms(1_772_439_247_000).unwrap();
        assert_eq!(at.to_string(), "2026-03-02T08:14:07Z");
        assert_eq!("2026-03-02T08:14:07Z".parse(), Ok(at));
        assert_eq!("2026-03-02T09:14:07.000+01:00".parse(), Ok(at));
    }

    #[test]
    fn the_ends_are_named_when_passed() {
        assert_eq!(Timestamp::MIN.to_string(), "1601-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.plus_days(1), Timestamp::MAX);
        assert_eq!(
            Timestamp::from_unix_ms(i64::MAX).unwrap_err().to_string(),
            "timestamp 9223372036854775807 ms lies outside the years 1601 to 9999"
        );
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
