//! A machine's answer: its headline, what it means, the evidence, what to do, and the ticket.

use crate::code::Code;
use crate::knowledge::Role;
use crate::report::layout::{
    counted, display_name, event_name, field, operation, place, stamp, steps, with_source, wrapped,
};
use crate::report::{
    AdalReport, AttemptReport, DecisiveReport, DiagnosisReport, Downstream, DrsReport, EventReport,
    FailureReport, Guid, Id, KindName, MachineReport, NetworkReport, OutcomeName, PrtName,
    ReasonName, RunOutcomeName, RunReport, ServerReport, StateName, StatusReport, Time,
    TokenRequestReport, UserReport, ViaName, WindowReport,
};
use crate::state::UNKNOWN;
use crate::terminal::one_line;
use chrono::TimeDelta;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// How old a token is when the plug-in renews it.
const REFRESH_AFTER: TimeDelta = TimeDelta::hours(4);

/// Where a federation server tells its side.
const FEDERATION_LOG: &str = "the federation server's own log at this time (on AD FS, the AD \
    FS/Admin event log)";
/// Where the registration service tells its side.
const REGISTRATION_LOG: &str = "Entra admin center > Audit logs: service Device Registration \
    Service, this time, for changes of the device; give the request ID to Microsoft support";

/// What a ticket says in the place of a user that no event names.
const NO_USER: &str = "(not in the logs)";

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

/// What a ticket needs of a window or a run.
struct Ticket<'r> {
    /// Nothing where the machine itself asked.
    user: Option<&'r str>,
    device_id: Option<Guid>,
    tenant: Option<String>,
    time: Time,
    correlation_id: Option<Guid>,
    request_id: Option<&'r str>,
    /// The request's ID at the token service.
    trace_id: Option<String>,
    /// Which application asked for a token, and for what.
    client: Option<&'r str>,
    resource: Option<&'r str>,
    /// The decisive one first, then the others that were found.
    codes: Vec<String>,
    /// Where the other side of the failure can be read, and by what.
    look_up: Vec<String>,
}

/// Writes the ticket, to be copied as it stands.
fn ticket(machine: &MachineReport<'_>, of: Ticket<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut codes: Vec<String> = Vec::new();
    for code in of.codes {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let guid = |id: Guid| id.0.to_string();
    writeln!(out, "  Ticket")?;
    for (label, text) in [
        ("device", Some(machine.name.to_owned())),
        ("user", of.user.map(str::to_owned)),
        ("device ID", of.device_id.map(guid)),
        ("tenant", of.tenant),
        ("time (UTC)", Some(of.time.to_string())),
        ("correlation ID", of.correlation_id.map(guid)),
        ("request ID", of.request_id.map(str::to_owned)),
        ("trace ID", of.trace_id),
        ("client", of.client.map(str::to_owned)),
        ("resource", of.resource.map(str::to_owned)),
        ("codes", Some(codes.join(", "))),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            field(&format!("  {label}"), &one_line(&text), out)?;
        }
    }
    for (number, place) in of.look_up.iter().enumerate() {
        let label = if number == 0 { "  look up at" } else { "" };
        field(label, place, out)?;
    }
    Ok(())
}

fn window_ticket<'r>(machine: &MachineReport<'_>, window: &'r WindowReport<'_>) -> Ticket<'r> {
    let server = window.server.as_ref();
    let decisive = window.decisive.as_ref();
    let mut codes: Vec<String> = Vec::new();
    codes.extend(decisive.map(|decisive| decisive.code.to_owned()));
    codes.extend(server.into_iter().flat_map(server_codes));
    codes.extend(
        window
            .fault
            .iter()
            .filter_map(|fault| Some(fault.detail?.to_owned())),
    );
    codes.extend(
        window
            .network
            .iter()
            .map(|network| network.code.0.to_string()),
    );
    codes.extend(window.status.iter().map(|status| status.code.0.to_string()));
    let url = window.http.as_ref().and_then(|http| http.url);
    let is_federated = window.prt == PrtName::Enterprise
        || decisive.is_some_and(|of| of.kind == KindName::Fault || of.code.starts_with("MSIS"));
    let look_up = match is_federated {
        true => Some(FEDERATION_LOG.to_owned()),
        false => sign_in_diagnostic(
            window.correlation_id.is_some(),
            window.upn.is_some(),
            server.is_some(),
        ),
    };
    Ticket {
        user: Some(window.upn.or(window.user_sid).unwrap_or(NO_USER)),
        device_id: window.device_id,
        tenant: tenant(machine, window.tenant_id, url),
        time: window.end.time,
        correlation_id: window.correlation_id,
        request_id: None,
        trace_id: server.and_then(|server| trace_id(server.description?)),
        client: None,
        resource: None,
        codes,
        look_up: look_up.into_iter().collect(),
    }
}

