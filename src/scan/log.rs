//! One log: its slots, read from wherever its bytes come, and what a stretch of them held.

use crate::base::buffer;
use crate::base::problem::{self, Problem, ProblemKind};
use crate::event::batch::Batch;
use crate::event::secret;
use crate::evtx::chunk::{
    self, CHUNK_SIZE, Chunk, FILE_HEADER_SIZE, Needed, SLOT_START, Slot, Span,
};
use crate::evtx::record::{self, Names};
use crate::evtx::select;
use crate::input::archive::{Bytes, read_full};
use crate::input::{self, Header};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const _: () = assert!(buffer::SIZE >= CHUNK_SIZE + SLOT_START);

pub(super) fn slots_in(bytes: u64) -> u64 {
    bytes
        .saturating_sub(FILE_HEADER_SIZE)
        .div_ceil(CHUNK_SIZE as u64)
}

pub(super) fn offset_of(slot: u64) -> u64 {
    FILE_HEADER_SIZE + slot * CHUNK_SIZE as u64
}

/// Where the bytes of a log come from.
pub(super) enum Source<'a> {
    /// They can be read at any place: what is not needed is not read.
    Anywhere(&'a Bytes),
    /// They come one after the other.
    InOrder(&'a mut dyn Read),
}

/// The slots of a log, one at a time.
pub(super) struct Slots<'a> {
    pub(super) from: Source<'a>,
    pub(super) buffer: &'a mut [u8],
    /// How much of the slot, and of the start of the next, is in the buffer.
    pub(super) have: usize,
    /// Where the slot starts in the log.
    pub(super) offset: u64,
}

/// Where so little of a slot is not needed, it is read along: that costs less than to ask for the
/// start of the next slot by itself.
pub(super) const READ_ALONG: usize = 4 << 10;

impl Slots<'_> {
    /// Takes over what was read of the first slot when the file was opened.
    pub(super) fn begin(&mut self, head: &[u8]) {
        let start = head.get(FILE_HEADER_SIZE as usize..).unwrap_or_default();
        if let Some(place) = self.buffer.get_mut(..start.len()) {
            place.copy_from_slice(start);
            self.have = start.len();
        }
    }

    /// Reads the slot up to here, and returns how much of that there is.
    pub(super) fn fill(&mut self, end: usize) -> io::Result<usize> {
        match &mut self.from {
            Source::Anywhere(bytes) if self.have < end => {
                let until = match end + READ_ALONG < CHUNK_SIZE {
                    true => end,
                    false => CHUNK_SIZE + SLOT_START,
                };
                let place = self.buffer.get_mut(self.have..until).unwrap_or_default();
                self.have += bytes.read_at(place, self.offset + self.have as u64)?;
            }
            // The whole of it at once, as the next slot comes only after it. What was read before
            // an error counts; the error is the archive's to tell.
            Source::InOrder(reader) if self.have < CHUNK_SIZE => {
                let place = self
                    .buffer
                    .get_mut(self.have..CHUNK_SIZE)
                    .unwrap_or_default();
                self.have += read_full(*reader, place).0;
            }
            _ => {}
        }
        Ok(self.have.min(end))
    }

    /// How much of the slot the log does not have.
    pub(super) fn missing(&self) -> u64 {
        match &self.from {
            Source::Anywhere(bytes) => {
                (self.offset + CHUNK_SIZE as u64).saturating_sub(bytes.size())
            }
            Source::InOrder(_) => CHUNK_SIZE.saturating_sub(self.have) as u64,
        }
    }

    pub(super) fn next(&mut self) {
        self.buffer
            .copy_within(self.have.min(CHUNK_SIZE)..self.have, 0);
        self.have = self.have.saturating_sub(CHUNK_SIZE);
        self.offset += CHUNK_SIZE as u64;
    }
}

