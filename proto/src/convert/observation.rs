//! Observations: their keys, their bodies, and the digests by which bodies are compared.
//!
//! A body travels as bytes and is stored as bytes; nobody encodes it again to compare. What moves by itself (time of
//! looking, context, origin) lies outside it.

use std::fmt;

use muster_evidence::{
    Context, Evidence, Failure, FailureReason, Kind, ObservationKey, Origin, Outcome, Sha256, Sid, Subject, Text,
    Unsupported, limits,
};
use prost::Message;
use sha2::Digest as _;

use super::field::{self, InvalidField, wire_enum};
use crate::v1;
use crate::v1::observation_body::Outcome as WireOutcome;
use crate::v1::observation_key::Subject as WireSubject;
use crate::v1::observed::Evidence as WireEvidence;

/// The first 16 bytes of the SHA-256 over the body of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of a body.
    pub fn of(body: &[u8]) -> Self {
        let full: [u8; 32] = sha2::Sha256::digest(body).into();
        let mut digest = [0; 16];
        digest.copy_from_slice(&full[..16]);
        Self(digest)
    }

    /// Reads a digest from the field of that name.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, InvalidField> {
        field::bytes(bytes, "digest").map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Says why bytes are not the body of an observation.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBody {
    /// More bytes than a body may have.
    #[error("body of `{kind}` has {found} bytes (at most {most} are allowed)")]
    TooLarge {
        /// The kind the body was read as.
        kind: Kind,
        /// Bytes found.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// The bytes are no message.
    #[error("body of `{kind}` cannot be decoded")]
    Undecodable {
        /// The kind the body was read as.
        kind: Kind,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
    /// The outcome is not set, or is one that this build does not know.
    #[error("body of `{kind}` has no outcome that this build knows (the probe may be newer)")]
    NoOutcome {
        /// The kind the body was read as.
        kind: Kind,
    },
    /// The outcome says that something was observed, and what it was is not there or not known.
    #[error("body of `{kind}` has no evidence that this build knows (the probe may be newer)")]
    NoEvidence {
        /// The kind the body was read as.
        kind: Kind,
    },
    /// The evidence is of another kind than its key.
    #[error("body of `{expected}` holds evidence of the kind `{found}`")]
    OtherKind {
        /// The kind of the key.
        expected: Kind,
        /// The kind of the evidence.
        found: Kind,
    },
    /// The evidence is about another certificate than its key.
    #[error("body holds the certificate `{found}`, its key names `{expected}`")]
    OtherCertificate {
        /// The certificate of the key.
        expected: Sha256,
        /// The certificate of the evidence.
        found: Sha256,
    },
    /// A field of the evidence is wrong.
    #[error("body of `{kind}` is invalid")]
    Field {
        /// The kind the body was read as.
        kind: Kind,
        /// The field, and what is wrong with it.
        #[source]
        source: InvalidField,
    },
}

/// The body of an outcome: the bytes that are sent, digested and stored.
///
/// Evidence that keeps every bound of its own can still exceed the bound on the whole (a certificate with two dozen
/// names and addresses of the greatest length). The body is then a failure that says so: a gap, which is seen, where a
/// body that every collector refuses would be neither sent nor missed.
pub fn encode_body(outcome: &Outcome) -> Vec<u8> {
    let body = outcome_to_wire(outcome).encode_to_vec();
    if body.len() <= limits::OBSERVATION_BODY_BYTES {
        return body;
    }
    let found = body.len();
    let detail = format!("evidence has {found} bytes (at most {} are sent)", limits::OBSERVATION_BODY_BYTES);
    let failure = Failure { reason: FailureReason::Incomplete, detail: Text::cut(&detail) };
    outcome_to_wire(&Outcome::Failed(failure)).encode_to_vec()
}

/// Reads a body whose key is of `kind`.
pub fn decode_body(kind: Kind, body: &[u8]) -> Result<Outcome, InvalidBody> {
    if body.len() > limits::OBSERVATION_BODY_BYTES {
        return Err(InvalidBody::TooLarge { kind, found: body.len(), most: limits::OBSERVATION_BODY_BYTES });
    }
    let message = v1::ObservationBody::decode(body).map_err(|source| InvalidBody::Undecodable { kind, source })?;
    outcome_from_wire(kind, message)
}

/// Reads the body of the observation with that key, which for a certificate must be the certificate that the key
/// names.
pub fn decode_body_of(key: &ObservationKey, body: &[u8]) -> Result<Outcome, InvalidBody> {
    let outcome = decode_body(key.kind, body)?;
    if let (Subject::Certificate(expected), Outcome::Observed(Evidence::Certificate(certificate))) =
        (&key.subject, &outcome)
        && certificate.sha256 != *expected
    {
        return Err(InvalidBody::OtherCertificate { expected: *expected, found: certificate.sha256 });
    }
    Ok(outcome)
}

/// The message of an outcome.
pub fn outcome_to_wire(outcome: &Outcome) -> v1::ObservationBody {
    let outcome = match outcome {
        Outcome::Observed(evidence) => WireOutcome::Observed(v1::Observed { evidence: Some(evidence.into()) }),
        Outcome::Absent => WireOutcome::Absent(v1::Absent {}),
        Outcome::Unsupported(Unsupported { detail }) => {
            WireOutcome::Unsupported(v1::Unsupported { detail: detail.to_string() })
        }
        Outcome::Failed(Failure { reason, detail }) => WireOutcome::Failed(v1::Failed {
            reason: v1::FailureReason::from(*reason).into(),
            detail: detail.to_string(),
        }),
    };
    v1::ObservationBody { outcome: Some(outcome) }
}

/// Reads the message of an outcome whose key is of `kind`.
pub fn outcome_from_wire(kind: Kind, message: v1::ObservationBody) -> Result<Outcome, InvalidBody> {
    let invalid = |source| InvalidBody::Field { kind, source };
    let v1::ObservationBody { outcome } = message;
    match outcome.ok_or(InvalidBody::NoOutcome { kind })? {
        WireOutcome::Observed(v1::Observed { evidence }) => {
            let evidence = evidence.ok_or(InvalidBody::NoEvidence { kind })?;
            let evidence = Evidence::try_from(evidence).map_err(invalid)?;
            if evidence.kind() != kind {
                return Err(InvalidBody::OtherKind { expected: kind, found: evidence.kind() });
            }
            Ok(Outcome::Observed(evidence))
        }
        WireOutcome::Absent(v1::Absent {}) => Ok(Outcome::Absent),
        WireOutcome::Unsupported(v1::Unsupported { detail }) => {
            let detail = field::text(&detail, "unsupported.detail").map_err(invalid)?;
            Ok(Outcome::Unsupported(Unsupported { detail }))
        }
        WireOutcome::Failed(v1::Failed { reason, detail }) => {
            let detail = field::text(&detail, "failed.detail").map_err(invalid)?;
            Ok(Outcome::Failed(Failure { reason: failure_reason(reason), detail }))
        }
    }
}

impl From<&Evidence> for WireEvidence {
    fn from(evidence: &Evidence) -> Self {
        match evidence {
            Evidence::Tpm(tpm) => Self::Tpm(tpm.into()),
            Evidence::OperatingSystem(system) => Self::OperatingSystem(system.into()),
            Evidence::JoinState(join) => Self::JoinState(join.into()),
            Evidence::Prt(prt) => Self::Prt(prt.into()),
            Evidence::Ngc(ngc) => Self::Ngc(ngc.into()),
            Evidence::NgcPrerequisites(section) => Self::NgcPrerequisites(section.into()),
            Evidence::KeyRegistration(registration) => Self::KeyRegistration(registration.into()),
            Evidence::DomainController(dc) => Self::DomainController(dc.into()),
            Evidence::CertificateListing(listing) => Self::CertificateListing(listing.into()),
            Evidence::Certificate(certificate) => Self::Certificate((&**certificate).into()),
            Evidence::UserSession(session) => Self::UserSession(session.into()),
            Evidence::PinProvider(pin) => Self::PinProvider(pin.into()),
            Evidence::ProvisioningEvent(event) => Self::ProvisioningEvent(event.into()),
            Evidence::UserPolicy(policy) => Self::UserPolicy((&**policy).into()),
            Evidence::UserMdmPolicy(policy) => Self::UserMdmPolicy((&**policy).into()),
            Evidence::ComputerPolicy(policy) => Self::ComputerPolicy((&**policy).into()),
            Evidence::DeviceMdmPolicy(policy) => Self::DeviceMdmPolicy((&**policy).into()),
            Evidence::DeviceRegistrationPolicy(policy) => Self::DeviceRegistrationPolicy(policy.into()),
            Evidence::RegistrationDiagnostics(diagnostics) => Self::RegistrationDiagnostics((&**diagnostics).into()),
            Evidence::DcLocator(locator) => Self::DcLocator(locator.into()),
            Evidence::RootStore(store) => Self::RootStore(store.into()),
            Evidence::NtAuthStore(store) => Self::NtAuthStore(store.into()),
            Evidence::RevocationLists(lists) => Self::RevocationLists(lists.into()),
            Evidence::DeviceEvents(summary) => Self::DeviceEvents(summary.into()),
            Evidence::KdcEvents(summary) => Self::KdcEvents(summary.into()),
            Evidence::KdcService(service) => Self::KdcService(service.into()),
            Evidence::KdcPolicy(policy) => Self::KdcPolicy(policy.into()),
            Evidence::KdcLoad(load) => Self::KdcLoad(load.into()),
            Evidence::Replication(replication) => Self::Replication(replication.into()),
            Evidence::SyncScheduler(scheduler) => Self::SyncScheduler(scheduler.into()),
            Evidence::Clock(clock) => Self::Clock(clock.into()),
        }
    }
}

impl TryFrom<WireEvidence> for Evidence {
    type Error = InvalidField;

    fn try_from(evidence: WireEvidence) -> Result<Self, Self::Error> {
        /// Converts the inner message, naming the kind's field in what is wrong with it.
        fn inner<W, D: TryFrom<W, Error = InvalidField>>(message: W, field: &str) -> Result<D, InvalidField> {
            D::try_from(message).map_err(|error| error.under(field))
        }
        Ok(match evidence {
            WireEvidence::Tpm(tpm) => Self::Tpm(inner(tpm, "tpm")?),
            WireEvidence::OperatingSystem(system) => Self::OperatingSystem(inner(system, "operating_system")?),
            WireEvidence::JoinState(join) => Self::JoinState(inner(join, "join_state")?),
            WireEvidence::Prt(prt) => Self::Prt(inner(prt, "prt")?),
            WireEvidence::Ngc(ngc) => Self::Ngc(inner(ngc, "ngc")?),
            WireEvidence::NgcPrerequisites(section) => Self::NgcPrerequisites(inner(section, "ngc_prerequisites")?),
            WireEvidence::KeyRegistration(registration) => {
                Self::KeyRegistration(inner(registration, "key_registration")?)
            }
            WireEvidence::DomainController(dc) => Self::DomainController(inner(dc, "domain_controller")?),
            WireEvidence::CertificateListing(listing) => {
                Self::CertificateListing(inner(listing, "certificate_listing")?)
            }
            WireEvidence::Certificate(certificate) => Self::Certificate(Box::new(inner(certificate, "certificate")?)),
            WireEvidence::UserSession(session) => Self::UserSession(inner(session, "user_session")?),
            WireEvidence::PinProvider(pin) => Self::PinProvider(inner(pin, "pin_provider")?),
            WireEvidence::ProvisioningEvent(event) => Self::ProvisioningEvent(inner(event, "provisioning_event")?),
            WireEvidence::UserPolicy(policy) => Self::UserPolicy(Box::new(inner(policy, "user_policy")?)),
            WireEvidence::UserMdmPolicy(policy) => Self::UserMdmPolicy(Box::new(inner(policy, "user_mdm_policy")?)),
            WireEvidence::ComputerPolicy(policy) => Self::ComputerPolicy(Box::new(inner(policy, "computer_policy")?)),
            WireEvidence::DeviceMdmPolicy(policy) => {
                Self::DeviceMdmPolicy(Box::new(inner(policy, "device_mdm_policy")?))
            }
            WireEvidence::DeviceRegistrationPolicy(policy) => {
                Self::DeviceRegistrationPolicy(inner(policy, "device_registration_policy")?)
            }
            WireEvidence::RegistrationDiagnostics(diagnostics) => {
                Self::RegistrationDiagnostics(Box::new(inner(diagnostics, "registration_diagnostics")?))
            }
            WireEvidence::DcLocator(locator) => Self::DcLocator(inner(locator, "dc_locator")?),
            WireEvidence::RootStore(store) => Self::RootStore(inner(store, "root_store")?),
            WireEvidence::NtAuthStore(store) => Self::NtAuthStore(inner(store, "nt_auth_store")?),
            WireEvidence::RevocationLists(lists) => Self::RevocationLists(inner(lists, "revocation_lists")?),
            WireEvidence::DeviceEvents(summary) => Self::DeviceEvents(inner(summary, "device_events")?),
            WireEvidence::KdcEvents(summary) => Self::KdcEvents(inner(summary, "kdc_events")?),
            WireEvidence::KdcService(service) => Self::KdcService(inner(service, "kdc_service")?),
            WireEvidence::KdcPolicy(policy) => Self::KdcPolicy(inner(policy, "kdc_policy")?),
            WireEvidence::KdcLoad(load) => Self::KdcLoad(inner(load, "kdc_load")?),
            WireEvidence::Replication(replication) => Self::Replication(inner(replication, "replication")?),
            WireEvidence::SyncScheduler(scheduler) => Self::SyncScheduler(inner(scheduler, "sync_scheduler")?),
            WireEvidence::Clock(clock) => Self::Clock(inner(clock, "clock")?),
        })
    }
}

impl From<FailureReason> for v1::FailureReason {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::TimedOut => Self::TimedOut,
            FailureReason::AccessDenied => Self::AccessDenied,
            FailureReason::Unavailable => Self::Unavailable,
            FailureReason::Unreadable => Self::Unreadable,
            FailureReason::Incomplete => Self::Incomplete,
            FailureReason::WrongContext => Self::WrongContext,
            FailureReason::Internal => Self::Internal,
            FailureReason::Other => Self::Unspecified,
        }
    }
}

