//! Reports: the envelope and its three shapes, checked on the way in and put together on the way out.
//!
//! A report whose envelope is wrong (protocol, host, numbering, bounds) is refused as a whole with an
//! [`InvalidReport`]. A part that is wrong becomes a [`Refusal`] and costs nothing else: a bad series must not lose
//! the state. Bodies are not decoded here, since the collector has most of them already; see
//! [`super::decode_body_of`].

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;

use muster_evidence::{
    ClientCertificate, Context, Evidence, HostIdentity, InstallId, InventoryItem, InventoryPart, Observation, Origin,
    Outcome, Report, Role, SeriesAppend, SeriesKind, SeriesPoint, Subject, Text, Timestamp, UnusableCertificate,
    limits,
};
use prost::Message;

use super::field::{self, InvalidField};
use super::host;
use super::observation::{
    Digest, InvalidKey, WireKey, context_from_wire, context_to_wire, encode_body, origin_from_wire, origin_to_wire,
};
use crate::link::Chain;
use crate::v1;
use crate::v1::inventory_item::Item;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol {
    /// Changes when an older end could misread what it is sent.
    pub major: u32,
    /// Changes when something is added that an older end passes over.
    pub minor: u32,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<Protocol> for v1::ProtocolVersion {
    fn from(Protocol { major, minor }: Protocol) -> Self {
        Self { major, minor }
    }
}

impl From<v1::ProtocolVersion> for Protocol {
    fn from(v1::ProtocolVersion { major, minor }: v1::ProtocolVersion) -> Self {
        Self { major, minor }
    }
}

/// The protocol this build speaks.
pub const PROTOCOL: Protocol = Protocol { major: 1, minor: 0 };

/// The majors a collector of this build serves: its own and the one before, of which 1 is the first.
pub const SERVED_MAJORS: RangeInclusive<u32> = 1..=PROTOCOL.major;

/// Most entries in the list of roles: all that are known, and room for those of newer probes.
const MOST_ROLES: usize = 16;

/// A report as it came in, with everything in it checked except the bodies.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// The probe's protocol, of a major that is served.
    pub protocol: Protocol,
    /// Version of the probe's package.
    pub probe_version: Text,
    /// The installation of the reporting probe.
    pub install_id: InstallId,
    /// Never 0.
    pub incarnation: u64,
    /// Number of the report within the incarnation, from 1.
    pub sequence: u64,
    /// The host it speaks of.
    pub host: HostIdentity,
    /// The roles it claims, each once.
    pub roles: Vec<Role>,
    /// By the probe's clock.
    pub sent_at: Timestamp,
    /// State, each key once.
    pub observations: Vec<IncomingObservation>,
    /// Points to append.
    pub series: Vec<SeriesAppend>,
    /// Parts of inventories.
    pub inventory: Vec<InventoryPart>,
    /// The certificate the probe says it uses; `None` where it does not tell.
    pub client_certificate: Option<ClientCertificate>,
    /// Parts that were wrong and are not in here.
    pub refusals: Vec<Refusal>,
}

/// One observation as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingObservation {
    /// Kind and subject; the kind may be newer than this build.
    pub key: WireKey,
    /// Digest of the body.
    pub digest: Digest,
    /// The body, which has that digest and is within its bound; `None` where the probe believes that the collector
    /// has it.
    pub body: Option<Vec<u8>>,
    /// When the probe looked, by its clock.
    pub observed_at: Timestamp,
    /// In which security context.
    pub context: Context,
    /// Live or from a capture.
    pub origin: Origin,
    /// Values beside the digested body.
    pub moving: Option<v1::MovingValues>,
}

/// A part of a report that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it was, such as `observation tpm of host`.
    pub part: String,
    /// Why, with what was found and what was expected.
    pub reason: String,
    /// The observation's key, where it was an observation and its key could be read: it is listed, so it is not gone.
    pub key: Option<WireKey>,
}

impl Refusal {
    /// Refuses a part for an error, whose causes are told with it.
    pub fn new(part: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { part: part.into(), reason: Chain(error).to_string(), key: None }
    }

    /// Refuses an observation for an error.
    pub fn observation(key: &WireKey, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { key: Some(key.clone()), ..Self::new(format!("observation {key}"), error) }
    }
}

impl From<&Refusal> for v1::Refusal {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { part, reason, key: _ } = refusal;
        Self { part: part.clone(), reason: reason.clone() }
    }
}

