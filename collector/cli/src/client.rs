//! The collector's gRPC API as plain structures. The only file that names wire types.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use muster_evidence::{Kind, Outcome, Role};
use muster_proto::convert;
use muster_proto::link::{
    Chain, CollectorUrl, ConnectError, Credentials, InvalidCredentials, InvalidTls, InvalidUrl, LastWord,
    RefusedByPeer, Timeouts, client_config, connect_as, load_certificates,
};
use muster_proto::v1::{self, readiness_service_client::ReadinessServiceClient};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::model::{
    Access, AppliedPolicy, Certificate, Change, CheckCounts, Counts, Dc, DirectoryKeys, ErasedUser, Evidence,
    FormerName, HostDetail, HostSummary, HostUser, Hosts, Organisation, OwnCertificate, Plan, Policy, Pool, Reason,
    Refusals, Reimage, RevocationList, Rule, Site, SiteChange, SiteDetail, Sites, Time, Transition, Transitions, User,
    UserEndpoint, Verdict, Waiver,
};

/// Longest that connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Longest that one answer may take: planning a policy judges the whole fleet again. Streams are not bounded by it.
const ANSWER_TIME: Duration = Duration::from_mins(10);

/// Most bytes of one answer: a page of 1,000 hosts with their texts.
const MOST_ANSWER_BYTES: usize = 32 << 20;

/// Where the collector is and who we are.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `http://` for loopback, `https://` elsewhere.
    pub(crate) url: String,
    /// Our certificate and key, and the CA that issued the collector's certificate.
    pub(crate) identity: Option<IdentityFiles>,
}

/// PEM files of the operator.
#[derive(Clone, Debug)]
pub(crate) struct IdentityFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

/// Says why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The address is none of a collector.
    #[error(transparent)]
    Address(#[from] InvalidUrl),
    /// An `https` address needs a certificate.
    #[error(
        "`{url}` needs --certificate, --key and --ca: beyond loopback the collector asks operators for a certificate"
    )]
    NoIdentity {
        /// The address.
        url: CollectorUrl,
    },
    /// Our own files cannot be used.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
    /// Our own files cannot be used together.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// Nobody answers there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The collector answered that it cannot.
    #[error("{}", status_text(.0))]
    Refused(Box<Status>),
    /// The collector ended the connection because of our certificate.
    #[error("{refused}; it is `{}`", certificate.display())]
    RefusedCertificate {
        /// What the collector said last.
        refused: RefusedByPeer,
        /// The file of our certificate.
        certificate: PathBuf,
    },
}

impl ClientError {
    /// Whether the collector answered that the thing asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::NotFound)
    }
}

fn status_text(status: &Status) -> String {
    let said = words(status);
    match status.code() {
        Code::Unavailable => format!("the collector is not available: {said}"),
        Code::DeadlineExceeded => "the collector did not answer in time".to_owned(),
        Code::PermissionDenied | Code::Unauthenticated => format!("the collector refuses this: {said}"),
        _ => said,
    }
}

fn access(access: v1::CollectorAccess) -> Access {
    let reload = access.reload.unwrap_or_default();
    let certificate =
        |own: v1::CollectorCertificate| OwnCertificate { listener: own.listener, not_after: Time(own.not_after_ms) };
    let list = |own: v1::RevocationList| RevocationList {
        issuer: own.issuer,
        source: own.source,
        delta: own.delta,
        number: own.number,
        next_update: own.next_update_ms.map(Time),
        entries: own.entries,
        state: own.state,
        problem: own.problem,
    };
    let refusals =
        |own: v1::Refusals| Refusals { listener: own.listener, reason: own.reason, count: own.count, ended: own.ended };
    Access {
        certificates: access.certificates.into_iter().map(certificate).collect(),
        revocation_configured: access.revocation_configured,
        revocation: access.revocation.into_iter().map(list).collect(),
        refusals: access.refusals.into_iter().map(refusals).collect(),
        reloaded_at: reload.last_success_ms.map(Time),
        reload_error: (!reload.error.is_empty()).then_some(reload.error),
        needs_restart: reload.needs_restart,
    }
}

