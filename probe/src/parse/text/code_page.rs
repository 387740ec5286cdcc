//! Code pages of Windows consoles and of what Windows calls "ANSI".
//!
//! The tables of the OEM pages are Unicode's (`VENDORS/MICSFT/PC/CP*.TXT`); the others are those of the Encoding Standard.

use std::fmt;

use encoding_rs::{
    BIG5, EUC_KR, Encoding, GBK, IBM866, SHIFT_JIS, WINDOWS_874, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252,
    WINDOWS_1253, WINDOWS_1254, WINDOWS_1255, WINDOWS_1256, WINDOWS_1257, WINDOWS_1258,
};

/// A code page that this build knows, by Windows' number of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodePage(u16);

/// How the bytes beyond ASCII are read.
enum Table {
    /// One byte, one of 128 characters.
    Single(&'static str),
    /// As the Encoding Standard has it.
    Standard(&'static Encoding),
}

impl CodePage {
    /// OEM code page 850, of consoles in Western Europe.
    pub const WESTERN_OEM: Self = Self(850);
    /// Windows-1252, "ANSI" in Western Europe and the Americas.
    pub const WESTERN_ANSI: Self = Self(1252);
    /// Every page, by number.
    pub const ALL: &'static [u16] = &[
        437, 737, 775, 850, 852, 857, 858, 862, 866, 874, 932, 936, 949, 950, 1250, 1251, 1252, 1253, 1254, 1255, 1256,
        1257, 1258,
    ];

    /// The page of that number, such as `GetOEMCP` and `chcp` give; `None` where this build does not know it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.contains(&number).then_some(Self(number))
    }

    /// Windows' number of the page.
    pub const fn number(self) -> u16 {
        self.0
    }

    fn table(self) -> Table {
        match self.0 {
            437 => Table::Single(PAGE_437),
            737 => Table::Single(PAGE_737),
            775 => Table::Single(PAGE_775),
            852 => Table::Single(PAGE_852),
            857 => Table::Single(PAGE_857),
            858 => Table::Single(PAGE_858),
            862 => Table::Single(PAGE_862),
            866 => Table::Standard(IBM866),
            874 => Table::Standard(WINDOWS_874),
            932 => Table::Standard(SHIFT_JIS),
            936 => Table::Standard(GBK),
            949 => Table::Standard(EUC_KR),
            950 => Table::Standard(BIG5),
            1250 => Table::Standard(WINDOWS_1250),
            1251 => Table::Standard(WINDOWS_1251),
            1252 => Table::Standard(WINDOWS_1252),
            1253 => Table::Standard(WINDOWS_1253),
            1254 => Table::Standard(WINDOWS_1254),
            1255 => Table::Standard(WINDOWS_1255),
            1256 => Table::Standard(WINDOWS_1256),
            1257 => Table::Standard(WINDOWS_1257),
            1258 => Table::Standard(WINDOWS_1258),
            // 850: every number comes from `ALL`.
            _ => Table::Single(PAGE_850),
        }
    }

    /// Decodes a text, and says whether something could not be and stands as U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> (String, bool) {
        match self.table() {
            Table::Single(upper) => {
                let upper: Vec<char> = upper.chars().collect();
                let text: String = bytes
                    .iter()
                    .map(|&byte| match byte.checked_sub(0x80) {
                        None => char::from(byte),
                        Some(at) => upper.get(usize::from(at)).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
                    })
                    .collect();
                let replaced = text.contains(char::REPLACEMENT_CHARACTER);
                (text, replaced)
            }
            Table::Standard(encoding) => {
                let (text, replaced) = encoding.decode_without_bom_handling(bytes);
                (text.into_owned(), replaced)
            }
        }
    }
}

impl fmt::Display for CodePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1250..=1258 => write!(f, "windows-{}", self.0),
            number => write!(f, "cp{number}"),
        }
    }
}

const PAGE_437: &str = "\
    ÇüéâäàåçêëèïîìÄÅ\
    ÉæÆôöòûùÿÖÜ¢£¥₧ƒ\
    áíóúñÑªº¿⌐¬½¼¡«»\
    ░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧\
    ╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
    αßΓπΣσµτΦΘΩδ∞φε∩\
    ≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

const PAGE_737: &str = "\
    ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠ\
    ΡΣΤΥΦΧΨΩαβγδεζηθ\
    ικλμνξοπρσςτυφχψ\
    ░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧\
    ╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
    ωάέήϊίόύϋώΆΈΉΊΌΎ\
    Ώ±≥≤ΪΫ÷≈°∙·√ⁿ²■\u{a0}";

const PAGE_775: &str = "\
    ĆüéāäģåćłēŖŗīŹÄÅ\
    ÉæÆōöĢ¢ŚśÖÜø£Ø×¤\
    ĀĪóŻżź”¦©®¬½¼Ł«»\
    ░▒▓│┤ĄČĘĖ╣║╗╝ĮŠ┐\
    └┴┬├─┼ŲŪ╚╔╩╦╠═╬Ž\
    ąčęėįšųūž┘┌█▄▌▐▀\
    ÓßŌŃõÕµńĶķĻļņĒŅ’\
    \u{ad}±“¾¶§÷„°∙·¹³²■\u{a0}";

