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

pub mod cab;
pub mod gzip;
mod inflate;
pub mod tar;
pub mod zip;

use crate::buffer::{self, Buffer};
use crate::input;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The most that deflate makes of a byte.
const DEFLATE_MOST: u64 = 1032;

/// A member is held to [`Limits::ratio`] beyond this: 64 MiB.
const RATIO_FROM: u64 = 64 << 20;

/// Every archive file may unpack to this, however small it is: 8 GiB.
const BYTES_FLOOR: u64 = 8 << 30;

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
    const MAGICS: [(&[u8], &str); 9] = [
        (b"7z\xbc\xaf\x27\x1c", "7z archive"),
        (b"Rar!\x1a\x07", "rar archive"),
        (b"\xfd7zXZ\0", "xz archive"),
        (b"BZh", "bzip2 archive"),
        (b"\x28\xb5\x2f\xfd", "zstd archive"),
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

/// Caps on what archives may cost. "One archive file" is a file on the disk, as it is named or found
/// in a folder, with all that is nested in it: it has its own [`Budget`], whatever else is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members of one archive file: nested ones, folders and those that are refused included.
    pub members: u64,
    /// Bytes that one archive file may unpack to, each layer of nesting counted. Only one of more
    /// than a gibibyte comes near the default of 1 TiB: a smaller one may unpack to
    /// [`Limits::ratio`] times its size, and any to 8 GiB, unless this is less.
    pub bytes: u64,
    /// What a byte may unpack to in a member of more than 64 MiB. One that claims more is not read,
    /// another is stopped. Logs that are mostly unused come to several hundred, nothing but zeros
    /// to 1030.
    pub ratio: u64,
    /// Archives inside archives: a file in a zip has depth 1.
    pub depth: u32,
    /// Memory for nested archives, in bytes, over all threads.
    pub nested: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            members: 1_000_000,
            bytes: 1 << 40,
            ratio: 1000,
            depth: 8,
            nested: 512 << 20,
        }
    }
}

/// What one archive file has used of its [`Limits`]. Threads share it.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    bytes_most: u64,
    members: AtomicU64,
    bytes: AtomicU64,
    exhausted: AtomicBool,
}

impl Budget {
    /// The budget of an archive file of this many bytes.
    #[must_use]
    pub fn new(limits: Limits, input: u64) -> Budget {
        let by_size = input.saturating_mul(limits.ratio).max(BYTES_FLOOR);
        Budget {
            limits,
            bytes_most: limits.bytes.min(by_size),
            members: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
        }
    }

    /// The caps it was made from.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a member; `false` if that is one too many.
    pub fn take_member(&self) -> bool {
        self.take(&self.members, 1, self.limits.members)
    }

    /// Counts unpacked bytes; `false` if those are too many.
    pub fn take_bytes(&self, bytes: u64) -> bool {
        self.take(&self.bytes, bytes, self.bytes_most)
    }

    /// Whether this many bytes are more than these packed ones may give.
    fn over_ratio(&self, bytes: u64, packed: u64) -> bool {
        bytes > RATIO_FROM && bytes / packed.max(1) >= self.limits.ratio
    }

    /// How many bytes are said to be lost of those that are claimed: a claim beyond all that could
    /// be read tells nothing.
    fn believed(&self, claimed: u64) -> u64 {
        claimed.min(self.bytes_most)
    }

    fn take(&self, counter: &AtomicU64, count: u64, most: u64) -> bool {
        let before = counter.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > most {
            self.exhausted.store(true, Ordering::Relaxed);
        }
        !self.exhausted()
    }

    /// Whether a cap was passed. Which members had been read by then depends on the threads: the
    /// caller drops all that the archive file gave, and says [why](Budget::refusal).
    #[must_use]
    pub fn exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    /// Why an archive file that exhausted its budget is not read.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        Refusal::new(
            RefusalKind::Limit,
            format!(
                "it holds more than {} members or unpacks to more than {}: if it is to be trusted, \
                 unpack it first, or raise --max-members, --max-bytes and --max-ratio",
                self.limits.members,
                size_text(self.bytes_most)
            ),
        )
    }
}

/// The memory that nested archives may hold, shared by all inputs and threads.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Account>);

