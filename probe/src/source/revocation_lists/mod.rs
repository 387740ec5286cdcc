//! The revocation lists of a domain controller's certificates, as this machine gets them.
//!
//! A client refuses a KDC's certificate whose list it cannot get or whose list is over, so the points are asked from
//! the controller itself: those of the certificates a KDC may use, and of the issuers above them up to the root. Plain
//! HTTP only, as a client without a ticket would. How fresh a list must be is a rule and not decided here; what the
//! lists say of a certificate is told with the certificate ([`super::dc_certificate`]), which reads the copies that are
//! kept here.
//!
//! A point is asked every hour, sooner after a failure or when the next list should be there; in between, what came of
//! asking last is told again, so that an unchanged machine stays unchanged.

mod cache;
mod http;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use muster_evidence::{
    Certificate, CrlFetch, DistributionPoint, Evidence, ExtendedKeyUsage, FailureReason, Kind, Outcome, RevocationList,
    RevocationLists, TemplateReference, Text, Timestamp, limits,
};
use muster_proto::link::{Chain, InvalidProxy, Proxies};

use self::cache::{Cache, Remembered};
use self::http::{Answer, FetchError, HttpUrl, Limits, Validators};
use super::dc_certificate::{self, Found};
use super::{Sighting, Source, SourceSettings, failed};
use crate::config::ProxySetting;
use crate::parse::certificate::{self, AtHand, Point};
use crate::parse::revocation_list::{self, MOST_BYTES};

/// How lists are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationListSettings {
    /// The folder in which lists are kept between rounds.
    pub folder: PathBuf,
    /// The proxy on the way to them.
    pub proxy: ProxySetting,
    /// Hosts that are reached without a configured proxy.
    pub proxy_bypass: Vec<String>,
    /// How long fetching one list may take, redirects included; at most [`RevocationListSettings::MAX_TIMEOUT`].
    pub timeout: Duration,
}

impl RevocationListSettings {
    /// More than Windows waits for a list (15 s by default), so that one that takes longer is of no use to it either.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(20);

    /// As the link's settings have it, in that folder.
    pub fn new(folder: PathBuf, proxy: ProxySetting, proxy_bypass: Vec<String>) -> Self {
        Self { folder, proxy, proxy_bypass, timeout: Self::MAX_TIMEOUT }
    }

    fn proxies(&self) -> Result<Proxies, InvalidProxy> {
        match &self.proxy {
            ProxySetting::Environment => Proxies::plain_from_environment(),
            ProxySetting::Straight => Ok(Proxies::none()),
            ProxySetting::At(url) => Proxies::configured("proxy.url", url, &self.proxy_bypass.join(",")),
        }
    }
}

/// Lists fetched side by side: enough that two dead servers do not use up the time of the others.
const AT_ONCE: usize = 4;

/// Largest list of which several may be in memory at once; larger ones are fetched one at a time.
const SMALL_BYTES: usize = 8 << 20;

/// How long after the beginning of a round the last fetch may begin. Whoever comes later is asked in the next round,
/// when what was slow in this one is left alone.
const ROUND: Duration = Duration::from_mins(1);

/// Observes the revocation lists of the domain controller this probe stands for.
#[derive(Clone, Copy, Debug)]
pub struct RevocationListSource;

impl Source for RevocationListSource {
    fn name(&self) -> &'static str {
        "revocation-lists"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::RevocationLists]
    }

    /// Time to find the certificates, for the round, and for the last large list that was begun in it.
    fn timeout(&self) -> Duration {
        Duration::from_secs(150)
    }

    fn is_wanted(&self, settings: &SourceSettings) -> bool {
        settings.dc_certificate.is_some() && settings.revocation.is_some()
    }

    fn observe(&self, settings: &SourceSettings, now: Timestamp) -> Vec<Sighting> {
        let (Some(certificates), Some(revocation)) = (&settings.dc_certificate, &settings.revocation) else {
            return Vec::new();
        };
        let outcome = match dc_certificate::find(certificates) {
            Ok(found) => look(&found, certificates, revocation, now),
            Err(error) => failed(error.reason, format!("no certificates to fetch lists for: {}", error.line)),
        };
        vec![Sighting::of_host(Kind::RevocationLists, outcome)]
    }
}

