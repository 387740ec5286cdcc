//! How evidence travels: the wire form, and the link between the programs.
//!
//! - [`v1`] is the code generated from `proto/schema/muster/v1`, checked in so that a build needs no protoc.
//!   `proto/tests/bootstrap.rs` compares it with the schema and regenerates it on request.
//! - [`convert`] turns domain values of `muster-evidence` into messages and back. Everything that comes from the wire
//!   passes through it, and what is wrong is told by the path of the field. It takes no decision about readiness.
//! - [`link`] is what both ends must agree on before a message is read: TLS settings, the peer's identity from its
//!   certificate, the connector, and how errors and logs are written. It knows neither evidence nor rules.
//! - [`fields`] spells a fact out field by field, as both programs show evidence to people.

pub mod convert;
pub mod fields;
pub mod link;

/// Messages, clients and servers generated from the schema. Never edited by hand.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated code follows the style of its generator; what it means is documented in the schema"
)]
pub mod v1 {
    include!("generated/muster.v1.rs");
}

/// The encoded descriptors of every file of the schema, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor.bin");
