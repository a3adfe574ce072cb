//! Records decoded straight from their typed values.
//!
//! A record is an instance of a template, its EventData an instance of another. A template of the
//! usual shape is made into a plan once: which value or literal goes to which part of the event.
//! After that a record costs the reading of its values. Whatever is unusual in the least has no
//! plan, or leaves it: [`Reader::event`] then says nothing, and the evtx crate is asked, whose
//! XML says what every value comes to.

use crate::binxml::{
    DEFINITION_HEADER_SIZE, FIXED_SIZE, FREE, NO_DEPENDENCY, ODD, Tokens, is_name, name_at, token,
    value,
};
use crate::chunk::{RECORD_HEADER_SIZE, Span, u16_at, u32_at, u64_at};
use crate::event::{Data, Event, FieldNames, Header, Headers, Level, Meaning, Provider, Values};
use crate::knowledge::{EventInfo, Role};
use crate::record::{Names, intern, unique_names};
use crate::secret;
use chrono::{DateTime, Utc};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

/// The copy of a record's size at its end.
const SIZE_COPY: usize = 4;
/// More values than any template uses.
const MOST_VALUES: usize = 4096;
/// The templates that are remembered; both providers have fewer.
const MOST_TEMPLATES: usize = 2048;
/// The templates of a chunk that are looked at, the size of their bodies, and the elements of a
/// System part and the attributes of an element in them: far more than real ones have, and few
/// enough that a chunk made to take long does not.
const MOST_TEMPLATES_OF_CHUNK: usize = 256;
const LARGEST_BODY: usize = 0x4000;
const MOST_PARTS: usize = 64;
/// Computers, channels and accounts that are remembered by their bytes.
const MOST_RECENT: usize = 16;

/// 1601-01-01 to 1970-01-01 in seconds.
const UNIX_EPOCH: i64 = 11_644_473_600;
/// What a FILETIME counts in a second.
const TICKS: u64 = 10_000_000;
/// 9999-12-30T00:00:00Z as a FILETIME: the evtx crate takes no record from the two days after it.
const LATEST: u64 = 2_650_465_728_000_000_000;

/// Our providers, and their names in UTF-16.
static OURS: LazyLock<[(Provider, Vec<u8>); 2]> = LazyLock::new(|| {
    Provider::ALL.map(|provider| {
        let name = provider.name().encode_utf16();
        (provider, name.flat_map(u16::to_le_bytes).collect())
    })
});

/// Templates that were made into plans, and texts that events share.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    known: Vec<Known>,
    by_guid: HashMap<[u8; 16], Vec<usize>>,
    recent: Vec<Recent>,
}

/// A text, and the type and the bytes it was read from.
type Recent = (u8, Box<[u8]>, Arc<str>);

/// A template with its plan. A definition elsewhere is the same if its body is, but for where the
/// names in it stand.
#[derive(Debug)]
struct Known {
    body: Box<[u8]>,
    names: Vec<NameAt>,
    plan: Plan,
}

/// A reference to a name, and the link of a name that stands in the body itself.
#[derive(Debug)]
struct NameAt {
    /// Where in the body.
    at: usize,
    /// The name, if it stands elsewhere.
    elsewhere: Option<Box<[u8]>>,
}

#[derive(Debug)]
enum Plan {
    Event(EventPlan),
    Data(DataPlan),
}

/// What a template's Event element is made of.
#[derive(Debug)]
struct EventPlan {
    /// The value without which there is no event.
    dependency: u16,
    system: Vec<Step>,
    payload: Payload,
}

/// An element of the System part.
#[derive(Debug)]
struct Step {
    /// The value without which there is no such element.
    dependency: u16,
    part: Part,
}

#[derive(Debug)]
enum Part {
    /// A literal name of ours, or the value that holds it.
    Provider(Result<Provider, u16>),
    EventId(u16),
    Version(u16),
    Level(u16),
    Task(u16),
    Opcode(u16),
    Keywords(u16),
    RecordId(u16),
    Time(u16),
    Activity(u16),
    Execution {
        process: Option<u16>,
        thread: Option<u16>,
    },
    Channel(Text),
    Computer(Text),
    User(u16),
}

#[derive(Clone, Debug)]
enum Text {
    Literal(Arc<str>),
    Value(u16),
}

