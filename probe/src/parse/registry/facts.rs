//! What rules read from a machine's registry.
//!
//! Of each kind of evidence one of four things comes out: it is there; it is not there, since a file covers its place;
//! it cannot be told, since a file ends early or only half of what the kind needs was exported; or nothing at all, since
//! no file looked there.

use std::collections::BTreeSet;

use muster_evidence::{
    DeviceRegistrationPolicy, Evidence, FailureReason, FirmwareType, Guid, HelloPolicy, KdcPolicy, Kind,
    ObservationKey, Outcome, PinProvider, ProductType, Sid, Text, Thumbprint, TrustStore, limits,
};

use serde::Serialize;

use super::policy::{Channel, below, hello_policy};
use super::tree::{Look, Node, Tree};
use crate::source::failed;

const POLICY: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\PassportForWork";
const MDM: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Policies\PassportForWork";
const WORKPLACE_JOIN: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WorkplaceJoin";
const CLIENT_SCP: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\CDJ\AAD";
const KDC: &str = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Kdc";
const SAM_POLICY: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System\SAM";
const NTAUTH: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\EnterpriseCertificates\NTAuth\Certificates";
const VERSION: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const PRODUCT: &str = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\ProductOptions";
const CONTROL: &str = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control";
const PIN_PROVIDER: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Authentication\Credential Providers\{D6886603-9D2F-4EB2-B667-1971041FA96B}";
const CONVENIENCE_PIN: &str =
    r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Authentication\LogonUI\NgcPin\Credentials";

/// The physical stores that make up `Root` of the machine: its own, those that Windows Update, the directory and group
/// policy fill.
const ROOTS: [&str; 4] = [
    r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SystemCertificates\ROOT\Certificates",
    r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SystemCertificates\AuthRoot\Certificates",
    r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\EnterpriseCertificates\Root\Certificates",
    r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\SystemCertificates\Root\Certificates",
];

/// What is known beside the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Users of the machine.
    pub users: Vec<Sid>,
    /// The tenant it is joined to.
    pub tenant: Option<Guid>,
}

/// Everything that a machine's registry says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Evidence.
    pub found: Vec<Found>,
    /// The operating system; `None` where no file shows its build.
    pub system: Option<(System, Vec<usize>)>,
    /// Whether the service of the KDC is disabled; `None` where no file tells.
    pub kdc_disabled: Option<bool>,
}

/// One piece of evidence, and the numbers of the files that told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it speaks of.
    pub key: ObservationKey,
    /// What it says.
    pub outcome: Outcome,
    /// The files.
    pub files: Vec<usize>,
}

/// The operating system as its own key describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct System {
    /// `ProductName`, with the generation corrected that Windows 11 still calls 10.
    pub name: Option<Text>,
    /// `CurrentMajorVersionNumber` and `CurrentMinorVersionNumber`; 10.0 without them.
    pub version: (u32, u32),
    /// `CurrentBuildNumber`.
    pub build: u32,
    /// `UBR`.
    pub revision: Option<u32>,
    /// `DisplayVersion`, `ReleaseId` before there was one.
    pub release: Option<Text>,
    /// `EditionID`.
    pub edition: Option<Text>,
    /// `ProductOptions\ProductType`, or of `InstallationType` what it proves.
    pub product_type: Option<ProductType>,
    /// Whether `InstallationType` is `Server Core`.
    pub server_core: Option<bool>,
    /// `Control\PEFirmwareType`.
    pub firmware: Option<FirmwareType>,
}

/// Reads everything.
pub fn facts(tree: &Tree, known: &Known) -> Facts {
    let mut reader = Reader { tree, known, facts: Facts::default() };
    let mut users: BTreeSet<Sid> = tree.users().into_iter().collect();
    let hives = users.clone();
    users.extend(known.users.iter().filter(|sid| sid.is_account()).cloned());
    reader.group_policy(ObservationKey::host(Kind::ComputerPolicy), POLICY);
    for sid in hives {
        let path = format!(r"HKEY_USERS\{sid}\SOFTWARE\Policies\Microsoft\PassportForWork");
        reader.group_policy(ObservationKey::user(Kind::UserPolicy, sid), &path);
    }
    reader.mdm(&users);
    reader.device_registration();
    reader.stores();
    reader.kdc();
    reader.pin_provider(users);
    reader.system();
    reader.facts
}

