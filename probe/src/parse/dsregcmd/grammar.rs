//! Sections, fields and the end of a `dsregcmd /status` text, without a word about what they mean.
//!
//! Texts reach us redirected, typed off a console, quoted in tickets and cut by time limits, so the grammar is
//! lenient about surroundings (prompts, quote marks, fences, indentation, line ends) and strict about what it joins:
//! a line is only appended to a value that can have been wrapped.

use std::borrow::Cow;

use serde::Serialize;

use super::secrets::without_credentials;
use super::surroundings::unwrapped;
use super::words::{KEYS, PROSE_KEYS, PROXY_KEYS, is_known_title};
use crate::parse::MAX_INPUT_BYTES;

/// Most outputs in one text.
const MAX_OUTPUTS: usize = 64;
/// Most sections in one output; real ones have up to 14.
const MAX_SECTIONS: usize = 64;
/// Most fields in one section; real ones have up to 25.
const MAX_FIELDS: usize = 256;
/// Longest value after joining wrapped lines, in bytes.
const MAX_VALUE_BYTES: usize = 4096;
/// Most lines of one output kept that are no field.
const MAX_UNPARSED: usize = 64;

/// The column a console wraps at.
const CONSOLE_COLUMNS: usize = 80;
/// The column at which values begin in builds since 1703: 26 for the key, 3 for ` : `.
const VALUE_COLUMN: usize = 29;

/// The section that every output begins with.
const FIRST_TITLE: &str = "Device State";

/// A parsed status text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The sections in their order.
    pub sections: Vec<Section>,
    /// How the text ends.
    pub ending: Ending,
}

/// How a status text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// With the closing line of newer builds, which points to Microsoft's page on errors.
    Trailer,
    /// With `PreReqResult`, the last field of the last section: how builds without a closing line end.
    LastField,
    /// With the console's next prompt.
    Prompt,
    /// In no way that proves its end, or somebody left out a part of it: something may be missing.
    Open,
}

impl Ending {
    /// Whether everything the tool printed is there, so that a missing section was not shown.
    pub const fn is_proven(self) -> bool {
        !matches!(self, Self::Open)
    }
}

/// One section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// The title, as written.
    pub title: String,
    /// The fields in their order. A key may repeat.
    pub fields: Vec<Field>,
    /// Whether the section is known to be whole: another one follows, a border closes it, or the text's end is proven;
    /// and nobody left out a part of it.
    pub complete: bool,
    /// Lines that are no field, as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unparsed: Vec<String>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// The key, as written.
    pub key: String,
    /// The value; empty when nothing follows the colon, or when it was dropped.
    pub value: String,
    /// Whether the value was dropped because proxy settings may hold secrets.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// Whether the text may end within the value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Why a text is not a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatus {
    /// Nothing but white space.
    #[error("text is empty (expected the output of `dsregcmd /status`)")]
    Empty,
    /// No section of the tool.
    #[error(
        "text is not the output of `dsregcmd /status`: expected a section such as `| Device State |`, found `{found}`"
    )]
    NoSection {
        /// The first line that is not blank, cut to 80 characters.
        found: String,
    },
    /// Fields of the tool without a section, as a search through its output leaves them.
    #[error(
        "text shows `{key}` outside of any section (expected the whole output of `dsregcmd /status`: the same key stands \
         in several sections)"
    )]
    OnlyFields {
        /// The first known key.
        key: &'static str,
    },
    /// `Device State` stands in it more than once, and one output was asked for.
    #[error("text holds {found} outputs of `dsregcmd /status` (expected one; the second begins at line {line})")]
    SeveralOutputs {
        /// How many outputs it holds.
        found: usize,
        /// The line of the second `Device State`, from 1.
        line: usize,
    },
    /// It exceeds a bound.
    #[error("text has more than {limit} {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
}

/// Parses a text that holds one status.
pub fn parse(text: &str) -> Result<Status, InvalidStatus> {
    let mut outputs = read(text)?;
    if let [_, second, ..] = outputs.as_slice() {
        return Err(InvalidStatus::SeveralOutputs { found: outputs.len(), line: second.line });
    }
    // `read` gives at least one.
    outputs.pop().map(|output| output.status).ok_or(InvalidStatus::Empty)
}

