//! Gzip: one file in compressed pieces, which follow one another.

use super::{Budget, Counted, Guard, Member, Refusal, RefusalKind, display};
use crate::buffer;
use flate2::bufread::GzDecoder;
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

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
    let first = GzDecoder::new(BufReader::with_capacity(buffer::SIZE, counted));
    let named = first.header().and_then(|header| header.filename());
    let name = named.map(|name| display(&String::from_utf8_lossy(name)));
    let name = name.filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| inner_name(file_name));
    let mut pieces = Pieces {
        piece: Some(first),
        failure: None,
    };
    let mut guard = Guard::new(&mut pieces, budget, None);
    guard.packed = Some(&packed);
    guard.visit(&name, &mut refusals, visit);
    // What the pieces know better than the guard, which sees an error only.
    if let Some(failure) = pieces.failure.take() {
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

/// The pieces, one after the other.
struct Pieces<'a> {
    piece: Option<GzDecoder<BufReader<Counted<'a, &'a mut dyn Read>>>>,
    failure: Option<Refusal>,
}

impl Pieces<'_> {
    fn fail(&mut self, refusal: Refusal) -> io::Error {
        let error = refusal.to_error();
        self.failure = Some(refusal);
        self.piece = None;
        error
    }

    /// Goes on to the next piece; `false` if there is none.
    fn next(&mut self) -> io::Result<bool> {
        let Some(piece) = self.piece.take() else {
            return Ok(false);
        };
        let mut source = piece.into_inner();
        loop {
            let next = source.fill_buf()?;
            let zeros = next.iter().take_while(|byte| **byte == 0).count();
            match next.get(zeros) {
                None if zeros == 0 => return Ok(false),
                // A tape pads with zeros.
                None => source.consume(zeros),
                Some(0x1f) => {
                    source.consume(zeros);
                    self.piece = Some(GzDecoder::new(source));
                    return Ok(true);
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
            let Some(piece) = &mut self.piece else {
                return Ok(0);
            };
            match piece.read(buffer) {
                Ok(0) if buffer.is_empty() => return Ok(0),
                Ok(0) => {
                    if !self.next()? {
                        return Ok(0);
                    }
                }
                Ok(count) => return Ok(count),
                // The crate's word for a wrong checksum, and for a header that is none.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    let wrong = error.to_string().contains("checksum");
                    let (kind, detail) = match wrong {
                        true => (
                            RefusalKind::Checksum,
                            "its checksum disagrees: what could be read of it was read",
                        ),
                        false => (
                            RefusalKind::Damaged,
                            "its packed bytes are damaged: what stands in front of the damage was \
                             read; copy it again",
                        ),
                    };
                    return Err(self.fail(Refusal::new(kind, detail)));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
