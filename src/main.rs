//! The `icewright` binary: everything is in the library.

use std::process::ExitCode;

/// glibc's allocator keeps what threads have freed thread by thread, up to several times of what a run needs; with this
/// one the memory of a process stays near its budget (I9).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    icewright::cli::run()
}
