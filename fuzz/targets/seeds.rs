//! `seeds FOLDER` writes inputs to start from into FOLDER/selection, FOLDER/scan and FOLDER/archive.

#[path = "../../tests/support/archive.rs"]
mod archive;
#[path = "../../tests/support/full/mod.rs"]
mod full;
mod support;

use full::{binxml, seeds};
use std::path::Path;
use std::{env, fs};

fn main() -> std::io::Result<()> {
    let folder = env::args_os().nth(1).expect("usage: seeds FOLDER");
    let [selection, scan, archives] =
        ["selection", "scan", "archive"].map(|target| Path::new(&folder).join(target));
    for folder in [&selection, &scan, &archives] {
        fs::create_dir_all(folder)?;
    }
    for (number, bytes) in small_archives().iter().enumerate() {
        fs::write(archives.join(format!("archive-{number}")), bytes)?;
    }
    for (number, chunk) in seeds::chunks().iter().enumerate() {
        // Without what no record uses: the target pads it again.
        let used = chunk
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        fs::write(
            selection.join(format!("chunk-{number}")),
            [&[0], &chunk[..used]].concat(),
        )?;
        fs::write(
            selection.join(format!("change-{number}")),
            [1, number as u8, 1, 0, 0, 0, 0, 0, 0],
        )?;
        let log = binxml::log_of(chunk);
        fs::write(scan.join(format!("log-{number}")), &log[..4096 + used])?;
    }
    Ok(())
}

/// Archives of every kind, most of a few hundred bytes, with what is told of members in them.
fn small_archives() -> Vec<Vec<u8>> {
    let text = b"one line\n".repeat(20);
    let of = |change: &dyn Fn(&mut archive::Member)| {
        let mut member = archive::member("changed", &text);
        change(&mut member);
        archive::zip(&[archive::stored("a", b"a"), member])
    };
    let zip = of(&|_| {});
    let cut = |bytes: &[u8]| bytes[..bytes.len() * 2 / 3].to_vec();
    let streamed = of(&|member| member.streamed = true);
    let cab = archive::mszip(&[("a", &text), ("b", b"b")]);
    let lzx = archive::lzx_uncompressed(&text);
    let tar = archive::tar(&[("a", &text), ("b", b"b")]);
    let gzip = archive::gzip(&text);
    let mut large = archive::zip_parts(&[archive::member("a", &text)]);
    large.bytes.truncate(large.end);
    let size = (large.end - large.directory) as u64;
    archive::large_end(&mut large.bytes, 1, size, large.directory as u64);
    vec![
        of(&|member| member.method = 9),
        of(&|member| member.flags = 1),
        of(&|member| member.large = true),
        of(&|member| member.at = Some(0)),
        of(&|member| member.attributes = 0o120_777 << 16),
        of(&|member| member.crc ^= 1),
        archive::zip(&[archive::stored("in.zip", &zip), archive::member("d/", b"")]),
        [zip.as_slice(), &zip].concat(),
        cut(&zip),
        cut(&streamed),
        zip,
        streamed,
        large.bytes,
        archive::cab(
            &[(0x0f03, &[(&lzx, text.len() as u16)])],
            &[("a", 0, 0, 100), ("b", 0, 100, 80)],
        ),
        archive::cab(&[(0, &[(b"01234567", 8)])], &[("a", 0, 0, 4), ("b", 0, 2, 4)]),
        cut(&cab),
        cab,
        [gzip.as_slice(), &gzip].concat(),
        cut(&gzip),
        archive::gzip(&tar),
        cut(&tar),
        [archive::tar_member("a", b"a"), vec![1; 600], tar].concat(),
    ]
}
