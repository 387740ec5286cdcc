//! The collector's settings: read once into types, after which nothing re-checks a value.
//!
//! [`KEYS`] is the list of every setting with its default and meaning; `docs/configuration-collector.md` is made from
//! it. The policy is not a setting: it lives in the store in numbered revisions, and `policy_file` only seeds the first.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_evidence::{Forest, HostPattern, Role, Sha256};
use muster_proto::link::CollectorUrl;
use muster_proto::link::settings::{Settings, SettingsError};
use muster_proto::link::telemetry::{DEFAULT_INTERVAL, Headers, OtlpSettings};

use crate::crl::OnStale;
use crate::crl::fetch::ListUrl;
use crate::settings::{Cadences, Grantee, Grants};

/// Everything `muster-collector serve` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the store is.
    pub store: StoreConfig,
    /// The probes' listener.
    pub probes: ProbeListener,
    /// The operators' listener.
    pub operators: OperatorListener,
    /// Who may claim which role.
    pub grants: Grants,
    /// How often probes are asked to report.
    pub cadences: Cadences,
    /// The forest of hosts that do not name one.
    pub default_forest: Option<Forest>,
    /// The static inventory of sites and their domain controllers (`crate::sites`).
    pub inventory_file: Option<PathBuf>,
    /// The text that becomes revision 1 of the policy where the store has none.
    pub policy_file: Option<PathBuf>,
    /// By which key names of people are replaced; `None`: they are stored as reported.
    pub names: Option<NamesConfig>,
    /// How logs are written.
    pub log: LogConfig,
    /// Where telemetry is exported to; `None`: nowhere, unless the environment says so.
    pub telemetry: Option<OtlpSettings>,
    /// Revocation lists.
    pub crl: CrlConfig,
    /// The file all this was read from, for those who read it again; `None` where it was none.
    pub origin: Option<Origin>,
}

/// The file of a configuration, and what was in it.
#[derive(Clone)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// Its keys.
    pub table: toml::Table,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The keys hold the headers of the exporter, and so whatever secret is in them.
        let Self { path, table: _ } = self;
        f.debug_struct("Origin").field("path", path).finish_non_exhaustive()
    }
}

/// Which revocation lists are asked about peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlConfig {
    /// Files, and folders of files.
    pub files: Vec<PathBuf>,
    /// Addresses to fetch lists from.
    pub urls: Vec<ListUrl>,
    /// Whether the addresses are asked that the collector's own certificates and the lists themselves name.
    pub distribution_points: bool,
    /// What happens where no fresh list is there.
    pub stale: OnStale,
    /// How often lists are fetched.
    pub interval: Duration,
    /// Where copies of fetched lists are kept.
    pub cache: PathBuf,
}

impl CrlConfig {
    /// Whether any list is asked.
    pub const fn is_on(&self) -> bool {
        self.distribution_points || !self.files.is_empty() || !self.urls.is_empty()
    }
}

/// Says why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// What is in it is wrong.
    #[error("{}", explain(path, errors))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        errors: Vec<SettingsError>,
    },
}

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// `sled` or `memory`.
    pub backend: String,
    /// Its directory.
    pub path: PathBuf,
    /// Where `restore after damage` looks for the newest snapshot; `None`: nowhere.
    pub snapshots: Option<PathBuf>,
}

/// A certificate, its key and the CA that peers are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// PEM certificates of the CAs that issue the peers' certificates.
    pub ca: PathBuf,
    /// SHA-256 of the issuing CAs' public key infos; empty: those in `ca`.
    pub issuer_pins: Vec<Sha256>,
    /// Extended key usage a peer's certificate must carry.
    pub required_eku: Option<String>,
    /// Template object identifier a peer's certificate must carry.
    pub required_template: Option<String>,
    /// Certificates that are not believed, whatever else is true of them.
    pub blocked: Vec<Sha256>,
}

/// The probes' listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeListener {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Certificate, key, CA and what a probe's certificate must be.
    pub tls: TlsFiles,
    /// Bounds on peers.
    pub limits: ConnectionLimits,
}

