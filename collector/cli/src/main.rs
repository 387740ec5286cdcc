//! The program of the command line. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_cli::main()
}
