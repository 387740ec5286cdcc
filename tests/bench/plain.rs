//! The bare programs that the collector is compared with, each a process of its own with the collector's listener
//! settings: an echo, handshakes and nothing else, and a writer into sled and nothing else.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use muster_collector::config::TlsFiles;
use muster_collector::identity::probe_server_config;
use muster_proto::link;
use muster_proto::v1;
use muster_tests::lab::Lab;
use muster_tests::program::{Running, command};
use prost::Message as _;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::codegen::{BoxFuture, Context, Poll, Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// What a bare program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// Sends every message back.
    Echo,
    /// Shakes hands, and waits until the peer goes.
    Handshake,
    /// Writes every message to sled, durably, and says so.
    Sled,
}

impl Bare {
    const ALL: [Self; 3] = [Self::Echo, Self::Handshake, Self::Sled];

    const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Handshake => "handshake",
            Self::Sled => "sled",
        }
    }
}

/// What a probe's certificate must be for (RFC 5280 section 4.2.1.12), as by the collector's default.
const CLIENT_AUTHENTICATION: &str = "1.3.6.1.5.5.7.3.2";

/// The first argument of a process that is a bare program.
pub(crate) const ROLE: &str = "--bare";

/// A bare program that runs.
pub(crate) struct BareProgram {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The process.
    pub(crate) running: Running,
}

impl BareProgram {
    /// Starts it in a process of its own, with the collector's certificate of the lab.
    pub(crate) async fn start(lab: &Lab, bare: Bare) -> Self {
        let mut serve = command(std::env::current_exe().unwrap());
        serve.arg(ROLE).arg(bare.name()).arg(lab.path("ca")).arg(lab.path(&format!("bare-{}", bare.name())));
        let mut running = Running::start(serve, lab.path(&format!("bare-{}.log", bare.name())));
        let listens = |said: &str| said.lines().find_map(|line| line.strip_prefix("listens on ")?.parse().ok());
        let address = running.until_said("the bare program listens", listens).await;
        Self { address, running }
    }
}

/// The process: serves until it is ended.
pub(crate) fn main(arguments: &[String]) {
    let [name, ca, folder] = arguments else { panic!("usage: {ROLE} PROGRAM CA FOLDER, found {arguments:?}") };
    let bare = Bare::ALL.into_iter().find(|bare| bare.name() == name).unwrap();
    let (ca, folder) = (PathBuf::from(ca), PathBuf::from(folder));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(serve(bare, &ca, &folder));
}

async fn serve(bare: Bare, ca: &Path, folder: &Path) {
    let files = TlsFiles {
        certificate: ca.join("collector.pem"),
        key: ca.join("collector.key"),
        ca: ca.join("ca.pem"),
        issuer_pins: Vec::new(),
        required_eku: Some(CLIENT_AUTHENTICATION.to_owned()),
        required_template: None,
        blocked: Vec::new(),
    };
    let config = probe_server_config(&files).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    println!("listens on {address}");
    let incoming = match bare {
        Bare::Handshake => return shake_hands(listener, config).await,
        Bare::Echo | Bare::Sled => accepted(listener, config),
    };
    // As in the collector's `serve.rs`.
    let mut server = Server::builder()
        .max_concurrent_streams(64)
        .http2_max_header_list_size(16 << 10)
        .http2_max_pending_accept_reset_streams(Some(16))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_connection_age(Duration::from_hours(1));
    let serving = match bare {
        Bare::Sled => server.add_service(Bared(Saver::open(folder))).serve_with_incoming(incoming).await,
        Bare::Echo | Bare::Handshake => server.add_service(Bared(Echo)).serve_with_incoming(incoming).await,
    };
    serving.unwrap();
}

/// Handshakes and nothing else. The answer to one is the end of what we say, so that the peer has read its ticket.
async fn shake_hands(listener: TcpListener, config: Arc<ServerConfig>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Ok(mut tls) = link::accept(config, stream).await {
                let _ = tls.shutdown().await;
                let _ = tls.read(&mut [0; 1]).await;
            }
        });
    }
}

/// Connections after their handshake, each of which has a task of its own.
fn accepted(listener: TcpListener, config: Arc<ServerConfig>) -> ReceiverStream<io::Result<Tls>> {
    let (sender, accepted) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (config, sender) = (Arc::clone(&config), sender.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                if let Ok(tls) = link::accept(config, stream).await {
                    let _ = sender.send(Ok(Tls(tls))).await;
                }
            });
        }
    });
    ReceiverStream::new(accepted)
}

