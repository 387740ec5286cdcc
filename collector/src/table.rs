//! The resident table: one compact row per host, with everything that sites are counted from.
//!
//! The store holds what was said in words and survives; the table holds what is asked for all the time. A row keeps
//! the standing of every check as it was judged, and beside it the standing that silence leaves of it, since staleness
//! follows from when a machine was last heard of, moves with every report and is stored nowhere. Sites are counted by
//! taking a row's share out before it changes and adding it afterwards, so no count is ever taken anew.
//!
//! No rule is in here: how long a verdict holds is asked of `muster-readiness`, and so is what a user's endpoints
//! amount to.

mod identities;
mod people;
mod pools;
mod silence;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use muster_evidence::{Forest, HostName, HostNo, InstallId, OperatingSystem, Role, Sid, SiteRef, Timestamp};
use muster_proto::v1;
use muster_readiness::derive::capability::Capability;
use muster_readiness::{CHECKS, CheckSet, Freshness, Judgement, KdcIssuers, Standing, UserOnHost, UserStanding};

use self::identities::Identities;
pub(crate) use self::identities::{KeyPrefix, Namesake};
pub use self::pools::PoolNo;
pub use self::silence::Frame;
use self::silence::hold;
use crate::sites::SiteKey;
use crate::store::HostKey;
use crate::totals::SiteTotals;
use crate::verdict::{check_of, standing_from_wire};
use crate::words::{Words, WordsNo, WordsPool};

/// Number of a site in the table; 0 is for hosts without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteNo(pub(crate) u32);

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Whether a role is in it.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// The roles, in their order.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(move |role| self.contains(*role))
    }

    /// Whether people sign in here, as far as the roles tell: a machine that is a domain controller is not also an
    /// endpoint.
    pub const fn is_endpoint(self) -> bool {
        self.contains(Role::Endpoint) && !self.contains(Role::DomainController)
    }

    /// Whether this is a domain controller.
    pub const fn is_domain_controller(self) -> bool {
        self.contains(Role::DomainController)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |set, role| set | (1 << role as u8)))
    }
}

/// How a check stands on one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    check: u8,
    stored: Standing,
    held: Standing,
    since_s: u32,
    words: WordsNo,
}

impl Cell {
    pub(crate) const fn check_number(&self) -> u8 {
        self.check
    }

    /// The check, as its place in `CHECKS`.
    pub const fn check_index(&self) -> usize {
        self.check as usize
    }

    /// The check's id.
    pub fn check(&self) -> &'static str {
        CHECKS[self.check_index()].id()
    }

    /// How it was judged.
    pub const fn stored(&self) -> Standing {
        self.stored
    }

    /// How it stands, silence considered.
    pub const fn held(&self) -> Standing {
        self.held
    }

    /// Since when it was judged so, to the second.
    pub fn since(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.since_s.into()).unwrap_or(Timestamp::MIN)
    }
}

/// A user on a host.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Who.
    pub sid: Sid,
    /// When evidence about the user was last gathered here.
    pub seen: Timestamp,
    /// The same, as the store knows it.
    pub stored_seen: Timestamp,
    /// The user's own checks.
    pub cells: Box<[Cell]>,
    /// The worst of the host's required checks and the user's, silence considered.
    pub standing: Standing,
}

