//! What a code means: any spelling of one, or any text with codes in it.

use crate::event::secret;
use crate::facts::code::{self, Code, Family};
use crate::facts::{self, CodeInfo};
#[cfg(feature = "cli")]
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::LazyLock;

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
    /// One for each code and meaning, in the order they were named.
    pub codes: Vec<Explanation>,
}

impl Explanations {
    /// Explains every code in the texts: a text is one code, or is searched for codes. A code that
    /// stands several times is explained once.
    pub fn new<S: AsRef<str>>(texts: &[S]) -> Explanations {
        let texts = texts.iter().flat_map(|text| explain(text.as_ref()));
        let mut codes: Vec<Explanation> = texts.collect();
        let mut seen = HashSet::new();
        codes.retain(|explanation| seen.insert(explanation.code.clone()));
        Explanations { codes }
    }

    /// Whether at least one code is known.
    pub fn any_known(&self) -> bool {
        self.codes.iter().any(|explanation| explanation.known)
    }
}

fn explain(text: &str) -> Vec<Explanation> {
    // What was pasted is shown again.
    let text = &*secret::mask(text.trim());
    let mut found = one(text);
    if found.is_empty() {
        let mut seen = HashSet::new();
        let mut words = codes_in(text);
        words.retain(|word| seen.insert(word.clone()));
        found = words.iter().flat_map(|word| one(word)).collect();
    }
    if found.is_empty() {
        let meaning = "no code is known in this text".to_owned();
        found.push(unknown(text, beginning(text), meaning));
    }
    found
}

/// The beginning of a text, to name it by.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 40;
    let line = text.lines().next().unwrap_or("");
    let shown: String = line.chars().take(SHOWN).collect();
    match shown == text {
        true => shown,
        false => format!("{}…", shown.trim_end()),
    }
}

/// What a word means that is a code, known or not; nothing if it is none. Where two components use
/// one number, each has its meaning.
fn one(word: &str) -> Vec<Explanation> {
    if word.is_empty() || word.contains(char::is_whitespace) && !word.starts_with("Unknown ") {
        return Vec::new();
    }
    if let Some(server_code) = server_code(word) {
        let (space, owner) = match server_code.starts_with("MSIS") {
            true => ("adfs", "AD FS"),
            false => ("aadsts", "the sign-in service"),
        };
        return vec![known(space, &server_code, word).unwrap_or_else(|| {
            let meaning = format!(
                "an error of {owner} that is not in the table: its own text in the event says \
                what it means"
            );
            unknown(word, server_code, meaning)
        })];
    }
    if let Some(explanation) = by_name(word) {
        return vec![explanation];
    }
    let Some(code) = Code::parse(word) else {
        return Vec::new();
    };
    // A plain small number is no 32-bit code, but a Win32 or WinHTTP error, an HTTP status or the
    // number of a server code.
    let small = code.0 < 0x8000_0000 && word.bytes().all(|b| b.is_ascii_digit());
    let of_code = || of_code(word, code);
    let is_known = |found: &Vec<Explanation>| found.iter().any(|of| of.known);
    let number = || vec![small_number(word, code.0)];
    match small {
        true => Some(number()).filter(is_known).unwrap_or_else(|| {
            // Of information and warnings of some families the number is small.
            Some(of_code()).filter(is_known).unwrap_or_else(number)
        }),
        // Tools print Win32 and WinHTTP errors in hex too: 0x520 is 1312.
        false => Some(of_code()).filter(is_known).unwrap_or_else(|| {
            let short = (code.0 <= 0xffff).then(number).filter(is_known);
            short.unwrap_or_else(of_code)
        }),
    }
}

/// A word that is a server code, in the usual spelling.
fn server_code(word: &str) -> Option<String> {
    let upper = word.to_ascii_uppercase();
    let digits = upper.strip_prefix("AADSTS");
    let is_aadsts = digits
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    (is_aadsts || code::server_codes(&upper) == [upper.as_str()]).then_some(upper)
}