/// Parses a text that holds one status or more, such as a file that was appended to; at least one, in their order.
pub fn parse_all(text: &str) -> Result<Vec<Status>, InvalidStatus> {
    Ok(read(text)?.into_iter().map(|output| output.status).collect())
}

/// One output within a text.
struct Output {
    status: Status,
    /// Where its first section begins, from 1.
    line: usize,
}

/// All outputs of a text, at least one.
fn read(text: &str) -> Result<Vec<Output>, InvalidStatus> {
    // Decoding can make a text up to three times as long as its bytes.
    if text.len() > 3 * MAX_INPUT_BYTES {
        return Err(InvalidStatus::TooMuch { what: "bytes", limit: 3 * MAX_INPUT_BYTES });
    }
    let text = unwrapped(text);
    let mut reader = Reader::default();
    // A progress line is overwritten by a carriage return without a line feed, so each of the three ends a line.
    let mut number = 1;
    let mut after_return = false;
    for line in text.split_inclusive(['\n', '\r']) {
        // The second half of a line end is no blank line.
        if !(after_return && line == "\n") {
            let bare = line.strip_suffix(['\n', '\r']);
            reader.read_line(number, bare.unwrap_or(line), bare.is_none())?;
        }
        number += usize::from(line.ends_with('\n'));
        after_return = line.ends_with('\r');
    }
    reader.end_output();
    let outputs = reader.outputs;
    if !outputs.is_empty() {
        return Ok(outputs);
    }
    if let Some(key) = reader.stray_key {
        return Err(InvalidStatus::OnlyFields { key });
    }
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        None => Err(InvalidStatus::Empty),
        Some(line) => Err(InvalidStatus::NoSection { found: printable(line, 80) }),
    }
}

fn printable(line: &str, characters: usize) -> String {
    // Looking for credentials costs the square of a line's length where it is nothing but addresses.
    let mut end = line.len().min(MAX_VALUE_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let line = without_credentials(&line[..end]);
    line.chars().take(characters).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Status {
    /// The first section with that exact title.
    pub fn section(&self, title: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.title == title)
    }

    /// The value of a key in the first of `titles` that has it. An empty value counts as shown.
    pub fn value(&self, titles: &[&str], key: &str) -> Option<&str> {
        titles.iter().find_map(|title| self.section(title)?.value(key))
    }

    /// Whether a section is there and whole.
    pub fn is_complete(&self, title: &str) -> bool {
        self.section(title).is_some_and(|section| section.complete)
    }
}

impl Section {
    /// The value of the first field with that exact key; `None` where the field is not shown, was redacted, or may have
    /// lost its end.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|field| field.key == key && !field.redacted && !field.cut)
            .map(|field| field.value.as_str())
    }
}

#[derive(Default)]
struct Reader {
    /// The outputs that ended.
    outputs: Vec<Output>,
    /// Where the current output begins.
    line: usize,
    sections: Vec<Section>,
    /// The last field may be continued by the next line.
    may_wrap: Option<Wrap>,
    ending: Option<Ending>,
    unparsed: usize,
    /// The current section holds proxy settings: they may hold names and passwords, and no rule reads them.
    secret: bool,
    /// Somebody left out a part of the output.
    elided: bool,
    /// The text ends without a line end, and its last line belongs to the last field.
    cut: bool,
    /// The line before was a border, and whether the section before was whole without it.
    before_border: Option<bool>,
    /// How far borders and titles are indented, in bytes: a whole text may be.
    base: usize,
    /// A known key that stands before any section.
    stray_key: Option<&'static str>,
}

/// What the line before says about a continuation.
#[derive(Clone, Copy)]
struct Wrap {
    /// The line filled the console, so its remainder follows without a blank.
    full: bool,
    /// The line was indented, so a remainder is not.
    indented: bool,
}

