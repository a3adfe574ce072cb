//! Changes to a chunk that aim at what a reader of BinXML looks at.

/// One change: what, to which of the sites, with what.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub kind: u8,
    pub site: u16,
    pub value: u32,
}

/// What stands at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    RecordSize,
    RecordNumber,
    RecordTime,
    /// Offset of a template's definition.
    Definition,
    DefinitionSize,
    Token,
    Dependency,
    NameOffset,
    NameLength,
    NameText,
    Substitution,
    TextLength,
    Text,
    ValueCount,
    ValueSize,
    ValueKind,
    Value,
}

/// What a reader would look at, and where: found by following the chunk's records the way a
/// reader does.
pub fn sites(chunk: &[u8]) -> Vec<(usize, Site)> {
    let mut finder = Finder {
        chunk,
        found: Vec::new(),
    };
    let mut at = 512;
    while chunk.get(at..at + 4) == Some(b"**\0\0") {
        let size = finder.u32(at + 4) as usize;
        if size < 28 || at + size > chunk.len() {
            break;
        }
        finder.found.push((at + 4, Site::RecordSize));
        finder.found.push((at + 8, Site::RecordNumber));
        finder.found.push((at + 16, Site::RecordTime));
        finder.stream(at + 24, at + size - 4, false, 0);
        at += size;
    }
    finder.found
}

struct Finder<'a> {
    chunk: &'a [u8],
    found: Vec<(usize, Site)>,
}

impl Finder<'_> {
    fn u16(&self, at: usize) -> u16 {
        let bytes = self.chunk.get(at..at + 2);
        bytes.map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    /// The tokens from here on; returns where they end.
    fn stream(&mut self, mut at: usize, end: usize, in_template: bool, depth: usize) {
        while at < end.min(self.chunk.len()) && self.found.len() < 10_000 {
            self.found.push((at, Site::Token));
            let token = self.chunk[at];
            at += 1;
            match token {
                0x01 | 0x41 => {
                    if in_template {
                        self.found.push((at, Site::Dependency));
                        at += 2;
                    }
                    at = self.name(at + 4);
                    at += if token == 0x41 { 4 } else { 0 };
                }
                0x06 | 0x46 => at = self.name(at),
                0x05 => {
                    self.found.push((at + 1, Site::TextLength));
                    self.found.push((at + 3, Site::Text));
                    at += 3 + 2 * usize::from(self.u16(at + 1));
                }
                0x0d | 0x0e => {
                    self.found.push((at, Site::Substitution));
                    at += 3;
                }
                0x0f => at += 3,
                0x0c => at = self.instance(at + 5, depth),
                0x02..=0x04 => {}
                _ => return,
            }
        }
    }

    /// A name's offset, and the name if it follows.
    fn name(&mut self, at: usize) -> usize {
        self.found.push((at, Site::NameOffset));
        if self.u32(at) as usize != at + 4 {
            return at + 4;
        }
        self.found.push((at + 10, Site::NameLength));
        self.found.push((at + 12, Site::NameText));
        at + 14 + 2 * usize::from(self.u16(at + 10))
    }

    /// An instance from its definition's offset on; returns where it ends.
    fn instance(&mut self, at: usize, depth: usize) -> usize {
        self.found.push((at, Site::Definition));
        let mut values = at + 4;
        if self.u32(at) as usize == values {
            self.found.push((values + 20, Site::DefinitionSize));
            let size = self.u32(values + 20) as usize;
            let body = values + 24;
            self.stream(body, body + size, true, depth);
            values = body + size;
        }
        self.found.push((values, Site::ValueCount));
        let count = self.u32(values) as usize;
        if count > 256 {
            return usize::MAX;
        }
        let mut value = values + 4 + 4 * count;
        for descriptor in (values + 4..value).step_by(4) {
            self.found.push((descriptor, Site::ValueSize));
            self.found.push((descriptor + 2, Site::ValueKind));
            self.found.push((value, Site::Value));
            let size = usize::from(self.u16(descriptor));
            if self.chunk.get(descriptor + 2) == Some(&0x21) && depth < 4 {
                self.stream(value, value + size, false, depth + 1);
            }
            value += size;
        }
        value
    }
}

