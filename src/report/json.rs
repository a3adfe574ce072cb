//! The report as JSON, safe to look at in a terminal.

use super::build::event_and_mark;
use super::{DiagnosisReport, MachineReport, Members, Report, Time, Windows};
use crate::base::terminal::is_unsafe;
use crate::base::time::Filetime;
use crate::base::time::fraction;
use crate::conclude::window::{Mark, Member, Via};
use crate::event::{Event, Header};
use rayon::prelude::*;
use serde::ser::{self, Serialize, Serializer};
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// How much text is gathered before it is handed on.
const BUFFER: usize = 1 << 17;
/// How many windows make a part of the report, where several threads write it.
const SHARE: usize = 8;
/// How many parts a thread writes before they are handed on, in their order.
const PARTS: usize = 16;
/// How deep a window stands: report, machines, machine, windows.
const WINDOW_DEPTH: usize = 4;

/// Writes the report as indented JSON and a line end.
///
/// # Errors
///
/// Those of the writer.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut json = Json {
        machines: report.machines.iter(),
        sink: Some(Sink { out, error: None }),
        ..Json::default()
    };
    let result = report.serialize(&mut json);
    json.text.push(b'\n');
    json.flush();
    match json.sink.and_then(|sink| sink.error) {
        Some(error) => Err(error),
        None => result.map_err(io::Error::other),
    }
}

/// Writes a piece of a string with what could steer a terminal escaped.
pub(super) fn escaped<W: ?Sized + Write>(text: &str, out: &mut W) -> io::Result<()> {
    // Controls below 0x20 never get here: JSON escapes them itself.
    if text.bytes().all(|b| b.is_ascii() && b != 0x7f) {
        return out.write_all(text.as_bytes());
    }
    let mut rest = text;
    while let Some(at) = rest.find(is_unsafe) {
        let (safe, from) = rest.split_at(at);
        out.write_all(safe.as_bytes())?;
        let mut characters = from.chars();
        if let Some(character) = characters.next() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        rest = characters.as_str();
    }
    out.write_all(rest.as_bytes())
}

/// Writes values as serde_json's pretty formatter does, in a fraction of the time: that asks for
/// every byte of every name and value by itself.
#[derive(Default)]
struct Json<'a> {
    text: Vec<u8>,
    depth: usize,
    /// Machines that are not begun yet.
    machines: std::slice::Iter<'a, MachineReport<'a>>,
    /// What is written as itself of the window that is about to begin.
    window: Option<WindowParts<'a>>,
    known: Known<'a>,
    /// Where in the text those values of the last event or diagnosis stand that others of its kind
    /// do not share.
    varying: Vec<Range<usize>>,
    /// The second of the last event and its digits: the next is likely of the same.
    second: Option<(i64, [u8; 20])>,
    /// Where the text goes; a part of the report is kept.
    sink: Option<Sink<'a>>,
}

struct WindowParts<'a> {
    diagnosis: Option<DiagnosisReport<'a>>,
    events: Members<'a>,
    related: Members<'a>,
}

struct Sink<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl Sink<'_> {
    fn write(&mut self, text: &[u8]) {
        if self.error.is_none() {
            self.error = self.out.write_all(text).err();
        }
    }
}

/// The texts that are made once. Most of a report are events, and what the failures mean.
#[derive(Default)]
struct Known<'a> {
    /// By the place that the kind of event has.
    events: Vec<Option<Box<EventShape<'a>>>>,
    /// Each with what stands ahead of the summary and behind it.
    diagnoses: Vec<(DiagnosisReport<'a>, Pieces)>,
}

/// What stands ahead of each varying value, and behind the last.
struct Pieces {
    text: Vec<u8>,
    /// Where each ends, and the next one starts.
    ends: Vec<usize>,
}

impl Pieces {
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let pieces = starts.zip(&self.ends);
        pieces.map(|(from, to)| self.text.get(from..*to).unwrap_or_default())
    }
}

