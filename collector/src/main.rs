//! The collector's program; everything it does is in the library.

use std::process::ExitCode;

// A report costs well over a thousand small allocations, made on one thread and freed on another: with the system's
// allocator a quarter of the collector's time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    muster_collector::cli::main()
}
