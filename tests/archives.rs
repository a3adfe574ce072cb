//! Containers that logs arrive in: every member of a sound one is read, and nothing that a hostile
//! one claims is believed.

mod support;
#[path = "support/archive.rs"]
mod write;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prtrace::base::problem::ProblemKind;
use prtrace::input::archive::RefusalKind::{self, *};
use prtrace::input::archive::{
    Budget, Bytes, Hold, Kind, Limits, Member, Memory, Refusal, cab::Cab, gzip, hold, is_secret,
    kind, tar, unsupported, zip::Zip,
};
use prtrace::machine::Scan;
use prtrace::{machine, scan};
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use write::{gzip as gz, member, stored};

/// What came out of an archive: names with contents in order, and what was refused.
#[derive(Default, Debug)]
struct Seen {
    members: Vec<(String, Vec<u8>)>,
    refusals: Vec<Refusal>,
}

impl Seen {
    fn take(&mut self, member: Member<'_>) {
        let mut bytes = Vec::new();
        let _ = member.reader.read_to_end(&mut bytes);
        self.members.push((member.name.to_owned(), bytes));
    }

    fn names(&self) -> Vec<&str> {
        self.members.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Which member was refused for what; the archive itself has no name.
    fn refused(&self) -> Vec<(&str, RefusalKind)> {
        self.refusals
            .iter()
            .map(|refusal| (refusal.member.as_deref().unwrap_or(""), refusal.kind))
            .collect()
    }

    /// Asserts that it is these members and no refusal.
    fn is(&self, members: &[(&str, &[u8])]) {
        let names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
        assert_eq!(self.names(), names);
        for ((name, seen), (_, expected)) in self.members.iter().zip(members) {
            assert!(seen == expected, "{name}: {} bytes", seen.len());
        }
        assert_eq!(self.refusals, []);
    }
}

fn budget(bytes: &[u8]) -> Budget {
    Budget::new(Limits::default(), bytes.len() as u64)
}

/// Everything in an archive of any kind; an archive that does not open is one refusal.
fn read_as(kind: Kind, bytes: Bytes, budget: &Budget) -> Seen {
    let mut seen = Seen::default();
    let refusals = match kind {
        Kind::Zip => match Zip::open(bytes, budget) {
            Err(refusal) => vec![refusal],
            Ok(zip) => (0..zip.parts())
                .flat_map(|part| zip.read_part(part, budget, &mut |member| seen.take(member)))
                .collect(),
        },
        Kind::Cab => match Cab::open(bytes, budget) {
            Err(refusal) => vec![refusal],
            Ok(cab) => (0..cab.parts())
                .flat_map(|part| cab.read_part(part, budget, &mut |member| seen.take(member)))
                .collect(),
        },
        Kind::Gzip => gzip::each(
            &mut bytes.cursor(),
            "in/log.evtx.gz",
            budget,
            &mut |member| {
                seen.take(member);
            },
        ),
        Kind::Tar => tar::each(&mut bytes.cursor(), budget, &mut |member| seen.take(member)),
    };
    seen.refusals = refusals;
    seen
}

fn read(bytes: Vec<u8>) -> Seen {
    let kind = kind(&bytes).unwrap();
    let budget = budget(&bytes);
    let seen = read_as(kind, bytes.into(), &budget);
    assert!(!budget.exhausted());
    seen
}

/// Bytes that do not compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn the_kind_is_told_by_the_first_bytes() {
    let tar = write::tar(&[("a", b"a")]);
    // The oldest tar archives have no magic.
    let mut v7 = ::tar::Header::new_old();
    v7.set_path("logs/a.evtx").unwrap();
    v7.set_size(1);
    v7.set_mode(0o644);
    v7.set_cksum();
    let v7 = *v7.as_bytes();
    let mut damaged = v7;
    damaged[0] ^= 1;
    for (bytes, expected) in [
        (write::zip(&[member("a", b"a")]), Some(Kind::Zip)),
        (write::zip(&[]), Some(Kind::Zip)),
        (write::mszip(&[("a", b"a")]), Some(Kind::Cab)),
        (b"MSCF\0\0\0\xe0P".to_vec(), Some(Kind::Cab)),
        (gz(b"a"), Some(Kind::Gzip)),
        (tar[..512].to_vec(), Some(Kind::Tar)),
        (v7.to_vec(), Some(Kind::Tar)),
        (v7[..511].to_vec(), None),
        (damaged.to_vec(), None),
        (vec![0; 512], None),
        (b"0000644 ".repeat(64), None),
        (tar[..261].to_vec(), None),
        (b"ElfFile\0".to_vec(), None),
        (b"PK".to_vec(), None),
        (Vec::new(), None),
    ] {
        assert_eq!(kind(&bytes), expected);
        assert_eq!(unsupported(&bytes), None);
    }
    for (start, name) in [
        (b"7z\xbc\xaf\x27\x1c\0\x04".as_slice(), Some("7z archive")),
        (b"Rar!\x1a\x07\x01\0", Some("rar archive")),
        (b"BZh91AY&SY..", Some("bzip2 archive")),
        (b"BZhang wrote this", None),
        (b"MSWIM\0\0\0", Some("Windows image (wim)")),
        (b"vhdxfile", Some("virtual disk (vhdx)")),
    ] {
        assert_eq!(kind(start), None);
        assert_eq!(unsupported(start), name);
    }
}

#[test]
fn every_member_of_a_zip_is_read_once_and_in_order() {
    let log = noise(200_000, 1);
    let text = b"one line\n".repeat(9000);
    let mut streamed = member("c/streamed.txt", &text);
    streamed.streamed = true;
    let mut large = member("d/large.txt", &text);
    large.large = true;
    // What has no long match is the same in both.
    let mut deflate64 = member("e.bin", &log);
    deflate64.method = 9;
    read(write::zip(&[
        stored("a/", b""),
        stored("a/stored.bin", &log),
        member(r"b\PC-042\log.evtx", &log),
        streamed,
        large,
        deflate64,
        member("a/stored.bin", &text),
        member("empty", b""),
    ]))
    .is(&[
        ("a/stored.bin", &log),
        ("b/PC-042/log.evtx", &log),
        ("c/streamed.txt", &text),
        ("d/large.txt", &text),
        ("e.bin", &log),
        // The same name again is another member.
        ("a/stored.bin", &text),
        ("empty", b""),
    ]);
}

#[test]
fn a_zip_is_read_behind_a_program_and_in_front_of_a_tail() {
    let plain = write::zip(&[member("a", b"first"), member("b", b"second")]);
    let mut large = write::zip_parts(&[member("a", b"first"), member("b", b"second")]);
    large.bytes.truncate(large.end);
    let size = large.end - large.directory;
    write::large_end(&mut large.bytes, 2, size as u64, large.directory as u64);
    for archive in [plain, large.bytes] {
        for (front, tail) in [(0, 0), (1000, 0), (0, 1000), (70_000, 70_000)] {
            let mut bytes = noise(front, 3);
            bytes.extend(&archive);
            bytes.extend(noise(tail, 4));
            let budget = budget(&bytes);
            read_as(Kind::Zip, bytes.into(), &budget).is(&[("a", b"first"), ("b", b"second")]);
        }
    }
}

