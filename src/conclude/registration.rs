//! Events of User Device Registration → runs: one run is one try to register the device.
//!
//! One process is one run. The automatic run is `dsregcmd.exe` in the Automatic-Device-Join task; it
//! checks first whether it can and need be done, and may then make several attempts. An
//! interactive run is a user's, in Settings or out of the box.

use crate::conclude::answers::{self, Adal, Answer, Block, present};
use crate::conclude::evidence::{self, Decisive, DecisiveKind, Found};
use crate::conclude::index::Place;
use crate::conclude::window::{Mark, Member, Via};
use crate::event::{Event, id};
use crate::facts::Role;
use crate::facts::code::{Code, Family};
use chrono::TimeDelta;
use std::collections::BTreeMap;

/// The longest pause inside a run: a timeout may lie in it.
const PAUSE: TimeDelta = TimeDelta::minutes(15);
/// How long before a run the Workstation service may have started its task.
const TRIGGERED_WITHIN: TimeDelta = TimeDelta::minutes(2);
/// How soon the Workstation service says that starting the task failed.
const SAID_WITHIN: TimeDelta = TimeDelta::seconds(5);

/// What the Workstation service says when it starts the task, and when that failed.
const RUNNING: &str = "Running the task.";
const RUN_FAILED: &str = "IRegisteredTask_Run failed with code ";

/// Discovery failed, whatever the reason: the discovery callback has the error.
const DISCOVERY_CODES: [Code; 2] = [Code(0x801c_0021), Code(0x801c_003d)];

/// Who tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The Automatic-Device-Join task.
    Automatic,
    /// A user.
    Interactive,
}

/// How far a run or attempt got, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Whether the device can and need be joined.
    Precheck,
    /// Where the registration service is.
    Discover,
    /// A token for it.
    Auth,
    /// The request itself.
    Join,
    /// Leaving, as part of joining again.
    Leave,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// The device is registered.
    Succeeded,
    /// It is not.
    Failed,
    /// The pre-check found that it cannot be done here and now.
    NotPossible,
    /// The pre-check found that it was registered before.
    AlreadyJoined,
    /// The task was triggered or ran, and nothing says how it ended.
    Silent,
}

/// An answer and the HTTP status that came with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerAnswer {
    /// What the service said.
    pub answer: Answer,
    /// The HTTP status.
    pub http_status: Option<u32>,
}

/// What `join_type` says of a Kerberos attempt, and how a 304 spells it.
const KERBEROS: &str = "kerberos";
const KERBEROS_JOIN_TYPE: &str = "kerb";

/// One attempt of a run: what a 304 sums up.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// Index of the 304 that sums it up, if it was logged.
    pub summary: Option<usize>,
    /// Kind of registration: `kerberos`, `fed`, `sync`, `fallback_sync`, …
    pub join_type: Option<String>,
    /// How far it got.
    pub phase: Option<Phase>,
    /// What it ended with.
    pub exit_code: Option<Found<Code>>,
    /// What the exit code wraps.
    pub sub_error: Option<Found<Code>>,
    /// What the service answered.
    pub server: Option<Found<ServerAnswer>>,
    /// What the token library said.
    pub adal: Option<Found<Adal>>,
    /// Whether it registered the device.
    pub succeeded: bool,
}

impl Attempt {
    /// Whether it asked for a Kerberos ticket: a 420, its 304, or both.
    pub(crate) fn is_kerberos(&self) -> bool {
        self.join_type.as_deref() == Some(KERBEROS)
    }
}

/// One try to register the device.
#[derive(Clone, Debug)]
pub struct Run {
    /// Who tried.
    pub kind: Kind,
    /// The process; the Workstation service's where only that spoke.
    pub process_id: Option<u32>,
    /// Its events in total order.
    pub members: Vec<Member>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// How far it got.
    pub phase: Option<Phase>,
    /// Index of the first failing event.
    pub first_failure: Option<usize>,
    /// The attempts, in order.
    pub attempts: Vec<Attempt>,
    /// What the last attempt, or starting the task, ended with.
    pub exit_code: Option<Found<Code>>,
    /// The last account of the token library.
    pub adal: Option<Found<Adal>>,
    /// The Win32 error with which the computer object could not be read.
    pub win32: Option<Found<u32>>,
    /// Index of the discovery answer that a proxy wrote.
    pub proxy_page: Option<usize>,
    /// Tenant ID, else name.
    pub tenant: Option<String>,
    /// `Federated` or `Managed`.
    pub tenant_type: Option<String>,
    /// What the pre-check came to.
    pub pre_check: Option<String>,
    /// The code that decides; none unless the run failed or was silent.
    pub decisive: Option<Decisive>,
}

