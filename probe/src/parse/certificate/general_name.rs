//! General names (RFC 5280 section 4.2.1.6), read one by one from where they lie.

use std::net::{Ipv4Addr, Ipv6Addr};

use muster_evidence::{SubjectAltName, Text};
use muster_proto::link::der::{
    Element, InvalidDer, OCTET_STRING, OID, Reader, SEQUENCE, constructed, dotted, primitive,
};
use x509_parser::asn1_rs::FromDer;
use x509_parser::x509::X509Name;

use super::{name, oid};
use crate::parse::bytes::to_hex;

/// One name.
#[derive(Clone, Debug)]
pub(super) enum GeneralName<'a> {
    Other(&'a [u8], &'a [u8]),
    Mail(&'a str),
    Dns(&'a str),
    X400,
    Directory(X509Name<'a>),
    EdiParty,
    Uri(&'a str),
    Ip(&'a [u8]),
    RegisteredId(&'a [u8]),
    /// A form nobody defined, or broken content: tag number and length.
    Unreadable(u8, usize),
}

impl<'a> GeneralName<'a> {
    pub(super) fn of(element: &Element<'a>) -> Self {
        let content = element.content;
        let unreadable = Self::Unreadable(element.tag & 0x1F, content.len());
        let text = |make: fn(&'a str) -> Self| match std::str::from_utf8(content) {
            Ok(text) if text.is_ascii() => make(text),
            _ => Self::Unreadable(element.tag & 0x1F, content.len()),
        };
        match element.tag {
            tag if tag == constructed(0) => {
                let mut fields = element.inside();
                match (fields.expect(OID), fields.expect(constructed(0))) {
                    (Ok(oid), Ok(value)) => Self::Other(oid.content, value.content),
                    _ => unreadable,
                }
            }
            tag if tag == primitive(1) => text(Self::Mail),
            tag if tag == primitive(2) => text(Self::Dns),
            tag if tag == constructed(3) => Self::X400,
            tag if tag == constructed(4) => {
                X509Name::from_der(content).map_or(unreadable, |(_, name)| Self::Directory(name))
            }
            tag if tag == constructed(5) => Self::EdiParty,
            tag if tag == primitive(6) => text(Self::Uri),
            tag if tag == primitive(7) => Self::Ip(content),
            tag if tag == primitive(8) => Self::RegisteredId(content),
            _ => unreadable,
        }
    }

    /// The name as people read it.
    pub(super) fn shown(&self) -> String {
        match self.to_evidence() {
            SubjectAltName::Dns(text)
            | SubjectAltName::Upn(text)
            | SubjectAltName::Ip(text)
            | SubjectAltName::DirectoryGuid(text)
            | SubjectAltName::KerberosPrincipal(text) => format!("`{text}`"),
            SubjectAltName::Other(text) => text.to_string(),
        }
    }

    /// As evidence.
    pub(super) fn to_evidence(&self) -> SubjectAltName {
        let other = |text: String| SubjectAltName::Other(Text::cut(&text));
        match self {
            Self::Dns(dns) => SubjectAltName::Dns(Text::cut(dns)),
            Self::Ip(bytes) => match ip(bytes) {
                Some(ip) => SubjectAltName::Ip(Text::cut(&ip)),
                None => other(format!("IP address of {} bytes", bytes.len())),
            },
            Self::Other(oid, value) => {
                other_name(oid, value).unwrap_or_else(|| other(format!("other name {}", dotted(oid))))
            }
            Self::Mail(mail) => other(format!("mail {mail}")),
            Self::Uri(uri) => other(format!("URI {uri}")),
            Self::Directory(directory) => other(format!("directory name {}", name::rfc4514(directory))),
            Self::RegisteredId(oid) => other(format!("registered id {}", dotted(oid))),
            Self::X400 => other("X.400 address".to_owned()),
            Self::EdiParty => other("EDI party name".to_owned()),
            Self::Unreadable(form, length) => other(format!("unreadable name of form {form} ({length} bytes)")),
        }
    }
}

/// The names of a GeneralNames sequence.
pub(super) fn general_names(value: &[u8]) -> Result<Vec<GeneralName<'_>>, InvalidDer> {
    let mut whole = Reader::new(value);
    let mut names = whole.expect(SEQUENCE)?.inside();
    whole.end()?;
    let mut read = Vec::new();
    while !names.is_empty() {
        read.push(GeneralName::of(&names.any()?));
    }
    Ok(read)
}

fn ip(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).to_string())
}

/// Reads the other names that Windows writes; `None` for another one or a broken one.
fn other_name(oid: &[u8], value: &[u8]) -> Option<SubjectAltName> {
    let value = Reader::new(value).any().ok()?;
    match oid {
        oid::UPN => Some(SubjectAltName::Upn(Text::cut(&name::string(value.tag, value.content)?))),
        oid::NTDS_REPLICATION => {
            let is_guid = value.tag == OCTET_STRING && value.content.len() == 16;
            is_guid.then(|| SubjectAltName::DirectoryGuid(Text::cut(&to_hex(value.content))))
        }
        oid::PKINIT_SAN => Some(SubjectAltName::KerberosPrincipal(Text::cut(&kerberos_principal(&value)?))),
        _ => None,
    }
}

/// KRB5PrincipalName (RFC 4556 section 3.2.2) with PrincipalName of RFC 4120 section 5.2.2.
fn kerberos_principal(value: &Element<'_>) -> Option<String> {
    let mut fields = (value.tag == SEQUENCE).then(|| value.inside())?;
    let realm = fields.expect(constructed(0)).ok()?.inside().any().ok()?;
    let mut principal = fields.expect(constructed(1)).ok()?.inside().expect(SEQUENCE).ok()?.inside();
    principal.expect(constructed(0)).ok()?;
    let mut components = principal.expect(constructed(1)).ok()?.inside().expect(SEQUENCE).ok()?.inside();
    let mut name = Vec::new();
    while !components.is_empty() {
        name.push(std::str::from_utf8(components.any().ok()?.content).ok()?);
    }
    Some(format!("{}@{}", name.join("/"), std::str::from_utf8(realm.content).ok()?))
}
