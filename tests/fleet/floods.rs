//! Peers that hold a good certificate, or none, and want to keep the collector from serving the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use muster_collector::clock::{Clock as _, SystemClock};
use muster_tests::collector::Served;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, user};
use muster_tests::probe::{FakeProbe, tls};
use muster_tests::raw::{self, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, Receiver, Sender, kind};
use muster_tests::wait;
use prost::Message as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a peer that nobody reads from is watched before it counts as held up.
const HELD_UP: Duration = Duration::from_secs(2);

/// The most that may be read from a peer that keeps no rule, with everything that lies in the sockets' buffers.
const MOST_BYTES: usize = 64 << 20;

struct Flooded {
    lab: Lab,
    served: Served,
}

impl Flooded {
    async fn start(probes: &str) -> Self {
        let lab = Lab::new();
        let setup = Setup { backend: "memory", probes: probes.to_owned(), ..Setup::default() };
        let served = Served::start(&lab, &setup).await;
        Self { lab, served }
    }

    /// Connects as a machine that the collector knows, and keeps no rule from then on.
    async fn hostile(&self, settings: &[(u16, u32)]) -> (Sender, Receiver) {
        let identity = self.lab.ca.probe("hostile.corp.example");
        raw::connect(self.served.probes, tls(&identity, &self.lab.ca.certificate()), settings).await
    }

    /// Another machine connects and reports, as it would on any day.
    async fn others_are_served(&self) {
        let mut probe = FakeProbe::connect(&self.lab, self.served.probes, "pc-0001.corp.example").await;
        let machine = Machine::endpoint("pc-0001", "Rotterdam", &user(1));
        probe.sequence = u64::try_from(SystemClock.now().unix_ms()).unwrap();
        probe.report(&machine, SystemClock.now()).await.unwrap();
    }
}

/// Sends until the other side has had enough; says how many bytes it took and whether it ended the connection.
async fn flood(sender: &mut Sender, mut frames: impl FnMut(u32) -> Vec<(u8, u8, u32, Vec<u8>)>) -> (usize, bool) {
    let mut bytes = 0;
    for round in 0.. {
        for (kind, flags, stream, payload) in frames(round) {
            match timeout(HELD_UP, sender.send(kind, flags, stream, &payload)).await {
                Ok(Ok(())) => bytes += 9 + payload.len(),
                Ok(Err(_)) => return (bytes, true),
                Err(_) => return (bytes, false),
            }
        }
        if bytes > 2 * MOST_BYTES {
            break;
        }
    }
    (bytes, false)
}

/// What was said of streams and of the connection until it ended; of its end, the code.
#[derive(Debug, Default)]
struct Said {
    ended_with: Option<u32>,
    frames: Vec<(u8, u32, Option<u32>)>,
}

