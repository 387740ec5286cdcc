//! Values that several checks need, worked out in one place.

pub mod capability;
pub mod coverage;
pub mod effective_policy;
pub mod eligible;
pub mod kdc_certificate;
pub mod kdc_events;
pub mod kdc_issuers;
pub mod key_match;
pub mod key_state;
pub mod nt_auth;
pub mod population;
pub mod revocation;
pub mod strict;
pub mod template;
