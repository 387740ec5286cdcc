//! The store on disk: sled 0.34.7 behind one writer that commits in groups.
//!
//! What this file knows of sled, so that no other has to:
//!
//! - `flush` on Linux ends in `sync_file_range`, which does not persist a file's metadata, its length among them. So
//!   after each flush the writer syncs sled's file through a second handle of its own: fsync works on the inode.
//! - `conf` and `snap.*` are written while a database is opened and never later, so they and the directory are synced
//!   once, right after opening and before anything is acknowledged.
//! - A leaf above 128 KiB goes to a file in `blobs/` that is never synced. `record` bounds values so that this cannot
//!   happen; should it happen all the same, nothing is acknowledged while a file is there.
//! - After a failed write the database refuses everything until it is opened anew. The writer does that by itself
//!   when the disk was full. It can, because it holds a reserve: a file of its own that it gives up for the opening.
//!   Until the reserve can be laid aside again, changes are refused with [`StoreError::Full`] and reads are served.
//! - Opening can panic on damaged files, and dropping releases the directory's lock a moment later.
//!
//! A failed fsync is another matter: the kernel drops the pages it could not write and tells so once, so a later
//! fsync that succeeds proves nothing. The store closes itself, and says why.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use muster_evidence::Timestamp;
use tokio::sync::{mpsc, watch};

use super::StoreError;
use super::backup::{self, BackupInfo, sync_folder};
use super::look;
use super::map::{Draft, Map, Table, Visit, Writes};
use super::record::{STORE_FORMAT, key};
use super::shared::{Absent, Backend, Change, Job, Shared, job};

/// Changes that wait for the writer; more make their callers wait.
const QUEUE: usize = 1024;
/// The most changes and bytes of one group. Larger ones gain nothing: a group of this size already costs more to
/// write than to sync. One change is never split, whatever its size.
const GROUP_CHANGES: usize = 256;
const GROUP_BYTES: usize = 512 * 1024;
/// sled's page cache, in bytes. Its index of pages comes on top, about 450 MB for a million hosts.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// The reserve: an eighth of the data within these bounds. Opening a database writes a snapshot of its page table,
/// a hundredth of the data.
const LEAST_RESERVE: u64 = 4 * 1024 * 1024;
const LARGEST_RESERVE: u64 = 256 * 1024 * 1024;
/// How long a directory's lock may take to be released by a process, or a database, that is ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How often a read is repeated because what it saw could not be made durable.
const READS: usize = 5;
/// How often a full disk is looked at again.
const FULL_PATIENCE: Duration = Duration::from_millis(500);

const DATA: &str = "db";
const BLOBS: &str = "blobs";
const RESERVE: &str = "reserve";
/// Tells that the directory has held a store: without it, an empty database is a new one.
const MARK: &str = "muster-store";

/// A store on disk.
pub struct SledStore {
    inner: Arc<Inner>,
    /// `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    shared: Shared<Database>,
    /// Grows with each batch that readers can see; 1 is what was found at opening.
    applied: AtomicU64,
    progress: watch::Sender<Progress>,
}

/// How far what readers see is durable.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Batches up to this one are durable.
    durable: u64,
    /// Batches up to this one, as far as they are not durable, will not be.
    lost: u64,
}

