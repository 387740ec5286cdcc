//! `muster watch`: sites and changes as they come.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{CommandError, sites, transitions};
use crate::client::Client;
use crate::model::{Change, Site};
use crate::output::{Format, Out, ready_of};
use crate::place::Place;

pub(crate) async fn run(client: &mut Client, out: Out, place: &Place) -> Result<(), CommandError> {
    let mut watch = client.watch(&place.forest, &place.site).await?;
    let mut shown = Shown::default();
    loop {
        let change = tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            change = watch.next() => change?,
        };
        let Some(mut change) = change else { return Ok(()) };
        // Programs get every count; people get what differs from what they have read.
        if out.format() == Format::Table {
            shown.keep_changed(&mut change.sites);
        }
        if change.sites.is_empty() && change.transitions.is_empty() {
            continue;
        }
        out.at_present().print_one(&change, |out| text(out, &change));
    }
}

/// What stands on the screen of each site.
#[derive(Default)]
struct Shown(HashMap<(String, String), Row>);

/// Everything that the table of sites shows, ages as the times they are counted from.
#[derive(PartialEq, Eq)]
struct Row {
    words: [String; 6],
    since: i64,
}

impl Row {
    fn of(site: &Site) -> Self {
        let words = [
            site.rollout.clone(),
            site.gate.clone(),
            ready_of(site.users),
            ready_of(site.endpoints),
            sites::dcs(site),
            sites::why(site),
        ];
        Self { words, since: site.rollout_since.0 }
    }
}

impl Shown {
    /// Leaves the sites whose row reads differently than when it was last printed.
    fn keep_changed(&mut self, sites: &mut Vec<Site>) {
        sites.retain(|site| {
            let row = Row::of(site);
            let place = (site.forest.clone(), site.name.clone());
            let is_new = self.0.get(&place) != Some(&row);
            if is_new {
                self.0.insert(place, row);
            }
            is_new
        });
    }
}

fn text(out: &Out, change: &Change) -> String {
    let mut text = format!("{} snapshot {}", out.bold(&change.as_of.to_the_second()), change.snapshot);
    if !change.sites.is_empty() {
        let _ = write!(text, "\n{}", sites::table(out, &change.sites));
    }
    if !change.transitions.is_empty() {
        let _ = write!(text, "\n{}", transitions::table(out, &change.transitions));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    #[test]
    fn a_row_is_printed_again_only_where_it_reads_differently() {
        let mut shown = Shown::default();
        let mut kept = |sites: &[Site]| {
            let mut sites = sites.to_vec();
            shown.keep_changed(&mut sites);
            sites.into_iter().map(|site| site.name).collect::<Vec<_>>()
        };
        let (oslo, mut lyon) = (samples::site("Oslo"), samples::site("Lyon"));
        assert_eq!(kept(&[oslo.clone(), lyon.clone()]), ["Oslo", "Lyon"], "everything at first");
        lyon.users_seen += 1;
        assert!(kept(&[oslo.clone(), lyon.clone()]).is_empty(), "no column shows how many were seen");
        lyon.users.ready += 1;
        assert_eq!(kept(&[oslo.clone(), lyon.clone()]), ["Lyon"]);
        lyon.reasons.clear();
        assert_eq!(kept(&[lyon, oslo.clone()]), ["Lyon"]);
        let namesake = Site { forest: "other.example".to_owned(), ..oslo };
        assert_eq!(kept(&[namesake]), ["Oslo"], "a site of that name in another forest");
    }
}
