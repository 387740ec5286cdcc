//! Which machines belong to the population: those that people sign in to.
//!
//! A reader of the directory or a relay tells about others and is no endpoint itself, whatever else it reports.

use muster_evidence::{Evidence, Kind, OperatingSystem, OsFamily, Outcome, ProductType, Role};

use crate::HostFacts;

/// Whether a host counts as an endpoint of its site's population.
///
/// `Some(false)`: a domain controller, a host whose roles do not make it an endpoint, or one whose operating system is
/// known and is no Windows. Whatever is said of such a host is worth showing (the checks of the TPM speak of Linux
/// machines too) and counts for nobody's rollout. `Some(true)`: Windows that people sign in to, servers with that role
/// included, since the endpoint checks judge them. `None`: nothing says what system it runs.
pub fn counts_as_endpoint(host: &HostFacts) -> Option<bool> {
    if not_an_endpoint(host).is_some() {
        return Some(false);
    }
    not_windows(host).map(|not_windows| !not_windows)
}

/// Why no endpoint check speaks of a host, whatever its system: it is a domain controller, or its roles make it
/// something else than an endpoint. A host without roles is judged by what it reports.
pub(crate) fn not_an_endpoint(host: &HostFacts) -> Option<&'static str> {
    if is_domain_controller(host) {
        return Some("domain controller");
    }
    (!host.roles.is_empty() && !host.roles.contains(&Role::Endpoint)).then_some("not an endpoint")
}

/// Whether a host is a domain controller by role, by its own description or by its product type.
pub(crate) fn is_domain_controller(host: &HostFacts) -> bool {
    let by_product = || operating_system(host).is_some_and(|os| os.product_type == Some(ProductType::DomainController));
    host.is_domain_controller() || by_product()
}

/// Whether a host runs something else than Windows; `None` where its system is not known.
pub(crate) fn not_windows(host: &HostFacts) -> Option<bool> {
    operating_system(host).map(|os| os.family != OsFamily::Windows)
}

fn operating_system(host: &HostFacts) -> Option<&OperatingSystem> {
    match &host.of_host(Kind::OperatingSystem)?.outcome {
        Outcome::Observed(Evidence::OperatingSystem(os)) => Some(os),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::fixture::{Host, ada, tpm, windows_server};
    use crate::{CHECKS, Policy, Scope};

    fn with_roles(mut host: Host, roles: &[Role]) -> Host {
        host.facts.roles = roles.iter().copied().collect::<BTreeSet<_>>();
        host
    }

    fn member_server() -> Host {
        let os = OperatingSystem { product_type: Some(ProductType::Server), ..windows_server(20_348) };
        Host::endpoint().with(Evidence::OperatingSystem(os))
    }

    #[test]
    fn the_table() {
        let by_product = Host::endpoint().with(Evidence::OperatingSystem(windows_server(20_348)));
        let cases = [
            (Host::endpoint(), Some(true)),
            (with_roles(Host::endpoint(), &[]), Some(true)),
            (with_roles(Host::endpoint(), &[Role::Endpoint, Role::Directory]), Some(true)),
            (with_roles(Host::endpoint(), &[Role::Directory]), Some(false)),
            (with_roles(Host::endpoint(), &[Role::Relay, Role::SyncServer]), Some(false)),
            (member_server(), Some(true)),
            (Host::linux(), Some(false)),
            (with_roles(Host::linux(), &[]), Some(false)),
            (Host::dc(), Some(false)),
            (with_roles(Host::dc(), &[Role::Endpoint]), Some(false)),
            (by_product, Some(false)),
            (Host::endpoint().failed(Kind::OperatingSystem), None),
            (Host::new("pc2.corp.example", Role::Endpoint), None),
            (Host::new("reader.corp.example", Role::Directory), Some(false)),
        ];
        for (host, counts) in cases {
            assert_eq!(counts_as_endpoint(&host.facts), counts, "{:?}", host.facts);
        }
    }

    /// Every check of endpoints and of people on them leaves out the same hosts, for the same reason.
    #[test]
    fn no_endpoint_check_speaks_of_a_host_that_is_none() {
        let reader = with_roles(Host::provisioned(), &[Role::Directory]);
        let relay = with_roles(Host::linux().with(tpm()), &[Role::Relay]);
        let promoted = with_roles(Host::provisioned(), &[Role::Directory, Role::DomainController]);
        let checks = CHECKS.iter().filter(|check| matches!(check.scope(), Scope::Endpoint | Scope::EndpointUser));
        for check in checks {
            for (host, reason) in
                [(&reader, "not an endpoint"), (&relay, "not an endpoint"), (&promoted, "domain controller")]
            {
                let expected = format!("not-applicable: {reason}");
                assert_eq!(host.judge(*check, &Policy::default()), [expected], "{}", check.id());
            }
        }
        assert!(reader.facts.users().contains(&ada()), "or the checks of people would have had nobody to judge");
    }
}
