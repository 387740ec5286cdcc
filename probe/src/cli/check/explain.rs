//! One check alone: its verdict on each machine, the values that went into it, and its page.

use std::fmt::Write as _;

use muster_evidence::{Context, Observation, Origin, Outcome as Found, Subject};
use muster_proto::fields::fields;
use muster_readiness::{Check, page_markdown};

use super::{Outcome, table};
use crate::cli::layout::{Page, labelled, minute, span};
use crate::judge_local::JudgedMachine;

/// Columns before an observation, and before its fields.
const INDENT: usize = 2;
/// Columns of the names of fields; a longer one pushes its value to the right.
const NAME_WIDTH: usize = 30;

/// The whole text.
pub(super) fn text(result: &Outcome, check: &dyn Check, page: Page) -> String {
    let mut text = String::new();
    for judged in &result.machines {
        let verdicts = table::single(judged, check.id(), page);
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{}", page.strong(judged.machine.identity.name.as_str()));
        if verdicts.is_empty() {
            let _ = writeln!(text, "  The check does not speak of this machine.");
        }
        text.push_str(&verdicts);
        let _ = writeln!(text, "\n  {}", page.faint("The evidence it read:"));
        for kind in check.reads() {
            let mut seen = judged.machine.observations.iter().filter(|seen| seen.key.kind == *kind).peekable();
            if seen.peek().is_none() {
                let _ = writeln!(text, "  {kind}: nobody has looked");
            }
            for seen in seen {
                text.push_str(&observation(seen, judged, page));
            }
        }
        text.push('\n');
    }
    text.push_str(&page_markdown(check));
    text
}

/// One observation: what it was of, where and when it was made, and each field with its value.
fn observation(seen: &Observation, judged: &JudgedMachine, page: Page) -> String {
    let whom = match &seen.key.subject {
        Subject::Host => String::new(),
        Subject::User(sid) => match judged.machine.accounts.get(sid) {
            Some(account) => format!(" of user {account}"),
            None => format!(" of user {sid}"),
        },
        Subject::Certificate(sha256) => format!(" {}", sha256.to_string().get(..16).unwrap_or_default()),
    };
    let context = match seen.context {
        Context::Service => "by the service",
        Context::UserSession => "in the user's session",
        Context::Unknown => "in a context that is not known",
    };
    let origin = match seen.origin {
        Origin::Live => "live",
        Origin::Capture => "from a capture",
    };
    let before = judged.judged_at.ms_since(seen.observed_at);
    let age = if before >= 60_000 { format!(", {} before", span(before)) } else { String::new() };
    let (outcome, mut values) = match &seen.outcome {
        Found::Observed(evidence) => ("observed", fields(evidence)),
        Found::Absent => ("absent: looked for, and not there", Vec::new()),
        Found::Unsupported(unsupported) => {
            ("this system cannot tell", vec![("why".to_owned(), unsupported.detail.to_string())])
        }
        Found::Failed(failure) => {
            ("could not look", vec![("why".to_owned(), format!("{}: {}", failure.reason, failure.detail))])
        }
    };
    // The name of the kind around a fact says nothing new.
    let around = format!("{}, ", seen.key.kind.name().replace('-', " "));
    for (name, _) in &mut values {
        if let Some(inner) = name.strip_prefix(&around) {
            *name = inner.to_owned();
        }
    }
    let head =
        format!("{}{whom}: {outcome}; read {context}, {origin}, {}{age}", seen.key.kind, minute(seen.observed_at));
    let mut text = String::new();
    for (n, line) in crate::cli::layout::wrap(&head, page.width.saturating_sub(INDENT)).into_iter().enumerate() {
        let _ = writeln!(text, "{}{line}", " ".repeat(if n == 0 { INDENT } else { INDENT * 2 }));
    }
    for (name, value) in values {
        text.push_str(&labelled(page, INDENT * 2, &format!("{name} "), NAME_WIDTH, &value));
    }
    text
}
