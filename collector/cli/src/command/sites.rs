//! `muster sites`: which sites can go, and what stands in the way of the others.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::CommandError;
use crate::client::Client;
use crate::model::{Site, Sites};
use crate::output::{Out, ready_of};

/// Most characters of a reason in the list.
const WHY_CHARACTERS: usize = 96;

pub(crate) async fn run(client: &mut Client, out: Out, forest: &str, rollouts: &[String]) -> Result<(), CommandError> {
    let rollouts: Vec<String> = rollouts.iter().map(|word| word.to_lowercase()).collect();
    let sites = client.sites(forest, &rollouts).await?;
    out.print(&sites, |out| text(out, &sites));
    Ok(())
}

fn text(out: &Out, sites: &Sites) -> String {
    if sites.sites.is_empty() {
        return "no sites yet: no host has reported, and no inventory names any".to_owned();
    }
    format!(
        "{}\n\nsnapshot {} of {}, policy revision {}",
        table(out, &sites.sites),
        sites.snapshot,
        sites.as_of.to_the_second(),
        sites.policy_revision
    )
}

/// Sites as a table. Where it is narrow, the reasons follow in a table of their own.
pub(super) fn table(out: &Out, sites: &[Site]) -> String {
    let headings = ["SITE", "VERDICT", "SINCE", "GATE", "USERS\nREADY", "ENDPOINTS\nREADY", "DCS\nFRESH", "WHY"];
    let columns = if out.is_narrow() { headings.len() - 1 } else { headings.len() };
    let mut table = out.table(&headings[..columns]);
    for site in sites {
        let cells = [
            Cell::new(&site.name),
            out.standing(&site.rollout),
            Cell::new(out.since(site.rollout_since)),
            out.standing(&site.gate),
            Cell::new(ready_of(site.users)),
            Cell::new(ready_of(site.endpoints)),
            Cell::new(dcs(site)),
            Cell::new(why(site)),
        ];
        table.add_row(cells.into_iter().take(columns));
    }
    out.keep_whole(&mut table, &[1, 2, 3, 4, 5, 6, 0]);
    let mut text = table.trim_fmt();
    let with_why: Vec<&Site> = sites.iter().filter(|site| !why(site).is_empty()).collect();
    if out.is_narrow() && !with_why.is_empty() {
        let mut table = out.table(&["SITE", "WHY"]);
        for site in with_why {
            table.add_row([&site.name, &why(site)]);
        }
        out.keep_whole(&mut table, &[0]);
        let _ = write!(text, "\n\n{}", table.trim_fmt());
    }
    text
}

/// Domain controllers with fresh evidence, out of those expected; without an inventory, out of those that reported.
pub(super) fn dcs(site: &Site) -> String {
    match site.dcs_expected {
        Some(expected) => format!("{}/{expected}", site.dcs_fresh),
        None => format!("{}/?", site.dcs_fresh),
    }
}

/// The first reason in short, and how many more there are; `muster site` has the rest.
pub(super) fn why(site: &Site) -> String {
    let mut text = site.reasons.first().map(|r| shortened(&format!("{}: {}", r.check, r.text))).unwrap_or_default();
    if site.reasons.len() > 1 {
        let _ = write!(text, " (and {} more)", site.reasons.len() - 1);
    }
    if !site.qualifiers.is_empty() {
        let _ = write!(text, "{}[{}]", if text.is_empty() { "" } else { " " }, site.qualifiers.join(", "));
    }
    text
}

/// A text cut after a word where it is too long for a row among many.
fn shortened(text: &str) -> String {
    if text.chars().count() <= WHY_CHARACTERS {
        return text.to_owned();
    }
    let cut: String = text.chars().take(WHY_CHARACTERS).collect();
    let whole = cut.rfind(' ').map_or(cut.as_str(), |end| &cut[..end]);
    format!("{whole} …")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    #[test]
    fn sites_fit_a_narrow_terminal() {
        let all = [samples::site("Rotterdam"), samples::site("Default-First-Site-Name"), samples::site("Oslo")];
        for width in [60, 80, 100, 120] {
            let text = table(&Out::of_width(width), &all);
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= usize::from(width), "{longest} of {width}:\n{text}");
        }
        let text = table(&Out::of_width(80), &all);
        assert!(text.contains("Rotterdam"), "{text}");
    }
}
