//! Bytes written as text: hexadecimal and Base64 (RFC 4648 section 4).

/// Reads hexadecimal digits of either case. `None` when a character is no digit or the count is odd.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?)).collect()
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Writes bytes as lower-case hexadecimal.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xF)]]).collect()
}

/// Reads Base64, white space ignored. `None` when a character is foreign or the padding is wrong.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut buffer, mut bits, mut digits, mut padding) = (0_u32, 0_u32, 0_usize, 0_usize);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace()) {
        if c == b'=' {
            padding += 1;
            continue;
        }
        if padding > 0 {
            return None;
        }
        buffer = buffer << 6 | u32::from(base64_digit(c)?);
        bits += 6;
        digits += 1;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xFF).ok()?);
        }
    }
    let complete = (digits + padding).is_multiple_of(4) && padding <= 2;
    complete.then_some(bytes)
}

const fn base64_digit(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_both_ways() {
        assert_eq!(from_hex("00fFa1"), Some(vec![0x00, 0xFF, 0xA1]));
        assert_eq!(from_hex(""), Some(Vec::new()));
        for bad in ["0", "0g", "é0", " 00 "] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
        assert_eq!(to_hex(&[0, 255, 16]), "00ff10");
    }

    #[test]
    fn base64_with_its_padding() {
        // The first four are of RFC 4648 section 10.
        let cases: [(&str, &[u8]); 5] =
            [("", b""), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), (" Zm\r\n9v Ymfy", b"foobg\xF2")];
        for (text, bytes) in cases {
            assert_eq!(from_base64(text).as_deref(), Some(bytes), "{text}");
        }
        for bad in ["Z", "Zg=", "Zg===", "Zg==Zg==", "Zm9-", "===="] {
            assert_eq!(from_base64(bad), None, "{bad}");
        }
    }
}
