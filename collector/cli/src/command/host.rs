//! `muster host NAME`: every check with its words, the users, the evidence and what changed.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::{CommandError, transitions};
use crate::client::Client;
use crate::model::{Evidence, HostDetail, HostSummary};
use crate::output::Out;

pub(crate) async fn run(
    client: &mut Client,
    out: Out,
    forest: &str,
    name: &str,
    all: bool,
    evidence: bool,
) -> Result<(), CommandError> {
    let detail = client.host(forest, name).await?;
    out.print(&detail, |out| text(out, &detail, all, evidence));
    Ok(())
}

fn text(out: &Out, detail: &HostDetail, all: bool, full_evidence: bool) -> String {
    let host = &detail.host;
    let mut text = headline(out, host);
    let _ = write!(
        text,
        "\nsite {} ({}); {}; probe {}; first seen {}",
        host.site.as_deref().unwrap_or("not known"),
        detail.site_origin,
        host.roles.join(", "),
        host.probe_version,
        out.age(detail.first_seen)
    );
    if !detail.copies.is_empty() {
        let _ = write!(
            text,
            "\n{}: reports as the same installation as {}; one machine was copied from the other",
            out.word("blocked"),
            detail.copies.join(", ")
        );
    } else if detail.conflict {
        let _ = write!(
            text,
            "\n{}: two machines report under this name at the same time; neither is averaged away",
            out.word("blocked")
        );
    }
    let _ = write!(text, "\n\n{}\n{}", out.bold("Machine"), out.verdicts(&detail.verdicts, all));
    for user in &detail.users {
        let heading = format!("User {}", user.sid);
        let _ = write!(
            text,
            "\n\n{}  {}  seen {}\n{}",
            out.bold(&heading),
            out.word(&user.standing),
            out.age(user.last_seen),
            out.verdicts(&user.verdicts, all)
        );
    }
    let _ = write!(text, "\n\n{}\n{}", out.bold("Evidence"), evidence_table(out, &detail.evidence, full_evidence));
    if !detail.transitions.is_empty() {
        let _ = write!(text, "\n\n{}\n{}", out.bold("Changes"), transitions::table(out, &detail.transitions));
    }
    let _ = write!(text, "\n\npolicy revision {}", detail.policy_revision);
    text
}

/// Name, verdict, system and last sight of a host.
pub(super) fn headline(out: &Out, host: &HostSummary) -> String {
    format!(
        "{}  {}  {}  last seen {}{}",
        out.bold(&host.name),
        out.word(&host.standing),
        host.operating_system,
        out.age(host.last_seen),
        if host.quiet { ", quiet" } else { "" }
    )
}

fn evidence_table(out: &Out, evidence: &[Evidence], full: bool) -> String {
    if evidence.is_empty() {
        return "none".to_owned();
    }
    let mut table = out.table(&["KIND", "OF", "OUTCOME", "UNCHANGED SINCE", "CONTEXT"]);
    for item in evidence {
        let mut context = format!("{}, {}", item.context, item.origin);
        if let Some(reporter) = &item.reporter {
            let _ = write!(context, " through {reporter}");
        }
        let mut outcome = item.outcome.clone();
        if full && let Some(says) = &item.says {
            let _ = write!(outcome, "\n{}", serde_json::to_string_pretty(says).unwrap_or_default());
        }
        let subject =
            if item.subject.len() > 48 { format!("{}…", &item.subject[..16]) } else { item.subject.clone() };
        table.add_row([
            Cell::new(&item.kind),
            Cell::new(subject),
            Cell::new(outcome),
            Cell::new(out.age(item.observed_at)),
            Cell::new(context),
        ]);
    }
    let mut text = table.trim_fmt();
    if !full {
        text.push_str("\n(--evidence shows what each of them says)");
    }
    text
}
