//! Inputs → the machines' events: the only place that knows threads and files.
//!
//! Files are read as they are found, by whichever thread is free; a large log is cut into stretches
//! and an archive into its parts, so that one large input and many small ones both keep every core
//! busy. Each worker holds one chunk at a time; what stays is the selected events.

use crate::base::buffer::Buffer;
use crate::base::problem::{Problem, ProblemKind, counted, io_words};
use crate::event::batch::Batch;
use crate::evtx::chunk::{FILE_HEADER_SIZE, SLOT_START};
use crate::evtx::record::Names;
use crate::input::archive::{self, Budget, Bytes, Hold, Limits, Member, Memory, Refusal};
use crate::input::archive::{cab::Cab, zip::Zip};
use crate::input::{self, Candidate, Header, Kind, Roots};
use bundle::Hints;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::time::Instant;

pub(crate) mod bundle;
mod gathered;
mod log;

use gathered::{Gathered, refused, refused_or_failed};
use log::{Part, Slots, Source, offset_of, slots_in};

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

/// What one file adds to the progress, so that it can be taken back.
struct Counted<'a> {
    progress: &'a Progress,
    bytes: AtomicU64,
    logs: AtomicU64,
}

impl<'a> Counted<'a> {
    fn new(progress: &'a Progress) -> Counted<'a> {
        Counted {
            progress,
            bytes: AtomicU64::new(0),
            logs: AtomicU64::new(0),
        }
    }

    fn bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
        self.progress.bytes.fetch_add(count, Ordering::Relaxed);
    }

    fn log(&self, events: &[Batch]) {
        self.logs.fetch_add(1, Ordering::Relaxed);
        self.progress.logs.fetch_add(1, Ordering::Relaxed);
        self.progress.saw(events);
    }

    /// The file was read, or is to be read again and counted then.
    fn file(self, again: bool) {
        let progress = self.progress;
        if again {
            let (bytes, logs) = (self.bytes.into_inner(), self.logs.into_inner());
            progress.bytes.fetch_sub(bytes, Ordering::Relaxed);
            progress.logs.fetch_sub(logs, Ordering::Relaxed);
        } else {
            progress.files.fetch_add(1, Ordering::Relaxed);
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
    #[error("cannot start the worker threads: {detail}; ask for fewer with --threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        detail: String,
    },
}

/// What files held, before it is sorted by machine.
pub(crate) struct Scanned {
    pub(crate) roots: Roots,
    /// The roots' names, by their numbers.
    pub(crate) names: Vec<Arc<str>>,
    /// The logs with events of ours.
    pub(crate) logs: Vec<Log>,
    pub(crate) hints: Hints,
    pub(crate) problems: Vec<Problem>,
    /// Members of archives that are told as one problem, each for itself.
    pub(crate) left_out_together: Vec<Problem>,
    /// By the number of the root, with the time that threads were busy.
    pub(crate) counts: BTreeMap<usize, (Counts, Duration)>,
    /// The named files that were opened, by the number of the root: what each is, and its size.
    pub(crate) files: BTreeMap<usize, (Kind, u64)>,
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
    /// Records of ours that could not be decoded.
    pub lost: u64,
    /// Files that are no event logs.
    pub other_files: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Counts) {
        self.logs += other.logs;
        self.bytes += other.bytes;
        self.records += other.records;
        self.events += other.events;
        self.lost += other.lost;
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
    pub(crate) events: Vec<Batch>,
    pub(crate) problems: Vec<Problem>,
}

impl Log {
    /// The computers that its events name, some of them more than once.
    pub(crate) fn computers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.events.iter().flat_map(|batch| &batch.computers)
    }
}

/// Does work on as many threads as these options say: those that read logs, and those that work out
/// each window of a machine and write it. Within such work the threads are the same.
///
/// # Errors
///
/// If the threads cannot be started.
pub fn in_threads<T: Send>(options: Options, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    if rayon::current_thread_index().is_some() {
        return Ok(work());
    }
    let pool = threads(options).build();
    Ok(pool
        .map_err(|error| no_threads(options, &error))?
        .install(work))
}

