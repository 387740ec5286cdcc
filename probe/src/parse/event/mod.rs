//! Windows events as XML: an export (`wevtutil qe LOG /f:xml`, *Save as XML* of the Event Viewer,
//! `(Get-WinEvent …).ToXml()`) or a single live render (`EvtRenderEventXml`).
//!
//! An export may be a bare sequence of `<Event>` elements or have a root, and may be cut off or have one broken event
//! among good ones: what can be read is read, and what could not is counted. The rendered text is never looked at, since
//! it is localised and differs between builds; [`facts`] reads the data by their names.

mod facts;
mod log;
mod xml;

use std::fmt;

use muster_evidence::{Sid, Timestamp};

pub use self::facts::{DEVICE_CHANNELS, Facts, KDC_CHANNELS, facts};
pub use self::log::{InvalidLog, LogConfiguration, log_configuration};
use self::xml::{Fault, MAX_DEPTH, Reader, Token};
use super::{ParseError, text};

/// Largest export, in bytes. An event takes one to two thousand, and a week of a busy log some thousands of events.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Most events read from one export.
pub const MAX_EVENTS: usize = 20_000;

/// Most data of one event; the longest known has some thirty.
const MAX_DATA: usize = 64;

/// Longest name or value that is kept, in characters: longer than any that a rule reads.
const MAX_VALUE_CHARS: usize = 512;

/// Most times that reading starts anew after an event that cannot be read.
const MAX_UNREADABLE: u32 = 256;

/// What an export holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The events, in the order of the file.
    pub events: Vec<Event>,
    /// Events that could not be read.
    pub unreadable: u32,
    /// Events beyond [`MAX_EVENTS`].
    pub left_out: u32,
    /// Whether the text ends within an event: what came after is not known.
    pub cut_off: bool,
}

impl Export {
    /// Whether the newest events of the log may be missing: the export ends early and ran from old to new, as `wevtutil`
    /// does without `/rd:true`.
    pub fn lacks_newest(&self) -> bool {
        let from_new_to_old = match &self.events[..] {
            [first, .., last] => first.at > last.at,
            _ => false,
        };
        (self.cut_off || self.left_out > 0) && !from_new_to_old
    }
}

/// One event, as far as anything reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `Provider Name`.
    pub provider: String,
    /// `EventID`, without its qualifiers.
    pub id: u32,
    /// `TimeCreated SystemTime`.
    pub at: Timestamp,
    /// `Channel`.
    pub channel: String,
    /// `Security UserID`: who the event speaks of or was written by; `None` where nobody is named.
    pub user: Option<Sid>,
    /// `EventData`, or the leaves of `UserData`.
    pub data: Vec<Datum>,
}

/// One item of an event's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datum {
    /// Its name; `None` for the positional data of old providers.
    pub name: Option<String>,
    /// Its value.
    pub value: String,
}

impl Event {
    /// The value of that name, without regard to case.
    pub fn named(&self, wanted: &str) -> Option<&str> {
        let found =
            self.data.iter().find(|datum| datum.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(wanted)));
        found.map(|datum| datum.value.as_str())
    }

    /// The value at a place, where the event names none of its data. A name says what a value is, a place only what it
    /// was in one version of the provider.
    pub fn positional(&self, place: usize) -> Option<&str> {
        if self.data.iter().any(|datum| datum.name.is_some()) {
            return None;
        }
        self.data.get(place).map(|datum| datum.value.as_str())
    }
}

/// Says that an input holds no events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvents {
    /// Nothing in it is an event.
    #[error("no `<Event>` element (expected what `wevtutil qe LOG /f:xml` prints; begins with `{start}`)")]
    NoEvent {
        /// The beginning of the text.
        start: String,
    },
    /// There are events, and none of them could be read.
    #[error("none of {found} events could be read: the first {problem}")]
    NoneReadable {
        /// How many there are.
        found: u32,
        /// What is wrong with the first.
        problem: Problem,
    },
}

/// What is wrong with one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It ends early.
    CutOff,
    /// It is not XML as Windows writes it.
    Malformed(&'static str),
    /// It lacks something that every event has.
    Missing(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff => f.write_str("is cut off"),
            Self::Malformed(what) => write!(f, "has {what}"),
            Self::Missing(what) => write!(f, "has no usable `{what}`"),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::CutOff => Self::CutOff,
            Fault::Malformed(what) => Self::Malformed(what),
        }
    }
}

