//! What the domain controller is that this probe stands for, as a person declared it.
//!
//! On Linux nothing tells forest, site and names of a Windows domain controller reliably, so they come from the
//! settings; Windows asks the system itself.

use std::time::Duration;

use muster_evidence::{Evidence, Kind, Timestamp};

use super::{Sighting, Source, SourceSettings};

/// Tells what [`SourceSettings::domain_controller`] declares.
#[derive(Clone, Copy, Debug)]
pub struct DomainControllerSource;

impl Source for DomainControllerSource {
    fn name(&self) -> &'static str {
        "domain-controller"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::DomainController]
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn is_wanted(&self, settings: &SourceSettings) -> bool {
        settings.domain_controller.is_some()
    }

    fn observe(&self, settings: &SourceSettings, _now: Timestamp) -> Vec<Sighting> {
        settings.domain_controller.iter().cloned().map(Evidence::DomainController).map(Sighting::observed).collect()
    }
}
