//! The report as JSON, safe to look at in a terminal.

use super::{EventReport, MachineReport, Members, Report, Time, ViaName, Windows};
use crate::event::Header;
use crate::terminal::is_unsafe;
use rayon::prelude::*;
use serde::ser::{self, Serialize, Serializer};
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

/// How much text is gathered before it is handed on.
const BUFFER: usize = 1 << 17;
/// How many windows make a part of the report, where several threads write it.
const SHARE: usize = 16;
/// How many parts a thread writes before they are handed on, in their order.
const PARTS: usize = 4;
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
    /// The events of the window that is about to begin, and those related to it.
    window: Option<[Members<'a>; 2]>,
    shapes: Shapes<'a>,
    /// Where in the text the last event's time, record ID and own values stand.
    varying: Vec<Range<usize>>,
    /// Where the text goes; a part of the report is kept.
    sink: Option<Sink<'a>>,
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

/// Some windows' text, and what the thread that writes them goes on with.
#[derive(Default)]
struct Part<'a> {
    text: Vec<u8>,
    shapes: Shapes<'a>,
}

/// Events of one kind, by the place that the kind has.
type Shapes<'a> = Vec<Option<Box<Shape<'a>>>>;

/// How many kinds of event are remembered.
const SHAPES: usize = 1 << 11;

/// The text that events of one kind have in common. Most of a report are events.
struct Shape<'a> {
    header: &'a Header,
    failure: bool,
    housekeeping: Option<&'static str>,
    via: Option<ViaName>,
    /// What stands ahead of the time, of the record ID and of each of the event's own values, and
    /// behind the last.
    pieces: Vec<Vec<u8>>,
}

impl<'a> Shape<'a> {
    fn new(event: &EventReport<'a>, text: &[u8], varying: &[Range<usize>]) -> Shape<'a> {
        let starts = varying.iter().map(|value| value.start);
        let ends = varying.iter().map(|value| value.end);
        let between = [0].into_iter().chain(ends).zip(starts.chain([text.len()]));
        let pieces = between.map(|(from, to)| text.get(from..to).unwrap_or_default().into());
        Shape {
            header: &event.event.header,
            failure: event.failure,
            housekeeping: event.housekeeping,
            via: event.via,
            pieces: pieces.collect(),
        }
    }

    fn is_of(&self, event: &EventReport<'_>) -> bool {
        // A header is there once, and as long as the report.
        std::ptr::eq(self.header, &*event.event.header)
            && self.failure == event.failure
            && self.via == event.via
            && self.housekeeping == event.housekeeping
            && self.pieces.len() == event.data.len() + 3
    }

    /// Where events of the kind find it. Another kind may have the place too, and takes it.
    fn place(event: &EventReport<'_>) -> usize {
        let via = event.via.map_or(0, |via| via as usize);
        (event.event_id as usize * 8 + via * 2 + usize::from(event.failure)) % SHAPES
    }
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
        let parts = PARTS * rayon::current_num_threads();
        if parts == PARTS || windows.len() < 2 * SHARE {
            self.some_windows(windows, 0..windows.len())?;
        } else {
            self.flush();
            self.in_parts(windows, parts);
        }
        self.end(windows.is_empty(), b']');
        Ok(())
    }

