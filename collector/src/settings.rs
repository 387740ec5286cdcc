//! What the collector's core is told once, at start: cadences, grants, where hosts belong, bounds.
//!
//! The values are parsed by whoever reads the configuration; nothing in here is checked a second time.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_evidence::{Forest, HostName, HostPattern, Role, Sha256};

use crate::names::NameKeys;
use crate::sites::Sites;

/// Everything the core is told at start.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The forest of hosts that name none.
    pub default_forest: Option<Forest>,
    /// How often each role reports.
    pub cadences: Cadences,
    /// Who may have which role.
    pub grants: Grants,
    /// Where hosts belong, and what is expected at each site.
    pub sites: Sites,
    /// How much is taken at a time.
    pub bounds: Bounds,
    /// What names of people are replaced by before anything is stored; `None`: nothing.
    pub names: Option<NameKeys>,
    /// Whether the store took the place of a damaged one, so that what it holds is not how things stand.
    pub rebuilding: bool,
}

/// How often probes are asked to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadences {
    /// Endpoints, while on.
    pub endpoint: Duration,
    /// Domain controllers.
    pub domain_controller: Duration,
    /// Readers of the directory.
    pub directory: Duration,
    /// Servers of Entra Connect.
    pub sync_server: Duration,
}

impl Default for Cadences {
    fn default() -> Self {
        Self {
            endpoint: Duration::from_mins(15),
            domain_controller: Duration::from_mins(2),
            directory: Duration::from_mins(5),
            sync_server: Duration::from_mins(5),
        }
    }
}

impl Cadences {
    /// The cadence of a host: the shortest of its roles. A host without any role reports like an endpoint.
    pub fn of(&self, roles: impl IntoIterator<Item = Role>) -> Duration {
        roles
            .into_iter()
            .map(|role| match role {
                Role::Endpoint | Role::Relay => self.endpoint,
                Role::DomainController => self.domain_controller,
                Role::Directory => self.directory,
                Role::SyncServer => self.sync_server,
            })
            .min()
            .unwrap_or(self.endpoint)
    }
}

/// Who may have the roles that speak for others. What is not granted is refused.
#[derive(Clone, Debug, Default)]
pub struct Grants(BTreeMap<Role, Vec<Grantee>>);

/// One that a role is granted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// Hosts whose certificate's name matches.
    Host(HostPattern),
    /// The holder of the certificate with this SHA-256.
    Certificate(Sha256),
}

impl Grants {
    /// Grants a role.
    pub fn grant(&mut self, role: Role, grantee: Grantee) {
        self.0.entry(role).or_default().push(grantee);
    }

    /// Whether the holder of a certificate has a role.
    pub fn allow(&self, role: Role, name: &HostName, certificate: &Sha256) -> bool {
        !role.needs_grant()
            || self.0.get(&role).is_some_and(|grantees| {
                grantees.iter().any(|grantee| match grantee {
                    Grantee::Host(pattern) => pattern.matches(name),
                    Grantee::Certificate(sha256) => sha256 == certificate,
                })
            })
    }

    /// Whether a role is granted to this very certificate, whatever name is in it.
    pub fn names_certificate(&self, role: Role, certificate: &Sha256) -> bool {
        let grantees = self.0.get(&role).into_iter().flatten();
        grantees.into_iter().any(|grantee| *grantee == Grantee::Certificate(*certificate))
    }
}

/// How much is taken at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most changes of hosts handed to the store at once.
    pub batch: usize,
    /// Most changes that wait for the store; further reports wait at their sender.
    pub queue: usize,
    /// Most reports of one stream that are worked on at the same time.
    pub stream_in_flight: usize,
    /// Most hosts judged at the same time by background work.
    pub background: usize,
    /// How often a change is judged again after another collector was faster.
    pub conflict_retries: u32,
    /// Most sites: hosts claim theirs, and each costs memory and a place in every snapshot.
    pub sites: usize,
    /// Shortest time between two snapshots.
    pub snapshot_interval: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            batch: 256,
            queue: 1024,
            stream_in_flight: 32,
            background: 16,
            conflict_retries: 8,
            sites: 10_000,
            snapshot_interval: Duration::from_millis(150),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_cadence_of_the_roles_holds() {
        let cadences = Cadences::default();
        assert_eq!(cadences.of([Role::Endpoint, Role::DomainController]), cadences.domain_controller);
        assert_eq!(cadences.of([]), cadences.endpoint);
    }

    #[test]
    fn only_the_endpoint_role_is_free() {
        let (name, other) = ("dc01.corp.example".parse().unwrap(), "dc02.corp.example".parse().unwrap());
        let (mine, theirs) = (Sha256([1; 32]), Sha256([2; 32]));
        let mut grants = Grants::default();
        grants.grant(Role::DomainController, Grantee::Host("dc01.*".parse().unwrap()));
        grants.grant(Role::Relay, Grantee::Certificate(mine));
        assert!(grants.allow(Role::Endpoint, &other, &theirs));
        assert!(grants.allow(Role::DomainController, &name, &theirs));
        assert!(!grants.allow(Role::DomainController, &other, &theirs));
        assert!(grants.allow(Role::Relay, &other, &mine));
        assert!(!grants.allow(Role::Relay, &name, &theirs));
        assert!(!grants.allow(Role::Directory, &name, &mine));
    }
}
