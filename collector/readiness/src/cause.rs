//! Root causes: which findings follow from another one, so that a cause is told once and not with everything it brings.
//!
//! A machine that is not joined has no token, no device key and no offer of Hello; ten checks say so, each rightly. Which
//! check's failure explains which other's is written down here, once, and never worked out from a verdict's words. A
//! finding follows from another one of the same subject, or of its host, that is at least as grave: an advisory never
//! explains away a blocker. A gap is its own cause unless a blocker explains it.

use std::collections::BTreeMap;

use crate::{CHECKS, Judged, Judgement, Standing};

/// The checks whose failure explains that of a check, the first of them first. The order is that in which one would look.
const CAUSES: &[(&str, &[&str])] = &[
    ("tpm.version", &["tpm.present"]),
    ("tpm.ready", &["tpm.present", "tpm.lockout"]),
    ("tpm.attestation", &["tpm.present", "tpm.version", "tpm.ready"]),
    ("firmware.uefi", &["tpm.version"]),
    ("join.type", &["net.entra-endpoints"]),
    ("join.tenant-match", &["join.type"]),
    ("join.device-key", &["join.type"]),
    ("join.device-auth", &["join.type", "join.tenant-match", "join.device-key"]),
    ("join.cert-validity", &["join.type", "net.time-skew"]),
    ("join.registration-diagnostics", &["net.entra-endpoints", "join.type", "net.time-skew"]),
    ("prt.present", &["join.type", "join.device-auth", "join.device-key", "net.entra-endpoints"]),
    ("prt.fresh", &["join.device-auth", "join.device-key", "net.entra-endpoints"]),
    ("prt.onprem-tgt", &["policy.trust-type"]),
    ("user.wam-default", &["prt.present", "join.type"]),
    ("prereq.ngc", PREREQUISITES),
    ("prereq.event-358-360", PREREQUISITES_AT_SIGN_IN),
    ("policy.require-security-device", &["tpm.present", "tpm.ready"]),
    ("policy.exclude-tpm12", &["tpm.version"]),
    ("dc.cert-eku", OF_SELECTION),
    ("dc.cert-san", OF_SELECTION),
    ("dc.cert-key", OF_SELECTION),
    ("dc.cert-validity", OF_SELECTION),
    ("dc.cert-chain", OF_SELECTION),
    ("dc.cert-cdp", OF_SELECTION),
    ("dc.cert-template", OF_SELECTION),
    ("dc.cert-superseded", OF_SELECTION),
    ("dc.crl-fresh", &["dc.cert-cdp"]),
    ("dc.cert-present", &["pki.ntauth"]),
    (
        "dc.kdc-events",
        &[
            "dc.kdc-service",
            "dc.cert-present",
            "pki.ntauth",
            "dc.cert-validity",
            "dc.cert-chain",
            "dc.crl-fresh",
            "dc.cert-eku",
            "dc.cert-san",
        ],
    ),
    ("dc.kdc-as-rate", &["dc.kdc-service"]),
];

/// In the order of what Windows evaluates.
const PREREQUISITES: &[&str] = &[
    "join.type",
    "prt.present",
    "policy.enabled",
    "policy.require-security-device",
    "policy.exclude-tpm12",
    "tpm.present",
    "tpm.version",
    "tpm.ready",
    "policy.post-logon",
];

/// The same, and what Windows says now.
const PREREQUISITES_AT_SIGN_IN: &[&str] = &[
    "join.type",
    "prt.present",
    "policy.enabled",
    "policy.require-security-device",
    "policy.exclude-tpm12",
    "tpm.present",
    "tpm.version",
    "tpm.ready",
    "policy.post-logon",
    "prereq.ngc",
];

/// A certificate that should not have been selected is wrong in every way it is wrong.
const OF_SELECTION: &[&str] = &["dc.cert-present", "dc.cert-shadowed"];

/// The checks whose failure explains that of a check.
pub fn caused_by(check: &str) -> &'static [&'static str] {
    CAUSES.iter().find(|(id, _)| *id == check).map_or(&[], |(_, causes)| causes)
}

/// What a judgement amounts to for the question of its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand<'a> {
    /// The check.
    pub check: &'a str,
    /// The SID of the user it speaks of; `None` where it speaks of the host.
    pub user: Option<&'a str>,
    /// How it stands.
    pub standing: Standing,
}

