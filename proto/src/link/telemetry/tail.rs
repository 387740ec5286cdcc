//! Which traces are kept: decided when a trace's part in this program has ended, for by then it is known what came of it.
//!
//! Every span is recorded and held until the first span of its part of the trace ends. If one of them was given a
//! reason to be kept ([`super::keep`]), all of them are exported, otherwise none. A span without a parent that links to
//! others (a group commit, which serves many reports) is held for a while and goes with the first kept trace it links
//! to. Everything held is bounded; what is beyond a bound is dropped and counted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, TraceContextExt as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::context::KEPT;

/// Most spans under way at once.
const MOST_LIVE: usize = 65_536;

/// Most ended spans of one part of a trace.
const MOST_PER_TRACE: usize = 256;

/// Spans that link to others and are held at once.
const MOST_LINKING: usize = 64;

/// Takes what is kept, and says how many spans of it could not be taken.
pub(super) trait Outlet: Send + Sync + 'static {
    /// Takes spans.
    fn offer(&self, spans: Vec<SpanData>);

    /// Counts spans that were lost before they could be offered.
    fn lost(&self, spans: u64);
}

/// Holds spans until it is known whether they are kept.
pub(super) struct TailSampler<O> {
    held: Mutex<Held>,
    outlet: O,
}

#[derive(Default)]
struct Held {
    /// The first span of the part of the trace that each span under way belongs to.
    firsts: HashMap<SpanId, SpanId>,
    /// Ended spans, by that first span.
    ended: HashMap<SpanId, Vec<SpanData>>,
    linking: VecDeque<SpanData>,
}

impl<O> std::fmt::Debug for TailSampler<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TailSampler").finish_non_exhaustive()
    }
}

impl<O: Outlet> TailSampler<O> {
    pub(super) fn new(outlet: O) -> Self {
        Self { held: Mutex::default(), outlet }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_kept(span: &SpanData) -> bool {
    span.attributes.iter().any(|attribute| attribute.key.as_str() == KEPT)
}

impl<O: Outlet> SpanProcessor for TailSampler<O> {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let own = span.span_context().span_id();
        let above = parent.span().span_context().clone();
        let mut held = self.held();
        if held.firsts.len() >= MOST_LIVE {
            drop(held);
            return self.outlet.lost(1);
        }
        let first = if above.is_valid() && !above.is_remote() {
            // A parent that is not under way any more has had its part of the trace decided.
            let Some(first) = held.firsts.get(&above.span_id()).copied() else { return };
            first
        } else {
            held.ended.insert(own, Vec::new());
            own
        };
        held.firsts.insert(own, first);
    }

    fn on_end(&self, span: SpanData) {
        let own = span.span_context.span_id();
        let mut held = self.held();
        let Some(first) = held.firsts.remove(&own) else { return };
        if first != own {
            let Some(ended) = held.ended.get_mut(&first) else { return };
            if ended.len() < MOST_PER_TRACE {
                ended.push(span);
            } else {
                drop(held);
                self.outlet.lost(1);
            }
            return;
        }
        let mut spans = held.ended.remove(&first).unwrap_or_default();
        if !span.links.is_empty() && !is_kept(&span) {
            if held.linking.len() >= MOST_LINKING {
                held.linking.pop_front();
            }
            held.linking.push_back(span);
            return;
        }
        spans.push(span);
        if !spans.iter().any(is_kept) {
            return;
        }
        let linked = |linking: &SpanData| {
            let mut links = linking.links.iter();
            links.any(|link| spans.iter().any(|span| span.span_context.span_id() == link.span_context.span_id()))
        };
        let (linking, rest) = std::mem::take(&mut held.linking).into_iter().partition::<Vec<_>, _>(linked);
        held.linking = rest.into();
        drop(held);
        spans.extend(linking);
        self.outlet.offer(spans);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::{info_span, subscriber};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{TraceParent, keep};
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl Kept {
        fn names(&self) -> Vec<String> {
            self.0.lock().unwrap().drain(..).map(|span| span.name.into_owned()).collect()
        }
    }

    impl Outlet for Kept {
        fn offer(&self, spans: Vec<SpanData>) {
            self.0.lock().unwrap().extend(spans);
        }

        fn lost(&self, _: u64) {}
    }

    fn traced(work: impl FnOnce(&Kept)) {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_span_processor(TailSampler::new(kept.clone())).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        subscriber::with_default(tracing_subscriber::registry().with(layer), || work(&kept));
    }

    #[test]
    fn a_trace_is_kept_as_a_whole_or_not_at_all() {
        traced(|kept| {
            for keeps in [false, true] {
                let first = info_span!("first");
                first.in_scope(|| {
                    info_span!("second").in_scope(|| info_span!("third").in_scope(|| ()));
                    if keeps {
                        info_span!("fourth").in_scope(|| keep("error"));
                    }
                });
                assert_eq!(kept.names(), [""; 0], "not before the first has ended");
                drop(first);
                let expected: &[&str] = if keeps { &["third", "second", "fourth", "first"] } else { &[] };
                assert_eq!(kept.names(), expected);
            }
        });
    }

    #[test]
    fn a_remote_parent_is_no_part_of_it_and_its_flag_decides_nothing() {
        traced(|kept| {
            let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
            let span = info_span!("asked");
            parent.adopt(&span);
            drop(span);
            assert_eq!(kept.names(), [""; 0]);
            let span = info_span!("kept");
            parent.adopt(&span);
            span.in_scope(|| keep("head"));
            let own = TraceParent::of(&span).unwrap();
            assert!(own.to_string().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{own}");
            drop(span);
            assert_eq!(kept.names(), ["kept"]);
        });
    }

    #[test]
    fn a_span_that_links_goes_with_the_first_kept_trace_it_links_to() {
        traced(|kept| {
            let reports: Vec<_> = (0..3).map(|_| info_span!("report")).collect();
            let batch = info_span!(parent: None, "batch");
            for report in &reports {
                TraceParent::of(report).unwrap().link(&batch);
            }
            drop(batch);
            let mut reports = reports.into_iter();
            drop(reports.next());
            assert_eq!(kept.names(), [""; 0]);
            let report = reports.next().unwrap();
            report.in_scope(|| keep("first-report"));
            drop(report);
            assert_eq!(kept.names(), ["report", "batch"]);
        });
    }

    /// A sampler that the test can look into as well.
    #[derive(Debug)]
    struct Shared(Arc<TailSampler<Kept>>);
    impl SpanProcessor for Shared {
        fn on_start(&self, span: &mut Span, parent: &Context) {
            self.0.on_start(span, parent);
        }
        fn on_end(&self, span: SpanData) {
            self.0.on_end(span);
        }
        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }
        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    #[test]
    fn what_ends_after_its_first_span_leaves_nothing_behind() {
        let sampler = Kept::default();
        let tail = Arc::new(TailSampler::new(sampler));
        let provider = SdkTracerProvider::builder().with_span_processor(Shared(Arc::clone(&tail))).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let first = info_span!("first");
            let late = info_span!(parent: &first, "late");
            late.in_scope(|| ());
            drop(first);
            drop(late);
        });
        let held = tail.held();
        assert!(held.firsts.is_empty() && held.ended.is_empty(), "{} {}", held.firsts.len(), held.ended.len());
    }
}
