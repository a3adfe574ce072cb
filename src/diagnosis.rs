//! What a window or run means and what to do about it: evidence → one of the causes in
//! `knowledge/causes.toml`.
//!
//! A rule is a condition with the reason it gives; the first that holds decides. The texts are data.

use crate::code::{Code, Family};
use crate::drs::{ANSWER_PAGE, Block};
use crate::event::{Event, Provider, id};
use crate::evidence::{self, DecisiveKind, Evidence};
use crate::knowledge::{self, Cause, Class, Role};
use crate::registration::{Kind, Phase, Run, RunOutcome};
use crate::window::{Operation, Outcome, Prt, Window};
use chrono::{DateTime, TimeDelta, Utc};
use std::borrow::Cow;

/// What something means and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The rule that decided: the name of a cause.
    pub rule: &'static str,
    /// Why it decided.
    pub because: &'static str,
    /// Whose fault it is.
    pub class: Class,
    /// The stage that failed.
    pub stage: &'static str,
    /// What happened, in one sentence.
    pub summary: String,
    /// Why such a thing happens.
    pub cause: &'static str,
    /// What to do, the least disruptive first.
    pub next_steps: Cow<'static, [&'static str]>,
    /// Where this is from.
    pub sources: Cow<'static, [&'static str]>,
}

/// How soon after the registration a device may not be known everywhere yet.
const SYNC_PENDING: TimeDelta = TimeDelta::hours(1);
/// How soon a success follows a failure that only came before the network did.
pub(crate) const ONLINE_SOON: TimeDelta = TimeDelta::minutes(10);

/// A rule: the cause it finds, the reason it gives, and its condition.
struct Rule<Holds> {
    cause: &'static str,
    because: &'static str,
    holds: Holds,
}

type WindowRule = Rule<fn(&WindowFacts<'_>) -> bool>;
type RunRule = Rule<fn(&RunFacts<'_>) -> bool>;

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
                let code = event.code(Role::Status).map(Code::canonical);
                code.is_some_and(|code| code.is_failure() && holds(code))
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

/// What discovery asks.
const DISCOVERY_URL: &str = "https://enterpriseregistration.windows.net/";

/// WinHTTP and WinINet numbers that rules ask for.
mod number {
    pub(super) const TIMEOUT: u16 = 12002;
    pub(super) const NAME_NOT_RESOLVED: u16 = 12007;
    pub(super) const CANNOT_CONNECT: u16 = 12029;
    pub(super) const CONNECTION_ERROR: u16 = 12030;
    pub(super) const SECURE_FAILURE: u16 = 12175;

    /// TLS and certificate errors; 12175 is the summary of the others.
    pub(super) fn is_tls(number: u16) -> bool {
        matches!(
            number,
            SECURE_FAILURE | 12037 | 12038 | 12045 | 12057 | 12157 | 12169 | 12170
        )
    }

    /// No connection, or one that was lost.
    pub(super) fn is_connection(number: u16) -> bool {
        matches!(number, CANNOT_CONNECT | CONNECTION_ERROR | 12031)
    }
}

const KEY_MISSING: Code = Code(0x8009_0016);
const KEY_LOCKED: Code = Code(0x8009_0031);
const NOT_FIPS: Code = Code(0x8028_0036);

const WINDOW_RULES: &[WindowRule] = &[
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
    // A window that succeeded has no deciding code: the step's own is told.
    let step = || {
        let first = facts.events.get(window.first_failure?)?;
        evidence::telling_code(first)
    };
    let code = decisive
        .or_else(step)
        .or_else(|| Some(window.evidence.decisive()?.code.into()));
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
        );
    }
    Some(found)
}

/// What the rules for runs ask.
struct RunFacts<'a> {
    events: &'a [Event],
    run: &'a Run,
}

