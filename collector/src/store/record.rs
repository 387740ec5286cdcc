//! Bytes on disk: a version byte, then the message that `muster-proto` encodes; and the keys they lie under.
//!
//! Everything lies in one ordered map, since sled applies a batch atomically within one tree only. A key is a letter
//! for what it holds, then dense big-endian numbers, so that neighbours in time are neighbours in the map. No stored
//! value exceeds [`LARGEST_VALUE`]: a longer record is split into pieces that lie under keys of their own and are
//! written and removed in the same batch as its head. No key exceeds a few hundred bytes: longer texts in keys are
//! replaced by their hash. Which map holds all this is the backends' business.

use prost::Message;
use sha2::{Digest, Sha256};

use muster_evidence::HostNo;

use super::HostKey;

/// The format of the store as a whole. A store with a greater number was written by a newer collector and is refused.
pub const STORE_FORMAT: u32 = 1;

/// The longest stored value, in bytes. sled splits a leaf at 16 entries and moves one above 128 KiB into a file that
/// it never syncs; with this bound a leaf stays below 80 KiB.
pub(super) const LARGEST_VALUE: usize = 4096;

/// First byte of a record that lies in one piece, and of every piece after the first.
const WHOLE: u8 = 1;
/// First byte of the head of a record in several pieces; its length follows in four bytes.
const SPLIT: u8 = 0x81;
/// Bytes of the record in a head, and in each piece after it.
const IN_HEAD: usize = LARGEST_VALUE - 5;
const IN_PIECE: usize = LARGEST_VALUE - 1;

/// Says why bytes are not the record they should be.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// There are no bytes at all.
    #[error("record is empty")]
    Empty,
    /// The version byte is not one this build knows.
    #[error("record has version {found} (this build reads {WHOLE})")]
    Version {
        /// The version found.
        found: u8,
    },
    /// A piece of a split record is not there.
    #[error("piece {piece} of {pieces} is missing")]
    MissingPiece {
        /// Its number, from 1.
        piece: usize,
        /// How many there should be.
        pieces: usize,
    },
    /// The pieces do not add up.
    #[error("record has {found} bytes where {expected} were written")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The record is longer than a record can be.
    #[error("record has {found} bytes (at most {most} can be stored)")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// The bound, in bytes.
        most: usize,
    },
    /// The bytes are not the message.
    #[error("record is not the message it should be")]
    Decode(#[source] prost::DecodeError),
    /// A key does not have the form of its kind.
    #[error("key does not have the form of its kind")]
    Key,
}

/// The most bytes a record can have: as many pieces as two bytes can number, far above every bound on evidence.
const LONGEST: usize = IN_HEAD + IN_PIECE * u16::MAX as usize;

/// A record as it is stored: the value under its own key, and the pieces that lie beside it.
pub(super) struct Stored {
    /// The value under the record's key.
    pub(super) head: Vec<u8>,
    /// The values under its piece keys, from 1.
    pub(super) pieces: Vec<Vec<u8>>,
}

/// Encodes a message, split where it exceeds [`LARGEST_VALUE`].
pub(super) fn encode<M: Message>(message: &M) -> Result<Stored, InvalidRecord> {
    let length = message.encoded_len();
    if length > LONGEST {
        return Err(InvalidRecord::TooLong { found: length, most: LONGEST });
    }
    if length < LARGEST_VALUE {
        let mut head = Vec::with_capacity(length + 1);
        head.push(WHOLE);
        message.encode(&mut head).expect("a vector grows as needed");
        return Ok(Stored { head, pieces: Vec::new() });
    }
    let bytes = message.encode_to_vec();
    let (first, rest) = bytes.split_at(IN_HEAD.min(bytes.len()));
    let mut head = vec![SPLIT];
    head.extend(u32::try_from(length).expect("`LONGEST` fits four bytes").to_be_bytes());
    head.extend(first);
    let pieces = rest.chunks(IN_PIECE).map(|chunk| [&[WHOLE], chunk].concat()).collect();
    Ok(Stored { head, pieces })
}

