//! Rows of pure computing: judging a host, reading a raw output. CPU time of one thread, so that others on the machine
//! are not measured.

use std::collections::BTreeMap;
use std::hint::black_box;

use muster_evidence::{Origin, Role, Timestamp};
use muster_probe::machine::Machine;
use muster_probe::parse::{certificate, dsregcmd};
use muster_readiness::{Facts, ForestFacts, HostFacts, KeyInventory, Policy, SiteFacts, judge};

use crate::Bench;
use crate::measure::{Figure, median, thread_cpu_ns};
use crate::messages::Fleet;

/// Measures every row of this group.
pub(crate) fn run(bench: &Bench) -> Vec<Figure> {
    vec![judging(bench), parsing_a_status(bench), parsing_a_certificate(bench)]
}

/// Judges each of the demo's machines; the figure is the dearest one's.
fn judging(bench: &Bench) -> Figure {
    let fleet = Fleet::new(&bench.captures, 1, bench.now);
    let policy = Policy::default();
    let site = SiteFacts { entra_joined_endpoints: Some(true), ..SiteFacts::unknown(None) };
    let inventory = Some(KeyInventory { as_of: bench.now, complete: true, canary_seen: true });
    let forest = ForestFacts { inventory, ..ForestFacts::default() };
    let mut dearest: (Vec<f64>, String) = (vec![0.0], String::new());
    let mut cheapest = f64::MAX;
    for machine in fleet.machines() {
        let host = facts_of(machine);
        let facts = Facts { host: &host, site: &site, forest: &forest };
        let verdicts = judge(&facts, &policy, bench.now).len();
        let rounds = microseconds(bench, || {
            black_box(judge(black_box(&facts), &policy, bench.now));
        });
        cheapest = cheapest.min(median(&rounds));
        if median(&rounds) > median(&dearest.0) {
            let kind = if machine.roles.contains(&Role::DomainController) { "domain controller" } else { "endpoint" };
            dearest = (rounds, format!("{verdicts} verdicts of an {kind}").replace("an domain", "a domain"));
        }
    }
    Figure::of("judge", &dearest.0, format!("{}, the dearest machine; the cheapest {cheapest:.1} us", dearest.1))
}

fn facts_of(machine: &Machine) -> HostFacts {
    let observations: BTreeMap<_, _> =
        machine.observations.iter().map(|seen| (seen.key.clone(), seen.clone())).collect();
    HostFacts {
        host: machine.identity.name.clone(),
        forest: machine.identity.forest.clone(),
        roles: machine.roles.clone(),
        observations,
    }
}

/// From the text to observations.
fn parsing_a_status(bench: &Bench) -> Figure {
    let path = bench.captures.join("rotterdam/pc-0419/dsregcmd.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let observations = |text: &str, now: Timestamp| {
        let status = dsregcmd::parse(text).unwrap_or_else(|error| panic!("{error}"));
        status.facts(None).into_observations(None, now, Origin::Live)
    };
    let told = observations(&text, bench.now).len();
    assert!(told > 0);
    let rounds = microseconds(bench, || {
        black_box(observations(black_box(&text), bench.now));
    });
    Figure::of("parse-dsregcmd", &rounds, format!("{} bytes, {told} observations", text.len()))
}

/// From DER to evidence, without its chain.
fn parsing_a_certificate(bench: &Bench) -> Figure {
    let path = bench.captures.join("rotterdam/dc01/certificates/dc01.corp.example.pem");
    let bundle = certificate::from_pem_or_der(&std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let der = &bundle.certificates[0].der;
    let rounds = microseconds(bench, || {
        black_box(certificate::from_der(black_box(der)).unwrap_or_else(|error| panic!("{error}")));
    });
    Figure::of("parse-certificate", &rounds, format!("{} bytes of DER", der.len()))
}

/// CPU time of one call in microseconds, round by round.
fn microseconds(bench: &Bench, mut call: impl FnMut()) -> Vec<f64> {
    // As many calls as make the clock's coarseness small: it moves with the scheduler's ticks of some milliseconds.
    let mut calls = 1_u32;
    loop {
        let before = thread_cpu_ns();
        (0..calls).for_each(|_| call());
        if thread_cpu_ns() - before >= bench.compute_ns {
            break;
        }
        calls *= 2;
    }
    let round = |_| {
        let before = thread_cpu_ns();
        (0..calls).for_each(|_| call());
        (thread_cpu_ns() - before) / f64::from(calls) / 1e3
    };
    (0..bench.passes.max(2)).map(round).collect()
}