/// How many kinds of event are remembered, and of how much text.
const EVENTS: usize = 1 << 12;
const MOST_TEXT: usize = 1 << 11;
/// How many diagnoses are: there are hardly more rules.
const DIAGNOSES: usize = 64;

/// What events of one kind have in common: all but time, record ID and values.
struct EventShape<'a> {
    header: &'a Header,
    mark: Mark,
    via: Via,
    pieces: Pieces,
}

impl<'a> EventShape<'a> {
    fn is_of(&self, event: &Event, mark: Mark, via: Via) -> bool {
        // A header is there once, and as long as the report.
        std::ptr::eq(self.header, &*event.header)
            && (self.mark, self.via) == (mark, via)
            && self.pieces.ends.len() == event.data().len() + 3
    }

    /// Where events of the kind find it. Another kind may have the place too, and takes it.
    fn place(event: &Event, mark: Mark, via: Via) -> usize {
        (event.event_id as usize * 16 + via as usize * 2 + usize::from(mark.failure)) % EVENTS
    }
}

/// Whether all but the summary is the same.
fn means_the_same(one: &DiagnosisReport<'_>, other: &DiagnosisReport<'_>) -> bool {
    let why = |of: &DiagnosisReport<'_>| (of.rule, of.because, of.class, of.stage, of.cause);
    why(one) == why(other) && one.next_steps == other.next_steps && one.sources == other.sources
}

