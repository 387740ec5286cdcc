//! Reloads: what is believed is exchanged as a whole while the collector runs, and connections that no longer pass are
//! ended.
//!
//! Certificates, keys, CAs, pins, grants, block lists, operators' names and revocation lists take effect without a
//! restart: at SIGHUP, when an operator asks, and when a file changes. A reload is all or nothing; after one that
//! failed everything is as before, and the error is shown. One that succeeded replaces the ticket keys of both
//! listeners, so that no session resumes across it, and checks every live connection again.
//!
//! Files are watched by polling what is in them: notification services see neither a symbolic link that is exchanged
//! (as Kubernetes and certificate agents do) nor a file on a share, and a few files read every two seconds cost nothing.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use muster_evidence::Timestamp;
use muster_proto::link::Chain;
use rustls::ServerConfig;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::accept::{AcceptCounts, Refusal};
use crate::access::Access;
use crate::clock::Clock;
use crate::config::{Config, LoadError};
use crate::connections::{Connections, Live};
use crate::core::Core;
use crate::crl::fetch::{self, Fetched, Fetcher, ListUrl};
use crate::crl::{Authority, List};
use crate::identity::{CheckAgain, OperatorCheck, OperatorPeer, Operators, PeerInfo, ProbeCheck};
use crate::log_limit::LogLimit;
use crate::trust::{Arrived, Assembled, Materials, TrustError};

/// How often files are looked at. A change takes effect once two looks have found the same, since files are written in
/// parts and one after the other.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often it is looked whether a certificate of a live connection has ended.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Files up to this size are compared by what is in them, larger ones by what the file system says of them.
const COMPARED_BYTES: u64 = 4 << 20;

/// Settings that take effect by a reload; all others need a restart. A whole section ends in a dot.
const RELOADED: &[&str] = &[
    "probes.certificate",
    "probes.key",
    "probes.ca",
    "probes.issuer_pins",
    "probes.required_eku",
    "probes.required_template",
    "probes.blocked",
    "operators.certificate",
    "operators.key",
    "operators.ca",
    "operators.issuer_pins",
    "operators.required_eku",
    "operators.required_template",
    "operators.blocked",
    "operators.names",
    "grant",
    "crl.",
];

/// Says why a reload was refused. Everything is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// Certificates, keys, CAs or revocation lists cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The operators' listener gains or loses its certificate, which a running listener cannot.
    #[error("the operators' listener cannot change between plain and TLS while it runs; restart the collector")]
    OperatorsTls,
    /// Reading was given up.
    #[error("reading was given up")]
    Task(#[source] tokio::task::JoinError),
}

/// What came of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Number of what is believed now.
    pub generation: u64,
    /// Connections that were ended, since their peers no longer pass.
    pub ended: usize,
    /// Settings that changed and take effect with a restart only.
    pub needs_restart: Vec<String>,
}

/// Exchanges what the listeners believe. Cheap to clone; every clone is the same.
#[derive(Clone, Debug)]
pub struct Reloader(Arc<Inner>);

/// One listener as a reload changes it.
#[derive(Debug)]
pub(crate) struct Door<C: CheckAgain> {
    pub(crate) check: Arc<C>,
    pub(crate) live: Arc<Connections<C::Peer>>,
    pub(crate) counts: Arc<AcceptCounts>,
    /// The TLS settings; `None` without TLS.
    pub(crate) tls: Option<watch::Sender<Arc<ServerConfig>>>,
}

#[derive(Debug)]
struct Inner {
    access: Arc<Access>,
    clock: Arc<dyn Clock>,
    core: OnceLock<Core>,
    probes: Door<ProbeCheck>,
    operators: Door<OperatorCheck>,
    /// The settings at start, which hold where a restart is needed.
    started: Config,
    current: Mutex<Current>,
    /// Whether any revocation list is asked.
    asks_lists: AtomicBool,
    /// Addresses of lists have changed.
    lists_changed: Notify,
    log_limit: LogLimit,
}

