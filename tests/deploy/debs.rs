//! The Debian packages: built, looked into, and installed in a throwaway copy of this system.
//!
//! The programs in them are the unoptimised ones that the tests have anyway, stripped, and the compression is the quick
//! one. Everything else, names, files, modes, dependencies, scripts, is what `make deb` builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_tests::program::{binary, command, repository, run, run_within};
use muster_tests::{manual, may_skip, skipped};

use crate::{deploy, tool};

/// Longest that building or installing may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(4);

const PACKAGES: [(&str, &str); 3] =
    [("muster-probe", "muster-probe"), ("muster-collector", "muster-collector"), ("muster-cli", "muster")];

fn cargo_deb() -> Option<PathBuf> {
    let own = repository().join(".tools/bin/cargo-deb");
    if own.is_file() { Some(own) } else { tool("cargo-deb") }
}

/// Builds all three, and gives their paths.
async fn build(cargo_deb: &Path, folder: &Path) -> Vec<PathBuf> {
    // Looks to cargo-deb like a folder of release builds.
    let release = folder.join("release");
    fs::create_dir_all(&release).unwrap();
    manual::write_all(&release.join("manuals")).unwrap();
    let mut gzip = command("bash");
    gzip.args(["-c", "gzip -9n man/*/*.1"]).current_dir(release.join("manuals"));
    run(gzip).await.succeeded();
    let mut built = Vec::new();
    for (package, program) in PACKAGES {
        let mut strip = command("strip");
        strip.arg("-o").arg(release.join(program)).arg(binary(program));
        run(strip).await.succeeded();
        let path = folder.join(format!("{program}.deb"));
        let mut deb = command(cargo_deb);
        deb.args(["--locked", "--offline", "--no-build", "--no-strip", "--fast", "--quiet", "-p", package, "-o"])
            .arg(&path);
        deb.env("CARGO_TARGET_DIR", folder).current_dir(repository());
        run_within(LIMIT, deb).await.succeeded();
        built.push(path);
    }
    built
}

async fn ask(deb: &Path, arguments: &[&str]) -> String {
    let mut dpkg = command("dpkg-deb");
    dpkg.arg(arguments[0]).arg(deb).args(&arguments[1..]);
    run(dpkg).await.succeeded()
}

/// Modes, owners and paths of what is in a package, folders left out.
async fn files(deb: &Path) -> Vec<(String, String)> {
    let listing = ask(deb, &["--contents"]).await;
    let mut files = Vec::new();
    for line in listing.lines().filter(|line| !line.starts_with('d')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "0/0", "root's, by number: {line}");
        files.push((words[0].to_owned(), words[5].trim_start_matches('.').to_owned()));
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_hold_what_they_should_and_install_remove_and_purge() {
    const TEST: &str = "debs::packages_hold_what_they_should_and_install_remove_and_purge";
    let Some(cargo_deb) = cargo_deb() else {
        assert!(may_skip(), "the packages need `cargo-deb`: run `make setup`");
        return skipped(TEST, "`cargo-deb` is not installed");
    };
    let folder = tempfile::tempdir().unwrap();
    let debs = build(&cargo_deb, folder.path()).await;
    for (deb, (_, name)) in debs.iter().zip(PACKAGES) {
        look_into(deb, name).await;
    }
    install(TEST, folder.path()).await;
}

async fn look_into(deb: &Path, name: &str) {
    let files = files(deb).await;
    let has = |path: &str, mode: &str| {
        let found = files.iter().find(|(_, own)| own == path);
        let found = found.unwrap_or_else(|| panic!("{name} has no `{path}`: {files:#?}"));
        assert_eq!(found.0, mode, "{path}");
    };
    has(&format!("/usr/bin/{name}"), "-rwxr-xr-x");
    for file in [
        format!("/usr/share/man/man1/{name}.1.gz"),
        format!("/usr/share/bash-completion/completions/{name}"),
        format!("/usr/share/zsh/vendor-completions/_{name}"),
        format!("/usr/share/fish/vendor_completions.d/{name}.fish"),
        format!("/usr/share/doc/{name}/copyright"),
    ] {
        has(&file, "-rw-r--r--");
    }
    // A page of another program's would make the packages collide.
    let stray = |path: &str| match path.strip_prefix("/usr/share/man/man1/muster-") {
        Some(rest) => name == "muster" && (rest.starts_with("probe") || rest.starts_with("collector")),
        None => false,
    };
    assert!(!files.iter().any(|(_, path)| stray(path)), "{files:#?}");

    assert_eq!(ask(deb, &["--field", "Package"]).await.trim(), name);
    let version = ask(deb, &["--field", "Version"]).await;
    assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
    let depends = ask(deb, &["--field", "Depends"]).await;
    assert!(depends.contains("libc6 (>= "), "{depends}");
    if name == "muster" {
        return;
    }
    let short = name.trim_start_matches("muster-");
    for file in [
        format!("/etc/muster/{short}.toml"),
        format!("/usr/lib/systemd/system/{name}.service"),
        format!("/usr/lib/sysusers.d/{name}.conf"),
        format!("/usr/lib/tmpfiles.d/{name}.conf"),
    ] {
        has(&file, "-rw-r--r--");
    }
    assert_eq!(ask(deb, &["--info", "conffiles"]).await.trim(), format!("/etc/muster/{short}.toml"));
    assert!(depends.contains("systemd | systemd-standalone-sysusers"), "{depends}");
    // Opened by name at run time, so no linker and no `$auto` knows of it.
    assert_eq!(depends.contains("libtss2-tcti-device0"), name == "muster-probe", "{depends}");
    for script in ["postinst", "prerm", "postrm"] {
        let packed = ask(deb, &["--info", script]).await;
        let own = fs::read_to_string(deploy(&format!("debian/{short}/{script}"))).unwrap();
        assert_eq!(packed.trim_end(), own.trim_end(), "{name} {script}");
        assert!(!packed.contains("debconf") && packed.contains("set -e"), "{packed}");
        let mut parse = command("sh");
        parse.arg("-n").arg(deploy(&format!("debian/{short}/{script}")));
        run(parse).await.succeeded();
    }
}

/// Installs into an overlay over this very system, in a mount namespace that goes with the command.
async fn install(test: &str, folder: &Path) {
    for needed in ["unshare", "systemd-sysusers", "systemd-tmpfiles", "deb-systemd-helper"] {
        if tool(needed).is_none() {
            return skipped(test, &format!("not installed anywhere: `{needed}` is missing"));
        }
    }
    let overlay = folder.join("overlay");
    fs::create_dir_all(&overlay).unwrap();
    let mut shell = command("unshare");
    shell.args(["--mount", "--propagation", "private", "bash"]);
    shell.arg(repository().join("tests/deploy/install.sh")).arg(folder).arg(&overlay);
    let done = run_within(LIMIT, shell).await;
    match done.code {
        Some(77) => skipped(test, &format!("not installed anywhere: {}", done.stderr.trim())),
        code => assert_eq!(code, Some(0), "{}\n{}", done.stdout, done.stderr),
    }
}
