//! Hosts by filter, a page at a time: a page of its own, and a part of each site's.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use muster_evidence::{Role, Sid, Timestamp};
use muster_proto::link::settings::nearest;
use muster_proto::v1::readiness_service_server::ReadinessService;
use muster_proto::{convert, v1};
use muster_readiness::CHECKS;
use tonic::Status;

use super::params::{PAGE, Params, link};
use super::{Asked, part, site};

/// The parameters of a list of hosts, apart from that of the name.
pub(super) const FILTERS: &[&str] = &["host", "role", "check", "standing", "quiet", "shared", "certificate", PAGE];

super::handler!(render);

async fn render(asked: &Asked<'_>) -> Result<Response, Status> {
    let params = asked.params(&[&["name", "forest", "site"], FILTERS].concat())?;
    let name = params.one("name")?;
    // The search finds users as well, and a user has a page.
    if name.parse::<Sid>().is_ok() {
        return Ok(Redirect::to(&link("/user", [("sid", name.trim())])).into_response());
    }
    let filter = Filter { site: None, params: &params, name: "name" };
    let body = html! {
        h1 { "Hosts" }
        (filter.list(asked).await?)
    };
    Ok(asked.show(&params, "Hosts", &body))
}

/// Which hosts: what the address says, and the site where the list is part of a site's page.
pub(super) struct Filter<'a> {
    pub(super) site: Option<&'a v1::SiteId>,
    pub(super) params: &'a Params,
    /// The parameter with a part of the host's name.
    pub(super) name: &'static str,
}

impl Filter<'_> {
    /// The form, the hosts that match and the way to the next page.
    pub(super) async fn list(&self, asked: &Asked<'_>) -> Result<Markup, Status> {
        let request = self.request()?;
        let answer = asked.pages.api.list_hosts(asked.request(request.clone())).await?.into_inner();
        Ok(html! {
            (self.form(&request)?)
            p role="status" {
                @if answer.total == 0 { "No host matches." }
                @else {
                    (part::of(answer.total, "host matches", "hosts match"))
                    @if answer.total > answer.hosts.len() as u64 {
                        "; " (part::number(answer.hosts.len() as u64)) " are shown here"
                    }
                    "."
                }
            }
            @if !answer.hosts.is_empty() { (table(&answer.hosts, self.site.is_none(), asked.now)) }
            (self.pager(&answer.next_page_token)?)
        })
    }

    fn request(&self) -> Result<v1::ListHostsRequest, Status> {
        let params = self.params;
        let (forest, site) = match self.site {
            Some(id) => (id.forest.clone(), id.name.clone()),
            None => (params.one("forest")?.to_owned(), params.one("site")?.to_owned()),
        };
        Ok(v1::ListHostsRequest {
            forest,
            site,
            role: role_of(params.one("role")?)?,
            check: params.one("check")?.to_owned(),
            standings: params.all("standing").map(standing_of).collect::<Result<Vec<i32>, _>>()?,
            name_contains: params.one(self.name)?.to_owned(),
            quiet: params.flag("quiet")?,
            shared: params.flag("shared")?,
            certificate_near_end: params.flag("certificate")?,
            page_token: params.one(PAGE)?.to_owned(),
            ..v1::ListHostsRequest::default()
        })
    }

    fn form(&self, request: &v1::ListHostsRequest) -> Result<Markup, Status> {
        let (action, anchor) = if self.site.is_some() { ("/site#hosts", true) } else { ("/hosts", false) };
        Ok(html! {
            form class="filter" action=(action) method="get" aria-label="Filter hosts" {
                @if anchor { (site::hidden(self.params)?) }
                @else {
                    label { "Site " input name="site" value=(request.site) maxlength="253" autocomplete="off"; }
                    @if !request.forest.is_empty() { input type="hidden" name="forest" value=(request.forest); }
                }
                label { "Name contains " input name=(self.name) value=(request.name_contains) maxlength="253" autocomplete="off"; }
                label {
                    "Role "
                    select name="role" {
                        option value="" { "any" }
                        @for role in Role::ALL {
                            option value=(role.name()) selected[convert::role_to_wire(*role) == request.role] { (role.name()) }
                        }
                    }
                }
                label {
                    "Check "
                    select name="check" {
                        option value="" { "any: the host as a whole" }
                        @for check in CHECKS {
                            option value=(check.id()) selected[check.id() == request.check] { (check.id()) }
                        }
                    }
                }
                fieldset {
                    legend { "Stands" }
                    @for standing in part::STANDINGS {
                        label {
                            input type="checkbox" name="standing" value=(part::standing_name(standing))
                                checked[request.standings.contains(&standing.into())];
                            " " (part::standing_name(standing).replace('-', " "))
                        }
                    }
                    label { input type="checkbox" name="quiet" value="1" checked[request.quiet]; " quiet" }
                    label { input type="checkbox" name="shared" value="1" checked[request.shared]; " shared" }
                    label {
                        input type="checkbox" name="certificate" value="1" checked[request.certificate_near_end];
                        " probe's certificate near its end"
                    }
                }
                button { "Filter" }
            }
        })
    }

    fn pager(&self, next: &str) -> Result<Markup, Status> {
        let further = !self.params.one(PAGE)?.is_empty();
        let anchor = if self.site.is_some() { "#hosts" } else { "" };
        Ok(html! {
            @if further || !next.is_empty() {
                nav class="pager" aria-label="Pages of hosts" {
                    @if further { a rel="first" href={ (self.params.with(PAGE, "")) (anchor) } { "First hosts" } }
                    @if !next.is_empty() { a rel="next" href={ (self.params.with(PAGE, next)) (anchor) } { "Next hosts" } }
                }
            }
        })
    }
}

