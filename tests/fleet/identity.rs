//! Who is who: machines that are renamed, copied and installed anew, across restarts of the collector.

use std::sync::Arc;

use muster_collector::clock::{Clock as _, ManualClock, SystemClock};
use muster_evidence::{InstallId, Sha256, TpmVersion};
use muster_proto::v1::{self, Acknowledgement};
use muster_tests::collector::Served;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, tpm, user};
use muster_tests::operator::{Operator, verdict};
use muster_tests::probe::{FakeProbe, acknowledged};
use muster_tests::wait;

const OLD: &str = "pc-0417.corp.example";
const NEW: &str = "lon-0417.corp.example";

fn machine(name: &str) -> Machine {
    let mut machine = Machine::endpoint(name.split('.').next().unwrap(), "Rotterdam", &user(1104))
        .with(muster_evidence::Evidence::Tpm(tpm(TpmVersion::V1_2)));
    machine.identity.ek_sha256 = Some(Sha256([0xE1; 32]));
    machine
}

/// The same probe, with another certificate.
async fn renamed(lab: &Lab, served: &Served, probe: &FakeProbe, name: &str) -> FakeProbe {
    let (install_id, incarnation, sequence) = (probe.install_id, probe.incarnation, probe.sequence);
    FakeProbe { install_id, incarnation, sequence, ..FakeProbe::connect(lab, served.probes, name).await }
}

fn names(hosts: &[v1::HostSummary]) -> Vec<&str> {
    hosts.iter().map(|host| host.name.as_str()).collect()
}

