//! A machine's events, each looked at once: which rules it matters to, and what several of them ask
//! of its values. The rules work on these lists.
//!
//! Values lie all over the memory: to look one up costs more than most rules do.

use crate::event::failure;
use crate::event::order::Boundary;
use crate::event::{Event, guid, id};
use crate::facts::Provider;
use crate::facts::Role;
use crate::facts::code::Code;
use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::ops::Range;
use uuid::Uuid;

/// The place of an event among its machine's: no memory holds 4 Gi of them.
pub(crate) type Place = u32;

/// The number of a correlation ID, from 1.
pub(crate) type IdNumber = NonZeroU32;

/// The plug-in says that the device is joined to Entra ID.
const CLOUD_JOINED: u32 = 1016;

/// The least that a thread looks at at a time, and how many parts there are for each thread: what is
/// found in parts is put together once more.
const PART: usize = 1 << 14;
const PARTS: usize = 4;

/// What a machine's events are.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The threads of the plug-in, by their keys.
    pub(crate) threads: Vec<Thread>,
    /// The correlation IDs of the plug-in's events.
    pub(crate) ids: Ids,
    pub(crate) lists: Lists,
    /// One more than the event ID of each of the plug-in's events, 0 for those of others. No rule
    /// speaks of one that takes more bits.
    event_ids: Vec<u16>,
}

/// The plug-in's events on one thread, in order.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) key: ThreadKey,
    pub(crate) events: Vec<Place>,
    /// Where operations start and stop.
    pub(crate) edges: Vec<ThreadEdge>,
    /// Where something starts that runs after a token operation.
    pub(crate) afterwards: Vec<Place>,
}

/// Where an operation starts or stops, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadEdge {
    pub(crate) place: Place,
    pub(crate) time: DateTime<Utc>,
    pub(crate) boundary: Boundary,
    /// Of a stop.
    pub(crate) status: Option<Code>,
}

/// What an operation's events have in common. Exports may lack process and thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ThreadKey {
    Thread(u32, u32),
    Activity(Uuid),
    Time,
}

/// The events that rules ask for, in order.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Those of the token broker and its helpers.
    pub(crate) broker: Vec<Place>,
    /// Those of device registration.
    pub(crate) registration: Vec<Place>,
    /// Those that report a failure.
    pub(crate) reporting: Vec<Place>,
    /// Those of them that may be housekeeping.
    pub(crate) doubtful: Vec<Place>,
    /// The plug-in acts for a user's account, not the system's.
    pub(crate) of_users: Vec<Place>,
    /// The plug-in names the correlation ID of what it begins.
    pub(crate) announcing: Vec<Place>,
    /// The plug-in says that the device is joined to Entra ID.
    pub(crate) cloud_joined: Vec<Place>,
    /// The plug-in says that the device is not joined.
    pub(crate) not_joined: Vec<Place>,
    /// The plug-in is initialised, which a new process does.
    initialized: Vec<Place>,
    /// By their processes those that are not the plug-in's: its process ID among them has changed
    /// hands.
    other_processes: Vec<(u32, Place)>,
    /// Those that name an ID of the device.
    pub(crate) device_ids: Vec<(usize, Uuid)>,
    /// Those that name an ID of its tenant.
    pub(crate) tenant_ids: Vec<(usize, Uuid)>,
}

/// Correlation IDs by number, and which event has which.
#[derive(Debug)]
pub(crate) struct Ids {
    numbers: Numbers<Uuid>,
    /// By number.
    all: Vec<Uuid>,
    of_events: Vec<Option<IdNumber>>,
}

impl Survey {
    pub(crate) fn of(events: &[Event]) -> Survey {
        let size = match rayon::current_num_threads() {
            1 => events.len(),
            threads => events.len().div_ceil(threads * PARTS),
        };
        let size = size.max(PART);
        let parts: Vec<Part<'_>> = events
            .par_chunks(size)
            .enumerate()
            .map(|(number, events)| Part::of(number * size, events))
            .collect();
        let mut ids = Ids {
            numbers: Numbers::default(),
            all: Vec::new(),
            of_events: vec![None; events.len()],
        };
        for part in &parts {
            ids.add(part);
        }
        let all = parts.into_iter().reduce(|mut all, part| {
            all.append(part);
            all
        });
        let Part {
            mut threads,
            mut lists,
            event_ids,
            ..
        } = all.unwrap_or_default();
        threads.all.sort_unstable_by_key(|thread| thread.key);
        lists.other_processes.sort_unstable();
        Survey {
            threads: threads.all,
            ids,
            lists,
            event_ids,
        }
    }

    /// The event ID of an event, if the plug-in wrote it: so that one need not look at the event.
    pub(crate) fn event_id(&self, event: usize) -> Option<u32> {
        self.event_ids.get(event)?.checked_sub(1).map(u32::from)
    }

