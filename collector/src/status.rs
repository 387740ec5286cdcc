//! Errors as gRPC statuses: the one place that maps them.

use muster_proto::link::Chain;
use tonic::Status;

use crate::policy_state::PolicyError;
use crate::store::StoreError;

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