#[derive(Debug)]
enum Payload {
    Nothing,
    Here(DataPlan),
    /// An instance of another template, in this value.
    Nested(u16),
}

/// The fields of an EventData or UserData element.
#[derive(Debug)]
struct DataPlan {
    names: Arc<FieldNames>,
    /// The value of each, if it has one.
    values: Vec<Option<u16>>,
}

impl Templates {
    /// The known template that is defined here.
    fn find(&self, chunk: &[u8], definition: usize) -> Option<usize> {
        let header = chunk.get(definition..definition.checked_add(DEFINITION_HEADER_SIZE)?)?;
        let guid = header.get(4..20)?.first_chunk()?;
        let start = definition + DEFINITION_HEADER_SIZE;
        let body = chunk.get(start..start.checked_add(u32_at(header, 20)? as usize)?)?;
        let candidates = self.by_guid.get(guid)?;
        let is_same = |number: &&usize| {
            let known = self.known.get(**number);
            known.is_some_and(|known| known.is(chunk, start, body).unwrap_or(false))
        };
        candidates.iter().find(is_same).copied()
    }

    fn insert(&mut self, chunk: &[u8], definition: usize, names: &mut Strings) -> Option<usize> {
        let known = Compiler::compile(chunk, definition, names)?;
        let guid = *chunk.get(definition + 4..definition + 20)?.first_chunk()?;
        let number = self.known.len();
        self.known.push(known);
        self.by_guid.entry(guid).or_default().push(number);
        Some(number)
    }
}

impl Known {
    /// Whether the body that starts here is this one's.
    fn is(&self, chunk: &[u8], start: usize, body: &[u8]) -> Option<bool> {
        if body.len() != self.body.len() {
            return Some(false);
        }
        let mut from = 0;
        for name in &self.names {
            if body.get(from..name.at)? != self.body.get(from..name.at)? {
                return Some(false);
            }
            let offset = u32_at(body, name.at)? as usize;
            from = name.at + 4;
            let here = offset == start + from;
            match &name.elsewhere {
                None if here => from += crate::binxml::NAME_LINK_SIZE,
                Some(known) if !here => {
                    let (characters, end) = name_at(chunk, offset)?;
                    if characters != &**known || chunk.len() < end + 2 {
                        return Some(false);
                    }
                }
                _ => return Some(false),
            }
        }
        Some(body.get(from..)? == self.body.get(from..)?)
    }
}

type Strings = HashSet<Arc<str>>;

/// Makes a template's tokens into a plan.
struct Compiler<'a> {
    tokens: Tokens<'a>,
    /// Where the body starts.
    start: usize,
    names: Vec<NameAt>,
    used: HashSet<u16>,
}

/// What an attribute or element holds.
enum Content {
    Literal(String),
    Value(u16),
}

/// Names and what they hold.
type Attributes<'a> = Vec<(&'a [u8], Content)>;

/// An element without elements in it.
struct Leaf<'a> {
    name: &'a [u8],
    dependency: u16,
    attributes: Attributes<'a>,
    content: Option<Content>,
    /// `<Name/>`, which differs from `<Name></Name>`.
    closed: bool,
}

impl<'a> Compiler<'a> {
    fn compile(chunk: &'a [u8], definition: usize, names: &mut Strings) -> Option<Known> {
        let size = u32_at(chunk, definition.checked_add(DEFINITION_HEADER_SIZE - 4)?)? as usize;
        let start = definition + DEFINITION_HEADER_SIZE;
        let body = chunk.get(start..start.checked_add(size)?)?;
        if body.len() > LARGEST_BODY {
            return None;
        }
        let mut compiler = Compiler {
            tokens: Tokens::of_template(chunk, definition)?,
            start,
            names: Vec::new(),
            used: HashSet::new(),
        };
        let (name, dependency) = compiler.open()?;
        let plan = match is_name(name, "Event") {
            true => Plan::Event(compiler.event(dependency, names)?),
            false if dependency == NO_DEPENDENCY => Plan::Data(compiler.data(name, names)?),
            false => return None,
        };
        let tokens = &compiler.tokens;
        let ended =
            tokens.at == tokens.end || tokens.at < tokens.end && tokens.peek() == Some(token::END);
        ended.then_some(Known {
            body: body.into(),
            names: compiler.names,
            plan,
        })
    }

