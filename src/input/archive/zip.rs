//! Zip archives: members at known places, each read on its own.
//!
//! The directory is read here and not by the zip crate: that keeps one member of each name and
//! drops the others, gives up a directory for one bad header, and tells a wrong checksum, a lying
//! size and damage only by the words of its errors. The same code then walks the members from the
//! front where the directory is missing, also those whose sizes stand behind them, as a streaming
//! writer leaves them.

use super::inflate::Inflate;
use super::{
    Budget, Bytes, Counted, Cursor, DEFLATE_MOST, Guard, Member, Refusal, RefusalKind, Refusals,
    display, fill, over_ratio,
};
use crate::base::buffer::Buffer;
use crate::base::bytes::{u16_at, u32_at, u64_at};
use std::cell::Cell;
use std::io::{self, BufRead, Read};

/// Size of a local header without name and extra fields.
const LOCAL: u64 = 30;
/// The same of a header in the directory.
const CENTRAL: usize = 46;
/// Where in it the length of the name stands.
const NAME_LENGTH: u64 = 28;
const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";
const CENTRAL_MAGIC: &[u8] = b"PK\x01\x02";
/// Where the end record is looked for: a comment of any length, and what was appended to it.
const END_SEARCHED: u64 = 256 * 1024;
/// The most that deflate64 makes of a byte: 65 538 bytes out of 18 bits.
const DEFLATE64_MOST: u64 = 29_128;

/// Parts that an archive is read in. Where there are more members, a part is a run of them.
const PARTS_MOST: usize = 4096;
/// How many refusals of a kind a run tells one by one.
const RUN_TOLD_MOST: u64 = 3;

/// What is said of a volume, and of volumes that were appended to one another, which makes no
/// archive. To join them by `zip -s 0` is not advised: zip 3.0 loses what lies on a third volume of a
/// member, without a word.
pub(crate) const SPLIT: &str = "\
     a volume of a split zip archive, or several: unpack it with all of its volumes beside it, as \
     7-Zip does, and name the folder";

/// An open zip archive. Its [parts](Zip::parts) can be read by several threads.
#[derive(Debug)]
pub struct Zip {
    bytes: Bytes,
    /// What is worth reading, by its place.
    entries: Vec<Entry>,
    /// What is wrong with the others, which the directory gives away.
    refusals: Refusals,
    /// Where these stand, in order.
    refused: Vec<u64>,
    /// What is wrong with the directory, so that members have to be looked for without it.
    rest: Option<Refusal>,
}

/// A member, as the directory or its local header describes it. There may be a million: what is
/// only needed when it is read stays in the directory.
#[derive(Debug)]
struct Entry {
    /// Where its header stands in the directory, or else its local one.
    header: u64,
    /// Where its local header stands.
    start: u64,
    size: u64,
    packed: u64,
    crc: u32,
    method: u16,
    encrypted: bool,
    /// Its sizes are not known: they stand behind it.
    size_behind: bool,
}

impl Zip {
    /// Reads the directory.
    ///
    /// Where it is missing or damaged the archive still opens: the last part finds the members
    /// that the directory does not name, and says so.
    ///
    /// # Errors
    ///
    /// A volume of a split archive, more members than the budget has, an unreadable file.
    pub fn open(bytes: Bytes, budget: &Budget) -> Result<Zip, Refusal> {
        let mut zip = Zip {
            bytes,
            entries: Vec::new(),
            refusals: Refusals::default(),
            refused: Vec::new(),
            rest: None,
        };
        let mut cursor = zip.bytes.cursor();
        let io = |error: io::Error| Refusal::from_error(&error);
        let Some(directory) = Directory::find(&zip.bytes)? else {
            let detail = "the end of the zip archive is missing: the members that are there were \
                          read; copy it again";
            zip.rest = Some(Refusal::new(RefusalKind::Truncated, detail));
            return Ok(zip);
        };
        cursor.position = directory.start;
        let mut named = 0_u64;
        while let Some((entry, name, refusal)) =
            central_entry(&mut cursor, directory.shift, budget).map_err(io)?
        {
            named += 1;
            if !budget.take_member() {
                return Err(budget.refusal());
            }
            if entry.size == 0 && name.ends_with('/') {
                continue;
            }
            match refusal.or_else(|| entry.judge(budget)) {
                Some(refusal) => zip.refuse(&entry, refusal.of(&name)),
                None if entry.end() > zip.bytes.size() => {
                    let detail = "its place is outside the archive, which may be cut: copy the \
                                  archive again";
                    let refusal = entry.refusal(RefusalKind::Truncated, detail, budget);
                    zip.refuse(&entry, refusal.of(&name));
                }
                None => zip.entries.push(entry),
            }
        }
        zip.refuse_overlaps(budget).map_err(io)?;
        zip.refused.sort_unstable();
        let in_front = directory.shift > 0 && starts_with_member(&zip.bytes).map_err(io)?;
        // An old count is one of 16 bits, which starts again from 0.
        let rest = if named < directory.count || cursor.position < directory.end {
            "its directory is damaged: the members that it does not name were looked for; copy it \
             again"
        } else if in_front {
            "another zip archive is in front of this one, and its members were looked for: save \
             each archive to a file of its own"
        } else {
            return Ok(zip);
        };
        zip.rest = Some(Refusal::new(RefusalKind::Damaged, rest));
        Ok(zip)
    }

