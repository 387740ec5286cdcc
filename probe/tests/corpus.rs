//! The corpus: captures of machines of every build and state, each judged as `check --captures` does.
//!
//! `fixtures/corpus` holds the captures, most of them shaped after something odd that texts in public places show;
//! `tests/golden/corpus` holds what the probe says of each. `MUSTER_REGENERATE=1` writes the golden texts anew: they are
//! sentences that an administrator will read, so read the difference.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use muster_evidence::Timestamp;
use muster_probe::cli::check::text_of_captures;
use muster_probe::cli::layout::Page;
use muster_readiness::Policy;

/// When somebody looks at the captures: later than all of them were taken.
fn now() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The captures by name.
fn captures() -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(folder("fixtures/corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    found.sort();
    found
}

/// Why a check has no answer where a capture lacks a whole kind of evidence. That a gap is told as one is tested beside
/// each check; here it would stand in every text.
const LACKING: &[&str] = &[
    "not reported",
    "none of their channels was reported",
    "the system does not say it",
    "nobody could look for them",
    "nobody reads the directory of this forest",
    "its counters were not read, and the events of registration and TPM: not reported",
];

/// What the probe says of one capture: without the gaps that are there for want of another file, and without the folder's
/// place.
fn told(capture: &Path) -> String {
    let (full, problems) = text_of_captures(capture, &Policy::default(), now(), Page::PLAIN);
    let lacking = |part: &str| {
        let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
        let ends = |why: &str| [" matters ", " weighs ", " age "].iter().filter_map(|label| why.find(label)).min();
        let why = words.split_once(" why ").map(|(_, why)| &why[..ends(why).unwrap_or(why.len())]);
        part.starts_with("  UNKNOWN") && why.is_some_and(|why| LACKING.contains(&why))
    };
    let (left_out, kept): (Vec<&str>, Vec<&str>) =
        full.split("\n\n").filter(|part| !part.starts_with("Add --explain")).partition(|part| lacking(part));
    let mut text = kept.join("\n\n");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if !left_out.is_empty() {
        writeln!(text, "\n{} more gaps for want of other files", left_out.len()).unwrap();
    }
    if !problems.is_empty() {
        text.push_str("\nstandard error:\n");
        for problem in problems {
            text.push_str(&problem.replace(&capture.display().to_string(), "CAPTURE"));
            text.push('\n');
        }
    }
    text
}

#[test]
fn each_capture_is_judged_as_written_down() {
    let golden = folder("tests/golden/corpus");
    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        let _ = fs::remove_dir_all(&golden);
        fs::create_dir_all(&golden).unwrap();
        for (name, capture) in captures() {
            fs::write(golden.join(format!("{name}.txt")), told(&capture)).unwrap();
        }
    }
    let mut differing = Vec::new();
    for (name, capture) in captures() {
        let wanted = fs::read_to_string(golden.join(format!("{name}.txt"))).unwrap_or_default();
        let found = told(&capture);
        if found != wanted {
            let at = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
            differing.push(format!("{name}: (found, wanted) {at:?}"));
        }
    }
    assert!(
        differing.is_empty(),
        "{} of the golden texts say otherwise (MUSTER_REGENERATE=1 writes them anew):\n{}",
        differing.len(),
        differing.join("\n")
    );
    let texts: BTreeSet<String> = fs::read_dir(golden)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let captures: BTreeSet<String> = captures().into_iter().map(|(name, _)| name).collect();
    assert_eq!(texts, captures, "a golden text is left over");
}

#[test]
fn the_corpus_covers_the_field_and_says_what_is_odd() {
    let mut irregular = 0;
    let captures = captures();
    for (name, capture) in &captures {
        let manifest = fs::read_to_string(capture.join("capture.toml")).unwrap();
        let mut comments = manifest.lines().map_while(|line| line.strip_prefix("# "));
        let about = comments.next().unwrap_or_default();
        assert!(about.ends_with('.'), "{name} does not say what it is");
        irregular += usize::from(comments.any(|line| line.starts_with("Irregularity: ")));
    }
    assert!(captures.len() >= 60, "{} captures", captures.len());
    assert!(
        irregular >= 30 && irregular * 2 >= captures.len(),
        "{irregular} of {} name an irregularity",
        captures.len()
    );
}

/// Nothing that the corpus holds as a secret comes out, whatever is printed.
#[test]
fn no_password_comes_out() {
    let secret = "hunter2";
    let raw = fs::read_to_string(folder("fixtures/corpus/proxy-with-password/dsregcmd.txt")).unwrap();
    assert!(raw.contains(secret));
    for (name, capture) in captures() {
        assert!(!told(&capture).contains(secret), "{name}");
    }
}
