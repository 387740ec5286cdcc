//! The complete result of one evaluation, immutable: what every view prints.
//!
//! A snapshot holds what is told about sites and the organisation. Lists of hosts come from the resident
//! [`crate::table::Table`], and what was said in words about one host from the store. Nothing here is computed;
//! `totals` fills it.

use std::sync::Arc;

use muster_evidence::{HostName, HostNo, OperatingSystem, SiteRef, Timestamp};
use muster_readiness::derive::capability::Capability;
use muster_readiness::{Judgement, Reason, SiteReadiness, Standing, StandingCounts, TallyCounts};

use crate::sites::SiteKey;
use crate::totals::PoolTotals;

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
    pub users: StandingCounts,
    /// Users of whom no endpoint has reported for three cadences.
    pub users_quiet: u64,
    /// Endpoints.
    pub endpoints: StandingCounts,
    /// Domain controllers.
    pub dcs: StandingCounts,
    /// Hosts of any role.
    pub hosts: u64,
    /// Hosts that have been silent for three cadences.
    pub hosts_quiet: u64,
    /// Hosts that no site could be found for.
    pub hosts_without_site: u64,
    /// Hosts whose probe's certificate is near its end, or past it.
    pub certificates_near_end: u64,
    /// Machines that more people use than the policy calls shared.
    pub hosts_shared: u64,
    /// Every pool of the policy.
    pub pools: Vec<PoolSnapshot>,
    /// Hosts that two machines seem to be behind, or behind them and another.
    pub hosts_in_conflict: u64,
    /// What unlocks the most users, first; at most 20. Those of one check and standing are taken together over all
    /// sites, and the words are the ones of the site where most users are affected.
    pub top_reasons: Vec<SiteReason>,
}

/// A pool of non-persistent desktops, which are counted together and not among the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSnapshot {
    /// What the policy calls it.
    pub name: Arc<str>,
    /// The host names that belong to it.
    pub hosts: String,
    /// The site it is limited to; `None`: any.
    pub site: Option<Arc<str>>,
    /// Its counters.
    pub totals: PoolTotals,
}

impl PoolSnapshot {
    /// Whether two snapshots tell the same but for the last report, which is news all the time.
    fn tells_the_same(&self, other: &Self) -> bool {
        let totals = PoolTotals { last_report: self.totals.last_report, ..other.totals };
        *self == Self { totals, ..other.clone() }
    }
}

/// A site.
#[derive(Clone, Debug)]
pub struct SiteSnapshot {
    /// The site; `None` for the hosts that have none.
    pub site: Option<SiteRef>,
    /// Number of the snapshot in which anything about it last changed.
    pub changed_in: u64,
    /// What `muster-readiness` makes of it: rollout verdict, gate, population, coverage.
    pub readiness: SiteReadiness,
    /// Since when the rollout verdict is what it is.
    pub rollout_since: Timestamp,
    /// What stands in the way, worst first: the reasons of `readiness` with their times.
    pub reasons: Vec<SiteReason>,
    /// The counters, each check among them in the order of `CHECKS`.
    pub counts: TallyCounts,
    /// Hosts of any role counted here, those of pools apart.
    pub hosts: u64,
    /// Hosts of any role that have been silent for three cadences.
    pub hosts_quiet: u64,
    /// Hosts whose probe's certificate is near its end, or past it.
    pub certificates_near_end: u64,
    /// Machines here that more people use than the policy calls shared.
    pub hosts_shared: u64,
    /// The pools with machines here, in the order of the policy.
    pub pools: Vec<PoolSnapshot>,
    /// The domain controllers that have reported, by name.
    pub dc_rows: Vec<Arc<DcSnapshot>>,
    /// The verdicts about the site itself.
    pub judgements: Vec<Judgement>,
}

impl SiteSnapshot {
    /// Forest and name; `None` for the hosts that have no site.
    pub fn key(&self) -> Option<SiteKey> {
        self.site.as_ref().map(|site| (site.forest.clone(), site.name.clone()))
    }

    /// Whether two snapshots of a site tell the same, whenever they were made.
    pub(crate) fn tells_the_same(&self, other: &Self) -> bool {
        self.site == other.site
            && self.readiness == other.readiness
            && self.rollout_since == other.rollout_since
            && self.reasons == other.reasons
            && self.counts == other.counts
            && (self.hosts, self.hosts_quiet, self.certificates_near_end)
                == (other.hosts, other.hosts_quiet, other.certificates_near_end)
            && self.hosts_shared == other.hosts_shared
            && self.pools.len() == other.pools.len()
            && self.pools.iter().zip(&other.pools).all(|(own, other)| own.tells_the_same(other))
            && self.dc_rows.len() == other.dc_rows.len()
            && self.dc_rows.iter().zip(&other.dc_rows).all(|(own, other)| own.tells_the_same(other))
            // Until when a verdict about a site holds moves with every report of its domain controllers.
            && self.judgements.len() == other.judgements.len()
            && self.judgements.iter().zip(&other.judgements).all(|(own, other)| {
                own.check == other.check && own.verdict == other.verdict
            })
    }
}

/// A reason why a site, or someone there, is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteReason {
    /// The reason.
    pub reason: Reason,
    /// The earliest time since which it stands so on one of its hosts; `None` where no single host is the reason.
    pub since: Option<Timestamp>,
}

/// A domain controller in its site.
#[derive(Clone, Debug, PartialEq)]
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

impl DcSnapshot {
    /// Whether two snapshots tell the same but for when the machine was last heard of, which is news with every
    /// report.
    fn tells_the_same(&self, other: &Self) -> bool {
        *self == Self { last_seen: self.last_seen, ..other.clone() }
    }
}
