//! The report for people: the answer first, then the windows, then what could not be read.
//!
//! Plain text of 80 columns that reads the same in a terminal, in a pipe and in a mail. What comes
//! from the logs is escaped.

use super::{
    EventReport, FailureReport, MachineReport, OutcomeName, ProblemReport, PrtName, Report, Time,
    ViaName, WindowReport,
};
use crate::code::Code;
use crate::terminal::one_line;
use std::io::{self, Write};

/// Columns of the text.
const WIDTH: usize = 80;
/// Where the values of the answer stand.
const VALUES: usize = 23;

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
        writeln!(
            out,
            "No event of a sign-in or device registration provider was found."
        )?;
    }
    if report.machines.len() > 1 {
        let failing = report.machines.iter().filter(|machine| {
            newest(machine, |window| window.outcome == OutcomeName::Failed).is_some()
        });
        let (failing, all) = (failing.count(), report.machines.len());
        writeln!(
            out,
            "{failing} of {all} machines have failed PRT windows.\n"
        )?;
    }
    for machine in &report.machines {
        answer(machine, out)?;
        writeln!(out)?;
    }
    for machine in &report.machines {
        windows(machine, options, out)?;
        other_failures(machine, out)?;
    }
    problems(report, out)?;
    totals(report, out)
}

/// What an engineer on a call wants to know first.
fn answer(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let name = one_line(machine.name);
    let failing = newest(machine, |window| window.outcome == OutcomeName::Failed);
    let Some(window) = failing else {
        return healthy(machine, &name, out);
    };
    writeln!(
        out,
        "{name}: {} FAILED at {}",
        operation(window),
        stamp(window.end.time)
    )?;
    if let Some(failure) = &window.first_failure {
        let mut text = event_name(failure.event_id, failure.name);
        if let Some(code) = &failure.code {
            text.push_str(&format!(", {}", one_line(code)));
        }
        if failure.is_stop {
            text.push_str(" (nothing else failed)");
        }
        field("First failing event", &text, out)?;
        field("", &place(failure), out)?;
    }
    if let Some(decisive) = &window.decisive {
        let symbol = Code::parse(decisive.code).and_then(Code::symbol);
        let symbol = symbol.map_or(String::new(), |symbol| format!(" {symbol}"));
        let kind = decisive.kind.as_str();
        let text = format!("{}{symbol} ({kind})", one_line(decisive.code));
        field("Decisive code", &text, out)?;
    }
    sub_codes(window, out)?;
    if let Some(later) = newest(machine, |later| {
        later.outcome == OutcomeName::Succeeded && later.start.time > window.start.time
    }) {
        let text = format!("{} succeeded at {}", later.id, stamp(later.end.time));
        field("Since then", &text, out)?;
    }
    Ok(())
}