fn table(hosts: &[v1::HostSummary], with_site: bool, now: Timestamp) -> Markup {
    html! {
        table class="cards" {
            caption { "Hosts with how they stand and the check that makes it so" }
            thead {
                tr {
                    th scope="col" { "Host" }
                    @if with_site { th scope="col" { "Site" } }
                    th scope="col" { "Stands" }
                    th scope="col" { "Worst check" }
                    th scope="col" { "System" }
                    th scope="col" { "Last report" }
                }
            }
            tbody {
                @for host in hosts {
                    @let forest = host.site.as_ref().map(|site| site.forest.as_str()).unwrap_or_default();
                    tr {
                        th scope="row" data-label="Host" {
                            (part::host_link(&host.name, forest))
                            br; span class="note" {
                                (roles(host))
                                @if host.shared { ", shared" }
                                @if !host.pool.is_empty() { ", of pool " (host.pool) }
                            }
                        }
                        @if with_site { td data-label="Site" { (site_of(host)) } }
                        td data-label="Stands" { (part::standing(host.standing())) }
                        td data-label="Worst check" {
                            @if host.worst_check.is_empty() { "none" }
                            @else { (part::check_link(&host.worst_check)) p { (part::words(&host.worst_text)) } }
                        }
                        td data-label="System" {
                            @if host.operating_system.is_empty() { "not known" } @else { (host.operating_system) }
                        }
                        td data-label="Last report" {
                            (part::time(host.last_seen_ms, now))
                            @if host.quiet { " " (part::quiet()) }
                        }
                    }
                }
            }
        }
    }
}

/// The site of a host, or that it is not known.
pub(super) fn site_of(host: &v1::HostSummary) -> Markup {
    html! {
        @match host.site.as_ref().filter(|site| !site.name.is_empty()) {
            Some(site) => { (part::site_link(site)) }
            None => { "not known" }
        }
    }
}

/// The roles of a host in words.
pub(super) fn roles(host: &v1::HostSummary) -> String {
    let roles: Vec<&str> = host.roles().map(part::role).collect();
    if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") }
}

fn standing_of(word: &str) -> Result<i32, Status> {
    let names = part::STANDINGS.map(part::standing_name);
    match part::STANDINGS.into_iter().find(|own| part::standing_name(*own) == word) {
        Some(standing) => Ok(standing.into()),
        None => Err(unknown("standing", word, &names)),
    }
}

fn role_of(word: &str) -> Result<i32, Status> {
    if word.is_empty() {
        return Ok(0);
    }
    let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
    match Role::ALL.iter().find(|role| role.name() == word) {
        Some(role) => Ok(convert::role_to_wire(*role)),
        None => Err(unknown("role", word, &names)),
    }
}

fn unknown(what: &str, word: &str, known: &[&str]) -> Status {
    let word: String = word.chars().take(64).collect();
    Status::invalid_argument(match nearest(&word, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{word}` (did you mean `{near}`?)"),
        None => format!("unknown {what} `{word}` (there are `{}`)", known.join("`, `")),
    })
}
