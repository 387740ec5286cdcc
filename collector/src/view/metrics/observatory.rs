//! Where the numbers are read from: the snapshot, the process's own counts, and what is counted once a minute.
//!
//! A scrape walks sites, never hosts. What needs a walk over all hosts or over files is counted by [`Observatory::run`]
//! in the background, in steps that hold the table for short.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use muster_evidence::{HostNo, Role, Timestamp};
use muster_proto::link::telemetry::Exporter;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Sink, read};
use crate::access::{Access, AccessState};
use crate::core::Core;
use crate::meters::{Distribution, Meters};
use crate::snapshot::Snapshot;

/// How often hosts' ages and the store's size are counted.
const COUNT_EVERY: Duration = Duration::from_mins(1);

/// Hosts counted while the table is locked.
const HOSTS_PER_STEP: usize = 4_096;

/// Listeners: the probes' and the operators'.
pub(super) const LISTENERS: usize = 2;

/// More reasons than a listener refuses connections for.
pub(super) const MOST_REFUSAL_REASONS: usize = 48;

/// Files of a store that are looked at, at most.
const MOST_FILES: usize = 100_000;

/// Upper bounds of report ages in seconds: around the cadences and the limits of freshness (1 h, 14 days).
pub const AGE_BOUNDS: &[f64] = &[
    60.0,
    300.0,
    900.0,
    2_700.0,
    3_600.0,
    14_400.0,
    86_400.0,
    3.0 * 86_400.0,
    7.0 * 86_400.0,
    14.0 * 86_400.0,
    30.0 * 86_400.0,
    45.0 * 86_400.0,
];

/// What hosts' ages are told apart by: a host with several roles counts as the first of these that it has.
pub const AGE_ROLES: [&str; 3] = ["domain-controller", "endpoint", "other"];

/// How long ago hosts were last heard of.
#[derive(Clone, Debug, PartialEq)]
pub struct Ages {
    /// When they were counted.
    pub as_of: Timestamp,
    /// One per role of [`AGE_ROLES`].
    pub by_role: Vec<Distribution>,
}

/// What every number is read from, at one moment.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// What the collector counts about its own work.
    pub meters: &'a Meters,
    /// Hosts' ages, once counted.
    pub ages: Option<&'a Ages>,
    /// Whether the last write succeeded.
    pub store_writable: bool,
    /// Whether a damaged store is being made good.
    pub rebuilding: bool,
    /// Space that the store takes, once counted.
    pub store_bytes: Option<u64>,
    /// Connections of both listeners.
    pub access: &'a Access,
    /// Certificates, revocation lists and reloads.
    pub access_state: &'a AccessState,
    /// Exports by signal and outcome.
    pub exports: &'a [(&'static str, &'static str, u64)],
    /// Spans that were not exported.
    pub dropped_spans: Option<u64>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Its resident memory.
    pub resident_bytes: Option<u64>,
    /// When all this was read.
    pub now: Timestamp,
}

#[derive(Debug, Default)]
struct Counted {
    ages: Option<Arc<Ages>>,
    store_bytes: Option<u64>,
}

/// Reads the collector's numbers for whoever shows them.
#[derive(Debug)]
pub struct Observatory {
    core: Core,
    access: Arc<Access>,
    store_path: Option<PathBuf>,
    exporter: Option<Exporter>,
    started_at: Timestamp,
    counted: Mutex<Counted>,
}

impl Observatory {
    /// Reads from `core` and its listeners; `store_path` is where the store's files are, if it has any.
    pub fn new(core: Core, access: Arc<Access>, store_path: Option<PathBuf>, exporter: Option<Exporter>) -> Self {
        let started_at = core.now();
        Self { core, access, store_path, exporter, started_at, counted: Mutex::default() }
    }

    /// The core it reads from.
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// When the process started.
    pub const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Reads every metric into a sink.
    pub fn read(&self, sink: &mut dyn Sink) {
        let snapshot = self.core.snapshot();
        let (ages, store_bytes) = {
            let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            (counted.ages.clone(), counted.store_bytes)
        };
        let exports = self.exporter.as_ref().map(|exporter| exporter.counts().read().to_vec()).unwrap_or_default();
        let reading = Reading {
            snapshot: &snapshot,
            meters: self.core.meters(),
            ages: ages.as_deref(),
            store_writable: self.core.meters().commits.trouble().is_none(),
            rebuilding: self.core.is_rebuilding(),
            store_bytes,
            access: &self.access,
            access_state: &self.access.state(),
            exports: &exports,
            dropped_spans: self.exporter.as_ref().map(|exporter| exporter.counts().lost_spans()),
            started_at: self.started_at,
            resident_bytes: resident_bytes(),
            now: self.core.now(),
        };
        read(&reading, sink);
    }

    /// Counts once a minute what no scrape may count, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = interval(COUNT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let ages = self.count_ages().await;
            let store_bytes = match self.store_path.clone() {
                None => None,
                Some(path) => tokio::task::spawn_blocking(move || size_of(&path)).await.ok().flatten(),
            };
            *self.counted.lock().unwrap_or_else(PoisonError::into_inner) =
                Counted { ages: Some(Arc::new(ages)), store_bytes };
        }
    }

    /// Counts how long ago each host was heard of.
    pub async fn count_ages(&self) -> Ages {
        let now = self.core.now();
        let mut by_role = vec![Distribution::empty(AGE_BOUNDS); AGE_ROLES.len()];
        let mut after = HostNo(0);
        loop {
            let counted = self.core.read(|table| {
                let mut last = None;
                for row in table.rows_after(after).take(HOSTS_PER_STEP) {
                    let role = if row.roles.is_domain_controller() {
                        0
                    } else if row.roles.contains(Role::Endpoint) {
                        1
                    } else {
                        2
                    };
                    by_role[role].note(seconds_of(now.ms_since(row.last_seen)));
                    last = Some(row.number);
                }
                last
            });
            match counted {
                Some(last) => after = last,
                None => return Ages { as_of: now, by_role },
            }
            tokio::task::yield_now().await;
        }
    }
}

/// An age in seconds; one that a clock set back made negative is none.
#[expect(clippy::cast_precision_loss, reason = "an age in milliseconds is below 2^52")]
fn seconds_of(age_ms: i64) -> f64 {
    age_ms.max(0) as f64 / 1_000.0
}

/// The bytes of the files below a folder; `None` where it cannot be read.
fn size_of(folder: &Path) -> Option<u64> {
    let (mut waiting, mut bytes, mut files) = (vec![folder.to_owned()], 0_u64, 0_usize);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).ok()? {
            // A file may go while its folder is read; what is left is still the better part of the answer.
            let Ok(entry) = entry else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            files += 1;
            if files > MOST_FILES {
                return None;
            }
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if let Ok(metadata) = entry.metadata() {
                bytes += metadata.len();
            }
        }
    }
    Some(bytes)
}

/// The process's resident memory: `VmRSS` of its status, in KiB (proc(5)).
#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(not(target_os = "linux"))]
const fn resident_bytes() -> Option<u64> {
    None
}
