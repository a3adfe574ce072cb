//! Chunks written token by token, for what no writer of logs would write.
//!
//! Sizes of elements and of attribute lists are left 0: no reader here looks at them.

use crate::support::evtx::{self, Guid};

/// The dependency of an element that depends on no value.
pub const NO_DEPENDENCY: u16 = 0xffff;

/// A token and what belongs to it.
#[derive(Clone, Debug)]
pub enum Token {
    /// An element without attributes, and the value that it depends on.
    Open(&'static str, u16),
    /// An element with attributes.
    OpenWith(&'static str, u16),
    /// An attribute whose name follows at once.
    Attribute(&'static str),
    /// An attribute whose name stands at this offset of the chunk.
    AttributeAt(u32),
    /// `>`.
    Close,
    /// `/>`.
    CloseEmpty,
    /// `</…>`.
    End,
    /// A literal text.
    Text(&'static str),
    /// A value that stays when it is null.
    Normal(u16),
    /// A value that goes when it is null.
    Optional(u16),
    /// `&name;`.
    Entity(&'static str),
    /// `&#65;`.
    Character(u16),
    /// `<![CDATA[…]]>`.
    CData(&'static str),
    /// `<?target …?>`.
    Target(&'static str),
    /// `<?… data?>`.
    TargetData(&'static str),
    /// Bytes as they are.
    Raw(Vec<u8>),
}

/// A value of a record: the size that its descriptor claims, its type, its bytes.
#[derive(Clone, Debug)]
pub struct Value {
    pub size: u16,
    pub kind: u8,
    pub bytes: Vec<u8>,
}

/// A value whose descriptor tells the truth.
pub fn value(kind: u8, bytes: &[u8]) -> Value {
    Value {
        size: bytes.len() as u16,
        kind,
        bytes: bytes.to_vec(),
    }
}

pub fn null() -> Value {
    value(0, &[])
}

pub fn text(text: &str) -> Value {
    value(1, &utf16(text))
}

pub fn ansi(text: &[u8]) -> Value {
    value(2, text)
}

pub fn guid(guid: Guid) -> Value {
    value(0x0f, &guid)
}

pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A chunk being written.
pub struct Chunk {
    pub bytes: Vec<u8>,
    next_record: u64,
    last_record: usize,
}

impl Default for Chunk {
    fn default() -> Chunk {
        Chunk {
            bytes: vec![0; 512],
            next_record: 1,
            last_record: 512,
        }
    }
}

impl Chunk {
    /// Where the next byte goes.
    pub fn at(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// Starts a record; returns its offset.
    pub fn begin(&mut self) -> usize {
        let start = self.bytes.len();
        self.bytes.extend(b"**\0\0\0\0\0\0");
        self.bytes.extend(self.next_record.to_le_bytes());
        self.bytes.extend(132_000_000_000_000_000_u64.to_le_bytes());
        self.next_record += 1;
        self.last_record = start;
        start
    }

    /// Ends the record that starts there.
    pub fn end(&mut self, start: usize) {
        let size = (self.bytes.len() + 4 - start) as u32;
        self.bytes.extend(size.to_le_bytes());
        self.put(start + 4, &size.to_le_bytes());
    }

    /// A record that holds one template instance, whose definition it brings along.
    pub fn record(&mut self, template: &[Token], values: &[Value]) -> u32 {
        let start = self.begin();
        self.bytes.extend([0x0f, 1, 1, 0]);
        let definition = self.define(template);
        self.values(values);
        self.bytes.push(0);
        self.end(start);
        definition
    }

    /// A record that holds one instance of a template that was defined before.
    pub fn record_of(&mut self, definition: u32, values: &[Value]) {
        let start = self.begin();
        self.bytes.extend([0x0f, 1, 1, 0]);
        self.instance(definition);
        self.values(values);
        self.bytes.push(0);
        self.end(start);
    }

    /// An instance up to its values, with its definition; returns the offset of that.
    pub fn define(&mut self, template: &[Token]) -> u32 {
        let definition = self.at() + 10;
        self.instance(definition);
        self.definition(template);
        definition
    }

    /// A definition alone.
    pub fn definition(&mut self, template: &[Token]) {
        // Next offset, GUID, size.
        self.bytes.extend([0; 4]);
        self.bytes.extend((self.at()).to_le_bytes());
        self.bytes.extend([7; 12]);
        let size_at = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend([0x0f, 1, 1, 0]);
        self.tokens(template, true);
        self.bytes.push(0);
        let size = (self.bytes.len() - size_at - 4) as u32;
        self.put(size_at, &size.to_le_bytes());
    }

    /// An instance up to its values, without a definition.
    pub fn instance(&mut self, definition: u32) {
        self.bytes.extend([0x0c, 1, 7, 7, 7, 7]);
        self.bytes.extend(definition.to_le_bytes());
    }

    pub fn values(&mut self, values: &[Value]) {
        self.bytes.extend((values.len() as u32).to_le_bytes());
        for value in values {
            self.bytes.extend(value.size.to_le_bytes());
            self.bytes.extend([value.kind, 0]);
        }
        for value in values {
            self.bytes.extend(&value.bytes);
        }
    }

    /// Tokens one after the other; only those of a template have dependencies.
    pub fn tokens(&mut self, tokens: &[Token], in_template: bool) {
        for token in tokens {
            match token {
                Token::Open(name, dependency) | Token::OpenWith(name, dependency) => {
                    let with = matches!(token, Token::OpenWith(..));
                    self.bytes.push(if with { 0x41 } else { 0x01 });
                    if in_template {
                        self.bytes.extend(dependency.to_le_bytes());
                    }
                    self.bytes.extend([0; 4]);
                    self.name(name);
                    if with {
                        self.bytes.extend([0; 4]);
                    }
                }
                Token::Attribute(name) => {
                    self.bytes.push(0x06);
                    self.name(name);
                }
                Token::AttributeAt(offset) => {
                    self.bytes.push(0x06);
                    self.bytes.extend(offset.to_le_bytes());
                }
                Token::Close => self.bytes.push(0x02),
                Token::CloseEmpty => self.bytes.push(0x03),
                Token::End => self.bytes.push(0x04),
                Token::Text(text) => {
                    self.bytes.extend([0x05, 0x01]);
                    self.units(text);
                }
                Token::Normal(value) => {
                    self.bytes.push(0x0d);
                    self.bytes.extend(value.to_le_bytes());
                    self.bytes.push(1);
                }
                Token::Optional(value) => {
                    self.bytes.push(0x0e);
                    self.bytes.extend(value.to_le_bytes());
                    self.bytes.push(1);
                }
                Token::Entity(name) => {
                    self.bytes.push(0x09);
                    self.name(name);
                }
                Token::Character(code) => {
                    self.bytes.push(0x08);
                    self.bytes.extend(code.to_le_bytes());
                }
                Token::CData(text) => {
                    self.bytes.push(0x07);
                    self.units(text);
                }
                Token::Target(name) => {
                    self.bytes.push(0x0a);
                    self.name(name);
                }
                Token::TargetData(text) => {
                    self.bytes.push(0x0b);
                    self.units(text);
                }
                Token::Raw(bytes) => self.bytes.extend(bytes),
            }
        }
    }

    /// A name's offset, and the name behind it.
    fn name(&mut self, name: &str) {
        self.bytes.extend((self.at() + 4).to_le_bytes());
        self.name_entry(name);
    }

    /// A name as it stands in the chunk.
    pub fn name_entry(&mut self, name: &str) {
        self.bytes.extend([0; 6]);
        self.units(name);
        self.bytes.extend([0; 2]);
    }

    fn units(&mut self, text: &str) {
        let length = text.encode_utf16().count() as u16;
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(utf16(text));
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The whole chunk, with the header that belongs to it.
    pub fn finish(mut self) -> Vec<u8> {
        let (free_space, last) = (self.at(), self.next_record - 1);
        self.put(0, b"ElfChnk\0");
        self.put(8, &1_u64.to_le_bytes());
        self.put(16, &last.to_le_bytes());
        self.put(24, &1_u64.to_le_bytes());
        self.put(32, &last.to_le_bytes());
        self.put(40, &128_u32.to_le_bytes());
        self.put(44, &(self.last_record as u32).to_le_bytes());
        self.put(48, &free_space.to_le_bytes());
        self.put(120, &1_u32.to_le_bytes());
        self.bytes.resize(65536, 0);
        fix_checksums(&mut self.bytes);
        self.bytes
    }
}

/// Makes a chunk's checksums right for the live part that its header names.
pub fn fix_checksums(chunk: &mut [u8]) {
    let end = u32::from_le_bytes(chunk[48..52].try_into().unwrap()) as usize;
    if let Some(records) = chunk.get(512..end) {
        let records = crc32fast::hash(records);
        chunk[52..56].copy_from_slice(&records.to_le_bytes());
    }
    let mut header = crc32fast::Hasher::new();
    header.update(&chunk[..120]);
    header.update(&chunk[128..512]);
    let header = header.finalize();
    chunk[124..128].copy_from_slice(&header.to_le_bytes());
}

/// A log that holds this chunk alone.
pub fn log_of(chunk: &[u8]) -> Vec<u8> {
    let mut log = evtx::write_log(&[]).unwrap();
    log.truncate(4096);
    log.extend(chunk);
    log
}
