//! The registry as a file: what `reg export` and `reg query` write, and what rules read from it.
//!
//! [`parse()`] reads one file, a [`Tree`] puts the files of a machine together, [`facts()`] reads the evidence out of
//! it. A value that is missing is *not set* only where a file covers its key; elsewhere nobody looked, and nothing is
//! said. A source that reads the registry live fills a [`Tree`] as well, or hands the keys of a channel to
//! [`hello_policy`].

mod export;
mod facts;
mod policy;
mod tree;

#[cfg(test)]
mod tests;

pub use self::export::{Covered, Export, InvalidExport, Key};
pub use self::facts::{Facts, Found, Known, System, facts};
pub use self::policy::{Channel, hello_policy};
pub use self::tree::{Data, Look, NobodysHive, Node, Tree};
use super::{ParseError, text};

/// Largest export, in bytes. A store of certificates takes some ten thousand per certificate.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Reads one file.
pub fn parse(bytes: &[u8]) -> Result<Export, ParseError> {
    let decoded = text::decode_within(bytes, MAX_BYTES)?;
    Ok(export::parse(&decoded.text)?)
}
