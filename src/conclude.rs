//! A machine's events → everything that is concluded from them: windows, registration runs, how
//! they are linked, and the state of each strand.

pub mod answers;
pub mod diagnosis;
pub mod evidence;
mod index;
pub mod registration;
pub mod state;
pub mod token;
pub mod window;

use crate::event::{Event, id};
use crate::facts::Role;
use crate::facts::code::Code;
use chrono::{DateTime, TimeDelta, Utc};
use diagnosis::{Diagnosis, ONLINE_SOON, WindowFacts};
use index::Survey;
use rayon::prelude::*;
use registration::{Run, RunOutcome};
use state::{State, User};
use std::collections::HashMap;
use uuid::Uuid;
use window::{Mark, Outcome, Prt, Window};

/// A run and a window this close are shown as being at the same time.
const SAME_TIME: TimeDelta = TimeDelta::minutes(5);
/// Of more runs in the same minutes the time tells nothing.
const MOST_AT_THE_SAME_TIME: usize = 4;
/// How many runs before a window are looked at for that.
const LOOKED_AT: usize = 64;

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

/// What a diagnosis is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Index of a window.
    Window(usize),
    /// Index of a run.
    Run(usize),
    /// A user's failing token requests.
    TokenRequest {
        /// Index of the user.
        user: usize,
        /// Index among the user's requests.
        request: usize,
    },
}

/// Everything that is concluded from a machine's events.
#[derive(Debug)]
pub struct Analysis<'e> {
    /// Windows by their start.
    pub windows: Vec<Window<'e>>,
    /// Registration runs by their start.
    pub runs: Vec<Run>,
    /// What each window means; nothing of one that succeeded at once.
    pub diagnoses: Vec<Option<Box<Diagnosis>>>,
    /// What each run means.
    pub run_diagnoses: Vec<Option<Diagnosis>>,
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
    /// What the machine's state means, and what says so.
    pub diagnosis: Option<(Diagnosis, Option<Subject>)>,
    /// What each event is.
    pub marks: Vec<Mark>,
    /// Failing events that belong to no window or run.
    pub other_failures: Vec<usize>,
    /// The events that name an ID of the device, with the ID, in order.
    pub device_ids: Vec<(usize, Uuid)>,
    /// The events that name an ID of its tenant.
    pub tenant_ids: Vec<(usize, Uuid)>,
}

impl Analysis<'_> {
    /// What an event is.
    pub fn mark(&self, event: usize) -> Mark {
        self.marks.get(event).copied().unwrap_or_default()
    }
}

/// Concludes all that can be concluded from a machine's events, which are in total order.
pub fn analyze(events: &[Event]) -> Analysis<'_> {
    let survey = Survey::of(events);
    let window::Windows { windows, mut marks } = window::windows(events, &survey);
    let runs = registration::runs(events, &survey.lists.registration, &marks);
    for member in runs.iter().flat_map(|run| &run.members) {
        if let Some(mark) = marks.get_mut(member.event()) {
            mark.placed = true;
        }
    }
    let each = marks.iter().enumerate();
    let other_failures = each
        .filter(|(_, mark)| mark.failure && !mark.placed)
        .map(|(index, _)| index)
        .collect();
    let users = state::users(events, &survey.lists.broker, &windows);
    let registration = state::registration(&runs);
    let worst = users
        .iter()
        .map(|user| user.state)
        .chain([registration])
        .max();
    let registered = registered(events, &survey, &windows, &runs);
    let links_of_windows = links(events, &windows, &runs, &registered);
    let diagnoses = diagnose(events, &windows, &users, &registered);
    let mut links_of_runs: Vec<Vec<Link>> = vec![Vec::new(); runs.len()];
    for link in links_of_windows.iter().flatten() {
        if let Some(of_run) = links_of_runs.get_mut(link.run) {
            of_run.push(*link);
        }
    }
    let run_diagnoses: Vec<_> = runs
        .iter()
        .map(|run| diagnosis::of_run(events, run))
        .collect();
    let state = worst.unwrap_or(State::NoEvidence);
    Analysis {
        diagnosis: of_machine(&Concluded {
            events,
            survey: &survey,
            state,
            registration,
            users: &users,
            windows: &windows,
            diagnoses: &diagnoses,
            runs: &runs,
            run_diagnoses: &run_diagnoses,
        }),
        diagnoses,
        run_diagnoses,
        links_of_windows,
        links_of_runs,
        state,
        registration,
        users,
        windows,
        runs,
        marks,
        other_failures,
        device_ids: survey.lists.device_ids,
        tenant_ids: survey.lists.tenant_ids,
    }
}

