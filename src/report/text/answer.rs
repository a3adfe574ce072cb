//! A machine's answer: its headline, what it means, the evidence, and what to do.

use super::ticket::{downstream_ticket, run_ticket, ticket, window_ticket};
use crate::base::terminal::one_line;
use crate::base::time::Time;
use crate::conclude::answers::other_operation;
use crate::facts::code::Code;
use crate::report::layout::{
    counted, display_name, event_name, field, operation, place, stamp, steps, with_source, wrapped,
};
use crate::report::{
    AdalReport, AttemptReport, DecisiveReport, DiagnosisReport, DrsReport, FailureReport, Id,
    MachineReport, NetworkReport, OutcomeName, PrtName, ReasonName, RunOutcomeName, RunReport,
    StateName, StatusReport, TokenRequestReport, UserReport, ViaName, WindowReport,
};
use chrono::TimeDelta;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// How old a token is when the plug-in renews it.
const REFRESH_AFTER: TimeDelta = TimeDelta::hours(4);

/// The failure that a machine's answer tells.
pub(in crate::report) enum Told<'r, 'a> {
    Window(Box<WindowReport<'a>>),
    Run(&'r RunReport<'a>),
}

/// What an engineer on a call wants to know first: the failure that the machine's state is about,
/// or the newest that was made up for; nothing of a machine on which no window failed.
pub(in crate::report) fn told<'r, 'a>(machine: &'r MachineReport<'a>) -> Option<Told<'r, 'a>> {
    let is_of = |id: Id| machine.diagnosis.of == Some(id);
    if let Some(run) = machine.registrations.iter().find(|run| is_of(run.id))
        && run.outcome == RunOutcomeName::Failed
    {
        return Some(Told::Run(run));
    }
    let newest = |holds: &dyn Fn(Id) -> bool| {
        newest(machine, OutcomeName::Failed, |window| holds(window.id))
    };
    let window = newest(&is_of).or_else(|| newest(&|_| true))?;
    Some(Told::Window(Box::new(window)))
}

pub(super) fn answer(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let name = display_name(machine);
    match told(machine) {
        // What failed before is made up for; this is not.
        _ if machine.downstream.is_some() => no_failure(machine, &name, out),
        Some(Told::Run(run)) => run_answer(machine, run, &name, out),
        Some(Told::Window(window)) => window_answer(machine, &window, &name, out),
        None => no_failure(machine, &name, out),
    }
}

pub(in crate::report) fn newest_failed_run<'r, 'a>(
    machine: &'r MachineReport<'a>,
) -> Option<&'r RunReport<'a>> {
    let mut runs = machine.registrations.iter().rev();
    runs.find(|run| run.outcome == RunOutcomeName::Failed)
}

fn window_answer(
    machine: &MachineReport<'_>,
    window: &WindowReport<'_>,
    name: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let later = success_after(machine, window);
    let mut what = operation(window);
    if let (Some(upn), true) = (window.upn, machine.users.len() > 1) {
        what.push_str(&format!(" of {}", one_line(upn)));
    }
    let failed = stamp(window.end.time);
    let headline = match &later {
        Some(later) => {
            let succeeded = stamp(later.end.time);
            format!("{what} failed at {failed}, and succeeded at {succeeded}")
        }
        None => format!("{what} FAILED at {failed}"),
    };
    wrapped(&format!("{name}: "), &headline, out)?;
    also_known_as(machine, out)?;
    meaning(window.diagnosis.as_ref(), out)?;
    first_failure(window.first_failure.as_ref(), out)?;
    decisive(window.decisive.as_ref(), out)?;
    sub_codes(window, out)?;
    for link in &window.registrations {
        let mut runs = machine.registrations.iter();
        if let Some(run) = runs.find(|run| run.id == link.id) {
            let why = match link.reason {
                ReasonName::Explains => "explains it",
                ReasonName::Correlation => "made the same request",
                ReasonName::Time => "ran at the same time",
            };
            let text = format!("{} {why}: {}", run.id, run_words(run));
            field("Registration", &text, out)?;
            // What to do begins with it.
            if let (Some(diagnosis), ReasonName::Explains) = (&run.diagnosis, link.reason) {
                field("", &one_line(diagnosis.summary), out)?;
                for (number, step) in diagnosis.next_steps.iter().enumerate() {
                    field("", &format!("{}. {step}", number + 1), out)?;
                }
            }
        }
    }
    match (window.prt, &later) {
        (PrtName::Enterprise, _) => last_success(machine, out)?,
        (PrtName::Entra, Some(_)) => {}
        (PrtName::Entra, None) => {
            let user = user_of(machine, window);
            if let Some(time) = user.and_then(|user| user.last_success) {
                field("Last success", &stamp(time), out)?;
            }
        }
    }
    users(machine, out)?;
    next_steps(window.diagnosis.as_ref(), out)?;
    ticket(machine, window_ticket(machine, window), out)
}

/// What it means, in one sentence.
fn meaning(diagnosis: Option<&DiagnosisReport<'_>>, out: &mut dyn Write) -> io::Result<()> {
    match diagnosis {
        Some(diagnosis) => field("What it means", &one_line(diagnosis.summary), out),
        None => Ok(()),
    }
}

fn next_steps(diagnosis: Option<&DiagnosisReport<'_>>, out: &mut dyn Write) -> io::Result<()> {
    let Some(diagnosis) = diagnosis else {
        return Ok(());
    };
    let because = format!("{}: {}", diagnosis.class.as_str(), diagnosis.because);
    field("Class", &because, out)?;
    steps(diagnosis.next_steps, out)
}

fn also_known_as(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    if machine.also_known_as.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = machine
        .also_known_as
        .iter()
        .map(|name| one_line(name))
        .collect();
    field("Also known as", &names.join(", "), out)
}

/// How the token of each user stands, if there are several.
fn users(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    const SHOWN: usize = 8;
    if machine.users.len() < 2 {
        return Ok(());
    }
    for (number, user) in machine.users.iter().take(SHOWN).enumerate() {
        let label = if number == 0 { "Users" } else { "" };
        let token = match user.prt {
            PrtName::Entra => "",
            PrtName::Enterprise => " (AD FS)",
        };
        let state = user.state.as_str().replace('_', " ");
        let mut text = format!("{}{token}: {state}", one_line(user.user));
        if let Some(time) = user.last_success {
            text.push_str(&format!(", last success {}", stamp(time)));
        }
        let requests = user.token_requests.iter().map(|request| request.last);
        if let (Some(last), StateName::NoEvidence) = (requests.max(), user.state) {
            text.push_str(&format!(
                " of a PRT; token requests fail, last {}",
                stamp(last)
            ));
        }
        field(label, &text, out)?;
    }
    match machine.users.len().checked_sub(SHOWN) {
        Some(more @ 1..) => field("", &format!("and {more} more"), out),
        _ => Ok(()),
    }
}

/// The strand that a window belongs to.
fn user_of<'r, 'a>(
    machine: &'r MachineReport<'a>,
    window: &WindowReport<'_>,
) -> Option<&'r UserReport<'a>> {
    let mut users = machine.users.iter();
    users.find(|user| user.windows.contains(&window.id))
}

/// The newest success after a window. Another user's success says nothing of this one.
fn success_after<'a>(
    machine: &MachineReport<'a>,
    window: &WindowReport<'a>,
) -> Option<WindowReport<'a>> {
    let user = user_of(machine, window)?;
    newest(machine, OutcomeName::Succeeded, |later| {
        later.end.time > window.end.time && user.windows.contains(&later.id)
    })
}

