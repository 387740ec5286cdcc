//! `make bench`: everything that docs/performance.md tells, measured in one run and held against its aims.
//!
//! Client and servers are processes of their own. Every ratio is taken within the run, and what is compared takes
//! turns, so that a busy machine hits both. A missed aim ends the program with an error. Without `--bench` (as
//! `cargo test` runs it) a smoke pass goes the same ways with a few hosts and asserts no aim.
//!
//! - [`aims`] is the table of what must come out, [`measure`] how figures are taken, [`document`] the page about them.
//! - [`reports`], [`query`], [`connect`], [`footprint`] and [`rules`] are the groups of rows.
//! - [`messages`] makes what is sent, [`streams`] sends it, [`plain`] are the programs that are compared with.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails where it panics, and prints")]

mod aims;
mod connect;
mod document;
mod footprint;
mod measure;
mod messages;
mod plain;
mod query;
mod reports;
mod rules;
mod streams;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use muster_evidence::Timestamp;
use muster_tests::captures;
use muster_tests::lab::Lab;

use crate::measure::Figure;

/// How much is measured.
pub(crate) struct Bench {
    /// Raw outputs of the demo's machines.
    pub(crate) captures: PathBuf,
    /// The time that messages are dated by.
    pub(crate) now: Timestamp,
    /// Hosts of the rows of reports.
    pub(crate) hosts: usize,
    /// How often every host reports something new; so many rounds have most rows.
    pub(crate) passes: u64,
    /// How long reports come at half capacity, and how often.
    pub(crate) latency_time: Duration,
    pub(crate) latency_rounds: usize,
    /// How often a site is asked for in a round.
    pub(crate) questions: usize,
    /// How long machines come and go in a round.
    pub(crate) connect_time: Duration,
    /// CPU time of a round of pure computing, in nanoseconds.
    pub(crate) compute_ns: f64,
    /// How long a probe runs before its memory is looked at.
    pub(crate) probe_time: Duration,
    /// How often a probe collects in a round.
    pub(crate) collections: u32,
    started: Instant,
}

impl Bench {
    fn new(captures: PathBuf, hosts: usize) -> Self {
        Self {
            captures,
            now: messages::present(),
            hosts,
            passes: if hosts >= aims::MILLION { 2 } else { 10 },
            latency_time: Duration::from_secs(6),
            latency_rounds: 3,
            questions: 300,
            connect_time: Duration::from_millis(1_500),
            compute_ns: 100e6,
            probe_time: footprint::PROBE_TIME,
            collections: footprint::COLLECTIONS,
            started: Instant::now(),
        }
    }

    /// The same ways with next to nothing on them.
    fn smoke(captures: PathBuf) -> Self {
        Self {
            passes: 2,
            latency_time: Duration::from_millis(200),
            latency_rounds: 1,
            questions: 3,
            connect_time: Duration::from_millis(100),
            compute_ns: 1e6,
            probe_time: Duration::ZERO,
            collections: 1,
            ..Self::new(captures, 64)
        }
    }

    /// Says how far it is.
    pub(crate) fn say(&self, text: &str) {
        println!("{:7.1} s  {text}", self.started.elapsed().as_secs_f64());
    }
}

/// The groups of rows, in the order they are measured.
const GROUPS: [&str; 4] = ["rules", "footprint", "connect", "reports"];

async fn measure(group: &str, bench: &Bench) -> Vec<Figure> {
    match group {
        "rules" => rules::run(bench),
        "footprint" => footprint::run(bench).await,
        "connect" => connect::run(bench).await,
        "reports" => reports::run(bench).await,
        other => panic!("there is no group `{other}` (known: {GROUPS:?})"),
    }
}

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    /// Measures, instead of a smoke pass.
    bench: bool,
    list: bool,
    hosts: Option<usize>,
    /// Where the page is written.
    write: Option<PathBuf>,
    /// Parts of names of groups; none means all.
    groups: Vec<String>,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Self {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--bench" => parsed.bench = true,
                "--list" => parsed.list = true,
                "--hosts" => {
                    parsed.hosts = Some(rest.next().and_then(|text| text.parse().ok()).expect("a number of hosts"));
                }
                "--write" => parsed.write = Some(rest.next().expect("a path").into()),
                // What the usual harness understands and this one has no use for.
                flag if flag.starts_with('-') => {}
                group => parsed.groups.push(group.to_owned()),
            }
        }
        parsed
    }

    fn chosen(&self) -> Vec<&'static str> {
        let wanted =
            |group: &&str| self.groups.is_empty() || self.groups.iter().any(|part| group.contains(part.as_str()));
        GROUPS.into_iter().filter(wanted).collect()
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == plain::ROLE) {
        plain::main(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse(&arguments);
    let groups = arguments.chosen();
    if arguments.list {
        for group in groups {
            println!("{group}: test");
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if arguments.bench { bench(&arguments, &groups, &runtime) } else { smoke(&groups, &runtime) }
}

fn bench(arguments: &Arguments, groups: &[&str], runtime: &tokio::runtime::Runtime) -> ExitCode {
    let lab = Lab::new();
    let bench = Bench::new(captures::organisation(&lab), arguments.hosts.unwrap_or(aims::HOSTS));
    println!("measuring {} at {} hosts, on {}", groups.join(", "), bench.hosts, document::machine(&lab.path("")));
    let mut figures = Vec::new();
    for group in groups {
        bench.say(group);
        figures.extend(runtime.block_on(measure(group, &bench)));
    }
    figures.sort_by_key(|figure| aims::ROWS.iter().position(|row| row.id == figure.row.id));
    println!("\n{}", document::table(&figures));
    for figure in figures.iter().filter(|figure| !figure.beside.is_empty()) {
        println!("{}: {}", figure.row.id, figure.beside);
    }
    if let Some(path) = &arguments.write {
        std::fs::write(path, document::page(&figures, bench.now, &lab.path(""))).unwrap();
        println!("\n`{}` written", path.display());
    }
    let missed: Vec<_> = figures.iter().filter(|figure| !figure.is_met()).map(|figure| figure.row.id).collect();
    if missed.is_empty() {
        println!("\nevery aim of {} rows is met", figures.len());
        return ExitCode::SUCCESS;
    }
    println!("\nmissed: {}", missed.join(", "));
    ExitCode::FAILURE
}

fn smoke(groups: &[&str], runtime: &tokio::runtime::Runtime) -> ExitCode {
    let started = Instant::now();
    println!("\nrunning {} tests", groups.len());
    let lab = Lab::new();
    let bench = Bench::smoke(captures::organisation(&lab));
    for group in groups {
        let figures = runtime.block_on(measure(group, &bench));
        assert!(!figures.is_empty() && figures.iter().all(|figure| figure.median.is_finite()), "{figures:?}");
        let page = document::page(&figures, bench.now, &lab.path(""));
        assert!(figures.iter().all(|figure| page.contains(figure.row.what)), "{page}");
        println!("test {group} ... ok");
    }
    println!(
        "\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        groups.len(),
        GROUPS.len() - groups.len(),
        started.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}
