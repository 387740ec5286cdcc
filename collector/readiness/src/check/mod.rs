//! The checks: one file each, and the list of them in the order people will see.
//!
//! A check reads facts and answers for every subject it speaks of. It reads no other check's verdict; what several
//! checks need is derived once in `crate::derive`, and how they look at observations is in `answer`.

use std::fmt;

use muster_evidence::{Kind, Timestamp};
use serde::Serialize;

use crate::{Facts, Freshness, Judgement, Policy, SiteFacts, Standing};

pub(crate) mod answer;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
pub(crate) mod fixture;
mod page;

mod dc;
mod firmware;
mod join;
mod net;
mod os;
mod pki;
mod policy;
mod prereq;
mod prt;
mod site;
mod sync;
mod tenant;
mod tpm;
mod user;

pub use self::page::{Page, index_markdown, page_markdown};
pub use self::prereq::steps::{REMOTE_SESSION, keeps_last_verdict};

/// Every check, in the order people see them.
pub const CHECKS: &[&dyn Check] = &[
    &tpm::present::TpmPresent,
    &tpm::version::TpmVersion,
    &tpm::ready::TpmReady,
    &tpm::lockout::TpmNotLocked,
    &tpm::fips::TpmFips,
    &tpm::firmware_roca::RocaFirmwareCheck,
    &tpm::attestation::TpmAttestation,
    &firmware::uefi::NativeUefi,
    &os::client_build::ClientBuild,
    &os::client_known_bad::ClientKnownBad,
    &join::kind::JoinType,
    &join::tenant_match::TenantMatch,
    &join::device_key::DeviceKey,
    &join::device_auth::DeviceAuthentication,
    &join::cert_validity::DeviceCertificateValidity,
    &join::registration_diagnostics::RegistrationDiagnosis,
    &join::workplace_residue::WorkplaceResidue,
    &prt::present::PrtPresent,
    &prt::fresh::PrtFresh,
    &prt::onprem_tgt::PrtOnPremTgt,
    &user::ngc_set::NgcSet,
    &user::can_reset::PinReset,
    &user::wam_default::WamDefault,
    &user::convenience_pin::ConveniencePin,
    &user::upn_drift::UpnDrift,
    &prereq::ngc::NgcPrerequisiteCheck,
    &prereq::event::ProvisioningEventCheck,
    &prereq::session_not_remote::SessionNotRemote,
    &policy::enabled::PolicyEnabled,
    &policy::post_logon::PostLogon,
    &policy::require_security_device::RequireSecurityDevice,
    &policy::exclude_tpm12::ExcludeTpm12,
    &policy::trust_type::ExpectedTrust,
    &policy::pin_complexity::PinComplexityCheck,
    &policy::biometrics::Biometrics,
    &policy::gpo_mdm_conflict::GpoMdmConflict,
    &net::dc_line_of_sight::DcLineOfSight,
    &net::entra_endpoints::EntraEndpoints,
    &net::time_skew::TimeSkew,
    &pki::root_trusted::RootTrusted,
    &pki::ntauth::NtAuth,
    &dc::os_version::DcOsVersion,
    &dc::known_bad_build::KnownBadDcBuild,
    &dc::kdc_service::KdcServiceRuns,
    &dc::cert_present::CertPresent,
    &dc::cert_eku::CertEku,
    &dc::cert_san::CertSan,
    &dc::cert_key::CertKey,
    &dc::cert_validity::CertValidity,
    &dc::cert_chain::CertChain,
    &dc::cert_cdp::CertCdp,
    &dc::crl_fresh::CrlFresh,
    &dc::cert_template::CertTemplate,
    &dc::cert_superseded::CertSuperseded,
    &dc::cert_shadowed::CertShadowed,
    &dc::kdc_events::KdcEvents,
    &dc::ntauth_policy::NtAuthPolicy,
    &dc::roca_policy::RocaPolicy,
    &dc::kdc_as_rate::KdcAsRate,
    &dc::replication::InboundReplication,
    &sync::key_state::KeySyncState,
    &site::coverage::SiteCoverage,
    &tenant::quota::Quota,
];

/// The id of the check that says how much of a site is seen.
pub(crate) const SITE_COVERAGE: &str = "site.coverage";

/// The id of the check that says by which trust model people sign in.
pub(crate) const TRUST_TYPE: &str = "policy.trust-type";

/// How the reason begins where that is another model than the expected one.
pub(crate) const OTHER_TRUST: &str = "other trust";

/// A rule.
pub trait Check: Sync {
    /// Id of the form `group.kebab-name`, as in the catalogue.
    fn id(&self) -> &'static str;

    /// One line that says what it asks.
    fn title(&self) -> &'static str;

    /// What it speaks of.
    fn scope(&self) -> Scope;

    /// How grave a failure is.
    fn severity(&self) -> Severity;

    /// How long its evidence holds while the machine is silent.
    fn freshness(&self) -> Freshness;