/// A host.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and a byte of a million rows")]
pub struct Row {
    /// Its number.
    pub number: HostNo,
    /// Forest and name.
    pub key: HostKey,
    /// Its site.
    pub site: SiteNo,
    /// Where the site comes from.
    pub site_origin: v1::SiteOrigin,
    /// Its roles.
    pub roles: Roles,
    /// Revision of its record.
    pub revision: u64,
    /// Its installation.
    pub install_id: InstallId,
    /// Its TPM, as far as it says.
    pub(crate) tpm: Option<KeyPrefix>,
    /// Names it had before, latest last.
    pub former_names: Box<[HostName]>,
    /// Incarnation of the last report.
    pub incarnation: u64,
    /// Number of the last report, which may be later than the record's.
    pub sequence: u64,
    /// Fingerprint of everything it last reported; an equal one is nothing new.
    pub fingerprint: u64,
    /// When it was first heard of.
    pub first_seen: Timestamp,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// Last-seen as the store knows it.
    pub stored_seen: Timestamp,
    /// The policy it was judged by.
    pub policy_revision: u64,
    /// Two machines report under its name.
    pub conflict: bool,
    /// A relay speaks for it, and it does not speak for itself.
    pub relayed: bool,
    /// Whether it is joined to Entra ID only; `None` where not known.
    pub entra_joined: Option<bool>,
    /// Whether it counts among the endpoints of its site.
    pub is_endpoint: bool,
    /// The probe's version.
    pub probe_version: Arc<str>,
    /// The operating system in words; empty where not known.
    pub operating_system: Arc<str>,
    /// Checks about the machine.
    pub cells: Box<[Cell]>,
    /// Users, by SID.
    pub users: Box<[UserRow]>,
    /// How far its clock is ahead of the collector's, in seconds; 0 within five minutes, and where a relay reports.
    clock_ahead_s: i32,
    /// Validity of its probe's certificate, in seconds since 1970: years up to 2106 in half the room.
    certificate: Option<(u32, u32)>,
    /// Whether that certificate is near its end, or past it.
    pub certificate_near_end: bool,
    /// People who were seen here and of whom its reports do not speak any more, with when; mostly nobody.
    earlier_people: Option<Box<[(Sid, Timestamp)]>>,
    /// People who were seen here within the policy's time for sharing.
    pub people: u8,
    /// Whether that is more than the policy calls shared.
    pub shared: bool,
    /// The pool of non-persistent desktops it is counted in; `None` where it counts by itself.
    pub pool: Option<PoolNo>,
    /// For a machine of a pool: heard of within the last 24 hours.
    pub in_use: bool,
    /// Silent for three cadences; never said of a machine of a pool, whose silence says nothing.
    pub quiet: bool,
    /// Evidence is within the limit of its role.
    pub fresh: bool,
    /// Worst of the machine's required checks, silence considered.
    pub standing: Standing,
    /// Worst of the machine's and its users' required checks, silence considered.
    pub overall: Standing,
    /// The check that makes it so, by its place in `CHECKS`.
    pub worst: Option<u8>,
    /// What a site knows of its domain controllers.
    pub dc: Option<Box<DcRow>>,
    next_event: i64,
    awaits_checkpoint: bool,
}

/// What a site knows of a domain controller beyond counting.
#[derive(Clone, Debug, PartialEq)]
pub struct DcRow {
    /// Whether it can serve key trust.
    pub capability: Capability,
    /// What it said of its system.
    pub operating_system: Option<OperatingSystem>,
    /// When the certificate ends that the KDC would choose.
    pub certificate_not_after: Option<Timestamp>,
    /// Who stands above that certificate.
    pub kdc_issuers: Option<KdcIssuers>,
    /// The verdicts about it, without staleness.
    pub judgements: Vec<Judgement>,
    /// Since when each stands.
    pub since: Vec<Timestamp>,
}

impl Row {
    /// The check that makes the host stand as it does, and `None` where all is well.
    pub fn worst_check(&self) -> Option<&'static str> {
        self.worst.map(|index| CHECKS[usize::from(index)].id())
    }

    /// How a check stands on this host or, at worst, on one of its users.
    pub fn standing_of(&self, check_index: usize) -> Option<Standing> {
        self.all_cells().filter(|cell| cell.check_index() == check_index).map(Cell::held).max()
    }

    /// Validity of the certificate of its probe, to the second; `None` where not known.
    pub fn certificate_validity(&self) -> Option<(Timestamp, Timestamp)> {
        let time = |seconds: u32| Timestamp::from_unix_seconds(seconds.into()).ok();
        self.certificate.and_then(|(from, until)| Some((time(from)?, time(until)?)))
    }

    /// How far its clock is ahead of the collector's, to the second; 0 within five minutes.
    pub fn clock_ahead_ms(&self) -> i64 {
        i64::from(self.clock_ahead_s) * 1_000
    }

    /// Whether a report's clock stands as the last one's that was written did, nearly.
    pub(crate) fn clock_ahead_is(&self, ahead_ms: i64, relayed: bool) -> bool {
        let known = self.clock_ahead_ms();
        relayed || (ahead_ms == 0) == (known == 0) && (ahead_ms - known).abs() <= MOST_AHEAD_MS
    }

    /// The cells of the machine and of its users.
    pub fn all_cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().chain(self.users.iter().flat_map(|user| user.cells.iter()))
    }
}

/// What a row is made from.
#[derive(Debug)]
pub struct Resident<'a> {
    /// Number of the host.
    pub number: HostNo,
    /// Its record.
    pub record: &'a v1::HostRecord,
    /// Its verdicts.
    pub verdicts: &'a v1::VerdictRecord,
    /// Fingerprint of what it reported.
    pub fingerprint: u64,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// For a domain controller.
    pub dc: Option<DcRow>,
}

