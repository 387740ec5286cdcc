//! Runs every source once, side by side, each under its own timeout.
//!
//! Collecting never fails as a whole: a source that hangs or panics becomes one failed observation for each kind it
//! should have told, and the others are not delayed.
//!
//! Each source runs on a thread of its own rather than on the runtime's blocking pool, because a runtime waits for that
//! pool when it shuts down: one hanging device driver would keep the probe from ever ending. A source whose earlier run
//! has not come back is not started again, so hanging sources do not pile up threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use muster_evidence::{FailureReason, Kind, Observation, ObservationKey, Origin, Outcome, Timestamp};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::clock::Clock;
use crate::source::{SOURCES, Sighting, Source, SourceSettings, failed};

/// Runs sources, round after round.
pub struct Collector {
    sources: Vec<Slot>,
    settings: Arc<SourceSettings>,
    clock: Arc<dyn Clock>,
}

/// Everything one round saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// The observations, in the order of the sources.
    pub observations: Vec<Observation>,
    /// How each source's run went, in the same order. Sources that had nothing to look at are not listed.
    pub runs: Vec<SourceRun>,
}

/// How one run of one source went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRun {
    /// The source's name.
    pub source: &'static str,
    /// How long it ran, or how long we waited for it.
    pub elapsed: Duration,
    /// How it ended.
    pub end: RunEnd,
}

/// How the run of a source ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// It said what it saw.
    Finished,
    /// It did not answer within its time and was left behind.
    TimedOut,
    /// An earlier run is still hanging, so it was not started.
    StillHanging,
    /// It panicked; what it said.
    Panicked(String),
    /// It could not be started; why.
    NotStarted(String),
}

impl RunEnd {
    /// How it ended, in a word.
    const fn word(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::TimedOut => "timed-out",
            Self::StillHanging => "still-hanging",
            Self::Panicked(_) => "panicked",
            Self::NotStarted(_) => "not-started",
        }
    }
}

impl Collector {
    /// A collector of the registered [`SOURCES`].
    pub fn new(settings: SourceSettings, clock: Arc<dyn Clock>) -> Self {
        Self::with_sources(SOURCES, settings, clock)
    }

    /// A collector of other sources.
    pub fn with_sources(sources: &[&'static dyn Source], settings: SourceSettings, clock: Arc<dyn Clock>) -> Self {
        let sources = sources.iter().map(|source| Slot { source: *source, busy: Arc::default() }).collect();
        Self { sources, settings: Arc::new(settings), clock }
    }

    /// Runs every source once. Takes as long as the slowest source, and at most the longest timeout.
    pub async fn collect(&self) -> Collection {
        let started_at = self.clock.now();
        let running: Vec<_> = self
            .sources
            .iter()
            .filter(|slot| slot.source.is_wanted(&self.settings))
            .map(|slot| {
                let source = slot.source;
                let (started, run) = (Instant::now(), slot.start(Arc::clone(&self.settings), started_at));
                // A task for each, so that its span ends when the source does and not when its turn comes below.
                let span = tracing::info_span!("probe.source", source = source.name(), outcome = tracing::field::Empty);
                (source, started, run.map(|answer| tokio::spawn(watched(answer, started, source.timeout(), span))))
            })
            .collect();

        let mut collection = Collection { observations: Vec::new(), runs: Vec::new() };
        for (source, started, run) in running {
            let (elapsed, end, sightings) = match run {
                Ok(watched) => watched
                    .await
                    .unwrap_or_else(|error| (started.elapsed(), RunEnd::Panicked(error.to_string()), Vec::new())),
                Err(end) => (Duration::ZERO, end, Vec::new()),
            };
            let run = SourceRun { source: source.name(), elapsed, end };
            report(&run);
            collection.observations.extend(observations(source, &run.end, sightings, started_at));
            collection.runs.push(run);
        }
        collection
    }
}

struct Slot {
    source: &'static dyn Source,
    /// Set while a thread of this source is alive.
    busy: Arc<AtomicBool>,
}

/// How long the source ran or was waited for, how that ended, and what it saw.
type Run = (Duration, RunEnd, Vec<Sighting>);

/// How long the source ran, and what it saw or the words of its panic.
type Answer = oneshot::Receiver<(Duration, Result<Vec<Sighting>, String>)>;

impl Slot {
    fn start(&self, settings: Arc<SourceSettings>, now: Timestamp) -> Result<Answer, RunEnd> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(RunEnd::StillHanging);
        }
        let (tell, answer) = oneshot::channel();
        let (source, busy) = (self.source, Arc::clone(&self.busy));
        let run = move || {
            let started = Instant::now();
            let seen = catch_unwind(AssertUnwindSafe(|| source.observe(&settings, now)));
            busy.store(false, Ordering::Release);
            // Nobody listens any more once the run has timed out.
            let _ = tell.send((started.elapsed(), seen.map_err(|payload| panic_message(payload.as_ref()))));
        };
        match std::thread::Builder::new().name(format!("source-{}", source.name())).spawn(run) {
            Ok(_detached) => Ok(answer),
            Err(error) => {
                self.busy.store(false, Ordering::Release);
                Err(RunEnd::NotStarted(error.to_string()))
            }
        }
    }
}