/// The operators' listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorListener {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Certificate, key and CA; `None` only where every address is a loopback one.
    pub tls: Option<TlsFiles>,
    /// Names in certificates that are operators.
    pub names: Vec<String>,
    /// Names beside loopback ones by which browsers may call a listener in the clear.
    pub host_names: Vec<String>,
    /// Bounds on peers.
    pub limits: ConnectionLimits,
}

/// Bounds on what peers may take before a message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections of one address at a time.
    pub connections_per_address: usize,
    /// Most handshakes under way at a time.
    pub handshakes: usize,
    /// Most handshakes of one address under way at a time.
    pub handshakes_per_address: usize,
    /// Longest a handshake may take.
    pub handshake_time: Duration,
    /// Longest a peer may take to send the HTTP/2 preface.
    pub preface_time: Duration,
    /// Longest that one call may take, from its headers to its answer; a stream, to its beginning.
    pub request_time: Duration,
    /// Longest a probe's connection may stay without a call or a message on a stream.
    pub idle_time: Duration,
    /// Longest a connection may live; a probe connects again.
    pub connection_age: Duration,
}

/// The files of the keys that names of people are replaced by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesConfig {
    /// The present key.
    pub key: PathBuf,
    /// The one before it.
    pub previous: Option<PathBuf>,
}

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `text` or `json`.
    pub json: bool,
    /// A filter such as `info` or `muster_collector=debug`.
    pub filter: String,
}