/// The lists kept of an earlier round.
pub(super) fn kept(settings: &RevocationListSettings) -> Vec<Vec<u8>> {
    Cache::new(&settings.folder).lists()
}

/// A point to be asked.
struct Wanted {
    point: Point,
    /// The certificate whose list it is, in DER.
    certificate: Vec<u8>,
}

/// What came of one point.
struct Got {
    told: DistributionPoint,
    freshest: Vec<String>,
}

fn look(
    found: &Found,
    certificates: &dc_certificate::DcCertificateSettings,
    settings: &RevocationListSettings,
    now: Timestamp,
) -> Outcome {
    let proxies = match settings.proxies() {
        Ok(proxies) => proxies,
        Err(error) => return failed(FailureReason::Internal, error.to_string()),
    };
    let trust = dc_certificate::bundle::Trust::load(&certificates.anchors, &certificates.intermediates);
    let issuers = trust.issuers(&found.issuers());
    let fetcher = Fetcher {
        issuers: &issuers,
        proxies: &proxies,
        cache: Cache::new(&settings.folder),
        time: settings.timeout.min(RevocationListSettings::MAX_TIMEOUT),
        until: Instant::now() + ROUND,
        large: Mutex::new(()),
        now,
    };

    let mut wanted = wanted(found, &issuers, now);
    let mut left_out = cut(&mut wanted, limits::DISTRIBUTION_POINTS);
    let mut got = fetcher.all(&wanted);
    // Where the deltas are is told by the base lists, by certificates only where somebody put it there.
    let mut known: BTreeSet<String> = wanted.iter().map(|wanted| wanted.point.url.clone()).collect();
    let mut deltas = Vec::new();
    for (wanted, got) in wanted.iter().zip(&got) {
        for url in &got.freshest {
            if known.insert(url.clone()) {
                let point = Point { url: url.clone(), delta: true, other_issuer: wanted.point.other_issuer };
                deltas.push(Wanted { point, certificate: wanted.certificate.clone() });
            }
        }
    }
    left_out += cut(&mut deltas, limits::DISTRIBUTION_POINTS - got.len());
    got.extend(fetcher.all(&deltas));
    fetcher.cache.prune();

    let points = got.into_iter().map(|got| got.told).collect();
    let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
    Outcome::Observed(Evidence::RevocationLists(RevocationLists { points, left_out }))
}

/// Cuts a list to a length, and says how many were left out.
fn cut(wanted: &mut Vec<Wanted>, most: usize) -> usize {
    let left_out = wanted.len().saturating_sub(most);
    wanted.truncate(most);
    left_out
}

/// The points of the certificates that a KDC may use, each once, then those of the issuers above them.
fn wanted(found: &Found, issuers: &[Vec<u8>], now: Timestamp) -> Vec<Wanted> {
    let none: [&[u8]; 0] = [];
    let at_hand = AtHand::new(issuers, &[], &none);
    let candidates: Vec<_> =
        found.entries.iter().filter(|entry| may_serve_a_kdc(&entry.parsed.certificate, now)).collect();
    let mut above: Vec<Vec<u8>> = Vec::new();
    for entry in &candidates {
        for issuer in certificate::issuers(&entry.parsed.der, &at_hand, now) {
            if !above.contains(&issuer) {
                above.push(issuer);
            }
        }
    }
    let above = above.iter().filter_map(|der| certificate::from_der(der).ok());
    let mut known = BTreeSet::new();
    let mut wanted = Vec::new();
    for parsed in candidates.into_iter().map(|entry| entry.parsed.clone()).chain(above) {
        for point in parsed.points {
            if known.insert(point.url.clone()) {
                wanted.push(Wanted { point, certificate: parsed.der.clone() });
            }
        }
    }
    wanted
}

