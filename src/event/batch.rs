//! Events that follow one another in a log.

use crate::base::time::Filetime;
use crate::event::Event;
use crate::event::order::Order;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Events that follow one another in a log: those of a chunk, and of the next ones as long as all
/// name one computer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    /// Whether one of them was forwarded by the computer that wrote it.
    pub(crate) forwarded: bool,
    /// The computers that they name: found while the events are at hand. A hostile log names any
    /// number of them.
    pub(crate) computers: BTreeSet<Arc<str>>,
    /// The channels that they name.
    pub(crate) channels: BTreeSet<Arc<str>>,
    /// When the first and the last of them were written.
    pub(crate) extent: Option<(Filetime, Filetime)>,
    pub(crate) order: Order,
}

impl Batch {
    pub(crate) fn of(events: Vec<Event>, forwarded: bool) -> Batch {
        let (mut computers, mut channels) = (BTreeSet::new(), BTreeSet::new());
        let mut order = Order::default();
        let mut extent: Option<(Filetime, Filetime)> = None;
        let mut last: Option<&Event> = None;
        for event in &events {
            let time = event.written();
            let (first, until) = extent.unwrap_or((time, time));
            extent = Some((first.min(time), until.max(time)));
            let same = |last: &Event| {
                Arc::ptr_eq(&last.computer, &event.computer)
                    && Arc::ptr_eq(&last.channel, &event.channel)
            };
            if !last.is_some_and(same) {
                insert(&mut computers, &event.computer);
                insert(&mut channels, &event.channel);
            }
            if let Some(last) = last {
                order.see(last, event);
            }
            last = Some(event);
        }
        Batch {
            events,
            forwarded,
            computers,
            channels,
            extent,
            order,
        }
    }

    /// Takes in the batch that follows, if there is one computer for both, and says whether.
    pub(crate) fn join(&mut self, next: &mut Batch) -> bool {
        if self.computers.len() > 1 || self.computers != next.computers {
            return false;
        }
        self.order.join(&self.events, next.order, &next.events);
        self.events.append(&mut next.events);
        self.forwarded |= next.forwarded;
        self.channels.extend(std::mem::take(&mut next.channels));
        self.extent = earliest_and_latest(self.extent, next.extent);
        true
    }

    /// The events of a chunk.
    pub(crate) fn decoded(events: Vec<Event>, numbers: &[u64]) -> Batch {
        let forwarded = |(event, number): (&Event, &u64)| event.record_id != *number;
        let forwarded = events.iter().zip(numbers).any(forwarded);
        Batch::of(events, forwarded)
    }
}

/// The times from the first to the last of two stretches of events.
pub(crate) fn earliest_and_latest(
    one: Option<(Filetime, Filetime)>,
    other: Option<(Filetime, Filetime)>,
) -> Option<(Filetime, Filetime)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

fn insert(names: &mut BTreeSet<Arc<str>>, name: &Arc<str>) {
    // Most are known, and need no copy.
    if !names.contains(name) {
        names.insert(Arc::clone(name));
    }
}
