//! Text as the field sends it, decoded.
//!
//! A redirected `dsregcmd /status` comes in the console's OEM code page, Windows PowerShell's `>` writes UTF-16 with a
//! byte order mark, an editor adds one of UTF-8. Whatever is neither Unicode nor marked is decoded by an assumed code
//! page, and the result says so: a name in it may be misspelt, a keyword never is, since all of them agree on ASCII.

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};
use serde::Serialize;

use super::{ParseError, check_size};

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
    /// Whether the code page was assumed rather than told by the bytes; letters outside ASCII may be others.
    pub assumed_code_page: bool,
    /// Whether something could not be decoded and stands as U+FFFD.
    pub replaced: bool,
}

/// Encodings that raw inputs come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark. ASCII counts as this.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, little-endian.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, big-endian.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// OEM code page 850, Western European consoles. Its letters agree with those of page 437.
    #[serde(rename = "cp850")]
    CodePage850,
    /// Windows-1252, what Windows calls "ANSI" in Western Europe.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// Decodes a text of at most [`super::MAX_INPUT_BYTES`].
pub fn decode(bytes: &[u8]) -> Result<Decoded, ParseError> {
    check_size(bytes)?;
    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        let text = String::from_utf8_lossy(rest);
        let replaced = matches!(text, std::borrow::Cow::Owned(_));
        return Ok(decoded(text.into_owned(), Encoding::Utf8, false, replaced));
    }
    for (mark, name, encoding) in
        [(b"\xFF\xFE", Encoding::Utf16Le, UTF_16LE), (b"\xFE\xFF", Encoding::Utf16Be, UTF_16BE)]
    {
        if let Some(rest) = bytes.strip_prefix(mark) {
            let (text, replaced) = encoding.decode_without_bom_handling(rest);
            return Ok(decoded(text.into_owned(), name, false, replaced));
        }
    }
    // ASCII text in UTF-16 without a mark has a zero in every second byte, which no other encoding here ever has.
    if let [first, 0, second, 0, ..] = bytes
        && *first != 0
        && *second != 0
    {
        let (text, replaced) = UTF_16LE.decode_without_bom_handling(bytes);
        return Ok(decoded(text.into_owned(), Encoding::Utf16Le, false, replaced));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(decoded(text.to_owned(), Encoding::Utf8, false, false));
    }
    if looks_like_windows_1252(bytes) {
        let (text, replaced) = WINDOWS_1252.decode_without_bom_handling(bytes);
        return Ok(decoded(text.into_owned(), Encoding::Windows1252, true, replaced));
    }
    let text = bytes.iter().map(|&byte| code_page_850(byte)).collect();
    Ok(decoded(text, Encoding::CodePage850, true, false))
}

const fn decoded(text: String, name: Encoding, assumed_code_page: bool, replaced: bool) -> Decoded {
    Decoded { text, encoding: Decoding { name, assumed_code_page, replaced } }
}

/// Whether the bytes beyond ASCII are letters in Windows-1252 and would be line drawing or capitals in page 850.
///
/// Windows-1252 keeps its letters at 0xC0 and above; the common ones of page 850 lie at 0x80 to 0xA5.
fn looks_like_windows_1252(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| !byte.is_ascii()).all(|&byte| byte >= 0xC0)
}

/// The upper half of code page 850 (Unicode's mapping table `CP850.TXT`).
const CODE_PAGE_850: &str = "\
    ÇüéâäàåçêëèïîìÄÅ\
    ÉæÆôöòûùÿÖÜø£Ø×ƒ\
    áíóúñÑªº¿®¬½¼¡«»\
    ░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
    └┴┬├─┼ãÃ╚╔╩╦╠═╬¤\
    ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀\
    ÓßÔÒõÕµþÞÚÛÙýÝ¯´\
    \u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

fn code_page_850(byte: u8) -> char {
    if byte.is_ascii() {
        return char::from(byte);
    }
    CODE_PAGE_850.chars().nth(usize::from(byte) - 0x80).unwrap_or(char::REPLACEMENT_CHARACTER)
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
            (b"TenantName : Gr\x81nwald \x82".to_vec(), Encoding::CodePage850, true),
            (b"TenantName : Gr\xFCnwald \xE9".to_vec(), Encoding::Windows1252, true),
        ] {
            let decoded = decode(&bytes).unwrap();
            assert_eq!(decoded.text, name, "{encoding:?}");
            assert_eq!(decoded.encoding, Decoding { name: encoding, assumed_code_page: assumed, replaced: false });
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_marked() {
        assert!(decode(b"\xEF\xBB\xBFa\xFFb").unwrap().encoding.replaced);
        assert!(decode(b"\xFF\xFEa\x00\x00\xD8").unwrap().encoding.replaced, "a lone surrogate");
        assert!(decode(b"\xFF\xFEa\x00b").unwrap().encoding.replaced, "half a unit at the end");
    }

    #[test]
    fn the_table_has_a_character_for_every_byte() {
        assert_eq!(CODE_PAGE_850.chars().count(), 128);
        assert_eq!(code_page_850(0x80), 'Ç');
        assert_eq!(code_page_850(0xE1), 'ß');
        assert_eq!(code_page_850(0xFF), '\u{a0}');
    }

    #[test]
    fn the_bound_is_named() {
        let error = decode(&vec![b'a'; super::super::MAX_INPUT_BYTES + 1]).unwrap_err();
        assert_eq!(error.to_string(), "input has 1048577 bytes (at most 1048576 are read)");
    }
}
