//! The report for people on more machines than anyone reads one by one: which few causes explain
//! the failing ones, each with an example's evidence, then a line for each machine.

use super::Narrow;
use super::layout::{display_name, event_name, field, number, stamp, wrapped};
use super::problems::ByKind;
use super::text::{Told, newest_failed_run, states, told, totals};
use super::{GroupReport, MachineReport, RunReport, StateName, Totals, WindowReport, stream};
use crate::base::terminal::one_line;
use crate::facts::code::Code;
use crate::machine::Scan;
use crate::report::groups::{self, Signatures};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Of up to so many machines each one's answer is told.
pub const MOST_ANSWERS: usize = 20;

/// Groups that are told at length, and others that get a line.
const MOST_GROUPS: usize = 40;
/// Columns of a code, and of those beside it, in the table: what is longer is cut, and whole in the
/// other formats.
const CODE: usize = 28;
const SUB_CODES: usize = 72;

/// Writes the report and says the totals.
///
/// # Errors
///
/// Those of the writer.
pub fn write(mut scan: Scan, narrow: Option<&Narrow>, out: &mut dyn Write) -> io::Result<Totals> {
    let streamed = stream::each_machine(&mut scan, narrow, |machine, _| Ok(Row::of(machine)), out)?;
    let (summary, mut rows) = streamed.finish(&scan);
    let count = number(rows.len() as u64);
    let standing = states(rows.iter().map(|row| row.state));
    wrapped("", &format!("{count} machines: {standing}"), out)?;

    let mut groups = summary.groups;
    groups.sort_by_key(|group| Reverse((standing_of(group), group.failing)));
    match groups.iter().filter(|group| group.failing > 0).count() as u64 {
        0 => writeln!(out)?,
        1 => writeln!(out, "1 cause explains all that fail.\n")?,
        failing => {
            let failing = number(failing);
            writeln!(
                out,
                "{failing} causes explain all that fail, by number of machines:\n"
            )?;
            at_a_glance(&groups, out)?;
        }
    }
    all_groups(&groups, out)?;

    let mut problems = ByKind::default();
    for row in &mut rows {
        problems.merge(std::mem::take(&mut row.problems));
    }
    for problem in &summary.problems {
        problems.add(problem);
    }
    let numbers = groups.iter().zip(1..);
    let numbers = numbers.map(|(group, number)| (group.signature.as_str(), number));
    table(rows, &numbers.collect(), out)?;
    problems.write(out)?;
    totals(&summary.totals, out)?;
    writeln!(
        out,
        "--machine NAME shows all that is known of one machine."
    )?;
    Ok(summary.totals)
}

/// Where a group stands in the text, the last first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Earlier,
    Downstream,
    Failing,
}

fn standing_of(group: &GroupReport) -> Standing {
    match (group.failing, group.token_requests) {
        (0, 0) => Standing::Earlier,
        (0, _) => Standing::Downstream,
        _ => Standing::Failing,
    }
}

/// A line for each cause, so that the first of them are seen at once.
fn at_a_glance(groups: &[GroupReport], out: &mut dyn Write) -> io::Result<()> {
    let failing = groups.iter().filter(|group| group.failing > 0);
    let lines = failing.zip(1..).take(MOST_GROUPS).map(|(group, place)| {
        let count = number(group.failing);
        [
            format!("{place:>3}."),
            format!("{count:>7}"),
            group.class.as_str().to_owned(),
            title(group),
        ]
    });
    aligned(&lines.collect::<Vec<_>>(), out)
}

fn all_groups(groups: &[GroupReport], out: &mut dyn Write) -> io::Result<()> {
    let of = |standing| {
        let numbered = groups.iter().zip(1_u64..);
        numbered.filter(move |(group, _)| standing_of(group) == standing)
    };
    for (group, number) in of(Standing::Failing).take(MOST_GROUPS) {
        at_length(group, number, out)?;
        writeln!(out)?;
    }
    more(of(Standing::Failing).map(|(group, _)| group), out)?;
    for (standing, heading) in [
        (
            Standing::Downstream,
            "The PRT is healthy, but token requests fail:",
        ),
        (
            Standing::Earlier,
            "Earlier failures, made up for or followed by another:",
        ),
    ] {
        let mut shown = of(standing).take(MOST_GROUPS).peekable();
        if shown.peek().is_none() {
            continue;
        }
        writeln!(out, "{heading}")?;
        for (group, number) in shown {
            in_short(group, number, out)?;
        }
        more(of(standing).map(|(group, _)| group), out)?;
        writeln!(out)?;
    }
    Ok(())
}

