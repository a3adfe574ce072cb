//! Events → windows: one window is one acquisition or refresh of a Primary Refresh Token.
//!
//! The plug-in logs the boundaries of an operation, 1006 … 1007 and 1028 … 1029, without any
//! number that says which stop belongs to which start. Everything of one operation runs on one
//! thread, so boundaries pair per process and thread. What the operational log holds without any
//! boundary is brought together by correlation ID, activity and thread.

mod inferred;

use crate::conclude::evidence::{self, Decisive, Evidence, Group, Housekeeping, Told};
use crate::conclude::index::{IdNumber, Place, Survey, ThreadEdge, ThreadKey};
use crate::conclude::token::correlation_ids_in;
use crate::event::{Event, id};
use crate::facts::Role;
use chrono::{DateTime, TimeDelta, Utc};
use inferred::infer_windows;
use rayon::prelude::*;
use std::collections::HashMap;

/// The longest an operation may last, and the farthest that a window with a lost edge reaches.
const LONGEST: TimeDelta = TimeDelta::minutes(15);

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
    event: Place,
    /// Why it belongs to the window.
    pub via: Via,
}

impl Member {
    pub(crate) fn new(event: usize, via: Via) -> Member {
        Member {
            event: Place::try_from(event).unwrap_or(Place::MAX),
            via,
        }
    }

    /// Index in the machine's events.
    pub fn event(self) -> usize {
        self.event as usize
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Window<'e> {
    /// What was asked for.
    pub operation: Operation,
    /// Whose token.
    pub prt: Prt,
    /// How the start is known.
    pub start: Edge,
    /// Index of the event it starts with: the boundary, or the first event if that was lost.
    pub start_event: usize,
    /// When that was.
    pub began: DateTime<Utc>,
    /// How the end is known.
    pub end: Edge,
    /// Index of the event it ends with: the boundary, or the last event if that was lost.
    pub end_event: usize,
    /// When that was.
    pub ended: DateTime<Utc>,
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
    pub evidence: Evidence<'e>,
    /// The code that decides; none if the window succeeded.
    pub decisive: Option<Decisive>,
}

/// What was concluded of a single event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// It is a failure.
    pub failure: bool,
    /// Why it is none though it looks like one.
    pub housekeeping: Option<Housekeeping>,
    /// It belongs or relates to a window or run.
    pub placed: bool,
}

/// The windows in a machine's events, and what else was found on the way.
#[derive(Debug)]
pub(crate) struct Windows<'e> {
    /// Windows in the order of their start.
    pub(crate) windows: Vec<Window<'e>>,
    /// What each event is.
    pub(crate) marks: Vec<Mark>,
}

/// Finds the windows in a machine's events, which are in total order.
pub(crate) fn windows<'e>(events: &'e [Event], survey: &Survey) -> Windows<'e> {
    let mut drafts = boundary_windows(events, survey);
    let mut claims = vec![Claim::Free; events.len()];
    claim_by_thread(&drafts, survey, &mut claims);
    claim_by_correlation(events, &mut drafts, survey, &mut claims);
    infer_windows(events, survey, &mut drafts, &mut claims);
    relate_broker_events(events, survey, &drafts, &mut claims);
    finish(events, survey, drafts, &claims)
}

/// Where an event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Free,
    /// Of this draft.
    Member(Number, Via),
    Related(Number, Via),
}

/// The number of a draft: there are not more of them than events.
type Number = u32;

/// A window while its events are gathered. `from` and `to` are the first and the last place it may
/// claim on its thread.
struct Draft {
    operation: Operation,
    start: Option<ThreadEdge>,
    stop: Option<ThreadEdge>,
    from: Place,
    to: Place,
    /// The number of its thread.
    thread: Option<usize>,
    pairing: Via,
    correlation_id: Option<IdNumber>,
}

impl Via {
    fn thread(key: ThreadKey) -> Via {
        match key {
            ThreadKey::Thread(..) => Via::Thread,
            ThreadKey::Activity(_) => Via::Activity,
            ThreadKey::Time => Via::Time,
        }
    }
}

/// When an event was written.
pub(crate) fn time(events: &[Event], index: usize) -> DateTime<Utc> {
    events
        .get(index)
        .map_or(DateTime::<Utc>::MIN_UTC, |event| event.time())
}

/// The windows that have at least one boundary.
fn boundary_windows(events: &[Event], survey: &Survey) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for number in 0..survey.threads.len() {
        pair_boundaries(events, survey, number, &mut drafts);
    }
    // By their place in the total order, whatever the thread.
    drafts.sort_by_key(|draft| (draft.from, draft.to));
    drafts
}

