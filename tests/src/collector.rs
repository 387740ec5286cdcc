//! A collector that serves: inside the test's process, with the test's clock, or as the real program.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_collector::clock::{Clock, SystemClock};
use muster_collector::serve::{Collector, ServeError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::lab::{Lab, Setup};
use crate::program::{Running, binary, command};
use crate::wait;

/// A collector in this process. Told to stop when dropped; [`Served::stop`] also waits.
pub struct Served {
    /// Where probes connect.
    pub probes: SocketAddr,
    /// Where operators connect.
    pub operators: SocketAddr,
    /// What was refused at the probes' door, by reason.
    pub refused: Arc<muster_collector::accept::AcceptCounts>,
    /// How the listeners stand.
    pub access: Arc<muster_collector::access::Access>,
    /// Exchanges what they believe.
    pub reloader: muster_collector::reload::Reloader,
    stop: CancellationToken,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Served {
    /// Serves with the machine's clock.
    pub async fn start(lab: &Lab, setup: &Setup) -> Self {
        Self::start_with(lab, setup, Arc::new(SystemClock)).await
    }

    /// Serves with a clock of the test's.
    pub async fn start_with(lab: &Lab, setup: &Setup, clock: Arc<dyn Clock>) -> Self {
        Self::try_start(lab, setup, clock).await.unwrap_or_else(|error| panic!("{}", muster_proto::link::Chain(&error)))
    }

    /// Serves, or says why not.
    pub async fn try_start(lab: &Lab, setup: &Setup, clock: Arc<dyn Clock>) -> Result<Self, ServeError> {
        Self::try_start_as(setup.config(lab), clock).await
    }

    /// Serves by settings that no file can hold, or says why not.
    pub async fn try_start_as(
        config: muster_collector::config::Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServeError> {
        let stop = CancellationToken::new();
        let collector = Collector::start(config, clock, stop.clone()).await?;
        Ok(Self {
            probes: collector.probes[0],
            operators: collector.operators[0],
            refused: Arc::clone(&collector.access.probes),
            access: Arc::clone(&collector.access),
            reloader: collector.reloader().clone(),
            stop,
            serving: Some(tokio::spawn(collector.finish())),
        })
    }

    /// Stops it and waits until its store is closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The real program, serving.
pub struct CollectorProgram {
    /// Where probes connect.
    pub probes: SocketAddr,
    /// Where operators connect.
    pub operators: SocketAddr,
    /// The process.
    pub running: Running,
}

impl CollectorProgram {
    /// Starts `muster-collector serve` and waits until it serves.
    pub async fn start(lab: &Lab, setup: &Setup) -> Self {
        Self::start_within(wait::LIMIT, lab, setup).await
    }

    /// Does what [`Self::start`] does, within a limit of its own.
    pub async fn start_within(limit: Duration, lab: &Lab, setup: &Setup) -> Self {
        let mut running = Self::launch(lab, setup);
        let (probes, operators) = running.until_said_within(limit, "the collector serves", addresses).await;
        Self { probes, operators, running }
    }

    /// Starts it, and does not wait.
    pub fn launch(lab: &Lab, setup: &Setup) -> Running {
        let mut serve = command(binary("muster-collector"));
        serve.arg("serve").arg("--config").arg(setup.write(lab));
        Running::start(serve, lab.path("collector.log"))
    }

    /// The operators' address as `muster` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.operators)
    }
}

/// The addresses in the line that says that the collector serves.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = log.lines().find(|line| line.contains("\"message\":\"serving\""))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = |field: &str| line.get(field)?.as_str()?.trim_matches(['[', ']']).parse().ok();
    Some((address("probes")?, address("operators")?))
}
