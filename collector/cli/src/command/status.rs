//! `muster status`: the whole organisation, and what unlocks the most users.

use std::fmt::Write as _;

use super::CommandError;
use crate::client::Client;
use crate::model::{Access, Counts, Organisation, Time};
use crate::output::{Out, of, span};

/// How long before its end the collector's own certificate is shown: as long as a renewal by hand may take.
const NEAR_END_SECONDS: i64 = 14 * 24 * 3600;

pub(crate) async fn run(client: &mut Client, out: Out) -> Result<(), CommandError> {
    let organisation = client.organisation().await?;
    out.print(&organisation, |out| text(out, &organisation));
    Ok(())
}

fn text(out: &Out, o: &Organisation) -> String {
    let mut text = format!(
        "{} {} Go, {} Partly, {} Hold, {} Unknown\n",
        out.bold("Sites    "),
        o.sites_go,
        o.sites_partly,
        o.sites_hold,
        o.sites_unknown
    );
    for (label, counts) in [("Users    ", o.users), ("Endpoints", o.endpoints), ("DCs      ", o.dcs)] {
        let _ = writeln!(text, "{} {}", out.bold(label), counted(counts));
    }
    let _ = write!(text, "{} {}", out.bold("Reporting"), of(o.hosts, "host", "hosts"));
    let beside = [(o.hosts_quiet, "quiet"), (o.hosts_without_site, "without a site"), (o.hosts_shared, "shared")];
    for (count, what) in beside {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    if o.certificates_near_end > 0 {
        let what = of(o.certificates_near_end, "host", "hosts");
        let _ = write!(
            text,
            "\n{} {} whose probe's certificate is {} or past it (muster hosts --certificate-near-end)",
            out.bold("Renewal  "),
            what,
            out.grave("near its end")
        );
    }
    if o.hosts_in_conflict > 0 {
        let _ = write!(
            text,
            "\n{} {}: `muster hosts --conflict` lists them",
            out.bold("Conflicts"),
            of(o.hosts_in_conflict, "host that", "hosts that") + " more than one machine reports as"
        );
    }
    if let Some(access) = &o.access {
        doors(out, access, o.as_of, &mut text);
    }
    if !o.pools.is_empty() {
        let heading = out.bold("Pools of non-persistent desktops, not among the endpoints");
        let _ = write!(text, "\n\n{heading}\n{}", out.pools(&o.pools));
    }
    if !o.top_reasons.is_empty() {
        let _ = write!(text, "\n\n{}\n{}", out.bold("What unlocks the most users"), out.reasons(&o.top_reasons));
    }
    let _ = write!(
        text,
        "\n\nsnapshot {} of {}, policy revision {}, collector {}",
        o.snapshot,
        o.as_of.to_the_second(),
        o.policy_revision,
        o.collector_version
    );
    text
}

/// What an operator should know of the collector's own doors: nothing where all is well.
fn doors(out: &Out, access: &Access, now: Time, text: &mut String) {
    for own in &access.certificates {
        let left = own.not_after.0.saturating_sub(now.0) / 1000;
        if left < 0 {
            let _ = write!(
                text,
                "\n{} of the {} listener {}",
                out.bold("Certificate"),
                own.listener,
                out.grave("has ended")
            );
        } else if left < NEAR_END_SECONDS {
            let ends = format!("ends in {}", span(left));
            let _ = write!(text, "\n{} of the {} listener {}", out.bold("Certificate"), own.listener, out.grave(&ends));
        }
    }
    for own in &access.revocation {
        let stale = own.state == "used" && own.next_update.is_some_and(|end| end.0 < now.0);
        if stale {
            let what = format!("of `{}` is past its end", own.issuer);
            let _ = write!(text, "\n{} {}", out.bold("Revocation list"), out.grave(&what));
        } else if !matches!(own.state.as_str(), "used" | "superseded") {
            let from = if own.source.is_empty() { String::new() } else { format!(" ({})", own.source) };
            let _ = write!(text, "\n{} {}: {}{from}", out.bold("Revocation list"), out.grave(&own.state), own.problem);
        }
    }
    if let Some(error) = &access.reload_error {
        let _ = write!(text, "\n{} {}: {error}", out.bold("Reload"), out.grave("refused"));
    }
    if !access.needs_restart.is_empty() {
        let _ = write!(text, "\n{} for {}", out.bold("Restart needed"), access.needs_restart.join(", "));
    }
    for (ended, label) in [(false, "Refused"), (true, "Ended")] {
        let words: Vec<String> = access
            .refusals
            .iter()
            .filter(|own| own.ended == ended && own.count > 0)
            .map(|own| format!("{} {} ({})", own.count, own.reason, own.listener))
            .collect();
        if !words.is_empty() {
            let _ = write!(text, "\n{} {}", out.bold(label), words.join(", "));
        }
    }
}

/// Counts in words, gravest first, without zeroes.
pub(super) fn counted(counts: Counts) -> String {
    let words: Vec<String> = [
        (counts.blocked, "blocked"),
        (counts.unknown, "unknown"),
        (counts.advisory, "advisory"),
        (counts.ready, "ready"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
