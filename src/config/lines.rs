//! Where in a configuration file something is written, for errors about what it says.

/// The line (from 1) of `key` in the `nth` (from 0) section that begins with `header`; of the header itself when the key
/// is not there.
pub(super) fn line_of(text: &str, header: &str, nth: usize, key: Option<&str>) -> Option<usize> {
    let lines = || text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let is_header = |line: &str| line.split('#').next().unwrap_or_default().replace(' ', "").trim() == header;
    let (start, _) = lines().filter(|(_, line)| is_header(line)).nth(nth)?;
    let is_key =
        |line: &str, key: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', '.']));
    let inside = || lines().skip(start).take_while(|(_, line)| !line.starts_with('['));
    key.and_then(|key| inside().find(|(_, line)| is_key(line, key))).map(|(line, _)| line).or(Some(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_find_sections_and_keys() {
        let text = "[defaults]\nretain-min = 1\n\n[[schedule]] # first\ncron = \"a\"\n[[ schedule ]]\nrun = \"x\"\ncron=\"b\"\n";
        assert_eq!(line_of(text, "[[schedule]]", 0, Some("cron")), Some(5));
        assert_eq!(line_of(text, "[[schedule]]", 1, Some("cron")), Some(8));
        assert_eq!(line_of(text, "[[schedule]]", 1, Some("windows")), Some(6));
        assert_eq!(line_of(text, "[[schedule]]", 2, None), None);
        assert_eq!(line_of(text, "[defaults]", 0, Some("retain-min")), Some(2));
    }
}
