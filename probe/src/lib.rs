//! The probe: observes a Windows endpoint or domain controller and reports what it saw.

pub mod parse;