fn run_answer(
    machine: &MachineReport<'_>,
    run: &RunReport<'_>,
    name: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let headline = format!("device registration FAILED at {}", stamp(run.end));
    wrapped(&format!("{name}: "), &headline, out)?;
    also_known_as(machine, out)?;
    meaning(run.diagnosis.as_ref(), out)?;
    first_failure(run.first_failure.as_ref(), out)?;
    decisive(run.decisive.as_ref(), out)?;
    if let Some(phase) = run.phase {
        field("Phase", phase.as_str(), out)?;
    }
    if let Some(exit) = &run.exit_code {
        field("Exit code", &status_words(exit), out)?;
    }
    if let Some(sub_error) = &run.sub_error {
        field("Sub-error", &network_words(sub_error), out)?;
    }
    if let Some(win32) = &run.win32 {
        let symbol = win32
            .symbol
            .map_or(String::new(), |symbol| format!(" {symbol}"));
        let text = format!("{}{symbol}", win32.number);
        field("Computer object", &with_source(&text, win32.event_id), out)?;
    }
    drs_words(run.server.as_ref(), out)?;
    adal_words(run.adal.as_ref(), out)?;
    if run.proxy_page {
        field(
            "Proxy",
            "a web page came in the place of the discovery answer [201]",
            out,
        )?;
    }
    if run.attempts.len() > 1 {
        let attempts: Vec<String> = run.attempts.iter().map(attempt_words).collect();
        field("Attempts", &attempts.join("; "), out)?;
    }
    if let Some(tenant) = run.tenant {
        let kind = run
            .tenant_type
            .map_or(String::new(), |kind| format!(", {}", one_line(kind)));
        field("Tenant", &format!("{}{kind}", one_line(tenant)), out)?;
    }
    let process = run
        .process_id
        .map_or(String::new(), |id| format!(", process {id}"));
    let events = counted(run.events.len() as u64, "event");
    field(
        "Run",
        &format!("{}, {}, {events}{process}", run.id, run.kind.as_str()),
        out,
    )?;
    since(machine, run, out)?;
    match machine.windows.len() {
        // Windows may have been left out.
        0 if machine.is_part => {}
        0 => {
            let text = "no registration, no PRT; no request for one is in these events";
            field("PRT", text, out)?;
            evidence(machine, out)?;
        }
        _ => last_success(machine, out)?,
    }
    next_steps(run.diagnosis.as_ref(), out)?;
    ticket(machine, run_ticket(run), out)
}

