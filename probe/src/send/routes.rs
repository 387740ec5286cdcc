//! Which collector is tried when.
//!
//! The list counts in its order, a service in the order its records give (RFC 2782). A collector that answers is kept
//! for [`KEPT`], so that its tickets and its knowledge of the host are of use; then the list counts again, and a fleet
//! comes back to its first collector. One that does not answer goes to the end for a time drawn at random below a
//! ceiling that doubles (full jitter): the others are not delayed by it, and when it comes back its probes do not come
//! all at once. None is ever left out: where all have failed, all are tried.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use muster_proto::link::{Chain, CollectorUrl, ServiceName, ServiceRecord, ServiceResolver};
use tokio::time::Instant;

use crate::config::CollectorPlace;
use crate::schedule::Draw;

/// How long a collector that answers is preferred to the order of the list: as long as a connection lives.
const KEPT: Duration = Duration::from_hours(1);

/// Ceiling of the first time at the end of the list, and the most it grows to.
const FIRST_CEILING: Duration = Duration::from_secs(30);
const LAST_CEILING: Duration = Duration::from_hours(1);

/// Collectors tried for one report: each may take the whole time limit.
const MOST_TRIED: usize = 16;

/// The collectors and how they fared.
pub(super) struct Routes {
    places: Vec<CollectorPlace>,
    resolver: ServiceResolver,
    /// What a service answered last, for when nobody answers for it.
    known: BTreeMap<ServiceName, Vec<ServiceRecord>>,
    kept: Option<(CollectorUrl, Instant)>,
    failed: HashMap<CollectorUrl, Failed>,
    draw: Draw,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last_until: Instant,
}

impl Routes {
    pub(super) fn new(places: Vec<CollectorPlace>, resolver: ServiceResolver, draw: Draw) -> Self {
        Self { places, resolver, known: BTreeMap::new(), kept: None, failed: HashMap::new(), draw }
    }

    /// The collectors in the order in which they are tried now, and what kept services from being looked up.
    pub(super) async fn in_order(&mut self, limit: Duration) -> (Vec<CollectorUrl>, Vec<String>) {
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for place in &self.places {
            match place {
                CollectorPlace::At(url) => all.push(url.clone()),
                CollectorPlace::Service(name) => {
                    match self.resolver.collectors(name, limit, &mut self.draw).await {
                        Ok(records) => {
                            self.known.insert(name.clone(), records);
                        }
                        Err(error) => problems.push(Chain(&error).to_string()),
                    }
                    all.extend(self.known.get(name).into_iter().flatten().map(|record| record.url.clone()));
                }
            }
        }
        (self.arranged(all, Instant::now()), problems)
    }

    fn arranged(&mut self, all: Vec<CollectorUrl>, now: Instant) -> Vec<CollectorUrl> {
        let mut ordered: Vec<CollectorUrl> = Vec::with_capacity(all.len());
        for url in all {
            if !ordered.contains(&url) {
                ordered.push(url);
            }
        }
        // What the list does not name any more is forgotten.
        self.failed.retain(|url, _| ordered.contains(url));
        self.kept = self.kept.take().filter(|(url, since)| now < *since + KEPT && ordered.contains(url));
        // A stable sort: the order of the list holds within each group.
        ordered.sort_by_key(|url| match (&self.kept, self.failed.get(url)) {
            (Some((kept, _)), _) if kept == url => (0, now),
            (_, Some(failed)) if failed.last_until > now => (2, failed.last_until),
            _ => (1, now),
        });
        ordered.truncate(MOST_TRIED);
        ordered
    }

    /// Notes that a collector answers.
    pub(super) fn answers(&mut self, url: &CollectorUrl, now: Instant) {
        self.failed.remove(url);
        if self.kept.as_ref().is_none_or(|(kept, _)| kept != url) {
            self.kept = Some((url.clone(), now));
        }
    }

    /// Notes that a collector did not answer, or not to the end.
    pub(super) fn fails(&mut self, url: &CollectorUrl, now: Instant) {
        self.kept.take_if(|(kept, _)| kept == url);
        let times = self.failed.get(url).map_or(0, |failed| failed.times);
        let ceiling = FIRST_CEILING.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(LAST_CEILING);
        let ceiling_ms = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
        let wait = Duration::from_millis((self.draw)() % ceiling_ms.saturating_add(1));
        let failed = Failed { times: times.saturating_add(1).min(31), last_until: now + wait };
        self.failed.insert(url.clone(), failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(places: &[&str], draw: Draw) -> Routes {
        let places = places.iter().map(|place| place.parse().unwrap()).collect();
        Routes::new(places, ServiceResolver::default(), draw)
    }

    /// The order at a time, without asking any name server.
    fn order(routes: &mut Routes, now: Instant) -> String {
        let all = routes
            .places
            .iter()
            .filter_map(|place| match place {
                CollectorPlace::At(url) => Some(url.clone()),
                CollectorPlace::Service(_) => None,
            })
            .collect();
        routes.arranged(all, now).iter().map(|url| url.host().to_owned()).collect::<Vec<_>>().join(" ")
    }

    fn url(host: &str) -> CollectorUrl {
        format!("https://{host}:1").parse().unwrap()
    }

    #[test]
    fn the_list_counts_and_what_answers_is_kept_for_a_while() {
        let start = Instant::now();
        // The whole of the first ceiling.
        let mut routes = routes(&["a:1", "b:1", "c:1", "b:1"], Box::new(|| 30_000));
        assert_eq!(order(&mut routes, start), "a b c");
        routes.fails(&url("a"), start);
        routes.answers(&url("b"), start);
        assert_eq!(order(&mut routes, start), "b c a", "what failed goes to the end and is not left out");
        assert_eq!(order(&mut routes, start + FIRST_CEILING), "b a c", "its time is over; what answers is kept");
        routes.answers(&url("b"), start + FIRST_CEILING);
        assert_eq!(order(&mut routes, start + KEPT), "a b c", "the first of the list is tried again");
        routes.answers(&url("a"), start + KEPT);
        routes.fails(&url("a"), start + KEPT);
        assert_eq!(order(&mut routes, start + KEPT), "b c a", "one that fails is kept no longer");
    }

    #[test]
    fn the_time_at_the_end_is_drawn_below_a_ceiling_that_doubles_and_ends() {
        let start = Instant::now();
        let most = [30_000_u64, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000];
        let mut draws = most.into_iter();
        let mut routes = routes(&["a:1", "b:1"], Box::new(move || draws.next().unwrap()));
        for ceiling_ms in most {
            routes.fails(&url("a"), start);
            let wait = routes.failed[&url("a")].last_until - start;
            assert_eq!(wait, Duration::from_millis(ceiling_ms), "the ceiling itself can be drawn");
        }
        routes.answers(&url("a"), start);
        assert!(routes.failed.is_empty(), "an answer ends it");
        let mut routes = self::routes(&["a:1", "b:1"], Box::new(|| 30_001));
        routes.fails(&url("a"), start);
        assert_eq!(routes.failed[&url("a")].last_until, start, "and nothing above it");
        routes.fails(&url("b"), start);
        assert_eq!(order(&mut routes, start), "a b", "where all have failed all are tried");
    }
}