/// Whether a KDC could select it: it has one of the usages or the template, and its time is not over.
fn may_serve_a_kdc(certificate: &Certificate, now: Timestamp) -> bool {
    let usages = certificate.extended_key_usages.as_deref();
    let for_kdc = usages.is_none_or(|usages| {
        usages.iter().any(|usage| {
            [ExtendedKeyUsage::KDC_AUTH, ExtendedKeyUsage::SMART_CARD_LOGON, ExtendedKeyUsage::ANY]
                .contains(&usage.oid())
        })
    });
    let by_template =
        matches!(&certificate.template, Some(TemplateReference::Name(name)) if name.as_str() == "DomainController");
    (for_kdc || by_template) && !certificate.is_ca && now <= certificate.not_after
}

struct Fetcher<'a> {
    issuers: &'a [Vec<u8>],
    proxies: &'a Proxies,
    cache: Cache,
    /// How long one fetch may take.
    time: Duration,
    /// When the last fetch of this round may begin.
    until: Instant,
    /// Held while a large list is in memory.
    large: Mutex<()>,
    now: Timestamp,
}

impl Fetcher<'_> {
    /// Asks all points, a few at a time; the answers in the order of the points.
    fn all(&self, wanted: &[Wanted]) -> Vec<Got> {
        let next = AtomicUsize::new(0);
        let answers: Vec<Mutex<Option<Got>>> = wanted.iter().map(|_| Mutex::new(None)).collect();
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(wanted.len()) {
                scope.spawn(|| {
                    while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < wanted.len()) {
                        let got = self.one(&wanted[index]);
                        *answers[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(got);
                    }
                });
            }
        });
        answers.into_iter().filter_map(|answer| answer.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    fn one(&self, wanted: &Wanted) -> Got {
        let Point { url, delta, .. } = &wanted.point;
        let told = |fetch, list| DistributionPoint { url: Text::cut(&shown(url)), delta: *delta, fetch, list };
        let address = match HttpUrl::parse(url) {
            Ok(address) => address,
            Err(why) => {
                let fetch = CrlFetch::NotAsked { why: Text::cut(&why.to_string()) };
                return Got { told: told(fetch, None), freshest: Vec::new() };
            }
        };
        let known = self.cache.recall(url);
        let known = match known {
            Some(known) if !known.is_due(self.now) => known,
            Some(known) if Instant::now() >= self.until => known,
            None if Instant::now() >= self.until => {
                let why = Text::cut("the points before it took all the time there was; it is asked next time");
                return Got { told: told(CrlFetch::NotAsked { why }, None), freshest: Vec::new() };
            }
            known => self.ask(wanted, &address, known),
        };
        Got { told: told(known.fetch, known.list), freshest: known.freshest }
    }

    /// Asks a point, and keeps what came of it.
    fn ask(&self, wanted: &Wanted, address: &HttpUrl, known: Option<Remembered>) -> Remembered {
        let url = &wanted.point.url;
        let mut now_known = known.unwrap_or_else(|| Remembered {
            url: url.clone(),
            asked_at: self.now,
            fetch: CrlFetch::Fetched,
            list: None,
            freshest: Vec::new(),
            validators: Validators::default(),
        });
        now_known.asked_at = self.now;
        let have = if now_known.list.is_some() { now_known.validators.clone() } else { Validators::default() };
        let mut new = None;
        let mut large = None;
        let get = |bytes| http::get(address, &have, self.proxies, Limits { time: self.time, bytes });
        let mut answer = get(SMALL_BYTES);
        if let Err(FetchError::TooLarge { .. }) = answer {
            large = Some(self.large.lock().unwrap_or_else(PoisonError::into_inner));
            answer = get(MOST_BYTES);
        }
        now_known.fetch = match answer {
            Ok(Answer::Unchanged) => CrlFetch::Fetched,
            Ok(Answer::Body { bytes, content_type, validators }) => {
                match self.judge(&bytes, &content_type, wanted) {
                    Ok(list) => {
                        // A server that is behind its neighbours gives an older list: the newest at hand counts.
                        let older = now_known.list.as_ref().is_some_and(|known| is_older(&list.list, known));
                        if !older {
                            now_known.list = Some(list.list);
                            now_known.freshest = list.freshest;
                            now_known.validators = validators;
                            new = Some(bytes);
                        }
                        CrlFetch::Fetched
                    }
                    Err(detail) => CrlFetch::Unusable { detail: Text::cut(&detail) },
                }
            }
            Err(error) if error.is_unusable() => CrlFetch::Unusable { detail: Text::cut(&error.to_string()) },
            Err(error) => CrlFetch::Unreachable { detail: Text::cut(&Chain(&error).to_string()) },
        };
        if let Err(error) = self.cache.remember(&now_known, new.as_deref()) {
            tracing::warn!(url = shown(url), error = %error, "failed to keep a revocation list for the next round");
        }
        drop(large);
        now_known
    }

    /// Whether bytes are the list that was asked for; the error says what they are instead.
    fn judge(&self, bytes: &[u8], content_type: &str, wanted: &Wanted) -> Result<revocation_list::ParsedList, String> {
        let list = revocation_list::from_der(bytes).map_err(|error| {
            let claimed = if content_type.is_empty() { String::new() } else { format!(", of type `{content_type}`") };
            match known_kind(bytes) {
                Some(kind) => format!("{kind}{claimed}"),
                None => format!("it gave something that is no list{claimed}: {}", Chain(&error)),
            }
        })?;
        if list.delta != wanted.point.delta {
            let (found, expected) = if list.delta { ("a delta", "a base") } else { ("a base", "a delta") };
            return Err(format!("it is {found} list (expected {expected} list)"));
        }
        // A point that names another issuer of its lists says which in a form that is not compared here.
        if !wanted.point.other_issuer {
            revocation_list::is_by_issuer_of(bytes, &wanted.certificate, self.issuers)
                .map_err(|error| error.to_string())?;
        }
        Ok(list)
    }
}