/// How many pieces lie beside a head.
pub(super) fn pieces(head: &[u8]) -> Result<usize, InvalidRecord> {
    match head {
        [] => Err(InvalidRecord::Empty),
        [WHOLE, ..] => Ok(0),
        [SPLIT, rest @ ..] => {
            let (length, first) = rest.split_first_chunk::<4>().ok_or(InvalidRecord::Empty)?;
            let length = u32::from_be_bytes(*length) as usize;
            if length > LONGEST || length < first.len() {
                return Err(InvalidRecord::Length { found: first.len(), expected: length });
            }
            Ok((length - first.len()).div_ceil(IN_PIECE))
        }
        [found, ..] => Err(InvalidRecord::Version { found: *found }),
    }
}

/// Decodes a message from its head, and from the pieces that `piece` finds by their number from 1.
pub(super) fn decode<M: Message + Default, E: From<InvalidRecord>>(
    head: &[u8],
    mut piece: impl FnMut(u16) -> Result<Option<Vec<u8>>, E>,
) -> Result<M, E> {
    let count = pieces(head)?;
    if count == 0 && head.first() == Some(&WHOLE) {
        return Ok(M::decode(&head[1..]).map_err(InvalidRecord::Decode)?);
    }
    // `pieces` has seen the five bytes in front.
    let expected = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let mut bytes = head[5..].to_vec();
    for number in 1..=count {
        let missing = || InvalidRecord::MissingPiece { piece: number, pieces: count };
        let part = piece(u16::try_from(number).map_err(|_| missing())?)?.ok_or_else(missing)?;
        match part.split_first() {
            Some((&WHOLE, part)) => bytes.extend(part),
            Some((&found, _)) => return Err(InvalidRecord::Version { found }.into()),
            None => return Err(InvalidRecord::Empty.into()),
        }
    }
    if bytes.len() != expected {
        return Err(InvalidRecord::Length { found: bytes.len(), expected }.into());
    }
    Ok(M::decode(bytes.as_slice()).map_err(InvalidRecord::Decode)?)
}

/// The letters in front of keys.
mod prefix {
    pub(super) const FORMAT: u8 = b'F';
    pub(super) const META: u8 = b'M';
    pub(super) const HOST: u8 = b'H';
    pub(super) const VERDICTS: u8 = b'V';
    pub(super) const BODY: u8 = b'B';
    pub(super) const NAME: u8 = b'N';
    pub(super) const DUE: u8 = b'D';
    pub(super) const SEEN: u8 = b'S';
    pub(super) const TRANSITION: u8 = b'T';
    pub(super) const HOST_TRANSITION: u8 = b'U';
    pub(super) const SERIES: u8 = b'R';
    pub(super) const INVENTORY: u8 = b'I';
    pub(super) const INVENTORY_ITEM: u8 = b'J';
    pub(super) const COUNTER: u8 = b'C';
    pub(super) const POLICY: u8 = b'P';
    pub(super) const WAIVER: u8 = b'W';
    pub(super) const LEASE: u8 = b'L';
    pub(super) const PIECE: u8 = b'X';
}

/// Hosts whose last-seen times share one record: 256 times of six bytes stay well below [`LARGEST_VALUE`].
pub(super) const SEEN_BLOCK: u64 = 256;

/// Keys, one function for each kind, and their way back where one is needed.
pub(super) mod key {
    use super::{Digest, HostKey, HostNo, InvalidRecord, SEEN_BLOCK, Sha256, prefix};

    /// The longest text that stands in a key as it is. sled keeps up to 256 keys in an index node, which must stay
    /// below 128 KiB like a leaf.
    const LONGEST_TEXT: usize = 200;

    /// A half-open range of keys.
    pub(in super::super) type Range = (Vec<u8>, Vec<u8>);

    fn join(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
        key.push(prefix);
        for part in parts {
            key.extend_from_slice(part);
        }
        key
    }

    /// A text or bytes from outside, at a bounded length; the first byte keeps the two forms apart.
    fn bounded(text: &[u8]) -> Vec<u8> {
        if text.len() <= LONGEST_TEXT { join(0, &[text]) } else { join(1, &[&Sha256::digest(text)]) }
    }

    /// Every key that starts with `start`.
    fn below(start: Vec<u8>) -> Range {
        let mut end = start.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        (start, end)
    }

