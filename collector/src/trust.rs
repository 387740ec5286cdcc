//! What the configuration and the files it names say about who is believed: read as a whole, or not at all.
//!
//! [`Materials`] is what was read, [`Assembled`] what the listeners are given. The two steps are apart so that a
//! revocation list that was fetched can take effect without the certificates being read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muster_evidence::Timestamp;
use muster_proto::link::{Chain, SpkiPin};
use tokio::time::Instant;

use crate::access::{OwnCertificate, RevocationState, RevocationUse};
use crate::config::Config;
use crate::crl::fetch::{self, ListUrl, Validators};
use crate::crl::file::FileError;
use crate::crl::{self, Authority, List, Loaded, RevocationSet};
use crate::identity::{self, IdentityError, Material, Trust};

/// Most addresses that lists are fetched from.
const MOST_URLS: usize = 32;

/// Says why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Certificates, keys or trust cannot be used.
    #[error("the {listener} listener cannot be set up")]
    Identity {
        /// Which listener.
        listener: &'static str,
        /// Why.
        #[source]
        cause: Box<IdentityError>,
    },
    /// A revocation list cannot be used.
    #[error("the revocation lists cannot be used")]
    Lists(#[from] FileError),
    /// A CA is pinned whose lists could not be verified.
    #[error(
        "issuing CA {pin} is pinned and its certificate is not in `ca`, so no revocation list of it can be verified"
    )]
    PinWithoutCertificate {
        /// The pin.
        pin: SpkiPin,
    },
    /// There are too many addresses.
    #[error("revocation lists are to be fetched from {found} addresses (at most {MOST_URLS})")]
    TooManyUrls {
        /// How many.
        found: usize,
    },
}

/// What is known of a list that is fetched.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// The newest that was good.
    pub(crate) list: Option<Arc<List>>,
    pub(crate) validators: Validators,
    pub(crate) failures: u32,
    /// What went wrong last; empty where nothing did.
    pub(crate) problem: String,
    /// When to ask next.
    pub(crate) due: Instant,
}

/// Everything that was read.
#[derive(Clone, Debug)]
pub(crate) struct Materials {
    pub(crate) config: Config,
    pub(crate) probes: Material,
    pub(crate) operators: Option<Material>,
    pub(crate) authorities: Vec<Authority>,
    files: Vec<Loaded>,
    pub(crate) remote: BTreeMap<ListUrl, Remote>,
}

/// What the listeners are given.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) probes: Trust,
    pub(crate) operators: Option<Trust>,
    pub(crate) certificates: Vec<OwnCertificate>,
    pub(crate) revocation: Vec<RevocationState>,
    pub(crate) lists: Option<Arc<RevocationSet>>,
    /// Times at which other peers pass than before, without anything being changed.
    pub(crate) boundaries: Vec<Timestamp>,
}

impl Materials {
    /// Reads everything. Lists that were parsed before are not parsed again. Blocks.
    pub(crate) fn read(config: Config, before: Option<&Self>) -> Result<Self, TrustError> {
        let failed = |listener| move |cause| TrustError::Identity { listener, cause: Box::new(cause) };
        let probes = Material::read("probes", &config.probes.tls).map_err(failed("probes'"))?;
        let operators = config.operators.tls.as_ref();
        let operators =
            operators.map(|files| Material::read("operators", files)).transpose().map_err(failed("operators'"))?;
        let mut authorities: Vec<Authority> = Vec::new();
        for authority in probes.authorities().chain(operators.iter().flat_map(Material::authorities)) {
            if !authorities.contains(&authority) {
                authorities.push(authority);
            }
        }
        let mut read = Self { config, probes, operators, authorities, files: Vec::new(), remote: BTreeMap::new() };
        if !read.config.crl.is_on() {
            return Ok(read);
        }
        if let Some(pin) = read.issuers().into_iter().find(|pin| read.authorities.iter().all(|a| a.pin != *pin)) {
            return Err(TrustError::PinWithoutCertificate { pin });
        }
        // What a list is worth depends on the CAs: with others, everything is looked at anew.
        let before = before.filter(|before| before.authorities == read.authorities);
        let known = before.map(Self::lists).unwrap_or_default();
        read.files = crl::file::load(&read.config.crl.files, &read.authorities, &known)?;
        if let Some(before) = before {
            read.remote = before.remote.clone();
        }
        read.find_remote()?;
        crl::file::bounded(&read.lists())?;
        Ok(read)
    }

    /// The keys of all CAs that may issue peers.
    fn issuers(&self) -> Vec<SpkiPin> {
        let mut pins: BTreeSet<SpkiPin> = self.probes.pins().iter().copied().collect();
        pins.extend(self.operators.iter().flat_map(|own| own.pins().iter().copied()));
        pins.into_iter().collect()
    }

