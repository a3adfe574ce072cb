//! Events → windows: one window is one acquisition or refresh of a Primary Refresh Token.
//!
//! The plug-in logs the boundaries of an operation, 1006 … 1007 and 1028 … 1029, without any
//! number that says which stop belongs to which start. Everything of one operation runs on one
//! thread, so boundaries pair per process and thread. What the operational log holds without any
//! boundary is brought together by correlation ID, activity and thread.

use crate::event::{Event, Provider, id};
use crate::evidence::{self, Decisive, Evidence, Group};
use crate::knowledge::Role;
use crate::machine::Boundary;
use crate::token::correlation_ids_in;
use chrono::{DateTime, TimeDelta, Utc};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// The longest an operation may last, and the farthest that a window with a lost edge reaches.
const LONGEST: TimeDelta = TimeDelta::minutes(15);

/// Events of one thread without any ID belong together if less than this lies between them.
const MOMENT: TimeDelta = TimeDelta::seconds(2);

/// The windows that a thread works out at a time: each by itself, so that their number decides
/// nothing.
pub(crate) const SHARE: usize = 64;

/// What the plug-in was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// GetToken: a new token.
    Acquire,
    /// RefreshToken: a known token renewed.
    Refresh,
}

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prt {
    /// Microsoft Entra ID's.
    Entra,
    /// AD FS's.
    Enterprise,
}

/// How an edge of a window is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The boundary event is there.
    Seen,
    /// The other boundary is there, this one was lost.
    Missing,
    /// There is no boundary at all.
    Inferred,
}

/// How events were brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// They carry the same correlation ID.
    Correlation,
    /// They carry the same activity ID.
    Activity,
    /// They were written by the same thread.
    Thread,
    /// By time alone.
    Time,
    /// They were written by the same process.
    Process,
    /// The Workstation service started what followed.
    Service,
}

/// How a window ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a token.
    Succeeded,
    /// Without.
    Failed,
    /// The logs do not say.
    Incomplete,
}

/// An event of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index in the machine's events.
    pub event: usize,
    /// Why it belongs to the window.
    pub via: Via,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Window {
    /// What was asked for.
    pub operation: Operation,
    /// Whose token.
    pub prt: Prt,
    /// How the start is known.
    pub start: Edge,
    /// Index of the event it starts with: the boundary, or the first event if that was lost.
    pub start_event: usize,
    /// How the end is known.
    pub end: Edge,
    /// Index of the event it ends with: the boundary, or the last event if that was lost.
    pub end_event: usize,
    /// How the events were brought together.
    pub pairing: Via,
    /// The events, in total order.
    pub members: Vec<Member>,
    /// Events after the window, or of other processes, that carry its correlation ID; and the
    /// boundaries around them.
    pub related: Vec<Member>,
    /// How it ended.
    pub outcome: Outcome,
    /// It succeeded though something in it failed.
    pub recovered: bool,
    /// Index of the first failing event.
    pub first_failure: Option<usize>,
    /// Whether that is the stop boundary.
    pub only_stop_failed: bool,
    /// The sub-codes.
    pub evidence: Evidence,
    /// The code that decides; none if the window succeeded.
    pub decisive: Option<Decisive>,
}

/// The windows in a machine's events, and what else was found on the way.
#[derive(Debug)]
pub(crate) struct Windows {
    /// Windows in the order of their start.
    pub(crate) windows: Vec<Window>,
    /// Whether each event is a failure.
    pub(crate) failures: Vec<bool>,
    /// Why an event that looks like a failure is none.
    pub(crate) housekeeping: Vec<Option<&'static str>>,
    /// Whether each event belongs or relates to a window.
    pub(crate) placed: Vec<bool>,
}

/// Finds the windows in a machine's events, which are in total order.
pub(crate) fn windows(events: &[Event]) -> Windows {
    let threads = Threads::of(events);
    let mut drafts = boundary_windows(events, &threads);
    let mut places: Vec<Place> = vec![Place::Free; events.len()];
    claim_by_thread(&drafts, &threads, &mut places);
    claim_by_correlation(events, &mut drafts, &threads, &mut places);
    infer_windows(events, &threads, &mut drafts, &mut places);
    relate_broker_events(events, &drafts, &mut places);
    finish(events, drafts, &threads, &places)
}

