//! Machines' reports → groups of one failure signature: which few causes explain all that fails.
//!
//! Every failed window and every failed run belongs to one group. A window's signature is its
//! operation, its decisive code and its first failing event: `acquire/AADSTS50126/1081`. A run's is
//! `registration`, its phase, its decisive code and its first failing event; but a run that explains
//! a failed window, or made the same request, goes with that window, unless the registration still
//! fails and the window's token does not. A machine whose token is healthy while token requests fail
//! is in a group `downstream`.
//!
//! A machine is in every group that one of its failures has the signature of, whether or not it was
//! made up for. It counts as failing in those whose signature the newest failure of a failing strand
//! has: so each failing machine fails in one group at least.
//!
//! Failures of one signature may mean different things: a rejected device, or one that was never
//! registered. What a group says is what most of its failing machines' newest failure means; the
//! others are told beside it.

use crate::diagnosis;
use crate::report::{
    ClassName, DiagnosisReport, Downstream, ExampleReport, ExplainedByReport, FailureReport,
    GroupReport, LinkReport, MachineReport, OutcomeName, PrtName, ReadingReport, ReasonName,
    RunOutcomeName, RunReport, StateName, Time, WindowReport,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Stands where a failure has no code, phase or event.
const NONE: &str = "none";

/// The signature of a failed window.
fn of_window(window: &WindowReport<'_>) -> String {
    let token = match window.prt {
        PrtName::Entra => "",
        PrtName::Enterprise => "enterprise-",
    };
    let code = window.decisive.as_ref().map(|decisive| decisive.code);
    let event = window.first_failure.as_ref();
    format!(
        "{token}{}/{}/{}",
        window.operation.as_str(),
        code.unwrap_or(NONE),
        event_id(event)
    )
}

/// The signature of a failed run.
fn of_run(run: &RunReport<'_>) -> String {
    let phase = run.phase.map_or(NONE, |phase| phase.as_str());
    let code = run.decisive.as_ref().map(|decisive| decisive.code);
    let code = code.unwrap_or(NONE);
    let event = event_id(run.first_failure.as_ref());
    format!("registration/{phase}/{code}/{event}")
}

pub(crate) fn of_downstream(downstream: &Downstream<'_>) -> String {
    let event = event_id(Some(&downstream.event));
    format!("downstream/{}/{event}", downstream.code)
}

fn event_id(failure: Option<&FailureReport<'_>>) -> String {
    failure.map_or_else(|| NONE.to_owned(), |failure| failure.event_id.to_string())
}

/// Which group each failed window and run of a machine belongs to, and which of them are the newest
/// failures of strands that still fail.
pub(crate) struct Signatures<'r> {
    of: HashMap<&'r str, String>,
    open: HashSet<&'r str>,
}

impl<'r> Signatures<'r> {
    pub(crate) fn of(machine: &'r MachineReport<'_>) -> Signatures<'r> {
        let failed = || {
            let windows = machine.windows.iter().enumerate();
            windows.filter(|(_, window)| window.outcome == OutcomeName::Failed)
        };
        let mut of: HashMap<&str, String> = failed()
            .map(|(_, window)| (window.id.as_str(), of_window(window)))
            .collect();
        // Which window ended last decides; of several at once the one that began last.
        let ended: HashMap<&str, (Time, usize)> = failed()
            .map(|(place, window)| (window.id.as_str(), (window.end.time, place)))
            .collect();
        let strands = machine.users.iter();
        let mut open: HashSet<&str> = strands
            .filter(|user| user.state == StateName::Failing)
            .filter_map(|user| {
                let windows = user.windows.iter().map(String::as_str);
                windows
                    .filter(|id| ended.contains_key(id))
                    .max_by_key(|id| ended.get(id))
            })
            .collect();
        let runs = || {
            let runs = machine.registrations.iter();
            runs.filter(|run| run.outcome == RunOutcomeName::Failed)
        };
        let open_run = match machine.diagnosis.registration {
            StateName::Failing => runs().next_back().map(|run| run.id.as_str()),
            _ => None,
        };
        for run in runs() {
            let id = run.id.as_str();
            let still_fails = open_run == Some(id);
            let tied = run.windows.iter().filter(|link| ties(link));
            let window = tied
                .map(|link| link.id.as_str())
                .filter(|window| ended.contains_key(window))
                .max_by_key(|window| (open.contains(window), ended.get(window)))
                .filter(|window| open.contains(window) || !still_fails);
            let signature = window.and_then(|window| of.get(window).cloned());
            of.insert(id, signature.unwrap_or_else(|| of_run(run)));
        }
        open.extend(open_run);
        Signatures { of, open }
    }

    /// The signature of the group that a failed window or run belongs to.
    pub(crate) fn group(&self, id: &str) -> Option<&str> {
        self.of.get(id).map(String::as_str)
    }

    /// Whether it is the newest failure of a strand that still fails.
    pub(crate) fn is_open(&self, id: &str) -> bool {
        self.open.contains(id)
    }
}

