//! A collector that is stopped and started again knows what it knew, and calls nobody quiet for its own absence.

use std::sync::Arc;

use muster_collector::clock::{Clock as _, ManualClock, SystemClock};
use muster_proto::v1::{self, Rollout};
use muster_tests::collector::Served;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, certificate, user, without_kdc_usage};
use muster_tests::operator::Operator;
use muster_tests::probe::{FakeProbe, acknowledged};
use muster_tests::wait;

/// What an operator sees of a site, times apart.
fn told(site: &v1::Site) -> String {
    let reasons: Vec<_> = site.reasons.iter().map(|own| (&own.check, own.standing(), &own.text, &own.hosts)).collect();
    format!(
        "{:?} {:?} {:?} {:?} {} {} {} {reasons:?}",
        site.id,
        site.rollout(),
        site.users,
        site.endpoints,
        site.dcs_fresh,
        site.dcs_expected,
        site.rollout_since_ms
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_and_transitions_outlive_a_restart() {
    let lab = Lab::new();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let setup = Setup {
        policy: Some("dc_fresh_seconds = 30\n"),
        cadence: "20s",
        ..Setup::with_sites(&[
            ("Rotterdam", &["dc01.corp.example"], Some(1)),
            ("Lyon", &["dc11.corp.example"], Some(1)),
        ])
    };
    let now = clock.now();
    let bad = without_kdc_usage(certificate("dc11.corp.example", now));
    let machines = [
        Machine::dc("dc01", "Rotterdam", now),
        Machine::endpoint("pc-0417", "Rotterdam", &user(1)),
        Machine::dc("dc11", "Lyon", now).with_certificate(bad),
        Machine::endpoint("lap-0511", "Lyon", &user(2)).entra_only(),
    ];

    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut relay = FakeProbe::connect(&lab, served.probes, "relay.corp.example").await;
    for machine in &machines {
        relay.report(machine, now).await.unwrap();
    }
    let mut operator = Operator::connect(served.operators).await;
    operator.until_rollout("Rotterdam", Rollout::Go).await;
    operator.until_rollout("Lyon", Rollout::Hold).await;
    clock.advance_ms(2_000);
    let before = wait::until("both rollout verdicts are written", async || {
        let written = operator.transitions().await;
        let done = ["Go", "Hold"].iter().all(|word| written.iter().any(|one| one.to == *word));
        if done { Ok(written) } else { Err(format!("{written:?}")) }
    })
    .await;
    let mut sites_before: Vec<String> = operator.sites().await.iter().map(told).collect();
    let hosts_before = operator.hosts().await;
    served.stop().await;

    // Ten minutes down, twenty times what a domain controller's evidence holds.
    clock.advance_ms(600_000);
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut operator = Operator::connect(served.operators).await;
    let mut sites_after: Vec<String> = operator.sites().await.iter().map(told).collect();
    sites_before.sort();
    sites_after.sort();
    assert_eq!(sites_after, sites_before);
    assert_eq!(operator.transitions().await, before);
    let hosts_after = operator.hosts().await;
    assert_eq!(hosts_after.len(), hosts_before.len());
    assert!(hosts_after.iter().all(|host| !host.quiet), "{hosts_after:?}");

    // Within a cadence those who live report, and say nothing new; whoever does not is quiet after it.
    let mut relay_again = FakeProbe::connect(&lab, served.probes, "relay.corp.example").await;
    (relay_again.install_id, relay_again.sequence) = (relay.install_id, relay.sequence);
    clock.advance_ms(10_000);
    for machine in machines.iter().filter(|machine| machine.identity.name.as_str() != "dc01.corp.example") {
        let answer = relay_again.report(machine, clock.now()).await.unwrap();
        assert_eq!(acknowledged(&answer), v1::Acknowledgement::Seen, "{answer:?}");
    }
    clock.advance_ms(15_000);
    operator.until_rollout("Rotterdam", Rollout::Unknown).await;
    operator.until_rollout("Lyon", Rollout::Hold).await;
    served.stop().await;
}
