//! Objects as PowerShell prints them: `ConvertTo-Json`, or the lists of `Format-List`.
//!
//! Both give records of named values. What a value looks like depends on the version of PowerShell and on the language of
//! the machine; the readers below take every form that was seen and refuse what has two meanings.

use muster_evidence::Timestamp;
use serde_json::{Map, Value};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// One object.
pub(super) type Record = Map<String, Value>;

/// Most objects of one text.
const MAX_RECORDS: usize = 4096;

/// Longest name of a property, in characters.
const MAX_NAME_CHARS: usize = 128;

/// Reads the objects of a text; empty where there are none.
pub(super) fn records(text: &str) -> Vec<Record> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with(['{', '[']) {
        return json(text);
    }
    list(text)
}

/// One or more JSON texts, one behind the other.
fn json(text: &str) -> Vec<Record> {
    let mut all = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let Ok(value) = value else { break };
        // `@{value=…; Count=…}` is what Windows PowerShell makes of a list behind a pipe.
        let value = match value {
            Value::Object(mut record)
                if record.len() == 2 && record.contains_key("Count") && record.contains_key("value") =>
            {
                record.remove("value").unwrap_or_default()
            }
            value => value,
        };
        match value {
            Value::Object(record) => all.push(record),
            Value::Array(values) => all.extend(values.into_iter().filter_map(|value| match value {
                Value::Object(record) => Some(record),
                _ => None,
            })),
            _ => {}
        }
        if all.len() >= MAX_RECORDS {
            break;
        }
    }
    all.truncate(MAX_RECORDS);
    all
}

