//! Which records of a chunk are ours, decided in place.
//!
//! Nearly all records are foreign, and decoding them is what costs. A record is an instance of a
//! template: its definition says where the provider's name stands, as a literal or as one of the
//! instance's values, and is looked at once a chunk; after that one value of each record is
//! compared. In the records of both our providers the name is a value.
//!
//! What is left out here is never looked at again, so only a record that is proven to name another
//! provider is left out. Whatever does not have the usual shape is decoded and then asked: bare
//! elements, names in several parts, values whose sizes do not fit their types.

use crate::chunk::{RECORD_HEADER_SIZE, Span, u16_at, u32_at};
use crate::event::Provider;
use std::sync::LazyLock;

/// Next offset, GUID and size before a template's body.
const DEFINITION_HEADER_SIZE: usize = 24;
/// Next offset and hash before a name's length and characters.
const NAME_LINK_SIZE: usize = 6;

/// The value that an element depends on which is there whatever the values.
const NO_DEPENDENCY: u16 = 0xffff;

/// BinXML tokens. Those with [`MORE`] set are followed by further ones of their kind.
mod token {
    pub(super) const OPEN_START: u8 = 0x01;
    pub(super) const CLOSE_START: u8 = 0x02;
    pub(super) const CLOSE_EMPTY: u8 = 0x03;
    pub(super) const CLOSE_ELEMENT: u8 = 0x04;
    pub(super) const VALUE: u8 = 0x05;
    pub(super) const ATTRIBUTE: u8 = 0x06;
    pub(super) const TEMPLATE_INSTANCE: u8 = 0x0c;
    pub(super) const SUBSTITUTION: u8 = 0x0d;
    pub(super) const OPTIONAL_SUBSTITUTION: u8 = 0x0e;
    pub(super) const FRAGMENT_HEADER: u8 = 0x0f;
    pub(super) const MORE: u8 = 0x40;
}

/// BinXML value types.
mod value {
    pub(super) const UNICODE: u8 = 0x01;
    pub(super) const ANSI: u8 = 0x02;
    pub(super) const SID: u8 = 0x13;
    pub(super) const BIN_XML: u8 = 0x21;
}

/// The names of the providers whose records are wanted.
#[derive(Clone, Debug)]
pub struct Names {
    utf16: Vec<Vec<u8>>,
    ansi: Vec<Vec<u8>>,
}

impl Names {
    /// Prepares the names.
    pub fn new(names: &[&str]) -> Names {
        let utf16 = |name: &&str| name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        Names {
            utf16: names.iter().map(utf16).collect(),
            ansi: names.iter().map(|name| name.as_bytes().to_vec()).collect(),
        }
    }

    /// The names of the providers that the report is about.
    pub fn ours() -> &'static Names {
        static OURS: LazyLock<Names> =
            LazyLock::new(|| Names::new(&Provider::ALL.map(Provider::name)));
        &OURS
    }

    /// Whether a name may be one of these; nothing if it is no plain text.
    fn may_hold(&self, kind: u8, name: &[u8]) -> Option<bool> {
        // A name may end in NULs. An empty one leaves it to the GUID.
        let (empty, names) = match kind {
            value::UNICODE if name.len().is_multiple_of(2) => {
                let empty = name.first_chunk().is_none_or(|unit| *unit == [0, 0]);
                (empty, &self.utf16)
            }
            // The evtx crate drops NULs wherever they stand in an ANSI text.
            value::ANSI if !name.contains(&0) => (name.is_empty(), &self.ansi),
            _ => return None,
        };
        (!empty).then(|| names.iter().any(|wanted| name.starts_with(wanted)))
    }
}

/// The records of a chunk that may be of the named providers, in their order.
///
/// `chunk` is as much of the chunk as [`chunk::read`](crate::chunk::read) was given, and `records`
/// are what it found there.
pub fn wanted(chunk: &[u8], records: &[Span], names: &Names) -> Vec<Span> {
    let mut templates = Templates::new(chunk, names);
    let wanted = |record: &&Span| templates.is_wanted(record).unwrap_or(true);
    records.iter().filter(wanted).copied().collect()
}

/// Where the records of a template name their provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// In the template: another provider.
    Foreign,
    /// In this value of the record.
    Value(u16),
    /// In the template: one of the wanted. Or in a way that is not read here.
    Elsewhere,
}

/// What a template says of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Template {
    named: Named,
    /// The System part uses values up to this one, not including it.
    values_of_system: u16,
}

