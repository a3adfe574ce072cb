//! What every layer uses and that knows nothing of events: time, text, bytes, names, problems.

pub(crate) mod buffer;
pub(crate) mod bytes;
pub mod encoding;
pub(crate) mod identity;
pub mod problem;
pub mod terminal;
pub mod time;
pub(crate) mod xml;
