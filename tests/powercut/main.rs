//! Power cuts and a full disk: what the sled store acknowledged must be there afterwards.
//!
//! The store runs in a process of its own on a disk in memory ([`disk`]) that forgets what was not synced. At a random
//! moment the disk's power ends, the process is killed, and the disk comes back with what it must remember. The seed
//! of each run is printed; `MUSTER_POWERCUT_SEED` repeats one, as far as threads allow.
//!
//! A harness of its own, because the program is also the process that dies. It needs `/dev/fuse` and the right to
//! mount. Without them it fails, unless `MUSTER_SKIP_LAB=1` says that this is expected.

#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod scenario;
#[cfg(target_os = "linux")]
mod worker;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    scenario::main()
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn main() -> ExitCode {
    eprintln!("SKIPPED: powercut: FUSE is a matter of Linux");
    ExitCode::SUCCESS
}
