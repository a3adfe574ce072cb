//! Tokens and passwords in log text are replaced by a mask as soon as a record is decoded, so that
//! no later step can print them.
//!
//! [`may_hold_secret`] looks through whole chunks and decides by a few bytes around each sign. Only
//! where it finds something is a text resolved into one spelling (`spelling`) and searched
//! (`find`) for values that a name or a scheme announces (`names`) or that show by themselves what
//! they are (`shape`).

mod find;
mod names;
mod shape;
mod spelling;

use find::{Announcement, OPAQUE_GAP, USERINFO, WORD, is_filler, is_name_byte, is_quote};
use names::{Kind, Spoken};
use shape::{OPAQUE_TOKEN, is_written_in_run};
use std::borrow::Cow;

/// What stands in the place of a secret.
pub(crate) const MASK: &str = "[masked]";

/// How often a text is looked through until nothing more is found. Two do for nearly every text.
const PASSES: usize = 4;

/// How many fillers the fast look walks back over. Where there are more the full look decides.
const FILLERS: usize = 64;

/// Counts bytes that are looked at, for the test that work grows with the text and no faster.
#[inline]
fn look(bytes: usize) {
    #[cfg(test)]
    tests::LOOKED.set(tests::LOOKED.get() + bytes);
    let _ = bytes;
}

/// The text with every secret in it masked.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    match may_hold_secret(text) {
        true => mask_each(text),
        false => Cow::Borrowed(text),
    }
}

/// Whether the name of a field announces a secret. Of an event that the table of events has only a
/// plain name counts: `AADPrt` and `NewToken` say yes or no.
pub(crate) fn is_name(name: &str, is_known_event: bool) -> bool {
    match names::telling_kind(names::without_number(name.as_bytes())) {
        Some(Kind::Any | Kind::Credentials | Kind::Cookies) => true,
        Some(Kind::Tied | Kind::Number) => !is_known_event,
        _ => false,
    }
}

/// The text with what is found at each place masked.
fn mask_each(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    // A mask can make a secret of what is beside it, rarely: the end of a value may be masked.
    for _ in 0..PASSES {
        match mask_once(&masked) {
            Some(again) => masked = Cow::Owned(again),
            None => break,
        }
    }
    masked
}

/// The text with what is found at each place masked; nothing if that changes nothing.
fn mask_once(text: &str) -> Option<String> {
    let secrets = find::secrets(text);
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for secret in secrets {
        masked.push_str(text.get(done..secret.start).unwrap_or(""));
        masked.push_str(MASK);
        done = secret.end;
    }
    masked.push_str(text.get(done..).unwrap_or(""));
    (masked != text).then_some(masked)
}

/// Whether there is anything in a text that [`mask_each`] could mask. Nearly all texts have none of
/// it, and are looked through much faster for it. Several texts may be looked through at once where
/// a control character stands between them.
pub(crate) fn may_hold_secret(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut signs = memchr::memchr3_iter(b':', b'=', b'J', bytes);
    let mut blanks = memchr::memchr_iter(b' ', bytes);
    let mut introducers = memchr::memchr3_iter(b'<', b'%', b'\\', bytes);
    let mut rare = memchr::memchr3_iter(b'&', b'Z', 0xef, bytes);
    signs.any(|at| is_telling(bytes, at))
        || blanks.any(|at| is_telling_blank(bytes, at))
        || introducers.any(|at| is_telling_rare(bytes, at))
        || rare.any(|at| is_telling_rare(bytes, at))
        || has_long_run(bytes)
}

/// Whether there are enough characters of tokens or base64 in a row for an opaque token: such a run
/// has one at a multiple of its length.
fn has_long_run(bytes: &[u8]) -> bool {
    let in_run = |b: &&u8| is_written_in_run(**b);
    let places = (OPAQUE_TOKEN - 1..bytes.len()).step_by(OPAQUE_TOKEN);
    places.into_iter().any(|place| {
        let (before, after) = bytes.split_at(place);
        let before = before.iter().rev().take_while(in_run).take(OPAQUE_TOKEN);
        let after = after.iter().take_while(in_run).take(OPAQUE_TOKEN);
        before.count() + after.count() >= OPAQUE_TOKEN
    })
}