#[test]
fn a_zip_of_an_established_writer_is_read() {
    use ::zip::write::SimpleFileOptions;
    let options =
        SimpleFileOptions::default().compression_method(::zip::CompressionMethod::Deflated);
    let bytes = noise(100_000, 5).repeat(2);
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.add_directory("authlogs", options).unwrap();
    writer.start_file("authlogs/a.evtx", options).unwrap();
    writer.write_all(&bytes).unwrap();
    writer
        .start_file("authlogs/b.evtx", options.large_file(true))
        .unwrap();
    writer.write_all(&bytes).unwrap();
    let finished = writer.finish().unwrap().into_inner();
    read(finished).is(&[("authlogs/a.evtx", &bytes), ("authlogs/b.evtx", &bytes)]);
    // The same without going back to what was written.
    let mut writer = ::zip::ZipWriter::new_stream(Vec::new());
    writer.start_file("c.evtx", options).unwrap();
    writer.write_all(&bytes).unwrap();
    let finished = writer.finish().unwrap().into_inner();
    read(finished).is(&[("c.evtx", &bytes)]);
}

#[test]
fn members_that_cannot_be_read_are_told_and_cost_only_themselves() {
    let sound = member("sound", b"sound");
    let mut encrypted = member("encrypted", b"secret");
    encrypted.flags = 1;
    let mut aes = member("aes", b"secret");
    aes.method = 99;
    let mut lzma = member("lzma", b"?");
    lzma.method = 14;
    let mut link = stored("link", b"/etc/passwd");
    link.attributes = 0o120_777 << 16;
    let mut gone = member("gone", b"?");
    gone.at = Some(3);
    let seen = read(write::zip(&[encrypted, aes, lzma, link, gone, sound]));
    assert_eq!(seen.names(), ["sound"]);
    let mut refused = seen.refused();
    refused.sort();
    assert_eq!(
        refused,
        [
            ("aes", Encrypted),
            ("encrypted", Encrypted),
            ("gone", Damaged),
            ("link", NotFollowed),
            ("lzma", Unsupported),
        ]
    );
    let lzma = seen
        .refusals
        .iter()
        .find(|refusal| refusal.kind == Unsupported);
    assert!(lzma.unwrap().detail.contains("LZMA"));
}

#[test]
fn what_a_zip_claims_is_not_believed() {
    let bytes = vec![b'a'; 3000];
    // More than deflate can give, and less than it gives.
    let mut bomb = member("bomb", &bytes);
    bomb.size = bomb.packed_size * 1033;
    let mut lies = member("lies", &bytes);
    lies.size = 1000;
    lies.crc = crc32fast::hash(&bytes[..1000]);
    let mut short = member("short", &bytes);
    short.size = 4000;
    let mut unequal = stored("unequal", &bytes);
    unequal.size = 2999;
    let mut wrong = member("wrong", &bytes);
    wrong.crc ^= 1;
    let mut huge = member("huge", &bytes);
    huge.large = true;
    huge.size = 1 << 60;
    huge.packed_size = 1 << 59;
    let mut damaged = member("damaged", &noise(5000, 6));
    damaged.packed = vec![0xff; damaged.packed.len()];
    let seen = read(write::zip(&[
        bomb, lies, short, unequal, wrong, huge, damaged,
    ]));
    let expected = [
        ("bomb", Damaged),
        ("damaged", Damaged),
        ("huge", Truncated),
        ("lies", Damaged),
        ("short", Truncated),
        ("unequal", Damaged),
        ("wrong", Checksum),
    ];
    let mut refused = seen.refused();
    refused.sort();
    assert_eq!(refused, expected);
    let lengths: Vec<_> = seen
        .members
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.len()))
        .collect();
    assert_eq!(
        lengths,
        [
            ("lies", 1000),
            ("short", 3000),
            ("wrong", 3000),
            ("damaged", 0)
        ]
    );
    let lost = |name: &str| {
        let of = |refusal: &&Refusal| refusal.member.as_deref() == Some(name);
        seen.refusals.iter().find(of).unwrap().lost_bytes
    };
    assert_eq!(lost("short"), 1000);
    assert_eq!(lost("wrong"), 0);
    assert_eq!(lost("damaged"), 5000);
}

#[test]
fn a_directory_reserves_nothing_for_what_it_counts() {
    for (count, size, start) in [
        (u64::from(u32::MAX), 46 * u64::from(u32::MAX), 0),
        (u64::MAX, u64::MAX, u64::MAX),
        (u64::MAX, 200, 1 << 60),
        (1 << 60, 1 << 60, 40),
    ] {
        let mut parts = write::zip_parts(&[member("a", b"a")]);
        parts.bytes.truncate(parts.end);
        write::large_end(&mut parts.bytes, count, size, start);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&parts.bytes).unwrap();
        let budget = budget(&parts.bytes);
        for bytes in [parts.bytes.into(), Bytes::file(file).unwrap()] {
            let seen = read_as(Kind::Zip, bytes, &budget);
            assert_eq!(seen.names(), ["a"]);
            assert_eq!(seen.refused(), [("", Truncated)]);
        }
    }
    let mut parts = write::zip_parts(&[member("a", b"a")]);
    parts.bytes.truncate(parts.end);
    let size = parts.end - parts.directory;
    write::end_record(
        &mut parts.bytes,
        u16::MAX,
        size as u32,
        parts.directory as u32,
    );
    let seen = read(parts.bytes);
    assert_eq!(seen.names(), ["a"]);
    assert_eq!(seen.refused(), [("", Damaged)]);
}

#[test]
fn what_stands_beside_an_archive_does_not_hide_it() {
    let first = write::zip(&[member("a", b"first")]);
    // An end record of an archive without members, behind it.
    let mut hidden = first.clone();
    write::end_record(&mut hidden, 0, 0, 0);
    read(hidden).is(&[("a", b"first")]);
    let mut two = first.clone();
    two.extend(write::zip(&[member("b", b"second")]));
    let seen = read(two);
    assert_eq!(seen.names(), ["b", "a"]);
    assert_eq!(seen.refused(), [("", Damaged)]);
}

#[test]
fn a_stored_archive_is_read_in_place() {
    let log = noise(100_000, 16);
    let inner = write::zip(&[stored("log.evtx", &log), member("b", b"b")]);
    let outer = write::zip(&[member("packed.zip", &inner), stored("plain.zip", &inner)]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&outer).unwrap();
    for bytes in [Bytes::file(file).unwrap(), outer.into()] {
        let budget = Budget::new(Limits::default(), bytes.size());
        let zip = Zip::open(bytes, &budget).unwrap();
        let mut places = Vec::new();
        for part in 0..zip.parts() {
            let refusals = zip.read_part(part, &budget, &mut |member| {
                places.push(member.stored.clone());
            });
            assert_eq!(refusals, []);
        }
        let plain = places.pop().unwrap().unwrap();
        assert!(places.pop().unwrap().is_none());
        assert_eq!(plain.size(), inner.len() as u64);
        let mut end = [0; 30];
        let read = plain.read_at(&mut end, plain.size() - 22).unwrap();
        assert_eq!(end[..read], inner[inner.len() - 22..]);
        read_as(Kind::Zip, plain, &budget).is(&[("log.evtx", &log), ("b", b"b")]);
    }
}

