//! What a code means: any spelling of one, or any text with codes in it.

use crate::code::{self, Code};
use crate::knowledge::{self, CodeInfo};
#[cfg(feature = "cli")]
use schemars::JsonSchema;
use serde::Serialize;
use std::io::{self, Write};

/// What is known of a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Explanation {
    /// What was asked.
    pub input: String,
    /// The code in its usual spelling.
    pub code: String,
    /// Who defines it; null if nobody is known to.
    pub space: Option<&'static str>,
    /// Its symbol.
    pub symbol: Option<&'static str>,
    /// What it means; for an unknown code what its number alone tells.
    pub meaning: Option<String>,
    /// Where it is seen.
    pub stage: Option<&'static str>,
    /// Why it comes.
    pub cause: Option<&'static str>,
    /// What to do, the least disruptive first.
    pub next_steps: Vec<&'static str>,
    /// Where this is from.
    pub sources: Vec<&'static str>,
    /// Whether the code is known.
    pub known: bool,
}

/// The explanations of several codes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Explanations {
    /// One for each code, in the order they were named.
    pub codes: Vec<Explanation>,
}

impl Explanations {
    /// Explains every code in the texts: a text is one code, or is searched for codes. A code that
    /// stands several times is explained once.
    pub fn new<S: AsRef<str>>(texts: &[S]) -> Explanations {
        let mut codes: Vec<Explanation> = Vec::new();
        for text in texts {
            for explanation in explain(text.as_ref()) {
                if !codes.iter().any(|known| known.code == explanation.code) {
                    codes.push(explanation);
                }
            }
        }
        Explanations { codes }
    }

    /// Whether at least one code is known.
    pub fn any_known(&self) -> bool {
        self.codes.iter().any(|explanation| explanation.known)
    }
}

fn explain(text: &str) -> Vec<Explanation> {
    let text = text.trim();
    if let Some(explanation) = one(text) {
        return vec![explanation];
    }
    let found: Vec<Explanation> = codes_in(text).iter().filter_map(|word| one(word)).collect();
    match found.is_empty() {
        true => vec![unknown(
            text,
            text.to_owned(),
            "no code is known in this text".to_owned(),
        )],
        false => found,
    }
}

/// A word that is a code, known or not; nothing if it is none.
fn one(word: &str) -> Option<Explanation> {
    if word.is_empty() || word.contains(char::is_whitespace) && !word.starts_with("Unknown ") {
        return None;
    }
    let upper = word.to_ascii_uppercase();
    if let [server_code] = code::server_codes(&upper).as_slice()
        && *server_code == upper
    {
        return Some(known("aadsts", server_code, word).unwrap_or_else(|| {
            let meaning = "an error of the sign-in service that is not in the table: its own text \
                in the event says what it means";
            unknown(word, server_code.clone(), meaning.to_owned())
        }));
    }
    if let Some(explanation) = by_name(word) {
        return Some(explanation);
    }
    // A plain small number is no 32-bit code, but a Win32 or WinHTTP error, an HTTP status or the
    // number of a server code.
    if let Ok(number) = word.parse::<u32>()
        && number < 0x8000_0000
    {
        return Some(small_number(word, number));
    }
    let code = Code::parse(word)?;
    let found = of_code(word, code);
    // Tools print Win32 and WinHTTP errors in hex too: 0x520 is 1312.
    let short = !found.known && code.0 <= 0xffff;
    let number = short.then(|| small_number(word, code.0));
    Some(number.filter(|number| number.known).unwrap_or(found))
}

fn small_number(word: &str, number: u32) -> Explanation {
    let plain = number.to_string();
    known("winhttp", &plain, word)
        .or_else(|| known("aadsts", &format!("AADSTS{plain}"), word))
        .or_else(|| known("win32", &plain, word))
        .or_else(|| known("http", &plain, word))
        .unwrap_or_else(|| {
            let meaning = match plain.len() {
                5..=7 => {
                    "a number that is in no table; as AADSTS code the server's own text says \
                    what it means"
                }
                _ => "a number that is in no table",
            };
            unknown(word, plain, meaning.to_owned())
        })
}

fn of_code(word: &str, code: Code) -> Explanation {
    let canonical = code.canonical();
    let hex = canonical.to_string();
    let low = (canonical.0 & 0xffff).to_string();
    let by_family = canonical
        .family()
        .spaces()
        .iter()
        .find_map(|space| known(space, &hex, word).or_else(|| known(space, &low, word)));
    // Information and warnings of a family have other top bits than its errors.
    let listed = || {
        let found = knowledge::codes().find(|info| info.code == hex)?;
        Some(explanation(&found, word))
    };
    let mut found = by_family
        .or_else(listed)
        .unwrap_or_else(|| unknown(word, code.to_string(), decode(canonical)));
    if found.meaning.is_none() {
        found.meaning = Some(decode(canonical));
    }
    found
}

