//! The TPM source against real software TPMs, a 2.0 and a 1.2.
//!
//! Needs `swtpm`, `swtpm_setup`, the TPM tools and openssl (Debian packages `swtpm`, `swtpm-tools`, `tpm2-tools` and
//! `openssl`). Without them the tests fail, unless `MUSTER_SKIP_LAB=1` says that this machine has no laboratory.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test on its own thread")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use muster_evidence::{
    EkCertificates, EndorsementKey, Evidence, FailureReason, Outcome, Sha256, Timestamp, Tpm, TpmLockout, TpmVersion,
};
use muster_probe::source::tpm::TpmSource;
use muster_probe::source::{Source, SourceSettings};
use tempfile::TempDir;

/// Whether the laboratory is there; says loudly when it is skipped.
fn laboratory() -> bool {
    let missing: Vec<&str> = ["swtpm", "swtpm_setup", "swtpm_localca", "tpm2_createek", "openssl"]
        .into_iter()
        .filter(|tool| Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err())
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(
        std::env::var_os("MUSTER_SKIP_LAB").is_some_and(|value| value == "1"),
        "{missing:?} not found: install the Debian packages `swtpm`, `swtpm-tools`, `tpm2-tools` and `openssl`, or set \
         MUSTER_SKIP_LAB=1"
    );
    // Written past the harness, which keeps `eprintln!` to itself, so that the tally sees it.
    let test = std::thread::current().name().unwrap_or("sources_tpm").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: no software TPM ({missing:?} not found, MUSTER_SKIP_LAB=1)");
    false
}

