//! What pages are put together from: words for standings, times, texts, counts, reasons and verdicts.

use maud::{Markup, html};
use muster_evidence::{Role, Timestamp};
use muster_proto::{convert, v1};
use muster_readiness::{Rollout, StandingCounts};
use v1::Standing;

use super::params::link;

/// A standing in words, with a sign of its own so that colour says nothing alone.
pub(super) fn standing(standing: Standing) -> Markup {
    let (class, sign, word) = match standing {
        Standing::Ready => ("ready", "✓", "ready"),
        Standing::Advisory => ("advisory", "!", "advisory"),
        Standing::Blocked => ("blocked", "✕", "blocked"),
        Standing::NotApplicable => ("none", "–", "does not apply"),
        Standing::Unknown | Standing::Unspecified => ("unknown", "?", "unknown"),
    };
    badge(class, sign, word)
}

/// The name of a standing in addresses.
pub(super) const fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready => "ready",
        Standing::Advisory => "advisory",
        Standing::Blocked => "blocked",
        Standing::NotApplicable => "not-applicable",
        Standing::Unknown | Standing::Unspecified => "unknown",
    }
}

/// The standings, gravest first.
pub(super) const STANDINGS: [Standing; 5] =
    [Standing::Blocked, Standing::Unknown, Standing::Advisory, Standing::Ready, Standing::NotApplicable];

/// A rollout verdict in words.
pub(super) fn rollout(rollout: Rollout) -> Markup {
    let (class, sign) = match rollout {
        Rollout::Go => ("ready", "✓"),
        Rollout::Partly => ("advisory", "◐"),
        Rollout::Hold => ("blocked", "✕"),
        Rollout::Unknown => ("unknown", "?"),
    };
    badge(class, sign, rollout.name())
}

/// What a rollout verdict means.
pub(super) const fn rollout_meaning(rollout: Rollout) -> &'static str {
    match rollout {
        Rollout::Go => "What serves everybody here is in order, and enough of the users seen are ready.",
        Rollout::Partly => "What serves everybody here is in order. Those who are ready may go; too few of them are.",
        Rollout::Hold => "Something that everybody here needs is broken. Nobody should be enabled yet.",
        Rollout::Unknown => {
            "It cannot be said: evidence is missing or too old. This is not a healthy site, nor a broken one."
        }
    }
}

fn badge(class: &str, sign: &str, word: &str) -> Markup {
    html! { span class={ "badge " (class) } { span aria-hidden="true" { (sign) } " " (word) } }
}

/// A silent machine or user: neither ready nor not, and not to be mistaken for either.
pub(super) fn quiet() -> Markup {
    html! { span class="badge quiet" { span aria-hidden="true" { "◌" } " quiet" } }
}

/// A time in UTC, with its distance from now beside it.
pub(super) fn time(ms: i64, now: Timestamp) -> Markup {
    let Ok(at) = Timestamp::from_unix_ms(ms) else { return html! { "a time outside the calendar" } };
    let rfc3339 = at.plus_ms(-at.unix_ms().rem_euclid(1_000)).to_string();
    let shown = rfc3339.replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(rfc3339) { (shown) } " " span class="ago" { "(" (distance(at, now)) ")" } }
}

/// A time that may be missing.
pub(super) fn time_or(ms: Option<i64>, missing: &str, now: Timestamp) -> Markup {
    ms.map_or_else(|| html! { (missing) }, |ms| time(ms, now))
}

/// How long ago something was, or how long it is until then, in its largest unit.
fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.ms_since(at) / 1_000;
    let span = span(seconds.unsigned_abs());
    if seconds < 0 { format!("in {span}") } else { format!("{span} ago") }
}

fn span(seconds: u64) -> String {
    [("d", 86_400), ("h", 3_600), ("min", 60)]
        .into_iter()
        .find(|(_, size)| seconds >= 2 * size || seconds == *size)
        .map_or_else(|| format!("{seconds} s"), |(unit, size)| format!("{} {unit}", seconds / size))
}

/// How far a clock is off, in its largest unit.
pub(super) fn clock(ahead_ms: i64) -> String {
    let off = span(ahead_ms.unsigned_abs() / 1_000);
    format!("{off} {} the collector's", if ahead_ms < 0 { "behind" } else { "ahead of" })
}

