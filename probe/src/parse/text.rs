//! Text as the field sends it, decoded.
//!
//! A redirected `dsregcmd /status` comes in the console's OEM code page, Windows PowerShell's `>` writes UTF-16 with a
//! byte order mark, an editor adds one of UTF-8. The console's page is not told by the bytes: whoever knows it says so
//! ([`decode_from`]), else a Western one is assumed where the text looks like it, and where it does not, what lies beyond
//! ASCII stands as U+FFFD. The result says which it was: a name may be misspelt or lost then, a keyword never is, since
//! all of these agree on ASCII.

mod code_page;

use encoding_rs::{UTF_16BE, UTF_16LE};
use serde::{Serialize, Serializer};

use super::{MAX_INPUT_BYTES, ParseError, check_size_within};

pub use code_page::CodePage;

/// A decoded text and what is known about its encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The text, without a byte order mark.
    pub text: String,
    /// How it was decoded.
    pub encoding: Decoding,
}

/// How a text was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Decoding {
    /// The encoding.
    pub name: Encoding,
    /// Whether the code page was assumed rather than told; letters outside ASCII may be others.
    pub assumed_code_page: bool,
    /// Whether something could not be decoded and stands as U+FFFD.
    pub replaced: bool,
}

/// Encodings that raw inputs come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark. ASCII counts as this.
    Utf8,
    /// UTF-16, little-endian.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
    /// A code page, told or assumed.
    CodePage(CodePage),
    /// Some code page that nobody told and the bytes do not tell: only ASCII was decoded.
    Unknown,
}

impl Serialize for Encoding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Utf8 => serializer.serialize_str("utf-8"),
            Self::Utf16Le => serializer.serialize_str("utf-16le"),
            Self::Utf16Be => serializer.serialize_str("utf-16be"),
            Self::CodePage(page) => serializer.collect_str(page),
            Self::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

/// Decodes a text of at most [`super::MAX_INPUT_BYTES`], from a console whose code page nobody told.
pub fn decode(bytes: &[u8]) -> Result<Decoded, ParseError> {
    decode_from(bytes, None)
}

/// Decodes a text of at most [`super::MAX_INPUT_BYTES`]. `console` is the code page it was written in, where that is
/// known; a text that shows itself as Unicode is read as such all the same.
pub fn decode_from(bytes: &[u8], console: Option<CodePage>) -> Result<Decoded, ParseError> {
    decode_bounded(bytes, console, MAX_INPUT_BYTES)
}

/// Decodes a text of at most that many bytes, from a console whose code page nobody told.
pub fn decode_within(bytes: &[u8], most: usize) -> Result<Decoded, ParseError> {
    decode_bounded(bytes, None, most)
}

fn decode_bounded(bytes: &[u8], console: Option<CodePage>, most: usize) -> Result<Decoded, ParseError> {
    check_size_within(bytes, most)?;
    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        let text = String::from_utf8_lossy(rest);
        let replaced = matches!(text, std::borrow::Cow::Owned(_));
        return Ok(decoded(text.into_owned(), Encoding::Utf8, false, replaced));
    }
    if let Some((name, rest)) = utf16(bytes) {
        let encoding = if name == Encoding::Utf16Be { UTF_16BE } else { UTF_16LE };
        let (text, replaced) = encoding.decode_without_bom_handling(rest);
        return Ok(decoded(text.into_owned(), name, false, replaced));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(decoded(text.to_owned(), Encoding::Utf8, false, false));
    }
    if let Some(page) = console.or_else(|| western(bytes)) {
        let (text, replaced) = page.decode(bytes);
        return Ok(decoded(text, Encoding::CodePage(page), console.is_none(), replaced));
    }
    let text = bytes
        .iter()
        .map(|&byte| if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER })
        .collect();
    Ok(decoded(text, Encoding::Unknown, true, true))
}

const fn decoded(text: String, name: Encoding, assumed_code_page: bool, replaced: bool) -> Decoded {
    Decoded { text, encoding: Decoding { name, assumed_code_page, replaced } }
}

/// The byte order of UTF-16, and the text behind the mark.
///
/// ASCII text in UTF-16 without a mark has a zero in every second byte, which no other encoding here ever has.
fn utf16(bytes: &[u8]) -> Option<(Encoding, &[u8])> {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => Some((Encoding::Utf16Le, rest)),
        [0xFE, 0xFF, rest @ ..] => Some((Encoding::Utf16Be, rest)),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => Some((Encoding::Utf16Le, bytes)),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => Some((Encoding::Utf16Be, bytes)),
        _ => None,
    }
}

