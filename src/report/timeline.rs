//! Every event of a machine in order, with the window or run it belongs to.

use super::layout::{clock, display_name, wrapped};
use super::text::problems;
use super::{EventReport, MachineReport, Report};
use crate::base::terminal::one_line;
use crate::facts::Role;
use crate::facts::code::Code;
use std::io::{self, Write};

/// Writes the timeline of every machine.
///
/// A line is: time, window or run (`~` marks a related event), `!` for a failure, event, values.
///
/// # Errors
///
/// Those of the writer.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    if report.machines.is_empty() {
        writeln!(out, "No event to show.")?;
    }
    for (number, machine) in report.machines.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", display_name(machine))?;
        let mut date = None;
        for (mark, event) in marked(machine) {
            let day = event.time.0.date_naive();
            if date.replace(day) != Some(day) {
                writeln!(out, "  {day}")?;
            }
            line(&mark, &event, out)?;
        }
    }
    problems(report, out)
}

/// The machine's events in their total order.
fn marked<'a>(machine: &MachineReport<'a>) -> Vec<(String, EventReport<'a>)> {
    let mut events: Vec<(String, EventReport<'a>)> = Vec::new();
    for window in machine.windows.iter() {
        events.extend(
            window
                .events
                .iter()
                .map(|event| (window.id.to_string(), event)),
        );
        let related = window.related.iter();
        events.extend(related.map(|event| (format!("~{}", window.id), event)));
    }
    for run in &machine.registrations {
        let members = run.events.iter().cloned();
        events.extend(members.map(|event| (run.id.to_string(), event)));
    }
    let others = machine.other_events.iter().cloned();
    events.extend(others.map(|event| (String::new(), event)));
    events.sort_by_key(|(_, event)| event.place);
    events
}

fn line(mark: &str, event: &EventReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let failure = if event.failure { '!' } else { ' ' };
    let lead = format!(
        "    {} {mark:<4}{failure} {:<4} ",
        clock(event.time),
        event.event_id
    );
    let mut words = vec![event.name.unwrap_or("(unknown event)").to_owned()];
    let values = event.data.iter().filter(|(_, value)| !value.is_empty());
    words.extend(values.map(|(name, value)| value_words(event, name, value)));
    words.extend(event.housekeeping.map(|reason| format!("({reason})")));
    wrapped(&lead, &words.join(" "), out)
}

/// A value with what it is, where its name does not say so, and what its code means.
fn value_words(event: &EventReport<'_>, name: &str, value: &str) -> String {
    let role = event.event.info().and_then(|info| info.role(name));
    let code = match role {
        Some(Role::Status | Role::WamCode | Role::TransportError) => Code::parse(value),
        _ => None,
    };
    let shown = match code {
        Some(code) => match code.symbol() {
            Some(symbol) => format!("{code} ({symbol})"),
            None => code.to_string(),
        },
        None => one_line(value).into_owned(),
    };
    let said = |word: &str| name.to_lowercase().contains(word);
    let role = match role {
        Some(Role::Upn) if !said("user") && !said("upn") => " [user]",
        Some(Role::CorrelationId) if !said("correlation") => " [correlation ID]",
        Some(Role::HttpStatus) if !said("http") => " [HTTP status]",
        Some(Role::Url) if !said("ur") => " [URL]",
        Some(Role::CredentialType) if !said("credential") => " [credential type]",
        Some(Role::DebugOutput) if !said("debug") => " [debug output]",
        _ => "",
    };
    format!("{}={shown}{role}", one_line(name))
}
