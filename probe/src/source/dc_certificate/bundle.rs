//! From certificates at hand to observations: the listing, each certificate once, and how its chain verifies.
//!
//! Live sources and captures share this, so a certificate says the same wherever it was found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use muster_evidence::{
    CertificateListing, CertificateStore, ChainStatus, Context, Evidence, FailureReason, Kind, ListedCertificate,
    ObservationKey, Outcome, PrivateKey, Subject, Text, Timestamp, limits,
};

use crate::parse::certificate::{self, AtHand, Parsed};
use crate::parse::revocation_list;
use crate::source::Sighting;
use crate::source::files::{self, ReadError};

/// Names that exported certificates carry; other files in a folder are passed over.
const EXTENSIONS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// The name that exported revocation lists carry. They are taken where issuers are.
const LIST_EXTENSION: &str = "crl";

/// Most files taken from one folder.
const MAX_FILES: usize = 256;

/// Certificates read from files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileBundle {
    /// The certificates, in the order of the files.
    pub certificates: Vec<Parsed>,
    /// Files and blocks that should be certificates and are none, one sentence each.
    pub problems: Vec<String>,
    /// Revocation lists, in DER.
    pub lists: Vec<Vec<u8>>,
}

/// Why a file or folder of certificates could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadCertificates {
    /// The system refused, or the path is not to be read.
    #[error("{line}")]
    Read {
        /// What happened, with its cause.
        line: String,
        /// The class of failure.
        reason: FailureReason,
    },
    /// A path that was named does not exist.
    #[error("`{path}` does not exist")]
    Missing {
        /// The path.
        path: String,
    },
    /// A folder holds more files than are read.
    #[error("folder `{path}` has more than {MAX_FILES} certificate files")]
    TooMany {
        /// The folder.
        path: String,
    },
}

impl ReadCertificates {
    /// The class of failure.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Read { reason, .. } => *reason,
            Self::Missing { .. } => FailureReason::Unavailable,
            Self::TooMany { .. } => FailureReason::Unreadable,
        }
    }

    /// The error in one line.
    pub fn line(&self) -> String {
        self.to_string()
    }

    fn from_read(error: &ReadError) -> Self {
        Self::Read { line: error.line(), reason: error.reason() }
    }
}

/// Reads files, and the certificate files directly in folders.
///
/// A path that cannot be read fails the whole: what it holds would be missing from the listing unnoticed. A file that is
/// read and is no certificate is told in `problems`.
pub fn read_paths(paths: &[PathBuf]) -> Result<FileBundle, ReadCertificates> {
    let mut bundle = FileBundle::default();
    for path in paths {
        if path.is_dir() {
            let files: Vec<PathBuf> = files::list(path)
                .map_err(|error| ReadCertificates::from_read(&error))?
                .into_iter()
                .filter(|file| is_certificate_file(file) || is_list_file(file))
                .collect();
            if files.len() > MAX_FILES {
                return Err(ReadCertificates::TooMany { path: path.display().to_string() });
            }
            for file in files {
                bundle.add(&file)?;
            }
        } else {
            bundle.add(path)?;
        }
    }
    Ok(bundle)
}

fn is_certificate_file(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    EXTENSIONS.contains(&extension.as_str()) && !path.is_dir()
}

fn is_list_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(LIST_EXTENSION)) && !path.is_dir()
}

impl FileBundle {
    fn add(&mut self, path: &Path) -> Result<(), ReadCertificates> {
        let bytes = match files::read(path) {
            Ok(bytes) => bytes,
            Err(ReadError::Io { source, .. }) if files::is_missing(&source) => {
                return Err(ReadCertificates::Missing { path: path.display().to_string() });
            }
            Err(error) => return Err(ReadCertificates::from_read(&error)),
        };
        if is_list_file(path) {
            self.add_list(&path.display().to_string(), bytes);
        } else {
            self.add_bytes(&path.display().to_string(), &bytes);
        }
        Ok(())
    }

    /// Adds the revocation list that `bytes` hold, in DER.
    fn add_list(&mut self, name: &str, bytes: Vec<u8>) {
        match revocation_list::from_der(&bytes) {
            Ok(_) => self.lists.push(bytes),
            Err(error) => self.problems.push(format!("`{name}`: {error}")),
        }
    }

    /// Adds what `bytes`, known to people as `name`, hold.
    pub fn add_bytes(&mut self, name: &str, bytes: &[u8]) {
        match certificate::from_pem_or_der(bytes) {
            Ok(found) => {
                self.certificates.extend(found.certificates);
                self.problems.extend(found.unreadable.iter().map(|error| format!("`{name}`: {error}")));
            }
            Err(error) => self.problems.push(format!("`{name}`: {error}")),
        }
    }
}