impl Reader {
    /// Reads a line. `is_cut` says that the text ends with it and without a line end.
    fn read_line(&mut self, number: usize, raw: &str, is_cut: bool) -> Result<(), InvalidStatus> {
        let raw = unquote(raw);
        let line = raw.trim();
        let title = title(line);
        if title == Some(FIRST_TITLE) && self.has_begun() {
            if self.outputs.len() + 1 == MAX_OUTPUTS {
                return Err(InvalidStatus::TooMuch { what: "outputs", limit: MAX_OUTPUTS });
            }
            // The border above belongs to this output and closed nothing of the one before.
            if let (Some(complete), Some(section)) = (self.before_border, self.sections.last_mut()) {
                section.complete = complete;
            }
            self.end_output();
        }
        if self.ending.is_some() {
            return Ok(());
        }
        let before_border = self.before_border.take();
        if line.is_empty() {
            self.may_wrap = None;
            return Ok(());
        }
        let indent = raw.len() - raw.trim_start().len();
        if is_border(line) {
            self.border(indent, before_border);
            return Ok(());
        }
        if let Some(title) = title {
            return self.title(number, indent, title);
        }
        // Prompts, notes and progress before the first section are none of our business.
        if self.sections.is_empty() {
            if self.stray_key.is_none() && self.outputs.is_empty() {
                self.stray_key = split_field(line).and_then(|(key, _)| known_key(key));
            }
            return Ok(());
        }
        if is_trailer(line) || is_prompt(line) {
            self.ending = Some(if is_trailer(line) { Ending::Trailer } else { Ending::Prompt });
            return Ok(());
        }
        if is_interruption(line) {
            self.ending = Some(Ending::Open);
            return Ok(());
        }
        if is_noise(line) {
            return Ok(());
        }
        self.field(line, indent.saturating_sub(self.base), is_cut)
    }

    /// Whether the current output has its first section. A heading above it that says the same is no output.
    fn has_begun(&self) -> bool {
        let begun = |section: &Section| section.title == FIRST_TITLE && !section.fields.is_empty();
        self.sections.len() > 1 && self.sections.iter().any(|section| section.title == FIRST_TITLE)
            || self.sections.first().is_some_and(begun)
    }

    /// A border after fields closes the section or opens the next: either way it is whole. Before any field it is the
    /// lower border of the title.
    fn border(&mut self, indent: usize, before_border: Option<bool>) {
        self.base = indent;
        if let Some(section) = self.sections.last_mut() {
            self.before_border = Some(before_border.unwrap_or(section.complete));
            section.complete = !section.fields.is_empty();
        }
        self.may_wrap = None;
    }

    fn title(&mut self, number: usize, indent: usize, title: &str) -> Result<(), InvalidStatus> {
        if self.sections.len() == MAX_SECTIONS {
            return Err(InvalidStatus::TooMuch { what: "sections", limit: MAX_SECTIONS });
        }
        if self.sections.last().is_some_and(|section| section.title == title && section.fields.is_empty()) {
            self.sections.pop();
        }
        match self.sections.last_mut() {
            Some(section) => section.complete = true,
            None => self.line = number,
        }
        self.base = indent;
        self.secret = title.to_ascii_lowercase().contains("proxy");
        self.may_wrap = None;
        self.sections.push(Section {
            title: title.to_owned(),
            fields: Vec::new(),
            complete: false,
            unparsed: Vec::new(),
        });
        Ok(())
    }

