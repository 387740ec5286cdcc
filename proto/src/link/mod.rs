//! What both ends of a connection must agree on.
pub mod settings;
