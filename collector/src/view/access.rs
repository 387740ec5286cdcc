//! How the listeners stand, as a message of the operators' API.

use muster_evidence::Timestamp;
use muster_proto::v1;

use crate::accept::AcceptCounts;
use crate::access::{Access, ReloadState, RevocationState};

/// How both listeners stand.
pub(super) fn access(access: &Access, revocation_configured: bool) -> v1::CollectorAccess {
    let state = access.state();
    let certificates = state.certificates.iter().map(|own| v1::CollectorCertificate {
        listener: own.listener.to_owned(),
        thumbprint_sha256: own.thumbprint.0.to_vec(),
        not_after_ms: own.not_after.unix_ms(),
    });
    v1::CollectorAccess {
        certificates: certificates.collect(),
        revocation: state.revocation.iter().map(revocation).collect(),
        refusals: [("probes", &access.probes), ("operators", &access.operators)]
            .into_iter()
            .flat_map(|(listener, counts)| refusals(listener, counts))
            .collect(),
        reload: Some(reload(&state.reload)),
        revocation_configured,
    }
}

fn revocation(state: &RevocationState) -> v1::RevocationList {
    v1::RevocationList {
        issuer: state.issuer.clone(),
        source: state.source.clone(),
        delta: state.delta,
        number: state.number.clone(),
        this_update_ms: state.this_update.map(Timestamp::unix_ms),
        next_update_ms: state.next_update.map(Timestamp::unix_ms),
        entries: state.entries,
        state: state.used.word().to_owned(),
        problem: state.problem.clone(),
    }
}

fn refusals(listener: &str, counts: &AcceptCounts) -> Vec<v1::Refusals> {
    let refused = counts.refused().into_iter().map(|counted| (counted, false));
    let ended = counts.ended().into_iter().map(|counted| (counted, true));
    let each = refused.chain(ended).map(|((reason, count), ended)| v1::Refusals {
        listener: listener.to_owned(),
        reason: reason.to_owned(),
        count,
        ended,
    });
    each.collect()
}

fn reload(state: &ReloadState) -> v1::ReloadState {
    v1::ReloadState {
        last_attempt_ms: state.last_attempt.map(Timestamp::unix_ms),
        last_success_ms: state.last_success.map(Timestamp::unix_ms),
        error: state.error.clone().unwrap_or_default(),
        generation: state.generation,
        needs_restart: state.needs_restart.clone(),
    }
}
