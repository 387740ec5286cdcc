//! The extensions that rules read, each in every form that certification authorities write.
//!
//! A broken extension costs that extension alone, with a remark: the certificate stands in the store all the same.
//! What a broken one would have granted is not granted: it never reads as if it were not there.

use muster_evidence::{ExtendedKeyUsage, SubjectAltName, TemplateReference, Text, limits};
use muster_proto::link::der::{
    BIT_STRING, BOOLEAN, Element, INTEGER, InvalidDer, OID, Reader, SEQUENCE, boolean, constructed, dotted, primitive,
};
use x509_parser::certificate::X509Certificate;

use super::general_name::{GeneralName, general_names};
use super::{Point, name, oid};

/// Bytes that the lists of one certificate may take together, so that it always fits an observation.
const LIST_BYTES: usize = limits::OBSERVATION_BODY_BYTES * 2 / 3;

/// Most distribution points and addresses of one certificate that are kept for fetching.
const MAX_POINTS: usize = limits::CERTIFICATE_LIST;

/// Longest address that is kept for fetching, in bytes.
const MAX_URL_BYTES: usize = 2_000;

#[derive(Default)]
pub(super) struct Extensions {
    pub(super) digital_signature: Option<bool>,
    pub(super) key_encipherment: Option<bool>,
    pub(super) extended_key_usages: Option<Vec<ExtendedKeyUsage>>,
    pub(super) subject_alt_names: Vec<SubjectAltName>,
    pub(super) template: Option<TemplateReference>,
    pub(super) crl_distribution_points: Vec<Text>,
    pub(super) ocsp_urls: Vec<Text>,
    pub(super) issuer_urls: Vec<Text>,
    pub(super) is_ca: bool,
    pub(super) points: Vec<Point>,
}

impl Extensions {
    pub(super) fn read(x509: &X509Certificate<'_>, remarks: &mut Vec<Text>) -> Self {
        let mut read = Self::default();
        let mut budget = LIST_BYTES;
        let all = x509.extensions();
        for (i, extension) in all.iter().enumerate() {
            let oid = extension.oid.as_bytes();
            if all[..i].iter().any(|earlier| earlier.oid.as_bytes() == oid) {
                // RFC 5280 section 4.2 forbids it; the first one counts.
                remark(remarks, &format!("extension `{}` stands more than once", dotted(oid)));
            } else if let Err(problem) = read.take(oid, extension.value, &mut budget, remarks) {
                remark(remarks, &format!("extension `{}` could not be read: {problem}", dotted(oid)));
            }
        }
        read
    }

