//! What the raw outputs of one machine say beside `dsregcmd`, certificates and keys: events, registry, locator, the KDC's
//! service, load and replication, and the scheduler of Entra Connect.
//!
//! Several files may tell one thing together (two answers of the locator, the keys of a policy and those of a store), so
//! everything is collected first and put together once all files are read.

use std::collections::BTreeMap;

use muster_evidence::{
    CrlFetch, DistributionPoint, EventLog, EventLogState, Evidence, FailureReason, FirmwareType, Guid, KdcLoad,
    KdcService, KeyRegistration, Kind, ObservationKey, Outcome, ProvisioningEvent, Replication, RevocationLists, Sid,
    SyncScheduler, Text, Timestamp, Tpm, limits,
};

use super::FileKind;
use super::manifest::{Manifest, NamedFile};
use crate::parse::{
    event, firmware, load, locator, registry, replication, revocation_list, scheduler, service, text, tpm_properties,
};
use crate::source::failed;

/// Everything collected.
#[derive(Default)]
pub(super) struct Outputs {
    events: Vec<(event::Facts, Timestamp)>,
    /// Logs of which a file or the manifest says how they are.
    logs: Vec<(EventLog, Timestamp)>,
    registry: registry::Tree,
    /// When each file of the registry was taken, by its number.
    registry_at: Vec<Timestamp>,
    answers: Vec<(locator::Answer, Timestamp)>,
    services: Vec<(service::Service, Timestamp)>,
    loads: Vec<(KdcLoad, Timestamp)>,
    replications: Vec<(Replication, Timestamp)>,
    schedulers: Vec<(SyncScheduler, Timestamp)>,
    tpms: Vec<(Option<Tpm>, Timestamp)>,
    firmware: Option<(FirmwareType, Timestamp)>,
    lists: Vec<(DistributionPoint, Timestamp)>,
}

/// What comes out of it.
#[derive(Default)]
pub(super) struct Told {
    /// Evidence, with the time it is of.
    pub(super) evidence: Vec<(ObservationKey, Outcome, Timestamp)>,
    /// The operating system, as the registry describes it.
    pub(super) system: Option<(registry::System, Timestamp)>,
    /// The kind of firmware, where a file of its own names it.
    pub(super) firmware: Option<(FirmwareType, Timestamp)>,
    /// Kinds of evidence that could not be put together, and why.
    pub(super) problems: Vec<(Kind, String)>,
}

impl Outputs {
    /// Takes what the manifest states.
    pub(super) fn state(&mut self, manifest: &mut Manifest, stated_at: Timestamp) {
        self.logs.extend(std::mem::take(&mut manifest.event_logs).into_iter().map(|log| (log, stated_at)));
        for key in std::mem::take(&mut manifest.absent_keys) {
            self.registry.add_absent(&key, self.registry_at.len());
            self.registry_at.push(stated_at);
        }
        if let Some(stated) = manifest.kdc_service.take() {
            let service = service::Service { exists: true, state: stated.state, disabled: stated.disabled };
            self.services.push((service, stated_at));
        }
    }

