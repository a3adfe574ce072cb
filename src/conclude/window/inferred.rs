//! Windows without a boundary, as the operational log alone holds them.

use super::{Claim, Draft, LONGEST, Number, Operation, Via};
use crate::conclude::evidence;
use crate::conclude::index::{IdNumber, Place, Survey};
use crate::event::{Event, id};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use uuid::Uuid;

/// Events of one thread without any ID belong together if less than this lies between them.
const MOMENT: TimeDelta = TimeDelta::seconds(2);

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
    members: Vec<Place>,
    correlation_id: Option<IdNumber>,
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
pub(super) fn infer_windows(
    events: &[Event],
    survey: &Survey,
    drafts: &mut Vec<Draft>,
    claims: &mut [Claim],
) {
    let mut groups: Vec<Loose> = Vec::new();
    let mut by_id: HashMap<IdNumber, usize> = HashMap::new();
    let mut by_activity: HashMap<Uuid, usize> = HashMap::new();
    let mut by_thread: HashMap<(Option<u32>, Option<u32>), usize> = HashMap::new();
    let free = (0..).zip(claims.iter());
    let free = free.filter(|(_, claim)| **claim == Claim::Free);
    for (place, _) in free {
        // What runs after a token operation is none of it.
        if matches!(
            survey.event_id(place as usize),
            None | Some(
                id::GET_KEYS_START | id::GET_KEYS_STOP | id::POST_LOGON_START | id::POST_LOGON_STOP
            )
        ) {
            continue;
        }
        let Some(event) = events.get(place as usize) else {
            continue;
        };
        let id = survey.ids.of(place as usize);
        let thread = (event.process_id(), event.thread_id());
        let within = |number: Option<&usize>, groups: &[Loose], gap: TimeDelta| {
            let number = resolve(groups, *number?);
            let group = groups.get(number)?;
            (event.time() - group.last < gap).then_some(number)
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
        let repeated = evidence::repeats(event, || survey.before(events, place));
        if let Some(group) = groups.get_mut(number) {
            group.members.push(place);
            group.correlation_id = group.correlation_id.or(id);
            group.last = event.time();
            group.tells |= tells_of_operation(event) && !repeated;
            if let Some(activity) = event.activity_id() {
                *group.activities.entry(activity).or_default() += 1;
            }
        }
    }
    for group in groups {
        if group.tells && group.joined.is_none() {
            claim_loose(events, survey, group, drafts, claims);
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

fn claim_loose(
    events: &[Event],
    survey: &Survey,
    mut group: Loose,
    drafts: &mut Vec<Draft>,
    claims: &mut [Claim],
) {
    group.members.sort_unstable();
    let Ok(number) = Number::try_from(drafts.len()) else {
        return;
    };
    let members = || group.members.iter().map(|place| *place as usize);
    let members = || members().filter_map(|index| Some((index, events.get(index)?)));
    let refresh = members().any(|(_, event)| {
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
    let has_thread = members().all(|(_, event)| event.thread_id().is_some());
    let by_thread = if has_thread { Via::Thread } else { Via::Time };
    let pairing = match group.correlation_id {
        Some(_) => Via::Correlation,
        None if group.is_one_activity() => Via::Activity,
        None => by_thread,
    };
    for (index, event) in members() {
        let via = match survey.ids.of(index) {
            Some(_) => Via::Correlation,
            None if event.activity_id().is_some() => Via::Activity,
            None => by_thread,
        };
        if let Some(claim) = claims.get_mut(index) {
            *claim = Claim::Member(number, via);
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