#[test]
fn members_that_share_bytes_are_read_once() {
    let kernel = member("kernel", &vec![0; 1 << 20]);
    let mut members = vec![kernel.clone()];
    for _ in 0..500 {
        let mut copy = kernel.clone();
        copy.packed.clear();
        copy.at = Some(0);
        members.push(copy);
    }
    let seen = read(write::zip(&members));
    assert_eq!(seen.members.len(), 1);
    // A hundred are listed, and the others counted.
    let (others, listed) = seen.refusals.split_last().unwrap();
    assert_eq!(listed.len(), 100);
    assert!(listed.iter().all(|refusal| refusal.kind == Damaged));
    assert_eq!((others.member.as_deref(), others.kind), (None, Damaged));
    assert!(others.detail.starts_with("and 400 more: "));
    assert_eq!(others.lost_bytes, 400 << 20);
}

#[test]
fn a_cut_zip_gives_the_members_in_front() {
    let log = noise(50_000, 7);
    let mut streamed = member("b", &log);
    streamed.streamed = true;
    let mut parts = write::zip_parts(&[
        member("a", &log),
        stored("dir/", b""),
        streamed,
        stored("c", &log),
        member("d", &log),
    ]);
    for (length, names, last) in [
        // Behind the members, inside of the last one, and inside of a header.
        (parts.end + 10, &["a", "b", "c", "d"][..], None),
        (parts.directory + 20, &["a", "b", "c", "d"], None),
        (parts.directory - 1000, &["a", "b", "c", "d"], Some("d")),
        (40_000, &["a"], Some("a")),
        (20, &[], Some("")),
    ] {
        parts.bytes.truncate(length);
        let seen = read(parts.bytes.clone());
        assert_eq!(seen.names(), names, "{length}");
        let whole = names.len() - usize::from(last.is_some_and(|last| !last.is_empty()));
        for (_, bytes) in &seen.members[..whole] {
            assert!(*bytes == log);
        }
        let mut refused = vec![("", Truncated)];
        refused.extend(last.map(|last| (last, Truncated)));
        assert_eq!(seen.refused(), refused, "{length}");
    }
}

#[test]
fn a_damaged_directory_costs_no_member() {
    let mut parts = write::zip_parts(&[member("a", b"first"), member("b", b"second")]);
    // The second header of the directory is no more one.
    let second = parts.bytes[parts.directory + 4..]
        .windows(4)
        .position(|bytes| bytes == b"PK\x01\x02");
    parts.bytes[parts.directory + 4 + second.unwrap()] = b'?';
    let seen = read(parts.bytes);
    assert_eq!(seen.names(), ["a", "b"]);
    assert_eq!(seen.refused(), [("", Damaged)]);
}

#[test]
fn a_volume_of_a_split_archive_is_told() {
    let mut volume = b"PK\x07\x08".to_vec();
    volume.extend(write::zip(&[member("a", &noise(1000, 1))]));
    volume.truncate(500);
    assert_eq!(read(volume).refused(), [("", Unsupported)]);
    let mut last = write::zip_parts(&[member("a", b"a")]);
    last.bytes[last.end + 4] = 2;
    assert_eq!(read(last.bytes).refused(), [("", Unsupported)]);
    let mut cab = write::mszip(&[("a", b"a"), ("b", b"b")]);
    // The folder of the second file is one of the next cabinet.
    let name = cab.windows(2).position(|bytes| bytes == b"b\0").unwrap();
    cab[name - 8..name - 6].copy_from_slice(&[0xfe, 0xff]);
    let seen = read(cab);
    assert_eq!(seen.names(), ["a"]);
    assert_eq!(seen.refused(), [("b", Unsupported)]);
}

#[test]
fn names_are_shown_and_not_followed() {
    let long = "x".repeat(60_000) + "/tail.evtx";
    let seen = read(write::zip(&[
        member(r"..\..\evil.evtx", b"1"),
        member("/etc/passwd", b"2"),
        member(r"C:\Windows\a.evtx", b"3"),
        member("a\0b\x1b[31m", b"4"),
        member(&long, b"5"),
        member("", b"6"),
    ]));
    let names = seen.names();
    assert_eq!(
        names[..4],
        [
            "../../evil.evtx",
            "/etc/passwd",
            "C:/Windows/a.evtx",
            "a\0b\x1b[31m"
        ]
    );
    assert_eq!(names[4].chars().count(), 513);
    assert!(names[4].ends_with("…".to_owned().as_str()) || names[4].ends_with("x/tail.evtx"));
    assert_eq!(names[5], "");
    assert_eq!(seen.refusals, []);
    // A name that is no text.
    let mut odd = member("?", b"7");
    odd.name = vec![0x81, b'.', 0xff];
    assert_eq!(read(write::zip(&[odd])).names(), ["\u{fffd}.\u{fffd}"]);
}

#[test]
fn a_secret_is_never_handed_out() {
    for name in [
        "AzureVMAccessToken.txt",
        r"AADExtention\azurevmaccesstoken.TXT",
    ] {
        assert!(is_secret(name));
    }
    assert!(!is_secret("AzureVMAccessToken.txt/log.evtx"));
    let file = [("x/AzureVMAccessToken.txt", b"bearer".as_slice())];
    let zip = write::zip(&[member(file[0].0, file[0].1)]);
    for archive in [zip, write::tar(&file), write::mszip(&file)] {
        read(archive).is(&[(file[0].0, b"")]);
    }
}

#[test]
fn a_cabinet_is_unpacked_folder_by_folder() {
    let log = noise(100_000, 8);
    let text = b"one line\n".repeat(20_000);
    read(write::mszip(&[
        ("a.evtx", &log),
        (r"b\b.txt", &text),
        ("a.evtx", &text),
        ("empty", b""),
    ]))
    .is(&[
        ("a.evtx", &log),
        ("b/b.txt", &text),
        ("a.evtx", &text),
        ("empty", b""),
    ]);
    // Two folders, the first as it is in two blocks; the file in the second stands first.
    let blocks: &[(&[u8], u16)] = &[(b"Hello,", 6), (b" world!\n", 8)];
    let lzx = write::lzx_uncompressed(b"Hello, world!\r\nSee you later!\r\n");
    let cab = write::cab(
        &[(0, blocks), (0x1303, &[(&lzx, 31)])],
        &[("bye", 1, 15, 16), ("hi", 0, 0, 14), ("hi", 1, 0, 15)],
    );
    read(cab).is(&[
        ("hi", b"Hello, world!\n"),
        ("hi", b"Hello, world!\r\n"),
        ("bye", b"See you later!\r\n"),
    ]);
}

