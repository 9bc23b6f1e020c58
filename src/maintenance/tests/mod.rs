//! Whole runs over tables that a naive model knows.

mod conversions;
mod deletes;
mod dropped;
mod interleavings;
mod lake;
mod reader;
mod vectors;
mod version3;
