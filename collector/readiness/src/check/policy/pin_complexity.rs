//! `policy.pin-complexity`: whether the eight settings of a PIN mean something together.
//!
//! Windows passes over numbers out of range and over a minimum above the maximum, so that a policy says less than its
//! author thinks. Four classes of characters that are all forbidden leave no PIN at all.

use std::fmt::Write as _;

use muster_evidence::{Kind, Timestamp};

use super::{CHANNELS, NO_CHANNEL, judge_subjects, set_by};
use crate::check::answer::{Answer, finding};
use crate::check::{Page, Scope, Severity};
use crate::derive::effective_policy::{Channel, Effective, EffectivePolicy, Setting};
use crate::{Check, Facts, Freshness, Judgement, Policy, Verdict};

pub(in crate::check) struct PinComplexityCheck;

/// A setting, the least and the greatest number that mean something, and what holds where nothing is set
/// (`PassportForWork` CSP).
const SETTINGS: [(Setting, u32, u32, u32); 8] = [
    (Setting::PinMinimumLength, 4, 127, 4),
    (Setting::PinMaximumLength, 4, 127, 127),
    (Setting::PinUppercase, 0, 2, FORBIDDEN),
    (Setting::PinLowercase, 0, 2, FORBIDDEN),
    (Setting::PinSpecial, 0, 2, FORBIDDEN),
    (Setting::PinDigits, 0, 2, 1),
    (Setting::PinHistory, 0, 50, 0),
    (Setting::PinExpiration, 0, 730, 0),
];

/// The places of the two lengths, and of the four classes, in it.
const LENGTHS: [usize; 2] = [0, 1];
const CLASSES: std::ops::Range<usize> = 2..6;

/// A class of characters that may not be used.
const FORBIDDEN: u32 = 2;

impl Check for PinComplexityCheck {
    fn id(&self) -> &'static str {
        "policy.pin-complexity"
    }

    fn title(&self) -> &'static str {
        "The settings of a PIN mean something together"
    }

    fn scope(&self) -> Scope {
        Scope::EndpointUser
    }

    fn severity(&self) -> Severity {
        Severity::Advisory
    }

    fn freshness(&self) -> Freshness {
        Freshness::User
    }

    fn reads(&self) -> &'static [Kind] {
        CHANNELS
    }

    fn page(&self) -> Page {
        Page {
            meaning: "Eight settings say what a PIN must look like. Windows passes over a number that is out of range, \
                      and over both lengths where the minimum is above the maximum, so the PINs that users make are \
                      weaker than the policy looks. If all four classes of characters are forbidden, no PIN can be made.",
            evidence: "The eight values under `PINComplexity` of group policy and device management, of the user and of \
                       the computer, each by precedence. Lengths that Exchange ActiveSync or the DeviceLock CSP set \
                       beside them are not read; Windows takes the strictest.",
            threshold: "Lengths 4 to 127 with the minimum not above the maximum, classes 0 (allowed), 1 (required) or 2 \
                        (not allowed), history 0 to 50, expiration 0 to 730 days, and one class at least that is not \
                        forbidden: ready. Where a class is not set, digits are required and the others forbidden. \
                        Anything else: advisory. A channel that could not be read: unknown, unless what is known is \
                        wrong already.",
            remedy: "Repair the values, and set all of them in one channel.",
            source: "Microsoft Learn, PassportForWork CSP; Windows Hello for Business policy settings",
            query: "muster hosts --check policy.pin-complexity --standing advisory",
            alert: "Alert when endpoints become advisories of `policy.pin-complexity`: a policy was just changed for \
                    the worse.",
        }
    }

    fn judge(&self, facts: &Facts<'_>, _policy: &Policy, _now: Timestamp) -> Vec<Judgement> {
        judge_subjects(self, facts, |policy, _| Answer {
            verdict: self.of(policy),
            valid_until: None,
            evidence_at: policy.looked_at(),
        })
    }
}

/// The eight values, where they are known: what is set and by whom, or what holds where nothing is set.
type Values = [Option<(u32, Option<Channel>)>; 8];

impl PinComplexityCheck {
    fn of(&self, policy: &EffectivePolicy<'_>) -> Verdict {
        let mut uncertain = None;
        let values: Values = SETTINGS.map(|(setting, _, _, default)| match policy.value(setting) {
            Effective::Set { value, channel } => Some((value, Some(channel))),
            Effective::NotSet => Some((default, None)),
            Effective::Uncertain(why) => {
                uncertain.get_or_insert(why);
                None
            }
        });
        let problems = problems(&values);
        match uncertain {
            _ if !problems.is_empty() => Verdict::Advisory(finding(
                self,
                problems,
                "numbers in range, a minimum not above the maximum, and one class of characters at least",
            )),
            Some(_) if !policy.was_looked_at() => Verdict::unknown(NO_CHANNEL, "none of their channels was reported"),
            Some(uncertain) => Verdict::Unknown(policy.gap(uncertain)),
            None => Verdict::Ready,
        }
    }
}

/// Everything that is wrong with the values that are known; empty where nothing is.
fn problems(values: &Values) -> String {
    let mut text = String::new();
    let mut tell = |problem: std::fmt::Arguments<'_>| {
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{problem}"); // a `String` takes it always
    };
    for ((setting, least, most, _), value) in SETTINGS.iter().zip(values) {
        if let Some((value, Some(channel))) = value
            && !(*least..=*most).contains(value)
        {
            tell(format_args!("{} is not {least} to {most}", set_by(*setting, *channel, *value)));
        }
    }
    // Lengths out of range are told above, and what they come down to is not known.
    let length = |place: usize| values[place].filter(|(value, _)| (4..=127).contains(value));
    if let [Some((minimum, _)), Some((maximum, _))] = LENGTHS.map(length)
        && minimum > maximum
    {
        tell(format_args!("a minimum of {minimum} above a maximum of {maximum}, so Windows passes over both"));
    }
    if values[CLASSES].iter().all(|value| matches!(value, Some((FORBIDDEN, _)))) {
        tell(format_args!("all four classes of characters are forbidden, so no PIN can be made"));
    }
    text
}

