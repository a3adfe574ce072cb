//! Where the secrets of a text are.

use super::names::{self, Kind, Scheme, Spoken};
use super::shape::{self, is_evidence, is_id, looks_opaque};
use super::spelling::{Origin, Plain};
use super::{MASK, look};
use std::collections::HashMap;
use std::ops::Range;

/// How much may stand between a name and an opaque value, as written.
pub(super) const OPAQUE_GAP: usize = 24;

/// How far from the scheme of an address a password may end, as written.
pub(super) const USERINFO: usize = 256;

/// The shortest secret that is told behind its name without a sign.
const SECRET: usize = 24;

/// The shortest token in place of a user.
const USER_TOKEN: usize = 16;

/// How many brackets and quotes may end a value.
const CLOSERS: usize = 8;

/// How far a form goes on behind a blank in a value.
const FORM: usize = 256;

/// The longest word that is looked for backwards or ahead.
pub(super) const WORD: usize = 64;

/// The longest tag, and the farthest that `value=` may be from `name=`.
const TAG: usize = 1024;

/// The shortest token behind a scheme that nothing announces: names of hosts and ciphers are
/// shorter. A user's name and password take fewer characters.
const SCHEME_TOKEN: usize = 18;
const BASIC_TOKEN: usize = 8;

/// How much of a value is looked at to see whether it is opaque.
const BEGINNING: usize = 512;

/// What follows `-----BEGIN RSA PRIVATE`.
pub(super) const PRIVATE_KEY: &[u8] = b" KEY-----";

/// A line of a token that goes on in the next one has at least so many characters.
const FOLDED_LINE: usize = 60;

/// The places of the secrets, in their order.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let plain = Plain::of(text);
    let mut finder = Finder {
        text: text.as_bytes(),
        plain: &plain,
        pending: None,
        closers: None,
        run_end: 0,
        base64_end: 0,
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < plain.bytes.len() {
        match finder.secret_at(at) {
            Some(secret) => {
                found.push(plain.written(&secret));
                at = secret.end.max(at + 1);
            }
            None => at += 1,
        }
    }
    found
}

struct Finder<'a> {
    text: &'a [u8],
    plain: &'a Plain,
    /// A secret ahead, announced by what may have others between.
    pending: Option<Range<usize>>,
    /// Where the end tags of each name start.
    closers: Option<HashMap<Vec<u8>, Vec<usize>>>,
    /// Up to here runs of token characters and of base64 were looked at.
    run_end: usize,
    base64_end: usize,
}

