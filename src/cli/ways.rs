//! How column chunks were made, as text for people.

use crate::model::{ChunkSum, EncodedChunks, TableReport, human_bytes};

/// So many reasons are shown of a table; `--json` has more.
const MOST_REASONS: usize = 5;
/// So many columns are named for each.
const MOST_COLUMNS: usize = 3;

/// The ways with their shares of the bytes: `merged`, or `merged 97 %, encoded 3 %`.
pub(super) fn shares(report: &TableReport) -> Option<String> {
    let chunks = report.chunks.as_ref()?;
    let all = [("copied", chunks.copied), ("merged", chunks.merged), ("encoded", chunks.encoded)];
    let used: Vec<(&str, ChunkSum)> = all.into_iter().filter(|(_, chunks)| chunks.chunks > 0).collect();
    if let [(only, _)] = used.as_slice() {
        return Some((*only).to_owned());
    }
    let share = |(name, some): &(&str, ChunkSum)| {
        let percent = some.bytes as f64 * 100.0 / chunks.bytes().max(1) as f64;
        if percent > 0.0 && percent < 1.0 { format!("{name} <1 %") } else { format!("{name} {percent:.0} %") }
    };
    (!used.is_empty()).then(|| used.iter().map(share).collect::<Vec<_>>().join(", "))
}

/// Why columns were encoded, a line a reason.
pub(super) fn reasons(tables: &[TableReport]) -> String {
    let mut text = String::new();
    for report in tables {
        let encoded = report.chunks.iter().flat_map(|chunks| &chunks.encoded_because);
        let mut by_reason: Vec<(&str, Vec<&EncodedChunks>)> = Vec::new();
        for one in encoded {
            match by_reason.iter_mut().find(|(reason, _)| *reason == one.reason) {
                Some((_, all)) => all.push(one),
                None => by_reason.push((&one.reason, vec![one])),
            }
        }
        for (reason, all) in by_reason.into_iter().take(MOST_REASONS) {
            let mut sum = ChunkSum::default();
            all.iter().for_each(|one| sum.add(one.chunks));
            let named: Vec<&str> = all.iter().filter_map(|one| one.column.as_deref()).collect();
            let more = named.len() < all.len();
            let mut columns = named[..named.len().min(MOST_COLUMNS)].join(", ");
            match named.len().saturating_sub(MOST_COLUMNS) {
                _ if more => columns += " and others",
                0 => {}
                rest => columns += &format!(" and {rest} more"),
            }
            let (chunks, bytes) = (sum.chunks, human_bytes(sum.bytes));
            let table = &report.table;
            text.push_str(&format!("{table}: encoded anew: {columns} ({chunks} column chunks, {bytes}): {reason}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChunkWays, Status, TableName};

    #[test]
    fn should_say_what_was_encoded_and_why() {
        let mut report = TableReport::new(TableName::parse("db.t").unwrap(), Status::Committed);
        assert_eq!((shares(&report), reasons(std::slice::from_ref(&report))), (None, String::new()));
        let mut chunks = ChunkWays { merged: ChunkSum { chunks: 9, bytes: 9970 }, ..ChunkWays::default() };
        report.chunks = Some(chunks.clone());
        assert_eq!(shares(&report).unwrap(), "merged");
        for column in ["a", "b", "c", "d"] {
            chunks.add_encoded(column, "promoted", ChunkSum::one(5));
        }
        chunks.add_encoded("e", "older", ChunkSum::one(10));
        report.chunks = Some(chunks);
        assert_eq!(shares(&report).unwrap(), "merged 100 %, encoded <1 %");
        assert_eq!(
            reasons(&[report]),
            "db.t: encoded anew: a, b, c and 1 more (4 column chunks, 20 B): promoted\n\
             db.t: encoded anew: e (1 column chunks, 10 B): older\n"
        );
    }
}
