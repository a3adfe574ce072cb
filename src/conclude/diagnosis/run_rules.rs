//! What a registration run means that did not succeed.

use super::{
    Diagnosis, KEY_LOCKED, KEY_MISSING, NOT_FIPS, REGISTRATION_SPACES, Rule, Subject, by_code,
    first, number,
};
use crate::conclude::answers::{self, ANSWER_PAGE, Answer, Block};
use crate::conclude::registration::{Kind, Phase, Run, RunOutcome};
use crate::event::{Event, id};
use crate::facts::code::{Code, Family};
use crate::facts::{self, Role};

pub(super) type RunRule = Rule<fn(&RunFacts<'_>) -> bool>;

/// What discovery asks.
const DISCOVERY_URL: &str = "https://enterpriseregistration.windows.net/";

/// What the rules for runs ask.
pub(super) struct RunFacts<'a> {
    events: &'a [Event],
    run: &'a Run,
}

impl RunFacts<'_> {
    /// What the server answered to the last attempt.
    fn answer(&self) -> Option<&Answer> {
        Some(&self.run.last_attempt()?.server.as_ref()?.value.answer)
    }

    /// Whether the last attempt's server said this, in its code or words.
    fn server(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.answer().is_some_and(|answer| {
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

    /// Whether the server's answer is to a join.
    fn is_of_join(&self) -> bool {
        let operation = self.answer().and_then(|answer| answer.operation.as_deref());
        answers::other_operation(operation).is_none()
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

pub(super) const RUN_RULES: &[RunRule] = &[
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
        // What is missing when a joined device renews its certificate was removed.
        holds: |facts| {
            let missing = facts.says("device object by the given id")
                || facts.says("target computer's sid")
                || facts.says("devicenotfound")
                || facts.says("error_missing_device");
            missing && facts.is_of_join()
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
        // Where no phase is known, 220 alone tells it from discovery.
        holds: |facts| {
            facts.code(0x801c_001d)
                && match facts.run.phase {
                    None => facts.run.win32.is_some(),
                    phase => phase == Some(Phase::Join),
                }
        },
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
        cause: "drs_parameter_refused",
        because: "the registration service answered InvalidParameter",
        holds: |facts| {
            facts
                .answer()
                .and_then(|answer| answer.code.as_deref())
                .is_some_and(|code| code.eq_ignore_ascii_case("InvalidParameter"))
        },
    },
    Rule {
        cause: "drs_failure",
        because: "the registration service answered with an error",
        holds: |facts| {
            facts
                .answer()
                .is_some_and(|answer| answer.code.is_some() || answer.sub_code.is_some())
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
    let texts = facts::cause(found.rule)?;
    if !texts.registration_steps.is_empty() {
        found.next_steps = texts.registration_steps.as_slice().into();
    }
    match found.rule {
        "server_refused" | "unknown_failure" | "network_other" => {
            by_code(&mut found, code, REGISTRATION_SPACES);
        }
        // The sub-code tells most, then the exit code; the cause speaks of the service's code.
        "drs_failure" => {
            let sub_code = facts.answer().and_then(|answer| answer.sub_code.as_deref());
            let known = sub_code.filter(|code| facts::code_info("drs", code).is_some());
            let exit_code = run.exit_code.as_ref().map(|found| found.value);
            let exit_code = exit_code.filter(|code| code.is_specific());
            let exit_code = exit_code.map(|code| code.to_string());
            by_code(
                &mut found,
                known.or(exit_code.as_deref()),
                REGISTRATION_SPACES,
            );
        }
        _ => {}
    }
    Some(found)
}
