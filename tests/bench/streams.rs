//! The client of every row: streams over mutual TLS that send messages as they are, a bounded number in flight.
//!
//! It encodes and decodes nothing while time is taken, so that what is compared is the servers: client and server share
//! this machine's cores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_proto::v1;
use muster_tests::lab::{FOREST, Lab};
use muster_tests::probe::{channel, tls};
use prost::Message as _;
use prost::bytes::{Buf, BufMut, Bytes};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Where streams of reports go.
pub(crate) const REPORT_STREAM: &str = "/muster.v1.ReportService/ReportStream";

/// Messages of one stream that may be unanswered: as many as a collector works on at a time.
const IN_FLIGHT: usize = 32;

/// Answers longer than this are not kept: a collector's are shorter, and an echo's nobody reads.
const KEPT_ANSWER: usize = 512;

/// Connections, each with a certificate of its own.
#[derive(Clone)]
pub(crate) struct Streams(Vec<Channel>);

/// What a drive came to.
pub(crate) struct Driven {
    /// How long it took until the last answer.
    pub(crate) elapsed: Duration,
    /// Messages that were answered.
    pub(crate) count: usize,
    /// The answers that were kept, in no order.
    answers: Vec<Bytes>,
    /// For each answer, how long after its message was due it came.
    pub(crate) latencies: Vec<Duration>,
}

impl Driven {
    /// Messages per second.
    pub(crate) fn rate(&self) -> f64 {
        count(self.count) / self.elapsed.as_secs_f64()
    }

    /// Makes sure that every report was acknowledged so, and nothing of it refused.
    pub(crate) fn all_acknowledged(&self, expected: v1::Acknowledgement) {
        assert_eq!(self.answers.len(), self.count, "an answer is longer than {KEPT_ANSWER} bytes");
        for answer in &self.answers {
            let answer = v1::ReportStreamResponse::decode(answer.clone()).unwrap();
            match answer.answer {
                Some(v1::report_stream_response::Answer::Response(response)) => {
                    assert_eq!(response.acknowledgement(), expected, "{response:?}");
                    assert!(response.need.is_empty() && response.refusals.is_empty(), "{response:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A count as a number to reckon with.
pub(crate) fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

impl Streams {
    /// Connects so many times.
    pub(crate) async fn connect(lab: &Lab, server: SocketAddr, streams: usize) -> Self {
        let mut channels = Vec::new();
        for number in 0..streams {
            let identity = lab.ca.probe(&format!("relay-{number:02}.{FOREST}"));
            let tls = tls(&identity, &lab.ca.certificate());
            channels.push(channel(server, Some(tls)).await.unwrap_or_else(|error| panic!("{error}")));
        }
        Self(channels)
    }

    /// Sends everything as fast as it is answered.
    pub(crate) async fn drive(&self, messages: Vec<Vec<Bytes>>) -> Driven {
        self.drive_at(messages, None).await
    }

    /// Sends everything, at so many messages per second in all where a rate is given: each message is then due at a time
    /// that does not depend on the answers to those before it.
    pub(crate) async fn drive_at(&self, messages: Vec<Vec<Bytes>>, rate: Option<f64>) -> Driven {
        assert_eq!(messages.len(), self.0.len());
        let streams = count(self.0.len());
        let started = Instant::now();
        let mut running = Vec::new();
        for (number, (channel, messages)) in self.0.iter().zip(messages).enumerate() {
            let pace = rate.map(|rate| Pace {
                first: started + Duration::from_secs_f64(count(number) / rate),
                between: Duration::from_secs_f64(streams / rate),
            });
            running.push(tokio::spawn(one_stream(channel.clone(), messages, pace)));
        }
        let mut driven = Driven { elapsed: Duration::ZERO, count: 0, answers: Vec::new(), latencies: Vec::new() };
        for stream in running {
            let (answers, latencies, count) = stream.await.unwrap();
            driven.answers.extend(answers);
            driven.latencies.extend(latencies);
            driven.count += count;
        }
        driven.elapsed = started.elapsed();
        driven
    }
}

/// When the messages of one stream are due.
#[derive(Clone, Copy)]
struct Pace {
    first: Instant,
    between: Duration,
}

async fn one_stream(channel: Channel, messages: Vec<Bytes>, pace: Option<Pace>) -> (Vec<Bytes>, Vec<Duration>, usize) {
    let expected = messages.len();
    // At a given rate, messages that are due are sent even while many are unanswered.
    let window = Arc::new(Semaphore::new(if pace.is_some() { expected } else { IN_FLIGHT }));
    let (sender, outbound) = mpsc::channel(IN_FLIGHT);
    let permits = Arc::clone(&window);
    tokio::spawn(async move {
        for (number, message) in (0..).zip(messages) {
            if let Some(Pace { first, between }) = pace {
                tokio::time::sleep_until((first + between * number).into()).await;
            }
            permits.acquire().await.unwrap().forget();
            if sender.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = REPORT_STREAM.parse().unwrap();
    let answered = client.streaming(Request::new(ReceiverStream::new(outbound)), path, AsItIs).await;
    let mut inbound = answered.unwrap_or_else(|status| panic!("{status}")).into_inner();
    let (mut answers, mut latencies, mut count) = (Vec::with_capacity(expected), Vec::new(), 0);
    while let Some(answer) = inbound.next().await {
        let answer = answer.unwrap_or_else(|status| panic!("{status}"));
        if let Some(Pace { first, between }) = pace {
            latencies.push((first + between * count).elapsed());
        }
        window.add_permits(1);
        answers.extend(answer);
        count += 1;
    }
    let count = usize::try_from(count).unwrap();
    assert_eq!(count, expected, "the server ended the stream early");
    (answers, latencies, count)
}

/// Sends messages as they are; keeps short answers, and counts long ones.
#[derive(Clone, Copy, Debug)]
struct AsItIs;

impl Codec for AsItIs {
    type Encode = Bytes;
    type Decode = Option<Bytes>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for AsItIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for AsItIs {
    type Item = Option<Bytes>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let length = from.remaining();
        if length > KEPT_ANSWER {
            from.advance(length);
            return Ok(Some(None));
        }
        // A copy: the answer's own bytes would keep the whole buffer of the connection.
        let mut answer = vec![0; length];
        from.copy_to_slice(&mut answer);
        Ok(Some(Some(answer.into())))
    }
}
