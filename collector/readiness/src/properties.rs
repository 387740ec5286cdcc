//! Laws that hold for any facts: counts add up, order does not matter, a gap never makes anything readier, and a
//! verdict holds until the time it names.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{
    Certificate, ChainStatus, Context, DeviceAuth, DomainController, Evidence, ExtendedKeyUsage, Failure,
    FailureReason, HostNo, JoinState, Kind, NgcPrerequisites, OperatingSystem, Outcome, PreReqResult, Revocation, Sid,
    SignatureHash, Text, Timestamp, Tpm, TpmVersion, Tristate, UserKeys,
};
use proptest::prelude::*;

use crate::check::fixture::device::vary;
use crate::check::fixture::{self, Host, at, controller, now, text};
use crate::derive::capability::Capability;
use crate::derive::key_match::fixture_key;
use crate::{
    CHECKS, DcState, HostStanding, Judged, Judgement, Policy, Rollout, Scope, SiteFacts, SiteReadiness, Standing,
    StandingCounts, Tally, TallyCounts, UserOnHost, UserStanding, Verdict, judge, judge_site, rollup,
};

/// Choices from which a host is built, each read modulo the number of its options.
type Choices = [u8; 14];

fn tristate(choice: u8) -> Tristate {
    [Tristate::Yes, Tristate::Yes, Tristate::No, Tristate::Undetermined, Tristate::NotShown][usize::from(choice % 5)]
}

fn context(choice: u8) -> Context {
    [Context::UserSession, Context::UserSession, Context::Unknown, Context::Service][usize::from(choice % 4)]
}

fn person(number: u8) -> Sid {
    format!("S-1-5-21-1-2-3-{}", 1000 + u32::from(number)).parse().unwrap()
}

/// A host: three in four are endpoints with one or two of five people.
fn host(number: usize, choices: &Choices) -> Host {
    let mut host = if choices[0].is_multiple_of(4) { domain_controller(choices) } else { endpoint(choices) };
    host.facts.host = format!("host{number}.corp.example").parse().unwrap();
    host
}

fn endpoint(choices: &Choices) -> Host {
    let [_, os, tpm, join, auth, prt, ngc, prereq, where_read, event, keys, inventory, who, gap] = *choices;
    // What is left of these numbers beyond their own options chooses hardware, system and policies.
    let (system, chip, policies) = (os / 6, tpm / 4, auth / 3);
    let mut host = Host::endpoint().complete();
    host = match os % 6 {
        0 => Host::linux(),
        1 => host.with(Evidence::OperatingSystem(fixture::windows_client(10_240))),
        2 => host.with(Evidence::OperatingSystem(fixture::windows_client(14_393))),
        _ => host,
    };
    host = match tpm % 4 {
        0 => host.absent(Kind::Tpm),
        1 => host.with(Evidence::Tpm(Tpm { version: TpmVersion::V1_2, ..fixture::tpm_2_0() })),
        _ => host.with(fixture::tpm()),
    };
    let join = JoinState {
        azure_ad_joined: tristate(join),
        domain_joined: if join % 7 == 0 { Tristate::No } else { Tristate::Yes },
        device_auth: [Some(DeviceAuth::Success), Some(DeviceAuth::DisabledOrDeleted), None][usize::from(auth % 3)]
            .clone(),
        ..fixture::people::joined()
    };
    host = host.with(Evidence::JoinState(join));
    for sid in [person(who % 5), person(who / 5 % 5)] {
        let result = [PreReqResult::WillProvision, PreReqResult::WillNotProvision][usize::from(prereq % 2)];
        let prerequisites = NgcPrerequisites {
            policy_enabled: tristate(prereq / 2),
            device_eligible: tristate(prereq / 10),
            session_is_not_remote: tristate(prereq / 50),
            result,
            ..fixture::prerequisites()
        };
        let own = context(where_read);
        host = host
            .complete_for(&sid)
            .person(&sid, Evidence::Prt(muster_evidence::Prt { present: tristate(prt), ..fixture::prt() }), own)
            .person(&sid, Evidence::Ngc(fixture::ngc(tristate(ngc))), own)
            .person(&sid, Evidence::NgcPrerequisites(prerequisites), own);
        let registered_at = now().plus_minutes(-i64::from(event));
        if event % 3 != 0 {
            host = host.person(&sid, Evidence::KeyRegistration(fixture::registration(registered_at)), Context::Service);
        }
        let created = match keys % 4 {
            0 => vec![],
            1 => vec![fixture_key(registered_at.plus_days(-100))],
            _ => vec![fixture_key(registered_at)],
        };
        host =
            host.keys(UserKeys { sid, keys: created, undecodable: u32::from(keys % 9 == 0), left_out: 0, upn: None });
    }
    host = vary(host, &[person(who % 5), person(who / 5 % 5)], system, chip, policies);
    if inventory % 5 != 0 {
        host = host.inventory(now().plus_minutes(-i64::from(inventory % 64)));
    }
    if gap % 3 == 0 { with_gap(&host, usize::from(gap / 3)) } else { host }
}

