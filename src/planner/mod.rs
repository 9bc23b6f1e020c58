//! Deciding what should happen: pure and synchronous functions over [`model`](crate::model) values.
//!
//! No IO, no clock, no random ids: the same state, policy and time give the same plan, byte for byte (I11).

pub mod archive;
pub mod compact;
mod deletes;
pub mod expire;
mod filter;
mod health;
pub mod manifests;
mod seal;
mod time;

pub use filter::filter_fields;
pub use health::health;
pub use seal::{seal, verify_seal};

#[cfg(test)]
mod tests;