/// How many groups were too many.
fn more<'g>(groups: impl Iterator<Item = &'g GroupReport>, out: &mut dyn Write) -> io::Result<()> {
    let left = groups.skip(MOST_GROUPS).count() as u64;
    match left {
        0 => Ok(()),
        _ => {
            let left = counted(left, "more group");
            writeln!(out, "  and {left}: --format json has all")
        }
    }
}

fn at_length(group: &GroupReport, place: u64, out: &mut dyn Write) -> io::Result<()> {
    let machines = counted(group.failing, "machine");
    let headline = format!("{machines} failing: {}", long_title(group));
    wrapped(&format!("{place}. "), &headline, out)?;
    match group.also.is_empty() {
        true => field("What it means", &one_line(&group.summary), out)?,
        false => {
            let others: usize = group.also.iter().map(|other| other.machines.len()).sum();
            let most = (group.machines.len() - others) as u64;
            let most = format!(
                "On {}: {}",
                counted(most, "machine"),
                one_line(&group.summary)
            );
            field("What it means", &most, out)?;
        }
    }
    field(
        "Class",
        &format!("{}, {}", group.class.as_str(), group.stage),
        out,
    )?;
    if let Some(step) = group.next_steps.first() {
        field("First step", step, out)?;
    }
    for other in &group.also {
        let text = format!(
            "On {}: {}",
            named(&other.machines),
            one_line(&other.summary)
        );
        field("It may also mean", &text, out)?;
        if let Some(step) = other.next_steps.first() {
            field("First step then", step, out)?;
        }
    }
    for behind in &group.explained_by {
        let text = format!(
            "{} on {}",
            one_line(&behind.signature),
            named(&behind.machines)
        );
        field("Failed registration", &text, out)?;
    }
    field("Seen", &seen(group), out)?;
    field("", &how_often(group), out)?;
    let example = &group.example;
    let id = example.id.map_or(String::new(), |id| format!(" {id}"));
    let name = one_line(&example.machine);
    field(
        "Example",
        &format!("{name}{id}, {}", stamp(example.time)),
        out,
    )?;
    if let Some(event_id) = example.event_id {
        let code = example.code.as_deref();
        let code = code.map_or(String::new(), |code| format!(", {}", one_line(code)));
        field(
            "",
            &format!("{}{code}", event_name(event_id, example.name)),
            out,
        )?;
    }
    if let (Some(channel), Some(record)) = (&example.channel, example.record_id) {
        let channel = channel.trim_start_matches("Microsoft-Windows-");
        field("", &format!("{}, record {record}", one_line(channel)), out)?;
    }
    field("Signature", &one_line(&group.signature), out)
}

fn in_short(group: &GroupReport, place: u64, out: &mut dyn Write) -> io::Result<()> {
    let machines = counted(group.machines.len() as u64, "machine");
    let text = format!(
        "{machines}: {}. {} Last {}.",
        title(group),
        one_line(&group.summary),
        stamp(group.last_seen)
    );
    wrapped(&format!("{place}. "), &text, out)
}

/// Machines by name if they are few, else their number.
fn named(machines: &[String]) -> String {
    match machines.len() {
        0..=3 => {
            let names: Vec<_> = machines.iter().map(|name| one_line(name)).collect();
            names.join(", ")
        }
        count => counted(count as u64, "machine"),
    }
}

/// A signature in words.
fn title(group: &GroupReport) -> String {
    let mut parts = group.signature.split('/');
    let what = match parts.next() {
        Some("acquire") => "PRT acquisition".to_owned(),
        Some("refresh") => "PRT refresh".to_owned(),
        Some("enterprise-acquire") => "AD FS PRT acquisition".to_owned(),
        Some("enterprise-refresh") => "AD FS PRT refresh".to_owned(),
        Some("registration") => match parts.next() {
            None | Some("none") => "device registration".to_owned(),
            Some(phase) => format!("device registration at {phase}"),
        },
        _ => "token requests".to_owned(),
    };
    let code = group.example.decisive.as_ref();
    code.map_or(what.clone(), |code| {
        format!("{what}, {}", cut(&one_line(code), CODE))
    })
}

