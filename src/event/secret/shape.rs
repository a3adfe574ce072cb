//! What values look like: tokens, and evidence that is none.

use super::MASK;

/// The shortest run of token characters that is taken for an opaque token. Identifiers in these
/// logs (GUIDs, SIDs, thumbprints, correlation IDs) are shorter; tokens have hundreds.
pub(super) const OPAQUE_TOKEN: usize = 128;

/// The shortest JSON Web Token worth masking: `eyJ` begins every one of them.
pub(super) const WEB_TOKEN: usize = 20;

/// No SID or address in these logs is longer.
const LONGEST_ID: usize = 2048;

/// The longest text of an error, and the longest object that has one. What is longer is masked: it
/// would have to be read again for each name in it.
const LONGEST_ERROR: usize = 1024;

/// How `{"` begins in base64, and `eyJ` when it is encoded once more.
pub(super) const WEB_TOKEN_STARTS: [&[u8]; 2] = [b"eyJ", b"ZXlK"];

/// The length of the run of characters that tokens are made of.
pub(super) fn token_run(text: &[u8]) -> usize {
    text.iter().take_while(|b| is_token_byte(**b)).count()
}

pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'~')
}

/// A character of standard base64.
pub(super) const fn is_base64_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'=')
}

/// A character of a token or of base64, as it is written: percent encoding and line ends are parts
/// of one.
#[inline]
#[allow(
    clippy::indexing_slicing,
    reason = "the compiler evaluates this: a mistake does not build"
)]
pub(super) fn is_written_in_run(byte: u8) -> bool {
    static IS_IN_RUN: [bool; 256] = {
        let mut is_in_run = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            is_in_run[byte as usize] = is_token_byte(byte)
                || is_base64_byte(byte)
                || matches!(byte, b'%' | b'\\' | b'\r' | b'\n' | b'!' | b'*' | b'$');
            byte += 1;
        }
        is_in_run
    };
    IS_IN_RUN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Whether a run is long and mixed enough for a token that nothing announces.
pub(super) fn is_opaque_token(run: &[u8]) -> bool {
    run.len() >= OPAQUE_TOKEN && classes(run) == 3 && !is_made_of_ids(run) && !is_symbol(run)
}

/// Whether JSON begins here that is encoded in base64, as in `{"alg":`. Words such as `keyJson`
/// do not come to text.
pub(super) fn is_encoded_json(run: &[u8]) -> bool {
    let mut groups = run.chunks_exact(4).take(3);
    run.len() >= WEB_TOKEN
        && groups.all(|group| {
            let bits = group.iter().try_fold(0, |bits: u32, b| {
                let value = match b {
                    b'A'..=b'Z' => b - b'A',
                    b'a'..=b'z' => b - b'a' + 26,
                    b'0'..=b'9' => b - b'0' + 52,
                    b'+' | b'-' => 62,
                    b'/' | b'_' => 63,
                    _ => return None,
                };
                Some(bits << 6 | u32::from(value))
            });
            bits.is_some_and(|bits| {
                let [_, decoded @ ..] = bits.to_be_bytes();
                decoded.iter().all(|b| (b' '..=b'~').contains(b))
            })
        })
}

/// How many there are of digits, small letters and capitals.
fn classes(text: &[u8]) -> u8 {
    let has = |of: fn(&u8) -> bool| u8::from(text.iter().any(of));
    has(u8::is_ascii_digit) + has(u8::is_ascii_lowercase) + has(u8::is_ascii_uppercase)
}

/// Whether a value looks like a key or a token of at least so many characters, not like a word, a
/// code or an ID.
pub(super) fn looks_opaque(value: &[u8], least: usize) -> bool {
    // Codes of personal accounts have the last three.
    let is_part =
        |b: &u8| is_token_byte(*b) || is_base64_byte(*b) || matches!(b, b'!' | b'*' | b'$');
    let letters = || value.iter().filter(|b| b.is_ascii_alphabetic());
    // Cases change all the time in base64, and once a word in names.
    let turns = || {
        let pairs = letters().zip(letters().skip(1));
        let turns = pairs.filter(|(a, b)| a.is_ascii_lowercase() != b.is_ascii_lowercase());
        turns.count() * 5 >= letters().count() * 2
    };
    let is_hex = || value.len() >= 32 && value.iter().all(u8::is_ascii_hexdigit);
    value.len() >= least
        && value.iter().all(is_part)
        && !is_id(value)
        && memchr::memmem::find(value, b"AADSTS").is_none()
        && match classes(value) {
            3 => true,
            2 => is_hex() || value.ends_with(b"=") || turns(),
            _ => false,
        }
}