/// The links of each window.
fn links(
    events: &[Event],
    windows: &[Window<'_>],
    runs: &[Run],
    registered: &[Registered],
) -> Vec<Vec<Link>> {
    let extents: Vec<_> = runs.iter().map(|run| run_extent(events, run)).collect();
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
    for (number, (window, registered)) in windows.iter().zip(registered).enumerate() {
        let (start, end) = (window.began, window.ended);
        let mut linked: Vec<(usize, Reason)> = Vec::new();
        linked.extend(registered.run.map(|run| (run, Reason::Explains)));
        // Backwards from the last run that begins in time: the nearest ones.
        let begun = extents.partition_point(|extent| {
            extent.is_some_and(|(run_start, _)| run_start <= end + SAME_TIME)
        });
        let looked_at = extents.iter().enumerate().take(begun).rev().take(LOOKED_AT);
        let near = looked_at
            .filter(|(_, extent)| extent.is_some_and(|(_, run_end)| run_end >= start - SAME_TIME));
        let near = near.take(MOST_AT_THE_SAME_TIME);
        linked.extend(near.map(|(run, _)| (run, Reason::Time)));
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

fn run_extent(events: &[Event], run: &Run) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let time = |index: usize| events.get(index).map(|event| event.time());
    let (first, last) = (run.members.first()?, run.members.last()?);
    Some((time(first.event())?, time(last.event())?))
}

/// What registration evidence says of the device.
#[derive(Clone, Copy)]
enum Says {
    /// And whether it was just then.
    Joined(bool),
    /// With the failed run, where it is one that says so.
    NotJoined(Option<usize>),
}

/// What the newest telling registration evidence before a window says.
#[derive(Clone, Copy, Default)]
struct Registered {
    /// The failed run that explains the window.
    run: Option<usize>,
    /// Whether the device was said to be joined.
    joined: bool,
    /// When it was registered.
    registered: Option<DateTime<Utc>>,
}

/// For each window what the registration evidence before it says.
fn registered(
    events: &[Event],
    survey: &Survey,
    windows: &[Window<'_>],
    runs: &[Run],
) -> Vec<Registered> {
    // (place in the total order, what it says)
    let mut evidence: Vec<(usize, Says)> = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let says = match run.outcome {
            RunOutcome::Failed => Says::NotJoined(Some(number)),
            RunOutcome::Succeeded => Says::Joined(true),
            RunOutcome::AlreadyJoined => Says::Joined(false),
            // These tell nothing of the device.
            RunOutcome::NotPossible | RunOutcome::Silent => continue,
        };
        if let Some(last) = run.members.last() {
            evidence.push((last.event(), says));
        }
    }
    let left = survey
        .lists
        .registration
        .iter()
        .filter(|place| events.get(**place as usize).is_some_and(leaves));
    for place in left.chain(&survey.lists.not_joined) {
        evidence.push((*place as usize, Says::NotJoined(None)));
    }
    evidence.sort_by_key(|(place, _)| *place);
    let mut coming = evidence.into_iter().peekable();
    let mut now = Registered::default();
    windows
        .iter()
        .map(|window| {
            while let Some((place, says)) = coming.next_if(|(place, _)| *place < window.start_event)
            {
                now = match says {
                    Says::Joined(just) => Registered {
                        run: None,
                        joined: true,
                        registered: events
                            .get(place)
                            .map(|event| event.time())
                            .filter(|_| just)
                            .or(now.registered),
                    },
                    Says::NotJoined(newer) => Registered {
                        run: newer.or(now.run),
                        joined: false,
                        registered: None,
                    },
                };
            }
            Registered {
                run: now.run.filter(|_| failed_for_the_device(events, window)),
                ..now
            }
        })
        .collect()
}

/// Whether an event of device registration says that the device is registered no more.
fn leaves(event: &Event) -> bool {
    matches!(event.event_id, id::REGISTRATION_CLEARED | id::UNREGISTERED)
}

/// What each window means.
fn diagnose(
    events: &[Event],
    windows: &[Window<'_>],
    users: &[User],
    registered: &[Registered],
) -> Vec<Option<Box<Diagnosis>>> {
    let mut successes: Vec<Vec<DateTime<Utc>>> = vec![Vec::new(); users.len()];
    let mut user_of: Vec<Option<usize>> = vec![None; windows.len()];
    for (number, user) in users.iter().enumerate() {
        for &window in &user.windows {
            if let Some(of) = user_of.get_mut(window) {
                *of = Some(number);
            }
            let of = windows
                .get(window)
                .filter(|window| window.outcome == Outcome::Succeeded);
            if let Some(of_user) = successes.get_mut(number) {
                of_user.extend(of.map(|window| window.ended));
            }
        }
    }
    for of_user in &mut successes {
        of_user.sort_unstable();
    }
    let first_success = successes
        .iter()
        .filter_map(|of_user| of_user.first())
        .min()
        .copied();
    let window_of_user = windows.par_iter().zip(&user_of).zip(registered);
    let of_window = |((window, user), registered): ((&Window<'_>, &Option<usize>), &Registered)| {
        let of_user = user.and_then(|user| successes.get(user));
        let (before, soon) = of_user.map_or((false, false), |of_user| {
            let next = of_user.partition_point(|success| *success <= window.ended);
            let next = of_user.get(next);
            (
                of_user.first().is_some_and(|first| *first < window.began),
                next.is_some_and(|next| *next - window.ended <= ONLINE_SOON),
            )
        });
        let diagnosis = diagnosis::of_window(&WindowFacts {
            events,
            window,
            explained: registered.run.is_some(),
            joined: registered.joined,
            registered: registered.registered,
            // A refresh most often names no user: then anyone's earlier token may be the one.
            renews: before
                || names_nobody(window) && first_success.is_some_and(|first| first < window.began),
            succeeded_before: before,
            succeeded_soon: soon,
        });
        diagnosis.map(Box::new)
    };
    let diagnoses = window_of_user.with_min_len(window::SHARE).map(of_window);
    diagnoses.collect()
}

fn names_nobody(window: &Window<'_>) -> bool {
    window.evidence.upn.is_none() && window.evidence.user_sid.is_none()
}

/// What was concluded before the machine's diagnosis.
struct Concluded<'a> {
    events: &'a [Event],
    survey: &'a Survey,
    state: State,
    registration: State,
    users: &'a [User],
    windows: &'a [Window<'a>],
    diagnoses: &'a [Option<Box<Diagnosis>>],
    runs: &'a [Run],
    run_diagnoses: &'a [Option<Diagnosis>],
}

impl Concluded<'_> {
    /// The newest failed window of the strands in a state, of the Entra token if there is one.
    fn newest_window(&self, state: State) -> Option<(Diagnosis, Option<Subject>)> {
        let newest = |prt| {
            let strands = self.users.iter();
            let strands = strands.filter(|user| user.state == state && user.prt == prt);
            let numbers = strands.flat_map(|user| user.windows.iter().copied());
            numbers
                .filter(|number| {
                    let window = self.windows.get(*number);
                    window.is_some_and(|window| window.outcome == Outcome::Failed)
                })
                .max()
        };
        let number = newest(Prt::Entra).or_else(|| newest(Prt::Enterprise))?;
        let found = self.diagnoses.get(number)?.clone()?;
        Some((*found, Some(Subject::Window(number))))
    }

    fn newest_run(&self, holds: impl Fn(&Run) -> bool) -> Option<(Diagnosis, Option<Subject>)> {
        let runs = self.runs.iter().zip(self.run_diagnoses).enumerate().rev();
        let mut found = runs.filter(|(_, (run, _))| holds(run));
        found.find_map(|(number, (_, means))| Some((means.clone()?, Some(Subject::Run(number)))))
    }
}

impl Concluded<'_> {
    /// Whether the newest word on the device is the plug-in's that it is not joined, and if so what
    /// the word before it was. On a machine that never joined the plug-in says so at every start.
    fn denied(&self) -> Option<Option<bool>> {
        let denied = *self.survey.lists.not_joined.last()? as usize;
        match self.newest_word() {
            Some((place, _)) if place > denied => None,
            newest => Some(newest.map(|(_, joined)| joined)),
        }
    }

    /// The newest word on whether the device is joined, the plug-in's denial aside, and its place.
    fn newest_word(&self) -> Option<(usize, bool)> {
        let runs = self.runs.iter().filter_map(|run| {
            let joined = match run.outcome {
                RunOutcome::Succeeded | RunOutcome::AlreadyJoined => true,
                RunOutcome::Failed => false,
                RunOutcome::NotPossible | RunOutcome::Silent => return None,
            };
            Some((run.members.last()?.event(), joined))
        });
        let windows = self.windows.iter();
        let windows = windows.filter(|window| window.outcome == Outcome::Succeeded);
        let windows = windows.map(|window| (window.end_event, true));
        let left = self.registration().filter(|(_, event)| leaves(event));
        let left = left.map(|(index, _)| (index, false));
        let joined = self.survey.lists.cloud_joined.last();
        let joined = joined.map(|place| (*place as usize, true));
        runs.chain(windows).chain(left).chain(joined).max()
    }

    /// Whether the plug-in of a joined device asked for no token while its Analytic log, which
    /// would show it, was on.
    fn never_attempted(&self) -> bool {
        let threads = self.survey.threads.iter();
        let plugin = threads.flat_map(|thread| &thread.events);
        let mut plugin = plugin.filter_map(|place| self.events.get(*place as usize));
        self.windows.is_empty()
            && self.denied().is_none()
            && self.newest_word().is_some_and(|(_, joined)| joined)
            && plugin.any(|event| event.channel.ends_with("/Analytic"))
    }

    /// The events of device registration, with their places.
    fn registration(&self) -> impl Iterator<Item = (usize, &Event)> {
        let places = self.survey.lists.registration.iter();
        places.filter_map(|place| Some((*place as usize, self.events.get(*place as usize)?)))
    }
}