/// Where an event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    Member(usize, Via),
    Related(usize, Via),
}

/// A window while its events are gathered. `from` and `to` are the first and the last index it may
/// claim on its thread.
struct Draft {
    operation: Operation,
    start: Option<usize>,
    stop: Option<usize>,
    from: usize,
    to: usize,
    thread: Option<ThreadKey>,
    pairing: Via,
    correlation_id: Option<Uuid>,
}

/// What an operation's events have in common. Exports may lack process and thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum ThreadKey {
    Thread(u32, u32),
    Activity(Uuid),
    Time,
}

impl ThreadKey {
    fn of(event: &Event) -> ThreadKey {
        match (event.process_id(), event.thread_id(), event.activity_id()) {
            (Some(process), Some(thread), _) => ThreadKey::Thread(process, thread),
            (_, _, Some(activity)) => ThreadKey::Activity(activity),
            _ => ThreadKey::Time,
        }
    }

    fn via(self) -> Via {
        match self {
            ThreadKey::Thread(..) => Via::Thread,
            ThreadKey::Activity(_) => Via::Activity,
            ThreadKey::Time => Via::Time,
        }
    }
}

/// The plug-in's events by thread, and where processes changed.
struct Threads {
    /// Indices of the plug-in's events, in order.
    events: BTreeMap<ThreadKey, Vec<usize>>,
    /// For each event the one before it on its thread.
    before: Vec<Option<usize>>,
    /// Where the plug-in was initialised, which a new process does.
    initialized: Vec<usize>,
    /// Where a process ID showed up with events that the plug-in's process does not write.
    changed_hands: HashMap<u32, Vec<usize>>,
}

impl Threads {
    fn of(events: &[Event]) -> Threads {
        let mut threads = Threads {
            events: BTreeMap::new(),
            before: vec![None; events.len()],
            initialized: Vec::new(),
            changed_hands: HashMap::new(),
        };
        for (index, event) in events.iter().enumerate() {
            if !event.is_plugin() {
                // Device registration also runs inside the plug-in's process.
                if let Some(process) = event
                    .process_id()
                    .filter(|_| event.provider == Provider::Aad)
                {
                    threads
                        .changed_hands
                        .entry(process)
                        .or_default()
                        .push(index);
                }
                continue;
            }
            if matches!(event.event_id, id::INITIALIZE_START | id::INITIALIZE_STOP) {
                threads.initialized.push(index);
            }
            let thread = threads.events.entry(ThreadKey::of(event)).or_default();
            if let Some(before) = threads.before.get_mut(index) {
                *before = thread.last().copied();
            }
            thread.push(index);
        }
        threads
    }

    /// The first sign between two events of a thread that they are not of one process: a reboot, or
    /// the process ID in other hands.
    fn break_after(&self, key: ThreadKey, from: usize) -> Option<usize> {
        let next = |places: &[usize]| {
            let at = places.partition_point(|place| *place <= from);
            places.get(at).copied()
        };
        let initialized = next(&self.initialized);
        let changed = match key {
            ThreadKey::Thread(process, _) => self.changed_hands.get(&process).and_then(|p| next(p)),
            _ => None,
        };
        initialized.into_iter().chain(changed).min()
    }

    /// The last such sign before an event.
    fn break_before(&self, key: ThreadKey, to: usize) -> Option<usize> {
        let last = |places: &[usize]| {
            let at = places.partition_point(|place| *place < to);
            places.get(at.checked_sub(1)?).copied()
        };
        let initialized = last(&self.initialized);
        let changed = match key {
            ThreadKey::Thread(process, _) => self.changed_hands.get(&process).and_then(|p| last(p)),
            _ => None,
        };
        initialized.into_iter().chain(changed).max()
    }
}

pub(crate) fn time(events: &[Event], index: usize) -> DateTime<Utc> {
    events
        .get(index)
        .map_or(DateTime::<Utc>::MIN_UTC, |event| event.time)
}