/// Reads an export, or a single render.
pub fn parse(bytes: &[u8]) -> Result<Export, ParseError> {
    let decoded = text::decode_within(bytes, MAX_BYTES)?;
    Ok(parse_text(&decoded.text)?)
}

/// Does what [`parse`] does to a text that is decoded already.
pub fn parse_text(text: &str) -> Result<Export, InvalidEvents> {
    let mut export = Export::default();
    let mut first_problem = None;
    let mut at = 0;
    while let Some(start) = find_event(text, at) {
        let mut reader = Reader::new(text);
        reader.go_to(start);
        match event(&mut reader) {
            Ok(event) if export.events.len() < MAX_EVENTS => export.events.push(event),
            Ok(_) => export.left_out = export.left_out.saturating_add(1),
            Err(problem) => {
                first_problem.get_or_insert(problem);
                export.unreadable = export.unreadable.saturating_add(1);
                // Of the last event only the beginning is there; before it, the loss is that one event's.
                export.cut_off = problem == Problem::CutOff && find_event(text, start + 1).is_none();
                if export.unreadable >= MAX_UNREADABLE {
                    export.cut_off = true;
                    break;
                }
                at = start + 1;
                continue;
            }
        }
        at = reader.position();
    }
    match first_problem {
        None if export.events.is_empty() && !is_empty_export(text) => {
            Err(InvalidEvents::NoEvent { start: start_of(text) })
        }
        Some(problem) if export.events.is_empty() => {
            Err(InvalidEvents::NoneReadable { found: export.unreadable, problem })
        }
        _ => Ok(export),
    }
}

/// Whether a text is an export that found nothing: `<Events></Events>`, which `wevtutil /e:Events` prints.
fn is_empty_export(text: &str) -> bool {
    let mut reader = Reader::new(text);
    let mut tokens = Vec::new();
    while let Ok(Some(token)) = reader.next() {
        match token {
            Token::Text(text) if text.trim().is_empty() => {}
            token if tokens.len() < 3 => tokens.push(token),
            _ => return false,
        }
    }
    match &tokens[..] {
        [Token::Start { name: "Events", empty: true, .. }] => true,
        [Token::Start { name: "Events", .. }, Token::End { name: "Events" }] => reader.position() == text.len(),
        _ => false,
    }
}

/// Where the next `<Event>` begins. Beside it there are `<Events>` and `<EventID>`.
fn find_event(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let found = at + text.get(at..)?.find("<Event")?;
        let after = text[found + "<Event".len()..].chars().next();
        if after.is_none_or(|c| c.is_ascii_whitespace() || c == '>' || c == '/') {
            return Some(found);
        }
        at = found + "<Event".len();
    }
}

