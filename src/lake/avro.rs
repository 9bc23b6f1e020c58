//! Records of an Avro container file, decoded quickly into a part of their fields.
//!
//! The `serde_avro_fast` crate decodes records at many times the speed of `apache-avro`, but its reader of containers
//! refuses a deflated block with bytes after the end of the stream. PyIceberg writes such blocks: three bytes of zlib's
//! checksum stay behind each. Other readers ignore them, and so does this one.

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;

use flate2::bufread::DeflateDecoder;
use serde::de::DeserializeOwned;
use serde_avro_fast::Schema;
use serde_avro_fast::de::DeserializerState;
use serde_avro_fast::object_container_file_encoding::Reader;

type Failure = Box<dyn Error + Send + Sync>;

/// What went wrong: the container itself, or whoever took its records.
#[derive(Debug)]
pub(super) enum Stopped<E> {
    /// The container can't be read.
    Damaged(Failure),
    /// `each` gave up.
    Taker(E),
}

/// Hands every record to `each`, in order.
pub(super) fn each_record<T: DeserializeOwned, E>(
    bytes: &[u8],
    each: impl FnMut(T) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    Container::open(bytes).map_err(Stopped::Damaged)?.each_record(each)
}

/// The frame of a container file (Avro specification, "Object Container Files").
pub(super) struct Container<'a> {
    bytes: &'a [u8],
    schema: Schema,
    codec: String,
    head: Vec<(&'a [u8], &'a [u8])>,
    sync: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Container<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Failure> {
        let mut rest = bytes.strip_prefix(b"Obj\x01").ok_or("it does not begin like an Avro file")?;
        let (mut schema, mut codec, mut head) = (None, "null".to_owned(), Vec::new());
        loop {
            let mut entries = long(&mut rest)?;
            if entries == 0 {
                break;
            }
            if entries < 0 {
                // The block's size in bytes follows, for those who skip it.
                long(&mut rest)?;
                entries = entries.checked_neg().ok_or("a header of that size")?;
            }
            for _ in 0..entries {
                let key = text(&mut rest)?;
                let value = text(&mut rest)?;
                match key {
                    b"avro.schema" => schema = Some(str::from_utf8(value)?.parse::<Schema>()?),
                    b"avro.codec" => codec = str::from_utf8(value)?.to_owned(),
                    _ => head.push((key, value)),
                }
            }
        }
        let sync = take(&mut rest, 16)?;
        Ok(Self { bytes, schema: schema.ok_or("it has no schema")?, codec, head, sync, rest })
    }

    /// What the head says beside the container's own keys: `schema`, `partition-spec` and so on of a manifest.
    pub(super) fn head(&self) -> Result<HashMap<String, Vec<u8>>, Failure> {
        self.head.iter().map(|(key, value)| Ok((str::from_utf8(key)?.to_owned(), value.to_vec()))).collect()
    }

    /// Hands every record to `each`, in order.
    pub(super) fn each_record<T: DeserializeOwned, E>(
        mut self,
        mut each: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        let damaged = |e: Failure| Stopped::Damaged(e);
        if self.codec != "deflate" {
            let mut reader = Reader::from_slice(self.bytes).map_err(|e| damaged(e.into()))?;
            for record in reader.deserialize::<T>() {
                each(record.map_err(|e| damaged(e.into()))?).map_err(Stopped::Taker)?;
            }
            return Ok(());
        }
        // PyIceberg makes every record a block: what inflates them is made once.
        let (mut plain, mut inflate) = (Vec::new(), DeflateDecoder::new(self.bytes));
        while let Some((count, block)) = self.block().map_err(damaged)? {
            plain.clear();
            inflate.reset(block);
            inflate.read_to_end(&mut plain).map_err(|e| damaged(e.into()))?;
            let mut state = DeserializerState::from_slice(&plain, &self.schema);
            for _ in 0..count {
                let record = T::deserialize(state.deserializer()).map_err(|e| damaged(e.into()))?;
                each(record).map_err(Stopped::Taker)?;
            }
        }
        Ok(())
    }

    /// The next block: how many records, and their bytes.
    fn block(&mut self) -> Result<Option<(i64, &'a [u8])>, Failure> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let count = long(&mut self.rest)?;
        let block = text(&mut self.rest)?;
        if take(&mut self.rest, 16)? != self.sync {
            return Err("a block does not end where it should".into());
        }
        Ok(Some((count, block)))
    }
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Result<&'a [u8], Failure> {
    let (taken, rest) = from.split_at_checked(count).ok_or("it ends too early")?;
    *from = rest;
    Ok(taken)
}