/// Reads a reason. The one enum whose unknown numbers are taken: that looking failed is said either way, and a gap
/// with an unknown reason is worth more than an observation refused.
fn failure_reason(number: i32) -> FailureReason {
    match v1::FailureReason::try_from(number) {
        Ok(v1::FailureReason::TimedOut) => FailureReason::TimedOut,
        Ok(v1::FailureReason::AccessDenied) => FailureReason::AccessDenied,
        Ok(v1::FailureReason::Unavailable) => FailureReason::Unavailable,
        Ok(v1::FailureReason::Unreadable) => FailureReason::Unreadable,
        Ok(v1::FailureReason::Incomplete) => FailureReason::Incomplete,
        Ok(v1::FailureReason::WrongContext) => FailureReason::WrongContext,
        Ok(v1::FailureReason::Internal) => FailureReason::Internal,
        Ok(v1::FailureReason::Unspecified) | Err(_) => FailureReason::Other,
    }
}

wire_enum!(Origin, v1::ObservationOrigin { Live = Live, Capture = Capture });

/// The number of an origin.
pub fn origin_to_wire(origin: Origin) -> i32 {
    v1::ObservationOrigin::from(origin).into()
}

/// The origin of a number.
pub fn origin_from_wire(number: i32) -> Result<Origin, InvalidField> {
    field::required_enum(number, "origin")
}