/// The windows that have at least one boundary.
fn boundary_windows(events: &[Event], threads: &Threads) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (&key, indices) in &threads.events {
        pair_boundaries(events, threads, key, indices, &mut drafts);
    }
    // By their place in the total order, whatever the thread.
    drafts.sort_by_key(|draft| (draft.from, draft.to));
    drafts
}

fn pair_boundaries(
    events: &[Event],
    threads: &Threads,
    key: ThreadKey,
    indices: &[usize],
    drafts: &mut Vec<Draft>,
) {
    let boundaries: Vec<(usize, Boundary)> = indices
        .iter()
        .filter_map(|&index| Some((index, Boundary::of(events.get(index)?)?)))
        .collect();
    let mut draft = |boundary: Boundary, start, stop, from, to| {
        drafts.push(Draft {
            operation: match boundary.refresh {
                true => Operation::Refresh,
                false => Operation::Acquire,
            },
            start,
            stop,
            from,
            to,
            thread: Some(key),
            pairing: key.via(),
            correlation_id: None,
        });
    };
    // Starts that wait for their stop, by operation.
    let mut waiting: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    let mut lost_stops: Vec<(usize, Boundary)> = Vec::new();
    for (place, &(index, boundary)) in boundaries.iter().enumerate() {
        let Some(waiting) = waiting.get_mut(usize::from(boundary.refresh)) else {
            continue;
        };
        if boundary.start {
            waiting.push(index);
            continue;
        }
        let pairs = |start: usize| {
            time(events, index) - time(events, start) <= LONGEST
                && threads
                    .break_after(key, start)
                    .is_none_or(|cut| cut > index)
        };
        match waiting.last().copied().filter(|start| pairs(*start)) {
            Some(start) => {
                waiting.pop();
                draft(boundary, Some(start), Some(index), start, index);
            }
            None => {
                let previous = place.checked_sub(1).and_then(|at| boundaries.get(at));
                let after_boundary = previous.map_or(0, |(at, _)| at + 1);
                let after_break = threads.break_before(key, index).map_or(0, |at| at + 1);
                let earliest = time(events, index) - LONGEST;
                let in_reach = events.partition_point(|event| event.time < earliest);
                let from = after_boundary.max(after_break).max(in_reach);
                draft(boundary, None, Some(index), from, index);
            }
        }
    }
    for (refresh, starts) in [false, true].into_iter().zip(waiting) {
        lost_stops.extend(starts.into_iter().map(|start| {
            let boundary = Boundary {
                refresh,
                start: true,
            };
            (start, boundary)
        }));
    }
    for (start, boundary) in lost_stops {
        let at = boundaries.partition_point(|(index, _)| *index <= start);
        let next = boundaries
            .get(at..)
            .into_iter()
            .flatten()
            .find(|(_, next)| next.refresh == boundary.refresh);
        let before_next = next.map_or(usize::MAX, |(index, _)| index - 1);
        let before_break = threads
            .break_after(key, start)
            .map_or(usize::MAX, |at| at - 1);
        let latest = time(events, start) + LONGEST;
        let in_reach = events.partition_point(|event| event.time <= latest) - 1;
        let reach = before_next.min(before_break).min(in_reach);
        // What runs after a token operation shows that it is over.
        let at = indices.partition_point(|index| *index <= start);
        let following = indices.get(at..).into_iter().flatten();
        let over = following
            .take_while(|index| **index <= reach)
            .find(|index| {
                events.get(**index).is_some_and(|event| {
                    matches!(event.event_id, id::GET_KEYS_START | id::POST_LOGON_START)
                })
            });
        let to = over.map_or(reach, |index| index - 1);
        draft(boundary, Some(start), None, start, to);
    }
}