/// Says why a report is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReport {
    /// A field of the envelope is wrong.
    #[error("report is invalid")]
    Field {
        /// The field, and what is wrong with it.
        #[source]
        source: InvalidField,
    },
    /// The major version is not served.
    #[error(
        "report has protocol {found} (this build serves majors {} to {}; the older end must be upgraded)",
        SERVED_MAJORS.start(),
        SERVED_MAJORS.end()
    )]
    UnsupportedProtocol {
        /// The version found.
        found: Protocol,
    },
    /// More observations than a report may have.
    #[error("report has {found} observations (at most {most} are allowed)")]
    TooManyObservations {
        /// Observations found.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// Two observations have the same key, and nothing says which is right.
    #[error("report has two observations `{key}`")]
    DuplicateKey {
        /// The key.
        key: WireKey,
    },
}

impl From<InvalidField> for InvalidReport {
    fn from(source: InvalidField) -> Self {
        Self::Field { source }
    }
}

/// Says why one part of a report is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum InvalidPart {
    #[error(transparent)]
    Field(#[from] InvalidField),
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error("body has {found} bytes (at most {most} are allowed)")]
    BodyTooLarge { found: usize, most: usize },
    #[error("body has the digest `{found}`, the report says `{said}`")]
    WrongDigest { found: Digest, said: Digest },
    #[error("series {found} is unknown (this build knows 1 to {most}; the probe may be newer)")]
    UnknownSeries { found: u32, most: usize },
    #[error("points from number {first_sequence} on leave the range of numbers")]
    SequenceOverflow { first_sequence: u64 },
    #[error("report has {found} of them (at most {most} are allowed)")]
    TooMany { found: usize, most: usize },
    #[error("report has more than {most} inventory items")]
    TooManyItems { most: usize },
}

/// Checks a report. Parts that are wrong are left out and told in [`Incoming::refusals`].
pub fn read_report(message: v1::ReportRequest) -> Result<Incoming, InvalidReport> {
    let v1::ReportRequest {
        protocol,
        probe_version,
        install_id,
        incarnation,
        sequence,
        host,
        roles,
        sent_at_ms,
        observations,
        series,
        inventory,
        client_certificate,
    } = message;

    // The version first: a report of another major may be laid out otherwise.
    let protocol = Protocol::from(field::required(protocol, "protocol")?);
    if !SERVED_MAJORS.contains(&protocol.major) {
        return Err(InvalidReport::UnsupportedProtocol { found: protocol });
    }
    let probe_version = field::text(&probe_version, "probe_version")?;
    if probe_version.is_empty() {
        return Err(InvalidField::missing("probe_version").into());
    }
    let install_id = field::bytes(&install_id, "install_id").map(InstallId)?;
    let incarnation = field::required((incarnation != 0).then_some(incarnation), "incarnation")?;
    let sequence = field::required((sequence != 0).then_some(sequence), "sequence")?;
    let sent_at = field::clock(sent_at_ms, "sent_at_ms")?;
    field::bounded(roles.len(), MOST_ROLES, "roles")?;
    if observations.len() > limits::OBSERVATIONS_PER_REPORT {
        return Err(InvalidReport::TooManyObservations {
            found: observations.len(),
            most: limits::OBSERVATIONS_PER_REPORT,
        });
    }

    let mut refusals = Vec::new();
    let host = host::read(field::required(host, "host")?, &mut |error| {
        refusals.push(Refusal::new("host", &error.under("host")));
    })
    .map_err(|error| error.under("host"))?;
    let roles = read_roles(&roles, &mut refusals);
    let observations = read_observations(observations, &mut refusals)?;
    let series = read_series(series, &mut refusals);
    let inventory = read_inventory(inventory, &mut refusals);
    let client_certificate =
        client_certificate.and_then(|certificate| match ClientCertificate::try_from(certificate) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                refusals.push(Refusal::new("client certificate", &error.under("client_certificate")));
                None
            }
        });
    Ok(Incoming {
        protocol,
        probe_version,
        install_id,
        incarnation,
        sequence,
        host,
        roles,
        sent_at,
        observations,
        series,
        inventory,
        client_certificate,
        refusals,
    })
}

impl TryFrom<v1::ClientCertificate> for ClientCertificate {
    type Error = InvalidField;

