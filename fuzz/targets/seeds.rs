//! `seeds FOLDER` writes inputs to start from into FOLDER/selection and FOLDER/scan.

#[path = "../../tests/support/full/mod.rs"]
mod full;
mod support;

use full::{binxml, seeds};
use std::path::Path;
use std::{env, fs};

fn main() -> std::io::Result<()> {
    let folder = env::args_os().nth(1).expect("usage: seeds FOLDER");
    let (selection, scan) = (
        Path::new(&folder).join("selection"),
        Path::new(&folder).join("scan"),
    );
    fs::create_dir_all(&selection)?;
    fs::create_dir_all(&scan)?;
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