const TOKENS: [u8; 20] = [
    0x00, 0x01, 0x41, 0x02, 0x03, 0x04, 0x05, 0x45, 0x06, 0x46, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c,
    0x0d, 0x0e, 0x0f, 0x42,
];
const KINDS: [u8; 16] = [
    0x00, 0x01, 0x02, 0x04, 0x06, 0x08, 0x0a, 0x0d, 0x0e, 0x0f, 0x10, 0x13, 0x15, 0x21, 0x81, 0x95,
];
const TEXTS: [&str; 14] = [
    "Provider",
    "Name",
    "Guid",
    "System",
    "Event",
    "Microsoft-Windows-AAD",
    "Microsoft-Windows-User Device Registration",
    "Microsoft-Windows-AAE",
    "Name\0x",
    "Provider\0x",
    "x:Provider",
    "Micro\0soft-Windows-AAD",
    "{4de9bc9c-b27a-43c9-8994-0915f1a5e24f}",
    "a b",
];

/// Changes a chunk in place.
pub fn change(chunk: &mut [u8], sites: &[(usize, Site)], change: Change) {
    let Change { kind, site, value } = change;
    let low = value as u16;
    if sites.is_empty() || kind % 8 == 7 {
        // Anything, anywhere.
        let at = value as usize % chunk.len();
        chunk[at] ^= kind | 1;
        return;
    }
    let (at, what) = sites[usize::from(site) % sites.len()];
    let other = sites[usize::from(low) % sites.len()].0;
    let now = four_at(chunk, at);
    let mut put = |at: usize, bytes: &[u8]| put_at(chunk, at, bytes);
    let text = TEXTS[usize::from(low) % TEXTS.len()];
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    match what {
        Site::Token => put(at, &[TOKENS[usize::from(low) % TOKENS.len()]]),
        Site::ValueKind => put(at, &[KINDS[usize::from(low) % KINDS.len()]]),
        Site::Dependency | Site::Substitution => {
            let ids = [0, 3, 7, 12, 13, 14, 15, 17, 0xffff, low % 20];
            put(at, &ids[usize::from(low) % ids.len()].to_le_bytes());
        }
        Site::ValueSize | Site::NameLength | Site::TextLength => {
            let length = (text.len() as u16).to_le_bytes();
            match kind % 4 {
                0 => put(at, &length),
                1 => put(at, &(low % 64).to_le_bytes()),
                _ => put(at, &[low as u8]),
            }
        }
        Site::NameOffset | Site::Definition => {
            // Where another one points, or there.
            let sites: Vec<usize> = sites
                .iter()
                .filter(|(_, other)| *other == what)
                .map(|(at, _)| *at)
                .collect();
            let from = sites[usize::from(low) % sites.len()];
            let target = four_at(chunk, from);
            let target = match kind % 4 {
                0 => other as u32,
                1 => target.wrapping_add(value >> 28),
                _ => target,
            };
            put_at(chunk, at, &target.to_le_bytes());
        }
        Site::NameText | Site::Text | Site::Value => match kind % 4 {
            0 => put(at, text.as_bytes()),
            1 => put(at, &value.to_le_bytes()),
            2 if what == Site::NameText => {
                put(at - 2, &(utf16.len() as u16 / 2).to_le_bytes());
                put(at, &utf16);
            }
            _ => put(at, &utf16),
        },
        Site::RecordSize | Site::DefinitionSize | Site::ValueCount => {
            let next = match kind % 4 {
                0 => now.wrapping_add(value % 64),
                1 => now.wrapping_sub(value % 64),
                2 => value & 0xffff,
                _ => value,
            };
            put(at, &next.to_le_bytes());
        }
        Site::RecordNumber | Site::RecordTime => match kind % 2 {
            0 => put(at, &[0xff; 8]),
            _ => put(at, &value.to_le_bytes()),
        },
    }
}

/// What does not fit is not written.
fn put_at(chunk: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = chunk.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn four_at(chunk: &[u8], at: usize) -> u32 {
    let bytes = chunk.get(at..at + 4).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}
