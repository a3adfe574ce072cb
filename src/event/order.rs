//! The total order of a machine's events, and the events that several logs hold.

use crate::base::identity::folded;
use crate::base::time::Filetime;
use crate::event::{Event, id};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// How far events are in their total order, each once: by time, then channel, then record ID;
/// within one instant on one thread what lies inside a window comes between its boundaries. Events
/// are the same if computer, channel, record ID and time are: the first of them stays.
///
/// Boundaries are all in the analytic channel, where record IDs tell the order; an operational
/// event of the same instant has no such number and goes between start and stop.
///
/// It is found out while the events are at hand: to look at each again costs more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order {
    /// One comes before the one ahead of it, or is the same.
    disturbed: bool,
    /// Several are of one instant.
    instants: bool,
}

impl Order {
    /// Looks at two events that follow one another.
    pub(crate) fn see(&mut self, a: &Event, b: &Event) {
        self.instants |= a.written() == b.written();
        self.disturbed |= by_time_channel_and_record(a, b).is_ge();
    }

    /// Takes in that of the events behind these.
    pub(crate) fn join(&mut self, events: &[Event], of_next: Order, next: &[Event]) {
        self.disturbed |= of_next.disturbed;
        self.instants |= of_next.instants;
        if let (Some(last), Some(first)) = (events.last(), next.first()) {
            self.see(last, first);
        }
    }

    /// Puts all of these in their order, which were looked at.
    pub(crate) fn establish(mut self, events: &mut Vec<Event>) {
        // A log is in this order already, most of the time, and holds nothing twice.
        if self.disturbed {
            // Of the same ones the first stays ahead.
            events.sort_by(by_time_channel_and_record);
            leave_out_duplicates(events);
            self.instants = true;
        }
        if self.instants {
            for_each_run(events, |a, b| a.written() == b.written(), order_instant);
        }
    }
}

fn by_time_channel_and_record(a: &Event, b: &Event) -> Ordering {
    (a.written(), &a.channel, a.record_id).cmp(&(b.written(), &b.channel, b.record_id))
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
    let mut before: Option<(Filetime, Arc<str>, u64)> = None;
    events.retain(|event| {
        let place = (event.written(), &event.channel, event.record_id);
        let again = before
            .as_ref()
            .is_some_and(|(time, channel, record)| (*time, channel, *record) == place);
        if !again {
            computers.clear();
            before = Some((event.written(), Arc::clone(&event.channel), event.record_id));
        }
        computers.insert(folded(&event.computer))
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
        let thread = (event.process_id(), event.thread_id());
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