impl<'a> Json<'a> {
    fn flush(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink.write(&self.text);
            self.text.clear();
        }
    }

    fn flush_if_full(&mut self) {
        if self.text.len() > BUFFER {
            self.flush();
        }
    }

    fn windows(&mut self, windows: &'a Windows<'a>) -> fmt::Result {
        self.begin(b'[');
        let threads = rayon::current_num_threads();
        if threads == 1 || windows.len() < 2 * SHARE {
            self.some_windows(windows, 0..windows.len())?;
        } else {
            self.flush();
            self.in_parts(windows, threads * PARTS);
        }
        self.end(windows.is_empty(), b']');
        Ok(())
    }

    /// The windows on all threads: while as many parts are handed on, the next are written.
    fn in_parts(&mut self, windows: &'a Windows<'a>, count: usize) {
        let depth = self.depth;
        // Each thread takes one and puts it back.
        let known: Mutex<Vec<Known<'a>>> = Mutex::default();
        let all = || known.lock().unwrap_or_else(PoisonError::into_inner);
        let write = |parts: &mut [Vec<u8>], begun: usize| {
            let numbered = parts.par_iter_mut().enumerate();
            numbered.for_each(|(number, text)| {
                let from = windows.len().min(begun + number * SHARE);
                let to = windows.len().min(from + SHARE);
                text.clear();
                // It may have held a window as long as a log.
                text.shrink_to(2 * BUFFER);
                let mut json = Json {
                    text: std::mem::take(text),
                    depth,
                    known: all().pop().unwrap_or_default(),
                    ..Json::default()
                };
                // Nothing in it fails.
                let _ = json.some_windows(windows, from..to);
                *text = json.text;
                all().push(json.known);
            });
        };
        let (mut written, mut next) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for begun in (0..windows.len()).step_by(SHARE * count) {
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| write(&mut next, begun));
                self.hand_on(&written);
            });
            std::mem::swap(&mut written, &mut next);
        }
        self.hand_on(&written);
    }

    fn hand_on(&mut self, parts: &[Vec<u8>]) {
        if let Some(sink) = &mut self.sink {
            parts.iter().for_each(|text| sink.write(text));
        }
    }

    fn some_windows(&mut self, windows: &'a Windows<'a>, which: Range<usize>) -> fmt::Result {
        for place in which {
            let Some(window) = windows.get(place) else {
                break;
            };
            self.flush_if_full();
            self.member(place == 0);
            self.window = Some(WindowParts {
                diagnosis: window.diagnosis.clone(),
                events: window.events,
                related: window.related,
            });
            window.serialize(&mut *self)?;
        }
        Ok(())
    }

    fn members(&mut self, members: Members<'a>) -> fmt::Result {
        self.begin(b'[');
        let mut empty = true;
        for (event, mark, member) in members.marked() {
            self.flush_if_full();
            self.member(empty);
            empty = false;
            self.event(event, mark, member)?;
        }
        self.end(empty, b']');
        Ok(())
    }

    /// An event: the first of its kind is written as any value, of the others what varies.
    fn event(&mut self, event: &'a Event, mark: Mark, member: Member) -> fmt::Result {
        self.known.events.resize_with(EVENTS, || None);
        let place = EventShape::place(event, mark, member.via);
        let shape = self.known.events.get_mut(place).and_then(Option::take);
        let shape = match shape.filter(|shape| shape.is_of(event, mark, member.via)) {
            Some(shape) => {
                let mut pieces = shape.pieces.iter();
                self.piece(pieces.next());
                self.time(event.written())?;
                self.piece(pieces.next());
                self.number(event.record_id);
                for (_, value) in event.data().iter() {
                    self.piece(pieces.next());
                    self.string(value);
                }
                self.piece(pieces.next());
                drop(pieces);
                Some(shape)
            }
            None => {
                let report = event_and_mark(event, mark, member.event(), Some(member.via));
                self.in_pieces(&report)?.map(|pieces| {
                    Box::new(EventShape {
                        header: &event.header,
                        mark,
                        via: member.via,
                        pieces,
                    })
                })
            }
        };
        if let Some(place) = self.known.events.get_mut(place) {
            *place = shape;
        }
        Ok(())
    }

    /// What a window means, likewise.
    fn diagnosis(&mut self, diagnosis: &DiagnosisReport<'a>) -> fmt::Result {
        let mut known = std::mem::take(&mut self.known.diagnoses);
        let alike = known.iter().find(|(of, _)| means_the_same(of, diagnosis));
        if let Some((_, pieces)) = alike {
            let mut pieces = pieces.iter();
            self.piece(pieces.next());
            self.string(diagnosis.summary);
            self.piece(pieces.next());
        } else if let Some(pieces) = self.in_pieces(diagnosis)?
            && known.len() < DIAGNOSES
        {
            known.push((diagnosis.clone(), pieces));
        }
        self.known.diagnoses = known;
        Ok(())
    }

    /// Writes a value, and gives the text around what varies in it, unless it is long.
    fn in_pieces<T: Serialize>(&mut self, value: &T) -> Result<Option<Pieces>, fmt::Error> {
        let before = std::mem::take(&mut self.text);
        value.serialize(&mut *self)?;
        let text = std::mem::replace(&mut self.text, before);
        self.text.extend_from_slice(&text);
        let starts = self.varying.iter().map(|value| value.start);
        let ends = self.varying.iter().map(|value| value.end);
        let between = [0].into_iter().chain(ends).zip(starts.chain([text.len()]));
        let pieces = between.map(|(from, to)| text.get(from..to).unwrap_or_default());
        let mut known = Pieces {
            text: Vec::new(),
            ends: Vec::new(),
        };
        for piece in pieces {
            known.text.extend_from_slice(piece);
            known.ends.push(known.text.len());
        }
        known.text.shrink_to_fit();
        Ok((known.text.len() < MOST_TEXT).then_some(known))
    }

    fn piece(&mut self, piece: Option<&[u8]>) {
        self.text.extend_from_slice(piece.unwrap_or_default());
    }

    /// Ahead of a member or an element.
    fn member(&mut self, first: bool) {
        if !first {
            self.text.push(b',');
        }
        self.line();
    }

    fn line(&mut self) {
        let end = self.text.len() + 1 + 2 * self.depth;
        // Cut from more blanks than are asked for, which takes no call.
        self.text
            .extend_from_slice(b"\n                               ");
        self.text.resize(end, b' ');
    }

    fn begin(&mut self, open: u8) {
        // What is deeper is part of a window, or of as little as one.
        if self.depth <= WINDOW_DEPTH {
            self.flush_if_full();
        }
        self.text.push(open);
        self.depth += 1;
    }

    fn parts(&mut self, open: u8, of: Of<'a>) -> Parts<'_, 'a> {
        self.begin(open);
        Parts {
            json: self,
            empty: true,
            of,
        }
    }

    fn end(&mut self, empty: bool, close: u8) {
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.text.push(close);
    }

    /// Log text may hold characters that steer a terminal and that JSON lets stand: they are
    /// written as `\uXXXX`, which every JSON reader takes for the same character.
    fn string(&mut self, text: &str) {
        self.text.push(b'"');
        let mut rest = text;
        loop {
            let (plain, others) = rest.split_at(plain_length(rest.as_bytes()));
            self.text.extend_from_slice(plain.as_bytes());
            let mut others = others.chars();
            match others.next() {
                Some(character) => self.character(character),
                None => break,
            }
            rest = others.as_str();
        }
        self.text.push(b'"');
    }

    fn character(&mut self, character: char) {
        let short = match character {
            '"' | '\\' => character as u8,
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            _ if is_unsafe(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to memory does not fail.
                    let _ = write!(self.text, "\\u{unit:04x}");
                }
                return;
            }
            _ => {
                let mut bytes = [0; 4];
                let plain = character.encode_utf8(&mut bytes);
                return self.text.extend_from_slice(plain.as_bytes());
            }
        };
        self.text.extend_from_slice(&[b'\\', short]);
    }

    fn time(&mut self, written: Filetime) -> fmt::Result {
        let (second, ticks) = written.seconds();
        let known = self.second.filter(|(known, _)| *known == second);
        let time = || Time(written.time());
        self.second = known.or_else(|| Some((second, time().second()?)));
        let Some((_, digits)) = &self.second else {
            return time().serialize(self);
        };
        self.text.push(b'"');
        self.text.extend_from_slice(digits);
        self.text.extend_from_slice(&fraction(ticks));
        self.text.push(b'"');
        Ok(())
    }

    fn number(&mut self, number: u64) {
        let mut digits = [b'0'; 20];
        let (mut rest, mut length) = (number, 0);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            length += 1;
            if rest == 0 {
                break;
            }
        }
        let digits = digits.get(20 - length..).unwrap_or_default();
        self.text.extend_from_slice(digits);
    }
}