    /// The same on a domain controller, where a check speaks of both ([`Scope::Machine`]).
    fn freshness_on_dc(&self) -> Freshness {
        self.freshness()
    }

    /// The kinds of evidence it reads.
    fn reads(&self) -> &'static [Kind];

    /// What it means, why the threshold is what it is, and how to fix it: the text of its page.
    fn page(&self) -> Page;

    /// Judges the host's facts. Empty where the check does not speak of hosts of this kind at all.
    fn judge(&self, facts: &Facts<'_>, policy: &Policy, now: Timestamp) -> Vec<Judgement>;

    /// Judges a site's facts; only checks of scope `Site` answer.
    fn judge_site(&self, _site: &SiteFacts, _policy: &Policy, _now: Timestamp) -> Option<Judgement> {
        None
    }
}

impl fmt::Debug for dyn Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// What a check speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// A machine that people sign in to.
    Endpoint,
    /// A user on such a machine.
    EndpointUser,
    /// A domain controller.
    DomainController,
    /// Either of them, by one rule: an endpoint's answer counts in its site's population, a controller's in the gate.
    Machine,
    /// A site.
    Site,
}

impl Scope {
    /// The words used in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::EndpointUser => "user on an endpoint",
            Self::DomainController => "domain controller",
            Self::Machine => "endpoint, domain controller",
            Self::Site => "site",
        }
    }

    /// Whether a check of this scope speaks of the people of a site and of the machines they sign in to.
    pub const fn is_of_population(self) -> bool {
        matches!(self, Self::Endpoint | Self::EndpointUser | Self::Machine)
    }

    /// Whether a check of this scope speaks of domain controllers, and so stands in the gate.
    pub const fn is_of_controllers(self) -> bool {
        matches!(self, Self::DomainController | Self::Machine)
    }
}

/// How grave a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Key trust cannot work, or provisioning will not start, while it fails.
    Blocker,
    /// It is weaker or riskier than it should be.
    Advisory,
    /// It blocks nobody and is shown for what it tells.
    Informative,
    /// A blocker where that population exists, an advisory where it does not.
    BlockerFor(&'static str),
}

impl Severity {
    /// The words used in texts.
    pub fn words(self) -> String {
        match self {
            Self::Blocker => "blocker".to_owned(),
            Self::Advisory => "advisory".to_owned(),
            Self::Informative => "informative".to_owned(),
            Self::BlockerFor(population) => format!("blocker for {population}, otherwise advisory"),
        }
    }

    /// What a verdict of such a check adds to what its subject stands at.
    ///
    /// A check that could not hold anybody up by failing does not do so by a gap: it weighs as the advisory that it
    /// might be. The verdict itself stays `Unknown`, and is shown and counted as that.
    pub fn weighs(self, standing: Standing) -> Standing {
        match self {
            Self::Advisory => standing.min(Standing::Advisory),
            Self::Blocker | Self::Informative | Self::BlockerFor(_) => standing,
        }
    }
}

/// The check with that id.
pub fn check_by_id(id: &str) -> Option<&'static dyn Check> {
    check_index(id).map(|index| CHECKS[index])
}

/// The place in [`CHECKS`] of the check with that id.
pub(crate) fn check_index(id: &str) -> Option<usize> {
    CHECKS.iter().position(|check| check.id() == id)
}

/// The known id nearest to a text that is none; `None` where nothing is near.
pub fn nearest_check(id: &str) -> Option<&'static str> {
    CHECKS
        .iter()
        .map(|check| (strsim::jaro_winkler(id, check.id()), check.id()))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_well_formed() {
        let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id()).collect();
        assert_eq!(ids.len(), CHECKS.len());
        for id in ids {
            let (group, name) = id.split_once('.').unwrap();
            let word = |text: &str, more: &str| {
                text.starts_with(|c: char| c.is_ascii_lowercase())
                    && text.chars().all(|c| c.is_ascii_lowercase() || more.contains(c))
            };
            assert!(word(group, "") && word(name, "-0123456789"), "{id}");
        }
        assert!(CHECKS.len() <= 128, "a `CheckSet` holds 128 checks");
        assert!(check_by_id(SITE_COVERAGE).is_some());
    }

    #[test]
    fn a_misspelt_id_is_answered_with_the_nearest() {
        for (id, nearest) in [
            ("tpm.vesion", Some("tpm.version")),
            ("dc.cert-ekus", Some("dc.cert-eku")),
            ("sync.keystate", Some("sync.key-state")),
            ("qqqq", None),
            ("", None),
        ] {
            assert_eq!(nearest_check(id), nearest, "{id}");
        }
    }

    #[test]
    fn every_page_says_something() {
        for check in CHECKS {
            let Page { meaning, evidence, threshold, remedy, source, query, alert } = check.page();
            for text in [check.title(), meaning, evidence, threshold, remedy, source, query, alert] {
                assert!(text.len() > 8, "`{}` leaves a part of its page empty", check.id());
            }
            assert!(query.contains(check.id()) || query.contains("muster site"), "{}", check.id());
        }
    }
}
