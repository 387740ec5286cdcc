//! Counters of a site, kept by adding and removing what single hosts and users stand at.
//!
//! What was added must be removed with the same value; then the counters equal a fold over everything present, in
//! whatever order things came and went.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::HostName;
use serde::{Deserialize, Serialize};

use super::standing::{HostStanding, UserStanding};
use crate::{CHECKS, Scope, Standing};

/// Example hosts kept per check and standing: a few more than are shown, so that some remain after changes.
const EXAMPLES_KEPT: usize = 16;

/// Counts by standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingCounts {
    /// See [`Standing::Ready`].
    pub ready: u64,
    /// See [`Standing::Advisory`].
    pub advisory: u64,
    /// See [`Standing::Blocked`].
    pub blocked: u64,
    /// See [`Standing::Unknown`].
    pub unknown: u64,
    /// See [`Standing::NotApplicable`].
    pub not_applicable: u64,
}

impl StandingCounts {
    /// The count of one standing.
    pub const fn of(&self, standing: Standing) -> u64 {
        match standing {
            Standing::Ready => self.ready,
            Standing::Advisory => self.advisory,
            Standing::Blocked => self.blocked,
            Standing::Unknown => self.unknown,
            Standing::NotApplicable => self.not_applicable,
        }
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.ready + self.advisory + self.blocked + self.unknown + self.not_applicable
    }

    /// Adds another's counts.
    pub const fn add(&mut self, other: &Self) {
        self.ready += other.ready;
        self.advisory += other.advisory;
        self.blocked += other.blocked;
        self.unknown += other.unknown;
        self.not_applicable += other.not_applicable;
    }

    fn change(&mut self, standing: Standing, change: Change) {
        change.apply(match standing {
            Standing::Ready => &mut self.ready,
            Standing::Advisory => &mut self.advisory,
            Standing::Blocked => &mut self.blocked,
            Standing::Unknown => &mut self.unknown,
            Standing::NotApplicable => &mut self.not_applicable,
        });
    }
}

#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
}

impl Change {
    /// Counts up or down by one. A removal of what was never added stays at nought rather than wrapping; a recount
    /// finds such a fault.
    const fn apply(self, count: &mut u64) {
        *count = match self {
            Self::Add => count.saturating_add(1),
            Self::Remove => count.saturating_sub(1),
        };
    }

    const fn apply_if(self, condition: bool, count: &mut u64) {
        if condition {
            self.apply(count);
        }
    }
}

/// Counts of one check at a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCounts {
    /// Its judgements, by standing.
    pub verdicts: StandingCounts,
    /// Users whom it blocks.
    pub users_blocked: u64,
    /// Users whom its gaps keep from being ready.
    pub users_unknown: u64,
}

/// The numbers of a [`Tally`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TallyCounts {
    /// Users counted at the site.
    pub users: StandingCounts,
    /// Those of them who have fallen silent.
    pub users_quiet: u64,
    /// Endpoints.
    pub endpoints: StandingCounts,
    /// Those of them that have fallen silent.
    pub endpoints_quiet: u64,
    /// Domain controllers.
    pub dcs: StandingCounts,
    /// Those of them that have fallen silent.
    pub dcs_quiet: u64,
    /// The checks, in the order of [`CHECKS`].
    pub checks: Vec<CheckCounts>,
}

impl Default for TallyCounts {
    fn default() -> Self {
        Self {
            users: StandingCounts::default(),
            users_quiet: 0,
            endpoints: StandingCounts::default(),
            endpoints_quiet: 0,
            dcs: StandingCounts::default(),
            dcs_quiet: 0,
            checks: vec![CheckCounts::default(); CHECKS.len()],
        }
    }
}

/// The counters of one site, with a few example hosts per check.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The numbers.
    pub counts: TallyCounts,
    examples: Vec<Examples>,
    /// What domain controllers add to the checks that speak of endpoints too, by the check's place: the gate tells of
    /// them, so that the population's reasons leave them out.
    of_controllers: BTreeMap<usize, StandingCounts>,
}

#[derive(Clone, Debug, Default)]
struct Examples {
    blocked: BTreeSet<HostName>,
    unknown: BTreeSet<HostName>,
    advisory: BTreeSet<HostName>,
}