/// Whether a colon or an equals sign announces a secret, or a web token begins around a `J`.
#[inline]
fn is_telling(bytes: &[u8], at: usize) -> bool {
    let Some((before, [sign, after @ ..])) = bytes.split_at_checked(at) else {
        return false;
    };
    match sign {
        b'J' => before.ends_with(b"ey"),
        b':' => {
            is_announced(before, after)
                || has_userinfo(after)
                // Nearly every colon has one of these behind it.
                || !matches!(after, [] | [0..=b' ' | b'/' | b'"' | b'\'' | b'\\', ..])
                    && has_bare_secret(bytes, at)
        }
        _ => is_announced(before, after),
    }
}

/// Whether a secret that no name announces follows a colon.
#[inline(never)]
fn has_bare_secret(bytes: &[u8], colon: usize) -> bool {
    find::bare_userinfo(bytes, colon).is_some() || find::hashes(bytes, colon).is_some()
}

/// Whether the text before a sign ends with a name, and the text behind it may be a secret.
#[inline(always)]
fn is_announced(before: &[u8], after: &[u8]) -> bool {
    let Some(last) = before.last() else {
        return false;
    };
    // Nearly every sign is told by the two letters before.
    let name = match last.is_ascii_digit() {
        true => names::without_number(before),
        false => before,
    };
    if names::may_end_name(name) && is_announced_by(name, after) {
        return true;
    }
    // No encoded character ends with one of these letters.
    match (last, before) {
        (b'g'..=b'z' | b'G'..=b'Z', _) => false,
        // As in all JSON; what ends in a hexadecimal digit may be an encoded character.
        (b'"', [name @ .., _]) if ends_unencoded(name) => {
            names::may_end_name(name) && is_announced_by(name, after)
        }
        _ => is_announced_behind_fillers(before, after),
    }
}

/// Whether the text ends with a letter that no encoded character ends with.
#[inline(always)]
fn ends_unencoded(text: &[u8]) -> bool {
    match text {
        [.., b'g'..=b'z'] => true,
        [.., a, _, b, c, _, last] => {
            let is_encoded = *a == b'\\' || *b == b'\\' || *c == b'%';
            last.is_ascii_alphabetic() && !is_encoded
        }
        _ => false,
    }
}

fn is_announced_behind_fillers(before: &[u8], after: &[u8]) -> bool {
    let is_behind_filler = match before {
        [.., b'%', _, _] | [.., b'\\', b'x' | b'X', _, _] => true,
        [.., b'\\' | b'%', b'u' | b'U', _, _, _, _] => true,
        [.., last] => !last.is_ascii_alphanumeric(),
        [] => false,
    };
    is_behind_filler
        && match without_fillers(before) {
            Some(name) => {
                let name = names::without_number(name);
                names::may_end_name(name) && is_announced_by(name, after)
            }
            None => true,
        }
}

fn is_announced_by(name: &[u8], after: &[u8]) -> bool {
    match names::kind(name).map(find::behind_sign) {
        None => false,
        Some(Kind::Opaque(least)) => {
            let mut run = 0;
            let after = after.iter().take(OPAQUE_GAP + least);
            after.into_iter().any(|b| {
                run = match is_written_in_run(*b) && !matches!(b, b'\r' | b'\n') {
                    true => run + 1,
                    false => 0,
                };
                run >= least
            })
        }
        Some(Kind::Name) => {
            let value = behind_fillers(after);
            let words = value.iter().take(WORD);
            let words = words.take_while(|b| is_name_byte(**b) || **b == b' ');
            let words = value.get(..words.count()).unwrap_or_default();
            // What an address names ends behind what is looked at here.
            if words.starts_with(b"http") || words.starts_with(b"urn") {
                return true;
            }
            let is_end = |at: &usize| words.get(*at).is_none_or(|b| *b == b' ');
            let mut ends = (1..=words.len()).filter(is_end);
            ends.any(|end| {
                let name = words.get(..end).and_then(names::kind);
                name.is_some_and(|kind| !matches!(kind, Kind::Name | Kind::Element))
            })
        }
        Some(_) => true,
    }
}