impl SledStore {
    /// Opens the store in a directory, or makes one there.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (database, disk) = open_database(path)?;
        let inner = Arc::new(Inner {
            path: path.to_owned(),
            shared: Shared::new(database),
            applied: AtomicU64::new(1),
            progress: watch::Sender::new(Progress { durable: 1, lost: 0 }),
        });
        let mut writer = Writer { inner: Arc::clone(&inner), disk: Some(disk), full_since: None };
        match fill_reserve(path, reserve_bytes(path)) {
            Ok(()) => {}
            Err(cause) if out_of_space(&cause) => writer.full_since = Some(Instant::now()),
            Err(cause) => return Err(StoreError::Io { action: "lay aside the reserve of", cause }),
        }
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(jobs));
        let thread = thread.map_err(|cause| StoreError::Io { action: "start the writer of", cause })?;
        Ok(Self { inner, queue: Mutex::new(Some(queue)), writer: Mutex::new(Some(thread)) })
    }

    fn end(&self) -> Option<JoinHandle<()>> {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reads once; `None` where what was seen rests on a batch that then could not be committed.
    async fn read_once<T, F>(&self, look: Arc<F>) -> Result<Option<T>, StoreError>
    where
        T: Send + 'static,
        F: Fn(&dyn Map) -> Result<T, StoreError> + Send + Sync + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let read = tokio::task::spawn_blocking(move || {
            inner.shared.look(|database| {
                let seen = inner.applied.load(Ordering::Acquire);
                let result = catch_unwind(AssertUnwindSafe(|| look(database)));
                let result = result.unwrap_or_else(|panic| Err(damaged(&inner.path, &panic_text(&*panic))));
                Ok((result?, seen))
            })
        });
        let (result, seen) = read.await.map_err(|error| StoreError::Closed { why: error.to_string() })??;
        // What a reader saw may rest on a batch that is not synced yet, and an answer given from it would be an
        // acknowledgement before its time.
        let mut progress = self.inner.progress.subscribe();
        let reached = progress.wait_for(|progress| progress.durable >= seen || progress.lost >= seen).await;
        let reached = reached.map_err(|_| StoreError::Closed { why: "its writer has ended".to_owned() })?;
        Ok((reached.lost < seen).then_some(result))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // So that the directory is free when this returns. The writer ends as soon as its queue is empty.
        if let Some(writer) = self.end()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

#[async_trait]
impl Backend for SledStore {
    async fn read<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&dyn Map) -> Result<T, StoreError> + Send + Sync + 'static,
    {
        let full = self.inner.shared.look(|_| Ok(())).is_err_and(|error| matches!(error, StoreError::Full { .. }));
        if full {
            // There is no database to read: an empty change makes the writer look for space again. If there still is
            // none, the read itself says so.
            let _ = self.write::<()>(vec![Box::new(|_| Ok(()))]).await;
        }
        let look = Arc::new(look);
        for _ in 0..READS {
            if let Some(result) = self.read_once(Arc::clone(&look)).await? {
                return Ok(result);
            }
        }
        Err(StoreError::Io {
            action: "make durable what was read from",
            cause: io::Error::other(format!("the batches it rests on could not be committed, {READS} times")),
        })
    }

    async fn write<T: Send + 'static>(&self, changes: Vec<Change<T>>) -> Result<Vec<T>, StoreError> {
        let closed = || StoreError::Closed { why: "it was closed".to_owned() };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            let (job, answer) = job(change);
            queue.send(job).await.map_err(|_| closed())?;
            answers.push(answer);
        }
        drop(queue);
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(answer.await.map_err(|_| closed())??);
        }
        Ok(results)
    }

    async fn copy(&self, into: PathBuf, progress: Arc<dyn Fn(u64) + Send + Sync>) -> Result<u64, StoreError> {
        let inner = Arc::clone(&self.inner);
        let copied = tokio::task::spawn_blocking(move || inner.shared.copy(&into, &*progress)).await;
        copied.map_err(|error| StoreError::Closed { why: error.to_string() })?
    }

    async fn shut(&self) -> Result<(), StoreError> {
        let Some(writer) = self.end() else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(move || writer.join()).await;
        match joined {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(StoreError::Closed { why: "its writer panicked".to_owned() }),
        }
    }
}

