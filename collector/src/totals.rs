//! Counters of sites: what single hosts and users add to them, kept by adding and taking.
//!
//! Counting itself is `muster-readiness`'s ([`Tally`]); here is what the collector counts beside it, and the counters
//! that commit with each change in the store. Those count verdicts as they were judged, since staleness is stored
//! nowhere, and a plain fold over the stored verdicts must give the same numbers.

use std::collections::BTreeMap;

use muster_evidence::Timestamp;
use muster_proto::v1;
use muster_readiness::{HostStanding, Standing, StandingCounts, Tally, UserStanding};

use crate::store::CounterDelta;
use crate::table::{PoolNo, Row};
use crate::verdict::standing_from_wire;

/// Counters of a site.
#[derive(Clone, Debug, Default)]
pub struct SiteTotals {
    /// Hosts and users by standing, and every check.
    pub tally: Tally,
    /// Hosts of any role.
    pub hosts: u64,
    /// Hosts that have been silent for three cadences.
    pub hosts_quiet: u64,
    /// Hosts whose probe's certificate is near its end, or past it.
    pub certificates_near_end: u64,
    /// Endpoints with fresh evidence.
    pub endpoints_fresh: u64,
    /// Endpoints that are joined to Entra ID only.
    pub entra_joined: u64,
    /// Endpoints of which it is known how they are joined.
    pub join_known: u64,
    /// Machines that many people use.
    pub hosts_shared: u64,
    /// Non-persistent desktops, which are counted here and nowhere else.
    pub pools: BTreeMap<PoolNo, PoolTotals>,
    /// How many cells of a check stand so since then, in seconds since 1970; those that are neither ready nor beside
    /// the point.
    since: BTreeMap<(u8, Standing, i64), u32>,
}

/// Counters of a pool at a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolTotals {
    /// Machines of which something is kept.
    pub kept: u64,
    /// Those heard of within the last 24 hours, by what they stand at.
    pub seen: StandingCounts,
    /// When one of them was last heard of; `None` where that is not known.
    pub last_report: Option<Timestamp>,
}

impl PoolTotals {
    /// Adds another's counts.
    pub(crate) fn join(&mut self, other: &Self) {
        self.kept += other.kept;
        self.seen.add(&other.seen);
        self.last_report = self.last_report.max(other.last_report);
    }
}

const fn count_of(counts: &mut StandingCounts, standing: Standing) -> &mut u64 {
    match standing {
        Standing::Ready => &mut counts.ready,
        Standing::Advisory => &mut counts.advisory,
        Standing::Blocked => &mut counts.blocked,
        Standing::Unknown => &mut counts.unknown,
        Standing::NotApplicable => &mut counts.not_applicable,
    }
}

impl SiteTotals {
    /// Adds a host's share.
    pub(crate) fn add(&mut self, row: &Row) {
        if let Some(pool) = row.pool {
            let own = self.pools.entry(pool).or_default();
            own.kept += 1;
            own.last_report = own.last_report.max(Some(row.last_seen));
            if row.in_use {
                *count_of(&mut own.seen, row.standing) += 1;
            }
            // Whom domain controllers must please is settled by one such machine, and they sign in like any other.
            self.entra_joined += u64::from(row.is_endpoint && row.entra_joined == Some(true));
            return;
        }
        self.hosts_shared += u64::from(row.shared);
        if let Some(standing) = standing_of(row) {
            self.tally.add_host(&standing);
        }
        self.hosts += 1;
        self.hosts_quiet += u64::from(row.quiet);
        self.certificates_near_end += u64::from(row.certificate_near_end);
        if row.is_endpoint {
            self.endpoints_fresh += u64::from(row.fresh);
            self.entra_joined += u64::from(row.entra_joined == Some(true));
            self.join_known += u64::from(row.entra_joined.is_some());
        }
        for key in sinces(row) {
            *self.since.entry(key).or_default() += 1;
        }
    }

