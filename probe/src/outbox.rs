//! What the probe remembers across restarts: who it is, which report comes next, and what the collector has.
//!
//! The state is one small file, replaced as a whole (written beside it, synced, renamed), so a crash between any two
//! steps leaves either the old state or the new one. The number of a report is written *before* the report is sent:
//! a number is never used twice, whatever happens after it.
//!
//! What cannot be trusted is replaced rather than guessed: a state that is damaged, or written by a newer probe, is set
//! aside and the probe goes on under a new incarnation, which makes the collector ask for everything again. The same
//! happens when the collector says that it already knows a later report, because then this state was rolled back.
//! A disk that cannot be written never stops reporting; the probe says so and goes on in memory.
//!
//! Digests are opaque here and nothing in this file knows how a report travels.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use muster_evidence::{HostName, InstallId, ObservationKey, SeriesAppend, SeriesKind, SeriesPoint, limits};
use serde::{Deserialize, Serialize};

/// The format this build writes. A file of a newer one is set aside, never parsed.
const FORMAT: u32 = 1;
/// The state file.
const STATE_FILE: &str = "state.json";
/// The file with the install id, apart so that it outlives a damaged state.
const INSTALL_FILE: &str = "install-id";
/// The file whose lock says that a probe is using the folder.
const LOCK_FILE: &str = "lock";
/// Largest state file that is read, in bytes: a relay of 20,000 machines stays below.
const MAX_STATE_BYTES: u64 = 256 * 1024 * 1024;
/// Most hosts whose acknowledged digests are remembered. Beyond, bodies are sent again.
const MAX_HOSTS: usize = 50_000;

/// A digest as the wire compares it: the first 16 bytes of a SHA-256.
pub type Digest = [u8; 16];

/// Draws random bytes.
pub type Entropy = fn(&mut [u8]) -> io::Result<()>;

/// Draws random bytes from the system.
pub fn system_entropy(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}

/// The probe's memory.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    /// Held as long as the outbox lives; `None` where the folder cannot be written.
    _lock: Option<File>,
    install_id: InstallId,
    state: State,
    entropy: Entropy,
    /// Whether the last attempt to write failed, so that it is said once and not at every report.
    failing: bool,
}

/// Something that happened to the state which a person should know.
#[derive(Debug, thiserror::Error)]
pub enum Notice {
    /// A file could not be understood and was moved out of the way.
    #[error("state file `{file}` {why}; it is set aside as `{aside}`, and everything is reported anew")]
    SetAside {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
        /// Where it lies now.
        aside: String,
    },
    /// The state cannot be kept.
    #[error("failed to write state to `{folder}`; reporting goes on, but after a restart everything is sent again")]
    NotKept {
        /// The folder.
        folder: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state can be kept again.
    #[error("state is written to `{folder}` again")]
    KeptAgain {
        /// The folder.
        folder: String,
    },
    /// The collector knows later reports than this state does.
    #[error("the state in `{folder}` was rolled back; going on as a new incarnation")]
    RolledBack {
        /// The folder.
        folder: String,
    },
}

/// Why there is no outbox.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Another probe uses the folder.
    #[error("state folder `{folder}` is in use by another probe (stop it, or give this one its own `state_dir`)")]
    InUse {
        /// The folder.
        folder: String,
    },
    /// The system gave no random numbers.
    #[error("failed to draw a random number")]
    Entropy {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    format: u32,
    incarnation: u64,
    /// Number of the last report that may have been sent.
    sequence: u64,
    /// Digests the collector has, by host and observation.
    #[serde(default)]
    acknowledged: BTreeMap<HostName, BTreeMap<String, String>>,
    /// Points of series that the collector does not have yet, by the series' number.
    #[serde(default)]
    series: BTreeMap<u16, Ring>,
    /// How far inventories have been told, by forest and source.
    #[serde(default)]
    inventories: BTreeMap<String, InventoryProgress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ring {
    /// Number of the last point ever added.
    last: u64,
    /// The points that are still held, the newest last.
    points: VecDeque<SeriesPoint>,
}

/// How far one inventory has been told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryProgress {
    /// Number of the full pass.
    pub epoch: u64,
    /// What the pass says, so that a changed one begins a new epoch.
    pub content: String,
    /// How many parts the pass has.
    #[serde(default)]
    pub parts: u64,
    /// Everything up to this part is stored at the collector.
    pub stored: u64,
}

impl Outbox {
    /// Opens the folder, makes it where it does not exist, and finds out who this probe is.
    pub fn open(folder: &Path, entropy: Entropy) -> Result<(Self, Vec<Notice>), OutboxError> {
        let mut notices = Vec::new();
        let lock = match lock(folder) {
            Ok(lock) => Some(lock),
            Err(Locking::InUse) => return Err(OutboxError::InUse { folder: folder.display().to_string() }),
            Err(Locking::Failed(source)) => {
                notices.push(Notice::NotKept { folder: folder.display().to_string(), source });
                None
            }
        };
        let install_id = install_id(folder, entropy, &mut notices)?;
        let state = match State::read(folder, &mut notices) {
            Some(state) => state,
            None => State::fresh(entropy)?,
        };
        let failing = notices.iter().any(|notice| matches!(notice, Notice::NotKept { .. }));
        Ok((Self { folder: folder.to_owned(), _lock: lock, install_id, state, entropy, failing }, notices))
    }

