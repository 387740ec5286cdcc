//! Systems without a platform file of their own: nothing here knows where they keep their membership.

use muster_evidence::Outcome;

use crate::source::{SourceSettings, unsupported};

pub(super) fn observe(_settings: &SourceSettings) -> Outcome {
    unsupported("this build cannot tell how this system is joined")
}
