//! Buffers that a thread uses again and again.
//!
//! What stays of a log is allocated between buffers that come and go. If these were freed with each
//! log, an allocator could leave a hole of their size behind for each, of which the next buffer
//! fills none: memory would grow with the number of logs.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// In bytes: a chunk of a log and the start of the next, which is also enough to copy with.
pub(crate) const SIZE: usize = (64 << 10) + (1 << 10);

/// As many as a thread has in use when it reads an archive in an archive.
const KEPT: usize = 8;

thread_local! {
    static KEPT_BUFFERS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`SIZE`] bytes. What was in it before is still there.
#[derive(Debug)]
pub(crate) struct Buffer(Box<[u8]>);

impl Default for Buffer {
    fn default() -> Buffer {
        let kept = KEPT_BUFFERS.with_borrow_mut(Vec::pop);
        Buffer(kept.unwrap_or_else(|| vec![0; SIZE].into()))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // When a thread ends there is nowhere to keep it.
        let _ = KEPT_BUFFERS.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT {
                kept.push(buffer);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
