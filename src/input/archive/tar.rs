//! Tar archives (ustar, GNU, pax and the one before them), one member after the other.
//!
//! Headers are read by the tar crate. The walk from header to header is ours: the crate's holds a
//! long name or pax record of any claimed length in memory, and stops for good at the first
//! damaged header.

use super::{Budget, Guard, Member, Refusal, RefusalKind, Refusals, display, fill};
use crate::base::buffer::Buffer;
use crate::base::problem::counted;
use std::io::{self, Read};

const BLOCK: usize = 512;

/// How much of a long name or pax record is looked at.
const EXTENSION_MOST: u64 = 64 * 1024;

/// Whether a file that starts like this is a tar archive. The oldest format has no magic: its
/// header is known by its checksum, and by numbers where there have to be some.
pub(super) fn starts(start: &[u8]) -> bool {
    if start.get(257..262) == Some(b"ustar") {
        return true;
    }
    let mut header = tar::Header::new_old();
    let Some(start) = start.get(..BLOCK) else {
        return false;
    };
    header.as_mut_bytes().copy_from_slice(start);
    header.cksum().ok() == Some(checksum(&header))
        && header.mode().is_ok()
        && header.entry_size().is_ok()
        && matches!(header.as_bytes().get(156), Some(0 | b'0'..=b'7'))
}

/// Hands out the files of a tar archive, and returns what was not read.
///
/// Archives that were appended to one another are read to the end of the last. Behind a damaged
/// header the next sound one is looked for.
pub fn each(
    reader: &mut dyn Read,
    budget: &Budget,
    visit: &mut dyn FnMut(Member<'_>),
) -> Vec<Refusal> {
    let mut walk = Walk {
        reader,
        budget,
        refusals: Refusals::default(),
        described: Described::default(),
        lost: 0,
        ended: false,
    };
    let end = walk.run(visit);
    walk.tell_lost();
    match end {
        Err(error) => walk.refusals.push(Refusal::from_error(&error)),
        Ok(()) if !walk.ended && !walk.refusals.cut() && !budget.exhausted() => {
            let detail = "the end of the tar archive is missing: what is there was read; copy it \
                          again";
            let refusal = Refusal::new(RefusalKind::Truncated, detail);
            walk.refusals.push(refusal);
        }
        Ok(()) => {}
    }
    walk.refusals.told()
}

struct Walk<'a> {
    reader: &'a mut dyn Read,
    budget: &'a Budget,
    refusals: Refusals,
    /// What was said about the next member.
    described: Described,
    /// Bytes since the last sound header.
    lost: u64,
    /// The end mark was the last that came.
    ended: bool,
}

/// What comes in front of a member that does not fit into its header.
#[derive(Default)]
struct Described {
    name: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

impl Walk<'_> {
    fn run(&mut self, visit: &mut dyn FnMut(Member<'_>)) -> io::Result<()> {
        while !self.budget.exhausted() {
            let mut header = tar::Header::new_old();
            let read = fill(self.reader, header.as_mut_bytes())?;
            if read == 0 {
                return Ok(());
            }
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                self.ended = true;
                continue;
            }
            if read < BLOCK || header.cksum().ok() != Some(checksum(&header)) {
                self.lost += read as u64;
                continue;
            }
            self.tell_lost();
            self.ended = false;
            if !self.budget.take_member() {
                return Ok(());
            }
            self.member(&header, visit)?;
        }
        Ok(())
    }

