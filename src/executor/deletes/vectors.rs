//! Deletes written anew where a table has deletion vectors: one a data file, many in a file.

use super::puffin::Puffin;
use super::vector;
use super::write::read_back;
use crate::error::{Context, Result};
use crate::executor::sink::{Sink, failed};
use crate::executor::{Job, Written};
use crate::model::{NewFile, Verify};

/// Writes the masks of a job as deletion vectors.
///
/// # Errors
/// Those of writing; `Internal` when what was written is not what was to be (I3).
pub(in crate::executor) fn write(job: &Job, written: &Written) -> Result<Vec<NewFile>> {
    let mut order: Vec<usize> = (0..job.task.inputs.len()).collect();
    order.sort_by(|a, b| job.task.inputs[*a].path.cmp(&job.task.inputs[*b].path));
    let (mut open, mut made, mut files) = (None, Vec::new(), 0);
    for input in order {
        let mask = job.masks.of(input)?;
        let Some(bitmap) = mask.bitmap() else { continue };
        let mut file = match open.take() {
            Some(file) => file,
            None => {
                files += 1;
                Open::create(job, written, files - 1)?
            }
        };
        file.add(&job.task.inputs[input].path, &vector::serialize(bitmap)?, bitmap.len())?;
        if file.puffin.bytes() >= job.policy.target_delete_file_size_bytes {
            made.extend(file.close(job)?);
        } else {
            open = Some(file);
        }
    }
    if let Some(file) = open {
        made.extend(file.close(job)?);
    }
    if job.policy.verify == Verify::Content {
        read_back(job, &made).while_doing(|| "reading the new deletion vectors back")?;
    }
    Ok(made)
}

/// A file being written, and the vectors in it.
struct Open {
    location: String,
    puffin: Puffin<Sink>,
    made: Vec<NewFile>,
}

impl Open {
    fn create(job: &Job, written: &Written, number: usize) -> Result<Self> {
        let name = format!("{:05}-{number:05}-{}-deletes.puffin", job.task.id, job.ambient.uuid());
        let location = format!("{}/{name}", job.task.output.directory);
        written.add(&location);
        let class = job.task.output.storage_class.as_deref();
        let sink = Sink::create(&job.store, &location, class, &job.runtime, job.progress.clone())?;
        let puffin = Puffin::begin(sink).map_err(|e| failed(&location, e))?;
        Ok(Self { location, puffin, made: Vec::new() })
    }

    fn add(&mut self, data_file: &str, blob: &[u8], records: u64) -> Result<()> {
        let vector = self.puffin.add(data_file, blob, records).map_err(|e| failed(&self.location, e))?;
        self.made.push(NewFile {
            path: self.location.clone(),
            // Known once the file is complete.
            size: 0,
            records,
            columns: std::collections::BTreeMap::new(),
            split_offsets: Vec::new(),
            sort_order_id: None,
            vector: Some(vector),
            partition: None,
        });
        Ok(())
    }

    fn close(self, job: &Job) -> Result<Vec<NewFile>> {
        let Self { location, puffin, mut made } = self;
        let mut sink = puffin.end().map_err(|e| failed(&location, e))?;
        sink.finish()?;
        job.progress.file_done();
        made.iter_mut().for_each(|file| file.size = sink.total());
        Ok(made)
    }
}
