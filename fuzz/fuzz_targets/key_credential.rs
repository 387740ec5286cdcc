//! Values of `msDS-KeyCredentialLink`, raw, in text and in files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::{KeyUsage, Timestamp};
use muster_probe::parse::key_credential::{decode, decode_input, decode_text};

fuzz_target!(|bytes: &[u8]| {
    let now = Timestamp::from_unix_seconds(1_900_000_000).expect("a time in 2030");
    let _ = decode_input(bytes, now);
    let raw = decode(bytes, now);
    if let Ok(credential) = &raw {
        assert_eq!(credential.length, bytes.len());
        assert!(credential.key.usage != KeyUsage::Fido || credential.key.key_id.is_none());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(decode_text(&hex, now).as_ref(), Ok(credential));
        let named = decode_text(&format!("B:{}:{hex}:CN=A:B", hex.len()), now).expect("the same bytes");
        assert_eq!(named.owner.as_deref(), Some("CN=A:B"));
        assert_eq!(named.key, credential.key);
    }
});