impl Run {
    /// The last attempt.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }
}

/// Finds the runs in a machine's events, which are in total order, by their start. `written` are
/// the places of those that device registration wrote.
pub(crate) fn runs(events: &[Event], written: &[Place], marks: &[Mark]) -> Vec<Run> {
    let written = || {
        let places = written.iter().map(|place| *place as usize);
        places.filter_map(|index| Some((index, events.get(index)?)))
    };
    let mut drafts = by_process(events, written());
    add_service(events, written(), &mut drafts);
    let mut runs: Vec<Run> = drafts
        .into_iter()
        .map(|draft| run(events, marks, draft))
        .collect();
    runs.sort_by_key(|run| run.members.first().map(|member| member.event()));
    runs
}

/// A run while its events are gathered.
struct Draft {
    kind: Kind,
    process_id: Option<u32>,
    own: Vec<usize>,
    service: Vec<usize>,
}

/// Whether only the automatic run writes this event. A 420 alone does not make a run: other tasks,
/// such as Device-Sync, ask for a ticket, too.
fn is_automatic(event_id: u32) -> bool {
    matches!(
        event_id,
        id::JOIN_FAILED..=id::AD_LOOKUP_FAILED
            | id::SERVICE_DISCOVERY_FAILED
            | id::PRE_CHECK..=id::ALREADY_JOINED
    )
}

/// Whether any run may write this event.
fn is_of_a_run(event_id: u32) -> bool {
    is_automatic(event_id)
        || event_id == id::KERBEROS_FAILED
        || id::REGISTRATION_STEPS.contains(&event_id)
        || id::REGISTRATION_DETAILS.contains(&event_id)
        || id::PROXY_SEARCH.contains(&event_id)
}

/// The runs by their processes, gaps up to [`PAUSE`].
fn by_process<'e>(
    events: &[Event],
    written: impl Iterator<Item = (usize, &'e Event)>,
) -> Vec<Draft> {
    let mut open: BTreeMap<Option<u32>, Vec<usize>> = BTreeMap::new();
    let mut drafts = Vec::new();
    let mut close = |process_id, own: Vec<usize>| drafts.extend(draft(events, process_id, own));
    for (index, event) in written {
        if !is_of_a_run(event.event_id) {
            continue;
        }
        let own = open.entry(event.process_id()).or_default();
        let last = own.last().and_then(|last| events.get(*last));
        if last.is_some_and(|last| event.time() - last.time() > PAUSE) {
            close(event.process_id(), std::mem::take(own));
        }
        own.push(index);
    }
    for (process_id, own) in open {
        close(process_id, own);
    }
    drafts
}

/// A run, if the process's events make one.
fn draft(events: &[Event], process_id: Option<u32>, own: Vec<usize>) -> Option<Draft> {
    const SYSTEM: &str = "S-1-5-18";
    let members = || own.iter().filter_map(|index| events.get(*index));
    let interactive = |event: &Event| {
        id::REGISTRATION_STEPS.contains(&event.event_id)
            || id::REGISTRATION_ERRORS.contains(&event.event_id)
    };
    // The task may read the computer's name in vain and leave nothing else.
    let name_lost = |event: &Event| {
        event.event_id == id::COMPUTER_NAME_UNREADABLE && event.user_sid.as_deref() == Some(SYSTEM)
    };
    let by_system = members().any(|event| event.user_sid.as_deref() == Some(SYSTEM));
    let kerberos = || members().any(|event| event.event_id == id::KERBEROS_FAILED);
    let kind = if members().any(|event| is_automatic(event.event_id)) {
        Kind::Automatic
    } else if members().any(interactive) {
        // The task's own events were lost.
        match by_system || kerberos() {
            true => Kind::Automatic,
            false => Kind::Interactive,
        }
    } else if members().any(name_lost) {
        Kind::Automatic
    } else {
        return None;
    };
    Some(Draft {
        kind,
        process_id,
        own,
        service: Vec::new(),
    })
}

