//! Unix: mode bits.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Everything but the owner's bits and reading by the group.
const FORBIDDEN: u32 = 0o037;

pub(super) fn too_open(path: &Path) -> std::io::Result<Option<u32>> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o7777;
    Ok((mode & FORBIDDEN != 0).then_some(mode))
}
