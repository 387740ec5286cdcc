//! A folder of one's own with a CA and the collector's settings in it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::authority::{Authority, Identity};

/// The forest that everything is in.
pub const FOREST: &str = "corp.example";

/// The name in the operator's certificate.
pub const OPERATOR: &str = "olga";

/// A place for one scenario.
pub struct Lab {
    folder: TempDir,
    /// Issues everybody's certificates.
    pub ca: Authority,
}

impl Lab {
    /// A new place, with a new CA.
    #[expect(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("muster-fleet-").tempdir().unwrap();
        let ca = Authority::new(&folder.path().join("ca"), "Muster Test CA");
        ca.collector();
        Self { folder, ca }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes the settings of a real probe, and gives their path.
    pub fn probe_settings(&self, name: &str, identity: &Identity, port: u16, more: &str) -> PathBuf {
        let text = format!(
            "collector = [\"localhost:{port}\"]\nstate_dir = \"{state}\"\nforest = \"{FOREST}\"\n{more}\n\n\
             [identity]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\ncollector_ca = \"{ca}\"\n\n\
             [report]\ninterval = \"1s\"\ninterval_min = \"1s\"\ntimeout = \"10s\"\n",
            state = self.path(&format!("state-{name}")).display(),
            certificate = identity.certificate.display(),
            key = identity.key.display(),
            ca = self.ca.certificate().display(),
        );
        self.write(&format!("{name}.toml"), text)
    }
}

/// Settings of a collector, to be changed one at a time.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `sled` or `memory`.
    pub backend: &'static str,
    /// The store's directory, from the lab's folder.
    pub store: PathBuf,
    /// The static inventory: sites with their domain controllers and how many endpoints to expect.
    pub sites: Vec<(&'static str, Vec<&'static str>, Option<u32>)>,
    /// Seeds the policy.
    pub policy: Option<&'static str>,
    /// Whether operators need a certificate.
    pub operator_certificates: bool,
    /// How often everybody is asked to report.
    pub cadence: &'static str,
    /// The collector's certificate and key, from the lab's folder.
    pub certificate: &'static str,
    /// Further lines at the top.
    pub top: String,
    /// Further lines about the probes' listener.
    pub probes: String,
    /// Names in certificates that are operators, where operators need a certificate.
    pub operator_names: Vec<&'static str>,
    /// Who may have which role.
    pub grants: Vec<(&'static str, &'static str)>,
    /// Further sections.
    pub end: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            backend: "sled",
            store: PathBuf::from("store"),
            sites: Vec::new(),
            policy: None,
            operator_certificates: false,
            cadence: "2s",
            certificate: "ca/collector",
            top: String::new(),
            probes: String::new(),
            operator_names: vec![OPERATOR],
            grants: vec![
                ("relay", "relay*"),
                ("domain-controller", "dc*"),
                ("domain-controller", "relay*"),
                ("directory", "reader*"),
                ("directory", "relay*"),
            ],
            end: String::new(),
        }
    }
}

impl Setup {
    /// Settings with an inventory.
    pub fn with_sites(sites: &[(&'static str, &[&'static str], Option<u32>)]) -> Self {
        let sites = sites.iter().map(|(name, dcs, endpoints)| (*name, dcs.to_vec(), *endpoints)).collect();
        Self { sites, ..Self::default() }
    }

    /// The settings as text, for a file in the lab's folder. Ports are free ones.
    pub fn text(&self) -> String {
        let Self { backend, store, sites, policy, operator_certificates, cadence, certificate, top, probes, .. } = self;
        let mut text = format!("default_forest = \"{FOREST}\"\n{top}");
        if !sites.is_empty() {
            text.push_str("inventory_file = \"inventory.toml\"\n");
        }
        if policy.is_some() {
            text.push_str("policy_file = \"policy.toml\"\n");
        }
        let _ = write!(
            text,
            "\n[store]\nbackend = \"{backend}\"\npath = \"{store}\"\n\n[probes]\nlisten = [\"127.0.0.1:0\"]\n\
             certificate = \"{certificate}.pem\"\nkey = \"{certificate}.key\"\nca = \"ca/ca.pem\"\n{probes}\n\
             [operators]\nlisten = [\"127.0.0.1:0\"]\n",
            store = store.display()
        );
        if *operator_certificates {
            let _ = write!(
                text,
                "certificate = \"{certificate}.pem\"\nkey = \"{certificate}.key\"\nca = \"ca/ca.pem\"\n\
                 names = {:?}\n",
                self.operator_names
            );
        }
        let _ = write!(
            text,
            "\n[cadence]\ndomain_controller = \"{cadence}\"\nsync_server = \"{cadence}\"\ndirectory = \"{cadence}\"\n\
             endpoint = \"{cadence}\"\n"
        );
        for (role, hosts) in &self.grants {
            let _ = write!(text, "\n[[grant]]\nrole = \"{role}\"\nhosts = [\"{hosts}.{FOREST}\"]\n");
        }
        let _ = write!(text, "\n[log]\nformat = \"json\"\n\n{}", self.end);
        text
    }

    /// The inventory as text.
    fn inventory(&self) -> String {
        let mut text = format!("[[forest]]\nname = \"{FOREST}\"\n");
        for (name, dcs, endpoints) in &self.sites {
            let _ = write!(text, "\n[[forest.site]]\nname = \"{name}\"\ndcs = {dcs:?}\n");
            if let Some(endpoints) = endpoints {
                let _ = writeln!(text, "endpoints = {endpoints}");
            }
        }
        text
    }

    /// Writes all files, and gives the path of the settings.
    pub fn write(&self, lab: &Lab) -> PathBuf {
        lab.write("inventory.toml", self.inventory());
        if let Some(policy) = self.policy {
            lab.write("policy.toml", policy);
        }
        lab.write("collector.toml", self.text())
    }

    /// The settings as the collector reads them.
    ///
    /// # Panics
    ///
    /// If they are wrong.
    pub fn config(&self, lab: &Lab) -> muster_collector::config::Config {
        let path = self.write(lab);
        muster_collector::config::Config::load(&path)
            .unwrap_or_else(|error| panic!("{}", muster_proto::link::Chain(&error)))
    }
}