/// What a status says, and never nothing.
fn words(status: &Status) -> String {
    // One that tonic made of a broken connection: its sources say what broke it, such as a refused certificate.
    if let Some(source) = std::error::Error::source(status) {
        return Chain(source).to_string();
    }
    if !status.message().is_empty() {
        return status.message().to_owned();
    }
    let code = status.code().description();
    let mut letters = code.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_lowercase).collect();
    // The collector itself says why. What listens for probes, or another program, may end a stream without a word.
    format!(
        "{first}{} (code {}, and no word of why); is this the operators' address?",
        letters.as_str(),
        status.code() as i32
    )
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// Which hosts to list.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a filter or a fact of its own")]
pub(crate) struct HostFilter {
    pub(crate) forest: String,
    pub(crate) site: String,
    pub(crate) role: Option<Role>,
    pub(crate) check: String,
    pub(crate) standings: Vec<String>,
    pub(crate) name_contains: String,
    pub(crate) quiet: bool,
    pub(crate) certificate_near_end: bool,
    pub(crate) shared: bool,
    pub(crate) pool: String,
    pub(crate) conflict: bool,
}

/// Which transitions to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransitionFilter {
    pub(crate) after: u64,
    pub(crate) forest: String,
    pub(crate) site: String,
    pub(crate) host: String,
    pub(crate) since: Option<Time>,
    pub(crate) limit: u32,
}

/// A waiver to add.
#[derive(Clone, Debug)]
pub(crate) struct NewWaiver {
    pub(crate) check: String,
    pub(crate) host: String,
    pub(crate) forest: String,
    pub(crate) site: Option<String>,
    pub(crate) reason: String,
    pub(crate) expires_at: Time,
}

