//! One GET over plain HTTP/1.1 (RFC 9110 and 9112), bounded in time and size.
//!
//! Plain, as distribution points have it: a list carries its own signature. The address is sent as it stands in the
//! certificate: the `+` in the names of delta lists is no blank, and whoever would encode it asks for another file.
//! Redirects are followed a few times, to plain HTTP only.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use muster_proto::link::{PlainProxy, Proxies};

use crate::source::net::{self, ConnectError};

/// Most redirects that are followed.
const MOST_REDIRECTS: u32 = 3;

/// Most bytes of an answer's head.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// Most interim answers (status 100 to 199) before the one that counts.
const MOST_INTERIM: u32 = 4;

/// How every answer begins.
const START: &[u8] = b"HTTP/1.";

/// Characters of a status line or type that are told.
const TOLD: usize = 60;

/// Where a list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpUrl {
    host: String,
    port: u16,
    /// Path and query as they are sent.
    path: String,
}

/// Why an address is not asked. Each fits after "not asked: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAsked {
    #[error("the directory (LDAP) is read by members of the domain only, and not by this probe")]
    Directory,
    #[error("`https` needs a certificate whose own revocation would have to be checked first")]
    Https,
    #[error("addresses of the kind `{scheme}` are not asked (expected `http`)")]
    Scheme { scheme: String },
    #[error("the address holds credentials")]
    Credentials,
    #[error("it is no address with a host")]
    Malformed,
}

impl HttpUrl {
    pub(super) fn parse(text: &str) -> Result<Self, NotAsked> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(NotAsked::Malformed)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(NotAsked::Https),
            "ldap" | "ldaps" => return Err(NotAsked::Directory),
            other => return Err(NotAsked::Scheme { scheme: other.chars().take(16).collect() }),
        }
        let rest = rest.strip_prefix("//").ok_or(NotAsked::Malformed)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(NotAsked::Credentials);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or(NotAsked::Malformed)?,
            None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => 80,
            Some("") => 80,
            Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or(NotAsked::Malformed)?,
            None => return Err(NotAsked::Malformed),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(NotAsked::Malformed);
        }
        Ok(Self { host: host.to_ascii_lowercase(), port, path: sendable(path) })
    }

    fn host_and_port(&self) -> String {
        match (self.port, self.host.contains(':')) {
            (80, true) => format!("[{}]", self.host),
            (80, false) => self.host.clone(),
            _ => net::shown(&self.host, self.port),
        }
    }

    /// The address that a `Location` header names.
    fn redirected(&self, location: &str) -> Result<Self, NotAsked> {
        let location = location.trim();
        if location.starts_with('/') && !location.starts_with("//") {
            return Ok(Self { path: sendable(location), ..self.clone() });
        }
        Self::parse(location)
    }
}

/// Shows it as it would be asked.
impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.host_and_port(), self.path)
    }
}

/// A path as it may stand in a request line: without its fragment, and blanks and what is not ASCII encoded.
fn sendable(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut sent = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        sent.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_graphic() {
            sent.push(char::from(byte));
        } else {
            push(&mut sent, format_args!("%{byte:02X}"));
        }
    }
    sent
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = std::fmt::Write::write_fmt(text, more);
}

/// Bounds on one fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long it may take, redirects included.
    pub(super) time: Duration,
    /// The largest body, in bytes.
    pub(super) bytes: usize,
}

