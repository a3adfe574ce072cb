//! What the user names → files to look at, and what kind each one is.
//!
//! The kind is told by the bytes, mostly the first ones: a name only says whether the others are
//! worth a look, and never hides a log. Nothing here follows a link out of a folder or opens a
//! device: the folders come from machines that are not trusted.

pub mod archive;

use crate::base::bytes::read_at;
use crate::base::bytes::{u16_at, u32_at};
use crate::base::problem::{Problem, ProblemKind, io_words};
use crate::evtx::chunk::{CHUNK_MAGIC, CHUNK_SIZE, FILE_HEADER_SIZE, FILE_MAGIC};
use crate::input::archive::volume::{self, Start};
use archive::{Bytes, RefusalKind, program, zip};
use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// What the user named, each place once.
#[derive(Debug)]
pub(crate) struct Roots {
    roots: Vec<Root>,
    /// The real paths of the roots below other roots: these are walked for themselves.
    inner: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// Without links, where it was asked for.
    real: Option<PathBuf>,
    /// Other names under which the user named it.
    aliases: Vec<PathBuf>,
}

/// A file to look at.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) file: PathBuf,
    /// The path as the report prints it, with `/` between its parts.
    pub(crate) name: String,
    /// The root under which it was found, by its number.
    pub(crate) root: usize,
    /// Whether the user named the file itself.
    pub(crate) named: bool,
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An event log.
    Log(Header),
    /// Files in one.
    Archive(archive::Kind),
    /// An archive or disk image that is not read, by its common name.
    Unsupported(&'static str),
    /// Nothing there.
    Empty,
    /// Anything else.
    Other,
}

/// What the header of a log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// It was copied while the event log service had it open.
    pub(crate) dirty: bool,
    /// The header's magic or checksum is wrong.
    pub(crate) damaged: bool,
    /// How many chunks the header counts. Raw copies count too few, none counts too many.
    pub(crate) chunks: u64,
}

impl Roots {
    /// Brings the paths into an order of their own; what is named twice counts once.
    pub(crate) fn new(paths: &[PathBuf]) -> Roots {
        let mut roots: Vec<Root> = paths
            .iter()
            .map(|path| Root {
                path: path.clone(),
                real: (paths.len() > 1).then(|| real(path)),
                aliases: Vec::new(),
            })
            .collect();
        roots.sort_by(|a, b| (&a.real, &a.path).cmp(&(&b.real, &b.path)));
        roots.dedup_by(|b, a| {
            let is_again = a.real.is_some() && a.real == b.real;
            if is_again && a.path != b.path {
                a.aliases.push(std::mem::take(&mut b.path));
            }
            is_again
        });
        let all: HashSet<&Path> = roots
            .iter()
            .filter_map(|root| root.real.as_deref())
            .collect();
        let is_inner = |path: &&Path| path.ancestors().skip(1).any(|above| all.contains(above));
        let inner = all.iter().copied().filter(is_inner).map(Path::to_owned);
        Roots {
            inner: inner.collect(),
            roots,
        }
    }

    /// Whether a root is a folder.
    pub(crate) fn is_folder(&self, number: usize) -> bool {
        self.roots
            .get(number)
            .is_some_and(|root| root.path.is_dir())
    }

    /// Whether a root holds another one, which is read for itself.
    pub(crate) fn holds_others(&self, number: usize) -> bool {
        let real = self.roots.get(number).and_then(|root| root.real.as_ref());
        real.is_some_and(|real| {
            // What lies below a path follows it.
            let behind = (Bound::Excluded(real), Bound::Unbounded);
            let mut inner = self.inner.range::<PathBuf, _>(behind);
            inner.next().is_some_and(|inner| inner.starts_with(real))
        })
    }

    /// The other names of a root, as the report prints them.
    pub(crate) fn aliases(&self, number: usize) -> impl Iterator<Item = String> {
        let aliases = self.roots.get(number).map(|root| &root.aliases);
        let mut names: Vec<String> = aliases
            .into_iter()
            .flatten()
            .map(|path| display(path))
            .collect();
        names.sort();
        names.dedup();
        names.into_iter()
    }

    /// The paths as the report prints them, by their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.roots.iter().map(|root| display(&root.path))
    }

    /// The files under the paths, each once, and what could not be looked at, as they come.
    pub(crate) fn files(&self) -> impl Iterator<Item = Result<Candidate, Problem>> {
        let roots = self.roots.iter().enumerate();
        roots.flat_map(|(number, root)| {
            let entries = WalkDir::new(&root.path).follow_root_links(true);
            let entries = entries
                .into_iter()
                .filter_entry(|entry| !self.is_inner(root, entry));
            entries.filter_map(move |entry| candidate(root, number, entry).transpose())
        })
    }

    /// Whether this is a root below this one.
    fn is_inner(&self, root: &Root, entry: &DirEntry) -> bool {
        let Some(real) = root.real.as_ref().filter(|_| !self.inner.is_empty()) else {
            return false;
        };
        let below = entry
            .path()
            .strip_prefix(&root.path)
            .unwrap_or(entry.path());
        entry.depth() > 0 && self.inner.contains(&real.join(below))
    }
}