    /// The event before one of the plug-in's on its thread.
    pub(crate) fn before<'e>(&self, events: &'e [Event], place: Place) -> Option<&'e Event> {
        let key = ThreadKey::of(events.get(place as usize)?);
        let thread = self.threads.binary_search_by_key(&key, |thread| thread.key);
        let thread = self.threads.get(thread.ok()?)?;
        let at = thread.events.binary_search(&place).ok()?;
        let before = thread.events.get(at.checked_sub(1)?)?;
        events.get(*before as usize)
    }

    /// The first sign between two events of a thread that they are not of one process: a reboot, or
    /// the process ID in other hands.
    pub(crate) fn break_after(&self, key: ThreadKey, from: Place) -> Option<Place> {
        let others = self.others(key);
        let other = others.get(others.partition_point(|(_, place)| *place <= from));
        let places = &self.lists.initialized;
        let initialized = places.get(places.partition_point(|place| *place <= from));
        let signs = initialized.into_iter().chain(other.map(|(_, at)| at));
        signs.min().copied()
    }

    /// The last such sign before an event.
    pub(crate) fn break_before(&self, key: ThreadKey, to: Place) -> Option<Place> {
        let others = self.others(key);
        let other = others.partition_point(|(_, place)| *place < to);
        let other = other.checked_sub(1).and_then(|at| others.get(at));
        let places = &self.lists.initialized;
        let initialized = places.partition_point(|place| *place < to);
        let initialized = initialized.checked_sub(1).and_then(|at| places.get(at));
        let signs = initialized.into_iter().chain(other.map(|(_, at)| at));
        signs.max().copied()
    }

    /// The events of a thread's process that are not the plug-in's.
    fn others(&self, key: ThreadKey) -> &[(u32, Place)] {
        let ThreadKey::Thread(process, _) = key else {
            return &[];
        };
        let all = &self.lists.other_processes;
        let start = all.partition_point(|(of, _)| *of < process);
        let end = all.partition_point(|(of, _)| *of <= process);
        all.get(start..end).unwrap_or(&[])
    }
}

impl ThreadKey {
    fn of(event: &Event) -> ThreadKey {
        match (event.process_id(), event.thread_id(), event.activity_id()) {
            (Some(process), Some(thread), _) => ThreadKey::Thread(process, thread),
            (_, _, Some(activity)) => ThreadKey::Activity(activity),
            _ => ThreadKey::Time,
        }
    }
}

impl Ids {
    /// The number of an event's ID.
    pub(crate) fn of(&self, event: usize) -> Option<IdNumber> {
        self.of_events.get(event).copied().flatten()
    }

    /// The ID of an event.
    pub(crate) fn id(&self, event: usize) -> Option<Uuid> {
        let number = self.of(event)?.get() as usize - 1;
        self.all.get(number).copied()
    }

    /// The events that have one, with theirs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, IdNumber)> {
        let all = self.of_events.iter().enumerate();
        all.filter_map(|(event, id)| Some((event, (*id)?)))
    }

    /// The number of an ID that an event of the plug-in has.
    pub(crate) fn find(&self, id: Uuid) -> Option<IdNumber> {
        number_of_id(*self.numbers.all.get(&id)?)
    }

    fn add(&mut self, part: &Part<'_>) {
        for (id, places) in &part.ids {
            let number = self.numbers.of(*id);
            if number == self.all.len() {
                self.all.push(*id);
            }
            let places = part.with_ids.get(places.clone()).unwrap_or_default();
            for place in places {
                if let Some(of_event) = self.of_events.get_mut(*place as usize) {
                    *of_event = number_of_id(number);
                }
            }
        }
    }
}

fn number_of_id(number: usize) -> Option<IdNumber> {
    IdNumber::new(u32::try_from(number + 1).ok()?)
}

/// Numbers for keys, from 0 in the order of their first time. Most often the last one is asked for
/// again.
#[derive(Debug)]
struct Numbers<K> {
    all: HashMap<K, usize>,
    last: Option<(K, usize)>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Numbers<K> {
        Numbers {
            all: HashMap::new(),
            last: None,
        }
    }
}

impl<K: Copy + Eq + Hash> Numbers<K> {
    fn of(&mut self, key: K) -> usize {
        if let Some((last, number)) = self.last
            && last == key
        {
            return number;
        }
        let next = self.all.len();
        let number = *self.all.entry(key).or_insert(next);
        self.last = Some((key, number));
        number
    }
}

/// Threads in the order in which they come.
#[derive(Default)]
struct Threads {
    numbers: Numbers<ThreadKey>,
    all: Vec<Thread>,
}

