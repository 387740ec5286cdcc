//! Asking the collector what an operator would ask.

use std::net::SocketAddr;

use muster_proto::v1;
use muster_proto::v1::readiness_service_client::ReadinessServiceClient;
use tonic::transport::Channel;

use crate::probe::channel;
use crate::wait;

/// An operator's connection.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The API.
    pub api: ReadinessServiceClient<Channel>,
}

impl Operator {
    /// Connects in the clear, on loopback.
    pub async fn connect(operators: SocketAddr) -> Self {
        let channel = channel(operators, None).await.unwrap_or_else(|error| panic!("{error}"));
        Self { api: ReadinessServiceClient::new(channel).max_decoding_message_size(32 << 20) }
    }

    /// Every site.
    pub async fn sites(&mut self) -> Vec<v1::Site> {
        self.api.list_sites(v1::ListSitesRequest::default()).await.unwrap().into_inner().sites
    }

    /// One site, once there is one of that name.
    pub async fn site(&mut self, name: &str) -> v1::GetSiteResponse {
        self.until_site(name, |_| true).await
    }

    /// One site, once it is as it should be.
    pub async fn until_site(
        &mut self,
        name: &str,
        is_so: impl Fn(&v1::GetSiteResponse) -> bool,
    ) -> v1::GetSiteResponse {
        wait::until(&format!("site {name}"), async || {
            let request = v1::GetSiteRequest { forest: String::new(), name: name.to_owned() };
            match self.api.get_site(request).await {
                Ok(answer) if is_so(answer.get_ref()) => Ok(answer.into_inner()),
                Ok(answer) => Err(told(answer.get_ref())),
                Err(status) => Err(status.to_string()),
            }
        })
        .await
    }

    /// One site, once it has that rollout verdict.
    pub async fn until_rollout(&mut self, name: &str, rollout: v1::Rollout) -> v1::GetSiteResponse {
        self.until_site(name, |found| found.site.as_ref().is_some_and(|site| site.rollout() == rollout)).await
    }

    /// One host.
    pub async fn host(&mut self, name: &str) -> Result<v1::GetHostResponse, tonic::Status> {
        let request = v1::GetHostRequest { name: name.to_owned(), ..v1::GetHostRequest::default() };
        self.api.get_host(request).await.map(tonic::Response::into_inner)
    }

    /// Every host.
    pub async fn hosts(&mut self) -> Vec<v1::HostSummary> {
        let mut request = v1::ListHostsRequest { page_size: 1_000, ..v1::ListHostsRequest::default() };
        let mut hosts = Vec::new();
        loop {
            let answer = self.api.list_hosts(request.clone()).await.unwrap().into_inner();
            hosts.extend(answer.hosts);
            if answer.next_page_token.is_empty() {
                return hosts;
            }
            request.page_token = answer.next_page_token;
        }
    }

    /// Every transition.
    pub async fn transitions(&mut self) -> Vec<v1::Transition> {
        let mut request = v1::ListTransitionsRequest { page_size: 1_000, ..v1::ListTransitionsRequest::default() };
        let mut transitions = Vec::new();
        loop {
            let answer = self.api.list_transitions(request.clone()).await.unwrap().into_inner();
            transitions.extend(answer.transitions);
            if !answer.more {
                return transitions;
            }
            request.after = answer.next_after;
        }
    }
}

/// A site in a few words, for the text of a failure.
fn told(found: &v1::GetSiteResponse) -> String {
    let Some(site) = &found.site else { return "a site without content".to_owned() };
    let reasons: Vec<String> = site
        .reasons
        .iter()
        .map(|own| format!("{} {:?} on {:?}: {}", own.check, own.standing(), own.hosts, own.text))
        .collect();
    format!(
        "{:?}, gate {:?}, users {:?}, endpoints {:?}, {} of {} domain controllers fresh; {}",
        site.rollout(),
        site.gate(),
        site.users,
        site.endpoints,
        site.dcs_fresh,
        site.dcs_expected,
        reasons.join("; ")
    )
}

/// The words of a host's verdict of a check; of any of its users where the check is of users.
pub fn verdict<'h>(host: &'h v1::GetHostResponse, check: &str) -> &'h v1::Verdict {
    host.verdicts
        .iter()
        .chain(host.users.iter().flat_map(|user| &user.verdicts))
        .find(|verdict| verdict.check == check)
        .unwrap_or_else(|| panic!("no verdict of `{check}` in {host:#?}"))
}
