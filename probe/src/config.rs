//! Settings, parsed into types once. No settings are read anywhere else.
//!
//! The file is TOML. Everything wrong in it is told at once, each with its line; a key nobody knows is answered with
//! the nearest known one. The table [`SETTINGS`] is the only place a key exists: loading, the `config`
//! command and `docs/configuration-probe.md` are all made from it.
//!
//! Certificates and keys are named by path and read where they are used, so a configuration never holds a secret.

mod document;
mod settings;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_evidence::{DnsName, DomainController, Forest, HostName, Role, SiteName, Text};
use muster_proto::link::telemetry::Headers;
use muster_proto::link::{CollectorUrl, NameServer};

pub use self::document::markdown;
pub use self::settings::{SETTINGS, Setting};
pub use self::value::{CollectorPlace, DcAddress, PeerAddress, ProxySetting};

/// Where the settings lie unless the command line names another file.
pub const DEFAULT_PATH: &str = "/etc/muster/probe.toml";

/// Largest settings file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Collectors, tried in order.
    pub collector: Vec<CollectorPlace>,
    /// The name in the collector's certificate, where it differs from the address.
    pub collector_name: Option<DnsName>,
    /// The proxy on the way to the collectors.
    pub proxy: ProxySetting,
    /// Hosts that are reached without it, in the form of `NO_PROXY`; counts for a proxy that is configured.
    pub proxy_bypass: Vec<String>,
    /// The name server that is asked for SRV records; the system's where it is not set.
    pub dns_server: Option<NameServer>,
    /// The files that prove who reports, and by which the collector is recognised.
    pub identity: IdentityPaths,
    /// Where the probe keeps what it must remember.
    pub state_dir: PathBuf,
    /// The name of this machine, where the certificate or the system does not give it.
    pub host: Option<HostName>,
    /// The site this machine stands in.
    pub site: Option<SiteName>,
    /// The forest this machine belongs to.
    pub forest: Option<Forest>,
    /// The roles to claim instead of those found.
    pub roles: Option<BTreeSet<Role>>,
    /// How to reach the TPM.
    pub tpm: Option<String>,
    /// Where the system's files begin.
    pub root: PathBuf,
    /// The domain controller this probe stands for.
    pub domain_controller: DeclaredController,
    /// Domain controllers whose certificate is looked at over TLS.
    pub dc: Vec<DcAddress>,
    /// Files and folders with certificates of the domain controller.
    pub certificates: Vec<PathBuf>,
    /// Files and folders with the trust anchors that chains are verified against.
    pub anchors: Vec<PathBuf>,
    /// Files and folders with further issuers.
    pub intermediates: Vec<PathBuf>,
    /// A folder with raw outputs of other machines.
    pub captures: Option<PathBuf>,
    /// Whether names of people are reported, beside their SIDs.
    pub report_user_names: bool,
    /// Names of sources that are not run.
    pub sources_disabled: BTreeSet<&'static str>,
    /// When to report.
    pub report: ReportTimes,
    /// What to log, and how.
    pub log: LogSettings,
    /// Where traces are sent.
    pub telemetry: TelemetrySettings,
}

/// The files of the mutual TLS identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityPaths {
    /// The probe's certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The CA certificates that may have issued the collector's, PEM.
    pub collector_ca: Option<PathBuf>,
}

/// A domain controller, as far as a person declared it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredController {
    /// Its fully qualified name.
    pub fqdn: Option<DnsName>,
    /// The DNS name of its domain.
    pub domain: Option<DnsName>,
    /// The NetBIOS name of its domain.
    pub netbios: Option<Text>,
    /// Whether it is read-only.
    pub read_only: Option<bool>,
}

/// When to report, and for how long to wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportTimes {
    /// Between reports, until the collector has said when.
    pub interval: Duration,
    /// The shortest interval a collector may ask for.
    pub interval_min: Duration,
    /// The longest interval a collector may ask for.
    pub interval_max: Duration,
    /// How long connecting and the answer to one report may take.
    pub timeout: Duration,
}

