//! `docs/performance.md`: how it was measured, on what, what came out, and the notes that people keep about it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use muster_evidence::Timestamp;

use crate::aims::{Aim, ROWS, Row, Scale};
use crate::measure::Figure;

/// What people have found out by profiling; kept by hand, and repeated at the end of the page.
const NOTES: &str = include_str!("notes.md");

const METHOD: &str = "\
`make bench` builds the programs as a release and measures everything below in one run. Client and servers are \
processes of their own on one machine, so every ratio includes the client. The client sends messages that were encoded \
before and decodes no answer while time is taken, so that servers are compared and not the client. What is compared takes \
turns within the run, and which comes first changes; a figure is the median of its rounds, beside the least and the \
greatest.\n\n\
- **Messages** are the reports of the demo's machines, made by the probe's library from their raw outputs, under other \
names and with a user each. A durable report carries every body; its operating system has one more update than before, so \
each changes the host's record, is judged by all checks and is acknowledged `COMMITTED`, which is asserted. An unchanged \
one carries digests only and is acknowledged `SEEN`.\n\
- **Echo**: tonic with the collector's TLS and HTTP/2 settings sends every message back. **Handshakes**: the same TLS \
settings and nothing else. **tonic and sled**: stores each message under its host's name in groups, flushed and synced \
as the collector does, and does nothing else.\n\
- **CPU** of servers is what the kernel counts for the process. Judging and parsing are CPU time of one thread.\n\
- **Latency** counts from when a report was due, whether or not earlier ones were answered. Sixteen streams at half of \
the rate that was measured before.\n\
- Logs are written as in production; the store is on the disk named below.\n";

/// The page.
pub(crate) fn page(figures: &[Figure], now: Timestamp, folder: &Path) -> String {
    let mut page = String::from(
        "# Performance\n\n\
         Made by `make bench`; do not edit. The aims stand in `tests/bench/aims.rs`, the notes in `tests/bench/notes.md`.\n\n\
         ## Method\n\n",
    );
    page.push_str(METHOD);
    let day = now.to_string();
    let day = day.split('T').next().unwrap_or_default();
    let _ = writeln!(page, "\n## Results\n\nOf {day}, on {}.\n", machine(folder));
    page.push_str(&table(figures));
    page.push_str("\n## What stands beside the figures\n\n");
    for figure in figures.iter().filter(|figure| !figure.beside.is_empty()) {
        let _ = writeln!(page, "- **{}**: {}.", figure.row.id, figure.beside);
    }
    let missing: Vec<_> = ROWS.iter().filter(|row| figures.iter().all(|figure| figure.row.id != row.id)).collect();
    if !missing.is_empty() {
        page.push_str("\n## Not measured in this run\n\n");
        for row in missing {
            let _ = writeln!(page, "- {} ({}): {}", row.what, aim(row), why_not(row));
        }
    }
    page.push('\n');
    page.push_str(NOTES);
    page
}

fn why_not(row: &Row) -> &'static str {
    match row.scale {
        Scale::Million => "a million hosts take the better part of an hour to load; `make bench-million` measures it.",
        Scale::Always => "this run left it out; `make bench` measures it.",
    }
}

/// The figures as a table in Markdown.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut table = String::from("| | what | aim | measured | spread (rounds) | met |\n|---|---|---|---|---|---|\n");
    for figure in figures {
        let unit = figure.row.unit;
        let spread = match figure.rounds {
            1 => "one".to_owned(),
            rounds => format!("{} to {} ({rounds})", unit.tell(figure.spread.0), unit.tell(figure.spread.1)),
        };
        let met = match (figure.row.aim, figure.is_met()) {
            (Aim::None, _) => "-",
            (_, true) => "yes",
            (_, false) => "**no**",
        };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {spread} | {met} |",
            figure.row.id,
            figure.row.what,
            aim(figure.row),
            unit.tell(figure.median)
        );
    }
    table
}

fn aim(row: &Row) -> String {
    match row.aim {
        Aim::AtLeast(least) => format!(">= {}", row.unit.tell(least)),
        Aim::AtMost(most) => format!("<= {}", row.unit.tell(most)),
        Aim::None => "no aim".to_owned(),
    }
}

/// The machine, without its name.
pub(crate) fn machine(folder: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: Option<f64> = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    format!(
        "{cores} cores ({}), {:.0} GB of memory, Linux {}, store on {}",
        model.map_or("unknown", |(_, name)| name.trim()),
        kib.unwrap_or_default() * 1024.0 / 1e9,
        kernel.trim(),
        file_system(folder)
    )
}

/// The type of the file system that a folder is on: a store in memory would flatter.
fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_default();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let of_folder = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(place).then_some((place.len(), kind))
    });
    of_folder
        .max_by_key(|(length, _)| *length)
        .map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}