    fn number_after(key: &[u8], skip: usize) -> Result<u64, InvalidRecord> {
        let bytes = key.get(skip..).and_then(|rest| rest.first_chunk::<8>()).ok_or(InvalidRecord::Key)?;
        Ok(u64::from_be_bytes(*bytes))
    }

    pub(in super::super) fn format() -> Vec<u8> {
        vec![prefix::FORMAT]
    }

    /// A number the store keeps for itself.
    pub(in super::super) fn meta(name: &str) -> Vec<u8> {
        join(prefix::META, &[name.as_bytes()])
    }

    pub(in super::super) fn host(host: HostNo) -> Vec<u8> {
        join(prefix::HOST, &[&host.0.to_be_bytes()])
    }

    /// The records of hosts with a number above `after`.
    pub(in super::super) fn hosts_after(after: u64) -> Range {
        (join(prefix::HOST, &[&after.to_be_bytes(), &[0]]), vec![prefix::HOST + 1])
    }

    pub(in super::super) fn host_of(key: &[u8]) -> Result<HostNo, InvalidRecord> {
        number_after(key, 1).map(HostNo)
    }

    /// Whether a key is that of a host's record.
    pub(in super::super) fn is_host(key: &[u8]) -> bool {
        key.first() == Some(&prefix::HOST)
    }

    pub(in super::super) fn verdicts(host: HostNo) -> Vec<u8> {
        join(prefix::VERDICTS, &[&host.0.to_be_bytes()])
    }

    pub(in super::super) fn bodies(host: HostNo) -> Vec<u8> {
        join(prefix::BODY, &[&host.0.to_be_bytes()])
    }

    /// Where earlier builds kept each body of a host in a record of its own; a host has these or the one record.
    pub(in super::super) fn single_bodies(host: HostNo) -> Range {
        let (_, end) = below(bodies(host));
        ([bodies(host), vec![0]].concat(), end)
    }

    pub(in super::super) fn name(host: &HostKey) -> Vec<u8> {
        let forest = host.forest.as_ref().map_or("", |forest| forest.as_str());
        // Neither name can hold a zero byte.
        join(prefix::NAME, &[&bounded(format!("{forest}\0{}", host.name).as_bytes())])
    }

    /// The due index: by time, then by host. Flipping the sign bit makes times before 1970 sort first.
    pub(in super::super) fn due(at_ms: i64, host: HostNo) -> Vec<u8> {
        join(prefix::DUE, &[&flip(at_ms), &host.0.to_be_bytes()])
    }

    fn flip(at_ms: i64) -> [u8; 8] {
        (at_ms.cast_unsigned() ^ (1 << 63)).to_be_bytes()
    }

    /// Everything due at or before a time.
    pub(in super::super) fn due_until(now_ms: i64) -> Range {
        let (_, end) = below(join(prefix::DUE, &[&flip(now_ms)]));
        (vec![prefix::DUE], end)
    }

    pub(in super::super) fn due_host(key: &[u8]) -> Result<HostNo, InvalidRecord> {
        number_after(key, 9).map(HostNo)
    }

    /// The block of last-seen times a host belongs to, and its place in it.
    pub(in super::super) fn seen_place(host: HostNo) -> (u64, usize) {
        (host.0 / SEEN_BLOCK, usize::try_from(host.0 % SEEN_BLOCK).unwrap_or_default())
    }

    pub(in super::super) fn seen(block: u64) -> Vec<u8> {
        join(prefix::SEEN, &[&block.to_be_bytes()])
    }

    pub(in super::super) fn seen_all() -> Range {
        below(vec![prefix::SEEN])
    }

    pub(in super::super) fn seen_block(key: &[u8]) -> Result<u64, InvalidRecord> {
        number_after(key, 1)
    }

    pub(in super::super) fn transition(number: u64) -> Vec<u8> {
        join(prefix::TRANSITION, &[&number.to_be_bytes()])
    }

    pub(in super::super) fn transitions_after(after: u64) -> Range {
        (join(prefix::TRANSITION, &[&after.to_be_bytes(), &[0]]), vec![prefix::TRANSITION + 1])
    }

    /// The index of a host's transitions, latest first.
    pub(in super::super) fn host_transition(host: HostNo, number: u64) -> Vec<u8> {
        join(prefix::HOST_TRANSITION, &[&host.0.to_be_bytes(), &(!number).to_be_bytes()])
    }