    /// Takes out what was added for the same row.
    pub(crate) fn take(&mut self, row: &Row) {
        if let Some(pool) = row.pool {
            if let Some(own) = self.pools.get_mut(&pool) {
                own.kept -= 1;
                if row.in_use {
                    *count_of(&mut own.seen, row.standing) -= 1;
                }
                if own.kept == 0 {
                    self.pools.remove(&pool);
                }
            }
            self.entra_joined -= u64::from(row.is_endpoint && row.entra_joined == Some(true));
            return;
        }
        self.hosts_shared -= u64::from(row.shared);
        if let Some(standing) = standing_of(row) {
            self.tally.remove_host(&standing);
        }
        self.hosts -= 1;
        self.hosts_quiet -= u64::from(row.quiet);
        self.certificates_near_end -= u64::from(row.certificate_near_end);
        if row.is_endpoint {
            self.endpoints_fresh -= u64::from(row.fresh);
            self.entra_joined -= u64::from(row.entra_joined == Some(true));
            self.join_known -= u64::from(row.entra_joined.is_some());
        }
        for key in sinces(row) {
            if let Some(count) = self.since.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.since.remove(&key);
                }
            }
        }
    }

    /// Notes that a machine of a pool was heard of. Whether that is later than what was known.
    pub(crate) fn heard_of(&mut self, pool: PoolNo, at: Timestamp) -> bool {
        let Some(own) = self.pools.get_mut(&pool) else { return false };
        let is_later = own.last_report < Some(at);
        own.last_report = own.last_report.max(Some(at));
        is_later
    }

    /// Forgets when the pools were last heard of, before all their machines are added anew.
    pub(crate) fn forget_last_reports(&mut self) {
        for own in self.pools.values_mut() {
            own.last_report = None;
        }
    }

    pub(crate) fn add_user(&mut self, user: &UserStanding) {
        self.tally.add_user(user);
    }

    pub(crate) fn take_user(&mut self, user: &UserStanding) {
        self.tally.remove_user(user);
    }

    /// The earliest time since which a check, by its place in `CHECKS`, stands so on a host here.
    pub fn since(&self, check: usize, standing: Standing) -> Option<Timestamp> {
        let check = u8::try_from(check).ok()?;
        let range = (check, standing, i64::MIN)..=(check, standing, i64::MAX);
        let ((_, _, seconds), _) = self.since.range(range).next()?;
        Timestamp::from_unix_seconds(*seconds).ok()
    }
}

/// What a host adds to the tally; machines that are neither endpoints nor domain controllers add nothing.
fn standing_of(row: &Row) -> Option<HostStanding> {
    let is_domain_controller = row.roles.is_domain_controller();
    (is_domain_controller || row.is_endpoint).then(|| HostStanding {
        host: row.key.name.clone(),
        is_domain_controller,
        quiet: row.quiet,
        standing: row.standing,
        worst: row.worst_check(),
        verdicts: row.all_cells().map(|cell| (cell.check_index(), cell.held())).collect(),
    })
}

/// Since when the cells of a row stand that the tally counts.
fn sinces(row: &Row) -> impl Iterator<Item = (u8, Standing, i64)> {
    let cells = row.all_cells().filter(|_| row.is_endpoint || row.roles.is_domain_controller());
    cells.filter(|cell| cell.held() >= Standing::Advisory).map(|cell| {
        // A verdict that silence made unknown is so because nothing was heard since then.
        let since = if cell.held() == cell.stored() { cell.since() } else { row.last_seen };
        (cell.check_number(), cell.held(), since.unix_ms().div_euclid(1_000))
    })
}

/// The counters of one host, as they are kept in the store: hosts, and verdicts by check and standing, per site.
///
/// Names are made of forest, site, check and standing, separated by tabs, which none of them can contain; hosts
/// without a site count under an empty forest and site. A machine of a pool counts under the pool's name alone.
pub fn counters_of(record: &v1::HostRecord, verdicts: &v1::VerdictRecord) -> BTreeMap<String, i64> {
    let site = record.site.clone().unwrap_or_default();
    let place = format!("{}\t{}", site.forest, site.name);
    if !record.pool.is_empty() {
        return BTreeMap::from([(format!("{place}\tpool\t{}", record.pool), 1)]);
    }
    let mut counters = BTreeMap::from([(format!("{place}\thosts"), 1)]);
    for verdict in verdicts.verdicts.iter().filter_map(|stored| stored.verdict.as_ref()) {
        if let Some(standing) = standing_from_wire(verdict.standing) {
            *counters.entry(format!("{place}\t{}\t{standing}", verdict.check)).or_default() += 1;
        }
    }
    counters
}