/// A connection to the collector.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    api: ReadinessServiceClient<Channel>,
    /// Why the collector ended the connection, where our certificate was the reason: a call may learn only that it is
    /// closed.
    last_word: LastWord,
    certificate: Option<PathBuf>,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(target: &Target) -> Result<Self, ClientError> {
        let url: CollectorUrl = target.url.parse()?;
        let tls = match (url.is_secure(), &target.identity) {
            (false, _) => None,
            (true, None) => return Err(ClientError::NoIdentity { url }),
            (true, Some(files)) => {
                let own = Credentials::load(&files.certificate, &files.key)?;
                Some(client_config(Some(&own), &load_certificates(&files.ca)?)?)
            }
        };
        let timeouts = Timeouts { connect: CONNECT_TIME, request: ANSWER_TIME };
        let last_word = LastWord::default();
        let channel = connect_as(&url, None, tls, timeouts, &last_word).await?;
        Ok(Self {
            api: ReadinessServiceClient::new(channel).max_decoding_message_size(MOST_ANSWER_BYTES),
            last_word,
            certificate: target.identity.as_ref().map(|files| files.certificate.clone()),
        })
    }

    /// The better reason for a call that failed: that the collector refused our certificate, where it said so.
    pub(crate) fn explained(&self, error: ClientError) -> ClientError {
        match (&error, &self.certificate) {
            (ClientError::Refused(status), Some(certificate)) if std::error::Error::source(&**status).is_some() => {
                match self.last_word.take() {
                    Some(refused) => ClientError::RefusedCertificate { refused, certificate: certificate.clone() },
                    None => error,
                }
            }
            _ => error,
        }
    }

    /// The organisation in one look.
    pub(crate) async fn organisation(&mut self) -> Result<Organisation, ClientError> {
        let answer = self.api.get_organisation(v1::GetOrganisationRequest {}).await?.into_inner();
        Ok(Organisation {
            snapshot: answer.snapshot,
            as_of: Time(answer.as_of_ms),
            policy_revision: answer.policy_revision,
            collector_version: answer.collector_version,
            sites_go: answer.sites_go,
            sites_partly: answer.sites_partly,
            sites_hold: answer.sites_hold,
            sites_unknown: answer.sites_unknown,
            users: counts(answer.users),
            endpoints: counts(answer.endpoints),
            dcs: counts(answer.dcs),
            hosts: answer.hosts,
            hosts_quiet: answer.hosts_quiet,
            hosts_without_site: answer.hosts_without_site,
            certificates_near_end: answer.certificates_near_end,
            hosts_shared: answer.hosts_shared,
            pools: answer.pools.into_iter().map(pool).collect(),
            hosts_in_conflict: answer.hosts_in_conflict,
            top_reasons: answer.top_reasons.into_iter().map(reason).collect(),
            access: answer.access.map(access),
        })
    }

    /// Every site, worst first.
    pub(crate) async fn sites(&mut self, forest: &str, rollouts: &[String]) -> Result<Sites, ClientError> {
        let rollouts: Vec<i32> = rollouts.iter().map(|word| rollout_number(word)).collect();
        let mut sites = Sites { snapshot: 0, as_of: Time(0), policy_revision: 0, sites: Vec::new() };
        let mut page_token = String::new();
        loop {
            let request = v1::ListSitesRequest {
                forest: forest.to_owned(),
                rollouts: rollouts.clone(),
                page_size: 1_000,
                page_token,
            };
            let answer = self.api.list_sites(request).await?.into_inner();
            (sites.snapshot, sites.as_of) = (answer.snapshot, Time(answer.as_of_ms));
            sites.policy_revision = answer.policy_revision;
            sites.sites.extend(answer.sites.into_iter().map(site));
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(sites);
            }
        }
    }

    /// One site.
    pub(crate) async fn site(&mut self, forest: &str, name: &str) -> Result<SiteDetail, ClientError> {
        let request = v1::GetSiteRequest { forest: forest.to_owned(), name: name.to_owned() };
        let answer = self.api.get_site(request).await?.into_inner();
        Ok(SiteDetail {
            as_of: Time(answer.as_of_ms),
            policy_revision: answer.policy_revision,
            site: site(answer.site.unwrap_or_default()),
            dcs: answer.dcs.into_iter().map(dc).collect(),
            dcs_missing: answer.dcs_missing,
            checks: answer.checks.into_iter().map(check_counts).collect(),
        })
    }

    /// One page of hosts, and the token of the next one.
    pub(crate) async fn hosts_page(
        &mut self,
        filter: &HostFilter,
        page_size: u32,
        page_token: String,
    ) -> Result<(Hosts, String), ClientError> {
        let request = v1::ListHostsRequest {
            forest: filter.forest.clone(),
            site: filter.site.clone(),
            role: filter.role.map_or(0, convert::role_to_wire),
            check: filter.check.clone(),
            standings: filter.standings.iter().map(|word| standing_number(word)).collect(),
            name_contains: filter.name_contains.clone(),
            quiet: filter.quiet,
            certificate_near_end: filter.certificate_near_end,
            shared: filter.shared,
            pool: filter.pool.clone(),
            conflict: filter.conflict,
            page_size,
            page_token,
        };
        let answer = self.api.list_hosts(request).await?.into_inner();
        let hosts = Hosts { total: answer.total, hosts: answer.hosts.into_iter().map(host_summary).collect() };
        Ok((hosts, answer.next_page_token))
    }

    /// One host, and the rule of a check where one is to be explained.
    pub(crate) async fn host(
        &mut self,
        forest: &str,
        name: &str,
        explain: Option<&str>,
    ) -> Result<HostDetail, ClientError> {
        let request = v1::GetHostRequest {
            name: name.to_owned(),
            forest: forest.to_owned(),
            explain: explain.unwrap_or_default().to_owned(),
        };
        let answer = self.api.get_host(request).await?.into_inner();
        Ok(HostDetail {
            host: host_summary(answer.host.unwrap_or_default()),
            site_origin: answer.site_origin,
            first_seen: Time(answer.first_seen_ms),
            conflict: answer.conflict,
            copies: answer.copies,
            same_tpm: answer.same_tpm,
            earlier_or_later: answer.earlier_or_later,
            asked_as: some(answer.asked_as),
            former_names: answer.former_names.into_iter().map(former_name).collect(),
            reimages: answer.reimages.iter().map(reimage).collect(),
            install_id: some(hex(&answer.install_id)),
            ek_sha256: some(hex(&answer.ek_sha256)),
            policy_revision: answer.policy_revision,
            certificate: answer.client_certificate.map(|own| Certificate {
                not_before: Time(own.not_before_ms),
                not_after: Time(own.not_after_ms),
                proved: answer.client_certificate_proved,
                newer_since: own.newer_since_ms.map(Time),
                newer_problem: some(own.newer_problem),
            }),
            verdicts: answer.verdicts.into_iter().map(verdict).collect(),
            users: answer.users.into_iter().map(host_user).collect(),
            evidence: answer.evidence.into_iter().map(evidence).collect(),
            transitions: answer.transitions.into_iter().map(transition).collect(),
            rule: answer.rule.map(rule),
        })
    }

    /// One user.
    pub(crate) async fn user(&mut self, sid: &str) -> Result<User, ClientError> {
        let answer = self.api.get_user(v1::GetUserRequest { sid: sid.to_owned() }).await?.into_inner();
        Ok(User {
            standing: standing(answer.standing()).to_owned(),
            sid: answer.sid,
            counted_at: answer.counted_at.map(|site| site.name),
            directory_complete: answer.directory_complete,
            directory_keys: answer.directory_keys.map(directory_keys),
            endpoints: answer.endpoints.into_iter().map(user_endpoint).collect(),
        })
    }

    /// Everything that is stored about a user.
    pub(crate) async fn export_user(&mut self, sid: &str) -> Result<Vec<serde_json::Value>, ClientError> {
        let mut documents = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ExportUserRequest { sid: sid.to_owned(), page_token };
            let page = self.api.export_user(request).await?.into_inner();
            for document in page.documents {
                // Something unreadable must not look as if there were nothing.
                let told = serde_json::from_str(&document).unwrap_or(serde_json::Value::String(document));
                documents.push(told);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(documents);
            }
        }
    }

    /// Removes everything that is stored about a user.
    pub(crate) async fn erase_user(&mut self, sid: &str) -> Result<ErasedUser, ClientError> {
        let v1::EraseUserResponse { hosts, observations, verdicts, transitions, inventory_items, remains } =
            self.api.erase_user(v1::EraseUserRequest { sid: sid.to_owned() }).await?.into_inner();
        Ok(ErasedUser { hosts, observations, verdicts, transitions, inventory_items, remains })
    }

    /// Transitions after a number.
    pub(crate) async fn transitions(&mut self, filter: &TransitionFilter) -> Result<Transitions, ClientError> {
        let request = v1::ListTransitionsRequest {
            after: filter.after,
            forest: filter.forest.clone(),
            site: filter.site.clone(),
            host: filter.host.clone(),
            since_ms: filter.since.map(|at| at.0),
            page_size: filter.limit,
        };
        let answer = self.api.list_transitions(request).await?.into_inner();
        Ok(Transitions {
            transitions: answer.transitions.into_iter().map(transition).collect(),
            next_after: answer.next_after,
            more: answer.more,
        })
    }

    /// Follows the sites.
    pub(crate) async fn watch(&mut self, forest: &str, name: &str) -> Result<Watch, ClientError> {
        let request = v1::WatchRequest { forest: forest.to_owned(), site: name.to_owned() };
        Ok(Watch { stream: self.api.watch(request).await?.into_inner() })
    }

    /// The policy in force, or an older revision.
    pub(crate) async fn policy(&mut self, revision: u64) -> Result<Policy, ClientError> {
        let answer = self.api.get_policy(v1::GetPolicyRequest { revision }).await?.into_inner();
        Ok(Policy {
            revision: answer.revision,
            applied_at: Time(answer.applied_at_ms),
            applied_by: answer.applied_by,
            text: answer.text,
            effective: answer.effective,
        })
    }

    /// What a policy would change.
    pub(crate) async fn plan_policy(&mut self, text: String) -> Result<Plan, ClientError> {
        let answer = self.api.plan_policy(v1::PlanPolicyRequest { text }).await?.into_inner();
        Ok(Plan {
            base_revision: answer.base_revision,
            problems: answer.problems,
            verdicts_changed: answer.verdicts_changed,
            hosts_pooled_otherwise: answer.hosts_pooled_otherwise,
            sites_changed: answer
                .sites_changed
                .into_iter()
                .map(|change| {
                    let (from, to) = (rollout(change.from()).to_owned(), rollout(change.to()).to_owned());
                    let site = change.site.unwrap_or_default();
                    SiteChange { forest: site.forest, site: site.name, from, to }
                })
                .collect(),
        })
    }

    /// Makes a text the next revision of the policy.
    pub(crate) async fn apply_policy(&mut self, text: String, base: u64) -> Result<AppliedPolicy, ClientError> {
        let request = v1::ApplyPolicyRequest { text, base_revision: base };
        let answer = self.api.apply_policy(request).await?.into_inner();
        Ok(AppliedPolicy { revision: answer.revision, problems: answer.problems })
    }

    /// Waivers.
    pub(crate) async fn waivers(&mut self, include_ended: bool) -> Result<Vec<Waiver>, ClientError> {
        let answer = self.api.list_waivers(v1::ListWaiversRequest { include_ended }).await?.into_inner();
        Ok(answer.waivers.into_iter().map(waiver).collect())
    }

    /// Adds a waiver.
    pub(crate) async fn add_waiver(&mut self, new: NewWaiver) -> Result<Waiver, ClientError> {
        let request = v1::AddWaiverRequest {
            check: new.check,
            host: new.host,
            site: new.site.map(|name| v1::SiteId { forest: new.forest, name }),
            reason: new.reason,
            expires_at_ms: new.expires_at.0,
        };
        let answer = self.api.add_waiver(request).await?.into_inner();
        Ok(waiver(answer.waiver.unwrap_or_default()))
    }

    /// Ends a waiver.
    pub(crate) async fn remove_waiver(&mut self, number: u64) -> Result<Waiver, ClientError> {
        let answer = self.api.remove_waiver(v1::RemoveWaiverRequest { number }).await?.into_inner();
        Ok(waiver(answer.waiver.unwrap_or_default()))
    }
}

