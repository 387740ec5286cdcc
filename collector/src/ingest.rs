//! The probes' gRPC service: who is asking, then [`Core::submit`], then the answer or a status.
//!
//! There is no rule in here and no order of reports.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use muster_evidence::limits;
use muster_proto::link::PeerIdentity;
use muster_proto::link::telemetry::{self, TraceParent};
use muster_proto::v1;
use muster_proto::v1::report_service_server::{ReportService, ReportServiceServer};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug, info_span, warn};

use crate::core::Core;
use crate::identity::PeerInfo;
use crate::log_limit::HeldBack;
use crate::status::of_refused;
use crate::submit::News;

/// The service, with its bound on messages.
pub fn service(core: Core) -> ReportServiceServer<Ingest> {
    // The envelope of a stream's item adds a tag and a length.
    ReportServiceServer::new(Ingest(core)).max_decoding_message_size(limits::REPORT_BYTES + 64)
}

/// The probes' side of the collector.
#[derive(Clone, Debug)]
pub struct Ingest(Core);

/// What the peer proved. Only the listener that checks certificates puts it there.
fn peer_of<T>(request: &Request<T>) -> Result<PeerInfo, Status> {
    let unproved = || Status::unauthenticated("reports are taken from peers with a client certificate only");
    let peer = request.extensions().get::<PeerInfo>().cloned().ok_or_else(unproved)?;
    peer.note_call();
    Ok(peer)
}

/// What the trace of a report hangs on.
#[derive(Clone, Copy)]
enum Caller {
    /// The call that brought it alone.
    Call(Option<TraceParent>),
    /// The stream that brought it among others, which are as many traces.
    Stream(Option<TraceParent>),
}

/// Takes a report in a trace. What came of it says whether the trace is kept, and the answer tells the caller.
async fn traced(
    core: &Core,
    peer: &PeerIdentity,
    report: v1::ReportRequest,
    caller: Caller,
) -> (Result<v1::ReportResponse, Status>, Option<TraceParent>) {
    let span =
        info_span!("ingest.submit", otel.kind = "server", otel.status_code = Empty, peer = %peer.name(), host = Empty);
    match caller {
        Caller::Call(Some(parent)) => parent.adopt(&span),
        Caller::Stream(Some(stream)) => stream.link(&span),
        Caller::Call(None) | Caller::Stream(None) => {}
    }
    let taking = async {
        let news = OnceLock::new();
        let answer = submit(core, peer, report, &news).await;
        let own = TraceParent::current();
        let chosen = match caller {
            Caller::Call(Some(parent)) => parent.sampled,
            Caller::Call(None) | Caller::Stream(_) => own.is_some_and(|own| own.sampled),
        };
        let reason = match (&answer, news.get()) {
            (Err(_), _) => {
                Span::current().record("otel.status_code", "ERROR");
                Some("error")
            }
            (Ok(_), Some(News::FirstReport)) => Some("first-report"),
            (Ok(_), Some(News::VerdictChanged)) => Some("verdict-changed"),
            (Ok(_), None) => chosen.then_some("chosen"),
        };
        let kept = reason.filter(|_| core.0.sampling.admit(peer.name(), Instant::now()));
        if let Some(reason) = kept {
            telemetry::keep(reason);
        }
        (answer, own.map(|own| own.with_sampled(kept.is_some())))
    };
    taking.instrument(span).await
}

async fn submit(
    core: &Core,
    peer: &PeerIdentity,
    report: v1::ReportRequest,
    news: &OnceLock<News>,
) -> Result<v1::ReportResponse, Status> {
    let begun = Instant::now();
    let answer = core.submit_for_news(peer, report, news).await;
    core.meters().reports.note(begun.elapsed(), answer.as_ref());
    answer.map_err(|refused| {
        let status = of_refused(&refused);
        let (code, error) = (status.code(), status.message());
        if let Some(HeldBack { same, others }) = core.0.log_limit.admit(peer.name(), refused.reason(), Instant::now()) {
            warn!(peer = %peer.name(), ?code, error, held_back = same, others_held_back = others, "report refused");
        } else {
            debug!(peer = %peer.name(), ?code, error, "report refused");
        }
        status
    })
}

