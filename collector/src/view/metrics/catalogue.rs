//! The list of every metric, in the order of the reference: sites, the organisation, the collector.

use muster_readiness::{CHECKS, Standing};

use super::observatory::{AGE_BOUNDS, AGE_ROLES, LISTENERS, MOST_REFUSAL_REASONS};
use super::sites::{self, GATES, ROLLOUTS, seconds};
use super::{Bound, Kind, Metric};
use crate::access::RevocationUse;
use crate::meters::{DURATION_BOUNDS, GROUP_BOUNDS, REFUSAL_REASONS};

const SITE: &[&str] = &["forest", "site"];
const SITE_STATE: &[&str] = &["forest", "site", "state"];
const USES: [RevocationUse; 6] = [
    RevocationUse::Used,
    RevocationUse::Superseded,
    RevocationUse::Foreign,
    RevocationUse::WithoutBase,
    RevocationUse::Missing,
    RevocationUse::Failed,
];
const STANDINGS: usize = Standing::ALL.len();

/// Series that Prometheus makes of a distribution: its bounds and infinity, the sum and the count.
const fn series(bounds: &[f64]) -> usize {
    bounds.len() + 3
}

macro_rules! metrics {
    ($($name:literal, $otel:literal, $unit:literal, $kind:ident, $labels:expr, $bound:ident($most:expr), $read:expr, $help:literal;)*) => {
        &[$(Metric {
            name: $name,
            otel: $otel,
            unit: $unit,
            kind: Kind::$kind,
            labels: $labels,
            help: $help,
            bound: Bound::$bound($most),
            read: $read,
        }),*]
    };
}