/// Changes as they come.
pub(crate) struct Watch {
    stream: tonic::Streaming<v1::WatchResponse>,
}

impl Watch {
    /// The next change; `None` when the collector has ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Change>, ClientError> {
        Ok(self.stream.message().await?.map(|change| Change {
            snapshot: change.snapshot,
            as_of: Time(change.as_of_ms),
            sites: change.sites.into_iter().map(site).collect(),
            transitions: change.transitions.into_iter().map(transition).collect(),
        }))
    }
}

fn counts(counts: Option<v1::StandingCounts>) -> Counts {
    let v1::StandingCounts { ready, advisory, blocked, unknown, not_applicable } = counts.unwrap_or_default();
    Counts { ready, advisory, blocked, unknown, not_applicable }
}

fn site(message: v1::Site) -> Site {
    let (rollout, gate) = (rollout(message.rollout()).to_owned(), standing(message.gate()).to_owned());
    let v1::SiteId { forest, name } = message.id.unwrap_or_default();
    Site {
        forest,
        name,
        rollout,
        rollout_since: Time(message.rollout_since_ms),
        gate,
        users: counts(message.users),
        users_seen: message.users_seen,
        users_quiet: message.users_quiet,
        endpoints: counts(message.endpoints),
        endpoints_quiet: message.endpoints_quiet,
        endpoints_expected: message.endpoints_expected,
        endpoints_fresh: message.endpoints_fresh,
        dcs_expected: message.inventory_known.then_some(message.dcs_expected),
        dcs_reporting: message.dcs_reporting,
        dcs_fresh: message.dcs_fresh,
        qualifiers: message.qualifiers,
        hosts_shared: message.hosts_shared,
        pools: message.pools.into_iter().map(pool).collect(),
        reasons: message.reasons.into_iter().map(reason).collect(),
    }
}

