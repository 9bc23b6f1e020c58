//! Avro files at the level of blocks: enough to take manifests apart and put them together without making values of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};

/// Avro 1.11, "Object Container Files".
const MAGIC: &[u8; 4] = b"Obj\x01";
const SCHEMA: &str = "avro.schema";
const CODEC: &str = "avro.codec";

/// Why a manifest can't be rewritten.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is not what it should be.
    Damaged(String),
    /// It holds something that would get lost.
    Unsupported(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(words) | Self::Unsupported(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Trouble {}

pub(super) type Result<T> = std::result::Result<T, Trouble>;

pub(super) fn damaged<T>(words: impl Into<String>) -> Result<T> {
    Err(Trouble::Damaged(words.into()))
}

/// Bytes that are read from front to back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// A zigzag-encoded number: `int`, `long`, and the length of everything.
    pub(super) fn long(&mut self) -> Result<i64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some((byte, rest)) = self.0.split_first() else { break };
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        damaged("a number does not end")
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return damaged("it ends in the middle of a value");
        };
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.long()?;
        match usize::try_from(count) {
            Ok(count) => self.take(count),
            Err(_) => damaged("a length is negative"),
        }
    }

    /// The number of items in the next block of an array or a map; 0 at the end.
    pub(super) fn items(&mut self) -> Result<u64> {
        let count = self.long()?;
        if count < 0 {
            // The bytes of the block follow, for readers that skip it.
            self.long()?;
        }
        Ok(count.unsigned_abs())
    }
}

/// Appends a zigzag-encoded number.
pub(super) fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut left = (value << 1 ^ value >> 63).cast_unsigned();
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    out.extend_from_slice(bytes);
}

/// An Avro file that is read block by block.
#[derive(Debug)]
pub(super) struct Container<'a> {
    /// What its header says beside schema and codec.
    pub(super) metadata: BTreeMap<String, Vec<u8>>,
    codec: String,
    sync: &'a [u8],
    rest: Cursor<'a>,
}

impl<'a> Container<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        let mut rest = Cursor(bytes);
        if rest.take(MAGIC.len())? != MAGIC {
            return damaged("it is not an Avro file");
        }
        let mut metadata = BTreeMap::new();
        loop {
            let items = rest.items()?;
            for _ in 0..items {
                let key = String::from_utf8_lossy(rest.bytes()?).into_owned();
                metadata.insert(key, rest.bytes()?.to_vec());
            }
            if items == 0 {
                break;
            }
        }
        let codec =
            metadata.remove(CODEC).map_or_else(|| "null".to_owned(), |c| String::from_utf8_lossy(&c).into_owned());
        Ok(Self { metadata, codec, sync: rest.take(16)?, rest })
    }

    /// The schema of its entries.
    pub(super) fn schema(&self) -> Result<serde_json::Value> {
        self.metadata
            .get(SCHEMA)
            .and_then(|text| serde_json::from_slice(text).ok())
            .map_or_else(|| damaged("its header has no schema"), Ok)
    }

    /// The next block: how many entries, and their bytes.
    pub(super) fn block(&mut self) -> Result<Option<(u64, Cow<'a, [u8]>)>> {
        if self.rest.0.is_empty() {
            return Ok(None);
        }
        let Ok(count) = u64::try_from(self.rest.long()?) else { return damaged("a block has less than no entries") };
        let packed = self.rest.bytes()?;
        if self.rest.take(16)? != self.sync {
            return damaged("a block does not end where it should");
        }
        Ok(Some((count, unpack(&self.codec, packed)?)))
    }
}

fn unpack<'a>(codec: &str, packed: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    let broken = |e: String| Trouble::Damaged(format!("a block can't be decompressed: {e}"));
    let mut plain = Vec::new();
    match codec {
        "null" => return Ok(Cow::Borrowed(packed)),
        "deflate" => {
            let _ =
                flate2::read::DeflateDecoder::new(packed).read_to_end(&mut plain).map_err(|e| broken(e.to_string()))?;
        }
        "zstandard" => plain = zstd::stream::decode_all(packed).map_err(|e| broken(e.to_string()))?,
        "snappy" => {
            // A checksum of four bytes follows.
            let data = packed.len().checked_sub(4).and_then(|end| packed.get(..end));
            let Some(data) = data else { return damaged("a block is too short") };
            plain = snap::raw::Decoder::new().decompress_vec(data).map_err(|e| broken(e.to_string()))?;
        }
        other => return Err(Trouble::Unsupported(format!("its codec {other:?} is not supported"))),
    }
    Ok(Cow::Owned(plain))
}

