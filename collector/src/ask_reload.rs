//! `muster-collector reload`: asks the collector that serves to reload, and says what came of it.
//!
//! It asks the operators' listener, as an operator. A signal would need the collector's process and its account, says
//! nothing back, and does not exist on Windows; a pid file can name another process. Over the API only an operator may
//! ask, and there is nothing to abuse: the call names no file, the collector reads what its own configuration names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use muster_proto::link::{
    CollectorUrl, ConnectError, Credentials, InvalidCredentials, InvalidTls, InvalidUrl, Timeouts, client_config,
    connect, load_certificates,
};
use muster_proto::v1;
use muster_proto::v1::readiness_service_client::ReadinessServiceClient;
use tonic::Status;

use crate::cli;
use crate::config::Config;

/// Longest that connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Longest that a reload may take: revocation lists of many megabytes are parsed, thousands of connections checked.
const ANSWER_TIME: Duration = Duration::from_mins(5);

/// PEM files of an operator.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The CA that issued the collector's certificate.
    pub ca: PathBuf,
}

/// Says why no reload took place.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("failed to start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("the settings name no address of the operators' listener; use --collector")]
    NoAddress,
    #[error(transparent)]
    Address(#[from] InvalidUrl),
    #[error("`{url}` needs --certificate, --key and --ca of an operator")]
    NoIdentity { url: CollectorUrl },
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the reload was refused, and everything stays as it was: {}", .0.message())]
    Refused(Box<Status>),
}

/// Asks, and answers with the exit code.
pub fn main(config: &Config, url: Option<String>, identity: Option<Identity>) -> ExitCode {
    match ask(config, url, identity) {
        Ok(answer) => {
            let v1::ReloadCollectorResponse { generation, ended, needs_restart } = answer;
            let mut text = format!("reloaded (generation {generation}); {ended} connections were ended");
            if !needs_restart.is_empty() {
                text.push_str("\nchanged since the start, and in effect after a restart only: ");
                text.push_str(&needs_restart.join(", "));
            }
            cli::say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => cli::fail(&error),
    }
}

fn ask(
    config: &Config,
    url: Option<String>,
    identity: Option<Identity>,
) -> Result<v1::ReloadCollectorResponse, AskError> {
    let url: CollectorUrl = match url {
        Some(url) => url,
        None => own_url(config).ok_or(AskError::NoAddress)?,
    }
    .parse()?;
    let tls = match (url.is_secure(), identity) {
        (false, _) => None,
        (true, None) => return Err(AskError::NoIdentity { url }),
        (true, Some(files)) => {
            let own = Credentials::load(&files.certificate, &files.key)?;
            Some(client_config(Some(&own), &load_certificates(&files.ca)?)?)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AskError::Runtime)?;
    runtime.block_on(async {
        let timeouts = Timeouts { connect: CONNECT_TIME, request: ANSWER_TIME };
        let mut api = ReadinessServiceClient::new(connect(&url, tls, timeouts).await?);
        let answer = api.reload_collector(v1::ReloadCollectorRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| AskError::Refused(Box::new(status)))
    })
}

/// The address that the settings give the operators' listener, as somebody on this machine reaches it.
fn own_url(config: &Config) -> Option<String> {
    let address = config.operators.listen.iter().find(|address| address.port() != 0)?;
    if config.operators.tls.is_some() {
        // The certificate names hosts, and this is one of them.
        let host = if address.ip().is_unspecified() || address.ip().is_loopback() {
            "localhost".to_owned()
        } else {
            SocketAddr::new(address.ip(), 0).to_string().trim_end_matches(":0").to_owned()
        };
        return Some(format!("https://{host}:{}", address.port()));
    }
    Some(format!("http://{address}"))
}
