//! Revocation lists (RFC 5280 section 5) as evidence: whose they are and how fresh they are.
//!
//! [`muster_proto::link::revocation_list`] reads the bytes; what a list says of a certificate is told by
//! [`super::certificate::examine`].

use muster_evidence::{RevocationList, Text};
use muster_proto::link::revocation_list::{RawList, uri};
use x509_parser::asn1_rs::FromDer;
use x509_parser::x509::X509Name;

pub use muster_proto::link::revocation_list::{InvalidRawList, MOST_BYTES};

use super::certificate::{name, signature, signature::Signature};

/// A list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedList {
    /// The evidence.
    pub list: RevocationList,
    /// Whether it is a delta list.
    pub delta: bool,
    /// Where the delta of this list is.
    pub freshest: Vec<String>,
    /// What keeps it from being used, though it can be read; `None` for an ordinary list.
    pub unsupported: Option<String>,
}

/// Why a list is not the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignList {
    /// It names another issuer.
    #[error("it is a list of `{found}` (expected `{expected}`)")]
    Issuer {
        /// The issuer it names.
        found: String,
        /// The issuer of the certificate.
        expected: String,
    },
    /// Its signature is not by a certificate of its issuer.
    #[error("its signature is not by the key of `{issuer}`: {why}")]
    Signature {
        /// The issuer it names.
        issuer: String,
        /// What came of verifying it.
        why: String,
    },
}

/// Reads one list in DER.
pub fn from_der(bytes: &[u8]) -> Result<ParsedList, InvalidRawList> {
    let raw = RawList::read(bytes)?;
    let list = RevocationList {
        issuer: Text::cut(&issuer_of(&raw)),
        number: raw.number.map(|number| Text::cut(&number.to_string())),
        this_update: raw.this_update,
        next_update: raw.next_update,
        next_publish: raw.next_publish,
        bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
    };
    let freshest = raw.freshest.iter().filter_map(|name| uri(name)).map(str::to_owned).collect();
    Ok(ParsedList { list, delta: raw.is_delta(), freshest, unsupported: raw.unsupported })
}

/// Whether a list is by the issuer of a certificate, as far as certificates of that issuer are among `issuers`: a list
/// that arrives over plain HTTP proves by its signature alone whose it is.
pub fn is_by_issuer_of<D: AsRef<[u8]>>(list: &[u8], certificate: &[u8], issuers: &[D]) -> Result<(), ForeignList> {
    let (Ok(raw), Ok(certificate)) = (RawList::read(list), super::certificate::parse(certificate)) else {
        return Ok(());
    };
    let expected = name::canonical(certificate.issuer());
    let found = X509Name::from_der(raw.issuer).map(|(_, issuer)| name::canonical(&issuer)).ok();
    if found.as_ref() != Some(&expected) {
        let expected = name::rfc4514(certificate.issuer());
        return Err(ForeignList::Issuer { found: issuer_of(&raw), expected });
    }
    let mut refused = None;
    for issuer in issuers.iter().filter_map(|der| super::certificate::parse(der.as_ref()).ok()) {
        if name::canonical(issuer.subject()) != expected {
            continue;
        }
        match signature::verify(raw.algorithm, issuer.public_key().raw, raw.signed, raw.signature) {
            // What cannot be verified here is not refuted either.
            Signature::Verifies | Signature::Unsupported(_) => return Ok(()),
            Signature::Fails(why) => refused = Some(why.to_owned()),
        }
    }
    refused.map_or(Ok(()), |why| Err(ForeignList::Signature { issuer: issuer_of(&raw), why }))
}

fn issuer_of(raw: &RawList<'_>) -> String {
    X509Name::from_der(raw.issuer).map_or_else(|_| "unreadable".to_owned(), |(_, issuer)| name::rfc4514(&issuer))
}
