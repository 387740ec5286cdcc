//! Single values of the settings file, parsed and shown.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use muster_evidence::{DnsName, Role};
use muster_proto::link::settings::{nearest, parse_duration};
use muster_proto::link::{CollectorUrl, InvalidProxy, InvalidServiceName, InvalidUrl, Proxies, ServiceName};
use toml::de::DeValue;

/// A host and a port. The host is a DNS name or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress {
    /// DNS name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Where a collector is: at an address, or wherever the SRV records of a service say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectorPlace {
    /// At this address.
    At(CollectorUrl),
    /// Where the records of this name say.
    Service(ServiceName),
}

impl FromStr for CollectorPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if ServiceName::is_meant(text) {
            return text.parse().map(Self::Service).map_err(|error: InvalidServiceName| error.to_string());
        }
        let address: PeerAddress = text.parse()?;
        format!("https://{address}").parse().map(Self::At).map_err(|error: InvalidUrl| error.to_string())
    }
}

impl fmt::Display for CollectorPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(url) => f.write_str(url.to_string().trim_start_matches("https://")),
            Self::Service(name) => name.fmt(f),
        }
    }
}

/// The proxy that is configured. Its credentials are shown nowhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum ProxySetting {
    /// The one that the environment names, if any.
    #[default]
    Environment,
    /// None, whatever the environment names.
    Straight,
    /// This one: the whole address, as it was set.
    At(String),
}

impl ProxySetting {
    /// What may be shown of it.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Environment => None,
            Self::Straight => Some("none".to_owned()),
            Self::At(url) => Some(match url.rsplit_once('@') {
                Some((_, place)) => format!("http://***@{place}"),
                None => url.clone(),
            }),
        }
    }
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown().as_deref().unwrap_or("environment"))
    }
}

impl FromStr for ProxySetting {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::Straight);
        }
        Proxies::configured("proxy.url", text, "").map(|_| Self::At(text.to_owned()))
    }
}

/// A domain controller to be asked for its certificate: over TLS on 636, over `StartTLS` on 389.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DcAddress(pub PeerAddress);

impl DcAddress {
    /// The port of LDAP over TLS.
    pub const LDAPS: u16 = 636;
    /// The port of plain LDAP, on which TLS is started.
    pub const LDAP: u16 = 389;

    /// Whether TLS is started within LDAP rather than at once.
    pub const fn starts_tls(&self) -> bool {
        self.0.port == Self::LDAP
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for DcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PeerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = host_and_port(text)?;
        let port = port.ok_or_else(|| {
            format!("`{text}` names no port (expected `host:port`, such as `collector.corp.example:8443`)")
        })?;
        Ok(Self { host, port })
    }
}

impl FromStr for DcAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = host_and_port(text)?;
        Ok(Self(PeerAddress { host, port: port.unwrap_or(Self::LDAPS) }))
    }
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let text = text.trim();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or_else(|| format!("`{text}` lacks the closing `]`"))?;
            address.parse::<Ipv6Addr>().map_err(|_| format!("`{address}` is not an IPv6 address"))?;
            match rest.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None if rest.is_empty() => (address, None),
                None => return Err(format!("`{text}` goes on after the `]` (expected `:port`)")),
            }
        }
        None if text.parse::<Ipv6Addr>().is_ok() => {
            return Err(format!("`{text}` is an IPv6 address without brackets (expected `[{text}]:port`)"));
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if !text.starts_with('[') {
        // An IPv4 address is made of valid labels too.
        host.parse::<DnsName>().map_err(|error| error.to_string())?;
    }
    let port = match port {
        Some(port) => match port.parse::<u16>() {
            Ok(0) | Err(_) => return Err(format!("`{port}` is not a port (expected 1 to 65535)")),
            Ok(port) => Some(port),
        },
        None => None,
    };
    Ok((host.to_owned(), port))
}

/// A text.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("found {}, expected a text in quotes", article(value)))
}

/// Something that is built from a text.
pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(value: &DeValue<'_>) -> Result<T, String> {
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

/// A path that is not empty.
pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    match text(value)? {
        "" => Err("is empty, expected a path".to_owned()),
        path => Ok(PathBuf::from(path)),
    }
}

/// Yes or no.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("found {}, expected `true` or `false`", article(value)))
}

