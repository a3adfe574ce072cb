//! What announces a secret: names of values, and schemes of authorization.

/// What a name says about the value behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The value is a secret, whatever it looks like.
    Any,
    /// A secret if the value is tied to the name (`token=…`, `"token":"…"`). In prose
    /// (`token: not found`) only what looks opaque is one. A name of several words is prose only
    /// with blanks: `access_token: …` is none.
    Tied,
    /// What prose says that a secret is: a value that is no word.
    Said,
    /// Only an opaque value of at least so many characters is a secret.
    Opaque(usize),
    /// A number to sign in with: four digits are enough.
    Number,
    /// A scheme with credentials follows.
    Credentials,
    /// A scheme follows, which may have a token.
    Challenge,
    /// Cookies follow.
    Cookies,
    /// A secret as an element of XML only.
    Element,
    /// The value may itself be a name: `name="password" value="…"`.
    Name,
    /// A name of one letter: only what has letters of both cases and digits, and is no name of a
    /// program, is a secret.
    Mixed,
    /// A user and a password in one (`dana:…`); anything else is none.
    Pair,
    /// Says how the value is written, of the name before it: `password_raw`, `tokenValue`.
    Suffix,
    /// No secret, though a shorter name at its end tells one.
    Plain,
}

use Kind::*;

/// A name in small letters, with a blank where its words meet. Any separator or none may stand
/// there: `client_secret`, `client-secret`, `ClientSecret`, `Client Secret`.
struct Name {
    name: &'static str,
    kind: Kind,
    /// Others end like it (`bypass`, `design`): the letters before must be another word's.
    is_word: bool,
}

/// A name that may end a longer one: `new_password`, `UserPassword`.
const fn ending(name: &'static str, kind: Kind) -> Name {
    let is_word = false;
    Name {
        name,
        kind,
        is_word,
    }
}

const fn word(name: &'static str, kind: Kind) -> Name {
    let is_word = true;
    Name {
        name,
        kind,
        is_word,
    }
}

