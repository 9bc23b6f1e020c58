//! The demo's files on disk: how many bytes, and how old they say they are.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};

/// Files that are dated later than this before the story's time were written since it last moved on.
const SLACK: Duration = Duration::from_secs(60);

/// Gives the files that were just written the time that the story has: the lake's own clock is weeks behind the disk's,
/// and the age of a file is what makes it an orphan.
pub(super) fn date(dir: &Path, now_ms: i64) -> Result<()> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
    each_file(dir, &mut |path, metadata| {
        if metadata.modified()? > now + SLACK {
            File::options().write(true).open(path)?.set_modified(now)?;
        }
        Ok(())
    })
}

/// Bytes of all files below a folder.
pub(super) fn usage(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    each_file(dir, &mut |_, metadata| {
        bytes += metadata.len();
        Ok(())
    })?;
    Ok(bytes)
}

fn each_file(dir: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>) -> Result<()> {
    walk(dir, visit).map_err(|e| {
        Error::invalid(format!("the demo's files in {} can't be read or dated", dir.display())).caused_by(e)
    })
}

fn walk(dir: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            walk(&entry.path(), visit)?;
        } else {
            visit(&entry.path(), &metadata)?;
        }
    }
    Ok(())
}
