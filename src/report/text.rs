//! The report for people: the answer first, then the windows, then what could not be read.
//!
//! Plain text of 80 columns that reads the same in a terminal, in a pipe and in a mail. What comes
//! from the logs is escaped.

use super::{
    AdalReport, AttemptReport, DecisiveReport, DiagnosisReport, DrsReport, EventReport,
    FailureReport, MachineReport, NetworkReport, OutcomeName, ProblemReport, PrtName, ReasonName,
    Report, RunOutcomeName, RunReport, ServerReport, StateName, StatusReport, Time,
    TokenRequestReport, ViaName, WindowReport,
};
use crate::code::Code;
use crate::knowledge::Role;
use crate::terminal::one_line;
use chrono::TimeDelta;
use std::borrow::Cow;
use std::io::{self, Write};

/// How old a token is when the plug-in renews it.
const REFRESH_AFTER: TimeDelta = TimeDelta::hours(4);

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
    totals(report, out)
}

/// How many machines stand how.
fn overview(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut words = Vec::new();
    for (state, word) in [
        (StateName::Failing, "failing"),
        (StateName::Recovered, "recovered"),
        (StateName::Healthy, "healthy"),
        (StateName::NoEvidence, "without evidence"),
    ] {
        let machines = report.machines.iter();
        let count = machines
            .filter(|machine| machine.diagnosis.state == state)
            .count();
        if count > 0 {
            words.push(format!("{count} {word}"));
        }
    }
    writeln!(
        out,
        "{} machines: {}\n",
        report.machines.len(),
        words.join(", ")
    )
}

/// What an engineer on a call wants to know first: the failure that the machine's state is about,
/// or the newest that was made up for.
fn answer(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let name = one_line(machine.name);
    let is_of = |id: &str| machine.diagnosis.of.as_deref() == Some(id);
    let failed = |window: &WindowReport<'_>| window.outcome == OutcomeName::Failed;
    if let Some(run) = machine.registrations.iter().find(|run| is_of(&run.id))
        && run.outcome == RunOutcomeName::Failed
    {
        return run_answer(machine, run, &name, out);
    }
    let window = machine
        .windows
        .iter()
        .find(|window| is_of(&window.id) && failed(window));
    match window.or_else(|| newest(machine, failed)) {
        Some(window) => window_answer(machine, window, &name, out),
        None => healthy(machine, &name, out),
    }
}

fn newest_failed_run<'r, 'a>(machine: &'r MachineReport<'a>) -> Option<&'r RunReport<'a>> {
    let mut runs = machine.registrations.iter().rev();
    runs.find(|run| run.outcome == RunOutcomeName::Failed)
}

fn window_answer(
    machine: &MachineReport<'_>,
    window: &WindowReport<'_>,
    name: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let headline = match success_after(machine, window) {
        Some(later) => format!(
            "{} failed at {}, and succeeded at {}",
            operation(window),
            stamp(window.end.time),
            stamp(later.end.time)
        ),
        None => format!("{} FAILED at {}", operation(window), stamp(window.end.time)),
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
        }
    }
    if window.prt == PrtName::Enterprise {
        last_success(machine, out)?;
    }
    users(machine, out)?;
    next_steps(window.diagnosis.as_ref(), out)?;
    ticket(machine, window, out)
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

/// The numbered next steps.
pub(crate) fn steps(steps: &[&str], out: &mut dyn Write) -> io::Result<()> {
    for (number, step) in steps.iter().enumerate() {
        let label = if number == 0 { "Next steps" } else { "" };
        let lead = format!("  {label:<width$}{}. ", number + 1, width = VALUES - 2);
        wrapped(&lead, step, out)?;
    }
    Ok(())
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
        field(
            label,
            &format!("{}{token}: {state}", one_line(user.user)),
            out,
        )?;
    }
    match machine.users.len().checked_sub(SHOWN) {
        Some(more @ 1..) => field("", &format!("and {more} more"), out),
        _ => Ok(()),
    }
}

/// What a ticket needs, to be copied as it stands.
fn ticket(
    machine: &MachineReport<'_>,
    window: &WindowReport<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(id) = window.correlation_id else {
        return Ok(());
    };
    let user = window
        .upn
        .or(window.user_sid)
        .unwrap_or("(not in the logs)");
    let mut codes: Vec<String> = Vec::new();
    codes.extend(
        window
            .decisive
            .as_ref()
            .map(|decisive| decisive.code.to_owned()),
    );
    codes.extend(
        window
            .status
            .as_ref()
            .map(|status| status.code.0.to_string()),
    );
    codes.dedup();
    writeln!(out, "  Ticket")?;
    for (label, text) in [
        ("device", Some(machine.name.to_owned())),
        ("user", Some(user.to_owned())),
        ("device ID", window.device_id.map(|id| id.0.to_string())),
        ("tenant", tenant(machine, window)),
        ("time (UTC)", Some(window.end.time.to_string())),
        ("correlation ID", Some(id.0.to_string())),
        ("trace ID", window.server.as_ref().and_then(trace_id)),
        ("codes", Some(codes.join(", "))),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            field(&format!("  {label}"), &one_line(&text), out)?;
        }
    }
    let portal = "Entra admin center > Diagnose and solve problems > Sign-in diagnostic: enter the \
        correlation ID, the user and the time";
    field("  look up at", portal, out)
}

