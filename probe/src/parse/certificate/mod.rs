//! X.509 certificates as evidence, and how their chains verify.
//!
//! A domain controller's certificate is read whatever is wrong with it: SHA-1 signatures, 1024-bit keys and odd
//! extensions are exactly what the rules ask about, so a TLS library, which refuses them, is no use here. Only what
//! is no certificate at all is an error.

use muster_evidence::{Certificate, Text};
use serde::Serialize;

mod chain;
mod constraints;
mod extensions;
mod fields;
mod general_name;
mod issuing;
pub(in crate::parse) mod name;
mod oid;
mod pem;
mod revocation;
pub(in crate::parse) mod signature;

pub use chain::{AtHand, Findings, examine, issuers, verify_chain};
pub use fields::from_der;
pub(in crate::parse) use fields::{bit_length, parse};

use crate::parse::ParseError;

/// A certificate and the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parsed {
    /// The evidence. Its chain is [`muster_evidence::ChainStatus::NotChecked`] until [`verify_chain`] was asked.
    pub certificate: Certificate,
    /// Words on what could not be read or had to be cut; empty for an ordinary certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Text>,
    /// Where its revocation lists are, in full; the evidence has the addresses cut to their bound.
    #[serde(skip)]
    pub points: Vec<Point>,
    /// The DER form, for [`examine`].
    #[serde(skip)]
    pub der: Vec<u8>,
}

/// An address in a distribution point of a certificate or list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The address.
    pub url: String,
    /// Whether a delta list is there (freshest CRL) rather than a base.
    pub delta: bool,
    /// Whether the point says that another CA issues its lists.
    pub other_issuer: bool,
}

/// What one input held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The certificates, in the order of the input.
    pub certificates: Vec<Parsed>,
    /// Blocks that should be a certificate and are none.
    pub unreadable: Vec<InvalidCertificate>,
}

/// Why bytes are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// The Base64 of a PEM block is broken.
    #[error("PEM block {block} is not valid Base64")]
    Base64 {
        /// Number of the block, from 1.
        block: usize,
    },
    /// A PEM block has no end.
    #[error("PEM block {block} has no `-----END {label}-----`")]
    Unterminated {
        /// Number of the block, from 1.
        block: usize,
        /// The label it begins with.
        label: String,
    },
    /// The DER structure is broken.
    #[error("{length} bytes are not a DER certificate: {problem}")]
    Der {
        /// Length of the bytes.
        length: usize,
        /// What the parser stumbled over.
        problem: String,
    },
    /// Bytes follow the certificate.
    #[error("{extra} bytes follow the certificate of {length} bytes")]
    TrailingBytes {
        /// Length of the certificate.
        length: usize,
        /// How many bytes follow.
        extra: usize,
    },
}

/// Why an input was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    /// Nothing but white space.
    #[error("input is empty (expected a certificate in PEM or DER)")]
    Empty,
    /// A private key is in it. Nothing of it is repeated anywhere.
    #[error("input holds a private key (`{form}`): remove it, a certificate is judged without its key")]
    PrivateKey {
        /// The PEM label or the structure it was known by.
        form: String,
    },
    /// PEM without a certificate.
    #[error("input holds no certificate: found PEM of `{found}`, expected `CERTIFICATE`")]
    OtherPem {
        /// The labels found.
        found: String,
    },
    /// Neither PEM nor DER.
    #[error("input is no certificate: expected PEM (`-----BEGIN CERTIFICATE-----`) or DER")]
    NotACertificate {
        /// Why it is no DER certificate.
        #[source]
        source: InvalidCertificate,
    },
    /// It holds too many certificates.
    #[error("input holds more than {limit} certificates")]
    TooMany {
        /// The bound.
        limit: usize,
    },
}

/// Reads every certificate of an input, in PEM (one block or several, with text around them) or DER.
///
/// A private key in it refuses the whole input, so that nobody leaves one in a folder of captures.
pub fn from_pem_or_der(bytes: &[u8]) -> Result<Bundle, ParseError> {
    crate::parse::check_size(bytes)?;
    Ok(pem::read(bytes)?)
}
