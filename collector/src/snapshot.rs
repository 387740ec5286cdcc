//! The complete result of one evaluation, immutable: what every view prints.
//!
//! A snapshot holds what is told about sites and the organisation. Lists of hosts come from the resident
//! [`crate::table::Table`], and what was said in words about one host from the store. Nothing here is computed;
//! `totals` fills it.

use std::sync::Arc;

use muster_evidence::{HostName, HostNo, OperatingSystem, SiteRef, Timestamp};
use muster_readiness::derive::capability::Capability;
use muster_readiness::{Judgement, SiteReadiness, Standing};

use crate::sites::SiteKey;

/// The result of one evaluation.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Grows by one with every snapshot of this process.
    pub number: u64,
    /// When it was made.
    pub as_of: Timestamp,
    /// The policy in force.
    pub policy_revision: u64,
    /// The policy that every verdict in here has reached at least. Below `policy_revision` while hosts are being
    /// judged again.
    pub judged_revision: u64,
    /// Hosts that wait to be judged again.
    pub hosts_to_judge: u64,
    /// Number of the last transition in the store.
    pub last_transition: u64,
    /// Sites, worst first: by rollout verdict, then by users who are not ready, then by name.
    pub sites: Vec<Arc<SiteSnapshot>>,
    /// Hosts that no site could be found for; not among `sites`.
    pub no_site: Arc<SiteSnapshot>,
    /// Sums over all sites and those without.
    pub organisation: Organisation,
}

impl Snapshot {
    /// A site by forest and name.
    pub fn site(&self, key: &SiteKey) -> Option<&Arc<SiteSnapshot>> {
        self.sites.iter().find(|site| site.site.as_ref().is_some_and(|own| own.forest == key.0 && own.name == key.1))
    }
}

/// Counts by standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ready.
    pub ready: u64,
    /// Advisory.
    pub advisory: u64,
    /// Blocked.
    pub blocked: u64,
    /// Unknown.
    pub unknown: u64,
    /// Not applicable.
    pub not_applicable: u64,
}

impl Counts {
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

    /// All of them together.
    pub const fn total(&self) -> u64 {
        self.ready + self.advisory + self.blocked + self.unknown + self.not_applicable
    }

    pub(crate) const fn slot(&mut self, standing: Standing) -> &mut u64 {
        match standing {
            Standing::Ready => &mut self.ready,
            Standing::Advisory => &mut self.advisory,
            Standing::Blocked => &mut self.blocked,
            Standing::Unknown => &mut self.unknown,
            Standing::NotApplicable => &mut self.not_applicable,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for standing in Standing::ALL {
            *self.slot(*standing) += other.of(*standing);
        }
    }
}

/// Sums over the organisation.
#[derive(Clone, Debug, Default)]
pub struct Organisation {
    /// Sites that can go.
    pub sites_go: u64,
    /// Sites where those who are ready may go.
    pub sites_partly: u64,
    /// Sites whose gate is blocked.
    pub sites_hold: u64,
    /// Sites whose gate is unknown, or of which too little is seen.
    pub sites_unknown: u64,
    /// Users, each counted once.
    pub users: Counts,
    /// Endpoints.
    pub endpoints: Counts,
    /// Domain controllers.
    pub dcs: Counts,
    /// Hosts of any role.
    pub hosts: u64,
    /// Hosts that have been silent for three cadences.
    pub hosts_quiet: u64,
    /// Hosts that no site could be found for.
    pub hosts_without_site: u64,
    /// What unlocks the most users, first; at most 20.
    pub top_reasons: Vec<SiteReason>,
}

/// A site.
#[derive(Clone, Debug)]
pub struct SiteSnapshot {
    /// The site; `None` for the hosts that have none.
    pub site: Option<SiteRef>,
    /// Number of the snapshot in which anything about it last changed.
    pub changed_in: u64,
    /// The verdict of `muster-readiness` about it.
    pub readiness: SiteReadiness,
    /// Since when the rollout verdict is what it is.
    pub rollout_since: Timestamp,
    /// Users counted here, by standing; quiet ones among them.
    pub users: Counts,
    /// Users of whom no endpoint has reported for three cadences.
    pub users_quiet: u64,
    /// Endpoints, by the worst of their own checks.
    pub endpoints: Counts,
    /// Endpoints that have been silent for three cadences.
    pub endpoints_quiet: u64,
    /// Endpoints with fresh evidence.
    pub endpoints_fresh: u64,
    /// Endpoints that the inventory expects; `None` without one.
    pub endpoints_expected: Option<u64>,
    /// Domain controllers, by the worst of their checks.
    pub dcs: Counts,
    /// Domain controllers that the inventory places here; `None` without one.
    pub dcs_expected: Option<u64>,
    /// Domain controllers that have reported from here.
    pub dcs_reporting: u64,
    /// Domain controllers with fresh evidence.
    pub dcs_fresh: u64,
    /// Hosts of any role counted here.
    pub hosts: u64,
    /// Hosts of any role that have been silent for three cadences.
    pub hosts_quiet: u64,
    /// Each check counted over the site's hosts and users, in the order of `CHECKS`; only those that speak of any.
    pub checks: Vec<CheckCounts>,
    /// What stands in the way, worst first.
    pub reasons: Vec<SiteReason>,
    /// The domain controllers that have reported, by name.
    pub dc_rows: Vec<Arc<DcSnapshot>>,
    /// Expected domain controllers that never reported.
    pub dcs_missing: Vec<HostName>,
    /// The verdicts about the site itself.
    pub judgements: Vec<Judgement>,
}

impl SiteSnapshot {
    /// Forest and name; `None` for the hosts that have no site.
    pub fn key(&self) -> Option<SiteKey> {
        self.site.as_ref().map(|site| (site.forest.clone(), site.name.clone()))
    }
}

/// A check counted over a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckCounts {
    /// Its id.
    pub check: &'static str,
    /// What it asks.
    pub title: &'static str,
    /// How often it stands how.
    pub counts: Counts,
}

/// A reason why a site, or someone there, is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteReason {
    /// The check.
    pub check: &'static str,
    /// How it stands: `Blocked`, `Unknown` or `Advisory`.
    pub standing: Standing,
    /// What was seen, in words, at the first of the hosts.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// Hosts it stands on, by name; the first ten.
    pub hosts: Vec<HostName>,
    /// How many hosts it stands on.
    pub host_count: u64,
    /// Users it keeps from being ready.
    pub users_affected: u64,
    /// The earliest time since which it stands so on one of them.
    pub since: Timestamp,
    /// Whether it stands in the gate, where it concerns everybody.
    pub in_gate: bool,
}

/// A domain controller in its site.
#[derive(Clone, Debug)]
pub struct DcSnapshot {
    /// Its number.
    pub number: HostNo,
    /// Its name.
    pub host: HostName,
    /// Whether it can serve key trust.
    pub capability: Capability,
    /// What it said of its system.
    pub operating_system: Option<OperatingSystem>,
    /// The worst of its checks, silence considered.
    pub standing: Standing,
    /// When the certificate ends that the KDC would choose; `None` where there is none, or none is known.
    pub certificate_not_after: Option<Timestamp>,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// Whether it has been silent for three cadences.
    pub quiet: bool,
    /// Whether the inventory names it.
    pub expected: bool,
    /// The verdicts about it, silence considered.
    pub judgements: Vec<Judgement>,
    /// The standing of each verdict before silence made it unknown, and since when it stands, in the same order.
    pub stored: Vec<(Standing, Timestamp)>,
}
