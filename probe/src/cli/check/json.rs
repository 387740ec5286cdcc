//! The result of a check as a document for programs. `docs/check-json.md` describes it; fields are only added.

use muster_evidence::{Forest, Kind, Observation, Origin, Role, SiteName, Text, Timestamp};
use muster_readiness::{Check, Finding, Gap, Judged, Judgement, NotApplicable, Standing, Verdict, check_by_id};
use serde::Serialize;

use super::Outcome;
use super::table::Causes;
use crate::cli::exit::{Failed, INTERNAL, of_standing};
use crate::judge_local::JudgedMachine;
use crate::machine::Machine;

/// The form of the document. Grows only when a field changes its meaning.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    probe_version: &'static str,
    standing: Standing,
    exit_code: u8,
    generated_at: Timestamp,
    machines: Vec<MachineEntry<'a>>,
    directories: Vec<DirectoryEntry<'a>>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct MachineEntry<'a> {
    host: &'a str,
    forest: Option<&'a str>,
    site: Option<&'a str>,
    roles: Vec<&'static str>,
    origin: Origin,
    observed_at: Timestamp,
    observed_at_assumed: bool,
    judged_at: Timestamp,
    standing: Standing,
    counts: Counts,
    checks: Vec<CheckEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Vec<&'a Observation>>,
}

#[derive(Serialize)]
struct DirectoryEntry<'a> {
    host: &'a str,
    forest: &'a str,
    source: &'a str,
    as_of: Timestamp,
    complete: bool,
    users: usize,
}

#[derive(Serialize)]
struct Counts {
    blocked: usize,
    unknown: usize,
    advisory: usize,
    ready: usize,
    not_applicable: usize,
}

#[derive(Serialize)]
struct CheckEntry<'a> {
    check: &'a str,
    title: &'static str,
    subject: Subject<'a>,
    standing: Standing,
    #[serde(flatten)]
    words: Words<'a>,
    meaning: &'static str,
    /// The check whose failure explains this one.
    root_cause: Option<&'a str>,
    evidence_at: Option<Timestamp>,
    valid_until: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Subject<'a> {
    Host,
    Site,
    User { sid: &'a str, account: Option<&'a str> },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Words<'a> {
    None {},
    Finding { seen: &'a str, needed: &'a str, remedy: &'a str, source: &'a str },
    Gap { missing: &'a str, why: &'a str },
    NotApplicable { reason: &'a str },
}

/// The document. With `only`, it has that check alone and the evidence it reads.
pub(super) fn document(result: &Outcome, only: Option<&str>) -> Result<String, Failed> {
    let standing = result.standing();
    let document = Document {
        format: FORMAT,
        probe_version: env!("CARGO_PKG_VERSION"),
        standing,
        exit_code: of_standing(standing),
        generated_at: result.now,
        machines: result.machines.iter().map(|judged| machine(judged, only)).collect(),
        directories: result.readers.iter().flat_map(directories).collect(),
        problems: &result.problems,
    };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Failed { code: INTERNAL, message: format!("failed to write JSON: {error}") })?;
    Ok(format!("{text}\n"))
}

fn directories(reader: &Machine) -> impl Iterator<Item = DirectoryEntry<'_>> {
    reader.inventory.iter().map(|part| DirectoryEntry {
        host: reader.identity.name.as_str(),
        forest: part.forest.as_str(),
        source: part.source.as_str(),
        as_of: part.as_of,
        complete: part.complete,
        users: part.items.len(),
    })
}

fn machine<'a>(judged: &'a JudgedMachine, only: Option<&str>) -> MachineEntry<'a> {
    let machine = &judged.machine;
    let wanted = |judgement: &&Judgement| only.is_none_or(|id| judgement.check == id);
    let causes = Causes::of(judged);
    MachineEntry {
        host: machine.identity.name.as_str(),
        forest: machine.identity.forest.as_ref().map(Forest::as_str),
        site: machine.identity.site.as_ref().map(SiteName::as_str),
        roles: machine.roles.iter().map(|role: &Role| role.name()).collect(),
        origin: machine.origin,
        observed_at: machine.observed_at,
        observed_at_assumed: machine.observed_at_assumed,
        judged_at: judged.judged_at,
        standing: judged.standing(),
        counts: Counts {
            blocked: judged.count(Standing::Blocked),
            unknown: judged.count(Standing::Unknown),
            advisory: judged.count(Standing::Advisory),
            ready: judged.count(Standing::Ready),
            not_applicable: judged.count(Standing::NotApplicable),
        },
        checks: judged.judgements.iter().filter(wanted).map(|judgement| check(judgement, judged, &causes)).collect(),
        evidence: only.map(|id| {
            let reads: &[Kind] = check_by_id(id).map_or(&[], |check| check.reads());
            machine.observations.iter().filter(|seen| reads.contains(&seen.key.kind)).collect()
        }),
    }
}

fn check<'a>(judgement: &'a Judgement, judged: &'a JudgedMachine, causes: &Causes<'a>) -> CheckEntry<'a> {
    CheckEntry {
        check: &judgement.check,
        title: check_by_id(&judgement.check).map(Check::title).unwrap_or_default(),
        subject: match &judgement.subject {
            Judged::Host => Subject::Host,
            Judged::Site => Subject::Site,
            Judged::User(sid) => {
                Subject::User { sid: sid.as_str(), account: judged.machine.accounts.get(sid).map(Text::as_str) }
            }
        },
        standing: judgement.verdict.standing(),
        words: match &judgement.verdict {
            Verdict::Ready => Words::None {},
            Verdict::Advisory(Finding { seen, needed, remedy, source })
            | Verdict::Blocked(Finding { seen, needed, remedy, source }) => {
                Words::Finding { seen, needed, remedy, source }
            }
            Verdict::Unknown(Gap { missing, why }) => Words::Gap { missing, why },
            Verdict::NotApplicable(NotApplicable { reason }) => Words::NotApplicable { reason },
        },
        meaning: check_by_id(&judgement.check).map(|check| check.page().why()).unwrap_or_default(),
        root_cause: causes.of_finding(judgement).map(|cause| cause.check.as_ref()),
        evidence_at: judgement.evidence_at,
        valid_until: judgement.valid_until,
    }
}
