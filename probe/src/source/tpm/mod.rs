//! The trusted platform module.
//!
//! A machine without a TPM is *absent*, a TPM that could not be opened is *failed*; they are never merged.

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

/// Observes the TPM.
#[derive(Clone, Copy, Debug)]
pub struct TpmSource;

impl Source for TpmSource {
    fn name(&self) -> &'static str {
        "tpm"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Tpm]
    }

    /// A dozen commands. Discrete TPMs take some ten milliseconds for each, and much longer while another process makes
    /// a key.
    fn timeout(&self) -> Duration {
        Duration::from_secs(20)
    }

    fn observe(&self, settings: &SourceSettings, _now: Timestamp) -> Vec<Sighting> {
        vec![Sighting::of_host(Kind::Tpm, platform::observe(settings))]
    }
}
