//! The sample settings, read by the programs that they are for.

use std::fs;
use std::path::Path;

use muster_collector::config::{Config, explain};
use muster_collector::sites::Sites;
use muster_tests::lab::Lab;
use muster_tests::program::{Running, binary, command};

use crate::text;

/// The lines that are commented out are settings as well: `#name = value` and `#[[table]]`, with no space.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => setting.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(|each| line(each) + "\n").collect()
}

#[test]
fn the_samples_are_read_as_they_are_and_with_every_setting() {
    let collector = text("config/collector.toml");
    assert_ne!(collector, uncommented(&collector), "nothing was commented out");
    for settings in [collector.clone(), uncommented(&collector)] {
        let path = Path::new("/etc/muster/collector.toml");
        Config::parse(&settings, Path::new("/etc/muster"))
            .unwrap_or_else(|errors| panic!("{}", explain(path, &errors)));
    }
    let probe = text("config/probe.toml");
    for settings in [probe.clone(), uncommented(&probe)] {
        let loaded = muster_probe::config::Loaded::parse(&settings, Path::new("/etc/muster/probe.toml"));
        loaded.unwrap_or_else(|error| panic!("{}", muster_proto::link::Chain(&error)));
    }
    muster_collector::policy_state::parse_policy(&text("config/policy.toml"))
        .unwrap_or_else(|errors| panic!("{errors:?}"));
    Sites::parse(&text("config/inventory.toml"))
        .unwrap_or_else(|error| panic!("{}", muster_proto::link::Chain(&error)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_serves_with_the_samples_once_they_have_certificates() {
    let lab = Lab::new();
    let mut settings = text("config/collector.toml")
        .replace("#inventory_file", "inventory_file")
        .replace("#policy_file", "policy_file");
    // Everything else, and where the certificates lie, is the sample's.
    for (sample, own) in [
        ("[::]:8443", "127.0.0.1:0"),
        ("127.0.0.1:8444", "127.0.0.1:0"),
        ("/var/lib/muster/store", "store"),
        ("format = \"text\"", "format = \"json\""),
    ] {
        assert!(settings.contains(sample), "{sample}");
        settings = settings.replace(sample, own);
    }
    let path = lab.write("etc/collector.toml", &settings);
    for file in ["inventory.toml", "policy.toml"] {
        lab.write(&format!("etc/{file}"), text(&format!("config/{file}")));
    }
    for (from, to) in
        [("collector.pem", "collector.pem"), ("collector.key", "collector.key"), ("ca.pem", "probes-ca.pem")]
    {
        fs::copy(lab.path("ca").join(from), lab.path("etc").join(to)).unwrap();
    }
    let mut serve = command(binary("muster-collector"));
    serve.arg("serve").arg("--config").arg(path);
    let mut running = Running::start(serve, lab.path("collector.log"));
    running.until_said("the collector serves", |log| log.contains("\"message\":\"serving\"").then_some(())).await;
}
