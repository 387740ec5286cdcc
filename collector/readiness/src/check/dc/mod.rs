//! Checks of a domain controller and of the certificate its KDC would select.

pub(in crate::check) mod kdc;

pub(super) mod cert_cdp;
pub(super) mod cert_chain;
pub(super) mod cert_eku;
pub(super) mod cert_key;
pub(super) mod cert_present;
pub(super) mod cert_san;
pub(super) mod cert_shadowed;
pub(super) mod cert_superseded;
pub(super) mod cert_template;
pub(super) mod cert_validity;
pub(super) mod crl_fresh;
pub(super) mod kdc_as_rate;
pub(super) mod kdc_events;
pub(super) mod kdc_service;
pub(super) mod known_bad_build;
pub(super) mod ntauth_policy;
pub(super) mod os_version;
pub(super) mod replication;
pub(super) mod roca_policy;