#[tonic::async_trait]
impl ReportService for Ingest {
    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportResponse>, Status> {
        let peer = peer_of(&request)?;
        let caller = Caller::Call(TraceParent::of_request(request.metadata()));
        let (answer, trace) = traced(&self.0, peer.identity(), request.into_inner(), caller).await;
        let mut answer = answer.map(Response::new);
        if let Some(trace) = trace {
            trace.answer(match &mut answer {
                Ok(response) => response.metadata_mut(),
                Err(status) => status.metadata_mut(),
            });
        }
        answer
    }

    type ReportStreamStream = Pin<Box<dyn Stream<Item = Result<v1::ReportStreamResponse, Status>> + Send>>;

    async fn report_stream(
        &self,
        request: Request<Streaming<v1::ReportStreamRequest>>,
    ) -> Result<Response<Self::ReportStreamStream>, Status> {
        let peer = peer_of(&request)?;
        let stream = TraceParent::of_request(request.metadata());
        let caller = peer.clone();
        let reports = request.into_inner().map(move |message| {
            caller.note_call();
            message.map(|v1::ReportStreamRequest { report }| report)
        });
        let peer = Arc::new(peer.identity().clone());
        Ok(Response::new(answers(&self.0, &peer, stream, reports)))
    }
}

type Answer = Result<v1::ReportResponse, Status>;
type Job = (v1::ReportRequest, oneshot::Sender<Answer>);

/// The answers to a stream of reports, in the order of the reports. Those about one host are taken one after the
/// other, those about different hosts side by side; while too many are under way, no more are read.
fn answers(
    core: &Core,
    peer: &Arc<PeerIdentity>,
    stream: Option<TraceParent>,
    mut reports: impl Stream<Item = Result<Option<v1::ReportRequest>, Status>> + Send + Unpin + 'static,
) -> Pin<Box<dyn Stream<Item = Result<v1::ReportStreamResponse, Status>> + Send>> {
    let in_flight = core.settings().bounds.stream_in_flight.max(1);
    let workers: Vec<mpsc::Sender<Job>> =
        (0..in_flight).map(|_| worker(core.clone(), Arc::clone(peer), stream)).collect();
    let (in_order, waiting) = mpsc::channel::<Result<oneshot::Receiver<Answer>, Status>>(in_flight);
    tokio::spawn(async move {
        while let Some(message) = reports.next().await {
            let report = match message {
                Ok(Some(report)) => report,
                Ok(None) => v1::ReportRequest::default(),
                Err(status) => {
                    let _ = in_order.send(Err(status)).await;
                    return;
                }
            };
            let mut hasher = DefaultHasher::new();
            report.host.as_ref().map(|host| host.name.as_str()).hash(&mut hasher);
            let place = usize::try_from(hasher.finish() % workers.len() as u64).unwrap_or(0);
            let (done, answer) = oneshot::channel();
            // An error means that nobody reads the answers any more.
            if in_order.send(Ok(answer)).await.is_err() || workers[place].send((report, done)).await.is_err() {
                return;
            }
        }
    });
    let answers = ReceiverStream::new(waiting).then(|answer| async move {
        let answer = match answer?.await {
            Ok(answer) => answer,
            Err(_) => Err(Status::unavailable("collector is being stopped")),
        };
        let answer = match answer {
            Ok(response) => v1::report_stream_response::Answer::Response(response),
            Err(status) => v1::report_stream_response::Answer::Refused(v1::ReportRefused {
                code: i32::from(status.code()).unsigned_abs(),
                message: status.message().to_owned(),
            }),
        };
        Ok(v1::ReportStreamResponse { answer: Some(answer) })
    });
    Box::pin(answers)
}

