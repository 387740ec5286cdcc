//! How checks look at observations and put their answers together.
//!
//! The two rules that every check keeps are here, once: what could not be observed is a gap, and a user's facts that
//! were read outside the user's session prove nothing.

use std::borrow::Cow;

use muster_evidence::{Context, Evidence, Kind, Observation, Outcome, Sid, Timestamp};

use super::Check;
use crate::derive::population::{is_domain_controller, not_an_endpoint, not_windows};
use crate::{Facts, Finding, Gap, Judged, Judgement, SiteFacts, Verdict};

/// What an observation gave.
pub(crate) enum Look<'a, T> {
    /// It was observed.
    Found(&'a T, &'a Observation),
    /// It was looked for and is not there.
    Absent(&'a Observation),
    /// Nobody looked, or looking failed.
    Gap(Gap),
}

/// Looks at an observation of a kind; `pick` takes the evidence of that kind.
pub(crate) fn look<'a, T>(
    observation: Option<&'a Observation>,
    kind: Kind,
    pick: impl FnOnce(&'a Evidence) -> Option<&'a T>,
) -> Look<'a, T> {
    let gap = |why: Cow<'static, str>| Look::Gap(Gap { missing: Cow::Borrowed(words(kind)), why });
    let Some(observation) = observation else {
        return gap(Cow::Borrowed("not reported"));
    };
    match &observation.outcome {
        Outcome::Observed(evidence) => match pick(evidence) {
            Some(found) => Look::Found(found, observation),
            None => gap(Cow::Owned(format!("the report carries {} under this name", words(evidence.kind())))),
        },
        Outcome::Absent => Look::Absent(observation),
        Outcome::Unsupported(unsupported) => {
            gap(Cow::Owned(format!("not available on this system: {}", unsupported.detail)))
        }
        Outcome::Failed(failure) => gap(Cow::Owned(format!("{}: {}", failure.reason, failure.detail))),
    }
}

/// `look` for one kind of evidence about the host, or about a user.
macro_rules! look_at {
    ($facts:expr, $kind:ident) => {
        $crate::check::answer::look($facts.host.of_host(Kind::$kind), Kind::$kind, |evidence| match evidence {
            muster_evidence::Evidence::$kind(found) => Some(found),
            _ => None,
        })
    };
    ($facts:expr, $kind:ident, $sid:expr) => {
        $crate::check::answer::look($facts.host.of_user(Kind::$kind, $sid), Kind::$kind, |evidence| match evidence {
            muster_evidence::Evidence::$kind(found) => Some(found),
            _ => None,
        })
    };
}
pub(crate) use look_at;

/// The words for a kind of evidence in a gap.
pub(crate) const fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Tpm => "the TPM",
        Kind::OperatingSystem => "the operating system",
        Kind::JoinState => "the join state",
        Kind::Prt => "the user's primary refresh token",
        Kind::Ngc => "the user's Hello container",
        Kind::NgcPrerequisites => "the prerequisite evaluation",
        Kind::KeyRegistration => "the key registration",
        Kind::DomainController => "the domain controller's names",
        Kind::CertificateListing => "the certificate store",
        Kind::Certificate => "the certificate",
        Kind::UserSession => "the user's session",
        Kind::PinProvider => "the user's PIN in the registry",
        Kind::ProvisioningEvent => "the provisioning event",
        Kind::UserPolicy => "the user's group policy",
        Kind::UserMdmPolicy => "the user's MDM policy",
        Kind::ComputerPolicy => "the computer's group policy",
        Kind::DeviceMdmPolicy => "the device's MDM policy",
        Kind::DeviceRegistrationPolicy => "the settings of device registration",
        Kind::RegistrationDiagnostics => "the registration diagnostics",
        Kind::DcLocator => "the locator's answers",
        Kind::RootStore => "the store of roots",
        Kind::NtAuthStore => "the NTAuth store",
        Kind::RevocationLists => "the revocation lists",
        Kind::DeviceEvents => "the events of registration and TPM",
        Kind::KdcEvents => "the KDC's events",
        Kind::KdcService => "the KDC service",
        Kind::KdcPolicy => "the KDC's settings",
        Kind::KdcLoad => "the rate of AS requests",
        Kind::Replication => "the replication",
        Kind::SyncScheduler => "the synchronisation scheduler",
        Kind::Clock => "the clock",
    }
}

/// One answer, without its subject.
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    pub(crate) valid_until: Option<Timestamp>,
    pub(crate) evidence_at: Option<Timestamp>,
}

impl Answer {
    /// An answer that rests on one observation and on no date in it.
    pub(crate) fn from(verdict: Verdict, observation: &Observation) -> Self {
        Self { verdict, valid_until: None, evidence_at: Some(observation.observed_at) }
    }

