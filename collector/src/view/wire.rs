//! Snapshots and rows as messages of the operators' API.

use muster_evidence::{Role, SiteRef, Timestamp};
use muster_proto::{convert, v1};
use muster_readiness::derive::capability::Capability;
use muster_readiness::{CHECKS, Check, Page, Rollout, Standing, StandingCounts, caused_by};

use crate::judge::words_of;
use crate::snapshot::{DcSnapshot, PoolSnapshot, SiteReason, SiteSnapshot, Snapshot};
use crate::table::{Cell, Row, Table};
use crate::totals::PoolTotals;
use crate::verdict::{standing_to_wire, verdict_to_wire};

/// Counts by standing.
pub(super) const fn counts(counts: &StandingCounts) -> v1::StandingCounts {
    let StandingCounts { ready, advisory, blocked, unknown, not_applicable } = *counts;
    v1::StandingCounts { ready, advisory, blocked, unknown, not_applicable }
}

/// A site's forest and name.
pub(super) fn site_id(site: &SiteRef) -> v1::SiteId {
    v1::SiteId { forest: site.forest.to_string(), name: site.name.to_string() }
}

/// A rollout verdict.
pub(super) const fn rollout(rollout: Rollout) -> v1::Rollout {
    match rollout {
        Rollout::Go => v1::Rollout::Go,
        Rollout::Partly => v1::Rollout::Partly,
        Rollout::Hold => v1::Rollout::Hold,
        Rollout::Unknown => v1::Rollout::Unknown,
    }
}

/// The rollout verdict of a message; `None` where it is none.
pub(super) fn rollout_from(number: i32) -> Option<Rollout> {
    match v1::Rollout::try_from(number).ok()? {
        v1::Rollout::Unspecified => None,
        v1::Rollout::Go => Some(Rollout::Go),
        v1::Rollout::Partly => Some(Rollout::Partly),
        v1::Rollout::Hold => Some(Rollout::Hold),
        v1::Rollout::Unknown => Some(Rollout::Unknown),
    }
}

/// A reason.
pub(super) fn reason(site_reason: &SiteReason) -> v1::SiteReason {
    let SiteReason { reason, since } = site_reason;
    v1::SiteReason {
        check: reason.check.to_string(),
        standing: standing_to_wire(reason.standing).into(),
        text: reason.text.clone(),
        remedy: reason.remedy.to_string(),
        hosts: reason.hosts.iter().map(ToString::to_string).collect(),
        host_count: reason.host_count,
        users_affected: reason.users_affected,
        since_ms: since.map(Timestamp::unix_ms),
        in_gate: reason.in_gate,
        site: None,
    }
}

/// A reason of the organisation, with its site where it is the only one.
fn reason_of_all(snapshot: &Snapshot, site_reason: &SiteReason) -> v1::SiteReason {
    let SiteReason { reason: own, since: _ } = site_reason;
    let stands_in = |site: &SiteSnapshot| {
        site.reasons.iter().any(|SiteReason { reason, since: _ }| {
            reason.check == own.check && reason.standing == own.standing && reason.in_gate == own.in_gate
        })
    };
    // Hosts without a site may share the reason, and then no site can be named for it. Where there are none, what is said
    // of them concerns nobody.
    let without_site = (snapshot.no_site.hosts > 0).then(|| snapshot.no_site.as_ref());
    let mut sites = snapshot.sites.iter().map(AsRef::as_ref).chain(without_site).filter(|site| stands_in(site));
    let site = match (sites.next(), sites.next()) {
        (Some(only), None) => only.site.as_ref().map(site_id),
        _ => None,
    };
    v1::SiteReason { site, ..reason(site_reason) }
}

