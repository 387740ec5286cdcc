//! Dashboards and alerts as files: that they import as they are, and name nothing that does not exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use muster_tests::program::{command, repository, run};
use muster_tests::skipped;
use serde_json::Value;

use crate::{deploy, text, tool};

const DASHBOARDS: [&str; 5] = ["organisation", "site", "domain-controllers", "key-sync", "collector"];

/// A dashboard, by its name.
pub(crate) fn dashboards() -> Vec<(&'static str, Value)> {
    let read = |name| serde_json::from_str(&text(&format!("grafana/dashboards/{name}.json"))).unwrap();
    DASHBOARDS.iter().map(|name| (*name, read(name))).collect()
}

/// The metrics of Muster that a text names, without the endings that Prometheus gives parts of a histogram.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics = words.filter(|word| word.starts_with("muster_"));
    metrics
        .map(|word| ["_bucket", "_sum", "_count"].iter().fold(word, |word, end| word.trim_end_matches(end)).to_owned())
        .collect()
}

/// Calls `each` with every value of an object under `key`, however deep.
fn every<'a>(value: &'a Value, key: &str, each: &mut dyn FnMut(&'a Value)) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if name == key {
                    each(inner);
                }
                every(inner, key, each);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| every(item, key, each)),
        _ => {}
    }
}

#[test]
fn dashboards_import_without_edits() {
    let files = fs::read_dir(deploy("grafana/dashboards")).unwrap().count();
    assert_eq!(files, DASHBOARDS.len());
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"], format!("muster-{name}"));
        assert!(dashboard["id"].is_null(), "{name}: an id belongs to one Grafana");
        // The least that Grafana 11 writes.
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39, "{name}");
        assert!(!dashboard["description"].as_str().unwrap().is_empty(), "{name}");
        let variables: Vec<&str> = dashboard["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(variables[0], "datasource", "{name}");
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}: the id is another panel's");
            let grid = &panel["gridPos"];
            assert!(grid["x"].as_u64().unwrap() + grid["w"].as_u64().unwrap() <= 24, "{name}: {title}: {grid}");
            if panel["type"] == "row" {
                continue;
            }
            let told = |key: &Value| key.as_str().is_some_and(|text| !text.is_empty());
            assert!(told(&panel["description"]), "{name}: {title} has no description");
            let defaults = &panel["fieldConfig"]["defaults"];
            for key in ["unit", "noValue"] {
                assert!(told(&defaults[key]), "{name}: {title} has no {key}");
            }
            assert!(
                defaults["thresholds"]["steps"].as_array().is_some_and(|steps| !steps.is_empty()),
                "{name}: {title}"
            );
            let targets = panel["targets"].as_array().unwrap();
            assert!(
                !targets.is_empty() && targets.iter().all(|target| target["datasource"]["uid"] == "${datasource}"),
                "{name}: {title}"
            );
        }
        every(&dashboard, "datasource", &mut |source| {
            assert_eq!((&source["type"], &source["uid"]), (&"prometheus".into(), &"${datasource}".into()), "{name}");
        });
        every(&dashboard, "url", &mut |url| {
            let linked = url.as_str().unwrap();
            let known = DASHBOARDS.iter().any(|name| linked.starts_with(&format!("/d/muster-{name}?")));
            assert!(linked.is_empty() || known, "{name}: {linked}");
        });
        every(&dashboard, "expr", &mut |expression| {
            let used = expression.as_str().unwrap();
            for variable in ["$forest", "$site"] {
                assert!(
                    !used.contains(variable) || variables.contains(&variable.trim_start_matches('$')),
                    "{name}: {used}"
                );
            }
        });
    }
}

