//! Debian's Prometheus scrapes a real collector with three sites of different fates, and is asked everything that a panel
//! or a rule asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use muster_collector::clock::{Clock as _, SystemClock};
use muster_proto::v1::Rollout;
use muster_tests::collector::CollectorProgram;
use muster_tests::lab::{FOREST, Lab, Setup};
use muster_tests::machine::{Machine, certificate, user, without_kdc_usage};
use muster_tests::operator::Operator;
use muster_tests::probe::FakeProbe;
use muster_tests::program::{Running, command, run};
use muster_tests::{may_skip, skipped, wait};
use serde_json::Value;

use crate::dashboards::dashboards;
use crate::{deploy, text, tool};

/// Longest until everything has data: hosts' ages are counted once a minute.
const LIMIT: Duration = Duration::from_mins(4);

/// Panels and alerts that have no data here, and why. One that comes to have data leaves this list.
const WITHOUT_DATA: [(&str, &str); 7] = [
    ("domain-controllers / Adequacy", "`site.adequacy` is judged in a later version"),
    ("key-sync / Synchronisation servers", "synchronisation servers are judged in a later version"),
    ("collector / Revocation lists", "no revocation list is configured in this scenario"),
    ("collector / Telemetry exports", "no OTLP receiver is configured in this scenario"),
    ("alert MusterAdequacyLost", "`site.adequacy` is judged in a later version"),
    ("alert MusterRevocationListNearEnd", "no revocation list is configured in this scenario"),
    ("alert MusterTelemetryFailing", "no OTLP receiver is configured in this scenario"),
];

/// What a server answers to a GET.
fn get(server: SocketAddr, path: &str) -> Result<String, String> {
    let tell = |error: std::io::Error| format!("{server}{path}: {error}");
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(10)).map_err(tell)?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(tell)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n").map_err(tell)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(tell)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{server}{path}: {answer}"))?;
    let first = head.lines().next().unwrap_or_default();
    if first.contains(" 200 ") { Ok(body.to_owned()) } else { Err(format!("{path}: {first}: {body}")) }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "%{byte:02X}");
        out
    })
}

/// Prometheus, on a port of its own.
struct Prometheus {
    address: SocketAddr,
    _running: Running,
}

impl Prometheus {
    async fn start(lab: &Lab, collector: SocketAddr) -> Self {
        // The sample, with the test's address and pace.
        let sample = text("prometheus/prometheus.yml");
        assert!(sample.contains("127.0.0.1:8444") && sample.contains(": 30s"));
        let settings = sample.replace("127.0.0.1:8444", &collector.to_string()).replace(": 30s", ": 1s");
        let settings = lab.write("prometheus/prometheus.yml", settings);
        lab.write("prometheus/muster.rules.yml", text("prometheus/muster.rules.yml"));
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut prometheus = command("prometheus");
        prometheus
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.tsdb.path={}", lab.path("prometheus/data").display()))
            .arg(format!("--web.listen-address={address}"));
        let mut running = Running::start(prometheus, lab.path("prometheus.log"));
        running
            .until_said("Prometheus serves", |log| log.contains("ready to receive web requests").then_some(()))
            .await;
        Self { address, _running: running }
    }

    /// The data of an answer.
    fn ask(&self, path: &str) -> Result<Value, String> {
        let answer: Value =
            serde_json::from_str(&get(self.address, path)?).map_err(|error| format!("{path}: {error}"))?;
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        Ok(answer["data"].clone())
    }

    /// Whether a query has a value that is a number.
    fn has_data(&self, query: &str) -> Result<bool, String> {
        let data = self.ask(&format!("/api/v1/query?query={}", encoded(query)))?;
        let number = |sample: &Value| sample["value"][1].as_str().is_some_and(|value| value != "NaN");
        Ok(data["result"].as_array().is_some_and(|samples| samples.iter().any(number)))
    }
}

/// What Grafana would make of an expression.
fn filled_in(expression: &str) -> String {
    expression
        .replace("=\"$site\"", "=\"Lyon\"")
        .replace("=~\"$site\"", "=~\".*\"")
        .replace("$forest", FOREST)
        .replace("$__rate_interval", "1m")
}

/// Every query of every panel, by dashboard and title; and those of variables, as paths.
fn questions() -> (BTreeMap<String, Vec<String>>, BTreeSet<String>) {
    let (mut panels, mut paths) = (BTreeMap::<String, Vec<String>>::new(), BTreeSet::new());
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let title = format!("{name} / {}", panel["title"].as_str().unwrap());
                panels.entry(title).or_default().push(filled_in(target["expr"].as_str().unwrap()));
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if variable["type"] == "query" {
                let query = filled_in(variable["definition"].as_str().unwrap());
                let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
                let (series, label) = inner.rsplit_once(", ").unwrap();
                paths.insert(format!("/api/v1/label/{label}/values?match[]={}", encoded(series)));
            }
        }
    }
    (panels, paths)
}