    pub(in super::super) fn host_transitions(host: HostNo) -> Range {
        below(join(prefix::HOST_TRANSITION, &[&host.0.to_be_bytes()]))
    }

    pub(in super::super) fn host_transition_number(key: &[u8]) -> Result<u64, InvalidRecord> {
        number_after(key, 9).map(|number| !number)
    }

    pub(in super::super) fn series(host: HostNo, series: u32) -> Vec<u8> {
        join(prefix::SERIES, &[&host.0.to_be_bytes(), &series.to_be_bytes()])
    }

    pub(in super::super) fn all_series(host: HostNo) -> Range {
        below(join(prefix::SERIES, &[&host.0.to_be_bytes()]))
    }

    /// A forest's inventory from one source. Hashed as a whole, so that the keys of its items stay short.
    fn inventory_id(forest: &str, source: &str) -> [u8; 16] {
        let hash = Sha256::digest(format!("{forest}\0{source}"));
        *hash.first_chunk::<16>().expect("SHA-256 has 32 bytes")
    }

    pub(in super::super) fn inventory(forest: &str, source: &str) -> Vec<u8> {
        join(prefix::INVENTORY, &[&inventory_id(forest, source)])
    }

    pub(in super::super) fn inventories() -> Range {
        below(vec![prefix::INVENTORY])
    }

    pub(in super::super) fn inventory_item(forest: &str, source: &str, id: &str) -> Vec<u8> {
        join(prefix::INVENTORY_ITEM, &[&inventory_id(forest, source), &bounded(id.as_bytes())])
    }

    pub(in super::super) fn inventory_items(forest: &str, source: &str) -> Range {
        below(join(prefix::INVENTORY_ITEM, &[&inventory_id(forest, source)]))
    }

    pub(in super::super) fn counter(counter: &str) -> Vec<u8> {
        join(prefix::COUNTER, &[&bounded(counter.as_bytes())])
    }

    pub(in super::super) fn counters() -> Range {
        below(vec![prefix::COUNTER])
    }

    pub(in super::super) fn policy(revision: u64) -> Vec<u8> {
        join(prefix::POLICY, &[&revision.to_be_bytes()])
    }

    pub(in super::super) fn waiver(number: u64) -> Vec<u8> {
        join(prefix::WAIVER, &[&number.to_be_bytes()])
    }

    pub(in super::super) fn waivers() -> Range {
        below(vec![prefix::WAIVER])
    }

    pub(in super::super) fn lease(name: &str) -> Vec<u8> {
        join(prefix::LEASE, &[&bounded(name.as_bytes())])
    }

    /// A piece of a split record, from 1.
    pub(in super::super) fn piece(of: &[u8], number: u16) -> Vec<u8> {
        join(prefix::PIECE, &[of, &number.to_be_bytes()])
    }