/// An Avro file with the header of another one, whose blocks are not compressed.
#[derive(Debug)]
pub(super) struct Plain {
    header: Vec<u8>,
    bytes: Vec<u8>,
    sync: [u8; 16],
}

impl Plain {
    pub(super) fn new(like: &Container<'_>) -> Self {
        let sync = [0; 16];
        let header = header(&like.metadata, "null", sync);
        Self { bytes: header.clone(), header, sync }
    }

    /// Adds a block; gives the file, and begins another one, once it is large enough to be worth a reader.
    pub(super) fn block(&mut self, count: u64, plain: &[u8]) -> Option<Vec<u8>> {
        put_long(&mut self.bytes, count.cast_signed());
        put_bytes(&mut self.bytes, plain);
        self.bytes.extend_from_slice(&self.sync);
        (self.bytes.len() > 1 << 20).then(|| std::mem::replace(&mut self.bytes, self.header.clone()))
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

fn header(metadata: &BTreeMap<String, Vec<u8>>, codec: &str, sync: [u8; 16]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put_long(&mut bytes, i64::try_from(metadata.len()).unwrap_or(0) + 1);
    for (key, value) in metadata {
        put_bytes(&mut bytes, key.as_bytes());
        put_bytes(&mut bytes, value);
    }
    put_bytes(&mut bytes, CODEC.as_bytes());
    put_bytes(&mut bytes, codec.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&sync);
    bytes
}

/// An Avro file that is written block by block, compressed with deflate: what every reader has.
#[derive(Debug)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    sync: [u8; 16],
}

impl Packer {
    /// Begins a file with the header of another one.
    pub(super) fn new(like: &Container<'_>, sync: [u8; 16]) -> Self {
        let bytes = header(&like.metadata, "deflate", sync);
        Self { bytes, sync }
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn block(&mut self, count: u64, plain: &[u8]) -> Result<()> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        let packed = encoder.write_all(plain).and_then(|()| encoder.finish());
        let packed = packed.map_err(|e| Trouble::Damaged(format!("a block can't be compressed: {e}")))?;
        put_long(&mut self.bytes, count.cast_signed());
        put_bytes(&mut self.bytes, &packed);
        self.bytes.extend_from_slice(&self.sync);
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_read_the_numbers_that_it_writes() {
        for value in [0, 1, -1, 63, -64, 64, 1 << 40, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_long(&mut bytes, value);
            let mut cursor = Cursor(&bytes);
            assert_eq!((cursor.long().unwrap(), cursor.0.len()), (value, 0));
        }
        assert!(Cursor(&[0x80]).long().is_err());
        assert!(Cursor(&[0xff; 11]).long().is_err());
        assert!(Cursor(&[1]).bytes().is_err(), "a negative length");
        assert!(Cursor(&[4, 1]).bytes().is_err(), "too short");
    }

    #[test]
    fn should_read_the_blocks_of_every_codec() {
        let plain = b"abcabcabcabc".repeat(50);
        let mut packed = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        packed.extend_from_slice(&[0; 4]);
        assert_eq!(*unpack("snappy", &packed).unwrap(), plain);
        assert_eq!(*unpack("zstandard", &zstd::encode_all(&plain[..], 1).unwrap()).unwrap(), plain);
        assert_eq!(*unpack("null", &plain).unwrap(), plain);
        assert!(matches!(unpack("bzip2", &plain), Err(Trouble::Unsupported(_))));
        assert!(unpack("snappy", &[1]).is_err());
        let mut header = MAGIC.to_vec();
        header.push(0);
        header.extend_from_slice(&[7; 16]);
        let mut packer = Packer::new(&Container::open(&header).unwrap(), [9; 16]);
        packer.block(3, &plain).unwrap();
        let bytes = packer.finish();
        let mut read = Container::open(&bytes).unwrap();
        let (count, block) = read.block().unwrap().unwrap();
        assert_eq!((count, &*block), (3, &plain[..]));
        assert!(read.block().unwrap().is_none());
        assert!(Container::open(&bytes[..bytes.len() - 1]).unwrap().block().is_err(), "cut off");
        assert!(Container::open(b"Obj").is_err());
    }
}