    fn tell_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        // Less than a block is what an odd copy left behind the end.
        if lost > 0 && !(self.ended && lost < BLOCK as u64) {
            let detail = format!(
                "{} in it are of no member and were passed over: copy it again",
                counted(lost, "byte")
            );
            let refusal = Refusal::new(RefusalKind::Damaged, detail);
            self.refusals.push(refusal.losing(lost));
        }
    }

    /// Reads what a header is for, and all that belongs to it.
    fn member(
        &mut self,
        header: &tar::Header,
        visit: &mut dyn FnMut(Member<'_>),
    ) -> io::Result<()> {
        let kind = header.entry_type();
        let size = header.entry_size().unwrap_or(0);
        if kind.is_gnu_longname() {
            let name = self.extension(size)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            self.described.name = Some(display(&String::from_utf8_lossy(name)));
            return Ok(());
        }
        if kind.is_pax_local_extensions() {
            let records = self.extension(size)?;
            self.described.pax(&records);
            return Ok(());
        }
        if kind.is_gnu_longlink() || kind.is_pax_global_extensions() {
            return self.skip(padded(size));
        }
        let described = std::mem::take(&mut self.described);
        let name = described
            .name
            .unwrap_or_else(|| display(&String::from_utf8_lossy(&header.path_bytes())));
        let size = described.size.unwrap_or(size);
        // An old archive tells a folder by its name only.
        if kind.is_dir() || (size == 0 && name.ends_with('/')) {
            return self.skip(padded(size));
        }
        let refused = match kind.as_byte() {
            b'1' | b'2' => Some((
                RefusalKind::NotFollowed,
                "a link, not followed: its target is read where it is",
            )),
            b'3' | b'4' | b'6' => Some((
                RefusalKind::NotFollowed,
                "a pipe or device, which is not read",
            )),
            b'M' => Some((
                RefusalKind::Unsupported,
                "it goes on from another volume of a split archive: unpack that first",
            )),
            _ if kind.is_gnu_sparse() || described.sparse => Some((
                RefusalKind::Unsupported,
                "a file with holes (sparse), which is not read: unpack it first",
            )),
            _ => None,
        };
        if let Some((kind_of, detail)) = refused {
            let refusal = Refusal::new(kind_of, detail).of(&name);
            self.refusals.push(refusal);
            // The map of the holes goes on in blocks of its own.
            let mut more = kind.is_gnu_sparse() && header.as_bytes().get(482) != Some(&0);
            while more {
                let mut map = [0; BLOCK];
                more = fill(self.reader, &mut map)? == BLOCK && map.get(504) != Some(&0);
            }
            // The size of a link is that of its target.
            let links = matches!(kind.as_byte(), b'1' | b'2');
            return self.skip(if links { 0 } else { padded(size) });
        }
        let mut body = (&mut *self.reader).take(size);
        let mut refusals = Vec::new();
        Guard::new(&mut body, self.budget, Some(size)).visit(&name, &mut refusals, visit);
        let left = body.limit();
        self.refusals.extend(refusals);
        self.skip(left.saturating_add(padded(size) - size))
    }

    /// The start of a long name or pax record.
    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let kept = size.min(EXTENSION_MOST);
        let mut bytes = Vec::new();
        (&mut *self.reader).take(kept).read_to_end(&mut bytes)?;
        self.skip(padded(size) - kept)?;
        Ok(bytes)
    }

    fn skip(&mut self, mut count: u64) -> io::Result<()> {
        let mut buffer = Buffer::default();
        while count > 0 {
            let room = buffer
                .len()
                .min(usize::try_from(count).unwrap_or(usize::MAX));
            let read = fill(self.reader, buffer.get_mut(..room).unwrap_or_default())?;
            if read == 0 {
                return Ok(());
            }
            count -= read as u64;
        }
        Ok(())
    }
}

impl Described {
    fn pax(&mut self, records: &[u8]) {
        for record in tar::PaxExtensions::new(records).flatten() {
            let value = || String::from_utf8_lossy(record.value_bytes());
            match record.key_bytes() {
                b"path" | b"GNU.sparse.name" => self.name = Some(display(&value())),
                b"size" => self.size = value().parse().ok().or(self.size),
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
    }
}

/// A size with what fills its last block.
fn padded(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK as u64).unwrap_or(size)
}

/// The sum of a header's bytes, its own field counted as blanks.
fn checksum(header: &tar::Header) -> u32 {
    let bytes = header.as_bytes().iter().enumerate();
    bytes
        .map(|(at, byte)| match at {
            148..156 => u32::from(b' '),
            _ => u32::from(*byte),
        })
        .sum()
}
