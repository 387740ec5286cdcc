//! The messages of every row: what the demo's probes report, spread over a fleet of any size.
//!
//! The demo's raw outputs go through the probe's own library, so a report here is byte for byte what such a probe
//! sends, names and people apart: each host of the fleet is one of those machines under another name, with a user of
//! its own, at a site of [`HOSTS_PER_SITE`] with two domain controllers. What a change of the machine is stays real as
//! well: from one round to the next its operating system has one more update.

use std::path::Path;

use muster_evidence::{
    Evidence, HostIdentity, InstallId, Origin, Outcome, Report, Role, Sid, SiteName, Subject, SubjectAltName, Text,
    Timestamp,
};
use muster_probe::capture;
use muster_probe::machine::Machine;
use muster_proto::convert::{report_to_wire, strip_bodies};
use muster_proto::v1;
use muster_tests::lab::FOREST;
use prost::Message as _;
use prost::bytes::Bytes;

/// Hosts of one site, two of them domain controllers.
pub(crate) const HOSTS_PER_SITE: usize = 200;
const DCS_PER_SITE: usize = 2;

/// A fleet.
pub(crate) struct Fleet {
    endpoints: Vec<Machine>,
    dcs: Vec<Machine>,
    reader: Machine,
    hosts: usize,
    started: Timestamp,
}

/// Which bodies a report carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// All of them.
    All,
    /// None: the collector has them.
    None,
}

impl Fleet {
    /// A fleet of so many hosts, made of the machines in folders of captures.
    pub(crate) fn new(captures: &Path, hosts: usize, now: Timestamp) -> Self {
        let mut machines = Vec::new();
        for site in ["rotterdam", "lyon", "oslo", "oslo-dc"] {
            let set = capture::load(&captures.join(site), now);
            assert!(set.problems.is_empty(), "{site}: {:?}", set.problems);
            machines.extend(set.machines.into_iter().map(Machine::from));
        }
        let of = |role: Role| machines.iter().filter(|machine| machine.roles.contains(&role)).cloned().collect();
        let (endpoints, dcs): (Vec<_>, Vec<_>) = (of(Role::Endpoint), of(Role::DomainController));
        let mut readers: Vec<_> = of(Role::Directory);
        assert!(endpoints.len() >= 9 && dcs.len() >= 4, "{} and {}", endpoints.len(), dcs.len());
        Self { endpoints, dcs, reader: readers.remove(0), hosts, started: now }
    }

    /// How many hosts it has.
    pub(crate) const fn len(&self) -> usize {
        self.hosts
    }

