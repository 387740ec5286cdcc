//! All lists together: which of them count, and what they say of a certificate.
//!
//! A delta continues a base list by the rules of RFC 5280 section 5.2.4: same issuer and scope, the base's number at
//! least the one the delta names and below the delta's own. A base list without its delta is good until its own end; a
//! delta that is there must be fresh too, since whoever publishes deltas counts on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_evidence::{Text, Timestamp};
use muster_proto::link::revocation_list::distribution_points;
use muster_proto::link::{RefusedPeer, Revocation, SpkiPin};
use x509_parser::der_parser::oid;
use x509_parser::prelude::X509Certificate;

use super::authority::Authority;
use super::list::{List, Number, Scope, Signer};
use crate::access::{RevocationState, RevocationUse};

/// How far ahead of our clock a list may have been made: as far as the clocks of a domain may differ (MS-KILE).
const CLOCK_SKEW_MS: i64 = 5 * 60 * 1000;

/// What happens to peers whose issuer has no list, or one past its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStale {
    /// They are refused.
    #[default]
    Refuse,
    /// They are let in, and the operator is told. Who is on a list stays refused.
    AcceptAndAlert,
}

/// A list and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// A file or URL.
    pub source: String,
    /// The list.
    pub list: Arc<List>,
}

/// A base list with the delta that continues it.
#[derive(Clone, Debug)]
struct Cover {
    base: Arc<List>,
    delta: Option<Arc<List>>,
}

impl Cover {
    fn revokes(&self, serial: &Number) -> bool {
        match &self.delta {
            Some(delta) if delta.revokes(serial) => true,
            Some(delta) if delta.removes(serial) => false,
            _ => self.base.revokes(serial),
        }
    }

    /// When it comes to its end.
    fn next_update(&self) -> Timestamp {
        self.delta.iter().map(|delta| delta.next_update).fold(self.base.next_update, Timestamp::min)
    }

    fn this_update(&self) -> Timestamp {
        self.delta.iter().map(|delta| delta.this_update).fold(self.base.this_update, Timestamp::max)
    }
}

/// The lists of all configured CAs.
#[derive(Debug)]
pub struct RevocationSet {
    covers: BTreeMap<SpkiPin, Vec<Cover>>,
    authorities: Vec<Authority>,
    on_stale: OnStale,
}

impl RevocationSet {
    /// Puts lists together, and says of each whether it counts; and which of the `issuers` has none.
    pub fn new(
        lists: &[Loaded],
        authorities: &[Authority],
        issuers: &[SpkiPin],
        on_stale: OnStale,
    ) -> (Self, Vec<RevocationState>) {
        let mut groups: BTreeMap<(SpkiPin, &Scope), Vec<&Arc<List>>> = BTreeMap::new();
        for Loaded { list, .. } in lists {
            if let Signer::Known(pin) = list.signer {
                groups.entry((pin, &list.scope)).or_default().push(list);
            }
        }
        let mut covers: BTreeMap<SpkiPin, Vec<Cover>> = BTreeMap::new();
        for ((pin, _), lists) in groups {
            let newest = |list: &&&Arc<List>| (list.number, list.this_update);
            let Some(base) = lists.iter().filter(|list| list.base.is_none()).max_by_key(newest) else { continue };
            let delta = lists.iter().filter(|list| continues(list, base)).max_by_key(newest);
            covers.entry(pin).or_default().push(Cover { base: Arc::clone(base), delta: delta.map(|d| Arc::clone(d)) });
        }
        let set = Self { covers, authorities: authorities.to_vec(), on_stale };

        let mut states: Vec<RevocationState> = Vec::new();
        let mut shown = BTreeSet::new();
        for Loaded { source, list } in lists {
            let (used, problem) = set.use_of(list, !shown.insert(list.digest.0));
            states.push(RevocationState {
                issuer: list.issuer.clone(),
                source: source.clone(),
                delta: list.base.is_some(),
                number: list.number.map(|number| number.to_string()).unwrap_or_default(),
                this_update: Some(list.this_update),
                next_update: Some(list.next_update),
                entries: list.entries() as u64,
                used,
                problem,
            });
        }
        for pin in issuers.iter().filter(|pin| !set.covers.contains_key(pin)) {
            let issuer = set.name_of(*pin);
            states.push(RevocationState {
                problem: format!("no revocation list of `{issuer}` is there"),
                issuer,
                source: String::new(),
                delta: false,
                number: String::new(),
                this_update: None,
                next_update: None,
                entries: 0,
                used: RevocationUse::Missing,
            });
        }
        (set, states)
    }

