//! The service loop: look, report, wait, until somebody stops it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muster_evidence::{HostName, Role};
use muster_proto::link::Chain;
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
}

/// What one round came to.
#[derive(Debug)]
pub struct Round {
    /// Each machine's report.
    pub reported: Vec<Reported>,
    /// What could not be read of captures.
    pub problems: Vec<String>,
}

impl Round {
    /// Whether every machine's report was taken.
    pub fn succeeded(&self) -> bool {
        self.reported.iter().all(|machine| machine.result.is_ok())
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
        let targets = if config.captures.is_some() { Vec::new() } else { targets(&config, &own, &clock) };
        Ok(Self { config, own, targets, outbox, reporter: Reporter::new(), exchange, clock, told: BTreeSet::new() })
    }

    /// The name the probe reports under.
    pub const fn own_name(&self) -> &HostName {
        &self.own
    }

    /// Looks at every machine once and reports each.
    pub async fn round(&mut self) -> Result<Round, OutboxError> {
        let (machines, problems) = self.look().await;
        let now = self.clock.now();
        let reported =
            round(&mut self.exchange, &mut self.reporter, &mut self.outbox, &self.own, &machines, now).await?;
        // An endpoint connects, reports and leaves; what speaks for a site keeps its connection.
        if machines.iter().all(|machine| machine.roles.iter().all(|role| *role == Role::Endpoint)) {
            self.exchange.disconnect();
        }
        Ok(Round { reported, problems })
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
