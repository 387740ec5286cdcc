//! What lies between a probe and its collector: a name server and an HTTP proxy, on loopback, as good or bad as a test
//! wants them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// An address on which nobody listens.
pub fn dead_address() -> SocketAddr {
    // Bound and let go: the system does not give the port to somebody else at once.
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// One SRV record: priority, weight, port, and the target.
pub type Srv = (u16, u16, u16, &'static str);

/// A name server that knows the SRV records of one name.
pub struct NameServer {
    /// Where it listens.
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl NameServer {
    /// Serves these records under `name`; every other name does not exist.
    pub async fn start(name: &'static str, records: Vec<Srv>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut bytes = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
                let _ = socket.send_to(&answer(&bytes[..length], name, &records), from).await;
            }
        });
        Self { address, serving }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The labels of a name as they travel (RFC 1035 section 3.1).
fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.to_ascii_lowercase().bytes());
    }
    bytes.push(0);
    bytes
}

/// The answer to one question (RFC 1035 section 4, RFC 2782).
fn answer(asked: &[u8], name: &str, records: &[Srv]) -> Vec<u8> {
    let wanted = labels(name);
    let end = 12 + wanted.len() + 4;
    let is_it = asked.len() >= end && asked[12..12 + wanted.len()].eq_ignore_ascii_case(&wanted);
    let is_srv = is_it && asked[12 + wanted.len()..12 + wanted.len() + 2] == [0, 33];
    // The question is given back as it was asked.
    let mut question_end = 12;
    while asked.get(question_end).is_some_and(|length| *length != 0) {
        question_end += 1 + usize::from(asked[question_end]);
    }
    let question = &asked[12..(question_end + 5).min(asked.len())];
    let count = if is_srv { records.len() } else { 0 };
    let mut bytes = asked[..2].to_vec();
    // An authoritative answer, without an error or with "no such name".
    bytes.extend(if is_it { [0x85, 0x80] } else { [0x85, 0x83] });
    bytes.extend([0, 1]);
    bytes.extend(u16::try_from(count).unwrap().to_be_bytes());
    bytes.extend([0, 0, 0, 0]);
    bytes.extend(question);
    for (priority, weight, port, target) in records.iter().take(count) {
        let target = labels(target);
        // The name is the one at offset 12; class IN, ten seconds to live.
        bytes.extend([0xC0, 12, 0, 33, 0, 1, 0, 0, 0, 10]);
        bytes.extend(u16::try_from(6 + target.len()).unwrap().to_be_bytes());
        for number in [priority, weight, port] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(target);
    }
    bytes
}

/// What a proxy does with whoever asks for a tunnel.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Opens the tunnel, to this address whatever was asked for.
    Opens(SocketAddr),
    /// The same for those who know the credentials, in the form in which they travel; others are asked for them.
    Asks(SocketAddr, &'static str),
    /// Answers this and closes.
    Says(&'static str),
}

/// An HTTP proxy.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// Serves in that manner.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, heads) = (manner.clone(), Arc::clone(&heads));
                tokio::spawn(async move {
                    // A client that goes away ends its tunnel, and nothing else.
                    let _ = serve(stream, manner, &heads).await;
                });
            }
        });
        Self { address, asked, serving }
    }

    /// What was asked for so far: the first line of each.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8_192 {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(head.lines().next().unwrap_or_default().to_owned());
    let to = match manner {
        Manner::Opens(to) => to,
        Manner::Asks(to, credentials) if head.contains(&format!("Proxy-Authorization: Basic {credentials}\r\n")) => to,
        Manner::Asks(..) => {
            let answer =
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"corp\"\r\n\r\n";
            stream.write_all(answer.as_bytes()).await?;
            return stream.shutdown().await;
        }
        Manner::Says(answer) => {
            stream.write_all(answer.as_bytes()).await?;
            return stream.shutdown().await;
        }
    };
    let mut beyond = TcpStream::connect(to).await?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut stream, &mut beyond).await.map(|_| ())
}