/// What came after the newest failed run and neither failed nor succeeded.
fn since(machine: &MachineReport<'_>, run: &RunReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let later = || {
        machine
            .registrations
            .iter()
            .filter(|later| later.start > run.start)
    };
    for (outcome, words) in [
        (RunOutcomeName::NotPossible, "not possible"),
        (RunOutcomeName::Silent, "without a result"),
    ] {
        let of = || later().filter(|later| later.outcome == outcome);
        if let Some(last) = of().next_back() {
            let runs = counted(of().count() as u64, "run");
            let mut text = format!("{runs} {words}, the last {}", stamp(last.end));
            if let Some(failure) = &last.first_failure {
                let name = event_name(failure.event_id, failure.name);
                text.push_str(&format!(": {name}"));
            }
            field("Since then", &text, out)?;
        }
    }
    Ok(())
}

fn first_failure(failure: Option<&FailureReport<'_>>, out: &mut dyn Write) -> io::Result<()> {
    let Some(failure) = failure else {
        return Ok(());
    };
    let mut text = event_name(failure.event_id, failure.name);
    if let Some(code) = &failure.code {
        text.push_str(&format!(", {}", one_line(code)));
    }
    if failure.is_stop {
        text.push_str(" (nothing else failed)");
    }
    field("First failing event", &text, out)?;
    field("", &place(failure), out)
}

fn decisive(decisive: Option<&DecisiveReport<'_>>, out: &mut dyn Write) -> io::Result<()> {
    let Some(decisive) = decisive else {
        return Ok(());
    };
    let symbol = Code::parse(decisive.code).and_then(Code::symbol);
    let symbol = symbol.map_or(String::new(), |symbol| format!(" {symbol}"));
    let kind = decisive.kind.as_str();
    let text = format!("{}{symbol} ({kind})", one_line(decisive.code));
    field("Decisive code", &text, out)
}

fn drs_words(server: Option<&DrsReport<'_>>, out: &mut dyn Write) -> io::Result<()> {
    let Some(server) = server else {
        return Ok(());
    };
    let codes = server.code.into_iter().chain(server.also.iter().copied());
    let codes = codes.map(one_line);
    let mut words: Vec<String> = codes.map(Cow::into_owned).collect();
    words.extend(server.http_status.map(|status| format!("HTTP {status}")));
    let operation = other_operation(server.operation).map(one_line);
    words.extend(operation.map(|operation| format!("operation {operation}")));
    field(
        "Server",
        &with_source(&words.join(", "), server.event_id),
        out,
    )?;
    if let Some(description) = server.description {
        field("", &one_line(description), out)?;
    }
    match server.request_id {
        Some(id) => field("Request ID", &one_line(id), out),
        None => Ok(()),
    }
}

