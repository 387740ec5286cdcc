//! What both backends share: the table under its lock, jobs on it, and the contract on top.
//!
//! A backend says how a closure reads the table and how changes are made durable ([`Backend`]); every method of
//! [`Store`] is written once, here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use muster_evidence::{HostNo, Timestamp};
use muster_proto::v1;
use tokio::sync::oneshot;

use super::backup::{self, Tap};
use super::feed::Feed;
use super::map::{Draft, Map, Overlay, Table, Writes};
use super::record::key;
use super::{
    Applied, ChangeCursor, Erasure, HostFilter, HostKey, HostUpdate, ItemsWanted, Page, Since, Store, StoreError,
    StoredHost, WholeHost, change, look,
};

/// A change, to be made on the backend's writer.
pub(super) type Change<T> = Box<dyn FnOnce(&mut Draft<'_>) -> Result<T, StoreError> + Send>;

/// How a backend reads and writes.
#[async_trait]
pub(super) trait Backend: Send + Sync + std::fmt::Debug {
    /// Reads the table; what is read is durable when this returns. May look more than once.
    async fn read<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&dyn Map) -> Result<T, StoreError> + Send + Sync + 'static;

    /// Makes changes in order, each as a whole or not at all; durable when this returns. The first error ends it, and
    /// changes before and after the one that failed may be durable.
    async fn write<T: Send + 'static>(&self, changes: Vec<Change<T>>) -> Result<Vec<T>, StoreError>;

    /// Its feed of changes; an error where the store is closed.
    fn feed(&self) -> Result<&Feed, StoreError>;

    /// Copies the table into a directory, with a progress in records.
    async fn copy(&self, into: PathBuf, progress: Arc<dyn Fn(u64) + Send + Sync>) -> Result<u64, StoreError>;

    /// Waits until everything written is durable, and closes.
    async fn shut(&self) -> Result<(), StoreError>;
}

/// Makes one change.
async fn write_one<B: Backend + ?Sized, T: Send + 'static>(
    backend: &B,
    change: impl FnOnce(&mut Draft<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let mut results = backend.write(vec![Box::new(change)]).await?;
    results.pop().ok_or_else(|| StoreError::Closed { why: "the writer gave no answer".to_owned() })
}

#[async_trait]
impl<B: Backend> Store for B {
    async fn assign(&self, host: &HostKey) -> Result<HostNo, StoreError> {
        // Nearly always it has one, and reading costs no sync.
        if let Some(number) = self.find(host).await? {
            return Ok(number);
        }
        let host = host.clone();
        write_one(self, move |draft| change::assign(draft, &host)).await
    }

    async fn find(&self, host: &HostKey) -> Result<Option<HostNo>, StoreError> {
        let host = host.clone();
        self.read(move |map| look::find(map, &host)).await
    }

    async fn apply(&self, batch: Vec<HostUpdate>) -> Result<Vec<Applied>, StoreError> {
        let change = |update| -> Change<Applied> { Box::new(move |draft| change::apply(draft, update)) };
        self.write(batch.into_iter().map(change).collect()).await
    }

    async fn load(&self, host: HostNo) -> Result<Option<StoredHost>, StoreError> {
        self.read(move |map| look::load(map, host)).await
    }

    async fn load_whole(&self, host: HostNo, items: Option<ItemsWanted>) -> Result<Option<WholeHost>, StoreError> {
        self.read(move |map| look::load_whole(map, host, items.as_ref())).await
    }

    async fn bodies(&self, host: HostNo) -> Result<Vec<(v1::ObservationKey, Vec<u8>)>, StoreError> {
        self.read(move |map| look::bodies(map, host)).await
    }

    async fn page_of(&self, filter: &HostFilter, after: u64, limit: usize) -> Result<Page<StoredHost>, StoreError> {
        let filter = filter.clone();
        self.read(move |map| look::page(map, &filter, after, limit)).await
    }

