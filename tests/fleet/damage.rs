//! A store that is damaged, in use, or of a later release.

use std::fs;
use std::os::unix::fs::FileExt as _;

use muster_collector::clock::{Clock as _, SystemClock};
use muster_collector::store::STORE_FORMAT;
use muster_proto::v1::{Acknowledgement, Rollout};
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, user};
use muster_tests::operator::Operator;
use muster_tests::probe::{FakeProbe, acknowledged};
use muster_tests::program::{binary, command, run};

fn setup() -> Setup {
    Setup::with_sites(&[("Rotterdam", &["dc01.corp.example"], Some(1))])
}

/// A collector that has taken a site's reports, with the probe that brought them.
async fn reported(lab: &Lab) -> (CollectorProgram, FakeProbe, Vec<Machine>) {
    let collector = CollectorProgram::start(lab, &setup()).await;
    let now = SystemClock.now();
    let machines = vec![Machine::dc("dc01", "Rotterdam", now), Machine::endpoint("pc-0417", "Rotterdam", &user(1))];
    let mut relay = FakeProbe::connect(lab, collector.probes, "relay.corp.example").await;
    for machine in &machines {
        assert_eq!(acknowledged(&relay.report(machine, now).await.unwrap()), Acknowledgement::Committed);
    }
    Operator::connect(collector.operators).await.until_rollout("Rotterdam", Rollout::Go).await;
    (collector, relay, machines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_set_aside_and_its_evidence_asked_for_again() {
    let lab = Lab::new();
    let (mut collector, relay, machines) = reported(&lab).await;
    assert!(collector.running.terminate().await.success());

    // Every kilobyte loses some bytes, as from a disk that is dying.
    let data = fs::OpenOptions::new().write(true).open(lab.path("store/db")).unwrap();
    let length = data.metadata().unwrap().len();
    assert!(length > 0);
    for place in (0..length).step_by(1_024) {
        data.write_all_at(&[0xA5; 64], place).unwrap();
    }
    drop(data);

    let mut collector = CollectorProgram::start(&lab, &setup()).await;
    let log = collector.running.log();
    assert!(log.contains("the store was damaged; it was set aside and is rebuilt"), "{log}");
    let aside: Vec<_> = fs::read_dir(lab.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("store.damaged-"))
        .collect();
    assert_eq!(aside.len(), 1, "nothing is thrown away: {aside:?}");
    assert!(lab.path(&aside[0]).join("db").is_file());

    // Nothing is known, and that is what the site says.
    let mut operator = Operator::connect(collector.operators).await;
    operator.until_rollout("Rotterdam", Rollout::Unknown).await;
    assert!(operator.hosts().await.is_empty());

    // Probes that believe everything to be there are asked for it.
    let mut again = FakeProbe::connect(&lab, collector.probes, "relay.corp.example").await;
    (again.install_id, again.sequence) = (relay.install_id, relay.sequence);
    let now = SystemClock.now();
    for machine in &machines {
        let mut message = again.message(machine, now);
        let listed = message.observations.len();
        message.observations.iter_mut().for_each(|entry| entry.body = None);
        let answer = again.send(message).await.unwrap();
        assert_eq!(answer.need.len(), listed, "{answer:?}");
        assert!(answer.next_report_after_ms <= 1_000, "at once: {answer:?}");
    }
    operator.until_rollout("Rotterdam", Rollout::Unknown).await;
    for machine in &machines {
        assert_eq!(acknowledged(&again.report(machine, now).await.unwrap()), Acknowledgement::Committed);
    }
    operator.until_rollout("Rotterdam", Rollout::Go).await;
    assert!(collector.running.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_comes_back_from_its_newest_backup() {
    let lab = Lab::new();
    let (mut collector, _relay, _machines) = reported(&lab).await;
    assert!(collector.running.terminate().await.success());
    let mut backup = command(binary("muster-collector"));
    backup.arg("backup").arg("--config").arg(lab.path("collector.toml")).arg(lab.path("snapshots/first"));
    assert!(run(backup).await.succeeded().contains("records copied"));

    fs::write(lab.path("store/db"), vec![0x5A; 300_000]).unwrap();
    let text = setup().text().replacen("[store]\n", "[store]\nsnapshots = \"snapshots\"\n", 1);
    lab.write("with-snapshots.toml", text);
    let mut serve = command(binary("muster-collector"));
    serve.arg("serve").arg("--config").arg(lab.path("with-snapshots.toml"));
    let mut running = muster_tests::program::Running::start(serve, lab.path("restored.log"));
    let operators = running
        .until_said("it serves", |log| {
            let line = log.lines().find(|line| line.contains("\"message\":\"serving\""))?;
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line["operators"].as_str()?.trim_matches(['[', ']']).parse().ok()
        })
        .await;
    assert!(running.log().contains("the store was damaged"), "{}", running.log());
    let mut operator = Operator::connect(operators).await;
    assert_eq!(operator.hosts().await.len(), 2, "{}", running.log());
    assert!(running.terminate().await.success());

    // And by hand, into an empty place.
    fs::remove_dir_all(lab.path("store")).unwrap();
    let restore = async |from: &str| {
        let mut restore = command(binary("muster-collector"));
        restore.arg("restore").arg("--config").arg(lab.path("collector.toml")).arg(lab.path(from));
        run(restore).await
    };
    // Not from one of a later release, nor from one that is not whole: both leave the place as it is.
    let file = fs::read_dir(lab.path("snapshots/first")).unwrap().next().unwrap().unwrap().path();
    let name = file.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut later = whole.clone();
    later[8..12].copy_from_slice(&(STORE_FORMAT + 6).to_be_bytes());
    lab.write(&format!("later/{name}"), later);
    let refused = restore("later").await;
    assert!(refused.stderr.contains("has format 7; this collector reads up to 1"), "{refused:?}");
    lab.write(&format!("cut/{name}"), &whole[..whole.len() - 9]);
    let refused = restore("cut").await;
    assert!(refused.code != Some(0) && refused.stderr.contains("is damaged"), "{refused:?}");
    assert!(!lab.path("store").exists());
    assert!(restore("snapshots/first").await.succeeded().contains("2 hosts restored"));
    let collector = CollectorProgram::start(&lab, &setup()).await;
    Operator::connect(collector.operators).await.until_rollout("Rotterdam", Rollout::Go).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_named_and_left_alone() {
    let lab = Lab::new();
    let (mut collector, mut relay, machines) = reported(&lab).await;
    let mut second = command(binary("muster-collector"));
    second.arg("serve").arg("--config").arg(lab.path("collector.toml"));
    let done = run(second).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    let store = lab.path("store");
    assert!(done.stderr.contains(&format!("store `{}` is in use by another process", store.display())), "{done:?}");
    // The first one has lost nothing by it.
    let answer = relay.report(&machines[0], SystemClock.now()).await.unwrap();
    assert_eq!(acknowledged(&answer), Acknowledgement::Seen);
    assert!(collector.running.terminate().await.success());
}