/// A running software TPM, ended when dropped.
struct Swtpm {
    process: Child,
    port: u16,
    _state: TempDir,
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Swtpm {
    /// Starts one. `flags` are swtpm's own: `startup-clear` powers the TPM up.
    fn start(version: TpmVersion, flags: &str, state: TempDir) -> Self {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let port = two_free_ports();
            let mut command = Command::new("swtpm");
            command.arg("socket");
            if version == TpmVersion::V2_0 {
                command.arg("--tpm2");
            }
            let mut process = command
                .arg("--tpmstate")
                .arg(format!("dir={}", state.path().display()))
                .arg("--server")
                .arg(format!("type=tcp,bindaddr=127.0.0.1,port={port}"))
                .arg("--ctrl")
                .arg(format!("type=tcp,bindaddr=127.0.0.1,port={}", port + 1))
                .args(["--flags", flags])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Up as soon as it answers; gone when another process took the port in between.
            loop {
                assert!(Instant::now() < deadline, "swtpm did not come up");
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { process, port, _state: state };
                }
                if process.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn new(version: TpmVersion) -> Self {
        Self::start(version, "not-need-init,startup-clear", tempfile::tempdir().unwrap())
    }

    fn look(&self) -> Outcome {
        look(&format!("swtpm:host=127.0.0.1,port={}", self.port))
    }

    fn tpm(&self) -> Tpm {
        match self.look() {
            Outcome::Observed(Evidence::Tpm(tpm)) => tpm,
            other => panic!("{other:?}"),
        }
    }

    /// Runs commands of the TPM tools and others on it, in a folder of their own, and returns what they print.
    fn shell(&self, script: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("bash")
            .args(["-c", &format!("set -o pipefail; {script}")])
            .current_dir(folder.path())
            .env("TPM2TOOLS_TCTI", format!("swtpm:host=127.0.0.1,port={}", self.port))
            .output()
            .unwrap();
        // Objects that stay loaded are in the way of the next command.
        let _ = Command::new("tpm2_flushcontext")
            .arg("-t")
            .env("TPM2TOOLS_TCTI", format!("swtpm:host=127.0.0.1,port={}", self.port))
            .output();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends a raw command and returns the answer's code.
    fn send(&self, command: &[u8]) -> u32 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(command).unwrap();
        let mut header = [0; 10];
        stream.read_exact(&mut header).unwrap();
        u32::from_be_bytes(header[6..].try_into().unwrap())
    }
}

/// The hash in front of what `openssl dgst -r` prints.
fn hash(told: &str) -> Sha256 {
    let digits = told.lines().last().unwrap().split_whitespace().next().unwrap();
    let bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    Sha256(bytes.try_into().unwrap())
}

fn look(tcti: &str) -> Outcome {
    let settings = SourceSettings { tpm_tcti: Some(tcti.to_owned()), ..SourceSettings::default() };
    let now = Timestamp::from_unix_seconds(1_800_000_000).unwrap();
    let mut seen = TpmSource.observe(&settings, now);
    assert_eq!(seen.len(), 1);
    seen.remove(0).outcome
}

/// A port of which the next is free too: swtpm's control channel is expected there.
fn two_free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// Puts endorsement keys with certificates into a new TPM 2.0, issued by a CA that lives in the same folder.
fn with_ek_certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let write = |name: &str, text: String| std::fs::write(at.join(name), text).unwrap();
    write(
        "localca.conf",
        format!(
            "statedir = {0}\nsigningkey = {0}/ca.pem\nissuercert = {0}/ca.crt\ncertserial = {0}/serial\n",
            at.display()
        ),
    );
    write("localca.options", "--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n".to_owned());
    let tool = which("swtpm_localca");
    write(
        "setup.conf",
        format!(
            "create_certs_tool = {tool}\ncreate_certs_tool_config = {0}/localca.conf\n\
             create_certs_tool_options = {0}/localca.options\nactive_pcr_banks = sha256\n",
            at.display()
        ),
    );
    let output = Command::new("swtpm_setup")
        .args(["--tpm2", "--create-ek-cert", "--ecc", "--overwrite", "--tpm-state"])
        .arg(at)
        .arg("--config")
        .arg(at.join("setup.conf"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // What is left of the CA must not be taken for the TPM's state.
    assert!(at.join("tpm2-00.permall").exists());
    folder
}

fn which(tool: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|path: &std::path::PathBuf| Path::exists(path))
        .unwrap()
        .display()
        .to_string()
}

#[test]
fn a_tpm_2_0() {
    if !laboratory() {
        return;
    }
    let swtpm = Swtpm::new(TpmVersion::V2_0);
    let tpm = swtpm.tpm();
    assert_eq!(tpm.version, TpmVersion::V2_0);
    assert_eq!(tpm.manufacturer.unwrap().as_str(), "IBM");
    let firmware = tpm.firmware.unwrap();
    assert_eq!(firmware.as_str().split('.').count(), 4, "{firmware}");
    assert_eq!(
        tpm.lockout,
        Some(TpmLockout { locked: false, max_failures: 3, recovery_seconds: 1000, failures: Some(0) })
    );
    assert_eq!(tpm.ek_certificates, Some(EkCertificates::default()), "looked, and there are none");
    assert_eq!(tpm.fips_mode, Some(false));
    assert_eq!(tpm.endorsement_key, Some(EndorsementKey::NotShown), "looked, and there is none");
}

#[test]
fn endorsement_certificates_are_seen() {
    if !laboratory() {
        return;
    }
    let swtpm = Swtpm::start(TpmVersion::V2_0, "not-need-init,startup-clear", with_ek_certificates());
    let expected = EkCertificates { rsa_2048: true, ecc_p256: false, ecc_p384: true };
    let tpm = swtpm.tpm();
    assert_eq!(tpm.ek_certificates, Some(expected));
    // The certificate as other tools read it, and its key as they hash it.
    let spki = swtpm.shell(
        "tpm2_nvread -C o 0x01c00002 2>/dev/null | openssl x509 -inform der -noout -pubkey \
         | openssl pkey -pubin -outform der | openssl dgst -sha256 -r",
    );
    assert_eq!(tpm.endorsement_key, Some(EndorsementKey::SpkiSha256(hash(&spki))));
    assert_eq!(swtpm.tpm().endorsement_key, tpm.endorsement_key, "the same at every look");
}

#[test]
fn an_endorsement_key_without_a_certificate_is_read_where_it_is_kept() {
    if !laboratory() {
        return;
    }
    for kind in ["rsa", "ecc"] {
        let swtpm = Swtpm::new(TpmVersion::V2_0);
        let told = swtpm.shell(&format!(
            "tpm2_createek -G {kind} -c 0x81010001 -u ek.pem -f pem && openssl pkey -pubin -in ek.pem -outform der \
             | openssl dgst -sha256 -r"
        ));
        assert_eq!(swtpm.tpm().endorsement_key, Some(EndorsementKey::SpkiSha256(hash(&told))), "{kind}");
    }
    // Whatever else lies at the handle is no endorsement key.
    let swtpm = Swtpm::new(TpmVersion::V2_0);
    swtpm.shell(
        "tpm2_createprimary -Q -C e -G rsa2048 -c key.ctx -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign' \
         && tpm2_evictcontrol -Q -C o -c key.ctx 0x81010001",
    );
    assert_eq!(swtpm.tpm().endorsement_key, Some(EndorsementKey::NotShown));
}

#[test]
fn a_certificate_that_cannot_be_read_lets_no_other_key_take_its_place() {
    if !laboratory() {
        return;
    }
    let swtpm = Swtpm::new(TpmVersion::V2_0);
    swtpm.shell(
        "tpm2_createek -G rsa -c 0x81010001 -u ek.pem -f pem && head -c 300 /dev/zero > none \
         && tpm2_nvdefine -Q 0x01c0000a -C o -s 300 -a 'ownerwrite|ownerread|authread' \
         && tpm2_nvwrite -Q 0x01c0000a -C o -i none",
    );
    match swtpm.tpm().endorsement_key {
        Some(EndorsementKey::Unreadable(why)) => {
            assert!(why.as_str().starts_with("NV index 0x01C0000A: 300 bytes are no certificate"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_evidence_changes_with_the_settings_and_not_by_itself() {
    if !laboratory() {
        return;
    }
    let swtpm = Swtpm::new(TpmVersion::V2_0);
    let first = swtpm.tpm();
    assert_eq!(swtpm.tpm(), first);

    // TPM2_DictionaryAttackParameters (TPM 2.0 Library, Part 3, section 25.3) by the lockout hierarchy with its empty
    // password: five failures, forgotten after 100 s.
    let parameters = |max_failures: u8| {
        let mut command = vec![0x80, 0x02, 0, 0, 0, 39, 0, 0, 0x01, 0x3A, 0x40, 0, 0, 0x0A];
        command.extend([0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0]);
        command.extend([0, 0, 0, max_failures, 0, 0, 0, 100, 0, 0, 0, 200]);
        command
    };
    assert_eq!(swtpm.send(&parameters(5)), 0);
    assert_eq!(
        swtpm.tpm().lockout,
        Some(TpmLockout { locked: false, max_failures: 5, recovery_seconds: 100, failures: Some(0) })
    );
    // No failure is allowed: the TPM is in lockout at once.
    assert_eq!(swtpm.send(&parameters(0)), 0);
    assert_eq!(
        swtpm.tpm().lockout,
        Some(TpmLockout { locked: true, max_failures: 0, recovery_seconds: 100, failures: Some(0) })
    );
}

#[test]
fn a_tpm_1_2_is_told_from_a_failing_2_0() {
    if !laboratory() {
        return;
    }
    let swtpm = Swtpm::new(TpmVersion::V1_2);
    let tpm = swtpm.tpm();
    assert_eq!(tpm.version, TpmVersion::V1_2);
    assert_eq!(tpm.manufacturer.unwrap().as_str(), "IBM");
    assert!(tpm.firmware.is_some());
    assert_eq!((tpm.lockout, tpm.ek_certificates, tpm.fips_mode), (None, None, None));
    assert_eq!(tpm.endorsement_key, None, "nobody looked");
}

#[test]
fn a_tpm_that_is_not_started_up_still_has_a_version() {
    if !laboratory() {
        return;
    }
    for version in [TpmVersion::V2_0, TpmVersion::V1_2] {
        let swtpm = Swtpm::start(version, "not-need-init", tempfile::tempdir().unwrap());
        assert_eq!(swtpm.tpm().version, version);
    }
}

#[test]
fn a_tpm_that_another_process_holds_is_a_failure() {
    if !laboratory() {
        return;
    }
    let swtpm = Swtpm::new(TpmVersion::V2_0);
    // swtpm serves one connection at a time.
    let mut holder = TcpStream::connect(("127.0.0.1", swtpm.port)).unwrap();
    holder.write_all(&[0x80]).unwrap();
    match swtpm.look() {
        Outcome::Failed(failure) => assert_eq!(failure.reason, FailureReason::TimedOut, "{}", failure.detail),
        other => panic!("{other:?}"),
    }
}
