//! The rollup: from verdicts about hosts and users to the readiness of a site.
//!
//! A site has a *gate*, what serves everybody there, and a *population*, who is ready. The gate comes from the site's
//! facts (`gate`), the population from counters that are kept incrementally (`tally`); the rollout verdict combines
//! the two. One bad laptop never holds a site; one bad capable domain controller does.

mod gate;
mod standing;
mod tally;

use std::borrow::Cow;
use std::fmt;

use muster_evidence::{HostName, SiteRef, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::gate::Gate;
pub use self::standing::{CheckSet, HostStanding, UserOnHost, UserStanding};
pub use self::tally::{CheckCounts, StandingCounts, Tally, TallyCounts};
pub use crate::derive::coverage::{Coverage, SilentDc};
use crate::{CHECKS, Policy, Scope, Severity, SiteFacts, Standing, Verdict};

/// Most hosts that a reason names; it counts them all.
pub(crate) const HOSTS_PER_REASON: usize = 10;

/// Whether a site can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rollout {
    /// The gate is open and enough of the users seen are ready.
    Go,
    /// The gate is open; those who are ready may go.
    Partly,
    /// The gate is blocked.
    Hold,
    /// The gate is unknown, or too little of the site is seen.
    Unknown,
}

impl Rollout {
    /// The word used in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Go => "Go",
            Self::Partly => "Partly",
            Self::Hold => "Hold",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One reason why a site is not simply ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The check it comes from.
    pub check: Cow<'static, str>,
    /// How it stands.
    pub standing: Standing,
    /// What was seen, or which evidence is missing.
    pub text: String,
    /// What to do; empty where the gap itself says it.
    pub remedy: Cow<'static, str>,
    /// Hosts it stands on, at most 10 of them, in order. After many changes of a large population
    /// there may be fewer; `host_count` and the list of hosts by check are exact.
    pub hosts: Vec<HostName>,
    /// On how many hosts (for a check of users: on how many hosts' users) it stands.
    pub host_count: u64,
    /// How many users it keeps from being ready.
    pub users_affected: u64,
    /// Whether it stands in the gate, where it concerns everybody, or in the population.
    pub in_gate: bool,
}

/// Who is ready at a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Population {
    /// Users counted at the site, by standing.
    pub users: StandingCounts,
    /// Those who were seen and to whom the checks apply.
    pub users_seen: u64,
    /// Those who are ready, with or without an advisory.
    pub users_ready: u64,
    /// Those who have fallen silent, whatever they stand at.
    pub users_quiet: u64,
    /// The ready share in percent, rounded down; `None` where nobody was seen.
    pub ready_share_percent: Option<u64>,
    /// Endpoints by standing.
    pub endpoints: StandingCounts,
    /// Endpoints that have fallen silent.
    pub endpoints_quiet: u64,
}

/// The readiness of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteReadiness {
    /// The site; `None` for hosts whose site is not known.
    pub site: Option<SiteRef>,
    /// Whether it can go.
    pub rollout: Rollout,
    /// What serves everybody.
    pub gate: Gate,
    /// Who is ready.
    pub population: Population,
    /// How much is seen.
    pub coverage: Coverage,
    /// Every reason of gate and population, worst first.
    pub reasons: Vec<Reason>,
    /// Words beside the verdict, for what this build does not verify yet.
    pub qualifiers: Vec<&'static str>,
}

/// What part of the catalogue is not judged yet and is therefore said beside every verdict.
const QUALIFIERS: &[&str] = &["capacity-unverified", "sync-unverified"];

