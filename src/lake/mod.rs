//! Where tables live: catalogs, object stores, loading a [`TableState`](crate::model::TableState), clock and ids.
//!
//! This is the only room that talks to the outside. Everything above it sees three seams: [`Catalog`], [`Store`] and
//! [`Ambient`] (clock, ids, jitter).

pub mod ambient;
pub mod catalog;
pub mod store;

pub use ambient::Ambient;
pub use catalog::{Catalog, LoadedTable, Swap, TableChange};
pub use store::{FileInfo, Store};
