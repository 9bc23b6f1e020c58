//! `icewright config`: a commented file to start from, a check with line numbers, a schema for editors.

use std::path::Path;

use super::args::{ConfigArgs, ConfigVerb, Global};
use super::output;
use super::serve::{date, resolve};
use crate::config::{Environment, Settings};
use crate::error::{Error, Result};
use crate::lake::Ambient;

/// The commented configuration. A test reads it as it is, and with every line uncommented.
const TEMPLATE: &str = include_str!("config/icewright.toml");
/// The schema. A test compares it with what the parser knows.
const SCHEMA: &str = include_str!("config/schema.json");

/// Runs what was asked for.
pub(super) fn run(global: &Global, args: &ConfigArgs) -> Result<u8> {
    match &args.what {
        ConfigVerb::Init { file } => init(file),
        ConfigVerb::Check { file } => check(global, file.as_deref()),
        ConfigVerb::Schema => {
            output::data(SCHEMA);
            Ok(0)
        }
    }
}

fn init(file: &Path) -> Result<u8> {
    use std::io::Write;
    let failed = |e: std::io::Error| {
        let hint = match e.kind() {
            std::io::ErrorKind::AlreadyExists => "it is there already: name another file, or remove it",
            _ => "name a file in a folder that you can write to",
        };
        Error::invalid(format!("{} was not written", file.display())).hint(hint).caused_by(e)
    };
    // Never over what somebody wrote.
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    out.write_all(TEMPLATE.as_bytes()).map_err(failed)?;
    output::talk(&format!("wrote {}; edit it, then run: icewright config check", file.display()));
    Ok(0)
}

fn check(global: &Global, file: Option<&Path>) -> Result<u8> {
    let named = file.or(global.config.as_deref());
    let settings = Settings::load(named, &Environment::from_process())?;
    let Some(path) = &settings.file else {
        return Err(Error::invalid("there is no icewright.toml here or in your configuration folder")
            .hint("write one with `icewright config init`, or name it"));
    };
    let mut lines = vec![format!("{} is fine", path.display())];
    if !settings.schedules.is_empty() {
        let now = Ambient::system().now_ms();
        for plan in resolve(&settings)? {
            let mut at = now;
            let mut next = Vec::new();
            while next.len() < 3 {
                let Some(due) = plan.timing.cron.next_after(at) else { break };
                next.push(date(due));
                at = due;
            }
            lines.push(format!("  {} runs {}, due {} (UTC)", plan.label, plan.rules.run, next.join(", ")));
        }
    }
    output::data(&lines.join("\n"));
    Ok(0)
}

#[cfg(test)]
mod tests;