fn pair_boundaries(events: &[Event], survey: &Survey, number: usize, drafts: &mut Vec<Draft>) {
    let Some(thread) = survey.threads.get(number) else {
        return;
    };
    let (key, edges) = (thread.key, &thread.edges);
    // How many events come before the first of which this does not hold.
    let until = |holds: &dyn Fn(&Event) -> bool| {
        Place::try_from(events.partition_point(holds)).unwrap_or(Place::MAX)
    };
    let mut draft = |refresh, start, stop, from, to| {
        drafts.push(Draft {
            operation: match refresh {
                true => Operation::Refresh,
                false => Operation::Acquire,
            },
            start,
            stop,
            from,
            to,
            thread: Some(number),
            pairing: Via::thread(key),
            correlation_id: None,
        });
    };
    // Starts that wait for their stop, by operation.
    let mut waiting: [Vec<ThreadEdge>; 2] = [Vec::new(), Vec::new()];
    for (at, edge) in edges.iter().enumerate() {
        let ThreadEdge { place, time, .. } = *edge;
        let refresh = edge.boundary.refresh;
        let Some(waiting) = waiting.get_mut(usize::from(refresh)) else {
            continue;
        };
        if edge.boundary.start {
            waiting.push(*edge);
            continue;
        }
        let pairs = |start: &mut ThreadEdge| {
            let cut = survey.break_after(key, start.place);
            time - start.time <= LONGEST && cut.is_none_or(|cut| cut > place)
        };
        match waiting.pop_if(pairs) {
            Some(start) => draft(refresh, Some(start), Some(*edge), start.place, place),
            None => {
                let previous = at.checked_sub(1).and_then(|at| edges.get(at));
                let after_previous = previous.map_or(0, |edge| edge.place + 1);
                let after_break = survey.break_before(key, place).map_or(0, |at| at + 1);
                let in_reach = until(&|event| event.time() < time - LONGEST);
                let from = after_previous.max(after_break).max(in_reach);
                draft(refresh, None, Some(*edge), from, place);
            }
        }
    }
    for (refresh, starts) in [false, true].into_iter().zip(waiting) {
        for start in starts {
            let place = start.place;
            let at = edges.partition_point(|edge| edge.place <= place);
            let mut next = edges.get(at..).into_iter().flatten();
            let next = next.find(|next| next.boundary.refresh == refresh);
            let before_next = next.map_or(Place::MAX, |next| next.place - 1);
            let cut = survey.break_after(key, place);
            let before_break = cut.map_or(Place::MAX, |at| at - 1);
            let in_reach = until(&|event| event.time() <= start.time + LONGEST) - 1;
            let reach = before_next.min(before_break).min(in_reach);
            // What runs after a token operation shows that it is over.
            let over = thread.afterwards.partition_point(|over| *over <= place);
            let over = thread.afterwards.get(over).filter(|over| **over <= reach);
            let to = over.map_or(reach, |over| over - 1);
            draft(refresh, Some(start), None, place, to);
        }
    }
}

/// Gives each event of a thread to the innermost window around it.
fn claim_by_thread(drafts: &[Draft], survey: &Survey, claims: &mut [Claim]) {
    let mut of_threads: Vec<Vec<(Number, &Draft)>> = vec![Vec::new(); survey.threads.len()];
    for (number, draft) in (0..).zip(drafts) {
        if let Some(of_thread) = draft.thread.and_then(|thread| of_threads.get_mut(thread)) {
            of_thread.push((number, draft));
        }
    }
    for (thread, drafts) in survey.threads.iter().zip(of_threads) {
        let via = Via::thread(thread.key);
        // Drafts are sorted by where they begin.
        let mut coming = drafts.iter().peekable();
        let mut open: Vec<(Number, &Draft)> = Vec::new();
        for &place in &thread.events {
            while let Some(begun) = coming.next_if(|(_, draft)| draft.from <= place) {
                open.push(*begun);
            }
            while open.pop_if(|(_, draft)| draft.to < place).is_some() {}
            if let (Some((number, _)), Some(claim)) = (open.last(), claims.get_mut(place as usize))
            {
                *claim = Claim::Member(*number, via);
            }
        }
        // Operations may cross on a thread: each keeps its own boundaries.
        for (number, draft) in drafts {
            for boundary in [draft.start, draft.stop].into_iter().flatten() {
                if let Some(claim) = claims.get_mut(boundary.place as usize) {
                    *claim = Claim::Member(number, via);
                }
            }
        }
    }
}