/// Every metric.
pub const METRICS: &[Metric] = metrics! {
    "muster_site_verdicts", "muster.site.verdicts", "{verdict}", Gauge, &["forest", "site", "check", "verdict"],
        PerSite(CHECKS.len() * STANDINGS), sites::verdicts,
        "Verdicts of each check at a site, silence considered: hosts or users on hosts, and 1 or 0 for a check of the site itself. Absent where the check speaks of nobody.";
    "muster_site_rollout", "muster.site.rollout", "1", State, &["forest", "site", "rollout"],
        PerSite(ROLLOUTS.len()), sites::rollout,
        "1 for the site's rollout verdict, 0 for the others.";
    "muster_site_rollout_since_timestamp_seconds", "muster.site.rollout.since.timestamp", "s", Gauge, SITE,
        PerSite(1), sites::rollout_since,
        "Since when the rollout verdict is what it is.";
    "muster_site_gate", "muster.site.gate", "1", State, &["forest", "site", "gate"],
        PerSite(GATES.len()), sites::gate,
        "1 for how the gate of the site stands, what serves everybody there, 0 for the others.";
    "muster_site_users", "muster.site.users", "{user}", Gauge, SITE_STATE,
        PerSite(STANDINGS), sites::users,
        "Users counted at the site, by what they stand at.";
    "muster_site_users_quiet", "muster.site.users.quiet", "{user}", Gauge, SITE,
        PerSite(1), sites::users_quiet,
        "Users of whom no endpoint has reported for three cadences, whatever they stand at.";
    "muster_site_users_ready_ratio", "muster.site.users.ready", "1", Gauge, SITE,
        PerSite(1), sites::users_ready,
        "Share of the users seen who are ready, with or without an advisory. Absent where nobody was seen.";
    "muster_site_blocked_users", "muster.site.blocked_users", "{user}", Gauge, &["forest", "site", "check"],
        PerSite(CHECKS.len()), sites::blocked_users,
        "Users whom a check keeps from being ready: all of the site where it blocks the gate. Absent where the check speaks of nobody.";
    "muster_site_endpoints", "muster.site.endpoints", "{host}", Gauge, SITE_STATE,
        PerSite(STANDINGS), sites::endpoints,
        "Endpoints of the site, by what they stand at.";
    "muster_site_endpoints_quiet", "muster.site.endpoints.quiet", "{host}", Gauge, SITE,
        PerSite(1), sites::endpoints_quiet,
        "Endpoints that have been silent for three cadences.";
    "muster_site_fresh_endpoints", "muster.site.fresh_endpoints", "{host}", Gauge, SITE,
        PerSite(1), sites::endpoints_fresh,
        "Endpoints of the site whose evidence is not too old to count.";
    "muster_site_expected_endpoints", "muster.site.expected_endpoints", "{host}", Gauge, SITE,
        PerSite(1), sites::endpoints_expected,
        "Endpoints that the inventory expects at the site. Absent without an inventory.";
    "muster_site_coverage_ratio", "muster.site.coverage", "1", Gauge, SITE,
        PerSite(1), sites::coverage,
        "Share of the endpoints expected of which there is evidence that counts, at most 1. Absent where the inventory expects none or there is none.";
    "muster_site_domain_controllers", "muster.site.domain_controllers", "{host}", Gauge, SITE_STATE,
        PerSite(STANDINGS), sites::dcs,
        "Domain controllers of the site that have reported, by what they stand at.";
    "muster_site_domain_controllers_quiet", "muster.site.domain_controllers.quiet", "{host}", Gauge, SITE,
        PerSite(1), sites::dcs_quiet,
        "Domain controllers of the site that have been silent for three cadences.";
    "muster_site_fresh_domain_controllers", "muster.site.fresh_domain_controllers", "{host}", Gauge, SITE,
        PerSite(1), sites::dcs_fresh,
        "Domain controllers that serve the site and whose evidence is not too old to count.";
    "muster_site_expected_domain_controllers", "muster.site.expected_domain_controllers", "{host}", Gauge, SITE,
        PerSite(1), sites::dcs_expected,
        "Domain controllers that the inventory expects to serve the site. Absent without an inventory.";
    "muster_site_dc_certificate_not_after_timestamp_seconds", "muster.site.dc.certificate.not_after.timestamp", "s", Gauge, SITE,
        PerSite(1), sites::dc_certificate,
        "When the first of the certificates ends that the site's domain controllers answer sign-ins with. Absent where none is known.";
    "muster_site_dc_last_report_timestamp_seconds", "muster.site.dc.last_report.timestamp", "s", Gauge, SITE,
        PerSite(1), sites::dc_last_report,
        "When the domain controller of the site that has been silent longest was last heard of; with an inventory, of those it names. Absent where none has reported.";

    "muster_sites", "muster.sites", "{site}", Gauge, &["rollout"],
        InAll(ROLLOUTS.len()), |reading, out| {
            let sums = &reading.snapshot.organisation;
            for (word, count) in [("go", sums.sites_go), ("partly", sums.sites_partly), ("hold", sums.sites_hold), ("unknown", sums.sites_unknown)] {
                out.count(&[word], count);
            }
        },
        "Sites by rollout verdict.";
    "muster_users", "muster.users", "{user}", Gauge, &["state"],
        InAll(STANDINGS), |reading, out| {
            for standing in Standing::ALL {
                out.count(&[standing.name()], reading.snapshot.organisation.users.of(*standing));
            }
        },
        "Users of the organisation, each counted once, by what they stand at.";
    "muster_users_quiet", "muster.users.quiet", "{user}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.snapshot.organisation.users_quiet),
        "Users of whom no endpoint has reported for three cadences.";
    "muster_endpoints", "muster.endpoints", "{host}", Gauge, &["state"],
        InAll(STANDINGS), |reading, out| {
            for standing in Standing::ALL {
                out.count(&[standing.name()], reading.snapshot.organisation.endpoints.of(*standing));
            }
        },
        "Endpoints of the organisation, by what they stand at.";
    "muster_domain_controllers", "muster.domain_controllers", "{host}", Gauge, &["state"],
        InAll(STANDINGS), |reading, out| {
            for standing in Standing::ALL {
                out.count(&[standing.name()], reading.snapshot.organisation.dcs.of(*standing));
            }
        },
        "Domain controllers of the organisation, by what they stand at.";
    "muster_hosts", "muster.hosts", "{host}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.snapshot.organisation.hosts),
        "Hosts of any role that have ever reported.";
    "muster_hosts_quiet", "muster.hosts.quiet", "{host}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.snapshot.organisation.hosts_quiet),
        "Hosts that have been silent for three cadences.";
    "muster_hosts_without_site", "muster.hosts.without_site", "{host}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.snapshot.organisation.hosts_without_site),
        "Hosts that no site could be found for; they are in no number of a site.";
    "muster_host_report_age_seconds", "muster.host.report.age", "s", Census, &["role"],
        InAll(AGE_ROLES.len() * series(AGE_BOUNDS)), |reading, out| {
            for (role, ages) in AGE_ROLES.iter().zip(reading.ages.iter().flat_map(|ages| ages.by_role.iter())) {
                out.distribution(&[role], ages);
            }
        },
        "How long ago each host was last heard of, over all hosts, counted anew once a minute. Its counts fall as well as rise: read it without rate().";

    "muster_snapshot_timestamp_seconds", "muster.snapshot.timestamp", "s", Gauge, &[],
        InAll(1), |reading, out| out.number(&[], seconds(reading.snapshot.as_of)),
        "When the snapshot was made that the numbers of sites come from. A new one is made when something has changed.";
    "muster_policy_revision", "muster.policy.revision", "{revision}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.snapshot.policy_revision),
        "Revision of the policy in force.";
    "muster_judged_policy_revision", "muster.judged_policy.revision", "{revision}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.snapshot.judged_revision),
        "Revision of the policy that every verdict has reached; below the one in force while hosts are judged again.";
    "muster_hosts_to_judge", "muster.hosts.to_judge", "{host}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.snapshot.hosts_to_judge),
        "Hosts that wait to be judged again.";
    "muster_transitions", "muster.transitions", "{transition}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.snapshot.last_transition),
        "Number of the last change of a verdict in the store.";

    "muster_reports_total", "muster.reports", "{report}", Counter, &["outcome"],
        InAll(4), |reading, out| {
            let reports = &reading.meters.reports;
            let refused = reports.refused.iter().map(crate::meters::Counter::get).sum();
            for (outcome, count) in [("committed", reports.committed.get()), ("seen", reports.seen.get()), ("superseded", reports.superseded.get()), ("refused", refused)] {
                out.count(&[outcome], count);
            }
        },
        "Reports by how they were answered.";
    "muster_reports_refused_total", "muster.reports.refused", "{report}", Counter, &["reason"],
        InAll(REFUSAL_REASONS.len()), |reading, out| {
            for (reason, count) in REFUSAL_REASONS.iter().zip(&reading.meters.reports.refused) {
                out.count(&[reason], count.get());
            }
        },
        "Reports refused as a whole, by reason.";
    "muster_report_duration_seconds", "muster.report.duration", "s", Histogram, &[],
        InAll(series(DURATION_BOUNDS)), |reading, out| out.distribution(&[], &reading.meters.reports.duration.read()),
        "From a report's arrival to its answer; where it says anything new, it is durable by then.";
    "muster_commit_duration_seconds", "muster.commit.duration", "s", Histogram, &[],
        InAll(series(DURATION_BOUNDS)), |reading, out| out.distribution(&[], &reading.meters.commits.duration.read()),
        "How long a group commit of the store takes.";
    "muster_commit_changes", "muster.commit.changes", "{change}", Histogram, &[],
        InAll(series(GROUP_BOUNDS)), |reading, out| out.distribution(&[], &reading.meters.commits.group.read()),
        "How many changes share a group commit.";
    "muster_commits_failed_total", "muster.commits.failed", "{commit}", Counter, &[],
        InAll(1), |reading, out| out.count(&[], reading.meters.commits.failed.get()),
        "Group commits that the store refused; their reports were refused as `not-stored`.";
    "muster_store_writable", "muster.store.writable", "1", State, &[],
        InAll(1), |reading, out| out.count(&[], u64::from(reading.store_writable)),
        "1 while the store takes writes, as far as the last one tells.";
    "muster_store_rebuilding", "muster.store.rebuilding", "1", State, &[],
        InAll(1), |reading, out| out.count(&[], u64::from(reading.rebuilding)),
        "1 while a store that took the place of a damaged one waits for its hosts.";
    "muster_store_size_bytes", "muster.store.size", "By", Gauge, &[],
        InAll(1), |reading, out| if let Some(bytes) = reading.store_bytes { out.count(&[], bytes) },
        "Space that the store takes on disk, counted once a minute. Absent for a store in memory.";
    "muster_connections_accepted_total", "muster.connections.accepted", "{connection}", Counter, &["listener"],
        InAll(LISTENERS), |reading, out| {
            for (listener, counts) in [("probes", &reading.access.probes), ("operators", &reading.access.operators)] {
                out.count(&[listener], counts.accepted());
            }
        },
        "Connections whose handshake and peer were accepted.";
    "muster_connections_refused_total", "muster.connections.refused", "{connection}", Counter, &["listener", "reason"],
        InAll(LISTENERS * MOST_REFUSAL_REASONS), |reading, out| {
            for (listener, counts) in [("probes", &reading.access.probes), ("operators", &reading.access.operators)] {
                for (reason, count) in counts.refused() {
                    out.count(&[listener, reason], count);
                }
            }
        },
        "Connections that were refused, by reason.";
    "muster_certificate_not_after_timestamp_seconds", "muster.certificate.not_after.timestamp", "s", Gauge, &["listener"],
        InAll(LISTENERS), |reading, out| {
            for certificate in &reading.access_state.certificates {
                out.number(&[certificate.listener], seconds(certificate.not_after));
            }
        },
        "When the collector's own certificate of a listener ends.";
    "muster_reload_last_attempt_timestamp_seconds", "muster.reload.last_attempt.timestamp", "s", Gauge, &[],
        InAll(1), |reading, out| if let Some(at) = reading.access_state.reload.last_attempt { out.number(&[], seconds(at)) },
        "When certificates, trust and grants were last read; the start counts.";
    "muster_reload_last_success_timestamp_seconds", "muster.reload.last_success.timestamp", "s", Gauge, &[],
        InAll(1), |reading, out| if let Some(at) = reading.access_state.reload.last_success { out.number(&[], seconds(at)) },
        "When they were last read without an error.";
    "muster_reload_failed", "muster.reload.failed", "1", State, &[],
        InAll(1), |reading, out| out.count(&[], u64::from(reading.access_state.reload.error.is_some())),
        "1 while the last reload has failed and what was before it is in force.";
    "muster_reload_settings_pending", "muster.reload.settings_pending", "{setting}", Gauge, &[],
        InAll(1), |reading, out| out.count(&[], reading.access_state.reload.needs_restart.len() as u64),
        "Settings that were changed and take effect with a restart only.";
    "muster_revocation_lists", "muster.revocation.lists", "{list}", Gauge, &["use"],
        InAll(USES.len()), |reading, out| {
            let lists = &reading.access_state.revocation;
            for word in USES.iter().filter(|_| !lists.is_empty()) {
                out.count(&[word.word()], lists.iter().filter(|list| list.used == *word).count() as u64);
            }
        },
        "Revocation lists by what they are used for: `used`, `superseded`, `foreign`, `without-base`, `missing` or `failed`. Absent where none is configured.";
    "muster_revocation_next_update_timestamp_seconds", "muster.revocation.next_update.timestamp", "s", Gauge, &[],
        InAll(1), |reading, out| {
            let used = reading.access_state.revocation.iter().filter(|list| list.used == RevocationUse::Used);
            if let Some(first) = used.filter_map(|list| list.next_update).min() {
                out.number(&[], seconds(first));
            }
        },
        "When the first of the revocation lists in use is due to be replaced. Absent where none is used.";
    "muster_telemetry_exports_total", "muster.telemetry.exports", "{export}", Counter, &["signal", "outcome"],
        InAll(6), |reading, out| {
            for (signal, outcome, count) in reading.exports {
                out.count(&[signal, outcome], *count);
            }
        },
        "Messages to the OTLP receiver: `sent`, `failed` (it did not take them) and `dropped` (the queue was full). Absent where none is configured.";
    "muster_telemetry_dropped_spans_total", "muster.telemetry.dropped_spans", "{span}", Counter, &[],
        InAll(1), |reading, out| if let Some(count) = reading.dropped_spans { out.count(&[], count) },
        "Spans that were to be exported and were not. Absent where no OTLP receiver is configured.";
    "muster_build_info", "muster.build.info", "1", State, &["version"],
        InAll(1), |_, out| out.count(&[env!("CARGO_PKG_VERSION")], 1),
        "1, with the collector's version.";
    "muster_process_start_timestamp_seconds", "muster.process.start.timestamp", "s", Gauge, &[],
        InAll(1), |reading, out| out.number(&[], seconds(reading.started_at)),
        "When the process started.";
    "muster_process_resident_memory_bytes", "muster.process.resident_memory", "By", Gauge, &[],
        InAll(1), |reading, out| if let Some(bytes) = reading.resident_bytes { out.count(&[], bytes) },
        "Memory of the process that is resident. Absent where the system does not say.";
};
