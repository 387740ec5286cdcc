//! How many AS requests a KDC answers: the table that `typeperf` writes, a sample per minute for an hour.
//!
//! Its times are the machine's own without saying how far from UTC that is, so only the time between them counts: the
//! last sample is as old as the file.

use muster_evidence::{KdcCounter, KdcLoad, Timestamp};
use time::{Date, Month, PrimitiveDateTime, Time};

/// Most samples that are read; more than a day of minutes says nothing more.
const MAX_SAMPLES: usize = 2880;

/// Shortest time that says something of an hour's load, in minutes.
const LEAST_MINUTES: usize = 5;

/// Samples of the counter.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Which counter it is.
    pub counter: KdcCounter,
    /// Time before the last sample in milliseconds, and the rate in thousandths of a request per second; the oldest
    /// first.
    pub samples: Vec<(i64, u32)>,
}

/// Says that a text is not such a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLoad {
    /// It has no head with the counter.
    #[error(
        "no column `KDC AS Requests` (expected what `typeperf \"\\Security System-Wide Statistics\\KDC AS Requests\"` prints; begins with `{start}`)"
    )]
    NoCounter {
        /// The beginning of the text.
        start: String,
    },
    /// There are too few samples.
    #[error("{found} minutes with a sample (at least {LEAST_MINUTES} are needed: `typeperf … -si 60 -sc 60`)")]
    TooFew {
        /// How many there are.
        found: usize,
    },
}

/// Reads a table.
pub fn load(text: &str) -> Result<Samples, InvalidLoad> {
    let no_counter = || InvalidLoad::NoCounter {
        start: text.trim().chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect(),
    };
    let mut lines = text.lines().map(str::trim);
    let head = lines.by_ref().find(|line| line.contains("(PDH-CSV")).ok_or_else(no_counter)?;
    let column = fields(head).iter().position(|name| name.to_ascii_lowercase().ends_with("\\kdc as requests"));
    let column = column.filter(|column| *column > 0).ok_or_else(no_counter)?;
    let is_old = fields(head)[column].to_ascii_lowercase().contains("\\ntds");
    let mut rows: Vec<(i64, u32)> = Vec::new();
    for line in lines {
        let fields = fields(line);
        let at = fields.first().and_then(|time| sampled_at(time));
        // The first sample of a rate is blank, and one that failed is -1.
        let rate = fields.get(column).and_then(|rate| rate.trim().replace(',', ".").parse::<f64>().ok());
        if let (Some(at), Some(rate)) = (at, rate.filter(|rate| rate.is_finite() && *rate >= 0.0)) {
            if rows.len() == MAX_SAMPLES {
                break;
            }
            rows.push((at, milli(rate)));
        }
    }
    let last = rows.iter().map(|(at, _)| *at).max().unwrap_or_default();
    let mut samples: Vec<(i64, u32)> = rows.into_iter().map(|(at, rate)| (last - at, rate)).collect();
    samples.sort_unstable_by_key(|(before, _)| std::cmp::Reverse(*before));
    let counter = if is_old { KdcCounter::Ntds } else { KdcCounter::SecuritySystemWide };
    let found = Samples { counter, samples };
    match found.minutes().len() {
        enough if enough >= LEAST_MINUTES => Ok(found),
        found => Err(InvalidLoad::TooFew { found }),
    }
}

impl Samples {
    /// The mean of each minute of the last hour that has a sample, the newest first.
    fn minutes(&self) -> Vec<u32> {
        let mut minutes: std::collections::BTreeMap<i64, (u64, u64)> = std::collections::BTreeMap::new();
        for (before, rate) in self.samples.iter().filter(|(before, _)| *before < HOUR_MS) {
            let (sum, count) = minutes.entry(before / 60_000).or_default();
            *sum += u64::from(*rate);
            *count += 1;
        }
        minutes.into_values().map(|(sum, count)| u32::try_from(sum / count.max(1)).unwrap_or(u32::MAX)).collect()
    }

