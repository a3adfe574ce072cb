//! The 64 KiB chunks of a log: which slots hold one, where its records stand, what is damaged.
//!
//! Format: <https://github.com/libyal/libevtx/blob/main/documentation/Windows%20XML%20Event%20Log%20(EVTX).asciidoc>.
//! Counts in the headers are not trusted: raw copies of live logs under-count their chunks, so
//! every slot is looked at, and a record counts if its two size fields agree.

use crate::base::bytes::{u32_at, u64_at};
use memchr::memmem;
use std::ops::Range;

/// Size of a slot.
pub const CHUNK_SIZE: usize = 0x1_0000;
/// Where the first slot starts: the file header's block.
pub const FILE_HEADER_SIZE: u64 = 0x1000;
/// Size of a chunk's header; its records follow.
pub(crate) const CHUNK_HEADER_SIZE: usize = 512;
/// Magic, size, record ID and time.
pub(crate) const RECORD_HEADER_SIZE: usize = 24;
/// A header and the copy of the size at the end.
pub(crate) const SMALLEST_RECORD: usize = RECORD_HEADER_SIZE + 4;

/// What a log file starts with.
pub(crate) const FILE_MAGIC: &[u8; 8] = b"ElfFile\0";
/// What a chunk starts with.
pub(crate) const CHUNK_MAGIC: &[u8; 8] = b"ElfChnk\0";
/// What a record starts with.
pub(crate) const RECORD_MAGIC: &[u8; 4] = b"**\0\0";

/// The chunk was written without checksums: they are 0.
const NO_CHECKSUMS: u32 = 0x4;

/// Where a record stands in its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of its header.
    pub start: usize,
    /// Offset of what follows it.
    pub end: usize,
    /// The record's number in the file; the event's own record ID where it was written here.
    pub number: u64,
}

/// What a slot holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Slot {
    /// Never written, or cleared.
    Empty,
    /// Neither a chunk nor empty.
    Damaged,
    /// A chunk.
    Chunk(Chunk),
}

/// A chunk's records and its damage.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The records, in place order.
    pub records: Vec<Span>,
    /// Bytes in which no record could be made out, though there should be one.
    pub gaps: Vec<Range<usize>>,
    /// A checksum disagrees. The readable records count all the same.
    pub checksum_wrong: bool,
}

/// What of a slot must be read to tell what it holds, after its first [`SLOT_START`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    /// Nothing: the slot is unused.
    Nothing,
    /// The part up to here, which the header calls live.
    Live(usize),
    /// The whole slot.
    Whole,
}

/// Enough of a slot to see whether it is a chunk, how much of it is live, and whether a record
/// follows a header that is gone.
pub(crate) const SLOT_START: usize = CHUNK_HEADER_SIZE + RECORD_HEADER_SIZE;

/// Decides how much of a slot to read. `counted` says that the file header counts a chunk here.
pub(crate) fn needed(start: &[u8], counted: bool) -> Needed {
    if !start.starts_with(CHUNK_MAGIC) {
        let zeroed = start.iter().all(|b| *b == 0);
        return match zeroed && !counted {
            true => Needed::Nothing,
            false => Needed::Whole,
        };
    }
    match live_end(start) {
        Some(end) => Needed::Live(end),
        None => Needed::Whole,
    }
}

/// Where the live part ends, if the header is to be believed: its checksum agrees.
fn live_end(slot: &[u8]) -> Option<usize> {
    let mut header = crc32fast::Hasher::new();
    header.update(slot.get(..120)?);
    header.update(slot.get(128..CHUNK_HEADER_SIZE)?);
    let agrees = has_checksums(slot) && u32_at(slot, 124)? == header.finalize();
    let end = u32_at(slot, 48)? as usize;
    (agrees && (CHUNK_HEADER_SIZE..=CHUNK_SIZE).contains(&end)).then_some(end)
}

