//! What a group of events says: which of them are failures, and every sub-code with the event it
//! came from.

pub use crate::event::failure::Housekeeping;
pub(crate) use crate::event::failure::{
    computer_object_unreadable, housekeeping, is_get_token_call, repeats, reports_failure,
};

use crate::conclude::index::{Place, Survey};
use crate::event::{Event, id};
use crate::facts::Provider;
use crate::facts::Role;
use crate::facts::code::{self, Code};
use std::borrow::Cow;
use uuid::Uuid;

/// A fact and the place of the event it came from, in the machine's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// The fact.
    pub value: T,
    event: Place,
}

impl<T> Found<T> {
    pub(crate) fn new(value: T, event: usize) -> Found<T> {
        Found {
            value,
            event: Place::try_from(event).unwrap_or(Place::MAX),
        }
    }

    /// Index of the event.
    pub fn event(&self) -> usize {
        self.event as usize
    }
}

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server<'e> {
    /// The last AADSTS or MSIS code in the text.
    pub code: Option<Cow<'e, str>>,
    /// The codes before it, in order.
    pub also: Vec<Cow<'e, str>>,
    /// The OAuth error.
    pub oauth_error: Option<&'e str>,
    /// The server's words.
    pub description: Option<&'e str>,
}

impl<'e> Server<'e> {
    /// What to call the answer by: its code, else the OAuth error.
    pub fn telling_code(&self) -> Option<&str> {
        self.code.as_deref().or(self.oauth_error)
    }

    fn into_telling_code(self) -> Option<Cow<'e, str>> {
        self.code.or(self.oauth_error.map(Cow::Borrowed))
    }

    /// What an event holds of a server's answer.
    fn of(event: &'e Event) -> Option<Server<'e>> {
        let oauth_error = event.value(Role::OauthError);
        let description = event.value(Role::ServerText);
        if oauth_error.is_none() && description.is_none() {
            return None;
        }
        let mut codes = code::server_codes(description.unwrap_or(""));
        Some(Server {
            code: codes.pop(),
            also: codes,
            oauth_error,
            description,
        })
    }
}

/// A WS-Trust fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The fault code, such as `FailedAuthentication`.
    pub code: String,
    /// The identifier in its text, such as `ID3242`.
    pub detail: Option<String>,
    /// Its text, out of the XML.
    pub description: Option<String>,
}

/// An HTTP answer or request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http<'e> {
    /// The status and the event that has it.
    pub status: Option<Found<u32>>,
    /// The method.
    pub method: Option<&'e str>,
    /// The URL and the event that has it.
    pub url: Option<Found<&'e str>>,
}

/// What a code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecisiveKind {
    /// What the server answered.
    Server,
    /// A WS-Trust fault.
    Fault,
    /// A fault named by a component of the client.
    Client,
    /// A network error.
    Network,
    /// An HTTP status.
    Http,
    /// The final status, for want of anything better.
    Status,
}

/// The code that decides, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisive {
    /// The code as text.
    pub code: String,
    /// What it is.
    pub kind: DecisiveKind,
}

/// Every sub-code of a window, each with its source.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'e> {
    /// The final status.
    pub status: Option<Found<Code>>,
    /// The server's answer.
    pub server: Option<Found<Server<'e>>>,
    /// The WS-Trust fault.
    pub fault: Option<Box<Found<Fault>>>,
    /// A specific code of the client.
    pub client: Option<Found<Code>>,
    /// The network error.
    pub network: Option<Found<Code>>,
    /// The HTTP request.
    pub http: Option<Http<'e>>,
    /// The user principal name.
    pub upn: Option<Found<&'e str>>,
    /// The account of the user, where an event names another than the system's.
    pub user_sid: Option<Found<&'e str>>,
    /// The credential type's number.
    pub credential_type: Option<Found<&'e str>>,
    /// The request's correlation ID.
    pub correlation_id: Option<Found<Uuid>>,
}

