//! The built program, as people and scripts meet it: its texts, its documents and its exit codes.
//!
//! Texts are compared with the files in `tests/golden`; `MUSTER_REGENERATE=1` rewrites them. A change of them is read
//! in review as the sentences an administrator will read.
#![expect(clippy::unwrap_used, reason = "tests")]

mod check;
mod program;
mod report;

#[path = "../pki/mod.rs"]
mod pki;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pki::Pki;
use tempfile::TempDir;

/// What the program said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program in a folder, without the settings of the machine the test runs on.
fn probe(folder: &Path, arguments: &[&str]) -> Command {
    let config = folder.join("probe.toml");
    if !config.exists() {
        fs::write(&config, "").unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster-probe"));
    command.current_dir(folder).args(arguments).env_remove("MUSTER_LOG").stdin(Stdio::null());
    if !arguments.contains(&"--config") {
        command.arg("--config").arg(config);
    }
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Said {
    probe(folder, arguments).output().unwrap().into()
}

fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Said {
    let mut child =
        probe(folder, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

/// Compares a text with its golden file.
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        fs::write(&path, found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "tests/golden/{name} says otherwise (MUSTER_REGENERATE=1 rewrites it); found:\n{found}\nwanted:\n{wanted}"
    );
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Some of the checked-in captures in a folder `captures`, with certificates that are valid now.
fn captures(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    for name in names {
        let at = folder.path().join("captures").join(name);
        copy(&fixtures().join("captures").join(name), &at);
        let (fqdn, with_kdc) = match *name {
            "dc-good" => ("dc1.corp.example", true),
            "dc-no-kdc-eku" => ("dc2.corp.example", false),
            _ => continue,
        };
        fs::create_dir_all(at.join("roots")).unwrap();
        fs::create_dir_all(at.join("certificates")).unwrap();
        fs::write(at.join("roots/root.pem"), pki.root.pem()).unwrap();
        fs::write(at.join("issuing.pem"), pki.issuing.pem()).unwrap();
        fs::write(at.join("certificates/dc.pem"), pki.controller(fqdn, with_kdc).certificate.pem()).unwrap();
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(|_| ()).unwrap() }
    }
}
