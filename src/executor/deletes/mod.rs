//! Deleted rows: which rows of a task's inputs do not live on.
//!
//! Whatever kind a delete file is, it comes down to positions in inputs: one [`Mask`] an input. Encoding and verification
//! know nothing else of deletes. Tasks that share delete files are looked after together ([`shared`]): a delete file is read
//! once, whatever the number of tasks.

mod equality;
mod gather;
mod mask;
mod masks;
mod positions;
mod puffin;
mod resolve;
mod shared;
mod vector;
mod vectors;
mod write;

pub(crate) use mask::Mask;
pub(crate) use masks::{MaskRoom, Masks};
pub(super) use resolve::{Inputs, Resolved, memory_wanted, resolve};
pub(super) use shared::{Shared, Together};
pub(super) use vectors::write as write_vectors;
pub(super) use write::write;

#[cfg(test)]
mod tests;
