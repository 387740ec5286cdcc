//! Puts one captured machine together from its manifest and raw outputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_evidence::{
    CertificateStore, Context, DnsName, DomainController, Evidence, FailureReason, FirmwareType, Forest, HostIdentity,
    HostName, InventoryItem, InventoryPart, Kind, Observation, ObservationKey, OperatingSystem, Origin, Outcome,
    PrivateKey, ProductType, Role, Sha256, Sid, Subject, Text, Timestamp, UserKeys, limits,
};

use super::files::{self, MAX_FILES, MAX_MACHINE_BYTES, is_for_people};
use super::manifest::{self, Directory, Manifest, NamedFile};
use super::outputs::Outputs;
use super::recognise::recognise;
use super::{CaptureError, CaptureProblem, CapturedMachine, CapturedUser, FileKind, MANIFEST};
use crate::clock::timestamp;
use crate::parse::certificate::Parsed;
use crate::parse::dsregcmd::{self, Account, Facts, Status};
use crate::parse::registry::System;
use crate::parse::{MAX_INPUT_BYTES, key_credential, text};
use crate::source::dc_certificate::bundle::{self, Entry, FileBundle, Store, Trust};
use crate::source::failure_reason;
use crate::source::operating_system::parse as system;
use crate::source::tpm::parse as tpm;

/// Loads one machine; `None` where it cannot be named or holds nothing.
pub(super) fn load(folder: &Path, now: Timestamp) -> (Option<CapturedMachine>, Vec<CaptureProblem>) {
    let mut loader =
        Loader { folder, now, manifest: Manifest::default(), problems: Vec::new(), failed: Vec::new(), lost: 0 };
    let machine = loader.load();
    (machine, loader.problems)
}

struct Loader<'a> {
    folder: &'a Path,
    now: Timestamp,
    manifest: Manifest,
    problems: Vec<CaptureProblem>,
    failed: Vec<FailedFile>,
    /// How many files were not read. An inventory that lost one is not complete.
    lost: usize,
}

/// A raw output of known kind that could not be read or understood. It becomes a failed observation, so that a rule can
/// tell it from one that was never taken.
struct FailedFile {
    kind: FileKind,
    user: Option<Sid>,
    taken_at: Option<Timestamp>,
    reason: FailureReason,
    detail: String,
    /// Whether it was read, so that its parser has already counted what is wrong with it.
    was_read: bool,
}

/// A raw output that was read.
struct RawFile {
    path: PathBuf,
    kind: FileKind,
    bytes: Vec<u8>,
    named: NamedFile,
    modified: Option<Timestamp>,
}

/// What all raw outputs of a machine say.
#[derive(Default)]
struct Found {
    statuses: Vec<(Facts, Option<Sid>, Timestamp)>,
    systems: Vec<(OperatingSystem, Timestamp)>,
    tpms: Vec<(Outcome, Timestamp)>,
    outputs: Outputs,
    certificates: FileBundle,
    /// When each certificate was last seen in a file.
    certificate_times: BTreeMap<Sha256, Timestamp>,
    /// Times of all files with certificates, those that could not be parsed included.
    certificates_at: Option<Taken>,
    keys: BTreeMap<Sid, UserKeys>,
    keys_at: Option<Taken>,
}

/// When the files that make up one thing were taken. What is said of all of them together is as old as the oldest.
#[derive(Clone, Copy)]
struct Taken {
    oldest: Timestamp,
    newest: Timestamp,
}

impl Taken {
    /// Notes one more file.
    fn add(so_far: &mut Option<Self>, at: Timestamp) {
        let taken = so_far.get_or_insert(Self { oldest: at, newest: at });
        taken.oldest = taken.oldest.min(at);
        taken.newest = taken.newest.max(at);
    }
}

/// When the capture was taken as a whole, for what no file of its own tells.
#[derive(Clone, Copy)]
struct Times {
    /// The manifest's word, else the time of the newest raw output.
    captured_at: Timestamp,
    /// When what the manifest itself states was so: its word, else when it was written.
    stated_at: Timestamp,
}

