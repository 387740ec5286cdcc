//! Throw-away certificates for tests, made when the test runs so that their dates are right.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// KDC Authentication, id-pkinit-KPKdc (RFC 4556 section 3.2.4).
const KDC: [u64; 8] = [1, 3, 6, 1, 5, 2, 3, 5];

/// A root, and one CA under it.
pub struct Pki {
    pub root: Certificate,
    pub issuing: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// An issued certificate and its key.
pub struct Issued {
    pub certificate: Certificate,
    pub key: KeyPair,
}

impl Pki {
    pub fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root_params = ca("Test Root");
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let key = KeyPair::generate().unwrap();
        let params = ca("Test Issuing CA");
        let issuing = params.signed_by(&key, &root_issuer).unwrap();
        Self { root, issuing, issuer: Issuer::new(params, key) }
    }

    /// A domain controller's certificate, with or without KDC Authentication.
    pub fn controller(&self, fqdn: &str, with_kdc: bool) -> Issued {
        let mut params = CertificateParams::new([fqdn.to_owned()]).unwrap();
        params.distinguished_name = name(fqdn);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        if with_kdc {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::Other(KDC.to_vec()));
        }
        let key = KeyPair::generate().unwrap();
        Issued { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }
}

fn ca(cn: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(cn);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn name(cn: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, cn);
    name
}
