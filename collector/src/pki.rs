//! A laboratory CA: enough PKI to try Muster out and to test it, and no more.
//!
//! In production certificates come from the organisation's own CA (AD CS auto-enrolment); the collector only needs to
//! know which issuer and which extended key usage or template to accept. Nothing here renews or protects its key beyond
//! file permissions, and `docs` say so. Revocation is here so that it can be tried: `revoked.txt` in the CA's folder is
//! the record, `ca.crl` the list made from it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use muster_evidence::DnsName;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// Longest validity of anything issued, in days: what is meant for trying out should not outlive it by far.
pub const MOST_DAYS: u32 = 825;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The collector's own, for its listeners.
    Collector,
    /// A probe's: exactly one DNS name and client authentication.
    Probe,
    /// An operator's: a common name and client authentication.
    Operator,
}

/// Says why the CA could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file is already there and would be overwritten.
    #[error("`{}` exists already; choose another folder or remove it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("failed to {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The CA's files do not hold what they should.
    #[error("`{}` does not hold {expected}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// Why it does not.
        #[source]
        cause: rcgen::Error,
    },
    /// A name cannot stand in a certificate of that kind.
    #[error("name `{name}` cannot stand in the certificate: {expected}")]
    Name {
        /// The name found.
        name: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A certificate could not be built.
    #[error("failed to build the certificate")]
    Build(#[from] rcgen::Error),
    /// The certificate to revoke was not issued by this CA.
    #[error("`{}` was not issued by the CA in `{}`", certificate.display(), ca.display())]
    NotOurs {
        /// The certificate.
        certificate: PathBuf,
        /// The CA's folder.
        ca: PathBuf,
    },
    /// The record of revoked certificates is damaged.
    #[error("line {line} of `{}` is no serial number with a time", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The validity asked for is out of range.
    #[error("validity of {found} days is outside 1 to {MOST_DAYS}")]
    Validity {
        /// Days asked for.
        found: u32,
    },
}

/// Where an issued certificate and its key were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The key, PEM, readable by its owner only.
    pub key: PathBuf,
}

/// Makes a CA in `folder`: `ca.pem` and `ca.key`.
pub fn init(folder: &Path, name: &str, days: u32, now: OffsetDateTime) -> Result<Issued, PkiError> {
    let mut params = params(name, days, now)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write_pair(folder, "ca", &certificate.pem(), &key)
}

/// Issues a certificate from the CA in `ca_folder` and writes it into `out` under the first name.
///
/// A probe's certificate carries exactly one name; the collector's may carry several, addresses included.
pub fn issue(
    ca_folder: &Path,
    purpose: Purpose,
    names: &[String],
    days: u32,
    out: &Path,
    now: OffsetDateTime,
) -> Result<Issued, PkiError> {
    let name = |found: &str, expected| PkiError::Name { name: found.to_owned(), expected };
    let first = names.first().ok_or_else(|| name("", "at least one name"))?;
    let mut params = params(first, days, now)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    match purpose {
        Purpose::Collector => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for found in names {
                params.subject_alt_names.push(match found.parse() {
                    Ok(address) => SanType::IpAddress(address),
                    Err(_) => dns_san(found)?,
                });
            }
        }
        Purpose::Probe => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            if names.len() > 1 {
                return Err(name(&names.join(", "), "a probe's certificate names exactly one host"));
            }
            params.subject_alt_names.push(dns_san(first)?);
        }
        Purpose::Operator => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            if names.len() > 1 {
                return Err(name(&names.join(", "), "an operator's certificate names exactly one person"));
            }
        }
    }
    let issuer = issuer(ca_folder)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    let stem: String =
        first.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
    write_pair(out, stem.trim_start_matches('.'), &certificate.pem(), &key)
}

/// The CA in a folder.
fn issuer(folder: &Path) -> Result<Issuer<'static, KeyPair>, PkiError> {
    let (ca, ca_key) = (folder.join("ca.pem"), folder.join("ca.key"));
    let key = KeyPair::from_pem(&read(&ca_key)?).map_err(|cause| PkiError::Unusable {
        path: ca_key,
        expected: "a PEM private key",
        cause,
    })?;
    Issuer::from_ca_cert_pem(&read(&ca)?, key).map_err(|cause| PkiError::Unusable {
        path: ca,
        expected: "the PEM certificate of a CA",
        cause,
    })
}

