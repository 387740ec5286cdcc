//! Checks of a domain controller and of the certificate its KDC would select.

mod kdc;

pub(super) mod cert_chain;
pub(super) mod cert_eku;
pub(super) mod cert_key;
pub(super) mod cert_present;
pub(super) mod cert_san;
pub(super) mod cert_validity;
pub(super) mod os_version;
