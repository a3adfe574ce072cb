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

use crate::base::time::Time;
use crate::conclude::diagnosis;
use crate::conclude::evidence;
use crate::event::Event;
use crate::report::{
    ClassName, DiagnosisReport, Downstream, ExampleReport, ExplainedByReport, FailedWindow,
    GroupReport, Id, LinkReport, MachineReport, PrtName, ReadingReport, ReasonName, RunOutcomeName,
    RunReport, StateName,
};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Stands where a failure has no code, phase or event.
const NONE: &str = "none";

/// The signature of a failed window.
fn of_window(window: &FailedWindow<'_>) -> String {
    let token = match window.prt {
        PrtName::Entra => "",
        PrtName::Enterprise => "enterprise-",
    };
    let operation = window.operation.as_str();
    let code = window.decisive.unwrap_or(NONE);
    let event = event_id(window.first_failure);
    format!("{token}{operation}/{code}/{event}")
}

/// The signature of a failed run.
fn of_run(run: &RunReport<'_>) -> String {
    let phase = run.phase.map_or(NONE, |phase| phase.as_str());
    let code = run.decisive.as_ref().map(|decisive| decisive.code);
    let code = code.unwrap_or(NONE);
    let event = event_id(run.first_failure.as_ref().map(|failure| failure.event));
    format!("registration/{phase}/{code}/{event}")
}

pub(crate) fn of_downstream(downstream: &Downstream<'_>) -> String {
    let event = event_id(Some(downstream.event.event));
    format!("downstream/{}/{event}", downstream.code)
}

fn event_id(failure: Option<&Event>) -> String {
    failure.map_or_else(|| NONE.to_owned(), |failure| failure.event_id.to_string())
}

/// Which group each failed window and run of a machine belongs to, and which of them are the newest
/// failures of strands that still fail.
pub(crate) struct Signatures {
    /// Each once: most windows of a machine fail alike.
    signatures: Vec<String>,
    /// By window: its signature, if it failed.
    of_windows: Vec<Option<usize>>,
    of_runs: HashMap<Id, usize>,
    open: BTreeSet<Id>,
}

impl Signatures {
    pub(crate) fn of(machine: &MachineReport<'_>) -> Signatures {
        let (mut signatures, mut known) = (Vec::new(), HashMap::new());
        // By window: its signature, and when it ended.
        let mut of: Vec<Option<(usize, Time)>> = Vec::new();
        let mut last = None;
        for window in machine.windows.failures() {
            let event = window.first_failure.map(|event| event.event_id);
            let told = (window.prt, window.operation, window.decisive, event);
            // Most often it is that of the one before.
            let signature = match last {
                Some((last, signature)) if last == told => signature,
                _ => *known.entry(told).or_insert_with(|| {
                    signatures.push(of_window(&window));
                    signatures.len() - 1
                }),
            };
            last = Some((told, signature));
            if let Id::Window(number) = window.id {
                // They come in order; a narrowed report has not all of them.
                of.resize(number, None);
                of.push(Some((signature, window.end)));
            }
        }
        let of_window = |id: &Id| match id {
            Id::Window(number) => of.get(*number).copied().flatten(),
            Id::Run(_) => None,
        };
        // Which window ended last decides; of several at once the one that began last.
        let ended = |id: &Id| of_window(id).map(|(_, end)| (end, *id));
        let strands = machine.users.iter();
        let mut open: BTreeSet<Id> = strands
            .filter(|user| user.state == StateName::Failing)
            .filter_map(|user| user.windows.iter().filter_map(ended).max())
            .map(|(_, id)| id)
            .collect();
        let runs = || {
            let runs = machine.registrations.iter();
            runs.filter(|run| run.outcome == RunOutcomeName::Failed)
        };
        let open_run = match machine.diagnosis.registration {
            StateName::Failing => runs().next_back().map(|run| run.id),
            _ => None,
        };
        let mut of_runs = HashMap::new();
        for run in runs() {
            let still_fails = open_run == Some(run.id);
            let tied = run.windows.iter().filter(|link| ties(link));
            let window = tied
                .filter_map(|link| ended(&link.id))
                .max_by_key(|(end, id)| (open.contains(id), *end, *id))
                .map(|(_, id)| id)
                .filter(|window| open.contains(window) || !still_fails);
            let signature = match window.and_then(|window| of_window(&window)) {
                Some((signature, _)) => signature,
                None => {
                    signatures.push(of_run(run));
                    signatures.len() - 1
                }
            };
            of_runs.insert(run.id, signature);
        }
        open.extend(open_run);
        let of_windows = of.into_iter();
        Signatures {
            of_windows: of_windows.map(|of| of.map(|(of, _)| of)).collect(),
            signatures,
            of_runs,
            open,
        }
    }