/// Listens until the connection has ended, and answers nothing.
async fn listen(mut receiver: Receiver) -> Said {
    let mut said = Said::default();
    while let Ok(Ok(frame)) = timeout(wait::LIMIT, receiver.next()).await {
        if frame.kind == kind::GOAWAY {
            said.ended_with = frame.error_code();
        }
        if said.frames.len() < 20 {
            said.frames.push((frame.kind, frame.stream, frame.error_code()));
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_an_end_end_the_connection() {
    let flooded = Flooded::start("").await;
    let (mut sender, _receiver) = flooded.hostile(&[]).await;
    let filler = raw::header("x-filler", &"f".repeat(16_000));
    sender.send(kind::HEADERS, 0, 1, &raw::request_headers("Report")).await.unwrap();
    let (bytes, ended) = flood(&mut sender, |_| vec![(kind::CONTINUATION, 0, 1, filler.clone())]).await;
    assert!(ended && bytes < MOST_BYTES, "took {bytes} bytes; ended: {ended}");
    flooded.others_are_served().await;
    flooded.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_over_the_bound_are_refused_and_the_connection_goes_on() {
    let flooded = Flooded::start("").await;
    let (mut sender, mut receiver) = flooded.hostile(&[]).await;
    let mut headers = raw::request_headers("Report");
    headers.extend(raw::header("x-filler", &"f".repeat(14_000)));
    sender.send(kind::HEADERS, 0, 1, &headers[..10_000]).await.unwrap();
    let mut rest = headers[10_000..].to_vec();
    rest.extend(raw::header("x-filler", &"f".repeat(6_000)));
    sender.send(kind::CONTINUATION, END_HEADERS, 1, &rest).await.unwrap();
    let refused = receiver.until(|frame| frame.stream == 1).await.unwrap();
    // Either an answer (431, RFC 6585 section 5) or a reset; no report is read.
    assert!(matches!(refused.kind, kind::HEADERS | kind::RST_STREAM), "{refused:?}");
    sender.send(kind::PING, 0, 0, &[7; 8]).await.unwrap();
    receiver.until(|frame| frame.kind == kind::PING && frame.payload == [7; 8]).await.unwrap();
    flooded.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_as_fast_as_they_are_opened_end_the_connection() {
    let flooded = Flooded::start("").await;
    let (mut sender, receiver) = flooded.hostile(&[]).await;
    let said = tokio::spawn(listen(receiver));
    let headers = raw::request_headers("Report");
    let (bytes, ended) = flood(&mut sender, |round| {
        let stream = 2 * round + 1;
        let cancelled = 8_u32.to_be_bytes().to_vec();
        vec![(kind::HEADERS, END_HEADERS, stream, headers.clone()), (kind::RST_STREAM, 0, stream, cancelled)]
    })
    .await;
    assert!(ended && bytes < MOST_BYTES, "took {bytes} bytes; ended: {ended}");
    assert_eq!(said.await.unwrap().ended_with, Some(ENHANCE_YOUR_CALM));
    flooded.others_are_served().await;
    flooded.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_pings_and_reads_no_answer_is_held_up() {
    let flooded = Flooded::start("").await;
    let (mut sender, _receiver) = flooded.hostile(&[]).await;
    let pings = || (0..1_000).map(|_| (kind::PING, 0, 0, vec![1; 8])).collect::<Vec<_>>();
    let (bytes, _) = flood(&mut sender, |_| pings()).await;
    assert!(bytes < MOST_BYTES, "took {bytes} bytes and would take more");
    flooded.others_are_served().await;
    flooded.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_never_ends_is_ended() {
    let flooded = Flooded::start("request_time = \"1s\"\n").await;
    let (mut sender, mut receiver) = flooded.hostile(&[]).await;
    sender.open(1, "Report").await.unwrap();
    sender.message(1, 1_000, b"a part").await.unwrap();
    let ended = timeout(wait::LIMIT, receiver.until(|frame| frame.stream == 1 && is_end(frame))).await.unwrap();
    assert!(ended.is_ok(), "the stream ends, not the connection: {ended:?}");
    // The connection is as good as before.
    sender.send(kind::PING, 0, 0, &[7; 8]).await.unwrap();
    receiver.until(|frame| frame.kind == kind::PING && frame.payload == [7; 8]).await.unwrap();
    flooded.others_are_served().await;
    flooded.served.stop().await;
}

fn is_end(frame: &Frame) -> bool {
    frame.kind == kind::RST_STREAM || (frame.kind == kind::HEADERS && frame.flags & END_STREAM != 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_reads_no_answers_is_held_up_and_ended() {
    let flooded = Flooded::start("idle_time = \"3s\"\n").await;
    // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2) of nothing: no answer may be sent.
    let (mut sender, receiver) = flooded.hostile(&[(4, 0)]).await;
    let said = tokio::spawn(listen(receiver));
    sender.open(1, "ReportStream").await.unwrap();
    let mut probe = FakeProbe::connect(&flooded.lab, flooded.served.probes, "hostile.corp.example").await;
    let machine = Machine::endpoint("hostile", "Rotterdam", &user(1));
    let mut bytes = 0;
    let ended = loop {
        if said.is_finished() {
            break true;
        }
        let report = probe.message(&machine, SystemClock.now());
        let item = muster_proto::v1::ReportStreamRequest { report: Some(report) }.encode_to_vec();
        // The window of the collector is not honoured either.
        match timeout(HELD_UP, sender.message(1, item.len(), &item)).await {
            Ok(Ok(())) => bytes += item.len(),
            Ok(Err(_)) => break true,
            Err(_) => break false,
        }
        assert!(bytes < MOST_BYTES, "took {bytes} bytes and would take more");
    };
    let said = timeout(wait::LIMIT, said).await.expect("a connection without progress is ended").unwrap();
    assert!(ended || said.ended_with.is_some(), "{said:?}");
    flooded.others_are_served().await;
    flooded.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_calls_is_ended() {
    let flooded = Flooded::start("idle_time = \"1s\"\n").await;
    let (mut sender, receiver) = flooded.hostile(&[]).await;
    let mut said = tokio::spawn(listen(receiver));
    // Pings show that a peer is alive, not that it has anything to say.
    let ended = async {
        loop {
            if sender.send(kind::PING, 0, 0, &[7; 8]).await.is_err() {
                return;
            }
            if timeout(Duration::from_millis(100), &mut said).await.is_ok() {
                return;
            }
        }
    };
    timeout(wait::LIMIT, ended).await.expect("the connection is ended");
    flooded.served.stop().await;
}

/// Opens connections that say nothing, from an address of the loopback network.
async fn silent(from: Ipv4Addr, to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        streams.push(timeout(wait::LIMIT, socket.connect(to)).await.unwrap().unwrap());
    }
    streams
}

/// The shortest of some connections with a report, each as a machine that comes back: what others do to it shows in
/// every one of them, what the test's own machine does only in some.
async fn fastest(flooded: &Flooded) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..7 {
        let started = Instant::now();
        flooded.others_are_served().await;
        fastest = fastest.min(started.elapsed());
    }
    fastest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_silent_handshakes_do_not_delay_the_next() {
    for from in [Ipv4Addr::new(127, 0, 0, 9), Ipv4Addr::LOCALHOST] {
        let flooded = Flooded::start("").await;
        let alone = fastest(&flooded).await;
        let held = silent(from, flooded.served.probes, 1_000).await;
        let among = fastest(&flooded).await;
        assert!(
            among < alone + Duration::from_millis(100),
            "from {from}: {among:?} among {} silent peers, {alone:?} without",
            held.len()
        );
        flooded.served.stop().await;
    }
}