/// Gives each event of a thread to the innermost window around it.
fn claim_by_thread(drafts: &[Draft], threads: &Threads, places: &mut [Place]) {
    let mut by_thread: BTreeMap<ThreadKey, Vec<usize>> = BTreeMap::new();
    for (number, draft) in drafts.iter().enumerate() {
        if let Some(key) = draft.thread {
            by_thread.entry(key).or_default().push(number);
        }
    }
    for (key, numbers) in by_thread {
        let Some(indices) = threads.events.get(&key) else {
            continue;
        };
        let mut coming = numbers.into_iter().peekable();
        let mut open: Vec<usize> = Vec::new();
        let draft = |number: usize| drafts.get(number);
        for &index in indices {
            // Drafts are sorted by where they begin.
            while let Some(number) =
                coming.next_if(|number| draft(*number).is_some_and(|draft| draft.from <= index))
            {
                open.push(number);
            }
            while open
                .last()
                .is_some_and(|number| draft(*number).is_none_or(|draft| draft.to < index))
            {
                open.pop();
            }
            if let (Some(number), Some(place)) = (open.last(), places.get_mut(index)) {
                *place = Place::Member(*number, key.via());
            }
        }
    }
    // Operations may cross on a thread: each keeps its own boundaries.
    for (number, draft) in drafts.iter().enumerate() {
        for boundary in [draft.start, draft.stop].into_iter().flatten() {
            if let (Some(place), Some(key)) = (places.get_mut(boundary), draft.thread) {
                *place = Place::Member(number, key.via());
            }
        }
    }
}

/// Brings in what carries a window's correlation ID: before its stop as a member, after it as
/// related.
fn claim_by_correlation(
    events: &[Event],
    drafts: &mut [Draft],
    threads: &Threads,
    places: &mut [Place],
) {
    find_correlation_ids(events, drafts, places);
    let mut by_id: HashMap<Uuid, Vec<usize>> = HashMap::new();
    for (number, draft) in drafts.iter().enumerate() {
        if let Some(id) = draft.correlation_id {
            by_id.entry(id).or_default().push(number);
        }
    }
    for numbers in by_id.values_mut() {
        numbers.sort_by_key(|number| drafts.get(*number).map(|draft| draft.to));
    }
    for (index, event) in events.iter().enumerate() {
        if !event.is_plugin() {
            continue;
        }
        let Some(id) = event.correlation_id() else {
            continue;
        };
        let Some(numbers) = by_id.get(&id) else {
            continue;
        };
        let place = places.get(index).copied().unwrap_or(Place::Free);
        if let Place::Member(number, _) = place {
            // Its thread says one window, its ID another: the ID is the request's own.
            let own = drafts.get(number).and_then(|draft| draft.correlation_id);
            if own.is_none_or(|own| own == id) {
                continue;
            }
        }
        let new = place_by_id(events, drafts, numbers, index);
        if let (Some(new), Some(place)) = (new, places.get_mut(index)) {
            *place = new;
        }
    }
    relate_keys(events, threads, &by_id, drafts, places);
}

/// Where an event with the ID of these windows belongs.
fn place_by_id(
    events: &[Event],
    drafts: &[Draft],
    numbers: &[usize],
    index: usize,
) -> Option<Place> {
    let ended = ended_before(drafts, numbers, index);
    let next = numbers.get(ended).copied().filter(|number| {
        drafts
            .get(*number)
            .is_some_and(|draft| time(events, draft.from) - time(events, index) <= LONGEST)
    });
    if let Some(number) = next {
        return Some(Place::Member(number, Via::Correlation));
    }
    let last = numbers.get(ended.checked_sub(1)?)?;
    Some(Place::Related(*last, Via::Correlation))
}

/// How many of the windows, sorted by their end, end before an event.
fn ended_before(drafts: &[Draft], numbers: &[usize], index: usize) -> usize {
    numbers.partition_point(|number| drafts.get(*number).is_some_and(|draft| draft.to < index))
}

/// The correlation ID of each window: that of its 1018 or 1030, else the first in it.
fn find_correlation_ids(events: &[Event], drafts: &mut [Draft], places: &[Place]) {
    let mut announced = vec![false; drafts.len()];
    for (event, place) in events.iter().zip(places) {
        let Place::Member(number, _) = place else {
            continue;
        };
        let (Some(draft), Some(announced)) = (drafts.get_mut(*number), announced.get_mut(*number))
        else {
            continue;
        };
        let announces = matches!(
            event.event_id,
            id::GET_TOKEN_CORRELATION | id::REFRESH_CORRELATION
        );
        if ((announces && !*announced) || draft.correlation_id.is_none())
            && let Some(id) = event.correlation_id()
        {
            draft.correlation_id = Some(id);
            *announced = announces;
        }
    }
}