    fn field(&mut self, line: &str, indent: usize, is_cut: bool) -> Result<(), InvalidStatus> {
        let Some(section) = self.sections.last_mut() else { return Ok(()) };
        if let Some(wrap) = self.may_wrap
            && let Some(field) = section.fields.last_mut()
            && continues(wrap, indent, line)
        {
            if !field.redacted {
                if !wrap.full {
                    field.value.push(' ');
                }
                field.value.push_str(line);
                if field.value.len() > MAX_VALUE_BYTES {
                    return Err(InvalidStatus::TooMuch { what: "bytes in one value", limit: MAX_VALUE_BYTES });
                }
                if let Cow::Owned(clean) = without_credentials(&field.value) {
                    field.value = clean;
                }
            }
            self.cut = is_cut;
            self.may_wrap = Some(Wrap { full: line.chars().count() >= CONSOLE_COLUMNS, indented: wrap.indented });
            return Ok(());
        }
        self.may_wrap = None;
        let Some((key, value)) = split_field(line) else {
            self.elided |= is_elision(line);
            // After a closing border a line without a key belongs to no section; a cut line keeps its place.
            if self.unparsed < MAX_UNPARSED && !self.secret {
                section.unparsed.push(printable(line, 256));
            }
            self.unparsed += 1;
            return Ok(());
        };
        if section.fields.len() == MAX_FIELDS {
            return Err(InvalidStatus::TooMuch { what: "fields in one section", limit: MAX_FIELDS });
        }
        if value.len() > MAX_VALUE_BYTES || key.len() > MAX_VALUE_BYTES {
            return Err(InvalidStatus::TooMuch { what: "bytes in one value", limit: MAX_VALUE_BYTES });
        }
        // A line that fills the console ends in the middle of a word; one that lacks a column ended with a blank.
        let columns = (indent + line.chars().count()).max(VALUE_COLUMN + value.chars().count());
        if columns + 1 >= CONSOLE_COLUMNS || PROSE_KEYS.contains(&key) {
            self.may_wrap = Some(Wrap { full: columns >= CONSOLE_COLUMNS, indented: indent > 0 });
        }
        self.cut = is_cut;
        let redacted = self.secret || PROXY_KEYS.contains(&key);
        let value = if redacted { String::new() } else { without_credentials(value).into_owned() };
        section.fields.push(Field { key: key.to_owned(), value, redacted, cut: false });
        Ok(())
    }

    /// Ends the current output and makes ready for the next.
    fn end_output(&mut self) {
        let Self { outputs, line, sections, may_wrap, ending, elided, cut, stray_key, .. } = std::mem::take(self);
        self.outputs = outputs;
        self.stray_key = stray_key;
        let mut status = Status { sections, ending: Ending::Open };
        if !status.sections.iter().any(|section| is_known_title(&section.title)) {
            return;
        }
        let last_field = status.sections.last().and_then(|section| section.fields.last());
        // Half a word would be a line that was cut, so the value must be one of the two.
        let ends_with_result = last_field.is_some_and(|field| {
            field.key == "PreReqResult" && matches!(field.value.as_str(), "WillProvision" | "WillNotProvision")
        });
        if !elided {
            status.ending = ending.unwrap_or(if ends_with_result { Ending::LastField } else { Ending::Open });
        }
        let proven = status.ending.is_proven();
        if let Some(section) = status.sections.last_mut() {
            section.complete |= proven;
            // Without a line end the value may go on, and so may one that filled the console's line.
            let may_go_on = cut || may_wrap.is_some_and(|wrap| wrap.full);
            if let Some(field) = section.fields.last_mut() {
                field.cut = may_go_on && !section.complete && !ends_with_result;
            }
        }
        if elided {
            for section in &mut status.sections {
                section.complete &= !section.unparsed.iter().any(|line| is_elision(line));
            }
        }
        self.outputs.push(Output { status, line });
    }
}

/// Whether a line is the remainder of a wrapped value.
fn continues(wrap: Wrap, indent: usize, line: &str) -> bool {
    // A key is right-aligned and so indented by at least one blank wherever its predecessor was; a remainder begins
    // in the first column, or in the second where the wrap fell on a blank.
    if wrap.indented && indent == 0 {
        return true;
    }
    indent <= 1 && split_field(line).is_none()
}

/// Takes away the quote marks of mail and tickets.
fn unquote(raw: &str) -> &str {
    let mut line = raw;
    while let Some(rest) = line.trim_start().strip_prefix('>') {
        line = rest.strip_prefix(' ').unwrap_or(rest);
    }
    line
}

fn is_border(line: &str) -> bool {
    line.strip_prefix('+')
        .and_then(|rest| rest.strip_suffix('+'))
        // Word processors make one long dash of two.
        .is_some_and(|dashes| !dashes.is_empty() && dashes.chars().all(|c| matches!(c, '-' | '–' | '—' | '─')))
}