/// Says why a record cannot become a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record of host {number} has no readable {what}")]
pub struct InvalidRow {
    /// The host's number.
    pub number: HostNo,
    /// What is missing.
    pub what: &'static str,
}

/// A site of the table.
#[derive(Debug)]
pub(crate) struct SiteEntry {
    pub(crate) site: Option<SiteRef>,
    pub(crate) hosts: BTreeSet<HostNo>,
    pub(crate) dcs: BTreeSet<HostNo>,
    pub(crate) totals: SiteTotals,
    /// Grows whenever something changes that rules read of a site.
    pub(crate) facts_revision: u64,
}

/// Where a user is counted, and how.
pub type UserCount = (SiteNo, UserStanding);

#[derive(Debug, Default)]
struct UserEntry {
    hosts: Vec<HostNo>,
    counted: Option<UserCount>,
}

/// The resident table.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Option<Box<Row>>>,
    len: usize,
    names: BTreeSet<(HostName, HostNo)>,
    identities: Identities,
    sites: Vec<SiteEntry>,
    site_numbers: BTreeMap<SiteKey, SiteNo>,
    users: HashMap<Sid, UserEntry>,
    words: WordsPool,
    texts: HashSet<Arc<str>>,
    events: BTreeSet<(i64, HostNo)>,
    dirty: BTreeSet<SiteNo>,
    frame: Frame,
    /// When the directory of a forest was last read.
    directory_as_of: BTreeMap<Forest, Timestamp>,
    /// Hosts whose last-seen time is later than the store knows.
    to_checkpoint: Vec<HostNo>,
    /// The machines of each pool.
    pooled: BTreeMap<PoolNo, BTreeSet<HostNo>>,
}

impl Table {
    /// An empty table.
    pub fn new(frame: Frame) -> Self {
        let mut table = Self {
            rows: Vec::new(),
            len: 0,
            names: BTreeSet::new(),
            identities: Identities::default(),
            sites: Vec::new(),
            site_numbers: BTreeMap::new(),
            users: HashMap::new(),
            words: WordsPool::default(),
            texts: HashSet::new(),
            events: BTreeSet::new(),
            dirty: BTreeSet::new(),
            frame,
            directory_as_of: BTreeMap::new(),
            to_checkpoint: Vec::new(),
            pooled: BTreeMap::new(),
        };
        table.add_site(None);
        table
    }

    /// How many hosts there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no host.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A host by number.
    pub fn get(&self, number: HostNo) -> Option<&Row> {
        self.rows.get(slot(number)?)?.as_deref()
    }

    /// Hosts with a number above `after`, in order.
    pub fn rows_after(&self, after: HostNo) -> impl Iterator<Item = &Row> {
        let start = usize::try_from(after.0).unwrap_or(usize::MAX).min(self.rows.len());
        self.rows[start..].iter().filter_map(Option::as_deref)
    }

    /// Hosts of a site with a number above `after`, in order.
    pub fn rows_of_site(&self, site: SiteNo, after: HostNo) -> impl Iterator<Item = &Row> {
        let hosts = self.sites.get(site.0 as usize).map(|entry| &entry.hosts);
        hosts
            .into_iter()
            .flat_map(move |hosts| hosts.range((Bound::Excluded(after), Bound::Unbounded)))
            .filter_map(|number| self.get(*number))
    }

    /// Hosts of that name, one per forest.
    pub fn named(&self, name: &HostName) -> impl Iterator<Item = &Row> {
        let (name, from) = (name.clone(), (name.clone(), HostNo(0)));
        self.names.range(from..).take_while(move |(found, _)| *found == name).filter_map(|(_, no)| self.get(*no))
    }

    /// Hosts whose name is `name`, or has it as its first label or labels, by name.
    pub fn named_or_labelled(&self, name: &HostName) -> impl Iterator<Item = &Row> {
        let (prefix, from) = (name.clone(), (name.clone(), HostNo(0)));
        self.names
            .range(from..)
            .map(move |(found, number)| (found.as_str().strip_prefix(prefix.as_str()), *number))
            .map_while(|(rest, number)| rest.map(|rest| (rest, number)))
            .filter(|(rest, _)| rest.is_empty() || rest.starts_with('.'))
            .filter_map(|(_, number)| self.get(number))
    }

    /// How many sites there are, those without hosts included.
    pub fn sites_len(&self) -> usize {
        self.site_numbers.len()
    }

