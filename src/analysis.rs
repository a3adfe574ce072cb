//! A machine's events → everything that is concluded from them: windows, registration runs, how
//! they are linked, and the state of each strand.

use crate::code::Code;
use crate::event::{Event, id};
use crate::evidence;
use crate::knowledge::Role;
use crate::registration::{self, Run, RunOutcome};
use crate::state::{self, State, User};
use crate::window::{self, Outcome, Window};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use uuid::Uuid;

/// A run and a window this close are shown as being at the same time.
const SAME_TIME: TimeDelta = TimeDelta::minutes(5);

/// Entra ID could not authenticate the device.
const DEVICE_REJECTED: &str = "AADSTS50155";
/// The device is not joined, says the plug-in.
const DEVICE_NOT_JOINED: Code = Code(0xc004_84b2);

/// Why a run and a window are linked, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// They name one request.
    Correlation,
    /// The run failed, and the window for want of the registration.
    Explains,
    /// They fall in the same minutes, no more.
    Time,
}

/// A run and a window that have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index of the window.
    pub window: usize,
    /// Index of the run.
    pub run: usize,
    /// Why.
    pub reason: Reason,
}

/// Everything that is concluded from a machine's events.
#[derive(Debug)]
pub struct Analysis {
    /// Windows by their start.
    pub windows: Vec<Window>,
    /// Registration runs by their start.
    pub runs: Vec<Run>,
    /// The links of each window, by run.
    pub links_of_windows: Vec<Vec<Link>>,
    /// The links of each run, by window.
    pub links_of_runs: Vec<Vec<Link>>,
    /// The users whose tokens the windows are about, and their states.
    pub users: Vec<User>,
    /// The state of the registration.
    pub registration: State,
    /// The worst of all states.
    pub state: State,
    /// Whether each event is a failure.
    pub failures: Vec<bool>,
    /// Why an event that looks like a failure is none.
    pub housekeeping: Vec<Option<&'static str>>,
    /// Failing events that belong to no window or run.
    pub other_failures: Vec<usize>,
}

/// Concludes all that can be concluded from a machine's events, which are in total order.
pub fn analyze(events: &[Event]) -> Analysis {
    let window::Windows {
        windows,
        failures,
        housekeeping,
        mut placed,
    } = window::windows(events);
    let runs = registration::runs(events, &failures);
    for member in runs.iter().flat_map(|run| &run.members) {
        if let Some(placed) = placed.get_mut(member.event) {
            *placed = true;
        }
    }
    let other_failures = failures
        .iter()
        .zip(&placed)
        .enumerate()
        .filter(|(_, (fails, placed))| **fails && !**placed)
        .map(|(index, _)| index)
        .collect();
    let users = state::users(events, &windows);
    let registration = state::registration(&runs);
    let worst = users
        .iter()
        .map(|user| user.state)
        .chain([registration])
        .max();
    let links_of_windows = links(events, &windows, &runs);
    let mut links_of_runs: Vec<Vec<Link>> = vec![Vec::new(); runs.len()];
    for link in links_of_windows.iter().flatten() {
        if let Some(of_run) = links_of_runs.get_mut(link.run) {
            of_run.push(*link);
        }
    }
    Analysis {
        links_of_windows,
        links_of_runs,
        state: worst.unwrap_or(State::NoEvidence),
        registration,
        users,
        windows,
        runs,
        failures,
        housekeeping,
        other_failures,
    }
}

