//! Checks of what policy sets about Hello, over all its channels.
//!
//! What acts, and whom they judge, is worked out in `derive::effective_policy`.

use muster_evidence::{Failure, FailureReason, Kind, NgcPrerequisites, Observation, Outcome, Sid, Timestamp, Tristate};

use super::Check;
use super::answer::{Answer, Look, Standpoint, judge_endpoint, judge_people, look_at, standpoint};
use crate::derive::effective_policy::{Channel, EffectivePolicy, Setting};
use crate::{Facts, Gap, Judgement, Verdict};

pub(super) mod biometrics;
pub(super) mod enabled;
pub(super) mod exclude_tpm12;
pub(super) mod gpo_mdm_conflict;
pub(super) mod pin_complexity;
pub(super) mod post_logon;
pub(super) mod require_security_device;
pub(super) mod trust_type;

/// The kinds of evidence that a check of one setting reads.
const CHANNELS: &[Kind] = &[Kind::UserPolicy, Kind::ComputerPolicy, Kind::UserMdmPolicy, Kind::DeviceMdmPolicy];

/// What is missing where nobody looked at any channel.
const NO_CHANNEL: &str = "the policies that set Hello";

/// Judges each person of an endpoint; the machine alone where no person is known.
fn judge_subjects<'a>(
    check: &dyn Check,
    facts: &Facts<'a>,
    answer: impl Fn(&EffectivePolicy<'a>, Option<&Sid>) -> Answer,
) -> Vec<Judgement> {
    let people = judge_people(check, facts, |sid| answer(&EffectivePolicy::of_user(facts, sid), Some(sid)));
    if people.is_empty() {
        judge_endpoint(check, facts, || answer(&EffectivePolicy::of_machine(facts), None))
    } else {
        people
    }
}

/// An answer that rests on the channels that decide about a setting.
fn by_channels(policy: &EffectivePolicy<'_>, setting: Setting, verdict: Verdict) -> Answer {
    Answer { verdict, valid_until: None, evidence_at: policy.evidence_at(setting) }
}

/// A value and the channel that sets it, such as `` `Enabled = 0` in the computer's group policy ``.
fn set_by(setting: Setting, channel: Channel, value: u32) -> String {
    format!("`{} = {value}` in {}", setting.name(channel), channel.words())
}

/// What Windows itself says of a person's policies, in the section `Ngc Prerequisite Check`.
enum Evaluation<'a> {
    /// It says nothing that counts: not shown, not reported, or read where it means nothing.
    Silent,
    /// It says something, and a no counts too.
    Own(&'a NgcPrerequisites, &'a Observation),
    /// It says something, and of a flag only a yes counts.
    Unsaid(&'a NgcPrerequisites, &'a Observation),
    /// It was looked for and could not be read, so that it may contradict.
    Unreadable(Gap),
}

impl Evaluation<'_> {
    /// Whether a flag is yes or no; `None` where it says neither.
    fn flag(&self, pick: impl FnOnce(&NgcPrerequisites) -> Tristate) -> Option<bool> {
        match self {
            Self::Silent | Self::Unreadable(_) => None,
            Self::Own(found, _) => match pick(found) {
                Tristate::Yes => Some(true),
                Tristate::No => Some(false),
                Tristate::Undetermined | Tristate::NotShown => None,
            },
            Self::Unsaid(found, _) => (pick(found) == Tristate::Yes).then_some(true),
        }
    }

    /// When it was read.
    fn read_at(&self) -> Option<Timestamp> {
        match self {
            Self::Silent | Self::Unreadable(_) => None,
            Self::Own(_, observation) | Self::Unsaid(_, observation) => Some(observation.observed_at),
        }
    }
}

