//! HTTP proxies: which one a connection takes, and the tunnel through it (CONNECT, RFC 9110 section 9.3.6).
//!
//! A proxy is configured, or found in the environment by the names other programs use: `HTTPS_PROXY`, `https_proxy`,
//! `ALL_PROXY`, `all_proxy`, and `NO_PROXY` or `no_proxy` for what goes past it. One from the environment is meant for
//! the network, so it never takes what stays on this machine. The tunnel is encrypted end to end: a proxy sees where it
//! leads, and nothing else.
//!
//! Which hosts go past a proxy is hyper-util's to say; its tunnel is not used, because its errors name neither the proxy
//! nor what it answered, and a person who must talk to the people of the proxy needs both.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::dial::no_answer;
use super::url::CollectorUrl;

/// Most bytes of a proxy's answer that are read. Beyond its head nothing is of interest.
pub const MOST_ANSWER_BYTES: usize = 16 * 1024;

/// Characters of a proxy's status line that are told.
const TOLD: usize = 120;

/// The names of the environment that hold a proxy, in the order in which they count.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The same for plain HTTP. The name in capitals comes last: a web server sets it from a header of its clients.
const PLAIN_PROXY_VARIABLES: [&str; 4] = ["http_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"];

/// The names of the environment that hold what goes past it.
const BYPASS_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Says why a text names no proxy. The text itself is not told: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// It has another form.
    #[error("`{origin}` names no proxy (expected `http://host:port` or `http://user:password@host:port`)")]
    Form {
        /// The setting or variable.
        origin: String,
    },
    /// It is a proxy of another kind.
    #[error("`{origin}` names a proxy of the kind `{scheme}` (expected `http`: what goes through is encrypted anyway)")]
    Scheme {
        /// The setting or variable.
        origin: String,
        /// Its kind.
        scheme: String,
    },
}

/// Which connections take a proxy.
#[derive(Clone, Default)]
pub struct Proxies {
    proxy: Option<Arc<Proxy>>,
}

