//! Gzip: one file in compressed pieces, which follow one another.
//!
//! Headers and trailers are read here: the decoders tell a wrong checksum from other damage only by
//! the words of their errors.

use super::inflate::Inflate;
use super::{Budget, Counted, Guard, Member, Refusal, RefusalKind, display, fill};
use crate::base::buffer;
use crate::base::bytes::u32_at;
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

/// The longest name or comment in a header.
const TEXT_MOST: usize = 0x1_0000;

/// Hands out the file inside a gzip file, and returns what was not read.
///
/// A gzip file may hold several pieces, as parallel and block-wise writers leave them: they are
/// one file. Its name is the one that the first piece gives, else that of the gzip file without
/// its `.gz`. A `.tar.gz` is a file that is a tar archive.
pub fn each(
    reader: &mut dyn Read,
    file_name: &str,
    budget: &Budget,
    visit: &mut dyn FnMut(Member<'_>),
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if !budget.take_member() {
        return refusals;
    }
    let packed = Cell::new(0);
    let reader: &mut dyn Read = reader;
    let counted = Counted {
        source: reader,
        count: &packed,
    };
    let mut source = BufReader::with_capacity(buffer::SIZE, counted);
    let header = header(&mut source);
    let named = header.as_ref().ok().and_then(Option::as_ref);
    let name = named.map(|name| display(&String::from_utf8_lossy(name)));
    let name = name.filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| inner_name(file_name));
    let mut pieces = Pieces {
        piece: Inflate::new(source),
        state: match header {
            Ok(_) => State::Inside,
            Err(error) => State::Failed(Refusal::from_error(&error)),
        },
        hasher: crc32fast::Hasher::new(),
        size: 0,
    };
    let mut guard = Guard::new(&mut pieces, budget, None);
    guard.packed = Some(&packed);
    guard.visit(&name, &mut refusals, visit);
    // What the pieces know better than the guard, which sees an error only.
    if let State::Failed(failure) = pieces.state {
        refusals.clear();
        refusals.push(failure.of(&name));
    }
    refusals
}

/// The name of the file in a gzip file.
fn inner_name(file_name: &str) -> String {
    let name = display(file_name);
    let last = name.rsplit('/').next().unwrap_or(&name);
    let ending = last.rsplit_once('.');
    match ending.map(|(stem, ending)| (stem, ending.to_ascii_lowercase())) {
        Some((stem, ending)) if ending == "tgz" => format!("{stem}.tar"),
        Some((stem, ending)) if ending == "gz" && !stem.is_empty() => stem.to_owned(),
        _ => last.to_owned(),
    }
}

/// Reads the header of a piece up to its packed bytes; the name of the file in it, if it has one.
fn header(source: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    const CHECKED: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;
    let mut hasher = crc32fast::Hasher::new();
    let mut start = [0; 10];
    exactly(source, &mut start)?;
    hasher.update(&start);
    let [0x1f, 0x8b, 8, flags, ..] = start else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if flags & RESERVED != 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if flags & EXTRA != 0 {
        let mut length = [0; 2];
        exactly(source, &mut length)?;
        let mut extra = vec![0; usize::from(u16::from_le_bytes(length))];
        exactly(source, &mut extra)?;
        hasher.update(&length);
        hasher.update(&extra);
    }
    let mut texts = [None, None];
    for (text, flag) in texts.iter_mut().zip([NAME, COMMENT]) {
        if flags & flag != 0 {
            let mut bytes = Vec::new();
            let limit = TEXT_MOST as u64;
            source.by_ref().take(limit).read_until(0, &mut bytes)?;
            hasher.update(&bytes);
            match bytes.pop() {
                Some(0) => *text = Some(bytes),
                Some(_) if bytes.len() + 1 == TEXT_MOST => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
    if flags & CHECKED != 0 {
        let mut sum = [0; 2];
        exactly(source, &mut sum)?;
        if hasher.finalize() & 0xffff != u32::from(u16::from_le_bytes(sum)) {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let [name, _] = texts;
    Ok(name)
}

fn exactly(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<()> {
    let count = fill(source, buffer)?;
    match count < buffer.len() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(()),
    }
}

/// The pieces, one after the other.
struct Pieces<'a> {
    piece: Inflate<BufReader<Counted<'a, &'a mut dyn Read>>>,
    state: State,
    /// Of what the piece gave so far.
    hasher: crc32fast::Hasher,
    size: u64,
}

enum State {
    /// A piece is being read.
    Inside,
    /// There is no more piece.
    Ended,
    Failed(Refusal),
}

impl Pieces<'_> {
    fn fail(&mut self, refusal: Refusal) -> io::Error {
        let error = refusal.to_error();
        self.state = State::Failed(refusal);
        error
    }

    /// Checks the piece against its trailer, which has its checksum and the low bits of its size.
    fn check(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        exactly(self.piece.source(), &mut trailer)?;
        let sum = std::mem::take(&mut self.hasher).finalize();
        let size = std::mem::take(&mut self.size) as u32;
        if (u32_at(&trailer, 0), u32_at(&trailer, 4)) != (Some(sum), Some(size)) {
            let detail = "its checksum disagrees: it was read as far as possible; copy it again";
            return Err(self.fail(Refusal::new(RefusalKind::Checksum, detail)));
        }
        Ok(())
    }

    /// Goes on to the next piece, if there is one.
    fn next(&mut self) -> io::Result<()> {
        loop {
            let source = self.piece.source();
            let next = match source.fill_buf() {
                Ok(next) => next,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let zeros = next.iter().take_while(|byte| **byte == 0).count();
            match next.get(zeros) {
                None if zeros == 0 => {
                    self.state = State::Ended;
                    return Ok(());
                }
                // A tape pads with zeros.
                None => source.consume(zeros),
                Some(0x1f) => {
                    source.consume(zeros);
                    header(source)?;
                    self.piece.restart();
                    return Ok(());
                }
                Some(_) => {
                    let detail = "what follows the compressed file is not gzip and was not read: \
                                  copy it again, if more is expected";
                    return Err(self.fail(Refusal::new(RefusalKind::Damaged, detail)));
                }
            }
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &self.state {
                State::Inside if !buffer.is_empty() => {}
                State::Inside | State::Ended => return Ok(0),
                State::Failed(refusal) => return Err(refusal.to_error()),
            }
            // An error may come after what is left of the piece.
            match self.piece.read(buffer)? {
                0 if self.piece.ended() => {
                    self.check()?;
                    self.next()?;
                }
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    self.hasher.update(buffer.get(..count).unwrap_or_default());
                    self.size += count as u64;
                    return Ok(count);
                }
            }
        }
    }
}
