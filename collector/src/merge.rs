//! What a report changes in a host's record: order of reports, whose word counts for what, and what is missing.
//!
//! Pure: the record as it stands and the report go in, the record as it shall be comes out. Nothing is judged and
//! nothing is written here.
//!
//! A host has one *primary* reporter, whose numbering orders its reports: its own probe, or, while it has none, the
//! relay that first spoke of it. What another relay says stands beside it, key by key, ordered by the time of
//! observation; nothing but that time can say which of two captures is newer.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{ClientCertificate, HostIdentity, HostName, Origin, Role, Sid, Subject, Timestamp, limits};
use muster_proto::convert::{
    Incoming, IncomingObservation, Refusal, WireKey, context_to_wire, decode_body_of, origin_to_wire, role_to_wire,
};
use muster_proto::v1;
use muster_readiness::LONGEST_SHARED_DAYS;

use crate::names::{NameKeys, may_name};
use crate::person::KEPT_DAYS;
use crate::sites::Sites;
use crate::table::{MOST_AHEAD_MS, site_to_wire, user_sight};

/// How far a confirmed observation's time may run ahead of the stored one before it is written: the sight of a user
/// falls back by no more than this when the collector starts again, against a limit of days.
const REFRESH_MS: i64 = 6 * 3_600_000;

/// How often the last sight of a rival is written while a conflict lasts.
const RIVAL_REFRESH_MS: i64 = 60_000;

/// Earlier installations, and earlier names, kept in a record.
pub(crate) const EARLIER: usize = 8;

/// Most observations of one host, those of several reporters together.
pub(crate) const OBSERVATIONS_PER_HOST: usize = 2 * limits::OBSERVATIONS_PER_REPORT;

/// A report as far as it was admitted.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The report.
    pub report: &'a Incoming,
    /// The host, its forest settled.
    pub host: &'a HostIdentity,
    /// The roles it claims and is granted.
    pub roles: &'a [Role],
    /// The relay that carried it; `None` where the host reported itself.
    pub relay: Option<&'a HostName>,
    /// Where hosts belong.
    pub sites: &'a Sites,
    /// What names of people were replaced by.
    pub names: Option<&'a NameKeys>,
    /// The certificate of the reporting probe, and whether TLS proved it.
    pub certificate: Option<(&'a ClientCertificate, bool)>,
    /// When it arrived.
    pub now: Timestamp,
    /// Silence after which another installation may take a host's place.
    pub silence_ms: i64,
}

impl Arrival<'_> {
    /// How far the reporter's clock is ahead; 0 within `MOST_AHEAD_MS` either way, where the way of a report may be
    /// the reason as well.
    pub fn clock_ahead_ms(&self) -> i64 {
        let ahead = self.report.sent_at.ms_since(self.now);
        if ahead.abs() > MOST_AHEAD_MS { ahead } else { 0 }
    }

    /// When the host was last heard of by this report. One of captures alone says how things were when they were
    /// taken, not that the machine is still there; and since every verdict about the machine rests on this time, it is
    /// that of the oldest part that speaks of the machine. What speaks of people has a time of its own.
    pub fn sight(&self) -> Timestamp {
        let observations = &self.report.observations;
        if observations.is_empty() || observations.iter().any(|own| own.origin != Origin::Capture) {
            return self.now;
        }
        let of_machine = |own: &&IncomingObservation| !matches!(own.key.subject, Subject::User(_));
        let oldest = observations.iter().filter(of_machine).map(|own| own.observed_at).min();
        let taken = oldest.or_else(|| observations.iter().map(|own| own.observed_at).max());
        taken.map_or(self.now, |taken| taken.min(self.now))
    }
}

/// What is known of a host beside its record.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The record.
    pub record: &'a v1::HostRecord,
    /// Number of the last report, which may be later than the record's.
    pub sequence: u64,
    /// When it was last heard of, which may be later than the record's.
    pub last_seen: Timestamp,
}

