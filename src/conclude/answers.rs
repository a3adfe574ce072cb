//! What device registration quotes: answers of the registration service (DRS), the token
//! library's (ADAL) account of a failure, and the `key: value` block of the debug output.
//!
//! Every one of them may be cut off in the event, so none is read strictly.

use crate::facts::code::{self, Code};
use std::borrow::Cow;
use uuid::Uuid;

/// What the registration service or the token service answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The service's error type or code (`DirectoryError`), else the last AADSTS code.
    pub code: Option<String>,
    /// The service's sub-code, which tells more than the code beside it (`error_missing_device`).
    pub sub_code: Option<String>,
    /// The sub-code, then the AADSTS codes in its words, without the one in `code`.
    pub also: Vec<String>,
    /// What it was asked to do, such as `DeviceJoin` or `DeviceRenew`.
    pub operation: Option<String>,
    /// Its words.
    pub description: Option<String>,
    /// The request's ID at the service.
    pub request_id: Option<String>,
}

impl Answer {
    /// Reads an answer: classic JSON (`ErrorType`, `Message`), newer JSON (`code`, `subcode`,
    /// `operation`, `message`), or text with a server code in it. Nothing if it names no error.
    pub(crate) fn read(text: &str) -> Option<Answer> {
        let is_json = text.trim_start().starts_with('{');
        let value = |keys: &[&str]| match is_json {
            true => keys.iter().find_map(|key| json_string(text, key)),
            false => None,
        };
        let error_type = value(&["ErrorType", "ErrorCode", "code"]);
        let message = value(&["Message"]);
        let words = message.as_deref().unwrap_or(text);
        let mut codes = code::server_codes(words);
        let sub_code = value(&["ErrorSubCode", "subcode"]);
        if error_type.is_none() && sub_code.is_none() && codes.is_empty() {
            return None;
        }
        let code = error_type.or_else(|| codes.pop().map(Cow::into_owned));
        Some(Answer {
            code,
            also: sub_code
                .iter()
                .cloned()
                .chain(codes.into_iter().map(Cow::into_owned))
                .collect(),
            sub_code,
            operation: value(&["operation"]),
            description: message.or_else(|| present(text).map(str::to_owned)),
            request_id: value(&["requestid", "request_id", "TraceId"]),
        })
    }

    /// Whether its code says nothing by itself: the service puts `invalid_request` on refusals of
    /// many kinds. It is not OAuth's error of that name.
    pub(crate) fn is_generic(&self) -> bool {
        self.sub_code.is_none()
            && self
                .code
                .as_ref()
                .is_some_and(|code| code.eq_ignore_ascii_case("invalid_request"))
    }
}

/// An operation that is no join. An answer that names none is one to a join.
pub(crate) fn other_operation(operation: Option<&str>) -> Option<&str> {
    operation.filter(|operation| !operation.eq_ignore_ascii_case("DeviceJoin"))
}

/// What such a page means.
pub(crate) const ANSWER_PAGE: &str =
    "a web page came with HTTP 200 in the place of the discovery answer (201)";

/// Whether an HTTP body is a page for people, as a proxy sends it in the service's place.
pub(crate) fn is_page(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(15).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// The string behind a key anywhere in the text, the key compared without case. A value that is
/// cut off counts as far as it goes.
fn json_string(text: &str, key: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (_, after_quote) = rest.split_once('"')?;
        rest = after_quote;
        let Some(after_key) = strip_key(after_quote, key) else {
            continue;
        };
        // The key's name may also stand as a value, or the value be no string.
        let value = after_key
            .trim_start()
            .strip_prefix(':')
            .map(str::trim_start);
        let Some(value) = value.and_then(|value| value.strip_prefix('"')) else {
            continue;
        };
        return present(&unescaped(value)).map(str::to_owned);
    }
}

fn strip_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let name = text.get(..key.len())?;
    name.eq_ignore_ascii_case(key)
        .then(|| text.get(key.len()..)?.strip_prefix('"'))
        .flatten()
}

/// A JSON string up to its closing quote.
fn unescaped(text: &str) -> String {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => match characters.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some('u') => {
                    let digits: String = characters.by_ref().take(4).collect();
                    let unit = u32::from_str_radix(&digits, 16).ok();
                    value.push(unit.and_then(char::from_u32).unwrap_or('\u{fffd}'));
                }
                Some(other) => value.push(other),
                None => break,
            },
            character => value.push(character),
        }
    }
    value
}

