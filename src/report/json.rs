//! The report as JSON, safe to look at in a terminal.

use super::{Report, WindowReport};
use crate::terminal::is_unsafe;
use rayon::prelude::*;
use serde::ser::{self, Serialize, Serializer};
use std::fmt;
use std::io::{self, Write};

/// How much text is gathered before it is handed on.
const BUFFER: usize = 1 << 18;
/// The windows that are written in one go, by the threads of the current rayon pool.
const BATCH: usize = 256;
/// Those of them that a thread writes at a time.
const SHARE: usize = 8;
/// How deep a window stands: report, machines, machine, windows.
const WINDOW_DEPTH: usize = 4;

/// Writes the report as indented JSON and a line end.
///
/// # Errors
///
/// Those of the writer.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let windows = report.machines.iter().flat_map(|machine| &machine.windows);
    let mut json = Json {
        text: Vec::with_capacity(2 * BUFFER),
        depth: 0,
        leads: Vec::new(),
        sink: Some(Sink {
            out,
            error: None,
            windows: windows.collect(),
            begun: 0,
            written: Vec::new().into_iter(),
        }),
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

/// Writes values as serde_json's pretty formatter does. That asks for every byte of every name and
/// value by itself, which is most of the time of a report with many events.
struct Json<'a> {
    text: Vec<u8>,
    depth: usize,
    leads: Vec<Leads>,
    /// Where the text goes; a part of the report is kept.
    sink: Option<Sink<'a>>,
}

struct Sink<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
    /// Every window of the report, in its order.
    windows: Vec<&'a WindowReport<'a>>,
    /// How many of them are written, or being written.
    begun: usize,
    /// The text of the windows that come next.
    written: std::vec::IntoIter<Vec<u8>>,
}

impl Sink<'_> {
    /// The text of the next windows, of which the first is asked for.
    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(text) = self.written.next() {
            return Some(text);
        }
        let rest = self.windows.get(self.begun..)?;
        let batch = rest.get(..rest.len().min(BATCH))?;
        self.begun += batch.len();
        let written: Vec<Vec<u8>> = batch
            .par_iter()
            .with_min_len(SHARE)
            .map_init(
                || Json {
                    text: Vec::new(),
                    depth: WINDOW_DEPTH,
                    leads: Vec::new(),
                    sink: None,
                },
                |json, window| {
                    json.text = Vec::with_capacity(1 << 14);
                    // Nothing in it fails.
                    let _ = window.serialize(&mut *json);
                    std::mem::take(&mut json.text)
                },
            )
            .collect();
        self.written = written.into_iter();
        self.written.next()
    }
}

/// A line break with as many blanks as any value needs.
const LINE: &str = "\n                                ";

/// What stands ahead of the members of a struct at a depth: line break, blanks, name and colon.
struct Leads {
    of: &'static str,
    depth: usize,
    members: Vec<(&'static str, Vec<u8>)>,
}

impl Json<'_> {
    fn flush(&mut self) {
        if let Some(sink) = &mut self.sink {
            if sink.error.is_none() {
                sink.error = sink.out.write_all(&self.text).err();
            }
            self.text.clear();
        }
    }

    fn line(&mut self) {
        match LINE.as_bytes().get(..1 + 2 * self.depth) {
            Some(line) => self.text.extend_from_slice(line),
            None => {
                self.text.push(b'\n');
                self.text.extend(std::iter::repeat_n(b' ', 2 * self.depth));
            }
        }
    }

    /// Ahead of a member or an element.
    fn member(&mut self, first: bool) {
        if !first {
            self.text.push(b',');
        }
        self.line();
    }

    fn begin(&mut self, open: u8) {
        self.text.push(open);
        self.depth += 1;
        if self.text.len() > BUFFER {
            self.flush();
        }
    }

    fn end(&mut self, empty: bool, close: u8) {
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.text.push(close);
    }

    fn string(&mut self, text: &str) {
        self.text.push(b'"');
        match is_plain(text.as_bytes()) {
            true => self.text.extend_from_slice(text.as_bytes()),
            false => self.escaped(text),
        }
        self.text.push(b'"');
    }

