//! Values of records, and the text that the evtx crate makes of them.

use crate::base::bytes::{u16_at, u32_at, u64_at};
use crate::base::time::Filetime;
use crate::evtx::binxml::{FIXED_SIZE, FREE, ODD, value};
use std::io::Write;
use uuid::Uuid;

/// A value of a record and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) kind: u8,
    pub(super) length: u16,
    pub(super) at: u32,
}

impl Value {
    pub(super) fn place(self) -> std::ops::Range<usize> {
        let start = self.at as usize;
        start..start + usize::from(self.length)
    }

    pub(super) fn bytes(self, chunk: &[u8]) -> Option<&[u8]> {
        chunk.get(self.place())
    }

    /// Whether its size is one of its type's.
    pub(super) fn is_sound(self, chunk: &[u8]) -> bool {
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
    pub(super) fn number(self, chunk: &[u8]) -> Option<u64> {
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

/// Appends a value as the evtx crate writes it; nothing if it is of a rarer type.
pub(super) fn push_value(chunk: &[u8], value: Value, text: &mut Vec<u8>) -> Option<()> {
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
            0 => text.extend_from_slice(b"false"),
            1 => text.extend_from_slice(b"true"),
            other => push_signed(i64::from(other.cast_signed()), text),
        },
        value::BINARY => push_hex(bytes, b"0123456789ABCDEF", text),
        value::GUID => {
            let id = Uuid::from_bytes_le(*bytes.first_chunk()?);
            let braced = id.braced();
            text.extend_from_slice(braced.encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        }
        value::HEX_INT32 => push_number(u64::from(u32_at(bytes, 0)?), text),
        value::HEX_INT64 => push_number(u64_at(bytes, 0)?, text),
        value::POINTER if bytes.len() == 4 => push_number(u64::from(u32_at(bytes, 0)?), text),
        value::POINTER => push_number(u64_at(bytes, 0)?, text),
        value::FILETIME => {
            let time = Filetime::from_ticks(u64_at(bytes, 0)?)?.time();
            // Writing to memory does not fail.
            let _ = write!(text, "{}", crate::base::time::Time(time));
        }
        value::SID => push_sid(bytes, text)?,
        _ => return None,
    }
    Some(())
}

fn push_decimal(mut number: u64, text: &mut Vec<u8>) {
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
    text.extend_from_slice(digits.get(20 - length..).unwrap_or_default());
}

fn push_signed(number: i64, text: &mut Vec<u8>) {
    if number < 0 {
        text.push(b'-');
    }
    push_decimal(number.unsigned_abs(), text);
}

/// `0x`, and the digits that it takes.
fn push_number(number: u64, text: &mut Vec<u8>) {
    text.extend_from_slice(b"0x");
    let length = (16 - number.leading_zeros() as usize / 4).max(1);
    let digits = number
        .to_be_bytes()
        .map(|byte| hex(byte, b"0123456789abcdef"));
    let digits = digits.as_flattened();
    text.extend_from_slice(digits.get(16 - length..).unwrap_or_default());
}

fn push_hex(bytes: &[u8], digits: &[u8; 16], text: &mut Vec<u8>) {
    text.extend(bytes.iter().flat_map(|byte| hex(*byte, digits)));
}

fn hex(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    let digit = |nibble: u8| digits.get(usize::from(nibble)).copied().unwrap_or_default();
    [digit(byte >> 4), digit(byte & 0xf)]
}

fn push_sid(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let [revision, _, authority @ ..] = bytes.first_chunk::<8>()?;
    text.extend_from_slice(b"S-");
    push_decimal(u64::from(*revision), text);
    text.push(b'-');
    let authority = authority
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    push_decimal(authority, text);
    for part in bytes.get(8..)?.as_chunks().0 {
        text.push(b'-');
        push_decimal(u64::from(u32::from_le_bytes(*part)), text);
    }
    Some(())
}

/// Appends a text, which ends at its first NUL. Most have one at their end, and no other.
fn push_text(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
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

/// Appends UTF-16 as UTF-8; nothing if there are characters in it that XML has none for.
pub(super) fn push_utf16(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let start = text.len();
    let (units, _) = bytes.as_chunks::<2>();
    // Whether there is a character beyond ASCII, and whether there is a control character.
    let (mut all, mut control) = (0, false);
    for piece in units.chunks(PIECE) {
        let mut letters = [0; PIECE];
        let mut turn = |letters: &mut [u8; BLOCK], units: &[[u8; 2]; BLOCK]| {
            for (letter, unit) in letters.iter_mut().zip(units) {
                let unit = u16::from_le_bytes(*unit);
                all |= unit;
                control |= unit < 0x20;
                *letter = unit as u8;
            }
        };
        let (blocks, rest) = piece.as_chunks::<BLOCK>();
        let mut places = letters.as_chunks_mut::<BLOCK>().0.iter_mut();
        // Blocks first: of the two it is the places that are there for what is left.
        for (block, place) in blocks.iter().zip(places.by_ref()) {
            turn(place, block);
        }
        if let (false, Some(place)) = (rest.is_empty(), places.next()) {
            let mut block = [[b' ', 0]; BLOCK];
            block.get_mut(..rest.len())?.copy_from_slice(rest);
            turn(place, &block);
        }
        text.extend_from_slice(letters.get(..piece.len())?);
    }
    if all >= 0x80 {
        text.truncate(start);
        return push_characters(units, text);
    }
    let is_allowed = |letter: &u8| *letter >= 0x20 || matches!(letter, b'\t' | b'\n' | b'\r');
    (!control || text.get(start..)?.iter().all(is_allowed)).then_some(())
}

/// So many are turned at once, and so many appended: more than most texts have.
const BLOCK: usize = 16;
const PIECE: usize = 128;

fn push_characters(units: &[[u8; 2]], text: &mut Vec<u8>) -> Option<()> {
    for character in char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
        let character = character.ok()?;
        let is_allowed = match character {
            '\t' | '\n' | '\r' => true,
            '\u{fffe}' | '\u{ffff}' => false,
            other => other >= ' ',
        };
        is_allowed.then_some(())?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(())
}