/// A list; a single value is a list of one.
pub(super) fn list<T>(value: &DeValue<'_>, item: impl Fn(&DeValue<'_>) -> Result<T, String>) -> Result<Vec<T>, String> {
    match value.as_array() {
        Some(items) => items.iter().map(|value| item(value.get_ref())).collect(),
        None => Ok(vec![item(value)?]),
    }
}

/// Roles by their names.
pub(super) fn role(value: &DeValue<'_>) -> Result<Role, String> {
    let name = text(value)?;
    let known: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
    Role::ALL.iter().copied().find(|role| role.name() == name).ok_or_else(|| unknown_name("role", name, &known))
}

/// A source by its name.
pub(super) fn source(value: &DeValue<'_>) -> Result<&'static str, String> {
    let name = text(value)?;
    let known: Vec<&'static str> = crate::source::SOURCES.iter().map(|source| source.name()).collect();
    known.iter().copied().find(|known| *known == name).ok_or_else(|| unknown_name("source", name, &known))
}

/// The answer to a name that is not among the known ones.
pub(super) fn unknown_name(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{name}` (did you mean `{near}`?)"),
        None => format!("unknown {what} `{name}` (known are {})", known.join(", ")),
    }
}

/// A duration with its unit, such as `90s` or `15m`.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a number with a unit, such as `90s`, `15m` or `2h`";
    if value.is_integer() {
        return Err(format!("found a number without a unit, {EXPECTED}"));
    }
    let text = text(value)?;
    parse_duration(text.trim()).ok_or_else(|| format!("found `{text}`, {EXPECTED}"))
}

/// Shows a list the way it is written in the settings.
pub(super) fn show_list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

/// Shows a set of roles the way it is written in the settings.
pub(super) fn show_roles(roles: &BTreeSet<Role>) -> String {
    show_list(roles.iter().map(|role| role.name()))
}

/// Shows a text the way TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn article(value: &DeValue<'_>) -> String {
    match value.type_str() {
        kind @ ("integer" | "array") => format!("an {kind}"),
        kind => format!("a {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_never_shown_with_its_credentials() {
        let proxy: ProxySetting = "http://ada:secret@proxy.corp.example:8080".parse().unwrap();
        assert_eq!(proxy.shown().unwrap(), "http://***@proxy.corp.example:8080");
        assert!(!format!("{proxy:?}").contains("secret"));
        assert_eq!("none".parse(), Ok(ProxySetting::Straight));
        assert!("https://proxy:1".parse::<ProxySetting>().is_err());
    }

    #[test]
    fn addresses_in_every_form() {
        for (text, shown) in [
            ("collector.corp.example:8443", "collector.corp.example:8443"),
            ("192.0.2.7:1", "192.0.2.7:1"),
            ("[2001:db8::7]:8443", "[2001:db8::7]:8443"),
        ] {
            assert_eq!(text.parse::<PeerAddress>().unwrap().to_string(), shown);
        }
        for (text, complaint) in [
            ("collector", "names no port"),
            ("collector:0", "is not a port"),
            ("collector:70000", "is not a port"),
            ("2001:db8::7", "without brackets"),
            ("[2001:db8::7", "closing"),
            ("[2001:db8::7]7443", "goes on after"),
            ("[dc01]:636", "not an IPv6 address"),
            ("https://collector:8443", "invalid DNS name"),
            ("", "invalid DNS name"),
        ] {
            let error = text.parse::<PeerAddress>().unwrap_err();
            assert!(error.contains(complaint), "{text}: {error}");
        }
        for (text, shown) in [
            ("collector.corp.example:8443", "collector.corp.example:8443"),
            ("[2001:db8::7]:8443", "[2001:db8::7]:8443"),
            ("_muster._tcp.corp.example", "_muster._tcp.corp.example"),
        ] {
            assert_eq!(text.parse::<CollectorPlace>().unwrap().to_string(), shown);
        }
        assert!("_muster.corp.example:1".parse::<CollectorPlace>().is_err());
        assert!("_muster._udp.corp.example".parse::<CollectorPlace>().unwrap_err().contains("`_muster._tcp.`"));
        assert_eq!("dc01.corp.example".parse::<DcAddress>().unwrap().0.port, 636);
        assert!("dc01:389".parse::<DcAddress>().unwrap().starts_tls());
    }
}
