//! Event logs as Windows writes them (.evtx): bytes → chunks → selected records → events.

pub(crate) mod binxml;
pub mod chunk;
pub mod record;
pub mod select;
pub(crate) mod typed;
