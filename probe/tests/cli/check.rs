//! `check`: what it says of machines with known fates, and how it ends.

use serde_json::Value;

use super::{captures, fixtures, golden, run};

/// Replaces what differs from run to run: the folder, ages in days, thumbprints, and the dates of files.
fn normalised(text: &str, folder: &std::path::Path) -> String {
    let real = folder.canonicalize().unwrap();
    let text = text.replace(&real.display().to_string(), "FOLDER").replace(&folder.display().to_string(), "FOLDER");
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for at in 0..words.len() {
            let days = words.get(at + 1).is_some_and(|next| next.starts_with("days"));
            let number = words[at].trim_start_matches('(');
            if days && number.parse::<u64>().is_ok() {
                words[at] = words[at].replace(number, "N");
            }
            let bare = words[at].trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let length = if words[at].contains('…') { 8 } else { 40 };
            if bare.len() == length && bare.bytes().all(|b| b.is_ascii_hexdigit()) {
                words[at] = words[at].replace(bare, "THUMBPRINT");
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n") + "\n"
}

#[test]
fn machines_with_different_fates_in_one_folder() {
    let folder = captures(&["ready-endpoint", "no-tpm-endpoint", "directory", "dc-good", "dc-no-kdc-eku"]);
    let said = run(folder.path(), &["check", "--captures", "captures"]);
    golden("check-captures.txt", &normalised(&said.out, folder.path()));
    assert_eq!(said.err, "");
}

#[test]
fn a_policy_file_decides_what_blocks() {
    let folder = captures(&["no-tpm-endpoint"]);
    let judge = |policy: &str| {
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        run(folder.path(), &["check", "--captures", "captures", "--policy", "policy.toml"])
    };
    let default = judge("");
    let strict = judge("required_security_device = true\n");
    assert_ne!(default.out, strict.out);
    assert!(strict.out.contains("since the policy demands a security device"), "{}", strict.out);
    assert!(!default.out.contains("since the policy demands"), "{}", default.out);
    let wrong = judge("required_security_devise = true\nrsa_bits_least = 1\n");
    assert_eq!(wrong.code, 64);
    assert!(wrong.err.contains("did you mean `required_security_device`?"), "{}", wrong.err);
    assert!(wrong.err.contains("invalid `rsa_bits_least`: 1 (expected 1024 to 16384)"), "{}", wrong.err);
    let missing = run(folder.path(), &["check", "--captures", "captures", "--policy", "nowhere.toml"]);
    assert_eq!((missing.code, missing.out.as_str()), (66, ""));
}

#[test]
fn one_capture_told_in_full() {
    let folder = captures(&["no-tpm-endpoint"]);
    let said = run(folder.path(), &["check", "--captures", "captures", "--verbose"]);
    golden("check-verbose.txt", &normalised(&said.out, folder.path()));
}

#[test]
fn a_capture_judged_today_is_too_old_to_say_anything() {
    let folder = captures(&["no-tpm-endpoint"]);
    let said = run(folder.path(), &["check", "--captures", "captures", "--as-of", "2026-12-24T00:00:00Z"]);
    golden("check-as-of.txt", &normalised(&said.out, folder.path()));
    assert_eq!(said.code, 3);
    let today = run(folder.path(), &["check", "--captures", "captures", "--as-of", "now"]);
    assert_eq!(today.code, 3, "{}", today.out);
}

#[test]
fn files_of_different_days_are_told_as_such() {
    let folder = captures(&["domain-only-endpoint"]);
    let at = folder.path().join("captures/domain-only-endpoint");
    // Seconds since 1970: 2 March 2026 at 08:00 UTC, and two days before it.
    for (file, seconds) in [("dsregcmd.txt", 1_772_265_600), ("tpmtool.txt", 1_772_438_400), ("ver.txt", 1_772_438_400)]
    {
        let file = std::fs::File::options().write(true).open(at.join(file)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
    }
    let said = run(folder.path(), &["check", "--captures", "captures"]);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "captured between 2026-02-28 08:00 UTC and 2026-03-02 08:00 UTC (by the files' own times)";
    assert!(words.contains(told), "{}", said.out);
}

#[test]
fn one_check_explained() {
    let folder = captures(&["no-tpm-endpoint"]);
    let said = run(folder.path(), &["check", "--captures", "captures", "--explain", "tpm.present"]);
    golden("check-explain.txt", &normalised(&said.out, folder.path()));
    let said = run(folder.path(), &["check", "--explain", "tpm.presnt"]);
    assert_eq!(said.code, 64);
    assert_eq!(said.err, "muster-probe: unknown check `tpm.presnt` (did you mean `tpm.present`?)\n");
}

/// A folder with the capture of a controller that lacks nothing: its certificate is a checked-in one, valid for long.
fn good_controller() -> tempfile::TempDir {
    let folder = captures(&["dc-good"]);
    let at = folder.path().join("captures/dc-good");
    let certificates = fixtures().join("certificate");
    std::fs::copy(certificates.join("dc-good.pem"), at.join("certificates/dc.pem")).unwrap();
    std::fs::copy(certificates.join("root.pem"), at.join("roots/root.pem")).unwrap();
    std::fs::copy(certificates.join("issuing.pem"), at.join("issuing.pem")).unwrap();
    let manifest = std::fs::read_to_string(at.join("capture.toml")).unwrap();
    let manifest = manifest.replace("dc1.corp", "dc01.corp").replace("2026-03-02T09:00:00Z", "2026-11-22T18:40:00Z");
    std::fs::write(at.join("capture.toml"), manifest).unwrap();
    folder
}

/// A policy that requires no more checks than these captures can answer.
const NARROW: &str = r#"required_checks = [
    "tpm.present", "os.client-build", "join.type", "join.device-auth", "prt.present", "prereq.ngc", "dc.cert-present",
    "dc.cert-eku", "dc.cert-san", "dc.cert-key", "dc.cert-validity", "dc.cert-chain", "sync.key-state",
]
"#;

#[test]
fn the_exit_code_is_the_worst_verdict() {
    let check = |folder: &std::path::Path, code: i32, more: &[&str]| {
        std::fs::write(folder.join("narrow.toml"), NARROW).unwrap();
        let arguments = [&["check", "--captures", "captures", "--policy", "narrow.toml"], more].concat();
        let said = run(folder, &arguments);
        assert_eq!(said.code, code, "{}{}", said.out, said.err);
        let said = run(folder, &[arguments.as_slice(), &["--format", "json"]].concat());
        let document: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((said.code, &document["exit_code"]), (code, &Value::from(code)));
    };
    check(good_controller().path(), 0, &[]);
    for (names, code) in [
        (["no-tpm-endpoint"].as_slice(), 1),
        (["domain-only-endpoint"].as_slice(), 2),
        (["dc-no-kdc-eku"].as_slice(), 2),
        // A user whose key was registered, and nobody who read the directory.
        (["ready-endpoint"].as_slice(), 3),
        (["ready-endpoint", "no-tpm-endpoint"].as_slice(), 3),
        (["ready-endpoint", "domain-only-endpoint"].as_slice(), 2),
        // Nobody to judge.
        (["directory"].as_slice(), 3),
    ] {
        check(captures(names).path(), code, &[]);
    }
    // The certificate names the controller and not the domain: what that means depends on whom it serves.
    let folder = captures(&["dc-good"]);
    check(folder.path(), 3, &[]);
    check(folder.path(), 2, &["--entra-joined", "yes"]);
    check(folder.path(), 1, &["--entra-joined", "no"]);
}

#[test]
fn broken_captures_are_named_and_count_as_unknown() {
    let folder = good_controller();
    std::fs::create_dir(folder.path().join("captures/broken")).unwrap();
    std::fs::write(folder.path().join("captures/broken/dsregcmd.txt"), "nothing of the kind").unwrap();
    std::fs::write(folder.path().join("narrow.toml"), NARROW).unwrap();
    let said = run(folder.path(), &["check", "--captures", "captures", "--policy", "narrow.toml"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.err.contains("captures/broken"), "{}", said.err);
    assert!(said.out.contains("dc01.corp.example: READY"), "the good one is still judged:\n{}", said.out);
    let said = run(folder.path(), &["check", "--captures", "captures", "--format", "json"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["standing"], "unknown");
    assert_eq!(document["problems"].as_array().unwrap().len(), said.err.lines().count());

    let said = run(folder.path(), &["check", "--captures", "nowhere"]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("`nowhere`"), "{}", said.err);
}

#[test]
fn the_document_has_the_documented_fields() {
    let folder = captures(&["no-tpm-endpoint", "directory"]);
    let said = run(folder.path(), &["check", "--captures", "captures", "--format", "json"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/check-json.md"))
        .unwrap();
    let mut names = std::collections::BTreeSet::new();
    fields(&document, &mut names);
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/check-json.md does not describe `{name}`");
    }
    let machine = &document["machines"][0];
    assert_eq!(machine["host"], "pc-0418.corp.example");
    assert_eq!(machine["origin"], "capture");
    assert_eq!(machine["observed_at"], "2026-03-02T09:00:00Z");
    let tpm = machine["checks"].as_array().unwrap().iter().find(|check| check["check"] == "tpm.present").unwrap();
    assert_eq!(tpm["standing"], "advisory");
    assert_eq!(tpm["subject"]["kind"], "host");
}

fn fields(value: &Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                names.insert(name.clone());
                fields(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_controller_is_judged_by_its_exported_certificate() {
    let folder = captures(&["dc-good", "dc-no-kdc-eku"]);
    let judge = |capture: &str, host: &str| {
        let at = format!("captures/{capture}");
        run(
            folder.path(),
            &[
                "check",
                "--host",
                host,
                "--certificates",
                &format!("{at}/certificates"),
                "--anchors",
                &format!("{at}/roots"),
                "--intermediates",
                &format!("{at}/issuing.pem"),
            ],
        )
    };
    let said = judge("dc-no-kdc-eku", "dc2.corp.example");
    assert!(said.out.starts_with("dc2.corp.example: BLOCKED"), "{}", said.out);
    assert!(said.out.contains("KDC Authentication"), "{}", said.out);
    let said = judge("dc-good", "dc1.corp.example");
    assert!(said.out.contains("dc.cert-chain") && !said.out.contains("dc.cert-present\n"), "{}", said.out);

    let said = run(folder.path(), &["check", "--certificates", "captures/dc-good/certificates"]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("--certificates needs --host NAME"), "{}", said.err);
    let said = run(folder.path(), &["check", "--dc", "192.0.2.1"]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("full name"), "{}", said.err);
}

#[test]
fn a_controller_that_does_not_answer_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was just free: nobody listens on it. The name is this machine's own.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = run(folder.path(), &["check", "--dc", &format!("localhost.localdomain:{port}")]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.out.contains("UNKNOWN"), "{}", said.out);
}

#[test]
fn this_machine_is_judged_without_settings() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["check", "--host", "here.corp.example"]);
    assert!((0..=3).contains(&said.code), "{}: {}", said.code, said.err);
    assert!(said.out.starts_with("here.corp.example: "), "{}", said.out);
    assert!(said.out.contains("judged live"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "no colour into a pipe");
}

#[test]
fn every_line_fits_its_width() {
    let folder = captures(&["ready-endpoint", "no-tpm-endpoint", "directory", "dc-good", "dc-no-kdc-eku"]);
    let said = run(folder.path(), &["check", "--captures", "captures", "--verbose"]);
    for line in said.out.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(fixtures().exists());
}