/// What a stretch of a log held.
#[derive(Default)]
pub(super) struct Part {
    /// Slots that hold a chunk.
    pub(super) chunks: u64,
    pub(super) records: u64,
    /// Records of ours that could not be decoded.
    pub(super) lost: u64,
    pub(super) chunks_damaged: u64,
    /// In their order, none of them empty.
    pub(super) events: Vec<Batch>,
    pub(super) problems: Vec<Problem>,
    /// What came after [`LISTED_OF_LOG`] of a kind: how many, where the first, and the bytes lost.
    pub(super) more: BTreeMap<ProblemKind, (u64, u64, u64)>,
    /// How long reading it took.
    pub(super) busy: Duration,
}

/// A log made for it has thousands of damaged places in every chunk: of each kind so many are listed,
/// the others counted.
pub(super) const LISTED_OF_LOG: usize = 100;

impl Part {
    pub(super) fn add(&mut self, other: Part) {
        self.chunks += other.chunks;
        self.records += other.records;
        self.lost += other.lost;
        self.chunks_damaged += other.chunks_damaged;
        // They are moved when all that go together are known.
        self.events.extend(other.events);
        for problem in other.problems {
            self.list(problem);
        }
        for (kind, (count, first, lost)) in other.more {
            let more = self.more.entry(kind).or_insert((0, first, 0));
            more.0 += count;
            more.2 += lost;
        }
        self.busy += other.busy;
    }

    /// Takes the events out of a batch.
    fn keep(&mut self, batch: &mut Batch) {
        let last = self.events.last_mut();
        if !last.is_some_and(|last| last.join(batch)) {
            self.events.push(std::mem::take(batch));
        }
    }

    pub(super) fn problem(
        &mut self,
        path: &str,
        offset: u64,
        kind: ProblemKind,
        detail: String,
        lost: u64,
    ) {
        self.list(Problem {
            path: path.to_owned(),
            offset: Some(offset),
            kind,
            detail,
            lost_bytes: lost,
        });
    }

    pub(super) fn list(&mut self, problem: Problem) {
        if let Some(more) = self.more.get_mut(&problem.kind) {
            more.0 += 1;
            more.2 += problem.lost_bytes;
            return;
        }
        let of_kind = self.problems.iter().filter(|of| of.kind == problem.kind);
        if of_kind.count() < LISTED_OF_LOG {
            self.problems.push(problem);
            return;
        }
        let first = (1, problem.offset.unwrap_or(0), problem.lost_bytes);
        self.more.insert(problem.kind, first);
    }

    /// All problems of a log, those that are not listed as one of each kind.
    pub(super) fn into_problems(self, path: &str) -> (Vec<Problem>, Vec<Batch>) {
        let mut problems = self.problems;
        for (kind, (count, first, lost_bytes)) in self.more {
            problems.push(Problem {
                path: path.to_owned(),
                offset: Some(first),
                kind,
                detail: format!("{count} more of these from here on"),
                lost_bytes,
            });
        }
        (problems, self.events)
    }