#[derive(Debug)]
struct Current {
    materials: Materials,
    /// The settings whose files are watched: those that were read last, even where they could not be used.
    watched: Config,
    /// What those files were when they were last read.
    looked: u64,
    boundaries: Vec<Timestamp>,
    lists: Option<Arc<crate::crl::RevocationSet>>,
}

impl Reloader {
    /// A reloader over listeners that were just set up from these materials.
    pub(crate) fn new(
        access: Arc<Access>,
        clock: Arc<dyn Clock>,
        (probes, operators): (Door<ProbeCheck>, Door<OperatorCheck>),
        (materials, looked): (Materials, u64),
        assembled: &Assembled,
    ) -> Self {
        let now = clock.now();
        access.change(|state| {
            state.certificates.clone_from(&assembled.certificates);
            state.revocation.clone_from(&assembled.revocation);
            state.reload.last_attempt = Some(now);
            state.reload.last_success = Some(now);
            state.reload.generation = 1;
        });
        let started = materials.config.clone();
        let (boundaries, lists) = (assembled.boundaries.clone(), assembled.lists.clone());
        Self(Arc::new(Inner {
            access,
            clock,
            core: OnceLock::new(),
            probes,
            operators,
            current: Mutex::new(Current { watched: started.clone(), materials, looked, boundaries, lists }),
            asks_lists: AtomicBool::new(started.crl.is_on()),
            lists_changed: Notify::new(),
            log_limit: LogLimit::default(),
            started,
        }))
    }

    /// Works until `stop`: watches files, fetches lists, ends connections whose time has come. `core` is told of
    /// changed grants.
    pub async fn run(self, core: Core, stop: CancellationToken) {
        let _ = self.0.core.set(core);
        tokio::join!(self.watch_files(&stop), self.fetch_lists(&stop), self.sweep_in_time(&stop));
    }

    /// How the listeners stand.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// Whether any revocation list is asked.
    pub fn asks_lists(&self) -> bool {
        self.0.asks_lists.load(Ordering::Relaxed)
    }

    /// Reads everything again, and exchanges it as a whole or not at all. `asked` says who wants it, for the log.
    pub async fn reload(&self, asked: &str) -> Result<Reloaded, ReloadError> {
        let mut current = self.0.current.lock().await;
        let now = self.0.clock.now();
        let (origin, before) = (self.0.started.origin.clone(), current.materials.clone());
        let watched = current.watched.clone();
        let read = tokio::task::spawn_blocking(move || {
            let config = match &origin {
                Some(origin) => Config::load(&origin.path),
                None => Ok(before.config.clone()),
            };
            let watched = config.as_ref().map_or_else(|_| watched, Clone::clone);
            // Before reading: what changes meanwhile is a change.
            let looked = look(&watched);
            let done = config.map_err(ReloadError::from).and_then(|config| {
                let materials = Materials::read(config, Some(&before))?;
                let assembled = materials.assemble()?;
                Ok((materials, assembled))
            });
            (watched, looked, done)
        })
        .await;
        let done = match read {
            Err(error) => Err(ReloadError::Task(error)),
            Ok((watched, looked, done)) => {
                (current.watched, current.looked) = (watched, looked);
                done
            }
        };
        let done = done.and_then(|(materials, assembled)| {
            let same = assembled.operators.is_some() == self.0.operators.tls.is_some();
            if same { Ok((materials, assembled)) } else { Err(ReloadError::OperatorsTls) }
        });
        match done {
            Ok((materials, assembled)) => {
                let needs_restart = needs_restart(&self.0.started, &materials.config);
                let ended = self.exchange(&mut current, materials, assembled).await;
                let mut generation = 0;
                self.0.access.change(|state| {
                    state.reload.last_attempt = Some(now);
                    state.reload.last_success = Some(now);
                    state.reload.error = None;
                    state.reload.needs_restart.clone_from(&needs_restart);
                    generation = state.reload.generation;
                });
                info!(asked, generation, ended, ?needs_restart, "reloaded");
                Ok(Reloaded { generation, ended, needs_restart })
            }
            Err(failed) => {
                let text = Chain(&failed).to_string();
                error!(asked, error = %text, "reload refused, everything stays as it was");
                self.0.access.change(|state| {
                    state.reload.last_attempt = Some(now);
                    state.reload.error = Some(text);
                });
                Err(failed)
            }
        }
    }

