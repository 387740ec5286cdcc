//! The operator's page of each check, in Markdown, put together from what the check says of itself.

use std::fmt::Write as _;

use crate::{CHECKS, Check, Freshness, Policy, caused_by};

/// What a check means and what to do, for the people who operate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What it means.
    pub meaning: &'static str,
    /// Which evidence it reads, and where that comes from.
    pub evidence: &'static str,
    /// Where the line is drawn, and why there.
    pub threshold: &'static str,
    /// How to fix it.
    pub remedy: &'static str,
    /// The document that says so.
    pub source: &'static str,
    /// One command that lists those concerned.
    pub query: &'static str,
    /// When to alert, in one sentence.
    pub alert: &'static str,
}

impl Page {
    /// The first sentence of what it means: why it matters, in one line.
    pub fn why(&self) -> &'static str {
        self.meaning.find(". ").map_or(self.meaning, |end| &self.meaning[..=end])
    }
}

/// The page of a check.
pub fn page_markdown(check: &dyn Check) -> String {
    let Page { meaning, evidence, threshold, remedy, source, query, alert } = check.page();
    let kinds = check.reads().iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
    let kinds = if kinds.is_empty() { "what the site's hosts report".to_owned() } else { kinds };
    let causes = caused_by(check.id()).iter().map(|id| format!("[{id}]({id}.md)")).collect::<Vec<_>>().join(", ");
    let may_follow = if causes.is_empty() { String::new() } else { format!("| May follow from | {causes} |\n") };
    format!(
        "# {id}\n\n{title}\n\n\
         | | |\n|---|---|\n\
         | Scope | {scope} |\n\
         | Severity | {severity} |\n\
         | Holds without a report | {fresh} |\n\
         | Kinds of evidence | {kinds} |\n\
         {may_follow}\n\
         ## Meaning\n\n{meaning}\n\n\
         ## Evidence\n\n{evidence}\n\n\
         ## Threshold\n\n{threshold}\n\n\
         ## How to fix\n\n{remedy}\n\n\
         Source: {source}\n\n\
         ## Query\n\n```\n{query}\n```\n\n\
         ## Alert\n\n{alert}\n",
        id = check.id(),
        title = check.title(),
        scope = check.scope().name(),
        severity = check.severity().words(),
        fresh = held_without_report(check),
    )
}

/// The index of all pages.
pub fn index_markdown() -> String {
    let mut index = String::from(
        "# Checks\n\n\
         One page per check, generated from the rules themselves. A verdict is `ready`, `advisory`, `blocked`, \
         `unknown` or `not-applicable`; `unknown` never counts as ready. A check whose severity is advisory holds nobody \
         up: what it cannot tell weighs as the advisory that it might be.\n\n\
         Checks of endpoints and of users on them do not apply to domain controllers, nor to hosts whose roles do not \
         make them endpoints, such as readers of the directory. On other systems than Windows only those of the TPM \
         answer, and such a host is not counted among the endpoints.\n\n\
         | Check | Asks | Scope | Severity |\n|---|---|---|---|\n",
    );
    for check in CHECKS {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            index,
            "| [{id}]({id}.md) | {} | {} | {} |",
            check.title(),
            check.scope().name(),
            check.severity().words(),
            id = check.id(),
        );
    }
    index
}

fn held_without_report(check: &dyn Check) -> String {
    let (usual, on_dc) = (check.freshness(), check.freshness_on_dc());
    if usual == on_dc { fresh(usual) } else { format!("{}; on a domain controller {}", fresh(usual), fresh(on_dc)) }
}

fn fresh(freshness: Freshness) -> String {
    let hours = freshness.limit_ms(&Policy::default()) / 3_600_000;
    let limit = match hours {
        1 => "1 hour".to_owned(),
        hours if hours > 24 && hours % 24 == 0 => format!("{} days", hours / 24),
        hours => format!("{hours} hours"),
    };
    format!("{limit} (`{}`)", freshness.setting())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Compares `docs/checks/` with what the checks say; `MUSTER_REGENERATE=1` writes it.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the crate reads no files and no environment; this test compares files"
    )]
    fn the_pages_in_the_repository_are_those_of_the_checks() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks");
        let mut wanted = vec![("README.md".to_owned(), index_markdown())];
        wanted.extend(CHECKS.iter().map(|check| (format!("{}.md", check.id()), page_markdown(*check))));
        if std::env::var_os("MUSTER_REGENERATE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            for (name, text) in &wanted {
                std::fs::write(folder.join(name), text).unwrap();
            }
        }
        for (name, text) in &wanted {
            let found = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert_eq!(&found, text, "`docs/checks/{name}` is not what the check says; run with MUSTER_REGENERATE=1");
        }
        let mut found: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut names: Vec<_> = wanted.into_iter().map(|(name, _)| name).collect();
        found.sort();
        names.sort();
        assert_eq!(found, names, "`docs/checks/` holds a page without a check, or lacks one");
    }
}