impl RunFacts<'_> {
    /// Whether the last attempt's server said this, in its code or words.
    fn server(&self, holds: impl Fn(&str) -> bool) -> bool {
        let server = self
            .run
            .last_attempt()
            .and_then(|last| last.server.as_ref());
        server.is_some_and(|server| {
            let answer = &server.value.answer;
            let codes = answer.code.iter().chain(&answer.also);
            codes.chain(&answer.description).any(|said| holds(said))
        })
    }

    /// Whether the server answered this code to any attempt.
    fn any_server(&self, code: &str) -> bool {
        let servers = self.run.attempts.iter();
        servers
            .filter_map(|attempt| attempt.server.as_ref())
            .any(|server| {
                let answer = &server.value.answer;
                let mut codes = answer.code.iter().chain(&answer.also);
                codes.any(|said| said == code)
            })
    }

    fn says(&self, words: &str) -> bool {
        self.server(|said| said.to_lowercase().contains(words))
    }

    fn http_status(&self) -> Option<u32> {
        self.run.last_attempt()?.server.as_ref()?.value.http_status
    }

    /// The exit code and what it wraps.
    fn codes(&self) -> impl Iterator<Item = Code> {
        let sub_error = self
            .run
            .last_attempt()
            .and_then(|last| last.sub_error.as_ref());
        let codes = [self.run.exit_code.as_ref(), sub_error].into_iter();
        codes.flatten().map(|found| found.value.canonical())
    }

    fn code(&self, code: u32) -> bool {
        self.codes().any(|of| of == Code(code))
    }

    fn network(&self, holds: impl Fn(u16) -> bool) -> bool {
        self.codes().filter_map(Code::network_number).any(holds)
    }

    fn has(&self, event_id: u32) -> bool {
        let members = self.run.members.iter();
        members
            .filter_map(|member| self.events.get(member.event()))
            .any(|event| event.registration_id() == Some(event_id))
    }

    /// Whether the pre-check says this of a key.
    fn pre_check(&self, key: &str, word: &str) -> bool {
        let members = self.run.members.iter();
        members
            .filter_map(|member| self.events.get(member.event()))
            .filter(|event| event.registration_id() == Some(id::PRE_CHECK))
            .filter_map(|event| event.value(Role::DebugOutput))
            .any(|text| {
                Block::read(text)
                    .get(key)
                    .is_some_and(|of| of.eq_ignore_ascii_case(word))
            })
    }

    fn is(&self, outcome: RunOutcome) -> bool {
        self.run.outcome == outcome
    }
}