/// GetKeys runs right after a window and names its request in between its own boundaries, which
/// carry nothing themselves.
fn relate_keys(
    events: &[Event],
    threads: &Threads,
    by_id: &HashMap<Uuid, Vec<usize>>,
    drafts: &[Draft],
    places: &mut [Place],
) {
    for indices in threads.events.values() {
        let mut open: Option<(usize, Option<usize>)> = None;
        for &index in indices {
            let Some(event) = events.get(index) else {
                continue;
            };
            let is_free = places.get(index) == Some(&Place::Free);
            match (event.event_id, &mut open) {
                (id::GET_KEYS_START, _) if is_free => open = Some((index, None)),
                (id::GET_KEYS_STOP, Some((start, Some(number)))) if is_free => {
                    let (start, number) = (*start, *number);
                    for end in [start, index] {
                        if let Some(place) = places.get_mut(end) {
                            *place = Place::Related(number, Via::Thread);
                        }
                    }
                    open = None;
                }
                (id::GET_KEYS_STOP, _) => open = None,
                (_, Some((_, number @ None))) => {
                    let window = event.correlation_id().and_then(|id| by_id.get(&id));
                    *number = window.and_then(|numbers| {
                        let ended = ended_before(drafts, numbers, index);
                        numbers.get(ended.checked_sub(1)?).copied()
                    });
                }
                _ => {}
            }
        }
    }
}

/// Whether an event tells of a token operation by itself, so that a window can be inferred from it.
fn tells_of_operation(event: &Event) -> bool {
    match event.event_id {
        id::OAUTH_ERROR..=id::REALM_FAILURE
        | id::WSTRUST_FAULT
        | id::NGC_NONCE_ERROR
        | id::REFRESH_FAILURE..=id::REFRESH_EXPIRED
        | id::ENTERPRISE_REFRESH_FAILURE
        | id::ENTERPRISE_LOGON_FAILURE
        | id::ENTERPRISE_EXPIRED
        | id::REFRESH_SUBJECT_MISMATCH
        | id::SESSION_KEY_FAILURE
        | id::GET_TOKEN_DIAGNOSTIC..=id::ENTERPRISE_REFRESH_DIAGNOSTIC => true,
        id::API_ERROR => evidence::is_get_token_call(event),
        other => id::LOGON_FAILURES.contains(&other),
    }
}

/// Events without a boundary that belong together.
#[derive(Default)]
struct Loose {
    members: Vec<usize>,
    correlation_id: Option<Uuid>,
    /// The activities of its events, and how many events each has.
    activities: HashMap<Uuid, usize>,
    /// The time of its last event.
    last: DateTime<Utc>,
    /// The group it was joined to.
    joined: Option<usize>,
    tells: bool,
}

impl Loose {
    /// Whether all its events name one activity.
    fn is_one_activity(&self) -> bool {
        self.activities.len() == 1 && self.activities.values().sum::<usize>() == self.members.len()
    }
}