/// The newest window of the Entra token of which something holds, else of the AD FS token.
fn newest<'r, 'a>(
    machine: &'r MachineReport<'a>,
    holds: impl Fn(&WindowReport<'a>) -> bool,
) -> Option<&'r WindowReport<'a>> {
    let of = |prt| {
        let mut windows = machine.windows.iter().rev();
        windows.find(|window| window.prt == prt && holds(window))
    };
    of(PrtName::Entra).or_else(|| of(PrtName::Enterprise))
}

fn healthy(machine: &MachineReport<'_>, name: &str, out: &mut dyn Write) -> io::Result<()> {
    let events: u64 = machine.logs.iter().map(|log| log.events).sum();
    let count = machine.windows.len();
    if count == 0 {
        return writeln!(
            out,
            "{name}: no PRT acquisition or refresh in its {}",
            counted(events, "event")
        );
    }
    writeln!(
        out,
        "{name}: no failure in {}",
        counted(count as u64, "PRT window")
    )?;
    if let Some(window) = newest(machine, |window| window.outcome == OutcomeName::Succeeded) {
        let recovered = match (&window.first_failure, window.recovered) {
            (Some(failure), true) => {
                format!(", after {}", event_name(failure.event_id, failure.name))
            }
            _ => String::new(),
        };
        let text = format!(
            "{} ({}) at {}{recovered}",
            window.id,
            operation(window),
            stamp(window.end.time)
        );
        field("Last success", &text, out)?;
        if let Some(upn) = window.upn {
            field("User", &one_line(upn), out)?;
        }
    }
    Ok(())
}

fn sub_codes(window: &WindowReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    if let Some(server) = &window.server {
        let codes = server.also.iter().copied().chain(server.code);
        let codes = codes.chain(server.oauth_error).map(one_line);
        let codes: Vec<_> = codes.collect();
        field(
            "Server",
            &with_source(&codes.join(", "), server.event_id),
            out,
        )?;
        if let Some(description) = server.description {
            field("", &one_line(description), out)?;
        }
    }
    if let Some(fault) = &window.fault {
        let detail = fault.detail.map(|detail| format!(", {}", one_line(detail)));
        let text = format!("{}{}", one_line(fault.code), detail.unwrap_or_default());
        field("WS-Trust fault", &with_source(&text, fault.event_id), out)?;
        if let Some(description) = fault.description {
            field("", &one_line(description), out)?;
        }
    }
    if let Some(network) = &window.network {
        let mut text = network.code.0.to_string();
        if let Some(number) = network.number {
            text.push_str(&format!(" = {number}"));
        }
        if let Some(symbol) = network.symbol {
            text.push_str(&format!(" {symbol}"));
        }
        field("Network", &with_source(&text, network.event_id), out)?;
    }
    if let Some(http) = &window.http {
        if let Some(status) = http.status {
            let method = http
                .method
                .map_or(String::new(), |method| format!(", {}", one_line(method)));
            let text = format!("{status}{method}");
            field("HTTP status", &with_source(&text, http.event_id), out)?;
        }
        if let (Some(url), Some(event_id)) = (http.url, http.url_event_id) {
            field("URL", &with_source(&one_line(url), event_id), out)?;
        }
    }
    if let Some(status) = &window.status {
        let symbol = status
            .symbol
            .map_or(String::new(), |symbol| format!(" {symbol}"));
        let text = format!("{}{symbol}", status.code.0);
        field("Final status", &with_source(&text, status.event_id), out)?;
    }
    let user = [window.upn, window.user_sid];
    let user: Vec<_> = user.into_iter().flatten().map(one_line).collect();
    if !user.is_empty() {
        field("User", &user.join(", "), out)?;
    }
    if let Some(id) = window.correlation_id {
        field("Correlation ID", &id.0.to_string(), out)?;
    }
    field("Window", &extent(window), out)
}

/// Which window, and how much of it is there.
fn extent(window: &WindowReport<'_>) -> String {
    use super::EdgeName::{Inferred, Missing};
    let mut text = format!(
        "{}, {}",
        window.id,
        counted(window.events.len() as u64, "event")
    );
    if let (Some(process), Some(thread)) = (window.process_id, window.thread_id) {
        text.push_str(&format!(", process {process}, thread {thread}"));
    }
    text.push_str(match (window.start.boundary, window.end.boundary) {
        (Inferred, _) => ", no boundary logged",
        (Missing, _) => ", its start is lost",
        (_, Missing) => ", its end is lost",
        _ => "",
    });
    if window.pairing != ViaName::Thread && window.start.boundary != Inferred {
        text.push_str(&format!(", paired by {}", window.pairing.as_str()));
    } else if window.start.boundary == Inferred {
        text.push_str(&format!(
            ": brought together by {}",
            window.pairing.as_str()
        ));
    }
    text
}

fn windows(machine: &MachineReport<'_>, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let shown: Vec<&WindowReport<'_>> = machine
        .windows
        .iter()
        .filter(|window| options.all || worth_showing(window))
        .collect();
    if shown.is_empty() {
        return Ok(());
    }
    let count = machine.windows.len();
    let failed = machine
        .windows
        .iter()
        .filter(|w| w.outcome == OutcomeName::Failed)
        .count();
    let name = one_line(machine.name);
    writeln!(out, "Windows of {name}: {failed} failed of {count}")?;
    let newest_failed = newest(machine, |window| window.outcome == OutcomeName::Failed);
    for window in shown {
        window_line(window, out)?;
        let is_answer = newest_failed.is_some_and(|newest| newest.id == window.id);
        if options.all || is_answer {
            for event in &window.events {
                event_line(event, "    ", out)?;
            }
            for event in &window.related {
                event_line(event, "  ~ ", out)?;
            }
        }
    }
    if !options.all && machine.windows.iter().any(|window| !worth_showing(window)) {
        writeln!(
            out,
            "  (--all shows those that succeeded, and the events of each)"
        )?;
    }
    writeln!(out)
}

fn worth_showing(window: &WindowReport<'_>) -> bool {
    window.outcome != OutcomeName::Succeeded
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
        .map(|(name, value)| format!("{}={}", one_line(name), one_line(value)))
        .collect();
    let lead = format!("{lead}{} {mark} {:<4} ", clock(event.time), event.event_id);
    let text = match values.is_empty() {
        true => name.to_owned(),
        false => format!("{name}: {}", values.join(" ")),
    };
    wrapped(&lead, &text, out)
}

fn other_failures(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    const SHOWN: usize = 10;
    let count = machine.other_failures.len();
    if count == 0 {
        return Ok(());
    }
    let name = one_line(machine.name);
    writeln!(out, "Failing events of {name} outside any window: {count}")?;
    for failure in machine.other_failures.iter().rev().take(SHOWN).rev() {
        let mut text = event_name(failure.event_id, failure.name);
        if let Some(code) = &failure.code {
            text.push_str(&format!(", {}", one_line(code)));
        }
        wrapped(&format!("  {}  ", stamp(failure.time)), &text, out)?;
    }
    if count > SHOWN {
        writeln!(out, "  (the last {SHOWN}; all are in --format json)")?;
    }
    writeln!(out)
}

fn problems(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let of_machines = report.machines.iter().flat_map(|machine| &machine.problems);
    let all: Vec<&ProblemReport<'_>> = of_machines.chain(&report.problems).collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "Problems: {}", all.len())?;
    for problem in all {
        let at = problem
            .offset
            .map_or(String::new(), |offset| format!(" at byte {offset}"));
        let lost = match problem.lost_bytes {
            0 => String::new(),
            bytes => format!(" ({} lost)", counted(bytes, "byte")),
        };
        let text = format!(
            "{}{at}: {}{lost}",
            one_line(problem.path),
            one_line(problem.detail)
        );
        wrapped("  ", &text, out)?;
    }
    writeln!(out)
}

fn totals(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
    let mut text = format!(
        "{}, {}, {} of which {} of ours, {} ({} failed)",
        counted(totals.machines, "machine"),
        counted(totals.logs, "log"),
        counted(totals.records_read, "record"),
        totals.events,
        counted(totals.windows, "PRT window"),
        totals.windows_failed,
    );
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

fn operation(window: &WindowReport<'_>) -> String {
    let token = match window.prt {
        PrtName::Entra => "PRT",
        PrtName::Enterprise => "AD FS PRT",
    };
    let what = match window.operation {
        super::OperationName::Acquire => "acquisition",
        super::OperationName::Refresh => "refresh",
    };
    format!("{token} {what}")
}

fn event_name(event_id: u32, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{event_id} {name}"),
        None => format!("{event_id} (unknown event)"),
    }
}

/// Where an event can be looked up.
fn place(failure: &FailureReport<'_>) -> String {
    let channel = failure.channel.trim_start_matches("Microsoft-Windows-");
    format!(
        "{}, record {}, {}",
        one_line(channel),
        failure.record_id,
        clock(failure.time)
    )
}

fn with_source(text: &str, event_id: u32) -> String {
    format!("{text} [{event_id}]")
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn stamp(time: Time) -> String {
    time.0.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}

fn clock(time: Time) -> String {
    time.0.format("%H:%M:%S%.3fZ").to_string()
}

fn field(label: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let gap = VALUES - 2;
    wrapped(&format!("  {label:<gap$}"), text, out)
}

/// Writes text after a lead, broken at blanks, later lines under the first. A word that is longer
/// than the line stays whole, so that a URL can be copied.
fn wrapped(lead: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
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