    /// The next token, if it is one that is known here.
    fn next(&mut self) -> Option<u8> {
        let raw = self.tokens.peek()?;
        let token = self.tokens.next()?;
        let may_have_more = matches!(token, token::OPEN_START | token::ATTRIBUTE | token::VALUE);
        (raw == token || may_have_more).then_some(token)
    }

    fn open(&mut self) -> Option<(&'a [u8], u16)> {
        // The token, the dependency and the size.
        let at = self.tokens.at + 7;
        let element = self.tokens.open_any()?;
        self.refer(at, element.0)?;
        Some(element)
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let at = self.tokens.at;
        let name = self.tokens.any_name()?;
        self.refer(at, name)?;
        Some(name)
    }

    /// Remembers a reference to a name.
    fn refer(&mut self, at: usize, name: &[u8]) -> Option<()> {
        let chunk = self.tokens.chunk;
        let offset = u32_at(chunk, at)? as usize;
        let (_, end) = name_at(chunk, offset)?;
        // The NUL behind it.
        u16_at(chunk, end)?;
        self.names.push(NameAt {
            at: at.checked_sub(self.start)?,
            elsewhere: (offset != at + 4).then(|| name.into()),
        });
        Some(())
    }

    /// A literal or a value, of which this is the token.
    fn content(&mut self, token: u8) -> Option<Content> {
        Some(match token {
            token::VALUE => {
                let mut text = String::new();
                push_utf16(self.tokens.literal()?, &mut text)?;
                Content::Literal(text)
            }
            token::SUBSTITUTION | token::OPTIONAL_SUBSTITUTION => {
                let kind = *self.tokens.chunk.get(self.tokens.at + 2)?;
                let value = self.tokens.substitution()?;
                // A value that is used twice has rules of its own.
                let sound =
                    matches!(kind, 0..=0x15 | 0x21 | 0x81..=0x95) && self.used.insert(value);
                sound.then_some(Content::Value(value))?
            }
            _ => return None,
        })
    }

    /// The attributes of an element, and whether it is closed with them.
    fn attributes(&mut self) -> Option<(Attributes<'a>, bool)> {
        let mut attributes = Attributes::new();
        loop {
            match self.next()? {
                token::ATTRIBUTE => {
                    let name = self.name()?;
                    let token = self.next()?;
                    let content = self.content(token)?;
                    // XML has no two attributes of one name.
                    let again = attributes.iter().any(|(known, _)| *known == name);
                    if again || attributes.len() > MOST_PARTS {
                        return None;
                    }
                    attributes.push((name, content));
                }
                token::CLOSE_START => return Some((attributes, false)),
                token::CLOSE_EMPTY => return Some((attributes, true)),
                _ => return None,
            }
        }
    }

    /// Literal attributes, of which nothing is wanted; whether the element is closed with them.
    fn literal_attributes(&mut self) -> Option<bool> {
        let (attributes, closed) = self.attributes()?;
        let literal = |(_, content): &(_, Content)| matches!(content, Content::Literal(_));
        attributes.iter().all(literal).then_some(closed)
    }

