//! sled's files: opening them, syncing them, the reserve beside them, and what their faults are called.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use muster_evidence::Timestamp;

use super::GROUP_BYTES;
use crate::store::StoreError;
use crate::store::backup::{self, BackupInfo, sync_folder};
use crate::store::look;
use crate::store::map::{Draft, Map, Table, Visit, Writes};
use crate::store::record::{STORE_FORMAT, key};

/// How often sled's flusher looks for segments to empty, in milliseconds.
const TIDY_EVERY_MS: u64 = 500;

/// sled's page cache, in bytes. Its index of pages comes on top, about 450 MB for a million hosts.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// The reserve: an eighth of the data within these bounds. Opening a database writes a snapshot of its page table,
/// a hundredth of the data.
const LEAST_RESERVE: u64 = 4 * 1024 * 1024;
const LARGEST_RESERVE: u64 = 256 * 1024 * 1024;
/// How long a directory's lock may take to be released by a process, or a database, that is ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const DATA: &str = "db";
const BLOBS: &str = "blobs";
pub(super) const RESERVE: &str = "reserve";
/// Tells that the directory has held a store: without it, an empty database is a new one.
const MARK: &str = "muster-store";

/// sled's files, as far as they are synced here.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    /// A handle of our own on sled's data.
    data: File,
}

/// What a failed sync is called; the writer treats it apart.
pub(super) const SYNC: &str = "sync";

impl Disk {
    /// Makes everything sled has flushed durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.data.sync_all().map_err(|cause| StoreError::Io { action: SYNC, cause })?;
        self.blobs()
    }

    /// An error while a leaf lies in a file that sled does not sync.
    pub(super) fn blobs(&self) -> Result<(), StoreError> {
        let failed = |cause| StoreError::Io { action: "look for blobs of", cause };
        match fs::read_dir(self.path.join(BLOBS)).map_err(failed)?.next() {
            None => Ok(()),
            Some(entry) => {
                let name = entry.map_err(failed)?.file_name();
                let detail = format!(
                    "sled moved a leaf to `{BLOBS}/{}`, which it does not sync; nothing is acknowledged while it is there",
                    name.display()
                );
                Err(StoreError::Damaged { path: self.path.clone(), detail })
            }
        }
    }
}

/// The open database.
pub(super) struct Database {
    path: PathBuf,
    db: sled::Db,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // sled's own would print every record.
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Database {
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map(drop).map_err(|error| failed(&self.path, "flush", error))
    }
}

impl Map for Database {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.db.get(key).map_err(|error| failed(&self.path, "read", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if start >= end {
            return Ok(());
        }
        for entry in self.db.range(start..end) {
            let (key, value) = entry.map_err(|error| failed(&self.path, "read", error))?;
            if let ControlFlow::Break(()) = visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }
}

impl Table for Database {
    fn commit(&mut self, writes: &Writes) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.db.apply_batch(batch).map_err(|error| failed(&self.path, "write", error))
    }
}

/// Opens the database in a directory with everything that opening writes synced, and checks its format.
pub(super) fn open_database(path: &Path) -> Result<(Database, Disk), StoreError> {
    let open = |cause| {
        if out_of_space(&cause) {
            StoreError::Full { path: path.to_owned() }
        } else {
            StoreError::Open { path: path.to_owned(), cause }
        }
    };
    if !path.is_dir() {
        fs::create_dir_all(path).map_err(open)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent).map_err(open)?;
        }
    }
    wait_for_lock(path)?;
    let marked = path.join(MARK).exists();
    let db = match open_sled(path) {
        Err(StoreError::Damaged { detail, .. }) if set_snapshots_aside(path).map_err(open)? => {
            // A snapshot of the page table only spares reading the log, which is whole without it.
            tracing::warn!(detail, "the store's page table is damaged and is made anew from its log");
            open_sled(path)?
        }
        other => other?,
    };
    let mut database = Database { path: path.to_owned(), db };
    let data = File::options().read(true).write(true).open(path.join(DATA)).map_err(open)?;
    let disk = Disk { path: path.to_owned(), data };
    for name in file_names(path).map_err(open)? {
        // What opening wrote. Directories are synced for their entries.
        let synced = if name == BLOBS {
            sync_folder(&path.join(name))
        } else {
            File::open(path.join(name)).and_then(|file| file.sync_all())
        };
        synced.map_err(open)?;
    }
    disk.data.sync_all().and_then(|()| sync_folder(path)).map_err(open)?;
    let found = catch_unwind(AssertUnwindSafe(|| look::format(&database)));
    match found.unwrap_or_else(|panic| Err(damaged(path, &panic_text(&*panic))))? {
        Some(found) if found > STORE_FORMAT => {
            return Err(StoreError::Newer { path: path.to_owned(), found, known: STORE_FORMAT });
        }
        Some(_) => {}
        None if marked => return Err(damaged(path, "it held a store and has no record of its format any more")),
        None => {
            let mut draft = Draft::over(&database);
            draft.put(key::format(), &STORE_FORMAT)?;
            let writes = draft.into_writes();
            database.commit(&writes)?;
            database.flush()?;
            disk.sync()?;
        }
    }
    if !marked {
        let mark = format!("A store of muster-collector. Do not change or remove files here.\nformat {STORE_FORMAT}\n");
        write_synced(&path.join(MARK), mark.as_bytes()).and_then(|()| sync_folder(path)).map_err(open)?;
    }
    Ok((database, disk))
}

