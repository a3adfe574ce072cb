//! A report narrowed to a time or a user.

use super::{MachineReport, OutcomeName, Report, RunOutcomeName, Time, WindowReport};
use chrono::{DateTime, TimeDelta, Utc};

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
        for machine in &mut self.machines {
            machine_narrow(machine, narrow);
        }
        let is_left = |machine: &MachineReport<'_>| {
            !machine.windows.is_empty()
                || !machine.registrations.is_empty()
                || !machine.other_events.is_empty()
        };
        self.machines.retain(is_left);
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
        let users = &machine.users;
        machine.windows.retain(|window| {
            users.iter().any(|user| user.windows.contains(&window.id))
                || window.user_sid.is_some_and(is_wanted)
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
}
