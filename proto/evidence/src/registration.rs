//! What Windows says about a device registration that did not succeed: the diagnostics of `dsregcmd /status`.
//!
//! The block is shown only while a hybrid join is failing; a device that is joined and shows none is `Outcome::Absent`.

use serde::{Deserialize, Serialize};

use crate::{Text, Timestamp};

/// The diagnostics of a failing registration. `None` throughout: not shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistrationDiagnostics {
    /// `User Context`: who ran the tests, such as `SYSTEM` or `UN-ELEVATED User`.
    pub user_context: Option<Text>,
    /// `Previous Registration`: when the attempt before this one was made.
    pub previous_registration: Option<Timestamp>,
    /// `Registration Type`, such as `sync` or `fed`.
    pub registration_type: Option<Text>,
    /// `Error Phase`.
    pub phase: Option<RegistrationPhase>,
    /// `Client ErrorCode`.
    pub client_error: Option<u32>,
    /// `Server ErrorCode`, a word such as `DirectoryError`.
    pub server_error: Option<Text>,
    /// `Server Message`.
    pub server_message: Option<Text>,
    /// `Https Status`.
    pub https_status: Option<u32>,
    /// `Request Id`, by which Microsoft's support finds the attempt.
    pub request_id: Option<Text>,
    /// The tests, in the order they are shown. At most [`crate::limits::REGISTRATION_TESTS`].
    pub tests: Vec<RegistrationTest>,
}

/// Where a registration failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationPhase {
    /// `pre-check`.
    PreCheck,
    /// `discover`.
    Discover,
    /// `auth`.
    Authenticate,
    /// `join`.
    Join,
    /// A word that this build does not know.
    Other,
}

impl RegistrationPhase {
    /// The word as `dsregcmd` writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreCheck => "pre-check",
            Self::Discover => "discover",
            Self::Authenticate => "auth",
            Self::Join => "join",
            Self::Other => "other",
        }
    }
}

/// One of the tests that `dsregcmd` runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationTest {
    /// Its name as shown, without the word `Test`, such as `DRS Connectivity`.
    pub name: Text,
    /// How it ended.
    pub result: TestResult,
    /// What stands in brackets behind a failure, such as `0x80070002` or `0x54b/0x801c0021`; `None` where nothing does.
    pub detail: Option<Text>,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestResult {
    /// `PASS`.
    Pass,
    /// `FAIL`.
    Fail,
    /// `SKIPPED`.
    Skipped,
    /// Another word, such as `ENABLED`; it is in the detail.
    Other,
}
