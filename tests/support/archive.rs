//! Archives for tests, byte by byte: what a writer would never write.

// Each test is a program of its own and uses a part of this.
#![allow(dead_code, unreachable_pub)]

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::io::Write;

/// A zip member: sound as [`member`] makes it, its fields there to lie with.
#[derive(Clone)]
pub struct Member {
    pub name: Vec<u8>,
    pub packed: Vec<u8>,
    pub size: u64,
    pub packed_size: u64,
    pub crc: u32,
    pub method: u16,
    pub flags: u16,
    /// External attributes; the upper half is a Unix mode.
    pub attributes: u32,
    /// Sizes stand in the zip64 field.
    pub large: bool,
    /// Sizes stand behind the member only.
    pub streamed: bool,
    /// Says that its local header stands here.
    pub at: Option<u64>,
}

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A deflated member.
pub fn member(name: &str, bytes: &[u8]) -> Member {
    let packed = deflate(bytes);
    Member {
        name: name.as_bytes().to_vec(),
        size: bytes.len() as u64,
        packed_size: packed.len() as u64,
        packed,
        crc: crc32fast::hash(bytes),
        method: 8,
        flags: 0,
        attributes: 0,
        large: false,
        streamed: false,
        at: None,
    }
}

/// A member that is stored as it is.
pub fn stored(name: &str, bytes: &[u8]) -> Member {
    Member {
        packed: bytes.to_vec(),
        packed_size: bytes.len() as u64,
        method: 0,
        ..member(name, bytes)
    }
}

/// A member of so many MiB of zeros, deflated 1000 to 1.
pub fn zeros(name: &str, mebibytes: usize) -> Member {
    let piece = vec![0; 1 << 20];
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&piece).unwrap();
    // A flush ends at a byte, and nothing behind it refers back.
    encoder.flush().unwrap();
    let mut packed = encoder.get_ref().repeat(mebibytes);
    packed.extend([3, 0]);
    let mut hasher = crc32fast::Hasher::new();
    (0..mebibytes).for_each(|_| hasher.update(&piece));
    Member {
        packed_size: packed.len() as u64,
        packed,
        size: (mebibytes as u64) << 20,
        crc: hasher.finalize(),
        ..member(name, b"")
    }
}

/// Where things of a zip archive stand.
pub struct Zip {
    pub bytes: Vec<u8>,
    pub directory: usize,
    pub end: usize,
}

/// The members in a zip archive.
pub fn zip(members: &[Member]) -> Vec<u8> {
    zip_parts(members).bytes
}

pub fn zip_parts(members: &[Member]) -> Zip {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let at = member.at.unwrap_or(bytes.len() as u64);
        let mut local = member.clone();
        if member.streamed {
            local.flags |= 8;
            (local.crc, local.size, local.packed_size) = (0, 0, 0);
        }
        bytes.extend(b"PK\x03\x04\x14\0");
        local.fields(&mut bytes, None);
        bytes.extend(&member.packed);
        if member.streamed {
            bytes.extend(b"PK\x07\x08");
            bytes.extend(member.crc.to_le_bytes());
            bytes.extend((member.packed_size as u32).to_le_bytes());
            bytes.extend((member.size as u32).to_le_bytes());
        }
        local = member.clone();
        local.flags |= if member.streamed { 8 } else { 0 };
        // Made on Unix, for the mode to count.
        directory.extend(b"PK\x01\x02\x14\x03\x14\0");
        local.fields(&mut directory, Some(at as u32));
    }
    let start = bytes.len();
    bytes.extend(&directory);
    let end = bytes.len();
    end_record(
        &mut bytes,
        members.len() as u16,
        directory.len() as u32,
        start as u32,
    );
    Zip {
        bytes,
        directory: start,
        end,
    }
}

/// The end record of a zip archive.
pub fn end_record(bytes: &mut Vec<u8>, count: u16, size: u32, start: u32) {
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
}

/// The end records of a large zip archive, whatever they claim.
pub fn large_end(bytes: &mut Vec<u8>, count: u64, size: u64, start: u64) {
    let at = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44_u64.to_le_bytes());
    bytes.extend([45, 0, 45, 0]);
    bytes.extend([0; 8]);
    for value in [count, count, size, start] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(at.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    end_record(bytes, u16::MAX, u32::MAX, u32::MAX);
}