fn adal_words(adal: Option<&AdalReport<'_>>, out: &mut dyn Write) -> io::Result<()> {
    let Some(adal) = adal else {
        return Ok(());
    };
    let code = adal.code.map(|code| {
        let symbol = adal
            .symbol
            .map_or(String::new(), |symbol| format!(" {symbol}"));
        format!("{}{symbol}", code.0)
    });
    let words = code.into_iter().chain(adal.error.map(str::to_owned));
    let words: Vec<String> = words.map(|word| one_line(&word).into_owned()).collect();
    if !words.is_empty() {
        field(
            "Token library",
            &with_source(&words.join(", "), adal.event_id),
            out,
        )?;
    }
    if let Some(message) = adal.message {
        field("", &one_line(message), out)?;
    }
    match adal.correlation_id {
        Some(id) => field("Correlation ID", &id.0.to_string(), out),
        None => Ok(()),
    }
}

fn attempt_words(attempt: &AttemptReport<'_>) -> String {
    let join_type = attempt.join_type.unwrap_or("attempt");
    let result = match (&attempt.exit_code, attempt.succeeded) {
        (_, true) => "succeeded".to_owned(),
        (Some(exit), _) => exit.code.0.to_string(),
        (None, _) => "failed".to_owned(),
    };
    let phase = attempt.phase.filter(|_| !attempt.succeeded);
    let phase = phase.map_or(String::new(), |phase| format!(" at {}", phase.as_str()));
    format!("{}: {result}{phase}", one_line(join_type))
}

/// A run in a few words.
pub(super) fn run_words(run: &RunReport<'_>) -> String {
    let mut text = match run.outcome {
        RunOutcomeName::NotPossible => "not possible".to_owned(),
        RunOutcomeName::AlreadyJoined => "already joined".to_owned(),
        outcome => outcome.as_str().to_owned(),
    };
    if let (Some(phase), RunOutcomeName::Failed) = (run.phase, run.outcome) {
        text.push_str(&format!(" at {}", phase.as_str()));
    }
    if let Some(failure) = &run.first_failure {
        let word = match run.outcome {
            RunOutcomeName::Succeeded | RunOutcomeName::AlreadyJoined => "after",
            _ => "first",
        };
        text.push_str(&format!(", {word} {}", failure.event_id));
    }
    if let Some(decisive) = &run.decisive {
        text.push_str(&format!(", {}", one_line(decisive.code)));
    }
    format!("{text}, {}", stamp(run.start))
}

/// The newest window of the Entra token that ended so and of which something holds, else of the
/// AD FS token.
pub(super) fn newest<'a>(
    machine: &MachineReport<'a>,
    ended: OutcomeName,
    holds: impl Fn(&WindowReport<'a>) -> bool,
) -> Option<WindowReport<'a>> {
    let of = |prt| {
        let mut windows = machine.windows.that(ended).rev();
        windows.find(|window| window.prt == prt && holds(window))
    };
    of(PrtName::Entra).or_else(|| of(PrtName::Enterprise))
}

fn no_failure(machine: &MachineReport<'_>, name: &str, out: &mut dyn Write) -> io::Result<()> {
    let windows = &machine.windows;
    let recovered = || windows.iter().filter(|window| window.recovered).count();
    let last = machine.registrations.last();
    let run = last.map(|run| (run.outcome, stamp(run.end)));
    let headline = match (windows.len(), run) {
        (0, Some((RunOutcomeName::NotPossible, time))) => {
            format!("device registration not possible at {time}")
        }
        (0, Some((RunOutcomeName::Silent, time))) => {
            format!("device registration left no result at {time}")
        }
        (0, _) => "no PRT acquisition or refresh in its events".to_owned(),
        _ => {
            let mut text = counted(windows.len() as u64, "PRT window");
            for (count, word) in [
                (windows.count(OutcomeName::Succeeded), "succeeded"),
                (windows.count(OutcomeName::Failed), "failed"),
                (recovered(), "after a failing step"),
                (windows.count(OutcomeName::Incomplete), "incomplete"),
            ] {
                if count > 0 {
                    text.push_str(&format!(", {count} {word}"));
                }
            }
            text
        }
    };
    wrapped(&format!("{name}: "), &headline, out)?;
    also_known_as(machine, out)?;
    if let Some(summary) = machine.diagnosis.summary {
        field("What it means", &one_line(summary), out)?;
    }
    last_success(machine, out)?;
    users(machine, out)?;
    if let Some(run) = machine.registrations.last() {
        field(
            "Registration",
            &format!("{} {}", run.id, run_words(run)),
            out,
        )?;
    }
    token_requests(machine, out)?;
    evidence(machine, out)?;
    steps(machine.diagnosis.next_steps, out)?;
    match &machine.downstream {
        Some(downstream) => ticket(machine, downstream_ticket(machine, downstream), out),
        None => Ok(()),
    }
}

