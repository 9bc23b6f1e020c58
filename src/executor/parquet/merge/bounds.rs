//! Least and greatest values, taken from PLAIN bytes: what statistics and the page index are made of.

use parquet::basic::Type as Physical;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescriptor;

use super::dictionary::{Layout, item};
use super::stop::Result;
use crate::lake::parquet_schema::is_decimal;

/// How values of a column compare (parquet-format, "ColumnOrder").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// One byte each, 0 or 1 (unpacked).
    Bool,
    I32,
    I64,
    F32,
    F64,
    /// Unsigned bytes.
    Bytes,
    /// Big-endian two's complement of a fixed length.
    Decimal,
    /// None that writers agree on (INT96).
    Unknown,
}

impl Order {
    pub(super) fn of(column: &ColumnDescriptor) -> Self {
        match column.physical_type() {
            Physical::BOOLEAN => Self::Bool,
            Physical::INT32 => Self::I32,
            Physical::INT64 => Self::I64,
            Physical::FLOAT => Self::F32,
            Physical::DOUBLE => Self::F64,
            Physical::FIXED_LEN_BYTE_ARRAY if is_decimal(column) => Self::Decimal,
            Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => Self::Bytes,
            Physical::INT96 => Self::Unknown,
        }
    }
}

impl Order {
    /// Whether a PLAIN value is not a number.
    pub(super) fn is_nan(self, plain: &[u8]) -> bool {
        match self {
            Self::F32 => plain.try_into().is_ok_and(|bytes| f32::from_le_bytes(bytes).is_nan()),
            Self::F64 => plain.try_into().is_ok_and(|bytes| f64::from_le_bytes(bytes).is_nan()),
            _ => false,
        }
    }
}

/// Least and greatest value of a page or a chunk.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Limits {
    None,
    Bool(bool, bool),
    I32(i32, i32),
    I64(i64, i64),
    F32(f32, f32),
    F64(f64, f64),
    Bytes(Vec<u8>, Vec<u8>),
    Decimal(Vec<u8>, Vec<u8>),
}

/// Limits being found, and how many NaNs were passed over.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    order: Order,
    pub(super) limits: Limits,
    pub(super) nans: u64,
}