/// Where a report stands among the others about its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first report about the host.
    First,
    /// The primary reporter's next.
    Next,
    /// The primary reporter's first of a new incarnation of the same installation.
    NewIncarnation,
    /// The first of another installation, the earlier one having been silent.
    Reimaged,
    /// The host's own first, a relay having spoken of it so far.
    TakesOver,
    /// From a relay that is not the primary reporter.
    Beside,
    /// Not above the last one.
    Superseded,
    /// From another installation under the same name, or from a copy of this one, while the known one is active.
    Rival,
}

impl Order {
    /// Finds it.
    pub fn of(arrival: &Arrival<'_>, known: Option<Known<'_>>) -> Self {
        let Some(Known { record, sequence, last_seen }) = known else { return Self::First };
        let report = arrival.report;
        match arrival.relay {
            Some(relay) if record.reporter != relay.as_str() => return Self::Beside,
            None if !record.reporter.is_empty() => return Self::TakesOver,
            _ => {}
        }
        let same_install = record.install_id == report.install_id.0;
        if same_install && record.incarnation == report.incarnation {
            return if report.sequence > sequence { Self::Next } else { Self::Superseded };
        }
        let active = arrival.now.ms_since(last_seen) <= arrival.silence_ms;
        match (same_install, active) {
            (true, true) if is_of_a_copy(arrival, record) => Self::Rival,
            (true, _) => Self::NewIncarnation,
            (false, true) => Self::Rival,
            (false, false) => Self::Reimaged,
        }
    }

    /// Whether the report's numbering becomes the host's.
    const fn is_primary(self) -> bool {
        matches!(self, Self::First | Self::Next | Self::NewIncarnation | Self::Reimaged | Self::TakesOver)
    }

    /// Whether points that follow on from those stored are the same series' points.
    pub const fn continues_series(self) -> bool {
        matches!(self, Self::Next | Self::Superseded | Self::Beside)
    }
}

/// Whether another incarnation of the known installation belongs to a copy of it that lives on beside it. A state that
/// was lost or rolled back begins an incarnation that nobody knows, and the one before is never heard of again; of two
/// copies the first comes back, and, being told of the other, begins a new incarnation in its turn.
fn is_of_a_copy(arrival: &Arrival<'_>, record: &v1::HostRecord) -> bool {
    let contended = record.conflict
        && record.rival_install_id == record.install_id
        && arrival.now.unix_ms() - record.rival_seen_ms <= arrival.silence_ms;
    contended || record.previous_incarnation == arrival.report.incarnation
}

/// What a report changes.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The record as it shall be.
    pub record: v1::HostRecord,
    /// Bodies to write.
    pub put: Vec<(WireKey, Vec<u8>)>,
    /// Bodies to remove.
    pub remove: Vec<WireKey>,
    /// Observations whose body is missing.
    pub need: Vec<WireKey>,
    /// Parts that were not taken.
    pub refusals: Vec<Refusal>,
    /// Whether something was passed over because what is known is newer; the same report may count another time.
    pub passed_over: bool,
    /// Whether the record says anything new.
    pub changed: bool,
    /// When the host was last heard of by this report.
    pub sight: Timestamp,
}

/// Says why an observation is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum TooMany {
    #[error("host has evidence about {most} users already (at most {most} are allowed)")]
    Users { most: usize },
    #[error("host has {most} observations already (at most {most} are allowed)")]
    Observations { most: usize },
}

/// Says that an observation of a user is from before anything is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is of {seen}, and what is told of people is kept for {KEPT_DAYS} days")]
struct TooOld {
    seen: Timestamp,
}

