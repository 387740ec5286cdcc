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
pub use self::standing::{CheckSet, HostStanding, UserOnHost, UserStanding, counts};
pub use self::tally::{CheckCounts, StandingCounts, Tally, TallyCounts};
pub use crate::derive::coverage::{Coverage, SilentDc};
use crate::{CHECKS, Policy, Scope, SiteFacts, Standing, Verdict};

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
        if !check.scope().is_of_population() || !counts(*check, policy) {
            continue;
        }
        let own = &tally.counts.checks[index];
        for (standing, users_affected) in
            [(Standing::Blocked, own.users_blocked), (Standing::Unknown, own.users_unknown), (Standing::Advisory, 0)]
        {
            let count = tally.in_population(index, standing);
            // Users of non-persistent desktops count, while the desktops themselves do not.
            if count == 0 && users_affected == 0 {
                continue;
            }
            let (said, whom) = match (check.scope(), count) {
                (_, 0) if users_affected == 1 => (1, "user of non-persistent desktops"),
                (_, 0) => (users_affected, "users of non-persistent desktops"),
                (Scope::EndpointUser, 1) => (1, "user on a host"),
                (Scope::EndpointUser, _) => (count, "users on their hosts"),
                (_, 1) => (1, "host"),
                _ => (count, "hosts"),
            };
            reasons.push(Reason {
                check: Cow::Borrowed(check.id()),
                standing,
                text: format!("{standing} for {said} {whom}; wanted: {}", within_a_sentence(check.title())),
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

/// A title after a colon: its article begins no sentence there, while a name such as `Windows` stays as it is.
fn within_a_sentence(title: &str) -> Cow<'_, str> {
    match title.strip_prefix("The ") {
        Some(rest) => Cow::Owned(format!("the {rest}")),
        None => Cow::Borrowed(title),
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use muster_evidence::{Certificate, Evidence, HostNo, SignatureHash};

    use super::*;
    use crate::check::fixture::{self, Host, ada, at, kdc_certificate, now, windows_server};
    use crate::derive::capability::Capability;
    use crate::{DcState, Judgement, judge};

    /// A controller as its site sees it, judged by the rules.
    fn dc(name: &str, host: &Host, last_seen: &str) -> DcState {
        let judgements = judge(&host.facts(), &policy(), host.now);
        let os = fixture_os(host);
        let names = fixture::domain_controller();
        DcState {
            host: name.parse().unwrap(),
            capability: Capability::derive(os.as_ref(), Some(&names), &policy()),
            operating_system: os,
            judgements,
            last_seen: at(last_seen),
            kdc_issuers: None,
        }
    }

    fn fixture_os(host: &Host) -> Option<muster_evidence::OperatingSystem> {
        match &host.facts.of_host(muster_evidence::Kind::OperatingSystem)?.outcome {
            muster_evidence::Outcome::Observed(Evidence::OperatingSystem(os)) => Some(os.clone()),
            _ => None,
        }
    }

    /// A policy that requires no more checks than the tests speak of, so that a site is not held up by what its hosts
    /// were not given.
    fn policy() -> Policy {
        let required = CHECKS.iter().map(|check| check.id()).filter(|id| REQUIRED.contains(id));
        Policy { required_checks: required.map(str::to_owned).collect(), ..Policy::default() }
    }

    const REQUIRED: [&str; 12] = [
        "os.client-build",
        "join.type",
        "prt.present",
        "dc.os-version",
        "dc.cert-present",
        "dc.cert-eku",
        "dc.cert-san",
        "dc.cert-key",
        "dc.cert-validity",
        "dc.cert-chain",
        "sync.key-state",
        "site.coverage",
    ];

    const FRESH: &str = "2026-03-02T11:59:00Z";
    const SILENT: &str = "2026-03-02T10:00:00Z";

    fn good() -> Host {
        Host::dc_with(&[kdc_certificate(1)])
    }

    fn weak() -> Host {
        Host::dc_with(&[Certificate { signature_hash: SignatureHash::Sha1, ..kdc_certificate(1) }])
    }

    fn none() -> Host {
        Host::dc_with(&[])
    }

    fn old() -> Host {
        Host::dc_with(&[]).with(Evidence::OperatingSystem(windows_server(9_600)))
    }

    fn unsettled(host: Host) -> Host {
        host.failed(muster_evidence::Kind::OperatingSystem)
    }

    fn site(dcs: Vec<DcState>) -> SiteFacts {
        SiteFacts {
            expected_dcs: Some(dcs.iter().map(|dc| dc.host.clone()).collect()),
            expected_endpoints: Some(10),
            endpoints_fresh: 10,
            entra_joined_endpoints: Some(true),
            dcs,
            ..SiteFacts::unknown(Some(fixture::site()))
        }
    }

    /// Counters with that many users at these standings.
    fn users(ready: usize, advisory: usize, unknown: usize, blocked: usize) -> Tally {
        let mut tally = Tally::default();
        for (standing, count) in [
            (Standing::Ready, ready),
            (Standing::Advisory, advisory),
            (Standing::Unknown, unknown),
            (Standing::Blocked, blocked),
        ] {
            for _ in 0..count {
                tally.add_user(&UserStanding {
                    counted_at: HostNo(1),
                    seen_at: now(),
                    quiet: false,
                    standing,
                    blocked: CheckSet::default(),
                    unknown: CheckSet::default(),
                });
            }
        }
        tally
    }

    fn gate_of(dcs: Vec<DcState>) -> (Rollout, Standing, Vec<String>) {
        let readiness = rollup(&site(dcs), &users(10, 0, 0, 0), &policy(), now());
        let texts = readiness
            .gate
            .reasons
            .iter()
            .map(|reason| format!("{} {}: {}", reason.check, reason.standing, reason.text));
        (readiness.rollout, readiness.gate.standing, texts.collect())
    }

    #[test]
    fn one_bad_capable_controller_holds_the_site() {
        assert_eq!(gate_of(vec![dc("dc01", &good(), FRESH)]), (Rollout::Go, Standing::Ready, vec![]));
        let (rollout, gate, reasons) = gate_of(vec![dc("dc01", &good(), FRESH), dc("dc02", &none(), FRESH)]);
        assert_eq!((rollout, gate), (Rollout::Hold, Standing::Blocked));
        assert_eq!(reasons, ["dc.cert-present blocked: `dc02`: no certificate in the store"]);
        let (rollout, gate, _) = gate_of(vec![dc("dc01", &weak(), FRESH)]);
        assert_eq!((rollout, gate), (Rollout::Hold, Standing::Blocked));
    }

    #[test]
    fn controllers_that_cannot_serve_key_trust_block_nobody() {
        let (rollout, gate, reasons) = gate_of(vec![dc("dc01", &good(), FRESH), dc("dc02", &old(), FRESH)]);
        assert_eq!((rollout, gate, reasons.len()), (Rollout::Go, Standing::Advisory, 1));
        assert!(reasons[0].starts_with("dc.os-version advisory: `dc02`: build 9600"), "{reasons:?}");
        // A silent one is an advisory as well, and none but such ones is no open gate.
        let (rollout, gate, _) = gate_of(vec![dc("dc01", &good(), FRESH), dc("dc02", &old(), SILENT)]);
        assert_eq!((rollout, gate), (Rollout::Go, Standing::Advisory));
        let (rollout, gate, _) = gate_of(vec![dc("dc02", &old(), FRESH)]);
        assert_eq!((rollout, gate), (Rollout::Unknown, Standing::Unknown));

        let mut read_only = dc("dc03", &none(), SILENT);
        read_only.capability = Capability::NotCapable { reason: "rodc".to_owned() };
        let (rollout, gate, reasons) = gate_of(vec![dc("dc01", &good(), FRESH), read_only]);
        assert_eq!((rollout, gate, reasons.len()), (Rollout::Go, Standing::Ready, 0));
    }

    #[test]
    fn a_silent_controller_is_a_gap_told_once_with_its_last_verdict() {
        let (rollout, gate, reasons) = gate_of(vec![dc("dc01", &good(), FRESH), dc("dc02", &none(), SILENT)]);
        assert_eq!((rollout, gate), (Rollout::Unknown, Standing::Unknown));
        assert_eq!(
            reasons,
            ["site.coverage unknown: domain controllers of the site: no report from `dc02` since \
              2026-03-02T10:00:00Z (last blocked by `dc.cert-present`: no certificate in the store)"]
        );
        // A blocker elsewhere stays the worst.
        let (rollout, gate, _) = gate_of(vec![dc("dc01", &none(), FRESH), dc("dc02", &good(), SILENT)]);
        assert_eq!((rollout, gate), (Rollout::Hold, Standing::Blocked));
        // Without coverage the checks themselves are gaps.
        let policy = Policy { disabled_checks: vec!["site.coverage".to_owned()], ..policy() };
        let facts = site(vec![dc("dc01", &good(), SILENT)]);
        let readiness = rollup(&facts, &users(10, 0, 0, 0), &policy, now());
        assert_eq!(readiness.gate.standing, Standing::Unknown);
        let nobody = rollup(&site(vec![]), &users(10, 0, 0, 0), &policy, now());
        assert_eq!(nobody.gate.standing, Standing::Unknown);
    }

    #[test]
    fn an_unsettled_controller_matters_only_where_it_could_change_the_verdict() {
        let with = |first: Host, second: Host| {
            let (rollout, gate, _) = gate_of(vec![dc("dc01", &first, FRESH), dc("dc02", &second, FRESH)]);
            (rollout, gate)
        };
        assert_eq!(with(good(), unsettled(good())), (Rollout::Go, Standing::Advisory));
        assert_eq!(with(good(), unsettled(none())), (Rollout::Unknown, Standing::Unknown));
        assert_eq!(with(none(), unsettled(none())), (Rollout::Hold, Standing::Blocked));
        let (_, gate, _) = gate_of(vec![dc("dc02", &unsettled(good()), FRESH)]);
        assert_eq!(gate, Standing::Unknown);
    }

    #[test]
    fn a_controller_that_was_not_judged_is_a_gap() {
        let mut unjudged = dc("dc01", &good(), FRESH);
        unjudged.judgements.retain(|judgement| judgement.check != "dc.cert-chain");
        let (_, gate, reasons) = gate_of(vec![unjudged]);
        assert_eq!(gate, Standing::Unknown);
        assert_eq!(reasons, ["dc.cert-chain unknown: `dc01`: not judged yet"]);
    }

    #[test]
    fn the_share_of_ready_users_decides_between_go_and_partly() {
        let facts = site(vec![dc("dc01", &good(), FRESH)]);
        let cases = [
            (users(9, 0, 0, 1), Rollout::Go),
            (users(4, 5, 1, 0), Rollout::Go),
            (users(89, 0, 0, 11), Rollout::Partly),
            (users(0, 0, 0, 3), Rollout::Partly),
            (users(0, 0, 0, 0), Rollout::Unknown),
        ];
        for (tally, rollout) in cases {
            let readiness = rollup(&facts, &tally, &policy(), now());
            assert_eq!(readiness.rollout, rollout, "{:?}", readiness.population);
        }
        let nobody = rollup(&facts, &Tally::default(), &policy(), now());
        assert_eq!(
            nobody.reasons[0].text,
            "users of the site: nobody to whom the checks apply was seen here within 30 days"
        );
        assert_eq!(nobody.population.ready_share_percent, None);
        assert_eq!(nobody.qualifiers, ["capacity-unverified", "sync-unverified"]);
    }

    #[test]
    fn too_little_seen_is_unknown_and_a_blocked_gate_is_hold_all_the_same() {
        let seen = |fresh, expected, host: Host| {
            let facts = SiteFacts {
                endpoints_fresh: fresh,
                expected_endpoints: expected,
                ..site(vec![dc("dc01", &host, FRESH)])
            };
            rollup(&facts, &users(10, 0, 0, 0), &policy(), now()).rollout
        };
        assert_eq!(seen(8, Some(10), good()), Rollout::Go);
        assert_eq!(seen(7, Some(10), good()), Rollout::Unknown);
        assert_eq!(seen(99, None, good()), Rollout::Unknown);
        assert_eq!(seen(7, Some(10), none()), Rollout::Hold);
        let no_inventory = SiteFacts { expected_dcs: None, ..site(vec![dc("dc01", &good(), FRESH)]) };
        let readiness = rollup(&no_inventory, &users(10, 0, 0, 0), &policy(), now());
        assert_eq!((readiness.rollout, readiness.gate.standing), (Rollout::Unknown, Standing::Unknown));
        let missing = SiteFacts {
            expected_dcs: Some(BTreeSet::from(["dc01".parse().unwrap(), "dc09".parse().unwrap()])),
            ..site(vec![dc("dc01", &good(), FRESH)])
        };
        let readiness = rollup(&missing, &users(10, 0, 0, 0), &policy(), now());
        assert_eq!(readiness.rollout, Rollout::Unknown);
        assert_eq!(readiness.reasons[0].hosts, ["dc09".parse().unwrap()]);
    }

    fn judged(check: &'static str, subject: crate::Judged, verdict: Verdict) -> Judgement {
        Judgement { check: Cow::Borrowed(check), subject, verdict, valid_until: None, evidence_at: None }
    }

    fn blocked() -> Verdict {
        Verdict::Blocked(crate::Finding { seen: "x".into(), needed: "".into(), remedy: "".into(), source: "".into() })
    }

    #[test]
    fn reasons_come_worst_first_with_hosts_and_users() {
        let policy = policy();
        let user = || crate::Judged::User(ada());
        let mut tally = users(1, 0, 0, 0);
        for number in 0..12_u64 {
            let judgements = [
                judged("join.type", crate::Judged::Host, blocked()),
                judged("prt.present", user(), Verdict::unknown("a", "b")),
                judged("user.ngc-set", user(), Verdict::unknown("a", "b")),
            ];
            let host: HostName = format!("pc{number:02}.corp.example").parse().unwrap();
            tally.add_host(&HostStanding::new(host, &judgements, false, number == 0, &policy));
            let sight = UserOnHost::new(HostNo(number), &ada(), &judgements, now(), false, &policy).unwrap();
            tally.add_user(&UserStanding::of(&[sight], &policy, now()).unwrap());
        }
        let readiness = rollup(&site(vec![dc("dc01", &none(), FRESH)]), &tally, &policy, now());
        let lines: Vec<_> = readiness
            .reasons
            .iter()
            .map(|reason| {
                let Reason { check, standing, hosts, host_count, users_affected, in_gate, .. } = reason;
                format!(
                    "{check} {standing} {} of {host_count} hosts, {users_affected} users, gate {in_gate}",
                    hosts.len()
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "dc.cert-present blocked 1 of 1 hosts, 13 users, gate true",
                "join.type blocked 10 of 12 hosts, 12 users, gate false",
                "prt.present unknown 10 of 12 hosts, 12 users, gate false",
            ]
        );
        assert_eq!(
            readiness.reasons[1].text,
            "blocked for 12 hosts; wanted: the machine is hybrid joined or joined to Entra ID"
        );
        assert_eq!((readiness.population.endpoints.blocked, readiness.population.endpoints_quiet), (12, 1));
        assert_eq!(readiness.rollout, Rollout::Hold);
    }

    #[test]
    fn a_user_counts_once_where_last_seen_and_as_ready_if_so_anywhere() {
        let policy = policy();
        let sight = |host, seen_at: &str, standing| UserOnHost {
            host: HostNo(host),
            seen_at: at(seen_at),
            quiet: host == 2,
            standing,
            blocked: CheckSet::default(),
            unknown: CheckSet::default(),
        };
        let today = "2026-03-02T09:00:00Z";
        let yesterday = "2026-03-01T09:00:00Z";
        let cases = [
            (
                vec![sight(1, today, Standing::Blocked), sight(2, yesterday, Standing::Ready)],
                Some((1, Standing::Ready)),
            ),
            (
                vec![sight(1, today, Standing::Blocked), sight(2, yesterday, Standing::Unknown)],
                Some((1, Standing::Unknown)),
            ),
            (
                vec![sight(1, yesterday, Standing::Advisory), sight(2, today, Standing::Blocked)],
                Some((2, Standing::Advisory)),
            ),
            (
                vec![sight(3, today, Standing::Blocked), sight(1, today, Standing::Blocked)],
                Some((1, Standing::Blocked)),
            ),
            (
                vec![sight(1, today, Standing::NotApplicable), sight(2, yesterday, Standing::Blocked)],
                Some((1, Standing::Blocked)),
            ),
            (vec![sight(1, today, Standing::NotApplicable)], Some((1, Standing::NotApplicable))),
            // Thirty days before the fixtures' present, and a millisecond earlier.
            (vec![sight(1, "2026-01-31T12:00:00Z", Standing::Ready)], Some((1, Standing::Ready))),
            (vec![sight(1, "2026-01-31T11:59:59.999Z", Standing::Ready)], None),
            (
                vec![sight(1, today, Standing::Blocked), sight(2, "2026-01-01T00:00:00Z", Standing::Ready)],
                Some((1, Standing::Blocked)),
            ),
            (vec![], None),
        ];
        for (mut sights, expected) in cases {
            for _ in 0..2 {
                let user = UserStanding::of(&sights, &policy, now());
                assert_eq!(user.map(|user| (user.counted_at.0, user.standing)), expected);
                sights.reverse();
            }
        }
    }

    #[test]
    fn an_informative_check_counts_in_no_standing() {
        let plain = Policy::default();
        let named = Policy { required_checks: vec!["user.ngc-set".into()], ..policy() };
        let disabled = Policy { disabled_checks: vec!["join.type".into()], ..policy() };
        let counted = |id: &str, policy: &Policy| counts(crate::check_by_id(id).unwrap(), policy);
        assert!(!counted("user.ngc-set", &plain) && !counted("user.ngc-set", &named));
        assert!(counted("join.type", &plain) && !counted("join.type", &named) && !counted("join.type", &disabled));
        for standing in [blocked(), Verdict::unknown("a", "b"), Verdict::Ready] {
            let judgements = [
                judged("prt.present", crate::Judged::User(ada()), Verdict::Ready),
                judged("user.ngc-set", crate::Judged::User(ada()), standing),
            ];
            let sight = UserOnHost::new(HostNo(1), &ada(), &judgements, now(), false, &plain).unwrap();
            assert_eq!((sight.standing, sight.blocked.is_empty()), (Standing::Ready, true));
        }
        let alone = [judged("user.ngc-set", crate::Judged::User(ada()), Verdict::Ready)];
        let sight = UserOnHost::new(HostNo(1), &ada(), &alone, now(), false, &plain).unwrap();
        assert_eq!(sight.standing, Standing::NotApplicable);
    }

    #[test]
    fn only_people_and_required_checks_count() {
        let judgements = [
            judged("join.type", crate::Judged::Host, Verdict::Ready),
            judged("tpm.present", crate::Judged::Host, blocked()),
            judged("user.ngc-set", crate::Judged::User(ada()), Verdict::unknown("a", "b")),
            judged("dc.cert-chain", crate::Judged::Host, blocked()),
            judged("newer.check", crate::Judged::Host, blocked()),
        ];
        let policy = Policy { required_checks: vec!["join.type".into(), "user.ngc-set".into()], ..policy() };
        let on_host = |sid: &str| {
            UserOnHost::new(HostNo(1), &sid.parse().unwrap(), &judgements, now(), false, &policy)
                .map(|sight| sight.standing)
        };
        assert_eq!(on_host(ada().as_str()), Some(Standing::Ready));
        assert_eq!(on_host("S-1-5-18"), None);
        let gap =
            [judged("prt.present", crate::Judged::User(ada()), Verdict::unknown("a", "b")), judgements[0].clone()];
        let sight = UserOnHost::new(HostNo(1), &ada(), &gap, now(), false, &Policy::default()).unwrap();
        assert_eq!((sight.standing, sight.unknown.iter().count()), (Standing::Unknown, 1));
        assert_eq!(on_host("S-1-0-0"), None);
        let host = HostStanding::new("pc1".parse().unwrap(), &judgements, false, false, &policy);
        assert_eq!((host.standing, host.worst, host.verdicts.len()), (Standing::Ready, Some("join.type"), 4));
    }

    #[test]
    fn a_gap_of_an_advisory_check_weighs_as_an_advisory_and_is_shown_as_a_gap() {
        let judgements = [
            judged("join.type", crate::Judged::Host, Verdict::Ready),
            judged("net.time-skew", crate::Judged::Host, Verdict::unknown("the clock", "not reported")),
        ];
        let all = Policy::default();
        let host = HostStanding::new("pc1".parse().unwrap(), &judgements, false, false, &all);
        assert_eq!((host.standing, host.worst), (Standing::Advisory, Some("net.time-skew")));
        assert_eq!(host.verdicts.last().map(|(_, standing)| *standing), Some(Standing::Unknown));
        let sight = UserOnHost::new(HostNo(1), &ada(), &judgements, now(), false, &all).unwrap();
        assert_eq!((sight.standing, sight.unknown.is_empty()), (Standing::Advisory, true));
    }

    /// Of one check for both, an endpoint's answer is a reason of the population and a controller's one of the gate.
    #[test]
    fn a_rule_for_every_machine_is_told_once_for_each() {
        let policy = Policy { required_checks: vec!["net.time-skew".into()], ..Policy::default() };
        let slow = |host: Host| host.with(fixture::people::clock(-90));
        let standing = |name: &str, host: &Host, is_dc| {
            let judgements = judge(&host.facts(), &policy, now());
            HostStanding::new(name.parse().unwrap(), &judgements, is_dc, false, &policy)
        };
        let (controller, endpoint) = (slow(good()), slow(Host::endpoint()));
        let mut tally = users(1, 0, 0, 0);
        tally.add_host(&standing("dc01", &controller, true));
        tally.add_host(&standing("pc1", &endpoint, false));
        let facts = SiteFacts { expected_dcs: None, ..site(vec![dc("dc01", &controller, FRESH)]) };
        let reasons = |tally: &Tally| {
            let reasons = rollup(&facts, tally, &policy, now()).reasons;
            let said = |reason: &Reason| format!("{} {:?} {}", reason.in_gate, reason.hosts, reason.host_count);
            reasons.iter().map(said).collect::<Vec<_>>()
        };
        let host = |name: &str| name.parse::<HostName>().unwrap();
        let (of_dc, of_pc) = (format!("true {:?} 1", [host("dc01")]), format!("false {:?} 1", [host("pc1")]));
        assert_eq!(reasons(&tally), [of_dc.clone(), of_pc]);
        tally.remove_host(&standing("pc1", &endpoint, false));
        assert_eq!(reasons(&tally), [of_dc]);
        tally.remove_host(&standing("dc01", &controller, true));
        assert_eq!(tally.counts, users(1, 0, 0, 0).counts);
    }
}
