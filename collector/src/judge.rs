//! Judging a host: its facts in; verdicts, transitions, counter changes and the next due time out.
//!
//! Used for reports, for hosts whose verdicts are due and after a change of policy. There is no rule and no I/O in
//! here: what evidence means is asked of `muster-readiness`, and whoever calls brings the bodies.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use muster_evidence::{
    Evidence, Forest, HostName, JoinKind, Kind, Observation, ObservationKey, OperatingSystem, Outcome, SiteRef,
    Timestamp,
};
use muster_proto::convert::{WireKey, context_from_wire, decode_body_of, origin_from_wire, role_from_wire};
use muster_proto::v1;
use muster_readiness::derive::capability::Capability;
use muster_readiness::derive::kdc_certificate::{KdcCertificate, kdc_certificate};
use muster_readiness::derive::kdc_issuers::kdc_issuers;
use muster_readiness::derive::population::counts_as_endpoint;
use muster_readiness::{
    Facts, ForestFacts, HostFacts, Judged, Judgement, SiteFacts, Standing, Waiver, apply_waivers, check_by_id, judge,
    keeps_last_verdict, stale_at,
};

use crate::policy_state::PolicyInForce;
use crate::table::{DcRow, judged_at, site_from_wire, site_to_wire};
use crate::verdict::{judgement_from_stored, judgement_to_stored, standing_from_stored};

/// Shortest time between two judgings that a date in the evidence asks for: a date that a rule names as its limit and
/// that has just passed must not be asked for again and again.
const LEAST_DUE_MS: i64 = 1_000;

/// What a host is judged from.
#[derive(Debug)]
pub struct Case<'a> {
    /// Its record as it will be written.
    pub record: &'a v1::HostRecord,
    /// Its record and verdicts as they stand; `None` for a new host.
    pub before: Option<(&'a v1::HostRecord, &'a v1::VerdictRecord)>,
    /// Its facts.
    pub host: &'a HostFacts,
    /// Its site.
    pub site: &'a SiteFacts,
    /// Its forest.
    pub forest: &'a ForestFacts,
    /// The policy, with its waivers.
    pub policy: &'a PolicyInForce,
    /// The time.
    pub now: Timestamp,
}

/// What judging gives.
#[derive(Clone, Debug)]
pub struct Judging {
    /// Every verdict, with the time since which it stands.
    pub verdicts: v1::VerdictRecord,
    /// What changed.
    pub transitions: Vec<v1::Transition>,
    /// When a date in the evidence asks for judging again.
    pub due: Option<Timestamp>,
    /// The operating system in words.
    pub operating_system: String,
    /// Whether it is joined to Entra ID only; `None` where not known.
    pub entra_joined: Option<bool>,
    /// Whether it counts among the endpoints of its site; `None` where nothing says what system it runs.
    pub counts_as_endpoint: Option<bool>,
    /// The pool it is counted in; empty where it counts by itself.
    pub pool: String,
    /// For a domain controller.
    pub dc: Option<DcRow>,
}