    /// Log text may hold characters that steer a terminal and that JSON lets stand: they are
    /// written as `\uXXXX`, which every JSON reader takes for the same character.
    fn escaped(&mut self, text: &str) {
        let mut rest = text;
        let needs = |c: char| c < ' ' || c == '"' || c == '\\' || c >= '\u{7f}' && is_unsafe(c);
        while let Some(at) = rest.find(needs) {
            let (safe, from) = rest.split_at(at);
            self.text.extend_from_slice(safe.as_bytes());
            let mut characters = from.chars();
            match characters.next() {
                Some('"') => self.text.extend_from_slice(b"\\\""),
                Some('\\') => self.text.extend_from_slice(b"\\\\"),
                Some('\n') => self.text.extend_from_slice(b"\\n"),
                Some('\r') => self.text.extend_from_slice(b"\\r"),
                Some('\t') => self.text.extend_from_slice(b"\\t"),
                Some('\u{8}') => self.text.extend_from_slice(b"\\b"),
                Some('\u{c}') => self.text.extend_from_slice(b"\\f"),
                Some(other) => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        // Writing to memory does not fail.
                        let _ = write!(self.text, "\\u{unit:04x}");
                    }
                }
                None => {}
            }
            rest = characters.as_str();
        }
        self.text.extend_from_slice(rest.as_bytes());
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

/// Whether JSON and a terminal take all of these characters as they are: block by block and without
/// a branch in it, so that many are looked at at once.
fn is_plain(bytes: &[u8]) -> bool {
    const BLOCK: usize = 8;
    let special = |found: u8, b: &u8| {
        let is = u8::from;
        found | is(*b < 0x20) | is(*b == b'"') | is(*b == b'\\') | is(*b >= 0x7f)
    };
    let plain = |block: &[u8; BLOCK]| block.iter().fold(0, special) == 0;
    match bytes.last_chunk() {
        // What is left behind the blocks is looked at with some of the last one.
        Some(last) => bytes.as_chunks().0.iter().all(plain) && plain(last),
        None => bytes.iter().all(|b| special(0, b) == 0),
    }
}

/// An object or array that is being written.
struct Parts<'j, 'a> {
    json: &'j mut Json<'a>,
    empty: bool,
    /// It is a window whose text is there already.
    written: bool,
    /// Which leads those of its members are, and which comes next.
    leads: usize,
    next: usize,
}

impl Parts<'_, '_> {
    fn key(&mut self, key: &'static str) {
        let depth = self.json.depth;
        let place = self.next;
        self.next += 1;
        if let Some(leads) = self.json.leads.get(self.leads)
            && let Some((known, lead)) = leads.members.get(place)
            && std::ptr::eq(*known, key)
        {
            self.json.text.extend_from_slice(lead);
            return;
        }
        // The names of the wire format have nothing to escape.
        let comma = if place == 0 { "" } else { "," };
        let lead = format!("{comma}\n{:1$}\"{key}\": ", "", 2 * depth);
        self.json.text.extend_from_slice(lead.as_bytes());
        if let Some(leads) = self.json.leads.get_mut(self.leads)
            && leads.members.len() == place
        {
            leads.members.push((key, lead.into_bytes()));
        }
    }
}

impl ser::SerializeSeq for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> fmt::Result {
        self.json.member(self.empty);
        self.empty = false;
        value.serialize(&mut *self.json)
    }

    fn end(self) -> fmt::Result {
        self.json.end(self.empty, b']');
        Ok(())
    }
}

impl ser::SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> fmt::Result {
        self.json.member(self.empty);
        self.empty = false;
        key.serialize(&mut *self.json)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> fmt::Result {
        self.json.text.extend_from_slice(b": ");
        value.serialize(&mut *self.json)
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
        if self.written {
            return Ok(());
        }
        self.empty = false;
        self.key(key);
        value.serialize(&mut *self.json)
    }

    fn end(self) -> fmt::Result {
        if !self.written {
            self.json.end(self.empty, b'}');
        }
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
        self.begin(b'[');
        Ok(Parts {
            json: self,
            empty: true,
            written: false,
            leads: 0,
            next: 0,
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'j, 'a>, fmt::Error> {
        self.begin(b'{');
        Ok(Parts {
            json: self,
            empty: true,
            written: false,
            leads: 0,
            next: 0,
        })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'j, 'a>, fmt::Error> {
        // Windows are most of a report: several threads write them, and their text goes in here.
        let written = match name {
            // One thread need not hold it back.
            "WindowReport" if rayon::current_num_threads() > 1 => {
                self.sink.as_mut().and_then(Sink::next)
            }
            _ => None,
        };
        match &written {
            Some(text) => {
                self.text.extend_from_slice(text);
                if self.text.len() > BUFFER {
                    self.flush();
                }
            }
            None => self.begin(b'{'),
        }
        let depth = self.depth;
        let known = |leads: &Leads| leads.depth == depth && std::ptr::eq(leads.of, name);
        let leads = self.leads.iter().position(known).unwrap_or_else(|| {
            self.leads.push(Leads {
                of: name,
                depth,
                members: Vec::new(),
            });
            self.leads.len() - 1
        });
        Ok(Parts {
            json: self,
            empty: true,
            written: written.is_some(),
            leads,
            next: 0,
        })
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
