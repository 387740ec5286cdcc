//! Certificate revocation lists: which are read, from where, and what they say of a peer.
//!
//! [`List`] is one list, verified; [`RevocationSet`] puts base and delta lists of all configured CAs
//! together and answers whether a certificate is revoked; [`file`] and [`fetch`] bring lists in. When they are brought
//! in, and what follows for connections, is the business of `crate::reload`.

mod authority;
pub mod fetch;
pub(crate) mod file;
mod list;
mod set;

pub(crate) use muster_proto::link::revocation_list::{distribution_points, http_url};

pub use self::authority::Authority;
pub use self::list::{InvalidList, List, MOST_BYTES};
pub use self::set::{Loaded, OnStale, RevocationSet};

#[cfg(test)]
mod tests;
