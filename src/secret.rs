//! Tokens and passwords in log text are replaced by a mask as soon as a record is decoded, so that
//! no later step can print them.

use std::borrow::Cow;

/// What stands in the place of a secret.
pub(crate) const MASK: &str = "[masked]";

/// Names that announce a secret in query strings, forms, JSON and headers.
const NAMES: [&str; 13] = [
    "access_token",
    "refresh_token",
    "id_token",
    "client_assertion",
    "assertion",
    "client_secret",
    "password",
    "passwd",
    "pwd",
    "session_key",
    "authorization",
    "bearer",
    "x-ms-refreshtokencredential",
];

/// The shortest run of token characters that is taken for an opaque token. Identifiers in these
/// logs (GUIDs, SIDs, thumbprints, correlation IDs) are shorter; tokens have hundreds.
const OPAQUE_TOKEN: usize = 128;

/// The shortest JSON Web Token worth masking: `eyJ` begins every one of them.
const WEB_TOKEN: usize = 20;

/// The text with every token in it masked.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    match may_hold_secret(text) {
        true => mask_each(text),
        false => Cow::Borrowed(text),
    }
}

/// Whether there is anything in a text that [`mask_each`] could mask. Nearly all texts have none of
/// it, and are looked through much faster for it. Several texts may be looked through at once where
/// a control character stands between them.
pub(crate) fn may_hold_secret(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins_web_token = |at: usize| bytes.get(..at).is_some_and(|start| start.ends_with(b"ey"));
    let mut telling = memchr::memchr3_iter(b':', b'=', b'J', bytes);
    let mut blanks = memchr::memchr_iter(b' ', bytes);
    telling.any(|at| begins_web_token(at) || is_announced(bytes, at))
        || blanks.any(|at| is_announced(bytes, at))
        || has_long_run(bytes)
}

/// Whether there are enough characters of tokens or base64 in a row for an opaque token: such a run
/// has one at a multiple of its length.
fn has_long_run(bytes: &[u8]) -> bool {
    let in_run = |b: &&u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'~' | b'/' | b'=')
    };
    let places = (OPAQUE_TOKEN - 1..bytes.len()).step_by(OPAQUE_TOKEN);
    places.into_iter().any(|place| {
        let (before, after) = bytes.split_at(place);
        let before = before.iter().rev().take_while(in_run).take(OPAQUE_TOKEN);
        let after = after.iter().take_while(in_run).take(OPAQUE_TOKEN);
        before.count() + after.count() >= OPAQUE_TOKEN
    })
}

/// Whether a colon or an equals sign here follows a name that announces a secret, with nothing but
/// quotes in between, or a blank follows `Bearer`.
fn is_announced(bytes: &[u8], at: usize) -> bool {
    let Some((before, [sign, ..])) = bytes.split_at_checked(at) else {
        return false;
    };
    let is_quote = |b: &u8| matches!(b, b'"' | b'\'' | b' ' | b'\\');
    // Nearly every one is told by the character before.
    let may_follow = before.last().is_some_and(|last| match sign {
        b' ' => last | 0x20 == b'r',
        b':' | b'=' => {
            is_quote(last) || matches!(last | 0x20, b'n' | b't' | b'd' | b'y' | b'r' | b'l')
        }
        _ => false,
    });
    if !may_follow {
        return false;
    }
    let ends_with = |text: &[u8], name: &str| {
        let tail = text
            .len()
            .checked_sub(name.len())
            .and_then(|start| text.get(start..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(name.as_bytes()))
    };
    if *sign == b' ' {
        return ends_with(before, "bearer");
    }
    let quotes = before.iter().rev().take_while(|b| is_quote(b));
    let name = before
        .get(..before.len() - quotes.count())
        .unwrap_or_default();
    let [.., a, b] = name else { return false };
    let end = [a | 0x20, b | 0x20];
    // What the names end with.
    let may_be_one = matches!(
        &end,
        b"en" | b"on" | b"et" | b"rd" | b"wd" | b"ey" | b"er" | b"al"
    );
    let mut names = NAMES.iter();
    may_be_one && names.any(|secret| secret.as_bytes().ends_with(&end) && ends_with(name, secret))
}

/// The same, looked for at each place.
fn mask_each(text: &str) -> Cow<'_, str> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    // Up to here no run of base64 need be looked for again.
    let mut searched = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let run = token_run(rest);
        let token = rest.get(..run).unwrap_or("");
        // Standard base64 holds slashes, as a path does: only without any dot is it taken for one.
        let base64 = match at < searched {
            true => 0,
            false => base64_run(rest),
        };
        searched = searched.max(at + base64);
        if base64 > run && rest.get(..base64).is_some_and(is_token) {
            spans.push((at, at + base64));
            at += base64;
            continue;
        }
        if run == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        if is_token(token) {
            spans.push((at, at + run));
        } else if let Some((start, end)) = announced(rest, run) {
            spans.push((at + start, at + end));
            at += end;
            continue;
        }
        at += run;
    }
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end) in spans {
        masked.push_str(text.get(done..start).unwrap_or(""));
        masked.push_str(MASK);
        done = end;
    }
    masked.push_str(text.get(done..).unwrap_or(""));
    Cow::Owned(masked)
}

