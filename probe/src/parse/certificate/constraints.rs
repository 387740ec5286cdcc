//! Name constraints (RFC 5280 section 4.2.1.10): whether an issuer may issue for a name.
//!
//! A controller's certificate that its CA was not allowed to issue is refused by every client that builds the chain,
//! however good it looks. Names of a form for which the rules are not written here are refused where a constraint
//! speaks of that form, as the section demands.

use muster_proto::link::der::{InvalidDer, Reader, SEQUENCE, constructed};

use super::extensions::{only, sequence};
use super::general_name::GeneralName;
use super::name;

/// Most subtrees of one certificate that are looked at.
const MAX_SUBTREES: usize = 256;

/// The constraints of one issuer.
pub(super) struct NameConstraints<'a> {
    read: Result<Subtrees<'a>, InvalidDer>,
}

struct Subtrees<'a> {
    permitted: Vec<GeneralName<'a>>,
    excluded: Vec<GeneralName<'a>>,
}

/// The names of one certificate.
pub(super) struct Constrained<'a> {
    /// Its subject, in canonical components.
    pub(super) subject: Vec<String>,
    /// Its alternative names.
    pub(super) names: Vec<GeneralName<'a>>,
}

impl<'a> NameConstraints<'a> {
    pub(super) fn read(value: &'a [u8]) -> Self {
        Self { read: subtrees(value) }
    }

    /// Whether a certificate's names lie within; the error says which does not.
    pub(super) fn allow(&self, certificate: &Constrained<'_>) -> Result<(), String> {
        let Ok(subtrees) = &self.read else { return Err("has name constraints that cannot be read".to_owned()) };
        if !certificate.subject.is_empty() {
            subtrees.check("its subject", |base| match base {
                GeneralName::Directory(base) => Some(Ok(is_below(&name::canonical(base), &certificate.subject))),
                _ => None,
            })?;
        }
        for general_name in &certificate.names {
            subtrees.check(general_name.shown().as_str(), |base| matches(base, general_name))?;
        }
        Ok(())
    }
}

impl Subtrees<'_> {
    /// Compares one name with every subtree of its form. `matches` yields `None` for a subtree of another form, and an
    /// error for a form that cannot be compared.
    fn check(
        &self,
        shown: &str,
        matches: impl Fn(&GeneralName<'_>) -> Option<Result<bool, &'static str>>,
    ) -> Result<(), String> {
        let fault = |why: &str| Err(format!("is not allowed to issue for {shown}: {why}"));
        for base in &self.excluded {
            match matches(base) {
                Some(Ok(true)) => return fault("its name constraints exclude it"),
                Some(Err(what)) => return fault(what),
                _ => {}
            }
        }
        let mut permitted = None;
        for base in &self.permitted {
            match matches(base) {
                Some(Ok(matches)) => permitted = Some(permitted.unwrap_or(false) || matches),
                Some(Err(what)) => return fault(what),
                None => {}
            }
        }
        if permitted == Some(false) { fault("its name constraints do not permit it") } else { Ok(()) }
    }
}

fn subtrees(value: &[u8]) -> Result<Subtrees<'_>, InvalidDer> {
    let mut fields = sequence(&only(value)?)?;
    let permitted = fields.optional(constructed(0))?.map_or(Ok(Vec::new()), |list| bases(list.inside()))?;
    let excluded = fields.optional(constructed(1))?.map_or(Ok(Vec::new()), |list| bases(list.inside()))?;
    fields.end()?;
    Ok(Subtrees { permitted, excluded })
}

fn bases(mut list: Reader<'_>) -> Result<Vec<GeneralName<'_>>, InvalidDer> {
    let mut bases = Vec::new();
    while !list.is_empty() {
        let mut subtree = list.expect(SEQUENCE)?.inside();
        bases.push(GeneralName::of(&subtree.any()?));
        // A minimum other than 0, or a maximum, which nobody may write (RFC 5280), and more than anybody writes.
        subtree.end()?;
        if bases.len() > MAX_SUBTREES {
            return Err(InvalidDer::Trailing);
        }
    }
    Ok(bases)
}

/// Whether a name lies in the subtree of a base; `None` where they are of different forms.
fn matches(base: &GeneralName<'_>, name: &GeneralName<'_>) -> Option<Result<bool, &'static str>> {
    const UNKNOWN: &str = "its name constraints speak of a form of names that cannot be compared here";
    Some(match (base, name) {
        (GeneralName::Dns(base), GeneralName::Dns(name)) => Ok(host_is_below(base, name, true)),
        (GeneralName::Mail(base), GeneralName::Mail(name)) => Ok(mail_is_below(base, name)),
        (GeneralName::Uri(base), GeneralName::Uri(name)) => match host_of(name) {
            Some(host) => Ok(host_is_below(base, host, false)),
            None => Err(UNKNOWN),
        },
        (GeneralName::Ip(base), GeneralName::Ip(address)) => ip_is_below(base, address).ok_or(UNKNOWN),
        (GeneralName::Directory(base), GeneralName::Directory(directory)) => {
            Ok(is_below(&name::canonical(base), &name::canonical(directory)))
        }
        (GeneralName::Other(base, _), GeneralName::Other(oid, _)) if base == oid => Err(UNKNOWN),
        (GeneralName::RegisteredId(_), GeneralName::RegisteredId(_))
        | (GeneralName::X400, GeneralName::X400)
        | (GeneralName::EdiParty, GeneralName::EdiParty)
        | (GeneralName::Unreadable(..), GeneralName::Unreadable(..)) => Err(UNKNOWN),
        _ => return None,
    })
}

