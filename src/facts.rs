//! Facts about events and codes, kept as data files beside this module and embedded.
//!
//! `facts/events.tsv` names every event of both providers and says what its fields hold: the
//! providers reuse templates, so a field's name often lies (`Method` of event 1144 is the user
//! name). `facts/codes.tsv` names codes.

pub mod code;
mod provider;

pub use provider::Provider;

use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

const EVENTS: &str = include_str!("facts/events.tsv");
const CODES: &str = include_str!("facts/codes.tsv");
const CAUSES: &str = include_str!("facts/causes.toml");

/// What is known of one event ID.
#[derive(Debug)]
pub struct EventInfo {
    /// The provider that writes it.
    pub provider: Provider,
    /// Its event ID.
    pub event_id: u32,
    /// A short name.
    pub name: &'static str,
    /// What its fields hold, in the template's order.
    pub(crate) roles: Vec<(&'static str, Role)>,
}

/// What a field holds, whatever its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// An NTSTATUS or HRESULT whose bit 31 says failure.
    Status,
    HttpStatus,
    HttpMethod,
    Url,
    CorrelationId,
    Upn,
    CredentialType,
    OauthError,
    ServerText,
    FaultCode,
    FaultText,
    Api,
    /// A code of the token broker, in decimal.
    WamCode,
    Win32,
    TransportError,
    Message,
    /// The `key: value` block of device registration.
    DebugOutput,
    /// What the token library said.
    AdalText,
    DeviceId,
    TenantId,
    /// Seconds until the password expires.
    ExpiresIn,
    /// When the password expires.
    ExpiresAt,
    TenantName,
    TenantType,
    JoinType,
    RequestId,
    /// A token or another secret: masked as soon as it is read.
    Secret,
    /// Known, and of no use to a rule yet.
    Other,
}

impl Role {
    fn named(name: &str) -> Role {
        match name {
            "status" => Role::Status,
            "http_status" => Role::HttpStatus,
            "http_method" => Role::HttpMethod,
            "url" => Role::Url,
            "correlation_id" => Role::CorrelationId,
            "upn" => Role::Upn,
            "credential_type" => Role::CredentialType,
            "oauth_error" => Role::OauthError,
            "server_text" => Role::ServerText,
            "fault_code" => Role::FaultCode,
            "fault_text" => Role::FaultText,
            "api" => Role::Api,
            "wam_code" => Role::WamCode,
            "win32" => Role::Win32,
            "transport_error" => Role::TransportError,
            "message" => Role::Message,
            "debug_output" => Role::DebugOutput,
            "adal_text" => Role::AdalText,
            "device_id" => Role::DeviceId,
            "tenant_id" => Role::TenantId,
            "expires_in" => Role::ExpiresIn,
            "expires_at" => Role::ExpiresAt,
            "tenant_name" => Role::TenantName,
            "tenant_type" => Role::TenantType,
            "join_type" => Role::JoinType,
            "request_id" => Role::RequestId,
            "secret" => Role::Secret,
            _ => Role::Other,
        }
    }

