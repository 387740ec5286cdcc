//! One host: every check with what was seen, what is needed and what to do, its users, its evidence, what changed.

use axum::response::Response;
use maud::{Markup, html};
use muster_evidence::{Kind, Outcome, Sha256, Timestamp};
use muster_proto::v1::observation_key::Subject;
use muster_proto::v1::readiness_service_server::ReadinessService;
use muster_proto::{convert, v1};
use tonic::Status;

use super::{Asked, hosts, part};
use crate::verdict::check_of;

/// What an observation speaks of that is of no user and no certificate.
const MACHINE: &str = "the machine";

super::handler!(render);

async fn render(asked: &Asked<'_>) -> Result<Response, Status> {
    let params = asked.params(&["name", "forest"])?;
    let request = v1::GetHostRequest {
        name: params.one("name")?.to_owned(),
        forest: params.one("forest")?.to_owned(),
        explain: String::new(),
    };
    let answer = asked.pages.api.get_host(asked.request(request)).await?.into_inner();
    let host = answer.host.clone().unwrap_or_default();
    let evidence: Vec<Seen> = answer.evidence.iter().map(Seen::new).collect();
    let now = asked.now;
    let rests_on = |verdict: &v1::Verdict| rests_on(verdict, &evidence, "", now);
    let body = html! {
        p class="path" { a href="/hosts" { "Hosts" } " / " (hosts::site_of(&host)) }
        h1 { (host.name) " " (part::standing(host.standing())) @if host.quiet { " " (part::quiet()) } }
        (facts(&answer, &host, now))
        section {
            h2 { "The machine" }
            @if answer.verdicts.is_empty() { p { "No check speaks of this machine." } }
            @else { (part::verdicts(&answer.verdicts, "Checks of the machine, worst first", now, &rests_on)) }
        }
        @for user in &answer.users { (of_user(user, &evidence, now)) }
        (evidence_table(&evidence, now))
        (transitions(&answer.transitions, now))
    };
    Ok(asked.show(&params, &host.name, &body))
}

fn facts(answer: &v1::GetHostResponse, host: &v1::HostSummary, now: Timestamp) -> Markup {
    html! {
        @if !answer.copies.is_empty() {
            p class="warning" role="note" {
                b { "Conflict: " } "it reports as the same installation as " (answer.copies.join(", "))
                " at the same time. One machine was copied from the other."
            }
        } @else if !answer.same_tpm.is_empty() {
            p class="warning" role="note" {
                b { "Conflict: " } "it reports the same TPM as " (answer.same_tpm.join(", "))
                " at the same time. One machine was copied from the other."
            }
        } @else if answer.conflict {
            p class="warning" role="note" {
                b { "Conflict: " } "two machines report under this name at the same time. Neither is averaged away."
            }
        }
        @if !answer.asked_as.is_empty() { p { "It was called " (answer.asked_as) " before." } }
        dl class="facts" {
            dt { "Site" }
            dd { (hosts::site_of(host)) " – " (answer.site_origin) }
            dt { "Roles" }
            dd { (hosts::roles(host)) }
            dt { "System" }
            dd { @if host.operating_system.is_empty() { "not known" } @else { (host.operating_system) } }
            dt { "Last report" }
            dd {
                (part::time(host.last_seen_ms, now))
                @if host.quiet { "; it is silent, which says nothing of how it is now" }
            }
            dt { "First report" }
            dd { (part::time(answer.first_seen_ms, now)) }
            dt { "Probe" }
            dd { (host.probe_version) ", judged by policy revision " (part::number(answer.policy_revision)) }
            dt { "Its probe's certificate ends" }
            dd {
                (part::time_or(host.certificate_not_after_ms, "not known", now))
                @if host.certificate_near_end { " – " b { "it must be renewed" } }
                @if let Some(certificate) = &answer.client_certificate {
                    @if !answer.client_certificate_proved { p class="note" { "as the probe claims, through a relay" } }
                    @if let Some(since) = certificate.newer_since_ms {
                        p {
                            "Newer files are on its disk since " (part::time(since, now)) " that it cannot use: "
                            (part::words(&certificate.newer_problem))
                        }
                    }
                }
            }
            @if host.clock_ahead_ms != 0 {
                dt { "Its clock" }
                dd { (part::clock(host.clock_ahead_ms)) }
            }
        }
    }
}