/// A setting, as the reference describes it.
#[derive(Clone, Copy, Debug)]
pub struct KeyDoc {
    /// Full name.
    pub key: &'static str,
    /// Kind of value.
    pub value: &'static str,
    /// Default, or `required`.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

macro_rules! keys {
    ($($key:literal, $value:literal, $default:literal, $meaning:literal;)*) => {
        &[$(KeyDoc { key: $key, value: $value, default: $default, meaning: $meaning }),*]
    };
}

/// Every setting.
pub const KEYS: &[KeyDoc] = keys! {
    "store.backend", "text", "`sled`", "`sled` keeps evidence on disk; `memory` forgets it at the end.";
    "store.path", "path", "`/var/lib/muster/store`", "Directory of the store. One collector at a time holds it.";
    "store.snapshots", "path", "none", "Directory of snapshots made by `muster-collector backup`; the newest is restored if the store cannot be opened after a crash.";
    "probes.listen", "list of addresses", "`[\"[::]:8443\"]`", "Where probes connect.";
    "probes.certificate", "path", "required", "PEM chain of the collector's certificate for probes.";
    "probes.key", "path", "required", "PEM private key of it, readable by the collector's account only.";
    "probes.ca", "path", "required", "PEM certificates of the CAs that issue probes' certificates.";
    "probes.issuer_pins", "list of SHA-256", "those in `probes.ca`", "Public keys of the issuing CAs whose certificates count. A chain to the root is never enough.";
    "probes.required_eku", "object identifier", "`1.3.6.1.5.5.7.3.2`", "Extended key usage a probe's certificate must carry.";
    "probes.required_template", "object identifier", "none", "Certificate template a probe's certificate must come from.";
    "probes.blocked", "list of SHA-256", "`[]`", "Certificates that are refused, whatever else is true of them: the quick way to shut out one machine.";
    "probes.connections", "number", "`10000`", "Most connections at a time, from 1 to 1000000.";
    "probes.connections_per_address", "number", "`1000`", "Most connections of one address at a time.";
    "probes.handshakes", "number", "`1024`", "Most TLS handshakes under way at a time. Where all are taken, the oldest gives way.";
    "probes.handshakes_per_address", "number", "`512`", "Most TLS handshakes of one address under way at a time.";
    "probes.handshake_time", "duration", "`10s`", "Longest a handshake may take, from 100ms to 60s.";
    "probes.preface_time", "duration", "`10s`", "Longest a peer may take to send the HTTP/2 preface, from 100ms to 60s.";
    "probes.request_time", "duration", "`30s`", "Longest that one report may take, from its headers to its answer, from 1s to 10m.";
    "probes.idle_time", "duration", "`10m`", "Longest a connection may stay without a report, from 1s to 1h. A probe connects again.";
    "probes.connection_age", "duration", "`1h`", "Longest a connection may live, from 1m to 1h.";
    "operators.listen", "list of addresses", "`[\"127.0.0.1:8444\"]`", "Where operators connect. Beyond loopback a certificate is needed.";
    "operators.certificate", "path", "none", "PEM chain of the collector's certificate for operators.";
    "operators.key", "path", "none", "PEM private key of it.";
    "operators.ca", "path", "none", "PEM certificates of the CAs that issue operators' certificates.";
    "operators.issuer_pins", "list of SHA-256", "those in `operators.ca`", "Public keys of the issuing CAs whose certificates count.";
    "operators.required_eku", "object identifier", "`1.3.6.1.5.5.7.3.2`", "Extended key usage an operator's certificate must carry.";
    "operators.required_template", "object identifier", "none", "Certificate template an operator's certificate must come from.";
    "operators.blocked", "list of SHA-256", "`[]`", "Certificates that are refused, whatever else is true of them.";
    "operators.names", "list of texts", "`[]`", "Names in certificates (common name, DNS name or UPN) that are operators.";
    "operators.host_names", "list of names", "`[]`", "Names beside `localhost` and loopback addresses by which browsers and scrapers may call a listener without TLS, such as that of a container. Others are refused, so that no foreign page reaches the collector through an operator's browser.";
    "operators.connections", "number", "`256`", "Most connections at a time.";
    "operators.connections_per_address", "number", "`64`", "Most connections of one address at a time.";
    "operators.handshakes", "number", "`64`", "Most TLS handshakes under way at a time. Where all are taken, the oldest gives way.";
    "operators.handshakes_per_address", "number", "`32`", "Most TLS handshakes of one address under way at a time.";
    "operators.handshake_time", "duration", "`10s`", "Longest a handshake may take.";
    "operators.preface_time", "duration", "`10s`", "Longest a peer may take to send the HTTP/2 preface.";
    "operators.request_time", "duration", "`30s`", "Longest that one question may take, from its headers to the beginning of its answer.";
    "operators.connection_age", "duration", "`1h`", "Longest a connection may live.";
    "grant.role", "text", "required", "In each `[[grant]]`: `domain-controller`, `directory`, `sync-server` or `relay`.";
    "grant.hosts", "list of names", "`[]`", "Hosts that may claim the role; `*` stands for any characters.";
    "grant.certificates", "list of SHA-256", "`[]`", "Certificates that may claim the role.";
    "crl.files", "list of paths", "`[]`", "Revocation lists, DER or PEM, base and delta; of a folder, every file ending in `.crl`. Without any of `crl.files`, `crl.urls` and `crl.distribution_points` no list is asked, and a revoked certificate is believed until it ends.";
    "crl.urls", "list of addresses", "`[]`", "Addresses (`http://`) that revocation lists are fetched from, base and delta.";
    "crl.distribution_points", "true or false", "`false`", "Also asks the HTTP addresses that the collector's own certificates name as distribution points, where a pinned CA issued them, and those that a list names for its delta.";
    "crl.stale", "text", "`refuse`", "What happens to peers whose issuing CA has no list, or one past its NextUpdate: `refuse`, or `accept-and-alert`. Who is on a list is refused either way.";
    "crl.interval", "duration", "`1h`", "How often lists are fetched, from 1s to 24h; sooner towards the end of a list.";
    "crl.cache", "path", "`/var/lib/muster/crl`", "Directory for copies of fetched lists, so that a restart does not depend on the server that publishes them.";
    "cadence.domain_controller", "duration", "`2m`", "How often domain controllers report, from 1s to 24h.";
    "cadence.sync_server", "duration", "`5m`", "How often sync servers report.";
    "cadence.directory", "duration", "`5m`", "How often readers of the directory report.";
    "cadence.endpoint", "duration", "`15m`", "How often endpoints and relays report.";
    "default_forest", "DNS name", "none", "Forest of hosts that do not name one.";
    "inventory_file", "path", "none", "TOML file that names the domain controllers and counts the endpoints expected in each site, and gives a site to hosts that name none. Without it coverage is unknown.";
    "policy_file", "path", "none", "TOML file that becomes revision 1 of the policy where the store has none.";
    "names.key", "path", "none", "File with 32 bytes as hexadecimal digits (`openssl rand -hex 32`). With it user principal names are replaced by `hmac-sha256:KEY:HASH` before anything is stored; without it they are stored as probes report them, which by default they do not. Takes effect with a start.";
    "names.previous_key", "path", "none", "The key before `names.key`. What was stored under it is asked for again and replaced as probes report; what never reports again keeps its earlier hash. Leave it out once everything has reported.";
    "telemetry.otlp", "URL", "none", "Where metrics and traces are sent by OTLP over gRPC: `https://host:4317`, or `http://` on this machine. Without it nothing is sent, unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set.";
    "telemetry.otlp_ca", "path", "none", "PEM certificates of the CAs that issue the receiver's certificate; needed with `https://`.";
    "telemetry.headers", "list of texts", "`[]`", "Sent with every message, each as `name=value`. They are secrets and never printed.";
    "telemetry.interval", "duration", "`1m`", "How often metrics are sent, from 1s to 1h.";
    "log.format", "text", "`text`", "`text` or `json`.";
    "log.filter", "text", "`info`", "Which events are written, such as `info` or `muster_collector=debug`.";
};

/// Longest any connection lives, whatever is configured.
const LONGEST_CONNECTION: Duration = Duration::from_hours(1);

/// The most a duration between reports may be.
const DAY: Duration = Duration::from_hours(24);

impl Config {
    /// Reads the settings from a TOML text. Relative paths are taken from `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Vec<SettingsError>> {
        let mut s = Settings::parse(text);
        let at = |path: PathBuf| base.join(path);