/// Gives what the Workstation service said to the automatic run that begins soon after, and makes
/// a silent run of a task that was started and left nothing.
fn add_service<'e>(
    events: &[Event],
    written: impl Iterator<Item = (usize, &'e Event)>,
    drafts: &mut Vec<Draft>,
) {
    let time = |index: &usize| events.get(*index).map(|event| event.time());
    let mut begins: Vec<(usize, usize)> = drafts
        .iter()
        .enumerate()
        .filter(|(_, draft)| draft.kind == Kind::Automatic)
        .filter_map(|(number, draft)| Some((*draft.own.first()?, number)))
        .collect();
    begins.sort_unstable();
    // What no run took, by the service's process.
    let mut left: BTreeMap<Option<u32>, Vec<usize>> = BTreeMap::new();
    for (index, event) in written {
        if !matches!(event.event_id, id::SERVICE_MESSAGE | id::TASK_TRIGGERED) {
            continue;
        }
        let at = begins.partition_point(|(begin, _)| *begin < index);
        let next = begins.get(at).filter(|(begin, _)| {
            time(begin).is_some_and(|begin| begin - event.time() <= TRIGGERED_WITHIN)
        });
        match next.and_then(|(_, number)| drafts.get_mut(*number)) {
            Some(draft) => draft.service.push(index),
            None => left.entry(event.process_id()).or_default().push(index),
        }
    }
    for said in left.into_values() {
        silent_runs(events, &said, drafts);
    }
}

/// The silent runs in what one process of the service said: each trigger with the words around it.
fn silent_runs(events: &[Event], said: &[usize], drafts: &mut Vec<Draft>) {
    let event = |index: usize| events.get(index);
    let triggers = |index: usize| {
        event(index).is_some_and(|event| {
            event.event_id == id::TASK_TRIGGERED
                || event
                    .value(Role::Message)
                    .is_some_and(|words| words.contains(RUNNING))
        })
    };
    let close_to = |a: usize, b: usize| match (event(a), event(b)) {
        (Some(a), Some(b)) => (a.time() - b.time()).abs() <= SAID_WITHIN,
        _ => false,
    };
    let mut taken = 0;
    while let Some(trigger) = said
        .get(taken..)
        .and_then(|rest| rest.iter().position(|index| triggers(*index)))
    {
        let trigger = taken + trigger;
        let Some(&at) = said.get(trigger) else { break };
        let before = said.get(taken..trigger).unwrap_or(&[]);
        let start = before
            .iter()
            .rev()
            .take_while(|index| close_to(**index, at))
            .count();
        let after = said.get(trigger..).unwrap_or(&[]);
        let length = after
            .iter()
            .take_while(|index| close_to(**index, at))
            .count();
        taken = trigger + length.max(1);
        drafts.push(Draft {
            kind: Kind::Automatic,
            process_id: event(at).and_then(|event| event.process_id()),
            own: Vec::new(),
            service: said.get(trigger - start..taken).unwrap_or(&[]).to_vec(),
        });
    }
}