fn domain_controller(choices: &Choices) -> Host {
    let [_, os, read_only, first, second, dates, chain, hash, strict, service, logged, lists, stores, gap] = *choices;
    let certificate = |number: u8, choice: u8| {
        let usages: &[&str] = match choice % 4 {
            0 => &[ExtendedKeyUsage::SERVER_AUTH],
            1 => &[ExtendedKeyUsage::CLIENT_AUTH, ExtendedKeyUsage::SMART_CARD_LOGON],
            _ => &[ExtendedKeyUsage::CLIENT_AUTH, ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::KDC_AUTH],
        };
        let begins = now().plus_days(i64::from(dates / 16) - 10 + i64::from(choice % 3));
        Certificate {
            extended_key_usages: fixture::ekus(usages),
            not_before: begins,
            not_after: begins.plus_days(i64::from(dates % 16) * 5 + i64::from(choice / 4)),
            chain: match chain.wrapping_add(choice) % 4 {
                0 => ChainStatus::UntrustedRoot { root: text("CN=Other") },
                1 => ChainStatus::NotChecked { why: text("no anchors") },
                _ => ChainStatus::Trusted { anchor: text("CN=Corp CA") },
            },
            revocation: match chain.wrapping_add(choice) % 8 {
                5 => Some(Revocation::Revoked { subject: text("CN=Sub CA"), at: now().plus_days(-1) }),
                6 => Some(Revocation::Undetermined { why: text("no list") }),
                _ => Some(Revocation::Good),
            },
            signature_hash: if hash % 3 == 0 { SignatureHash::Sha1 } else { SignatureHash::Sha256 },
            issuer_thumbprint: if hash % 5 == 4 { None } else { Some(controller::ISSUER) },
            ..fixture::kdc_certificate(number)
        }
    };
    let names = DomainController {
        read_only: [Some(false), Some(false), Some(true), None][usize::from(read_only % 4)],
        ..fixture::domain_controller()
    };
    let build = [20_348, 14_393, 9_600, 17_763][usize::from(os % 4)];
    let system = OperatingSystem {
        revision: [Some(9_000), Some(9_000), Some(3_500), Some(4_000), None][usize::from(os / 4 % 5)],
        ..fixture::windows_server(build)
    };
    let host = Host::dc_with(&[certificate(1, first), certificate(2, second)])
        .complete()
        .with(Evidence::DomainController(names))
        .with(Evidence::OperatingSystem(system));
    let host = controller::vary(host, service, logged, lists, stores)
        .entra_joined([Some(true), Some(false), None][usize::from(strict % 3)]);
    if gap % 3 == 0 { with_gap(&host, usize::from(gap / 3)) } else { host }
}

/// The host with one of its observations failed instead.
fn with_gap(host: &Host, which: usize) -> Host {
    let mut host = host.clone();
    let count = host.facts.observations.len();
    if let Some(observation) = host.facts.observations.values_mut().nth(which % count.max(1)) {
        observation.outcome =
            Outcome::Failed(Failure { reason: FailureReason::TimedOut, detail: Text::cut("no answer") });
    }
    host
}