    /// A bit that no other role has: there are fewer than 32.
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl EventInfo {
    fn from_row(row: &'static str) -> Option<EventInfo> {
        let mut columns = row.split('\t');
        let provider = match columns.next()? {
            "aad" => Provider::Aad,
            _ => Provider::DeviceRegistration,
        };
        let event_id = columns.next()?.parse().ok()?;
        // Level, channel, task, opcode and keywords stand in the record itself.
        let name = columns.nth(5)?;
        let roles = columns
            .flat_map(|fields| fields.split(' '))
            .filter_map(|field| {
                let mut parts = field.split(':');
                let name = parts.next()?;
                Some((name, Role::named(parts.nth(1)?)))
            })
            .collect();
        Some(EventInfo {
            provider,
            event_id,
            name,
            roles,
        })
    }

    /// What a field holds, if that is known.
    pub(crate) fn role(&self, field: &str) -> Option<Role> {
        let mut roles = self.roles.iter();
        roles
            .find(|(name, _)| *name == field)
            .map(|(_, role)| *role)
    }
}

static INFO: LazyLock<Vec<EventInfo>> = LazyLock::new(|| {
    EVENTS
        .lines()
        .filter(|row| !row.starts_with('#'))
        .filter_map(EventInfo::from_row)
        .collect()
});

/// What is known of an event, if its ID is known.
pub fn event_info(provider: Provider, event_id: u32) -> Option<&'static EventInfo> {
    let rows: &'static [EventInfo] = &INFO;
    rows.binary_search_by_key(&(provider, event_id), |row| (row.provider, row.event_id))
        .ok()
        .and_then(|at| rows.get(at))
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Class {
    Device,
    User,
    Network,
    Federation,
    Tpm,
    Server,
    Configuration,
    Downstream,
    Unknown,
}

/// A cause and its texts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cause {
    pub(crate) class: Class,
    pub(crate) stage: String,
    pub(crate) summary: String,
    pub(crate) cause: String,
    #[serde(deserialize_with = "kept")]
    pub(crate) next_steps: Vec<&'static str>,
    /// The steps where it made a registration fail, if they are others.
    #[serde(default, deserialize_with = "kept")]
    pub(crate) registration_steps: Vec<&'static str>,
    #[serde(deserialize_with = "kept")]
    pub(crate) sources: Vec<&'static str>,
}

/// Texts that are read once and stay to the end.
fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'static str>, D::Error> {
    let texts: Vec<String> = Deserialize::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|text| &*text.leak()).collect())
}

/// The texts of a cause.
pub(crate) fn cause(name: &str) -> Option<&'static Cause> {
    // A test reads the file, so that there is nothing to report here.
    static CAUSES_READ: LazyLock<BTreeMap<String, Cause>> =
        LazyLock::new(|| toml::from_str(CAUSES).unwrap_or_default());
    CAUSES_READ.get(name)
}

/// What is known of one code.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// Who defines it: `ntstatus`, `aadsts`, `winhttp`, …
    pub space: &'static str,
    /// The code in its usual spelling.
    pub code: &'static str,
    /// Its constant's name, where one is published.
    pub symbol: Option<&'static str>,
    /// What it means.
    pub meaning: Option<&'static str>,
    /// Where it is seen.
    pub stage: Option<&'static str>,
    /// Why it comes.
    pub cause: Option<&'static str>,
    next_steps: Option<&'static str>,
    sources: Option<&'static str>,
}

impl CodeInfo {
    pub(crate) fn from_row(row: &'static str) -> Option<CodeInfo> {
        let mut columns = row.split('\t');
        let space = columns.next()?;
        let code = columns.next()?;
        let mut text = || columns.next().filter(|text| *text != "-");
        Some(CodeInfo {
            space,
            code,
            symbol: text(),
            meaning: text(),
            stage: text(),
            cause: text(),
            next_steps: text(),
            sources: text(),
        })
    }

    /// What to do, the least disruptive first.
    pub fn next_steps(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.next_steps
            .into_iter()
            .flat_map(|steps| steps.split(" | "))
    }

    /// Where this is from.
    pub fn sources(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.sources
            .into_iter()
            .flat_map(|sources| sources.split(" | "))
    }
}

/// Every row of the table, in its order.
pub fn codes() -> impl Iterator<Item = CodeInfo> {
    let rows = CODES.lines().filter(|row| !row.starts_with('#'));
    rows.filter_map(CodeInfo::from_row)
}

/// What is known of a code in a space, such as `("winhttp", "12007")`.
pub fn code_info(space: &str, code: &str) -> Option<CodeInfo> {
    CodeInfo::from_row(code_row(space, code)?)
}

/// The row of a code in a space.
pub(crate) fn code_row(space: &str, code: &str) -> Option<&'static str> {
    // The table's rows by their first two columns.
    static ROWS: LazyLock<HashMap<(&str, &str), &str>> = LazyLock::new(|| {
        let rows = CODES.lines().filter(|row| !row.starts_with('#'));
        let keyed = rows.filter_map(|row| {
            let mut columns = row.splitn(3, '\t');
            Some(((columns.next()?, columns.next()?), row))
        });
        keyed.collect()
    });
    ROWS.get(&(space, code)).copied()
}

