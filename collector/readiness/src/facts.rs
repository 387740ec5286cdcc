//! Facts: what rules read, as immutable snapshots.
//!
//! The collector assembles them from the store, a probe from its own collection. Each group carries a revision, so
//! that a verdict can say from which state of the site and the forest it was judged.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{
    Forest, HostName, Kind, Observation, ObservationKey, OperatingSystem, Role, Sid, SiteRef, Subject, Thumbprint,
    Timestamp, UserKeys,
};

use crate::Judgement;

/// Everything a rule may read.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The host and its users.
    pub host: &'a HostFacts,
    /// The host's site.
    pub site: &'a SiteFacts,
    /// The forest, as far as it concerns the host.
    pub forest: &'a ForestFacts,
}

/// The observations of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Its name.
    pub host: HostName,
    /// Its forest; `None` where not known.
    pub forest: Option<Forest>,
    /// The roles that were found and, at a collector, granted.
    pub roles: BTreeSet<Role>,
    /// The observations, by what they speak of.
    pub observations: BTreeMap<ObservationKey, Observation>,
}

impl HostFacts {
    /// The observation of a kind about the machine.
    pub fn of_host(&self, kind: Kind) -> Option<&Observation> {
        self.observations.get(&ObservationKey::host(kind))
    }

    /// The observation of a kind about a user.
    ///
    /// It is searched for among the few observations of that kind, so that no key with a copy of the SID is made: every
    /// check about people asks this several times.
    pub fn of_user(&self, kind: Kind, sid: &Sid) -> Option<&Observation> {
        self.observations
            .range(ObservationKey::host(kind)..)
            .take_while(|(key, _)| key.kind == kind)
            .find(|(key, _)| matches!(&key.subject, Subject::User(own) if own == sid))
            .map(|(_, observation)| observation)
    }

    /// The people that any observation speaks of, in order of their SID: accounts that are none are passed over, and
    /// whoever a capture does not name is among them.
    pub(crate) fn people(&self) -> Vec<&Sid> {
        let mut people: Vec<&Sid> = Vec::new();
        for key in self.observations.keys() {
            if let Subject::User(sid) = &key.subject
                && let Err(place) = people.binary_search(&sid)
                && (sid.is_account() || sid.is_unknown())
            {
                people.insert(place, sid);
            }
        }
        people
    }

    /// The users that any observation speaks of, in order of their SID.
    pub fn users(&self) -> BTreeSet<&Sid> {
        self.observations
            .keys()
            .filter_map(|key| match &key.subject {
                Subject::User(sid) => Some(sid),
                Subject::Host | Subject::Certificate(_) => None,
            })
            .collect()
    }

    /// Whether the machine is a domain controller by role or by its own description.
    pub fn is_domain_controller(&self) -> bool {
        self.roles.contains(&Role::DomainController) || self.of_host(Kind::DomainController).is_some()
    }
}

/// What is known of a site beyond a single host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFacts {
    /// Grows whenever anything in here changes.
    pub revision: u64,
    /// The site; `None` where the host's site is not known.
    pub site: Option<SiteRef>,
    /// Domain controllers the inventory places here; `None` without an inventory.
    pub expected_dcs: Option<BTreeSet<HostName>>,
    /// Endpoints the inventory expects here; `None` without an inventory.
    pub expected_endpoints: Option<u64>,
    /// Domain controllers that have reported from here.
    pub dcs: Vec<DcState>,
    /// Endpoints from here with fresh evidence.
    pub endpoints_fresh: u64,
    /// Whether Entra-joined (not hybrid) endpoints are in the site's population, for whom clients demand strict KDC
    /// validation; `None` while nothing says so.
    pub entra_joined_endpoints: Option<bool>,
}

impl SiteFacts {
    /// What a probe knows of its site when it judges alone: nothing but the name.
    pub const fn unknown(site: Option<SiteRef>) -> Self {
        Self {
            revision: 0,
            site,
            expected_dcs: None,
            expected_endpoints: None,
            dcs: Vec::new(),
            endpoints_fresh: 0,
            entra_joined_endpoints: None,
        }
    }
}

/// A domain controller as its site sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcState {
    /// Its name.
    pub host: HostName,
    /// What it said of its system; `None` where it did not.
    pub operating_system: Option<OperatingSystem>,
    /// Whether it can serve key trust at all.
    pub capability: crate::derive::capability::Capability,
    /// The verdicts of the checks of scope `dc` about it, without staleness.
    pub judgements: Vec<Judgement>,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// Who stands above the certificate that its KDC would select; `None` where it selects none, or which one it
    /// selects is not known.
    pub kdc_issuers: Option<KdcIssuers>,
}

/// Who stands above a KDC's certificate, by thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KdcIssuers {
    /// The certificate of its direct issuer; `None` where it was not at hand.
    pub issuer: Option<Thumbprint>,
    /// The certificate that its chain ends in; `None` where it reaches none.
    pub root: Option<Thumbprint>,
}

/// What is known of a forest, as far as it concerns one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForestFacts {
    /// Grows whenever anything in here changes.
    pub revision: u64,
    /// The inventory of keys; `None` where nobody reads the directory.
    pub inventory: Option<KeyInventory>,
    /// Keys of the host's users. A user who is not in here has none, if the inventory is complete.
    pub keys: BTreeMap<Sid, UserKeys>,
}

/// How far the keys in the directory have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyInventory {
    /// When the directory was read.
    pub as_of: Timestamp,
    /// Whether a full pass has been completed: only then is absence believed.
    pub complete: bool,
    /// Whether reading was proved on a key known to be there.
    pub canary_seen: bool,
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, Evidence};

    use super::*;
    use crate::check::fixture::{self, Host, ada};

    #[test]
    fn a_users_observation_is_found_among_those_of_others_and_of_the_machine() {
        let sids = ["S-1-5-18", "S-1-5-21-9-9-9-500", "S-1-0-0", "S-1-12-1-1-2-3-4", "S-1-5-21-1-2-3-1104"];
        let sids: Vec<Sid> = sids.iter().map(|sid| sid.parse().unwrap()).collect();
        let host = sids.iter().take(4).fold(Host::endpoint().complete(), |host, sid| {
            host.person(sid, Evidence::Prt(fixture::prt()), Context::UserSession).person(
                sid,
                Evidence::Ngc(fixture::ngc(muster_evidence::Tristate::No)),
                Context::UserSession,
            )
        });
        for kind in Kind::ALL {
            for sid in &sids {
                let by_key = host.facts.observations.get(&ObservationKey::user(*kind, sid.clone()));
                assert_eq!(host.facts.of_user(*kind, sid), by_key, "{kind} of {sid}");
            }
        }
        assert!(host.facts.of_user(Kind::Prt, &sids[1]).is_some() && host.facts.of_user(Kind::Prt, &ada()).is_none());
        let people: Vec<_> = host.facts.people().into_iter().map(Sid::as_str).collect();
        assert_eq!(people, ["S-1-0-0", "S-1-12-1-1-2-3-4", "S-1-5-21-9-9-9-500"]);
        let expected: Vec<&Sid> =
            host.facts.users().into_iter().filter(|sid| sid.is_account() || sid.is_unknown()).collect();
        assert_eq!(host.facts.people(), expected);
    }
}
