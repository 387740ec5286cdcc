//! Every bound on what a peer controls, in one table: `docs/limits.md` is made from it.
//!
//! The bounds themselves stand where they are used; here they are referred to, never repeated. What can be set is read
//! from a configuration that sets nothing, so a changed default changes the table.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use muster_evidence::limits;
use muster_proto::link::revocation_list::{MOST_BYTES, MOST_POINTS};
use muster_proto::link::{MOST_ADDRESSES, MOST_ANSWER_BYTES, MOST_RECORDS, TICKET_LIFETIME};
use muster_readiness::POLICY_BYTES;

use crate::config::{Config, ConnectionLimits};
use crate::crl::{fetch, file};
use crate::settings::Bounds;
use crate::view::{api, page};
use crate::{accept, log_limit, merge, policy_state, query, serve, table};

/// One bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is bounded.
    pub what: String,
    /// How much is allowed.
    pub value: u64,
    /// Of what.
    pub unit: &'static str,
    /// What happens beyond it.
    pub beyond: &'static str,
    /// The setting that changes it; empty where it is fixed.
    pub setting: String,
    /// Why it is what it is.
    pub why: &'static str,
}

/// A group of bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common.
    pub title: &'static str,
    /// The bounds.
    pub limits: Vec<Limit>,
}

fn fixed(what: &str, value: usize, unit: &'static str, beyond: &'static str, why: &'static str) -> Limit {
    Limit { what: what.to_owned(), value: value as u64, unit, beyond, setting: String::new(), why }
}

fn lasting(what: &str, value: Duration, beyond: &'static str, why: &'static str) -> Limit {
    let value = usize::try_from(value.as_secs()).unwrap_or(usize::MAX);
    fixed(what, value, "seconds", beyond, why)
}

/// Every bound.
///
/// # Panics
///
/// Never: a configuration that sets what must be set is one.
pub fn groups() -> Vec<Group> {
    let least = "[probes]\ncertificate = \"c\"\nkey = \"k\"\nca = \"a\"\n";
    let config = Config::parse(least, Path::new("")).expect("what must be set is set, and nothing else is");
    vec![
        Group { title: "Connections of probes", limits: connections("probes", config.probes.limits) },
        Group { title: "Connections of operators", limits: connections("operators", config.operators.limits) },
        Group { title: "Every connection", limits: every_connection() },
        Group { title: "Reports", limits: reports() },
        Group { title: "What is kept of a report", limits: kept() },
        Group { title: "The operators' API and its pages", limits: operators() },
        Group { title: "Revocation lists", limits: revocation_lists() },
        Group { title: "What a probe or a command line takes from the network", limits: from_the_network() },
    ]
}

fn connections(listener: &str, limits: ConnectionLimits) -> Vec<Limit> {
    let ConnectionLimits {
        connections,
        connections_per_address,
        handshakes,
        handshakes_per_address,
        handshake_time,
        preface_time,
        request_time,
        idle_time,
        connection_age,
    } = limits;
    let set = |key: &str, limit: Limit| Limit { setting: format!("{listener}.{key}"), ..limit };
    let idle = lasting(
        "Time of a connection without a call",
        idle_time,
        "the connection is closed, counted as ended by `idle`",
        "a peer that only answers pings holds a slot; one that watches waits for as long as a connection lives",
    );
    // Operators' connections may be idle for as long as they live; there is nothing to set.
    let idle = if listener == "probes" { set("idle_time", idle) } else { idle };
    let gives_way = "the oldest one is closed, reason `gave-way`";
    let closed = "the connection is closed before anything is read, counted under its reason and logged once a minute";
    vec![
        set(
            "connections",
            fixed(
                "Connections at a time",
                connections,
                "connections",
                closed,
                "memory of buffers, which each peer causes",
            ),
        ),
        set(
            "connections_per_address",
            fixed(
                "Connections of one address at a time",
                connections_per_address,
                "connections",
                closed,
                "one address must not take every slot; a site behind one translated address must fit",
            ),
        ),
        set(
            "handshakes",
            fixed(
                "Handshakes under way at a time",
                handshakes,
                "handshakes",
                gives_way,
                "a thousand silent peers must not keep the next one waiting",
            ),
        ),
        set(
            "handshakes_per_address",
            fixed(
                "Handshakes of one address under way at a time",
                handshakes_per_address,
                "handshakes",
                gives_way,
                "one address must not push out everybody's handshakes",
            ),
        ),
        set(
            "handshake_time",
            lasting(
                "Time of a handshake",
                handshake_time,
                "the connection is closed, reason `handshake-timeout`",
                "a silent peer must cost its own slot, and that not for long",
            ),
        ),
        set(
            "preface_time",
            lasting(
                "Time until a connection speaks",
                preface_time,
                "the connection is closed",
                "a peer that shook hands and says nothing holds a slot",
            ),
        ),
        set(
            "request_time",
            lasting(
                "Time of one call",
                request_time,
                "the call is ended: CANCELLED",
                "a message that is sent a byte at a time holds a stream",
            ),
        ),
        idle,
        set(
            "connection_age",
            lasting(
                "Age of a connection",
                connection_age,
                "the peer is told to connect again (GOAWAY)",
                "a certificate that has expired or was revoked is seen at the next handshake",
            ),
        ),
    ]
}