const ELSEWHERE: Template = Template {
    named: Named::Elsewhere,
    values_of_system: 0,
};

/// What was worked out of a record's descriptors. The next record of its template most often has
/// the same ones, up to the provider's name.
#[derive(Clone, Copy)]
struct Layout {
    /// The descriptors, as far as they were looked at; the rest is not used.
    head: [u8; HEAD],
    length: usize,
    /// How far behind the descriptors the name stands.
    skip: usize,
    /// The one value on the way whose size is in itself, and its count: a SID.
    sid: Option<(usize, u8)>,
}

/// Room for the descriptors of the System part, four bytes each.
const HEAD: usize = 96;

/// A template that was looked at, by the offset of its definition.
#[derive(Clone, Copy)]
struct Place {
    offset: u32,
    template: Template,
    layout: Layout,
}

/// No definition stands at offset 0, where the chunk's header is.
const NOWHERE: Place = Place {
    offset: 0,
    template: ELSEWHERE,
    layout: Layout {
        head: [0; HEAD],
        length: 0,
        skip: 0,
        sid: None,
    },
};

/// The templates of a chunk that were looked at.
struct Templates<'a> {
    chunk: &'a [u8],
    names: &'a Names,
    /// Two offsets may share a place: the one looked at last has it.
    places: [Place; PLACES],
}

/// More than the templates of nearly every chunk.
const PLACES: usize = 64;

impl<'a> Templates<'a> {
    fn new(chunk: &'a [u8], names: &'a Names) -> Templates<'a> {
        Templates {
            chunk,
            names,
            places: [NOWHERE; PLACES],
        }
    }

    fn look_up(&mut self, offset: u32) -> Option<&mut Place> {
        // Definitions stand at any offset; the odd multiplier spreads them over the places.
        let hash = (offset.wrapping_mul(0x9e37_79b1) >> 26) as usize;
        let place = self.places.get_mut(hash % PLACES)?;
        if place.offset != offset {
            let template = template_at(self.chunk, offset as usize, self.names);
            place.offset = offset;
            place.template = template.unwrap_or(ELSEWHERE);
            place.layout.length = 0;
        }
        Some(place)
    }

    /// Whether a record may be of the providers; nothing if it does not have the usual shape.
    fn is_wanted(&mut self, record: &Span) -> Option<bool> {
        let (chunk, names) = (self.chunk, self.names);
        let start = record.start + RECORD_HEADER_SIZE;
        let token = match *chunk.get(start..start + 5)? {
            [token::FRAGMENT_HEADER, _, _, _, token::TEMPLATE_INSTANCE] => start + 4,
            [token::TEMPLATE_INSTANCE, ..] => start,
            _ => return None,
        };
        // The token, a version and the template's ID.
        let definition = u32_at(chunk, token + 6)?;
        let mut values = token + 10;
        let place = self.look_up(definition)?;
        let template = place.template;
        if template.named == Named::Elsewhere {
            return None;
        }
        if definition as usize == values {
            let size = u32_at(chunk, values + DEFINITION_HEADER_SIZE - 4)? as usize;
            values = values
                .checked_add(DEFINITION_HEADER_SIZE)?
                .checked_add(size)?;
        }
        let count = u32_at(chunk, values)? as usize;
        if count > chunk.len() {
            return None;
        }
        let descriptors = chunk.get(values + 4..values + 4 + count * 4)?;
        let value = match template.named {
            Named::Value(value) => Some(usize::from(value)).filter(|value| *value < count)?,
            Named::Foreign if has_fragment(descriptors, template) => return None,
            Named::Foreign => return Some(false),
            Named::Elsewhere => return None,
        };
        let wanted = (value + 1).max(usize::from(template.values_of_system));
        let head = descriptors.get(..4 * wanted.min(count))?;
        let values = values + 4 + count * 4;
        let layout = &mut place.layout;
        let is_same = layout.length == head.len() && layout.head.starts_with(head);
        if !is_same {
            let (skip, sid) = skip(chunk, head.get(..4 * value)?, values)?;
            if has_fragment(descriptors, template) {
                return None;
            }
            layout.skip = skip;
            layout.sid = sid;
            layout.length = 0;
            if let Some(place) = layout.head.get_mut(..head.len()) {
                place.copy_from_slice(head);
                layout.length = head.len();
            }
        } else if let Some((at, count)) = layout.sid
            && chunk.get(values + at) != Some(&count)
        {
            return None;
        }
        let [low, high, kind, _] = *head.get(4 * value..4 * value + 4)? else {
            return None;
        };
        let at = values + layout.skip;
        let size = usize::from(u16::from_le_bytes([low, high]));
        names.may_hold(kind, chunk.get(at..at + size)?)
    }
}

