//! Zip archives: members at known places, each read on its own.
//!
//! The directory is read here and not by the zip crate: that keeps one member of each name and
//! drops the others, gives up a directory for one bad header, and tells a wrong checksum, a lying
//! size and damage only by the words of its errors. The same code then walks the members from the
//! front where the directory is missing, also those whose sizes stand behind them, as a streaming
//! writer leaves them.

use super::{
    Budget, Bytes, Cursor, DEFLATE_MOST, Guard, Member, Refusal, RefusalKind, Refusals, display,
    fill,
};
use crate::buffer::Buffer;
use crate::chunk::{u16_at, u32_at, u64_at};
use flate2::bufread::DeflateDecoder;
use std::io::{self, BufRead, Read};

/// Size of a local header without name and extra fields.
const LOCAL: u64 = 30;
/// The same of a header in the directory.
const CENTRAL: usize = 46;
const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";
const CENTRAL_MAGIC: &[u8] = b"PK\x01\x02";
/// Where the end record is looked for: a comment of any length, and what was appended to it.
const END_SEARCHED: u64 = 256 * 1024;
/// The most that deflate64 makes of a byte: 65 538 bytes out of 18 bits.
const DEFLATE64_MOST: u64 = 29_128;

/// An open zip archive. Its [parts](Zip::parts) can be read by several threads.
#[derive(Debug)]
pub struct Zip {
    bytes: Bytes,
    entries: Vec<Entry>,
    /// What is wrong with the directory, so that members have to be looked for without it.
    rest: Option<Refusal>,
}

/// A member, as the directory or its local header describes it.
#[derive(Debug)]
struct Entry {
    name: String,
    /// Where its local header stands.
    start: u64,
    size: u64,
    packed: u64,
    crc: u32,
    method: u16,
    encrypted: bool,
    /// Known without reading it to be not worth reading.
    refusal: Option<Refusal>,
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
        while let Some(entry) = central_entry(&mut cursor, directory.shift).map_err(io)? {
            if named >= budget.limits.members {
                budget.take_bytes(u64::MAX);
                return Err(budget.refusal());
            }
            named += 1;
            if entry.size > 0 || !entry.name.ends_with('/') {
                zip.entries.push(entry);
            }
        }
        zip.judge();
        let in_front = directory.shift > 0 && starts_with_member(&zip.bytes).map_err(io)?;
        // An old count is one of 16 bits, which starts again from 0.
        let rest = if named < directory.count || cursor.position < directory.end {
            "its directory is damaged: the members that it does not name were looked for; copy it \
             again"
        } else if in_front {
            "another zip archive stands in front of it, whose members were looked for: split them"
        } else {
            return Ok(zip);
        };
        zip.rest = Some(Refusal::new(RefusalKind::Damaged, rest));
        Ok(zip)
    }

    /// Sorts the members by their place and refuses those that lie about it or their size.
    fn judge(&mut self) {
        let end = self.bytes.size();
        for entry in &mut self.entries {
            if entry.refusal.is_none() {
                entry.judge(false);
            }
            let after = entry
                .start
                .saturating_add(LOCAL)
                .saturating_add(entry.packed);
            if entry.refusal.is_none() && after > end {
                let detail = "it lies outside of the archive, which may be cut: copy it again";
                entry.refuse(RefusalKind::Truncated, detail);
            }
        }
        // Members that share bytes are how a small archive unpacks to a vast one.
        self.entries.sort_by_key(|entry| entry.start);
        let mut taken = 0;
        for entry in &mut self.entries {
            if entry.refusal.is_some() {
                continue;
            }
            if entry.start < taken {
                let detail = "it overlaps another member, which was read: unpack it first, if it is \
                              to be trusted";
                entry.refuse(RefusalKind::Damaged, detail);
            } else {
                taken = entry.start + LOCAL + entry.packed;
            }
        }
    }

    /// How many parts there are: one a member, and one for members without a directory.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.entries.len() + usize::from(self.rest.is_some())
    }

    /// Hands out the member or members of a part, and returns what was not read.
    pub fn read_part(
        &self,
        part: usize,
        budget: &Budget,
        visit: &mut dyn FnMut(Member<'_>),
    ) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if let Some(entry) = self.entries.get(part) {
            match &entry.refusal {
                Some(refusal) => refusals.push(refusal.clone()),
                None => self.read(entry, budget, visit, &mut refusals),
            }
        } else if let Some(refusal) = &self.rest {
            // Any four bytes may look like a member: there is no end to what they refuse.
            let mut walked = Refusals::default();
            walked.push(refusal.clone());
            if let Err(error) = self.walk(budget, visit, &mut walked) {
                walked.push(Refusal::from_error(&error));
            }
            refusals = walked.told();
        }
        refusals
    }

    fn read(
        &self,
        entry: &Entry,
        budget: &Budget,
        visit: &mut dyn FnMut(Member<'_>),
        refusals: &mut Vec<Refusal>,
    ) {
        let mut cursor = self.bytes.cursor();
        match data_start(&mut cursor, entry.start) {
            Ok(Some(start)) => {
                cursor.position = start;
                let stored = (entry.method == 0).then(|| self.bytes.part(start, entry.packed));
                let mut packed = cursor.take(entry.packed);
                entry.unpack(&mut packed, stored, false, budget, visit, refusals);
            }
            Ok(None) => {
                let detail = "the directory names it, but it is not there: copy the archive again";
                refusals.push(entry.refusal(RefusalKind::Damaged, detail));
            }
            Err(error) => refusals.push(Refusal::from_error(&error).of(&entry.name)),
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
            let Some((mut entry, data, size_behind)) = local_entry(&mut cursor, start)? else {
                let detail = "it ends inside the header of a member: copy it again";
                refusals.push(Refusal::new(RefusalKind::Truncated, detail));
                break;
            };
            cursor.position = data;
            if let Some(named) = named.ok().and_then(|at| self.entries.get(at)) {
                if named.refusal.is_none() {
                    cursor.position = data.saturating_add(named.packed);
                }
                continue;
            }
            if entry.size == 0 && entry.packed == 0 && entry.name.ends_with('/') {
                continue;
            }
            entry.judge(size_behind);
            let mut told = Vec::new();
            match entry.refusal.take() {
                // What follows is found by its magic.
                Some(refusal) => told.push(refusal),
                None if size_behind => {
                    entry.unpack(&mut cursor, None, true, budget, visit, &mut told);
                }
                None => {
                    let mut packed = (&mut cursor).take(entry.packed);
                    entry.unpack(&mut packed, None, false, budget, visit, &mut told);
                    cursor.position = data.saturating_add(entry.packed);
                }
            }
            told.into_iter().for_each(|refusal| refusals.push(refusal));
        }
        Ok(())
    }
}

