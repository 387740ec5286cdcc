//! Rows of reports on standing streams: durable and unchanged ones against an echo, the CPU they cost, how long one
//! waits for the disk, and what the store comes to.

use std::time::{Duration, Instant};

use muster_proto::v1;
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::operator::Operator;
use muster_tests::wait;
use prost::bytes::Bytes;

use crate::Bench;
use crate::aims::MILLION;
use crate::measure::{Figure, cpu_seconds, disk_mb, greatest_memory_mb, median};
use crate::messages::{Bodies, Fleet, HOSTS_PER_SITE, Sizes, on_stream};
use crate::plain::{Bare, BareProgram};
use crate::streams::{Driven, Streams, count};

/// Streams at a time.
const STREAMS: usize = 16;

/// Hosts that report between two looks at the clock: one round at the usual scale, a part of one at a million.
const PART: usize = 20_000;

/// How long loading and judging may take. It is no figure of ours: a million hosts take minutes.
const LOADING: Duration = Duration::from_hours(1);

/// CPU of an idle collector in half a second; the clock that tells it moves in hundredths.
const IDLE_SECONDS: f64 = 0.02;

/// A collector with its fleet loaded.
pub(crate) struct Loaded {
    pub(crate) lab: Lab,
    pub(crate) setup: Setup,
    pub(crate) collector: CollectorProgram,
    streams: Streams,
    fleet: Fleet,
    /// Number of the last report of every host.
    sequence: u64,
    /// Updates that every host has seen.
    updates: u64,
    /// First reports per second, part by part.
    first_rates: Vec<f64>,
}

impl Loaded {
    /// Starts a collector and reports every host to it, each for the first time.
    pub(crate) async fn start(bench: &Bench, hosts: usize) -> Self {
        let lab = Lab::new();
        let fleet = Fleet::new(&bench.captures, hosts, bench.now);
        let setup = Setup { cadence: "15m", ..Setup::with_sites(&[]) };
        let setup = Setup { sites: inventory(&fleet), ..setup };
        let collector = CollectorProgram::start(&lab, &setup).await;
        let streams = Streams::connect(&lab, collector.probes, STREAMS).await;
        let mut directory = vec![Vec::new(); STREAMS];
        directory[0].push(on_stream(fleet.directory()));
        streams.drive(directory).await.all_acknowledged(v1::Acknowledgement::Committed);
        let mut loaded =
            Self { lab, setup, collector, streams, fleet, sequence: 1, updates: 1, first_rates: Vec::new() };
        for part in loaded.fleet.order(1).chunks(PART) {
            let driven = loaded.streams.drive(loaded.messages(part, Bodies::All)).await;
            driven.all_acknowledged(v1::Acknowledgement::Committed);
            loaded.first_rates.push(driven.rate());
        }
        loaded.settle().await;
        loaded
    }

    /// Waits until the collector is idle: nobody waits to be judged again, and what changed is published.
    async fn settle(&self) {
        let pid = self.collector.running.pid();
        wait::until_within(LOADING, "the collector is idle", async || {
            let before = cpu_seconds(pid);
            tokio::time::sleep(Duration::from_millis(500)).await;
            let taken = cpu_seconds(pid) - before;
            if taken <= IDLE_SECONDS { Ok(()) } else { Err(format!("{taken:.2} s of CPU in half a second")) }
        })
        .await;
    }

    fn messages(&self, hosts: &[usize], bodies: Bodies) -> Vec<Vec<Bytes>> {
        self.fleet.round(hosts, STREAMS, self.updates, self.sequence, bodies)
    }

    fn store_mb(&self) -> f64 {
        disk_mb(&self.lab.path("store"))
    }
}

/// The sites of a fleet with what is expected there.
fn inventory(fleet: &Fleet) -> Vec<(&'static str, Vec<&'static str>, Option<u32>)> {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    (0..fleet.sites())
        .map(|site| {
            let dcs = fleet.dcs_of(site).map(|host| leak(fleet.name(host))).collect::<Vec<_>>();
            let endpoints = u32::try_from(HOSTS_PER_SITE - dcs.len()).unwrap();
            (leak(Fleet::site(site)), dcs, Some(endpoints))
        })
        .collect()
}

/// What each of the servers did in a round: messages per second, and CPU seconds for each message.
#[derive(Default)]
struct Lap {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl Lap {
    async fn drive(&mut self, streams: &Streams, pid: u32, messages: Vec<Vec<Bytes>>) -> Driven {
        let before = cpu_seconds(pid);
        let driven = streams.drive(messages).await;
        self.rates.push(driven.rate());
        self.cpu.push((cpu_seconds(pid) - before) / count(driven.count));
        driven
    }