impl Threads {
    fn of(&mut self, key: ThreadKey) -> Option<&mut Thread> {
        let number = self.numbers.of(key);
        if number == self.all.len() {
            self.all.push(Thread {
                key,
                events: Vec::new(),
                edges: Vec::new(),
                afterwards: Vec::new(),
            });
        }
        self.all.get_mut(number)
    }
}

/// What a part of the events is.
#[derive(Default)]
struct Part<'e> {
    threads: Threads,
    /// The events that have a correlation ID, and which of them have which: most often it comes again.
    with_ids: Vec<Place>,
    ids: Vec<(Uuid, Range<usize>)>,
    /// How the last one is spelled.
    last_id: Option<&'e str>,
    lists: Lists,
    event_ids: Vec<u16>,
}

impl<'e> Part<'e> {
    fn of(first: usize, events: &'e [Event]) -> Part<'e> {
        let mut part = Part {
            event_ids: Vec::with_capacity(events.len()),
            ..Part::default()
        };
        for (place, event) in (first..).zip(events) {
            part.add(place, event);
            part.event_ids.push(match event.is_plugin() {
                true => u16::try_from(event.event_id).map_or(u16::MAX, |id| id.saturating_add(1)),
                false => 0,
            });
        }
        part
    }

    fn add(&mut self, index: usize, event: &'e Event) {
        let place = Place::try_from(index).unwrap_or(Place::MAX);
        let lists = &mut self.lists;
        if failure::reports_failure(event) {
            lists.reporting.push(place);
            if failure::may_be_housekeeping(event) {
                lists.doubtful.push(place);
            }
        }
        for (role, ids) in [
            (Role::DeviceId, &mut lists.device_ids),
            (Role::TenantId, &mut lists.tenant_ids),
        ] {
            let id = event.values(role).find_map(guid);
            ids.extend(id.map(|id| (index, id)));
        }
        if event.provider == Provider::DeviceRegistration {
            // It also runs inside the plug-in's process.
            lists.registration.push(place);
            return;
        }
        match event.event_id {
            CLOUD_JOINED => lists.cloud_joined.push(place),
            id::NOT_JOINED => lists.not_joined.push(place),
            _ => {}
        }
        if !event.is_plugin() {
            lists.broker.push(place);
            let process = event.process_id();
            lists
                .other_processes
                .extend(process.map(|process| (process, place)));
            return;
        }
        if let Some(spelling) = event.value(Role::CorrelationId) {
            let at = self.with_ids.len();
            if self.last_id != Some(spelling) {
                let id = guid(spelling);
                self.last_id = id.map(|_| spelling);
                self.ids.extend(id.map(|id| (id, at..at)));
            }
            if let (Some(_), Some((_, places))) = (self.last_id, self.ids.last_mut()) {
                self.with_ids.push(place);
                places.end = at + 1;
            }
        }
        let Some(thread) = self.threads.of(ThreadKey::of(event)) else {
            return;
        };
        thread.events.push(place);
        thread
            .edges
            .extend(Boundary::of(event).map(|boundary| ThreadEdge {
                place,
                time: event.time(),
                boundary,
                status: match boundary.start {
                    true => None,
                    false => event.code(Role::Status),
                },
            }));
        if event.meaning.of_user {
            lists.of_users.push(place);
        }
        match event.event_id {
            id::INITIALIZE_START | id::INITIALIZE_STOP => lists.initialized.push(place),
            id::GET_TOKEN_CORRELATION | id::REFRESH_CORRELATION => lists.announcing.push(place),
            id::GET_KEYS_START | id::POST_LOGON_START => thread.afterwards.push(place),
            _ => {}
        }
    }

    /// Adds what the part after it is, but its IDs.
    fn append(&mut self, mut later: Part<'_>) {
        self.event_ids.append(&mut later.event_ids);
        for mut thread in later.threads.all {
            if let Some(known) = self.threads.of(thread.key) {
                known.events.append(&mut thread.events);
                known.edges.append(&mut thread.edges);
                known.afterwards.append(&mut thread.afterwards);
            }
        }
        let (lists, mut later) = (&mut self.lists, later.lists);
        lists.broker.append(&mut later.broker);
        lists.registration.append(&mut later.registration);
        lists.reporting.append(&mut later.reporting);
        lists.doubtful.append(&mut later.doubtful);
        lists.of_users.append(&mut later.of_users);
        lists.announcing.append(&mut later.announcing);
        lists.cloud_joined.append(&mut later.cloud_joined);
        lists.not_joined.append(&mut later.not_joined);
        lists.initialized.append(&mut later.initialized);
        lists.other_processes.append(&mut later.other_processes);
        lists.device_ids.append(&mut later.device_ids);
        lists.tenant_ids.append(&mut later.tenant_ids);
    }
}
