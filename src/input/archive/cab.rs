//! Windows cabinets: folders of files, each folder one compressed stream.
//!
//! The container is read here and not by the cab crate, which finds a file by its name (so that
//! one of two of the same name cannot be read), unpacks its folder from the start for each file,
//! gives up a cabinet for one file of another volume, and panics where a file lies outside of its
//! folder. The decompressors are other people's: flate2 (MSZIP) and lzxd (LZX).

use super::bytes::copy;
use super::{
    Budget, Bytes, CUT, Cursor, Guard, Member, Refusal, RefusalKind, Refusals, display, fill,
    over_ratio,
};
use crate::base::buffer::Buffer;
use crate::base::bytes::{u16_at, u32_at};
use crate::base::problem::counted;
use flate2::{Decompress, FlushDecompress, Status};
use lzxd::{Lzxd, WindowSize};
use std::io::{self, Read};

/// The most that a block unpacks to.
const BLOCK: usize = 32 * 1024;
/// The longest name, and its end.
const NAME: usize = 257;
/// From here on a file's folder number says that it is of another cabinet of the set.
const CONTINUED: u16 = 0xfffd;

/// An open cabinet. Its [parts](Cab::parts) can be read by several threads.
#[derive(Debug)]
pub struct Cab {
    bytes: Bytes,
    folders: Vec<Folder>,
    /// Bytes that each block has in front of its own.
    reserved: u8,
    refusals: Refusals,
}

#[derive(Debug)]
struct Folder {
    start: u64,
    blocks: u16,
    method: u16,
    files: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    /// Where it starts in the unpacked folder.
    offset: u64,
    size: u64,
}

impl Cab {
    /// Reads the folders and the list of files. Files that are listed wrongly cost only
    /// themselves: the last part says so.
    ///
    /// # Errors
    ///
    /// If it is no cabinet, or cannot be read.
    pub fn open(bytes: Bytes, budget: &Budget) -> Result<Cab, Refusal> {
        let io = |error: io::Error| Refusal::from_error(&error);
        let cut = || {
            let detail = "the start of the cabinet is cut or damaged: copy it again";
            Refusal::new(RefusalKind::Truncated, detail)
        };
        let mut cursor = bytes.cursor();
        let header: [u8; 36] = take(&mut cursor).map_err(io)?.ok_or_else(cut)?;
        let short = |at| u16_at(&header, at).unwrap_or(0);
        let (folders, files, flags) = (short(26), short(28), short(30));
        if !header.starts_with(b"MSCF") || header.get(25) != Some(&1) {
            let detail = "a cabinet of an unknown version: unpack it first";
            return Err(Refusal::new(RefusalKind::Unsupported, detail));
        }
        let mut reserved = [0; 4];
        if flags & 4 != 0 {
            reserved = take(&mut cursor).map_err(io)?.ok_or_else(cut)?;
        }
        let [low, high, in_folder, in_block] = reserved;
        cursor.position += u64::from(u16::from_le_bytes([low, high]));
        // The names of the cabinets and disks before and after it.
        for _ in 0..2 * (flags & 3).count_ones() {
            text(&mut cursor).map_err(io)?.ok_or_else(cut)?;
        }
        let mut cab = Cab {
            folders: Vec::new(),
            reserved: in_block,
            refusals: Refusals::default(),
            bytes,
        };
        for _ in 0..folders {
            let Some(folder) = take::<8>(&mut cursor).map_err(io)? else {
                break;
            };
            cab.folders.push(Folder {
                start: u64::from(u32_at(&folder, 0).unwrap_or(0)),
                blocks: u16_at(&folder, 4).unwrap_or(0),
                method: u16_at(&folder, 6).unwrap_or(0),
                files: Vec::new(),
            });
            cursor.position += u64::from(in_folder);
        }
        cursor.position = u64::from(u32_at(&header, 16).unwrap_or(0));
        for number in 0..files {
            if !budget.take_member() {
                return Err(budget.refusal());
            }
            if !cab.list(&mut cursor).map_err(io)? {
                let detail = format!(
                    "its list ends after {number} of {}: copy it again",
                    counted(files.into(), "file")
                );
                let refusal = Refusal::new(RefusalKind::Truncated, detail);
                cab.refusals.push(refusal);
                break;
            }
        }
        for folder in &mut cab.folders {
            folder.files.sort_by_key(|file| file.offset);
        }
        cab.folders.retain(|folder| !folder.files.is_empty());
        Ok(cab)
    }

