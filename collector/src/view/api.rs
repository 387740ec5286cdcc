//! `ReadinessService`: the operators' API.
//!
//! Every method asks first who calls; whoever is no operator gets PERMISSION_DENIED, a probe's certificate included.
//! Totals come from the published snapshot, lists from `query`, words from the store.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use muster_evidence::{Forest, HostName, HostNo, Kind, Role, Sid, SiteName, Timestamp};
use muster_proto::link::Chain;
use muster_proto::link::settings::nearest;
use muster_proto::v1::readiness_service_server::ReadinessService;
use muster_proto::{convert, v1};
use muster_readiness::{CHECKS, Standing};
use tokio_stream::{Stream, StreamExt, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tracing::info;

use super::{access, wire};
use crate::commit::CommitError;
use crate::core::{Core, HostView};
use crate::identity::OperatorPeer;
use crate::person::{Erased, Place};
use crate::policy_state::{PolicyError, parse_policy};
use crate::query::{self, Found, HostQuery};
use crate::reload::{Reloaded, Reloader};
use crate::sites::SiteKey;
use crate::snapshot::{SiteSnapshot, Snapshot};
use crate::status::{of_policy, of_store};
use crate::store::StoredHost;
use crate::table::{PoolNo, judged_at};
use crate::verdict::{standing_from_wire, standing_to_wire};

/// Sites in a page where the request does not say.
pub(crate) const SITES_PER_PAGE: usize = 200;

/// Hosts or transitions in a page where the request does not say.
pub(crate) const ITEMS_PER_PAGE: usize = 100;

/// The most of anything in a page.
pub(crate) const MOST_PER_PAGE: usize = 1_000;

/// Transitions shown with one host, latest first.
const TRANSITIONS_OF_HOST: usize = 20;

/// Hosts shown that share an installation or a TPM with one.
const COPIES_SHOWN: usize = 10;

/// Transitions sent with one change to a watcher.
pub(crate) const TRANSITIONS_PER_CHANGE: usize = 100;

/// Transitions read from the store at a time while filtering.
const TRANSITIONS_PER_READ: usize = 1_000;

/// Transitions looked at for one answer; the answer says where to go on.
pub(crate) const TRANSITIONS_LOOKED_AT: usize = 100_000;

/// Where something may be left of a person who was erased, and for how long.
const REMAINS: [&str; 3] = [
    "snapshots made by `muster-collector backup` before now hold it for as long as they are kept: delete them, or restore \
     none of them without erasing again",
    "the store's files hold the bytes until sled writes over their place, where nothing but a look at the raw disk finds \
     them",
    "a machine that the person signs in to, and a directory that still holds the person's keys, tell of the person again",
];

/// Longest text of a name to look for.
pub(crate) const NAME_BYTES: usize = 253;

/// The service.
#[derive(Clone, Debug)]
pub struct Api {
    core: Core,
    /// `None` for views that only read.
    reloader: Option<Reloader>,
}

impl Api {
    /// The service over a core.
    pub const fn new(core: Core) -> Self {
        Self { core, reloader: None }
    }

    /// The same, which also tells how the listeners stand, and reloads what they believe.
    #[must_use]
    pub fn with_reloader(mut self, reloader: Reloader) -> Self {
        self.reloader = Some(reloader);
        self
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.core.snapshot()
    }

    /// The one site of a name, or a status that says why there is none.
    pub(super) fn find_site(&self, forest: &str, name: &str) -> Result<Arc<SiteSnapshot>, Status> {
        let forest = optional::<Forest>(forest, "forest")?;
        let name: SiteName = required(name, "name")?;
        let snapshot = self.snapshot();
        let found: Vec<&Arc<SiteSnapshot>> = snapshot
            .sites
            .iter()
            .filter(|site| {
                site.site
                    .as_ref()
                    .is_some_and(|own| own.name == name && forest.as_ref().is_none_or(|of| own.forest == *of))
            })
            .collect();
        match found[..] {
            [site] => Ok(Arc::clone(site)),
            [] => Err(Status::not_found(match nearest_site(&snapshot, &name) {
                Some(near) => format!("no site `{name}` (did you mean `{near}`?)"),
                None => format!("no site `{name}`"),
            })),
            _ => {
                let forests: Vec<String> =
                    found.iter().filter_map(|site| Some(site.site.as_ref()?.forest.to_string())).collect();
                Err(Status::invalid_argument(format!(
                    "several forests have a site `{name}`: {}; name one",
                    forests.join(", ")
                )))
            }
        }
    }

    /// Forest and name of a site that a filter names; empty texts filter nothing.
    fn site_filter(&self, forest: &str, name: &str) -> Result<Option<SiteKey>, Status> {
        if name.is_empty() {
            return Ok(None);
        }
        Ok(self.find_site(forest, name)?.key())
    }

    /// The pool that a filter names; an empty text filters nothing.
    fn pool_filter(&self, name: &str) -> Result<Option<PoolNo>, Status> {
        if name.is_empty() {
            return Ok(None);
        }
        let pools = self.core.read(|table| Arc::clone(&table.frame().pools));
        let found = pools.named(name).and_then(PoolNo::new).map(Some);
        found.ok_or_else(|| {
            let name: String = name.chars().take(64).collect();
            match nearest(&name, pools.iter().map(|pool| pool.name.as_ref())) {
                Some(near) => Status::not_found(format!("the policy has no pool `{name}` (did you mean `{near}`?)")),
                None => Status::not_found(format!("the policy has no pool `{name}`")),
            }
        })
    }

    /// The number of the host that has a name, or had it.
    fn find_host(&self, forest: &str, name: &str) -> Result<HostNo, Status> {
        self.find_host_as(forest, name).map(|(number, _)| number)
    }

    /// The number of the host of a name, with the name in full where it is one that the host has no more.
    fn find_host_as(&self, forest: &str, name: &str) -> Result<(HostNo, Option<HostName>), Status> {
        let forest = optional::<Forest>(forest, "forest")?;
        let name: HostName = required(name, "name")?;
        self.core.read(|table| match query::host(table, &name, forest.as_ref()) {
            Found::One(row) => Ok((row.number, None)),
            Found::Renamed(row, former) => Ok((row.number, Some(former))),
            Found::None => Err(Status::not_found(match query::nearest_host(table, &name) {
                Some(near) => format!("no host `{name}` (did you mean `{near}`?)"),
                None => format!("no host `{name}`"),
            })),
            Found::Several(names) => {
                Err(Status::invalid_argument(format!("`{name}` is one of several hosts: {}", names.join(", "))))
            }
        })
    }

    async fn load(&self, number: HostNo) -> Result<HostView, Status> {
        let view = self.core.host(number).await.map_err(|error| of_store(&error))?;
        view.ok_or_else(|| Status::not_found(format!("host {number} has no record")))
    }

    /// What a host's observations say.
    async fn evidence(&self, stored: &StoredHost) -> Result<Vec<v1::EvidenceView>, Status> {
        let bodies = self.core.store().bodies(stored.number).await.map_err(|error| of_store(&error))?;
        let views = stored.record.observations.iter().map(|index| {
            let kind = index.key.as_ref().and_then(|key| Kind::from_number(u16::try_from(key.kind).ok()?));
            let bytes = bodies.iter().find(|(key, _)| Some(key) == index.key.as_ref()).map(|(_, body)| body);
            let outcome = kind.zip(bytes).and_then(|(kind, bytes)| convert::decode_body(kind, bytes).ok());
            v1::EvidenceView {
                key: index.key.clone(),
                kind: kind.map_or_else(
                    || format!("kind {}", index.key.as_ref().map_or(0, |key| key.kind)),
                    |kind| kind.name().to_owned(),
                ),
                body: outcome.as_ref().map(convert::outcome_to_wire),
                observed_at_ms: judged_at(index).map_or(index.observed_at_ms, Timestamp::unix_ms),
                context: index.context,
                origin: index.origin,
                reporter: index.reporter.clone(),
                newer_than_collector: kind.is_none() || (bytes.is_some() && outcome.is_none()),
                moving: index.moving,
            }
        });
        Ok(views.collect())
    }

    /// What a watcher is sent: the sites that changed after a snapshot, and the transitions after a number.
    async fn change(
        &self,
        snapshot: &Snapshot,
        after: u64,
        seen: u64,
        only: Option<&SiteKey>,
    ) -> Result<v1::WatchResponse, Status> {
        let wanted = |site: &SiteSnapshot| only.is_none_or(|key| site.key().as_ref() == Some(key));
        let sites = snapshot.sites.iter().filter(|site| site.changed_in > after && wanted(site));
        let page =
            self.core.store().transitions(seen, TRANSITIONS_PER_CHANGE).await.map_err(|error| of_store(&error))?;
        let of_site = |transition: &v1::Transition| {
            only.is_none_or(|(forest, name)| {
                transition
                    .site
                    .as_ref()
                    .is_some_and(|site| site.forest == forest.as_str() && site.name.eq_ignore_ascii_case(name.as_str()))
            })
        };
        Ok(v1::WatchResponse {
            snapshot: snapshot.number,
            as_of_ms: snapshot.as_of.unix_ms(),
            sites: sites.map(|site| wire::site(site)).collect(),
            transitions: page.items.into_iter().filter(of_site).collect(),
        })
    }
}

/// The verdicts about the machine (no SID), or about one of its users.
fn verdicts_of(view: &HostView, sid: &str) -> Vec<v1::Verdict> {
    let own = view.verdicts.iter().filter(|stored| stored.user_sid == sid);
    own.filter_map(|stored| stored.verdict.clone()).collect()
}

/// Who asks. Nothing is answered to anyone else.
pub(crate) fn operator<T>(request: &Request<T>) -> Result<String, Status> {
    let peer = request
        .extensions()
        .get::<OperatorPeer>()
        .ok_or_else(|| Status::unauthenticated("this listener does not know who asks"))?;
    peer.name().map(str::to_owned)
}

fn required<T: std::str::FromStr>(text: &str, field: &str) -> Result<T, Status>
where
    T::Err: std::fmt::Display,
{
    if text.len() > NAME_BYTES {
        return Err(Status::invalid_argument(format!(
            "`{field}` has {} bytes (at most {NAME_BYTES} are read)",
            text.len()
        )));
    }
    text.parse().map_err(|error| Status::invalid_argument(format!("`{field}`: {error}")))
}

pub(super) fn optional<T: std::str::FromStr>(text: &str, field: &str) -> Result<Option<T>, Status>
where
    T::Err: std::fmt::Display,
{
    if text.is_empty() { Ok(None) } else { required(text, field).map(Some) }
}

/// The size of a page: what was asked for, within bounds.
fn page_size(asked: u32, default: usize) -> usize {
    match asked as usize {
        0 => default,
        asked => asked.min(MOST_PER_PAGE),
    }
}

/// A page token is a number in decimal; anything else did not come from us.
pub(super) fn page_token(token: &str) -> Result<u64, Status> {
    if token.is_empty() {
        return Ok(0);
    }
    token.parse().map_err(|_| Status::invalid_argument("`page_token` is none that this service gave"))
}

/// The name of a site nearest to one that does not exist.
fn nearest_site(snapshot: &Snapshot, name: &SiteName) -> Option<String> {
    let names: Vec<String> =
        snapshot.sites.iter().filter_map(|site| site.site.as_ref()).map(|site| site.name.folded()).collect();
    let near: SiteName = nearest(&name.folded(), names.iter().map(String::as_str))?.parse().ok()?;
    let own = snapshot.sites.iter().filter_map(|site| site.site.as_ref()).find(|site| site.name == near)?;
    Some(own.name.to_string())
}

/// The check of a filter, by its place in `CHECKS`.
pub(super) fn check_index(id: &str) -> Result<Option<usize>, Status> {
    if id.is_empty() {
        return Ok(None);
    }
    let index = CHECKS.iter().position(|check| check.id() == id);
    index.map(Some).ok_or_else(|| Status::invalid_argument(unknown_check(id)))
}

fn unknown_check(id: &str) -> String {
    let id: String = id.chars().take(64).collect();
    match muster_readiness::nearest_check(&id) {
        Some(near) => format!("unknown check `{id}` (did you mean `{near}`?)"),
        None => format!("unknown check `{id}`"),
    }
}

#[tonic::async_trait]
impl ReadinessService for Api {
    async fn get_organisation(
        &self,
        request: Request<v1::GetOrganisationRequest>,
    ) -> Result<Response<v1::GetOrganisationResponse>, Status> {
        operator(&request)?;
        let access = self.reloader.as_ref().map(|own| access::access(own.access(), own.asks_lists()));
        Ok(Response::new(v1::GetOrganisationResponse { access, ..wire::organisation(&self.snapshot()) }))
    }

    async fn reload_collector(
        &self,
        request: Request<v1::ReloadCollectorRequest>,
    ) -> Result<Response<v1::ReloadCollectorResponse>, Status> {
        let who = operator(&request)?;
        let Some(reloader) = &self.reloader else {
            return Err(Status::unimplemented("this view only reads"));
        };
        match reloader.reload(&who).await {
            Ok(Reloaded { generation, ended, needs_restart }) => {
                let ended = ended as u64;
                Ok(Response::new(v1::ReloadCollectorResponse { generation, ended, needs_restart }))
            }
            Err(refused) => Err(Status::failed_precondition(Chain(&refused).to_string())),
        }
    }

    async fn list_sites(
        &self,
        request: Request<v1::ListSitesRequest>,
    ) -> Result<Response<v1::ListSitesResponse>, Status> {
        operator(&request)?;
        let request = request.into_inner();
        let forest = optional::<Forest>(&request.forest, "forest")?;
        let rollouts: Vec<_> = request.rollouts.iter().filter_map(|number| wire::rollout_from(*number)).collect();
        let skip = usize::try_from(page_token(&request.page_token)?).unwrap_or(usize::MAX);
        let size = page_size(request.page_size, SITES_PER_PAGE);
        let snapshot = self.snapshot();
        let page = query::sites(&snapshot, forest.as_ref(), &rollouts, skip, size);
        Ok(Response::new(v1::ListSitesResponse {
            sites: page.sites.into_iter().map(|site| wire::site(site)).collect(),
            next_page_token: page.next.map(|next| next.to_string()).unwrap_or_default(),
            snapshot: snapshot.number,
            as_of_ms: snapshot.as_of.unix_ms(),
            policy_revision: snapshot.policy_revision,
        }))
    }

    async fn get_site(&self, request: Request<v1::GetSiteRequest>) -> Result<Response<v1::GetSiteResponse>, Status> {
        operator(&request)?;
        let request = request.into_inner();
        let site = self.find_site(&request.forest, &request.name)?;
        let snapshot = self.snapshot();
        Ok(Response::new(v1::GetSiteResponse {
            site: Some(wire::site(&site)),
            dcs: site.dc_rows.iter().map(|dc| wire::site_dc(dc)).collect(),
            checks: wire::check_counts(&site),
            snapshot: snapshot.number,
            as_of_ms: snapshot.as_of.unix_ms(),
            policy_revision: snapshot.policy_revision,
            dcs_missing: site.readiness.coverage.dcs_missing.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn list_hosts(
        &self,
        request: Request<v1::ListHostsRequest>,
    ) -> Result<Response<v1::ListHostsResponse>, Status> {
        operator(&request)?;
        let request = request.into_inner();
        if request.name_contains.len() > NAME_BYTES {
            return Err(Status::invalid_argument(format!("`name_contains` is over {NAME_BYTES} bytes")));
        }
        let query = HostQuery {
            forest: optional(&request.forest, "forest")?,
            site: self.site_filter(&request.forest, &request.site)?,
            role: if request.role == 0 { None } else { Some(role(request.role)?) },
            check: check_index(&request.check)?,
            standings: request
                .standings
                .iter()
                .filter_map(|number| standing_from_wire(*number))
                .collect::<Vec<Standing>>(),
            name_contains: request.name_contains.to_ascii_lowercase(),
            quiet: request.quiet,
            certificate_near_end: request.certificate_near_end,
            shared: request.shared,
            pool: self.pool_filter(&request.pool)?,
            conflict: request.conflict,
        };
        let after = HostNo(page_token(&request.page_token)?);
        let size = page_size(request.page_size, ITEMS_PER_PAGE);
        Ok(Response::new(self.core.read(|table| {
            let page = query::hosts(table, &query, after, size);
            v1::ListHostsResponse {
                hosts: page.rows.iter().map(|row| wire::host_summary(table, row)).collect(),
                next_page_token: page.next.map(|next| next.to_string()).unwrap_or_default(),
                total: page.total,
            }
        })))
    }

    async fn get_host(&self, request: Request<v1::GetHostRequest>) -> Result<Response<v1::GetHostResponse>, Status> {
        operator(&request)?;
        let request = request.into_inner();
        let rule = check_index(&request.explain)?.map(|index| wire::check_rule(CHECKS[index]));
        let (number, asked_as) = self.find_host_as(&request.forest, &request.name)?;
        let view = self.load(number).await?;
        let evidence = self.evidence(&view.stored).await?;
        let transitions =
            self.core.store().host_transitions(number, TRANSITIONS_OF_HOST).await.map_err(|error| of_store(&error))?;
        self.core.read(|table| {
            let row = table.get(number).ok_or_else(|| Status::not_found("the host is gone"))?;
            let users = row.users.iter().map(|user| v1::HostUser {
                verdicts: verdicts_of(&view, user.sid.as_str()),
                sid: user.sid.to_string(),
                standing: standing_to_wire(user.standing).into(),
                last_seen_ms: user.seen.unix_ms(),
            });
            let name = |row: &crate::table::Row| row.key.name.to_string();
            let copies: Vec<_> = table.copies_of(row).take(COPIES_SHOWN).map(name).collect();
            let same_tpm: Vec<_> = table.same_tpm_as(row).take(COPIES_SHOWN).map(name).collect();
            let earlier_or_later = table.earlier_or_later(row).into_iter().take(COPIES_SHOWN).map(name).collect();
            let record = &view.stored.record;
            Ok(Response::new(v1::GetHostResponse {
                host: Some(wire::host_summary(table, row)),
                verdicts: verdicts_of(&view, ""),
                users: users.collect(),
                evidence,
                transitions,
                site_origin: match row.site_origin {
                    v1::SiteOrigin::Directory => "the directory says so",
                    v1::SiteOrigin::Claim => "the host says so",
                    v1::SiteOrigin::Configuration => "the collector's inventory says so",
                    v1::SiteOrigin::Unspecified => "nobody says",
                }
                .to_owned(),
                first_seen_ms: view.stored.record.first_seen_ms,
                conflict: row.conflict || !copies.is_empty() || !same_tpm.is_empty(),
                copies,
                same_tpm,
                earlier_or_later,
                former_names: record.former_names.clone(),
                asked_as: asked_as.map(|name| name.to_string()).unwrap_or_default(),
                reimages: record.reimages.clone(),
                ek_sha256: record.identity.as_ref().and_then(|own| own.ek_sha256.clone()).unwrap_or_default(),
                policy_revision: row.policy_revision,
                install_id: view.stored.record.install_id.clone(),
                client_certificate: view.stored.record.client_certificate.clone(),
                client_certificate_proved: view.stored.record.client_certificate_proved,
                rule,
            }))
        })
    }

    async fn get_user(&self, request: Request<v1::GetUserRequest>) -> Result<Response<v1::GetUserResponse>, Status> {
        operator(&request)?;
        let sid: Sid = required(&request.into_inner().sid, "sid")?;
        let hosts: Vec<HostNo> = self.core.read(|table| table.hosts_of_user(&sid).to_vec());
        if hosts.is_empty() {
            return Err(Status::not_found(format!("no host has reported the user `{sid}`")));
        }
        let mut forest = None;
        let mut endpoints = Vec::new();
        for number in hosts {
            let view = self.load(number).await?;
            let mut verdicts = verdicts_of(&view, sid.as_str());
            verdicts.extend(verdicts_of(&view, ""));
            self.core.read(|table| {
                let Some(row) = table.get(number) else { return };
                forest = forest.take().or_else(|| row.key.forest.clone());
                let seen = row.users.iter().find(|user| user.sid == sid).map_or(row.last_seen, |user| user.seen);
                endpoints.push(v1::UserEndpoint {
                    host: Some(wire::host_summary(table, row)),
                    verdicts,
                    last_seen_ms: seen.unix_ms(),
                });
            });
        }
        endpoints.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.last_seen_ms));
        let asked = BTreeSet::from([sid.to_string()]);
        let directory =
            self.core.facts_of_forest(forest.as_ref(), asked, None).await.map_err(|error| of_store(&error))?;
        let (standing, counted_at) = self.core.read(|table| match table.counted(&sid) {
            Some((site, user)) => (user.standing, table.site(site).map(wire::site_id)),
            None => (Standing::NotApplicable, None),
        });
        Ok(Response::new(v1::GetUserResponse {
            standing: standing_to_wire(standing).into(),
            counted_at,
            endpoints,
            directory_keys: directory.keys.get(&sid).map(Into::into),
            directory_complete: directory.inventory.is_some_and(|inventory| inventory.complete),
            sid: sid.to_string(),
        }))
    }

    async fn export_user(
        &self,
        request: Request<v1::ExportUserRequest>,
    ) -> Result<Response<v1::ExportUserResponse>, Status> {
        let who = operator(&request)?;
        let v1::ExportUserRequest { sid, page_token } = request.into_inner();
        let sid: Sid = required(&sid, "sid")?;
        let place = Place::parse(&page_token)
            .ok_or_else(|| Status::invalid_argument("`page_token` is none that this service gave"))?;
        if page_token.is_empty() {
            info!(operator = who, "what is stored about a person is exported");
        }
        let (documents, next) = self.core.export_user(&sid, place).await.map_err(|error| of_store(&error))?;
        Ok(Response::new(v1::ExportUserResponse {
            documents: documents.iter().map(ToString::to_string).collect(),
            next_page_token: next.map(Place::token).unwrap_or_default(),
        }))
    }

    async fn erase_user(
        &self,
        request: Request<v1::EraseUserRequest>,
    ) -> Result<Response<v1::EraseUserResponse>, Status> {
        let who = operator(&request)?;
        let sid: Sid = required(&request.into_inner().sid, "sid")?;
        let erased = self.core.erase_user(&sid).await.map_err(|error| match error {
            CommitError::Store { cause } => of_store(&cause),
            CommitError::Stopping => Status::unavailable(error.to_string()),
        })?;
        let Erased { hosts, observations, verdicts, transitions, items } = erased;
        // Who was erased is not written down.
        info!(operator = who, hosts, observations, verdicts, transitions, items, "a person was erased");
        Ok(Response::new(v1::EraseUserResponse {
            hosts,
            observations,
            verdicts,
            transitions,
            inventory_items: items,
            remains: REMAINS.map(str::to_owned).to_vec(),
        }))
    }

    async fn list_transitions(
        &self,
        request: Request<v1::ListTransitionsRequest>,
    ) -> Result<Response<v1::ListTransitionsResponse>, Status> {
        operator(&request)?;
        let request = request.into_inner();
        let size = page_size(request.page_size, ITEMS_PER_PAGE);
        let site = self.site_filter(&request.forest, &request.site)?;
        let forest = optional::<Forest>(&request.forest, "forest")?;
        let host = if request.host.is_empty() {
            None
        } else {
            let number = self.find_host(&request.forest, &request.host)?;
            self.core.read(|table| table.get(number).map(|row| (number.0, row.key.name.to_string())))
        };
        let wanted = |transition: &v1::Transition| {
            let at = transition.site.as_ref();
            // Those from before hosts were numbered in them go by the name.
            host.as_ref().is_none_or(|(number, name)| match transition.host_number {
                0 => transition.host == *name,
                own => own == *number,
            }) && request.since_ms.is_none_or(|since| transition.at_ms >= since)
                && forest.as_ref().is_none_or(|forest| at.is_some_and(|at| at.forest == forest.as_str()))
                && site
                    .as_ref()
                    .is_none_or(|(_, name)| at.is_some_and(|at| at.name.eq_ignore_ascii_case(name.as_str())))
        };
        let mut answer =
            v1::ListTransitionsResponse { transitions: Vec::new(), next_after: request.after, more: false };
        let mut looked_at = 0;
        'pages: loop {
            let page = self
                .core
                .store()
                .transitions(answer.next_after, TRANSITIONS_PER_READ)
                .await
                .map_err(|error| of_store(&error))?;
            looked_at += page.items.len();
            for transition in page.items {
                if answer.transitions.len() == size {
                    answer.more = true;
                    break 'pages;
                }
                answer.next_after = transition.number;
                if wanted(&transition) {
                    answer.transitions.push(transition);
                }
            }
            if page.next.is_none() {
                break;
            }
            if looked_at >= TRANSITIONS_LOOKED_AT {
                answer.more = true;
                break;
            }
        }
        Ok(Response::new(answer))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        operator(&request)?;
        let request = request.into_inner();
        let only = self.site_filter(&request.forest, &request.site)?;
        let api = self.clone();
        let mut state: Option<(u64, u64)> = None;
        let snapshots = WatchStream::new(self.core.subscribe());
        let changes = snapshots.then(move |snapshot| {
            let (after, seen) = state.unwrap_or((0, snapshot.last_transition));
            let first = state.is_none();
            state = Some((snapshot.number, snapshot.last_transition));
            let (api, only) = (api.clone(), only.clone());
            async move {
                let change = api.change(&snapshot, after, seen, only.as_ref()).await?;
                Ok((first || !change.sites.is_empty() || !change.transitions.is_empty()).then_some(change))
            }
        });
        let stream = changes.filter_map(Result::transpose);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn get_policy(
        &self,
        request: Request<v1::GetPolicyRequest>,
    ) -> Result<Response<v1::GetPolicyResponse>, Status> {
        operator(&request)?;
        let revision = request.into_inner().revision;
        let in_force = self.core.policy();
        let (record, effective) = if revision == 0 || revision == in_force.revision {
            (in_force.record.clone(), in_force.effective())
        } else {
            let record = self.core.store().policy(Some(revision)).await.map_err(|error| of_store(&error))?;
            let record = record.ok_or_else(|| Status::not_found(format!("no policy revision {revision}")))?;
            let effective = match parse_policy(&record.text) {
                Ok(policy) => toml::to_string(&policy).unwrap_or_default(),
                // An older collector took it; this one says what it thinks of it.
                Err(problems) => format!("# {}\n", problems.join("\n# ")),
            };
            (record, effective)
        };
        Ok(Response::new(v1::GetPolicyResponse {
            revision: record.revision,
            text: record.text,
            applied_at_ms: record.applied_at_ms,
            applied_by: record.applied_by,
            effective,
        }))
    }

    async fn plan_policy(
        &self,
        request: Request<v1::PlanPolicyRequest>,
    ) -> Result<Response<v1::PlanPolicyResponse>, Status> {
        operator(&request)?;
        let mut answer = v1::PlanPolicyResponse { base_revision: self.core.policy().revision, ..Default::default() };
        match self.core.plan_policy(&request.into_inner().text, &|_, _| ()).await {
            Err(PolicyError::Invalid { problems }) => answer.problems = problems,
            Err(error) => return Err(of_policy(&error)),
            Ok(plan) => {
                answer.base_revision = plan.base_revision;
                answer.verdicts_changed = plan.verdicts_changed;
                answer.hosts_pooled_otherwise = plan.hosts_pooled_otherwise;
                answer.sites_changed = plan
                    .sites_changed
                    .into_iter()
                    .map(|((forest, name), from, to)| v1::SiteChange {
                        site: Some(v1::SiteId { forest: forest.to_string(), name: name.to_string() }),
                        from: wire::rollout(from).into(),
                        to: wire::rollout(to).into(),
                    })
                    .collect();
            }
        }
        Ok(Response::new(answer))
    }

    async fn apply_policy(
        &self,
        request: Request<v1::ApplyPolicyRequest>,
    ) -> Result<Response<v1::ApplyPolicyResponse>, Status> {
        let who = operator(&request)?;
        let v1::ApplyPolicyRequest { text, base_revision } = request.into_inner();
        let in_force = self.core.policy().revision;
        let base = if base_revision == 0 { in_force } else { base_revision };
        match self.core.apply_policy(&text, base, &who).await {
            Ok(revision) => Ok(Response::new(v1::ApplyPolicyResponse { revision, problems: Vec::new() })),
            Err(PolicyError::Invalid { problems }) => {
                Ok(Response::new(v1::ApplyPolicyResponse { revision: in_force, problems }))
            }
            Err(error) => Err(of_policy(&error)),
        }
    }

    async fn list_waivers(
        &self,
        request: Request<v1::ListWaiversRequest>,
    ) -> Result<Response<v1::ListWaiversResponse>, Status> {
        operator(&request)?;
        let ended_too = request.into_inner().include_ended;
        let now = self.core.now().unix_ms();
        let waivers = self.core.waivers();
        let waivers = waivers.iter().filter(|waiver| ended_too || (!waiver.removed && waiver.expires_at_ms > now));
        Ok(Response::new(v1::ListWaiversResponse { waivers: waivers.cloned().collect() }))
    }

    async fn add_waiver(
        &self,
        request: Request<v1::AddWaiverRequest>,
    ) -> Result<Response<v1::AddWaiverResponse>, Status> {
        let who = operator(&request)?;
        let v1::AddWaiverRequest { check, host, site, reason, expires_at_ms } = request.into_inner();
        // People name a host by its first label and leave the forest out; a waiver keeps the full names.
        let host = match host.as_str() {
            "" => host,
            name => {
                let number = self.find_host("", name)?;
                self.core.read(|table| table.get(number).map(|row| row.key.name.to_string())).unwrap_or(host)
            }
        };
        let site = match site {
            None => None,
            Some(site) => self.find_site(&site.forest, &site.name)?.site.as_ref().map(wire::site_id),
        };
        let waiver = v1::Waiver { check, host, site, who, reason, expires_at_ms, ..Default::default() };
        let waiver = self.core.add_waiver(waiver).await.map_err(|error| of_policy(&error))?;
        Ok(Response::new(v1::AddWaiverResponse { waiver: Some(waiver) }))
    }

    async fn remove_waiver(
        &self,
        request: Request<v1::RemoveWaiverRequest>,
    ) -> Result<Response<v1::RemoveWaiverResponse>, Status> {
        let who = operator(&request)?;
        let number = request.into_inner().number;
        let waiver = self.core.remove_waiver(number, &who).await.map_err(|error| of_policy(&error))?;
        Ok(Response::new(v1::RemoveWaiverResponse { waiver: Some(waiver) }))
    }
}

fn role(number: i32) -> Result<Role, Status> {
    convert::role_from_wire(number).map_err(|error| Status::invalid_argument(format!("`role`: {error}")))
}
