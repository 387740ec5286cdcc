//! Judges machines right here, with the same rules as the collector and less knowledge.
//!
//! What takes a view of the whole site is left to the collector: a probe knows no inventory of domain controllers and
//! no other machines. Keys in the directory are known where a capture brought them.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{
    Evidence, Forest, InventoryItem, InventoryPart, JoinKind, Kind, Outcome, Role, Sid, SiteName, SiteRef, Timestamp,
};
use muster_readiness::derive::capability::Capability;
use muster_readiness::derive::kdc_issuers::kdc_issuers;
use muster_readiness::{
    Check, DcState, Facts, ForestFacts, Freshness, HostFacts, Judgement, KeyInventory, Policy, SiteFacts, Standing,
    check_by_id, counts, held, judge,
};

use crate::machine::Machine;

/// The time a machine is judged as of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// When the machine was seen.
    Observed,
    /// At that time; evidence may have gone stale by then.
    At(Timestamp),
}

/// A machine and its verdicts.
#[derive(Clone, Debug)]
pub struct JudgedMachine {
    /// The machine.
    pub machine: Machine,
    /// When the verdicts hold.
    pub judged_at: Timestamp,
    /// The verdicts, in the order of the checks.
    pub judgements: Vec<Judgement>,
    standing: Standing,
}

impl JudgedMachine {
    /// The worst verdict of the checks that count in a standing. Nothing that could be judged is unknown, never ready.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// How many verdicts have that standing.
    pub fn count(&self, standing: Standing) -> usize {
        self.judgements.iter().filter(|judgement| judgement.verdict.standing() == standing).count()
    }

    /// How many verdicts count: all but those that do not apply.
    pub fn counted(&self) -> usize {
        self.judgements.len() - self.count(Standing::NotApplicable)
    }
}

/// What judging several machines yields.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Machines that people sign in to, or at.
    pub machines: Vec<JudgedMachine>,
    /// Machines that only told what stands in a directory. No check speaks of them.
    pub readers: Vec<Machine>,
}

/// Judges machines that are known together: keys in the directory that one brought are read for all of its forest.
///
/// `entra_joined` says whether Entra-joined (not hybrid) endpoints are among the people served. `None` leaves it to what
/// is seen: one such endpoint among the machines proves it for its forest, none proves nothing.
pub fn judge_all(machines: Vec<Machine>, policy: &Policy, as_of: AsOf, entra_joined: Option<bool>) -> Judged {
    let inventories = inventories(&machines);
    let population = Population { told: entra_joined, seen_in: entra_joined_in(&machines) };
    let controllers = controllers(&machines, policy, as_of);
    let mut judged = Judged::default();
    for machine in machines {
        if machine.roles.iter().any(|role| matches!(role, Role::Endpoint | Role::DomainController)) {
            judged.machines.push(judge_one(machine, &inventories, &population, &controllers, policy, as_of));
        } else {
            judged.readers.push(machine);
        }
    }
    judged
}

/// Whether Entra-joined endpoints are among the people served.
struct Population {
    told: Option<bool>,
    /// Forests and sites in which such an endpoint was seen.
    seen_in: BTreeSet<(Option<Forest>, Option<SiteName>)>,
}

impl Population {
    fn of(&self, machine: &Machine) -> Option<bool> {
        self.told.or_else(|| self.seen_in.contains(&place(machine)).then_some(true))
    }
}

fn place(machine: &Machine) -> (Option<Forest>, Option<SiteName>) {
    (machine.identity.forest.clone(), machine.identity.site.clone())
}

fn entra_joined_in(machines: &[Machine]) -> BTreeSet<(Option<Forest>, Option<SiteName>)> {
    let joined = |machine: &&Machine| {
        machine.observations.iter().any(|seen| match &seen.outcome {
            Outcome::Observed(Evidence::JoinState(join)) => join.kind() == JoinKind::EntraJoined,
            Outcome::Observed(_) | Outcome::Absent | Outcome::Unsupported(_) | Outcome::Failed(_) => false,
        })
    };
    machines.iter().filter(joined).map(place).collect()
}