    fn try_from(message: v1::ClientCertificate) -> Result<Self, Self::Error> {
        let v1::ClientCertificate { not_before_ms, not_after_ms, newer_since_ms, newer_problem } = message;
        let newer = match newer_since_ms {
            None => None,
            Some(since) => Some(UnusableCertificate {
                since: field::time(Some(since), "newer_since_ms")?,
                problem: field::text(&newer_problem, "newer_problem")?,
            }),
        };
        Ok(Self {
            // A validity may begin in 1970, so 0 is a time here.
            not_before: field::time(Some(not_before_ms), "not_before_ms")?,
            not_after: field::time(Some(not_after_ms), "not_after_ms")?,
            newer,
        })
    }
}

impl From<&ClientCertificate> for v1::ClientCertificate {
    fn from(certificate: &ClientCertificate) -> Self {
        let ClientCertificate { not_before, not_after, newer } = certificate;
        Self {
            not_before_ms: not_before.unix_ms(),
            not_after_ms: not_after.unix_ms(),
            newer_since_ms: newer.as_ref().map(|newer| newer.since.unix_ms()),
            newer_problem: newer.as_ref().map(|newer| newer.problem.to_string()).unwrap_or_default(),
        }
    }
}

fn read_roles(numbers: &[i32], refusals: &mut Vec<Refusal>) -> Vec<Role> {
    let mut roles = Vec::with_capacity(numbers.len());
    for (index, &number) in numbers.iter().enumerate() {
        match field::required_enum(number, &format!("roles[{index}]")) {
            Ok(role) if roles.contains(&role) => {}
            Ok(role) => roles.push(role),
            Err(error) => refusals.push(Refusal::new(format!("role {number}"), &error)),
        }
    }
    roles
}

fn read_observations(
    entries: Vec<v1::ObservationEntry>,
    refusals: &mut Vec<Refusal>,
) -> Result<Vec<IncomingObservation>, InvalidReport> {
    let mut seen = HashSet::with_capacity(entries.len());
    let mut observations = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let v1::ObservationEntry { key, digest, body, observed_at_ms, context, origin, moving } = entry;
        let key = field::required(key, "key")
            .map_err(|error| InvalidPart::from(error.under_item("observations", index)))
            .and_then(|key| WireKey::from_wire(key).map_err(InvalidPart::from));
        let key = match key {
            Ok(key) => key,
            Err(error) => {
                refusals.push(Refusal::new(format!("observations[{index}]"), &error));
                continue;
            }
        };
        if !seen.insert(key.clone()) {
            return Err(InvalidReport::DuplicateKey { key });
        }
        match read_observation(&key, &digest, body, observed_at_ms, context, origin) {
            Ok(observation) => observations.push(IncomingObservation { moving, ..observation }),
            Err(error) => {
                let error = match error {
                    InvalidPart::Field(source) => source.under_item("observations", index).into(),
                    other => other,
                };
                refusals.push(Refusal::observation(&key, &error));
            }
        }
    }
    Ok(observations)
}

fn read_observation(
    key: &WireKey,
    digest: &[u8],
    body: Option<Vec<u8>>,
    observed_at_ms: i64,
    context: i32,
    origin: i32,
) -> Result<IncomingObservation, InvalidPart> {
    let digest = Digest::from_wire(digest)?;
    if let Some(body) = &body {
        if body.len() > limits::OBSERVATION_BODY_BYTES {
            return Err(InvalidPart::BodyTooLarge { found: body.len(), most: limits::OBSERVATION_BODY_BYTES });
        }
        let found = Digest::of(body);
        if found != digest {
            return Err(InvalidPart::WrongDigest { found, said: digest });
        }
    }
    Ok(IncomingObservation {
        key: key.clone(),
        digest,
        body,
        observed_at: field::clock(observed_at_ms, "observed_at_ms")?,
        context: context_from_wire(context)?,
        origin: origin_from_wire(origin)?,
        moving: None,
    })
}

fn read_series(appends: Vec<v1::SeriesAppend>, refusals: &mut Vec<Refusal>) -> Vec<SeriesAppend> {
    let found = appends.len();
    if found > limits::SERIES_PER_REPORT {
        let error = InvalidPart::TooMany { found, most: limits::SERIES_PER_REPORT };
        refusals.push(Refusal::new("every series", &error));
        return Vec::new();
    }
    let mut series = Vec::with_capacity(found);
    for (index, append) in appends.into_iter().enumerate() {
        let number = append.series;
        match read_append(append, index) {
            Ok(append) => series.push(append),
            Err(error) => refusals.push(Refusal::new(format!("series {number}"), &error)),
        }
    }
    series
}