    /// The machines it is made of.
    pub(crate) fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.endpoints.iter().chain(&self.dcs)
    }

    /// How many sites it has.
    pub(crate) const fn sites(&self) -> usize {
        self.hosts.div_ceil(HOSTS_PER_SITE)
    }

    /// The name of a site.
    pub(crate) fn site(number: usize) -> String {
        format!("Site-{number:05}")
    }

    /// The name of a host.
    pub(crate) fn name(&self, host: usize) -> String {
        let kind = if self.is_dc(host) { "dc" } else { "pc" };
        format!("{kind}-{host:07}.{FOREST}")
    }

    /// The domain controllers of a site.
    pub(crate) fn dcs_of(&self, site: usize) -> impl Iterator<Item = usize> {
        let sites = self.sites();
        (0..DCS_PER_SITE).map(move |place| place * sites + site).filter(|host| *host < self.hosts)
    }

    const fn is_dc(&self, host: usize) -> bool {
        host / self.sites() < DCS_PER_SITE
    }

    /// The report of a host in a round, counted from 1; its numbers grow with the rounds.
    pub(crate) fn report(&self, host: usize, round: u64, sequence: u64, bodies: Bodies) -> v1::ReportRequest {
        let (site, place) = (host % self.sites(), host / self.sites());
        let machine = if self.is_dc(host) {
            &self.dcs[(site + place) % self.dcs.len()]
        } else {
            &self.endpoints[(site + place) % self.endpoints.len()]
        };
        let name = self.name(host);
        let sid: Sid = format!("S-1-5-21-3402785121-1195827043-2687511903-{}", 100_000 + host).parse().unwrap();
        let now = self.started.plus_ms(i64::try_from(sequence).unwrap());
        let mut observations = machine.observations.clone();
        observations.retain(|seen| !matches!(&seen.key.subject, Subject::User(sid) if sid.is_unknown()));
        for seen in &mut observations {
            (seen.observed_at, seen.origin) = (now, Origin::Live);
            if let Subject::User(of) = &mut seen.key.subject {
                of.clone_from(&sid);
            }
            if let Outcome::Observed(evidence) = &mut seen.outcome {
                rename(evidence, machine.identity.name.as_str(), &name, round);
            }
        }
        let mut install_id = [0x42; 16];
        install_id[..8].copy_from_slice(&(host as u64).to_be_bytes());
        let site: SiteName = Self::site(site).parse().unwrap();
        let identity = HostIdentity {
            name: name.parse().unwrap(),
            forest: Some(FOREST.parse().unwrap()),
            site: Some(site),
            // One machine under many names would be told as copies.
            object_guid: None,
            device_id: None,
            ek_sha256: None,
        };
        let mut request = report_to_wire(&Report {
            probe_version: Text::cut(env!("CARGO_PKG_VERSION")),
            install_id: InstallId(install_id),
            incarnation: 1,
            sequence,
            host: identity,
            roles: machine.roles.iter().copied().collect(),
            // The collector compares it with its own clock.
            sent_at: present(),
            observations,
            series: Vec::new(),
            inventory: Vec::new(),
            client_certificate: None,
        });
        if bodies == Bodies::None {
            strip_bodies(&mut request, |_, _| true);
        }
        request
    }

    /// What a reader of the directory tells, so that the checks of keys have what they read.
    pub(crate) fn directory(&self) -> v1::ReportRequest {
        report_to_wire(&Report {
            probe_version: Text::cut(env!("CARGO_PKG_VERSION")),
            install_id: InstallId([0x44; 16]),
            incarnation: 1,
            sequence: 1,
            host: self.reader.identity.clone(),
            roles: self.reader.roles.iter().copied().collect(),
            sent_at: self.started,
            observations: Vec::new(),
            series: Vec::new(),
            inventory: self.reader.inventory.clone(),
            client_certificate: None,
        })
    }

    /// Every host, in an order that is different for each seed and the same in every run.
    pub(crate) fn order(&self, seed: u64) -> Vec<usize> {
        let mut hosts: Vec<usize> = (0..self.hosts).collect();
        Random(0x9E37_79B9_7F4A_7C15 ^ seed).shuffle(&mut hosts);
        hosts
    }

    /// The reports of some hosts as they stand on streams: one list per stream, and a host always on the same one.
    pub(crate) fn round(
        &self,
        hosts: &[usize],
        streams: usize,
        round: u64,
        sequence: u64,
        bodies: Bodies,
    ) -> Vec<Vec<Bytes>> {
        let mut lists = vec![Vec::new(); streams];
        for &host in hosts {
            lists[host % streams].push(on_stream(self.report(host, round, sequence, bodies)));
        }
        lists
    }
}

/// The time, by the system's clock.
pub(crate) fn present() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap()).unwrap()
}

/// A report as it stands on a stream.
pub(crate) fn on_stream(report: v1::ReportRequest) -> Bytes {
    v1::ReportStreamRequest { report: Some(report) }.encode_to_vec().into()
}

/// Gives a machine's evidence to another one of that name, which has seen so many updates.
fn rename(evidence: &mut Evidence, from: &str, to: &str, updates: u64) {
    match evidence {
        Evidence::OperatingSystem(system) => {
            system.revision = Some(6_000 + u32::try_from(updates).unwrap());
        }
        Evidence::DomainController(dc) => dc.fqdn = to.parse().unwrap(),
        Evidence::Certificate(certificate) => {
            for name in &mut certificate.subject_alt_names {
                if let SubjectAltName::Dns(dns) = name
                    && dns.as_str() == from
                {
                    *dns = Text::cut(to);
                }
            }
        }
        _ => {}
    }
}

/// The sizes of messages: least, median, 99th percentile and greatest, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) least: usize,
    pub(crate) median: usize,
    pub(crate) p99: usize,
    pub(crate) greatest: usize,
}

impl Sizes {
    /// The sizes of a round.
    pub(crate) fn of(round: &[Vec<Bytes>]) -> Self {
        let mut sizes: Vec<usize> = round.iter().flatten().map(Bytes::len).collect();
        sizes.sort_unstable();
        let at = |share: usize| sizes[(sizes.len() - 1) * share / 100];
        Self { least: at(0), median: at(50), p99: at(99), greatest: at(100) }
    }
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { least, median, p99, greatest } = self;
        write!(f, "{least} to {greatest} bytes, median {median}, 99th percentile {p99}")
    }
}

/// Numbers in no order, the same in every run (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Puts a list into an order of its own.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            let with = usize::try_from(self.next() % (place as u64 + 1)).unwrap();
            list.swap(place, with);
        }
    }
}
