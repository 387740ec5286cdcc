//! Values of a policy channel, out of the keys it is stored in.

use std::collections::BTreeMap;

use muster_evidence::{HelloPolicy, Text, limits};

use super::tree::{Data, Node};

/// Which of the two spellings a channel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Group policy: `…\Policies\Microsoft\PassportForWork`.
    Group,
    /// Mobile device management: `…\Policies\PassportForWork\TENANT\…\Policies`.
    Mdm,
}

/// Reads the keys of a channel, by their folded paths relative to the channel's own.
pub fn hello_policy<'n>(channel: Channel, nodes: impl IntoIterator<Item = (&'n str, &'n Node)>) -> HelloPolicy {
    let mut policy = HelloPolicy::default();
    for (path, node) in nodes {
        for (folded, (name, data)) in &node.values {
            let shown = if path.is_empty() { name.clone() } else { format!("{}\\{name}", node.name) };
            match (slot(&mut policy, channel, path, folded), data) {
                (Some(slot), Data::Dword(number)) => *slot = Some(*number),
                (Some(_), _) => push(&mut policy.unreadable, &shown),
                (None, data) if !folded.is_empty() => push(&mut policy.other, &format!("{shown}={}", show(data))),
                (None, _) => {}
            }
        }
    }
    policy
}

fn push(list: &mut Vec<Text>, text: &str) {
    if list.len() < limits::POLICY_VALUES {
        list.push(Text::cut(text));
    }
}

fn show(data: &Data) -> String {
    match data {
        Data::Dword(number) => number.to_string(),
        Data::Text(text) => text.clone(),
        Data::Other { bytes, .. } => format!("{bytes} bytes"),
        Data::Unreadable | Data::Deleted => "?".to_owned(),
    }
}

/// Where a value belongs; `None` for one that this build does not know.
fn slot<'p>(policy: &'p mut HelloPolicy, channel: Channel, path: &str, name: &str) -> Option<&'p mut Option<u32>> {
    let pin = &mut policy.pin;
    Some(match (channel, path, name) {
        (Channel::Group, "", "enabled") | (Channel::Mdm, "", "usepassportforwork") => &mut policy.enabled,
        (_, "", "disablepostlogonprovisioning") => &mut policy.disable_post_logon_provisioning,
        (_, "", "requiresecuritydevice") => &mut policy.require_security_device,
        (_, "excludesecuritydevices", "tpm12") => &mut policy.exclude_tpm12,
        (_, "", "usecertificateforonpremauth") => &mut policy.use_certificate_for_on_prem_auth,
        (_, "", "usecloudtrustforonpremauth") => &mut policy.use_cloud_trust_for_on_prem_auth,
        (_, "", "enablepinrecovery") => &mut policy.enable_pin_recovery,
        (_, "", "usehellocertificatesassmartcardcertificates") => &mut policy.use_hello_certificates_as_smart_cards,
        (_, "remote", "useremotepassport") => &mut policy.use_remote_passport,
        (_, "", "enablewindowshelloprovisioningforsecuritykeys") => &mut policy.enable_security_key_provisioning,
        (_, "pincomplexity", "minimumpinlength") => &mut pin.minimum_length,
        (_, "pincomplexity", "maximumpinlength") => &mut pin.maximum_length,
        (_, "pincomplexity", "uppercaseletters") => &mut pin.uppercase,
        (_, "pincomplexity", "lowercaseletters") => &mut pin.lowercase,
        (_, "pincomplexity", "specialcharacters") => &mut pin.special,
        (_, "pincomplexity", "digits") => &mut pin.digits,
        (_, "pincomplexity", "history") => &mut pin.history,
        (_, "pincomplexity", "expiration") => &mut pin.expiration_days,
        (Channel::Group, "biometrics", "enabled") | (_, "biometrics", "usebiometrics") => &mut policy.use_biometrics,
        (_, "biometrics", "facialfeaturesuseenhancedantispoofing") => &mut policy.enhanced_anti_spoofing,
        _ => return None,
    })
}

/// The part of a subtree that lies below one of its keys, relative to that key.
pub(super) fn below<'t, 'n>(
    nodes: &'t BTreeMap<String, &'n Node>,
    prefix: &str,
) -> impl Iterator<Item = (&'t str, &'n Node)> {
    let prefix = prefix.to_lowercase();
    nodes.iter().filter_map(move |(path, node)| {
        let rest = path.strip_prefix(&prefix)?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix('\\')? };
        Some((rest, *node))
    })
}