/// Brings in what carries a window's correlation ID: before its stop as a member, after it as
/// related.
fn claim_by_correlation(
    events: &[Event],
    drafts: &mut [Draft],
    survey: &Survey,
    claims: &mut [Claim],
) {
    find_correlation_ids(drafts, survey, claims);
    let by_id = ById::of(drafts);
    for (index, id) in survey.ids.iter() {
        let Some(claim) = claims.get_mut(index) else {
            continue;
        };
        if let Claim::Member(number, _) = claim {
            // Its thread says one window, its ID another: the ID is the request's own.
            let own = drafts.get(*number as usize);
            if own.is_none_or(|own| own.correlation_id.is_none_or(|own| own == id)) {
                continue;
            }
        }
        if let Some(new) = place_by_id(events, drafts, by_id.get(id), index) {
            *claim = new;
        }
    }
    relate_keys(survey, &by_id, claims);
}

/// The windows that have a correlation ID, by it and by their end.
struct ById(Vec<WithId>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct WithId {
    id: IdNumber,
    to: Place,
    number: Number,
}

impl ById {
    fn of(drafts: &[Draft]) -> ById {
        let with_ids = (0..).zip(drafts).filter_map(|(number, draft)| {
            Some(WithId {
                id: draft.correlation_id?,
                to: draft.to,
                number,
            })
        });
        let mut with_ids: Vec<WithId> = with_ids.collect();
        with_ids.sort_unstable();
        ById(with_ids)
    }

    /// Those with an ID.
    fn get(&self, id: IdNumber) -> &[WithId] {
        let start = self.0.partition_point(|with| with.id < id);
        let end = self.0.partition_point(|with| with.id <= id);
        self.0.get(start..end).unwrap_or(&[])
    }
}

/// Where an event with the ID of these windows belongs.
fn place_by_id(
    events: &[Event],
    drafts: &[Draft],
    windows: &[WithId],
    index: usize,
) -> Option<Claim> {
    let ended = ended_before(windows, index);
    let next = windows.get(ended).filter(|next| {
        drafts
            .get(next.number as usize)
            .is_some_and(|draft| time(events, draft.from as usize) - time(events, index) <= LONGEST)
    });
    if let Some(next) = next {
        return Some(Claim::Member(next.number, Via::Correlation));
    }
    let last = windows.get(ended.checked_sub(1)?)?;
    Some(Claim::Related(last.number, Via::Correlation))
}

/// How many of the windows, sorted by their end, end before an event.
fn ended_before(windows: &[WithId], index: usize) -> usize {
    windows.partition_point(|window| (window.to as usize) < index)
}

/// The correlation ID of each window: that of its 1018 or 1030, else the first in it.
fn find_correlation_ids(drafts: &mut [Draft], survey: &Survey, claims: &[Claim]) {
    let announcing = survey.lists.announcing.iter();
    let announced = announcing.filter_map(|place| {
        let index = *place as usize;
        Some((index, survey.ids.of(index)?))
    });
    for (index, id) in announced.chain(survey.ids.iter()) {
        if let Some(Claim::Member(number, _)) = claims.get(index)
            && let Some(draft) = drafts.get_mut(*number as usize)
        {
            draft.correlation_id.get_or_insert(id);
        }
    }
}

/// GetKeys runs right after a window and names its request in between its own boundaries, which
/// carry nothing themselves.
fn relate_keys(survey: &Survey, by_id: &ById, claims: &mut [Claim]) {
    let event_id = |place: &Place| survey.event_id(*place as usize);
    for thread in &survey.threads {
        let starts = thread.afterwards.iter();
        for start in starts.filter(|place| event_id(place) == Some(id::GET_KEYS_START)) {
            let is_free = |place: &Place| claims.get(*place as usize) == Some(&Claim::Free);
            if !is_free(start) {
                continue;
            }
            let after = thread.events.partition_point(|place| place <= start);
            let mut window = None;
            let mut stop = None;
            for place in thread.events.get(after..).into_iter().flatten() {
                match event_id(place) {
                    Some(id::GET_KEYS_STOP) => {
                        stop = Some(place).filter(|place| is_free(place));
                        break;
                    }
                    Some(id::GET_KEYS_START) if is_free(place) => break,
                    _ if window.is_none() => {
                        let index = *place as usize;
                        window = survey.ids.of(index).and_then(|id| {
                            let windows = by_id.get(id);
                            windows.get(ended_before(windows, index).checked_sub(1)?)
                        });
                    }
                    _ => {}
                }
            }
            if let (Some(window), Some(stop)) = (window, stop) {
                for end in [start, stop] {
                    if let Some(claim) = claims.get_mut(*end as usize) {
                        *claim = Claim::Related(window.number, Via::Thread);
                    }
                }
            }
        }
    }
}

/// Events of the token broker that name a window's request are related to it. Those that merely
/// fall in the same seconds are not.
fn relate_broker_events(events: &[Event], survey: &Survey, drafts: &[Draft], claims: &mut [Claim]) {
    if survey.lists.broker.is_empty() {
        return;
    }
    let mut by_id: HashMap<IdNumber, Number> = HashMap::new();
    for (number, draft) in (0..).zip(drafts) {
        if let Some(id) = draft.correlation_id {
            by_id.entry(id).or_insert(number);
        }
    }
    for place in &survey.lists.broker {
        let index = *place as usize;
        let Some(event) = events.get(index) else {
            continue;
        };
        let texts = event.values(Role::Message);
        let mut ids = event
            .correlation_id()
            .into_iter()
            .chain(texts.flat_map(correlation_ids_in));
        let number = ids.find_map(|id| by_id.get(&survey.ids.find(id)?));
        if let (Some(number), Some(claim)) = (number, claims.get_mut(index)) {
            *claim = Claim::Related(*number, Via::Correlation);
        }
    }
}

fn finish<'e>(
    events: &'e [Event],
    survey: &Survey,
    drafts: Vec<Draft>,
    claims: &[Claim],
) -> Windows<'e> {
    let mut counts = vec![0; drafts.len()];
    for claim in claims {
        if let Claim::Member(number, _) = claim
            && let Some(count) = counts.get_mut(*number as usize)
        {
            *count += 1;
        }
    }
    let mut members: Vec<Vec<Member>> = counts.into_iter().map(Vec::with_capacity).collect();
    let mut related: Vec<Vec<Member>> = vec![Vec::new(); drafts.len()];
    for (event, claim) in claims.iter().enumerate() {
        let (of_drafts, number, via) = match *claim {
            Claim::Member(number, via) => (&mut members, number, via),
            Claim::Related(number, via) => (&mut related, number, via),
            Claim::Free => continue,
        };
        if let Some(of_draft) = of_drafts.get_mut(number as usize) {
            of_draft.push(Member::new(event, via));
        }
    }
    let marks = marks(events, survey, claims);
    let mut windows: Vec<Window<'_>> = drafts
        .into_par_iter()
        .zip(members)
        .zip(related)
        .with_min_len(SHARE)
        .map_init(Vec::new, |told, ((draft, members), related)| {
            told.clear();
            told.extend(members.iter().filter_map(|member| {
                Some(Told {
                    index: member.event(),
                    event: events.get(member.event())?,
                    id: survey.event_id(member.event())?,
                    failure: marks.get(member.event())?.failure,
                })
            }));
            window(events, survey, draft, told, members, related)
        })
        .collect();
    // Other windows may have claimed all that there was of one.
    windows.retain(|window| !window.members.is_empty());
    windows.sort_by_key(|window| window.start_event);
    Windows { windows, marks }
}

