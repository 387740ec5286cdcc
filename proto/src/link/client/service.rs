//! Collectors by DNS SRV (RFC 2782): a service's name, its records, and in which order they are tried.
//!
//! The system's own resolver answers no such question through the standard library, hence hickory-resolver with the
//! system's name servers. The addresses of the targets are looked up as those of any other host.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use muster_evidence::{DnsName, InvalidId};

use super::url::CollectorUrl;

/// Records of one service that are used: an answer over UDP holds fewer.
pub const MOST_RECORDS: usize = 32;

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// The name of a service that SRV records are kept under, such as `_muster._tcp.corp.example`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceName(DnsName);

/// Says why a text is not the name of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServiceName {
    /// It is no DNS name.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// It has another form.
    #[error("`{found}` is not the name of a service (expected `_muster._tcp.` and a domain)")]
    Form {
        /// The name found.
        found: DnsName,
    },
}

impl ServiceName {
    /// Whether a text is meant as the name of a service, right or wrong.
    pub fn is_meant(text: &str) -> bool {
        text.trim_start().starts_with('_')
    }
}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name: DnsName = text.trim().parse()?;
        let mut labels = name.as_str().split('.');
        let service = labels.next().is_some_and(|label| label.len() > 1 && label.starts_with('_'));
        let well_formed = service && labels.next() == Some("_tcp") && labels.next().is_some();
        if well_formed { Ok(Self(name)) } else { Err(InvalidServiceName::Form { found: name }) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address of a name server: an IP address, with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer(SocketAddr);

/// Says why a text is not the address of a name server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not the address of a name server (expected an IP address, such as `192.0.2.53` or `[2001:db8::53]:5353`)"
)]
pub struct InvalidNameServer {
    /// The text found, cut to 100 characters.
    pub found: String,
}

impl FromStr for NameServer {
    type Err = InvalidNameServer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let with_port = || text.parse::<SocketAddr>().ok();
        let alone = || text.parse().ok().map(|ip| SocketAddr::new(ip, DNS_PORT));
        with_port()
            .or_else(alone)
            .map(Self)
            .ok_or_else(|| InvalidNameServer { found: text.chars().take(100).collect() })
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One collector of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The lower, the earlier it is tried.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// Where it is.
    pub url: CollectorUrl,
}

/// Says why a service gives no collector.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The system's name servers are not known.
    #[error("the system's name servers are not known, so `{name}` cannot be looked up (set `dns.server`)")]
    NoNameServers {
        /// The service.
        name: ServiceName,
        /// What the resolver says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such record.
    #[error("`{name}` has no SRV record")]
    NoRecords {
        /// The service.
        name: ServiceName,
    },
    /// The domain says that it does not offer the service.
    #[error("the SRV record of `{name}` says that the service is not offered there (its target is `.`)")]
    NotOffered {
        /// The service.
        name: ServiceName,
    },
    /// None of the records names a host and a port.
    #[error("none of the {found} SRV records of `{name}` names a host and a port")]
    Unusable {
        /// The service.
        name: ServiceName,
        /// How many there are.
        found: usize,
    },
    /// Nobody answered the question.
    #[error("failed to look up the SRV records of `{name}`")]
    Failed {
        /// The service.
        name: ServiceName,
        /// What the resolver says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Asks name servers for the collectors of a service. Answers are kept as long as they say.
#[derive(Clone, Debug, Default)]
pub struct ServiceResolver {
    server: Option<NameServer>,
    /// Made at the first question, since most probes ask none.
    inner: Option<ResolverInside>,
}

#[derive(Clone)]
struct ResolverInside(TokioResolver);

impl fmt::Debug for ResolverInside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokioResolver")
    }
}

impl ServiceResolver {
    /// A resolver that asks this name server, or those of the system.
    pub const fn new(server: Option<NameServer>) -> Self {
        Self { server, inner: None }
    }

    fn resolver(&mut self, name: &ServiceName, limit: Duration) -> Result<&TokioResolver, LookupError> {
        if self.inner.is_none() {
            let no_servers = |source: Box<dyn std::error::Error + Send + Sync>| LookupError::NoNameServers {
                name: name.clone(),
                source,
            };
            let mut builder = match self.server {
                Some(NameServer(address)) => {
                    let mut server = NameServerConfig::udp_and_tcp(address.ip());
                    server.connections.iter_mut().for_each(|connection: &mut ConnectionConfig| {
                        connection.port = address.port();
                    });
                    let config = ResolverConfig::from_name_servers(vec![server]);
                    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                }
                None => TokioResolver::builder_tokio().map_err(|error| no_servers(Box::new(error)))?,
            };
            // Twice within the limit: once for the datagram that got lost.
            builder.options_mut().timeout = limit / 2;
            builder.options_mut().attempts = 1;
            let resolver = builder.build().map_err(|error| no_servers(Box::new(error)))?;
            self.inner = Some(ResolverInside(resolver));
        }
        match &self.inner {
            Some(ResolverInside(resolver)) => Ok(resolver),
            None => Err(LookupError::NoRecords { name: name.clone() }),
        }
    }

