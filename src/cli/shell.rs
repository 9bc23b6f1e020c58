//! `icewright completions` and `icewright man`: made from the command line itself, so they can't be out of date.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::output;
use crate::error::{Error, Result};

/// Prints completions for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "icewright", &mut text);
    output::data(&String::from_utf8_lossy(&text));
    Ok(0)
}

/// Prints the manual page, or writes one a verb.
pub(super) fn man(args: &ManArgs) -> Result<u8> {
    let failed = |e: std::io::Error| {
        Error::invalid("writing manual pages failed").hint("name a folder that you can write to").caused_by(e)
    };
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
            output::talk(&format!("manual pages are in {}", dir.display()));
        }
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(failed)?;
            output::data(&String::from_utf8_lossy(&text));
        }
    }
    Ok(0)
}
