//! The writers of columns of one task: where a dictionary was begun in vain, none is begun in later row groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory};
use parquet::basic::{Encoding, PageType};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::WriterProperties;

use super::output::column_writers;
use super::roots::{Made, MadeLeaf};
use crate::error::{Error, Result};
use crate::lake::parquet_schema::WriteSchema;

/// Makes the writers of each row group.
pub(super) struct Writers<'a> {
    schema: &'a WriteSchema,
    properties: Arc<WriterProperties>,
    factory: ArrowRowGroupWriterFactory,
    /// Leaves whose values are nearly unique.
    unique: BTreeSet<usize>,
}

impl<'a> Writers<'a> {
    /// Nothing is known yet.
    pub(super) fn new(schema: &'a WriteSchema, properties: Arc<WriterProperties>) -> Result<Self> {
        let factory = column_writers(schema, properties.clone())?;
        Ok(Self { schema, properties, factory, unique: BTreeSet::new() })
    }

    /// Writers for one row group, by leaf.
    pub(super) fn begin(&self) -> Result<Vec<Option<ArrowColumnWriter>>> {
        let made = self.factory.create_column_writers(0);
        let made = made.map_err(|e| Error::internal("column writers can't be made").caused_by(e))?;
        Ok(made.into_iter().map(Some).collect())
    }

    /// Learns from a row group that is done.
    pub(super) fn learn(&mut self, made: &[Made]) -> Result<()> {
        let leaves = made.iter().flat_map(|root| &root.leaves);
        let in_vain = leaves.enumerate().filter(|(_, leaf)| match leaf {
            MadeLeaf::Encoded(chunk) => gave_up(&chunk.close().metadata),
            MadeLeaf::Moved(_) => false,
        });
        let before = self.unique.len();
        self.unique.extend(in_vain.map(|(leaf, _)| leaf));
        if self.unique.len() > before {
            let mut builder = self.properties.as_ref().clone().into_builder();
            for leaf in &self.unique {
                let path = self.schema.parquet.column(*leaf).path().clone();
                builder = builder.set_column_dictionary_enabled(path, false);
            }
            self.factory = column_writers(self.schema, Arc::new(builder.build()))?;
        }
        Ok(())
    }
}

/// Whether a dictionary became too large before half of the pages were written: hashing values costs more than all the
/// rest of their encoding, and each of them stands in the file with an index besides.
fn gave_up(chunk: &ColumnChunkMetaData) -> bool {
    let pages = |plain: bool| {
        let stats = chunk.page_encoding_stats().into_iter().flatten();
        let data = stats.filter(|stats| stats.page_type == PageType::DATA_PAGE);
        data.filter(|stats| (stats.encoding == Encoding::PLAIN) == plain).map(|stats| stats.count).sum::<i32>()
    };
    chunk.dictionary_page_offset().is_some() && pages(true) > pages(false)
}
