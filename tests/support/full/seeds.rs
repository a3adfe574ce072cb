//! Crafted chunks to start from, and what must hold for any chunk that is made of them.

use super::mutate::{Change, Site};
use super::oracle::{Checked, Counts, OURS, Wanted};
use super::{binxml, hidden, mutate};
use crate::support::evtx::{Record, Shape, Value, parse_guid, write_log};
use std::sync::OnceLock;

const PROVIDERS: [(&str, &str); 3] = [
    (hidden::OURS, "{4de9bc9c-b27a-43c9-8994-0915f1a5e24f}"),
    (hidden::FOREIGN, "{a68ca8b7-004f-d7b6-a698-07e2de0f1f5d}"),
    (
        "Microsoft-Windows-User Device Registration",
        "{23b8d46b-67dd-40a3-b636-d43e50552c6d}",
    ),
];

fn record(provider: usize, number: u64, shape: Shape) -> Record {
    let (name, guid) = PROVIDERS[provider % PROVIDERS.len()];
    Record {
        time_filetime: 132_000_000_000_000_000 + number,
        record_id: number,
        provider_name: name.to_owned(),
        provider_guid: parse_guid(guid).unwrap(),
        event_id: 1098,
        version: 0,
        level: 2,
        task: 101,
        opcode: 0,
        keywords: 0x4000_0000_0000_0000,
        channel: "Operational".to_owned(),
        computer: "PC".to_owned(),
        process_id: Some(4242),
        thread_id: Some(1),
        activity_id: [None, Some([0xa1; 16]), Some([0xb2; 16])][number as usize % 3],
        user_sid: Some("S-1-5-18".to_owned()),
        data: vec![
            ("Error".to_owned(), Value::HexInt32(0xcaa2_0003)),
            ("Text".to_owned(), Value::Unicode("text".to_owned())),
        ],
        shape,
    }
}

/// Chunks of each shape, ours first and foreign first, and those of `hidden`.
pub fn chunks() -> &'static [Vec<u8>] {
    static CHUNKS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CHUNKS.get_or_init(|| {
        let mut chunks = Vec::new();
        for shape in [Shape::Template, Shape::LiteralProvider, Shape::Bare] {
            for first in 0..2 {
                let records = (0..6).map(|n| record(first + n, n as u64 + 1, shape));
                let log = write_log(&records.collect::<Vec<_>>()).unwrap();
                chunks.push(log[4096..][..65536].to_vec());
            }
        }
        chunks.extend(hidden::cases().into_iter().map(|case| case.chunk));
        chunks.extend(hidden::covered().into_iter().map(|case| case.chunk));
        chunks
    })
}

fn sites() -> &'static [Vec<(usize, Site)>] {
    static SITES: OnceLock<Vec<Vec<(usize, Site)>>> = OnceLock::new();
    SITES.get_or_init(|| chunks().iter().map(|chunk| mutate::sites(chunk)).collect())
}

/// A crafted chunk with these changes, its checksums right again or not.
pub fn changed(number: usize, changes: &[Change], sound: bool) -> Vec<u8> {
    let number = number % chunks().len();
    let mut chunk = chunks()[number].clone();
    for change in changes {
        mutate::change(&mut chunk, &sites()[number], *change);
    }
    if sound {
        binxml::fix_checksums(&mut chunk);
    }
    chunk
}

/// The chunk that a fuzzer's bytes stand for.
pub fn chunk_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mode, rest) = bytes.split_first()?;
    if mode % 2 == 1 {
        let (number, rest) = rest.split_first()?;
        let changes: Vec<Change> = rest
            .chunks_exact(7)
            .take(8)
            .map(|change| Change {
                kind: change[0],
                site: u16::from_le_bytes([change[1], change[2]]),
                value: u32::from_le_bytes([change[3], change[4], change[5], change[6]]),
            })
            .collect();
        return Some(changed(usize::from(*number), &changes, mode & 2 == 0));
    }
    let mut chunk = rest.get(..rest.len().min(65536))?.to_vec();
    chunk.resize(65536, 0);
    chunk[..8].copy_from_slice(b"ElfChnk\0");
    if mode & 2 == 0 {
        binxml::fix_checksums(&mut chunk);
    }
    Some(chunk)
}

/// Nothing that a full parse calls ours, or another provider's that is asked for, is left out, and
/// each selected record is accounted for and comes to the same whichever way it is decoded.
pub fn check(chunk: &[u8]) -> Result<Counts, String> {
    let Some(checked) = Checked::new(chunk) else {
        return Ok(Counts::default());
    };
    let kernel = Wanted {
        names: &[hidden::FOREIGN],
        guids: &[],
    };
    checked.check(&kernel)?;
    checked.decode()?;
    checked.agree()?;
    checked.check(&OURS)
}
