//! Log lines with the trace they belong to.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use tracing::{Event, Subscriber, dispatcher};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;

/// Writes a line as `inner` does, and `trace_id` and `span_id` after it where the line belongs to a trace.
pub(super) struct Correlated<F> {
    pub(super) inner: F,
    pub(super) format: LogFormat,
}

impl<S, N, F> FormatEvent<S, N> for Correlated<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some((trace, span)) = ids() else { return self.inner.format_event(ctx, writer, event) };
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match (self.format, line.strip_suffix('}')) {
            (LogFormat::Json, Some(open)) => {
                writeln!(writer, "{open},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}")
            }
            _ => writeln!(writer, "{line} trace_id={trace} span_id={span}"),
        }
    }
}

/// The trace and the span the program is in.
fn ids() -> Option<(String, String)> {
    dispatcher::get_default(|dispatch| {
        // Not the log's own view of spans: its filter may hide them.
        let id = dispatch.current_span().id().cloned()?;
        let context = tracing_opentelemetry::get_otel_context(&id, dispatch)?;
        let span = context.span();
        let own = span.span_context();
        own.is_valid().then(|| (own.trace_id().to_string(), own.span_id().to_string()))
    })
}
