//! One report, from what the peer proved to a durable answer.
//!
//! The order of steps is the order of trust: what the certificate says, what is granted, how the report stands to
//! those before it, what it changes, what that means, and only after the store has confirmed the change does the
//! table learn of it and the probe get its answer. A report that says nothing new takes a short way and writes
//! nothing.
//!
//! The short way trusts this process's own table: that it holds what the store does, and the last sequence of the host.
//! With one collector on a store that is so. With several, `follow` makes the first right within a second or two; the
//! second needs hosts to belong to one collector at a time, as is said there.

mod place;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::time::Duration;

use muster_evidence::{
    ClientCertificate, HostIdentity, HostName, HostNo, Kind, Role, Sha256, Sid, SiteName, Subject, Timestamp,
};
use muster_proto::convert::{Incoming, InvalidReport, PROTOCOL, Refusal, WireKey, read_report};
use muster_proto::link::PeerIdentity;
use muster_proto::v1;
use tokio::time::Instant;
use tracing::{debug, warn};

use self::place::{Ahead, Place, rename_of};
use crate::commit::CommitError;
use crate::core::{Core, lock};
use crate::inventory::Taken;
use crate::judge::Bodies;
use crate::log_limit::HeldBack;
use crate::merge::{Arrival, Known, Merged, Order, merge, merge_series, note_rival};
use crate::store::{Applied, HostUpdate, StoreError, StoredHost};
use crate::table::{MOST_AHEAD_MS, Resident};
use crate::totals::deltas;

/// How far a user's sight may run ahead of what the store knows before it is written.
const SIGHT_AHEAD_MS: i64 = 6 * 3_600_000;

/// Cadences of silence after which another installation may take a host's place.
const SILENT_CADENCES: i64 = 3;

/// When to report after a report of which something is missing.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Says why a report is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The report is not one.
    #[error(transparent)]
    Invalid(#[from] InvalidReport),
    /// It speaks of another host than the certificate, and the reporter is no relay.
    #[error("certificate names host `{peer}`, report claims `{claimed}`")]
    HostMismatch {
        /// The host in the certificate.
        peer: HostName,
        /// The host in the report.
        claimed: HostName,
    },
    /// It could not be made durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Others kept changing the host in the meantime.
    #[error("host `{host}` was changed {attempts} times by others while its report was judged")]
    Contended {
        /// The host.
        host: HostName,
        /// How often judging was tried.
        attempts: u32,
    },
}

impl Refused {
    /// The reason in a word, for counting and for the log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::HostMismatch { .. } => "host-mismatch",
            Self::Commit(_) => "not-stored",
            Self::Contended { .. } => "contended",
        }
    }
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Its host was not known.
    FirstReport,
    /// A verdict about its host, or a user there, is another one now.
    VerdictChanged,
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Commit(error.into())
    }
}

/// Says why a part of a report is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NotGranted {
    #[error("role `{role}` is not granted to `{peer}`")]
    Role { role: &'static str, peer: HostName },
    #[error("site `{site}` is not known, and {known} sites are (at most {most} are taken)")]
    Site { site: SiteName, known: usize, most: usize },
    #[error("inventories are taken from the role `directory`, which is not granted to `{peer}`")]
    Inventory { peer: HostName },
}

/// Says that a probe tells of another certificate than the one it shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("report tells of a certificate from {} to {}, the connection proved one from {proved_from} to {proved_until}",
    claimed.not_before, claimed.not_after)]
struct OtherCertificate {
    claimed: ClientCertificate,
    proved_from: Timestamp,
    proved_until: Timestamp,
}

/// A report with what the collector's configuration makes of it.
struct Admitted {
    report: Incoming,
    host: HostIdentity,
    roles: Vec<Role>,
    relay: Option<HostName>,
    reporter: HostName,
    /// The certificate of the host's probe, and whether TLS proved it.
    certificate: Option<(ClientCertificate, bool)>,
    /// SHA-256 of the reporter's certificate.
    thumbprint: Sha256,
    refusals: Vec<Refusal>,
    now: Timestamp,
}

impl Core {
    /// Takes one report.
    pub async fn submit(&self, peer: &PeerIdentity, message: v1::ReportRequest) -> Result<v1::ReportResponse, Refused> {
        self.submit_for_news(peer, message, &OnceLock::new()).await
    }