struct Proxy {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`. Shown nowhere.
    credentials: Option<HeaderValue>,
    matcher: Matcher,
    spares_loopback: bool,
}

/// Shows where the proxy is and nothing of its credentials.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy {
            None => f.write_str("Proxies(none)"),
            Some(proxy) => write!(f, "Proxies({proxy})"),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "http://[{host}]:{port}") } else { write!(f, "http://{host}:{port}") }
    }
}

impl Proxies {
    /// No proxy.
    pub fn none() -> Self {
        Self::default()
    }

    /// This proxy, for all but the hosts in `bypass`: a list in the form of `NO_PROXY`.
    pub fn configured(origin: &str, url: &str, bypass: &str) -> Result<Self, InvalidProxy> {
        let proxy = Proxy::parse(origin, url, bypass, false)?;
        Ok(Self { proxy: Some(Arc::new(proxy)) })
    }

    /// The proxy that the environment names, if any.
    pub fn from_environment() -> Result<Self, InvalidProxy> {
        Self::from_variables(&PROXY_VARIABLES, |name| std::env::var(name).ok())
    }

    /// The proxy that the environment names for plain HTTP, if any.
    pub fn plain_from_environment() -> Result<Self, InvalidProxy> {
        Self::from_variables(&PLAIN_PROXY_VARIABLES, |name| std::env::var(name).ok())
    }

    /// The same, from wherever the variables are.
    fn from_variables(names: &[&str], read: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidProxy> {
        let set =
            |name: &&str| read(name).map(|value| (name.to_string(), value)).filter(|(_, value)| !value.is_empty());
        let Some((origin, url)) = names.iter().find_map(set) else { return Ok(Self::none()) };
        let bypass = BYPASS_VARIABLES.iter().find_map(set).map(|(_, value)| value).unwrap_or_default();
        let proxy = Proxy::parse(&origin, &url, &bypass, true)?;
        Ok(Self { proxy: Some(Arc::new(proxy)) })
    }

    /// The proxy that a connection takes; `None` where it goes straight.
    pub(super) fn of(&self, url: &CollectorUrl) -> Option<Via> {
        // The address of a collector is a URI, or it could not have been parsed.
        self.on_the_way(url.host(), &url.to_string()).map(|proxy| Via(Arc::clone(proxy)))
    }

    /// The proxy that is asked in place of a server over plain HTTP; `None` where that one is asked itself.
    pub fn of_plain(&self, host: &str, port: u16) -> Option<PlainProxy> {
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let proxy = self.on_the_way(host, &format!("http://{shown}:{port}/"))?;
        let authorization = proxy.credentials.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned);
        Some(PlainProxy { host: proxy.host.clone(), port: proxy.port, authorization, shown: proxy.to_string() })
    }

    fn on_the_way(&self, host: &str, url: &str) -> Option<&Arc<Proxy>> {
        let proxy = self.proxy.as_ref()?;
        let stays = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if proxy.spares_loopback && stays {
            return None;
        }
        let target = Uri::from_str(url).ok()?;
        proxy.matcher.intercept(&target).map(|_| proxy)
    }
}

/// A proxy that is asked in place of a server.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainProxy {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The value of `Proxy-Authorization`, if it wants one. Must not be shown.
    pub authorization: Option<String>,
    /// The proxy without its credentials.
    pub shown: String,
}

impl fmt::Debug for PlainProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainProxy({})", self.shown)
    }
}

impl Proxy {
    fn parse(origin: &str, url: &str, bypass: &str, spares_loopback: bool) -> Result<Self, InvalidProxy> {
        let form = || InvalidProxy::Form { origin: origin.to_owned() };
        let with_scheme = if url.contains("://") { url.trim().to_owned() } else { format!("http://{}", url.trim()) };
        let uri: Uri = with_scheme.parse().map_err(|_| form())?;
        match uri.scheme_str() {
            Some("http") => {}
            scheme => {
                let scheme = scheme.unwrap_or_default().chars().take(16).collect();
                return Err(InvalidProxy::Scheme { origin: origin.to_owned(), scheme });
            }
        }
        if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
            return Err(form());
        }
        let matcher = Matcher::builder().all(with_scheme).no(bypass.to_owned()).build();
        // Asked without the exceptions, it gives the credentials in the form that travels.
        let all = Matcher::builder().all(uri.to_string()).build();
        let probe = Uri::from_static("https://collector.invalid/");
        let intercept = all.intercept(&probe).ok_or_else(form)?;
        let authority = uri.authority().ok_or_else(form)?;
        let port = authority.port_u16().filter(|port| *port != 0).ok_or_else(form)?;
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(form());
        }
        let credentials = intercept.basic_auth().cloned();
        Ok(Self { host: host.to_owned(), port, credentials, matcher, spares_loopback })
    }
}

/// The proxy of one connection.
#[derive(Clone)]
pub(super) struct Via(Arc<Proxy>);

/// Says why there is no tunnel through a proxy.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    #[error("proxy `{proxy}` asks for credentials (answered `{status}` to CONNECT {target}); {hint}")]
    Credentials { proxy: String, target: String, status: String, hint: &'static str },
    #[error(
        "proxy `{proxy}` refuses the way to {target}: answered `{status}`{content} (expected status 200 to CONNECT)"
    )]
    Refused { proxy: String, target: String, status: String, content: String },
    #[error("`{proxy}` is no HTTP proxy: answered `{found}` to CONNECT {target} (expected `HTTP/1.1 200`)")]
    NoProxy { proxy: String, target: String, found: String },
    #[error("proxy `{proxy}` closed the connection without an answer to CONNECT {target}")]
    Closed { proxy: String, target: String },
    #[error("answer of proxy `{proxy}` to CONNECT {target} is longer than {MOST_ANSWER_BYTES} bytes without an end")]
    TooLong { proxy: String, target: String },
    #[error("connection to proxy `{proxy}` broke before its answer to CONNECT {target}")]
    Broken {
        proxy: String,
        target: String,
        #[source]
        source: io::Error,
    },
}

impl Via {
    /// The proxy's host and port.
    pub(super) fn place(&self) -> (&str, u16) {
        (&self.0.host, self.0.port)
    }

    /// The proxy without its credentials.
    pub(super) fn shown(&self) -> String {
        self.0.to_string()
    }

    /// Opens the tunnel on a connection to the proxy.
    pub(super) async fn tunnel(
        &self,
        stream: TcpStream,
        url: &CollectorUrl,
        limit: Duration,
    ) -> Result<TcpStream, TunnelError> {
        let target = if url.host().contains(':') {
            format!("[{}]:{}", url.host(), url.port())
        } else {
            format!("{}:{}", url.host(), url.port())
        };
        match tokio::time::timeout(limit, self.ask(stream, &target)).await {
            Ok(result) => result,
            Err(_) => Err(TunnelError::Broken { proxy: self.shown(), target, source: no_answer(limit) }),
        }
    }

    async fn ask(&self, mut stream: TcpStream, target: &str) -> Result<TcpStream, TunnelError> {
        let broken = |source| TunnelError::Broken { proxy: self.shown(), target: target.to_owned(), source };
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(credentials) = &self.0.credentials {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(credentials.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await.map_err(broken)?;

        let mut answer = Vec::with_capacity(1_024);
        loop {
            // Byte by byte up to the end of the head: what follows belongs to the other end of the tunnel.
            let byte = match stream.read_u8().await {
                Ok(byte) => byte,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(match answer.as_slice() {
                        [] => TunnelError::Closed { proxy: self.shown(), target: target.to_owned() },
                        found => self.judge(found, target).err().unwrap_or_else(|| broken(error)),
                    });
                }
                Err(error) => return Err(broken(error)),
            };
            answer.push(byte);
            if answer.ends_with(b"\r\n\r\n") || answer.ends_with(b"\n\n") {
                self.judge(&answer, target)?;
                return Ok(stream);
            }
            if answer.len() >= MOST_ANSWER_BYTES {
                return Err(self
                    .judge(&answer, target)
                    .err()
                    .unwrap_or_else(|| TunnelError::TooLong { proxy: self.shown(), target: target.to_owned() }));
            }
            // What begins otherwise than an answer is none, however long it goes on.
            if answer.len() == b"HTTP/1.".len() && !answer.eq_ignore_ascii_case(b"HTTP/1.") {
                self.judge(&answer, target)?;
            }
        }
    }

    /// What an answer's head says.
    fn judge(&self, head: &[u8], target: &str) -> Result<(), TunnelError> {
        let (proxy, target) = (self.shown(), target.to_owned());
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let told: String = first.chars().filter(|c| !c.is_control()).take(TOLD).collect();
        let code = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|code| code.parse::<u16>().ok());
        let Some(code) = code else { return Err(TunnelError::NoProxy { proxy, target, found: told }) };
        match code {
            // Any 2xx opens the tunnel (RFC 9110 section 9.3.6).
            200..=299 => Ok(()),
            407 => {
                let hint = if self.0.credentials.is_some() {
                    "those that are configured were not accepted"
                } else {
                    "none are configured"
                };
                Err(TunnelError::Credentials { proxy, target, status: told, hint })
            }
            _ => {
                let kind = lines.find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-type").then(|| value.trim().chars().take(60).collect::<String>())
                });
                let content = kind.map(|kind| format!(" with a page of type `{kind}`")).unwrap_or_default();
                Err(TunnelError::Refused { proxy, target, status: told, content })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::net::TcpListener;

    use super::*;

    fn url(text: &str) -> CollectorUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_proxy_is_read_strictly_and_never_shown_with_its_password() {
        for (text, shown) in [
            ("http://proxy.corp.example:8080", "Proxies(http://proxy.corp.example:8080)"),
            ("proxy.corp.example:8080", "Proxies(http://proxy.corp.example:8080)"),
            ("http://ada:secret@[2001:db8::7]:3128/", "Proxies(http://[2001:db8::7]:3128)"),
        ] {
            assert_eq!(format!("{:?}", Proxies::configured("proxy.url", text, "").unwrap()), shown);
        }
        for bad in ["", "proxy", "http://proxy", "http://proxy:0", "http://ada:secret@", "http://proxy:1/page", "a b:1"]
        {
            let error = Proxies::configured("proxy.url", bad, "").unwrap_err().to_string();
            assert!(error.starts_with("`proxy.url` names no proxy") && !error.contains("secret"), "{bad}: {error}");
        }
        for bad in ["https://proxy:1", "socks5://ada:secret@proxy:1"] {
            let error = Proxies::configured("proxy.url", bad, "").unwrap_err().to_string();
            assert!(error.contains("of the kind") && !error.contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_environment_names_a_proxy_and_what_goes_past_it() {
        let goes = |variables: &[(&str, &str)], target: &str| {
            let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
            let proxies =
                Proxies::from_variables(&PROXY_VARIABLES, |name| variables.get(name).map(ToString::to_string)).unwrap();
            proxies.of(&url(target)).map(|via| via.shown())
        };
        let collector = "https://collector.corp.example:7443";
        let through = |host: &str| Some(format!("http://{host}:8080"));
        for (variables, target, expected) in [
            (&[][..], collector, None),
            (&[("HTTPS_PROXY", "http://a:8080")], collector, through("a")),
            (&[("https_proxy", "b:8080"), ("ALL_PROXY", "c:8080")], collector, through("b")),
            (&[("all_proxy", "http://c:8080")], collector, through("c")),
            (&[("HTTPS_PROXY", ""), ("ALL_PROXY", "c:8080")], collector, through("c")),
            (&[("HTTPS_PROXY", "a:8080"), ("NO_PROXY", "other.example,corp.example")], collector, None),
            (&[("HTTPS_PROXY", "a:8080"), ("no_proxy", "*")], collector, None),
            (&[("HTTPS_PROXY", "a:8080"), ("no_proxy", "10.0.0.0/8")], "https://10.1.2.3:7443", None),
            (&[("HTTPS_PROXY", "a:8080"), ("no_proxy", "10.0.0.0/8")], "https://192.0.2.3:7443", through("a")),
            // What stays on this machine goes straight.
            (&[("HTTPS_PROXY", "a:8080")], "https://127.0.0.1:7443", None),
            (&[("HTTPS_PROXY", "a:8080")], "https://[::1]:7443", None),
        ] {
            assert_eq!(goes(variables, target), expected, "{variables:?} {target}");
        }
        let error =
            Proxies::from_variables(&PROXY_VARIABLES, |name| (name == "ALL_PROXY").then(|| "socks5://p:1".to_owned()));
        assert_eq!(
            error.unwrap_err().to_string(),
            "`ALL_PROXY` names a proxy of the kind `socks5` (expected `http`: what goes through is encrypted anyway)"
        );
    }

    #[test]
    fn plain_requests_take_the_proxy_that_is_meant_for_them() {
        let variables = |name: &str| match name {
            "http_proxy" => Some("http://ada:secret@a:8080".to_owned()),
            "HTTPS_PROXY" => Some("http://b:8080".to_owned()),
            "no_proxy" => Some("pki.corp.example".to_owned()),
            _ => None,
        };
        let proxies = Proxies::from_variables(&PLAIN_PROXY_VARIABLES, variables).unwrap();
        let proxy = proxies.of_plain("crl.example.com", 80).unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("a", 8080));
        assert_eq!(proxy.authorization.as_deref(), Some("Basic YWRhOnNlY3JldA=="));
        assert_eq!(format!("{proxy:?}"), "PlainProxy(http://a:8080)");
        for straight in ["pki.corp.example", "127.0.0.1", "::1", "localhost"] {
            assert_eq!(proxies.of_plain(straight, 80), None, "{straight}");
        }
        let configured = Proxies::configured("proxy.url", "http://p:3128", "").unwrap();
        assert!(configured.of_plain("127.0.0.1", 80).is_some() && configured.of_plain("2001:db8::7", 80).is_some());
    }

    /// What a tunnel comes to where the proxy answers so; and what the proxy was asked.
    async fn answered(settings: &str, answer: &'static [u8]) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxies = Proxies::configured("proxy.url", &format!("http://{settings}{address}"), "").unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        let target = url("https://collector.corp.example:7443");
        let via = proxies.of(&target).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let result = via.tunnel(stream, &target, Duration::from_secs(20)).await;
        let result = result.map(|_| ()).map_err(|error| error.to_string().replace(&address.to_string(), "PROXY"));
        (result, serving.await.unwrap())
    }

    /// An answer that begins well and never ends.
    static ENDLESS: [u8; MOST_ANSWER_BYTES + 100] = {
        let mut bytes = [b'x'; MOST_ANSWER_BYTES + 100];
        let head = b"HTTP/1.1 200 OK\r\n";
        let mut at = 0;
        while at < head.len() {
            bytes[at] = head[at];
            at += 1;
        }
        bytes
    };

    #[tokio::test]
    async fn whatever_a_proxy_answers_is_told_with_what_was_expected() {
        let (result, asked) = answered("ada:s%20ecret@", b"HTTP/1.1 200 Connection established\r\n\r\n").await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            asked,
            "CONNECT collector.corp.example:7443 HTTP/1.1\r\nHost: collector.corp.example:7443\r\n\
             Proxy-Authorization: Basic YWRhOnMgZWNyZXQ=\r\n\r\n"
        );
        let target = "collector.corp.example:7443";
        for (settings, answer, told) in [
            (
                "",
                &b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html>"[..],
                format!(
                    "proxy `http://PROXY` refuses the way to {target}: answered `HTTP/1.1 403 Forbidden` with a page of \
                     type `text/html; charset=utf-8` (expected status 200 to CONNECT)"
                ),
            ),
            (
                "",
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
                format!(
                    "proxy `http://PROXY` asks for credentials (answered `HTTP/1.1 407 Proxy Authentication Required` \
                     to CONNECT {target}); none are configured"
                ),
            ),
            (
                "ada:secret@",
                b"HTTP/1.1 407 No\r\n\r\n",
                format!(
                    "proxy `http://PROXY` asks for credentials (answered `HTTP/1.1 407 No` to CONNECT {target}); those \
                     that are configured were not accepted"
                ),
            ),
            (
                "",
                b"<html><body>Welcome to the guest network</body></html>",
                format!(
                    "`http://PROXY` is no HTTP proxy: answered `<html><` to CONNECT {target} (expected `HTTP/1.1 200`)"
                ),
            ),
            ("", b"", format!("proxy `http://PROXY` closed the connection without an answer to CONNECT {target}")),
        ] {
            assert_eq!(answered(settings, answer).await.0.unwrap_err(), told);
        }
        assert!(answered("", &ENDLESS).await.0.unwrap_err().contains("is longer than 16384 bytes without an end"));
    }
}