impl Extent {
    pub(super) fn new(order: Order) -> Self {
        Self { order, limits: Limits::None, nans: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.limits = Limits::None;
        self.nans = 0;
    }

    /// Takes in `count` values at the head of PLAIN bytes, and says how many bytes they are.
    pub(super) fn add(&mut self, layout: Layout, plain: &[u8], count: usize) -> Result<usize> {
        match layout {
            Layout::Fixed(width) => {
                let bytes = width * count;
                self.add_fixed(&plain[..bytes], width);
                Ok(bytes)
            }
            Layout::Bytes if count == 1 => {
                let length = item(plain, 0)?;
                self.add_bytes(&plain[4..length]);
                Ok(length)
            }
            Layout::Bytes => self.add_items(plain, count),
        }
    }

    fn add_fixed(&mut self, plain: &[u8], width: usize) {
        let found = match self.order {
            Order::Bool => plain.iter().fold(Limits::None, |limits, byte| limits.with(Limits::bool(*byte != 0))),
            Order::I32 => signed(plain.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)))
                .map_or(Limits::None, |(low, high)| Limits::I32(low, high)),
            Order::I64 => signed(plain.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)))
                .map_or(Limits::None, |(low, high)| Limits::I64(low, high)),
            Order::F32 => {
                let floats = plain.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
                let (low, high, nans) = floating(floats);
                self.nans += nans;
                #[expect(clippy::cast_possible_truncation, reason = "both were f32 before")]
                let (low, high) = (low as f32, high as f32);
                if nans as usize * 4 == plain.len() { Limits::None } else { Limits::F32(low, high) }
            }
            Order::F64 => {
                let (low, high, nans) =
                    floating(plain.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)));
                self.nans += nans;
                if nans as usize * 8 == plain.len() { Limits::None } else { Limits::F64(low, high) }
            }
            Order::Bytes | Order::Decimal => {
                plain.chunks_exact(width).for_each(|value| self.add_bytes(value));
                return;
            }
            Order::Unknown => return,
        };
        self.limits = std::mem::replace(&mut self.limits, Limits::None).with(found);
    }

    fn add_items(&mut self, plain: &[u8], count: usize) -> Result<usize> {
        if count == 0 {
            return Ok(0);
        }
        let before = std::mem::replace(&mut self.limits, Limits::None);
        let first = &plain[4..item(plain, 0)?];
        let (mut low, mut high) = match &before {
            Limits::Bytes(low, high) => (low.as_slice(), high.as_slice()),
            _ => (first, first),
        };
        // The first eight bytes decide nearly always.
        let (mut low_head, mut high_head) = (head(low), head(high));
        let mut at = 0;
        for _ in 0..count {
            let length = item(plain, at)?;
            let value = &plain[at + 4..at + length];
            at += length;
            let head = head(value);
            if head <= low_head && value < low {
                (low, low_head) = (value, head);
            }
            if head >= high_head && value > high {
                (high, high_head) = (value, head);
            }
        }
        self.limits = Limits::Bytes(low.to_vec(), high.to_vec());
        Ok(at)
    }

    fn add_bytes(&mut self, value: &[u8]) {
        match &mut self.limits {
            Limits::Bytes(low, high) => {
                if value < low.as_slice() {
                    low.clear();
                    low.extend_from_slice(value);
                } else if value > high.as_slice() {
                    high.clear();
                    high.extend_from_slice(value);
                }
            }
            Limits::Decimal(low, high) => {
                if number(value) < number(low) {
                    *low = value.to_vec();
                } else if number(value) > number(high) {
                    *high = value.to_vec();
                }
            }
            _ if self.order == Order::Decimal => self.limits = Limits::Decimal(value.to_vec(), value.to_vec()),
            _ if self.order == Order::Bytes => self.limits = Limits::Bytes(value.to_vec(), value.to_vec()),
            _ => {}
        }
    }

    /// Takes in what was found elsewhere.
    pub(super) fn merge(&mut self, other: &Limits) {
        self.limits = std::mem::replace(&mut self.limits, Limits::None).with(other.clone());
    }
}

fn signed<T: Ord + Copy>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(low, high), value| (low.min(value), high.max(value))))
}

/// Least and greatest value that is a number, and how many are none. Four values at a time, so that no comparison has to
/// wait for the one before.
fn floating(mut values: impl ExactSizeIterator<Item = f64>) -> (f64, f64, u64) {
    let (mut low, mut high, mut nans) = ([f64::INFINITY; 4], [f64::NEG_INFINITY; 4], [0u64; 4]);
    let mut take = |lane: usize, value: f64| {
        nans[lane] += u64::from(value.is_nan());
        low[lane] = if value < low[lane] { value } else { low[lane] };
        high[lane] = if value > high[lane] { value } else { high[lane] };
    };
    while values.len() >= 4 {
        (0..4).for_each(|lane| values.next().into_iter().for_each(|value| take(lane, value)));
    }
    values.enumerate().for_each(|(lane, value)| take(lane, value));
    (
        low.into_iter().fold(f64::INFINITY, f64::min),
        high.into_iter().fold(f64::NEG_INFINITY, f64::max),
        nans.iter().sum(),
    )
}

/// The first eight bytes as a number; shorter values are padded, so that equal heads say nothing.
fn head(value: &[u8]) -> u64 {
    match value.first_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..value.len()].copy_from_slice(value);
            u64::from_be_bytes(bytes)
        }
    }
}

/// A big-endian number as something that compares: the sign bit turned, then unsigned bytes.
fn number(value: &[u8]) -> (u8, &[u8]) {
    value.split_first().map_or((0, value), |(first, rest)| (first ^ 0x80, rest))
}

impl Limits {
    fn bool(value: bool) -> Self {
        Self::Bool(value, value)
    }

