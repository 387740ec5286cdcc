//! A probe that says whatever a test wants said, over the real link.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use muster_evidence::{InstallId, Report, Timestamp};
use muster_proto::convert::report_to_wire;
use muster_proto::link::{
    Chain, CollectorUrl, Credentials, LastWord, Timeouts, client_config, connect_as, load_certificates,
};
use muster_proto::v1;
use muster_proto::v1::report_service_client::ReportServiceClient;
use rustls::ClientConfig;
use tonic::Status;
use tonic::transport::Channel;

use crate::authority::Identity;
use crate::lab::Lab;
use crate::machine::{Machine, text};

/// A probe with a certificate of its own.
#[derive(Clone, Debug)]
pub struct FakeProbe {
    /// Its connection.
    pub channel: Channel,
    /// Why the collector ended it, if it did.
    pub last_word: LastWord,
    /// The reports' side of it.
    pub client: ReportServiceClient<Channel>,
    /// Its installation.
    pub install_id: InstallId,
    /// Its incarnation.
    pub incarnation: u64,
    /// Number of its last report.
    pub sequence: u64,
}

impl FakeProbe {
    /// Connects under a name for which the lab's CA issues a certificate.
    pub async fn connect(lab: &Lab, collector: SocketAddr, host: &str) -> Self {
        let identity = lab.ca.probe(host);
        Self::connect_with(&identity, &lab.ca.certificate(), collector).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Connects with a certificate, believing in a CA; or says why not.
    pub async fn connect_with(identity: &Identity, ca: &Path, collector: SocketAddr) -> Result<Self, String> {
        Self::connect_using(identity, tls(identity, ca), collector).await
    }

    /// Connects with settings that may remember a session; or says why not.
    pub async fn connect_using(
        identity: &Identity,
        tls: Arc<ClientConfig>,
        collector: SocketAddr,
    ) -> Result<Self, String> {
        let last_word = LastWord::default();
        let channel = channel_with(collector, Some(tls), &last_word).await?;
        let mut install_id = [0x5A; 16];
        // Told apart by the certificate's file, which is named after the host.
        for (place, byte) in identity.certificate.to_string_lossy().bytes().rev().enumerate() {
            install_id[place % 16] ^= byte;
        }
        Ok(Self {
            client: ReportServiceClient::new(channel.clone()),
            channel,
            last_word,
            install_id: InstallId(install_id),
            incarnation: 1,
            sequence: 0,
        })
    }

    /// The next report about a machine, with every body.
    pub fn message(&mut self, machine: &Machine, now: Timestamp) -> v1::ReportRequest {
        self.sequence += 1;
        report_to_wire(&Report {
            probe_version: text("0.1.0"),
            install_id: self.install_id,
            incarnation: self.incarnation,
            sequence: self.sequence,
            host: machine.identity.clone(),
            roles: machine.roles.clone(),
            sent_at: now,
            observations: machine.observations(now),
            series: Vec::new(),
            inventory: Vec::new(),
            client_certificate: None,
        })
    }

    /// Reports a machine.
    pub async fn report(&mut self, machine: &Machine, now: Timestamp) -> Result<v1::ReportResponse, Status> {
        let message = self.message(machine, now);
        self.send(message).await
    }

    /// Sends a message as it is.
    pub async fn send(&mut self, message: v1::ReportRequest) -> Result<v1::ReportResponse, Status> {
        self.client.report(message).await.map(tonic::Response::into_inner)
    }
}

/// A connection, or the whole chain of reasons why there is none.
pub async fn channel(address: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Result<Channel, String> {
    channel_with(address, tls, &LastWord::default()).await
}

/// Does what [`channel`] does, and keeps why the collector ended the connection.
pub async fn channel_with(
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    last_word: &LastWord,
) -> Result<Channel, String> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url: CollectorUrl = format!("{scheme}://localhost:{}", address.port()).parse().unwrap();
    let connected = connect_as(&url, None, tls, Timeouts::default(), last_word).await;
    connected.map_err(|error| Chain(&error).to_string())
}

/// TLS settings of a client.
pub fn tls(identity: &Identity, ca: &Path) -> Arc<ClientConfig> {
    let own = Credentials::load(&identity.certificate, &identity.key).unwrap();
    client_config(Some(&own), &load_certificates(ca).unwrap()).unwrap()
}

/// The acknowledgement of an answer.
pub fn acknowledged(answer: &v1::ReportResponse) -> v1::Acknowledgement {
    v1::Acknowledgement::try_from(answer.acknowledgement).unwrap()
}