#[test]
fn a_cabinet_tells_what_it_cannot_give() {
    let files = [
        ("a", 0, 0, 4),
        ("b", 0, 4, 4),
        ("c", 0, 6, 4),
        ("d", 0, 10, 4),
        ("e", 7, 0, 1),
    ];
    let blocks: &[(&[u8], u16)] = &[(b"01234567", 8), (b"89", 2)];
    let seen = read(write::cab(&[(0, blocks)], &files));
    // c shares bytes with b, d lies behind the end, e has no folder.
    assert_eq!(seen.names(), ["a", "b", "d"]);
    assert_eq!(seen.members[1].1, b"4567");
    assert_eq!(
        seen.refused(),
        [("c", Damaged), ("d", Truncated), ("e", Damaged)]
    );
    // Quantum; LZX with an unknown window; a method that nobody knows.
    for (method, name) in [(2, "Quantum"), (0x1f03, "LZX"), (9, "method 9")] {
        let seen = read(write::cab(&[(method, blocks)], &files[..1]));
        assert_eq!(seen.refused(), [("a", Unsupported)]);
        assert!(seen.refusals[0].detail.contains(name));
    }
    // Blocks that contradict themselves lose all that follows.
    for (method, packed) in [
        (0, &b"0123"[..]),
        (1, b"CKxx"),
        (1, b"??"),
        (0x1303, b"\xff\xff\xff"),
    ] {
        let seen = read(write::cab(&[(method, &[(packed, 8)])], &files[..2]));
        assert_eq!(seen.names(), ["a"]);
        assert_eq!(seen.refused(), [("a", Damaged)]);
        assert_eq!(seen.refusals[0].lost_bytes, 8);
    }
    let mut wrong = write::mszip(&[("a", b"content"), ("b", b"more")]);
    let block = wrong.windows(2).position(|bytes| bytes == b"CK").unwrap();
    wrong[block - 8] ^= 1;
    let seen = read(wrong);
    assert_eq!(seen.members[0].1, b"content");
    assert_eq!(seen.refused(), [("a", Checksum)]);
}

#[test]
fn a_cabinet_reserves_nothing_for_what_it_counts() {
    let sound = write::mszip(&[("a", b"content")]);
    let mut folders = sound.clone();
    folders[26..28].fill(0xff);
    read(folders).is(&[("a", b"content")]);
    let mut files = sound.clone();
    files[28..30].fill(0xff);
    let seen = read(files);
    assert_eq!(seen.members[0], ("a".to_owned(), b"content".to_vec()));
    assert!(seen.refused().contains(&("", Truncated)));
    assert!(seen.refusals.len() < sound.len() / 16);
    // A block more than there are.
    let mut blocks = write::cab(
        &[(0, &[(b"0123", 4)])],
        &[("a", 0, 0, 4), ("b", 0, 4, 1 << 30)],
    );
    blocks[40..42].fill(0xff);
    let seen = read(blocks);
    assert_eq!(seen.members[0].1, b"0123");
    assert_eq!(seen.refused(), [("b", Truncated)]);
}

#[test]
fn a_cut_cabinet_gives_what_is_there() {
    let log = noise(100_000, 9);
    let cab = write::mszip(&[("a", &log[..40_000]), ("b", &log[40_000..])]);
    let seen = read(cab[..70_000].to_vec());
    assert_eq!(seen.names(), ["a", "b"]);
    assert!(seen.members[0].1 == log[..40_000]);
    assert_eq!(seen.members[1].1, log[40_000..65_536]);
    assert_eq!(seen.refused(), [("b", Truncated)]);
    assert_eq!(seen.refusals[0].lost_bytes, 100_000 - 65_536);
    for length in [10, 30, 38] {
        assert_eq!(read(cab[..length].to_vec()).refused(), [("", Truncated)]);
    }
    // The list of files ends: there is nothing that could be told of the others.
    assert_eq!(read(cab[..60].to_vec()).refused(), [("", Truncated)]);
}

#[test]
fn gzip_pieces_are_one_file() {
    let text = b"one line\n".repeat(20_000);
    let mut pieces = gz(&text[..50_000]);
    pieces.extend(gz(b""));
    pieces.extend(gz(&text[50_000..]));
    read(pieces.clone()).is(&[("log.evtx", &text)]);
    pieces.extend([0; 700]);
    read(pieces.clone()).is(&[("log.evtx", &text)]);
    pieces.extend(b"tail");
    let seen = read(pieces);
    assert!(seen.members[0].1 == text);
    assert_eq!(seen.refused(), [("log.evtx", Damaged)]);
}

#[test]
fn a_gzip_file_is_named_by_its_header_or_file() {
    let mut writer = flate2::GzBuilder::new()
        .filename(r"C:\logs\AAD.evtx")
        .write(Vec::new(), flate2::Compression::fast());
    writer.write_all(b"log").unwrap();
    read(writer.finish().unwrap()).is(&[("C:/logs/AAD.evtx", b"log")]);
    for (file, name) in [
        ("a/b.tar.gz", "b.tar"),
        ("a/PC-042.TGZ", "PC-042.tar"),
        (r"a\x.evtx.GZ", "x.evtx"),
        ("a/.gz", ".gz"),
        ("a/strange", "strange"),
    ] {
        let bytes = gz(b"x");
        let mut names = Vec::new();
        gzip::each(
            &mut bytes.as_slice(),
            file,
            &budget(&bytes),
            &mut |member| {
                names.push(member.name.to_owned());
            },
        );
        assert_eq!(names, [name]);
    }
}

#[test]
fn a_cut_or_damaged_gzip_file_gives_what_is_there() {
    let log = noise(300_000, 10);
    let whole = gz(&log);
    let seen = read(whole[..200_000].to_vec());
    let there = seen.members[0].1.len();
    assert!(there > 150_000 && seen.members[0].1 == log[..there]);
    assert_eq!(seen.refused(), [("log.evtx", Truncated)]);
    let mut wrong = whole.clone();
    let at = wrong.len() - 8;
    wrong[at] ^= 1;
    let seen = read(wrong);
    assert!(seen.members[0].1 == log);
    assert_eq!(seen.refused(), [("log.evtx", Checksum)]);
    // Its size is wrong.
    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(read(wrong).refused(), [("log.evtx", Checksum)]);
    let mut wrong = gz(&b"one line and another\n".repeat(9000));
    wrong[20..60].fill(0xff);
    assert_eq!(read(wrong).refused(), [("log.evtx", Damaged)]);
    // The trailer is cut.
    for cut in [1, 7, 8] {
        let seen = read(whole[..whole.len() - cut].to_vec());
        assert!(seen.members[0].1 == log);
        assert_eq!(seen.refused(), [("log.evtx", Truncated)], "{cut}");
    }
    assert_eq!(
        read(whole[..5].to_vec()).refused(),
        [("log.evtx", Truncated)]
    );
}

