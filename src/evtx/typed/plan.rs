//! Templates → plans: which value or literal goes to which part of the event.

use super::shape::Shape;
use super::value::push_utf16;
use crate::base::bytes::{u16_at, u32_at};
use crate::event::FieldNames;
use crate::evtx::binxml::{DEFINITION_HEADER_SIZE, NO_DEPENDENCY, Tokens, is_name, name_at, token};
use crate::evtx::record::{intern, unique_names};
use crate::facts::Provider;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The size of a template's body, the elements of a System part and the attributes of an element in
/// them: far more than real ones have, and few enough that a chunk made to take long does not.
const LARGEST_BODY: usize = 0x4000;
const MOST_PARTS: usize = 64;

/// Templates that were made into plans, and texts that events share.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    pub(super) known: Vec<Known>,
    by_guid: HashMap<[u8; 16], Vec<usize>>,
    pub(super) recent: Vec<Recent>,
    pub(super) shapes: Vec<Shape>,
}

/// A text, and the type and the bytes it was read from.
pub(super) type Recent = (u8, Box<[u8]>, Arc<str>);

/// A template with its plan. A definition elsewhere is the same if its body is, but for where the
/// names in it stand.
#[derive(Debug)]
pub(super) struct Known {
    body: Box<[u8]>,
    names: Vec<NameAt>,
    pub(super) plan: Plan,
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
pub(super) enum Plan {
    Event(EventPlan),
    Data(DataPlan),
}

/// What a template's Event element is made of.
#[derive(Debug)]
pub(super) struct EventPlan {
    /// The value without which there is no event.
    pub(super) dependency: u16,
    pub(super) system: Vec<Step>,
    pub(super) payload: Payload,
}

/// An element of the System part.
#[derive(Debug)]
pub(super) struct Step {
    /// The value without which there is no such element.
    pub(super) dependency: u16,
    pub(super) part: Part,
}

#[derive(Debug)]
pub(super) enum Part {
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
pub(super) enum Text {
    Literal(Arc<str>),
    Value(u16),
}

#[derive(Debug)]
pub(super) enum Payload {
    Nothing,
    Here(DataPlan),
    /// An instance of another template, in this value.
    Nested(u16),
}

/// The fields of an EventData or UserData element.
#[derive(Debug)]
pub(super) struct DataPlan {
    pub(super) names: Arc<FieldNames>,
    /// The value of each, if it has one.
    pub(super) values: Vec<Option<u16>>,
}

impl Templates {
    /// The known template that is defined here.
    pub(super) fn find(&self, chunk: &[u8], definition: usize) -> Option<usize> {
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

    pub(super) fn insert(
        &mut self,
        chunk: &[u8],
        definition: usize,
        names: &mut Strings,
    ) -> Option<usize> {
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
                None if here => from += crate::evtx::binxml::NAME_LINK_SIZE,
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

pub(super) type Strings = HashSet<Arc<str>>;

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
                let mut text = Vec::new();
                push_utf16(self.tokens.literal()?, &mut text)?;
                Content::Literal(String::from_utf8(text).ok()?)
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
