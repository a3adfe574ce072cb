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
}

use Kind::*;

/// Names that may end a longer one: `new_password`, `UserPassword`. A blank stands for any
/// separator or none: `client_secret`, `client-secret`, `ClientSecret`, `Client Secret`.
const ENDINGS: &[(&str, Kind)] = &[
    ("password", Any),
    ("passwd", Any),
    ("pwd", Any),
    ("passphrase", Any),
    ("passcode", Any),
    ("passwort", Any),
    ("kennwort", Any),
    ("secret", Any),
    ("secret value", Any),
    ("client assertion", Any),
    ("saml assertion", Any),
    ("saml response", Any),
    ("wresult", Any),
    ("access token", Tied),
    ("refresh token", Tied),
    ("auth token", Tied),
    ("device code", Any),
    ("code verifier", Any),
    ("authorization code", Tied),
    ("auth code", Tied),
    ("verification code", Tied),
    ("session key", Tied),
    ("account key", Any),
    ("access key", Any),
    ("api key", Any),
    ("subscription key", Any),
    ("functions key", Any),
    ("private key", Tied),
    ("recovery key", Any),
    ("shared key", Any),
    ("shared access signature", Any),
    ("refresh token credential", Any),
    ("device credential", Any),
    ("zumo auth", Any),
    ("password hash", Tied),
    // Cookies that sign in.
    ("estsauth", Tied),
    ("estsauthpersistent", Tied),
    ("estsauthlight", Tied),
    ("msisauth", Tied),
    ("msisauth1", Tied),
    ("msisauthenticated", Tied),
    ("fedauth", Tied),
    ("fedauth1", Tied),
    ("bearer", Tied),
    // Any other token, and what prose calls one.
    ("token", Tied),
    ("assertion", Tied),
    ("signature", Opaque(16)),
    ("authorization", Credentials),
    ("authenticate", Challenge),
    ("cookie", Cookies),
    ("cipher value", Element),
    ("key value", Element),
];

/// Names that are whole words: others end like them (`bypass`, `design`, `username`).
const WORDS: &[(&str, Kind)] = &[
    ("pass", Tied),
    ("prt", Tied),
    ("pin", Number),
    ("otp", Number),
    ("totp", Number),
    ("buid", Tied),
    ("rtfa", Tied),
    // "invalid token", "content hash".
    ("id token", Tied),
    ("nt hash", Any),
    ("lm hash", Any),
    ("ntlm hash", Any),
    ("ntlm", Opaque(16)),
    // `code` is an authorization code in a redirect, and an error's elsewhere.
    ("code", Opaque(20)),
    ("sig", Tied),
    ("name", Name),
    ("key", Name),
    ("field", Name),
    ("parameter", Name),
];

/// A scheme of authorization and how its credentials look.
const SCHEMES: &[(&str, Scheme)] = &[
    ("basic", Scheme::Token),
    ("bearer", Scheme::Token),
    ("negotiate", Scheme::Token),
    ("ntlm", Scheme::Token),
    ("kerberos", Scheme::Token),
    ("dpop", Scheme::Token),
    ("pop", Scheme::Token),
    ("digest", Scheme::Parameters),
    ("aws4-hmac-sha256", Scheme::Parameters),
    ("sharedkey", Scheme::Parameters),
    ("sharedaccesssignature", Scheme::Parameters),
];

/// What follows the name of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// One token.
    Token,
    /// Parameters up to the line's end.
    Parameters,
}

/// Passwords that follow their name after a blank: `--password …`, `the password is "…"`.
const SPOKEN: &[&str] = &["password", "passwd", "pwd", "passphrase", "secret"];

/// The last two letters of names, as bits by the last one: nearly every word has others.
struct Ends([u32; 32]);

impl Ends {
    const fn with(mut self, name: &str) -> Ends {
        if let [.., before, last] = name.as_bytes() {
            self.0[(*last & 31) as usize] |= 1 << (*before & 31);
        }
        self
    }

