//! The report for people: the answer first, then the windows, then what could not be read.
//!
//! Plain text of 80 columns that reads the same in a terminal, in a pipe and in a mail. What comes
//! from the logs is escaped.

mod answer;
mod ticket;

use super::layout::{clock, counted, display_name, event_name, number, stamp, wrapped};
use super::{
    EventReport, MachineReport, OutcomeName, ProblemReport, PrtName, Report, RunOutcomeName,
    RunReport, StateName, Totals, WindowReport, problems,
};
use crate::base::terminal::one_line;
use crate::conclude::token::TokenRequest;
use crate::facts::Role;
use crate::facts::code::Code;
pub(super) use answer::{Told, newest_failed_run, told};
use answer::{answer, newest, run_words};
use std::borrow::Cow;
use std::io::{self, Write};

/// What is said of logs without an event of ours.
const NO_EVENT: &str = "No event of the providers Microsoft-Windows-AAD and Microsoft-Windows-User \
    Device Registration was found. Collect AAD/Operational, AAD/Analytic (off by default) \
    and User Device Registration/Admin, as Microsoft's Auth scripts do.";
/// What is said where the logs may hold some.
const NOT_ASKED_FOR: &str = "No sign-in or device registration of the time or user asked for was \
    found.";

/// What to show beside the answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Also what succeeded, and the events of every window.
    pub all: bool,
}

/// Writes the report as text.
///
/// # Errors
///
/// Those of the writer.
pub fn write(report: &Report<'_>, options: Options, out: &mut dyn Write) -> io::Result<()> {
    if report.machines.is_empty() {
        wrapped(
            "",
            if report.is_part {
                NOT_ASKED_FOR
            } else {
                NO_EVENT
            },
            out,
        )?;
    }
    if report.machines.len() > 1 {
        overview(report, out)?;
    }
    for machine in &report.machines {
        answer(machine, out)?;
        writeln!(out)?;
    }
    for machine in &report.machines {
        windows(machine, options, out)?;
        runs(machine, options, out)?;
        other_failures(machine, out)?;
    }
    problems(report, out)?;
    totals(&report.totals, out)
}

/// How many machines stand how, and which failures several share.
fn overview(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let machines = &report.machines;
    let standing = states(machines.iter().map(|machine| machine.diagnosis.state));
    writeln!(out, "{} machines: {standing}", machines.len())?;
    for group in &report.groups {
        if group.machines.len() > 1 {
            let signature = one_line(&group.signature);
            let count = group.machines.len();
            let names: Vec<_> = group.machines.iter().map(|name| one_line(name)).collect();
            let lead = format!("  {count} share {signature}: ");
            wrapped(&lead, &names.join(", "), out)?;
        }
    }
    writeln!(out)
}

/// How many machines stand how, in words.
pub(super) fn states(states: impl Iterator<Item = StateName> + Clone) -> String {
    let mut words = Vec::new();
    for (state, word) in [
        (StateName::Failing, "failing"),
        (StateName::Recovered, "recovered"),
        (StateName::Healthy, "healthy"),
        (StateName::NoEvidence, "without evidence"),
    ] {
        let count = states.clone().filter(|of| *of == state).count() as u64;
        if count > 0 {
            words.push(format!("{} {word}", number(count)));
        }
    }
    words.join(", ")
}

fn windows(machine: &MachineReport<'_>, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let count = machine.windows.len();
    let failed = machine.windows.count(OutcomeName::Failed);
    let succeeded = machine.windows.count(OutcomeName::Succeeded);
    if count == 0 || !options.all && count == succeeded {
        return Ok(());
    }
    let name = display_name(machine);
    writeln!(out, "Windows of {name}: {failed} failed of {count}")?;
    let answer = match told(machine) {
        Some(Told::Window(window)) => Some(*window),
        _ => newest(machine, OutcomeName::Failed, |_| true),
    };
    let answer = answer.map(|window| window.id);
    let shown = |window: &WindowReport<'_>| options.all || window.outcome != OutcomeName::Succeeded;
    for window in machine.windows.iter().filter(shown) {
        window_line(&window, out)?;
        let is_answer = answer == Some(window.id);
        if options.all || is_answer {
            for event in window.events.iter() {
                event_line(&event, "    ", out)?;
            }
            for event in window.related.iter() {
                event_line(&event, "  ~ ", out)?;
            }
        }
    }
    if !options.all && succeeded > 0 {
        writeln!(
            out,
            "  (--all shows those that succeeded, and the events of each)"
        )?;
    }
    writeln!(out)
}