#[derive(Debug)]
struct Account {
    most: u64,
    used: AtomicU64,
}

impl Memory {
    /// An account of this many bytes, such as [`Limits::nested`].
    #[must_use]
    pub fn new(most: u64) -> Memory {
        let used = AtomicU64::new(0);
        Memory(Arc::new(Account { most, used }))
    }

    /// The size of the account.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.0.most
    }

    /// Takes memory out of the account until the reservation is dropped; `None` if there is not
    /// enough left just now. Never waits.
    #[must_use]
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation {
            account: Arc::clone(&self.0),
            bytes: 0,
        };
        reservation.grow(bytes).then_some(reservation)
    }
}

/// Memory taken out of an account, given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    bytes: u64,
}

impl Reservation {
    fn grow(&mut self, bytes: u64) -> bool {
        let taken = self
            .account
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let after = used.checked_add(bytes)?;
                (after <= self.account.most).then_some(after)
            });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that can be read at any place, by several threads at once. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// A file on disk.
    File {
        /// The open file. Its own position is not used.
        file: Arc<File>,
        /// Its size in bytes when it was opened.
        size: u64,
    },
    /// A nested archive in memory.
    Memory(Arc<Held>),
    /// A piece of others, such as an archive that is stored in an archive as it is.
    Part {
        /// The others.
        of: Arc<Bytes>,
        /// Where in them it starts.
        start: u64,
        /// Its size in bytes.
        size: u64,
    },
}

/// A nested archive in memory, with what it takes out of the account.
#[derive(Debug)]
pub struct Held {
    bytes: Vec<u8>,
    // Only kept: dropping it gives the memory back.
    _reservation: Option<Reservation>,
}

impl From<Vec<u8>> for Bytes {
    /// Bytes that no account knows of.
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::Memory(Arc::new(Held {
            bytes,
            _reservation: None,
        }))
    }
}

impl Bytes {
    /// An open file.
    ///
    /// # Errors
    ///
    /// If its size cannot be told.
    pub fn file(file: File) -> io::Result<Bytes> {
        let size = file.metadata()?.len();
        let file = Arc::new(file);
        Ok(Bytes::File { file, size })
    }

    /// How many there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Bytes::File { size, .. } | Bytes::Part { size, .. } => *size,
            Bytes::Memory(held) => held.bytes.len() as u64,
        }
    }

    /// Reads at an offset until the buffer is full or the bytes end; returns how many were read.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // From its start even a file without a size is read: it may be one that cannot be.
        if offset > 0 && offset >= self.size() {
            return Ok(0);
        }
        match self {
            Bytes::File { file, .. } => input::read_at(file, buffer, offset),
            Bytes::Part { of, start, size } => {
                let room = usize::try_from(size.saturating_sub(offset))
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                of.read_at(
                    buffer.get_mut(..room).unwrap_or_default(),
                    start.saturating_add(offset),
                )
            }
            Bytes::Memory(held) => {
                let there = tail(&held.bytes, offset);
                let count = there.len().min(buffer.len());
                copy(buffer, there);
                Ok(count)
            }
        }
    }

    /// A piece of these, as far as they go.
    fn part(&self, start: u64, size: u64) -> Bytes {
        let start = start.min(self.size());
        Bytes::Part {
            of: Arc::new(self.clone()),
            start,
            size: size.min(self.size() - start),
        }
    }

    /// A buffered reader of its own, at the start.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            bytes: self.clone(),
            position: 0,
            buffer: None,
            buffered: 0,
            buffer_at: 0,
        }
    }
}

/// Reads [`Bytes`]. Seeking costs nothing and keeps what is buffered.
#[derive(Debug)]
pub struct Cursor {
    bytes: Bytes,
    position: u64,
    buffer: Option<Buffer>,
    /// How much of the buffer is filled.
    buffered: usize,
    /// Where in the file the buffer's bytes stand.
    buffer_at: u64,
}

impl Cursor {
    /// Bytes that are at the position in the buffer.
    fn buffered(&self) -> &[u8] {
        let buffer = self.buffer.as_deref().unwrap_or_default();
        let filled = buffer.get(..self.buffered).unwrap_or_default();
        match self.position.checked_sub(self.buffer_at) {
            Some(skipped) => tail(filled, skipped),
            None => &[],
        }
    }
}

