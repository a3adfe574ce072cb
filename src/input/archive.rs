//! Containers that event logs arrive in: zip, cab, gzip and tar, read as streams.
//!
//! Nothing is ever written to a disk, and no name from inside an archive is ever opened: names are
//! for the report. An archive inside an archive is read from a stream where its format allows
//! that (gzip, tar), else [held](hold) in memory, which is accounted for.
//!
//! Every claim of an archive is hostile. Work and memory follow the bytes that are there: a count
//! or size in a header reserves nothing, a member never gives more than it claims, and a
//! [`Budget`] caps what one input may unpack to altogether.
//!
//! The decompressors are other people's code on hostile bytes. A caller that must survive a panic
//! in one wraps [`zip::Zip::read_part`] and its like in [`std::panic::catch_unwind`]; nothing here
//! is left in a state that a later call would trip over.

mod bytes;
pub mod cab;
pub mod gzip;
mod held;
mod inflate;
mod limits;
pub(crate) mod program;
mod refusal;
pub mod tar;
pub(crate) mod volume;
pub mod zip;

pub use bytes::{Bytes, Cursor};
pub use held::{Held, Hold, Memory, Reservation, hold};
pub use limits::{Budget, Limits};
pub use refusal::{Refusal, RefusalKind};

use crate::base::buffer::Buffer;
use limits::over_ratio;
pub(crate) use limits::size_text;
use refusal::{CUT, Refusals};
use std::cell::Cell;
use std::io::{self, BufRead, Read};

/// The most that deflate makes of a byte.
const DEFLATE_MOST: u64 = 1032;

/// Longest name that is displayed, in characters.
const NAME_MOST: usize = 512;

/// Which container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A zip archive.
    Zip,
    /// A Windows cabinet.
    Cab,
    /// One file, compressed by gzip.
    Gzip,
    /// A tape archive.
    Tar,
}

impl Kind {
    /// What names of these end with.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Kind::Zip => "zip",
            Kind::Cab => "cab",
            Kind::Gzip => "gz",
            Kind::Tar => "tar",
        }
    }
}

/// The container that a file which starts like this is; the first 512 bytes are enough.
#[must_use]
pub fn kind(start: &[u8]) -> Option<Kind> {
    match start {
        // A member, an empty archive, the first volume of a split one.
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => Some(Kind::Zip),
        [b'M', b'S', b'C', b'F', ..] => Some(Kind::Cab),
        [0x1f, 0x8b, 8, ..] => Some(Kind::Gzip),
        _ if tar::starts(start) => Some(Kind::Tar),
        _ => None,
    }
}

/// The name of a container that starts like this and is not read, such as `7z archive`.
#[must_use]
pub fn unsupported(start: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 10] = [
        (b"7z\xbc\xaf\x27\x1c", "7z archive"),
        (b"Rar!\x1a\x07", "rar archive"),
        (b"\xfd7zXZ\0", "xz archive"),
        (b"BZh", "bzip2 archive"),
        (b"\x28\xb5\x2f\xfd", "zstd archive"),
        (b"\x04\x22\x4d\x18", "lz4 archive"),
        (b"MSWIM\0\0\0", "Windows image (wim)"),
        (b"vhdxfile", "virtual disk (vhdx)"),
        (b"conectix", "virtual disk (vhd)"),
        (b"EVF\x09\x0d\x0a\xff\0", "disk image (E01)"),
    ];
    let (magic, name) = MAGICS.iter().find(|(magic, _)| start.starts_with(magic))?;
    // Three letters alone may start a text: bzip2 goes on with its block size and a magic number.
    let sure = *magic != b"BZh" || start.get(4..10) == Some(b"1AY&SY");
    sure.then_some(name)
}

/// Whether the member holds a secret that collectors pick up: it is never read.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    last.eq_ignore_ascii_case("AzureVMAccessToken.txt")
}

/// A member while it is read. Members come in the order of their bytes.
pub struct Member<'a> {
    /// Its name for people: `/` between the parts, bounded in length. May still hold `..`, control
    /// characters or nothing at all, and several members may have the same.
    pub name: &'a str,
    /// Its size in bytes, as the archive claims. It never gives more.
    pub size: Option<u64>,
    /// The same bytes in place, where they are stored as they are and can be read at any offset: a
    /// nested archive in them needs no memory. Not checked against a checksum.
    pub stored: Option<Bytes>,
    /// Its bytes, not buffered: to be read in large pieces, as far as they are wanted. An error is
    /// also among the refusals that the call returns, so that it may be passed over.
    pub reader: &'a mut dyn Read,
}

/// Counts the packed bytes that are read.
struct Counted<'a, R> {
    source: R,
    count: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.count.set(self.count.get() + count as u64);
        self.source.consume(count);
    }
}