#[test]
fn every_part_of_a_gzip_header_is_passed_over() {
    let packed = |flags: u8, parts: &[&[u8]]| {
        let mut bytes = gz(b"log");
        bytes[3] = flags;
        let parts = parts.concat();
        bytes.splice(10..10, parts);
        bytes
    };
    let is = |bytes: Vec<u8>, name: &str| read(bytes).is(&[(name, b"log")]);
    is(packed(1, &[]), "log.evtx");
    is(packed(4, &[b"\x03\0abc"]), "log.evtx");
    is(packed(8, &[b"name\0"]), "name");
    is(packed(16, &[b"comment\0"]), "log.evtx");
    let all: &[&[u8]] = &[b"\x01\0x", b"name\0", b"comment\0"];
    is(packed(4 | 8 | 16, all), "name");
    let mut start = gz(b"log")[..10].to_vec();
    start[3] = 2 | 4 | 8 | 16;
    start.extend(all.concat());
    let sum = (crc32fast::hash(&start) as u16).to_le_bytes();
    let checked = packed(2 | 4 | 8 | 16, &[&all.concat(), &sum]);
    is(checked.clone(), "name");
    let mut wrong = checked;
    wrong[13] ^= 1;
    let long = vec![b'x'; 70_000];
    for damaged in [wrong, packed(0x20, &[]), packed(8, &[&long, b"\0"])] {
        assert_eq!(read(damaged).refused(), [("log.evtx", Damaged)]);
    }
    assert_eq!(
        read(packed(8, &[b"name"])[..14].to_vec()).refused(),
        [("log.evtx", Truncated)]
    );
}

/// A record of a pax header.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    // The length counts its own digits.
    let length = (rest.len() + 1..).find(|length| length.to_string().len() + rest.len() == *length);
    format!("{}{rest}", length.unwrap()).into_bytes()
}

/// A header of this kind with what belongs to it.
fn tar_part(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = write::tar_header(name, bytes.len() as u64, kind).to_vec();
    all.extend(bytes);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

#[test]
fn tar_members_of_every_format_are_read() {
    let log = noise(70_001, 11);
    let long = format!("{}log.evtx", "folder/".repeat(40));
    let mut builder = ::tar::Builder::new(Vec::new());
    for name in ["short.evtx", &long] {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(log.len() as u64);
        builder
            .append_data(&mut header, name, log.as_slice())
            .unwrap();
    }
    let gnu = builder.into_inner().unwrap();
    read(gnu.clone()).is(&[("short.evtx", &log), (&long, &log)]);
    let mut all = tar_part("folder", b'5', b"");
    all.extend(tar_part("pax", b'g', &pax("comment", "x")));
    all.extend(tar_part("pax", b'x', &pax("path", r"Windows\Logs\ä.evtx")));
    all.extend(write::tar_member("cut", &log));
    // A size that does not fit into the header.
    all.extend(tar_part("pax", b'x', &pax("size", "70001")));
    all.extend(write::tar_header("sized", 0, b'0'));
    all.extend(&log);
    all.resize(all.len().next_multiple_of(512), 0);
    all.extend([0; 1024]);
    // Another archive behind the end of this one.
    all.extend(&gnu);
    read(all).is(&[
        ("Windows/Logs/ä.evtx", &log),
        ("sized", &log),
        ("short.evtx", &log),
        (&long, &log),
    ]);
}

#[test]
fn links_and_devices_in_a_tar_are_told() {
    let mut all = Vec::new();
    for (name, kind) in [
        ("hard", b'1'),
        ("soft", b'2'),
        ("tty", b'3'),
        ("disk", b'4'),
        ("pipe", b'6'),
    ] {
        all.extend(write::tar_header(name, 0, kind));
    }
    all.extend(tar_part("more", b'M', b"rest"));
    all.extend(tar_part("pax", b'x', &pax("GNU.sparse.major", "1")));
    all.extend(tar_part("holes", b'0', b"1\n0\n4\n"));
    all.extend(write::tar(&[("sound", b"sound")]));
    let seen = read(all);
    assert_eq!(seen.names(), ["sound"]);
    assert_eq!(
        seen.refused(),
        [
            ("hard", NotFollowed),
            ("soft", NotFollowed),
            ("tty", NotFollowed),
            ("disk", NotFollowed),
            ("pipe", NotFollowed),
            ("more", Unsupported),
            ("holes", Unsupported),
        ]
    );
}

#[test]
fn what_a_tar_claims_is_not_believed() {
    // Names and sizes without end cost what is there.
    for kind in [b'L', b'K', b'x', b'g', b'0', b'5', b'3'] {
        let mut all = write::tar_header("claims", 1 << 60, kind).to_vec();
        all.extend([b'x'; 2000]);
        let seen = read(all);
        assert!(seen.members.iter().all(|(_, bytes)| bytes.len() == 2000));
        assert!(
            seen.refused().iter().any(|(_, kind)| *kind == Truncated),
            "{kind}"
        );
    }
    let mut all = Vec::new();
    for _ in 0..5000 {
        all.extend(tar_part("long", b'L', &[b'n'; 512]));
    }
    all.extend(write::tar(&[("short", b"x")]));
    assert_eq!(read(all).names(), ["n".repeat(512)]);
}

#[test]
fn a_damaged_or_cut_tar_gives_the_members_that_are_sound() {
    let mut all = write::tar(&[("a", b"first"), ("b", b"second"), ("c", b"third")]);
    all[1024 + 10] ^= 1;
    let seen = read(all.clone());
    assert_eq!(seen.names(), ["a", "c"]);
    assert_eq!(seen.refused(), [("", Damaged)]);
    assert_eq!(seen.refusals[0].lost_bytes, 1024);
    let sound = write::tar(&[("a", b"first"), ("b", b"second")]);
    let seen = read(sound[..1024 + 512 + 3].to_vec());
    assert_eq!(seen.members[1].1, b"sec");
    assert_eq!(seen.refused(), [("b", Truncated)]);
    // Cut between members: that there were more can only be told by the end mark.
    let seen = read(sound[..1024].to_vec());
    assert_eq!(seen.names(), ["a"]);
    assert_eq!(seen.refused(), [("", Truncated)]);
}

/// Reads archives inside archives down to their files.
fn read_nested(bytes: Bytes, memory: &Memory, budget: &Budget, depth: u32) -> Seen {
    let mut start = [0; 512];
    let length = bytes.read_at(&mut start, 0).unwrap();
    let top = kind(&start[..length]).unwrap();
    let mut inner = Seen::default();
    let outer = read_as(top, bytes, budget);
    inner.refusals.extend(outer.refusals);
    for (name, bytes) in outer.members {
        if depth > 0 && kind(&bytes).is_some() {
            match hold(
                &mut bytes.as_slice(),
                &name,
                Some(bytes.len() as u64),
                memory,
            ) {
                Hold::Held(bytes) => {
                    let seen = read_nested(bytes, memory, budget, depth - 1);
                    inner.members.extend(seen.members);
                    inner.refusals.extend(seen.refusals);
                }
                Hold::Later => panic!("nobody else is there"),
                Hold::Refused(refusal) => inner.refusals.push(refusal),
            }
        } else {
            inner.members.push((name, bytes));
        }
    }
    inner
}

#[test]
fn archives_inside_archives_are_read() {
    let log = noise(50_000, 12);
    let tar_gz = gz(&write::tar(&[("a.evtx", &log)]));
    let cab = write::mszip(&[("b.evtx", &log)]);
    let zip = write::zip(&[member("c.evtx", &log), member("mdmlogs.cab", &cab)]);
    let outer = write::zip(&[
        member("PC-1.tar.gz", &tar_gz),
        stored("DiagLogs.zip", &zip),
        member("d.evtx", &log),
    ]);
    let memory = Memory::new(1 << 20);
    let whole = budget(&outer);
    read_nested(outer.clone().into(), &memory, &whole, 8).is(&[
        ("a.evtx", &log),
        ("c.evtx", &log),
        ("b.evtx", &log),
        ("d.evtx", &log),
    ]);
    // All memory was given back; too little is told.
    assert!(memory.try_reserve(1 << 20).is_some());
    let seen = read_nested(outer.into(), &Memory::new(60_000), &whole, 8);
    assert_eq!(seen.names(), ["a.evtx", "d.evtx"]);
    assert_eq!(seen.refused(), [("DiagLogs.zip", TooLarge)]);
}

#[test]
fn memory_is_shared_and_given_back() {
    let memory = Memory::new(10 << 20);
    let bytes = vec![1; 3 << 20];
    let held = |claimed| hold(&mut bytes.as_slice(), "a.zip", claimed, &memory);
    let Hold::Held(first) = held(Some(3 << 20)) else {
        panic!()
    };
    let Hold::Held(second) = held(None) else {
        panic!()
    };
    assert_eq!(second.size(), 3 << 20);
    // There would be enough, were it not held by others.
    let third = memory.try_reserve(4 << 20).unwrap();
    assert!(matches!(held(Some(3 << 20)), Hold::Later));
    assert!(matches!(held(None), Hold::Later));
    drop(third);
    drop(first);
    let Hold::Held(_) = held(None) else { panic!() };
    // A claim is believed only where it is too large; what arrives is measured all the same.
    for (claimed, most) in [
        (Some(1 << 60), 10 << 20),
        (None, 1 << 20),
        (Some(10), 1 << 20),
    ] {
        let memory = Memory::new(most);
        let Hold::Refused(refusal) = hold(&mut bytes.as_slice(), "a.zip", claimed, &memory) else {
            panic!()
        };
        assert_eq!(refusal.kind, TooLarge);
        assert_eq!(refusal.member.as_deref(), Some("a.zip"));
        assert!(memory.try_reserve(most).is_some());
    }
}

#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    let bomb = write::zeros("bomb", 70);
    // Its directory gives it away.
    let seen = read(write::zip(&[bomb.clone(), member("sound", b"sound")]));
    assert_eq!(seen.names(), ["sound"]);
    assert_eq!(seen.refused(), [("bomb", TooLarge)]);
    assert_eq!(seen.refusals[0].lost_bytes, 70 << 20);
    // With bytes behind its end it would not, nor does it without a directory, its sizes behind it.
    let mut hidden = bomb.clone();
    hidden.packed.extend([0; 100_000]);
    hidden.packed_size += 100_000;
    let mut streamed = bomb;
    streamed.streamed = true;
    let mut parts = write::zip_parts(&[streamed]);
    parts.bytes.truncate(parts.directory);
    for (zip, refused) in [
        (write::zip(&[hidden]), vec![("bomb", TooLarge)]),
        (parts.bytes, vec![("", Truncated), ("bomb", TooLarge)]),
    ] {
        let seen = read(zip);
        assert_eq!(seen.names(), ["bomb"]);
        assert_eq!(seen.refused(), refused);
        assert!((64 << 20..65 << 20).contains(&seen.members[0].1.len()));
    }
    let mut file = b"\x1f\x8b\x08\0\0\0\0\0\0\0".to_vec();
    file.extend(write::zeros("bomb", 70).packed);
    assert_eq!(read(file).refused(), [("log.evtx", TooLarge)]);
    // A log of 60 MiB that was never written to is no bomb.
    let empty = read(write::zip(&[write::zeros("empty.evtx", 60)]));
    assert_eq!(empty.members[0].1.len(), 60 << 20);
    assert_eq!(empty.refusals, []);
}

