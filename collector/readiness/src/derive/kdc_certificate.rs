//! Which certificate the KDC would select.
//!
//! What is known of the selection comes from an archived Microsoft blog and from others' experiments, not from a
//! specification: the KDC takes the first certificate in the store's enumeration order that carries the KDC
//! Authentication usage, has its private key and passes chain, NTAuth, revocation and validity; only where none does, the
//! first legacy one. Names in subject and alternative names are not looked at. A certificate in use is kept while it
//! passes, which no store shows; event 302 does, where the KDC's log is on.
//!
//! Where the certificates were seen matters. LDAPS may present another certificate than the KDC uses, so what was
//! seen there is an assumption, and says so.

use std::borrow::Cow;
use std::fmt::Write as _;

use muster_evidence::{
    Certificate, CertificateListing, CertificateStore, ChainStatus, Evidence, ExtendedKeyUsage, Kind, Observation,
    ObservationKey, Outcome, PrivateKey, Revocation, Sha256, Subject, TemplateReference, Thumbprint, Timestamp,
    TrustStore,
};

use super::kdc_events;
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
    /// Whether the KDC itself says that it uses this one (event 302).
    pub in_use: bool,
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
        let mut name = certificate_name(self.certificate);
        match self.store {
            CertificateStore::LocalMachineMy | CertificateStore::Files => {}
            CertificateStore::TlsPeer => name.push_str(", as presented over LDAPS; the KDC may use another"),
        }
        name
    }
}

/// A certificate's name for findings.
pub fn certificate_name(certificate: &Certificate) -> String {
    let Certificate { subject, thumbprint, .. } = certificate;
    let subject = if subject.is_empty() { "without subject" } else { subject.as_str() };
    let mut name = format!("certificate `{subject}` (");
    for byte in &thumbprint.0[..4] {
        let _ = write!(name, "{byte:02x}"); // a `String` takes it always
    }
    name.push_str("…)");
    name
}

/// A certificate that the KDC could select, and what decides about it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The certificate.
    pub certificate: &'a Certificate,
    /// Whether it carries KDC Authentication; without, it is one of the legacy kinds.
    pub has_kdc_usage: bool,
    /// Why the KDC would not take it; `None` where nothing is known to speak against it.
    pub refused: Option<Refused>,
    /// Whether event 302 names it as the one in use.
    pub in_use: bool,
}

/// Why the KDC would not take a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has not begun, or has ended.
    Validity,
    /// Its chain does not verify.
    Chain,
    /// It, or one above it, is revoked.
    Revoked,
    /// Its issuer is not in NTAuth.
    NtAuth,
}

impl Refused {
    /// The words for findings.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Validity => "it is not valid now",
            Self::Chain => "its chain does not verify",
            Self::Revoked => "it is revoked",
            Self::NtAuth => "its issuer is not in NTAuth",
        }
    }
}

/// The store that the KDC reads, with what else decides about what stands in it.
struct Store<'a> {
    listing: &'a CertificateListing,
    nt_auth: Option<&'a TrustStore>,
    /// The certificate in use by event 302.
    in_use: Option<Thumbprint>,
    evidence_at: Timestamp,
}

/// What an entry of the store is to the KDC.
enum Entry<'a> {
    Candidate(Candidate<'a>, &'a Observation),
    WithoutKey,
    /// For something else.
    Other,
    /// It could not be read: why.
    Unread(String),
}

impl<'a> Store<'a> {
    fn new(facts: &Facts<'a>, listing: &'a CertificateListing, observation: &'a Observation) -> Self {
        let mut evidence_at = observation.observed_at;
        let nt_auth = match look_at!(facts, NtAuthStore) {
            Look::Found(store, observation) => {
                evidence_at = evidence_at.min(observation.observed_at);
                Some(store)
            }
            Look::Absent(observation) => {
                evidence_at = evidence_at.min(observation.observed_at);
                Some(NOTHING)
            }
            Look::Gap(_) => None,
        };
        let in_use = match look_at!(facts, KdcEvents) {
            Look::Found(events, observation) => {
                let in_use = kdc_events::in_use(events);
                if in_use.is_some() {
                    evidence_at = evidence_at.min(observation.observed_at);
                }
                in_use
            }
            Look::Absent(_) | Look::Gap(_) => None,
        };
        Self { listing, nt_auth, in_use, evidence_at }
    }

