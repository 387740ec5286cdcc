//! What both ends of a connection must agree on.

mod chain;

pub use self::chain::Chain;
