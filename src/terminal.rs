//! Text from logs is hostile: what could steer a terminal is shown instead of obeyed.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character could steer a terminal or disguise text: controls (with ESC and the C1 set,
/// which begin escape sequences), bidirectional overrides, invisible and line-breaking characters.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line: line ends and tabs become blanks, everything else that is unsafe is
/// written as `\u{…}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\r' | '\n' | '\t' => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            character if is_unsafe(character) => {
                // Writing to a String cannot fail.
                let _ = write!(line, "\\u{{{:x}}}", u32::from(character));
            }
            character => line.push(character),
        }
    }
    Cow::Owned(line.trim_end().to_owned())
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
}
