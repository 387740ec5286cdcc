//! The first page: the organisation in a line, what unlocks the most users, and every site, worst first.

use axum::response::Response;
use maud::{Markup, html};
use muster_evidence::Timestamp;
use muster_proto::link::settings::nearest;
use muster_proto::v1;
use muster_proto::v1::readiness_service_server::ReadinessService;
use muster_readiness::{Rollout, Standing};
use tonic::Status;

use super::params::{PAGE, Params, link};
use super::{Asked, part};
use crate::query;
use crate::snapshot::{SiteSnapshot, Snapshot};
use crate::verdict::standing_to_wire;
use crate::view::{api, wire};

/// Reasons of the organisation shown at once; the others are folded away.
const REASONS_SHOWN: usize = 5;

const ROLLOUTS: [Rollout; 4] = [Rollout::Hold, Rollout::Unknown, Rollout::Partly, Rollout::Go];

super::handler!(render);

async fn render(asked: &Asked<'_>) -> Result<Response, Status> {
    let params = asked.params(&["forest", "rollout", PAGE])?;
    let organisation = asked.pages.api.get_organisation(asked.request(v1::GetOrganisationRequest {})).await?;
    let forest = api::optional(params.one("forest")?, "forest")?;
    let rollouts = params.all("rollout").map(rollout_of).collect::<Result<Vec<_>, _>>()?;
    let skip = usize::try_from(api::page_token(params.one(PAGE)?)?).unwrap_or(usize::MAX);
    let page = query::sites(&asked.snapshot, forest.as_ref(), &rollouts, skip, api::SITES_PER_PAGE);
    let body = html! {
        h1 { "Which sites can roll out key trust?" }
        (overview(organisation.get_ref(), &asked.snapshot))
        (top_reasons(organisation.get_ref(), asked.now))
        (list(&page, &params, asked.now))
        (part::pools(&organisation.get_ref().pools, asked.now))
    };
    Ok(asked.show(&params, "Sites", &body))
}

fn rollout_of(word: &str) -> Result<Rollout, Status> {
    ROLLOUTS.into_iter().find(|own| own.name().eq_ignore_ascii_case(word)).ok_or_else(|| {
        let word: String = word.chars().take(64).collect();
        Status::invalid_argument(match nearest(&word, ["go", "partly", "hold", "unknown"]) {
            Some(near) => format!("unknown rollout verdict `{word}` (did you mean `{near}`?)"),
            None => format!("unknown rollout verdict `{word}` (there are `go`, `partly`, `hold` and `unknown`)"),
        })
    })
}

fn overview(all: &v1::GetOrganisationResponse, snapshot: &Snapshot) -> Markup {
    let sums = &snapshot.organisation;
    html! {
        section aria-label="The organisation" {
            ul class="tiles" {
                @for rollout in ROLLOUTS {
                    @let count = match rollout {
                        Rollout::Go => all.sites_go,
                        Rollout::Partly => all.sites_partly,
                        Rollout::Hold => all.sites_hold,
                        Rollout::Unknown => all.sites_unknown,
                    };
                    li {
                        a href=(link("/", [("rollout", rollout.name().to_ascii_lowercase().as_str())])) {
                            b class="figure" { (part::number(count)) }
                            " " (if count == 1 { "site" } else { "sites" }) " " (part::rollout(rollout))
                        }
                    }
                }
            }
            dl class="facts" {
                dt { "Users" }
                dd { (part::counted(&sums.users)) (quiet_too(sums.users_quiet)) }
                dt { "Endpoints" }
                dd { (part::counted(&sums.endpoints)) }
                dt { "Domain controllers" }
                dd { (part::counted(&sums.dcs)) }
                dt { "Hosts" }
                dd {
                    (part::of(all.hosts, "host has", "hosts have")) " reported"
                    (quiet_too(all.hosts_quiet))
                    @if all.hosts_without_site > 0 {
                        "; " (part::of(all.hosts_without_site, "is", "are")) " in no site that is known"
                    }
                    @if all.hosts_shared > 0 {
                        "; " a href="/hosts?shared=1" { (part::number(all.hosts_shared)) " shared" } " by many people"
                    }
                    @if all.certificates_near_end > 0 {
                        "; the certificates of "
                        a href="/hosts?certificate=1" { (part::of(all.certificates_near_end, "probe", "probes")) }
                        " must be renewed"
                    }
                }
            }
        }
    }
}

/// How many are silent, whatever they stand at: beside the verdicts and not among them.
pub(super) fn quiet_too(count: u64) -> Markup {
    html! { @if count > 0 { "; " (part::number(count)) " of them " (part::quiet()) } }
}