/// The domain controllers that are judged along with their endpoints, by forest and site.
type Controllers = BTreeMap<(Option<Forest>, Option<SiteName>), Vec<DcState>>;

/// What endpoints are judged by of the controllers that serve them: whether they serve key trust, and whom one must
/// trust for that.
fn controllers(machines: &[Machine], policy: &Policy, as_of: AsOf) -> Controllers {
    let mut found = Controllers::new();
    for machine in machines.iter().filter(|machine| machine.roles.contains(&Role::DomainController)) {
        let (host, site, forest) = (host_facts(machine), SiteFacts::unknown(site(machine)), ForestFacts::default());
        let facts = Facts { host: &host, site: &site, forest: &forest };
        let judged_at = match as_of {
            AsOf::At(at) => at,
            AsOf::Observed => machine.observed_at,
        };
        let observed = |kind| match host.of_host(kind).map(|seen| &seen.outcome) {
            Some(Outcome::Observed(evidence)) => Some(evidence),
            _ => None,
        };
        let operating_system = match observed(Kind::OperatingSystem) {
            Some(Evidence::OperatingSystem(os)) => Some(os),
            _ => None,
        };
        let names = match observed(Kind::DomainController) {
            Some(Evidence::DomainController(names)) => Some(names),
            _ => None,
        };
        found.entry(place(machine)).or_default().push(DcState {
            host: host.host.clone(),
            operating_system: operating_system.cloned(),
            capability: Capability::derive(operating_system, names, policy),
            judgements: Vec::new(),
            last_seen: machine.observed_at,
            kdc_issuers: kdc_issuers(&facts, judged_at),
        });
    }
    found
}

fn host_facts(machine: &Machine) -> HostFacts {
    HostFacts {
        host: machine.identity.name.clone(),
        forest: machine.identity.forest.clone(),
        roles: machine.roles.clone(),
        observations: machine.observations.iter().map(|seen| (seen.key.clone(), seen.clone())).collect(),
    }
}

fn judge_one(
    machine: Machine,
    inventories: &Inventories,
    population: &Population,
    controllers: &Controllers,
    policy: &Policy,
    as_of: AsOf,
) -> JudgedMachine {
    let inventory = inventory_of(&machine, inventories);
    let forest = forest_facts(&machine, inventory);
    let site = SiteFacts {
        entra_joined_endpoints: population.of(&machine),
        dcs: controllers.get(&place(&machine)).cloned().unwrap_or_default(),
        ..SiteFacts::unknown(site(&machine))
    };
    let host = host_facts(&machine);
    let judged_at = match (as_of, &forest.inventory) {
        (AsOf::At(at), _) => at,
        // The directory was read after the machine: what it says of the machine's users holds from then on.
        (AsOf::Observed, Some(inventory)) if !machine.users().is_empty() => machine.observed_at.max(inventory.as_of),
        (AsOf::Observed, _) => machine.observed_at,
    };
    let facts = Facts { host: &host, site: &site, forest: &forest };
    let mut judgements = judge(&facts, policy, judged_at);
    if let AsOf::At(_) = as_of {
        let is_dc = machine.roles.contains(&Role::DomainController);
        for judgement in &mut judgements {
            *judgement = held_here(judgement, machine.observed_at, forest.inventory, is_dc, policy, judged_at);
        }
    }
    let standing = standing_of(&judgements, policy);
    JudgedMachine { machine, judged_at, judgements, standing }
}

fn standing_of(judgements: &[Judgement], policy: &Policy) -> Standing {
    let counted = judgements.iter().filter_map(|judgement| {
        let check = check_by_id(&judgement.check).filter(|check| counts(*check, policy))?;
        Some(check.severity().weighs(judgement.verdict.standing()))
    });
    match counted.max() {
        None | Some(Standing::NotApplicable) => Standing::Unknown,
        Some(standing) => standing,
    }
}

