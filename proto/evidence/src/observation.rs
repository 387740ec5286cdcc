//! Observations: one attempt to observe one kind of thing about one subject, and how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Certificate, CertificateListing, Clock, DcLocator, DeviceRegistrationPolicy, DomainController, EventSummary,
    HelloPolicy, JoinState, KdcLoad, KdcPolicy, KdcService, KeyRegistration, Ngc, NgcPrerequisites, OperatingSystem,
    PinProvider, ProvisioningEvent, Prt, RegistrationDiagnostics, Replication, RevocationLists, Sha256, Sid,
    SyncScheduler, Text, Timestamp, Tpm, TrustStore, UserSession,
};

/// The kind of a piece of evidence. The numbers are the wire's and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u16)]
pub enum Kind {
    /// The trusted platform module.
    Tpm = 1,
    /// The operating system and its build.
    OperatingSystem = 2,
    /// Domain and Entra ID membership of the machine.
    JoinState = 3,
    /// A user's primary refresh token.
    Prt = 4,
    /// A user's Windows Hello container.
    Ngc = 5,
    /// The prerequisite evaluation that Windows shows while a user is not provisioned.
    NgcPrerequisites = 6,
    /// The registration of a user's Hello key, as the endpoint saw it.
    KeyRegistration = 7,
    /// What a domain controller is: names, domain, whether it is read-only.
    DomainController = 8,
    /// Which certificates stand in a store of a domain controller, in enumeration order.
    CertificateListing = 9,
    /// One certificate of such a store.
    Certificate = 10,
    /// A user's latest interactive session.
    UserSession = 11,
    /// What the registry shows to anybody of a user's PIN.
    PinProvider = 12,
    /// The newest event that says whether provisioning starts for a user.
    ProvisioningEvent = 13,
    /// Group policy of a user.
    UserPolicy = 14,
    /// Mobile device management of a user.
    UserMdmPolicy = 15,
    /// Group policy of the computer.
    ComputerPolicy = 16,
    /// Mobile device management of the device.
    DeviceMdmPolicy = 17,
    /// What is set about the machine's registration in Entra ID.
    DeviceRegistrationPolicy = 18,
    /// The diagnostics of a registration that did not succeed.
    RegistrationDiagnostics = 19,
    /// What the domain controller locator answers.
    DcLocator = 20,
    /// Certificates that the machine trusts as roots.
    RootStore = 21,
    /// Certificates of issuers that may sign for sign-ins, as the machine holds them.
    NtAuthStore = 22,
    /// Revocation lists, as the machine gets them.
    RevocationLists = 23,
    /// The newest events about registration and TPM.
    DeviceEvents = 24,
    /// The newest events of the key distribution centre.
    KdcEvents = 25,
    /// The service of the key distribution centre.
    KdcService = 26,
    /// What is set about the key distribution centre.
    KdcPolicy = 27,
    /// How many AS requests the key distribution centre answers.
    KdcLoad = 28,
    /// Inbound replication of a domain controller.
    Replication = 29,
    /// The scheduler of Entra Connect.
    SyncScheduler = 30,
    /// The machine's clock against the collector's.
    Clock = 31,
}

