//! Domain values of `muster-evidence` to messages and back, one file per kind of evidence.
//!
//! Going out cannot fail: `From<&Domain> for v1::Message`. Coming in can: `TryFrom<v1::Message> for Domain`, with an
//! [`InvalidField`] that names the field by its path as the schema spells it. Every message is destructured field by
//! field, so that a field added to the schema is a compile error at the one place that must decide about it.
//!
//! No conversion fills in a default for something that is missing: what may be absent is an `Option` in the domain,
//! everything else is required. Nothing here judges evidence or knows who sent it.

mod certificate;
mod certificate_listing;
mod clock;
mod directory_key;
mod domain_controller;
mod event;
mod field;
mod host;
mod join;
mod kdc;
mod key_registration;
mod locator;
mod ngc;
mod ngc_prerequisites;
mod observation;
mod operating_system;
mod policy;
mod prt;
mod registration;
mod replication;
mod report;
mod revocation_list;
mod session;
mod sync_scheduler;
mod tpm;
mod tristate;
mod trust_store;

pub use self::field::InvalidField;
pub use self::host::{role_from_wire, role_to_wire};
pub use self::observation::{
    Digest, InvalidBody, InvalidKey, WireKey, context_from_wire, context_to_wire, decode_body, decode_body_of,
    encode_body, origin_from_wire, origin_to_wire, outcome_from_wire, outcome_to_wire,
};
pub use self::report::{
    Incoming, IncomingObservation, InvalidReport, PROTOCOL, Protocol, Refusal, SERVED_MAJORS, fit, put_back,
    read_report, report_to_wire, strip_bodies,
};
