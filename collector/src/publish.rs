//! From the resident table to the published snapshot: what each site amounts to, and what the organisation does.
//!
//! Only sites in which something changed are worked out anew; the others are taken over from the snapshot before.
//! What a site amounts to is `muster-readiness`'s to say.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_evidence::{HostNo, SiteRef, Timestamp};
use muster_readiness::derive::capability::Capability;
use muster_readiness::{
    CHECKS, DcState, Judgement, KdcIssuers, Rollout, SiteFacts, SiteReadiness, Standing, check_by_id, held, judge_site,
    rollup,
};

use crate::rebuild::Rebuild;
use crate::sites::{ExpectedSite, SiteKey, Sites};
use crate::snapshot::{DcSnapshot, Organisation, PoolSnapshot, SiteReason, SiteSnapshot, Snapshot};
use crate::table::{PoolNo, Row, SiteNo, Table};
use crate::totals::{PoolTotals, SiteTotals};

/// Most reasons told about the organisation.
const TOP_REASONS: usize = 20;

/// Most hosts that a reason names.
const HOSTS_PER_REASON: usize = 10;

/// The site whose domain controllers serve a site: another one where the inventory says so, else itself.
pub(crate) fn serving(table: &Table, sites: &Sites, site: SiteNo) -> SiteNo {
    let covering = || {
        let own = table.site(site)?;
        let key = (own.forest.clone(), own.name.clone());
        let covering = sites.expected(&key)?.covered_by.clone()?;
        table.site_number(&(key.0, covering))
    };
    covering().unwrap_or(site)
}

/// What rules read of a site.
pub(crate) fn site_facts(table: &Table, sites: &Sites, number: SiteNo, now: Timestamp) -> SiteFacts {
    let entry = table.entry(number);
    let key = |site: &SiteRef| (site.forest.clone(), site.name.clone());
    let expected = |number: SiteNo| table.site(number).and_then(|site| sites.expected(&key(site)));
    let serving = serving(table, sites, number);
    let serving_entry = table.entry(serving);
    let mut dcs: Vec<DcState> =
        serving_entry.dcs.iter().filter_map(|dc| table.get(*dc)).filter_map(|row| dc_state(table, row, now)).collect();
    dcs.sort_by(|left, right| left.host.cmp(&right.host));
    SiteFacts {
        revision: entry.facts_revision + if serving == number { 0 } else { serving_entry.facts_revision },
        site: entry.site.clone(),
        expected_dcs: expected(serving).and_then(|expected| expected.dcs.clone()),
        expected_endpoints: expected(number).and_then(|expected| expected.endpoints),
        dcs,
        endpoints_fresh: entry.totals.endpoints_fresh,
        entra_joined_endpoints: entra_joined(table, sites, serving),
    }
}

/// Whether endpoints joined to Entra ID only are among those whom a site's domain controllers serve, at the site itself
/// and at those it covers.
///
/// One endpoint that is settles it. That there is none is settled by the least share of those expected having said how
/// they are joined, and by nothing where nobody says how many are expected: the first to report speak for themselves
/// alone.
pub(crate) fn entra_joined(table: &Table, sites: &Sites, serving_site: SiteNo) -> Option<bool> {
    let own = table.site(serving_site);
    let (mut told, mut expected) = (0, Some(0));
    for number in served_sites(table, sites, serving_site) {
        let totals = &table.entry(number).totals;
        if totals.entra_joined > 0 {
            return Some(true);
        }
        told += u128::from(totals.join_known);
        let site = table.site(number).and_then(|site| sites.expected(&(site.forest.clone(), site.name.clone())));
        let here = site.and_then(|site| site.endpoints).map(u128::from);
        expected = expected.zip(here).map(|(others, here)| others + here);
    }
    let policy = &table.frame().policy;
    let own_rules = own.filter(|_| !policy.sites.is_empty()).map(|site| policy.for_site(site));
    let least = own_rules.map_or(policy.coverage_least_percent, |own| own.coverage_least_percent);
    (told * 100 >= expected? * u128::from(least)).then_some(false)
}

/// The sites that a site's domain controllers serve: itself, and those it covers.
fn served_sites<'a>(table: &'a Table, sites: &'a Sites, serving_site: SiteNo) -> impl Iterator<Item = SiteNo> + 'a {
    let own = table.site(serving_site);
    let covered = sites.listed().filter(move |(key, expected)| {
        own.is_some_and(|own| own.forest == key.0 && expected.covered_by.as_ref() == Some(&own.name))
    });
    std::iter::once(serving_site).chain(covered.filter_map(|(key, _)| table.site_number(key)))
}

