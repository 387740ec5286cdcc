//! The committer: changes of many hosts, handed to the store in batches.
//!
//! Reports are judged concurrently and wait here for the disk. While one batch is being made durable the next one
//! gathers, so that a group commit serves as many reports as arrived meanwhile and a lone report never waits for
//! company.

use std::sync::Arc;
use std::time::Instant;

use muster_proto::link::telemetry::TraceParent;
use tokio::sync::{mpsc, oneshot};
use tracing::field::Empty;
use tracing::{Instrument as _, info_span};

use crate::meters::Meters;
use crate::store::{Applied, HostUpdate, Store, StoreError};

/// A change and who waits for it.
#[derive(Debug)]
pub(crate) struct Change {
    update: HostUpdate,
    done: oneshot::Sender<Result<Applied, Arc<StoreError>>>,
    /// The span that waits for it.
    trace: Option<TraceParent>,
}

/// Says why a change is not durable.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The store refused it, and everything that was in the batch with it.
    #[error("failed to store the report")]
    Store {
        /// Why.
        #[source]
        cause: Arc<StoreError>,
    },
    /// The collector is being stopped.
    #[error("collector is being stopped")]
    Stopping,
}

impl From<StoreError> for CommitError {
    fn from(cause: StoreError) -> Self {
        Self::Store { cause: Arc::new(cause) }
    }
}

/// Starts the committer; it ends when every handle to the queue is gone.
pub(crate) fn spawn(store: Arc<dyn Store>, mut queue: mpsc::Receiver<Change>, most: usize, meters: Arc<Meters>) {
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(most);
        while queue.recv_many(&mut batch, most).await > 0 {
            let span = info_span!(parent: None, "store.group-commit", changes = batch.len(), otel.status_code = Empty);
            let mut waiting = Vec::with_capacity(batch.len());
            let mut updates = Vec::with_capacity(batch.len());
            for Change { update, done, trace } in batch.drain(..) {
                // Many reports share a commit, so it belongs to none of their traces; it links to all of them.
                if let Some(trace) = trace {
                    trace.link(&span);
                }
                updates.push(update);
                waiting.push(done);
            }
            let (begun, changes) = (Instant::now(), updates.len());
            let applied = store.apply(updates).instrument(span.clone()).await;
            if applied.is_err() {
                span.record("otel.status_code", "ERROR");
            }
            // It must have ended before those who wait go on and are exported.
            drop(span);
            meters.commits.note(begun.elapsed(), changes, applied.as_ref().err());
            match applied {
                Ok(applied) => {
                    // Whoever does not wait any more has lost the connection; what was applied stays.
                    for (done, applied) in waiting.into_iter().zip(applied) {
                        let _ = done.send(Ok(applied));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for done in waiting {
                        let _ = done.send(Err(Arc::clone(&error)));
                    }
                }
            }
        }
    });
}

/// Hands a change over, and waits until it is durable. The queue is bounded: while it is full, the sender waits.
pub(crate) async fn hand_over(queue: &mpsc::Sender<Change>, update: HostUpdate) -> Result<Applied, CommitError> {
    let (done, waiting) = oneshot::channel();
    let trace = TraceParent::current();
    queue.send(Change { update, done, trace }).await.map_err(|_| CommitError::Stopping)?;
    match waiting.await {
        Ok(Ok(applied)) => Ok(applied),
        Ok(Err(cause)) => Err(CommitError::Store { cause }),
        Err(_) => Err(CommitError::Stopping),
    }
}