impl BufRead for Cursor {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !matches!(self.bytes, Bytes::Memory(_)) && self.buffered().is_empty() {
            let buffer = self.buffer.get_or_insert_default();
            self.buffer_at = self.position;
            self.buffered = 0;
            self.buffered = self.bytes.read_at(buffer, self.position)?;
        }
        Ok(match &self.bytes {
            Bytes::Memory(held) => tail(&held.bytes, self.position),
            Bytes::File { .. } | Bytes::Part { .. } => self.buffered(),
        })
    }

    fn consume(&mut self, count: usize) {
        self.position = self.position.saturating_add(count as u64);
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.len() >= buffer::SIZE && self.buffered().is_empty() {
            let count = self.bytes.read_at(buffer, self.position)?;
            self.consume(count);
            return Ok(count);
        }
        let there = self.fill_buf()?;
        let count = there.len().min(buffer.len());
        copy(buffer, there);
        self.consume(count);
        Ok(count)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.bytes.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// What lies from an offset on.
fn tail(bytes: &[u8], offset: u64) -> &[u8] {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
        .unwrap_or_default()
}

/// Copies what both have room for.
fn copy(to: &mut [u8], from: &[u8]) {
    let count = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
        to.copy_from_slice(from);
    }
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

/// Why an archive, or a member of it, was not read or not wholly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The member's name for people; none if it is about the whole archive.
    pub member: Option<String>,
    /// What kind.
    pub kind: RefusalKind,
    /// What was found, and what to do about it.
    pub detail: String,
    /// How many unpacked bytes are missing because of it, as far as that can be told.
    pub lost_bytes: u64,
}

/// Every kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// It needs a password.
    Encrypted,
    /// A method or feature that is not read.
    Unsupported,
    /// A link or a device.
    NotFollowed,
    /// The end is missing.
    Truncated,
    /// It contradicts itself or its format.
    Damaged,
    /// It was read, but its checksum disagrees.
    Checksum,
    /// It unpacks to more than it may.
    TooLarge,
    /// The whole input passed a cap of its [`Budget`].
    Limit,
    /// The file underneath could not be read.
    Unreadable,
}

impl Refusal {
    fn new(kind: RefusalKind, detail: impl Into<String>) -> Refusal {
        Refusal {
            member: None,
            kind,
            detail: detail.into(),
            lost_bytes: 0,
        }
    }

    fn of(mut self, member: &str) -> Refusal {
        self.member = Some(member.to_owned());
        self
    }

    fn losing(mut self, bytes: u64) -> Refusal {
        self.lost_bytes = bytes;
        self
    }

    /// What an error of a reader means.
    fn from_error(error: &io::Error) -> Refusal {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Refusal::new(RefusalKind::Truncated, CUT),
            io::ErrorKind::FileTooLarge => Refusal::new(RefusalKind::TooLarge, error.to_string()),
            io::ErrorKind::QuotaExceeded => Refusal::new(RefusalKind::Limit, error.to_string()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                let detail = "its packed bytes are damaged: what stands in front of the damage was \
                              read; copy it again";
                Refusal::new(RefusalKind::Damaged, detail)
            }
            _ => Refusal::new(RefusalKind::Unreadable, input::plain(error)),
        }
    }

    /// The error that a reader gives for it, so that an archive inside knows what happened to it.
    fn to_error(&self) -> io::Error {
        let kind = match self.kind {
            RefusalKind::Truncated => io::ErrorKind::UnexpectedEof,
            RefusalKind::TooLarge => io::ErrorKind::FileTooLarge,
            RefusalKind::Limit => io::ErrorKind::QuotaExceeded,
            RefusalKind::Unreadable => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, self.detail.clone())
    }
}

/// Refusals of members, up to a number of each kind that can still be read: beyond that they are
/// counted.
#[derive(Clone, Debug)]
struct Refusals {
    /// How many of a kind are told one by one.
    most: u64,
    told: Vec<Refusal>,
    alike: BTreeMap<RefusalKind, Alike>,
}

