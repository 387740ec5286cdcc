//! The aims: one table of everything that is measured, with what it must come to. `docs/performance.md` is made from it.

/// What a figure must come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
    /// Nothing: it is told beside the others.
    None,
}

impl Aim {
    /// Whether a figure meets it.
    pub(crate) fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
            Self::None => true,
        }
    }
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Times another figure of the same run.
    Times,
    /// Per second.
    PerSecond,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Seconds.
    Seconds,
    /// Millions of bytes.
    Megabytes,
}

impl Unit {
    /// A figure in words.
    pub(crate) fn tell(self, figure: f64) -> String {
        match self {
            Self::Times => format!("{figure:.2}"),
            Self::PerSecond => format!("{figure:.0}/s"),
            Self::Milliseconds => format!("{figure:.1} ms"),
            Self::Microseconds => format!("{figure:.1} us"),
            Self::Seconds => format!("{figure:.1} s"),
            Self::Megabytes => format!("{figure:.1} MB"),
        }
    }
}

/// At how many hosts a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// In every run.
    Always,
    /// Where a million hosts are loaded (`make bench-million`).
    Million,
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// By which it is named in the code and in the output.
    pub(crate) id: &'static str,
    /// What it is.
    pub(crate) what: &'static str,
    /// What it must come to.
    pub(crate) aim: Aim,
    /// What it counts.
    pub(crate) unit: Unit,
    /// When it is measured.
    pub(crate) scale: Scale,
}

/// Hosts that rows are measured at by default.
pub(crate) const HOSTS: usize = 20_000;

/// Hosts of the rows of [`Scale::Million`].
pub(crate) const MILLION: usize = 1_000_000;

const fn row(id: &'static str, aim: Aim, unit: Unit, what: &'static str) -> Row {
    Row { id, what, aim, unit, scale: Scale::Always }
}

const fn million(id: &'static str, aim: Aim, unit: Unit, what: &'static str) -> Row {
    Row { id, what, aim, unit, scale: Scale::Million }
}

/// Everything that is measured, in the order people see it.
pub(crate) const ROWS: &[Row] = &[
    row(
        "durable",
        Aim::AtLeast(0.25),
        Unit::Times,
        "durable full reports, all checks judged, 16 mTLS streams, 20,000 hosts, against an echo of the same messages",
    ),
    row(
        "unchanged",
        Aim::AtLeast(0.70),
        Unit::Times,
        "unchanged reports, 20,000 hosts, against an echo of the same messages",
    ),
    row("connect-full", Aim::AtLeast(0.85), Unit::Times, "connect, report, disconnect, against full mutual handshakes"),
    row(
        "connect-resumed",
        Aim::AtLeast(0.60),
        Unit::Times,
        "connect (resumed), report, disconnect, against resumed mutual handshakes",
    ),
    row(
        "connect-cpu",
        Aim::AtMost(1.6),
        Unit::Times,
        "server CPU of connect (resumed) and report, against a resumed mutual handshake",
    ),
    row(
        "stream-cpu",
        Aim::AtMost(2.0),
        Unit::Times,
        "server CPU of a durable report on a standing stream, against tonic and sled doing nothing else",
    ),
    row("latency", Aim::AtMost(10.0), Unit::Milliseconds, "report to durable at half capacity, 99th percentile"),
    row("site-query", Aim::AtMost(1.5), Unit::Times, "a site asked for at 20,000 hosts, against 1,000"),
    row("disk", Aim::AtMost(3.0), Unit::Times, "disk after every host was rewritten ten times, against one write"),
    row("disk-flat", Aim::AtMost(1.1), Unit::Times, "disk after ten rewrites, against five: flat"),
    row("judge", Aim::AtMost(20.0), Unit::Microseconds, "judging one host, all checks"),
    row("parse-dsregcmd", Aim::AtMost(100.0), Unit::Microseconds, "parsing a `dsregcmd /status` text"),
    row("parse-certificate", Aim::AtMost(50.0), Unit::Microseconds, "parsing a certificate"),
    row("probe-memory", Aim::AtMost(12.0), Unit::Megabytes, "probe on Linux: greatest resident memory"),
    row("probe-binary", Aim::AtMost(6.0), Unit::Megabytes, "probe on Linux: its program file"),
    row("probe-cpu", Aim::AtMost(100.0), Unit::Milliseconds, "probe: CPU of one collection, from start to report"),
    row("first-reports", Aim::None, Unit::PerSecond, "first reports of hosts nobody knows, durable"),
    row("restart", Aim::None, Unit::Seconds, "serving again after kill -9 at 20,000 hosts"),
    row("memory", Aim::None, Unit::Megabytes, "collector's greatest resident memory at 20,000 hosts"),
    million(
        "durable-million",
        Aim::AtLeast(0.08),
        Unit::Times,
        "durable full reports at 1,000,000 hosts, random order, against an echo of the same messages",
    ),
    million(
        "unchanged-million",
        Aim::AtLeast(0.70),
        Unit::Times,
        "unchanged reports, 1,000,000 hosts, against an echo of the same messages",
    ),
    million("site-query-million", Aim::AtMost(1.5), Unit::Times, "a site asked for at 1,000,000 hosts, against 1,000"),
    million(
        "memory-million",
        Aim::AtMost(800.0),
        Unit::Megabytes,
        "collector's greatest resident memory after each of 1,000,000 hosts was rewritten twice in random order",
    ),
    million(
        "restart-million",
        Aim::AtMost(10.0),
        Unit::Seconds,
        "serving again after kill -9 at 1,000,000 hosts, without judging anew",
    ),
];

/// A row by its name.
pub(crate) fn find(id: &str) -> &'static Row {
    ROWS.iter().find(|row| row.id == id).unwrap_or_else(|| panic!("there is no row `{id}`"))
}