    /// Makes new materials what is believed. How many connections were ended.
    async fn exchange(&self, current: &mut Current, materials: Materials, assembled: Assembled) -> usize {
        let inner = &self.0;
        let config = &materials.config;
        let Assembled { probes, operators, certificates, revocation, lists, boundaries } = assembled;
        // First whom to believe, then the listeners, then those who are connected: nobody is left who was let in by
        // what was believed before.
        inner.probes.check.believe(probes.policy, config.grants.clone());
        let policy = operators.as_ref().map(|trust| Arc::clone(&trust.policy));
        inner.operators.check.believe(Operators { policy, names: config.operators.names.clone() });
        if let Some(core) = inner.core.get() {
            core.set_grants(config.grants.clone());
        }
        if let Some(tls) = &inner.probes.tls {
            tls.send_replace(probes.config);
        }
        if let (Some(tls), Some(trust)) = (&inner.operators.tls, operators) {
            tls.send_replace(trust.config);
        }
        inner.asks_lists.store(config.crl.is_on(), Ordering::Relaxed);
        inner.access.change(|state| {
            state.certificates = certificates;
            state.revocation = revocation;
            state.reload.generation += 1;
        });
        (current.materials, current.boundaries, current.lists) = (materials, boundaries, lists);
        inner.lists_changed.notify_one();
        self.check_all_again().await
    }

