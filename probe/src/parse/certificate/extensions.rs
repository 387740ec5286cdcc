//! The extensions that rules read, each in every form that certification authorities write.
//!
//! A broken extension costs that extension alone, with a remark: the certificate stands in the store all the same.

use std::net::{Ipv4Addr, Ipv6Addr};

use muster_evidence::{ExtendedKeyUsage, SubjectAltName, TemplateReference, Text, limits};
use x509_parser::asn1_rs::{Any, Class, FromDer, Oid, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};

use super::fields::dotted;
use super::name;
use crate::parse::bytes::to_hex;

const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
/// szOID_ENROLL_CERTTYPE_EXTENSION: the name of a version 1 template, as a BMPString.
const TEMPLATE_NAME: &str = "1.3.6.1.4.1.311.20.2";
/// szOID_CERTIFICATE_TEMPLATE: identifier and version of a version 2 template.
const TEMPLATE_OID: &str = "1.3.6.1.4.1.311.21.7";
/// id-ad-ocsp (RFC 5280 section 4.2.2.1).
const OCSP: &str = "1.3.6.1.5.5.7.48.1";

const UPN: &str = "1.3.6.1.4.1.311.20.2.3";
const NTDS_REPLICATION: &str = "1.3.6.1.4.1.311.25.1";
const PKINIT_SAN: &str = "1.3.6.1.5.2.2";

/// Bytes that the lists of one certificate may take together, so that it always fits an observation.
const LIST_BYTES: usize = limits::OBSERVATION_BODY_BYTES * 2 / 3;

#[derive(Default)]
pub(super) struct Extensions {
    pub(super) digital_signature: Option<bool>,
    pub(super) key_encipherment: Option<bool>,
    pub(super) extended_key_usages: Option<Vec<ExtendedKeyUsage>>,
    pub(super) subject_alt_names: Vec<SubjectAltName>,
    pub(super) template: Option<TemplateReference>,
    pub(super) crl_distribution_points: Vec<Text>,
    pub(super) ocsp_urls: Vec<Text>,
    pub(super) is_ca: bool,
}

impl Extensions {
    pub(super) fn read(x509: &X509Certificate<'_>, remarks: &mut Vec<Text>) -> Self {
        let mut read = Self::default();
        let mut budget = LIST_BYTES;
        let mut seen: Vec<String> = Vec::new();
        for extension in x509.extensions() {
            let oid = dotted(&extension.oid);
            if seen.contains(&oid) {
                // RFC 5280 section 4.2 forbids it; the first one counts.
                remark(remarks, &format!("extension `{oid}` stands more than once"));
                continue;
            }
            if read.take(&oid, extension.value, extension.parsed_extension(), &mut budget, remarks).is_none() {
                remark(remarks, &format!("extension `{oid}` could not be read"));
            }
            seen.push(oid);
        }
        read
    }

    /// Takes one extension; `None` when it is broken.
    fn take(
        &mut self,
        oid: &str,
        value: &[u8],
        parsed: &ParsedExtension<'_>,
        budget: &mut usize,
        remarks: &mut Vec<Text>,
    ) -> Option<()> {
        match (oid, parsed) {
            (EXTENDED_KEY_USAGE, _) => {
                // Read here rather than by the library, which loses the order.
                let usages = oids(value);
                self.extended_key_usages = Some(Vec::new());
                let texts = usages?.iter().map(|oid| Text::cut(&dotted(oid))).collect();
                let texts = bounded("extended key usages", texts, Text::as_str, budget, remarks);
                self.extended_key_usages = Some(texts.into_iter().map(ExtendedKeyUsage).collect());
            }
            (TEMPLATE_NAME, _) => {
                let (_, any) = Any::from_der(value).ok()?;
                // Where both stand, the name wins: the KDC asks for `DomainController` by it.
                self.template = Some(TemplateReference::Name(Text::cut(&name::string(&any)?)));
            }
            (TEMPLATE_OID, _) => {
                let (_, sequence) = Any::from_der(value).ok()?;
                sequence.header.assert_tag(Tag::Sequence).ok()?;
                let (_, oid) = Oid::from_der(sequence.data).ok()?;
                if self.template.is_none() {
                    self.template = Some(TemplateReference::Oid(Text::cut(&dotted(&oid))));
                }
            }
            (_, ParsedExtension::KeyUsage(usage)) => {
                self.digital_signature = Some(usage.digital_signature());
                self.key_encipherment = Some(usage.key_encipherment());
            }
            (_, ParsedExtension::BasicConstraints(constraints)) => self.is_ca = constraints.ca,
            (_, ParsedExtension::SubjectAlternativeName(names)) => {
                let names = names.general_names.iter().map(alt_name).collect();
                self.subject_alt_names = bounded("subject alternative names", names, alt_name_text, budget, remarks);
            }
            (_, ParsedExtension::CRLDistributionPoints(points)) => {
                let urls = points
                    .iter()
                    .filter_map(|point| match &point.distribution_point {
                        Some(DistributionPointName::FullName(names)) => Some(names),
                        _ => None,
                    })
                    .flatten()
                    .filter_map(url)
                    .collect();
                self.crl_distribution_points = bounded("distribution points", urls, Text::as_str, budget, remarks);
            }
            (_, ParsedExtension::AuthorityInfoAccess(access)) => {
                let urls = access
                    .iter()
                    .filter(|description| dotted(&description.access_method) == OCSP)
                    .filter_map(|description| url(&description.access_location))
                    .collect();
                self.ocsp_urls = bounded("OCSP responders", urls, Text::as_str, budget, remarks);
            }
            (_, ParsedExtension::ParseError { .. }) => return None,
            // Anything else tells nothing that a rule reads.
            _ => {}
        }
        Some(())
    }
}