    /// Takes one extension.
    fn take(
        &mut self,
        oid: &[u8],
        value: &[u8],
        budget: &mut usize,
        remarks: &mut Vec<Text>,
    ) -> Result<(), InvalidDer> {
        match oid {
            oid::EXTENDED_KEY_USAGE => {
                self.extended_key_usages = Some(Vec::new());
                let texts = usages(value)?.into_iter().map(|oid| Text::cut(&dotted(oid))).collect();
                let texts = bounded("extended key usages", texts, Text::as_str, budget, remarks);
                self.extended_key_usages = Some(texts.into_iter().map(ExtendedKeyUsage).collect());
            }
            oid::TEMPLATE_NAME => {
                let element = only(value)?;
                let text = name::string(element.tag, element.content);
                let text = text.ok_or(InvalidDer::Value { kind: "string" })?;
                // Where both stand, the name wins: the KDC asks for `DomainController` by it.
                self.template = Some(TemplateReference::Name(Text::cut(&text)));
            }
            oid::TEMPLATE => {
                let oid = only(value).and_then(|element| sequence(&element)?.expect(OID))?;
                if self.template.is_none() {
                    self.template = Some(TemplateReference::Oid(Text::cut(&dotted(oid.content))));
                }
            }
            oid::KEY_USAGE => {
                let usage = key_usage(value);
                let granted = usage.unwrap_or_default();
                self.digital_signature = Some(granted.digital_signature());
                self.key_encipherment = Some(granted.key_encipherment());
                usage?;
            }
            oid::BASIC_CONSTRAINTS => self.is_ca = basic_constraints(value)?.ca,
            oid::SUBJECT_ALT_NAME => {
                let names = general_names(value)?.iter().map(GeneralName::to_evidence).collect();
                self.subject_alt_names = bounded("subject alternative names", names, alt_name_text, budget, remarks);
            }
            oid::DISTRIBUTION_POINTS => {
                let urls = self.take_points(value, false, remarks)?;
                self.crl_distribution_points = bounded("distribution points", urls, Text::as_str, budget, remarks);
            }
            oid::FRESHEST_LIST => {
                self.take_points(value, true, remarks)?;
            }
            oid::AUTHORITY_ACCESS => {
                let (mut ocsp, mut issuers) = (Vec::new(), Vec::new());
                let mut descriptions = sequence(&only(value)?)?;
                while !descriptions.is_empty() {
                    let mut description = descriptions.expect(SEQUENCE)?.inside();
                    let method = description.expect(OID)?.content;
                    let GeneralName::Uri(url) = GeneralName::of(&description.any()?) else { continue };
                    match method {
                        oid::OCSP => ocsp.push(Text::cut(url)),
                        oid::CA_ISSUERS => issuers.push(Text::cut(url)),
                        _ => {}
                    }
                }
                self.ocsp_urls = bounded("OCSP responders", ocsp, Text::as_str, budget, remarks);
                self.issuer_urls = bounded("addresses of the issuer", issuers, Text::as_str, budget, remarks);
            }
            // Anything else tells nothing that a rule reads.
            _ => {}
        }
        Ok(())
    }

    /// Takes CRLDistributionPoints or FreshestCRL (RFC 5280 sections 4.2.1.13 and 4.2.1.15), and returns the addresses.
    fn take_points(&mut self, value: &[u8], delta: bool, remarks: &mut Vec<Text>) -> Result<Vec<Text>, InvalidDer> {
        let mut urls = Vec::new();
        let mut points = sequence(&only(value)?)?;
        while !points.is_empty() {
            let mut fields = points.expect(SEQUENCE)?.inside();
            let name = fields.optional(constructed(0))?;
            let reasons = fields.optional(primitive(1))?;
            let issuer = fields.optional(constructed(2))?;
            let Some(name) = name.map(|wrapped| wrapped.inside().any()).transpose()? else {
                remark(remarks, "a distribution point names no place, only an issuer of lists");
                continue;
            };
            if name.tag != constructed(0) {
                remark(remarks, "a distribution point is relative to its issuer's name: it has no address");
                continue;
            }
            if reasons.is_some() {
                remark(remarks, "a distribution point is for some reasons of revocation only");
            }
            if issuer.is_some() {
                remark(remarks, "the lists of a distribution point are issued by another CA");
            }
            let mut names = name.inside();
            while !names.is_empty() {
                let GeneralName::Uri(url) = GeneralName::of(&names.any()?) else { continue };
                urls.push(Text::cut(url));
                if self.points.len() < MAX_POINTS && url.len() <= MAX_URL_BYTES {
                    self.points.push(Point { url: url.to_owned(), delta, other_issuer: issuer.is_some() });
                }
            }
        }
        Ok(urls)
    }
}

/// What a key usage extension grants (RFC 5280 section 4.2.1.3), the first bit highest.
#[derive(Clone, Copy, Default)]
pub(super) struct KeyUsage(u8);

impl KeyUsage {
    pub(super) const fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    pub(super) const fn key_encipherment(self) -> bool {
        self.0 & 0x20 != 0
    }

    pub(super) const fn key_cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }

    pub(super) const fn crl_sign(self) -> bool {
        self.0 & 0x02 != 0
    }
}