    /// Takes the next file of the list; `false` if it ends.
    fn list(&mut self, cursor: &mut Cursor) -> io::Result<bool> {
        let Some(file) = take::<16>(cursor)? else {
            return Ok(false);
        };
        let Some(name) = text(cursor)? else {
            return Ok(false);
        };
        let entry = Entry {
            name: display(&String::from_utf8_lossy(&name)),
            offset: u64::from(u32_at(&file, 4).unwrap_or(0)),
            size: u64::from(u32_at(&file, 0).unwrap_or(0)),
        };
        let folder = u16_at(&file, 8).unwrap_or(0);
        if folder >= CONTINUED {
            let detail = "it is split over several cabinets of a set: unpack the set first, with \
                          expand -F:*";
            let refusal = Refusal::new(RefusalKind::Unsupported, detail);
            self.refusals
                .push(refusal.of(&entry.name).losing(entry.size));
        } else if let Some(folder) = self.folders.get_mut(usize::from(folder)) {
            folder.files.push(entry);
        } else {
            let detail = "the folder that it should be in is missing: copy the cabinet again";
            let refusal = Refusal::new(RefusalKind::Damaged, detail);
            self.refusals.push(refusal.of(&entry.name));
        }
        Ok(true)
    }

    /// How many parts there are: one a folder, and one for what is wrong with the list of files.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.folders.len() + usize::from(!self.refusals.is_empty())
    }

    /// Hands out the members of a part, the folder being unpacked once, and returns what was not
    /// read.
    pub fn read_part(
        &self,
        part: usize,
        budget: &Budget,
        visit: &mut dyn FnMut(Member<'_>),
    ) -> Vec<Refusal> {
        let Some(folder) = self.folders.get(part) else {
            return self.refusals.clone().told();
        };
        let mut refusals = Refusals::default();
        let method = match Method::new(folder.method) {
            Ok(method) => method,
            Err(name) => {
                let detail = format!("compressed by {name}, which is not read: unpack it first");
                for file in &folder.files {
                    let refusal = Refusal::new(RefusalKind::Unsupported, detail.as_str());
                    refusals.push(refusal.of(&file.name).losing(file.size));
                }
                return refusals.told();
            }
        };
        let mut stream = Stream::new(self, folder, method, budget);
        for (number, file) in folder.files.iter().enumerate() {
            if budget.exhausted() {
                break;
            }
            if file.offset < stream.position {
                let detail = "it overlaps another file of the cabinet, which was read: unpack it \
                              first if you trust it";
                let refusal = Refusal::new(RefusalKind::Damaged, detail);
                refusals.push(refusal.of(&file.name).losing(file.size));
                continue;
            }
            stream.skip_to(file.offset);
            let mut told = Vec::new();
            let mut body = (&mut stream).take(file.size);
            Guard::new(&mut body, budget, Some(file.size)).visit(&file.name, &mut told, visit);
            if std::mem::take(&mut stream.checksum_wrong) && told.is_empty() {
                let detail = "its checksum disagrees: it was read as far as possible; copy it \
                              again";
                told.push(Refusal::new(RefusalKind::Checksum, detail).of(&file.name));
            }
            if let Some(failure) = &stream.failure {
                // Said by the stream, which knows why; lost is what the guard missed.
                let lost = told.first().map_or(file.size, |refusal| refusal.lost_bytes);
                let behind = folder.files.len() - number - 1;
                let mut refusal = failure.clone().of(&file.name).losing(lost);
                if behind > 0 {
                    refusal.detail += &match behind {
                        1 => "; the file behind it is lost, too".to_owned(),
                        _ => format!("; the {behind} files behind it are lost, too"),
                    };
                    for file in folder.files.iter().skip(number + 1) {
                        refusal.lost_bytes = refusal.lost_bytes.saturating_add(file.size);
                    }
                }
                refusals.push(refusal);
                break;
            }
            refusals.extend(told);
        }
        refusals.told()
    }
}