/// The links of each window.
fn links(events: &[Event], windows: &[Window], runs: &[Run]) -> Vec<Vec<Link>> {
    let explained = explanations(events, windows, runs);
    let extents: Vec<_> = runs.iter().map(|run| run_extent(events, run)).collect();
    // Runs are sorted by their start, and none lasts long: those near a window stand together.
    let longest = extents
        .iter()
        .flatten()
        .map(|(start, end)| *end - *start)
        .max()
        .unwrap_or_default();
    let mut by_id: HashMap<Uuid, Vec<usize>> = HashMap::new();
    for (number, run) in runs.iter().enumerate() {
        for adal in run
            .attempts
            .iter()
            .filter_map(|attempt| attempt.adal.as_ref())
        {
            if let Some(id) = adal.value.correlation_id {
                by_id.entry(id).or_default().push(number);
            }
        }
    }
    let mut links = Vec::new();
    for (number, (window, explained)) in windows.iter().zip(explained).enumerate() {
        let Some((start, end)) = window_extent(events, window) else {
            links.push(Vec::new());
            continue;
        };
        let mut linked: Vec<(usize, Reason)> = Vec::new();
        linked.extend(explained.map(|run| (run, Reason::Explains)));
        let earliest = start - SAME_TIME - longest;
        let first = extents.partition_point(|extent| extent.is_some_and(|(s, _)| s < earliest));
        for (run, extent) in extents.iter().enumerate().skip(first) {
            let Some((run_start, run_end)) = extent else {
                continue;
            };
            if *run_start > end + SAME_TIME {
                break;
            }
            if *run_end >= start - SAME_TIME {
                linked.push((run, Reason::Time));
            }
        }
        let id = window.evidence.correlation_id.as_ref();
        let named = id.and_then(|id| by_id.get(&id.value)).into_iter().flatten();
        linked.extend(named.map(|run| (*run, Reason::Correlation)));
        // Of several reasons the strongest counts.
        linked.sort_unstable();
        linked.dedup_by_key(|(run, _)| *run);
        let link = |(run, reason)| Link {
            window: number,
            run,
            reason,
        };
        links.push(linked.into_iter().map(link).collect());
    }
    links
}

fn window_extent(events: &[Event], window: &Window) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let time = |index: usize| events.get(index).map(|event| event.time);
    Some((time(window.start_event)?, time(window.end_event)?))
}

fn run_extent(events: &[Event], run: &Run) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let time = |index: usize| events.get(index).map(|event| event.time);
    let (first, last) = (run.members.first()?, run.members.last()?);
    Some((time(first.event)?, time(last.event)?))
}

/// What registration evidence says of the device.
#[derive(Clone, Copy)]
enum Says {
    Joined,
    /// With the failed run, where it is one that says so.
    NotJoined(Option<usize>),
}

/// For each window the failed run that explains it: the newest telling evidence before the window
/// says that the device is not joined, and the window failed for that.
fn explanations(events: &[Event], windows: &[Window], runs: &[Run]) -> Vec<Option<usize>> {
    // (place in the total order, what it says)
    let mut evidence: Vec<(usize, Says)> = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let says = match run.outcome {
            RunOutcome::Failed => Says::NotJoined(Some(number)),
            RunOutcome::Succeeded | RunOutcome::AlreadyJoined => Says::Joined,
            // These tell nothing of the device.
            RunOutcome::NotPossible | RunOutcome::Silent => continue,
        };
        if let Some(last) = run.members.last() {
            evidence.push((last.event, says));
        }
    }
    for (index, event) in events.iter().enumerate() {
        let left = matches!(
            event.registration_id(),
            Some(id::REGISTRATION_CLEARED | id::UNREGISTERED)
        );
        if left || event.is(id::NOT_JOINED) {
            evidence.push((index, Says::NotJoined(None)));
        }
    }
    evidence.sort_by_key(|(place, _)| *place);
    let mut coming = evidence.into_iter().peekable();
    let mut run = None;
    windows
        .iter()
        .map(|window| {
            while let Some((_, says)) = coming.next_if(|(place, _)| *place < window.start_event) {
                run = match says {
                    Says::Joined => None,
                    Says::NotJoined(newer) => newer.or(run),
                };
            }
            run.filter(|_| failed_for_the_device(events, window))
        })
        .collect()
}

/// Whether a window failed because of the device.
fn failed_for_the_device(events: &[Event], window: &Window) -> bool {
    let rejected = window.evidence.server.as_ref().is_some_and(|server| {
        let codes = server.value.code.iter().chain(&server.value.also);
        codes.into_iter().any(|code| code == DEVICE_REJECTED)
    });
    let by_member = || {
        window.members.iter().any(|member| {
            events.get(member.event).is_some_and(|event| {
                let code = event.code(Role::Status).map(Code::canonical);
                event.is(id::DEVICE_KEY_ERROR)
                    || event.is(id::DEVICE_CERTIFICATE_MISSING)
                    || code == Some(DEVICE_NOT_JOINED)
                    || code.is_some_and(|code| code.0 >> 16 == 0x801c)
                        && evidence::reports_failure(event)
            })
        })
    };
    window.outcome == Outcome::Failed && (rejected || by_member())
}
