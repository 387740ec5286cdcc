//! When to report next.
//!
//! Every wait is drawn at random, and what bounds it is applied before the draw: a cap applied afterwards would line
//! probes up at the cap, and a fleet that reports in step is the one load a collector cannot plan for.
//!
//! - After a report the wait is uniform between half and one and a half of the interval the collector asked for, so the
//!   mean is the interval itself and two probes that once met drift apart.
//! - After a failure it is uniform between nothing and a ceiling that doubles up to *twice* the interval (full
//!   jitter). Its mean then is the interval: when a collector comes back after a long outage, probes arrive at the rate
//!   at which they always do, with no wave and no echo.
//! - The first wait after a start is uniform over one interval, because a power cut starts a whole site at once.

use std::time::Duration;

use crate::config::ReportTimes;

/// Ceiling of the first wait after a failure. Short enough to bridge a restart of the collector.
const FIRST_CEILING: Duration = Duration::from_secs(30);

/// Draws a random number over the whole range of `u64`.
pub type Draw = Box<dyn FnMut() -> u64 + Send>;

/// Decides when to report next.
pub struct Schedule {
    times: ReportTimes,
    /// What the collector asked for last, within the bounds.
    interval: Duration,
    /// Failures since the last success.
    failures: u32,
    draw: Draw,
}

impl Schedule {
    /// A schedule before the first report.
    pub fn new(times: ReportTimes, draw: Draw) -> Self {
        Self { interval: times.interval.clamp(times.interval_min, times.interval_max), times, failures: 0, draw }
    }

    /// The wait before the first report.
    pub fn first(&mut self) -> Duration {
        let interval = self.interval;
        self.between(Duration::ZERO, interval)
    }

    /// The wait after a report that was answered. `asked` is what the collector asked for; `None` or nothing leaves the
    /// interval as it is.
    pub fn after_report(&mut self, asked: Option<Duration>) -> Duration {
        self.failures = 0;
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            self.interval = asked.clamp(self.times.interval_min, self.times.interval_max);
        }
        let interval = self.interval;
        self.between(interval / 2, interval + interval / 2)
    }

    /// The wait after a report that was not answered or not taken.
    pub fn after_failure(&mut self) -> Duration {
        let most = self.interval * 2;
        let ceiling = FIRST_CEILING.min(most).saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        self.between(Duration::ZERO, ceiling.min(most))
    }

    /// Failures since the last success.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let width_ms = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
        // The remainder of a 64-bit draw leans by less than one part in 2^30 for any wait that is allowed.
        least + Duration::from_millis((self.draw)() % width_ms.saturating_add(1).max(1))
    }
}

/// Draws from the system. Where it gives nothing, the clock's finest digits have to do: spread is all that is needed.
pub fn system_draw() -> Draw {
    Box::new(|| {
        getrandom::u64().unwrap_or_else(|_| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            u64::from(since.subsec_nanos()).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn times() -> ReportTimes {
        ReportTimes {
            interval: 15 * MINUTE,
            interval_min: MINUTE,
            interval_max: 60 * MINUTE,
            timeout: Duration::from_secs(30),
        }
    }

    /// A draw that walks evenly through the range (a Weyl sequence), so that tests see every part of it.
    fn even(mut at: u64) -> Draw {
        Box::new(move || {
            at = at.wrapping_add(0x9E37_79B9_7F4A_7C15);
            at
        })
    }

    fn spread(mut wait: impl FnMut() -> Duration) -> (Duration, Duration, Duration) {
        let waits: Vec<Duration> = (0..2_000).map(|_| wait()).collect();
        let mean = waits.iter().sum::<Duration>() / 2_000;
        (*waits.iter().min().unwrap(), mean, *waits.iter().max().unwrap())
    }

    fn near(found: Duration, wanted: Duration, of: Duration) -> bool {
        found.abs_diff(wanted) <= of / 20
    }

    #[test]
    fn waits_spread_evenly_around_the_interval_even_at_its_bounds() {
        for (asked, held) in [
            (15 * MINUTE, 15 * MINUTE),
            // The cap is applied before the draw: the waits still spread over the whole width.
            (24 * 60 * MINUTE, 60 * MINUTE),
            (Duration::from_millis(1), MINUTE),
        ] {
            let mut schedule = Schedule::new(times(), even(1));
            let (least, mean, most) = spread(|| schedule.after_report(Some(asked)));
            assert!(near(least, held / 2, held) && near(mean, held, held) && near(most, held + held / 2, held));
        }
    }

    #[test]
    fn after_a_long_outage_probes_come_at_the_rate_they_always_do() {
        let mut schedule = Schedule::new(times(), even(1));
        for _ in 0..40 {
            schedule.after_failure();
        }
        let (least, mean, most) = spread(|| schedule.after_failure());
        let interval = 15 * MINUTE;
        assert!(near(least, Duration::ZERO, interval), "{least:?}");
        assert!(near(mean, interval, interval), "{mean:?}");
        assert!(near(most, 2 * interval, interval), "{most:?}");
    }

    #[test]
    fn the_first_failures_are_bridged_quickly_and_success_forgets_them() {
        let mut schedule = Schedule::new(times(), Box::new(|| u64::MAX));
        let ceilings: Vec<u64> = (0..3)
            .map(|_| {
                schedule.after_failure();
                FIRST_CEILING.as_secs() << (schedule.failures() - 1)
            })
            .collect();
        assert_eq!(ceilings, [30, 60, 120]);
        for (failures, ceiling) in [(0, 30), (1, 60), (5, 960), (9, 1_800)] {
            let mut schedule = Schedule::new(times(), even(7));
            for _ in 0..failures {
                schedule.after_failure();
            }
            let most = (0..500)
                .map(|_| {
                    let failures = schedule.failures;
                    let wait = schedule.after_failure();
                    schedule.failures = failures;
                    wait
                })
                .max()
                .unwrap();
            assert!(near(most, Duration::from_secs(ceiling), Duration::from_secs(ceiling)), "{failures}: {most:?}");
        }
        schedule.after_report(None);
        assert_eq!(schedule.failures(), 0);
    }

    #[test]
    fn the_first_report_is_spread_over_an_interval() {
        let (least, _, most) = spread({
            let mut n = 0_u64;
            move || {
                n += 1;
                Schedule::new(times(), even(n.wrapping_mul(0x1234_5678_9ABC_DEF1))).first()
            }
        });
        assert!(near(least, Duration::ZERO, 15 * MINUTE) && near(most, 15 * MINUTE, 15 * MINUTE));
    }
}
