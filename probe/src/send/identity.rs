//! The files that prove who reports, as they are on disk now: a renewed certificate and a new CA need no restart.
//!
//! The files are looked at before every report. What was loaded stays as long as they are the same, because the TLS
//! settings remember the session that the next connection resumes. New files are taken when they are whole: a
//! certificate whose key is not there yet, half of either, or one that has not begun leaves what was loaded in force, is
//! told once, is told to the collector with every report, and is tried again at the next one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use muster_evidence::{ClientCertificate, Text, Timestamp, UnusableCertificate};
use muster_proto::link::{Chain, Credentials, client_config, load_certificates};
use rustls::ClientConfig;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::SendError;

/// The three files.
#[derive(Clone, Debug)]
pub(super) struct IdentityFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) collector_ca: PathBuf,
}

/// By which a change of the files is noticed: their times and lengths.
type Fingerprint = [Option<(SystemTime, u64)>; 3];

/// The identity in use.
#[derive(Debug)]
pub(super) struct Identity {
    files: IdentityFiles,
    loaded: Option<Loaded>,
    unusable: Option<UnusableCertificate>,
}

#[derive(Debug)]
struct Loaded {
    fingerprint: Fingerprint,
    tls: Arc<ClientConfig>,
    /// Validity of the certificate; `None` where it cannot be read, which TLS does not need it for.
    validity: Option<(Timestamp, Timestamp)>,
}

impl Identity {
    pub(super) const fn new(files: IdentityFiles) -> Self {
        Self { files, loaded: None, unusable: None }
    }

    pub(super) const fn files(&self) -> &IdentityFiles {
        &self.files
    }

    /// The TLS settings for the files as they are now, and whether they are others than the last time.
    pub(super) fn current(&mut self, now: Timestamp) -> Result<(Arc<ClientConfig>, bool), SendError> {
        let fingerprint = self.files.fingerprint();
        if let Some(loaded) = &self.loaded
            && loaded.fingerprint == fingerprint
        {
            self.unusable = None;
            return Ok((Arc::clone(&loaded.tls), false));
        }
        let new = self.files.load(fingerprint);
        let Some(old) = &self.loaded else {
            let new = new?;
            let tls = Arc::clone(&new.tls);
            self.loaded = Some(new);
            return Ok((tls, true));
        };
        let problem = match &new {
            Ok(new) => old.is_better_than(new, now),
            Err(error) => Some(Chain(error).to_string()),
        };
        match (new, problem) {
            (Ok(new), None) => {
                let not_after = new.validity.map(|(_, end)| end.to_string());
                tracing::info!(not_after, "the identity was renewed and is used from now on");
                self.unusable = None;
                let tls = Arc::clone(&new.tls);
                self.loaded = Some(new);
                Ok((tls, true))
            }
            (_, problem) => {
                let tls = Arc::clone(&old.tls);
                self.keep(&problem.unwrap_or_default(), now);
                Ok((tls, false))
            }
        }
    }

    /// Notes that newer files cannot be used, and says so once.
    fn keep(&mut self, problem: &str, now: Timestamp) {
        let problem = Text::cut(problem);
        let since = self.unusable.as_ref().map_or(now, |known| known.since);
        if self.unusable.as_ref().is_none_or(|known| known.problem != problem) {
            tracing::warn!(
                problem = problem.as_str(),
                "newer files of the identity cannot be used; the earlier ones stay, and these are tried again"
            );
        }
        self.unusable = Some(UnusableCertificate { since, problem });
    }

    /// What a report tells of the certificate in use.
    pub(super) fn told(&self) -> Option<ClientCertificate> {
        let (not_before, not_after) = self.loaded.as_ref()?.validity?;
        Some(ClientCertificate { not_before, not_after, newer: self.unusable.clone() })
    }
}

impl Loaded {
    /// Why these stay in place of others that are whole: the others cannot be used yet, or not any more.
    fn is_better_than(&self, new: &Self, now: Timestamp) -> Option<String> {
        let (begins, ends) = new.validity?;
        let usable = |(begins, ends): (Timestamp, Timestamp)| begins <= now && now <= ends;
        if !self.validity.is_none_or(usable) || usable((begins, ends)) {
            return None;
        }
        Some(if begins > now {
            format!("the certificate begins on {begins}, and the clock here shows {now}")
        } else {
            format!("the certificate ended on {ends}, and the clock here shows {now}")
        })
    }
}

impl IdentityFiles {
    fn fingerprint(&self) -> Fingerprint {
        [fingerprint(&self.certificate), fingerprint(&self.key), fingerprint(&self.collector_ca)]
    }

    fn load(&self, fingerprint: Fingerprint) -> Result<Loaded, SendError> {
        let identity = |source| SendError::Identity { source: Arc::new(source) };
        let own = Credentials::load(&self.certificate, &self.key).map_err(identity)?;
        let anchors = load_certificates(&self.collector_ca).map_err(identity)?;
        let tls = client_config(Some(&own), &anchors).map_err(|source| SendError::Tls { source: Arc::new(source) })?;
        Ok(Loaded { fingerprint, tls, validity: own.chain().first().and_then(|leaf| validity(leaf)) })
    }
}