/// Revokes a certificate of the CA in a folder, and makes its list anew. The list's file.
pub fn revoke(folder: &Path, certificate: &Path, days: u32, now: OffsetDateTime) -> Result<PathBuf, PkiError> {
    let not_ours = || PkiError::NotOurs { certificate: certificate.to_owned(), ca: folder.to_owned() };
    let (own, ca) = (read(certificate)?, read(&folder.join("ca.pem"))?);
    let parse = |pem: &str| x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| pem);
    let (own, ca) = (parse(&own).ok_or_else(not_ours)?, parse(&ca).ok_or_else(not_ours)?);
    let (own, ca) = (own.parse_x509().map_err(|_| not_ours())?, ca.parse_x509().map_err(|_| not_ours())?);
    if own.issuer().as_raw() != ca.subject().as_raw() {
        return Err(not_ours());
    }
    let mut record = record(folder)?;
    if record.iter().all(|(serial, _)| serial != own.raw_serial()) {
        record.push((own.raw_serial().to_vec(), now));
        let mut text = String::new();
        for (serial, at) in &record {
            for byte in serial {
                let _ = write!(text, "{byte:02x}");
            }
            let _ = writeln!(text, " {}", at.unix_timestamp());
        }
        replace(&folder.join("revoked.txt"), text.as_bytes())?;
    }
    list(folder, days, now)
}

/// Makes the list of a CA's revoked certificates, good for some days, in `ca.crl`. The list's file.
pub fn list(folder: &Path, days: u32, now: OffsetDateTime) -> Result<PathBuf, PkiError> {
    if days == 0 || days > MOST_DAYS {
        return Err(PkiError::Validity { found: days });
    }
    let revoked = record(folder)?.into_iter().map(|(serial, revocation_time)| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial),
        revocation_time,
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: now - Duration::minutes(1),
        next_update: now + Duration::days(i64::from(days)),
        // The time in milliseconds grows from list to list without being kept anywhere.
        crl_number: SerialNumber::from(u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let path = folder.join("ca.crl");
    replace(&path, params.signed_by(&issuer(folder)?)?.der())?;
    Ok(path)
}

/// The serial numbers that were revoked, and when.
fn record(folder: &Path) -> Result<Vec<(Vec<u8>, OffsetDateTime)>, PkiError> {
    let path = folder.join("revoked.txt");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut record = Vec::new();
    for (index, line) in read(&path)?.lines().enumerate() {
        let entry = line.split_once(' ').and_then(|(serial, at)| {
            let digits = serial.as_bytes();
            let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            let serial = pairs.collect::<Option<Vec<u8>>>().filter(|_| digits.len() % 2 == 0)?;
            Some((serial, OffsetDateTime::from_unix_timestamp(at.parse().ok()?).ok()?))
        });
        record.push(entry.ok_or_else(|| PkiError::Record { path: path.clone(), line: index + 1 })?);
    }
    Ok(record)
}

/// Puts a file in the place of another, whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    let new = path.with_extension("new");
    fs::write(&new, bytes).and_then(|()| fs::rename(&new, path)).map_err(|cause| PkiError::File {
        action: "write",
        path: path.to_owned(),
        cause,
    })
}

/// Common name, validity and a random serial number, with an hour's grace for clocks that run behind.
fn params(name: &str, days: u32, now: OffsetDateTime) -> Result<CertificateParams, PkiError> {
    if days == 0 || days > MOST_DAYS {
        return Err(PkiError::Validity { found: days });
    }
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        return Err(PkiError::Name { name: name.to_owned(), expected: "1 to 64 bytes without control characters" });
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(i64::from(days));
    Ok(params)
}

fn dns_san(found: &str) -> Result<SanType, PkiError> {
    let expected = "a DNS name such as `dc01.corp.example`";
    let name = || PkiError::Name { name: found.to_owned(), expected };
    let dns: DnsName = found.parse().map_err(|_| name())?;
    Ok(SanType::DnsName(dns.as_str().try_into().map_err(|_| name())?))
}

fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|cause| PkiError::File { action: "read", path: path.to_owned(), cause })
}

