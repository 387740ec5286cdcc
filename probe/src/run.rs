//! The service loop: look, report, wait, until somebody stops it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muster_evidence::{HostName, Role, Timestamp};
use muster_proto::link::Chain;
use muster_proto::link::telemetry::{self, TraceParent};
use tokio::sync::mpsc;

use crate::capture::{self, CaptureSet};
use crate::clock::Clock;
use crate::config::Config;
use crate::machine::{Machine, Target, targets};
use crate::outbox::{Outbox, OutboxError, system_entropy};
use crate::report::{Acknowledgement, Reporter};
use crate::round::{Reported, round, tell};
use crate::schedule::{Schedule, system_draw};
use crate::send::{Exchange, NoSender, Sender};
use crate::service::Request;

/// Why there is no service.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing can be sent.
    #[error(transparent)]
    Sender(#[from] NoSender),
    /// Nothing can be remembered.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// Everything a round needs.
pub struct Service<E> {
    config: Config,
    own: HostName,
    targets: Vec<Target>,
    outbox: Outbox,
    reporter: Reporter,
    exchange: E,
    clock: Arc<dyn Clock>,
    /// Problems of captures that were told already.
    told: BTreeSet<String>,
    /// Whether it was told that the clocks differ.
    clock_told: bool,
}

/// How far the two clocks may differ before it is told: what Kerberos tolerates by default (RFC 4120 section 1.2 speaks
/// of five minutes), and what the collector tolerates in times of observation.
const MOST_SKEW_MS: i64 = 5 * 60_000;

/// What one round came to.
#[derive(Debug)]
pub struct Round {
    /// Each machine's report.
    pub reported: Vec<Reported>,
    /// What could not be read of captures.
    pub problems: Vec<String>,
    /// The clock here when the last answer was there.
    pub ended_at: Timestamp,
}

/// Two clocks that differ by more than the way of a report explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// What the clock here showed.
    pub own: Timestamp,
    /// What the collector's clock showed then.
    pub collector: Timestamp,
}

impl Skew {
    /// How far the clock here is ahead of the collector's.
    pub const fn ahead_ms(&self) -> i64 {
        self.own.ms_since(self.collector)
    }
}

impl std::fmt::Display for Skew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.ahead_ms().unsigned_abs() / 1_000;
        let by = match (seconds / 86_400, seconds / 3_600, seconds / 60) {
            (0, 0, minutes) => format!("{minutes} min"),
            (0, hours, _) => format!("{hours} h"),
            (days, _, _) => format!("{days} d"),
        };
        let side = if self.ahead_ms() > 0 { "ahead of" } else { "behind" };
        let Self { own, collector } = self;
        write!(
            f,
            "the clock here shows {own} and is {by} {side} the collector's, which shows {collector}; one is wrong"
        )
    }
}

impl Round {
    /// Whether every machine's report was taken.
    pub fn succeeded(&self) -> bool {
        self.reported.iter().all(|machine| machine.result.is_ok())
    }

    /// Whether the clocks differ by more than five minutes, by the last answer.
    pub fn skew(&self) -> Option<Skew> {
        let answer = self.reported.iter().rev().find_map(|machine| machine.result.as_ref().ok())?;
        let collector = Timestamp::from_unix_ms(answer.collector_time_ms).ok().filter(|at| at.unix_ms() != 0)?;
        let skew = Skew { own: self.ended_at, collector };
        (skew.ahead_ms().abs() > MOST_SKEW_MS).then_some(skew)
    }

    /// When the collector wants the next report: the soonest of all machines.
    pub fn asked(&self) -> Option<Duration> {
        let answers = self.reported.iter().filter_map(|machine| machine.result.as_ref().ok());
        answers
            .map(|answer| answer.next_report_after_ms)
            .filter(|ms| *ms > 0)
            .min()
            .map(|ms| Duration::from_millis(ms.into()))
    }
}

impl Service<Sender> {
    /// A service with these settings.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, RunError> {
        let sender = Sender::new(&config)?;
        let own = sender.own_name(&config)?;
        Ok(Self::with_exchange(config, own, sender, clock)?)
    }
}