    /// The names next to a name in their order, up to `count` on either side.
    pub fn names_near(&self, name: &HostName, count: usize) -> impl Iterator<Item = &HostName> {
        let from = (name.clone(), HostNo(0));
        let (before, after) =
            (self.names.range(..from.clone()).rev().take(count), self.names.range(from..).take(count));
        before.chain(after).map(|(name, _)| name)
    }

    /// Hosts on which a user has been seen.
    pub fn hosts_of_user(&self, sid: &Sid) -> &[HostNo] {
        self.users.get(sid).map_or(&[], |entry| &entry.hosts)
    }

    /// Where a user is counted; `None` where not at all.
    pub fn counted(&self, sid: &Sid) -> Option<UserCount> {
        self.users.get(sid).and_then(|entry| entry.counted)
    }

    /// How many users are known, counted or not.
    pub fn users_len(&self) -> usize {
        self.users.len()
    }

    /// A site by its number; `None` for hosts without one.
    pub fn site(&self, number: SiteNo) -> Option<&SiteRef> {
        self.sites.get(number.0 as usize)?.site.as_ref()
    }

    /// The number of a site, if any host is or was there.
    pub fn site_number(&self, key: &SiteKey) -> Option<SiteNo> {
        self.site_numbers.get(key).copied()
    }

    /// Every site that has a number, by forest and name.
    pub fn site_keys(&self) -> impl Iterator<Item = (&SiteKey, SiteNo)> {
        self.site_numbers.iter().map(|(key, number)| (key, *number))
    }

    /// The words of a cell; `None` where it needs none.
    pub fn words(&self, cell: &Cell) -> Option<&Arc<Words>> {
        self.words.get(cell.words)
    }

    /// When the directory of a forest was last read; `None` where nobody has.
    pub fn directory_as_of(&self, forest: &Forest) -> Option<Timestamp> {
        self.directory_as_of.get(forest).copied()
    }

    /// What silence is measured by.
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The number of a site, which is given one.
    pub(crate) fn intern_site(&mut self, site: &SiteRef) -> SiteNo {
        let key = (site.forest.clone(), site.name.clone());
        if let Some(number) = self.site_numbers.get(&key) {
            return *number;
        }
        let number = self.add_site(Some(site.clone()));
        self.site_numbers.insert(key, number);
        number
    }

    fn add_site(&mut self, site: Option<SiteRef>) -> SiteNo {
        let number = SiteNo(u32::try_from(self.sites.len()).unwrap_or(u32::MAX));
        self.sites.push(SiteEntry {
            site,
            hosts: BTreeSet::new(),
            dcs: BTreeSet::new(),
            totals: SiteTotals::default(),
            facts_revision: 1,
        });
        self.dirty.insert(number);
        number
    }

    pub(crate) fn entry(&self, number: SiteNo) -> &SiteEntry {
        &self.sites[number.0 as usize]
    }