/// Merges a report that is neither superseded nor a rival's.
pub fn merge(arrival: &Arrival<'_>, order: Order, known: Option<Known<'_>>) -> Merged {
    let reporter = arrival.relay.map(ToString::to_string).unwrap_or_default();
    let sight = arrival.sight();
    let before = known.map(|known| known.record);
    let mut record = before
        .cloned()
        .unwrap_or_else(|| v1::HostRecord { first_seen_ms: arrival.now.unix_ms(), ..v1::HostRecord::default() });
    if order.is_primary() {
        if order == Order::NewIncarnation {
            record.previous_incarnation = record.incarnation;
            record.previous_seen_ms = known.map_or(0, |known| known.last_seen.unix_ms());
        } else if order != Order::Next {
            (record.previous_incarnation, record.previous_seen_ms) = (0, 0);
        }
        identify(&mut record, arrival, order, known, &reporter);
    }
    record.revision = before.map_or(0, |record| record.revision) + 1;
    record.last_seen_ms = known.map_or(sight, |known| known.last_seen.max(sight)).unix_ms();
    settle_conflict(&mut record, arrival);

    let mut merging = Merging {
        arrival,
        live_until: known.map_or(Timestamp::MIN, |known| known.last_seen),
        beside: order == Order::Beside,
        reporter: &reporter,
        kept: BTreeMap::new(),
        put: Vec::new(),
        need: Vec::new(),
        refusals: Vec::new(),
        passed_over: false,
    };
    let earlier: BTreeMap<WireKey, v1::ObservationIndex> = std::mem::take(&mut record.observations)
        .into_iter()
        .filter_map(|index| Some((WireKey::from_wire(index.key.clone()?).ok()?, index)))
        .collect();
    let listed: BTreeSet<&WireKey> = (arrival.report.observations.iter().map(|observation| &observation.key))
        .chain(arrival.report.refusals.iter().filter_map(|refusal| refusal.key.as_ref()))
        .collect();
    let mut remove = Vec::new();
    for (key, index) in &earlier {
        if index.reporter != reporter || listed.contains(key) {
            merging.kept.insert(key.clone(), index.clone());
        } else {
            remove.push(key.clone());
        }
    }
    for observation in &arrival.report.observations {
        merging.take(observation);
    }
    let Merging { kept, put, need, refusals, passed_over, .. } = merging;
    record.observations = kept.into_values().collect();
    keep_earlier_users(&mut record, before, order, arrival.now);
    let changed = before.is_none_or(|before| says_something_new(before, &record));
    Merged { record, put, remove, need, refusals, passed_over, changed, sight }
}

/// Keeps who was seen on the machine and is not spoken of any more: a machine that many people use in turn shows it only
/// over weeks. What another installation saw goes with it.
fn keep_earlier_users(record: &mut v1::HostRecord, before: Option<&v1::HostRecord>, order: Order, now: Timestamp) {
    let spoken_of: BTreeSet<Sid> = record.observations.iter().filter_map(user_sight).map(|(sid, _)| sid).collect();
    let mut earlier: BTreeMap<String, i64> = BTreeMap::new();
    if order != Order::Reimaged {
        let gone = before.iter().flat_map(|before| &before.observations).filter_map(user_sight);
        let known = record.earlier_users.drain(..).map(|user| (user.sid, user.seen_ms));
        for (sid, seen_ms) in known.chain(gone.map(|(sid, seen)| (sid.to_string(), seen.unix_ms()))) {
            let is_person = |sid: &Sid| sid.is_account() && !spoken_of.contains(sid);
            if sid.parse().is_ok_and(|sid| is_person(&sid)) {
                let latest = earlier.entry(sid).or_insert(seen_ms);
                *latest = (*latest).max(seen_ms);
            }
        }
    }
    let not_before = now.plus_days(-i64::from(LONGEST_SHARED_DAYS)).unix_ms();
    let mut earlier: Vec<_> = earlier.into_iter().filter(|(_, seen_ms)| *seen_ms >= not_before).collect();
    earlier.sort_unstable_by(|left, right| (right.1, &left.0).cmp(&(left.1, &right.0)));
    earlier.truncate(limits::USERS_PER_HOST.saturating_sub(spoken_of.len()));
    record.earlier_users = earlier.into_iter().map(|(sid, seen_ms)| v1::UserSight { sid, seen_ms }).collect();
}