fn remark(remarks: &mut Vec<Text>, text: &str) {
    if remarks.len() < limits::CERTIFICATE_LIST {
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

fn oids(value: &[u8]) -> Option<Vec<Oid<'_>>> {
    let (_, sequence) = Any::from_der(value).ok()?;
    sequence.header.assert_tag(Tag::Sequence).ok()?;
    let mut rest = sequence.data;
    let mut oids = Vec::new();
    while !rest.is_empty() {
        let (after, oid) = Oid::from_der(rest).ok()?;
        oids.push(oid);
        rest = after;
    }
    Some(oids)
}

fn url(name: &GeneralName<'_>) -> Option<Text> {
    match name {
        GeneralName::URI(url) => Some(Text::cut(url)),
        _ => None,
    }
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

fn alt_name(general_name: &GeneralName<'_>) -> SubjectAltName {
    let other = |text: String| SubjectAltName::Other(Text::cut(&text));
    match general_name {
        GeneralName::DNSName(dns) => SubjectAltName::Dns(Text::cut(dns)),
        GeneralName::IPAddress(bytes) => match ip(bytes) {
            Some(ip) => SubjectAltName::Ip(Text::cut(&ip)),
            None => other(format!("IP address of {} bytes", bytes.len())),
        },
        GeneralName::OtherName(oid, value) => {
            let oid = dotted(oid);
            other_name(&oid, value).unwrap_or_else(|| other(format!("other name {oid}")))
        }
        GeneralName::RFC822Name(mail) => other(format!("mail {mail}")),
        GeneralName::URI(uri) => other(format!("URI {uri}")),
        GeneralName::DirectoryName(directory) => other(format!("directory name {}", name::rfc4514(directory))),
        GeneralName::RegisteredID(oid) => other(format!("registered id {}", dotted(oid))),
        GeneralName::X400Address(_) => other("X.400 address".to_owned()),
        GeneralName::EDIPartyName(_) => other("EDI party name".to_owned()),
        GeneralName::Invalid(tag, bytes) => other(format!("unreadable name of form {} ({} bytes)", tag.0, bytes.len())),
    }
}

fn ip(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).to_string())
}

/// Reads the other names that Windows writes; `None` for another one or a broken one.
fn other_name(oid: &str, value: &[u8]) -> Option<SubjectAltName> {
    let (_, value) = explicit(value, 0)?;
    match oid {
        UPN => Some(SubjectAltName::Upn(Text::cut(&name::string(&value)?))),
        NTDS_REPLICATION => {
            let is_guid = value.tag() == Tag::OctetString && value.data.len() == 16;
            is_guid.then(|| SubjectAltName::DirectoryGuid(Text::cut(&to_hex(value.data))))
        }
        PKINIT_SAN => Some(SubjectAltName::KerberosPrincipal(Text::cut(&kerberos_principal(&value)?))),
        _ => None,
    }
}

/// KRB5PrincipalName (RFC 4556 section 3.2.2) with PrincipalName of RFC 4120 section 5.2.2.
fn kerberos_principal(value: &Any<'_>) -> Option<String> {
    value.header.assert_tag(Tag::Sequence).ok()?;
    let (rest, realm) = explicit(value.data, 0)?;
    let (_, principal) = explicit(rest, 1)?;
    let (rest, _name_type) = explicit(principal.data, 0)?;
    let (_, components) = explicit(rest, 1)?;
    let mut name = Vec::new();
    let mut rest = components.data;
    while !rest.is_empty() {
        let (after, component) = Any::from_der(rest).ok()?;
        name.push(std::str::from_utf8(component.data).ok()?);
        rest = after;
    }
    Some(format!("{}@{}", name.join("/"), std::str::from_utf8(realm.data).ok()?))
}

/// What an explicit context tag wraps, and what follows it.
fn explicit(bytes: &[u8], tag: u32) -> Option<(&[u8], Any<'_>)> {
    let (rest, outer) = Any::from_der(bytes).ok()?;
    if outer.class() != Class::ContextSpecific || outer.tag() != Tag(tag) {
        return None;
    }
    let (_, inner) = Any::from_der(outer.data).ok()?;
    Some((rest, inner))
}
