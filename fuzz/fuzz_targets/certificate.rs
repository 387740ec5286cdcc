//! Certificates in PEM or DER, and their chains.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::{ChainStatus, Timestamp, limits};
use muster_probe::parse::certificate::{from_pem_or_der, verify_chain};

fuzz_target!(|bytes: &[u8]| {
    let Ok(bundle) = from_pem_or_der(bytes) else { return };
    let ders: Vec<&[u8]> = bundle.certificates.iter().map(|parsed| parsed.der.as_slice()).collect();
    let at = Timestamp::from_unix_seconds(1_900_000_000).expect("a time in 2030");
    for parsed in bundle.certificates.iter().take(4) {
        let certificate = &parsed.certificate;
        assert!(certificate.subject_alt_names.len() <= limits::CERTIFICATE_LIST);
        assert!(certificate.crl_distribution_points.len() <= limits::CERTIFICATE_LIST);
        assert!(certificate.extended_key_usages.as_ref().is_none_or(|usages| usages.len() <= limits::CERTIFICATE_LIST));
        let alone = verify_chain(&parsed.der, &ders, &[], at);
        assert!(!matches!(alone, ChainStatus::Trusted { .. }), "trusted without an anchor");
        let own = verify_chain(&parsed.der, &[], &[parsed.der.as_slice()], at);
        assert!(matches!(own, ChainStatus::Trusted { .. }), "an anchor is trusted as it stands");
    }
});
