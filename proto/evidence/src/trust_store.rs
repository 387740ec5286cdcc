//! Stores of trusted certificates on a machine: roots, and the enterprise store `NTAuth`.

use serde::{Deserialize, Serialize};

use crate::Thumbprint;

/// The certificates of a store of trust, by thumbprint. One that was read and is empty has no entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustStore {
    /// Thumbprints (SHA-1 of the DER form, as Windows names them), ascending, at most
    /// [`crate::limits::TRUSTED_CERTIFICATES`].
    pub thumbprints: Vec<Thumbprint>,
    /// How many more there were beyond the bound: with any, one that is not listed may still be there.
    pub left_out: u32,
}

impl TrustStore {
    /// Whether the store holds a certificate; `None` where the list was cut and does not show it.
    pub fn holds(&self, thumbprint: &Thumbprint) -> Option<bool> {
        if self.thumbprints.contains(thumbprint) {
            Some(true)
        } else if self.left_out == 0 {
            Some(false)
        } else {
            None
        }
    }
}