    /// Does what [`Core::submit`] does, and notes what the report changed.
    pub(crate) async fn submit_for_news(
        &self,
        peer: &PeerIdentity,
        message: v1::ReportRequest,
        news: &OnceLock<News>,
    ) -> Result<v1::ReportResponse, Refused> {
        let mut report = read_report(message)?;
        if let Some(names) = &self.settings().names {
            names.hide(&mut report);
        }
        let admitted = self.admit(peer, report)?;
        tracing::Span::current().record("host", tracing::field::display(&admitted.host.name));
        self.tell_refusals(&admitted, &admitted.refusals);
        let _lane = self.lane(&admitted.host.name).await;
        if let Some(response) = self.nothing_new(&admitted) {
            return Ok(response);
        }
        let _inventories = match admitted.report.inventory.as_slice() {
            [] => None,
            _ => Some(self.0.inventory_lane.lock().await),
        };
        let attempts = self.settings().bounds.conflict_retries.max(1);
        for _ in 0..attempts {
            if let Some(response) = self.try_to_take(&admitted, news).await? {
                return Ok(response);
            }
            debug!("another collector was faster; the report is judged again");
        }
        Err(Refused::Contended { host: admitted.host.name, attempts })
    }

    /// Writes down what is not taken of a report: one line per reporter and sort of part in a minute. The reporter is
    /// told every one, with its reason.
    fn tell_refusals(&self, admitted: &Admitted, refusals: &[Refusal]) {
        let peer = &admitted.reporter;
        for Refusal { part, reason, key: _ } in refusals {
            // What comes after the first word is the peer's choice.
            let sort = part.split([' ', '[']).next().unwrap_or_default();
            if let Some(HeldBack { same, others }) = self.0.log_limit.admit(peer, sort, Instant::now()) {
                warn!(part, reason, held_back = same, others_held_back = others, "part of a report refused");
            } else {
                debug!(part, reason, "part of a report refused");
            }
        }
    }

    fn admit(&self, peer: &PeerIdentity, mut report: Incoming) -> Result<Admitted, Refused> {
        let grants = self.grants();
        let granted = |role| grants.allow(role, peer.name(), &peer.thumbprint());
        let relay = (report.host.name != *peer.name()).then(|| peer.name().clone());
        if relay.is_some() && !granted(Role::Relay) {
            return Err(Refused::HostMismatch { peer: peer.name().clone(), claimed: report.host.name });
        }
        let mut refusals = std::mem::take(&mut report.refusals);
        let (roles, refused): (Vec<Role>, Vec<Role>) = report.roles.iter().partition(|role| granted(**role));
        for role in refused {
            let error = NotGranted::Role { role: role.name(), peer: peer.name().clone() };
            refusals.push(Refusal::new(format!("role {}", role.name()), &error));
        }
        if !report.inventory.is_empty() && !granted(Role::Directory) {
            let error = NotGranted::Inventory { peer: peer.name().clone() };
            for part in std::mem::take(&mut report.inventory) {
                refusals.push(Refusal::new(format!("inventory {} of {}", part.source, part.forest), &error));
            }
        }
        let certificate = match relay {
            Some(_) => report.client_certificate.take().map(|claimed| (claimed, false)),
            None => Some((proved_certificate(peer, report.client_certificate.take(), &mut refusals), true)),
        };
        let mut host = report.host.clone();
        host.forest = host.forest.or_else(|| self.settings().default_forest.clone());
        if let Some(error) = self.one_site_too_many(&host) {
            refusals.push(Refusal::new("site", &error));
            host.site = None;
        }
        // Merging must know which observations are listed, refused ones included.
        report.refusals.clone_from(&refusals);
        Ok(Admitted {
            report,
            host,
            roles,
            relay,
            reporter: peer.name().clone(),
            certificate,
            thumbprint: peer.thumbprint(),
            refusals,
            now: self.now(),
        })
    }

    /// Whether a host claims a site that is not known, while as many are as may be.
    fn one_site_too_many(&self, host: &HostIdentity) -> Option<NotGranted> {
        let (forest, site) = (host.forest.as_ref()?, host.site.as_ref()?);
        let most = self.settings().bounds.sites;
        let known = self.read(|table| {
            let key = (forest.clone(), site.clone());
            table.site_number(&key).is_none().then(|| table.sites_len())
        })?;
        (known >= most).then(|| NotGranted::Site { site: site.clone(), known, most })
    }

