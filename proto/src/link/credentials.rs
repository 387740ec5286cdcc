//! Certificates and private keys, read from PEM.
//!
//! Whatever is wrong is told with the file, what was found in it and what was expected, since these files are made by
//! hand and by other tools.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::key_file;

/// Largest file that is read: far above any chain, far below what hurts.
const MOST_BYTES: u64 = 1024 * 1024;

/// An end's own certificate chain and its private key.
///
/// The key is shown nowhere: `Debug` prints how many certificates there are, and nothing of the key.
#[derive(Clone)]
pub struct Credentials {
    certified: Arc<CertifiedKey>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("certificates", &self.certified.cert.len()).finish_non_exhaustive()
    }
}

/// Says why certificates or keys could not be taken from a file.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCredentials {
    /// The file could not be read.
    #[error("failed to read `{}`", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large to be what it should be.
    #[error("`{}` is larger than {MOST_BYTES} bytes (expected a PEM file)", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// A private key that others than its owner and group can read, or others than its owner can write.
    #[error("private key `{}` has mode {mode:04o}, which lets others in (expected 0600 or 0640)", file.display())]
    TooOpen {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is no PEM.
    #[error("`{}` is not valid PEM", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What the decoder says.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The sections that should be there are not.
    #[error("`{}` holds {found} (expected {expected})", file.display())]
    Sections {
        /// The file.
        file: PathBuf,
        /// What it holds, in words.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The private key is of a form or algorithm that is not supported.
    #[error("private key `{}` is not supported (expected ECDSA P-256 or P-384, Ed25519, or RSA of at least 2048 bits)", file.display())]
    UnsupportedKey {
        /// The file.
        file: PathBuf,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
    /// The private key is not the certificate's.
    #[error("private key `{}` does not belong to the first certificate of `{}`", key.display(), certificate.display())]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
}

impl Credentials {
    /// Loads a chain, own certificate first, and its key. A key that others can read is refused.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, InvalidCredentials> {
        let certificates = load_certificates(chain)?;
        let mode =
            key_file::too_open(key).map_err(|source| InvalidCredentials::Read { file: key.to_path_buf(), source })?;
        if let Some(mode) = mode {
            return Err(InvalidCredentials::TooOpen { file: key.to_path_buf(), mode });
        }
        let key_der = key_from_pem(&read(key)?, key)?;
        Self::new(certificates, key_der, chain, key)
    }

    /// Takes a chain and its key from texts; `origin` names them in errors.
    pub fn from_pem(chain: &str, key: &str, origin: &Path) -> Result<Self, InvalidCredentials> {
        let certificates = certificates_from_pem(chain.as_bytes(), origin)?;
        Self::new(certificates, key_from_pem(key.as_bytes(), origin)?, origin, origin)
    }

    fn new(
        certificates: Vec<CertificateDer<'static>>,
        key_der: PrivateKeyDer<'static>,
        chain: &Path,
        key: &Path,
    ) -> Result<Self, InvalidCredentials> {
        let signing = provider()
            .key_provider
            .load_private_key(key_der)
            .map_err(|source| InvalidCredentials::UnsupportedKey { file: key.to_path_buf(), source })?;
        let certified = CertifiedKey::new(certificates, signing);
        certified.keys_match().map_err(|source| InvalidCredentials::Mismatch {
            key: key.to_path_buf(),
            certificate: chain.to_path_buf(),
            source,
        })?;
        Ok(Self { certified: Arc::new(certified) })
    }

    /// The chain, own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

/// The one cryptographic provider: ring, since it builds for Linux and Windows alike.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Loads every certificate of a PEM file, at least one.
pub fn load_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidCredentials> {
    certificates_from_pem(&read(file)?, file)
}

/// Takes every certificate from a PEM text, at least one; `origin` names it in errors.
pub fn certificates_from_pem(pem: &[u8], origin: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidCredentials> {
    let sections = sections(pem, origin)?;
    let found = describe(&sections);
    let certificates: Vec<_> =
        sections.into_iter().filter_map(|(kind, der)| CertificateDer::from_pem(kind, der)).collect();
    if certificates.is_empty() {
        let expected = "at least one section `CERTIFICATE`";
        return Err(InvalidCredentials::Sections { file: origin.to_path_buf(), found, expected });
    }
    Ok(certificates)
}

fn key_from_pem(pem: &[u8], origin: &Path) -> Result<PrivateKeyDer<'static>, InvalidCredentials> {
    let sections = sections(pem, origin)?;
    let found = describe(&sections);
    let mut keys = sections.into_iter().filter_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der));
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        _ => Err(InvalidCredentials::Sections {
            file: origin.to_path_buf(),
            found,
            expected: "exactly one section `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`, not encrypted",
        }),
    }
}

type Section = (SectionKind, Vec<u8>);

fn sections(pem: &[u8], origin: &Path) -> Result<Vec<Section>, InvalidCredentials> {
    Section::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|source| InvalidCredentials::Pem { file: origin.to_path_buf(), source })
}

/// What a file holds, in words and without contents.
fn describe(sections: &[Section]) -> String {
    if sections.is_empty() {
        return "no PEM section that is known".to_owned();
    }
    let mut names: Vec<&str> = Vec::new();
    for (kind, _) in sections {
        names.push(match kind {
            SectionKind::Certificate => "a certificate",
            SectionKind::PublicKey => "a public key",
            SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => "a private key",
            SectionKind::Crl => "a revocation list",
            SectionKind::Csr => "a certificate request",
            _ => "another section",
        });
    }
    let more = names.len().saturating_sub(4);
    names.truncate(4);
    let listed = names.join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

fn read(file: &Path) -> Result<Vec<u8>, InvalidCredentials> {
    let failed = |source| InvalidCredentials::Read { file: file.to_path_buf(), source };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(failed)?;
    opened.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(InvalidCredentials::TooLarge { file: file.to_path_buf() });
    }
    Ok(bytes)
}