/// The title in a line: between bars, or a known one whose bars were lost on the way.
fn title(line: &str) -> Option<&str> {
    let bare = line.trim_matches('|').trim();
    if line.len() > 1 && line.starts_with('|') && line.ends_with('|') {
        return (!bare.is_empty() && bare.len() <= 128).then_some(bare);
    }
    is_known_title(bare).then_some(bare)
}

fn is_trailer(line: &str) -> bool {
    line.starts_with("For more information, please visit")
}

/// A prompt of `cmd` (`C:\Users\ada>`) or PowerShell (`PS C:\Users\ada> `, `[pc-0417]: PS C:\>`).
fn is_prompt(line: &str) -> bool {
    let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
        Some((_, rest)) if rest.starts_with("PS ") => rest,
        _ => line,
    };
    let path = line.strip_prefix("PS ").unwrap_or(line).as_bytes();
    line.starts_with("PS>")
        || matches!(path, [drive, b':', b'\\', ..] | [b'\\', b'\\', drive, ..] if drive.is_ascii_alphanumeric())
            && path.contains(&b'>')
}

/// The tool was stopped from the keyboard.
fn is_interruption(line: &str) -> bool {
    line.starts_with("^C")
}

/// Progress of the diagnostics, and the fences of Markdown and of trackers.
fn is_noise(line: &str) -> bool {
    const FENCES: &[&str] = &["{code}", "{noformat}", "[code]", "[/code]"];
    line.starts_with("Waiting for Diagnostics Task")
        || line.starts_with("```")
        || line.starts_with("~~~")
        || FENCES.contains(&line)
}

/// Whether somebody left out lines here: `...`, `[...]`, `<snip>`.
fn is_elision(line: &str) -> bool {
    let bare = line.trim_matches(|c: char| c.is_whitespace() || "[](){}<>-*_=".contains(c));
    let dots = bare.chars().take_while(|c| matches!(c, '.' | '…' | '⋯')).count();
    let word = bare.to_ascii_lowercase();
    dots >= 3
        || bare.starts_with(['…', '⋯'])
        || matches!(word.as_str(), "snip" | "snipped" | "cut" | "truncated" | "omitted")
}

/// Splits at the first colon between blanks. Values hold colons of their own (times, URLs, ports), so a bare one splits
/// only behind a key that is known.
fn split_field(line: &str) -> Option<(&str, &str)> {
    let (key, value) = if let Some(at) = separator(line) {
        (line[..at].trim_end(), line[at + 1..].trim_start())
    } else {
        let (key, value) = line.split_once(':')?;
        // Machine translation and web pages draw the colon to the key, or the value to the colon.
        (known_key(key.trim_end())?, value.trim_start())
    };
    // `KeySignTest: : PASSED` carries a second colon.
    let key = key.strip_suffix(':').unwrap_or(key).trim_end();
    (!key.is_empty()).then_some((key, value.trim_end()))
}

/// Where the first colon stands that has a blank before it and a blank or nothing behind it.
fn separator(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
    (1..bytes.len()).find(|&at| {
        bytes[at] == b':' && is_blank(bytes[at - 1]) && bytes.get(at + 1).is_none_or(|&next| is_blank(next))
    })
}

