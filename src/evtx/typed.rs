//! Records decoded straight from their typed values.
//!
//! A record is an instance of a template, its EventData an instance of another. A template of the
//! usual shape is made into a plan once: which value or literal goes to which part of the event.
//! After that a record costs the reading of its values. Whatever is unusual in the least has no
//! plan, or leaves it: [`Reader::event`] then says nothing, and the evtx crate is asked, whose
//! XML says what every value comes to.

mod plan;
mod shape;
mod value;

pub(crate) use plan::Templates;

use crate::base::bytes::{u32_at, u64_at};
use crate::base::time::Filetime;
use crate::event::{Collector, Event, FieldNames, Header, Headers, Level, Meaning, Place};
use crate::evtx::binxml::{DEFINITION_HEADER_SIZE, NO_DEPENDENCY, token, value as kind};
use crate::evtx::chunk::{RECORD_HEADER_SIZE, Span};
use crate::evtx::record::{Names, intern};
use crate::facts::Provider;
use plan::{DataPlan, EventPlan, Part, Payload, Plan, Recent, Step, Strings, Text};
use shape::{MOST_SHAPES, Shape};
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use uuid::Uuid;
use value::{Value, push_value};

/// The copy of a record's size at its end.
const SIZE_COPY: usize = 4;
/// More values than any template uses.
const MOST_VALUES: usize = 4096;
/// The templates that are remembered; both providers have fewer.
const MOST_TEMPLATES: usize = 2048;
/// The templates of a chunk that are looked at: far more than real ones have.
const MOST_TEMPLATES_OF_CHUNK: usize = 256;
/// Those of them that are at hand.
const AT_HAND: usize = 64;
/// Computers, channels and accounts that are remembered by their bytes.
const MOST_RECENT: usize = 16;

/// Our providers, and their names in UTF-16.
static OURS: LazyLock<[(Provider, Vec<u8>); 2]> = LazyLock::new(|| {
    Provider::ALL.map(|provider| {
        let name = provider.name().encode_utf16();
        (provider, name.flat_map(u16::to_le_bytes).collect())
    })
});

/// Reads the records of a chunk.
pub(crate) struct Reader<'a, 'n> {
    chunk: &'a [u8],
    names: &'n mut Names,
    /// The templates of this chunk, by the offset of their definition.
    here: Vec<(u32, Option<usize>)>,
    /// The last of these by the hash of their offset. No definition stands at offset 0.
    at_hand: [(u32, Option<usize>); AT_HAND],
    system: Vec<Value>,
    data: Vec<Value>,
    texts: Texts,
}

/// An instance of a template.
#[derive(Clone)]
struct Instance<'a> {
    /// The number of the template.
    template: usize,
    descriptors: &'a [u8],
    /// Where its values start.
    values: usize,
    /// Where there is no more of it.
    end: usize,
}

impl<'a, 'n> Reader<'a, 'n> {
    pub(crate) fn new(chunk: &'a [u8], names: &'n mut Names) -> Reader<'a, 'n> {
        if names.templates.known.len() > MOST_TEMPLATES {
            names.templates = Templates::default();
        }
        Reader {
            chunk,
            names,
            here: Vec::new(),
            at_hand: [(0, None); AT_HAND],
            system: Vec::new(),
            data: Vec::new(),
            texts: Texts::default(),
        }
    }

    /// The event of a record, its values appended to these; nothing if the record is unusual.
    pub(crate) fn event(&mut self, record: &Span, values: &mut Collector) -> Option<Event> {
        let before = values.mark();
        let event = self.read(record, values);
        if event.is_none() {
            values.take_back(before);
            self.texts = Texts::default();
        }
        event
    }