    /// Checks every live connection again, and ends those that no longer pass. How many those are.
    async fn check_all_again(&self) -> usize {
        let own = self.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let (probes, operators) = (&own.0.probes, &own.0.operators);
            own.end_failing(probes, probes.live.next_generation())
                + own.end_failing(operators, operators.live.next_generation())
        });
        checked.await.unwrap_or_default()
    }

    fn end_failing<C: CheckAgain>(&self, door: &Door<C>, live: Vec<Live<C::Peer>>) -> usize {
        let mut ended = 0;
        for live in live {
            if let Err(refusal) = door.check.still(&live.chain, &live.peer) {
                self.end(door, &live, refusal);
                ended += 1;
            }
        }
        ended
    }

    fn end<C: CheckAgain>(&self, door: &Door<C>, live: &Live<C::Peer>, (reason, detail): Refusal) {
        if live.end.is_cancelled() {
            return;
        }
        live.end.cancel();
        door.counts.end(reason);
        if let Some(held) = self.0.log_limit.admit(live.address, reason, Instant::now()) {
            let (held_back, others_held_back) = (held.same, held.others);
            warn!(peer = %live.address, reason, detail, held_back, others_held_back, "connection ended");
        }
    }

    /// Ends connections whose certificates end, and checks all of them again when a list or a CA ends.
    async fn sweep_in_time(&self, stop: &CancellationToken) {
        let mut ticks = interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.0.clock.now();
        self.tell_stale(last).await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = self.0.clock.now();
            let crossed = {
                // While a reload is under way it checks everybody itself.
                let Ok(current) = self.0.current.try_lock() else { continue };
                current.boundaries.iter().any(|at| last <= *at && *at < now)
            };
            if crossed {
                self.check_all_again().await;
                self.tell_stale(now).await;
            }
            let over = |not_after: Option<Timestamp>| not_after.is_some_and(|end| end < now);
            let (probes, operators) = (&self.0.probes, &self.0.operators);
            self.end_failing(probes, probes.live.that(|peer: &PeerInfo| over(ProbeCheck::not_after(peer))));
            self.end_failing(
                operators,
                operators.live.that(|peer: &OperatorPeer| over(OperatorCheck::not_after(peer))),
            );
            last = now;
        }
    }

    /// Says aloud which lists are past their end.
    async fn tell_stale(&self, now: Timestamp) {
        let current = self.0.current.lock().await;
        let Some(lists) = &current.lists else { return };
        for (issuer, next_update) in lists.stale(now) {
            error!(issuer, %next_update, on_stale = ?lists.on_stale(), "a revocation list is past its end");
        }
    }

    async fn watch_files(&self, stop: &CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut found_before = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (config, looked) = {
                let current = self.0.current.lock().await;
                (current.watched.clone(), current.looked)
            };
            let Ok(found) = tokio::task::spawn_blocking(move || look(&config)).await else { continue };
            if found != looked && found_before == Some(found) {
                // The error is logged and shown; the next change is the next attempt.
                let _ = self.reload("a file changed").await;
            }
            found_before = Some(found);
        }
    }

    /// Fetches lists, each when it is due, one after the other.
    async fn fetch_lists(&self, stop: &CancellationToken) {
        let fetcher = Fetcher::new();
        loop {
            let due = {
                let current = self.0.current.lock().await;
                let next = current.materials.remote.iter().min_by_key(|(_, own)| own.due);
                next.map(|(url, own)| (url.clone(), own.due, own.validators.clone()))
            };
            let Some((url, at, validators)) = due else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.0.lists_changed.notified() => continue,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.lists_changed.notified() => continue,
                () = sleep_until(at) => {}
            }
            let fetched = tokio::select! {
                () = stop.cancelled() => return,
                fetched = fetcher.fetch(&url, &validators) => fetched,
            };
            self.fetched(&url, fetched).await;
        }
    }

    /// Takes in what an address answered.
    async fn fetched(&self, url: &ListUrl, fetched: Result<Fetched, fetch::FetchError>) {
        let mut current = self.0.current.lock().await;
        let (authorities, folder) = (current.materials.authorities.clone(), current.materials.config.crl.cache.clone());
        let answer = match fetched {
            Err(error) => Err(Chain(&error).to_string()),
            Ok(Fetched::Unchanged) => Ok(None),
            Ok(Fetched::Body(bytes, validators)) => {
                let known = current.materials.remote.get(url).and_then(|own| own.list.clone());
                let address = url.clone();
                let parsed =
                    tokio::task::spawn_blocking(move || parse(bytes, &authorities, known.as_ref(), &folder, &address));
                match parsed.await {
                    Ok(parsed) => parsed.map(|list| Some((list, validators))),
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        let problem = answer.as_ref().err().cloned();
        let now = self.0.clock.now();
        let had = current.materials.remote.get(url).map(|own| own.problem.clone()).unwrap_or_default();
        let mut next = current.materials.clone();
        let arrived = next.arrived(url, answer, now, spread());
        if let Some(problem) = problem
            && problem != had
        {
            warn!(%url, problem, "a revocation list was not fetched");
        }
        let assembled = next.find_remote().and_then(|()| next.assemble());
        match assembled {
            Err(error) => {
                // Too many entries or addresses: the lists stay as they were, and the address says why.
                let problem = Chain(&error).to_string();
                error!(%url, problem, "a revocation list that was fetched cannot be used");
                current.materials.arrived(url, Err(problem), now, spread());
            }
            Ok(assembled) if arrived == Arrived::New => {
                let ended = self.exchange(&mut current, next, assembled).await;
                info!(%url, ended, "a new revocation list is in use");
                drop(current);
                self.tell_stale(now).await;
            }
            Ok(assembled) => {
                current.materials = next;
                self.0.access.change(|state| state.revocation = assembled.revocation);
            }
        }
    }
}

/// Reads a list that was fetched, and keeps a copy of it where it is newer than what there is.
fn parse(
    bytes: Vec<u8>,
    authorities: &[Authority],
    known: Option<&Arc<List>>,
    folder: &Path,
    url: &ListUrl,
) -> Result<Arc<List>, String> {
    let ders =
        crate::crl::file::der_of(bytes, Path::new(&url.to_string())).map_err(|error| Chain(&error).to_string())?;
    let [der] = &ders[..] else { return Err(format!("the answer holds {} lists (expected one)", ders.len())) };
    let list = List::read(der, authorities).map_err(|error| Chain(&error).to_string())?;
    let newer = known.is_none_or(|known| known.digest != list.digest && !list.is_older_than(known));
    if newer && let Err(error) = fetch::keep(folder, url, der) {
        warn!(%url, folder = %folder.display(), %error, "a revocation list cannot be kept for the next start");
    }
    Ok(list)
}

/// A number from 0 to 1, so that collectors that started together do not ask together.
fn spread() -> f64 {
    let mut hasher = DefaultHasher::new();
    SystemTime::now().hash(&mut hasher);
    std::process::id().hash(&mut hasher);
    let drawn = u32::try_from(hasher.finish() >> 32).unwrap_or_default();
    f64::from(drawn) / f64::from(u32::MAX)
}

/// The settings that differ from those at start and take effect with a restart only.
fn needs_restart(started: &Config, now: &Config) -> Vec<String> {
    let (Some(started), Some(now)) = (&started.origin, &now.origin) else { return Vec::new() };
    let (before, after) = (flat(&started.table), flat(&now.table));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let reloaded =
        |name: &str| RELOADED.iter().any(|own| if own.ends_with('.') { name.starts_with(own) } else { name == *own });
    changed.filter(|name| !reloaded(name)).cloned().collect()
}

/// Every key with its section.
fn flat(table: &toml::Table) -> std::collections::BTreeMap<String, toml::Value> {
    let mut flat = std::collections::BTreeMap::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(section) => {
                flat.extend(section.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone())));
            }
            other => {
                flat.insert(name.clone(), other.clone());
            }
        }
    }
    flat
}

