//! Certificate revocation lists in DER: base and delta.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::limits;
use muster_probe::parse::revocation_list::{from_der, is_by_issuer_of};
use muster_proto::link::revocation_list::{MOST_POINTS, RawList};

fuzz_target!(|bytes: &[u8]| {
    let read = from_der(bytes);
    let raw = RawList::read(bytes);
    assert_eq!(read.is_ok(), raw.is_ok());
    let (Ok(parsed), Ok(raw)) = (read, raw) else { return };
    assert_eq!(parsed.list.bytes as usize, bytes.len());
    assert_eq!(parsed.delta, raw.base.is_some());
    assert!(parsed.list.issuer.as_str().len() <= limits::TEXT_BYTES);
    assert!(raw.freshest.len() <= 2 * MOST_POINTS);
    // A delta without a number is told as of no use.
    assert!(!parsed.delta || raw.number.is_some() || parsed.unsupported.is_some());
    let (mut entries, mut failed) = (0, false);
    for entry in raw.entries() {
        assert!(!failed, "nothing follows an error");
        match entry {
            Ok(entry) => {
                let _ = entry.revoked_at();
                assert!(parsed.delta || !entry.removed, "only a delta takes an entry off");
                entries += 1;
            }
            Err(_) => failed = true,
        }
    }
    // The smallest entry has a serial number of one byte and a time.
    assert!(entries * 5 <= bytes.len());
    // Whatever the list is, certificates that are none refute nothing.
    assert_eq!(is_by_issuer_of(bytes, bytes, &[bytes]), Ok(()));
});