fn pool(message: v1::Pool) -> Pool {
    let v1::Pool { name, pattern, site, seen, kept, last_report_ms } = message;
    Pool { name, pattern, limited_to: some(site), seen: counts(seen), kept, last_report: last_report_ms.map(Time) }
}

fn reason(message: v1::SiteReason) -> Reason {
    Reason {
        standing: standing(message.standing()).to_owned(),
        check: message.check,
        text: message.text,
        remedy: message.remedy,
        hosts: message.hosts,
        host_count: message.host_count,
        users_affected: message.users_affected,
        since: message.since_ms.map(Time),
        in_gate: message.in_gate,
        site: message.site.map(|site| format!("{}/{}", site.forest, site.name)),
    }
}

fn dc(message: v1::SiteDc) -> Dc {
    Dc {
        standing: standing(message.standing()).to_owned(),
        host: message.host,
        capability: message.capability,
        operating_system: message.operating_system,
        certificate_not_after: message.certificate_not_after_ms.map(Time),
        last_seen: Time(message.last_seen_ms),
        quiet: message.quiet,
        expected: message.expected,
        verdicts: message.verdicts.into_iter().map(verdict).collect(),
    }
}

fn check_counts(message: v1::CheckCounts) -> CheckCounts {
    CheckCounts { check: message.check, title: message.title, counts: counts(message.counts) }
}

