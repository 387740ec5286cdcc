//! Whether a private key's file is kept from others.
//!
//! On Unix the mode bits say so. On Windows a file inherits the access list of its folder, which the installer sets;
//! it is not read here.

use std::path::Path;

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use self::other as platform;
#[cfg(unix)]
use self::unix as platform;

/// The mode of the file, if it lets others in.
pub(super) fn too_open(path: &Path) -> std::io::Result<Option<u32>> {
    platform::too_open(path)
}
