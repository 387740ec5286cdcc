//! The units: their exposure, and that they agree with the packages and the samples. `make units` checks the same bounds.

use muster_tests::program::{command, run};
use muster_tests::skipped;

use crate::{deploy, text, tool};

/// Service, its account, its folder under /var/lib, and the most that `systemd-analyze security` may say, times ten.
const UNITS: [(&str, &str, &str, u32); 2] =
    [("muster-collector", "muster-collector", "muster", 12), ("muster-probe", "muster-probe", "muster-probe", 16)];

/// The values of a key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn units_accounts_and_folders_agree() {
    for (name, account, folder, _) in UNITS {
        let unit = text(&format!("systemd/{name}.service"));
        assert_eq!(values(&unit, "User"), [account], "{name}");
        assert_eq!(values(&unit, "StateDirectory"), [folder], "{name}");
        assert!(values(&unit, "ExecStart")[0].starts_with(&format!("/usr/bin/{name} ")), "{name}");
        // 64 is what wrong settings end with, in both programs: no restart makes them right.
        assert_eq!(values(&unit, "RestartPreventExitStatus"), ["64"], "{name}");
        // Neither program tells systemd that it lives.
        assert!(values(&unit, "WatchdogSec").is_empty() && values(&unit, "Type") == ["exec"], "{name}");
        let users = text(&format!("systemd/{name}.sysusers"));
        assert!(
            users.contains(&format!("u {account} - ")) && users.contains(&format!("/var/lib/{folder} ")),
            "{users}"
        );
        let folders = text(&format!("systemd/{name}.tmpfiles"));
        assert!(folders.contains(&format!("d /var/lib/{folder} 0700 {account} {account} ")), "{folders}");
        let purge = text(&format!("debian/{}/postrm", name.trim_start_matches("muster-")));
        assert!(purge.contains(&format!("rm -rf /var/lib/{folder}\n")), "{purge}");
    }
    // The only device of a probe.
    let probe = text("systemd/muster-probe.service");
    assert_eq!(
        (values(&probe, "DevicePolicy"), values(&probe, "DeviceAllow")),
        (vec!["closed"], vec!["/dev/tpmrm0 rw"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_unit_is_more_exposed_than_it_says() {
    if tool("systemd-analyze").is_none() {
        return skipped("units::no_unit_is_more_exposed_than_it_says", "`systemd-analyze` is not installed");
    }
    for (name, _, _, most) in UNITS {
        let mut analyze = command("systemd-analyze");
        analyze.args(["security", "--no-pager", "--offline=true"]).arg(format!("--threshold={most}"));
        analyze.arg(deploy(&format!("systemd/{name}.service")));
        let done = run(analyze).await;
        assert_eq!(done.code, Some(0), "{name}: {}{}", done.stdout.lines().last().unwrap_or_default(), done.stderr);
    }
}
