//! Symbolic links on local file systems: a listing follows them, a removal must not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Store;

/// Tells whether a local file is what its name says, or is reached through a link below a table's folder.
#[derive(Debug)]
pub struct Links {
    /// Folder → where it really is; only the one looked at last, as files come sorted.
    folder: Option<(PathBuf, bool)>,
    /// The table's folder → where it really is. Above it there may be links: the whole table is reached through them.
    roots: BTreeMap<PathBuf, Option<PathBuf>>,
}

impl Links {
    /// For files below these locations. `None` where files are not on this machine.
    pub fn of<'a>(store: &Store, roots: impl Iterator<Item = &'a str>) -> Option<Self> {
        let roots: BTreeMap<_, _> = roots
            .filter_map(|root| store.local_path(root))
            .map(|path| {
                let real = std::fs::canonicalize(&path).ok();
                (path, real)
            })
            .collect();
        (!roots.is_empty()).then_some(Self { folder: None, roots })
    }

    /// Whether a file is a link, or lies in a folder that is reached through one. What can't be told counts as a link.
    pub fn leads_away(&mut self, store: &Store, location: &str) -> bool {
        let Some(path) = store.local_path(location) else { return false };
        let Some(folder) = path.parent() else { return true };
        let away = match &self.folder {
            Some((known, away)) if known == folder => *away,
            _ => {
                let away = self.folder_leads_away(folder);
                self.folder = Some((folder.to_owned(), away));
                away
            }
        };
        away || std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_symlink())
    }

    fn folder_leads_away(&self, folder: &Path) -> bool {
        let root = self.roots.iter().find(|(root, _)| folder.starts_with(root));
        let Some((root, Some(real))) = root else { return true };
        let Ok(relative) = folder.strip_prefix(root) else { return true };
        std::fs::canonicalize(folder).map_or(true, |found| found != real.join(relative))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::Props;
    use super::*;

    #[test]
    fn should_see_links_below_the_table_and_none_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real/t");
        std::fs::create_dir_all(real.join("data/x")).unwrap();
        std::fs::create_dir_all(dir.path().join("elsewhere")).unwrap();
        for file in [real.join("data/x/a"), dir.path().join("elsewhere/b")] {
            std::fs::write(file, b"1").unwrap();
        }
        symlink(dir.path().join("elsewhere"), real.join("data/away")).unwrap();
        symlink(dir.path().join("elsewhere/b"), real.join("data/x/b")).unwrap();
        symlink(dir.path().join("real"), dir.path().join("lake")).unwrap();
        let store = Store::new(Props::new());
        let root = dir.path().join("lake/t").display().to_string();
        let mut links = Links::of(&store, std::iter::once(root.as_str())).unwrap();
        let mut away = |name: &str| links.leads_away(&store, &format!("{root}/data/{name}"));
        assert!(!away("x/a"));
        assert!(away("x/b"));
        assert!(away("away/b"));
        assert!(away("gone/c"), "what can't be told is left alone");
    }
}
