//! What is shipped beside the programs: packages, units, samples, manuals, the container file, dashboards and alerts.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps; the lint spares test functions only")]

mod container;
mod dashboards;
mod debs;
mod manuals;
mod prometheus;
mod samples;
mod units;

use std::path::PathBuf;

use muster_tests::program::repository;

/// A path in `deploy/`.
fn deploy(path: &str) -> PathBuf {
    repository().join("deploy").join(path)
}

/// A text in `deploy/`.
fn text(path: &str) -> String {
    let path = deploy(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// A program on the path.
fn tool(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
