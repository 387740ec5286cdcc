//! One certificate revocation list (RFC 5280 section 5), read where it lies.
//!
//! Both ends read lists: the collector to refuse revoked peers, the probe to tell how fresh the lists of a domain
//! controller's certificates are. What they do with one differs, so nothing here verifies a signature, fetches or
//! judges; and nothing is copied, since a list may hold more than a million entries.
//!
//! What could change the meaning of an entry and is not understood - an indirect list, a list of some reasons only, an
//! unknown critical extension - is told in [`RawList::unsupported`]: a list that is understood in part must not say
//! that a certificate is good, but its dates are true all the same.

use std::fmt;

use muster_evidence::Timestamp;

use super::der::{
    BIT_STRING, BOOLEAN, ENUMERATED, Element, GENERALIZED_TIME, INTEGER, InvalidDer, OCTET_STRING, OID, Reader,
    SEQUENCE, UTC_TIME, bits, boolean, constructed, primitive, time,
};

/// Largest list that is read: room for 1.7 million entries as AD CS writes them.
pub const MOST_BYTES: usize = 64 << 20;

/// Bytes of a serial number or list number: 20 and a sign (RFC 5280 sections 4.1.2.2 and 5.2.3).
const NUMBER_BYTES: usize = 21;

/// Most distribution points of one list or certificate that are looked at.
pub const MOST_POINTS: usize = 16;

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

/// Says why bytes are no revocation list, or none that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRawList {
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
}

fn at(place: &'static str) -> impl Fn(InvalidDer) -> InvalidRawList {
    move |cause| InvalidRawList::Der { place, cause }
}

fn unsupported(what: impl Into<String>) -> InvalidRawList {
    InvalidRawList::Unsupported { what: what.into() }
}

/// A serial number, or the number of a list: two's complement, sign-extended, so that equal numbers are equal bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number([u8; NUMBER_BYTES]);

impl Number {
    /// The number of an integer's content; `None` where it is empty or too long.
    pub fn of(content: &[u8]) -> Option<Self> {
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

/// In hexadecimal, without leading zeros.
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

/// Which of a CA's certificates a list covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The list's own distribution points, as DER names: it covers certificates that name one of them. Empty: all.
    points: Vec<Vec<u8>>,
    only_users: bool,
    only_authorities: bool,
}

impl Scope {
    /// Whether a certificate that names these distribution points is covered.
    pub fn covers(&self, points: &[Vec<u8>], is_authority: bool) -> bool {
        let kind = if is_authority { !self.only_users } else { !self.only_authorities };
        kind && (self.points.is_empty() || self.points.iter().any(|own| points.contains(own)))
    }
}

/// A list, borrowed from its bytes.
#[derive(Clone, Debug)]
pub struct RawList<'a> {
    /// What is signed.
    pub signed: &'a [u8],
    /// The signature's algorithm, as DER.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
    /// The issuer's name, as DER.
    pub issuer: &'a [u8],
    /// `thisUpdate`.
    pub this_update: Timestamp,
    /// `nextUpdate`, without which nothing says until when the list holds.
    pub next_update: Option<Timestamp>,
    /// When the next one is published, where the list says so.
    pub next_publish: Option<Timestamp>,
    /// Its number.
    pub number: Option<Number>,
    /// The number of the list that a delta continues; `None`: it is no delta.
    pub base: Option<Number>,
    /// The identifier of the key that signed it.
    pub key_id: Option<&'a [u8]>,
    /// Which certificates it covers.
    pub scope: Scope,
    /// Where the delta of this list is: general names, as DER.
    pub freshest: Vec<Vec<u8>>,
    /// What is not understood and may change what the entries mean; `None` for an ordinary list.
    pub unsupported: Option<String>,
    entries: &'a [u8],
}

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The serial number.
    pub serial: Number,
    /// Whether it takes the certificate off the list that a delta continues, rather than revoking it.
    pub removed: bool,
    date: &'a [u8],
    date_tag: u8,
}

impl Entry<'_> {
    /// When the certificate was revoked. Read only when asked for: who looks for one serial number reads a million.
    pub fn revoked_at(&self) -> Result<Timestamp, InvalidDer> {
        time(&Element { tag: self.date_tag, content: self.date, whole: self.date })
    }
}

