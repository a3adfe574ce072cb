//! A decoded record, and what its fields hold.

use crate::base::time::Filetime;
use crate::facts::Provider;
use crate::facts::code::Code;
use crate::facts::{EventInfo, Role, event_info};
use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::Arc;
use uuid::Uuid;

pub(crate) mod batch;
pub(crate) mod failure;
pub(crate) mod order;
pub(crate) mod secret;
mod values;

pub(crate) use values::{Collector, Place, Values};

/// The event IDs that rules speak of.
pub(crate) mod id {
    pub(crate) const INITIALIZE_START: u32 = 1001;
    pub(crate) const INITIALIZE_STOP: u32 = 1002;
    pub(crate) const GET_TOKEN_START: u32 = 1006;
    pub(crate) const GET_TOKEN_STOP: u32 = 1007;
    pub(crate) const GET_KEYS_START: u32 = 1008;
    pub(crate) const GET_KEYS_STOP: u32 = 1009;
    pub(crate) const REALM_RESPONSE: u32 = 1015;
    pub(crate) const GET_TOKEN_CORRELATION: u32 = 1018;
    pub(crate) const MEX_RESPONSE: u32 = 1021;
    pub(crate) const ENDPOINT: u32 = 1022;
    pub(crate) const HTTP_STATUS: u32 = 1024;
    pub(crate) const HTTP_STATUS_WITH_URL: u32 = 1025;
    pub(crate) const CREDENTIAL_TYPE: u32 = 1026;
    pub(crate) const REFRESH_START: u32 = 1028;
    pub(crate) const REFRESH_STOP: u32 = 1029;
    pub(crate) const REFRESH_CORRELATION: u32 = 1030;
    pub(crate) const GENERIC_CALL_STOP: u32 = 1035;
    pub(crate) const OAUTH_ERROR: u32 = 1081;
    pub(crate) const KEY_ERROR: u32 = 1082;
    pub(crate) const PROTECTED_KEY_ERROR: u32 = 1083;
    pub(crate) const TRANSPORT_ERROR: u32 = 1084;
    pub(crate) const LOGON_FAILURE: u32 = 1085;
    pub(crate) const REALM_FAILURE: u32 = 1086;
    pub(crate) const KEYS_FAILURE: u32 = 1087;
    pub(crate) const WSTRUST_FAULT: u32 = 1088;
    pub(crate) const NOT_JOINED: u32 = 1089;
    pub(crate) const NGC_NONCE_ERROR: u32 = 1090;
    pub(crate) const REFRESH_FAILURE: u32 = 1094;
    pub(crate) const REFRESH_SID_MISMATCH: u32 = 1095;
    pub(crate) const REFRESH_EXPIRED: u32 = 1096;
    pub(crate) const WAM_WARNING: u32 = 1097;
    pub(crate) const WAM_ERROR: u32 = 1098;
    pub(crate) const ADAL_WARNING: u32 = 1100;
    pub(crate) const ADAL_ERROR: u32 = 1101;
    pub(crate) const API_ERROR: u32 = 1104;
    pub(crate) const BROKER_WARNING: u32 = 1111;
    pub(crate) const BROKER_ERROR: u32 = 1112;
    pub(crate) const ENTERPRISE_INFO_FAILURE: u32 = 1116;
    pub(crate) const ENTERPRISE_REFRESH_FAILURE: u32 = 1117;
    pub(crate) const ENTERPRISE_LOGON_FAILURE: u32 = 1118;
    pub(crate) const ENTERPRISE_INFO_RESPONSE: u32 = 1119;
    pub(crate) const ENTERPRISE_EXPIRED: u32 = 1120;
    pub(crate) const REFRESH_SUBJECT_MISMATCH: u32 = 1122;
    pub(crate) const API_ERROR_ANALYTIC: u32 = 1134;
    pub(crate) const REALM_DISCOVERY: u32 = 1144;
    pub(crate) const SMART_CARD_NOT_FEDERATED: u32 = 1123;
    pub(crate) const PASSWORD_EXPIRY_CLAIMS: u32 = 1154;
    pub(crate) const SESSION_KEY_FAILURE: u32 = 1155;
    pub(crate) const PASSWORD_EXPIRY_FIELDS: u32 = 1156;
    pub(crate) const POST_LOGON_START: u32 = 1157;
    pub(crate) const POST_LOGON_STOP: u32 = 1158;
    pub(crate) const LOGON_FAILURES: std::ops::RangeInclusive<u32> = 1160..=1165;
    pub(crate) const PASSWORD_EXPIRED: u32 = 1210;
    pub(crate) const ENTERPRISE_PASSWORD_EXPIRED: u32 = 1212;
    pub(crate) const RESOURCE_RESPONSE: u32 = 1231;
    pub(crate) const RBAC_RESPONSE: u32 = 1232;
    pub(crate) const GET_TOKEN_DIAGNOSTIC: u32 = 1250;
    pub(crate) const ENTERPRISE_TOKEN_DIAGNOSTIC: u32 = 1251;
    pub(crate) const REFRESH_DIAGNOSTIC: u32 = 1252;
    pub(crate) const ENTERPRISE_REFRESH_DIAGNOSTIC: u32 = 1253;

