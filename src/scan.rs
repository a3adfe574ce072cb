//! Inputs → the machines' events: the only place that knows threads and files.
//!
//! Files are read as they are found, by whichever thread is free; a large log is cut into stretches
//! and an archive into its parts, so that one large input and many small ones both keep every core
//! busy. Each worker holds one chunk at a time; what stays is the selected events.

use crate::archive::{self, Budget, Bytes, Hold, Limits, Member, Memory, Refusal, RefusalKind};
use crate::archive::{cab::Cab, zip::Zip};
use crate::buffer::Buffer;
use crate::bundle::{self, Hints};
use crate::chunk::{self, CHUNK_SIZE, Chunk, FILE_HEADER_SIZE, Needed, SLOT_START, Slot, Span};
use crate::input::{self, Candidate, Header, Kind, Roots};
use crate::machine::{self, Batch, Machine};
use crate::problem::{Problem, ProblemKind};
use crate::record::{self, Names};
use crate::select;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Slots that are read in one go by one thread: 8 MiB.
const STRETCH: u64 = 128;

/// What of a file is read to tell its kind, and of a log to begin with its first slot.
const HEAD: usize = FILE_HEADER_SIZE as usize + SLOT_START;

/// How to scan.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Worker threads; as many as there are cores if it is 0.
    pub threads: usize,
    /// How much is taken out of archives.
    pub limits: Limits,
    /// Whether equal computer names in several sources are several machines.
    pub separate_bundles: bool,
}

impl Options {
    /// Sets the number of worker threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Options {
        self.threads = threads;
        self
    }

    /// Sets how much is taken out of archives.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Options {
        self.limits = limits;
        self
    }

    /// Sets whether equal computer names in several sources are several machines.
    #[must_use]
    pub fn separate_bundles(mut self, separate: bool) -> Options {
        self.separate_bundles = separate;
        self
    }
}

/// How far a scan is, for whoever looks on from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files looked at, of those that are named or lie in named folders.
    pub files: AtomicU64,
    /// The size of what was read of them, in bytes.
    pub bytes: AtomicU64,
    /// Event logs read, those in archives included.
    pub logs: AtomicU64,
    /// The computers that events of ours name.
    computers: Mutex<HashSet<Arc<str>>>,
}

impl Progress {
    /// How many computers there are events of, so far.
    pub fn machines(&self) -> usize {
        self.computers.lock().map_or(0, |computers| computers.len())
    }

    fn saw(&self, events: &[Batch]) {
        let mut last: Option<&Arc<str>> = None;
        for computer in events.iter().flat_map(|batch| &batch.computers) {
            if last != Some(computer) {
                last = Some(computer);
                if let Ok(mut computers) = self.computers.lock() {
                    computers.insert(Arc::clone(computer));
                }
            }
        }
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
    /// Files in folders and archives that are no event logs.
    pub other_files: u64,
    /// What was read of each path named, by path.
    pub inputs: Vec<Input>,
}

/// What was read of a path that the user named.
#[derive(Debug)]
#[non_exhaustive]
pub struct Input {
    /// The path as the report prints it.
    pub path: String,
    /// What was found in it.
    pub counts: Counts,
    /// How long threads took to read its logs, unpacking included, added up.
    pub busy: Duration,
}

/// Sums over files.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Event logs.
    pub logs: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Their records, ours and others.
    pub records: u64,
    /// Their records of ours, copies included.
    pub events: u64,
    /// Files that are no event logs.
    pub other_files: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.logs += other.logs;
        self.bytes += other.bytes;
        self.records += other.records;
        self.events += other.events;
        self.other_files += other.other_files;
    }
}

/// A log with events of ours.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: String,
    /// The path the user named, under which it was found.
    pub(crate) root: Arc<str>,
    /// Tells members of one name in one archive apart: the number of each on the way to it.
    pub(crate) ordinal: Vec<usize>,
    /// The input or archive that it was found in.
    pub(crate) source: Arc<str>,
    pub(crate) dirty: bool,
    pub(crate) records: u64,
    pub(crate) chunks_damaged: u64,
    /// Chunk by chunk, so that no event is moved before it is known whose it is.
    pub(crate) events: Vec<Batch>,
    pub(crate) problems: Vec<Problem>,
}

