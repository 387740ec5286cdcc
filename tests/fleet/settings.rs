//! Settings, inventories, policies and captures that are wrong: everything is said at once, and nothing is served.

use std::path::Path;

use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::program::{Done, binary, command, run};

/// The exit code for wrong usage or settings.
const USAGE: Option<i32> = Some(64);

async fn check_config(path: &Path) -> Done {
    let mut check = command(binary("muster-collector"));
    check.arg("check-config").arg(path);
    run(check).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_of_a_configuration_come_at_once() {
    let lab = Lab::new();
    let path = lab.write(
        "collector.toml",
        "polcy_file = \"p\"\n[store]\nbackend = \"postgres\"\n[probes]\nlisten = [\"here\"]\ncertificate = \"c.pem\"\n\
         [operators]\nlisten = [\"192.0.2.1:8444\"]\n[cadence]\nendpoint = \"10ms\"\n",
    );
    let done = check_config(&path).await;
    assert_eq!(done.code, USAGE, "{done:?}");
    for told in [
        "7 errors in",
        "found `postgres`, expected one of `sled`, `memory`",
        "invalid `probes.listen`",
        "missing `probes.key`",
        "missing `probes.ca`",
        "192.0.2.1:8444 is not a loopback address",
        "10ms is under the least of 1s",
        "unknown key `polcy_file` (did you mean `policy_file`?)",
    ] {
        assert!(done.stderr.contains(told), "`{told}` is not in:\n{}", done.stderr);
    }
    // The same configuration serves nobody.
    let mut serve = command(binary("muster-collector"));
    serve.arg("serve").arg("--config").arg(&path);
    let served = run(serve).await;
    assert_eq!((served.code, served.stderr), (USAGE, done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_toml_is_shown_by_its_line() {
    let lab = Lab::new();
    let done = check_config(&lab.write("broken.toml", "[store]\npath = \"a\nbackend = \"sled\"\n")).await;
    assert_eq!(done.code, USAGE, "{done:?}");
    assert!(done.stderr.contains("line 2"), "{}", done.stderr);
    let done = check_config(&lab.path("nowhere.toml")).await;
    assert_eq!(done.code, USAGE, "{done:?}");
    assert!(done.stderr.contains("failed to read") && done.stderr.contains("nowhere.toml"), "{}", done.stderr);
    let good = check_config(&Setup::default().write(&lab)).await;
    assert!(good.succeeded().contains("is a valid configuration"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_configuration_names_must_be_usable_too() {
    let lab = Lab::new();
    lab.write("ca/nothing.pem", "no certificate\n");
    lab.write("ca/nothing.key", "no key\n");
    let strange = |change: fn(&mut Setup)| {
        let mut setup = Setup::with_sites(&[("Rotterdam", &["dc01.corp.example"], None)]);
        change(&mut setup);
        setup
    };
    for (setup, told) in [
        (strange(|setup| setup.certificate = "ca/missing"), "ca/missing.pem"),
        (strange(|setup| setup.certificate = "ca/nothing"), "ca/nothing.pem"),
        (strange(|setup| setup.policy = Some("ready_share_percnt = 80\n")), "`ready_share_percnt`"),
        (strange(|setup| setup.policy = Some("ready_share_percent = 800\n")), "ready_share_percent"),
        (strange(|setup| setup.sites.push(("Rotterdam", Vec::new(), None))), "site `Rotterdam` is listed twice"),
    ] {
        let mut running = CollectorProgram::launch(&lab, &setup);
        let status = running.until_ended().await;
        let log = running.log();
        assert!(!status.success() && log.contains(told), "`{told}` is not in ({status}):\n{log}");
        std::fs::remove_dir_all(lab.path("store")).unwrap_or_default();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named() {
    let lab = Lab::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = Setup::default().text().replacen("127.0.0.1:0", &address.to_string(), 1);
    let path = lab.write("taken.toml", text);
    let mut serve = command(binary("muster-collector"));
    serve.arg("serve").arg("--config").arg(path);
    let done = run(serve).await;
    assert!(done.code != Some(0), "{done:?}");
    assert!(done.stderr.contains(&format!("failed to listen on `{address}`")), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_captures_are_told_and_judge_nobody_ready() {
    let lab = Lab::new();
    let fixtures = muster_tests::program::repository().join("probe/fixtures/captures/ready-endpoint");
    let check = async |folder: &Path| {
        let mut check = command(binary("muster-probe"));
        check.arg("check").arg("--captures").arg(folder);
        run(check).await
    };
    let copy = |name: &str| {
        let folder = lab.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(&fixtures).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        folder
    };
    let whole = check(&copy("whole")).await;
    assert!(matches!(whole.code, Some(0 | 1 | 3)), "{whole:?}");

    // A manifest that is none, one with a word that is unknown, a file that is gone, one that is something else.
    let folder = copy("no-toml");
    std::fs::write(folder.join("capture.toml"), "host = [\n").unwrap();
    let broken = check(&folder).await;
    assert!(!matches!(broken.code, Some(0 | 1)) && broken.stderr.contains("capture.toml"), "{broken:?}");

    let folder = copy("unknown-word");
    let manifest = std::fs::read_to_string(folder.join("capture.toml")).unwrap();
    std::fs::write(folder.join("capture.toml"), manifest.replace("kind = \"tpmtool\"", "kind = \"tpmtol\"")).unwrap();
    let broken = check(&folder).await;
    let said = format!("{}{}", broken.stdout, broken.stderr);
    assert!(!matches!(broken.code, Some(0 | 1)) && said.contains("tpmtol"), "{broken:?}");

    let folder = copy("gone");
    std::fs::remove_file(folder.join("tpmtool.txt")).unwrap();
    let broken = check(&folder).await;
    let said = format!("{}{}", broken.stdout, broken.stderr);
    assert!(!matches!(broken.code, Some(0 | 1)) && said.contains("tpmtool.txt"), "{broken:?}");

    let folder = copy("garbage");
    std::fs::write(folder.join("dsregcmd.txt"), [0xFF, 0xFE, 0x00, 0xD8, 0x41]).unwrap();
    std::fs::write(folder.join("tpmtool.txt"), vec![b'x'; 4 << 20]).unwrap();
    let broken = check(&folder).await;
    assert_eq!(broken.code, Some(3), "what cannot be read is a gap: {broken:?}");

    let nothing = check(&lab.path("nothing-there")).await;
    assert!(nothing.code != Some(0) && nothing.stderr.contains("nothing-there"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probes_settings_are_told_at_once_as_well() {
    let lab = Lab::new();
    let path = lab.write(
        "probe.toml",
        "colector = [\"a:1\"]\ncollector = [\"no port\"]\n[report]\ninterval = \"10ms\"\n[sources]\ndisabled = [\"tmp\"]\n",
    );
    let mut once = command(binary("muster-probe"));
    once.arg("once").arg("--config").arg(path);
    let done = run(once).await;
    assert_eq!(done.code, USAGE, "{done:?}");
    for told in ["`colector`", "did you mean `collector`?", "no port", "10ms is under the least of 1s", "tmp"] {
        assert!(done.stderr.contains(told), "`{told}` is not in:\n{}", done.stderr);
    }
}
