//! Deletes in planning: which apply to which data files, how much they delete, and which nobody needs any more.

mod burden;
mod fate;
mod index;

pub(super) use burden::{Burden, Burdens, obstacle};
pub(super) use fate::fates;
pub(super) use index::DeleteIndex;