impl<E: Exchange> Service<E> {
    /// A service that reports some other way.
    pub fn with_exchange(
        config: Config,
        own: HostName,
        exchange: E,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OutboxError> {
        let (outbox, notices) = Outbox::open(&config.state_dir, system_entropy)?;
        for notice in &notices {
            tell(Some(notice));
        }
        let mut reporter = Reporter::new();
        reporter.user_names = config.report_user_names;
        let targets = if config.captures.is_some() { Vec::new() } else { targets(&config, &own, &clock) };
        Ok(Self { config, own, targets, outbox, reporter, exchange, clock, told: BTreeSet::new(), clock_told: false })
    }

    /// The name the probe reports under.
    pub const fn own_name(&self) -> &HostName {
        &self.own
    }

    /// The way reports take.
    pub const fn exchange(&self) -> &E {
        &self.exchange
    }

    /// Looks at every machine once and reports each, in one trace.
    #[tracing::instrument(name = "probe.round", skip_all, fields(host = %self.own))]
    pub async fn round(&mut self) -> Result<Round, OutboxError> {
        if TraceParent::current().is_some_and(|own| own.sampled) {
            telemetry::keep("chosen");
        }
        let (machines, problems) = self.look().await;
        let now = self.clock.now();
        let reported =
            round(&mut self.exchange, &mut self.reporter, &mut self.outbox, &self.own, &machines, now).await?;
        // An endpoint connects, reports and leaves; what speaks for a site keeps its connection.
        if machines.iter().all(|machine| machine.roles.iter().all(|role| *role == Role::Endpoint)) {
            self.exchange.disconnect();
        }
        Ok(Round { reported, problems, ended_at: self.clock.now() })
    }

    /// Looks and reports until asked to stop.
    pub async fn serve(
        &mut self,
        mut requests: mpsc::Receiver<Request>,
        mut schedule: Schedule,
        now: bool,
    ) -> Result<(), OutboxError> {
        let mut wait = if now { Duration::ZERO } else { schedule.first() };
        tracing::info!(host = %self.own, first_report_in_ms = ms(wait), "probe started");
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                request = requests.recv() => match request {
                    Some(Request::Collect) => tracing::info!("collecting at once, as asked"),
                    Some(Request::Stop) | None => break,
                },
            }
            let round = tokio::select! {
                round = self.round() => round?,
                () = stopped(&mut requests) => break,
            };
            self.log(&round);
            wait = if round.succeeded() { schedule.after_report(round.asked()) } else { schedule.after_failure() };
            tracing::debug!(next_report_in_ms = ms(wait), failures = schedule.failures(), "waiting");
        }
        tracing::info!("probe stopped");
        Ok(())
    }

    #[tracing::instrument(name = "probe.collect", skip_all)]
    async fn look(&self) -> (Vec<Machine>, Vec<String>) {
        if let Some(folder) = self.config.captures.clone() {
            let now = self.clock.now();
            let loaded = tokio::task::spawn_blocking(move || capture::load(&folder, now)).await;
            return match loaded {
                Ok(CaptureSet { machines, problems }) => (
                    machines.into_iter().map(Machine::from).collect(),
                    problems.iter().map(ToString::to_string).collect(),
                ),
                Err(error) => (Vec::new(), vec![format!("captures could not be read: {error}")]),
            };
        }
        let mut machines = Vec::with_capacity(self.targets.len());
        for target in &self.targets {
            machines.push(target.observe().await);
        }
        (machines, Vec::new())
    }

    fn log(&mut self, round: &Round) {
        for problem in &round.problems {
            if !self.told.contains(problem) {
                tracing::warn!(problem, "a capture could not be read");
            }
        }
        self.told = round.problems.iter().cloned().collect();
        match round.skew() {
            Some(skew) if !self.clock_told => {
                tracing::warn!(
                    ahead_ms = skew.ahead_ms(), own = %skew.own, collector = %skew.collector,
                    "the clock here and the collector's differ; evidence is told with the times of the clock here"
                );
                self.clock_told = true;
            }
            None if self.clock_told && round.succeeded() => {
                tracing::info!("the clock here and the collector's agree again");
                self.clock_told = false;
            }
            _ => {}
        }
        if round.reported.is_empty() {
            tracing::warn!("there is no machine to report");
        }
        for machine in &round.reported {
            let Reported { host, sequence, listed, bodies, result } = machine;
            match result {
                Ok(answer) => {
                    let acknowledgement = answer.acknowledgement.name();
                    if answer.acknowledgement == Acknowledgement::Seen {
                        tracing::debug!(%host, sequence, listed, acknowledgement, "reported");
                    } else {
                        tracing::info!(%host, sequence, listed, bodies, acknowledgement, "reported");
                    }
                    if answer.conflict {
                        tracing::warn!(%host, "another installation reports under this name at the same time");
                    }
                    for (part, reason) in &answer.refusals {
                        tracing::warn!(%host, part, reason, "collector did not take a part of the report");
                    }
                }
                Err(error) => tracing::warn!(%host, error = %Chain(&**error), "report was not taken"),
            }
        }
    }
}

/// Runs the service until the system stops it.
pub async fn run(
    config: Config,
    clock: Arc<dyn Clock>,
    requests: mpsc::Receiver<Request>,
    now: bool,
) -> Result<(), RunError> {
    let schedule = Schedule::new(config.report, system_draw());
    let mut service = Service::new(config, clock)?;
    Ok(service.serve(requests, schedule, now).await?)
}

/// Ends when the system asks to stop. Other requests are dropped meanwhile: a round is under way already.
async fn stopped(requests: &mut mpsc::Receiver<Request>) {
    while let Some(Request::Collect) = requests.recv().await {}
}

fn ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Answer;

    fn round(own: &str, collector: &str) -> Round {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let answer = Answer {
            acknowledgement: Acknowledgement::Seen,
            need: Vec::new(),
            refusals: Vec::new(),
            next_report_after_ms: 0,
            collector_time_ms: at(collector).unix_ms(),
            conflict: false,
            more: false,
        };
        let reported = Reported {
            host: "own.corp.example".parse().unwrap(),
            sequence: 1,
            listed: 0,
            bodies: 0,
            result: Ok(answer),
        };
        Round { reported: vec![reported], problems: Vec::new(), ended_at: at(own) }
    }

    #[test]
    fn clocks_that_differ_are_told_with_both_times() {
        assert_eq!(round("2026-03-02T09:04:59Z", "2026-03-02T09:00:00Z").skew(), None);
        assert_eq!(
            round("2026-03-02T12:00:00Z", "2026-03-02T09:00:00Z").skew().unwrap().to_string(),
            "the clock here shows 2026-03-02T12:00:00Z and is 3 h ahead of the collector's, which shows \
             2026-03-02T09:00:00Z; one is wrong"
        );
        let behind = round("2026-02-27T09:00:00Z", "2026-03-02T09:00:00Z").skew().unwrap();
        assert!(behind.to_string().contains("is 3 d behind the collector's"), "{behind}");
        assert_eq!(round("2026-03-02T09:00:00Z", "1970-01-01T00:00:00Z").skew(), None, "an answer without a clock");
    }
}
