//! Which certificates stand in a store.

use muster_evidence::{CertificateListing, CertificateStore, ListedCertificate, PrivateKey, limits};

use super::field::{self, InvalidField, wire_enum};
use crate::v1;

wire_enum!(
    CertificateStore,
    v1::CertificateStore { LocalMachineMy = LocalMachineMy, Files = Files, TlsPeer = TlsPeer }
);
wire_enum!(PrivateKey, v1::PrivateKey { Present = Present, Missing = Missing, Undetermined = Undetermined });

impl From<&CertificateListing> for v1::CertificateListing {
    fn from(listing: &CertificateListing) -> Self {
        let CertificateListing { store, certificates, left_out, unreadable } = listing;
        Self {
            store: v1::CertificateStore::from(*store).into(),
            certificates: certificates.iter().map(Into::into).collect(),
            left_out: *left_out,
            unreadable: *unreadable,
        }
    }
}

impl TryFrom<v1::CertificateListing> for CertificateListing {
    type Error = InvalidField;

    fn try_from(message: v1::CertificateListing) -> Result<Self, Self::Error> {
        let v1::CertificateListing { store, certificates, left_out, unreadable } = message;
        Ok(Self {
            store: field::required_enum(store, "store")?,
            certificates: field::list(certificates, limits::CERTIFICATES_PER_STORE, "certificates")?,
            left_out,
            unreadable,
        })
    }
}

impl From<&ListedCertificate> for v1::ListedCertificate {
    fn from(entry: &ListedCertificate) -> Self {
        let ListedCertificate { sha256, private_key, archived } = entry;
        Self { sha256: sha256.0.to_vec(), private_key: v1::PrivateKey::from(*private_key).into(), archived: *archived }
    }
}

impl TryFrom<v1::ListedCertificate> for ListedCertificate {
    type Error = InvalidField;

    fn try_from(message: v1::ListedCertificate) -> Result<Self, Self::Error> {
        let v1::ListedCertificate { sha256, private_key, archived } = message;
        Ok(Self {
            sha256: field::sha256(&sha256, "sha256")?,
            private_key: field::required_enum(private_key, "private_key")?,
            archived,
        })
    }
}