    fn read(&mut self, record: &Span, values: &mut Collector) -> Option<Event> {
        // A record whose own time is none is not read.
        Filetime::from_ticks(u64_at(self.chunk, record.start + 16)?)?;
        let start = record.start + RECORD_HEADER_SIZE;
        let instance = self.instance(start..record.end.checked_sub(SIZE_COPY)?)?;
        let shapes = &self.names.templates.shapes;
        let known = shapes
            .iter()
            .position(|shape| shape.fits(instance.template, instance.descriptors));
        if let Some(shape) = known {
            let nested = self.nested(&instance, shape)?;
            if let Some(event) = self.event_of(&instance, shape, nested, values) {
                let Plan::Data(fields) = &self.names.templates.known.get(nested)?.plan else {
                    return None;
                };
                push_fields(
                    self.chunk,
                    fields,
                    &self.data,
                    &event.header,
                    &mut self.texts,
                    values,
                )?;
                return Some(event);
            }
        }
        self.read_anew(&instance, known, values)
    }

    /// The template of what is nested in an instance of this shape; its values are read.
    fn nested(&mut self, instance: &Instance<'a>, shape: usize) -> Option<usize> {
        let places = self.names.templates.shapes.get(shape)?.places;
        let start = instance.values + places.nested;
        let (_, [low, high, ..]) = instance.descriptors.split_last_chunk::<4>()?;
        let size = usize::from(u16::from_le_bytes([*low, *high]));
        (size > 0).then(|| instance.ends_at(start + size, self.chunk))??;
        self.data(start..start + size)
    }

    /// The event of an instance of this shape, if its header is known.
    fn event_of(
        &self,
        instance: &Instance<'a>,
        shape: usize,
        nested: usize,
        of: &mut Collector,
    ) -> Option<Event> {
        let shape = self.names.templates.shapes.get(shape)?;
        let values = self.chunk.get(instance.values..)?;
        let header = shape.header(values, nested)?;
        let places = &shape.places;
        let number = |place: usize| u32_at(values, place);
        Some(Event::new(
            Filetime::from_ticks(u64_at(values, places.time)?)?,
            u64_at(values, places.record_id)?,
            (
                places.process.and_then(number),
                places.thread.and_then(number),
            ),
            match places.activity {
                Some(place) => Some(Uuid::from_bytes_le(*values.get(place..)?.first_chunk()?)),
                None => None,
            },
            Arc::clone(header),
            of,
        ))
    }

    /// The event of an instance of which all values are looked at.
    fn read_anew(
        &mut self,
        instance: &Instance<'a>,
        mut known: Option<usize>,
        values: &mut Collector,
    ) -> Option<Event> {
        let chunk = self.chunk;
        instance.read_values(chunk, &mut self.system)?;
        let number = instance.template;
        let nested = match &self.names.templates.known.get(number)?.plan {
            Plan::Event(plan) => match plan.payload {
                Payload::Nested(value) => Some(usize::from(value)),
                _ => None,
            },
            Plan::Data(_) => return None,
        };
        let payload = nested.and_then(|place| self.system.get(place)).copied();
        let is_fragment = |value: &Value| value.kind == kind::BIN_XML;
        // Elsewhere a fragment could bring any element along, and any other value a text.
        if self.system.iter().filter(|v| is_fragment(v)).count()
            != payload.iter().filter(|v| is_fragment(v)).count()
        {
            return None;
        }
        let data = match payload {
            Some(payload) if payload.kind == kind::BIN_XML => Some(self.data(payload.place())?),
            Some(payload) if payload.kind != kind::NULL => return None,
            None if nested.is_some() => return None,
            _ => None,
        };
        let templates = &mut self.names.templates;
        let plan_of = |number: usize| templates.known.get(number).map(|known| &known.plan);
        let Some(Plan::Event(plan)) = plan_of(number) else {
            return None;
        };
        let fields = match (&plan.payload, data) {
            (Payload::Here(fields), _) => Some((fields, self.system.as_slice())),
            (_, Some(number)) => match plan_of(number)? {
                Plan::Data(fields) => Some((fields, self.data.as_slice())),
                Plan::Event(_) => return None,
            },
            (_, None) => None,
        };
        let mut record = Record {
            chunk,
            system: &self.system,
            recent: &mut templates.recent,
            strings: &mut self.names.strings,
            headers: &mut self.names.headers,
        };
        let names = fields.map(|(fields, _)| Arc::clone(&fields.names));
        let event = record.system(plan, names, values)?;
        if let Some((fields, of)) = fields {
            push_fields(chunk, fields, of, &event.header, &mut self.texts, values)?;
        }
        if let (Some(nested), Some(bytes)) = (data, chunk.get(instance.values..)) {
            let shapes = &mut templates.shapes;
            if known.is_none()
                && let Some(new) = Shape::of(number, plan, instance.descriptors, &self.system)
            {
                if shapes.len() >= MOST_SHAPES {
                    shapes.clear();
                }
                known = Some(shapes.len());
                shapes.push(new);
            }
            if let Some(shape) = known.and_then(|known| shapes.get_mut(known)) {
                shape.learn(bytes, nested, &event.header);
            }
        }
        Some(event)
    }