impl Loader<'_> {
    fn load(&mut self) -> Option<CapturedMachine> {
        let manifest_path = self.folder.join(MANIFEST);
        let mut manifest_modified = None;
        if manifest_path.symlink_metadata().is_ok() {
            let content = match files::read(self.folder, &manifest_path) {
                Ok(content) => content,
                // Unread, the manifest could have named another machine.
                Err(error) => return self.leave_out(&manifest_path, error),
            };
            manifest_modified = content.modified.map(timestamp);
            match manifest::read(&content.bytes) {
                Ok((manifest, problems)) => {
                    self.manifest = manifest;
                    self.all_problems(&manifest_path, problems);
                }
                Err(problems) => {
                    self.all_problems(&manifest_path, problems);
                    return None;
                }
            }
        }
        let has_manifest = manifest_modified.is_some();
        let raw = self.raw_files();
        if raw.is_empty() && !has_manifest {
            // Where files could not be read, that has been said of each.
            if self.problems.is_empty() {
                self.problem(self.folder, CaptureError::NoFiles);
            }
            return None;
        }
        let newest = raw.iter().filter_map(|file| file.named.taken_at.or(file.modified)).max();
        let captured_at = self.manifest.captured_at.or(newest).or(manifest_modified).unwrap_or(self.now);
        // A manifest is often written when the capture is unpacked, which makes nothing it states any newer.
        let written_at = manifest_modified.map_or(captured_at, |at| at.min(captured_at));
        let times = Times { captured_at, stated_at: self.manifest.captured_at.unwrap_or(written_at) };

        let found = self.parse(raw, captured_at);
        let name = self.name(&found)?;
        Some(self.assemble(name, found, times))
    }

    fn problem(&mut self, path: &Path, error: CaptureError) {
        self.problems.push(CaptureProblem::new(path, error));
    }

    fn all_problems(&mut self, path: &Path, errors: Vec<CaptureError>) {
        self.problems.extend(errors.into_iter().map(|error| CaptureProblem::new(path, error)));
    }

    fn leave_out(&mut self, path: &Path, error: CaptureError) -> Option<CapturedMachine> {
        self.problem(path, error);
        None
    }

    /// Reads the files the manifest names, or else those of the folder.
    fn raw_files(&mut self) -> Vec<RawFile> {
        self.lost += self.manifest.files_left_out;
        let named = match self.manifest.files.take() {
            Some(files) => files,
            None => self.folder_files(),
        };
        let mut paths: Vec<(PathBuf, NamedFile)> = Vec::new();
        for file in named {
            match files::within(self.folder, &file.path).and_then(|path| files_at(&path)) {
                Ok(found) => paths.extend(found.into_iter().map(|path| (path, file.clone()))),
                Err(error) => self.unread(&self.folder.join(&file.path), &file, error),
            }
        }
        if paths.len() > MAX_FILES {
            self.lost += paths.len() - MAX_FILES;
            self.problem(self.folder, CaptureError::TooManyFiles { found: paths.len() });
            paths.truncate(MAX_FILES);
        }
        let mut raw = Vec::new();
        let mut left = MAX_MACHINE_BYTES;
        for (path, file) in paths {
            match self.raw_file(&path, file.clone()) {
                Ok(read) if read.bytes.len() <= left => {
                    left -= read.bytes.len();
                    raw.push(read);
                }
                Ok(_) => self.unread(&path, &file, CaptureError::TooMuch),
                Err(error) => self.unread(&path, &file, error),
            }
        }
        raw
    }

    /// Notes a file that could not be read.
    fn unread(&mut self, path: &Path, named: &NamedFile, error: CaptureError) {
        self.lost += 1;
        if let Some(kind) = named.kind {
            let reason = match &error {
                CaptureError::ReadFile(source) | CaptureError::ReadFolder(source) => failure_reason(source),
                CaptureError::MissingFile | CaptureError::Outside => FailureReason::Unavailable,
                _ => FailureReason::Unreadable,
            };
            let detail = format!("capture file `{}`: {error}", named.path);
            let (user, taken_at) = (named.user.clone(), named.taken_at);
            self.failed.push(FailedFile { kind, user, taken_at, reason, detail, was_read: false });
        }
        self.problem(path, error);
    }

    /// The folder's own files, as if the manifest had named them without a word about them.
    fn folder_files(&mut self) -> Vec<NamedFile> {
        let listing = match files::list(self.folder) {
            Ok(listing) => listing,
            Err(error) => {
                self.problem(self.folder, error);
                return Vec::new();
            }
        };
        let trusted: Vec<PathBuf> = self.trust_paths().iter().map(|path| self.folder.join(path)).collect();
        for folder in listing.folders.iter().filter(|folder| !trusted.iter().any(|path| path.starts_with(folder))) {
            self.problem(folder, CaptureError::Subfolder);
        }
        listing
            .files
            .into_iter()
            .filter(|path| !path.ends_with(MANIFEST) && !is_for_people(path) && !trusted.contains(path))
            .map(|path| NamedFile {
                path: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                kind: None,
                context: None,
                user: sid_in_name(&path),
                taken_at: None,
                channel: None,
                url: None,
            })
            .collect()
    }

    fn trust_paths(&self) -> Vec<String> {
        self.manifest.anchors.iter().chain(&self.manifest.intermediates).cloned().collect()
    }

    fn raw_file(&self, path: &Path, named: NamedFile) -> Result<RawFile, CaptureError> {
        let content = match files::read(self.folder, path) {
            // An export of a log that found nothing says so, where it is known of which log.
            Err(CaptureError::Empty) if named.channel.is_some() => files::Content { bytes: Vec::new(), modified: None },
            content => content?,
        };
        let too_large = |most: u64| CaptureError::TooLarge { most };
        let size = content.bytes.len() as u64;
        let kind = match (named.kind, recognise(&content.bytes)) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(CaptureError::WrongKind { expected, found });
            }
            (Some(kind), _) | (None, Some(kind)) => kind,
            (None, None) if named.channel.is_some() => FileKind::Events,
            (None, None) if size > MAX_INPUT_BYTES as u64 => return Err(too_large(MAX_INPUT_BYTES as u64)),
            (None, None) => return Err(CaptureError::Unrecognised),
        };
        if size > kind.max_bytes() {
            return Err(too_large(kind.max_bytes()));
        }
        let modified = content.modified.map(timestamp);
        Ok(RawFile { path: path.to_owned(), kind, bytes: content.bytes, named, modified })
    }

    fn parse(&mut self, raw: Vec<RawFile>, captured_at: Timestamp) -> Found {
        let mut found = Found::default();
        for file in raw {
            // Never the time of another file: old evidence beside new would look fresh.
            let own = file.named.taken_at.or(self.manifest.captured_at).or(file.modified);
            let taken_at = own.unwrap_or(captured_at);
            if let Err(problem) = self.parse_file(&file, taken_at, &mut found) {
                self.lost += 1;
                self.failed.push(FailedFile {
                    kind: file.kind,
                    user: file.named.user.clone(),
                    taken_at: Some(taken_at),
                    reason: FailureReason::Unreadable,
                    detail: format!("capture file `{}`: {problem}", file.named.path),
                    was_read: true,
                });
                self.problem(&file.path, CaptureError::Invalid { kind: file.kind, problem });
            }
        }
        found
    }

    fn parse_file(&mut self, file: &RawFile, taken_at: Timestamp, found: &mut Found) -> Result<(), String> {
        let text = || text::decode(&file.bytes).map(|decoded| decoded.text).map_err(|error| error.to_string());
        match file.kind {
            FileKind::Dsregcmd => {
                let mut outputs = dsregcmd::parse_all(&text()?).map_err(|error| error.to_string())?;
                // One that was cut before its account, beside another run: nobody knows whose it is.
                let named = |status: &Status| status.facts(None).account.is_some();
                if outputs.iter().any(named) {
                    outputs.retain(|status| status.ending.is_proven() || named(status));
                }
                let facts: Vec<Facts> = outputs.iter().map(|status| status.facts(file.named.context)).collect();
                found.statuses.extend(self.outputs(facts, file, taken_at)?);
            }
            FileKind::WindowsVersion => {
                let system = system::windows_version(&text()?).map_err(|error| error.to_string())?;
                found.systems.push((system, taken_at));
            }
            FileKind::Tpmtool => {
                let tpm = tpm::tpmtool(&text()?).map_err(|error| error.to_string())?;
                let outcome = tpm.map_or(Outcome::Absent, |tpm| Outcome::Observed(Evidence::Tpm(tpm)));
                found.tpms.push((outcome, taken_at));
            }
            FileKind::Certificates => {
                let mut bundle = FileBundle::default();
                bundle.add_bytes(&file.path.display().to_string(), &file.bytes);
                if bundle.certificates.is_empty() {
                    // The file is a part of the store that cannot be told, so the listing counts it.
                    found.certificates.problems.extend(bundle.problems.iter().cloned());
                    Taken::add(&mut found.certificates_at, taken_at);
                    return Err(bundle.problems.join("; "));
                }
                for problem in &bundle.problems {
                    self.problem(&file.path, CaptureError::Partly { problem: problem.clone() });
                }
                for parsed in &bundle.certificates {
                    let seen = found.certificate_times.entry(parsed.certificate.sha256).or_insert(taken_at);
                    *seen = taken_at.max(*seen);
                }
                found.certificates.certificates.extend(bundle.certificates);
                found.certificates.problems.extend(bundle.problems);
                Taken::add(&mut found.certificates_at, taken_at);
            }
            FileKind::KeyCredentials => {
                let user = file.named.user.clone().ok_or("it does not say whose keys these are: name the `user`")?;
                let values = key_credential::decode_input(&file.bytes, self.now).map_err(|error| error.to_string())?;
                let keys = found.keys.entry(user.clone()).or_insert_with(|| UserKeys {
                    sid: user,
                    keys: Vec::new(),
                    undecodable: 0,
                    left_out: 0,
                    upn: None,
                });
                for value in values {
                    match value.decoded {
                        Ok(credential) if keys.keys.len() < limits::KEYS_PER_USER => keys.keys.push(credential.key),
                        Ok(_) => keys.left_out = keys.left_out.saturating_add(1),
                        Err(error) => {
                            keys.undecodable = keys.undecodable.saturating_add(1);
                            let problem = format!("line {}: {error}", value.line);
                            self.problem(&file.path, CaptureError::Partly { problem });
                        }
                    }
                }
                Taken::add(&mut found.keys_at, taken_at);
            }
            kind => {
                let problems = found.outputs.take(kind, &file.bytes, &file.named, &self.manifest, taken_at)?;
                for problem in problems {
                    self.problem(&file.path, CaptureError::Partly { problem });
                }
            }
        }
        Ok(())
    }

    /// What each output in a file says, and of whom. A file is appended to, so the last output comes first: of what two
    /// say at the same time, the first is kept.
    fn outputs(
        &self,
        mut facts: Vec<Facts>,
        file: &RawFile,
        taken_at: Timestamp,
    ) -> Result<Vec<(Facts, Option<Sid>, Timestamp)>, String> {
        let mut machines: Vec<String> =
            facts.iter().filter_map(|facts| short_name(facts.device_name.as_ref())).collect();
        machines.sort_unstable();
        machines.dedup();
        if machines.len() > 1 {
            return Err(format!(
                "it holds outputs of several machines (`{}`): give each its folder",
                machines.join("`, `")
            ));
        }
        let mut accounts: Vec<String> =
            facts.iter().filter_map(|facts| Some(facts.account.as_ref()?.name.as_str().to_lowercase())).collect();
        accounts.sort_unstable();
        accounts.dedup();
        // The manifest names one user for the file, which says nothing of whose each output is where there are several.
        let told = file.named.user.as_ref().filter(|_| accounts.len() < 2);
        facts.reverse();
        Ok(facts
            .into_iter()
            .map(|facts| {
                let user = told.cloned().or_else(|| self.user_of(facts.account.as_ref()));
                (facts, user, taken_at)
            })
            .collect())
    }

    /// The user of an account's name, by the manifest.
    fn user_of(&self, account: Option<&Account>) -> Option<Sid> {
        let account = account?;
        let same = |name: &str, other: &Text| name.eq_ignore_ascii_case(other.as_str());
        let is = |user: &&CapturedUser| {
            user.account.as_ref().is_some_and(|name| {
                same(name.as_str(), &account.name) || account.upn.as_ref().is_some_and(|upn| same(name.as_str(), upn))
            })
        };
        self.manifest.users.iter().find(is).map(|user| user.sid.clone())
    }

    /// The machine's name: the manifest's, that of its domain controller, the one a raw output shows, the folder's.
    fn name(&mut self, found: &Found) -> Option<HostName> {
        let shown = found.statuses.iter().find_map(|(facts, ..)| facts.device_name.as_ref()?.as_str().parse().ok());
        let controller = self.manifest.domain_controller.as_ref().and_then(|controller| controller.fqdn.clone());
        if let Some(name) = self.manifest.host.clone().or(controller).or(shown) {
            return Some(name);
        }
        // `.` has no name of its own.
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.to_owned());
        let folder = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = folder.parse().ok();
        if name.is_none() {
            self.problem(self.folder, CaptureError::NoName { folder });
        }
        name
    }

    fn assemble(&mut self, name: HostName, mut found: Found, times: Times) -> CapturedMachine {
        let Times { captured_at, stated_at } = times;
        let mut users: Vec<CapturedUser> = self.manifest.users.clone();
        let mut observations = Observations::default();
        let registrations = std::mem::take(&mut self.manifest.key_registrations);
        let is_directory_only = self.manifest.directory.is_some() && self.manifest.domain_controller.is_none();
        let roles = self.manifest.roles.clone().unwrap_or_else(|| match &self.manifest.domain_controller {
            Some(_) => vec![Role::DomainController],
            None if is_directory_only => vec![Role::Directory],
            None => vec![Role::Endpoint],
        });

        let mut device_id = self.manifest.device_id;
        let mut tenant = None;
        let mut unknown_users = 0;
        for (facts, user, at) in found.statuses {
            if let Outcome::Observed(Evidence::JoinState(join)) = &facts.join {
                device_id = device_id.or(join.device_id);
                tenant = tenant.or(join.tenant_id);
            }
            // A text taken by a service speaks of no user, unless the manifest says so.
            let user = user.or_else(|| (facts.context != Context::Service).then(Sid::unknown));
            if let Some(sid) = &user {
                unknown_users += usize::from(sid.is_unknown());
                if !users.iter().any(|known| known.sid == *sid) {
                    let account = facts.account.as_ref().map(|account| account.name.clone());
                    users.push(CapturedUser { sid: sid.clone(), account });
                }
            }
            observations.extend(facts.into_observations(user.as_ref(), at, Origin::Capture));
        }
        if unknown_users > 1 {
            self.problem(self.folder, CaptureError::TwoUnknownUsers);
        }
        for (sid, registration) in registrations {
            if !users.iter().any(|known| known.sid == sid) {
                users.push(CapturedUser { sid: sid.clone(), account: None });
            }
            let outcome = Outcome::Observed(Evidence::KeyRegistration(registration));
            observations.add(ObservationKey::user(Kind::KeyRegistration, sid), outcome, stated_at);
        }
        found.tpms.extend(found.outputs.tpms());
        if let Some((outcome, at)) = one_tpm(found.tpms) {
            observations.add(ObservationKey::host(Kind::Tpm), outcome, at);
        }
        found.outputs.state(&mut self.manifest, stated_at);
        let known = users.iter().map(|user| user.sid.clone()).collect();
        let told = found.outputs.tell(known, tenant);
        for (kind, problem) in told.problems {
            self.problem(self.folder, CaptureError::NotWhole { kind, problem });
        }
        for (key, outcome, at) in told.evidence {
            if let Subject::User(sid) = &key.subject
                && !users.iter().any(|known| known.sid == *sid)
            {
                users.push(CapturedUser { sid: sid.clone(), account: None });
            }
            observations.add(key, outcome, at);
        }
        self.statements(&mut users, &mut observations, stated_at);
        if let Some((system, at)) = self.operating_system(found.systems, told.system, told.firmware, stated_at) {
            let evidence = Evidence::OperatingSystem(system);
            observations.add(ObservationKey::host(Kind::OperatingSystem), Outcome::Observed(evidence), at);
        }
        if let Some(controller) = self.domain_controller(&name) {
            let evidence = Evidence::DomainController(controller);
            observations.add(ObservationKey::host(Kind::DomainController), Outcome::Observed(evidence), stated_at);
        }
        if let Some(taken) = found.certificates_at {
            self.certificates(found.certificates, taken, &found.certificate_times, &mut observations);
        }
        if users.len() > limits::USERS_PER_HOST {
            self.problem(self.folder, CaptureError::TooManyUsers { found: users.len() });
            users.truncate(limits::USERS_PER_HOST);
            observations.keep_users(&users);
        }
        self.failures(&roles, captured_at, &mut observations);
        let inventory = self.inventory(found.keys, found.keys_at.map_or(stated_at, |taken| taken.oldest));
        CapturedMachine {
            folder: self.folder.to_owned(),
            identity: HostIdentity {
                name,
                forest: self.forest(),
                site: self.manifest.site.clone(),
                object_guid: None,
                device_id,
                ek_sha256: None,
            },
            roles,
            captured_at,
            captured_at_assumed: self.manifest.captured_at.is_none(),
            observations: observations.into_vec(),
            users,
            inventory,
        }
    }

    fn forest(&self) -> Option<Forest> {
        let directory = self.manifest.directory.as_ref();
        self.manifest.forest.clone().or_else(|| directory.and_then(|directory| directory.forest.clone()))
    }

    /// What the manifest states of sessions and of the clock.
    fn statements(&mut self, users: &mut Vec<CapturedUser>, observations: &mut Observations, stated_at: Timestamp) {
        for (sid, session) in std::mem::take(&mut self.manifest.sessions) {
            if !users.iter().any(|known| known.sid == sid) {
                users.push(CapturedUser { sid: sid.clone(), account: None });
            }
            let outcome = Outcome::Observed(Evidence::UserSession(session));
            observations.add(ObservationKey::user(Kind::UserSession, sid), outcome, stated_at);
        }
        if let Some(clock) = self.manifest.clock.take() {
            let outcome = Outcome::Observed(Evidence::Clock(clock));
            observations.add(ObservationKey::host(Kind::Clock), outcome, stated_at);
        }
    }

    /// What `ver` or the registry said, completed by each other and by what only the manifest knows.
    fn operating_system(
        &mut self,
        systems: Vec<(OperatingSystem, Timestamp)>,
        registry: Option<(System, Timestamp)>,
        firmware: Option<(FirmwareType, Timestamp)>,
        stated_at: Timestamp,
    ) -> Option<(OperatingSystem, Timestamp)> {
        let is_controller = self.manifest.domain_controller.is_some();
        let declared = self.manifest.operating_system.take();
        let version = declared.as_ref().and_then(|declared| declared.version);
        let newest = systems.into_iter().max_by_key(|(_, at)| *at);
        let stated = version.map(|version| (system::windows("Microsoft Windows", version), stated_at));
        let described = registry.as_ref().map(|(described, at)| {
            let ((major, minor), build, revision) = (described.version, described.build, described.revision);
            let version = system::WindowsVersion { major, minor, build, revision };
            (system::windows("Microsoft Windows", version), *at)
        });
        let Some((mut system, mut at)) = newest.or(described).or(stated) else {
            if declared.is_some() || firmware.is_some() {
                let error = CaptureError::MissingKey {
                    key: "operating_system.version".to_owned(),
                    why: "no `windows-version` file tells it either",
                };
                self.problem(&self.folder.join(MANIFEST), error);
            }
            return None;
        };
        // Of another build it would be what was installed before.
        if let Some((described, described_at)) = registry.filter(|(described, _)| system.build == Some(described.build))
        {
            at = at.min(described_at);
            system.name = described.name.unwrap_or(system.name);
            system.revision = system.revision.or(described.revision);
            system.edition = described.edition;
            system.product_type = described.product_type;
            system.server_core = described.server_core;
            system.release = described.release;
            system.firmware = described.firmware;
        }
        if let Some((firmware, firmware_at)) = firmware {
            at = at.min(firmware_at);
            system.firmware = Some(firmware);
        }
        let declared = declared.unwrap_or_default();
        system.name = declared.name.unwrap_or(system.name);
        system.edition = declared.edition.or(system.edition);
        system.firmware = declared.firmware.or(system.firmware);
        // Windows itself has no other type on a domain controller.
        let of_role = is_controller.then_some(ProductType::DomainController);
        system.product_type = declared.product_type.or(of_role).or(system.product_type);
        system.server_core = declared.server_core.or(system.server_core);
        Some((system, at))
    }

    fn domain_controller(&mut self, host: &HostName) -> Option<DomainController> {
        let declared = self.manifest.domain_controller.take()?;
        let fqdn = declared.fqdn.unwrap_or_else(|| host.clone());
        let domain = declared.domain.or_else(|| fqdn.parent().filter(|domain: &DnsName| domain.parent().is_some()));
        let missing = |key: &str, why| CaptureError::MissingKey { key: key.to_owned(), why };
        let (Some(domain_dns), Some(forest)) = (domain.clone(), self.forest()) else {
            if domain.is_none() {
                let error = missing("domain_controller.domain", "the controller's name has no domain in it");
                self.problem(&self.folder.join(MANIFEST), error);
            }
            if self.forest().is_none() {
                let error = missing("forest", "a domain controller belongs to one");
                self.problem(&self.folder.join(MANIFEST), error);
            }
            return None;
        };
        Some(DomainController {
            fqdn,
            domain_dns,
            domain_netbios: declared.netbios,
            forest,
            site: self.manifest.site.clone(),
            read_only: declared.read_only,
        })
    }

    fn certificates(
        &mut self,
        files: FileBundle,
        taken: Taken,
        times: &BTreeMap<Sha256, Timestamp>,
        observations: &mut Observations,
    ) {
        let anchors = self.trusted(self.manifest.anchors.clone());
        let intermediates = self.trusted(self.manifest.intermediates.clone());
        let trust = Trust::from_certificates(anchors, intermediates);
        let entries = files
            .certificates
            .into_iter()
            .map(|parsed| Entry { parsed, private_key: PrivateKey::Undetermined })
            .collect();
        // What could not even be read is missing from the listing all the same. What was read is among the problems.
        let unread = self.failed.iter().filter(|failed| failed.kind == FileKind::Certificates && !failed.was_read);
        let unreadable = u32::try_from(files.problems.len() + unread.count()).unwrap_or(u32::MAX);
        let store = Store { place: CertificateStore::Files, entries, unreadable };
        // As of when they were taken: what has expired since is for a rule to say, at the time it judges. The newest file,
        // since a certificate in it may not have been valid yet when the oldest was taken.
        for sighting in bundle::sightings(store, &[], &trust, taken.newest) {
            let at = match &sighting.key.subject {
                Subject::Certificate(sha256) => times.get(sha256).copied(),
                Subject::Host | Subject::User(_) => None,
            };
            // The listing says that there are no others, which is as old as its oldest part.
            observations.add(sighting.key, sighting.outcome, at.unwrap_or(taken.oldest));
        }
    }

    /// A failed observation for each file that failed, where no other file told the same.
    fn failures(&self, roles: &[Role], captured_at: Timestamp, observations: &mut Observations) {
        for failed in &self.failed {
            let outcome = || crate::source::failed(failed.reason, &failed.detail);
            let is_controller = roles.contains(&Role::DomainController);
            let of_user: &[Kind] = match failed.kind {
                FileKind::Dsregcmd => &[Kind::Prt, Kind::Ngc, Kind::NgcPrerequisites],
                FileKind::Events => &[Kind::ProvisioningEvent],
                FileKind::Registry => &[Kind::UserPolicy],
                _ => &[],
            };
            let of_host = match failed.kind {
                FileKind::Dsregcmd => Some(Kind::JoinState),
                FileKind::WindowsVersion => Some(Kind::OperatingSystem),
                FileKind::Tpmtool | FileKind::TpmProperties => Some(Kind::Tpm),
                FileKind::Certificates => Some(Kind::CertificateListing),
                // An inventory without it is not complete, and the firmware is not known, which says the same.
                FileKind::KeyCredentials | FileKind::FirmwareType => None,
                // What a file of many things would have told is not known; of each sort of machine it is above all this.
                FileKind::Events | FileKind::EventLog if is_controller => Some(Kind::KdcEvents),
                FileKind::Events | FileKind::EventLog => Some(Kind::DeviceEvents),
                FileKind::Registry if is_controller => Some(Kind::KdcPolicy),
                FileKind::Registry if failed.user.is_some() => None,
                FileKind::Registry => Some(Kind::ComputerPolicy),
                FileKind::DcLocator => Some(Kind::DcLocator),
                FileKind::KdcService => Some(Kind::KdcService),
                FileKind::KdcLoad => Some(Kind::KdcLoad),
                FileKind::Replication => Some(Kind::Replication),
                FileKind::SyncScheduler => Some(Kind::SyncScheduler),
                FileKind::RevocationList => Some(Kind::RevocationLists),
            };
            let of_user =
                failed.user.iter().flat_map(|sid| of_user.iter().map(|kind| ObservationKey::user(*kind, sid.clone())));
            for key in of_host.map(ObservationKey::host).into_iter().chain(of_user) {
                if !observations.0.contains_key(&key) {
                    observations.add(key, outcome(), failed.taken_at.unwrap_or(captured_at));
                }
            }
        }
    }

    /// Certificates of files and folders that `[trust]` names.
    fn trusted(&mut self, paths: Vec<String>) -> Vec<Parsed> {
        let mut bundle = FileBundle::default();
        for relative in paths {
            let read = |path: &Path, bundle: &mut FileBundle| -> Result<(), CaptureError> {
                let content = files::read(self.folder, path)?;
                bundle.add_bytes(&path.display().to_string(), &content.bytes);
                Ok(())
            };
            let all = files::within(self.folder, &relative).and_then(|path| files_at(&path));
            let shown = self.folder.join(&relative);
            match all {
                Ok(paths) => {
                    for path in paths {
                        if let Err(error) = read(&path, &mut bundle) {
                            self.problem(&path, error);
                        }
                    }
                }
                Err(error) => self.problem(&shown, error),
            }
            for problem in bundle.problems.drain(..) {
                self.problems
                    .push(CaptureProblem::new(&shown, CaptureError::Invalid { kind: FileKind::Certificates, problem }));
            }
        }
        bundle.certificates
    }

    /// The keys of users as parts of an inventory, each within the bound of one report.
    fn inventory(&mut self, keys: BTreeMap<Sid, UserKeys>, keys_at: Timestamp) -> Vec<InventoryPart> {
        let declared = self.manifest.directory.take();
        if keys.is_empty() && declared.is_none() {
            return Vec::new();
        }
        let manifest_path = self.folder.join(MANIFEST);
        let forest = declared.as_ref().and_then(|directory| directory.forest.clone()).or(self.manifest.forest.clone());
        let Some(forest) = forest else {
            let why = "keys in the directory belong to a forest";
            self.problem(&manifest_path, CaptureError::MissingKey { key: "forest".to_owned(), why });
            return Vec::new();
        };
        // Without the section nobody claims that the files are all there is.
        let mut directory = declared.unwrap_or_else(|| Directory {
            forest: None,
            source: Text::cut("key-credentials"),
            as_of: None,
            complete: false,
            canary_seen: false,
        });
        if directory.complete && self.lost > 0 {
            self.problem(&manifest_path, CaptureError::Incomplete { files: self.lost });
            directory.complete = false;
        }
        let as_of = directory.as_of.unwrap_or(keys_at);
        let items: Vec<InventoryItem> = keys.into_values().map(InventoryItem::UserKeys).collect();
        let mut chunks: Vec<&[InventoryItem]> = items.chunks(limits::INVENTORY_ITEMS_PER_REPORT).collect();
        if chunks.is_empty() {
            // An empty inventory that is complete says that nobody has a key.
            chunks.push(&[]);
        }
        let last = chunks.len();
        (1..)
            .zip(chunks)
            .map(|(cursor, items)| InventoryPart {
                forest: forest.clone(),
                source: directory.source.clone(),
                // Grows with the time of reading, so a later capture is a later pass.
                epoch: u64::try_from(as_of.unix_ms()).unwrap_or_default(),
                cursor,
                as_of,
                items: items.to_vec(),
                complete: directory.complete && cursor == last as u64,
                canary_seen: directory.canary_seen,
            })
            .collect()
    }
}

