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

use crate::base::bytes::u32_at;
use crate::evtx::binxml::{
    DEFINITION_HEADER_SIZE, FIXED_SIZE, FREE, NO_DEPENDENCY, ODD, Tokens, token, value,
};
use crate::evtx::chunk::{RECORD_HEADER_SIZE, Span};
use crate::facts::Provider;
use std::sync::LazyLock;

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
/// `chunk` is as much of the chunk as [`chunk::read`](crate::evtx::chunk::read) was given, and `records`
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

/// Where a template names the provider: in the attribute `Name` of `Event/System/Provider`. Nothing
/// if anything about it is unusual, so that the values could make another document of it.
fn template_at(chunk: &[u8], offset: usize, names: &Names) -> Option<Template> {
    let mut tokens = Tokens::of_template(chunk, offset)?;
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

impl Tokens<'_> {
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