/// The next bytes, if there are as many.
fn take<const COUNT: usize>(cursor: &mut Cursor) -> io::Result<Option<[u8; COUNT]>> {
    let mut bytes = [0; COUNT];
    let read = fill(cursor, &mut bytes)?;
    Ok((read == COUNT).then_some(bytes))
}

/// A text that ends with a 0.
fn text(cursor: &mut Cursor) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = [0; NAME];
    let at = cursor.position;
    let read = fill(cursor, &mut bytes)?;
    let bytes = bytes.get(..read).unwrap_or_default();
    let Some(end) = memchr::memchr(0, bytes) else {
        return Ok(None);
    };
    cursor.position = at + end as u64 + 1;
    Ok(bytes.get(..end).map(<[u8]>::to_vec))
}

/// How a folder is compressed.
enum Method {
    Stored,
    MsZip(Box<Decompress>),
    Lzx(Box<Lzxd>),
}

impl Method {
    /// The method of this number, or the name of one that is not read.
    fn new(number: u16) -> Result<Method, String> {
        Ok(match number & 0xf {
            0 => Method::Stored,
            1 => Method::MsZip(Box::new(Decompress::new(false))),
            3 => Method::Lzx(Box::new(Lzxd::new(match number >> 8 {
                15 => WindowSize::KB32,
                16 => WindowSize::KB64,
                17 => WindowSize::KB128,
                18 => WindowSize::KB256,
                19 => WindowSize::KB512,
                20 => WindowSize::MB1,
                21 => WindowSize::MB2,
                bits => return Err(format!("LZX with a window of {bits} bits")),
            }))),
            2 => return Err("Quantum".to_owned()),
            other => return Err(format!("cabinet method {other}")),
        })
    }
}

/// A folder while it is unpacked, block by block.
struct Stream<'a> {
    cursor: Cursor,
    budget: &'a Budget,
    method: Method,
    reserved: u8,
    blocks_left: u16,
    /// The block that is read, and how much of it is.
    block: Vec<u8>,
    read: usize,
    /// The one before: MSZIP refers to it.
    before: Vec<u8>,
    packed_block: Vec<u8>,
    /// Unpacked bytes that were given or skipped.
    position: u64,
    packed: u64,
    checksum_wrong: bool,
    failure: Option<Refusal>,
}