fn read_append(append: v1::SeriesAppend, index: usize) -> Result<SeriesAppend, InvalidPart> {
    let v1::SeriesAppend { series: number, first_sequence, points } = append;
    let series = u16::try_from(number)
        .ok()
        .and_then(SeriesKind::from_number)
        .ok_or(InvalidPart::UnknownSeries { found: number, most: SeriesKind::ALL.len() })?;
    let at = |error: InvalidField| error.under_item("series", index);
    field::required((first_sequence != 0).then_some(()), "first_sequence").map_err(at)?;
    let points: Vec<SeriesPoint> = field::list(points, limits::SERIES_POINTS_PER_APPEND, "points").map_err(at)?;
    if first_sequence.checked_add(points.len() as u64).is_none() {
        return Err(InvalidPart::SequenceOverflow { first_sequence });
    }
    Ok(SeriesAppend { series, first_sequence, points })
}

fn read_inventory(parts: Vec<v1::InventoryPart>, refusals: &mut Vec<Refusal>) -> Vec<InventoryPart> {
    let found = parts.len();
    if found > limits::INVENTORY_PARTS_PER_REPORT {
        let error = InvalidPart::TooMany { found, most: limits::INVENTORY_PARTS_PER_REPORT };
        refusals.push(Refusal::new("every part of an inventory", &error));
        return Vec::new();
    }
    let mut inventory = Vec::with_capacity(found);
    let mut items = 0;
    for (index, part) in parts.into_iter().enumerate() {
        items += part.items.len();
        let part = if items > limits::INVENTORY_ITEMS_PER_REPORT {
            Err(InvalidPart::TooManyItems { most: limits::INVENTORY_ITEMS_PER_REPORT })
        } else {
            InventoryPart::try_from(part).map_err(|error| error.under_item("inventory", index).into())
        };
        match part {
            Ok(part) => inventory.push(part),
            Err(error) => refusals.push(Refusal::new(format!("inventory[{index}]"), &error)),
        }
    }
    inventory
}

/// Puts a report together, with the body of every observation.
///
/// Observations about the null SID stay out: they speak of a user nobody knows, and are judged on their machine only.
pub fn report_to_wire(report: &Report) -> v1::ReportRequest {
    let Report {
        probe_version,
        install_id,
        incarnation,
        sequence,
        host,
        roles,
        sent_at,
        observations,
        series,
        inventory,
        client_certificate,
    } = report;
    let reported =
        |observation: &&Observation| !matches!(&observation.key.subject, Subject::User(sid) if sid.is_unknown());
    v1::ReportRequest {
        protocol: Some(PROTOCOL.into()),
        probe_version: probe_version.to_string(),
        install_id: install_id.0.to_vec(),
        incarnation: *incarnation,
        sequence: *sequence,
        host: Some(host.into()),
        roles: roles.iter().map(|role| v1::Role::from(*role).into()).collect(),
        sent_at_ms: sent_at.unix_ms(),
        observations: observations.iter().filter(reported).map(Into::into).collect(),
        series: series.iter().map(Into::into).collect(),
        inventory: inventory.iter().map(Into::into).collect(),
        client_certificate: client_certificate.as_ref().map(Into::into),
    }
}

/// Takes out the bodies of which `has` says that the collector has them.
pub fn strip_bodies(report: &mut v1::ReportRequest, mut has: impl FnMut(&WireKey, Digest) -> bool) {
    for entry in &mut report.observations {
        let key = entry.key.clone().and_then(|key| WireKey::from_wire(key).ok());
        if let (Some(key), Ok(digest)) = (key, Digest::from_wire(&entry.digest))
            && has(&key, digest)
        {
            entry.body = None;
        }
    }
}

/// Makes a report fit into `most_bytes`, and tells whether anything had to be left for later.
///
/// Parts of inventories go first, the last ones before the first, since they are resent until acknowledged; then
/// bodies, which the collector asks for when it lacks them. State and series are never left out.
pub fn fit(report: &mut v1::ReportRequest, most_bytes: usize) -> bool {
    let mut left_out = false;
    while report.encoded_len() > most_bytes {
        if report.inventory.pop().is_none() {
            let Some(entry) = report.observations.iter_mut().rev().find(|entry| entry.body.is_some()) else {
                break;
            };
            entry.body = None;
        }
        left_out = true;
    }
    left_out
}