const NAMES: &[Name] = &[
    ending("pass word", Any),
    ending("pass words", Any),
    ending("pass word confirmation", Any),
    ending("pass word confirm", Any),
    ending("passwd", Any),
    ending("pwd", Any),
    ending("pass phrase", Any),
    ending("pass code", Any),
    ending("passwort", Any),
    ending("kennwort", Any),
    ending("mot de passe", Any),
    ending("contraseña", Any),
    ending("wachtwoord", Any),
    ending("lösenord", Any),
    ending("adgangskode", Any),
    ending("passord", Any),
    ending("пароль", Any),
    ending("パスワード", Any),
    ending("密码", Any),
    ending("密碼", Any),
    word("senha", Any),
    word("hasło", Any),
    word("heslo", Any),
    word("pass", Tied),
    word("pw", Tied),
    ending("access pass", Any),
    ending("user pass", Any),
    ending("db pass", Any),
    ending("proxy pass", Any),
    word("auth", Pair),
    word("credential", Tied),
    word("credentials", Tied),
    ending("pass word is", Said),
    ending("pass phrase is", Said),
    ending("pass code is", Said),
    ending("secret is", Said),
    ending("secret", Any),
    ending("secrets", Any),
    ending("client assertion", Any),
    ending("saml assertion", Any),
    ending("saml response", Any),
    ending("saml2 response", Any),
    // Unlike `dwResult`.
    word("wresult", Any),
    ending("assertion", Tied),
    // Tokens. "Invalid token" ends like "id token".
    ending("access token", Tied),
    ending("refresh token", Tied),
    ending("auth token", Tied),
    word("id token", Tied),
    ending("token", Tied),
    ending("tokens", Tied),
    ending("token hint", Tied),
    word("jwt", Tied),
    word("prt", Tied),
    word("bprt", Tied),
    ending("kerberos ticket", Tied),
    ending("bearer", Tied),
    ending("refresh token credential", Any),
    ending("device credential", Any),
    ending("client credential", Any),
    ending("client credentials", Any),
    ending("zumo auth", Any),
    // Codes to sign in with. `code` is an authorization code in a redirect, and an error's elsewhere.
    ending("device code", Any),
    ending("code verifier", Any),
    ending("authorization code", Tied),
    ending("auth code", Tied),
    ending("verification code", Number),
    ending("mfa code", Number),
    ending("pin code", Number),
    word("pin", Number),
    ending("security code", Number),
    ending("additional auth data", Number),
    word("otp", Number),
    word("otc", Number),
    word("totp", Number),
    word("code", Opaque(20)),
    // Keys.
    ending("session key", Tied),
    ending("session key jwe", Any),
    ending("client key", Tied),
    ending("message buffer", Tied),
    ending("key material", Any),
    word("psk", Tied),
    ending("sas key", Any),
    ending("primary key", Opaque(16)),
    ending("secondary key", Opaque(16)),
    ending("storage key", Opaque(16)),
    ending("workspace key", Opaque(16)),
    ending("account key", Any),
    ending("access key", Any),
    ending("secret key", Any),
    ending("api key", Any),
    ending("auth key", Any),
    ending("subscription key", Any),
    ending("functions key", Any),
    ending("private key", Tied),
    ending("encryption key", Tied),
    ending("signing key", Tied),
    ending("master key", Tied),
    ending("recovery key", Any),
    ending("shared key", Any),
    // Signatures that stand for a key.
    ending("shared access signature", Any),
    ending("signature", Opaque(16)),
    word("sig", Tied),
    // "Content hash" ends like "nt hash".
    word("nt hash", Any),
    word("lm hash", Any),
    word("ntlm hash", Any),
    ending("password hash", Tied),
    word("ntlm", Opaque(16)),
    word("ticket", Opaque(32)),
    // Cookies that sign in.
    ending("estsauth", Any),
    ending("estsauthpersistent", Any),
    ending("estsauthlight", Any),
    ending("msisauth", Any),
    ending("msisauthenticated", Any),
    ending("fedauth", Any),
    ending("aspxauth", Any),
    ending("msissignout", Any),
    ending("mspauth", Any),
    ending("rpssecauth", Any),
    ending("msaauth", Any),
    ending("cpim sso", Any),
    word("estssc", Any),
    word("esctx", Any),
    word("buid", Tied),
    word("rtfa", Tied),
    // Headers.
    ending("authorization", Credentials),
    ending("authorization header", Credentials),
    ending("authenticate", Challenge),
    ending("cookie", Cookies),
    ending("cookies", Cookies),
    // WS-Trust and XML encryption. What asks for a token holds none.
    ending("request security token", Plain),
    ending("cipher value", Any),
    ending("key value", Element),
    // The password of Windows LAPS, and parts of private keys in JSON.
    ending("\"p", Mixed),
    ending("\"k", Mixed),
    ending("\"d", Mixed),
    // Without the number of `base64`.
    word("base", Suffix),
    word("blob", Suffix),
    word("clear", Suffix),
    word("current", Suffix),
    word("new", Suffix),
    word("old", Suffix),
    word("pem", Suffix),
    word("plain", Suffix),
    word("raw", Suffix),
    word("text", Suffix),
    word("value", Suffix),
    word("name", Kind::Name),
    word("key", Kind::Name),
    word("field", Kind::Name),
    word("parameter", Kind::Name),
];

/// What follows the name of a scheme of authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// One token.
    Token,
    /// Parameters up to the line's end.
    Parameters,
}

/// What a blank makes an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// A scheme of authorization with one token.
    Scheme,
    /// A password on a command line or in prose: `--password …`, `the password is "…"`.
    Password,
    /// A token, a code or a key in quotes or on a command line: `refresh token '…'`.
    Token,
    /// The beginning of a key in PEM.
    PrivateKey,
}

const SPOKEN: &[(&str, Spoken)] = &[
    ("basic", Spoken::Scheme),
    ("bearer", Spoken::Scheme),
    ("negotiate", Spoken::Scheme),
    ("ntlm", Spoken::Scheme),
    ("kerberos", Spoken::Scheme),
    ("dpop", Spoken::Scheme),
    ("pop", Spoken::Scheme),
    ("password", Spoken::Password),
    ("passwd", Spoken::Password),
    ("pwd", Spoken::Password),
    ("passphrase", Spoken::Password),
    ("secret", Spoken::Password),
    ("token", Spoken::Token),
    ("key", Spoken::Token),
    ("authorization code", Spoken::Token),
    ("auth code", Spoken::Token),
    ("private", Spoken::PrivateKey),
];

/// Schemes that count behind a header's name only: what follows them is parameters.
const PARAMETERS: &[&str] = &[
    "digest",
    "aws4-hmac-sha256",
    "sharedkey",
    "sharedaccesssignature",
];

