//! Three sites, three fates: `Go`, `Hold`, and `Unknown` when a domain controller falls silent; and the way back.

use std::sync::Arc;

use muster_collector::clock::{Clock as _, ManualClock, SystemClock};
use muster_proto::v1::{self, Rollout, Standing};
use muster_tests::collector::Served;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, certificate, user, without_kdc_usage};
use muster_tests::operator::{Operator, verdict};
use muster_tests::probe::FakeProbe;
use muster_tests::wait;

#[tokio::test(flavor = "multi_thread")]
async fn go_hold_and_unknown_with_reasons_and_back_again() {
    let lab = Lab::new();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let setup = Setup {
        policy: Some("dc_fresh_seconds = 30\n"),
        ..Setup::with_sites(&[
            ("Rotterdam", &["dc01.corp.example"], Some(1)),
            ("Lyon", &["dc11.corp.example"], Some(1)),
            ("Oslo", &["dc21.corp.example"], Some(1)),
        ])
    };
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut operator = Operator::connect(served.operators).await;
    let now = clock.now();
    let bad = without_kdc_usage(certificate("dc11.corp.example", now));
    let mut fleet = Vec::new();
    for machine in [
        Machine::dc("dc01", "Rotterdam", now),
        Machine::endpoint("pc-0417", "Rotterdam", &user(1)),
        Machine::dc("dc11", "Lyon", now).with_certificate(bad),
        // Where nobody is joined to Entra ID alone, that certificate would do.
        Machine::endpoint("lap-0511", "Lyon", &user(2)).entra_only(),
        Machine::endpoint("pc-0611", "Oslo", &user(3)),
        Machine::dc("dc21", "Oslo", now),
    ] {
        let probe = FakeProbe::connect(&lab, served.probes, machine.identity.name.as_str()).await;
        fleet.push((probe, machine));
    }
    report(&mut fleet, &clock).await;

    let rotterdam = operator.until_rollout("Rotterdam", Rollout::Go).await.site.unwrap();
    assert_eq!((rotterdam.dcs_fresh, rotterdam.dcs_expected), (1, 1));
    let lyon = operator.until_rollout("Lyon", Rollout::Hold).await.site.unwrap();
    let reason = &lyon.reasons[0];
    assert_eq!((reason.check.as_str(), reason.standing()), ("dc.cert-eku", Standing::Blocked), "{reason:?}");
    assert!(reason.in_gate && !reason.remedy.is_empty(), "{reason:?}");
    assert_eq!(reason.hosts, ["dc11.corp.example"]);
    operator.until_rollout("Oslo", Rollout::Go).await;
    clock.advance_ms(2_000);
    rollouts_of(&mut operator, "Oslo", &["Go"]).await;

    // Oslo's only domain controller falls silent; the others go on.
    let (mut silent, silent_machine) = fleet.pop().unwrap();
    for _ in 0..3 {
        clock.advance_ms(11_000);
        report(&mut fleet, &clock).await;
    }
    let oslo = operator.until_rollout("Oslo", Rollout::Unknown).await;
    let site = oslo.site.as_ref().unwrap();
    assert_eq!(site.gate(), Standing::Unknown);
    assert_eq!(site.dcs_fresh, 0, "{site:?}");
    assert!(oslo.dcs[0].quiet, "{oslo:?}");
    // Silence is a gap, and what it was before is not forgotten.
    let host = operator.host("dc21").await.unwrap();
    let eku = verdict(&host, "dc.cert-eku");
    assert_eq!((eku.standing(), eku.stale_standing()), (Standing::Unknown, Standing::Ready), "{eku:?}");
    assert!(!eku.needed.is_empty() && !eku.seen.is_empty(), "a gap says what is missing and why: {eku:?}");
    clock.advance_ms(2_000);
    rollouts_of(&mut operator, "Oslo", &["Go", "Unknown"]).await;
    assert_eq!(operator.until_rollout("Rotterdam", Rollout::Go).await.site.unwrap().rollout(), Rollout::Go);
    operator.until_rollout("Lyon", Rollout::Hold).await;

    // It comes back, and says nothing new.
    let now = clock.now();
    let answer = silent.report(&silent_machine, now).await.unwrap();
    assert_eq!(answer.acknowledgement(), v1::Acknowledgement::Seen);
    operator.until_rollout("Oslo", Rollout::Go).await;
    clock.advance_ms(2_000);
    let written = rollouts_of(&mut operator, "Oslo", &["Go", "Unknown", "Go"]).await;
    let silence = written.iter().find(|one| one.to == "Unknown").unwrap();
    assert!(!silence.reason.is_empty(), "{silence:?}");
    // A machine that is switched off is quiet: no transition of its verdicts.
    let of_dc21 = operator.transitions().await.into_iter().filter(|one| one.host == "dc21.corp.example");
    assert!(of_dc21.map(|one| one.from).all(|from| from.is_empty()), "silence wrote a transition of dc21");
    served.stop().await;
}

async fn report(fleet: &mut [(FakeProbe, Machine)], clock: &ManualClock) {
    for (probe, machine) in fleet {
        probe.report(machine, clock.now()).await.unwrap();
    }
}

/// The rollout verdicts of a site as they were written, once these are among them in this order and the last is last.
async fn rollouts_of(operator: &mut Operator, site: &str, expected: &[&str]) -> Vec<v1::Transition> {
    wait::until(&format!("transitions of {site}: {expected:?}"), async || {
        let mut written = operator.transitions().await;
        written.retain(|one| one.subject == "site" && one.site.as_ref().is_some_and(|own| own.name == site));
        let words: Vec<&str> = written.iter().map(|one| one.to.as_str()).collect();
        // At the very beginning nothing was known of the site, which may or may not have been written.
        let words_after_start: &[&str] = if words.first() == Some(&"Unknown") { &words[1..] } else { &words };
        if words_after_start == expected { Ok(()) } else { Err(format!("{words:?}")) }.map(|()| written.clone())
    })
    .await
}