    /// The installation.
    pub const fn install_id(&self) -> InstallId {
        self.install_id
    }

    /// The incarnation.
    pub const fn incarnation(&self) -> u64 {
        self.state.incarnation
    }

    /// Takes the numbers of the next `count` reports and gives the first of them. They are on disk when this returns;
    /// where they cannot be, the notice says so and reporting may go on.
    pub fn take_sequences(&mut self, count: u64) -> (u64, Option<Notice>) {
        let first = self.state.sequence.saturating_add(1);
        self.state.sequence = self.state.sequence.saturating_add(count);
        (first, self.write())
    }

    /// Whether the collector has that body of an observation.
    pub fn has(&self, host: &HostName, key: &ObservationKey, digest: &Digest) -> bool {
        self.state.acknowledged.get(host).and_then(|digests| digests.get(&key.to_string())) == Some(&hex(digest))
    }

    /// Notes what the collector has of a host, in place of what was noted before.
    pub fn acknowledged<'k>(&mut self, host: &HostName, held: impl Iterator<Item = (&'k ObservationKey, Digest)>) {
        let known = self.state.acknowledged.contains_key(host);
        if !known && self.state.acknowledged.len() >= MAX_HOSTS {
            return;
        }
        let digests = held.map(|(key, digest)| (key.to_string(), hex(&digest))).collect();
        self.state.acknowledged.insert(host.clone(), digests);
    }

    /// Forgets that the collector has an observation, because it says it has not.
    pub fn lacks(&mut self, host: &HostName, key: &ObservationKey) {
        if let Some(digests) = self.state.acknowledged.get_mut(host) {
            digests.remove(&key.to_string());
        }
    }

    /// Begins a new incarnation: the collector knows a later report than this state does.
    pub fn rolled_back(&mut self) -> Result<Notice, OutboxError> {
        let fresh = State::fresh(self.entropy)?;
        // The series stay: their numbers are merged at the collector, whatever the incarnation.
        let series = std::mem::take(&mut self.state.series);
        self.state = State { series, ..fresh };
        Ok(Notice::RolledBack { folder: self.folder.display().to_string() })
    }

    /// Adds a point to a series. The oldest one falls out when the ring is full.
    pub fn push_point(&mut self, series: SeriesKind, point: SeriesPoint) {
        let ring = self.state.series.entry(series.number()).or_default();
        ring.last = ring.last.saturating_add(1);
        ring.points.push_back(point);
        while ring.points.len() > limits::SERIES_RING_POINTS {
            ring.points.pop_front();
        }
    }

    /// The points that the collector does not have yet, as many as one report carries: full rings fit, so that weeks off
    /// the network are told in one report.
    pub fn pending_series(&self) -> Vec<SeriesAppend> {
        let mut appends = Vec::new();
        for (number, ring) in &self.state.series {
            let Some(series) = SeriesKind::from_number(*number) else { continue };
            let mut first_sequence = ring.last.saturating_sub(ring.points.len() as u64).saturating_add(1);
            let points: Vec<SeriesPoint> = ring.points.iter().copied().collect();
            for points in points.chunks(limits::SERIES_POINTS_PER_APPEND) {
                appends.push(SeriesAppend { series, first_sequence, points: points.to_vec() });
                first_sequence = first_sequence.saturating_add(points.len() as u64);
            }
        }
        appends.truncate(limits::SERIES_PER_REPORT);
        appends
    }

    /// Drops the points that the collector has stored.
    pub fn series_stored(&mut self, series: SeriesKind, up_to: u64) {
        if let Some(ring) = self.state.series.get_mut(&series.number()) {
            while !ring.points.is_empty() && ring.last - (ring.points.len() as u64 - 1) <= up_to {
                ring.points.pop_front();
            }
        }
    }

    /// The pass that an inventory with that content belongs to: the one under way, or a new one where it changed.
    pub fn inventory(&mut self, forest: &str, source: &str, content: &str, parts: u64) -> InventoryProgress {
        let progress = self.state.inventories.entry(inventory_key(forest, source)).or_default();
        if progress.content != content {
            let epoch = progress.epoch.saturating_add(1);
            *progress = InventoryProgress { epoch, content: content.to_owned(), parts, stored: 0 };
        }
        progress.clone()
    }

    /// How far an inventory has been told; `None` where it never was.
    pub fn inventory_progress(&self, forest: &str, source: &str) -> Option<InventoryProgress> {
        self.state.inventories.get(&inventory_key(forest, source)).cloned()
    }

    /// Notes how far an inventory is stored. An answer about another pass than the one under way is ignored, except
    /// that a later one moves ours beyond it.
    pub fn inventory_stored(&mut self, forest: &str, source: &str, epoch: u64, cursor: u64) {
        if let Some(progress) = self.state.inventories.get_mut(&inventory_key(forest, source)) {
            if epoch == progress.epoch {
                progress.stored = cursor;
            } else if epoch > progress.epoch {
                progress.epoch = epoch.saturating_add(1);
                progress.stored = 0;
            }
        }
    }

    /// Writes the state. Says so when that begins or ends to fail.
    pub fn write(&mut self) -> Option<Notice> {
        let folder = self.folder.display().to_string();
        match self.state.write(&self.folder) {
            Ok(()) if self.failing => {
                self.failing = false;
                Some(Notice::KeptAgain { folder })
            }
            Ok(()) => None,
            Err(_) if self.failing => None,
            Err(source) => {
                self.failing = true;
                Some(Notice::NotKept { folder, source })
            }
        }
    }
}

