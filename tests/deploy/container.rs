//! The container file, as far as it can be checked without an engine: its stages, its sources and what it runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use muster_tests::program::{command, repository, run};

use crate::{deploy, text};

/// The instructions, continued lines joined, without comments.
fn instructions() -> Vec<(String, String)> {
    let file = text("container/Containerfile");
    let joined = file.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| line.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).unwrap())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_build_stage_copies_is_a_workspace_that_cargo_accepts() {
    let stage = tempfile::tempdir().unwrap();
    let mut stages = 0;
    for (word, rest) in instructions() {
        let words: Vec<&str> = rest.split_whitespace().collect();
        match word.as_str() {
            "FROM" => stages += 1,
            "COPY" => {
                let (target, sources) = words.split_last().unwrap();
                for source in sources.iter().filter(|source| !source.starts_with("--")) {
                    if words[0].starts_with("--from=build") {
                        assert!(source.starts_with("/src/target/release/"), "{source}");
                        continue;
                    }
                    let from = repository().join(source);
                    assert!(from.exists(), "COPY names `{source}`, which is not there");
                    if stages == 1 {
                        let into_folder = target.ends_with('/') || sources.len() > 1;
                        let to = stage.path().join(target);
                        copy(&from, &if into_folder { to.join(from.file_name().unwrap()) } else { to });
                    }
                }
            }
            _ => {}
        }
    }
    assert_eq!(stages, 2);
    // Reads every manifest and the lock file, resolves, and compiles nothing.
    let mut tree = command("cargo");
    tree.args(["tree", "--locked", "--offline", "-p", "muster-collector", "--depth", "1"]).current_dir(stage.path());
    let tree = run(tree).await.succeeded();
    assert!(tree.starts_with("muster-collector "), "{tree}");
    // No file that the collector's crates include is left out.
    for member in ["collector", "collector/readiness", "proto", "proto/evidence"] {
        assert!(stage.path().join(member).join("src/lib.rs").is_file(), "{member}");
    }
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_says_how_it_is() {
    let all = instructions();
    let only = |wanted: &str| {
        let found: Vec<&str> = all.iter().filter(|(word, _)| word == wanted).map(|(_, rest)| rest.as_str()).collect();
        assert_eq!(found.len(), 1, "{wanted}: {found:?}");
        found[0]
    };
    let user = only("USER");
    assert!(user.split(':').all(|part| part.parse::<u32>().is_ok_and(|number| number > 0)), "{user}");
    assert_eq!(only("VOLUME"), "[\"/var/lib/muster\"]");
    assert!(only("HEALTHCHECK").contains("/usr/libexec/muster/healthcheck.sh"));
    let json = |text: &str| -> Vec<String> { serde_json::from_str(text).unwrap() };
    let started: Vec<String> = [json(only("ENTRYPOINT")), json(only("CMD"))].concat();
    assert_eq!(started, ["/usr/bin/muster-collector", "serve", "--config", "/etc/muster/collector.toml"]);
    assert_eq!(only("EXPOSE"), "8443");
    for (word, rest) in &all {
        assert!(!rest.contains(":latest") && word != "ADD", "{word} {rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_believes_200_alone() {
    for (answer, healthy) in [
        (Some("HTTP/1.1 200 OK\r\n\r\nready\n"), true),
        (Some("HTTP/1.1 503 Service Unavailable\r\n\r\nloading\n"), false),
        (Some(""), false),
        (None, false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Where nobody is to answer, the listener is gone before the script asks.
        let served = answer.map(|answer| {
            let listener = listener.try_clone().unwrap();
            std::thread::spawn(move || {
                let (mut peer, _) = listener.accept().unwrap();
                // To the blank line: closing on half a request would end the script by a signal.
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    peer.read_exact(&mut byte).unwrap();
                    asked.extend(byte);
                }
                peer.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&asked).into_owned()
            })
        });
        drop(listener);
        let mut check = command(deploy("container/healthcheck.sh"));
        check.arg(port.to_string());
        let done = run(check).await;
        assert_eq!(done.code == Some(0), healthy, "{answer:?}: {done:?}");
        if let Some(served) = served {
            assert!(served.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
        }
    }
}