/// The text without what may stand between a name and its sign, whatever the spelling; nothing if
/// that is more than is looked at. Encoded signs count as fillers here, so that each in a row of
/// them would walk back over all before it.
fn without_fillers(mut text: &[u8]) -> Option<&[u8]> {
    for _ in 0..FILLERS {
        look(1);
        text = match text {
            [rest @ .., b'%', _, _] => rest,
            [rest @ .., b'%', b'u' | b'U', _, _, _, _] => rest,
            [rest @ .., b'\\', b'u' | b'U', _, _, _, _] => rest,
            [rest @ .., b'\\', b'x' | b'X', _, _] => rest,
            // Typographic quotes.
            [rest @ .., 0xe2, 0x80, 0x98..=0x9f] => rest,
            // Blanks beyond ASCII.
            [rest @ .., 0xc2, 0xa0] | [rest @ .., 0xe2, 0x80, 0x8b | 0xaf] => rest,
            [.., b';'] => match text.iter().rev().take(10).position(|b| *b == b'&') {
                Some(length) => text.get(..text.len() - length - 1).unwrap_or_default(),
                None => return Some(text),
            },
            [rest @ .., last] if is_filler(*last) => rest,
            _ => return Some(text),
        }
    }
    None
}

/// The text from the first character on that is neither a blank nor a sign nor a quote.
fn behind_fillers(mut text: &[u8]) -> &[u8] {
    loop {
        look(1);
        let Some(first) = text.first() else {
            return text;
        };
        let is_encoded = spelling::is_introducer(*first) || !first.is_ascii();
        let resolved = is_encoded.then(|| spelling::resolved(text)).flatten();
        let (byte, length) = resolved.unwrap_or((*first, 1));
        let is_skipped = byte.is_ascii_whitespace() || matches!(byte, b'=' | b':' | b'>');
        match is_skipped || is_filler(byte) {
            true => text = text.get(length..).unwrap_or_default(),
            false => return text,
        }
    }
}

/// Whether the rest of an address from behind its first colon may have a password.
fn has_userinfo(after: &[u8]) -> bool {
    let authority = match after {
        [b'/', b'/', rest @ ..] | [b'\\', b'/', b'\\', b'/', rest @ ..] => rest,
        // Spelt in an unusual way.
        [b'\\' | b'%', ..] => after,
        _ => return false,
    };
    let authority = authority.get(..USERINFO).unwrap_or(authority);
    let end = memchr::memchr3(b'@', b'/', b'%', authority);
    let end = end.and_then(|end| authority.get(end));
    matches!(end, Some(b'@' | b'%'))
}

/// Whether a blank announces a secret.
#[inline]
fn is_telling_blank(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    names::may_be_spoken(before)
        && is_announced_by_blank(before, bytes.get(at..).unwrap_or_default())
}

fn is_announced_by_blank(before: &[u8], rest: &[u8]) -> bool {
    match names::spoken(before) {
        Some((Spoken::Scheme, _)) => {
            // A word of small letters is prose.
            let token = behind_fillers(rest).iter().take(shape::WEB_TOKEN);
            let token = token.take_while(|b| is_written_in_run(**b) || **b == b'&');
            let (mut length, mut is_word) = (0, true);
            for byte in token {
                length += 1;
                is_word &= byte.is_ascii_lowercase();
            }
            length == shape::WEB_TOKEN || length > 0 && !is_word
        }
        Some((Spoken::PrivateKey, _)) => rest
            .trim_ascii_start()
            .starts_with(find::PRIVATE_KEY.trim_ascii_start()),
        Some((Spoken::Password, _)) => match find::password_announcement(before, rest) {
            Some(Announcement::Option) => true,
            Some(Announcement::Is(length)) => {
                let value = rest.get(length..).unwrap_or_default().trim_ascii_start();
                let word = value.iter().take(WORD);
                let mut word = word.take_while(|b| !b.is_ascii_whitespace());
                word.any(|b| b.is_ascii_digit() || is_quote(*b) || !b.is_ascii() || *b == b'\\')
            }
            Some(Announcement::Quote | Announcement::Word) => true,
            None => false,
        },
        Some((Spoken::Token, start)) => {
            find::is_quote_behind(rest) || find::option(before, start).is_some()
        }
        None => false,
    }
}

