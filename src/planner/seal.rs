//! The checksum of a saved plan: a plan that was edited by hand is refused, because nothing vouches for it any more.

use twox_hash::XxHash64;

use crate::error::{Error, Result};
use crate::model::{PLAN_VERSION, Plan};

/// Sets a plan's checksum.
///
/// # Errors
/// `Internal` when the plan can't be written as JSON.
pub fn seal(plan: &mut Plan) -> Result<()> {
    plan.checksum = Some(checksum(plan)?);
    Ok(())
}

/// Checks version and checksum of a plan that was read from a file.
///
/// # Errors
/// `InvalidInput` when the plan was edited, was never sealed, or has another version.
pub fn verify_seal(plan: &Plan) -> Result<()> {
    if plan.version != PLAN_VERSION {
        return Err(Error::invalid(format!("the plan has version {}, this build reads {PLAN_VERSION}", plan.version))
            .hint("plan again with this build"));
    }
    if plan.checksum.as_deref() != Some(checksum(plan)?.as_str()) {
        return Err(Error::invalid(format!("the plan for {} was changed after it was made", plan.table))
            .hint("don't edit plans: change the options and plan again"));
    }
    Ok(())
}

fn checksum(plan: &Plan) -> Result<String> {
    let bare = Plan { checksum: None, ..plan.clone() };
    let text =
        serde_json::to_vec(&bare).map_err(|e| Error::internal("the plan can't be written as JSON").caused_by(e))?;
    Ok(format!("{:016x}", XxHash64::oneshot(u64::from(PLAN_VERSION), &text)))
}