/// Takes reports one after the other until the stream ends.
fn worker(core: Core, peer: Arc<PeerIdentity>, stream: Option<TraceParent>) -> mpsc::Sender<Job> {
    let (jobs, mut queue) = mpsc::channel::<Job>(1);
    tokio::spawn(async move {
        while let Some((report, done)) = queue.recv().await {
            // Once read, a report is seen through: what it says counts even if its sender is gone.
            let _ = done.send(traced(&core, &peer, report, Caller::Stream(stream)).await.0);
        }
    });
    jobs
}

#[cfg(test)]
mod tests {
    use muster_evidence::Role;

    use super::*;
    use crate::clock::Clock;
    use crate::fixture::{Lab, Machine};

    #[tokio::test]
    async fn answers_come_in_the_order_of_the_reports() {
        let lab = Lab::new().await;
        let relay = Arc::new(lab.peer("relay.corp.example"));
        let mut machines: Vec<Machine> = (0..40)
            .map(|n| {
                let mut machine = Machine::endpoint(&format!("pc{n}.corp.example"), "Harbour", 5_000 + n);
                machine.captured(lab.clock.now());
                machine
            })
            .collect();
        let mut reports = Vec::new();
        for round in 0..3 {
            for (place, machine) in machines.iter_mut().enumerate() {
                let mut report = machine.report(lab.clock.now());
                if (place + round) % 7 == 0 {
                    report.install_id.clear();
                }
                reports.push(report);
            }
        }
        // A report that is not one answers in its place.
        let expected: Vec<_> = reports.iter().map(|report| (report.sequence, report.install_id.is_empty())).collect();
        let stream = tokio_stream::iter(reports.into_iter().map(|report| Ok(Some(report))));
        let told: Vec<_> = answers(&lab.core, &relay, None, stream).collect().await;
        assert_eq!(told.len(), expected.len());
        for (answer, (sequence, spoilt)) in told.into_iter().zip(expected) {
            match answer.unwrap().answer.unwrap() {
                v1::report_stream_response::Answer::Response(response) => {
                    assert!(!spoilt);
                    // Reports about one host are taken one after the other, so none is superseded.
                    let first = response.acknowledgement() == v1::Acknowledgement::Committed;
                    assert!(first || response.acknowledgement() == v1::Acknowledgement::Seen, "{sequence}");
                }
                v1::report_stream_response::Answer::Refused(refused) => {
                    assert!(spoilt);
                    assert_eq!(refused.code, 3, "{}", refused.message);
                }
            }
        }
        assert_eq!(lab.core.read(crate::table::Table::len), 40);
    }

    #[tokio::test]
    async fn a_request_without_a_proved_peer_is_not_read() {
        let lab = Lab::new().await;
        let mut machine = Machine::new("pc1.corp.example", None, Role::Endpoint);
        let request = Request::new(machine.report(lab.clock.now()));
        let status = Ingest(lab.core.clone()).report(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
        assert!(lab.core.read(crate::table::Table::is_empty));
    }

    #[tokio::test]
    async fn what_is_refused_again_is_logged_once() {
        let lab = Lab::new().await;
        let peer = lab.peer("pc1.corp.example");
        let mut machine = Machine::new("pc1.corp.example", None, Role::Endpoint);
        machine.roles.push(Role::DomainController);
        let mut report = || machine.report(lab.clock.now());
        let limit = &lab.core.0.log_limit;
        // A role that is not granted is refused in part, a report without an installation as a whole.
        submit(&lab.core, &peer, report(), &OnceLock::new()).await.unwrap();
        let spoilt = v1::ReportRequest { install_id: Vec::new(), ..report() };
        submit(&lab.core, &peer, spoilt, &OnceLock::new()).await.unwrap_err();
        for reason in ["role", "invalid"] {
            assert_eq!(limit.admit(peer.name(), reason, Instant::now()), None, "{reason}");
        }
        assert!(limit.admit(peer.name(), "host-mismatch", Instant::now()).is_some(), "which did not happen");
    }
}
