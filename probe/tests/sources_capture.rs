//! Captures: the checked-in ones of every shape, and broken ones of every kind.
#![expect(clippy::unwrap_used, reason = "tests")]

mod pki;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use muster_evidence::{
    Certificate, ChainStatus, Context, Evidence, ExtendedKeyUsage, FailureReason, JoinKind, Kind, Observation,
    ObservationKey, Origin, Outcome, ProductType, Role, Sid, Subject, Timestamp, TpmVersion, Tristate,
};
use muster_probe::capture::{self, CaptureSet, CapturedMachine};
use pki::Pki;
use tempfile::TempDir;

const ADA: &str = "S-1-5-21-397955417-626881126-188441444-1104";
const BEN: &str = "S-1-5-21-397955417-626881126-188441444-1105";

fn now() -> Timestamp {
    "2026-03-03T00:00:00Z".parse().unwrap()
}

fn load(dir: &Path) -> CaptureSet {
    capture::load(dir, now())
}

fn problems(set: &CaptureSet) -> Vec<String> {
    set.problems.iter().map(ToString::to_string).collect()
}

/// A copy of the checked-in captures, with certificates that are valid now.
fn fixtures() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures"), folder.path());
    let pki = Pki::new();
    for (name, fqdn, with_kdc) in [("dc-good", "dc1.corp.example", true), ("dc-no-kdc-eku", "dc2.corp.example", false)]
    {
        let at = folder.path().join(name);
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

fn machine<'a>(set: &'a CaptureSet, name: &str) -> &'a CapturedMachine {
    set.machines.iter().find(|machine| machine.identity.name.as_str() == name).unwrap_or_else(|| {
        panic!(
            "{name} is not among {:?}",
            set.machines.iter().map(|machine| &machine.identity.name).collect::<Vec<_>>()
        )
    })
}

fn observation<'a>(machine: &'a CapturedMachine, key: &ObservationKey) -> Option<&'a Observation> {
    machine.observations.iter().find(|observation| observation.key == *key)
}

fn outcome(machine: &CapturedMachine, kind: Kind) -> &Outcome {
    &observation(machine, &ObservationKey::host(kind)).unwrap_or_else(|| panic!("no {kind}")).outcome
}

fn user_outcome<'a>(machine: &'a CapturedMachine, kind: Kind, sid: &str) -> &'a Outcome {
    let key = ObservationKey::user(kind, sid.parse().unwrap());
    &observation(machine, &key).unwrap_or_else(|| panic!("no {key}")).outcome
}

#[test]
fn the_checked_in_captures_load_whole() {
    let folder = fixtures();
    let set = load(folder.path());
    assert_eq!(problems(&set), Vec::<String>::new());
    let names: Vec<&str> = set.machines.iter().map(|machine| machine.identity.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "dc1.corp.example",
            "dc2.corp.example",
            "pc-0417.corp.example",
            "pc-0418.corp.example",
            "pc-0433.corp.example",
            "reader.corp.example"
        ]
    );
    for machine in &set.machines {
        assert!(machine.observations.iter().all(|seen| seen.origin == Origin::Capture));
    }
}

