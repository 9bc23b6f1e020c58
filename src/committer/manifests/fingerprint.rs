//! What must be equal before and after: how many entries, how many rows, and an order-free hash of every live entry with
//! its file, its snapshot, its sequence numbers and its row ids (I2, I3). Read with another decoder than the one that rewrites.

use serde::Deserialize;
use serde_avro_fast::object_container_file_encoding::Reader;
use twox_hash::XxHash64;

use super::avro::{Container, Plain, Result, Trouble};
use super::entry::Inherited;

/// Sums over live entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) entries: u64,
    pub(super) records: u64,
    hash: u64,
}

#[derive(Deserialize)]
struct Entry {
    status: i32,
    #[serde(default)]
    snapshot_id: Option<i64>,
    #[serde(default)]
    sequence_number: Option<i64>,
    #[serde(default)]
    file_sequence_number: Option<i64>,
    data_file: File,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    content: i32,
    file_path: String,
    record_count: i64,
    file_size_in_bytes: i64,
    #[serde(default)]
    sort_order_id: Option<i32>,
    #[serde(default)]
    first_row_id: Option<i64>,
}

/// The status of an entry whose file was deleted.
const DELETED: i32 = 2;

impl Fingerprint {
    /// Adds the live entries of a manifest. The decoder gets its blocks uncompressed: `PyIceberg` leaves three bytes of a
    /// checksum behind each compressed one, which it would refuse.
    pub(super) fn add(&mut self, manifest: &[u8], mut inherited: Inherited) -> Result<()> {
        let mut container = Container::open(manifest)?;
        let mut plain = Plain::new(&container);
        while let Some((count, block)) = container.block()? {
            if let Some(file) = plain.block(count, &block) {
                self.add_plain(&file, &mut inherited)?;
            }
        }
        self.add_plain(&plain.finish(), &mut inherited)
    }

    fn add_plain(&mut self, manifest: &[u8], inherited: &mut Inherited) -> Result<()> {
        let broken = |e: String| Trouble::Damaged(format!("an entry can't be read: {e}"));
        let mut reader = Reader::from_slice(manifest).map_err(|e| broken(e.to_string()))?;
        for entry in reader.deserialize::<Entry>() {
            let Entry { status, snapshot_id, sequence_number, file_sequence_number, data_file } =
                entry.map_err(|e| broken(e.to_string()))?;
            if status == DELETED {
                continue;
            }
            let sequence = |number: Option<i64>| number.unwrap_or(inherited.sequence_number);
            let (sequence_number, file_sequence_number) = (sequence(sequence_number), sequence(file_sequence_number));
            let first_row_id =
                inherited.row_ids.of_file(data_file.first_row_id, u64::try_from(data_file.record_count).unwrap_or(0));
            let mut bytes = data_file.file_path.into_bytes();
            for number in [
                snapshot_id.unwrap_or(inherited.snapshot_id),
                sequence_number,
                file_sequence_number,
                data_file.record_count,
                data_file.file_size_in_bytes,
                i64::from(data_file.content),
                i64::from(data_file.sort_order_id.unwrap_or(-1)),
                first_row_id.unwrap_or(-1),
            ] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            self.entries += 1;
            self.records = self.records.wrapping_add(data_file.record_count.cast_unsigned());
            self.hash = self.hash.wrapping_add(XxHash64::oneshot(0, &bytes));
        }
        Ok(())
    }
}