/// What the token broker asked for in vain, the most frequent first.
fn token_requests(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    const SHOWN: usize = 5;
    let requests = machine.users.iter().flat_map(|user| &user.token_requests);
    let mut requests: Vec<&TokenRequestReport<'_>> = requests.collect();
    requests.sort_by_key(|request| std::cmp::Reverse((request.count, request.last)));
    for (number, request) in requests.iter().take(SHOWN).enumerate() {
        let label = if number == 0 { "Token requests" } else { "" };
        let mut text = format!("{} {}", counted(request.count, "time"), request.code.0);
        text.extend(request.symbol.map(|symbol| format!(" {symbol}")));
        text.extend(request.aadsts.map(|code| format!(", {}", one_line(code))));
        text.extend(
            request
                .client
                .map(|client| format!(", client {}", one_line(client))),
        );
        text.extend(
            request
                .resource
                .map(|of| format!(", resource {}", one_line(of))),
        );
        text.push_str(&format!(", last {}", stamp(request.last)));
        text.extend(
            request
                .correlation_id
                .map(|id| format!(", correlation ID {}", id.0)),
        );
        field(label, &text, out)?;
    }
    match requests.len().checked_sub(SHOWN) {
        Some(more @ 1..) => field("", &format!("and {more} more"), out),
        _ => Ok(()),
    }
}

/// What there is to go by: where the machine's events are from, and when.
fn evidence(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (Some(first), Some(last)) = (machine.first_event, machine.last_event) else {
        return Ok(());
    };
    let of_logs = machine.logs.iter().flat_map(|log| &log.channels);
    let channels: BTreeSet<Cow<'_, str>> = of_logs
        .map(|channel| one_line(channel.trim_start_matches("Microsoft-Windows-")))
        .collect();
    let channels: Vec<&str> = channels.iter().map(|channel| &**channel).collect();
    let channels = channels.join(", ");
    let text = format!("{channels}, {} to {}", stamp(first), stamp(last));
    field("Events", &text, out)
}

fn last_success(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Some(window) = newest(machine, OutcomeName::Succeeded, |_| true) else {
        return Ok(());
    };
    let recovered = match (&window.first_failure, window.recovered) {
        (Some(failure), true) => {
            format!(", after {}", event_name(failure.event_id, failure.name))
        }
        _ => String::new(),
    };
    let text = format!(
        "{} ({}) at {}{recovered}",
        window.id,
        operation(&window),
        stamp(window.end.time)
    );
    field("Last success", &text, out)?;
    if let Some(upn) = window.upn {
        field("User", &one_line(upn), out)?;
    }
    // The plug-in renews a token when it is 4 hours old. There is no clock here: its age is told by
    // the end of the logs.
    let due = Time(window.end.time.0 + REFRESH_AFTER);
    let Some(last) = machine.last_event else {
        return Ok(());
    };
    let age = (last.0 - window.end.time.0).num_minutes();
    let age = format!("({}:{:02} h old as the logs end)", age / 60, age % 60);
    // What was left out may have tried.
    let tried = machine.is_part
        || machine
            .windows
            .iter()
            .any(|later| later.start.time > window.end.time);
    let text = match (last >= due, tried) {
        (false, _) => format!("due {} {age}", stamp(due)),
        (true, true) => format!("was due {} {age}", stamp(due)),
        (true, false) => format!("was due {}, no attempt since {age}", stamp(due)),
    };
    field("Next refresh", &text, out)
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
        field("Network", &network_words(network), out)?;
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
        field("Final status", &status_words(status), out)?;
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

fn network_words(network: &NetworkReport) -> String {
    let mut text = network.code.0.to_string();
    if let Some(number) = network.number {
        text.push_str(&format!(" = {number}"));
    }
    if let Some(symbol) = network.symbol {
        text.push_str(&format!(" {symbol}"));
    }
    with_source(&text, network.event_id)
}

fn status_words(status: &StatusReport) -> String {
    let symbol = status
        .symbol
        .map_or(String::new(), |symbol| format!(" {symbol}"));
    with_source(&format!("{}{symbol}", status.code.0), status.event_id)
}

/// Which window, and how much of it is there.
fn extent(window: &WindowReport<'_>) -> String {
    use crate::report::EdgeName::{Inferred, Missing};
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