fn of_user(user: &v1::HostUser, evidence: &[Seen], now: Timestamp) -> Markup {
    let rests_on = |verdict: &v1::Verdict| rests_on(verdict, evidence, &user.sid, now);
    html! {
        section {
            h2 { "User " (part::user_link(&user.sid)) " " (part::standing(user.standing())) }
            p { "Evidence of the user was last gathered here " (part::time(user.last_seen_ms, now)) "." }
            @if !user.verdicts.is_empty() { (part::verdicts(&user.verdicts, "Checks of the user, worst first", now, &rests_on)) }
        }
    }
}

/// What a check had to go by: each kind of evidence that it reads, with its outcome and time.
fn rests_on(verdict: &v1::Verdict, evidence: &[Seen], sid: &str, now: Timestamp) -> Markup {
    let kinds = check_of(&verdict.check).map(|(_, check)| check.reads()).unwrap_or_default();
    let of = |kind: Kind| {
        evidence.iter().filter(move |seen| seen.kind == Some(kind) && (!kind.is_of_user() || seen.subject == sid))
    };
    html! {
        @if !kinds.is_empty() {
            ul class="evidence note" aria-label="Evidence" {
                @for kind in kinds {
                    @let mut found = of(*kind).peekable();
                    @if found.peek().is_none() { li { code { (kind) } ": nobody has reported it" } }
                    @else {
                        @for seen in found {
                            li { a href={ "#" (seen.anchor()) } { code { (kind) } } ": " (seen.outcome) ", " (part::time(seen.observed_at_ms, now)) }
                        }
                    }
                }
            }
        }
    }
}

/// An observation as it is shown.
struct Seen {
    kind: Option<Kind>,
    name: String,
    subject: String,
    outcome: String,
    says: Option<serde_json::Value>,
    observed_at_ms: i64,
    from: String,
}

impl Seen {
    fn new(view: &v1::EvidenceView) -> Self {
        let key = view.key.clone().unwrap_or_default();
        let kind = u16::try_from(key.kind).ok().and_then(Kind::from_number);
        let subject = match key.subject {
            Some(Subject::Host(_)) => MACHINE.to_owned(),
            Some(Subject::UserSid(sid)) => sid,
            Some(Subject::CertificateSha256(sha256)) => {
                Sha256::from_slice(&sha256).map_or_else(|error| error.to_string(), |sha256| sha256.to_string())
            }
            None => "not known".to_owned(),
        };
        let decoded = kind.zip(view.body.clone()).map(|(kind, body)| convert::outcome_from_wire(kind, body));
        let (outcome, says) = match decoded {
            Some(Ok(Outcome::Observed(evidence))) => ("observed".to_owned(), says(&evidence)),
            Some(Ok(Outcome::Absent)) => ("absent: looked, and it is not there".to_owned(), None),
            Some(Ok(Outcome::Unsupported(unsupported))) => {
                (format!("unsupported: this system cannot tell ({})", unsupported.detail), None)
            }
            Some(Ok(Outcome::Failed(failure))) => {
                (format!("failed: could not look ({}: {})", failure.reason, failure.detail), None)
            }
            Some(Err(error)) => (format!("unreadable: {error}"), None),
            None if view.newer_than_collector => ("newer than this collector".to_owned(), None),
            None => ("the collector waits for what it says".to_owned(), None),
        };
        let context = match view.context() {
            v1::ObservationContext::Service => "by the service",
            v1::ObservationContext::UserSession => "in the user's session",
            v1::ObservationContext::Unspecified => "in a context that is not known",
        };
        let origin = match view.origin() {
            v1::ObservationOrigin::Live => "live",
            v1::ObservationOrigin::Capture => "from a capture",
            v1::ObservationOrigin::Unspecified => "of an origin that is not known",
        };
        let through = if view.reporter.is_empty() { String::new() } else { format!(", through {}", view.reporter) };
        Self {
            kind,
            name: view.kind.clone(),
            subject,
            outcome,
            says,
            observed_at_ms: view.observed_at_ms,
            from: format!("{context}, {origin}{through}"),
        }
    }