/// Works out the readiness of a site from its facts and counters.
pub fn rollup(site: &SiteFacts, tally: &Tally, policy: &Policy, now: Timestamp) -> SiteReadiness {
    let coverage = Coverage::of(site, policy, now);
    let population = population(&tally.counts);
    let mut gate = gate::gate(site, &coverage, policy, now);
    for reason in &mut gate.reasons {
        if matches!(reason.standing, Standing::Blocked | Standing::Unknown) {
            reason.users_affected = population.users_seen;
        }
    }

    let mut reasons = gate.reasons.clone();
    reasons.extend(population_reasons(tally, policy));
    let endpoints = if policy.requires(crate::check::SITE_COVERAGE) { coverage.of_endpoints() } else { Verdict::Ready };
    let not_covered = matches!(endpoints, Verdict::Unknown(_));
    if not_covered {
        reasons.push(population_gap(endpoints.text()));
    }
    if population.users_seen == 0 {
        reasons.push(population_gap(format!(
            "users of the site: nobody to whom the checks apply was seen here within {} days",
            policy.user_seen_days
        )));
    }
    reasons.sort_by_key(worst_first);

    let share = u128::from(policy.for_site_or_everywhere(site.site.as_ref()).ready_share_percent);
    let enough = u128::from(population.users_ready) * 100 >= u128::from(population.users_seen) * share;
    let rollout = match gate.standing {
        Standing::Blocked => Rollout::Hold,
        Standing::Unknown => Rollout::Unknown,
        _ if not_covered || population.users_seen == 0 => Rollout::Unknown,
        _ if enough => Rollout::Go,
        _ => Rollout::Partly,
    };
    SiteReadiness {
        site: site.site.clone(),
        rollout,
        gate,
        population,
        coverage,
        reasons,
        qualifiers: QUALIFIERS.to_vec(),
    }
}

fn population(counts: &TallyCounts) -> Population {
    let StandingCounts { ready, advisory, blocked, unknown, not_applicable: _ } = counts.users;
    let (users_ready, users_seen) = (ready + advisory, ready + advisory + blocked + unknown);
    Population {
        users: counts.users,
        users_seen,
        users_ready,
        users_quiet: counts.users_quiet,
        ready_share_percent: (users_seen > 0).then(|| users_ready * 100 / users_seen.max(1)),
        endpoints: counts.endpoints,
        endpoints_quiet: counts.endpoints_quiet,
    }
}

/// One reason per check and standing of the population's checks.
fn population_reasons(tally: &Tally, policy: &Policy) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (index, check) in CHECKS.iter().enumerate() {
        let of_population = matches!(check.scope(), Scope::Endpoint | Scope::EndpointUser);
        if !of_population || check.severity() == Severity::Informative || !policy.requires(check.id()) {
            continue;
        }
        let counts = &tally.counts.checks[index];
        for (standing, users_affected) in [
            (Standing::Blocked, counts.users_blocked),
            (Standing::Unknown, counts.users_unknown),
            (Standing::Advisory, 0),
        ] {
            let count = counts.verdicts.of(standing);
            if count == 0 {
                continue;
            }
            let whom = match (check.scope(), count) {
                (Scope::EndpointUser, 1) => "user on a host",
                (Scope::EndpointUser, _) => "users on their hosts",
                (_, 1) => "host",
                _ => "hosts",
            };
            reasons.push(Reason {
                check: Cow::Borrowed(check.id()),
                standing,
                text: format!("{}: {standing} for {count} {whom}", check.title()),
                remedy: Cow::Borrowed(if standing == Standing::Unknown { "" } else { check.page().remedy }),
                hosts: tally.examples(index, standing).take(HOSTS_PER_REASON).cloned().collect(),
                host_count: count,
                users_affected,
                in_gate: false,
            });
        }
    }
    reasons
}

fn population_gap(text: String) -> Reason {
    Reason {
        check: Cow::Borrowed(crate::check::SITE_COVERAGE),
        standing: Standing::Unknown,
        text,
        remedy: Cow::Borrowed(""),
        hosts: Vec::new(),
        host_count: 0,
        users_affected: 0,
        in_gate: false,
    }
}

/// The order of reasons: the gate's blockers and gaps first, since they decide for everybody; then by standing, by the
/// users affected, by hosts, and last by the check's place in the list.
fn worst_first(reason: &Reason) -> impl Ord + use<> {
    use std::cmp::Reverse;
    let holds_everybody = reason.in_gate && reason.standing >= Standing::Unknown;
    let place = CHECKS.iter().position(|check| check.id() == reason.check);
    (
        Reverse(holds_everybody),
        Reverse(reason.standing),
        Reverse(reason.users_affected),
        Reverse(reason.host_count),
        place.unwrap_or(usize::MAX),
    )
}