/// What each event is: a failure, or one that only looks like it, and whether a window has it.
fn marks(events: &[Event], survey: &Survey, claims: &[Claim]) -> Vec<Mark> {
    let placed = claims.iter().map(|claim| Mark {
        placed: *claim != Claim::Free,
        ..Mark::default()
    });
    let mut marks: Vec<Mark> = placed.collect();
    for place in &survey.lists.reporting {
        if let Some(mark) = marks.get_mut(*place as usize) {
            mark.failure = true;
        }
    }
    for &place in &survey.lists.doubtful {
        let index = place as usize;
        let (Some(event), Some(mark)) = (events.get(index), marks.get_mut(index)) else {
            continue;
        };
        let in_window = matches!(claims.get(index), Some(Claim::Member(..)));
        let before = || survey.before(events, place);
        mark.housekeeping = evidence::housekeeping(event, before, in_window);
        mark.failure = mark.housekeeping.is_none();
    }
    // A stop whose status is not 0 failed, whatever its severity bit says.
    let edges = survey.threads.iter().flat_map(|thread| &thread.edges);
    for edge in edges.filter(|edge| edge.status.is_some_and(|status| status.0 != 0)) {
        if let Some(mark) = marks.get_mut(edge.place as usize) {
            mark.failure = true;
        }
    }
    marks
}