impl Entry {
    fn refusal(&self, kind: RefusalKind, detail: impl Into<String>) -> Refusal {
        // The size is a claim: what the packed bytes can at most give is lost, not more.
        let most = self.packed.saturating_mul(self.most_per_byte());
        let lost = self.size.min(most);
        Refusal::new(kind, detail).of(&self.name).losing(lost)
    }

    fn refuse(&mut self, kind: RefusalKind, detail: impl Into<String>) {
        self.refusal = Some(self.refusal(kind, detail));
    }

    /// The most that a packed byte can come to.
    fn most_per_byte(&self) -> u64 {
        match self.method {
            8 => DEFLATE_MOST,
            9 => DEFLATE64_MOST,
            _ => 1,
        }
    }

    /// Refuses what can be told not to be readable from its sizes and method.
    fn judge(&mut self, size_behind: bool) {
        let most = self.packed.saturating_mul(self.most_per_byte());
        if self.encrypted || self.method == 99 {
            let detail = "encrypted: unpack it with its password and name the folder";
            self.refuse(RefusalKind::Encrypted, detail);
        } else if let Some(method) = unsupported(self.method) {
            let detail = format!("compressed by {method}, which is not read: unpack it first");
            self.refuse(RefusalKind::Unsupported, detail);
        } else if size_behind {
            // Packed bytes tell their own end, except where they are not packed.
            if self.method == 0 {
                let detail = "without the directory its size is not known: copy the archive again";
                self.refuse(RefusalKind::Truncated, detail);
            }
        } else if self.method == 0 && self.size != self.packed {
            let detail = "it is stored as it is, but its two sizes differ: unpack it first, if it \
                          is to be trusted";
            self.refuse(RefusalKind::Damaged, detail);
        } else if self.size > most {
            let detail = "it claims more than its packed bytes can give: copy the archive again, \
                          or do not trust it";
            self.refuse(RefusalKind::Damaged, detail);
        }
    }