/// What to log, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// A filter such as `info` or `muster_probe=debug,info`.
    pub filter: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// Where traces are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// The OTLP receiver; `None`: nowhere, unless the environment says so.
    pub otlp: Option<CollectorUrl>,
    /// The CA certificates that may have issued the receiver's certificate, PEM.
    pub otlp_ca: Option<PathBuf>,
    /// Sent with every message.
    pub headers: Headers,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The name in settings and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            collector: Vec::new(),
            collector_name: None,
            proxy: ProxySetting::Environment,
            proxy_bypass: Vec::new(),
            dns_server: None,
            identity: IdentityPaths::default(),
            state_dir: PathBuf::from("/var/lib/muster-probe"),
            host: None,
            site: None,
            forest: None,
            roles: None,
            tpm: None,
            root: PathBuf::from("/"),
            domain_controller: DeclaredController::default(),
            dc: Vec::new(),
            certificates: Vec::new(),
            anchors: Vec::new(),
            intermediates: Vec::new(),
            captures: None,
            report_user_names: false,
            sources_disabled: BTreeSet::new(),
            report: ReportTimes {
                interval: Duration::from_mins(15),
                interval_min: Duration::from_secs(10),
                interval_max: Duration::from_hours(4),
                timeout: Duration::from_secs(30),
            },
            log: LogSettings { filter: "info".to_owned(), format: LogFormat::Text },
            telemetry: TelemetrySettings::default(),
        }
    }
}

/// Settings and where each of them came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The settings in force.
    pub config: Config,
    /// The file that was read; `None` where there was none.
    pub path: Option<PathBuf>,
    /// Where each setting that is not a default came from, by its key.
    origins: BTreeMap<&'static str, SettingOrigin>,
}

/// Where a setting came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    /// Nobody set it.
    Default,
    /// The settings file, at that line.
    File {
        /// The line, from 1.
        line: usize,
    },
    /// An option on the command line.
    CommandLine,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("failed to read settings `{path}`", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file was read, and what it says cannot be used.
    #[error("{}", listed(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong, by line.
        problems: Vec<Problem>,
    },
    /// What is asked for needs settings that are not there.
    #[error("{}", missing(what, keys))]
    Missing {
        /// What was asked for.
        what: &'static str,
        /// The settings it needs.
        keys: Vec<&'static str>,
    },
}

/// One thing that is wrong with a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line it stands in, from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong at a place of a settings file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The text is not TOML.
    #[error("not TOML: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// Nobody knows the key.
    #[error("unknown key `{key}`{}", nearest.map(|known| format!(" (did you mean `{known}`?)")).unwrap_or_default())]
    UnknownKey {
        /// The key found.
        key: String,
        /// The known key that is spelt most alike, if any is.
        nearest: Option<&'static str>,
    },
    /// The value cannot be used.
    #[error("invalid `{key}`: {problem}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What was found and what is expected.
        problem: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

fn listed(path: &Path, problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    format!("settings `{}` have {count}:{}", path.display(), lines.concat())
}

fn missing(what: &str, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    format!("{what} needs settings that are not there: {}", keys.join(", "))
}

impl Loaded {
    /// Loads the settings: from the named file, which must exist, or from the default one, which may be missing.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let named = path.is_some();
        let path = path.unwrap_or(Path::new(DEFAULT_PATH));
        match read(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if !named && error.kind() == io::ErrorKind::NotFound => Ok(Self::defaults()),
            Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
        }
    }

    /// The settings of a probe that was told nothing.
    pub fn defaults() -> Self {
        Self { config: Config::default(), path: None, origins: BTreeMap::new() }
    }

    /// Reads the settings in a text; `path` is named in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut loaded = Self { path: Some(path.to_owned()), ..Self::defaults() };
        let problems = settings::apply(text, &mut loaded.config, &mut loaded.origins);
        if problems.is_empty() {
            return Ok(loaded);
        }
        Err(ConfigError::Invalid { path: path.to_owned(), problems })
    }

    /// Notes that the command line set this key.
    pub fn set_by_command_line(&mut self, key: &'static str) {
        debug_assert!(SETTINGS.iter().any(|setting| setting.key == key), "`{key}` is no setting");
        self.origins.insert(key, SettingOrigin::CommandLine);
    }

    /// Where a setting came from.
    pub fn origin(&self, key: &str) -> SettingOrigin {
        self.origins.get(key).copied().unwrap_or(SettingOrigin::Default)
    }
}