/// Judges a host.
pub fn judge_host(case: &Case<'_>) -> Judging {
    let Case { record, before, host, site, forest, policy, now } = *case;
    let place = record.site.as_ref().and_then(site_from_wire);
    let facts = Facts { host, site, forest };
    let mut judgements = judge(&facts, &policy.policy, now);
    let mut due: Option<Timestamp> = None;
    let mut asks_for = |until: Timestamp| due = Some(due.map_or(until, |due| due.min(until)));
    for judgement in judgements.iter_mut().filter(|judgement| keeps_last_verdict(&judgement.verdict)) {
        if let Some((last, holds_until)) = last_verdict(case, place.as_ref(), judgement) {
            *judgement = last;
            asks_for(holds_until);
        }
    }
    let waivers = waivers_of(record, &host.host, &policy.waivers);
    let waived: Vec<Option<String>> = judgements
        .iter_mut()
        .map(|judgement| {
            apply_waivers(judgement, &waivers, Some(&host.host), place.as_ref(), now)
                .map(|waiver| format!("{}: {} (until {})", waiver.who, waiver.reason, waiver.expires_at))
        })
        .collect();

    let mut stood: BTreeMap<(&str, &str), (Standing, Timestamp)> = BTreeMap::new();
    for stored in before.iter().flat_map(|(_, verdicts)| &verdicts.verdicts) {
        if let (Some(stands), Some(verdict)) = (standing_from_stored(stored), &stored.verdict) {
            stood.insert((&stored.user_sid, &verdict.check), stands);
        }
    }

    let mut telling = Telling { case, place: place.as_ref(), transitions: Vec::new() };
    telling.of_name();
    telling.of_installation();
    telling.of_site();
    let mut verdicts = Vec::with_capacity(judgements.len());
    let mut sinces = Vec::with_capacity(judgements.len());
    for (judgement, waived) in judgements.iter().zip(waived) {
        let subject = match &judgement.subject {
            Judged::User(sid) => sid.as_str(),
            Judged::Host | Judged::Site => "",
        };
        let standing = judgement.verdict.standing();
        let earlier = stood.remove(&(subject, judgement.check.as_ref()));
        let since = match earlier {
            Some((stood, since)) if stood == standing => since,
            _ => now,
        };
        telling.of_judgement(judgement, earlier.map(|(stood, _)| stood));
        if let Some(until) = judgement.valid_until {
            asks_for(until);
        }
        verdicts.push(judgement_to_stored(judgement, since, waived));
        sinces.push(since);
    }
    for ((subject, check), (standing, _)) in stood {
        telling.of_the_gone(subject, check, standing);
    }

    let is_dc = host.roles.contains(&muster_evidence::Role::DomainController);
    let pool = (!is_dc).then(|| policy.pools.find(&host.host, place.as_ref())).flatten();
    let pool = pool.and_then(|place| policy.pools.get(place));
    // Machines of a pool come and go: what changes on one of them is no history of anything that stays, and would grow
    // without bound.
    let transitions = if pool.is_some() { Vec::new() } else { telling.transitions };
    Judging {
        verdicts: v1::VerdictRecord { verdicts },
        transitions,
        due: due.map(|due| due.max(now.plus_ms(LEAST_DUE_MS))),
        operating_system: operating_system_of(host).map(words_of).unwrap_or_default(),
        entra_joined: entra_joined(host),
        counts_as_endpoint: counts_as_endpoint(host),
        pool: pool.map(|pool| pool.name.to_string()).unwrap_or_default(),
        dc: is_dc.then(|| DcRow { since: sinces, judgements, ..dc_facts(&facts, policy, now) }),
    }
}

/// The verdict that takes the place of a gap which takes nothing away from it, and until when it may: what was known of
/// the same subject before, while that is as fresh as its check wants it. Its dates are those of its own evidence.
///
/// A gap is no verdict to keep; nor is what another installation said, or what a waiver softened that is gone.
fn last_verdict(case: &Case<'_>, place: Option<&SiteRef>, gap: &Judgement) -> Option<(Judgement, Timestamp)> {
    let Case { record, before, host, policy, now, .. } = *case;
    let (_, verdicts) = before.filter(|(known, _)| known.install_id == record.install_id)?;
    let (stored, last) = verdicts.verdicts.iter().find_map(|stored| {
        let (last, _) = judgement_from_stored(stored)?;
        (last.check == gap.check && last.subject == gap.subject).then_some((stored, last))
    })?;
    let was_waived = stored.verdict.as_ref().is_some_and(|verdict| !verdict.waived.is_empty());
    let is_waived = || {
        waivers_of(record, &host.host, &policy.waivers)
            .iter()
            .any(|own| own.covers(&last.check, Some(&host.host), place, now))
    };
    let holds_until = stale_at(check_by_id(&last.check)?.freshness(), last.evidence_at?, &policy.policy);
    let holds = now < holds_until && last.valid_until.is_none_or(|until| now < until);
    let keeps = holds && last.verdict.standing() != Standing::Unknown && (!was_waived || is_waived());
    keeps.then_some((last, holds_until))
}