/// Everything that hosts add to a site.
struct Site {
    facts: SiteFacts,
    standings: Vec<HostStanding>,
    users: Vec<UserStanding>,
    judgements: Vec<Vec<Judgement>>,
}

fn operating_system(host: &Host) -> Option<&OperatingSystem> {
    match &host.facts.of_host(Kind::OperatingSystem)?.outcome {
        Outcome::Observed(Evidence::OperatingSystem(os)) => Some(os),
        _ => None,
    }
}

fn names(host: &Host) -> Option<&DomainController> {
    match &host.facts.of_host(Kind::DomainController)?.outcome {
        Outcome::Observed(Evidence::DomainController(dc)) => Some(dc),
        _ => None,
    }
}

fn site(hosts: &[Host], policy: &Policy) -> Site {
    let mut facts = SiteFacts {
        expected_dcs: Some(BTreeSet::new()),
        expected_endpoints: Some(0),
        entra_joined_endpoints: Some(true),
        ..SiteFacts::unknown(Some(fixture::site()))
    };
    let mut standings = Vec::new();
    let mut sights: BTreeMap<Sid, Vec<UserOnHost>> = BTreeMap::new();
    let mut all = Vec::new();
    for (number, host) in (1_u64..).zip(hosts) {
        let judgements = judge(&host.facts(), policy, now());
        let is_dc = host.facts.is_domain_controller();
        standings.push(HostStanding::new(host.facts.host.clone(), &judgements, is_dc, number % 4 == 0, policy));
        for sid in host.facts.users() {
            let seen_at = now().plus_days(-i64::try_from(number % 40).unwrap());
            if let Some(sight) = UserOnHost::new(HostNo(number), sid, &judgements, seen_at, false, policy) {
                sights.entry(sid.clone()).or_default().push(sight);
            }
        }
        if is_dc {
            if let Some(expected) = &mut facts.expected_dcs {
                expected.insert(host.facts.host.clone());
            }
            facts.dcs.push(DcState {
                host: host.facts.host.clone(),
                operating_system: operating_system(host).cloned(),
                capability: Capability::derive(operating_system(host), names(host), policy),
                judgements: judgements.clone(),
                last_seen: now().plus_minutes(-i64::try_from(number * 7 % 70).unwrap()),
                kdc_issuers: crate::derive::kdc_issuers::kdc_issuers(&host.facts(), now()),
            });
        } else {
            facts.expected_endpoints = facts.expected_endpoints.map(|count| count + 1);
            facts.endpoints_fresh += 1;
        }
        all.push(judgements);
    }
    let users = sights.values().filter_map(|sights| UserStanding::of(sights, policy, now())).collect();
    Site { facts, standings, users, judgements: all }
}

fn tally(site: &Site) -> Tally {
    let mut tally = Tally::default();
    site.standings.iter().for_each(|host| tally.add_host(host));
    site.users.iter().for_each(|user| tally.add_user(user));
    tally
}