impl Finder<'_> {
    fn byte(&self, at: usize) -> u8 {
        look(1);
        self.plain.byte(at)
    }

    fn origin(&self, at: usize) -> Origin {
        self.plain.origin(at)
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.plain.bytes.get(range).unwrap_or_default()
    }

    fn from(&self, at: usize) -> &[u8] {
        self.plain.bytes.get(at..).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.plain.bytes.len()
    }

    /// The first place from here on that is none of these bytes.
    fn skip(&self, at: usize, these: fn(u8) -> bool) -> usize {
        let run = self.from(at).iter().take_while(|b| these(**b)).count();
        look(run);
        at + run
    }

    /// The secret that starts or is announced here.
    fn secret_at(&mut self, at: usize) -> Option<Range<usize>> {
        if let Some(pending) = &self.pending
            && pending.start <= at
        {
            let pending = self.pending.take()?;
            if pending.start == at {
                return Some(pending);
            }
        }
        match self.byte(at) {
            b':' => self
                .announced(at)
                .or_else(|| self.userinfo(at))
                .or_else(|| self.as_written(at, bare_userinfo))
                .or_else(|| self.as_written(at, hashes)),
            b'=' => self.announced(at),
            b' ' => self.behind_blank(at),
            b'<' => {
                self.element(at);
                None
            }
            _ => self.token(at),
        }
    }

    /// A token that nothing needs to announce.
    fn token(&mut self, at: usize) -> Option<Range<usize>> {
        let rest = self.from(at);
        let is_start = at >= self.run_end;
        let mut web_tokens = shape::WEB_TOKEN_STARTS.iter();
        if web_tokens.any(|start| rest.starts_with(start)) {
            let beginning = rest.get(..shape::WEB_TOKEN).unwrap_or_default();
            let is_long = shape::token_run(beginning) == shape::WEB_TOKEN;
            let is_plain = is_start && beginning.starts_with(b"eyJ");
            if is_long && (is_plain || shape::is_encoded_json(beginning)) {
                let end = self.skip(at, |b| shape::is_token_byte(b) || shape::is_base64_byte(b));
                return Some(at..self.folded(at, end));
            }
        }
        if is_start {
            // Tokens of personal accounts have the last three.
            self.run_end = self.skip(at, |b| {
                shape::is_token_byte(b) || matches!(b, b'!' | b'*' | b'$')
            });
            let run = at..self.run_end;
            if self.is_opaque_token(&run) {
                return Some(run);
            }
        }
        // Standard base64 holds slashes, as a path does: only without any dot is it taken for one.
        if at >= self.base64_end {
            let end = self.skip(at, shape::is_base64_byte);
            let run = at..self.folded(at, end);
            self.base64_end = run.end;
            if self.is_opaque_token(&run) {
                return Some(run);
            }
        }
        None
    }

    fn is_opaque_token(&self, run: &Range<usize>) -> bool {
        run.len() >= shape::OPAQUE_TOKEN
            && shape::is_opaque_token(self.bytes(run.clone()))
            && self.is_written_in_run(run)
    }

    /// Whether the fast look takes this for a run, too.
    fn is_written_in_run(&self, run: &Range<usize>) -> bool {
        let written = self.text.get(self.plain.written(run)).unwrap_or_default();
        written.iter().all(|b| shape::is_written_in_run(*b))
    }

    /// Where a token ends that goes on in the next lines.
    fn folded(&self, start: usize, end: usize) -> usize {
        let (mut start, mut end) = (start, end);
        while let Some(line) = self.next_line(end) {
            let next = self.skip(line, is_blank);
            let run = self.skip(next, |b| {
                shape::is_token_byte(b) || shape::is_base64_byte(b)
            });
            let word = self.bytes(next..run);
            let is_pair = word
                .trim_ascii_end()
                .iter()
                .rev()
                .skip_while(|b| **b == b'=');
            let is_alone = !matches!(self.byte(run), b' ' | b'\t' | b':')
                && !is_pair.into_iter().any(|b| *b == b'=');
            let goes_on = end - start >= FOLDED_LINE || next > line && looks_opaque(word, 8);
            // `invalid_grant` is a word of its own, as codes and IDs are.
            let is_symbol = |b: &u8| b.is_ascii_lowercase() || *b == b'_';
            let is_symbol = word.contains(&b'_') && word.iter().all(is_symbol);
            if word.is_empty() || !is_alone || !goes_on || is_symbol || is_id(word) {
                break;
            }
            (start, end) = (next, run);
        }
        end
    }

    /// Where the next line starts, if a line ends here.
    fn next_line(&self, at: usize) -> Option<usize> {
        match self.from(at) {
            [b'\r', b'\n', ..] => Some(at + 2),
            [b'\r' | b'\n', ..] => Some(at + 1),
            _ => None,
        }
    }

    /// The value behind a colon or an equals sign that follows a telling name.
    fn announced(&mut self, sign: usize) -> Option<Range<usize>> {
        let before = self.bytes(0..sign);
        let fillers = before.iter().rev().take_while(|b| is_filler(**b)).count();
        let name_end = sign - fillers;
        let name = names::without_number(self.bytes(0..name_end));
        let Some(kind) = names::telling_kind(name) else {
            let is_value = ends_with_word(name, b"value");
            return is_value.then(|| self.value_before_name(sign)).flatten();
        };
        let is_quoted = self.bytes(name_end..sign).iter().any(|b| is_quote(*b));
        match behind_sign(kind) {
            Kind::Name => {
                self.named(sign);
                None
            }
            Kind::Credentials => self.credentials(sign),
            Kind::Challenge => self.challenge(sign),
            Kind::Cookies => self.cookies(sign, is_quoted),
            // Another spelling of the quote is no such name to the fast look.
            Kind::Mixed if !self.is_written_behind_quote(name_end - 1) => None,
            kind => self.value(sign, kind, is_quoted),
        }
    }

    /// Whether a quote is written before a letter, both as they are.
    fn is_written_behind_quote(&self, letter: usize) -> bool {
        let origin = self.origin(letter);
        let quote = origin.start().checked_sub(1);
        origin.is_raw() && quote.and_then(|quote| self.text.get(quote)) == Some(&b'"')
    }

    /// The value in `"value":"…","name":"password"`.
    fn value_before_name(&self, sign: usize) -> Option<Range<usize>> {
        let open = self.value_start(sign)?;
        let quote = self.byte(open);
        if !is_quote(quote) {
            return None;
        }
        let escaped = self.origin(open).escaped;
        let mut places = open + 1..self.len().min(open + FORM);
        let closes = |at: &usize| self.byte(*at) == quote && self.origin(*at).escaped <= escaped;
        let end = places.find(closes)?;
        let rest = self.bytes(end..self.len().min(end + FORM));
        let object = rest
            .iter()
            .take_while(|b| !matches!(b, b'<' | b'>' | b'{' | b'}' | b'[' | b']' | b'\n'));
        let object = rest.get(..object.count())?;
        let mut signs = memchr::memchr2_iter(b':', b'=', object);
        let is_named = signs.any(|at| {
            let before = object.get(..at).unwrap_or_default();
            let fillers = before.iter().rev().take_while(|b| is_filler(**b)).count();
            let word = before.get(..at - fillers).unwrap_or_default();
            let name = object.get(at + 1..).unwrap_or_default();
            let name = name.get(name.iter().take_while(|b| is_filler(**b)).count()..);
            let name = name.unwrap_or_default();
            let length = name.iter().take_while(|b| is_name_byte(**b)).count();
            let kind = name.get(..length).and_then(names::telling_kind);
            let is_whole = name.get(length).is_some_and(|b| is_quote(*b));
            ends_with_word(word, b"name")
                && is_whole
                && matches!(kind, Some(Kind::Any | Kind::Tied))
        });
        let value = open + 1..end;
        (is_named && !is_id(self.bytes(value.clone()))).then_some(value)
    }

    fn value(&self, sign: usize, kind: Kind, is_quoted: bool) -> Option<Range<usize>> {
        let start = self.value_start(sign)?;
        let is_adjacent =
            self.byte(sign) == b'=' && !self.byte(sign + 1).is_ascii_whitespace() && sign > 0;
        let is_tied = is_quoted
            || is_quote(self.byte(start))
            || is_adjacent && !is_blank(self.byte(sign - 1))
            || self.is_switch(sign)
            || kind == Kind::Tied && self.is_line(sign, start);
        let is_whole = matches!(kind, Kind::Any | Kind::Said) || kind == Kind::Tied && is_tied;
        let value = match self.byte(start) {
            quote if is_quote(quote) => self.quoted(start),
            b'[' | b'{'
                if is_whole
                    && !matches!(kind, Kind::Said | Kind::Pair)
                    && !self.is_masked(start) =>
            {
                self.ending(start, self.bracketed(start), sign)
            }
            _ if is_whole => {
                let word = self.unquoted(start, sign);
                let is_report = is_evidence(self.bytes(word.clone())) || self.is_duration(&word);
                let end = (!is_report)
                    .then(|| self.with_blanks(sign, &word))
                    .flatten();
                word.start..end.unwrap_or(word.end)
            }
            // What it looks like shows at its beginning: names in a row are not read to the end
            // each.
            _ => self.beginning(start, sign),
        };
        let text = self.bytes(value.clone());
        let is_near = || {
            let gap = self.origin(start).written_from(self.origin(sign));
            gap <= OPAQUE_GAP && self.is_written_in_run(&value)
        };
        let is_opaque = matches!(kind, Kind::Opaque(_));
        let is_prose = !is_tied && is_blank(self.byte(sign + 1)) && shape::is_prose(text);
        if value.is_empty()
            || is_prose
            || !self.is_secret(text, kind, is_tied)
            || is_opaque && !is_near()
            || is_bracket(self.byte(start)) && shape::is_report(text)
            || self.is_duration(&value)
        {
            return None;
        }
        Some(match is_quote(self.byte(start)) || is_whole {
            true => value,
            false => self.unquoted(start, sign),
        })
    }

    fn is_secret(&self, value: &[u8], kind: Kind, is_tied: bool) -> bool {
        look(value.len());
        match kind {
            Kind::Tied if is_tied => !is_id(value),
            Kind::Tied => looks_opaque(value, 12),
            Kind::Pair => value.contains(&b':') && !is_id(value),
            Kind::Mixed => shape::looks_generated(value),
            Kind::Said => shape::is_no_word(value) && !is_evidence(value),
            Kind::Opaque(least) => looks_opaque(value, least) && !shape::is_symbol(value),
            Kind::Number => {
                let is_number = value.len() >= 4 && value.iter().all(u8::is_ascii_digit);
                let is_code = value.len() >= 6 && shape::has_letters_and_digits(value);
                (is_number || is_code || is_tied) && !is_evidence(value)
            }
            _ => !is_evidence(value),
        }
    }

    /// Whether the name before a colon is a switch of a command line: `/pass:…`.
    fn is_switch(&self, colon: usize) -> bool {
        let name = self.bytes(0..colon).iter().rev().take(WORD);
        let name = name.take_while(|b| b.is_ascii_alphanumeric()).count();
        let is_alone = |before: usize| before == 0 || is_blank(self.byte(before - 1));
        let slash = (colon - name).checked_sub(1);
        let is_dash = |at: usize| matches!(self.byte(at), b'/' | b'-') && is_alone(at);
        !is_blank(self.byte(colon + 1)) && name > 0 && slash.is_some_and(is_dash)
    }

    /// Whether a line has only a name and a word that is like a password: no prose.
    fn is_line(&self, sign: usize, start: usize) -> bool {
        let name = self.bytes(0..sign).iter().rev().take(WORD);
        let name = name
            .take_while(|b| is_name_byte(**b) || is_blank(**b))
            .count();
        let before = self.byte((sign - name).wrapping_sub(1));
        let word = self.from(start).iter().take(WORD);
        let word = word.take_while(|b| **b > b' ').count();
        let next = self.byte(start + word);
        matches!(before, 0 | b'\n')
            && matches!(next, 0 | b'\r' | b'\n')
            && shape::looks_like_password(self.bytes(start..start + word))
    }

    /// Where a value with blanks ends: before the next pair of a form, or at the end of a line that
    /// another field follows. Elsewhere prose may stand behind the blank.
    fn with_blanks(&self, sign: usize, word: &Range<usize>) -> Option<usize> {
        let blank = word.end;
        if !is_blank(self.byte(blank)) || self.origin(sign).percent > 0 {
            return None;
        }
        let name = self.bytes(0..sign).iter().rev().take(WORD);
        let name = name
            .take_while(|b| is_name_byte(**b) || is_blank(**b))
            .count();
        let before = self.byte((sign - name).wrapping_sub(1));
        let mut line = self.from(blank).iter().take(FORM);
        match self.byte(sign) {
            b'=' if matches!(before, b'&' | b'?') => {
                let ends = |b: &u8| is_quote(*b) || matches!(b, b'&' | b'<' | b'\r' | b'\n' | 0);
                let end = blank + line.position(ends)?;
                (self.byte(end) == b'&' && self.is_pair(end + 1, b"=")).then_some(end)
            }
            b':' if matches!(before, 0 | b'\n') => {
                let ends = |b: &u8| is_quote(*b) || matches!(b, b'<' | b'\r' | b'\n' | 0);
                let end = blank + line.position(ends)?;
                let next = self.next_line(end)?;
                // A line of mere words is prose.
                let mut words = self.bytes(word.start..end).split(|b| is_blank(*b));
                let is_whole = self.origin(end).escaped == 0 && words.any(shape::is_no_word);
                (is_whole && self.is_field(self.skip(next, is_blank))).then_some(end)
            }
            _ => None,
        }
    }

    /// Whether a number here counts days or characters: `password: 42 days`.
    fn is_duration(&self, value: &Range<usize>) -> bool {
        let units = [&b" day"[..], b" hour", b" minute", b" character"];
        value.len() <= 3
            && self.bytes(value.clone()).iter().all(u8::is_ascii_digit)
            && units
                .iter()
                .any(|unit| self.from(value.end).starts_with(unit))
    }

    /// Where the value starts behind a sign; on the next line if it goes on there.
    fn value_start(&self, sign: usize) -> Option<usize> {
        // A bar or an angle bracket begins a block in YAML.
        let is_skipped = |b| matches!(b, b' ' | b'\t' | b'=' | b':' | b'>' | b'|');
        let mut at = self.skip(sign + 1, is_skipped);
        if let Some(line) = self.next_line(at) {
            at = self.skip(line, is_blank);
            let word_end = self.skip(at, |b| !b.is_ascii_whitespace() && b != 0);
            let word = self.bytes(at..word_end);
            let rest = word.iter().rev().skip_while(|b| **b == b'=');
            // The next line has a name of its own, or is prose.
            let is_pair = rest.into_iter().any(|b| matches!(b, b':' | b'='));
            let is_alone = !is_blank(self.byte(word_end));
            if word.is_empty() || is_pair || at == line && !is_alone {
                return None;
            }
        }
        (at < self.len()).then_some(at)
    }

    /// What is between the quote here and the next like it. A quote in the text is escaped once
    /// more, or doubled.
    fn quoted(&self, open: usize) -> Range<usize> {
        let quote = self.byte(open);
        let outer = self.origin(open);
        let closes = |at: usize| {
            let origin = self.origin(at);
            self.byte(at) == quote
                && origin.escaped <= outer.escaped
                && origin.percent <= outer.percent
        };
        let mut start = open + 1;
        // In CSV all quotes of a value are doubled.
        let doubled = closes(start) && {
            let next = self.byte(start + 1);
            !(next == 0 || next.is_ascii_whitespace() || b",;&}])>/?".contains(&next))
        };
        start += usize::from(doubled);
        let mut at = start;
        while at < self.len() {
            if closes(at) {
                let is_literal = !doubled && at > start && closes(at + 1);
                if !is_literal {
                    break;
                }
                at += 1;
            }
            at += 1;
        }
        start..at.min(self.len())
    }

    /// A list or an object, up to its end.
    fn bracketed(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        let mut at = open;
        while at < self.len() {
            match self.byte(at) {
                quote if is_quote(quote) => at = self.quoted(at).end,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
        at.min(self.len())
    }

    /// A value without quotes. What ends it at the sign's level of encoding does, not deeper.
    fn unquoted(&self, start: usize, sign: usize) -> Range<usize> {
        match self.is_masked(start) {
            true => self.ending(start, start + MASK.len(), sign),
            false => self.ending(start, start, sign),
        }
    }

    /// The value from its start to where it ends, which is here or later.
    fn ending(&self, start: usize, mut at: usize, sign: usize) -> Range<usize> {
        let percent = self.origin(sign).percent;
        let mut line = start;
        loop {
            while at < self.len() && !self.ends_value(at, percent) {
                at += 1;
            }
            match self.folded(line, at) {
                end if end > at => (line, at) = (end, end),
                _ => return start..at,
            }
        }
    }

    /// As much of a value without quotes as shows what it looks like.
    fn beginning(&self, start: usize, sign: usize) -> Range<usize> {
        let percent = self.origin(sign).percent;
        let mut places = start..self.len().min(start + BEGINNING);
        let end = places.find(|at| self.ends_value(*at, percent));
        start..end.unwrap_or(self.len().min(start + BEGINNING))
    }

    fn ends_value(&self, at: usize, percent: u8) -> bool {
        let byte = self.byte(at);
        if byte == 0 {
            return true;
        }
        if byte.is_ascii_alphanumeric() || self.origin(at).percent > percent {
            return false;
        }
        let next = self.byte(at + 1);
        let is_last = || next == 0 || next.is_ascii_whitespace();
        match byte {
            b'\r' if next == b'\n' => true,
            _ if byte.is_ascii_whitespace() => self.origin(at).escaped == 0,
            b'&' => is_last() || is_quote(next) || self.is_pair(at + 1, b"=:"),
            b',' | b';' => {
                is_last()
                    || is_quote(next)
                    || matches!(next, b'{' | b'[')
                    || self.is_pair(at + 1, b"=:")
            }
            b'"' | b'\'' | b'`' => {
                // Doubled in CSV, or between the charset and the value.
                let same = self.from(at).iter().take(4);
                let same = same.take_while(|b| **b == byte).count();
                self.is_behind_value(at + same)
            }
            b'}' | b']' | b')' | b'>' => self.is_behind_value(at + 1),
            b'<' => next == b'/' || next == b'!' || self.is_tag(at + 1),
            _ => false,
        }
    }

    /// Whether what is here can follow the bracket or quote that ends a value. A password may have
    /// brackets and signs in a row, too.
    fn is_behind_value(&self, at: usize) -> bool {
        let closers = self.from(at).iter().take(CLOSERS);
        let closers = closers.take_while(|b| b"}])>\"'`".contains(b)).count();
        let at = at + closers;
        let (byte, next) = (self.byte(at), self.byte(at + 1));
        let is_last = next == 0 || next.is_ascii_whitespace() || is_quote(next);
        match byte {
            0 | b'<' | b'\\' => true,
            b',' | b';' | b'&' => is_last || is_bracket(next) || self.is_pair(at + 1, b"=:"),
            b':' | b'.' => is_last,
            _ => byte.is_ascii_whitespace() || closers == CLOSERS || is_bracket(byte),
        }
    }

    /// Whether this was masked before.
    fn is_masked(&self, at: usize) -> bool {
        self.from(at).starts_with(MASK.as_bytes())
    }

    /// Whether a name and one of these signs are here, or were before they were masked.
    fn is_pair(&self, at: usize, signs: &[u8]) -> bool {
        let word = self.from(at).iter().take(WORD);
        let name = word.take_while(|b| is_name_byte(**b)).count();
        name > 0 && signs.contains(&self.byte(at + name)) || self.is_masked(at)
    }

    /// Whether a line begins with the name of a field, of one word or more.
    fn is_field(&self, at: usize) -> bool {
        let line = self.from(at).iter().take(WORD);
        let name = line
            .take_while(|b| is_name_byte(**b) || **b == b' ')
            .count();
        let is_spoken = self.byte(at + name) == b':' && is_blank(self.byte(at + name + 1));
        self.is_pair(at, b":") || name > 0 && is_spoken
    }

    /// Whether the name of a tag is here, or was before it was masked.
    fn is_tag(&self, at: usize) -> bool {
        let word = self.from(at).iter().take(WORD);
        let name = word
            .take_while(|b| is_name_byte(**b) || **b == b':')
            .count();
        name > 0 && matches!(self.byte(at + name), b'>' | b'/' | b' ') || self.is_masked(at)
    }

    /// What follows a header's name, its folded lines included, or is between its quotes.
    fn header(&self, sign: usize) -> Option<Range<usize>> {
        let start = self.value_start(sign)?;
        if is_quote(self.byte(start)) {
            return Some(self.quoted(start));
        }
        if matches!(self.byte(start), b'[' | b'{') && !self.is_masked(start) {
            return Some(start..self.bracketed(start));
        }
        if self.byte(sign) == b'=' {
            return Some(self.unquoted(start, sign));
        }
        let percent = self.origin(sign).percent;
        let mut is_open = false;
        let mut at = start;
        while at < self.len() && self.byte(at) != 0 {
            if let Some(line) = self.next_line(at)
                && self.origin(at).percent <= percent
            {
                let next = self.skip(line, is_blank);
                let is_field = self.is_field(next);
                if next == line || is_field || self.next_line(next).is_some() {
                    break;
                }
                at = next;
                continue;
            }
            // A quote that opens no parameter ends the text around the header.
            if self.byte(at) == b'"' {
                match is_open {
                    true => is_open = false,
                    false if self.byte(at.saturating_sub(1)) == b'=' => is_open = true,
                    false => break,
                }
            }
            at += 1;
        }
        Some(start..self.trimmed_end(start, at))
    }

    fn trimmed_end(&self, start: usize, end: usize) -> usize {
        start + self.bytes(start..end).trim_ascii_end().len()
    }

    /// What follows a header for credentials: the scheme, if it is known, stays.
    fn credentials(&self, sign: usize) -> Option<Range<usize>> {
        let start = self.value_start(sign)?;
        let start = self.skip(start, |b| b == b'+');
        let is_quoted = is_quote(self.byte(start));
        let word = start + usize::from(is_quoted);
        let ends = |b: u8| b.is_ascii_whitespace() || b == b'+' || is_quote(b);
        let letters = self.from(word).iter().take(WORD);
        let word = word..word + letters.take_while(|b| !ends(**b)).count();
        let scheme = names::scheme(self.bytes(word.clone()));
        let refusal = self.bytes(word.clone());
        let is_status = refusal.len() == 3 && refusal.iter().all(u8::is_ascii_digit);
        let is_refusal =
            is_status || is_evidence(refusal) || refusal.eq_ignore_ascii_case(b"access");
        if scheme.is_none() && is_refusal {
            return None;
        }
        let rest = self.skip(word.end, |b| b.is_ascii_whitespace() || b == b'+');
        let secret = match scheme {
            Some(Scheme::Token) if !is_quoted => self.unquoted(rest, sign),
            Some(_) => rest..self.header(sign)?.end,
            None => self.header(sign)?,
        };
        (secret.start < secret.end && !is_evidence(self.bytes(secret.clone()))).then_some(secret)
    }

    fn challenge(&self, sign: usize) -> Option<Range<usize>> {
        let mut start = self.value_start(sign)?;
        start += usize::from(is_quote(self.byte(start)));
        let scheme = self.skip(start, |b| b.is_ascii_alphanumeric() || b == b'-');
        let blob = self.skip(scheme, is_blank);
        (blob > scheme)
            .then(|| self.blob(blob, SCHEME_TOKEN))
            .flatten()
    }

    /// A token behind a scheme; a parameter is none.
    fn blob(&self, start: usize, least: usize) -> Option<Range<usize>> {
        let is_part = |b| shape::is_token_byte(b) || b == b'/';
        let end = self.skip(start, is_part);
        let padded = self.skip(end, |b| b == b'=');
        let ends = padded == end
            || !matches!(self.byte(padded), b'"' | b'\'' | b'[')
                && !self.byte(padded).is_ascii_alphanumeric();
        let token = self.bytes(start..padded);
        let is_token = looks_opaque(token, least) && !shape::is_symbol(token);
        let is_principal = self.byte(padded) == b'@';
        (ends && is_token && !is_principal).then(|| start..self.folded(start, padded))
    }

    fn cookies(&self, sign: usize, is_quoted: bool) -> Option<Range<usize>> {
        let line = self.from(sign + 1).iter().take(TAG);
        let mut line = line.take_while(|b| !matches!(b, b'\r' | b'\n'));
        if !line.any(|b| *b == b'=') {
            return self.value(sign, Kind::Tied, is_quoted);
        }
        let mut header = self.header(sign)?;
        // Behind the value of the last one there is no cookie.
        let text = self.bytes(header.clone());
        if let Some(last) = memchr::memrchr(b'=', text.trim_ascii_end()) {
            let value = text.get(last..).unwrap_or_default().iter();
            let value = value.take_while(|b| !b.is_ascii_whitespace()).count();
            let is_last = text
                .get(..last + value)
                .is_some_and(|text| text.ends_with(b","));
            header.end = match is_last {
                true => header.start + last + value - 1,
                false => header.end,
            };
        }
        let is_secret = !header.is_empty() && !is_evidence(self.bytes(header.clone()));
        is_secret.then_some(header)
    }

    /// The password in `https://user:password@host`.
    fn userinfo(&self, colon: usize) -> Option<Range<usize>> {
        if !self.from(colon).starts_with(b"://") {
            return None;
        }
        let start = colon + 3;
        let percent = self.origin(colon).percent;
        let is_near = |at: &usize| self.origin(*at).written_from(self.origin(colon)) <= USERINFO;
        let (mut end, mut is_encoded) = (None, false);
        for at in (start..self.len()).take_while(is_near) {
            let is_deep = self.origin(at).percent > percent;
            match self.byte(at) {
                b'@' if self.origin(at).is_short() && !(is_deep && is_encoded) => end = Some(at),
                // A password may hold them, if they are encoded.
                b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' if is_deep => is_encoded = true,
                0..=b' ' | b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' => break,
                _ => {}
            }
        }
        let end = end?;
        let user = self.bytes(start..end);
        if !user.contains(&b':') {
            let is_token = looks_opaque(user, USER_TOKEN) && !shape::is_symbol(user);
            return is_token.then_some(start..end);
        }
        let password = start + user.iter().take_while(|b| **b != b':').count() + 1;
        let is_secret = password < end
            && !is_evidence(self.bytes(password..end))
            && !self.is_port(start..password, password..end);
        is_secret.then_some(password..end)
    }

    /// What is looked for behind a colon as it is written.
    fn as_written(
        &self,
        colon: usize,
        look: fn(&[u8], usize) -> Option<Range<usize>>,
    ) -> Option<Range<usize>> {
        let origin = self.origin(colon);
        let secret = origin.is_raw().then(|| look(self.text, origin.start()))??;
        Some(self.place(colon, secret.start)..self.place(colon, secret.end))
    }

    /// The place of what is written here, which is behind another place.
    fn place(&self, from: usize, written: usize) -> usize {
        let mut places = from..self.len();
        let place = places.find(|at| self.origin(*at).start() >= written);
        place.unwrap_or(self.len())
    }

    /// Whether what looks like a user and a password is a host and its port:
    /// `https://sts.contoso.com:443;dana@contoso.com`.
    fn is_port(&self, user: Range<usize>, password: Range<usize>) -> bool {
        let password = self.bytes(password);
        let port = password.iter().take_while(|b| b.is_ascii_digit()).count();
        (1..=5).contains(&port)
            && matches!(password.get(port), Some(b',' | b';'))
            && self.bytes(user).contains(&b'.')
    }

    /// Behind a blank: a scheme's token, a private key, a password on a command line or in prose.
    fn behind_blank(&self, blank: usize) -> Option<Range<usize>> {
        let before = self.bytes(0..blank);
        let written = self.text.get(self.origin(blank).start());
        if written.is_none_or(|b| !b.is_ascii()) {
            return None;
        }
        match names::spoken(before)?.0 {
            Spoken::Token => self
                .quoted_token(blank)
                .or_else(|| self.token_option(blank)),
            Spoken::Scheme => self.scheme_token(blank),
            Spoken::PrivateKey => self.private_key(blank),
            Spoken::Password => self.spoken_password(blank),
        }
    }

    /// The token behind a scheme without a header.
    fn scheme_token(&self, blank: usize) -> Option<Range<usize>> {
        let start = self.skip(blank, is_blank);
        let least = match ends_with_word(self.bytes(0..blank), b"basic") {
            true => BASIC_TOKEN,
            false => SCHEME_TOKEN,
        };
        if let Some(blob) = self.blob(start, least) {
            return Some(blob);
        }
        // A bearer's token may look like anything, but is long.
        let end = self.skip(start, |b| shape::is_token_byte(b) || b == b'/');
        let run = self.bytes(start..end);
        let is_long = run.len() >= shape::WEB_TOKEN && self.byte(end) != b'=';
        let is_bearer = ends_with_word(self.bytes(0..blank), b"bearer");
        (is_bearer && is_long && !is_id(run)).then_some(start..end)
    }

    /// The token in `refresh token '…'`.
    fn quoted_token(&self, blank: usize) -> Option<Range<usize>> {
        let origin = self.origin(blank);
        let rest = self.text.get(origin.start()..).unwrap_or_default();
        // Keys are quoted by their IDs.
        let is_key = ends_with_word(self.bytes(0..blank), b"key");
        if !origin.is_raw() || !is_quote_behind(rest) || is_key {
            return None;
        }
        let end = self.skip(blank + 2, |b| !b.is_ascii_whitespace() && !is_quote(b));
        let token = blank + 2..end;
        let text = self.bytes(token.clone());
        let is_token = is_quote(self.byte(end)) && looks_opaque(text, 16);
        (is_token && !shape::is_symbol(text)).then_some(token)
    }

    /// The token or key in `-AccessToken …`.
    fn token_option(&self, blank: usize) -> Option<Range<usize>> {
        let before = self.bytes(0..blank);
        let (_, name) = names::spoken(before)?;
        option(before, name)?;
        if !matches!(names::telling_kind(before)?, Kind::Any | Kind::Tied)
            || !self.origin(blank).is_raw()
        {
            return None;
        }
        let start = self.skip(blank, is_blank);
        let value = match is_quote(self.byte(start)) {
            true => self.quoted(start),
            false => self.unquoted(start, blank),
        };
        let text = self.bytes(value.clone());
        (!text.is_empty() && !text.starts_with(b"-") && !is_id(text)).then_some(value)
    }

    /// A password on a command line or in prose.
    fn spoken_password(&self, blank: usize) -> Option<Range<usize>> {
        if !self.origin(blank).is_raw() {
            return None;
        }
        let written = self.origin(blank).start();
        let rest = self.text.get(written..).unwrap_or_default();
        let announcement = password_announcement(self.bytes(0..blank), rest)?;
        let length = match announcement {
            Announcement::Is(length) => length,
            _ => 1,
        };
        let is_option = matches!(announcement, Announcement::Option);
        let behind = self.place(blank, written + length);
        let start = self.skip(behind, is_blank);
        if is_quote(self.byte(start)) {
            let value = self.quoted(start);
            let text = self.bytes(value.clone());
            let is_prose = matches!(announcement, Announcement::Quote) && !shape::is_no_word(text);
            let is_secret = !value.is_empty() && !is_prose && !is_evidence(text);
            return is_secret.then_some(value);
        }
        // What a command in parentheses returns: `(ConvertTo-SecureString "…")`.
        let line = self.from(start).iter().take(FORM);
        let line = line
            .take_while(|b| !matches!(b, b')' | b'\r' | b'\n'))
            .count();
        let value = match self.byte(start) {
            b'(' if is_option && self.byte(start + line) == b')' => start + 1..start + line,
            _ => self.unquoted(start, blank),
        };
        let text = self.bytes(value.clone());
        let is_secret = match is_option {
            true => !text.starts_with(b"-") && !is_evidence(text),
            false if matches!(announcement, Announcement::Word) => {
                looks_opaque(text, SECRET) && !shape::is_symbol(text)
            }
            false => shape::looks_like_password(text),
        };
        (is_secret && !value.is_empty()).then_some(value)
    }

    /// The lines between `-----BEGIN … PRIVATE KEY-----` and its end.
    fn private_key(&self, blank: usize) -> Option<Range<usize>> {
        let recent = self.bytes(blank.saturating_sub(WORD)..blank);
        let begin = memchr::memmem::rfind(recent, b"-----")?;
        if !recent.get(begin..)?.starts_with(b"-----BEGIN")
            || !self.from(blank).starts_with(PRIVATE_KEY)
        {
            return None;
        }
        let start = self.skip(blank + PRIVATE_KEY.len(), |b| b.is_ascii_whitespace());
        let rest = self.from(start);
        let length = memchr::memmem::find(rest, b"-----END").unwrap_or(rest.len());
        look(length);
        let end = self.trimmed_end(start, start + length);
        (start < end && !is_evidence(self.bytes(start..end))).then_some(start..end)
    }

    /// The value that belongs to `name="password"`: of the same element or object, the element's
    /// text, or the part of a form.
    fn named(&mut self, sign: usize) {
        let Some(start) = self.value_start(sign) else {
            return;
        };
        let quote = self.byte(start);
        let start = self.skip(start, is_filler);
        let mut name = self.skip(start, is_name_byte);
        if is_quote(quote) {
            // `Token Broker` is no token.
            let words = self.from(start).iter().take(WORD);
            let is_part = |b: &&u8| is_name_byte(**b) || matches!(b, b' ' | b':' | b'/');
            let words = words.take_while(is_part);
            name = start + words.count();
        }
        let kind = match names::telling_kind(self.bytes(start..name).trim_ascii_end()) {
            Some(kind) if !matches!(kind, Kind::Name | Kind::Element) => kind,
            _ => return,
        };
        // Of a tag or a form, not of prose.
        let is_attribute = self.byte(sign) == b'=';
        let mut at = name;
        while at < self.len().min(name + TAG) {
            match self.byte(at) {
                // Of an arrow.
                b'>' if matches!(self.byte(at - 1), b'=' | b'-') => {}
                b'>' if is_attribute => return self.expect_text(at + 1, kind),
                b'[' if self.byte(at + 1) == b']' => at += 1,
                b'{' if self.byte(at + 1) == b'}' => at += 1,
                b'<' | b'{' | b'}' | b'[' | b']' => return,
                b'\r' | b'\n' => {
                    let Some(line) = self.next_line(at) else {
                        return;
                    };
                    if let Some(body) = self.next_line(line) {
                        if !is_attribute {
                            return;
                        }
                        let rest = match kind {
                            Kind::Any | Kind::Tied => self.from(body),
                            _ => self.bytes(body..self.len().min(body + TAG)),
                        };
                        let end = memchr::memmem::find(rest, b"\n--").unwrap_or(rest.len());
                        look(end);
                        return self.expect(body..body + end, kind);
                    }
                    at = line;
                    continue;
                }
                b'=' | b':' => {
                    let before = self.bytes(name..at);
                    let fillers = before.iter().rev().take_while(|b| is_filler(**b));
                    let word = before.get(..before.len() - fillers.count());
                    let word = word.unwrap_or_default();
                    let is_value = [&b"value"[..], b"content", b"text"]
                        .iter()
                        .any(|name| ends_with_word(word, name));
                    if is_value {
                        let kind = match kind {
                            Kind::Tied => Kind::Any,
                            kind => kind,
                        };
                        self.pending = self.value(at, kind, true);
                        return;
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Has the text of an element masked, or that of the first element in it.
    fn expect_text(&mut self, mut at: usize, kind: Kind) {
        let first = self.skip(at, |b| b.is_ascii_whitespace());
        if self.is_start_tag(first) {
            let tag = self.from(first).iter().take(WORD);
            at = first + tag.take_while(|b| **b != b'>').count() + 1;
        }
        let end = match kind {
            Kind::Any | Kind::Tied => self.skip(at, |b| b != b'<'),
            // Not worth a search without bounds.
            _ => at + self.tag_end(at),
        };
        self.expect(at..end, kind);
    }

    /// What belongs to `<Key>password</Key>`: the text of the next element.
    fn named_by_element(&mut self, content: usize) {
        let content = self.skip(content, |b| b.is_ascii_whitespace());
        let name = self.skip(content, is_name_byte);
        let kind = match names::telling_kind(self.bytes(content..name)) {
            Some(kind) if !matches!(kind, Kind::Name | Kind::Element) => kind,
            _ => return,
        };
        let name = self.skip(name, |b| b.is_ascii_whitespace());
        if self.from(name).starts_with(b"</") {
            let tag = self.from(name).iter().take(WORD);
            let end = name + tag.take_while(|b| **b != b'>').count() + 1;
            // Its type may stand between.
            let siblings = self.bytes(end..self.len().min(end + FORM));
            let values = [&b"<Value>"[..], b"<value>"].into_iter();
            let value = values
                .filter_map(|value| memchr::memmem::find(siblings, value))
                .min();
            self.expect_text(end + value.unwrap_or(0), kind);
        }
    }

    fn is_start_tag(&self, at: usize) -> bool {
        self.byte(at) == b'<' && self.byte(at + 1).is_ascii_alphabetic()
    }

    /// How far the next tag is, or as far as is looked.
    fn tag_end(&self, at: usize) -> usize {
        let rest = self.from(at).iter().take(TAG);
        rest.take_while(|b| **b != b'<').count()
    }

    /// Has this range masked when it is reached, without the blanks around it.
    fn expect(&mut self, range: Range<usize>, kind: Kind) {
        let text = self.bytes(range.clone());
        let start = range.start + (text.len() - text.trim_ascii_start().len());
        let end = self.trimmed_end(start, range.end);
        let text = self.bytes(start..end);
        if start < end
            && self.is_secret(text, kind, true)
            && !(text.starts_with(b"<") && shape::is_report(text))
        {
            self.pending = Some(start..end);
        }
    }

    /// The text of an element whose name announces a secret, or an attribute's.
    fn element(&mut self, open: usize) {
        let start = open + 1;
        if is_clixml(self.from(start)) {
            return self.named(self.skip(start, |b| b != b'='));
        }
        if is_input(self.from(start)) {
            return self.input(start);
        }
        let tag = self.from(start).iter().take(WORD);
        let name = tag.take_while(|b| is_name_byte(**b) || **b == b':').count();
        let name = start..start + name;
        let is_local = |b: &u8| *b != b':';
        let local = self
            .bytes(name.clone())
            .iter()
            .rev()
            .take_while(|b| is_local(b));
        let local = name.end - local.count()..name.end;
        let kind = match names::telling_kind(self.bytes(local)) {
            None => return,
            Some(kind) => kind,
        };
        let tag = self.from(name.end).iter().take(TAG);
        let Some(end) = tag.clone().position(|b| matches!(b, b'>' | b'<')) else {
            return;
        };
        let end = name.end + end;
        if self.byte(end) != b'>' || self.byte(end - 1) == b'/' {
            return self.value_attribute(name.end..end, kind);
        }
        let content = end + 1;
        if kind == Kind::Name {
            return self.named_by_element(content);
        }
        match self.closer(&name, content) {
            Some(close) => self.expect(content..close, kind),
            // The rest was cut off. A placeholder in prose has a blank behind it.
            None if self.is_start_tag(content) => {
                if matches!(kind, Kind::Any | Kind::Tied) {
                    self.expect(content..self.len(), kind);
                }
            }
            None if matches!(self.byte(content), b'\r' | b'\n') => {
                let line = self.skip(content, |b| b.is_ascii_whitespace());
                let end = self.skip(line, |b| !matches!(b, b'\r' | b'\n' | b'<'));
                if !self.bytes(line..end).contains(&b' ') {
                    self.expect(line..end, kind);
                }
            }
            None if !self.byte(content).is_ascii_whitespace() => {
                let close = self.skip(content, |b| b != b'<');
                self.expect(content..close, kind);
            }
            None => {}
        }
    }

    /// The value in `<input type="password" value="…">`.
    fn input(&mut self, start: usize) {
        let tag = self.from(start).iter().take(TAG);
        let tag = start..start + tag.take_while(|b| !matches!(b, b'<' | b'>')).count();
        let mut words = self.bytes(tag.clone()).split(|b| is_quote(*b));
        if words.any(|word| names::telling_kind(word) == Some(Kind::Any)) {
            self.value_attribute(tag, Kind::Any);
        }
    }

    /// The value in `<Password Value="…"/>`.
    fn value_attribute(&mut self, tag: Range<usize>, kind: Kind) {
        let text = self.bytes(tag.clone());
        let signs = memchr::memchr_iter(b'=', text);
        let sign = signs
            .map(|sign| tag.start + sign)
            .find(|sign| ends_with_word(self.bytes(tag.start..*sign), b"value"));
        if let Some(sign) = sign
            && kind != Kind::Name
        {
            self.pending = self.value(sign, kind, true);
        }
    }

    /// Where the next end tag of this name starts.
    fn closer(&mut self, name: &Range<usize>, from: usize) -> Option<usize> {
        let name = self.bytes(name.clone()).to_ascii_lowercase();
        let plain = self.plain;
        let closers = self.closers.get_or_insert_with(|| {
            let mut closers: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
            for start in memchr::memmem::find_iter(&plain.bytes, b"</") {
                let name = plain.bytes.get(start + 2..).unwrap_or_default().iter();
                let name = name
                    .take(WORD)
                    .take_while(|b| is_name_byte(**b) || **b == b':')
                    .map(u8::to_ascii_lowercase);
                closers.entry(name.collect()).or_default().push(start);
            }
            closers
        });
        let places = closers.get(&name)?;
        let next = places.partition_point(|place| *place < from);
        places.get(next).copied()
    }
}

/// The password in `user:password@host:8080`, `//user:password@host` or behind the name of a proxy,
/// as written. Without any of these it would be an address behind a name.
pub(super) fn bare_userinfo(text: &[u8], colon: usize) -> Option<Range<usize>> {
    let (before, rest) = text.split_at_checked(colon)?;
    let (_, after) = rest.split_first()?;
    let first = *after.first()?;
    if !before.last()?.is_ascii_alphanumeric()
        || !first.is_ascii_graphic()
        || matches!(first, b'/' | b'"' | b'\'' | b'\\')
    {
        return None;
    }
    let is_end = |b: u8| b <= b' ' || is_quote(b) || b"/<>(,;&|\\".contains(&b);
    // Most colons have no at sign near them.
    let near = after.get(..=WORD).unwrap_or(after);
    let length = memchr::memchr(b'@', near)?;
    let (password, host) = after.split_at_checked(length)?;
    let host = host.strip_prefix(b"@")?;
    if password.iter().any(|b| is_end(*b)) {
        return None;
    }
    let user = before.iter().rev().take(WORD);
    let user = user.take_while(|b| is_name_byte(**b) || **b == b'\\');
    let head = before.get(..colon - user.count())?;
    let name = host.iter().take(WORD).take_while(|b| is_name_byte(**b));
    let (name, port) = host.split_at_checked(name.count())?;
    let has_port = name.contains(&b'.') && matches!(port, [b':', b'0'..=b'9', ..]);
    let proxy = head
        .len()
        .checked_sub(6)
        .and_then(|start| head.get(start..));
    let is_proxy = proxy.is_some_and(|proxy| proxy.eq_ignore_ascii_case(b"proxy="));
    let is_secret = !password.is_empty() && !is_id(password);
    let start = colon + 1;
    (is_secret && (has_port || is_proxy || head.ends_with(b"//"))).then_some(start..start + length)
}

/// The LM and NT hash behind a user's number: `Administrator:500:…:…:::`.
pub(super) fn hashes(text: &[u8], colon: usize) -> Option<Range<usize>> {
    let hashes = text.get(colon + 1..colon + 66)?;
    let user = text.get(..colon)?.iter().rev().take(WORD);
    let mut user = user.skip_while(|b| b.is_ascii_digit());
    if user.next() != Some(&b':') {
        return None;
    }
    let (lm, rest) = hashes.split_at_checked(32)?;
    let [b':', nt @ ..] = rest else {
        return None;
    };
    let is_hash = |hash: &[u8]| hash.iter().all(u8::is_ascii_hexdigit);
    (is_hash(lm) && is_hash(nt)).then_some(colon + 1..colon + 66)
}

/// What a name says about the value behind its sign.
pub(super) fn behind_sign(kind: Kind) -> Kind {
    match kind {
        // Elements of this name are secrets; elsewhere only keys are.
        Kind::Element => Kind::Opaque(32),
        kind => kind,
    }
}

/// Whether the tag of a field of a form begins here.
pub(super) fn is_input(tag: &[u8]) -> bool {
    tag.starts_with(b"input ") || tag.starts_with(b"INPUT ")
}

/// Whether the tag of a string in PowerShell's XML begins here: `<S N="Password">`.
pub(super) fn is_clixml(tag: &[u8]) -> bool {
    tag.starts_with(b"S N=") || tag.starts_with(b"SS N=")
}

/// Whether a quote follows a blank.
pub(super) fn is_quote_behind(rest: &[u8]) -> bool {
    matches!(rest, [_, b'"' | b'\'' | b'`', ..])
}

/// How a password is spoken of.
pub(super) enum Announcement {
    /// `--password …`
    Option,
    /// `password is …`: the value is so far behind the blank.
    Is(usize),
    /// `password "…"`
    Quote,
    /// `client secret …`
    Word,
}

/// Whether what is before and, as written, from a blank on speaks of a password.
pub(super) fn password_announcement(before: &[u8], rest: &[u8]) -> Option<Announcement> {
    let (_, start) = names::spoken(before)?;
    for verb in [&b" is "[..], b" was ", b" ist "] {
        if rest.starts_with(verb) {
            return Some(Announcement::Is(verb.len()));
        }
    }
    // As `reg query` shows it.
    let value = rest.trim_ascii_start();
    if value.starts_with(b"REG_SZ ") {
        return Some(Announcement::Is(rest.len() - value.len() + 7));
    }
    // Whose it is: `password for dana@contoso.com: …`.
    for preposition in [&b" for "[..], b" of ", b" ("] {
        if rest.starts_with(preposition) {
            let line = rest.iter().take(WORD);
            let length = line
                .take_while(|b| !matches!(b, b':' | b'\r' | b'\n'))
                .count();
            if matches!(rest.get(length..), Some([b':', b' ', ..])) {
                return Some(Announcement::Is(length + 2));
            }
        }
    }
    if let Some(option) = option(before, start) {
        return Some(option);
    }
    if is_quote_behind(rest) {
        return Some(Announcement::Quote);
    }
    let word = rest.get(1..).unwrap_or_default().iter().take(SECRET);
    let word = word.take_while(|b| shape::is_token_byte(**b)).count();
    (word == SECRET).then_some(Announcement::Word)
}

/// Whether a name that starts here is an option of a command line.
pub(super) fn option(before: &[u8], start: usize) -> Option<Announcement> {
    let head = before.get(..start)?.iter().rev().take(WORD);
    let word = head.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let word = before.get(start - word.count()..)?;
    let outer = before.get(..before.len() - word.len())?.last();
    let dash = word.iter().position(|b| *b == b'-')?;
    let is_option = match outer {
        // The end of an escape stands before the dash.
        Some(b'%' | b'\\') => dash <= 5,
        _ => dash == 0,
    };
    is_option.then_some(Announcement::Option)
}

fn ends_with_word(text: &[u8], word: &[u8]) -> bool {
    let start = text.len().checked_sub(word.len());
    start.is_some_and(|start| {
        let tail = text.get(start..).unwrap_or_default();
        let before = text.get(..start).and_then(<[u8]>::last);
        tail.eq_ignore_ascii_case(word) && before.is_none_or(|b| !b.is_ascii_alphanumeric())
    })
}

/// What may stand between a name and its sign.
pub(super) fn is_filler(byte: u8) -> bool {
    is_quote(byte)
        || is_blank(byte)
        || matches!(byte, b'\\' | b'[' | b']' | b'.' | b'*' | b'\r' | b'\n')
}

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

fn is_bracket(byte: u8) -> bool {
    matches!(byte, b'[' | b'{')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A character of a name.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$')
}