    /// The entries that are not archived, with their places.
    fn entries(&self, facts: &Facts<'a>, now: Timestamp) -> impl Iterator<Item = (usize, Entry<'a>)> {
        let entries = self.listing.certificates.iter().enumerate().filter(|(_, entry)| !entry.archived);
        entries.map(move |(place, entry)| {
            if entry.private_key == PrivateKey::Missing {
                return (place, Entry::WithoutKey);
            }
            let entry = match certificate(facts, entry.sha256) {
                Ok((certificate, observation)) => match self.candidate(certificate, now) {
                    Some(candidate) => Entry::Candidate(candidate, observation),
                    None => Entry::Other,
                },
                Err(why) => Entry::Unread(format!("certificate {} of the store: {why}", place + 1)),
            };
            (place, entry)
        })
    }

    /// Whether the KDC could select it at all.
    fn candidate(&self, certificate: &'a Certificate, now: Timestamp) -> Option<Candidate<'a>> {
        let has = |wanted: &str| {
            let named = certificate.extended_key_usages.as_ref();
            named.is_some_and(|usages| usages.iter().any(|usage| usage.oid() == wanted))
        };
        let has_kdc_usage = has(ExtendedKeyUsage::KDC_AUTH);
        let of_legacy_template =
            matches!(&certificate.template, Some(TemplateReference::Name(name)) if name.as_str() == "DomainController");
        if !has_kdc_usage && !of_legacy_template && !has(ExtendedKeyUsage::SMART_CARD_LOGON) {
            return None;
        }
        let in_use = self.in_use == Some(certificate.thumbprint);
        Some(Candidate { certificate, has_kdc_usage, refused: self.refused(certificate, now), in_use })
    }

    fn refused(&self, certificate: &Certificate, now: Timestamp) -> Option<Refused> {
        // A chain that nobody verified may pass, and so may one whose issuer we were not given along with files or over
        // TLS; `dc.cert-chain` says so.
        let chain_may_pass = match certificate.chain {
            ChainStatus::Trusted { .. } | ChainStatus::NotChecked { .. } => true,
            ChainStatus::IssuerMissing { .. } => {
                matches!(self.listing.store, CertificateStore::Files | CertificateStore::TlsPeer)
            }
            ChainStatus::UntrustedRoot { .. } | ChainStatus::Invalid { .. } => false,
        };
        let not_in_nt_auth = || {
            let (store, issuer) = (self.nt_auth?, certificate.issuer_thumbprint.as_ref()?);
            store.holds(issuer)
        };
        if certificate.not_before > now || now > certificate.not_after {
            Some(Refused::Validity)
        } else if !chain_may_pass {
            Some(Refused::Chain)
        } else if matches!(certificate.revocation, Some(Revocation::Revoked { .. })) {
            Some(Refused::Revoked)
        } else if not_in_nt_auth() == Some(false) {
            Some(Refused::NtAuth)
        } else {
            None
        }
    }
}

/// A store that was looked for and is not there holds nothing.
const NOTHING: &TrustStore = &TrustStore { thumbprints: Vec::new(), left_out: 0 };

/// Everything in the store that the KDC could select, in the store's order; empty where the store was not read.
pub fn candidates<'a>(facts: &Facts<'a>, now: Timestamp) -> Vec<Candidate<'a>> {
    let Look::Found(listing, observation) = look_at!(facts, CertificateListing) else {
        return Vec::new();
    };
    Store::new(facts, listing, observation)
        .entries(facts, now)
        .filter_map(|(_, entry)| match entry {
            Entry::Candidate(candidate, _) => Some(candidate),
            Entry::WithoutKey | Entry::Other | Entry::Unread(_) => None,
        })
        .collect()
}

