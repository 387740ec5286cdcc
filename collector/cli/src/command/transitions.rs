//! `muster transitions`: what changed, when and why.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::CommandError;
use crate::client::{Client, TransitionFilter};
use crate::model::{Time, Transition, Transitions};
use crate::output::{Out, first_label};
use crate::place::Place;

/// What to ask for.
pub(crate) struct Ask {
    pub(crate) after: u64,
    pub(crate) since: Option<i64>,
    pub(crate) place: Place,
    pub(crate) host: String,
    pub(crate) limit: u32,
}

pub(crate) async fn run(client: &mut Client, out: Out, ask: Ask) -> Result<(), CommandError> {
    let mut filter = TransitionFilter {
        after: ask.after,
        forest: ask.place.forest,
        site: ask.place.site,
        host: ask.host,
        since: ask.since.map(|span| Time(out.now().0.saturating_sub(span))),
        limit: 0,
    };
    let limit = ask.limit as usize;
    let mut all = Transitions { transitions: Vec::new(), next_after: ask.after, more: false };
    loop {
        filter.limit = u32::try_from(limit - all.transitions.len()).unwrap_or(1_000).min(1_000);
        let page = client.transitions(&filter).await?;
        all.transitions.extend(page.transitions);
        (all.next_after, all.more) = (page.next_after, page.more);
        if !page.more || all.transitions.len() >= limit {
            break;
        }
        filter.after = page.next_after;
    }
    out.print(&all, |out| text(out, &all));
    Ok(())
}

fn text(out: &Out, all: &Transitions) -> String {
    if all.transitions.is_empty() {
        return "nothing changed".to_owned();
    }
    let mut text = table(out, &all.transitions);
    if all.more {
        let _ = write!(text, "\n\nthere are more: --after {}", all.next_after);
    }
    text
}

/// Transitions as a table.
pub(super) fn table(out: &Out, transitions: &[Transition]) -> String {
    let mut table = out.table(&["NO", "WHEN", "WHERE", "CHECK", "FROM", "TO", "WHY"]);
    for transition in transitions {
        let place = match (&transition.host, &transition.site) {
            (Some(host), _) => first_label(host).to_owned(),
            (None, Some(site)) => format!("site {site}"),
            (None, None) => String::new(),
        };
        let place =
            if transition.subject.starts_with("S-") { format!("{place}, {}", transition.subject) } else { place };
        table.add_row([
            Cell::new(transition.number),
            Cell::new(out.age(transition.at)),
            Cell::new(place),
            Cell::new(transition.check.as_deref().unwrap_or("-")),
            match &transition.from {
                Some(from) => out.standing(from),
                None => Cell::new("(new)"),
            },
            out.standing(&transition.to),
            Cell::new(&transition.reason),
        ]);
    }
    out.keep_whole(&mut table, &[0, 1, 3, 4, 5]);
    table.trim_fmt()
}