impl Log {
    /// The computers that its events name, some of them more than once.
    pub(crate) fn computers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.events.iter().flat_map(|batch| &batch.computers)
    }
}

/// Reads every event log among the files, folders and archives named and sorts the events by
/// machine.
///
/// # Errors
///
/// If there is not one event log among them, or the threads cannot be started.
pub fn scan(paths: &[PathBuf], options: Options) -> Result<Scan, Error> {
    scan_watched(paths, options, &Progress::default())
}

/// The same as [`scan`], and says how far it is.
///
/// # Errors
///
/// As [`scan`].
pub fn scan_watched(
    paths: &[PathBuf],
    options: Options,
    progress: &Progress,
) -> Result<Scan, Error> {
    in_threads(options, || scan_in_pool(paths, options, progress))?
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

fn scan_in_pool(paths: &[PathBuf], options: Options, progress: &Progress) -> Result<Scan, Error> {
    let roots = Roots::new(paths);
    let names: Vec<Arc<str>> = roots.names().map(Arc::from).collect();
    let job = Job {
        names: &names,
        limits: options.limits,
        memory: Memory::new(options.limits.nested),
        alone: false,
        progress,
    };
    // The files are found while others are read; nothing of a file stays but what it held.
    let mut found = roots
        .files()
        .par_bridge()
        .fold(
            || (Worker::default(), Gathered::default()),
            |(mut worker, mut gathered), file| {
                match file {
                    Ok(candidate) => gathered.add(job.file(candidate, &mut worker)),
                    Err(problem) => gathered.problems.push(problem),
                }
                (worker, gathered)
            },
        )
        .map(|(_, gathered)| gathered)
        .reduce(Gathered::default, Gathered::with);
    // Archives for whose members there was no memory beside others: one after the other.
    let mut put_off = std::mem::take(&mut found.put_off);
    put_off.sort_by(|a, b| a.name.cmp(&b.name));
    let job = Job { alone: true, ..job };
    for candidate in put_off {
        found.add(job.file(candidate, &mut Worker::default()));
    }

    found
        .problems
        .extend(std::mem::take(&mut found.left_out).into_problems());
    found.problems.sort();
    let mut totals = Counts::default();
    let mut inputs = Vec::with_capacity(names.len());
    for (number, name) in names.iter().enumerate() {
        let (counts, busy) = found.counts.remove(&number).unwrap_or_default();
        totals.add(counts);
        inputs.push(Input {
            path: name.to_string(),
            counts,
            busy,
        });
    }
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    if totals.logs == 0 {
        return Err(nothing_to_read(paths, &found.problems));
    }
    let sorted = machine::sort_by_machine(found.logs, found.hints, options.separate_bundles);
    let mut problems = found.problems;
    problems.extend(sorted.problems);
    problems.sort();
    Ok(Scan {
        machines: sorted.machines,
        problems,
        logs: totals.logs,
        bytes: totals.bytes,
        records_read: totals.records,
        duplicates: sorted.duplicates,
        other_files: totals.other_files,
        inputs,
    })
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

/// What a thread keeps from one log to the next.
#[derive(Default)]
struct Worker {
    /// One slot, and the start of the next.
    buffer: Buffer,
    names: Names,
}

/// What files held.
#[derive(Default)]
struct Gathered {
    /// The logs with events of ours.
    logs: Vec<Log>,
    problems: Vec<Problem>,
    left_out: LeftOut,
    hints: Hints,
    /// By the number of the root.
    counts: BTreeMap<usize, (Counts, Duration)>,
    /// Archives to be read again when no other one is.
    put_off: Vec<Candidate>,
}

impl Gathered {
    fn with(mut self, mut other: Gathered) -> Gathered {
        if self.logs.len() + self.problems.len() < other.logs.len() + other.problems.len() {
            std::mem::swap(&mut self, &mut other);
        }
        self.add(other);
        self
    }

    fn add(&mut self, other: Gathered) {
        self.logs.extend(other.logs);
        self.problems.extend(other.problems);
        self.left_out.extend(other.left_out);
        self.hints.extend(other.hints);
        self.put_off.extend(other.put_off);
        for (root, (counts, busy)) in other.counts {
            let of = self.counts.entry(root).or_default();
            of.0.add(counts);
            of.1 += busy;
        }
    }

    fn count(&mut self, place: &Place, counts: Counts) {
        self.counts.entry(place.root).or_default().0.add(counts);
    }

    fn other(&mut self, place: &Place) {
        let one = Counts {
            other_files: 1,
            ..Counts::default()
        };
        self.count(place, one);
    }

    /// A file is left out: of those in an archive many may be for one reason.
    fn left_out(&mut self, place: &Place, kind: ProblemKind, detail: String) {
        let member = place.name.strip_prefix(&*place.source);
        match member.and_then(|member| member.strip_prefix('!')) {
            Some(member) => {
                let reason = (place.source.to_string(), kind, detail);
                self.left_out.add(reason, member, 0);
            }
            None => self.problem(&place.name, kind, detail, 0),
        }
    }

    fn problem(&mut self, path: &str, kind: ProblemKind, detail: String, lost_bytes: u64) {
        self.problems.push(Problem {
            path: path.to_owned(),
            offset: None,
            kind,
            detail,
            lost_bytes,
        });
    }

    /// A log was read: of one without events of ours only the counts and the problems stay.
    fn log(&mut self, place: Place, header: Header, bytes: u64, mut part: Part, job: &Job<'_>) {
        job.progress.logs.fetch_add(1, Ordering::Relaxed);
        job.progress.saw(&part.events);
        if header.damaged {
            let detail = "the file header's checksum disagrees; the chunks were read anyway";
            let kind = ProblemKind::DamagedHeader;
            part.problem(&place.name, 0, kind, detail.to_owned(), 0);
        }
        let missing = header.chunks.saturating_sub(slots_in(bytes));
        if missing > 0 {
            let detail = format!(
                "the file ends before {missing} of the {} chunks that its header counts",
                header.chunks
            );
            let lost = missing * CHUNK_SIZE as u64;
            part.problem(&place.name, bytes, ProblemKind::Truncated, detail, lost);
        }
        let counts = Counts {
            logs: 1,
            bytes,
            records: part.records,
            events: part.events.iter().map(|of| of.events.len() as u64).sum(),
            other_files: 0,
        };
        self.count(&place, counts);
        self.counts.entry(place.root).or_default().1 += part.busy;
        let (records, chunks_damaged) = (part.records, part.chunks_damaged);
        let (problems, events) = part.into_problems(&place.name);
        if events.is_empty() {
            self.problems.extend(problems);
            return;
        }
        self.logs.push(Log {
            root: job.names.get(place.root).cloned().unwrap_or_default(),
            path: place.name,
            ordinal: place.ordinal,
            source: place.source,
            dirty: header.dirty,
            records,
            chunks_damaged,
            events,
            problems,
        });
    }
}

/// Where a file was found.
#[derive(Clone)]
struct Place {
    /// As the report prints it.
    name: String,
    /// The input or archive that it was found in.
    source: Arc<str>,
    ordinal: Vec<usize>,
    /// The number of the root.
    root: usize,
    /// Whether the user named the file itself.
    named: bool,
    /// How many archives it lies in.
    depth: u32,
}

/// There is no memory for a nested archive beside those of other threads: its input is read again
/// when nothing else is.
struct NotNow;

/// What all threads share.
struct Job<'a> {
    /// The roots' names, by their numbers.
    names: &'a [Arc<str>],
    limits: Limits,
    /// For nested archives.
    memory: Memory,
    /// Nothing is read beside an archive, and its parts one after the other.
    alone: bool,
    progress: &'a Progress,
}

impl Job<'_> {
    /// Reads a file that was found on the disk.
    fn file(&self, candidate: Candidate, worker: &mut Worker) -> Gathered {
        let place = Place {
            name: candidate.name.clone(),
            source: self.names.get(candidate.root).cloned().unwrap_or_default(),
            ordinal: Vec::new(),
            root: candidate.root,
            named: candidate.named,
            depth: 0,
        };
        let mut gathered = Gathered::default();
        if archive::is_secret(&candidate.name) && candidate.named {
            let detail = "it holds a token, and is never read: name the logs beside it";
            let kind = ProblemKind::NotALog;
            gathered.problem(&candidate.name, kind, detail.to_owned(), 0);
        } else if archive::is_secret(&candidate.name) {
            gathered.other(&place);
        } else if let Err(error) = self.open(&candidate, place.clone(), worker, &mut gathered) {
            let detail = input::plain(&error);
            gathered.problem(&candidate.name, ProblemKind::Unreadable, detail, 0);
        }
        self.progress.files.fetch_add(1, Ordering::Relaxed);
        gathered
    }

    fn open(
        &self,
        candidate: &Candidate,
        place: Place,
        worker: &mut Worker,
        gathered: &mut Gathered,
    ) -> io::Result<()> {
        let bytes = Bytes::file(File::open(&candidate.file)?)?;
        let size = bytes.size();
        let mut head = [0; HEAD];
        let length = bytes.read_at(&mut head, 0)?;
        let head = head.get(..length).unwrap_or_default();
        let kind = match input::kind(head) {
            Kind::Other if input::has_size_of_log(size) && input::has_chunks(&bytes)? => {
                Kind::Log(input::NO_HEADER)
            }
            kind => kind,
        };
        match kind {
            Kind::Log(header) => {
                let part = self.log(&bytes, head, header, &place.name, worker);
                gathered.log(place, header, size, part, self);
                return Ok(());
            }
            Kind::Archive(kind) => {
                let budget = Budget::new(self.limits, size);
                match self.archive(&bytes, kind, &place, &budget, worker) {
                    // What had been read by then depends on the threads.
                    Ok(_) if budget.exhausted() => {
                        gathered.add(refused(&place, vec![budget.refusal()]));
                    }
                    Ok(found) => gathered.add(found),
                    Err(NotNow) => gathered.put_off.push(candidate.clone()),
                }
                // The parts of these were counted one by one.
                if matches!(kind, archive::Kind::Zip | archive::Kind::Cab) {
                    return Ok(());
                }
            }
            kind => self.other(kind, &place, gathered, || {
                let mut text = vec![0; bundle::TEXT];
                let length = bytes.read_at(&mut text, 0).unwrap_or(0);
                text.truncate(length);
                text
            }),
        }
        self.progress.bytes.fetch_add(size, Ordering::Relaxed);
        Ok(())
    }

    /// Reads a log whose bytes lie at any place.
    fn log(
        &self,
        bytes: &Bytes,
        head: &[u8],
        header: Header,
        name: &str,
        worker: &mut Worker,
    ) -> Part {
        let stretch = |first: u64, worker: &mut Worker| {
            let started = Instant::now();
            let last = slots_in(bytes.size()).min(first + STRETCH);
            let mut slots = Slots {
                from: Source::Anywhere(bytes),
                buffer: &mut worker.buffer,
                have: 0,
                offset: offset_of(first),
            };
            if first == 0 {
                slots.begin(head);
            }
            let mut part = Part::default();
            part.read(&mut slots, offset_of(last), header, name, &mut worker.names);
            let end = offset_of(last).min(bytes.size());
            let read = end - if first == 0 { 0 } else { offset_of(first) };
            self.progress.bytes.fetch_add(read, Ordering::Relaxed);
            part.busy = started.elapsed();
            part
        };
        let firsts: Vec<u64> = (0..slots_in(bytes.size()))
            .step_by(STRETCH as usize)
            .collect();
        match firsts.len() {
            0 | 1 => stretch(0, worker),
            _ => {
                let parts: Vec<Part> = firsts
                    .into_par_iter()
                    .map_init(Worker::default, |worker, first| stretch(first, worker))
                    .collect();
                let mut whole = Part::default();
                for part in parts {
                    whole.add(part);
                }
                whole
            }
        }
    }

    /// Reads a log whose bytes come one after the other, and returns how many there were.
    fn log_in_order(
        &self,
        head: &[u8],
        reader: &mut dyn Read,
        header: Header,
        name: &str,
        worker: &mut Worker,
    ) -> (Part, u64) {
        let started = Instant::now();
        let mut slots = Slots {
            from: Source::InOrder(reader),
            buffer: &mut worker.buffer,
            have: 0,
            offset: FILE_HEADER_SIZE,
        };
        slots.begin(head);
        let mut part = Part::default();
        // One without a header is given up if no chunk comes.
        if header == input::NO_HEADER {
            let end = offset_of(input::SLOTS_WITHOUT_HEADER);
            part.read(&mut slots, end, header, name, &mut worker.names);
            if part.chunks == 0 {
                return (part, 0);
            }
        }
        part.read(&mut slots, u64::MAX, header, name, &mut worker.names);
        part.busy = started.elapsed();
        let bytes = match head.len() < HEAD {
            true => head.len() as u64,
            false => slots.offset + slots.have as u64,
        };
        (part, bytes)
    }

    /// Counts a file that is neither log nor archive, or lists it.
    fn other(
        &self,
        kind: Kind,
        place: &Place,
        gathered: &mut Gathered,
        text: impl FnOnce() -> Vec<u8>,
    ) {
        let name = &place.name;
        match kind {
            Kind::Unsupported(what) => {
                let detail = format!("a {what}, which is not read: unpack it and name the folder");
                gathered.left_out(place, ProblemKind::Unsupported, detail);
            }
            Kind::Empty if place.named => {
                let detail = "the file is empty: collect it again".to_owned();
                gathered.problem(name, ProblemKind::NotALog, detail, 0);
            }
            _ if gathered.hints.learn(name, &place.source, text) => gathered.other(place),
            _ if place.named => {
                let detail = "not an event log: it starts with neither ElfFile nor a chunk; name \
                              logs (.evtx), archives or folders";
                gathered.problem(name, ProblemKind::NotALog, detail.to_owned(), 0);
            }
            _ => gathered.other(place),
        }
    }

    /// Reads what is in an archive.
    fn archive(
        &self,
        bytes: &Bytes,
        kind: archive::Kind,
        place: &Place,
        budget: &Budget,
        worker: &mut Worker,
    ) -> Result<Gathered, NotNow> {
        if let Some(refused) = self.too_deep(place) {
            return Ok(refused);
        }
        match kind {
            archive::Kind::Zip => match Zip::open(bytes.clone(), budget) {
                Ok(zip) => self.parts(bytes, zip.parts(), place, budget, &|part, visit| {
                    zip.read_part(part, budget, visit)
                }),
                Err(refusal) => Ok(refused(place, vec![refusal])),
            },
            archive::Kind::Cab => match Cab::open(bytes.clone(), budget) {
                Ok(cab) => self.parts(bytes, cab.parts(), place, budget, &|part, visit| {
                    cab.read_part(part, budget, visit)
                }),
                Err(refusal) => Ok(refused(place, vec![refusal])),
            },
            archive::Kind::Gzip | archive::Kind::Tar => {
                self.stream(&mut bytes.cursor(), kind, place, budget, worker)
            }
        }
    }

    /// Reads the parts of an archive, several at a time.
    fn parts(
        &self,
        bytes: &Bytes,
        count: usize,
        place: &Place,
        budget: &Budget,
        read: &ReadPart<'_>,
    ) -> Result<Gathered, NotNow> {
        let source: Arc<str> = place.name.as_str().into();
        let part = |number: usize, worker: &mut Worker| {
            let mut found = Ok(Gathered::default());
            let mut index = 0;
            let mut visit = |member: Member<'_>| {
                if let Ok(gathered) = &mut found {
                    let within = place.below(member.name, &source, &[number, index]);
                    index += 1;
                    match self.member(member, within, budget, worker) {
                        Ok(member) => gathered.add(member),
                        Err(NotNow) => found = Err(NotNow),
                    }
                }
            };
            // As with the parser of logs: someone else's code on hostile bytes.
            let refusals = catch_unwind(AssertUnwindSafe(|| read(number, &mut visit)));
            found.map(|gathered| gathered.with(refused_or_failed(place, refusals)))
        };
        let share = bytes.size() / count.max(1) as u64;
        let fold = |(mut worker, mut gathered): (Worker, Gathered), number| {
            gathered.add(part(number, &mut worker)?);
            if place.depth == 0 {
                self.progress.bytes.fetch_add(share, Ordering::Relaxed);
            }
            Ok((worker, gathered))
        };
        if self.alone {
            let all = (0..count).try_fold(Default::default(), fold);
            return all.map(|(_, gathered)| gathered);
        }
        (0..count)
            .into_par_iter()
            .try_fold(Default::default, fold)
            .map(|part| part.map(|(_, gathered)| gathered))
            .try_reduce(Gathered::default, |a, b| Ok(a.with(b)))
    }

    /// Reads an archive whose members come one after the other.
    fn stream(
        &self,
        reader: &mut dyn Read,
        kind: archive::Kind,
        place: &Place,
        budget: &Budget,
        worker: &mut Worker,
    ) -> Result<Gathered, NotNow> {
        if let Some(refused) = self.too_deep(place) {
            return Ok(refused);
        }
        let source: Arc<str> = match kind {
            archive::Kind::Gzip => Arc::clone(&place.source),
            _ => place.name.as_str().into(),
        };
        let mut found = Ok(Gathered::default());
        let mut index = 0;
        let mut visit = |member: Member<'_>| {
            if let Ok(gathered) = &mut found {
                let within = match kind {
                    // One file, compressed: it keeps its name.
                    archive::Kind::Gzip => Place {
                        depth: place.depth + 1,
                        ..place.clone()
                    },
                    _ => place.below(member.name, &source, &[index]),
                };
                index += 1;
                match self.member(member, within, budget, worker) {
                    Ok(member) => gathered.add(member),
                    Err(NotNow) => found = Err(NotNow),
                }
            }
        };
        let refusals = catch_unwind(AssertUnwindSafe(|| match kind {
            archive::Kind::Gzip => archive::gzip::each(reader, &place.name, budget, &mut visit),
            _ => archive::tar::each(reader, budget, &mut visit),
        }));
        found.map(|gathered| gathered.with(refused_or_failed(place, refusals)))
    }

    /// Reads a member of an archive.
    fn member(
        &self,
        member: Member<'_>,
        place: Place,
        budget: &Budget,
        worker: &mut Worker,
    ) -> Result<Gathered, NotNow> {
        let mut gathered = Gathered::default();
        let mut head = [0; HEAD];
        // What goes wrong in reading is told by the archive.
        let (length, _) = read_full(member.reader, &mut head);
        let head = head.get(..length).unwrap_or_default();
        let kind = input::kind(head);
        match kind {
            Kind::Log(header) => {
                let (part, bytes) =
                    self.log_in_order(head, member.reader, header, &place.name, worker);
                gathered.log(place, header, bytes, part, self);
            }
            // What a gzip file unpacks to is not known before.
            Kind::Other if member.size.is_none_or(input::has_size_of_log) => {
                let header = input::NO_HEADER;
                let (part, bytes) =
                    self.log_in_order(head, member.reader, header, &place.name, worker);
                match part.chunks {
                    0 => self.other(kind, &place, &mut gathered, || head.to_vec()),
                    _ => gathered.log(place, header, bytes, part, self),
                }
            }
            Kind::Archive(kind @ (archive::Kind::Zip | archive::Kind::Cab)) => {
                // What is not packed can be read where it stands.
                if let Some(bytes) = member.stored {
                    return self.archive(&bytes, kind, &place, budget, worker);
                }
                let mut reader = head.chain(member.reader);
                match archive::hold(&mut reader, &place.name, member.size, &self.memory) {
                    Hold::Held(bytes) => return self.archive(&bytes, kind, &place, budget, worker),
                    Hold::Refused(refusal) => {
                        let (kind, lost) = (ProblemKind::LimitReached, refusal.lost_bytes);
                        gathered.problem(&place.name, kind, refusal.detail, lost);
                    }
                    // Those around it hold the memory.
                    Hold::Later if self.alone => {
                        let most = self.memory.most() >> 20;
                        let detail = format!(
                            "with the archives that it lies in it takes more than the {most} MiB \
                             of --max-nested: unpack it first"
                        );
                        let lost = member.size.unwrap_or(0);
                        gathered.problem(&place.name, ProblemKind::LimitReached, detail, lost);
                    }
                    Hold::Later => return Err(NotNow),
                }
            }
            Kind::Archive(kind) => {
                let mut reader = head.chain(member.reader);
                return self.stream(&mut reader, kind, &place, budget, worker);
            }
            kind => self.other(kind, &place, &mut gathered, || {
                let mut text = head.to_vec();
                let mut rest = vec![0; bundle::TEXT.saturating_sub(text.len())];
                let (length, _) = read_full(member.reader, &mut rest);
                text.extend(rest.get(..length).unwrap_or_default());
                text
            }),
        }
        Ok(gathered)
    }

    /// What is said of an archive that lies in too many others.
    fn too_deep(&self, place: &Place) -> Option<Gathered> {
        let most = self.limits.depth;
        (place.depth >= most).then(|| {
            let detail = format!(
                "an archive inside {most} others, which is not read: unpack it first, or raise --max-depth"
            );
            let mut gathered = Gathered::default();
            gathered.problem(&place.name, ProblemKind::LimitReached, detail, 0);
            gathered
        })
    }
}

