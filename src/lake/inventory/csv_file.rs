//! A listing as CSV.

use std::fs::File;
use std::io::{BufReader, Read};

use chrono::DateTime;
use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;

use super::super::FileInfo;
use super::location;
use crate::error::{Error, Result};

/// The columns when neither a manifest nor a header names them.
const DEFAULT: [&str; 4] = ["Bucket", "Key", "Size", "LastModifiedDate"];

/// Where the columns of interest are.
struct Columns {
    bucket: usize,
    key: usize,
    size: usize,
    modified: usize,
    latest: Option<usize>,
    marker: Option<usize>,
}

impl Columns {
    fn find<T: AsRef<str>>(names: &[T]) -> Result<Self> {
        let at = |wanted: &str| names.iter().position(|name| name.as_ref().trim().eq_ignore_ascii_case(wanted));
        let need = |wanted: &str| {
            at(wanted).ok_or_else(|| {
                Error::invalid(format!("the listing has no column {wanted}"))
                    .hint("let the inventory have Bucket, Key, Size and LastModifiedDate")
            })
        };
        Ok(Self {
            bucket: need("Bucket")?,
            key: need("Key")?,
            size: need("Size")?,
            modified: need("LastModifiedDate")?,
            latest: at("IsLatest"),
            marker: at("IsDeleteMarker"),
        })
    }
}

/// Reads all rows; `take` says whether it wants more.
pub(super) fn read(file: File, gzipped: bool, names: &[String], take: &mut dyn FnMut(FileInfo) -> bool) -> Result<()> {
    let from: Box<dyn Read> =
        if gzipped { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(BufReader::new(file)) };
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(from);
    let mut columns = if names.is_empty() { None } else { Some(Columns::find(names)?) };
    let mut row = ByteRecord::new();
    let mut line = 0_u64;
    while reader.read_byte_record(&mut row).map_err(|e| Error::invalid("the listing is no CSV").caused_by(e))? {
        line += 1;
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                let first: Vec<String> = row.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
                let header = first.iter().any(|cell| cell.eq_ignore_ascii_case("LastModifiedDate"));
                let found = columns.insert(if header { Columns::find(&first)? } else { Columns::find(&DEFAULT)? });
                if header {
                    continue;
                }
                found
            }
        };
        if let Some(info) = parse(&row, columns).map_err(|what| {
            Error::invalid(format!("line {line} of the listing {what}"))
                .hint("name the inventory's manifest.json: it says which column is which")
        })? && !take(info)
        {
            return Ok(());
        }
    }
    Ok(())
}

fn parse(row: &ByteRecord, columns: &Columns) -> std::result::Result<Option<FileInfo>, &'static str> {
    let cell = |at: usize| row.get(at).and_then(|bytes| str::from_utf8(bytes).ok()).ok_or("has too few columns");
    let says = |at: Option<usize>, word: &str| match at {
        Some(at) => cell(at).map(|text| text.eq_ignore_ascii_case(word)),
        None => Ok(false),
    };
    // Older versions, and marks of removed objects, are not what a reader sees.
    if says(columns.latest, "false")? || says(columns.marker, "true")? {
        return Ok(None);
    }
    let size = cell(columns.size)?.parse().map_err(|_| "has no number where the size should be")?;
    let modified = DateTime::parse_from_rfc3339(cell(columns.modified)?)
        .map_err(|_| "has no time where LastModifiedDate should be")?;
    let key = decode(cell(columns.key)?).ok_or("has a key that is not encoded as a URL")?;
    let location = location(cell(columns.bucket)?, &key);
    Ok(location.map(|location| FileInfo { location, size, modified_ms: modified.timestamp_millis() }))
}

/// Keys in CSV inventories are encoded as in a URL's query: `+` is a space, `%xx` a byte.
fn decode(key: &str) -> Option<String> {
    if !key.contains(['%', '+']) {
        return Some(key.to_owned());
    }
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (hex, after) = tail.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_decode_keys_as_the_store_encodes_them() {
        assert_eq!(decode("db/t/y%3D2024/a+b%2Bc%C3%A9.parquet").unwrap(), "db/t/y=2024/a b+cé.parquet");
        assert_eq!(decode("plain").unwrap(), "plain");
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