/// A site of a snapshot.
pub(super) fn site(site: &SiteSnapshot) -> v1::Site {
    let (population, coverage) = (&site.readiness.population, &site.readiness.coverage);
    v1::Site {
        id: site.site.as_ref().map(site_id),
        rollout: rollout(site.readiness.rollout).into(),
        rollout_since_ms: site.rollout_since.unix_ms(),
        gate: standing_to_wire(site.readiness.gate.standing).into(),
        users: Some(counts(&population.users)),
        users_quiet: population.users_quiet,
        endpoints: Some(counts(&population.endpoints)),
        endpoints_quiet: population.endpoints_quiet,
        dcs_expected: coverage.dcs_expected.unwrap_or_default(),
        dcs_fresh: coverage.dcs_fresh,
        inventory_known: coverage.dcs_expected.is_some(),
        endpoints_expected: coverage.endpoints_expected,
        endpoints_fresh: coverage.endpoints_fresh,
        reasons: site.reasons.iter().map(reason).collect(),
        qualifiers: site.readiness.qualifiers.iter().map(ToString::to_string).collect(),
        dcs_reporting: coverage.dcs_reporting,
        users_seen: population.users_seen,
        pools: site.pools.iter().map(pool).collect(),
        hosts_shared: site.hosts_shared,
    }
}

/// A pool.
fn pool(pool: &PoolSnapshot) -> v1::Pool {
    let PoolSnapshot { name, hosts, site, totals: PoolTotals { kept, seen, last_report } } = pool;
    v1::Pool {
        name: name.to_string(),
        pattern: hosts.clone(),
        site: site.as_deref().unwrap_or_default().to_owned(),
        seen: Some(counts(seen)),
        kept: *kept,
        last_report_ms: last_report.map(Timestamp::unix_ms),
    }
}

/// What a check asks, for those who want to know why it answers as it does.
pub(super) fn check_rule(check: &dyn Check) -> v1::CheckRule {
    let Page { meaning, evidence: _, threshold, remedy, source, query: _, alert: _ } = check.page();
    v1::CheckRule {
        check: check.id().to_owned(),
        title: check.title().to_owned(),
        severity: check.severity().words(),
        meaning: meaning.to_owned(),
        threshold: threshold.to_owned(),
        remedy: remedy.to_owned(),
        source: source.to_owned(),
        reads: check.reads().iter().map(ToString::to_string).collect(),
        caused_by: caused_by(check.id()).iter().map(|id| (*id).to_owned()).collect(),
    }
}

/// Every check counted over a site, in the order of `CHECKS`; only those that speak of anyone there.
pub(super) fn check_counts(site: &SiteSnapshot) -> Vec<v1::CheckCounts> {
    let counted =
        CHECKS.iter().zip(&site.counts.checks).filter(|(_, check)| check.verdicts != StandingCounts::default());
    counted
        .map(|(check, own)| v1::CheckCounts {
            check: check.id().to_owned(),
            title: check.title().to_owned(),
            counts: Some(counts(&own.verdicts)),
        })
        .collect()
}

/// A domain controller of a site.
pub(super) fn site_dc(dc: &DcSnapshot) -> v1::SiteDc {
    let verdicts = dc.judgements.iter().zip(&dc.stored).map(|(judgement, (stored, since))| {
        let verdict = verdict_to_wire(judgement, *since, None);
        with_silence(verdict, judgement.verdict.standing(), *stored)
    });
    v1::SiteDc {
        host: dc.host.to_string(),
        capability: match &dc.capability {
            Capability::Capable => "capable".to_owned(),
            Capability::NotCapable { reason } => format!("not capable: {reason}"),
            Capability::Unsettled { why } => format!("unsettled: {why}"),
        },
        operating_system: dc.operating_system.as_ref().map(words_of).unwrap_or_default(),
        standing: standing_to_wire(dc.standing).into(),
        certificate_not_after_ms: dc.certificate_not_after.map(Timestamp::unix_ms),
        last_seen_ms: dc.last_seen.unix_ms(),
        quiet: dc.quiet,
        expected: dc.expected,
        verdicts: verdicts.collect(),
    }
}

/// Notes in a verdict what it was before silence made it unknown.
pub(super) fn with_silence(mut verdict: v1::Verdict, held: Standing, stored: Standing) -> v1::Verdict {
    if held != stored {
        verdict.stale_standing = standing_to_wire(stored).into();
    }
    verdict
}