    /// The next element inside another; `None` inside if that ends instead.
    fn leaf(&mut self) -> Option<Option<Leaf<'a>>> {
        match self.tokens.peek()? {
            token::CLOSE_ELEMENT => {
                self.next()?;
                return Some(None);
            }
            open if open & !token::MORE == token::OPEN_START => {}
            _ => return None,
        }
        let (name, dependency) = self.open()?;
        let (attributes, closed) = self.attributes()?;
        let mut content = None;
        if !closed {
            let token = self.next()?;
            if token != token::CLOSE_ELEMENT {
                content = Some(self.content(token)?);
                if self.next()? != token::CLOSE_ELEMENT {
                    return None;
                }
            }
        }
        Some(Some(Leaf {
            name,
            dependency,
            attributes,
            content,
            closed,
        }))
    }

    /// The rest of an Event element.
    fn event(&mut self, dependency: u16, names: &mut Strings) -> Option<EventPlan> {
        if self.literal_attributes()? {
            return None;
        }
        let (name, of_system) = self.open()?;
        if !is_name(name, "System") || of_system != NO_DEPENDENCY || self.literal_attributes()? {
            return None;
        }
        let mut system = Vec::new();
        let mut seen: Vec<&[u8]> = Vec::new();
        while let Some(leaf) = self.leaf()? {
            // Of an element that stands twice now the first counts, now the last.
            if seen.contains(&leaf.name) || seen.len() > MOST_PARTS {
                return None;
            }
            seen.push(leaf.name);
            system.extend(step(&leaf, names)?);
        }
        let payload = match self.tokens.peek()? {
            open if open & !token::MORE == token::OPEN_START => {
                let (name, dependency) = self.open()?;
                if dependency != NO_DEPENDENCY {
                    return None;
                }
                Payload::Here(self.data(name, names)?)
            }
            token::CLOSE_ELEMENT => Payload::Nothing,
            _ => {
                let token = self.next()?;
                match self.content(token)? {
                    Content::Value(value) => Payload::Nested(value),
                    Content::Literal(_) => return None,
                }
            }
        };
        (self.next()? == token::CLOSE_ELEMENT).then_some(EventPlan {
            dependency,
            system,
            payload,
        })
    }

    /// The rest of an EventData or UserData element.
    fn data(&mut self, name: &[u8], strings: &mut Strings) -> Option<DataPlan> {
        if !is_name(name, "EventData") && !is_name(name, "UserData") {
            return None;
        }
        let mut names = Vec::new();
        let mut values = Vec::new();
        if !self.literal_attributes()? {
            while let Some(leaf) = self.leaf()? {
                if leaf.dependency != NO_DEPENDENCY {
                    return None;
                }
                let mut field = None;
                for (name, content) in leaf.attributes {
                    let Content::Literal(text) = content else {
                        return None;
                    };
                    if is_name(name, "Name") && !text.is_empty() {
                        field = Some(text);
                    }
                }
                let field = match field {
                    Some(field) => field,
                    None => plain(leaf.name),
                };
                names.push(intern(strings, &field));
                values.push(match leaf.content {
                    None => None,
                    Some(Content::Value(value)) => Some(value),
                    // A long one would take room in every event.
                    Some(Content::Literal(_)) => return None,
                });
            }
        }
        Some(DataPlan {
            names: Arc::new(unique_names(names)),
            values,
        })
    }
}

/// A name of plain letters and digits.
fn plain(name: &[u8]) -> String {
    let letters = name.iter().step_by(2);
    letters.map(|letter| char::from(*letter)).collect()
}

/// What an element of the System part tells, if anything; nothing at all if it is unusual.
fn step(leaf: &Leaf<'_>, names: &mut Strings) -> Option<Option<Step>> {
    let attribute = |name: &str| {
        let mut attributes = leaf.attributes.iter();
        attributes
            .find(|(known, _)| is_name(known, name))
            .map(|(_, content)| content)
    };
    // An attribute that holds a value, if it is there.
    let slot = |name: &str| match attribute(name) {
        None => Some(None),
        Some(Content::Value(value)) => Some(Some(*value)),
        Some(Content::Literal(_)) => None,
    };
    let number = || match leaf.content {
        Some(Content::Value(value)) => Some(value),
        _ => None,
    };
    let mut text = || match &leaf.content {
        Some(Content::Value(value)) => Some(Text::Value(*value)),
        Some(Content::Literal(text)) => Some(Text::Literal(intern(names, text))),
        None if leaf.closed => None,
        None => Some(Text::Literal(intern(names, ""))),
    };
    let name = plain(leaf.name);
    let part = match name.as_str() {
        "Provider" => Part::Provider(match attribute("Name")? {
            Content::Value(value) => Err(*value),
            Content::Literal(name) => Ok(Provider::ALL.into_iter().find(|p| p.name() == name)?),
        }),
        "EventID" => Part::EventId(number()?),
        "Version" => Part::Version(number()?),
        "Level" => Part::Level(number()?),
        "Task" => Part::Task(number()?),
        "Opcode" => Part::Opcode(number()?),
        "Keywords" => Part::Keywords(number()?),
        "EventRecordID" => Part::RecordId(number()?),
        "Channel" => Part::Channel(text()?),
        "Computer" => Part::Computer(text()?),
        "TimeCreated" => Part::Time(slot("SystemTime")??),
        "Correlation" => match slot("ActivityID")? {
            Some(value) => Part::Activity(value),
            None => return Some(None),
        },
        "Execution" => Part::Execution {
            process: slot("ProcessID")?,
            thread: slot("ThreadID")?,
        },
        "Security" => match slot("UserID")? {
            Some(value) => Part::User(value),
            None => return Some(None),
        },
        _ => return Some(None),
    };
    Some(Some(Step {
        dependency: leaf.dependency,
        part,
    }))
}