    /// Reads a file of one of these kinds. What was read but not wholly is told as problems.
    pub(super) fn take(
        &mut self,
        kind: FileKind,
        bytes: &[u8],
        named: &NamedFile,
        manifest: &Manifest,
        at: Timestamp,
    ) -> Result<Vec<String>, String> {
        let text = || text::decode(bytes).map(|decoded| decoded.text).map_err(|error| error.to_string());
        let mut problems = Vec::new();
        match kind {
            FileKind::Events => problems = self.events(bytes, named, manifest, at)?,
            FileKind::EventLog => {
                for log in event::log_configuration(&text()?).map_err(|error| error.to_string())? {
                    // That a log is on does not say that anybody looked into it.
                    if !log.enabled {
                        let channel = Text::cut(&log.channel);
                        self.logs.push((EventLog { channel, state: EventLogState::Disabled, oldest: None }, at));
                    }
                }
            }
            FileKind::Registry => {
                let export = registry::parse(bytes).map_err(|error| error.to_string())?;
                let user = named.user.as_ref().or(match &manifest.users[..] {
                    [only] => Some(&only.sid),
                    _ => None,
                });
                self.registry.add(&export, user, self.registry_at.len()).map_err(|error| error.to_string())?;
                self.registry_at.push(at);
                if export.unreadable > 0 {
                    problems.push(format!("{} lines are none of a registry export", export.unreadable));
                }
            }
            FileKind::TpmProperties => {
                let tpm = tpm_properties::tpm_properties(&text()?).map_err(|error| error.to_string())?;
                self.tpms.push((tpm, at));
            }
            FileKind::FirmwareType => {
                let found = firmware::firmware_type(&text()?).map_err(|error| error.to_string())?;
                if self.firmware.is_none_or(|(_, kept)| at > kept) {
                    self.firmware = Some((found, at));
                }
            }
            FileKind::DcLocator => {
                let answers = locator::answers(&text()?).map_err(|error| error.to_string())?;
                self.answers.extend(answers.into_iter().map(|answer| (answer, at)));
            }
            FileKind::KdcService => {
                self.services.push((service::kdc_service(&text()?).map_err(|error| error.to_string())?, at));
            }
            FileKind::KdcLoad => {
                self.loads.push((load::load(&text()?).map_err(|error| error.to_string())?.hour(at), at));
            }
            FileKind::Replication => {
                let found = replication::replication(&text()?, manifest.utc_offset_minutes);
                self.replications.push((found.map_err(|error| error.to_string())?, at));
            }
            FileKind::SyncScheduler => {
                self.schedulers.push((scheduler::scheduler(&text()?).map_err(|error| error.to_string())?, at));
            }
            FileKind::RevocationList => {
                let list = revocation_list::from_der(bytes).map_err(|error| error.to_string())?;
                if let Some(why) = list.unsupported {
                    return Err(why);
                }
                // A file that nobody says where it was fetched from is told by its own name.
                let url = named.url.clone().unwrap_or_else(|| Text::cut(&named.path));
                let (delta, fetch, list) = (list.delta, CrlFetch::Fetched, Some(list.list));
                self.lists.push((DistributionPoint { url, delta, fetch, list }, at));
            }
            FileKind::Dsregcmd
            | FileKind::WindowsVersion
            | FileKind::Tpmtool
            | FileKind::Certificates
            | FileKind::KeyCredentials => {}
        }
        Ok(problems)
    }

    fn events(
        &mut self,
        bytes: &[u8],
        named: &NamedFile,
        manifest: &Manifest,
        at: Timestamp,
    ) -> Result<Vec<String>, String> {
        // `wevtutil` writes nothing at all where it finds nothing.
        let is_empty = bytes.iter().all(u8::is_ascii_whitespace);
        let export = if is_empty && named.channel.is_some() {
            event::Export::default()
        } else {
            event::parse(bytes).map_err(|error| error.to_string())?
        };
        if let Some(channel) = &named.channel {
            let state = if export.cut_off || export.left_out > 0 {
                EventLogState::Unreadable(Text::cut("the export does not hold all of its events"))
            } else {
                EventLogState::Read
            };
            self.logs.push((EventLog { channel: channel.clone(), state, oldest: None }, at));
        } else if export.events.is_empty() {
            return Err("it holds no event and does not say of which log: name its `channel`".to_owned());
        }
        self.events.push((event::facts(&export, manifest.machine_sid.as_ref()), at));
        let mut problems = Vec::new();
        if export.unreadable > 0 {
            problems.push(format!("{} events could not be read", export.unreadable));
        }
        if export.cut_off {
            problems.push("it is cut off".to_owned());
        }
        if export.left_out > 0 {
            problems.push(format!("{} events are beyond the bound of {}", export.left_out, event::MAX_EVENTS));
        }
        Ok(problems)
    }