/// The number of a context; 0 is [`Context::Unknown`].
pub fn context_to_wire(context: Context) -> i32 {
    match context {
        Context::Unknown => v1::ObservationContext::Unspecified,
        Context::Service => v1::ObservationContext::Service,
        Context::UserSession => v1::ObservationContext::UserSession,
    }
    .into()
}

/// The context of a number; 0 is [`Context::Unknown`].
pub fn context_from_wire(number: i32) -> Result<Context, InvalidField> {
    match v1::ObservationContext::try_from(number) {
        Ok(v1::ObservationContext::Unspecified) => Ok(Context::Unknown),
        Ok(v1::ObservationContext::Service) => Ok(Context::Service),
        Ok(v1::ObservationContext::UserSession) => Ok(Context::UserSession),
        Err(_) => Err(InvalidField::UnknownValue {
            field: "context".to_owned(),
            found: number.into(),
            most: (v1::ObservationContext::UserSession as i32).into(),
        }),
    }
}

/// The key of an observation as it travels: its kind may be one that this build does not know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireKey {
    /// Number of the kind.
    pub kind: u32,
    /// What the observation speaks of.
    pub subject: Subject,
}

/// Says why a message is not the key of an observation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// A field is wrong.
    #[error("observation key is invalid")]
    Field {
        /// The field, and what is wrong with it.
        #[source]
        source: InvalidField,
    },
    /// A kind about one sort of subject comes with another.
    #[error("observation `{kind}` is about `{found}` (expected {expected})")]
    WrongSubject {
        /// The kind of evidence.
        kind: Kind,
        /// The subject found.
        found: Subject,
        /// The sort of subject it must have.
        expected: &'static str,
    },
    /// The null SID stands for a user who is not known, and such evidence stays on its machine.
    #[error("observation `{kind}` is about the null SID (expected the SID of a user)")]
    UnknownUser {
        /// Number of the kind.
        kind: u32,
    },
}