    async fn changes_since(&self, cursor: ChangeCursor) -> Result<Since, StoreError> {
        Ok(self.feed()?.since(cursor))
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<HostNo>, StoreError> {
        self.read(move |map| look::due(map, now, limit)).await
    }

    async fn totals(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.read(look::totals).await
    }

    async fn set_totals(&self, totals: Vec<(String, i64)>) -> Result<(), StoreError> {
        write_one(self, move |draft| change::set_totals(draft, totals)).await
    }

    async fn transitions(&self, after: u64, limit: usize) -> Result<Page<v1::Transition>, StoreError> {
        self.read(move |map| look::transitions(map, after, limit)).await
    }

    async fn host_transitions(&self, host: HostNo, limit: usize) -> Result<Vec<v1::Transition>, StoreError> {
        self.read(move |map| look::host_transitions(map, host, limit)).await
    }

    async fn append_transitions(&self, transitions: Vec<v1::Transition>) -> Result<u64, StoreError> {
        write_one(self, move |draft| change::append(draft, None, transitions)).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        write_one(self, move |draft| change::erase(draft, &erasure)).await
    }

    async fn series(&self, host: HostNo, series: u32) -> Result<Option<v1::SeriesRecord>, StoreError> {
        self.read(move |map| look::series(map, host, series)).await
    }

    async fn inventory_heads(&self) -> Result<Vec<v1::InventoryHead>, StoreError> {
        self.read(look::inventory_heads).await
    }

    async fn inventory_items(
        &self,
        forest: &str,
        source: &str,
        ids: &[String],
    ) -> Result<Vec<(String, v1::InventoryRecord)>, StoreError> {
        let (forest, source, ids) = (forest.to_owned(), source.to_owned(), ids.to_vec());
        self.read(move |map| look::inventory_items(map, &forest, &source, &ids)).await
    }

    async fn checkpoint_seen(&self, mut seen: Vec<(HostNo, i64)>) -> Result<(), StoreError> {
        seen.sort_unstable();
        let mut changes: Vec<Change<()>> = Vec::new();
        for block in seen.chunk_by(|a, b| key::seen_place(a.0).0 == key::seen_place(b.0).0) {
            let number = key::seen_place(block[0].0).0;
            let places: Vec<_> = block.iter().map(|&(host, seen_ms)| (key::seen_place(host).1, seen_ms)).collect();
            // A change for each block: the writer groups as many as fit, so that no batch grows with the fleet.
            changes.push(Box::new(move |draft| change::checkpoint(draft, number, &places)));
        }
        self.write(changes).await.map(drop)
    }

    async fn seen(&self) -> Result<Vec<(HostNo, i64)>, StoreError> {
        self.read(look::seen).await
    }

    async fn policy(&self, revision: Option<u64>) -> Result<Option<v1::PolicyRecord>, StoreError> {
        self.read(move |map| look::policy(map, revision)).await
    }

    async fn put_policy(&self, base: u64, text: String, by: String, now: Timestamp) -> Result<Option<u64>, StoreError> {
        write_one(self, move |draft| change::put_policy(draft, base, text, by, now)).await
    }

    async fn waivers(&self) -> Result<Vec<v1::Waiver>, StoreError> {
        self.read(look::waivers).await
    }

    async fn put_waiver(&self, waiver: v1::Waiver) -> Result<u64, StoreError> {
        write_one(self, move |draft| change::put_waiver(draft, waiver)).await
    }

    async fn lease(&self, name: &str, holder: &str, now: Timestamp, ttl_ms: i64) -> Result<Option<u64>, StoreError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        write_one(self, move |draft| change::lease(draft, &name, &holder, now, ttl_ms)).await
    }

    async fn backup(&self, into: PathBuf, progress: Arc<dyn Fn(u64) + Send + Sync>) -> Result<u64, StoreError> {
        self.copy(into, progress).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.shut().await
    }
}

/// A change with the place its result goes to.
pub(super) trait Job: Send {
    /// Makes the change on the group's draft.
    fn run(&mut self, draft: &mut Draft<'_>);

    /// Answers: with the result of the change if the group became durable, else with what `refused` makes.
    fn finish(self: Box<Self>, refused: Option<&dyn Fn() -> StoreError>);
}

struct Pending<T> {
    change: Option<Change<T>>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

/// A job for a change, and where its result arrives.
pub(super) fn job<T: Send + 'static>(change: Change<T>) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Pending { change: Some(change), result: None, reply }), answer)
}

impl<T: Send> Job for Pending<T> {
    fn run(&mut self, draft: &mut Draft<'_>) {
        if let Some(change) = self.change.take() {
            self.result = Some(draft.attempt(change));
        }
    }