/// The waivers as they concern a host: those that were made for it under a name it had at that time are made for it
/// under its own.
fn waivers_of<'w>(record: &v1::HostRecord, name: &HostName, waivers: &'w [Waiver]) -> Cow<'w, [Waiver]> {
    if record.former_names.is_empty() {
        return Cow::Borrowed(waivers);
    }
    let was_made_for = |waiver: &Waiver| {
        record.former_names.iter().any(|former| {
            waiver.host.as_ref().is_some_and(|host| host.as_str() == former.name)
                && waiver.created_at.unix_ms() <= former.renamed_at_ms
        })
    };
    let own = |waiver: &Waiver| {
        if was_made_for(waiver) { Waiver { host: Some(name.clone()), ..waiver.clone() } } else { waiver.clone() }
    };
    Cow::Owned(waivers.iter().map(own).collect())
}

/// What a site keeps of a domain controller, its verdicts apart.
pub(crate) fn dc_facts(facts: &Facts<'_>, policy: &PolicyInForce, now: Timestamp) -> DcRow {
    let domain_controller = match facts.host.of_host(Kind::DomainController).map(|found| &found.outcome) {
        Some(Outcome::Observed(Evidence::DomainController(dc))) => Some(dc),
        _ => None,
    };
    let operating_system = operating_system_of(facts.host);
    let certificate_not_after = match kdc_certificate(facts, now) {
        KdcCertificate::Selected(selection) => Some(selection.certificate.not_after),
        _ => None,
    };
    DcRow {
        capability: Capability::derive(operating_system, domain_controller, &policy.policy),
        operating_system: operating_system.cloned(),
        certificate_not_after,
        kdc_issuers: kdc_issuers(facts, now),
        judgements: Vec::new(),
        since: Vec::new(),
    }
}

/// Writes transitions.
struct Telling<'a> {
    case: &'a Case<'a>,
    place: Option<&'a SiteRef>,
    transitions: Vec<v1::Transition>,
}

impl Telling<'_> {
    /// Another name.
    fn of_name(&mut self) {
        let Some(before) = self.case.before.and_then(|(before, _)| before.identity.as_ref()) else { return };
        let name = self.case.host.host.to_string();
        if before.name != name {
            let reason = "the machine was renamed; its verdicts and its history go with it".to_owned();
            self.tell("host".to_owned(), String::new(), before.name.clone(), name, reason);
        }
    }

    /// Another installation under the same name, the one before having been silent.
    fn of_installation(&mut self) {
        let Some((before, _)) = self.case.before.filter(|(before, _)| before.install_id != self.case.record.install_id)
        else {
            return;
        };
        // Whoever takes over from a relay is a first installation of its own.
        let Some(reimage) = self.case.record.reimages.last().filter(|own| own.earlier_install_id == before.install_id)
        else {
            return;
        };
        // Its first half tells installations apart; the whole one would fill the line.
        let words = |id: &[u8]| {
            id.iter().take(8).fold("installation ".to_owned(), |mut words, byte| {
                let _ = write!(words, "{byte:02x}");
                words
            })
        };
        let reason = match reimage.same_tpm {
            Some(true) => "the machine was installed anew; its TPM is the same",
            Some(false) => "the machine was installed anew, and its TPM is another one",
            None => "the machine was installed anew; whether its TPM is the same is not known",
        };
        let (from, to) = (words(&before.install_id), words(&self.case.record.install_id));
        self.tell("host".to_owned(), String::new(), from, to, reason.to_owned());
    }

    /// A move to another site.
    fn of_site(&mut self) {
        let Some((before, _)) = self.case.before else { return };
        let was = before.site.as_ref().and_then(site_from_wire);
        if was.as_ref() == self.place {
            return;
        }
        let words = |site: Option<&SiteRef>| site.map_or_else(|| "no site".to_owned(), ToString::to_string);
        let origin = match self.case.record.site_origin() {
            v1::SiteOrigin::Directory => "the directory places the host there",
            v1::SiteOrigin::Claim => "the host says so",
            v1::SiteOrigin::Configuration => "the inventory places the host there",
            v1::SiteOrigin::Unspecified => "nothing places the host anywhere",
        };
        self.tell("host".to_owned(), String::new(), words(was.as_ref()), words(self.place), origin.to_owned());
    }

    /// A verdict that is new or stands differently. A first verdict that is well is no news.
    fn of_judgement(&mut self, judgement: &Judgement, before: Option<Standing>) {
        let standing = judgement.verdict.standing();
        let is_news = match before {
            Some(before) => before != standing,
            None => standing >= Standing::Advisory,
        };
        if is_news {
            let subject = match &judgement.subject {
                Judged::User(sid) => sid.to_string(),
                Judged::Host | Judged::Site => "host".to_owned(),
            };
            let from = before.map(|standing| standing.to_string()).unwrap_or_default();
            let (check, reason) = (judgement.check.to_string(), judgement.verdict.text());
            self.tell(subject, check, from, standing.to_string(), reason);
        }
    }

    /// A verdict that is not given any more, because its subject is gone or the check does not speak of it now.
    fn of_the_gone(&mut self, subject: &str, check: &str, before: Standing) {
        if before >= Standing::Advisory {
            let subject = if subject.is_empty() { "host" } else { subject }.to_owned();
            let to = Standing::NotApplicable.to_string();
            self.tell(subject, check.to_owned(), before.to_string(), to, "no longer judged here".to_owned());
        }
    }

    fn tell(&mut self, subject: String, check: String, from: String, to: String, reason: String) {
        self.transitions.push(v1::Transition {
            number: 0, // the store numbers them
            at_ms: self.case.now.unix_ms(),
            host: self.case.host.host.to_string(),
            site: self.place.map(site_to_wire),
            subject,
            check,
            from,
            to,
            reason,
            policy_revision: self.case.policy.revision,
            host_number: 0, // the store knows it
        });
    }
}

