//! What a probe can say: the vocabulary of evidence.
//!
//! An [`Observation`] is one attempt to observe one kind of thing about one subject, and how it ended. Evidence
//! carries no judgement: nothing here is "ok", "expired" or "too old"; `muster-readiness` decides that. There is no
//! wire format here (`muster-proto`), no clock, no file and no parsing of raw outputs (the probe's sources).
//!
//! Two things are kept apart throughout, because everything later rests on it: *absent* (we looked, and it is not
//! there: a fact) and *failed* or *unsupported* (we could not look: a gap).

mod certificate;
mod clock;
mod directory_key;
mod domain_controller;
mod event;
mod id;
mod join;
mod kdc;
mod key_registration;
mod limit;
mod locator;
mod observation;
mod operating_system;
mod pattern;
mod policy;
mod registration;
mod replication;
mod report;
mod revocation_list;
mod session;
mod sync_scheduler;
mod time;
mod tpm;
mod trust_store;
mod user;

pub use crate::certificate::{
    Certificate, CertificateListing, CertificateStore, ChainStatus, ExtendedKeyUsage, KeyAlgorithm, ListedCertificate,
    PrivateKey, Revocation, SignatureHash, SubjectAltName, TemplateReference,
};
pub use crate::clock::Clock;
pub use crate::directory_key::{DirectoryKey, KeySource, KeyStrength, KeyUsage, UserKeys};
pub use crate::domain_controller::DomainController;
pub use crate::event::{EventLog, EventLogState, EventSummary, NewestEvent, ProvisioningEvent};
pub use crate::id::{
    DnsName, Forest, Guid, HostName, HostNo, InstallId, InvalidId, Sha256, Sid, SiteName, SiteRef, Thumbprint,
};
pub use crate::join::{DeviceAuth, DomainMembership, JoinKind, JoinState, KeySignTest};
pub use crate::kdc::{KdcCounter, KdcLoad, KdcPolicy, KdcService, ServiceState};
pub use crate::key_registration::KeyRegistration;
pub use crate::limit::{Text, TextTooLong, limits};
pub use crate::locator::{DcLocator, LocatorAnswer};
pub use crate::observation::{
    Context, Evidence, Failure, FailureReason, Kind, Observation, ObservationKey, Origin, Outcome, Subject, Unsupported,
};
pub use crate::operating_system::{FirmwareType, OperatingSystem, OsFamily, ProductType};
pub use crate::pattern::{HostPattern, InvalidHostPattern};
pub use crate::policy::{DeviceRegistrationPolicy, HelloPolicy, PinComplexity};
pub use crate::registration::{RegistrationDiagnostics, RegistrationPhase, RegistrationTest, TestResult};
pub use crate::replication::{Replication, ReplicationPartner};
pub use crate::report::{
    ClientCertificate, HostIdentity, InventoryItem, InventoryPart, Report, Role, SeriesAppend, SeriesKind, SeriesPoint,
    UnusableCertificate,
};
pub use crate::revocation_list::{CrlFetch, DistributionPoint, RevocationList, RevocationLists};
pub use crate::session::{PinProvider, UserSession};
pub use crate::sync_scheduler::SyncScheduler;
pub use crate::time::{InvalidTimestamp, Timestamp};
pub use crate::tpm::{EkCertificates, EndorsementKey, Tpm, TpmLockout, TpmReadiness, TpmVersion};
pub use crate::trust_store::TrustStore;
pub use crate::user::{CanReset, CertEnrollment, Ngc, NgcPrerequisites, PreReqResult, Prt, Tristate};
