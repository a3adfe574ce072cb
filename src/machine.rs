//! Whose event it is: machines, their renames, and events that several logs hold.

use crate::base::identity::{folded, is_same};
use crate::base::problem::{Problem, ProblemKind};
use crate::base::time::Filetime;
use crate::event::batch::Batch;
use crate::event::order::Order;
use crate::event::{Event, guid};
use crate::facts::Role;
use crate::scan::Log;
use crate::scan::bundle::unit;
use crate::scan::bundle::{Hints, give_lost_names};
use crate::scan::{self, Counts, Error, Options, Progress, Scanned};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

mod inputs;
mod names;

use inputs::OfRoots;
pub use inputs::{Input, InputKind, Skipped};
use names::Names;

/// What stands for a machine whose name is in none of its records.
const NO_NAME: &str = "(name lost)";

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
    /// Records of other providers.
    pub records_foreign: u64,
    /// Records of ours that could not be decoded.
    pub records_lost: u64,
    /// Selected events that several logs held: those beyond the first.
    pub duplicates: u64,
    /// Files in folders and archives that are no event logs.
    pub other_files: u64,
    /// The named paths, and every other file that should have given something and did not, by path.
    pub inputs: Vec<Input>,
}

impl Scan {
    /// Whether a path that the user named gave no event, whatever the others gave.
    pub fn named_in_vain(&self) -> bool {
        let mut inputs = self.inputs.iter();
        inputs.any(|input| input.named && input.skipped.is_some())
    }
}

/// One computer and its events.
#[derive(Debug)]
pub struct Machine {
    /// The name it had last.
    pub name: Arc<str>,
    /// Whether another machine has the same name.
    pub shares_name: bool,
    /// Its other names, sorted.
    pub also_known_as: Vec<Arc<str>>,
    /// The inputs that its events were found in, sorted.
    pub sources: Vec<Arc<str>>,
    /// The logs that hold events of it, by path.
    pub logs: Vec<MachineLog>,
    /// Its events in total order, each once.
    pub events: Vec<Event>,
    /// Problems in logs that hold events of this machine only.
    pub problems: Vec<Problem>,
}

/// A log that holds events of a machine.
#[derive(Debug)]
pub struct MachineLog {
    /// Path as named.
    pub path: String,
    /// The channels of the machine's events in it, sorted.
    pub channels: Vec<Arc<str>>,
    /// All records of the log.
    pub records: u64,
    /// The machine's events in it, before duplicates are left out.
    pub events: u64,
    /// Chunks with damage.
    pub chunks_damaged: u64,
    /// Whether it was copied while the event log service had it open.
    pub dirty: bool,
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

/// The same as [`scan`](scan()), and says how far it is.
///
/// # Errors
///
/// As [`scan`](scan()).
pub fn scan_watched(
    paths: &[PathBuf],
    options: Options,
    progress: &Progress,
) -> Result<Scan, Error> {
    scan::in_threads(options, || {
        let scanned = scan::scan(paths, options, progress)?;
        Ok(by_machine(scanned, options.separate_bundles))
    })?
}

fn by_machine(mut scanned: Scanned, separate: bool) -> Scan {
    let mut totals = Counts::default();
    let counts = scanned.counts.values();
    counts.for_each(|(counts, _)| totals.add(*counts));
    let (logs, hints) = (
        std::mem::take(&mut scanned.logs),
        std::mem::take(&mut scanned.hints),
    );
    let mut of_roots = OfRoots::new(&logs);
    let sorted = sort_by_machine(logs, hints, separate);
    let machines = sorted.machines.iter();
    machines.for_each(|machine| of_roots.add(machine));
    let mut problems = std::mem::take(&mut scanned.problems);
    problems.extend(sorted.problems);
    problems.sort();
    let inputs = inputs::inputs(scanned, of_roots, &mut problems);
    Scan {
        machines: sorted.machines,
        problems,
        logs: totals.logs,
        bytes: totals.bytes,
        records_read: totals.records,
        records_foreign: totals.records.saturating_sub(totals.events + totals.lost),
        records_lost: totals.lost,
        duplicates: sorted.duplicates,
        other_files: totals.other_files,
        inputs,
    }
}

/// The machines, and what of the logs belongs to none.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// By name, then by their sources.
    pub(crate) machines: Vec<Machine>,
    pub(crate) problems: Vec<Problem>,
    /// Events that several logs held: those beyond the first.
    pub(crate) duplicates: u64,
}

