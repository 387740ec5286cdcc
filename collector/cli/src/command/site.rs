//! `muster site NAME`: domain controllers, checks and every reason of one site.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::CommandError;
use super::status::counted;
use crate::client::Client;
use crate::model::SiteDetail;
use crate::output::{Out, of};
use crate::place::Place;

pub(crate) async fn run(client: &mut Client, out: Out, place: &Place, all: bool) -> Result<(), CommandError> {
    let detail = client.site(&place.forest, &place.site).await?;
    out.print(&detail, |out| text(out, &detail, all));
    Ok(())
}

fn text(out: &Out, detail: &SiteDetail, all: bool) -> String {
    let site = &detail.site;
    let mut text = format!(
        "{}  {}  for {}; gate {}",
        out.bold(&format!("{}/{}", site.forest, site.name)),
        out.word(&site.rollout),
        out.since(site.rollout_since),
        out.word(&site.gate)
    );
    if !site.qualifiers.is_empty() {
        let _ = write!(text, "  [{}]", site.qualifiers.join(", "));
    }
    let _ = write!(text, "\nusers: {}", counted(site.users));
    quiet(&mut text, site.users_quiet);
    let _ = write!(text, "\nendpoints: {}", counted(site.endpoints));
    quiet(&mut text, site.endpoints_quiet);
    let _ = match site.endpoints_expected {
        Some(expected) => {
            let expected = of(expected, "expected endpoint", "expected endpoints");
            write!(text, "\nfresh evidence from {} of {expected}", site.endpoints_fresh)
        }
        None => write!(text, "\nhow many endpoints to expect is not known"),
    };
    if site.hosts_shared > 0 {
        let machines = of(site.hosts_shared, "machine is", "machines are");
        let _ = write!(text, "\n{machines} shared by many people (muster hosts --site {} --shared)", site.name);
    }
    if !site.reasons.is_empty() {
        let _ = write!(text, "\n\n{}\n{}", out.bold("Why"), out.reasons(&site.reasons));
    }
    if !site.pools.is_empty() {
        let heading = out.bold("Pools of non-persistent desktops, not among the endpoints");
        let _ = write!(text, "\n\n{heading}\n{}", out.pools(&site.pools));
    }
    let _ = write!(text, "\n\n{}\n{}", out.bold("Domain controllers"), dcs(out, detail));
    if all {
        for dc in &detail.dcs {
            let _ = write!(text, "\n\n{}\n{}", out.bold(&dc.host), out.verdicts(&dc.verdicts, true));
        }
    }
    if !detail.checks.is_empty() {
        let mut table = out.table(&["CHECK", "BLOCKED", "UNKNOWN", "ADVISORY", "READY", "N/A", "ASKS"]);
        for check in &detail.checks {
            let counts = check.counts;
            let mut cells = vec![Cell::new(&check.check)];
            cells.extend(
                [counts.blocked, counts.unknown, counts.advisory, counts.ready, counts.not_applicable]
                    .map(|count| Cell::new(if count == 0 { "-".to_owned() } else { count.to_string() })),
            );
            cells.push(Cell::new(&check.title));
            table.add_row(cells);
        }
        out.keep_whole(&mut table, &[1, 2, 3, 4, 5, 0]);
        let _ = write!(text, "\n\n{}\n{}", out.bold("Checks"), table.trim_fmt());
    }
    let _ = write!(text, "\n\nas of {}, policy revision {}", detail.as_of.to_the_second(), detail.policy_revision);
    text
}

fn quiet(text: &mut String, count: u64) {
    if count > 0 {
        let _ = write!(text, " ({count} quiet)");
    }
}

fn dcs(out: &Out, detail: &SiteDetail) -> String {
    let mut table = out.table(&["HOST", "VERDICT", "KEY TRUST", "SYSTEM", "CERTIFICATE ENDS", "LAST SEEN"]);
    for dc in &detail.dcs {
        let mut last_seen = out.age(dc.last_seen);
        if dc.quiet {
            last_seen.push_str(", quiet");
        }
        if !dc.expected && detail.site.dcs_expected.is_some() {
            last_seen.push_str("; not in the inventory");
        }
        table.add_row([
            Cell::new(&dc.host),
            out.standing(&dc.standing),
            Cell::new(&dc.capability),
            Cell::new(&dc.operating_system),
            Cell::new(dc.certificate_not_after.map_or_else(|| "-".to_owned(), |at| out.age(at))),
            Cell::new(last_seen),
        ]);
    }
    for host in &detail.dcs_missing {
        table.add_row([
            Cell::new(host),
            out.standing("unknown"),
            Cell::new("-"),
            Cell::new("-"),
            Cell::new("-"),
            Cell::new("never; the inventory expects it"),
        ]);
    }
    if detail.dcs.is_empty() && detail.dcs_missing.is_empty() {
        return "none has reported, and none is expected".to_owned();
    }
    out.keep_whole(&mut table, &[0, 1]);
    table.trim_fmt()
}
