//! Reports: everything a probe has to say at one time, in three shapes.
//!
//! *State* is a set of observations; *series* are appended; *inventory* is a directory's objects in epochs. They
//! travel in one report and are acknowledged apart.

use serde::{Deserialize, Serialize};

use crate::{Forest, Guid, HostName, InstallId, Observation, Sha256, SiteName, Text, Timestamp, UserKeys};

/// What a probe is, on the machine it runs on. A probe can be several at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A machine that people sign in to.
    Endpoint,
    /// A domain controller.
    DomainController,
    /// A reader of the forest's directory.
    Directory,
    /// A server of Entra Connect.
    SyncServer,
    /// A carrier of other machines' reports (captures, imports, branch relays).
    Relay,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] =
        &[Self::Endpoint, Self::DomainController, Self::Directory, Self::SyncServer, Self::Relay];

    /// The name used in configuration and texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::DomainController => "domain-controller",
            Self::Directory => "directory",
            Self::SyncServer => "sync-server",
            Self::Relay => "relay",
        }
    }

    /// Whether the collector demands a grant before it believes the claim. Everything but `endpoint`.
    pub const fn needs_grant(self) -> bool {
        !matches!(self, Self::Endpoint)
    }
}

/// Attributes by which a host is recognised beside the name in its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// The host the report speaks of.
    pub name: HostName,
    /// Its forest; `None` where the machine does not know one.
    pub forest: Option<Forest>,
    /// The site it claims to be in; `None` where it does not know.
    pub site: Option<SiteName>,
    /// The `objectGUID` of its computer object; `None` where not known.
    pub object_guid: Option<Guid>,
    /// Its Entra device id; `None` where not joined or not known.
    pub device_id: Option<Guid>,
    /// SHA-256 over the `SubjectPublicKeyInfo` of its TPM's endorsement key ([`crate::EndorsementKey`] says which and
    /// how); `None` where not known.
    pub ek_sha256: Option<Sha256>,
}

/// A report about one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the reporting probe, as in its package.
    pub probe_version: Text,
    /// The installation of the reporting probe.
    pub install_id: InstallId,
    /// Random number made at install and whenever the probe finds its state rolled back.
    pub incarnation: u64,
    /// Number of this report within the incarnation, from 1.
    pub sequence: u64,
    /// The host it speaks of.
    pub host: HostIdentity,
    /// The roles the probe found itself to have there.
    pub roles: Vec<Role>,
    /// When it was put together, by the probe's clock.
    pub sent_at: Timestamp,
    /// State: every observation the probe holds. One that is not listed any more is gone.
    pub observations: Vec<Observation>,
    /// Series to append.
    pub series: Vec<SeriesAppend>,
    /// Parts of inventories.
    pub inventory: Vec<InventoryPart>,
    /// The certificate the reporting probe uses; `None` where it uses none or does not tell.
    pub client_certificate: Option<ClientCertificate>,
}

/// The certificate of a probe, as far as its end is concerned. It moves by itself at every renewal and lies outside of
/// what is digested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Newer files on the probe's disk that it cannot use; `None` where there are none.
    pub newer: Option<UnusableCertificate>,
}

/// Files of an identity that a probe found on its disk and cannot use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusableCertificate {
    /// Since when, by the probe's clock.
    pub since: Timestamp,
    /// Why it cannot use them.
    pub problem: Text,
}

/// Kinds of series. The numbers are the wire's and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u16)]
pub enum SeriesKind {
    /// KDC AS requests per second, one point per 60 seconds.
    KdcAsRate = 1,
    /// Times of events that matter, the value being the event id.
    EventTimes = 2,
}

impl SeriesKind {
    /// Every kind of series.
    pub const ALL: &'static [Self] = &[Self::KdcAsRate, Self::EventTimes];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The series with that number, if this build knows it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.number() == number)
    }
}

/// Points to append to one series of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesAppend {
    /// The series.
    pub series: SeriesKind,
    /// Number of the first point within the series, from 1; the others follow without a gap.
    pub first_sequence: u64,
    /// The points, oldest first.
    pub points: Vec<SeriesPoint>,
}

/// One point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesPoint {
    /// When.
    pub at: Timestamp,
    /// The value, in thousandths of the series' unit.
    pub milli: i64,
}

/// A part of an inventory of a forest.
///
/// An *epoch* is one full pass over the source; its parts carry growing cursors, and only the part that is marked
/// complete makes absence believable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryPart {
    /// The forest it describes.
    pub forest: Forest,
    /// What was read, such as `key-credentials`.
    pub source: Text,
    /// Number of the full pass, growing.
    pub epoch: u64,
    /// Number of this part within the epoch, from 1 without a gap.
    pub cursor: u64,
    /// When the source was read.
    pub as_of: Timestamp,
    /// The items that are new or changed.
    pub items: Vec<InventoryItem>,
    /// Whether the full pass ends with this part.
    pub complete: bool,
    /// Whether reading was proved on a value known to be there before absence was believed.
    pub canary_seen: bool,
}

/// One item of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InventoryItem {
    /// The keys of a user.
    UserKeys(UserKeys),
    /// The object with that identifier is gone.
    Removed(Text),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_that_speak_for_others_need_a_grant() {
        let free: Vec<_> = Role::ALL.iter().filter(|role| !role.needs_grant()).collect();
        assert_eq!(free, [&Role::Endpoint]);
    }
}