impl Kind {
    /// Every kind, in the order people see them.
    pub const ALL: &'static [Self] = &[
        Self::Tpm,
        Self::OperatingSystem,
        Self::JoinState,
        Self::Prt,
        Self::Ngc,
        Self::NgcPrerequisites,
        Self::KeyRegistration,
        Self::DomainController,
        Self::CertificateListing,
        Self::Certificate,
        Self::UserSession,
        Self::PinProvider,
        Self::ProvisioningEvent,
        Self::UserPolicy,
        Self::UserMdmPolicy,
        Self::ComputerPolicy,
        Self::DeviceMdmPolicy,
        Self::DeviceRegistrationPolicy,
        Self::RegistrationDiagnostics,
        Self::DcLocator,
        Self::RootStore,
        Self::NtAuthStore,
        Self::RevocationLists,
        Self::DeviceEvents,
        Self::KdcEvents,
        Self::KdcService,
        Self::KdcPolicy,
        Self::KdcLoad,
        Self::Replication,
        Self::SyncScheduler,
        Self::Clock,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The kind with that number, if this build knows it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.number() == number)
    }

    /// The name used in texts, metrics and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tpm => "tpm",
            Self::OperatingSystem => "operating-system",
            Self::JoinState => "join-state",
            Self::Prt => "prt",
            Self::Ngc => "ngc",
            Self::NgcPrerequisites => "ngc-prerequisites",
            Self::KeyRegistration => "key-registration",
            Self::DomainController => "domain-controller",
            Self::CertificateListing => "certificate-listing",
            Self::Certificate => "certificate",
            Self::UserSession => "user-session",
            Self::PinProvider => "pin-provider",
            Self::ProvisioningEvent => "provisioning-event",
            Self::UserPolicy => "user-policy",
            Self::UserMdmPolicy => "user-mdm-policy",
            Self::ComputerPolicy => "computer-policy",
            Self::DeviceMdmPolicy => "device-mdm-policy",
            Self::DeviceRegistrationPolicy => "device-registration-policy",
            Self::RegistrationDiagnostics => "registration-diagnostics",
            Self::DcLocator => "dc-locator",
            Self::RootStore => "root-store",
            Self::NtAuthStore => "ntauth-store",
            Self::RevocationLists => "revocation-lists",
            Self::DeviceEvents => "device-events",
            Self::KdcEvents => "kdc-events",
            Self::KdcService => "kdc-service",
            Self::KdcPolicy => "kdc-policy",
            Self::KdcLoad => "kdc-load",
            Self::Replication => "replication",
            Self::SyncScheduler => "sync-scheduler",
            Self::Clock => "clock",
        }
    }

    /// Whether observations of this kind speak of a user rather than of the machine.
    pub const fn is_of_user(self) -> bool {
        matches!(
            self,
            Self::Prt
                | Self::Ngc
                | Self::NgcPrerequisites
                | Self::KeyRegistration
                | Self::UserSession
                | Self::PinProvider
                | Self::ProvisioningEvent
                | Self::UserPolicy
                | Self::UserMdmPolicy
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an observation speaks of, beside the host it was made on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The machine itself.
    Host,
    /// A user of the machine.
    User(Sid),
    /// A certificate, by the SHA-256 of its DER form.
    Certificate(Sha256),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::User(sid) => sid.fmt(f),
            Self::Certificate(sha256) => sha256.fmt(f),
        }
    }
}

/// Kind and subject: what one observation is keyed by on its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObservationKey {
    /// The kind of evidence.
    pub kind: Kind,
    /// What it speaks of.
    pub subject: Subject,
}

impl ObservationKey {
    /// A key about the machine itself.
    pub const fn host(kind: Kind) -> Self {
        Self { kind, subject: Subject::Host }
    }

    /// A key about a user of the machine.
    pub const fn user(kind: Kind, sid: Sid) -> Self {
        Self { kind, subject: Subject::User(sid) }
    }
}

impl fmt::Display for ObservationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.subject)
    }
}

/// The security context an observation was made in.
///
/// User facts read outside the user's session are false negatives, so every fact keeps where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// The service's own account: SYSTEM on Windows, the daemon's user elsewhere.
    Service,
    /// The session of the signed-in user that the observation speaks of.
    UserSession,
    /// Not known, as for a raw output whose taker did not say.
    Unknown,
}

/// Whether an observation was made live or comes from a raw output taken earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Read from the running system by the reporting probe.
    Live,
    /// Parsed from a capture. A capture never replaces newer live evidence.
    Capture,
}

/// How an attempt to observe ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The thing is there, and this is what it says.
    Observed(Evidence),
    /// We looked, and it is not there: a fact.
    Absent,
    /// This system cannot tell: a gap that no retry will close.
    Unsupported(Unsupported),
    /// We could not look: a gap.
    Failed(Failure),
}

/// Why a system cannot tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsupported {
    /// What the system lacks, as a sentence fragment.
    pub detail: Text,
}

/// Why looking failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of the failure, which rules and remedies may depend on.
    pub reason: FailureReason,
    /// What was tried and what it answered, with the system's own code where there is one.
    pub detail: Text,
}

/// Classes of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The source did not answer within its time.
    TimedOut,
    /// The account of the probe may not look.
    AccessDenied,
    /// The service, device or peer that should answer is not running or not reachable.
    Unavailable,
    /// It answered, and the answer could not be understood.
    Unreadable,
    /// The answer was cut off before its end.
    Incomplete,
    /// It was asked in a context in which its answer means nothing.
    WrongContext,
    /// The source itself failed (a fault in the probe).
    Internal,
    /// A reason that this build does not know; the other end may be newer.
    Other,
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "timed out",
            Self::AccessDenied => "access denied",
            Self::Unavailable => "unavailable",
            Self::Unreadable => "unreadable",
            Self::Incomplete => "incomplete",
            Self::WrongContext => "wrong context",
            Self::Internal => "internal fault",
            Self::Other => "unknown reason",
        })
    }
}