impl From<&Observation> for v1::ObservationEntry {
    fn from(observation: &Observation) -> Self {
        let Observation { key, outcome, observed_at, context, origin } = observation;
        let body = encode_body(outcome);
        Self {
            key: Some(WireKey::from(key).to_wire()),
            digest: Digest::of(&body).0.to_vec(),
            body: Some(body),
            observed_at_ms: observed_at.unix_ms(),
            context: context_to_wire(*context),
            origin: origin_to_wire(*origin),
            moving: moving_of(outcome),
        }
    }
}

/// What an outcome says that moves by itself, and so must not touch the digest.
fn moving_of(outcome: &Outcome) -> Option<v1::MovingValues> {
    let Outcome::Observed(Evidence::Tpm(tpm)) = outcome else { return None };
    let tpm_failures = tpm.lockout.and_then(|lockout| lockout.failures);
    tpm_failures.map(|failures| v1::MovingValues { tpm_failures: Some(failures) })
}

/// Puts values that travelled beside a body back into what was decoded from it.
pub fn put_back(moving: Option<v1::MovingValues>, outcome: &mut Outcome) {
    let Some(v1::MovingValues { tpm_failures }) = moving else { return };
    if let Outcome::Observed(Evidence::Tpm(tpm)) = outcome
        && let Some(lockout) = &mut tpm.lockout
    {
        lockout.failures = tpm_failures;
    }
}

impl From<&SeriesAppend> for v1::SeriesAppend {
    fn from(append: &SeriesAppend) -> Self {
        let SeriesAppend { series, first_sequence, points } = append;
        Self {
            series: series.number().into(),
            first_sequence: *first_sequence,
            points: points.iter().map(Into::into).collect(),
        }
    }
}

impl From<&SeriesPoint> for v1::SeriesPoint {
    fn from(point: &SeriesPoint) -> Self {
        let SeriesPoint { at, milli } = point;
        Self { at_ms: at.unix_ms(), milli: *milli }
    }
}

impl TryFrom<v1::SeriesPoint> for SeriesPoint {
    type Error = InvalidField;

    fn try_from(message: v1::SeriesPoint) -> Result<Self, Self::Error> {
        let v1::SeriesPoint { at_ms, milli } = message;
        Ok(Self { at: field::clock(at_ms, "at_ms")?, milli })
    }
}

impl From<&InventoryPart> for v1::InventoryPart {
    fn from(part: &InventoryPart) -> Self {
        let InventoryPart { forest, source, epoch, cursor, as_of, items, complete, canary_seen } = part;
        Self {
            forest: forest.to_string(),
            source: source.to_string(),
            epoch: *epoch,
            cursor: *cursor,
            as_of_ms: as_of.unix_ms(),
            items: items.iter().map(Into::into).collect(),
            complete: *complete,
            canary_seen: *canary_seen,
        }
    }
}

impl TryFrom<v1::InventoryPart> for InventoryPart {
    type Error = InvalidField;

    fn try_from(message: v1::InventoryPart) -> Result<Self, Self::Error> {
        let v1::InventoryPart { forest, source, epoch, cursor, as_of_ms, items, complete, canary_seen } = message;
        let source = field::text(&source, "source")?;
        if source.is_empty() {
            return Err(InvalidField::missing("source"));
        }
        Ok(Self {
            forest: field::name(&forest, "forest")?,
            source,
            epoch,
            cursor: field::required((cursor != 0).then_some(cursor), "cursor")?,
            as_of: field::clock(as_of_ms, "as_of_ms")?,
            items: field::list(items, limits::INVENTORY_ITEMS_PER_REPORT, "items")?,
            complete,
            canary_seen,
        })
    }
}

impl From<&InventoryItem> for v1::InventoryItem {
    fn from(item: &InventoryItem) -> Self {
        Self {
            item: Some(match item {
                InventoryItem::UserKeys(keys) => Item::UserKeys(keys.into()),
                InventoryItem::Removed(id) => Item::Removed(id.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::InventoryItem> for InventoryItem {
    type Error = InvalidField;

    fn try_from(message: v1::InventoryItem) -> Result<Self, Self::Error> {
        let v1::InventoryItem { item } = message;
        Ok(match field::required(item, "item")? {
            Item::UserKeys(keys) => {
                Self::UserKeys(keys.try_into().map_err(|error: InvalidField| error.under("user_keys"))?)
            }
            Item::Removed(id) => Self::Removed(field::text(&id, "removed")?),
        })
    }
}
