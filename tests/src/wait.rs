//! Waiting for a state, never for a delay.

use std::time::{Duration, Instant};

/// Longest that any state may take on a slow and busy machine.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// Looks again and again until the state is there, and gives what was found.
///
/// # Panics
///
/// If it is not there in time; with what was found last.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    until_within(LIMIT, what, look).await
}

/// Does what [`until`] does, within a limit of its own.
///
/// # Panics
///
/// If the state is not there in time; with what was found last.
pub async fn until_within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(last) if started.elapsed() > limit => panic!("{what}: not within {limit:?}; last seen: {last}"),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