/// The length of the run of characters that tokens are made of.
fn token_run(text: &str) -> usize {
    text.bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'~'))
        .count()
}

/// The length of the run of characters of standard base64.
fn base64_run(text: &str) -> usize {
    text.bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+' | b'='))
        .count()
}

fn is_token(run: &str) -> bool {
    if run.len() >= WEB_TOKEN && run.starts_with("eyJ") {
        return true;
    }
    let has = |of: fn(&u8) -> bool| run.as_bytes().iter().any(of);
    run.len() >= OPAQUE_TOKEN
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
}

/// Where the value stands that a name at the start of the text announces (`password=…`,
/// `"refresh_token":"…"`, `Bearer …`). `name_end` is where the name ends.
fn announced(text: &str, name_end: usize) -> Option<(usize, usize)> {
    // A longer name may end in one: new_password, user.password.
    let whole = text.get(..name_end)?;
    let name = NAMES.iter().find_map(|secret| {
        let tail = whole.get(whole.len().checked_sub(secret.len())?..)?;
        let before = whole.get(..whole.len() - secret.len())?;
        let apart = before.is_empty() || before.ends_with(['.', '_', '-']);
        (apart && tail.eq_ignore_ascii_case(secret)).then_some(tail)
    })?;
    let bearer = name.eq_ignore_ascii_case("bearer");
    let rest = text.get(name_end..)?;
    // JSON inside a string escapes its quotes.
    let value = rest.trim_start_matches(['"', '\'', ' ', '\\']);
    let value = match value.strip_prefix([':', '=']) {
        Some(value) => value.trim_start_matches(['"', '\'', ' ', '\\']),
        // A name in running text announces nothing: "the password is wrong".
        None if bearer && rest.starts_with(' ') => value,
        None => return None,
    };
    // "Authorization: Bearer …" names the scheme first.
    let value = match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => value.get(7..)?,
        _ => value,
    };
    let end = value
        .find(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ',' | ';' | '<' | '}' | '\\')
        })
        .unwrap_or(value.len());
    // "token password: wrong." is prose; a bearer token is long.
    if end == 0 || bearer && end < WEB_TOKEN {
        return None;
    }
    let start = text.len() - value.len();
    Some((start, start + end))
}

#[cfg(test)]
mod tests {
    use super::{NAMES, mask, mask_each};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        /// What is looked through fast comes to the same as what is looked for at each place.
        #[test]
        fn nothing_is_overlooked(parts in prop::collection::vec(part(), 0..8)) {
            let text = parts.concat();
            prop_assert_eq!(mask(&text), mask_each(&text));
        }
    }

    /// Texts with the makings of secrets, most often near enough.
    fn part() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
            prop::sample::select(NAMES.to_vec()).prop_map(str::to_uppercase),
            "[:=\"' \\\\]{1,4}",
            "eyJ[A-Za-z0-9._-]{0,30}",
            "[A-Za-z0-9._~+-]{100,200}",
            "[A-Za-z0-9/+=]{100,200}",
            "[ -~]{0,30}",
            "\\PC{0,10}",
        ]
    }

    #[test]
    fn the_last_letters_of_the_names_are_the_ones_looked_for() {
        for name in NAMES {
            assert!(name.ends_with(['n', 't', 'd', 'y', 'r', 'l']), "{name}");
        }
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
