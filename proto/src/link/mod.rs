//! What both ends of a connection must agree on.

mod chain;
pub mod settings;

pub use self::chain::Chain;
