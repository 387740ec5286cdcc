//! What stands between a browser and the operators' listener.
//!
//! The listener answers whoever reaches it on loopback, so a page of somebody else's that an operator opens must not
//! reach it through the operator's browser. Two ways lead there, and both are closed here:
//!
//! - **DNS rebinding**: a foreign name that is made to resolve to 127.0.0.1. In the clear, only names that are known to
//!   be ours are answered.
//! - **Forged requests**: a form or script of a foreign page that calls a method. Pages are only read; whatever changes
//!   anything is gRPC, which no browser speaks: HTTP/2 with a content type of its own, which a foreign page cannot send
//!   without asking first, and we never agree.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

/// Longest host name that a refusal repeats.
const NAME_SHOWN: usize = 64;

/// By which names a listener may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostNames {
    /// By any: the certificate of TLS vouches for the name.
    Any,
    /// By loopback names and addresses, and by these.
    Loopback(Arc<[String]>),
}

impl HostNames {
    /// Whether a request's authority names us.
    fn know(&self, authority: &str) -> bool {
        let Self::Loopback(more) = self else { return true };
        let host = without_port(authority).to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let is_loopback = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|v6| v6.is_loopback()),
            None => host.parse::<Ipv4Addr>().is_ok_and(|v4| v4.is_loopback()),
        };
        // Names under `localhost` never leave the machine (RFC 6761 section 6.3).
        is_loopback
            || host == "localhost"
            || host.ends_with(".localhost")
            || more.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// A host without its port; an IPv6 address keeps its brackets.
fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    }
}

/// Whether a request is a gRPC call by its content type.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Guards every route of the operators' listener, gRPC included.
pub fn guarded(router: Router, names: HostNames) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let refused = refusal(&request, &names);
        async move {
            match refused {
                Some(refused) => refused,
                None => next.run(request).await,
            }
        }
    }))
}

fn refusal(request: &Request, names: &HostNames) -> Option<Response> {
    let headers = request.headers();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let from_browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
        let called = request.version() == Version::HTTP_2 && is_grpc(headers) && !from_browser;
        return (!called).then(|| {
            let allow = [(header::ALLOW, "GET, HEAD")];
            let text = "pages are only read: GET and HEAD are answered here, and gRPC calls over HTTP/2\n";
            (StatusCode::METHOD_NOT_ALLOWED, allow, text).into_response()
        });
    }
    let authority = request
        .uri()
        .authority()
        .map(Authority::as_str)
        .or_else(|| headers.get(header::HOST)?.to_str().ok())
        .unwrap_or_default();
    (!names.know(authority)).then(|| {
        let shown: String = without_port(authority).chars().take(NAME_SHOWN).collect();
        let text = format!(
            "this listener is not called `{shown}`: it answers to `localhost` and loopback addresses, and to the names \
             in `operators.host_names`\n"
        );
        (StatusCode::MISDIRECTED_REQUEST, text).into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_known_in_the_clear() {
        let names = HostNames::Loopback(Arc::from(["muster.corp.example".to_owned()]));
        for (authority, known) in [
            ("localhost", true),
            ("LOCALHOST:8444", true),
            ("localhost.:8444", true),
            ("muster.localhost:8444", true),
            ("127.0.0.1:8444", true),
            ("127.1.2.3", true),
            ("[::1]:8444", true),
            ("[::1]", true),
            ("Muster.corp.example:8444", true),
            ("", false),
            ("evil.example", false),
            ("evil.example:8444", false),
            ("localhost.evil.example", false),
            ("evil-localhost", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1:8444", false),
            ("[::ffff:10.0.0.1]", false),
            ("user@localhost.evil.example:1", false),
            ("0.0.0.0:8444", false),
        ] {
            assert_eq!(names.know(authority), known, "{authority}");
        }
        assert!(HostNames::Any.know("evil.example"));
    }
}