        let store = s.section("store", |s| StoreConfig {
            backend: one_of(s, "backend", &["sled", "memory"]).unwrap_or_else(|| "sled".to_owned()),
            path: s.path("path").map_or_else(|| PathBuf::from("/var/lib/muster/store"), at),
            snapshots: s.path("snapshots").map(at),
        });
        let probes = s.section("probes", |s| ProbeListener {
            listen: s.list("listen").unwrap_or_else(|| vec![SocketAddr::from(([0_u16; 8], 8443))]),
            tls: tls_files(s, base).unwrap_or_else(|| {
                for key in ["certificate", "key", "ca"] {
                    s.missing(key, "the path of a PEM file (make one with `muster-collector pki`)");
                }
                TlsFiles::nowhere()
            }),
            limits: ConnectionLimits {
                idle_time: s
                    .duration("idle_time", Duration::from_secs(1), Duration::from_hours(1))
                    .unwrap_or(Duration::from_mins(10)),
                ..limits(s, [10_000, 1_000, 1_024, 512])
            },
        });
        let operators = s.section("operators", |s| {
            let listen: Vec<SocketAddr> =
                s.list("listen").unwrap_or_else(|| vec![SocketAddr::from(([127, 0, 0, 1], 8444))]);
            let tls = tls_files(s, base);
            if let Some(open) = listen.iter().find(|address| !is_loopback(address.ip()))
                && tls.is_none()
            {
                s.invalid(
                    "listen",
                    format!("{open} is not a loopback address, which needs `certificate`, `key` and `ca`"),
                );
            }
            let names: Vec<String> = s.list("names").unwrap_or_default();
            if tls.is_some() && names.is_empty() {
                s.missing("names", "the names in certificates that are operators");
            }
            let host_names = s.list("host_names").unwrap_or_default();
            OperatorListener { listen, tls, names, host_names, limits: limits(s, [256, 64, 64, 32]) }
        });
        let mut grants = Grants::default();
        s.sections("grant", |s| grant(s, &mut grants));
        let cadences = s.section("cadence", |s| {
            let default = Cadences::default();
            let mut every = |key, default| s.duration(key, Duration::from_secs(1), DAY).unwrap_or(default);
            Cadences {
                domain_controller: every("domain_controller", default.domain_controller),
                sync_server: every("sync_server", default.sync_server),
                directory: every("directory", default.directory),
                endpoint: every("endpoint", default.endpoint),
            }
        });
        let default_forest = s.parsed("default_forest");
        let inventory_file = s.path("inventory_file").map(at);
        let policy_file = s.path("policy_file").map(at);
        let names = s.section("names", |s| {
            let previous = s.path("previous_key").map(at);
            let key = s.path("key").map(at);
            if key.is_none() && previous.is_some() {
                s.missing("key", "the key that names are replaced by from now on");
            }
            key.map(|key| NamesConfig { key, previous })
        });
        let log = s.section("log", |s| LogConfig {
            json: one_of(s, "format", &["text", "json"]).as_deref() == Some("json"),
            filter: s.string("filter").unwrap_or_else(|| "info".to_owned()),
        });