fn every_connection() -> Vec<Limit> {
    let goaway = "the connection is closed";
    vec![
        fixed(
            "Headers of a request",
            serve::HEADER_BYTES as usize,
            "bytes",
            "the stream is refused: 431",
            "ours have under one kilobyte",
        ),
        fixed(
            "Streams of a connection at a time",
            serve::STREAMS_PER_CONNECTION as usize,
            "streams",
            "further ones are refused (REFUSED_STREAM)",
            "a probe uses one, a command line a few",
        ),
        fixed(
            "Streams reset before they were accepted",
            serve::PENDING_RESETS,
            "streams",
            goaway,
            "rapid reset, CVE-2023-44487",
        ),
        lasting("Silence before a connection is asked", serve::KEEP_ALIVE.0, "a ping is sent", "dead peers hold slots"),
        lasting("Time to answer that", serve::KEEP_ALIVE.1, goaway, "a slow network answers in seconds"),
        fixed(
            "Accepted connections that wait for the server",
            accept::WAITING_CONNECTIONS,
            "connections",
            "further handshakes wait before they are handed on",
            "enough to keep the server busy",
        ),
        lasting(
            "Life of a session ticket",
            TICKET_LIFETIME,
            "the next handshake is a full one",
            "resumption calls no verifier of certificates, though the peer's chain is checked after it",
        ),
        fixed(
            "Peers whose refusals are remembered for the log",
            log_limit::REMEMBERED,
            "peers and reasons",
            "further ones are counted together",
            "one line per peer, reason and minute",
        ),
    ]
}

fn reports() -> Vec<Limit> {
    let refused = "the report is refused: INVALID_ARGUMENT, with the bound in its text";
    let part = "the part is refused and named in the answer, with the bound; the rest is taken";
    let bounds = Bounds::default();
    vec![
        fixed(
            "A report",
            limits::REPORT_BYTES,
            "bytes",
            "the message is refused: OUT_OF_RANGE, with the bound in its text",
            "every observation of a shared machine fits several times",
        ),
        fixed(
            "Observations in a report",
            limits::OBSERVATIONS_PER_REPORT,
            "observations",
            refused,
            "80 for a host, and 10 for each of 24 users",
        ),
        fixed(
            "Body of an observation",
            limits::OBSERVATION_BODY_BYTES,
            "bytes",
            part,
            "the largest certificate listing fits",
        ),
        fixed(
            "Free text",
            limits::TEXT_BYTES,
            "bytes",
            part,
            "longer than any name, code or message that a rule reads",
        ),
        fixed(
            "Users in a report",
            limits::USERS_PER_HOST,
            "users",
            part,
            "shared machines are listed by their latest sign-ins",
        ),
        fixed(
            "Certificates of a store",
            limits::CERTIFICATES_PER_STORE,
            "certificates",
            part,
            "the probe lists the first ones, and says how many it left out",
        ),
        fixed(
            "Entries of a list in a certificate",
            limits::CERTIFICATE_LIST,
            "entries",
            part,
            "names and usages of a controller's certificate are under ten",
        ),
        fixed("Keys of a user", limits::KEYS_PER_USER, "keys", part, "a user with more is a finding by itself"),
        fixed("Series in a report", limits::SERIES_PER_REPORT, "series", part, "there are two kinds"),
        fixed(
            "Points of a series in a report",
            limits::SERIES_POINTS_PER_APPEND,
            "points",
            part,
            "eight hours of minutes; the rest follows with the next report",
        ),
        fixed(
            "Parts of inventories in a report",
            limits::INVENTORY_PARTS_PER_REPORT,
            "parts",
            part,
            "a reader sends few, and more with the next report",
        ),
        fixed(
            "Items in a part of an inventory",
            limits::INVENTORY_ITEMS_PER_REPORT,
            "items",
            part,
            "a part is one transaction of the store",
        ),
        fixed(
            "Reports of a stream under way",
            bounds.stream_in_flight,
            "reports",
            "no more are read until one is answered",
            "what a relay may have in memory here",
        ),
        fixed(
            "Changes that wait for the store",
            bounds.queue,
            "changes",
            "further reports wait at their sender",
            "a disk that is slow must not fill the memory",
        ),
        fixed(
            "Time of an observation ahead of arrival",
            usize::try_from(table::MOST_AHEAD_MS).unwrap_or(usize::MAX),
            "milliseconds",
            "it is kept as claimed and judged by arrival",
            "clocks of a domain differ by five minutes at most, or Kerberos fails",
        ),
    ]
}