/// The TPM out of what several files say of it: the newest, completed by what only others tell. A file that says there is
/// none counts like any other.
fn one_tpm(mut found: Vec<(Outcome, Timestamp)>) -> Option<(Outcome, Timestamp)> {
    found.sort_by_key(|(_, at)| *at);
    let (mut outcome, mut at) = found.pop()?;
    let Outcome::Observed(Evidence::Tpm(tpm)) = &mut outcome else { return Some((outcome, at)) };
    for (other, other_at) in found.into_iter().rev() {
        let Outcome::Observed(Evidence::Tpm(other)) = other else { continue };
        if other.version == tpm.version {
            at = at.min(other_at);
            tpm.manufacturer = tpm.manufacturer.take().or(other.manufacturer);
            tpm.firmware = tpm.firmware.take().or(other.firmware);
            tpm.lockout = tpm.lockout.or(other.lockout);
            tpm.ek_certificates = tpm.ek_certificates.or(other.ek_certificates);
            tpm.fips_mode = tpm.fips_mode.or(other.fips_mode);
            tpm.readiness = match (tpm.readiness, other.readiness) {
                // The one that says what is missing says more.
                (Some(readiness), Some(exact)) if readiness.missing.is_none() && exact.missing.is_some() => Some(exact),
                (readiness, other) => readiness.or(other),
            };
        }
    }
    Some((outcome, at))
}

