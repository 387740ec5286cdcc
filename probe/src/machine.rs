//! The machines this probe speaks for, and what is known of each: live or from a capture, in one shape.
//!
//! A probe speaks for the machine it runs on, for domain controllers it looks at over the network, and for machines
//! whose raw outputs it was handed. Judging and reporting treat all of them alike from here on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_evidence::{
    DnsName, DomainController, EndorsementKey, Evidence, Forest, HostIdentity, HostName, InventoryPart, Kind,
    Observation, Origin, Outcome, ProductType, Role, Sha256, Sid, Subject, Text, Timestamp, Tpm,
};

use crate::capture::{CapturedMachine, CapturedUser};
use crate::clock::Clock;
use crate::collect::Collector;
use crate::config::{Config, DcAddress};
use crate::source::dc_certificate::{CertificateOrigin, DcCertificateSettings, DcCertificateSource, TlsMode, TlsPeer};
use crate::source::domain_controller::DomainControllerSource;
use crate::source::revocation_lists::{self, RevocationListSettings};
use crate::source::{SOURCES, Source, SourceSettings};

/// A machine and everything known of it at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Who it is.
    pub identity: HostIdentity,
    /// What it is.
    pub roles: BTreeSet<Role>,
    /// What was seen.
    pub observations: Vec<Observation>,
    /// When it was seen: now, or when the capture was taken.
    pub observed_at: Timestamp,
    /// Whether that is a guess from the times of files.
    pub observed_at_assumed: bool,
    /// Live or captured.
    pub origin: Origin,
    /// Names of accounts, where somebody told them.
    pub accounts: BTreeMap<Sid, Text>,
    /// Keys in the directory that came with it.
    pub inventory: Vec<InventoryPart>,
}

impl Machine {
    /// The users any observation speaks of.
    pub fn users(&self) -> BTreeSet<&Sid> {
        self.observations
            .iter()
            .filter_map(|observation| match &observation.key.subject {
                Subject::User(sid) => Some(sid),
                Subject::Host | Subject::Certificate(_) => None,
            })
            .collect()
    }

    /// When the oldest of its observations was made: the parts of a capture may be of different days.
    pub fn oldest_observation(&self) -> Option<Timestamp> {
        self.observations.iter().map(|seen| seen.observed_at).min()
    }
}

impl From<CapturedMachine> for Machine {
    fn from(captured: CapturedMachine) -> Self {
        let CapturedMachine {
            folder: _,
            identity,
            roles,
            captured_at,
            captured_at_assumed,
            observations,
            users,
            inventory,
        } = captured;
        Self {
            identity,
            roles: roles.into_iter().collect(),
            observations,
            observed_at: captured_at,
            observed_at_assumed: captured_at_assumed,
            origin: Origin::Capture,
            accounts: users
                .into_iter()
                .filter_map(|CapturedUser { sid, account }| account.map(|account| (sid, account)))
                .collect(),
            inventory,
        }
    }
}

/// A machine that is looked at live, round after round.
pub struct Target {
    identity: HostIdentity,
    /// Claimed instead of what is found.
    roles: Option<BTreeSet<Role>>,
    collector: Collector,
    clock: Arc<dyn Clock>,
}

impl Target {
    /// The machine the probe runs on, under that name.
    pub fn this_machine(config: &Config, name: HostName, clock: Arc<dyn Clock>) -> Self {
        let declared = config.declared_controller();
        let forest = config.forest.clone().or_else(|| declared.as_ref().map(|dc| dc.forest.clone()));
        let settings = SourceSettings {
            root: config.root.clone(),
            tpm_tcti: config.tpm.clone(),
            dc_certificate: declared.as_ref().and_then(|dc| own_certificates(config, &dc.fqdn)),
            domain_controller: declared,
            revocation: Some(RevocationListSettings::new(
                revocation_lists::folder(&config.state_dir),
                config.proxy.clone(),
                config.proxy_bypass.clone(),
            )),
        };
        let sources: Vec<&'static dyn Source> =
            SOURCES.iter().copied().filter(|source| !config.sources_disabled.contains(source.name())).collect();
        Self {
            identity: identity(name, forest, config),
            roles: config.roles.clone(),
            collector: Collector::with_sources(&sources, settings, Arc::clone(&clock)),
            clock,
        }
    }

