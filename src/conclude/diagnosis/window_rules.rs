//! What a failed window means.

use super::{
    Diagnosis, KEY_LOCKED, KEY_MISSING, NOT_FIPS, Rule, Subject, TOKEN_SPACES, by_code, diagnosis,
    first, number,
};
use crate::conclude::evidence::{self, DecisiveKind, Evidence};
use crate::conclude::window::{Operation, Outcome, Prt, Window};
use crate::event::{Event, id};
use crate::facts::Provider;
use crate::facts::Role;
use crate::facts::code::{Code, Family};
use chrono::{DateTime, TimeDelta, Utc};
use std::borrow::Cow;

/// How soon after the registration a device may not be known everywhere yet.
const SYNC_PENDING: TimeDelta = TimeDelta::hours(1);

pub(super) type WindowRule = Rule<fn(&WindowFacts<'_>) -> bool>;

/// What the rules for windows ask.
pub(crate) struct WindowFacts<'a> {
    pub(crate) events: &'a [Event],
    pub(crate) window: &'a Window<'a>,
    /// A failed registration run explains it.
    pub(crate) explained: bool,
    /// The newest registration evidence before it says that the device is joined.
    pub(crate) joined: bool,
    /// When the device was registered, if the logs have it.
    pub(crate) registered: Option<DateTime<Utc>>,
    /// Somebody had a token before: a refresh, which names no user, renews one.
    pub(crate) renews: bool,
    /// The same user had a token before.
    pub(crate) succeeded_before: bool,
    /// The same user got a token within minutes.
    pub(crate) succeeded_soon: bool,
}

impl WindowFacts<'_> {
    fn evidence(&self) -> &Evidence<'_> {
        &self.window.evidence
    }

    /// Whether the server named this code, as the last or on the way.
    fn server(&self, code: &str) -> bool {
        self.evidence().server.as_ref().is_some_and(|server| {
            let mut codes = server.value.code.iter().chain(&server.value.also);
            codes.any(|named| named == code)
        })
    }

    /// The status codes of the failing members and the final one.
    fn has_code(&self, holds: impl Fn(Code) -> bool) -> bool {
        let decides = self.window.decisive.as_ref();
        let is_client = decides.is_some_and(|decisive| {
            matches!(decisive.kind, DecisiveKind::Client | DecisiveKind::Status)
        });
        is_client
            && self.members().any(|event| {
                // Newer builds log the HRESULT of 1084 as a diagnostic's transport error.
                let codes = [Role::Status, Role::TransportError].into_iter();
                codes
                    .filter_map(|role| event.code(role).map(Code::canonical))
                    .any(|code| code.is_failure() && holds(code))
            })
    }

    fn client(&self, code: u32) -> bool {
        self.has_code(|of| of == Code(code))
    }

    fn members(&self) -> impl Iterator<Item = &Event> {
        let members = self.window.members.iter();
        members.filter_map(|member| self.events.get(member.event()))
    }

    fn has(&self, event_id: u32) -> bool {
        self.members().any(|event| event.is(event_id))
    }

    fn network(&self, holds: impl Fn(Option<u16>) -> bool) -> bool {
        let decides = self.window.decisive.as_ref();
        let network = self.evidence().network.as_ref();
        decides.is_some_and(|decisive| decisive.kind == DecisiveKind::Network)
            && network.is_some_and(|found| holds(found.value.network_number()))
    }

    /// Whether the device is what was refused.
    fn device_refused(&self) -> bool {
        self.server("AADSTS50155") || self.client(0xc004_84b2)
    }

    /// Whether this event tells an HTTP error, and no code says more.
    fn only_http_error(&self, event_id: u32) -> bool {
        let mut answers = self.members().filter(|event| event.is(event_id));
        self.decided_by(DecisiveKind::Status)
            && answers.any(|event| event.number(Role::HttpStatus).is_some_and(|of| of >= 400))
    }

    /// The address of the request before the first failing event.
    fn url_before_failure(&self) -> Option<&str> {
        let first = self.window.first_failure?;
        let before = self.window.members.iter().rev();
        let before = before.filter(|member| member.event() < first);
        let mut events = before.filter_map(|member| self.events.get(member.event()));
        events
            .find(|event| event.is(id::ENDPOINT))?
            .value(Role::Url)
    }

    fn since_registered(&self) -> Option<TimeDelta> {
        let registered = self.registered?;
        Some(self.window.began - registered)
    }

    fn decided_by(&self, kind: DecisiveKind) -> bool {
        self.window
            .decisive
            .as_ref()
            .is_some_and(|decisive| decisive.kind == kind)
    }
}