fn small_number(word: &str, number: u32) -> Explanation {
    let plain = number.to_string();
    // What only WinINet defines stands in the table as an HRESULT.
    let of_wininet = || {
        let code = Code(0x8007_0000 | number);
        code.network_number()
            .filter(|of| u32::from(*of) == number)?;
        known("wininet", &code.to_string(), word)
    };
    known("winhttp", &plain, word)
        .or_else(of_wininet)
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

fn of_code(word: &str, code: Code) -> Vec<Explanation> {
    let canonical = code.canonical();
    let hex = canonical.to_string();
    // One network number means something else in WinINet than in WinHTTP, or at another stage.
    let is_told = |(number, row): &(usize, CodeInfo)| {
        *number == 0 || row.meaning.is_some() && code.family() == Family::Network
    };
    let rows = canonical.rows().enumerate().filter(is_told);
    let mut found: Vec<Explanation> = rows.map(|(_, row)| explanation(&row, word)).collect();
    if found.is_empty() {
        // Information and warnings of a family have other top bits than its errors.
        let listed = facts::first_row(&hex);
        found.push(match listed {
            Some(info) => explanation(&info, word),
            None => unknown(word, code.to_string(), decode(canonical)),
        });
    }
    for explanation in &mut found {
        let of_bits =
            || inner(canonical).unwrap_or_else(|| "only its name is published".to_owned());
        explanation.meaning.get_or_insert_with(of_bits);
    }
    found
}

/// What the bits of a code say, for want of a name.
fn decode(code: Code) -> String {
    let low = code.0 & 0xffff;
    inner(code).unwrap_or_else(|| {
        let family = code.family().description();
        format!("{family}, number {low} (0x{low:04x}), which is in no table")
    })
}

/// What the number inside a code is, if it has one.
fn inner(code: Code) -> Option<String> {
    let low = code.0 & 0xffff;
    let inner = match code.0 >> 16 {
        0x8007 => facts::code_info("win32", &low.to_string()),
        0x8019 | 0xcaa3 => facts::code_info("http", &low.to_string()),
        0xcaa8 => facts::code_info("winhttp", &low.to_string()),
        _ => None,
    };
    let inner = inner.and_then(|info| info.symbol.or(info.meaning))?;
    let family = code.family().description();
    Some(format!("{family}; {low} in it is {inner}"))
}

/// A code that has a name: an OAuth error, a WS-Trust fault, a DRS error, or a symbol.
fn by_name(word: &str) -> Option<Explanation> {
    let is_name = word.starts_with(|c: char| c.is_ascii_alphabetic());
    if !is_name {
        return None;
    }
    let info = NAMES.get(&word.to_ascii_uppercase())?;
    Some(explanation(info, word))
}

/// The rows by their names in capitals. A word as a code comes before the word as a symbol: faults
/// and OAuth errors share names.
static NAMES: LazyLock<HashMap<String, CodeInfo>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    let named = facts::codes().filter(|info| matches!(info.space, "oauth" | "wstrust" | "drs"));
    for info in named {
        let own = info.code.rsplit(':').next().unwrap_or(info.code);
        names.entry(own.to_ascii_uppercase()).or_insert(info);
    }
    for info in facts::codes() {
        if let Some(symbol) = info.symbol {
            names.entry(symbol.to_ascii_uppercase()).or_insert(info);
        }
    }
    names
});

