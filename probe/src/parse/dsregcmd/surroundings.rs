//! What a status text goes through on its way to us, taken off again: HTML, odd blanks, and a decoration of every line.
//!
//! People copy the text out of a web page, number its lines, collect it from many machines with a prefix, or quote it in
//! a mail. All of that stands around the text and none of it within: nothing here looks at a key or a value.

use std::borrow::Cow;

/// Elements whose tags are taken away. Anything else in angle brackets may be somebody's placeholder for a value.
const ELEMENTS: &[&str] = &[
    "a",
    "b",
    "blockquote",
    "body",
    "br",
    "code",
    "div",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "head",
    "hr",
    "html",
    "i",
    "li",
    "meta",
    "o:p",
    "ol",
    "p",
    "pre",
    "s",
    "small",
    "span",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "title",
    "tr",
    "tt",
    "u",
    "ul",
];

/// Elements that begin or end a line.
const LINES: &[&str] = &["blockquote", "br", "div", "h1", "h2", "h3", "h4", "hr", "li", "p", "pre", "table", "tr"];

/// Marks of which one shows that a text is HTML.
const MARKS: &[&str] = &["<br", "<pre", "<div", "<span", "<p>", "<p ", "<td", "&nbsp;", "&#160;", "&gt;", "&lt;", "</"];

/// Longest decoration of a line, in bytes.
const MAX_DECORATION: usize = 64;

/// The text as the console showed it.
pub(super) fn unwrapped(text: &str) -> Cow<'_, str> {
    let is_html = text.bytes().any(|byte| matches!(byte, b'<' | b'&')) && {
        let lower = text.to_ascii_lowercase();
        MARKS.iter().any(|mark| lower.contains(mark))
    };
    let mut text = if is_html { Cow::Owned(without_html(text)) } else { Cow::Borrowed(text) };
    if text.contains(is_odd) {
        let plain = text.chars().filter(|c| !is_invisible(*c)).map(|c| if is_odd(c) { ' ' } else { c }).collect();
        text = Cow::Owned(plain);
    }
    match decoration(&text) {
        Some(decoration) => Cow::Owned(decoration.removed_from(&text)),
        None => text,
    }
}

