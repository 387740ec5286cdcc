//! Membership of the machine in a domain.

pub mod parse;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod platform;

use std::time::Duration;

use muster_evidence::{Kind, Timestamp};

use super::{Sighting, Source, SourceSettings};

/// Observes how the machine is joined.
#[derive(Clone, Copy, Debug)]
pub struct JoinSource;

impl Source for JoinSource {
    fn name(&self) -> &'static str {
        "join"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::JoinState]
    }

    /// A handful of small files; generous for a root on a network.
    fn timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn observe(&self, settings: &SourceSettings, _now: Timestamp) -> Vec<Sighting> {
        vec![Sighting::of_host(Kind::JoinState, platform::observe(settings))]
    }
}