fn kept() -> Vec<Limit> {
    let bounds = Bounds::default();
    vec![
        fixed(
            "Observations of a host",
            merge::OBSERVATIONS_PER_HOST,
            "observations",
            "the surplus is refused and named in the answer",
            "two reports' worth, for captures beside live evidence",
        ),
        fixed(
            "Users of a host",
            limits::USERS_PER_HOST,
            "users",
            "the surplus is refused and named in the answer",
            "as in a report",
        ),
        fixed(
            "Points of a series of a host",
            limits::SERIES_RING_POINTS,
            "points",
            "the oldest fall out",
            "a day of minutes",
        ),
        fixed(
            "Earlier installations, and earlier names, of a host",
            merge::EARLIER,
            "of each",
            "the oldest is forgotten",
            "enough to see a machine that is set up again and again",
        ),
        fixed(
            "Sites",
            bounds.sites,
            "sites",
            "the claim is refused and named in the answer, with the bound; the host is placed as if it had claimed none",
            "hosts claim their sites, and each site costs memory and a place in every snapshot; the largest forests have a few thousand",
        ),
        fixed("Hosts", table::MOST_HOSTS, "hosts", "the host is not taken into the table", "more than any forest has"),
    ]
}

fn operators() -> Vec<Limit> {
    let told = "INVALID_ARGUMENT (400 on a page), with the bound in its text";
    vec![
        fixed("A name or text to look for", api::NAME_BYTES, "bytes", told, "the longest DNS name"),
        fixed(
            "Items in a page of a list",
            api::MOST_PER_PAGE,
            "items",
            "the page has this many, and says where the next begins",
            "an answer must fit a message",
        ),
        fixed(
            "Hosts in a page where none is said",
            api::ITEMS_PER_PAGE,
            "hosts",
            "the answer says where the next page begins",
            "what a person reads",
        ),
        fixed(
            "Sites in a page where none is said",
            api::SITES_PER_PAGE,
            "sites",
            "the answer says where the next page begins",
            "what a person reads",
        ),
        fixed(
            "Transitions looked at for one answer",
            api::TRANSITIONS_LOOKED_AT,
            "transitions",
            "the answer says where to go on",
            "a filter that nothing matches must end",
        ),
        fixed(
            "Transitions sent with one change to a watcher",
            api::TRANSITIONS_PER_CHANGE,
            "transitions",
            "the others are read with `ListTransitions`",
            "a change must fit a message",
        ),
        fixed(
            "Names looked at for the nearest one, on either side",
            query::NAMES_LOOKED_AT,
            "names",
            "nothing is proposed",
            "the table is locked meanwhile",
        ),
        fixed(
            "Text of a policy",
            POLICY_BYTES,
            "bytes",
            "it is not taken, with the bound in the text",
            "a policy with overrides for hundreds of sites fits",
        ),
        fixed(
            "Waivers in force",
            policy_state::MOST_WAIVERS,
            "waivers",
            "it is not taken, with the bound in the text",
            "more are no exceptions any more",
        ),
        fixed(
            "Query string of a page",
            page::QUERY_BYTES,
            "bytes",
            "400, with the bound in the text",
            "every filter at its longest",
        ),
        fixed(
            "Parameters of a page",
            page::PARAMETERS,
            "parameters",
            "400, with the bound in the text",
            "every filter with each of its choices",
        ),
    ]
}