/// The one thread that changes the store.
struct Writer {
    inner: Arc<Inner>,
    /// `None` while there is no database.
    disk: Option<Disk>,
    /// Since when changes are refused for want of space, or when that was last looked at.
    full_since: Option<Instant>,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut group = Vec::new();
            let ended = catch_unwind(AssertUnwindSafe(|| self.group(first, &mut jobs, &mut group)));
            let outcome = ended.unwrap_or_else(|panic| Err(damaged(&self.inner.path, &panic_text(&*panic))));
            match outcome {
                Ok(()) => {
                    for job in group {
                        job.finish(None);
                    }
                }
                Err(error) => {
                    // The database first: whoever is answered may try again at once.
                    self.mend(&error);
                    for job in group {
                        job.finish(Some(&|| again(&error)));
                    }
                }
            }
        }
        self.inner.shared.replace(|| Err(Absent::Closed("it was closed".to_owned())));
        // The lock is released with the database's last thread.
        if let Err(error) = wait_for_lock(&self.inner.path) {
            tracing::warn!(error = %error, "the store's directory is still locked");
        }
    }

    /// Takes what is queued, within bounds, and makes it durable.
    fn group(
        &mut self,
        first: Box<dyn Job>,
        jobs: &mut mpsc::Receiver<Box<dyn Job>>,
        group: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), StoreError> {
        // Before anything can fail: a job in the group is a job that is answered.
        group.push(first);
        self.look_for_space()?;
        let inner = Arc::clone(&self.inner);
        let writes = inner.shared.look(|database| {
            let mut draft = Draft::over(database);
            let mut at = 0;
            while let Some(job) = group.get_mut(at) {
                job.run(&mut draft);
                at += 1;
                if at < GROUP_CHANGES
                    && draft.bytes() < GROUP_BYTES
                    && let Ok(next) = jobs.try_recv()
                {
                    group.push(next);
                }
            }
            Ok(draft.into_writes())
        })?;
        if writes.is_empty() {
            return Ok(());
        }
        inner.shared.apply(&writes, || {
            inner.applied.fetch_add(1, Ordering::Release);
        })?;
        inner.shared.look(Database::flush)?;
        let disk = self.disk.as_ref().ok_or_else(|| StoreError::Closed { why: "it has no file".to_owned() })?;
        disk.sync()?;
        let durable = inner.applied.load(Ordering::Acquire);
        inner.progress.send_modify(|progress| progress.durable = durable);
        Ok(())
    }

    /// While the disk was full: takes changes again only when the reserve has been laid aside anew.
    fn look_for_space(&mut self) -> Result<(), StoreError> {
        let Some(since) = self.full_since else { return Ok(()) };
        let full = || StoreError::Full { path: self.inner.path.clone() };
        if since.elapsed() < FULL_PATIENCE {
            return Err(full());
        }
        self.full_since = Some(Instant::now());
        // Twice the reserve, so that there is something left to write to.
        let bytes = reserve_bytes(&self.inner.path);
        let room = fill_reserve(&self.inner.path, 2 * bytes)
            .and_then(|()| fs::OpenOptions::new().write(true).open(self.inner.path.join(RESERVE)))
            .and_then(|file| file.set_len(bytes));
        if let Err(cause) = room {
            return Err(if out_of_space(&cause) {
                full()
            } else {
                StoreError::Io { action: "lay aside the reserve of", cause }
            });
        }
        if self.disk.is_none() {
            self.reopen();
        }
        self.inner.shared.look(|_| Ok(()))?;
        self.full_since = None;
        tracing::info!(path = %self.inner.path.display(), "the store has space again and takes changes");
        Ok(())
    }

    /// After a failed group: opens the database anew, so that what was acknowledged can be read and more be written.
    fn mend(&mut self, error: &StoreError) {
        let lost = self.inner.applied.load(Ordering::Acquire);
        match error {
            StoreError::Full { .. } if self.full_since.is_none() => {
                tracing::error!(path = %self.inner.path.display(), "no space left for the store; changes are refused");
                self.full_since = Some(Instant::now());
                if let Err(error) = fs::remove_file(self.inner.path.join(RESERVE)) {
                    tracing::warn!(error = %error, "the store's reserve could not be given up");
                }
                self.reopen();
            }
            // Known, or the next group will see for itself.
            StoreError::Full { .. } | StoreError::Closed { .. } => {}
            StoreError::Io { action: SYNC, .. } => {
                tracing::error!(error = %chain(error), "the store could not be synced and closes");
                let why = format!("{}; start the collector again after the disk has been checked", chain(error));
                self.disk = None;
                self.inner.shared.replace(|| Err(Absent::Closed(why)));
            }
            // Blobs: the data is there, and nothing is acknowledged until it has moved.
            StoreError::Damaged { .. } if self.disk.as_ref().is_some_and(|disk| disk.blobs().is_err()) => {
                tracing::error!(error = %chain(error), "the store acknowledges nothing");
            }
            _ => {
                tracing::error!(error = %chain(error), "the store failed and is opened again");
                self.reopen();
            }
        }
        if self.inner.progress.borrow().durable == lost {
            return; // It failed before readers could see anything of it.
        }
        // A new number for what readers see from now on: what was lost must not be confused with it.
        let now = self.inner.applied.fetch_add(1, Ordering::AcqRel) + 1;
        let readable = self.disk.is_some() && !matches!(error, StoreError::Damaged { .. });
        self.inner.progress.send_modify(|progress| {
            progress.lost = lost;
            if readable {
                progress.durable = now;
            }
        });
    }

    fn reopen(&mut self) {
        self.disk = None;
        let path = &self.inner.path;
        let mut disk = None;
        self.inner.shared.replace(|| match open_database(path) {
            Ok((database, opened)) => {
                disk = Some(opened);
                Ok(database)
            }
            Err(StoreError::Full { path }) => Err(Absent::Full(path)),
            Err(error) => {
                tracing::error!(error = %chain(&error), "the store could not be opened again");
                Err(Absent::Closed(chain(&error)))
            }
        });
        self.disk = disk;
    }
}

