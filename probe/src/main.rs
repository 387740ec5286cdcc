//! The program of the probe. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_probe::cli::main(std::env::args_os())
}
