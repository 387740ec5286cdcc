//! Sections, fields and the end of a `dsregcmd /status` text, without a word about what they mean.
//!
//! Texts reach us redirected, typed off a console, quoted in tickets and cut by time limits, so the grammar is
//! lenient about surroundings (prompts, quote marks, fences, indentation, line ends) and strict about what it joins:
//! a line is only appended to a value that can have been wrapped.

use serde::Serialize;

use crate::parse::MAX_INPUT_BYTES;

/// Most sections in one text; real ones have up to 14.
const MAX_SECTIONS: usize = 64;
/// Most fields in one section; real ones have up to 25.
const MAX_FIELDS: usize = 256;
/// Longest value after joining wrapped lines, in bytes.
const MAX_VALUE_BYTES: usize = 4096;
/// Most lines kept that are no field.
const MAX_UNPARSED: usize = 64;

/// The column a console wraps at.
const CONSOLE_COLUMNS: usize = 80;
/// The column at which values begin in builds since 1703: 26 for the key, 3 for ` : `.
const VALUE_COLUMN: usize = 29;

/// Titles of which at least one must stand in the text for it to be a status.
const KNOWN_TITLES: &[&str] = &[
    "Device State",
    "Device Details",
    "Tenant Details",
    "User State",
    "SSO State",
    "Diagnostic Data",
    "Ngc Prerequisite Check",
];

/// Fields whose value is prose that may be wrapped or hold line breaks.
const PROSE_KEYS: &[&str] = &["Server Message", "Server Error Description"];

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
    /// In no way that proves its end: something may have been cut off.
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
    /// Whether the section is known to be whole: another one follows, a border closes it, or the text's end is proven.
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
    /// `Device State` stands in it more than once, so facts of two runs would be mixed.
    #[error("text holds more than one output of `dsregcmd /status` (expected one; the second begins at line {line})")]
    SeveralOutputs {
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

/// Parses a status text.
pub fn parse(text: &str) -> Result<Status, InvalidStatus> {
    // Decoding can make a text up to three times as long as its bytes.
    if text.len() > 3 * MAX_INPUT_BYTES {
        return Err(InvalidStatus::TooMuch { what: "bytes", limit: 3 * MAX_INPUT_BYTES });
    }
    let mut reader = Reader::default();
    // A progress line is overwritten by a carriage return without a line feed, so each of the three ends a line.
    for (index, raw) in text.split(['\n', '\r']).enumerate() {
        reader.read_line(index, raw)?;
    }
    let status = reader.finish();
    if status.sections.iter().any(|section| KNOWN_TITLES.contains(&section.title.as_str())) {
        return Ok(status);
    }
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        None => Err(InvalidStatus::Empty),
        Some(line) => Err(InvalidStatus::NoSection { found: printable(line, 80) }),
    }
}

fn printable(line: &str, characters: usize) -> String {
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
    /// The value of the first field with that exact key; `None` where the field is not shown or was redacted.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.key == key && !field.redacted).map(|field| field.value.as_str())
    }
}