/// The endpoints that a site's domain controllers serve.
pub(crate) fn served_endpoints<'a>(
    table: &'a Table,
    sites: &'a Sites,
    serving_site: SiteNo,
) -> impl Iterator<Item = HostNo> + 'a {
    let hosts = served_sites(table, sites, serving_site).flat_map(|site| table.entry(site).hosts.iter().copied());
    hosts.filter(|number| table.get(*number).is_some_and(|row| row.dc.is_none()))
}

/// What of a domain controller an endpoint is judged by: whether it serves key trust, and whom it must trust for that.
pub(crate) fn trusted_for(row: &Row) -> Option<(Capability, Option<KdcIssuers>)> {
    row.dc.as_ref().map(|dc| (dc.capability.clone(), dc.kdc_issuers))
}

fn dc_state(table: &Table, row: &Row, now: Timestamp) -> Option<DcState> {
    let dc = row.dc.as_ref()?;
    Some(DcState {
        host: row.key.name.clone(),
        operating_system: dc.operating_system.clone(),
        capability: dc.capability.clone(),
        judgements: dc.judgements.clone(),
        last_seen: table.frame().heard_of(row, now),
        kdc_issuers: dc.kdc_issuers,
    })
}

/// The readiness of a site, with the facts it was worked out from.
pub(crate) fn site_readiness(
    table: &Table,
    sites: &Sites,
    number: SiteNo,
    now: Timestamp,
) -> (SiteFacts, SiteReadiness) {
    let facts = site_facts(table, sites, number, now);
    let readiness = rollup(&facts, &table.entry(number).totals.tally, &table.frame().policy, now);
    (facts, readiness)
}

/// A site's rollout verdict as it was last written, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RolloutRecord {
    pub(crate) rollout: Rollout,
    pub(crate) since: Timestamp,
}

/// What every site is worked out by beside the table.
#[derive(Clone, Copy, Debug)]
struct Outlook<'a> {
    sites: &'a Sites,
    rebuild: Option<&'a Rebuild>,
    now: Timestamp,
}

/// What is told of a site.
fn site_snapshot(
    table: &Table,
    outlook: Outlook<'_>,
    number: SiteNo,
    number_of_snapshot: u64,
    before: Option<&Arc<SiteSnapshot>>,
    written: Option<&RolloutRecord>,
) -> Arc<SiteSnapshot> {
    let Outlook { sites, rebuild, now } = outlook;
    let expected = table.site(number).and_then(|site| sites.expected(&(site.forest.clone(), site.name.clone())));
    let (facts, mut readiness) = site_readiness(table, sites, number, now);
    if let Some(rebuild) = rebuild {
        rebuild.cover(&mut readiness, table, number, expected);
    }
    let policy = &table.frame().policy;
    let entry = table.entry(number);
    let reasons = readiness.reasons.iter().map(|reason| SiteReason {
        reason: reason.clone(),
        since: CHECKS
            .iter()
            .position(|check| check.id() == reason.check)
            .and_then(|check| entry.totals.since(check, reason.standing)),
    });
    let rollout_since = match (before, written) {
        (Some(before), _) if before.readiness.rollout == readiness.rollout => before.rollout_since,
        (None, Some(written)) if written.rollout == readiness.rollout => written.since,
        _ => now,
    };
    let dc_rows =
        entry.dcs.iter().filter_map(|dc| table.get(*dc)).filter_map(|row| dc_snapshot(table, row, expected, now));
    let mut dc_rows: Vec<_> = dc_rows.map(Arc::new).collect();
    dc_rows.sort_by(|left, right| left.host.cmp(&right.host));
    let fresh = SiteSnapshot {
        site: entry.site.clone(),
        changed_in: number_of_snapshot,
        rollout_since,
        reasons: reasons.collect(),
        counts: entry.totals.tally.counts.clone(),
        hosts: entry.totals.hosts,
        hosts_quiet: entry.totals.hosts_quiet,
        certificates_near_end: entry.totals.certificates_near_end,
        hosts_shared: entry.totals.hosts_shared,
        pools: pool_snapshots(table, |pool| entry.totals.pools.get(&pool).copied()),
        dc_rows,
        judgements: judge_site(&facts, policy, now),
        readiness,
    };
    let changed_in = match before {
        Some(before) if before.tells_the_same(&fresh) => before.changed_in,
        _ => number_of_snapshot,
    };
    Arc::new(SiteSnapshot { changed_in, ..fresh })
}

