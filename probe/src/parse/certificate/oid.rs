//! The object identifiers of extensions that are read, by the content of their encoding.
//!
//! Compared as bytes: to spell every identifier of a certificate in dotted form would cost more than reading it.

// RFC 5280 section 4.2.1.
pub(super) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 14];
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1D, 15];
pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 17];
pub(super) const ISSUER_ALT_NAME: &[u8] = &[0x55, 0x1D, 18];
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 19];
pub(super) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 30];
pub(super) const DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1D, 31];
pub(super) const POLICIES: &[u8] = &[0x55, 0x1D, 32];
pub(super) const POLICY_MAPPINGS: &[u8] = &[0x55, 0x1D, 33];
pub(super) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 35];
pub(super) const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 36];
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 37];
pub(super) const FRESHEST_LIST: &[u8] = &[0x55, 0x1D, 46];
pub(super) const INHIBIT_ANY_POLICY: &[u8] = &[0x55, 0x1D, 54];
pub(super) const AUTHORITY_ACCESS: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 1, 1];

/// id-ad-ocsp (RFC 5280 section 4.2.2.1).
pub(super) const OCSP: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 48, 1];
/// id-ad-caIssuers (RFC 5280 section 4.2.2.1).
pub(super) const CA_ISSUERS: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 48, 2];

/// szOID_ENROLL_CERTTYPE_EXTENSION, 1.3.6.1.4.1.311.20.2: the name of a version 1 template.
pub(super) const TEMPLATE_NAME: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 20, 2];
/// szOID_CERTIFICATE_TEMPLATE, 1.3.6.1.4.1.311.21.7: identifier and version of a version 2 template.
pub(super) const TEMPLATE: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 21, 7];
/// szOID_APPLICATION_CERT_POLICIES, 1.3.6.1.4.1.311.21.10: Windows' own form of extended key usages.
pub(super) const APPLICATION_POLICIES: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 21, 10];

/// Other names: 1.3.6.1.4.1.311.20.2.3, 1.3.6.1.4.1.311.25.1 and 1.3.6.1.5.2.2.
pub(super) const UPN: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 3];
pub(super) const NTDS_REPLICATION: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 25, 1];
pub(super) const PKINIT_SAN: &[u8] = &[0x2B, 6, 1, 5, 2, 2];

/// Extensions that mean something here or to Windows; any other that is marked critical refuses its certificate
/// (RFC 5280 section 4.2).
pub(super) const UNDERSTOOD: &[&[u8]] = &[
    SUBJECT_KEY_ID,
    KEY_USAGE,
    SUBJECT_ALT_NAME,
    ISSUER_ALT_NAME,
    BASIC_CONSTRAINTS,
    NAME_CONSTRAINTS,
    DISTRIBUTION_POINTS,
    POLICIES,
    POLICY_MAPPINGS,
    AUTHORITY_KEY_ID,
    POLICY_CONSTRAINTS,
    EXTENDED_KEY_USAGE,
    FRESHEST_LIST,
    INHIBIT_ANY_POLICY,
    AUTHORITY_ACCESS,
    TEMPLATE_NAME,
    TEMPLATE,
    APPLICATION_POLICIES,
];
