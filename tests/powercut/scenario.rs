//! The scenarios, and the little that stands in for a test harness.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::worker;

/// Power cuts of a run.
const CUTS: usize = 10;
/// Longest time any single step may take; a shared machine is slow.
const PATIENCE: Duration = Duration::from_mins(1);

type Failure = Box<dyn std::error::Error>;
type Scenario = fn(&mut Random) -> Result<String, Failure>;

const SCENARIOS: [(&str, Scenario); 3] = [
    ("ten_power_cuts_lose_nothing_acknowledged", ten_cuts),
    ("a_disk_that_lies_about_syncing_is_noticed", a_lying_disk),
    ("a_full_disk_refuses_and_recovers", a_full_disk),
];

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the harness")]
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, path] = &arguments[..]
        && role.starts_with("--worker-")
    {
        return work(role, Path::new(path));
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let (chosen, left): (Vec<_>, Vec<_>) = SCENARIOS
        .into_iter()
        .partition(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())));
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in &chosen {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let skip = std::env::var("MUSTER_SKIP_LAB").is_ok_and(|value| value == "1");
    let fuse = Path::new("/dev/fuse").exists();
    println!("\nrunning {} tests", chosen.len());
    let started = Instant::now();
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in chosen {
        let seed = std::env::var("MUSTER_POWERCUT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(name));
        let result = match (fuse, skip) {
            (true, _) => scenario(&mut Random(seed | 1)),
            (false, true) => {
                eprintln!("SKIPPED: {name}: /dev/fuse is missing and MUSTER_SKIP_LAB=1 is set");
                Ok("skipped".to_owned())
            }
            (false, false) => Err("/dev/fuse is missing (MUSTER_SKIP_LAB=1 skips this test)".into()),
        };
        match result {
            Ok(told) => {
                passed += 1;
                println!("  {told}\ntest {name} ... ok");
            }
            Err(error) => {
                failed += 1;
                println!("  MUSTER_POWERCUT_SEED={seed}: {error}\ntest {name} ... FAILED");
            }
        }
    }
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        left.len(),
        started.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs as one of the processes under test.
#[expect(clippy::print_stderr, reason = "the test shows what its worker says")]
fn work(role: &str, path: &Path) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match role {
                "--worker-write" => worker::write(path, false).await,
                "--worker-grow" => worker::write(path, true).await,
                "--worker-read" => worker::read(path).await,
                _ => Err(format!("there is no `{role}`").into()),
            }
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            eprintln!("worker: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Ten cuts, one after another on the same disk.
fn ten_cuts(random: &mut Random) -> Result<String, Failure> {
    let mount = tempfile::tempdir()?;
    let disk = Disk::new();
    let mut acknowledged = Acknowledged::new();
    for cut in 1..=CUTS {
        let session = disk.mount(mount.path())?;
        let writer = Worker::start("--worker-write", &mount.path().join("store"))?;
        let run = Duration::from_millis(100 + random.below(900) as u64);
        let mut new = 0;
        writer.until(&mut acknowledged, |line| {
            new += u64::from(line.starts_with("ack"));
            new > 50
        })?;
        writer.during(run, &mut acknowledged)?;
        disk.cut();
        writer.kill(&mut acknowledged)?;
        session.join();

        let mut keep = |below: usize| random.below(below);
        // Every other time the disk has written some of it by itself.
        disk.restore(if cut % 2 == 0 { Some(&mut keep) } else { None });
        let lost = compare(&disk, mount.path(), &acknowledged).map_err(|error| format!("after cut {cut}: {error}"))?;
        if !lost.is_empty() {
            return Err(format!("cut {cut} lost {} acknowledged updates: {}", lost.len(), lost.join(", ")).into());
        }
    }
    let updates: u64 = acknowledged.values().sum();
    Ok(format!("{updates} updates acknowledged over {CUTS} cuts, {} syncs, none lost", disk.syncs()))
}

/// The same with a disk that answers syncs without doing them: if that lost nothing, the first scenario would prove
/// nothing.
fn a_lying_disk(_: &mut Random) -> Result<String, Failure> {
    let mount = tempfile::tempdir()?;
    let disk = Disk::new();
    let mut acknowledged = Acknowledged::new();
    let session = disk.mount(mount.path())?;
    let writer = Worker::start("--worker-write", &mount.path().join("store"))?;
    writer.until(&mut acknowledged, |line| line.starts_with("ack"))?;
    disk.lie();
    writer.during(Duration::from_secs(1), &mut acknowledged)?;
    disk.cut();
    writer.kill(&mut acknowledged)?;
    session.join();
    disk.restore(None);
    let lost = compare(&disk, mount.path(), &acknowledged)?;
    if lost.is_empty() {
        return Err("nothing was lost although nothing was synced".into());
    }
    Ok(format!("{} of {} hosts lost acknowledged updates, as they must", lost.len(), acknowledged.len()))
}

/// A disk that runs full and has space again, twice, under one process; then a cut.
fn a_full_disk(_: &mut Random) -> Result<String, Failure> {
    let mount = tempfile::tempdir()?;
    let disk = Disk::new();
    let mut acknowledged = Acknowledged::new();
    let session = disk.mount(mount.path())?;
    let writer = Worker::start("--worker-grow", &mount.path().join("store"))?;
    let mut new = 0;
    for _ in 0..2 {
        writer.until(&mut acknowledged, |line| {
            new += u64::from(line.starts_with("ack"));
            new > 100
        })?;
        disk.leave_room(2 << 20);
        writer.until(&mut acknowledged, |line| line.starts_with("full")).map_err(|e| format!("filling: {e}"))?;
        // Whatever was in the queue has been answered; from here on nothing changes and everything can be read.
        writer.during(Duration::from_secs(1), &mut acknowledged)?;
        let mut last = String::new();
        let readable = writer.until(&mut acknowledged, |line| {
            line.clone_into(&mut last);
            line == "full readable"
        });
        readable.map_err(|error| format!("full: {error}; its last word was `{last}`"))?;
        disk.leave_room(64 << 20);
        new = 0;
        writer
            .until(&mut acknowledged, |line| line.starts_with("ack"))
            .map_err(|e| format!("after there was space again: {e}"))?;
    }
    disk.cut();
    writer.kill(&mut acknowledged)?;
    session.join();
    disk.restore(None);
    let lost = compare(&disk, mount.path(), &acknowledged)?;
    if !lost.is_empty() {
        return Err(format!("lost {} acknowledged updates: {}", lost.len(), lost.join(", ")).into());
    }
    Ok(format!("{} hosts acknowledged around two times of no space, none lost", acknowledged.len()))
}

/// The last acknowledged revision of each host.
type Acknowledged = BTreeMap<u64, u64>;

/// Reads the store on the disk in a process of its own. The hosts that are behind what was acknowledged.
fn compare(disk: &Disk, mount: &Path, acknowledged: &Acknowledged) -> Result<Vec<String>, Failure> {
    let session = disk.mount(mount)?;
    let reader = Worker::start("--worker-read", &mount.join("store"))?;
    let mut found = Acknowledged::new();
    let mut sound = false;
    for line in reader.rest()? {
        sound |= line == "sound";
        if let Some((host, revision)) = numbers(&line, "host") {
            found.insert(host, revision);
        }
    }
    session.join();
    if !sound {
        return Err("the store could not be read, or what is in it does not agree (see above)".into());
    }
    let behind = |(host, revision): (&u64, &u64)| {
        let have = found.get(host).copied().unwrap_or_default();
        (have < *revision).then(|| format!("host {host} has {have} of {revision}"))
    };
    Ok(acknowledged.iter().filter_map(behind).collect())
}

/// The two numbers of a line that starts with a word.
fn numbers(line: &str, word: &str) -> Option<(u64, u64)> {
    let mut parts = line.strip_prefix(word)?.split_whitespace();
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A process under test and the lines it prints.
struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(role: &str, path: &Path) -> Result<Self, Failure> {
        let program: PathBuf = std::env::current_exe()?;
        let mut child = Command::new(program).arg(role).arg(path).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("the worker has no output")?;
        let (send, lines) = sync_channel(100_000);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Takes lines until one is what is waited for.
    fn until(&self, acknowledged: &mut Acknowledged, mut wanted: impl FnMut(&str) -> bool) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    note(&line, acknowledged);
                    if wanted(&line) {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err("the worker did not get there in time".into()),
                Err(RecvTimeoutError::Disconnected) => return Err("the worker ended early (see above)".into()),
            }
        }
    }

    /// Takes lines for a while.
    fn during(&self, time: Duration, acknowledged: &mut Acknowledged) -> Result<(), Failure> {
        let end = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => note(&line, acknowledged),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err("the worker ended early (see above)".into()),
            }
        }
    }

    /// Kills it and takes what it had still printed: that was acknowledged too.
    fn kill(mut self, acknowledged: &mut Acknowledged) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        for line in &self.lines {
            note(&line, acknowledged);
        }
        Ok(())
    }

    /// Everything it prints until it ends by itself.
    fn rest(mut self) -> Result<Vec<String>, Failure> {
        let lines = self.lines.iter().collect();
        self.child.wait()?;
        Ok(lines)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A scenario that fails leaves no process behind; one that has ended is not minded.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn note(line: &str, acknowledged: &mut Acknowledged) {
    if let Some((host, revision)) = numbers(line, "ack") {
        let last = acknowledged.entry(host).or_default();
        *last = (*last).max(revision);
    }
}

/// xorshift64: the same seed gives the same cuts.
pub(crate) struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % below.max(1)
    }
}
