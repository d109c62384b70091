//! The `siltstone` command. All of it is in the library, so that tests can reach it.

use std::process::ExitCode;

/// Many small allocations on many threads: the system's allocator would keep much more than is in use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    siltstone_cli::run()
}