    /// The load of the hour before the last sample, which was taken at `taken_at`.
    pub fn hour(&self, taken_at: Timestamp) -> KdcLoad {
        let minutes = self.minutes();
        let sum: u64 = minutes.iter().map(|rate| u64::from(*rate)).sum();
        let count = u64::try_from(minutes.len()).unwrap_or(u64::MAX).max(1);
        KdcLoad {
            counter: self.counter,
            since: taken_at.plus_minutes(-60),
            peak_milli: minutes.iter().copied().max().unwrap_or_default(),
            mean_milli: u32::try_from(sum / count).unwrap_or(u32::MAX),
            minutes: u32::try_from(minutes.len()).unwrap_or(60),
        }
    }
}

const HOUR_MS: i64 = 3_600_000;

/// Thousandths of a rate; no KDC comes near the bound.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn milli(rate: f64) -> u32 {
    (rate * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// The fields of a line: quoted, with commas between them. No quote stands within one.
fn fields(line: &str) -> Vec<String> {
    line.split("\",\"").map(|field| field.trim_matches('"').to_owned()).take(256).collect()
}

/// `03/02/2026 08:14:07.123`: month first in every language. Milliseconds of no particular clock.
fn sampled_at(text: &str) -> Option<i64> {
    let (date, clock) = text.trim().split_once(' ')?;
    let mut date = date.split('/').map(|part| part.parse::<u16>().ok());
    let (month, day, year) = (date.next()??, date.next()??, date.next()??);
    let (clock, milli) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.split(':').map(|part| part.parse::<u8>().ok());
    let clock = Time::from_hms_milli(clock.next()??, clock.next()??, clock.next()??, milli.parse().ok()?).ok()?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()?;
    let at = PrimitiveDateTime::new(date, clock).assume_utc();
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn table(counter: &str, rows: &[(u32, &str)]) -> String {
        let mut text = format!("\r\n\"(PDH-CSV 4.0)\",\"\\\\DC1\\{counter}\\KDC AS Requests\"\r\n");
        for (minute, rate) in rows {
            writeln!(text, "\"03/02/2026 {:02}:{:02}:07.123\",\"{rate}\"\r", 8 + minute / 60, minute % 60).unwrap();
        }
        text + "Exiting, please wait...\r\nThe command completed successfully.\r\n"
    }

    #[test]
    fn an_hour_of_minutes() {
        let mut rows: Vec<(u32, &str)> = (0..90).map(|minute| (minute, "1.500000")).collect();
        rows[0].1 = " ";
        rows[5].1 = "900.0";
        rows[60].1 = "4,5";
        rows[61].1 = "-1";
        let found = load(&table("Security System-Wide Statistics", &rows)).unwrap();
        let hour = found.hour("2026-03-02T09:29:07Z".parse().unwrap());
        assert_eq!(
            hour,
            KdcLoad {
                counter: KdcCounter::SecuritySystemWide,
                since: "2026-03-02T08:29:07Z".parse().unwrap(),
                peak_milli: 4500,
                mean_milli: (58 * 1500 + 4500) / 59,
                minutes: 59,
            },
            "the ninetieth minute before counts no more"
        );
        assert_eq!(load(&table("NTDS", &rows)).unwrap().counter, KdcCounter::Ntds);
    }

    #[test]
    fn what_is_no_such_table_is_named() {
        let rows: Vec<(u32, &str)> = (0..4).map(|minute| (minute, "1.0")).collect();
        let error = |text: &str| load(text).unwrap_err().to_string();
        assert!(error(&table("NTDS", &rows)).starts_with("4 minutes with a sample"));
        for text in ["", "Error: No valid counters.", "\"(PDH-CSV 4.0)\",\"\\\\DC1\\Memory\\Available Bytes\"\r\n"] {
            assert!(error(text).starts_with("no column `KDC AS Requests`"), "{text}");
        }
    }

    #[test]
    fn nothing_makes_it_panic() {
        use proptest::prelude::*;
        proptest!(ProptestConfig::with_cases(64), |(rows in proptest::collection::vec(r#""[0-9/]{0,10} [0-9:.]{0,12}","[0-9.,e-]{0,8}""#, 0..12))| {
            let text = format!("\"(PDH-CSV 4.0)\",\"\\\\D\\NTDS\\KDC AS Requests\"\n{}", rows.join("\n"));
            if let Ok(found) = load(&text) {
                let _ = found.hour(Timestamp::MIN);
            }
            let _ = sampled_at(&text);
        });
    }
}
