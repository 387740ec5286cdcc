//! What the documents say of tests: that they are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the repository, built or generated ones apart.
fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !["target", "generated", "node_modules"].contains(&name.as_str())
        {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The names of all tests: functions under an attribute that ends in `test`.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    rust_files(&root(), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let mut is_test = false;
        for line in fs::read_to_string(&file).unwrap().lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if is_test && let Some((_, rest)) = line.split_once("fn ") {
                names.insert(rest.split('(').next().unwrap_or_default().to_owned());
                is_test = false;
            }
        }
    }
    names
}

/// Texts in backticks that look like a test's name.
fn named(text: &str) -> BTreeSet<String> {
    let in_backticks = text.split('`').skip(1).step_by(2);
    in_backticks
        .filter(|name| {
            name.matches('_').count() >= 3 && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_statement_about_security_has_its_test() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (named, tests) = (named(&text), tests());
    assert!(named.len() > 25, "the page names its tests in backticks: {named:?}");
    let missing: Vec<_> = named.difference(&tests).collect();
    assert!(missing.is_empty(), "docs/security.md names tests that are not there: {missing:?}");
}