/// The Western page that the text looks like: letters beyond ASCII stand alone or in twos there, while a word in another
/// script has nothing else.
fn western(bytes: &[u8]) -> Option<CodePage> {
    let longest = bytes.split(u8::is_ascii).map(<[u8]>::len).max().unwrap_or_default();
    if longest > 2 {
        return None;
    }
    // Windows-1252 keeps its letters at 0xC0 and above, where page 850 has line drawing and capitals; the common ones of
    // page 850 lie at 0x80 to 0xA5.
    let ansi = bytes.iter().filter(|byte| !byte.is_ascii()).all(|&byte| byte >= 0xC0);
    Some(if ansi { CodePage::WESTERN_ANSI } else { CodePage::WESTERN_OEM })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn each_encoding_of_the_field() {
        let name = "TenantName : Grünwald é";
        let mut utf8_bom = b"\xEF\xBB\xBF".to_vec();
        utf8_bom.extend(name.as_bytes());
        let mut le = b"\xFF\xFE".to_vec();
        le.extend(utf16(name, u16::to_le_bytes));
        let mut be = b"\xFE\xFF".to_vec();
        be.extend(utf16(name, u16::to_be_bytes));
        for (bytes, encoding, assumed) in [
            (name.as_bytes().to_vec(), Encoding::Utf8, false),
            (utf8_bom, Encoding::Utf8, false),
            (le, Encoding::Utf16Le, false),
            (be, Encoding::Utf16Be, false),
            (utf16(name, u16::to_le_bytes), Encoding::Utf16Le, false),
            (utf16(name, u16::to_be_bytes), Encoding::Utf16Be, false),
            (b"TenantName : Gr\x81nwald \x82".to_vec(), Encoding::CodePage(CodePage::WESTERN_OEM), true),
            (b"TenantName : Gr\xFCnwald \xE9".to_vec(), Encoding::CodePage(CodePage::WESTERN_ANSI), true),
        ] {
            let decoded = decode(&bytes).unwrap();
            assert_eq!(decoded.text, name, "{encoding:?}");
            assert_eq!(decoded.encoding, Decoding { name: encoding, assumed_code_page: assumed, replaced: false });
        }
    }

    #[test]
    fn a_page_that_is_told_is_taken_at_its_word_and_unicode_before_it() {
        let page = CodePage::from_number(866).unwrap();
        let told = decode_from(b"TenantName : \x8f\xe0\xa8\xac\xa5\xe0", Some(page)).unwrap();
        assert_eq!(told.text, "TenantName : Пример");
        let expected = Decoding { name: Encoding::CodePage(page), assumed_code_page: false, replaced: false };
        assert_eq!(told.encoding, expected);
        assert_eq!(serde_json::to_value(told.encoding).unwrap()["name"], "cp866");
        let unicode = decode_from("TenantName : Пример".as_bytes(), Some(page)).unwrap();
        assert_eq!((unicode.text.as_str(), unicode.encoding.name), ("TenantName : Пример", Encoding::Utf8));
    }

    #[test]
    fn a_page_that_nobody_told_costs_the_letters_and_says_so() {
        for bytes in [
            b"TenantName : \x8f\xe0\xa8\xac\xa5\xe0".as_slice(), // page 866
            b"TenantName : \xb4\xfa\xb8\xd5".as_slice(),         // page 950
        ] {
            let decoded = decode(bytes).unwrap();
            let name = decoded.text.strip_prefix("TenantName : ").unwrap();
            assert!(name.chars().all(|c| c == char::REPLACEMENT_CHARACTER), "{name}");
            let expected = Decoding { name: Encoding::Unknown, assumed_code_page: true, replaced: true };
            assert_eq!(decoded.encoding, expected);
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_marked() {
        assert!(decode(b"\xEF\xBB\xBFa\xFFb").unwrap().encoding.replaced);
        assert!(decode(b"\xFF\xFEa\x00\x00\xD8").unwrap().encoding.replaced, "a lone surrogate");
        assert!(decode(b"\xFF\xFEa\x00b").unwrap().encoding.replaced, "half a unit at the end");
    }

    #[test]
    fn the_bound_is_named() {
        let error = decode(&vec![b'a'; MAX_INPUT_BYTES + 1]).unwrap_err();
        assert_eq!(error.to_string(), "input has 1048577 bytes (at most 1048576 are read)");
    }
}
