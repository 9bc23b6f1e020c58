//! Copy, merge or encode: whether column chunks may be moved as they are, or their pages, or nothing but their values.

use std::collections::BTreeMap;

use super::arrange::Wish;
use crate::model::{
    Codec, CompactPolicy, EncodingProfile, Footer, InputFile, Route, RouteReason, TableState, has_row_lineage,
};

/// How a group is rewritten, why, and about how many bytes come out.
pub(super) fn route(state: &TableState, policy: &CompactPolicy, inputs: &[InputFile]) -> (Route, RouteReason, u64) {
    route_at(state, &state.ratios, policy, inputs)
}

/// How a group is put in order, and about how many bytes come out.
pub(super) fn arranged(state: &TableState, wish: &Wish, inputs: &[InputFile]) -> (Route, RouteReason, u64) {
    let why = RouteReason::Arranged { order: wish.arrangement.to_string() };
    (Route::Sort, why, shrunk(state, &state.ratios, inputs))
}

/// How rows are moved to other partitions (by a sort that keeps those of one together), and about how many bytes come out.
pub(super) fn moved(state: &TableState, wish: &Wish, inputs: &[InputFile]) -> (Route, RouteReason, u64) {
    let (route, order, bytes) = arranged(state, wish, inputs);
    (route, if wish.sorts() { order } else { RouteReason::Partitioned }, bytes)
}

/// The same with other compression ratios than the table's own.
pub(in crate::planner) fn route_at(
    state: &TableState,
    ratios: &BTreeMap<Codec, f64>,
    policy: &CompactPolicy,
    inputs: &[InputFile],
) -> (Route, RouteReason, u64) {
    let read = inputs.iter().map(|input| input.size).sum();
    let footers: Option<Vec<&Footer>> = inputs.iter().map(|input| state.footers.get(&input.path)).collect();
    let deletes = inputs.iter().any(|input| !input.deletes.is_empty());
    let why = match &footers {
        _ if deletes => Some(RouteReason::DeletesApply),
        _ if has_row_lineage(&state.metadata) => Some(RouteReason::RowLineage),
        None => Some(RouteReason::FooterUnknown),
        Some(footers) => obstacle(policy, footers),
    };
    match why {
        None => (Route::Copy, RouteReason::AllFit, read),
        Some(why) => {
            let route = anew(state, inputs);
            let why = match (route, stuck(state, inputs)) {
                (Route::Encode, Some(found)) => RouteReason::PagesStay { found },
                (Route::Encode, None) => RouteReason::FooterUnknown,
                _ => why,
            };
            (route, why, shrunk(state, ratios, inputs))
        }
    }
}

/// How files are written anew: by moving their pages, where all of them are in codecs that allow it.
pub(in crate::planner) fn anew(state: &TableState, inputs: &[InputFile]) -> Route {
    let movable = |footer: &Footer| footer.codecs.iter().all(|share| moves(share.codec));
    let all = inputs.iter().all(|input| state.footers.get(&input.path).is_some_and(movable));
    if all { Route::Merge } else { Route::Encode }
}

/// A codec whose pages can't be moved, if an input has one.
fn stuck(state: &TableState, inputs: &[InputFile]) -> Option<Codec> {
    let footers = inputs.iter().filter_map(|input| state.footers.get(&input.path));
    footers.flat_map(|footer| &footer.codecs).map(|share| share.codec).find(|codec| !moves(*codec))
}

/// Whether pages in a codec can be moved without decoding their values.
fn moves(codec: Codec) -> bool {
    match codec {
        Codec::Uncompressed | Codec::Snappy | Codec::Gzip | Codec::Brotli | Codec::Lz4Raw | Codec::Zstd => true,
        Codec::Lzo | Codec::Lz4 => false,
    }
}

/// What stands against a byte copy, if anything does.
fn obstacle(policy: &CompactPolicy, footers: &[&Footer]) -> Option<RouteReason> {
    if let Some(other) = footers.iter().find(|footer| !footer.is_all(policy.codec)) {
        let found = other.codecs.iter().map(|share| share.codec).find(|codec| *codec != policy.codec);
        return found.map(|found| RouteReason::CodecDiffers { found });
    }
    if footers.iter().any(|footer| !footer.schema_is_current) {
        return Some(RouteReason::SchemaDiffers);
    }
    if policy.encodings == EncodingProfile::Compatible && footers.iter().any(|footer| !footer.compatible) {
        return Some(RouteReason::OutsideProfile);
    }
    let groups = || footers.iter().flat_map(|footer| &footer.row_groups).filter(|group| group.rows > 0);
    let (count, bytes) = groups().fold((0u64, 0u64), |(count, bytes), group| (count + 1, bytes + group.compressed));
    let average = bytes.checked_div(count).unwrap_or(0);
    // A file that is small altogether can have no large row group: what counts is that there are not too many of them.
    let least = policy.copy_min_row_group_bytes.min(policy.band_min() / 8);
    if count > 1 && average < least {
        return Some(RouteReason::RowGroupsTooSmall { average });
    }
    // Files are cut at the edges of row groups: one that is larger than the room between the edges of the band would
    // make that impossible.
    if groups().any(|group| group.compressed > policy.band_min()) {
        return Some(RouteReason::RowGroupTooLarge);
    }
    None
}

/// Bytes after an encode, by the measured ratio of each file's codec and its share of living rows.
pub(in crate::planner) fn shrunk(state: &TableState, ratios: &BTreeMap<Codec, f64>, inputs: &[InputFile]) -> u64 {
    let bytes: f64 = inputs
        .iter()
        .map(|input| {
            let codec = state.footers.get(&input.path).and_then(|footer| footer.main_codec());
            let ratio = codec.and_then(|codec| ratios.get(&codec)).copied().unwrap_or(1.0);
            let living = 1.0 - input.deleted as f64 / input.records.max(1) as f64;
            input.size as f64 * ratio * living
        })
        .sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of bytes")]
    let bytes = bytes.round() as u64;
    bytes
}
