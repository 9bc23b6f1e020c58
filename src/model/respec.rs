//! Files of older partition specs: where their rows move, or why they stay.

use std::fmt;

use iceberg::spec::{Datum, Literal, Struct, StructType, Type};
use serde::{Deserialize, Serialize};

use super::human_bytes;
use crate::error::{Error, Result};

/// Rows that move to partitions of another spec than that of their files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respec {
    /// The specs of the inputs, ascending; that of the outputs may be among them.
    pub from: Vec<i32>,
    /// About how many partitions they move to; 0 when that can't be told.
    pub partitions: u64,
}

/// The values of a partition in the spec's single-value serialisation, by field; absent for null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionValues(pub Vec<Option<Vec<u8>>>);

impl PartitionValues {
    /// The values in the types of a partition spec.
    ///
    /// # Errors
    /// `Internal` when they are none of such a type.
    pub fn to_struct(&self, kind: &StructType) -> Result<Struct> {
        let wrong = || Error::internal("partition values that are none of the partition spec");
        if self.0.len() != kind.fields().len() {
            return Err(wrong());
        }
        let value = |(bytes, field): (&Option<Vec<u8>>, &iceberg::spec::NestedFieldRef)| {
            let (Some(bytes), Type::Primitive(kind)) = (bytes, field.field_type.as_ref()) else { return Ok(None) };
            let datum = Datum::try_from_bytes(bytes, kind.clone()).map_err(|e| wrong().caused_by(e))?;
            Ok(Some(Literal::from(datum)))
        };
        self.0.iter().zip(kind.fields()).map(value).collect()
    }
}

/// Why files stay in an older partition spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "keeps", rename_all = "snake_case")]
pub enum KeepSpec {
    /// Their rows belong to so many partitions that each would get a tiny file.
    Scattered {
        /// About how many partitions.
        partitions: u64,
        /// About how many bytes each would get.
        each: u64,
    },
    /// How many partitions their rows belong to is not to be told from bounds, and the table has none to go by.
    NotTold,
    /// Their manifests have no bounds that tell which partitions their rows belong to.
    NoBounds,
}

impl fmt::Display for KeepSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scattered { partitions: 1, each } => write!(f, "its partition would get {}", human_bytes(*each)),
            Self::Scattered { partitions, each } => {
                write!(f, "about {partitions} partitions would get {} each", human_bytes(*each))
            }
            Self::NotTold => {
                f.write_str("how many partitions they belong to is not known (--output-spec-id moves them)")
            }
            Self::NoBounds => f.write_str("no bounds tell their partitions (--output-spec-id moves them)"),
        }
    }
}
