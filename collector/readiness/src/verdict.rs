//! Verdicts: what a check answers about a subject.

use std::borrow::Cow;
use std::fmt;

use muster_evidence::{Sid, Timestamp};
use serde::{Deserialize, Serialize};

/// The answer of a check about one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Verdict {
    /// What is needed is there.
    Ready,
    /// It works, but weaker or riskier than it should, or it fails for a part of the population only.
    Advisory(Finding),
    /// Key trust cannot work while this stands.
    Blocked(Finding),
    /// The evidence does not say. Never counts as ready.
    Unknown(Gap),
    /// The check does not speak of this subject, and why. Counts nowhere.
    NotApplicable(NotApplicable),
}

/// A verdict without its words: what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// See [`Verdict::NotApplicable`].
    NotApplicable,
    /// See [`Verdict::Ready`].
    Ready,
    /// See [`Verdict::Advisory`].
    Advisory,
    /// See [`Verdict::Unknown`].
    Unknown,
    /// See [`Verdict::Blocked`].
    Blocked,
}

impl Standing {
    /// Every standing, from the lightest to the gravest: `max` of several is the worst.
    pub const ALL: &'static [Self] = &[Self::NotApplicable, Self::Ready, Self::Advisory, Self::Unknown, Self::Blocked];

    /// The word used in texts, metrics and filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::Ready => "ready",
            Self::Advisory => "advisory",
            Self::Unknown => "unknown",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was seen, what is needed, what to do, and the page that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was seen, with its values.
    pub seen: String,
    /// What is needed instead, with the threshold.
    pub needed: Cow<'static, str>,
    /// What to do.
    pub remedy: Cow<'static, str>,
    /// The document that says so.
    pub source: Cow<'static, str>,
}

/// Which evidence is missing, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The evidence that is missing.
    pub missing: Cow<'static, str>,
    /// Why it is missing.
    pub why: Cow<'static, str>,
}

/// Why a check does not speak of a subject, such as `not capable` or `not started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotApplicable {
    /// The reason, from the vocabulary of the check catalogue.
    pub reason: Cow<'static, str>,
}

impl Verdict {
    /// The verdict without its words.
    pub const fn standing(&self) -> Standing {
        match self {
            Self::Ready => Standing::Ready,
            Self::Advisory(_) => Standing::Advisory,
            Self::Blocked(_) => Standing::Blocked,
            Self::Unknown(_) => Standing::Unknown,
            Self::NotApplicable(_) => Standing::NotApplicable,
        }
    }

    /// What it says, in one line: empty where everything needed is there.
    pub fn text(&self) -> String {
        match self {
            Self::Ready => String::new(),
            Self::Advisory(Finding { seen, needed, .. }) | Self::Blocked(Finding { seen, needed, .. }) => {
                if needed.is_empty() { seen.clone() } else { format!("{seen} (needed: {needed})") }
            }
            Self::Unknown(Gap { missing, why }) => format!("{missing}: {why}"),
            Self::NotApplicable(NotApplicable { reason }) => reason.clone().into_owned(),
        }
    }

    /// What was seen or is missing, without what is needed instead: for lists, where [`remedy`](Self::remedy) says what
    /// to do. Otherwise as [`text`](Self::text).
    pub fn seen(&self) -> String {
        match self {
            Self::Advisory(finding) | Self::Blocked(finding) => finding.seen.clone(),
            Self::Ready | Self::Unknown(_) | Self::NotApplicable(_) => self.text(),
        }
    }

    /// What to do about a finding; empty where there is none.
    pub fn remedy(&self) -> &str {
        match self {
            Self::Advisory(finding) | Self::Blocked(finding) => &finding.remedy,
            Self::Ready | Self::Unknown(_) | Self::NotApplicable(_) => "",
        }
    }

    /// A gap.
    pub fn unknown(missing: impl Into<Cow<'static, str>>, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Unknown(Gap { missing: missing.into(), why: why.into() })
    }

    /// A check that does not speak of its subject.
    pub fn not_applicable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::NotApplicable(NotApplicable { reason: reason.into() })
    }
}

/// What a verdict speaks of, relative to the facts it was judged from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judged {
    /// The host.
    Host,
    /// A user on the host.
    User(Sid),
    /// The site.
    Site,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::User(sid) => sid.fmt(f),
            Self::Site => f.write_str("site"),
        }
    }
}

/// A verdict of one check on one subject, and how long it holds by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The check, by its id.
    pub check: Cow<'static, str>,
    /// The subject.
    pub subject: Judged,
    /// The answer.
    pub verdict: Verdict,
    /// Until when it holds if no new evidence comes: an expiry or a deadline in the evidence. `None`: no such date.
    /// Staleness is not in here; it follows from when the machine was last seen ([`crate::held`]).
    pub valid_until: Option<Timestamp>,
    /// When the oldest observation it rests on was made; `None` where it rests on none.
    pub evidence_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_worse_than_an_advisory_and_lighter_than_a_blocker() {
        let worst = Standing::ALL.iter().copied().reduce(Ord::max);
        assert_eq!(worst, Some(Standing::Blocked));
        assert!(Standing::Unknown > Standing::Advisory && Standing::Unknown < Standing::Blocked);
    }
}
