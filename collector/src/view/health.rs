//! Whether the collector can do its work now: for `/readyz`, and for gRPC's health service by the same conditions.
//!
//! Beside this, `/livez` says that the process answers at all. While the store is being loaded nothing is answered: the
//! listeners are open and accept nobody yet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::v1::readiness_service_server::ReadinessServiceServer;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::api::Api;
use crate::core::Core;

/// How often gRPC's health service is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is, in a word.
    pub name: &'static str,
    /// Why it does not hold; `None` where it does.
    pub problem: Option<String>,
}

impl Condition {
    /// Whether it holds.
    pub const fn is_met(&self) -> bool {
        self.problem.is_none()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            None => write!(f, "{}: ok", self.name),
            Some(problem) => write!(f, "{}: {problem}", self.name),
        }
    }
}

/// Looks whether the collector can do its work.
#[derive(Debug)]
pub struct Health {
    core: Core,
    stop: CancellationToken,
}

impl Health {
    /// Looks at `core`, until `stop`.
    pub const fn new(core: Core, stop: CancellationToken) -> Self {
        Self { core, stop }
    }

    /// Every condition, met or not.
    pub fn conditions(&self) -> Vec<Condition> {
        let rebuilding = self.core.is_rebuilding();
        let stopping = self.stop.is_cancelled();
        vec![
            // Whoever is asked has loaded: nothing is answered before.
            Condition { name: "loaded", problem: None },
            Condition { name: "store", problem: self.core.meters().commits.trouble() },
            Condition {
                name: "complete",
                problem: rebuilding.then(|| {
                    "a store that was damaged is being rebuilt; sites are unknown until their hosts have reported"
                        .to_owned()
                }),
            },
            Condition { name: "running", problem: stopping.then(|| "the collector is being stopped".to_owned()) },
        ]
    }

    /// Tells gRPC's health service until the collector stops.
    pub async fn report(self: Arc<Self>, reporter: HealthReporter) {
        let mut tick = interval(TELL_EVERY);
        let mut told = None;
        loop {
            let ready = self.conditions().iter().all(Condition::is_met);
            if told != Some(ready) {
                told = Some(ready);
                let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
                // The empty name is the server as a whole (gRPC health checking protocol).
                reporter.set_service_status("", status).await;
                if ready {
                    reporter.set_serving::<ReadinessServiceServer<Api>>().await;
                } else {
                    reporter.set_not_serving::<ReadinessServiceServer<Api>>().await;
                }
            }
            if self.stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                _ = tick.tick() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;
    use crate::store::StoreError;

    #[tokio::test]
    async fn every_condition_is_told_and_one_that_fails_is_enough() {
        let lab = Lab::new().await;
        let stop = CancellationToken::new();
        let health = Health::new(lab.core.clone(), stop.clone());
        let told = |health: &Health| health.conditions().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(&health), ["loaded: ok", "store: ok", "complete: ok", "running: ok"]);
        let full = StoreError::Full { path: "store".into() };
        lab.core.meters().commits.note(Duration::ZERO, 1, Some(&full));
        assert_eq!(told(&health)[1], "store: no space left for the store in `store`");
        lab.core.meters().commits.note(Duration::ZERO, 1, None);
        assert_eq!(told(&health)[1], "store: ok");
        stop.cancel();
        assert_eq!(told(&health)[3], "running: the collector is being stopped");
        let rebuilding = Health::new(lab.rebuilding().await, CancellationToken::new());
        assert!(!rebuilding.conditions()[2].is_met());
    }
}
