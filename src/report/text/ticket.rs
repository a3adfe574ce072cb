//! The block of an answer that goes into a ticket: what the other side needs to find the request.

use crate::base::terminal::one_line;
use crate::base::time::Time;
use crate::conclude::state::UNKNOWN;
use crate::facts::Role;
use crate::report::layout::field;
use crate::report::{
    Downstream, EventReport, Guid, KindName, MachineReport, PrtName, RunReport, ServerReport,
    WindowReport,
};
use std::io::{self, Write};

/// Where a federation server tells its side.
const FEDERATION_LOG: &str = "the federation server's own log at this time (on AD FS, the AD \
    FS/Admin event log)";
/// Where the registration service tells its side.
const REGISTRATION_LOG: &str = "Entra admin center > Audit logs: service Device Registration \
    Service, this time, for changes of the device; give the request ID to Microsoft support";

/// What a ticket says in the place of a user that no event names.
const NO_USER: &str = "(not in the logs)";

/// What a ticket needs of a window or a run.
pub(super) struct Ticket<'r> {
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
pub(super) fn ticket(
    machine: &MachineReport<'_>,
    of: Ticket<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
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

pub(super) fn window_ticket<'r>(
    machine: &MachineReport<'_>,
    window: &'r WindowReport<'_>,
) -> Ticket<'r> {
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

pub(super) fn run_ticket<'r>(run: &'r RunReport<'_>) -> Ticket<'r> {
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

pub(super) fn downstream_ticket<'r>(
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