    /// The answer to a report that says exactly what the last one said.
    fn nothing_new(&self, admitted: &Admitted) -> Option<v1::ReportResponse> {
        let report = &admitted.report;
        if !report.series.is_empty() || !report.inventory.is_empty() {
            return None;
        }
        let number = self.resolve(&admitted.host)?;
        let fingerprint = fingerprint(admitted);
        let users = users_seen(admitted);
        let mut table = lock(&self.0.table);
        let row = table.get(number)?;
        let same = row.fingerprint == fingerprint
            && row.install_id == report.install_id
            && row.incarnation == report.incarnation
            && row.sequence < report.sequence
            && !row.conflict
            && row.clock_ahead_is(self.arrival(admitted).clock_ahead_ms(), admitted.relay.is_some());
        let sights_are_near = users.iter().all(|(sid, seen)| {
            row.users
                .iter()
                .find(|user| user.sid == *sid)
                .is_none_or(|user| seen.ms_since(user.stored_seen) < SIGHT_AHEAD_MS)
        });
        if !same || !sights_are_near {
            return None;
        }
        let arrival = self.arrival(admitted);
        table.saw(number, report.sequence, arrival.sight(), &users, admitted.now);
        let changed = table.has_dirty();
        drop(table);
        if changed {
            self.wake_publisher();
        }
        Some(self.answer(admitted, v1::Acknowledgement::Seen))
    }

    fn arrival<'a>(&'a self, admitted: &'a Admitted) -> Arrival<'a> {
        let cadence = self.settings().cadences.of(admitted.roles.iter().copied());
        Arrival {
            report: &admitted.report,
            host: &admitted.host,
            roles: &admitted.roles,
            relay: admitted.relay.as_ref(),
            certificate: admitted.certificate.as_ref().map(|(certificate, proved)| (certificate, *proved)),
            sites: &self.settings().sites,
            names: self.settings().names.as_ref(),
            now: admitted.now,
            silence_ms: i64::try_from(cadence.as_millis()).unwrap_or(i64::MAX).saturating_mul(SILENT_CADENCES),
        }
    }

    /// Takes a report that may change something. `None` where the host was changed by others meanwhile.
    async fn try_to_take(
        &self,
        admitted: &Admitted,
        news: &OnceLock<News>,
    ) -> Result<Option<v1::ReportResponse>, Refused> {
        let Place { number, stored, ahead } = self.place(admitted).await?;
        let row = self.read(|table| table.get(number).map(|row| (row.sequence, row.last_seen, row.incarnation)));
        let known = stored.as_ref().map(|stored| {
            let record = &stored.record;
            let last_seen = Timestamp::from_unix_ms(record.last_seen_ms).unwrap_or(Timestamp::MIN);
            match row {
                Some((sequence, seen, incarnation)) if incarnation == record.incarnation => {
                    Known { record, sequence: sequence.max(record.sequence), last_seen: seen.max(last_seen) }
                }
                _ => Known { record, sequence: record.sequence, last_seen },
            }
        });
        let arrival = self.arrival(admitted);
        let order = Order::of(&arrival, known);
        match (order, known) {
            (Order::Rival, Some(known)) => self.refuse_rival(admitted, &arrival, number, stored.as_ref(), known).await,
            (Order::Superseded, Some(known)) => {
                self.take_series_alone(admitted, number, order, stored.as_ref(), known).await
            }
            _ => self.take_merged(admitted, &arrival, number, order, (stored.as_ref(), ahead), known, news).await,
        }
    }

    /// Notes that two installations report under one name. The rival's word is not taken.
    async fn refuse_rival(
        &self,
        admitted: &Admitted,
        arrival: &Arrival<'_>,
        number: HostNo,
        stored: Option<&StoredHost>,
        known: Known<'_>,
    ) -> Result<Option<v1::ReportResponse>, Refused> {
        let mut answer = self.answer(admitted, v1::Acknowledgement::Superseded);
        answer.conflict = true;
        if let (Some(record), Some(stored)) = (note_rival(arrival, known.record), stored) {
            if record.install_id == admitted.report.install_id.0 {
                warn!(known = record.incarnation, rival = record.rival_incarnation, "two copies of a machine report");
            } else {
                warn!(
                    known = muster_evidence::InstallId::from_slice(&record.install_id).map(|id| id.to_string()).ok(),
                    rival = %admitted.report.install_id,
                    "two installations report under one name"
                );
            }
            if !self.commit_unjudged(number, stored, record, Vec::new(), admitted.now).await? {
                return Ok(None);
            }
        }
        Ok(Some(answer))
    }

