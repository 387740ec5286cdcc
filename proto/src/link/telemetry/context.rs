//! W3C trace context in gRPC metadata: which trace a report belongs to, and whether it is kept.
//!
//! A probe sends `traceparent` with each report, and the collector answers with `traceresponse` of the same form
//! (<https://www.w3.org/TR/trace-context/>, version 00; `traceresponse` as in its second level). The flag says whether
//! the sender keeps the trace. Nothing else is read or sent: no `tracestate`, no baggage, so a peer has 55 bytes to say
//! what it wants, and they are parsed before they are believed.

use std::fmt;
use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tonic::metadata::MetadataMap;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The metadata of a request.
const PARENT: &str = "traceparent";

/// The metadata of an answer.
const RESPONSE: &str = "traceresponse";

/// The attribute of a span that says why its trace is kept. Any span of a trace may have it.
pub(super) const KEPT: &str = "sampling.reason";

/// One trace in so many is kept whatever comes of it.
pub const ONE_IN: u64 = 1_000;

/// Where a span is, and whether its trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: TraceId,
    span: SpanId,
    /// Whether whoever says so keeps the trace.
    pub sampled: bool,
}

/// Says that a text is no trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a trace context (expected `00-<32 hexadecimal digits>-<16 of them>-<2 of them>`)")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The span the program is in; `None` where it is in none.
    pub fn current() -> Option<Self> {
        Self::of(&Span::current())
    }

    /// A span; `None` where it is not traced.
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let own = context.span();
        let own = own.span_context();
        own.is_valid().then(|| Self { trace: own.trace_id(), span: own.span_id(), sampled: chosen(own.trace_id()) })
    }

    /// The same place, with another word on whether its trace is kept.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        Self { sampled, ..self }
    }

    /// Reads what a caller says of the trace its call belongs to. What is not a trace context is as if it were not there.
    pub fn of_request(metadata: &MetadataMap) -> Option<Self> {
        Self::read(metadata, PARENT)
    }

    /// Reads what an answer says of the trace that the call belonged to.
    pub fn of_response(metadata: &MetadataMap) -> Option<Self> {
        Self::read(metadata, RESPONSE)
    }

    /// Writes it into a request.
    pub fn tell(self, metadata: &mut MetadataMap) {
        self.write(metadata, PARENT);
    }

    /// Writes it into an answer.
    pub fn answer(self, metadata: &mut MetadataMap) {
        self.write(metadata, RESPONSE);
    }

    /// Makes a span that has not begun a child of this one, which is in another program.
    pub fn adopt(self, span: &Span) {
        // A span that is filtered out, or has begun, stays as it is.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(self.context()));
    }

    /// Links a span to this one, without making it a child.
    pub fn link(self, span: &Span) {
        span.add_link(self.context());
    }

    fn context(self) -> SpanContext {
        let flags = if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        SpanContext::new(self.trace, self.span, flags, true, TraceState::NONE)
    }

    fn read(metadata: &MetadataMap, key: &str) -> Option<Self> {
        let mut values = metadata.get_all(key).iter();
        let only = values.next()?.to_str().ok()?;
        // Two of them are none: nobody can say which is meant.
        if values.next().is_some() { None } else { only.parse().ok() }
    }

    fn write(self, metadata: &mut MetadataMap, key: &'static str) {
        if let Ok(value) = self.to_string().parse() {
            metadata.insert(key, value);
        }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let parts: Vec<&str> = text.split('-').take(5).collect();
        let ["00", trace, span, flags] = parts.as_slice() else { return Err(InvalidTraceParent) };
        if text.len() != 55
            || trace.len() != 32
            || span.len() != 16
            || ![trace, span, flags].iter().all(|part| lower(part))
        {
            return Err(InvalidTraceParent);
        }
        let trace = TraceId::from_hex(trace).map_err(|_| InvalidTraceParent)?;
        let span = SpanId::from_hex(span).map_err(|_| InvalidTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceParent)?;
        if trace == TraceId::INVALID || span == SpanId::INVALID {
            return Err(InvalidTraceParent);
        }
        Ok(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

/// Whether a trace is one of those kept whatever comes of it: chosen by its number, which is random.
fn chosen(trace: TraceId) -> bool {
    // The last seven bytes are the ones that the second level of the specification wants to be random.
    let random = u128::from_be_bytes(trace.to_bytes()) & ((1 << 56) - 1);
    random < (1 << 56) / u128::from(ONE_IN)
}

/// Keeps the trace of the span the program is in, and says why, in one of few words.
pub fn keep(reason: &'static str) {
    Span::current().set_attribute(KEPT, reason);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_trace_context_is_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read: TraceParent = good.parse().unwrap();
        assert_eq!((read.to_string().as_str(), read.sampled), (good, true));
        assert!(!good.replace("-01", "-00").parse::<TraceParent>().unwrap().sampled);
        // Other flags than the one known are not taken over.
        assert_eq!(good.replace("-01", "-ff").parse::<TraceParent>().unwrap().to_string(), good);
        for bad in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1é",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(InvalidTraceParent), "{bad}");
        }
        let long = format!("{good}-{}", "a".repeat(100_000));
        assert_eq!(long.parse::<TraceParent>(), Err(InvalidTraceParent));
    }

    #[test]
    fn metadata_carries_one_context_and_no_more() {
        let good: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap();
        let mut metadata = MetadataMap::new();
        assert_eq!(TraceParent::of_request(&metadata), None);
        good.tell(&mut metadata);
        assert_eq!((TraceParent::of_request(&metadata), TraceParent::of_response(&metadata)), (Some(good), None));
        metadata.append(PARENT, good.to_string().parse().unwrap());
        assert_eq!(TraceParent::of_request(&metadata), None, "two of them");
    }

    #[test]
    fn one_trace_in_a_thousand_is_chosen_by_its_number() {
        let chosen = (0..200_000_u64).filter(|n| {
            // Numbers spread evenly over the random part.
            chosen(TraceId::from_bytes((u128::from(*n) * ((1 << 56) / 200_000)).to_be_bytes()))
        });
        let chosen = chosen.count();
        assert!((199..=201).contains(&chosen), "{chosen} of 200,000");
    }
}