    /// User Device Registration.
    pub(crate) const REGISTRATION_STEPS: std::ops::RangeInclusive<u32> = 100..=106;
    pub(crate) const JOIN_COMPLETED: u32 = 105;
    pub(crate) const POST_JOIN_COMPLETED: u32 = 106;
    pub(crate) const REGISTRATION_CLEARED: u32 = 110;
    pub(crate) const REGISTRATION_ERRORS: std::ops::RangeInclusive<u32> = 200..=206;
    pub(crate) const REGISTRATION_DETAILS: std::ops::RangeInclusive<u32> = 200..=256;
    pub(crate) const DISCOVERY_FAILED: u32 = 201;
    pub(crate) const JOIN_REQUEST_FAILED: u32 = 202;
    pub(crate) const JOIN_RESPONSE_FAILED: u32 = 204;
    pub(crate) const COMPUTER_NAME_UNREADABLE: u32 = 220;
    pub(crate) const JOIN_FAILED: u32 = 304;
    pub(crate) const AUTHENTICATION_FAILED: u32 = 305;
    pub(crate) const JOIN_SUCCEEDED: u32 = 306;
    pub(crate) const AD_LOOKUP_FAILED: u32 = 307;
    pub(crate) const NO_ENTRA_ACCOUNT: u32 = 308;
    pub(crate) const SERVICE_DISCOVERY_FAILED: u32 = 309;
    pub(crate) const PRE_CHECK: u32 = 331;
    pub(crate) const NOT_SYSTEM: u32 = 333;
    pub(crate) const NO_DOMAIN_CONTROLLER: u32 = 334;
    pub(crate) const ALREADY_JOINED: u32 = 335;
    pub(crate) const PROXY_SEARCH: std::ops::RangeInclusive<u32> = 336..=341;
    pub(crate) const DEVICE_KEY_LOCKED: u32 = 344;
    pub(crate) const DEVICE_KEY_GONE: u32 = 345;
    pub(crate) const HELLO_NOT_STARTED: u32 = 360;
    pub(crate) const SERVICE_MESSAGE: u32 = 369;
    pub(crate) const UNREGISTERED: u32 = 371;
    pub(crate) const KERBEROS_FAILED: u32 = 420;
    pub(crate) const TASK_TRIGGERED: u32 = 4096;
    /// The plug-in's complaints about the device's certificate.
    pub(crate) const DEVICE_KEY_ERROR: u32 = 1152;
    pub(crate) const DEVICE_CERTIFICATE_MISSING: u32 = 1153;
}

/// The task of the sign-in plug-in's own events; the token broker and its helpers have others.
pub(crate) const PLUGIN_TASK: u32 = 101;

/// How severe the provider says an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// 1.
    Critical,
    /// 2.
    Error,
    /// 3.
    Warning,
    /// 4, and 0: always logged.
    Information,
    /// 5 and above.
    Verbose,
}

impl Level {
    pub(crate) fn from_number(level: u8) -> Level {
        match level {
            1 => Level::Critical,
            2 => Level::Error,
            3 => Level::Warning,
            0 | 4 => Level::Information,
            _ => Level::Verbose,
        }
    }
}

/// An event's named values in the order of the record. A name that stands twice gets `#2`, `#3`, …
#[derive(Clone, Copy)]
pub struct Data<'a> {
    names: &'a [Arc<str>],
    values: Option<&'a Values>,
    /// The first of its values.
    first: u32,
}

/// The names of an event's fields, in the order of the record, each once.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct FieldNames(pub(crate) Vec<Arc<str>>);

impl<'a> Data<'a> {
    fn value(&self, place: usize) -> Option<&'a str> {
        self.values?.get(self.first as usize + place)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The value with this name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let place = self.names.iter().position(|known| **known == *name)?;
        self.value(place)
    }

    /// Names and values, in their order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = self.names.iter().enumerate();
        names.filter_map(move |(place, name)| Some((&**name, self.value(place)?)))
    }
}