/// Reads what Windows says of a person; silent about a machine without people.
fn evaluation<'a>(facts: &Facts<'a>, sid: Option<&Sid>) -> Evaluation<'a> {
    let Some(sid) = sid else { return Evaluation::Silent };
    match look_at!(facts, NgcPrerequisites, sid) {
        Look::Absent(_) => Evaluation::Silent,
        Look::Found(found, observation) => match standpoint(observation) {
            Standpoint::Own => Evaluation::Own(found, observation),
            Standpoint::Unsaid => Evaluation::Unsaid(found, observation),
            Standpoint::Wrong => Evaluation::Silent,
        },
        Look::Gap(gap) => match facts.host.of_user(Kind::NgcPrerequisites, sid).map(|own| &own.outcome) {
            None | Some(Outcome::Failed(Failure { reason: FailureReason::WrongContext, .. })) => Evaluation::Silent,
            Some(_) => Evaluation::Unreadable(gap),
        },
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence};
    use proptest::prelude::*;

    use super::*;
    use crate::check::CHECKS;
    use crate::check::fixture::device::vary;
    use crate::check::fixture::{self, Host, ada};
    use crate::{Judged, Policy, Standing};

    fn checks() -> impl Iterator<Item = &'static dyn Check> {
        CHECKS.iter().copied().filter(|check| check.id().starts_with("policy."))
    }

    #[test]
    fn people_are_judged_where_there_are_any_and_else_the_machine() {
        let alone = Host::endpoint().with(Evidence::JoinState(fixture::hybrid())).no_machine_policy();
        let other: Sid = "S-1-5-21-1-2-3-1105".parse().unwrap();
        let service: Sid = "S-1-5-18".parse().unwrap();
        let visited = alone.clone().user(Evidence::Prt(fixture::prt()), Context::UserSession).person(
            &other,
            Evidence::Prt(fixture::prt()),
            Context::UserSession,
        );
        let with_service = alone.clone().person(&service, Evidence::Prt(fixture::prt()), Context::Service);
        for check in checks().filter(|check| check.scope() == crate::Scope::EndpointUser) {
            let subjects = |host: &Host| {
                let judgements = host.judgements(check, &Policy::default());
                judgements.into_iter().map(|judgement| judgement.subject).collect::<Vec<_>>()
            };
            assert_eq!(subjects(&alone), [Judged::Host], "{}", check.id());
            assert_eq!(subjects(&with_service), [Judged::Host], "{}", check.id());
            assert_eq!(subjects(&visited), [Judged::User(ada()), Judged::User(other.clone())], "{}", check.id());
            assert_eq!(
                Host::linux().no_policy().judge(check, &Policy::default()),
                ["not-applicable: not a Windows client"],
                "{}",
                check.id()
            );
        }
    }

    #[test]
    fn nobody_looked_means_nobody_is_ready() {
        let blind = Host::endpoint()
            .with(Evidence::JoinState(fixture::hybrid()))
            .user(Evidence::Ngc(fixture::ngc(Tristate::Yes)), Context::UserSession);
        for check in checks().filter(|check| check.severity() == crate::Severity::Blocker) {
            let judged = blind.judgements(check, &Policy::default());
            assert!(matches!(judged[0].verdict, Verdict::Unknown(_)), "{}: {:?}", check.id(), judged);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        /// Whatever becomes unreadable, no check of policy answers Ready that did not, and none stops applying.
        #[test]
        fn a_gap_makes_no_answer_of_policy_better(
            choices in any::<[u8; 4]>(), joined in any::<bool>(), which in any::<prop::sample::Index>(),
        ) {
            let domain_joined = Tristate::from_bool(joined);
            let join = muster_evidence::JoinState { domain_joined, ..fixture::hybrid() };
            let prerequisites = NgcPrerequisites {
                policy_enabled: [Tristate::Yes, Tristate::No, Tristate::NotShown][usize::from(choices[3] % 3)],
                ..fixture::prerequisites()
            };
            let host = vary(
                Host::endpoint()
                    .with(fixture::tpm())
                    .with(Evidence::JoinState(join))
                    .user(Evidence::NgcPrerequisites(prerequisites), Context::UserSession),
                &[ada()],
                choices[0],
                choices[1],
                choices[2],
            );
            let mut gapped = host.clone();
            let place = which.index(host.facts.observations.len());
            let observation = gapped.facts.observations.values_mut().nth(place).unwrap();
            let system = observation.key.kind == Kind::OperatingSystem;
            observation.outcome = fixture::failed();
            prop_assume!(!system, "what is no Windows any more is judged otherwise");
            for check in checks() {
                let standing = |host: &Host| {
                    host.judgements(check, &Policy::default()).remove(0).verdict.standing()
                };
                let (before, after) = (standing(&host), standing(&gapped));
                let better = before > Standing::Advisory && after < Standing::Unknown;
                prop_assert!(!better, "{} from {} to {} by {:?}", check.id(), before, after, gapped.facts.observations);
            }
        }
    }
}