/// The first row of a code in whatever space.
pub(crate) fn first_row(code: &str) -> Option<CodeInfo> {
    static ROWS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
        let mut first = HashMap::new();
        for row in CODES.lines().filter(|row| !row.starts_with('#')) {
            if let Some(code) = row.split('\t').nth(1) {
                first.entry(code).or_insert(row);
            }
        }
        first
    });
    CodeInfo::from_row(ROWS.get(code).copied()?)
}

/// The published symbol in a row.
pub(crate) fn row_symbol(row: &'static str) -> Option<&'static str> {
    row.split('\t').nth(2).filter(|symbol| *symbol != "-")
}

/// The published symbol of a code in a space.
pub(crate) fn symbol(space: &str, code: &str) -> Option<&'static str> {
    row_symbol(code_row(space, code)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
        table
            .lines()
            .filter(|row| !row.starts_with('#'))
            .map(|row| row.split('\t').collect())
    }

    #[test]
    fn events_are_whole_sorted_and_unique() {
        let known = rows(EVENTS).count();
        assert_eq!(INFO.len(), known, "every row is read");
        assert_eq!(known, 209 + 218, "both providers, every event");
        assert!(INFO.is_sorted_by(|a, b| (a.provider, a.event_id) < (b.provider, b.event_id)));
        for info in INFO.iter() {
            assert!(
                !info.name.is_empty() && info.name.chars().count() <= 60,
                "{info:?}"
            );
        }
    }

    #[test]
    fn every_role_in_the_table_is_a_known_word() {
        const WORDS: [&str; 31] = [
            "status",
            "http_status",
            "http_method",
            "url",
            "correlation_id",
            "upn",
            "sid",
            "credential_type",
            "oauth_error",
            "server_text",
            "fault_code",
            "fault_text",
            "api",
            "wam_code",
            "win32",
            "transport_error",
            "message",
            "secret",
            "tenant_id",
            "tenant_name",
            "tenant_type",
            "join_type",
            "debug_output",
            "adal_text",
            "request_id",
            "device_id",
            "expires_in",
            "expires_at",
            "resource",
            "client_id",
            "domain",
        ];
        for row in rows(EVENTS) {
            for field in row[8].split(' ').chain(row[9].split(' ')) {
                if let Some(role) = field.split(':').nth(2) {
                    assert!(
                        WORDS.contains(&role) || ["key_name", "flag"].contains(&role),
                        "{role}"
                    );
                }
            }
        }
    }

    #[test]
    fn fields_whose_names_lie_are_mapped() {
        let field = |id, role| {
            let mut roles = event_info(Provider::Aad, id).unwrap().roles.iter();
            roles.find(|(_, of)| *of == role).map(|(field, _)| *field)
        };
        assert_eq!(field(1144, Role::Upn), Some("Method"));
        assert_eq!(field(1144, Role::CorrelationId), None);
        assert_eq!(field(1084, Role::CorrelationId), Some("Target"));
        assert_eq!(field(1025, Role::HttpStatus), Some("value"));
    }

    #[test]
    fn codes_are_sorted_and_each_row_is_found() {
        let all: Vec<_> = rows(CODES).collect();
        assert!(all.is_sorted_by(|a, b| (a[0], a[1]) < (b[0], b[1])));
        for row in &all {
            let expected = Some(row[2]).filter(|symbol| *symbol != "-");
            assert_eq!(symbol(row[0], row[1]), expected, "{row:?}");
        }
        assert_eq!(
            symbol("winhttp", "12007"),
            Some("ERROR_WINHTTP_NAME_NOT_RESOLVED")
        );
        assert_eq!(symbol("winhttp", "12"), None);
        assert_eq!(symbol("zzz", "1"), None);
    }
}
