//! A machine on which nothing happens: its reports cost the collector nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use muster_proto::v1::{Rollout, Standing};
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::operator::{Operator, verdict};
use muster_tests::program::{binary, command, repository, run};
use muster_tests::{may_skip, skipped};

/// A software TPM, stopped when dropped.
struct SoftwareTpm<'l> {
    folder: &'l Path,
    tcti: String,
}

impl<'l> SoftwareTpm<'l> {
    /// `None` where there is no laboratory and need not be.
    fn start(folder: &'l Path) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let up = Command::new(repository().join("tests/lab/swtpm-up.sh"))
            .arg(folder)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        if up.status.code() == Some(77) && may_skip() {
            return None;
        }
        assert!(up.status.success(), "swtpm-up.sh ended with {}; are `swtpm` and `swtpm-tools` installed?", up.status);
        Some(Self { folder, tcti: String::from_utf8(up.stdout).unwrap().trim().to_owned() })
    }
}

impl Drop for SoftwareTpm<'_> {
    fn drop(&mut self) {
        let _ = Command::new(repository().join("tests/lab/swtpm-down.sh")).arg(self.folder).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_real_probe_is_unchanged_in_19_rounds_of_20() {
    let lab = Lab::new();
    let folder = lab.path("tpm");
    let Some(tpm) = SoftwareTpm::start(&folder) else {
        return skipped("idle::an_idle_real_probe_is_unchanged_in_19_rounds_of_20", "no software TPM on this machine");
    };
    let collector = CollectorProgram::start(&lab, &Setup::default()).await;
    let identity = lab.ca.probe("idle.corp.example");
    let more = format!("tpm = {:?}\nsite = \"Rotterdam\"", tpm.tcti);
    let settings = lab.probe_settings("idle", &identity, collector.probes.port(), &more);

    let mut rounds = Vec::new();
    for _ in 0..20 {
        let mut once = command(binary("muster-probe"));
        once.arg("once").arg("--config").arg(&settings);
        rounds.push(run(once).await.succeeded());
    }
    let unchanged = rounds.iter().filter(|said| said.contains("idle.corp.example: SEEN")).count();
    assert!(unchanged >= 19, "{unchanged} of 20:\n{}", rounds.join(""));
    assert!(rounds[0].contains("COMMITTED"), "{}", rounds[0]);
    assert!(rounds[19].contains(" 0 of them sent"), "an unchanged report carries no body: {}", rounds[19]);

    // It was the software TPM that answered, not its absence.
    let mut operator = Operator::connect(collector.operators).await;
    operator.until_rollout("Rotterdam", Rollout::Unknown).await;
    let host = operator.host("idle").await.unwrap();
    assert_eq!(verdict(&host, "tpm.version").standing(), Standing::Ready, "{host:?}");
    let tpm = host.evidence.iter().find(|own| own.kind == "tpm").unwrap();
    assert!(format!("{:?}", tpm.body).contains("Observed"), "{tpm:?}");
}
