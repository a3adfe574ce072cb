//! One spelling for all: text with its percent encodings, escapes and entities resolved, and where
//! each byte of it stood.

use std::ops::Range;

/// Deeper nesting than this is left as it is.
const LAYERS: usize = 6;

/// A text as it is meant.
#[derive(Debug)]
pub(super) struct Plain {
    /// What is written, without its encodings. Beyond ASCII nothing is resolved.
    pub(super) bytes: Vec<u8>,
    origins: Vec<Origin>,
}

/// Where a byte came from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin {
    start: usize,
    end: usize,
    /// In how many layers of percent encoding it was.
    pub(super) percent: u8,
    /// In how many layers of backslashes and entities it was.
    pub(super) escaped: u8,
}

impl Origin {
    /// How many bytes there are from the end of another one to the start of this one.
    pub(super) fn written_from(self, other: Origin) -> usize {
        self.start.saturating_sub(other.end)
    }

    /// Where this is written.
    pub(super) fn start(self) -> usize {
        self.start
    }

    /// Whether this is written as it is.
    pub(super) fn is_raw(self) -> bool {
        self.end - self.start == 1
    }

    /// Whether this is written as it is, or in one layer of percent encoding.
    pub(super) fn is_short(self) -> bool {
        self.is_raw() || self.end - self.start == 3 && self.percent == 1 && self.escaped == 0
    }
}

impl Plain {
    pub(super) fn of(text: &str) -> Plain {
        let origin = |start| Origin {
            start,
            end: start + 1,
            ..Origin::default()
        };
        let mut plain = Plain {
            bytes: text.as_bytes().to_vec(),
            origins: (0..text.len()).map(origin).collect(),
        };
        for _ in 0..LAYERS {
            if !plain.resolve() {
                break;
            }
        }
        plain
    }

    /// Where these bytes stood.
    pub(super) fn written(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.origin(range.start).start;
        let last = range.end.checked_sub(1).unwrap_or(range.start);
        start..self.origin(last).end.max(start)
    }

    pub(super) fn origin(&self, at: usize) -> Origin {
        self.origins.get(at).copied().unwrap_or_default()
    }

    /// The byte here; NUL behind the end.
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Resolves one layer. Returns whether there was one.
    fn resolve(&mut self) -> bool {
        if !self
            .bytes
            .iter()
            .any(|b| is_introducer(*b) || matches!(b, 0xc2 | 0xe2 | 0xef))
        {
            return false;
        }
        let mut done = Plain {
            bytes: Vec::with_capacity(self.bytes.len()),
            origins: Vec::with_capacity(self.bytes.len()),
        };
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (byte, length) = match resolved(rest) {
                // A quote behind an escaped backslash is not escaped itself.
                Some((_, 2)) if self.origin(at + 1).escaped < self.origin(at).escaped => None,
                found => found,
            }
            .unwrap_or((self.byte(at), 1));
            let parts = self.origins.get(at..at + length).unwrap_or_default();
            let highest = |of: fn(&Origin) -> u8| parts.iter().map(of).max().unwrap_or(0);
            let introducer = match length {
                1 => 0,
                _ => self.byte(at),
            };
            done.bytes.push(byte);
            done.origins.push(Origin {
                start: self.origin(at).start,
                end: self.origin(at + length - 1).end,
                percent: highest(|part| part.percent) + u8::from(introducer == b'%'),
                escaped: highest(|part| part.escaped)
                    + u8::from(matches!(introducer, b'\\' | b'&')),
            });
            at += length;
        }
        let any = done.bytes.len() < self.bytes.len();
        *self = done;
        any
    }
}

/// Whether an encoded character may begin with this byte.
pub(super) fn is_introducer(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&')
}

/// The character that is encoded at the start of the text, and how many bytes it takes.
pub(super) fn resolved(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'%', b'u' | b'U', rest @ ..] => Some((hex(rest, 4)?, 6)),
        [b'%', rest @ ..] => Some((hex(rest, 2)?, 3)),
        [b'\\', b'u' | b'U', rest @ ..] => Some((hex(rest, 4)?, 6)),
        [b'\\', b'x' | b'X', rest @ ..] => Some((hex(rest, 2)?, 4)),
        [b'\\', b'n', ..] => Some((b'\n', 2)),
        [b'\\', b'r', ..] => Some((b'\r', 2)),
        [b'\\', b't', ..] => Some((b'\t', 2)),
        [b'\\', escaped @ (b'"' | b'\'' | b'\\' | b'/'), ..] => Some((*escaped, 2)),
        [b'&', rest @ ..] => {
            let end = rest.iter().take(8).position(|b| *b == b';')?;
            Some((entity(rest.get(..end)?)?, end + 2))
        }
        // Signs of full width, as on systems in Chinese and Japanese, and typographic quotes.
        [0xef, 0xbc, 0x9a, ..] => Some((b':', 3)),
        [0xef, 0xbc, 0x9d, ..] => Some((b'=', 3)),
        [0xe2, 0x80, 0x9c..=0x9f, ..] => Some((b'"', 3)),
        [0xe2, 0x80, 0x98..=0x9b, ..] => Some((b'\'', 3)),
        // Blanks that do not break a line, as French writes them before a colon, and of no width.
        [0xc2, 0xa0, ..] => Some((b' ', 2)),
        [0xe2, 0x80, 0x8b | 0xaf, ..] => Some((b' ', 3)),
        _ => None,
    }
}

fn entity(name: &[u8]) -> Option<u8> {
    match name {
        b"lt" => Some(b'<'),
        b"gt" => Some(b'>'),
        b"amp" => Some(b'&'),
        b"quot" => Some(b'"'),
        b"apos" => Some(b'\''),
        b"nbsp" => Some(b' '),
        b"colon" => Some(b':'),
        b"equals" => Some(b'='),
        [b'#', b'x' | b'X', digits @ ..] => hex(digits, digits.len()),
        [b'#', digits @ ..] => {
            let number = str::from_utf8(digits).ok()?.parse().ok()?;
            ascii(number)
        }
        _ => None,
    }
}

/// A character of ASCII by its hexadecimal digits.
fn hex(text: &[u8], length: usize) -> Option<u8> {
    let digits = text.get(..length).filter(|digits| !digits.is_empty())?;
    let digit = |number: u32, b: &u8| Some(number.checked_mul(16)? + char::from(*b).to_digit(16)?);
    ascii(digits.iter().try_fold(0, digit)?)
}

fn ascii(number: u32) -> Option<u8> {
    u8::try_from(number).ok().filter(u8::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_comes_to_the_same() {
        for text in [
            "a=\"b\"",
            "a%3D%22b%22",
            "a%253d%2522b%2522",
            r#"a=\"b\""#,
            r#"a=\\\"b\\\""#,
            r"a\u003d\u0022b\u0022",
            r"a\\u003d\x22b\x22",
            "a&#61;&quot;b&#x22;",
            "a%26%2361%3B&amp;quot;b\"",
            "a=“b”",
        ] {
            let plain = Plain::of(text);
            assert_eq!(str::from_utf8(&plain.bytes), Ok("a=\"b\""), "{text}");
            assert_eq!(plain.written(&(0..plain.bytes.len())), 0..text.len());
        }
        // The quote ends the string: the backslash before it is a character of it.
        let plain = Plain::of(r#""C:\\","#);
        assert_eq!(plain.origin(4).escaped, 0);
    }
}