const RUN_RULES: &[RunRule] = &[
    Rule {
        cause: "not_system",
        because: "the pre-check says that it must run as SYSTEM (333 or 331)",
        holds: |facts| {
            facts.is(RunOutcome::NotPossible)
                && (facts.has(id::NOT_SYSTEM) || facts.pre_check("isSystem", "NO"))
        },
    },
    Rule {
        cause: "no_domain_controller",
        because: "the pre-check found no domain controller (334 or 331)",
        holds: |facts| {
            facts.is(RunOutcome::NotPossible)
                && (facts.has(id::NO_DOMAIN_CONTROLLER) || facts.pre_check("isDcAvailable", "NO"))
        },
    },
    Rule {
        cause: "join_not_possible",
        because: "the pre-check says DoNotJoin and gives no reason (331)",
        holds: |facts| facts.is(RunOutcome::NotPossible),
    },
    Rule {
        cause: "task_silent",
        because: "the task was triggered and left no result",
        holds: |facts| facts.is(RunOutcome::Silent),
    },
    Rule {
        cause: "proxy_page",
        because: ANSWER_PAGE,
        holds: |facts| facts.run.proxy_page.is_some(),
    },
    Rule {
        cause: "proxy_authentication",
        because: "a proxy asks for a sign-in (HTTP 407)",
        holds: |facts| {
            facts.http_status() == Some(407) || facts.code(0xcaa3_0197) || facts.code(0x8019_0197)
        },
    },
    Rule {
        cause: "mfa_for_device",
        because: "the computer's token request was answered with AADSTS50076",
        // What made the first attempt fail is told, though another one failed after it.
        holds: |facts| facts.any_server("AADSTS50076"),
    },
    Rule {
        cause: "drs_throttled",
        because: "the registration service says that requests are throttled",
        holds: |facts| facts.says("throttled"),
    },
    Rule {
        cause: "sync_pending",
        because: "the registration service does not know the device object yet",
        holds: |facts| {
            facts.says("device object by the given id")
                || facts.says("target computer's sid")
                || facts.says("devicenotfound")
                || facts.says("error_missing_device")
        },
    },
    Rule {
        cause: "scp_tenant_wrong",
        because: "the tenant of the service connection point was not found",
        holds: |facts| facts.server(|said| said.contains("AADSTS90002")) || facts.code(0x801c_003a),
    },
    Rule {
        cause: "saml_token_rejected",
        because: "Entra ID did not accept the federation service's token (0xcaa20003)",
        holds: |facts| facts.code(0xcaa2_0003),
    },
    Rule {
        cause: "drs_busy",
        because: "the registration service is busy (HTTP 503 or 429, 0x801c0025)",
        holds: |facts| matches!(facts.http_status(), Some(429 | 503)) || facts.code(0x801c_0025),
    },
    Rule {
        cause: "computer_object_unreadable",
        because: "0x801c001d in the join phase: the computer object could not be read (220)",
        holds: |facts| facts.code(0x801c_001d) && facts.run.phase == Some(Phase::Join),
    },
    Rule {
        cause: "scp_missing",
        because: "0x801c001d in discovery: the service connection point could not be read (307)",
        holds: |facts| facts.code(0x801c_001d),
    },
    Rule {
        cause: "tpm_locked",
        because: "the TPM is locked out (0x80090031)",
        holds: |facts| facts.codes().any(|code| code == KEY_LOCKED),
    },
    Rule {
        cause: "tpm_fips",
        because: "the TPM is in FIPS mode (0x80280036)",
        holds: |facts| facts.codes().any(|code| code == NOT_FIPS),
    },
    Rule {
        cause: "tpm_key_missing",
        because: "the device's key cannot be found or used (0x80090016)",
        holds: |facts| facts.codes().any(|code| code == KEY_MISSING),
    },
    Rule {
        cause: "tpm_error",
        because: "the TPM gave an error",
        holds: |facts| facts.codes().any(|code| code.family() == Family::Tpm),
    },
    Rule {
        cause: "wstrust_not_offered",
        because: "the identity provider does not speak WS-Trust (0xcaa90017)",
        holds: |facts| facts.code(0xcaa9_0017),
    },
    Rule {
        cause: "federation_bad_xml",
        because: "the federation service's answer is no XML (0xcaa9002c)",
        holds: |facts| facts.code(0xcaa9_002c),
    },
    Rule {
        cause: "mex_no_password_endpoint",
        because: "the MEX document lists no password endpoint (0xcaa90023)",
        holds: |facts| facts.code(0xcaa9_0023),
    },
    Rule {
        cause: "wstrust_fault",
        because: "the federation service answered with a fault (0xcaa90014)",
        holds: |facts| facts.code(0xcaa9_0014),
    },
    Rule {
        cause: "tls_inspected",
        because: "TLS could not be set up (0xcaa82f8f)",
        holds: |facts| facts.code(0xcaa8_2f8f),
    },
    Rule {
        cause: "undecodable_answer",
        because: "the answer could not be decoded (0x80072f8f or 0x8007000d)",
        holds: |facts| facts.code(0x8007_2f8f) || facts.code(0x8007_000d),
    },
    Rule {
        cause: "name_not_resolved",
        because: "the name could not be resolved (12007)",
        holds: |facts| facts.network(|of| of == number::NAME_NOT_RESOLVED),
    },
    Rule {
        cause: "network_timeout",
        because: "the request timed out (12002)",
        holds: |facts| facts.network(|of| of == number::TIMEOUT),
    },
    Rule {
        cause: "tls_inspected",
        because: "TLS could not be set up",
        holds: |facts| facts.network(number::is_tls),
    },
    Rule {
        cause: "cannot_connect",
        because: "the request could not connect",
        holds: |facts| facts.network(number::is_connection) || facts.code(0xcaa7_0004),
    },
    Rule {
        cause: "network_other",
        because: "a network error",
        holds: |facts| facts.network(|_| true),
    },
    Rule {
        cause: "drs_failure",
        because: "the registration service failed (0x801c03f2, 0x801c0002 or 0x801c0006)",
        holds: |facts| {
            [0x801c_03f2, 0x801c_0002, 0x801c_0006]
                .into_iter()
                .any(|code| facts.code(code))
        },
    },
    Rule {
        cause: "server_refused",
        because: "the server answered with an error",
        holds: |facts| facts.server(|said| said.starts_with("AADSTS")),
    },
    Rule {
        cause: "discovery_failed",
        because: "discovery failed, and nothing says why",
        holds: |facts| {
            [0x801c_0021, 0x801c_001f, 0x801c_003d]
                .into_iter()
                .any(|code| facts.code(code))
        },
    },
    Rule {
        cause: "unknown_failure",
        because: "no rule knows this evidence",
        holds: |_| true,
    },
];

/// What a run means: nothing to say of one that succeeded or found the device joined.
pub(crate) fn of_run(events: &[Event], run: &Run) -> Option<Diagnosis> {
    if matches!(
        run.outcome,
        RunOutcome::Succeeded | RunOutcome::AlreadyJoined
    ) {
        return None;
    }
    let code = run.decisive.as_ref().map(|decisive| decisive.code.as_str());
    let subject = Subject {
        code,
        // Discovery is always asked of it.
        url: (run.phase == Some(Phase::Discover)).then_some(DISCOVERY_URL),
        // A user joins interactively; otherwise the computer signs in by itself.
        upn: (run.kind == Kind::Automatic).then_some("the computer"),
        ..Subject::default()
    };
    let facts = RunFacts { events, run };
    let mut found = first(RUN_RULES, |holds| holds(&facts), &subject)?;
    let texts = knowledge::cause(found.rule)?;
    if !texts.registration_steps.is_empty() {
        found.next_steps = texts.registration_steps.as_slice().into();
    }
    if matches!(
        found.rule,
        "server_refused" | "unknown_failure" | "network_other"
    ) {
        by_code(&mut found, code);
    }
    Some(found)
}