    /// Finds the addresses to ask, forgets those that are no longer named, and takes the copies that are kept.
    pub(crate) fn find_remote(&mut self) -> Result<(), TrustError> {
        loop {
            let mut wanted: BTreeSet<ListUrl> = self.config.crl.urls.iter().cloned().collect();
            if self.config.crl.distribution_points {
                let named = self.probes.distribution_points().into_iter();
                let named = named.chain(self.operators.iter().flat_map(Material::distribution_points));
                let of_deltas = self.lists().into_iter().flat_map(|own| own.list.delta_addresses());
                wanted.extend(named.chain(of_deltas).filter_map(|url| url.parse().ok()));
            }
            if wanted.len() > MOST_URLS {
                return Err(TrustError::TooManyUrls { found: wanted.len() });
            }
            self.remote.retain(|url, _| wanted.contains(url));
            let new: Vec<ListUrl> = wanted.into_iter().filter(|url| !self.remote.contains_key(url)).collect();
            if new.is_empty() {
                return Ok(());
            }
            // A kept copy may name a further address, so this goes round again; the bound above ends it.
            for url in new {
                let kept = self.kept(&url);
                self.remote.insert(url, kept);
            }
        }
    }

    /// What is kept on disk of an address.
    fn kept(&self, url: &ListUrl) -> Remote {
        let (mut list, mut problem) = (None, "was not fetched yet".to_owned());
        match fetch::kept(&self.config.crl.cache, url) {
            Ok(None) => {}
            Ok(Some(bytes)) => match List::read(&bytes, &self.authorities) {
                Ok(kept) => (list, problem) = (Some(kept), String::new()),
                Err(error) => problem = format!("the copy kept on disk cannot be used: {}", Chain(&error)),
            },
            Err(error) => problem = format!("the copy kept on disk cannot be read: {error}"),
        }
        Remote { list, validators: Validators::default(), failures: 0, problem, due: Instant::now() }
    }

    /// Every list there is.
    fn lists(&self) -> Vec<Loaded> {
        let remote = self
            .remote
            .iter()
            .filter_map(|(url, own)| Some(Loaded { source: url.to_string(), list: Arc::clone(own.list.as_ref()?) }));
        self.files.iter().cloned().chain(remote).collect()
    }

    /// Makes what the listeners are given, with new ticket keys.
    pub(crate) fn assemble(&self) -> Result<Assembled, TrustError> {
        let failed = |listener| move |cause| TrustError::Identity { listener, cause: Box::new(cause) };
        let (mut lists, mut revocation) = (None, Vec::new());
        let mut boundaries = self.probes.boundaries();
        boundaries.extend(self.operators.iter().flat_map(Material::boundaries));
        if self.config.crl.is_on() {
            let all = self.lists();
            crl::file::bounded(&all)?;
            let (set, states) = RevocationSet::new(&all, &self.authorities, &self.issuers(), self.config.crl.stale);
            boundaries.extend(set.boundaries());
            (lists, revocation) = (Some(Arc::new(set)), states);
            revocation.extend(self.remote.iter().filter(|(_, own)| !own.problem.is_empty()).map(failure));
        }
        let probes = identity::probe_trust(&self.probes, lists.as_ref()).map_err(failed("probes'"))?;
        let operators = self.operators.as_ref();
        let operators = operators
            .map(|own| identity::operator_trust(own, &self.probes, lists.as_ref()))
            .transpose()
            .map_err(failed("operators'"))?;
        let certificates = [Some(&self.probes), self.operators.as_ref()];
        let certificates = certificates.into_iter().flatten().map(|own| own.own_certificate().clone()).collect();
        Ok(Assembled { probes, operators, certificates, revocation, lists, boundaries })
    }
}

/// What is shown of an address that did not yield a list.
fn failure((url, own): (&ListUrl, &Remote)) -> RevocationState {
    RevocationState {
        issuer: own.list.as_ref().map(|list| list.issuer.clone()).unwrap_or_default(),
        source: url.to_string(),
        delta: own.list.as_ref().is_some_and(|list| list.is_delta()),
        number: String::new(),
        this_update: None,
        next_update: None,
        entries: 0,
        used: RevocationUse::Failed,
        problem: own.problem.clone(),
    }
}

/// What came of a list that was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// It is new, and what peers are judged by has changed.
    New,
    /// Nothing has changed.
    Same,
}

impl Materials {
    /// Takes in what an address has answered.
    pub(crate) fn arrived(
        &mut self,
        url: &ListUrl,
        answer: Result<Option<(Arc<List>, Validators)>, String>,
        now: Timestamp,
        spread: f64,
    ) -> Arrived {
        let interval = self.config.crl.interval;
        let Some(own) = self.remote.get_mut(url) else { return Arrived::Same };
        let mut arrived = Arrived::Same;
        match answer {
            Err(problem) => {
                own.failures = own.failures.saturating_add(1);
                own.problem = problem;
            }
            Ok(answer) => {
                (own.failures, own.problem) = (0, String::new());
                if let Some((list, validators)) = answer {
                    let older = own.list.as_ref().is_some_and(|have| list.is_older_than(have));
                    if older {
                        // Plain HTTP: anyone on the way can answer with a list of last week.
                        own.failures = 1;
                        "the list is older than the one that was fetched before, which is kept"
                            .clone_into(&mut own.problem);
                    } else {
                        own.validators = validators;
                        if own.list.as_ref().is_none_or(|have| have.digest != list.digest) {
                            own.list = Some(list);
                            arrived = Arrived::New;
                        }
                    }
                }
            }
        }
        let pause = fetch::pause(interval, own.list.as_deref(), own.failures, now, spread);
        own.due = Instant::now() + pause.max(Duration::from_millis(100));
        arrived
    }
}