    /// The sites that changed since this was asked last.
    pub(crate) fn take_dirty(&mut self) -> BTreeSet<SiteNo> {
        std::mem::take(&mut self.dirty)
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Notes that a site is to be worked out anew.
    pub(crate) fn touch(&mut self, site: SiteNo) {
        self.dirty.insert(site);
    }

    /// Puts a host in, or in place of what it was.
    pub fn put(&mut self, resident: Resident<'_>, now: Timestamp) -> Result<(), InvalidRow> {
        let number = resident.number;
        let slot = slot(number).ok_or(InvalidRow { number, what: "number" })?;
        let mut row = self.build(resident)?;
        let site = row.site;
        for user in &mut row.users {
            // Reports that change nothing tell of sights that no record has yet.
            let known = self.get(number).and_then(|before| before.users.iter().find(|own| own.sid == user.sid));
            user.seen = known.map_or(user.seen, |known| user.seen.max(known.seen));
        }
        for site in self.sites_reading(number, &row) {
            self.bump_facts(site);
        }
        let mut touched = self.take_out(number, Some(&row.key));
        touched.extend(row.users.iter().map(|user| user.sid.clone()));
        if self.rows.len() <= slot {
            self.rows.resize_with(slot + 1, || None);
        }
        self.len += 1;
        self.names.insert((row.key.name.clone(), number));
        self.identities.note(&row);
        for user in &row.users {
            self.users.entry(user.sid.clone()).or_default().hosts.push(number);
        }
        let entry = &mut self.sites[site.0 as usize];
        entry.hosts.insert(number);
        if row.roles.is_domain_controller() {
            entry.dcs.insert(number);
        }
        if let Some(pool) = row.pool {
            self.pooled.entry(pool).or_default().insert(number);
        }
        self.rows[slot] = Some(row);
        self.hold(number, now);
        for sid in touched {
            self.count_user(&sid, now);
        }
        Ok(())
    }

    /// Takes a host out whose record is gone.
    pub fn remove(&mut self, number: HostNo, now: Timestamp) {
        if let Some(row) = self.get(number)
            && row.dc.is_some()
        {
            let site = row.site;
            self.bump_facts(site);
        }
        for sid in self.take_out(number, None) {
            self.count_user(&sid, now);
        }
    }

    /// The sites whose facts change when a row takes the place of what it was.
    fn sites_reading(&self, number: HostNo, row: &Row) -> BTreeSet<SiteNo> {
        let before = self.get(number);
        let same = before.is_some_and(|before| before.dc == row.dc && before.site == row.site);
        let changed = [before, Some(row)].into_iter().flatten().filter(|row| !same && row.dc.is_some());
        changed.map(|row| row.site).collect()
    }

    /// Notes that something changed which rules read of a site.
    pub(crate) fn bump_facts(&mut self, site: SiteNo) {
        self.sites[site.0 as usize].facts_revision += 1;
        self.dirty.insert(site);
    }

    /// Notes that a host was heard of, with nothing new to say. `users_seen` tells who was seen there, and when.
    pub fn saw(
        &mut self,
        number: HostNo,
        sequence: u64,
        sight: Timestamp,
        users_seen: &[(Sid, Timestamp)],
        now: Timestamp,
    ) {
        let Some(row) = slot(number).and_then(|slot| self.rows.get_mut(slot)?.as_deref_mut()) else { return };
        let came_into_use = row.pool.is_some() && !row.in_use;
        let mut came_back =
            row.quiet || !row.fresh || came_into_use || row.all_cells().any(|cell| cell.stored != cell.held);
        let newer: Vec<_> = users_seen
            .iter()
            .filter_map(|(sid, seen)| {
                let place = row.users.iter().position(|user| user.sid == *sid && user.seen < *seen)?;
                // Where a user is counted depends on who saw the user last.
                came_back |= self.users.get(sid).is_some_and(|entry| entry.hosts.len() > 1 || entry.counted.is_none());
                // Someone who was away for long may be one of many again.
                came_back |= row.may_be_shared(&self.frame.policy);
                Some((place, *seen))
            })
            .collect();
        if came_back {
            self.sites[row.site.0 as usize].totals.take(row);
        }
        row.sequence = sequence;
        row.last_seen = row.last_seen.max(sight);
        if row.last_seen > row.stored_seen && !row.awaits_checkpoint {
            row.awaits_checkpoint = true;
            self.to_checkpoint.push(number);
        }
        // Of two hosts that share something, each report may show that both are there.
        if row.roles.is_domain_controller() || self.identities.shares(row) {
            self.dirty.insert(row.site);
        }
        if let Some(pool) = row.pool
            && self.sites[row.site.0 as usize].totals.heard_of(pool, row.last_seen)
        {
            self.dirty.insert(row.site);
        }
        for (place, seen) in newer {
            row.users[place].seen = seen;
        }
        if came_back {
            self.hold_and_count(number, now);
        }
    }

    /// Notes the fingerprint of a report after which nothing was missing.
    pub(crate) fn note_fingerprint(&mut self, number: HostNo, fingerprint: u64) {
        if let Some(row) = slot(number).and_then(|slot| self.rows.get_mut(slot)?.as_deref_mut()) {
            row.fingerprint = fingerprint;
        }
    }

    /// Last-seen times that are later than the store knows, at most `limit` of them. They count as told from now on.
    pub(crate) fn take_seen(&mut self, limit: usize) -> Vec<(HostNo, i64)> {
        let left = self.to_checkpoint.len().saturating_sub(limit);
        let numbers = self.to_checkpoint.split_off(left);
        let mut seen = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(row) = slot(number).and_then(|slot| self.rows.get_mut(slot)?.as_deref_mut()) else { continue };
            row.awaits_checkpoint = false;
            if row.last_seen > row.stored_seen {
                row.stored_seen = row.last_seen;
                seen.push((number, row.last_seen.unix_ms()));
            }
        }
        seen
    }

    /// Takes back what [`Self::take_seen`] gave, since it could not be stored.
    pub(crate) fn give_back_seen(&mut self, seen: &[(HostNo, i64)]) {
        for (number, _) in seen {
            let Some(row) = slot(*number).and_then(|slot| self.rows.get_mut(slot)?.as_deref_mut()) else { continue };
            row.stored_seen = Timestamp::MIN;
            if !row.awaits_checkpoint {
                row.awaits_checkpoint = true;
                self.to_checkpoint.push(*number);
            }
        }
    }

