//! Certificates of a domain controller: from files, or as it presents them over TLS.
//!
//! Both ways yield one listing and one observation per certificate. Which of them the KDC would select is a rule and
//! not decided here. Whether one was revoked is told by the lists at hand, which [`super::revocation_lists`] fetches.
//! Nothing here depends on the platform.

pub mod bundle;
pub mod ldap;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use muster_evidence::{CertificateStore, FailureReason, Kind, PrivateKey, Timestamp};

use super::{Sighting, Source, SourceSettings, failed, revocation_lists};
use bundle::{Entry, Store, Trust};

/// How certificates are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcCertificateSettings {
    /// Where they are found. One place per machine: two listings of one machine would overwrite each other.
    pub origin: CertificateOrigin,
    /// Files and folders of the certificates that chains must end in. Without any, chains are not checked.
    pub anchors: Vec<PathBuf>,
    /// Files and folders of further issuers, and of revocation lists.
    pub intermediates: Vec<PathBuf>,
}

/// Where a domain controller's certificates are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateOrigin {
    /// Files and folders exported from its store, PEM or DER.
    Files(Vec<PathBuf>),
    /// What it presents over TLS.
    Peer(TlsPeer),
}

/// A domain controller to be asked over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPeer {
    /// Its DNS name or address.
    pub host: String,
    /// Its port: 636 for [`TlsMode::Direct`], 389 for [`TlsMode::StartTls`], unless it listens elsewhere.
    pub port: u16,
    /// How TLS begins.
    pub mode: TlsMode,
    /// How long connecting and the handshake may take together, at most [`TlsPeer::MAX_TIMEOUT`].
    pub timeout: Duration,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// At once, as on 636.
    Direct,
    /// After the LDAP request for it, as on 389 (RFC 4511 section 4.14).
    StartTls,
}

impl TlsPeer {
    /// Enough for a controller behind a slow line; a handshake takes milliseconds in a network that works.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
    /// Below the timeout of the source, so that the source says itself what happened.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(25);

    /// A peer on the port that belongs to the mode.
    pub fn new(host: impl Into<String>, mode: TlsMode) -> Self {
        let port = match mode {
            TlsMode::Direct => 636,
            TlsMode::StartTls => 389,
        };
        Self { host: host.into(), port, mode, timeout: Self::DEFAULT_TIMEOUT }
    }
}

/// Observes the certificates of the domain controller this probe stands for.
#[derive(Clone, Copy, Debug)]
pub struct DcCertificateSource;

impl Source for DcCertificateSource {
    fn name(&self) -> &'static str {
        "dc-certificate"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::CertificateListing]
    }

    /// Above [`TlsPeer::MAX_TIMEOUT`], with room for the files.
    fn timeout(&self) -> Duration {
        Duration::from_secs(35)
    }

    fn is_wanted(&self, settings: &SourceSettings) -> bool {
        settings.dc_certificate.is_some()
    }

    fn observe(&self, settings: &SourceSettings, now: Timestamp) -> Vec<Sighting> {
        let Some(certificates) = &settings.dc_certificate else { return Vec::new() };
        let lists = settings.revocation.as_ref().map(revocation_lists::kept).unwrap_or_default();
        look(certificates, lists, now)
    }
}

/// The certificates that were found.
pub(super) struct Found {
    place: CertificateStore,
    /// The certificates of the controller, in the order of the place.
    pub(super) entries: Vec<Entry>,
    /// Further issuers that came with them.
    presented: Vec<Vec<u8>>,
    unreadable: u32,
}

impl Found {
    /// Everything found that may be an issuer of the others.
    pub(super) fn issuers(&self) -> Vec<Vec<u8>> {
        let mut issuers = self.presented.clone();
        issuers.extend(self.entries.iter().filter(|e| e.parsed.certificate.is_ca).map(|e| e.parsed.der.clone()));
        issuers
    }
}

/// Why no certificates were found.
pub(super) struct NotFound {
    pub(super) reason: FailureReason,
    pub(super) line: String,
}

/// Finds the certificates of the controller, without verifying anything.
pub(super) fn find(settings: &DcCertificateSettings) -> Result<Found, NotFound> {
    match &settings.origin {
        CertificateOrigin::Files(paths) => {
            let bundle =
                bundle::read_paths(paths).map_err(|error| NotFound { reason: error.reason(), line: error.line() })?;
            for problem in &bundle.problems {
                tracing::warn!(problem, "an entry of the certificate files is no certificate");
            }
            let entries = bundle
                .certificates
                .into_iter()
                .map(|parsed| Entry { parsed, private_key: PrivateKey::Undetermined })
                .collect();
            let unreadable = u32::try_from(bundle.problems.len()).unwrap_or(u32::MAX);
            Ok(Found { place: CertificateStore::Files, entries, presented: Vec::new(), unreadable })
        }
        CertificateOrigin::Peer(peer) => {
            let presented =
                tls::present(peer).map_err(|error| NotFound { reason: error.reason(), line: error.line() })?;
            let entries = vec![Entry { parsed: presented.leaf, private_key: presented.private_key }];
            let place = CertificateStore::TlsPeer;
            Ok(Found { place, entries, presented: presented.intermediates, unreadable: 0 })
        }
    }
}

fn look(settings: &DcCertificateSettings, lists: Vec<Vec<u8>>, now: Timestamp) -> Vec<Sighting> {
    match find(settings) {
        Ok(found) => {
            let trust = Trust::load(&settings.anchors, &settings.intermediates).with_lists(lists);
            let Found { place, entries, presented, unreadable } = found;
            bundle::sightings(Store { place, entries, unreadable }, &presented, &trust, now)
        }
        Err(error) => vec![Sighting::of_host(Kind::CertificateListing, failed(error.reason, error.line))],
    }
}