/// What the bits of a code say, for want of a name.
fn decode(code: Code) -> String {
    let low = code.0 & 0xffff;
    let inner = match code.0 >> 16 {
        0x8007 => knowledge::code_info("win32", &low.to_string()),
        0x8019 | 0xcaa3 => knowledge::code_info("http", &low.to_string()),
        0xcaa8 => knowledge::code_info("winhttp", &low.to_string()),
        _ => None,
    };
    let family = code.family().description();
    match inner.and_then(|info| info.symbol.or(info.meaning)) {
        Some(inner) => format!("{family}; {low} in it is {inner}"),
        None => format!("{family}, number {low} (0x{low:04x}), which is in no table"),
    }
}

/// A code that has a name: an OAuth error, a WS-Trust fault, a DRS error, or a symbol.
fn by_name(word: &str) -> Option<Explanation> {
    let is_name = word.starts_with(|c: char| c.is_ascii_alphabetic());
    if !is_name {
        return None;
    }
    // The word as a code comes before the word as a symbol: faults and OAuth errors share names.
    let is_code = |info: &CodeInfo| {
        let own = info.code.rsplit(':').next().unwrap_or(info.code);
        matches!(info.space, "oauth" | "wstrust" | "drs") && own.eq_ignore_ascii_case(word)
    };
    let is_symbol = |info: &CodeInfo| {
        info.symbol
            .is_some_and(|symbol| symbol.eq_ignore_ascii_case(word))
    };
    let found = knowledge::codes().find(is_code);
    let found = found.or_else(|| knowledge::codes().find(is_symbol))?;
    Some(explanation(&found, word))
}

fn known(space: &str, code: &str, input: &str) -> Option<Explanation> {
    knowledge::code_info(space, code).map(|info| explanation(&info, input))
}

fn explanation(info: &CodeInfo, input: &str) -> Explanation {
    Explanation {
        input: input.to_owned(),
        code: info.code.to_owned(),
        space: Some(info.space),
        symbol: info.symbol,
        meaning: info.meaning.map(str::to_owned),
        stage: info.stage,
        cause: info.cause,
        next_steps: info.next_steps().collect(),
        sources: info.sources().collect(),
        known: true,
    }
}

fn unknown(input: &str, code: String, meaning: String) -> Explanation {
    Explanation {
        input: input.to_owned(),
        code,
        space: None,
        symbol: None,
        meaning: Some(meaning),
        stage: None,
        cause: None,
        next_steps: Vec::new(),
        sources: Vec::new(),
        known: false,
    }
}

/// The words of a text that are codes: server codes, numbers with `0x` or of the size of a 32-bit
/// code, and known names. Eight hexadecimal digits alone are part of a GUID more often than a code.
fn codes_in(text: &str) -> Vec<String> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let separates = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'));
    let mut from = 0;
    for word in text.split(separates) {
        let at = from;
        from += word.len()
            + text
                .get(from + word.len()..)
                .and_then(|r| r.chars().next())
                .map_or(0, char::len_utf8);
        let digits = word.trim_start_matches('-');
        let is_hex = word.starts_with("0x") && (3..=10).contains(&word.len());
        let is_decimal = (9..=10).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && Code::parse(word).is_some_and(Code::is_failure);
        // Zero means that there is none.
        let is_hex = is_hex && Code::parse(word).is_some_and(|code| code.0 != 0);
        if is_hex || is_decimal {
            found.push((at, word.to_owned()));
        } else if word.contains('_') || word.chars().any(char::is_uppercase) {
            let named = by_name(word).filter(|_| word.len() >= 6);
            found.extend(named.map(|_| (at, word.to_owned())));
        }
    }
    for code in code::server_codes(text) {
        let at = text.find(&code).unwrap_or(text.len());
        found.push((at, code));
    }
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, word)| word).collect()
}

/// Writes the explanations as text.
///
/// # Errors
///
/// Those of the writer.
pub fn write_text(explanations: &Explanations, out: &mut dyn Write) -> io::Result<()> {
    use crate::report::layout::{field, steps};
    use crate::terminal::one_line as shown;
    for (number, explanation) in explanations.codes.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let symbol = explanation
            .symbol
            .map_or(String::new(), |symbol| format!(" {symbol}"));
        let space = match explanation.space {
            Some(space) => format!(" ({space})"),
            None => ": unknown".to_owned(),
        };
        writeln!(out, "{}{symbol}{space}", shown(&explanation.code))?;
        if let Some(meaning) = &explanation.meaning {
            field("Meaning", &shown(meaning), out)?;
        }
        if let Some(stage) = explanation.stage {
            field("Seen at", stage, out)?;
        }
        if let Some(cause) = explanation.cause {
            field("Cause", cause, out)?;
        }
        steps(&explanation.next_steps, out)?;
        for (number, source) in explanation.sources.iter().enumerate() {
            let label = if number == 0 { "Source" } else { "" };
            field(label, source, out)?;
        }
    }
    Ok(())
}