/// Lines `Name : value`. A line without a name goes on with the value before it; a name that was there before begins the
/// next object.
fn list(text: &str) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    let mut last: Option<String> = None;
    for line in text.lines() {
        let named =
            line.split_once(':').filter(|(name, _)| is_name(name.trim()) && !line.starts_with(char::is_whitespace));
        match named {
            Some((name, value)) => {
                let name = name.trim().to_owned();
                if all.last().is_none_or(|record| record.contains_key(&name)) {
                    if all.len() == MAX_RECORDS {
                        break;
                    }
                    all.push(Record::new());
                }
                if let Some(record) = all.last_mut() {
                    record.insert(name.clone(), Value::String(value.trim().to_owned()));
                }
                last = Some(name);
            }
            None if line.trim().is_empty() => last = None,
            None => {
                let value = last.as_ref().and_then(|name| all.last_mut()?.get_mut(name));
                if let Some(Value::String(value)) = value {
                    value.push_str(line.trim());
                }
            }
        }
    }
    all
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME_CHARS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A property, without regard to case.
pub(super) fn get<'r>(record: &'r Record, name: &str) -> Option<&'r Value> {
    record.get(name).or_else(|| record.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A text that is not empty, or a number as text.
pub(super) fn text(record: &Record, name: &str) -> Option<String> {
    match get(record, name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Yes or no.
pub(super) fn flag(record: &Record, name: &str) -> Option<bool> {
    match get(record, name)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A whole number, decimal or `0x…`.
pub(super) fn number(record: &Record, name: &str) -> Option<u32> {
    match get(record, name)? {
        Value::Number(number) => u32::try_from(number.as_u64()?).ok(),
        Value::String(text) => whole(text),
        _ => None,
    }
}

/// A whole number in a text, decimal or `0x…`.
pub(super) fn whole(text: &str) -> Option<u32> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|digit| digit.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// A `TimeSpan` in seconds: an object with its parts, or `[d.]hh:mm:ss[.fffffff]`.
pub(super) fn seconds(record: &Record, name: &str) -> Option<u32> {
    match get(record, name)? {
        Value::Object(parts) => match get(parts, "Ticks")?.as_u64() {
            Some(ticks) => u32::try_from(ticks / 10_000_000).ok(),
            None => None,
        },
        Value::String(text) => time_span(text),
        _ => None,
    }
}

fn time_span(text: &str) -> Option<u32> {
    let (head, rest) = text.trim().split_once(':')?;
    let (days, hours) = head.split_once('.').unwrap_or(("0", head));
    let (minutes, seconds) = rest.split_once(':')?;
    let seconds = seconds.split('.').next()?;
    let part = |text: &str, most: u32| text.parse::<u32>().ok().filter(|part| *part <= most);
    let days = part(days, 20_000)?;
    Some(((days * 24 + part(hours, 23)?) * 60 + part(minutes, 59)?) * 60 + part(seconds, 59)?)
}

/// A time that is known to be in UTC: `/Date(…)/`, RFC 3339, or as a console writes it.
pub(super) fn time(record: &Record, name: &str) -> Option<Timestamp> {
    match get(record, name)? {
        // Windows PowerShell wraps a time that a cmdlet decorated: { value, DisplayHint, DateTime }.
        Value::Object(parts) => match get(parts, "value")? {
            Value::String(text) => instant(text),
            _ => None,
        },
        Value::String(text) => instant(text),
        _ => None,
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("/Date(") {
        let digits = rest.strip_suffix(")/")?;
        // An offset says how the time was shown; the number is UTC all the same.
        let end =
            digits.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map_or(digits.len(), |(at, _)| at);
        return Timestamp::from_unix_ms(digits[..end].parse().ok()?).ok();
    }
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    // ISO 8601 without an offset, as PowerShell 7 writes a time of unknown kind.
    if text.as_bytes().get(10) == Some(&b'T')
        && let Ok(at) = format!("{text}Z").parse()
    {
        return Some(at);
    }
    console(text)
}

/// `3/2/2026 8:14:07 AM`, `02.03.2026 08:14:07`, `2026-03-02 08:14:07`. With slashes the order of day and month is the
/// machine's own; it is told by `AM` and `PM`, which only the orders with the month first go with, or by a number above
/// twelve, and else the time is not known.
fn console(text: &str) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let (date, clock, half) = (words.next()?, words.next()?, words.next());
    let numbers = |text: &str, separator: char| -> Option<[u32; 3]> {
        let parts: Vec<u32> = text.split(separator).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        parts.try_into().ok()
    };
    let [mut hour, minute, second] = numbers(clock, ':')?;
    match half.map(str::to_ascii_uppercase).as_deref() {
        None => {}
        Some("AM") if (1..=12).contains(&hour) => hour %= 12,
        Some("PM") if (1..=12).contains(&hour) => hour = hour % 12 + 12,
        Some(_) => return None,
    }
    let (year, month, day) = if let Some([day, month, year]) = numbers(date, '.') {
        (year, month, day)
    } else if let Some([first, second, year]) = numbers(date, '/') {
        match (half.is_some(), first > 12, second > 12) {
            (true, false, _) | (false, false, true) => (year, first, second),
            (false, true, false) => (year, second, first),
            _ => return None,
        }
    } else {
        let [year, month, day] = numbers(date, '-')?;
        (year, month, day)
    };
    let small = |number: u32| u8::try_from(number).ok();
    let date =
        Date::from_calendar_date(i32::try_from(year).ok()?, Month::try_from(small(month)?).ok()?, small(day)?).ok()?;
    let clock = Time::from_hms(small(hour)?, small(minute)?, small(second)?).ok()?;
    from_civil(PrimitiveDateTime::new(date, clock))
}

/// A civil time, read as UTC.
pub(super) fn from_civil(at: PrimitiveDateTime) -> Option<Timestamp> {
    let at: OffsetDateTime = at.assume_utc();
    Timestamp::from_unix_seconds(at.unix_timestamp()).ok()
}

/// A civil time as a console writes it, read as UTC.
pub(super) fn civil(text: &str) -> Option<Timestamp> {
    console(text.trim())
}

/// The beginning of a text, for an error.
pub(super) fn start_of(text: &str) -> String {
    text.trim().chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Record {
        records(text).remove(0)
    }

    #[test]
    fn lists_and_json() {
        let list = "\r\n\r\nA      : 1\r\nLong   : one\r\n         two\r\nEmpty  : \r\nT : 08:14:07\r\n\r\nA : 2\r\n\r\nno name here\r\n";
        let found = records(list);
        assert_eq!(found.len(), 2);
        assert_eq!((number(&found[0], "a"), text(&found[0], "Long").as_deref()), (Some(1), Some("onetwo")));
        assert_eq!((text(&found[0], "Empty"), text(&found[0], "T").as_deref()), (None, Some("08:14:07")));
        for json in ["{\"A\":1}", "[{\"A\":1},7]", "\u{feff}{\"value\":[{\"A\":1}],\"Count\":1}", "{\"A\":1}\n{\"A\":2"]
        {
            let found = records(json);
            assert_eq!((found.len(), number(&found[0], "A")), (1, Some(1)), "{json}");
        }
        for text in ["", "{", "7", "[1]", "just words"] {
            assert!(records(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn spans_of_time() {
        for (value, expected) in [
            ("\"00:30:00\"", Some(1800)),
            ("\"1.02:03:04.5000000\"", Some(93_784)),
            ("{\"Ticks\":18000000000,\"Days\":0,\"TotalSeconds\":1800}", Some(1800)),
            ("{\"Ticks\":-1}", None),
            ("null", None),
            ("\"30:00\"", None),
            ("\"24:00:00\"", None),
            ("\"99999999.00:00:00\"", None),
            ("\"\"", None),
        ] {
            assert_eq!(seconds(&one(&format!("{{\"S\":{value}}}")), "S"), expected, "{value}");
        }
    }

    #[test]
    fn times() {
        for (value, expected) in [
            ("\"\\/Date(1772439247000)\\/\"", Some("2026-03-02T08:14:07Z")),
            ("\"/Date(1772439247000+0100)/\"", Some("2026-03-02T08:14:07Z")),
            ("\"/Date(-1)/\"", Some("1969-12-31T23:59:59.999Z")),
            ("{\"value\":\"/Date(1772439247000)/\",\"DateTime\":\"Montag\"}", Some("2026-03-02T08:14:07Z")),
            ("\"2026-03-02T08:14:07.5Z\"", Some("2026-03-02T08:14:07.5Z")),
            ("\"2026-03-02T08:14:07\"", Some("2026-03-02T08:14:07Z")),
            ("\"3/2/2026 8:14:07 AM\"", Some("2026-03-02T08:14:07Z")),
            ("\"3/2/2026 12:14:07 AM\"", Some("2026-03-02T00:14:07Z")),
            ("\"3/2/2026 12:14:07 pm\"", Some("2026-03-02T12:14:07Z")),
            ("\"02.03.2026 08:14:07\"", Some("2026-03-02T08:14:07Z")),
            ("\"2026-03-02 08:14:07\"", Some("2026-03-02T08:14:07Z")),
            ("\"23/03/2026 08:14:07\"", Some("2026-03-23T08:14:07Z")),
            ("\"03/23/2026 08:14:07\"", Some("2026-03-23T08:14:07Z")),
            ("\"02/03/2026 08:14:07\"", None),
            ("\"13/13/2026 08:14:07\"", None),
            ("\"30.02.2026 08:14:07\"", None),
            ("\"/Date(x)/\"", None),
            ("\"tomorrow\"", None),
            ("7", None),
        ] {
            let found = time(&one(&format!("{{\"T\":{value}}}")), "T").map(|at| at.to_string());
            assert_eq!(found.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn nothing_makes_it_panic() {
        use proptest::prelude::*;
        proptest!(ProptestConfig::with_cases(64), |(text in r#"([A-Z]{1,2} *: \PC{0,12}\n|[{}\[\]":,]|/Date\(\PC{0,6}\)/|[0-9:./-]{0,12} ?(AM|PM)?){0,12}"#)| {
            for record in records(&text) {
                for name in record.keys() {
                    let _ = (flag(&record, name), number(&record, name), seconds(&record, name), time(&record, name));
                }
            }
            let _ = (time_span(&text), instant(&text), civil(&text), whole(&text));
        });
    }
}