struct Reader<'a> {
    tree: &'a Tree,
    known: &'a Known,
    facts: Facts,
}

impl Reader<'_> {
    fn add(&mut self, key: ObservationKey, outcome: Outcome, mut files: Vec<usize>) {
        files.sort_unstable();
        files.dedup();
        self.facts.found.push(Found { key, outcome, files });
    }

    fn group_policy(&mut self, key: ObservationKey, path: &str) {
        let mut files = Vec::new();
        let outcome = match self.tree.subtree(path, &mut files) {
            Look::There(nodes) => {
                let nodes = nodes.iter().map(|(path, node)| (path.as_str(), *node));
                policy_outcome(key.kind, hello_policy(Channel::Group, nodes))
            }
            Look::Missing => Outcome::Absent,
            Look::CutOff => cut_off(path),
            Look::NotCovered => return,
        };
        self.add(key, outcome, files);
    }

    fn mdm(&mut self, users: &BTreeSet<Sid>) {
        let mut files = Vec::new();
        let nodes = match self.tree.subtree(MDM, &mut files) {
            Look::There(nodes) => nodes,
            Look::NotCovered => return,
            look => {
                let outcome = if look == Look::Missing { Outcome::Absent } else { cut_off(MDM) };
                self.add(ObservationKey::host(Kind::DeviceMdmPolicy), outcome.clone(), files.clone());
                for sid in users {
                    self.add(ObservationKey::user(Kind::UserMdmPolicy, sid.clone()), outcome.clone(), files.clone());
                }
                return;
            }
        };
        let first = |path: &String| path.split('\\').next().unwrap_or_default().to_owned();
        let tenants: BTreeSet<(String, Guid)> =
            nodes.keys().map(first).filter_map(|name| Some((name.clone(), name.parse().ok()?))).collect();
        // The tenant it is joined to; what another left behind says nothing about this one.
        let joined = tenants.iter().find(|(_, tenant)| Some(*tenant) == self.known.tenant);
        let chosen = joined.or_else(|| tenants.first().filter(|_| self.known.tenant.is_none()));
        let mut all_users = users.clone();
        if let Some((name, _)) = chosen {
            let prefix = format!("{name}\\");
            let below = nodes.keys().filter_map(|path| path.strip_prefix(&prefix)?.split('\\').next()?.parse().ok());
            all_users.extend(below.filter(Sid::is_account).take(limits::USERS_PER_HOST));
        }
        let keys = std::iter::once(ObservationKey::host(Kind::DeviceMdmPolicy))
            .chain(all_users.into_iter().map(|sid| ObservationKey::user(Kind::UserMdmPolicy, sid)));
        for key in keys {
            let who = match &key.subject {
                muster_evidence::Subject::User(sid) => sid.as_str(),
                _ => "Device",
            };
            let Some((name, tenant)) = chosen else {
                self.add(key, Outcome::Absent, files.clone());
                continue;
            };
            let mut found: Vec<(&str, &Node)> = below(&nodes, &format!(r"{name}\{who}\Policies")).collect();
            let is_there = !found.is_empty();
            if key.kind == Kind::DeviceMdmPolicy {
                // Biometrics are set for the machine, outside of the tenant.
                found.extend(
                    below(&nodes, "Biometrics")
                        .filter(|(path, _)| path.is_empty())
                        .map(|(_, node)| ("biometrics", node)),
                );
            }
            if !is_there && found.is_empty() {
                self.add(key, Outcome::Absent, files.clone());
                continue;
            }
            let mut policy = hello_policy(Channel::Mdm, found);
            policy.tenant_id = Some(*tenant);
            for (_, other) in tenants.iter().filter(|(_, other)| other != tenant) {
                if policy.other.len() < limits::POLICY_VALUES {
                    policy.other.push(Text::cut(&format!("tenant {other}=also configured")));
                }
            }
            let outcome = policy_outcome(key.kind, policy);
            self.add(key, outcome, files.clone());
        }
    }

    fn device_registration(&mut self) {
        let mut files = Vec::new();
        let (policy, scp) = (self.tree.key(WORKPLACE_JOIN, &mut files), self.tree.key(CLIENT_SCP, &mut files));
        let key = ObservationKey::host(Kind::DeviceRegistrationPolicy);
        let (policy, scp) = match both((WORKPLACE_JOIN, policy), (CLIENT_SCP, scp)) {
            Both::Known(policy, scp) => (policy, scp),
            Both::Half(outcome) => return self.add(key, outcome, files),
            Both::Nothing => return,
        };
        let found = DeviceRegistrationPolicy {
            block_workplace_join: policy.and_then(|node| node.dword("BlockAADWorkplaceJoin")),
            auto_workplace_join: policy.and_then(|node| node.dword("autoWorkplaceJoin")),
            scp_tenant_id: scp.and_then(|node| node.text("TenantId")?.parse().ok()),
            scp_tenant_name: scp.and_then(|node| node.text("TenantName")).map(Text::cut),
        };
        self.add(key, Outcome::Observed(Evidence::DeviceRegistrationPolicy(found)), files);
    }

    fn stores(&mut self) {
        let mut files = Vec::new();
        let outcome = match self.tree.children(NTAUTH, &mut files) {
            Look::There(names) => Some(Outcome::Observed(Evidence::NtAuthStore(store(&names, 0)))),
            // A store without a key is an empty one.
            Look::Missing => Some(Outcome::Observed(Evidence::NtAuthStore(TrustStore::default()))),
            Look::CutOff => Some(cut_off(NTAUTH)),
            Look::NotCovered => None,
        };
        if let Some(outcome) = outcome {
            self.add(ObservationKey::host(Kind::NtAuthStore), outcome, files);
        }

        let (mut names, mut files, mut unseen, mut seen) = (Vec::new(), Vec::new(), 0, 0);
        for path in ROOTS {
            match self.tree.children(path, &mut files) {
                Look::There(found) => {
                    names.extend(found);
                    seen += 1;
                }
                Look::Missing => seen += 1,
                // What was not looked at may hold what the others do not.
                Look::CutOff | Look::NotCovered => unseen += 1,
            }
        }
        if seen > 0 {
            let outcome = Outcome::Observed(Evidence::RootStore(store(&names, unseen)));
            self.add(ObservationKey::host(Kind::RootStore), outcome, files);
        }
    }

    fn kdc(&mut self) {
        let mut files = Vec::new();
        let (service, sam) = (self.tree.key(KDC, &mut files), self.tree.key(SAM_POLICY, &mut files));
        if let Look::There(node) = &service {
            self.facts.kdc_disabled = node.dword("Start").map(|start| start == SERVICE_DISABLED);
        }
        // `Policies\System` is exported from endpoints as well, which have no KDC to set anything about.
        if service == Look::NotCovered {
            return;
        }
        let key = ObservationKey::host(Kind::KdcPolicy);
        let (service, sam) = match both((KDC, service), (SAM_POLICY, sam)) {
            Both::Known(service, sam) => (service, sam),
            Both::Half(outcome) => return self.add(key, outcome, files),
            Both::Nothing => return,
        };
        let found = KdcPolicy {
            allow_nt_auth_policy_bypass: service.and_then(|node| node.dword("AllowNtAuthPolicyBypass")),
            sam_ngc_key_roca_validation: sam.and_then(|node| node.dword("SamNGCKeyROCAValidation")),
        };
        self.add(key, Outcome::Observed(Evidence::KdcPolicy(found)), files);
    }

    fn pin_provider(&mut self, mut users: BTreeSet<Sid>) {
        let mut files = Vec::new();
        let nodes = match self.tree.subtree(PIN_PROVIDER, &mut files) {
            Look::There(nodes) => nodes,
            Look::Missing => std::collections::BTreeMap::new(),
            Look::CutOff | Look::NotCovered => return,
        };
        let convenience = match self.tree.children(CONVENIENCE_PIN, &mut files) {
            Look::There(names) => Some(names.iter().map(|name| name.to_lowercase()).collect()),
            Look::Missing => Some(BTreeSet::new()),
            Look::CutOff | Look::NotCovered => None,
        };
        let shown = nodes.keys().filter_map(|path| path.parse::<Sid>().ok()).filter(Sid::is_account);
        users.extend(shown.take(limits::USERS_PER_HOST));
        for sid in users {
            let folded = sid.as_str().to_lowercase();
            let found = PinProvider {
                logon_credentials_available: nodes.get(&folded).and_then(|node| node.dword("LogonCredsAvailable")),
                convenience_pin: convenience.as_ref().map(|names| names.contains(&folded)),
            };
            let outcome = Outcome::Observed(Evidence::PinProvider(found));
            self.add(ObservationKey::user(Kind::PinProvider, sid), outcome, files.clone());
        }
    }

    fn system(&mut self) {
        let mut files = Vec::new();
        let Look::There(node) = self.tree.key(VERSION, &mut files) else { return };
        let build = node.text("CurrentBuildNumber").or_else(|| node.text("CurrentBuild"));
        let Some(build) = build.and_then(|build| build.parse::<u32>().ok()) else { return };
        let installation = node.text("InstallationType");
        let declared = match self.tree.key(PRODUCT, &mut files) {
            Look::There(node) => match node.text("ProductType") {
                Some("WinNT") => Some(ProductType::Workstation),
                Some("LanmanNT") => Some(ProductType::DomainController),
                Some("ServerNT") => Some(ProductType::Server),
                _ => None,
            },
            _ => None,
        };
        let firmware = match self.tree.key(CONTROL, &mut files) {
            Look::There(node) => match node.dword("PEFirmwareType") {
                Some(1) => Some(FirmwareType::Bios),
                Some(2) => Some(FirmwareType::Uefi),
                _ => None,
            },
            _ => None,
        };
        let system = System {
            name: node.text("ProductName").map(|name| Text::cut(&product_name(name, build))),
            version: (
                node.dword("CurrentMajorVersionNumber").unwrap_or(10),
                node.dword("CurrentMinorVersionNumber").unwrap_or(0),
            ),
            build,
            revision: node.dword("UBR"),
            release: node.text("DisplayVersion").or_else(|| node.text("ReleaseId")).map(Text::cut),
            edition: node.text("EditionID").map(Text::cut),
            // A server may be a domain controller; the installation's type does not tell.
            product_type: declared.or_else(|| (installation == Some("Client")).then_some(ProductType::Workstation)),
            server_core: installation.map(|installation| installation == "Server Core"),
            firmware,
        };
        self.facts.system = Some((system, files));
    }
}

