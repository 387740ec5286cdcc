//! Reading a capture's files: bounded, and never outside its folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::CaptureError;

/// Largest file of a capture, in bytes, before its kind is known: an export of a log or of a store of certificates has
/// some MiB. Most kinds have a smaller bound ([`super::FileKind::max_bytes`]).
pub(super) const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Most files read for one machine: a directory has one per user.
pub(super) const MAX_FILES: usize = 4096;

/// Most bytes read for one machine. All of them are held until the newest file has told the time of the capture.
pub(super) const MAX_MACHINE_BYTES: usize = 64 * 1024 * 1024;

/// What a folder holds, by name. Hidden entries are passed over.
pub(super) struct Listing {
    pub(super) files: Vec<PathBuf>,
    pub(super) folders: Vec<PathBuf>,
}

pub(super) fn list(folder: &Path) -> Result<Listing, CaptureError> {
    let mut listing = Listing { files: Vec::new(), folders: Vec::new() };
    for entry in fs::read_dir(folder).map_err(CaptureError::ReadFolder)? {
        let path = entry.map_err(CaptureError::ReadFolder)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            listing.folders.push(path);
        } else {
            listing.files.push(path);
        }
    }
    listing.files.sort();
    listing.folders.sort();
    Ok(listing)
}

/// Whether a file is meant for the people who handle the capture.
pub(super) fn is_for_people(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.starts_with("readme") || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"))
}

/// Where a path that the manifest gives leads: within `folder`, or nowhere.
pub(super) fn within(folder: &Path, relative: &str) -> Result<PathBuf, CaptureError> {
    let relative = Path::new(relative);
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(CaptureError::Outside);
    }
    Ok(folder.join(relative))
}

/// A file's content and when it was last changed.
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) modified: Option<SystemTime>,
}

/// Reads a file that lies in `folder`, links resolved.
pub(super) fn read(folder: &Path, path: &Path) -> Result<Content, CaptureError> {
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => CaptureError::MissingFile,
        _ => CaptureError::ReadFile(error),
    };
    let folder = folder.canonicalize().map_err(CaptureError::ReadFolder)?;
    let real = path.canonicalize().map_err(missing)?;
    if !real.starts_with(&folder) {
        return Err(CaptureError::Outside);
    }
    // Asked before opening: to open a pipe would wait for its writer.
    let metadata = fs::metadata(&real).map_err(missing)?;
    if !metadata.is_file() {
        return Err(CaptureError::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = File::open(&real).map_err(CaptureError::ReadFile)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(CaptureError::ReadFile)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(CaptureError::TooLarge { most: MAX_FILE_BYTES });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(CaptureError::Empty);
    }
    Ok(Content { bytes, modified: metadata.modified().ok() })
}
