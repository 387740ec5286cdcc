//! Reading small system files, bounded and without following anything that is not a file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Largest file a source reads, in bytes: configuration files and certificates are far smaller.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why a file could not be read, and what exactly was tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The system refused.
    #[error("failed to read `{path}`")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is a folder, a pipe, a device or something else that is not to be read.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// It holds more than the bound.
    #[error("`{path}` has more than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: String,
    },
}

impl ReadError {
    /// The class of failure it belongs to.
    pub(crate) fn reason(&self) -> muster_evidence::FailureReason {
        match self {
            Self::Io { source, .. } => super::failure_reason(source),
            Self::NotAFile { .. } | Self::TooLarge { .. } => muster_evidence::FailureReason::Unreadable,
        }
    }

    /// The error and its cause in one line, for the detail of a failure.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("{self}: {source}"),
            Self::NotAFile { .. } | Self::TooLarge { .. } => self.to_string(),
        }
    }
}

/// Reads a file of at most [`MAX_FILE_BYTES`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let shown = || path.display().to_string();
    let io = |source| ReadError::Io { path: shown(), source };
    // Asked before opening: to open a pipe would wait for its writer.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(ReadError::NotAFile { path: shown() });
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ReadError::TooLarge { path: shown() });
    }
    Ok(bytes)
}

/// Reads a text file; `None` where it does not exist. Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, ReadError> {
    match read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(ReadError::Io { source, .. }) if is_missing(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the error says that the file, or a folder on the way to it, does not exist.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The entries of a folder by name; empty where the folder does not exist.
pub(crate) fn list(folder: &Path) -> Result<Vec<std::path::PathBuf>, ReadError> {
    let io = |source| ReadError::Io { path: folder.display().to_string(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(io)?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_small_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let big = folder.path().join("big");
        fs::write(&big, vec![b'x'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1]).unwrap();
        assert!(read(&big).unwrap_err().to_string().ends_with("has more than 1048576 bytes"));
        assert!(read(folder.path()).unwrap_err().to_string().ends_with("is not a file"));
        assert!(read_text(&folder.path().join("none")).unwrap().is_none());
        assert!(read_text(&big.join("below-a-file")).unwrap().is_none());
        assert!(list(&folder.path().join("none")).unwrap().is_empty());
        assert_eq!(list(folder.path()).unwrap(), [big]);
    }
}
