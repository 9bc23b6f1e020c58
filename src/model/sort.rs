//! How rows are ordered inside the files of a partition.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One field of a sort order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortField {
    /// The column's full name; fields of structs are written with dots.
    pub column: String,
    /// The transform by Iceberg's name (`identity`, `day`, `bucket[16]`, …).
    #[serde(default = "identity", skip_serializing_if = "is_identity")]
    pub transform: String,
    /// Largest first.
    #[serde(default)]
    pub descending: bool,
    /// Nulls before all values.
    #[serde(default)]
    pub nulls_first: bool,
}

fn identity() -> String {
    "identity".to_owned()
}

fn is_identity(transform: &str) -> bool {
    transform == "identity"
}

impl SortField {
    /// Whether values themselves are compared, and not what a transform makes of them.
    pub fn is_identity(&self) -> bool {
        is_identity(&self.transform)
    }
}

impl fmt::Display for SortField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_identity(&self.transform) {
            f.write_str(&self.column)?;
        } else {
            match self.transform.split_once('[') {
                Some((name, width)) => write!(f, "{name}({}, {})", width.trim_end_matches(']'), self.column)?,
                None => write!(f, "{}({})", self.transform, self.column)?,
            }
        }
        f.write_str(if self.descending { " DESC" } else { " ASC" })?;
        f.write_str(if self.nulls_first { " NULLS FIRST" } else { " NULLS LAST" })
    }
}

/// A curve through a space of several columns, so that rows that are near in each of them are near on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// Bits of all columns by turns.
    ZOrder,
    /// Neighbours on the curve are neighbours in space: no jumps.
    Hilbert,
}

/// How rows are arranged (`strategy`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "lowercase")]
pub enum Arrangement {
    /// As they come: files are only merged.
    #[default]
    BinPack,
    /// By one column after the other.
    Sort {
        /// The columns, most significant first. None in a policy: by the table's own sort order.
        #[serde(default)]
        fields: Vec<SortField>,
        /// The table's sort order that this is; outputs may claim it then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<i32>,
    },
    /// Along a curve.
    Curve {
        /// Which one.
        curve: Curve,
        /// The columns, at most eight.
        columns: Vec<String>,
    },
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZOrder => "zorder",
            Self::Hilbert => "hilbert",
        })
    }
}

impl fmt::Display for Arrangement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BinPack => f.write_str("as they come"),
            Self::Sort { fields, .. } if fields.is_empty() => f.write_str("by the table's sort order"),
            Self::Sort { fields, .. } => {
                let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
                write!(f, "{}", fields.join(", "))
            }
            Self::Curve { curve, columns } => write!(f, "{curve}({})", columns.join(", ")),
        }
    }
}

impl Arrangement {
    /// The most columns that a curve goes through.
    pub const MOST_CURVE_COLUMNS: usize = 8;

    /// Whether rows stay as they come.
    pub fn is_bin_pack(&self) -> bool {
        matches!(self, Self::BinPack)
    }

    /// Whether the values must be known before rows can be compared.
    pub fn needs_sample(&self) -> bool {
        matches!(self, Self::Curve { .. })
    }

    /// What the footers of files in this arrangement say; `None` where rows stay as they come.
    pub fn mark(&self) -> Option<String> {
        (!self.is_bin_pack()).then(|| self.to_string())
    }

    /// The same with `#` and field ids in the place of names, which may change; `None` as well where a column has no id.
    pub fn mark_by_ids(&self, id: impl Fn(&str) -> Option<i32>) -> Option<String> {
        let named = |column: &str| id(column).map(|id| format!("#{id}"));
        let by_ids = match self {
            Self::BinPack => return None,
            Self::Sort { fields, order_id } => {
                let field = |field: &SortField| Some(SortField { column: named(&field.column)?, ..field.clone() });
                Self::Sort { fields: fields.iter().map(field).collect::<Option<_>>()?, order_id: *order_id }
            }
            Self::Curve { curve, columns } => {
                let columns = columns.iter().map(|column| named(column)).collect::<Option<_>>()?;
                Self::Curve { curve: *curve, columns }
            }
        };
        by_ids.mark()
    }

    /// The mark that field ids stand for by the names that columns have now; `None` where one is gone.
    pub fn mark_of_ids<'n>(mark: &str, name: impl Fn(i32) -> Option<&'n str>) -> Option<String> {
        let mut parts = mark.split('#');
        let mut text = parts.next()?.to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            text.push_str(name(part[..end].parse().ok()?)?);
            text.push_str(&part[end..]);
        }
        Some(text)
    }

    /// The table's sort order that outputs have.
    pub fn order_id(&self) -> Option<i32> {
        match self {
            Self::Sort { order_id, .. } => *order_id,
            Self::BinPack | Self::Curve { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_name_columns_by_what_they_are_called_now() {
        let field = |column: &str, transform: &str| SortField {
            column: column.into(),
            transform: transform.into(),
            descending: true,
            nulls_first: false,
        };
        let fields = vec![field("a #1, b", "identity"), field("s.c", "bucket[16]")];
        let id = |name: &str| Some(if name == "s.c" { 23 } else { 4 });
        for (arrangement, ids, now) in [
            (
                Arrangement::Sort { fields, order_id: None },
                "#4 DESC NULLS LAST, bucket(16, #23) DESC NULLS LAST",
                "x DESC NULLS LAST, bucket(16, s.d) DESC NULLS LAST",
            ),
            (
                Arrangement::Curve { curve: Curve::Hilbert, columns: vec!["a #1, b".into(), "s.c".into()] },
                "hilbert(#4, #23)",
                "hilbert(x, s.d)",
            ),
        ] {
            assert_eq!(arrangement.mark_by_ids(id).unwrap(), ids);
            let name = |id: i32| Some(if id == 4 { "x" } else { "s.d" });
            assert_eq!(Arrangement::mark_of_ids(ids, name).unwrap(), now);
            assert_eq!(Arrangement::mark_of_ids(ids, |id| (id == 4).then_some("x")), None, "a column is gone");
            assert_eq!(arrangement.mark_by_ids(|_| None), None);
        }
        assert_eq!(Arrangement::BinPack.mark_by_ids(|_| Some(1)), None);
        assert_eq!(Arrangement::mark_of_ids("# DESC", |_| Some("x")), None, "no number");
    }
}