/// Waits for a source within its span.
async fn watched(answer: Answer, started: Instant, timeout: Duration, span: tracing::Span) -> Run {
    let run = finish(answer, started, timeout).instrument(span.clone()).await;
    span.record("outcome", run.1.word());
    run
}

async fn finish(answer: Answer, started: Instant, timeout: Duration) -> Run {
    let left = timeout.saturating_sub(started.elapsed());
    match tokio::time::timeout(left, answer).await {
        Ok(Ok((elapsed, Ok(sightings)))) => (elapsed, RunEnd::Finished, sightings),
        Ok(Ok((elapsed, Err(message)))) => (elapsed, RunEnd::Panicked(message), Vec::new()),
        Ok(Err(_dropped)) => {
            let message = "the thread ended without an answer".to_owned();
            (started.elapsed(), RunEnd::Panicked(message), Vec::new())
        }
        Err(_elapsed) => (started.elapsed(), RunEnd::TimedOut, Vec::new()),
    }
}

/// What a run comes to: what it saw, and a failed observation for every kind it owes.
fn observations(
    source: &'static dyn Source,
    end: &RunEnd,
    sightings: Vec<Sighting>,
    observed_at: Timestamp,
) -> Vec<Observation> {
    let owed = |sighting: &Sighting, kind: Kind| sighting.key == ObservationKey::host(kind);
    let missing: Vec<Sighting> = source
        .kinds()
        .iter()
        .filter(|kind| !sightings.iter().any(|sighting| owed(sighting, **kind)))
        .map(|kind| Sighting::of_host(*kind, why_missing(source, end)))
        .collect();
    sightings
        .into_iter()
        .chain(missing)
        .map(|Sighting { key, outcome, context }: Sighting| Observation {
            key,
            outcome,
            observed_at,
            context,
            origin: Origin::Live,
        })
        .collect()
}

fn why_missing(source: &dyn Source, end: &RunEnd) -> Outcome {
    let name = source.name();
    match end {
        RunEnd::Finished => failed(FailureReason::Internal, format!("source `{name}` said nothing of it")),
        RunEnd::TimedOut => failed(
            FailureReason::TimedOut,
            format!("source `{name}` did not answer within {} s", source.timeout().as_secs_f32()),
        ),
        RunEnd::StillHanging => failed(
            FailureReason::TimedOut,
            format!("an earlier run of source `{name}` still hangs, so it was not started again"),
        ),
        RunEnd::Panicked(message) => failed(FailureReason::Internal, format!("source `{name}` panicked: {message}")),
        RunEnd::NotStarted(why) => {
            failed(FailureReason::Internal, format!("source `{name}` could not be started: {why}"))
        }
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "no message".to_owned(),
    }
}

