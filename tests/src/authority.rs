//! A certificate authority that lives as long as its test, and certificates good and bad.
//!
//! Built on rcgen rather than on the collector's own laboratory CA, which rightly refuses to make the bad ones.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    OtherNameValue, SanType, date_time_ymd,
};
use time::{Duration, OffsetDateTime};

/// The user principal name of Windows, in a subject alternative name.
const UPN: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];

/// A CA. What it issues lies in its folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM, readable by its owner only.
    pub key: PathBuf,
}

impl Authority {
    /// Makes a CA with `ca.pem` in a new folder.
    pub fn new(folder: &Path, name: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = long_lived(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Issues a certificate under a file name.
    pub fn issue(&self, file: &str, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let identity = Identity {
            certificate: self.folder.join(format!("{file}.pem")),
            key: self.folder.join(format!("{file}.key")),
        };
        fs::write(&identity.certificate, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&identity.key).unwrap().write_all(key.serialize_pem().as_bytes()).unwrap();
        identity
    }

    /// A probe's certificate as it should be.
    pub fn probe(&self, host: &str) -> Identity {
        self.issue(host, &probe_params(host))
    }

    /// The collector's certificate, for `localhost` and 127.0.0.1.
    pub fn collector(&self) -> Identity {
        self.issue("collector", &collector_params())
    }

    /// An operator's certificate.
    pub fn operator(&self, name: &str) -> Identity {
        let mut params = long_lived(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&format!("operator-{name}"), &params)
    }
}

/// What stands in a good probe's certificate.
pub fn probe_params(host: &str) -> CertificateParams {
    let mut params = long_lived(CertificateParams::new(vec![host.to_owned()]).unwrap());
    params.distinguished_name.push(DnType::CommonName, host);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// What stands in a good collector's certificate.
pub fn collector_params() -> CertificateParams {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = long_lived(CertificateParams::new(names).unwrap());
    params.distinguished_name.push(DnType::CommonName, "collector");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// Ends yesterday.
pub fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_after = OffsetDateTime::now_utc() - Duration::days(1);
    params
}

/// Begins tomorrow.
pub fn not_yet_valid(mut params: CertificateParams) -> CertificateParams {
    params.not_before = OffsetDateTime::now_utc() + Duration::days(1);
    params
}

/// Is for another purpose.
pub fn for_servers(mut params: CertificateParams) -> CertificateParams {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// Names a second machine.
pub fn with_second_name(mut params: CertificateParams, name: &str) -> CertificateParams {
    params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
    params
}

/// Names every machine of a domain.
pub fn with_wildcard(mut params: CertificateParams) -> CertificateParams {
    params.subject_alt_names = vec![SanType::DnsName("*.corp.example".try_into().unwrap())];
    params
}

/// Names a user.
pub fn with_user_name(mut params: CertificateParams, name: &str) -> CertificateParams {
    params.subject_alt_names.push(SanType::OtherName((UPN.to_vec(), OtherNameValue::Utf8String(name.to_owned()))));
    params
}

/// Valid whatever the machine's clock or a test's own clock says.
fn long_lived(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params
}