fn run_ticket<'r>(run: &'r RunReport<'_>) -> Ticket<'r> {
    let server = run.server.as_ref();
    let adal = run.adal.as_ref();
    let mut codes: Vec<String> = Vec::new();
    codes.extend(run.decisive.iter().map(|decisive| decisive.code.to_owned()));
    codes.extend(run.exit_code.iter().map(|exit| exit.code.0.to_string()));
    codes.extend(run.sub_error.iter().map(|error| error.code.0.to_string()));
    let of_server = server
        .into_iter()
        .flat_map(|of| of.also.iter().copied().chain(of.code));
    codes.extend(of_server.map(str::to_owned));
    codes.extend(adal.and_then(|adal| Some(adal.code?.0.to_string())));
    let correlation_id = adal.and_then(|adal| adal.correlation_id);
    let mut look_up = Vec::new();
    if correlation_id.is_some() {
        let was_answered = codes.iter().any(|code| code.starts_with("AADSTS"));
        look_up.extend(sign_in_diagnostic(true, false, was_answered));
    }
    let request_id = server.and_then(|server| server.request_id);
    if request_id.is_some() && server.is_some_and(|of| of.code.is_some()) {
        look_up.push(REGISTRATION_LOG.to_owned());
    }
    let texts = [
        adal.and_then(|adal| adal.message),
        server.and_then(|server| server.description),
    ];
    Ticket {
        user: run.events.iter().rev().find_map(user),
        device_id: run.device_id,
        tenant: run
            .tenant_id
            .map(|id| id.0.to_string())
            .or_else(|| run.tenant.map(str::to_owned)),
        time: run.end,
        correlation_id,
        request_id,
        trace_id: texts.into_iter().flatten().find_map(trace_id),
        client: None,
        resource: None,
        codes,
        look_up,
    }
}

fn downstream_ticket<'r>(
    machine: &MachineReport<'_>,
    downstream: &'r Downstream<'_>,
) -> Ticket<'r> {
    let request = &downstream.request;
    let aadsts = request.aadsts.map(str::to_owned);
    let look_up = sign_in_diagnostic(
        request.correlation_id.is_some(),
        // The portal knows no SIDs.
        downstream.user.contains('@'),
        aadsts.is_some(),
    );
    Ticket {
        user: Some(match downstream.user {
            UNKNOWN => NO_USER,
            user => user,
        }),
        device_id: downstream.device_id,
        tenant: tenant(machine, downstream.tenant_id, request.authority),
        time: request.last,
        correlation_id: request.correlation_id,
        request_id: None,
        trace_id: downstream
            .event
            .event
            .values(Role::Message)
            .find_map(trace_id),
        client: request.client,
        resource: request.resource,
        codes: aadsts
            .into_iter()
            .chain([request.code.0.to_string()])
            .collect(),
        look_up: look_up.into_iter().collect(),
    }
}

/// The codes of the token service's or federation server's answer.
fn server_codes(server: &ServerReport<'_>) -> impl Iterator<Item = String> {
    let codes = server.also.iter().copied().chain(server.code);
    codes.map(str::to_owned)
}

/// The user that an event names.
fn user<'r>(event: &'r EventReport<'_>) -> Option<&'r str> {
    let info = event.event.info()?;
    let mut values = event.data.iter();
    let is_user =
        |name: &str, value: &str| info.role(name) == Some(Role::Upn) && value.contains('@');
    values.find_map(|(name, value)| is_user(name, value).then_some(value))
}

/// What to enter in the portal, unless nothing of it is known. A request that was not answered may
/// never have come there.
fn sign_in_diagnostic(has_id: bool, has_user: bool, was_answered: bool) -> Option<String> {
    let what = match (has_id, has_user) {
        (true, true) => "the correlation ID, the user and the time",
        (true, false) => "the correlation ID and the time",
        (false, true) => "the user and the time",
        (false, false) => return None,
    };
    let mut text = format!(
        "Entra admin center > Diagnose and solve problems > Sign-in diagnostic: enter {what}"
    );
    if !was_answered {
        text.push_str(
            " (no answer to the sign-in is in these events, so it may not be listed there)",
        );
    }
    Some(text)
}

/// The tenant, if an event, a registration run or the request's URL names it.
fn tenant(machine: &MachineReport<'_>, id: Option<Guid>, url: Option<&str>) -> Option<String> {
    if let Some(id) = id {
        return Some(id.0.to_string());
    }
    let of_run = machine
        .registrations
        .iter()
        .rev()
        .find_map(|run| run.tenant);
    let in_url = || {
        url?.split('/')
            .find(|part| crate::event::guid(part).is_some())
    };
    of_run.or_else(in_url).map(str::to_owned)
}

/// The request's ID at the token service, which its words end with.
fn trace_id(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("Trace ID: ")?;
    let id: String = rest
        .chars()
        .take_while(|c| c.is_ascii_hexdigit() || *c == '-')
        .collect();
    (!id.is_empty()).then_some(id)
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
