//! Inputs → the machines' events: the only place that knows threads and files.
//!
//! Work is cut into stretches of a few megabytes across files, so that one large log and many
//! small ones both keep every core busy. Each worker holds one chunk at a time; what stays is the
//! selected events.

use crate::chunk::{self, CHUNK_SIZE, Chunk, FILE_HEADER_SIZE, Needed, SLOT_START, Slot, Span};
use crate::input::{self, Candidate, Kind};
use crate::machine::{self, Machine};
use crate::problem::{Problem, ProblemKind};
use crate::record::{self, Decoded, Names};
use crate::select;
use rayon::prelude::*;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Slots that are read in one go by one thread: 8 MiB.
const STRETCH: u64 = 128;

/// How to scan.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Worker threads; as many as there are cores if it is 0.
    pub threads: usize,
}

impl Options {
    /// Sets the number of worker threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Options {
        self.threads = threads;
        self
    }
}

/// Why nothing could be concluded at all. What went wrong beside good input is a
/// [`Problem`] in the result instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A single input, and it could not be read.
    #[error("{}: {detail}", path.display())]
    Unreadable {
        /// The input.
        path: PathBuf,
        /// Where in the file reading failed, in bytes.
        offset: Option<u64>,
        /// What went wrong, and what to do about it.
        detail: String,
    },
    /// Several inputs, and not one event log in them.
    #[error("no event log was found in {count} inputs; the first of them, {}: {detail}", path.display())]
    NothingToRead {
        /// The first input.
        path: PathBuf,
        /// How many inputs there were.
        count: usize,
        /// What was wrong with the first.
        detail: String,
    },
    /// The worker threads could not be started.
    #[error("cannot start {threads} worker threads: {detail}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        detail: String,
    },
}

/// Everything that was read.
#[derive(Debug)]
pub struct Scan {
    /// The machines, by name.
    pub machines: Vec<Machine>,
    /// Problems that no machine can be named for.
    pub problems: Vec<Problem>,
    /// Number of logs.
    pub logs: u64,
    /// Size of the logs, in bytes.
    pub bytes: u64,
    /// Records seen, ours and others.
    pub records_read: u64,
    /// Selected events that several logs held: those beyond the first.
    pub duplicates: u64,
    /// Files in folders that are no event logs.
    pub other_files: u64,
}

/// A log that was read.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: String,
    pub(crate) source: Arc<str>,
    pub(crate) bytes: u64,
    /// How many chunks the file header counts.
    pub(crate) chunks_counted: u64,
    pub(crate) dirty: bool,
    pub(crate) records: u64,
    pub(crate) chunks_damaged: u64,
    pub(crate) events: Vec<Decoded>,
    pub(crate) problems: Vec<Problem>,
}

/// Reads every event log among the files and folders named and sorts the events by machine.
///
/// # Errors
///
/// If there is not one event log among them, or the threads cannot be started.
pub fn scan(paths: &[PathBuf], options: Options) -> Result<Scan, Error> {
    in_threads(options, || scan_in_pool(paths))?
}