/// The series that a rule reads: whether they exist says that the rule could fire, which its unit test shows.
fn selectors(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["muster_", "up{"].iter().flat_map(|word| expression.match_indices(word).map(|(at, _)| at)) {
        let rest = &expression[start..];
        let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let end = if rest[name..].starts_with('{') { rest.find('}').unwrap() + 1 } else { name };
        found.push(rest[..end].to_owned());
    }
    assert!(!found.is_empty(), "{expression}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_every_rule_has_data() {
    for needed in ["prometheus", "promtool"] {
        if tool(needed).is_none() && may_skip() {
            return skipped("prometheus::every_panel_and_every_rule_has_data", &format!("`{needed}` is not installed"));
        }
        assert!(tool(needed).is_some(), "the dashboards need `{needed}`: run `make setup`");
    }
    let lab = Lab::new();
    let setup = Setup::with_sites(&[
        ("Rotterdam", &["dc01.corp.example"], Some(1)),
        ("Lyon", &["dc11.corp.example"], Some(1)),
        ("Oslo", &["dc21.corp.example"], Some(1)),
    ]);
    let collector = CollectorProgram::start(&lab, &setup).await;
    let prometheus = Prometheus::start(&lab, collector.operators).await;
    let now = SystemClock.now();
    let mut fleet = Vec::new();
    for machine in [
        Machine::dc("dc01", "Rotterdam", now),
        Machine::endpoint("pc-0417", "Rotterdam", &user(1)),
        Machine::dc("dc11", "Lyon", now).with_certificate(without_kdc_usage(certificate("dc11.corp.example", now))),
        Machine::endpoint("lap-0511", "Lyon", &user(2)).entra_only(),
        // The domain controller of Oslo never reports.
        Machine::endpoint("pc-0611", "Oslo", &user(3)),
    ] {
        let mut probe = FakeProbe::connect(&lab, collector.probes, machine.identity.name.as_str()).await;
        probe.report(&machine, now).await.unwrap();
        fleet.push((probe, machine));
    }
    // Somebody at the door who speaks no TLS.
    TcpStream::connect(collector.probes).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut operator = Operator::connect(collector.operators).await;
    operator.until_rollout("Rotterdam", Rollout::Go).await;
    operator.until_rollout("Lyon", Rollout::Hold).await;
    operator.until_rollout("Oslo", Rollout::Unknown).await;

    let (panels, paths) = questions();
    let (mut wanted, mut unexpected) = (BTreeMap::new(), BTreeMap::new());
    let rules = wait::until("Prometheus has evaluated its rules", async || {
        let data = prometheus.ask("/api/v1/rules")?;
        let rules: Vec<Value> = data["groups"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap().clone())
            .collect();
        let all = rules.iter().all(|rule| rule["health"] == "ok");
        if all && !rules.is_empty() { Ok(rules) } else { Err(data.to_string()) }
    })
    .await;
    let alerts = rules
        .iter()
        .map(|rule| (format!("alert {}", rule["name"].as_str().unwrap()), selectors(rule["query"].as_str().unwrap())));
    for (name, queries) in panels.into_iter().chain(alerts) {
        let listed = WITHOUT_DATA.iter().any(|(own, _)| *own == name);
        let place = if listed { &mut unexpected } else { &mut wanted };
        place.insert(name, queries);
    }
    assert_eq!(unexpected.len(), WITHOUT_DATA.len(), "one that is listed is gone: {:?}", unexpected.keys());

    wait::until_within(LIMIT, "every panel and rule has data", async || {
        // Something has to go on for rates to be rates: a domain controller whose certificate is another each time is
        // something to commit.
        fleet[0].1 = Machine::dc("dc01", "Rotterdam", SystemClock.now());
        for (probe, machine) in &mut fleet {
            probe.report(machine, SystemClock.now()).await.map_err(|status| status.to_string())?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut without = Vec::new();
        for (name, queries) in &wanted {
            for query in queries {
                if !prometheus.has_data(query)? {
                    without.push(format!("{name}: {query}"));
                }
            }
        }
        if without.is_empty() { Ok(()) } else { Err(without.join("\n")) }
    })
    .await;
    for (name, queries) in &unexpected {
        for query in queries {
            assert!(!prometheus.has_data(query).unwrap(), "{name} has data and is listed as having none: {query}");
        }
    }
    for path in paths {
        let values = prometheus.ask(&path).unwrap();
        assert!(values.as_array().is_some_and(|values| !values.is_empty()), "{path}: {values}");
    }
    // The held site is on its way to an alert, and Prometheus has no complaint of the collector.
    let alerts = prometheus.ask("/api/v1/alerts").unwrap();
    let held = |alert: &Value| alert["labels"]["alertname"] == "MusterSiteBlocked" && alert["labels"]["site"] == "Lyon";
    assert!(alerts["alerts"].as_array().unwrap().iter().any(held), "{alerts}");
    let targets = prometheus.ask("/api/v1/targets").unwrap();
    assert_eq!(targets["activeTargets"][0]["lastError"], "", "{targets}");

    let shown = lab.write("metrics.txt", get(collector.operators, "/metrics").unwrap());
    let mut lint = command("bash");
    lint.arg("-c").arg(format!("promtool check metrics < '{}'", shown.display()));
    let lint = run(lint).await;
    assert_eq!((lint.code, lint.stderr.as_str()), (Some(0), ""), "{}", lint.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_rules_and_their_tests_and_the_sample() {
    if tool("promtool").is_none() && may_skip() {
        return skipped(
            "prometheus::promtool_accepts_rules_and_their_tests_and_the_sample",
            "`promtool` is not installed",
        );
    }
    for (words, file) in [
        (["check", "rules"], "muster.rules.yml"),
        (["test", "rules"], "muster.rules.test.yml"),
        (["check", "config"], "prometheus.yml"),
    ] {
        let mut promtool = command("promtool");
        promtool.args(words).arg(file).current_dir(deploy("prometheus"));
        let said = run(promtool).await.succeeded();
        assert!(said.contains("SUCCESS"), "{said}");
    }
}