    /// The collectors of a service, in the order in which they are tried this time. `draw` gives random numbers.
    pub async fn collectors(
        &mut self,
        name: &ServiceName,
        limit: Duration,
        draw: &mut (dyn FnMut() -> u64 + Send),
    ) -> Result<Vec<ServiceRecord>, LookupError> {
        let failed = |source| LookupError::Failed { name: name.clone(), source };
        let resolver = self.resolver(name, limit)?;
        // The final dot keeps the domains that the system searches out of it.
        let lookup = resolver.lookup(format!("{name}."), RecordType::SRV);
        let answer = match tokio::time::timeout(limit, lookup).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_no_records_found() => {
                return Err(LookupError::NoRecords { name: name.clone() });
            }
            Ok(Err(error)) => return Err(failed(Box::new(error))),
            Err(_) => return Err(failed(Box::new(super::dial::no_answer(limit)))),
        };
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv),
            _ => None,
        });
        let (mut found, mut usable) = (0, Vec::new());
        for srv in records.take(MOST_RECORDS) {
            if srv.target.is_root() {
                return Err(LookupError::NotOffered { name: name.clone() });
            }
            found += 1;
            let target: Option<DnsName> = srv.target.to_utf8().parse().ok();
            let url = target.and_then(|host| format!("https://{host}:{}", srv.port).parse().ok());
            usable.extend(url.map(|url| ServiceRecord { priority: srv.priority, weight: srv.weight, url }));
        }
        match (found, usable.is_empty()) {
            (0, _) => Err(LookupError::NoRecords { name: name.clone() }),
            (found, true) => Err(LookupError::Unusable { name: name.clone(), found }),
            _ => Ok(in_order_of_choice(usable, draw)),
        }
    }
}

/// Puts records in the order in which they are tried: by priority, and among equals by a draw in which each has a chance
/// in proportion to its weight, those of weight 0 a very small one (RFC 2782, "Weight").
pub fn in_order_of_choice(
    mut records: Vec<ServiceRecord>,
    draw: &mut (dyn FnMut() -> u64 + Send),
) -> Vec<ServiceRecord> {
    // Those of weight 0 go first, so that they win when 0 is drawn.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let equals = records.iter().take_while(|record| record.priority == priority);
        let total: u64 = equals.clone().map(|record| u64::from(record.weight)).sum();
        let drawn = draw() % (total + 1);
        let mut sum = 0;
        let chosen = equals.enumerate().find_map(|(place, record)| {
            sum += u64::from(record.weight);
            (sum >= drawn).then_some(place)
        });
        // The sum of all is the total, which is never below what was drawn.
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_are_read_strictly() {
        for good in ["_muster._tcp.corp.example", "_muster._tcp.Corp.Example.", "_other._tcp.x"] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["corp.example", "_muster._udp.corp.example", "_muster._tcp", "_._tcp.corp.example", "_muster.corp"]
        {
            assert!(bad.parse::<ServiceName>().unwrap_err().to_string().contains("expected `_muster._tcp.`"), "{bad}");
        }
        assert!("_muster._tcp.a b".parse::<ServiceName>().is_err());
        for (good, shown) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:54", "[2001:db8::53]:54"),
        ] {
            assert_eq!(good.parse::<NameServer>().unwrap().to_string(), shown);
        }
        assert!("dns.corp.example".parse::<NameServer>().unwrap_err().to_string().contains("expected an IP address"));
    }

    fn record(priority: u16, weight: u16, host: &str) -> ServiceRecord {
        ServiceRecord { priority, weight, url: format!("https://{host}:7443").parse().unwrap() }
    }

    fn hosts(records: &[ServiceRecord]) -> Vec<&str> {
        records.iter().map(|record| record.url.host()).collect()
    }

    #[test]
    fn priorities_are_kept_and_weights_are_shares() {
        let records =
            || vec![record(20, 1, "backup"), record(10, 30, "small"), record(10, 90, "large"), record(10, 0, "spare")];
        let mut first: BTreeMap<String, u32> = BTreeMap::new();
        // Every number that can be drawn first, once; later draws take the first of what is left.
        for drawn in 0..=120 {
            let mut draws = vec![0, 0, 0, drawn];
            let ordered = in_order_of_choice(records(), &mut || draws.pop().unwrap_or(0));
            assert_eq!(ordered.len(), 4);
            assert_eq!(hosts(&ordered)[3], "backup", "priority counts first");
            *first.entry(hosts(&ordered)[0].to_owned()).or_default() += 1;
        }
        let expected = [("large", 90), ("small", 30), ("spare", 1)];
        assert_eq!(first, expected.map(|(host, times)| (host.to_owned(), times)).into());
        assert!(in_order_of_choice(Vec::new(), &mut || 7).is_empty());
        assert_eq!(hosts(&in_order_of_choice(vec![record(0, 0, "only")], &mut || u64::MAX)), ["only"]);
    }
}
