//! `make demo`, as anybody would run it, on ports and in a folder of its own.

use std::net::TcpListener;
use std::time::Duration;

use muster_tests::lab::Lab;
use muster_tests::program::{binary, command, repository, run_within};
use muster_tests::{may_skip, skipped};

/// Two ports next to each other that nobody listens on. Somebody may take them before the demo does, which it then says.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_three_sites_with_different_fates() {
    for tool in ["swtpm", "jq", "openssl"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|path| path.join(tool).is_file());
        if !found && may_skip() {
            return skipped(
                "demo::the_demo_shows_three_sites_with_different_fates",
                &format!("`{tool}` is not installed"),
            );
        }
        assert!(found, "the demo needs `{tool}`: run `make setup`");
    }
    let lab = Lab::new();
    let folder = lab.path("demo");
    let mut demo = command(repository().join("deploy/demo.sh"));
    demo.arg("--once")
        .env("MUSTER_DEMO_PORT", free_ports().to_string())
        .env("MUSTER_DEMO_DIR", &folder)
        // The programs are built already; a build from within a test would wait for whoever else is building.
        .env("MUSTER_DEMO_BIN", binary("muster").parent().unwrap());
    let said = run_within(Duration::from_mins(4), demo).await.succeeded();
    let (_, verdicts) = said.split_once("Which sites can go?").unwrap_or_else(|| panic!("{said}"));
    for (site, verdict) in [("Rotterdam", "Go"), ("Lyon", "Hold"), ("Oslo", "Unknown")] {
        let line = verdicts.lines().find(|line| line.contains(site)).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains(verdict), "{site}: {line}\n{said}");
    }
    let (_, why) = said.split_once("Why is Lyon held?").unwrap_or_else(|| panic!("{said}"));
    assert!(why.contains("dc.cert-eku") && why.contains("remedy:"), "{why}");
    assert!(!folder.exists(), "the demo left `{}` behind", folder.display());
}