        let crl = s.section("crl", |s| CrlConfig {
            files: s.list::<PathBuf>("files").unwrap_or_default().into_iter().map(at).collect(),
            urls: s.list("urls").unwrap_or_default(),
            distribution_points: s.boolean("distribution_points").unwrap_or_default(),
            stale: match one_of(s, "stale", &["refuse", "accept-and-alert"]).as_deref() {
                Some("accept-and-alert") => OnStale::AcceptAndAlert,
                _ => OnStale::Refuse,
            },
            interval: s.duration("interval", Duration::from_secs(1), DAY).unwrap_or(Duration::from_hours(1)),
            cache: s.path("cache").map_or_else(|| PathBuf::from("/var/lib/muster/crl"), at),
        });
        let telemetry = s.section("telemetry", |s| telemetry(s, base));

        let errors = s.end();
        if !errors.is_empty() {
            return Err(errors);
        }
        let origin = None;
        Ok(Self {
            store,
            probes,
            operators,
            grants,
            cadences,
            default_forest,
            inventory_file,
            policy_file,
            names,
            log,
            telemetry,
            crl,
            origin,
        })
    }

    /// Reads the settings from a file, relative paths taken from its folder.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|cause| LoadError::Read { path: path.to_owned(), cause })?;
        let mut config = Self::parse(&text, path.parent().unwrap_or(Path::new("")))
            .map_err(|errors| LoadError::Invalid { path: path.to_owned(), errors })?;
        config.origin = Some(Origin { path: path.to_owned(), table: text.parse().unwrap_or_default() });
        Ok(config)
    }
}

impl TlsFiles {
    /// Stands in while errors are being collected; never returned.
    fn nowhere() -> Self {
        Self {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            ca: PathBuf::new(),
            issuer_pins: Vec::new(),
            required_eku: None,
            required_template: None,
            blocked: Vec::new(),
        }
    }
}

/// Reads where telemetry is exported to.
fn telemetry(s: &mut Settings, base: &Path) -> Option<OtlpSettings> {
    let endpoint: Option<CollectorUrl> = s.parsed("otlp");
    let ca = s.path("otlp_ca").map(|path| base.join(path));
    let headers: Vec<String> = s.list("headers").unwrap_or_default();
    let headers = Headers::parse(headers.iter().map(String::as_str)).unwrap_or_else(|error| {
        s.invalid("headers", error);
        Headers::default()
    });
    let interval = s.duration("interval", Duration::from_secs(1), Duration::from_hours(1)).unwrap_or(DEFAULT_INTERVAL);
    let endpoint = endpoint?;
    if endpoint.is_secure() && ca.is_none() {
        s.missing("otlp_ca", "the CA certificates that may have issued the receiver's certificate");
    }
    Some(OtlpSettings { endpoint, ca, headers, interval })
}