/// Opens sled, answering its panics.
fn open_sled(path: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .mode(sled::Mode::LowSpace)
        // The writer flushes by itself and counts on nobody else. But it is sled's flusher that moves pages out of segments
        // of the file that are mostly dead, so that they can be used again: without it the file grows with every change,
        // since replacing a page, the other occasion for it, moves one page only. It takes half of each interval at most.
        .flush_every_ms(Some(TIDY_EVERY_MS));
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(sled::Error::Io(cause))) if cause.to_string().contains("could not acquire lock") => {
            Err(StoreError::Locked { path: path.to_owned() })
        }
        Ok(Err(sled::Error::Io(cause))) if out_of_space(&cause) => Err(StoreError::Full { path: path.to_owned() }),
        Ok(Err(sled::Error::Io(cause)))
            if matches!(
                cause.kind(),
                ErrorKind::NotFound
                    | ErrorKind::PermissionDenied
                    | ErrorKind::NotADirectory
                    | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Err(StoreError::Open { path: path.to_owned(), cause })
        }
        Ok(Err(error)) => Err(damaged(path, &error.to_string())),
        Err(panic) => Err(damaged(path, &panic_text(&*panic))),
    }
}

/// Renames sled's snapshots of its page table, so that the next opening reads the whole log. Whether there were any.
fn set_snapshots_aside(path: &Path) -> io::Result<bool> {
    let mut any = false;
    for name in file_names(path)? {
        if name.starts_with("snap.") {
            fs::rename(path.join(&name), path.join(format!("damaged-{name}")))?;
            any = true;
        }
    }
    Ok(any)
}

/// The names in a directory that can be names of sled's.
fn file_names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until no one else holds the directory, for as long as an ending process may take.
pub(super) fn wait_for_lock(path: &Path) -> Result<(), StoreError> {
    let open = |cause| StoreError::Open { path: path.to_owned(), cause };
    let data = path.join(DATA);
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        let file = match File::options().read(true).write(true).open(&data) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(open(cause)),
        };
        match file.try_lock() {
            // Released when the handle goes; sled takes its own.
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => pause(),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(cause)) => return Err(open(cause)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "on the store's own thread, or before the runtime serves anybody")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// How large the reserve should be.
pub(super) fn reserve_bytes(path: &Path) -> u64 {
    let data = fs::metadata(path.join(DATA)).map_or(0, |metadata| metadata.len());
    (data / 8).clamp(LEAST_RESERVE, LARGEST_RESERVE)
}

