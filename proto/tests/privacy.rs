//! Keeps `docs/privacy.md` complete: whatever evidence can say is named there, field by field, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps; the lint spares test functions only")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Messages outside of `evidence.proto` that travel with every report and say who it is about.
const BESIDE: [&str; 2] = ["HostIdentity", "MovingValues"];

/// The fields of every message that carries evidence, by the message's name.
fn of_schema() -> BTreeMap<String, BTreeSet<String>> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let mut compiler = protox::Compiler::new([&schema]).unwrap();
    compiler.open_files([schema.join("muster/v1/evidence.proto"), schema.join("muster/v1/report.proto")]).unwrap();
    let described = compiler.file_descriptor_set();
    let mut messages = BTreeMap::new();
    for file in &described.file {
        let is_evidence = file.name().ends_with("evidence.proto");
        for message in &file.message_type {
            if is_evidence || BESIDE.contains(&message.name()) {
                let fields = message.field.iter().map(|field| field.name().to_owned()).collect();
                messages.insert(message.name().to_owned(), fields);
            }
        }
    }
    messages
}

/// The rows of the page's tables, by the heading they stand under.
fn of_page() -> BTreeMap<String, BTreeSet<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/privacy.md");
    let page = fs::read_to_string(page).unwrap();
    let mut messages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut under = None;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("#") {
            under = heading.trim_start_matches('#').trim().strip_prefix('`').and_then(|name| name.strip_suffix('`'));
        } else if let (Some(message), Some(row)) = (under, line.strip_prefix("| `")) {
            let (field, rest) = row.split_once('`').unwrap();
            assert!(!rest.trim_matches(['|', ' ']).is_empty(), "`{message}.{field}` is named and not explained");
            let first = messages.entry(message.to_owned()).or_default().insert(field.to_owned());
            assert!(first, "`{message}.{field}` is named twice");
        }
    }
    messages
}

#[test]
fn every_field_of_the_evidence_is_named_in_the_page_about_privacy() {
    let (schema, page) = (of_schema(), of_page());
    assert!(schema.len() > 50 && schema.contains_key("UserKeys") && schema.contains_key("HostIdentity"));
    let mut faults = Vec::new();
    let names: BTreeSet<&String> = schema.keys().chain(page.keys()).collect();
    for message in names {
        let empty = BTreeSet::new();
        let (fields, told) = (schema.get(message).unwrap_or(&empty), page.get(message).unwrap_or(&empty));
        faults.extend(
            fields.difference(told).map(|field| format!("`{message}.{field}` is not named in docs/privacy.md")),
        );
        faults.extend(told.difference(fields).map(|field| format!("`{message}.{field}` is not in the schema")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
