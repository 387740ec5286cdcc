//! Which certificate the KDC would select.
//!
//! What is known of the selection comes from an archived Microsoft blog and from others' experiments, not from a
//! specification: the KDC takes the first certificate in the store's enumeration order that carries the KDC
//! Authentication usage, has its private key and passes chain and validity; only where none does, the first legacy
//! one. Names in subject and alternative names are not looked at. A certificate in use is kept while it passes, which
//! no store shows; event 302 would.
//!
//! Where the certificates were seen matters. LDAPS may present another certificate than the KDC uses, so what was
//! seen there is an assumption, and says so.

use std::borrow::Cow;
use std::fmt::Write as _;

use muster_evidence::{
    Certificate, CertificateListing, CertificateStore, ChainStatus, Evidence, ExtendedKeyUsage, Kind, Observation,
    ObservationKey, Outcome, PrivateKey, Sha256, Subject, TemplateReference, Timestamp,
};

use crate::check::answer::{Look, look_at};
use crate::{Facts, Gap};

/// What is known of the KDC's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KdcCertificate<'a> {
    /// The KDC would select this one.
    Selected(Selection<'a>),
    /// The store was read, and nothing in it could be selected.
    NoCandidate {
        /// What the store holds instead, in words.
        seen: String,
        /// When it was read.
        evidence_at: Timestamp,
    },
    /// It cannot be told.
    Unknown(Gap),
}

/// The certificate that the KDC would select.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection<'a> {
    /// The certificate.
    pub certificate: &'a Certificate,
    /// Where it was found.
    pub store: CertificateStore,
    /// Why another one might be selected after all: something that could not be read might have been preferred. `None`
    /// where nothing stands in the way.
    pub uncertain: Option<String>,
    /// When the oldest of the observations was made.
    pub evidence_at: Timestamp,
    /// When the selection may change by itself, since a candidate begins or ends.
    pub changes_at: Option<Timestamp>,
}

impl Selection<'_> {
    /// The certificate's name for findings, with where it was seen if that matters. The beginning of the thumbprint is
    /// enough to tell it from its neighbours in the store; the whole of it is in the evidence.
    pub fn name(&self) -> String {
        let Certificate { subject, thumbprint, .. } = self.certificate;
        let subject = if subject.is_empty() { "without subject" } else { subject.as_str() };
        let mut name = format!("certificate `{subject}` (");
        for byte in &thumbprint.0[..4] {
            let _ = write!(name, "{byte:02x}"); // a `String` takes it always
        }
        name.push_str("…)");
        match self.store {
            CertificateStore::LocalMachineMy | CertificateStore::Files => {}
            CertificateStore::TlsPeer => name.push_str(", as presented over LDAPS; the KDC may use another"),
        }
        name
    }
}

/// A candidate with what decides about it.
struct Candidate<'a> {
    certificate: &'a Certificate,
    has_kdc_usage: bool,
    passes: bool,
}

