//! The other commands, and how wrong usage and settings are answered.

use std::fs;

use serde_json::Value;

use super::{fixtures, golden, run, run_with_input};

#[test]
fn wrong_usage_ends_with_64_and_help_with_0() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["chekc"][..], &[], &["check", "--as-of", "yesterday"], &["inspect"], &["check", "--colour"]] {
        let said = run(folder.path(), arguments);
        assert_eq!(said.code, 64, "{arguments:?}: {}", said.err);
        assert!(!said.err.is_empty() && said.out.is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["check", "--help"], &["--version"]] {
        let said = run(folder.path(), arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
        assert!(said.out.contains("muster-probe"), "{}", said.out);
    }
}

#[test]
fn broken_settings_end_with_64_and_name_every_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("probe.toml"),
        "colector = \"collector.corp.example:8443\"\nreport.interval = \"15\"\nsite = \"\"\n",
    )
    .unwrap();
    for command in ["check", "once", "run", "config"] {
        let said = run(folder.path(), &[command, "--config", "probe.toml"]);
        assert_eq!(said.code, 64, "{command}: {}", said.err);
        assert_eq!(said.out, "", "{command}");
        golden("broken-settings.txt", &said.err);
    }
    fs::write(folder.path().join("probe.toml"), "site = \"HQ\"\ncollector = [\"a:1\"\n\nforest = \"x\"\n").unwrap();
    let said = run(folder.path(), &["config", "--config", "probe.toml"]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("line "), "{}", said.err);
    let said = run(folder.path(), &["config", "--config", "nowhere.toml"]);
    assert_eq!(said.code, 64);
    assert!(said.err.starts_with("muster-probe: failed to read settings `nowhere.toml`: "), "{}", said.err);
    // What needs no settings works with broken ones.
    fs::write(folder.path().join("probe.toml"), "= broken").unwrap();
    assert_eq!(run(folder.path(), &["checks", "--config", "probe.toml"]).code, 0);
}

#[test]
fn reporting_without_a_collector_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("probe.toml"), "collector = \"collector.corp.example:8443\"\n").unwrap();
    for command in ["once", "run"] {
        let said = run(folder.path(), &[command]);
        assert_eq!(said.code, 64, "{}", said.err);
        assert_eq!(
            said.err,
            "muster-probe: reporting needs settings that are not there: `identity.certificate`, `identity.key`, \
             `identity.collector_ca`\n"
        );
    }
}

#[test]
fn settings_are_shown_with_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("probe.toml"), "site = \"HQ\"\n\n[report]\ninterval = \"5m\"\n").unwrap();
    let said = run(folder.path(), &["config", "--config", "probe.toml", "--log-format", "json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    golden("config.txt", &said.out);
}

#[test]
fn inputs_are_inspected_from_files_and_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = fixtures().join("certificate/dc-good.pem");
    let certificate = certificate.to_str().unwrap();
    let said = run(folder.path(), &["inspect", "certificate", certificate]);
    assert_eq!(said.code, 0, "{}", said.err);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["kind"], "certificate");

    let bytes = fs::read(certificate).unwrap();
    let piped = run_with_input(folder.path(), &["inspect", "certificate", "-"], &bytes);
    assert_eq!((piped.code, piped.out), (0, said.out.clone()));
    let found = run_with_input(folder.path(), &["inspect", "auto", "-"], &bytes);
    assert_eq!((found.code, found.out), (0, said.out), "found out by itself");

    let status = fs::read(fixtures().join("captures/ready-endpoint/dsregcmd.txt")).unwrap();
    let said = run_with_input(folder.path(), &["inspect", "auto", "-"], &status);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &document["kind"]), (0, &Value::from("dsregcmd")));
    for (file, kind) in [("ver.txt", "windows-version"), ("tpmtool.txt", "tpmtool")] {
        let bytes = fs::read(fixtures().join("captures/ready-endpoint").join(file)).unwrap();
        for asked in [kind, "auto"] {
            let said = run_with_input(folder.path(), &["inspect", asked, "-"], &bytes);
            let document: Value = serde_json::from_str(&said.out).unwrap();
            assert_eq!((said.code, &document["kind"]), (0, &Value::from(kind)), "{asked}");
        }
    }
    let captured = run_with_input(folder.path(), &["inspect", "certificates", "-"], &fs::read(certificate).unwrap());
    assert_eq!(captured.code, 0, "a name in captures: {}", captured.err);
    let help = run(folder.path(), &["inspect", "--help"]).out;
    for name in ["windows-version", "tpmtool", "certificates", "key-credentials", "auto"] {
        assert!(help.contains(name), "{name}: {help}");
    }
    let keys = fs::read(fixtures().join("captures/directory/keys-ada.txt")).unwrap();
    let said = run_with_input(folder.path(), &["inspect", "auto", "-"], &keys);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &document["kind"]), (0, &Value::from("key-credential")));
}

#[test]
fn what_cannot_be_inspected_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = run_with_input(folder.path(), &["inspect", "dsregcm", "-"], b"");
    assert_eq!(said.code, 64);
    assert!(said.err.contains("(did you mean `dsregcmd`?)"), "{}", said.err);
    let said = run_with_input(folder.path(), &["inspect", "certificate", "-"], b"no certificate");
    assert_eq!(said.code, 65);
    assert!(said.err.starts_with("muster-probe: standard input is not `certificate`: "), "{}", said.err);
    let said = run_with_input(folder.path(), &["inspect", "auto", "-"], &[0xFF; 64]);
    assert_eq!(said.code, 65);
    assert!(said.err.contains("none of the known kinds"), "{}", said.err);
    let said = run(folder.path(), &["inspect", "dsregcmd", "nowhere.txt"]);
    assert_eq!(said.code, 66);
    assert!(said.err.contains("`nowhere.txt`"), "{}", said.err);
}

#[test]
fn checks_are_listed_and_their_pages_printed() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["checks"]);
    assert_eq!(said.code, 0);
    golden("checks.txt", &said.out);
    let page = run(folder.path(), &["checks", "dc.cert-eku"]);
    let shipped = fixtures().join("../../docs/checks/dc.cert-eku.md");
    assert_eq!((page.code, page.out), (0, fs::read_to_string(shipped).unwrap()));
    let said = run(folder.path(), &["checks", "dc.cert-ekus"]);
    assert_eq!((said.code, said.out.as_str()), (64, ""));
    let said = run(folder.path(), &["checks", "--markdown", "pages"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(folder.path().join("pages/README.md").exists() && folder.path().join("pages/tpm.present.md").exists());
}