/// How a part of an archive is read.
type ReadPart<'a> = dyn Fn(usize, &mut dyn FnMut(Member<'_>)) -> Vec<Refusal> + Sync + 'a;

impl Place {
    /// A member of the archive here.
    fn below(&self, member: &str, source: &Arc<str>, ordinal: &[usize]) -> Place {
        Place {
            name: format!("{}!{member}", self.name),
            source: Arc::clone(source),
            ordinal: [&self.ordinal, ordinal].concat(),
            root: self.root,
            named: false,
            depth: self.depth + 1,
        }
    }
}

/// The same, or that the parser itself failed.
fn refused_or_failed(place: &Place, refusals: std::thread::Result<Vec<Refusal>>) -> Gathered {
    match refusals {
        Ok(refusals) => refused(place, refusals),
        // Nothing is known of what it held.
        Err(_) => {
            let mut gathered = Gathered::default();
            let detail = "its parser failed: unpack it and name the folder".to_owned();
            gathered.problem(&place.name, ProblemKind::ParserFailure, detail, 0);
            gathered
        }
    }
}

/// What an archive did not give, as problems.
fn refused(place: &Place, refusals: Vec<Refusal>) -> Gathered {
    let mut gathered = Gathered::default();
    for refusal in refusals {
        let kind = match refusal.kind {
            RefusalKind::Encrypted => ProblemKind::Encrypted,
            RefusalKind::Truncated => ProblemKind::Truncated,
            RefusalKind::Damaged => ProblemKind::DamagedArchive,
            RefusalKind::Checksum => ProblemKind::ChecksumMismatch,
            RefusalKind::Unsupported => ProblemKind::Unsupported,
            RefusalKind::TooLarge | RefusalKind::Limit => ProblemKind::LimitReached,
            RefusalKind::NotFollowed => ProblemKind::NotFollowed,
            RefusalKind::Unreadable => ProblemKind::Unreadable,
        };
        match &refusal.member {
            Some(member) => {
                let reason = (place.name.clone(), kind, refusal.detail);
                gathered.left_out.add(reason, member, refusal.lost_bytes);
            }
            None => gathered.problem(&place.name, kind, refusal.detail, refusal.lost_bytes),
        }
    }
    gathered
}