#[derive(Clone, Debug, Default)]
struct Alike {
    count: u64,
    untold_bytes: u64,
}

/// How many members of an archive are told of one by one, of each kind of refusal.
const TOLD_MOST: u64 = 100;

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals::up_to(TOLD_MOST)
    }
}

impl Refusals {
    fn up_to(most: u64) -> Refusals {
        Refusals {
            most,
            told: Vec::new(),
            alike: BTreeMap::new(),
        }
    }

    fn push(&mut self, refusal: Refusal) {
        let alike = self.alike.entry(refusal.kind).or_default();
        alike.count += 1;
        if alike.count <= self.most {
            self.told.push(refusal);
        } else {
            alike.untold_bytes = alike.untold_bytes.saturating_add(refusal.lost_bytes);
        }
    }

    fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether one of them says that the end is missing.
    fn cut(&self) -> bool {
        self.alike.contains_key(&RefusalKind::Truncated)
    }

    fn told(mut self) -> Vec<Refusal> {
        for (kind, alike) in &self.alike {
            let untold = alike.count.saturating_sub(self.most);
            if untold > 0 {
                let detail = format!("and {untold} more: not read, or not wholly, and not listed");
                let rest = Refusal::new(*kind, detail);
                self.told.push(rest.losing(alike.untold_bytes));
            }
        }
        self.told
    }
}

impl Extend<Refusal> for Refusals {
    fn extend<T: IntoIterator<Item = Refusal>>(&mut self, refusals: T) {
        refusals.into_iter().for_each(|refusal| self.push(refusal));
    }
}

const CUT: &str = "it ends early: what is there was read; copy it again";

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
            let detail = "its checksum disagrees: what could be read of it was read";
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

fn over_ratio(budget: &Budget) -> Refusal {
    let ratio = budget.limits.ratio;
    Refusal::new(
        RefusalKind::TooLarge,
        format!(
            "it unpacks to more than {ratio} times its packed size, as no log does: if it is to be \
             trusted, unpack it first, or raise --max-ratio"
        ),
    )
}

/// What came of [holding](hold) a nested archive.
#[derive(Debug)]
pub enum Hold {
    /// It is in memory.
    Held(Bytes),
    /// There is no memory for it now, other nested archives hold it: read the whole input again
    /// when they are done, with a new [`Budget`], for what was read of it so far is counted.
    Later,
    /// It is too large, or could not be read.
    Refused(Refusal),
}

/// Reads a nested archive into memory. The memory grows with what arrives; a claimed size is only
/// believed where it is too large.
///
/// `name` is for the refusal. Where the reader fails, the member that it reads has its own
/// refusal; what arrived before is held, so that what is intact in it can be read.
pub fn hold(reader: &mut dyn Read, name: &str, claimed: Option<u64>, memory: &Memory) -> Hold {
    let too_large = || {
        let most = size_text(memory.most());
        let detail =
            format!("a nested archive larger than {most}: unpack it first, or raise --max-nested");
        let refusal = Refusal::new(RefusalKind::TooLarge, detail).of(name);
        Hold::Refused(refusal.losing(claimed.unwrap_or(0)))
    };
    if claimed.is_some_and(|claimed| claimed > memory.most()) {
        return too_large();
    }
    // Room for the whole of it, before anything is read: so a retry reads nothing twice.
    let Some(mut reservation) = memory.try_reserve(claimed.unwrap_or(0)) else {
        return Hold::Later;
    };
    let mut bytes = Vec::new();
    let mut buffer = Buffer::default();
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let after = bytes.len() as u64 + count as u64;
                let more = after.saturating_sub(reservation.bytes);
                if more > 0 {
                    if after > memory.most() {
                        return too_large();
                    }
                    // Ahead in steps: the account is shared.
                    let step = more.max(1 << 20).min(memory.most() - reservation.bytes);
                    if !reservation.grow(step) {
                        return Hold::Later;
                    }
                }
                bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // A vector grows by doubling: what it has too much of would not be accounted for.
    bytes.shrink_to_fit();
    Hold::Held(Bytes::Memory(Arc::new(Held {
        bytes,
        _reservation: Some(reservation),
    })))
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

/// A number of bytes for people.
fn size_text(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
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