/// Lays the reserve aside: real blocks, so zeros are written rather than a length set. A partial one is removed.
pub(super) fn fill_reserve(path: &Path, bytes: u64) -> io::Result<()> {
    let name = path.join(RESERVE);
    if fs::metadata(&name).is_ok_and(|metadata| metadata.len() >= bytes) {
        return Ok(());
    }
    let chunk = vec![0; 1 << 20];
    let fill = || {
        let mut file = File::create(&name)?;
        let mut left = bytes;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            file.write_all(&chunk[..part])?;
            left -= part as u64;
        }
        file.sync_all()
    };
    let filled = fill();
    if filled.is_err() {
        // What was written of it is space that somebody needs.
        let _ = fs::remove_file(&name);
    }
    filled
}

pub(super) fn out_of_space(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// A failure of sled's in our words.
fn failed(path: &Path, action: &'static str, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(cause) if out_of_space(&cause) => StoreError::Full { path: path.to_owned() },
        sled::Error::Io(cause) => StoreError::Io { action, cause },
        other => damaged(path, &other.to_string()),
    }
}

pub(super) fn damaged(path: &Path, detail: &str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), detail: detail.to_owned() }
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("sled panicked: {}", text.unwrap_or("no message"))
}

/// The same error for another caller: `io::Error` cannot be copied.
pub(super) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full { path } => StoreError::Full { path: path.clone() },
        StoreError::Io { action, cause } => {
            StoreError::Io { action, cause: io::Error::new(cause.kind(), cause.to_string()) }
        }
        StoreError::Damaged { path, detail } => damaged(path, detail),
        StoreError::Closed { why } => StoreError::Closed { why: why.clone() },
        other => StoreError::Closed { why: chain(other) },
    }
}

/// An error with its causes.
pub(super) fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// Moves the files of a damaged store out of the way. Where they are now.
pub(in crate::store) fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{}", now.unix_ms()));
    let aside = PathBuf::from(name);
    let moved = fs::rename(path, &aside)
        .and_then(|()| path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync_folder));
    moved.map_err(|cause| StoreError::Io { action: "set aside", cause })?;
    Ok(aside)
}

/// Makes a store from a backup, in a directory that is empty or does not exist. It appears there only when complete.
pub(in crate::store) fn restore(from: &Path, into: &Path, progress: &dyn Fn(u64)) -> Result<BackupInfo, StoreError> {
    let io = |cause| StoreError::Io { action: "restore", cause };
    if fs::read_dir(into).is_ok_and(|mut entries| entries.next().is_some()) {
        let text = format!("`{}` is not empty", into.display());
        return Err(io(io::Error::new(ErrorKind::DirectoryNotEmpty, text)));
    }
    // Read once to believe it, and once to use it.
    let expected = backup::read(from, |_, _| Ok(()))?;
    let mut name = into.as_os_str().to_owned();
    name.push(".restoring");
    let making = PathBuf::from(name);
    if making.exists() {
        fs::remove_dir_all(&making).map_err(io)?;
    }
    let (mut database, disk) = open_database(&making)?;
    let (mut writes, mut bytes, mut records) = (Writes::new(), 0, 0);
    let found = backup::read(from, |key, value| {
        bytes += key.len() + value.len();
        writes.insert(key, Some(value));
        records += 1;
        if bytes >= GROUP_BYTES {
            database.commit(&writes)?;
            writes.clear();
            bytes = 0;
            progress(records);
        }
        Ok(())
    })?;
    database.commit(&writes)?;
    database.flush()?;
    disk.sync()?;
    progress(records);
    if found != expected {
        return Err(StoreError::Damaged { path: from.to_owned(), detail: "it changed while it was read".to_owned() });
    }
    drop((database, disk));
    wait_for_lock(&making)?;
    if into.exists() {
        fs::remove_dir(into).map_err(io)?;
    }
    fs::rename(&making, into).map_err(io)?;
    if let Some(parent) = into.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync_folder(parent).map_err(io)?;
    }
    Ok(found)
}
