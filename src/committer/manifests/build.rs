//! One group of manifests becomes new manifests in the store.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::FileIO;
use iceberg::spec::{FormatVersion, ManifestFile, ManifestWriterBuilder, PrimitiveType, Schema, Type};

use super::avro::{Container, Result as Read, Trouble};
use super::entry::partition_shape;
use super::gather::{Entries, Gather, Window};
use super::partitions::Partitions;
use super::roll::{Finished, Roller};
use super::shape::Shape;
use crate::committer::write::broken;
use crate::error::{Error, Result};
use crate::lake::manifests::MANIFESTS_AT_ONCE;
use crate::lake::{Ambient, LoadedTable, metadata, partition_schema};

/// What a group became.
#[derive(Debug)]
pub(super) struct Made {
    /// The manifests that it was.
    pub(super) replaced: Vec<String>,
    /// The new ones, without the snapshot that adds them.
    pub(super) files: Vec<ManifestFile>,
    /// Live entries in both.
    pub(super) entries: u64,
}

/// Builds the manifests of one group.
#[derive(Debug)]
pub(super) struct Build<'a> {
    pub(super) table: &'a LoadedTable,
    pub(super) ambient: &'a Ambient,
    pub(super) target: u64,
    /// Bytes that may be used. Entries get an eighth, and so does what is read ahead; the rest is for blocks being
    /// decompressed, new manifests on their way, the counts, and what the allocator does not give back.
    pub(super) memory: u64,
    /// Paths that were written, for cleaning up.
    pub(super) written: &'a mut Vec<String>,
}

