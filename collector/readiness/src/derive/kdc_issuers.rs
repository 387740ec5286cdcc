//! Who must be trusted for the KDCs of a site: the issuers and roots of the certificates that they would select.
//!
//! A controller tells of its own certificate, an endpoint of its own stores; only together do they say whether a
//! sign-in can succeed. So what a controller needs is derived once, from its facts, and kept with its site.

use muster_evidence::{HostName, Kind, Thumbprint, Timestamp};

use super::capability::Capability;
use super::kdc_certificate::{KdcCertificate, kdc_certificate};
use crate::check::answer::words;
use crate::{Facts, Gap, KdcIssuers, SiteFacts};

/// Who stands above the certificate that a controller's KDC would select; `None` where it selects none, or which one it
/// selects is not known.
pub fn kdc_issuers(facts: &Facts<'_>, now: Timestamp) -> Option<KdcIssuers> {
    match kdc_certificate(facts, now) {
        KdcCertificate::Selected(selection) if selection.uncertain.is_none() => Some(KdcIssuers {
            issuer: selection.certificate.issuer_thumbprint,
            root: selection.certificate.root_thumbprint,
        }),
        KdcCertificate::Selected(_) | KdcCertificate::NoCandidate { .. } | KdcCertificate::Unknown(_) => None,
    }
}

/// How a store of trust stands towards the KDCs of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust<'a> {
    /// It holds what every capable controller needs.
    Complete,
    /// It lacks what a controller needs.
    Lacks {
        /// The certificate that is not in it.
        thumbprint: Thumbprint,
        /// One controller that needs it.
        needed_by: &'a HostName,
    },
    /// What a controller needs is not known, or the list of the store was cut.
    Unknown(Gap),
}

/// Compares a store with what the capable controllers of a site need. What is lacking for certain decides before what
/// is not known.
pub fn trust(
    site: &SiteFacts,
    store: Kind,
    needs: impl Fn(&KdcIssuers) -> Option<Thumbprint>,
    holds: impl Fn(&Thumbprint) -> Option<bool>,
) -> Trust<'_> {
    let mut unknown = None;
    let mut capable = 0;
    for dc in site.dcs.iter().filter(|dc| dc.capability == Capability::Capable) {
        capable += 1;
        let Some(thumbprint) = dc.kdc_issuers.as_ref().and_then(&needs) else {
            unknown.get_or_insert((dc, Doubt::OfController));
            continue;
        };
        match holds(&thumbprint) {
            Some(true) => {}
            Some(false) => return Trust::Lacks { thumbprint, needed_by: &dc.host },
            None => {
                unknown.get_or_insert((dc, Doubt::OfStore));
            }
        }
    }
    let gap = |missing: &'static str, why: String| Trust::Unknown(Gap { missing: missing.into(), why: why.into() });
    match unknown {
        Some((dc, Doubt::OfController)) => {
            gap("the certificates of the site's KDCs", format!("who stands above that of `{}` is not known", dc.host))
        }
        Some((dc, Doubt::OfStore)) => {
            gap(words(store), format!("only a part of the store is told, and what `{}` needs is not in it", dc.host))
        }
        None if capable == 0 => gap(
            "the certificates of the site's KDCs",
            "no capable domain controller of the site has told of its own".to_owned(),
        ),
        None => Trust::Complete,
    }
}

/// Why it is not known whether a store holds what a controller needs.
enum Doubt {
    /// What it needs is not known.
    OfController,
    /// The store was told in part.
    OfStore,
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Certificate, Kind};

    use super::*;
    use crate::DcState;
    use crate::check::fixture::{Host, kdc_certificate as certificate, now, site};

    const ROOT: Thumbprint = Thumbprint([7; 20]);
    const OTHER: Thumbprint = Thumbprint([8; 20]);

    fn dc(name: &str, capability: Capability, root: Option<Thumbprint>) -> DcState {
        DcState {
            host: name.parse().unwrap(),
            operating_system: None,
            capability,
            judgements: Vec::new(),
            last_seen: now(),
            kdc_issuers: root.map(|root| KdcIssuers { issuer: None, root: Some(root) }),
        }
    }

    #[test]
    fn what_is_lacking_decides_before_what_is_not_known() {
        let capable = |name, root| dc(name, Capability::Capable, root);
        let old = || dc("dc9", Capability::NotCapable { reason: "not capable".to_owned() }, Some(OTHER));
        let held = |thumbprint: &Thumbprint| Some(*thumbprint == ROOT);
        let cases = [
            (vec![capable("dc1", Some(ROOT))], "complete"),
            (vec![capable("dc1", Some(ROOT)), old()], "complete"),
            (vec![capable("dc1", Some(ROOT)), capable("dc2", Some(OTHER))], "dc2 lacks 08"),
            (vec![capable("dc1", None), capable("dc2", Some(OTHER))], "dc2 lacks 08"),
            (vec![capable("dc1", None), capable("dc2", Some(ROOT))], "who stands above that of `dc1` is not known"),
            (vec![old()], "no capable domain controller of the site has told of its own"),
            (vec![], "no capable domain controller of the site has told of its own"),
        ];
        for (dcs, expected) in cases {
            let facts = SiteFacts { dcs, ..SiteFacts::unknown(Some(site())) };
            let found = match trust(&facts, Kind::RootStore, |issuers| issuers.root, held) {
                Trust::Complete => "complete".to_owned(),
                Trust::Lacks { thumbprint, needed_by } => format!("{needed_by} lacks {:02x}", thumbprint.0[0]),
                Trust::Unknown(gap) => gap.why.into_owned(),
            };
            assert_eq!(found, expected);
        }
        let facts = SiteFacts { dcs: vec![capable("dc1", Some(OTHER))], ..SiteFacts::unknown(Some(site())) };
        let cut = trust(&facts, Kind::RootStore, |issuers| issuers.root, |_| None);
        assert!(matches!(cut, Trust::Unknown(gap) if gap.missing == "the store of roots"));
    }

    #[test]
    fn a_controller_needs_the_issuers_of_the_certificate_it_would_select() {
        let with = |number: u8| Certificate {
            issuer_thumbprint: Some(OTHER),
            root_thumbprint: Some(ROOT),
            ..certificate(number)
        };
        let issuers = Some(KdcIssuers { issuer: Some(OTHER), root: Some(ROOT) });
        let untold = Certificate { issuer_thumbprint: None, root_thumbprint: None, ..certificate(2) };
        let host = |certificates: &[Certificate]| Host::dc_with(certificates).failed(Kind::NtAuthStore);
        assert_eq!(kdc_issuers(&host(&[with(1), untold.clone()]).facts(), now()), issuers);
        let not_told = Some(KdcIssuers { issuer: None, root: None });
        assert_eq!(kdc_issuers(&host(&[untold, with(1)]).facts(), now()), not_told);
        assert_eq!(kdc_issuers(&Host::dc_with(&[]).facts(), now()), None);
        assert_eq!(kdc_issuers(&Host::dc().facts(), now()), None);
    }
}