/// The tenant, if an event, a registration run or the request's URL names it.
fn tenant(machine: &MachineReport<'_>, window: &WindowReport<'_>) -> Option<String> {
    if let Some(id) = window.tenant_id {
        return Some(id.0.to_string());
    }
    let of_run = machine
        .registrations
        .iter()
        .rev()
        .find_map(|run| run.tenant);
    let url = window.http.as_ref().and_then(|http| http.url);
    let in_url = || {
        url?.split('/')
            .find(|part| crate::event::guid(part).is_some())
    };
    of_run.or_else(in_url).map(str::to_owned)
}

/// The request's ID at the service, which its words end with.
fn trace_id(server: &ServerReport<'_>) -> Option<String> {
    let (_, rest) = server.description?.split_once("Trace ID: ")?;
    let id: String = rest
        .chars()
        .take_while(|c| c.is_ascii_hexdigit() || *c == '-')
        .collect();
    (!id.is_empty()).then_some(id)
}

/// The newest success after a window. Another user's success says nothing of this one.
fn success_after<'r, 'a>(
    machine: &'r MachineReport<'a>,
    window: &WindowReport<'a>,
) -> Option<&'r WindowReport<'a>> {
    let mut users = machine.users.iter();
    let user = users.find(|user| user.windows.contains(&window.id))?;
    newest(machine, |later| {
        later.outcome == OutcomeName::Succeeded
            && later.end.time > window.end.time
            && user.windows.contains(&later.id)
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
        0 => field("PRT", "no registration, no PRT: nothing was asked for", out)?,
        _ => last_success(machine, out)?,
    }
    next_steps(run.diagnosis.as_ref(), out)
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
fn run_words(run: &RunReport<'_>) -> String {
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
    let count = |holds: &dyn Fn(&WindowReport<'_>) -> bool| {
        machine
            .windows
            .iter()
            .filter(|window| holds(window))
            .count() as u64
    };
    let not_possible = machine
        .registrations
        .last()
        .filter(|run| run.outcome == RunOutcomeName::NotPossible);
    let headline = match (machine.windows.len(), not_possible) {
        (0, Some(run)) => format!("device registration not possible at {}", stamp(run.end)),
        (0, None) => "no PRT acquisition or refresh in its events".to_owned(),
        _ => {
            let mut text = counted(machine.windows.len() as u64, "PRT window");
            for (count, word) in [
                (
                    count(&|window| window.outcome == OutcomeName::Succeeded),
                    "succeeded",
                ),
                (count(&|window| window.recovered), "after a failing step"),
                (
                    count(&|window| window.outcome == OutcomeName::Incomplete),
                    "incomplete",
                ),
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
    steps(machine.diagnosis.next_steps, out)
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

fn last_success(machine: &MachineReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Some(window) = newest(machine, |window| window.outcome == OutcomeName::Succeeded) else {
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
        operation(window),
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
    let name = one_line(machine.name);
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
    let role = event.info.and_then(|info| info.role(name));
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
    let name = one_line(machine.name);
    writeln!(
        out,
        "Failing events of {name} outside any window or run: {count}"
    )?;
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

/// What could not be read, by file; slots that follow one another are told once.
pub(super) fn problems(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let of_machines = report.machines.iter().flat_map(|machine| &machine.problems);
    let all: Vec<&ProblemReport<'_>> = of_machines.chain(&report.problems).collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "Problems: {}", all.len())?;
    let mut path = None;
    let mut left = all.iter().peekable();
    while let Some(problem) = left.next() {
        if path.replace(problem.path) != Some(problem.path) {
            writeln!(out, "  {}", one_line(problem.path))?;
        }
        // Like problems one after the other are one stretch.
        let mut count = 1;
        let mut lost = problem.lost_bytes;
        while let Some(next) = left.next_if(|next| {
            let end = problem.offset.map(|offset| offset + lost);
            lost > 0
                && (next.path, next.kind, next.detail, next.offset)
                    == (problem.path, problem.kind, problem.detail, end)
        }) {
            count += 1;
            lost += next.lost_bytes;
        }
        let mut text = one_line(problem.detail).into_owned();
        if count > 1 {
            text.push_str(&format!(" ({count} times in a row)"));
        }
        if lost > 0 {
            text.push_str(&format!(" ({} lost)", counted(lost, "byte")));
        }
        let lead = match problem.offset {
            Some(offset) => format!("    byte {offset}: "),
            None => "    ".to_owned(),
        };
        wrapped(&lead, &text, out)?;
    }
    writeln!(out)
}

fn totals(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
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
pub(super) fn wrapped(lead: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
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