impl Build<'_> {
    /// Reads the manifests of a group and writes what they become.
    pub(super) async fn run(&mut self, manifests: &[ManifestFile]) -> Result<Made> {
        let Some(first) = manifests.first() else { return Err(Error::internal("a group without manifests")) };
        let empty = self.empty_manifest(first).await?;
        let gather = empty.gather(self.memory / 8).map_err(|e| wrap(&first.manifest_path, e))?;
        let mut gather = self.survey(gather, manifests).await?;
        let (order, ranks) = gather.ranks();
        let ranks: Arc<[u32]> = ranks.into();
        let mut roller = Roller::new(empty.bytes, empty.file, self.target);
        let mut files = Vec::new();
        if let Some(entries) = gather.entries.take() {
            (gather, roller) = self.roll(gather, roller, entries, &ranks, &mut files).await?;
        } else {
            for (from, to) in gather.windows(&order) {
                let window = gather.window(from, to);
                let window = self.fill(&mut gather, window, &ranks, manifests).await?;
                (gather, roller) = self.roll(gather, roller, window.entries, &ranks, &mut files).await?;
            }
        }
        if let Some(last) = roller.finish(&gather.partitions).map_err(|e| wrap(&first.manifest_path, e))? {
            files.push(self.write(last).await?);
        }
        if roller.fingerprint != gather.fingerprint {
            return Err(Error::internal(format!(
                "rewriting manifests of {} would turn {} live entries with {} rows into {} with {}",
                self.table.name,
                gather.fingerprint.entries,
                gather.fingerprint.records,
                roller.fingerprint.entries,
                roller.fingerprint.records
            ))
            .hint("nothing was committed; please report this"));
        }
        let replaced = manifests.iter().map(|manifest| manifest.manifest_path.clone()).collect();
        Ok(Made { replaced, files, entries: gather.fingerprint.entries })
    }

    async fn survey(&self, mut gather: Gather, manifests: &[ManifestFile]) -> Result<Gather> {
        let mut reading = self.reading(manifests.iter().collect());
        while let Some((file, bytes)) = reading.try_next().await? {
            let path = file.manifest_path.clone();
            let file = file.clone();
            gather = on_a_core(&path, move || gather.survey(&file, &bytes).map(|()| gather)).await?;
        }
        Ok(gather)
    }

    async fn fill(
        &self,
        gather: &mut Gather,
        mut window: Window,
        ranks: &Arc<[u32]>,
        manifests: &[ManifestFile],
    ) -> Result<Window> {
        let wanted = gather.wanted(&window, ranks);
        let list: Vec<&ManifestFile> =
            manifests.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(file, _)| file).collect();
        let mut reading = self.reading(list);
        for (at, file) in manifests.iter().enumerate() {
            if !wanted[at] {
                gather.pass_by(&mut window, at);
            } else if let Some((_, bytes)) = reading.try_next().await? {
                gather.fill(&mut window, ranks, file, &bytes).map_err(|e| wrap(&file.manifest_path, e))?;
            }
        }
        Ok(window)
    }

    /// Reads ahead in order, as far as memory allows.
    fn reading<'m>(
        &self,
        manifests: Vec<&'m ManifestFile>,
    ) -> impl futures::Stream<Item = Result<(&'m ManifestFile, Bytes)>> + Unpin + use<'m> {
        let largest = manifests.iter().map(|m| u64::try_from(m.manifest_length).unwrap_or(0)).max().unwrap_or(0);
        let at_once =
            usize::try_from(self.memory / 8 / largest.max(1)).unwrap_or(usize::MAX).clamp(1, MANIFESTS_AT_ONCE);
        let store = self.table.store.clone();
        let read = futures::stream::iter(manifests).map(move |file| {
            let store = store.clone();
            async move {
                if file.key_metadata.is_some() {
                    return Err(Error::unsupported(format!("manifest {} is encrypted", file.manifest_path))
                        .hint("encrypted tables are not supported"));
                }
                Ok((file, store.read(&file.manifest_path).await?))
            }
        });
        Box::pin(read.buffered(at_once))
    }

    async fn roll(
        &mut self,
        gather: Gather,
        mut roller: Roller,
        entries: Entries,
        ranks: &Arc<[u32]>,
        files: &mut Vec<ManifestFile>,
    ) -> Result<(Gather, Roller)> {
        let ranks = Arc::clone(ranks);
        let (gather, roller, full) = on_a_core("the new manifests", move || {
            let full = roller.add(&entries.sorted(&ranks), &entries, &gather.partitions)?;
            Ok((gather, roller, full))
        })
        .await?;
        for finished in full {
            files.push(self.write(finished).await?);
        }
        Ok((gather, roller))
    }

    async fn write(&mut self, finished: Finished) -> Result<ManifestFile> {
        let folder = metadata::folder(&self.table.metadata);
        let path = format!("{folder}/{}-m{}.avro", self.ambient.uuid(), self.written.len());
        self.written.push(path.clone());
        self.table.store.write(&path, finished.bytes.into()).await?;
        Ok(ManifestFile { manifest_path: path, ..finished.file })
    }

    /// A manifest without entries, as the `iceberg` crate writes it: its header is that of the new ones.
    async fn empty_manifest(&self, like: &ManifestFile) -> Result<Empty> {
        self.table.refuse_unknown_types()?;
        let table = &self.table.metadata;
        let spec_id = like.partition_spec_id;
        let Some(spec) = table.partition_spec_by_id(spec_id) else {
            return Err(Error::corrupt(format!("table {} has no partition spec {spec_id}", self.table.name)));
        };
        let known = partition_schema(table, spec).cloned();
        let mut schema = known.clone().unwrap_or_else(|| table.current_schema().clone());
        if known.is_none() {
            // The source of a partition field is gone from all schemas: the manifest remembers it.
            let bytes = self.table.store.read(&like.manifest_path).await?;
            let container = Container::open(&bytes).map_err(|e| wrap(&like.manifest_path, e))?;
            let old = container.metadata.get("schema").and_then(|text| serde_json::from_slice::<Schema>(text).ok());
            schema = old.map_or(schema, Arc::new);
        }
        let io = FileIO::new_with_memory();
        let path = "memory:///empty.avro";
        let kind = spec.partition_type(&schema).map_err(broken)?;
        let types = kind.fields().iter().map(|field| match field.field_type.as_ref() {
            Type::Primitive(kind) => Ok(kind.clone()),
            _ => Err(Error::corrupt(format!("table {} is partitioned by a nested field", self.table.name))),
        });
        let types = types.collect::<Result<Vec<PrimitiveType>>>()?;
        let output = io.new_output(path).map_err(broken)?;
        let builder = ManifestWriterBuilder::new(output, None, schema, spec.as_ref().clone());
        let deletes = like.content == iceberg::spec::ManifestContentType::Deletes;
        let writer = match (table.format_version(), deletes) {
            (FormatVersion::V1, _) => builder.build_v1(),
            (FormatVersion::V2, false) => builder.build_v2_data(),
            (FormatVersion::V2, true) => builder.build_v2_deletes(),
            (FormatVersion::V3, false) => builder.build_v3_data(),
            (FormatVersion::V3, true) => builder.build_v3_deletes(),
        };
        let file = writer.write_manifest_file().await.map_err(broken)?;
        let bytes = io.new_input(path).map_err(broken)?.read().await.map_err(broken)?;
        Ok(Empty { bytes: bytes.to_vec().into(), file, types })
    }
}

struct Empty {
    bytes: Arc<[u8]>,
    file: ManifestFile,
    types: Vec<PrimitiveType>,
}

impl Empty {
    fn gather(&self, budget: u64) -> Read<Gather> {
        let shape = Shape::of(&Container::open(&self.bytes)?.schema()?)?;
        let partitions = Partitions::new(partition_shape(&shape)?.clone(), self.types.clone())?;
        Ok(Gather::new(Arc::new(shape), partitions, budget))
    }
}

/// Decoding and compressing are work for a core: they must not hold up the requests that are under way.
async fn on_a_core<T: Send + 'static>(what: &str, work: impl FnOnce() -> Read<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|e| wrap(what, e)),
        Err(e) => Err(Error::internal(format!("rewriting {what} failed")).caused_by(e)),
    }
}

fn wrap(path: &str, trouble: Trouble) -> Error {
    match &trouble {
        Trouble::Damaged(_) => Error::corrupt(format!("{path} is not a readable manifest")).hint(
            "the table's metadata is damaged: roll back to an older snapshot, or restore the file; nothing was changed",
        ),
        Trouble::Unsupported(_) => Error::unsupported(format!("{path} can't be rewritten without loss"))
            .hint("its table's manifests are left alone; nothing was changed"),
    }
    .caused_by(trouble)
}
