//! The planner as a whole: layouts that people can read, and properties that hold for every policy.

mod archive;
mod arrange;
mod deletes;
mod filters;
mod layouts;
mod manifests;
mod properties;
mod respec;
pub(super) mod support;
mod vectors;