/// Reads the TLS keys of a listener: all three files, or none of them.
fn tls_files(s: &mut Settings, base: &Path) -> Option<TlsFiles> {
    let files = [s.path("certificate"), s.path("key"), s.path("ca")];
    let issuer_pins = s.list("issuer_pins").unwrap_or_default();
    let required_eku = oid(s, "required_eku").or_else(|| Some("1.3.6.1.5.5.7.3.2".to_owned()));
    let required_template = oid(s, "required_template");
    let blocked = s.list("blocked").unwrap_or_default();
    match files {
        [None, None, None] => None,
        [Some(certificate), Some(key), Some(ca)] => Some(TlsFiles {
            certificate: base.join(certificate),
            key: base.join(key),
            ca: base.join(ca),
            issuer_pins,
            required_eku,
            required_template,
            blocked,
        }),
        partial => {
            for (key, file) in ["certificate", "key", "ca"].into_iter().zip(partial) {
                if file.is_none() {
                    s.missing(key, "the path of a PEM file, since the others are set");
                }
            }
            Some(TlsFiles::nowhere())
        }
    }
}

/// Reads the bounds of a listener. `counts` are the defaults of connections, of those of one address, of handshakes and of
/// those of one address. Operators may stay for as long as a connection lives, since one that watches waits.
fn limits(s: &mut Settings, counts: [u64; 4]) -> ConnectionLimits {
    let mut count = |key, default| {
        let value = s.integer(key, 1, 1_000_000).unwrap_or(default);
        usize::try_from(value).unwrap_or(usize::MAX)
    };
    let [connections, connections_per_address, handshakes, handshakes_per_address] = [
        count("connections", counts[0]),
        count("connections_per_address", counts[1]),
        count("handshakes", counts[2]),
        count("handshakes_per_address", counts[3]),
    ];
    let mut time = |key, least, default: u64, most| {
        s.duration(key, Duration::from_millis(least), Duration::from_secs(most)).unwrap_or(Duration::from_secs(default))
    };
    ConnectionLimits {
        connections,
        connections_per_address,
        handshakes,
        handshakes_per_address,
        handshake_time: time("handshake_time", 100, 10, 60),
        preface_time: time("preface_time", 100, 10, 60),
        request_time: time("request_time", 1_000, 30, 600),
        idle_time: LONGEST_CONNECTION,
        connection_age: time("connection_age", 60_000, 3_600, LONGEST_CONNECTION.as_secs()),
    }
}

/// Reads one grant. The endpoint role is free, so it is not among the roles that can be granted.
fn grant(s: &mut Settings, grants: &mut Grants) {
    let granted: Vec<&Role> = Role::ALL.iter().filter(|role| role.needs_grant()).collect();
    let names: Vec<&str> = granted.iter().map(|role| role.name()).collect();
    if !s.names().iter().any(|name| name == "role") {
        s.missing("role", &format!("one of `{}`", names.join("`, `")));
    }
    let role = one_of(s, "role", &names).and_then(|name| granted.into_iter().find(|role| role.name() == name));
    let hosts: Vec<HostPattern> = s.list("hosts").unwrap_or_default();
    let certificates: Vec<Sha256> = s.list("certificates").unwrap_or_default();
    if hosts.is_empty() && certificates.is_empty() {
        s.missing("hosts", "the hosts (or `certificates`) that may claim the role");
    }
    if let Some(&role) = role {
        for host in hosts {
            grants.grant(role, Grantee::Host(host));
        }
        for certificate in certificates {
            grants.grant(role, Grantee::Certificate(certificate));
        }
    }
}

fn one_of(s: &mut Settings, key: &str, known: &[&str]) -> Option<String> {
    let found = s.string(key)?;
    if known.contains(&found.as_str()) {
        return Some(found);
    }
    s.invalid(key, format!("found `{found}`, expected one of `{}`", known.join("`, `")));
    None
}

fn oid(s: &mut Settings, key: &str) -> Option<String> {
    let found = s.string(key)?;
    let arcs: Vec<&str> = found.split('.').collect();
    if arcs.len() >= 2 && arcs.iter().all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit())) {
        return Some(found);
    }
    s.invalid(key, format!("found `{found}`, expected an object identifier such as `1.3.6.1.5.5.7.3.2`"));
    None
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    }
}

