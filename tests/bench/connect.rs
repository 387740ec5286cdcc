//! Rows of connections: what a probe does that connects, reports and goes, against handshakes and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_proto::v1;
use muster_proto::v1::report_service_client::ReportServiceClient;
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::probe::{channel, tls};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Bench;
use crate::measure::{Figure, cpu_seconds, median};
use crate::messages::{Bodies, Fleet};
use crate::plain::{Bare, BareProgram};
use crate::streams::count;

/// Machines that come and go at the same time.
const MACHINES: usize = 16;

/// A machine with a certificate of its own, and where it stands.
struct Visitor {
    host: usize,
    sequence: u64,
    /// Remember the session of the last connection: to the bare program, and to the collector.
    resuming: [Arc<ClientConfig>; 2],
    /// Remembers none.
    forgetful: Arc<ClientConfig>,
}

/// What one stretch of connections came to.
#[derive(Default)]
struct Lap {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl Lap {
    fn tell(&self) -> String {
        format!("{:.0}/s at {:.0} us of CPU each", median(&self.rates), median(&self.cpu) * 1e6)
    }
}

/// Measures every row of this group.
pub(crate) async fn run(bench: &Bench) -> Vec<Figure> {
    let lab = Lab::new();
    let fleet = Fleet::new(&bench.captures, 2 * MACHINES, bench.now);
    let setup = Setup { cadence: "15m", ..Setup::default() };
    let collector = CollectorProgram::start(&lab, &setup).await;
    let bare = BareProgram::start(&lab, Bare::Handshake).await;
    let ca = lab.ca.certificate();
    let mut visitors: Vec<Visitor> = (MACHINES..2 * MACHINES)
        .map(|host| {
            let identity = lab.ca.probe(&fleet.name(host));
            let resuming = [tls(&identity, &ca), tls(&identity, &ca)];
            let mut forgetful = (*resuming[0]).clone();
            forgetful.resumption = Resumption::disabled();
            Visitor { host, sequence: 1, resuming, forgetful: Arc::new(forgetful) }
        })
        .collect();
    for visitor in &visitors {
        let report = fleet.report(visitor.host, 1, 1, Bodies::All);
        visit(collector.probes, &visitor.resuming[1], report, v1::Acknowledgement::Committed).await;
        assert_eq!(shake_hands(bare.address, &visitor.resuming[0]).await, HandshakeKind::Full);
    }
    let fleet = Arc::new(fleet);

    let mut laps: [Lap; 4] = Default::default();
    for pass in 0..bench.passes {
        for resume in [false, true] {
            let mut turns = [false, true];
            if pass % 2 == 1 {
                turns.reverse();
            }
            for reports in turns {
                let (address, pid) = if reports {
                    (collector.probes, collector.running.pid())
                } else {
                    (bare.address, bare.running.pid())
                };
                let lap = &mut laps[usize::from(resume) * 2 + usize::from(reports)];
                let (before, started) = (cpu_seconds(pid), Instant::now());
                let until = started + bench.connect_time;
                let mut running = Vec::new();
                for visitor in visitors.drain(..) {
                    let fleet = Arc::clone(&fleet);
                    running.push(tokio::spawn(come_and_go(visitor, fleet, address, resume, reports, until)));
                }
                let mut connections = 0;
                for visitor in running {
                    let (visitor, came) = visitor.await.unwrap();
                    connections += came;
                    visitors.push(visitor);
                }
                lap.rates.push(count(connections) / started.elapsed().as_secs_f64());
                lap.cpu.push((cpu_seconds(pid) - before) / count(connections));
            }
        }
    }
    let refused_nobody = collector.running.log().lines().all(|line| !line.contains("refused"));
    assert!(refused_nobody, "{}", collector.running.log());
    for visitor in &visitors {
        // A collector whose tickets do not work would be compared with the wrong thing.
        let kind = shake_hands(collector.probes, &visitor.resuming[1]).await;
        assert_eq!(kind, HandshakeKind::Resumed, "at the collector");
    }
    let [full_bare, full, resumed_bare, resumed] = laps;
    let ratio = |of: &[f64], to: &[f64]| -> Vec<f64> { of.iter().zip(to).map(|(of, to)| of / to).collect() };
    let words = |ours: &Lap, bare: &Lap| format!("{}, handshakes {}", ours.tell(), bare.tell());
    vec![
        Figure::of("connect-full", &ratio(&full.rates, &full_bare.rates), words(&full, &full_bare)),
        Figure::of("connect-resumed", &ratio(&resumed.rates, &resumed_bare.rates), words(&resumed, &resumed_bare)),
        Figure::of("connect-cpu", &ratio(&resumed.cpu, &resumed_bare.cpu), words(&resumed, &resumed_bare)),
    ]
}

/// Connects again and again until then; how often.
async fn come_and_go(
    mut visitor: Visitor,
    fleet: Arc<Fleet>,
    address: SocketAddr,
    resume: bool,
    reports: bool,
    until: Instant,
) -> (Visitor, usize) {
    let config = Arc::clone(if resume { &visitor.resuming[usize::from(reports)] } else { &visitor.forgetful });
    let expected = if resume { HandshakeKind::Resumed } else { HandshakeKind::Full };
    let mut came = 0;
    while Instant::now() < until {
        if reports {
            visitor.sequence += 1;
            let report = fleet.report(visitor.host, 1, visitor.sequence, Bodies::None);
            visit(address, &config, report, v1::Acknowledgement::Seen).await;
        } else {
            assert_eq!(shake_hands(address, &config).await, expected);
        }
        came += 1;
    }
    (visitor, came)
}

/// Connects as a probe does, reports, and goes.
async fn visit(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    report: v1::ReportRequest,
    expected: v1::Acknowledgement,
) {
    let channel = channel(address, Some(Arc::clone(config))).await.unwrap_or_else(|error| panic!("{error}"));
    let answer = ReportServiceClient::new(channel).report(report).await.unwrap_or_else(|status| panic!("{status}"));
    assert_eq!(answer.get_ref().acknowledgement(), expected, "{answer:?}");
}

/// Connects, and reads until the server says nothing more: its ticket comes with that. How hands were shaken.
async fn shake_hands(address: SocketAddr, config: &Arc<ClientConfig>) -> HandshakeKind {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.unwrap();
    let kind = tls.get_ref().1.handshake_kind().unwrap();
    until_silent(&mut tls).await;
    kind
}

/// How long a server may take to say something after its handshake. The bare one ends at once; the collector begins
/// HTTP/2 and waits.
const SILENCE: Duration = Duration::from_millis(200);

async fn until_silent(tls: &mut TlsStream<TcpStream>) {
    let mut buffer = [0; 1024];
    // An error is an end as well.
    while let Ok(Ok(1..)) = tokio::time::timeout(SILENCE, tls.read(&mut buffer)).await {}
}
