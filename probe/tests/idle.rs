//! An idle machine says the same thing in every round: nothing that moves by itself is in the bytes that are compared.
//!
//! The second test needs `swtpm` (Debian packages `swtpm` and `swtpm-tools`). Without it the test fails, unless
//! `MUSTER_SKIP_LAB=1` says that this machine has no laboratory.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use muster_evidence::{Kind, ObservationKey, Outcome};
use muster_probe::clock::{Clock, SystemClock};
use muster_probe::config::Config;
use muster_probe::machine::Target;
use muster_proto::convert::{Digest, encode_body};

/// The digest of everything this machine says, in each of 20 rounds.
async fn rounds(config: &Config) -> Vec<BTreeMap<ObservationKey, Digest>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let target = Target::this_machine(config, "idle.corp.example".parse().unwrap(), clock);
    let mut rounds = Vec::new();
    for _ in 0..20 {
        let machine = target.observe().await;
        let digests = machine
            .observations
            .iter()
            .map(|seen| (seen.key.clone(), Digest::of(&encode_body(&seen.outcome))))
            .collect();
        rounds.push(digests);
    }
    rounds
}

fn all_alike(rounds: &[BTreeMap<ObservationKey, Digest>]) {
    let (first, rest) = rounds.split_first().unwrap();
    assert!(first.contains_key(&ObservationKey::host(Kind::OperatingSystem)), "{first:?}");
    for (n, round) in rest.iter().enumerate() {
        let moved: Vec<&ObservationKey> =
            first.keys().chain(round.keys()).filter(|key| first.get(key) != round.get(key)).collect();
        assert!(moved.is_empty(), "round {} says something else of {moved:?}", n + 2);
    }
}

#[tokio::test]
async fn this_machine_says_the_same_twenty_times() {
    all_alike(&rounds(&Config::default()).await);
}

#[tokio::test]
async fn with_a_tpm_it_still_does() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lab");
    let up = Command::new(lab.join("swtpm-up.sh")).arg(folder.path()).stderr(Stdio::inherit()).output().unwrap();
    if up.status.code() == Some(77) && std::env::var_os("MUSTER_SKIP_LAB").is_some_and(|value| value == "1") {
        // Written past the harness, which keeps `eprintln!` to itself, so that the tally sees it.
        let line = "SKIPPED: with_a_tpm_it_still_does: no software TPM on this machine (MUSTER_SKIP_LAB=1)";
        let _ = writeln!(std::io::stderr(), "{line}");
        return;
    }
    assert!(up.status.success(), "swtpm-up.sh ended with {}; are `swtpm` and `swtpm-tools` installed?", up.status);
    let tcti = String::from_utf8(up.stdout).unwrap().trim().to_owned();
    let config = Config { tpm: Some(tcti), ..Config::default() };

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let target = Target::this_machine(&config, "idle.corp.example".parse().unwrap(), clock);
    let machine = target.observe().await;
    let rounds = rounds(&config).await;
    Command::new(lab.join("swtpm-down.sh")).arg(folder.path()).status().unwrap();

    let tpm = machine.observations.iter().find(|seen| seen.key == ObservationKey::host(Kind::Tpm)).unwrap();
    assert!(matches!(tpm.outcome, Outcome::Observed(_)), "the TPM was really asked: {tpm:?}");
    all_alike(&rounds);
}
