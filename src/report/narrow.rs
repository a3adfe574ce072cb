//! A report narrowed to a time or a user, and a scan to some machines.

use super::build;
use super::{
    Downstream, Id, MachineDiagnosis, MachineReport, Report, RunOutcomeName, StateName, Time,
    Totals, UserReport, Windows,
};
use crate::base::identity::{folded, is_meant};
use crate::conclude;
use crate::conclude::state;
use crate::event::Event;
use crate::machine::Machine;
use crate::machine::Scan;
use crate::report::groups;
use chrono::{DateTime, TimeDelta, Utc};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What to keep of a report.
#[derive(Clone, Debug, Default)]
pub struct Narrow {
    /// What happened around this time.
    pub at: Option<DateTime<Utc>>,
    /// The windows of this user (user principal name or SID, without case), and the registration
    /// runs of the machines that the user has.
    pub user: Option<String>,
}

/// How much before and after a time is around it.
const AROUND: TimeDelta = TimeDelta::minutes(5);

impl Narrow {
    /// Whether something of this extent is kept.
    fn keeps(&self, start: Time, end: Time) -> bool {
        self.at
            .is_none_or(|at| start.0 - at <= AROUND && at - end.0 <= AROUND)
    }

    /// Keeps what is asked for of a machine, and says whether that is anything.
    pub(super) fn machine(&self, machine: &mut MachineReport<'_>) -> bool {
        machine_narrow(machine, self);
        let mut users = machine.users.iter();
        !machine.windows.is_empty()
            || !machine.registrations.is_empty()
            || !machine.other_events.is_empty()
            || !machine.other_failures.is_empty()
            || users.any(|user| !user.token_requests.is_empty())
    }

    /// Whether one of these users, with the SIDs of each, is asked for.
    fn wants(&self, user: &UserReport<'_>) -> bool {
        let mut names = user.sids.iter().map(String::as_str).chain([user.user]);
        self.user
            .as_ref()
            .is_none_or(|wanted| names.any(|name| is_meant(name, wanted)))
    }

    /// Whether an event that belongs to no window or run is kept: one of another account is not, if
    /// a user is asked for. The users are those that are kept.
    fn keeps_other(&self, users: &[UserReport<'_>], event: &Event) -> bool {
        let is_theirs = |sid: &str| {
            let is_sid = |user: &UserReport<'_>| user.user == sid || user.sids.contains(sid);
            users.iter().any(is_sid)
        };
        let time = Time(event.time());
        self.keeps(time, time)
            && (self.user.is_none() || event.user_sid.as_deref().is_some_and(is_theirs))
    }
}

/// How many events are kept of a narrowed machine, whether a format shows them or not.
pub(super) fn events_in(machine: &MachineReport<'_>, narrow: &Narrow) -> u64 {
    let in_windows = machine.windows.iter();
    let in_windows = in_windows.map(|window| window.events.len() + window.related.len());
    let in_runs = machine.registrations.iter().map(|run| run.events.len());
    let placed: usize = in_windows.chain(in_runs).sum();
    let Windows {
        machine: all,
        analysis,
        ..
    } = &machine.windows;
    let marked = all.events.iter().zip(&analysis.marks);
    let others = marked
        .filter(|(event, mark)| !mark.placed && narrow.keeps_other(&machine.users, event))
        .count();
    (placed + others) as u64
}

impl Report<'_> {
    /// Keeps whole windows and runs that overlap; the totals count what is kept. Registration runs
    /// are the device's, and every user's of that device.
    pub fn narrow(&mut self, narrow: &Narrow) {
        let (mut left, problems) = (Vec::new(), &mut self.problems);
        for mut machine in std::mem::take(&mut self.machines) {
            match narrow.machine(&mut machine) {
                true => left.push(machine),
                // What could not be read is told all the same.
                false => problems.append(&mut machine.problems),
            }
        }
        self.machines = left;
        let mut totals = Totals {
            machines: 0,
            events: 0,
            windows: 0,
            windows_failed: 0,
            registrations: 0,
            registrations_failed: 0,
            machines_failing: 0,
            machines_without_evidence: 0,
            problems: self.problems.len() as u64,
            bytes_lost: build::lost(self.problems.iter().map(|problem| problem.lost_bytes)),
            ..self.totals
        };
        for machine in &self.machines {
            totals.add(machine, events_in(machine, narrow));
        }
        self.totals = totals;
        self.is_part = true;
        self.groups = groups::groups(&self.machines);
    }
}

