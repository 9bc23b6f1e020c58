//! The checksum of a saved plan: a plan that was edited by hand is refused, because nothing vouches for it any more.

use std::hash::Hasher;
use std::io::{self, Write};

use twox_hash::XxHash64;

use crate::error::{Error, Result};
use crate::model::{PLAN_VERSION, Plan, SavedPlan};

/// A plan with its checksum, ready to be saved.
///
/// # Errors
/// `Internal` when the plan can't be written as JSON.
pub fn seal(plan: Plan) -> Result<SavedPlan> {
    Ok(SavedPlan { version: PLAN_VERSION, checksum: checksum(&plan)?, plan })
}

/// Checks version and checksum of a plan that was read from a file.
///
/// # Errors
/// `InvalidInput` when the plan was edited, was never sealed, or has another version.
pub fn verify_seal(saved: &SavedPlan) -> Result<&Plan> {
    if saved.version != PLAN_VERSION {
        return Err(Error::invalid(format!("the plan has version {}, this build reads {PLAN_VERSION}", saved.version))
            .hint("plan again with this build"));
    }
    if saved.checksum != checksum(&saved.plan)? {
        return Err(Error::invalid(format!("the plan for {} was changed after it was made", saved.plan.table()))
            .hint("don't edit plans: change the options and plan again"));
    }
    Ok(&saved.plan)
}

/// The hash of a plan's JSON, which is not kept: of a plan that speaks of a million files it would take more memory than the
/// plan itself.
fn checksum(plan: &Plan) -> Result<String> {
    let mut hash = Hashing(XxHash64::with_seed(u64::from(PLAN_VERSION)));
    serde_json::to_writer(&mut hash, plan)
        .map_err(|e| Error::internal("the plan can't be written as JSON").caused_by(e))?;
    Ok(format!("{:016x}", hash.0.finish()))
}

struct Hashing(XxHash64);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
