//! Running the real programs: found beside the test's own executable, ended with their value.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait::{self, until_within};

/// A program of this workspace, as `cargo build --workspace` left it.
///
/// # Panics
///
/// If it was not built.
pub fn binary(name: &str) -> PathBuf {
    // The test's executable is in `deps`, the programs are one folder above.
    let own = std::env::current_exe().unwrap();
    let path = own.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.is_file(), "`{}` is not built: run `cargo build --workspace` (`make test` does)", path.display());
    path
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A command without the settings of whoever runs the tests.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for variable in [
        "MUSTER_LOG",
        "MUSTER_COLLECTOR",
        "MUSTER_CERTIFICATE",
        "MUSTER_KEY",
        "MUSTER_CA",
        "MUSTER_COLLECTOR_CONFIG",
        "NO_COLOR",
    ] {
        command.env_remove(variable);
    }
    command
}

/// What a program came to.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Done {
    /// What it printed, once it has ended well.
    ///
    /// # Panics
    ///
    /// If it has not.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a command to its end, which must come in time.
pub async fn run(command: Command) -> Done {
    run_within(wait::LIMIT, command).await
}

/// Does what [`run`] does, within a limit of its own.
pub async fn run_within(limit: Duration, mut command: Command) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    command.stdin(Stdio::null()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let what = format!("{command:?} ends");
    let mut running = Ended(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
    let status = until_within(limit, &what, async || match running.0.try_wait().unwrap() {
        Some(status) => Ok(status),
        None => Err(format!("{}{}", read(&out), read(&err))),
    })
    .await;
    Done { code: status.code(), stdout: read(&out), stderr: read(&err) }
}

/// A program that stays up until it is stopped or dropped.
pub struct Running {
    child: Ended,
    log: PathBuf,
    what: String,
}

impl Running {
    /// Starts a command with everything it says going to the file `log`.
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let what = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        Self { child: Ended(child), log, what }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.0.try_wait().unwrap()
    }

    /// Ends it at once, as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.child.end();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        let sent = Command::new("kill").arg("-TERM").arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success(), "{} is gone already:\n{}", self.what, self.log());
        self.until_ended().await
    }

    /// Waits until it has ended by itself.
    pub async fn until_ended(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.what);
        wait::until(&what, async || self.ended().ok_or_else(|| read(&self.log))).await
    }

    /// Waits until it has said something in which `find` finds what it looks for.
    ///
    /// # Panics
    ///
    /// If it ends before.
    pub async fn until_said<T>(&mut self, what: &str, find: impl FnMut(&str) -> Option<T>) -> T {
        self.until_said_within(wait::LIMIT, what, find).await
    }

    /// Does what [`Self::until_said`] does, within a limit of its own.
    ///
    /// # Panics
    ///
    /// If it ends before.
    pub async fn until_said_within<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        until_within(limit, what, async || {
            let ended = self.ended();
            let said = read(&self.log);
            if let Some(found) = find(&said) {
                return Ok(found);
            }
            assert!(ended.is_none(), "{what}: {} ended with {ended:?}:\n{said}", self.what);
            Err(said)
        })
        .await
    }
}

/// A child that is ended when dropped.
struct Ended(Child);

impl Ended {
    fn end(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
