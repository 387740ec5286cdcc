//! `muster status`: the whole organisation, and what unlocks the most users.

use std::fmt::Write as _;

use super::CommandError;
use crate::client::Client;
use crate::model::{Counts, Organisation};
use crate::output::{Out, of};

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
