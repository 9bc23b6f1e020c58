//! Page headers: the few fields that pages need, in Thrift's compact protocol (parquet-format, `parquet.thrift`).
//!
//! `parquet` keeps its own reader private and always decompresses; moving pages needs the header and the bytes below it.

use super::compact::{BOOLEAN_TRUE, I32, Reader, STRUCT, Writer};
use super::stop::{Result, damaged};

/// Page types of the format.
const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;

/// The ids of encodings.
pub(super) mod encoding {
    pub(crate) const PLAIN: i32 = 0;
    pub(crate) const PLAIN_DICTIONARY: i32 = 2;
    pub(crate) const RLE: i32 = 3;
    pub(crate) const DELTA_BINARY_PACKED: i32 = 5;
    pub(crate) const DELTA_LENGTH_BYTE_ARRAY: i32 = 6;
    pub(crate) const DELTA_BYTE_ARRAY: i32 = 7;
    pub(crate) const RLE_DICTIONARY: i32 = 8;
    pub(crate) const BYTE_STREAM_SPLIT: i32 = 9;
}

/// What a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Levels inside of the compressed body, each with its length before it.
    Data {
        values: usize,
        encoding: i32,
        definition: i32,
        repetition: i32,
    },
    /// Levels of so many bytes before the body, never compressed.
    DataV2 {
        values: usize,
        encoding: i32,
        definition: usize,
        repetition: usize,
        compressed: bool,
    },
    Dictionary {
        values: usize,
        encoding: i32,
    },
    /// An index page, or a kind of a later format: skipped.
    Other,
}

/// One page's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Bytes of the body as it lies in the file.
    pub(super) compressed: usize,
    /// Bytes of the body once decompressed.
    pub(super) uncompressed: usize,
    /// CRC-32 of the body as it lies in the file.
    pub(super) crc: Option<u32>,
}

/// The fields of a page header's inner struct, by field id; booleans are 0 and 1.
struct Details([Option<i64>; 9]);

impl Details {
    fn code(&self, field: usize) -> Result<i32> {
        match self.0[field].map(i32::try_from) {
            Some(Ok(code)) => Ok(code),
            _ => damaged("a page header lacks an encoding"),
        }
    }

    fn size(&self, field: usize) -> Result<usize> {
        match self.0[field].map(i32::try_from).map(|size| size.map(usize::try_from)) {
            Some(Ok(Ok(size))) => Ok(size),
            _ => damaged("a page header lacks a count, or it is negative"),
        }
    }
}

impl Header {
    /// Reads a header and says how many bytes it took.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        let mut top = Details([None; 9]);
        let mut inner: Option<(i16, Details)> = None;
        reader.fields(|reader, id, wire| match (usize::try_from(id), wire) {
            (Ok(field @ 1..=4), I32) => {
                top.0[field] = Some(reader.number()?);
                Ok(())
            }
            (Ok(5 | 7 | 8), STRUCT) => {
                inner = Some((id, details(reader)?));
                Ok(())
            }
            _ => reader.skip(wire),
        })?;
        let kind = match (top.0[1], inner) {
            (Some(DATA), Some((5, data))) => Kind::Data {
                values: data.size(1)?,
                encoding: data.code(2)?,
                definition: data.code(3)?,
                repetition: data.code(4)?,
            },
            (Some(DATA_V2), Some((8, data))) => Kind::DataV2 {
                values: data.size(1)?,
                encoding: data.code(4)?,
                definition: data.size(5)?,
                repetition: data.size(6)?,
                compressed: data.0[7] != Some(0),
            },
            (Some(DICTIONARY), Some((7, data))) => Kind::Dictionary { values: data.size(1)?, encoding: data.code(2)? },
            (Some(DATA | DATA_V2 | DICTIONARY) | None, _) => return damaged("a page header does not fit its page"),
            _ => Kind::Other,
        };
        // The checksum is a signed 32-bit field that holds unsigned bits.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low 32 bits are meant")]
        let crc = top.0[4].map(|crc| crc as u32);
        Ok((Self { kind, compressed: top.size(3)?, uncompressed: top.size(2)?, crc }, reader.position()))
    }
}

fn details(reader: &mut Reader<'_>) -> Result<Details> {
    let mut found = Details([None; 9]);
    reader.fields(|reader, id, wire| match (usize::try_from(id), wire) {
        (Ok(field @ 1..=8), I32) => {
            found.0[field] = Some(reader.number()?);
            Ok(())
        }
        (Ok(field @ 1..=8), wire) if wire <= 2 => {
            found.0[field] = Some(i64::from(wire == BOOLEAN_TRUE));
            Ok(())
        }
        _ => reader.skip(wire),
    })?;
    Ok(found)
}

/// Appends the header of a version 1 data page whose levels are RLE.
pub(super) fn write_data(out: &mut Vec<u8>, values: usize, encoding: i32, uncompressed: usize, compressed: usize) {
    let mut writer = Writer::new(out);
    writer.sizes(DATA, uncompressed, compressed);
    writer.open(5);
    writer.i32(1, values as i64);
    writer.i32(2, i64::from(encoding));
    writer.i32(3, i64::from(encoding::RLE));
    writer.i32(4, i64::from(encoding::RLE));
    writer.close();
    writer.close();
}

/// Appends the header of a dictionary page.
pub(super) fn write_dictionary(out: &mut Vec<u8>, values: usize, uncompressed: usize, compressed: usize) {
    let mut writer = Writer::new(out);
    writer.sizes(DICTIONARY, uncompressed, compressed);
    writer.open(7);
    writer.i32(1, values as i64);
    writer.i32(2, i64::from(encoding::PLAIN));
    writer.close();
    writer.close();
}

impl Writer<'_> {
    fn sizes(&mut self, kind: i64, uncompressed: usize, compressed: usize) {
        self.i32(1, kind);
        self.i32(2, uncompressed as i64);
        self.i32(3, compressed as i64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_read_what_it_writes(values in 0usize..1 << 30, encoding in 0i32..10, size in 0usize..1 << 30, small in 0usize..1 << 30) {
            let mut bytes = Vec::new();
            write_data(&mut bytes, values, encoding, size, small);
            let data = bytes.len();
            write_dictionary(&mut bytes, values, size, small);
            let kind = Kind::Data { values, encoding, definition: encoding::RLE, repetition: encoding::RLE };
            let expected = Header { kind, compressed: small, uncompressed: size, crc: None };
            prop_assert_eq!(Header::read(&bytes), Ok((expected, data)));
            let kind = Kind::Dictionary { values, encoding: encoding::PLAIN };
            let expected = Header { kind, compressed: small, uncompressed: size, crc: None };
            prop_assert_eq!(Header::read(&bytes[data..]), Ok((expected, bytes.len() - data)));
        }

        #[test]
        fn should_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::read(&bytes);
        }
    }
}