/// An event of a window: one of the plug-in's.
#[derive(Clone, Copy)]
pub(crate) struct Told<'e> {
    /// Index in the machine's events.
    pub(crate) index: usize,
    pub(crate) event: &'e Event,
    /// The event's ID, which most questions are about.
    pub(crate) id: u32,
    /// Whether it is a failure.
    pub(crate) failure: bool,
}

/// The events of a window, and what is known of it before the sub-codes.
pub(crate) struct Group<'a, 'e> {
    /// The members, in order.
    pub(crate) members: &'a [Told<'e>],
    /// The stop boundary, which is a member, and its status.
    pub(crate) stop: Option<Told<'e>>,
    pub(crate) stop_status: Option<Code>,
    /// Whether it is about the AD FS token.
    pub(crate) enterprise: bool,
    pub(crate) survey: &'a Survey,
}

/// The first of these events with such an ID of which something can be said.
fn find<'a, 'e: 'a, T>(
    mut members: impl Iterator<Item = &'a Told<'e>>,
    is: impl Fn(u32) -> bool,
    say: impl Fn(&'e Event) -> Option<T>,
) -> Option<Found<T>> {
    members.find_map(|member| {
        let value = is(member.id).then(|| say(member.event)).flatten()?;
        Some(member.found(value))
    })
}

impl Told<'_> {
    fn found<T>(&self, value: T) -> Found<T> {
        Found::new(value, self.index)
    }
}