/// Builds windows from what no boundary claims: by correlation ID, then by activity, then by
/// thread and moment.
fn infer_windows(
    events: &[Event],
    threads: &Threads,
    drafts: &mut Vec<Draft>,
    places: &mut [Place],
) {
    let mut groups: Vec<Loose> = Vec::new();
    let mut by_id: HashMap<Uuid, usize> = HashMap::new();
    let mut by_activity: HashMap<Uuid, usize> = HashMap::new();
    let mut by_thread: HashMap<(Option<u32>, Option<u32>), usize> = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        // What runs after a token operation is none of it.
        let after = matches!(
            event.event_id,
            id::GET_KEYS_START | id::GET_KEYS_STOP | id::POST_LOGON_START | id::POST_LOGON_STOP
        );
        if !event.is_plugin() || after || places.get(index) != Some(&Place::Free) {
            continue;
        }
        let id = event.correlation_id();
        let thread = (event.process_id(), event.thread_id());
        let within = |number: Option<&usize>, groups: &[Loose], gap: TimeDelta| {
            let number = resolve(groups, *number?);
            let group = groups.get(number)?;
            (event.time - group.last < gap).then_some(number)
        };
        let of_id = id.and_then(|id| within(by_id.get(&id), &groups, LONGEST));
        let of_activity = event
            .activity_id()
            .and_then(|activity| within(by_activity.get(&activity), &groups, LONGEST));
        let of_thread = within(by_thread.get(&thread), &groups, MOMENT).filter(|&number| {
            // A thread goes on to its next activity within the moment.
            let group = groups.get(number);
            group.is_some_and(|group| match event.activity_id() {
                Some(activity) => {
                    group.activities.is_empty() || group.activities.contains_key(&activity)
                }
                None => true,
            })
        });
        // An event with a correlation ID may give it to a group that has none yet.
        let unnamed = |number: &usize| {
            groups
                .get(*number)
                .is_some_and(|group| group.correlation_id.is_none())
        };
        let near = [of_activity, of_thread].into_iter().flatten();
        let number = match id {
            Some(_) => match of_id {
                Some(number) => {
                    let orphans: Vec<usize> = near
                        .filter(unnamed)
                        .filter(|near| *near != number)
                        .collect();
                    for orphan in orphans {
                        join(&mut groups, orphan, number);
                    }
                    Some(number)
                }
                None => near.into_iter().find(unnamed),
            },
            None => near.into_iter().next(),
        };
        let number = number.unwrap_or_else(|| {
            groups.push(Loose::default());
            groups.len() - 1
        });
        if let Some(id) = id {
            by_id.insert(id, number);
        }
        if let Some(activity) = event.activity_id() {
            by_activity.insert(activity, number);
        }
        by_thread.insert(thread, number);
        let before = threads.before.get(index).copied().flatten();
        let repeated = evidence::repeats(event, before.and_then(|before| events.get(before)));
        if let Some(group) = groups.get_mut(number) {
            group.members.push(index);
            group.correlation_id = group.correlation_id.or(id);
            group.last = event.time;
            group.tells |= tells_of_operation(event) && !repeated;
            if let Some(activity) = event.activity_id() {
                *group.activities.entry(activity).or_default() += 1;
            }
        }
    }
    for group in groups {
        if group.tells && group.joined.is_none() {
            place_loose(events, group, drafts, places);
        }
    }
}

/// The group that a group was joined to, or itself.
fn resolve(groups: &[Loose], number: usize) -> usize {
    let mut at = number;
    while let Some(next) = groups.get(at).and_then(|group| group.joined) {
        at = next;
    }
    at
}

fn join(groups: &mut [Loose], orphan: usize, into: usize) {
    let Some(orphan) = groups.get_mut(orphan) else {
        return;
    };
    orphan.joined = Some(into);
    let joined = std::mem::take(&mut orphan.members);
    let activities = std::mem::take(&mut orphan.activities);
    let tells = orphan.tells;
    if let Some(group) = groups.get_mut(into) {
        group.members.extend(joined);
        for (activity, count) in activities {
            *group.activities.entry(activity).or_default() += count;
        }
        group.tells |= tells;
    }
}

fn place_loose(events: &[Event], mut group: Loose, drafts: &mut Vec<Draft>, places: &mut [Place]) {
    group.members.sort_unstable();
    let number = drafts.len();
    let members = || group.members.iter().filter_map(|&index| events.get(index));
    let refresh = members().any(|event| {
        matches!(
            event.event_id,
            id::REFRESH_FAILURE
                ..=id::REFRESH_EXPIRED
                    | id::ENTERPRISE_REFRESH_FAILURE
                    | id::ENTERPRISE_EXPIRED
                    | id::REFRESH_SUBJECT_MISMATCH
                    | id::REFRESH_DIAGNOSTIC
                    | id::ENTERPRISE_REFRESH_DIAGNOSTIC
        )
    });
    let has_thread = members().all(|event| event.thread_id().is_some());
    let by_thread = if has_thread { Via::Thread } else { Via::Time };
    let pairing = match group.correlation_id {
        Some(_) => Via::Correlation,
        None if group.is_one_activity() => Via::Activity,
        None => by_thread,
    };
    for &index in &group.members {
        let Some(event) = events.get(index) else {
            continue;
        };
        let via = match event.correlation_id() {
            Some(_) => Via::Correlation,
            None if event.activity_id().is_some() => Via::Activity,
            None => by_thread,
        };
        if let Some(place) = places.get_mut(index) {
            *place = Place::Member(number, via);
        }
    }
    drafts.push(Draft {
        operation: match refresh {
            true => Operation::Refresh,
            false => Operation::Acquire,
        },
        start: None,
        stop: None,
        from: group.members.first().copied().unwrap_or(0),
        to: group.members.last().copied().unwrap_or(0),
        thread: None,
        pairing,
        correlation_id: group.correlation_id,
    });
}

