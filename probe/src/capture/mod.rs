//! Captures: raw outputs taken on other machines, judged as if the probe had run there.
//!
//! A capture is how an air-gapped site or a support case is looked at: somebody ran `dsregcmd /status`, exported a
//! certificate, and sent the folder. The raw outputs go through the same parsers as live ones. [`load`] reads a whole
//! folder and loses nothing over one bad file: what could not be read is a [`CaptureProblem`] beside everything that
//! could.
//!
//! ```text
//! DIR/
//!   pc-0417/                 one folder per machine
//!     capture.toml           the manifest: names, times and contexts that raw outputs do not carry; optional
//!     dsregcmd.txt           raw outputs, known by the manifest or by their content
//!     ver.txt
//!     tpmtool.txt
//!     events.xml
//!     policy.reg
//!   dc1/
//!     capture.toml
//!     certificates/dc1.crt
//! ```
//!
//! `DIR` itself is one machine where it holds a `capture.toml` or no folder. `docs/captures.md` has every key. Sending
//! what was loaded is left to others; so is judging it.

mod files;
mod machine;
mod manifest;
mod outputs;
mod problem;
mod recognise;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_evidence::{HostIdentity, InventoryItem, InventoryPart, Observation, Role, Sid, Text, Timestamp, UserKeys};

pub use problem::{CaptureError, CaptureProblem};
pub use recognise::FileKind;

/// Name of the manifest in a machine's folder.
pub const MANIFEST: &str = "capture.toml";

/// Most machines read from one folder.
pub const MAX_MACHINES: usize = 10_000;

/// Everything a folder of captures holds.
#[derive(Debug, Default)]
pub struct CaptureSet {
    /// The machines, by name.
    pub machines: Vec<CapturedMachine>,
    /// What could not be read or had to be left out, by path.
    pub problems: Vec<CaptureProblem>,
}

/// One machine, as captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedMachine {
    /// The folder it was read from.
    pub folder: PathBuf,
    /// Who it is. The name is the manifest's, else the raw outputs', else the folder's.
    pub identity: HostIdentity,
    /// What it is: the manifest's word, else a domain controller or directory where the manifest describes one, else an
    /// endpoint.
    pub roles: Vec<Role>,
    /// When the capture was taken. Its observations may be older, each with the time of the file it stands in.
    pub captured_at: Timestamp,
    /// Whether that is only the time of the newest file, because the manifest does not say.
    pub captured_at_assumed: bool,
    /// What its raw outputs say. All are of [`muster_evidence::Origin::Capture`] and observed when taken.
    pub observations: Vec<Observation>,
    /// The users it speaks of. One whose SID nobody told stands under [`Sid::unknown`], to be judged here and never
    /// reported.
    pub users: Vec<CapturedUser>,
    /// Keys read from the directory, as parts of an inventory of the forest.
    pub inventory: Vec<InventoryPart>,
}

/// A user of a captured machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedUser {
    /// The user.
    pub sid: Sid,
    /// The account's name, such as `CORP\alice`; `None` where nobody told it.
    pub account: Option<Text>,
}

impl CapturedMachine {
    /// The keys of users in the directory, out of all parts of the inventory.
    pub fn directory_keys(&self) -> impl Iterator<Item = &UserKeys> {
        self.inventory.iter().flat_map(|part| &part.items).filter_map(|item| match item {
            InventoryItem::UserKeys(keys) => Some(keys),
            InventoryItem::Removed(_) => None,
        })
    }
}

/// Reads a folder of captures. `now` bounds which times in key credentials are believed; certificate chains are verified
/// as of the time they were taken.
///
/// Blocks; at most [`MAX_MACHINES`] machines of at most 4,096 files, 16 MiB each and 64 MiB together.
pub fn load(dir: &Path, now: Timestamp) -> CaptureSet {
    let mut set = CaptureSet::default();
    let folders = match machine_folders(dir, &mut set.problems) {
        Ok(folders) => folders,
        Err(error) => {
            set.problems.push(CaptureProblem::new(dir, error));
            return set;
        }
    };
    let mut by_name: BTreeMap<String, CapturedMachine> = BTreeMap::new();
    for folder in folders {
        let (machine, problems) = machine::load(&folder, now);
        set.problems.extend(problems);
        let Some(machine) = machine else { continue };
        let name = machine.identity.name.to_string();
        let Some(earlier) = by_name.remove(&name) else {
            by_name.insert(name, machine);
            continue;
        };
        let (kept, left) =
            if machine.captured_at > earlier.captured_at { (machine, earlier) } else { (earlier, machine) };
        let error = CaptureError::SameHost { host: name.clone(), kept: kept.folder.display().to_string() };
        set.problems.push(CaptureProblem::new(&left.folder, error));
        by_name.insert(name, kept);
    }
    set.machines = by_name.into_values().collect();
    set.problems.sort_by(|a, b| a.path.cmp(&b.path));
    set
}

/// The folders that stand for machines: `dir` itself, or each folder in it.
fn machine_folders(dir: &Path, problems: &mut Vec<CaptureProblem>) -> Result<Vec<PathBuf>, CaptureError> {
    let root = dir.canonicalize().map_err(CaptureError::ReadFolder)?;
    // Paths are shown to people as they were given.
    let listing = files::list(dir)?;
    let has_manifest = listing.files.iter().any(|path| path.ends_with(MANIFEST));
    if has_manifest || listing.folders.is_empty() {
        return Ok(vec![dir.to_owned()]);
    }
    for path in listing.files.iter().filter(|path| !files::is_for_people(path)) {
        problems.push(CaptureProblem::new(path, CaptureError::BesideMachines));
    }
    let mut folders = Vec::new();
    for folder in listing.folders {
        // A link out of the folder would read files that nobody meant to hand over.
        match folder.canonicalize() {
            Ok(real) if real.starts_with(&root) => folders.push(folder),
            Ok(_) => problems.push(CaptureProblem::new(&folder, CaptureError::Outside)),
            Err(error) => problems.push(CaptureProblem::new(&folder, CaptureError::ReadFolder(error))),
        }
    }
    if folders.len() > MAX_MACHINES {
        problems.push(CaptureProblem::new(dir, CaptureError::TooManyMachines { found: folders.len() }));
        folders.truncate(MAX_MACHINES);
    }
    Ok(folders)
}
