//! `muster-probe checks`: the catalogue of checks, and their pages.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use muster_readiness::{CHECKS, Check, check_by_id, index_markdown, nearest_check, page_markdown};

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
}

/// Lists the checks, prints a page, or writes all of them.
pub fn checks(arguments: &ChecksArguments) -> Ended {
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
    let widths = |text: fn(&dyn Check) -> String| CHECKS.iter().map(|check| text(*check).len()).max().unwrap_or(0);
    let (id, scope, severity) = (
        widths(|check| check.id().to_owned()),
        widths(|check| check.scope().name().to_owned()),
        widths(|check| check.severity().words()).min(24),
    );
    let left = id + scope + severity + 6;
    let mut text = String::new();
    let header = format!("{:<id$}  {:<scope$}  {:<severity$}  {}", "CHECK", "SCOPE", "SEVERITY", "ASKS");
    let _ = writeln!(text, "{}", page.strong(header.trim_end()));
    for check in CHECKS {
        let grave = wrap(&check.severity().words(), severity);
        let title = wrap(check.title(), page.width.saturating_sub(left).max(24));
        for row in 0..grave.len().max(title.len()).max(1) {
            let first = |text: &str| if row == 0 { text.to_owned() } else { String::new() };
            let line = format!(
                "{:<id$}  {:<scope$}  {:<severity$}  {}",
                first(check.id()),
                first(check.scope().name()),
                grave.get(row).map_or("", String::as_str),
                title.get(row).map_or("", String::as_str)
            );
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    let _ = writeln!(text, "\n`muster-probe checks ID` prints what a check means and how to fix it.");
    text
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