/// Nothing in the logs has the name that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("no {what} is named {name}; {}", hint(what, near, *count))]
pub struct UnknownName {
    /// What was asked for: `machine` or `user`.
    pub what: &'static str,
    /// The name as given.
    pub name: String,
    /// Names that it may stand for, the nearest first.
    pub near: Vec<String>,
    /// How many there are in the logs.
    pub count: usize,
}

fn hint(what: &str, near: &[String], count: usize) -> String {
    match (near, count) {
        ([], 0) => format!("no {what} is named in the logs"),
        ([], 1) => format!("the one {what} in the logs has another name"),
        ([], _) => format!("there are {count} {what}s in the logs, none of a similar name"),
        _ => format!("similar: {}", near.join(", ")),
    }
}

/// How many names to suggest.
const MOST_NEAR: usize = 5;
/// How near a name has to be, of 1.
const NEAR: f64 = 0.85;

/// Keeps the machines that one of the names stands for, each with its own problems; counts of what
/// was read stay as they are. A name is the machine's own or an earlier one, whole or up to its first
/// dot, without case: a short name keeps the machines of each domain.
///
/// # Errors
///
/// If a name stands for no machine.
pub fn machines(scan: &mut Scan, names: &[String]) -> Result<(), UnknownName> {
    let unknown = names.iter().find(|name| {
        let mut machines = scan.machines.iter();
        !machines.any(|machine| is_named(machine, name))
    });
    if let Some(name) = unknown {
        let all = scan.machines.iter().flat_map(all_names);
        return Err(UnknownName {
            what: "machine",
            name: name.clone(),
            near: near(all, name, '.'),
            count: scan.machines.len(),
        });
    }
    scan.machines
        .retain(|machine| names.iter().any(|name| is_named(machine, name)));
    Ok(())
}

/// Checks that somebody on one of the machines has this name: a user principal name or SID, without
/// case.
///
/// # Errors
///
/// If nobody has.
pub fn user(scan: &Scan, name: &str) -> Result<(), UnknownName> {
    let of_machines = scan.machines.par_iter().map(|machine| {
        let users = conclude::analyze(&machine.events).users;
        let users = users.into_iter().filter(|user| user.name != state::UNKNOWN);
        users.map(|user| (user.name, user.sids)).collect::<Vec<_>>()
    });
    let of_machines: Vec<(String, BTreeSet<String>)> = of_machines.flatten().collect();
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, sids) in of_machines {
        // One user has a SID on each machine that knows it by another.
        users.entry(name).or_default().extend(sids);
    }
    let mut names = users
        .iter()
        .flat_map(|(name, sids)| sids.iter().chain([name]));
    if names.any(|known| is_meant(known, name)) || is_meant(state::UNKNOWN, name) {
        return Ok(());
    }
    Err(UnknownName {
        what: "user",
        name: name.to_owned(),
        near: {
            let sids = users.values().flatten().map(String::as_str);
            near(users.keys().map(String::as_str).chain(sids), name, '@')
        },
        count: users.len(),
    })
}

fn all_names(machine: &Machine) -> impl Iterator<Item = &str> {
    let others = machine.also_known_as.iter().map(|name| &**name);
    [&*machine.name].into_iter().chain(others)
}

/// The name up to its first separator.
fn short(name: &str, separator: char) -> &str {
    name.split_once(separator).map_or(name, |(short, _)| short)
}

fn is_named(machine: &Machine, wanted: &str) -> bool {
    all_names(machine).any(|name| is_meant(name, wanted) || is_meant(short(name, '.'), wanted))
}