fn revocation_lists() -> Vec<Limit> {
    let not_taken = "the list is not taken, with the bound in the text; the one before stays in use";
    vec![
        fixed(
            "Size of a list",
            MOST_BYTES,
            "bytes",
            not_taken,
            "the largest public lists have some 50 MB; whoever serves the address must not fill the memory",
        ),
        fixed(
            "Certificates named in all lists together",
            file::MOST_ENTRIES,
            "entries",
            not_taken,
            "16 bytes of memory each",
        ),
        fixed(
            "Files of lists",
            file::MOST_FILES,
            "files",
            "the configuration is refused",
            "each is read at every reload",
        ),
        fixed(
            "Distribution points read of a certificate",
            MOST_POINTS,
            "addresses",
            "further ones are not looked at",
            "certificates carry one to four",
        ),
        lasting("Time to connect for a list", fetch::CONNECT_TIME, not_taken, "a host that drops packets"),
        lasting("Time until a list is there", fetch::ANSWER_TIME, not_taken, "a server that sends a byte at a time"),
    ]
}

fn from_the_network() -> Vec<Limit> {
    vec![
        fixed(
            "Answer of a proxy to CONNECT",
            MOST_ANSWER_BYTES,
            "bytes",
            "the attempt fails, with the bound in the text",
            "a page of HTML instead of an answer must not fill the memory",
        ),
        fixed(
            "SRV records looked at",
            MOST_RECORDS,
            "records",
            "further ones are not looked at",
            "more collectors than any fleet has",
        ),
        fixed(
            "Addresses of one name tried",
            MOST_ADDRESSES,
            "addresses",
            "further ones are not tried",
            "a name that somebody else controls must not make a port scanner of a probe",
        ),
    ]
}

/// What has no bound, so that nobody takes the table for all there is.
const NOT_BOUNDED: &str = "\n\
    ## Not bounded yet\n\n\
    - Transitions are kept for ever: a host whose evidence changes with every report adds one each time.\n\
    - The answer about a user names every endpoint where the user was seen, however many a relay tells of.\n\
    - What a reader of the directory reports in all, which needs a grant; each of its reports is bounded.\n";

/// The table, in Markdown: the text of `docs/limits.md`.
pub fn limits_markdown() -> String {
    let mut text = String::from(
        "# Limits\n\n\
         What a peer may ask of the collector. This page is made from the code by `make docs-generated`: each number\n\
         is the very constant that is enforced, or the default of the setting named. Settings and what they may be are in\n\
         [configuration-collector.md](configuration-collector.md).\n",
    );
    for Group { title, limits } in groups() {
        let _ = write!(text, "\n## {title}\n\n| bound | value | beyond it | setting | why |\n|---|---|---|---|---|\n");
        for Limit { what, value, unit, beyond, setting, why } in limits {
            let setting = if setting.is_empty() { "fixed".to_owned() } else { format!("`{setting}`") };
            let _ = writeln!(text, "| {what} | {value} {unit} | {beyond} | {setting} | {why} |");
        }
    }
    text.push_str(NOT_BOUNDED);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/limits.md` is made from the bounds; `MUSTER_REGENERATE=1` writes it.
    #[test]
    fn the_table_in_docs_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/limits.md");
        if std::env::var_os("MUSTER_REGENERATE").is_some() {
            std::fs::write(&path, limits_markdown()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == limits_markdown(), "`make docs-generated` remakes docs/limits.md");
    }

    #[test]
    fn every_setting_named_is_one() {
        for limit in groups().into_iter().flat_map(|group| group.limits) {
            assert!(limit.value > 0, "{limit:?}");
            let known = crate::config::KEYS.iter().any(|doc| doc.key == limit.setting);
            assert!(limit.setting.is_empty() || known, "{limit:?}");
        }
    }
}
