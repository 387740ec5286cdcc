//! The query string of a page: read once, unknown names answered with the nearest known one, sizes bounded.

use std::fmt::Write as _;

use muster_proto::link::settings::nearest;
use tonic::Status;

/// Longest query string that is read, in bytes: every filter at its longest, percent-encoded.
pub(crate) const QUERY_BYTES: usize = 4096;

/// Most parameters in a query string: every filter, with each of its choices.
pub(crate) const PARAMETERS: usize = 32;

/// How often a page may be asked to reload itself, in seconds.
pub(crate) const REFRESH_SECONDS: std::ops::RangeInclusive<u32> = 10..=3_600;

/// The parameter that every page has.
const REFRESH: &str = "refresh";

/// The parameter of lists that says where they go on.
pub(super) const PAGE: &str = "page";

/// The parameters of a page. Those without a value are none: a form sends every field, empty ones too.
#[derive(Clone, Debug)]
pub(super) struct Params {
    path: String,
    pairs: Vec<(String, String)>,
    refresh: Option<u32>,
}

impl Params {
    /// Reads a query string.
    pub(super) fn parse(path: &str, query: Option<&str>, known: &[&str]) -> Result<Self, Status> {
        let query = query.unwrap_or_default();
        if query.len() > QUERY_BYTES {
            return Err(Status::invalid_argument(format!(
                "the query has {} bytes (at most {QUERY_BYTES} are read)",
                query.len()
            )));
        }
        let mut params = Self { path: path.to_owned(), pairs: Vec::new(), refresh: None };
        for (number, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if number == PARAMETERS {
                return Err(Status::invalid_argument(format!("the query has over {PARAMETERS} parameters")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) && name != REFRESH {
                let all = known.iter().copied().chain([REFRESH]);
                let name: String = name.chars().take(64).collect();
                return Err(Status::invalid_argument(match nearest(&name, all) {
                    Some(near) => format!("unknown parameter `{name}` (did you mean `{near}`?)"),
                    None => format!("unknown parameter `{name}`"),
                }));
            }
            if !value.is_empty() {
                params.pairs.push((name, value));
            }
        }
        let refresh = params.one(REFRESH)?;
        if !refresh.is_empty() {
            let seconds = refresh.parse().ok().filter(|seconds| REFRESH_SECONDS.contains(seconds));
            params.refresh = Some(seconds.ok_or_else(|| {
                let (least, most) = (REFRESH_SECONDS.start(), REFRESH_SECONDS.end());
                Status::invalid_argument(format!("`{REFRESH}` is a number of seconds from {least} to {most}"))
            })?);
        }
        Ok(params)
    }

    /// The value of a parameter that is given once at most; empty where it is not.
    pub(super) fn one(&self, name: &str) -> Result<&str, Status> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Status::invalid_argument(format!("`{name}` is given more than once"))),
            (value, None) => Ok(value.unwrap_or_default()),
        }
    }

    /// The values of a parameter.
    pub(super) fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        self.pairs.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is there or not.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Status> {
        match self.one(name)? {
            "" => Ok(false),
            "1" => Ok(true),
            _ => Err(Status::invalid_argument(format!("`{name}` is `1` or left out"))),
        }
    }

    /// How often the page reloads itself, in seconds, where that was asked for.
    pub(super) const fn refresh(&self) -> Option<u32> {
        self.refresh
    }

    /// This page with one parameter changed, or left out where the value is empty.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let others = self.pairs.iter().filter(|(own, _)| own != name);
        let pairs = others.map(|(name, value)| (name.as_str(), value.as_str()));
        link(&self.path, pairs.chain([(name, value)]))
    }

    /// This page, reloading itself or not.
    pub(super) fn with_refresh(&self, seconds: &str) -> String {
        self.with(REFRESH, seconds)
    }
}

/// The address of a page with parameters; empty values are left out.
pub(super) fn link<'a>(path: &str, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut address = path.to_owned();
    let mut between = '?';
    for (name, value) in params {
        if !value.is_empty() {
            address.push(between);
            address.push_str(name);
            address.push('=');
            encode(value, &mut address);
            between = '&';
        }
    }
    address
}

/// Everything but the unreserved characters of RFC 3986 section 2.3 is written by its bytes.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// The text of a name or value as a form sends it.
fn decoded(text: &str) -> Result<String, Status> {
    let wrong = || Status::invalid_argument("the query is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
                u8::try_from(high * 16 + low).map_err(|_| wrong())?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["name", "standing", PAGE];

    fn parse(query: &str) -> Result<Params, String> {
        Params::parse("/hosts", Some(query), KNOWN).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn values_come_back_as_they_were_sent() {
        for value in ["Lyon", "a b&c=d", "<b>\"x\"</b>", "Zürich/Süd", "..", "100%", "a+b"] {
            let address = link("/hosts", [("name", value), ("standing", "")]);
            let (path, query) = address.split_once('?').unwrap();
            assert_eq!((path, parse(query).unwrap().one("name").unwrap()), ("/hosts", value));
            assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%=".contains(&byte)), "{query}");
        }
        assert_eq!(parse("name=a+b").unwrap().one("name").unwrap(), "a b", "as forms send it");
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        let (long, many) = (format!("name={}", "x".repeat(QUERY_BYTES)), "name=&".repeat(PARAMETERS + 1));
        for (query, said) in [
            ("nmae=x", "unknown parameter `nmae` (did you mean `name`?)"),
            ("name=%ff", "the query is not percent-encoded UTF-8"),
            ("name=%f", "the query is not percent-encoded UTF-8"),
            ("name=%+1", "the query is not percent-encoded UTF-8"),
            ("refresh=9", "`refresh` is a number of seconds from 10 to 3600"),
            ("refresh=always", "`refresh` is a number of seconds from 10 to 3600"),
            (long.as_str(), "the query has 4101 bytes (at most 4096 are read)"),
            (many.as_str(), "the query has over 32 parameters"),
        ] {
            assert_eq!(parse(query).map(|_| ()), Err(said.to_owned()), "{query}");
        }
        let twice = parse("name=a&name=b").unwrap();
        assert_eq!(twice.one("name").unwrap_err().message(), "`name` is given more than once");
        assert_eq!(parse("name=yes").unwrap().flag("name").unwrap_err().message(), "`name` is `1` or left out");
    }

    #[test]
    fn a_changed_parameter_leaves_the_others() {
        let params = parse("standing=blocked&standing=unknown&page=7&refresh=60").unwrap();
        assert_eq!(params.refresh(), Some(60));
        assert_eq!(params.with(PAGE, "9"), "/hosts?standing=blocked&standing=unknown&refresh=60&page=9");
        assert_eq!(params.with_refresh(""), "/hosts?standing=blocked&standing=unknown&page=7");
    }
}
