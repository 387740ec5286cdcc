//! Lists over HTTP: one request at a time, bounded in time and size, and a copy on disk of the newest that was good.
//!
//! Plain HTTP, as distribution points have it: a list carries its own signature. Redirects are not followed, so that
//! an address in the configuration is the only place that is asked. Directories (LDAP) are not asked.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use muster_evidence::{Sha256, Timestamp};
use sha2::Digest;
use tokio_util::bytes::Bytes;

use super::list::{List, MOST_BYTES};

/// Longest that connecting may take.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Longest that a whole answer may take: 64 MiB at five megabits per second.
pub(crate) const ANSWER_TIME: Duration = Duration::from_mins(2);

/// Shortest time between two requests for one list while all is well.
const LEAST_PAUSE: Duration = Duration::from_mins(1);

/// An address that a list is fetched from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListUrl(String);

/// Says why a text is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid address `{found}`: expected `http://` with a host (a list carries its own signature)")]
pub struct InvalidListUrl {
    /// The text found, cut to 200 characters.
    pub found: String,
}

impl FromStr for ListUrl {
    type Err = InvalidListUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidListUrl { found: text.chars().take(200).collect() };
        let uri: Uri = text.trim().parse().map_err(|_| invalid())?;
        let plain = uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty());
        if plain && text.len() <= 2_000 { Ok(Self(uri.to_string())) } else { Err(invalid()) }
    }
}

impl std::fmt::Display for ListUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says why a list was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
    /// Nobody answers.
    #[error("the server does not answer")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// The answer is no list.
    #[error("the server answers {status} (expected 200; redirects are not followed)")]
    Status {
        /// What it answers.
        status: StatusCode,
    },
    /// The answer is too large.
    #[error("the list has {found} bytes (at most {MOST_BYTES} are read)")]
    TooLarge {
        /// The size the server names.
        found: u64,
    },
    /// The answer broke off, or is larger than was said.
    #[error("the answer broke off, or has more than {MOST_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("the server did not answer within {} s", ANSWER_TIME.as_secs())]
    Timeout,
}

/// What the server said of the copy that we have, to be asked again with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        Self { etag: headers.get(ETAG).cloned(), last_modified: headers.get(LAST_MODIFIED).cloned() }
    }
}

/// What the server answered.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// What we have is the newest.
    Unchanged,
    /// A body, not looked at yet.
    Body(Vec<u8>, Validators),
}

/// Asks for lists.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher(Client<HttpConnector, Empty<Bytes>>);

impl Fetcher {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIME));
        let mut builder = Client::builder(TokioExecutor::new());
        // Hours lie between two requests.
        builder.pool_max_idle_per_host(0);
        Self(builder.build(connector))
    }

    /// Fetches a list, unless it is what the validators name.
    pub(crate) async fn fetch(&self, url: &ListUrl, have: &Validators) -> Result<Fetched, FetchError> {
        tokio::time::timeout(ANSWER_TIME, self.fetch_untimed(url, have)).await.map_err(|_| FetchError::Timeout)?
    }

    async fn fetch_untimed(&self, url: &ListUrl, have: &Validators) -> Result<Fetched, FetchError> {
        let mut request = Request::get(&url.0);
        for (name, value) in [(IF_NONE_MATCH, &have.etag), (IF_MODIFIED_SINCE, &have.last_modified)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(Empty::new()).map_err(FetchError::Request)?;
        let answer = self.0.request(request).await.map_err(FetchError::Connect)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(Fetched::Unchanged),
            status => return Err(FetchError::Status { status }),
        }
        let length = answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if let Some(found) = length.filter(|found| *found > MOST_BYTES as u64) {
            return Err(FetchError::TooLarge { found });
        }
        let validators = Validators::of(answer.headers());
        let mut body = Limited::new(answer.into_body(), MOST_BYTES);
        let mut bytes = Vec::with_capacity(length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default());
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(FetchError::Body)?.into_data() {
                bytes.extend_from_slice(&data);
            }
        }
        Ok(Fetched::Body(bytes, validators))
    }
}

/// How long to wait before asking again: the configured interval; less towards the end of a list or after a failure.
/// `spread`, from 0 to 1, takes up to a tenth off, so that collectors do not ask at once.
pub(crate) fn pause(interval: Duration, list: Option<&List>, failures: u32, now: Timestamp, spread: f64) -> Duration {
    let least = LEAST_PAUSE.min(interval);
    let mut pause = interval;
    if failures > 0 {
        pause = pause.min(least.saturating_mul(1 << failures.min(6)));
    } else if let Some(list) = list {
        // AD CS publishes the next list some time before this one ends: then is the time to ask.
        let due = list.next_publish.filter(|at| *at > now).unwrap_or(list.next_update);
        let left = Duration::from_millis(u64::try_from(due.unix_ms() - now.unix_ms()).unwrap_or(0));
        pause = pause.min(if list.next_publish.is_some_and(|at| at > now) { left + least } else { left / 2 });
    }
    pause.max(least).mul_f64(1.0 - 0.1 * spread.clamp(0.0, 1.0))
}

