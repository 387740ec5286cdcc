//! The one LDAP exchange needed here: StartTLS (RFC 4511 section 4.14), written as bytes.
//!
//! An LDAP library would bring a parser of everything a server may send; this reads one answer of bounded size.

use std::io::{self, Read, Write};

/// The extended request for StartTLS, message id 1: SEQUENCE { INTEGER 1, [APPLICATION 23] { [0] OID } }.
const START_TLS: &[u8] = b"\x30\x1D\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// Largest answer read, in bytes. It holds a code, a name and a diagnostic text.
const MAX_ANSWER_BYTES: usize = 4096;

/// Why a server does not begin TLS.
#[derive(Debug, thiserror::Error)]
pub enum StartTlsError {
    /// The connection failed.
    #[error("failed to exchange the StartTLS request")]
    Io(#[source] io::Error),
    /// The answer is not LDAP.
    #[error("the answer to StartTLS is not LDAP: {problem}")]
    Malformed {
        /// What was found and expected.
        problem: String,
    },
    /// The server refused.
    #[error("the server refused StartTLS with result code {code} (`{diagnostic}`)")]
    Refused {
        /// The LDAP result code: 2 is a protocol error, 52 unavailable.
        code: u32,
        /// Its diagnostic message; empty where it gives none.
        diagnostic: String,
    },
}

/// Asks the server to begin TLS. When this returns, the next bytes on the stream belong to TLS.
pub fn start_tls(stream: &mut (impl Read + Write)) -> Result<(), StartTlsError> {
    stream.write_all(START_TLS).and_then(|()| stream.flush()).map_err(StartTlsError::Io)?;
    let body = read_message(stream)?;
    let (code, diagnostic) = answer(&body)?;
    if code == 0 { Ok(()) } else { Err(StartTlsError::Refused { code, diagnostic }) }
}

/// Reads exactly one LDAP message and not a byte more, since TLS follows.
fn read_message(stream: &mut impl Read) -> Result<Vec<u8>, StartTlsError> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).map_err(StartTlsError::Io)?;
    if head[0] != 0x30 {
        return Err(malformed(format!("it begins with 0x{:02X} (expected 0x30)", head[0])));
    }
    let length = match head[1] {
        short @ 0..=0x7F => usize::from(short),
        long @ 0x81..=0x84 => {
            let mut bytes = [0; 4];
            let count = usize::from(long & 0x7F);
            stream.read_exact(&mut bytes[4 - count..]).map_err(StartTlsError::Io)?;
            u32::from_be_bytes(bytes) as usize
        }
        other => return Err(malformed(format!("its length begins with 0x{other:02X}"))),
    };
    if length > MAX_ANSWER_BYTES {
        return Err(malformed(format!("it announces {length} bytes (at most {MAX_ANSWER_BYTES} are read)")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).map_err(StartTlsError::Io)?;
    Ok(body)
}

/// Result code and diagnostic message of an extended response within an LDAP message.
fn answer(body: &[u8]) -> Result<(u32, String), StartTlsError> {
    let mut message = Elements(body);
    let id = message.take(0x02, "message id")?;
    // Message id 0 carries an unsolicited notice, such as the server closing down; its code is told like a refusal.
    if !matches!(id, [0 | 1]) {
        return Err(malformed(format!("its message id has the bytes {id:02X?} (expected 1)")));
    }
    let mut response = Elements(message.take(0x78, "extended response")?);
    let code = response.take(0x0A, "result code")?;
    let _matched_dn = response.take(0x04, "matched name")?;
    let diagnostic = response.take(0x04, "diagnostic message")?;
    if code.is_empty() || code.len() > 4 {
        return Err(malformed(format!("its result code has {} bytes", code.len())));
    }
    let code = code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
    if id == [0] && code == 0 {
        return Err(malformed("a notice nobody asked for says success".to_owned()));
    }
    let diagnostic = String::from_utf8_lossy(diagnostic);
    Ok((code, diagnostic.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect()))
}

/// BER elements in a row.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// Takes the next element, which must have that tag.
    fn take(&mut self, tag: u8, what: &str) -> Result<&'a [u8], StartTlsError> {
        let short = || malformed(format!("it ends within its {what}"));
        let [found, first, rest @ ..] = self.0 else { return Err(short()) };
        if *found != tag {
            return Err(malformed(format!("its {what} has the tag 0x{found:02X} (expected 0x{tag:02X})")));
        }
        let (length, rest) = match *first {
            length @ 0..=0x7F => (usize::from(length), rest),
            long @ 0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7F)).ok_or_else(short)?;
                (bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            other => return Err(malformed(format!("the length of its {what} begins with 0x{other:02X}"))),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        self.0 = rest;
        Ok(value)
    }
}

