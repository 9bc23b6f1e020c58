//! How much will inputs shrink? Asked once a table and codec, before anything was ever rewritten.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::deletes::Mask;
use super::parquet::{RowGroupInput, trial};
use super::threads::apart;
use super::{TableContext, source};
use crate::error::{Error, Result};
use crate::lake::Store;
use crate::model::{Codec, CompactPolicy, Footers};

/// Files that are tried for each codec.
const FILES: usize = 2;
/// Row groups larger than this are not worth the wait.
const LARGEST_ROW_GROUP: u64 = 64 << 20;

/// Rewrites the first row groups of a few files of each codec and says how many bytes come out for each byte in.
///
/// # Errors
/// As reading the files does; a file that can't be encoded is passed over (the rewrite itself will say why).
pub async fn sample_ratio(
    store: &Arc<Store>,
    files: &[(String, u64)],
    footers: &Footers,
    table: &TableContext,
    policy: &CompactPolicy,
) -> Result<BTreeMap<Codec, f64>> {
    let mut chosen: BTreeMap<Codec, Vec<(String, u64)>> = BTreeMap::new();
    for (path, size) in files {
        let Some(footer) = footers.get(path) else { continue };
        let (Some(codec), Some(first)) = (footer.main_codec(), footer.row_groups.first()) else { continue };
        let of_codec = chosen.entry(codec).or_default();
        if of_codec.len() < FILES && first.rows > 0 && first.uncompressed <= LARGEST_ROW_GROUP {
            of_codec.push((path.clone(), *size));
        }
    }
    let mut ratios = BTreeMap::new();
    for (codec, files) in chosen {
        match one(store, &files, table, policy).await {
            Ok((read, written)) if read > 0 => {
                ratios.insert(codec, written as f64 / read as f64);
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%codec, %error, "could not be sampled"),
        }
    }
    Ok(ratios)
}

async fn one(
    store: &Arc<Store>,
    files: &[(String, u64)],
    table: &TableContext,
    policy: &CompactPolicy,
) -> Result<(u64, u64)> {
    let opening = files.iter().map(|(path, size)| async move {
        let source = source::open(store, path, *size).await?;
        let input = RowGroupInput { chunks: source.row_group(0).await?, mask: Mask::default() };
        Ok::<_, Error>((source, input))
    });
    let (sources, inputs): (Vec<_>, Vec<_>) = futures::future::try_join_all(opening).await?.into_iter().unzip();
    let (table, policy) = (table.clone(), policy.clone());
    apart(move || trial(sources, inputs, &table, &policy)).await
}