/// Whether a run and a window are about one failure.
fn ties(link: &LinkReport) -> bool {
    matches!(link.reason, ReasonName::Explains | ReasonName::Correlation)
}

/// What is kept of a machine: its failures by signature.
#[derive(Debug)]
pub(crate) struct MachineFacts {
    name: String,
    failures: BTreeMap<String, Seen>,
}

/// Failures of one signature.
#[derive(Debug)]
struct Seen {
    windows: u64,
    registrations: u64,
    token_requests: u64,
    first: Time,
    last: Time,
    example: Example,
    /// By rule: what the failures mean. The example's counts the machine.
    readings: BTreeMap<&'static str, Reading>,
    /// The signatures of the runs behind the windows.
    explained_by: BTreeSet<String>,
}

/// One failure with its evidence.
#[derive(Debug)]
struct Example {
    /// Whether its strand still fails.
    open: bool,
    rule: &'static str,
    report: ExampleReport,
}

impl Example {
    /// What still fails first, then the newest; of several at once the first machine's first.
    fn rank(&self) -> impl Ord + '_ {
        let ExampleReport {
            machine, id, time, ..
        } = &self.report;
        (self.open, *time, Reverse((machine.as_str(), id.as_deref())))
    }
}

/// What failures of one signature and rule mean.
#[derive(Debug)]
struct Reading {
    class: ClassName,
    stage: &'static str,
    /// The sentence that holds for all of them; nothing if each names another user or host.
    summary: Option<String>,
    next_steps: Vec<&'static str>,
}

/// A failed window or run, or what stands for failed token requests.
struct Failure<'r, 'a> {
    id: Option<&'r str>,
    open: bool,
    event: Option<&'r FailureReport<'a>>,
    /// Where no event failed: when it ended.
    end: Time,
    decisive: Option<&'r str>,
    means: Means<'r>,
}

/// What of a diagnosis is kept.
struct Means<'r> {
    rule: &'static str,
    class: ClassName,
    stage: &'static str,
    summary: &'r str,
    next_steps: &'r [&'static str],
}

impl<'r> Means<'r> {
    fn of(diagnosis: &'r DiagnosisReport<'_>) -> Means<'r> {
        Means {
            rule: diagnosis.rule,
            class: diagnosis.class,
            stage: diagnosis.stage,
            summary: diagnosis.summary,
            next_steps: diagnosis.next_steps,
        }
    }
}

impl MachineFacts {
    pub(crate) fn of(machine: &MachineReport<'_>) -> MachineFacts {
        let mut facts = MachineFacts {
            name: machine.name.to_owned(),
            failures: BTreeMap::new(),
        };
        let signatures = Signatures::of(machine);
        let runs: HashMap<&str, &RunReport<'_>> = machine
            .registrations
            .iter()
            .filter(|run| run.outcome == RunOutcomeName::Failed)
            .map(|run| (run.id.as_str(), run))
            .collect();
        // A failure without a diagnosis there is none of: the last rule holds for all.
        for window in &machine.windows {
            let (Some(signature), Some(diagnosis)) =
                (signatures.group(&window.id), &window.diagnosis)
            else {
                continue;
            };
            let seen = facts.see(
                signature,
                &Failure {
                    id: Some(&window.id),
                    open: signatures.is_open(&window.id),
                    event: window.first_failure.as_ref(),
                    end: window.end.time,
                    decisive: window.decisive.as_ref().map(|decisive| decisive.code),
                    means: Means::of(diagnosis),
                },
            );
            seen.windows += 1;
            let behind = window.registrations.iter().filter(|link| ties(link));
            let behind = behind.filter_map(|link| runs.get(link.id.as_str()));
            seen.explained_by.extend(behind.map(|run| of_run(run)));
        }
        for run in &machine.registrations {
            let (Some(signature), Some(diagnosis)) = (signatures.group(&run.id), &run.diagnosis)
            else {
                continue;
            };
            // Of a run that goes with a window the window is the evidence, which is seen by now.
            if let Some(seen) = facts.failures.get_mut(signature)
                && signature != of_run(run)
            {
                seen.registrations += 1;
                continue;
            }
            let seen = facts.see(
                signature,
                &Failure {
                    id: Some(&run.id),
                    open: signatures.is_open(&run.id),
                    event: run.first_failure.as_ref(),
                    end: run.end,
                    decisive: run.decisive.as_ref().map(|decisive| decisive.code),
                    means: Means::of(diagnosis),
                },
            );
            seen.registrations += 1;
        }
        facts.see_downstream(machine);
        facts
    }

