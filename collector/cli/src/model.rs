//! What commands print: the answers of the collector in plain structures, which are also the JSON output.
//!
//! Times are RFC 3339 texts, words are those of the domain (`blocked`, `Go`), and what is not known is `null`.

use serde::Serialize;

/// Counts by standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) ready: u64,
    pub(crate) advisory: u64,
    pub(crate) blocked: u64,
    pub(crate) unknown: u64,
    pub(crate) not_applicable: u64,
}

impl Counts {
    /// Everything that counts: what is not applicable counts nowhere.
    pub(crate) const fn total(&self) -> u64 {
        self.ready + self.advisory + self.blocked + self.unknown
    }
}

/// The organisation in one look.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Organisation {
    pub(crate) snapshot: u64,
    pub(crate) as_of: Time,
    pub(crate) policy_revision: u64,
    pub(crate) collector_version: String,
    pub(crate) sites_go: u64,
    pub(crate) sites_partly: u64,
    pub(crate) sites_hold: u64,
    pub(crate) sites_unknown: u64,
    pub(crate) users: Counts,
    pub(crate) endpoints: Counts,
    pub(crate) dcs: Counts,
    pub(crate) hosts: u64,
    pub(crate) hosts_quiet: u64,
    pub(crate) hosts_without_site: u64,
    /// Hosts whose probe's certificate is near its end, or past it.
    pub(crate) certificates_near_end: u64,
    pub(crate) hosts_shared: u64,
    pub(crate) pools: Vec<Pool>,
    pub(crate) hosts_in_conflict: u64,
    pub(crate) top_reasons: Vec<Reason>,
    /// How the collector's listeners stand; `null` from a collector that does not say.
    pub(crate) access: Option<Access>,
}

/// How the collector's listeners stand.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Access {
    pub(crate) certificates: Vec<OwnCertificate>,
    pub(crate) revocation_configured: bool,
    pub(crate) revocation: Vec<RevocationList>,
    pub(crate) refusals: Vec<Refusals>,
    pub(crate) reloaded_at: Option<Time>,
    pub(crate) reload_error: Option<String>,
    pub(crate) needs_restart: Vec<String>,
}

/// A certificate of the collector itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OwnCertificate {
    pub(crate) listener: String,
    pub(crate) not_after: Time,
}

/// A revocation list, or the lack of one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RevocationList {
    pub(crate) issuer: String,
    pub(crate) source: String,
    pub(crate) delta: bool,
    pub(crate) number: String,
    pub(crate) next_update: Option<Time>,
    pub(crate) entries: u64,
    pub(crate) state: String,
    pub(crate) problem: String,
}

/// Connections that were not let in, or were ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refusals {
    pub(crate) listener: String,
    pub(crate) reason: String,
    pub(crate) count: u64,
    pub(crate) ended: bool,
}

/// Sites and the state they were read from.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the field names are the keys of the JSON output")]
pub(crate) struct Sites {
    pub(crate) snapshot: u64,
    pub(crate) as_of: Time,
    pub(crate) policy_revision: u64,
    pub(crate) sites: Vec<Site>,
}

/// A site's readiness.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Site {
    pub(crate) forest: String,
    pub(crate) name: String,
    pub(crate) rollout: String,
    pub(crate) rollout_since: Time,
    pub(crate) gate: String,
    pub(crate) users: Counts,
    pub(crate) users_seen: u64,
    pub(crate) users_quiet: u64,
    pub(crate) endpoints: Counts,
    pub(crate) endpoints_quiet: u64,
    pub(crate) endpoints_expected: Option<u64>,
    pub(crate) endpoints_fresh: u64,
    /// `null` without an inventory.
    pub(crate) dcs_expected: Option<u64>,
    pub(crate) dcs_reporting: u64,
    pub(crate) dcs_fresh: u64,
    pub(crate) qualifiers: Vec<String>,
    /// Machines that more people use than the policy calls shared.
    pub(crate) hosts_shared: u64,
    pub(crate) pools: Vec<Pool>,
    pub(crate) reasons: Vec<Reason>,
}

/// Non-persistent desktops, counted together and among no endpoints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pool {
    pub(crate) name: String,
    /// The host names that belong to it.
    pub(crate) pattern: String,
    /// The only site it has machines in; `null`: any.
    pub(crate) limited_to: Option<String>,
    /// Those heard of within the last 24 hours.
    pub(crate) seen: Counts,
    pub(crate) kept: u64,
    pub(crate) last_report: Option<Time>,
}

impl Pool {
    /// Those heard of within the last 24 hours, whatever they stand at.
    pub(crate) const fn seen_total(&self) -> u64 {
        self.seen.total() + self.seen.not_applicable
    }
}

