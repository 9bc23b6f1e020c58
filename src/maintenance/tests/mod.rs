//! Whole runs over tables that a naive model knows.

mod archive3;
mod conversions;
mod deletes;
mod dropped;
mod interleavings;
mod lake;
mod looks;
mod reader;
mod reclaim3;
mod vectors;
mod version3;