    /// A gap.
    pub(crate) fn gap(gap: Gap) -> Self {
        Self { verdict: Verdict::Unknown(gap), valid_until: None, evidence_at: None }
    }

    /// An answer that rests on nothing observed.
    pub(crate) fn bare(verdict: Verdict) -> Self {
        Self { verdict, valid_until: None, evidence_at: None }
    }

    /// The judgement about a subject.
    pub(crate) fn about(self, check: &dyn Check, subject: Judged) -> Judgement {
        let Self { verdict, valid_until, evidence_at } = self;
        Judgement { check: Cow::Borrowed(check.id()), subject, verdict, valid_until, evidence_at }
    }
}

/// A finding with the check's own remedy and source.
pub(crate) fn finding(check: &dyn Check, seen: impl Into<String>, needed: impl Into<Cow<'static, str>>) -> Finding {
    let page = check.page();
    Finding {
        seen: seen.into(),
        needed: needed.into(),
        remedy: Cow::Borrowed(page.remedy),
        source: Cow::Borrowed(page.source),
    }
}

/// The verdict of a finding that blocks Entra-joined clients alone, since only they validate the KDC strictly.
pub(crate) fn strict_population(site: &SiteFacts, finding: Finding) -> Verdict {
    match site.entra_joined_endpoints {
        Some(true) => Verdict::Blocked(finding),
        Some(false) => Verdict::Advisory(finding),
        None => Verdict::unknown(
            "whether Entra-joined endpoints belong to the site's population",
            format!("it decides whether this blocks: {}", finding.seen),
        ),
    }
}

/// Why the endpoint checks do not speak of this machine, if so.
///
/// A machine whose system is not known is judged: dsregcmd outputs, which say nothing of the system, come from
/// Windows alone.
fn not_a_windows_endpoint(facts: &Facts<'_>) -> Option<&'static str> {
    not_an_endpoint(facts.host).or_else(|| not_windows(facts.host).unwrap_or(false).then_some("not a Windows client"))
}

/// Judges an endpoint: not applicable where the machine is none.
pub(crate) fn judge_endpoint(check: &dyn Check, facts: &Facts<'_>, answer: impl FnOnce() -> Answer) -> Vec<Judgement> {
    let answer = match not_a_windows_endpoint(facts) {
        Some(reason) => Answer::bare(Verdict::not_applicable(reason)),
        None => answer(),
    };
    vec![answer.about(check, Judged::Host)]
}

/// Judges a machine by a rule that endpoints and domain controllers share: not applicable where it is neither.
pub(crate) fn judge_machine(check: &dyn Check, facts: &Facts<'_>, answer: impl FnOnce() -> Answer) -> Vec<Judgement> {
    let reason = if is_domain_controller(facts.host) { None } else { not_a_windows_endpoint(facts) };
    let answer = match reason {
        Some(reason) => Answer::bare(Verdict::not_applicable(reason)),
        None => answer(),
    };
    vec![answer.about(check, Judged::Host)]
}

/// Judges every person on an endpoint; one answer about the host where the machine is none.
///
/// Accounts that are not people are passed over. The null SID is judged: a capture that names no user is judged under
/// it locally.
pub(crate) fn judge_people(check: &dyn Check, facts: &Facts<'_>, answer: impl Fn(&Sid) -> Answer) -> Vec<Judgement> {
    if let Some(reason) = not_a_windows_endpoint(facts) {
        return vec![Answer::bare(Verdict::not_applicable(reason)).about(check, Judged::Host)];
    }
    facts.host.people().into_iter().map(|sid| answer(sid).about(check, Judged::User(sid.clone()))).collect()
}

/// Whether a user's fact was read where it means something, and what is missing if not.
pub(crate) enum Standpoint {
    /// In the user's own session: yes and no both count.
    Own,
    /// Not known where: a yes counts, since nothing else shows one; a no may be false.
    Unsaid,
    /// As a service: nothing counts.
    Wrong,
}

/// Where a user's fact was read.
pub(crate) const fn standpoint(observation: &Observation) -> Standpoint {
    match observation.context {
        Context::UserSession => Standpoint::Own,
        Context::Unknown => Standpoint::Unsaid,
        Context::Service => Standpoint::Wrong,
    }
}

/// The gap of a user's fact that was read as a service.
pub(crate) fn wrong_context(kind: Kind) -> Gap {
    Gap {
        missing: Cow::Borrowed(words(kind)),
        why: Cow::Borrowed(
            "wrong context: read by a service, where the answer means nothing; it must be read in the user's session",
        ),
    }
}

/// The gap of a user's negative fact of which it is not known where it was read.
pub(crate) fn unsaid_context(kind: Kind, seen: &str) -> Gap {
    Gap {
        missing: Cow::Borrowed(words(kind)),
        why: Cow::Owned(format!(
            "`{seen}` counts only from the user's own session, and where it was read is not known"
        )),
    }
}
