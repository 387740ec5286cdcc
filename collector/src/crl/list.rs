//! One revocation list (RFC 5280 section 5), parsed, its signature verified.
//!
//! Of an entry only the serial number is kept. What could change the meaning of an entry and is not understood - an
//! indirect list, a list of some reasons only, an unknown critical extension - refuses the whole list by name, since a
//! list that is understood in part would let revoked certificates in.

use std::fmt;
use std::sync::Arc;

use muster_evidence::{Sha256, Timestamp};
use muster_proto::link::SpkiPin;
use sha2::Digest;
use x509_parser::prelude::{FromDer, X509Name};

use super::authority::Authority;
use super::der::{
    BIT_STRING, BOOLEAN, ENUMERATED, Element, GENERALIZED_TIME, INTEGER, InvalidDer, OCTET_STRING, OID, Reader,
    SEQUENCE, UTC_TIME, bits, boolean, constructed, primitive, time,
};

/// Largest list that is read: room for 1.7 million entries as AD CS writes them.
pub const MOST_BYTES: usize = 64 << 20;

/// Bytes of a serial number or list number: 20 and a sign (RFC 5280 sections 4.1.2.2 and 5.2.3).
const NUMBER_BYTES: usize = 21;

/// Most distribution points of one list or certificate that are looked at.
pub(crate) const MOST_POINTS: usize = 16;

/// reasonCode `removeFromCRL` (RFC 5280 section 5.3.1).
const REMOVE_FROM_CRL: u8 = 8;

// Extensions, by the content of their object identifiers.
const CRL_NUMBER: &[u8] = &[0x55, 0x1D, 20];
const REASON_CODE: &[u8] = &[0x55, 0x1D, 21];
const INVALIDITY_DATE: &[u8] = &[0x55, 0x1D, 24];
const DELTA_INDICATOR: &[u8] = &[0x55, 0x1D, 27];
const ISSUING_POINT: &[u8] = &[0x55, 0x1D, 28];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1D, 29];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1D, 35];
const FRESHEST: &[u8] = &[0x55, 0x1D, 46];
/// szOID_CRL_NEXT_PUBLISH: when AD CS makes the next list, before `nextUpdate` (MS-WCCE section 2.2.2.7.7).
const NEXT_PUBLISH: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 21, 4];

/// Says why a revocation list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidList {
    /// It is too large.
    #[error("revocation list has more than {MOST_BYTES} bytes")]
    TooLarge,
    /// It is not DER of the expected form.
    #[error("revocation list cannot be read in {place}")]
    Der {
        /// Where.
        place: &'static str,
        /// What is wrong.
        #[source]
        cause: InvalidDer,
    },
    /// It is of a kind that is not understood.
    #[error("revocation list is of a kind that cannot be used: {what}")]
    Unsupported {
        /// What is not understood.
        what: String,
    },
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

fn at(place: &'static str) -> impl Fn(InvalidDer) -> InvalidList {
    move |cause| InvalidList::Der { place, cause }
}

/// A serial number, or the number of a list: two's complement, sign-extended, so that equal numbers are equal bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Number([u8; NUMBER_BYTES]);

impl Number {
    /// The number of an integer's content; `None` where it is empty or too long.
    pub(super) fn of(content: &[u8]) -> Option<Self> {
        let (&first, _) = content.split_first()?;
        if content.len() > NUMBER_BYTES {
            return None;
        }
        let mut bytes = [if first & 0x80 == 0 { 0 } else { 0xFF }; NUMBER_BYTES];
        bytes[NUMBER_BYTES - content.len()..].copy_from_slice(content);
        Some(Self(bytes))
    }