    /// Unpacks it from a reader that stands at its packed bytes. Where its sizes stand behind it
    /// there is nothing to check it against, except that its last block comes.
    fn unpack<R: BufRead>(
        &self,
        packed: &mut R,
        stored: Option<Bytes>,
        size_behind: bool,
        budget: &Budget,
        visit: &mut dyn FnMut(Member<'_>),
        refusals: &mut Vec<Refusal>,
    ) {
        let mut plain;
        let mut deflated;
        let mut deflated64;
        let reader: &mut dyn Read = match self.method {
            0 => {
                plain = packed;
                &mut plain
            }
            8 => {
                deflated = DeflateDecoder::new(packed);
                &mut deflated
            }
            _ => {
                deflated64 = deflate64::Deflate64Decoder::with_buffer(packed);
                &mut deflated64
            }
        };
        let mut guard = Guard::new(reader, budget, None);
        guard.drain = size_behind;
        guard.stored = stored;
        if !size_behind {
            guard.size = Some(self.size);
            guard.packed = Some(self.packed);
            guard.checksum = Some(self.crc);
        }
        guard.visit(&self.name, refusals, visit);
    }
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
            let detail = "one volume of a split zip archive: join the volumes, or unpack them";
            return Err(Refusal::new(RefusalKind::Unsupported, detail));
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

/// The member whose header in the directory the cursor stands at, if it does at one.
fn central_entry(cursor: &mut Cursor, shift: u64) -> io::Result<Option<Entry>> {
    let mut header = [0; CENTRAL];
    let at = cursor.position;
    let read = fill(cursor, &mut header)?;
    if read < header.len() || !header.starts_with(CENTRAL_MAGIC) {
        cursor.position = at;
        return Ok(None);
    }
    let short = |at| u16_at(&header, at).unwrap_or(0);
    let long = |at| u32_at(&header, at).unwrap_or(0);
    let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(short(at)));
    let mut rest = vec![0; name + extra];
    if fill(cursor, &mut rest)? < rest.len() {
        cursor.position = at;
        return Ok(None);
    }
    cursor.consume(comment);
    let (name, extra) = rest.split_at_checked(name).unwrap_or_default();
    let mut entry = Entry {
        name: display(&String::from_utf8_lossy(name)),
        start: u64::from(long(42)),
        size: u64::from(long(24)),
        packed: u64::from(long(20)),
        crc: long(16),
        method: short(10),
        encrypted: short(8) & 1 != 0,
        refusal: None,
    };
    entry.large_sizes(extra);
    entry.start = entry.start.saturating_add(shift);
    let on_unix = header.get(5) == Some(&3);
    if on_unix && long(38) >> 28 == 0o12 {
        let detail = "a link, not followed: what it leads to is read where it lies";
        entry.refusal = Some(Refusal::new(RefusalKind::NotFollowed, detail).of(&entry.name));
    } else if ![0, 0xffff].contains(&short(34)) {
        let detail = "it lies on another volume of a split archive: unpack that first";
        entry.refuse(RefusalKind::Unsupported, detail);
    }
    Ok(Some(entry))
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

/// A member as its local header describes it, where its packed bytes start, and whether its sizes
/// stand behind them.
fn local_entry(cursor: &mut Cursor, start: u64) -> io::Result<Option<(Entry, u64, bool)>> {
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
        name: display(&String::from_utf8_lossy(name)),
        start,
        size: u64::from(u32_at(&header, 22).unwrap_or(0)),
        packed: u64::from(u32_at(&header, 18).unwrap_or(0)),
        crc: u32_at(&header, 14).unwrap_or(0),
        method: u16_at(&header, 8).unwrap_or(0),
        encrypted: flags & 1 != 0,
        refusal: None,
    };
    entry.large_sizes(extra);
    entry.start = start;
    let size_behind = flags & 8 != 0 && [0, u64::from(u32::MAX)].contains(&entry.packed);
    Ok(Some((entry, data, size_behind)))
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
