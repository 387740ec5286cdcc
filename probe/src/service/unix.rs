//! Signals: SIGTERM and SIGINT stop the probe, SIGHUP makes it look and report at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Request;

/// What the system asks from now on. Must be called within a runtime.
pub fn requests() -> io::Result<mpsc::Receiver<Request>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // Requests do not pile up: whoever asks twice gets one collection.
    let (tell, asked) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let request = tokio::select! {
                _ = terminate.recv() => Request::Stop,
                _ = interrupt.recv() => Request::Stop,
                _ = hang_up.recv() => Request::Collect,
            };
            match request {
                Request::Stop => {
                    // Waits for a collection that was asked for before: a stop must not get lost.
                    let _ = tell.send(Request::Stop).await;
                }
                Request::Collect => {
                    let _ = tell.try_send(Request::Collect);
                }
            }
        }
    });
    Ok(asked)
}