/// What was given in place of a list, where it is one of the things that are given often.
fn known_kind(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.iter().take(512).copied().map(char::from).collect::<String>().trim_start().to_ascii_lowercase();
    if bytes.is_empty() {
        Some("the answer is empty")
    } else if start.starts_with("<!doctype html") || start.starts_with("<html") {
        Some("it gave a page (HTML) instead of a list")
    } else if start.starts_with("-----begin") {
        Some("it gave PEM (RFC 5280 section 4.2.1.13 demands DER)")
    } else {
        None
    }
}

/// Whether a list was made before the one at hand.
fn is_older(new: &RevocationList, known: &RevocationList) -> bool {
    new.issuer == known.issuer && new.this_update < known.this_update
}

/// An address without credentials.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// The folder below the probe's own in which lists are kept.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("revocation-lists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_an_address_are_not_told() {
        for (url, expected) in [
            ("http://ada:secret@pki.corp.example/a@b.crl", "http://***@pki.corp.example/a@b.crl"),
            ("http://pki.corp.example/a@b.crl", "http://pki.corp.example/a@b.crl"),
            ("ldap:///CN=CA", "ldap:///CN=CA"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn what_came_instead_of_a_list_is_known() {
        for (bytes, expected) in [
            (&b""[..], Some("the answer is empty")),
            (b"\r\n<!DOCTYPE html>", Some("it gave a page (HTML) instead of a list")),
            (b"-----BEGIN X509 CRL-----", Some("it gave PEM (RFC 5280 section 4.2.1.13 demands DER)")),
            (b"\x30\x00", None),
        ] {
            assert_eq!(known_kind(bytes), expected);
        }
    }
}
