//! The collector: where evidence is kept, and who may read the result.

pub mod accept;
pub mod access;
mod background;
pub mod cli;
pub mod clock;
pub mod commit;
pub mod config;
pub mod core;
#[cfg(test)]
mod fixture;
mod follow;
pub mod identity;
pub mod ingest;
mod inventory;
pub mod judge;
pub mod listeners;
mod log_limit;
pub mod maintain;
pub mod merge;
pub mod meters;
pub mod pki;
pub mod policy_state;
mod publish;
pub mod query;
mod rebuild;
pub mod serve;
pub mod settings;
pub mod sites;
pub mod snapshot;
mod status;
pub mod store;
pub mod submit;
pub mod table;
pub mod totals;
pub mod verdict;
pub mod view;
pub mod words;
