//! Views: what operators see. Totals come from the published snapshot, lists from `query`; nothing is counted here.

mod access;
pub mod api;
pub mod guard;
pub mod health;
pub mod http;
pub mod metrics;
pub(crate) mod page;
mod wire;
