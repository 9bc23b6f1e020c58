//! From sorted entries to manifests of the target size: a manifest ends once it has reached it, compressed.

use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::spec::ManifestFile;

use super::avro::{Container, Packer, Result};
use super::entry::Inherited;
use super::fingerprint::Fingerprint;
use super::gather::{Entries, Kept};
use super::partitions::Partitions;
use crate::lake::RowIds;

/// Entries are compressed in blocks of this many bytes, or smaller ones where the target is small itself.
const BLOCK: u64 = 64 * 1024;
const LEAST_BLOCK: u64 = 1024;

/// A manifest in memory.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) bytes: Vec<u8>,
    /// All but its path and the snapshot that adds it.
    pub(super) file: ManifestFile,
}

/// Writes manifests one after another.
#[derive(Debug)]
pub(super) struct Roller {
    /// An empty manifest: every new one has its header.
    empty: Arc<[u8]>,
    file: ManifestFile,
    target: u64,
    open: Option<Open>,
    made: u64,
    /// Of everything that was finished, read back.
    pub(super) fingerprint: Fingerprint,
}

#[derive(Debug)]
struct Open {
    packer: Packer,
    block: Vec<u8>,
    in_block: u64,
    entries: u64,
    records: u64,
    min_sequence: i64,
    partitions: BTreeSet<u32>,
}

impl Roller {
    pub(super) fn new(empty: Arc<[u8]>, file: ManifestFile, target: u64) -> Self {
        Self { empty, file, target, open: None, made: 0, fingerprint: Fingerprint::default() }
    }

    /// Adds sorted entries; gives the manifests that are full.
    pub(super) fn add(&mut self, list: &[Kept], entries: &Entries, partitions: &Partitions) -> Result<Vec<Finished>> {
        let block = (self.target / 8).clamp(LEAST_BLOCK, BLOCK);
        let mut full = Vec::new();
        for kept in list {
            let open = match &mut self.open {
                Some(open) => open,
                none => {
                    self.made += 1;
                    none.insert(Open::new(&self.empty, self.made)?)
                }
            };
            open.block.extend_from_slice(entries.bytes(kept));
            open.in_block += 1;
            open.entries += 1;
            open.records += kept.records.cast_unsigned();
            open.min_sequence = open.min_sequence.min(kept.sequence_number);
            open.partitions.insert(kept.partition);
            if open.block.len() as u64 >= block {
                open.pack()?;
                if open.packer.len() >= self.target {
                    full.extend(self.finish(partitions)?);
                }
            }
        }
        Ok(full)
    }

    /// Ends the manifest that is open.
    pub(super) fn finish(&mut self, partitions: &Partitions) -> Result<Option<Finished>> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        open.pack()?;
        let numbers: Vec<u32> = open.partitions.into_iter().collect();
        let bytes = open.packer.finish();
        // All entries say everything themselves: there is nothing to inherit.
        self.fingerprint.add(&bytes, Inherited { snapshot_id: -1, sequence_number: 0, row_ids: RowIds::default() })?;
        let file = ManifestFile {
            manifest_length: bytes.len() as i64,
            existing_files_count: Some(u32::try_from(open.entries).unwrap_or(u32::MAX)),
            existing_rows_count: Some(open.records),
            min_sequence_number: open.min_sequence,
            partitions: Some(partitions.summaries(&numbers)?),
            ..self.file.clone()
        };
        Ok(Some(Finished { bytes, file }))
    }
}

impl Open {
    fn new(empty: &[u8], number: u64) -> Result<Self> {
        let mut sync = *b"icewright-------";
        sync[8..].copy_from_slice(&number.to_be_bytes());
        Ok(Self {
            packer: Packer::new(&Container::open(empty)?, sync),
            block: Vec::new(),
            in_block: 0,
            entries: 0,
            records: 0,
            min_sequence: i64::MAX,
            partitions: BTreeSet::new(),
        })
    }

    fn pack(&mut self) -> Result<()> {
        if self.in_block > 0 {
            self.packer.block(self.in_block, &self.block)?;
            self.block.clear();
            self.in_block = 0;
        }
        Ok(())
    }
}