fn report(run: &SourceRun) {
    let elapsed_ms = u64::try_from(run.elapsed.as_millis()).unwrap_or(u64::MAX);
    match &run.end {
        RunEnd::Finished => tracing::debug!(source = run.source, elapsed_ms, "source finished"),
        end => tracing::warn!(source = run.source, elapsed_ms, end = ?end, "source failed"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use muster_evidence::Subject;

    use super::*;

    struct FixedClock;

    impl Clock for FixedClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_seconds(1_800_000_000).unwrap()
        }
    }

    struct Good;

    impl Source for Good {
        fn name(&self) -> &'static str {
            "good"
        }
        fn kinds(&self) -> &'static [Kind] {
            &[Kind::Tpm]
        }
        fn timeout(&self) -> Duration {
            Duration::from_secs(20)
        }
        fn observe(&self, _: &SourceSettings, _: Timestamp) -> Vec<Sighting> {
            vec![Sighting::of_host(Kind::Tpm, Outcome::Absent)]
        }
    }

    struct Panicking;

    impl Source for Panicking {
        fn name(&self) -> &'static str {
            "panicking"
        }
        fn kinds(&self) -> &'static [Kind] {
            &[Kind::OperatingSystem, Kind::CertificateListing]
        }
        fn timeout(&self) -> Duration {
            Duration::from_secs(20)
        }
        fn observe(&self, _: &SourceSettings, _: Timestamp) -> Vec<Sighting> {
            panic!("the driver answered {}", 42)
        }
    }

    /// Hangs until it is let go, and counts how often it was started.
    #[derive(Default)]
    struct Hanging {
        state: Mutex<(u32, bool)>,
        changed: Condvar,
    }

    impl Source for Hanging {
        fn name(&self) -> &'static str {
            "hanging"
        }
        fn kinds(&self) -> &'static [Kind] {
            &[Kind::JoinState]
        }
        fn timeout(&self) -> Duration {
            Duration::from_millis(200)
        }
        fn observe(&self, _: &SourceSettings, _: Timestamp) -> Vec<Sighting> {
            let mut state = self.state.lock().unwrap();
            state.0 += 1;
            while !state.1 {
                state = self.changed.wait(state).unwrap();
            }
            vec![Sighting::of_host(Kind::JoinState, Outcome::Absent)]
        }
    }

    /// Says nothing of what it owes.
    struct Silent;

    impl Source for Silent {
        fn name(&self) -> &'static str {
            "silent"
        }
        fn kinds(&self) -> &'static [Kind] {
            &[Kind::DomainController]
        }
        fn timeout(&self) -> Duration {
            Duration::from_secs(20)
        }
        fn observe(&self, _: &SourceSettings, _: Timestamp) -> Vec<Sighting> {
            Vec::new()
        }
    }

    struct Unwanted;

    impl Source for Unwanted {
        fn name(&self) -> &'static str {
            "unwanted"
        }
        fn kinds(&self) -> &'static [Kind] {
            &[Kind::Certificate]
        }
        fn timeout(&self) -> Duration {
            Duration::from_secs(20)
        }
        fn is_wanted(&self, _: &SourceSettings) -> bool {
            false
        }
        fn observe(&self, _: &SourceSettings, _: Timestamp) -> Vec<Sighting> {
            panic!("nobody asked")
        }
    }

    fn outcome(collection: &Collection, kind: Kind) -> &Outcome {
        let found: Vec<_> = collection.observations.iter().filter(|seen| seen.key.kind == kind).collect();
        assert_eq!(found.len(), 1, "{kind}: {found:?}");
        assert_eq!(found[0].key.subject, Subject::Host);
        assert_eq!(found[0].observed_at, FixedClock.now());
        assert_eq!(found[0].origin, Origin::Live);
        &found[0].outcome
    }

    #[tokio::test]
    async fn one_that_hangs_or_panics_does_not_stop_the_others() {
        let hanging: &'static Hanging = Box::leak(Box::default());
        let collector = Collector::with_sources(
            &[hanging, &Panicking, &Silent, &Unwanted, &Good],
            SourceSettings::default(),
            Arc::new(FixedClock),
        );

        let first = collector.collect().await;
        assert_eq!(outcome(&first, Kind::Tpm), &Outcome::Absent);
        assert_eq!(
            outcome(&first, Kind::JoinState),
            &failed(FailureReason::TimedOut, "source `hanging` did not answer within 0.2 s")
        );
        for kind in [Kind::OperatingSystem, Kind::CertificateListing] {
            assert_eq!(
                outcome(&first, kind),
                &failed(FailureReason::Internal, "source `panicking` panicked: the driver answered 42")
            );
        }
        assert_eq!(
            outcome(&first, Kind::DomainController),
            &failed(FailureReason::Internal, "source `silent` said nothing of it")
        );
        assert_eq!(first.observations.len(), 5, "a source with nothing to look at says nothing");
        let good = first.runs.iter().find(|run| run.source == "good").unwrap();
        assert!(good.elapsed < Hanging::default().timeout(), "its own time, not that of those before it");

        // The second round does not start a second thread beside the one that hangs.
        let second = collector.collect().await;
        assert_eq!(
            outcome(&second, Kind::JoinState),
            &failed(
                FailureReason::TimedOut,
                "an earlier run of source `hanging` still hangs, so it was not started again"
            )
        );
        assert_eq!(second.runs[0].end, RunEnd::StillHanging);
        assert_eq!(hanging.state.lock().unwrap().0, 1);

        // Once the hanging run has come back, the source works again.
        hanging.state.lock().unwrap().1 = true;
        hanging.changed.notify_all();
        let recovered = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let round = collector.collect().await;
                if round.runs[0].end == RunEnd::Finished {
                    return round;
                }
            }
        });
        assert_eq!(outcome(&recovered.await.unwrap(), Kind::JoinState), &Outcome::Absent);
    }

    #[test]
    fn a_hanging_source_does_not_keep_the_runtime_from_ending() {
        let hanging: &'static Hanging = Box::leak(Box::default());
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let collector = Collector::with_sources(&[hanging], SourceSettings::default(), Arc::new(FixedClock));
        runtime.block_on(collector.collect());
        drop(runtime);
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}