#[derive(Default)]
struct Reader {
    sections: Vec<Section>,
    /// The last field may be continued by the next line.
    may_wrap: Option<Wrap>,
    ending: Option<Ending>,
    unparsed: usize,
    /// The current section holds proxy settings: they may hold names and passwords, and no rule reads them.
    secret: bool,
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
    fn read_line(&mut self, index: usize, raw: &str) -> Result<(), InvalidStatus> {
        let raw = unquote(raw);
        let line = raw.trim();
        if title(line) == Some("Device State") && self.sections.iter().any(|section| section.title == "Device State") {
            return Err(InvalidStatus::SeveralOutputs { line: index + 1 });
        }
        if self.ending.is_some() {
            return Ok(());
        }
        if line.is_empty() {
            self.may_wrap = None;
            return Ok(());
        }
        if is_border(line) {
            // A border after fields closes the section or opens the next: either way it is whole. Before any field it
            // is the lower border of the title.
            if let Some(section) = self.sections.last_mut() {
                section.complete = !section.fields.is_empty();
            }
            self.may_wrap = None;
            return Ok(());
        }
        if let Some(title) = title(line) {
            if self.sections.len() == MAX_SECTIONS {
                return Err(InvalidStatus::TooMuch { what: "sections", limit: MAX_SECTIONS });
            }
            if let Some(section) = self.sections.last_mut() {
                section.complete = true;
            }
            self.secret = title.to_ascii_lowercase().contains("proxy");
            self.sections.push(Section {
                title: title.to_owned(),
                fields: Vec::new(),
                complete: false,
                unparsed: Vec::new(),
            });
            self.may_wrap = None;
            return Ok(());
        }
        // Prompts, notes and progress before the first section are none of our business.
        let Some(section) = self.sections.last_mut() else { return Ok(()) };
        if is_trailer(line) || is_prompt(line) {
            self.ending = Some(if is_trailer(line) { Ending::Trailer } else { Ending::Prompt });
            return Ok(());
        }
        if is_noise(line) {
            return Ok(());
        }
        let indent = raw.len() - raw.trim_start().len();
        if let Some(wrap) = self.may_wrap
            && let Some(field) = section.fields.last_mut()
            && continues(wrap, indent, line)
        {
            if !field.redacted {
                if !wrap.full {
                    field.value.push(' ');
                }
                field.value.push_str(if wrap.full { raw.trim_end() } else { line });
                if field.value.len() > MAX_VALUE_BYTES {
                    return Err(InvalidStatus::TooMuch { what: "bytes in one value", limit: MAX_VALUE_BYTES });
                }
            }
            self.may_wrap = Some(Wrap { full: fills(raw, raw.chars().count()), indented: wrap.indented });
            return Ok(());
        }
        self.may_wrap = None;
        let Some((key, value)) = split_field(line) else {
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
        let columns = raw.chars().count().max(VALUE_COLUMN + value.chars().count());
        if columns + 1 >= CONSOLE_COLUMNS || PROSE_KEYS.contains(&key) {
            self.may_wrap = Some(Wrap { full: fills(raw, columns), indented: indent > 0 });
        }
        let value = if self.secret { String::new() } else { value.to_owned() };
        section.fields.push(Field { key: key.to_owned(), value, redacted: self.secret });
        Ok(())
    }

    fn finish(mut self) -> Status {
        let ending = self.ending.unwrap_or_else(|| {
            // Half a word would be a line that was cut, so the value must be one of the two.
            let last_field = self.sections.last().and_then(|section| section.fields.last());
            let whole = last_field.is_some_and(|field| {
                field.key == "PreReqResult" && matches!(field.value.as_str(), "WillProvision" | "WillNotProvision")
            });
            if whole { Ending::LastField } else { Ending::Open }
        });
        if ending.is_proven()
            && let Some(section) = self.sections.last_mut()
        {
            section.complete = true;
        }
        Status { sections: self.sections, ending }
    }
}

/// Whether a line ran into the console's edge in the middle of a word.
fn fills(raw: &str, columns: usize) -> bool {
    columns >= CONSOLE_COLUMNS && !raw.ends_with(' ')
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
        .is_some_and(|dashes| !dashes.is_empty() && dashes.bytes().all(|b| b == b'-'))
}

fn title(line: &str) -> Option<&str> {
    let title = line.strip_prefix('|')?.strip_suffix('|')?.trim();
    (!title.is_empty() && title.len() <= 128).then_some(title)
}

fn is_trailer(line: &str) -> bool {
    line.starts_with("For more information, please visit")
}

/// A prompt of `cmd` (`C:\Users\ada>`) or PowerShell (`PS C:\Users\ada> `).
fn is_prompt(line: &str) -> bool {
    let path = line.strip_prefix("PS ").unwrap_or(line).as_bytes();
    matches!(path, [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic()) && path.contains(&b'>')
}

/// Progress of the diagnostics and the fences of Markdown.
fn is_noise(line: &str) -> bool {
    line.starts_with("Waiting for Diagnostics Task") || line.starts_with("```") || line.starts_with("~~~")
}

/// Splits at the first ` : `. Values hold colons of their own (times, URLs, ports), so a bare one never splits.
fn split_field(line: &str) -> Option<(&str, &str)> {
    let (key, value) = match line.split_once(" : ") {
        Some((key, value)) => (key, value),
        None => (line.strip_suffix(" :")?, ""), // the trailing blank of an empty value was lost on the way
    };
    let key = key.trim();
    // `KeySignTest: : PASSED` carries a second colon.
    let key = key.strip_suffix(':').unwrap_or(key).trim_end();
    (!key.is_empty()).then_some((key, value.trim()))
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
        let twice = format!("{DEVICE_STATE}\n{DEVICE_STATE}");
        assert_eq!(parse(&twice).unwrap_err(), InvalidStatus::SeveralOutputs { line: 8 });
    }

    #[test]
    fn bounds_hold() {
        let many_fields = "a : b\n".repeat(MAX_FIELDS + 1);
        let many_sections = "| A |\n".repeat(MAX_SECTIONS + 1);
        let long_value = format!("Server Message : {}\n{}", "x".repeat(4000), "y".repeat(200));
        for (text, what) in
            [(many_fields, "fields in one section"), (many_sections, "sections"), (long_value, "bytes in one value")]
        {
            let error = parse(&format!("{DEVICE_STATE}{text}")).unwrap_err();
            assert!(matches!(error, InvalidStatus::TooMuch { what: found, .. } if found == what), "{error}");
        }
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
