//! Policy: the thresholds, and which checks a site requires.
//!
//! There is no file format here: the structures derive serde, and whoever reads a text chooses one. A policy that
//! [`Policy::validate`] finds nothing wrong with can be judged by; nothing downstream checks a number again.

mod pool;

use std::collections::BTreeMap;

use muster_evidence::{Guid, SiteRef, Timestamp, limits};
use serde::{Deserialize, Serialize};

pub use self::pool::{Pool, PoolPolicy, Pools};
use crate::check::{CHECKS, nearest_check};
use crate::reference::{ErrorCodes, KnownBadBuilds, Reference, RocaFirmware};

/// Longest text of a policy, in bytes.
pub const POLICY_BYTES: usize = 64 * 1024;

/// The longest time over which the people of a machine can be counted, in days: who was seen before that is not kept.
pub const LONGEST_SHARED_DAYS: u32 = 90;

/// The greatest number of people above which a machine can be listed as shared: one less than are told apart.
const MOST_SHARED_USERS: u32 = 23;

const _: () =
    assert!(MOST_SHARED_USERS as usize + 1 == limits::USERS_PER_HOST, "a host's people must be able to exceed it");

/// Hours within which a machine of a pool must have been heard of to be counted in it.
pub const POOL_SEEN_HOURS: i64 = 24;

/// Everything that can be set about judging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Windows client build from which the join and prerequisite fields are complete (17763 is 1809).
    pub client_build_ready: u32,
    /// Windows client build below which hybrid Hello does not exist (10586 is 1511).
    pub client_build_least: u32,
    /// Windows Server build from which a domain controller serves key trust (14393 is 2016).
    pub dc_build_least: u32,
    /// A certificate that ends sooner than this is an advisory, in days...
    pub certificate_warning_days: u32,
    /// ...or sooner than this share of its lifetime, in percent; the smaller of the two counts.
    pub certificate_warning_percent: u32,
    /// Least length of a domain controller's RSA key, in bits.
    pub rsa_bits_least: u32,
    /// Whether Hello keys must lie in a TPM here, so that a machine without one is blocked.
    pub required_security_device: bool,
    /// How long facts about an endpoint hold while it is silent, in days.
    pub endpoint_fresh_days: u32,
    /// How long facts about a user hold after the last sign-in on the machine, in days.
    pub user_fresh_days: u32,
    /// How long facts about a domain controller hold while it is silent, in seconds.
    pub dc_fresh_seconds: u32,
    /// How long facts about a domain controller that rarely change hold while it is silent, in hours.
    pub dc_slow_fresh_hours: u32,
    /// How long facts about a site hold, in hours.
    pub site_fresh_hours: u32,
    /// How long a reading of the directory holds, in minutes.
    pub directory_fresh_minutes: u32,
    /// Interval of the synchronisation scheduler, in minutes.
    pub sync_interval_minutes: u32,
    /// Duration of one synchronisation cycle that 95 % of the cycles keep, in minutes.
    pub sync_cycle_minutes: u32,
    /// Replication to the domain controllers of the user's site that 95 % of the changes keep, in minutes.
    pub replication_minutes: u32,
    /// A user counts at a site if seen there within this time, in days.
    pub user_seen_days: u32,
    /// A machine that more people than this sign in to is listed as shared...
    pub shared_users_above: u32,
    /// ...if they do so within this time, in days.
    pub shared_seen_days: u32,
    /// How long something is kept of a machine of a pool that is heard of no more, in days.
    pub pool_kept_days: u32,
    /// Of how many machines of a pool something is kept; of more, those heard of longest ago are forgotten first. Those
    /// heard of within the last 24 hours stay.
    pub pool_kept_hosts: u32,
    /// Share of the users seen who must be ready for `Go`, in percent.
    pub ready_share_percent: u32,
    /// Share of the expected endpoints that must have fresh evidence, in percent.
    pub coverage_least_percent: u32,
    /// The trust model that is rolled out.
    pub expected_trust: TrustType,
    /// Whether an endpoint of another trust model than the expected one is blocked until it is moved. If not, it works in
    /// another way: it leaves the population and is counted apart.
    pub move_other_trust: bool,
    /// How far a clock may be ahead of or behind the collector's before that is an advisory, in seconds.
    pub clock_warning_seconds: u32,
    /// How far it may be before Kerberos refuses it, in seconds (its default is five minutes).
    pub clock_limit_seconds: u32,
    /// A device certificate that ends sooner than this is an advisory, in days.
    pub device_certificate_warning_days: u32,
    /// A domain controller that had nothing from a partner for so long is an advisory, in hours.
    pub replication_stale_hours: u32,
    /// The Entra ID tenant that devices should belong to; `None` while it is not set.
    pub expected_tenant: Option<Guid>,
    /// Checks that count towards readiness; empty: all that are not disabled.
    pub required_checks: Vec<String>,
    /// Checks that are not judged at all.
    pub disabled_checks: Vec<String>,
    /// Builds with a known fault, instead of those built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_bad_builds: Option<KnownBadBuilds>,
    /// TPM firmware whose keys can be factored, instead of that built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roca_firmware: Option<RocaFirmware>,
    /// Error codes and their meaning, instead of those built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_codes: Option<ErrorCodes>,
    /// Non-persistent desktops, which count among no endpoints. A machine belongs to the first pool that matches.
    pub pools: Vec<PoolPolicy>,
    /// What differs at single sites, by the site's name or by `forest/name`.
    pub sites: BTreeMap<String, SiteOverride>,
}

