//! Which files may hold rows that a filter wants: by bounds, counts and partition values.
//!
//! Every answer errs on the side of "may": a file is ruled out only when its statistics prove that no row matches.

mod literal;
mod partition;

use iceberg::spec::{PrimitiveType, Schema, TableMetadata, Type};

use crate::error::{Error, Result};
use crate::model::{Compare, DataFile, Filter, TableState, Value};
pub(in crate::planner) use literal::Literal;

/// The ids of a filter's columns, whose bounds the loader must keep.
///
/// # Errors
/// `InvalidInput` for a column that is not there.
pub fn filter_fields(filter: &Filter, metadata: &TableMetadata) -> Result<Vec<i32>> {
    filter.columns().into_iter().map(|name| column(metadata.current_schema(), name).map(|(id, _)| id)).collect()
}

/// A filter bound to a table.
#[derive(Debug)]
pub(super) struct FilterOn {
    root: Node,
}

#[derive(Debug)]
enum Node {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Compare { id: i32, kind: PrimitiveType, compare: Compare, value: Literal },
    IsNull { id: i32, kind: PrimitiveType },
}

/// What rows of a file may make of a predicate. A null makes neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Can {
    be_true: bool,
    be_false: bool,
}

/// What is known of a column in a file. Absent bounds mean unknown.
#[derive(Debug, Clone, Default)]
struct Known {
    lower: Option<Literal>,
    upper: Option<Literal>,
    has_nulls: Option<bool>,
    all_null: bool,
}

impl FilterOn {
    /// Binds a filter: names become ids, constants get their columns' types.
    pub(super) fn new(filter: &Filter, metadata: &TableMetadata) -> Result<Self> {
        Ok(Self { root: bind(filter, metadata.current_schema())? })
    }

    /// Whether a file may hold a matching row.
    pub(super) fn may_match(&self, state: &TableState, file: &DataFile) -> bool {
        can(&self.root, state, file).be_true
    }
}

fn column<'a>(schema: &'a Schema, name: &str) -> Result<(i32, &'a PrimitiveType)> {
    let field =
        schema.field_by_name(name).or_else(|| schema.field_by_name_case_insensitive(name)).ok_or_else(|| {
            let mut names: Vec<&str> = schema.as_struct().fields().iter().map(|field| field.name.as_str()).collect();
            names.sort_unstable();
            Error::invalid(format!("--where names a column {name:?} that the table lacks"))
                .hint(format!("its columns are {}", names.join(", ")))
        })?;
    match field.field_type.as_ref() {
        Type::Primitive(kind) => Ok((field.id, kind)),
        _ => Err(Error::invalid(format!("--where compares {name:?}, which is a nested column"))
            .hint("compare one of its fields, as in a.b")),
    }
}

fn bind(filter: &Filter, schema: &Schema) -> Result<Node> {
    let both = |left: &Filter, right: &Filter| -> Result<(Box<Node>, Box<Node>)> {
        Ok((Box::new(bind(left, schema)?), Box::new(bind(right, schema)?)))
    };
    Ok(match filter {
        Filter::And(left, right) => both(left, right).map(|(l, r)| Node::And(l, r))?,
        Filter::Or(left, right) => both(left, right).map(|(l, r)| Node::Or(l, r))?,
        Filter::Not(inside) => Node::Not(Box::new(bind(inside, schema)?)),
        Filter::Compare { column: name, compare, value } => compared(schema, name, *compare, value)?,
        Filter::In { column: name, values } => {
            let mut any: Option<Node> = None;
            for value in values {
                let one = compared(schema, name, Compare::Eq, value)?;
                any = Some(match any {
                    None => one,
                    Some(others) => Node::Or(Box::new(others), Box::new(one)),
                });
            }
            any.ok_or_else(|| Error::invalid(format!("the list of --where {name} IN () is empty")))?
        }
        Filter::IsNull { column: name } => {
            let (id, kind) = column(schema, name)?;
            Node::IsNull { id, kind: kind.clone() }
        }
    })
}

fn compared(schema: &Schema, name: &str, compare: Compare, value: &Value) -> Result<Node> {
    let (id, kind) = column(schema, name)?;
    let value = Literal::parse(value, kind).ok_or_else(|| {
        let shown = match value {
            Value::Number(text) | Value::Text(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
        };
        Error::invalid(format!("--where compares column {name} of type {kind} with {shown:?}"))
            .hint("write dates as '2024-01-31', timestamps as '2024-01-31 12:00:00', strings in single quotes")
    })?;
    Ok(Node::Compare { id, kind: kind.clone(), compare, value })
}

fn can(node: &Node, state: &TableState, file: &DataFile) -> Can {
    match node {
        Node::And(left, right) => {
            let (l, r) = (can(left, state, file), can(right, state, file));
            Can { be_true: l.be_true && r.be_true, be_false: l.be_false || r.be_false }
        }
        Node::Or(left, right) => {
            let (l, r) = (can(left, state, file), can(right, state, file));
            Can { be_true: l.be_true || r.be_true, be_false: l.be_false && r.be_false }
        }
        Node::Not(inside) => {
            let inside = can(inside, state, file);
            Can { be_true: inside.be_false, be_false: inside.be_true }
        }
        Node::Compare { id, kind, compare, value } => {
            let known = known(state, file, *id, kind);
            if known.all_null {
                return Can { be_true: false, be_false: false };
            }
            compare_with(&known, *compare, value)
        }
        Node::IsNull { id, kind } => {
            let known = known(state, file, *id, kind);
            Can { be_true: known.has_nulls != Some(false), be_false: !known.all_null }
        }
    }
}

fn compare_with(known: &Known, compare: Compare, value: &Literal) -> Can {
    // `None` where the bound is not known or not comparable: then everything may be.
    let below = known.lower.as_ref().and_then(|lower| lower.order(value));
    let above = known.upper.as_ref().and_then(|upper| upper.order(value));
    let lower_at_most = below.is_none_or(|order| order.is_le());
    let lower_less = below.is_none_or(|order| order.is_lt());
    let upper_at_least = above.is_none_or(|order| order.is_ge());
    let upper_more = above.is_none_or(|order| order.is_gt());
    let all_equal = below.is_some_and(|order| order.is_eq()) && above.is_some_and(|order| order.is_eq());
    match compare {
        Compare::Eq => Can { be_true: lower_at_most && upper_at_least, be_false: !all_equal },
        Compare::NotEq => Can { be_true: !all_equal, be_false: lower_at_most && upper_at_least },
        Compare::Lt => Can { be_true: lower_less, be_false: upper_at_least },
        Compare::LtEq => Can { be_true: lower_at_most, be_false: upper_more },
        Compare::Gt => Can { be_true: upper_more, be_false: lower_at_most },
        Compare::GtEq => Can { be_true: upper_at_least, be_false: lower_less },
    }
}

/// Bounds from the manifest, narrowed by partition values.
fn known(state: &TableState, file: &DataFile, id: i32, kind: &PrimitiveType) -> Known {
    let mut known = Known::default();
    if let Some(bounds) = file.bounds.get(&id) {
        known.lower = bounds.lower.as_deref().and_then(|bytes| Literal::from_bytes(bytes, kind));
        known.upper = bounds.upper.as_deref().and_then(|bytes| Literal::from_bytes(bytes, kind));
        known.has_nulls = bounds.nulls.map(|nulls| nulls > 0);
        known.all_null = bounds.nulls.is_some() && bounds.nulls == bounds.values;
    }
    partition::narrow(&mut known, state, file, id, kind);
    known
}