    /// The token requests that fail though the token is healthy; nothing where none do.
    fn see_downstream(&mut self, machine: &MachineReport<'_>) -> Option<()> {
        let downstream = machine.downstream.as_ref()?;
        let of = &machine.diagnosis;
        let seen = self.see(
            &of_downstream(downstream),
            &Failure {
                id: None,
                // The machine's state is about the token, which it has.
                open: false,
                event: Some(&downstream.event),
                end: downstream.request.last,
                decisive: Some(&downstream.code),
                means: Means {
                    rule: of.rule?,
                    class: of.class?,
                    stage: of.stage?,
                    summary: of.summary?,
                    next_steps: of.next_steps,
                },
            },
        );
        seen.token_requests += downstream.request.count;
        seen.first = seen.first.min(downstream.request.first);
        Some(())
    }

    /// Notes a failure under its signature.
    fn see(&mut self, signature: &str, failure: &Failure<'_, '_>) -> &mut Seen {
        let time = failure.event.map_or(failure.end, |event| event.time);
        let rule = failure.means.rule;
        let example = Example {
            open: failure.open,
            rule,
            report: failure.example(&self.name, time),
        };
        let seen = self
            .failures
            .entry(signature.to_owned())
            .and_modify(|seen| {
                seen.first = seen.first.min(time);
                seen.last = seen.last.max(time);
            });
        match seen {
            std::collections::btree_map::Entry::Occupied(seen) => {
                let seen = seen.into_mut();
                seen.readings
                    .entry(rule)
                    .and_modify(|reading| reading.also(Some(failure.means.summary)))
                    .or_insert_with(|| failure.reading());
                if example.rank() > seen.example.rank() {
                    seen.example = example;
                }
                seen
            }
            std::collections::btree_map::Entry::Vacant(place) => place.insert(Seen {
                windows: 0,
                registrations: 0,
                token_requests: 0,
                first: time,
                last: time,
                example,
                readings: BTreeMap::from([(rule, failure.reading())]),
                explained_by: BTreeSet::new(),
            }),
        }
    }
}

impl Failure<'_, '_> {
    fn reading(&self) -> Reading {
        let means = &self.means;
        Reading {
            class: means.class,
            stage: means.stage,
            summary: Some(means.summary.to_owned()),
            next_steps: means.next_steps.to_vec(),
        }
    }

    fn example(&self, machine: &str, time: Time) -> ExampleReport {
        ExampleReport {
            machine: machine.to_owned(),
            id: self.id.map(str::to_owned),
            event_id: self.event.map(|event| event.event_id),
            name: self.event.and_then(|event| event.name),
            channel: self.event.map(|event| event.channel.to_owned()),
            record_id: self.event.map(|event| event.record_id),
            time,
            code: self.event.and_then(|event| event.code.clone()),
            decisive: self.decisive.map(str::to_owned),
            summary: self.means.summary.to_owned(),
        }
    }
}

impl Reading {
    /// Another failure that means the same, with its own sentence.
    fn also(&mut self, summary: Option<&str>) {
        if self.summary.as_deref() != summary {
            self.summary = None;
        }
    }
}

/// The groups as they grow.
#[derive(Debug, Default)]
pub(crate) struct Triage {
    groups: BTreeMap<String, Gathered>,
}

/// A group.
#[derive(Debug, Default)]
struct Gathered {
    machines: Vec<String>,
    failing: u64,
    windows: u64,
    registrations: u64,
    token_requests: u64,
    seen: Option<(Time, Time)>,
    /// By rule.
    readings: BTreeMap<&'static str, GroupReading>,
    /// By the signature of the run behind a window: the machines.
    explained_by: BTreeMap<String, Vec<String>>,
}

/// What failures of one signature and rule mean, and whose they are.
#[derive(Debug)]
struct GroupReading {
    reading: Reading,
    /// Machines whose example means it.
    machines: Vec<String>,
    failing: u64,
    example: Option<Example>,
}

impl Triage {
    /// Counts a machine. In whatever order machines come, the groups are the same.
    pub(crate) fn add(&mut self, machine: MachineFacts) {
        let MachineFacts { name, failures } = machine;
        for (signature, seen) in failures {
            self.groups.entry(signature).or_default().add(&name, seen);
        }
    }

    /// The groups by number of machines, then signature.
    pub(crate) fn groups(self) -> Vec<GroupReport> {
        let groups = self.groups.into_iter();
        let mut groups: Vec<GroupReport> = groups
            .filter_map(|(signature, group)| group.report(signature))
            .collect();
        // They come by signature, and stay so among those of one size.
        groups.sort_by_key(|group| Reverse(group.machines.len()));
        groups
    }
}

