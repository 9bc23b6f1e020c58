//! Records on disk, for a while.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use crate::error::{Error, Result};
use crate::executor::sink::failed;
use crate::lake::Ambient;

/// Written at a time.
const BUFFER: usize = 64 << 10;

/// A file that nobody else sees: its name is removed as soon as it is open, so that a crash leaves nothing behind.
#[derive(Debug)]
pub(super) struct Spill {
    file: BufWriter<File>,
    location: String,
}

impl Spill {
    /// Opens a file in the system's folder for temporary files (`TMPDIR`).
    pub(super) fn create(ambient: &Ambient) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("icewright-{}.spill", ambient.uuid()));
        let location = path.display().to_string();
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|file| std::fs::remove_file(&path).map(|()| file));
        let file = opened.map_err(|e| failed(&location, e))?;
        Ok(Self { file: BufWriter::with_capacity(BUFFER, file), location })
    }

    /// Appends a record: a number and some bytes.
    pub(super) fn write(&mut self, number: i64, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len()).map_err(|e| Error::corrupt("a key of 4 GiB").caused_by(e))?;
        let mut put = |bytes: &[u8]| self.file.write_all(bytes);
        put(&number.to_le_bytes())
            .and_then(|()| put(&length.to_le_bytes()))
            .and_then(|()| put(bytes))
            .map_err(|e| failed(&self.location, e))
    }

    /// Hands on all records in the order in which they were written.
    pub(super) fn read(self, mut take: impl FnMut(i64, &[u8]) -> Result<()>) -> Result<()> {
        let location = self.location;
        let mut file = self.file.into_inner().map_err(|e| failed(&location, e.into_error()))?;
        let mut left = file.stream_position().map_err(|e| failed(&location, e))?;
        file.seek(SeekFrom::Start(0)).map_err(|e| failed(&location, e))?;
        let mut reader = BufReader::with_capacity(BUFFER, file);
        let (mut number, mut length, mut bytes) = ([0; 8], [0; 4], Vec::new());
        while left > 0 {
            let mut get = |bytes: &mut [u8]| reader.read_exact(bytes).map_err(|e| failed(&location, e));
            get(&mut number)?;
            get(&mut length)?;
            bytes.resize(u32::from_le_bytes(length) as usize, 0);
            get(&mut bytes)?;
            left -= 12 + bytes.len() as u64;
            take(i64::from_le_bytes(number), &bytes)?;
        }
        Ok(())
    }
}