    /// Reads the values of an EventData or UserData element, and returns its template.
    fn data(&mut self, room: Range<usize>) -> Option<usize> {
        let instance = self.instance(room)?;
        instance.read_values(self.chunk, &mut self.data)?;
        let any_fragment = self.data.iter().any(|value| value.kind == kind::BIN_XML);
        (!any_fragment).then_some(instance.template)
    }

    /// The instance of a template that takes this room.
    fn instance(&mut self, room: Range<usize>) -> Option<Instance<'a>> {
        let chunk = self.chunk;
        let start = match *chunk.get(room.start..room.start + 5)? {
            [token::FRAGMENT_HEADER, _, _, _, token::TEMPLATE_INSTANCE] => room.start + 4,
            [token::TEMPLATE_INSTANCE, ..] => room.start,
            _ => return None,
        };
        // The token, a version and the template's ID.
        let definition = u32_at(chunk, start + 6)?;
        let mut at = start + 10;
        let template = self.template(definition)?;
        if definition as usize == at {
            let size = u32_at(chunk, at + DEFINITION_HEADER_SIZE - 4)? as usize;
            at = at.checked_add(DEFINITION_HEADER_SIZE)?.checked_add(size)?;
        }
        let count = u32_at(chunk, at)? as usize;
        if count > MOST_VALUES {
            return None;
        }
        let values = at + 4 + count * 4;
        Some(Instance {
            template,
            descriptors: chunk.get(at + 4..values)?,
            values,
            end: room.end,
        })
    }

    /// The number of the template that is defined here, if it is of the usual shape.
    fn template(&mut self, definition: u32) -> Option<usize> {
        let hash = (definition.wrapping_mul(0x9e37_79b1) >> 26) as usize;
        let at_hand = self.at_hand.get_mut(hash % AT_HAND)?;
        if at_hand.0 != definition {
            let here = self.here.iter().find(|(offset, _)| *offset == definition);
            *at_hand = match here {
                Some(known) => *known,
                None if self.here.len() >= MOST_TEMPLATES_OF_CHUNK => return None,
                None => {
                    let (templates, strings) = (&mut self.names.templates, &mut self.names.strings);
                    let at = definition as usize;
                    let found = templates
                        .find(self.chunk, at)
                        .or_else(|| templates.insert(self.chunk, at, strings));
                    self.here.push((definition, found));
                    (definition, found)
                }
            };
        }
        at_hand.1
    }
}

impl Instance<'_> {
    /// Reads where its values stand.
    fn read_values(&self, chunk: &[u8], values: &mut Vec<Value>) -> Option<()> {
        values.clear();
        let mut at = self.values;
        for [low, high, kind, _] in self.descriptors.as_chunks().0 {
            let value = Value {
                kind: *kind,
                length: u16::from_le_bytes([*low, *high]),
                at: at as u32,
            };
            at += usize::from(value.length);
            // Where a size does not fit its type the values after it stand elsewhere.
            if !value.is_sound(chunk) {
                return None;
            }
            values.push(value);
        }
        self.ends_at(at, chunk)
    }

    /// Whether the values end where nothing follows: anything after them but an end is another
    /// stream.
    fn ends_at(&self, at: usize, chunk: &[u8]) -> Option<()> {
        let ended = at == self.end || at < self.end && chunk.get(at) == Some(&token::END);
        ended.then_some(())
    }
}