/// The same with the code's symbol.
fn long_title(group: &GroupReport) -> String {
    let code = group.example.decisive.as_deref();
    let symbol = code.and_then(Code::parse).and_then(Code::symbol);
    let symbol = symbol.map_or(String::new(), |symbol| format!(" {symbol}"));
    format!("{}{symbol}", title(group))
}

fn seen(group: &GroupReport) -> String {
    match group.first_seen == group.last_seen {
        true => stamp(group.first_seen),
        false => format!("{} to {}", stamp(group.first_seen), stamp(group.last_seen)),
    }
}

fn how_often(group: &GroupReport) -> String {
    let mut words = vec![format!(
        "on {}",
        counted(group.machines.len() as u64, "machine")
    )];
    for (count, what) in [
        (group.windows, "window"),
        (group.registrations, "registration run"),
    ] {
        if count > 0 {
            words.push(counted(count, what));
        }
    }
    words.join(", ")
}

/// A machine's line of the table.
struct Row {
    name: String,
    state: StateName,
    /// The signature of the failure that the machine's answer tells.
    signature: Option<String>,
    event: Option<u32>,
    code: Option<String>,
    others: String,
    problems: ByKind,
}

impl Row {
    fn of(machine: &MachineReport<'_>) -> Row {
        let mut row = Row {
            name: display_name(machine).into_owned(),
            state: machine.diagnosis.state,
            signature: None,
            event: None,
            code: None,
            others: String::new(),
            problems: ByKind::default(),
        };
        for problem in &machine.problems {
            row.problems.add(problem);
        }
        let signatures = Signatures::of(machine);
        // Of a run that was not possible since, the failed one before tells more.
        let run = || newest_failed_run(machine).map(Told::Run);
        let told = told(machine).or_else(run);
        let (id, first, decisive) = match &told {
            _ if machine.downstream.is_some() => (None, None, None),
            Some(Told::Window(window)) => {
                row.others = of_window(window);
                let (first, decisive) = (&window.first_failure, &window.decisive);
                (Some(window.id), first.as_ref(), decisive.as_ref())
            }
            Some(Told::Run(run)) => {
                row.others = of_run(run);
                let (first, decisive) = (&run.first_failure, &run.decisive);
                (Some(run.id), first.as_ref(), decisive.as_ref())
            }
            None => (None, None, None),
        };
        row.signature = id.and_then(|id| signatures.group(id)).map(str::to_owned);
        row.event = first.map(|first| first.event_id);
        row.code = decisive.map(|decisive| decisive.code.to_owned());
        if let Some(downstream) = &machine.downstream {
            row.signature = Some(groups::of_downstream(downstream));
            row.event = Some(downstream.event.event_id);
            row.code = Some(downstream.code.clone().into_owned());
        }
        row
    }
}

/// The codes beside the decisive one.
fn of_window(window: &WindowReport<'_>) -> String {
    let server = window.server.as_ref();
    let fault = window.fault.as_ref();
    let mut codes: Vec<String> = Vec::new();
    if let Some(server) = server {
        let also = server.also.iter().copied().chain(server.code);
        codes.extend(also.chain(server.oauth_error).map(str::to_owned));
    }
    if let Some(fault) = fault {
        codes.extend(
            [Some(fault.code), fault.detail]
                .into_iter()
                .flatten()
                .map(str::to_owned),
        );
    }
    if let Some(network) = &window.network {
        codes.push(network.code.0.to_string());
        codes.extend(network.number.map(|number| number.to_string()));
    }
    let http = window.http.as_ref().and_then(|http| http.status);
    codes.extend(http.map(|status| format!("HTTP {status}")));
    codes.extend(
        window
            .status
            .as_ref()
            .map(|status| status.code.0.to_string()),
    );
    others(
        codes,
        window.decisive.as_ref().map(|decisive| decisive.code),
    )
}

