use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{Context, Evidence, HostNo, Kind, ObservationKey, Outcome, Sid, Timestamp, TpmVersion, Tristate};
use muster_readiness::{
    Freshness, HostStanding, Judged, Judgement, Policy, StandingCounts, Tally, TallyCounts, UserOnHost, UserStanding,
    check_by_id, held,
};
use proptest::prelude::*;

use crate::clock::Clock;
use crate::fixture::{Lab, Machine, joined, kdc_certificate, tpm};
use crate::snapshot::PoolSnapshot;
use crate::table::user_sight;
use crate::totals::counters_of;
use crate::verdict::judgement_from_stored;

const SITES: [&str; 3] = ["Harbour", "Depot", "Elsewhere"];

/// One thing that happens to the fleet.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A machine reports.
    Report,
    /// It reports from another site.
    Move(usize),
    /// It reports another TPM, or that it could not look, or that there is none.
    Tpm(u8),
    /// It reports another join state.
    Join(u8),
    /// Another user, or none, is there.
    User(u32),
    /// It reports another certificate, if it is a controller.
    Certificate(u8),
    /// Time passes, in minutes.
    Wait(i64),
    /// Whatever is due is judged.
    Judge,
    /// A policy with one of [`POOLS`] comes into force.
    Pools(usize),
}

/// Pools of policies, as `hosts` patterns.
const POOLS: [&[&str]; 4] = [&[], &["pc1.*"], &["pc2.*", "pc*"], &["pc4.*", "dc*"]];

fn events() -> impl Strategy<Value = Vec<(usize, Event)>> {
    let event = prop_oneof![
        4 => Just(Event::Report),
        1 => (0..SITES.len()).prop_map(Event::Move),
        2 => (0..4_u8).prop_map(Event::Tpm),
        2 => (0..4_u8).prop_map(Event::Join),
        2 => (0..4_u32).prop_map(Event::User),
        2 => (0..3_u8).prop_map(Event::Certificate),
        2 => prop_oneof![1..120_i64, 1..40_000_i64].prop_map(Event::Wait),
        1 => Just(Event::Judge),
        1 => (0..POOLS.len()).prop_map(Event::Pools),
    ];
    prop::collection::vec((0..6_usize, event), 1..60)
}

fn change(machine: &mut Machine, event: Event) {
    match event {
        Event::Move(site) => machine.host.site = Some(SITES[site].parse().unwrap()),
        Event::Tpm(0) => machine.put(Evidence::Tpm(tpm(TpmVersion::V2_0))),
        Event::Tpm(1) => machine.put(Evidence::Tpm(tpm(TpmVersion::V1_2))),
        Event::Tpm(2) => machine.outcome(ObservationKey::host(Kind::Tpm), Outcome::Absent, Context::Service),
        Event::Tpm(_) => {
            machine.observations.remove(&ObservationKey::host(Kind::Tpm));
        }
        Event::Join(0) => machine.put(Evidence::JoinState(joined(Tristate::Yes))),
        Event::Join(1) => machine.put(Evidence::JoinState(joined(Tristate::No))),
        Event::Join(2) => machine.put(Evidence::JoinState(joined(Tristate::NotShown))),
        Event::Join(_) => {
            machine.observations.remove(&ObservationKey::host(Kind::JoinState));
        }
        Event::User(0) => machine.observations.retain(|key, _| !key.kind.is_of_user()),
        Event::User(user) => machine.put_user(user, Evidence::Prt(crate::fixture::prt(Tristate::Yes))),
        Event::Certificate(usages) if machine.name().starts_with("dc") => {
            let known = ["1.3.6.1.5.2.3.5", "1.3.6.1.5.5.7.3.1"];
            let certificate = kdc_certificate(machine.name(), &known[..usize::from(usages).min(2)]);
            machine.certificate(certificate);
        }
        Event::Report | Event::Certificate(_) | Event::Wait(_) | Event::Judge | Event::Pools(_) => {}
    }
}