impl Examples {
    const fn of(&self, standing: Standing) -> Option<&BTreeSet<HostName>> {
        match standing {
            Standing::Blocked => Some(&self.blocked),
            Standing::Unknown => Some(&self.unknown),
            Standing::Advisory => Some(&self.advisory),
            Standing::Ready | Standing::NotApplicable => None,
        }
    }

    const fn of_mut(&mut self, standing: Standing) -> Option<&mut BTreeSet<HostName>> {
        match standing {
            Standing::Blocked => Some(&mut self.blocked),
            Standing::Unknown => Some(&mut self.unknown),
            Standing::Advisory => Some(&mut self.advisory),
            Standing::Ready | Standing::NotApplicable => None,
        }
    }
}

impl Tally {
    /// Adds what a host stands at.
    pub fn add_host(&mut self, host: &HostStanding) {
        self.change_host(host, Change::Add);
        self.examples.resize_with(CHECKS.len(), Examples::default);
        for &(check, standing) in host.verdicts.iter().filter(|(check, _)| !told_by_gate(host, *check)) {
            let Some(names) = self.examples.get_mut(check).and_then(|examples| examples.of_mut(standing)) else {
                continue;
            };
            // The first in the order of names are kept, so that the same hosts give the same examples.
            if names.insert(host.host.clone()) && names.len() > EXAMPLES_KEPT {
                names.pop_last();
            }
        }
    }

    /// Removes what was added with the same value.
    pub fn remove_host(&mut self, host: &HostStanding) {
        self.change_host(host, Change::Remove);
        for &(check, standing) in &host.verdicts {
            if let Some(names) = self.examples.get_mut(check).and_then(|examples| examples.of_mut(standing)) {
                names.remove(&host.host);
            }
        }
    }

    /// Adds what a user counted at this site stands at.
    pub fn add_user(&mut self, user: &UserStanding) {
        self.change_user(user, Change::Add);
    }

    /// Removes what was added with the same value.
    pub fn remove_user(&mut self, user: &UserStanding) {
        self.change_user(user, Change::Remove);
    }

    /// The numbers of one check; `None` for an id that this build does not have.
    pub fn check(&self, id: &str) -> Option<&CheckCounts> {
        self.counts.checks.get(crate::check::check_index(id)?)
    }

    /// How many judgements of a check the population tells of, by the check's place in [`CHECKS`].
    pub(super) fn in_population(&self, check: usize, standing: Standing) -> u64 {
        let all = self.counts.checks.get(check).map_or(0, |counts| counts.verdicts.of(standing));
        all.saturating_sub(self.of_controllers.get(&check).map_or(0, |counts| counts.of(standing)))
    }

    /// Example hosts of a check, by its place in [`CHECKS`].
    pub(super) fn examples(&self, check: usize, standing: Standing) -> impl Iterator<Item = &HostName> {
        self.examples.get(check).and_then(|examples| examples.of(standing)).into_iter().flatten()
    }

    fn change_host(&mut self, host: &HostStanding, change: Change) {
        let counts = &mut self.counts;
        if host.is_domain_controller {
            counts.dcs.change(host.standing, change);
            change.apply_if(host.quiet, &mut counts.dcs_quiet);
        } else {
            counts.endpoints.change(host.standing, change);
            change.apply_if(host.quiet, &mut counts.endpoints_quiet);
        }
        for &(check, standing) in &host.verdicts {
            if let Some(counts) = counts.checks.get_mut(check) {
                counts.verdicts.change(standing, change);
            }
            if told_by_gate(host, check) {
                self.of_controllers.entry(check).or_default().change(standing, change);
            }
        }
    }

    fn change_user(&mut self, user: &UserStanding, change: Change) {
        let counts = &mut self.counts;
        counts.users.change(user.standing, change);
        change.apply_if(user.quiet, &mut counts.users_quiet);
        for check in user.blocked.iter() {
            if let Some(counts) = counts.checks.get_mut(check) {
                change.apply(&mut counts.users_blocked);
            }
        }
        for check in user.unknown.iter() {
            if let Some(counts) = counts.checks.get_mut(check) {
                change.apply(&mut counts.users_unknown);
            }
        }
    }
}

/// Whether the gate tells what a host stands at by a check that speaks of endpoints too.
fn told_by_gate(host: &HostStanding, check: usize) -> bool {
    host.is_domain_controller && CHECKS.get(check).is_some_and(|check| check.scope() == Scope::Machine)
}