/// One reason why something is not ready.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reason {
    pub(crate) check: String,
    pub(crate) standing: String,
    pub(crate) text: String,
    pub(crate) remedy: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) host_count: u64,
    pub(crate) users_affected: u64,
    pub(crate) since: Option<Time>,
    pub(crate) in_gate: bool,
    /// `forest/name`, where a reason of the organisation stands in one site only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) site: Option<String>,
}

/// One site in full.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SiteDetail {
    pub(crate) as_of: Time,
    pub(crate) policy_revision: u64,
    pub(crate) site: Site,
    pub(crate) dcs: Vec<Dc>,
    pub(crate) dcs_missing: Vec<String>,
    pub(crate) checks: Vec<CheckCounts>,
}

/// A domain controller in its site.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Dc {
    pub(crate) host: String,
    pub(crate) standing: String,
    pub(crate) capability: String,
    pub(crate) operating_system: String,
    pub(crate) certificate_not_after: Option<Time>,
    pub(crate) last_seen: Time,
    pub(crate) quiet: bool,
    pub(crate) expected: bool,
    pub(crate) verdicts: Vec<Verdict>,
}

/// A check counted over a site.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckCounts {
    pub(crate) check: String,
    pub(crate) title: String,
    pub(crate) counts: Counts,
}

/// A verdict with its words.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) check: String,
    pub(crate) title: String,
    pub(crate) standing: String,
    pub(crate) seen: String,
    pub(crate) needed: String,
    pub(crate) remedy: String,
    pub(crate) source: String,
    pub(crate) since: Time,
    pub(crate) valid_until: Option<Time>,
    pub(crate) evidence_at: Option<Time>,
    pub(crate) waived: Option<String>,
    /// What it was before silence made it unknown.
    pub(crate) before_silence: Option<String>,
    /// Why it matters, in a sentence.
    pub(crate) meaning: String,
    /// The check whose failure explains this one, of the same user or of the host.
    pub(crate) root_cause: Option<String>,
}

impl Verdict {
    /// Whether it follows from another one.
    pub(crate) fn follows(&self, cause: &Self) -> bool {
        self.root_cause.as_deref() == Some(cause.check.as_str())
    }
}

/// What a check asks, and where it draws the line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rule {
    pub(crate) check: String,
    pub(crate) title: String,
    pub(crate) severity: String,
    pub(crate) meaning: String,
    pub(crate) threshold: String,
    pub(crate) remedy: String,
    pub(crate) source: String,
    /// The kinds of evidence it reads.
    pub(crate) reads: Vec<String>,
    /// The checks whose failure explains that of this one.
    pub(crate) caused_by: Vec<String>,
}

/// One check on one host: its rule, its verdicts, and the evidence that went into them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Explanation {
    pub(crate) host: String,
    pub(crate) rule: Rule,
    pub(crate) verdicts: Vec<ExplainedVerdict>,
    pub(crate) evidence: Vec<Evidence>,
}

/// A verdict with whom it speaks of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ExplainedVerdict {
    /// The SID of the user; `null` where it speaks of the machine.
    pub(crate) user: Option<String>,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

/// Hosts in a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hosts {
    pub(crate) total: u64,
    pub(crate) hosts: Vec<HostSummary>,
}

/// A host in a list.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a filter or a fact of its own")]
pub(crate) struct HostSummary {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) forest: Option<String>,
    pub(crate) site: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) standing: String,
    pub(crate) worst_check: Option<String>,
    pub(crate) worst_text: String,
    pub(crate) last_seen: Time,
    pub(crate) quiet: bool,
    pub(crate) probe_version: String,
    pub(crate) operating_system: String,
    pub(crate) users: u32,
    /// When the certificate of its probe ends.
    pub(crate) certificate_not_after: Option<Time>,
    pub(crate) certificate_near_end: bool,
    /// How far its clock is ahead of the collector's; 0 within five minutes.
    pub(crate) clock_ahead_ms: i64,
    /// People who signed in within the time that the policy looks back for sharing.
    pub(crate) people: u32,
    pub(crate) shared: bool,
    /// The pool it is counted in; `null` where it counts by itself.
    pub(crate) pool: Option<String>,
    /// Two machines seem to be behind it, or behind it and another host.
    pub(crate) conflict: bool,
}

/// The certificate of a host's probe.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Certificate {
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
    /// Whether the connection proved it; otherwise it is claimed through a relay.
    pub(crate) proved: bool,
    /// Since when the probe has newer files that it cannot use.
    pub(crate) newer_since: Option<Time>,
    pub(crate) newer_problem: Option<String>,
}

