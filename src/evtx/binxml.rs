//! Binary XML, as far as it is read in place: its tokens, its value types, and a cursor over the
//! body of a template.

use crate::base::bytes::{u16_at, u32_at};

/// Next offset, GUID and size before a template's body.
pub(crate) const DEFINITION_HEADER_SIZE: usize = 24;
/// Next offset and hash before a name's length and characters.
pub(crate) const NAME_LINK_SIZE: usize = 6;

/// The value that an element depends on which is there whatever the values.
pub(crate) const NO_DEPENDENCY: u16 = 0xffff;

/// BinXML tokens. Those with [`MORE`] set are followed by further ones of their kind.
///
/// [`MORE`]: token::MORE
pub(crate) mod token {
    pub(crate) const END: u8 = 0x00;
    pub(crate) const OPEN_START: u8 = 0x01;
    pub(crate) const CLOSE_START: u8 = 0x02;
    pub(crate) const CLOSE_EMPTY: u8 = 0x03;
    pub(crate) const CLOSE_ELEMENT: u8 = 0x04;
    pub(crate) const VALUE: u8 = 0x05;
    pub(crate) const ATTRIBUTE: u8 = 0x06;
    pub(crate) const TEMPLATE_INSTANCE: u8 = 0x0c;
    pub(crate) const SUBSTITUTION: u8 = 0x0d;
    pub(crate) const OPTIONAL_SUBSTITUTION: u8 = 0x0e;
    pub(crate) const FRAGMENT_HEADER: u8 = 0x0f;
    pub(crate) const MORE: u8 = 0x40;
}

/// BinXML value types.
pub(crate) mod value {
    pub(crate) const NULL: u8 = 0x00;
    pub(crate) const UNICODE: u8 = 0x01;
    pub(crate) const ANSI: u8 = 0x02;
    pub(crate) const INT8: u8 = 0x03;
    pub(crate) const UINT8: u8 = 0x04;
    pub(crate) const INT16: u8 = 0x05;
    pub(crate) const UINT16: u8 = 0x06;
    pub(crate) const INT32: u8 = 0x07;
    pub(crate) const UINT32: u8 = 0x08;
    pub(crate) const INT64: u8 = 0x09;
    pub(crate) const UINT64: u8 = 0x0a;
    pub(crate) const BOOLEAN: u8 = 0x0d;
    pub(crate) const BINARY: u8 = 0x0e;
    pub(crate) const GUID: u8 = 0x0f;
    pub(crate) const POINTER: u8 = 0x10;
    pub(crate) const FILETIME: u8 = 0x11;
    pub(crate) const SID: u8 = 0x13;
    pub(crate) const HEX_INT32: u8 = 0x14;
    pub(crate) const HEX_INT64: u8 = 0x15;
    pub(crate) const BIN_XML: u8 = 0x21;
}

/// The size of a type's value does not depend on the type.
pub(crate) const FREE: u8 = 0xff;
/// Not looked at here.
pub(crate) const ODD: u8 = 0xfe;

/// Sizes of values by their type: null and texts have any, arrays and the rarer types are not
/// looked at.
#[rustfmt::skip]
pub(crate) const FIXED_SIZE: [u8; 0x22] = [
    // null, UTF-16, ANSI, 8 to 64 bits signed and unsigned
    FREE, FREE, FREE, 1, 1, 2, 2, 4, 4, 8, 8,
    // float, double, Boolean, binary, GUID, pointer, FILETIME, SYSTEMTIME, SID, hex 32 and 64
    4, 8, 4, FREE, 16, ODD, 8, 16, ODD, 4, 8,
    ODD, ODD, ODD, ODD, ODD, ODD, ODD, ODD, ODD, ODD, ODD,
    // BinXML
    FREE,
];

/// A cursor over the tokens of a template's body.
pub(crate) struct Tokens<'a> {
    pub(crate) chunk: &'a [u8],
    pub(crate) at: usize,
    pub(crate) end: usize,
    /// The values seen go up to this one, not including it.
    pub(crate) values: u16,
}

