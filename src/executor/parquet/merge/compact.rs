//! Thrift's compact protocol, as much of it as page headers use.

use super::stop::{Result, damaged};

/// Wire types.
pub(super) const BOOLEAN_TRUE: u8 = 1;
pub(super) const I32: u8 = 5;
pub(super) const STRUCT: u8 = 12;
/// How deep structs may nest in what is skipped.
const DEEPEST: u32 = 16;

/// Reads fields.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Reads a struct: calls `each` with the id and the wire type of every field.
    pub(super) fn fields(&mut self, mut each: impl FnMut(&mut Self, i16, u8) -> Result<()>) -> Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return damaged("a page header nests too deeply");
        }
        let mut id = 0i16;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                self.depth -= 1;
                return Ok(());
            }
            id = match byte >> 4 {
                0 => i16::try_from(self.number()?).or_else(|_| damaged("a page header has a field id out of range"))?,
                delta => id.checked_add(i16::from(delta)).map_or_else(|| damaged("too many fields"), Ok)?,
            };
            each(self, id, byte & 0x0f)?;
        }
    }

    /// A zigzag number of any width.
    pub(super) fn number(&mut self) -> Result<i64> {
        let raw = self.varint()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, wire: u8) -> Result<()> {
        match wire {
            1 | 2 => Ok(()),
            3 => self.advance(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.advance(8),
            8 => {
                let length = self.varint()?;
                self.advance(usize::try_from(length).unwrap_or(usize::MAX))
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                self.repeat(count, |reader| match head & 0x0f {
                    1 | 2 => reader.advance(1),
                    element => reader.skip(element),
                })
            }
            STRUCT => self.fields(|reader, _, wire| reader.skip(wire)),
            _ => damaged("a page header has a field of an unknown type"),
        }
    }

    fn repeat(&mut self, count: u64, mut each: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST || count > self.bytes.len() as u64 {
            return damaged("a page header has a list that can't be");
        }
        for _ in 0..count {
            each(self)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        damaged("a page header has a number that does not end")
    }

    fn byte(&mut self) -> Result<u8> {
        let Some(byte) = self.bytes.get(self.at) else { return damaged("a page header is cut off") };
        self.at += 1;
        Ok(*byte)
    }

    fn advance(&mut self, by: usize) -> Result<()> {
        match self.at.checked_add(by).filter(|end| *end <= self.bytes.len()) {
            Some(end) => {
                self.at = end;
                Ok(())
            }
            None => damaged("a page header is cut off"),
        }
    }
}

/// Writes fields in ascending order of their ids.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    last: u8,
    outer: Option<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, last: 0, outer: None }
    }

    pub(super) fn i32(&mut self, id: u8, value: i64) {
        self.field(id, I32);
        varint(self.out, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(super) fn open(&mut self, id: u8) {
        self.field(id, STRUCT);
        self.outer = Some(self.last);
        self.last = 0;
    }

    pub(super) fn close(&mut self) {
        self.out.push(0);
        if let Some(outer) = self.outer.take() {
            self.last = outer;
        }
    }

    fn field(&mut self, id: u8, wire: u8) {
        // Ids of page headers ascend by less than 16.
        self.out.push(((id - self.last) << 4) | wire);
        self.last = id;
    }
}

/// Appends an unsigned LEB128 number.
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}
