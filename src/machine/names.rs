//! Which computer names are one machine's: renames, as the logs show them.

use crate::base::identity::{folded, is_same};
use crate::event::Event;
use crate::event::batch::Batch;
use crate::scan::Log;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// More names than a computer is given in the life of a log: such a log is a collector's.
const MOST_NAMES: usize = 16;

/// Which computer names are one machine. Names are compared without case.
pub(super) struct Names {
    /// Name → the name that stands for its machine.
    roots: HashMap<String, String>,
    /// The name that stands for a machine → the name its renames ended with.
    newest: HashMap<String, String>,
}

impl Names {
    pub(super) fn of(logs: &[Log]) -> Names {
        let mut joined: HashMap<String, String> = HashMap::new();
        // Name → the channels of logs in which it takes turns with others.
        let mut returns: HashMap<String, BTreeSet<usize>> = HashMap::new();
        let mut chains = Vec::new();
        let mut takes_turns = 0;
        for log in logs {
            let computers: BTreeSet<&Arc<str>> = log.computers().collect();
            for computer in &computers {
                let name = folded(computer);
                joined.entry(name.clone()).or_insert(name);
            }
            for names in names_in(&log.events, &computers) {
                match names {
                    NamesIn::Chain(chain) => chains.push(chain),
                    NamesIn::Turns(names) => {
                        takes_turns += 1;
                        for name in names {
                            returns.entry(name).or_default().insert(takes_turns);
                        }
                    }
                }
            }
        }
        let take_turns = |a: &str, b: &str| match (returns.get(a), returns.get(b)) {
            (Some(a), Some(b)) => !a.is_disjoint(b),
            _ => false,
        };
        // A name that was changed to several names is an image's, of which they were cloned; unless
        // these follow one another, and a log has nothing of the time between.
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
                if is_cloned(&successors, before) || take_turns(before, after) {
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
        let root = self.roots.get(&folded(computer));
        root.map_or("", String::as_str)
    }

    /// The events by their machines. Most chunks are one machine's, and go on as they are.
    pub(super) fn by_root(&self, batch: Batch) -> BTreeMap<&str, Batch> {
        if let Some(computer) = batch.computers.first()
            && batch.computers.len() == 1
        {
            return BTreeMap::from([(self.root(computer), batch)]);
        }
        let mut by_root: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
        for event in batch.events {
            let root = self.root(&event.computer);
            by_root.entry(root).or_default().push(event);
        }
        let batches = by_root.into_iter();
        batches
            .map(|(root, events)| (root, Batch::of(events, batch.forwarded)))
            .collect()
    }

    pub(super) fn newest(&self, root: &str) -> Option<&str> {
        self.newest.get(root).map(String::as_str)
    }
}

/// Whether a name was changed to several that do not follow one another.
fn is_cloned(successors: &BTreeMap<&str, BTreeSet<&str>>, name: &str) -> bool {
    let Some(after) = successors.get(name).filter(|after| after.len() > 1) else {
        return false;
    };
    if after.len() > MOST_NAMES {
        return true;
    }
    let leads_to = |from: &str, to: &str| {
        let mut seen = BTreeSet::from([from]);
        let mut ahead = vec![from];
        while let Some(name) = ahead.pop().filter(|_| seen.len() <= MOST_NAMES) {
            let next = successors.get(name).into_iter().flatten();
            ahead.extend(next.copied().filter(|next| seen.insert(next)));
        }
        seen.contains(to)
    };
    after
        .iter()
        .any(|a| after.iter().any(|b| !leads_to(a, b) && !leads_to(b, a)))
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

/// The computer names in one channel of a log, in lower case.
enum NamesIn {
    /// One after the other, none returning: one machine's renames.
    Chain(Vec<String>),
    /// Several machines' events beside each other.
    Turns(BTreeSet<String>),
}

impl NamesIn {
    /// Reads the names of a channel's events, which are in the order of their record IDs.
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> NamesIn {
        let mut chain: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut returned = false;
        for computer in names {
            if chain.last().is_some_and(|last| is_same(last, computer)) {
                continue;
            }
            let name = folded(computer);
            returned |= !seen.insert(name.clone());
            chain.push(name);
        }
        match returned || seen.len() > MOST_NAMES {
            true => NamesIn::Turns(seen),
            false => NamesIn::Chain(chain),
        }
    }
}

/// How the computer names in a log follow one another, channel by channel: each channel numbers its
/// records by itself. `computers` is all names.
fn names_in(events: &[Batch], computers: &BTreeSet<&Arc<str>>) -> Vec<NamesIn> {
    if computers.len() < 2 {
        return Vec::new();
    }
    // By record ID, not by time: clocks jump, above all around a rename.
    let mut by_record: Vec<(&str, u64, &str)> = events
        .iter()
        .flat_map(|batch| &batch.events)
        .map(|event| (&*event.channel, event.record_id, &*event.computer))
        .filter(|(_, _, name)| !name.is_empty())
        .collect();
    by_record.sort_unstable();
    let channels = by_record.chunk_by(|(a, ..), (b, ..)| a == b);
    let mut found: Vec<NamesIn> = channels
        .map(|records| NamesIn::of(records.iter().map(|(_, _, name)| *name)))
        .collect();
    let all: BTreeSet<String> = computers.iter().map(|name| folded(name)).collect();
    if all.len() > MOST_NAMES || disagree(&found) {
        return vec![NamesIn::Turns(all)];
    }
    // Records of another machine keep their own numbers when they are forwarded: where one machine's
    // end and another's begin is chance.
    if events.iter().any(|batch| batch.forwarded) {
        found.retain(|names| matches!(names, NamesIn::Turns(_)));
    }
    found
}

/// Whether one channel has a name before another, and a second channel has it after that.
fn disagree(channels: &[NamesIn]) -> bool {
    let mut ordered: BTreeSet<(&str, &str)> = BTreeSet::new();
    for names in channels {
        let NamesIn::Chain(chain) = names else {
            continue;
        };
        for (place, before) in chain.iter().enumerate() {
            for after in chain.iter().skip(place + 1) {
                if ordered.contains(&(after.as_str(), before.as_str())) {
                    return true;
                }
                ordered.insert((before, after));
            }
        }
    }
    false
}