pub(super) fn has_letters_and_digits(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit) && classes(value) > 1
}

/// Whether a word in prose can only be a password: no other has letters of both cases and digits.
pub(super) fn looks_like_password(word: &[u8]) -> bool {
    word.len() >= 7 && classes(word) == 3 && !is_id(word)
}

/// What says only that there is a secret, or what became of it.
const STATES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"yes",
    b"no",
    b"true",
    b"false",
    b"null",
    b"nullptr",
    b"none",
    b"nil",
    b"n/a",
    b"empty",
    b"undefined",
    b"unknown",
    b"present",
    b"absent",
    b"found",
    b"notfound",
    b"not_found",
    b"valid",
    b"invalid",
    b"enabled",
    b"disabled",
    b"provisioned",
    b"expired",
    b"revoked",
    b"rejected",
    b"denied",
    b"unauthorized",
    b"incorrect",
    b"wrong",
    b"missing",
    b"required",
    b"failed",
    b"passed",
    b"changed",
    b"never",
    b"not",
    b"too",
    b"tpm",
    b"prt",
    b"bearer",
];

/// How the symbols of Windows' errors begin.
const SYMBOLS: &[&[u8]] = &[
    b"STATUS_",
    b"ERROR_",
    b"SEC_E_",
    b"NTE_",
    b"WININET_E_",
    b"HTTP_E_",
    b"E_",
];

/// The upper halves of errors that are logged as decimal numbers: NTSTATUS and HRESULT.
const UPPER_HALVES: [u32; 8] = [
    0xc000, 0x8000, 0x8004, 0x8007, 0x8009, 0x801c, 0xcaa2, 0xcaa9,
];

/// Whether a value is neither a word nor several: it has a digit or a sign in it.
pub(super) fn is_no_word(value: &[u8]) -> bool {
    let is_word = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'-' | b'.' | b',');
    !value.iter().any(u8::is_ascii_whitespace) && !value.iter().all(is_word) && !is_id(value)
}

/// Whether a value looks generated, with any signs in it.
pub(super) fn looks_generated(value: &[u8]) -> bool {
    value.len() >= 12
        && classes(value) == 3
        && !value.iter().any(u8::is_ascii_whitespace)
        && !is_id(value)
        && !is_symbol(value)
}

/// Whether a value is a code or says only that there is one: never a secret.
pub(super) fn is_evidence(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if value == MASK.as_bytes() {
        return true;
    }
    let word = value.split(u8::is_ascii_whitespace).next();
    if value.len() <= LONGEST_ERROR && is_error(inner(word.unwrap_or_default())) {
        return true;
    }
    let value = inner(value);
    STATES.iter().any(|word| value.eq_ignore_ascii_case(word))
        || is_hex_code(value)
        || is_decimal_code(value)
        || is_date(value)
}

/// A word without the brackets and the punctuation around it.
fn inner(mut word: &[u8]) -> &[u8] {
    while let [b'(' | b'<', rest @ ..] | [rest @ .., b')' | b'>' | b'.' | b',' | b':' | b';'] = word
    {
        word = rest;
    }
    word
}

/// Whether a word is an error of its own: `AADSTS50126`, `0xC000006A`, `STATUS_WRONG_PASSWORD`.
fn is_error(word: &[u8]) -> bool {
    let is_symbol = |prefix: &&[u8]| word.len() > prefix.len() + 2 && word.starts_with(prefix);
    let is_symbol_byte = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
    let is_numbered = |prefix: &[u8]| {
        let number = word.strip_prefix(prefix);
        number.is_some_and(|number| {
            (1..=8).contains(&number.len()) && number.iter().all(u8::is_ascii_digit)
        })
    };
    word.len() == 10 && is_hex_code(word)
        || is_numbered(b"AADSTS")
        || is_numbered(b"MSIS")
        || SYMBOLS.iter().any(is_symbol) && word.iter().all(is_symbol_byte)
}

fn is_hex_code(word: &[u8]) -> bool {
    let [b'0', b'x' | b'X', digits @ ..] = word else {
        return false;
    };
    (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit)
}

