//! A disk that fills up under the collector: reports are refused with a clear status, nothing acknowledged is lost, and
//! when there is space again it goes on by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster_collector::clock::{Clock as _, SystemClock};
use muster_evidence::{Evidence, OperatingSystem, ProductType};
use muster_proto::v1::{Acknowledgement, Standing};
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, certificate, system, text, user};
use muster_tests::operator::{Operator, verdict};
use muster_tests::probe::{FakeProbe, acknowledged};
use muster_tests::wait;
use muster_tests::{may_skip, skipped};
use tonic::Code;

/// A small disk in memory, taken away when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, mebibytes: u32) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "muster-test"])
            .arg(folder)
            .output()
            .unwrap();
        if !mounted.status.success() && may_skip() {
            return None;
        }
        assert!(
            mounted.status.success(),
            "mounting a small disk needs root (MUSTER_SKIP_LAB=1 leaves this out): {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Some(Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the collector may still be ending.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A machine whose record takes some room: a certificate and a dozen users.
fn large(number: u32) -> Machine {
    let name = format!("pc-{number:05}");
    let mut machine = Machine::endpoint(&name, "Rotterdam", &user(number * 100));
    let fqdn = format!("{name}.corp.example");
    machine = machine.with_certificate(certificate(&fqdn, SystemClock.now()));
    for sid in 1..12 {
        let other = Machine::endpoint(&name, "Rotterdam", &user(number * 100 + sid));
        machine.seen.extend(other.seen.into_iter().filter(|(key, _, _)| key.kind.is_of_user()));
    }
    let filler = text(&format!("{number:05}").repeat(50));
    machine.with(Evidence::OperatingSystem(OperatingSystem {
        edition: Some(filler),
        ..system("Windows 11", 26_100, ProductType::Workstation)
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_clearly_loses_nothing_and_recovers_by_itself() {
    const NAME: &str = "full_disk::a_full_disk_refuses_clearly_loses_nothing_and_recovers_by_itself";
    let lab = Lab::new();
    let Some(disk) = SmallDisk::mount(&lab.path("disk"), 40) else {
        return skipped(NAME, "mounting a small disk needs root");
    };
    let setup = Setup { store: PathBuf::from("disk/store"), ..Setup::default() };
    // What somebody else keeps on the same disk.
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let mut collector = CollectorProgram::start(&lab, &setup).await;
    let mut relay = FakeProbe::connect(&lab, collector.probes, "relay.corp.example").await;
    let now = SystemClock.now();

    let mut taken = 0;
    let status = loop {
        match relay.report(&large(taken + 1), now).await {
            Ok(answer) => assert_eq!(acknowledged(&answer), Acknowledgement::Committed),
            Err(status) => break status,
        }
        taken += 1;
        assert!(taken < 20_000, "the disk does not fill");
    };
    assert!(taken > 10, "only {taken} reports fitted");
    assert_eq!(status.code(), Code::ResourceExhausted, "after {taken} reports: {status:?}");
    let store = lab.path("disk/store");
    assert!(status.message().contains(&format!("no space left for the store in `{}`", store.display())), "{status}");

    // It goes on refusing, and goes on answering operators.
    for _ in 0..3 {
        assert_eq!(relay.report(&large(taken + 2), now).await.unwrap_err().code(), Code::ResourceExhausted);
    }
    let mut operator = Operator::connect(collector.operators).await;
    everything_is_there(&mut operator, taken).await;

    // Space returns, and nobody restarts anything.
    fs::remove_file(&ballast).unwrap();
    let answer = wait::until("reports are taken again", async || {
        relay.report(&large(taken + 3), now).await.map_err(|status| status.to_string())
    })
    .await;
    assert_eq!(acknowledged(&answer), Acknowledgement::Committed);
    assert!(collector.running.ended().is_none());
    everything_is_there(&mut operator, taken).await;
    operator.host(&format!("pc-{:05}", taken + 3)).await.unwrap();

    // And it is all there after a restart.
    assert!(collector.running.terminate().await.success(), "{}", collector.running.log());
    let mut collector = CollectorProgram::start(&lab, &setup).await;
    assert!(!collector.running.log().contains("damaged"), "{}", collector.running.log());
    let mut operator = Operator::connect(collector.operators).await;
    everything_is_there(&mut operator, taken).await;
    operator.host(&format!("pc-{:05}", taken + 3)).await.unwrap();
    assert!(collector.running.terminate().await.success());
}

/// Every host that was acknowledged is listed, and some are read in full.
async fn everything_is_there(operator: &mut Operator, taken: u32) {
    let hosts = operator.hosts().await;
    for number in 1..=taken {
        let name = format!("pc-{number:05}.corp.example");
        assert!(hosts.iter().any(|host| host.name == name), "{name} is gone");
    }
    for number in (1..=taken).step_by(usize::try_from(taken / 10).unwrap().max(1)) {
        let host = operator.host(&format!("pc-{number:05}")).await.unwrap();
        assert_eq!(host.users.len(), 12, "{host:?}");
        assert_eq!(verdict(&host, "os.client-build").standing(), Standing::Ready);
    }
}