const SERVICE_DISABLED: u32 = 4;

/// Windows 11 calls itself 10 in its registry.
fn product_name(name: &str, build: u32) -> String {
    match name.strip_prefix("Windows 10") {
        Some(rest) if build >= 22_000 => format!("Windows 11{rest}"),
        _ => name.to_owned(),
    }
}

fn policy_outcome(kind: Kind, policy: HelloPolicy) -> Outcome {
    let policy = Box::new(policy);
    Outcome::Observed(match kind {
        Kind::UserPolicy => Evidence::UserPolicy(policy),
        Kind::UserMdmPolicy => Evidence::UserMdmPolicy(policy),
        Kind::DeviceMdmPolicy => Evidence::DeviceMdmPolicy(policy),
        _ => Evidence::ComputerPolicy(policy),
    })
}

fn cut_off(path: &str) -> Outcome {
    failed(FailureReason::Incomplete, format!("the registry export ends before the end of `{path}`"))
}

/// Two keys that make up one kind of evidence.
enum Both<'n> {
    Known(Option<&'n Node>, Option<&'n Node>),
    Half(Outcome),
    Nothing,
}

fn both<'n>(one: (&str, Look<&'n Node>), other: (&str, Look<&'n Node>)) -> Both<'n> {
    let known = |look: &Look<&'n Node>| match look {
        Look::There(node) => Some(Some(*node)),
        Look::Missing => Some(None),
        Look::CutOff | Look::NotCovered => None,
    };
    match (known(&one.1), known(&other.1)) {
        (Some(first), Some(second)) => Both::Known(first, second),
        (None, None) if one.1 == Look::NotCovered && other.1 == Look::NotCovered => Both::Nothing,
        (first, _) => {
            let (path, look) = if first.is_none() { one } else { other };
            match look {
                Look::CutOff => Both::Half(cut_off(path)),
                _ => Both::Half(failed(FailureReason::Incomplete, format!("no registry export covers `{path}`"))),
            }
        }
    }
}

/// A store of these certificates. `unseen` counts the parts of it that nobody looked at.
fn store(names: &[&str], unseen: u32) -> TrustStore {
    let all: BTreeSet<Thumbprint> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let beyond = all.len().saturating_sub(limits::TRUSTED_CERTIFICATES);
    TrustStore {
        thumbprints: all.into_iter().take(limits::TRUSTED_CERTIFICATES).collect(),
        left_out: u32::try_from(beyond).unwrap_or(u32::MAX).saturating_add(unseen),
    }
}
