//! How the text is laid out: labels and values in 80 columns, and the small words.

use super::{FailureReport, MachineReport, OperationName, PrtName, Time, WindowReport};
pub(super) use crate::base::problem::counted;
use crate::base::terminal::one_line;
use std::borrow::Cow;
use std::io::{self, Write};

/// Columns of the text.
const WIDTH: usize = 80;
/// Where the values of the answer stand.
const VALUES: usize = 23;

pub(super) fn operation(window: &WindowReport<'_>) -> String {
    let token = match window.prt {
        PrtName::Entra => "PRT",
        PrtName::Enterprise => "AD FS PRT",
    };
    let what = match window.operation {
        OperationName::Acquire => "acquisition",
        OperationName::Refresh => "refresh",
    };
    format!("{token} {what}")
}

pub(super) fn event_name(event_id: u32, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{event_id} {name}"),
        None => format!("{event_id} (unknown event)"),
    }
}

/// Where an event can be looked up.
pub(super) fn place(failure: &FailureReport<'_>) -> String {
    let channel = failure.channel.trim_start_matches("Microsoft-Windows-");
    format!(
        "{}, record {}, {}",
        one_line(channel),
        failure.record_id,
        clock(failure.time)
    )
}

pub(super) fn with_source(text: &str, event_id: u32) -> String {
    format!("{text} [{event_id}]")
}

/// A number with its thousands parted.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut parted = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            parted.push(',');
        }
        parted.push(digit);
    }
    parted
}

pub(super) fn stamp(time: Time) -> String {
    time.0.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}

pub(super) fn clock(time: Time) -> String {
    time.0.format("%H:%M:%S%.3fZ").to_string()
}

/// A line of the answer: a label and its value.
pub(crate) fn field(label: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let gap = VALUES - 2;
    wrapped(&format!("  {label:<gap$}"), text, out)
}

/// Writes text after a lead, broken at blanks, later lines under the first. A word that is longer
/// than the line stays whole, so that a URL can be copied.
pub(crate) fn wrapped(lead: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let indent = lead.chars().count();
    let mut line = lead.to_owned();
    let mut column = indent;
    let mut fresh = true;
    for word in text.split(' ') {
        let width = word.chars().count();
        if !fresh && column + 1 + width > WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line = " ".repeat(indent);
            column = indent;
            fresh = true;
        }
        if !fresh {
            line.push(' ');
            column += 1;
        }
        line.push_str(word);
        column += width;
        fresh = false;
    }
    writeln!(out, "{}", line.trim_end())
}

/// The numbered next steps.
pub(crate) fn steps(steps: &[&str], out: &mut dyn Write) -> io::Result<()> {
    for (number, step) in steps.iter().enumerate() {
        let label = if number == 0 { "Next steps" } else { "" };
        let lead = format!("  {label:<width$}{}. ", number + 1, width = VALUES - 2);
        wrapped(&lead, step, out)?;
    }
    Ok(())
}

/// A machine's name for people, with where it was found if another one has the same.
pub(crate) fn display_name<'m>(machine: &MachineReport<'m>) -> Cow<'m, str> {
    match machine.sources.first() {
        Some(source) if machine.shares_name => {
            format!("{} ({})", one_line(machine.name), one_line(source)).into()
        }
        _ => one_line(machine.name),
    }
}