    /// Applies what silence has done until `now` to at most `limit` hosts. Whether there is more to do.
    pub fn tick(&mut self, now: Timestamp, limit: usize) -> bool {
        for _ in 0..limit {
            match self.events.first() {
                Some((at, number)) if *at <= now.unix_ms() => {
                    let number = *number;
                    self.refresh(number, now);
                }
                _ => return false,
            }
        }
        true
    }

    /// Works out anew what silence leaves of every host, after the frame has changed.
    pub(crate) fn reframe(&mut self, frame: Frame, now: Timestamp) {
        self.frame = frame;
        self.sort_into_pools();
        self.refresh_all(now, |_| true);
    }

    /// Notes that the directory of a forest was read.
    pub(crate) fn directory_read(&mut self, forest: &Forest, as_of: Timestamp, now: Timestamp) {
        let limit = Freshness::Directory.limit_ms(&self.frame.policy);
        let before = self.directory_as_of.insert(forest.clone(), as_of);
        // Rows whose directory is still fresh look at the new time when theirs runs out.
        if before.is_none_or(|before| now > before.plus_ms(limit)) {
            let forest = forest.clone();
            self.refresh_all(now, |row| row.key.forest.as_ref() == Some(&forest));
        }
    }

    fn refresh_all(&mut self, now: Timestamp, wanted: impl Fn(&Row) -> bool) {
        for slot in 0..self.rows.len() {
            if let Some(row) = self.rows[slot].as_deref()
                && wanted(row)
            {
                let number = row.number;
                self.refresh(number, now);
            }
        }
    }

    /// Takes a host's share out of its site, works out what silence leaves of it, and adds the share again.
    fn refresh(&mut self, number: HostNo, now: Timestamp) {
        if let Some(row) = slot(number).and_then(|slot| self.rows.get(slot)?.as_deref()) {
            self.sites[row.site.0 as usize].totals.take(row);
            self.hold_and_count(number, now);
        }
    }

    /// Adds the share of a host that no site counts, and counts its users anew.
    fn hold_and_count(&mut self, number: HostNo, now: Timestamp) {
        self.hold(number, now);
        let sids: Vec<Sid> =
            self.get(number).map(|row| row.users.iter().map(|user| user.sid.clone()).collect()).unwrap_or_default();
        for sid in sids {
            self.count_user(&sid, now);
        }
    }

    /// Works out what silence leaves of a row that no site counts, adds its share, and notes when to look again.
    fn hold(&mut self, number: HostNo, now: Timestamp) {
        let Some(row) = slot(number).and_then(|slot| self.rows.get_mut(slot)?.as_deref_mut()) else { return };
        let directory = row.key.forest.as_ref().and_then(|forest| self.directory_as_of.get(forest)).copied();
        let next = hold(row, &self.frame, directory, now);
        if row.next_event != next {
            self.events.remove(&(row.next_event, number));
            row.next_event = next;
        }
        if next < i64::MAX {
            self.events.insert((next, number));
        }
        self.sites[row.site.0 as usize].totals.add(row);
        self.dirty.insert(row.site);
    }

    /// Takes a host out; `new_key` is what it is found by from now on, if it comes back. The users it had.
    fn take_out(&mut self, number: HostNo, new_key: Option<&HostKey>) -> BTreeSet<Sid> {
        let taken = slot(number).and_then(|slot| self.rows.get_mut(slot)?.take());
        let Some(row) = taken else { return BTreeSet::new() };
        self.len -= 1;
        self.events.remove(&(row.next_event, number));
        self.identities.forget(&row);
        if new_key != Some(&row.key) {
            self.names.remove(&(row.key.name.clone(), number));
        }
        let entry = &mut self.sites[row.site.0 as usize];
        entry.totals.take(&row);
        entry.hosts.remove(&number);
        entry.dcs.remove(&number);
        self.dirty.insert(row.site);
        if let Some(pool) = row.pool {
            self.leave_pool(pool, number);
        }
        for cell in row.all_cells() {
            self.words.give_back(cell.words);
        }
        let mut sids = BTreeSet::new();
        for user in row.users {
            if let Some(entry) = self.users.get_mut(&user.sid) {
                entry.hosts.retain(|host| *host != number);
            }
            sids.insert(user.sid);
        }
        sids
    }