pub(super) const WINDOW_RULES: &[WindowRule] = &[
    Rule {
        cause: "transport_key_bad",
        because: "AD FS answered MSIS9682: it does not know the device's key",
        holds: |facts| facts.server("MSIS9682"),
    },
    Rule {
        cause: "enterprise_prt_failed",
        because: "only the AD FS token failed",
        holds: |facts| facts.window.prt == Prt::Enterprise,
    },
    Rule {
        cause: "registration_failed",
        because: "the device was refused, and its last telling registration run failed",
        holds: |facts| facts.explained,
    },
    Rule {
        cause: "just_registered",
        because: "the device was refused within an hour of its registration",
        holds: |facts| {
            facts.device_refused()
                && facts
                    .since_registered()
                    .is_some_and(|since| since <= SYNC_PENDING)
        },
    },
    Rule {
        cause: "device_removed",
        because: "the device was refused though its registration had succeeded",
        holds: |facts| facts.device_refused() && facts.joined,
    },
    Rule {
        cause: "device_rejected",
        because: "the server answered AADSTS50155",
        holds: |facts| facts.server("AADSTS50155"),
    },
    Rule {
        cause: "device_not_joined",
        because: "the plug-in says that the device is not joined (0xc00484b2)",
        holds: |facts| facts.client(0xc004_84b2),
    },
    Rule {
        cause: "tpm_locked",
        because: "the TPM is locked out (0x80090031)",
        holds: |facts| facts.has_code(|code| code == KEY_LOCKED),
    },
    Rule {
        cause: "tpm_fips",
        because: "the TPM is in FIPS mode (0x80280036)",
        holds: |facts| facts.has_code(|code| code == NOT_FIPS),
    },
    Rule {
        cause: "tpm_key_missing",
        because: "the device's key or certificate cannot be used (0x80090016, 1152 or 1153)",
        holds: |facts| {
            // What the server or the network says decides before these.
            let of_the_client = !facts.decided_by(DecisiveKind::Server)
                && !facts.decided_by(DecisiveKind::Fault)
                && !facts.decided_by(DecisiveKind::Network);
            facts.has_code(|code| code == KEY_MISSING)
                || of_the_client
                    && (facts.has(id::DEVICE_KEY_ERROR)
                        || facts.has(id::DEVICE_CERTIFICATE_MISSING))
        },
    },
    Rule {
        cause: "tpm_error",
        because: "the TPM gave an error",
        holds: |facts| facts.has_code(|code| code.family() == Family::Tpm),
    },
    Rule {
        cause: "password_not_synced",
        because: "AADSTS50126, and the same user had a token before",
        holds: |facts| facts.server("AADSTS50126") && facts.succeeded_before,
    },
    Rule {
        cause: "wrong_password",
        because: "the server answered AADSTS50126",
        holds: |facts| facts.server("AADSTS50126"),
    },
    Rule {
        cause: "user_not_found",
        because: "the server answered AADSTS50034",
        holds: |facts| facts.server("AADSTS50034"),
    },
    Rule {
        cause: "upn_tenant_not_found",
        because: "the server answered AADSTS90002 to a token request",
        holds: |facts| facts.server("AADSTS90002"),
    },
    Rule {
        cause: "mfa_required",
        because: "the server answered AADSTS50076",
        holds: |facts| facts.server("AADSTS50076"),
    },
    Rule {
        cause: "refresh_expired",
        because: "the plug-in says that the token is expired (1096)",
        holds: |facts| facts.has(id::REFRESH_EXPIRED),
    },
    Rule {
        cause: "refresh_sid_mismatch",
        because: "the plug-in says that the token is another user's (1095 or 1122)",
        holds: |facts| {
            facts.has(id::REFRESH_SID_MISMATCH) || facts.has(id::REFRESH_SUBJECT_MISMATCH)
        },
    },
    Rule {
        cause: "server_refused",
        because: "the server answered with an error",
        holds: |facts| facts.decided_by(DecisiveKind::Server),
    },
    Rule {
        cause: "must_change_password",
        because: "a WS-Trust fault, and the password is expired (1154, 1156 or 1210)",
        holds: |facts| {
            facts.evidence().fault.is_some() && facts.members().any(says_password_expired)
        },
    },
    Rule {
        cause: "wstrust_fault",
        because: "the federation service answered with a WS-Trust fault (1088)",
        holds: |facts| facts.decided_by(DecisiveKind::Fault),
    },
    Rule {
        cause: "smart_card_not_federated",
        because: "a smart card was used by a user who is not federated (1123)",
        holds: |facts| facts.has(id::SMART_CARD_NOT_FEDERATED),
    },
    Rule {
        cause: "upn_not_routable",
        because: "realm discovery ended with 0xc000005f",
        holds: |facts| facts.client(0xc000_005f),
    },
    Rule {
        cause: "upn_malformed",
        because: "the plug-in says that the user name is malformed (0xc004844c)",
        holds: |facts| facts.client(0xc004_844c),
    },
    Rule {
        cause: "user_sid_missing",
        because: "the ID token has no SID (0xc0048442)",
        holds: |facts| facts.client(0xc004_8442),
    },
    Rule {
        cause: "saml_token_empty",
        because: "the WS-Trust answer held no token (0xc00484c1)",
        holds: |facts| facts.client(0xc004_84c1),
    },
    Rule {
        cause: "mex_no_password_endpoint",
        because: "the MEX document lists no password endpoint (0xc004848b)",
        holds: |facts| facts.client(0xc004_848b),
    },
    Rule {
        cause: "mex_no_certificate_endpoint",
        because: "the MEX document lists no certificate endpoint (0xc004848c)",
        holds: |facts| facts.client(0xc004_848c),
    },
    Rule {
        cause: "dtd_in_answer",
        because: "the XML answer holds a DTD (0xc00cee4f)",
        holds: |facts| facts.client(0xc00c_ee4f),
    },
    Rule {
        cause: "offline_at_signin",
        because: "a network error, and the same user got a token within minutes",
        holds: |facts| facts.network(|_| true) && facts.succeeded_soon,
    },
    Rule {
        cause: "name_not_resolved",
        because: "WinHTTP could not resolve the name (12007)",
        holds: |facts| facts.network(|of| of == Some(number::NAME_NOT_RESOLVED)),
    },
    Rule {
        cause: "network_timeout",
        because: "WinHTTP timed out (12002)",
        holds: |facts| facts.network(|of| of == Some(number::TIMEOUT)),
    },
    Rule {
        cause: "tls_inspected",
        because: "WinHTTP could not set up TLS",
        holds: |facts| facts.network(|of| of.is_some_and(number::is_tls)),
    },
    Rule {
        cause: "cannot_connect",
        because: "WinHTTP could not connect, or lost the connection",
        holds: |facts| facts.network(|of| of.is_some_and(number::is_connection)),
    },
    Rule {
        cause: "network_other",
        because: "a network error",
        holds: |facts| facts.network(|_| true),
    },
    Rule {
        cause: "proxy_authentication",
        because: "a proxy asks for a sign-in (HTTP 407)",
        holds: |facts| {
            let http = facts.evidence().http.as_ref();
            let status = http.and_then(|http| http.status.as_ref());
            facts.decided_by(DecisiveKind::Http) && status.is_some_and(|of| of.value == 407)
        },
    },
    Rule {
        cause: "mex_refused",
        because: "the federation service answered the MEX request with an HTTP error (1021)",
        holds: |facts| facts.only_http_error(id::MEX_RESPONSE),
    },
    Rule {
        cause: "http_refused",
        because: "an HTTP status, and nothing that says more",
        holds: |facts| {
            facts.decided_by(DecisiveKind::Http) || facts.only_http_error(id::REALM_RESPONSE)
        },
    },
    Rule {
        cause: "unknown_failure",
        because: "no rule knows this evidence",
        holds: |_| true,
    },
];

