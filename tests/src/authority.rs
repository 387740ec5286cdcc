//! A certificate authority that lives as long as its test, and certificates good and bad.
//!
//! Built on rcgen rather than on the collector's own laboratory CA, which rightly refuses to make the bad ones.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, OtherNameValue, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
pub use rcgen::{DistinguishedName, DnType};
use sha2::Digest as _;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The user principal name of Windows, in a subject alternative name.
const UPN: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];

/// A CA. What it issues lies in its folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// What follows the certificates it issues, PEM.
    chain: String,
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
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key), chain: String::new() }
    }

    /// Makes a CA below this one, with `ca.pem` in a new folder; what it issues comes with its certificate.
    #[must_use]
    pub fn below(&self, folder: &Path, name: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = long_lived(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        fs::write(folder.join("ca.pem"), &pem).unwrap();
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key), chain: pem }
    }

    /// The pin of the CA's key, as settings have it.
    pub fn pin(&self) -> String {
        let certificate = muster_proto::link::load_certificates(&self.certificate()).unwrap();
        muster_proto::link::SpkiPin::of_certificate(&certificate[0]).unwrap().to_string().replace("sha256:", "")
    }

    /// The list of certificates that are revoked, DER, good for some time from now.
    pub fn revocation_list(&self, number: u64, revoked: &[&Identity], good_for: Duration) -> Vec<u8> {
        let now = OffsetDateTime::now_utc();
        let params = CertificateRevocationListParams {
            this_update: now - Duration::days(2),
            next_update: now + good_for,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(|own| own.revoked(now)).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
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
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        fs::write(&identity.certificate, pem + &self.chain).unwrap();
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

impl Identity {
    /// Its entry in a revocation list.
    fn revoked(&self, now: OffsetDateTime) -> RevokedCertParams {
        let der = &muster_proto::link::load_certificates(&self.certificate).unwrap()[0];
        let (_, parsed) = X509Certificate::from_der(der).unwrap();
        RevokedCertParams {
            serial_number: SerialNumber::from_slice(parsed.raw_serial()),
            revocation_time: now - Duration::days(1),
            reason_code: None,
            invalidity_date: None,
        }
    }

    /// The SHA-256 of its certificate, as settings have it.
    pub fn thumbprint(&self) -> String {
        let der = &muster_proto::link::load_certificates(&self.certificate).unwrap()[0];
        muster_evidence::Sha256(sha2::Sha256::digest(der).into()).to_string()
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

/// Ends in so many seconds.
pub fn ending_in(mut params: CertificateParams, seconds: i64) -> CertificateParams {
    params.not_after = OffsetDateTime::now_utc() + Duration::seconds(seconds);
    params
}

/// Comes from a template (szOID_CERTIFICATE_TEMPLATE, MS-WCCE section 2.2.2.7.7.2).
pub fn of_template(mut params: CertificateParams, oid: &[u8]) -> CertificateParams {
    let length = |content: usize| u8::try_from(content).unwrap();
    let content = [&[0x30, length(oid.len() + 2), 0x06, length(oid.len())][..], oid].concat();
    params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 311, 21, 7], content));
    params
}

/// Valid whatever the machine's clock or a test's own clock says.
fn long_lived(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params
}