fn run(events: &[Event], marks: &[Mark], draft: Draft) -> Run {
    let event = |index: usize| events.get(index);
    let own = &draft.own;
    let fails = |index: &usize| marks.get(*index).is_some_and(|mark| mark.failure);
    let attempts = attempts(events, own, fails);
    let outcome = outcome(events, own, draft.kind, fails);
    let exit_code = match outcome {
        RunOutcome::Failed => attempts.last().and_then(|last| last.exit_code.clone()),
        RunOutcome::Silent => service_code(events, &draft.service),
        _ => None,
    };
    let of = |wanted: u32| {
        own.iter()
            .rev()
            .copied()
            .filter(move |index| event(*index).is_some_and(|event| event.event_id == wanted))
    };
    let block = |index: usize| Some(Block::read(event(index)?.value(Role::DebugOutput)?));
    let unfinished = matches!(outcome, RunOutcome::Failed | RunOutcome::NotPossible);
    let last_summary = attempts.iter().rfind(|attempt| attempt.summary.is_some());
    let phase = match last_summary {
        Some(attempt) => attempt.phase,
        None => furthest(events, own),
    };
    let tenant = of(id::JOIN_FAILED)
        .find_map(|index| block(index)?.get("tenantId").map(str::to_owned))
        .or_else(|| {
            of(id::AUTHENTICATION_FAILED)
                .find_map(|index| present(event(index)?.value(Role::TenantName)?))
                .map(str::to_owned)
        });
    let tenant_type = own.iter().rev().find_map(|index| {
        let event = event(*index)?;
        let field = event.value(Role::TenantType).and_then(present);
        let in_block = || Block::read(event.value(Role::DebugOutput)?).get("tenantType");
        field.or_else(in_block).map(str::to_owned)
    });
    let pre_check =
        of(id::PRE_CHECK).find_map(|index| block(index)?.get("preCheckResult").map(str::to_owned));
    let win32 = own.iter().rev().find_map(|&index| {
        Some(Found::new(
            evidence::computer_object_unreadable(event(index)?)?,
            index,
        ))
    });
    let proxy_page = of(id::DISCOVERY_FAILED).find(|index| {
        event(*index).is_some_and(|event| {
            event.number(Role::HttpStatus) == Some(200)
                && event.value(Role::ServerText).is_some_and(answers::is_page)
        })
    });
    let decisive = match outcome {
        RunOutcome::Failed => decisive(attempts.last(), exit_code.as_ref()),
        RunOutcome::Silent => decisive(None, exit_code.as_ref()),
        _ => None,
    };
    let mut members: Vec<Member> = Vec::with_capacity(own.len() + draft.service.len());
    let member = |via| move |&event: &usize| Member::new(event, via);
    members.extend(draft.service.iter().map(member(Via::Service)));
    members.extend(own.iter().map(member(Via::Process)));
    members.sort_by_key(|member| member.event());
    Run {
        kind: draft.kind,
        process_id: draft.process_id,
        members,
        outcome,
        phase: phase.filter(|_| unfinished),
        first_failure: first_failure(events, own, &attempts, fails),
        adal: attempts
            .iter()
            .rev()
            .find_map(|attempt| attempt.adal.clone()),
        attempts,
        exit_code,
        win32,
        proxy_page,
        tenant,
        tenant_type,
        pre_check,
        decisive,
    }
}

impl Phase {
    fn named(name: &str) -> Option<Phase> {
        match name.to_ascii_lowercase().as_str() {
            "precheck" => Some(Phase::Precheck),
            "discover" => Some(Phase::Discover),
            "auth" => Some(Phase::Auth),
            "join" => Some(Phase::Join),
            "leave" => Some(Phase::Leave),
            _ => None,
        }
    }

    /// The phase in which an event says that something failed.
    fn of(event: &Event) -> Option<Phase> {
        match event.event_id {
            id::PRE_CHECK => (pre_check_outcome(event) == Some(RunOutcome::NotPossible))
                .then_some(Phase::Precheck),
            id::NOT_SYSTEM | id::NO_DOMAIN_CONTROLLER => Some(Phase::Precheck),
            id::DISCOVERY_FAILED | id::AD_LOOKUP_FAILED | id::SERVICE_DISCOVERY_FAILED => {
                Some(Phase::Discover)
            }
            id::AUTHENTICATION_FAILED | id::KERBEROS_FAILED => Some(Phase::Auth),
            id::JOIN_REQUEST_FAILED | id::JOIN_RESPONSE_FAILED => Some(Phase::Join),
            // 304 sums up an attempt in any phase, whatever its text says.
            _ => None,
        }
    }
}

fn furthest(events: &[Event], own: &[usize]) -> Option<Phase> {
    own.iter()
        .filter_map(|index| Phase::of(events.get(*index)?))
        .max()
}

/// The last event that says how it ended decides.
fn outcome(
    events: &[Event],
    own: &[usize],
    kind: Kind,
    fails: impl Fn(&usize) -> bool,
) -> RunOutcome {
    let mut outcome = RunOutcome::Silent;
    for index in own {
        let Some(event) = events.get(*index) else {
            continue;
        };
        outcome = match (kind, event.event_id) {
            (Kind::Interactive, id::JOIN_COMPLETED | id::POST_JOIN_COMPLETED) => {
                RunOutcome::Succeeded
            }
            (Kind::Interactive, _) if fails(index) => RunOutcome::Failed,
            (Kind::Interactive, _) => outcome,
            (_, id::JOIN_SUCCEEDED) => RunOutcome::Succeeded,
            (_, id::ALREADY_JOINED) => RunOutcome::AlreadyJoined,
            (_, id::NOT_SYSTEM | id::NO_DOMAIN_CONTROLLER) => RunOutcome::NotPossible,
            (_, id::PRE_CHECK) => pre_check_outcome(event).unwrap_or(outcome),
            // A Kerberos attempt is usually followed by another.
            (_, id::KERBEROS_FAILED) if outcome != RunOutcome::Silent => outcome,
            (
                _,
                id::JOIN_FAILED
                | id::AUTHENTICATION_FAILED
                | id::AD_LOOKUP_FAILED
                | id::SERVICE_DISCOVERY_FAILED
                | id::KERBEROS_FAILED,
            ) => RunOutcome::Failed,
            // The steps decide where the summary was lost.
            (_, step) if id::REGISTRATION_ERRORS.contains(&step) && fails(index) => {
                RunOutcome::Failed
            }
            (_, id::JOIN_COMPLETED | id::POST_JOIN_COMPLETED) if outcome == RunOutcome::Silent => {
                RunOutcome::Succeeded
            }
            _ => outcome,
        };
    }
    outcome
}