impl Gathered {
    fn add(&mut self, machine: &str, seen: Seen) {
        let failing = u64::from(seen.example.open);
        self.machines.push(machine.to_owned());
        self.failing += failing;
        self.windows += seen.windows;
        self.registrations += seen.registrations;
        self.token_requests += seen.token_requests;
        let (first, last) = self.seen.unwrap_or((seen.first, seen.last));
        self.seen = Some((first.min(seen.first), last.max(seen.last)));
        for signature in seen.explained_by {
            let machines = self.explained_by.entry(signature).or_default();
            machines.push(machine.to_owned());
        }
        for (rule, theirs) in seen.readings {
            match self.readings.get_mut(rule) {
                Some(ours) => ours.reading.also(theirs.summary.as_deref()),
                None => {
                    let ours = GroupReading {
                        reading: theirs,
                        machines: Vec::new(),
                        failing: 0,
                        example: None,
                    };
                    self.readings.insert(rule, ours);
                }
            }
        }
        if let Some(reading) = self.readings.get_mut(seen.example.rule) {
            reading.machines.push(machine.to_owned());
            reading.failing += failing;
            let newest = reading.example.as_ref();
            if newest.is_none_or(|newest| newest.rank() < seen.example.rank()) {
                reading.example = Some(seen.example);
            }
        }
    }

    /// Nothing only for a group without a machine, which there is none of.
    fn report(mut self, signature: String) -> Option<GroupReport> {
        let (first_seen, last_seen) = self.seen?;
        self.machines.sort_unstable();
        let readings = self.readings.into_iter();
        let mut readings: Vec<(&'static str, GroupReading)> = readings
            .filter(|(_, reading)| !reading.machines.is_empty())
            .collect();
        readings.sort_by(|(_, a), (_, b)| a.rank().cmp(&b.rank()).reverse());
        let mut readings = readings.into_iter().map(|(rule, of)| of.report(rule));
        let (main, example) = readings.next()?;
        let behind = self.explained_by.into_iter();
        let mut explained_by: Vec<ExplainedByReport> = behind
            .map(|(signature, machines)| ExplainedByReport {
                signature,
                machines: sorted(machines),
            })
            .collect();
        explained_by.sort_by_key(|by| Reverse(by.machines.len()));
        Some(GroupReport {
            signature,
            class: main.class,
            rule: main.rule,
            stage: main.stage,
            summary: main.summary,
            next_steps: main.next_steps,
            machines: self.machines,
            failing: self.failing,
            windows: self.windows,
            registrations: self.registrations,
            token_requests: self.token_requests,
            first_seen,
            last_seen,
            example: example?,
            also: readings.map(|(reading, _)| reading).collect(),
            explained_by,
        })
    }
}

impl GroupReading {
    /// The most failing machines, then the most machines, then the newest example.
    fn rank(&self) -> impl Ord + '_ {
        let example = self.example.as_ref().map(Example::rank);
        (self.failing, self.machines.len(), example)
    }

    fn report(self, rule: &'static str) -> (ReadingReport, Option<ExampleReport>) {
        let Reading {
            class,
            stage,
            summary,
            next_steps,
        } = self.reading;
        let example = self.example.map(|example| example.report);
        let code = example.as_ref().and_then(|of| of.decisive.as_deref());
        let general = || diagnosis::in_general(rule, code);
        let report = ReadingReport {
            rule,
            class,
            stage,
            summary: summary.or_else(general).unwrap_or_default(),
            next_steps,
            machines: sorted(self.machines),
        };
        (report, example)
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

/// The groups of these machines.
pub(crate) fn groups<'m, 'a: 'm>(
    machines: impl IntoIterator<Item = &'m MachineReport<'a>>,
) -> Vec<GroupReport> {
    let mut triage = Triage::default();
    for machine in machines {
        triage.add(MachineFacts::of(machine));
    }
    triage.groups()
}

#[cfg(test)]
mod tests {
    use super::groups;
    use crate::{report, scan};

    #[test]
    fn the_order_of_machines_changes_nothing() {
        let scan = scan::scan(&["samples".into()], scan::Options::default()).unwrap();
        let analyses = report::analyze(&scan);
        let machines = report::Report::new(&scan, &analyses).machines;
        let forwards = serde_json::to_string(&groups(&machines)).unwrap();
        let backwards = serde_json::to_string(&groups(machines.iter().rev())).unwrap();
        assert_eq!(forwards, backwards);
        let (even, odd) = machines.split_at(7);
        let turned = serde_json::to_string(&groups(odd.iter().chain(even))).unwrap();
        assert_eq!(forwards, turned);
        // Several machines share a group, so that there is an order to get wrong.
        assert!(
            groups(&machines)
                .iter()
                .any(|group| group.machines.len() > 1)
        );
    }
}
