//! Lists in files and folders, DER or PEM, as `certutil -getcrl`, a copy of a CertEnroll share or OpenSSL leave them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_evidence::Sha256;
use muster_proto::link::revocation_list::InvalidRawList;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use sha2::Digest;

use super::authority::Authority;
use super::list::{InvalidList, List, MOST_BYTES};
use super::set::Loaded;

/// Most files that are read, folders included.
pub(crate) const MOST_FILES: usize = 64;

/// Most entries of all lists together: 170 MB.
pub(crate) const MOST_ENTRIES: usize = 8_000_000;

/// Says why the lists in files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file or folder cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file holds no list that can be used.
    #[error("`{}` cannot be used", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: InvalidList,
    },
    /// A file begins like PEM and holds no list.
    #[error("`{}` is PEM without a section `X509 CRL` that can be read", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
    },
    /// There are too many files.
    #[error("there are more than {MOST_FILES} revocation lists in files")]
    TooManyFiles,
    /// The lists have too many entries together.
    #[error("the revocation lists have {found} entries together (at most {MOST_ENTRIES} are held)")]
    TooManyEntries {
        /// How many they have.
        found: usize,
    },
}

/// The files that paths name: themselves, or every file ending in `.crl` of a folder, sorted.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FileError> {
    let mut files = Vec::new();
    for path in paths {
        let failed = |cause| FileError::Read { path: path.clone(), cause };
        if fs::metadata(path).map_err(failed)?.is_dir() {
            let mut found = Vec::new();
            for entry in fs::read_dir(path).map_err(failed)? {
                let file = entry.map_err(failed)?.path();
                let list = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("crl"));
                if list && file.is_file() {
                    found.push(file);
                }
                if found.len() > MOST_FILES {
                    return Err(FileError::TooManyFiles);
                }
            }
            found.sort();
            files.append(&mut found);
        } else {
            files.push(path.clone());
        }
        if files.len() > MOST_FILES {
            return Err(FileError::TooManyFiles);
        }
    }
    Ok(files)
}

/// Reads every list in files and folders, one file at a time. Lists that are `known` already are not parsed again.
pub(crate) fn load(paths: &[PathBuf], authorities: &[Authority], known: &[Loaded]) -> Result<Vec<Loaded>, FileError> {
    let mut loaded = Vec::new();
    for path in files(paths)? {
        for bytes in lists_in(&path)? {
            let list = read_or_known(&bytes, authorities, known)
                .map_err(|cause| FileError::List { path: path.clone(), cause })?;
            loaded.push(Loaded { source: path.display().to_string(), list });
        }
    }
    bounded(&loaded)?;
    Ok(loaded)
}

/// Holds lists to the bound on their entries.
pub(crate) fn bounded(loaded: &[Loaded]) -> Result<(), FileError> {
    let found = loaded.iter().map(|own| own.list.entries()).sum();
    if found > MOST_ENTRIES { Err(FileError::TooManyEntries { found }) } else { Ok(()) }
}

/// The list in these bytes, from those known where it is one of them.
pub(crate) fn read_or_known(
    bytes: &[u8],
    authorities: &[Authority],
    known: &[Loaded],
) -> Result<Arc<List>, InvalidList> {
    let digest = Sha256(sha2::Sha256::digest(bytes).into());
    match known.iter().find(|own| own.list.digest == digest) {
        Some(own) => Ok(Arc::clone(&own.list)),
        None => List::read(bytes, authorities),
    }
}

/// The lists of one file, as DER.
fn lists_in(path: &Path) -> Result<Vec<Vec<u8>>, FileError> {
    let failed = |cause| FileError::Read { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    let opened = File::open(path).map_err(failed)?;
    opened.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MOST_BYTES {
        return Err(FileError::List { path: path.to_owned(), cause: InvalidRawList::TooLarge.into() });
    }
    der_of(bytes, path)
}

/// Bytes as they are, or the sections of a PEM text.
pub(crate) fn der_of(bytes: Vec<u8>, path: &Path) -> Result<Vec<Vec<u8>>, FileError> {
    if !bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Ok(vec![bytes]);
    }
    let sections: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match sections {
        Ok(lists) if !lists.is_empty() => Ok(lists.into_iter().map(|list| list.as_ref().to_vec()).collect()),
        _ => Err(FileError::Pem { path: path.to_owned() }),
    }
}
