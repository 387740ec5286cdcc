//! The table of settings: every key, what it means, how it is read and how it is shown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use muster_proto::link::settings::{format_duration, nearest};
use muster_proto::link::telemetry::Headers;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{
    boolean, duration, list, parsed, path, quoted, role, show_list, show_roles, source, text, unknown_name,
};
use super::{Config, Fault, LogFormat, Problem, SettingOrigin};

/// One setting.
pub struct Setting {
    /// The key; a dot separates the table from the name in it.
    pub key: &'static str,
    /// The form of its value, in a few words.
    pub form: &'static str,
    /// What it does and what leaving it out means, in sentences.
    pub about: &'static str,
    /// An example, as it stands in the file.
    pub example: &'static str,
    set: fn(&mut Config, &DeValue<'_>) -> Result<(), String>,
    show: fn(&Config) -> Option<String>,
}

impl Setting {
    /// The value in force, as TOML; `None` where nothing is set.
    pub fn value(&self, config: &Config) -> Option<String> {
        (self.show)(config)
    }
}

/// Shortest time any interval or timeout may be set to.
const LEAST: Duration = Duration::from_secs(1);
/// Longest time any interval may be set to.
const MOST: Duration = Duration::from_hours(7 * 24);

/// Every setting, in the order people read them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "collector",
        form: "list of `host:port` or `_muster._tcp.domain`",
        about: "The collectors, tried in order; a name that begins with `_` stands for those of its DNS SRV records, by \
                priority and weight. One that answers is kept for an hour, one that does not goes to the end for a \
                while. All addresses of a host are tried, IPv4 and IPv6 side by side. Needed by `once` and `run`; \
                `check` works without.",
        example: r#"["collector.corp.example:8443", "_muster._tcp.corp.example"]"#,
        set: |config, value| {
            let addresses = list(value, parsed)?;
            if addresses.is_empty() {
                return Err("is empty, expected at least one `host:port` or `_muster._tcp.domain`".to_owned());
            }
            config.collector = addresses;
            Ok(())
        },
        show: |config| (!config.collector.is_empty()).then(|| show_list(&config.collector)),
    },
    Setting {
        key: "collector_name",
        form: "DNS name",
        about: "The name that must stand in the collector's certificate. Left out, it is the host of the address, which \
                is what you want unless you connect by IP address. With SRV records it is the target's name, which DNS \
                says without proof: set it where others than collectors hold certificates of the same CA.",
        example: r#""collector.corp.example""#,
        set: |config, value| {
            config.collector_name = Some(parsed(value)?);
            Ok(())
        },
        show: |config| config.collector_name.as_ref().map(|name| quoted(name.as_str())),
    },
    Setting {
        key: "proxy.url",
        form: "`http://[user:password@]host:port` or `none`",
        about: "The HTTP proxy on the way to the collectors (CONNECT; what goes through stays encrypted). Left out, it is \
                the one that `HTTPS_PROXY` or `ALL_PROXY` in the environment names, with the exceptions in `NO_PROXY` \
                and never for addresses of this machine; `none` takes none. Credentials are shown nowhere, but whoever \
                may read this file has them.",
        example: r#""http://proxy.corp.example:8080""#,
        set: |config, value| {
            config.proxy = parsed(value)?;
            Ok(())
        },
        show: |config| config.proxy.shown().map(|proxy| quoted(&proxy)),
    },
    Setting {
        key: "proxy.bypass",
        form: "list of hosts, domains and networks",
        about: "What is reached without the proxy of `proxy.url`: names, domains with all below them, addresses, \
                networks such as `10.0.0.0/8`.",
        example: r#"["branch.corp.example", "10.0.0.0/8"]"#,
        set: |config, value| {
            config.proxy_bypass = list(value, |item| Ok(text(item)?.to_owned()))?;
            Ok(())
        },
        show: |config| (!config.proxy_bypass.is_empty()).then(|| show_list(&config.proxy_bypass)),
    },
    Setting {
        key: "dns.server",
        form: "IP address, with or without a port",
        about: "The name server that is asked for SRV records. Left out, those of the system are asked. Addresses of \
                hosts are always looked up by the system.",
        example: r#""192.0.2.53:53""#,
        set: |config, value| {
            config.dns_server = Some(parsed(value)?);
            Ok(())
        },
        show: |config| config.dns_server.map(|server| quoted(&server.to_string())),
    },
    Setting {
        key: "identity.certificate",
        form: "path",
        about: "The probe's certificate followed by its intermediates, PEM. It proves which machine reports. The three \
                files of the identity are looked at before every report, so a renewed certificate needs no restart; \
                files that are not whole leave the earlier ones in force until they are.",
        example: r#""/etc/muster/probe.pem""#,
        set: |config, value| {
            config.identity.certificate = Some(path(value)?);
            Ok(())
        },
        show: |config| config.identity.certificate.as_ref().map(|path| quoted(&path.to_string_lossy())),
    },
    Setting {
        key: "identity.key",
        form: "path",
        about: "The private key of that certificate, PEM. Only the probe's account should be able to read it.",
        example: r#""/etc/muster/probe.key""#,
        set: |config, value| {
            config.identity.key = Some(path(value)?);
            Ok(())
        },
        show: |config| config.identity.key.as_ref().map(|path| quoted(&path.to_string_lossy())),
    },
    Setting {
        key: "identity.collector_ca",
        form: "path",
        about: "The CA certificates that may have issued the collector's certificate, PEM; several while one follows \
                another. The system's own store is never used.",
        example: r#""/etc/muster/collector-ca.pem""#,
        set: |config, value| {
            config.identity.collector_ca = Some(path(value)?);
            Ok(())
        },
        show: |config| config.identity.collector_ca.as_ref().map(|path| quoted(&path.to_string_lossy())),
    },
    Setting {
        key: "state_dir",
        form: "path",
        about: "The folder in which the probe keeps its install id, the number of its last report and what the collector \
                has acknowledged. It must be on a disk that survives a restart, and belongs to one probe.",
        example: r#""/var/lib/muster-probe""#,
        set: |config, value| {
            config.state_dir = path(value)?;
            Ok(())
        },
        show: |config| Some(quoted(&config.state_dir.to_string_lossy())),
    },
    Setting {
        key: "host",
        form: "DNS name",
        about: "The name of this machine. Left out, reports carry the name in the probe's certificate, and `check` uses \
                the name the system gives itself.",
        example: r#""pc-0417.corp.example""#,
        set: |config, value| {
            config.host = Some(parsed(value)?);
            Ok(())
        },
        show: |config| config.host.as_ref().map(|host| quoted(host.as_str())),
    },
    Setting {
        key: "site",
        form: "text",
        about: "The Active Directory site this machine stands in. The directory's own subnets win where the collector \
                knows them.",
        example: r#""HQ""#,
        set: |config, value| {
            config.site = Some(parsed(value)?);
            Ok(())
        },
        show: |config| config.site.as_ref().map(|site| quoted(site.as_str())),
    },
    Setting {
        key: "forest",
        form: "DNS name",
        about: "The forest this machine belongs to, by the name of its root domain. Left out, a declared domain \
                controller's own domain is taken for it.",
        example: r#""corp.example""#,
        set: |config, value| {
            config.forest = Some(parsed(value)?);
            Ok(())
        },
        show: |config| config.forest.as_ref().map(|forest| quoted(forest.as_str())),
    },
    Setting {
        key: "roles",
        form: "list of roles",
        about: "The roles to claim (`endpoint`, `domain-controller`, `directory`, `sync-server`, `relay`) instead of \
                those the probe finds itself. Every role but `endpoint` needs a grant at the collector.",
        example: r#"["endpoint"]"#,
        set: |config, value| {
            config.roles = Some(list(value, role)?.into_iter().collect());
            Ok(())
        },
        show: |config| config.roles.as_ref().map(show_roles),
    },
    Setting {
        key: "tpm",
        form: "TCTI",
        about: "How to reach the TPM, in the notation of tpm2-tss, such as `device:/dev/tpmrm0` or \
                `swtpm:host=127.0.0.1,port=2321`. Left out, the system's own device is used.",
        example: r#""device:/dev/tpmrm0""#,
        set: |config, value| {
            let tcti = text(value)?;
            if tcti.is_empty() {
                return Err("is empty, expected for example `device:/dev/tpmrm0`".to_owned());
            }
            config.tpm = Some(tcti.to_owned());
            Ok(())
        },
        show: |config| config.tpm.as_deref().map(quoted),
    },
    Setting {
        key: "root",
        form: "path",
        about: "Where the system's files begin. Another folder than `/` judges a mounted image instead of the running \
                system.",
        example: r#""/mnt/image""#,
        set: |config, value| {
            config.root = path(value)?;
            Ok(())
        },
        show: |config| Some(quoted(&config.root.to_string_lossy())),
    },
    Setting {
        key: "domain_controller.fqdn",
        form: "DNS name",
        about: "The full name of the domain controller this probe stands for. Setting it makes the probe a \
                `domain-controller` as well; its certificates are compared with this name.",
        example: r#""dc01.corp.example""#,
        set: |config, value| {
            config.domain_controller.fqdn = Some(parsed(value)?);
            Ok(())
        },
        show: |config| config.domain_controller.fqdn.as_ref().map(|name| quoted(name.as_str())),
    },
    Setting {
        key: "domain_controller.domain",
        form: "DNS name",
        about: "The DNS name of its domain. Left out, it is the full name without the first label.",
        example: r#""corp.example""#,
        set: |config, value| {
            config.domain_controller.domain = Some(parsed(value)?);
            Ok(())
        },
        show: |config| config.domain_controller.domain.as_ref().map(|name| quoted(name.as_str())),
    },
    Setting {
        key: "domain_controller.netbios",
        form: "text",
        about: "The NetBIOS name of its domain, where it is known.",
        example: r#""CORP""#,
        set: |config, value| {
            let name = muster_evidence::Text::exact(text(value)?).map_err(|error| error.to_string())?;
            config.domain_controller.netbios = Some(name);
            Ok(())
        },
        show: |config| config.domain_controller.netbios.as_ref().map(|name| quoted(name.as_str())),
    },
    Setting {
        key: "domain_controller.read_only",
        form: "`true` or `false`",
        about: "Whether it is a read-only domain controller. Left out, it is not known.",
        example: "false",
        set: |config, value| {
            config.domain_controller.read_only = Some(boolean(value)?);
            Ok(())
        },
        show: |config| config.domain_controller.read_only.map(|value| value.to_string()),
    },
    Setting {
        key: "dc",
        form: "list of `host[:636|389]`",
        about: "Domain controllers whose certificate is looked at live: by TLS on 636 (taken where no port is given), by \
                StartTLS on 389.",
        example: r#"["dc01.corp.example:636"]"#,
        set: |config, value| {
            config.dc = list(value, parsed)?;
            Ok(())
        },
        show: |config| (!config.dc.is_empty()).then(|| show_list(&config.dc)),
    },
    Setting {
        key: "certificates",
        form: "list of paths",
        about: "Files and folders with certificates exported from the domain controller's store `LocalMachine\\My`, PEM \
                or DER.",
        example: r#"["/srv/muster/dc01"]"#,
        set: |config, value| {
            config.certificates = list(value, path)?;
            Ok(())
        },
        show: |config| show_paths(&config.certificates),
    },
    Setting {
        key: "anchors",
        form: "list of paths",
        about: "Files and folders with the trusted root certificates that chains of domain controller certificates must \
                end in. Left out, chains are not verified, and the check says so.",
        example: r#"["/srv/muster/roots"]"#,
        set: |config, value| {
            config.anchors = list(value, path)?;
            Ok(())
        },
        show: |config| show_paths(&config.anchors),
    },
    Setting {
        key: "intermediates",
        form: "list of paths",
        about: "Files and folders with further issuing certificates, by which chains are completed up to an anchor, and with \
                revocation lists (`.crl`, DER), which count beside those that are fetched.",
        example: r#"["/srv/muster/issuers"]"#,
        set: |config, value| {
            config.intermediates = list(value, path)?;
            Ok(())
        },
        show: |config| show_paths(&config.intermediates),
    },
    Setting {
        key: "captures",
        form: "path",
        about: "A folder with raw outputs taken on other machines. `once` and `run` report each of those machines instead \
                of looking at this one; for machines other than this one the probe needs the role `relay` granted at \
                the collector.",
        example: r#""/srv/muster/captures""#,
        set: |config, value| {
            config.captures = Some(path(value)?);
            Ok(())
        },
        show: |config| config.captures.as_ref().map(|path| quoted(&path.to_string_lossy())),
    },
    Setting {
        key: "report_user_names",
        form: "`true` or `false`",
        about: "Whether user principal names are reported beside the SIDs that tell people apart. No check needs them: \
                they spare whoever reads a report from looking a SID up. Left out or `false`, they never leave this \
                machine, and in texts that a server wrote every word that may be one is left out; `check` on this \
                machine shows them either way.",
        example: "true",
        set: |config, value| {
            config.report_user_names = boolean(value)?;
            Ok(())
        },
        show: |config| Some(config.report_user_names.to_string()),
    },
    Setting {
        key: "sources.disabled",
        form: "list of sources",
        about: "Sources that are not run (`tpm`, `operating-system`, `join`, `domain-controller`, `dc-certificate`, \
                `revocation-lists`). What they would have told is then unknown.",
        example: r#"["tpm"]"#,
        set: |config, value| {
            config.sources_disabled = list(value, source)?.into_iter().collect();
            Ok(())
        },
        show: |config| (!config.sources_disabled.is_empty()).then(|| show_list(&config.sources_disabled)),
    },
    Setting {
        key: "report.interval",
        form: "duration",
        about: "The time between reports until the collector has said when to report. Every wait is drawn at random \
                between half and one and a half times the interval, so that a fleet does not report in step.",
        example: r#""15m""#,
        set: |config, value| {
            config.report.interval = bounded(value)?;
            Ok(())
        },
        show: |config| Some(quoted(&format_duration(config.report.interval))),
    },
    Setting {
        key: "report.interval_min",
        form: "duration",
        about: "The shortest interval a collector may ask for; a shorter one is taken as this.",
        example: r#""10s""#,
        set: |config, value| {
            config.report.interval_min = bounded(value)?;
            Ok(())
        },
        show: |config| Some(quoted(&format_duration(config.report.interval_min))),
    },
    Setting {
        key: "report.interval_max",
        form: "duration",
        about: "The longest interval a collector may ask for; a longer one is taken as this. It also bounds the waits \
                after failures.",
        example: r#""4h""#,
        set: |config, value| {
            config.report.interval_max = bounded(value)?;
            Ok(())
        },
        show: |config| Some(quoted(&format_duration(config.report.interval_max))),
    },
    Setting {
        key: "report.timeout",
        form: "duration",
        about: "How long each step to one collector (looking up, connecting, the tunnel through a proxy, the TLS \
                handshake), and the answer to one report, may take.",
        example: r#""30s""#,
        set: |config, value| {
            config.report.timeout = bounded(value)?;
            Ok(())
        },
        show: |config| Some(quoted(&format_duration(config.report.timeout))),
    },
    Setting {
        key: "log.filter",
        form: "filter",
        about: "What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`) or a filter by module such as \
                `muster_probe=debug,info`. The environment variable `MUSTER_LOG` overrides it.",
        example: r#""info""#,
        set: |config, value| {
            text(value)?.clone_into(&mut config.log.filter);
            Ok(())
        },
        show: |config| Some(quoted(&config.log.filter)),
    },
    Setting {
        key: "log.format",
        form: "`text` or `json`",
        about: "The form of a log line. The option `--log-format` overrides it.",
        example: r#""text""#,
        set: |config, value| {
            config.log.format = match text(value)? {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                other => return Err(unknown_name("format", other, &["text", "json"])),
            };
            Ok(())
        },
        show: |config| Some(quoted(config.log.format.name())),
    },
    Setting {
        key: "telemetry.otlp",
        form: "URL",
        about: "Where traces are sent by OTLP over gRPC: `https://host:4317`, or `http://` on this machine. Left out, \
                none are, unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Which traces those are is told in \
                `docs/telemetry.md`.",
        example: r#""https://otel.corp.example:4317""#,
        set: |config, value| {
            config.telemetry.otlp = Some(parsed(value)?);
            Ok(())
        },
        show: |config| config.telemetry.otlp.as_ref().map(|url| quoted(&url.to_string())),
    },
    Setting {
        key: "telemetry.otlp_ca",
        form: "path",
        about: "The CA certificates that may have issued the receiver's certificate, PEM. Needed with `https://`.",
        example: r#""/etc/muster/otel-ca.pem""#,
        set: |config, value| {
            config.telemetry.otlp_ca = Some(path(value)?);
            Ok(())
        },
        show: |config| config.telemetry.otlp_ca.as_ref().map(|path| quoted(&path.to_string_lossy())),
    },
    Setting {
        key: "telemetry.headers",
        form: "list of text",
        about: "Sent with every message to the receiver, each as `name=value`. The values are secrets and never printed.",
        example: r#"["authorization=(secret)"]"#,
        set: |config, value| {
            let headers: Vec<String> = list(value, |item| text(item).map(str::to_owned))?;
            config.telemetry.headers =
                Headers::parse(headers.iter().map(String::as_str)).map_err(|error| error.to_string())?;
            Ok(())
        },
        show: |config| {
            let names: Vec<String> = config.telemetry.headers.names().map(|name| format!("{name}=(secret)")).collect();
            (!names.is_empty()).then(|| show_list(&names))
        },
    },
];

