//! Bytes → a chunk → whether the selection leaves out nothing that a full parse calls ours, and
//! whether each selected record is accounted for.
//!
//! The first byte chooses: an even one takes the rest as the chunk, an odd one as changes to a
//! crafted chunk.

#![no_main]

#[path = "../../tests/support/full/mod.rs"]
mod full;
mod support;

use full::seeds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(chunk) = seeds::chunk_of(bytes)
        && let Err(problem) = seeds::check(&chunk)
    {
        panic!("{problem}");
    }
});
