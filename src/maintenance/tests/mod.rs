//! Whole runs over tables that a naive model knows.

mod archive3;
mod conversions;
mod deletes;
mod dropped;
mod found;
mod home;
mod interleavings;
mod lake;
mod looks;
mod merged_vectors;
mod model;
mod reader;
mod reclaim3;
mod repack;
mod strategies;
mod values;
mod vectors;
mod version3;
mod writing;
