//! A peer that speaks HTTP/2 frame by frame (RFC 9113), so that it can break every rule a client keeps.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Frame types (RFC 9113 section 6).
pub mod kind {
    /// Carries a part of a message.
    pub const DATA: u8 = 0;
    /// Opens a stream.
    pub const HEADERS: u8 = 1;
    /// Ends a stream at once.
    pub const RST_STREAM: u8 = 3;
    /// Settings of a connection.
    pub const SETTINGS: u8 = 4;
    /// Asks for an answer.
    pub const PING: u8 = 6;
    /// Ends a connection.
    pub const GOAWAY: u8 = 7;
    /// Goes on with headers.
    pub const CONTINUATION: u8 = 9;
}

/// `END_STREAM` of HEADERS and DATA, and `ACK` of SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// `END_HEADERS` of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;
/// The error code with which a peer is told to slow down (RFC 9113 section 7).
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a GOAWAY or RST_STREAM.
    pub fn error_code(&self) -> Option<u32> {
        let at = match self.kind {
            kind::GOAWAY => 4,
            kind::RST_STREAM => 0,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}

/// The sending side.
pub struct Sender(WriteHalf<TlsStream<TcpStream>>);

/// The receiving side.
pub struct Receiver(ReadHalf<TlsStream<TcpStream>>);

/// Shakes hands, and sends preface and settings (RFC 9113 section 3.4).
pub async fn connect(address: SocketAddr, tls: Arc<ClientConfig>, settings: &[(u16, u32)]) -> (Sender, Receiver) {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(tls).connect(name, stream).await.unwrap();
    let (reader, writer) = tokio::io::split(stream);
    let mut sender = Sender(writer);
    sender.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()).collect();
    sender.send(kind::SETTINGS, 0, 0, &payload).await.unwrap();
    (sender, Receiver(reader))
}

impl Sender {
    /// Sends a frame.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await?;
        self.0.flush().await
    }

    /// Opens a stream for a method of the report service.
    pub async fn open(&mut self, stream: u32, method: &str) -> io::Result<()> {
        self.send(kind::HEADERS, END_HEADERS, stream, &request_headers(method)).await
    }

    /// Sends a whole or partial gRPC message: its length, then the bytes.
    pub async fn message(&mut self, stream: u32, length: usize, bytes: &[u8]) -> io::Result<()> {
        let mut payload = vec![0];
        payload.extend(u32::try_from(length).unwrap().to_be_bytes());
        payload.extend(bytes);
        self.send(kind::DATA, 0, stream, &payload).await
    }
}

impl Receiver {
    /// The next frame; an error once the connection has ended.
    pub async fn next(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7FFF_FFFF;
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads until a frame is the one; an error once the connection has ended.
    pub async fn until(&mut self, is_it: impl Fn(&Frame) -> bool) -> io::Result<Frame> {
        loop {
            let frame = self.next().await?;
            if is_it(&frame) {
                return Ok(frame);
            }
        }
    }
}

/// A header as HPACK spells it without any table (RFC 7541 section 6.2.2).
pub fn header(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.extend(length(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A length in seven bits and what follows them (RFC 7541 section 5.1).
fn length(mut length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![u8::try_from(length).unwrap()];
    }
    let mut bytes = vec![127];
    length -= 127;
    while length >= 128 {
        bytes.push(u8::try_from(length % 128).unwrap() | 128);
        length /= 128;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes
}

/// The headers of a call.
pub fn request_headers(method: &str) -> Vec<u8> {
    [
        header(":method", "POST"),
        header(":scheme", "https"),
        header(":path", &format!("/muster.v1.ReportService/{method}")),
        header(":authority", "localhost"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat()
}