/// Has this thread, and as many more as these options say, do all work until the process ends: what
/// a program does that works once. This thread's memory is taken from the system in larger pieces
/// than that of others.
///
/// # Errors
///
/// If the threads cannot be started, or were before.
pub fn use_this_thread(options: Options) -> Result<(), Error> {
    let started = threads(options).use_current_thread().build_global();
    started.map_err(|error| no_threads(options, &error))
}

/// A worker's stack, in bytes. Archives in archives are read by recursion, 64 deep at most, and a
/// worker that waits for a part of one may begin another. Only what is used takes memory.
const STACK: usize = 16 << 20;

fn threads(options: Options) -> rayon::ThreadPoolBuilder {
    rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .stack_size(STACK)
}

fn no_threads(options: Options, error: &rayon::ThreadPoolBuildError) -> Error {
    Error::Threads {
        threads: options.threads,
        detail: match std::error::Error::source(error).and_then(|of| of.downcast_ref()) {
            Some(error) => io_words(error),
            None => error.to_string(),
        },
    }
}

/// Reads every event log among the files, folders and archives named, on the current threads.
///
/// # Errors
///
/// If there is not one event log among them.
pub(crate) fn scan(
    paths: &[PathBuf],
    options: Options,
    progress: &Progress,
) -> Result<Scanned, Error> {
    let roots = Roots::new(paths);
    let names: Vec<Arc<str>> = roots.names().map(Arc::from).collect();
    let job = Job {
        names: &names,
        limits: options.limits,
        memory: Memory::new(options.limits.nested),
        alone: false,
        counted: Counted::new(progress),
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

    let (left_out, left_out_together) = std::mem::take(&mut found.left_out).into_problems();
    found.problems.extend(left_out);
    found.problems.sort();
    let mut totals = Counts::default();
    found
        .counts
        .values()
        .for_each(|(counts, _)| totals.add(*counts));
    if totals.logs == 0 {
        return Err(nothing_to_read(paths, &found.problems));
    }
    Ok(Scanned {
        logs: found.logs,
        hints: found.hints,
        problems: found.problems,
        counts: found.counts,
        files: found.files,
        left_out_together,
        names,
        roots,
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
    /// By the file that is read.
    counted: Counted<'a>,
}

/// What is said of a path that was read without finding an event. Of the members of an archive,
/// which may be many, it says the same.
pub(crate) fn no_evidence(counts: Counts, is_member: bool) -> String {
    let Counts { logs, records, .. } = counts;
    let logs_and = |rest: &str| match logs {
        1 => format!("one event log {rest}"),
        _ => format!("{logs} event logs {rest}"),
    };
    match (logs, records) {
        (0, _) => "there is no event log (.evtx) in it".to_owned(),
        _ if is_member => "its event logs have no event of the selected providers".to_owned(),
        (_, 0) => logs_and("without a record"),
        (_, 1) => logs_and("with one record, of another provider"),
        _ => logs_and(&format!("with {records} records, all of other providers")),
    }
}

impl Job<'_> {
    /// Reads a file that was found on the disk.
    fn file(&self, candidate: Candidate, worker: &mut Worker) -> Gathered {
        let job = Job {
            names: self.names,
            limits: self.limits,
            memory: self.memory.clone(),
            alone: self.alone,
            counted: Counted::new(self.counted.progress),
        };
        let gathered = job.one_file(candidate, worker);
        job.counted.file(!gathered.put_off.is_empty());
        gathered
    }

    fn one_file(&self, candidate: Candidate, worker: &mut Worker) -> Gathered {
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
            Kind::Other => input::kind_by_end(&place.name, head, &bytes)?,
            kind => kind,
        };
        if let Some(detail) = input::volume_beside_others(candidate, kind) {
            gathered.left_out(&place, ProblemKind::Unsupported, detail);
            self.counted.bytes(size);
            return Ok(());
        }
        if place.named {
            gathered.files.insert(place.root, (kind, size));
        }
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
                        // Which cap is passed first depends on them, too.
                        match self.alone || rayon::current_num_threads() == 1 {
                            true => gathered.add(refused(&place, vec![budget.refusal()])),
                            false => gathered.put_off.push(candidate.clone()),
                        }
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
        self.counted.bytes(size);
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
        let stretch = |part: &mut Part, first: u64, worker: &mut Worker| {
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
            part.read(&mut slots, offset_of(last), header, name, &mut worker.names);
            let end = offset_of(last).min(bytes.size());
            let read = end - if first == 0 { 0 } else { offset_of(first) };
            self.counted.bytes(read);
            part.busy += started.elapsed();
        };
        let firsts: Vec<u64> = (0..slots_in(bytes.size()))
            .step_by(STRETCH as usize)
            .collect();
        // What one thread reads need not be put together.
        let least = match rayon::current_num_threads() {
            1 => firsts.len(),
            _ => 1,
        };
        if firsts.len() <= least {
            let mut whole = Part::default();
            firsts
                .iter()
                .for_each(|first| stretch(&mut whole, *first, worker));
            return whole;
        }
        let new = || (Worker::default(), Part::default());
        firsts
            .into_par_iter()
            .fold(new, |(mut worker, mut part), first| {
                stretch(&mut part, first, &mut worker);
                (worker, part)
            })
            .map(|(_, part)| part)
            .reduce(Part::default, |mut part, next| {
                part.add(next);
                part
            })
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
        if let Some(detail) = input::volume(name, kind) {
            gathered.left_out(place, ProblemKind::Unsupported, detail);
            return;
        }
        match kind {
            Kind::Unsupported(what) => {
                let detail = format!(
                    "{} {what}, which is not read: unpack it and name the folder",
                    article(what)
                );
                gathered.left_out(place, ProblemKind::Unsupported, detail);
            }
            Kind::Empty if place.named || input::claims_evidence(name) => {
                let detail = "the file is empty: collect it again".to_owned();
                gathered.left_out(place, ProblemKind::NotALog, detail);
            }
            _ if input::claims_evidence(name) => {
                let detail = input::false_claim(name, &text());
                gathered.left_out(place, ProblemKind::NotALog, detail);
            }
            _ if gathered.hints.learn(name, &place.source, text) => gathered.other(place),
            _ if place.named => {
                gathered.problem(name, ProblemKind::NotALog, input::not_a_log(name), 0);
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
        if let Some(detail) = input::first_volume(&place.name, kind, bytes) {
            let mut gathered = Gathered::default();
            gathered.left_out(place, ProblemKind::Unsupported, detail);
            return Ok(gathered);
        }
        let found = match kind {
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
                return self.stream(&mut bytes.cursor(), kind, place, budget, worker);
            }
        };
        Ok(found?.or_no_evidence(place, kind))
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
                self.counted.bytes(share);
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
        let found = found?.with(refused_or_failed(place, refusals));
        Ok(found.or_no_evidence(place, kind))
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
        let (length, _) = archive::read_full(member.reader, &mut head);
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
                        let most = archive::size_text(self.memory.most());
                        let detail = format!(
                            "with the archives around it, it takes more than {most} of memory: \
                             unpack it first, or raise --max-nested"
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
                let (length, _) = archive::read_full(member.reader, &mut rest);
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
                "an archive inside {}, which is not read: unpack it first, or raise --max-depth",
                counted(most.into(), "other")
            );
            let mut gathered = Gathered::default();
            gathered.problem(&place.name, ProblemKind::LimitReached, detail, 0);
            gathered
        })
    }
}

/// The article of a noun, which may be said letter by letter.
fn article(noun: &str) -> &'static str {
    match noun.starts_with(['a', 'e', 'i', 'o', 'u']) || noun.starts_with("xz ") {
        true => "an",
        false => "a",
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
