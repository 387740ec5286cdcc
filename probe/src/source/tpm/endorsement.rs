//! The endorsement key of a TPM 2.0, as far as it can be read without any authorisation and without making a key.
//!
//! What counts, and what of it is hashed, is [`EndorsementKey`]'s to say. Where the TPM holds a certificate that cannot be
//! read, no other key takes its place: the same machine must not show one key today and another one tomorrow.

use muster_evidence::{EndorsementKey, Text};
use tss_esapi::constants::PropertyTag;
use tss_esapi::handles::{KeyHandle, NvIndexHandle, NvIndexTpmHandle, PersistentTpmHandle};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::NvAuth;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::Public;
use tss_esapi::{Context, Error};

use super::super::parse::endorsement::{self, Curve};
use super::{EK_ECC_P256, EK_ECC_P384, EK_RSA_2048, holds, property};

/// The handle reserved for the endorsement key (TCG TPM v2.0 Provisioning Guidance, section 7.8).
const PERSISTENT: u32 = 0x8101_0001;

/// Largest certificate read, in bytes. Real ones have one to two thousand.
const MOST_CERTIFICATE_BYTES: usize = 8_192;

/// Bytes read at once where the TPM does not say how many it takes; every TPM 2.0 takes these.
const LEAST_NV_BUFFER: u32 = 512;

/// Looks for the key.
pub(super) fn observe(context: &mut Context) -> EndorsementKey {
    let unreadable = |why: String| EndorsementKey::Unreadable(Text::cut(&why));
    for index in [EK_RSA_2048, EK_ECC_P256, EK_ECC_P384] {
        match holds(context, index) {
            None => return unreadable("the TPM does not tell which certificates it holds".to_owned()),
            Some(false) => {}
            Some(true) => {
                return match certificate(context, index) {
                    Ok(der) => match endorsement::spki_of_certificate(&der) {
                        Ok(spki) => EndorsementKey::SpkiSha256(endorsement::digest(spki)),
                        Err(error) => unreadable(format!("NV index 0x{index:08X}: {error}")),
                    },
                    Err(error) => unreadable(format!("failed to read NV index 0x{index:08X}: {error}")),
                };
            }
        }
    }
    match holds(context, PERSISTENT) {
        None => unreadable("the TPM does not tell which keys it holds".to_owned()),
        Some(false) => EndorsementKey::NotShown,
        Some(true) => match public(context) {
            Ok(public) => of_public(&public),
            Err(error) => unreadable(format!("failed to read the key at 0x{PERSISTENT:08X}: {error}")),
        },
    }
}

/// The certificate in an NV index. Makers let everybody read it (TCG EK Credential Profile, section 2.2.1): with the
/// index's own empty password, else as the owner, whose password is empty on most machines.
fn certificate(context: &mut Context, index: u32) -> Result<Vec<u8>, Error> {
    let buffer = property(context, PropertyTag::NvBufferMax).unwrap_or(LEAST_NV_BUFFER).clamp(64, 1_024);
    let buffer = usize::try_from(buffer).unwrap_or(64);
    let handle = NvIndexTpmHandle::new(index)?;
    let object = context.execute_without_session(|context| context.tr_from_tpm_public(handle.into()))?;
    let handle = NvIndexHandle::from(object);
    let (area, _name) = context.execute_without_session(|context| context.nv_read_public(handle))?;
    let size = area.data_size().min(MOST_CERTIFICATE_BYTES);
    let mut read = |auth: NvAuth| {
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            let (wanted, offset) = (narrow(buffer.min(size - bytes.len())), narrow(bytes.len()));
            let part = context.execute_with_session(Some(AuthSession::Password), |context| {
                context.nv_read(auth, handle, wanted, offset)
            })?;
            if part.is_empty() {
                break;
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    };
    read(NvAuth::NvIndex(handle)).or_else(|_: Error| read(NvAuth::Owner))
}

/// A length below [`MOST_CERTIFICATE_BYTES`] as the TPM counts it.
fn narrow(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn public(context: &mut Context) -> Result<Public, Error> {
    let handle = PersistentTpmHandle::new(PERSISTENT)?;
    let object = context.execute_without_session(|context| context.tr_from_tpm_public(handle.into()))?;
    let (public, _, _) = context.execute_without_session(|context| context.read_public(KeyHandle::from(object)))?;
    Ok(public)
}

fn of_public(public: &Public) -> EndorsementKey {
    // Anything may lie at the handle; an endorsement key decrypts for the TPM's own purposes, and never leaves it.
    let attributes = public.object_attributes();
    let is_endorsement_key =
        attributes.restricted() && attributes.decrypt() && attributes.fixed_tpm() && !attributes.sign_encrypt();
    if !is_endorsement_key {
        return EndorsementKey::NotShown;
    }
    let spki = match public {
        Public::Rsa { parameters, unique, .. } => {
            // 0 stands for the usual exponent (TPM 2.0 Library, Part 2, section 12.2.3.5).
            let exponent = match parameters.exponent().value() {
                0 => 65_537,
                own => own,
            };
            Some(endorsement::spki_of_rsa(unique.value(), exponent))
        }
        Public::Ecc { parameters, unique, .. } => {
            let curve = match parameters.ecc_curve() {
                EccCurve::NistP256 => Some(Curve::P256),
                EccCurve::NistP384 => Some(Curve::P384),
                _ => None,
            };
            curve.and_then(|curve| endorsement::spki_of_point(curve, unique.x().value(), unique.y().value()))
        }
        _ => None,
    };
    match spki {
        Some(spki) => EndorsementKey::SpkiSha256(endorsement::digest(&spki)),
        None => EndorsementKey::Unreadable(Text::cut("the key at 0x81010001 is of a kind that is not read")),
    }
}