impl<'a> Tokens<'a> {
    /// Stands before the first element of the template that is defined here.
    pub(crate) fn of_template(chunk: &'a [u8], definition: usize) -> Option<Tokens<'a>> {
        let size = definition.checked_add(DEFINITION_HEADER_SIZE - 4)?;
        let size = u32_at(chunk, size)? as usize;
        let start = definition + DEFINITION_HEADER_SIZE;
        let mut tokens = Tokens {
            chunk,
            at: start,
            end: start.checked_add(size)?.min(chunk.len()),
            values: 0,
        };
        if tokens.peek()? == token::FRAGMENT_HEADER {
            tokens.at += 4;
        }
        Some(tokens)
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        (self.at < self.end)
            .then(|| self.chunk.get(self.at).copied())
            .flatten()
    }

    /// The next token without its flag.
    pub(crate) fn next(&mut self) -> Option<u8> {
        let token = self.peek()?;
        self.at += 1;
        Some(token & !token::MORE)
    }

    /// An element's start; returns whether it has this name, and the value that the element
    /// depends on.
    pub(crate) fn open(&mut self, name: &str) -> Option<(bool, u16)> {
        let (found, dependency) = self.open_any()?;
        Some((is_name(found, name), dependency))
    }

    /// An element's start; returns its name, and the value that the element depends on.
    pub(crate) fn open_any(&mut self) -> Option<(&'a [u8], u16)> {
        let has_attributes = self.peek()? & token::MORE != 0;
        if self.next()? != token::OPEN_START {
            return None;
        }
        let dependency = u16_at(self.chunk, self.at)?;
        // The dependency and the element's size.
        self.at += 6;
        let name = self.any_name()?;
        if has_attributes {
            self.at += 4;
        }
        Some((name, dependency))
    }

    /// Reads a reference to a name and says whether it is the one asked for.
    pub(crate) fn name(&mut self, name: &str) -> Option<bool> {
        self.any_name().map(|found| is_name(found, name))
    }

    /// Reads a reference to a name, and returns its UTF-16 characters; nothing if it is no plain
    /// word. The evtx crate ends names at a NUL and writes them into the XML as they stand, so that
    /// other ones could hold elements.
    pub(crate) fn any_name(&mut self) -> Option<&'a [u8]> {
        let offset = u32_at(self.chunk, self.at)? as usize;
        self.at += 4;
        let (characters, end) = name_at(self.chunk, offset)?;
        if offset == self.at {
            // The name stands here, with a NUL behind it.
            self.at = end + 2;
        }
        let is_plain = |unit: &[u8; 2]| unit[1] == 0 && unit[0].is_ascii_alphanumeric();
        let (units, _) = characters.as_chunks();
        (!units.is_empty() && units.iter().all(is_plain)).then_some(characters)
    }

    /// Attributes with literal values only, up to the end of an element's start.
    pub(crate) fn literal_attributes(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                token::ATTRIBUTE => {
                    self.any_name()?;
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
    pub(crate) fn literal(&mut self) -> Option<&'a [u8]> {
        if self.chunk.get(self.at) != Some(&value::UNICODE) {
            return None;
        }
        let length = usize::from(u16_at(self.chunk, self.at + 1)?);
        let start = self.at + 3;
        self.at = start + length * 2;
        self.chunk.get(start..self.at)
    }

    /// The value that is put in here.
    pub(crate) fn substitution(&mut self) -> Option<u16> {
        let value = u16_at(self.chunk, self.at)?;
        self.at += 3;
        self.values = self.values.max(value.checked_add(1)?);
        Some(value)
    }
}

/// The UTF-16 characters of the name that stands here, and where they end.
pub(crate) fn name_at(chunk: &[u8], offset: usize) -> Option<(&[u8], usize)> {
    let length = usize::from(u16_at(chunk, offset.checked_add(NAME_LINK_SIZE)?)?);
    let start = offset + NAME_LINK_SIZE + 2;
    let end = start + length * 2;
    Some((chunk.get(start..end)?, end))
}

/// Whether UTF-16 characters are these.
pub(crate) fn is_name(characters: &[u8], name: &str) -> bool {
    let (units, _) = characters.as_chunks();
    name.encode_utf16()
        .eq(units.iter().map(|unit| u16::from_le_bytes(*unit)))
}
