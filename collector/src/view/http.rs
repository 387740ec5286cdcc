//! HTTP on the operators' listener, beside gRPC: health for supervisors, and whatever people and scrapers read.
//!
//! Everything but health answers operators only. Routes are put together here; what they answer is said where their
//! subject lives.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::health::{Condition, Health};
use super::metrics::Observatory;
use super::metrics::prometheus::{self, Text};
use super::page;
use crate::identity::OperatorPeer;

/// The routes of the operators' listener that are not gRPC.
pub fn router(observatory: &Arc<Observatory>, health: &Arc<Health>) -> Router {
    let operators_only = page::router(observatory.core().clone())
        .route("/metrics", get(metrics).with_state(Arc::clone(observatory)))
        .layer(middleware::from_fn(operators_only));
    let health = Router::new().route("/livez", get(livez)).route("/readyz", get(readyz).with_state(Arc::clone(health)));
    page::with_headers(health.merge(operators_only))
}

/// Whether reports can be taken and questions answered now, with each condition on a line.
async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    let conditions = health.conditions();
    let ready = conditions.iter().all(Condition::is_met);
    let mut text = String::new();
    for condition in &conditions {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{condition}");
    }
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

/// Every number, for Prometheus. A walk over thousands of sites is no work for the threads that take reports.
async fn metrics(State(observatory): State<Arc<Observatory>>) -> Response {
    let text = tokio::task::spawn_blocking(move || {
        let mut text = Text::default();
        observatory.read(&mut text);
        text.into_string()
    });
    match text.await {
        Ok(text) => ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the numbers could not be read\n").into_response(),
    }
}

/// Whether the process answers at all; says nothing of the store, so that a supervisor does not restart a collector
/// whose disk is full.
async fn livez() -> &'static str {
    "ok\n"
}

/// Refuses whoever is no operator, with the words that every gRPC method answers them.
async fn operators_only(request: Request, next: Next) -> Response {
    let refused = match request.extensions().get::<OperatorPeer>() {
        None => (StatusCode::UNAUTHORIZED, "this listener does not know who asks\n".to_owned()),
        Some(peer) => match peer.name() {
            Ok(_) => return next.run(request).await,
            Err(status) => (StatusCode::FORBIDDEN, format!("{}\n", status.message())),
        },
    };
    refused.into_response()
}
