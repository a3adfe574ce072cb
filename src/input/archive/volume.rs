//! Volumes of split archives, by their names: `.7z.001`, `.zip.002`, `.z01`, `.part2.rar`, `.r00`.
//!
//! Only a first volume starts like an archive. The others are bytes out of the middle, which nothing
//! but their names tells.

use super::Kind;
use super::zip::SPLIT;

/// Endings of what is split; the joined file of the first five can be read.
const ENDINGS: [&str; 13] = [
    "zip", "cab", "tar", "gz", "tgz", "7z", "rar", "exe", "xz", "bz2", "zst", "wim", "iso",
];
const READ: usize = 5;

/// What the first bytes of a volume tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// An archive that is read once it is joined.
    Read(Kind),
    /// An archive that is not read, by its common name.
    Unsupported(&'static str),
    /// Nothing that is known: a later volume.
    Other,
}

/// What to say of a volume with this path, in a report; nothing if its name claims to be none.
pub(crate) fn told(path: &str, start: Start) -> Option<String> {
    let name = path.rsplit(['/', '!']).next()?;
    let (stem, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    if is_number(&extension, 3) && (ending(stem).is_some() || start != Start::Other) {
        let place = match start {
            Start::Other => "a volume",
            _ => "the first volume",
        };
        return Some(numbered(stem, &extension, place, start));
    }
    let volume = |letter| extension.strip_prefix(letter);
    let is_volume = |letter| volume(letter).is_some_and(|number| is_number(number, 2));
    if start == Start::Other && is_volume('z') {
        return Some(SPLIT.to_owned());
    }
    let part = stem
        .rsplit_once('.')
        .map(|(_, part)| part.to_ascii_lowercase());
    let part = part.as_deref().and_then(|part| part.strip_prefix("part"));
    let is_part = extension == "rar" && part.is_some_and(|number| is_number(number, 1));
    let is_rar = matches!(start, Start::Unsupported(_)) && (is_part || is_volume('r'));
    is_rar.then(|| {
        "a volume of a split rar archive: unpack it with all of its volumes beside it, and name \
         the folder"
            .to_owned()
    })
}

/// What to say of a later volume beside its first, which starts like this.
pub(crate) fn told_beside(path: &str, first: Start) -> Option<String> {
    let (stem, number) = path.rsplit(['/', '!']).next()?.rsplit_once('.')?;
    Some(numbered(stem, number, "a volume", first))
}

/// The extension of the volume with this number beside one that has this extension.
pub(crate) fn extension_of(number: u32, beside: &str) -> Option<String> {
    is_number(beside, 3).then(|| format!("{number:0width$}", width = beside.len()))
}

fn is_number(text: &str, least: usize) -> bool {
    text.len() >= least && text.len() < 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What an archive's name ends with, and whether the archive can be read.
fn ending(name: &str) -> Option<(&'static str, bool)> {
    let (_, extension) = name.rsplit_once('.')?;
    let at = ENDINGS
        .iter()
        .position(|of| extension.eq_ignore_ascii_case(of))?;
    ENDINGS.get(at).map(|ending| (*ending, at < READ))
}

/// What to say of a volume that is named by its number.
fn numbered(stem: &str, number: &str, place: &str, start: Start) -> String {
    let whole = ending(stem);
    let (what, joined) = match (start, whole) {
        (Start::Unsupported(what), _) => (what.to_owned(), None),
        (Start::Read(kind), None) => {
            let ending = kind.ending();
            (
                format!("{ending} archive"),
                Some(format!("{stem}.{ending}")),
            )
        }
        (Start::Read(_), Some((ending, _))) | (Start::Other, Some((ending, true))) => {
            (format!("{ending} archive"), Some(stem.to_owned()))
        }
        (Start::Other, Some((ending, false))) => (format!("{ending} archive"), None),
        (Start::Other, None) => ("archive".to_owned(), None),
    };
    match joined {
        Some(joined) => {
            let [all, joined] = [format!("{stem}.0*"), joined].map(quoted);
            format!(
                "{place} of a split {what}: join the volumes (copy /b {all} {joined}, or cat {all} \
                 > {joined}) and name {joined}"
            )
        }
        None => format!(
            "{place} of a split {what}: unpack {} with 7-Zip, all of its volumes beside it, and \
             name the folder",
            quoted(format!("{stem}.{:0width$}", 1, width = number.len()))
        ),
    }
}

/// A name as a shell takes it.
fn quoted(name: String) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.*".contains(c);
    match name.chars().all(is_plain) {
        true => name,
        false => format!("\"{name}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::Start::{self, *};
    use super::{Kind, extension_of, told, told_beside};

    #[test]
    fn volumes_are_told_by_their_names() {
        const SEVEN: Start = Unsupported("7z archive");
        const RAR: Start = Unsupported("rar archive");
        for (path, start, said) in [
            (
                "in/a.7z.001",
                SEVEN,
                "the first volume of a split 7z archive: unpack a.7z.001 with ",
            ),
            (
                "b.zip!a.7Z.002",
                Other,
                "a volume of a split 7z archive: unpack a.7Z.001 with ",
            ),
            (
                "a.zip.001",
                Read(Kind::Zip),
                "the first volume of a split zip archive: join the volumes (copy /b a.zip.0* a.zip, \
                 or cat a.zip.0* > a.zip) and name a.zip",
            ),
            (
                "a.ZIP.0012",
                Other,
                "a volume of a split zip archive: join the volumes (copy /b ",
            ),
            (
                "a.tar.gz.010",
                Other,
                "a volume of a split gz archive: join the volumes ",
            ),
            (
                "my a.001",
                Read(Kind::Zip),
                "the first volume of a split zip archive: join the volumes \
                (copy /b \"my a.0*\" \"my a.zip\"",
            ),
            (
                "a.001",
                SEVEN,
                "the first volume of a split 7z archive: unpack a.001 with 7-Zip",
            ),
            (
                "a.exe.001",
                Other,
                "a volume of a split exe archive: unpack a.exe.001 with 7-Zip",
            ),
            (
                "a.z01",
                Other,
                "a volume of a split zip archive, or several",
            ),
            ("a.part1.rar", RAR, "a volume of a split rar archive: "),
            ("a.r00", RAR, "a volume of a split rar archive: "),
        ] {
            let told = told(path, start).unwrap_or_default();
            assert!(told.starts_with(said), "{path}: {told}");
        }
        for (path, start) in [
            ("a.7z", SEVEN),
            ("a.rar", RAR),
            ("a.zip", Read(Kind::Zip)),
            ("a.002", Other),
            ("Security.evtx.001", Other),
            ("a.7z.02", Other),
            ("a.7z.20260114", Other),
            ("folder.7z.001/a.txt", Other),
            ("a.zeit", Other),
            ("001", Other),
            ("", Other),
        ] {
            assert_eq!(told(path, start), None, "{path}");
        }
    }

    #[test]
    fn a_later_volume_is_known_by_its_first() {
        assert_eq!(extension_of(1, "002").as_deref(), Some("001"));
        assert_eq!(extension_of(2, "0001").as_deref(), Some("0002"));
        assert_eq!(extension_of(1, "txt"), None);
        let told = |first| told_beside("in/a.002", first).unwrap();
        assert!(told(Read(Kind::Zip)).starts_with("a volume of a split zip archive: join "));
        let rar = told(Unsupported("rar archive"));
        assert!(rar.starts_with("a volume of a split rar archive: unpack a.001 with "));
    }
}
