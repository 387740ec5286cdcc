//! Raw outputs of the machines of a small organisation, made by the demo's own script.

use std::path::PathBuf;
use std::process::Command;

use crate::lab::Lab;
use crate::program::repository;

/// Makes the folders `rotterdam`, `lyon`, `oslo` and `oslo-dc`, and gives the folder they lie in.
///
/// # Panics
///
/// If they cannot be made; the script needs `openssl`.
pub fn organisation(lab: &Lab) -> PathBuf {
    let folder = lab.path("captures");
    let made = Command::new(repository().join("deploy/demo/captures.sh")).arg(&folder).output().unwrap();
    assert!(made.status.success(), "captures.sh: {}", String::from_utf8_lossy(&made.stderr));
    folder
}