fn window<'e>(
    events: &[Event],
    survey: &Survey,
    draft: Draft,
    told: &[Told<'e>],
    members: Vec<Member>,
    related: Vec<Member>,
) -> Window<'e> {
    let place = |edge: Option<ThreadEdge>| edge.map(|edge| edge.place as usize);
    let (start, stop) = (place(draft.start), place(draft.stop));
    let time = |edge: Option<ThreadEdge>, index: usize| {
        edge.map_or_else(|| time(events, index), |edge| edge.time)
    };
    let inferred = start.is_none() && stop.is_none();
    let edge = |boundary: Option<usize>| match boundary {
        Some(_) => Edge::Seen,
        None if inferred => Edge::Inferred,
        None => Edge::Missing,
    };
    let first = told
        .first()
        .map_or(draft.from as usize, |first| first.index);
    let last = told.last().map_or(draft.to as usize, |last| last.index);
    let (start_event, end_event) = (start.unwrap_or(first), stop.unwrap_or(last));
    let prt = match inferred && is_enterprise_only(told) {
        true => Prt::Enterprise,
        false => Prt::Entra,
    };
    let group = Group {
        members: told,
        stop: told
            .iter()
            .rfind(|member| Some(member.index) == stop)
            .copied(),
        stop_status: draft.stop.and_then(|stop| stop.status),
        enterprise: prt == Prt::Enterprise,
        survey,
    };
    let evidence = group.evidence();
    let first_failure = group.first_failure();
    let outcome = outcome(&group, &evidence);
    Window {
        operation: draft.operation,
        prt,
        start: edge(start),
        start_event,
        began: time(draft.start, start_event),
        end: edge(stop),
        end_event,
        ended: time(draft.stop, end_event),
        pairing: draft.pairing,
        members,
        related,
        outcome,
        recovered: outcome == Outcome::Succeeded && group.has_failed(),
        first_failure,
        only_stop_failed: first_failure.is_some() && first_failure == stop,
        decisive: match outcome {
            Outcome::Succeeded => None,
            _ => evidence.decisive(),
        },
        evidence,
    }
}

/// Whether the AD FS token is all that these events give a status for.
fn is_enterprise_only(members: &[Told<'_>]) -> bool {
    let of_entra = |id: u32| {
        matches!(
            id,
            id::LOGON_FAILURE | id::REALM_FAILURE | id::KEYS_FAILURE | id::REFRESH_FAILURE
                ..=id::REFRESH_EXPIRED
                    | id::REFRESH_SUBJECT_MISMATCH
                    | id::SESSION_KEY_FAILURE
                    | id::GET_TOKEN_DIAGNOSTIC
                    | id::REFRESH_DIAGNOSTIC
        ) || id::LOGON_FAILURES.contains(&id)
    };
    let mut ids = members.iter().map(|member| member.id);
    ids.clone().any(evidence::is_enterprise) && !ids.any(of_entra)
}

fn outcome(group: &Group<'_, '_>, evidence: &Evidence<'_>) -> Outcome {
    let decides = |index: usize| {
        group.member(index).is_some_and(|member| {
            group.stop.is_some_and(|stop| stop.index == index)
                || matches!(
                    member.id,
                    id::GET_TOKEN_DIAGNOSTIC..=id::ENTERPRISE_REFRESH_DIAGNOSTIC
                )
        })
    };
    if let Some(status) = evidence
        .status
        .as_ref()
        .filter(|status| decides(status.event()))
    {
        return match status.value.0 {
            0 => Outcome::Succeeded,
            _ => Outcome::Failed,
        };
    }
    let terminal = |member: &Told<'_>| match member.id {
        id::API_ERROR => evidence::is_get_token_call(member.event),
        id::ENTERPRISE_REFRESH_FAILURE | id::ENTERPRISE_LOGON_FAILURE | id::ENTERPRISE_EXPIRED => {
            group.enterprise
        }
        id::LOGON_FAILURE
        | id::REFRESH_FAILURE..=id::REFRESH_EXPIRED
        | id::REFRESH_SUBJECT_MISMATCH => true,
        other => id::LOGON_FAILURES.contains(&other),
    };
    match group.members.iter().any(terminal) {
        true => Outcome::Failed,
        false => Outcome::Incomplete,
    }
}