    fn build(&mut self, resident: Resident<'_>) -> Result<Box<Row>, InvalidRow> {
        let Resident { number, record, verdicts, fingerprint, last_seen, dc } = resident;
        let invalid = |what| InvalidRow { number, what };
        let identity = record.identity.as_ref().ok_or(invalid("identity"))?;
        let name: HostName = identity.name.parse().map_err(|_| invalid("name"))?;
        let forest = identity.forest.as_ref().map(|forest| forest.parse()).transpose();
        let forest: Option<Forest> = forest.map_err(|_| invalid("forest"))?;
        let site = match &record.site {
            None => SiteNo::default(),
            Some(id) => {
                let site = site_from_wire(id).ok_or(invalid("site"))?;
                self.intern_site(&site)
            }
        };
        let roles: Roles =
            record.roles.iter().filter_map(|role| muster_proto::convert::role_from_wire(*role).ok()).collect();
        let pool = self.pool_of(&name, site, roles);
        let time = |ms| Timestamp::from_unix_ms(ms).map_err(|_| invalid("time"));
        let mut host_cells = Vec::with_capacity(verdicts.verdicts.len());
        let mut users: BTreeMap<Sid, (Timestamp, Vec<Cell>)> = BTreeMap::new();
        for observation in &record.observations {
            let Some((sid, seen)) = user_sight(observation) else { continue };
            let user = users.entry(sid).or_insert((seen, Vec::new()));
            user.0 = user.0.max(seen);
        }
        for stored in &verdicts.verdicts {
            let Some(verdict) = &stored.verdict else { continue };
            // A check that this build does not have is not counted; judging again replaces it.
            let (Some((check, _)), Some(standing)) = (check_of(&verdict.check), standing_from_wire(verdict.standing))
            else {
                continue;
            };
            let words =
                Words { seen: verdict.seen.clone(), needed: verdict.needed.clone(), remedy: verdict.remedy.clone() };
            let cell = |words| Cell {
                check,
                stored: standing,
                held: standing,
                since_s: u32::try_from(verdict.since_ms.div_euclid(1_000)).unwrap_or(0),
                words,
            };
            if stored.user_sid.is_empty() {
                host_cells.push(cell(self.words.take(words)));
            } else if let Ok(sid) = stored.user_sid.parse::<Sid>()
                && let Some((_, cells)) = users.get_mut(&sid)
            {
                cells.push(cell(self.words.take(words)));
            }
        }
        let users: Box<[UserRow]> = users
            .into_iter()
            .map(|(sid, (seen, cells))| UserRow {
                sid,
                seen,
                stored_seen: seen,
                cells: cells.into(),
                standing: Standing::NotApplicable,
            })
            .collect();
        Ok(Box::new(Row {
            number,
            key: HostKey { forest, name },
            site,
            site_origin: record.site_origin(),
            roles,
            revision: record.revision,
            install_id: InstallId::from_slice(&record.install_id).map_err(|_| invalid("install id"))?,
            tpm: identity.ek_sha256.as_deref().and_then(identities::key_prefix),
            former_names: record.former_names.iter().filter_map(|former| former.name.parse().ok()).collect(),
            incarnation: record.incarnation,
            sequence: record.sequence,
            fingerprint,
            first_seen: time(record.first_seen_ms)?,
            last_seen,
            stored_seen: time(record.last_seen_ms)?,
            policy_revision: record.policy_revision,
            conflict: record.conflict,
            relayed: !record.reporter.is_empty(),
            entra_joined: record.entra_joined,
            // Where nothing says what system it runs, the roles say whether people sign in.
            is_endpoint: record.counts_as_endpoint.unwrap_or(roles.is_endpoint()),
            probe_version: self.text(&record.probe_version),
            operating_system: self.text(&record.operating_system),
            cells: host_cells.into(),
            users,
            clock_ahead_s: i32::try_from(record.clock_ahead_ms / 1_000).unwrap_or(if record.clock_ahead_ms < 0 {
                i32::MIN
            } else {
                i32::MAX
            }),
            certificate: record.client_certificate.as_ref().map(|own| {
                let seconds = |ms: i64| u32::try_from(ms.div_euclid(1_000).max(0)).unwrap_or(u32::MAX);
                (seconds(own.not_before_ms), seconds(own.not_after_ms))
            }),
            certificate_near_end: false,
            earlier_people: people::earlier(&record.earlier_users),
            people: 0,
            shared: false,
            pool,
            in_use: false,
            quiet: false,
            fresh: false,
            standing: Standing::NotApplicable,
            overall: Standing::NotApplicable,
            worst: None,
            dc: dc.map(Box::new),
            next_event: i64::MAX,
            awaits_checkpoint: false,
        }))
    }