    /// Its place on the page.
    fn anchor(&self) -> String {
        let subject: String = self.subject.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("evidence-{}-{subject}", self.name.replace(' ', "-"))
    }
}

/// A fact as JSON, without the name of its kind around it.
fn says<T: serde::Serialize>(fact: &T) -> Option<serde_json::Value> {
    match serde_json::to_value(fact).ok()? {
        serde_json::Value::Object(map) if map.len() == 1 => map.into_iter().next().map(|(_, inner)| inner),
        other => Some(other),
    }
}

fn evidence_table(evidence: &[Seen], now: Timestamp) -> Markup {
    html! {
        section {
            h2 { "Evidence" }
            @if evidence.is_empty() { p { "None." } }
            @else {
                table class="cards" {
                    caption { "Everything observed here: absent is a fact, failed and unsupported are gaps" }
                    thead {
                        tr {
                            th scope="col" { "Kind" }
                            th scope="col" { "Of" }
                            th scope="col" { "Outcome" }
                            th scope="col" { "Unchanged since" }
                            th scope="col" { "Taken" }
                        }
                    }
                    tbody {
                        @for seen in evidence {
                            tr id=(seen.anchor()) {
                                th scope="row" data-label="Kind" { (seen.name) }
                                td data-label="Of" { @if matches!(seen.subject.as_str(), MACHINE) { (MACHINE) } @else { span class="id" { (seen.subject) } } }
                                td data-label="Outcome" {
                                    (seen.outcome)
                                    @if let Some(says) = &seen.says {
                                        details { summary { "What it says" } (value(says)) }
                                    }
                                }
                                td data-label="Unchanged since" { (part::time(seen.observed_at_ms, now)) }
                                td data-label="Taken" { (seen.from) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A value as people read it. How deep it goes is bounded by the vocabulary.
fn value(value: &serde_json::Value) -> Markup {
    use serde_json::Value;
    html! {
        @match value {
            Value::Null => { span class="note" { "not known" } }
            Value::Bool(true) => { "yes" }
            Value::Bool(false) => { "no" }
            Value::Number(number) => { (number) }
            Value::String(text) => { (text) }
            Value::Array(items) if items.is_empty() => { span class="note" { "none" } }
            Value::Array(items) => { ul { @for item in items { li { (self::value(item)) } } } }
            Value::Object(fields) => {
                dl { @for (name, field) in fields { dt { (name.replace(['_', '-'], " ")) } dd { (self::value(field)) } } }
            }
        }
    }
}

fn transitions(transitions: &[v1::Transition], now: Timestamp) -> Markup {
    html! {
        section {
            h2 { "What changed" }
            @if transitions.is_empty() { p { "Nothing has changed since the first report." } }
            @else {
                table class="cards" {
                    caption { "Changes of verdicts, latest first" }
                    thead {
                        tr {
                            th scope="col" { "When" }
                            th scope="col" { "Check" }
                            th scope="col" { "From" }
                            th scope="col" { "To" }
                            th scope="col" { "Why" }
                        }
                    }
                    tbody {
                        @for change in transitions {
                            tr {
                                td data-label="When" { (part::time(change.at_ms, now)) }
                                th scope="row" data-label="Check" class="short" {
                                    @if change.check.is_empty() { "the site" } @else { (part::check_link(&change.check)) }
                                    @if !matches!(change.subject.as_str(), "host" | "site") {
                                        br; span class="note" { (part::user_link(&change.subject)) }
                                    }
                                }
                                td data-label="From" class="short" { @if change.from.is_empty() { "first verdict" } @else { (change.from) } }
                                td data-label="To" class="short" { (change.to) }
                                td data-label="Why" { (part::words(&change.reason)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
