//! Pages for people: the organisation and its sites, a site, hosts, a host, a user and a check, as plain HTML.
//!
//! Server-rendered and without a script. What stands on a page is what the API answers, from the same snapshot and the
//! same `query`: handlers call [`Api`], render its messages, and count nothing. What a page needs to be safe to open -
//! its headers - is set here; who may ask at all is `view::http`'s and `view::guard`'s matter.
//!
//! **Pages do not refresh themselves.** A page that reloads takes the place, the focus and the selection of whoever reads
//! it (WCAG 2.2.1 and 3.2.5). Every page says which snapshot it shows; whoever wants a screen on a wall asks for it with
//! `?refresh=60`, which the foot of each page offers, and only then is there a `<meta http-equiv="refresh">`.

mod check;
mod frame;
mod host;
mod hosts;
mod params;
mod part;
mod site;
mod sites;
mod user;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::Markup;
use muster_evidence::Timestamp;
use tonic::{Code, Status};

use self::frame::Frame;
use self::params::Params;
use crate::core::Core;
use crate::identity::OperatorPeer;
use crate::snapshot::Snapshot;
use crate::view::api::Api;

pub(crate) use self::params::{PARAMETERS, QUERY_BYTES};

/// The style sheet, one for all pages.
const STYLE: &str = include_str!("style.css");

/// The icon of a tab. Browsers that are given none ask for one of their own accord.
const ICON: &str = include_str!("icon.svg");

/// Nothing but our own style sheet, icon and forms: no script and no frame, whatever a name may hold.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every answer carries.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What handlers share.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    api: Api,
    core: Core,
}

/// The pages' routes.
pub(super) fn router(core: Core) -> Router {
    let pages = Arc::new(Pages { api: Api::new(core.clone()), core });
    Router::new()
        .route("/", get(sites::page))
        .route("/site", get(site::page))
        .route("/hosts", get(hosts::page))
        .route("/host", get(host::page))
        .route("/user", get(user::page))
        .route("/check", get(check::page))
        .route("/style.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/icon.svg", get(async || asset("image/svg+xml", ICON)))
        .fallback(nowhere)
        .with_state(pages)
}

/// Sets the headers that make an answer safe to open, on everything that is not gRPC.
pub(super) fn with_headers(router: Router) -> Router {
    router.layer(middleware::from_fn(async |request: Request, next: Next| {
        let mut response = next.run(request).await;
        for (name, value) in HEADERS {
            // A style sheet says for itself how long it may be kept.
            response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        }
        response
    }))
}

/// Its address names the version, so that an old one is never read for a new page.
fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, max-age=3600")], text)
}

async fn nowhere(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    // gRPC calls of services that this collector does not have end up here as well, and expect to be told in their way.
    if super::guard::is_grpc(request.headers()) {
        return Status::unimplemented(format!("no method `{}`", clipped(request.uri().path()))).into_http();
    }
    let peer = request.extensions().get::<OperatorPeer>().cloned();
    let asked = Asked::new(&pages, peer, request.uri());
    asked.refuse(&Status::not_found(format!("no page `{}`", clipped(request.uri().path()))))
}

fn clipped(path: &str) -> String {
    path.chars().take(64).collect()
}

/// One request for a page.
struct Asked<'a> {
    pages: &'a Pages,
    peer: Option<OperatorPeer>,
    uri: &'a Uri,
    snapshot: Arc<Snapshot>,
    now: Timestamp,
}

impl<'a> Asked<'a> {
    fn new(pages: &'a Pages, peer: Option<OperatorPeer>, uri: &'a Uri) -> Self {
        Self { pages, peer, uri, snapshot: pages.core.snapshot(), now: pages.core.now() }
    }

    /// A request to the API, in the name of whoever asks for the page.
    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        request
    }

    /// The page's parameters: those named, and those that every page has.
    fn params(&self, known: &[&str]) -> Result<Params, Status> {
        Params::parse(self.uri.path(), self.uri.query(), known)
    }

    /// The page.
    fn show(&self, params: &Params, title: &str, body: &Markup) -> Response {
        let frame = Frame { title, snapshot: &self.snapshot, now: self.now, params: Some(params), search: "" };
        html(StatusCode::OK, frame.around(body))
    }

    /// The page that says why there is none.
    fn refuse(&self, status: &Status) -> Response {
        let code = http_status(status);
        let title = match code {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::BAD_REQUEST => "Cannot be asked this way",
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "Not for you",
            _ => "Cannot be shown now",
        };
        // Whoever is no operator learns nothing, not even how far the snapshots have come.
        if matches!(code, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) {
            return (code, format!("{}\n", status.message())).into_response();
        }
        let frame = Frame { title, snapshot: &self.snapshot, now: self.now, params: None, search: "" };
        html(code, frame.around(&part::refusal(title, status.message())))
    }
}

/// What a status of the API is in HTTP.
fn http_status(status: &Status) -> StatusCode {
    match status.code() {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unavailable | Code::ResourceExhausted | Code::Aborted => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn html(status: StatusCode, page: Markup) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

/// Makes a page, or the page that says why not.
macro_rules! handler {
    ($render:ident) => {
        /// Answers a request for the page.
        pub(super) async fn page(
            axum::extract::State(pages): axum::extract::State<std::sync::Arc<super::Pages>>,
            peer: Option<axum::Extension<crate::identity::OperatorPeer>>,
            uri: axum::http::Uri,
        ) -> axum::response::Response {
            let asked = super::Asked::new(&pages, peer.map(|axum::Extension(peer)| peer), &uri);
            match $render(&asked).await {
                Ok(response) => response,
                Err(status) => asked.refuse(&status),
            }
        }
    };
}
use handler;

#[cfg(test)]
mod tests;
