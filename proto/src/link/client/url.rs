//! The address of a collector.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use rustls_pki_types::ServerName;

/// Where a collector listens: `https://host:port`, or `http://` on the machine itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CollectorUrl {
    secure: bool,
    host: Box<str>,
    port: u16,
}

/// Says why a text is not the address of a collector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It has another form.
    #[error("invalid collector address `{found}`: expected `https://host:port`")]
    Form {
        /// The text found, cut to 200 characters.
        found: String,
    },
    /// It is not encrypted and leaves the machine.
    #[error("collector address `{found}` is not encrypted (`http://` is for this machine only; expected `https://`)")]
    NotEncrypted {
        /// The text found, cut to 200 characters.
        found: String,
    },
}

impl CollectorUrl {
    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted. One that is not stays on the machine.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }
}

impl FromStr for CollectorUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let found = || text.chars().take(200).collect::<String>();
        let form = || InvalidUrl::Form { found: found() };
        let uri: Uri = text.parse().map_err(|_| form())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(form()),
        };
        let authority = uri.authority().ok_or_else(form)?;
        let rest = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        let (host, port) = (authority.host(), authority.port_u16());
        let port = port.filter(|port| *port != 0).ok_or_else(form)?;
        // Brackets belong to the address's form in a URL, not to the address.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if !rest || authority.as_str().contains('@') || ServerName::try_from(host).is_err() {
            return Err(form());
        }
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !secure && !loopback {
            return Err(InvalidUrl::NotEncrypted { found: found() });
        }
        Ok(Self { secure, host: host.into(), port })
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secure, host, port } = self;
        let scheme = if *secure { "https" } else { "http" };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        for good in ["https://collector.corp.example:7443", "https://[::1]:7443", "http://127.0.0.1:7444"] {
            assert_eq!(good.parse::<CollectorUrl>().unwrap().to_string(), good);
        }
        assert_eq!("https://c:1/".parse::<CollectorUrl>().unwrap().to_string(), "https://c:1");
        let error = |text: &str| text.parse::<CollectorUrl>().unwrap_err().to_string();
        for bad in ["", "collector", "collector:7443", "https://c", "https://c:0", "https://c:7443/x", "ftp://c:1"] {
            assert_eq!(error(bad), format!("invalid collector address `{bad}`: expected `https://host:port`"));
        }
        assert!(error("https://user@c:1").starts_with("invalid collector address"));
        assert!(error("http://collector.corp.example:7443").contains("is not encrypted"));
    }
}
