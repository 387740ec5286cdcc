//! The OTLP receiver of the scenarios: `tests/otlp/receiver.py`, on a free port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::lab::Lab;
use crate::program::{Running, repository};
use crate::wait;

/// What the receiver does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Writes it down.
    Take,
    /// Never answers.
    Silent,
    /// Refuses it.
    Refuse,
}

/// A receiver, ended when dropped.
pub struct Receiver {
    /// Where it listens.
    pub port: u16,
    file: PathBuf,
    _running: Running,
}

/// The Python that has the receiver's packages; `None` where `deploy/setup.sh` did not install them.
pub fn python() -> Option<PathBuf> {
    let python = repository().join(".tools/python/bin/python");
    let imports = "import grpc, opentelemetry.proto.collector.trace.v1.trace_service_pb2";
    let works = Command::new(&python).args(["-c", imports]).output().is_ok_and(|done| done.status.success());
    works.then_some(python)
}

impl Receiver {
    /// Starts one and waits until it listens.
    pub async fn start(lab: &Lab, python: &Path, mode: Mode) -> Self {
        let name = format!("otlp-{mode:?}").to_lowercase();
        let file = lab.path(&format!("{name}.jsonl"));
        let mut command = Command::new(python);
        command.arg(repository().join("tests/otlp/receiver.py")).arg(&file).arg(match mode {
            Mode::Take => "take",
            Mode::Silent => "silent",
            Mode::Refuse => "refuse",
        });
        let mut running = Running::start(command, lab.path(&format!("{name}.log")));
        let said = |log: &str| log.lines().find_map(|line| line.strip_prefix("listening ")?.parse().ok());
        let port = running.until_said("the receiver listens", said).await;
        Self { port, file, _running: running }
    }

    /// Everything it was sent so far: spans have `span`, points of metrics have `metric`.
    pub fn received(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        // The last line may still be being written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until what it was sent is as it should be.
    pub async fn until<T>(&self, what: &str, look: impl Fn(&[Value]) -> Result<T, String>) -> T {
        wait::until(what, async || look(&self.received())).await
    }
}