/// The counters by a plain fold over verdicts, written without the code it is compared with.
fn fold(hosts: &[Host], site: &Site, policy: &Policy) -> TallyCounts {
    fn count(counts: &mut StandingCounts, standing: Standing) {
        match standing {
            Standing::Ready => counts.ready += 1,
            Standing::Advisory => counts.advisory += 1,
            Standing::Blocked => counts.blocked += 1,
            Standing::Unknown => counts.unknown += 1,
            Standing::NotApplicable => counts.not_applicable += 1,
        }
    }
    let mut counts = TallyCounts::default();
    for (number, (host, judgements)) in (1_u64..).zip(hosts.iter().zip(&site.judgements)) {
        let own = judgements.iter().filter(|judgement| {
            let check = CHECKS.iter().find(|check| check.id() == judgement.check).unwrap();
            judgement.subject == Judged::Host
                && check.severity() != crate::Severity::Informative
                && policy.requires(check.id())
        });
        let weight = |judgement: &Judgement| match judgement.verdict {
            Verdict::Unknown(_) if is_advisory(&judgement.check) => Standing::Advisory,
            _ => judgement.verdict.standing(),
        };
        let other_trust = judgements.iter().any(|own| {
            own.check == "policy.trust-type"
                && own.subject == Judged::Host
                && own.verdict.standing() == Standing::NotApplicable
                && own.verdict.text().starts_with("other trust")
        });
        let worst = match own.map(weight).max() {
            Some(worst) if !other_trust || host.facts.is_domain_controller() => worst,
            _ => Standing::NotApplicable,
        };
        let quiet = u64::from(number % 4 == 0);
        if host.facts.is_domain_controller() {
            count(&mut counts.dcs, worst);
            counts.dcs_quiet += quiet;
        } else {
            count(&mut counts.endpoints, worst);
            counts.endpoints_quiet += quiet;
        }
        for judgement in judgements {
            let place = CHECKS.iter().position(|check| check.id() == judgement.check).unwrap();
            count(&mut counts.checks[place].verdicts, judgement.verdict.standing());
        }
    }
    for user in &site.users {
        count(&mut counts.users, user.standing);
        counts.users_quiet += u64::from(user.quiet);
        for place in 0..CHECKS.len() {
            counts.checks[place].users_blocked += u64::from(user.blocked.iter().any(|own| own == place));
            counts.checks[place].users_unknown += u64::from(user.unknown.iter().any(|own| own == place));
        }
    }
    counts
}

fn is_advisory(id: &str) -> bool {
    CHECKS.iter().any(|check| check.id() == id && check.severity() == crate::Severity::Advisory)
}

/// How ready a site is: the higher the readier. Hold and Unknown are neither.
fn readiness_rank(readiness: &SiteReadiness) -> u8 {
    match readiness.rollout {
        Rollout::Go => 2,
        Rollout::Partly if readiness.population.users_ready > 0 => 1,
        // That some people are seen and none of them is ready is no more than that nobody is.
        Rollout::Partly | Rollout::Hold | Rollout::Unknown => 0,
    }
}

/// Choices that make an endpoint and a controller that are ready.
const GOOD_ENDPOINT: Choices = [1, 3, 2, 5, 0, 0, 0, 0, 0, 1, 2, 1, 0, 1];
const GOOD_CONTROLLER: Choices = [0, 0, 0, 2, 2, 15, 0, 1, 0, 0, 0, 0, 0, 1];

/// Hosts of any kind, and hosts of which nearly everything is good: among the first hardly a gate is ever open.
fn some_hosts() -> impl Strategy<Value = Vec<Host>> {
    let any_choices = any::<Choices>();
    let faults = prop::array::uniform14(prop::option::weighted(0.06, any::<u8>()));
    let nearly_good = (prop::bool::weighted(0.3), faults).prop_map(|(controller, faults)| {
        let mut choices = if controller { GOOD_CONTROLLER } else { GOOD_ENDPOINT };
        for (choice, fault) in choices.iter_mut().zip(faults) {
            *choice = fault.unwrap_or(*choice);
        }
        choices
    });
    let build = |all: Vec<Choices>| all.iter().enumerate().map(|(number, choices)| host(number, choices)).collect();
    prop_oneof![
        1 => prop::collection::vec(any_choices, 1..10).prop_map(build),
        2 => prop::collection::vec(nearly_good, 1..10).prop_map(build),
    ]
}

/// The laws above would hold for nothing if no site were ever open.
#[test]
fn every_rollout_verdict_occurs() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = some_hosts();
    let mut seen = BTreeMap::new();
    for _ in 0..500 {
        let site = site(&strategy.new_tree(&mut runner).unwrap().current(), &Policy::default());
        *seen.entry(rollup(&site.facts, &tally(&site), &Policy::default(), now()).rollout).or_insert(0) += 1;
    }
    for rollout in [Rollout::Go, Rollout::Partly, Rollout::Hold, Rollout::Unknown] {
        assert!(seen.get(&rollout).is_some_and(|count| *count >= 10), "{seen:?}");
    }
}

