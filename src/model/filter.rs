//! A row filter (`--where`) as a plain value.

use serde::{Deserialize, Serialize};

/// A comparison of a column with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// `=`
    Eq,
    /// `<>` or `!=`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
}

/// A constant as it was written; its type is settled against the column's type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A number, kept as text so that no digit is lost.
    Number(String),
    /// A string, date or timestamp in quotes.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
}

/// A row filter. It selects files that *may* hold a matching row: what the statistics can't rule out is selected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Both sides hold.
    And(Box<Self>, Box<Self>),
    /// Either side holds.
    Or(Box<Self>, Box<Self>),
    /// The inside does not hold.
    Not(Box<Self>),
    /// A column against a constant. Nested fields are written `a.b`.
    Compare {
        /// The column's full name.
        column: String,
        /// How it is compared.
        compare: Compare,
        /// With what.
        value: Value,
    },
    /// A column against a list of constants.
    In {
        /// The column's full name.
        column: String,
        /// The constants.
        values: Vec<Value>,
    },
    /// A column is null.
    IsNull {
        /// The column's full name.
        column: String,
    },
}

impl Filter {
    /// The names of all columns in the filter, sorted, each once.
    pub fn columns(&self) -> Vec<&str> {
        fn walk<'a>(filter: &'a Filter, into: &mut Vec<&'a str>) {
            match filter {
                Filter::And(left, right) | Filter::Or(left, right) => {
                    walk(left, into);
                    walk(right, into);
                }
                Filter::Not(inside) => walk(inside, into),
                Filter::Compare { column, .. } | Filter::In { column, .. } | Filter::IsNull { column } => {
                    into.push(column);
                }
            }
        }
        let mut names = Vec::new();
        walk(self, &mut names);
        names.sort_unstable();
        names.dedup();
        names
    }
}
