#!/usr/bin/env python3
"""Writes the Grafana dashboards next to it, into dashboards/: `make dashboards`.

What is the same on every panel, the data source, the grid, the colours of verdicts, stands here once; a dashboard below is
the list of its panels. Only the standard library. `--check` writes nothing and fails if a file is not of this code.
"""

import json
import pathlib
import sys

# Of Grafana 11.6; older ones migrate nothing that is used here, newer ones read it.
SCHEMA = 41
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLOURS = {
    "ready": "green", "go": "green", "advisory": "yellow", "partly": "yellow", "blocked": "red", "hold": "red",
    "unknown": "purple", "not-applicable": "text",
}
ALL = '{forest=~"$forest",site=~"$site"}'
LATER = "No evidence yet: "


def of(more=""):
    """The selector of the variables, with more of it."""
    return '{forest=~"$forest",site=~"$site"%s}' % ("," + more if more else "")


def steps(*pairs):
    """Thresholds: the first colour, then (from, colour)."""
    first, *rest = pairs
    return {"mode": "absolute", "steps": [{"color": first, "value": None}] + [{"color": c, "value": v} for v, c in rest]}


GREEN = steps("green")
BAD_ABOVE_0 = steps("green", (1, "red"))
SHARE = steps("red", (0.8, "yellow"), (0.9, "green"))
DAYS_LEFT = steps("red", (3, "orange"), (14, "yellow"), (28, "green"))


def by_verdict():
    """Every verdict in its own colour, by the name of the series."""
    return [
        {"matcher": {"id": "byName", "options": word}, "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]}
        for word, colour in COLOURS.items()
    ]


def panel(kind, title, description, queries, width=12, height=8, unit="short", thresholds=GREEN, empty="No data", options=None,
          custom=None, overrides=None, mappings=None, links=None, transformations=None, decimals=None, least=None, most=None):
    targets = []
    for index, query in enumerate(queries):
        expression, legend, *more = query
        target = {"refId": chr(ord("A") + index), "datasource": SOURCE, "editorMode": "code", "expr": expression, "legendFormat": legend}
        instant = kind in ("table", "bargauge", "stat", "gauge", "piechart")
        target |= {"instant": instant, "range": not instant}
        if kind == "table":
            target["format"] = "table"
        if "heatmap" in more:
            target["format"] = "heatmap"
        targets.append(target)
    defaults = {"unit": unit, "thresholds": thresholds, "noValue": empty, "mappings": mappings or [], "custom": custom or {}}
    defaults["color"] = {"mode": "palette-classic" if kind in ("timeseries", "piechart") else "thresholds"}
    for key, value in (("decimals", decimals), ("min", least), ("max", most), ("links", links)):
        if value is not None:
            defaults[key] = value
    made = {
        "type": kind, "title": title, "description": description, "datasource": SOURCE, "targets": targets,
        "gridPos": {"w": width, "h": height}, "options": options or {},
        "fieldConfig": {"defaults": defaults, "overrides": overrides or []},
    }
    if transformations:
        made["transformations"] = transformations
    return made


LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}


def lines(title, description, queries, verdicts=False, stacked=False, **more):
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 40 if stacked else 10, "showPoints": "never", "spanNulls": False,
              "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}
    more.setdefault("least", 0)
    return panel("timeseries", title, description, queries, custom=custom, overrides=by_verdict() if verdicts else None,
                 options={"legend": LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}}, **more)


def stat(title, description, queries, verdicts=False, name=False, **more):
    more = {"width": 6, "height": 4} | more
    return panel("stat", title, description, queries, overrides=by_verdict() if verdicts else None, options={
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "background" if name else "value",
        "graphMode": "none", "textMode": "name" if name else "auto", "justifyMode": "auto", "orientation": "auto"}, **more)


def bars(title, description, queries, **more):
    return panel("bargauge", title, description, queries, options={
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "orientation": "horizontal",
        "displayMode": "basic", "valueMode": "color", "showUnfilled": True, "namePlacement": "auto", "sizing": "auto"}, **more)


def gauge(title, description, queries, **more):
    more = {"width": 6, "height": 6, "unit": "percentunit", "least": 0, "most": 1} | more
    return panel("gauge", title, description, queries, options={
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "showThresholdLabels": False,
        "showThresholdMarkers": True, "orientation": "auto"}, **more)