const PAGE_850: &str = "\
    ÇüéâäàåçêëèïîìÄÅ\
    ÉæÆôöòûùÿÖÜø£Ø×ƒ\
    áíóúñÑªº¿®¬½¼¡«»\
    ░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
    └┴┬├─┼ãÃ╚╔╩╦╠═╬¤\
    ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀\
    ÓßÔÒõÕµþÞÚÛÙýÝ¯´\
    \u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

const PAGE_852: &str = "\
    ÇüéâäůćçłëŐőîŹÄĆ\
    ÉĹĺôöĽľŚśÖÜŤťŁ×č\
    áíóúĄąŽžĘę¬źČş«»\
    ░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐\
    └┴┬├─┼Ăă╚╔╩╦╠═╬¤\
    đĐĎËďŇÍÎě┘┌█▄ŢŮ▀\
    ÓßÔŃńňŠšŔÚŕŰýÝţ´\
    \u{ad}˝˛ˇ˘§÷¸°¨˙űŘř■\u{a0}";

const PAGE_857: &str = "\
    ÇüéâäàåçêëèïîıÄÅ\
    ÉæÆôöòûùİÖÜø£ØŞş\
    áíóúñÑĞğ¿®¬½¼¡«»\
    ░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
    └┴┬├─┼ãÃ╚╔╩╦╠═╬¤\
    ºªÊËÈ\u{fffd}ÍÎÏ┘┌█▄¦Ì▀\
    ÓßÔÒõÕµ\u{fffd}×ÚÛÙìÿ¯´\
    \u{ad}±\u{fffd}¾¶§÷¸°¨·¹³²■\u{a0}";

const PAGE_858: &str = "\
    ÇüéâäàåçêëèïîìÄÅ\
    ÉæÆôöòûùÿÖÜø£Ø×ƒ\
    áíóúñÑªº¿®¬½¼¡«»\
    ░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
    └┴┬├─┼ãÃ╚╔╩╦╠═╬¤\
    ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀\
    ÓßÔÒõÕµþÞÚÛÙýÝ¯´\
    \u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

const PAGE_862: &str = "\
    אבגדהוזחטיךכלםמן\
    נסעףפץצקרשת¢£¥₧ƒ\
    áíóúñÑªº¿⌐¬½¼¡«»\
    ░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧\
    ╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
    αßΓπΣσµτΦΘΩδ∞φε∩\
    ≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_has_a_character_for_every_byte() {
        for &number in CodePage::ALL {
            let page = CodePage::from_number(number).unwrap();
            assert_eq!(page.number(), number);
            if let Table::Single(upper) = page.table() {
                assert_eq!(upper.chars().count(), 128, "{page}");
            }
            assert_eq!(page.decode(b"AzureAdJoined : YES"), ("AzureAdJoined : YES".to_owned(), false), "{page}");
        }
        assert_eq!(CodePage::from_number(65001), None);
        assert_eq!(CodePage::from_number(0), None);
    }

    #[test]
    fn names_of_the_field_in_their_pages() {
        for (number, bytes, text) in [
            (437, b"Gr\x81nwald".as_slice(), "Grünwald"),
            (737, b"\x80\xe1".as_slice(), "Αά"),
            (775, b"R\x8cga".as_slice(), "Rīga"),
            (850, b"Gr\x81nwald & S\x94hne".as_slice(), "Grünwald & Söhne"),
            (852, b"\x9d\xa2d\xab".as_slice(), "Łódź"),
            (857, b"\x98stanbul".as_slice(), "İstanbul"),
            (858, b"\xd5".as_slice(), "€"),
            (862, b"\x80\x81".as_slice(), "אב"),
            (866, b"\x8f\xe0\xa8\xac\xa5\xe0".as_slice(), "Пример"),
            (932, b"\x97\xe1\x8e\xa6".as_slice(), "例示"),
            (936, b"\xca\xbe\xc0\xfd".as_slice(), "示例"),
            (949, b"\xbf\xb9\xbd\xc3".as_slice(), "예시"),
            (950, b"\xbdd\xa8\xd2".as_slice(), "範例"),
            (1251, b"\xcf\xf0\xe8\xec\xe5\xf0".as_slice(), "Пример"),
        ] {
            let page = CodePage::from_number(number).unwrap();
            assert_eq!(page.decode(bytes), (text.to_owned(), false), "{page}");
        }
        assert_eq!((CodePage(850).to_string(), CodePage(1252).to_string()), ("cp850".into(), "windows-1252".into()));
    }

    #[test]
    fn a_byte_without_a_character_is_flagged() {
        assert_eq!(CodePage(857).decode(b"a\xd5"), ("a\u{fffd}".to_owned(), true));
        assert_eq!(CodePage(932).decode(b"a\x97"), ("a\u{fffd}".to_owned(), true));
    }
}