    /// The TPMs of property lists, as outcomes.
    pub(super) fn tpms(&mut self) -> Vec<(Outcome, Timestamp)> {
        let found = std::mem::take(&mut self.tpms);
        let outcome = |tpm: Option<Tpm>| tpm.map_or(Outcome::Absent, |tpm| Outcome::Observed(Evidence::Tpm(tpm)));
        found.into_iter().map(|(tpm, at)| (outcome(tpm), at)).collect()
    }

    /// Puts everything together. `tenant` is the one the machine is joined to.
    pub(super) fn tell(self, users: Vec<Sid>, tenant: Option<Guid>) -> Told {
        let mut told = Told { firmware: self.firmware, ..Told::default() };
        self.tell_events(&mut told);
        let disabled = self.tell_registry(users, tenant, &mut told);
        self.tell_service(disabled, &mut told);
        self.tell_locator(&mut told);
        let evidence = |kind, evidence, at| (ObservationKey::host(kind), Outcome::Observed(evidence), at);
        told.evidence
            .extend(self.loads.into_iter().map(|(load, at)| evidence(Kind::KdcLoad, Evidence::KdcLoad(load), at)));
        told.evidence.extend(
            self.replications
                .into_iter()
                .map(|(found, at)| evidence(Kind::Replication, Evidence::Replication(found), at)),
        );
        told.evidence.extend(
            self.schedulers
                .into_iter()
                .map(|(found, at)| evidence(Kind::SyncScheduler, Evidence::SyncScheduler(found), at)),
        );
        if let Some(at) = self.lists.iter().map(|(_, at)| *at).min() {
            let left_out = self.lists.len().saturating_sub(limits::DISTRIBUTION_POINTS);
            let points = self.lists.into_iter().take(limits::DISTRIBUTION_POINTS).map(|(point, _)| point).collect();
            let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
            let lists = RevocationLists { points, left_out };
            told.evidence.push(evidence(Kind::RevocationLists, Evidence::RevocationLists(lists), at));
        }
        told
    }

