//! One check alone: its verdict on each machine, the evidence it read, and its page.

use std::fmt::Write as _;

use muster_evidence::Observation;
use muster_readiness::{Check, page_markdown};

use super::{Outcome, table};
use crate::cli::exit::{Failed, INTERNAL};
use crate::cli::layout::Page;

/// The whole text.
pub(super) fn text(result: &Outcome, check: &dyn Check, page: Page) -> Result<String, Failed> {
    let mut text = String::new();
    for judged in &result.machines {
        let verdicts = table::single(judged, check.id(), page);
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{}", page.strong(judged.machine.identity.name.as_str()));
        if verdicts.is_empty() {
            let _ = writeln!(text, "  The check does not speak of this machine.");
        }
        text.push_str(&verdicts);
        let read: Vec<&Observation> =
            judged.machine.observations.iter().filter(|seen| check.reads().contains(&seen.key.kind)).collect();
        let evidence = serde_json::to_string_pretty(&read)
            .map_err(|error| Failed { code: INTERNAL, message: format!("failed to write JSON: {error}") })?;
        let _ = writeln!(text, "\n  {}", page.faint("The evidence it read:"));
        for line in evidence.lines() {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }
    text.push_str(&page_markdown(check));
    Ok(text)
}
