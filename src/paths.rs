//! The paths to read: arguments, patterns that the shell left alone, and lists of paths.

use crate::cli::Logs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

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
        let bytes = read(list).map_err(|error| {
            // The system's words alone: the number helps nobody.
            format!("{name}: cannot read the list of paths: {}", error.kind())
        })?;
        let listed = listed(&bytes);
        if listed.is_empty() {
            return Err(format!("{name}: the list has no path in it"));
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
    let mut bytes = Vec::new();
    match list.as_os_str() == "-" {
        true => io::stdin().lock().read_to_end(&mut bytes)?,
        false => std::fs::File::open(list)?.read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// The paths in a list: one a line, or with NULs between them as `find -print0` writes them; UTF-16
/// as Windows PowerShell writes it.
fn listed(bytes: &[u8]) -> Vec<PathBuf> {
    if let [0xff, 0xfe, text @ ..] = bytes {
        let units: Vec<u16> = text
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .collect();
        let text = String::from_utf16_lossy(&units);
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

#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::listed;
    use std::path::Path;

    #[test]
    fn lists_are_read_as_shells_and_editors_write_them() {
        let utf16: Vec<u8> = "a.zip\r\nb c.zip\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let utf16 = [&[0xff, 0xfe], &utf16[..]].concat();
        for list in [
            &b"a.zip\nb c.zip\n"[..],
            b"a.zip\r\n\r\nb c.zip",
            b"a.zip\0b c.zip\0",
            b"\xef\xbb\xbfa.zip\nb c.zip\n",
            &utf16,
        ] {
            assert_eq!(listed(list), [Path::new("a.zip"), Path::new("b c.zip")]);
        }
        // With NULs between them a line end is part of a name.
        assert_eq!(listed(b"a\nb\0"), [Path::new("a\nb")]);
        assert!(listed(b"\n\r\n").is_empty());
    }
}