    /// The median rate, and the median CPU of a message in microseconds.
    fn tell(&self) -> String {
        format!("{:.0}/s at {:.0} us of CPU each", median(&self.rates), median(&self.cpu) * 1e6)
    }
}

fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

/// Measures every row of this group.
pub(crate) async fn run(bench: &Bench) -> Vec<Figure> {
    let at_million = bench.hosts >= MILLION;
    let mut loaded = Loaded::start(bench, bench.hosts).await;
    bench.say(&format!("{} hosts loaded at {:.0}/s", loaded.fleet.len(), median(&loaded.first_rates)));
    let (echo, sled) =
        tokio::join!(BareProgram::start(&loaded.lab, Bare::Echo), BareProgram::start(&loaded.lab, Bare::Sled));
    let to_echo = Streams::connect(&loaded.lab, echo.address, STREAMS).await;
    let to_sled = Streams::connect(&loaded.lab, sled.address, STREAMS).await;
    let (collector_pid, echo_pid, sled_pid) = (loaded.collector.running.pid(), echo.running.pid(), sled.running.pid());

    let (mut durable, mut durable_echo, mut saved) = (Lap::default(), Lap::default(), Lap::default());
    let (mut unchanged, mut unchanged_echo) = (Lap::default(), Lap::default());
    let mut sizes = None;
    let mut disk = vec![loaded.store_mb()];
    for pass in 0..bench.passes {
        loaded.updates += 1;
        for (part, hosts) in loaded.fleet.order(2 + pass).chunks(PART).enumerate() {
            // A reader of the clock should not favour who comes first.
            let collector_first = part.is_multiple_of(2) == pass.is_multiple_of(2);
            loaded.sequence += 1;
            let full = loaded.messages(hosts, Bodies::All);
            loaded.sequence += 1;
            let digests = loaded.messages(hosts, Bodies::None);
            sizes.get_or_insert((Sizes::of(&full), Sizes::of(&digests)));
            if !collector_first {
                durable_echo.drive(&to_echo, echo_pid, full.clone()).await;
            }
            let driven = durable.drive(&loaded.streams, collector_pid, full.clone()).await;
            driven.all_acknowledged(v1::Acknowledgement::Committed);
            if collector_first {
                durable_echo.drive(&to_echo, echo_pid, full.clone()).await;
            }
            saved.drive(&to_sled, sled_pid, full).await;
            let driven = unchanged.drive(&loaded.streams, collector_pid, digests.clone()).await;
            driven.all_acknowledged(v1::Acknowledgement::Seen);
            unchanged_echo.drive(&to_echo, echo_pid, digests).await;
        }
        disk.push(loaded.store_mb());
        bench.say(&format!(
            "pass {} of {}: durable {}, echo {}; unchanged {}, echo {}; sled {}; disk {:.0} MB",
            pass + 1,
            bench.passes,
            durable.tell(),
            durable_echo.tell(),
            unchanged.tell(),
            unchanged_echo.tell(),
            saved.tell(),
            disk[disk.len() - 1],
        ));
    }
    drop((to_echo, to_sled, echo, sled));

    let (full, digests) = sizes.unwrap_or_else(|| panic!("no pass was made"));
    let mut figures = vec![
        Figure::of(
            if at_million { "durable-million" } else { "durable" },
            &ratios(&durable.rates, &durable_echo.rates),
            format!("{}, echo {}; messages of {full}", durable.tell(), durable_echo.tell()),
        ),
        Figure::of(
            if at_million { "unchanged-million" } else { "unchanged" },
            &ratios(&unchanged.rates, &unchanged_echo.rates),
            format!("{}, echo {}; messages of {digests}", unchanged.tell(), unchanged_echo.tell()),
        ),
        Figure::of(
            "stream-cpu",
            &ratios(&durable.cpu, &saved.cpu),
            format!("{}, against {}", durable.tell(), saved.tell()),
        ),
        Figure::of("first-reports", &loaded.first_rates, String::new()),
    ];
    figures.push(latency(bench, &mut loaded, median(&durable.rates) / 2.0).await);
    let rewrites = disk.len() - 1;
    if rewrites >= 2 {
        let last = disk[rewrites];
        figures.push(Figure::of(
            "disk",
            &[last / disk[0]],
            format!("{last:.0} MB after {rewrites} rewrites, {:.0} MB after one write", disk[0]),
        ));
        let half = disk[rewrites / 2];
        let beside = format!("{last:.0} MB against {half:.0} MB after {} rewrites", rewrites / 2);
        figures.push(Figure::of("disk-flat", &[last / half], beside));
    }
    figures.push(crate::query::run(bench, &loaded, at_million).await);
    let memory = greatest_memory_mb(collector_pid);
    figures.push(Figure::of(if at_million { "memory-million" } else { "memory" }, &[memory], String::new()));
    figures.push(restart(loaded, at_million).await);
    figures
}

/// Reports come at half of what the collector takes, whether or not it keeps up; how long until each is durable.
async fn latency(bench: &Bench, loaded: &mut Loaded, rate: f64) -> Figure {
    let mut rounds = Vec::new();
    let mut medians = Vec::new();
    let wanted = (rate * bench.latency_time.as_secs_f64()).max(64.0);
    let order = loaded.fleet.order(0);
    let hosts: Vec<usize> = (order.into_iter().enumerate())
        .take_while(|(number, _)| count(*number) < wanted)
        .map(|(_, host)| host)
        .collect();
    for _ in 0..bench.latency_rounds {
        loaded.updates += 1;
        loaded.sequence += 1;
        let driven = loaded.streams.drive_at(loaded.messages(&hosts, Bodies::All), Some(rate)).await;
        driven.all_acknowledged(v1::Acknowledgement::Committed);
        let mut latencies = driven.latencies;
        latencies.sort_unstable();
        let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e3;
        rounds.push(at(99));
        medians.push(at(50));
    }
    let beside = format!("{} reports at {rate:.0}/s in each round; median {:.1} ms", hosts.len(), median(&medians));
    Figure::of("latency", &rounds, beside)
}

/// Kills the collector as a crash would, and waits until it serves again.
async fn restart(loaded: Loaded, at_million: bool) -> Figure {
    let Loaded { lab, setup, mut collector, streams, .. } = loaded;
    drop(streams);
    collector.running.kill();
    let started = Instant::now();
    let again = CollectorProgram::start_within(LOADING, &lab, &setup).await;
    let mut operator = Operator::connect(again.operators).await;
    operator.api.get_organisation(v1::GetOrganisationRequest {}).await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    Figure::of(if at_million { "restart-million" } else { "restart" }, &[seconds], String::new())
}
