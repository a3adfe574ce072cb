//! Windows programs that unpack themselves: the archive stands behind the program's own bytes.

use crate::base::bytes::{u16_at, u32_at};

/// Where the bytes begin that the program's headers know nothing of, if it is one whose headers
/// stand in this start of it.
pub(crate) fn end(start: &[u8]) -> Option<u64> {
    let headers = start.get(usize::try_from(u32_at(start, 60)?).ok()?..)?;
    if !headers.starts_with(b"PE\0\0") {
        return None;
    }
    let sections = headers.get(24 + usize::from(u16_at(headers, 20)?)..)?;
    (0..usize::from(u16_at(headers, 6)?)).try_fold(0, |end, number| {
        let section = sections.get(40 * number..)?;
        let [size, start] = [16, 20].map(|at| u32_at(section, at).map(u64::from));
        Some(end.max(start? + size?))
    })
}