/// What a machine's state means: the newest evidence of its worst strand.
fn of_machine(concluded: &Concluded<'_>) -> Option<(Diagnosis, Option<Subject>)> {
    let Concluded {
        state,
        registration,
        users,
        ..
    } = *concluded;
    let any = |holds: &dyn Fn(&Event) -> bool| {
        let mut events = concluded.registration();
        events.any(|(_, event)| holds(event))
    };
    let has = |wanted: u32| any(&|event| event.event_id == wanted);
    let finding = |cause, because| Some((diagnosis::named(cause, because, None, None)?, None));
    // Whose token is healthy is asked of themselves. An account of which no window tells may be the
    // administrator's: its requests count only after the last token of a user without a SID.
    let unmatched = users.iter().filter(|user| user.sids.is_empty());
    let unmatched = unmatched.filter_map(|user| user.last_success).max();
    let in_vain = users
        .iter()
        .enumerate()
        .filter_map(|(number, user)| {
            let requests = user.token_requests.iter().enumerate();
            let (request, newest) = requests.max_by_key(|(_, request)| request.last)?;
            let subject = Subject::TokenRequest {
                user: number,
                request,
            };
            let success = user.last_success.or(unmatched)?;
            (newest.last >= success).then_some((user, newest, subject))
        })
        .max_by_key(|(_, request, _)| request.last);
    let has_token = users.iter().any(|user| user.last_success.is_some());
    match state {
        State::Failing => concluded
            .newest_window(State::Failing)
            .or_else(|| match registration {
                // Runs after it that could not be or left nothing are no failures.
                State::Failing => concluded.newest_run(|run| run.outcome == RunOutcome::Failed),
                _ => None,
            }),
        State::Healthy | State::Recovered if in_vain.is_some() => {
            let (user, request, subject) = in_vain?;
            // What the server said tells more than the broker's own code.
            let code = request.code.to_string();
            let code = request.aadsts.clone().unwrap_or(code);
            let because = "the PRT is healthy, and token requests fail";
            let user = Some(user.name.as_str()).filter(|name| *name != state::UNKNOWN);
            Some((
                diagnosis::named("wam_failing", because, Some(&code), user)?,
                Some(subject),
            ))
        }
        State::Recovered => concluded.newest_window(State::Recovered),
        State::Healthy | State::NoEvidence if has(id::DEVICE_KEY_GONE) => finding(
            "tpm_key_missing",
            "device registration lost the device's key (345)",
        ),
        State::Healthy | State::NoEvidence if has(id::DEVICE_KEY_LOCKED) => finding(
            "tpm_locked",
            "device registration could not use the device's key (344)",
        ),
        State::Healthy | State::NoEvidence if concluded.denied() == Some(Some(true)) => finding(
            "join_lost",
            "the plug-in says that the device is not joined (1089), after evidence that it is",
        ),
        State::Healthy | State::NoEvidence if !has_token && any(&signed_in_without_account) => {
            if concluded.denied().is_some() {
                let because = "308 or 360 says that the device is joined, and 1089 that it is not";
                return finding("join_unclear", because);
            }
            let because = "the device is joined, and the user signed in without an Entra account (308 or 360)";
            finding("no_entra_account", because)
        }
        State::Healthy if concluded.never_attempted() => finding(
            "never_attempted",
            "the device is joined, and the Analytic log shows no acquisition",
        ),
        State::Healthy => None,
        State::NoEvidence => {
            concluded
                .newest_run(|_| true)
                .or_else(|| match any(&says_not_domain_joined) {
                    true => finding("not_domain_joined", "the Workstation service says so (369)"),
                    false => None,
                })
        }
    }
}

/// 308, or 360 of a joined device without a PRT.
fn signed_in_without_account(event: &Event) -> bool {
    let flag = |field: &str| event.data().get(field);
    match event.event_id {
        id::NO_ENTRA_ACCOUNT => true,
        id::HELLO_NOT_STARTED => {
            flag("AADPrt") == Some("No") && flag("DeviceIsJoined") == Some("Yes")
        }
        _ => false,
    }
}

fn says_not_domain_joined(event: &Event) -> bool {
    event.event_id == id::SERVICE_MESSAGE
        && event
            .value(Role::Message)
            .is_some_and(|words| words.contains("PC is NOT domain joined"))
}

/// Whether a window failed because of the device.
fn failed_for_the_device(events: &[Event], window: &Window<'_>) -> bool {
    let rejected = window.evidence.server.as_ref().is_some_and(|server| {
        let codes = server.value.code.iter().chain(&server.value.also);
        codes.into_iter().any(|code| code == DEVICE_REJECTED)
    });
    let by_member = || {
        window.members.iter().any(|member| {
            events.get(member.event()).is_some_and(|event| {
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
