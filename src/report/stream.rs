//! Machines' reports one after the other: once a machine is written its events are freed.

use super::build::{self, machine_report, problem};
use super::narrow::{Narrow, events_in};
use super::{MachineReport, Summary, Totals, Version};
use crate::base::problem::Problem;
use crate::conclude;
use crate::machine::Machine;
use crate::machine::Scan;
use crate::report::groups::{MachineFacts, Triage};
use rayon::prelude::*;
use std::io::{self, Write};

/// About so many events are worked on at a time, beyond one machine a thread.
const BATCH: usize = 1 << 14;

/// Passes each machine's report to `render`, which writes it and says what to keep of it. Machines
/// come in their order, on the threads of rayon's current pool; then comes what is told of all.
pub(super) fn each_machine<T: Send>(
    scan: &mut Scan,
    narrow: Option<&Narrow>,
    render: impl Fn(&MachineReport<'_>, &mut dyn Write) -> io::Result<T> + Sync,
    out: &mut dyn Write,
) -> io::Result<Streamed<T>> {
    let mut done = Streamed {
        totals: Totals::of(scan),
        triage: Triage::default(),
        kept: Vec::new(),
    };
    let mut machines = std::mem::take(&mut scan.machines).into_iter();
    loop {
        let batch = batch(&mut machines);
        if batch.len() < 2 {
            let Some(machine) = batch.into_iter().next() else {
                return Ok(done);
            };
            // However large, nothing of it is held back.
            let one = one(machine, narrow, &render, out)?;
            done.add(one, scan);
            continue;
        }
        let rendered: Vec<_> = batch
            .into_par_iter()
            .map(|machine| {
                let mut bytes = Vec::new();
                one(machine, narrow, &render, &mut bytes).map(|one| (bytes, one))
            })
            .collect();
        for rendered in rendered {
            let (bytes, one) = rendered?;
            out.write_all(&bytes)?;
            done.add(one, scan);
        }
    }
}

/// The next machines to work on together.
fn batch(machines: &mut impl Iterator<Item = Machine>) -> Vec<Machine> {
    let threads = rayon::current_num_threads();
    let mut batch: Vec<Machine> = Vec::new();
    let mut events = 0;
    while batch.len() < threads || events < BATCH {
        let Some(machine) = machines.next() else {
            break;
        };
        events += machine.events.len();
        batch.push(machine);
    }
    batch
}

/// What is left of a machine when it has been passed on.
enum Passed<T> {
    Told(Totals, MachineFacts, T),
    /// Nothing of it was asked for; what could not be read is told all the same.
    LeftOut(Vec<Problem>),
}

fn one<T>(
    machine: Machine,
    narrow: Option<&Narrow>,
    render: &impl Fn(&MachineReport<'_>, &mut dyn Write) -> io::Result<T>,
    out: &mut dyn Write,
) -> io::Result<Passed<T>> {
    let analysis = conclude::analyze(&machine.events);
    let mut report = machine_report(&machine, &analysis, false);
    let mut counted = Totals::default();
    match narrow {
        Some(narrow) if !narrow.machine(&mut report) => {
            return Ok(Passed::LeftOut(machine.problems));
        }
        Some(narrow) => counted.add(&report, events_in(&report, narrow)),
        None => counted.add(&report, machine.events.len() as u64),
    }
    let facts = MachineFacts::of(&report);
    Ok(Passed::Told(counted, facts, render(&report, out)?))
}

/// What is left when every machine has been passed on.
pub(super) struct Streamed<T> {
    pub(super) totals: Totals,
    triage: Triage,
    pub(super) kept: Vec<T>,
}

impl<T> Streamed<T> {
    fn add(&mut self, passed: Passed<T>, scan: &mut Scan) {
        match passed {
            Passed::Told(counted, facts, kept) => {
                self.totals += counted;
                self.triage.add(facts);
                self.kept.push(kept);
            }
            Passed::LeftOut(problems) => {
                self.totals.problems += problems.len() as u64;
                let lost = build::lost(problems.iter().map(|problem| problem.lost_bytes));
                self.totals.bytes_lost = self.totals.bytes_lost.saturating_add(lost);
                scan.problems.extend(problems);
            }
        }
    }

    /// The report without its machines, and what was kept of them.
    pub(super) fn finish(self, scan: &Scan) -> (Summary<'_>, Vec<T>) {
        let summary = Summary {
            schema_version: Version,
            prtrace: env!("CARGO_PKG_VERSION"),
            totals: self.totals,
            groups: self.triage.groups(),
            gaps: Vec::new(),
            inputs: build::inputs(scan),
            problems: scan.problems.iter().map(problem).collect(),
        };
        (summary, self.kept)
    }
}