    /// Reads the slots of a log up to an offset.
    pub(super) fn read(
        &mut self,
        slots: &mut Slots<'_>,
        end: u64,
        header: Header,
        name: &str,
        names: &mut Names,
    ) {
        while slots.offset < end {
            match self.read_slot(slots, header, name, names) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let (kind, detail) = (ProblemKind::Unreadable, input::plain(&error));
                    self.problem(name, slots.offset, kind, detail, CHUNK_SIZE as u64);
                }
            }
            slots.next();
        }
    }

    /// Reads as much of a slot as it takes to tell what it holds; says whether there was any.
    pub(super) fn read_slot(
        &mut self,
        slots: &mut Slots<'_>,
        header: Header,
        name: &str,
        names: &mut Names,
    ) -> io::Result<bool> {
        let offset = slots.offset;
        let counted = offset < offset_of(header.chunks);
        let start = slots.fill(SLOT_START)?;
        if start == 0 {
            return Ok(false);
        }
        let end = match chunk::needed(slots.buffer.get(..start).unwrap_or_default(), counted) {
            Needed::Nothing => return Ok(true),
            Needed::Live(end) => end,
            Needed::Whole => CHUNK_SIZE,
        };
        let mut length = slots.fill(end)?;
        let mut found = chunk::read(slots.buffer.get(..length).unwrap_or_default());
        let in_doubt = matches!(&found, Slot::Chunk(chunk) if chunk.checksum_wrong);
        if in_doubt && length < CHUNK_SIZE {
            length = slots.fill(CHUNK_SIZE)?;
            found = chunk::read(slots.buffer.get(..length).unwrap_or_default());
        }
        let missing = slots.missing();
        let Some(slot) = slots.buffer.get_mut(..length) else {
            return Ok(true);
        };
        match found {
            Slot::Empty if !counted => {}
            Slot::Empty | Slot::Damaged => {
                self.chunks_damaged += 1;
                let detail = match found {
                    Slot::Empty => "an empty slot where the file header counts a chunk",
                    _ => "neither a chunk nor an unused slot: its records are lost",
                };
                let kind = ProblemKind::DamagedChunk;
                self.problem(name, offset, kind, detail.to_owned(), length as u64);
            }
            Slot::Chunk(chunk) => {
                self.chunks += 1;
                if missing > 0 {
                    let detail = format!(
                        "the file ends {} short of a whole chunk: copy it again",
                        problem::counted(missing, "byte")
                    );
                    let at = offset + CHUNK_SIZE as u64 - missing;
                    self.problem(name, at, ProblemKind::Truncated, detail, missing);
                }
                self.records += chunk.records.len() as u64;
                self.damage(&chunk, name, offset);
                let ours = select::wanted(slot, &chunk.records, select::Names::ours());
                if !ours.is_empty() {
                    self.decode(slot, &ours, name, offset, names);
                }
            }
        }
        Ok(true)
    }

    /// Lists what is wrong with a chunk.
    pub(super) fn damage(&mut self, chunk: &Chunk, name: &str, offset: u64) {
        if chunk.checksum_wrong {
            let detail = "the chunk's checksum disagrees; its readable records were read";
            let kind = ProblemKind::ChecksumMismatch;
            self.problem(name, offset, kind, detail.to_owned(), 0);
        }
        for gap in &chunk.gaps {
            let at = offset + gap.start as u64;
            let detail = "no record can be made out here".to_owned();
            let lost = gap.len() as u64;
            self.problem(name, at, ProblemKind::DamagedRecords, detail, lost);
        }
        if chunk.checksum_wrong || !chunk.gaps.is_empty() {
            self.chunks_damaged += 1;
        }
    }

    pub(super) fn decode(
        &mut self,
        slot: &mut [u8],
        records: &[Span],
        name: &str,
        offset: u64,
        names: &mut Names,
    ) {
        // The parser is someone else's code on hostile bytes: if it panics, these records are lost
        // and said so, and the rest is read.
        let decoded = catch_unwind(AssertUnwindSafe(|| record::decode(slot, records, names)));
        match decoded {
            Ok(decoded) => {
                if !decoded.events.is_empty() {
                    let mut batch = Batch::decoded(decoded.events, &decoded.numbers);
                    self.keep(&mut batch);
                    names.spare = batch.events;
                }
                self.lost += decoded.failed.len() as u64;
                for record in decoded.failed {
                    let at = offset + record.span.start as u64;
                    let detail = format!(
                        "record {}: {}",
                        record.span.number,
                        secret::mask(&record.detail)
                    );
                    let lost = (record.span.end - record.span.start) as u64;
                    self.problem(name, at, ProblemKind::UndecodableRecord, detail, lost);
                }
            }
            Err(_) => {
                self.lost += records.len() as u64;
                let detail = "the parser failed on this chunk: its events are left out; please \
                              report it with the log"
                    .to_owned();
                let lost = records
                    .iter()
                    .map(|record| record.end - record.start)
                    .sum::<usize>();
                self.problem(
                    name,
                    offset,
                    ProblemKind::ParserFailure,
                    detail,
                    lost as u64,
                );
            }
        }
    }
}