/// The beginning of a text, for an error.
fn start_of(text: &str) -> String {
    text.trim().chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Parts of an event that are read.
#[derive(Default)]
struct Parts {
    provider: Option<String>,
    id: Option<u32>,
    at: Option<Timestamp>,
    channel: Option<String>,
    user: Option<Sid>,
    data: Vec<Datum>,
}

/// Reads one event, from its start tag to its end tag.
fn event(reader: &mut Reader<'_>) -> Result<Event, Problem> {
    let mut parts = Parts::default();
    let mut path: Vec<&str> = Vec::new();
    // The value of the innermost element, until an element within it shows that it is no leaf.
    let mut value: Option<(Option<String>, String)> = None;
    loop {
        let token = reader.next()?.ok_or(Problem::CutOff)?;
        match token {
            Token::Start { name, empty, .. } => {
                if path.len() == MAX_DEPTH {
                    return Err(Problem::Malformed("elements nested more than 16 deep"));
                }
                path.push(name);
                parts.attributes(&path, &token);
                let datum_name = match (&path[1..], token.attribute("Name")) {
                    (["EventData", ..], name) => name.map(cut),
                    // Of user data the element's own name says what it is.
                    _ => Some(cut(name)),
                };
                value = Some((datum_name, String::new()));
                if empty {
                    parts.leaf(&path, value.take());
                    path.pop();
                }
            }
            Token::Text(text) => {
                if let Some((_, so_far)) = &mut value {
                    so_far.push_str(&text);
                }
            }
            Token::End { name } => {
                if path.last() != Some(&name) {
                    return Err(Problem::Malformed("an end tag without its start"));
                }
                parts.leaf(&path, value.take());
                path.pop();
            }
        }
        if path.is_empty() {
            break;
        }
    }
    parts.event()
}

impl Parts {
    fn attributes(&mut self, path: &[&str], token: &Token<'_>) {
        match path {
            ["Event", "System", "Provider"] => self.provider = token.attribute("Name").map(cut),
            ["Event", "System", "TimeCreated"] => {
                self.at = token.attribute("SystemTime").and_then(|time| time.trim().parse().ok());
            }
            ["Event", "System", "Security"] => {
                self.user = token.attribute("UserID").and_then(|sid| sid.parse().ok());
            }
            _ => {}
        }
    }

    /// Takes an element that holds no other.
    fn leaf(&mut self, path: &[&str], value: Option<(Option<String>, String)>) {
        let Some((name, text)) = value else { return };
        match path {
            ["Event", "System", "EventID"] => self.id = text.trim().parse().ok(),
            ["Event", "System", "Channel"] => self.channel = Some(cut(text.trim())),
            ["Event", "EventData", "Data"] | ["Event", "UserData", _, ..] if self.data.len() < MAX_DATA => {
                self.data.push(Datum { name, value: cut(text.trim()) });
            }
            _ => {}
        }
    }

    fn event(self) -> Result<Event, Problem> {
        Ok(Event {
            provider: self.provider.filter(|name| !name.is_empty()).ok_or(Problem::Missing("Provider Name"))?,
            id: self.id.ok_or(Problem::Missing("EventID"))?,
            at: self.at.ok_or(Problem::Missing("TimeCreated SystemTime"))?,
            channel: self.channel.unwrap_or_default(),
            user: self.user,
            data: self.data,
        })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_VALUE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
        <Provider Name='Microsoft-Windows-User Device Registration' Guid='{23b8d46b-67dd-40a3-b636-d43e50552c6d}'/>\
        <EventID>300</EventID><Version>0</Version><Level>4</Level><Keywords>0x8000000000000000</Keywords>\
        <TimeCreated SystemTime='2026-03-01T08:14:05.1234567Z'/><EventRecordID>7</EventRecordID><Correlation/>\
        <Execution ProcessID='1' ThreadID='2'/><Channel>Microsoft-Windows-User Device Registration/Admin</Channel>\
        <Computer>pc-0417.corp.example</Computer><Security UserID='S-1-5-21-1-2-3-1104'/></System><EventData>\
        <Data Name='KeyId'>{0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60}</Data><Data Name='UPN'>a&amp;b@corp.example</Data>\
        <Data Name='ClientRequestId'/></EventData></Event>";

    fn utf16(text: &str) -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn one_event_in_every_wrapping() {
        let rendered =
            ONE.replace("</Event>", "<RenderingInfo Culture='de-DE'><Message>Event</Message></RenderingInfo></Event>");
        for (bytes, count) in [
            (ONE.as_bytes().to_vec(), 1),
            (format!("{ONE}{ONE}").into_bytes(), 2),
            (format!("{ONE}\r\n{ONE}\r\n").into_bytes(), 2),
            (utf16(ONE), 1),
            (
                format!(
                    "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?><Events>{rendered}</Events>"
                )
                .into_bytes(),
                1,
            ),
            (format!("<Events>\n{}\n</Events>", ONE.replace('\'', "\"")).into_bytes(), 1),
            (format!("C:\\> wevtutil qe ...\n{ONE}").into_bytes(), 1),
        ] {
            let export = parse(&bytes).unwrap();
            assert_eq!((export.events.len(), export.unreadable, export.cut_off), (count, 0, false));
            let event = &export.events[0];
            assert_eq!(event.provider, "Microsoft-Windows-User Device Registration");
            assert_eq!((event.id, event.at.to_string().as_str()), (300, "2026-03-01T08:14:05.123Z"));
            assert_eq!(event.channel, "Microsoft-Windows-User Device Registration/Admin");
            assert_eq!(event.user.as_ref().unwrap().as_str(), "S-1-5-21-1-2-3-1104");
            assert_eq!(event.named("upn"), Some("a&b@corp.example"));
            assert_eq!(event.named("ClientRequestId"), Some(""));
            assert_eq!(event.named("ServerRequestId"), None);
            assert_eq!(event.positional(0), None, "the data have names");
        }
    }

    #[test]
    fn qualifiers_positional_and_user_data() {
        let old = ONE
            .replace("<EventID>300<", "<EventID Qualifiers='32768'>300<")
            .replace(" Name='KeyId'", "")
            .replace(" Name='UPN'", "")
            .replace("<Data Name='ClientRequestId'/>", "<Binary>1200</Binary>");
        let event = &parse(old.as_bytes()).unwrap().events[0];
        assert_eq!((event.id, event.data.len()), (300, 2));
        assert_eq!((event.positional(1), event.positional(2)), (Some("a&b@corp.example"), None));
        let user = "<UserData><EventXML xmlns='x'><Param1> one </Param1><ns:Two xmlns:ns='y'><Deep>2</Deep></ns:Two></EventXML></UserData>";
        let begin = ONE.find("<EventData>").unwrap();
        let event = &parse(format!("{}{user}</Event>", &ONE[..begin]).as_bytes()).unwrap().events[0];
        assert_eq!((event.named("Param1"), event.named("Deep")), (Some("one"), Some("2")));
        assert_eq!(event.named("EventXML"), None, "it is no leaf");
    }

    #[test]
    fn a_broken_event_costs_itself() {
        for (broken, cut) in [
            ("<Event><System>".to_owned(), false),
            (ONE.replace("<EventID>300</EventID>", ""), false),
            (ONE.replace("SystemTime='2026", "SystemTime='yesterday"), false),
            (ONE.replace("</System>", "</Sys>"), false),
            (ONE.replace("a&amp;b", "a&b"), false),
            (format!("<Event>{}</Event>", "<a>".repeat(20)), false),
        ] {
            let export = parse(format!("{broken}{ONE}").as_bytes()).unwrap();
            assert_eq!((export.events.len(), export.unreadable, export.cut_off), (1, 1, cut), "{broken}");
        }
        for end in [20, 200, 400, ONE.len() - 1] {
            let export = parse(format!("{ONE}{}", &ONE[..end]).as_bytes()).unwrap();
            assert_eq!((export.events.len(), export.unreadable, export.cut_off), (1, 1, true), "{end}");
        }
    }

    #[test]
    fn what_is_no_export_is_named() {
        let error = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error("Failed to open the event log."),
            "no `<Event>` element (expected what `wevtutil qe LOG /f:xml` prints; begins with `Failed to open the event log.`)"
        );
        assert_eq!(error(&ONE[..100]), "none of 1 events could be read: the first is cut off");
        assert_eq!(
            error("<Event><System/></Event>"),
            "none of 1 events could be read: the first has no usable `Provider Name`"
        );
        assert!(error("<Events><a/></Events>").starts_with("no `<Event>` element"));
        assert!(parse(&vec![b'x'; MAX_BYTES + 1]).unwrap_err().to_string().contains("at most 16777216"));
        for text in ["<Events></Events>", "\u{feff}<?xml version='1.0'?>\r\n<Events>\r\n</Events>\r\n", "<Events/>"] {
            assert_eq!(parse(text.as_bytes()), Ok(Export::default()), "an export that found nothing");
        }
    }

    #[test]
    fn there_is_a_most() {
        let small = "<Event><System><Provider Name='p'/><EventID>1</EventID><TimeCreated SystemTime='2026-03-01T08:14:05Z'/></System></Event>";
        let export = parse(small.repeat(MAX_EVENTS + 3).as_bytes()).unwrap();
        assert_eq!((export.events.len(), export.left_out), (MAX_EVENTS, 3));
        let export = parse(format!("{small}{}", "<Event>".repeat(1000)).as_bytes()).unwrap();
        assert_eq!((export.events.len(), export.unreadable, export.cut_off), (1, 256, true));
    }
}