impl PartialEq for Data<'_> {
    fn eq(&self, other: &Data<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Data<'_> {}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// One decoded record of a selected provider.
///
/// Secrets are masked in its [`data`](Event::data): no value of an event holds a token.
#[derive(Clone)]
pub struct Event {
    written: Filetime,
    /// Record ID within its channel.
    pub record_id: u64,
    process_id: Option<NonZeroU32>,
    thread_id: Option<NonZeroU32>,
    /// The number of its activity among those of its values.
    activity: Option<NonZeroU32>,
    /// The first of its values.
    first_value: u32,
    /// What it has in common with others.
    pub(crate) header: Arc<Header>,
    /// Where its values are; until all of the chunk are decoded it has none.
    values: Option<Arc<Values>>,
}

/// What hardly differs from one event with an ID to the next, and is held once for all of them: an
/// [`Event`] has these fields beside its own.
#[derive(Clone, Debug)]
pub struct Header {
    /// The computer's name as the record spells it; empty if it was lost.
    pub computer: Arc<str>,
    /// Who wrote it.
    pub provider: Provider,
    /// The channel it was written to.
    pub channel: Arc<str>,
    /// Event ID.
    pub event_id: u32,
    /// Template version; 0 in every build, whatever the template.
    pub version: u8,
    /// Severity.
    pub level: Level,
    /// Task.
    pub task: u32,
    /// Opcode.
    pub opcode: u8,
    /// Keywords.
    pub keywords: u64,
    /// The account of the process.
    pub user_sid: Option<Arc<str>>,
    /// The names of the event's fields.
    pub(crate) names: Option<Arc<FieldNames>>,
    /// What follows from the event ID and the names.
    pub(crate) meaning: Meaning,
}

/// What is known of an event ID, and of the fields of its events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meaning {
    info: Option<&'static EventInfo>,
    /// Which fields have a role, in the template's order.
    roles: Vec<(Role, usize)>,
    /// A bit for each role that one of them has: most questions are about a role that none has.
    held: u32,
    /// The account is a user's.
    pub(crate) of_user: bool,
}

impl Meaning {
    /// Whether nothing of this field may be shown.
    pub(crate) fn is_secret(&self, place: usize) -> bool {
        self.roles.contains(&(Role::Secret, place))
    }
}

impl Header {
    /// What tells headers apart: the rest follows from it.
    fn key(&self) -> impl Eq + Hash {
        let Header {
            computer,
            provider,
            channel,
            event_id,
            version,
            level,
            task,
            opcode,
            keywords,
            user_sid,
            names,
            meaning: _,
        } = self;
        let numbers = (event_id, version, level, task, opcode, keywords);
        (numbers, provider, computer, channel, user_sid, names)
    }
}

impl PartialEq for Header {
    fn eq(&self, other: &Header) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Header {}

impl Hash for Header {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Headers, each once.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    all: HashSet<Arc<Header>>,
    /// Those that were asked for last, by the last digits of the event ID.
    recent: Vec<Option<Arc<Header>>>,
}

impl Headers {
    /// How many are at hand; the events of a log have fewer IDs.
    const RECENT: usize = 256;

    /// The one that holds this; what is known of its event ID need not stand in it.
    pub(crate) fn get(&mut self, mut header: Header) -> Arc<Header> {
        // No names are the same as none.
        header.names = header.names.filter(|names| !names.0.is_empty());
        self.recent.resize(Headers::RECENT, None);
        let place = header.event_id as usize % Headers::RECENT;
        let recent = self.recent.get_mut(place);
        if let Some(Some(known)) = &recent
            && **known == header
        {
            return Arc::clone(known);
        }
        let found = match self.all.get(&header) {
            Some(known) => Arc::clone(known),
            None => {
                let meaning = Meaning::of(&header);
                let new = Arc::new(Header { meaning, ..header });
                self.all.insert(Arc::clone(&new));
                new
            }
        };
        if let Some(recent) = recent {
            *recent = Some(Arc::clone(&found));
        }
        found
    }
}

impl Meaning {
    fn of(header: &Header) -> Meaning {
        let info = event_info(header.provider, header.event_id);
        let names = header.names.as_ref().map_or(&[][..], |names| &names.0);
        let place = |field: &str| names.iter().position(|name| **name == *field);
        let roles = info.into_iter().flat_map(|info| &info.roles);
        let roles = roles.filter_map(|(field, role)| Some((*role, place(field)?)));
        let mut roles: Vec<(Role, usize)> = roles.collect();
        // A field may say by its name what the table does not.
        for (place, name) in names.iter().enumerate() {
            if secret::is_name(name, info.is_some()) && !roles.contains(&(Role::Secret, place)) {
                roles.push((Role::Secret, place));
            }
        }
        let held = roles.iter().fold(0, |held, (role, _)| held | role.bit());
        Meaning {
            info,
            roles,
            held,
            of_user: header.user_sid.as_deref().is_some_and(is_user),
        }
    }