/// The bodies of a host, by key.
pub type Bodies = BTreeMap<WireKey, Vec<u8>>;

/// The facts of a host. An observation whose kind this build does not know, or whose stored body it cannot read, is
/// no fact; it stays in the store.
pub fn host_facts(host: HostName, record: &v1::HostRecord, bodies: &Bodies) -> HostFacts {
    let forest = record.identity.as_ref().and_then(|identity| identity.forest.as_ref()).and_then(|f| f.parse().ok());
    let mut observations = BTreeMap::new();
    for index in &record.observations {
        let Some((key, observation)) = observation(index, bodies) else { continue };
        observations.insert(key, observation);
    }
    let roles = record.roles.iter().filter_map(|role| role_from_wire(*role).ok()).collect();
    HostFacts { host, forest, roles, observations }
}

fn observation(index: &v1::ObservationIndex, bodies: &Bodies) -> Option<(ObservationKey, Observation)> {
    let wire = WireKey::from_wire(index.key.clone()?).ok()?;
    let key = wire.known()?;
    let outcome = decode_body_of(&key, bodies.get(&wire)?).ok()?;
    let observation = Observation {
        key: key.clone(),
        outcome,
        observed_at: judged_at(index)?,
        context: context_from_wire(index.context).ok()?,
        origin: origin_from_wire(index.origin).ok()?,
    };
    Some((key, observation))
}

/// The users whose keys a host's verdicts depend on.
pub fn users_of(host: &HostFacts) -> BTreeSet<String> {
    host.users().into_iter().map(ToString::to_string).collect()
}

/// The forest a host belongs to.
pub fn forest_of(record: &v1::HostRecord) -> Option<Forest> {
    record.identity.as_ref()?.forest.as_ref()?.parse().ok()
}

fn operating_system_of(host: &HostFacts) -> Option<&OperatingSystem> {
    match &host.of_host(Kind::OperatingSystem)?.outcome {
        Outcome::Observed(Evidence::OperatingSystem(system)) => Some(system),
        _ => None,
    }
}

/// An operating system in words: its name and version, with build and revision where they are known.
pub(crate) fn words_of(system: &OperatingSystem) -> String {
    match (system.build, system.revision) {
        (Some(build), Some(revision)) => format!("{} ({build}.{revision})", system.name),
        (Some(build), None) => format!("{} ({build})", system.name),
        (None, _) if system.version.is_empty() => system.name.to_string(),
        (None, _) => format!("{} {}", system.name, system.version),
    }
}

fn entra_joined(host: &HostFacts) -> Option<bool> {
    match &host.of_host(Kind::JoinState)?.outcome {
        Outcome::Observed(Evidence::JoinState(join)) => match join.kind() {
            JoinKind::Undetermined => None,
            kind => Some(kind == JoinKind::EntraJoined),
        },
        _ => None,
    }
}