/// Derives the KDC's certificate from the listing of its store and the certificates told with it.
pub fn kdc_certificate<'a>(facts: &Facts<'a>, now: Timestamp) -> KdcCertificate<'a> {
    let (listing, observation) = match look_at!(facts, CertificateListing) {
        Look::Gap(gap) => return KdcCertificate::Unknown(gap),
        Look::Absent(observation) => {
            let seen = "the certificate store is not there".to_owned();
            return KdcCertificate::NoCandidate { seen, evidence_at: observation.observed_at };
        }
        Look::Found(listing, observation) => (listing, observation),
    };
    let CertificateListing { store, certificates: listed, left_out, unreadable } = listing;

    let mut evidence_at = observation.observed_at;
    let mut changes_at: Option<Timestamp> = None;
    let mut unread: Option<(usize, String)> = None;
    let mut selected: Option<(usize, Candidate<'_>)> = None;
    let (mut others, mut without_key) = (0, 0);
    for (place, entry) in listed.iter().enumerate().filter(|(_, entry)| !entry.archived) {
        if entry.private_key == PrivateKey::Missing {
            without_key += 1;
            continue;
        }
        let certificate = match certificate(facts, entry.sha256) {
            Ok((certificate, observation)) => {
                evidence_at = evidence_at.min(observation.observed_at);
                certificate
            }
            Err(why) => {
                unread.get_or_insert((place, format!("certificate {} of the store: {why}", place + 1)));
                continue;
            }
        };
        let Some(candidate) = candidate(certificate, *store, now) else {
            others += 1;
            continue;
        };
        let dates = [certificate.not_before, certificate.not_after.plus_ms(1)];
        changes_at = dates.into_iter().chain(changes_at).filter(|date| *date > now).min();
        if selected.as_ref().is_none_or(|(_, held)| rank(&candidate) < rank(held)) {
            selected = Some((place, candidate));
        }
    }

    if let Some((place, candidate)) = selected {
        // Nothing behind the first passing certificate with the KDC usage matters; before it, or where the choice
        // fell on a lesser one, whatever could not be read might have been preferred.
        let settled = rank(&candidate) == 0;
        let uncertain = match unread {
            Some((unread, why)) if unread < place || !settled => Some(why),
            _ if *left_out > 0 && !settled => Some(format!("{left_out} certificates of the store were left out")),
            _ if *unreadable > 0 && !settled => {
                Some(format!("entries of the store that could not be read: {unreadable}"))
            }
            _ => None,
        };
        return KdcCertificate::Selected(Selection {
            certificate: candidate.certificate,
            store: *store,
            uncertain,
            evidence_at,
            changes_at,
        });
    }

    let gap =
        |why: String| KdcCertificate::Unknown(Gap { missing: "the KDC's certificate".into(), why: Cow::Owned(why) });
    if let Some((_, why)) = unread {
        return gap(why);
    }
    if *left_out > 0 || *unreadable > 0 {
        return gap(format!("{} entries of the store could not be read", left_out + unreadable));
    }
    let seen = match (others, without_key) {
        (0, 0) => "no certificate in the store".to_owned(),
        (_, 0) => format!("{others} in the store, none for KDC Authentication or of a legacy kind"),
        (_, _) => format!(
            "{} in the store: {others} neither for KDC Authentication nor of a legacy kind, {without_key} without \
             private key",
            others + without_key
        ),
    };
    if *store == CertificateStore::TlsPeer {
        return gap(format!("{seen}, as presented over LDAPS; the KDC may use another, which was not seen"));
    }
    KdcCertificate::NoCandidate { seen, evidence_at }
}

/// The certificate with that digest, or why it is not at hand.
fn certificate<'a>(facts: &Facts<'a>, sha256: Sha256) -> Result<(&'a Certificate, &'a Observation), String> {
    let key = ObservationKey { kind: Kind::Certificate, subject: Subject::Certificate(sha256) };
    let observation = facts.host.observations.get(&key).ok_or("not reported")?;
    match &observation.outcome {
        Outcome::Observed(Evidence::Certificate(certificate)) => Ok((certificate, observation)),
        Outcome::Observed(_) => Err("the report carries something else under its name".to_owned()),
        Outcome::Absent => Err("gone when it was read".to_owned()),
        Outcome::Unsupported(unsupported) => Err(format!("not available: {}", unsupported.detail)),
        Outcome::Failed(failure) => Err(format!("{}: {}", failure.reason, failure.detail)),
    }
}

/// Whether the KDC could select it at all.
fn candidate(certificate: &Certificate, store: CertificateStore, now: Timestamp) -> Option<Candidate<'_>> {
    let has = |wanted: &str| {
        certificate.extended_key_usages.as_ref().is_some_and(|usages| usages.iter().any(|usage| usage.oid() == wanted))
    };
    let has_kdc_usage = has(ExtendedKeyUsage::KDC_AUTH);
    let of_legacy_template =
        matches!(&certificate.template, Some(TemplateReference::Name(name)) if name.as_str() == "DomainController");
    if !has_kdc_usage && !of_legacy_template && !has(ExtendedKeyUsage::SMART_CARD_LOGON) {
        return None;
    }
    // A chain that nobody verified may pass, and so may one whose issuer we were not given along with files or over
    // TLS; `dc.cert-chain` says so.
    let chain_may_pass = match certificate.chain {
        ChainStatus::Trusted { .. } | ChainStatus::NotChecked { .. } => true,
        ChainStatus::IssuerMissing { .. } => {
            matches!(store, CertificateStore::Files | CertificateStore::TlsPeer)
        }
        ChainStatus::UntrustedRoot { .. } | ChainStatus::Invalid { .. } => false,
    };
    let valid = certificate.not_before <= now && now <= certificate.not_after;
    Some(Candidate { certificate, has_kdc_usage, passes: chain_may_pass && valid })
}