impl State {
    fn fresh(entropy: Entropy) -> Result<Self, OutboxError> {
        let mut bytes = [0; 8];
        entropy(&mut bytes).map_err(|source| OutboxError::Entropy { source })?;
        // 0 is no incarnation on the wire.
        let incarnation = u64::from_le_bytes(bytes).max(1);
        Ok(Self {
            format: FORMAT,
            incarnation,
            sequence: 0,
            acknowledged: BTreeMap::new(),
            series: BTreeMap::new(),
            inventories: BTreeMap::new(),
        })
    }

    /// The state on disk; `None` where there is none that can be used.
    fn read(folder: &Path, notices: &mut Vec<Notice>) -> Option<Self> {
        let path = folder.join(STATE_FILE);
        let text = match read_bounded(&path, MAX_STATE_BYTES) {
            Ok(text) => text,
            Err(error) if is_missing(&error) => return None,
            Err(error) => {
                set_aside(&path, format!("cannot be read ({error})"), notices);
                return None;
            }
        };
        match Self::parse(&text) {
            Ok(state) => Some(state),
            Err(why) => {
                set_aside(&path, why, notices);
                None
            }
        }
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        // The format is read alone first: of a newer one nothing else may be believed.
        let Format { format } = serde_json::from_slice(text).map_err(|error| format!("is damaged ({error})"))?;
        if format != FORMAT {
            return Err(format!("has format {format}, this build reads {FORMAT}"));
        }
        let state: Self = serde_json::from_slice(text).map_err(|error| format!("is damaged ({error})"))?;
        if state.incarnation == 0 {
            return Err("is damaged (incarnation 0)".to_owned());
        }
        if state.series.values().any(|ring| ring.last < ring.points.len() as u64) {
            return Err("is damaged (a series holds more points than it ever had)".to_owned());
        }
        Ok(state)
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        replace(folder, STATE_FILE, &text)
    }
}