    /// The signature of the group that a failed window or run belongs to.
    pub(crate) fn group(&self, id: Id) -> Option<&str> {
        let number = match id {
            Id::Window(number) => (*self.of_windows.get(number)?)?,
            Id::Run(_) => *self.of_runs.get(&id)?,
        };
        self.signatures.get(number).map(String::as_str)
    }

    /// Whether it is the newest failure of a strand that still fails.
    pub(crate) fn is_open(&self, id: Id) -> bool {
        self.open.contains(&id)
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
    failures: BTreeMap<String, Seen<Example>>,
}

/// Failures of one signature.
#[derive(Debug)]
struct Seen<E> {
    windows: u64,
    registrations: u64,
    token_requests: u64,
    first: Time,
    last: Time,
    example: E,
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
        let id = id.map(|id| id.to_string());
        (self.open, *time, Reverse((machine.as_str(), id)))
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
struct Failure<'r> {
    id: Option<Id>,
    open: bool,
    event: Option<&'r Event>,
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
    fn of(diagnosis: &DiagnosisReport<'r>) -> Means<'r> {
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
        let signatures = Signatures::of(machine);
        let downstream = machine.downstream.as_ref().map(of_downstream);
        let mut failures = BTreeMap::new();
        let runs: HashMap<Id, &RunReport<'_>> = machine
            .registrations
            .iter()
            .filter(|run| run.outcome == RunOutcomeName::Failed)
            .map(|run| (run.id, run))
            .collect();
        // A failure without a diagnosis there is none of: the last rule holds for all.
        for window in machine.windows.failures() {
            let (Some(signature), Some(diagnosis)) =
                (signatures.group(window.id), &window.diagnosis)
            else {
                continue;
            };
            let seen = Failure {
                id: Some(window.id),
                open: signatures.is_open(window.id),
                event: window.first_failure,
                end: window.end,
                decisive: window.decisive,
                means: Means::of(diagnosis),
            };
            let seen = seen.see(signature, &mut failures);
            seen.windows += 1;
            let behind = window.registrations.iter().filter(|link| ties(link));
            let behind = behind.filter_map(|link| runs.get(&link.id));
            seen.explained_by.extend(behind.map(|run| of_run(run)));
        }
        for run in &machine.registrations {
            let (Some(signature), Some(diagnosis)) = (signatures.group(run.id), &run.diagnosis)
            else {
                continue;
            };
            // Of a run that goes with a window the window is the evidence, which is seen by now.
            if let Some(seen) = failures.get_mut(signature)
                && signature != of_run(run)
            {
                seen.registrations += 1;
                continue;
            }
            let seen = Failure {
                id: Some(run.id),
                open: signatures.is_open(run.id),
                event: run.first_failure.as_ref().map(|failure| failure.event),
                end: run.end,
                decisive: run.decisive.as_ref().map(|decisive| decisive.code),
                means: Means::of(diagnosis),
            };
            seen.see(signature, &mut failures).registrations += 1;
        }
        see_downstream(machine, downstream.as_deref(), &mut failures);
        let name = machine.name;
        MachineFacts {
            name: name.to_owned(),
            failures: failures
                .into_iter()
                .map(|(signature, seen)| (signature.to_owned(), seen.told(name)))
                .collect(),
        }
    }
}

/// The token requests that fail though the token is healthy; nothing where none do.
fn see_downstream<'r, 's>(
    machine: &'r MachineReport<'_>,
    signature: Option<&'s str>,
    failures: &mut BTreeMap<&'s str, Seen<Failure<'r>>>,
) -> Option<()> {
    let downstream = machine.downstream.as_ref()?;
    let of = &machine.diagnosis;
    let seen = Failure {
        id: None,
        // The machine's state is about the token, which it has.
        open: false,
        event: Some(downstream.event.event),
        end: downstream.request.last,
        decisive: Some(&downstream.code),
        means: Means {
            rule: of.rule?,
            class: of.class?,
            stage: of.stage?,
            summary: of.summary?,
            next_steps: of.next_steps,
        },
    };
    let seen = seen.see(signature?, failures);
    seen.token_requests += downstream.request.count;
    seen.first = seen.first.min(downstream.request.first);
    Some(())
}

impl<'r> Seen<Failure<'r>> {
    fn of(failure: Failure<'r>) -> Seen<Failure<'r>> {
        Seen {
            windows: 0,
            registrations: 0,
            token_requests: 0,
            first: failure.time(),
            last: failure.time(),
            readings: BTreeMap::from([(failure.means.rule, failure.reading())]),
            example: failure,
            explained_by: BTreeSet::new(),
        }
    }

    fn add(&mut self, failure: Failure<'r>) {
        self.first = self.first.min(failure.time());
        self.last = self.last.max(failure.time());
        self.readings
            .entry(failure.means.rule)
            .and_modify(|reading| reading.also(Some(failure.means.summary)))
            .or_insert_with(|| failure.reading());
        if failure.tells_more_than(&self.example) {
            self.example = failure;
        }
    }

    /// What is kept of them.
    fn told(self, machine: &str) -> Seen<Example> {
        Seen {
            windows: self.windows,
            registrations: self.registrations,
            token_requests: self.token_requests,
            first: self.first,
            last: self.last,
            example: self.example.example(machine),
            readings: self.readings,
            explained_by: self.explained_by,
        }
    }
}

impl<'r> Failure<'r> {
    fn time(&self) -> Time {
        self.event.map_or(self.end, |event| Time(event.time()))
    }