/// Reads the records of a chunk.
pub(crate) struct Reader<'a, 'n> {
    chunk: &'a [u8],
    names: &'n mut Names,
    /// The templates of this chunk, by the offset of their definition.
    here: Vec<(u32, Option<usize>)>,
    system: Vec<Value>,
    data: Vec<Value>,
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
            system: Vec::new(),
            data: Vec::new(),
        }
    }

    /// The event of a record, its values appended to these; nothing if the record is unusual.
    pub(crate) fn event(&mut self, record: &Span, values: &mut Values) -> Option<Event> {
        let first = values.next();
        let event = self.read(record, values);
        if event.is_none() {
            values.take_back(first);
        }
        event
    }

    fn read(&mut self, record: &Span, values: &mut Values) -> Option<Event> {
        let chunk = self.chunk;
        // A record whose own time is none is not read.
        if u64_at(chunk, record.start + 16)? > LATEST {
            return None;
        }
        let start = record.start + RECORD_HEADER_SIZE;
        let number = self.instance(start..record.end.checked_sub(SIZE_COPY)?, true)?;
        let nested = match &self.names.templates.known.get(number)?.plan {
            Plan::Event(plan) => match plan.payload {
                Payload::Nested(value) => Some(usize::from(value)),
                _ => None,
            },
            Plan::Data(_) => return None,
        };
        let payload = nested.and_then(|place| self.system.get(place)).copied();
        let is_fragment = |value: &Value| value.kind == value::BIN_XML;
        // Elsewhere a fragment could bring any element along, and any other value a text.
        if self.system.iter().filter(|v| is_fragment(v)).count()
            != payload.iter().filter(|v| is_fragment(v)).count()
        {
            return None;
        }
        let data = match payload {
            Some(payload) if payload.kind == value::BIN_XML => {
                Some(self.instance(payload.place(), false)?)
            }
            Some(payload) if payload.kind != value::NULL => return None,
            None if nested.is_some() => return None,
            _ => None,
        };
        if data.is_some() && self.data.iter().any(is_fragment) {
            return None;
        }
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
        let event = record.system(plan, names, values.next())?;
        if let Some((fields, of)) = fields {
            record_fields(chunk, fields, of, event.info(), values)?;
        }
        Some(event)
    }

    /// Reads an instance of a template that takes this room, and returns the number of its plan.
    fn instance(&mut self, room: std::ops::Range<usize>, is_record: bool) -> Option<usize> {
        let chunk = self.chunk;
        let start = match *chunk.get(room.start..room.start + 5)? {
            [token::FRAGMENT_HEADER, _, _, _, token::TEMPLATE_INSTANCE] => room.start + 4,
            [token::TEMPLATE_INSTANCE, ..] => room.start,
            _ => return None,
        };
        // The token, a version and the template's ID.
        let definition = u32_at(chunk, start + 6)?;
        let mut at = start + 10;
        let number = self.template(definition)?;
        if definition as usize == at {
            let size = u32_at(chunk, at + DEFINITION_HEADER_SIZE - 4)? as usize;
            at = at.checked_add(DEFINITION_HEADER_SIZE)?.checked_add(size)?;
        }
        let count = u32_at(chunk, at)? as usize;
        if count > MOST_VALUES {
            return None;
        }
        let descriptors = chunk.get(at + 4..at + 4 + count * 4)?;
        at += 4 + count * 4;
        let values = match is_record {
            true => &mut self.system,
            false => &mut self.data,
        };
        values.clear();
        for [low, high, kind, _] in descriptors.as_chunks().0 {
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
        // Anything after the values but an end is another stream.
        let ended = at == room.end || at < room.end && chunk.get(at) == Some(&token::END);
        ended.then_some(number)
    }

    fn template(&mut self, definition: u32) -> Option<usize> {
        if let Some((_, known)) = self.here.iter().find(|(offset, _)| *offset == definition) {
            return *known;
        }
        if self.here.len() >= MOST_TEMPLATES_OF_CHUNK {
            return None;
        }
        let (templates, strings) = (&mut self.names.templates, &mut self.names.strings);
        let at = definition as usize;
        let found = templates
            .find(self.chunk, at)
            .or_else(|| templates.insert(self.chunk, at, strings));
        self.here.push((definition, found));
        found
    }
}

