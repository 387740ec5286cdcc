//! One revocation list (RFC 5280 section 5), its signature verified. [`muster_proto::link::revocation_list`] reads it.
//!
//! Of an entry only the serial number is kept. What could change the meaning of an entry and is not understood - an
//! indirect list, a list of some reasons only, an unknown critical extension - refuses the whole list by name, since a
//! list that is understood in part would let revoked certificates in.

use std::fmt;
use std::sync::Arc;

use muster_evidence::{Sha256, Timestamp};
use muster_proto::link::SpkiPin;
use muster_proto::link::der::{Reader, SEQUENCE};
pub use muster_proto::link::revocation_list::MOST_BYTES;
use muster_proto::link::revocation_list::{InvalidRawList, RawList, http_url};
pub(super) use muster_proto::link::revocation_list::{Number, Scope};
use sha2::Digest;
use x509_parser::prelude::{FromDer, X509Name};

use super::authority::Authority;

/// Says why a revocation list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidList {
    /// It cannot be read, or is of a kind that is not understood.
    #[error(transparent)]
    Form(#[from] InvalidRawList),
    /// It does not say until when it holds.
    #[error("revocation list has no nextUpdate, so nothing says until when it holds")]
    NoNextUpdate,
    /// Its issuer's certificate does not let the issuer sign lists.
    #[error("certificate of `{issuer}` does not let it sign revocation lists")]
    MayNotSign {
        /// The issuer.
        issuer: String,
    },
    /// Its signature is not its issuer's.
    #[error("signature of the revocation list is not that of `{issuer}`, or of an algorithm that is not accepted")]
    Signature {
        /// The issuer it names.
        issuer: String,
    },
}

/// Serial numbers, sorted: 21 bytes each.
#[derive(Clone, Default, PartialEq, Eq)]
struct Serials(Vec<Number>);

impl Serials {
    fn of(mut numbers: Vec<Number>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        numbers.shrink_to_fit();
        Self(numbers)
    }
}

/// Whose list it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// A configured CA, whose signature was verified.
    Known(SpkiPin),
    /// Some other CA; nothing in it counts.
    Foreign,
}

/// A revocation list.
#[derive(Clone, PartialEq, Eq)]
pub struct List {
    /// SHA-256 of its bytes.
    pub digest: Sha256,
    /// Its issuer's name, in words.
    pub issuer: String,
    pub(super) signer: Signer,
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
    /// When the next one is published, where the list says so.
    pub(super) next_publish: Option<Timestamp>,
    pub(super) number: Option<Number>,
    /// The number of the list that a delta continues; `None`: it is no delta.
    pub(super) base: Option<Number>,
    pub(super) scope: Scope,
    /// Where the delta of this list is, over HTTP.
    pub(super) freshest: Vec<String>,
    revoked: Serials,
    removed: Serials,
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("issuer", &self.issuer)
            .field("number", &self.number)
            .field("base", &self.base)
            .field("entries", &self.revoked.0.len())
            .finish_non_exhaustive()
    }
}

impl List {
    /// Reads a list and verifies it with the CA that it names. One of a CA that is not among these is read as far as
    /// its name, and counts for nothing.
    pub fn read(bytes: &[u8], authorities: &[Authority]) -> Result<Arc<Self>, InvalidList> {
        let raw = RawList::read(bytes)?;
        let next_update = raw.next_update.ok_or(InvalidList::NoNextUpdate)?;
        if let Some(what) = raw.unsupported {
            return Err(InvalidRawList::Unsupported { what }.into());
        }
        let issuer = X509Name::from_der(raw.issuer).map_or_else(|_| "unreadable".to_owned(), |(_, n)| n.to_string());
        let signer = signer(&raw, authorities)?;
        let (mut revoked, mut removed) = (Vec::new(), Vec::new());
        if let Signer::Known(_) = &signer {
            for entry in raw.entries() {
                let entry = entry?;
                if entry.removed { &mut removed } else { &mut revoked }.push(entry.serial);
            }
        }
        Ok(Arc::new(Self {
            digest: Sha256(sha2::Sha256::digest(bytes).into()),
            issuer,
            signer,
            this_update: raw.this_update,
            next_update,
            next_publish: raw.next_publish,
            number: raw.number,
            base: raw.base,
            scope: raw.scope,
            freshest: raw.freshest.iter().filter_map(|name| http_url(name)).collect(),
            revoked: Serials::of(revoked),
            removed: Serials::of(removed),
        }))
    }

    /// Whether it is a delta list.
    pub const fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    /// The HTTP addresses of the delta that continues it; none where its CA is not a configured one.
    pub(crate) fn delta_addresses(&self) -> Vec<String> {
        if self.signer == Signer::Foreign { Vec::new() } else { self.freshest.clone() }
    }

    /// Whether it stands where the other one stands and was made before it, or cannot take its place at all.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        if other.signer == Signer::Foreign {
            return false;
        }
        let same = self.signer == other.signer && self.is_delta() == other.is_delta() && self.scope == other.scope;
        let foreign = self.signer == Signer::Foreign;
        foreign || (same && (self.number, self.this_update) < (other.number, other.this_update))
    }

    /// Certificates it revokes.
    pub fn entries(&self) -> usize {
        self.revoked.0.len()
    }

    /// What its entries take in memory.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        (self.revoked.0.capacity() + self.removed.0.capacity()) * size_of::<Number>()
    }

    /// Whether it lists a certificate as revoked.
    pub(super) fn revokes(&self, serial: &Number) -> bool {
        self.revoked.0.binary_search(serial).is_ok()
    }

    /// Whether it takes a certificate off the list that it continues.
    pub(super) fn removes(&self, serial: &Number) -> bool {
        self.removed.0.binary_search(serial).is_ok()
    }
}

/// Finds the CA that signed a list.
fn signer(raw: &RawList<'_>, authorities: &[Authority]) -> Result<Signer, InvalidList> {
    // The frame was read already, so the algorithm is a sequence.
    let algorithm = Reader::new(raw.algorithm).expect(SEQUENCE).map_or(raw.algorithm, |sequence| sequence.content);
    let mut refused = None;
    for authority in authorities.iter().filter(|authority| authority.subject == raw.issuer) {
        // A CA that was renewed with a new key has two lists under one name; the key identifier tells them apart.
        if let (Some(wanted), Some(own)) = (raw.key_id, &authority.key_id)
            && wanted != own
        {
            continue;
        }
        let issuer = authority.name.clone();
        if !authority.signs_lists {
            refused = Some(InvalidList::MayNotSign { issuer });
        } else if authority.verifies(algorithm, raw.signed, raw.signature) {
            return Ok(Signer::Known(authority.pin));
        } else {
            refused = Some(InvalidList::Signature { issuer });
        }
    }
    refused.map_or(Ok(Signer::Foreign), Err)
}
