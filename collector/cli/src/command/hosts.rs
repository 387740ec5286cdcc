//! `muster hosts`: hosts by filter.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::CommandError;
use crate::args::HostsArgs;
use crate::client::{Client, HostFilter};
use crate::model::{HostSummary, Hosts};
use crate::output::Out;
use crate::place::Place;

/// Hosts asked for at a time.
const PAGE: u32 = 1_000;

pub(crate) async fn run(client: &mut Client, out: Out, args: HostsArgs) -> Result<(), CommandError> {
    let Place { forest, site } = Place::new(args.site, args.forest)?;
    let filter = HostFilter {
        forest,
        site,
        role: args.role.as_deref().and_then(role),
        check: args.check,
        standings: args.standing,
        name_contains: args.name.to_lowercase(),
        quiet: args.quiet,
        certificate_near_end: args.certificate_near_end,
        shared: args.shared,
        pool: args.pool,
        conflict: args.conflict,
    };
    let limit = if args.limit == 0 { usize::MAX } else { args.limit as usize };
    let mut hosts = Hosts { total: 0, hosts: Vec::new() };
    let mut token = String::new();
    loop {
        let page = u32::try_from(limit - hosts.hosts.len()).unwrap_or(PAGE).min(PAGE);
        let (more, next) = client.hosts_page(&filter, page, token).await?;
        hosts.total = more.total;
        hosts.hosts.extend(more.hosts);
        token = next;
        if token.is_empty() || hosts.hosts.len() >= limit {
            break;
        }
    }
    out.print(&hosts, |out| text(out, &hosts));
    Ok(())
}

/// The role of that name.
pub(super) fn role(name: &str) -> Option<muster_evidence::Role> {
    muster_evidence::Role::ALL.iter().copied().find(|role| role.name() == name)
}

fn text(out: &Out, hosts: &Hosts) -> String {
    if hosts.hosts.is_empty() {
        return "no host matches".to_owned();
    }
    let mut table = out.table(&["HOST", "SITE", "VERDICT", "LAST SEEN", "USERS", "WHY"]);
    for host in &hosts.hosts {
        table.add_row([
            Cell::new(&host.name),
            Cell::new(place(host)),
            out.standing(&host.standing),
            Cell::new(format!("{}{}", out.age(host.last_seen), if host.quiet { ", quiet" } else { "" })),
            Cell::new(users(host)),
            Cell::new(why(out, host)),
        ]);
    }
    out.keep_whole(&mut table, &[2, 4, 0, 1]);
    let mut text = table.trim_fmt();
    let shown = hosts.hosts.len() as u64;
    if shown < hosts.total {
        let _ = write!(text, "\n\n{shown} of {} hosts that match (--limit 0 shows all)", hosts.total);
    }
    text
}

/// The site, and the pool of a machine that is counted in one.
fn place(host: &HostSummary) -> String {
    let site = host.site.as_deref().unwrap_or("-");
    match &host.pool {
        Some(pool) => format!("{site}, pool {pool}"),
        None => site.to_owned(),
    }
}

/// Users with evidence, or the people of a machine that many share.
fn users(host: &HostSummary) -> String {
    match (host.shared, host.users) {
        (true, _) => format!("{} shared", host.people),
        (false, 0) => "-".to_owned(),
        (false, users) => users.to_string(),
    }
}

fn why(out: &Out, host: &HostSummary) -> String {
    let mut why = match &host.worst_check {
        Some(check) if host.worst_text.is_empty() => check.clone(),
        Some(check) => format!("{check}: {}", host.worst_text),
        None => String::new(),
    };
    if host.conflict {
        let line = out.grave("more than one machine reports as it");
        why = if why.is_empty() { line } else { format!("{why}\n{line}") };
    }
    if let Some(end) = host.certificate_not_after.filter(|_| host.certificate_near_end) {
        let verb = if end.0 < out.now().0 { "ended" } else { "ends" };
        let line = format!("probe's certificate {verb} {}", out.age(end));
        why = if why.is_empty() { out.grave(&line) } else { format!("{why}\n{}", out.grave(&line)) };
    }
    why
}
