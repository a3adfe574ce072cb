//! Whose event it is: machines, their renames, and events that several logs hold.

use crate::event::{Event, id};
use crate::problem::Problem;
use crate::record::Decoded;
use crate::scan::{Log, Scan};
use chrono::{DateTime, Utc};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What stands for a machine whose name is in none of its records.
const NO_NAME: &str = "(name lost)";

/// One computer and its events.
#[derive(Debug)]
pub struct Machine {
    /// The name it had last.
    pub name: Arc<str>,
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

/// Brings the logs' events together by machine.
pub(crate) fn sort_by_machine(logs: Vec<Log>, problems: Vec<Problem>, other_files: u64) -> Scan {
    let names = Names::of(&logs);
    let mut scan = Scan {
        machines: Vec::new(),
        problems,
        logs: logs.len() as u64,
        bytes: logs.iter().map(|log| log.bytes).sum(),
        records_read: logs.iter().map(|log| log.records).sum(),
        duplicates: 0,
        other_files,
    };
    let mut machines: BTreeMap<String, Gathered> = BTreeMap::new();
    for log in logs {
        let mut here: BTreeMap<&str, (BTreeSet<Arc<str>>, u64)> = BTreeMap::new();
        for decoded in log.events {
            let root = names.root(&decoded.event.computer);
            let (channels, count) = here.entry(root).or_default();
            *count += 1;
            if !channels.contains(&decoded.event.channel) {
                channels.insert(Arc::clone(&decoded.event.channel));
            }
            let machine = machines.entry(root.to_owned()).or_default();
            machine.events.push(decoded.event);
        }
        let alone = here.len() == 1;
        let mut problems = log.problems;
        for (root, (channels, events)) in here {
            let Some(machine) = machines.get_mut(root) else {
                continue;
            };
            machine.sources.insert(Arc::clone(&log.source));
            machine.logs.push(MachineLog {
                path: log.path.clone(),
                channels: channels.into_iter().collect(),
                records: log.records,
                events,
                chunks_damaged: log.chunks_damaged,
                dirty: log.dirty,
            });
            if alone {
                machine.problems.append(&mut problems);
            }
        }
        scan.problems.append(&mut problems);
    }
    for (root, gathered) in machines {
        let (machine, duplicates) = gathered.finish(names.newest(&root));
        scan.duplicates += duplicates;
        scan.machines.push(machine);
    }
    scan.machines.sort_by(|a, b| a.name.cmp(&b.name));
    scan.problems.sort();
    scan
}

#[derive(Default)]
struct Gathered {
    sources: BTreeSet<Arc<str>>,
    logs: Vec<MachineLog>,
    events: Vec<Event>,
    problems: Vec<Problem>,
}

impl Gathered {
    /// The machine, and how many of its events were duplicates. `newest` is the name that renames
    /// ended with, in lower case, if it was renamed.
    fn finish(self, newest: Option<&str>) -> (Machine, u64) {
        let Gathered {
            sources,
            mut logs,
            mut events,
            mut problems,
        } = self;
        logs.sort_by(|a, b| a.path.cmp(&b.path));
        problems.sort();
        let before = events.len();
        order(&mut events);
        let duplicates = (before - events.len()) as u64;

        let spelled: BTreeSet<&Arc<str>> = events.iter().map(|event| &event.computer).collect();
        let last = events
            .iter()
            .rev()
            .find(|event| newest.is_none_or(|newest| event.computer.to_lowercase() == newest));
        let name = last.map_or_else(|| "".into(), |event| Arc::clone(&event.computer));
        let others = spelled
            .into_iter()
            .filter(|other| other.to_lowercase() != name.to_lowercase() && !other.is_empty());
        let machine = Machine {
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
}

/// Puts events in their total order, each once: by time, then channel, then record ID; within one
/// instant on one thread what lies inside a window comes between its boundaries. Events are the
/// same if computer, channel, record ID and time are: the first of them stays.
///
/// Boundaries are all in the analytic channel, where record IDs tell the order; an operational
/// event of the same instant has no such number and goes between start and stop.
fn order(events: &mut Vec<Event>) {
    // A log is in this order already, most of the time. Of the same ones the first stays ahead.
    events.sort_by(by_time_channel_and_record);
    leave_out_duplicates(events);
    for_each_run(events, |a, b| a.time == b.time, order_instant);
}

fn by_time_channel_and_record(a: &Event, b: &Event) -> Ordering {
    (a.time, &a.channel, a.record_id).cmp(&(b.time, &b.channel, b.record_id))
}

fn leave_out_duplicates(events: &mut Vec<Event>) {
    let is_same = |a: &Event, b: &Event| by_time_channel_and_record(a, b).is_eq();
    if !events
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if is_same(a, b)))
    {
        return;
    }
    let mut computers: HashSet<String> = HashSet::new();
    let mut before: Option<(DateTime<Utc>, Arc<str>, u64)> = None;
    events.retain(|event| {
        let place = (event.time, &event.channel, event.record_id);
        let again = before
            .as_ref()
            .is_some_and(|(time, channel, record)| (*time, channel, *record) == place);
        if !again {
            computers.clear();
            before = Some((event.time, Arc::clone(&event.channel), event.record_id));
        }
        computers.insert(event.computer.to_lowercase())
    });
    // What is left of one place is a machine's with several names.
    let by_name = |a: &Event, b: &Event| (&a.computer, a.event_id).cmp(&(&b.computer, b.event_id));
    for_each_run(events, is_same, |run| run.sort_by(by_name));
}

/// Hands on each run of events that belong together.
fn for_each_run(
    events: &mut [Event],
    together: impl Fn(&Event, &Event) -> bool,
    mut with: impl FnMut(&mut [Event]),
) {
    for run in events.chunk_by_mut(together) {
        if run.len() > 1 {
            with(run);
        }
    }
}

fn order_instant(instant: &mut [Event]) {
    let boundary = |event: &Event| Boundary::of(event).is_some();
    if instant.len() < 2 || !instant.iter().any(boundary) {
        return;
    }
    let mut threads: BTreeMap<(Option<u32>, Option<u32>), Vec<usize>> = BTreeMap::new();
    for (place, event) in instant.iter().enumerate() {
        let thread = (event.process_id, event.thread_id);
        threads.entry(thread).or_default().push(place);
    }
    let mut order: Vec<usize> = (0..instant.len()).collect();
    for places in threads.values() {
        let sorted = order_thread(instant, places);
        for (place, event) in places.iter().zip(sorted) {
            if let Some(slot) = order.get_mut(*place) {
                *slot = event;
            }
        }
    }
    let reordered: Vec<Event> = order
        .iter()
        .filter_map(|place| instant.get(*place).cloned())
        .collect();
    instant.clone_from_slice(&reordered);
}

/// The events of one thread and instant. Within a channel record IDs tell the order; what another
/// channel holds lies after the last start before the first stop.
fn order_thread(instant: &[Event], places: &[usize]) -> Vec<usize> {
    let event = |place: &usize| instant.get(*place);
    let boundary = |place: &usize| event(place).and_then(Boundary::of);
    let channel = places
        .iter()
        .find(|place| boundary(place).is_some())
        .and_then(event)
        .map(|event| &event.channel);
    let (mut sorted, others): (Vec<usize>, Vec<usize>) = places
        .iter()
        .partition(|place| event(place).map(|event| &event.channel) == channel);
    let stop = sorted
        .iter()
        .position(|place| boundary(place).is_some_and(|boundary| !boundary.start));
    let start = sorted
        .iter()
        .rposition(|place| boundary(place).is_some_and(|boundary| boundary.start));
    let at = match (stop, start) {
        (Some(stop), _) => stop,
        (None, Some(start)) => start + 1,
        (None, None) => sorted.len(),
    };
    sorted.splice(at..at, others);
    sorted
}

/// Where an operation of the plug-in starts or stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boundary {
    pub(crate) refresh: bool,
    pub(crate) start: bool,
}