    /// A key in words, for errors.
    pub(in super::super) fn describe(key: &[u8]) -> String {
        let number = number_after(key, 1).unwrap_or_default();
        match key.first().copied() {
            Some(prefix::FORMAT) => "store format".to_owned(),
            Some(prefix::META) => format!("number {}", String::from_utf8_lossy(&key[1..])),
            Some(prefix::HOST) => format!("host {number}"),
            Some(prefix::VERDICTS) => format!("verdicts of host {number}"),
            Some(prefix::BODY) => format!("observations of host {number}"),
            Some(prefix::NAME) => format!("name {}", String::from_utf8_lossy(&key[1..]).replace('\0', "/")),
            Some(prefix::DUE) => "due time".to_owned(),
            Some(prefix::SEEN) => format!("last-seen block {number}"),
            Some(prefix::TRANSITION) => format!("transition {number}"),
            Some(prefix::HOST_TRANSITION) => format!("transition of host {number}"),
            Some(prefix::SERIES) => format!("series of host {number}"),
            Some(prefix::INVENTORY) => "inventory".to_owned(),
            Some(prefix::INVENTORY_ITEM) => "inventory item".to_owned(),
            Some(prefix::COUNTER) => format!("counter {}", String::from_utf8_lossy(key.get(2..).unwrap_or_default())),
            Some(prefix::POLICY) => format!("policy {number}"),
            Some(prefix::WAIVER) => format!("waiver {number}"),
            Some(prefix::LEASE) => format!("lease {}", String::from_utf8_lossy(key.get(2..).unwrap_or_default())),
            Some(prefix::PIECE) => format!("piece of {}", describe(&key[1..])),
            Some(_) | None => "of an unknown kind".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::v1;

    use super::*;

    fn stored(bytes: usize) -> (Vec<u8>, Stored) {
        let body: Vec<u8> = (0..bytes).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let stored = encode(&body).unwrap();
        (body, stored)
    }

    fn read(stored: &Stored) -> Result<Vec<u8>, InvalidRecord> {
        decode::<Vec<u8>, InvalidRecord>(&stored.head, |n| Ok(stored.pieces.get(usize::from(n) - 1).cloned()))
    }

    #[test]
    fn records_survive_at_every_length_around_the_bounds() {
        for bytes in [0, 1, 100, 4088, 4090, 4091, 4092, 4093, 4094, 8180, 8181, 8182, 8186, 8190, 100_000] {
            let (body, stored) = stored(bytes);
            assert!(stored.head.len() <= LARGEST_VALUE, "{bytes}");
            assert!(stored.pieces.iter().all(|piece| piece.len() <= LARGEST_VALUE), "{bytes}");
            assert_eq!(pieces(&stored.head).unwrap(), stored.pieces.len(), "{bytes}");
            assert_eq!(read(&stored).unwrap(), body, "{bytes}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (_, good) = stored(10_000);
        let cases: [(Stored, &str); 5] = [
            (Stored { head: vec![], pieces: vec![] }, "record is empty"),
            (Stored { head: vec![9, 0], pieces: vec![] }, "record has version 9 (this build reads 1)"),
            (Stored { head: good.head.clone(), pieces: good.pieces[..1].to_vec() }, "piece 2 of 2 is missing"),
            (
                Stored { head: good.head.clone(), pieces: vec![good.pieces[0].clone(), vec![1, 2]] },
                "record has 8187 bytes where 10003 were written",
            ),
            (Stored { head: vec![1, 0xff], pieces: vec![] }, "record is not the message it should be"),
        ];
        for (bad, expected) in cases {
            assert_eq!(read(&bad).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic() {
        for length in 0..9 {
            for first in [0, 1, 2, 0x80, 0x81, 0xff] {
                for fill in [0, 1, 0xff] {
                    let mut head = vec![fill; length];
                    if let Some(byte) = head.first_mut() {
                        *byte = first;
                    }
                    let _ = pieces(&head);
                    let _ = decode::<v1::HostRecord, InvalidRecord>(&head, |_| Ok(None));
                }
            }
        }
    }

    #[test]
    fn keys_keep_the_order_of_what_they_name() {
        let host = HostNo;
        assert!(key::host(host(255)) < key::host(host(256)));
        assert!(key::due(-1, host(9)) < key::due(0, host(1)));
        assert!(key::due(5, host(1)) < key::due(5, host(2)));
        assert!(key::host_transition(host(1), 8) < key::host_transition(host(1), 7));
        let (start, end) = key::hosts_after(7);
        assert!(key::host(host(7)) < start && start <= key::host(host(8)) && key::host(host(u64::MAX)) < end);
        let (start, end) = key::due_until(5);
        assert!(start <= key::due(i64::MIN, host(0)) && key::due(5, host(u64::MAX)) < end);
        assert!(key::due(6, host(0)) >= end);
        assert_eq!(key::due_host(&key::due(-77, host(12))).unwrap(), host(12));
        assert_eq!(key::host_transition_number(&key::host_transition(host(1), 12)).unwrap(), 12);
        let (start, end) = key::all_series(host(u64::MAX));
        assert!(start < end, "the range after the last host number ends");
    }

    #[test]
    fn no_text_makes_a_key_long() {
        let long = "x".repeat(10_000);
        for key in [key::counter(&long), key::inventory_item(&long, &long, &long), key::lease(&long)] {
            assert!(key.len() <= 256, "{}", key.len());
        }
        assert_ne!(key::counter(&long), key::counter(&format!("{long}y")));
    }
}
