//! How the listeners stand, for those who show it: their own certificates, revocation lists, reloads, refusals.
//!
//! Times are absolute (when something ends), so that whoever shows them compares with its own clock. Nothing is
//! decided here.

use std::sync::{Arc, PoisonError, RwLock};

use muster_evidence::{Sha256, Timestamp};

use crate::accept::AcceptCounts;

/// The state of both listeners. Shared by who changes it and who shows it.
#[derive(Debug, Default)]
pub struct Access {
    /// Connections at the probes' listener.
    pub probes: Arc<AcceptCounts>,
    /// Connections at the operators' listener.
    pub operators: Arc<AcceptCounts>,
    state: RwLock<Arc<AccessState>>,
}

/// What changes by reloads and by revocation lists that come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessState {
    /// How the last reload went.
    pub reload: ReloadState,
    /// The collector's own certificates, one for each listener that has one.
    pub certificates: Vec<OwnCertificate>,
    /// Every revocation list in use or refused, and every pinned issuer that has none. Empty where none is configured.
    pub revocation: Vec<RevocationState>,
}

/// How the last reload went. A reload is all or nothing: after a failed one everything is as it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadState {
    /// When it was last tried; the start counts.
    pub last_attempt: Option<Timestamp>,
    /// When it last succeeded; the start counts.
    pub last_success: Option<Timestamp>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// Successes since the start, which is the first.
    pub generation: u64,
    /// Settings that have changed in the file since the start and take effect with a restart only.
    pub needs_restart: Vec<String>,
}

/// A certificate of the collector itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCertificate {
    /// `probes` or `operators`.
    pub listener: &'static str,
    /// SHA-256 of the certificate.
    pub thumbprint: Sha256,
    /// End of its validity.
    pub not_after: Timestamp,
}

/// Whether a revocation list is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RevocationUse {
    /// It is consulted.
    Used,
    /// A newer list, or a base list that includes it, took its place.
    Superseded,
    /// It is of another CA than those configured.
    Foreign,
    /// A delta list without the base list that it continues.
    WithoutBase,
    /// No list of this issuer is there.
    Missing,
    /// It could not be fetched or read; where an older copy is there, that one stands in a line of its own.
    Failed,
}

impl RevocationUse {
    /// A word for it, for labels and output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Superseded => "superseded",
            Self::Foreign => "foreign",
            Self::WithoutBase => "without-base",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

/// A revocation list, or the lack of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationState {
    /// The issuer's name, as its certificate or the list has it.
    pub issuer: String,
    /// The file or URL it came from; empty where it is missing.
    pub source: String,
    /// Whether it is a delta list.
    pub delta: bool,
    /// Its number, hexadecimal; empty where it has none.
    pub number: String,
    /// When it was made.
    pub this_update: Option<Timestamp>,
    /// When the next one is due at the latest; past it, peers of this issuer are refused unless configured otherwise.
    pub next_update: Option<Timestamp>,
    /// Certificates it revokes.
    pub entries: u64,
    /// Whether it is consulted.
    pub used: RevocationUse,
    /// What is wrong, in words; empty where nothing is.
    pub problem: String,
}

impl Access {
    /// How things stand now.
    pub fn state(&self) -> Arc<AccessState> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes how things stand, as a whole.
    pub(crate) fn change(&self, change: impl FnOnce(&mut AccessState)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = AccessState::clone(&state);
        change(&mut next);
        *state = Arc::new(next);
    }
}