    /// Notes it under its signature.
    fn see<'f, 's>(
        self,
        signature: &'s str,
        failures: &'f mut BTreeMap<&'s str, Seen<Failure<'r>>>,
    ) -> &'f mut Seen<Failure<'r>> {
        use std::collections::btree_map::Entry::{Occupied, Vacant};
        match failures.entry(signature) {
            Occupied(seen) => {
                let seen = seen.into_mut();
                seen.add(self);
                seen
            }
            Vacant(place) => place.insert(Seen::of(self)),
        }
    }

    /// What still fails first, then the newest; of several at once the first by name.
    fn tells_more_than(&self, other: &Failure<'_>) -> bool {
        let rank = |of: &Failure<'_>| (of.open, of.time());
        let name = |of: &Failure<'_>| of.id.map(|id| Reverse(id.to_string()));
        let by_name = || name(self).cmp(&name(other));
        rank(self).cmp(&rank(other)).then_with(by_name).is_gt()
    }

    fn reading(&self) -> Reading {
        let means = &self.means;
        Reading {
            class: means.class,
            stage: means.stage,
            summary: Some(means.summary.to_owned()),
            next_steps: means.next_steps.to_vec(),
        }
    }

    fn example(&self, machine: &str) -> Example {
        let event = self.event;
        Example {
            open: self.open,
            rule: self.means.rule,
            report: ExampleReport {
                machine: machine.to_owned(),
                id: self.id,
                event_id: event.map(|event| event.event_id),
                name: event.and_then(Event::info).map(|info| info.name),
                channel: event.map(|event| event.channel.to_string()),
                record_id: event.map(|event| event.record_id),
                time: self.time(),
                code: event.and_then(evidence::telling_code).map(Cow::into_owned),
                decisive: self.decisive.map(str::to_owned),
                summary: self.means.summary.to_owned(),
            },
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
    fn add(&mut self, machine: &str, seen: Seen<Example>) {
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
    use crate::{machine, report, scan};

    #[test]
    fn the_order_of_machines_changes_nothing() {
        let scan = machine::scan(&["samples".into()], scan::Options::default()).unwrap();
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
