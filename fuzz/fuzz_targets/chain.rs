//! Several certificates and lists together: chains, name constraints and revocation.
//!
//! The input is a sequence of parts, each with its length in two bytes and a byte that says what it is for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::{ChainStatus, Revocation, Timestamp};
use muster_probe::parse::certificate::{AtHand, examine, issuers};

fuzz_target!(|bytes: &[u8]| {
    let (mut leaves, mut others, mut anchors, mut lists) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut rest = bytes;
    while let [kind, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (part, after) = tail.split_at(length);
        match kind % 4 {
            0 => leaves.push(part),
            1 => others.push(part),
            2 => anchors.push(part),
            _ => lists.push(part),
        }
        rest = after;
    }
    let at = Timestamp::from_unix_seconds(1_772_437_247).expect("a time in 2026");
    let at_hand = AtHand::new(&others, &anchors, &lists);
    for leaf in leaves.iter().take(4) {
        let findings = examine(leaf, &at_hand, at);
        if anchors.is_empty() {
            assert!(!matches!(findings.status, ChainStatus::Trusted { .. }), "trusted without an anchor");
        }
        if lists.is_empty() {
            assert_eq!(findings.revocation, None);
        }
        if findings.issuer.is_none() {
            assert!(!matches!(findings.revocation, Some(Revocation::Good)), "good without an issuer");
        }
        assert!(issuers(leaf, &at_hand, at).len() <= 9);
    }
});
