//! Certificate revocation lists: which are read, from where, and what they say of a peer.
//!
//! [`List`] is one list, parsed and verified; [`RevocationSet`] puts base and delta lists of all configured CAs
//! together and answers whether a certificate is revoked; [`file`] and [`fetch`] bring lists in. When they are brought
//! in, and what follows for connections, is the business of `crate::reload`.

mod authority;
mod der;
pub mod fetch;
pub(crate) mod file;
pub(crate) mod list;
mod set;

pub use self::authority::Authority;
pub use self::der::InvalidDer;
pub use self::list::{InvalidList, List, MOST_BYTES};
pub(crate) use self::list::{distribution_points, http_url};
pub use self::set::{Loaded, OnStale, RevocationSet};

#[cfg(test)]
mod tests;
