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

mod database;

use std::cell::Cell;
use std::fs;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use self::database::{
    Database, Disk, RESERVE, SYNC, again, chain, damaged, fill_reserve, open_database, out_of_space, panic_text,
    reserve_bytes, wait_for_lock,
};
use super::StoreError;
use super::feed::{Feed, News};
use super::map::{Draft, Map, Visit, Writes};
use super::shared::{Absent, Backend, Change, Job, Shared, job};

pub(super) use self::database::{restore, set_aside};

/// Changes that wait for the writer; more make their callers wait.
const QUEUE: usize = 1024;
/// The most changes and bytes of one group. Larger ones gain nothing: a group of this size already costs more to
/// write than to sync. One change is never split, whatever its size.
const GROUP_CHANGES: usize = 256;
const GROUP_BYTES: usize = 512 * 1024;
/// How often a read is repeated because what it saw could not be made durable.
const READS: usize = 5;
/// How often a full disk is looked at again.
const FULL_PATIENCE: Duration = Duration::from_millis(500);

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
    feed: Feed,
    /// Grows with each batch that readers can see; 1 is what was found at opening.
    applied: AtomicU64,
    progress: watch::Sender<Progress>,
    /// What readers can see that is not durable yet.
    in_doubt: Mutex<InDoubt>,
}

/// What readers can see that may not be durable: the writer makes one batch durable after the other.
#[derive(Clone, Debug)]
enum InDoubt {
    /// All of it is durable.
    Nothing,
    /// The writes of the batch under way.
    Batch(Arc<Writes>),
    /// A batch could not be made durable, so anything may be.
    Anything,
}

/// A map that notes whether what is read of it is in doubt.
struct Watched<'a> {
    base: &'a dyn Map,
    in_doubt: &'a InDoubt,
    met: Cell<bool>,
}

impl Watched<'_> {
    fn note(&self, met: impl FnOnce(&Writes) -> bool) {
        let met = match self.in_doubt {
            InDoubt::Nothing => false,
            InDoubt::Batch(writes) => met(writes),
            InDoubt::Anything => true,
        };
        self.met.set(self.met.get() || met);
    }
}

