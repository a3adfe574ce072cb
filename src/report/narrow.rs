//! A report narrowed to a time or a user.

use super::{
    MachineDiagnosis, MachineReport, OutcomeName, Report, RunOutcomeName, StateName, Time,
    WindowReport,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashSet;

/// What to keep of a report.
#[derive(Clone, Debug, Default)]
pub struct Narrow {
    /// What happened around this time.
    pub at: Option<DateTime<Utc>>,
    /// The windows of this user (user principal name or SID, without case).
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
}

impl Report<'_> {
    /// Keeps whole windows and runs that overlap; the totals count what is kept. Registration runs
    /// are the device's, and every user's.
    pub fn narrow(&mut self, narrow: &Narrow) {
        let (mut left, problems) = (Vec::new(), &mut self.problems);
        for mut machine in std::mem::take(&mut self.machines) {
            machine_narrow(&mut machine, narrow);
            let is_left = !machine.windows.is_empty()
                || !machine.registrations.is_empty()
                || !machine.other_events.is_empty();
            match is_left {
                true => left.push(machine),
                // What could not be read is told all the same.
                false => problems.append(&mut machine.problems),
            }
        }
        self.machines = left;
        let windows = || self.machines.iter().flat_map(|machine| &machine.windows);
        let runs = || {
            self.machines
                .iter()
                .flat_map(|machine| &machine.registrations)
        };
        let in_windows = windows().map(|window| window.events.len() + window.related.len());
        let in_runs = runs().map(|run| run.events.len());
        let others = self
            .machines
            .iter()
            .map(|machine| machine.other_events.len());
        let events: usize = in_windows.chain(in_runs).chain(others).sum();
        let failed = |window: &&WindowReport<'_>| window.outcome == OutcomeName::Failed;
        let totals = super::Totals {
            machines: self.machines.len() as u64,
            events: events as u64,
            windows: windows().count() as u64,
            windows_failed: windows().filter(failed).count() as u64,
            registrations: runs().count() as u64,
            registrations_failed: runs()
                .filter(|run| run.outcome == RunOutcomeName::Failed)
                .count() as u64,
            ..self.totals
        };
        self.totals = totals;
    }
}

fn machine_narrow(machine: &mut MachineReport<'_>, narrow: &Narrow) {
    if let Some(wanted) = &narrow.user {
        let is_wanted = |name: &str| name.eq_ignore_ascii_case(wanted);
        machine.users.retain(|user| is_wanted(user.user));
        let windows = machine.users.iter().flat_map(|user| &user.windows);
        let of_user: HashSet<&str> = windows.map(String::as_str).collect();
        machine.windows.retain(|window| {
            of_user.contains(window.id.as_str()) || window.user_sid.is_some_and(is_wanted)
        });
        // The other events are of the system's account, or of another user's broker.
        machine.other_events.clear();
        machine.other_failures.clear();
    }
    machine
        .windows
        .retain(|window| narrow.keeps(window.start.time, window.end.time));
    machine
        .registrations
        .retain(|run| narrow.keeps(run.start, run.end));
    machine
        .other_events
        .retain(|event| narrow.keeps(event.time, event.time));
    machine
        .other_failures
        .retain(|failure| narrow.keeps(failure.time, failure.time));
    // Nothing names what was left out.
    let windows: HashSet<String> = machine.windows.iter().map(|of| of.id.clone()).collect();
    let runs: HashSet<String> = machine
        .registrations
        .iter()
        .map(|of| of.id.clone())
        .collect();
    for user in &mut machine.users {
        user.windows.retain(|id| windows.contains(id));
    }
    for window in &mut machine.windows {
        window.registrations.retain(|link| runs.contains(&link.id));
    }
    for run in &mut machine.registrations {
        run.windows.retain(|link| windows.contains(&link.id));
    }
    // Nor does the machine's diagnosis speak of it.
    let is_kept = |id: &String| windows.contains(id) || runs.contains(id);
    if !machine.diagnosis.of.as_ref().is_some_and(is_kept) {
        machine.diagnosis = of_what_is_kept(machine);
    }
    machine.is_part = true;
}

/// The newest failure that is kept, and how those stand whose windows and runs are kept.
fn of_what_is_kept<'a>(machine: &MachineReport<'a>) -> MachineDiagnosis<'a> {
    let windows = machine.windows.iter();
    let windows = windows.filter(|window| window.outcome == OutcomeName::Failed);
    let windows = windows.map(|window| (window.end.time, &window.id, &window.diagnosis));
    let runs = machine.registrations.iter();
    let runs = runs.filter(|run| run.outcome == RunOutcomeName::Failed);
    let runs = runs.map(|run| (run.end, &run.id, &run.diagnosis));
    let newest = windows.chain(runs).max_by_key(|(time, ..)| *time);
    let (of, means) = match newest {
        Some((_, id, diagnosis)) => (Some(id.clone()), diagnosis.as_ref()),
        None => (None, None),
    };
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
