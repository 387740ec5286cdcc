//! Times of a key credential, in two encodings that nothing marks reliably.
//!
//! Active Directory writes a FILETIME (100 ns since 1601), Entra ID a .NET `DateTime.ToBinary()` (100 ns since the
//! year 1 in the low 62 bits, the kind above them). The form that the value suggests is tried first; a result outside
//! the plausible years means that it was the other one.

use muster_evidence::Timestamp;

/// Ticks from 0001-01-01 to 1601-01-01.
const TICKS_TO_1601: u64 = 504_911_232_000_000_000;
/// Milliseconds from 1601-01-01 to 1970-01-01.
const MS_TO_1970: i64 = 11_644_473_600_000;
/// 2015-01-01T00:00:00Z: no Hello key is older.
const EARLIEST_UNIX_MS: i64 = 1_420_070_400_000;
const DAY_MS: i64 = 86_400_000;

/// What a raw time says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// A plausible time.
    At(Timestamp),
    /// A placeholder: the writer never fills the field in.
    NeverFilledIn,
    /// Neither encoding yields a plausible time.
    Implausible,
}

/// Reads a raw time. `azure_ad` says that the value's source is Entra ID.
pub(super) fn read(raw: u64, azure_ad: bool, now: Timestamp) -> Stamp {
    let ticks = raw & 0x3FFF_FFFF_FFFF_FFFF;
    // Keys from Entra ID carry the first hours of the year 1 (a default time moved by a time zone) as last use.
    if ticks < 24 * 36_000_000_000 {
        return Stamp::NeverFilledIn;
    }
    let binary = ticks.checked_sub(TICKS_TO_1601);
    let file_time = Some(raw);
    let order = if raw >> 62 == 1 || azure_ad { [binary, file_time] } else { [file_time, binary] };
    order.into_iter().flatten().find_map(|file_time| plausible(file_time, now)).map_or(Stamp::Implausible, Stamp::At)
}

fn plausible(file_time: u64, now: Timestamp) -> Option<Timestamp> {
    let unix_ms = i64::try_from(file_time / 10_000).ok()? - MS_TO_1970;
    let latest = now.plus_ms(DAY_MS).unix_ms();
    (EARLIEST_UNIX_MS..=latest).contains(&unix_ms).then(|| Timestamp::from_unix_ms(unix_ms).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_and_what_is_neither() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let at = Stamp::At("2026-03-02T08:14:07Z".parse().unwrap());
        for (raw, azure_ad, expected) in [
            (5_250_766_378_897_387_904, true, at),
            (5_250_766_378_897_387_904, false, at),
            (134_169_128_470_000_000, false, at),
            (134_169_128_470_000_000, true, at),
            (639_080_360_470_000_000, false, at),
            (0x4000_0043_0E23_4000, true, Stamp::NeverFilledIn),
            (0x4000_0000_0000_0000, true, Stamp::NeverFilledIn),
            (0, false, Stamp::NeverFilledIn),
            (u64::MAX, false, Stamp::Implausible),
            (u64::MAX, true, Stamp::Implausible),
            (1 << 63, false, Stamp::NeverFilledIn),
            (0x7FFF_FFFF_FFFF_FFFF, true, Stamp::Implausible),
            (116_444_736_000_000_000, false, Stamp::Implausible), // 1970
        ] {
            assert_eq!(read(raw, azure_ad, now), expected, "{raw} {azure_ad}");
        }
    }

    #[test]
    fn a_time_ahead_of_now_is_believed_for_a_day() {
        let created = 134_169_128_470_000_000;
        let day_before: Timestamp = "2026-03-01T08:14:07Z".parse().unwrap();
        assert!(matches!(read(created, false, day_before), Stamp::At(_)));
        assert_eq!(read(created, false, day_before.plus_ms(-1)), Stamp::Implausible);
    }
}