/// sled's files, as far as they are synced here.
#[derive(Debug)]
struct Disk {
    path: PathBuf,
    /// A handle of our own on sled's data.
    data: File,
}

/// What a failed sync is called; the writer treats it apart.
const SYNC: &str = "sync";

impl Disk {
    /// Makes everything sled has flushed durable.
    fn sync(&self) -> Result<(), StoreError> {
        self.data.sync_all().map_err(|cause| StoreError::Io { action: SYNC, cause })?;
        self.blobs()
    }

    /// An error while a leaf lies in a file that sled does not sync.
    fn blobs(&self) -> Result<(), StoreError> {
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
struct Database {
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
    fn flush(&self) -> Result<(), StoreError> {
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
fn open_database(path: &Path) -> Result<(Database, Disk), StoreError> {
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
        // The writer flushes; a flusher beside it would only take its turns.
        .flush_every_ms(None);
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
fn wait_for_lock(path: &Path) -> Result<(), StoreError> {
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
fn reserve_bytes(path: &Path) -> u64 {
    let data = fs::metadata(path.join(DATA)).map_or(0, |metadata| metadata.len());
    (data / 8).clamp(LEAST_RESERVE, LARGEST_RESERVE)
}

/// Lays the reserve aside: real blocks, so zeros are written rather than a length set. A partial one is removed.
fn fill_reserve(path: &Path, bytes: u64) -> io::Result<()> {
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

fn out_of_space(cause: &io::Error) -> bool {
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

fn damaged(path: &Path, detail: &str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), detail: detail.to_owned() }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("sled panicked: {}", text.unwrap_or("no message"))
}

/// The same error for another caller: `io::Error` cannot be copied.
fn again(error: &StoreError) -> StoreError {
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
fn chain(error: &StoreError) -> String {
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
pub(super) fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{}", now.unix_ms()));
    let aside = PathBuf::from(name);
    let moved = fs::rename(path, &aside)
        .and_then(|()| path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync_folder));
    moved.map_err(|cause| StoreError::Io { action: "set aside", cause })?;
    Ok(aside)
}

/// Makes a store from a backup, in a directory that is empty or does not exist. It appears there only when complete.
pub(super) fn restore(from: &Path, into: &Path, progress: &dyn Fn(u64)) -> Result<BackupInfo, StoreError> {
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