/// Of the members of an archive that are left out for one and the same reason so many are listed
/// each; more are one problem.
const LISTED_MEMBERS: usize = 3;

/// The members of archives that were left out, by archive and reason.
#[derive(Debug, Default)]
struct LeftOut(BTreeMap<(String, ProblemKind, String), Members>);

/// Members that were left out.
#[derive(Debug, Default)]
struct Members {
    count: u64,
    lost_bytes: u64,
    /// The first few by name, with the bytes lost of each.
    first: Vec<(String, u64)>,
}

impl LeftOut {
    fn add(&mut self, reason: (String, ProblemKind, String), member: &str, lost_bytes: u64) {
        let of = self.0.entry(reason).or_default();
        of.add(1, lost_bytes, [(member.to_owned(), lost_bytes)]);
    }

    fn extend(&mut self, others: LeftOut) {
        for (reason, members) in others.0 {
            let of = self.0.entry(reason).or_default();
            of.add(members.count, members.lost_bytes, members.first);
        }
    }

    fn into_problems(self) -> impl Iterator<Item = Problem> {
        self.0
            .into_iter()
            .flat_map(|((archive, kind, detail), members)| {
                let problem = |path, detail, lost_bytes| Problem {
                    path,
                    offset: None,
                    kind,
                    detail,
                    lost_bytes,
                };
                if members.count <= LISTED_MEMBERS as u64 {
                    let each = members.first.iter().map(|(member, lost)| {
                        problem(format!("{archive}!{member}"), detail.clone(), *lost)
                    });
                    return each.collect::<Vec<_>>();
                }
                let first = members.first.first().map_or("", |(first, _)| first);
                let detail = format!("{} members, {first} the first: {detail}", members.count);
                vec![problem(archive, detail, members.lost_bytes)]
            })
    }
}

