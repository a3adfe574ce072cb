//! What a window or run means and what to do about it: evidence → one of the causes in
//! `facts/causes.toml`.
//!
//! A rule is a condition with the reason it gives; the first that holds decides. The texts are data.

mod run_rules;
mod window_rules;

pub(crate) use run_rules::of_run;
pub(crate) use window_rules::{WindowFacts, of_window};

use crate::facts::code::Code;
use crate::facts::{self, Cause, Class};
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

/// How soon a success follows a failure that only came before the network did.
pub(crate) const ONLINE_SOON: TimeDelta = TimeDelta::minutes(10);

/// A rule: the cause it finds, the reason it gives, and its condition.
struct Rule<Holds> {
    cause: &'static str,
    because: &'static str,
    holds: Holds,
}

const KEY_MISSING: Code = Code(0x8009_0016);
const KEY_LOCKED: Code = Code(0x8009_0031);
const NOT_FIPS: Code = Code(0x8028_0036);

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
    Some(subject.fill(&facts::cause(cause)?.summary))
}

fn diagnosis(
    cause: &'static str,
    because: &'static str,
    subject: &Subject<'_>,
) -> Option<Diagnosis> {
    let texts: &'static Cause = facts::cause(cause)?;
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

/// The spaces of the code table that name what a server answers to a token request.
const TOKEN_SPACES: &[&str] = &["aadsts", "oauth", "drs", "wstrust"];
/// The spaces that name what it answers to a registration. The registration service's
/// `invalid_request` is not OAuth's.
const REGISTRATION_SPACES: &[&str] = &["aadsts", "drs", "wstrust"];

/// A code that no rule knows may still be in the table: then its own row says more.
fn by_code(diagnosis: &mut Diagnosis, code: Option<&str>, spaces: &[&str]) {
    let Some(code) = code else { return };
    let info = match Code::parse(code) {
        Some(number) => number.rows().next(),
        None => spaces
            .iter()
            .find_map(|space| facts::code_info(space, code)),
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
    use super::run_rules::RUN_RULES;
    use super::window_rules::WINDOW_RULES;
    use super::*;

    #[test]
    fn a_registration_is_not_looked_for_in_the_events_of_a_prt() {
        for rule in RUN_RULES {
            let texts = facts::cause(rule.cause).unwrap();
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
            assert!(facts::cause(cause).is_some(), "{cause}");
        }
    }
}
