//! Text from logs is hostile: what could steer a terminal is shown instead of obeyed.

use std::borrow::Cow;
use std::fmt::Write;
use unicode_width::UnicodeWidthChar;

/// Marks without a width that are shown on one character. No script in use needs more; a hundred of
/// them bury the lines around.
const MOST_MARKS: usize = 4;

/// Whether a character could steer a terminal or disguise text: controls (with ESC and the C1 set,
/// which begin escape sequences), bidirectional overrides, invisible and line-breaking characters.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line: line ends and tabs become blanks. Everything else that is unsafe, and each
/// mark beyond the first four on one character, is written as `\u{…}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) && !has_pile(text) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    let mut marks = 0;
    for character in text.chars() {
        marks = marks_up_to(character, marks);
        match character {
            '\r' | '\n' | '\t' => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            character if is_unsafe(character) || marks > MOST_MARKS => {
                // Writing to a String cannot fail.
                let _ = write!(line, "\\u{{{:x}}}", u32::from(character));
            }
            character => line.push(character),
        }
    }
    Cow::Owned(line.trim_end().to_owned())
}

/// Whether more marks are on one character than are shown.
fn has_pile(text: &str) -> bool {
    let mut marks = 0;
    !text.is_ascii()
        && text.chars().any(|character| {
            marks = marks_up_to(character, marks);
            marks > MOST_MARKS
        })
}

/// How many characters without a width there are in a row up to this one.
fn marks_up_to(character: char, before: usize) -> usize {
    match character.width() {
        Some(0) => before + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn nothing_steers_the_terminal() {
        for (text, shown) in [
            ("\x1b]52;c;aGk=\x07", r"\u{1b}]52;c;aGk=\u{7}"),
            ("\x1b[2J", r"\u{1b}[2J"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("good\rFORGED", "good FORGED"),
            ("a\r\n\tb\n", "a b"),
            ("user\u{202e}moc.osotnoc", r"user\u{202e}moc.osotnoc"),
            ("Größe", "Größe"),
        ] {
            assert_eq!(one_line(text), shown);
        }
    }

    #[test]
    fn marks_do_not_pile_up() {
        // Vietnamese, Hebrew and Thai as people write them.
        for text in ["Nguye\u{302}\u{303}n", "שָׁלוֹם", "ที่นี่", "한국어"] {
            assert_eq!(one_line(text), text);
        }
        let piled = format!("a{}b\u{301}", "\u{301}".repeat(6));
        let shown = "a\u{301}\u{301}\u{301}\u{301}\\u{301}\\u{301}b\u{301}";
        assert_eq!(one_line(&piled), shown);
        // Also where nothing is under them.
        assert!(one_line(&"\u{301}".repeat(12_000)).len() > 80_000);
    }
}
