//! The operating system and its build.

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

/// Observes the operating system.
#[derive(Clone, Copy, Debug)]
pub struct OperatingSystemSource;

impl Source for OperatingSystemSource {
    fn name(&self) -> &'static str {
        "operating-system"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::OperatingSystem]
    }

    /// Two small files; generous for a root on a network.
    fn timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn observe(&self, settings: &SourceSettings, _now: Timestamp) -> Vec<Sighting> {
        vec![Sighting::of_host(Kind::OperatingSystem, platform::observe(settings))]
    }
}
