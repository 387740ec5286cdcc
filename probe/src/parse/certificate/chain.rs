//! Chain building by names and signatures.
//!
//! A TLS verifier would refuse a KDC's certificate for its purposes, its SHA-1 signature or its names, and so could
//! not tell those from a chain that is broken. Here only the chain is asked for: who issued whom, whether each
//! signature verifies, whether each issuer may issue what it issued and is valid at the time. The leaf's own validity
//! and purposes are checks of their own. Certificate policies are not looked at.

use muster_evidence::{ChainStatus, Revocation, Text, Thumbprint, Timestamp};

use super::issuing::{Link, same_key};
use super::name;
use super::revocation::Lists;
use super::signature::Signature;

/// Longest chain above the leaf. Real ones have up to four.
const MAX_DEPTH: usize = 8;
/// Most signatures verified for one leaf: certificates of the same name and key could branch without end.
const MAX_SIGNATURES: u32 = 64;
/// Most certificates or lists of each sort that are looked at.
const MAX_CANDIDATES: usize = 512;

/// What chains are built and judged with. Made once for all certificates of a store.
pub struct AtHand<'a> {
    issuers: Vec<Link<'a>>,
    has_anchors: bool,
    lists: Lists<'a>,
}

/// What was found out about a certificate beyond its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// How its chain was verified.
    pub status: ChainStatus,
    /// Thumbprint of its direct issuer, as far as that one's key made the signature; `None` where it is not at hand.
    pub issuer: Option<Thumbprint>,
    /// Thumbprint of the self-signed certificate the chain ends in; `None` where it does not reach one.
    pub root: Option<Thumbprint>,
    /// What revocation lists say; `None` where none is at hand, or there is nothing above the certificate to revoke it.
    pub revocation: Option<Revocation>,
}

impl<'a> AtHand<'a> {
    /// Takes certificates and revocation lists, all in DER.
    ///
    /// `intermediates` may hold anything, in any order, roots included; only `anchors` are trusted.
    pub fn new<D, L>(intermediates: &'a [D], anchors: &'a [D], lists: &'a [L]) -> Self
    where
        D: AsRef<[u8]>,
        L: AsRef<[u8]>,
    {
        let mut issuers = Vec::new();
        for (list, anchor) in [(anchors, true), (intermediates, false)] {
            let ders = list.iter().take(MAX_CANDIDATES).map(AsRef::as_ref);
            // What does not parse can issue nothing.
            issuers.extend(ders.filter_map(|der| Link::of(der, anchor).ok()));
        }
        let lists = Lists::of(lists.iter().take(MAX_CANDIDATES).map(AsRef::as_ref));
        Self { issuers, has_anchors: !anchors.is_empty(), lists }
    }
}

/// Verifies a leaf against the certificates and lists at hand.
///
/// Without any anchor a chain can be found broken but never sound, and the status says that it was not checked.
pub fn examine(leaf_der: &[u8], at_hand: &AtHand<'_>, at: Timestamp) -> Findings {
    let leaf = match Link::of(leaf_der, false) {
        Ok(link) => link,
        Err(error) => {
            return Findings { status: not_checked(&error.to_string()), issuer: None, root: None, revocation: None };
        }
    };
    let mut search = Search { issuers: &at_hand.issuers, leaf: &leaf, at, signatures_left: MAX_SIGNATURES };
    let Way { mut status, above } = search.climb(&leaf, &mut Vec::new());
    if !at_hand.has_anchors
        && let ChainStatus::UntrustedRoot { .. } | ChainStatus::IssuerMissing { .. } = status
    {
        status = not_checked("no trust anchors were given");
    }

    let mut chain: Vec<&Link<'_>> = vec![&leaf];
    chain.extend(above.iter().map(|&index| &at_hand.issuers[index]));
    let last = chain[chain.len() - 1];
    // An anchor is believed as it stands, its own signature too.
    let ends_in_root = last.is_self_issued()
        && (at_hand.issuers.iter().any(|issuer| issuer.anchor && issuer.der == last.der)
            || last.is_signed_by(last) == Signature::Verifies);
    let alone = chain.len() == 1;
    let issuer = match above.first() {
        Some(&index) => Some(at_hand.issuers[index].thumbprint()),
        None if ends_in_root => Some(leaf.thumbprint()),
        None => None,
    };
    let complete = ends_in_root || (last.anchor && !alone);
    let looked_for = !(at_hand.lists.is_empty() || alone && complete);
    Findings {
        status,
        issuer,
        root: ends_in_root.then(|| last.thumbprint()),
        revocation: looked_for.then(|| at_hand.lists.judge(&chain, complete, at)),
    }
}

/// The issuers above a certificate as far as they are at hand, the direct one first; roots are left out, since no list
/// speaks of them.
pub fn issuers(leaf_der: &[u8], at_hand: &AtHand<'_>, at: Timestamp) -> Vec<Vec<u8>> {
    let Ok(leaf) = Link::of(leaf_der, false) else { return Vec::new() };
    let mut search = Search { issuers: &at_hand.issuers, leaf: &leaf, at, signatures_left: MAX_SIGNATURES };
    let above = search.climb(&leaf, &mut Vec::new()).above;
    let links = above.into_iter().map(|index| &at_hand.issuers[index]);
    links.filter(|link| !link.is_self_issued()).map(|link| link.der.to_vec()).collect()
}

/// Says how the chain of a leaf verifies, without revocation.
pub fn verify_chain<D: AsRef<[u8]>>(leaf_der: &[u8], intermediates: &[D], anchors: &[D], at: Timestamp) -> ChainStatus {
    examine(leaf_der, &AtHand::new(intermediates, anchors, &[] as &[&[u8]]), at).status
}

/// A way up, and where it leads: the indices of the issuers, the direct one first.
struct Way {
    status: ChainStatus,
    above: Vec<usize>,
}

struct Search<'s, 'a> {
    issuers: &'s [Link<'a>],
    leaf: &'s Link<'s>,
    at: Timestamp,
    signatures_left: u32,
}