/// The judgement as it stands at that time: stale where the oldest observation it rests on is, whatever else of the
/// machine was seen since. Where it rests on the directory too, that must have been read lately as well.
fn held_here(
    judgement: &Judgement,
    observed_at: Timestamp,
    inventory: Option<KeyInventory>,
    is_dc: bool,
    policy: &Policy,
    now: Timestamp,
) -> Judgement {
    let of = if is_dc { Check::freshness_on_dc } else { Check::freshness };
    let freshness = check_by_id(&judgement.check).map_or(Freshness::Endpoint, of);
    let seen_at = judgement.evidence_at.unwrap_or(observed_at);
    match (freshness, inventory) {
        (Freshness::Directory, Some(inventory)) => {
            let read = held(judgement, freshness, inventory.as_of, policy, now);
            held(&read, Freshness::User, seen_at, policy, now)
        }
        _ => held(judgement, freshness, seen_at, policy, now),
    }
}

fn site(machine: &Machine) -> Option<SiteRef> {
    let name = machine.identity.site.clone()?;
    Some(SiteRef { forest: machine.identity.forest.clone()?, name, object_guid: None })
}

/// The newest complete or incomplete reading of each forest's keys.
type Inventories = BTreeMap<Forest, (KeyInventory, Vec<InventoryPart>)>;

fn inventories(machines: &[Machine]) -> Inventories {
    let mut found = Inventories::new();
    for machine in machines {
        let forests: BTreeSet<&Forest> = machine.inventory.iter().map(|part| &part.forest).collect();
        for forest in forests {
            let parts: Vec<InventoryPart> =
                machine.inventory.iter().filter(|part| part.forest == *forest).cloned().collect();
            let Some(as_of) = parts.iter().map(|part| part.as_of).min() else { continue };
            let read = KeyInventory {
                as_of,
                complete: parts.iter().any(|part| part.complete),
                canary_seen: parts.iter().any(|part| part.canary_seen),
            };
            if found.get(forest).is_none_or(|(other, _)| other.as_of < as_of) {
                found.insert(forest.clone(), (read, parts));
            }
        }
    }
    found
}

/// The reading that speaks of a machine's users: of the machine's own forest, where it says which; else of a forest
/// whose name its own ends with; else of one that holds an account of the same domain.
fn inventory_of<'i>(machine: &Machine, inventories: &'i Inventories) -> Option<&'i (KeyInventory, Vec<InventoryPart>)> {
    if let Some(forest) = &machine.identity.forest {
        return inventories.get(forest);
    }
    let name = machine.identity.name.as_str();
    let by_name = inventories
        .iter()
        .find(|(forest, _)| name.strip_suffix(forest.as_str()).is_some_and(|rest| rest.ends_with('.')));
    if let Some((_, inventory)) = by_name {
        return Some(inventory);
    }
    let domains: BTreeSet<&str> = machine.users().into_iter().filter_map(domain_of).collect();
    inventories
        .values()
        .find(|(_, parts)| sids(parts).any(|sid| domain_of(sid).is_some_and(|domain| domains.contains(domain))))
}

fn sids(parts: &[InventoryPart]) -> impl Iterator<Item = &Sid> {
    parts.iter().flat_map(|part| &part.items).filter_map(|item| match item {
        InventoryItem::UserKeys(keys) => Some(&keys.sid),
        InventoryItem::Removed(_) => None,
    })
}

/// The domain of an account's SID: all of it but the last number.
fn domain_of(sid: &Sid) -> Option<&str> {
    let (domain, _) = sid.as_str().rsplit_once('-')?;
    domain.starts_with("S-1-5-21-").then_some(domain)
}

fn forest_facts(machine: &Machine, inventory: Option<&(KeyInventory, Vec<InventoryPart>)>) -> ForestFacts {
    let Some((inventory, parts)) = inventory else { return ForestFacts::default() };
    let users = machine.users();
    let keys = parts.iter().flat_map(|part| &part.items).filter_map(|item| match item {
        InventoryItem::UserKeys(keys) if users.contains(&keys.sid) => Some((keys.sid.clone(), keys.clone())),
        InventoryItem::UserKeys(_) | InventoryItem::Removed(_) => None,
    });
    ForestFacts { revision: 0, inventory: Some(*inventory), keys: keys.collect() }
}