fn malformed(problem: String) -> StartTlsError {
    StartTlsError::Malformed { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that has already said everything.
    struct Peer<'a> {
        says: &'a [u8],
        heard: Vec<u8>,
    }

    impl Read for Peer<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Peer<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ask(says: &[u8]) -> (Result<(), String>, Vec<u8>) {
        let mut peer = Peer { says, heard: Vec::new() };
        let result = start_tls(&mut peer).map_err(|error| error.to_string());
        assert_eq!(peer.heard, START_TLS);
        (result, peer.says.to_vec())
    }

    #[test]
    fn the_request_is_well_formed() {
        let mut outer = Elements(START_TLS);
        let mut message = Elements(outer.take(0x30, "message").unwrap());
        assert_eq!(message.take(0x02, "id").unwrap(), [1]);
        let mut request = Elements(message.take(0x77, "request").unwrap());
        assert_eq!(request.take(0x80, "name").unwrap(), b"1.3.6.1.4.1.1466.20037");
        assert!(outer.0.is_empty() && message.0.is_empty() && request.0.is_empty());
    }

    #[test]
    fn answers() {
        // As Windows answers, and the same with long lengths as Samba writes them.
        let short = b"\x30\x0C\x02\x01\x01\x78\x07\x0A\x01\x00\x04\x00\x04\x00\x16\x03";
        assert_eq!(ask(short), (Ok(()), b"\x16\x03".to_vec()), "what follows is left for TLS");
        let long = b"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0A\x01\x00\x04\x00\x04\x00";
        assert_eq!(ask(long).0, Ok(()));
        let refused = b"\x30\x10\x02\x01\x01\x78\x0B\x0A\x01\x34\x04\x00\x04\x04no\nk";
        assert_eq!(ask(refused).0.unwrap_err(), "the server refused StartTLS with result code 52 (`no k`)");
        let notice = b"\x30\x0C\x02\x01\x00\x78\x07\x0A\x01\x34\x04\x00\x04\x00";
        assert_eq!(ask(notice).0.unwrap_err(), "the server refused StartTLS with result code 52 (``)");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (says, problem) in [
            (&b""[..], "failed to exchange the StartTLS request"),
            (b"\x30", "failed to exchange the StartTLS request"),
            (b"\x30\x10\x02", "failed to exchange the StartTLS request"),
            (b"HTTP/1.1", "it begins with 0x48 (expected 0x30)"),
            (b"\x30\x80", "its length begins with 0x80"),
            (b"\x30\x84\xFF\xFF\xFF\xFF", "it announces 4294967295 bytes (at most 4096 are read)"),
            (b"\x30\x03\x02\x01\x07", "its message id has the bytes [07] (expected 1)"),
            (b"\x30\x03\x02\x01\x01", "it ends within its extended response"),
            (b"\x30\x05\x02\x01\x01\x65\x00", "its extended response has the tag 0x65 (expected 0x78)"),
            (b"\x30\x05\x02\x01\x01\x78\x00", "it ends within its result code"),
            (b"\x30\x05\x02\x01\x01\x78\x7F", "it ends within its extended response"),
            (b"\x30\x0B\x02\x01\x01\x78\x06\x0A\x00\x04\x00\x04\x00", "its result code has 0 bytes"),
        ] {
            let error = ask(says).0.unwrap_err();
            assert!(error.ends_with(problem), "{says:02X?}: {error}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        use proptest::prelude::*;
        proptest!(|(says in proptest::collection::vec(any::<u8>(), 0..64))| {
            let _ = start_tls(&mut Peer { says: &says, heard: Vec::new() });
            let mut framed = vec![0x30, u8::try_from(says.len()).unwrap()];
            framed.extend(&says);
            let _ = start_tls(&mut Peer { says: &framed, heard: Vec::new() });
        });
    }
}