/// What the server said of the copy that we have, to be asked again with.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// What the server answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// What we have is the newest.
    Unchanged,
    /// A body, not looked at yet.
    Body {
        bytes: Vec<u8>,
        /// The type it claims to be of; empty where it claims none.
        content_type: String,
        validators: Validators,
    },
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("`{at}` did not answer within {seconds} s")]
    TooSlow { at: String, seconds: u64 },
    #[error("the connection to `{at}` broke: {source}")]
    Broken { at: String, source: io::Error },
    #[error("`{at}` closed the connection before its answer was whole")]
    Incomplete { at: String },
    #[error("`{at}` answered `{found}` (expected HTTP/1.1)")]
    NoHttp { at: String, found: String },
    #[error("`{at}` answered `{status}` (expected 200)")]
    Status { at: String, status: String },
    #[error("proxy `{proxy}` asks for credentials: answered `{status}`")]
    Credentials { proxy: String, status: String },
    #[error("`{at}` redirects to `{to}`, which is not asked: {why}")]
    RedirectRefused { at: String, to: String, why: NotAsked },
    #[error("there are more than {MOST_REDIRECTS} redirects")]
    TooManyRedirects,
    #[error("`{at}` redirects to no place")]
    RedirectNowhere { at: String },
    #[error("the list has more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the answer is encoded as `{encoding}`, which was not asked for")]
    Encoded { encoding: String },
}

impl FetchError {
    /// Whether the server was reached, and gave something that is of no use.
    pub(super) const fn is_unusable(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Encoded { .. })
    }
}

/// Fetches what is at an address, unless it is what the validators name.
pub(super) fn get(url: &HttpUrl, have: &Validators, proxies: &Proxies, limits: Limits) -> Result<Answer, FetchError> {
    let deadline = Instant::now() + limits.time;
    let mut url = url.clone();
    for _ in 0..=MOST_REDIRECTS {
        match ask(&url, have, proxies, limits, deadline)? {
            Step::Answer(answer) => return Ok(answer),
            Step::Redirect(location) => {
                let next = url.redirected(&location).map_err(|why| FetchError::RedirectRefused {
                    at: url.host_and_port(),
                    to: told(&location),
                    why,
                })?;
                url = next;
            }
        }
    }
    Err(FetchError::TooManyRedirects)
}

enum Step {
    Answer(Answer),
    Redirect(String),
}

fn ask(
    url: &HttpUrl,
    have: &Validators,
    proxies: &Proxies,
    limits: Limits,
    deadline: Instant,
) -> Result<Step, FetchError> {
    let proxy = proxies.of_plain(&url.host, url.port);
    let (host, port) = proxy.as_ref().map_or((url.host.as_str(), url.port), |proxy| (proxy.host.as_str(), proxy.port));
    let stream = net::connect(host, port, deadline)?;
    let at = match &proxy {
        Some(proxy) => format!("{} through proxy {}", url.host_and_port(), proxy.shown),
        None => url.host_and_port(),
    };
    let mut connection = Connection { stream, at, seconds: limits.time.as_secs(), buffer: Vec::new() };
    connection.send(&request(url, have, proxy.as_ref()))?;
    let mut head = connection.head()?;
    let mut interim = 0;
    while (100..200).contains(&head.code) && interim < MOST_INTERIM {
        interim += 1;
        head = connection.head()?;
    }
    match (head.code, &proxy) {
        (200, _) => {}
        (304, _) if *have != Validators::default() => return Ok(Step::Answer(Answer::Unchanged)),
        (301 | 302 | 303 | 307 | 308, _) => {
            let location = head.header("location").filter(|location| !location.is_empty());
            let location = location.ok_or(FetchError::RedirectNowhere { at: connection.at })?;
            return Ok(Step::Redirect(location.to_owned()));
        }
        (407, Some(proxy)) => {
            return Err(FetchError::Credentials { proxy: proxy.shown.clone(), status: head.status });
        }
        _ => return Err(FetchError::Status { at: connection.at, status: head.status }),
    }
    if let Some(encoding) = head.header("content-encoding").filter(|e| !e.eq_ignore_ascii_case("identity")) {
        return Err(FetchError::Encoded { encoding: told(encoding) });
    }
    let content_type = told(head.header("content-type").unwrap_or_default());
    let kept = |name| head.header(name).filter(|value| value.len() <= 200).map(str::to_owned);
    let validators = Validators { etag: kept("etag"), last_modified: kept("last-modified") };
    let bytes = connection.body(&head, limits.bytes)?;
    Ok(Step::Answer(Answer::Body { bytes, content_type, validators }))
}

