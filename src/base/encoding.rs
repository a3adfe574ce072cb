//! Text of unknown encoding → a string.
//!
//! Windows PowerShell writes UTF-16, `cmd` the code page of its console, and everything else UTF-8.
//! Nothing declares which. ASCII reads the same in all of them, and codes are ASCII.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;

/// Bytes that are enough to see which half of each UTF-16 unit is zero.
const LOOKED_AT: usize = 4096;

/// The text in these bytes.
///
/// A byte order mark decides. Without one the text is UTF-16 where zero bytes show it, else UTF-8
/// if most of what is not ASCII is valid UTF-8, else Windows-1252. Text of a console's code page is
/// taken for Windows-1252: its letters may be wrong, its ASCII is right. What has no character is
/// U+FFFD.
#[must_use]
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let text = bytes.get(mark..).unwrap_or_default();
        return encoding.decode_without_bom_handling(text).0;
    }
    let encoding = unmarked_utf16(bytes).unwrap_or_else(|| match is_utf8(bytes) {
        true => UTF_8,
        false => WINDOWS_1252,
    });
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    match encoding == WINDOWS_1252 {
        true => without_unassigned(text),
        false => text,
    }
}

/// Whether text is UTF-16, by a byte order mark or its zero bytes.
#[must_use]
pub fn is_utf16(bytes: &[u8]) -> bool {
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => Some(encoding),
        None => unmarked_utf16(bytes),
    };
    encoding.is_some_and(|encoding| encoding != UTF_8)
}

/// The byte order of UTF-16 without a mark: in ASCII one half of each unit is zero, and the other
/// never.
fn unmarked_utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    let (units, _) = start.as_chunks::<2>();
    let zeros = |half: fn(&[u8; 2]) -> u8| units.iter().filter(|unit| half(unit) == 0).count();
    let (first, second) = (zeros(|[first, _]| *first), zeros(|[_, second]| *second));
    // Scripts without ASCII letters still have blanks, digits and line ends.
    let least = units.len().div_ceil(16).max(1);
    if second >= least && first <= second / 8 {
        Some(UTF_16LE)
    } else if first >= least && second <= first / 8 {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Whether most of what is not ASCII is valid UTF-8: the rest was cut or damaged.
fn is_utf8(bytes: &[u8]) -> bool {
    let (mut valid, mut invalid) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    invalid <= valid
}

/// Windows-1252 has five bytes without a character, which the decoder passes on as controls.
fn without_unassigned(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_unassigned = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    match text.contains(is_unassigned) {
        true => Cow::Owned(text.replace(is_unassigned, "\u{fffd}")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, is_utf16};

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_unicode_encoding_is_read_with_and_without_its_mark() {
        for text in [
            "5",
            "0x80072ee7",
            "AADSTS50126: ungültig\r\n",
            "Ошибка 0xC000006D входа в систему\r\n",
            "登录失败 12002\r\n",
        ] {
            for mark in ["", "\u{feff}"] {
                let marked = format!("{mark}{text}");
                assert_eq!(decode(marked.as_bytes()), text);
                for bytes in [u16::to_le_bytes as fn(u16) -> _, u16::to_be_bytes] {
                    let bytes = utf16(&marked, bytes);
                    assert!(is_utf16(&bytes), "{text}");
                    assert_eq!(decode(&bytes), text);
                }
                assert!(!is_utf16(marked.as_bytes()));
            }
        }
    }

    #[test]
    fn code_pages_keep_their_ascii() {
        // Windows-1252; the same in code page 850, where ü is a byte that Windows-1252 leaves out.
        assert_eq!(decode(b"M\xfcller 0x80072ee7"), "Müller 0x80072ee7");
        assert_eq!(
            decode(b"M\x81ller 0x80072ee7 f\x84llt"),
            "M\u{fffd}ller 0x80072ee7 f„llt"
        );
        // Shift JIS.
        assert!(decode(b"\x83G\x83\x89\x81[ 0x80072ee7").ends_with(" 0x80072ee7"));
    }

    #[test]
    fn damage_costs_what_is_damaged() {
        assert_eq!(decode(b""), "");
        assert_eq!(decode("Müll".as_bytes().split_last().unwrap().1), "Mül");
        let cut = "Größe und Länge".as_bytes();
        assert_eq!(decode(&cut[..4]), "Grö");
        assert_eq!(decode(&[cut, b"\xc3"].concat()), "Größe und Länge\u{fffd}");
        let mut odd = utf16("12002", u16::to_le_bytes);
        odd.push(b'1');
        assert_eq!(decode(&odd), "12002\u{fffd}");
        assert_eq!(decode(b"\xff\xfe\x00\xd8a\0"), "\u{fffd}a");
        // Zeros that are no UTF-16.
        assert_eq!(decode(b"ab\0c\0\0d\0\0e"), "ab\0c\0\0d\0\0e");
        assert_eq!(decode(b"\0\0\0\0"), "\0\0\0\0");
    }
}