/// A number with its thousands set apart.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 user`, `2 users`.
pub(super) fn of(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// Counts in words, gravest first, without zeroes.
pub(super) fn counted(counts: &StandingCounts) -> String {
    let StandingCounts { ready, advisory, blocked, unknown, not_applicable: _ } = counts;
    let words: Vec<String> =
        [(blocked, "blocked"), (unknown, "unknown"), (advisory, "ready with an advisory"), (ready, "ready")]
            .into_iter()
            .filter(|(count, _)| **count > 0)
            .map(|(count, word)| format!("{} {word}", number(*count)))
            .collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// The same of a message.
pub(super) fn counted_of(counts: Option<v1::StandingCounts>) -> String {
    let v1::StandingCounts { ready, advisory, blocked, unknown, not_applicable } = counts.unwrap_or_default();
    counted(&StandingCounts { ready, advisory, blocked, unknown, not_applicable })
}

/// Pools of machines that are made anew again and again, and that count among no endpoints.
pub(super) fn pools(pools: &[v1::Pool], now: Timestamp) -> Markup {
    html! {
        @if !pools.is_empty() {
            section {
                h2 { "Pools" }
                table class="cards" {
                    caption { "Non-persistent desktops, which count among no endpoints; their users count" }
                    thead {
                        tr {
                            th scope="col" { "Pool" }
                            th scope="col" { "Belonging to it" }
                            th scope="col" { "Heard of in 24 hours" }
                            th scope="col" { "Last report" }
                        }
                    }
                    tbody {
                        @for pool in pools {
                            tr {
                                th scope="row" data-label="Pool" { (pool.name) }
                                td data-label="Belonging to it" {
                                    code { (pool.pattern) } @if !pool.site.is_empty() { " at " (pool.site) }
                                }
                                td data-label="Heard of in 24 hours" { (counted_of(pool.seen)) }
                                td data-label="Last report" { (time_or(pool.last_report_ms, "never", now)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A text as the rules write it: `code` between backticks, *emphasis* between asterisks, and addresses that can be
/// followed. Marks without a partner stay what they are.
pub(super) fn words(text: &str) -> Markup {
    let mut rest = text;
    html! {
        @while let Some((before, mark, inside, after)) = marked(rest) {
            (addresses(before))
            @if mark == '`' { code { (inside) } } @else { em { (inside) } }
            @let () = { rest = after; };
        }
        (addresses(rest))
    }
}

/// The first marked stretch of a text: what is before it, the mark, what is in it, what is after it.
fn marked(text: &str) -> Option<(&str, char, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find(['`', '*']).map(|at| from + at) {
        let mark = if text[at..].starts_with('`') { '`' } else { '*' };
        let rest = &text[at + 1..];
        if let Some(end) = rest.find(mark)
            && end > 0
            && (mark == '`' || !rest[..end].starts_with(' ') && !rest[..end].ends_with(' '))
        {
            return Some((&text[..at], mark, &rest[..end], &rest[end + 1..]));
        }
        from = at + 1;
    }
    None
}

/// A text in which addresses of pages can be followed.
fn addresses(text: &str) -> Markup {
    let mut rest = text;
    html! {
        @while let Some(at) = rest.find("https://") {
            @let end = rest[at..].find(|c: char| c.is_whitespace() || ")>\"'".contains(c)).map_or(rest.len(), |end| at + end);
            (rest[..at])
            a href=(rest[at..end]) rel="noreferrer noopener" { (rest[at..end]) }
            @let () = { rest = &rest[end..]; };
        }
        (rest)
    }
}

/// The page of a site.
pub(super) fn site_link(id: &v1::SiteId) -> Markup {
    html! { a href=(link("/site", [("name", id.name.as_str()), ("forest", &id.forest)])) { (id.name) } }
}

/// The page of a host.
pub(super) fn host_link(name: &str, forest: &str) -> Markup {
    html! { a href=(link("/host", [("name", name), ("forest", forest)])) { (name) } }
}

/// The page of a check.
pub(super) fn check_link(id: &str) -> Markup {
    html! { a class="id" href=(link("/check", [("id", id)])) { (id) } }
}

/// The page of a user.
pub(super) fn user_link(sid: &str) -> Markup {
    html! { a class="id" href=(link("/user", [("sid", sid)])) { (sid) } }
}

/// A role in words.
pub(super) fn role(role: v1::Role) -> &'static str {
    convert::role_from_wire(role.into()).map_or("a role newer than this collector", Role::name)
}

/// Reasons, worst first. `forest` is that of the hosts they name.
pub(super) fn reasons(reasons: &[v1::SiteReason], forest: &str, caption: &str, now: Timestamp) -> Markup {
    html! {
        table class="cards" {
            caption { (caption) }
            thead {
                tr {
                    th scope="col" { "Standing" }
                    th scope="col" { "Check" }
                    th scope="col" class="count" { "Users" }
                    th scope="col" { "Why, and what to do" }
                }
            }
            tbody {
                @for reason in reasons {
                    tr {
                        td data-label="Standing" { (standing(reason.standing())) }
                        th scope="row" data-label="Check" {
                            (check_link(&reason.check))
                            @if reason.in_gate { br; span class="note" { "gate: concerns everybody" } }
                        }
                        td data-label="Users" class="count" { (number(reason.users_affected)) }
                        td data-label="Why" {
                            p { (words(&reason.text)) }
                            @if !reason.remedy.is_empty() { p { b { "Remedy: " } (words(&reason.remedy)) } }
                            @if let Some(since) = reason.since_ms { p class="note" { "Since " (time(since, now)) } }
                            @if !reason.hosts.is_empty() {
                                p class="note" {
                                    "On " (of(reason.host_count, "host", "hosts")) ": "
                                    @for (place, host) in reason.hosts.iter().enumerate() {
                                        @if place > 0 { ", " }
                                        (host_link(host, forest))
                                    }
                                    @if reason.host_count > reason.hosts.len() as u64 { " and more" }
                                }
                            }
                            @if let Some(site) = &reason.site { p class="note" { "Only at " (site_link(site)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Verdicts of checks, worst first, those that do not apply folded away. `rests_on` says what evidence a check had.
pub(super) fn verdicts(
    verdicts: &[v1::Verdict],
    caption: &str,
    now: Timestamp,
    rests_on: &dyn Fn(&v1::Verdict) -> Markup,
) -> Markup {
    let (apart, mut shown): (Vec<&v1::Verdict>, Vec<&v1::Verdict>) =
        verdicts.iter().partition(|verdict| verdict.standing() == Standing::NotApplicable);
    shown.sort_by_key(|verdict| STANDINGS.iter().position(|standing| *standing == verdict.standing()));
    let (own, follow): (Vec<_>, Vec<_>) = shown.into_iter().partition(|verdict| verdict.root_cause.is_empty());
    let leads_to = |verdict: &v1::Verdict| leads_to(verdict, &follow);
    let nothing = |_: &v1::Verdict| Markup::default();
    html! {
        @if !own.is_empty() { (verdict_table(&own, caption, now, &leads_to, rests_on)) }
        @if !follow.is_empty() {
            details {
                summary {
                    (of(follow.len() as u64, "finding follows from ", "findings follow from "))
                    (root_causes(&follow))
                }
                (verdict_table(&follow, "Findings that follow from another one", now, &nothing, rests_on))
            }
        }
        @if !apart.is_empty() {
            details {
                summary { (of(apart.len() as u64, "check does not apply here", "checks do not apply here")) }
                (verdict_table(&apart, "Checks that do not apply here", now, &nothing, &nothing))
            }
        }
    }
}

/// What a finding brings with it.
fn leads_to(verdict: &v1::Verdict, follow: &[&v1::Verdict]) -> Markup {
    let mut checks: Vec<&str> =
        follow.iter().filter(|own| own.root_cause == verdict.check).map(|own| own.check.as_str()).collect();
    checks.dedup();
    html! {
        @if !checks.is_empty() {
            p { b { "Leads to: " } @for (place, check) in checks.iter().enumerate() { @if place > 0 { ", " } (check_link(check)) } }
        }
    }
}

/// The checks that findings follow from, each once.
fn root_causes(follow: &[&v1::Verdict]) -> Markup {
    let checks: std::collections::BTreeSet<&str> = follow.iter().map(|own| own.root_cause.as_str()).collect();
    html! { @for (place, check) in checks.iter().enumerate() { @if place > 0 { ", " } code { (check) } } }
}

fn verdict_table(
    verdicts: &[&v1::Verdict],
    caption: &str,
    now: Timestamp,
    leads_to: &dyn Fn(&v1::Verdict) -> Markup,
    rests_on: &dyn Fn(&v1::Verdict) -> Markup,
) -> Markup {
    html! {
        table class="cards" {
            caption { (caption) }
            thead {
                tr {
                    th scope="col" { "Check" }
                    th scope="col" { "Verdict" }
                    th scope="col" { "What was seen, what is needed, what to do" }
                    th scope="col" { "Since" }
                }
            }
            tbody { @for verdict in verdicts { (verdict_row(verdict, now, &leads_to(verdict), &rests_on(verdict))) } }
        }
    }
}

fn verdict_row(verdict: &v1::Verdict, now: Timestamp, leads_to: &Markup, rests_on: &Markup) -> Markup {
    let before = verdict.stale_standing();
    html! {
        tr {
            th scope="row" data-label="Check" { (check_link(&verdict.check)) br; span class="note" { (verdict.title) } }
            td data-label="Verdict" {
                (standing(verdict.standing()))
                @if before != Standing::Unspecified {
                    p class="note" { "was " (standing_name(before)) " before it fell silent" }
                }
                @if !verdict.waived.is_empty() { p class="note" { "waived: " (verdict.waived) } }
            }
            td data-label="Seen" {
                @match verdict.standing() {
                    Standing::Ready => { p { "As it should be." } }
                    Standing::NotApplicable => { p { (words(&verdict.seen)) } }
                    // A gap is the evidence that is missing, and why.
                    Standing::Unknown | Standing::Unspecified => {
                        p { b { "Missing: " } (words(&verdict.seen)) }
                        p { b { "Why: " } (words(&verdict.needed)) }
                        (matters(verdict))
                    }
                    Standing::Advisory | Standing::Blocked => {
                        p { b { "Seen: " } (words(&verdict.seen)) }
                        @if !verdict.needed.is_empty() { p { b { "Needed: " } (words(&verdict.needed)) } }
                        (matters(verdict))
                        @if !verdict.remedy.is_empty() { p { b { "Remedy: " } (words(&verdict.remedy)) } }
                        @if !verdict.source.is_empty() { p class="note" { "Source: " (words(&verdict.source)) } }
                    }
                }
                (leads_to)
                (rests_on)
            }
            td data-label="Since" {
                (time(verdict.since_ms, now))
                @if let Some(at) = verdict.evidence_at_ms { p class="note" { "evidence of " (time(at, now)) } }
                @if let Some(until) = verdict.valid_until_ms { p class="note" { "holds until " (time(until, now)) } }
            }
        }
    }
}

/// Why it matters.
fn matters(verdict: &v1::Verdict) -> Markup {
    html! { @if !verdict.meaning.is_empty() { p { b { "Why it matters: " } (words(&verdict.meaning)) } } }
}

/// Why there is no page.
pub(super) fn refusal(title: &str, message: &str) -> Markup {
    html! {
        h1 { (title) }
        p role="alert" { (words(message)) }
        p { a href="/" { "All sites" } " · " a href="/hosts" { "All hosts" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_the_distance_beside() {
        let now: Timestamp = "2026-03-02T12:00:00.700Z".parse().unwrap();
        for (at, shown) in [
            ("2026-03-02T11:59:50.900Z", "2026-03-02 11:59:50 UTC|9 s ago"),
            ("2026-03-02T11:00:00.700Z", "2026-03-02 11:00:00 UTC|1 h ago"),
            ("2026-03-02T10:30:00Z", "2026-03-02 10:30:00 UTC|90 min ago"),
            ("2026-03-11T13:00:00.7Z", "2026-03-11 13:00:00 UTC|in 9 d"),
        ] {
            let (absolute, relative) = shown.split_once('|').unwrap();
            let html = time(at.parse::<Timestamp>().unwrap().unix_ms(), now).into_string();
            assert!(html.contains(&format!(">{absolute}</time>")) && html.contains(&format!("({relative})")), "{html}");
        }
        assert_eq!(time(i64::MAX, now).into_string(), "a time outside the calendar");
    }

    #[test]
    fn numbers_are_read_in_threes() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(count), text);
        }
    }

    #[test]
    fn marks_become_elements_and_markup_stays_text() {
        for (text, html) in [
            (
                "from a template derived from *Kerberos Authentication*, now",
                "from a template derived from <em>Kerberos Authentication</em>, now",
            ),
            ("run `certutil -pulse` twice", "run <code>certutil -pulse</code> twice"),
            ("pc* and dc*.example", "pc* and dc*.example"),
            ("2 * 3 * 4 `", "2 * 3 * 4 `"),
            ("``", "``"),
            ("`<script>alert(1)</script>`", "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code>"),
            (
                "see https://learn.example/a?b=1&c (x)",
                "see <a href=\"https://learn.example/a?b=1&amp;c\" rel=\"noreferrer noopener\">https://learn.example/a?b=1&amp;c</a> (x)",
            ),
            (
                "https://a\"onmouseover=\"x",
                "<a href=\"https://a\" rel=\"noreferrer noopener\">https://a</a>&quot;onmouseover=&quot;x",
            ),
            ("javascript:alert(1) \" onload=\"x", "javascript:alert(1) &quot; onload=&quot;x"),
        ] {
            assert_eq!(words(text).into_string(), html);
        }
    }

    #[test]
    fn every_standing_has_a_word_and_a_sign_of_its_own() {
        let mut told: Vec<String> = STANDINGS.iter().map(|own| standing(*own).into_string()).collect();
        told.push(quiet().into_string());
        let texts: std::collections::BTreeSet<&str> = told.iter().map(|html| html.split_once('>').unwrap().1).collect();
        assert_eq!(texts.len(), told.len(), "told apart without the class, which is the colour: {told:?}");
    }
}
