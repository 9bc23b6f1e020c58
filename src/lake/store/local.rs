//! Small files on this machine's own file system, made durable. Data files are synced where they are written; a manifest or a
//! metadata file that a catalog names must survive a power cut as well, which the library does not see to (I6).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes a file whole or not at all: it gets its name when it is on the disk. Says `false` where there is one of that name
/// already that is not to be replaced.
///
/// # Errors
/// What the file system says.
pub(super) fn write(path: &Path, bytes: &[u8], replace: bool) -> io::Result<bool> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let (mut file, staged) = stage(path)?;
    let named = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| {
        if replace {
            return std::fs::rename(&staged, path).map(|()| true);
        }
        match std::fs::hard_link(&staged, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    });
    if !(replace && named.is_ok())
        && let Err(error) = std::fs::remove_file(&staged)
    {
        tracing::debug!(file = %staged.display(), %error, "was left behind");
    }
    if named.as_ref().is_ok_and(|named| *named) {
        sync_name(path)?;
    }
    named
}

/// Makes the name of a file durable: it must survive a power cut as well as the bytes.
///
/// # Errors
/// What the file system says.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder).and_then(|folder| folder.sync_all()))
}

/// A new file beside another, by a name that the library's listings leave out.
fn stage(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut number: u32 = 1;
    loop {
        let mut name = OsString::from(path.as_os_str());
        name.push(format!("#{number}"));
        let staged = PathBuf::from(name);
        match File::options().write(true).create_new(true).open(&staged) {
            Ok(file) => return Ok((file, staged)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < u32::MAX => number += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_write_all_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/metadata/v1.json");
        let there = || std::fs::read(&path).unwrap();
        assert!(write(&path, b"one", false).unwrap());
        assert!(!write(&path, b"two", false).unwrap());
        assert_eq!(there(), b"one");
        // What another process is writing, or left behind, is in nobody's way.
        std::fs::write(dir.path().join("new/metadata/v1.json#1"), b"half").unwrap();
        assert!(write(&path, b"three", true).unwrap());
        assert_eq!(there(), b"three");
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["v1.json", "v1.json#1"]);
        // Where a folder is in the way, nothing is left either.
        assert!(write(path.parent().unwrap(), b"four", true).is_err());
        assert_eq!(std::fs::read_dir(dir.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn should_let_one_of_many_win() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v2.json");
        let won: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0u8..8)
                .map(|number| {
                    let path = &path;
                    scope.spawn(move || write(path, &[number; 100], false).unwrap())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let winner = won.iter().position(|won| *won).and_then(|number| u8::try_from(number).ok()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [winner; 100]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