/// The path without links; as it stands if there is nothing at it.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A file under a root; nothing if it is a folder.
fn candidate(
    root: &Root,
    number: usize,
    entry: walkdir::Result<DirEntry>,
) -> Result<Option<Candidate>, Problem> {
    let entry = entry.map_err(|error| {
        let at = error.path().unwrap_or(&root.path);
        let detail = match error.io_error() {
            Some(error) => plain(error),
            None => "a link that leads back into its own folder, not followed".to_owned(),
        };
        problem(at, ProblemKind::Unreadable, detail)
    })?;
    // A link that the user names is followed, one inside a folder is not.
    let named = entry.depth() == 0;
    let kind = match named {
        true => std::fs::metadata(entry.path()).map(|of| of.file_type()),
        false => Ok(entry.file_type()),
    };
    match kind {
        Ok(kind) if kind.is_dir() => Ok(None),
        Ok(kind) if kind.is_file() => Ok(Some(Candidate {
            name: display(entry.path()),
            file: entry.into_path(),
            root: number,
            named,
        })),
        Ok(kind) => {
            let detail = match kind.is_symlink() {
                true => "a link, not followed: name its target to read it",
                false => "a pipe or device, which is not read: save it to a file and name that",
            };
            let kind = ProblemKind::NotFollowed;
            Err(problem(entry.path(), kind, detail.to_owned()))
        }
        Err(error) => Err(problem(
            entry.path(),
            ProblemKind::Unreadable,
            plain(&error),
        )),
    }
}

/// The kind of a file, from its first bytes: all of them, or at least [`FILE_HEADER_SIZE`].
///
/// A log whose header is gone is [`Kind::Other`] here: its chunks must be looked for, as in
/// [`has_chunks`].
pub(crate) fn kind(start: &[u8]) -> Kind {
    if start.is_empty() {
        return Kind::Empty;
    }
    if start.starts_with(FILE_MAGIC) {
        let checksum = start.get(..120).map(crc32fast::hash);
        let damaged = checksum.is_none() || checksum != u32_at(start, 124);
        let chunks = u16_at(start, 42).filter(|_| !damaged);
        return Kind::Log(Header {
            dirty: u32_at(start, 120).is_some_and(|flags| flags & 1 != 0),
            damaged,
            chunks: chunks.map_or(0, u64::from),
        });
    }
    match (archive::kind(start), archive::unsupported(start)) {
        (Some(kind), _) => Kind::Archive(kind),
        (None, Some(name)) => Kind::Unsupported(name),
        (None, None) => Kind::Other,
    }
}

/// The kind of a file that starts like none, from its end: a zip archive behind the program that
/// unpacks it, or whose start is damaged; the last volume of a split one; another archive behind a
/// program.
///
/// Only a file named `.zip` and a program named `.exe` are looked at: there may be thousands of
/// others.
pub(crate) fn kind_by_end(name: &str, start: &[u8], bytes: &Bytes) -> io::Result<Kind> {
    let is_program = match &*extension(name) {
        "exe" if start.starts_with(b"MZ") => true,
        "zip" => false,
        _ => return Ok(Kind::Other),
    };
    let is_zip = match zip::ends(bytes) {
        Ok(is_zip) => is_zip,
        // Opening it will say why not. In a program any bytes may look like those of a volume.
        Err(refusal) => !is_program || refusal.kind != RefusalKind::Unsupported,
    };
    if is_zip {
        return Ok(Kind::Archive(archive::Kind::Zip));
    }
    let mut behind = [0; 16];
    if let Some(end) = program::end(start).filter(|_| is_program) {
        bytes.read_at(&mut behind, end)?;
    }
    Ok(match kind(&behind) {
        // Its end is missing.
        zip @ Kind::Archive(archive::Kind::Zip) => zip,
        Kind::Archive(_) | Kind::Unsupported(_) => Kind::Unsupported("self-extracting archive"),
        _ => Kind::Other,
    })
}

/// Why a file is not read that is a volume of a split archive.
pub(crate) fn volume(name: &str, kind: Kind) -> Option<String> {
    let start = match kind {
        Kind::Other => Start::Other,
        Kind::Unsupported(what) => Start::Unsupported(what),
        Kind::Archive(_) | Kind::Log(_) | Kind::Empty => return None,
    };
    volume::told(name, start)
}

/// The same of an archive, where its name says that it is the first volume and it lacks its end.
pub(crate) fn first_volume(name: &str, kind: archive::Kind, bytes: &Bytes) -> Option<String> {
    let told = volume::told(name, Start::Read(kind))?;
    let is_whole = match kind {
        // Where it cannot be read, opening it will say so.
        archive::Kind::Zip => zip::ends(bytes).unwrap_or(true),
        archive::Kind::Cab => {
            let mut start = [0; 12];
            bytes.read_at(&mut start, 0).ok()?;
            u32_at(&start, 8).is_none_or(|size| u64::from(size) <= bytes.size())
        }
        archive::Kind::Gzip | archive::Kind::Tar => true,
    };
    (!is_whole).then_some(told)
}

