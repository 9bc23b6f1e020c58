//! The `icewright` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    icewright::cli::run()
}