    /// The windows on all threads: while as many parts are handed on, the next are written.
    fn in_parts(&mut self, windows: &'a Windows<'a>, count: usize) {
        let depth = self.depth;
        let write = |parts: &mut [Part<'a>], begun: usize| {
            let numbered = parts.par_iter_mut().enumerate();
            numbered.for_each(|(number, part)| {
                let from = windows.len().min(begun + number * SHARE);
                let to = windows.len().min(from + SHARE);
                let mut json = Json {
                    text: std::mem::take(&mut part.text),
                    depth,
                    shapes: std::mem::take(&mut part.shapes),
                    ..Json::default()
                };
                json.text.clear();
                // Nothing in it fails.
                let _ = json.some_windows(windows, from..to);
                (part.text, part.shapes) = (json.text, json.shapes);
            });
        };
        let (mut written, mut next) = (Vec::new(), Vec::new());
        written.resize_with(count, Part::default);
        next.resize_with(count, Part::default);
        for begun in (0..windows.len()).step_by(SHARE * count) {
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| write(&mut next, begun));
                self.hand_on(&written);
            });
            std::mem::swap(&mut written, &mut next);
        }
        self.hand_on(&written);
    }

    fn hand_on(&mut self, parts: &[Part<'_>]) {
        if let Some(sink) = &mut self.sink {
            parts.iter().for_each(|part| sink.write(&part.text));
        }
    }

    fn some_windows(&mut self, windows: &'a Windows<'a>, which: Range<usize>) -> fmt::Result {
        for place in which {
            let Some(window) = windows.get(place) else {
                break;
            };
            self.flush_if_full();
            self.member(place == 0);
            self.window = Some([window.events, window.related]);
            window.serialize(&mut *self)?;
        }
        Ok(())
    }

    fn members(&mut self, members: Members<'a>) -> fmt::Result {
        self.begin(b'[');
        let mut empty = true;
        for event in members.iter() {
            self.flush_if_full();
            self.member(empty);
            empty = false;
            self.event(&event)?;
        }
        self.end(empty, b']');
        Ok(())
    }

    /// An event: the first of its kind is written as any value, of the others what varies.
    fn event(&mut self, event: &EventReport<'a>) -> fmt::Result {
        self.shapes.resize_with(SHAPES, || None);
        let place = Shape::place(event);
        let shape = self.shapes.get_mut(place).and_then(Option::take);
        let shape = match shape.filter(|shape| shape.is_of(event)) {
            Some(shape) => {
                let mut pieces = shape.pieces.iter();
                self.piece(pieces.next());
                self.time(event.time)?;
                self.piece(pieces.next());
                self.number(event.record_id);
                for (_, value) in event.data.iter() {
                    self.piece(pieces.next());
                    self.string(value);
                }
                self.piece(pieces.next());
                shape
            }
            None => {
                let before = std::mem::take(&mut self.text);
                self.varying.clear();
                event.serialize(&mut *self)?;
                let text = std::mem::replace(&mut self.text, before);
                self.text.extend_from_slice(&text);
                Box::new(Shape::new(event, &text, &self.varying))
            }
        };
        if let Some(place) = self.shapes.get_mut(place) {
            *place = Some(shape);
        }
        Ok(())
    }

    fn piece(&mut self, piece: Option<&Vec<u8>>) {
        self.text
            .extend_from_slice(piece.map_or(&[], Vec::as_slice));
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
            ' '..='~' => return self.text.push(character as u8),
            _ => {
                let mut units = [0; 2];
                let mut bytes = [0; 4];
                if is_unsafe(character) {
                    for unit in character.encode_utf16(&mut units) {
                        // Writing to memory does not fail.
                        let _ = write!(self.text, "\\u{unit:04x}");
                    }
                } else {
                    self.text
                        .extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
                }
                return;
            }
        };
        self.text.extend_from_slice(&[b'\\', short]);
    }

    fn time(&mut self, time: Time) -> fmt::Result {
        let Some(digits) = time.digits() else {
            return time.serialize(self);
        };
        self.text.push(b'"');
        self.text.extend_from_slice(&digits);
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
    Window([Members<'a>; 2]),
    Event,
    Other,
}

impl Parts<'_, '_> {
    fn member(&mut self) {
        self.json.member(self.empty);
        self.empty = false;
    }

    /// A value that is another in each event.
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

/// The only maps are the events' own values.
impl ser::SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> fmt::Result {
        self.member();
        key.serialize(&mut *self.json)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> fmt::Result {
        self.json.text.extend_from_slice(b": ");
        self.varying(value)
    }

    fn end(self) -> fmt::Result {
        self.json.end(self.empty, b'}');
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
            (Of::Window([events, _]), "events") => self.json.members(*events),
            (Of::Window([_, related]), "related") => self.json.members(*related),
            (Of::Event, "time" | "record_id") => self.varying(value),
            _ => value.serialize(&mut *self.json),
        }
    }

    fn end(self) -> fmt::Result {
        self.json.end(self.empty, b'}');
        Ok(())
    }
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
    type SerializeMap = Parts<'j, 'a>;
    type SerializeStruct = Parts<'j, 'a>;
    type SerializeStructVariant = Never;

    fn serialize_bool(self, value: bool) -> fmt::Result {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.text.extend_from_slice(text);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> fmt::Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> fmt::Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> fmt::Result {
        self.serialize_u64(value.into())
    }

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

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'j, 'a>, fmt::Error> {
        Ok(self.parts(b'{', Of::Other))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'j, 'a>, fmt::Error> {
        let of = match name {
            "MachineReport" => self.machines.next().map(Of::Machine),
            "WindowReport" => self.window.take().map(Of::Window),
            "EventReport" => Some(Of::Event),
            _ => None,
        };
        Ok(self.parts(b'{', of.unwrap_or(Of::Other)))
    }

    fn serialize_i8(self, _: i8) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_i16(self, _: i16) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_i32(self, _: i32) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_i64(self, _: i64) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_f32(self, _: f32) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_f64(self, _: f64) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_char(self, _: char) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_bytes(self, _: &[u8]) -> fmt::Result {
        Err(fmt::Error)
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