/// What chains are verified against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    anchors: Result<Vec<Vec<u8>>, String>,
    intermediates: Vec<Vec<u8>>,
    lists: Vec<Vec<u8>>,
}

impl Trust {
    /// Reads anchors and further issuers. Anchors that cannot be read leave chains unchecked, with the reason; they are
    /// never taken for "none".
    pub fn load(anchors: &[PathBuf], intermediates: &[PathBuf]) -> Self {
        let issuers = read_paths(intermediates).unwrap_or_else(|error| {
            tracing::warn!(error = error.line(), "failed to read intermediate certificates");
            FileBundle::default()
        });
        let anchors = if anchors.is_empty() {
            Err("no trust anchors are configured".to_owned())
        } else {
            read_paths(anchors)
                .map_err(|error| format!("failed to read the trust anchors: {}", error.line()))
                .and_then(|bundle| Self::some_anchors(bundle.certificates))
        };
        Self { anchors, intermediates: ders(issuers.certificates), lists: issuers.lists }
    }

    /// Trust in certificates at hand.
    pub fn from_certificates(anchors: Vec<Parsed>, intermediates: Vec<Parsed>) -> Self {
        Self { anchors: Self::some_anchors(anchors), intermediates: ders(intermediates), lists: Vec::new() }
    }

    /// With further revocation lists, in DER.
    #[must_use]
    pub fn with_lists(mut self, lists: Vec<Vec<u8>>) -> Self {
        self.lists.extend(lists);
        self
    }

    /// Every certificate that may be an issuer: these, the anchors, and `extra` ones.
    pub(in crate::source) fn issuers(&self, extra: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let anchors = self.anchors.as_deref().unwrap_or_default();
        self.intermediates.iter().chain(extra).chain(anchors).cloned().collect()
    }

    fn some_anchors(anchors: Vec<Parsed>) -> Result<Vec<Vec<u8>>, String> {
        if anchors.is_empty() { Err("no trust anchor is at hand".to_owned()) } else { Ok(ders(anchors)) }
    }
}

fn ders(certificates: Vec<Parsed>) -> Vec<Vec<u8>> {
    certificates.into_iter().map(|parsed| parsed.der).collect()
}

/// One certificate of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The certificate.
    pub parsed: Parsed,
    /// Whether its private key is at hand.
    pub private_key: PrivateKey,
}

/// The certificates of one store, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where they were found.
    pub place: CertificateStore,
    /// The certificates.
    pub entries: Vec<Entry>,
    /// How many entries are no certificate.
    pub unreadable: u32,
}

/// The observations of one store: the listing first, then each certificate once. `presented` are further issuers that
/// came with it.
pub fn sightings(store: Store, presented: &[Vec<u8>], trust: &Trust, now: Timestamp) -> Vec<Sighting> {
    // CA certificates among the entries may be issuers of the others.
    let mut issuers = presented.to_vec();
    issuers.extend(store.entries.iter().filter(|e| e.parsed.certificate.is_ca).map(|e| e.parsed.der.clone()));

    let mut seen = BTreeSet::new();
    let mut unique = store.entries;
    unique.retain(|entry| seen.insert(entry.parsed.certificate.sha256));
    let left_out = u32::try_from(unique.len().saturating_sub(limits::CERTIFICATES_PER_STORE)).unwrap_or(u32::MAX);
    unique.truncate(limits::CERTIFICATES_PER_STORE);

    let listing = CertificateListing {
        store: store.place,
        certificates: unique
            .iter()
            .map(|entry| ListedCertificate {
                sha256: entry.parsed.certificate.sha256,
                private_key: entry.private_key,
                archived: false,
            })
            .collect(),
        left_out,
        unreadable: store.unreadable,
    };
    let mut sightings = vec![Sighting::observed(Evidence::CertificateListing(listing))];
    let (anchors, unchecked) = match &trust.anchors {
        Ok(anchors) => (anchors.as_slice(), None),
        Err(why) => (&[][..], Some(ChainStatus::NotChecked { why: Text::cut(why) })),
    };
    issuers.extend_from_slice(&trust.intermediates);
    let at_hand = AtHand::new(&issuers, anchors, &trust.lists);
    for entry in unique {
        let mut certificate = entry.parsed.certificate;
        let findings = certificate::examine(&entry.parsed.der, &at_hand, now);
        certificate.chain = unchecked.clone().unwrap_or(findings.status);
        certificate.issuer_thumbprint = findings.issuer;
        certificate.root_thumbprint = findings.root;
        certificate.revocation = findings.revocation;
        sightings.push(Sighting {
            key: ObservationKey { kind: Kind::Certificate, subject: Subject::Certificate(certificate.sha256) },
            outcome: Outcome::Observed(Evidence::Certificate(Box::new(certificate))),
            context: Context::Service,
        });
    }
    sightings
}