impl Config {
    /// The domain controller this probe stands for; `None` where none is declared.
    pub fn declared_controller(&self) -> Option<DomainController> {
        let declared = &self.domain_controller;
        let fqdn = declared.fqdn.clone()?;
        let domain_dns = declared.domain.clone().or_else(|| fqdn.parent())?;
        Some(DomainController {
            domain_netbios: declared.netbios.clone(),
            forest: self.forest.clone().unwrap_or_else(|| Forest(domain_dns.clone())),
            site: self.site.clone(),
            read_only: declared.read_only,
            fqdn,
            domain_dns,
        })
    }
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        Loaded::parse(text, Path::new("probe.toml")).unwrap_err().to_string()
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let text = "\
collector = \"collector.corp.example\"
sate_dir = \"/var/lib/muster\"
site = 7

[report]
interval = \"5\"
interval_min = \"2h\"
interval_max = \"1h\"

[identity]
certifcate = \"probe.pem\"

[nothing.like.it]
x = 1
";
        assert_eq!(
            problems(text),
            "settings `probe.toml` have 7 problems:
  line 1: invalid `collector`: `collector.corp.example` names no port (expected `host:port`, such as `collector.corp.example:8443`)
  line 2: unknown key `sate_dir` (did you mean `state_dir`?)
  line 3: invalid `site`: found an integer, expected a text in quotes
  line 6: invalid `report.interval`: found `5`, expected a number with a unit, such as `90s`, `15m` or `2h`
  line 7: invalid `report.interval_min`: 2h is above `report.interval_max`, 1h
  line 11: unknown key `identity.certifcate` (did you mean `identity.certificate`?)
  line 14: unknown key `nothing.like.it.x`"
        );
    }

    #[test]
    fn broken_toml_names_its_line() {
        let error = problems("site = \"HQ\"\ncollector = [\n\"a:1\"\n");
        assert!(error.starts_with("settings `probe.toml` have 1 problem:\n  line "), "{error}");
        assert!(error.contains("not TOML: "), "{error}");
        assert!(problems("site = \"HQ\"\nsite = \"Annex\"\n").contains("line 2: not TOML: duplicate key"));
    }

    #[test]
    fn a_full_file_becomes_types() {
        let text = r#"
collector = ["collector.corp.example:8443", "[2001:db8::7]:8443"]
state_dir = "/srv/muster"
site = "HQ"
forest = "corp.example"
roles = ["endpoint", "domain-controller"]
dc = ["dc01.corp.example", "dc02.corp.example:389"]
certificates = "/srv/certs"
sources.disabled = ["tpm"]

[domain_controller]
fqdn = "dc01.corp.example"
read_only = false

[report]
interval = "90m"

[log]
format = "json"
"#;
        let loaded = Loaded::parse(text, Path::new("probe.toml")).unwrap();
        let config = &loaded.config;
        assert_eq!(
            config.collector.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["collector.corp.example:8443", "[2001:db8::7]:8443"]
        );
        assert_eq!(
            config.dc.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["dc01.corp.example:636", "dc02.corp.example:389"]
        );
        assert_eq!(config.report.interval, Duration::from_mins(90));
        assert_eq!(config.sources_disabled, BTreeSet::from(["tpm"]));
        assert_eq!(config.certificates, [PathBuf::from("/srv/certs")]);
        let controller = config.declared_controller().unwrap();
        assert_eq!(controller.domain_dns.as_str(), "corp.example");
        assert_eq!(controller.read_only, Some(false));
        assert_eq!(loaded.origin("report.interval"), SettingOrigin::File { line: 16 });
        assert_eq!(loaded.origin("tpm"), SettingOrigin::Default);
    }

    #[test]
    fn only_the_default_file_may_be_missing() {
        let error = Loaded::load(Some(Path::new("/nonexistent/probe.toml"))).unwrap_err();
        assert_eq!(error.to_string(), "failed to read settings `/nonexistent/probe.toml`");
    }

    #[test]
    fn a_controller_without_a_domain_is_refused() {
        assert!(problems("[domain_controller]\nfqdn = \"dc01\"\n").contains("names no domain"));
        assert!(problems("[domain_controller]\nread_only = true\n").contains("`domain_controller.fqdn`"));
    }
}