/// What the fold counts at one site.
#[derive(Debug, Default, PartialEq)]
struct Folded {
    counts: TallyCounts,
    hosts: u64,
    /// Pool by name: machines kept, and those of 24 hours by standing.
    pools: BTreeMap<String, (u64, StandingCounts)>,
}

/// The first pool in force that has a machine of that name; domain controllers are in none.
fn pool_of(name: &str, pools: &[&str]) -> Option<String> {
    let of_pool = |pattern: &&&str| name.starts_with(pattern.trim_end_matches('*'));
    pools.iter().find(of_pool).filter(|_| !name.starts_with("dc")).map(|pattern| pool_name(pattern))
}

fn pool_name(pattern: &str) -> String {
    format!("p-{}", pattern.trim_end_matches(['.', '*']))
}

/// Counts everything anew from what is stored: verdict by verdict, with `held` and the constructors of the rules, and
/// none of the table's own arithmetic.
async fn fold(
    lab: &Lab,
    last_seen: &BTreeMap<HostNo, Timestamp>,
    sights: &BTreeMap<(HostNo, Sid), Timestamp>,
    pools: &[&str],
) -> BTreeMap<String, Folded> {
    let mut pooled: BTreeMap<String, BTreeMap<String, (u64, StandingCounts)>> = BTreeMap::new();
    let (now, policy, cadences) = (lab.clock.now(), Policy::default(), crate::settings::Cadences::default());
    let mut tallies: BTreeMap<String, (Tally, u64)> = BTreeMap::new();
    let mut users: BTreeMap<Sid, Vec<UserOnHost>> = BTreeMap::new();
    let mut site_of: BTreeMap<HostNo, String> = BTreeMap::new();
    for stored in lab.store.page(0, 1_000).await.unwrap().items {
        let seen = last_seen[&stored.number];
        let is_dc = stored.record.identity.as_ref().unwrap().name.starts_with("dc");
        let cadence = if is_dc { cadences.domain_controller } else { cadences.endpoint };
        let quiet = now.ms_since(seen) > 3 * i64::try_from(cadence.as_millis()).unwrap();
        let judgements: Vec<Judgement> = stored
            .verdicts
            .verdicts
            .iter()
            .filter_map(judgement_from_stored)
            .map(|(judgement, _)| {
                let check = check_by_id(&judgement.check).unwrap();
                let freshness = if is_dc { check.freshness_on_dc() } else { check.freshness() };
                let heard = match (&judgement.subject, freshness) {
                    (Judged::User(sid), Freshness::User) => sights[&(stored.number, sid.clone())],
                    _ => seen,
                };
                held(&judgement, freshness, heard, &policy, now)
            })
            .collect();
        let site = stored.record.site.as_ref().map(|site| site.name.clone()).unwrap_or_default();
        site_of.insert(stored.number, site.clone());
        let name = stored.record.identity.as_ref().unwrap().name.clone();
        let pool = pool_of(&name, pools);
        let quiet = quiet && pool.is_none();
        let host = HostStanding::new(name.parse().unwrap(), &judgements, is_dc, quiet, &policy);
        let (tally, hosts) = tallies.entry(site.clone()).or_default();
        match pool {
            None => {
                tally.add_host(&host);
                *hosts += 1;
            }
            Some(pool) => {
                let (kept, in_use) = pooled.entry(site).or_default().entry(pool).or_default();
                *kept += 1;
                if now.ms_since(seen) <= 24 * 3_600_000 {
                    let mut alone = Tally::default();
                    alone.add_host(&host);
                    in_use.add(&alone.counts.endpoints);
                }
            }
        }
        let sids: BTreeSet<Sid> =
            stored.record.observations.iter().filter_map(user_sight).map(|(sid, _)| sid).collect();
        for sid in sids.iter().filter(|_| !is_dc) {
            let sight = sights[&(stored.number, sid.clone())];
            users.entry(sid.clone()).or_default().extend(UserOnHost::new(
                stored.number,
                sid,
                &judgements,
                sight,
                quiet,
                &policy,
            ));
        }
    }
    for sights in users.values() {
        if let Some(user) = UserStanding::of(sights, &policy, now) {
            tallies.entry(site_of[&user.counted_at].clone()).or_default().0.add_user(&user);
        }
    }
    let folded = |(site, (tally, hosts)): (String, (Tally, u64))| {
        let pools = pooled.remove(&site).unwrap_or_default();
        (site, Folded { counts: tally.counts, hosts, pools })
    };
    tallies.into_iter().map(folded).collect()
}