/// A number in seven bits a byte, zigzag.
fn long(from: &mut &[u8]) -> Result<i64, Failure> {
    let (mut value, mut shift) = (0_u64, 0_u32);
    loop {
        let byte = u64::from(take(from, 1)?[0]);
        value |= (byte & 0x7f).checked_shl(shift).ok_or("a number that is too long")?;
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
        shift += 7;
    }
}

fn text<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], Failure> {
    let length = usize::try_from(long(from)?)?;
    take(from, length)
}

#[cfg(test)]
mod tests {
    use apache_avro::types::Record;
    use apache_avro::{Codec, DeflateSettings, Writer};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Row {
        id: i64,
    }

    fn written(codec: Codec, rows: i64) -> Vec<u8> {
        let schema = apache_avro::Schema::parse_str(
            r#"{"type": "record", "name": "r", "fields": [{"name": "text", "type": "string"}, {"name": "id", "type": "long"}]}"#,
        )
        .unwrap();
        let mut writer = Writer::with_codec(&schema, Vec::new(), codec);
        for id in 0..rows {
            let mut record = Record::new(&schema).unwrap();
            record.put("text", "some words ".repeat(9));
            record.put("id", id);
            writer.append(record).unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<i64>, Stopped<()>> {
        let mut ids = Vec::new();
        each_record(bytes, |row: Row| {
            ids.push(row.id);
            Ok(())
        })?;
        Ok(ids)
    }

    /// As PyIceberg leaves it: bytes of a checksum after the deflated stream, counted in the block's size.
    fn with_trailing_bytes(bytes: &[u8]) -> Vec<u8> {
        let container = Container::open(bytes).unwrap();
        let head = bytes.len() - container.rest.len();
        let mut out = bytes[..head].to_vec();
        let (sync, mut rest) = (container.sync.to_vec(), container);
        let number = |out: &mut Vec<u8>, n: i64| {
            let mut n = (n << 1).cast_unsigned();
            while n >= 0x80 {
                out.push((n & 0x7f) as u8 | 0x80);
                n >>= 7;
            }
            out.push(n as u8);
        };
        while let Some((count, block)) = rest.block().unwrap() {
            number(&mut out, count);
            number(&mut out, block.len() as i64 + 3);
            out.extend_from_slice(block);
            out.extend_from_slice(&[7, 7, 7]);
            out.extend_from_slice(&sync);
        }
        out
    }

    #[test]
    fn should_read_every_codec_and_what_pyiceberg_leaves_behind() {
        let deflate = || Codec::Deflate(DeflateSettings::default());
        let expected: Vec<i64> = (0..2000).collect();
        assert_eq!(read(&written(deflate(), 2000)).unwrap(), expected);
        assert_eq!(read(&written(Codec::Null, 2000)).unwrap(), expected);
        assert_eq!(read(&with_trailing_bytes(&written(deflate(), 2000))).unwrap(), expected);
    }

    #[test]
    fn should_refuse_damage_wherever_it_is() {
        // One block: a file that is cut between two of them can be told only by its length.
        let whole = written(Codec::Deflate(DeflateSettings::default()), 20);
        let cut: Vec<usize> = (0..whole.len()).filter(|end| read(&whole[..*end]).is_ok()).collect();
        assert!(cut.len() <= 1 && read(&whole).unwrap().len() == 20, "{cut:?}");
        assert!(cut.iter().all(|end| read(&whole[..*end]).unwrap().is_empty()), "no record goes unnoticed");
        assert!(read(b"PAR1").is_err());
        let mut stop = each_record(&whole, |_: Row| Err("enough"));
        assert!(matches!(stop, Err(Stopped::Taker("enough"))));
        stop = each_record(&whole[1..], |_: Row| Ok(()));
        assert!(matches!(stop, Err(Stopped::Damaged(_))));
    }
}