#[test]
fn a_budget_holds_for_all_members_together() {
    let limits = Limits {
        members: 100,
        bytes: 1_000_000,
        ..Limits::default()
    };
    let many: Vec<_> = (0..101)
        .map(|number| member(&number.to_string(), b"x"))
        .collect();
    let heavy: Vec<_> = (0..20)
        .map(|number| member(&number.to_string(), &[0; 60_000]))
        .collect();
    let files: Vec<_> = (0..101).map(|_| ("x", b"x".as_slice())).collect();
    for (bytes, exhausted) in [
        (write::zip(&many), true),
        (write::zip(&many[1..]), false),
        (write::zip(&heavy), true),
        (write::zip(&heavy[..16]), false),
        (write::tar(&files), true),
        (write::tar(&files[1..]), false),
        (write::mszip(&files), true),
        (gz(&vec![0; 1_000_001]), true),
        (gz(&vec![0; 1_000_000]), false),
    ] {
        let budget = Budget::new(limits, bytes.len() as u64);
        let seen = read_as(kind(&bytes).unwrap(), bytes.into(), &budget);
        assert_eq!(budget.exhausted(), exhausted);
        let given: usize = seen.members.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(given <= 1_000_000 + 65_536);
    }
    assert_eq!(Budget::new(limits, 0).refusal().kind, Limit);
}

#[test]
fn changed_archives_and_noise_are_survived() {
    let log = noise(3000, 13);
    let text = b"one line\n".repeat(500);
    let mut streamed = member("streamed", &text);
    streamed.streamed = true;
    let lzx = write::lzx_uncompressed(&text[..2000]);
    let mut deflate64 = member("deflate64", &text);
    deflate64.method = 9;
    let seeds = [
        write::zip(&[member("a", &text), stored("b", &log), streamed, deflate64]),
        write::mszip(&[("a", &text), ("b", &log)]),
        write::cab(
            &[(0x0f03, &[(&lzx, 2000)])],
            &[("a", 0, 0, 1000), ("b", 0, 1000, 1000)],
        ),
        gz(&text),
        write::tar(&[("a", &text), ("b", &log)]),
        noise(2000, 14),
    ];
    let change = (
        any::<prop::sample::Index>(),
        any::<u8>(),
        0..6_usize,
        any::<bool>(),
    );
    let strategy = (
        0..seeds.len(),
        proptest::collection::vec(change, 0..6),
        any::<prop::sample::Index>(),
        0..8_u8,
    );
    let mut runner = TestRunner::new_with_rng(
        Config::with_cases(3000),
        TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]),
    );
    let run = runner.run(&strategy, |(seed, changes, cut, how)| {
        let mut bytes = seeds[seed].clone();
        for (at, value, width, high) in changes {
            let at = at.index(bytes.len());
            for byte in bytes.iter_mut().skip(at).take(width) {
                *byte = if high { 0xff } else { value };
            }
        }
        if how == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        for kind in [Kind::Zip, Kind::Cab, Kind::Gzip, Kind::Tar] {
            let budget = budget(&bytes);
            let held: Bytes = bytes.clone().into();
            let read = catch_unwind(AssertUnwindSafe(|| read_as(kind, held, &budget)));
            // A decompressor may panic, which its caller catches: none is known to.
            let seen = read.expect("no panic");
            let given: usize = seen.members.iter().map(|(_, bytes)| bytes.len()).sum();
            prop_assert!(given <= bytes.len() * 1100, "{given}");
            prop_assert!(seen.refusals.len() <= 1100);
            prop_assert!(
                seen.refusals
                    .iter()
                    .all(|refusal| !refusal.detail.is_empty())
            );
        }
        Ok(())
    });
    run.unwrap();
}

