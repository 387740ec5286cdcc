//! Keeps the checked-in code in `src/generated` equal to what the schema says.
//!
//! The code is checked in so that building Muster needs neither protoc nor a build script. This test generates it
//! anew, with compilers written in Rust, and compares. With `MUSTER_REGENERATE=1` it rewrites the files instead:
//!
//! ```sh
//! MUSTER_REGENERATE=1 cargo test -p muster-proto --test bootstrap
//! ```

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps; the lint spares test functions only")]

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;

const HOW: &str = "the schema and `proto/src/generated` differ; regenerate with \
                   `MUSTER_REGENERATE=1 cargo test -p muster-proto --test bootstrap` and commit the result";

/// Every schema file, sorted, so that the order of a directory listing never shows in the output.
fn schema_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .collect();
    files.sort();
    files
}

/// Compares `fresh` with the file at `path`, or writes it there when asked to.
fn compare(path: &Path, fresh: &[u8], stale: &mut Vec<String>) {
    if std::env::var_os("MUSTER_REGENERATE").is_some_and(|value| value == "1") {
        // Untouched files keep their time stamp, so nothing is rebuilt for nothing.
        if fs::read(path).ok().as_deref() != Some(fresh) {
            fs::write(path, fresh).unwrap();
        }
        return;
    }
    let found = fs::read(path).unwrap_or_default();
    if found != fresh {
        let line = found.split(|b| *b == b'\n').zip(fresh.split(|b| *b == b'\n')).take_while(|(a, b)| a == b).count();
        stale.push(format!(
            "{} (first difference in line {}, {} bytes checked in, {} generated)",
            path.file_name().unwrap().to_string_lossy(),
            line + 1,
            found.len(),
            fresh.len()
        ));
    }
}

#[test]
fn the_generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = schema_files(&root.join("schema/muster/v1"));
    assert!(files.len() >= 3, "found only {files:?}");

    let mut compiler = protox::Compiler::new([root.join("schema")]).unwrap();
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(&files).unwrap();
    let described = compiler.file_descriptor_set();

    // Reflection needs no comments, and without them the set is a third of the size.
    let mut bare = described.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }

    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure().emit_rerun_if_changed(false).out_dir(out.path()).compile_fds(described).unwrap();

    let written: Vec<_> = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written, ["muster.v1.rs"], "the schema has one package");
    let code = fs::read(out.path().join("muster.v1.rs")).unwrap();

    let generated = root.join("src/generated");
    let mut stale = Vec::new();
    compare(&generated.join("muster.v1.rs"), &code, &mut stale);
    compare(&generated.join("descriptor.bin"), &bare.encode_to_vec(), &mut stale);
    assert!(stale.is_empty(), "{HOW}:\n{}", stale.join("\n"));
}