#[test]
fn a_ready_endpoint() {
    let folder = fixtures();
    let set = load(folder.path());
    let machine = machine(&set, "pc-0417.corp.example");
    assert_eq!(machine.roles, [Role::Endpoint]);
    assert_eq!(machine.identity.site.as_ref().unwrap().as_str(), "HQ");
    assert_eq!(machine.identity.forest.as_ref().unwrap().as_str(), "corp.example");
    assert_eq!(machine.identity.device_id.unwrap().to_string(), "0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60");
    assert_eq!(machine.captured_at.to_string(), "2026-03-02T08:20:00Z");
    assert!(!machine.captured_at_assumed);
    assert_eq!(machine.users.len(), 1);

    match outcome(machine, Kind::OperatingSystem) {
        Outcome::Observed(Evidence::OperatingSystem(system)) => {
            assert_eq!((system.build, system.revision), (Some(26100), Some(6725)));
            assert_eq!(system.product_type, Some(ProductType::Workstation));
            assert_eq!(system.name.as_str(), "Windows 11 Enterprise");
        }
        other => panic!("{other:?}"),
    }
    match outcome(machine, Kind::Tpm) {
        Outcome::Observed(Evidence::Tpm(tpm)) => {
            assert_eq!(tpm.version, TpmVersion::V2_0);
            assert!(!tpm.lockout.unwrap().locked);
        }
        other => panic!("{other:?}"),
    }
    match outcome(machine, Kind::JoinState) {
        Outcome::Observed(Evidence::JoinState(join)) => assert_eq!(join.kind(), JoinKind::Hybrid),
        other => panic!("{other:?}"),
    }
    match user_outcome(machine, Kind::Ngc, ADA) {
        Outcome::Observed(Evidence::Ngc(ngc)) => assert_eq!(ngc.set, Tristate::Yes),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        user_outcome(machine, Kind::KeyRegistration, ADA),
        Outcome::Observed(Evidence::KeyRegistration(registration))
            if registration.registered_at.to_string() == "2026-03-01T08:14:05Z"
    ));
    let prt = ObservationKey::user(Kind::Prt, ADA.parse().unwrap());
    let prt = observation(machine, &prt).unwrap();
    assert_eq!(prt.context, Context::UserSession);
    assert_eq!(prt.observed_at.to_string(), "2026-03-02T08:14:07Z", "the file's own time");
}

#[test]
fn an_endpoint_known_by_content_only() {
    let folder = fixtures();
    let set = load(folder.path());
    let machine = machine(&set, "pc-0418.corp.example");
    assert_eq!(outcome(machine, Kind::Tpm), &Outcome::Absent, "no TPM is a fact");
    assert!(matches!(
        user_outcome(machine, Kind::NgcPrerequisites, BEN),
        Outcome::Observed(Evidence::NgcPrerequisites(_))
    ));
    assert!(matches!(
        outcome(machine, Kind::OperatingSystem),
        Outcome::Observed(Evidence::OperatingSystem(system)) if system.build == Some(22631)
    ));
}

#[test]
fn an_endpoint_without_a_manifest() {
    let folder = fixtures();
    let set = load(folder.path());
    let machine = machine(&set, "pc-0433.corp.example");
    assert!(machine.captured_at_assumed);
    assert!(matches!(
        outcome(machine, Kind::JoinState),
        Outcome::Observed(Evidence::JoinState(join)) if join.kind() == JoinKind::DomainOnly
    ));
    assert!(matches!(
        outcome(machine, Kind::Tpm),
        Outcome::Observed(Evidence::Tpm(tpm)) if tpm.version == TpmVersion::V1_2
    ));
    // Whoever took it is not known by a SID, so what it says of a user stands under none.
    assert!(machine.users.iter().all(|user| user.sid.is_unknown()));
}

