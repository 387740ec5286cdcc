//! What can be wrong with a capture, each naming what was found and what was expected.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use muster_evidence::Kind;

use super::files::{MAX_FILES, MAX_MACHINE_BYTES};
use super::{FileKind, MANIFEST, MAX_MACHINES};

/// One thing wrong with a capture, and where.
#[derive(Debug)]
pub struct CaptureProblem {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: CaptureError,
}

impl CaptureProblem {
    pub(super) fn new(path: &Path, error: CaptureError) -> Self {
        Self { path: path.to_owned(), error }
    }
}

impl fmt::Display for CaptureProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path.display(), self.error)?;
        let mut source = std::error::Error::source(&self.error);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// What is wrong with a file or folder of a capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The folder could not be read.
    #[error("failed to read the folder")]
    ReadFolder(#[source] io::Error),
    /// The file could not be read.
    #[error("failed to read the file")]
    ReadFile(#[source] io::Error),
    /// The manifest names a file that is not there.
    #[error("the file is named in `{MANIFEST}` and is not there")]
    MissingFile,
    /// The path leads out of the machine's folder.
    #[error("the path leads out of the folder of the capture (by `..`, a root or a link), so it is not read")]
    Outside,
    /// It is a folder, a pipe or a device.
    #[error("it is not a file")]
    NotAFile,
    /// The file has no content.
    #[error("the file is empty")]
    Empty,
    /// The file exceeds the bound.
    #[error("the file has more than {most} bytes")]
    TooLarge {
        /// The bound.
        most: u64,
    },
    /// The folder holds too many files.
    #[error("the folder holds {found} files (only the first {MAX_FILES} are read)")]
    TooManyFiles {
        /// How many.
        found: usize,
    },
    /// The files of a machine exceed the bound together.
    #[error("with it the files of this machine have more than {MAX_MACHINE_BYTES} bytes, so it is not read")]
    TooMuch,
    /// Too many machines.
    #[error("the folder holds {found} machines (only the first {MAX_MACHINES} are read)")]
    TooManyMachines {
        /// How many.
        found: usize,
    },
    /// A file lies beside the folders of machines.
    #[error("the file lies beside the folders of machines: put it into one, or add a `{MANIFEST}` here")]
    BesideMachines,
    /// A folder lies in a machine's folder without a manifest that would say what it holds.
    #[error("a folder within a machine's folder is read only where `{MANIFEST}` names its files")]
    Subfolder,
    /// A machine's folder holds nothing to read.
    #[error("the folder holds no raw output (expected a `dsregcmd /status` text, certificates or another raw output)")]
    NoFiles,
    /// Nothing in the content tells what it is.
    #[error(
        "the content is none of the known raw outputs ({}): name its kind in `{MANIFEST}` or remove it",
        known_kinds()
    )]
    Unrecognised,
    /// The manifest says one kind and the content is of another.
    #[error("`{MANIFEST}` calls it `{expected}`, the content is `{found}`")]
    WrongKind {
        /// What the manifest says.
        expected: FileKind,
        /// What the content is.
        found: FileKind,
    },
    /// The parser of its kind refused it.
    #[error("the content is not `{kind}`: {problem}")]
    Invalid {
        /// The kind.
        kind: FileKind,
        /// What the parser says.
        problem: String,
    },
    /// Some entries of the file could not be read.
    #[error("the file was read except for this: {problem}")]
    Partly {
        /// What the parser says.
        problem: String,
    },
    /// The manifest is not TOML.
    #[error("the manifest is not TOML, so the machine is left out: {problem}")]
    Toml {
        /// Line, column and what the parser says.
        problem: String,
    },
    /// The manifest has a key that does not exist.
    #[error("unknown key `{key}`{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// The key, with its table.
        key: String,
        /// The nearest known key.
        nearest: Option<String>,
    },
    /// The manifest has a value that cannot be used.
    #[error("invalid `{key}`: {problem}")]
    InvalidKey {
        /// The key, with its table.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// The manifest lacks a key.
    #[error("`{key}` is missing: {why}")]
    MissingKey {
        /// The key, with its table.
        key: String,
        /// What it is needed for.
        why: &'static str,
    },
    /// Nothing names the machine.
    #[error("nothing names the machine: give `host` in `{MANIFEST}` (the folder's name `{folder}` is no host name)")]
    NoName {
        /// The folder's name.
        folder: String,
    },
    /// Two folders speak of one machine.
    #[error("host `{host}` was captured twice; only the newer capture in `{kept}` is used")]
    SameHost {
        /// The host.
        host: String,
        /// The folder that is used.
        kept: String,
    },
    /// Two texts speak of users whose SID nobody told.
    #[error("two texts of users without a known SID: only the newest is used; name each `user` in `{MANIFEST}`")]
    TwoUnknownUsers,
    /// More users than a host may have.
    #[error(
        "the capture speaks of {found} users (only the first {} are used)",
        muster_evidence::limits::USERS_PER_HOST
    )]
    TooManyUsers {
        /// How many.
        found: usize,
    },
    /// Two parts of one kind of evidence do not fit together, or one of them is missing.
    #[error("no `{kind}` evidence: {problem}")]
    NotWhole {
        /// The kind of evidence.
        kind: Kind,
        /// What is missing.
        problem: String,
    },
    /// The directory's inventory was called complete and is not.
    #[error("`directory.complete` is set, and {files} of its files were not read: it is taken as incomplete")]
    Incomplete {
        /// How many files.
        files: usize,
    },
}

fn known_kinds() -> String {
    FileKind::ALL.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default()
}