/// What differs at a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteOverride {
    /// See [`Policy::ready_share_percent`].
    pub ready_share_percent: Option<u32>,
    /// See [`Policy::coverage_least_percent`].
    pub coverage_least_percent: Option<u32>,
    /// See [`Policy::expected_trust`].
    pub expected_trust: Option<TrustType>,
}

/// What is in force at a site, with its overrides applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SitePolicy {
    /// See [`Policy::ready_share_percent`].
    pub ready_share_percent: u32,
    /// See [`Policy::coverage_least_percent`].
    pub coverage_least_percent: u32,
    /// See [`Policy::expected_trust`].
    pub expected_trust: TrustType,
}

/// How Windows Hello for Business proves itself to the on-premises directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::enum_variant_names, reason = "these are the names that Microsoft and operators use")]
pub enum TrustType {
    /// By a key that Connect writes to the user's object.
    #[default]
    KeyTrust,
    /// By a ticket from Entra ID.
    CloudKerberosTrust,
    /// By a certificate for the user.
    CertificateTrust,
}

impl TrustType {
    /// The words used in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyTrust => "key trust",
            Self::CloudKerberosTrust => "cloud Kerberos trust",
            Self::CertificateTrust => "certificate trust",
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            client_build_ready: 17_763,
            client_build_least: 10_586,
            dc_build_least: 14_393,
            certificate_warning_days: 28,
            certificate_warning_percent: 10,
            rsa_bits_least: 2_048,
            required_security_device: false,
            endpoint_fresh_days: 14,
            user_fresh_days: 14,
            dc_fresh_seconds: 3_600,
            dc_slow_fresh_hours: 24,
            site_fresh_hours: 24,
            directory_fresh_minutes: 60,
            sync_interval_minutes: 30,
            sync_cycle_minutes: 10,
            replication_minutes: 15,
            user_seen_days: 30,
            shared_users_above: 10,
            shared_seen_days: 30,
            pool_kept_days: 30,
            pool_kept_hosts: 20_000,
            ready_share_percent: 90,
            coverage_least_percent: 80,
            expected_trust: TrustType::KeyTrust,
            move_other_trust: false,
            clock_warning_seconds: 60,
            clock_limit_seconds: 300,
            device_certificate_warning_days: 30,
            replication_stale_hours: 24,
            expected_tenant: None,
            required_checks: Vec::new(),
            disabled_checks: Vec::new(),
            known_bad_builds: None,
            roca_firmware: None,
            error_codes: None,
            pools: Vec::new(),
            sites: BTreeMap::new(),
        }
    }
}