async fn run(events: Vec<(usize, Event)>) {
    let lab = Lab::new().await;
    let mut machines: Vec<Machine> = vec![
        Machine::dc("dc01.corp.example", "Harbour"),
        Machine::dc("dc02.corp.example", "Elsewhere"),
        Machine::endpoint("pc1.corp.example", "Harbour", 1),
        Machine::endpoint("pc2.corp.example", "Harbour", 2),
        Machine::endpoint("pc3.corp.example", "Depot", 1),
        Machine::endpoint("pc4.corp.example", "Elsewhere", 3),
    ];
    let mut last_seen: BTreeMap<HostNo, Timestamp> = BTreeMap::new();
    let mut sights: BTreeMap<(HostNo, Sid), Timestamp> = BTreeMap::new();
    let mut pools = POOLS[0];
    for (place, event) in events {
        match event {
            Event::Pools(place) => {
                pools = POOLS[place];
                let text =
                    |pattern: &&str| format!("[[pools]]\nname = \"{}\"\nhosts = \"{pattern}\"\n", pool_name(pattern));
                lab.core.apply_policy(&pools.iter().map(text).collect::<String>(), 0, "anna").await.unwrap();
            }
            Event::Wait(minutes) => lab.clock.advance_ms(minutes * 60_000),
            Event::Judge => while lab.core.judge_waiting().await > 0 {},
            _ => {
                let machine = &mut machines[place];
                change(machine, event);
                let answer = lab.report(machine).await.unwrap();
                assert_eq!(answer.refusals, []);
                let stored = lab.record(machine.name()).await.unwrap();
                last_seen.insert(stored.number, lab.clock.now());
                for (sid, _) in stored.record.observations.iter().filter_map(user_sight) {
                    sights.insert((stored.number, sid), lab.clock.now());
                }
            }
        }
        lab.core.tick();
    }
    let snapshot = lab.core.publish_now().await.unwrap();
    let mut expected = fold(&lab, &last_seen, &sights, pools).await;
    for site in snapshot.sites.iter().chain([&snapshot.no_site]) {
        let name = site.site.as_ref().map(|site| site.name.to_string()).unwrap_or_default();
        let counted = |pool: &PoolSnapshot| (pool.name.to_string(), (pool.totals.kept, pool.totals.seen));
        let pools = site.pools.iter().map(counted).collect();
        let found = Folded { counts: site.counts.clone(), hosts: site.hosts, pools };
        assert_eq!(found, expected.remove(&name).unwrap_or_default(), "site {name}");
    }
    assert!(expected.is_empty());
    let (mut users, mut hosts) = (StandingCounts::default(), 0);
    for site in &snapshot.sites {
        users.add(&site.counts.users);
        hosts += site.hosts;
    }
    assert_eq!((users, hosts), (snapshot.organisation.users, snapshot.organisation.hosts));

    // The counters that commit with each change, against a fold over the records.
    let mut counters: BTreeMap<String, i64> = BTreeMap::new();
    for stored in lab.store.page(0, 1_000).await.unwrap().items {
        for (counter, by) in counters_of(&stored.record, &stored.verdicts) {
            *counters.entry(counter).or_default() += by;
        }
    }
    let kept: BTreeMap<String, i64> = lab.store.totals().await.unwrap().into_iter().collect();
    assert_eq!(kept, counters);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn totals_equal_a_fold_over_what_is_stored(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(events));
    }
}