fn show_paths(paths: &[PathBuf]) -> Option<String> {
    (!paths.is_empty()).then(|| show_list(paths.iter().map(|path| path.to_string_lossy())))
}

fn bounded(value: &DeValue<'_>) -> Result<Duration, String> {
    let found = duration(value)?;
    if found < LEAST {
        return Err(format!("{} is under the least of {}", format_duration(found), format_duration(LEAST)));
    }
    if found > MOST {
        return Err(format!("{} is above the most of {}", format_duration(found), format_duration(MOST)));
    }
    Ok(found)
}

/// Applies a settings text, and says everything that is wrong in it, by line.
pub(super) fn apply(
    text: &str,
    config: &mut Config,
    origins: &mut BTreeMap<&'static str, SettingOrigin>,
) -> Vec<Problem> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let line = line_of(error.span().map_or(0, |span| span.start));
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            Problem { line, fault: Fault::Syntax { message } }
        })
        .collect();
    if problems.is_empty() {
        let mut found = Vec::new();
        flatten("", document.get_ref(), &mut found);
        for (key, value) in found {
            let line = line_of(value.span().start);
            match set(&key, value.get_ref(), config) {
                Ok(known) => {
                    origins.insert(known, SettingOrigin::File { line });
                }
                Err(fault) => problems.push(Problem { line, fault }),
            }
        }
        problems.extend(contradictions(config, origins));
    }
    problems.sort_by_key(|problem| problem.line);
    problems
}