    /// The places of the fields that have a role.
    fn places(&self, role: Role) -> impl Iterator<Item = usize> {
        let roles = match self.held & role.bit() {
            0 => &[],
            _ => self.roles.as_slice(),
        };
        let of_role = roles.iter().filter(move |(of, _)| *of == role);
        of_role.map(|(_, place)| *place)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("time", &self.time())
            .field("record_id", &self.record_id)
            .field("process_id", &self.process_id())
            .field("thread_id", &self.thread_id())
            .field("activity_id", &self.activity_id())
            .field("data", &self.data())
            .field("header", &self.header)
            .finish()
    }
}

impl Deref for Event {
    type Target = Header;

    fn deref(&self) -> &Header {
        &self.header
    }
}

impl Event {
    /// One whose values come next among these, which are still being collected.
    // Called for each record: as a call it costs more than what it does.
    #[inline(always)]
    pub(crate) fn new(
        written: Filetime,
        record_id: u64,
        thread: (Option<u32>, Option<u32>),
        activity_id: Option<Uuid>,
        header: Arc<Header>,
        values: &mut Collector,
    ) -> Event {
        let (process_id, thread_id) = thread;
        let activity_id = activity_id.filter(|id| !id.is_nil());
        Event {
            written,
            record_id,
            // Process 0 and its threads are idle: exports write 0 where the number was lost.
            process_id: process_id.and_then(NonZeroU32::new),
            thread_id: thread_id.and_then(NonZeroU32::new),
            activity: activity_id.and_then(|id| values.activity(id)),
            first_value: values.next(),
            header,
            values: None,
        }
    }

    /// Says where its values are.
    pub(crate) fn found_in(&mut self, values: &Arc<Values>) {
        self.values = Some(Arc::clone(values));
    }

    /// When it was written, to 100 ns.
    pub fn time(&self) -> DateTime<Utc> {
        self.written.time()
    }

    /// The same as the record has it: of two events the one that is less came first.
    pub(crate) fn written(&self) -> Filetime {
        self.written
    }

    /// The process that wrote it; absent in some exports.
    pub fn process_id(&self) -> Option<u32> {
        self.process_id.map(NonZeroU32::get)
    }

    /// The thread that wrote it; absent in some exports.
    pub fn thread_id(&self) -> Option<u32> {
        self.thread_id.map(NonZeroU32::get)
    }

    /// The activity of the thread; not the request's correlation ID.
    pub fn activity_id(&self) -> Option<Uuid> {
        self.values.as_ref()?.activity(self.activity?)
    }

    /// Its own values.
    pub fn data(&self) -> Data<'_> {
        Data {
            names: self.names.as_ref().map_or(&[], |names| names.0.as_slice()),
            values: self.values.as_deref(),
            first: self.first_value,
        }
    }

    /// What is known of this event ID.
    pub fn info(&self) -> Option<&'static EventInfo> {
        self.meaning.info
    }

    /// Whether it is this event of the AAD provider.
    pub(crate) fn is(&self, event_id: u32) -> bool {
        self.event_id == event_id && self.provider == Provider::Aad
    }

    /// Its event ID, if device registration wrote it.
    pub(crate) fn registration_id(&self) -> Option<u32> {
        (self.provider == Provider::DeviceRegistration).then_some(self.event_id)
    }

    /// Whether the sign-in plug-in itself wrote it, as opposed to the token broker.
    pub(crate) fn is_plugin(&self) -> bool {
        self.provider == Provider::Aad && self.task == PLUGIN_TASK
    }

    /// The fields that have the role and are not empty.
    pub(crate) fn values(&self, role: Role) -> impl Iterator<Item = &str> {
        let places = self.meaning.places(role);
        places
            .filter_map(|place| self.data().value(place))
            .filter(|value| !value.is_empty())
    }

    /// The first of them.
    #[inline]
    pub(crate) fn value(&self, role: Role) -> Option<&str> {
        self.values(role).next()
    }

    /// The code in the first field that has the role.
    #[inline]
    pub(crate) fn code(&self, role: Role) -> Option<Code> {
        self.value(role).and_then(Code::parse)
    }

    /// A number in the first field that has the role, such as an HTTP status.
    pub(crate) fn number(&self, role: Role) -> Option<u32> {
        self.value(role)?.parse().ok()
    }

    /// The correlation ID of the request it belongs to.
    pub(crate) fn correlation_id(&self) -> Option<Uuid> {
        self.value(Role::CorrelationId).and_then(guid)
    }
}

/// A GUID in any spelling, braces or not. The zero GUID means that there is none.
pub(crate) fn guid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text.trim())
        .ok()
        .filter(|guid| !guid.is_nil())
}

/// Whether a SID is a user's: of a domain or of Entra ID, not an account of the system.
pub(crate) fn is_user(sid: &str) -> bool {
    sid.starts_with("S-1-5-21-") || sid.starts_with("S-1-12-1-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millions_of_events_fit_into_memory() {
        assert!(size_of::<Event>() <= 48);
    }
}
