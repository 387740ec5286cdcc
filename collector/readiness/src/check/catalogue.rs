//! The catalogue of what has to be judged about endpoints, their people and domain controllers: every row of its summary
//! table with such a scope, compared with the registry.
//!
//! The list is written down by hand and not taken from [`CHECKS`], so that a check that is lost, or that changes whom it
//! speaks of or how grave it is, is noticed. Rows about a directory, a tenant or a site as a whole are not in here.

use std::collections::{BTreeMap, BTreeSet};

use super::{CHECKS, Scope, Severity};

/// How grave the catalogue calls a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grave {
    /// A blocker.
    B,
    /// An advisory.
    A,
    /// A blocker for a population, else an advisory.
    BFor,
    /// For information.
    Info,
}

use Grave::{A, B, BFor, Info};
use Scope::{DomainController as Dc, Endpoint, EndpointUser as User, Machine};

/// The rows, in the catalogue's order.
const CATALOGUE: [(&str, Scope, Grave); 62] = [
    ("tpm.present", Endpoint, BFor),
    ("tpm.version", Endpoint, BFor),
    ("tpm.ready", Endpoint, BFor),
    ("tpm.lockout", Endpoint, A),
    ("tpm.fips", Endpoint, BFor),
    ("tpm.firmware-roca", Endpoint, B),
    ("tpm.attestation", Endpoint, A),
    ("firmware.uefi", Endpoint, A),
    ("os.client-build", Endpoint, B),
    ("os.client-known-bad", Endpoint, BFor),
    ("join.type", Endpoint, B),
    ("join.tenant-match", Endpoint, B),
    ("join.device-key", Endpoint, B),
    ("join.device-auth", Endpoint, B),
    ("join.cert-validity", Endpoint, A),
    ("join.registration-diagnostics", Endpoint, A),
    ("join.workplace-residue", User, A),
    ("prt.present", User, B),
    ("prt.fresh", User, A),
    ("prt.onprem-tgt", User, A),
    ("user.ngc-set", User, Info),
    ("user.can-reset", User, A),
    ("user.wam-default", User, B),
    ("user.convenience-pin", User, A),
    ("user.upn-drift", User, A),
    ("prereq.ngc", User, B),
    ("prereq.event-358-360", User, B),
    ("prereq.session-not-remote", User, A),
    // The catalogue's "endpoint(+user)": people where there are any, the machine where there are none.
    ("policy.enabled", User, B),
    ("policy.post-logon", User, A),
    ("policy.require-security-device", User, A),
    ("policy.exclude-tpm12", User, A),
    ("policy.trust-type", User, B),
    ("policy.pin-complexity", User, A),
    ("policy.biometrics", Endpoint, A),
    ("policy.gpo-mdm-conflict", Endpoint, A),
    ("net.dc-line-of-sight", Endpoint, BFor),
    ("net.entra-endpoints", Endpoint, B),
    ("net.time-skew", Machine, A),
    ("pki.root-trusted", Endpoint, B),
    ("pki.ntauth", Machine, B),
    ("dc.os-version", Dc, A),
    ("dc.known-bad-build", Dc, B),
    ("dc.kdc-service", Dc, B),
    ("dc.cert-present", Dc, B),
    ("dc.cert-eku", Dc, BFor),
    ("dc.cert-san", Dc, BFor),
    ("dc.cert-key", Dc, BFor),
    ("dc.cert-validity", Dc, B),
    ("dc.cert-chain", Dc, B),
    ("dc.cert-cdp", Dc, BFor),
    ("dc.crl-fresh", Machine, B),
    ("dc.cert-template", Dc, A),
    ("dc.cert-superseded", Dc, A),
    ("dc.cert-shadowed", Dc, B),
    ("dc.kdc-events", Dc, B),
    ("dc.ntauth-policy", Dc, B),
    ("dc.roca-policy", Dc, A),
    ("dc.kdc-as-rate", Dc, A),
    ("dc.replication", Dc, A),
    // Of these only the half that speaks of an endpoint's users or of the endpoint.
    ("sync.key-state", User, B),
    ("tenant.quota", Endpoint, A),
];

/// What the registry holds beside them: checks of a site as a whole.
const BESIDE: [&str; 1] = ["site.coverage"];

#[test]
fn every_row_of_the_catalogue_is_judged_and_nothing_else_is() {
    let grave = |severity| match severity {
        Severity::Blocker => B,
        Severity::Advisory => A,
        Severity::BlockerFor(_) => BFor,
        Severity::Informative => Info,
    };
    let registered: BTreeMap<_, _> =
        CHECKS.iter().map(|check| (check.id(), (check.scope(), grave(check.severity())))).collect();
    let wanted: BTreeMap<_, _> = CATALOGUE.iter().map(|(id, scope, grave)| (*id, (*scope, *grave))).collect();
    assert_eq!(wanted.len(), CATALOGUE.len(), "a row is there twice");
    let ids = |of: &BTreeMap<&'static str, (Scope, Grave)>| of.keys().copied().collect::<BTreeSet<_>>();
    let missing: Vec<_> = ids(&wanted).difference(&ids(&registered)).copied().collect();
    assert!(missing.is_empty(), "not judged: {missing:?}");
    let beside: Vec<_> = ids(&registered).difference(&ids(&wanted)).copied().collect();
    assert_eq!(beside, BESIDE, "not in the catalogue");
    for (id, row) in &wanted {
        assert_eq!(&registered[id], row, "scope and severity of `{id}`");
    }
}

#[test]
fn the_registry_is_in_the_catalogues_order() {
    let place = |id: &str| CATALOGUE.iter().position(|(own, ..)| *own == id);
    let places: Vec<_> = CHECKS.iter().filter_map(|check| Some((place(check.id())?, check.id()))).collect();
    for pair in places.windows(2) {
        assert!(pair[0].0 < pair[1].0, "`{}` stands before `{}`", pair[0].1, pair[1].1);
    }
}
