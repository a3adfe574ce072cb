//! What values look like: tokens, and evidence that is none.

use super::MASK;

/// The shortest run of token characters that is taken for an opaque token. Identifiers in these
/// logs (GUIDs, SIDs, thumbprints, correlation IDs) are shorter; tokens have hundreds.
pub(super) const OPAQUE_TOKEN: usize = 128;

/// The shortest JSON Web Token worth masking: `eyJ` begins every one of them.
pub(super) const WEB_TOKEN: usize = 20;

/// No SID or address in these logs is longer.
const LONGEST_ID: usize = 2048;

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
    run.len() >= OPAQUE_TOKEN && classes(run) == 3
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

/// Whether a value is a code or says only that there is one: never a secret.
pub(super) fn is_evidence(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 20] = [
        b"",
        b"yes",
        b"no",
        b"true",
        b"false",
        b"null",
        b"(null)",
        b"none",
        b"undefined",
        b"enabled",
        b"disabled",
        b"expired",
        b"invalid",
        b"incorrect",
        b"wrong",
        b"missing",
        b"required",
        b"failed",
        b"passed",
        b"not",
    ];
    let value = value.trim_ascii();
    let value = value.strip_suffix(b".").unwrap_or(value);
    let digits_behind = |prefix: &[u8]| {
        let digits = value.strip_prefix(prefix)?;
        Some((1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit))
    };
    value == MASK.as_bytes()
        || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
        || [b"0x".as_slice(), b"0X", b"AADSTS", b"MSIS"]
            .iter()
            .any(|prefix| digits_behind(prefix) == Some(true))
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
