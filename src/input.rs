//! What the user names → files to look at, and what kind each one is.
//!
//! The kind is told by the first bytes, never by the name. Nothing here follows a link out of a
//! folder or opens a device: the folders come from machines that are not trusted.

use crate::chunk::{CHUNK_MAGIC, CHUNK_SIZE, FILE_HEADER_SIZE, FILE_MAGIC, u16_at, u32_at};
use crate::problem::{Problem, ProblemKind};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use walkdir::WalkDir;

/// A file to look at.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) file: PathBuf,
    /// The path as the report prints it, with `/` between its parts.
    pub(crate) name: String,
    /// The path the user named, under which this file was found.
    pub(crate) source: Arc<str>,
    /// Whether the user named the file itself.
    pub(crate) named: bool,
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An event log.
    Log {
        /// It was copied while the event log service had it open.
        dirty: bool,
        /// The header's magic or checksum is wrong.
        header_damaged: bool,
        /// How many chunks the header counts. Raw copies count too few, none counts too many.
        chunks: u64,
    },
    /// An archive or trace, by its common name.
    Unsupported(&'static str),
    /// Nothing there.
    Empty,
    /// Anything else.
    Other,
}

/// The files under the paths, each once, in the order of their names whatever the order of the
/// paths; and the paths that could not be looked at.
pub(crate) fn find(paths: &[PathBuf]) -> (Vec<Candidate>, Vec<Problem>) {
    let mut candidates = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        let source: Arc<str> = display(path).into();
        // Links are followed at the root only: below it a file's place in the folder tells it.
        let root = path.canonicalize().unwrap_or_else(|_| path.clone());
        for entry in WalkDir::new(path).follow_root_links(true) {
            match entry {
                Err(error) => {
                    let at = error.path().unwrap_or(path);
                    let detail = match error.io_error() {
                        Some(error) => plain(error),
                        None => "a link that leads back into its own folder".to_owned(),
                    };
                    problems.push(problem(at, ProblemKind::Unreadable, detail));
                }
                Ok(entry) => {
                    // A link that the user names is followed, one inside a folder is not.
                    let named = entry.depth() == 0;
                    let kind = match named {
                        true => std::fs::metadata(entry.path()).map(|of| of.file_type()),
                        false => Ok(entry.file_type()),
                    };
                    match kind {
                        Ok(kind) if kind.is_dir() => {}
                        Ok(kind) if kind.is_file() => {
                            let below = entry.path().strip_prefix(path).unwrap_or(entry.path());
                            let real = match named {
                                true => root.clone(),
                                false => root.join(below),
                            };
                            let candidate = Candidate {
                                name: display(entry.path()),
                                file: entry.into_path(),
                                source: Arc::clone(&source),
                                named,
                            };
                            candidates.push((candidate, real));
                        }
                        Ok(kind) => problems.push(problem(
                            entry.path(),
                            ProblemKind::NotFollowed,
                            match kind.is_symlink() {
                                true => "a link, not followed: name its target to read it",
                                false => "a pipe or device, which is not read",
                            }
                            .to_owned(),
                        )),
                        Err(error) => problems.push(problem(
                            entry.path(),
                            ProblemKind::Unreadable,
                            plain(&error),
                        )),
                    }
                }
            }
        }
    }
    // A file reached by two of the paths is read once.
    candidates.sort_by(|(a, _), (b, _)| (&a.name, &a.source).cmp(&(&b.name, &b.source)));
    let mut seen = std::collections::HashSet::new();
    let mut once = Vec::with_capacity(candidates.len());
    for (candidate, real) in candidates {
        if paths.len() == 1 || seen.insert(real) {
            once.push(candidate);
        }
    }
    problems.sort();
    problems.dedup();
    (once, problems)
}

/// The kind of an open file, from its first bytes.
pub(crate) fn kind(file: &File, size: u64) -> io::Result<Kind> {
    let mut start = [0; 512];
    let length = read_at(file, &mut start, 0)?;
    let start = start.get(..length).unwrap_or(&start);
    if size == 0 {
        return Ok(Kind::Empty);
    }
    if start.starts_with(FILE_MAGIC) {
        let checksum = start.get(..120).map(crc32fast::hash);
        let header_damaged = checksum.is_none() || checksum != u32_at(start, 124);
        let chunks = u16_at(start, 42).filter(|_| !header_damaged);
        return Ok(Kind::Log {
            dirty: u32_at(start, 120).is_some_and(|flags| flags & 1 != 0),
            header_damaged,
            chunks: chunks.map_or(0, u64::from),
        });
    }
    if has_chunks(file, size)? {
        return Ok(Kind::Log {
            dirty: false,
            header_damaged: true,
            chunks: 0,
        });
    }
    Ok(match start {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Kind::Unsupported("zip archive"),
        [b'M', b'S', b'C', b'F', ..] => Kind::Unsupported("cabinet archive"),
        [0x1f, 0x8b, ..] => Kind::Unsupported("gzip archive"),
        [b'7', b'z', 0xbc, 0xaf, ..] => Kind::Unsupported("7z archive"),
        _ if start.get(257..262) == Some(b"ustar") => Kind::Unsupported("tar archive"),
        _ => Kind::Other,
    })
}

/// Whether a file whose header is gone is a log all the same: it has a log's size, and a chunk
/// among its first slots.
fn has_chunks(file: &File, size: u64) -> io::Result<bool> {
    const SLOTS: u64 = 64;
    let in_slots = size.saturating_sub(FILE_HEADER_SIZE);
    if in_slots == 0 || !in_slots.is_multiple_of(CHUNK_SIZE as u64) {
        return Ok(false);
    }
    let slots = (in_slots / CHUNK_SIZE as u64).min(SLOTS);
    for slot in 0..slots {
        let mut magic = [0; CHUNK_MAGIC.len()];
        read_at(
            file,
            &mut magic,
            FILE_HEADER_SIZE + slot * CHUNK_SIZE as u64,
        )?;
        if magic == *CHUNK_MAGIC {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads at an offset until the buffer is full or the file ends; the file's own position is not
/// used, so that threads can share the handle.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, rest, offset + done as u64);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, rest, offset + done as u64);
        match read {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// A path for people: `/` between the parts on every system.
fn display(path: &Path) -> String {
    let text = path.to_string_lossy();
    match std::path::MAIN_SEPARATOR {
        '/' => text.into_owned(),
        separator => text.replace(separator, "/"),
    }
}

fn problem(path: &Path, kind: ProblemKind, detail: String) -> Problem {
    Problem {
        path: display(path),
        offset: None,
        kind,
        detail,
        lost_bytes: 0,
    }
}

/// An I/O error without the number that the standard library adds.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(&text).to_lowercase();
    match error.kind() {
        io::ErrorKind::NotFound => format!("{text}: check the path"),
        io::ErrorKind::PermissionDenied => format!("{text}: run it as someone who may read it"),
        _ => text,
    }
}
