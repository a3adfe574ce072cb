//! Which events are failures, and which only look like one.

use crate::event::{Event, Level, id};
use crate::facts::Provider;
use crate::facts::Role;
use crate::facts::code::Code;
use chrono::TimeDelta;

/// The status of a device that is not joined, and its kin that the plug-in logs when it starts on
/// such a machine.
const NOT_JOINED_CALL: Code = Code(0xc004_8451);

/// What the plug-in's start ends with on such a machine.
const NOT_JOINED_START: [Code; 2] = [Code(0xc004_84b2), Code(0xc004_8456)];

/// What 1104 says it called when a token was asked for.
const GET_TOKEN_CALL: &str = "Get token";

/// How soon a 1104 follows the event that it repeats.
const REPEATS_WITHIN: TimeDelta = TimeDelta::seconds(2);

/// Whether an event reports a failure, housekeeping aside: its level says so, a status in it has
/// the severity bit set, or an HTTP status in it is an error.
pub(crate) fn reports_failure(event: &Event) -> bool {
    if event.level <= Level::Error {
        return true;
    }
    let status_failed = || {
        [Role::Status, Role::WamCode, Role::TransportError]
            .into_iter()
            .any(|role| event.code(role).is_some_and(Code::is_failure))
    };
    match event.provider {
        // Informational events of device registration say "unable to" of what is often normal.
        Provider::DeviceRegistration if event.level == Level::Warning => status_failed(),
        Provider::DeviceRegistration => computer_object_unreadable(event).is_some(),
        Provider::Aad => status_failed() || http_error(event).is_some(),
    }
}

/// The Win32 error of a 220 that means that the computer object in AD could not be read. Other
/// name formats are about the local host name.
pub(crate) fn computer_object_unreadable(event: &Event) -> Option<u32> {
    let format = event.data().get("Format")?;
    (event.event_id == id::COMPUTER_NAME_UNREADABLE && format == "NameFullyQualifiedDN")
        .then(|| event.number(Role::Win32))
        .flatten()
        .filter(|error| *error != 0)
}

/// The HTTP status of a request that was answered with an error.
pub(super) fn http_error(event: &Event) -> Option<u32> {
    let reports_status = matches!(
        event.event_id,
        id::REALM_RESPONSE
            | id::MEX_RESPONSE
            | id::HTTP_STATUS
            | id::HTTP_STATUS_WITH_URL
            | id::ENTERPRISE_INFO_RESPONSE
            | id::RESOURCE_RESPONSE
            | id::RBAC_RESPONSE
    );
    (reports_status && event.provider == Provider::Aad)
        .then(|| event.number(Role::HttpStatus))
        .flatten()
        .filter(|status| *status >= 400)
}

/// Whether a 1104 says that a token was asked for.
pub(crate) fn is_get_token_call(event: &Event) -> bool {
    event.is(id::API_ERROR) && event.value(Role::Api) == Some(GET_TOKEN_CALL)
}

/// Why an event that looks like a failure is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Housekeeping {
    /// The event before it on its thread says the same.
    Repeats,
    /// The token broker tells how it gets on.
    Progress,
    /// The plug-in says that the device is not joined.
    NotJoined,
    /// The plug-in starts on a machine that is not joined.
    NotJoinedStart,
    /// A call that is no token request.
    OtherCall,
    /// A caller asks on a machine that is not joined.
    NotJoinedCall,
}

impl Housekeeping {
    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Housekeeping::Repeats => "repeats the event before it",
            Housekeeping::Progress => "a progress code of the token broker",
            Housekeeping::NotJoined => "the plug-in says that the device is not joined",
            Housekeeping::NotJoinedStart => {
                "logged at start-up on every machine that is not joined"
            }
            Housekeeping::OtherCall => "a call outside any token request",
            Housekeeping::NotJoinedCall => "logged for callers on every machine that is not joined",
        }
    }
}

/// Whether an event that reports a failure may be none.
pub(crate) fn may_be_housekeeping(event: &Event) -> bool {
    event.provider == Provider::Aad
        && matches!(
            event.event_id,
            id::API_ERROR
                | id::API_ERROR_ANALYTIC
                | id::WAM_WARNING
                | id::NOT_JOINED
                | id::INITIALIZE_STOP
                | id::GENERIC_CALL_STOP
        )
}

/// Why an event that reports a failure is none, if so. `before` is the event before it on its
/// thread.
pub(crate) fn housekeeping<'e>(
    event: &Event,
    before: impl FnOnce() -> Option<&'e Event>,
    in_window: bool,
) -> Option<Housekeeping> {
    if repeats(event, before) {
        return Some(Housekeeping::Repeats);
    }
    if event.is(id::WAM_WARNING) && !event.code(Role::WamCode).is_some_and(is_broker_error) {
        return Some(Housekeeping::Progress);
    }
    if in_window || event.provider != Provider::Aad {
        return None;
    }
    match event.event_id {
        id::NOT_JOINED => Some(Housekeeping::NotJoined),
        id::INITIALIZE_STOP
            if event
                .code(Role::Status)
                .is_some_and(|code| NOT_JOINED_START.contains(&code.canonical())) =>
        {
            Some(Housekeeping::NotJoinedStart)
        }
        id::API_ERROR | id::API_ERROR_ANALYTIC
            if event.value(Role::Api) != Some(GET_TOKEN_CALL) =>
        {
            Some(Housekeeping::OtherCall)
        }
        id::GENERIC_CALL_STOP
            if event.code(Role::Status).map(Code::canonical) == Some(NOT_JOINED_CALL) =>
        {
            Some(Housekeeping::NotJoinedCall)
        }
        _ => None,
    }
}

/// Whether a 1104 only says again what the event before it on its thread said.
pub(crate) fn repeats<'e>(event: &Event, before: impl FnOnce() -> Option<&'e Event>) -> bool {
    if !(event.is(id::API_ERROR) || event.is(id::API_ERROR_ANALYTIC)) {
        return false;
    }
    let Some(before) = before() else { return false };
    let code = event.code(Role::Status).map(Code::canonical);
    code.is_some()
        && code == before.code(Role::Status).map(Code::canonical)
        && event.time() - before.time() <= REPEATS_WITHIN
}

/// The broker counts progress and success in the same field; its errors begin with 0xCAA.
pub(crate) fn is_broker_error(code: Code) -> bool {
    code.0 >> 20 == 0xcaa
}