impl<'a> RawList<'a> {
    /// Reads the frame and the extensions. The entries are read by [`RawList::entries`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, InvalidRawList> {
        if bytes.len() > MOST_BYTES {
            return Err(InvalidRawList::TooLarge);
        }
        let outer = at("its frame");
        let mut whole = Reader::new(bytes);
        let mut parts = whole.expect(SEQUENCE).map_err(&outer)?.inside();
        whole.end().map_err(&outer)?;
        let signed = parts.expect(SEQUENCE).map_err(&outer)?;
        let algorithm = parts.expect(SEQUENCE).map_err(&outer)?;
        let signature = parts.expect(BIT_STRING).and_then(|element| bits(&element)).map_err(&outer)?;
        parts.end().map_err(&outer)?;

        let head = at("its head");
        let mut fields = signed.inside();
        match fields.optional(INTEGER).map_err(&head)?.map(|version| version.content) {
            None | Some([1]) => {}
            Some(_) => return Err(unsupported("its version is none of 1 and 2")),
        }
        if fields.expect(SEQUENCE).map_err(&head)?.whole != algorithm.whole {
            return Err(unsupported("it names two signature algorithms"));
        }
        let issuer = fields.expect(SEQUENCE).map_err(&head)?.whole;
        let this_update = fields.any().and_then(|element| time(&element)).map_err(&head)?;
        let mut list = Self {
            signed: signed.whole,
            algorithm: algorithm.whole,
            signature,
            issuer,
            this_update,
            next_update: None,
            next_publish: None,
            number: None,
            base: None,
            key_id: None,
            scope: Scope::default(),
            freshest: Vec::new(),
            unsupported: None,
            entries: &[],
        };
        if fields.next_is(&[UTC_TIME, GENERALIZED_TIME]) {
            list.next_update = Some(fields.any().and_then(|element| time(&element)).map_err(&head)?);
        }
        list.entries = fields.optional(SEQUENCE).map_err(&head)?.map_or(&[], |entries| entries.content);
        if let Some(wrapped) = fields.optional(constructed(0)).map_err(&head)? {
            list.read_extensions(&wrapped)?;
        }
        fields.end().map_err(&head)?;
        if list.base.is_some() && list.number.is_none() {
            list.refuse("it is a delta list without a number");
        }
        Ok(list)
    }

    /// Whether it is a delta list.
    pub const fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    /// The entries, one after the other. After an error there is nothing more.
    pub fn entries(&self) -> Entries<'a> {
        Entries { rest: Reader::new(self.entries), is_delta: self.is_delta() }
    }

    /// Remembers the first thing that is not understood.
    fn refuse(&mut self, what: impl Into<String>) {
        self.unsupported.get_or_insert_with(|| what.into());
    }

    fn read_extensions(&mut self, wrapped: &Element<'a>) -> Result<(), InvalidRawList> {
        let place = at("its extensions");
        let mut outer = wrapped.inside();
        let mut list = outer.expect(SEQUENCE).map_err(&place)?.inside();
        outer.end().map_err(&place)?;
        let mut seen: Vec<&[u8]> = Vec::new();
        while !list.is_empty() {
            let Extension { oid, critical, value } = extension(&mut list).map_err(&place)?;
            if seen.contains(&oid) {
                self.refuse("it has an extension twice");
                continue;
            }
            // A list has seven at most that anybody writes; more would make every step slower than the last.
            if seen.len() == MOST_POINTS {
                self.refuse("it has more extensions than are read");
                break;
            }
            seen.push(oid);
            match oid {
                CRL_NUMBER => self.number = Some(number(value)?),
                DELTA_INDICATOR => self.base = Some(number(value)?),
                AUTHORITY_KEY => {
                    let mut fields = Reader::new(value).expect(SEQUENCE).map_err(&place)?.inside();
                    self.key_id = fields.optional(primitive(0)).map_err(&place)?.map(|id| id.content);
                }
                ISSUING_POINT => self.read_scope(value)?,
                FRESHEST => self.freshest = distribution_points(value).map_err(&place)?,
                NEXT_PUBLISH => self.next_publish = Reader::new(value).any().and_then(|element| time(&element)).ok(),
                _ if critical => self.refuse(unknown_critical(oid, "it")),
                _ => {}
            }
        }
        Ok(())
    }

    /// issuingDistributionPoint (RFC 5280 section 5.2.5).
    fn read_scope(&mut self, value: &[u8]) -> Result<(), InvalidRawList> {
        let place = at("its issuing distribution point");
        let mut fields = Reader::new(value).expect(SEQUENCE).map_err(&place)?.inside();
        while !fields.is_empty() {
            let field = fields.any().map_err(&place)?;
            if field.tag == constructed(0) {
                match point_names(&field).map_err(&place)? {
                    None => self.refuse("its distribution point is relative to its issuer"),
                    Some(names) if names.is_empty() => self.refuse("its distribution point has no name"),
                    Some(mut names) => {
                        names.sort();
                        self.scope.points = names;
                    }
                }
            } else if field.tag == primitive(1) {
                self.scope.only_users = boolean(&field).map_err(&place)?;
            } else if field.tag == primitive(2) {
                self.scope.only_authorities = boolean(&field).map_err(&place)?;
            } else if field.tag == primitive(3) {
                self.refuse("it covers some reasons of revocation only");
            } else if field.tag == primitive(4) {
                if boolean(&field).map_err(&place)? {
                    self.refuse("it is an indirect list (it speaks for other CAs)");
                }
            } else if field.tag == primitive(5) {
                if boolean(&field).map_err(&place)? {
                    self.refuse("it covers attribute certificates only");
                }
            } else {
                self.refuse("its issuing distribution point has a field that is not understood");
            }
        }
        Ok(())
    }
}

