//! `muster host NAME`: every check with its words, the users, the evidence and what changed.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::{CommandError, transitions};
use crate::client::Client;
use crate::model::{Certificate, Evidence, HostDetail, HostSummary, Time};
use crate::output::Out;

pub(crate) async fn run(
    client: &mut Client,
    out: Out,
    forest: &str,
    name: &str,
    all: bool,
    evidence: bool,
) -> Result<(), CommandError> {
    let detail = client.host(forest, name, None).await?;
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
    if let Some(pool) = &host.pool {
        let _ = write!(text, "\nnon-persistent: counted in the pool {pool}, and among no endpoints");
    }
    if host.shared {
        let _ = write!(text, "\nshared: {} people were seen here lately", host.people);
    }
    identity(out, detail, &mut text);
    if !detail.copies.is_empty() {
        let _ = write!(
            text,
            "\n{}: reports as the same installation as {}; one machine was copied from the other",
            out.word("blocked"),
            detail.copies.join(", ")
        );
    } else if detail.same_tpm.is_empty() && detail.conflict {
        let _ = write!(
            text,
            "\n{}: two machines report under this name at the same time; neither is averaged away",
            out.word("blocked")
        );
    }
    if let Some(certificate) = &detail.certificate {
        let _ = write!(text, "\n{}", certificate_line(out, certificate, host.certificate_near_end));
    }
    if host.clock_ahead_ms != 0 {
        let _ = write!(text, "\n{}", clock_line(out, host.clock_ahead_ms));
    }
    if !detail.same_tpm.is_empty() {
        let _ = write!(
            text,
            "\n{}: reports the same TPM as {}; one machine was copied from the other",
            out.word("blocked"),
            detail.same_tpm.join(", ")
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

/// When the certificate of the host's probe ends, and what keeps it from being renewed.
fn certificate_line(out: &Out, certificate: &Certificate, near_end: bool) -> String {
    let ended = certificate.not_after.0 < out.now().0;
    let end = format!(
        "{} on {} ({})",
        if ended { "ended" } else { "ends" },
        certificate.not_after.to_the_second(),
        out.age(certificate.not_after)
    );
    let mut line = format!("probe's certificate {}", if near_end { out.grave(&end) } else { end });
    if !certificate.proved {
        line.push_str(", as the probe says");
    }
    if near_end && certificate.newer_since.is_none() {
        line.push_str("; nobody has renewed it");
    }
    if let Some(since) = certificate.newer_since {
        let _ = write!(
            line,
            "\n{} since {} ago that the probe cannot use: {}",
            out.grave("newer certificate files"),
            out.since(since),
            certificate.newer_problem.as_deref().unwrap_or("the probe does not say why")
        );
    }
    line
}

/// How far the host's clock is off.
fn clock_line(out: &Out, ahead_ms: i64) -> String {
    let by = crate::output::span(ahead_ms.abs() / 1_000);
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    format!(
        "{}: {by} {side} the collector's; Kerberos and certificates need clocks that agree",
        out.grave("clock differs")
    )
}

/// What a machine was called and how it was installed before.
fn identity(out: &Out, detail: &HostDetail, text: &mut String) {
    if let Some(asked) = &detail.asked_as {
        let _ = write!(text, "\n`{asked}` is called `{}` now", detail.host.name);
    }
    if !detail.former_names.is_empty() {
        let names = detail.former_names.iter().rev();
        let names: Vec<String> =
            names.map(|former| format!("{} (until {})", former.name, on(out, former.renamed_at))).collect();
        let _ = write!(text, "\nformerly {}", names.join(", "));
    }
    for reimage in detail.reimages.iter().rev() {
        let _ = write!(
            text,
            "\nre-imaged on {}; the installation before was last heard of {}{}",
            on(out, reimage.at),
            out.age(reimage.earlier_seen),
            match reimage.same_tpm {
                Some(true) => ", on the same TPM",
                Some(false) => ", on another TPM",
                None => "",
            }
        );
    }
    if !detail.earlier_or_later.is_empty() {
        let hosts = detail.earlier_or_later.join(", ");
        let _ = write!(text, "\nthe same machine, by its TPM or its installation, at another time: {hosts}");
    }
}

fn on(out: &Out, at: Time) -> String {
    format!("{}, {}", at.to_the_second(), out.age(at))
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
