//! The state of each strand: the registration, and the token of each user.
//!
//! Only a later success of the same strand and user makes up for a failure. The administrator who
//! collected the logs has a token of their own, which says nothing of the user's.

use crate::base::identity::folded;
use crate::conclude::index::Place;
use crate::conclude::registration::{Run, RunOutcome};
use crate::conclude::token::TokenRequest;
use crate::conclude::window::{Outcome, Prt, Window};
use crate::event::{Event, is_user};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How a strand stands, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing tells.
    NoEvidence,
    /// It works, and always has.
    Healthy,
    /// It failed, and works since.
    Recovered,
    /// It fails.
    Failing,
}

impl State {
    /// The state after another success or failure.
    fn then(self, succeeded: bool) -> State {
        match (self, succeeded) {
            (_, false) => State::Failing,
            (State::NoEvidence | State::Healthy, true) => State::Healthy,
            (State::Recovered | State::Failing, true) => State::Recovered,
        }
    }
}

/// What stands for the user of windows that name none.
pub const UNKNOWN: &str = "unknown";

/// A user's token.
#[derive(Clone, Debug)]
pub struct User {
    /// The user principal name, else the SID, else [`UNKNOWN`].
    pub name: String,
    /// Whose token it is: that of AD FS is a strand of its own.
    pub prt: Prt,
    /// How it stands.
    pub state: State,
    /// End of the last success.
    pub last_success: Option<DateTime<Utc>>,
    /// End of the last failure.
    pub last_failure: Option<DateTime<Utc>>,
    /// The SIDs that windows give the user.
    pub sids: BTreeSet<String>,
    /// Indices of the windows.
    pub windows: Vec<usize>,
    /// What the token broker asked for in vain.
    pub token_requests: Vec<TokenRequest>,
}

impl User {
    fn new(name: String, prt: Prt) -> User {
        User {
            name,
            prt,
            state: State::NoEvidence,
            last_success: None,
            last_failure: None,
            sids: BTreeSet::new(),
            windows: Vec::new(),
            token_requests: Vec::new(),
        }
    }
}

/// The users by name, the unknown one last. `broker` are the places of the token broker's events.
pub(crate) fn users(events: &[Event], broker: &[Place], windows: &[Window<'_>]) -> Vec<User> {
    let upn = |window: &Window<'_>| Some(folded(window.evidence.upn.as_ref()?.value));
    // A SID is a user's where one window names both.
    let known: HashMap<&str, String> = windows
        .iter()
        .filter_map(|window| Some((sid(window)?, upn(window)?)))
        .collect();
    let of_sid = |sid: &str| known.get(sid).map_or(sid, String::as_str).to_owned();
    let mut users: BTreeMap<(bool, String, bool), User> = BTreeMap::new();
    let mut before: Option<&Window<'_>> = None;
    let mut key = (true, String::new(), false);
    for (number, window) in windows.iter().enumerate() {
        // Most often it is the same user as before.
        let is_other = !before.is_some_and(|before| have_one_user(before, window));
        if is_other {
            let name = upn(window).or_else(|| sid(window).map(of_sid));
            let is_unknown = name.is_none();
            let name = name.unwrap_or_else(|| UNKNOWN.to_owned());
            key = (is_unknown, name.clone(), window.prt == Prt::Enterprise);
            let user = users.entry(key.clone());
            user.or_insert_with(|| User::new(name, window.prt));
        }
        before = Some(window);
        if let Some(user) = users.get_mut(&key) {
            if let Some(sid) = sid(window).filter(|_| is_other) {
                user.sids.insert(sid.to_owned());
            }
            user.windows.push(number);
        }
    }
    let mut places: HashMap<(String, [Option<String>; 5]), usize> = HashMap::new();
    for place in broker {
        let index = *place as usize;
        let Some(event) = events.get(index) else {
            continue;
        };
        let Some(request) = TokenRequest::read(index, event) else {
            continue;
        };
        let sid = event.user_sid.as_deref().filter(|sid| is_user(sid));
        let name = sid.map_or_else(|| UNKNOWN.to_owned(), of_sid);
        let key = (sid.is_none(), name, false);
        let user = users
            .entry(key)
            .or_insert_with_key(|(_, name, _)| User::new(name.clone(), Prt::Entra));
        let next = user.token_requests.len();
        let place = *places
            .entry((user.name.clone(), request.what()))
            .or_insert(next);
        match user.token_requests.get_mut(place) {
            Some(known) => known.repeat(&request),
            None => user.token_requests.push(request),
        }
    }
    let mut users: Vec<User> = users.into_values().collect();
    for user in &mut users {
        // By their end: of two windows that overlap the later end is the later word.
        let ended = user.windows.iter();
        let mut ended: Vec<&Window<'_>> = ended.filter_map(|number| windows.get(*number)).collect();
        ended.sort_by_key(|window| window.end_event);
        for window in ended {
            match window.outcome {
                Outcome::Succeeded => user.last_success = Some(window.ended),
                Outcome::Failed => user.last_failure = Some(window.ended),
                Outcome::Incomplete => continue,
            }
            user.state = user.state.then(window.outcome == Outcome::Succeeded);
        }
    }
    users
}

fn sid<'e>(window: &Window<'e>) -> Option<&'e str> {
    Some(window.evidence.user_sid.as_ref()?.value)
}

/// Whether two windows name one user by the same names, and are about one token.
fn have_one_user(a: &Window<'_>, b: &Window<'_>) -> bool {
    let (upn, other) = (&a.evidence.upn, &b.evidence.upn);
    let same_upn = upn.as_ref().map(|upn| upn.value) == other.as_ref().map(|upn| upn.value);
    a.prt == b.prt && same_upn && sid(a) == sid(b)
}

/// The state of the registration. Runs that could not be or left nothing say neither.
pub fn registration(runs: &[Run]) -> State {
    runs.iter()
        .fold(State::NoEvidence, |state, run| match run.outcome {
            RunOutcome::Succeeded | RunOutcome::AlreadyJoined => state.then(true),
            RunOutcome::Failed => state.then(false),
            RunOutcome::NotPossible | RunOutcome::Silent => state,
        })
}
