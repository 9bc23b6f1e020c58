//! "Did you mean": names close to one that is not there.

use crate::error::Error;
use crate::model::{TableName, edit_distance};

/// The error for a table that is not in its catalog, with the closest names as a hint.
pub(super) fn unknown_table(name: &TableName, known: &[TableName], catalog: &str) -> Error {
    let wanted = name.to_string();
    let mut close: Vec<(usize, String)> = known
        .iter()
        .map(|other| other.to_string())
        .map(|other| (edit_distance(&wanted, &other), other))
        .filter(|(distance, other)| *distance <= 3 || other.ends_with(&format!(".{}", name.table)))
        .collect();
    close.sort();
    let hint = match (close.first(), known.first()) {
        (Some((_, best)), _) => format!("did you mean {best}?"),
        (None, Some(any)) => format!("the catalog has {} tables, such as {any}", known.len()),
        (None, None) => "the catalog has no tables: check --catalog and --catalog-name".to_owned(),
    };
    Error::invalid(format!("there is no table {name} in {catalog}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_name_the_closest_table() {
        let known = [TableName::new(["db"], "events"), TableName::new(["db"], "trades")];
        let error = unknown_table(&TableName::new(["db"], "evnts"), &known, "lake");
        assert_eq!(error.hint_text(), Some("did you mean db.events?"));
    }
}