impl<'a, 'e> Group<'a, 'e> {
    /// The last member with such an ID of which something can be said.
    fn last<T>(
        &self,
        is: impl Fn(u32) -> bool,
        say: impl Fn(&'e Event) -> Option<T>,
    ) -> Option<Found<T>> {
        find(self.members.iter().rev(), is, say)
    }

    /// The first such member.
    fn first<T>(
        &self,
        is: impl Fn(u32) -> bool,
        say: impl Fn(&'e Event) -> Option<T>,
    ) -> Option<Found<T>> {
        find(self.members.iter(), is, say)
    }

    /// The last of the one-event diagnostics that speak of this group's token.
    fn last_diagnostic<T>(&self, say: impl Fn(&'e Event) -> Option<T>) -> Option<Found<T>> {
        self.last(|id| self.is_diagnostic(id), say)
    }

    fn is_diagnostic(&self, id: u32) -> bool {
        match self.enterprise {
            false => matches!(id, id::GET_TOKEN_DIAGNOSTIC | id::REFRESH_DIAGNOSTIC),
            true => matches!(
                id,
                id::ENTERPRISE_TOKEN_DIAGNOSTIC | id::ENTERPRISE_REFRESH_DIAGNOSTIC
            ),
        }
    }

    /// Finds every sub-code.
    pub(crate) fn evidence(&self) -> Evidence<'e> {
        let mut evidence = Evidence {
            status: self.status(),
            server: self.server(),
            fault: self.fault().map(Box::new),
            network: self.network(),
            upn: self.upn(),
            user_sid: self.user_sid(),
            credential_type: self.credential_type(),
            correlation_id: self.correlation_id(),
            client: None,
            http: None,
        };
        evidence.client = self.client(evidence.status.as_ref());
        evidence.http = self.http(&evidence);
        evidence
    }

    fn status(&self) -> Option<Found<Code>> {
        let code = |event: &Event| event.code(Role::Status);
        let ends_with_status = |id: u32| match self.enterprise {
            true => matches!(
                id,
                id::ENTERPRISE_LOGON_FAILURE | id::ENTERPRISE_REFRESH_FAILURE | id::API_ERROR
            ),
            false => {
                matches!(id, id::LOGON_FAILURE | id::REFRESH_FAILURE | id::API_ERROR)
                    || id::LOGON_FAILURES.contains(&id)
            }
        };
        let stop = self
            .stop
            .and_then(|stop| Some(stop.found(self.stop_status?)));
        stop.or_else(|| self.last_diagnostic(code)).or_else(|| {
            self.last(ends_with_status, |event| {
                let speaks = !event.is(id::API_ERROR) || is_get_token_call(event);
                speaks.then(|| code(event)).flatten()
            })
        })
    }

    /// The last answer with a code; one of Entra ID before one of AD FS, which a window of the
    /// Entra token holds when the AD FS token was asked for on the side.
    fn server(&self) -> Option<Found<Server<'e>>> {
        let source = |id: u32| match id {
            id::OAUTH_ERROR => Some(0),
            id::KEY_ERROR => Some(1),
            id::PROTECTED_KEY_ERROR => Some(2),
            id::NGC_NONCE_ERROR => Some(3),
            _ => self.is_diagnostic(id).then_some(4),
        };
        let members = self.members.iter().rev();
        let answers = members.filter_map(|member| {
            let source = source(member.id)?;
            let server = Server::of(member.event)?;
            let named = match &server.code {
                Some(code) if code.starts_with("MSIS") == self.enterprise => 0,
                Some(_) => 1,
                None => 2,
            };
            Some(((named, source), member.found(server)))
        });
        // Of those with one rank the last member.
        Some(answers.min_by_key(|(rank, _)| *rank)?.1)
    }

    fn fault(&self) -> Option<Found<Fault>> {
        self.last(is(id::WSTRUST_FAULT), |event| {
            let text = event.value(Role::FaultText).map(code::fault_text);
            let (description, detail) = text.unzip();
            let detail = detail.flatten();
            let code = fault_code(event)
                .map(str::to_owned)
                .or_else(|| detail.clone())?;
            Some(Fault {
                code,
                detail,
                description,
            })
        })
    }

    /// The network error: a 1084 or the transport error of a diagnostic. Both also hold codes of
    /// client components, such as the XML reader's, which are no network errors.
    fn network(&self) -> Option<Found<Code>> {
        let network = |code: &Code| code.0 != 0 && !code.is_of_client();
        self.last(is(id::TRANSPORT_ERROR), |event| {
            event.code(Role::Status).filter(network)
        })
        .or_else(|| self.last_diagnostic(|event| event.code(Role::TransportError).filter(network)))
    }

    /// The most specific code of a client component: the final status if it is one, else the last
    /// that a failing member has.
    fn client(&self, status: Option<&Found<Code>>) -> Option<Found<Code>> {
        if let Some(status) = status.filter(|status| status.value.is_specific()) {
            return Some(status.clone());
        }
        self.failures().rev().find_map(|member| {
            let event = Some(member.event).filter(|_| !self.is_foreign(member.id))?;
            let value = [Role::Status, Role::TransportError]
                .into_iter()
                .filter_map(|role| event.code(role))
                .find(|code| code.is_specific())?;
            Some(member.found(value.canonical()))
        })
    }

    fn http(&self, evidence: &Evidence<'e>) -> Option<Http<'e>> {
        let with_status = |event: &Event| {
            let status = event.number(Role::HttpStatus);
            status.filter(|status| *status != 0)
        };
        let status = self
            .last(is(id::HTTP_STATUS_WITH_URL), with_status)
            .or_else(|| self.last(is(id::HTTP_STATUS), with_status))
            .or_else(|| self.last_diagnostic(with_status));
        let method_of = |event: &'e Event| event.value(Role::HttpMethod);
        let source = |id| id == id::HTTP_STATUS_WITH_URL || self.is_diagnostic(id);
        let method = status
            .as_ref()
            .and_then(|status| method_of(self.member(status.event())?.event))
            .or_else(|| Some(self.last(source, method_of)?.value));
        // Realm discovery and token request each log their own URL: the one that counts stands
        // before what failed.
        let failing = [
            evidence.server.as_ref().map(|found| found.event()),
            evidence.fault.as_ref().map(|found| found.event()),
            evidence.network.as_ref().map(|found| found.event()),
            evidence.client.as_ref().map(|found| found.event()),
        ];
        let failing = failing.into_iter().flatten().find(|&index| {
            self.member(index).is_some_and(|member| {
                matches!(
                    member.id,
                    id::OAUTH_ERROR | id::WSTRUST_FAULT | id::TRANSPORT_ERROR
                )
            })
        });
        let url_of = |event: &'e Event| event.value(Role::Url);
        let url = failing
            .and_then(|failing| {
                let members = self.members.iter().rev();
                let before = members.filter(|member| member.index < failing);
                find(before, is(id::ENDPOINT), url_of)
            })
            .or_else(|| self.last(is(id::HTTP_STATUS_WITH_URL), url_of))
            .or_else(|| self.last_diagnostic(url_of));
        (status.is_some() || url.is_some()).then_some(Http {
            status,
            method,
            url,
        })
    }

    fn upn(&self) -> Option<Found<&'e str>> {
        let upn = |event: &'e Event| event.value(Role::Upn);
        self.first(is(id::REALM_DISCOVERY), upn)
            .or_else(|| self.last_diagnostic(upn))
    }

    /// The plug-in runs as the system, whose account is nobody's.
    fn user_sid(&self) -> Option<Found<&'e str>> {
        let of_users = &self.survey.lists.of_users;
        if of_users.is_empty() {
            return None;
        }
        self.members.iter().find_map(|member| {
            let place = Place::try_from(member.index).ok()?;
            of_users.binary_search(&place).ok()?;
            Some(member.found(member.event.user_sid.as_deref()?))
        })
    }

