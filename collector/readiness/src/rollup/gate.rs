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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Host, kdc_certificate, now, site};
    use crate::{Finding, Verdict, judge};

    /// Severities of the checks of domain controllers, as the catalogue has them.
    const BLOCKERS: [&str; 10] = [
        "pki.ntauth",
        "dc.known-bad-build",
        "dc.kdc-service",
        "dc.cert-present",
        "dc.cert-validity",
        "dc.cert-chain",
        "dc.crl-fresh",
        "dc.cert-shadowed",
        "dc.kdc-events",
        "dc.ntauth-policy",
    ];
    /// Where Entra-joined endpoints belong to the population.
    const STRICT_BLOCKERS: [&str; 4] = ["dc.cert-eku", "dc.cert-san", "dc.cert-key", "dc.cert-cdp"];
    const ADVISORIES: [&str; 7] = [
        "net.time-skew",
        "dc.os-version",
        "dc.cert-template",
        "dc.cert-superseded",
        "dc.roca-policy",
        "dc.kdc-as-rate",
        "dc.replication",
    ];

    fn good() -> DcState {
        let host = Host::dc_with(&[kdc_certificate(1)]).complete();
        DcState {
            host: "dc01.corp.example".parse().unwrap(),
            operating_system: None,
            capability: Capability::Capable,
            judgements: judge(&host.facts(), &Policy::default(), now()),
            last_seen: now(),
            kdc_issuers: None,
        }
    }

    fn with(check: &str, verdict: &Verdict) -> DcState {
        let mut dc = good();
        let mut answers = 0;
        for own in dc.judgements.iter_mut().filter(|own| own.check == check) {
            own.verdict = verdict.clone();
            answers += 1;
        }
        assert_eq!(answers, 1, "{check} answers once about a controller");
        dc
    }

    fn standing(dc: DcState) -> Standing {
        let facts = SiteFacts {
            expected_dcs: Some([dc.host.clone()].into()),
            dcs: vec![dc],
            ..SiteFacts::unknown(Some(site()))
        };
        let rows_of_others = Policy { disabled_checks: vec![SITE_COVERAGE.to_owned()], ..Policy::default() };
        gate(&facts, &Coverage::of(&facts, &rows_of_others, now()), &rows_of_others, now()).standing
    }

    fn found() -> Finding {
        Finding { seen: "x".into(), needed: "".into(), remedy: "".into(), source: "".into() }
    }

    #[test]
    fn every_check_of_controllers_has_its_place() {
        let of_controllers: Vec<_> = CHECKS.iter().filter(|check| check.scope().is_of_controllers()).collect();
        for check in &of_controllers {
            let id = check.id();
            match check.severity() {
                Severity::Blocker => assert!(BLOCKERS.contains(&id), "{id}"),
                Severity::BlockerFor(whom) => {
                    assert_eq!(whom, "sites with Entra-joined endpoints");
                    assert!(STRICT_BLOCKERS.contains(&id), "{id}");
                }
                Severity::Advisory => assert!(ADVISORIES.contains(&id), "{id}"),
                Severity::Informative => panic!("{id}"),
            }
        }
        assert_eq!(of_controllers.len(), BLOCKERS.len() + STRICT_BLOCKERS.len() + ADVISORIES.len());
    }

    #[test]
    fn one_row_decides_by_its_severity_and_by_what_the_controller_can() {
        assert_eq!(standing(good()), Standing::Ready);
        let old = Capability::NotCapable { reason: "not capable".to_owned() };
        let read_only = Capability::NotCapable { reason: RODC.to_owned() };
        let open = Capability::Unsettled { why: "x".to_owned() };
        for check in CHECKS.iter().filter(|check| check.scope().is_of_controllers()) {
            let id = check.id();
            let decides = check.severity() != Severity::Advisory;
            for (verdict, on_capable, on_open) in [
                (Verdict::Ready, Standing::Ready, Standing::Ready),
                (Verdict::not_applicable("x"), Standing::Ready, Standing::Ready),
                (Verdict::Advisory(found()), Standing::Advisory, Standing::Advisory),
                (Verdict::unknown("a", "b"), Standing::Unknown, Standing::Unknown),
                (Verdict::Blocked(found()), Standing::Blocked, Standing::Unknown),
            ] {
                let most = if decides { Standing::Blocked } else { Standing::Advisory };
                let on = |capability: &Capability| {
                    standing(DcState { capability: capability.clone(), ..with(id, &verdict) })
                };
                assert_eq!(on(&Capability::Capable), on_capable.min(most), "{id}: {verdict:?}");
                assert_eq!(on(&open), on_open.min(most), "{id}: {verdict:?}");
                let on_old = if decides { Standing::Ready } else { on_capable.min(most) };
                assert_eq!(on(&old), on_old, "{id}: {verdict:?}");
                assert_eq!(on(&read_only), Standing::Ready, "{id}: {verdict:?}");
            }
            let mut unjudged = good();
            unjudged.judgements.retain(|own| own.check != id);
            let gap = if decides { Standing::Unknown } else { Standing::Advisory };
            assert_eq!(standing(unjudged), gap, "{id}");
        }
    }
}