impl Boundary {
    pub(crate) fn of(event: &Event) -> Option<Boundary> {
        if !event.is_plugin() {
            return None;
        }
        let (refresh, start) = match event.event_id {
            id::GET_TOKEN_START => (false, true),
            id::GET_TOKEN_STOP => (false, false),
            id::REFRESH_START => (true, true),
            id::REFRESH_STOP => (true, false),
            _ => return None,
        };
        Some(Boundary { refresh, start })
    }
}

/// More names than a computer is given in the life of a log: such a log is a collector's.
const MOST_NAMES: usize = 16;

/// Which computer names are one machine. Names are compared without case.
struct Names {
    /// Name → the name that stands for its machine.
    roots: HashMap<String, String>,
    /// The name that stands for a machine → the name its renames ended with.
    newest: HashMap<String, String>,
}

impl Names {
    fn of(logs: &[Log]) -> Names {
        let mut joined: HashMap<String, String> = HashMap::new();
        // Name → the logs in which it returns after another name.
        let mut returns: HashMap<String, BTreeSet<usize>> = HashMap::new();
        let mut chains = Vec::new();
        for (number, log) in logs.iter().enumerate() {
            for decoded in &log.events {
                let name = decoded.event.computer.to_lowercase();
                joined.entry(name.clone()).or_insert(name);
            }
            match names_in(&log.events) {
                NamesIn::Chain(chain) => chains.push(chain),
                NamesIn::Turns(names) => {
                    for name in names {
                        returns.entry(name).or_default().insert(number);
                    }
                }
            }
        }
        let take_turns = |a: &str, b: &str| match (returns.get(a), returns.get(b)) {
            (Some(a), Some(b)) => !a.is_disjoint(b),
            _ => false,
        };
        // A name that was changed to several names is an image's, of which they were cloned.
        let mut successors: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for pair in chains.iter().flat_map(|chain| chain.windows(2)) {
            if let [before, after] = pair {
                successors.entry(before).or_default().insert(after);
            }
        }
        let mut renamed: BTreeMap<String, String> = BTreeMap::new();
        for chain in &chains {
            for pair in chain.windows(2) {
                let [before, after] = pair else { continue };
                let cloned = successors
                    .get(before.as_str())
                    .is_some_and(|names| names.len() > 1);
                if cloned || take_turns(before, after) {
                    continue;
                }
                renamed.insert(before.clone(), after.clone());
                let (old, new) = (find(&mut joined, before), find(&mut joined, after));
                // The smaller name stands for both, whatever the order of the logs.
                let (low, high) = if old < new { (old, new) } else { (new, old) };
                joined.insert(high, low);
            }
        }
        let names: Vec<String> = joined.keys().cloned().collect();
        let roots: HashMap<String, String> = names
            .into_iter()
            .map(|name| {
                let root = find(&mut joined, &name);
                (name, root)
            })
            .collect();
        let newest = renamed
            .values()
            .filter(|name| !renamed.contains_key(*name))
            .filter_map(|name| Some((roots.get(name)?.clone(), name.clone())))
            .collect();
        Names { roots, newest }
    }

