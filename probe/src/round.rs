//! One round of reporting: every machine once, and again at once for what the collector asks for.
//!
//! The probe's own machine goes in a call of its own; the others, for which it only carries, on a stream.

use std::sync::Arc;

use muster_evidence::{HostName, Timestamp};
use muster_proto::link::Chain;
use muster_proto::v1;

use crate::machine::Machine;
use crate::outbox::{Notice, Outbox, OutboxError};
use crate::report::{Acknowledgement, Answer, Prepared, Reporter};
use crate::send::{Exchange, SendError};

/// Most passes of one round. A pass more is taken while the collector asks for something that can be given, which ends
/// after two for state; a large inventory takes as many as it has parts.
const MOST_PASSES: usize = 64;

/// What came of the report about one machine.
#[derive(Clone, Debug)]
pub struct Reported {
    /// The machine.
    pub host: HostName,
    /// Number of the last report about it.
    pub sequence: u64,
    /// Observations that were listed.
    pub listed: usize,
    /// Bodies that were sent, in all passes.
    pub bodies: usize,
    /// The collector's answer to the last one, or why there is none.
    pub result: Result<Answer, Arc<SendError>>,
}

/// Reports every machine.
pub async fn round<E: Exchange>(
    exchange: &mut E,
    reporter: &mut Reporter,
    outbox: &mut Outbox,
    own: &HostName,
    machines: &[Machine],
    now: Timestamp,
) -> Result<Vec<Reported>, OutboxError> {
    let mut reported: Vec<Option<Reported>> = vec![None; machines.len()];
    let mut pending: Vec<usize> = (0..machines.len()).collect();
    let mut rolled_back = false;
    for _ in 0..MOST_PASSES {
        if pending.is_empty() {
            break;
        }
        let (first, notice) = outbox.take_sequences(pending.len() as u64);
        tell(notice.as_ref());
        let prepared: Vec<(usize, Prepared)> = pending
            .iter()
            .zip(first..)
            .map(|(&index, sequence)| {
                let machine = &machines[index];
                (index, reporter.prepare(outbox, machine, machine.identity.name == *own, sequence, now))
            })
            .collect();
        let answers = send(exchange, own, &prepared).await;
        pending = Vec::new();
        let mut superseded = false;
        for ((index, sent), answer) in prepared.into_iter().zip(answers) {
            let before = reported[index].take();
            let result = match answer {
                Ok(response) => {
                    let answer = reporter.absorb(outbox, &sent, response);
                    superseded |= reporter.shows_rollback(&sent.host, &answer);
                    if answer.more {
                        pending.push(index);
                    }
                    Ok(merged(before.as_ref(), answer))
                }
                Err(error) => Err(Arc::new(error)),
            };
            reported[index] = Some(Reported {
                sequence: sent.request.sequence,
                listed: sent.request.observations.len(),
                bodies: sent.bodies() + before.map_or(0, |before| before.bodies),
                host: sent.host,
                result,
            });
        }
        if superseded {
            if rolled_back {
                reporter.believe_superseded(reported.iter().flatten());
                break;
            }
            // The collector knows later reports of ours: this state is an old copy. Everything is told anew.
            tell(Some(&outbox.rolled_back()?));
            rolled_back = true;
            pending = (0..machines.len()).collect();
        }
    }
    tell(outbox.write().as_ref());
    Ok(reported.into_iter().flatten().collect())
}

async fn send<E: Exchange>(
    exchange: &mut E,
    own: &HostName,
    prepared: &[(usize, Prepared)],
) -> Vec<Result<v1::ReportResponse, SendError>> {
    let carried: Vec<v1::ReportRequest> =
        prepared.iter().filter(|(_, sent)| sent.host != *own).map(|(_, sent)| sent.request.clone()).collect();
    let mut carried = if carried.is_empty() { Vec::new() } else { exchange.report_many(carried).await }.into_iter();
    let mut answers = Vec::with_capacity(prepared.len());
    for (_, sent) in prepared {
        answers.push(if sent.host == *own {
            exchange.report(sent.request.clone()).await
        } else {
            carried.next().unwrap_or(Err(SendError::Lost { message: "no answer came".to_owned() }))
        });
    }
    answers
}

/// The answer to all passes: what was committed in one of them stays committed, and refusals add up.
fn merged(before: Option<&Reported>, mut answer: Answer) -> Answer {
    if let Some(Ok(before)) = before.map(|before| &before.result) {
        if before.acknowledgement == Acknowledgement::Committed && answer.acknowledgement == Acknowledgement::Seen {
            answer.acknowledgement = Acknowledgement::Committed;
        }
        for refusal in &before.refusals {
            if !answer.refusals.contains(refusal) {
                answer.refusals.push(refusal.clone());
            }
        }
    }
    answer
}

/// Logs what happened to the state.
pub fn tell(notice: Option<&Notice>) {
    match notice {
        None => {}
        Some(notice @ (Notice::NotKept { .. } | Notice::SetAside { .. })) => {
            tracing::error!(error = %Chain(notice), "state was not kept");
        }
        Some(notice @ (Notice::KeptAgain { .. } | Notice::RolledBack { .. })) => {
            tracing::warn!(notice = %notice, "state changed");
        }
    }
}
