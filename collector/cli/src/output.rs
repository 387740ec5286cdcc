//! How answers look: tables that fit a terminal, colour only on one, JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use crate::model::{Counts, Pool, Reason, Time, Verdict};

/// Width used where there is no terminal.
const WIDTH_WITHOUT_TERMINAL: u16 = 120;

/// Below this width columns stand closer together.
const ROOMY_WIDTH: u16 = 110;

/// Columns of running text keep at least this much of the width, in hundredths.
const TEXT_SHARE: u16 = 30;

/// Least width at which tables still read well.
const LEAST_WIDTH: u16 = 60;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
    /// CSV, which `export` writes.
    #[value(hide = true)]
    Csv,
}

/// The output of one command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    format: Format,
    colour: bool,
    width: u16,
    now: Time,
}

impl Out {
    /// The output of this process. Colour only on a terminal, and not where `NO_COLOR` is set.
    pub(crate) fn new(format: Format) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width =
            if terminal { Table::new().width().unwrap_or(WIDTH_WITHOUT_TERMINAL) } else { WIDTH_WITHOUT_TERMINAL };
        Self { format, colour: terminal && !no_colour, width: width.max(LEAST_WIDTH), now: present() }
    }

    /// How to print.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// The same output, with ages counted from now on: for a command that goes on for long.
    pub(crate) fn at_present(self) -> Self {
        Self { now: present(), ..self }
    }

    /// The time of this command, which ages are counted from.
    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    /// Prints an answer: the value as JSON, or the text made for people.
    pub(crate) fn print<T: Serialize>(&self, value: &T, text: impl FnOnce(&Self) -> String) {
        match self.format {
            Format::Json => {
                // Our own structures have text keys only, so serialising cannot fail.
                let json = serde_json::to_string_pretty(value).unwrap_or_default();
                line(&json);
            }
            // Only `export` writes CSV, and it prints no answers.
            Format::Table | Format::Csv => line(text(self).trim_end()),
        }
    }

    /// Prints JSON, whatever the format.
    pub(crate) fn json<T: Serialize>(value: &T) {
        // Our own structures have text keys only, so serialising cannot fail.
        line(&serde_json::to_string_pretty(value).unwrap_or_default());
    }

    /// Prints one of many answers: JSON on one line, so that a stream stays readable line by line.
    pub(crate) fn print_one<T: Serialize>(&self, value: &T, text: impl FnOnce(&Self) -> String) {
        match self.format {
            Format::Json => line(&serde_json::to_string(value).unwrap_or_default()),
            // Only `export` writes CSV, and it prints no answers.
            Format::Table | Format::Csv => line(text(self).trim_end()),
        }
    }

    /// A table with these headings.
    pub(crate) fn table(&self, headings: &[&str]) -> Table {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width)
            .set_header(headings.iter().map(|heading| {
                if self.colour { Cell::new(heading).add_attribute(Attribute::Dim) } else { Cell::new(heading) }
            }));
        if self.is_narrow() {
            for column in table.column_iter_mut() {
                column.set_padding((0, 1));
            }
        }
        if self.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }

    /// Keeps the words of these columns on one line, the first ones first, as long as enough is left for the others.
    pub(crate) fn keep_whole(&self, table: &mut Table, columns: &[usize]) {
        let widths = table.column_max_content_widths();
        let padding: u16 = table.column_iter().map(comfy_table::Column::padding_width).sum();
        let mut left = self.width.saturating_sub(padding + self.width * TEXT_SHARE / 100);
        for &column in columns {
            let width = widths.get(column).copied().unwrap_or_default();
            if let Some(column) = table.column_mut(column)
                && width <= left
            {
                column.set_constraint(ColumnConstraint::ContentWidth);
                left -= width;
            }
        }
    }

    /// Bounds a column's width.
    pub(crate) fn at_most(table: &mut Table, column: usize, width: u16) {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width)));
        }
    }

    /// A cell with a standing or rollout verdict, coloured by its gravity.
    pub(crate) fn standing(&self, word: &str) -> Cell {
        let cell = Cell::new(word);
        if self.colour { cell.fg(colour_of(word)) } else { cell }
    }

    /// The same word in running text.
    pub(crate) fn word(&self, word: &str) -> String {
        if !self.colour {
            return word.to_owned();
        }
        let code = match colour_of(word) {
            Color::Green => "32",
            Color::Yellow => "33",
            Color::Red => "31",
            Color::Magenta => "35",
            _ => "2",
        };
        format!("\x1b[{code}m{word}\x1b[0m")
    }

    /// Words in running text that somebody must act on.
    pub(crate) fn grave(&self, text: &str) -> String {
        if self.colour { format!("\x1b[31m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A heading in running text.
    pub(crate) fn bold(&self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// How long ago something was, or how long it is until then.
    pub(crate) fn age(&self, at: Time) -> String {
        let seconds = (self.now.0 - at.0) / 1_000;
        if seconds < 0 { format!("in {}", span(-seconds)) } else { format!("{} ago", span(seconds)) }
    }

    /// Since when something is so.
    pub(crate) fn since(&self, at: Time) -> String {
        span(((self.now.0 - at.0) / 1_000).max(0))
    }

    /// Verdicts as a table, worst first; what is not applicable only where `all` is asked for.
    ///
    /// What follows from another finding is named there and in a line of its own, and told in full only where `all` is
    /// asked for: a cause is told once.
    pub(crate) fn verdicts(&self, verdicts: &[Verdict], all: bool) -> String {
        let (follow, own): (Vec<&Verdict>, Vec<&Verdict>) =
            verdicts.iter().partition(|verdict| verdict.root_cause.is_some());
        let mut shown: Vec<&Verdict> = own.iter().copied().filter(|v| all || v.standing != "not-applicable").collect();
        if all {
            shown.extend(&follow);
        }
        shown.sort_by_key(|verdict| std::cmp::Reverse(gravity(&verdict.standing)));
        let mut table = self.table(&["CHECK", "VERDICT", "SINCE", "SEEN, AND WHAT TO DO"]);
        for verdict in &shown {
            let mut words = self.words_of(verdict);
            let leads_to = checks(follow.iter().filter(|own| own.root_cause.as_deref() == Some(&*verdict.check)));
            if !leads_to.is_empty() {
                let _ = write!(words, "\nleads to: {leads_to}");
            }
            table.add_row([
                Cell::new(&verdict.check),
                self.standing(&verdict.standing),
                Cell::new(self.since(verdict.since)),
                Cell::new(words),
            ]);
        }
        self.keep_whole(&mut table, &[0, 1, 2]);
        let mut text = if shown.is_empty() { String::new() } else { table.trim_fmt() };
        if !all {
            // What follows from something about the machine is in a table of its own, without its cause.
            let apart = follow.iter().filter(|verdict| !shown.iter().any(|own| verdict.follows(own)));
            let mut by_cause: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
            for verdict in apart {
                by_cause.entry(verdict.root_cause.as_deref().unwrap_or_default()).or_default().push(verdict);
            }
            for (cause, follow) in by_cause {
                let count = of(follow.len() as u64, "finding follows", "findings follow");
                let separator = if text.is_empty() { "" } else { "\n" };
                let line = format!("{count} from {cause} of the machine: {}", checks(follow.iter()));
                let _ = write!(text, "{separator}{}", self.wrapped(&line, 0));
            }
        }
        let hidden = own.iter().filter(|verdict| verdict.standing == "not-applicable").count();
        if hidden > 0 && !all {
            let them = if hidden == 1 { "it" } else { "them" };
            let hidden = of(hidden as u64, "check does not apply", "checks do not apply");
            let _ = write!(text, "\n{hidden} here (--all shows {them})");
        }
        text
    }

    /// What a verdict says, with why it matters and what to do, on as many lines.
    pub(crate) fn words_of(&self, verdict: &Verdict) -> String {
        let mut text = match verdict.standing.as_str() {
            "unknown" => format!("{}: {}", verdict.seen, verdict.needed),
            _ => verdict.seen.clone(),
        };
        let finding = matches!(verdict.standing.as_str(), "blocked" | "advisory");
        let told = finding || verdict.standing == "unknown";
        let until = verdict.valid_until.map(|until| format!("{} ({})", until.to_the_second(), self.age(until)));
        let evidence = verdict.evidence_at.map(|at| format!("{} ({})", at.to_the_second(), self.age(at)));
        let lines = [
            ("needed", finding, Some(verdict.needed.as_str())),
            ("matters", told, Some(verdict.meaning.as_str())),
            ("remedy", finding, Some(verdict.remedy.as_str())),
            ("source", finding, Some(verdict.source.as_str())),
            ("follows from", told, verdict.root_cause.as_deref()),
            ("evidence of", told, evidence.as_deref()),
            ("holds until", true, until.as_deref()),
            ("waived", true, verdict.waived.as_deref()),
        ];
        for (label, applies, what) in lines {
            let Some(what) = what.filter(|what| applies && !what.is_empty()) else { continue };
            let _ = write!(text, "{}{label}: {what}", if text.is_empty() { "" } else { "\n" });
        }
        text
    }

    /// Texts beside their labels, wrapped below themselves.
    pub(crate) fn labelled(&self, parts: impl Iterator<Item = (String, String)>) -> String {
        let parts: Vec<_> = parts.collect();
        let left = parts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default().min(40) + 2;
        let lines = parts.iter().map(|(label, text)| {
            let label = if label.is_empty() { String::new() } else { format!("{label}  ") };
            let text = self.wrapped(text, 2 + left.max(label.chars().count()));
            format!("  {label:<left$}{text}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A text broken at blanks, its lines but the first below a column.
    fn wrapped(&self, text: &str, left: usize) -> String {
        let width = usize::from(self.width).saturating_sub(left).max(20);
        let mut lines: Vec<String> = Vec::new();
        let mut columns = 0;
        for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
            let length = word.chars().count();
            match lines.last_mut() {
                Some(line) if columns + 1 + length <= width => {
                    line.push(' ');
                    line.push_str(word);
                    columns += 1 + length;
                }
                _ => {
                    lines.push(word.to_owned());
                    columns = length;
                }
            }
        }
        lines.join(&format!("\n{}", " ".repeat(left)))
    }

    /// Whether there is no room for running text beside many columns.
    pub(crate) const fn is_narrow(&self) -> bool {
        self.width < ROOMY_WIDTH
    }

    /// Reasons, worst first.
    pub(crate) fn reasons(&self, reasons: &[Reason]) -> String {
        let mut table = if self.is_narrow() {
            self.table(&["STANDING", "CHECK, WHERE, WHY, AND WHAT TO DO"])
        } else {
            self.table(&["STANDING", "CHECK", "USERS", "ON", "WHY, AND WHAT TO DO"])
        };
        for reason in reasons {
            let mut why = reason.text.clone();
            if let Some(since) = reason.since {
                let _ = write!(why, " (for {})", self.since(since));
            }
            if !reason.remedy.is_empty() {
                let _ = write!(why, "\nremedy: {}", reason.remedy);
            }
            let mut on = reason.hosts.iter().take(3).map(|host| first_label(host)).collect::<Vec<_>>().join(", ");
            if reason.host_count > 3 {
                let _ = write!(on, " and {} more", reason.host_count - 3);
            }
            if let Some(site) = &reason.site {
                let _ = write!(on, "{}site {site}", if on.is_empty() { "" } else { "; " });
            }
            let check = if reason.in_gate { format!("{} (gate)", reason.check) } else { reason.check.clone() };
            if self.is_narrow() {
                let mut text = format!("{check}: {}", of(reason.users_affected, "user", "users"));
                if !on.is_empty() {
                    let _ = write!(text, ", on {on}");
                }
                table.add_row([self.standing(&reason.standing), Cell::new(format!("{text}\n{why}"))]);
                continue;
            }
            table.add_row([
                self.standing(&reason.standing),
                Cell::new(check),
                Cell::new(reason.users_affected),
                Cell::new(on),
                Cell::new(why),
            ]);
        }
        if self.is_narrow() {
            self.keep_whole(&mut table, &[0]);
        } else {
            Self::at_most(&mut table, 3, 24);
            self.keep_whole(&mut table, &[0, 2, 1]);
        }
        table.trim_fmt()
    }
}

impl Out {
    /// Pools of non-persistent desktops, which count among no endpoints.
    pub(crate) fn pools(&self, pools: &[Pool]) -> String {
        let mut table =
            self.table(&["POOL", "SEEN\nIN 24 H", "BLOCKED", "UNKNOWN", "ADVISORY", "READY", "LAST REPORT", "HOSTS"]);
        for pool in pools {
            let count = |count: u64| Cell::new(if count == 0 { "-".to_owned() } else { count.to_string() });
            let mut hosts = pool.pattern.clone();
            if let Some(site) = &pool.limited_to {
                let _ = write!(hosts, " at {site}");
            }
            table.add_row([
                Cell::new(&pool.name),
                count(pool.seen_total()),
                count(pool.seen.blocked),
                count(pool.seen.unknown),
                count(pool.seen.advisory),
                count(pool.seen.ready),
                Cell::new(pool.last_report.map_or_else(|| "never".to_owned(), |at| self.age(at))),
                Cell::new(hosts),
            ]);
        }
        self.keep_whole(&mut table, &[1, 2, 3, 4, 5, 0, 6]);
        table.trim_fmt()
    }
}

/// The checks of some verdicts, each once.
fn checks<'a>(verdicts: impl Iterator<Item = &'a &'a Verdict>) -> String {
    let mut checks: Vec<&str> = verdicts.map(|verdict| verdict.check.as_str()).collect();
    checks.dedup();
    checks.join(", ")
}

/// A number of things: `1 site`, `2 sites`.
pub(crate) fn of(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn present() -> Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Writes a line; a reader that went away, as with `| head`, is no error of ours.
fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The name up to its first dot, which is how people call a host.
pub(crate) fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Users or hosts that are ready, out of those that count: `4/5`.
pub(crate) fn ready_of(counts: Counts) -> String {
    let total = counts.total();
    if total == 0 { "-".to_owned() } else { format!("{}/{total}", counts.ready + counts.advisory) }
}

/// A span of time in its largest unit, such as `3 d` or `40 s`.
pub(crate) fn span(seconds: i64) -> String {
    for (unit, size) in [("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("min", 60)] {
        if seconds >= 2 * size || (seconds >= size && seconds % size == 0) {
            return format!("{} {unit}", seconds / size);
        }
    }
    format!("{seconds} s")
}

fn gravity(standing: &str) -> u8 {
    match standing {
        "blocked" => 4,
        "unknown" => 3,
        "advisory" => 2,
        "ready" => 1,
        _ => 0,
    }
}

fn colour_of(word: &str) -> Color {
    match word {
        "ready" | "Go" => Color::Green,
        "advisory" | "Partly" => Color::Yellow,
        "blocked" | "Hold" => Color::Red,
        "unknown" | "Unknown" => Color::Magenta,
        _ => Color::DarkGrey,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    impl Out {
        /// Without colour, at that width and a fixed time.
        pub(crate) fn of_width(width: u16) -> Self {
            Self { format: Format::Table, colour: false, width, now: Time(1_772_500_000_000) }
        }
    }

    #[test]
    fn spans_use_the_largest_unit_that_reads_well() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (90, "90 s"), (150, "2 min"), (7_200, "2 h"), (200_000, "2 d")]
        {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn an_advisory_counts_as_ready_and_a_gap_does_not() {
        let counts = Counts { ready: 3, advisory: 1, blocked: 0, unknown: 1, not_applicable: 7 };
        assert_eq!(ready_of(counts), "4/5");
        assert_eq!(ready_of(Counts::default()), "-");
    }

    #[test]
    fn ages_are_counted_from_the_present_when_asked() {
        let out = Out { now: Time(0), ..Out::of_width(80) };
        assert!(out.at_present().now() > out.now(), "now is later than 1970");
    }

    #[test]
    fn one_is_not_many() {
        let said = [0, 1, 2].map(|count| of(count, "site", "sites"));
        assert_eq!(said, ["0 sites", "1 site", "2 sites"]);
    }

    #[test]
    fn a_cause_is_told_once_with_what_follows_from_it() {
        let named = |check: &str, root_cause: Option<&str>| Verdict {
            check: check.to_owned(),
            seen: format!("what {check} saw"),
            root_cause: root_cause.map(str::to_owned),
            ..samples::verdict("blocked")
        };
        let of_machine = [named("join.type", None), named("join.device-key", Some("join.type"))];
        let out = Out::of_width(120);
        let text = out.verdicts(&of_machine, false);
        assert!(text.contains("leads to: join.device-key") && text.contains("matters: Windows offers"), "{text}");
        assert!(!text.contains("what join.device-key saw"), "{text}");
        assert!(out.verdicts(&of_machine, true).contains("follows from: join.type"));

        let of_user = [named("prt.present", Some("join.type")), named("prereq.ngc", Some("join.type"))];
        assert_eq!(
            out.verdicts(&of_user, false),
            "2 findings follow from join.type of the machine: prt.present, prereq.ngc"
        );
    }

    #[test]
    fn one_check_that_does_not_apply_is_one() {
        let out = Out::of_width(100);
        let text = |count| out.verdicts(&vec![samples::verdict("not-applicable"); count], false);
        assert_eq!(text(1).trim(), "1 check does not apply here (--all shows it)");
        assert_eq!(text(2).trim(), "2 checks do not apply here (--all shows them)");
    }

    #[test]
    fn no_line_of_a_table_is_longer_than_the_width() {
        let reasons = [samples::reason("dc.cert-validity"), samples::reason("endpoint.hello-prerequisites")];
        let verdicts = [samples::verdict("blocked"), samples::verdict("unknown"), samples::verdict("ready")];
        for width in [60, 80, 100, 120, 200] {
            let out = Out::of_width(width);
            let pools = [samples::pool("vdi"), samples::pool("call-centre-rotterdam")];
            for text in [out.reasons(&reasons), out.verdicts(&verdicts, true), out.pools(&pools)] {
                let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
                assert!(longest <= usize::from(width), "{longest} of {width}:\n{text}");
            }
        }
    }
}