/// Observations by key; of two with the same key the newer stays, and a fact before a gap of the same time.
#[derive(Default)]
struct Observations(BTreeMap<ObservationKey, Observation>);

impl Observations {
    fn add(&mut self, key: ObservationKey, outcome: Outcome, observed_at: Timestamp) {
        self.extend([Observation { key, outcome, observed_at, context: Context::Service, origin: Origin::Capture }]);
    }

    fn extend(&mut self, observations: impl IntoIterator<Item = Observation>) {
        let rank =
            |seen: &Observation| (seen.observed_at, matches!(seen.outcome, Outcome::Observed(_) | Outcome::Absent));
        for observation in observations {
            if self.0.get(&observation.key).is_none_or(|kept| rank(&observation) > rank(kept)) {
                self.0.insert(observation.key.clone(), observation);
            }
        }
    }

    fn keep_users(&mut self, users: &[CapturedUser]) {
        self.0.retain(|key, _| match &key.subject {
            Subject::User(sid) => users.iter().any(|user| user.sid == *sid),
            Subject::Host | Subject::Certificate(_) => true,
        });
    }

    fn into_vec(self) -> Vec<Observation> {
        self.0.into_values().collect()
    }
}

/// The file itself, or what lies directly in a folder: a folder of certificates is named like a file.
fn files_at(path: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    Ok(files::list(path)?.files.into_iter().filter(|path| !is_for_people(path)).collect())
}

/// A machine's name without its domain, as newer builds of `dsregcmd` and older ones show it alike.
fn short_name(name: Option<&Text>) -> Option<String> {
    Some(name?.as_str().split('.').next()?.to_lowercase())
}

/// A SID at the end of a file's name, as in `keys-S-1-5-21-1-2-3-1104.txt`.
fn sid_in_name(path: &Path) -> Option<Sid> {
    let stem = path.file_stem()?.to_string_lossy().to_uppercase();
    stem.get(stem.find("S-1-")?..)?.parse().ok()
}
