//! One site: its verdict and why, who is ready, its domain controllers, its checks and its hosts.

use axum::response::Response;
use maud::{Markup, html};
use muster_evidence::Timestamp;
use muster_proto::v1;
use tonic::Status;

use super::hosts::{self, FILTERS};
use super::params::{Params, link};
use super::{Asked, part, sites};
use crate::snapshot::SiteSnapshot;
use crate::verdict::standing_to_wire;
use crate::view::wire;

super::handler!(render);

async fn render(asked: &Asked<'_>) -> Result<Response, Status> {
    let params = asked.params(&[&["name", "forest"], FILTERS].concat())?;
    let site = asked.pages.api.find_site(params.one("forest")?, params.one("name")?)?;
    let Some(id) = site.site.as_ref().map(wire::site_id) else {
        return Err(Status::not_found("the hosts without a site have no page"));
    };
    let filter = hosts::Filter { site: Some(&id), params: &params, name: "host" };
    let list = filter.list(asked).await?;
    let reasons: Vec<v1::SiteReason> = site.reasons.iter().map(wire::reason).collect();
    let body = html! {
        p class="path" { a href="/" { "Sites" } " / " (id.forest) }
        h1 { (id.name) " " (part::rollout(site.readiness.rollout)) }
        p {
            (sites_meaning(&site)) " So since "
            (part::time(site.rollout_since.unix_ms(), asked.now)) "."
        }
        (facts(&site))
        section {
            h2 { "Why" }
            @if reasons.is_empty() { p { "Nothing stands in the way." } }
            @else { (part::reasons(&reasons, &id.forest, "What stands in the way, worst first", asked.now)) }
        }
        (dcs(&site, &id, asked.now))
        (checks(&site, &id))
        (part::pools(&wire::site(&site).pools, asked.now))
        section {
            h2 id="hosts" { "Hosts" }
            (list)
        }
    };
    Ok(asked.show(&params, &format!("{}: {}", id.name, site.readiness.rollout), &body))
}

fn sites_meaning(site: &SiteSnapshot) -> &'static str {
    part::rollout_meaning(site.readiness.rollout)
}

fn facts(site: &SiteSnapshot) -> Markup {
    let population = &site.readiness.population;
    html! {
        dl class="facts" {
            dt { "Gate" }
            dd {
                (part::standing(standing_to_wire(site.readiness.gate.standing)))
                " the worst of what serves everybody here"
            }
            dt { "Users ready" }
            dd { (sites::ready_share(site)) " of those seen" }
            dt { "Users" }
            dd { (part::counted(&population.users)) (sites::quiet_too(population.users_quiet)) }
            dt { "Endpoints" }
            dd { (part::counted(&population.endpoints)) (sites::quiet_too(population.endpoints_quiet)) }
            dt { "Coverage" }
            dd { (sites::coverage(site)) }
            @if site.hosts_shared > 0 {
                dt { "Shared machines" }
                dd { (part::of(site.hosts_shared, "machine is", "machines are")) " used by more people than the policy calls shared" }
            }
            @if !site.readiness.qualifiers.is_empty() {
                dt { "Not judged yet" }
                dd {
                    @for (place, word) in site.readiness.qualifiers.iter().enumerate() {
                        @if place > 0 { ", " }
                        code { (word) }
                    }
                }
            }
        }
    }
}

fn dcs(site: &SiteSnapshot, id: &v1::SiteId, now: Timestamp) -> Markup {
    let coverage = &site.readiness.coverage;
    let inventory = coverage.dcs_expected.is_some();
    html! {
        section {
            h2 { "Domain controllers" }
            @if site.dc_rows.is_empty() && coverage.dcs_missing.is_empty() {
                p { "None has reported" @if inventory { ", and none is expected" } "." }
            } @else {
                table class="cards" {
                    caption { "Domain controllers with the end of their certificate and their last report" }
                    thead {
                        tr {
                            th scope="col" { "Host" }
                            th scope="col" { "Standing" }
                            th scope="col" { "Key trust" }
                            th scope="col" { "System" }
                            th scope="col" { "Certificate ends" }
                            th scope="col" { "Last report" }
                        }
                    }
                    tbody {
                        @for dc in &site.dc_rows {
                            @let told = wire::site_dc(dc);
                            tr {
                                th scope="row" data-label="Host" { (part::host_link(&told.host, &id.forest)) }
                                td data-label="Standing" { (part::standing(told.standing())) }
                                td data-label="Key trust" { (told.capability) }
                                td data-label="System" { (or_dash(&told.operating_system)) }
                                td data-label="Certificate ends" {
                                    (part::time_or(told.certificate_not_after_ms, "no certificate known", now))
                                }
                                td data-label="Last report" {
                                    (part::time(told.last_seen_ms, now))
                                    @if told.quiet { " " (part::quiet()) }
                                    @if inventory && !told.expected { p class="note" { "not in the inventory" } }
                                }
                            }
                        }
                        @for missing in &coverage.dcs_missing {
                            tr {
                                th scope="row" data-label="Host" { (missing) }
                                td data-label="Standing" { (part::standing(v1::Standing::Unknown)) }
                                td data-label="Key trust" { "not known" }
                                td data-label="System" { "not known" }
                                td data-label="Certificate ends" { "not known" }
                                td data-label="Last report" { "never; the inventory expects it" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn checks(site: &SiteSnapshot, id: &v1::SiteId) -> Markup {
    let checks = wire::check_counts(site);
    html! {
        @if !checks.is_empty() {
            section {
                h2 { "Checks" }
                table class="cards counts" {
                    caption { "How every check stands here; each number leads to its hosts" }
                    thead {
                        tr {
                            th scope="col" { "Check" }
                            @for standing in part::STANDINGS { th scope="col" class="count" { (part::standing(standing)) } }
                        }
                    }
                    tbody {
                        @for check in &checks {
                            @let counts = check.counts.unwrap_or_default();
                            tr {
                                th scope="row" data-label="Check" {
                                    (part::check_link(&check.check)) br; span class="note" { (check.title) }
                                }
                                @for standing in part::STANDINGS {
                                    @let count = of(&counts, standing);
                                    td class="count" data-label=(part::standing_name(standing)) {
                                        @if count == 0 { span class="note" { "0" } }
                                        @else {
                                            a href={ (link("/site", [
                                                ("name", id.name.as_str()),
                                                ("forest", &id.forest),
                                                ("check", &check.check),
                                                ("standing", part::standing_name(standing)),
                                            ])) "#hosts" } { (part::number(count)) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

const fn of(counts: &v1::StandingCounts, standing: v1::Standing) -> u64 {
    match standing {
        v1::Standing::Ready => counts.ready,
        v1::Standing::Advisory => counts.advisory,
        v1::Standing::Blocked => counts.blocked,
        v1::Standing::NotApplicable => counts.not_applicable,
        v1::Standing::Unknown | v1::Standing::Unspecified => counts.unknown,
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "not known" } else { text }
}

/// What the page keeps in its address beside the filter.
pub(super) fn hidden(params: &Params) -> Result<Markup, Status> {
    let (name, forest) = (params.one("name")?, params.one("forest")?);
    Ok(html! {
        input type="hidden" name="name" value=(name);
        @if !forest.is_empty() { input type="hidden" name="forest" value=(forest); }
    })
}