async fn in_conflict(operator: &mut Operator) -> (u64, Vec<String>) {
    let counted = operator.api.get_organisation(v1::GetOrganisationRequest {}).await.unwrap().into_inner();
    let request = v1::ListHostsRequest { conflict: true, ..Default::default() };
    let listed = operator.api.list_hosts(request).await.unwrap().into_inner().hosts;
    assert!(listed.iter().all(|host| host.conflict), "{listed:?}");
    (counted.hosts_in_conflict, listed.into_iter().map(|host| host.name).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_renamed_while_the_collector_is_away_keeps_its_history() {
    let lab = Lab::new();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let setup = Setup { cadence: "20s", ..Setup::default() };
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut probe = FakeProbe::connect(&lab, served.probes, OLD).await;
    probe.report(&machine(OLD), clock.now()).await.unwrap();
    let mut operator = Operator::connect(served.operators).await;
    let before = operator.host(OLD).await.unwrap();
    served.stop().await;

    clock.advance_ms(5_000);
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut probe = renamed(&lab, &served, &probe, NEW).await;
    let answer = probe.report(&machine(NEW), clock.now()).await.unwrap();
    assert_eq!((acknowledged(&answer), answer.conflict), (Acknowledgement::Committed, false));
    let mut operator = Operator::connect(served.operators).await;
    assert_eq!(names(&operator.hosts().await), [NEW], "the list shows the new name only");
    let told = operator.host(NEW).await.unwrap();
    served.stop().await;

    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut operator = Operator::connect(served.operators).await;
    let after = operator.host(NEW).await.unwrap();
    assert_eq!(after, told, "a restart changes nothing");
    let summary = |host: &v1::GetHostResponse| (host.host.as_ref().unwrap().number, host.first_seen_ms);
    assert_eq!(summary(&after), summary(&before));
    assert_eq!(verdict(&after, "tpm.version").since_ms, verdict(&before, "tpm.version").since_ms);
    let former = v1::FormerName { name: OLD.to_owned(), renamed_at_ms: clock.now().unix_ms() };
    assert_eq!((after.asked_as.as_str(), after.former_names.as_slice()), ("", &[former][..]));
    assert!(!after.conflict);

    // The old name, in full or by its first label, leads to the host and says so.
    for asked in [OLD, "pc-0417"] {
        let found = operator.host(asked).await.unwrap();
        assert_eq!(found.asked_as, OLD);
        assert_eq!(found.host, after.host);
    }
    // The rename is told among the changes, and those from before are the host's under either name.
    for host in [OLD, NEW] {
        let request = v1::ListTransitionsRequest { host: host.to_owned(), ..Default::default() };
        let changes = operator.api.list_transitions(request).await.unwrap().into_inner().transitions;
        let rename = changes.iter().find(|own| own.from == OLD).unwrap_or_else(|| panic!("{changes:?}"));
        assert_eq!((rename.subject.as_str(), rename.check.as_str(), rename.to.as_str()), ("host", "", NEW));
        assert!(changes.iter().any(|own| own.check == "tpm.version" && own.host == OLD), "{changes:?}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_of_a_machine_under_two_names_are_both_kept_and_shown() {
    let lab = Lab::new();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let setup = Setup { cadence: "20s", ..Setup::default() };
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut first = FakeProbe::connect(&lab, served.probes, OLD).await;
    first.report(&machine(OLD), clock.now()).await.unwrap();
    // The copy of the disk comes up first, with a certificate of its own, and is taken for the machine.
    let mut copy = renamed(&lab, &served, &first, NEW).await;
    copy.report(&machine(NEW), clock.now()).await.unwrap();
    let mut operator = Operator::connect(served.operators).await;
    assert_eq!(names(&operator.hosts().await), [NEW]);

    // Then the machine is there again.
    clock.advance_ms(5_000);
    first.report(&machine(OLD), clock.now()).await.unwrap();
    let both = (2, vec![NEW.to_owned(), OLD.to_owned()]);
    wait::until("both are shown", async || match in_conflict(&mut operator).await {
        found if found == both => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
    for (name, other) in [(OLD, NEW), (NEW, OLD)] {
        let host = operator.host(name).await.unwrap();
        assert!(host.conflict, "{name}");
        assert_eq!(
            (host.copies.as_slice(), host.same_tpm.as_slice()),
            (&[other.to_owned()][..], &[other.to_owned()][..])
        );
        assert_eq!(host.asked_as, "", "the name is a host's own again");
    }
    served.stop().await;

    // It outlives a restart, and ends when one of them is silent.
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut operator = Operator::connect(served.operators).await;
    assert_eq!(in_conflict(&mut operator).await, both);
    let mut copy = renamed(&lab, &served, &copy, NEW).await;
    for _ in 0..4 {
        clock.advance_ms(20_000);
        copy.report(&machine(NEW), clock.now()).await.unwrap();
    }
    wait::until("the conflict is over", async || match in_conflict(&mut operator).await {
        (0, listed) if listed.is_empty() => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
    let host = operator.host(NEW).await.unwrap();
    assert_eq!((host.conflict, host.earlier_or_later.as_slice()), (false, &[OLD.to_owned()][..]), "linked still");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_installed_anew_keeps_its_history_and_says_so() {
    let lab = Lab::new();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let setup = Setup { cadence: "20s", ..Setup::default() };
    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut first = FakeProbe::connect(&lab, served.probes, OLD).await;
    first.report(&machine(OLD), clock.now()).await.unwrap();
    let first_seen = clock.now();

    // Once on the same TPM, and once with a new board.
    let mut reimages = Vec::new();
    for (install, key, same_tpm) in [(8, 0xE1, true), (9, 0xE2, false)] {
        let earlier_seen_ms = clock.now().unix_ms();
        clock.advance_ms(70_000);
        let mut anew = FakeProbe::connect(&lab, served.probes, OLD).await;
        let earlier = std::mem::replace(&mut first.install_id, InstallId([install; 16]));
        (anew.install_id, anew.incarnation) = (first.install_id, u64::from(install));
        let mut machine = machine(OLD);
        machine.identity.ek_sha256 = Some(Sha256([key; 32]));
        let answer = anew.report(&machine, clock.now()).await.unwrap();
        assert_eq!((acknowledged(&answer), answer.conflict), (Acknowledgement::Committed, false));
        reimages.push(v1::Reimage {
            at_ms: clock.now().unix_ms(),
            earlier_install_id: earlier.0.to_vec(),
            earlier_seen_ms,
            same_tpm: Some(same_tpm),
        });
    }
    served.stop().await;

    let served = Served::start_with(&lab, &setup, clock.clone()).await;
    let mut operator = Operator::connect(served.operators).await;
    assert_eq!(names(&operator.hosts().await), [OLD]);
    let host = operator.host(OLD).await.unwrap();
    assert_eq!(host.reimages, reimages);
    assert_eq!((host.first_seen_ms, host.conflict), (first_seen.unix_ms(), false));
    assert_eq!(host.ek_sha256, [0xE2; 32]);
    let told: Vec<&str> = host
        .transitions
        .iter()
        .filter(|own| own.to.starts_with("installation"))
        .map(|own| own.reason.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "the machine was installed anew, and its TPM is another one",
            "the machine was installed anew; its TPM is the same"
        ],
        "latest first"
    );
    served.stop().await;
}