/// The diagnosis of the first rule that holds.
fn first<Holds>(
    rules: &[Rule<Holds>],
    holds: impl Fn(&Holds) -> bool,
    subject: &Subject<'_>,
) -> Option<Diagnosis> {
    let rule = rules.iter().find(|rule| holds(&rule.holds))?;
    diagnosis(rule.cause, rule.because, subject)
}

/// What a summary may name.
#[derive(Default)]
struct Subject<'a> {
    upn: Option<&'a str>,
    url: Option<&'a str>,
    code: Option<&'a str>,
    time: Option<DateTime<Utc>>,
}

impl Subject<'_> {
    /// The text with what is known in the places of its marks, or words for what is not.
    fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(2 * text.len());
        let mut rest = text;
        while let Some((before, marked)) = rest.split_once('{') {
            filled.push_str(before);
            let known = marked
                .split_once('}')
                .and_then(|(mark, after)| Some((self.known(mark)?, after)));
            match known {
                Some((value, after)) => {
                    filled.push_str(&value);
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = marked;
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    /// What stands for a mark, if there is one of that name.
    fn known(&self, mark: &str) -> Option<Cow<'_, str>> {
        let host = || {
            let (_, rest) = self.url?.split_once("://")?;
            rest.split(['/', ':', '?']).next()
        };
        let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%SZ").to_string();
        Some(match mark {
            "upn" => self.upn.unwrap_or("the user").into(),
            "url" => self.url.unwrap_or("the sign-in service").into(),
            "host" => host().unwrap_or("the endpoint").into(),
            "code" => self.code.unwrap_or("an unnamed code").into(),
            "time" => self
                .time
                .map_or("an unknown time".into(), |at| time(at).into()),
            _ => return None,
        })
    }
}

/// The diagnosis that a rule or another module names; nothing only for a name without texts, which
/// a test rules out.
pub(crate) fn named(
    cause: &'static str,
    because: &'static str,
    code: Option<&str>,
    upn: Option<&str>,
) -> Option<Diagnosis> {
    let subject = Subject {
        code,
        upn,
        ..Subject::default()
    };
    diagnosis(cause, because, &subject)
}

/// The sentence of a cause for machines whose failures name different users, hosts or times.
pub(crate) fn in_general(cause: &str, code: Option<&str>) -> Option<String> {
    let subject = Subject {
        code,
        ..Subject::default()
    };
    Some(subject.fill(&knowledge::cause(cause)?.summary))
}

fn diagnosis(
    cause: &'static str,
    because: &'static str,
    subject: &Subject<'_>,
) -> Option<Diagnosis> {
    let texts: &'static Cause = knowledge::cause(cause)?;
    Some(Diagnosis {
        rule: cause,
        because,
        class: texts.class,
        stage: &texts.stage,
        summary: subject.fill(&texts.summary),
        cause: &texts.cause,
        next_steps: texts.next_steps.as_slice().into(),
        sources: texts.sources.as_slice().into(),
    })
}

/// A code that no rule knows may still be in the table: then its own row says more.
fn by_code(diagnosis: &mut Diagnosis, code: Option<&str>) {
    let Some(code) = code else { return };
    let info = match Code::parse(code) {
        Some(number) => number.rows().next(),
        None => ["aadsts", "oauth", "drs", "wstrust"]
            .into_iter()
            .find_map(|space| knowledge::code_info(space, code)),
    };
    let Some(info) = info else { return };
    if let Some(meaning) = info.meaning {
        diagnosis.summary = format!("{code}: {meaning}");
        diagnosis.sources = info.sources().collect();
    }
    if let Some(cause) = info.cause {
        diagnosis.cause = cause;
    }
    if let Some(stage) = info.stage {
        diagnosis.stage = stage;
    }
    let steps: Vec<&'static str> = info.next_steps().collect();
    if !steps.is_empty() {
        diagnosis.next_steps = steps.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_not_looked_for_in_the_events_of_a_prt() {
        for rule in RUN_RULES {
            let texts = knowledge::cause(rule.cause).unwrap();
            let steps = match texts.registration_steps.is_empty() {
                true => &texts.next_steps,
                false => &texts.registration_steps,
            };
            for step in steps {
                assert!(!step.contains("1022"), "{}: {step}", rule.cause);
            }
        }
    }

    #[test]
    fn every_rule_names_a_cause_with_texts() {
        let windows = WINDOW_RULES.iter().map(|rule| rule.cause);
        let runs = RUN_RULES.iter().map(|rule| rule.cause);
        let others = [
            "recovered",
            "wam_failing",
            "no_entra_account",
            "not_domain_joined",
            "join_lost",
            "join_unclear",
            "never_attempted",
        ];
        for cause in windows.chain(runs).chain(others) {
            assert!(knowledge::cause(cause).is_some(), "{cause}");
        }
    }
}
