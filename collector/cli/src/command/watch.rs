//! `muster watch`: sites and changes as they come.

use std::fmt::Write as _;

use super::{CommandError, sites, transitions};
use crate::client::Client;
use crate::model::Change;
use crate::output::Out;

pub(crate) async fn run(client: &mut Client, out: Out, forest: &str, site: &str) -> Result<(), CommandError> {
    let mut watch = client.watch(forest, site).await?;
    loop {
        let change = tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            change = watch.next() => change?,
        };
        let Some(change) = change else { return Ok(()) };
        out.print_one(&change, |out| text(out, &change));
    }
}

fn text(out: &Out, change: &Change) -> String {
    let mut text = format!("{} snapshot {}", out.bold(&change.as_of.text()), change.snapshot);
    if !change.sites.is_empty() {
        let _ = write!(text, "\n{}", sites::table(out, &change.sites));
    }
    if !change.transitions.is_empty() {
        let _ = write!(text, "\n{}", transitions::table(out, &change.transitions));
    }
    text.push('\n');
    text
}