/// Policies that require everything, or one check of each kind less.
fn some_policy() -> impl Strategy<Value = Policy> {
    prop::collection::vec(0..CHECKS.len(), 0..4).prop_map(|disabled| Policy {
        disabled_checks: disabled.into_iter().map(|place| CHECKS[place].id().to_owned()).collect(),
        ..Policy::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn counts_add_up_to_the_hosts(hosts in some_hosts()) {
        let site = site(&hosts, &Policy::default());
        let counts = tally(&site).counts;
        let dcs = hosts.iter().filter(|host| host.facts.is_domain_controller()).count() as u64;
        prop_assert_eq!(counts.dcs.total(), dcs);
        prop_assert_eq!(counts.endpoints.total(), hosts.len() as u64 - dcs);
        prop_assert_eq!(counts.users.total(), site.users.len() as u64);
        for (check, counts) in CHECKS.iter().zip(&counts.checks) {
            match check.scope() {
                Scope::Endpoint | Scope::Machine => {
                    prop_assert_eq!(counts.verdicts.total(), hosts.len() as u64);
                }
                Scope::DomainController => prop_assert_eq!(counts.verdicts.total(), dcs),
                Scope::EndpointUser | Scope::Site => {}
            }
        }
    }

    #[test]
    fn counters_equal_a_fold_in_whatever_order_things_came_and_went(
        hosts in some_hosts(), policy in some_policy(), order in any::<prop::sample::Index>(), passing in some_hosts(),
    ) {
        let (site_now, site_before) = (site(&hosts, &policy), site(&passing, &policy));
        let expected = fold(&hosts, &site_now, &policy);
        prop_assert_eq!(&tally(&site_now).counts, &expected);

        let mut tally = Tally::default();
        let start = order.index(hosts.len());
        site_before.standings.iter().for_each(|host| tally.add_host(host));
        for place in 0..hosts.len() {
            tally.add_host(&site_now.standings[(start + place) % hosts.len()]);
        }
        site_before.users.iter().for_each(|user| tally.add_user(user));
        site_now.users.iter().rev().for_each(|user| tally.add_user(user));
        site_before.standings.iter().rev().for_each(|host| tally.remove_host(host));
        site_before.users.iter().for_each(|user| tally.remove_user(user));
        prop_assert_eq!(&tally.counts, &expected);
    }

    #[test]
    fn the_order_of_arrival_changes_nothing(hosts in some_hosts(), policy in some_policy()) {
        let one = site(&hosts, &policy);
        let forwards = rollup(&one.facts, &tally(&one), &policy, now());
        let mut other = Site { facts: one.facts.clone(), ..one };
        other.facts.dcs.reverse();
        other.standings.reverse();
        other.users.reverse();
        let backwards = rollup(&other.facts, &tally(&other), &policy, now());
        prop_assert_eq!(forwards, backwards);
    }

    #[test]
    fn a_gap_never_makes_anything_readier(
        hosts in some_hosts(), which in any::<prop::sample::Index>(), observation in any::<usize>(),
    ) {
        let policy = Policy::default();
        let before = site(&hosts, &policy);
        let ready_before = rollup(&before.facts, &tally(&before), &policy, now());
        let place = which.index(hosts.len());
        let mut gapped = hosts.clone();
        gapped[place] = with_gap(&hosts[place], observation);
        let after = site(&gapped, &policy);
        let ready_after = rollup(&after.facts, &tally(&after), &policy, now());
        prop_assert!(
            readiness_rank(&ready_after) <= readiness_rank(&ready_before),
            "from {:?} to {:?}", ready_before, ready_after
        );

        let without = [
            SiteFacts { expected_dcs: None, ..before.facts.clone() },
            SiteFacts { expected_endpoints: None, ..before.facts.clone() },
            SiteFacts { endpoints_fresh: 0, ..before.facts.clone() },
            SiteFacts {
                dcs: before.facts.dcs.iter().cloned().map(|dc| DcState { last_seen: Timestamp::MIN, ..dc }).collect(),
                ..before.facts.clone()
            },
        ];
        for facts in without {
            let after = rollup(&facts, &tally(&before), &policy, now());
            prop_assert!(readiness_rank(&after) <= readiness_rank(&ready_before));
        }
    }

    #[test]
    fn a_gap_never_makes_a_host_or_its_people_ready(
        hosts in some_hosts(), which in any::<prop::sample::Index>(), observation in any::<usize>(),
    ) {
        let policy = Policy::default();
        let whole = &hosts[which.index(hosts.len())];
        let gapped = with_gap(whole, observation);
        let ready = |host: &Host| {
            let judgements = judge(&host.facts(), &policy, now());
            let counts = |standing| matches!(standing, Standing::Ready | Standing::Advisory);
            let own = HostStanding::new(host.facts.host.clone(), &judgements, false, false, &policy);
            let people = host.facts.users().into_iter().filter_map(|sid| {
                let sight = UserOnHost::new(HostNo(1), sid, &judgements, now(), false, &policy)?;
                Some((sid.clone(), counts(sight.standing)))
            });
            (counts(own.standing), people.collect::<BTreeMap<Sid, bool>>())
        };
        let ((host_before, people_before), (host_after, people_after)) = (ready(whole), ready(&gapped));
        prop_assert!(host_before || !host_after);
        for (sid, after) in people_after {
            prop_assert!(people_before[&sid] || !after, "{sid} by {gapped:?}");
        }
    }

    #[test]
    fn a_verdict_holds_until_the_time_it_names(choices in any::<Choices>(), days in 0_i64..120) {
        let host = host(1, &choices);
        let policy = Policy::default();
        let then = now().plus_days(days - 20);
        let judgements = judge(&host.facts(), &policy, then);
        prop_assert_eq!(&judgements, &judge(&host.facts(), &policy, then));
        for judgement in &judgements {
            let Some(until) = judgement.valid_until else { continue };
            prop_assert!(until > then);
            let later = judge(&host.facts(), &policy, until.plus_ms(-1));
            let same = later
                .iter()
                .find(|later| later.check == judgement.check && later.subject == judgement.subject)
                .unwrap();
            prop_assert_eq!(&same.verdict, &judgement.verdict);
            prop_assert_eq!(same.valid_until, judgement.valid_until);
        }
        // Without a date a verdict holds as long as nothing new comes; only the reading of the directory ages, which
        // is applied when verdicts are read.
        let much_later = judge(&host.facts(), &policy, at("2030-01-01T00:00:00Z"));
        for (judgement, later) in judgements.iter().zip(&much_later) {
            if judgement.valid_until.is_none() && judgement.check != "sync.key-state" {
                prop_assert_eq!(&judgement.verdict, &later.verdict);
            }
        }
    }

    #[test]
    fn a_sites_verdict_holds_until_the_time_it_names(hosts in some_hosts()) {
        let policy = Policy::default();
        let facts = site(&hosts, &policy).facts;
        for judgement in judge_site(&facts, &policy, now()) {
            let Some(until) = judgement.valid_until else { continue };
            prop_assert!(until > now());
            let later = judge_site(&facts, &policy, until.plus_ms(-1));
            prop_assert_eq!(&later[0].verdict, &judgement.verdict);
        }
    }

    #[test]
    fn silence_never_counts_as_ready(choices in any::<Choices>()) {
        let host = host(1, &choices);
        let policy = Policy::default();
        for judgement in judge(&host.facts(), &policy, now()) {
            let check = crate::check_by_id(&judgement.check).unwrap();
            let stale = crate::held(&judgement, check.freshness(), Timestamp::MIN, &policy, now());
            let passes = matches!(stale.verdict, Verdict::Unknown(_) | Verdict::NotApplicable(_));
            prop_assert!(passes, "{:?}", stale);
        }
    }
}