fn runs(machine: &MachineReport<'_>, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let all = &machine.registrations;
    let tells = |run: &&RunReport<'_>| {
        options.all || matches!(run.outcome, RunOutcomeName::Failed | RunOutcomeName::Silent)
    };
    if all.is_empty() {
        return Ok(());
    }
    let failed = all
        .iter()
        .filter(|run| run.outcome == RunOutcomeName::Failed)
        .count();
    let name = display_name(machine);
    writeln!(
        out,
        "Registration runs of {name}: {failed} failed of {}",
        all.len()
    )?;
    let newest_failed = newest_failed_run(machine);
    for run in all.iter().filter(tells) {
        wrapped(&format!("  {:<4} ", run.id), &run_words(run), out)?;
        let is_answer = newest_failed.is_some_and(|newest| newest.id == run.id);
        if options.all || is_answer {
            for event in &run.events {
                event_line(event, "    ", out)?;
            }
        }
    }
    for (outcome, words) in [
        (RunOutcomeName::NotPossible, "not possible"),
        (RunOutcomeName::AlreadyJoined, "found the device joined"),
        (RunOutcomeName::Succeeded, "succeeded"),
    ] {
        let count = all.iter().filter(|run| run.outcome == outcome).count();
        if count > 0 && !options.all {
            writeln!(
                out,
                "  {} {words} (--all shows each)",
                counted(count as u64, "run")
            )?;
        }
    }
    writeln!(out)
}

fn window_line(window: &WindowReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let outcome = match window.recovered {
        true => "recovered",
        false => window.outcome.as_str(),
    };
    let mut text = format!("{} {} {outcome}", window.operation.as_str(), prt(window));
    if let Some(failure) = &window.first_failure {
        text.push_str(&format!(", first {}", failure.event_id));
    }
    if let Some(decisive) = &window.decisive {
        text.push_str(&format!(", {}", one_line(decisive.code)));
    }
    if let Some(upn) = window.upn {
        text.push_str(&format!(", {}", one_line(upn)));
    }
    let text = text.replace("  ", " ");
    let lead = format!("  {:<4} {}  ", window.id, stamp(window.start.time));
    wrapped(&lead, &text, out)
}

/// The AD FS token is named, the Entra token is what everyone means.
fn prt(window: &WindowReport<'_>) -> &'static str {
    match window.prt {
        PrtName::Entra => "",
        PrtName::Enterprise => "(AD FS)",
    }
}

fn event_line(event: &EventReport<'_>, lead: &str, out: &mut dyn Write) -> io::Result<()> {
    let mark = match event.failure {
        true => '!',
        false => ' ',
    };
    let name = event.name.unwrap_or("(unknown event)");
    let values: Vec<String> = event
        .data
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{}={}", one_line(name), shown_value(event, name, value)))
        .collect();
    let lead = format!("{lead}{} {mark} {:<4} ", clock(event.time), event.event_id);
    let text = match values.is_empty() {
        true => name.to_owned(),
        false => format!("{name}: {}", values.join(" ")),
    };
    wrapped(&lead, &text, out)
}

/// A field's value; a code that the record holds in decimal is shown as everyone writes it.
fn shown_value<'v>(event: &EventReport<'_>, name: &str, value: &'v str) -> Cow<'v, str> {
    let role = event.event.info().and_then(|info| info.role(name));
    let is_code = matches!(
        role,
        Some(Role::Status | Role::WamCode | Role::TransportError)
    );
    match Code::parse(value).filter(|code| is_code && code.0 != 0) {
        Some(code) => code.to_string().into(),
        None => one_line(value),
    }
}

fn other_failures(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    const SHOWN: usize = 10;
    let count = machine.other_failures.len();
    if count == 0 {
        return Ok(());
    }
    let name = display_name(machine);
    writeln!(
        out,
        "Failing events of {name} outside any window or run: {count}"
    )?;
    for failure in machine.other_failures.iter().rev().take(SHOWN).rev() {
        let mut text = event_name(failure.event_id, failure.name);
        if let Some(code) = &failure.code {
            text.push_str(&format!(", {}", one_line(code)));
        }
        // Of the broker's errors that code says least.
        if let Some(request) = TokenRequest::read(0, failure.event) {
            let client = request.client.map(|client| format!("client {client}"));
            for words in request.aadsts.into_iter().chain(client) {
                text.push_str(&format!(", {}", one_line(&words)));
            }
        }
        wrapped(&format!("  {}  ", stamp(failure.time)), &text, out)?;
    }
    if count > SHOWN {
        writeln!(out, "  (the last {SHOWN}; all are in --format json)")?;
    }
    writeln!(out)
}

/// What could not be read, of the machines and of none.
pub(super) fn problems(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let of_machines = report.machines.iter().flat_map(|machine| &machine.problems);
    let all: Vec<&ProblemReport<'_>> = of_machines.chain(&report.problems).collect();
    problems::write(&all, out)
}

pub(super) fn totals(totals: &Totals, out: &mut dyn Write) -> io::Result<()> {
    let mut text = format!(
        "{}, {}, {} ({} of ours)",
        counted(totals.machines, "machine"),
        counted(totals.logs, "log"),
        counted(totals.records_read, "record"),
        totals.events,
    );
    for (count, failed, what) in [
        (totals.windows, totals.windows_failed, "PRT window"),
        (
            totals.registrations,
            totals.registrations_failed,
            "registration run",
        ),
    ] {
        if count > 0 {
            text.push_str(&format!(", {} ({failed} failed)", counted(count, what)));
        }
    }
    if totals.duplicates > 0 {
        text.push_str(&format!(
            ", {}",
            counted(totals.duplicates, "duplicate event")
        ));
    }
    if totals.other_files > 0 {
        let files = counted(totals.other_files, "other file");
        text.push_str(&format!(", {files} passed over"));
    }
    wrapped("", &text, out)
}
