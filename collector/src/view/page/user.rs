//! One user on every endpoint, and the user's keys in the directory.

use axum::response::Response;
use maud::{Markup, html};
use muster_evidence::UserKeys;
use muster_proto::v1;
use muster_proto::v1::readiness_service_server::ReadinessService;
use tonic::Status;

use super::{Asked, hosts, part};

super::handler!(render);

async fn render(asked: &Asked<'_>) -> Result<Response, Status> {
    let params = asked.params(&["sid"])?;
    let request = v1::GetUserRequest { sid: params.one("sid")?.to_owned() };
    let user = asked.pages.api.get_user(asked.request(request)).await?.into_inner();
    let nothing = |_: &v1::Verdict| Markup::default();
    let body = html! {
        p class="path" { a href="/hosts" { "Hosts" } " / users" }
        h1 { "User " span class="id" { (user.sid) } " " (part::standing(user.standing())) }
        p {
            @match &user.counted_at {
                Some(site) => { "Counted once, at " (part::site_link(site)) ", the site of the latest sign-in." }
                None => { "Counted at no site." }
            }
            " A user is ready where everything is as it should be on at least one endpoint."
        }
        @for endpoint in &user.endpoints {
            @let host = endpoint.host.clone().unwrap_or_default();
            @let forest = host.site.as_ref().map(|site| site.forest.clone()).unwrap_or_default();
            section {
                h2 { "On " (part::host_link(&host.name, &forest)) " " (part::standing(host.standing())) @if host.quiet { " " (part::quiet()) } }
                p {
                    "Site " (hosts::site_of(&host)) ". Evidence of the user was last gathered there "
                    (part::time(endpoint.last_seen_ms, asked.now)) "."
                }
                (part::verdicts(&endpoint.verdicts, "Checks of the user and of the machine, worst first", asked.now, &nothing))
            }
        }
        section {
            h2 { "Keys in the directory" }
            (keys(&user))
        }
    };
    Ok(asked.show(&params, &format!("User {}", user.sid), &body))
}

fn keys(user: &v1::GetUserResponse) -> Markup {
    let Some(message) = &user.directory_keys else {
        return html! {
            p {
                @if user.directory_complete { "None. The directory has been read completely." }
                @else { "Not known: the directory has not been read completely." }
            }
        };
    };
    let (undecodable, left_out) = (message.undecodable, message.left_out);
    html! {
        @match UserKeys::try_from(message.clone()) {
            Err(error) => { p { "They cannot be read: " (error) } }
            Ok(keys) if keys.keys.is_empty() => { p { "None that can be read." } }
            Ok(keys) => {
                table class="cards" {
                    caption { "Keys registered for the user in the directory" }
                    thead {
                        tr {
                            th scope="col" { "Key" }
                            th scope="col" { "For" }
                            th scope="col" { "Made" }
                            th scope="col" { "Device" }
                            th scope="col" { "Remark" }
                        }
                    }
                    tbody {
                        @for key in &keys.keys {
                            tr {
                                th scope="row" data-label="Key" class="id" { @match key.key_id { Some(id) => { (id) } None => { "no id" } } }
                                td data-label="For" { (format!("{:?}", key.usage)) }
                                td data-label="Made" { @match key.created_at { Some(at) => { (at) } None => { "not known" } } }
                                td data-label="Device" class="id" { @match key.device_id { Some(id) => { (id) } None => { "none" } } }
                                td data-label="Remark" {
                                    @if key.roca == Some(true) { p { "weak (CVE-2017-15361)" } }
                                    @if key.key_hash_valid == Some(false) { p { "its hash does not match" } }
                                    (key.remark)
                                }
                            }
                        }
                    }
                }
            }
        }
        @if undecodable > 0 { p { (part::of(undecodable.into(), "value cannot be decoded", "values cannot be decoded")) "." } }
        @if left_out > 0 { p { (part::of(left_out.into(), "more is left out", "more are left out")) "." } }
    }
}
