//! Systems without a platform file of their own: nothing here knows how to ask their TPM.

use muster_evidence::Outcome;

use crate::source::{SourceSettings, unsupported};

pub(super) fn observe(_settings: &SourceSettings) -> Outcome {
    unsupported("this build cannot ask a TPM on this system")
}