def table(title, description, queries, columns, **more):
    """One row per site (or whatever the queries have in common); `columns` names the values, in order."""
    rename = {("Value" if len(queries) == 1 else f"Value #{chr(ord('A') + i)}"): name for i, name in enumerate(columns)}
    hidden = {"Time": True, "__name__": True, "instance": True, "job": True}
    hidden |= {f"Time {i + 1}": True for i in range(len(queries))}
    return panel("table", title, description, queries, options={"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
                 custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True},
                 transformations=[{"id": "merge", "options": {}},
                                  {"id": "organize", "options": {"excludeByName": hidden, "renameByName": rename, "indexByName": {}}}], **more)


def column(name, unit, thresholds=None):
    properties = [{"id": "unit", "value": unit}]
    if thresholds:
        properties += [{"id": "thresholds", "value": thresholds},
                       {"id": "custom.cellOptions", "value": {"type": "color-text"}}]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}


TO_SITE = {"title": "The site", "url": "/d/muster-site?var-datasource=${datasource}&var-forest=${__data.fields.forest}&var-site=${__data.fields.site}"}


def variables(sites, one_site):
    made = [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0, "refresh": 1,
             "regex": "", "includeAll": False, "multi": False, "options": [], "current": {}}]

    def query(name, label, expression, one):
        return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "hide": 0, "refresh": 2, "sort": 1, "regex": "",
                "definition": expression, "query": {"qryType": 1, "query": expression, "refId": "Prometheus-" + name},
                "includeAll": not one, "multi": not one, **({} if one else {"allValue": ".*"}), "options": [],
                "current": {} if one else {"text": ["All"], "value": ["$__all"]}}

    if sites:
        made.append(query("forest", "Forest", "label_values(muster_site_rollout, forest)", one_site))
        made.append(query("site", "Site", 'label_values(muster_site_rollout{forest=~"$forest"}, site)', one_site))
    return made