/// Notes a rival in the record. Whether that is worth writing.
pub fn note_rival(arrival: &Arrival<'_>, record: &v1::HostRecord) -> Option<v1::HostRecord> {
    let report = arrival.report;
    let now = arrival.now.unix_ms();
    let known = record.conflict
        && record.rival_install_id == report.install_id.0
        && record.rival_incarnation == report.incarnation
        && now - record.rival_seen_ms < RIVAL_REFRESH_MS;
    // A copy that is silent for a while and comes back is known again by the incarnation it had last.
    let (previous_incarnation, previous_seen_ms) = if record.install_id == report.install_id.0 {
        (report.incarnation, now)
    } else {
        (record.previous_incarnation, record.previous_seen_ms)
    };
    (!known).then(|| v1::HostRecord {
        revision: record.revision + 1,
        conflict: true,
        rival_install_id: report.install_id.0.to_vec(),
        rival_incarnation: report.incarnation,
        rival_seen_ms: now,
        previous_incarnation,
        previous_seen_ms,
        ..record.clone()
    })
}

/// Takes over who the host is from its primary reporter. Where the name is another one, the host was renamed: whoever
/// calls has proof of that.
fn identify(
    record: &mut v1::HostRecord,
    arrival: &Arrival<'_>,
    order: Order,
    known: Option<Known<'_>>,
    reporter: &str,
) {
    let report = arrival.report;
    let mut identity = v1::HostIdentity::from(arrival.host);
    if order == Order::Reimaged {
        let earlier = std::mem::replace(&mut record.install_id, report.install_id.0.to_vec());
        let keys = record.identity.as_ref().and_then(|known| known.ek_sha256.as_ref()).zip(identity.ek_sha256.as_ref());
        record.reimages.push(v1::Reimage {
            at_ms: arrival.now.unix_ms(),
            earlier_install_id: earlier.clone(),
            earlier_seen_ms: known.map_or(0, |known| known.last_seen.unix_ms()),
            same_tpm: keys.map(|(before, after)| before == after),
        });
        keep_latest(&mut record.reimages);
        record.earlier_install_ids.retain(|id| *id != earlier);
        record.earlier_install_ids.push(earlier);
        keep_latest(&mut record.earlier_install_ids);
    }
    if let Some(left) = record.identity.as_ref().map(|known| &known.name).filter(|left| **left != identity.name) {
        let left = v1::FormerName { name: left.clone(), renamed_at_ms: arrival.now.unix_ms() };
        record.former_names.retain(|former| former.name != left.name && former.name != identity.name);
        record.former_names.push(left);
        keep_latest(&mut record.former_names);
    }
    if let Some(known) = record.identity.take().filter(|_| order != Order::Reimaged) {
        // What a probe could not read this time is not gone. The site is a claim about now and not kept.
        identity.forest = identity.forest.or(known.forest);
        identity.object_guid = identity.object_guid.or(known.object_guid);
        identity.device_id = identity.device_id.or(known.device_id);
        identity.ek_sha256 = identity.ek_sha256.or(known.ek_sha256);
    }
    let forest = identity.forest.as_ref().and_then(|forest| forest.parse().ok());
    let (site, origin) = arrival.sites.locate(&arrival.host.name, forest.as_ref(), None, arrival.host.site.as_ref());
    record.identity = Some(identity);
    record.site = site.as_ref().map(site_to_wire);
    record.set_site_origin(origin);
    record.roles = arrival.roles.iter().map(|role| role_to_wire(*role)).collect();
    record.roles.sort_unstable();
    record.install_id = report.install_id.0.to_vec();
    record.incarnation = report.incarnation;
    record.sequence = report.sequence;
    record.probe_version = report.probe_version.to_string();
    record.client_certificate = arrival.certificate.map(|(certificate, _)| certificate.into());
    record.client_certificate_proved = arrival.certificate.is_some_and(|(_, proved)| proved);
    // A relay's clock is not the host's.
    record.clock_ahead_ms = if arrival.relay.is_none() { arrival.clock_ahead_ms() } else { 0 };
    reporter.clone_into(&mut record.reporter);
}