impl Members {
    fn add(&mut self, count: u64, lost_bytes: u64, first: impl IntoIterator<Item = (String, u64)>) {
        self.count += count;
        self.lost_bytes += lost_bytes;
        self.first.extend(first);
        self.first.sort_unstable();
        self.first.truncate(LISTED_MEMBERS);
    }
}

/// Reads until the buffer is full or there is no more; and what went wrong, if something did.
fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

fn slots_in(bytes: u64) -> u64 {
    bytes
        .saturating_sub(FILE_HEADER_SIZE)
        .div_ceil(CHUNK_SIZE as u64)
}

fn offset_of(slot: u64) -> u64 {
    FILE_HEADER_SIZE + slot * CHUNK_SIZE as u64
}

/// Where the bytes of a log come from.
enum Source<'a> {
    /// They can be read at any place: what is not needed is not read.
    Anywhere(&'a Bytes),
    /// They come one after the other.
    InOrder(&'a mut dyn Read),
}

/// The slots of a log, one at a time.
struct Slots<'a> {
    from: Source<'a>,
    buffer: &'a mut [u8],
    /// How much of the slot, and of the start of the next, is in the buffer.
    have: usize,
    /// Where the slot starts in the log.
    offset: u64,
}

/// Where so little of a slot is not needed, it is read along: that costs less than to ask for the
/// start of the next slot by itself.
const READ_ALONG: usize = 4 << 10;