/// Puts a file in place as a whole: written beside it, synced, renamed, and the folder synced, so that after a power
/// cut there is the old file or the new one.
fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, folder.join(name))?;
    sync_folder(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems do not let a folder be opened for syncing; there the file system's own journal orders the rename.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

enum Locking {
    InUse,
    Failed(io::Error),
}

fn lock(folder: &Path) -> Result<File, Locking> {
    fs::create_dir_all(folder).map_err(Locking::Failed)?;
    let path = folder.join(LOCK_FILE);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(Locking::Failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Locking::InUse),
        Err(TryLockError::Error(error)) => Err(Locking::Failed(error)),
    }
}

fn install_id(folder: &Path, entropy: Entropy, notices: &mut Vec<Notice>) -> Result<InstallId, OutboxError> {
    let path = folder.join(INSTALL_FILE);
    match read_bounded(&path, 256) {
        Ok(text) => match std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()) {
            Some(id) => return Ok(id),
            None => set_aside(&path, "is damaged (expected 32 hexadecimal characters)".to_owned(), notices),
        },
        Err(error) if is_missing(&error) => {}
        Err(error) => set_aside(&path, format!("cannot be read ({error})"), notices),
    }
    let mut bytes = [0; 16];
    entropy(&mut bytes).map_err(|source| OutboxError::Entropy { source })?;
    let id = InstallId(bytes);
    if let Err(source) = replace(folder, INSTALL_FILE, format!("{id}\n").as_bytes())
        && !notices.iter().any(|notice| matches!(notice, Notice::NotKept { .. }))
    {
        notices.push(Notice::NotKept { folder: folder.display().to_string(), source });
    }
    Ok(id)
}

/// Moves a file out of the way under a name that is free, so that a person can look at it.
fn set_aside(path: &Path, why: String, notices: &mut Vec<Notice>) {
    let aside = (1..=100).map(|n| path.with_extension(format!("aside-{n}"))).find(|aside| !aside.exists());
    // The hundred first ones were enough to look at; the last is overwritten.
    let aside = aside.unwrap_or_else(|| path.with_extension("aside-100"));
    // Where even this fails the file stays, and the next write of the state replaces it.
    let _ = fs::rename(path, &aside);
    notices.push(Notice::SetAside { file: path.display().to_string(), why, aside: aside.display().to_string() });
}

/// Whether the file, or a folder on the way to it, does not exist.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

fn inventory_key(forest: &str, source: &str) -> String {
    format!("{forest}/{source}")
}