/// Whether an element, an encoded character, or an encoded web token begins here that announces a
/// secret.
fn is_telling_rare(bytes: &[u8], at: usize) -> bool {
    let (before, rest) = bytes.split_at_checked(at).unwrap_or_default();
    match rest {
        [b'<', tag @ ..] => is_telling_tag(tag),
        [b'Z', ..] => rest.starts_with(b"ZXlK"),
        // Most backslashes are of paths and of quotes in JSON.
        [b'\\', next, ..] if !matches!(next, b'u' | b'U' | b'x' | b'X') => false,
        _ => {
            let Some((byte, length)) = spelling::resolved(rest) else {
                return false;
            };
            let after = rest.get(length..).unwrap_or_default();
            match byte {
                b':' => is_announced(before, after) || may_have_userinfo(after),
                b'=' => is_announced(before, after),
                b'<' => is_telling_tag(after),
                b' ' if rest.starts_with(b"%") => is_announced_by_blank(before, after),
                // Who encodes letters hides something, or encodes twice.
                b'&' => [
                    "lt;", "gt;", "#", "quot;", "apos;", "amp;", "nbsp;", "colon;", "equals;", "%",
                ]
                .iter()
                .any(|entity| after.starts_with(entity.as_bytes())),
                b'%' | b'\\' | b' ' | b'_' | b'-' | b'.' => true,
                byte => byte.is_ascii_alphanumeric(),
            }
        }
    }
}

/// Whether an encoded colon may be that of an address with a password.
fn may_have_userinfo(after: &[u8]) -> bool {
    let address = after.get(..USERINFO).unwrap_or(after);
    let at_signs: [&[u8]; 2] = [b"@", b"%40"];
    let mut at_signs = at_signs.iter();
    matches!(after, [b'/' | b'%' | b'\\' | b'&', ..])
        && at_signs.any(|at_sign| memchr::memmem::find(address, at_sign).is_some())
}

