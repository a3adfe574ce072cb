//! Token requests of the token broker (WAM): the layer above the PRT.
//!
//! The broker says what it asked for in free text, which differs between builds and languages: codes
//! and GUIDs are taken wherever they stand, names where the usual labels stand before them.

use crate::event::failure::is_broker_error;
use crate::event::{Event, Level, guid, id};
use crate::facts::Role;
use crate::facts::code::{self, Code};
use chrono::{DateTime, Utc};
use std::borrow::Cow;
use uuid::Uuid;

/// Failed requests for one thing.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The broker's code.
    pub code: Code,
    /// The server's code.
    pub aadsts: Option<String>,
    /// The client that asked.
    pub client: Option<String>,
    /// What it asked for.
    pub resource: Option<String>,
    /// Whom it asked.
    pub authority: Option<String>,
    /// The last request's correlation ID.
    pub correlation_id: Option<Uuid>,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: DateTime<Utc>,
    /// When last.
    pub last: DateTime<Utc>,
    /// Index of the last request's event.
    pub last_event: usize,
}

impl TokenRequest {
    /// Reads an event of the broker; nothing of one that reports no error. `index` is the event's.
    pub(crate) fn read(index: usize, event: &Event) -> Option<TokenRequest> {
        let reports = matches!(
            event.event_id,
            id::WAM_WARNING
                | id::WAM_ERROR
                | id::ADAL_WARNING
                | id::ADAL_ERROR
                | id::BROKER_WARNING
                | id::BROKER_ERROR
        );
        // A warning may be progress; an error is one whatever its code.
        let code = event.code(Role::WamCode).filter(|code| {
            is_broker_error(*code) || code.is_failure() && event.level <= Level::Error
        });
        let code = code.filter(|_| reports)?;
        let texts = || event.values(Role::Message);
        let label = |label: &str| texts().find_map(|text| labelled(text, label));
        Some(TokenRequest {
            code,
            aadsts: texts()
                .find_map(|text| code::server_codes(text).pop())
                .map(Cow::into_owned),
            client: label("client:"),
            resource: label("resource:"),
            authority: label("authority:"),
            correlation_id: texts().flat_map(correlation_ids_in).last(),
            count: 1,
            first: event.time(),
            last: event.time(),
            last_event: index,
        })
    }

    /// What requests for the same thing with the same result have in common.
    pub(crate) fn what(&self) -> [Option<String>; 5] {
        [
            Some(self.code.to_string()),
            self.aadsts.clone(),
            self.client.clone(),
            self.resource.clone(),
            self.authority.clone(),
        ]
    }

    /// Counts a later request for the same thing.
    pub(crate) fn repeat(&mut self, later: &TokenRequest) {
        self.count += 1;
        self.last = later.last;
        self.last_event = later.last_event;
        self.correlation_id = later.correlation_id.or(self.correlation_id);
    }
}

/// The value behind a label, up to the next comma or line end.
fn labelled(text: &str, label: &str) -> Option<String> {
    let (at, _) = text.match_indices(label).find(|(at, _)| {
        let before = text.get(..*at).unwrap_or("");
        !before.ends_with(|c: char| c.is_alphanumeric())
    })?;
    let rest = text.get(at + label.len()..)?;
    let end = rest.find([',', '\r', '\n']).unwrap_or(rest.len());
    let value = rest.get(..end)?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// The correlation IDs that free text names: `Correlation ID: …`, `correlation ID (request): …`.
pub(crate) fn correlation_ids_in(text: &str) -> impl Iterator<Item = Uuid> {
    const LABEL: &str = "orrelation ID";
    text.match_indices(LABEL).filter_map(|(at, _)| {
        let rest = text.get(at + LABEL.len()..)?;
        let value = rest.trim_start_matches(" (request)").strip_prefix(':')?;
        let value = value.trim_start().trim_start_matches('{');
        guid(value.get(..36)?)
    })
}
