//! Lists of properties of a TPM.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_evidence::TpmVersion;
use muster_probe::parse::{text, tpm_properties::tpm_properties};

fuzz_target!(|bytes: &[u8]| {
    let Ok(decoded) = text::decode(bytes) else { return };
    let Ok(Some(tpm)) = tpm_properties(&decoded.text) else { return };
    assert!(tpm.fips_mode.is_none() || tpm.version == TpmVersion::V2_0);
    assert!(tpm.endorsement_key.is_none() && tpm.ek_certificates.is_none(), "nobody looked");
});