/// The System part of a record.
struct Record<'r> {
    chunk: &'r [u8],
    system: &'r [Value],
    recent: &'r mut Vec<Recent>,
    strings: &'r mut Strings,
    headers: &'r mut Headers,
}

impl Record<'_> {
    fn value(&self, place: u16) -> Option<Value> {
        self.system.get(usize::from(place)).copied()
    }

    fn number(&self, place: u16) -> Option<u64> {
        self.value(place)?.number(self.chunk)
    }

    /// The bytes of a value of this type; nothing inside if there is no value.
    fn bytes(&self, place: u16, wanted: u8) -> Option<Option<&[u8]>> {
        let value = self.value(place)?;
        match value.kind {
            kind::NULL => Some(None),
            of if of == wanted => Some(Some(value.bytes(self.chunk)?)),
            _ => None,
        }
    }

    /// A text that many events share.
    fn text(&mut self, place: u16, wanted: u8) -> Option<Option<Arc<str>>> {
        let Some(bytes) = self.bytes(place, wanted)? else {
            return Some(None);
        };
        let known = self
            .recent
            .iter()
            .find(|(of, known, _)| *of == wanted && **known == *bytes);
        if let Some((_, _, text)) = known {
            return Some(Some(Arc::clone(text)));
        }
        let mut text = Vec::new();
        let bytes: Box<[u8]> = bytes.into();
        push_value(self.chunk, self.value(place)?, &mut text)?;
        let text = intern(self.strings, str::from_utf8(&text).ok()?);
        if self.recent.len() >= MOST_RECENT {
            self.recent.clear();
        }
        self.recent.push((wanted, bytes, Arc::clone(&text)));
        Some(Some(text))
    }

    fn shared(&mut self, text: &Text) -> Option<Arc<str>> {
        match text {
            Text::Literal(text) => Some(Arc::clone(text)),
            Text::Value(place) => match self.text(*place, kind::UNICODE)? {
                Some(text) => Some(text),
                None => Some(intern(self.strings, "")),
            },
        }
    }

    /// The event whose fields have these names, and the next of these values.
    fn system(
        &mut self,
        plan: &EventPlan,
        names: Option<Arc<FieldNames>>,
        values: &mut Collector,
    ) -> Option<Event> {
        if plan.dependency != NO_DEPENDENCY && self.value(plan.dependency)?.kind == kind::NULL {
            return None;
        }
        let mut provider = None;
        let mut time = None;
        let mut event_id = None;
        let mut record_id = None;
        let mut channel = None;
        let mut computer = None;
        let (mut version, mut level, mut opcode) = (0, 0, 0);
        let (mut task, mut keywords) = (0, 0);
        let (mut process_id, mut thread_id) = (None, None);
        let (mut activity_id, mut user_sid) = (None, None);
        for Step { dependency, part } in &plan.system {
            if *dependency != NO_DEPENDENCY && self.value(*dependency)?.kind == kind::NULL {
                continue;
            }
            let byte = |number: u64| u8::try_from(number).unwrap_or(0);
            match part {
                Part::Provider(Ok(literal)) => provider = Some(*literal),
                Part::Provider(Err(place)) => {
                    let name = self.bytes(*place, kind::UNICODE)??;
                    let mut ours = OURS.iter();
                    let (named, _) = ours.find(|(_, utf16)| {
                        let rest = name.strip_prefix(utf16.as_slice());
                        rest.is_some_and(|rest| matches!(rest, [] | [0, 0, ..]))
                    })?;
                    provider = Some(*named);
                }
                Part::EventId(place) => {
                    event_id = Some(u32::try_from(self.number(*place)?).ok()?);
                }
                Part::Version(place) => version = byte(self.number(*place)?),
                Part::Level(place) => level = byte(self.number(*place)?),
                Part::Opcode(place) => opcode = byte(self.number(*place)?),
                Part::Task(place) => task = u32::try_from(self.number(*place)?).unwrap_or(0),
                Part::Keywords(place) => {
                    keywords = u64_at(self.bytes(*place, kind::HEX_INT64)??, 0)?;
                }
                Part::RecordId(place) => record_id = Some(self.number(*place)?),
                Part::Time(place) => {
                    let ticks = u64_at(self.bytes(*place, kind::FILETIME)??, 0)?;
                    time = Some(Filetime::from_ticks(ticks)?);
                }
                Part::Activity(place) => {
                    let bytes = self.bytes(*place, kind::GUID)?;
                    activity_id = match bytes {
                        Some(bytes) => Some(Uuid::from_bytes_le(*bytes.first_chunk()?)),
                        None => None,
                    };
                }
                Part::Execution { process, thread } => {
                    for (place, id) in [(process, &mut process_id), (thread, &mut thread_id)] {
                        if let Some(place) = place
                            && let Some(bytes) = self.bytes(*place, kind::UINT32)?
                        {
                            *id = Some(u32_at(bytes, 0)?);
                        }
                    }
                }
                Part::Channel(text) => channel = Some(self.shared(text)?),
                Part::Computer(text) => computer = Some(self.shared(text)?),
                Part::User(place) => user_sid = self.text(*place, kind::SID)?,
            }
        }
        let (provider, event_id) = (provider?, event_id?);
        let header = self.headers.get(Header {
            computer: computer?,
            provider,
            channel: channel?,
            event_id,
            version,
            level: Level::from_number(level),
            task,
            opcode,
            keywords,
            user_sid,
            names,
            meaning: Meaning::default(),
        });
        let thread = (process_id, thread_id);
        Some(Event::new(
            time?,
            record_id?,
            thread,
            activity_id,
            header,
            values,
        ))
    }
}

