//! `muster-probe checks`: the catalogue of checks, and their pages.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use muster_readiness::reference::BUILT_IN;
use muster_readiness::{CHECKS, Check, Severity, check_by_id, index_markdown, nearest_check, page_markdown};

use super::exit::{Ended, Failed, INTERNAL};
use super::layout::{Page, wrap};

/// Which checks, and in which form.
#[derive(Debug, Args)]
pub struct ChecksArguments {
    /// Prints the page of this check.
    #[arg(value_name = "ID", conflicts_with = "markdown")]
    pub id: Option<String>,
    /// Writes the page of every check, and their index, into this folder.
    #[arg(long, value_name = "DIR")]
    pub markdown: Option<PathBuf>,
    /// Prints a table of reference data that is built in: builds with a fault, firmware, error codes. A policy that carries
    /// one of its own replaces it.
    #[arg(long, value_name = "TABLE", conflicts_with_all = ["id", "markdown"], value_parser = tables())]
    pub table: Option<String>,
}

/// The names of the built-in tables.
fn tables() -> clap::builder::PossibleValuesParser {
    BUILT_IN.map(|(name, _)| name).into()
}

/// Lists the checks, prints a page, or writes all of them.
pub fn checks(arguments: &ChecksArguments) -> Ended {
    if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| arguments.table.as_deref() == Some(*name)) {
        super::print(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    match (&arguments.id, &arguments.markdown) {
        (Some(id), _) => super::print(&page_markdown(check(id)?))?,
        (None, Some(folder)) => {
            let written = write_pages(folder).map_err(|error| Failed {
                code: INTERNAL,
                message: format!("failed to write to `{}`: {error}", folder.display()),
            })?;
            super::print(&format!("wrote {written} pages to {}\n", folder.display()))?;
        }
        (None, None) => super::print(&list(Page::of_stdout()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The check with that id, or an answer that names the nearest.
pub fn check(id: &str) -> Result<&'static dyn Check, Failed> {
    check_by_id(id).ok_or_else(|| {
        Failed::usage(match nearest_check(id) {
            Some(near) => format!("unknown check `{id}` (did you mean `{near}`?)"),
            None => format!("unknown check `{id}` (`muster-probe checks` lists them)"),
        })
    })
}

fn write_pages(folder: &Path) -> std::io::Result<usize> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("README.md"), index_markdown())?;
    for check in CHECKS {
        fs::write(folder.join(format!("{}.md", check.id())), page_markdown(*check))?;
    }
    Ok(CHECKS.len() + 1)
}

fn list(page: Page) -> String {
    let widest =
        |text: fn(&dyn Check) -> &'static str| CHECKS.iter().map(|check| text(*check).len()).max().unwrap_or(0);
    let (id, scope, severity) = (widest(id_of), widest(scope_of), widest(grave));
    let left = id + scope + severity + 6;
    let header = format!("{:<id$}  {:<scope$}  {:<severity$}  READY WHEN", "CHECK", "SCOPE", "SEVERITY");
    let mut text = format!("{}\n", page.strong(&header));
    for check in CHECKS {
        for (row, line) in wrap(check.title(), page.width.saturating_sub(left).max(24)).into_iter().enumerate() {
            let (check_id, of, how) =
                if row == 0 { (check.id(), check.scope().name(), grave(*check)) } else { ("", "", "") };
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{check_id:<id$}  {of:<scope$}  {how:<severity$}  {line}");
        }
    }
    let notes = [
        "* For a part of the machines or sites, which the page of the check names; for the others an advisory.",
        "`muster-probe checks ID` prints the page of a check: what it means and how to fix it.",
    ];
    text.push('\n');
    for line in notes.iter().flat_map(|note| wrap(note, page.width)) {
        let _ = writeln!(text, "{}", page.faint(&line));
    }
    text
}

fn id_of(check: &dyn Check) -> &'static str {
    check.id()
}

fn scope_of(check: &dyn Check) -> &'static str {
    check.scope().name()
}

/// How grave a failure is, in a word.
fn grave(check: &dyn Check) -> &'static str {
    match check.severity() {
        Severity::Blocker => "blocker",
        Severity::Advisory => "advisory",
        Severity::Informative => "informative",
        Severity::BlockerFor(_) => "blocker*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_listed_and_lines_fit() {
        let page = Page { width: 100, colour: false };
        let text = list(page);
        for check in CHECKS {
            assert!(text.contains(check.id()), "{}", check.id());
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn an_unknown_check_is_answered_with_the_nearest() {
        let failed = check("tpm.vesion").err().unwrap();
        assert_eq!(failed.message, "unknown check `tpm.vesion` (did you mean `tpm.version`?)");
    }

    #[test]
    fn pages_are_written_with_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let written = write_pages(&folder.path().join("checks")).unwrap();
        assert_eq!(written, CHECKS.len() + 1);
        assert_eq!(fs::read_dir(folder.path().join("checks")).unwrap().count(), written);
    }
}