fn known_key(key: &str) -> Option<&'static str> {
    KEYS.iter().find(|known| **known == key).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE_STATE: &str = "+---+\n| Device State |\n+---+\n\n             AzureAdJoined : YES\n";

    fn fields(text: &str) -> Vec<(String, String)> {
        let status = parse(&format!("{DEVICE_STATE}{text}")).unwrap();
        let fields = &status.section("Device State").unwrap().fields;
        fields.iter().skip(1).map(|field| (field.key.clone(), field.value.clone())).collect()
    }

    #[test]
    fn one_line_one_field() {
        for (line, key, value) in [
            ("              KeySignTest: : PASSED", "KeySignTest", "PASSED"),
            ("               KeySignTest : PASSED", "KeySignTest", "PASSED"),
            ("               KeySignTest: :", "KeySignTest", ""),
            ("                    MdmUrl : ", "MdmUrl", ""),
            ("                    MdmUrl :", "MdmUrl", ""),
            ("MdmUrl : https://a.example:443/x : y", "MdmUrl", "https://a.example:443/x : y"),
            ("               Client Time : 2026-03-02 09:41:27.000 UTC", "Client Time", "2026-03-02 09:41:27.000 UTC"),
            ("> >     AzureAdJoined : NO", "AzureAdJoined", "NO"),
            ("\t  TenantName : Gr\u{fc}nwald\t", "TenantName", "Gr\u{fc}nwald"),
            ("    AzureAdJoined: YES", "AzureAdJoined", "YES"),
            ("    AzureAdJoined :YES", "AzureAdJoined", "YES"),
            ("AzureAdJoined\t:\tYES", "AzureAdJoined", "YES"),
            ("KeySignTest:: MUST Run elevated to test.", "KeySignTest", ": MUST Run elevated to test."),
        ] {
            assert_eq!(fields(line), [(key.to_owned(), value.to_owned())], "{line}");
        }
    }

    #[test]
    fn only_what_can_be_wrapped_is_joined() {
        let long = format!("               SettingsUrl : https://{}", "a".repeat(43));
        assert_eq!(long.len(), 80);
        for (text, values) in [
            // Filled to the edge, in the middle of a word.
            (format!("{long}\nbcd\n"), vec![format!("https://{}bcd", "a".repeat(43))]),
            // The remainder holds what looks like a separator, but a key would be indented.
            (format!("{long}\nb : c\n"), vec![format!("https://{}b : c", "a".repeat(43))]),
            // The wrap fell on a blank, which was lost with the line's end.
            (format!("{}\nb\n", &long[..79]), vec![format!("https://{} b", "a".repeat(42))]),
            // The next line is a field of its own.
            (format!("{long}\n      Idp : x\n"), vec![format!("https://{}", "a".repeat(43)), "x".to_owned()]),
            // Cut in the middle of the next key: not part of the value.
            (format!("{long}\n      JoinSr"), vec![format!("https://{}", "a".repeat(43))]),
            // Short lines never wrap, whatever follows.
            ("   TenantName : Example\nLtd\n".to_owned(), vec!["Example".to_owned()]),
            // Prose may hold line breaks.
            ("   Server Message : The object\nis not found.\n".to_owned(), vec!["The object is not found.".to_owned()]),
            // A blank line ends every value.
            (format!("{long}\n\nbcd\n"), vec![format!("https://{}", "a".repeat(43))]),
        ] {
            let found: Vec<String> = fields(&text).into_iter().map(|(_, value)| value).collect();
            assert_eq!(found, values, "{text}");
        }
    }

    #[test]
    fn the_end_is_proven_or_open() {
        let ngc = "+---+\n| Ngc Prerequisite Check |\n+---+\n";
        for (text, ending, complete) in [
            (String::new(), Ending::Open, false),
            (
                "\nFor more information, please visit https://www.microsoft.com/aadjerrors".to_owned(),
                Ending::Trailer,
                true,
            ),
            ("\nC:\\Users\\ada>".to_owned(), Ending::Prompt, true),
            ("\nPS C:\\> echo 1\n1".to_owned(), Ending::Prompt, true),
            ("\n+---+\n".to_owned(), Ending::Open, true),
            ("\n+---+\n| Device Det".to_owned(), Ending::Open, true),
            (format!("{ngc} PreReqResult : WillProvision"), Ending::LastField, true),
            (format!("{ngc} PreReqResult : WillProvision\n\nKind regards, Ada"), Ending::LastField, true),
            (format!("{ngc} PreReqResult : WillProv"), Ending::Open, true),
            (format!("{ngc} DeviceEligible : YES"), Ending::Open, true),
        ] {
            let status = parse(&format!("{DEVICE_STATE}{text}")).unwrap();
            assert_eq!(status.ending, ending, "{text}");
            assert_eq!(status.is_complete("Device State"), complete, "{text}");
            let last_is_complete = status.sections.last().unwrap().complete;
            assert!(last_is_complete || !ending.is_proven(), "{text}");
        }
    }

    #[test]
    fn what_is_no_status_is_named() {
        for (text, error) in [
            (" \n\t", "text is empty (expected the output of `dsregcmd /status`)"),
            (
                "\n  bash: dsregcmd: command not found",
                "text is not the output of `dsregcmd /status`: expected a section such as `| Device State |`, \
                 found `bash: dsregcmd: command not found`",
            ),
            (
                "+---+\n| Name | Size |\n+---+\n",
                "text is not the output of `dsregcmd /status`: expected a section such as `| Device State |`, found `+---+`",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
        let filtered = "             AzureAdJoined : YES\n              DomainJoined : YES\n";
        assert_eq!(
            parse(filtered).unwrap_err().to_string(),
            "text shows `AzureAdJoined` outside of any section (expected the whole output of `dsregcmd /status`: the same \
             key stands in several sections)"
        );
        let secret = parse("proxy http://ada:hunter2@proxy.corp.example:8080 in use").unwrap_err().to_string();
        assert!(secret.contains("proxy.corp.example") && !secret.contains("hunter2"), "{secret}");
    }

    #[test]
    fn each_output_of_a_text_is_a_status_of_its_own() {
        let trailer = "\nFor more information, please visit https://www.microsoft.com/aadjerrors\n";
        let again = DEVICE_STATE.replace("YES", "NO");
        for (text, endings, complete) in [
            (format!("{DEVICE_STATE}{trailer}{again}{trailer}"), [Ending::Trailer, Ending::Trailer], true),
            (format!("{DEVICE_STATE}\nC:\\>dsregcmd /status\n{again}"), [Ending::Prompt, Ending::Open], true),
            // The border of the second closes nothing of the first, which was cut.
            (format!("{DEVICE_STATE}{again}"), [Ending::Open, Ending::Open], false),
            (format!("{DEVICE_STATE}+---+\n{again}"), [Ending::Open, Ending::Open], false),
        ] {
            let found = parse_all(&text).unwrap();
            let joined: Vec<_> = found.iter().map(|status| status.value(&[FIRST_TITLE], "AzureAdJoined")).collect();
            assert_eq!(joined, [Some("YES"), Some("NO")], "{text}");
            assert_eq!(found.iter().map(|status| status.ending).collect::<Vec<_>>(), endings, "{text}");
            assert_eq!(found[0].is_complete(FIRST_TITLE), complete, "{text}");
        }
        let twice = format!("{DEVICE_STATE}\n{DEVICE_STATE}");
        assert_eq!(parse(&twice).unwrap_err(), InvalidStatus::SeveralOutputs { found: 2, line: 8 });
        assert_eq!(parse_all(DEVICE_STATE).unwrap(), [parse(DEVICE_STATE).unwrap()]);
        let many = DEVICE_STATE.repeat(MAX_OUTPUTS + 1);
        assert_eq!(parse_all(&many).unwrap_err(), InvalidStatus::TooMuch { what: "outputs", limit: MAX_OUTPUTS });
    }

    #[test]
    fn a_value_that_may_go_on_is_no_value() {
        let long = format!("               SettingsUrl : https://{}\n", "a".repeat(43));
        for (text, key, value) in [
            ("  DeviceAuthStatus : SUCC".to_owned(), "DeviceAuthStatus", None),
            ("  DeviceAuthStatus : SUCCESS\n".to_owned(), "DeviceAuthStatus", Some("SUCCESS")),
            ("  DeviceAuthStatus : SUCCESS\n     Idp".to_owned(), "DeviceAuthStatus", Some("SUCCESS")),
            ("  Server Message : one\ntwo".to_owned(), "Server Message", None),
            ("  Server Message : one\ntwo\n".to_owned(), "Server Message", Some("one two")),
            (long, "SettingsUrl", None),
        ] {
            let status = parse(&format!("{DEVICE_STATE}{text}")).unwrap();
            let section = status.section(FIRST_TITLE).unwrap();
            assert_eq!(section.value(key), value, "{text}");
            assert!(section.fields.iter().any(|field| field.key == key), "the field itself is kept: {text}");
        }
    }

    #[test]
    fn what_somebody_left_out_is_not_absent() {
        let ngc = "+---+\n| Ngc Prerequisite Check |\n+---+\n PreReqResult : WillProvision\n";
        for mark in ["...", "[...]", "(…)", "<snip>", "-- snip --", "…省略"] {
            let status = parse(&format!("{DEVICE_STATE}{mark}\n{ngc}")).unwrap();
            assert_eq!(status.ending, Ending::Open, "{mark}");
            assert!(!status.is_complete(FIRST_TITLE), "{mark}");
            assert!(status.is_complete("Ngc Prerequisite Check") || !status.ending.is_proven(), "{mark}");
        }
        let status = parse(&format!("{DEVICE_STATE}a note\n{ngc}")).unwrap();
        assert!(status.is_complete(FIRST_TITLE) && status.ending == Ending::LastField);
    }

    #[test]
    fn titles_without_their_bars() {
        let text =
            "Device State\n  AzureAdJoined      : NO\n\nSSO State\n  AzureAdPrt         : NO\nWork Account 2\n a : b\n";
        let status = parse(text).unwrap();
        let titles: Vec<_> = status.sections.iter().map(|section| section.title.as_str()).collect();
        assert_eq!(titles, ["Device State", "SSO State", "Work Account 2"]);
        assert_eq!(status.value(&["SSO State"], "AzureAdPrt"), Some("NO"));
        assert!(parse("Some State\n  AzureAdJoined : NO\n").is_err());
    }

    #[test]
    fn a_text_that_is_indented_as_a_whole_wraps_all_the_same() {
        let long = format!("                   SettingsUrl : https://{}", "a".repeat(43));
        let text = format!("    +---+\n    | Tenant Details |\n    +---+\n\n{long}\n    bcd\n         Idp : x\n");
        let status = parse(&text).unwrap();
        let expected = format!("https://{}bcd", "a".repeat(43));
        assert_eq!(status.value(&["Tenant Details"], "SettingsUrl"), Some(expected.as_str()));
        assert_eq!(status.value(&["Tenant Details"], "Idp"), Some("x"));
    }

    #[test]
    fn bounds_hold() {
        let many_fields = "a : b\n".repeat(MAX_FIELDS + 1);
        let many_sections = (0..=MAX_SECTIONS).map(|n| format!("| A{n} |\n")).collect::<Vec<_>>().concat();
        let long_value = format!("Server Message : {}\n{}", "x".repeat(4000), "y".repeat(200));
        for (text, what) in
            [(many_fields, "fields in one section"), (many_sections, "sections"), (long_value, "bytes in one value")]
        {
            let error = parse(&format!("{DEVICE_STATE}{text}")).unwrap_err();
            assert!(matches!(error, InvalidStatus::TooMuch { what: found, .. } if found == what), "{error}");
        }
        // Nothing is looked at beyond the bounds, whatever a line is made of.
        let addresses = format!("{DEVICE_STATE}{}", "http://a:b@".repeat(90_000));
        assert!(parse(&addresses).unwrap().sections[0].unparsed[0].len() <= 256);
        let stray = parse(&format!("{DEVICE_STATE}{}", "stray\n".repeat(1000))).unwrap();
        assert_eq!(stray.sections[0].unparsed.len(), MAX_UNPARSED);
    }

    #[test]
    fn proxy_settings_leave_no_value() {
        let text = "| WinHttp Default Proxy Config |\n  Proxy Server(s) : hunter2\n     hunter2\n";
        let status = parse(&format!("{DEVICE_STATE}{text}")).unwrap();
        let section = status.section("WinHttp Default Proxy Config").unwrap();
        assert_eq!(section.value("Proxy Server(s)"), None);
        assert!(section.fields[0].redacted);
        assert!(!serde_json::to_string(&status).unwrap().contains("hunter2"));
    }
}