fn near<'n>(names: impl Iterator<Item = &'n str>, wanted: &str, separator: char) -> Vec<String> {
    let wanted = folded(wanted);
    let nearness = |name: &str| {
        let name = folded(name);
        match !wanted.is_empty() && name.contains(&wanted) {
            true => 1.0,
            false => strsim::jaro_winkler(short(&name, separator), short(&wanted, separator)),
        }
    };
    let mut near: Vec<(f64, &str)> = names
        .map(|name| (nearness(name), name))
        .filter(|(nearness, _)| *nearness >= NEAR)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let near = near.into_iter().take(MOST_NEAR);
    near.map(|(_, name)| name.to_owned()).collect()
}

fn machine_narrow(machine: &mut MachineReport<'_>, narrow: &Narrow) {
    if narrow.user.is_some() {
        machine.users.retain(|user| narrow.wants(user));
        let windows = machine.users.iter().flat_map(|user| &user.windows);
        let of_user: HashSet<Id> = windows.copied().collect();
        machine.windows.retain(|id| of_user.contains(&id));
        // Registration is every user's, on the machines that the user has.
        if machine.users.is_empty() {
            machine.registrations.clear();
        }
    }
    machine
        .windows
        .retain_reports(|window| narrow.keeps(window.start.time, window.end.time));
    machine
        .registrations
        .retain(|run| narrow.keeps(run.start, run.end));
    let users = &machine.users;
    machine
        .other_events
        .retain(|event| narrow.keeps_other(users, event.event));
    machine
        .other_failures
        .retain(|failure| narrow.keeps_other(users, failure.event));
    // Nothing names what was left out.
    let windows: HashSet<Id> = machine.windows.ids().collect();
    let runs: HashSet<Id> = machine.registrations.iter().map(|of| of.id).collect();
    for user in &mut machine.users {
        user.windows.retain(|id| windows.contains(id));
        user.token_requests
            .retain(|request| narrow.keeps(request.first, request.last));
    }
    for run in &mut machine.registrations {
        run.windows.retain(|link| windows.contains(&link.id));
    }
    // Nor does the machine's diagnosis speak of it.
    let is_kept = |id: &Id| windows.contains(id) || runs.contains(id);
    let is_request_kept = |downstream: &Downstream<'_>| {
        let mut users = machine.users.iter();
        users.any(|user| user.user == downstream.user && !user.token_requests.is_empty())
    };
    if !machine.diagnosis.of.as_ref().is_some_and(is_kept)
        && !machine.downstream.as_ref().is_some_and(is_request_kept)
    {
        machine.diagnosis = of_what_is_kept(machine);
        machine.downstream = None;
    }
    machine.windows.runs = Some(runs);
    machine.is_part = true;
}

/// The newest failure that is kept, and how those stand whose windows and runs are kept.
fn of_what_is_kept<'a>(machine: &MachineReport<'a>) -> MachineDiagnosis<'a> {
    let windows = machine.windows.failures();
    let windows = windows.map(|window| (window.end, window.id, window.diagnosis));
    let runs = machine.registrations.iter();
    let runs = runs.filter(|run| run.outcome == RunOutcomeName::Failed);
    let runs = runs.map(|run| (run.end, run.id, run.diagnosis.clone()));
    let newest = windows.chain(runs).max_by_key(|(time, ..)| *time);
    let (of, means) = match newest {
        Some((_, id, diagnosis)) => (Some(id), diagnosis),
        None => (None, None),
    };
    let means = means.as_ref();
    let users = machine.users.iter();
    let users = users.filter(|user| !user.windows.is_empty());
    let strands = users.map(|user| user.state);
    let registration = machine.diagnosis.registration;
    let device = (!machine.registrations.is_empty()).then_some(registration);
    MachineDiagnosis {
        // The worst, which stands last.
        state: strands
            .chain(device)
            .max_by_key(|state| *state as u8)
            .unwrap_or(StateName::NoEvidence),
        finding: None,
        registration,
        of,
        rule: means.map(|means| means.rule),
        because: means.map(|means| means.because),
        class: means.map(|means| means.class),
        stage: means.map(|means| means.stage),
        summary: means.map(|means| means.summary),
        cause: means.map(|means| means.cause),
        next_steps: means.map_or(&[], |means| means.next_steps),
        sources: means.map_or(&[], |means| means.sources),
    }
}