fn hex(digest: &Digest) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Kind, Timestamp};

    use super::*;

    fn open(folder: &Path) -> (Outbox, Vec<Notice>) {
        Outbox::open(folder, system_entropy).unwrap()
    }

    fn host() -> HostName {
        "pc-0417.corp.example".parse().unwrap()
    }

    fn key() -> ObservationKey {
        ObservationKey::host(Kind::Tpm)
    }

    fn point(n: i64) -> SeriesPoint {
        SeriesPoint { at: Timestamp::from_unix_seconds(n).unwrap(), milli: n }
    }

    #[test]
    fn a_number_is_never_used_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (mut outbox, notices) = open(folder.path());
        assert!(notices.is_empty(), "{notices:?}");
        let (id, incarnation) = (outbox.install_id(), outbox.incarnation());
        assert_eq!(outbox.take_sequences(1).0, 1);
        assert_eq!(outbox.take_sequences(5).0, 2);
        // As after a kill: nothing is written on the way out.
        drop(outbox);
        let (mut outbox, notices) = open(folder.path());
        assert!(notices.is_empty(), "{notices:?}");
        assert_eq!((outbox.install_id(), outbox.incarnation()), (id, incarnation));
        assert_eq!(outbox.take_sequences(1).0, 7);
    }

    #[test]
    fn a_crash_between_the_steps_leaves_the_old_state_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut outbox, _) = open(folder.path());
        outbox.take_sequences(41);
        let old = fs::read(folder.path().join(STATE_FILE)).unwrap();
        outbox.take_sequences(1);
        let new = fs::read(folder.path().join(STATE_FILE)).unwrap();
        drop(outbox);
        // Every length the file beside it can have been left with by a crash before the rename.
        for cut in (0..=new.len()).step_by(7).chain([new.len()]) {
            fs::write(folder.path().join(STATE_FILE), &old).unwrap();
            fs::write(folder.path().join(format!("{STATE_FILE}.new")), &new[..cut]).unwrap();
            let (mut outbox, notices) = open(folder.path());
            assert!(notices.is_empty(), "{notices:?}");
            assert_eq!(outbox.take_sequences(1).0, 42, "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_state_is_set_aside_and_a_new_incarnation_begins() {
        let folder = tempfile::tempdir().unwrap();
        let (mut outbox, _) = open(folder.path());
        outbox.take_sequences(9);
        let (id, incarnation) = (outbox.install_id(), outbox.incarnation());
        drop(outbox);
        let path = folder.path().join(STATE_FILE);
        let good = fs::read_to_string(&path).unwrap();
        let cases = [
            (good[..good.len() / 2].to_owned(), "is damaged"),
            (good.replace("\"format\":1", "\"format\":9"), "has format 9, this build reads 1"),
            (good.replace(&format!("\"incarnation\":{incarnation}"), "\"incarnation\":0"), "incarnation 0"),
            (String::new(), "is damaged"),
            ("\0".repeat(64), "is damaged"),
        ];
        for (text, why) in cases {
            fs::write(&path, &text).unwrap();
            let (mut outbox, notices) = open(folder.path());
            let [Notice::SetAside { why: told, aside, .. }] = notices.as_slice() else { panic!("{notices:?}") };
            assert!(told.contains(why), "{told}");
            assert_eq!(fs::read_to_string(aside).unwrap(), text, "what was there can still be looked at");
            assert_eq!(outbox.install_id(), id, "the installation is still the same");
            assert_ne!(outbox.incarnation(), incarnation);
            assert_eq!(outbox.take_sequences(1).0, 1);
        }
    }

    #[test]
    fn a_damaged_install_id_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let id = open(folder.path()).0.install_id();
        fs::write(folder.path().join(INSTALL_FILE), "gone").unwrap();
        let (outbox, notices) = open(folder.path());
        assert!(matches!(notices.as_slice(), [Notice::SetAside { .. }]), "{notices:?}");
        assert_ne!(outbox.install_id(), id);
        drop(outbox);
        assert!(open(folder.path()).1.is_empty());
    }

    #[test]
    fn a_disk_that_cannot_be_written_never_stops_reporting_and_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let (mut outbox, _) = open(folder.path());
        outbox.take_sequences(1);
        // A folder in the place of the file beside it: every write fails, as on a full disk, also for root.
        let obstacle = folder.path().join(format!("{STATE_FILE}.new"));
        fs::create_dir(&obstacle).unwrap();
        let (number, notice) = outbox.take_sequences(1);
        assert_eq!(number, 2);
        assert!(matches!(notice, Some(Notice::NotKept { .. })), "{notice:?}");
        let (number, notice) = outbox.take_sequences(1);
        assert_eq!(number, 3);
        assert!(notice.is_none(), "{notice:?}");
        fs::remove_dir(&obstacle).unwrap();
        let (number, notice) = outbox.take_sequences(1);
        assert_eq!(number, 4);
        assert!(matches!(notice, Some(Notice::KeptAgain { .. })), "{notice:?}");
        drop(outbox);
        assert_eq!(open(folder.path()).0.take_sequences(1).0, 5);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let (mut outbox, notices) = open(&file.join("below"));
        assert!(matches!(notices.as_slice(), [Notice::NotKept { .. }]), "{notices:?}");
        assert_eq!(outbox.take_sequences(1).0, 1);
    }

    #[test]
    fn one_folder_belongs_to_one_probe() {
        let folder = tempfile::tempdir().unwrap();
        let (outbox, _) = open(folder.path());
        let error = Outbox::open(folder.path(), system_entropy).unwrap_err();
        assert!(matches!(error, OutboxError::InUse { .. }), "{error}");
        drop(outbox);
        assert!(Outbox::open(folder.path(), system_entropy).is_ok());
    }

    #[test]
    fn what_the_collector_has_is_remembered_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (mut outbox, _) = open(folder.path());
        assert!(!outbox.has(&host(), &key(), &[7; 16]));
        outbox.acknowledged(&host(), [(&key(), [7; 16])].into_iter());
        outbox.write();
        drop(outbox);
        let (mut outbox, _) = open(folder.path());
        assert!(outbox.has(&host(), &key(), &[7; 16]));
        assert!(!outbox.has(&host(), &key(), &[8; 16]), "another body");
        assert!(!outbox.has(&"other.corp.example".parse().unwrap(), &key(), &[7; 16]), "another host");
        outbox.lacks(&host(), &key());
        assert!(!outbox.has(&host(), &key(), &[7; 16]));
        outbox.acknowledged(&host(), [(&key(), [7; 16])].into_iter());
        let incarnation = outbox.incarnation();
        outbox.rolled_back().unwrap();
        assert_ne!(outbox.incarnation(), incarnation);
        assert!(!outbox.has(&host(), &key(), &[7; 16]), "a new incarnation tells everything");
    }

    #[test]
    fn series_are_held_until_stored_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (mut outbox, _) = open(folder.path());
        for n in 1..=3 {
            outbox.push_point(SeriesKind::KdcAsRate, point(n));
        }
        outbox.write();
        drop(outbox);
        let (mut outbox, _) = open(folder.path());
        let pending = outbox.pending_series();
        assert_eq!((pending[0].first_sequence, pending[0].points.len()), (1, 3));
        outbox.series_stored(SeriesKind::KdcAsRate, 2);
        let pending = outbox.pending_series();
        assert_eq!((pending[0].first_sequence, pending[0].points.as_slice()), (3, [point(3)].as_slice()));
        outbox.series_stored(SeriesKind::KdcAsRate, 99);
        assert!(outbox.pending_series().is_empty());
        for n in 1..=2_000 {
            outbox.push_point(SeriesKind::KdcAsRate, point(n));
        }
        let pending = outbox.pending_series();
        assert_eq!(pending[0].first_sequence, 3 + 2_000 - limits::SERIES_RING_POINTS as u64 + 1);
        // Everything that is held, append by append without a gap.
        let mut next = pending[0].first_sequence;
        for append in &pending {
            assert!(append.points.len() <= limits::SERIES_POINTS_PER_APPEND);
            assert_eq!(append.first_sequence, next);
            next += append.points.len() as u64;
        }
        assert_eq!(next, 3 + 2_000 + 1);
    }

    #[test]
    fn a_changed_inventory_begins_a_new_pass() {
        let folder = tempfile::tempdir().unwrap();
        let (mut outbox, _) = open(folder.path());
        assert_eq!(outbox.inventory("corp.example", "keys", "a", 5).epoch, 1);
        outbox.inventory_stored("corp.example", "keys", 1, 3);
        assert_eq!(outbox.inventory("corp.example", "keys", "a", 5).stored, 3);
        let next = outbox.inventory("corp.example", "keys", "b", 5);
        assert_eq!((next.epoch, next.stored), (2, 0));
        outbox.inventory_stored("corp.example", "keys", 7, 1);
        assert_eq!(outbox.inventory("corp.example", "keys", "b", 5).epoch, 8, "beyond what the collector knows");
    }
}