    const fn of(names: &[(&str, Kind)], mut ends: Ends) -> Ends {
        let mut rest = names;
        while let [(name, _), others @ ..] = rest {
            ends = ends.with(name);
            rest = others;
        }
        ends
    }

    #[inline]
    fn may_end(&self, text: &[u8]) -> bool {
        let [.., before, last] = text else {
            return false;
        };
        let bits = self.0.get(usize::from(last & 31)).copied().unwrap_or(0);
        bits >> (before & 31) & 1 == 1
    }
}

static NAME_ENDS: Ends = Ends::of(WORDS, Ends::of(ENDINGS, Ends([0; 32])));

static BLANK_ENDS: Ends = {
    let mut ends = Ends([0; 32]).with("private");
    let mut schemes = SCHEMES;
    while let [(name, _), others @ ..] = schemes {
        ends = ends.with(name);
        schemes = others;
    }
    let mut spoken = SPOKEN;
    while let [name, others @ ..] = spoken {
        ends = ends.with(name);
        spoken = others;
    }
    ends
};

/// Whether the text may end with a name: a cheap question that is nearly always answered by no.
#[inline]
pub(super) fn may_end_name(text: &[u8]) -> bool {
    NAME_ENDS.may_end(text)
}

/// Whether the text may end with what a blank makes an announcement.
#[inline]
pub(super) fn may_end_before_blank(text: &[u8]) -> bool {
    BLANK_ENDS.may_end(text)
}

/// The kind of the name that a text ends with, the longest one.
pub(super) fn kind(text: &[u8]) -> Option<Kind> {
    if !may_end_name(text) {
        return None;
    }
    let endings = ENDINGS.iter().map(|name| (name, false));
    let words = WORDS.iter().map(|name| (name, true));
    let found = endings.chain(words).filter_map(|((name, kind), whole)| {
        let start = start_of(text, name)?;
        let is_prose = || text.get(start..).is_some_and(|text| text.contains(&b' '));
        let kind = match kind {
            Tied if name.contains(' ') && !is_prose() => Any,
            kind => *kind,
        };
        (!whole || is_boundary(text, start)).then_some((start, kind))
    });
    found.min_by_key(|(start, _)| *start).map(|(_, kind)| kind)
}

/// The scheme that a text ends with, and where its name starts.
pub(super) fn scheme(text: &[u8]) -> Option<Scheme> {
    let mut schemes = SCHEMES.iter();
    schemes.find_map(|(name, scheme)| {
        let start = start_of(text, name)?;
        is_boundary(text, start).then_some(*scheme)
    })
}

/// Where a name starts after which a password may be spoken of.
pub(super) fn spoken(text: &[u8]) -> Option<usize> {
    SPOKEN.iter().find_map(|name| start_of(text, name))
}

/// Where a name starts that a text ends with, in any case and with any separators of its words.
fn start_of(text: &[u8], name: &str) -> Option<usize> {
    let mut at = text.len();
    for letter in name.bytes().rev() {
        if letter == b' ' {
            let before = text.get(..at)?;
            at -= match before {
                [.., b'%', b'2', b'0'] => 3,
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
        [.., b'\\', b'u', _, _, _, _] | [.., b'\\', b'x', _, _] => true,
        [.., last] if !last.is_ascii_alphanumeric() => true,
        [.., last] => first.is_ascii_uppercase() && !last.is_ascii_uppercase(),
    }
}

#[cfg(test)]
pub(super) fn all() -> Vec<&'static str> {
    let names = ENDINGS.iter().chain(WORDS).map(|(name, _)| *name);
    names.chain(SCHEMES.iter().map(|(name, _)| *name)).collect()
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
            ("token_type", None),
            ("tokenEndpoint", None),
            ("PasswordExpired", None),
        ] {
            assert_eq!(kind(text.as_bytes()), found, "{text}");
        }
    }
}