/// Whether the password had expired by then: 1154 and 1156 also announce it days ahead.
fn says_password_expired(event: &Event) -> bool {
    let never = DateTime::UNIX_EPOCH;
    match event.event_id {
        _ if event.provider != Provider::Aad => false,
        id::PASSWORD_EXPIRED => true,
        id::PASSWORD_EXPIRY_CLAIMS => event
            .value(Role::ExpiresIn)
            .and_then(|seconds| seconds.parse::<i64>().ok())
            .is_some_and(|seconds| seconds <= 0),
        id::PASSWORD_EXPIRY_FIELDS => event
            .value(Role::ExpiresAt)
            .and_then(|time| DateTime::parse_from_rfc3339(time).ok())
            .is_some_and(|time| time > never && time <= event.time()),
        _ => false,
    }
}

/// What a window means: nothing to say of one that succeeded at once, or left no failure.
pub(crate) fn of_window(facts: &WindowFacts<'_>) -> Option<Diagnosis> {
    let window = facts.window;
    match window.outcome {
        Outcome::Succeeded if !window.recovered => return None,
        Outcome::Incomplete if window.first_failure.is_none() => return None,
        _ => {}
    }
    let decisive = window.decisive.as_ref();
    let decisive = decisive.map(|decisive| Cow::Borrowed(decisive.code.as_str()));
    // A window that succeeded has no deciding code: the step's own is told, unless it only wraps
    // one that another event has.
    let step = || {
        let first = facts.events.get(window.first_failure?)?;
        evidence::telling_code(first)
    };
    let wraps = |code: &Cow<'_, str>| Code::parse(code).is_some_and(Code::is_wrapper);
    let code = decisive
        .or_else(|| step().filter(|code| !wraps(code)))
        .or_else(|| Some(window.evidence.decisive()?.code.into()))
        .or_else(step);
    let subject = Subject {
        upn: window.evidence.upn.as_ref().map(|upn| upn.value),
        url: window
            .evidence
            .http
            .as_ref()
            .and_then(|http| http.url.as_ref())
            .map(|url| url.value)
            .or_else(|| facts.url_before_failure()),
        code: code.as_deref(),
        time: facts.registered,
    };
    if window.recovered {
        let because = "something failed on the way to a token";
        return diagnosis("recovered", because, &subject);
    }
    let mut found = first(WINDOW_RULES, |holds| holds(facts), &subject)?;
    // A failed renewal after a success is told as one, whatever made it fail.
    if window.operation == Operation::Refresh && facts.renews {
        found.stage = "renewal";
    }
    if matches!(
        found.rule,
        "server_refused" | "network_other" | "unknown_failure"
    ) {
        by_code(
            &mut found,
            window
                .decisive
                .as_ref()
                .map(|decisive| decisive.code.as_str()),
            TOKEN_SPACES,
        );
    }
    Some(found)
}