/// One host in full.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostDetail {
    pub(crate) host: HostSummary,
    pub(crate) site_origin: String,
    pub(crate) first_seen: Time,
    pub(crate) conflict: bool,
    /// Other hosts that report as the same installation.
    pub(crate) copies: Vec<String>,
    /// Other hosts that report the same TPM.
    pub(crate) same_tpm: Vec<String>,
    /// Hosts with its TPM or its installation that were there before or after it.
    pub(crate) earlier_or_later: Vec<String>,
    /// The name asked for, in full, where it is a former one.
    pub(crate) asked_as: Option<String>,
    /// Names it had before, latest last.
    pub(crate) former_names: Vec<FormerName>,
    /// When it was installed anew, latest last.
    pub(crate) reimages: Vec<Reimage>,
    pub(crate) install_id: Option<String>,
    pub(crate) ek_sha256: Option<String>,
    pub(crate) policy_revision: u64,
    /// The certificate of its probe; `null` where not known.
    pub(crate) certificate: Option<Certificate>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) users: Vec<HostUser>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) transitions: Vec<Transition>,
    /// The rule that was asked for beside.
    #[serde(skip)]
    pub(crate) rule: Option<Rule>,
}

/// A name that a machine does not have any more.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FormerName {
    pub(crate) name: String,
    pub(crate) renamed_at: Time,
}

/// A machine was installed anew under its name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reimage {
    pub(crate) at: Time,
    pub(crate) earlier_install_id: Option<String>,
    pub(crate) earlier_seen: Time,
    /// `null` where one of the two installations did not say.
    pub(crate) same_tpm: Option<bool>,
}

/// A user on a host.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostUser {
    pub(crate) sid: String,
    pub(crate) standing: String,
    pub(crate) last_seen: Time,
    pub(crate) verdicts: Vec<Verdict>,
}

/// One observation, as it stands with the collector.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Evidence {
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) outcome: String,
    /// What it says, in the words of the vocabulary; `null` where there is nothing to say.
    pub(crate) says: Option<serde_json::Value>,
    pub(crate) observed_at: Time,
    pub(crate) context: String,
    pub(crate) origin: String,
    pub(crate) reporter: Option<String>,
}

/// One user on every endpoint.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct User {
    pub(crate) sid: String,
    pub(crate) standing: String,
    pub(crate) counted_at: Option<String>,
    pub(crate) directory_complete: bool,
    pub(crate) directory_keys: Option<DirectoryKeys>,
    pub(crate) endpoints: Vec<UserEndpoint>,
}

/// What was removed of a user.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ErasedUser {
    pub(crate) hosts: u64,
    pub(crate) observations: u64,
    pub(crate) verdicts: u64,
    pub(crate) transitions: u64,
    pub(crate) inventory_items: u64,
    pub(crate) remains: Vec<String>,
}

/// A user's keys in the directory.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DirectoryKeys {
    pub(crate) undecodable: u32,
    pub(crate) left_out: u32,
    pub(crate) keys: Vec<muster_evidence::DirectoryKey>,
}

/// A user on one endpoint.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UserEndpoint {
    pub(crate) host: HostSummary,
    pub(crate) last_seen: Time,
    pub(crate) verdicts: Vec<Verdict>,
}

/// A change of a verdict.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Transition {
    pub(crate) number: u64,
    pub(crate) at: Time,
    pub(crate) forest: Option<String>,
    pub(crate) site: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) subject: String,
    pub(crate) check: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
    pub(crate) reason: String,
    pub(crate) policy_revision: u64,
}

/// Transitions, and where to go on.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the field names are the keys of the JSON output")]
pub(crate) struct Transitions {
    pub(crate) transitions: Vec<Transition>,
    pub(crate) next_after: u64,
    pub(crate) more: bool,
}

/// What `watch` prints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) snapshot: u64,
    pub(crate) as_of: Time,
    pub(crate) sites: Vec<Site>,
    pub(crate) transitions: Vec<Transition>,
}

/// A revision of the policy.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Policy {
    pub(crate) revision: u64,
    pub(crate) applied_at: Time,
    pub(crate) applied_by: String,
    pub(crate) text: String,
    pub(crate) effective: String,
}

/// What a policy would change.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) base_revision: u64,
    pub(crate) problems: Vec<String>,
    pub(crate) verdicts_changed: u64,
    pub(crate) hosts_pooled_otherwise: u64,
    pub(crate) sites_changed: Vec<SiteChange>,
}

/// A site whose verdict would change.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SiteChange {
    pub(crate) forest: String,
    pub(crate) site: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// What applying a policy answered.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AppliedPolicy {
    pub(crate) revision: u64,
    pub(crate) problems: Vec<String>,
}