    /// The wider of two.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, other) => other,
            (this, Self::None) => this,
            (Self::Bool(a, b), Self::Bool(c, d)) => Self::Bool(a & c, b | d),
            (Self::I32(a, b), Self::I32(c, d)) => Self::I32(a.min(c), b.max(d)),
            (Self::I64(a, b), Self::I64(c, d)) => Self::I64(a.min(c), b.max(d)),
            (Self::F32(a, b), Self::F32(c, d)) => Self::F32(a.min(c), b.max(d)),
            (Self::F64(a, b), Self::F64(c, d)) => Self::F64(a.min(c), b.max(d)),
            (Self::Bytes(a, b), Self::Bytes(c, d)) => Self::Bytes(a.min(c), b.max(d)),
            (Self::Decimal(a, b), Self::Decimal(c, d)) => {
                Self::Decimal(if number(&c) < number(&a) { c } else { a }, if number(&d) > number(&b) { d } else { b })
            }
            (this, _) => this,
        }
    }

    /// Whether neither limit is above the other's; byte arrays never say so, because theirs are cut.
    pub(super) fn before(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a, b), Self::Bool(c, d)) => a <= c && b <= d,
            (Self::I32(a, b), Self::I32(c, d)) => a <= c && b <= d,
            (Self::I64(a, b), Self::I64(c, d)) => a <= c && b <= d,
            (Self::F32(a, b), Self::F32(c, d)) => a <= c && b <= d,
            (Self::F64(a, b), Self::F64(c, d)) => a <= c && b <= d,
            _ => false,
        }
    }

    /// Both as PLAIN has them, without lengths.
    pub(super) fn bytes(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        Some(match self {
            Self::None => return None,
            Self::Bool(low, high) => (vec![u8::from(*low)], vec![u8::from(*high)]),
            Self::I32(low, high) => (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec()),
            Self::I64(low, high) => (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec()),
            // A zero among the limits stands for both zeros (parquet-format, "ColumnOrder").
            Self::F32(low, high) => {
                let (low, high) = (if *low == 0.0 { -0.0 } else { *low }, if *high == 0.0 { 0.0 } else { *high });
                (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec())
            }
            Self::F64(low, high) => {
                let (low, high) = (if *low == 0.0 { -0.0 } else { *low }, if *high == 0.0 { 0.0 } else { *high });
                (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec())
            }
            Self::Bytes(low, high) | Self::Decimal(low, high) => (low.clone(), high.clone()),
        })
    }
}

/// The statistics of a chunk.
pub(super) fn statistics(limits: &Limits, column: &ColumnDescriptor, nulls: u64) -> Statistics {
    let (low, high) = limits.bytes().unzip();
    let nulls = Some(nulls);
    macro_rules! fixed {
        ($kind:ty) => {{
            let value = |bytes: Option<Vec<u8>>| bytes.and_then(|b| b.try_into().ok()).map(<$kind>::from_le_bytes);
            ValueStatistics::<$kind>::new(value(low), value(high), None, nulls, false)
                .with_backwards_compatible_min_max(true)
                .into()
        }};
    }
    match column.physical_type() {
        Physical::BOOLEAN => {
            let value = |bytes: Option<Vec<u8>>| bytes.map(|b| b != [0]);
            ValueStatistics::<bool>::new(value(low), value(high), None, nulls, false)
                .with_backwards_compatible_min_max(true)
                .into()
        }
        Physical::INT32 => fixed!(i32),
        Physical::INT64 => fixed!(i64),
        Physical::FLOAT => fixed!(f32),
        Physical::DOUBLE => fixed!(f64),
        Physical::BYTE_ARRAY => {
            let value = |bytes: Option<Vec<u8>>| bytes.map(ByteArray::from);
            Statistics::byte_array(value(low), value(high), None, nulls, false)
        }
        Physical::FIXED_LEN_BYTE_ARRAY => {
            let value = |bytes: Option<Vec<u8>>| bytes.map(|b| FixedLenByteArray::from(ByteArray::from(b)));
            Statistics::fixed_len_byte_array(value(low), value(high), None, nulls, false)
        }
        Physical::INT96 => Statistics::int96(None, None, None, nulls, false),
    }
}