fn known(space: &str, code: &str, input: &str) -> Option<Explanation> {
    facts::code_info(space, code).map(|info| explanation(&info, input))
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
/// code, short numbers behind a word that says whose they are, and known names. Eight hexadecimal
/// digits alone are part of a GUID more often than a code.
fn codes_in(text: &str) -> Vec<String> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let separates = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'));
    let mut at = 0;
    for word in text.split(separates) {
        let rest = text.get(at + word.len()..).unwrap_or("");
        let before = text.get(..at).unwrap_or("");
        if let Some(code) = server_code(word) {
            found.push((at, code));
        } else if is_code(word) || is_named_number(before, word) {
            found.push((at, word.to_owned()));
        } else if word.contains('_') || word.chars().any(char::is_uppercase) {
            let named = by_name(word).filter(|_| word.len() >= 6);
            found.extend(named.map(|_| (at, word.to_owned())));
        }
        at += word.len() + rest.chars().next().map_or(0, char::len_utf8);
    }
    // Those with a prefix were found as words.
    let words: HashSet<&str> = found.iter().map(|(_, word)| word.as_str()).collect();
    let mut others = code::server_code_places(text);
    others.retain(|(_, code)| !words.contains(&**code));
    found.extend(others.into_iter().map(|(at, code)| (at, code.into_owned())));
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, word)| word).collect()
}

/// Whether a word in a text is a 32-bit code. Zero means that there is none, and a short number in
/// hex is a thread or a process unless it is of WinHTTP.
fn is_code(word: &str) -> bool {
    let Some(code) = Code::parse(word) else {
        return false;
    };
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    if let Some(hex) = hex {
        let is_short = code.0 <= 0xffff;
        let of_winhttp = || Code(0x8007_0000 | code.0).network_number().is_some();
        return hex.len() <= 8 && code.0 != 0 && (!is_short || of_winhttp());
    }
    let digits = word.trim_start_matches('-');
    (9..=10).contains(&digits.len()) && code.is_failure()
}

/// Whether a word is the number of an HTTP status, a WinHTTP or a Win32 error that is called so.
fn is_named_number(before: &str, word: &str) -> bool {
    let Ok(number) = word.parse::<u32>() else {
        return false;
    };
    // The few words before it: texts may be long.
    const LOOKED_AT: usize = 24;
    let before = before.trim_end_matches(' ');
    let mut start = before.len().saturating_sub(LOOKED_AT);
    while !before.is_char_boundary(start) {
        start += 1;
    }
    let before = before.get(start..).unwrap_or("").to_ascii_lowercase();
    let before = before.strip_suffix(" error").unwrap_or(&before);
    let is_called = |name: &str| {
        before
            .strip_suffix(name)
            .is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let known = |space| facts::code_info(space, word).is_some();
    (400..600).contains(&number) && (is_called("http") || is_called("http status")) && known("http")
        || (is_called("winhttp") || is_called("wininet")) && known("winhttp")
        || is_called("win32") && known("win32")
}

/// Writes the explanations as text.
///
/// # Errors
///
/// Those of the writer.
pub fn write_text(explanations: &Explanations, out: &mut dyn Write) -> io::Result<()> {
    use crate::base::terminal::one_line as shown;
    use crate::report::layout::{field, steps};
    for (number, explanation) in explanations.codes.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let symbol = explanation
            .symbol
            .map_or(String::new(), |symbol| format!(" {symbol}"));
        let is_number = explanation.code.starts_with("0x");
        let space = match (explanation.space, explanation.symbol) {
            (Some(space), None) if is_number => format!(" ({space}, no name is published)"),
            (Some(space), _) => format!(" ({space})"),
            (None, _) => ": unknown".to_owned(),
        };
        writeln!(out, "{}{symbol}{space}", shown(&explanation.code))?;
        if let Some(meaning) = &explanation.meaning {
            field("Meaning", &shown(meaning), out)?;
        }
        if let Some(stage) = explanation.stage {
            field("Seen at", stage, out)?;
        }
        match explanation.cause {
            Some(cause) => field("Cause", cause, out)?,
            None if is_number && !explanation.next_steps.is_empty() => {
                field("Cause", "not published", out)?
            }
            None => {}
        }
        steps(&explanation.next_steps, out)?;
        for (number, source) in explanation.sources.iter().enumerate() {
            let label = if number == 0 { "Source" } else { "" };
            field(label, source, out)?;
        }
    }
    Ok(())
}