/// What the machine is, in a few words for a headline, such as `Windows 11 Enterprise 10.0.26100`.
pub fn described(machine: &Machine) -> Option<String> {
    let system = machine.observations.iter().find_map(|seen| match &seen.outcome {
        Outcome::Observed(Evidence::OperatingSystem(system)) => {
            Some([system.name.as_str(), system.version.as_str()].join(" ").trim().to_owned())
        }
        Outcome::Observed(_) | Outcome::Absent | Outcome::Unsupported(_) | Outcome::Failed(_) => None,
    });
    let role =
        if machine.roles.contains(&Role::DomainController) { Some("domain controller".to_owned()) } else { None };
    let words: Vec<String> = role.into_iter().chain(system.filter(|text| !text.is_empty())).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use muster_evidence::{
        Context, HostIdentity, JoinState, KeyRegistration, Observation, ObservationKey, Origin, Sha256, Tristate,
        UserKeys,
    };

    use super::*;

    const ADA: &str = "S-1-5-21-1-2-3-1104";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn machine(name: &str, roles: &[Role], observed_at: &str) -> Machine {
        Machine {
            identity: HostIdentity {
                name: name.parse().unwrap(),
                forest: None,
                site: None,
                object_guid: None,
                device_id: None,
                ek_sha256: None,
            },
            roles: roles.iter().copied().collect(),
            observations: Vec::new(),
            observed_at: at(observed_at),
            observed_at_assumed: false,
            origin: Origin::Capture,
            accounts: BTreeMap::new(),
            inventory: Vec::new(),
        }
    }

    fn seen(machine: &mut Machine, key: ObservationKey, evidence: Evidence) {
        let observed_at = machine.observed_at;
        let (context, origin) = (Context::UserSession, Origin::Capture);
        machine.observations.push(Observation {
            key,
            outcome: Outcome::Observed(evidence),
            observed_at,
            context,
            origin,
        });
    }

    fn endpoint() -> Machine {
        let mut machine = machine("pc-0417.corp.example", &[Role::Endpoint], "2026-03-02T08:00:00Z");
        let joined = JoinState {
            azure_ad_joined: Tristate::Yes,
            enterprise_joined: Tristate::No,
            domain_joined: Tristate::Yes,
            workplace_joined: Tristate::No,
            domain: None,
            tenant_id: None,
            device_id: Some("0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60".parse().unwrap()),
            tpm_protected: Tristate::Yes,
            device_auth: None,
            device_certificate_not_before: None,
            device_certificate_not_after: None,
            device_certificate_thumbprint: None,
            key_sign_test: None,
            recovery: Tristate::NotShown,
        };
        seen(&mut machine, ObservationKey::host(Kind::JoinState), Evidence::JoinState(joined));
        let registration = KeyRegistration {
            registered_at: at("2026-03-01T08:00:00Z"),
            key_id: None,
            device_id: None,
            public_key_sha256: Some(Sha256([7; 32])),
            attestation: None,
            upn: None,
        };
        let key = ObservationKey::user(Kind::KeyRegistration, ADA.parse().unwrap());
        seen(&mut machine, key, Evidence::KeyRegistration(registration));
        machine
    }

    fn reader(as_of: &str) -> Machine {
        let mut reader = machine("reader.corp.example", &[Role::Directory], as_of);
        reader.inventory.push(InventoryPart {
            forest: "corp.example".parse().unwrap(),
            source: muster_evidence::Text::cut("key-credentials"),
            epoch: 1,
            cursor: 1,
            as_of: at(as_of),
            items: vec![InventoryItem::UserKeys(UserKeys {
                sid: "S-1-5-21-1-2-3-1105".parse().unwrap(),
                keys: Vec::new(),
                undecodable: 0,
                left_out: 0,
                upn: None,
            })],
            complete: true,
            canary_seen: true,
        });
        reader
    }

    #[test]
    fn nothing_that_could_be_judged_is_unknown() {
        assert_eq!(standing_of(&[], &Policy::default()), Standing::Unknown);
    }

    #[test]
    fn what_only_informs_makes_no_machine_worse() {
        let Judged { machines, .. } = judge_all(vec![endpoint()], &Policy::default(), AsOf::Observed, None);
        let mut judgements = machines[0].judgements.clone();
        judgements.retain(|judgement| matches!(&*judgement.check, "join.type" | "user.ngc-set"));
        let standings: Vec<_> = judgements.iter().map(|judgement| judgement.verdict.standing()).collect();
        assert_eq!(standings, [Standing::Ready, Standing::Unknown], "{judgements:?}");
        assert_eq!(standing_of(&judgements, &Policy::default()), Standing::Ready);
        assert_eq!(standing_of(&judgements[1..], &Policy::default()), Standing::Unknown, "nothing that counts");
    }

    #[test]
    fn a_reader_of_the_directory_is_not_judged_and_its_keys_are_read_for_the_others() {
        let Judged { machines, readers } =
            judge_all(vec![endpoint(), reader("2026-03-02T09:00:00Z")], &Policy::default(), AsOf::Observed, None);
        assert_eq!(readers.len(), 1);
        let [judged] = machines.as_slice() else { panic!("{machines:?}") };
        assert_eq!(judged.judged_at, at("2026-03-02T09:00:00Z"), "when the directory was read");
        let state = judged.judgements.iter().find(|judgement| judgement.check == "sync.key-state").unwrap();
        assert_ne!(state.verdict.standing(), Standing::Unknown, "{state:?}");

        let alone = judge_all(vec![endpoint()], &Policy::default(), AsOf::Observed, None);
        let state = alone.machines[0].judgements.iter().find(|judgement| judgement.check == "sync.key-state").unwrap();
        assert_eq!(state.verdict.standing(), Standing::Unknown, "nobody read the directory: {state:?}");
    }

    #[test]
    fn a_directory_of_another_forest_says_nothing() {
        let mut other = reader("2026-03-02T09:00:00Z");
        other.inventory[0].forest = "other.example".parse().unwrap();
        let InventoryItem::UserKeys(keys) = &mut other.inventory[0].items[0] else { unreachable!() };
        keys.sid = "S-1-5-21-9-9-9-1104".parse().unwrap();
        let inventories = inventories(&[other.clone()]);
        assert!(inventory_of(&endpoint(), &inventories).is_none());
        // The same domain by its SID makes it the machine's own, whatever its name.
        let InventoryItem::UserKeys(keys) = &mut other.inventory[0].items[0] else { unreachable!() };
        keys.sid = "S-1-5-21-1-2-3-2000".parse().unwrap();
        assert!(inventory_of(&endpoint(), &super::inventories(&[other])).is_some());
    }

    #[test]
    fn old_evidence_is_a_gap_when_it_is_judged_today() {
        let standing = |as_of| {
            let judged = judge_all(vec![endpoint()], &Policy::default(), as_of, None);
            let found = judged.machines[0].judgements.iter().find(|judgement| judgement.check == "join.type").unwrap();
            found.verdict.standing()
        };
        assert_eq!(standing(AsOf::Observed), Standing::Ready);
        assert_eq!(standing(AsOf::At(at("2026-03-10T08:00:00Z"))), Standing::Ready);
        assert_eq!(standing(AsOf::At(at("2026-11-22T08:00:00Z"))), Standing::Unknown);
    }

    #[test]
    fn an_old_observation_is_stale_beside_a_new_one() {
        let mut machine = endpoint();
        machine.observed_at = at("2026-11-22T08:00:00Z");
        let system = Kind::OperatingSystem;
        let old = machine.observations[0].clone();
        machine.observations.push(Observation {
            key: ObservationKey::host(system),
            outcome: Outcome::Absent,
            observed_at: machine.observed_at,
            ..old
        });
        let judged = judge_all(vec![machine], &Policy::default(), AsOf::At(at("2026-11-22T09:00:00Z")), None);
        let found = judged.machines[0].judgements.iter().find(|judgement| judgement.check == "join.type").unwrap();
        assert_eq!(found.verdict.standing(), Standing::Unknown, "joined in March is not joined in November: {found:?}");
    }
}