    fn credential_type(&self) -> Option<Found<&'e str>> {
        let number = |event: &'e Event| event.value(Role::CredentialType);
        self.last(is(id::CREDENTIAL_TYPE), number)
            .or_else(|| self.last_diagnostic(number))
    }

    fn correlation_id(&self) -> Option<Found<Uuid>> {
        let announces = |id| matches!(id, id::GET_TOKEN_CORRELATION | id::REFRESH_CORRELATION);
        let first = |is: &dyn Fn(u32) -> bool| {
            let mut members = self.members.iter().filter(|member| is(member.id));
            members.find_map(|member| Some(member.found(self.survey.ids.id(member.index)?)))
        };
        first(&announces)
            .or_else(|| first(&is(id::HTTP_STATUS_WITH_URL)))
            .or_else(|| first(&is(id::OAUTH_ERROR)))
            .or_else(|| first(&is(id::TRANSPORT_ERROR)))
            .or_else(|| first(&is(id::LOGON_FAILURE)))
            .or_else(|| first(&|id| id::LOGON_FAILURES.contains(&id)))
            .or_else(|| first(&|id| self.is_diagnostic(id)))
            .or_else(|| first(&|_| true))
    }

    pub(crate) fn member(&self, index: usize) -> Option<&'a Told<'e>> {
        let at = self
            .members
            .binary_search_by_key(&index, |member| member.index);
        self.members.get(at.ok()?)
    }

    fn failures(&self) -> impl DoubleEndedIterator<Item = &'a Told<'e>> {
        self.members.iter().filter(|member| member.failure)
    }

    /// Whether an event speaks of the other token: of AD FS in a window of Entra ID.
    fn is_foreign(&self, id: u32) -> bool {
        !self.enterprise && is_enterprise(id)
    }

    /// Whether a failure is in it that is not foreign.
    pub(crate) fn has_failed(&self) -> bool {
        self.failures().any(|member| !self.is_foreign(member.id))
    }

    /// The first failing event: the earliest failure, the stop only if nothing else failed.
    pub(crate) fn first_failure(&self) -> Option<usize> {
        let stop = self.stop.map(|stop| stop.index);
        let candidates = || self.failures().filter(|member| Some(member.index) != stop);
        let first = candidates()
            .find(|member| !self.is_foreign(member.id))
            .or_else(|| candidates().next())
            .or_else(|| self.failures().next())?;
        Some(first.index)
    }
}

/// The condition that an event has this ID.
fn is(wanted: u32) -> impl Fn(u32) -> bool {
    move |id| id == wanted
}

