//! When two names are one computer's or one user's.

use crate::base::terminal::one_line;

/// A name as it is compared and used as a key: names of computers and users have no case.
///
/// Letter by letter, as Windows does it: `str::to_lowercase` looks at the letters around a sigma, so
/// that a prefix would not fold as the whole does.
pub(crate) fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let lower = name.chars().flat_map(char::to_lowercase);
    lower
        .map(|letter| if letter == 'ς' { 'σ' } else { letter })
        .collect()
}

/// Whether two names are the same.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one == other || folded(one) == folded(other)
}

/// Whether a name is the one that the user typed, perhaps as a report shows it.
pub(crate) fn is_meant(name: &str, typed: &str) -> bool {
    is_same(name, typed) || is_same(&one_line(name), typed)
}

#[cfg(test)]
mod tests {
    use super::{is_meant, is_same};

    #[test]
    fn names_have_no_case() {
        for (one, other) in [
            ("PC-1.contoso.com", "pc-1.CONTOSO.com"),
            ("JÖRG@contoso.com", "jörg@contoso.com"),
            ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ@contoso.com", "οδος@contoso.com"),
            ("S-1-5-21-1", "s-1-5-21-1"),
        ] {
            assert!(is_same(one, other), "{one}");
        }
        for (one, other) in [("PC-1", "PC-11"), ("jorg", "jörg"), ("", "a")] {
            assert!(!is_same(one, other), "{one}");
        }
    }

    #[test]
    fn a_name_is_found_as_the_report_shows_it() {
        assert!(is_meant("EVIL\u{202e}CP", r"evil\u{202e}cp"));
        assert!(is_meant("EVIL\u{202e}CP", "EVIL\u{202e}cp"));
        assert!(!is_meant("EVILCP", r"evil\u{202e}cp"));
    }
}
