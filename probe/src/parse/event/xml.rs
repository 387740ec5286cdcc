//! A strict reader of the little XML that Windows writes for events.
//!
//! Our own rather than a library's: what arrives is a stranger's file, and of XML's many features an event needs four
//! (elements, attributes, text, the five entities and numbers). What is not read cannot be abused: there is no document
//! type, no entity of the document's own, nothing is fetched, and every size is bounded. It borrows from the text and
//! allocates only where an entity has to be replaced.

use std::borrow::Cow;

/// Deepest nesting that is followed: a rendered event has four levels, user data a few more.
pub(super) const MAX_DEPTH: usize = 16;

/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 32;

/// Longest name of an element or attribute, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// What stands next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `<name …>` or `<name …/>`.
    Start {
        /// The name without its prefix.
        name: &'a str,
        /// Names without prefixes, and values.
        attributes: Vec<(&'a str, Cow<'a, str>)>,
        /// Whether it ends itself.
        empty: bool,
    },
    /// `</name>`.
    End {
        /// The name without its prefix.
        name: &'a str,
    },
    /// Text between elements, entities replaced.
    Text(Cow<'a, str>),
}

impl Token<'_> {
    /// The value of an attribute.
    pub(super) fn attribute(&self, wanted: &str) -> Option<&str> {
        match self {
            Self::Start { attributes, .. } => {
                attributes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_ref())
            }
            Self::End { .. } | Self::Text(_) => None,
        }
    }
}

/// Why the text is not XML as Windows writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text ends within something.
    CutOff,
    /// Something stands where it must not.
    Malformed(&'static str),
}

/// Reads one token after another.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next token begins, in bytes.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Goes on at a place, which must be a character's beginning; beyond the end it is the end.
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at.min(self.text.len());
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next token; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Fault> {
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(None);
            }
            let Some(markup) = rest.strip_prefix('<') else {
                let end = rest.find('<').unwrap_or(rest.len());
                self.at += end;
                return unescape(&rest[..end]).map(|text| Some(Token::Text(text)));
            };
            if let Some(comment) = markup.strip_prefix("!--") {
                self.skip(4, comment, "-->")?;
            } else if let Some(data) = markup.strip_prefix("![CDATA[") {
                let end = data.find("]]>").ok_or(Fault::CutOff)?;
                self.at += "<![CDATA[".len() + end + "]]>".len();
                return Ok(Some(Token::Text(Cow::Borrowed(&data[..end]))));
            } else if markup.starts_with('!') {
                return Err(Fault::Malformed("a document type, which no event has"));
            } else if let Some(instruction) = markup.strip_prefix('?') {
                self.skip(2, instruction, "?>")?;
            } else if let Some(end_tag) = markup.strip_prefix('/') {
                let end = end_tag.find('>').ok_or(Fault::CutOff)?;
                self.at += "</".len() + end + ">".len();
                return Ok(Some(Token::End { name: local(name(end_tag[..end].trim_end())?) }));
            } else {
                return self.start(markup).map(Some);
            }
        }
    }

    fn skip(&mut self, before: usize, rest: &str, end: &str) -> Result<(), Fault> {
        let length = rest.find(end).ok_or(Fault::CutOff)?;
        self.at += before + length + end.len();
        Ok(())
    }

    fn start(&mut self, markup: &'a str) -> Result<Token<'a>, Fault> {
        let mut rest = markup;
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>').ok_or(Fault::CutOff)?;
        let element = local(name(&rest[..end])?);
        rest = &rest[end..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_ascii_start();
            let empty = rest.starts_with('/');
            if let Some(after) = rest.strip_prefix("/>").or_else(|| rest.strip_prefix('>')) {
                self.at += 1 + markup.len() - after.len();
                return Ok(Token::Start { name: element, attributes, empty });
            }
            if rest.is_empty() || rest == "/" {
                return Err(Fault::CutOff);
            }
            let (before, after) = rest.split_once('=').ok_or(Fault::CutOff)?;
            let attribute = local(name(before.trim_ascii_end())?);
            let after = after.trim_ascii_start();
            let quote = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => quote,
                Some(_) => return Err(Fault::Malformed("an attribute without quotes")),
                None => return Err(Fault::CutOff),
            };
            let (value, after) = after[1..].split_once(quote).ok_or(Fault::CutOff)?;
            if value.contains('<') {
                return Err(Fault::Malformed("a `<` in the value of an attribute"));
            }
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(Fault::Malformed("an element with more than 32 attributes"));
            }
            attributes.push((attribute, unescape(value)?));
            rest = after;
        }
    }
}