fn top_reasons(all: &v1::GetOrganisationResponse, now: Timestamp) -> Markup {
    let (shown, folded) = all.top_reasons.split_at(all.top_reasons.len().min(REASONS_SHOWN));
    html! {
        @if !shown.is_empty() {
            section {
                h2 { "What unlocks the most users" }
                (part::reasons(shown, "", "What keeps users from being ready, over all sites", now))
                @if !folded.is_empty() {
                    details {
                        summary { "All others" }
                        (part::reasons(folded, "", "What else keeps users from being ready, over all sites", now))
                    }
                }
            }
        }
    }
}

fn list(page: &query::SitePage<'_>, params: &Params, now: Timestamp) -> Markup {
    let filtered = params.all("rollout").next().is_some() || params.all("forest").next().is_some();
    html! {
        section {
            h2 { "Sites, worst first" }
            @if filtered { p { "Some sites are filtered out. " a href="/" { "All sites" } } }
            @if page.sites.is_empty() {
                p {
                    @if filtered { "No site is so." }
                    @else { "No sites yet: no host has reported, and no inventory names any." }
                }
            } @else {
                table class="cards" {
                    caption { "Sites with verdict, gate, users and what is in the way" }
                    thead {
                        tr {
                            th scope="col" { "Site" }
                            th scope="col" { "Verdict" }
                            th scope="col" { "Gate" }
                            th scope="col" { "Users ready" }
                            th scope="col" { "Coverage" }
                            th scope="col" { "In the way" }
                        }
                    }
                    tbody { @for site in &page.sites { (row(site, now)) } }
                }
            }
            @if let Some(next) = page.next {
                nav aria-label="Pages of sites" { a rel="next" href=(params.with(PAGE, &next.to_string())) { "Next sites" } }
            }
        }
    }
}

fn row(site: &SiteSnapshot, now: Timestamp) -> Markup {
    let population = &site.readiness.population;
    html! {
        tr {
            th scope="row" data-label="Site" {
                @if let Some(own) = &site.site {
                    (part::site_link(&wire::site_id(own)))
                    br; span class="note" { (own.forest) }
                }
            }
            td data-label="Verdict" {
                (part::rollout(site.readiness.rollout))
                p class="note" { "since " (part::time(site.rollout_since.unix_ms(), now)) }
            }
            td data-label="Gate" { (part::standing(standing_to_wire(site.readiness.gate.standing))) }
            td data-label="Users ready" class="short" {
                (ready_share(site))
                @if population.users_quiet > 0 {
                    p class="note" { (part::number(population.users_quiet)) " " (part::quiet()) }
                }
            }
            td data-label="Coverage" { (coverage(site)) }
            td data-label="In the way" {
                @match site.reasons.first() {
                    None => { "nothing" }
                    Some(first) => {
                        @let reason = wire::reason(first);
                        p { (part::standing(reason.standing())) " " (part::check_link(&reason.check)) }
                        p { (part::words(&reason.text)) }
                        @if first.reason.standing == Standing::Blocked || first.reason.standing == Standing::Unknown {
                            p class="note" {
                                "It keeps " (part::of(reason.users_affected, "user", "users")) " from being ready."
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How many of the users seen are ready.
pub(super) fn ready_share(site: &SiteSnapshot) -> Markup {
    let population = &site.readiness.population;
    html! {
        @match population.ready_share_percent {
            Some(percent) => {
                (part::number(population.users_ready)) " of " (part::number(population.users_seen))
                " (" (percent) " %)"
            }
            None => { "nobody was seen" }
        }
    }
}

/// How much of a site is seen. What is expected and not known is not the same as nothing.
pub(super) fn coverage(site: &SiteSnapshot) -> Markup {
    let coverage = &site.readiness.coverage;
    html! {
        p {
            @match coverage.dcs_expected {
                Some(expected) => {
                    (part::number(coverage.dcs_fresh)) " of "
                    (part::of(expected, "expected domain controller", "expected domain controllers")) " fresh"
                }
                None => {
                    (part::of(coverage.dcs_fresh, "domain controller", "domain controllers"))
                    " fresh; how many to expect is not known"
                }
            }
        }
        p {
            @match coverage.endpoints_expected {
                Some(expected) => {
                    (part::number(coverage.endpoints_fresh)) " of "
                    (part::of(expected, "expected endpoint", "expected endpoints")) " fresh"
                }
                None => {
                    (part::of(coverage.endpoints_fresh, "endpoint", "endpoints"))
                    " fresh; how many to expect is not known"
                }
            }
        }
    }
}
