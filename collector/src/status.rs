//! Errors as gRPC statuses: the one place that maps them.

use muster_proto::convert::InvalidReport;
use muster_proto::link::Chain;
use tonic::Status;

use crate::commit::CommitError;
use crate::policy_state::PolicyError;
use crate::store::StoreError;
use crate::submit::Refused;

/// What a probe is told when its report is refused. What the sender can mend is told apart from what passes by itself.
pub(crate) fn of_refused(refused: &Refused) -> Status {
    let text = Chain(refused).to_string();
    match refused {
        Refused::Invalid(InvalidReport::UnsupportedProtocol { .. }) => Status::failed_precondition(text),
        Refused::Invalid(_) => Status::invalid_argument(text),
        Refused::HostMismatch { .. } => Status::permission_denied(text),
        Refused::Contended { .. } => Status::aborted(text),
        Refused::Commit(CommitError::Stopping) => Status::unavailable(text),
        Refused::Commit(CommitError::Store { cause }) => of_store(cause),
    }
}

/// What a caller is told when the store cannot do it. What is the caller's to change is named; what is the operator's
/// goes to the log as well.
pub(crate) fn of_store(error: &StoreError) -> Status {
    let text = Chain(error).to_string();
    match error {
        StoreError::Full { .. } => Status::resource_exhausted(text),
        StoreError::Closed { .. }
        | StoreError::Locked { .. }
        | StoreError::Open { .. }
        | StoreError::Io { .. }
        | StoreError::Damaged { .. } => Status::unavailable(text),
        StoreError::Newer { .. } => Status::failed_precondition(text),
        StoreError::UnreadableRecord { .. } => Status::data_loss(text),
        StoreError::UnknownBackend { .. } => Status::internal(text),
    }
}

/// What an operator is told when a policy or waiver was not taken.
pub(crate) fn of_policy(error: &PolicyError) -> Status {
    match error {
        PolicyError::Invalid { .. } | PolicyError::InvalidWaiver { .. } => Status::invalid_argument(error.to_string()),
        PolicyError::Outdated { .. } => Status::aborted(error.to_string()),
        PolicyError::NoWaiver { .. } => Status::not_found(error.to_string()),
        PolicyError::Store(cause) => of_store(cause),
    }
}