fn request(url: &HttpUrl, have: &Validators, proxy: Option<&PlainProxy>) -> Vec<u8> {
    let host = url.host_and_port();
    // A proxy is given the whole address (RFC 9112 section 3.2.2), a server the path.
    let target = if proxy.is_some() { url.to_string() } else { url.path.clone() };
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: muster-probe\r\nAccept: */*\r\nConnection: close\r\n"
    );
    for (name, value) in [
        ("If-None-Match", have.etag.as_deref()),
        ("If-Modified-Since", have.last_modified.as_deref()),
        ("Proxy-Authorization", proxy.and_then(|proxy| proxy.authorization.as_deref())),
    ] {
        if let Some(value) = value {
            push(&mut request, format_args!("{name}: {value}\r\n"));
        }
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// A text of a server as it may be told: short, and without control characters.
fn told(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TOLD).collect()
}

/// The head of an answer.
struct Head {
    code: u16,
    /// The status line without the version.
    status: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

struct Connection {
    stream: net::DeadlineStream,
    at: String,
    seconds: u64,
    /// What was read and not used yet.
    buffer: Vec<u8>,
}

impl Connection {
    fn failed(&self, source: io::Error) -> FetchError {
        let at = self.at.clone();
        match source.kind() {
            io::ErrorKind::TimedOut => FetchError::TooSlow { at, seconds: self.seconds },
            io::ErrorKind::UnexpectedEof => FetchError::Incomplete { at },
            _ => FetchError::Broken { at, source },
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.stream.write_all(bytes).map_err(|error| self.failed(error))
    }

    /// Reads some more; how much. Nothing is the end.
    fn fill(&mut self) -> Result<usize, FetchError> {
        let mut chunk = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(|error| self.failed(error))?,
            }
        };
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    /// One line without its end.
    fn line(&mut self, budget: &mut usize) -> Result<String, FetchError> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = self.buffer[looked_at..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(looked_at + end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                *budget = budget.saturating_sub(line.len());
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            looked_at = self.buffer.len();
            if looked_at >= *budget {
                return Err(FetchError::NoHttp { at: self.at.clone(), found: "a head without an end".to_owned() });
            }
            if self.fill()? == 0 {
                return Err(FetchError::Incomplete { at: self.at.clone() });
            }
        }
    }

    fn head(&mut self) -> Result<Head, FetchError> {
        let mut budget = MOST_HEAD_BYTES;
        // What begins otherwise is no answer, however long it goes on without an end of line.
        while self.buffer.len() < START.len() {
            if self.fill()? == 0 {
                break;
            }
        }
        let no_http = |found: &str, at: &str| FetchError::NoHttp { at: at.to_owned(), found: told(found) };
        if !self.buffer.starts_with(START) {
            // No more than was waited for, so that the same server is told of in the same words each time.
            let start = String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(START.len())]).into_owned();
            return Err(if self.buffer.is_empty() {
                FetchError::Incomplete { at: self.at.clone() }
            } else {
                no_http(&start, &self.at)
            });
        }
        let first = self.line(&mut budget)?;
        let status = first.split_once(' ').map(|(_, status)| status.trim()).unwrap_or_default();
        let code = status.get(..3).and_then(|code| code.parse().ok()).ok_or_else(|| no_http(&first, &self.at))?;
        let status = told(status);
        let mut headers = Vec::new();
        loop {
            let line = self.line(&mut budget)?;
            if line.is_empty() {
                return Ok(Head { code, status, headers });
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    fn body(mut self, head: &Head, limit: usize) -> Result<Vec<u8>, FetchError> {
        let chunked = head
            .header("transfer-encoding")
            .map(|coding| coding.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked")));
        match (chunked, head.header("content-length").map(str::parse::<usize>)) {
            (Some(true), _) => self.chunked(limit),
            (None, Some(Ok(length))) if length > limit => Err(FetchError::TooLarge { limit }),
            (None, Some(Ok(length))) => {
                let mut body = Vec::with_capacity(length.min(1 << 20));
                self.take(length, &mut body)?;
                Ok(body)
            }
            // Until the end of the connection (RFC 9112 section 6.3).
            (Some(false), _) | (None, None) => loop {
                if self.buffer.len() > limit {
                    return Err(FetchError::TooLarge { limit });
                }
                if self.fill()? == 0 {
                    return Ok(self.buffer);
                }
            },
            (None, Some(Err(_))) => {
                Err(FetchError::NoHttp { at: self.at, found: "a length that is no number".to_owned() })
            }
        }
    }

    fn chunked(&mut self, limit: usize) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        loop {
            let line = self.line(&mut { MOST_HEAD_BYTES })?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| FetchError::NoHttp { at: self.at.clone(), found: told(&line) })?;
            // Whatever follows the last chunk is of no interest: the connection ends here.
            if size == 0 {
                return Ok(body);
            }
            if size > limit - body.len() {
                return Err(FetchError::TooLarge { limit });
            }
            self.take(size, &mut body)?;
            self.line(&mut { MOST_HEAD_BYTES })?;
        }
    }

    /// Takes exactly that many bytes.
    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> Result<(), FetchError> {
        let mut left = length;
        loop {
            let take = left.min(self.buffer.len());
            body.extend(self.buffer.drain(..take));
            left -= take;
            if left == 0 {
                return Ok(());
            }
            if self.fill()? == 0 {
                return Err(FetchError::Incomplete { at: self.at.clone() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sent_as_they_stand() {
        for (text, shown) in [
            ("http://pki.corp.example/CA+.crl", "http://pki.corp.example/CA+.crl"),
            (
                "HTTP://PKI.corp.example:8080/CertEnroll/Lab%20CA(1)+.crl?x=a+b#y",
                "http://pki.corp.example:8080/CertEnroll/Lab%20CA(1)+.crl?x=a+b",
            ),
            ("http://[2001:db8::7]/a b/ü.crl", "http://[2001:db8::7]/a%20b/%C3%BC.crl"),
            ("http://127.0.0.1:80", "http://127.0.0.1/"),
            ("http://pki.corp.example?x", "http://pki.corp.example/?x"),
            ("http://pki.corp.example/a\r\nHost: evil", "http://pki.corp.example/a%0D%0AHost:%20evil"),
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for (text, why) in [
            ("ldap:///CN=CA,CN=CDP,DC=corp,DC=example?certificateRevocationList", NotAsked::Directory),
            ("https://pki.corp.example/ca.crl", NotAsked::Https),
            ("file://server/ca.crl", NotAsked::Scheme { scheme: "file".to_owned() }),
            ("http://ada:secret@pki.corp.example/ca.crl", NotAsked::Credentials),
            ("http:///ca.crl", NotAsked::Malformed),
            ("http:/ca.crl", NotAsked::Malformed),
            ("http://a b/ca.crl", NotAsked::Malformed),
            ("http://host:0/ca.crl", NotAsked::Malformed),
            ("http://host:99999/ca.crl", NotAsked::Malformed),
            ("http://[::1/ca.crl", NotAsked::Malformed),
            ("http://[::1]8/ca.crl", NotAsked::Malformed),
            ("", NotAsked::Malformed),
        ] {
            assert_eq!(HttpUrl::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_redirect_leads_to_plain_addresses_only() {
        let url = HttpUrl::parse("http://a.example:8080/x/ca.crl").unwrap();
        for (location, shown) in
            [("/y+.crl", "http://a.example:8080/y+.crl"), ("http://b.example/ca.crl", "http://b.example/ca.crl")]
        {
            assert_eq!(url.redirected(location).unwrap().to_string(), shown);
        }
        for (location, why) in [("https://b.example/", NotAsked::Https), ("//b.example/", NotAsked::Malformed)] {
            assert_eq!(url.redirected(location), Err(why), "{location}");
        }
    }
}