fn of_run(run: &RunReport<'_>) -> String {
    let mut codes: Vec<String> = Vec::new();
    if let Some(server) = &run.server {
        let also = server.code.into_iter().chain(server.also.iter().copied());
        codes.extend(also.map(str::to_owned));
        codes.extend(server.http_status.map(|status| format!("HTTP {status}")));
    }
    if let Some(sub_error) = &run.sub_error {
        codes.push(sub_error.code.0.to_string());
        codes.extend(sub_error.number.map(|number| number.to_string()));
    }
    let adal = run.adal.as_ref().and_then(|adal| adal.code);
    codes.extend(adal.map(|code| code.0.to_string()));
    codes.extend(
        run.win32
            .as_ref()
            .map(|win32| format!("Win32 {}", win32.number)),
    );
    codes.extend(run.exit_code.as_ref().map(|exit| exit.code.0.to_string()));
    others(codes, run.decisive.as_ref().map(|decisive| decisive.code))
}

fn others(mut codes: Vec<String>, decisive: Option<&str>) -> String {
    let mut seen: Vec<String> = Vec::new();
    codes.retain(|code| {
        let is_new = Some(code.as_str()) != decisive && !seen.contains(code);
        seen.push(code.clone());
        is_new
    });
    let codes: Vec<Cow<'_, str>> = codes.iter().map(|code| one_line(code)).collect();
    codes.join(", ")
}

/// A line for each machine, what fails first, then by name.
fn table(mut rows: Vec<Row>, numbers: &HashMap<&str, u64>, out: &mut dyn Write) -> io::Result<()> {
    rows.sort_by_key(|row| match row.state {
        StateName::Failing => 0,
        StateName::Recovered => 1,
        StateName::NoEvidence => 2,
        StateName::Healthy => 3,
    });
    let domain = common_domain(&rows);
    let named = |row: &Row| {
        let name = domain.and_then(|domain| row.name.get(..row.name.len() - domain.len()));
        one_line(name.unwrap_or(&row.name)).into_owned()
    };
    if let Some(domain) = domain {
        writeln!(
            out,
            "All in {}:\n",
            one_line(domain.trim_start_matches('.'))
        )?;
    }
    let mut lines = vec![[
        "Machine".into(),
        "State".into(),
        "Cause".into(),
        "First".into(),
        "Decisive code".into(),
        "Sub-codes".into(),
    ]];
    let none = || "-".to_owned();
    lines.extend(rows.iter().map(|row| {
        let signature = row.signature.as_deref();
        let place = signature.and_then(|signature| numbers.get(signature));
        [
            named(row),
            row.state.as_str().replace('_', " "),
            place.map_or_else(none, u64::to_string),
            row.event.map_or_else(none, |event| event.to_string()),
            row.code
                .as_deref()
                .map_or_else(none, |code| cut(&one_line(code), CODE)),
            cut(&row.others, SUB_CODES),
        ]
    }));
    aligned(&lines, out)
}

/// Writes lines of cells under one another, and an empty line.
fn aligned<const COLUMNS: usize>(
    lines: &[[String; COLUMNS]],
    out: &mut dyn Write,
) -> io::Result<()> {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    });
    for line in lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    writeln!(out)
}

/// The domain that all machines' names end with, with its dot.
fn common_domain(rows: &[Row]) -> Option<&str> {
    let domain = |row: &'_ Row| row.name.find('.').filter(|at| *at > 0);
    let first = rows.first()?;
    let common = first.name.get(domain(first)?..)?;
    let shared = rows
        .iter()
        .all(|row| domain(row).and_then(|at| row.name.get(at..)) == Some(common));
    shared.then_some(common)
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", number(count)),
    }
}

/// A text that fits a column.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    // Added up, for the width of every prefix would take quadratic time.
    let mut width = 0;
    for character in text.chars() {
        width += character.width().unwrap_or(0);
        if width >= columns {
            break;
        }
        cut.push(character);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::cut;
    use crate::base::terminal::one_line;

    #[test]
    fn a_cell_has_no_more_characters_than_fit() {
        assert_eq!(cut("invalid_grant", 28), "invalid_grant");
        assert_eq!(cut("invalid_grant", 8), "invalid…");
        assert_eq!(cut("日本語のエラー", 8), "日本語…");
        let hostile = format!("a{}{}", "\u{301}".repeat(12_000), "b".repeat(100));
        let cell = cut(&one_line(&hostile), 28);
        assert!(cell.starts_with("a\u{301}") && cell.ends_with('…'));
        assert!(cell.chars().count() <= 28 * 5);
    }
}
