//! The harness of the scenarios: everything a test needs to stand up a small fleet and to look at it.
//!
//! - [`authority`] makes a certificate authority per run, and certificates good and bad.
//! - [`lab`] is a folder of one's own with settings for the collector.
//! - [`collector`] serves, inside the test's process or as the real program.
//! - [`machine`] are made-up machines, [`probe`] a probe that says of them whatever a test wants said.
//! - [`otlp`] receives telemetry.
//! - [`network`] is what lies between a probe and its collector: name servers and proxies.
//! - [`browser`] looks at its pages, [`operator`] asks it, [`program`] runs the real programs, [`wait`] waits for states.
//! - [`golden`] compares texts, [`captures`] has raw outputs of a small organisation, [`manual`] makes manual pages and
//!   completions.
//!
//! Everything ends when its value is dropped. Nothing here judges, and no scenario is in here.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a harness fails where it panics")]

pub mod authority;
pub mod browser;
pub mod captures;
pub mod collector;
pub mod golden;
pub mod lab;
pub mod machine;
pub mod manual;
pub mod network;
pub mod operator;
pub mod otlp;
pub mod probe;
pub mod program;
pub mod raw;
pub mod wait;

use std::io::Write as _;

/// Whether tests that need the laboratory's tools or privileges may be left out (`MUSTER_SKIP_LAB=1`). Where they may
/// not, they fail.
pub fn may_skip() -> bool {
    std::env::var_os("MUSTER_SKIP_LAB").is_some_and(|value| value == "1")
}

/// Says that a test was left out, past the capturing of the test harness: `tests/tally.sh` counts these lines.
pub fn skipped(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}");
}
