//! How rows are to be arranged: `strategy`, `sort-order` and `columns`.

use std::collections::{BTreeMap, HashSet};

use super::{Given, wrong};
use crate::error::{Error, Result};
use crate::model::{Arrangement, Curve, SortField, closest};

const STRATEGIES: [&str; 4] = ["binpack", "sort", "zorder", "hilbert"];
const ORDER_HINT: &str = "it is written as in 'ts DESC NULLS LAST, bucket(16, id)'";

/// Reads the three options; each stands for itself, wherever it was said.
pub(super) fn arrangement(options: &BTreeMap<String, Given>) -> Result<Arrangement> {
    let get = |key: &str| options.get(key);
    let strategy = get("strategy");
    let order = get("sort-order");
    let columns = get("columns");
    // What was said nearer wins over what was said elsewhere: `--strategy binpack` over a table's configured order.
    let rank = strategy.map_or(0, |given| given.rank);
    let order = order.filter(|given| given.rank >= rank);
    let columns = columns.filter(|given| given.rank >= rank);
    let name = strategy.map(|given| given.value.trim().to_ascii_lowercase());
    match (name.as_deref(), order, columns) {
        (None | Some("binpack"), None, None) => Ok(Arrangement::BinPack),
        (None | Some("sort"), order, None) => match order {
            None => Ok(Arrangement::Sort { fields: Vec::new(), order_id: None }),
            Some(given) => given.in_context(sort_order(&given.value)),
        },
        (Some("zorder"), None, Some(given)) => given.in_context(curve(Curve::ZOrder, &given.value)),
        (Some("hilbert"), None, Some(given)) => given.in_context(curve(Curve::Hilbert, &given.value)),
        (Some(curve @ ("zorder" | "hilbert")), None, None) => {
            Err(Error::invalid(format!("strategy {curve} has no columns")).hint("name them, as in --columns a,b,c"))
        }
        (Some(curve @ ("zorder" | "hilbert")), Some(_), _) => {
            Err(Error::invalid(format!("strategy {curve} and sort-order contradict each other"))
                .hint("a curve goes through --columns; --sort-order is for --strategy sort"))
        }
        (Some("binpack"), _, _) => {
            Err(Error::invalid("strategy binpack leaves rows as they come, and sort-order or columns were given")
                .hint("leave the strategy out for --sort-order; --columns is for zorder and hilbert"))
        }
        (None | Some("sort"), _, Some(_)) => Err(Error::invalid("columns are for the strategies zorder and hilbert")
            .hint("add --strategy zorder or hilbert; to sort, use --sort-order 'a, b'")),
        (Some(other), ..) => {
            let hint = closest(other, STRATEGIES.iter().copied())
                .map_or_else(|| "it is binpack, sort, zorder or hilbert".to_owned(), |c| format!("did you mean {c}?"));
            Err(Error::invalid(format!("there is no strategy {other:?}")).hint(hint))
        }
    }
}

/// `a, b` of a curve.
fn curve(curve: Curve, text: &str) -> Result<Arrangement> {
    let columns: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let wanted = format!("two to {} different columns, as in a,b,c", Arrangement::MOST_CURVE_COLUMNS);
    let different = columns.iter().collect::<HashSet<_>>().len() == columns.len();
    let few = (2..=Arrangement::MOST_CURVE_COLUMNS).contains(&columns.len());
    if !different || !few || columns.iter().any(String::is_empty) {
        return Err(wrong("columns", text, &wanted));
    }
    Ok(Arrangement::Curve { curve, columns })
}

/// `ts DESC NULLS LAST, day(ts), bucket(16, id)`, or, as Iceberg's procedure has it, `zorder(a, b)`.
fn sort_order(text: &str) -> Result<Arrangement> {
    let lower = text.trim().to_ascii_lowercase();
    for (name, which) in [("zorder", Curve::ZOrder), ("hilbert", Curve::Hilbert)] {
        let inside = lower.strip_prefix(name).map(|_| text.trim()[name.len()..].trim());
        if let Some(inside) = inside.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')')) {
            return curve(which, inside);
        }
    }
    let fields = parts(text).into_iter().map(field).collect::<Result<Vec<_>>>()?;
    let mut seen = HashSet::new();
    if let Some(twice) = fields.iter().find(|field| !seen.insert((field.column.clone(), field.transform.clone()))) {
        return Err(Error::invalid(format!("sort-order names {} twice", twice.column)).hint(ORDER_HINT));
    }
    Ok(Arrangement::Sort { fields, order_id: None })
}

