//! "Did you mean": how far two names are apart.

/// The Levenshtein distance of two texts: how many characters differ.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The known name that was probably meant: the closest one, if no more than a third of it is wrong.
pub fn closest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let all = known.into_iter().map(|name| (edit_distance(wanted, name), name));
    all.filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1)).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_find_what_was_meant_and_nothing_far_fetched() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(closest("zstd-levle", ["verify", "zstd-level"]), Some("zstd-level"));
        assert_eq!(closest("min-input-file", ["min-file-size-bytes", "min-input-files"]), Some("min-input-files"));
        assert_eq!(closest("colour", ["verify", "zstd-level"]), None);
    }
}