/// Whether the name of an element announces a secret.
fn is_telling_tag(tag: &[u8]) -> bool {
    if find::is_clixml(tag) || find::is_input(tag) {
        return true;
    }
    let letters = tag.iter().take(WORD);
    let name = letters
        .take_while(|b| is_name_byte(**b) || **b == b':')
        .count();
    let name = tag.get(..name).unwrap_or_default();
    names::kind(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::{MASK, find, is_name, mask, mask_each, may_hold_secret, names};
    use proptest::prelude::*;
    use std::cell::Cell;

    thread_local! {
        pub(super) static LOOKED: Cell<usize> = const { Cell::new(0) };
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        /// What is looked through fast comes to the same as what is looked for at each place.
        #[test]
        fn nothing_is_overlooked(parts in prop::collection::vec(part(), 0..8)) {
            let text = parts.concat();
            prop_assert_eq!(mask(&text), mask_each(&text));
        }

        #[test]
        fn a_second_mask_finds_nothing(parts in prop::collection::vec(part(), 0..12)) {
            let text = parts.concat();
            let masked = mask(&text).into_owned();
            prop_assert_eq!(mask(&masked), masked.as_str(), "{}", text);
        }

        /// Secrets come in their order, apart from each other, and hold whole characters.
        #[test]
        fn secrets_are_places_of_the_text(parts in prop::collection::vec(part(), 0..12)) {
            let text = parts.concat();
            let mut done = 0;
            for secret in find::secrets(&text) {
                prop_assert!(done <= secret.start && secret.start <= secret.end);
                prop_assert!(text.get(done..secret.start).is_some());
                prop_assert!(text.get(secret.clone()).is_some());
                done = secret.end;
            }
        }
    }

    /// Texts with the makings of secrets, most often near enough.
    fn part() -> impl Strategy<Value = String> {
        let table = || prop::sample::select(table(include_str!("../../tests/secrets/masked.txt")));
        let sign = prop::sample::select(vec![
            "=",
            ":",
            ": ",
            " = ",
            "%3D",
            "%3a",
            "%253D",
            "\\u003d",
            "&#58;",
            "\r\n",
            "\r\n ",
            "&",
            "%26",
            "&amp;",
            " ",
            "%20",
            "<",
            ">",
            "</",
            "&lt;",
            "&gt;",
            "\\\"",
            "%22",
            "&quot;",
            "://",
            "%3A%2F%2F",
            "@",
            "%40",
            ",",
            ";",
            "=\"",
            ":\"",
            "'",
            "[",
            "{",
            "}",
            MASK,
            " is ",
            "-",
            "name=",
            "\"value\":",
            "\\",
            "\\u0061",
            "%61",
            "%",
            "PRIVATE KEY-----",
            "-----BEGIN ",
            "\u{a0}",
            "\u{200b}",
            " for ",
            " \"",
            ".com:80",
            ":500:",
            "Value",
            "_raw",
            "%u003d",
            "&colon;",
            "<S N=\"",
            "<Password Value=\"",
            ")}.",
            "REG_SZ ",
            "http://",
            "//",
        ]);
        prop_oneof![
            3 => prop::sample::select(names::all()).prop_map(str::to_owned),
            1 => prop::sample::select(names::all()).prop_map(str::to_uppercase),
            4 => sign.prop_map(str::to_owned),
            1 => "[:=\"' \\\\]{1,4}",
            1 => "eyJ[A-Za-z0-9._-]{0,30}",
            1 => "[A-Za-z0-9]{1,24}",
            1 => "[A-Za-z0-9._~+-]{100,200}",
            1 => "[A-Za-z0-9/+=\r\n]{100,200}",
            1 => "[ -~]{0,30}",
            1 => "\\PC{0,10}",
            1 => (table(), 0..120_usize, 0..120_usize).prop_map(|(text, start, end)| {
                let (start, end) = (start.min(end), start.max(end));
                text.chars().skip(start).take(end - start).collect()
            }),
            1 => table(),
        ]
    }

    /// The texts of a table.
    fn table(text: &str) -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("# "));
        let text = |line: &str| {
            let text = line.replace("{CRLF}", "\r\n").replace("{LF}", "\n");
            text.replace("{TAB}", "\t")
        };
        lines.map(text).collect()
    }

    #[test]
    fn work_grows_with_the_text_and_no_faster() {
        let lines = format!("{}\r\n", "a".repeat(64));
        let mut parts: Vec<String> = [
            "eyJ",
            "aeyJ",
            "\"",
            "'",
            "<",
            "</",
            "<password>",
            "<code>",
            "<password",
            "%25",
            "%",
            "\\",
            "\\\\\"",
            "&amp;",
            "&",
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "name=code>",
            "name=token>",
            "name=token>http://",
            "name=\"password\" ",
            "name=code\r\n\r\n",
            "authorization: failed ",
            "authorization: basic failed ",
            "authorization: basic\n ",
            "cookie: ",
            "cookie: a=",
            "cookie: AADSTS1 a=",
            "cookie: a=b, c ",
            "-----BEGIN PRIVATE KEY-----AADSTS1 ",
            "name=\"password\"\r\n\r\nAADSTS1 ",
            "name=token>AADSTS1 ",
            "<token>AADSTS1 ",
            "token={error:",
            "\"token\":{\"error\":1},",
            "<token><error>",
            "bearer ",
            "basic\n ",
            "a ",
            "a\n ",
            "token=\"http://a ",
            "token=http://",
            "password is ",
            "password \"",
            "password \"a'",
            "token '",
            "password for ",
            "password for a: ",
            "password (",
            "password (\u{a0}",
            "a:b@",
            "//a:b@",
            "a:",
            "a:500:",
            "<password value=\"",
            "<password value=",
            "<S N=\"password\">",
            "<Key>password</Key>",
            "<Key> password </Key><a>",
            "<password>\r\n a",
            "<password><a ",
            "\r\n: ",
            "-AccessToken ",
            "-AccessToken \"a ",
            "/pass:",
            "password)}",
            "password=a)})",
            "password  REG_SZ  ",
            "{\"name\":\"password\",[]",
            "<input type=\"password\" ",
            "<input value='",
            "-password (",
            "\"value\":\"",
            "\"value\":\"a\",\"name\":\"code\",",
            "value='a name=",
            "%u003d",
            "\npass: aB3aB3aB3",
            "tokenValue",
            "&password=a ",
            "\npassword: a b",
            "\u{a0}",
            "password is\u{a0}",
            "-password ",
            "://a:",
            "://a@",
            "password=\r\n",
            "password=\r\n ",
            "[",
            "{",
            "token=[",
            "token={",
            "[masked]",
            ", ",
            ",a",
            "password = ",
            "password.",
            "'a\"",
            &lines,
        ]
        .map(str::to_owned)
        .to_vec();
        // Encoded signs and what may stand between them.
        for sign in [
            "&#58;", "&#61;", "&#x3a;", "&#x3d;", "%3a", "%3D", "\\x3a", "\\x3d", "\\u003a",
            "\\u003d", "：", "＝",
        ] {
            for filler in [
                "", " ", ".", "\"", "[]", "\\\"", "%22", "&#34;", "%20", "\\u0022", "“",
            ] {
                parts.push(format!("{sign}{filler}"));
            }
        }
        // What begins the text is open until its end; without it the fast look goes on.
        let parts = parts
            .into_iter()
            .map(|part| (part, &["password ", "a "][..]));
        let names = names::all().into_iter().flat_map(|name| {
            let signs = ["", "=", ": ", "=\"", "=[", "=a,"].into_iter();
            signs.map(move |sign| (format!("{name}{sign}"), &["password "][..]))
        });
        for (part, heads) in parts.chain(names) {
            let looked = |length: usize| {
                LOOKED.set(0);
                let text = part.repeat(length / part.len());
                for head in heads {
                    mask(&format!("{head}{text}"));
                }
                LOOKED.get()
            };
            // Windows of a fixed size are full in either.
            let (once, twice) = (looked(1 << 12), looked(1 << 13));
            assert!(
                twice <= once * 5 / 2 + 4096,
                "{part:?}: {once}, then {twice}"
            );
        }
    }

    #[test]
    fn every_secret_of_the_table_is_masked() {
        let texts = table(include_str!("../../tests/secrets/masked.txt"));
        assert!(texts.len() >= 80);
        let mut leaks = Vec::new();
        for text in texts {
            assert!(text.contains("Hunter2"), "{text}");
            let kept = |text: &str| text.matches("kept").count();
            let masked = mask(&text);
            if masked.contains("Hunter2") || kept(&masked) != kept(&text) {
                leaks.push(format!("{text:?}\n    {masked:?}"));
            }
            assert_eq!(mask(&masked), masked);
        }
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    }

    /// Dense logs hold little else: none of it may cost a full look.
    #[test]
    fn the_most_frequent_texts_are_told_by_the_fast_look() {
        for text in [
            "Code: invalid_grant\nDescription: AADSTS50058: no session.\r\nTrace ID: 0a1b2c3d",
            "Request: authority: https://login.microsoftonline.com/common, client: 1f2e3d4c-0000",
            "Error: 0xCAA20003 Logged at AuthorizationClient.cpp, line: 233, method: Acquire",
            "the refresh token has expired; the user or password is wrong",
            "https://login.microsoftonline.com/common/oauth2/token?api-version=1.0&client_id=1",
            "errorPhase: auth\r\nadalResponseCode: 0xcaa90017\r\nisPrivateKeyFound: YES\r\n",
            "C:\\Windows\\System32\\config\\systemprofile\\AppData\\Local\\Packages",
        ] {
            assert!(!may_hold_secret(text), "{text}");
        }
    }

    #[test]
    fn the_names_of_known_fields_tell_no_more_than_their_roles() {
        let events = include_str!("../facts/events.tsv").lines();
        let fields = events
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| {
                let columns = line.split('\t').skip(8);
                columns.flat_map(|fields| fields.split(' '))
            });
        for field in fields {
            let name = field.split(':').next().unwrap();
            let is_secret = field.ends_with(":secret");
            assert!(is_secret || !is_name(name, true), "{field}");
        }
    }

    /// Behind `code` an authorization code is looked for, which no symbol may be taken for.
    #[test]
    fn no_symbol_of_the_codes_is_masked() {
        let codes = include_str!("../facts/codes.tsv").lines();
        let codes = codes.filter(|line| !line.starts_with('#'));
        let symbols = codes.filter_map(|line| line.split('\t').nth(2));
        let texts = symbols.flat_map(|symbol| {
            [
                format!("Code: {symbol}"),
                format!("code={symbol}"),
                format!("\"code\":\"{symbol}\""),
                format!("ErrorCode: {symbol}"),
            ]
        });
        let masked: Vec<String> = texts.filter(|text| mask(text) != text.as_str()).collect();
        assert_eq!(masked, Vec::<String>::new());
    }

    #[test]
    fn the_evidence_of_the_table_stays() {
        let texts = table(include_str!("../../tests/secrets/kept.txt"));
        assert!(texts.len() >= 40);
        let masked = texts.iter().filter(|text| mask(text) != text.as_str());
        let masked: Vec<String> = masked
            .map(|text| format!("{text:?}\n    {:?}", mask(text)))
            .collect();
        assert!(masked.is_empty(), "{}", masked.join("\n"));
    }

    #[test]
    fn tokens_are_masked_wherever_they_stand() {
        let jwt = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiIxIn0.c2ln";
        for (text, masked) in [
            (format!("got {jwt} back"), "got [masked] back".to_owned()),
            (
                format!("Authorization: Bearer {jwt}"),
                "Authorization: Bearer [masked]".to_owned(),
            ),
            (
                "?password=Hunter2&x=1".to_owned(),
                "?password=[masked]&x=1".to_owned(),
            ),
            (
                r#"{"refresh_token":"0.AXoA","x":1}"#.to_owned(),
                r#"{"refresh_token":"[masked]","x":1}"#.to_owned(),
            ),
            (
                r#"{"access_token" : "abc"}"#.to_owned(),
                r#"{"access_token" : "[masked]"}"#.to_owned(),
            ),
            ("aB3".repeat(60), "[masked]".to_owned()),
            (
                format!("access_token={}\r\n0xCAA20003\r\n", "aB3".repeat(25)),
                "access_token=[masked]\r\n0xCAA20003\r\n".to_owned(),
            ),
            (
                format!("got {jwt}\r\nAADSTS50126"),
                "got [masked]\r\nAADSTS50126".to_owned(),
            ),
            (
                r#"{\"password\":\"Hunter2\"}"#.to_owned(),
                r#"{\"password\":\"[masked]\"}"#.to_owned(),
            ),
            (
                "new_password=Hunter3&user.pwd=Hunter5".to_owned(),
                "new_password=[masked]&user.pwd=[masked]".to_owned(),
            ),
            (
                format!("a {} b", "aB3/xY+z".repeat(25)),
                "a [masked] b".to_owned(),
            ),
        ] {
            assert_eq!(mask(&text), masked);
        }
    }

    #[test]
    fn evidence_stays() {
        for text in [
            "AADSTS50126: Error validating credentials due to invalid username or password.",
            "https://login.microsoftonline.com/0a1b2c3d-0000-1111-2222-333344445555/oauth2/token",
            "Correlation ID: 0a1b2c3d-0000-1111-2222-333344445555",
            "S-1-12-1-1234567890-1234567890-1234567890-1234567890",
            "the password is wrong, and the bearer of it too",
            "Größe 12 – naïve",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