def dashboard(name, title, description, panels, sites=True, one_site=False, refresh="1m", since="now-24h"):
    x = y = tallest = 0
    for number, one in enumerate(panels, 1):
        grid = one["gridPos"]
        if one["type"] == "row" or x + grid["w"] > 24:
            x, y, tallest = 0, y + tallest, 0
        grid |= {"x": x, "y": y}
        x, tallest = x + grid["w"], max(tallest, grid["h"])
        one["id"] = number
    return name, {
        "uid": f"muster-{name}", "title": f"Muster: {title}", "description": description, "tags": ["muster"], "schemaVersion": SCHEMA,
        "version": 1, "editable": True, "graphTooltip": 1, "refresh": refresh, "timezone": "browser", "time": {"from": since, "to": "now"},
        "timepicker": {}, "fiscalYearStartMonth": 0, "weekStart": "", "annotations": {"list": []}, "preload": False,
        "links": [{"type": "dashboards", "tags": ["muster"], "title": "Muster", "asDropdown": True, "includeVars": True,
                   "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}],
        "templating": {"list": variables(sites, one_site)}, "panels": panels,
    }


READY_OF_SEEN = 'sum(muster_users{state=~"ready|advisory"}) / (sum(muster_users{state!="not-applicable"}) > 0)'
ONE = '{forest="$forest",site="$site"}'


def one(more):
    return '{forest="$forest",site="$site",%s}' % more


DASHBOARDS = [
    dashboard("organisation", "organisation", "Which sites can roll out Windows Hello for Business key trust now, and what unlocks the most users.", [
        stat("Sites by rollout verdict", "Go: open to all. Partly: those who are ready may go. Hold: something everybody needs is broken. Unknown: it cannot be said.",
             [("sum by (rollout) (muster_sites)", "{{rollout}}")], verdicts=True, width=9),
        stat("Users ready", "Share of all users, each counted once, who are ready, with or without an advisory. A user who is unknown counts as not ready.",
             [(READY_OF_SEEN, "ready")], unit="percentunit", thresholds=SHARE, decimals=1, width=5),
        stat("Hosts", "Hosts of any role that have ever reported, those silent for three cadences, and those no site was found for, which are in no number of a site.",
             [("sum(muster_hosts)", "all"), ("sum(muster_hosts_quiet)", "quiet"), ("sum(muster_hosts_without_site)", "without a site")], width=10),
        bars("What blocks the most users", "Users whom each check keeps from being ready, over the sites chosen: the first fix to make. A check that blocks a site's gate counts all of its users.",
             [('topk(10, sum by (check) (muster_site_blocked_users%s) > 0)' % ALL, "{{check}}")], thresholds=steps("red"), empty="No check blocks anybody here"),
        lines("Users by standing", "Every user of the organisation, by what the user stands at.", [("sum by (state) (muster_users)", "{{state}}")], verdicts=True, stacked=True),
        table("Sites", "Every site chosen. Click a site for its page. Times since the verdict changed are in seconds.",
              [('max by (forest, site, rollout) (muster_site_rollout%s == 1)' % ALL, ""),
               ('max by (forest, site) (muster_site_users_ready_ratio%s)' % ALL, ""),
               ('max by (forest, site) (muster_site_coverage_ratio%s)' % ALL, ""),
               ('time() - max by (forest, site) (muster_site_rollout_since_timestamp_seconds%s)' % ALL, ""),
               ('sum by (forest, site) (muster_site_users%s)' % ALL, "")],
              ["now", "users ready", "coverage", "for", "users"], width=24, height=10, links=[TO_SITE],
              overrides=[column("users ready", "percentunit", SHARE), column("coverage", "percentunit", SHARE), column("for", "s")]),
        lines("Sites by rollout verdict, over time", "How the rollout goes.", [("sum by (rollout) (muster_sites)", "{{rollout}}")], verdicts=True, stacked=True),
        lines("Endpoints by standing", "Every endpoint of the organisation.", [("sum by (state) (muster_endpoints)", "{{state}}")], verdicts=True, stacked=True),
    ]),
    dashboard("site", "site", "One site: its verdict, its gate and its population.", [
        stat("Rollout", "The rollout verdict of the site.", [("muster_site_rollout%s == 1" % ONE, "{{rollout}}")], verdicts=True, name=True),
        stat("Gate", "How what serves everybody at the site stands: domain controllers, coverage, blockers of the forest.",
             [("muster_site_gate%s == 1" % ONE, "{{gate}}")], verdicts=True, name=True),
        stat("Since", "How long the rollout verdict has been what it is.",
             [("time() - muster_site_rollout_since_timestamp_seconds%s" % ONE, "since")], unit="s"),
        stat("Domain controllers with fresh evidence", "Of those that the inventory expects to serve the site.",
             [("muster_site_fresh_domain_controllers%s" % ONE, "fresh"), ("muster_site_expected_domain_controllers%s" % ONE, "expected")],
             empty="No inventory names domain controllers here"),
        gauge("Users ready", "Share of the users seen here who are ready. `Go` asks for 90 % unless the policy says otherwise.",
              [("muster_site_users_ready_ratio%s" % ONE, "ready")], thresholds=SHARE, empty="Nobody was seen here"),
        gauge("Coverage", "Share of the endpoints that the inventory expects with evidence that counts. Below 80 % the verdict is unknown.",
              [("muster_site_coverage_ratio%s" % ONE, "coverage")], thresholds=SHARE, empty="No inventory expects endpoints here"),
        bars("Blocked users by check", "Users whom each check keeps from being ready here.", [("sort_desc(muster_site_blocked_users%s > 0)" % ONE, "{{check}}")],
             thresholds=steps("red"), height=6, empty="No check blocks anybody here"),
        panel("state-timeline", "Rollout verdict over time", "Which verdict held when; a gap is time without a collector.",
              [("muster_site_rollout%s == 1" % ONE, "{{rollout}}")], overrides=by_verdict(),
              options={"mergeValues": True, "showValue": "never", "alignValue": "center", "rowHeight": 0.8, "legend": LEGEND}, height=6),
        table("Verdicts", "Every check that speaks of anybody here, with how many hosts, users on hosts or, for a check of the site itself, one.",
              [("sum by (check, verdict) (muster_site_verdicts%s > 0)" % ONE, "")], ["subjects"], height=6),
        lines("Users by standing", "Users counted at the site.", [("sum by (state) (muster_site_users%s)" % ONE, "{{state}}")], verdicts=True, stacked=True),
        lines("Endpoints by standing", "Endpoints of the site, and of all those the silent ones.",
              [("sum by (state) (muster_site_endpoints%s)" % ONE, "{{state}}"), ("sum(muster_site_endpoints_quiet%s)" % ONE, "of these quiet")], verdicts=True),
        lines("Endpoints with fresh evidence", "Against those that the inventory expects.",
              [("muster_site_fresh_endpoints%s" % ONE, "fresh"), ("muster_site_expected_endpoints%s" % ONE, "expected")]),
        lines("Quiet users", "Users of whom no endpoint has reported for three cadences.", [("muster_site_users_quiet%s" % ONE, "quiet")]),
    ], one_site=True),
    dashboard("domain-controllers", "domain controllers", "Domain controllers by site: who answers sign-ins, with which certificate, and who has fallen silent. Single ones are in `muster site` and `muster host`.", [
        stat("Domain controllers by standing", "Those that have reported, of the whole organisation.", [("sum by (state) (muster_domain_controllers)", "{{state}}")], verdicts=True, width=14),
        stat("Sites that miss one", "Sites with fewer domain controllers of fresh evidence than the inventory expects.",
             [('count(muster_site_fresh_domain_controllers%s < muster_site_expected_domain_controllers%s) or vector(0)' % (ALL, ALL), "sites")],
             thresholds=BAD_ABOVE_0, width=5),
        stat("First certificate ends", "Time until the first certificate ends that a domain controller answers sign-ins with.",
             [('min(muster_site_dc_certificate_not_after_timestamp_seconds%s - time())' % ALL, "ends")], unit="s",
             thresholds=steps("red", (3 * 86400, "orange"), (14 * 86400, "yellow"), (28 * 86400, "green")), width=5, empty="No certificate is known"),
        table("Sites", "Fresh and expected domain controllers, days until the first certificate ends, and seconds since the one silent longest was heard of.",
              [('max by (forest, site) (muster_site_fresh_domain_controllers%s)' % ALL, ""),
               ('max by (forest, site) (muster_site_expected_domain_controllers%s)' % ALL, ""),
               ('(max by (forest, site) (muster_site_dc_certificate_not_after_timestamp_seconds%s) - time()) / 86400' % ALL, ""),
               ('time() - max by (forest, site) (muster_site_dc_last_report_timestamp_seconds%s)' % ALL, ""),
               ('max by (forest, site) (muster_site_domain_controllers_quiet%s)' % ALL, "")],
              ["fresh", "expected", "days left", "silent for", "quiet"], width=24, height=9, links=[TO_SITE],
              overrides=[column("days left", "none", DAYS_LEFT), column("silent for", "s", steps("green", (900, "yellow"), (3600, "red")))]),
        lines("Days until the first certificate ends", "Per site; a renewal is a step up.",
              [('(muster_site_dc_certificate_not_after_timestamp_seconds%s - time()) / 86400' % ALL, "{{site}}")], thresholds=DAYS_LEFT),
        lines("Silence", "Since the domain controller of each site that has been silent longest was last heard of. Facts hold one hour unless the policy says otherwise.",
              [('time() - muster_site_dc_last_report_timestamp_seconds%s' % ALL, "{{site}}")], unit="s"),
        table("Checks that are not ready", "Verdicts of the checks of domain controllers that are blocked, advisory or unknown.",
              [('sum by (forest, site, check, verdict) (muster_site_verdicts%s > 0)' % of('check=~"dc[.].*",verdict=~"blocked|advisory|unknown"'), "")],
              ["domain controllers"], empty="Every check of domain controllers is ready", links=[TO_SITE]),
        table("Adequacy", "Whether each site has enough capable domain controllers for the sign-ins that key trust brings (check `site.adequacy`).",
              [('sum by (forest, site, verdict) (muster_site_verdicts%s > 0)' % of('check="site.adequacy"'), "")], ["sites"],
              empty=LATER + "this collector does not judge the adequacy of domain controllers (`capacity-unverified`)"),
    ]),
    dashboard("key-sync", "key synchronisation", "Whether the keys that users registered have reached the directory, and what the synchronisation servers say.", [
        stat("Keys by verdict", "Verdicts of `sync.key-state`: ready is synchronised, advisory is on its way, blocked is overdue, blocked or regressed.",
             [('sum by (verdict) (muster_site_verdicts%s)' % of('check="sync.key-state"'), "{{verdict}}")], verdicts=True, width=16,
             empty=LATER + "no endpoint has reported a key"),
        stat("Overdue or blocked", "Keys that should have reached the directory and have not.",
             [('sum(muster_site_verdicts%s)' % of('check="sync.key-state",verdict="blocked"'), "keys")], thresholds=BAD_ABOVE_0, width=8,
             empty=LATER + "no endpoint has reported a key"),
        lines("Keys by verdict, over time", "A rise of advisory is a synchronisation that lags, a rise of blocked one that has stopped.",
              [('sum by (verdict) (muster_site_verdicts%s)' % of('check="sync.key-state"'), "{{verdict}}")], verdicts=True, stacked=True,
              empty=LATER + "no endpoint has reported a key"),
        table("Sites", "Keys by site and verdict.", [('sum by (forest, site, verdict) (muster_site_verdicts%s > 0)' % of('check="sync.key-state"'), "")], ["keys"],
              links=[TO_SITE], empty=LATER + "no endpoint has reported a key"),
        bars("Users without a usable key", "Users whom the synchronisation of keys keeps from being ready.",
             [('sum by (site) (muster_site_blocked_users%s)' % of('check="sync.key-state"'), "{{site}}")], thresholds=BAD_ABOVE_0,
             empty=LATER + "no endpoint has reported a key"),
        table("Synchronisation servers", "Checks of the servers that synchronise with Entra ID (`sync.*` but for the keys themselves).",
              [('sum by (forest, site, check, verdict) (muster_site_verdicts%s > 0)' % of('check=~"sync[.].*",check!="sync.key-state"'), "")], ["verdicts"],
              empty=LATER + "this collector does not judge synchronisation servers (`sync-unverified`)"),
    ]),
    dashboard("collector", "collector", "Whether the collector itself can be believed: ingest, store, judging, connections, certificates.", [
        stat("Up", "Collectors that Prometheus reaches.", [("sum(up * on (instance, job) group_left (version) muster_build_info)", "collectors")],
             thresholds=steps("red", (1, "green")), width=4, empty="No collector is scraped"),
        stat("Version", "Version of each collector.", [("muster_build_info", "{{version}}")], name=True, width=4),
        stat("Store takes writes", "1 while the last write succeeded.", [("min(muster_store_writable)", "writable")], thresholds=steps("red", (1, "green")), width=4),
        stat("Hosts to judge", "Hosts that wait to be judged again, after a change of policy or of the directory.", [("sum(muster_hosts_to_judge)", "hosts")],
             thresholds=steps("green", (1000, "yellow")), width=4),
        stat("Reload failed", "1 while the last reload of certificates, trust or grants failed and what was before it is in force.",
             [("max(muster_reload_failed)", "failed")], thresholds=BAD_ABOVE_0, width=4),
        stat("Started", "Since the process started.", [("time() - min(muster_process_start_timestamp_seconds)", "up")], unit="s", width=4),
        row("Reports"),
        lines("Reports by outcome", "Committed: on disk and synced. Seen: nothing new. Superseded: out of order. Refused: see the next panel.",
              [("sum by (outcome) (rate(muster_reports_total[$__rate_interval]))", "{{outcome}}")], unit="reqps"),
        lines("Refused reports by reason", "Reports refused as a whole.",
              [("sum by (reason) (rate(muster_reports_refused_total[$__rate_interval]))", "{{reason}}")], unit="reqps"),
        lines("Time to answer a report", "From arrival to the answer; what is new is durable by then.",
              [("histogram_quantile(%s, sum by (le) (rate(muster_report_duration_seconds_bucket[$__rate_interval])))" % q, n) for q, n in (("0.5", "median"), ("0.99", "99 %"))], unit="s",
              empty="No report in this time"),
        lines("Report ages", "Share of hosts by role that were heard of within an hour and within fourteen days. Counted once a minute over all hosts.",
              [('sum by (role) (muster_host_report_age_seconds_bucket{le="3600"}) / (sum by (role) (muster_host_report_age_seconds_count) > 0)', "{{role}} within 1 h"),
               ('sum by (role) (muster_host_report_age_seconds_bucket{le="1209600"}) / (sum by (role) (muster_host_report_age_seconds_count) > 0)', "{{role}} within 14 d")], unit="percentunit", most=1),
        row("Store and judging"),
        lines("Group commits", "How long a group commit takes.",
              [("histogram_quantile(%s, sum by (le) (rate(muster_commit_duration_seconds_bucket[$__rate_interval])))" % q, n) for q, n in (("0.5", "median"), ("0.99", "99 %"))], unit="s",
              empty="No commit in this time"),
        lines("Changes per commit", "Mean number of changes that share a group commit.",
              [("sum(rate(muster_commit_changes_sum[$__rate_interval])) / (sum(rate(muster_commit_changes_count[$__rate_interval])) > 0)", "changes")], empty="No commit in this time"),
        lines("Failed commits", "Group commits that the store refused.", [("sum(rate(muster_commits_failed_total[$__rate_interval]))", "failed")], unit="ops"),
        lines("Space", "The store on disk, and the memory of the process.",
              [("sum(muster_store_size_bytes)", "store on disk"), ("sum(muster_process_resident_memory_bytes)", "resident memory")], unit="bytes"),
        lines("Waiting to be judged", "Hosts that wait, and how far the verdicts are behind the policy in force, in revisions.",
              [("sum(muster_hosts_to_judge)", "hosts"), ("max(muster_policy_revision - muster_judged_policy_revision)", "revisions behind")]),
        lines("Age of the snapshot", "Since the numbers of sites were last made anew. A quiet fleet makes few.", [("time() - max(muster_snapshot_timestamp_seconds)", "age")], unit="s"),
        row("Connections and certificates"),
        lines("Accepted connections", "Connections whose handshake and peer were accepted.",
              [("sum by (listener) (rate(muster_connections_accepted_total[$__rate_interval]))", "{{listener}}")], unit="cps"),
        lines("Refused connections by reason", "A rise is a certificate that nobody renewed, a list that lapsed, or somebody at the door.",
              [("sum by (listener, reason) (rate(muster_connections_refused_total[$__rate_interval]))", "{{listener}}: {{reason}}")], unit="cps", empty="No connection was ever refused"),
        stat("Own certificates end", "Time until the collector's certificate of each listener ends.",
             [("min by (listener) (muster_certificate_not_after_timestamp_seconds) - time()", "{{listener}}")], unit="s",
             thresholds=steps("red", (3 * 86400, "orange"), (14 * 86400, "green")), width=8, height=6),
        stat("Revocation lists", "Time until the first list in use is due to be replaced, and lists by what they are used for.",
             [("min(muster_revocation_next_update_timestamp_seconds) - time()", "next update")],
             unit="s", thresholds=steps("red", (6 * 3600, "green")), width=8, height=6, empty="No revocation list is configured"),
        stat("Settings that wait for a restart", "Settings that were changed and that a reload does not put in force.", [("max(muster_reload_settings_pending)", "settings")],
             thresholds=steps("green", (1, "yellow")), width=8, height=6),
        lines("Telemetry exports", "Messages to the OTLP receiver: sent, failed, dropped.",
              [("sum by (signal, outcome) (rate(muster_telemetry_exports_total[$__rate_interval]))", "{{signal}} {{outcome}}")], unit="ops", empty="No OTLP receiver is configured"),
        lines("Changes of verdicts", "Transitions written per second.", [("sum(rate(muster_transitions[$__rate_interval]))", "transitions")], unit="ops"),
    ], sites=False),
]


def main():
    check = sys.argv[1:] == ["--check"]
    folder = pathlib.Path(__file__).parent / "dashboards"
    stale = {path.name for path in folder.glob("*.json")} - {name + ".json" for name, _ in DASHBOARDS}
    for name, made in DASHBOARDS:
        path, text = folder / (name + ".json"), json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.add(path.name)
    if stale:
        sys.exit("not of this code: " + ", ".join(sorted(stale)) + " (run `make dashboards`)")


main()
