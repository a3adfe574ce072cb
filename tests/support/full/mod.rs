//! A full parse of a chunk, and chunks to hold the selection and the decoding against it. Used by
//! the tests of the selection and by the fuzz targets.

// Each of them uses a part of this, and nothing is public outside it.
#![allow(dead_code, unreachable_pub)]

pub mod binxml;
pub mod hidden;
pub mod mutate;
pub mod oracle;
pub mod seeds;
