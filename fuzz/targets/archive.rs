//! Bytes → an archive of each kind: no panic, and no more comes out than its packed bytes can give.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prtrace::input::archive::{Budget, Bytes, Limits, Member, cab::Cab, gzip, tar, zip::Zip};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        members: 10_000,
        bytes: 64 << 20,
        ..Limits::default()
    };
    let held = || Bytes::from(bytes.to_vec());
    for kind in 0..4 {
        let budget = Budget::new(limits, bytes.len() as u64);
        let mut given = 0;
        let mut visit = |member: Member<'_>| {
            let most = member.size.unwrap_or(u64::MAX);
            let count = std::io::copy(member.reader, &mut std::io::sink()).unwrap_or(0);
            assert!(count <= most);
            given += count;
        };
        let refusals = match kind {
            0 => Zip::open(held(), &budget).map(|zip| {
                let part = |part| zip.read_part(part, &budget, &mut visit);
                (0..zip.parts()).flat_map(part).collect()
            }),
            1 => Cab::open(held(), &budget).map(|cab| {
                let part = |part| cab.read_part(part, &budget, &mut visit);
                (0..cab.parts()).flat_map(part).collect()
            }),
            2 => Ok(gzip::each(&mut held().cursor(), "a.gz", &budget, &mut visit)),
            _ => Ok(tar::each(&mut held().cursor(), &budget, &mut visit)),
        };
        let refusals = refusals.unwrap_or_else(|refusal| vec![refusal]);
        // A member needs a header, and a refusal a member; one part tells of a thousand at most.
        assert!(refusals.len() <= 2 + bytes.len() / 8);
        assert!(given <= limits.bytes);
    }
});