    fn refuse(&mut self, entry: &Entry, refusal: Refusal) {
        self.refused.push(entry.start);
        self.refusals.push(refusal);
    }

    /// Sorts the members by their place. Those that share bytes are how a small archive unpacks to
    /// a vast one.
    fn refuse_overlaps(&mut self, budget: &Budget) -> io::Result<()> {
        self.entries.sort_by_key(|entry| entry.start);
        let mut taken = 0;
        for entry in std::mem::take(&mut self.entries) {
            if entry.start < taken {
                let detail = "it overlaps another member, which was read: unpack it first if you \
                              trust it";
                let refusal = entry.refusal(RefusalKind::Damaged, detail, budget);
                let name = self.name(&entry)?;
                self.refuse(&entry, refusal.of(&name));
            } else {
                taken = entry.end();
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    /// The name of a member that the directory names.
    fn name(&self, entry: &Entry) -> io::Result<String> {
        let mut length = [0; 2];
        self.bytes
            .read_at(&mut length, entry.header.saturating_add(NAME_LENGTH))?;
        let mut name = vec![0; usize::from(u16::from_le_bytes(length))];
        let at = entry.header.saturating_add(CENTRAL as u64);
        self.bytes.read_at(&mut name, at)?;
        Ok(display(&String::from_utf8_lossy(&name)))
    }

    /// How many parts there are: one a member or run of members, and one for those that are refused
    /// and those without a directory.
    #[must_use]
    pub fn parts(&self) -> usize {
        let last = self.rest.is_some() || !self.refusals.is_empty();
        self.entries.len().div_ceil(self.run()) + usize::from(last)
    }

    /// How many members a part has.
    fn run(&self) -> usize {
        self.entries.len().div_ceil(PARTS_MOST).max(1)
    }

    /// Hands out the member or members of a part, and returns what was not read.
    pub fn read_part(
        &self,
        part: usize,
        budget: &Budget,
        visit: &mut dyn FnMut(Member<'_>),
    ) -> Vec<Refusal> {
        if let Some(run) = self.entries.chunks(self.run()).nth(part) {
            let mut refusals = Refusals::up_to(RUN_TOLD_MOST);
            for entry in run {
                if budget.exhausted() {
                    break;
                }
                let mut told = Vec::new();
                self.read(entry, budget, visit, &mut told);
                refusals.extend(told);
            }
            return refusals.told();
        }
        let mut told = self.refusals.clone().told();
        if let Some(refusal) = &self.rest {
            // Any four bytes may look like a member: there is no end to what they refuse.
            let mut walked = Refusals::default();
            walked.push(refusal.clone());
            if let Err(error) = self.walk(budget, visit, &mut walked) {
                walked.push(Refusal::from_error(&error));
            }
            told.extend(walked.told());
        }
        told
    }

    fn read(
        &self,
        entry: &Entry,
        budget: &Budget,
        visit: &mut dyn FnMut(Member<'_>),
        refusals: &mut Vec<Refusal>,
    ) {
        let mut cursor = self.bytes.cursor();
        let place = self
            .name(entry)
            .and_then(|name| Ok((name, data_start(&mut cursor, entry.start)?)));
        match place {
            Ok((name, Some(start))) => {
                cursor.position = start;
                let stored = (entry.method == 0).then(|| self.bytes.part(start, entry.packed));
                let mut packed = cursor.take(entry.packed);
                entry.unpack(&name, &mut packed, stored, budget, visit, refusals);
            }
            Ok((name, None)) => {
                let detail = "the directory names it, but it is not there: copy the archive again";
                let refusal = entry.refusal(RefusalKind::Damaged, detail, budget);
                refusals.push(refusal.of(&name));
            }
            Err(error) => refusals.push(Refusal::from_error(&error)),
        }
    }

    /// Reads the members that the directory does not name, from one local header to the next.
    fn walk(
        &self,
        budget: &Budget,
        visit: &mut dyn FnMut(Member<'_>),
        refusals: &mut Refusals,
    ) -> io::Result<()> {
        let mut cursor = self.bytes.cursor();
        while find_header(&mut cursor)? && !budget.exhausted() {
            let start = cursor.position;
            let named = self
                .entries
                .binary_search_by_key(&start, |entry| entry.start);
            let Some((entry, name, data)) = local_entry(&mut cursor, start)? else {
                let detail = "it ends inside the header of a member: copy it again";
                refusals.push(Refusal::new(RefusalKind::Truncated, detail));
                break;
            };
            cursor.position = data;
            if let Some(named) = named.ok().and_then(|at| self.entries.get(at)) {
                cursor.position = data.saturating_add(named.packed);
                continue;
            }
            if self.refused.binary_search(&start).is_ok() {
                continue;
            }
            if entry.size == 0 && entry.packed == 0 && name.ends_with('/') {
                continue;
            }
            if !budget.take_member() {
                break;
            }
            let mut told = Vec::new();
            match entry.judge(budget) {
                // What follows is found by its magic.
                Some(refusal) => told.push(refusal.of(&name)),
                None if entry.size_behind => {
                    entry.unpack(&name, &mut cursor, None, budget, visit, &mut told);
                }
                None => {
                    let mut packed = (&mut cursor).take(entry.packed);
                    entry.unpack(&name, &mut packed, None, budget, visit, &mut told);
                    cursor.position = data.saturating_add(entry.packed);
                }
            }
            refusals.extend(told);
        }
        Ok(())
    }
}

impl Entry {
    fn refusal(&self, kind: RefusalKind, detail: impl Into<String>, budget: &Budget) -> Refusal {
        // The size is a claim: what the packed bytes can at most give is lost, not more.
        let lost = self.size.min(self.most());
        Refusal::new(kind, detail).losing(budget.believed(lost))
    }

    /// Where it ends at the earliest.
    fn end(&self) -> u64 {
        let data = self.start.saturating_add(LOCAL);
        data.saturating_add(self.packed)
    }

    /// The most that its packed bytes can come to.
    fn most(&self) -> u64 {
        self.packed.saturating_mul(self.most_per_byte())
    }

    /// The most that a packed byte can come to.
    fn most_per_byte(&self) -> u64 {
        match self.method {
            8 => DEFLATE_MOST,
            9 => DEFLATE64_MOST,
            _ => 1,
        }
    }

    /// Why it is not to be read, as far as its sizes and method tell.
    fn judge(&self, budget: &Budget) -> Option<Refusal> {
        let refusal = |kind, detail: &str| Some(self.refusal(kind, detail, budget));
        if self.encrypted || self.method == 99 {
            let detail = "encrypted: unpack it with its password and name the folder";
            refusal(RefusalKind::Encrypted, detail)
        } else if let Some(method) = unsupported(self.method) {
            let detail = format!("compressed by {method}, which is not read: unpack it first");
            refusal(RefusalKind::Unsupported, &detail)
        } else if self.size_behind {
            // Packed bytes tell their own end, except where they are not packed.
            let detail = "its size is unknown without the directory: copy the archive again";
            match self.method {
                0 => refusal(RefusalKind::Truncated, detail),
                _ => None,
            }
        } else if self.method == 0 && self.size != self.packed {
            let detail = "it is stored as it is, but its two sizes differ: unpack it first if \
                          you trust it";
            refusal(RefusalKind::Damaged, detail)
        } else if self.size > self.most() {
            let detail = "it claims more than its packed bytes can give: copy the archive again, \
                          or do not trust it";
            refusal(RefusalKind::Damaged, detail)
        } else if budget.over_ratio(self.size, self.packed) {
            let lost = budget.believed(self.size);
            Some(over_ratio(budget).losing(lost))
        } else {
            None
        }
    }

    /// Unpacks it from a reader that stands at its packed bytes. Where its sizes stand behind it
    /// there is nothing to check it against, except that its last block comes.
    fn unpack<R: BufRead>(
        &self,
        name: &str,
        packed: &mut R,
        stored: Option<Bytes>,
        budget: &Budget,
        visit: &mut dyn FnMut(Member<'_>),
        refusals: &mut Vec<Refusal>,
    ) {
        let count = Cell::new(0);
        let packed = Counted {
            source: packed,
            count: &count,
        };
        let mut plain;
        let mut deflated;
        let mut deflated64;
        let reader: &mut dyn Read = match self.method {
            0 => {
                plain = packed;
                &mut plain
            }
            8 => {
                deflated = Inflate::new(packed);
                &mut deflated
            }
            _ => {
                deflated64 = deflate64::Deflate64Decoder::with_buffer(packed);
                &mut deflated64
            }
        };
        let mut guard = Guard::new(reader, budget, None);
        guard.packed = Some(&count);
        guard.drain = self.size_behind;
        guard.stored = stored;
        if !self.size_behind {
            guard.size = Some(self.size);
            guard.checksum = Some(self.crc);
        }
        guard.visit(name, refusals, visit);
    }
}

/// Whether a file ends with a directory of members, however it starts.
///
/// # Errors
///
/// As [`Zip::open`]: the last volume of a split archive has a directory too, but not the members.
pub(crate) fn ends(bytes: &Bytes) -> Result<bool, Refusal> {
    let directory = Directory::find(bytes)?;
    Ok(directory.is_some_and(|directory| directory.count > 0))
}

/// The name of a method that is not read.
fn unsupported(method: u16) -> Option<String> {
    let name = match method {
        0 | 8 | 9 => return None,
        1 => "shrinking",
        2..=5 => "reducing",
        6 => "imploding",
        12 => "bzip2",
        14 => "LZMA",
        93 => "zstd",
        95 => "xz",
        98 => "PPMd",
        _ => return Some(format!("zip method {method}")),
    };
    Some(name.to_owned())
}

/// Where the directory stands.
struct Directory {
    start: u64,
    end: u64,
    /// How many members it counts.
    count: u64,
    /// How far the archive was moved inside its file, by a program in front of it.
    shift: u64,
}

impl Directory {
    /// The directory, by the last end record that tells of one.
    fn find(bytes: &Bytes) -> Result<Option<Directory>, Refusal> {
        let io = |error: io::Error| Refusal::from_error(&error);
        let from = bytes.size().saturating_sub(END_SEARCHED);
        let mut tail = vec![0; usize::try_from(bytes.size() - from).unwrap_or(0)];
        let count = bytes.read_at(&mut tail, from).map_err(io)?;
        let tail = tail.get(..count).unwrap_or_default();
        let mut start = [0; 4];
        bytes.read_at(&mut start, 0).map_err(io)?;
        let mut split = start == *b"PK\x07\x08";
        for at in memchr::memmem::rfind_iter(tail, b"PK\x05\x06") {
            let record = tail.get(at..).unwrap_or_default();
            let Some(end) = End::read(bytes, from + at as u64, record).map_err(io)? else {
                continue;
            };
            if end.disks > 0 {
                split = true;
            } else if let Some(directory) = end.directory(bytes).map_err(io)? {
                return Ok(Some(directory));
            }
        }
        if split {
            return Err(Refusal::new(RefusalKind::Unsupported, SPLIT));
        }
        Ok(None)
    }
}

/// An end record.
struct End {
    /// Where the directory has to end.
    at: u64,
    /// Volumes in front of this one.
    disks: u32,
    count: u64,
    size: u64,
    offset: u64,
}

impl End {
    fn read(bytes: &Bytes, at: u64, record: &[u8]) -> io::Result<Option<End>> {
        let short = |offset| u16_at(record, offset).map(u64::from);
        let long = |offset| u32_at(record, offset).map(u64::from);
        let fields = (short(4), short(10), long(12), long(16));
        let (Some(disk), Some(count), Some(size), Some(offset)) = fields else {
            return Ok(None);
        };
        let small = End {
            at,
            disks: u32::from(disk != 0 && disk != 0xffff),
            count,
            size,
            offset,
        };
        // A large archive has another record in front of it, and a locator between them.
        let mut locator = [0; 20];
        let located = at.checked_sub(20).unwrap_or(at);
        bytes.read_at(&mut locator, located)?;
        if !locator.starts_with(b"PK\x06\x07") {
            return Ok(Some(small));
        }
        let claimed = u64_at(&locator, 8).unwrap_or(0);
        // In a moved archive it stands right in front of its locator.
        for at in [claimed, located.saturating_sub(56)] {
            let mut large = [0; 56];
            bytes.read_at(&mut large, at)?;
            if large.starts_with(b"PK\x06\x06") && at < located {
                return Ok(Some(End {
                    at,
                    disks: u32_at(&large, 16).unwrap_or(0),
                    count: u64_at(&large, 32).unwrap_or(0),
                    size: u64_at(&large, 40).unwrap_or(0),
                    offset: u64_at(&large, 48).unwrap_or(0),
                }));
            }
        }
        Ok(Some(small))
    }

    fn directory(&self, bytes: &Bytes) -> io::Result<Option<Directory>> {
        let directory = |start, shift| Directory {
            start,
            end: self.at,
            count: self.count,
            shift,
        };
        if self.count == 0 && self.size == 0 {
            // Where there are members, an end record that knows of none is somebody's bytes.
            let empty = !starts_with_member(bytes)?;
            return Ok(empty.then(|| directory(self.at, 0)));
        }
        // By its size it ends here; by its offset it does so unless the archive was moved.
        let by_size = self.at.checked_sub(self.size);
        for start in [by_size, Some(self.offset)].into_iter().flatten() {
            let mut magic = [0; 4];
            bytes.read_at(&mut magic, start)?;
            if magic == CENTRAL_MAGIC && start < self.at {
                return Ok(Some(directory(start, start.saturating_sub(self.offset))));
            }
        }
        Ok(None)
    }
}

fn starts_with_member(bytes: &Bytes) -> io::Result<bool> {
    let mut start = [0; 4];
    bytes.read_at(&mut start, 0)?;
    Ok(start == LOCAL_MAGIC)
}

/// The member whose header in the directory the cursor stands at, if it does at one, with its name
/// and why it is not to be read, as far as only this header tells.
fn central_entry(
    cursor: &mut Cursor,
    shift: u64,
    budget: &Budget,
) -> io::Result<Option<(Entry, String, Option<Refusal>)>> {
    let mut header = [0; CENTRAL];
    let at = cursor.position;
    let read = fill(cursor, &mut header)?;
    if read < header.len() || !header.starts_with(CENTRAL_MAGIC) {
        cursor.position = at;
        return Ok(None);
    }
    let short = |at| u16_at(&header, at).unwrap_or(0);
    let long = |at| u32_at(&header, at).unwrap_or(0);
    let [name, extra, comment] = [NAME_LENGTH as usize, 30, 32].map(|at| usize::from(short(at)));
    let mut rest = vec![0; name + extra];
    if fill(cursor, &mut rest)? < rest.len() {
        cursor.position = at;
        return Ok(None);
    }
    cursor.consume(comment);
    let (name, extra) = rest.split_at_checked(name).unwrap_or_default();
    let mut entry = Entry {
        header: at,
        start: u64::from(long(42)),
        size: u64::from(long(24)),
        packed: u64::from(long(20)),
        crc: long(16),
        method: short(10),
        encrypted: short(8) & 1 != 0,
        size_behind: false,
    };
    entry.large_sizes(extra);
    entry.start = entry.start.saturating_add(shift);
    let on_unix = header.get(5) == Some(&3);
    let refusal = if on_unix && long(38) >> 28 == 0o12 {
        let detail = "a link, not followed: its target is read where it is";
        Some(Refusal::new(RefusalKind::NotFollowed, detail))
    } else if ![0, 0xffff].contains(&short(34)) {
        let detail = "it lies on another volume of a split archive: unpack that first";
        Some(entry.refusal(RefusalKind::Unsupported, detail, budget))
    } else {
        None
    };
    let name = display(&String::from_utf8_lossy(name));
    Ok(Some((entry, name, refusal)))
}

/// Where the packed bytes of the member with this local header start, if it is one.
fn data_start(cursor: &mut Cursor, start: u64) -> io::Result<Option<u64>> {
    let mut header = [0; LOCAL as usize];
    cursor.position = start;
    let read = fill(cursor, &mut header)?;
    if read < header.len() || !header.starts_with(LOCAL_MAGIC) {
        return Ok(None);
    }
    let lengths = [26, 28].map(|at| u64::from(u16_at(&header, at).unwrap_or(0)));
    Ok(Some(start + LOCAL + lengths.iter().sum::<u64>()))
}

/// A member as its local header describes it, its name, and where its packed bytes start.
fn local_entry(cursor: &mut Cursor, start: u64) -> io::Result<Option<(Entry, String, u64)>> {
    let Some(data) = data_start(cursor, start)? else {
        return Ok(None);
    };
    let mut header = vec![0; usize::try_from(data - start).unwrap_or(0)];
    cursor.position = start;
    if fill(cursor, &mut header)? < header.len() {
        return Ok(None);
    }
    let name_length = usize::from(u16_at(&header, 26).unwrap_or(0));
    let (name, extra) = header
        .get(LOCAL as usize..)
        .and_then(|rest| rest.split_at_checked(name_length))
        .unwrap_or_default();
    let flags = u16_at(&header, 6).unwrap_or(0);
    let mut entry = Entry {
        header: start,
        start,
        size: u64::from(u32_at(&header, 22).unwrap_or(0)),
        packed: u64::from(u32_at(&header, 18).unwrap_or(0)),
        crc: u32_at(&header, 14).unwrap_or(0),
        method: u16_at(&header, 8).unwrap_or(0),
        encrypted: flags & 1 != 0,
        size_behind: false,
    };
    entry.large_sizes(extra);
    entry.start = start;
    entry.size_behind = flags & 8 != 0 && [0, u64::from(u32::MAX)].contains(&entry.packed);
    let name = display(&String::from_utf8_lossy(name));
    Ok(Some((entry, name, data)))
}

impl Entry {
    /// Takes the sizes that do not fit into the header from its extra field.
    fn large_sizes(&mut self, mut extra: &[u8]) {
        while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
            let field = extra.get(4..).unwrap_or_default();
            let (field, rest) = field
                .split_at_checked(usize::from(length))
                .unwrap_or_default();
            if id == 1 {
                let mut at = 0;
                for size in [&mut self.size, &mut self.packed, &mut self.start] {
                    if *size == u64::from(u32::MAX) {
                        *size = u64_at(field, at).unwrap_or(*size);
                        at += 8;
                    }
                }
            }
            extra = rest;
        }
    }
}

/// Moves on to the next local header; `false` if the directory or the end comes first.
fn find_header(cursor: &mut Cursor) -> io::Result<bool> {
    // Mostly it is near: nothing or a few bytes of sizes lie between members.
    let there = cursor.fill_buf()?;
    let near = there.get(..there.len().min(64)).unwrap_or_default();
    if let Some((at, local)) = next_magic(near) {
        cursor.position += at;
        return Ok(local);
    }
    let mut buffer = Buffer::default();
    loop {
        let from = cursor.position;
        let count = cursor.bytes.read_at(&mut buffer, from)?;
        if let Some((at, local)) = next_magic(buffer.get(..count).unwrap_or_default()) {
            cursor.position = from + at;
            return Ok(local);
        }
        if count < buffer.len() {
            return Ok(false);
        }
        // A magic may lie across the end of what was read.
        cursor.position = from + count as u64 - 3;
    }
}

/// Where the first header of either kind stands, and whether it is a local one.
fn next_magic(bytes: &[u8]) -> Option<(u64, bool)> {
    memchr::memmem::find_iter(bytes, b"PK").find_map(|at| match bytes.get(at..at + 4)? {
        magic if magic == LOCAL_MAGIC => Some((at as u64, true)),
        magic if magic == CENTRAL_MAGIC => Some((at as u64, false)),
        _ => None,
    })
}