/// Events of the token broker that name a window's request are related to it. Those that merely
/// fall in the same seconds are not.
fn relate_broker_events(events: &[Event], drafts: &[Draft], places: &mut [Place]) {
    let mut by_id: HashMap<Uuid, usize> = HashMap::new();
    for (number, draft) in drafts.iter().enumerate() {
        if let Some(id) = draft.correlation_id {
            by_id.entry(id).or_insert(number);
        }
    }
    for (index, event) in events.iter().enumerate() {
        if event.provider != Provider::Aad || event.is_plugin() {
            continue;
        }
        let texts = event.values(Role::Message);
        let number = event
            .correlation_id()
            .into_iter()
            .chain(texts.flat_map(correlation_ids_in))
            .find_map(|id| by_id.get(&id));
        if let (Some(number), Some(place)) = (number, places.get_mut(index)) {
            *place = Place::Related(*number, Via::Correlation);
        }
    }
}

fn finish(events: &[Event], drafts: Vec<Draft>, threads: &Threads, places: &[Place]) -> Windows {
    let mut counts = vec![0; drafts.len()];
    for place in places {
        if let Place::Member(number, _) = place
            && let Some(count) = counts.get_mut(*number)
        {
            *count += 1;
        }
    }
    let mut members: Vec<Vec<Member>> = counts.into_iter().map(Vec::with_capacity).collect();
    let mut related: Vec<Vec<Member>> = vec![Vec::new(); drafts.len()];
    let mut failures = vec![false; events.len()];
    let mut housekeeping = vec![None; events.len()];
    for (index, (event, place)) in events.iter().zip(places).enumerate() {
        let reports = evidence::reports_failure(event);
        let before = threads.before.get(index).copied().flatten();
        let before = before.and_then(|before| events.get(before));
        let in_window = matches!(place, Place::Member(..));
        let excuse = reports
            .then(|| evidence::housekeeping(event, before, in_window))
            .flatten();
        let fails = reports && excuse.is_none();
        if let (Some(failure), Some(kept)) = (failures.get_mut(index), housekeeping.get_mut(index))
        {
            *failure = fails;
            *kept = excuse;
        }
        match *place {
            Place::Member(number, via) => {
                if let Some(members) = members.get_mut(number) {
                    members.push(Member { event: index, via });
                }
            }
            Place::Related(number, via) => {
                if let Some(related) = related.get_mut(number) {
                    related.push(Member { event: index, via });
                }
            }
            Place::Free => {}
        }
    }
    // A stop whose status is not 0 failed, whatever its severity bit says.
    for stop in drafts.iter().filter_map(|draft| draft.stop) {
        let status = events.get(stop).and_then(|event| event.code(Role::Status));
        if let Some(failure) = failures.get_mut(stop) {
            *failure |= status.is_some_and(|status| status.0 != 0);
        }
    }
    let drafts = drafts.into_iter().zip(members.into_iter().zip(related));
    // Other windows may have claimed all that there was of one.
    let drafts: Vec<_> = drafts
        .filter(|(_, (members, _))| !members.is_empty())
        .collect();
    let mut windows: Vec<Window> = drafts
        .into_par_iter()
        .with_min_len(SHARE)
        .map(|(draft, (members, related))| window(events, &failures, draft, members, related))
        .collect();
    windows.sort_by_key(|window| window.start_event);
    Windows {
        windows,
        failures,
        housekeeping,
        placed: places.iter().map(|place| *place != Place::Free).collect(),
    }
}