/// The order of preference; equals are taken in the store's order.
const fn rank(candidate: &Candidate<'_>) -> u8 {
    match (candidate.passes, candidate.has_kdc_usage) {
        (true, true) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (false, false) => 3,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::ListedCertificate;

    use super::*;
    use crate::check::fixture::{Host, at, ekus, kdc_certificate as cert, now, text};

    fn legacy(number: u8) -> Certificate {
        Certificate {
            extended_key_usages: ekus(&[ExtendedKeyUsage::CLIENT_AUTH, ExtendedKeyUsage::SMART_CARD_LOGON]),
            ..cert(number)
        }
    }

    fn expired(number: u8) -> Certificate {
        Certificate { not_after: at("2026-03-02T11:59:59Z"), ..cert(number) }
    }

    fn untrusted(number: u8) -> Certificate {
        Certificate { chain: ChainStatus::UntrustedRoot { root: text("CN=Other") }, ..cert(number) }
    }

    fn web(number: u8) -> Certificate {
        Certificate { extended_key_usages: ekus(&[ExtendedKeyUsage::SERVER_AUTH]), ..cert(number) }
    }

    fn number(host: &Host) -> Option<u8> {
        match kdc_certificate(&host.facts(), now()) {
            KdcCertificate::Selected(selection) => Some(selection.certificate.sha256.0[0]),
            _ => None,
        }
    }

    #[test]
    fn the_order_of_selection() {
        let of_template = Certificate {
            extended_key_usages: ekus(&[ExtendedKeyUsage::SERVER_AUTH]),
            template: Some(TemplateReference::Name(text("DomainController"))),
            ..cert(7)
        };
        let unchecked = Certificate { chain: ChainStatus::NotChecked { why: text("no anchors") }, ..cert(8) };
        let future = Certificate { not_before: at("2026-03-02T12:00:01Z"), ..cert(9) };
        let cases = [
            (vec![cert(1), cert(2)], Some(1)),
            (vec![web(3), cert(1)], Some(1)),
            (vec![legacy(4), cert(1)], Some(1)),
            (vec![expired(5), cert(1)], Some(1)),
            (vec![untrusted(6), cert(1)], Some(1)),
            (vec![future.clone(), cert(1)], Some(1)),
            (vec![expired(5), legacy(4)], Some(4)),
            (vec![of_template, web(3)], Some(7)),
            (vec![unchecked, cert(1)], Some(8)),
            (vec![expired(5), untrusted(6)], Some(5)),
            (vec![web(3)], None),
            (vec![], None),
        ];
        for (certificates, selected) in cases {
            assert_eq!(number(&Host::dc_with(&certificates)), selected, "{:?}", certificates.len());
        }
    }

    #[test]
    fn a_missing_issuer_speaks_against_a_certificate_only_in_the_own_store() {
        let orphan = Certificate { chain: ChainStatus::IssuerMissing { issuer: text("CN=Sub CA") }, ..cert(1) };
        for (store, selected) in [
            (CertificateStore::LocalMachineMy, Some(4)),
            (CertificateStore::Files, Some(1)),
            (CertificateStore::TlsPeer, Some(1)),
        ] {
            let host = Host::dc().certificates(store, &[legacy(4), orphan.clone()]);
            assert_eq!(number(&host), selected, "{store:?}");
        }
        let orphan_alone = Host::dc_with(&[orphan]);
        assert_eq!(number(&orphan_alone), Some(1), "`dc.cert-chain` then blocks");
    }

    #[test]
    fn keys_and_archive_marks_decide_who_takes_part() {
        let entry =
            |number, private_key, archived| ListedCertificate { sha256: Sha256([number; 32]), private_key, archived };
        let listing = |certificates| CertificateListing {
            store: CertificateStore::LocalMachineMy,
            certificates,
            left_out: 0,
            unreadable: 0,
        };
        let host = Host::dc_with(&[cert(1), cert(2)]);
        let cases = [
            (vec![entry(1, PrivateKey::Missing, false), entry(2, PrivateKey::Present, false)], Some(2)),
            (vec![entry(1, PrivateKey::Present, true), entry(2, PrivateKey::Present, false)], Some(2)),
            (vec![entry(1, PrivateKey::Undetermined, false)], Some(1)),
            (vec![entry(1, PrivateKey::Missing, false)], None),
        ];
        for (entries, selected) in cases {
            assert_eq!(number(&host.clone().listing(listing(entries))), selected);
        }
    }

    #[test]
    fn what_could_not_be_read_makes_the_selection_uncertain_only_where_it_matters() {
        let uncertain = |host: &Host| match kdc_certificate(&host.facts(), now()) {
            KdcCertificate::Selected(selection) => Ok(selection.uncertain.is_some()),
            other => Err(format!("{other:?}")),
        };
        let without = |number: u8, certificates: &[Certificate]| {
            let mut host = Host::dc_with(certificates);
            host.facts.observations.retain(|key, _| key.subject != Subject::Certificate(Sha256([number; 32])));
            host
        };
        assert_eq!(uncertain(&without(2, &[cert(1), cert(2)])), Ok(false));
        assert_eq!(uncertain(&without(1, &[cert(1), cert(2)])), Ok(true));
        assert_eq!(uncertain(&without(2, &[legacy(4), cert(2)])), Ok(true));
        assert!(uncertain(&without(1, &[cert(1)])).unwrap_err().contains("not reported"));

        let listing = |left_out, unreadable, number| CertificateListing {
            store: CertificateStore::LocalMachineMy,
            certificates: vec![ListedCertificate {
                sha256: Sha256([number; 32]),
                private_key: PrivateKey::Present,
                archived: false,
            }],
            left_out,
            unreadable,
        };
        assert_eq!(uncertain(&Host::dc_with(&[cert(1)]).listing(listing(3, 0, 1))), Ok(false));
        assert_eq!(uncertain(&Host::dc_with(&[legacy(4)]).listing(listing(3, 0, 4))), Ok(true));
        assert_eq!(uncertain(&Host::dc_with(&[cert(1)]).listing(listing(0, 1, 1))), Ok(false));
        assert_eq!(uncertain(&Host::dc_with(&[legacy(4)]).listing(listing(0, 1, 4))), Ok(true));
        assert!(uncertain(&Host::dc_with(&[web(3)]).listing(listing(0, 1, 3))).unwrap_err().contains("Unknown"));
    }

    #[test]
    fn ldaps_proves_no_absence() {
        let host = Host::dc().certificates(CertificateStore::TlsPeer, &[web(3)]);
        let KdcCertificate::Unknown(gap) = kdc_certificate(&host.facts(), now()) else { panic!("must be unknown") };
        assert!(gap.why.contains("the KDC may use another"), "{}", gap.why);
    }

    #[test]
    fn the_next_date_is_that_of_any_candidate() {
        let soon =
            Certificate { not_before: at("2026-04-01T00:00:00Z"), not_after: at("2027-04-01T00:00:00Z"), ..cert(2) };
        for (certificates, date) in
            [(vec![cert(1), soon], "2026-04-01T00:00:00Z"), (vec![cert(1)], "2026-06-01T00:00:00.001Z")]
        {
            let host = Host::dc_with(&certificates);
            let KdcCertificate::Selected(selection) = kdc_certificate(&host.facts(), now()) else {
                panic!("must be selected")
            };
            assert_eq!(selection.changes_at, Some(at(date)));
        }
    }
}
