//! The probe: observes a Windows endpoint or domain controller and reports what it saw.

pub mod capture;
pub mod clock;
pub mod collect;
pub mod parse;
pub mod source;