/// The same of a file on the disk that only the volumes beside it tell: `logs.002` beside the first
/// volume `logs.001`, `logs.tar.gz.001` beside `logs.tar.gz.002`.
pub(crate) fn volume_beside_others(candidate: &Candidate, kind: Kind) -> Option<String> {
    let extension = candidate.file.extension()?.to_str()?;
    let beside = |number| {
        let path = candidate
            .file
            .with_extension(volume::extension_of(number, extension)?);
        let metadata = std::fs::symlink_metadata(&path).ok()?;
        (metadata.is_file() && path != candidate.file).then_some(path)
    };
    match kind {
        Kind::Other => {
            let mut start = [0; FILE_HEADER_SIZE as usize];
            let file = File::open(beside(1)?).ok()?;
            let length = read_at(&file, &mut start, 0).ok()?;
            let first = match self::kind(start.get(..length)?) {
                Kind::Archive(kind) => Start::Read(kind),
                Kind::Unsupported(what) => Start::Unsupported(what),
                _ => return None,
            };
            volume::told_beside(&candidate.name, first)
        }
        Kind::Archive(kind @ (archive::Kind::Gzip | archive::Kind::Tar)) => {
            beside(2)?;
            volume::told(&candidate.name, Start::Read(kind))
        }
        _ => None,
    }
}

/// The endings of event logs and archives.
const EVIDENCE: [&str; 17] = [
    "evtx", "zip", "zipx", "cab", "tar", "gz", "tgz", "7z", "rar", "xz", "txz", "bz2", "tbz",
    "tbz2", "zst", "tzst", "lz4",
];

/// Whether a file is an event log or archive by its name, so that it must be told if it is none.
pub(crate) fn claims_evidence(name: &str) -> bool {
    EVIDENCE.contains(&&*extension(name))
}

/// What is said of a file that is no event log or archive although its name says so.
pub(crate) fn false_claim(name: &str, start: &[u8]) -> String {
    let extension = extension(name);
    let start = start.trim_ascii_start();
    let start = start.get(..14).unwrap_or(start).to_ascii_lowercase();
    if start.starts_with(b"<html") || start.starts_with(b"<!doctype html") {
        return format!(
            "a web page named .{extension}: a download that failed or needed a sign-in; \
             download it again"
        );
    }
    match &*extension {
        "evtx" => {
            "not an event log, though named .evtx: it starts with neither ElfFile nor a chunk; \
             collect it again"
                .to_owned()
        }
        _ => format!("not an archive, though named .{extension}: download or collect it again"),
    }
}

/// Why a file that was named is not read, which is neither log nor archive. The name tells what it
/// was meant to be.
pub(crate) fn not_a_log(name: &str) -> String {
    let detail = match &*extension(name) {
        "exe" => {
            "not an event log: if it is a program that unpacks itself, unpack it elsewhere and name \
             the folder"
        }
        _ => {
            "not an event log: it starts with neither ElfFile nor a chunk; name logs (.evtx), \
             archives or folders"
        }
    };
    detail.to_owned()
}

/// What stands behind the last dot of a name, in lower case.
fn extension(name: &str) -> String {
    let extension = Path::new(name).extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

/// The header of a log whose header is gone.
pub(crate) const NO_HEADER: Header = Header {
    dirty: false,
    damaged: true,
    chunks: 0,
};

/// Among this many of its first slots a log whose header is gone must have a chunk.
pub(crate) const SLOTS_WITHOUT_HEADER: u64 = 64;

/// Whether a file can be a log whose header is gone: it has a log's size.
pub(crate) fn has_size_of_log(size: u64) -> bool {
    let in_slots = size.saturating_sub(FILE_HEADER_SIZE);
    in_slots != 0 && in_slots.is_multiple_of(CHUNK_SIZE as u64)
}

/// Whether there is a chunk among the first slots.
pub(crate) fn has_chunks(bytes: &Bytes) -> io::Result<bool> {
    let in_slots = bytes.size().saturating_sub(FILE_HEADER_SIZE);
    let slots = (in_slots / CHUNK_SIZE as u64).min(SLOTS_WITHOUT_HEADER);
    for slot in 0..slots {
        let mut magic = [0; CHUNK_MAGIC.len()];
        let offset = FILE_HEADER_SIZE + slot * CHUNK_SIZE as u64;
        bytes.read_at(&mut magic, offset)?;
        if magic == *CHUNK_MAGIC {
            return Ok(true);
        }
    }
    Ok(false)
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

/// What an I/O error says, with what to do about it.
pub(crate) fn plain(error: &io::Error) -> String {
    let words = io_words(error);
    match error.kind() {
        io::ErrorKind::NotFound => format!("{words}: check the path"),
        io::ErrorKind::PermissionDenied => format!("{words}: run it as someone who may read it"),
        _ => words,
    }
}
