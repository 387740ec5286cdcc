//! Observations: one attempt to observe one kind of thing about one subject, and how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Certificate, CertificateListing, DomainController, JoinState, KeyRegistration, Ngc, NgcPrerequisites,
    OperatingSystem, Prt, Sha256, Sid, Text, Timestamp, Tpm,
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
        }
    }

    /// Whether observations of this kind speak of a user rather than of the machine.
    pub const fn is_of_user(self) -> bool {
        matches!(self, Self::Prt | Self::Ngc | Self::NgcPrerequisites | Self::KeyRegistration)
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