fn verdict(message: v1::Verdict) -> Verdict {
    let before = message.stale_standing();
    Verdict {
        standing: standing(message.standing()).to_owned(),
        check: message.check,
        title: message.title,
        seen: message.seen,
        needed: message.needed,
        remedy: message.remedy,
        source: message.source,
        since: Time(message.since_ms),
        valid_until: message.valid_until_ms.map(Time),
        evidence_at: message.evidence_at_ms.map(Time),
        waived: some(message.waived),
        before_silence: (before != v1::Standing::Unspecified).then(|| standing(before).to_owned()),
        meaning: message.meaning,
        root_cause: some(message.root_cause),
    }
}

fn rule(message: v1::CheckRule) -> Rule {
    let v1::CheckRule { check, title, severity, meaning, threshold, remedy, source, reads, caused_by } = message;
    Rule { check, title, severity, meaning, threshold, remedy, source, reads, caused_by }
}

fn host_summary(message: v1::HostSummary) -> HostSummary {
    let roles = message.roles().map(|role| role_word(role).to_owned()).collect();
    let (forest, site) = message.site.clone().map(|site| (some(site.forest), some(site.name))).unwrap_or_default();
    HostSummary {
        number: message.number,
        forest,
        site,
        roles,
        standing: standing(message.standing()).to_owned(),
        name: message.name,
        worst_check: some(message.worst_check),
        worst_text: message.worst_text,
        last_seen: Time(message.last_seen_ms),
        quiet: message.quiet,
        probe_version: message.probe_version,
        operating_system: message.operating_system,
        users: message.users,
        certificate_not_after: message.certificate_not_after_ms.map(Time),
        certificate_near_end: message.certificate_near_end,
        clock_ahead_ms: message.clock_ahead_ms,
        people: message.people,
        shared: message.shared,
        pool: some(message.pool),
        conflict: message.conflict,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn former_name(message: v1::FormerName) -> FormerName {
    FormerName { name: message.name, renamed_at: Time(message.renamed_at_ms) }
}

fn reimage(message: &v1::Reimage) -> Reimage {
    Reimage {
        at: Time(message.at_ms),
        earlier_install_id: some(hex(&message.earlier_install_id)),
        earlier_seen: Time(message.earlier_seen_ms),
        same_tpm: message.same_tpm,
    }
}

fn host_user(message: v1::HostUser) -> HostUser {
    HostUser {
        standing: standing(message.standing()).to_owned(),
        sid: message.sid,
        last_seen: Time(message.last_seen_ms),
        verdicts: message.verdicts.into_iter().map(verdict).collect(),
    }
}

fn user_endpoint(message: v1::UserEndpoint) -> UserEndpoint {
    UserEndpoint {
        host: host_summary(message.host.unwrap_or_default()),
        last_seen: Time(message.last_seen_ms),
        verdicts: message.verdicts.into_iter().map(verdict).collect(),
    }
}

fn evidence(message: v1::EvidenceView) -> Evidence {
    let context = match message.context() {
        v1::ObservationContext::Service => "service",
        v1::ObservationContext::UserSession => "user session",
        v1::ObservationContext::Unspecified => "unknown",
    };
    let origin = match message.origin() {
        v1::ObservationOrigin::Live => "live",
        v1::ObservationOrigin::Capture => "capture",
        v1::ObservationOrigin::Unspecified => "unknown",
    };
    let key = message.key.clone().unwrap_or_default();
    let kind = u16::try_from(key.kind).ok().and_then(Kind::from_number);
    let subject = match key.subject {
        Some(v1::observation_key::Subject::Host(_)) => "host".to_owned(),
        Some(v1::observation_key::Subject::UserSid(sid)) => sid,
        Some(v1::observation_key::Subject::CertificateSha256(sha256)) => {
            muster_evidence::Sha256::from_slice(&sha256).map_or_else(|error| error.to_string(), |sha| sha.to_string())
        }
        None => "unknown".to_owned(),
    };
    let decoded = kind.zip(message.body).map(|(kind, body)| {
        let mut outcome = convert::outcome_from_wire(kind, body)?;
        convert::put_back(message.moving, &mut outcome);
        Ok::<_, convert::InvalidBody>(outcome)
    });
    let (outcome, says) = match decoded {
        Some(Ok(Outcome::Observed(evidence))) => ("observed".to_owned(), says(&evidence)),
        Some(Ok(Outcome::Absent)) => ("absent".to_owned(), None),
        Some(Ok(Outcome::Unsupported(unsupported))) => ("unsupported".to_owned(), says(&unsupported.detail)),
        Some(Ok(Outcome::Failed(failure))) => (format!("failed ({})", failure.reason), says(&failure.detail)),
        Some(Err(error)) => (format!("unreadable: {error}"), None),
        None => ("newer than this program or the collector".to_owned(), None),
    };
    Evidence {
        kind: message.kind,
        subject,
        outcome,
        says,
        observed_at: Time(message.observed_at_ms),
        context: context.to_owned(),
        origin: origin.to_owned(),
        reporter: some(message.reporter),
    }
}

/// A fact as JSON, without the name of its kind around it.
fn says<T: serde::Serialize>(fact: &T) -> Option<serde_json::Value> {
    match serde_json::to_value(fact).ok()? {
        serde_json::Value::Object(map) if map.len() == 1 => map.into_iter().next().map(|(_, inner)| inner),
        other => Some(other),
    }
}

fn directory_keys(message: v1::UserKeys) -> DirectoryKeys {
    let (undecodable, left_out) = (message.undecodable, message.left_out);
    match muster_evidence::UserKeys::try_from(message) {
        Ok(keys) => DirectoryKeys { undecodable: keys.undecodable, left_out: keys.left_out, keys: keys.keys },
        // A collector that is newer may tell keys in a way we do not know: count them among what we cannot read.
        Err(_) => DirectoryKeys { undecodable: undecodable.saturating_add(1), left_out, keys: Vec::new() },
    }
}

fn transition(message: v1::Transition) -> Transition {
    let site = message.site.unwrap_or_default();
    Transition {
        number: message.number,
        at: Time(message.at_ms),
        forest: some(site.forest),
        site: some(site.name),
        host: some(message.host),
        subject: message.subject,
        check: some(message.check),
        from: some(message.from),
        to: message.to,
        reason: message.reason,
        policy_revision: message.policy_revision,
    }
}

fn waiver(message: v1::Waiver) -> Waiver {
    let site = message.site.unwrap_or_default();
    Waiver {
        number: message.number,
        check: message.check,
        host: some(message.host),
        forest: some(site.forest),
        site: some(site.name),
        who: message.who,
        reason: message.reason,
        created_at: Time(message.created_at_ms),
        expires_at: Time(message.expires_at_ms),
        removed: message.removed,
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

const fn standing(standing: v1::Standing) -> &'static str {
    match standing {
        v1::Standing::Unspecified | v1::Standing::Unknown => "unknown",
        v1::Standing::NotApplicable => "not-applicable",
        v1::Standing::Ready => "ready",
        v1::Standing::Advisory => "advisory",
        v1::Standing::Blocked => "blocked",
    }
}

fn standing_number(word: &str) -> i32 {
    (match word {
        "ready" => v1::Standing::Ready,
        "advisory" => v1::Standing::Advisory,
        "blocked" => v1::Standing::Blocked,
        "not-applicable" => v1::Standing::NotApplicable,
        _ => v1::Standing::Unknown,
    }) as i32
}

const fn rollout(rollout: v1::Rollout) -> &'static str {
    match rollout {
        v1::Rollout::Unspecified | v1::Rollout::Unknown => "Unknown",
        v1::Rollout::Go => "Go",
        v1::Rollout::Partly => "Partly",
        v1::Rollout::Hold => "Hold",
    }
}

fn rollout_number(word: &str) -> i32 {
    (match word {
        "go" => v1::Rollout::Go,
        "partly" => v1::Rollout::Partly,
        "hold" => v1::Rollout::Hold,
        _ => v1::Rollout::Unknown,
    }) as i32
}

const fn role_word(role: v1::Role) -> &'static str {
    match role {
        v1::Role::Unspecified => "unknown",
        v1::Role::Endpoint => "endpoint",
        v1::Role::DomainController => "domain-controller",
        v1::Role::Directory => "directory",
        v1::Role::SyncServer => "sync-server",
        v1::Role::Relay => "relay",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_status_is_without_words() {
        for (status, text) in [
            (
                Status::new(Code::Internal, ""),
                "internal error (code 13, and no word of why); is this the operators' address?",
            ),
            (Status::not_found("no site `Oslo`"), "no site `Oslo`"),
            (
                Status::unavailable(""),
                "the collector is not available: the service is currently unavailable (code 14, and no word of why); \
                 is this the operators' address?",
            ),
            (Status::permission_denied("role `reader`"), "the collector refuses this: role `reader`"),
        ] {
            assert_eq!(ClientError::from(status).to_string(), text);
        }
    }

    #[test]
    fn a_broken_connection_is_told_with_its_causes() {
        let cause = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset by peer");
        let status = Status::from_error(Box::new(cause));
        assert!(ClientError::from(status).to_string().contains("reset by peer"));
    }
}
