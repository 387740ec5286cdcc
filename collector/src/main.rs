//! The collector's program; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_collector::cli::main()
}