fn is_decimal_code(word: &[u8]) -> bool {
    let number = (word.len() >= 10).then(|| str::from_utf8(word).ok()?.parse::<i64>().ok());
    let number = number.flatten().filter(|number| {
        (i64::from(i32::MIN)..0).contains(number) || u32::try_from(*number).is_ok()
    });
    number.is_some_and(|number| {
        let [.., a, b, _, _] = number.to_be_bytes();
        UPPER_HALVES.contains(&(u32::from(a) << 8 | u32::from(b)))
    })
}

/// Whether a word is a day of these years, as when a password was last set.
fn is_date(word: &[u8]) -> bool {
    let is_digit = |at: usize| word.get(at).is_some_and(u8::is_ascii_digit);
    word.len() == 10
        && word.starts_with(b"20")
        && matches!(word, [_, _, _, _, b'-', _, _, b'-', ..])
        && [2, 3, 5, 6, 8, 9].into_iter().all(is_digit)
}

/// Whether a value is a name of a program: its letters are words, not mixed at random.
/// Such are `OAuth2IdPRetryableServerError` and `WININET_E_TIMEOUT_0x80072EE2`.
pub(super) fn is_symbol(value: &[u8]) -> bool {
    let code = memchr::memmem::rfind(value, b"0x");
    let code = code.filter(|at| value.get(*at..).is_some_and(is_hex_code));
    let name = code.and_then(|at| value.get(..at)).unwrap_or(value);
    let mut words = name.split(|b| !b.is_ascii_lowercase());
    let in_words: usize = words
        .by_ref()
        .map(<[u8]>::len)
        .filter(|length| *length >= 3)
        .sum();
    let is_capital = |b: &u8| b.is_ascii_uppercase() || *b == b'_';
    in_words * 5 >= name.len() * 2 || name.contains(&b'_') && name.iter().all(is_capital)
}

/// Whether a run is made of IDs: hardly any of it is another character than theirs.
fn is_made_of_ids(run: &[u8]) -> bool {
    let of_ids = run.iter().filter(|b| b.is_ascii_hexdigit() || **b == b'-');
    run.contains(&b'-') && of_ids.count() * 4 >= run.len() * 3
}

/// Claims that a service asks for in a token: an object of these tells no token.
const CLAIMS: &[&[u8]] = &[
    b"capolids",
    b"polids",
    b"nbf",
    b"acr",
    b"acrs",
    b"amr",
    b"auth_time",
    b"xms_cc",
    b"deviceid",
];

/// Whether a list or an object under the name of a secret tells of errors or claims.
pub(super) fn is_report(value: &[u8]) -> bool {
    if value.len() > LONGEST_ERROR {
        return false;
    }
    let words = value.split(|b| !b.is_ascii_alphanumeric() && *b != b'_');
    let mut words = words.filter(|word| !word.is_empty());
    if words
        .clone()
        .next()
        .is_some_and(|first| CLAIMS.contains(&first))
    {
        return true;
    }
    let is = |word: &[u8], name: &[u8]| word.eq_ignore_ascii_case(name);
    words
        .clone()
        .any(|word| is(word, b"error") || is(word, b"fault"))
        && !words.any(|word| is(word, b"value") || looks_like_password(word))
}

/// Whether prose goes on behind "null password: ".
pub(super) fn is_prose(word: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] = [
        b"password",
        b"the",
        b"this",
        b"your",
        b"is",
        b"does",
        b"cannot",
        b"must",
    ];
    WORDS.contains(&word)
}

/// Whether a value is an ID, a number or an address.
pub(super) fn is_id(value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"{").unwrap_or(value);
    let inner = inner.strip_suffix(b"}").unwrap_or(inner);
    let is_guid = inner.len() == 36
        && inner.iter().zip(0..).all(|(b, at)| match at {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    let is_sid = value.starts_with(b"S-1-") && value.iter().all(|b| !b.is_ascii_lowercase());
    let is_address = [&b"https://"[..], b"http://", b"urn:"]
        .iter()
        .any(|of| value.starts_with(of))
        && !value.iter().any(u8::is_ascii_whitespace);
    let is_number = || value.iter().all(|b| b.is_ascii_digit() || *b == b'-');
    is_evidence(value)
        || is_guid
        || (is_sid || is_address) && value.len() <= LONGEST_ID
        || value.len() <= 10 && is_number()
}