/// Brings the logs' events together by machine. Equal names in several sources are one machine,
/// unless they are to be kept apart or their logs contradict each other.
pub(crate) fn sort_by_machine(mut logs: Vec<Log>, hints: Hints, separate: bool) -> Sorted {
    // Names that are no UTF-8 may be shown alike.
    let first = |log: &Log| {
        let event = log.events.first()?.events.first()?;
        Some((event.written(), event.record_id))
    };
    logs.sort_by(|a, b| {
        let place = (&a.path, &a.ordinal).cmp(&(&b.path, &b.ordinal));
        place.then_with(|| (a.records, first(a)).cmp(&(b.records, first(b))))
    });
    give_lost_names(&mut logs, hints);
    let names = Names::of(&logs);
    let mut sorted = Sorted {
        machines: Vec::new(),
        problems: Vec::new(),
        duplicates: 0,
    };
    let mut machines: BTreeMap<(String, Option<String>), Vec<Share>> = BTreeMap::new();
    for log in logs {
        let new = || Share {
            source: Arc::clone(&log.source),
            unit: unit(&log.path, &log.source),
            log: MachineLog {
                path: log.path.clone(),
                channels: Vec::new(),
                records: log.records,
                events: 0,
                chunks_damaged: log.chunks_damaged,
                dirty: log.dirty,
            },
            channels: BTreeSet::new(),
            events: Vec::new(),
            problems: Vec::new(),
        };
        let mut here: BTreeMap<&str, Share> = BTreeMap::new();
        for batch in log.events {
            for (root, batch) in names.by_root(batch) {
                here.entry(root).or_insert_with(new).add(batch);
            }
        }
        // A log of several machines does not tell whose its problems are.
        match here.len() {
            1 => here
                .values_mut()
                .for_each(|share| share.problems.clone_from(&log.problems)),
            _ => sorted.problems.extend(log.problems),
        }
        for (root, share) in here {
            let unit = separate.then(|| share.unit.clone());
            machines
                .entry((root.to_owned(), unit))
                .or_default()
                .push(share);
        }
    }
    for ((root, _), shares) in machines {
        for computer in told_apart(shares) {
            let (machine, duplicates) = machine_of(computer, names.newest(&root));
            sorted.duplicates += duplicates;
            sorted.machines.push(machine);
        }
    }
    let by_name = |a: &Machine, b: &Machine| (&a.name, &a.sources).cmp(&(&b.name, &b.sources));
    sorted.machines.sort_by(by_name);
    for same in sorted.machines.chunk_by_mut(|a, b| a.name == b.name) {
        let shared = same.len() > 1;
        same.iter_mut()
            .for_each(|machine| machine.shares_name = shared);
    }
    sorted
}

/// What one log holds of one machine.
struct Share {
    source: Arc<str>,
    unit: String,
    /// Without its channels.
    log: MachineLog,
    channels: BTreeSet<Arc<str>>,
    events: Vec<Batch>,
    problems: Vec<Problem>,
}

impl Share {
    fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().flat_map(|batch| &batch.events)
    }

    fn add(&mut self, mut batch: Batch) {
        self.channels.extend(std::mem::take(&mut batch.channels));
        self.log.events += batch.events.len() as u64;
        self.events.push(batch);
    }
}

