//! The collector is killed twenty times in the middle of a stream of 50,000 reports, and loses none it acknowledged.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_collector::clock::{Clock as _, SystemClock};
use muster_evidence::{Evidence, Role, Tpm, TpmVersion};
use muster_proto::v1::report_stream_response::Answer;
use muster_proto::v1::{self, observation_body, observed};
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{Lab, Setup};
use muster_tests::machine::{Machine, text, tpm};
use muster_tests::operator::Operator;
use muster_tests::probe::{FakeProbe, acknowledged};
use muster_tests::program::{binary, command, run};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const REPORTS: u64 = 50_000;
const KILLS: u64 = 20;
const RELAYS: usize = 4;
const HOSTS_PER_RELAY: usize = 50;

/// Reports under way on one stream.
const IN_FLIGHT: usize = 64;

/// A relay's hosts, each with the number of its last report that was sent and the last that was acknowledged. The number
/// is also what the report says, as the version of the TPM's firmware.
struct Fleet {
    relay: usize,
    probe: Option<FakeProbe>,
    sequence: u64,
    sent: Vec<u64>,
    committed: Vec<u64>,
}

impl Fleet {
    fn host(&self, index: usize) -> String {
        format!("pc-{}-{index:02}", self.relay)
    }

    fn next(&mut self, turn: usize) -> (usize, u64, v1::ReportRequest) {
        let index = turn % HOSTS_PER_RELAY;
        self.sent[index] += 1;
        let number = self.sent[index];
        let machine = Machine::new(&self.host(index), "Rotterdam", Role::Endpoint)
            .with(Evidence::Tpm(Tpm { firmware: Some(text(&number.to_string())), ..tpm(TpmVersion::V2_0) }));
        let message = self.probe.as_mut().unwrap().message(&machine, SystemClock.now());
        (index, number, message)
    }

    /// Streams reports until the collector is gone.
    async fn stream(mut self, lab: Arc<Lab>, collector: SocketAddr, total: Arc<AtomicU64>) -> Self {
        let mut probe = FakeProbe::connect(&lab, collector, &format!("relay-{}.corp.example", self.relay)).await;
        probe.sequence = self.sequence;
        let mut client = probe.client.clone();
        self.probe = Some(probe);
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        let mut waiting = VecDeque::new();
        let mut turn = 0;
        let mut send = async |fleet: &mut Self, waiting: &mut VecDeque<(usize, u64)>| {
            let (index, number, report) = fleet.next(turn);
            turn += 1;
            waiting.push_back((index, number));
            sender.send(v1::ReportStreamRequest { report: Some(report) }).await
        };
        for _ in 0..IN_FLIGHT {
            send(&mut self, &mut waiting).await.unwrap();
        }
        if let Ok(answers) = client.report_stream(ReceiverStream::new(receiver)).await {
            let mut answers = answers.into_inner();
            while let Ok(Some(answer)) = answers.message().await {
                let (index, number) = waiting.pop_front().unwrap();
                match answer.answer.unwrap() {
                    Answer::Response(answer) => {
                        // Every report says something new, so being seen is not enough.
                        assert_eq!(acknowledged(&answer), v1::Acknowledgement::Committed, "{answer:?}");
                        assert!(answer.need.is_empty() && answer.refusals.is_empty(), "{answer:?}");
                        self.committed[index] = self.committed[index].max(number);
                        total.fetch_add(1, Ordering::Relaxed);
                    }
                    Answer::Refused(refused) => panic!("{refused:?}"),
                }
                if send(&mut self, &mut waiting).await.is_err() {
                    break;
                }
            }
        }
        self.sequence = self.probe.take().unwrap().sequence;
        self
    }
}

/// The number in the evidence that the collector holds of a host.
async fn stored(operator: &mut Operator, host: &str) -> u64 {
    let answer = operator.host(host).await.unwrap_or_else(|status| panic!("{host}: {status}"));
    let body = answer.evidence.into_iter().find(|own| own.kind == "tpm").and_then(|own| own.body);
    match body.and_then(|body| body.outcome) {
        Some(observation_body::Outcome::Observed(v1::Observed { evidence: Some(observed::Evidence::Tpm(tpm)) })) => {
            tpm.firmware.unwrap().parse().unwrap()
        }
        other => panic!("{host}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_no_acknowledged_report() {
    let lab = Arc::new(Lab::new());
    let setup = Setup::default();
    let mut fleets: Vec<Fleet> = (0..RELAYS)
        .map(|relay| Fleet {
            relay,
            probe: None,
            sequence: 0,
            sent: vec![0; HOSTS_PER_RELAY],
            committed: vec![0; HOSTS_PER_RELAY],
        })
        .collect();
    let total = Arc::new(AtomicU64::new(0));
    for kill in 1..=KILLS {
        let mut collector = CollectorProgram::start(&lab, &setup).await;
        let streams: Vec<_> = fleets
            .drain(..)
            .map(|fleet| tokio::spawn(fleet.stream(Arc::clone(&lab), collector.probes, Arc::clone(&total))))
            .collect();
        let target = REPORTS / KILLS * kill;
        muster_tests::wait::until("enough reports are acknowledged", async || {
            assert!(collector.running.ended().is_none(), "{}", collector.running.log());
            let done = total.load(Ordering::Relaxed);
            if done >= target { Ok(()) } else { Err(format!("{done} of {target}")) }
        })
        .await;
        collector.running.kill();
        for stream in streams {
            fleets.push(stream.await.unwrap());
        }
        check(&lab, &setup, &fleets, kill).await;
    }
    let done = total.load(Ordering::Relaxed);
    assert!(done >= REPORTS, "{done}");

    // What was added up along the way is what a plain count finds.
    let mut recount = command(binary("muster-collector"));
    recount.arg("recount").arg("--config").arg(lab.path("collector.toml"));
    let said = run(recount).await.succeeded();
    assert!(said.contains("no difference") && said.starts_with("200 hosts"), "{said}");
}

/// Every acknowledged report is there, or a later one of the same host.
async fn check(lab: &Lab, setup: &Setup, fleets: &[Fleet], kill: u64) {
    let mut collector = CollectorProgram::start(lab, setup).await;
    let log = collector.running.log();
    assert!(!log.contains("damaged"), "kill {kill}: {log}");
    let mut operator = Operator::connect(collector.operators).await;
    for fleet in fleets {
        for index in 0..HOSTS_PER_RELAY {
            let (committed, sent) = (fleet.committed[index], fleet.sent[index]);
            if committed == 0 {
                continue;
            }
            let host = fleet.host(index);
            let found = stored(&mut operator, &host).await;
            assert!(
                (committed..=sent).contains(&found),
                "kill {kill}: of {host} report {committed} was acknowledged, and {found} is there ({sent} were sent)"
            );
        }
    }
    assert!(collector.running.terminate().await.success(), "{}", collector.running.log());
}