/// Whether a fragment stands among the values of the System part, which could bring another
/// Provider along.
fn has_fragment(descriptors: &[u8], template: Template) -> bool {
    let of_system = descriptors
        .chunks_exact(4)
        .take(usize::from(template.values_of_system));
    of_system
        .into_iter()
        .any(|descriptor| descriptor.get(2) == Some(&value::BIN_XML))
}

/// How many bytes these descriptors' values take, and where the SID among them says its count;
/// nothing if a size does not fit its type, which moves the values after it.
fn skip(chunk: &[u8], descriptors: &[u8], values: usize) -> Option<(usize, Option<(usize, u8)>)> {
    let mut skip = 0;
    let mut sid = None;
    for descriptor in descriptors.chunks_exact(4) {
        let [low, high, kind, _] = *descriptor else {
            return None;
        };
        let size = usize::from(u16::from_le_bytes([low, high]));
        let fits = match kind {
            value::SID => {
                let count = *chunk.get(values + skip + 1)?;
                // One is remembered: more there are in no real record.
                sid.replace((skip + 1, count)).is_none() && 8 + 4 * usize::from(count) == size
            }
            kind => match FIXED_SIZE.get(usize::from(kind))? {
                &FREE => true,
                &ODD => false,
                fixed => usize::from(*fixed) == size,
            },
        };
        if !fits {
            return None;
        }
        skip += size;
    }
    Some((skip, sid))
}

/// The size of a type's value does not depend on the type.
const FREE: u8 = 0xff;
/// Not looked at here.
const ODD: u8 = 0xfe;

/// Sizes of values by their type: null and texts have any, arrays and the rarer types are not
/// looked at.
#[rustfmt::skip]
const FIXED_SIZE: [u8; 0x22] = [
    // null, UTF-16, ANSI, 8 to 64 bits signed and unsigned
    FREE, FREE, FREE, 1, 1, 2, 2, 4, 4, 8, 8,
    // float, double, Boolean, binary, GUID, pointer, FILETIME, SYSTEMTIME, SID, hex 32 and 64
    4, 8, 4, FREE, 16, ODD, 8, 16, ODD, 4, 8,
    ODD, ODD, ODD, ODD, ODD, ODD, ODD, ODD, ODD, ODD, ODD,
    // BinXML
    FREE,
];

/// Where a template names the provider: in the attribute `Name` of `Event/System/Provider`. Nothing
/// if anything about it is unusual, so that the values could make another document of it.
fn template_at(chunk: &[u8], offset: usize, names: &Names) -> Option<Template> {
    let size = u32_at(chunk, offset.checked_add(DEFINITION_HEADER_SIZE - 4)?)? as usize;
    let start = offset + DEFINITION_HEADER_SIZE;
    let mut tokens = Tokens {
        chunk,
        at: start,
        end: start.checked_add(size)?.min(chunk.len()),
        values: 0,
    };
    if tokens.peek()? == token::FRAGMENT_HEADER {
        tokens.at += 4;
    }
    // <Event xmlns="…"><System>. Where a value that Event depends on is null there is no event at
    // all; System must be there, or what a value holds could stand in for it.
    tokens.open("Event")?;
    tokens.literal_attributes()?;
    if tokens.open("System")? != (true, NO_DEPENDENCY) {
        return None;
    }
    tokens.literal_attributes()?;
    // <Provider Name="…" Guid="…"/>, always the first in it.
    if tokens.open("Provider")? != (true, NO_DEPENDENCY) {
        return None;
    }
    let named = tokens.provider_name(names)?;
    tokens.rest_of_system()?;
    Some(Template {
        named,
        values_of_system: tokens.values,
    })
}

/// A cursor over the tokens of a template's body.
struct Tokens<'a> {
    chunk: &'a [u8],
    at: usize,
    end: usize,
    /// The values seen go up to this one, not including it.
    values: u16,
}

