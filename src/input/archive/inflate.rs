//! Deflate, with the state that a thread used before.
//!
//! That state is some 47 KiB. Like other [buffers](crate::base::buffer) it is not made anew for each of
//! many small members, between which what stays of them would lie.

use flate2::{Decompress, FlushDecompress, Status};
use std::cell::RefCell;
use std::io::{self, BufRead, Read};

/// As many as a thread has in use when it reads an archive in an archive.
const KEPT: usize = 8;

thread_local! {
    static KEPT_STATES: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
}

/// Unpacks what a reader gives.
pub(super) struct Inflate<R> {
    source: R,
    /// Nothing only once it is dropped.
    state: Option<Decompress>,
    ended: bool,
}

impl<R: BufRead> Inflate<R> {
    pub(super) fn new(source: R) -> Inflate<R> {
        let kept = KEPT_STATES.with_borrow_mut(Vec::pop);
        Inflate {
            source,
            state: Some(kept.unwrap_or_else(|| Decompress::new(false))),
            ended: false,
        }
    }

    /// Whether the last block came to its end, behind which the source is now.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    pub(super) fn source(&mut self) -> &mut R {
        &mut self.source
    }

    /// Begins anew where the source is.
    pub(super) fn restart(&mut self) {
        self.ended = false;
        if let Some(state) = &mut self.state {
            state.reset(false);
        }
    }
}

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(state) = &mut self.state else {
            return Ok(0);
        };
        loop {
            let packed = self.source.fill_buf()?;
            let end = packed.is_empty();
            let flush = match end {
                true => FlushDecompress::Finish,
                false => FlushDecompress::None,
            };
            let (taken, given) = (state.total_in(), state.total_out());
            let status = state.decompress(packed, buffer, flush);
            let taken = (state.total_in() - taken) as usize;
            let given = (state.total_out() - given) as usize;
            self.source.consume(taken);
            self.ended |= matches!(status, Ok(Status::StreamEnd));
            match status {
                Ok(Status::Ok | Status::BufError) if given == 0 && !end && !buffer.is_empty() => {}
                Ok(_) => return Ok(given),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
            }
        }
    }
}

impl<R> Drop for Inflate<R> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else {
            return;
        };
        state.reset(false);
        // When a thread ends there is nowhere to keep it.
        let _ = KEPT_STATES.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT {
                kept.push(state);
            }
        });
    }
}