    fn tell_events(&self, told: &mut Told) {
        let mut provisioning: BTreeMap<&Sid, (&ProvisioningEvent, Timestamp)> = BTreeMap::new();
        let mut registrations: BTreeMap<&Sid, (&KeyRegistration, Timestamp)> = BTreeMap::new();
        let mut doubtful: BTreeMap<&Sid, Timestamp> = BTreeMap::new();
        let mut all = event::Facts::default();
        for (facts, at) in &self.events {
            for (user, event) in &facts.provisioning {
                if provisioning.get(user).is_none_or(|(kept, _)| event.at > kept.at) {
                    provisioning.insert(user, (event, *at));
                }
            }
            for (user, found) in &facts.registrations {
                if registrations.get(user).is_none_or(|(kept, _)| found.registered_at > kept.registered_at) {
                    registrations.insert(user, (found, *at));
                }
            }
            doubtful.extend(facts.doubtful.iter().map(|user| (user, *at)));
            all.merge(facts.clone());
        }
        for (user, at) in doubtful {
            let detail = "the export of events ends before the newest";
            for (kind, is_known) in [
                (Kind::ProvisioningEvent, provisioning.contains_key(user)),
                (Kind::KeyRegistration, registrations.contains_key(user)),
            ] {
                if !is_known {
                    let outcome = failed(FailureReason::Incomplete, detail);
                    told.evidence.push((ObservationKey::user(kind, user.clone()), outcome, at));
                }
            }
        }
        for (user, (event, at)) in provisioning {
            let outcome = Outcome::Observed(Evidence::ProvisioningEvent(event.clone()));
            told.evidence.push((ObservationKey::user(Kind::ProvisioningEvent, user.clone()), outcome, at));
        }
        for (user, (found, at)) in registrations {
            let outcome = Outcome::Observed(Evidence::KeyRegistration(found.clone()));
            told.evidence.push((ObservationKey::user(Kind::KeyRegistration, user.clone()), outcome, at));
        }
        let states: Vec<EventLog> = self.states();
        // Of several files the summary is as old as the oldest that has a part in it.
        let oldest = |channels: &[&str], logs: fn(&event::Facts) -> &Vec<&'static str>| {
            let files = self.events.iter().filter(|(facts, _)| !logs(facts).is_empty()).map(|(_, at)| *at);
            let stated =
                self.logs.iter().filter(|(log, _)| channels.contains(&log.channel.as_str())).map(|(_, at)| *at);
            files.chain(stated).min()
        };
        if let Some(summary) = all.device_summary(&states)
            && let Some(at) = oldest(&event::DEVICE_CHANNELS, |facts| &facts.device_logs)
        {
            told.evidence.push((
                ObservationKey::host(Kind::DeviceEvents),
                Outcome::Observed(Evidence::DeviceEvents(summary)),
                at,
            ));
        }
        if let Some(summary) = all.kdc_summary(&states)
            && let Some(at) = oldest(&event::KDC_CHANNELS, |facts| &facts.kdc_logs)
        {
            told.evidence.push((
                ObservationKey::host(Kind::KdcEvents),
                Outcome::Observed(Evidence::KdcEvents(summary)),
                at,
            ));
        }
    }

    /// One state per log: that it is off goes before that a file of it was there, and what is known of its beginning
    /// stays.
    fn states(&self) -> Vec<EventLog> {
        let mut states: Vec<EventLog> = Vec::new();
        for (log, _) in &self.logs {
            let same = states.iter_mut().find(|kept| kept.channel.as_str().eq_ignore_ascii_case(log.channel.as_str()));
            match same {
                Some(kept) => {
                    kept.oldest = kept.oldest.or(log.oldest);
                    if kept.state == EventLogState::Read {
                        kept.state = log.state.clone();
                    }
                }
                None => states.push(log.clone()),
            }
        }
        states
    }

    /// Gives whether the service of the KDC is disabled.
    fn tell_registry(&self, users: Vec<Sid>, tenant: Option<Guid>, told: &mut Told) -> Option<bool> {
        if self.registry.is_empty() {
            return None;
        }
        let facts = registry::facts(&self.registry, &registry::Known { users, tenant });
        let oldest = |files: &[usize]| files.iter().filter_map(|file| self.registry_at.get(*file)).min().copied();
        for found in facts.found {
            if let Some(at) = oldest(&found.files) {
                told.evidence.push((found.key, found.outcome, at));
            }
        }
        told.system = facts.system.and_then(|(system, files)| Some((system, oldest(&files)?)));
        facts.kdc_disabled
    }

    fn tell_service(&self, disabled: Option<bool>, told: &mut Told) {
        let key = ObservationKey::host(Kind::KdcService);
        let newest = |wanted: fn(&service::Service) -> bool| {
            self.services.iter().filter(|(service, _)| wanted(service)).max_by_key(|(_, at)| *at)
        };
        let Some((service, at)) = newest(|service| service.state.is_some() || !service.exists) else {
            if !self.services.is_empty() {
                let problem = "nothing tells the state of the service (expected the output of `sc query kdc`)";
                told.problems.push((Kind::KdcService, problem.to_owned()));
            }
            return;
        };
        let outcome = match service.state {
            None => Outcome::Absent,
            Some(state) => {
                let configured = newest(|service| service.disabled.is_some()).and_then(|(service, _)| service.disabled);
                Outcome::Observed(Evidence::KdcService(KdcService { state, disabled: configured.or(disabled) }))
            }
        };
        told.evidence.push((key, outcome, *at));
    }

    fn tell_locator(&self, told: &mut Told) {
        let Some(at) = self.answers.iter().map(|(_, at)| *at).min() else { return };
        let answers: Vec<locator::Answer> = self.answers.iter().map(|(answer, _)| answer.clone()).collect();
        let outcome = match locator::locator(&answers) {
            Ok(found) => Outcome::Observed(Evidence::DcLocator(found)),
            Err(error) => {
                told.problems.push((Kind::DcLocator, error.to_string()));
                failed(FailureReason::Incomplete, error.to_string())
            }
        };
        told.evidence.push((ObservationKey::host(Kind::DcLocator), outcome, at));
    }
}