impl<'a> Stream<'a> {
    fn new(cab: &Cab, folder: &Folder, method: Method, budget: &'a Budget) -> Stream<'a> {
        let mut cursor = cab.bytes.cursor();
        cursor.position = folder.start;
        Stream {
            cursor,
            budget,
            method,
            reserved: cab.reserved,
            blocks_left: folder.blocks,
            block: Vec::new(),
            read: 0,
            before: Vec::new(),
            packed_block: Vec::new(),
            position: 0,
            packed: 0,
            checksum_wrong: false,
            failure: None,
        }
    }

    fn skip_to(&mut self, offset: u64) {
        let mut buffer = Buffer::default();
        while self.position < offset {
            let left = usize::try_from(offset - self.position)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let room = buffer.get_mut(..left).unwrap_or_default();
            if !self.read(room).is_ok_and(|count| count > 0) {
                break;
            }
        }
    }

    /// Unpacks the next block; `false` if there is none.
    fn next_block(&mut self) -> Result<bool, Refusal> {
        if self.blocks_left == 0 {
            return Ok(false);
        }
        self.blocks_left -= 1;
        let io = |error: io::Error| Refusal::from_error(&error);
        let cut = || Refusal::new(RefusalKind::Truncated, CUT);
        let header: [u8; 8] = take(&mut self.cursor).map_err(io)?.ok_or_else(cut)?;
        let checksum = u32_at(&header, 0).unwrap_or(0);
        let packed = u16_at(&header, 4).unwrap_or(0);
        let unpacked = u16_at(&header, 6).unwrap_or(0);
        let reserved = usize::from(self.reserved);
        self.packed_block.resize(reserved + usize::from(packed), 0);
        let read = fill(&mut self.cursor, &mut self.packed_block).map_err(io)?;
        if read < self.packed_block.len() {
            return Err(cut());
        }
        self.packed += read as u64;
        // A block costs its packed bytes too: it may unpack to next to nothing.
        if !self
            .budget
            .take_bytes(header.len() as u64 + read as u64 + u64::from(unpacked))
        {
            return Err(self.budget.refusal());
        }
        if unpacked == 0 {
            let detail = "it goes on in another cabinet of a set: unpack the set first, with \
                          expand -F:*";
            return Err(Refusal::new(RefusalKind::Unsupported, detail));
        }
        if checksum != 0 {
            let sizes = header.get(4..).unwrap_or_default();
            let sum = xor(sizes, xor(&self.packed_block, 0));
            self.checksum_wrong |= sum != checksum;
        }
        std::mem::swap(&mut self.block, &mut self.before);
        self.block.clear();
        self.read = 0;
        let source = self.packed_block.get(reserved..).unwrap_or_default();
        let length = usize::from(unpacked);
        let sound = match &mut self.method {
            Method::Stored => {
                self.block.extend_from_slice(source);
                true
            }
            Method::MsZip(inflate) => {
                self.block.resize(length, 0);
                inflate_block(inflate, source, &self.before, &mut self.block)
            }
            Method::Lzx(lzxd) => match length <= BLOCK {
                true => match lzxd.decompress_next(source, length) {
                    Ok(block) => {
                        self.block.extend_from_slice(block);
                        true
                    }
                    Err(_) => false,
                },
                false => false,
            },
        };
        if !sound || self.block.len() != length {
            self.block.clear();
            let detail = "its packed bytes are damaged: what is before the damage was \
                              read; copy it again";
            return Err(Refusal::new(RefusalKind::Damaged, detail));
        }
        let given = self.position + length as u64;
        if self.budget.over_ratio(given, self.packed) {
            return Err(over_ratio(self.budget));
        }
        Ok(true)
    }
}

/// Unpacks an MSZIP block, which refers to the block before it.
fn inflate_block(inflate: &mut Decompress, source: &[u8], before: &[u8], block: &mut [u8]) -> bool {
    let Some(source) = source.strip_prefix(b"CK") else {
        return false;
    };
    inflate.reset(false);
    if !before.is_empty() && inflate.set_dictionary(before).is_err() {
        return false;
    }
    let end = inflate.decompress(source, block, FlushDecompress::Finish);
    matches!(end, Ok(Status::StreamEnd)) && inflate.total_out() == block.len() as u64
}

/// The checksum of cabinets: words that are combined by exclusive or, the odd bytes of the end
/// being a word whose first byte is its highest.
fn xor(bytes: &[u8], seed: u32) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words
        .iter()
        .fold(seed, |sum, word| sum ^ u32::from_le_bytes(*word));
    rest.iter()
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
        ^ sum
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.block.len() && self.failure.is_none() && !buffer.is_empty() {
            match self.next_block() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(refusal) => self.failure = Some(refusal),
            }
        }
        if let Some(failure) = &self.failure {
            return Err(failure.to_error());
        }
        let there = self.block.get(self.read..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        copy(buffer, there);
        self.read += count;
        self.position += count as u64;
        Ok(count)
    }
}