/// An accepted deviation.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Waiver {
    pub(crate) number: u64,
    pub(crate) check: String,
    pub(crate) host: Option<String>,
    pub(crate) forest: Option<String>,
    pub(crate) site: Option<String>,
    pub(crate) who: String,
    pub(crate) reason: String,
    pub(crate) created_at: Time,
    pub(crate) expires_at: Time,
    pub(crate) removed: bool,
}

/// A point in time from the wire: an RFC 3339 text in JSON, an age for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) i64);

impl Time {
    /// The RFC 3339 text; a time outside the calendar is shown as its number.
    pub(crate) fn text(self) -> String {
        muster_evidence::Timestamp::from_unix_ms(self.0).map_or_else(|_| format!("{} ms", self.0), |at| at.to_string())
    }

    /// The same to the second, for people.
    pub(crate) fn to_the_second(self) -> String {
        Self(self.0 - self.0.rem_euclid(1_000)).text()
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_seconds_and_programs_everything() {
        let at = Time(1_772_500_000_001);
        assert_eq!(
            (at.text().as_str(), at.to_the_second().as_str()),
            ("2026-03-03T01:06:40.001Z", "2026-03-03T01:06:40Z")
        );
        assert_eq!(Time(-1).to_the_second(), "1969-12-31T23:59:59Z");
    }
}

/// Answers as they come from a collector, for the tests of what is printed of them.
#[cfg(test)]
pub(crate) mod samples {
    use super::{Counts, Pool, Reason, Site, Time, Verdict};

    /// A site that is held up.
    pub(crate) fn site(name: &str) -> Site {
        Site {
            forest: "corp.example".to_owned(),
            name: name.to_owned(),
            rollout: "Partly".to_owned(),
            rollout_since: Time(1_772_000_000_000),
            gate: "advisory".to_owned(),
            users: Counts { ready: 1_204, advisory: 3, blocked: 17, unknown: 40, not_applicable: 2 },
            users_seen: 1_264,
            users_quiet: 12,
            endpoints: Counts { ready: 980, advisory: 0, blocked: 4, unknown: 9, not_applicable: 1 },
            endpoints_quiet: 3,
            endpoints_expected: Some(1_000),
            endpoints_fresh: 990,
            dcs_expected: Some(2),
            dcs_reporting: 2,
            dcs_fresh: 1,
            qualifiers: vec!["coverage not known".to_owned()],
            hosts_shared: 2,
            pools: vec![pool("vdi")],
            reasons: vec![reason("dc.cert-validity"), reason("key.registration")],
        }
    }

    /// A pool in use.
    pub(crate) fn pool(name: &str) -> Pool {
        Pool {
            name: name.to_owned(),
            pattern: format!("{name}-*.corp.example"),
            limited_to: None,
            seen: Counts { ready: 40, blocked: 2, ..Counts::default() },
            kept: 57,
            last_report: Some(Time(1_772_499_000_000)),
        }
    }

    /// A verdict with everything said.
    pub(crate) fn verdict(standing: &str) -> Verdict {
        Verdict {
            check: "endpoint.hello-prerequisites".to_owned(),
            title: "Does Windows let the user set up Hello?".to_owned(),
            standing: standing.to_owned(),
            seen: "`PreReqResult` is `WillNotProvision`, and `CertEnrollment` is `none`".to_owned(),
            needed: "the key trust prerequisites hold".to_owned(),
            remedy: "turn certificate trust off in the policy of the users".to_owned(),
            source: "https://learn.example/windows/security/identity-protection/hello-for-business/deploy".to_owned(),
            since: Time(1_772_000_000_000),
            valid_until: Some(Time(1_773_000_000_000)),
            evidence_at: Some(Time(1_772_000_000_000)),
            waived: None,
            before_silence: None,
            meaning: "Windows offers Hello to nobody before all of its prerequisites hold.".to_owned(),
            root_cause: None,
        }
    }

    /// A reason on several hosts.
    pub(crate) fn reason(check: &str) -> Reason {
        Reason {
            check: check.to_owned(),
            standing: "blocked".to_owned(),
            text: "the certificate for Kerberos ended 2026-03-02T08:00:00Z, and no other can take its place".to_owned(),
            remedy: "renew the certificate of the domain controller, then restart the KDC".to_owned(),
            hosts: ["rotterdam-dc01", "rotterdam-dc02", "rotterdam-dc03"]
                .map(|host| format!("{host}.corp.example"))
                .to_vec(),
            host_count: 5,
            users_affected: 1_264,
            since: Some(Time(1_772_000_000_000)),
            in_gate: true,
            site: None,
        }
    }
}