/// The local name of a fault code; its prefix is arbitrary (`a:`, `wst:`, `trust:`).
fn fault_code(event: &Event) -> Option<&str> {
    event.value(Role::FaultCode)?.rsplit(':').next()
}

/// Events of the plug-in that speak of the AD FS token only.
pub(crate) fn is_enterprise(id: u32) -> bool {
    matches!(
        id,
        id::ENTERPRISE_INFO_FAILURE
            | id::ENTERPRISE_REFRESH_FAILURE
            | id::ENTERPRISE_LOGON_FAILURE
            | id::ENTERPRISE_EXPIRED
            | id::ENTERPRISE_PASSWORD_EXPIRED
            | id::ENTERPRISE_TOKEN_DIAGNOSTIC
            | id::ENTERPRISE_REFRESH_DIAGNOSTIC
    )
}

impl Evidence<'_> {
    /// The code that decides: what a server said, before what the client says by itself, before
    /// the network, before what only wraps these.
    pub fn decisive(&self) -> Option<Decisive> {
        let decisive = |code: String, kind| Some(Decisive { code, kind });
        if let Some(code) = self.server.as_ref().and_then(|s| s.value.telling_code()) {
            return decisive(code.to_owned(), DecisiveKind::Server);
        }
        if let Some(fault) = &self.fault {
            return decisive(fault.value.code.clone(), DecisiveKind::Fault);
        }
        if let Some(client) = &self.client {
            return decisive(client.value.to_string(), DecisiveKind::Client);
        }
        if let Some(network) = &self.network {
            return decisive(network.value.to_string(), DecisiveKind::Network);
        }
        let status = self.http.as_ref().and_then(|http| http.status.as_ref());
        if let Some(status) = status.filter(|status| status.value >= 400) {
            return decisive(format!("HTTP {}", status.value), DecisiveKind::Http);
        }
        let status = self.status.as_ref().filter(|status| status.value.0 != 0)?;
        decisive(status.value.to_string(), DecisiveKind::Status)
    }
}

/// The most telling code in a single event; nothing only where the event has none. A status of 0
/// stands for none.
pub fn telling_code(event: &Event) -> Option<Cow<'_, str>> {
    server_or_fault_code(event).or_else(|| own_code(event).map(Cow::Owned))
}

/// What another party said, which tells more than the event's own status.
fn server_or_fault_code(event: &Event) -> Option<Cow<'_, str>> {
    match event.event_id {
        _ if event.provider != Provider::Aad => None,
        id::OAUTH_ERROR
        | id::KEY_ERROR
        | id::PROTECTED_KEY_ERROR
        | id::NGC_NONCE_ERROR
        | id::GET_TOKEN_DIAGNOSTIC..=id::ENTERPRISE_REFRESH_DIAGNOSTIC => {
            Server::of(event)?.into_telling_code()
        }
        id::WSTRUST_FAULT => fault_code(event).map(Cow::Borrowed),
        _ => None,
    }
}

/// The event's own status, result or error number.
fn own_code(event: &Event) -> Option<String> {
    let code = |role| event.code(role).filter(|code| code.0 != 0);
    let number = |role| event.number(role).filter(|number| *number != 0);
    let hex = || {
        let code = [Role::Status, Role::WamCode, Role::TransportError]
            .into_iter()
            .find_map(code)?;
        // 1084 logs the empty WS-Trust answer as an HRESULT; readers know its NTSTATUS.
        let empty_answer =
            event.is(id::TRANSPORT_ERROR) && code.canonical() == code::SAML_TOKENS_ARE_EMPTY;
        Some(match empty_answer {
            true => code.canonical().to_string(),
            false => code.to_string(),
        })
    };
    hex()
        // Windows prints these as plain decimals.
        .or_else(|| Some(number(Role::Win32)?.to_string()))
        .or_else(|| Some(format!("HTTP {}", number(Role::HttpStatus)?)))
}