fn dc_snapshot(table: &Table, row: &Row, expected: Option<&ExpectedSite>, now: Timestamp) -> Option<DcSnapshot> {
    let dc = row.dc.as_ref()?;
    let policy = &table.frame().policy;
    let heard = table.frame().heard_of(row, now);
    let hold = |judgement: &Judgement| match check_by_id(&judgement.check) {
        Some(check) => held(judgement, check.freshness_on_dc(), heard, policy, now),
        None => judgement.clone(),
    };
    Some(DcSnapshot {
        number: row.number,
        host: row.key.name.clone(),
        capability: dc.capability.clone(),
        operating_system: dc.operating_system.clone(),
        standing: row.standing,
        certificate_not_after: dc.certificate_not_after,
        last_seen: row.last_seen,
        quiet: row.quiet,
        expected: expected.and_then(|site| site.dcs.as_ref()).is_some_and(|dcs| dcs.contains(&row.key.name)),
        judgements: dc.judgements.iter().map(hold).collect(),
        stored: dc.judgements.iter().map(|own| own.verdict.standing()).zip(dc.since.iter().copied()).collect(),
    })
}

/// The pools of the policy of which `totals` knows anything.
fn pool_snapshots(table: &Table, totals: impl Fn(PoolNo) -> Option<PoolTotals>) -> Vec<PoolSnapshot> {
    let pools = table.frame().pools.iter().enumerate();
    pools
        .filter_map(|(place, pool)| {
            Some(PoolSnapshot {
                name: Arc::clone(&pool.name),
                hosts: pool.hosts.to_string(),
                site: pool.site.clone(),
                totals: totals(PoolNo::new(place)?)?,
            })
        })
        .collect()
}

/// The pools of the policy, each over everything that reports, those without machines too.
fn all_pools(table: &Table) -> Vec<PoolSnapshot> {
    let mut sums: BTreeMap<PoolNo, PoolTotals> = BTreeMap::new();
    let sites = table.site_keys().map(|(_, site)| site).chain([SiteNo::default()]);
    for (pool, totals) in sites.flat_map(|site| &table.entry(site).totals.pools) {
        sums.entry(*pool).or_default().join(totals);
    }
    pool_snapshots(table, |pool| Some(sums.get(&pool).copied().unwrap_or_default()))
}

/// Whether anything is counted at a site.
fn is_populated(totals: &SiteTotals) -> bool {
    totals.hosts > 0 || !totals.pools.is_empty()
}

/// What a snapshot is made from beside the table.
#[derive(Debug)]
pub(crate) struct Edition<'a> {
    pub(crate) before: &'a Snapshot,
    pub(crate) sites: &'a Sites,
    pub(crate) rebuild: Option<&'a Rebuild>,
    pub(crate) written: &'a BTreeMap<SiteKey, RolloutRecord>,
    pub(crate) dirty: &'a BTreeSet<SiteNo>,
    pub(crate) hosts_to_judge: u64,
    pub(crate) judged_revision: u64,
    pub(crate) last_transition: u64,
    pub(crate) now: Timestamp,
}