impl WireKey {
    /// Reads a key. A kind that this build does not know is no error.
    pub fn from_wire(message: v1::ObservationKey) -> Result<Self, InvalidKey> {
        let invalid = |source| InvalidKey::Field { source };
        let v1::ObservationKey { kind, subject } = message;
        if kind == 0 {
            return Err(invalid(InvalidField::missing("kind")));
        }
        let subject = match field::required(subject, "subject").map_err(invalid)? {
            WireSubject::Host(v1::HostSubject {}) => Subject::Host,
            WireSubject::UserSid(sid) => {
                let sid: Sid = field::name(&sid, "user_sid").map_err(invalid)?;
                if sid.is_unknown() {
                    return Err(InvalidKey::UnknownUser { kind });
                }
                Subject::User(sid)
            }
            WireSubject::CertificateSha256(digest) => {
                Subject::Certificate(field::sha256(&digest, "certificate_sha256").map_err(invalid)?)
            }
        };
        let key = Self { kind, subject };
        match key.known_kind().and_then(|kind| Some((kind, mismatch(kind, &key.subject)?))) {
            Some((kind, expected)) => Err(InvalidKey::WrongSubject { kind, found: key.subject, expected }),
            None => Ok(key),
        }
    }

    /// The message of this key.
    pub fn to_wire(&self) -> v1::ObservationKey {
        let subject = match &self.subject {
            Subject::Host => WireSubject::Host(v1::HostSubject {}),
            Subject::User(sid) => WireSubject::UserSid(sid.to_string()),
            Subject::Certificate(digest) => WireSubject::CertificateSha256(digest.0.to_vec()),
        };
        v1::ObservationKey { kind: self.kind, subject: Some(subject) }
    }

