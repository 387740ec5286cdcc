//! `muster waive`: deviations that somebody accepted, for a time and with a reason.

use comfy_table::Cell;

use super::{CommandError, span_ms};
use crate::args::WaiveCommand;
use crate::client::{Client, NewWaiver};
use crate::model::{Time, Waiver};
use crate::output::Out;
use crate::place::Place;

pub(crate) async fn run(client: &mut Client, out: Out, command: WaiveCommand) -> Result<(), CommandError> {
    match command {
        WaiveCommand::Add { check, host, site, forest, reason, span } => {
            let (forest, site) = match site {
                Some(site) => Place::new(site, forest).map(|place| (place.forest, Some(place.site)))?,
                None => (forest, None),
            };
            let expires_at = Time(out.now().0.saturating_add(span_ms(&span)?));
            let waiver = client.add_waiver(NewWaiver { check, host, forest, site, reason, expires_at }).await?;
            out.print(&waiver, |out| {
                format!("waiver {}\n{}", waiver.number, table(out, std::slice::from_ref(&waiver)))
            });
        }
        WaiveCommand::List { ended } => {
            let waivers = client.waivers(ended).await?;
            out.print(&waivers, |out| if waivers.is_empty() { "no waivers".to_owned() } else { table(out, &waivers) });
        }
        WaiveCommand::Remove { number } => {
            let waiver = client.remove_waiver(number).await?;
            out.print(&waiver, |_| format!("waiver {} of `{}` is ended", waiver.number, waiver.check));
        }
    }
    Ok(())
}

fn table(out: &Out, waivers: &[Waiver]) -> String {
    let mut table = out.table(&["NO", "CHECK", "WHERE", "UNTIL", "WHO", "WHY"]);
    for waiver in waivers {
        let place = match (&waiver.host, &waiver.site) {
            (Some(host), _) => host.clone(),
            (None, Some(site)) => format!("site {site}"),
            (None, None) => "everywhere".to_owned(),
        };
        let until = if waiver.removed { "removed".to_owned() } else { out.age(waiver.expires_at) };
        table.add_row([
            Cell::new(waiver.number),
            Cell::new(&waiver.check),
            Cell::new(place),
            Cell::new(until),
            Cell::new(&waiver.who),
            Cell::new(&waiver.reason),
        ]);
    }
    table.trim_fmt()
}
