//! Sources: each observes one kind of thing on the machine the probe runs on.
//!
//! [`SOURCES`] is the only place a source is registered. A source looks and says what it saw; it keeps no time, starts
//! no task and never decides what the evidence means. [`crate::collect`] runs sources side by side, each on a thread of
//! its own, so `observe` may block; it gives every observation its time.
//!
//! Raw outputs taken on other machines are a source of another shape, see [`crate::capture`].

pub mod dc_certificate;
pub mod domain_controller;
pub mod join;
pub mod operating_system;
pub mod revocation_lists;
pub mod tpm;

mod files;
mod net;

use std::path::PathBuf;
use std::time::Duration;

use muster_evidence::{
    Context, DomainController, Evidence, Failure, FailureReason, Kind, ObservationKey, Outcome, Text, Timestamp,
    Unsupported,
};

/// Every source, in the order people see them.
pub const SOURCES: &[&dyn Source] = &[
    &tpm::TpmSource,
    &operating_system::OperatingSystemSource,
    &join::JoinSource,
    &domain_controller::DomainControllerSource,
    &dc_certificate::DcCertificateSource,
    &revocation_lists::RevocationListSource,
];

/// Code that observes one kind of thing.
pub trait Source: Sync {
    /// The name used in logs, metrics and texts.
    fn name(&self) -> &'static str;

    /// The kinds about the machine itself for which this source always yields an observation. When it dies or hangs,
    /// one failed observation is told for each of them.
    fn kinds(&self) -> &'static [Kind];

    /// How long it may take before it counts as hanging.
    fn timeout(&self) -> Duration;

    /// Whether it has anything to look at under these settings. One that has not says nothing at all.
    fn is_wanted(&self, settings: &SourceSettings) -> bool {
        let _ = settings;
        true
    }

    /// Looks, and says what it saw. May block. `now` is the time of the look.
    fn observe(&self, settings: &SourceSettings, now: Timestamp) -> Vec<Sighting>;
}

/// What sources are told about the machine they look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSettings {
    /// Where the system's files begin: `/`, or a folder with an image of another system.
    pub root: PathBuf,
    /// How to reach the TPM: a TCTI string such as `device:/dev/tpmrm0` or `swtpm:host=127.0.0.1,port=2321`; `None`
    /// for the system's own device.
    pub tpm_tcti: Option<String>,
    /// The domain controller this machine is, as far as a person declared it; `None` where it is none.
    pub domain_controller: Option<DomainController>,
    /// Where the certificates of that domain controller are looked at; `None` where they are not.
    pub dc_certificate: Option<dc_certificate::DcCertificateSettings>,
    /// How the revocation lists of those certificates are fetched; `None` where they are not.
    pub revocation: Option<revocation_lists::RevocationListSettings>,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            tpm_tcti: None,
            domain_controller: None,
            dc_certificate: None,
            revocation: None,
        }
    }
}

/// What a source saw, without the time, which [`crate::collect`] knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What was looked at.
    pub key: ObservationKey,
    /// How it ended.
    pub outcome: Outcome,
    /// In which security context.
    pub context: Context,
}

impl Sighting {
    /// Something about the machine, seen by the probe's own account.
    pub fn of_host(kind: Kind, outcome: Outcome) -> Self {
        Self { key: ObservationKey::host(kind), outcome, context: Context::Service }
    }

    /// A fact about the machine, seen by the probe's own account.
    pub fn observed(evidence: Evidence) -> Self {
        Self::of_host(evidence.kind(), Outcome::Observed(evidence))
    }
}

/// We could not look.
pub fn failed(reason: FailureReason, detail: impl AsRef<str>) -> Outcome {
    Outcome::Failed(Failure { reason, detail: Text::cut(detail.as_ref()) })
}

/// This system cannot tell.
pub fn unsupported(detail: impl AsRef<str>) -> Outcome {
    Outcome::Unsupported(Unsupported { detail: Text::cut(detail.as_ref()) })
}

/// The class of failure that an I/O error belongs to.
pub fn failure_reason(error: &std::io::Error) -> FailureReason {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::PermissionDenied => FailureReason::AccessDenied,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => FailureReason::TimedOut,
        ErrorKind::UnexpectedEof => FailureReason::Incomplete,
        ErrorKind::InvalidData => FailureReason::Unreadable,
        _ => FailureReason::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_registry_is_consistent() {
        let mut names = BTreeSet::new();
        let mut kinds = BTreeSet::new();
        for source in SOURCES {
            assert!(names.insert(source.name()), "two sources are called `{}`", source.name());
            assert!(!source.kinds().is_empty(), "`{}` tells nothing", source.name());
            assert!(source.timeout() >= Duration::from_secs(1), "`{}` has no time to look", source.name());
            for kind in source.kinds() {
                assert!(kinds.insert(*kind), "`{kind}` of the machine is told by two sources");
                assert!(!kind.is_of_user(), "`{}` cannot know the users beforehand", source.name());
            }
        }
    }
}