/// Splits at commas that are not inside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn field(text: &str) -> Result<SortField> {
    let bad = || Error::invalid(format!("{:?} is no field of a sort order", text.trim())).hint(ORDER_HINT);
    // The column or transform reaches to its closing parenthesis, or to the first blank.
    let text = text.trim();
    let end = match text.find('(') {
        Some(_) => text.find(')').ok_or_else(bad)? + 1,
        None => text.find(char::is_whitespace).unwrap_or(text.len()),
    };
    let (what, rest) = text.split_at(end);
    let words: Vec<String> = rest.split_whitespace().map(str::to_ascii_uppercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (descending, rest) = match words.as_slice() {
        ["ASC", rest @ ..] => (false, rest),
        ["DESC", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let nulls_first = match rest {
        // Iceberg's and Spark's default.
        [] => !descending,
        ["NULLS", "FIRST"] => true,
        ["NULLS", "LAST"] => false,
        _ => return Err(bad()),
    };
    let (column, transform) = expression(what).ok_or_else(bad)?;
    Ok(SortField { column, transform, descending, nulls_first })
}

/// A column, or `transform(column)` with its width before or after.
fn expression(text: &str) -> Option<(String, String)> {
    let named = |column: &str| {
        let column = column.trim().trim_matches(['"', '`']);
        (!column.is_empty()).then(|| column.to_owned())
    };
    let Some((name, inside)) = text.split_once('(') else { return Some((named(text)?, "identity".to_owned())) };
    let name = name.trim().to_ascii_lowercase();
    let arguments: Vec<&str> = inside.strip_suffix(')')?.split(',').map(str::trim).collect();
    match (name.trim_end_matches('s'), arguments.as_slice()) {
        (name @ ("year" | "month" | "day" | "hour" | "identity"), [column]) => Some((named(column)?, name.to_owned())),
        (name @ ("bucket" | "truncate"), [a, b]) => {
            let (width, column) = if a.parse::<u32>().is_ok() { (a, b) } else { (b, a) };
            let width: u32 = width.parse().ok().filter(|width| *width > 0)?;
            Some((named(column)?, format!("{name}[{width}]")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str, u8)]) -> BTreeMap<String, Given> {
        let given = |value: &str, rank| Given { value: value.to_owned(), rank, from: String::new() };
        pairs.iter().map(|(key, value, rank)| ((*key).to_owned(), given(value, *rank))).collect()
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Arrangement> {
        arrangement(&given(&pairs.iter().map(|(key, value)| (*key, *value, 4)).collect::<Vec<_>>()))
    }

    #[test]
    fn should_read_orders_as_people_write_them() {
        let order = |text: &str| read(&[("sort-order", text)]).unwrap().to_string();
        assert_eq!(order("ts DESC NULLS LAST, id"), "ts DESC NULLS LAST, id ASC NULLS FIRST");
        assert_eq!(order("ts desc"), "ts DESC NULLS LAST");
        assert_eq!(
            order("bucket(16, id) , days(ts) asc nulls last,truncate(name,4),`a.b`"),
            "bucket(16, id) ASC NULLS FIRST, day(ts) ASC NULLS LAST, truncate(4, name) ASC NULLS FIRST, a.b ASC NULLS FIRST"
        );
        assert_eq!(order("zorder(a, b)"), "zorder(a, b)");
        assert_eq!(read(&[("strategy", "hilbert"), ("columns", "a,b")]).unwrap().to_string(), "hilbert(a, b)");
        assert_eq!(read(&[("strategy", "sort")]).unwrap(), Arrangement::Sort { fields: Vec::new(), order_id: None });
        assert!(read(&[("strategy", "binpack")]).unwrap().is_bin_pack());
        assert!(read(&[]).unwrap().is_bin_pack());
    }

    #[test]
    fn should_let_the_nearer_word_win() {
        let far = given(&[("strategy", "binpack", 4), ("sort-order", "a", 1)]);
        assert!(arrangement(&far).unwrap().is_bin_pack());
        let near = given(&[("strategy", "zorder", 4), ("columns", "a,b", 4), ("sort-order", "a", 1)]);
        assert_eq!(arrangement(&near).unwrap().to_string(), "zorder(a, b)");
    }

    #[test]
    fn should_say_what_is_wrong() {
        let wrong = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().to_string();
        for order in ["", "a,", "a UP", "a DESC NULLS", "bucket(id)", "bucket(0, id)", "magic(a)", "day(ts", "a b c d"]
        {
            assert!(wrong(&[("sort-order", order)]).contains("no field of a sort order"), "{order}");
        }
        assert!(wrong(&[("sort-order", "a, a DESC")]).contains("twice"));
        assert!(wrong(&[("strategy", "zorder")]).contains("no columns"));
        assert!(wrong(&[("strategy", "zorder"), ("columns", "a")]).contains("columns"));
        assert!(wrong(&[("strategy", "zorder"), ("columns", "a,a")]).contains("columns"));
        assert!(wrong(&[("strategy", "zorder"), ("columns", "a,b"), ("sort-order", "a")]).contains("contradict"));
        assert!(wrong(&[("strategy", "sort"), ("columns", "a,b")]).contains("zorder and hilbert"));
        assert!(wrong(&[("strategy", "binpack"), ("sort-order", "a")]).contains("as they come"));
        assert!(wrong(&[("columns", "a,b")]).contains("zorder and hilbert"));
        assert!(wrong(&[("strategy", "zorderr"), ("columns", "a,b")]).contains("no strategy"));
    }
}
