//! Systems without Unix signals: Ctrl-C stops the probe.

use std::io;

use tokio::sync::mpsc;

use super::Request;

/// What the system asks from now on. Must be called within a runtime.
pub fn requests() -> io::Result<mpsc::Receiver<Request>> {
    let (tell, asked) = mpsc::channel(1);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = tell.send(Request::Stop).await;
        }
    });
    Ok(asked)
}