impl Search<'_, '_> {
    /// Looks for the best way up from `link`. `path` holds the issuers from the leaf's own to it.
    fn climb(&mut self, link: &Link<'_>, path: &mut Vec<usize>) -> Way {
        let ends = |status| Way { status, above: path.clone() };
        if link.anchor || self.issuers.iter().any(|issuer| issuer.anchor && issuer.der == link.der) {
            let anchor = Text::cut(&link.shown());
            return ends(self.complete(path).unwrap_or(ChainStatus::Trusted { anchor }));
        }
        if link.is_self_issued() && link.is_signed_by(link) == Signature::Verifies {
            let root = Text::cut(&link.shown());
            return ends(self.complete(path).unwrap_or(ChainStatus::UntrustedRoot { root }));
        }
        if path.len() >= MAX_DEPTH {
            return ends(invalid(&format!("the chain has more than {MAX_DEPTH} issuers")));
        }
        let mut best: Option<Way> = None;
        for index in self.candidates(link, path) {
            let way = self.step(link, index, path);
            if matches!(way.status, ChainStatus::Trusted { .. }) {
                return way;
            }
            if best.as_ref().is_none_or(|best| rank(&way.status) < rank(&best.status)) {
                best = Some(way);
            }
        }
        best.unwrap_or_else(|| {
            let ends = |status| Way { status, above: path.clone() };
            if link.is_self_issued() {
                return ends(invalid(&format!("`{}` names itself as issuer, but did not sign itself", link.shown())));
            }
            ends(ChainStatus::IssuerMissing { issuer: Text::cut(&name::rfc4514(link.x509.issuer())) })
        })
    }

    /// The certificates that carry the issuer's name: those whose key identifier fits first, those that are valid at the
    /// time before others. One that is on the way already would make a loop.
    fn candidates(&self, link: &Link<'_>, path: &[usize]) -> Vec<usize> {
        let on_the_way =
            |issuer: &Link<'_>| issuer.der == self.leaf.der || path.iter().any(|&i| self.issuers[i].der == issuer.der);
        let mut candidates: Vec<usize> = (0..self.issuers.len())
            .filter(|&i| self.issuers[i].subject == link.issuer && !on_the_way(&self.issuers[i]))
            .collect();
        candidates.sort_by_key(|&i| {
            let issuer = &self.issuers[i];
            let other_key = same_key(link.issuer_key_id, issuer.key_id) == Some(false);
            (other_key, !issuer.is_valid_at(self.at))
        });
        candidates
    }