/// Logs of one computer, and why they are kept apart from others of its name, if they are.
type Computer = (Vec<Share>, Option<&'static str>);

const CONTRADICTS: &str = "another computer has this name, too: its device or tenant IDs, or the times \
    of its records, contradict the ones here";
const UNCLEAR: &str = "several computers have this name, and nothing tells which of them this is";

/// More than this many that contradict others of their name are not compared pair by pair: what
/// could be joined among so many would be a guess.
const COMPARED: usize = 256;

/// The shares of one name, by computer. Units that share a record are one computer's. Where others
/// contradict each other they are kept apart, and what fits more than one of them is, too.
fn told_apart(shares: Vec<Share>) -> Vec<Computer> {
    let mut units: BTreeMap<String, Vec<Share>> = BTreeMap::new();
    for share in shares {
        units.entry(share.unit.clone()).or_default().push(share);
    }
    let units = with_records_in_common(units.into_values().collect());
    if units.len() < 2 {
        return units.into_iter().map(|shares| (shares, None)).collect();
    }
    let mut channels = HashMap::new();
    let traits: Vec<Traits> = units
        .iter()
        .map(|shares| Traits::of(shares, &mut channels))
        .collect();
    let contradicted = contradicted(&traits);
    let pairs = contradicted.iter().filter(|is| **is).count() <= COMPARED;
    let mut computers: Vec<(Traits, Vec<Share>)> = Vec::new();
    let mut others: Vec<Vec<Share>> = Vec::new();
    for ((shares, traits), contradicted) in units.into_iter().zip(traits).zip(contradicted) {
        if !contradicted {
            others.push(shares);
            continue;
        }
        let fits = |(of, _): &&mut (Traits, Vec<Share>)| pairs && !of.contradict(&traits);
        let mut fitting = computers.iter_mut().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some((of, computer)), None) => {
                of.add(traits);
                computer.extend(shares);
            }
            _ => computers.push((traits, shares)),
        }
    }
    let mut told: Vec<Computer> = computers
        .into_iter()
        .map(|(_, shares)| (shares, Some(CONTRADICTS)))
        .collect();
    if told.is_empty() {
        return vec![(others.into_iter().flatten().collect(), None)];
    }
    // What contradicts none of several may be any of them.
    told.extend(others.into_iter().map(|shares| (shares, Some(UNCLEAR))));
    told
}

/// Which of them contradict another one.
fn contradicted(traits: &[Traits]) -> Vec<bool> {
    let mut times: HashMap<&Record, BTreeSet<Filetime>> = HashMap::new();
    for (record, time) in traits.iter().flat_map(|traits| &traits.records) {
        times.entry(record).or_default().insert(*time);
    }
    times.retain(|_, times| times.len() > 1);
    let ids = |of: fn(&Traits) -> &BTreeSet<Uuid>| {
        let sets: BTreeSet<&BTreeSet<Uuid>> = traits.iter().map(of).collect();
        let contradicted = |set: &BTreeSet<Uuid>| sets.iter().any(|other| differ(set, other));
        let found = sets.iter().filter(|set| contradicted(set));
        found.copied().collect::<BTreeSet<_>>()
    };
    let (devices, tenants) = (ids(|of| &of.devices), ids(|of| &of.tenants));
    let is_contradicted = |of: &Traits| {
        devices.contains(&of.devices)
            || tenants.contains(&of.tenants)
            || of.records.keys().any(|record| times.contains_key(record))
    };
    traits.iter().map(is_contradicted).collect()
}

/// Whether both say something, and nothing in common.
fn differ(a: &BTreeSet<Uuid>, b: &BTreeSet<Uuid>) -> bool {
    !a.is_empty() && !b.is_empty() && a.is_disjoint(b)
}

/// Joins the units that hold the same record: only one computer wrote it.
fn with_records_in_common(units: Vec<Vec<Share>>) -> Vec<Vec<Share>> {
    if units.len() < 2 {
        return units;
    }
    let mut first: HashMap<(&str, u64, Filetime), usize> = HashMap::new();
    // Unit → the first one that it has a record in common with, directly or not.
    let mut joined: Vec<usize> = (0..units.len()).collect();
    for (number, shares) in units.iter().enumerate() {
        for event in shares.iter().flat_map(Share::events) {
            let record = (&*event.channel, event.record_id, event.written());
            let other = *first.entry(record).or_insert(number);
            let (a, b) = (root_of(&joined, other), root_of(&joined, number));
            if let Some(of) = joined.get_mut(a.max(b)) {
                *of = a.min(b);
            }
        }
    }
    let roots: Vec<usize> = (0..units.len()).map(|of| root_of(&joined, of)).collect();
    let mut computers: BTreeMap<usize, Vec<Share>> = BTreeMap::new();
    for (root, shares) in roots.into_iter().zip(units) {
        computers.entry(root).or_default().extend(shares);
    }
    computers.into_values().collect()
}

fn root_of(joined: &[usize], mut number: usize) -> usize {
    while let Some(next) = joined.get(number).filter(|next| **next != number) {
        number = *next;
    }
    number
}

/// A channel by its number, and a record ID in it.
type Record = (usize, u64);