fn window(
    events: &[Event],
    failures: &[bool],
    draft: Draft,
    members: Vec<Member>,
    related: Vec<Member>,
) -> Window {
    let inferred = draft.start.is_none() && draft.stop.is_none();
    let edge = |boundary: Option<usize>| match boundary {
        Some(_) => Edge::Seen,
        None if inferred => Edge::Inferred,
        None => Edge::Missing,
    };
    let indices: Vec<usize> = members.iter().map(|member| member.event).collect();
    let first = indices.first().copied().unwrap_or(draft.from);
    let last = indices.last().copied().unwrap_or(draft.to);
    let failing: Vec<usize> = indices
        .iter()
        .copied()
        .filter(|index| failures.get(*index) == Some(&true))
        .collect();
    let prt = match inferred && is_enterprise_only(events, &indices) {
        true => Prt::Enterprise,
        false => Prt::Entra,
    };
    let group = Group {
        events,
        members: &indices,
        failures: &failing,
        stop: draft.stop,
        enterprise: prt == Prt::Enterprise,
    };
    let evidence = group.evidence();
    let first_failure = group.first_failure();
    let outcome = outcome(&group, &evidence);
    let recovered = outcome == Outcome::Succeeded
        && failing
            .iter()
            .filter_map(|index| events.get(*index))
            .any(|event| !group.is_foreign(event));
    Window {
        operation: draft.operation,
        prt,
        start: edge(draft.start),
        start_event: draft.start.unwrap_or(first),
        end: edge(draft.stop),
        end_event: draft.stop.unwrap_or(last),
        pairing: draft.pairing,
        members,
        related,
        outcome,
        recovered,
        first_failure,
        only_stop_failed: first_failure.is_some() && first_failure == draft.stop,
        decisive: match outcome {
            Outcome::Succeeded => None,
            _ => evidence.decisive(),
        },
        evidence,
    }
}

/// Whether the AD FS token is all that these events give a status for.
fn is_enterprise_only(events: &[Event], members: &[usize]) -> bool {
    let members = || members.iter().filter_map(|&index| events.get(index));
    let of_entra = |event: &Event| {
        matches!(
            event.event_id,
            id::LOGON_FAILURE | id::REALM_FAILURE | id::KEYS_FAILURE | id::REFRESH_FAILURE
                ..=id::REFRESH_EXPIRED
                    | id::REFRESH_SUBJECT_MISMATCH
                    | id::SESSION_KEY_FAILURE
                    | id::GET_TOKEN_DIAGNOSTIC
                    | id::REFRESH_DIAGNOSTIC
        ) || id::LOGON_FAILURES.contains(&event.event_id)
    };
    members().any(evidence::is_enterprise) && !members().any(of_entra)
}

fn outcome(group: &Group<'_>, evidence: &Evidence) -> Outcome {
    let decides = |index: usize| {
        group.events.get(index).is_some_and(|event| {
            Some(index) == group.stop
                || matches!(
                    event.event_id,
                    id::GET_TOKEN_DIAGNOSTIC..=id::ENTERPRISE_REFRESH_DIAGNOSTIC
                )
        })
    };
    if let Some(status) = evidence
        .status
        .as_ref()
        .filter(|status| decides(status.event))
    {
        return match status.value.0 {
            0 => Outcome::Succeeded,
            _ => Outcome::Failed,
        };
    }
    let terminal = |index: &usize| {
        let Some(event) = group.events.get(*index) else {
            return false;
        };
        match event.event_id {
            id::API_ERROR => evidence::is_get_token_call(event),
            id::ENTERPRISE_REFRESH_FAILURE
            | id::ENTERPRISE_LOGON_FAILURE
            | id::ENTERPRISE_EXPIRED => group.enterprise,
            id::LOGON_FAILURE
            | id::REFRESH_FAILURE..=id::REFRESH_EXPIRED
            | id::REFRESH_SUBJECT_MISMATCH => true,
            other => id::LOGON_FAILURES.contains(&other),
        }
    };
    match group.members.iter().any(terminal) {
        true => Outcome::Failed,
        false => Outcome::Incomplete,
    }
}