fn fingerprint(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let time = |seconds| Timestamp::from_unix_seconds(seconds).ok();
    let validity = certificate.validity();
    Some((time(validity.not_before.timestamp())?, time(validity.not_after.timestamp())?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Folder {
        folder: tempfile::TempDir,
        writes: u64,
    }

    struct Pair {
        certificate: String,
        key: String,
    }

    fn pair(from_year: i32, until_year: i32) -> Pair {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["pc-0417.corp.example".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(from_year, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        Pair { certificate: parameters.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    impl Folder {
        fn new(pair: &Pair) -> (Self, Identity) {
            let mut folder = Self { folder: tempfile::tempdir().unwrap(), writes: 0 };
            folder.put("probe.pem", &pair.certificate);
            folder.put("probe.key", &pair.key);
            folder.put("ca.pem", &pair.certificate);
            let path = |name: &str| folder.folder.path().join(name);
            let files =
                IdentityFiles { certificate: path("probe.pem"), key: path("probe.key"), collector_ca: path("ca.pem") };
            let identity = Identity::new(files);
            (folder, identity)
        }

        /// Writes a file, with a time of its own: clocks of file systems are coarse.
        fn put(&mut self, name: &str, text: &str) {
            self.writes += 1;
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.writes);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn files_that_are_not_whole_leave_the_earlier_ones_in_force_until_they_are() {
        let now = at("2026-03-02T09:00:00Z");
        let (old, new) = (pair(2026, 2027), pair(2026, 2028));
        let (mut folder, mut identity) = Folder::new(&old);
        let (first, changed) = identity.current(now).unwrap();
        assert!(changed);
        let (same, changed) = identity.current(now).unwrap();
        assert!(!changed && Arc::ptr_eq(&first, &same), "the session is kept");
        assert_eq!(identity.told().unwrap().not_after, at("2027-01-01T00:00:00Z"));

        let half_a_key = &new.key[..new.key.len() / 2];
        for (minute, (name, text, told)) in [
            ("probe.pem", &*new.certificate, "does not belong to the first certificate"),
            ("probe.key", half_a_key, "probe.key"),
            ("probe.key", "", "probe.key"),
            ("probe.pem", &new.certificate[..100], "probe.pem"),
            ("probe.pem", &*new.certificate, "probe.key"),
        ]
        .into_iter()
        .enumerate()
        {
            folder.put(name, text);
            let later = now.plus_ms(60_000 * i64::try_from(minute).unwrap());
            let (kept, changed) = identity.current(later).unwrap();
            assert!(!changed && Arc::ptr_eq(&first, &kept), "{name}");
            let own = identity.told().unwrap();
            assert_eq!(own.not_after, at("2027-01-01T00:00:00Z"));
            let newer = own.newer.unwrap();
            assert!(newer.problem.as_str().contains(told), "{name}: {}", newer.problem);
            assert_eq!(newer.since, now, "since the first of them");
        }
        folder.put("probe.key", &new.key);
        let (renewed, changed) = identity.current(now).unwrap();
        assert!(changed && !Arc::ptr_eq(&first, &renewed));
        let own = identity.told().unwrap();
        assert_eq!((own.not_after, own.newer), (at("2028-01-01T00:00:00Z"), None));
    }

    #[test]
    fn a_pair_that_cannot_be_used_now_waits_unless_the_earlier_cannot_either() {
        let (mut folder, mut identity) = Folder::new(&pair(2026, 2027));
        identity.current(at("2026-03-02T09:00:00Z")).unwrap();
        for (from, until, told) in [(2025, 2026, "ended on 2026-01-01"), (2027, 2028, "begins on 2027-01-01")] {
            let other = pair(from, until);
            folder.put("probe.pem", &other.certificate);
            folder.put("probe.key", &other.key);
            assert!(!identity.current(at("2026-03-02T09:00:00Z")).unwrap().1);
            let problem = identity.told().unwrap().newer.unwrap().problem;
            assert!(problem.as_str().contains(told), "{problem}");
            assert!(problem.as_str().contains("the clock here shows 2026-03-02T09:00:00Z"), "{problem}");
        }
        // The year has ended: the pair that waited is taken.
        assert!(identity.current(at("2027-01-02T00:00:00Z")).unwrap().1);
        assert_eq!(identity.told().unwrap().not_after, at("2028-01-01T00:00:00Z"));
    }

    #[test]
    fn a_second_ca_is_taken_up_and_a_broken_file_of_them_is_not() {
        let now = at("2026-03-02T09:00:00Z");
        let (old, new) = (pair(2026, 2027), pair(2026, 2028));
        let (mut folder, mut identity) = Folder::new(&old);
        identity.current(now).unwrap();
        folder.put("ca.pem", "-----BEGIN CERTIFICATE-----\nMIIB");
        assert!(!identity.current(now).unwrap().1);
        assert!(identity.told().unwrap().newer.unwrap().problem.as_str().contains("ca.pem"));
        folder.put("ca.pem", &format!("{}{}", old.certificate, new.certificate));
        assert!(identity.current(now).unwrap().1);
        assert_eq!(identity.told().unwrap().newer, None);
    }
}