/// The reference of every setting, in Markdown: the text of `docs/configuration-collector.md`.
pub fn reference_markdown() -> String {
    let mut text = String::from(
        "# Settings of the collector\n\n\
         `muster-collector serve --config FILE` reads one TOML file; `muster-collector check-config FILE` says\n\
         everything that is wrong with it at once. Relative paths are taken from the file's folder. Durations carry a\n\
         unit: `500ms`, `90s`, `15m`, `2h`, `14d`. This page is made from the code by `make docs-generated`.\n\n\
         | setting | value | default | meaning |\n|---|---|---|---|\n",
    );
    for doc in KEYS {
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", doc.key, doc.value, doc.default, doc.meaning);
    }
    text
}

/// The errors of a configuration as one text for people, one line each.
pub fn explain(path: &Path, errors: &[SettingsError]) -> String {
    let mut text = format!("{} errors in `{}`:", errors.len(), path.display());
    if errors.len() == 1 {
        text = format!("1 error in `{}`:", path.display());
    }
    for error in errors {
        let _ = write!(text, "\n  {error}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[probes]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\nca = \"ca.pem\"\n";

    #[test]
    fn the_least_configuration_has_every_default() {
        let config = Config::parse(LEAST, Path::new("/etc/muster")).unwrap();
        assert_eq!(config.probes.tls.certificate, Path::new("/etc/muster/c.pem"));
        assert_eq!(config.probes.tls.required_eku.as_deref(), Some("1.3.6.1.5.5.7.3.2"));
        assert_eq!(config.operators.listen, ["127.0.0.1:8444".parse().unwrap()]);
        assert_eq!(config.cadences.endpoint, Duration::from_mins(15));
        assert_eq!(config.store.backend, "sled");
    }

    #[test]
    fn every_error_comes_at_once() {
        let text = "polcy_file = \"p\"\n[store]\nbackend = \"postgres\"\n[probes]\nlisten = [\"here\"]\ncertificate = \"c\"\n\
                    [operators]\nlisten = [\"0.0.0.0:8444\"]\n[[grant]]\nrole = \"relai\"\nhosts = [\"*.corp.example\"]\n\
                    [cadence]\nendpoint = \"10ms\"\n";
        let errors: Vec<String> =
            Config::parse(text, Path::new("")).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "invalid `store.backend`: found `postgres`, expected one of `sled`, `memory`",
                "invalid `probes.listen`: entry 0: invalid socket address syntax",
                "missing `probes.key`: the path of a PEM file, since the others are set",
                "missing `probes.ca`: the path of a PEM file, since the others are set",
                "invalid `operators.listen`: 0.0.0.0:8444 is not a loopback address, which needs `certificate`, `key` and `ca`",
                "invalid `grant[0].role`: found `relai`, expected one of `domain-controller`, `directory`, `sync-server`, `relay`",
                "invalid `cadence.endpoint`: 10ms is under the least of 1s",
                "unknown key `polcy_file` (did you mean `policy_file`?)",
            ]
        );
    }

    /// Every key the reader asks for is in the reference, and the other way round: a configuration that sets each
    /// documented key to a nonsense section is refused for its value, never as unknown.
    #[test]
    fn the_reference_and_the_reader_name_the_same_keys() {
        for doc in KEYS {
            let (section, key) = doc.key.rsplit_once('.').unwrap_or(("", doc.key));
            let head = match section {
                "" => String::new(),
                "grant" => format!("[[{section}]]\n"),
                _ => format!("[{section}]\n"),
            };
            let errors = Config::parse(&format!("{head}{key} = {{ a = 1 }}\n"), Path::new("")).unwrap_err();
            let unknown = errors.iter().any(|error| matches!(error, SettingsError::UnknownKey { .. }));
            assert!(!unknown, "`{}` is documented and unknown: {errors:?}", doc.key);
        }
    }

    /// `docs/configuration-collector.md` is made from [`KEYS`]; `MUSTER_REGENERATE=1` writes it.
    #[test]
    fn the_reference_in_docs_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration-collector.md");
        if std::env::var_os("MUSTER_REGENERATE").is_some() {
            std::fs::write(&path, reference_markdown()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == reference_markdown(), "`make docs-generated` remakes docs/configuration-collector.md");
    }
}