/// Does work on as many threads as these options say: those of [`scan`], and those that work out
/// each window of a machine and write it. Within such work the threads are the same.
///
/// # Errors
///
/// If the threads cannot be started.
pub fn in_threads<T: Send>(options: Options, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    if rayon::current_thread_index().is_some() {
        return Ok(work());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .build()
        .map_err(|error| Error::Threads {
            threads: options.threads,
            detail: error.to_string(),
        })?;
    Ok(pool.install(work))
}

fn scan_in_pool(paths: &[PathBuf]) -> Result<Scan, Error> {
    let (candidates, mut problems) = input::find(paths);
    // A log's first stretch is read while it is open, which for most logs is all of it.
    let opened: Vec<Opened> = candidates
        .into_par_iter()
        .map_init(Worker::default, |worker, candidate| open(candidate, worker))
        .collect();
    let mut logs: Vec<Log> = Vec::new();
    let mut stretches: Vec<(usize, PathBuf, u64)> = Vec::new();
    let mut other_files = 0;
    for opened in opened {
        match opened {
            Opened::Log(log, file) => {
                let first_slots = (STRETCH..slots_in(log.bytes)).step_by(STRETCH as usize);
                stretches.extend(first_slots.map(|first| (logs.len(), file.clone(), first)));
                logs.push(log);
            }
            Opened::Other => other_files += 1,
            Opened::Problem(problem) => problems.push(problem),
        }
    }
    if logs.is_empty() {
        problems.sort();
        return Err(nothing_to_read(paths, &problems));
    }
    let parts: Vec<(usize, Part)> = stretches
        .par_iter()
        .map_init(Worker::default, |worker, (number, file, first)| {
            let part = logs
                .get(*number)
                .map(|log| read_later(file, log, *first, worker));
            (*number, part.unwrap_or_default())
        })
        .collect();
    for (number, part) in parts {
        if let Some(log) = logs.get_mut(number) {
            log.add(part);
        }
    }
    Ok(machine::sort_by_machine(logs, problems, other_files))
}

/// What a thread keeps from one log to the next.
struct Worker {
    /// One slot.
    buffer: Vec<u8>,
    names: Names,
}

impl Default for Worker {
    fn default() -> Worker {
        Worker {
            buffer: vec![0; CHUNK_SIZE],
            names: Names::default(),
        }
    }
}

fn nothing_to_read(paths: &[PathBuf], problems: &[Problem]) -> Error {
    let path = paths.first().cloned().unwrap_or_default();
    let first = problems.first();
    let detail = match first {
        Some(problem) if paths.len() == 1 && Path::new(&problem.path) != path => {
            format!("{} ({})", problem.detail, problem.path)
        }
        Some(problem) => problem.detail.clone(),
        None => "there is no event log (.evtx) in it".to_owned(),
    };
    match paths.len() {
        0 | 1 => Error::Unreadable {
            path,
            offset: first.and_then(|problem| problem.offset),
            detail,
        },
        count => Error::NothingToRead {
            path: first.map_or(path, |problem| PathBuf::from(&problem.path)),
            count,
            detail,
        },
    }
}

enum Opened {
    Log(Log, PathBuf),
    Other,
    Problem(Problem),
}

fn open(candidate: Candidate, worker: &mut Worker) -> Opened {
    let problem = |kind, detail: String| {
        Opened::Problem(Problem {
            path: candidate.name.clone(),
            offset: None,
            kind,
            detail,
            lost_bytes: 0,
        })
    };
    let opened = File::open(&candidate.file).and_then(|file| {
        let size = file.metadata()?.len();
        Ok((input::kind(&file, size)?, size, file))
    });
    match opened {
        Err(error) => problem(ProblemKind::Unreadable, input::plain(&error)),
        Ok((Kind::Unsupported(what), ..)) => problem(
            ProblemKind::Unsupported,
            format!("a {what}, which is not read: unpack it and name the folder"),
        ),
        Ok((Kind::Empty, ..)) if candidate.named => {
            problem(ProblemKind::NotALog, "the file is empty".to_owned())
        }
        Ok((Kind::Other, ..)) if candidate.named => problem(
            ProblemKind::NotALog,
            "not an event log: it starts with neither ElfFile nor a chunk".to_owned(),
        ),
        Ok((Kind::Empty | Kind::Other, ..)) => Opened::Other,
        Ok((
            Kind::Log {
                dirty,
                header_damaged,
                chunks,
            },
            bytes,
            file,
        )) => {
            let mut problems = Vec::new();
            if header_damaged {
                problems.push(Problem {
                    path: candidate.name.clone(),
                    offset: Some(0),
                    kind: ProblemKind::DamagedHeader,
                    detail: "the file header's checksum disagrees; the chunks were read anyway"
                        .to_owned(),
                    lost_bytes: 0,
                });
            }
            let missing = chunks.saturating_sub(slots_in(bytes));
            if missing > 0 {
                let detail = format!(
                    "the file ends before {missing} of the {chunks} chunks that its header counts"
                );
                problems.push(Problem {
                    path: candidate.name.clone(),
                    offset: Some(bytes),
                    kind: ProblemKind::Truncated,
                    detail,
                    lost_bytes: missing * CHUNK_SIZE as u64,
                });
            }
            let mut log = Log {
                chunks_counted: chunks,
                path: candidate.name,
                source: candidate.source,
                bytes,
                dirty,
                records: 0,
                chunks_damaged: 0,
                events: Vec::new(),
                problems,
            };
            let part = read_stretch(&file, &log, 0, worker);
            log.add(part);
            Opened::Log(log, candidate.file)
        }
    }
}

/// What a stretch of a log held.
#[derive(Default)]
struct Part {
    records: u64,
    chunks_damaged: u64,
    events: Vec<Decoded>,
    problems: Vec<Problem>,
}

/// Reads a stretch of a log that was closed since.
fn read_later(file: &Path, log: &Log, first: u64, worker: &mut Worker) -> Part {
    match File::open(file) {
        Ok(file) => read_stretch(&file, log, first, worker),
        Err(error) => {
            let mut part = Part::default();
            let offset = offset_of(first);
            let lost = (log.bytes - offset).min(STRETCH * CHUNK_SIZE as u64);
            let detail = input::plain(&error);
            part.problem(&log.path, offset, ProblemKind::Unreadable, detail, lost);
            part
        }
    }
}

/// Reads the slots of a log from this one on, a stretch of them.
fn read_stretch(file: &File, log: &Log, first: u64, worker: &mut Worker) -> Part {
    let mut part = Part::default();
    for slot in first..slots_in(log.bytes).min(first + STRETCH) {
        let offset = offset_of(slot);
        if let Err(error) = part.read_slot(file, log, offset, worker) {
            let detail = input::plain(&error);
            let lost = CHUNK_SIZE as u64;
            part.problem(&log.path, offset, ProblemKind::Unreadable, detail, lost);
        }
    }
    part
}

fn slots_in(bytes: u64) -> u64 {
    bytes
        .saturating_sub(FILE_HEADER_SIZE)
        .div_ceil(CHUNK_SIZE as u64)
}

/// Reads as much of a slot as it takes to tell what it holds, and returns how much that is.
fn read_needed(file: &File, buffer: &mut [u8], offset: u64, counted: bool) -> io::Result<usize> {
    let start = read_part(file, buffer, offset, 0..SLOT_START)?;
    let end = match chunk::needed(buffer.get(..start).unwrap_or(&[]), counted) {
        Needed::Nothing => 0,
        Needed::Live(end) => end,
        Needed::Whole => CHUNK_SIZE,
    };
    match end > SLOT_START {
        true => Ok(start + read_part(file, buffer, offset, SLOT_START..end)?),
        false => Ok(start.min(end)),
    }
}

fn read_part(
    file: &File,
    buffer: &mut [u8],
    offset: u64,
    part: std::ops::Range<usize>,
) -> io::Result<usize> {
    let offset = offset + part.start as u64;
    let part = buffer.get_mut(part).unwrap_or_default();
    input::read_at(file, part, offset)
}

fn offset_of(slot: u64) -> u64 {
    FILE_HEADER_SIZE + slot * CHUNK_SIZE as u64
}

impl Part {
    fn problem(&mut self, path: &str, offset: u64, kind: ProblemKind, detail: String, lost: u64) {
        self.problems.push(Problem {
            path: path.to_owned(),
            offset: Some(offset),
            kind,
            detail,
            lost_bytes: lost,
        });
    }

    fn read_slot(
        &mut self,
        file: &File,
        log: &Log,
        offset: u64,
        worker: &mut Worker,
    ) -> io::Result<()> {
        let name = log.path.as_str();
        let buffer = worker.buffer.as_mut_slice();
        let counted = offset < offset_of(log.chunks_counted);
        let mut length = read_needed(file, buffer, offset, counted)?;
        if length == 0 {
            return Ok(());
        }
        let mut found = chunk::read(buffer.get(..length).unwrap_or(&[]));
        let in_doubt = matches!(&found, Slot::Chunk(chunk) if chunk.checksum_wrong);
        if in_doubt && length < CHUNK_SIZE {
            length += read_part(file, buffer, offset, length..CHUNK_SIZE)?;
            found = chunk::read(buffer.get(..length).unwrap_or(&[]));
        }
        let Some(slot) = buffer.get_mut(..length) else {
            return Ok(());
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
                let missing = (offset + CHUNK_SIZE as u64).saturating_sub(log.bytes);
                if missing > 0 {
                    let detail = format!("the file ends {missing} bytes short of a whole chunk");
                    self.problem(name, log.bytes, ProblemKind::Truncated, detail, missing);
                }
                self.records += chunk.records.len() as u64;
                self.damage(&chunk, name, offset);
                let ours = select::wanted(slot, &chunk.records, select::Names::ours());
                if !ours.is_empty() {
                    self.decode(slot, &ours, name, offset, &mut worker.names);
                }
            }
        }
        Ok(())
    }

    /// Lists what is wrong with a chunk.
    fn damage(&mut self, chunk: &Chunk, name: &str, offset: u64) {
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

    fn decode(
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
            Ok((events, undecodable)) => {
                self.events.extend(events);
                for record in undecodable {
                    let at = offset + record.span.start as u64;
                    let detail = format!("record {}: {}", record.span.number, record.detail);
                    let lost = (record.span.end - record.span.start) as u64;
                    self.problem(name, at, ProblemKind::UndecodableRecord, detail, lost);
                }
            }
            Err(_) => {
                let detail = "the parser failed on this chunk".to_owned();
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

impl Log {
    fn add(&mut self, part: Part) {
        self.records += part.records;
        self.chunks_damaged += part.chunks_damaged;
        self.events.extend(part.events);
        self.problems.extend(part.problems);
    }
}
