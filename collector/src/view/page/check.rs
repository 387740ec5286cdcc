//! One check: what it means, where the line is drawn, how to fix it, and who stands how.

use axum::response::Response;
use maud::html;
use muster_readiness::CHECKS;
use tonic::Status;

use super::params::link;
use super::{Asked, part};
use crate::view::api;

super::handler!(render);

#[expect(clippy::unused_async, reason = "every page is rendered alike, and this one asks nobody")]
async fn render(asked: &Asked<'_>) -> Result<Response, Status> {
    let params = asked.params(&["id"])?;
    api::operator(&asked.request(()))?;
    let id = params.one("id")?;
    let Some(index) = api::check_index(id)? else {
        return Err(Status::invalid_argument("`id` is missing: the check to show"));
    };
    let check = CHECKS[index];
    let page = check.page();
    let body = html! {
        p class="path" { a href="/" { "Sites" } " / checks" }
        h1 { code { (check.id()) } }
        p class="lead" { (check.title()) }
        dl class="facts" {
            dt { "Speaks of" } dd { (check.scope().name()) }
            dt { "Severity" } dd { (check.severity().words()) }
        }
        ul class="tiles" {
            @for standing in part::STANDINGS {
                li { a href=(link("/hosts", [("check", check.id()), ("standing", part::standing_name(standing))])) { "Hosts " (part::standing(standing)) } }
            }
        }
        h2 { "Meaning" } p { (part::words(page.meaning)) }
        h2 { "Evidence" } p { (part::words(page.evidence)) }
        h2 { "Threshold" } p { (part::words(page.threshold)) }
        h2 { "How to fix" } p { (part::words(page.remedy)) }
        p class="note" { "Source: " (part::words(page.source)) }
        h2 { "Alert" } p { (part::words(page.alert)) }
    };
    Ok(asked.show(&params, check.id(), &body))
}
