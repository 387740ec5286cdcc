//! Figures: how they are taken from several rounds, and what the system says of a process.

use std::fs;
use std::path::Path;

use crate::aims::{Row, find};

/// The system counts CPU time of processes in hundredths of a second (`getconf CLK_TCK` on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// What one row came to.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// The row.
    pub(crate) row: &'static Row,
    /// The median of the rounds.
    pub(crate) median: f64,
    /// The least and the greatest of them.
    pub(crate) spread: (f64, f64),
    /// How many rounds there were.
    pub(crate) rounds: usize,
    /// What a reader should know beside it, such as the two figures a ratio is made of.
    pub(crate) beside: String,
}

impl Figure {
    /// A row's figure from its rounds.
    pub(crate) fn of(id: &str, rounds: &[f64], beside: String) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            row: find(id),
            median: median(rounds),
            spread: (sorted[0], sorted[sorted.len() - 1]),
            rounds: sorted.len(),
            beside,
        }
    }

    /// Whether it meets its aim.
    pub(crate) fn is_met(&self) -> bool {
        self.row.aim.is_met(self.median)
    }
}

/// The middle one of some figures, or the mean of the two in the middle.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// CPU time that a process has taken so far, in seconds: its own and the system's for it.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let [user, system, ..] = times(&pid.to_string());
    user + system
}

/// CPU time that the children of this process took which have ended and were waited for, in seconds.
pub(crate) fn ended_children_cpu_seconds() -> f64 {
    let [.., user, system] = times("self");
    user + system
}

/// The fields `utime`, `stime`, `cutime` and `cstime` of proc(5), in seconds.
fn times(process: &str) -> [f64; 4] {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name in parentheses may hold anything; `utime` is the twelfth field after it.
    let fields: Vec<f64> = text[text.rfind(')').unwrap() + 1..]
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(|ticks| ticks.parse().unwrap())
        .collect();
    [0, 1, 2, 3].map(|place| fields[place] / TICKS_PER_SECOND)
}

/// CPU time that this thread has taken so far, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// The greatest resident memory a process ever had, in millions of bytes.
pub(crate) fn greatest_memory_mb(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kib * 1024.0 / 1e6
}

/// What the files below a folder occupy, in millions of bytes.
pub(crate) fn disk_mb(folder: &Path) -> f64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0.0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            bytes += disk_mb(&entry.path()) * 1e6;
        } else {
            // proc(5) and stat(2) count in blocks of 512 bytes.
            bytes += f64::from(u32::try_from(metadata.blocks()).unwrap_or(u32::MAX)) * 512.0;
        }
    }
    bytes / 1e6
}