fn modified(path: &Path, at: &str) {
    let at: Timestamp = at.parse().unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(at.unix_ms().unsigned_abs());
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn every_file_keeps_its_own_time() {
    const CERTIFICATES: &str = "2026-02-28T08:00:00Z";
    const VERSION: &str = "2026-03-02T08:00:00Z";
    let captures = fixtures();
    let folder = captures.path().join("dc-good");
    let manifest = folder.join("capture.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let without: String =
        text.lines().filter(|line| !line.starts_with("captured_at")).fold(String::new(), |all, line| all + line + "\n");
    assert_ne!(without.lines().count(), text.lines().count(), "the manifest says when: {text}");
    fs::write(&manifest, &without).unwrap();
    modified(&manifest, "2026-03-02T23:00:00Z");
    modified(&folder.join("certificates/dc.pem"), CERTIFICATES);
    modified(&folder.join("ver.txt"), VERSION);

    let set = load(&folder);
    let [machine] = &set.machines[..] else { panic!("{:?}", set.problems) };
    assert_eq!(machine.captured_at.to_string(), VERSION, "the newest file; a manifest is written later");
    assert!(machine.captured_at_assumed);
    let times = |kind| -> BTreeSet<String> {
        let seen = machine.observations.iter().filter(|seen| seen.key.kind == kind);
        seen.map(|seen| seen.observed_at.to_string()).collect()
    };
    for (kind, time) in [
        (Kind::Certificate, CERTIFICATES),
        (Kind::CertificateListing, CERTIFICATES),
        (Kind::OperatingSystem, VERSION),
        (Kind::DomainController, VERSION),
    ] {
        assert_eq!(times(kind), BTreeSet::from([time.to_owned()]), "{kind}");
    }

    // The manifest's word goes before the files' times.
    fs::write(&manifest, text).unwrap();
    let set = load(&folder);
    let told = set.machines[0].captured_at;
    assert!(set.machines[0].observations.iter().all(|seen| seen.observed_at == told), "{:?}", set.machines[0]);
}

#[test]
fn certificates_of_several_files_keep_their_times_and_their_listing_the_oldest() {
    const OLD: &str = "2026-02-28T08:00:00Z";
    const NEW: &str = "2026-03-02T08:00:00Z";
    let captures = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    for (name, content, time) in [("0.pem", pki.root.pem(), OLD), ("1.pem", pki.issuing.pem(), NEW)] {
        let path = captures.path().join(name);
        fs::write(&path, content).unwrap();
        modified(&path, time);
    }
    fs::write(captures.path().join("capture.toml"), "host = \"dc1\"\n").unwrap();
    let set = load(captures.path());
    let seen = &set.machines[0].observations;
    let mut times: Vec<(Kind, String)> =
        seen.iter().map(|seen| (seen.key.kind, seen.observed_at.to_string())).collect();
    times.sort();
    assert_eq!(
        times,
        [
            (Kind::Certificate, OLD.to_owned()),
            (Kind::Certificate, NEW.to_owned()),
            (Kind::CertificateListing, OLD.to_owned())
        ]
        .into_iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>(),
    );
}

fn certificates(machine: &CapturedMachine) -> Vec<&Certificate> {
    machine
        .observations
        .iter()
        .filter_map(|seen| match &seen.outcome {
            Outcome::Observed(Evidence::Certificate(certificate)) => Some(certificate.as_ref()),
            _ => None,
        })
        .collect()
}

#[test]
fn domain_controllers() {
    let folder = fixtures();
    let set = load(folder.path());
    for (name, has_kdc, site) in [("dc1.corp.example", true, "HQ"), ("dc2.corp.example", false, "BRANCH")] {
        let machine = machine(&set, name);
        assert_eq!(machine.roles, [Role::DomainController]);
        assert!(machine.users.is_empty());
        match outcome(machine, Kind::DomainController) {
            Outcome::Observed(Evidence::DomainController(controller)) => {
                assert_eq!(controller.fqdn.as_str(), name);
                assert_eq!(controller.domain_netbios.as_ref().unwrap().as_str(), "CORP");
                assert_eq!(controller.site.as_ref().unwrap().as_str(), site);
            }
            other => panic!("{other:?}"),
        }
        match outcome(machine, Kind::OperatingSystem) {
            Outcome::Observed(Evidence::OperatingSystem(system)) => {
                assert_eq!(system.product_type, Some(ProductType::DomainController));
            }
            other => panic!("{other:?}"),
        }
        match outcome(machine, Kind::CertificateListing) {
            Outcome::Observed(Evidence::CertificateListing(listing)) => {
                assert_eq!((listing.certificates.len(), listing.unreadable), (1, 0));
            }
            other => panic!("{other:?}"),
        }
        let [certificate] = certificates(machine)[..] else { panic!("one certificate") };
        let usages = certificate.extended_key_usages.as_ref().unwrap();
        assert_eq!(usages.iter().any(|usage| usage.oid() == ExtendedKeyUsage::KDC_AUTH), has_kdc);
        assert!(matches!(&certificate.chain, ChainStatus::Trusted { .. }), "{:?}", certificate.chain);
    }
}

#[test]
fn keys_of_the_directory() {
    let folder = fixtures();
    let set = load(folder.path());
    let machine = machine(&set, "reader.corp.example");
    assert_eq!(machine.roles, [Role::Directory]);
    let [part] = &machine.inventory[..] else { panic!("{:?}", machine.inventory) };
    assert_eq!(
        (part.source.as_str(), part.cursor, part.complete, part.canary_seen),
        ("key-credentials", 1, true, true)
    );
    assert_eq!(part.as_of.to_string(), "2026-03-02T09:00:00Z");
    let sids: Vec<&str> = machine.directory_keys().map(|keys| keys.sid.as_str()).collect();
    assert_eq!(sids, [ADA, BEN]);
    assert!(machine.directory_keys().all(|keys| !keys.keys.is_empty() && keys.undecodable == 0));
}

#[test]
fn one_folder_is_one_machine() {
    let folder = fixtures();
    let set = load(&folder.path().join("domain-only-endpoint"));
    assert_eq!(set.machines.len(), 1);
    assert!(set.problems.is_empty());
}

/// A folder with one machine of these files beside a good one.
fn broken(files: &[(&str, &[u8])]) -> (TempDir, CaptureSet) {
    let folder = tempfile::tempdir().unwrap();
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures/domain-only-endpoint");
    copy(&good, &folder.path().join("good"));
    for (name, content) in files {
        let path = folder.path().join("bad").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let set = load(folder.path());
    assert!(set.machines.iter().any(|machine| machine.identity.name.as_str() == "pc-0433.corp.example"));
    (folder, set)
}

/// Files, what the problem says, and whether the machine is there all the same.
type Case<'a> = (Vec<(&'a str, &'a [u8])>, &'a str, bool);

#[test]
fn every_way_to_break_a_capture() {
    const VER: &[u8] = b"Microsoft Windows [Version 10.0.26100.4349]\n";
    let big = vec![b'x'; 1024 * 1024 + 1];
    let key = Pki::new().controller("dc.corp.example", true).key.serialize_pem();
    let cases: Vec<Case<'_>> = vec![
        (vec![("ver.txt", VER), ("empty.txt", b" \r\n")], "/bad/empty.txt`: the file is empty", true),
        (vec![("ver.txt", VER), ("big.txt", &big)], "/bad/big.txt`: the file has more than 1048576 bytes", true),
        (vec![("ver.txt", VER), ("what.txt", b"hello")], "/bad/what.txt`: the content is none of the known raw outputs", true),
        (
            vec![("ver.txt", VER), ("cut.txt", b"-TPM Present: True\n")],
            "the content is not `tpmtool`: `-TPM Version` is `` (expected `2.0` or `1.2`)",
            true,
        ),
        (vec![("ver.txt", VER), ("dc.key", key.as_bytes())], "input holds a private key", true),
        (
            vec![("ver.txt", VER), ("sub/x.txt", VER)],
            "/bad/sub`: a folder within a machine's folder is read only where `capture.toml` names its files",
            true,
        ),
        (vec![("capture.toml", b"host = \"a\"\n[")], "the manifest is not TOML, so the machine is left out: line 2", false),
        (
            vec![("capture.toml", b"host = \"pc-1\"\n[[file]]\npath = \"none.txt\"\n")],
            "/bad/none.txt`: the file is named in `capture.toml` and is not there",
            true,
        ),
        (
            vec![("capture.toml", b"host = \"pc-1\"\n[[file]]\npath = \"../good/ver.txt\"\n")],
            "the path leads out of the folder of the capture",
            true,
        ),
        (
            vec![("capture.toml", b"host = \"pc-1\"\n[[file]]\npath = \"/etc/passwd\"\n")],
            "/etc/passwd`: the path leads out of the folder of the capture",
            true,
        ),
        (
            vec![("ver.txt", VER), ("capture.toml", b"host = \"pc-1\"\n[[file]]\npath = \"ver.txt\"\nkind = \"tpmtool\"\n")],
            "/bad/ver.txt`: `capture.toml` calls it `tpmtool`, the content is `windows-version`",
            true,
        ),
        (
            vec![("ver.txt", VER), ("capture.toml", b"host = \"pc-1\"\nsiet = \"HQ\"\n")],
            "/bad/capture.toml`: unknown key `siet` (did you mean `site`?)",
            true,
        ),
        (
            vec![("keys.txt", b"B:2:00:CN=a\n"), ("ver.txt", VER)],
            "the content is not `key-credentials`: it does not say whose keys these are",
            true,
        ),
        (
            vec![("capture.toml", b"host = \"dc1\"\n[domain_controller]\n")],
            "`domain_controller.domain` is missing: the controller's name has no domain in it",
            true,
        ),
        (
            vec![("capture.toml", b"host = \"dc1.corp.example\"\n[domain_controller]\n")],
            "`forest` is missing: a domain controller belongs to one",
            true,
        ),
        (
            vec![("capture.toml", b"host = \"pc-1\"\n[operating_system]\nproduct_type = \"server\"\n")],
            "`operating_system.version` is missing: no `windows-version` file tells it either",
            true,
        ),
        (
            vec![
                ("capture.toml", b"host = \"r\"\nforest = \"corp.example\"\n[directory]\ncomplete = true\n[[file]]\npath = \"k.txt\"\nkind = \"key-credentials\"\n"),
                ("k.txt", b"B:2:00:CN=a\n"),
            ],
            "`directory.complete` is set, and 1 of its files were not read",
            true,
        ),
    ];
    for (files, expected, stays) in cases {
        let (_folder, set) = broken(&files);
        let problems = problems(&set);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}\nnot in {problems:#?}");
        assert_eq!(set.machines.len(), 1 + usize::from(stays), "{expected}: {problems:#?}");
    }
}

#[test]
fn a_part_that_failed_leaves_the_rest() {
    let (_folder, set) =
        broken(&[("tpmtool.txt", b"-TPM Present: False\n"), ("dsregcmd.txt", b"AzureAdJoined but nothing else")]);
    assert_eq!(set.problems.len(), 1);
    assert_eq!(outcome(machine(&set, "bad"), Kind::Tpm), &Outcome::Absent);
}

#[test]
fn a_file_that_is_no_certificate_is_counted_in_the_listing() {
    let (_folder, set) = broken(&[("dc.pem", b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n")]);
    assert_eq!(set.problems.len(), 1);
    match outcome(machine(&set, "bad"), Kind::CertificateListing) {
        Outcome::Observed(Evidence::CertificateListing(listing)) => {
            assert_eq!((listing.certificates.len(), listing.unreadable), (0, 1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_named_file_that_failed_is_a_gap_and_not_silence() {
    let manifest = format!(
        "host = \"pc-1\"\n[[file]]\npath = \"s.txt\"\nkind = \"dsregcmd\"\nuser = \"{BEN}\"\n\
         [[file]]\npath = \"tpm.txt\"\nkind = \"tpmtool\"\n\
         [[file]]\npath = \"dc.pem\"\nkind = \"certificates\"\n\
         [[file]]\npath = \"gone.pem\"\nkind = \"certificates\"\n"
    );
    let certificate = Pki::new().controller("dc.corp.example", true).certificate.pem();
    let files: [(&str, &[u8]); 3] = [
        ("capture.toml", manifest.as_bytes()),
        ("tpm.txt", b"Access is denied.\n"),
        ("dc.pem", certificate.as_bytes()),
    ];
    let (_folder, set) = broken(&files);
    let found = machine(&set, "pc-1");
    assert_eq!(set.problems.len(), 3, "{:?}", problems(&set));
    let failure = |outcome: &Outcome| match outcome {
        Outcome::Failed(failure) => (failure.reason, failure.detail.to_string()),
        other => panic!("{other:?}"),
    };
    let (reason, detail) = failure(outcome(found, Kind::JoinState));
    assert_eq!(reason, FailureReason::Unavailable);
    assert_eq!(detail, "capture file `s.txt`: the file is named in `capture.toml` and is not there");
    assert_eq!(failure(user_outcome(found, Kind::Ngc, BEN)).0, FailureReason::Unavailable);
    assert_eq!(failure(outcome(found, Kind::Tpm)).0, FailureReason::Unreadable);
    match outcome(found, Kind::CertificateListing) {
        Outcome::Observed(Evidence::CertificateListing(listing)) => {
            assert_eq!((listing.certificates.len(), listing.unreadable), (1, 1), "one of two could not be looked at");
        }
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_not_followed() {
    let (folder, _) = broken(&[("ver.txt", b"Microsoft Windows [Version 10.0.26100.4349]\n")]);
    let bad = folder.path().join("bad");
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), b"-TPM Present: False\n").unwrap();
    std::os::unix::fs::symlink(secret.path(), bad.join("link.txt")).unwrap();
    std::os::unix::fs::symlink("none", bad.join("dead.txt")).unwrap();
    std::os::unix::fs::symlink("ver.txt", bad.join("same.txt")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("elsewhere")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(bad.join("pipe.txt")).status().unwrap();
    assert!(made.success());

    let set = load(folder.path());
    let problems = problems(&set);
    let has =
        |file: &str, words: &str| problems.iter().any(|problem| problem.contains(file) && problem.contains(words));
    assert!(has("link.txt", "leads out of the folder"), "{problems:#?}");
    assert!(has("dead.txt", "is not there"), "{problems:#?}");
    assert!(has("pipe.txt", "it is not a file"), "{problems:#?}");
    assert!(has("elsewhere", "leads out of the folder"), "{problems:#?}");
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(observation(machine(&set, "bad"), &ObservationKey::host(Kind::Tpm)).is_none());
}

#[test]
fn users_whose_sid_nobody_told() {
    let status = fs::read(fixture("no-tpm-endpoint/dsregcmd.txt")).unwrap();
    let (_folder, set) = broken(&[("dsregcmd.txt", &status)]);
    let found = machine(&set, "pc-0418.corp.example");
    assert_eq!(found.users.len(), 1);
    assert!(found.users[0].sid.is_unknown());
    assert_eq!(found.users[0].account.as_ref().unwrap().as_str(), "CORP\\ben.pilot");
    let prt = ObservationKey::user(Kind::Prt, Sid::unknown());
    assert!(observation(found, &prt).is_some());

    // A SID in the file's name tells it without a manifest.
    let (_folder, set) = broken(&[(&format!("dsregcmd-{BEN}.txt"), &status)]);
    assert_eq!(machine(&set, "pc-0418.corp.example").users[0].sid.as_str(), BEN);

    let (_folder, set) = broken(&[("a.txt", &status), ("b.txt", &status)]);
    assert!(problems(&set).iter().any(|problem| problem.contains("two texts of users without a known SID")));
}

#[test]
fn a_text_taken_as_a_service_says_nothing_of_the_user() {
    let status = fs::read(fixture("../dsregcmd/08-run-as-system.txt")).unwrap();
    let (_folder, set) = broken(&[("dsregcmd.txt", &status)]);
    let found = set.machines.iter().find(|machine| machine.folder.ends_with("bad")).unwrap();
    assert!(found.users.is_empty());
    assert!(found.observations.iter().all(|seen| matches!(seen.key.subject, Subject::Host)));

    // Named for a user all the same, his facts are gaps and not a no.
    let manifest = format!("[[file]]\npath = \"s.txt\"\nkind = \"dsregcmd\"\nuser = \"{BEN}\"\n");
    let (_folder, set) = broken(&[("s.txt", &status), ("capture.toml", manifest.as_bytes())]);
    let found = set.machines.iter().find(|machine| machine.folder.ends_with("bad")).unwrap();
    match user_outcome(found, Kind::Prt, BEN) {
        Outcome::Failed(failure) => assert_eq!(failure.reason, FailureReason::WrongContext),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_two_captures_of_a_host_the_newer_is_used() {
    let folder = tempfile::tempdir().unwrap();
    for (name, year, tpm) in [("old", 2025, "True\n-TPM Version: 2.0"), ("young", 2026, "False")] {
        let at = folder.path().join(name);
        fs::create_dir(&at).unwrap();
        fs::write(at.join("capture.toml"), format!("host = \"pc\"\ncaptured_at = {year}-01-01T00:00:00Z\n")).unwrap();
        fs::write(at.join("tpm.txt"), format!("-TPM Present: {tpm}\n")).unwrap();
    }
    let set = load(folder.path());
    assert_eq!(outcome(machine(&set, "pc"), Kind::Tpm), &Outcome::Absent);
    let [problem] = &problems(&set)[..] else { panic!("{:?}", set.problems) };
    assert!(problem.contains("/old`: host `pc` was captured twice; only the newer capture in"), "{problem}");
}

/// A folder with the keys of that many users, which calls itself complete.
fn directory(users: usize, mistake: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let value = fs::read_to_string(fixture("directory/keys-ada.txt")).unwrap();
    let mut manifest = "host = \"r\"\nforest = \"corp.example\"\n[directory]\ncomplete = true\n".to_owned();
    for number in 0..users {
        fs::write(folder.path().join(format!("{number}.txt")), &value).unwrap();
        writeln!(manifest, "[[file]]\npath = \"{number}.txt\"\nuser = \"S-1-5-21-1-2-3-{number}\"").unwrap();
    }
    fs::write(folder.path().join("capture.toml"), manifest + mistake).unwrap();
    folder
}

#[test]
fn a_large_inventory_goes_in_parts() {
    let folder = directory(1200, "");
    let set = load(folder.path());
    assert_eq!(problems(&set), Vec::<String>::new());
    let parts = &set.machines[0].inventory;
    let shape: Vec<_> = parts.iter().map(|part| (part.cursor, part.items.len(), part.complete)).collect();
    assert_eq!(shape, [(1, 500, false), (2, 500, false), (3, 200, true)]);
    assert!(parts.iter().all(|part| part.epoch == parts[0].epoch));
    let users: BTreeSet<&Sid> = set.machines[0].directory_keys().map(|keys| &keys.sid).collect();
    assert_eq!(users.len(), 1200);
}

#[test]
fn an_inventory_that_lost_a_file_is_not_complete() {
    for mistake in [
        "[[file]]\npath = \"gone.txt\"\nuser = \"S-1-5-21-1-2-3-9\"\n",
        "[[file]]\npath = \"0.txt\"\nuser = \"nobody\"\n",
        "[[file]]\npath = \"0.txt\"\n",
    ] {
        let set = load(directory(2, mistake).path());
        let [part] = &set.machines[0].inventory[..] else { panic!("one part") };
        assert_eq!((part.items.len(), part.complete), (2, false), "{mistake}");
        let told = problems(&set).iter().any(|problem| problem.contains("it is taken as incomplete"));
        assert!(told, "{mistake}: {:?}", problems(&set));
    }
}

#[test]
fn a_folder_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let set = load(&folder.path().join("none"));
    assert!(set.machines.is_empty());
    assert!(problems(&set)[0].contains("failed to read the folder"));
    let set = load(folder.path());
    assert!(problems(&set)[0].contains("the folder holds no raw output"), "an empty folder is not a machine in order");
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures").join(path)
}