/// Reads what a slot holds, of which this much was read. A part that the header called live and
/// whose checksum disagrees must be read again, whole.
pub fn read(slot: &[u8]) -> Slot {
    if !slot.starts_with(CHUNK_MAGIC) || slot.len() < CHUNK_HEADER_SIZE {
        return match looks_unused(slot) {
            true => Slot::Empty,
            false => Slot::Damaged,
        };
    }
    let live = live_end(slot).filter(|end| {
        let records = slot.get(CHUNK_HEADER_SIZE..*end);
        records.is_some_and(|records| u32_at(slot, 52) == Some(crc32fast::hash(records)))
    });
    // A stale header calls too little live: where it is in doubt the whole slot is searched.
    let end = live.unwrap_or(slot.len());
    let free_space = u32_at(slot, 48).map_or(slot.len(), |end| end as usize);
    let (records, gaps) = walk(slot, free_space.clamp(CHUNK_HEADER_SIZE, slot.len()), end);
    Slot::Chunk(Chunk {
        records,
        gaps,
        checksum_wrong: has_checksums(slot) && live.is_none(),
    })
}

/// Whether the chunk's checksums mean something. The flag that says no is itself under none, so
/// that checksums which are there are compared all the same.
fn has_checksums(slot: &[u8]) -> bool {
    let without = u32_at(slot, 120).is_some_and(|flags| flags & NO_CHECKSUMS != 0);
    !without || u32_at(slot, 52) != Some(0) || u32_at(slot, 124) != Some(0)
}

/// An unused slot is zeroes where a chunk's header and its first record would be, and has no
/// record further on.
fn looks_unused(slot: &[u8]) -> bool {
    let start = slot.get(..SLOT_START).unwrap_or(slot);
    start.iter().all(|b| *b == 0) && next_record(slot, SLOT_START, slot.len()).is_none()
}

/// Follows the records from the chunk header to `end`. Where one is damaged it goes on at the next
/// record whose sizes agree.
fn walk(slot: &[u8], free_space: usize, end: usize) -> (Vec<Span>, Vec<Range<usize>>) {
    let mut records: Vec<Span> = Vec::new();
    let mut gaps = Vec::new();
    let mut at = CHUNK_HEADER_SIZE;
    while at < end {
        if let Some(record) = record_at(slot, at, end) {
            // Past the free-space mark stand records of the log's last round over this chunk, too:
            // they have lower numbers than those before them.
            let stale =
                at >= free_space && records.last().is_some_and(|l| l.number >= record.number);
            at = record.end;
            if !stale {
                records.push(record);
            }
            continue;
        }
        let next = next_record(slot, at + 1, end);
        let gap = at..next.unwrap_or(end).min(free_space.max(at));
        let blank = slot
            .get(gap.clone())
            .is_none_or(|bytes| bytes.iter().all(|b| *b == 0));
        let slack = blank && next.is_none();
        if !gap.is_empty() && !slack {
            gaps.push(gap);
        }
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    (records, gaps)
}

/// The record that starts here, if its magic and both sizes say so.
fn record_at(slot: &[u8], at: usize, end: usize) -> Option<Span> {
    let header = slot.get(at..at.checked_add(RECORD_HEADER_SIZE)?)?;
    if !header.starts_with(RECORD_MAGIC) {
        return None;
    }
    let size = u32_at(header, 4)? as usize;
    let record_end = at.checked_add(size)?;
    if size < SMALLEST_RECORD || record_end > end {
        return None;
    }
    let copy = u32_at(slot, record_end - 4)? as usize;
    (copy == size).then_some(Span {
        start: at,
        end: record_end,
        number: u64_at(header, 8)?,
    })
}

fn next_record(slot: &[u8], from: usize, end: usize) -> Option<usize> {
    memmem::find_iter(slot.get(from..end)?, RECORD_MAGIC)
        .map(|at| from + at)
        .find(|at| record_at(slot, *at, end).is_some())
}