/// Names by their last two letters: nearly every word has others.
struct Index<const N: usize> {
    /// The first name with these letters, counted from 1; 0 if there is none.
    first: [u8; 1 << 10],
    /// The next one of each name.
    next: [u8; N],
    /// The last word of each name, of at most eight letters, and which bits of these count.
    tails: [(u64, u64); N],
}

impl<const N: usize> Index<N> {
    const fn empty() -> Index<N> {
        Index {
            first: [0; 1 << 10],
            next: [0; N],
            tails: [(0, 0); N],
        }
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "the compiler evaluates this: a mistake does not build"
    )]
    const fn with(mut self, number: usize, name: &str) -> Index<N> {
        let letters = letters(name.as_bytes());
        self.next[number] = self.first[letters];
        self.tails[number] = tail(name.as_bytes());
        self.first[letters] = number as u8 + 1;
        self
    }

    /// The number of the first name that a text may end with.
    #[inline]
    fn first(&self, text: &[u8]) -> Option<usize> {
        let first = self.first.get(letters(text)).copied().unwrap_or(0);
        usize::from(first).checked_sub(1)
    }

    /// The numbers of all names that a text may end with.
    fn numbers(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        let end = text
            .last_chunk()
            .map(|end| u64::from_be_bytes(*end) | CASES);
        let numbers = std::iter::successors(self.first(text), |number| {
            let next = self.next.get(*number).copied().unwrap_or(0);
            usize::from(next).checked_sub(1)
        });
        numbers.filter(move |number| {
            let (tail, bits) = self.tails.get(*number).copied().unwrap_or_default();
            end.is_none_or(|end| end & bits == tail)
        })
    }
}

/// The bits that tell small letters from capitals.
const CASES: u64 = 0x2020_2020_2020_2020;

/// The last word of a name, at most eight letters of it, and which bits of eight letters it takes.
const fn tail(name: &[u8]) -> (u64, u64) {
    let (mut tail, mut bits, mut shift) = (0, 0, 0);
    let mut rest = name;
    while let [before @ .., letter] = rest
        && shift < u64::BITS
        && *letter != b' '
    {
        tail |= ((*letter | 0x20) as u64) << shift;
        bits |= 0xff << shift;
        (rest, shift) = (before, shift + 8);
    }
    (tail, bits)
}

/// The last two letters, without their case, as a number; of other texts any.
#[inline]
const fn letters(text: &[u8]) -> usize {
    match text {
        [.., before, last] => ((*last & 31) as usize) << 5 | (*before & 31) as usize,
        _ => 0,
    }
}

static NAME_INDEX: Index<{ NAMES.len() }> = {
    let mut index = Index::empty();
    let (mut number, mut rest) = (0, NAMES);
    while let [name, others @ ..] = rest {
        index = index.with(number, name.name);
        (number, rest) = (number + 1, others);
    }
    index
};

static SPOKEN_INDEX: Index<{ SPOKEN.len() }> = {
    let mut index = Index::empty();
    let (mut number, mut rest) = (0, SPOKEN);
    while let [(name, _), others @ ..] = rest {
        index = index.with(number, name);
        (number, rest) = (number + 1, others);
    }
    index
};

/// Whether the text may end with a name: a cheap question that is nearly always answered by no.
#[inline]
pub(super) fn may_end_name(text: &[u8]) -> bool {
    NAME_INDEX.first(text).is_some()
}

/// Whether the text may end with what a blank makes an announcement.
#[inline]
pub(super) fn may_be_spoken(text: &[u8]) -> bool {
    SPOKEN_INDEX.first(text).is_some()
}

/// The kind of the name that a text ends with, the longest one.
pub(super) fn kind(text: &[u8]) -> Option<Kind> {
    let (kind, start) = longest(text)?;
    if kind != Suffix {
        return Some(kind);
    }
    let name = match text.get(..start)? {
        [name @ .., b'_' | b'-' | b'.' | b' '] => name,
        name => name,
    };
    let (kind, _) = longest(without_number(name))?;
    (!matches!(kind, Suffix | Element | Kind::Name | Plain | Mixed)).then_some(kind)
}

/// The kind of the longest name that a text ends with, and where it starts.
fn longest(text: &[u8]) -> Option<(Kind, usize)> {
    let found = NAME_INDEX.numbers(text).filter_map(|number| {
        let name = NAMES.get(number)?;
        let start = start_of(text, name.name)?;
        let is_prose = || text.get(start..).is_some_and(|text| text.contains(&b' '));
        let kind = match name.kind {
            Tied if name.name.contains(' ') && !is_prose() => Any,
            kind => kind,
        };
        (!name.is_word || is_boundary(text, start)).then_some((kind, start))
    });
    found.min_by_key(|(_, start)| *start)
}