#[test]
fn a_file_and_the_same_bytes_in_memory_are_read_alike() {
    let log = noise(300_000, 15);
    let members: Vec<_> = (0..50)
        .map(|number| member(&number.to_string(), &log[number * 1000..]))
        .collect();
    let bytes = write::zip(&members);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let budget = budget(&bytes);
    let on_disk = read_as(Kind::Zip, Bytes::file(file).unwrap(), &budget);
    let in_memory = read_as(Kind::Zip, bytes.into(), &budget);
    assert!(on_disk.members == in_memory.members && on_disk.members.len() == 50);
    assert_eq!(on_disk.refusals, []);
}

const LOGS: &str = "computer PC-1.contoso.com\n08:00:00 1006\n08:00:01 1007 Status=0\n";

/// The only log of a scenario.
fn a_log() -> Vec<u8> {
    support::scenario::logs(LOGS)
        .unwrap()
        .pop_first()
        .unwrap()
        .1
}

/// What a scan of a folder with a log and these files says: how many logs, how many other files, and
/// the problems by file name and kind.
fn beside_a_log(files: &[(&str, &[u8])]) -> (u64, u64, Vec<(String, ProblemKind)>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("beside.evtx"), a_log()).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let scan = machine::scan(&[folder.path().to_owned()], scan::Options::default()).unwrap();
    let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let problems = scan.problems.iter();
    let problems = problems.map(|problem| (name(&problem.path), problem.kind));
    (scan.logs, scan.other_files, problems.collect())
}

/// What a scan says of one file that is named.
fn named(name: &str, bytes: &[u8]) -> Result<Scan, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    machine::scan(&[file], scan::Options::default()).map_err(|error| error.to_string())
}

/// A zip archive without its first bytes: what the directory says is all that is told.
fn without_its_start(mut parts: write::Zip) -> Vec<u8> {
    parts.bytes.drain(..100);
    parts.bytes
}

