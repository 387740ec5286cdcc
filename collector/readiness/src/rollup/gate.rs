//! The gate of a site: the worst of what serves everybody there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use muster_evidence::{HostName, Timestamp};
use serde::Serialize;

use super::{HOSTS_PER_REASON, Reason};
use crate::check::{SITE_COVERAGE, check_by_id, check_index};
use crate::derive::capability::{Capability, RODC};
use crate::derive::coverage::Coverage;
use crate::freshness::is_stale;
use crate::{CHECKS, DcState, Freshness, Policy, Severity, SiteFacts, Standing, held};

/// How many hosts' words are written out in one reason.
const TEXTS_PER_REASON: usize = 3;

/// What serves everybody at a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// The worst of its rows: open at `Ready` and `Advisory`.
    pub standing: Standing,
    /// Its rows that are not ready, one per check and standing.
    pub reasons: Vec<Reason>,
}

/// One row of the gate: a check on a host, or on the site with the hosts that it names.
struct Row<'a> {
    check: &'static str,
    hosts: Vec<&'a HostName>,
    /// Whether the text names the hosts already.
    names_hosts: bool,
    standing: Standing,
    text: String,
    remedy: String,
}

/// Evaluates the gate.
pub(super) fn gate(site: &SiteFacts, coverage: &Coverage, policy: &Policy, now: Timestamp) -> Gate {
    let mut rows = Vec::new();
    for dc in &site.dcs {
        rows_of_dc(dc, policy, now, &mut rows);
    }
    rows_of_coverage(site, coverage, policy, &mut rows);
    Gate { standing: rows.iter().map(|row| row.standing).max().unwrap_or(Standing::Ready), reasons: reasons(rows) }
}

fn rows_of_dc<'a>(dc: &'a DcState, policy: &Policy, now: Timestamp, rows: &mut Vec<Row<'a>>) {
    let not_capable = match &dc.capability {
        Capability::NotCapable { reason } if reason == RODC => return, // listed in the coverage, counted nowhere
        Capability::NotCapable { .. } => true,
        Capability::Capable | Capability::Unsettled { .. } => false,
    };
    // Coverage says once that a controller is silent; each of its checks would only repeat it.
    let told_by_coverage =
        policy.requires(SITE_COVERAGE) && is_stale(Freshness::DomainController, dc.last_seen, policy, now);
    for check in CHECKS.iter().filter(|check| check.scope().is_of_controllers() && policy.requires(check.id())) {
        if told_by_coverage && check.freshness_on_dc() == Freshness::DomainController {
            continue;
        }
        let (mut standing, mut text, remedy) = match dc.judgements.iter().find(|own| own.check == check.id()) {
            None => (Standing::Unknown, "not judged yet".to_owned(), String::new()),
            Some(own) => {
                let verdict = held(own, check.freshness_on_dc(), dc.last_seen, policy, now).verdict;
                (verdict.standing(), verdict.seen(), verdict.remedy().to_owned())
            }
        };
        match check.severity() {
            Severity::Informative => continue,
            severity @ Severity::Advisory => standing = severity.weighs(standing),
            Severity::Blocker | Severity::BlockerFor(_) if not_capable => continue,
            Severity::Blocker | Severity::BlockerFor(_) => {}
        }
        // Both ends: were it not capable, this row would not exist. Only what would make a difference is a gap.
        if let Capability::Unsettled { why } = &dc.capability
            && standing >= Standing::Unknown
        {
            standing = Standing::Unknown;
            text = format!("whether it can serve key trust is open ({why}); if it can: {text}");
        }
        rows.push(Row { check: check.id(), hosts: vec![&dc.host], names_hosts: false, standing, text, remedy });
    }
}

fn rows_of_coverage<'a>(site: &'a SiteFacts, coverage: &'a Coverage, policy: &Policy, rows: &mut Vec<Row<'a>>) {
    let row = |standing, text, hosts, names_hosts| {
        let remedy = check_by_id(SITE_COVERAGE).map_or("", |check| check.page().remedy).to_owned();
        Row { check: SITE_COVERAGE, hosts, names_hosts, standing, text, remedy }
    };
    if policy.requires(SITE_COVERAGE) {
        let verdict = coverage.of_dcs();
        let hosts = coverage.dcs_silent.iter().map(|silent| &silent.host).chain(&coverage.dcs_missing).collect();
        rows.push(row(verdict.standing(), verdict.text(), hosts, true));
        for host in &coverage.dcs_silent_not_capable {
            let text = "silent; it serves passwords only, and its share of the load is not known".to_owned();
            rows.push(row(Standing::Advisory, text, vec![host], false));
        }
    } else if site.dcs.is_empty() {
        // Whoever does not want coverage judged still gets no open gate from nothing at all.
        rows.push(row(Standing::Unknown, "no domain controller is known here".to_owned(), Vec::new(), true));
    }
}

/// Groups the rows that are not ready by check and standing.
fn reasons(rows: Vec<Row<'_>>) -> Vec<Reason> {
    let mut groups: BTreeMap<(std::cmp::Reverse<Standing>, usize), Vec<Row<'_>>> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.standing >= Standing::Advisory) {
        let place = check_index(row.check).unwrap_or(usize::MAX);
        groups.entry((std::cmp::Reverse(row.standing), place)).or_default().push(row);
    }
    groups
        .into_values()
        .filter_map(|mut rows| {
            rows.sort_by(|left, right| left.hosts.cmp(&right.hosts));
            let Row { check, standing, ref remedy, .. } = *rows.first()?;
            let remedy = Cow::Owned(remedy.clone());
            let mut texts: Vec<String> = rows.iter().take(TEXTS_PER_REASON).map(Row::words).collect();
            if rows.len() > TEXTS_PER_REASON {
                texts.push(format!("and {} more", rows.len() - TEXTS_PER_REASON));
            }
            let mut hosts: Vec<&HostName> = rows.iter().flat_map(|row| row.hosts.iter().copied()).collect();
            hosts.sort();
            hosts.dedup();
            Some(Reason {
                check: Cow::Borrowed(check),
                standing,
                text: texts.join("; "),
                remedy,
                host_count: hosts.len() as u64,
                hosts: hosts.into_iter().take(HOSTS_PER_REASON).cloned().collect(),
                users_affected: 0,
                in_gate: true,
            })
        })
        .collect()
}

impl Row<'_> {
    fn words(&self) -> String {
        match self.hosts.first() {
            Some(host) if !self.names_hosts => format!("`{host}`: {}", self.text),
            _ => self.text.clone(),
        }
    }
}
