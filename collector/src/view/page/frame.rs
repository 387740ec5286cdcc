//! What is around every page: head, navigation, search, and what the page is a picture of.

use maud::{DOCTYPE, Markup, html};
use muster_evidence::Timestamp;

use super::params::Params;
use super::part::{number, of, time};
use crate::snapshot::Snapshot;

/// Seconds between reloads that the foot of a page offers.
const WALL_SECONDS: &str = "60";

/// What is around a page.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: Timestamp,
    /// `None` where the parameters were not understood.
    pub(super) params: Option<&'a Params>,
    /// What was searched for.
    pub(super) search: &'a str,
}

impl Frame<'_> {
    /// The whole document.
    pub(super) fn around(&self, body: &Markup) -> Markup {
        let refresh = self.params.and_then(Params::refresh);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    title { (self.title) " – Muster" }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if let Some(seconds) = refresh { meta http-equiv="refresh" content=(seconds); }
                    link rel="stylesheet" href={ "/style.css?v=" (env!("CARGO_PKG_VERSION")) };
                    link rel="icon" type="image/svg+xml" href={ "/icon.svg?v=" (env!("CARGO_PKG_VERSION")) };
                }
                body {
                    a class="skip" href="#content" { "Skip to the content" }
                    header {
                        a class="brand" href="/" { "Muster" }
                        nav aria-label="Main" {
                            a href="/" { "Sites" }
                            a href="/hosts" { "Hosts" }
                        }
                        form action="/hosts" method="get" role="search" {
                            label for="find" { "Find a host or a user" }
                            input id="find" type="search" name="name" maxlength="253" value=(self.search)
                                placeholder="host name or SID" autocomplete="off" spellcheck="false";
                            button { "Find" }
                        }
                    }
                    main id="content" tabindex="-1" { (body) }
                    footer { (self.foot(refresh)) }
                }
            }
        }
    }

    fn foot(&self, refresh: Option<u32>) -> Markup {
        let snapshot = self.snapshot;
        html! {
            p {
                "Snapshot " (number(snapshot.number)) " of " (time(snapshot.as_of.unix_ms(), self.now))
                ", policy revision " (number(snapshot.policy_revision))
                @if snapshot.hosts_to_judge > 0 {
                    "; " (of(snapshot.hosts_to_judge, "host waits", "hosts wait")) " to be judged again"
                }
                ". Times are UTC."
            }
            @if let Some(params) = self.params {
                p {
                    @match refresh {
                        None => {
                            "This page does not reload itself. "
                            a href=(params.with_refresh(WALL_SECONDS)) { "Reload it every minute" }
                        }
                        Some(seconds) => {
                            "This page reloads itself every " (of(seconds.into(), "second", "seconds")) ". "
                            a href=(params.with_refresh("")) { "Stop that" }
                        }
                    }
                }
            }
            p { "Muster collector " (env!("CARGO_PKG_VERSION")) }
        }
    }
}
