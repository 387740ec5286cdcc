//! The collector: where evidence is kept, and who may read the result.

pub mod store;