fn name(text: &str) -> Result<&str, Fault> {
    let is_good = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    if text.is_empty() || text.len() > MAX_NAME_BYTES || !text.chars().all(is_good) {
        return Err(Fault::Malformed("a name that is none"));
    }
    Ok(text)
}

/// A name without its prefix: Windows uses prefixes in user data only, and then one per schema.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// Replaces the five entities and numbers. Windows writes control characters as numbers, which XML 1.0 forbids and
/// everybody reads; they stand as they are.
fn unescape(text: &str) -> Result<Cow<'_, str>, Fault> {
    if !text.contains('&') {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, after) = after.split_once(';').ok_or(Fault::Malformed("an `&` that begins no entity"))?;
        plain.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => number(entity).ok_or(Fault::Malformed("an entity that XML itself does not have"))?,
        });
        rest = after;
    }
    plain.push_str(rest);
    Ok(Cow::Owned(plain))
}

fn number(entity: &str) -> Option<char> {
    let digits = entity.strip_prefix('#')?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) if hex.bytes().all(|digit| digit.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok()?,
        None if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    // Half of a surrogate pair is what a cut name leaves behind.
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<String>, Fault> {
        let mut reader = Reader::new(text);
        let mut all = Vec::new();
        while let Some(token) = reader.next()? {
            all.push(match &token {
                Token::Start { name, attributes, empty } => {
                    let attributes: Vec<String> =
                        attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    format!("<{name} {}{}", attributes.join(" "), if *empty { "/" } else { "" })
                }
                Token::End { name } => format!("/{name}"),
                Token::Text(text) => text.to_string(),
            });
        }
        Ok(all)
    }

    #[test]
    fn what_windows_writes() {
        for (text, expected) in [
            ("<a b='1' c=\"'2\"/>", &["<a b=1 c='2/"][..]),
            ("<ns:a xmlns:ns = 'x' ><b>t</b >\r\n</ns:a>", &["<a ns=x", "<b ", "t", "/b", "\r\n", "/a"]),
            ("<?xml version=\"1.0\"?><!-- <a> --><a/>", &["<a /"]),
            ("<a>&lt;&#65;&#x42;&amp;&quot;&apos;&gt;&#1;</a>", &["<a ", "<AB&\"'>\u{1}", "/a"]),
            ("<a><![CDATA[<x>&amp;]]></a>", &["<a ", "<x>&amp;", "/a"]),
            ("<a>&#xD800;</a>", &["<a ", "\u{FFFD}", "/a"]),
            ("", &[]),
        ] {
            assert_eq!(
                tokens(text).as_deref(),
                Ok(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{text}"
            );
        }
    }

    #[test]
    fn what_ends_early_is_cut_off() {
        for text in ["<", "<a", "<a ", "<a b", "<a b=", "<a b='", "<a/", "</a", "<!-- ", "<?xml", "<![CDATA[x]]"] {
            assert_eq!(tokens(text), Err(Fault::CutOff), "{text}");
        }
    }

    #[test]
    fn what_no_event_has_is_refused() {
        let many = format!("<a {}/>", (0..33).map(|n| format!("a{n}=''")).collect::<Vec<_>>().join(" "));
        let long = format!("<{}/>", "a".repeat(257));
        for text in [
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "<a>&x;</a>",
            "<a>& </a>",
            "<a>&#xZ;</a>",
            "<a>&#-1;</a>",
            "<a b=1/>",
            "<a b='<'/>",
            "< a/>",
            "<a$/>",
            &many,
            &long,
        ] {
            assert!(matches!(tokens(text), Err(Fault::Malformed(_))), "{text}");
        }
    }
}
