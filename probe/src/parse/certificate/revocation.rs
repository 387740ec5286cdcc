//! What revocation lists at hand say of a chain.
//!
//! A list counts when the certificate's own issuer signed it, it covers the certificate, and its time is not over. A
//! delta continues a base list by the rules of RFC 5280 section 5.2.4: same issuer and scope, the base's number at least
//! the one the delta names and below the delta's own. Who is named on a list whose time is over is revoked all the
//! same; who is not named on it may be by now, so that is not told as good.

use std::cell::RefCell;
use std::collections::BTreeMap;

use muster_evidence::{Revocation, Text, Timestamp};
use muster_proto::link::revocation_list::{Number, RawList};
use x509_parser::asn1_rs::FromDer;
use x509_parser::x509::X509Name;

use super::issuing::{Link, same_key};
use super::name;
use super::signature::{Signature, verify};

/// How far ahead of our clock a list may have been made: as far as the clocks of a domain may differ (MS-KILE).
const CLOCK_SKEW_MS: i64 = 5 * 60 * 1000;

/// The lists at hand.
pub(super) struct Lists<'a> {
    lists: Vec<Known<'a>>,
    /// Signatures that were verified, by list and key: a large list is hashed once for all certificates.
    verified: RefCell<BTreeMap<(usize, Vec<u8>), Signature>>,
}

struct Known<'a> {
    list: RawList<'a>,
    issuer: Vec<String>,
}

/// What the lists say of one certificate.
enum Standing {
    Good,
    Revoked(Timestamp),
    Undetermined(String),
}

impl<'a> Lists<'a> {
    /// Takes the lists that can be read; others speak of nobody.
    pub(super) fn of(lists: impl Iterator<Item = &'a [u8]>) -> Self {
        let lists = lists
            .filter_map(|bytes| {
                let list = RawList::read(bytes).ok()?;
                let (_, issuer) = X509Name::from_der(list.issuer).ok()?;
                Some(Known { issuer: name::canonical(&issuer), list })
            })
            .collect();
        Self { lists, verified: RefCell::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Judges a chain from the leaf to the last issuer that was found. `complete` says that this is where it ends.
    pub(super) fn judge(&self, chain: &[&Link<'_>], complete: bool, at: Timestamp) -> Revocation {
        let mut undetermined = None;
        for pair in chain.windows(2) {
            match self.standing(pair[0], pair[1], at) {
                Standing::Good => {}
                Standing::Revoked(at) => return Revocation::Revoked { subject: Text::cut(&pair[0].shown()), at },
                Standing::Undetermined(why) => {
                    undetermined.get_or_insert(why);
                }
            }
        }
        if !complete {
            undetermined.get_or_insert_with(|| {
                let last = chain.last().map(|link| link.shown()).unwrap_or_default();
                format!("no issuer of `{last}` is at hand, by whose key a list could be verified")
            });
        }
        undetermined.map_or(Revocation::Good, |why| Revocation::Undetermined { why: Text::cut(&why) })
    }

    fn standing(&self, link: &Link<'_>, issuer: &Link<'_>, at: Timestamp) -> Standing {
        let issuer_name = issuer.shown();
        let Some(serial) = Number::of(link.serial()) else {
            return Standing::Undetermined(format!("the serial number of `{}` is too long for a list", link.shown()));
        };
        let (points, is_authority) = (link.list_points(), link.is_authority());
        let mut refused = None;
        let mut usable: Vec<&RawList<'_>> = Vec::new();
        for (index, known) in self.lists.iter().enumerate() {
            if known.issuer != link.issuer || same_key(known.list.key_id, issuer.key_id) == Some(false) {
                continue;
            }
            match self.usable(index, issuer, &points, is_authority) {
                Ok(true) => usable.push(&known.list),
                Ok(false) => {}
                Err(why) => {
                    refused.get_or_insert(why);
                }
            }
        }
        let newest = |list: &&&RawList<'_>| (list.number, list.this_update);
        let Some(base) = usable.iter().filter(|list| !list.is_delta()).max_by_key(newest) else {
            return Standing::Undetermined(match refused {
                Some(why) => format!("the revocation list of `{issuer_name}` does not count: {why}"),
                None => format!("no revocation list of `{issuer_name}` that covers it is at hand"),
            });
        };
        let delta = usable.iter().filter(|list| continues(list, base)).max_by_key(newest);
        match find(delta.copied(), serial) {
            Ok(Some((at, false))) => return Standing::Revoked(at),
            Ok(Some((_, true))) => {}
            Ok(None) => match find(Some(base), serial) {
                Ok(Some((at, _))) => return Standing::Revoked(at),
                Ok(None) => {}
                Err(why) => return Standing::Undetermined(unreadable(&issuer_name, &why)),
            },
            Err(why) => return Standing::Undetermined(unreadable(&issuer_name, &why)),
        }
        for list in std::iter::once(*base).chain(delta.copied()) {
            let kind = if list.is_delta() { "delta revocation list" } else { "revocation list" };
            if list.this_update.ms_since(at) > CLOCK_SKEW_MS {
                let begins = list.this_update;
                return Standing::Undetermined(format!("the {kind} of `{issuer_name}` begins on {begins} only"));
            }
            match list.next_update {
                None => {
                    return Standing::Undetermined(format!("the {kind} of `{issuer_name}` does not say when it ends"));
                }
                Some(end) if end < at => {
                    return Standing::Undetermined(format!("the {kind} of `{issuer_name}` ended on {end}"));
                }
                Some(_) => {}
            }
        }
        Standing::Good
    }

    /// Whether a list of that name is the issuer's and covers the certificate.
    fn usable(&self, index: usize, issuer: &Link<'_>, points: &[Vec<u8>], is_authority: bool) -> Result<bool, String> {
        let list = &self.lists[index].list;
        if let Some(what) = &list.unsupported {
            return Err(what.clone());
        }
        if !list.scope.covers(points, is_authority) {
            return Ok(false);
        }
        if !issuer.may_sign_lists() {
            return Err("its issuer's key usage lacks cRLSign".to_owned());
        }
        let spki = issuer.spki();
        let mut verified = self.verified.borrow_mut();
        let signature = verified
            .entry((index, spki.to_vec()))
            .or_insert_with(|| verify(list.algorithm, spki, list.signed, list.signature));
        match signature {
            Signature::Verifies => Ok(true),
            Signature::Fails(why) => Err(format!("its signature is not by its issuer's key: {why}")),
            Signature::Unsupported(what) => Err(format!("its signature ({what}) cannot be verified here")),
        }
    }
}

/// Whether a list is a delta that continues a base.
fn continues(list: &RawList<'_>, base: &RawList<'_>) -> bool {
    list.scope == base.scope
        && list.base.is_some_and(|from| base.number.is_some_and(|number| from <= number && Some(number) < list.number))
}

/// When a serial number was revoked, and whether its entry takes it off the list. Reads the entries through: nothing of
/// them is kept.
fn find(list: Option<&RawList<'_>>, serial: Number) -> Result<Option<(Timestamp, bool)>, String> {
    let Some(list) = list else { return Ok(None) };
    let mut found = None;
    for entry in list.entries() {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.serial == serial {
            found = Some((entry.revoked_at().unwrap_or(list.this_update), entry.removed));
        }
    }
    Ok(found)
}

fn unreadable(issuer: &str, why: &str) -> String {
    format!("the revocation list of `{issuer}` does not count: {why}")
}