    /// A domain controller that is looked at over the network. `name` is its full name; an address alone names no
    /// machine.
    pub fn controller(config: &Config, name: DnsName, address: &DcAddress, clock: Arc<dyn Clock>) -> Self {
        Self::only_certificates(config, name, CertificateOrigin::Peer(tls_peer(address)), clock)
    }

    /// A domain controller whose certificates were exported to files.
    pub fn exported(config: &Config, name: DnsName, clock: Arc<dyn Clock>) -> Self {
        let origin = CertificateOrigin::Files(config.certificates.clone());
        Self::only_certificates(config, name, origin, clock)
    }

    fn only_certificates(config: &Config, name: DnsName, origin: CertificateOrigin, clock: Arc<dyn Clock>) -> Self {
        const LOOKED_AT: &[&dyn Source] = &[&DomainControllerSource, &DcCertificateSource];
        let domain = name.parent();
        let forest = config.forest.clone().or_else(|| domain.clone().map(Forest));
        let described = domain.zip(forest.clone()).map(|(domain_dns, forest)| DomainController {
            fqdn: name.clone(),
            domain_dns,
            domain_netbios: None,
            forest,
            site: config.site.clone(),
            read_only: None,
        });
        let settings = SourceSettings {
            domain_controller: described,
            dc_certificate: Some(certificate_settings(config, origin)),
            ..SourceSettings::default()
        };
        Self {
            identity: identity(name, forest, config),
            roles: Some(BTreeSet::from([Role::DomainController])),
            collector: Collector::with_sources(LOOKED_AT, settings, Arc::clone(&clock)),
            clock,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &HostName {
        &self.identity.name
    }

    /// Looks at it once.
    pub async fn observe(&self) -> Machine {
        let observed_at = self.clock.now();
        let collection = self.collector.collect().await;
        let mut identity = self.identity.clone();
        identity.device_id = identity.device_id.or_else(|| device_id(&collection.observations));
        identity.ek_sha256 = identity.ek_sha256.or_else(|| endorsement_key(&collection.observations));
        let roles = self.roles.clone().unwrap_or_else(|| roles(&collection.observations));
        Machine {
            identity,
            roles,
            observations: collection.observations,
            observed_at,
            observed_at_assumed: false,
            origin: Origin::Live,
            accounts: BTreeMap::new(),
            inventory: Vec::new(),
        }
    }
}

/// Every machine the settings name, the probe's own first: itself, and each domain controller that is looked at over
/// the network without being the one this probe stands for.
pub fn targets(config: &Config, name: &HostName, clock: &Arc<dyn Clock>) -> Vec<Target> {
    let own = config.domain_controller.fqdn.as_ref();
    let mut targets = vec![Target::this_machine(config, name.clone(), Arc::clone(clock))];
    for address in &config.dc {
        if let Ok(dc) = address.0.host.parse::<DnsName>()
            && Some(&dc) != own
            && targets.iter().all(|target| *target.name() != dc)
        {
            targets.push(Target::controller(config, dc, address, Arc::clone(clock)));
        }
    }
    targets
}

/// The name the system gives itself; `None` where it gives none that could be one.
pub fn system_name() -> Option<HostName> {
    sysinfo::System::host_name().ok()?.parse().ok()
}

fn identity(name: HostName, forest: Option<Forest>, config: &Config) -> HostIdentity {
    HostIdentity { name, forest, site: config.site.clone(), object_guid: None, device_id: None, ek_sha256: None }
}

/// Where the certificates of the controller this probe stands for are looked at. Files win over the network: they are
/// the whole store rather than what one port presents.
fn own_certificates(config: &Config, fqdn: &DnsName) -> Option<DcCertificateSettings> {
    if !config.certificates.is_empty() {
        return Some(certificate_settings(config, CertificateOrigin::Files(config.certificates.clone())));
    }
    let address = config.dc.iter().find(|address| address.0.host.eq_ignore_ascii_case(fqdn.as_str()))?;
    Some(certificate_settings(config, CertificateOrigin::Peer(tls_peer(address))))
}

fn certificate_settings(config: &Config, origin: CertificateOrigin) -> DcCertificateSettings {
    DcCertificateSettings { origin, anchors: config.anchors.clone(), intermediates: config.intermediates.clone() }
}

fn tls_peer(address: &DcAddress) -> TlsPeer {
    let mode = if address.starts_tls() { TlsMode::StartTls } else { TlsMode::Direct };
    TlsPeer { port: address.0.port, ..TlsPeer::new(address.0.host.clone(), mode) }
}

fn evidence(observations: &[Observation], kind: Kind) -> Option<&Evidence> {
    observations.iter().filter(|observation| observation.key.kind == kind).find_map(|observation| {
        match &observation.outcome {
            Outcome::Observed(evidence) => Some(evidence),
            Outcome::Absent | Outcome::Unsupported(_) | Outcome::Failed(_) => None,
        }
    })
}

fn device_id(observations: &[Observation]) -> Option<muster_evidence::Guid> {
    match evidence(observations, Kind::JoinState)? {
        Evidence::JoinState(join) => join.device_id,
        _ => None,
    }
}

fn endorsement_key(observations: &[Observation]) -> Option<Sha256> {
    match evidence(observations, Kind::Tpm)? {
        Evidence::Tpm(Tpm { endorsement_key: Some(EndorsementKey::SpkiSha256(digest)), .. }) => Some(*digest),
        _ => None,
    }
}

/// What a machine is by what was seen: a domain controller where it says so, else an endpoint.
fn roles(observations: &[Observation]) -> BTreeSet<Role> {
    let by_system = match evidence(observations, Kind::OperatingSystem) {
        Some(Evidence::OperatingSystem(system)) => system.product_type == Some(ProductType::DomainController),
        _ => false,
    };
    let by_itself = evidence(observations, Kind::DomainController).is_some();
    BTreeSet::from([if by_system || by_itself { Role::DomainController } else { Role::Endpoint }])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock::SystemClock;
    use crate::config::Loaded;

    fn config(text: &str) -> Config {
        Loaded::parse(text, Path::new("probe.toml")).unwrap().config
    }

    #[test]
    fn every_named_machine_is_a_target_once() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let name: HostName = "relay.corp.example".parse().unwrap();
        let names = |text: &str| -> Vec<String> {
            targets(&config(text), &name, &clock).iter().map(|target| target.name().to_string()).collect()
        };
        assert_eq!(names(""), ["relay.corp.example"]);
        assert_eq!(
            names(r#"dc = ["dc01.corp.example", "DC01.corp.example:389", "dc02.corp.example"]"#),
            ["relay.corp.example", "dc01.corp.example", "dc02.corp.example"]
        );
        assert_eq!(
            names("dc = \"dc01.corp.example\"\ndomain_controller.fqdn = \"dc01.corp.example\""),
            ["relay.corp.example"],
            "its own controller is looked at by itself"
        );
    }

    #[test]
    fn files_win_over_the_network() {
        let config = config("dc = \"dc01.corp.example:389\"\ndomain_controller.fqdn = \"dc01.corp.example\"");
        let fqdn = "dc01.corp.example".parse().unwrap();
        let Some(DcCertificateSettings { origin: CertificateOrigin::Peer(peer), .. }) =
            own_certificates(&config, &fqdn)
        else {
            panic!("no peer")
        };
        assert_eq!((peer.mode, peer.port), (TlsMode::StartTls, 389));
        let config = Config { certificates: vec!["certs".into()], ..config };
        assert!(matches!(
            own_certificates(&config, &fqdn),
            Some(DcCertificateSettings { origin: CertificateOrigin::Files(_), .. })
        ));
    }
}
