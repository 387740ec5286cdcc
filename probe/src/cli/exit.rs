//! Exit codes, so that scripts can tell the answers apart.

use std::process::ExitCode;

use muster_readiness::Standing;

/// Wrong usage or settings (`EX_USAGE` of sysexits).
pub const USAGE: u8 = 64;
/// Input that cannot be understood (`EX_DATAERR`).
pub const DATA: u8 = 65;
/// A file that cannot be read (`EX_NOINPUT`).
pub const NO_INPUT: u8 = 66;
/// The collector cannot be reached or did not take the report (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// A fault in the probe (`EX_SOFTWARE`).
pub const INTERNAL: u8 = 70;

/// The exit code of a verdict: 0 ready, 1 advisory, 2 blocked, 3 unknown.
pub const fn of_standing(standing: Standing) -> u8 {
    match standing {
        Standing::Ready | Standing::NotApplicable => 0,
        Standing::Advisory => 1,
        Standing::Blocked => 2,
        Standing::Unknown => 3,
    }
}

/// What a command comes to.
pub type Ended = Result<ExitCode, Failed>;

/// A command that could not do what it was asked.
#[derive(Debug)]
pub struct Failed {
    /// The exit code.
    pub code: u8,
    /// What a person is told, causes included.
    pub message: String,
}

impl Failed {
    /// Wrong usage or settings.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// An error with its causes under an exit code.
    pub fn with(code: u8, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { code, message: chain(error) }
    }
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