fn keep_latest<T>(items: &mut Vec<T>) {
    let surplus = items.len().saturating_sub(EARLIER);
    items.drain(..surplus);
}

/// Ends a conflict whose rival has fallen silent, or has become the host itself.
fn settle_conflict(record: &mut v1::HostRecord, arrival: &Arrival<'_>) {
    let silent = arrival.now.unix_ms() - record.rival_seen_ms > arrival.silence_ms;
    let took_over = record.rival_install_id == record.install_id && record.rival_incarnation == record.incarnation;
    if record.conflict && (silent || took_over) {
        record.conflict = false;
        record.rival_install_id = Vec::new();
        record.rival_incarnation = 0;
        record.rival_seen_ms = 0;
    }
}

struct Merging<'a> {
    arrival: &'a Arrival<'a>,
    /// Until when the host's own live evidence is known to hold.
    live_until: Timestamp,
    beside: bool,
    reporter: &'a str,
    kept: BTreeMap<WireKey, v1::ObservationIndex>,
    put: Vec<(WireKey, Vec<u8>)>,
    need: Vec<WireKey>,
    refusals: Vec<Refusal>,
    passed_over: bool,
}

impl Merging<'_> {
    fn take(&mut self, observation: &IncomingObservation) {
        let key = &observation.key;
        if let Err(error) = self.is_recent(observation) {
            self.refusals.push(Refusal::observation(key, &error));
            return;
        }
        let names = key.known().filter(|known| may_name(known.kind)).and(self.arrival.names);
        let mut index = v1::ObservationIndex {
            key: Some(key.to_wire()),
            digest: observation.digest.0.to_vec(),
            observed_at_ms: observation.observed_at.unix_ms(),
            context: context_to_wire(observation.context),
            origin: origin_to_wire(observation.origin),
            arrived_at_ms: self.arrival.now.unix_ms(),
            reporter: self.reporter.to_owned(),
            moving: observation.moving,
            names_key: names.map(|names| names.id().to_owned()).unwrap_or_default(),
        };
        match self.kept.get(key) {
            Some(kept) if self.is_newer(kept, observation) => {
                self.passed_over = true;
                return;
            }
            Some(kept)
                if kept.digest == index.digest && !names.is_some_and(|names| names.replaces(&kept.names_key)) =>
            {
                index.names_key.clone_from(&kept.names_key);
                self.kept.insert(key.clone(), index);
                return;
            }
            Some(_) => {}
            None => {
                if let Err(error) = self.has_room(key) {
                    self.refusals.push(Refusal::observation(key, &error));
                    return;
                }
            }
        }
        let Some(body) = &observation.body else {
            // Until the body comes, what was known before is kept: it is older, and still the best there is.
            self.need.push(key.clone());
            return;
        };
        if let Some(known) = key.known()
            && let Err(error) = decode_body_of(&known, body)
        {
            self.refusals.push(Refusal::observation(key, &error));
            return;
        }
        self.put.push((key.clone(), body.clone()));
        self.kept.insert(key.clone(), index);
    }

    /// Refuses what is older than anything is kept about people.
    fn is_recent(&self, observation: &IncomingObservation) -> Result<(), TooOld> {
        let since = self.arrival.now.plus_days(-KEPT_DAYS);
        match observation.key.subject {
            Subject::User(_) if observation.observed_at < since => Err(TooOld { seen: observation.observed_at }),
            Subject::User(_) | Subject::Host | Subject::Certificate(_) => Ok(()),
        }
    }

    /// Whether what is kept is newer than an observation that must be ordered by its time.
    fn is_newer(&self, kept: &v1::ObservationIndex, observation: &IncomingObservation) -> bool {
        if observation.origin == Origin::Live && !self.beside {
            return false;
        }
        let mut holds_until = kept.observed_at_ms;
        if kept.origin() == v1::ObservationOrigin::Live && kept.reporter != self.reporter {
            holds_until = holds_until.max(kept.arrived_at_ms);
            // Reports that change nothing confirm what is known of the machine without being written.
            if matches!(observation.key.subject, Subject::Host | Subject::Certificate(_)) {
                holds_until = holds_until.max(self.live_until.unix_ms());
            }
        }
        observation.observed_at.unix_ms() < holds_until
    }

    fn has_room(&self, key: &WireKey) -> Result<(), TooMany> {
        if self.kept.len() >= OBSERVATIONS_PER_HOST {
            return Err(TooMany::Observations { most: OBSERVATIONS_PER_HOST });
        }
        let Subject::User(sid) = &key.subject else { return Ok(()) };
        let users: BTreeSet<_> = (self.kept.keys())
            .filter_map(|key| match &key.subject {
                Subject::User(sid) => Some(sid),
                Subject::Host | Subject::Certificate(_) => None,
            })
            .collect();
        if users.len() >= limits::USERS_PER_HOST && !users.contains(sid) {
            return Err(TooMany::Users { most: limits::USERS_PER_HOST });
        }
        Ok(())
    }
}

