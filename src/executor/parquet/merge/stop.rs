//! Why a column can't go on as pages.

use std::borrow::Cow;

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Sound, as far as can be told, but nothing that is moved as pages: the column is decoded and encoded instead.
    Unfit(Cow<'static, str>),
    /// Bytes that contradict each other: nothing may be made of them.
    Damaged(Cow<'static, str>),
}

pub(crate) type Result<T> = std::result::Result<T, Stop>;

pub(super) fn unfit<T>(why: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(Stop::Unfit(why.into()))
}

pub(super) fn damaged<T>(what: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(Stop::Damaged(what.into()))
}
