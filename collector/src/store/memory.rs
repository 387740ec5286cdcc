//! A store in memory: for tests, and for trying things out. It has the records of the sled store, so that both answer
//! alike, and keeps nothing when the process ends.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;
use super::feed::Feed;
use super::map::{Draft, Map, Ordered};
use super::record::{STORE_FORMAT, key};
use super::shared::{Absent, Backend, Change, Shared};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    shared: Arc<Shared<Ordered>>,
    feed: Feed,
    /// One change at a time, from reading to commit.
    writer: std::sync::Mutex<()>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        let table = Ordered::default();
        let feed = Feed::new();
        let store = Self { shared: Arc::new(Shared::new(table)), feed, writer: std::sync::Mutex::default() };
        let format: Change<()> = Box::new(|draft| draft.put(key::format(), &STORE_FORMAT));
        // Memory has no faults, and a number is a short record.
        let written = store.write_now(vec![format]);
        debug_assert!(written.is_ok(), "the format could not be written");
        store
    }

    fn write_now<T>(&self, changes: Vec<Change<T>>) -> Result<Vec<T>, StoreError> {
        let _one_at_a_time = self.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (results, writes, news) = self.shared.look(|table| {
            let mut draft = Draft::over(table);
            let results: Vec<_> = changes.into_iter().map(|change| draft.attempt(change)).collect();
            let news = std::mem::take(draft.news());
            Ok((results, draft.into_writes(), news))
        })?;
        self.shared.apply(&writes, || ())?;
        self.feed.tell(news);
        results.into_iter().collect()
    }
}

#[async_trait]
impl Backend for MemoryStore {
    async fn read<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&dyn Map) -> Result<T, StoreError> + Send + Sync + 'static,
    {
        self.shared.look(|table| look(table))
    }

    async fn write<T: Send + 'static>(&self, changes: Vec<Change<T>>) -> Result<Vec<T>, StoreError> {
        self.write_now(changes)
    }

    fn feed(&self) -> Result<&Feed, StoreError> {
        self.shared.look(|_| Ok(()))?;
        Ok(&self.feed)
    }

    async fn copy(&self, into: PathBuf, progress: Arc<dyn Fn(u64) + Send + Sync>) -> Result<u64, StoreError> {
        let shared = Arc::clone(&self.shared);
        let copied = tokio::task::spawn_blocking(move || shared.copy(&into, &*progress)).await;
        copied.map_err(|error| StoreError::Closed { why: error.to_string() })?
    }

    async fn shut(&self) -> Result<(), StoreError> {
        self.shared.replace(|| Err(Absent::Closed("it was closed".to_owned())));
        Ok(())
    }
}