    /// Goes from `link` to one candidate that carries its issuer's name.
    fn step(&mut self, link: &Link<'_>, index: usize, path: &mut Vec<usize>) -> Way {
        let issuer = &self.issuers[index];
        let stays = |status| Way { status, above: path.clone() };
        let Some(left) = self.signatures_left.checked_sub(1) else {
            return stays(not_checked("too many certificates carry the issuer's name"));
        };
        self.signatures_left = left;
        match link.is_signed_by(issuer) {
            Signature::Verifies => {}
            Signature::Fails(why) => {
                let (subject, issuer) = (link.shown(), issuer.shown());
                return stays(invalid(&format!("the signature of `{subject}` is not by the key of `{issuer}`: {why}")));
            }
            Signature::Unsupported(what) => {
                return stays(not_checked(&format!(
                    "the signature of `{}` ({what}) cannot be verified here",
                    link.shown()
                )));
            }
        }
        // Issuers between the leaf and this one; a self-issued one does not count (RFC 5280 section 6.1.4).
        let below = path.iter().filter(|&&i| !self.issuers[i].is_self_issued()).count();
        let may = issuer.may_issue(below, self.at);
        path.push(index);
        let way = match may {
            Ok(()) => self.climb(issuer, path),
            Err(why) => Way { status: invalid(&format!("`{}` {why}", issuer.shown())), above: path.clone() },
        };
        path.pop();
        way
    }

    /// What is wrong with a way that reaches its end, beyond what each step has looked at.
    fn complete(&self, path: &[usize]) -> Option<ChainStatus> {
        let above: Vec<&Link<'_>> = path.iter().map(|&index| &self.issuers[index]).collect();
        for link in std::iter::once(self.leaf).chain(above.iter().copied()) {
            if let Some(oid) = link.unknown_critical() {
                let subject = link.shown();
                return Some(invalid(&format!(
                    "`{subject}` has the critical extension {oid}, which is not understood"
                )));
            }
        }
        let leaf_names = self.leaf.constrained();
        for (i, issuer) in above.iter().enumerate() {
            let Some(constraints) = issuer.constraints() else { continue };
            // Every certificate below, those left out that are self-issued and not the leaf (RFC 5280 section 6.1.3).
            let between = above[..i].iter().filter(|link| !link.is_self_issued()).map(|link| link.constrained());
            let refused = constraints
                .allow(&leaf_names)
                .err()
                .or_else(|| between.into_iter().find_map(|names| constraints.allow(&names).err()));
            if let Some(why) = refused {
                return Some(invalid(&format!("`{}` {why}", issuer.shown())));
            }
        }
        // Windows takes the usages that all certificates of a chain allow together.
        if self.leaf.claims_kdc()
            && let Some(issuer) = above.iter().find(|issuer| issuer.allows_kdc() == Some(false))
        {
            return Some(invalid(&format!(
                "`{}` may not issue for KDC Authentication: its own extended key usages lack it",
                issuer.shown()
            )));
        }
        None
    }
}

/// Orders what ways up lead to, the most telling first.
const fn rank(status: &ChainStatus) -> u8 {
    match status {
        ChainStatus::Trusted { .. } => 0,
        ChainStatus::UntrustedRoot { .. } => 1,
        ChainStatus::NotChecked { .. } => 2,
        ChainStatus::IssuerMissing { .. } => 3,
        ChainStatus::Invalid { .. } => 4,
    }
}

fn invalid(detail: &str) -> ChainStatus {
    ChainStatus::Invalid { detail: Text::cut(detail) }
}

fn not_checked(why: &str) -> ChainStatus {
    ChainStatus::NotChecked { why: Text::cut(why) }
}