/// Blanks that are none in ASCII, and characters that nobody sees: word processors and chat programs put them in.
fn is_odd(c: char) -> bool {
    is_invisible(c) || matches!(c, '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}')
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Takes tags away and resolves entities, in one pass.
fn without_html(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = if rest.starts_with('<') { tag(rest) } else { entity(rest) };
        if let Some((length, instead)) = taken {
            plain.extend(instead);
            rest = &rest[length..];
        } else {
            plain.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    plain
}

/// The length of the tag that a text begins with, and what it stands for; `None` where it is no tag.
fn tag(text: &str) -> Option<(usize, Option<char>)> {
    // No tag that people paste is longer; without the bound, many `<` without an end would cost their square.
    let length = text.bytes().take(512).position(|byte| byte == b'>')? + 1;
    let inner = text[1..length - 1].trim_start_matches('/');
    let name = inner.split(|c: char| c.is_ascii_whitespace() || c == '/').next()?.to_ascii_lowercase();
    if inner.starts_with("!--") {
        return Some((length, None));
    }
    ELEMENTS.contains(&name.as_str()).then(|| (length, LINES.contains(&name.as_str()).then_some('\n')))
}

/// The length of the entity that a text begins with, and its character; `None` where it is no entity.
fn entity(text: &str) -> Option<(usize, Option<char>)> {
    let length = text.bytes().take(12).position(|byte| byte == b';')? + 1;
    let name = &text[1..length - 1];
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let c = match name {
        "nbsp" => ' ',
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        _ => match name.strip_prefix('#')? {
            hex if hex.starts_with(['x', 'X']) => number(&hex[1..], 16)?,
            decimal => number(decimal, 10)?,
        },
    };
    Some((length, Some(c)))
}

/// What stands before each line.
#[derive(Debug, PartialEq, Eq)]
enum Decoration {
    /// The same text, such as the name of the machine.
    Same(String),
    /// The line's number.
    Number,
}

/// The decoration, as the first border shows it.
fn decoration(text: &str) -> Option<Decoration> {
    let (before, _) = text.split(['\n', '\r']).find_map(border)?;
    let mark = before.trim();
    // Quote marks differ from line to line in a mail that was answered, and are taken off line by line.
    if mark.is_empty() || mark.chars().all(|c| matches!(c, '>' | ' ')) {
        return None;
    }
    if without_number(before).is_some_and(|rest| rest.trim().is_empty()) {
        return Some(Decoration::Number);
    }
    Some(Decoration::Same(before.trim_end().to_owned()))
}

/// What stands before a line's border, and the border.
fn border(line: &str) -> Option<(&str, &str)> {
    let at = line.find("+--")?;
    let border = line[at..].trim_end();
    let whole =
        border.len() > 8 && border.ends_with('+') && border[1..border.len() - 1].bytes().all(|byte| byte == b'-');
    (whole && at <= MAX_DECORATION).then(|| line.split_at(at))
}

/// A line without its number, as `cat -n`, `grep -n` and editors write it; `None` where none stands there.
fn without_number(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=6).contains(&digits) {
        return None;
    }
    let rest = &line[digits..];
    let rest = rest.trim_start_matches(' ').strip_prefix([':', '|', '.', ')', '\t']).unwrap_or(rest);
    Some(rest)
}

impl Decoration {
    /// The lines without it. One that does not carry it stays as it is.
    fn removed_from(&self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        for line in text.split_inclusive(['\n', '\r']) {
            plain.push_str(match self {
                Self::Same(mark) => line.strip_prefix(mark.as_str()).unwrap_or(line),
                Self::Number => without_number(line).unwrap_or(line),
            });
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_taken_off() {
        for (html, plain) in [
            ("a<br>b<BR />c", "a\nb\nc"),
            ("<pre class=\"x\">a\nb</pre>", "\na\nb\n"),
            ("&nbsp;&nbsp;AzureAdJoined&nbsp;: YES", "  AzureAdJoined : YES"),
            ("<p>&gt; &#43;--&#x2B; &amp;amp; &bogus;</p>", "\n> +--+ &amp; &bogus;\n"),
            ("TenantId : <redacted><br>", "TenantId : <redacted>\n"),
            ("<span style='x'>a</span> < b & c <br", "a < b & c <br"),
        ] {
            assert_eq!(unwrapped(html), plain, "{html}");
        }
    }

    #[test]
    fn a_text_without_surroundings_is_not_copied() {
        for text in ["+----------+\n| Device State |\n", "TenantName : Grünwald & Söhne <AG>\n", "> +--------+\n", ""]
        {
            assert!(matches!(unwrapped(text), Cow::Borrowed(found) if found == text), "{text}");
        }
    }

    #[test]
    fn odd_blanks_become_blanks() {
        assert_eq!(unwrapped("\u{feff}\u{a0}\u{2003}NgcSet\u{a0}:\u{202f}NO\u{200b}"), "  NgcSet : NO");
    }

    #[test]
    fn the_decoration_is_what_the_first_border_carries() {
        let border = "+----------+";
        for (before, after) in [
            (format!("  12\t{border}\n  13\t  A : B\n\n99 red\n"), format!("{border}\n  A : B\n\n red\n")),
            (format!("12:{border}\n13:  A : 4\n"), format!("{border}\n  A : 4\n")),
            (format!("1 | {border}\n2 |   A : B\n"), format!(" {border}\n   A : B\n")),
            (format!("pc-0417: {border}\npc-0417:   A : B\nnote\n"), format!(" {border}\n   A : B\nnote\n")),
            (format!("# {border}\r\n#   A : B\r\n#\r\n"), format!(" {border}\r\n   A : B\r\n\r\n")),
            (format!("> {border}\n>   A : B\n"), format!("> {border}\n>   A : B\n")),
            (format!("    {border}\n      A : B\n"), format!("    {border}\n      A : B\n")),
            ("12 no border\n".to_owned(), "12 no border\n".to_owned()),
        ] {
            assert_eq!(unwrapped(&before), after, "{before}");
        }
    }
}
