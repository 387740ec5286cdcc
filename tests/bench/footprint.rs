//! Rows of what a probe costs the machine it runs on: the real program, looking at this machine.

use std::time::Duration;

use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{FOREST, Lab, Setup};
use muster_tests::operator::Operator;
use muster_tests::program::{Running, binary, command, run as run_program};
use muster_tests::wait;

use crate::Bench;
use crate::measure::{Figure, ended_children_cpu_seconds, greatest_memory_mb};

/// Measures every row of this group.
pub(crate) async fn run(bench: &Bench) -> Vec<Figure> {
    let lab = Lab::new();
    let collector = CollectorProgram::start(&lab, &Setup { cadence: "1s", ..Setup::default() }).await;
    let program = binary("muster-probe");
    let size = std::fs::metadata(&program).unwrap().len();
    let settings = |name: &str| {
        let identity = lab.ca.probe(&format!("{name}.{FOREST}"));
        lab.probe_settings(name, &identity, collector.probes.port(), "site = \"Rotterdam\"")
    };

    let mut service = command(&program);
    service.args(["run", "--now", "--config"]).arg(settings("pc-run"));
    let service = Running::start(service, lab.path("pc-run.log"));
    let mut operator = Operator::connect(collector.operators).await;
    wait::until("the probe has reported", async || {
        operator.host(&format!("pc-run.{FOREST}")).await.map_err(|status| format!("{status}\n{}", service.log()))
    })
    .await;
    // A few rounds more: what is greatest may come later than the first report.
    tokio::time::sleep(bench.probe_time).await;
    let memory = greatest_memory_mb(service.pid());
    drop(service);

    let config = settings("pc-once");
    let mut rounds = Vec::new();
    for _ in 0..bench.passes.max(2) {
        let before = ended_children_cpu_seconds();
        for _ in 0..bench.collections {
            let mut once = command(&program);
            once.arg("once").arg("--config").arg(&config);
            run_program(once).await.succeeded();
        }
        rounds.push((ended_children_cpu_seconds() - before) / f64::from(bench.collections) * 1e3);
    }
    vec![
        Figure::of("probe-memory", &[memory], "the greatest until several reports were sent".to_owned()),
        Figure::of("probe-binary", &[f64::from(u32::try_from(size).unwrap()) / 1e6], "stripped".to_owned()),
        Figure::of("probe-cpu", &rounds, "the whole of `muster-probe once`, its handshake among it".to_owned()),
    ]
}

/// Collections of one round: the system counts CPU time of ended processes in hundredths of a second.
pub(crate) const COLLECTIONS: u32 = 5;

/// How long the probe runs before its memory is looked at.
pub(crate) const PROBE_TIME: Duration = Duration::from_secs(6);