/// What the files of a configuration are like. Blocks.
pub(crate) fn look(config: &Config) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut paths: Vec<PathBuf> = config.origin.iter().map(|origin| origin.path.clone()).collect();
    for tls in [Some(&config.probes.tls), config.operators.tls.as_ref()].into_iter().flatten() {
        paths.extend([&tls.certificate, &tls.key, &tls.ca].map(Clone::clone));
    }
    match crate::crl::file::files(&config.crl.files) {
        Ok(files) => paths.extend(files),
        Err(error) => error.to_string().hash(&mut hasher),
    }
    for path in paths {
        path.hash(&mut hasher);
        match fs::metadata(&path) {
            Ok(found) if found.len() <= COMPARED_BYTES => match fs::read(&path) {
                Ok(bytes) => bytes.hash(&mut hasher),
                Err(error) => error.kind().hash(&mut hasher),
            },
            Ok(found) => {
                found.len().hash(&mut hasher);
                found.modified().ok().hash(&mut hasher);
                identity_of(&found).hash(&mut hasher);
            }
            Err(error) => error.kind().hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Which file it is, so that another one in its place is seen.
#[cfg(unix)]
fn identity_of(found: &fs::Metadata) -> impl Hash {
    use std::os::unix::fs::MetadataExt as _;
    (found.dev(), found.ino(), found.ctime(), found.ctime_nsec())
}

#[cfg(not(unix))]
fn identity_of(found: &fs::Metadata) -> impl Hash {
    found.created().ok()
}

/// Reloads at every SIGHUP, until `stop`.
#[cfg(unix)]
pub async fn reload_on_signal(reloader: Reloader, stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        warn!("SIGHUP cannot be listened for");
        return;
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            received = hangup.recv() => match received {
                // The outcome is logged and shown.
                Some(()) => drop(reloader.reload("SIGHUP").await),
                None => return,
            },
        }
    }
}

/// There is no such signal here.
#[cfg(not(unix))]
pub async fn reload_on_signal(_reloader: Reloader, _stop: CancellationToken) {}