/// A value of a record and where it stands.
#[derive(Clone, Copy)]
struct Value {
    kind: u8,
    length: u16,
    at: u32,
}

impl Value {
    fn place(self) -> std::ops::Range<usize> {
        let start = self.at as usize;
        start..start + usize::from(self.length)
    }

    fn bytes(self, chunk: &[u8]) -> Option<&[u8]> {
        chunk.get(self.place())
    }

    /// Whether its size is one of its type's.
    fn is_sound(self, chunk: &[u8]) -> bool {
        let size = usize::from(self.length);
        match self.kind {
            value::UNICODE => size.is_multiple_of(2),
            value::BIN_XML => size > 0,
            value::POINTER => matches!(size, 4 | 8),
            value::SID => match chunk.get(self.at as usize + 1) {
                Some(count) => size == 8 + 4 * usize::from(*count),
                None => false,
            },
            kind => match FIXED_SIZE.get(usize::from(kind)) {
                None | Some(&ODD) => false,
                Some(&FREE) => true,
                Some(fixed) => usize::from(*fixed) == size,
            },
        }
    }

    /// An unsigned number, of any width.
    fn number(self, chunk: &[u8]) -> Option<u64> {
        let bytes = self.bytes(chunk)?;
        Some(match self.kind {
            value::UINT8 => u64::from(*bytes.first()?),
            value::UINT16 => u64::from(u16_at(bytes, 0)?),
            value::UINT32 => u64::from(u32_at(bytes, 0)?),
            value::UINT64 => u64_at(bytes, 0)?,
            _ => return None,
        })
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
    fn bytes(&self, place: u16, kind: u8) -> Option<Option<&[u8]>> {
        let value = self.value(place)?;
        match value.kind {
            value::NULL => Some(None),
            of if of == kind => Some(Some(value.bytes(self.chunk)?)),
            _ => None,
        }
    }

    /// A text that many events share.
    fn text(&mut self, place: u16, kind: u8) -> Option<Option<Arc<str>>> {
        let Some(bytes) = self.bytes(place, kind)? else {
            return Some(None);
        };
        let known = self
            .recent
            .iter()
            .find(|(of, known, _)| *of == kind && **known == *bytes);
        if let Some((_, _, text)) = known {
            return Some(Some(Arc::clone(text)));
        }
        let mut text = String::new();
        let bytes: Box<[u8]> = bytes.into();
        let value = self.value(place)?;
        push_value(self.chunk, value, &mut text)?;
        let text = intern(self.strings, &text);
        if self.recent.len() >= MOST_RECENT {
            self.recent.clear();
        }
        self.recent.push((kind, bytes, Arc::clone(&text)));
        Some(Some(text))
    }

    fn shared(&mut self, text: &Text) -> Option<Arc<str>> {
        match text {
            Text::Literal(text) => Some(Arc::clone(text)),
            Text::Value(place) => match self.text(*place, value::UNICODE)? {
                Some(text) => Some(text),
                None => Some(intern(self.strings, "")),
            },
        }
    }

    /// The event whose fields have these names, and values from this one on.
    fn system(
        &mut self,
        plan: &EventPlan,
        names: Option<Arc<FieldNames>>,
        first: u32,
    ) -> Option<Event> {
        if plan.dependency != NO_DEPENDENCY && self.value(plan.dependency)?.kind == value::NULL {
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
            if *dependency != NO_DEPENDENCY && self.value(*dependency)?.kind == value::NULL {
                continue;
            }
            let byte = |number: u64| u8::try_from(number).unwrap_or(0);
            match part {
                Part::Provider(Ok(literal)) => provider = Some(*literal),
                Part::Provider(Err(place)) => {
                    let name = self.bytes(*place, value::UNICODE)??;
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
                    keywords = u64_at(self.bytes(*place, value::HEX_INT64)??, 0)?;
                }
                Part::RecordId(place) => record_id = Some(self.number(*place)?),
                Part::Time(place) => {
                    let ticks = u64_at(self.bytes(*place, value::FILETIME)??, 0)?;
                    time = Some(filetime(ticks)?);
                }
                Part::Activity(place) => {
                    let bytes = self.bytes(*place, value::GUID)?;
                    activity_id = match bytes {
                        Some(bytes) => Some(Uuid::from_bytes_le(*bytes.first_chunk()?)),
                        None => None,
                    }
                    .filter(|id| !id.is_nil());
                }
                Part::Execution { process, thread } => {
                    for (place, id) in [(process, &mut process_id), (thread, &mut thread_id)] {
                        if let Some(place) = place
                            && let Some(bytes) = self.bytes(*place, value::UINT32)?
                        {
                            *id = Some(u32_at(bytes, 0)?);
                        }
                    }
                }
                Part::Channel(text) => channel = Some(self.shared(text)?),
                Part::Computer(text) => computer = Some(self.shared(text)?),
                Part::User(place) => user_sid = self.text(*place, value::SID)?,
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
        Some(Event {
            time: time?,
            record_id: record_id?,
            // Process 0 is idle: exports write it where the number was lost.
            process_id: process_id.filter(|id| *id != 0),
            thread_id,
            activity_id,
            data: Data::new(header.names.clone(), first),
            header,
        })
    }
}

/// Appends the values of an event's fields, secrets masked.
fn record_fields(
    chunk: &[u8],
    fields: &DataPlan,
    of: &[Value],
    info: Option<&'static EventInfo>,
    values: &mut Values,
) -> Option<()> {
    for (name, field) in fields.names.0.iter().zip(&fields.values) {
        let text = values.text();
        let start = text.len();
        if let Some(place) = field {
            push_value(chunk, *of.get(usize::from(*place))?, text)?;
        }
        mask_from(text, start, name, info);
        values.end_value();
    }
    Some(())
}

/// Masks the secrets in a field's value, which stands in the text from here on.
pub(crate) fn mask_from(
    text: &mut String,
    start: usize,
    name: &str,
    info: Option<&'static EventInfo>,
) {
    let value = text.get(start..).unwrap_or("");
    if value.is_empty() {
        return;
    }
    let is_secret = info.is_some_and(|info| info.fields(Role::Secret).any(|field| field == name));
    let masked = match is_secret {
        true => Cow::Borrowed(secret::MASK),
        false => match secret::mask(value) {
            Cow::Owned(masked) => Cow::Owned(masked),
            Cow::Borrowed(_) => return,
        },
    };
    text.truncate(start);
    text.push_str(&masked);
}

fn filetime(ticks: u64) -> Option<DateTime<Utc>> {
    if ticks > LATEST {
        return None;
    }
    let seconds = i64::try_from(ticks / TICKS).ok()? - UNIX_EPOCH;
    let nanoseconds = u32::try_from(ticks % TICKS * 100).ok()?;
    DateTime::from_timestamp(seconds, nanoseconds)
}

/// Appends a value as the evtx crate writes it; nothing if it is of a rarer type.
fn push_value(chunk: &[u8], value: Value, text: &mut String) -> Option<()> {
    let bytes = value.bytes(chunk)?;
    match value.kind {
        value::NULL => {}
        value::UNICODE => push_text(bytes, text)?,
        value::UINT8 | value::UINT16 | value::UINT32 | value::UINT64 => {
            push_decimal(value.number(chunk)?, text);
        }
        value::INT8 => push_signed(i64::from(bytes.first()?.cast_signed()), text),
        value::INT16 => push_signed(i64::from(u16_at(bytes, 0)?.cast_signed()), text),
        value::INT32 => push_signed(i64::from(u32_at(bytes, 0)?.cast_signed()), text),
        value::INT64 => push_signed(u64_at(bytes, 0)?.cast_signed(), text),
        value::BOOLEAN => match u32_at(bytes, 0)? {
            0 => text.push_str("false"),
            1 => text.push_str("true"),
            other => push_signed(i64::from(other.cast_signed()), text),
        },
        value::BINARY => push_hex(bytes, b"0123456789ABCDEF", text),
        value::GUID => {
            let id = Uuid::from_bytes_le(*bytes.first_chunk()?);
            text.push_str(id.braced().encode_lower(&mut Uuid::encode_buffer()));
        }
        value::HEX_INT32 => push_number(u64::from(u32_at(bytes, 0)?), text),
        value::HEX_INT64 => push_number(u64_at(bytes, 0)?, text),
        value::POINTER if bytes.len() == 4 => push_number(u64::from(u32_at(bytes, 0)?), text),
        value::POINTER => push_number(u64_at(bytes, 0)?, text),
        value::FILETIME => {
            let time = filetime(u64_at(bytes, 0)?)?;
            text.push_str(&crate::report::Time(time).to_string());
        }
        value::SID => push_sid(bytes, text)?,
        _ => return None,
    }
    Some(())
}

fn push_decimal(mut number: u64, text: &mut String) {
    // Of the largest number there are 20.
    let mut digits = [b'0'; 20];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    let digits = digits.get(20 - length..).unwrap_or_default();
    text.push_str(str::from_utf8(digits).unwrap_or_default());
}

fn push_signed(number: i64, text: &mut String) {
    if number < 0 {
        text.push('-');
    }
    push_decimal(number.unsigned_abs(), text);
}

/// `0x`, and the digits that it takes.
fn push_number(number: u64, text: &mut String) {
    text.push_str("0x");
    let leading = number.leading_zeros() / 4;
    for place in (0..16 - leading.min(15)).rev() {
        let digit = (number >> (place * 4)) as u32 & 0xf;
        text.extend(char::from_digit(digit, 16));
    }
}

fn push_hex(bytes: &[u8], digits: &[u8; 16], text: &mut String) {
    let digit = |nibble: u8| {
        digits
            .get(usize::from(nibble))
            .map(|digit| char::from(*digit))
    };
    for byte in bytes {
        text.extend(digit(byte >> 4));
        text.extend(digit(byte & 0xf));
    }
}

fn push_sid(bytes: &[u8], text: &mut String) -> Option<()> {
    let [revision, _, authority @ ..] = bytes.first_chunk::<8>()?;
    text.push_str("S-");
    push_decimal(u64::from(*revision), text);
    text.push('-');
    let authority = authority
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    push_decimal(authority, text);
    for part in bytes.get(8..)?.as_chunks().0 {
        text.push('-');
        push_decimal(u64::from(u32::from_le_bytes(*part)), text);
    }
    Some(())
}

/// Appends a text, which ends at its first NUL. Most have one at their end, and no other.
fn push_text(bytes: &[u8], text: &mut String) -> Option<()> {
    let start = text.len();
    let whole = bytes.strip_suffix(&[0, 0]).unwrap_or(bytes);
    push_utf16(whole, text).or_else(|| {
        text.truncate(start);
        push_utf16(until_nul(bytes), text)
    })
}

/// The text before the first NUL.
fn until_nul(bytes: &[u8]) -> &[u8] {
    let (units, _) = bytes.as_chunks::<2>();
    let end = units.iter().position(|unit| *unit == [0, 0]);
    bytes
        .get(..end.unwrap_or(units.len()) * 2)
        .unwrap_or_default()
}

/// Appends UTF-16; nothing if there are characters in it that XML has none for.
fn push_utf16(bytes: &[u8], text: &mut String) -> Option<()> {
    /// Long enough that hardly a text takes more than a few.
    const BLOCK: usize = 128;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (block, after) = rest.split_at(rest.len().min(BLOCK * 2));
        let (units, _) = block.as_chunks::<2>();
        let mut letters = [0; BLOCK];
        let (mut all, mut control) = (0, false);
        for (letter, unit) in letters.iter_mut().zip(units) {
            let unit = u16::from_le_bytes(*unit);
            all |= unit;
            control |= unit < 0x20;
            *letter = unit as u8;
        }
        if all >= 0x80 {
            // By characters from here on: two of them may stand for one across blocks.
            return push_characters(rest, text);
        }
        let letters = letters.get(..units.len())?;
        let is_allowed = |letter: &u8| *letter >= 0x20 || matches!(letter, b'\t' | b'\n' | b'\r');
        if control && !letters.iter().all(is_allowed) {
            return None;
        }
        text.push_str(str::from_utf8(letters).ok()?);
        rest = after;
    }
    Some(())
}

fn push_characters(bytes: &[u8], text: &mut String) -> Option<()> {
    let (units, _) = bytes.as_chunks();
    for character in char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
        let character = character.ok()?;
        let is_allowed = match character {
            '\t' | '\n' | '\r' => true,
            '\u{fffe}' | '\u{ffff}' => false,
            other => other >= ' ',
        };
        is_allowed.then(|| text.push(character))?;
    }
    Some(())
}