/// How many bytes JSON and a terminal take as they are, up to the first that they may not.
fn plain_length(bytes: &[u8]) -> usize {
    const BLOCK: usize = 16;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    for (number, block) in blocks.iter().enumerate() {
        if let Some(at) = first_special(block) {
            return number * BLOCK + at;
        }
    }
    // What is left is looked at with some of the last block, or with blanks.
    let (last, start) = match bytes.last_chunk() {
        Some(last) => (*last, bytes.len() - BLOCK),
        None => {
            let mut last = [b' '; BLOCK];
            last.iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = *from);
            (last, 0)
        }
    };
    first_special(&last).map_or(bytes.len(), |at| start + at)
}

/// Where the first byte is that is beyond ASCII, a control, a quote or a backslash: all bytes at
/// once, each of which tells it in its high bit.
#[inline(always)]
fn first_special(block: &[u8; 16]) -> Option<usize> {
    let mut told = *block;
    for byte in &mut told {
        let is = |other: u8| (*byte ^ other).wrapping_sub(1);
        *byte |= byte.wrapping_sub(b' ') | byte.wrapping_add(1) | is(b'"') | is(b'\\');
    }
    let told = u128::from_le_bytes(told) & (u128::MAX / 0xff * 0x80);
    (told != 0).then(|| told.trailing_zeros() as usize / 8)
}

/// An object or array that is being written.
struct Parts<'j, 'a> {
    json: &'j mut Json<'a>,
    empty: bool,
    of: Of<'a>,
}

/// What of an object is not written as any value.
enum Of<'a> {
    Machine(&'a MachineReport<'a>),
    Window(WindowParts<'a>),
    Event,
    Value,
    Diagnosis,
    Other,
}