/// What tells two computers of one name apart.
#[derive(Default)]
struct Traits {
    devices: BTreeSet<Uuid>,
    tenants: BTreeSet<Uuid>,
    /// When each record was written, in the channels whose numbers only ever grow.
    records: HashMap<Record, Filetime>,
}

impl Traits {
    /// Channels are numbered as they come.
    fn of(shares: &[Share], channels: &mut HashMap<Arc<str>, usize>) -> Traits {
        let mut traits = Traits::default();
        for event in shares.iter().flat_map(Share::events) {
            let ids = |role| event.values(role).filter_map(guid);
            traits.devices.extend(ids(Role::DeviceId));
            traits.tenants.extend(ids(Role::TenantId));
            // Direct channels begin again each time they are switched on.
            if !(event.channel.ends_with("/Analytic") || event.channel.ends_with("/Debug")) {
                let next = channels.len();
                let channel = match channels.get(&event.channel) {
                    Some(channel) => *channel,
                    None => *channels.entry(Arc::clone(&event.channel)).or_insert(next),
                };
                let record = (channel, event.record_id);
                traits.records.entry(record).or_insert(event.written());
            }
        }
        traits
    }

    fn contradict(&self, other: &Traits) -> bool {
        let mut records = other.records.iter();
        differ(&self.devices, &other.devices)
            || differ(&self.tenants, &other.tenants)
            || records.any(|(record, time)| self.records.get(record).is_some_and(|of| of != time))
    }

    fn add(&mut self, other: Traits) {
        self.devices.extend(other.devices);
        self.tenants.extend(other.tenants);
        self.records.extend(other.records);
    }
}

/// From so many events on it pays to have several threads move them.
const MANY: usize = 1 << 14;

/// The machine, and how many of its events were duplicates. `newest` is the name that renames
/// ended with, in lower case, if it was renamed.
fn machine_of((shares, apart): Computer, newest: Option<&str>) -> (Machine, u64) {
    let mut sources = BTreeSet::new();
    let mut logs = Vec::new();
    let mut problems = Vec::new();
    let count: u64 = shares.iter().map(|share| share.log.events).sum();
    let mut events: Vec<Event> = Vec::new();
    let mut computers: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut order = Order::default();
    for share in shares {
        sources.insert(share.source);
        logs.push(MachineLog {
            channels: share.channels.into_iter().collect(),
            ..share.log
        });
        for batch in share.events {
            computers.extend(batch.computers);
            order.join(&events, batch.order, &batch.events);
            // Most machines have most of their events in one log: these stay where they are.
            if events.is_empty() {
                events = batch.events;
                events.reserve_exact((count as usize).saturating_sub(events.len()));
            } else if batch.events.len() < MANY {
                events.extend(batch.events);
            } else {
                events.par_extend(batch.events);
            }
        }
        problems.extend(share.problems);
    }
    problems.extend(apart.zip(sources.first()).map(|(why, source)| Problem {
        path: source.to_string(),
        offset: None,
        kind: ProblemKind::SameName,
        detail: why.to_owned(),
        lost_bytes: 0,
    }));
    logs.sort_by(|a, b| a.path.cmp(&b.path));
    problems.sort();
    let before = events.len();
    order.establish(&mut events);
    let duplicates = (before - events.len()) as u64;
    if computers.len() > 1 {
        // Some may be spelled so in duplicates only.
        let runs = events.chunk_by(|a, b| a.computer == b.computer);
        let first = runs.filter_map(|run| run.first());
        computers = first.map(|event| Arc::clone(&event.computer)).collect();
    }
    let is_newest = |event: &&Event| newest.is_none_or(|newest| folded(&event.computer) == newest);
    // Another computer may have been renamed to it, and this one not.
    let last = events.iter().rfind(is_newest).or_else(|| events.last());
    let name = last.map_or_else(|| "".into(), |event| Arc::clone(&event.computer));
    let others = computers
        .iter()
        .filter(|other| !is_same(other, &name) && !other.is_empty());
    let machine = Machine {
        shares_name: false,
        also_known_as: others.map(Arc::clone).collect(),
        name: match name.is_empty() {
            true => NO_NAME.into(),
            false => name,
        },
        sources: sources.into_iter().collect(),
        logs,
        events,
        problems,
    };
    (machine, duplicates)
}