/// What changes in the store's counters when a host's record takes the place of another; `None` where there was none.
pub fn deltas(
    before: Option<(&v1::HostRecord, &v1::VerdictRecord)>,
    after: (&v1::HostRecord, &v1::VerdictRecord),
) -> Vec<CounterDelta> {
    if let Some((record, verdicts)) = before
        && record.site == after.0.site
        && record.pool == after.0.pool
    {
        return deltas_where_it_is(verdicts, after);
    }
    let mut changes = counters_of(after.0, after.1);
    if let Some((record, verdicts)) = before {
        for (counter, by) in counters_of(record, verdicts) {
            *changes.entry(counter).or_default() -= by;
        }
    }
    changes.retain(|_, by| *by != 0);
    changes.into_iter().map(|(counter, by)| CounterDelta { counter, by }).collect()
}

/// The same for a host that stays where it is, as nearly all do. Most of its verdicts stand as they stood, and the names
/// of their counters are not even spelt.
fn deltas_where_it_is(before: &v1::VerdictRecord, after: (&v1::HostRecord, &v1::VerdictRecord)) -> Vec<CounterDelta> {
    let (record, after) = after;
    if !record.pool.is_empty() {
        return Vec::new();
    }
    let mut changes: BTreeMap<(&str, Standing), i64> = BTreeMap::new();
    for (verdicts, by) in [(after, 1), (before, -1)] {
        for verdict in verdicts.verdicts.iter().filter_map(|stored| stored.verdict.as_ref()) {
            if let Some(standing) = standing_from_wire(verdict.standing) {
                *changes.entry((verdict.check.as_str(), standing)).or_default() += by;
            }
        }
    }
    let site = record.site.as_ref();
    let (forest, name) = site.map_or(("", ""), |site| (site.forest.as_str(), site.name.as_str()));
    let mut deltas: Vec<CounterDelta> = (changes.into_iter().filter(|(_, by)| *by != 0))
        .map(|((check, standing), by)| CounterDelta { counter: format!("{forest}\t{name}\t{check}\t{standing}"), by })
        .collect();
    deltas.sort_unstable_by(|a, b| a.counter.cmp(&b.counter));
    deltas
}

/// What changes in the store's counters when a host's record goes.
pub fn deltas_of_the_gone(record: &v1::HostRecord, verdicts: &v1::VerdictRecord) -> Vec<CounterDelta> {
    let counters = counters_of(record, verdicts).into_iter();
    counters.map(|(counter, by)| CounterDelta { counter, by: -by }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(site: Option<&str>) -> v1::HostRecord {
        let site = site.map(|name| v1::SiteId { forest: "corp.example".into(), name: name.into() });
        v1::HostRecord { site, ..v1::HostRecord::default() }
    }

    fn verdicts(standings: &[(&str, v1::Standing)]) -> v1::VerdictRecord {
        let verdicts = standings.iter().map(|(check, standing)| v1::StoredVerdict {
            verdict: Some(v1::Verdict { check: (*check).into(), standing: (*standing).into(), ..Default::default() }),
            ..Default::default()
        });
        v1::VerdictRecord { verdicts: verdicts.collect() }
    }

    #[test]
    fn a_move_takes_from_one_site_and_gives_to_the_other() {
        let judged = verdicts(&[("tpm.version", v1::Standing::Ready)]);
        let changes = deltas(Some((&record(Some("A")), &judged)), (&record(Some("B")), &judged));
        let told: Vec<_> = changes.iter().map(|delta| (delta.counter.as_str(), delta.by)).collect();
        assert_eq!(
            told,
            [
                ("corp.example\tA\thosts", -1),
                ("corp.example\tA\ttpm.version\tready", -1),
                ("corp.example\tB\thosts", 1),
                ("corp.example\tB\ttpm.version\tready", 1),
            ]
        );
    }

    #[test]
    fn an_unchanged_verdict_changes_no_counter() {
        let before = verdicts(&[("tpm.version", v1::Standing::Ready), ("join.type", v1::Standing::Blocked)]);
        let after = verdicts(&[("tpm.version", v1::Standing::Ready), ("join.type", v1::Standing::Ready)]);
        let here = record(None);
        let changes = deltas(Some((&here, &before)), (&here, &after));
        let told: Vec<_> = changes.iter().map(|delta| (delta.counter.as_str(), delta.by)).collect();
        assert_eq!(told, [("\t\tjoin.type\tblocked", -1), ("\t\tjoin.type\tready", 1)]);
        assert_eq!(deltas(Some((&here, &after)), (&here, &after)), []);
    }
}