    fn finish(self: Box<Self>, refused: Option<&dyn Fn() -> StoreError>) {
        let answer = match (self.result, refused) {
            // The change's own error stands, whatever became of the others.
            (Some(Err(error)), _) => Err(error),
            (_, Some(refused)) => Err(refused()),
            (Some(Ok(result)), None) => Ok(result),
            (None, None) => Err(StoreError::Closed { why: "the change was not run".to_owned() }),
        };
        // Whoever asked may have gone away; the change stands all the same.
        let _ = self.reply.send(answer);
    }
}

/// A table that readers and one writer share, and that can be copied while it changes.
#[derive(Debug)]
pub(super) struct Shared<T> {
    /// The table, or why there is none.
    table: RwLock<Result<T, Absent>>,
    /// What a backup under way must know of changes.
    tap: Mutex<Option<Tap>>,
}

/// Why there is no table.
#[derive(Clone, Debug)]
pub(super) enum Absent {
    /// The disk is full, so that the table cannot even be opened again.
    Full(PathBuf),
    /// It has been closed, or cannot be mended.
    Closed(String),
}

impl Absent {
    /// The error for whoever needs the table.
    pub(super) fn error(&self) -> StoreError {
        match self {
            Self::Full(path) => StoreError::Full { path: path.clone() },
            Self::Closed(why) => StoreError::Closed { why: why.clone() },
        }
    }
}

impl<T: Table> Shared<T> {
    /// Shares a table.
    pub(super) fn new(table: T) -> Self {
        Self { table: RwLock::new(Ok(table)), tap: Mutex::new(None) }
    }

    /// Reads the table while nothing changes it.
    pub(super) fn look<R>(&self, look: impl FnOnce(&T) -> Result<R, StoreError>) -> Result<R, StoreError> {
        // A poisoned lock tells that a reader or the writer panicked; batches are atomic, so the table is whole.
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        look(table.as_ref().map_err(Absent::error)?)
    }

    /// Applies writes; `then` runs before readers see them.
    pub(super) fn apply(&self, writes: &Writes, then: impl FnOnce()) -> Result<(), StoreError> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let table = table.as_mut().map_err(|absent| absent.error())?;
        if let Some(tap) = self.tap.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            tap.keep(table, writes)?;
        }
        then();
        table.commit(writes)
    }

    /// Takes the table away, so that its files can be closed, and puts in its place what `make` finds.
    pub(super) fn replace(&self, make: impl FnOnce() -> Result<T, Absent>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        // The old one is dropped before the new one is made: it holds the lock of its directory.
        *table = Err(Absent::Closed("it is being opened again".to_owned()));
        *table = make();
    }

    /// Copies a consistent state, while the table is read and written, into `into`.
    pub(super) fn copy(&self, into: &std::path::Path, progress: &dyn Fn(u64)) -> Result<u64, StoreError> {
        let mut writer = backup::Writer::create(into)?;
        {
            // Taken with the table's lock held, so that no batch is half before and half after the tap.
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            table.as_ref().map_err(Absent::error)?;
            let mut tap = self.tap.lock().unwrap_or_else(PoisonError::into_inner);
            if tap.is_some() {
                return Err(StoreError::Io {
                    action: "start a second backup of",
                    cause: std::io::Error::new(std::io::ErrorKind::ResourceBusy, "another backup is under way"),
                });
            }
            *tap = Some(Tap::default());
        }
        let result = self.copy_all(&mut writer, progress);
        *self.tap.lock().unwrap_or_else(PoisonError::into_inner) = None;
        result?;
        writer.finish()
    }

    fn copy_all(&self, writer: &mut backup::Writer, progress: &dyn Fn(u64)) -> Result<(), StoreError> {
        let mut from = Vec::new();
        loop {
            // One stretch at a time, so that the writer waits for milliseconds only.
            let next = self.look(|table| {
                let mut tap = self.tap.lock().unwrap_or_else(PoisonError::into_inner);
                let tap = tap.as_mut().ok_or_else(|| StoreError::Closed { why: "the backup ended".to_owned() })?;
                let next = writer.stretch(&Overlay { base: table, writes: tap.before() }, &from)?;
                if let Some(next) = &next {
                    tap.advance(next);
                }
                Ok(next)
            })?;
            progress(writer.records());
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }
}