/// A stream that must not be trusted: counts what a member gives, ends it at its claimed size and
/// checks it against its checksum.
struct Guard<'a> {
    source: &'a mut dyn Read,
    budget: &'a Budget,
    size: Option<u64>,
    /// How many packed bytes it was made of so far, where that is known.
    packed: Option<&'a Cell<u64>>,
    stored: Option<Bytes>,
    checksum: Option<u32>,
    /// Whether all of it has to be gone through, for what comes behind it to be found.
    drain: bool,
    hasher: crc32fast::Hasher,
    given: u64,
    ended: bool,
    failure: Option<Refusal>,
}

impl<'a> Guard<'a> {
    fn new(source: &'a mut dyn Read, budget: &'a Budget, size: Option<u64>) -> Guard<'a> {
        Guard {
            source,
            budget,
            size,
            packed: None,
            stored: None,
            checksum: None,
            drain: false,
            hasher: crc32fast::Hasher::new(),
            given: 0,
            ended: false,
            failure: None,
        }
    }

    fn fail(&mut self, refusal: Refusal) -> io::Error {
        let error = refusal.to_error();
        self.failure = Some(refusal);
        error
    }

    fn end(&mut self) -> io::Result<usize> {
        self.ended = true;
        let size = self.size.unwrap_or(self.given);
        if self.given < size {
            return Err(self.fail(Refusal::new(RefusalKind::Truncated, CUT)));
        }
        let hasher = std::mem::take(&mut self.hasher);
        if self.checksum.is_some_and(|sum| sum != hasher.finalize()) {
            let detail = "its checksum disagrees: it was read as far as possible; copy it again";
            return Err(self.fail(Refusal::new(RefusalKind::Checksum, detail)));
        }
        Ok(0)
    }

    fn over_ratio(&self) -> bool {
        let over = |packed: &Cell<u64>| self.budget.over_ratio(self.given, packed.get());
        self.packed.is_some_and(over)
    }

    /// Hands the member out, which the budget knows of, and says what was wrong with it.
    fn visit(mut self, name: &str, refusals: &mut Vec<Refusal>, visit: &mut dyn FnMut(Member<'_>)) {
        let size = self.size;
        let nothing: &mut dyn Read = &mut io::empty();
        let secret = is_secret(name);
        visit(Member {
            name,
            size: size.filter(|_| !secret),
            stored: self.stored.take().filter(|_| !secret),
            reader: if secret { nothing } else { &mut self },
        });
        if self.drain {
            let mut rest = Buffer::default();
            while self.read(&mut rest).is_ok_and(|count| count > 0) {}
        }
        // A reader that stops at the claimed size has not seen yet whether the member does.
        if self.size == Some(self.given) && self.given > 0 {
            let _ = self.read(&mut [0]);
        }
        if let Some(refusal) = self.failure.take()
            && refusal.kind != RefusalKind::Limit
        {
            let lost = self.size.unwrap_or(0).saturating_sub(self.given);
            refusals.push(refusal.of(name).losing(self.budget.believed(lost)));
        }
    }
}

impl Read for Guard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(refusal) = &self.failure {
            return Err(refusal.to_error());
        }
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let left = self.size.map(|size| size - self.given.min(size));
        let mut probe = [0];
        let room = match left {
            Some(0) => &mut probe,
            Some(left) => {
                let room =
                    usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                buffer.get_mut(..room).unwrap_or_default()
            }
            None => buffer,
        };
        let count = match self.source.read(room) {
            Ok(0) => return self.end(),
            Ok(_) if left == Some(0) => {
                let detail = "it holds more than its claimed size, beyond which nothing is read: \
                              unpack it first to read the rest";
                return Err(self.fail(Refusal::new(RefusalKind::Damaged, detail)));
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.fail(Refusal::from_error(&error))),
        };
        if self.checksum.is_some() {
            self.hasher.update(room.get(..count).unwrap_or_default());
        }
        self.given += count as u64;
        if !self.budget.take_bytes(count as u64) {
            let refusal = self.budget.refusal();
            return Err(self.fail(refusal));
        }
        if self.over_ratio() {
            return Err(self.fail(over_ratio(self.budget)));
        }
        Ok(count)
    }
}

/// A name from an archive for people: `/` between its parts, and not longer than a line or two.
fn display(name: &str) -> String {
    let name = name.replace('\\', "/");
    let length = name.chars().count();
    if length <= NAME_MOST {
        return name;
    }
    // The start tells the folder, the end the file.
    let half = NAME_MOST / 2;
    let start: String = name.chars().take(half).collect();
    let end: String = name.chars().skip(length - half).collect();
    format!("{start}…{end}")
}

/// Fills the buffer as far as the reader goes.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let (done, result) = read_full(reader, buffer);
    result.map(|()| done)
}

/// Fills the buffer as far as the reader goes: how far that was, and whether it was an error that
/// ended it.
pub(crate) fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}