/// The kind of the name that a resolved text ends with, if it tells a secret. In one that is not
/// resolved a plain name may begin with the end of an escape.
pub(super) fn telling_kind(text: &[u8]) -> Option<Kind> {
    kind(text).filter(|kind| *kind != Plain)
}

/// The text without a number at its end: `password2`, `password_2`.
#[inline]
pub(super) fn without_number(text: &[u8]) -> &[u8] {
    let digits = text.iter().rev().take(3);
    let digits = digits.take_while(|b| b.is_ascii_digit()).count();
    let name = text.get(..text.len() - digits).unwrap_or_default();
    match name {
        [name @ .., b'_' | b'-'] if digits > 0 => name,
        _ => name,
    }
}

/// What the text ends with that a blank makes an announcement, and where it starts.
pub(super) fn spoken(text: &[u8]) -> Option<(Spoken, usize)> {
    let mut found = SPOKEN_INDEX.numbers(text).filter_map(|number| {
        let (name, spoken) = SPOKEN.get(number)?;
        let start = start_of(text, name)?;
        let is_ending = matches!(spoken, Spoken::Password | Spoken::Token);
        let is_part = !is_ending && !is_boundary(text, start);
        (!is_part).then_some((*spoken, start))
    });
    found.next()
}

/// The scheme that a text ends with.
pub(super) fn scheme(text: &[u8]) -> Option<Scheme> {
    let mut parameters = PARAMETERS.iter();
    match spoken(text) {
        Some((Spoken::Scheme, _)) => Some(Scheme::Token),
        _ => parameters
            .any(|name| start_of(text, name).is_some())
            .then_some(Scheme::Parameters),
    }
}

/// Where a name starts that a text ends with, in any case and with any separators of its words.
fn start_of(text: &[u8], name: &str) -> Option<usize> {
    let mut at = text.len();
    for letter in name.bytes().rev() {
        if letter == b' ' {
            let before = text.get(..at)?;
            at -= match before {
                [.., b'%', b'2', b'0'] => 3,
                // A blank that does not break the line.
                [.., 0xc2, 0xa0] => 2,
                [.., b'_' | b'-' | b'.' | b' '] => 1,
                _ => 0,
            };
            continue;
        }
        at = at.checked_sub(1)?;
        if text.get(at)?.to_ascii_lowercase() != letter {
            return None;
        }
    }
    Some(at)
}

/// Whether a word starts here. Behind an escape (`%26sig`, `\nsig`) one does.
fn is_boundary(text: &[u8], start: usize) -> bool {
    let (Some(before), Some(first)) = (text.get(..start), text.get(start)) else {
        return false;
    };
    match before {
        [] | [.., b'%', _, _] | [.., b'\\', _] => true,
        [.., b'\\' | b'%', b'u' | b'U', _, _, _, _] | [.., b'\\', b'x' | b'X', _, _] => true,
        [.., last] if !last.is_ascii_alphanumeric() => true,
        [.., last] => first.is_ascii_uppercase() && !last.is_ascii_uppercase(),
    }
}

#[cfg(test)]
pub(super) fn all() -> Vec<&'static str> {
    let names = NAMES.iter().map(|name| name.name);
    names.chain(SPOKEN.iter().map(|(name, _)| *name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_spelt() {
        for (text, found) in [
            ("client_secret", Some(Any)),
            ("CLIENT-SECRET", Some(Any)),
            ("clientSecret", Some(Any)),
            ("Ocp-Apim-Subscription-Key", Some(Any)),
            ("api%20key", Some(Any)),
            ("UserPassword", Some(Any)),
            ("device_code", Some(Any)),
            ("error_code", Some(Opaque(20))),
            ("ErrorCode", Some(Opaque(20))),
            ("errorcode", None),
            ("subcode", None),
            ("a\\nsig", Some(Tied)),
            ("a%26sig", Some(Tied)),
            ("design", None),
            ("bypass", None),
            ("invalid_token", Some(Tied)),
            ("Access Token", Some(Tied)),
            ("access_token", Some(Any)),
            ("token_type", None),
            ("tokenEndpoint", None),
            ("PasswordExpired", None),
        ] {
            assert_eq!(kind(text.as_bytes()), found, "{text}");
        }
    }
}