impl Member {
    /// What a local header and one in the directory have in common, and what follows.
    fn fields(&self, bytes: &mut Vec<u8>, start: Option<u32>) {
        let mut extra = Vec::new();
        let size = |size: u64| match self.large {
            true => u32::MAX,
            false => size as u32,
        };
        if self.large {
            extra.extend([1, 0, 16, 0]);
            extra.extend(self.size.to_le_bytes());
            extra.extend(self.packed_size.to_le_bytes());
        }
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.crc.to_le_bytes());
        bytes.extend(size(self.packed_size).to_le_bytes());
        bytes.extend(size(self.size).to_le_bytes());
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes.extend((extra.len() as u16).to_le_bytes());
        if let Some(start) = start {
            bytes.extend([0; 6]);
            bytes.extend(self.attributes.to_le_bytes());
            bytes.extend(start.to_le_bytes());
        }
        bytes.extend(&self.name);
        bytes.extend(&extra);
    }
}

/// A tar header with a right checksum.
pub fn tar_header(name: &str, size: u64, kind: u8) -> [u8; 512] {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_cksum();
    *header.as_bytes()
}

/// A member of a tar archive, with what fills its last block.
pub fn tar_member(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut all = tar_header(name, bytes.len() as u64, b'0').to_vec();
    all.extend(bytes);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

/// The members in a tar archive.
pub fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, bytes) in members {
        all.extend(tar_member(name, bytes));
    }
    all.extend([0; 1024]);
    all
}

/// A file of a cabinet: name, number of its folder, where it starts in it, size.
pub type File<'a> = (&'a str, u16, u32, u32);

/// Packed bytes of a cabinet with their unpacked size.
pub type Block<'a> = (&'a [u8], u16);

/// A cabinet of folders (method and blocks, each packed bytes with their unpacked size) and files.
pub fn cab(folders: &[(u16, &[Block<'_>])], files: &[File<'_>]) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, folder, offset, size) in files {
        list.extend(size.to_le_bytes());
        list.extend(offset.to_le_bytes());
        list.extend(folder.to_le_bytes());
        list.extend([0x21, 0x53, 0x0d, 0xb2, 0x20, 0]);
        list.extend(name.as_bytes());
        list.push(0);
    }
    let list_at = 36 + 8 * folders.len();
    let mut data = Vec::new();
    let mut table = Vec::new();
    for (method, blocks) in folders {
        table.extend(((list_at + list.len() + data.len()) as u32).to_le_bytes());
        table.extend((blocks.len() as u16).to_le_bytes());
        table.extend(method.to_le_bytes());
        for (packed, size) in *blocks {
            // No checksum: 0 says so.
            data.extend([0; 4]);
            data.extend((packed.len() as u16).to_le_bytes());
            data.extend(size.to_le_bytes());
            data.extend(*packed);
        }
    }
    let mut all = b"MSCF\0\0\0\0".to_vec();
    all.extend(((list_at + list.len() + data.len()) as u32).to_le_bytes());
    all.extend([0; 4]);
    all.extend((list_at as u32).to_le_bytes());
    all.extend([0, 0, 0, 0, 3, 1]);
    all.extend((folders.len() as u16).to_le_bytes());
    all.extend((files.len() as u16).to_le_bytes());
    all.extend([0; 6]);
    all.extend(table);
    all.extend(list);
    all.extend(data);
    all
}

/// A cabinet of one MSZIP folder, as the cab crate writes it.
pub fn mszip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(cab::CompressionType::MsZip);
    for (name, _) in files {
        folder.add_file(*name);
    }
    let mut writer = builder.build(std::io::Cursor::new(Vec::new())).unwrap();
    let mut left = files.iter();
    while let Some(mut file) = writer.next_file().unwrap() {
        file.write_all(left.next().unwrap().1).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An LZX block of a whole folder that holds its bytes as they are, for a first block: no x86
/// translation (1 bit), an uncompressed block (3 bits), its size (24 bits), then at the next word
/// the three last match offsets and the bytes.
pub fn lzx_uncompressed(bytes: &[u8]) -> Vec<u8> {
    let bits = (3 << 28) | ((bytes.len() as u32) << 4);
    let mut all = Vec::new();
    all.extend(((bits >> 16) as u16).to_le_bytes());
    all.extend((bits as u16).to_le_bytes());
    for offset in [1_u32, 1, 1] {
        all.extend(offset.to_le_bytes());
    }
    all.extend(bytes);
    if bytes.len() % 2 == 1 {
        all.push(0);
    }
    all
}