/// A host in a list.
pub(super) fn host_summary(table: &Table, row: &Row) -> v1::HostSummary {
    let worst = row.worst.and_then(|check| {
        row.all_cells().filter(|cell| cell.check_index() == usize::from(check)).max_by_key(|cell| cell.held())
    });
    let forest = || row.key.forest.as_ref().map(ToString::to_string).unwrap_or_default();
    v1::HostSummary {
        number: row.number.0,
        name: row.key.name.to_string(),
        site: match table.site(row.site) {
            Some(site) => Some(site_id(site)),
            None => row.key.forest.is_some().then(|| v1::SiteId { forest: forest(), name: String::new() }),
        },
        roles: row.roles.iter().map(role).collect(),
        standing: standing_to_wire(row.overall).into(),
        worst_check: row.worst_check().unwrap_or_default().to_owned(),
        worst_text: worst.map(|cell| worst_text(table, cell)).unwrap_or_default(),
        last_seen_ms: row.last_seen.unix_ms(),
        quiet: row.quiet,
        probe_version: row.probe_version.to_string(),
        operating_system: row.operating_system.to_string(),
        users: u32::try_from(row.users.len()).unwrap_or(u32::MAX),
        certificate_not_after_ms: row.certificate_validity().map(|(_, until)| until.unix_ms()),
        certificate_near_end: row.certificate_near_end,
        clock_ahead_ms: row.clock_ahead_ms(),
        pool: table.pool_name(row).unwrap_or_default().to_owned(),
        shared: row.shared,
        people: row.people.into(),
        conflict: table.is_in_conflict(row),
    }
}

fn worst_text(table: &Table, cell: &Cell) -> String {
    if cell.held() != cell.stored() {
        return format!("the evidence is too old; was {}", cell.stored());
    }
    let words = table.words(cell);
    match cell.held() {
        // A gap is the evidence that is missing and why; neither says anything without the other.
        Standing::Unknown => words.map(|words| format!("{}: {}", words.seen, words.needed)),
        _ => words.map(|words| words.seen.clone()),
    }
    .unwrap_or_default()
}

/// A role.
pub(super) fn role(role: Role) -> i32 {
    convert::role_to_wire(role)
}

/// The organisation.
pub(super) fn organisation(snapshot: &Snapshot) -> v1::GetOrganisationResponse {
    let sums = &snapshot.organisation;
    v1::GetOrganisationResponse {
        snapshot: snapshot.number,
        as_of_ms: snapshot.as_of.unix_ms(),
        policy_revision: snapshot.policy_revision,
        sites_go: sums.sites_go,
        sites_partly: sums.sites_partly,
        sites_hold: sums.sites_hold,
        sites_unknown: sums.sites_unknown,
        users: Some(counts(&sums.users)),
        endpoints: Some(counts(&sums.endpoints)),
        dcs: Some(counts(&sums.dcs)),
        hosts: sums.hosts,
        hosts_quiet: sums.hosts_quiet,
        hosts_without_site: sums.hosts_without_site,
        certificates_near_end: sums.certificates_near_end,
        top_reasons: sums.top_reasons.iter().map(|reason| reason_of_all(snapshot, reason)).collect(),
        collector_version: env!("CARGO_PKG_VERSION").to_owned(),
        pools: sums.pools.iter().map(pool).collect(),
        hosts_shared: sums.hosts_shared,
        hosts_in_conflict: sums.hosts_in_conflict,
        access: None,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Kind, ObservationKey, Outcome};

    use super::*;
    use crate::fixture::{Lab, Machine};

    #[tokio::test]
    async fn a_reason_of_one_site_names_it() {
        let lab = Lab::new().await;
        for (name, site, user, expected) in [
            ("pc-1", "Harbour", 1101, Some("Harbour")),
            ("pc-2", "Harbour", 1102, Some("Harbour")),
            ("pc-3", "Depot", 1103, None),
        ] {
            let mut machine = Machine::endpoint(name, site, user);
            machine.outcome(ObservationKey::host(Kind::JoinState), Outcome::Absent, Context::Service);
            lab.take(&mut machine).await;
            let snapshot = lab.core.publish_now().await.unwrap();
            let all = organisation(&snapshot);
            let found = all.top_reasons.iter().find(|reason| reason.check == "join.type").unwrap();
            assert_eq!(found.site.as_ref().map(|site| site.name.as_str()), expected, "after {name}: {found:?}");
        }
    }
}