    fn root(&self, computer: &str) -> &str {
        let root = self.roots.get(&computer.to_lowercase());
        root.map_or("", String::as_str)
    }

    fn newest(&self, root: &str) -> Option<&str> {
        self.newest.get(root).map(String::as_str)
    }
}

/// The name at the end of a way; the way is shortened for the next time.
fn find(joined: &mut HashMap<String, String>, name: &str) -> String {
    let mut way: Vec<String> = vec![name.to_owned()];
    while let Some(next) = way.last().and_then(|at| joined.get(at)) {
        if way.last() == Some(next) {
            break;
        }
        way.push(next.clone());
    }
    let root = way.pop().unwrap_or_default();
    for passed in way {
        joined.insert(passed, root.clone());
    }
    root
}

/// The computer names in a log, in lower case.
enum NamesIn {
    /// One after the other, none returning: one machine's renames.
    Chain(Vec<String>),
    /// Several machines' events beside each other.
    Turns(BTreeSet<String>),
}

fn names_in(events: &[Decoded]) -> NamesIn {
    // By record ID, not by time: clocks jump, above all around a rename.
    let mut by_record: Vec<(u64, &str)> = events
        .iter()
        .map(|decoded| (decoded.event.record_id, &*decoded.event.computer))
        .filter(|(_, name)| !name.is_empty())
        .collect();
    by_record.sort_unstable();
    let mut chain: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut returned = false;
    for (_, computer) in by_record {
        if chain
            .last()
            .is_some_and(|last| last.eq_ignore_ascii_case(computer))
        {
            continue;
        }
        let name = computer.to_lowercase();
        returned |= !seen.insert(name.clone());
        chain.push(name);
    }
    if returned || seen.len() > MOST_NAMES {
        return NamesIn::Turns(seen);
    }
    // Records of another machine keep their own numbers when they are forwarded, and meet in one
    // log whatever their channel.
    let forwarded = events
        .iter()
        .any(|decoded| decoded.number != decoded.event.record_id)
        || events
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.event.channel != b.event.channel));
    if forwarded {
        chain.clear();
    }
    NamesIn::Chain(chain)
}