    /// Takes the series of a report whose state is superseded.
    async fn take_series_alone(
        &self,
        admitted: &Admitted,
        number: HostNo,
        order: Order,
        stored: Option<&StoredHost>,
        known: Known<'_>,
    ) -> Result<Option<v1::ReportResponse>, Refused> {
        let (series, acks) = self.take_series(admitted, number, order).await?;
        if let Some(stored) = stored.filter(|_| !series.is_empty()) {
            let record = v1::HostRecord { revision: known.record.revision + 1, ..known.record.clone() };
            if !self.commit_unjudged(number, stored, record, series, admitted.now).await? {
                return Ok(None);
            }
        }
        let mut answer = self.answer(admitted, v1::Acknowledgement::Superseded);
        answer.conflict = known.record.conflict;
        answer.series = acks;
        Ok(Some(answer))
    }

    /// Commits a record whose verdicts stay as they are. Whether nobody else was faster.
    async fn commit_unjudged(
        &self,
        number: HostNo,
        stored: &StoredHost,
        record: v1::HostRecord,
        series: Vec<(u32, v1::SeriesRecord)>,
        now: Timestamp,
    ) -> Result<bool, Refused> {
        let update = HostUpdate {
            number: number.0,
            from_revision: stored.record.revision,
            record: record.clone(),
            verdicts: stored.verdicts.clone(),
            series,
            ..HostUpdate::default()
        };
        match self.commit(update).await? {
            Applied::Conflict => Ok(false),
            Applied::Committed { last_transition } => {
                self.note_transition(last_transition);
                let (last_seen, dc) = self.read(|table| {
                    let row = table.get(number);
                    (row.map(|row| row.last_seen), row.and_then(|row| row.dc.as_deref().cloned()))
                });
                let verdicts = &stored.verdicts;
                let last_seen = last_seen.unwrap_or(now);
                self.put(Resident { number, record: &record, verdicts, fingerprint: 0, last_seen, dc }, now);
                Ok(true)
            }
        }
    }