impl Map for Watched<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.note(|writes| writes.contains_key(key));
        self.base.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let range = (Bound::Included(start), Bound::Excluded(end));
        self.note(|writes| start < end && writes.range::<[u8], _>(range).next().is_some());
        self.base.scan(start, end, visit)
    }
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
        let feed = Feed::of(&database)?;
        let inner = Arc::new(Inner {
            path: path.to_owned(),
            shared: Shared::new(database),
            feed,
            applied: AtomicU64::new(1),
            progress: watch::Sender::new(Progress { durable: 1, lost: 0 }),
            in_doubt: Mutex::new(InDoubt::Nothing),
        });
        let mut writer =
            Writer { inner: Arc::clone(&inner), disk: Some(disk), full_since: None, news: News::default() };
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
                let in_doubt = inner.in_doubt.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let watched = Watched { base: database, in_doubt: &in_doubt, met: Cell::new(false) };
                let result = catch_unwind(AssertUnwindSafe(|| look(&watched)));
                let result = result.unwrap_or_else(|panic| Err(damaged(&inner.path, &panic_text(&*panic))));
                Ok((result?, watched.met.get().then_some(seen)))
            })
        });
        let (result, seen) = read.await.map_err(|error| StoreError::Closed { why: error.to_string() })??;
        // What a reader saw may rest on a batch that is not synced yet, and an answer given from it would be an
        // acknowledgement before its time. Most reads meet none of its keys, and wait for nobody's disk.
        let Some(seen) = seen else { return Ok(Some(result)) };
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
            // An empty change makes the writer sync what it could not sync before.
            self.write::<()>(vec![Box::new(|_| Ok(()))]).await?;
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

    fn feed(&self) -> Result<&Feed, StoreError> {
        self.inner.shared.look(|_| Ok(()))?;
        Ok(&self.inner.feed)
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
    /// What readers can see and the feed does not tell yet, since it is not durable.
    news: News,
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
                    *self.inner.in_doubt.lock().unwrap_or_else(PoisonError::into_inner) = InDoubt::Anything;
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
        let (writes, news) = inner.shared.look(|database| {
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
            let news = std::mem::take(draft.news());
            Ok((draft.into_writes(), news))
        })?;
        if writes.is_empty() && inner.progress.borrow().durable == inner.applied.load(Ordering::Acquire) {
            return Ok(());
        }
        if !writes.is_empty() {
            let writes = Arc::new(writes);
            inner.shared.apply(&writes, || {
                inner.applied.fetch_add(1, Ordering::Release);
                let mut in_doubt = inner.in_doubt.lock().unwrap_or_else(PoisonError::into_inner);
                // After a failure everything stays in doubt until a sync has passed it.
                if let InDoubt::Nothing = *in_doubt {
                    *in_doubt = InDoubt::Batch(Arc::clone(&writes));
                }
            })?;
            // Readers see it from here on, also if it is made durable by a later group only.
            self.news.join(news);
        }
        inner.shared.look(Database::flush)?;
        let disk = self.disk.as_ref().ok_or_else(|| StoreError::Closed { why: "it has no file".to_owned() })?;
        disk.sync()?;
        let durable = inner.applied.load(Ordering::Acquire);
        inner.progress.send_modify(|progress| {
            progress.durable = durable;
            // An earlier failure that this sync has made good.
            progress.lost = progress.lost.min(durable - 1);
        });
        *inner.in_doubt.lock().unwrap_or_else(PoisonError::into_inner) = InDoubt::Nothing;
        inner.feed.tell(std::mem::take(&mut self.news));
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
            // What cannot be made durable yet is as good as lost to a reader; the next sync that succeeds passes it.
            progress.lost = if readable { lost } else { now };
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

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use muster_evidence::{HostNo, limits};
    use muster_proto::v1;

    use super::*;

    type Read<'a> = &'a dyn Fn(&Watched<'_>);
    use crate::store::map::{Table, Writes};
    use crate::store::record::{LARGEST_VALUE, STORE_FORMAT, encode, key};
    use crate::store::suite::{apply_one, at, hosts, update};
    use crate::store::{Applied, HostUpdate, Opened, Store, StoreError, open, open_or_rebuild};

    /// A closed store with so many hosts, in `store` below a directory of its own.
    async fn closed(count: u64) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = SledStore::open(&path).unwrap();
        hosts(&store, count).await;
        store.close().await.unwrap();
        (folder, path)
    }

    async fn count(store: &dyn Store) -> usize {
        store.page(0, 10_000).await.unwrap().items.len()
    }

    fn snapshots(path: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).collect()
    }

    #[test]
    fn only_reads_of_what_is_not_durable_are_in_doubt() {
        let writes = Writes::from([(b"b".to_vec(), Some(vec![1])), (b"d".to_vec(), None)]);
        let mut base = crate::store::map::Ordered::default();
        base.commit(&Writes::from([(b"a".to_vec(), Some(vec![0])), (b"d".to_vec(), Some(vec![0]))])).unwrap();
        let get = |key: &'static [u8]| move |map: &Watched<'_>| drop(map.get(key).unwrap());
        let (written, removed, other) = (get(b"b"), get(b"d"), get(b"a"));
        let scan = |map: &Watched<'_>, start: &[u8], end: &[u8]| {
            map.scan(start, end, &mut |_, _| Ok(std::ops::ControlFlow::Continue(()))).unwrap();
        };
        let over = move |map: &Watched<'_>| scan(map, b"a", b"c");
        let beside = move |map: &Watched<'_>| scan(map, b"c", b"d");
        let cases: [(&str, Read<'_>, bool); 5] = [
            ("a value that is being written", &written, true),
            ("a value that is being removed", &removed, true),
            ("a value that stands", &other, false),
            ("a range with one that is being written", &over, true),
            ("a range without", &beside, false),
        ];
        for (what, read, in_batch) in cases {
            for (in_doubt, expected) in [
                (InDoubt::Nothing, false),
                (InDoubt::Batch(Arc::new(writes.clone())), in_batch),
                (InDoubt::Anything, true),
            ] {
                let watched = Watched { base: &base, in_doubt: &in_doubt, met: Cell::new(false) };
                read(&watched);
                assert_eq!(watched.met.get(), expected, "{what}, {in_doubt:?}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn reopening_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..4 {
            let store = SledStore::open(folder.path()).unwrap();
            assert_eq!(count(&store).await, usize::from(round > 0) * 50);
            if round == 0 {
                hosts(&store, 50).await;
            }
            for number in 1..=50 {
                let change = HostUpdate {
                    put_bodies: vec![(v1::ObservationKey::default(), vec![round; 9000])],
                    ..update(number, 1 + u64::from(round))
                };
                assert!(matches!(apply_one(&store, change).await, Applied::Committed { .. }), "round {round}");
            }
            // Closed once, and dropped without a word the other times.
            if round == 1 {
                store.close().await.unwrap();
            }
        }
        let store = SledStore::open(folder.path()).unwrap();
        assert_eq!(store.bodies(HostNo(50)).await.unwrap()[0].1, vec![3; 9000]);
    }

    #[tokio::test]
    async fn a_directory_has_one_holder() {
        let (_folder, path) = closed(1).await;
        let holder = SledStore::open(&path).unwrap();
        let error = SledStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        assert!(matches!(open_or_rebuild("sled", &path, None, at(0)), Err(StoreError::Locked { .. })), "not set aside");
        drop(holder);
        assert_eq!(count(&SledStore::open(&path).unwrap()).await, 1);
    }

    #[tokio::test]
    async fn a_newer_format_is_refused_by_both_numbers() {
        let (_folder, path) = closed(1).await;
        {
            let (mut database, disk) = open_database(&path).unwrap();
            let newer = encode(&(STORE_FORMAT + 6)).unwrap().head;
            database.commit(&Writes::from([(key::format(), Some(newer))])).unwrap();
            database.flush().unwrap();
            disk.sync().unwrap();
        }
        for error in [SledStore::open(&path).unwrap_err(), open_or_rebuild("sled", &path, None, at(0)).unwrap_err()] {
            let expected = format!("store `{}` has format 7; this collector reads up to 1", path.display());
            assert_eq!(error.to_string(), expected);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_a_store_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = open("sled", &file.join("below")).unwrap_err();
        assert!(matches!(error, StoreError::Open { .. }), "{error}");
        let error = open("postgres", folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "unknown store `postgres` (known: `sled`, `memory`)");
    }

    /// A snapshot only spares reading the log, so its loss must cost nothing.
    #[tokio::test]
    async fn a_damaged_snapshot_costs_nothing() {
        let (_folder, path) = closed(200).await;
        drop(SledStore::open(&path).unwrap());
        let found = snapshots(&path);
        assert!(!found.is_empty(), "sled writes a snapshot when it opens");
        for snapshot in found {
            fs::write(snapshot, [0xAA; 100]).unwrap();
        }
        let store = SledStore::open(&path).unwrap();
        assert_eq!(count(&store).await, 200);
        assert!(matches!(apply_one(&store, update(1, 1)).await, Applied::Committed { .. }));
    }

    /// Content that sled takes for an empty database must not be taken for a new store.
    #[tokio::test]
    async fn a_wiped_database_is_damage() {
        let (_folder, path) = closed(20).await;
        let data = path.join("db");
        let length = usize::try_from(fs::metadata(&data).unwrap().len()).unwrap();
        for wiped in [Vec::new(), vec![0; length], vec![0xA5; length]] {
            fs::write(&data, wiped).unwrap();
            for snapshot in snapshots(&path) {
                fs::remove_file(snapshot).unwrap();
            }
            let error = SledStore::open(&path).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_damaged_store_is_set_aside_and_restored_from_the_newest_backup() {
        let (folder, path) = closed(20).await;
        let backups = folder.path().join("backups");
        {
            let store = SledStore::open(&path).unwrap();
            store.backup(backups.join("old"), Arc::new(|_| ())).await.unwrap();
            store.apply((21..=30).map(|number| update(number, 0)).collect()).await.unwrap();
            // The clock of backups counts milliseconds.
            tokio::time::sleep(Duration::from_millis(5)).await;
            store.backup(backups.join("new"), Arc::new(|_| ())).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            store.backup(backups.join("broken"), Arc::new(|_| ())).await.unwrap();
        }
        let file = backups.join("broken").join(crate::store::backup::FILE);
        let mut broken = fs::OpenOptions::new().write(true).open(&file).unwrap();
        broken.seek(SeekFrom::Start(500)).unwrap();
        broken.write_all(&[0x55; 8]).unwrap();
        fs::write(path.join("db"), vec![7; 1 << 20]).unwrap();

        let Opened { store, rebuilding } = open_or_rebuild("sled", &path, Some(&backups), at(1234)).unwrap();
        let rebuilding = rebuilding.unwrap();
        assert_eq!(count(&*store).await, 30);
        assert_eq!(rebuilding.restored.as_ref().map(|(from, _)| from.clone()), Some(backups.join("new")));
        assert_eq!(rebuilding.unusable.len(), 1);
        assert_eq!(rebuilding.unusable[0].0, backups.join("broken"));
        assert_eq!(rebuilding.set_aside, folder.path().join("store.damaged-1234"));
        assert!(rebuilding.set_aside.join("db").exists() && rebuilding.set_aside.join("muster-store").exists());
        assert!(matches!(apply_one(&*store, update(30, 1)).await, Applied::Committed { .. }));
    }

    #[tokio::test]
    async fn without_a_backup_a_damaged_store_starts_empty_and_says_so() {
        let (_folder, path) = closed(3).await;
        fs::write(path.join("db"), "").unwrap();
        for snapshot in snapshots(&path) {
            fs::remove_file(snapshot).unwrap();
        }
        let Opened { store, rebuilding } = open_or_rebuild("sled", &path, None, at(5)).unwrap();
        let rebuilding = rebuilding.unwrap();
        assert_eq!((rebuilding.restored, rebuilding.unusable), (None, vec![]));
        assert_eq!(count(&*store).await, 0);
        assert_eq!(store.assign(&crate::store::suite::host_key("a")).await.unwrap(), HostNo(1));
    }

    #[tokio::test]
    async fn nothing_is_acknowledged_while_there_is_a_blob() {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        hosts(&store, 1).await;
        let blob = folder.path().join("blobs").join("9999999999");
        fs::write(&blob, "x").unwrap();
        let error = store.apply(vec![update(1, 1)]).await.unwrap_err();
        assert!(error.to_string().contains("blobs/9999999999"), "{error}");
        fs::remove_file(&blob).unwrap();
        // It was written and not acknowledged, so whoever made it finds a conflict or succeeds.
        let revision = store.load(HostNo(1)).await.unwrap().unwrap().record.revision;
        assert!(matches!(apply_one(&store, update(1, revision)).await, Applied::Committed { .. }));
    }

    /// Every bound on evidence at once: the observations of a report at their largest, all verdicts, all series.
    fn largest(number: u64, from_revision: u64) -> HostUpdate {
        let fill = u8::try_from(number % 251).unwrap_or_default();
        let certificate = |i: usize| {
            let subject = v1::observation_key::Subject::CertificateSha256(
                [number.to_be_bytes().as_slice(), &i.to_be_bytes(), &[fill; 16]].concat(),
            );
            v1::ObservationKey { kind: 10, subject: Some(subject) }
        };
        let verdict = |i: usize| v1::StoredVerdict {
            user_sid: format!("S-1-5-21-4000000000-4000000000-4000000000-{i}"),
            verdict: Some(v1::Verdict {
                check: "dc.cert-validity".into(),
                seen: "s".repeat(limits::TEXT_BYTES),
                needed: "n".repeat(limits::TEXT_BYTES),
                remedy: "r".repeat(limits::TEXT_BYTES),
                ..Default::default()
            }),
        };
        let point =
            |i: usize| v1::SeriesPoint { at_ms: 1_700_000_000_000 + i64::try_from(i).unwrap(), milli: i64::MAX };
        let series =
            v1::SeriesRecord { first_sequence: 1, points: (0..limits::SERIES_RING_POINTS).map(point).collect() };
        // One store's full listing and the host's own observations, the rest certificates; a DC has no users.
        let bodies = limits::CERTIFICATES_PER_STORE + 10;
        HostUpdate {
            put_bodies: (0..bodies).map(|i| (certificate(i), vec![fill; limits::OBSERVATION_BODY_BYTES])).collect(),
            verdicts: v1::VerdictRecord { verdicts: (0..60).map(verdict).collect() },
            series: vec![(1, series)],
            ..update(number, from_revision)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_largest_evidence_of_a_thousand_controllers_makes_no_blob() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SledStore::open(folder.path()).unwrap());
        let blobs = || fs::read_dir(folder.path().join("blobs")).unwrap().count();
        for number in 1..=1000 {
            assert!(matches!(apply_one(&*store, largest(number, 0)).await, Applied::Committed { .. }), "DC {number}");
            assert_eq!(blobs(), 0, "after DC {number}");
        }
        // Rewriting and removing splits and merges leaves again.
        for number in (1..=1000).step_by(7) {
            let shrink = HostUpdate {
                remove_bodies: largest(number, 0).put_bodies.into_iter().step_by(2).map(|(key, _)| key).collect(),
                ..update(number, 1)
            };
            apply_one(&*store, shrink).await;
            apply_one(&*store, largest(number, 2)).await;
        }
        assert_eq!(blobs(), 0);
        let longest = store.inner.shared.look(|database| {
            let mut longest = (0, 0);
            database.scan(&[0], &[u8::MAX], &mut |key, value| {
                longest = (longest.0.max(key.len()), longest.1.max(value.len()));
                Ok(std::ops::ControlFlow::Continue(()))
            })?;
            Ok(longest)
        });
        let (key, value) = longest.unwrap();
        assert!(key <= 256 && value == LARGEST_VALUE, "keys of {key}, values of {value}");
    }

    /// sled alone does make blobs of larger values: the bound above is what prevents it.
    #[test]
    fn values_above_the_bound_would_make_blobs() {
        let folder = tempfile::tempdir().unwrap();
        let (mut database, disk) = open_database(folder.path()).unwrap();
        for i in 0..200_u64 {
            let value = Some(vec![1; 40 * 1024]);
            database.commit(&Writes::from([(i.to_be_bytes().to_vec(), value)])).unwrap();
        }
        database.flush().unwrap();
        assert!(matches!(disk.sync(), Err(StoreError::Damaged { .. })));
    }
}