#[test]
fn every_metric_that_is_named_is_in_the_reference() {
    let reference = fs::read_to_string(repository().join("docs/metrics.md")).unwrap();
    let mut named = metrics(&text("prometheus/muster.rules.yml"));
    named.extend(metrics(&text("prometheus/muster.rules.test.yml")));
    for (_, dashboard) in dashboards() {
        named.extend(metrics(&dashboard.to_string()));
    }
    assert!(named.len() > 30, "{named:?}");
    for metric in named {
        assert!(reference.contains(&format!("| `{metric}` |")), "`{metric}` is not in docs/metrics.md");
    }
}

#[test]
fn every_alert_has_a_severity_and_a_runbook() {
    let rules = text("prometheus/muster.rules.yml");
    let listed = fs::read_to_string(repository().join("docs/dashboards.md")).unwrap();
    let unit_tests = text("prometheus/muster.rules.test.yml");
    let mut alerts = 0;
    for rule in rules.split("- alert: ").skip(1) {
        alerts += 1;
        let name = rule.lines().next().unwrap();
        let value = |key: &str| {
            let found = rule.lines().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": "));
            found.unwrap_or_else(|| panic!("{name} has no {key}"))
        };
        assert!(["critical", "warning", "info"].contains(&value("severity")), "{name}");
        assert!(!value("summary").is_empty() && !value("description").is_empty(), "{name}");
        let (file, heading) = value("runbook_url").split_once('#').unwrap();
        let page =
            fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{name}: `{file}`: {error}"));
        let there = page.lines().filter_map(|line| line.strip_prefix("## ")).any(|line| line.to_lowercase() == heading);
        assert!(there, "{name}: `{file}` has no `{heading}`");
        assert!(listed.contains(name), "{name} is not in docs/dashboards.md");
        assert_eq!(unit_tests.matches(&format!("alertname: {name}\n")).count(), 2, "{name}: quiet before, fires after");
    }
    assert!(alerts >= 12, "{alerts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_are_those_of_their_generator() {
    if tool("python3").is_none() {
        return skipped("dashboards::dashboards_are_those_of_their_generator", "`python3` is not installed");
    }
    let mut check = command("python3");
    check.arg(deploy("grafana/make.py")).arg("--check");
    run(check).await.succeeded();
}

/// A YAML file, by way of Debian's Python, since nothing of ours reads YAML.
async fn yaml(path: &str) -> Option<Value> {
    let python = Path::new("/usr/bin/python3");
    let mut convert = command(if python.is_file() { python } else { Path::new("python3") });
    convert
        .args(["-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"])
        .arg(deploy(path));
    let done = run(convert).await;
    if done.stderr.contains("No module named 'yaml'") {
        return None;
    }
    Some(serde_json::from_str(&done.succeeded()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn yaml_files_are_whole() {
    const TEST: &str = "dashboards::yaml_files_are_whole";
    if tool("python3").is_none() {
        return skipped(TEST, "`python3` is not installed");
    }
    let Some(otel) = yaml("otel/collector.yaml").await else { return skipped(TEST, "Python has no module `yaml`") };
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    for signal in ["metrics", "traces"] {
        for (part, defined) in ["receivers", "processors", "exporters"].map(|part| (part, names(&otel[part]))) {
            let used = otel["service"]["pipelines"][signal][part].as_array().unwrap();
            assert!(!used.is_empty(), "{signal} has no {part}");
            for name in used {
                assert!(
                    defined.contains(name.as_str().unwrap()),
                    "{signal} uses {part} `{name}`, which is not defined"
                );
            }
        }
    }
    for name in otel["service"]["extensions"].as_array().unwrap() {
        assert!(names(&otel["extensions"]).contains(name.as_str().unwrap()), "{name}");
    }
    let source = yaml("grafana/provisioning/datasources/muster.yaml").await.unwrap();
    assert_eq!((&source["apiVersion"], &source["datasources"][0]["type"]), (&1.into(), &"prometheus".into()));
    let provider = yaml("grafana/provisioning/dashboards/muster.yaml").await.unwrap();
    assert_eq!(provider["providers"][0]["options"]["path"], "/usr/share/muster/grafana");
}
