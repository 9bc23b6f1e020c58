//! `icewright restore`.

use serde::Serialize;

use super::args::{Global, RestoreArgs};
use super::output;
use super::session::{catalog_settings, settings};
use crate::error::{Error, Result};
use crate::lake::Store;
use crate::maintenance::orphans::{Restored, restore};
use crate::model::human_bytes;

#[derive(Serialize)]
struct Document {
    version: u32,
    command: &'static str,
    dry_run: bool,
    #[serde(flatten)]
    restored: Restored,
}

/// Brings back what lies in quarantine. Asks no catalog: what is missing may be what a table can't be loaded without.
pub(super) async fn run(global: &Global, args: &RestoreArgs) -> Result<u8> {
    let store = Store::new(catalog_settings(global, &settings(global)?)?.props);
    let restored = restore(&store, &args.from, args.dry_run).await?;
    if global.json {
        output::json(&Document { version: 1, command: "restore", dry_run: args.dry_run, restored })?;
    } else {
        output::data(&text(&restored, args.dry_run));
    }
    if restored.failed > 0 {
        let error = Error::unavailable(format!("{} files could not be brought back", restored.failed))
            .hint("the log says why, file by file; run again: it goes on where this run stopped");
        output::error(&error);
        return Ok(error.kind().exit_code());
    }
    Ok(0)
}

fn text(restored: &Restored, dry_run: bool) -> String {
    let Restored { restored: back, in_place, gone, .. } = restored;
    let verb = if dry_run { "would be brought back" } else { "brought back" };
    let mut lines = vec![format!("{} files, {} {verb}", back.files, human_bytes(back.bytes))];
    if in_place.files > 0 {
        lines.push(format!("{} files are in their place already and were left as they are", in_place.files));
    }
    if *gone > 0 {
        lines.push(format!("{gone} files are in neither place"));
    }
    lines.join("\n")
}
