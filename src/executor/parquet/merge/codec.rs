//! Codecs with contexts that are kept: making one anew for every page costs more than small pages do.

use std::io::Read;

use parquet::basic::Compression;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, ParamSwitch};

use super::stop::{Result, Stop, damaged, unfit};

/// Compressed bytes that Brotli takes at a time.
const BROTLI_BUFFER: usize = 8 << 10;

/// How ZSTD is asked to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// As it does at a level; below 0, bytes that repeat nothing stay as they are.
    Level(i32),
    /// As at a level below 0, but such bytes are coded by how often each comes. On digits and words that is as good as
    /// level 1, which spends most of its time on repeats that save little.
    Coded(i32),
}

impl Effort {
    pub(super) fn level(self) -> i32 {
        match self {
            Self::Level(level) | Self::Coded(level) => level,
        }
    }
}

/// A worker's contexts.
pub(super) struct Codecs {
    snappy: snap::raw::Decoder,
    zstd: Option<Decompressor<'static>>,
    compressor: Option<(Effort, Compressor<'static>)>,
    /// What the last page was compressed into.
    compressed: Vec<u8>,
}

impl Codecs {
    pub(super) fn new() -> Self {
        Self { snappy: snap::raw::Decoder::new(), zstd: None, compressor: None, compressed: Vec::new() }
    }

    /// Decompresses a body that becomes exactly `size` bytes, in place of what `out` holds.
    pub(super) fn decompress(&mut self, codec: Compression, body: &[u8], size: usize, out: &mut Vec<u8>) -> Result<()> {
        if size == 0 {
            out.clear();
            return Ok(());
        }
        if codec == Compression::UNCOMPRESSED {
            if body.len() != size {
                return damaged("an uncompressed page has another size than its header says");
            }
            out.clear();
            out.extend_from_slice(body);
            return Ok(());
        }
        if let Compression::BROTLI(_) = codec {
            // What it becomes can't be told from its size: room is made as it comes.
            out.clear();
            let mut stream = brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER).take(size as u64 + 1);
            return match stream.read_to_end(out) {
                Ok(made) if made == size => Ok(()),
                _ => damaged("a page can't be decompressed"),
            };
        }
        // Before room is made for it: a header that lies must not reserve its lie.
        let plausible = match codec {
            Compression::SNAPPY => snap::raw::decompress_len(body) == Ok(size),
            Compression::ZSTD(_) => zstd::zstd_safe::get_frame_content_size(body)
                .ok()
                .flatten()
                .is_none_or(|content| content == size as u64),
            _ => size / 1100 <= body.len(),
        };
        if !plausible {
            return damaged("a page decompresses to another size than its header says");
        }
        // Not cleared first: what is there is written over.
        out.resize(size, 0);
        let target = out.as_mut_slice();
        let made = match codec {
            Compression::SNAPPY => self.snappy.decompress(body, target).ok(),
            Compression::ZSTD(_) => {
                let context = match &mut self.zstd {
                    Some(context) => context,
                    none => none.insert(Decompressor::new().map_err(context_failed)?),
                };
                context.decompress_to_buffer(body, target).ok()
            }
            Compression::LZ4_RAW => lz4_flex::block::decompress_into(body, target).ok(),
            Compression::GZIP(_) => {
                let mut stream = flate2::bufread::MultiGzDecoder::new(body);
                stream.read_exact(target).ok().and_then(|()| (stream.read(&mut [0]).ok()? == 0).then_some(size))
            }
            _ => return unfit(format!("pages in {codec} are not moved")),
        };
        if made != Some(size) {
            return damaged("a page can't be decompressed");
        }
        Ok(())
    }

    /// Compresses with ZSTD.
    pub(super) fn compress(&mut self, effort: Effort, bytes: &[u8]) -> Result<&[u8]> {
        let context = match &mut self.compressor {
            Some((set, context)) if *set == effort => context,
            other => {
                let mut context = match other.take() {
                    Some((_, context)) => context,
                    None => Compressor::new(effort.level()).map_err(context_failed)?,
                };
                context.set_compression_level(effort.level()).map_err(context_failed)?;
                let literals = if matches!(effort, Effort::Coded(_)) { ParamSwitch::Enable } else { ParamSwitch::Auto };
                context.set_parameter(CParameter::LiteralCompressionMode(literals)).map_err(context_failed)?;
                &mut other.insert((effort, context)).1
            }
        };
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        context.compress_to_buffer(bytes, &mut self.compressed).map_err(context_failed)?;
        Ok(&self.compressed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn context_failed(error: std::io::Error) -> Stop {
    Stop::Unfit(format!("ZSTD gave up: {error}").into())
}

/// Whether pages in a codec can be moved.
pub(crate) fn is_known(codec: Compression) -> bool {
    matches!(
        codec,
        Compression::UNCOMPRESSED
            | Compression::SNAPPY
            | Compression::ZSTD(_)
            | Compression::LZ4_RAW
            | Compression::GZIP(_)
            | Compression::BROTLI(_)
    )
}