    async fn take_series(
        &self,
        admitted: &Admitted,
        number: HostNo,
        order: Order,
    ) -> Result<(Vec<(u32, v1::SeriesRecord)>, Vec<v1::SeriesAck>), StoreError> {
        let mut rings: BTreeMap<u32, (v1::SeriesRecord, bool)> = BTreeMap::new();
        let mut acks = Vec::new();
        for append in &admitted.report.series {
            let series = u32::from(append.series.number());
            let (stored, continues) = match rings.remove(&series) {
                Some((ring, _)) => (Some(ring), true),
                None => (self.store().series(number, series).await?, order.continues_series()),
            };
            let points: Vec<v1::SeriesPoint> = append.points.iter().map(Into::into).collect();
            let (ring, stored_up_to, changed) = merge_series(stored, continues, append.first_sequence, &points);
            rings.insert(series, (ring, changed));
            acks.push(v1::SeriesAck { series, stored_up_to });
        }
        let changed = rings.into_iter().filter(|(_, (_, changed))| *changed).map(|(series, (ring, _))| (series, ring));
        Ok((changed.collect(), acks))
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of one report, and they come from one place")]
    async fn take_merged(
        &self,
        admitted: &Admitted,
        arrival: &Arrival<'_>,
        number: HostNo,
        order: Order,
        (stored, ahead): (Option<&StoredHost>, Option<Ahead>),
        known: Option<Known<'_>>,
        news: &OnceLock<News>,
    ) -> Result<Option<v1::ReportResponse>, Refused> {
        let now = admitted.now;
        let merged = merge(arrival, order, known);
        if !merged.need.is_empty() {
            self.note_asked(number);
        }
        let (series, series_acks) = self.take_series(admitted, number, order).await?;
        let inventory = match admitted.report.inventory.as_slice() {
            [] => Taken::default(),
            parts => self.take_inventory(parts, admitted.reporter.as_str(), now).await?,
        };
        self.tell_refusals(admitted, &merged.refusals);
        let complete =
            merged.need.is_empty() && merged.refusals.is_empty() && !merged.passed_over && order != Order::Beside;
        let fingerprint = if complete { fingerprint(admitted) } else { 0 };
        let mut acknowledgement = v1::Acknowledgement::Committed;
        let record = if merged.changed || !series.is_empty() || !inventory.updates.is_empty() {
            let heads: Vec<_> = inventory.updates.iter().map(|update| update.head.clone()).collect();
            let committed = self
                .judge_and_commit(number, (stored, ahead), admitted, &merged, series, inventory.updates, fingerprint)
                .await?;
            let Some((record, verdicts_changed)) = committed else { return Ok(None) };
            let _ = match (stored, verdicts_changed) {
                (None, _) => news.set(News::FirstReport),
                (Some(_), true) => news.set(News::VerdictChanged),
                (Some(_), false) => Ok(()),
            };
            for head in heads {
                self.note_head(head, now);
            }
            record
        } else {
            acknowledgement = v1::Acknowledgement::Seen;
            let mut table = lock(&self.0.table);
            let sequence = table.get(number).map_or(0, |row| row.sequence);
            let sequence = if order == Order::Beside { sequence } else { admitted.report.sequence };
            table.saw(number, sequence, merged.sight, &users_seen(admitted), now);
            if complete {
                table.note_fingerprint(number, fingerprint);
            }
            drop(table);
            self.wake_publisher();
            merged.record
        };
        if merged.need.is_empty() {
            self.note_answered(number);
        }
        for concern in &inventory.concerns {
            self.judge_later(self.concerned(concern));
        }
        let mut answer = self.answer(admitted, acknowledgement);
        answer.conflict = record.conflict;
        answer.series = series_acks;
        answer.inventory = inventory.acks;
        answer.refusals.extend(merged.refusals.iter().map(Into::into));
        if !merged.need.is_empty() {
            answer.need = merged.need.iter().map(WireKey::to_wire).collect();
            answer.next_report_after_ms = ms(AT_ONCE);
        }
        Ok(Some(answer))
    }

    /// Judges what a host says now, and makes it durable; says too whether a verdict changed. `None` where the host was changed by others meanwhile.
    #[expect(clippy::too_many_arguments, reason = "each is a part of one change, and they come from one place")]
    async fn judge_and_commit(
        &self,
        number: HostNo,
        (stored, ahead): (Option<&StoredHost>, Option<Ahead>),
        admitted: &Admitted,
        merged: &Merged,
        series: Vec<(u32, v1::SeriesRecord)>,
        inventory: Vec<crate::store::InventoryUpdate>,
        fingerprint: u64,
    ) -> Result<Option<(v1::HostRecord, bool)>, Refused> {
        let now = admitted.now;
        let (mut bodies, keys) = match (stored, ahead) {
            (Some(_), Some(Ahead { bodies, keys })) => (bodies, keys),
            (Some(_), None) => (self.bodies(number).await?, None),
            (None, _) => (Bodies::new(), None),
        };
        for key in &merged.remove {
            bodies.remove(key);
        }
        bodies.extend(merged.put.iter().cloned());
        let before = stored.map(|stored| (&stored.record, &stored.verdicts));
        let policy = self.policy();
        let mut record = merged.record.clone();
        let Some((judging, site_revision, forest_revision)) =
            self.judge(&record, before, &bodies, keys, &policy, now).await?
        else {
            // The name was parsed when the report was read, and the record holds it.
            return Ok(None);
        };
        record.operating_system = judging.operating_system;
        record.entra_joined = judging.entra_joined;
        record.counts_as_endpoint = judging.counts_as_endpoint;
        record.pool = judging.pool;
        record.due_ms = judging.due.map(Timestamp::unix_ms);
        record.policy_revision = policy.revision;
        record.site_revision = site_revision;
        record.forest_revision = forest_revision;
        let verdicts_changed = !judging.transitions.is_empty();
        let update = HostUpdate {
            number: number.0,
            from_revision: stored.map_or(0, |stored| stored.record.revision),
            record: record.clone(),
            verdicts: judging.verdicts.clone(),
            put_bodies: merged.put.iter().map(|(key, body)| (key.to_wire(), body.clone())).collect(),
            remove_bodies: merged.remove.iter().map(WireKey::to_wire).collect(),
            transitions: judging.transitions,
            deltas: deltas(before, (&record, &judging.verdicts)),
            series,
            inventory,
            forget: false,
            rename: stored.and_then(|stored| rename_of(&stored.record, &admitted.host)),
        };
        match self.commit(update).await? {
            Applied::Conflict => Ok(None),
            Applied::Committed { last_transition } => {
                self.note_transition(last_transition);
                let last_seen = Timestamp::from_unix_ms(record.last_seen_ms).unwrap_or(now);
                let (verdicts, dc) = (&judging.verdicts, judging.dc);
                self.put(Resident { number, record: &record, verdicts, fingerprint, last_seen, dc }, now);
                // A policy may have come into force while this was being judged by the one before.
                if self.policy().revision != policy.revision {
                    self.judge_later([number]);
                }
                Ok(Some((record, verdicts_changed)))
            }
        }
    }

    fn answer(&self, admitted: &Admitted, acknowledgement: v1::Acknowledgement) -> v1::ReportResponse {
        let cadence = self.settings().cadences.of(admitted.roles.iter().copied());
        v1::ReportResponse {
            acknowledgement: acknowledgement.into(),
            collector_time_ms: self.now().unix_ms(),
            next_report_after_ms: ms(cadence),
            need: Vec::new(),
            series: Vec::new(),
            inventory: Vec::new(),
            protocol: Some(PROTOCOL.into()),
            accepted_kinds: Kind::ALL.iter().map(|kind| u32::from(kind.number())).collect(),
            refusals: admitted.refusals.iter().map(Into::into).collect(),
            conflict: false,
        }
    }
}

/// The certificate of a host that reports itself: its validity is what the connection proved. What the report says of
/// files the probe cannot use is taken as said.
fn proved_certificate(
    peer: &PeerIdentity,
    claimed: Option<ClientCertificate>,
    refusals: &mut Vec<Refusal>,
) -> ClientCertificate {
    let (not_before, not_after) = (peer.not_before(), peer.not_after());
    let newer = claimed.as_ref().and_then(|claimed| claimed.newer.clone());
    if let Some(claimed) = claimed
        && (claimed.not_before, claimed.not_after) != (not_before, not_after)
    {
        let error = OtherCertificate { claimed, proved_from: not_before, proved_until: not_after };
        refusals.push(Refusal::new("client certificate", &error));
    }
    ClientCertificate { not_before, not_after, newer }
}

fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// When each user was seen, by the observations of a report.
fn users_seen(admitted: &Admitted) -> Vec<(Sid, Timestamp)> {
    let mut seen: BTreeMap<&Sid, Timestamp> = BTreeMap::new();
    for observation in &admitted.report.observations {
        let Subject::User(sid) = &observation.key.subject else { continue };
        let ahead = observation.observed_at.ms_since(admitted.now) > MOST_AHEAD_MS;
        let at = if ahead { admitted.now } else { observation.observed_at };
        let latest = seen.entry(sid).or_insert(at);
        *latest = (*latest).max(at);
    }
    seen.into_iter().map(|(sid, at)| (sid.clone(), at)).collect()
}

/// A fingerprint of what a report says, numbering and times apart. Never 0, which stands for none.
fn fingerprint(admitted: &Admitted) -> u64 {
    let Admitted { report, host, roles, relay, certificate, .. } = admitted;
    let mut hasher = DefaultHasher::new();
    report.probe_version.as_str().hash(&mut hasher);
    (&host.name, &host.forest, &host.site, host.object_guid, host.device_id, host.ek_sha256).hash(&mut hasher);
    (roles, relay).hash(&mut hasher);
    if let Some((ClientCertificate { not_before, not_after, newer }, proved)) = certificate {
        let newer = newer.as_ref().map(|newer| (newer.since, newer.problem.as_str()));
        (not_before, not_after, newer, proved).hash(&mut hasher);
    }
    let mut observations: Vec<_> = report
        .observations
        .iter()
        .map(|own| (&own.key, own.digest.0, own.context, own.origin, own.moving.and_then(|moving| moving.tpm_failures)))
        .collect();
    observations.sort_unstable();
    observations.hash(&mut hasher);
    // A part that is refused again is listed again; its reason may carry a time.
    report.refusals.iter().for_each(|refusal| refusal.part.hash(&mut hasher));
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests;
