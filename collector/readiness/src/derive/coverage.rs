//! How much of a site is seen: its domain controllers and its endpoints, against what an inventory expects.
//!
//! Without an inventory nothing is ever complete: a share of those who report would be 100 % of whoever is left.

use muster_evidence::{HostName, Timestamp};
use serde::Serialize;

use super::capability::{Capability, RODC};
use crate::freshness::is_stale;
use crate::{CHECKS, Freshness, Policy, SiteFacts, Standing, Verdict};

/// How much of a site is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Domain controllers that the inventory expects here; `None` without an inventory.
    pub dcs_expected: Option<u64>,
    /// Domain controllers that have ever reported from here.
    pub dcs_reporting: u64,
    /// Those of them whose facts are fresh.
    pub dcs_fresh: u64,
    /// Those of them that can serve key trust, silent or not.
    pub dcs_capable: u64,
    /// Those of them of whom it is not known.
    pub dcs_unsettled: u64,
    /// Expected domain controllers that never reported, in order.
    pub dcs_missing: Vec<HostName>,
    /// Domain controllers that can or may serve key trust and are silent past the limit, in order.
    pub dcs_silent: Vec<SilentDc>,
    /// Silent ones that only serve passwords, in order.
    pub dcs_silent_not_capable: Vec<HostName>,
    /// Read-only ones, which are listed and left out of everything else, in order.
    pub dcs_read_only: Vec<HostName>,
    /// Endpoints that the inventory expects here; `None` without an inventory.
    pub endpoints_expected: Option<u64>,
    /// Endpoints with fresh evidence.
    pub endpoints_fresh: u64,
    /// The share in percent, rounded down, at most 100; `None` where nothing is expected or no inventory says.
    pub endpoints_share_percent: Option<u64>,
    /// The least share that the policy wants here, in percent.
    pub endpoints_least_percent: u32,
}

/// A domain controller that is silent past its limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SilentDc {
    /// Its name.
    pub host: HostName,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// What it last stood at, in words.
    pub last_verdict: String,
}

impl Coverage {
    /// Counts what is seen of a site.
    pub fn of(site: &SiteFacts, policy: &Policy, now: Timestamp) -> Self {
        let mut coverage = Self {
            dcs_expected: site.expected_dcs.as_ref().map(|dcs| dcs.len() as u64),
            dcs_reporting: site.dcs.len() as u64,
            dcs_fresh: 0,
            dcs_capable: 0,
            dcs_unsettled: 0,
            dcs_missing: Vec::new(),
            dcs_silent: Vec::new(),
            dcs_silent_not_capable: Vec::new(),
            dcs_read_only: Vec::new(),
            endpoints_expected: site.expected_endpoints,
            endpoints_fresh: site.endpoints_fresh,
            endpoints_share_percent: site
                .expected_endpoints
                .filter(|expected| *expected > 0)
                .map(|expected| (u128::from(site.endpoints_fresh) * 100 / u128::from(expected)).min(100) as u64),
            endpoints_least_percent: policy.for_site_or_everywhere(site.site.as_ref()).coverage_least_percent,
        };
        for dc in &site.dcs {
            let silent = is_stale(Freshness::DomainController, dc.last_seen, policy, now);
            coverage.dcs_fresh += u64::from(!silent);
            match &dc.capability {
                Capability::Capable => coverage.dcs_capable += 1,
                Capability::Unsettled { .. } => coverage.dcs_unsettled += 1,
                Capability::NotCapable { reason } => {
                    if reason == RODC {
                        coverage.dcs_read_only.push(dc.host.clone());
                    } else if silent {
                        coverage.dcs_silent_not_capable.push(dc.host.clone());
                    }
                    continue;
                }
            }
            if silent {
                coverage.dcs_silent.push(SilentDc {
                    host: dc.host.clone(),
                    last_seen: dc.last_seen,
                    last_verdict: last_verdict(&dc.judgements, policy),
                });
            }
        }
        if let Some(expected) = &site.expected_dcs {
            let reports = |name: &&HostName| site.dcs.iter().any(|dc| dc.host == **name);
            coverage.dcs_missing = expected.iter().filter(|name| !reports(name)).cloned().collect();
        }
        coverage.dcs_silent.sort();
        coverage.dcs_silent_not_capable.sort();
        coverage.dcs_read_only.sort();
        coverage
    }

    /// What is missing about the domain controllers, which serve everybody; `Ready` where nothing is.
    pub fn of_dcs(&self) -> Verdict {
        let mut gaps = Vec::new();
        if self.dcs_expected.is_none() {
            gaps.push("no inventory says which domain controllers to expect".to_owned());
        }
        for host in &self.dcs_missing {
            gaps.push(format!("`{host}` has never reported"));
        }
        for SilentDc { host, last_seen, last_verdict } in &self.dcs_silent {
            gaps.push(format!("no report from `{host}` since {last_seen} (last {last_verdict})"));
        }
        if self.dcs_capable == 0 && self.dcs_missing.is_empty() {
            let gap = if self.dcs_reporting == 0 {
                "no domain controller is known here, and which other site covers this one is not known"
            } else if self.dcs_unsettled > 0 {
                "whether any domain controller here can serve key trust is not known"
            } else {
                "no domain controller here can serve key trust, and whether another site's does is not known"
            };
            gaps.push(gap.to_owned());
        }
        if gaps.is_empty() {
            Verdict::Ready
        } else {
            Verdict::unknown("domain controllers of the site", gaps.join("; "))
        }
    }

    /// What is missing about the endpoints, which is the population's; `Ready` where enough is seen.
    pub fn of_endpoints(&self) -> Verdict {
        let Some(expected) = self.endpoints_expected else {
            return Verdict::unknown("endpoints of the site", "no inventory says how many to expect");
        };
        let needed = u128::from(expected) * u128::from(self.endpoints_least_percent);
        if u128::from(self.endpoints_fresh) * 100 >= needed {
            return Verdict::Ready;
        }
        Verdict::unknown(
            "endpoints of the site",
            format!(
                "{} of {expected} expected have fresh evidence ({} %, needed {} %)",
                self.endpoints_fresh,
                self.endpoints_share_percent.unwrap_or(0),
                self.endpoints_least_percent
            ),
        )
    }
}

/// The worst of a controller's verdicts that count in the gate, in words.
fn last_verdict(judgements: &[crate::Judgement], policy: &Policy) -> String {
    let counts = |judgement: &&crate::Judgement| {
        policy.requires(&judgement.check)
            && CHECKS.iter().any(|check| check.id() == judgement.check && check.scope().is_of_controllers())
    };
    // The first of equals, so that the words do not depend on how often a check answers.
    let mut worst: Option<&crate::Judgement> = None;
    for judgement in judgements.iter().filter(counts) {
        if worst.is_none_or(|worst| judgement.verdict.standing() > worst.verdict.standing()) {
            worst = Some(judgement);
        }
    }
    match worst {
        None => "not judged".to_owned(),
        Some(judgement) => match judgement.verdict.standing() {
            standing @ (Standing::Ready | Standing::NotApplicable) => standing.name().to_owned(),
            standing => format!("{standing} by `{}`: {}", judgement.check, judgement.verdict.seen()),
        },
    }
}