    /// A text of which a fleet has few different ones.
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(kept) = self.texts.get(text) {
            return Arc::clone(kept);
        }
        // Versions and systems come and go; what nobody uses any more is dropped now and then.
        if self.texts.len() >= 4_096 && self.texts.len().is_power_of_two() {
            self.texts.retain(|kept| Arc::strong_count(kept) > 1);
        }
        let kept: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&kept));
        kept
    }

    /// Counts a user anew.
    fn count_user(&mut self, sid: &Sid, now: Timestamp) {
        let Some(entry) = self.users.get(sid) else { return };
        let before = entry.counted;
        let sights: Vec<UserOnHost> = entry.hosts.iter().filter_map(|host| self.sight(sid, *host)).collect();
        let standing = UserStanding::of(&sights, &self.frame.policy, now);
        let counted = standing.and_then(|user| self.get(user.counted_at).map(|row| (row.site, user)));
        if counted != before {
            if let Some((site, user)) = before {
                self.sites[site.0 as usize].totals.take_user(&user);
                self.dirty.insert(site);
            }
            if let Some((site, user)) = counted {
                self.sites[site.0 as usize].totals.add_user(&user);
                self.dirty.insert(site);
            }
        }
        if let Some(entry) = self.users.get_mut(sid) {
            entry.counted = counted;
            if entry.hosts.is_empty() {
                self.users.remove(sid);
            }
        }
    }

    /// A user on one endpoint or one machine of a pool; `None` on other machines, and for accounts that are not people.
    fn sight(&self, sid: &Sid, host: HostNo) -> Option<UserOnHost> {
        let row = self.get(host).filter(|row| (row.is_endpoint || row.pool.is_some()) && sid.is_account())?;
        let user = row.users.iter().find(|user| user.sid == *sid)?;
        let (mut blocked, mut unknown) = (CheckSet::default(), CheckSet::default());
        for cell in row.cells.iter().chain(&user.cells).filter(|cell| self.frame.counts_for_users(cell)) {
            match CHECKS[cell.check_index()].severity().weighs(cell.held) {
                Standing::Blocked => blocked.insert(cell.check_index()),
                Standing::Unknown => unknown.insert(cell.check_index()),
                Standing::Ready | Standing::Advisory | Standing::NotApplicable => {}
            }
        }
        let (seen_at, standing) = (user.seen, user.standing);
        Some(UserOnHost { host, seen_at, quiet: row.quiet, standing, blocked, unknown })
    }
}

/// The user an observation speaks of, and when it was gathered.
pub(crate) fn user_sight(observation: &v1::ObservationIndex) -> Option<(Sid, Timestamp)> {
    let Some(v1::observation_key::Subject::UserSid(sid)) = &observation.key.as_ref()?.subject else { return None };
    Some((sid.parse().ok()?, judged_at(observation)?))
}

/// When an observation was made, as far as it is believed: a claimed time that lay more than five minutes ahead of
/// the collector's clock is judged by the time of arrival.
pub(crate) fn judged_at(observation: &v1::ObservationIndex) -> Option<Timestamp> {
    let (claimed, arrived) = (observation.observed_at_ms, observation.arrived_at_ms);
    let ahead = claimed.saturating_sub(arrived) > MOST_AHEAD_MS;
    Timestamp::from_unix_ms(if ahead { arrived } else { claimed }).ok()
}

/// How far a claimed time may lie ahead of the collector's clock before it is not believed.
pub(crate) const MOST_AHEAD_MS: i64 = 5 * 60_000;

/// A site as records spell it.
pub(crate) fn site_to_wire(site: &SiteRef) -> v1::SiteId {
    v1::SiteId { forest: site.forest.to_string(), name: site.name.to_string() }
}

/// A site from a record.
pub(crate) fn site_from_wire(id: &v1::SiteId) -> Option<SiteRef> {
    Some(SiteRef { forest: id.forest.parse().ok()?, name: id.name.parse().ok()?, object_guid: None })
}

/// A host's place among the rows.
fn slot(number: HostNo) -> Option<usize> {
    usize::try_from(number.0.checked_sub(1)?).ok().filter(|slot| *slot < MOST_HOSTS)
}

/// More hosts than any forest has: a number beyond it comes from a broken record.
pub(crate) const MOST_HOSTS: usize = 64 << 20;

#[cfg(test)]
mod tests;
