//! The report as JSON Lines: a machine a line, by name, and a last line about all of them.
//!
//! A machine's line is what stands in `machines` of the JSON report, the last line is the report
//! without `machines`. Memory holds no more than some machines at a time.

use super::Narrow;
use super::{Line, Totals, json, stream};
use crate::machine::Scan;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

/// Writes the lines; the totals are what the last of them says.
///
/// # Errors
///
/// Those of the writer.
pub fn write(mut scan: Scan, narrow: Option<&Narrow>, out: &mut dyn Write) -> io::Result<Totals> {
    let streamed = stream::each_machine(
        &mut scan,
        narrow,
        |machine, out| line(&Line::Machine(machine), out),
        out,
    )?;
    let (summary, _) = streamed.finish(&scan);
    line(&Line::Summary(&summary), out)?;
    Ok(summary.totals)
}

fn line(line: &Line<'_>, out: &mut dyn Write) -> io::Result<()> {
    line.serialize(&mut Serializer::with_formatter(&mut *out, Compact))?;
    writeln!(out)
}

/// Without blanks; text is as safe as in the JSON report.
struct Compact;

impl Formatter for Compact {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        json::escaped(text, out)
    }
}