/// Appends the values of an event's fields.
fn push_fields(
    chunk: &[u8],
    fields: &DataPlan,
    of: &[Value],
    header: &Header,
    texts: &mut Texts,
    values: &mut Collector,
) -> Option<()> {
    for (place, field) in fields.values.iter().enumerate() {
        let value = match field {
            Some(field) => *of.get(usize::from(*field))?,
            None => {
                values.end_value();
                continue;
            }
        };
        if header.meaning.is_secret(place) {
            let before = values.text().len();
            push_value(chunk, value, values.text())?;
            match values.text().len() > before {
                true => values.end_masked(),
                false => _ = values.end_value(),
            }
        } else if let Some(known) = texts.find(chunk, value) {
            values.again(known);
        } else {
            push_value(chunk, value, values.text())?;
            texts.remember(chunk, value, values.end_value());
        }
    }
    Some(())
}

/// Texts of a chunk that were appended, by some of their bytes. IDs of requests, addresses and
/// accounts come again and again.
struct Texts([(Value, Place); TEXTS]);

/// How many texts are at hand.
const TEXTS: usize = 64;

impl Default for Texts {
    fn default() -> Texts {
        // One that no text is.
        let none = Value {
            kind: kind::NULL,
            length: 0,
            at: 0,
        };
        Texts([(none, (0, 0)); TEXTS])
    }
}

impl Texts {
    /// Where a text stands already.
    fn find(&self, chunk: &[u8], text: Value) -> Option<Place> {
        let bytes = text.bytes(chunk)?;
        let (known, place) = self.0.get(slot(text.kind, bytes)?)?;
        let is_same = known.length == text.length && known.bytes(chunk)? == bytes;
        is_same.then_some(*place)
    }

    fn remember(&mut self, chunk: &[u8], text: Value, place: Place) {
        let slot = text.bytes(chunk).and_then(|bytes| slot(text.kind, bytes));
        if let Some(known) = slot.and_then(|slot| self.0.get_mut(slot)) {
            *known = (text, place);
        }
    }
}

/// Where a text would be found, by its first and its last letters; short ones cost too little.
fn slot(of: u8, bytes: &[u8]) -> Option<usize> {
    if of != kind::UNICODE {
        return None;
    }
    let first = u64::from_le_bytes(*bytes.first_chunk()?);
    let last = u64::from_le_bytes(*bytes.last_chunk()?);
    let hash = (first ^ last.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Some((hash >> 58) as usize % TEXTS)
}