/// Something in a policy that cannot be judged by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// A number lies outside its bounds.
    #[error("invalid `{key}`: {found} (expected {least} to {most})")]
    OutOfBounds {
        /// The setting.
        key: String,
        /// The number found.
        found: u32,
        /// The least that is allowed.
        least: u32,
        /// The most that is allowed.
        most: u32,
    },
    /// A list names a check that this build does not have.
    #[error("unknown check `{id}` in `{key}`{}", suggestion(*.nearest))]
    UnknownCheck {
        /// The list.
        key: &'static str,
        /// The id found.
        id: String,
        /// The known id that is nearest to it.
        nearest: Option<&'static str>,
    },
    /// A check is required and disabled at once.
    #[error("check `{id}` is both in `required_checks` and in `disabled_checks`")]
    RequiredAndDisabled {
        /// The check.
        id: String,
    },
    /// Two thresholds are in the wrong order.
    #[error("`{lower}` ({lower_found}) is above `{upper}` ({upper_found})")]
    WrongOrder {
        /// The setting that must not be greater.
        lower: &'static str,
        /// Its number.
        lower_found: u32,
        /// The setting that must not be smaller.
        upper: &'static str,
        /// Its number.
        upper_found: u32,
    },
    /// There are more pools than are compared with every name.
    #[error("{found} pools (at most {most} are allowed)")]
    TooManyPools {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A table of reference data is not one that can be judged by.
    #[error("`{table}`: {problem}")]
    Table {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A pool cannot be matched against, or not told from another.
    #[error("pool `{pool}`: {problem}")]
    Pool {
        /// Its name, or its place where it has none.
        pool: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn suggestion(nearest: Option<&'static str>) -> String {
    nearest.map(|id| format!(" (did you mean `{id}`?)")).unwrap_or_default()
}

impl Policy {
    /// The names of settings that a default policy does not spell out, since they have no default.
    pub const WITHOUT_DEFAULT: &[&str] = &["expected_tenant", "known_bad_builds", "roca_firmware", "error_codes"];

    /// What is known of builds, firmware and error codes: its own tables, and what is built in for the others.
    pub fn reference(&self) -> Reference<'_> {
        Reference::new(self.known_bad_builds.as_ref(), self.roca_firmware.as_ref(), self.error_codes.as_ref())
    }

    /// How long before its end a certificate of that validity is near it, in milliseconds: the warning's days, or its
    /// share of the lifetime where that is less.
    pub fn certificate_warning_ms(&self, not_before: Timestamp, not_after: Timestamp) -> i64 {
        let by_days = i64::from(self.certificate_warning_days) * 86_400_000;
        // A lifetime is below 2^49 ms and the share at most 100, so this cannot overflow.
        let by_share = not_after.ms_since(not_before).max(0) * i64::from(self.certificate_warning_percent) / 100;
        by_days.min(by_share)
    }

    /// Everything wrong with it; empty when it can be judged by.
    pub fn validate(&self) -> Vec<InvalidPolicy> {
        // (key, value, least, most)
        let numbers = [
            ("client_build_ready", self.client_build_ready, 10_240, 99_999),
            ("client_build_least", self.client_build_least, 10_240, 99_999),
            ("dc_build_least", self.dc_build_least, 14_393, 99_999),
            ("certificate_warning_days", self.certificate_warning_days, 0, 365),
            ("certificate_warning_percent", self.certificate_warning_percent, 0, 100),
            ("rsa_bits_least", self.rsa_bits_least, 1_024, 16_384),
            ("endpoint_fresh_days", self.endpoint_fresh_days, 1, 90),
            ("user_fresh_days", self.user_fresh_days, 1, 90),
            ("dc_fresh_seconds", self.dc_fresh_seconds, 5, 7 * 86_400),
            ("dc_slow_fresh_hours", self.dc_slow_fresh_hours, 1, 30 * 24),
            ("site_fresh_hours", self.site_fresh_hours, 1, 30 * 24),
            ("directory_fresh_minutes", self.directory_fresh_minutes, 1, 7 * 24 * 60),
            // Entra ID does not allow a shorter interval than 30 minutes; a delta is due at least every seven days.
            ("sync_interval_minutes", self.sync_interval_minutes, 30, 7 * 24 * 60),
            ("sync_cycle_minutes", self.sync_cycle_minutes, 1, 24 * 60),
            ("replication_minutes", self.replication_minutes, 0, 7 * 24 * 60),
            ("user_seen_days", self.user_seen_days, 1, 365),
            // A host's people are told apart up to a bound, so that only less than that can be exceeded.
            ("shared_users_above", self.shared_users_above, 1, MOST_SHARED_USERS),
            ("shared_seen_days", self.shared_seen_days, 1, LONGEST_SHARED_DAYS),
            ("pool_kept_days", self.pool_kept_days, 1, 365),
            ("pool_kept_hosts", self.pool_kept_hosts, 100, 1_000_000),
            ("ready_share_percent", self.ready_share_percent, 1, 100),
            ("coverage_least_percent", self.coverage_least_percent, 1, 100),
            ("clock_warning_seconds", self.clock_warning_seconds, 1, 3_600),
            ("clock_limit_seconds", self.clock_limit_seconds, 1, 36_000),
            ("device_certificate_warning_days", self.device_certificate_warning_days, 0, 365),
            ("replication_stale_hours", self.replication_stale_hours, 1, 60 * 24),
        ];
        let mut problems = Vec::new();
        for (key, found, least, most) in numbers {
            bound(&mut problems, || key.to_owned(), found, least, most);
        }
        for (lower, lower_found, upper, upper_found) in [
            ("client_build_least", self.client_build_least, "client_build_ready", self.client_build_ready),
            ("clock_warning_seconds", self.clock_warning_seconds, "clock_limit_seconds", self.clock_limit_seconds),
        ] {
            if lower_found > upper_found {
                problems.push(InvalidPolicy::WrongOrder { lower, lower_found, upper, upper_found });
            }
        }
        for (key, ids) in [("required_checks", &self.required_checks), ("disabled_checks", &self.disabled_checks)] {
            for id in ids {
                if !CHECKS.iter().any(|check| check.id() == id) {
                    problems.push(InvalidPolicy::UnknownCheck { key, id: id.clone(), nearest: nearest_check(id) });
                }
            }
        }
        for id in &self.required_checks {
            if self.disabled_checks.contains(id) {
                problems.push(InvalidPolicy::RequiredAndDisabled { id: id.clone() });
            }
        }
        for (site, set) in &self.sites {
            for (key, found) in [
                ("ready_share_percent", set.ready_share_percent),
                ("coverage_least_percent", set.coverage_least_percent),
            ] {
                if let Some(found) = found {
                    bound(&mut problems, || format!("sites.\"{site}\".{key}"), found, 1, 100);
                }
            }
        }
        pool::validate(&self.pools, &mut problems);
        let tables = self.reference().problems().into_iter();
        problems.extend(tables.map(|(table, problem)| InvalidPolicy::Table { table, problem }));
        problems
    }

    /// What is in force at a site: the overrides under `forest/name` first, then those under the name alone.
    pub fn for_site(&self, site: &SiteRef) -> SitePolicy {
        let mut set = self.everywhere();
        let spelt = site.to_string();
        for wanted in [site.name.as_str(), spelt.as_str()] {
            let found = self.sites.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            if let Some((_, SiteOverride { ready_share_percent, coverage_least_percent, expected_trust })) = found {
                set.ready_share_percent = ready_share_percent.unwrap_or(set.ready_share_percent);
                set.coverage_least_percent = coverage_least_percent.unwrap_or(set.coverage_least_percent);
                set.expected_trust = expected_trust.unwrap_or(set.expected_trust);
            }
        }
        set
    }

    /// What is in force where the site may not be known.
    pub(crate) fn for_site_or_everywhere(&self, site: Option<&SiteRef>) -> SitePolicy {
        match site {
            Some(site) if !self.sites.is_empty() => self.for_site(site),
            _ => self.everywhere(),
        }
    }

    /// Whether a check is judged.
    pub fn judges(&self, check: &str) -> bool {
        !self.disabled_checks.iter().any(|id| id == check)
    }

    /// Whether a check counts towards readiness.
    pub fn requires(&self, check: &str) -> bool {
        self.judges(check) && (self.required_checks.is_empty() || self.required_checks.iter().any(|id| id == check))
    }

    const fn everywhere(&self) -> SitePolicy {
        SitePolicy {
            ready_share_percent: self.ready_share_percent,
            coverage_least_percent: self.coverage_least_percent,
            expected_trust: self.expected_trust,
        }
    }
}

fn bound(problems: &mut Vec<InvalidPolicy>, key: impl FnOnce() -> String, found: u32, least: u32, most: u32) {
    if !(least..=most).contains(&found) {
        problems.push(InvalidPolicy::OutOfBounds { key: key(), found, least, most });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> SiteRef {
        SiteRef { forest: "corp.example".parse().unwrap(), name: name.parse().unwrap(), object_guid: None }
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Policy::default().validate(), []);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let policy = Policy {
            client_build_ready: 10_500,
            client_build_least: 17_763,
            ready_share_percent: 101,
            rsa_bits_least: 512,
            required_checks: vec!["tpm.vesion".into(), "join.type".into()],
            disabled_checks: vec!["join.type".into(), "zzzzzzzzzzzz".into()],
            sites: BTreeMap::from([(
                "Berlin".to_owned(),
                SiteOverride { coverage_least_percent: Some(0), ..SiteOverride::default() },
            )]),
            ..Policy::default()
        };
        let texts: Vec<_> = policy.validate().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "invalid `rsa_bits_least`: 512 (expected 1024 to 16384)",
                "invalid `ready_share_percent`: 101 (expected 1 to 100)",
                "`client_build_least` (17763) is above `client_build_ready` (10500)",
                "unknown check `tpm.vesion` in `required_checks` (did you mean `tpm.version`?)",
                "unknown check `zzzzzzzzzzzz` in `disabled_checks`",
                "check `join.type` is both in `required_checks` and in `disabled_checks`",
                "invalid `sites.\"Berlin\".coverage_least_percent`: 0 (expected 1 to 100)",
            ]
        );
    }

    #[test]
    fn every_number_has_bounds_that_are_checked() {
        let zero = Policy {
            client_build_ready: 0,
            client_build_least: 0,
            dc_build_least: 0,
            certificate_warning_days: 366,
            certificate_warning_percent: 101,
            rsa_bits_least: 0,
            endpoint_fresh_days: 0,
            user_fresh_days: 0,
            dc_fresh_seconds: 0,
            dc_slow_fresh_hours: 0,
            site_fresh_hours: 0,
            directory_fresh_minutes: 0,
            sync_interval_minutes: 0,
            sync_cycle_minutes: 0,
            replication_minutes: u32::MAX,
            user_seen_days: 0,
            shared_users_above: 24,
            shared_seen_days: 91,
            pool_kept_days: 0,
            pool_kept_hosts: 99,
            ready_share_percent: 0,
            coverage_least_percent: 0,
            ..Policy::default()
        };
        assert_eq!(zero.validate().len(), 22);
    }

    #[test]
    fn the_more_specific_override_wins() {
        let policy = Policy {
            sites: BTreeMap::from([
                ("berlin".to_owned(), SiteOverride { ready_share_percent: Some(50), ..SiteOverride::default() }),
                (
                    "corp.example/Berlin".to_owned(),
                    SiteOverride {
                        ready_share_percent: Some(60),
                        expected_trust: Some(TrustType::CertificateTrust),
                        ..SiteOverride::default()
                    },
                ),
            ]),
            ..Policy::default()
        };
        let berlin = policy.for_site(&site("Berlin"));
        assert_eq!((berlin.ready_share_percent, berlin.coverage_least_percent), (60, 80));
        assert_eq!(berlin.expected_trust, TrustType::CertificateTrust);
        assert_eq!(policy.for_site(&site("Paris")).ready_share_percent, 90);
    }

    #[test]
    fn required_and_disabled_checks_are_told_apart() {
        let policy = Policy {
            required_checks: vec!["join.type".into()],
            disabled_checks: vec!["tpm.version".into()],
            ..Policy::default()
        };
        assert!(policy.judges("join.type") && policy.requires("join.type"));
        assert!(policy.judges("tpm.present") && !policy.requires("tpm.present"));
        assert!(!policy.judges("tpm.version") && !policy.requires("tpm.version"));
    }
}
