//! Checks of the trusted platform module.
//!
//! Most of them speak of Linux machines too, since a TPM is a TPM whatever runs above it.

use muster_evidence::{Kind, Tpm};

use super::answer::{Answer, Look, look_at};
use crate::derive::effective_policy::{EffectivePolicy, Setting, Switch};
use crate::derive::population::not_an_endpoint;
use crate::{Check, Facts, Gap, Judged, Judgement, Policy, Verdict};

pub(super) mod attestation;
pub(super) mod fips;
pub(super) mod firmware_roca;
pub(super) mod lockout;
pub(super) mod present;
pub(super) mod ready;
pub(super) mod version;

/// The population that a missing or unusable TPM blocks.
const HARDWARE_DEMANDED: &str =
    "machines that must keep their keys in hardware (`RequireSecurityDevice`, `required_security_device`)";

/// Judges a machine of any system: not applicable where it is no endpoint.
fn judge_any_system(check: &dyn Check, facts: &Facts<'_>, answer: impl FnOnce() -> Answer) -> Vec<Judgement> {
    let answer = match not_an_endpoint(facts.host) {
        Some(reason) => Answer::bare(Verdict::not_applicable(reason)),
        None => answer(),
    };
    vec![answer.about(check, Judged::Host)]
}

/// Answers about a TPM that is there; a machine without one is judged by `tpm.present` alone.
fn of_tpm(facts: &Facts<'_>, answer: impl FnOnce(&Tpm, &muster_evidence::Observation) -> Answer) -> Answer {
    match look_at!(facts, Tpm) {
        Look::Gap(gap) => Answer::gap(gap),
        Look::Absent(observation) => Answer::from(Verdict::not_applicable("no TPM"), observation),
        Look::Found(tpm, observation) => answer(tpm, observation),
    }
}

/// Whether the keys of a machine must lie in hardware, whoever uses it.
enum Demand {
    /// They must: who says so.
    Made(&'static str),
    /// They need not.
    NotMade,
    /// It is not known.
    Unknown(Gap),
}

/// Whether the keys of a machine must lie in hardware: by the collector's policy, or by what is set on the machine.
///
/// Where nobody looked at the machine's policies at all, no demand is seen: the checks of policy say that they are
/// missing, and a Linux machine has none.
fn hardware_demand(facts: &Facts<'_>, policy: &Policy) -> Demand {
    if policy.required_security_device {
        return Demand::Made("the policy");
    }
    let set = EffectivePolicy::of_machine(facts);
    match set.switch(Setting::RequireSecurityDevice) {
        Switch::On(channel) => Demand::Made(channel.words()),
        Switch::Uncertain(uncertain) if set.was_looked_at() => Demand::Unknown(set.gap(uncertain)),
        Switch::Off(_) | Switch::NotSet | Switch::Uncertain(_) => Demand::NotMade,
    }
}