    /// The key in the vocabulary of this build, if the kind is in it and fits the subject.
    pub fn known(&self) -> Option<ObservationKey> {
        let kind = self.known_kind()?;
        mismatch(kind, &self.subject).is_none().then(|| ObservationKey { kind, subject: self.subject.clone() })
    }

    fn known_kind(&self) -> Option<Kind> {
        Kind::from_number(u16::try_from(self.kind).ok()?)
    }
}

impl From<&ObservationKey> for WireKey {
    fn from(key: &ObservationKey) -> Self {
        let ObservationKey { kind, subject } = key;
        Self { kind: kind.number().into(), subject: subject.clone() }
    }
}

impl fmt::Display for WireKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known_kind() {
            Some(kind) => write!(f, "{kind} of {}", self.subject),
            None => write!(f, "kind {} of {}", self.kind, self.subject),
        }
    }
}

/// The sort of subject that `kind` must have, where `subject` is of another.
fn mismatch(kind: Kind, subject: &Subject) -> Option<&'static str> {
    let (fits, expected) = match kind {
        Kind::Tpm
        | Kind::OperatingSystem
        | Kind::JoinState
        | Kind::DomainController
        | Kind::CertificateListing
        | Kind::ComputerPolicy
        | Kind::DeviceMdmPolicy
        | Kind::DeviceRegistrationPolicy
        | Kind::RegistrationDiagnostics
        | Kind::DcLocator
        | Kind::RootStore
        | Kind::NtAuthStore
        | Kind::RevocationLists
        | Kind::DeviceEvents
        | Kind::KdcEvents
        | Kind::KdcService
        | Kind::KdcPolicy
        | Kind::KdcLoad
        | Kind::Replication
        | Kind::SyncScheduler
        | Kind::Clock => (matches!(subject, Subject::Host), "the host"),
        Kind::Prt
        | Kind::Ngc
        | Kind::NgcPrerequisites
        | Kind::KeyRegistration
        | Kind::UserSession
        | Kind::PinProvider
        | Kind::ProvisioningEvent
        | Kind::UserPolicy
        | Kind::UserMdmPolicy => (matches!(subject, Subject::User(_)), "a user"),
        Kind::Certificate => (matches!(subject, Subject::Certificate(_)), "a certificate"),
    };
    (!fits).then_some(expected)
}