    const fn is_negative(&self) -> bool {
        self.0[0] & 0x80 != 0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.0.iter().position(|byte| *byte != 0).unwrap_or(NUMBER_BYTES - 1);
        self.0[first..].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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

/// Which of a CA's certificates a list covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// The list's own distribution points, as DER names: it covers certificates that name one of them. Empty: all.
    points: Vec<Vec<u8>>,
    only_users: bool,
    only_authorities: bool,
}

impl Scope {
    /// Whether a certificate that names these distribution points is covered.
    pub(super) fn covers(&self, points: &[Vec<u8>], is_authority: bool) -> bool {
        let kind = if is_authority { !self.only_users } else { !self.only_authorities };
        kind && (self.points.is_empty() || self.points.iter().any(|own| points.contains(own)))
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

/// What has been read of a list's extensions.
#[derive(Default)]
struct Extensions {
    key_id: Option<Vec<u8>>,
    number: Option<Number>,
    base: Option<Number>,
    next_publish: Option<Timestamp>,
    scope: Scope,
    freshest: Vec<String>,
}

impl List {
    /// Reads a list and verifies it with the CA that it names. One of a CA that is not among these is read as far as
    /// its name, and counts for nothing.
    pub fn read(bytes: &[u8], authorities: &[Authority]) -> Result<Arc<Self>, InvalidList> {
        if bytes.len() > MOST_BYTES {
            return Err(InvalidList::TooLarge);
        }
        let outer = at("its frame");
        let mut whole = Reader::new(bytes);
        let mut parts = whole.expect(SEQUENCE).map_err(&outer)?.inside();
        whole.end().map_err(&outer)?;
        let tbs = parts.expect(SEQUENCE).map_err(&outer)?;
        let algorithm = parts.expect(SEQUENCE).map_err(&outer)?;
        let signature = parts.expect(BIT_STRING).and_then(|element| bits(&element)).map_err(&outer)?;
        parts.end().map_err(&outer)?;

        let head = at("its head");
        let mut fields = tbs.inside();
        match fields.optional(INTEGER).map_err(&head)?.map(|version| version.content) {
            None | Some([1]) => {}
            Some(_) => return Err(unsupported("its version is none of 1 and 2")),
        }
        if fields.expect(SEQUENCE).map_err(&head)?.whole != algorithm.whole {
            return Err(unsupported("it names two signature algorithms"));
        }
        let issuer = fields.expect(SEQUENCE).map_err(&head)?;
        let this_update = fields.any().and_then(|element| time(&element)).map_err(&head)?;
        if !fields.next_is(&[UTC_TIME, GENERALIZED_TIME]) {
            return Err(InvalidList::NoNextUpdate);
        }
        let next_update = fields.any().and_then(|element| time(&element)).map_err(&head)?;
        let entries = fields.optional(SEQUENCE).map_err(&head)?;
        let extensions = match fields.optional(constructed(0)).map_err(&head)? {
            Some(wrapped) => extensions(&wrapped)?,
            None => Extensions::default(),
        };
        fields.end().map_err(&head)?;

        let name = X509Name::from_der(issuer.whole).map_or_else(|_| "unreadable".to_owned(), |(_, n)| n.to_string());
        let signer = signer(issuer.whole, &extensions, authorities, algorithm.content, tbs.whole, signature)?;
        let (revoked, removed) = match (&signer, entries) {
            (Signer::Known(_), Some(entries)) => read_entries(entries.inside())?,
            _ => (Vec::new(), Vec::new()),
        };
        if !removed.is_empty() && extensions.base.is_none() {
            return Err(unsupported("it is no delta list and has entries with the reason removeFromCRL"));
        }
        if extensions.base.is_some() && extensions.number.is_none() {
            return Err(unsupported("it is a delta list without a number"));
        }
        Ok(Arc::new(Self {
            digest: Sha256(sha2::Sha256::digest(bytes).into()),
            issuer: name,
            signer,
            this_update,
            next_update,
            next_publish: extensions.next_publish,
            number: extensions.number,
            base: extensions.base,
            scope: extensions.scope,
            freshest: extensions.freshest,
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

fn unsupported(what: impl Into<String>) -> InvalidList {
    InvalidList::Unsupported { what: what.into() }
}

/// Finds the CA that signed a list.
fn signer(
    issuer: &[u8],
    extensions: &Extensions,
    authorities: &[Authority],
    algorithm: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<Signer, InvalidList> {
    let mut refused = None;
    for authority in authorities.iter().filter(|authority| authority.subject == issuer) {
        // A CA that was renewed with a new key has two lists under one name; the key identifier tells them apart.
        if let (Some(wanted), Some(own)) = (&extensions.key_id, &authority.key_id)
            && wanted != own
        {
            continue;
        }
        let issuer = authority.name.clone();
        if !authority.signs_lists {
            refused = Some(InvalidList::MayNotSign { issuer });
        } else if authority.verifies(algorithm, message, signature) {
            return Ok(Signer::Known(authority.pin));
        } else {
            refused = Some(InvalidList::Signature { issuer });
        }
    }
    refused.map_or(Ok(Signer::Foreign), Err)
}

/// The serial numbers that are revoked, and those that are removed.
fn read_entries(mut entries: Reader<'_>) -> Result<(Vec<Number>, Vec<Number>), InvalidList> {
    let place = at("an entry");
    let (mut revoked, mut removed) = (Vec::new(), Vec::new());
    while !entries.is_empty() {
        let mut entry = entries.expect(SEQUENCE).map_err(&place)?.inside();
        let serial = entry.expect(INTEGER).map_err(&place)?;
        let serial = Number::of(serial.content).ok_or_else(|| unsupported("a serial number has over 21 bytes"))?;
        let date = entry.any().map_err(&place)?;
        if !matches!(date.tag, UTC_TIME | GENERALIZED_TIME) {
            return Err(place(InvalidDer::Tag { found: date.tag, expected: UTC_TIME }));
        }
        let mut is_removed = false;
        if let Some(extensions) = entry.optional(SEQUENCE).map_err(&place)? {
            let mut extensions = extensions.inside();
            while !extensions.is_empty() {
                let Extension { oid, critical, value } = extension(&mut extensions).map_err(&place)?;
                match oid {
                    REASON_CODE => {
                        let reason = Reader::new(value).expect(ENUMERATED).map_err(&place)?;
                        is_removed = reason.content == [REMOVE_FROM_CRL];
                    }
                    INVALIDITY_DATE => {}
                    CERTIFICATE_ISSUER => {
                        return Err(unsupported("it is an indirect list (an entry names its issuer)"));
                    }
                    _ if critical => return Err(unknown_critical(oid, "an entry")),
                    _ => {}
                }
            }
        }
        entry.end().map_err(&place)?;
        if is_removed { &mut removed } else { &mut revoked }.push(serial);
    }
    Ok((revoked, removed))
}

struct Extension<'a> {
    oid: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

fn extension<'a>(extensions: &mut Reader<'a>) -> Result<Extension<'a>, InvalidDer> {
    let mut fields = extensions.expect(SEQUENCE)?.inside();
    let oid = fields.expect(OID)?.content;
    let critical = fields.optional(BOOLEAN)?.map_or(Ok(false), |element| boolean(&element))?;
    let value = fields.expect(OCTET_STRING)?.content;
    fields.end()?;
    Ok(Extension { oid, critical, value })
}

fn unknown_critical(oid: &[u8], of: &str) -> InvalidList {
    let dotted = x509_parser::der_parser::Oid::new(oid.into()).to_id_string();
    unsupported(format!("{of} has the critical extension {dotted}, which is not understood"))
}

fn extensions(wrapped: &Element<'_>) -> Result<Extensions, InvalidList> {
    let place = at("its extensions");
    let mut read = Extensions::default();
    let mut outer = wrapped.inside();
    let mut list = outer.expect(SEQUENCE).map_err(&place)?.inside();
    outer.end().map_err(&place)?;
    let mut seen: Vec<&[u8]> = Vec::new();
    while !list.is_empty() {
        let Extension { oid, critical, value } = extension(&mut list).map_err(&place)?;
        if seen.contains(&oid) {
            return Err(unsupported("it has an extension twice"));
        }
        seen.push(oid);
        match oid {
            CRL_NUMBER => read.number = Some(number(value)?),
            DELTA_INDICATOR => read.base = Some(number(value)?),
            AUTHORITY_KEY => {
                let mut fields = Reader::new(value).expect(SEQUENCE).map_err(&place)?.inside();
                read.key_id = fields.optional(primitive(0)).map_err(&place)?.map(|id| id.content.to_vec());
            }
            ISSUING_POINT => read.scope = scope(value)?,
            FRESHEST => {
                read.freshest =
                    distribution_points(value).map_err(&place)?.iter().filter_map(|n| http_url(n)).collect();
            }
            NEXT_PUBLISH => read.next_publish = Reader::new(value).any().and_then(|element| time(&element)).ok(),
            _ if critical => return Err(unknown_critical(oid, "it")),
            _ => {}
        }
    }
    Ok(read)
}

fn number(value: &[u8]) -> Result<Number, InvalidList> {
    let integer = Reader::new(value).expect(INTEGER).map_err(at("its number"))?;
    let number = Number::of(integer.content).filter(|number| !number.is_negative());
    number.ok_or_else(|| unsupported("its number is negative or has over 20 bytes"))
}

/// issuingDistributionPoint (RFC 5280 section 5.2.5).
fn scope(value: &[u8]) -> Result<Scope, InvalidList> {
    let place = at("its issuing distribution point");
    let mut scope = Scope::default();
    let mut fields = Reader::new(value).expect(SEQUENCE).map_err(&place)?.inside();
    while !fields.is_empty() {
        let field = fields.any().map_err(&place)?;
        if field.tag == constructed(0) {
            let names = point_names(&field).map_err(&place)?;
            scope.points = names.ok_or_else(|| unsupported("its distribution point is relative to its issuer"))?;
            if scope.points.is_empty() {
                return Err(unsupported("its distribution point has no name"));
            }
            scope.points.sort();
        } else if field.tag == primitive(1) {
            scope.only_users = boolean(&field).map_err(&place)?;
        } else if field.tag == primitive(2) {
            scope.only_authorities = boolean(&field).map_err(&place)?;
        } else if field.tag == primitive(3) {
            return Err(unsupported("it covers some reasons of revocation only"));
        } else if field.tag == primitive(4) {
            if boolean(&field).map_err(&place)? {
                return Err(unsupported("it is an indirect list (it speaks for other CAs)"));
            }
        } else if field.tag == primitive(5) {
            if boolean(&field).map_err(&place)? {
                return Err(unsupported("it covers attribute certificates only"));
            }
        } else {
            return Err(unsupported("its issuing distribution point has a field that is not understood"));
        }
    }
    Ok(scope)
}

/// The names in a DistributionPointName, each as DER; `None` where they are relative to the issuer's name.
fn point_names(wrapped: &Element<'_>) -> Result<Option<Vec<Vec<u8>>>, InvalidDer> {
    let name = wrapped.inside().any()?;
    if name.tag != constructed(0) {
        return Ok(None);
    }
    let mut names = Vec::new();
    let mut each = name.inside();
    while !each.is_empty() && names.len() < MOST_POINTS {
        names.push(each.any()?.whole.to_vec());
    }
    Ok(Some(names))
}

/// Every full name of CRLDistributionPoints or FreshestCRL (RFC 5280 sections 4.2.1.13 and 5.2.6), each as DER.
pub(crate) fn distribution_points(value: &[u8]) -> Result<Vec<Vec<u8>>, InvalidDer> {
    let mut names = Vec::new();
    let mut points = Reader::new(value).expect(SEQUENCE)?.inside();
    while !points.is_empty() && names.len() < MOST_POINTS {
        let mut fields = points.expect(SEQUENCE)?.inside();
        if let Some(point) = fields.optional(constructed(0))? {
            names.extend(point_names(&point)?.unwrap_or_default());
        }
    }
    Ok(names)
}

/// The HTTP address in a general name; directories (LDAP) are not asked.
pub(crate) fn http_url(name: &[u8]) -> Option<String> {
    let uri = Reader::new(name).expect(primitive(6)).ok()?;
    let text = std::str::from_utf8(uri.content).ok()?;
    text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")).then(|| text.to_owned())
}