/// Whether a record says more than that the host is still there.
fn says_something_new(before: &v1::HostRecord, after: &v1::HostRecord) -> bool {
    let mut after = after.clone();
    after.revision = before.revision;
    after.sequence = before.sequence;
    after.last_seen_ms = before.last_seen_ms;
    if (after.clock_ahead_ms - before.clock_ahead_ms).abs() <= MOST_AHEAD_MS
        && (after.clock_ahead_ms == 0) == (before.clock_ahead_ms == 0)
    {
        after.clock_ahead_ms = before.clock_ahead_ms;
    }
    if after.observations.len() == before.observations.len() {
        for (after, before) in after.observations.iter_mut().zip(&before.observations) {
            if (after.observed_at_ms - before.observed_at_ms).abs() < REFRESH_MS {
                after.observed_at_ms = before.observed_at_ms;
                after.arrived_at_ms = before.arrived_at_ms;
                // A counter that falls does so by itself, and is written with the next thing that happens.
                if failures(after) < failures(before) {
                    after.moving = before.moving;
                }
            }
        }
    }
    after != *before
}

/// Failed authorisations that a TPM counts; a value that is missing is below every other.
fn failures(index: &v1::ObservationIndex) -> Option<u32> {
    index.moving.and_then(|moving| moving.tpm_failures)
}

/// Merges points into a ring. Points that are stored already are passed over; where points in between are lost, the
/// ring begins anew, since a series has no gaps. The ring and the number up to which it holds everything.
pub fn merge_series(
    stored: Option<v1::SeriesRecord>,
    continues: bool,
    first_sequence: u64,
    points: &[v1::SeriesPoint],
) -> (v1::SeriesRecord, u64, bool) {
    let mut ring = stored.filter(|_| continues).unwrap_or_default();
    let next = ring.first_sequence.max(1) + ring.points.len() as u64;
    let end = first_sequence.saturating_add(points.len() as u64);
    if points.is_empty() || end <= next && !ring.points.is_empty() {
        return (ring, next - 1, false);
    }
    if ring.points.is_empty() || first_sequence > next {
        ring = v1::SeriesRecord { first_sequence, points: points.to_vec() };
    } else {
        let known = usize::try_from(next - first_sequence).unwrap_or(usize::MAX);
        ring.points.extend(points.iter().skip(known).copied());
    }
    let surplus = ring.points.len().saturating_sub(limits::SERIES_RING_POINTS);
    ring.points.drain(..surplus);
    ring.first_sequence += surplus as u64;
    (ring, end - 1, true)
}