impl Tokens<'_> {
    fn peek(&self) -> Option<u8> {
        (self.at < self.end)
            .then(|| self.chunk.get(self.at).copied())
            .flatten()
    }

    /// The next token without its flag.
    fn next(&mut self) -> Option<u8> {
        let token = self.peek()?;
        self.at += 1;
        Some(token & !token::MORE)
    }

    /// An element's start; returns whether it has this name, and the value that the element
    /// depends on.
    fn open(&mut self, name: &str) -> Option<(bool, u16)> {
        let has_attributes = self.peek()? & token::MORE != 0;
        if self.next()? != token::OPEN_START {
            return None;
        }
        let dependency = u16_at(self.chunk, self.at)?;
        // The dependency and the element's size.
        self.at += 6;
        let is_named = self.name(name)?;
        if has_attributes {
            self.at += 4;
        }
        Some((is_named, dependency))
    }

    /// Reads a reference to a name and says whether it is the one asked for; nothing if it is no
    /// plain word. The evtx crate ends names at a NUL and writes them into the XML as they stand,
    /// so that other ones could hold elements.
    fn name(&mut self, name: &str) -> Option<bool> {
        let offset = u32_at(self.chunk, self.at)? as usize;
        self.at += 4;
        let length = usize::from(u16_at(self.chunk, offset.checked_add(NAME_LINK_SIZE)?)?);
        let start = offset + NAME_LINK_SIZE + 2;
        let characters = self.chunk.get(start..start + length * 2)?;
        if offset == self.at {
            // The name stands here, with a NUL behind it.
            self.at = start + length * 2 + 2;
        }
        let units = characters.chunks_exact(2).map(|unit| match unit {
            [low, high] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        });
        let is_plain = |unit| u8::try_from(unit).is_ok_and(|c| c.is_ascii_alphanumeric());
        let plain = length > 0 && units.clone().all(is_plain);
        plain.then(|| name.encode_utf16().eq(units))
    }

    /// Attributes with literal values only, up to the end of an element's start.
    fn literal_attributes(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                token::ATTRIBUTE => {
                    self.name("")?;
                }
                token::VALUE => {
                    self.literal()?;
                }
                token::CLOSE_START => return Some(()),
                _ => return None,
            }
        }
    }

    /// A literal text.
    fn literal(&mut self) -> Option<&[u8]> {
        if self.chunk.get(self.at) != Some(&value::UNICODE) {
            return None;
        }
        let length = usize::from(u16_at(self.chunk, self.at + 1)?);
        let start = self.at + 3;
        self.at = start + length * 2;
        self.chunk.get(start..self.at)
    }

    /// The value that is put in here.
    fn substitution(&mut self) -> Option<u16> {
        let value = u16_at(self.chunk, self.at)?;
        self.at += 3;
        self.values = self.values.max(value.checked_add(1)?);
        Some(value)
    }

    /// The attributes of the Provider element, up to its end.
    fn provider_name(&mut self, names: &Names) -> Option<Named> {
        let mut named = None;
        loop {
            match self.next()? {
                token::ATTRIBUTE => {
                    let is_name = self.name("Name")?;
                    let value = match self.next()? {
                        token::VALUE => match names.may_hold(value::UNICODE, self.literal()?)? {
                            true => Named::Elsewhere,
                            false => Named::Foreign,
                        },
                        token::SUBSTITUTION | token::OPTIONAL_SUBSTITUTION => {
                            Named::Value(self.substitution()?)
                        }
                        _ => return None,
                    };
                    if is_name && named.replace(value).is_some() {
                        return None;
                    }
                }
                token::CLOSE_EMPTY => return named,
                // An element with content, as long as there is none.
                token::CLOSE_START if self.next()? == token::CLOSE_ELEMENT => return named,
                _ => return None,
            }
        }
    }

    /// The other elements of System: no value may stand between them, which could take the whole
    /// element away.
    fn rest_of_system(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.next()? {
                token::OPEN_START => {
                    self.at -= 1;
                    if self.open("Provider")?.0 {
                        return None;
                    }
                    depth += 1;
                }
                token::CLOSE_START => {}
                token::CLOSE_EMPTY => depth = depth.checked_sub(1)?,
                token::CLOSE_ELEMENT if depth == 0 => return Some(()),
                token::CLOSE_ELEMENT => depth -= 1,
                token::ATTRIBUTE => {
                    self.name("")?;
                }
                token::VALUE => {
                    self.literal()?;
                }
                token::SUBSTITUTION | token::OPTIONAL_SUBSTITUTION if depth > 0 => {
                    self.substitution()?;
                }
                _ => return None,
            }
        }
    }
}