impl Slots<'_> {
    /// Takes over what was read of the first slot when the file was opened.
    fn begin(&mut self, head: &[u8]) {
        let start = head.get(FILE_HEADER_SIZE as usize..).unwrap_or_default();
        if let Some(place) = self.buffer.get_mut(..start.len()) {
            place.copy_from_slice(start);
            self.have = start.len();
        }
    }

    /// Reads the slot up to here, and returns how much of that there is.
    fn fill(&mut self, end: usize) -> io::Result<usize> {
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
    fn missing(&self) -> u64 {
        match &self.from {
            Source::Anywhere(bytes) => {
                (self.offset + CHUNK_SIZE as u64).saturating_sub(bytes.size())
            }
            Source::InOrder(_) => CHUNK_SIZE.saturating_sub(self.have) as u64,
        }
    }

    fn next(&mut self) {
        self.buffer
            .copy_within(self.have.min(CHUNK_SIZE)..self.have, 0);
        self.have = self.have.saturating_sub(CHUNK_SIZE);
        self.offset += CHUNK_SIZE as u64;
    }
}

/// What a stretch of a log held.
#[derive(Default)]
struct Part {
    /// Slots that hold a chunk.
    chunks: u64,
    records: u64,
    chunks_damaged: u64,
    /// Chunk by chunk, none of them empty.
    events: Vec<Batch>,
    problems: Vec<Problem>,
    /// What came after [`LISTED_OF_LOG`] of a kind: how many, where the first, and the bytes lost.
    more: BTreeMap<ProblemKind, (u64, u64, u64)>,
    /// How long reading it took.
    busy: Duration,
}

