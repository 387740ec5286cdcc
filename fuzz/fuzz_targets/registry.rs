//! Registry exports and queries, from bytes to facts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::{Outcome, Sid};
use muster_probe::parse::registry::{self, Covered, Known, Look, Tree};

fuzz_target!(|bytes: &[u8]| {
    let Ok(export) = registry::parse(bytes) else { return };
    let mut tree = Tree::default();
    let nobody = Sid::unknown();
    tree.add(&export, Some(&nobody), 0).expect("the hive has an owner");
    for key in export.keys.iter().take(16) {
        assert!(!matches!(tree.subtree(&key.path, &mut Vec::new()), Look::Missing), "a key that is there is missing");
    }
    let facts = registry::facts(&tree, &Known::default());
    assert!(facts.found.iter().all(|found| found.files == [0]));
    let proves = export.covered.iter().any(|covered| matches!(covered, Covered::Tree { cut_off: false, .. }));
    if !proves {
        assert!(facts.found.iter().all(|found| found.outcome != Outcome::Absent), "absent, though nothing covers it");
    }
});
