//! What clients that are joined to Entra ID demand of the KDC's certificate, beside its chain and dates.
//!
//! They validate the KDC strictly; hybrid-joined clients are less particular. The checks say what is missing and how grave
//! that is; this only says what is.

use muster_evidence::{Certificate, DomainController, ExtendedKeyUsage, KeyAlgorithm, SignatureHash, SubjectAltName};

/// The usages that are needed, with their names.
const USAGES: [(&str, &str); 3] = [
    (ExtendedKeyUsage::CLIENT_AUTH, "Client Authentication"),
    (ExtendedKeyUsage::SERVER_AUTH, "Server Authentication"),
    (ExtendedKeyUsage::KDC_AUTH, "KDC Authentication"),
];

/// The names of the usages that a certificate lacks.
///
/// Without the extension it is good for every purpose (RFC 5280 section 4.2.1.12), but KDC Authentication must be named
/// (RFC 4556 section 3.2.4).
pub fn missing_usages(certificate: &Certificate) -> impl Iterator<Item = &'static str> {
    USAGES.iter().filter(|(oid, _)| !has_usage(certificate, oid)).map(|(_, name)| *name)
}

fn has_usage(certificate: &Certificate, oid: &str) -> bool {
    match certificate.extended_key_usages.as_deref() {
        Some(usages) => usages.iter().any(|usage| usage.oid() == oid),
        None => oid != ExtendedKeyUsage::KDC_AUTH,
    }
}

/// The names that a strict client compares and that a certificate lacks: the controller's and its domain's.
pub fn missing_names<'a>(certificate: &Certificate, dc: &'a DomainController) -> impl Iterator<Item = &'a str> {
    [dc.fqdn.as_str(), dc.domain_dns.as_str()].into_iter().filter(|name| !has_dns_name(certificate, name))
}

/// Whether a certificate has a DNS name among its alternative names, without regard to case. A wildcard matches nothing.
pub fn has_dns_name(certificate: &Certificate, wanted: &str) -> bool {
    certificate.subject_alt_names.iter().any(|name| match name {
        SubjectAltName::Dns(name) => {
            let name = name.as_str();
            name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(wanted)
        }
        SubjectAltName::Upn(_)
        | SubjectAltName::Ip(_)
        | SubjectAltName::DirectoryGuid(_)
        | SubjectAltName::KerberosPrincipal(_)
        | SubjectAltName::Other(_) => false,
    })
}

/// Whether key, key usage and signature are what the guidance names. Longer hashes are taken for as good.
pub fn is_strong(certificate: &Certificate, rsa_bits_least: u32) -> bool {
    let key = matches!(certificate.key, KeyAlgorithm::Rsa { bits } if bits >= rsa_bits_least);
    let hash =
        matches!(certificate.signature_hash, SignatureHash::Sha256 | SignatureHash::Sha384 | SignatureHash::Sha512);
    key && hash && certificate.digital_signature != Some(false) && certificate.key_encipherment != Some(false)
}

/// Whether its revocation can be looked up without signing in to the directory: by plain HTTP, from a list or from OCSP.
pub fn has_plain_http(certificate: &Certificate) -> bool {
    certificate.crl_distribution_points.iter().chain(&certificate.ocsp_urls).any(|url| has_scheme(url.as_str(), "http"))
}

/// Whether an address has that scheme.
pub fn has_scheme(url: &str, scheme: &str) -> bool {
    url.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(scheme))
}

/// Whether a strict client has nothing to object to.
pub fn complies(certificate: &Certificate, dc: &DomainController, rsa_bits_least: u32) -> bool {
    missing_usages(certificate).next().is_none()
        && missing_names(certificate, dc).next().is_none()
        && is_strong(certificate, rsa_bits_least)
        && has_plain_http(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{domain_controller, ekus, kdc_certificate, text};

    #[test]
    fn each_demand_alone_decides() {
        let good = || kdc_certificate(1);
        let complies = |certificate: Certificate| complies(&certificate, &domain_controller(), 2_048);
        assert!(complies(good()));
        assert!(complies(Certificate { signature_hash: SignatureHash::Sha512, ..good() }));
        let ocsp = Certificate {
            crl_distribution_points: vec![text("ldap:///CN=CA")],
            ocsp_urls: vec![text("HTTP://ocsp.corp.example/")],
            ..good()
        };
        assert!(complies(ocsp));
        let faults = [
            Certificate { extended_key_usages: None, ..good() },
            Certificate { extended_key_usages: ekus(&[ExtendedKeyUsage::KDC_AUTH]), ..good() },
            Certificate { subject_alt_names: vec![SubjectAltName::Dns(text("dc01.corp.example"))], ..good() },
            Certificate { key: KeyAlgorithm::Rsa { bits: 2_047 }, ..good() },
            Certificate { signature_hash: SignatureHash::Sha1, ..good() },
            Certificate { key_encipherment: Some(false), ..good() },
            Certificate { crl_distribution_points: vec![text("https://pki.corp.example/a.crl")], ..good() },
            Certificate { crl_distribution_points: Vec::new(), ..good() },
        ];
        for fault in faults {
            assert!(!complies(fault.clone()), "{fault:?}");
        }
    }

    #[test]
    fn a_scheme_is_the_whole_word() {
        for (url, is_http) in
            [("http://a", true), ("Http://a", true), ("https://a", false), ("http", false), ("", false)]
        {
            assert_eq!(has_scheme(url, "http"), is_http, "{url}");
        }
    }
}