/// A log made for it has thousands of damaged places in every chunk: of each kind so many are listed,
/// the others counted.
const LISTED_OF_LOG: usize = 100;

impl Part {
    fn add(&mut self, other: Part) {
        self.chunks += other.chunks;
        self.records += other.records;
        self.chunks_damaged += other.chunks_damaged;
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

    fn problem(&mut self, path: &str, offset: u64, kind: ProblemKind, detail: String, lost: u64) {
        self.list(Problem {
            path: path.to_owned(),
            offset: Some(offset),
            kind,
            detail,
            lost_bytes: lost,
        });
    }

    fn list(&mut self, problem: Problem) {
        let of_kind = self.problems.iter().filter(|of| of.kind == problem.kind);
        if of_kind.count() < LISTED_OF_LOG {
            self.problems.push(problem);
            return;
        }
        let first = (0, problem.offset.unwrap_or(0), 0);
        let more = self.more.entry(problem.kind).or_insert(first);
        more.0 += 1;
        more.2 += problem.lost_bytes;
    }

    /// All problems of a log, those that are not listed as one of each kind.
    fn into_problems(self, path: &str) -> (Vec<Problem>, Vec<Batch>) {
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
    fn read(
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
    fn read_slot(
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
                    let detail = format!("the file ends {missing} bytes short of a whole chunk");
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
                if !events.is_empty() {
                    self.events.push(Batch::of(events));
                }
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