impl<'a> From<&'a Judgement> for Stand<'a> {
    fn from(judgement: &'a Judgement) -> Self {
        let user = match &judgement.subject {
            Judged::User(sid) => Some(sid.as_str()),
            Judged::Host | Judged::Site => None,
        };
        Self { check: &judgement.check, user, standing: judgement.verdict.standing() }
    }
}

/// The root cause of each of a host's judgements, by its place among them; `None` where it is its own.
pub fn root_causes(all: &[Stand<'_>]) -> Vec<Option<usize>> {
    let places: BTreeMap<(&str, Option<&str>), usize> = all
        .iter()
        .enumerate()
        .filter(|(_, stand)| is_finding(stand.standing))
        .map(|(place, stand)| ((stand.check, stand.user), place))
        .collect();
    let cause = |place: usize| {
        let stand = &all[place];
        let of_user = |check: &'static str| stand.user.and_then(|user| places.get(&(check, Some(user))));
        caused_by(stand.check)
            .iter()
            .filter_map(|check| of_user(check).or_else(|| places.get(&(*check, None))))
            .copied()
            .find(|cause| explains(all[*cause].standing, stand.standing))
    };
    (0..all.len())
        .map(|place| {
            let mut root = is_finding(all[place].standing).then(|| cause(place)).flatten()?;
            // Causes form no circle, so that no way is longer than there are checks.
            for _ in 0..CHECKS.len() {
                match cause(root) {
                    Some(next) => root = next,
                    None => break,
                }
            }
            Some(root)
        })
        .collect()
}

const fn is_finding(standing: Standing) -> bool {
    matches!(standing, Standing::Blocked | Standing::Unknown | Standing::Advisory)
}

/// Whether something that stands so can explain something else that stands so.
const fn explains(cause: Standing, finding: Standing) -> bool {
    match (cause, finding) {
        (Standing::Blocked, Standing::Blocked | Standing::Unknown | Standing::Advisory)
        | (Standing::Advisory, Standing::Advisory) => true,
        (Standing::Blocked | Standing::Advisory | Standing::Unknown | Standing::Ready | Standing::NotApplicable, _) => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use muster_evidence::Tristate::No;
    use muster_evidence::{Context, Evidence, JoinState};
    use proptest::prelude::*;

    use super::*;
    use crate::check::fixture::{Host, hybrid, now, prt};
    use crate::{Policy, Scope, check_by_id, judge};

    #[test]
    fn every_cause_is_a_check_and_every_entry_is_there_once() {
        let mut seen = BTreeSet::new();
        for (id, causes) in CAUSES {
            assert!(seen.insert(id), "`{id}` is there twice");
            assert!(!causes.is_empty(), "`{id}` has no causes");
            for check in std::iter::once(id).chain(*causes) {
                assert!(check_by_id(check).is_some(), "`{check}` is no check");
            }
            let distinct: BTreeSet<_> = causes.iter().collect();
            assert_eq!(distinct.len(), causes.len(), "`{id}` names a cause twice");
        }
    }

    #[test]
    fn causes_form_no_circle() {
        fn walk(id: &'static str, way: &mut Vec<&'static str>) {
            assert!(!way.contains(&id), "{way:?} leads back to `{id}`");
            way.push(id);
            for cause in caused_by(id) {
                walk(cause, way);
            }
            way.pop();
        }
        for check in CHECKS {
            walk(check.id(), &mut Vec::new());
        }
    }

    /// A finding about a host is never explained by one about a user, who is one of several.
    #[test]
    fn no_host_waits_for_a_user() {
        for (id, causes) in CAUSES {
            let of_users = |id: &str| check_by_id(id).is_some_and(|check| check.scope() == Scope::EndpointUser);
            if !of_users(id) {
                assert!(!causes.iter().any(|cause| of_users(cause)), "`{id}`");
            }
        }
    }

    fn stand<'a>(check: &'a str, user: Option<&'a str>, standing: Standing) -> Stand<'a> {
        Stand { check, user, standing }
    }

    fn roots<'a>(all: &[Stand<'a>]) -> Vec<Option<&'a str>> {
        root_causes(all).into_iter().map(|root| root.map(|place| all[place].check)).collect()
    }

    #[test]
    fn a_cause_explains_what_is_no_graver_than_itself() {
        use Standing::{Advisory, Blocked, NotApplicable, Ready, Unknown};
        let with = |cause, finding| {
            let all = [stand("join.type", None, cause), stand("join.device-auth", None, finding)];
            roots(&all)[1]
        };
        for finding in [Blocked, Unknown, Advisory] {
            assert_eq!(with(Blocked, finding), Some("join.type"), "{finding}");
            assert_eq!(with(Unknown, finding), None, "{finding}");
            assert_eq!(with(Ready, finding), None, "{finding}");
            assert_eq!(with(NotApplicable, finding), None, "{finding}");
        }
        assert_eq!(with(Advisory, Advisory), Some("join.type"));
        assert_eq!(with(Advisory, Blocked), None);
        for fine in [Ready, NotApplicable] {
            assert_eq!(with(Blocked, fine), None, "{fine}");
        }
    }

    #[test]
    fn a_chain_leads_to_its_beginning_and_stays_with_its_user() {
        use Standing::{Blocked, Ready};
        let all = [
            stand("prereq.ngc", Some("ada"), Blocked),
            stand("prt.present", Some("ada"), Blocked),
            stand("join.type", None, Blocked),
            stand("net.entra-endpoints", None, Blocked),
        ];
        let root = Some("net.entra-endpoints");
        assert_eq!(roots(&all), [root, root, root, None]);

        let all = [
            stand("prereq.ngc", Some("ada"), Blocked),
            stand("prt.present", Some("ada"), Ready),
            stand("prt.present", Some("eda"), Blocked),
            stand("prereq.ngc", Some("eda"), Blocked),
        ];
        assert_eq!(roots(&all), [None, None, None, Some("prt.present")]);
    }

    #[test]
    fn a_machine_that_is_not_joined_says_so_once() {
        let join = JoinState { azure_ad_joined: No, device_auth: None, key_sign_test: None, ..hybrid() };
        let prerequisites = muster_evidence::NgcPrerequisites {
            is_device_joined: No,
            is_user_azure_ad: No,
            result: muster_evidence::PreReqResult::WillNotProvision,
            ..crate::check::fixture::prerequisites()
        };
        let refused = muster_evidence::ProvisioningEvent {
            device_is_joined: No,
            ..crate::check::fixture::people::provisioning(360)
        };
        let ngc = muster_evidence::Ngc { wam_default_set: No, ..crate::check::fixture::ngc(No) };
        let host = Host::provisioned()
            .with(Evidence::JoinState(join))
            .user(Evidence::Prt(muster_evidence::Prt { present: No, ..prt() }), Context::UserSession)
            .user(Evidence::Ngc(ngc), Context::UserSession)
            .user(Evidence::NgcPrerequisites(prerequisites), Context::UserSession)
            .user(Evidence::ProvisioningEvent(refused), Context::Service);
        let judgements = judge(&host.facts(), &Policy::default(), now());
        let stands: Vec<_> = judgements.iter().map(Stand::from).collect();
        let blocked = |place: &usize| stands[*place].standing == Standing::Blocked;
        let causes = root_causes(&stands);
        let (follow, own): (Vec<usize>, Vec<usize>) =
            (0..stands.len()).filter(blocked).partition(|place| causes[*place].is_some());
        let names = |places: &[usize]| places.iter().map(|place| stands[*place].check).collect::<Vec<_>>();
        assert_eq!(names(&own), ["join.type"]);
        assert_eq!(names(&follow), ["prt.present", "user.wam-default", "prereq.ngc", "prereq.event-358-360"]);
        assert!(follow.iter().all(|place| causes[*place].map(|root| stands[root].check) == Some("join.type")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        /// Whatever stands how: a root has no cause of its own, is as grave as what follows, and is a finding.
        #[test]
        fn roots_are_roots(choices in prop::collection::vec((0..CHECKS.len(), 0..3_usize, 0..5_usize), 0..60)) {
            let users = [None, Some("ada"), Some("eda")];
            let all: Vec<_> = choices
                .into_iter()
                .map(|(check, user, standing)| stand(CHECKS[check].id(), users[user], Standing::ALL[standing]))
                .collect();
            let causes = root_causes(&all);
            prop_assert_eq!(causes.len(), all.len());
            for (place, cause) in causes.iter().enumerate() {
                let Some(root) = *cause else { continue };
                prop_assert!(causes[root].is_none());
                prop_assert!(explains(all[root].standing, all[place].standing));
                prop_assert!(all[root].user.is_none() || all[root].user == all[place].user);
            }
        }
    }
}