fn pre_check_outcome(event: &Event) -> Option<RunOutcome> {
    let block = Block::read(event.value(Role::DebugOutput)?);
    let is = |key, word: &str| {
        block
            .get(key)
            .is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    if is("isJoined", "YES") {
        return Some(RunOutcome::AlreadyJoined);
    }
    let not_possible =
        is("isSystem", "NO") || is("isDcAvailable", "NO") || is("preCheckResult", "DoNotJoin");
    not_possible.then_some(RunOutcome::NotPossible)
}

/// The earliest failure; of a failed Kerberos attempt only if nothing else failed. The pre-check's
/// refusals are warnings, and the first failure of a run that ended with them.
fn first_failure(
    events: &[Event],
    own: &[usize],
    attempts: &[Attempt],
    fails: impl Fn(&usize) -> bool,
) -> Option<usize> {
    let id = |index: &usize| events.get(*index).map(|event| event.event_id);
    let kerberos_summary = |index: &usize| {
        let mut attempts = attempts.iter().filter(|attempt| attempt.is_kerberos());
        attempts.any(|attempt| attempt.summary == Some(*index))
    };
    let refuses =
        |index: &&usize| matches!(id(index), Some(id::NOT_SYSTEM | id::NO_DOMAIN_CONTROLLER));
    let failed = || own.iter().filter(|index| fails(index) || refuses(index));
    failed()
        .find(|index| id(index) != Some(id::KERBEROS_FAILED) && !kerberos_summary(index))
        .or_else(|| failed().next())
        .copied()
}

/// The code with which the Workstation service could not start the task.
fn service_code(events: &[Event], service: &[usize]) -> Option<Found<Code>> {
    service.iter().find_map(|&index| {
        let words = events.get(index)?.value(Role::Message)?;
        let (_, rest) = words.split_once(RUN_FAILED)?;
        let code = rest.split_whitespace().next()?.trim_end_matches('.');
        Some(Found::new(Code::parse(code)?, index))
    })
}

/// A run's events cut into attempts: each 304 sums one up. A 420 is one, together with its 304.
fn attempts(
    events: &[Event],
    own: &[usize],
    fails: impl Fn(&usize) -> bool + Copy,
) -> Vec<Attempt> {
    let kerberos = || Some(KERBEROS.to_owned());
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut part: Vec<usize> = Vec::new();
    // Where the part's 420 ends that no 304 has summed up yet.
    let mut ticket_failed: Option<usize> = None;
    for &index in own {
        let Some(event) = events.get(index) else {
            continue;
        };
        let join_type = match event.event_id {
            id::KERBEROS_FAILED => None,
            id::JOIN_FAILED => Some(join_type(event)),
            _ => {
                part.push(index);
                continue;
            }
        };
        let of_kerberos = join_type.as_ref().is_some_and(|join_type| {
            let since = ticket_failed.and_then(|end| part.get(end.saturating_sub(1)..));
            match join_type {
                Some(join_type) => join_type.eq_ignore_ascii_case(KERBEROS_JOIN_TYPE),
                None => {
                    since.is_some_and(|since| repeats_ticket_failure(events, since, event, fails))
                }
            }
        });
        // Another 420 or another attempt's 304 ends a Kerberos attempt whose own 304 is missing.
        if let Some(end) = ticket_failed.take().filter(|_| !of_kerberos) {
            let rest = part.split_off(end);
            attempts.push(attempt(events, &part, fails, kerberos()));
            part = rest;
        }
        part.push(index);
        match join_type {
            None => ticket_failed = Some(part.len()),
            Some(join_type) => {
                let join_type = if of_kerberos { kerberos() } else { join_type };
                attempts.push(attempt(events, &part, fails, join_type));
                part.clear();
            }
        }
    }
    if let Some(end) = ticket_failed {
        let rest = part.split_off(end);
        attempts.push(attempt(events, &part, fails, kerberos()));
        part = rest;
    }
    // What no 304 sums up: the attempt that succeeded, or one whose summary was lost.
    let last = attempt(events, &part, fails, None);
    // That the computer's name could not be read explains an attempt, and is none.
    let explains = |index: &&usize| {
        let event = events.get(**index);
        !attempts.is_empty()
            && event.is_some_and(|event| event.event_id == id::COMPUTER_NAME_UNREADABLE)
    };
    let fails = |index: &&usize| fails(index);
    if last.succeeded || part.iter().filter(fails).any(|index| !explains(&index)) {
        attempts.push(last);
    }
    attempts
}

/// Whether a 304 without a join type sums up the 420 that begins `since`: it repeats its code, and
/// nothing else failed in between.
fn repeats_ticket_failure(
    events: &[Event],
    since: &[usize],
    summary: &Event,
    fails: impl Fn(&usize) -> bool,
) -> bool {
    let Some((ticket, between)) = since.split_first() else {
        return false;
    };
    let code = events
        .get(*ticket)
        .and_then(|event| event.code(Role::Status));
    code.is_some() && code == summary.code(Role::Status) && !between.iter().any(fails)
}

/// What kind of registration a 304 sums up.
fn join_type(event: &Event) -> Option<String> {
    let field = event.value(Role::JoinType).and_then(present);
    let in_block = || Block::read(event.value(Role::DebugOutput)?).get("registrationType");
    field.or_else(in_block).map(str::to_owned)
}

fn attempt(
    events: &[Event],
    part: &[usize],
    fails: impl Fn(&usize) -> bool,
    join_type: Option<String>,
) -> Attempt {
    let event = |index: usize| events.get(index);
    let code = |index: usize| {
        event(index)?
            .code(Role::Status)
            .filter(|code| code.is_failure())
    };
    let summary = part
        .iter()
        .copied()
        .find(|index| event(*index).is_some_and(|event| event.event_id == id::JOIN_FAILED));
    let named = summary.and_then(|summary| {
        Phase::named(Block::read(event(summary)?.value(Role::DebugOutput)?).get("errorPhase")?)
    });
    let reached = furthest(events, part);
    // An attempt that a 304 sums up got past the pre-check.
    let reached = reached.filter(|phase| summary.is_none() || *phase > Phase::Precheck);
    let phase = named.or(reached);
    let completes = |index: &usize| {
        event(*index).is_some_and(|event| {
            matches!(
                event.event_id,
                id::JOIN_SUCCEEDED | id::JOIN_COMPLETED | id::POST_JOIN_COMPLETED
            )
        })
    };
    // The last word counts: what comes after joining may fail.
    let last_word = part
        .iter()
        .rev()
        .find(|index| completes(index) || fails(index));
    let succeeded = last_word.is_some_and(completes);
    let value = summary.and_then(code).or_else(|| {
        part.iter()
            .rev()
            .filter(|index| fails(index))
            .find_map(|index| code(*index))
    });
    let exit_code = value.filter(|_| !succeeded).and_then(|value| {
        // The summary repeats the code of the event that first had it.
        let first = part
            .iter()
            .copied()
            .find(|index| code(*index) == Some(value));
        first.map(|event| Found::new(value, event))
    });
    let adal = part.iter().rev().find_map(|&index| {
        let event = event(index)?;
        let text = event
            .value(Role::AdalText)
            .or_else(|| event.value(Role::DebugOutput))?;
        Some(Found::new(Adal::read(text)?, index))
    });
    let adal = merge_adal(events, part, adal);
    Attempt {
        summary,
        sub_error: sub_error(events, part, exit_code.as_ref(), adal.as_ref()),
        server: server(events, part),
        join_type,
        phase,
        exit_code,
        adal,
        succeeded,
    }
}

/// The 305's account is the fuller one; what only the 304's debug output has is added to it.
fn merge_adal(events: &[Event], part: &[usize], last: Option<Found<Adal>>) -> Option<Found<Adal>> {
    let full = part.iter().find_map(|&index| {
        let text = events.get(index)?.value(Role::AdalText)?;
        Some(Found::new(Adal::read(text)?, index))
    });
    let (Some(mut full), Some(last)) = (full.clone(), last.clone()) else {
        return full.or(last);
    };
    full.value.code = full.value.code.or(last.value.code);
    full.value.correlation_id = full.value.correlation_id.or(last.value.correlation_id);
    if full.value.log.is_empty() {
        full.value.log = last.value.log;
    }
    Some(full)
}

/// What a wrapping exit code wraps.
fn sub_error(
    events: &[Event],
    part: &[usize],
    exit_code: Option<&Found<Code>>,
    adal: Option<&Found<Adal>>,
) -> Option<Found<Code>> {
    let exit = exit_code?.value.canonical();
    if DISCOVERY_CODES.contains(&exit) {
        return part.iter().rev().find_map(|&index| {
            let event = events.get(index)?;
            let of_discovery = id::REGISTRATION_ERRORS.contains(&event.event_id);
            let value = event
                .code(Role::Status)
                .filter(|code| code.canonical() != exit)?;
            of_discovery.then_some(Found::new(value, index))
        });
    }
    if exit.0 >> 20 == 0xcaa {
        let adal = adal?;
        let own = adal.value.code.filter(|code| code.canonical() != exit);
        let value = own.or_else(|| adal.value.network_code())?;
        return Some(Found::new(value, adal.event()));
    }
    None
}

/// The service's answer: that of the join or discovery callback, else what the summary or the
/// token library quotes.
fn server(events: &[Event], part: &[usize]) -> Option<Found<ServerAnswer>> {
    let read = |wanted: &[u32], role: Role| {
        part.iter().rev().find_map(|&index| {
            let event = events.get(index)?;
            if !wanted.contains(&event.event_id) {
                return None;
            }
            let http_status = event.number(Role::HttpStatus).filter(|status| *status != 0);
            let answer = event.value(role).and_then(Answer::read);
            // A page in the service's place is nothing that the service said.
            let said = answer.is_some() || http_status.is_some_and(|status| status >= 400);
            let mut answer = said.then_some(answer)?.unwrap_or_default();
            answer.request_id = event
                .value(Role::RequestId)
                .and_then(present)
                .map(str::to_owned)
                .or(answer.request_id);
            Some(Found::new(
                ServerAnswer {
                    answer,
                    http_status,
                },
                index,
            ))
        })
    };
    read(
        &[id::JOIN_RESPONSE_FAILED, id::DISCOVERY_FAILED],
        Role::ServerText,
    )
    .or_else(|| read(&[id::JOIN_FAILED], Role::ServerText))
    .or_else(|| read(&[id::AUTHENTICATION_FAILED], Role::AdalText))
    .or_else(|| read(&[id::JOIN_FAILED], Role::DebugOutput))
}

/// The deciding code, in the order of windows: server, client, network, HTTP, what only wraps.
fn decisive(attempt: Option<&Attempt>, exit_code: Option<&Found<Code>>) -> Option<Decisive> {
    let decisive = |code: String, kind| Some(Decisive { code, kind });
    let server = attempt.and_then(|attempt| attempt.server.as_ref());
    let sub_error = attempt.and_then(|attempt| attempt.sub_error.as_ref());
    let codes = || {
        [exit_code, sub_error]
            .into_iter()
            .flatten()
            .map(|found| found.value)
    };
    let specific = codes().find(|code| code.is_specific());
    let answer = server.map(|server| &server.value.answer);
    // A code of the service that fits any refusal gives way to the exit code, which tells them apart.
    let answer = answer.filter(|answer| !answer.is_generic() || specific.is_none());
    if let Some(code) = answer.and_then(|answer| answer.sub_code.as_ref().or(answer.code.as_ref()))
    {
        return decisive(code.clone(), DecisiveKind::Server);
    }
    if let Some(code) = specific {
        return decisive(code.to_string(), DecisiveKind::Client);
    }
    if let Some(code) = codes().find(|code| code.family() == Family::Network) {
        return decisive(code.to_string(), DecisiveKind::Network);
    }
    let status = server.and_then(|server| server.value.http_status);
    if let Some(status) = status.filter(|status| *status >= 400) {
        return decisive(format!("HTTP {status}"), DecisiveKind::Http);
    }
    let code = codes()
        .find(|code| !code.is_wrapper())
        .or_else(|| codes().next())?;
    decisive(code.to_string(), DecisiveKind::Status)
}