/// Whether the components of a base begin those of a name.
fn is_below(base: &[String], name: &[String]) -> bool {
    name.starts_with(base)
}

/// Whether a host lies in the subtree of a base. With `itself`, a base without a leading dot allows the host and what
/// is below; otherwise the host alone, as for addresses.
fn host_is_below(base: &str, host: &str, itself: bool) -> bool {
    if base.is_empty() {
        return true;
    }
    let (base, host) = (base.to_ascii_lowercase(), host.to_ascii_lowercase());
    match base.strip_prefix('.') {
        Some(_) => host.len() > base.len() && host.ends_with(&base),
        None if host == base => true,
        None => itself && host.ends_with(&base) && host[..host.len() - base.len()].ends_with('.'),
    }
}

fn mail_is_below(base: &str, mail: &str) -> bool {
    let Some((_, host)) = mail.rsplit_once('@') else { return false };
    match base.rsplit_once('@') {
        // The part before the sign counts in its case, the host does not.
        Some((local, base_host)) => {
            mail.rsplit_once('@').is_some_and(|(own, _)| own == local) && host.eq_ignore_ascii_case(base_host)
        }
        None => host_is_below(base, host, false),
    }
}

fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    (!host.is_empty() && !host.starts_with('[')).then_some(host)
}

/// Whether an address lies in a network written as address and mask; `None` where the base is neither.
fn ip_is_below(base: &[u8], address: &[u8]) -> Option<bool> {
    if !matches!(base.len(), 8 | 32) {
        return None;
    }
    let (network, mask) = base.split_at(base.len() / 2);
    if network.len() != address.len() {
        return Some(false);
    }
    Some(network.iter().zip(mask).zip(address).all(|((network, mask), byte)| network & mask == byte & mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_in_their_subtrees() {
        use GeneralName::{Dns, Ip, Mail, Uri};
        let v4 = [10, 1, 2, 3];
        let network = [10, 0, 0, 0, 255, 0, 0, 0];
        for (base, name, expected) in [
            (Dns("corp.example"), Dns("dc01.CORP.example"), Some(Ok(true))),
            (Dns("corp.example"), Dns("corp.example"), Some(Ok(true))),
            (Dns("corp.example"), Dns("evilcorp.example"), Some(Ok(false))),
            (Dns(".corp.example"), Dns("corp.example"), Some(Ok(false))),
            (Dns(".corp.example"), Dns("a.b.corp.example"), Some(Ok(true))),
            (Dns(""), Dns("anything"), Some(Ok(true))),
            (Dns("corp.example"), Mail("a@corp.example"), None),
            (Mail("corp.example"), Mail("Ada@CORP.example"), Some(Ok(true))),
            (Mail("corp.example"), Mail("ada@sub.corp.example"), Some(Ok(false))),
            (Mail(".corp.example"), Mail("ada@sub.corp.example"), Some(Ok(true))),
            (Mail("ada@corp.example"), Mail("ada@corp.example"), Some(Ok(true))),
            (Mail("ada@corp.example"), Mail("Ada@corp.example"), Some(Ok(false))),
            (Mail("corp.example"), Mail("no sign"), Some(Ok(false))),
            (Uri("corp.example"), Uri("https://corp.example:8443/x"), Some(Ok(true))),
            (Uri("corp.example"), Uri("https://dc.corp.example/x"), Some(Ok(false))),
            (Uri(".corp.example"), Uri("https://me@dc.corp.example?x"), Some(Ok(true))),
            (Ip(&network), Ip(&v4), Some(Ok(true))),
            (Ip(&network), Ip(&[11, 1, 2, 3]), Some(Ok(false))),
            (Ip(&network), Ip(&[0; 16]), Some(Ok(false))),
        ] {
            assert_eq!(matches(&base, &name), expected, "{base:?} {name:?}");
        }
        for (base, name) in [
            (Uri("corp.example"), Uri("urn:x")),
            (Uri("corp.example"), Uri("https://[::1]/")),
            (Ip(&v4), Ip(&v4)),
            (GeneralName::Other(&[1], &[]), GeneralName::Other(&[1], &[])),
            (GeneralName::RegisteredId(&[1]), GeneralName::RegisteredId(&[2])),
        ] {
            assert!(matches(&base, &name).unwrap().is_err(), "{base:?} {name:?}");
        }
        assert_eq!(matches(&GeneralName::Other(&[1], &[]), &GeneralName::Other(&[2], &[])), None);
    }
}
