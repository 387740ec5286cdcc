//! Stores of trusted certificates.

use muster_evidence::{TrustStore, limits};

use super::field::{self, InvalidField};
use crate::v1;

impl From<&TrustStore> for v1::TrustStore {
    fn from(store: &TrustStore) -> Self {
        let TrustStore { thumbprints, left_out } = store;
        Self { thumbprints: thumbprints.iter().map(|thumbprint| thumbprint.0.to_vec()).collect(), left_out: *left_out }
    }
}

impl TryFrom<v1::TrustStore> for TrustStore {
    type Error = InvalidField;

    fn try_from(message: v1::TrustStore) -> Result<Self, Self::Error> {
        let v1::TrustStore { thumbprints, left_out } = message;
        field::bounded(thumbprints.len(), limits::TRUSTED_CERTIFICATES, "thumbprints")?;
        let item = |(index, value): (usize, &Vec<u8>)| field::thumbprint(value, &format!("thumbprints[{index}]"));
        Ok(Self { thumbprints: thumbprints.iter().enumerate().map(item).collect::<Result<_, _>>()?, left_out })
    }
}