    /// Whether a list counts, and what is to be said of it.
    fn use_of(&self, list: &Arc<List>, repeated: bool) -> (RevocationUse, String) {
        let Signer::Known(pin) = list.signer else {
            let problem = format!("`{}` is none of the configured CAs, or this is not its key", list.issuer);
            return (RevocationUse::Foreign, problem);
        };
        let covers = self.covers.get(&pin).map(Vec::as_slice).unwrap_or_default();
        let is = |other: &Arc<List>| other.digest == list.digest;
        if covers.iter().any(|cover| is(&cover.base) || cover.delta.as_ref().is_some_and(is)) {
            let used = if repeated { RevocationUse::Superseded } else { RevocationUse::Used };
            return (used, String::new());
        }
        let of_scope = covers.iter().find(|cover| cover.base.scope == list.scope);
        match (list.base, of_scope.map(|cover| cover.base.number)) {
            (Some(needed), Some(Some(there))) if needed > there => {
                let problem = format!("the delta continues list {needed} or a later one, and the base list is {there}");
                (RevocationUse::WithoutBase, problem)
            }
            (Some(_), Some(None)) => {
                (RevocationUse::WithoutBase, "the base list has no number, so no delta continues it".to_owned())
            }
            (Some(needed), None) => {
                (RevocationUse::WithoutBase, format!("the delta continues list {needed}, which is not there"))
            }
            _ => (RevocationUse::Superseded, String::new()),
        }
    }

    fn name_of(&self, pin: SpkiPin) -> String {
        let own = self.authorities.iter().find(|authority| authority.pin == pin);
        own.map_or_else(|| pin.to_string(), |authority| authority.name.clone())
    }

    /// The times at which lists come to their end or begin to count.
    pub fn boundaries(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.covers.values().flatten().flat_map(|cover| [cover.next_update(), cover.this_update()])
    }

    /// What is to be told aloud at a time: CAs whose lists are past their end.
    pub fn stale(&self, now: Timestamp) -> Vec<(String, Timestamp)> {
        let covers = self.covers.iter().flat_map(|(pin, covers)| covers.iter().map(move |cover| (*pin, cover)));
        covers
            .filter(|(_, cover)| cover.next_update() < now)
            .map(|(pin, cover)| (self.name_of(pin), cover.next_update()))
            .collect()
    }

    /// What happens to peers where no list says anything.
    pub const fn on_stale(&self) -> OnStale {
        self.on_stale
    }

    fn unless_accepted(&self, refused: RefusedPeer) -> Result<(), RefusedPeer> {
        match self.on_stale {
            OnStale::Refuse => Err(refused),
            OnStale::AcceptAndAlert => Ok(()),
        }
    }
}

/// Whether a list is a delta that continues a base list.
fn continues(delta: &List, base: &List) -> bool {
    matches!((delta.base, delta.number, base.number), (Some(from), Some(own), Some(there)) if from <= there && there < own)
}

impl Revocation for RevocationSet {
    fn check(&self, certificate: &X509Certificate<'_>, issuer: SpkiPin, now: Timestamp) -> Result<(), RefusedPeer> {
        let name = || Text::cut(&self.name_of(issuer));
        let unreadable = |what: &str| RefusedPeer::Unreadable { detail: what.to_owned() };
        let serial = Number::of(certificate.raw_serial()).ok_or_else(|| unreadable("its serial number"))?;
        let points = match certificate.get_extension_unique(&oid!(2.5.29.31)) {
            Ok(None) => Vec::new(),
            Ok(Some(extension)) => {
                distribution_points(extension.value).map_err(|_| unreadable("its distribution points"))?
            }
            Err(_) => return Err(unreadable("its distribution points")),
        };
        let covers = self.covers.get(&issuer).into_iter().flatten();
        let covers: Vec<&Cover> = covers.filter(|cover| cover.base.scope.covers(&points, false)).collect();
        // Whoever is on a list is refused, however old the list is.
        if covers.iter().any(|cover| cover.revokes(&serial)) {
            return Err(RefusedPeer::Revoked { serial: Text::cut(&serial.to_string()), issuer: name() });
        }
        let begun = |cover: &Cover| cover.this_update().unix_ms() <= now.unix_ms().saturating_add(CLOCK_SKEW_MS);
        let Some(latest) = covers.iter().filter(|cover| begun(cover)).map(|cover| cover.next_update()).max() else {
            return self.unless_accepted(RefusedPeer::NoRevocationList { issuer: name() });
        };
        if latest < now {
            return self.unless_accepted(RefusedPeer::StaleRevocationList { issuer: name(), next_update: latest });
        }
        Ok(())
    }

    fn revokes_authority(&self, certificate: &X509Certificate<'_>) -> bool {
        let Some(serial) = Number::of(certificate.raw_serial()) else { return true };
        let issuer = certificate.issuer().as_raw();
        let above = self.authorities.iter().filter(|authority| authority.subject == issuer);
        let points = match certificate.get_extension_unique(&oid!(2.5.29.31)) {
            Ok(Some(extension)) => distribution_points(extension.value).unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut covers = above.filter_map(|authority| self.covers.get(&authority.pin)).flatten();
        covers.any(|cover| cover.base.scope.covers(&points, true) && cover.revokes(&serial))
    }
}