fn write_pair(folder: &Path, stem: &str, certificate: &str, key: &KeyPair) -> Result<Issued, PkiError> {
    fs::create_dir_all(folder).map_err(|cause| PkiError::File {
        action: "make the folder",
        path: folder.to_owned(),
        cause,
    })?;
    let issued = Issued { certificate: folder.join(format!("{stem}.pem")), key: folder.join(format!("{stem}.key")) };
    for path in [&issued.certificate, &issued.key] {
        if path.exists() {
            return Err(PkiError::Exists { path: path.clone() });
        }
    }
    write(&issued.key, &key.serialize_pem(), true)?;
    write(&issued.certificate, certificate, false)?;
    Ok(issued)
}

/// Writes a new file; a secret one is made readable by its owner only before anything is in it.
fn write(path: &Path, text: &str, secret: bool) -> Result<(), PkiError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    if secret {
        owner_only(&mut options);
    }
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|cause| PkiError::File {
        action: "write",
        path: path.to_owned(),
        cause,
    })
}

#[cfg(unix)]
fn owner_only(options: &mut fs::OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

#[cfg(not(unix))]
fn owner_only(_options: &mut fs::OpenOptions) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_gets_one_name_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::from_unix_timestamp(1_772_439_247).unwrap();
        init(folder.path(), "Lab CA", 365, now).unwrap();
        assert!(matches!(init(folder.path(), "Lab CA", 365, now), Err(PkiError::Exists { .. })));

        let names = ["dc01.corp.example".to_owned()];
        let issued = issue(folder.path(), Purpose::Probe, &names, 90, folder.path(), now).unwrap();
        let pem = fs::read(issued.certificate).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let san = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(format!("{}", san.value.general_names[0]), "DNSName(dc01.corp.example)");
        assert_eq!(san.value.general_names.len(), 1);
        assert!(certificate.extended_key_usage().unwrap().unwrap().value.client_auth);

        let two = ["a.example".to_owned(), "b.example".to_owned()];
        let error = issue(folder.path(), Purpose::Probe, &two, 90, folder.path(), now).unwrap_err();
        assert_eq!(
            error.to_string(),
            "name `a.example, b.example` cannot stand in the certificate: a probe's certificate names exactly one host"
        );
        assert!(issue(folder.path(), Purpose::Probe, &["*.example".to_owned()], 90, folder.path(), now).is_err());
        assert!(issue(folder.path(), Purpose::Probe, &names, 0, folder.path(), now).is_err());
    }

    #[test]
    fn revoked_certificates_are_listed_and_only_those_of_this_ca() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = OffsetDateTime::from_unix_timestamp(1_772_439_247).unwrap();
        init(folder.path(), "Lab CA", 365, now).unwrap();
        init(other.path(), "Other CA", 365, now).unwrap();
        let probe = |ca: &Path, name: &str| issue(ca, Purpose::Probe, &[name.to_owned()], 90, ca, now).unwrap();
        let (one, two) = (probe(folder.path(), "a.example"), probe(folder.path(), "b.example"));
        let stranger = probe(other.path(), "c.example");
        assert!(matches!(revoke(folder.path(), &stranger.certificate, 7, now), Err(PkiError::NotOurs { .. })));
        let entries = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            let (_, list) = x509_parser::parse_x509_crl(&bytes).unwrap();
            list.iter_revoked_certificates().count()
        };
        assert_eq!(entries(&list(folder.path(), 7, now).unwrap()), 0);
        assert_eq!(entries(&revoke(folder.path(), &one.certificate, 7, now).unwrap()), 1);
        assert_eq!(entries(&revoke(folder.path(), &one.certificate, 7, now).unwrap()), 1, "once is enough");
        assert_eq!(entries(&revoke(folder.path(), &two.certificate, 7, now).unwrap()), 2);
        fs::write(folder.path().join("revoked.txt"), "0a 17\nzz 17\n").unwrap();
        assert!(matches!(list(folder.path(), 7, now), Err(PkiError::Record { line: 2, .. })));
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let issued = init(folder.path(), "Lab CA", 1, OffsetDateTime::now_utc()).unwrap();
        assert_eq!(fs::metadata(issued.key).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