pub(super) fn key_usage(value: &[u8]) -> Result<KeyUsage, InvalidDer> {
    let element = only(value)?;
    match (element.tag, element.content) {
        (BIT_STRING, [unused @ 0..=7, first, ..]) => {
            // Bits that do not count must be zero, and are ignored where they are not.
            let mask = if element.content.len() == 2 { 0xFF_u8 << unused } else { 0xFF };
            Ok(KeyUsage(first & mask))
        }
        (BIT_STRING, [0]) => Ok(KeyUsage(0)),
        (BIT_STRING, _) => Err(InvalidDer::Value { kind: "BIT STRING" }),
        (found, _) => Err(InvalidDer::Tag { found, expected: BIT_STRING }),
    }
}

/// Basic constraints (RFC 5280 section 4.2.1.9).
#[derive(Clone, Copy, Default)]
pub(super) struct BasicConstraints {
    pub(super) ca: bool,
    /// Most issuers below; one beyond any real chain for a number that does not fit.
    pub(super) path_length: Option<u32>,
}

pub(super) fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, InvalidDer> {
    let mut fields = sequence(&only(value)?)?;
    let ca = fields.optional(BOOLEAN)?.map_or(Ok(false), |element| boolean(&element))?;
    let path_length = match fields.optional(INTEGER)?.map(|element| element.content) {
        None => None,
        Some([] | [0x80..=0xFF, ..]) => return Err(InvalidDer::Value { kind: "INTEGER" }),
        Some(bytes) => {
            let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            let long = digits.len() > 4;
            Some(if long { u32::MAX } else { digits.iter().fold(0, |number, digit| number << 8 | u32::from(*digit)) })
        }
    };
    fields.end()?;
    Ok(BasicConstraints { ca, path_length })
}

/// The object identifiers of an extended key usage extension, in their order.
pub(super) fn usages(value: &[u8]) -> Result<Vec<&[u8]>, InvalidDer> {
    let mut list = sequence(&only(value)?)?;
    let mut usages = Vec::new();
    while !list.is_empty() {
        let oid = list.expect(OID)?.content;
        if oid.last().is_none_or(|last| last & 0x80 != 0) {
            return Err(InvalidDer::Value { kind: "OBJECT IDENTIFIER" });
        }
        usages.push(oid);
    }
    Ok(usages)
}

/// The one element that a value is.
pub(super) fn only(value: &[u8]) -> Result<Element<'_>, InvalidDer> {
    let mut whole = Reader::new(value);
    let element = whole.any()?;
    whole.end()?;
    Ok(element)
}

/// A reader of what a sequence holds.
pub(super) fn sequence<'a>(element: &Element<'a>) -> Result<Reader<'a>, InvalidDer> {
    if element.tag == SEQUENCE {
        Ok(element.inside())
    } else {
        Err(InvalidDer::Tag { found: element.tag, expected: SEQUENCE })
    }
}

fn remark(remarks: &mut Vec<Text>, text: &str) {
    if remarks.len() < limits::CERTIFICATE_LIST && remarks.iter().all(|known| known.as_str() != text) {
        remarks.push(Text::cut(text));
    }
}

/// Keeps the first entries of a list: as many as the vocabulary allows and the certificate's budget holds.
fn bounded<T>(
    what: &str,
    mut list: Vec<T>,
    text: fn(&T) -> &str,
    budget: &mut usize,
    remarks: &mut Vec<Text>,
) -> Vec<T> {
    let mut kept = 0;
    for entry in list.iter().take(limits::CERTIFICATE_LIST) {
        // A few bytes for the frame of each entry.
        let Some(left) = budget.checked_sub(text(entry).len() + 8) else { break };
        *budget = left;
        kept += 1;
    }
    if kept < list.len() {
        remark(remarks, &format!("{} of {} {what} were left out", list.len() - kept, list.len()));
        list.truncate(kept);
    }
    list
}

fn alt_name_text(name: &SubjectAltName) -> &str {
    match name {
        SubjectAltName::Dns(text)
        | SubjectAltName::Upn(text)
        | SubjectAltName::Ip(text)
        | SubjectAltName::DirectoryGuid(text)
        | SubjectAltName::KerberosPrincipal(text)
        | SubjectAltName::Other(text) => text.as_str(),
    }
}