fn set(key: &str, value: &DeValue<'_>, config: &mut Config) -> Result<&'static str, Fault> {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
        let nearest = nearest(key, SETTINGS.iter().map(|setting| setting.key));
        return Err(Fault::UnknownKey { key: key.chars().take(64).collect(), nearest });
    };
    (setting.set)(config, value).map_err(|problem| Fault::Invalid { key: setting.key, problem })?;
    Ok(setting.key)
}

/// Every value with its dotted key. A table is looked into; everything else is a value.
fn flatten<'t, 'i>(prefix: &str, table: &'t DeTable<'i>, found: &mut Vec<(String, &'t Spanned<DeValue<'i>>)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&key, inner, found),
            _ => found.push((key, value)),
        }
    }
}

/// What is wrong between settings that are right by themselves.
fn contradictions(config: &Config, origins: &BTreeMap<&'static str, SettingOrigin>) -> Vec<Problem> {
    let line = |keys: &[&str]| {
        let lines = keys.iter().filter_map(|key| match origins.get(key) {
            Some(SettingOrigin::File { line }) => Some(*line),
            Some(SettingOrigin::Default | SettingOrigin::CommandLine) | None => None,
        });
        lines.min().unwrap_or(1)
    };
    let mut problems = Vec::new();
    let report = &config.report;
    if report.interval_min > report.interval_max {
        let (least, most) = (format_duration(report.interval_min), format_duration(report.interval_max));
        problems.push(Problem {
            line: line(&["report.interval_min", "report.interval_max"]),
            fault: Fault::Invalid {
                key: "report.interval_min",
                problem: format!("{least} is above `report.interval_max`, {most}"),
            },
        });
    }
    let controller = &config.domain_controller;
    let parts = ["domain_controller.domain", "domain_controller.netbios", "domain_controller.read_only"];
    if controller.fqdn.is_none() && parts.iter().any(|key| origins.contains_key(key)) {
        problems.push(Problem {
            line: line(&parts),
            fault: Fault::Invalid {
                key: "domain_controller.fqdn",
                problem: "is missing, and the other keys of `domain_controller` say nothing without it".to_owned(),
            },
        });
    }
    if controller.fqdn.is_none() && origins.contains_key("certificates") {
        problems.push(Problem {
            line: line(&["certificates"]),
            fault: Fault::Invalid {
                key: "certificates",
                problem: "says nothing without `domain_controller.fqdn`, the name they are compared with".to_owned(),
            },
        });
    }
    if let Some(fqdn) = &controller.fqdn
        && config.declared_controller().is_none()
    {
        problems.push(Problem {
            line: line(&["domain_controller.fqdn"]),
            fault: Fault::Invalid {
                key: "domain_controller.fqdn",
                problem: format!("`{fqdn}` names no domain (expected a full name such as `{fqdn}.corp.example`)"),
            },
        });
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::Loaded;
    use super::*;

    #[test]
    fn keys_are_unique_and_every_example_is_accepted() {
        let mut keys = BTreeSet::new();
        for setting in SETTINGS {
            assert!(keys.insert(setting.key), "`{}` stands twice", setting.key);
            assert!(setting.about.ends_with('.'), "`{}` is not told in sentences", setting.key);
            let mut text = format!("{} = {}\n", setting.key, setting.example);
            if setting.key == "certificates"
                || setting.key.starts_with("domain_controller.") && setting.key != "domain_controller.fqdn"
            {
                text.push_str("domain_controller.fqdn = \"dc01.corp.example\"\n");
            }
            let loaded = Loaded::parse(&text, Path::new("example.toml")).unwrap();
            assert_eq!(setting.value(&loaded.config).as_deref(), Some(setting.example), "{}", setting.key);
        }
    }

    #[test]
    fn the_listed_sources_are_the_registered_ones() {
        let about = SETTINGS.iter().find(|setting| setting.key == "sources.disabled").unwrap().about;
        for source in crate::source::SOURCES {
            assert!(about.contains(&format!("`{}`", source.name())), "{}", source.name());
        }
    }
}