/// Derives the KDC's certificate from the listing of its store, the certificates told with it and what the KDC logged.
pub fn kdc_certificate<'a>(facts: &Facts<'a>, now: Timestamp) -> KdcCertificate<'a> {
    let (listing, observation) = match look_at!(facts, CertificateListing) {
        Look::Gap(gap) => return KdcCertificate::Unknown(gap),
        Look::Absent(observation) => {
            let seen = "the certificate store is not there".to_owned();
            return KdcCertificate::NoCandidate { seen, evidence_at: observation.observed_at };
        }
        Look::Found(listing, observation) => (listing, observation),
    };
    let CertificateListing { store, left_out, unreadable, .. } = listing;
    let read = Store::new(facts, listing, observation);

    let mut evidence_at = read.evidence_at;
    let mut changes_at: Option<Timestamp> = None;
    let mut unread: Option<(usize, String)> = None;
    let mut selected: Option<(usize, Candidate<'_>)> = None;
    let (mut others, mut without_key, mut in_use_seen) = (0, 0, false);
    for (place, entry) in read.entries(facts, now) {
        let candidate = match entry {
            Entry::Candidate(candidate, observation) => {
                evidence_at = evidence_at.min(observation.observed_at);
                candidate
            }
            Entry::WithoutKey => {
                without_key += 1;
                continue;
            }
            Entry::Other => {
                others += 1;
                continue;
            }
            Entry::Unread(why) => {
                unread.get_or_insert((place, why));
                continue;
            }
        };
        in_use_seen |= candidate.in_use;
        let dates = [candidate.certificate.not_before, candidate.certificate.not_after.plus_ms(1)];
        changes_at = dates.into_iter().chain(changes_at).filter(|date| *date > now).min();
        if selected.as_ref().is_none_or(|(_, held)| rank(&candidate) < rank(held)) {
            selected = Some((place, candidate));
        }
    }

    if let Some((place, candidate)) = selected {
        // What the KDC says it uses is settled. Otherwise nothing behind the first passing certificate with the KDC usage
        // matters; before it, or where the choice fell on a lesser one, whatever could not be read might have been
        // preferred. One that is in use and was not seen may be among what could not be read; from the own store, read
        // whole, it has been removed since.
        let settled = rank(&candidate) <= 1;
        let in_use_unseen = read.in_use.filter(|_| !in_use_seen);
        let uncertain = match unread {
            _ if rank(&candidate) == 0 => None,
            Some((unread, why)) if unread < place || !settled || in_use_unseen.is_some() => Some(why),
            _ if *left_out > 0 && (!settled || in_use_unseen.is_some()) => {
                Some(format!("{left_out} certificates of the store were left out"))
            }
            _ if *unreadable > 0 && (!settled || in_use_unseen.is_some()) => {
                Some(format!("entries of the store that could not be read: {unreadable}"))
            }
            _ => in_use_unseen
                .filter(|_| *store != CertificateStore::LocalMachineMy)
                .map(|thumbprint| format!("event 302 names {thumbprint}, which was not seen")),
        };
        return KdcCertificate::Selected(Selection {
            certificate: candidate.certificate,
            store: *store,
            in_use: candidate.in_use,
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
pub fn certificate<'a>(facts: &Facts<'a>, sha256: Sha256) -> Result<(&'a Certificate, &'a Observation), String> {
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

/// The order of preference; equals are taken in the store's order. One in use is kept while it passes.
const fn rank(candidate: &Candidate<'_>) -> u8 {
    match (candidate.refused, candidate.in_use, candidate.has_kdc_usage) {
        (None, true, _) => 0,
        (None, false, true) => 1,
        (None, false, false) => 2,
        (Some(_), true, _) => 3,
        (Some(_), false, true) => 4,
        (Some(_), false, false) => 5,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::ListedCertificate;

    use super::*;
    use crate::check::fixture::{Host, at, controller, ekus, kdc_certificate as cert, now, text};

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
    fn revocation_and_nt_auth_decide_where_they_are_known() {
        let at_noon = at("2026-02-01T12:00:00Z");
        let revoked = |number| Certificate {
            revocation: Some(Revocation::Revoked { subject: text("CN=dc01.corp.example"), at: at_noon }),
            ..cert(number)
        };
        let foreign = |number| Certificate { issuer_thumbprint: Some(Thumbprint([0xfe; 20])), ..cert(number) };
        let open = |number| Certificate {
            revocation: Some(Revocation::Undetermined { why: text("no list") }),
            issuer_thumbprint: None,
            ..cert(number)
        };
        for (certificates, selected) in [
            (vec![revoked(5), cert(1)], 1),
            (vec![revoked(5), legacy(4)], 4),
            (vec![revoked(5)], 5),
            (vec![foreign(6), cert(1)], 1),
            (vec![foreign(6), legacy(4)], 4),
            (vec![foreign(6)], 6),
            (vec![open(7), cert(1)], 7),
        ] {
            assert_eq!(number(&Host::dc_with(&certificates)), Some(selected));
        }
        let both = Host::dc_with(&[foreign(6), cert(1)]);
        assert_eq!(
            number(&both.clone().failed(Kind::NtAuthStore)),
            Some(6),
            "a store that was not read decides nothing"
        );
        let cut = TrustStore { thumbprints: vec![controller::ISSUER], left_out: 1 };
        assert_eq!(number(&both.clone().with(Evidence::NtAuthStore(cut))), Some(6));
        assert_eq!(number(&both.absent(Kind::NtAuthStore)), Some(6), "all are refused then, and the first remains");
        let refused = |host: &Host| candidates(&host.facts(), now()).iter().map(|own| own.refused).collect::<Vec<_>>();
        assert_eq!(
            refused(&Host::dc_with(&[revoked(5), foreign(6), expired(2), untrusted(3), cert(1)])),
            [Some(Refused::Revoked), Some(Refused::NtAuth), Some(Refused::Validity), Some(Refused::Chain), None]
        );
    }

    #[test]
    fn the_one_in_use_is_kept_while_it_passes() {
        let used = |number, certificates: &[Certificate]| {
            let events = controller::events(true, &[controller::in_use(number, "2026-03-01T06:00:00Z")]);
            Host::dc_with(certificates).with(Evidence::KdcEvents(events))
        };
        let selected = |host: &Host| match kdc_certificate(&host.facts(), now()) {
            KdcCertificate::Selected(selection) => (selection.certificate.sha256.0[0], selection.in_use),
            other => panic!("{other:?}"),
        };
        assert_eq!(selected(&used(2, &[cert(1), cert(2)])), (2, true));
        assert_eq!(selected(&used(4, &[cert(1), legacy(4)])), (4, true), "a legacy one too");
        assert_eq!(selected(&used(5, &[cert(1), expired(5)])), (1, false), "it is replaced when it no longer passes");
        assert_eq!(selected(&used(9, &[cert(1), cert(2)])), (1, false), "it was removed since");
        assert_eq!(selected(&used(5, &[untrusted(6), expired(5)])), (5, true));
    }

    #[test]
    fn one_in_use_that_was_not_seen_makes_the_choice_uncertain() {
        let used = |number, host: Host| {
            let events = controller::events(true, &[controller::in_use(number, "2026-03-01T06:00:00Z")]);
            host.with(Evidence::KdcEvents(events))
        };
        let uncertain = |host: &Host| match kdc_certificate(&host.facts(), now()) {
            KdcCertificate::Selected(selection) => selection.uncertain,
            other => panic!("{other:?}"),
        };
        let unseen = Some("event 302 names 0909090909090909090909090909090909090909, which was not seen".to_owned());
        for (store, expected) in [
            (CertificateStore::LocalMachineMy, None),
            (CertificateStore::Files, unseen.clone()),
            (CertificateStore::TlsPeer, unseen),
        ] {
            assert_eq!(uncertain(&used(9, Host::dc().certificates(store, &[cert(1)]))), expected, "{store:?}");
            assert_eq!(uncertain(&used(1, Host::dc().certificates(store, &[cert(1)]))), None, "{store:?}");
        }
        let mut behind = used(9, Host::dc_with(&[cert(1), cert(2)]));
        behind.facts.observations.retain(|key, _| key.subject != Subject::Certificate(Sha256([2; 32])));
        assert_eq!(uncertain(&behind).as_deref(), Some("certificate 2 of the store: not reported"));
        let known = used(1, behind);
        assert_eq!(uncertain(&known), None, "what the KDC says is settled, whatever else could not be read");
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