/// The entries of a list.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: Reader<'a>,
    is_delta: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, InvalidRawList>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = Reader::new(&[]);
        }
        Some(read)
    }
}

impl<'a> Entries<'a> {
    fn read(&mut self) -> Result<Entry<'a>, InvalidRawList> {
        let place = at("an entry");
        let mut entry = self.rest.expect(SEQUENCE).map_err(&place)?.inside();
        let serial = entry.expect(INTEGER).map_err(&place)?;
        let serial = Number::of(serial.content).ok_or_else(|| unsupported("a serial number has over 21 bytes"))?;
        let date = entry.any().map_err(&place)?;
        if !matches!(date.tag, UTC_TIME | GENERALIZED_TIME) {
            return Err(place(InvalidDer::Tag { found: date.tag, expected: UTC_TIME }));
        }
        let mut removed = false;
        if let Some(extensions) = entry.optional(SEQUENCE).map_err(&place)? {
            let mut extensions = extensions.inside();
            while !extensions.is_empty() {
                let Extension { oid, critical, value } = extension(&mut extensions).map_err(&place)?;
                match oid {
                    REASON_CODE => {
                        let reason = Reader::new(value).expect(ENUMERATED).map_err(&place)?;
                        removed = reason.content == [REMOVE_FROM_CRL];
                    }
                    INVALIDITY_DATE => {}
                    CERTIFICATE_ISSUER => {
                        return Err(unsupported("it is an indirect list (an entry names its issuer)"));
                    }
                    _ if critical => return Err(unsupported(unknown_critical(oid, "an entry"))),
                    _ => {}
                }
            }
        }
        entry.end().map_err(&place)?;
        if removed && !self.is_delta {
            return Err(unsupported("it is no delta list and has entries with the reason removeFromCRL"));
        }
        Ok(Entry { serial, removed, date: date.content, date_tag: date.tag })
    }
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

fn unknown_critical(oid: &[u8], of: &str) -> String {
    format!("{of} has the critical extension {}, which is not understood", super::der::dotted(oid))
}

fn number(value: &[u8]) -> Result<Number, InvalidRawList> {
    let integer = Reader::new(value).expect(INTEGER).map_err(at("its number"))?;
    let number = Number::of(integer.content).filter(|number| !number.is_negative());
    number.ok_or_else(|| unsupported("its number is negative or has over 20 bytes"))
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
pub fn distribution_points(value: &[u8]) -> Result<Vec<Vec<u8>>, InvalidDer> {
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

/// The address in a general name that is a URI.
pub fn uri(name: &[u8]) -> Option<&str> {
    let uri = Reader::new(name).expect(primitive(6)).ok()?;
    std::str::from_utf8(uri.content).ok()
}

/// The HTTP address in a general name; directories (LDAP) are not asked.
pub fn http_url(name: &[u8]) -> Option<String> {
    let text = uri(name)?;
    text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")).then(|| text.to_owned())
}