/// The file that the copy of an address is kept in.
fn kept_in(folder: &Path, url: &ListUrl) -> PathBuf {
    folder.join(format!("{}.crl", Sha256(sha2::Sha256::digest(url.0.as_bytes()).into())))
}

/// The copy of an address, if one is kept.
pub(crate) fn kept(folder: &Path, url: &ListUrl) -> io::Result<Option<Vec<u8>>> {
    let path = kept_in(folder, url);
    match fs::metadata(&path) {
        Ok(found) if found.len() > MOST_BYTES as u64 => Ok(None),
        Ok(_) => fs::read(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps a copy, whole or not at all.
pub(crate) fn keep(folder: &Path, url: &ListUrl, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = kept_in(folder, url);
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_http() {
        for (text, good) in [
            ("http://pki.corp.example/ca.crl", true),
            ("http://127.0.0.1:8080/CA(1)+.crl", true),
            ("https://pki.corp.example/ca.crl", false),
            ("ldap:///CN=CA,CN=CDP,DC=corp,DC=example", false),
            ("file:///etc/passwd", false),
            ("/ca.crl", false),
            ("http://", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<ListUrl>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn the_pause_grows_with_failures_and_never_beyond_the_interval() {
        let (hour, now) = (Duration::from_hours(1), Timestamp::MIN);
        for (failures, expected) in [(0, hour), (1, Duration::from_mins(2)), (3, Duration::from_mins(8)), (60, hour)] {
            assert_eq!(pause(hour, None, failures, now, 0.0), expected, "{failures}");
        }
        assert_eq!(pause(Duration::from_secs(1), None, 3, now, 0.0), Duration::from_secs(1));
        assert_eq!(pause(hour, None, 0, now, 1.0), Duration::from_mins(54));
    }

    #[test]
    fn a_copy_is_kept_by_address() {
        let folder = tempfile::tempdir().unwrap();
        let url: ListUrl = "http://a.example/x".parse().unwrap();
        assert_eq!(kept(folder.path(), &url).unwrap(), None);
        keep(&folder.path().join("crl"), &url, b"one").unwrap();
        keep(&folder.path().join("crl"), &url, b"two").unwrap();
        assert_eq!(kept(&folder.path().join("crl"), &url).unwrap().unwrap(), b"two");
        assert_eq!(kept(&folder.path().join("crl"), &"http://b.example/x".parse().unwrap()).unwrap(), None);
    }

    /// Answers each connection with the next text, and tells what was asked.
    async fn server(answers: Vec<String>) -> (ListUrl, tokio::task::JoinHandle<Vec<String>>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ca.crl", listener.local_addr().unwrap()).parse().unwrap();
        let serving = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                asked.push(String::from_utf8_lossy(&request[..length]).to_lowercase());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (url, serving)
    }

    #[tokio::test]
    async fn an_answer_is_taken_once_and_never_from_elsewhere() {
        let (url, serving) = server(vec![
            "HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 4\r\n\r\nlist".to_owned(),
            "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MOST_BYTES + 1),
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned(),
            "<html>proxy</html>".to_owned(),
        ])
        .await;
        let fetcher = Fetcher::new();
        let none = Validators::default();
        let Ok(Fetched::Body(bytes, validators)) = fetcher.fetch(&url, &none).await else { panic!("no list") };
        assert_eq!(bytes, b"list");
        assert!(matches!(fetcher.fetch(&url, &validators).await, Ok(Fetched::Unchanged)));
        for (told, is) in [
            (
                "a redirect",
                (|e| matches!(e, FetchError::Status { status: StatusCode::FOUND })) as fn(&FetchError) -> bool,
            ),
            ("nothing there", |e| matches!(e, FetchError::Status { status: StatusCode::NOT_FOUND })),
            ("too large", |e| matches!(e, FetchError::TooLarge { .. })),
            ("broken off", |e| matches!(e, FetchError::Body(_))),
            ("no HTTP", |e| matches!(e, FetchError::Connect(_))),
        ] {
            let error = fetcher.fetch(&url, &none).await.unwrap_err();
            assert!(is(&error), "{told}: {error:?}");
        }
        let asked = serving.await.unwrap();
        assert!(asked[1].contains("if-none-match: \"a\""), "{}", asked[1]);
        assert!(matches!(fetcher.fetch(&url, &none).await, Err(FetchError::Connect(_))), "nobody listens any more");
    }
}