impl Parts<'_, '_> {
    fn member(&mut self) {
        self.json.member(self.empty);
        self.empty = false;
    }

    /// A value that others of the kind do not share.
    fn varying<T: ?Sized + Serialize>(&mut self, value: &T) -> fmt::Result {
        let start = self.json.text.len();
        value.serialize(&mut *self.json)?;
        self.json.varying.push(start..self.json.text.len());
        Ok(())
    }
}

impl ser::SerializeSeq for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> fmt::Result {
        self.member();
        value.serialize(&mut *self.json)
    }

    fn end(self) -> fmt::Result {
        self.json.end(self.empty, b']');
        Ok(())
    }
}

impl ser::SerializeStruct for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> fmt::Result {
        self.member();
        // The names of the wire format have nothing to escape.
        let text = &mut self.json.text;
        text.push(b'"');
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(b"\": ");
        match (&self.of, key) {
            (Of::Machine(machine), "windows") => self.json.windows(&machine.windows),
            (Of::Window(window), "events") => self.json.members(window.events),
            (Of::Window(window), "related") => self.json.members(window.related),
            (Of::Window(window), "diagnosis") => match &window.diagnosis {
                Some(diagnosis) => self.json.diagnosis(diagnosis),
                None => value.serialize(&mut *self.json),
            },
            (Of::Event, "time" | "record_id")
            | (Of::Value, "value")
            | (Of::Diagnosis, "summary") => self.varying(value),
            _ => value.serialize(&mut *self.json),
        }
    }

    fn end(self) -> fmt::Result {
        self.json.end(self.empty, b'}');
        Ok(())
    }
}

/// Defines methods for numbers that are written as larger ones are.
macro_rules! numbers {
    ($($method:ident($of:ty))*) => {
        $(fn $method(self, value: $of) -> fmt::Result {
            self.serialize_u64(value.into())
        })*
    };
}

/// Defines methods for values that the wire format has none of.
macro_rules! none {
    ($($method:ident($of:ty))*) => {
        $(fn $method(self, _: $of) -> fmt::Result {
            Err(fmt::Error)
        })*
    };
}

/// Shapes that the wire format has no value of.
type Never = ser::Impossible<(), fmt::Error>;

impl<'j, 'a> Serializer for &'j mut Json<'a> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Parts<'j, 'a>;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Parts<'j, 'a>;
    type SerializeStructVariant = Never;

    fn serialize_bool(self, value: bool) -> fmt::Result {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.text.extend_from_slice(text);
        Ok(())
    }

    numbers! { serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) }

    fn serialize_u64(self, value: u64) -> fmt::Result {
        self.number(value);
        Ok(())
    }

    fn serialize_str(self, text: &str) -> fmt::Result {
        self.string(text);
        Ok(())
    }

    fn serialize_none(self) -> fmt::Result {
        self.text.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> fmt::Result {
        // The names of the wire format have nothing to escape.
        self.text.push(b'"');
        self.text.extend_from_slice(variant.as_bytes());
        self.text.push(b'"');
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'j, 'a>, fmt::Error> {
        Ok(self.parts(b'[', Of::Other))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Never, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'j, 'a>, fmt::Error> {
        let of = match name {
            "MachineReport" => self.machines.next().map(Of::Machine),
            "WindowReport" => self.window.take().map(Of::Window),
            "EventReport" => Some(Of::Event),
            "ValueReport" => Some(Of::Value),
            "DiagnosisReport" => Some(Of::Diagnosis),
            _ => None,
        };
        if let Some(Of::Event | Of::Diagnosis) = of {
            self.varying.clear();
        }
        Ok(self.parts(b'{', of.unwrap_or(Of::Other)))
    }

    none! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_f32(f32) serialize_f64(f64) serialize_char(char) serialize_bytes(&[u8])
    }

    fn serialize_unit(self) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_unit_struct(self, _: &'static str) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_tuple(self, _: usize) -> Result<Never, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Never, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, fmt::Error> {
        Err(fmt::Error)
    }
}
