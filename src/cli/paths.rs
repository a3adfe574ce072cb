//! The paths to read: arguments, patterns that the shell left alone, and lists of paths.

use crate::cli::Logs;
use prtrace::base::encoding;
use prtrace::base::problem::io_words;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a list of paths, in which a million of them have room.
const LIST_MOST: u64 = 256 << 20;

/// The paths that the arguments come to.
pub(crate) fn paths(logs: &Logs) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for path in &logs.paths {
        if path.as_os_str() == "-" {
            let detail = "logs are not read from standard input: name a file or folder";
            return Err(format!(
                "-: {detail} (--files-from - reads a list of paths)"
            ));
        }
        expand(path, &mut paths);
    }
    if let Some(list) = &logs.files_from {
        let name = match list.as_os_str() == "-" {
            true => "standard input".into(),
            false => list.to_string_lossy(),
        };
        let bytes = read(list).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => {
                let most = LIST_MOST >> 20;
                format!("{name}: the list of paths is larger than {most} MiB: name folders instead")
            }
            _ => format!(
                "{name}: cannot read the list of paths: {}",
                io_words(&error)
            ),
        })?;
        // A log or archive given as a list would be read as names of any files.
        if let Some(what) = [
            (&b"ElfFile\0"[..], "an event log"),
            (b"PK\x03\x04", "a zip archive"),
        ]
        .iter()
        .find_map(|(magic, what)| bytes.starts_with(magic).then_some(what))
        {
            return Err(format!(
                "{name}: {what}, not a list of paths: name it without --files-from"
            ));
        }
        let listed = listed(&bytes);
        if listed.is_empty() {
            return Err(format!(
                "{name}: the list has no path in it: write one path per line"
            ));
        }
        paths.extend(listed);
    }
    Ok(paths)
}

/// The command prompt of Windows hands patterns over as they stand.
fn expand(path: &Path, paths: &mut Vec<PathBuf>) {
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
    let found = pattern
        .filter(|_| std::fs::symlink_metadata(path).is_err())
        .and_then(|pattern| glob::glob(pattern).ok());
    let before = paths.len();
    // What a pattern cannot look into is named as it is, for the report to say why.
    let found = found.into_iter().flatten();
    paths.extend(found.map(|path| path.unwrap_or_else(|error| error.path().to_owned())));
    if paths.len() == before {
        paths.push(path.to_owned());
    }
}

fn read(list: &Path) -> io::Result<Vec<u8>> {
    match list.as_os_str() == "-" {
        true => read_up_to(io::stdin().lock(), LIST_MOST),
        false => read_up_to(std::fs::File::open(list)?, LIST_MOST),
    }
}

/// Reads all there is, and fails where that is more than `most` bytes.
pub(crate) fn read_up_to(reader: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// The paths in a list: one a line, or with NULs between them as `find -print0` writes them; UTF-16
/// as Windows PowerShell writes it.
fn listed(bytes: &[u8]) -> Vec<PathBuf> {
    if is_utf16_list(bytes) {
        let text = encoding::decode(bytes);
        return text
            .lines()
            .filter(|line| !line.is_empty())
            .map(PathBuf::from)
            .collect();
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let end = match bytes.contains(&0) {
        true => 0,
        false => b'\n',
    };
    bytes
        .split(|byte| *byte == end)
        .map(|line| match end {
            0 => line,
            _ => line.strip_suffix(b"\r").unwrap_or(line),
        })
        .filter(|line| !line.is_empty())
        .map(path)
        .collect()
}

/// Names of one letter with NULs between them look like UTF-16, but have no line ends.
fn is_utf16_list(bytes: &[u8]) -> bool {
    let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let has_line_end = || encoding::decode(bytes).contains('\n');
    marked || encoding::is_utf16(bytes) && has_line_end()
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    encoding::decode(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::{listed, read_up_to};
    use std::path::Path;

    #[test]
    fn lists_are_read_as_shells_and_editors_write_them() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let marked = "\u{feff}a.zip\r\nb c.zip\r\n";
        let unmarked = "a.zip\r\nb c.zip\r\n";
        for list in [
            &b"a.zip\nb c.zip\n"[..],
            b"a.zip\r\n\r\nb c.zip",
            b"a.zip\0b c.zip\0",
            b"\xef\xbb\xbfa.zip\nb c.zip\n",
            &utf16(marked, u16::to_le_bytes),
            &utf16(marked, u16::to_be_bytes),
            &utf16(unmarked, u16::to_le_bytes),
            &utf16(unmarked, u16::to_be_bytes),
        ] {
            assert_eq!(listed(list), [Path::new("a.zip"), Path::new("b c.zip")]);
        }
        let umlaut = utf16("\u{feff}Müller.zip", u16::to_le_bytes);
        assert_eq!(listed(&umlaut), [Path::new("Müller.zip")]);
        // Letters with NULs between them are names.
        assert_eq!(listed(b"a\0b\0"), [Path::new("a"), Path::new("b")]);
        // With NULs between them a line end is part of a name.
        assert_eq!(listed(b"a\nb\0"), [Path::new("a\nb")]);
        assert!(listed(b"\n\r\n").is_empty());
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        assert_eq!(read_up_to(&b"abc"[..], 3).unwrap(), b"abc");
        let error = read_up_to(&b"abcd"[..], 3).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
    }
}