/// Makes the next snapshot.
pub(crate) fn next_snapshot(table: &Table, edition: &Edition<'_>) -> Snapshot {
    let number = edition.before.number + 1;
    let outlook = Outlook { sites: edition.sites, rebuild: edition.rebuild, now: edition.now };
    let earlier: BTreeMap<SiteKey, &Arc<SiteSnapshot>> =
        edition.before.sites.iter().filter_map(|site| Some((site.key()?, site))).collect();
    let make = |no: SiteNo, before: Option<&Arc<SiteSnapshot>>, key: Option<&SiteKey>| {
        match before {
            // A site covered by another changes with it.
            Some(before)
                if !edition.dirty.contains(&no)
                    && !edition.dirty.contains(&serving(table, edition.sites, no))
                    && edition.before.number > 0 =>
            {
                Arc::clone(before)
            }
            _ => {
                let written = key.and_then(|key| edition.written.get(key));
                site_snapshot(table, outlook, no, number, before, written)
            }
        }
    };
    let mut sites: Vec<Arc<SiteSnapshot>> = table
        .site_keys()
        .filter(|(key, no)| is_populated(&table.entry(*no).totals) || edition.sites.expected(key).is_some())
        .map(|(key, no)| make(no, earlier.get(key).copied(), Some(key)))
        .collect();
    sites.sort_by_cached_key(|site| {
        let grade = match site.readiness.rollout {
            Rollout::Hold => 0,
            Rollout::Unknown => 1,
            Rollout::Partly => 2,
            Rollout::Go => 3,
        };
        let population = &site.readiness.population;
        (grade, Reverse(population.users_seen - population.users_ready), site.key())
    });
    let no_site = make(SiteNo::default(), Some(&edition.before.no_site), None);
    let hosts_in_conflict = table.in_conflict().len() as u64;
    let organisation = Organisation { hosts_in_conflict, pools: all_pools(table), ..organisation(&sites, &no_site) };
    Snapshot {
        number,
        as_of: edition.now,
        policy_revision: table.frame().policy_revision,
        judged_revision: edition.judged_revision,
        hosts_to_judge: edition.hosts_to_judge,
        last_transition: edition.last_transition,
        sites,
        no_site,
        organisation,
    }
}

/// The snapshot before the first.
pub(crate) fn empty_snapshot(table: &Table, sites: &Sites, now: Timestamp) -> Snapshot {
    Snapshot {
        number: 0,
        as_of: now,
        policy_revision: table.frame().policy_revision,
        judged_revision: 0,
        hosts_to_judge: 0,
        last_transition: 0,
        sites: Vec::new(),
        no_site: site_snapshot(table, Outlook { sites, rebuild: None, now }, SiteNo::default(), 0, None, None),
        organisation: Organisation::default(),
    }
}

fn organisation(sites: &[Arc<SiteSnapshot>], no_site: &Arc<SiteSnapshot>) -> Organisation {
    let mut sum = Organisation { hosts_without_site: no_site.hosts, ..Organisation::default() };
    let mut reasons: BTreeMap<(String, Standing, bool), (u64, SiteReason)> = BTreeMap::new();
    for site in sites {
        *match site.readiness.rollout {
            Rollout::Go => &mut sum.sites_go,
            Rollout::Partly => &mut sum.sites_partly,
            Rollout::Hold => &mut sum.sites_hold,
            Rollout::Unknown => &mut sum.sites_unknown,
        } += 1;
    }
    for site in sites.iter().chain([no_site]) {
        sum.users.add(&site.counts.users);
        sum.users_quiet += site.counts.users_quiet;
        sum.endpoints.add(&site.counts.endpoints);
        sum.dcs.add(&site.counts.dcs);
        sum.hosts += site.hosts;
        sum.hosts_quiet += site.hosts_quiet;
        sum.certificates_near_end += site.certificates_near_end;
        sum.hosts_shared += site.hosts_shared;
        for own in &site.reasons {
            let key = (own.reason.check.to_string(), own.reason.standing, own.reason.in_gate);
            let Some((most, all)) = reasons.get_mut(&key) else {
                reasons.insert(key, (own.reason.users_affected, own.clone()));
                continue;
            };
            let affected = all.reason.users_affected + own.reason.users_affected;
            let hosts = all.reason.host_count + own.reason.host_count;
            let since = [all.since, own.since].into_iter().flatten().min();
            let mut named = all.reason.hosts.clone();
            if own.reason.users_affected > *most {
                *most = own.reason.users_affected;
                all.reason = own.reason.clone();
            }
            named.extend(own.reason.hosts.iter().cloned());
            named.sort();
            named.truncate(HOSTS_PER_REASON);
            all.reason.hosts = named;
            all.reason.users_affected = affected;
            all.reason.host_count = hosts;
            all.since = since;
        }
    }
    let mut reasons: Vec<SiteReason> = reasons.into_values().map(|(_, reason)| reason).collect();
    reasons.sort_by_key(|own| {
        let reason = &own.reason;
        (Reverse(reason.users_affected), Reverse(reason.standing), Reverse(reason.host_count), reason.check.clone())
    });
    reasons.truncate(TOP_REASONS);
    sum.top_reasons = reasons;
    sum
}