/// The token library's account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adal {
    /// Its error code.
    pub code: Option<Code>,
    /// Its error, in OAuth's words.
    pub error: Option<String>,
    /// Its message.
    pub message: Option<String>,
    /// The correlation ID of its request.
    pub correlation_id: Option<Uuid>,
    /// Its log, line by line.
    pub log: Vec<String>,
}

impl Adal {
    /// Reads the account in a 305, or the part of it in a 304's debug output. Nothing if it says
    /// nothing.
    pub(crate) fn read(text: &str) -> Option<Adal> {
        let block = Block::read(text);
        let get = |keys: [&str; 2]| keys.into_iter().find_map(|key| block.get(key));
        let adal = Adal {
            code: get(["AdalErrorCode", "adalResponseCode"])
                .and_then(Code::parse)
                .filter(|code| code.0 != 0),
            error: block.get("AdalError").map(str::to_owned),
            message: block.get("AdalMessage").map(str::to_owned),
            correlation_id: block.get("adalCorrelationId").and_then(crate::event::guid),
            log: block.lines("adalLog"),
        };
        (adal != Adal::default()).then_some(adal)
    }

    /// The network error in its log, which prints the low half of the code only:
    /// `HRESULT: 0x2ee7` is 12007.
    pub(crate) fn network_code(&self) -> Option<Code> {
        const LABEL: &str = "HRESULT: 0x";
        self.log.iter().rev().find_map(|line| {
            let (_, rest) = line.split_once(LABEL)?;
            let end = rest
                .find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(rest.len());
            let number = u32::from_str_radix(rest.get(..end)?, 16).ok()?;
            let code = Code(match number {
                0..=0xffff => 0x8007_0000 | number,
                whole => whole,
            });
            code.network_number().map(|_| code)
        })
    }
}

/// A block of `key: value` lines. The keys are the debug output's and the token library's; a line
/// without one of them goes on with the value before it.
pub(crate) struct Block<'a>(Vec<(&'a str, Vec<&'a str>)>);

/// Keys of debug outputs (304, 331, 370) and of the token library's account (305).
const KEYS: [&str; 25] = [
    "joinMode",
    "drsInstance",
    "registrationType",
    "tenantType",
    "tenantId",
    "configLocation",
    "errorPhase",
    "adalCorrelationId",
    "adalLog",
    "adalResponseCode",
    "AdalMessage",
    "AdalError",
    "AdalErrorCode",
    "preCheckResult",
    "deviceKeysHealthy",
    "isPrivateKeyFound",
    "isJoined",
    "isDcAvailable",
    "isSystem",
    "keyProvider",
    "keyContainer",
    "dsrInstance",
    "elapsedSeconds",
    "resultCode",
    "isGPEnabled",
];

impl<'a> Block<'a> {
    pub(crate) fn read(text: &'a str) -> Block<'a> {
        let mut entries: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in text.split('\n') {
            let line = line.trim_end_matches('\r');
            let entry = line.split_once(':').filter(|(key, _)| {
                KEYS.iter()
                    .any(|known| known.eq_ignore_ascii_case(key.trim()))
            });
            match (entry, entries.last_mut()) {
                (Some((key, value)), _) => entries.push((key.trim(), vec![value.trim()])),
                (None, Some((_, lines))) => lines.push(line.trim()),
                (None, None) => {}
            }
        }
        Block(entries)
    }

    /// The value of a key, unless it stands for nothing.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.entries(key).flatten().find_map(present)
    }

    fn lines(&self, key: &str) -> Vec<String> {
        let lines = self.entries(key).flatten().filter_map(present);
        lines.map(str::to_owned).collect()
    }

    fn entries(&self, key: &str) -> impl Iterator<Item = impl Iterator<Item = &'a str>> {
        self.0
            .iter()
            .filter(move |(of, _)| of.eq_ignore_ascii_case(key))
            .map(|(_, lines)| lines.iter().copied())
    }
}

/// The text, unless it says that there is none: empty, `undefined`, or an unfilled `%4`.
pub(crate) fn present(text: &str) -> Option<&str> {
    let text = text.trim();
    let unfilled = text
        .strip_prefix('%')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    let nothing = text.is_empty() || text.eq_ignore_ascii_case("undefined") || unfilled;
    (!nothing).then_some(text)
}