/// A fact, as observed. One variant per [`Kind`]; matches carry no wildcard arm, so that a new kind is a compile
/// error at every place that must decide about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// See [`Tpm`].
    Tpm(Tpm),
    /// See [`OperatingSystem`].
    OperatingSystem(OperatingSystem),
    /// See [`JoinState`].
    JoinState(JoinState),
    /// See [`Prt`].
    Prt(Prt),
    /// See [`Ngc`].
    Ngc(Ngc),
    /// See [`NgcPrerequisites`].
    NgcPrerequisites(NgcPrerequisites),
    /// See [`KeyRegistration`].
    KeyRegistration(KeyRegistration),
    /// See [`DomainController`].
    DomainController(DomainController),
    /// See [`CertificateListing`].
    CertificateListing(CertificateListing),
    /// See [`Certificate`].
    Certificate(Box<Certificate>),
    /// See [`UserSession`].
    UserSession(UserSession),
    /// See [`PinProvider`].
    PinProvider(PinProvider),
    /// See [`ProvisioningEvent`].
    ProvisioningEvent(ProvisioningEvent),
    /// See [`HelloPolicy`].
    UserPolicy(Box<HelloPolicy>),
    /// See [`HelloPolicy`].
    UserMdmPolicy(Box<HelloPolicy>),
    /// See [`HelloPolicy`].
    ComputerPolicy(Box<HelloPolicy>),
    /// See [`HelloPolicy`].
    DeviceMdmPolicy(Box<HelloPolicy>),
    /// See [`DeviceRegistrationPolicy`].
    DeviceRegistrationPolicy(DeviceRegistrationPolicy),
    /// See [`RegistrationDiagnostics`].
    RegistrationDiagnostics(Box<RegistrationDiagnostics>),
    /// See [`DcLocator`].
    DcLocator(DcLocator),
    /// See [`TrustStore`].
    RootStore(TrustStore),
    /// See [`TrustStore`].
    NtAuthStore(TrustStore),
    /// See [`RevocationLists`].
    RevocationLists(RevocationLists),
    /// See [`EventSummary`].
    DeviceEvents(EventSummary),
    /// See [`EventSummary`].
    KdcEvents(EventSummary),
    /// See [`KdcService`].
    KdcService(KdcService),
    /// See [`KdcPolicy`].
    KdcPolicy(KdcPolicy),
    /// See [`KdcLoad`].
    KdcLoad(KdcLoad),
    /// See [`Replication`].
    Replication(Replication),
    /// See [`SyncScheduler`].
    SyncScheduler(SyncScheduler),
    /// See [`Clock`].
    Clock(Clock),
}

impl Evidence {
    /// The kind of this fact.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Tpm(_) => Kind::Tpm,
            Self::OperatingSystem(_) => Kind::OperatingSystem,
            Self::JoinState(_) => Kind::JoinState,
            Self::Prt(_) => Kind::Prt,
            Self::Ngc(_) => Kind::Ngc,
            Self::NgcPrerequisites(_) => Kind::NgcPrerequisites,
            Self::KeyRegistration(_) => Kind::KeyRegistration,
            Self::DomainController(_) => Kind::DomainController,
            Self::CertificateListing(_) => Kind::CertificateListing,
            Self::Certificate(_) => Kind::Certificate,
            Self::UserSession(_) => Kind::UserSession,
            Self::PinProvider(_) => Kind::PinProvider,
            Self::ProvisioningEvent(_) => Kind::ProvisioningEvent,
            Self::UserPolicy(_) => Kind::UserPolicy,
            Self::UserMdmPolicy(_) => Kind::UserMdmPolicy,
            Self::ComputerPolicy(_) => Kind::ComputerPolicy,
            Self::DeviceMdmPolicy(_) => Kind::DeviceMdmPolicy,
            Self::DeviceRegistrationPolicy(_) => Kind::DeviceRegistrationPolicy,
            Self::RegistrationDiagnostics(_) => Kind::RegistrationDiagnostics,
            Self::DcLocator(_) => Kind::DcLocator,
            Self::RootStore(_) => Kind::RootStore,
            Self::NtAuthStore(_) => Kind::NtAuthStore,
            Self::RevocationLists(_) => Kind::RevocationLists,
            Self::DeviceEvents(_) => Kind::DeviceEvents,
            Self::KdcEvents(_) => Kind::KdcEvents,
            Self::KdcService(_) => Kind::KdcService,
            Self::KdcPolicy(_) => Kind::KdcPolicy,
            Self::KdcLoad(_) => Kind::KdcLoad,
            Self::Replication(_) => Kind::Replication,
            Self::SyncScheduler(_) => Kind::SyncScheduler,
            Self::Clock(_) => Kind::Clock,
        }
    }
}

/// One attempt to observe, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What was looked at.
    pub key: ObservationKey,
    /// How it ended.
    pub outcome: Outcome,
    /// When we looked, by the observing machine's clock. Moves with every look, so it lies outside the digest.
    pub observed_at: Timestamp,
    /// In which security context we looked.
    pub context: Context,
    /// Whether this was read live or from a capture.
    pub origin: Origin,
}