struct Tls(TlsStream<TcpStream>);

impl Connected for Tls {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Tls {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tls {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Answers streams of reports by a method of its own, where the generated code has the collector's answers.
#[derive(Clone)]
struct Bared<M>(M);

trait Method: Clone + Send + Sync + 'static {
    type Answer: prost::Message + Default + 'static;

    fn answer(
        &self,
        reports: Streaming<v1::ReportStreamRequest>,
    ) -> impl Stream<Item = Result<Self::Answer, Status>> + Send + 'static;
}

impl<M> NamedService for Bared<M> {
    const NAME: &'static str = v1::report_service_server::SERVICE_NAME;
}

impl<M: Method> Service<http::Request<tonic::body::Body>> for Bared<M> {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<M::Answer, v1::ReportStreamRequest>::default();
            Ok(Grpc::new(codec).streaming(method, request).await)
        })
    }
}

impl<M: Method> StreamingService<v1::ReportStreamRequest> for Bared<M> {
    type Response = M::Answer;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<M::Answer, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<v1::ReportStreamRequest>>) -> Self::Future {
        let answers: Self::ResponseStream = Box::pin(self.0.answer(request.into_inner()));
        Box::pin(async move { Ok(Response::new(answers)) })
    }
}

/// Sends every message back.
#[derive(Clone)]
struct Echo;

impl Method for Echo {
    type Answer = v1::ReportStreamRequest;

    fn answer(
        &self,
        reports: Streaming<v1::ReportStreamRequest>,
    ) -> impl Stream<Item = Result<Self::Answer, Status>> + Send + 'static {
        reports
    }
}

/// Writes every message under its host's name, in groups, as durably as the collector.
#[derive(Clone)]
struct Saver(mpsc::Sender<(Vec<u8>, Vec<u8>, oneshot::Sender<()>)>);

/// Most messages of one group, as in the collector's store.
const GROUP: usize = 256;

impl Saver {
    fn open(folder: &Path) -> Self {
        let config = sled::Config::new().path(folder).mode(sled::Mode::LowSpace).flush_every_ms(None);
        let db = config.cache_capacity(64 << 20).open().unwrap();
        let data = std::fs::File::options().read(true).write(true).open(folder.join("db")).unwrap();
        let (sender, mut queue) = mpsc::channel::<(Vec<u8>, Vec<u8>, oneshot::Sender<()>)>(1024);
        std::thread::spawn(move || {
            let mut group = Vec::new();
            while let Some(first) = queue.blocking_recv() {
                group.push(first);
                while group.len() < GROUP
                    && let Ok(next) = queue.try_recv()
                {
                    group.push(next);
                }
                let mut batch = sled::Batch::default();
                for (key, value, _) in &group {
                    batch.insert(key.as_slice(), value.as_slice());
                }
                db.apply_batch(batch).unwrap();
                db.flush().unwrap();
                data.sync_all().unwrap();
                for (_, _, done) in group.drain(..) {
                    let _ = done.send(());
                }
            }
        });
        Self(sender)
    }
}

impl Method for Saver {
    type Answer = v1::ReportStreamResponse;

    fn answer(
        &self,
        mut reports: Streaming<v1::ReportStreamRequest>,
    ) -> impl Stream<Item = Result<Self::Answer, Status>> + Send + 'static {
        let (in_order, waiting) = mpsc::channel(32);
        let writer = self.0.clone();
        tokio::spawn(async move {
            while let Some(Ok(v1::ReportStreamRequest { report: Some(report) })) = reports.next().await {
                let (done, answer) = oneshot::channel();
                let key = report.host.as_ref().map(|host| host.name.clone()).unwrap_or_default().into_bytes();
                if writer.send((key, report.encode_to_vec(), done)).await.is_err()
                    || in_order.send(answer).await.is_err()
                {
                    return;
                }
            }
        });
        ReceiverStream::new(waiting).then(|answer: oneshot::Receiver<()>| async move {
            answer.await.map_err(|_| Status::unavailable("the writer has ended"))?;
            let response = v1::ReportResponse {
                acknowledgement: v1::Acknowledgement::Committed.into(),
                ..v1::ReportResponse::default()
            };
            Ok(v1::ReportStreamResponse { answer: Some(v1::report_stream_response::Answer::Response(response)) })
        })
    }
}