#[test]
fn every_volume_of_a_split_zip_says_what_to_do() {
    let log = noise(1000, 18);
    let [first, middle, last] = [0, 1, 2].map(|volume| {
        let mut parts = write::zip_parts(&[stored("a.evtx", &log)]);
        match volume {
            0 => [b"PK\x07\x08", &parts.bytes[..500]].concat(),
            1 => parts.bytes[500..900].to_vec(),
            _ => {
                // The number of this volume, and of the one where the directory starts.
                parts.bytes[parts.end + 4] = 2;
                parts.bytes[parts.end + 6] = 2;
                without_its_start(parts)
            }
        }
    });
    let split = ProblemKind::Unsupported;
    let files: [(&str, &[u8]); 4] = [
        ("logs.z01", &first),
        ("logs.z02", &middle),
        ("LOGS.ZIP", &last),
        // Its end is not looked at.
        ("logs.bin", &last),
    ];
    assert_eq!(
        beside_a_log(&files),
        (
            1,
            1,
            ["LOGS.ZIP", "logs.z01", "logs.z02"]
                .map(|name| (name.into(), split))
                .to_vec()
        )
    );
    for (name, bytes) in &files[..3] {
        let error = named(name, bytes).unwrap_err();
        assert!(error.contains("a volume of a split zip archive"), "{error}");
        assert!(
            error.contains("unpack it with all of its volumes"),
            "{error}"
        );
    }
    for (name, bytes, words) in [
        ("logs.bin", &last, "neither ElfFile nor a chunk"),
        ("logs.zip", &middle, "not an archive, though named .zip"),
        ("a.zeit", &middle, "neither ElfFile nor a chunk"),
    ] {
        let error = named(name, bytes).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn volumes_as_7_zip_names_them_are_told_as_volumes() {
    let zip = write::zip(&[stored("a.evtx", &a_log())]);
    let half = zip.len() / 2;
    let tar_gz = gz(&write::tar(&[("a.evtx", &noise(9000, 20))]));
    let seven = b"7z\xbc\xaf\x27\x1c and more".as_slice();
    let later = b"out of the middle".as_slice();
    let files: [(&str, &[u8]); 12] = [
        ("a.7z.001", seven),
        ("a.7z.002", later),
        ("b.zip.001", &zip[..half]),
        ("b.zip.002", &zip[half..]),
        ("c.tar.gz.001", &tar_gz[..5000]),
        ("c.tar.gz.002", &tar_gz[5000..]),
        // The name says nothing, the volume beside it does.
        ("d.001", seven),
        ("d.002", later),
        ("e.001", &zip[..half]),
        ("e.002", &zip[half..]),
        ("f.part2.rar", b"Rar!\x1a\x07\x01\0"),
        ("f.r00", b"Rar!\x1a\x07\x00"),
    ];
    let told: Vec<_> = files
        .iter()
        .map(|(name, _)| (name.to_string(), ProblemKind::Unsupported))
        .collect();
    assert_eq!(beside_a_log(&files), (1, 0, told.clone()));
    // A number alone says nothing, and an archive of one volume is whole.
    let others: [(&str, &[u8]); 3] = [("g.002", later), ("h.zip.001", &zip), ("i.evtx.001", later)];
    assert_eq!(beside_a_log(&others), (2, 2, vec![]));
    // The same in an archive, but for what only the files beside it tell.
    let within =
        |name: &str| !name.starts_with(['c', 'd', 'e']) || name == "e.001" || name == "d.001";
    let mut inside: Vec<(&str, &[u8])> = files.iter().copied().filter(|of| within(of.0)).collect();
    let log = a_log();
    inside.push(("z.evtx", &log));
    let members: Vec<_> = inside
        .iter()
        .map(|(name, bytes)| member(name, bytes))
        .collect();
    for (outer, bytes) in [
        ("all.zip", write::zip(&members)),
        ("all.tar", write::tar(&inside)),
    ] {
        let scan = named(outer, &bytes).unwrap();
        assert_eq!((scan.logs, scan.other_files), (1, 0), "{outer}");
        let mut names: Vec<&str> = scan.problems.iter().map(|of| of.path.as_str()).collect();
        names
            .iter_mut()
            .for_each(|name| *name = name.rsplit('!').next().unwrap());
        let expected = inside
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| *name != "z.evtx");
        assert_eq!(names, expected.collect::<Vec<_>>(), "{outer}");
        let is_told = |of: &prtrace::base::problem::Problem| of.kind == ProblemKind::Unsupported;
        assert!(scan.problems.iter().all(is_told), "{:?}", scan.problems);
    }
    for (name, bytes, said) in [
        (
            "a.7z.001",
            seven,
            "the first volume of a split 7z archive: unpack a.7z.001 with 7-Zip",
        ),
        (
            "a.7z.002",
            later,
            "a volume of a split 7z archive: unpack a.7z.001 with 7-Zip",
        ),
        (
            "b.zip.001",
            &zip[..half],
            "copy /b b.zip.0* b.zip, or cat b.zip.0* > b.zip",
        ),
        (
            "b.zip.002",
            &zip[half..],
            "a volume of a split zip archive: join the volumes",
        ),
    ] {
        let error = named(name, bytes).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_zip_whose_start_is_damaged_is_read_by_its_directory() {
    let zip = write::zip_parts(&[stored("a", &noise(1000, 19)), member("b.evtx", &a_log())]);
    let mut damaged = zip.bytes;
    damaged[..4].copy_from_slice(b"????");
    let of_a = ("a.zip!a".into(), ProblemKind::DamagedArchive);
    assert_eq!(beside_a_log(&[("a.zip", &damaged)]), (2, 0, vec![of_a]));
}

/// A program of two sections, the last of which ends here, and what follows it.
fn program(behind: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[60] = 128;
    bytes[128..132].copy_from_slice(b"PE\0\0");
    // Two sections, behind 16 bytes of optional header: they start at 168.
    bytes[134] = 2;
    bytes[148] = 16;
    for (at, [size, start]) in [(168, [256_u32, 768]), (208, [256, 512])] {
        bytes[at + 16..at + 20].copy_from_slice(&size.to_le_bytes());
        bytes[at + 20..at + 24].copy_from_slice(&start.to_le_bytes());
    }
    bytes.extend(behind);
    bytes
}

#[test]
fn a_zip_behind_the_program_that_unpacks_it_is_read() {
    let zip = write::zip(&[member("a.evtx", &a_log()), member("readme.txt", b"")]);
    // What starts like a program need not be one whose headers are known.
    let unknown = [b"MZ", &noise(5000, 20)[..], &zip].concat();
    for setup in [program(&zip), unknown] {
        assert_eq!(beside_a_log(&[("Setup.EXE", &setup)]), (2, 1, vec![]));
        assert_eq!(named("setup.exe", &setup).unwrap().logs, 1);
        // Of files of other kinds the end is not looked at.
        assert_eq!(beside_a_log(&[("setup.dll", &setup)]), (1, 1, vec![]));
        let other = [b"MY", &setup[2..]].concat();
        assert_eq!(beside_a_log(&[("setup.exe", &other)]), (1, 1, vec![]));
    }
    // Without its end what is there of it is read.
    let cut = program(&zip[..zip.len() - 30]);
    let truncated = vec![("setup.exe".into(), ProblemKind::Truncated)];
    assert_eq!(beside_a_log(&[("setup.exe", &cut)]), (2, 1, truncated));
}

#[test]
fn another_archive_behind_a_program_is_told() {
    let unsupported = vec![("a.exe".into(), ProblemKind::Unsupported)];
    let cab = write::mszip(&[("a.evtx", &a_log())]);
    for archive in [&cab[..], b"7z\xbc\xaf\x27\x1c\0\x04", b"Rar!\x1a\x07\x01\0"] {
        let setup = program(archive);
        assert_eq!(
            beside_a_log(&[("a.exe", &setup)]),
            (1, 0, unsupported.clone())
        );
        let error = named("a.exe", &setup).unwrap_err();
        assert!(error.contains("a self-extracting archive, which is not read: unpack it"));
    }
}

#[test]
fn a_program_without_an_archive_is_another_file() {
    // A program that knows of zip archives holds their magic numbers: one that looks like the end
    // of a volume, and one that looks like an empty archive's.
    let volume = [b"text PK\x05\x06\x02\0\x02\0".as_slice(), &[1; 100]].concat();
    let empty = [b"text PK\x05\x06".as_slice(), &[0; 100]].concat();
    let mut beyond = program(b"MSCF");
    // Its headers stand outside of it.
    beyond[60..64].copy_from_slice(&[0xff; 4]);
    let mut endless = program(b"MSCF");
    // More sections than there are bytes.
    endless[134..136].copy_from_slice(&[0xff; 2]);
    for program in [
        program(b""),
        program(&noise(100, 21)),
        program(&volume),
        program(&empty),
        beyond,
        endless,
        b"MZ".to_vec(),
    ] {
        assert_eq!(beside_a_log(&[("a.exe", &program)]), (1, 1, vec![]));
        let error = named("a.exe", &program).unwrap_err();
        assert!(error.contains("unpack it elsewhere"), "{error}");
    }
}

#[test]
fn threads_share_an_archive() {
    let log = noise(200_000, 17);
    let members: Vec<_> = (0..8)
        .map(|number| member(&number.to_string(), &log))
        .collect();
    let bytes = write::zip(&members);
    // One byte more than there is for all of them together.
    for (most, exhausted) in [(1_600_000, false), (1_599_999, true)] {
        let limits = Limits {
            bytes: most,
            ..Limits::default()
        };
        let budget = Budget::new(limits, bytes.len() as u64);
        let zip = Zip::open(bytes.clone().into(), &budget).unwrap();
        std::thread::scope(|scope| {
            for first in 0..2 {
                let (zip, budget) = (&zip, &budget);
                scope.spawn(move || {
                    for part in (first..zip.parts()).step_by(2) {
                        let mut seen = Seen::default();
                        seen.refusals =
                            zip.read_part(part, budget, &mut |member| seen.take(member));
                        assert_eq!(seen.refusals, []);
                    }
                });
            }
        });
        assert_eq!(budget.exhausted(), exhausted);
    }
}

#[test]
fn every_member_of_real_archives_is_read() {
    let Ok(logs) = std::env::var("PRTRACE_TEST_LOGS") else {
        return;
    };
    for folder in ["real", "damaged"] {
        for entry in std::fs::read_dir(Path::new(&logs).join(folder)).unwrap() {
            let file = File::open(entry.unwrap().path()).unwrap();
            let bytes = Bytes::file(file).unwrap();
            let budget = Budget::new(Limits::default(), bytes.size());
            let seen = read_as(Kind::Zip, bytes, &budget);
            // The members' checksums are looked at while they are read.
            assert_eq!(seen.refusals, []);
            assert!(!seen.members.is_empty());
        }
    }
}
