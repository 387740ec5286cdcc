//! `muster export`: every host, or every site, for other programs. Written page by page, so that its size is bounded
//! by the disk and not by memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::CommandError;
use crate::client::{Client, HostFilter};
use crate::model::{HostSummary, Pool, Site, Time};
use crate::output::Format;
use crate::place::Place;

/// Hosts asked for at a time.
const PAGE: u32 = 1_000;

/// One row of hosts, flat for CSV.
#[derive(Serialize)]
struct HostRow<'a> {
    name: &'a str,
    forest: &'a str,
    site: &'a str,
    roles: String,
    standing: &'a str,
    worst_check: &'a str,
    worst_text: &'a str,
    last_seen: String,
    quiet: bool,
    users: u32,
    operating_system: &'a str,
    probe_version: &'a str,
    people: u32,
    shared: bool,
    pool: &'a str,
}

/// One row of sites, flat for CSV.
#[derive(Serialize)]
struct SiteRow<'a> {
    forest: &'a str,
    name: &'a str,
    rollout: &'a str,
    rollout_since: String,
    gate: &'a str,
    users_ready: u64,
    users_advisory: u64,
    users_blocked: u64,
    users_unknown: u64,
    users_quiet: u64,
    endpoints_ready: u64,
    endpoints_advisory: u64,
    endpoints_blocked: u64,
    endpoints_unknown: u64,
    endpoints_expected: Option<u64>,
    endpoints_fresh: u64,
    dcs_expected: Option<u64>,
    dcs_fresh: u64,
    first_reason: String,
    hosts_shared: u64,
    pooled_seen: u64,
}

/// One row of pools, flat for CSV: a pool at a site.
#[derive(Serialize)]
struct PoolRow<'a> {
    forest: &'a str,
    site: &'a str,
    pool: &'a str,
    pattern: &'a str,
    seen: u64,
    ready: u64,
    advisory: u64,
    blocked: u64,
    unknown: u64,
    not_applicable: u64,
    kept: u64,
    last_report: String,
}

pub(crate) async fn run(
    client: &mut Client,
    what: &str,
    format: Format,
    output: Option<&Path>,
    place: &Place,
) -> Result<(), CommandError> {
    let file = |action, cause| CommandError::File {
        action,
        path: output.unwrap_or(Path::new("standard output")).to_owned(),
        cause,
    };
    let sink: Box<dyn Write> = match output {
        Some(path) => Box::new(BufWriter::new(File::create(path).map_err(|cause| file("write", cause))?)),
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let mut rows = Rows::new(format, sink);
    let Place { forest, site } = place;
    let write = |cause| file("write", cause);
    if what == "hosts" {
        let filter = HostFilter { forest: forest.clone(), site: site.clone(), ..HostFilter::default() };
        let bar = super::progress("hosts");
        let mut token = String::new();
        loop {
            let (page, next) = client.hosts_page(&filter, PAGE, token).await?;
            bar.set_length(page.total);
            for host in &page.hosts {
                rows.row(&host_row(host)).map_err(write)?;
            }
            bar.inc(page.hosts.len() as u64);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        bar.finish_and_clear();
    } else {
        let sites = client.sites(forest, &[]).await?.sites;
        for site in sites.iter().filter(|own| site.is_empty() || own.name.eq_ignore_ascii_case(site)) {
            if what == "sites" {
                rows.row(&site_row(site)).map_err(write)?;
                continue;
            }
            for pool in &site.pools {
                rows.row(&pool_row(site, pool)).map_err(write)?;
            }
        }
    }
    rows.end().map_err(write)
}

/// Rows on their way out: CSV with a heading, or a JSON array.
enum Rows {
    Csv(Box<csv::Writer<Box<dyn Write>>>),
    Json { sink: Box<dyn Write>, first: bool },
}

impl Rows {
    fn new(format: Format, sink: Box<dyn Write>) -> Self {
        if format == Format::Csv {
            Self::Csv(Box::new(csv::Writer::from_writer(sink)))
        } else {
            Self::Json { sink, first: true }
        }
    }

    fn row<T: Serialize>(&mut self, row: &T) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.serialize(row).map_err(io::Error::other),
            Self::Json { sink, first } => {
                sink.write_all(if *first { b"[\n  " } else { b",\n  " })?;
                *first = false;
                serde_json::to_writer(sink, row).map_err(io::Error::other)
            }
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Csv(mut writer) => writer.flush(),
            Self::Json { mut sink, first } => {
                sink.write_all(if first { b"[]\n" } else { b"\n]\n" })?;
                sink.flush()
            }
        }
    }
}

fn host_row(host: &HostSummary) -> HostRow<'_> {
    HostRow {
        name: &host.name,
        forest: host.forest.as_deref().unwrap_or_default(),
        site: host.site.as_deref().unwrap_or_default(),
        roles: host.roles.join(" "),
        standing: &host.standing,
        worst_check: host.worst_check.as_deref().unwrap_or_default(),
        worst_text: &host.worst_text,
        last_seen: host.last_seen.text(),
        quiet: host.quiet,
        users: host.users,
        operating_system: &host.operating_system,
        probe_version: &host.probe_version,
        people: host.people,
        shared: host.shared,
        pool: host.pool.as_deref().unwrap_or_default(),
    }
}

fn site_row(site: &Site) -> SiteRow<'_> {
    SiteRow {
        forest: &site.forest,
        name: &site.name,
        rollout: &site.rollout,
        rollout_since: site.rollout_since.text(),
        gate: &site.gate,
        users_ready: site.users.ready,
        users_advisory: site.users.advisory,
        users_blocked: site.users.blocked,
        users_unknown: site.users.unknown,
        users_quiet: site.users_quiet,
        endpoints_ready: site.endpoints.ready,
        endpoints_advisory: site.endpoints.advisory,
        endpoints_blocked: site.endpoints.blocked,
        endpoints_unknown: site.endpoints.unknown,
        endpoints_expected: site.endpoints_expected,
        endpoints_fresh: site.endpoints_fresh,
        dcs_expected: site.dcs_expected,
        dcs_fresh: site.dcs_fresh,
        first_reason: site.reasons.first().map(|r| format!("{}: {}", r.check, r.text)).unwrap_or_default(),
        hosts_shared: site.hosts_shared,
        pooled_seen: site.pools.iter().map(Pool::seen_total).sum(),
    }
}

fn pool_row<'a>(site: &'a Site, pool: &'a Pool) -> PoolRow<'a> {
    PoolRow {
        forest: &site.forest,
        site: &site.name,
        pool: &pool.name,
        pattern: &pool.pattern,
        seen: pool.seen_total(),
        ready: pool.seen.ready,
        advisory: pool.seen.advisory,
        blocked: pool.seen.blocked,
        unknown: pool.seen.unknown,
        not_applicable: pool.seen.not_applicable,
        kept: pool.kept,
        last_report: pool.last_report.map(Time::text).unwrap_or_default(),
    }
}