#[cfg(test)]
mod tests {
    use muster_evidence::{HelloPolicy, PinComplexity};

    use super::*;
    use crate::check::fixture::Host;

    fn pin(pin: PinComplexity) -> HelloPolicy {
        HelloPolicy { pin, ..HelloPolicy::default() }
    }

    fn computer(values: PinComplexity) -> Host {
        Host::endpoint().no_policy().channel(Channel::ComputerPolicy, pin(values))
    }

    fn judged(host: &Host) -> String {
        host.judge(&PinComplexityCheck, &Policy::default()).remove(0)
    }

    #[test]
    fn both_ends_of_every_range() {
        type Put = fn(&mut PinComplexity, u32);
        let cases: [(Put, &str, u32, u32); 8] = [
            (
                |pin, value| (pin.minimum_length, pin.maximum_length) = (Some(value), Some(127)),
                "MinimumPINLength",
                4,
                127,
            ),
            (
                |pin, value| (pin.minimum_length, pin.maximum_length) = (Some(4), Some(value)),
                "MaximumPINLength",
                4,
                127,
            ),
            (|pin, value| pin.uppercase = Some(value), "UppercaseLetters", 0, 2),
            (|pin, value| pin.lowercase = Some(value), "LowercaseLetters", 0, 2),
            (|pin, value| pin.special = Some(value), "SpecialCharacters", 0, 2),
            // 2 forbids all four classes, since the others are forbidden where nothing is set.
            (|pin, value| (pin.digits, pin.special) = (Some(value), Some(0)), "Digits", 0, 2),
            (|pin, value| pin.history = Some(value), "History", 0, 50),
            (|pin, value| pin.expiration_days = Some(value), "Expiration", 0, 730),
        ];
        for (put, name, least, most) in cases {
            let with = |value| {
                let mut values = PinComplexity::default();
                put(&mut values, value);
                judged(&computer(values))
            };
            assert_eq!((with(least).as_str(), with(most).as_str()), ("ready", "ready"), "{name}");
            for wrong in [least.checked_sub(1), Some(most + 1)].into_iter().flatten() {
                let expected = format!(
                    "advisory: `PINComplexity\\{name} = {wrong}` in the computer's group policy is not {least} to \
                     {most} (needed: numbers in range, a minimum not above the maximum, and one class of characters at \
                     least)"
                );
                assert_eq!(with(wrong), expected);
            }
        }
    }

    #[test]
    fn what_they_mean_together() {
        let none = PinComplexity::default();
        let lengths = |minimum, maximum| PinComplexity { minimum_length: minimum, maximum_length: maximum, ..none };
        let needed =
            "(needed: numbers in range, a minimum not above the maximum, and one class of characters at least)";
        let forbidden =
            format!("advisory: all four classes of characters are forbidden, so no PIN can be made {needed}");
        let above = format!("advisory: a minimum of 9 above a maximum of 8, so Windows passes over both {needed}");
        let unread = "unknown: the user's group policy: access denied: not allowed";
        let cases: [(Host, &str); 17] = [
            (computer(none), "ready"),
            (Host::endpoint().no_policy(), "ready"),
            (computer(lengths(Some(8), Some(8))), "ready"),
            (computer(lengths(Some(9), Some(8))), &above),
            // One length of each channel, each by precedence.
            (computer(lengths(Some(9), None)).channel(Channel::DeviceMdm, pin(lengths(Some(4), Some(8)))), &above),
            (computer(PinComplexity { digits: Some(2), ..none }), &forbidden),
            (
                computer(PinComplexity {
                    uppercase: Some(2),
                    lowercase: Some(2),
                    special: Some(2),
                    digits: Some(2),
                    ..none
                }),
                &forbidden,
            ),
            (computer(PinComplexity { digits: Some(2), lowercase: Some(0), ..none }), "ready"),
            (computer(PinComplexity { digits: Some(0), ..none }), "ready"),
            (computer(none).unread(Channel::UserPolicy), unread),
            (computer(lengths(Some(9), Some(8))).unread(Channel::UserPolicy), unread),
            (computer(lengths(Some(9), Some(8))).unread(Channel::DeviceMdm), &above),
            (
                computer(lengths(Some(8), Some(9))).unread(Channel::DeviceMdm),
                "unknown: the device's MDM policy: access denied: not allowed",
            ),
            (Host::endpoint(), "unknown: the policies that set Hello: none of their channels was reported"),
            (
                Host::endpoint().failed(Kind::ComputerPolicy),
                "unknown: the computer's group policy: access denied: not allowed",
            ),
            (Host::linux(), "not-applicable: not a Windows client"),
            (Host::dc(), "not-applicable: domain controller"),
        ];
        for (host, expected) in cases {
            assert_eq!(judged(&host), expected);
        }
    }

    #[test]
    fn several_problems_are_told_together() {
        let values = PinComplexity { history: Some(51), expiration_days: Some(731), ..PinComplexity::default() };
        assert_eq!(
            judged(&computer(values)),
            "advisory: `PINComplexity\\History = 51` in the computer's group policy is not 0 to 50; \
             `PINComplexity\\Expiration = 731` in the computer's group policy is not 0 to 730 (needed: numbers in \
             range, a minimum not above the maximum, and one class of characters at least)"
        );
    }
}
