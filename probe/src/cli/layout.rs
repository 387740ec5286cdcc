//! How texts for people are laid out: width, colour, wrapping, times and ages.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use muster_evidence::Timestamp;
use muster_readiness::Standing;

/// Width of texts that go to a file or a pipe, in columns.
const PLAIN_WIDTH: usize = 100;
/// Beyond this many columns lines are hard to follow.
const MOST_WIDTH: usize = 120;
/// Below this many columns nothing can be laid out; the terminal wraps by itself then.
const LEAST_WIDTH: usize = 40;

/// What texts are laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Columns to fill.
    pub width: usize,
    /// Whether to colour.
    pub colour: bool,
}

impl Page {
    /// A page without colour, as for files, pipes and tests.
    pub const PLAIN: Self = Self { width: PLAIN_WIDTH, colour: false };

    /// The page that standard output is.
    pub fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::PLAIN;
        }
        // The table library already asks the terminal; nothing is drawn with it here.
        let columns = comfy_table::Table::new().width().map_or(PLAIN_WIDTH, usize::from);
        Self {
            width: columns.clamp(LEAST_WIDTH, MOST_WIDTH),
            colour: wants_colour(std::env::var_os("NO_COLOR"), std::env::var_os("TERM")),
        }
    }

    /// The text in the colour of a standing.
    pub fn standing(self, standing: Standing, text: &str) -> String {
        self.paint(
            match standing {
                Standing::Blocked => "1;31",
                Standing::Unknown => "1;35",
                Standing::Advisory => "1;33",
                Standing::Ready => "32",
                Standing::NotApplicable => "2",
            },
            text,
        )
    }

    /// The text as a heading.
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// The text as an aside.
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Whether a terminal is to be coloured (no-color.org: any value but an empty one forbids it).
fn wants_colour(no_color: Option<OsString>, term: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty()) && term.is_none_or(|term| term != "dumb")
}

/// Breaks a text into lines of at most `width` columns at blanks. A word that is longer, such as an address, keeps a
/// line of its own and stays whole, so that it can be copied. Control characters become `?`: a captured text must not
/// be able to steer the terminal.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut columns = 0;
    for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
        let word: String = word.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let length = word.chars().count();
        if columns > 0 && columns + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            columns = 0;
        }
        if columns > 0 {
            line.push(' ');
            columns += 1;
        }
        line.push_str(&word);
        columns += length;
    }
    if columns > 0 {
        lines.push(line);
    }
    lines
}

/// A label and a text beside it, wrapped below itself.
pub fn labelled(page: Page, indent: usize, label: &str, label_width: usize, text: &str) -> String {
    let left = indent + label_width;
    let mut block = String::new();
    for (n, line) in wrap(text, page.width.saturating_sub(left).max(20)).into_iter().enumerate() {
        if n == 0 {
            block.push_str(&" ".repeat(indent));
            block.push_str(&page.faint(&format!("{label:<label_width$}")));
        } else {
            block.push_str(&" ".repeat(left));
        }
        block.push_str(&line);
        block.push('\n');
    }
    block
}

/// A time to the minute, such as `2026-03-02 08:14 UTC`.
pub fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => text,
    }
}

/// A date, such as `2026-03-02`.
pub fn date(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..10).map_or_else(|| text.clone(), str::to_owned)
}

/// A span of time in its largest unit, such as `265 days`, `3 h` or `12 min`.
pub fn span(ms: i64) -> String {
    let seconds = ms.saturating_abs() / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..5_400 => format!("{} min", seconds / 60),
        5_400..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// How a number and its noun read together.
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_addresses_stay_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrap("see https://example.com/a/long/address now", 10),
            ["see", "https://example.com/a/long/address", "now"]
        );
        assert!(wrap("  ", 10).is_empty());
        assert_eq!(wrap("a\u{1b}[2Jb", 10), ["a?[2Jb"], "no escape sequence reaches the terminal");
        for width in 1..40 {
            for line in wrap("the quick brown fox jumps over the lazy dog", width) {
                assert!(line.chars().count() <= width || !line.contains(' '), "{width}: {line}");
            }
        }
    }

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        let text = |text: &str| Some(OsString::from(text));
        assert!(wants_colour(None, text("xterm")));
        assert!(wants_colour(text(""), None));
        assert!(!wants_colour(text("1"), text("xterm")));
        assert!(!wants_colour(None, text("dumb")));
        assert_eq!(Page::PLAIN.standing(Standing::Blocked, "BLOCKED"), "BLOCKED");
        let page = Page { colour: true, ..Page::PLAIN };
        assert_eq!(page.standing(Standing::Ready, "READY"), "\u{1b}[32mREADY\u{1b}[0m");
    }

    #[test]
    fn spans_in_their_largest_unit() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (5_399, "89 min"), (5_400, "1 h"), (172_800, "2 days")]
        {
            assert_eq!(span(seconds * 1_000), text);
        }
        assert_eq!(span(-3_600_000), "60 min");
    }

    #[test]
    fn labels_stand_in_a_column() {
        let page = Page { width: 40, colour: false };
        let block = labelled(page, 2, "seen", 8, "TPM 1.2 made by IFX, firmware 4.40 of the maker");
        assert_eq!(block, "  seen    TPM 1.2 made by IFX, firmware\n          4.40 of the maker\n");
    }
}
