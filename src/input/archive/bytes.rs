//! The bytes of an archive, wherever they lie: in a file, in memory, or inside others.
//!
//! Members are read by several threads at once, so nothing here has a position that is shared: what
//! reads along has a [`Cursor`] of its own.

use super::Held;
use crate::base::buffer::{self, Buffer};
use crate::base::bytes::read_at;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Bytes that can be read at any place, by several threads at once. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// A file on disk.
    File {
        /// The open file. Its own position is not used.
        file: Arc<File>,
        /// Its size in bytes when it was opened.
        size: u64,
    },
    /// A nested archive in memory.
    Memory(Arc<Held>),
    /// A piece of others, such as an archive that is stored in an archive as it is.
    Part {
        /// The others.
        of: Arc<Bytes>,
        /// Where in them it starts.
        start: u64,
        /// Its size in bytes.
        size: u64,
    },
}

impl From<Vec<u8>> for Bytes {
    /// Bytes that no account knows of.
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::Memory(Arc::new(Held {
            bytes,
            _reservation: None,
        }))
    }
}

impl Bytes {
    /// An open file.
    ///
    /// # Errors
    ///
    /// If its size cannot be told.
    pub fn file(file: File) -> io::Result<Bytes> {
        let size = file.metadata()?.len();
        let file = Arc::new(file);
        Ok(Bytes::File { file, size })
    }

    /// How many there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Bytes::File { size, .. } | Bytes::Part { size, .. } => *size,
            Bytes::Memory(held) => held.bytes.len() as u64,
        }
    }

    /// Reads at an offset until the buffer is full or the bytes end; returns how many were read.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // From its start even a file without a size is read: it may be one that cannot be.
        if offset > 0 && offset >= self.size() {
            return Ok(0);
        }
        match self {
            Bytes::File { file, .. } => read_at(file, buffer, offset),
            Bytes::Part { of, start, size } => {
                let room = usize::try_from(size.saturating_sub(offset))
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                of.read_at(
                    buffer.get_mut(..room).unwrap_or_default(),
                    start.saturating_add(offset),
                )
            }
            Bytes::Memory(held) => {
                let there = tail(&held.bytes, offset);
                let count = there.len().min(buffer.len());
                copy(buffer, there);
                Ok(count)
            }
        }
    }

    /// A piece of these, as far as they go.
    pub(super) fn part(&self, start: u64, size: u64) -> Bytes {
        let start = start.min(self.size());
        Bytes::Part {
            of: Arc::new(self.clone()),
            start,
            size: size.min(self.size() - start),
        }
    }

    /// A buffered reader of its own, at the start.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            bytes: self.clone(),
            position: 0,
            buffer: None,
            buffered: 0,
            buffer_at: 0,
        }
    }
}

/// Reads [`Bytes`]. Seeking costs nothing and keeps what is buffered.
#[derive(Debug)]
pub struct Cursor {
    pub(super) bytes: Bytes,
    pub(super) position: u64,
    buffer: Option<Buffer>,
    /// How much of the buffer is filled.
    buffered: usize,
    /// Where in the file the buffer's bytes stand.
    buffer_at: u64,
}

impl Cursor {
    /// Bytes that are at the position in the buffer.
    fn buffered(&self) -> &[u8] {
        let buffer = self.buffer.as_deref().unwrap_or_default();
        let filled = buffer.get(..self.buffered).unwrap_or_default();
        match self.position.checked_sub(self.buffer_at) {
            Some(skipped) => tail(filled, skipped),
            None => &[],
        }
    }
}

impl BufRead for Cursor {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !matches!(self.bytes, Bytes::Memory(_)) && self.buffered().is_empty() {
            let buffer = self.buffer.get_or_insert_default();
            self.buffer_at = self.position;
            self.buffered = 0;
            self.buffered = self.bytes.read_at(buffer, self.position)?;
        }
        Ok(match &self.bytes {
            Bytes::Memory(held) => tail(&held.bytes, self.position),
            Bytes::File { .. } | Bytes::Part { .. } => self.buffered(),
        })
    }

    fn consume(&mut self, count: usize) {
        self.position = self.position.saturating_add(count as u64);
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.len() >= buffer::SIZE && self.buffered().is_empty() {
            let count = self.bytes.read_at(buffer, self.position)?;
            self.consume(count);
            return Ok(count);
        }
        let there = self.fill_buf()?;
        let count = there.len().min(buffer.len());
        copy(buffer, there);
        self.consume(count);
        Ok(count)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.bytes.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// What lies from an offset on.
fn tail(bytes: &[u8], offset: u64) -> &[u8] {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
        .unwrap_or_default()
}

/// Copies what both have room for.
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    let count = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
        to.copy_from_slice(from);
    }
}
