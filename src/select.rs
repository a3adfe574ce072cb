//! Which chunks can hold a record of ours.
//!
//! A record names its provider in its own bytes or in a template definition of the same chunk, as
//! UTF-16 text, as ANSI text or by GUID. A chunk in which none of these stands holds no record of
//! ours and is not decoded. A chunk that passes is decoded whole and each record is asked for its
//! provider: this step may only leave out, never choose.

use crate::event::Provider;
use memchr::memmem::Finder;
use std::sync::LazyLock;

static MARKS: LazyLock<Vec<Finder<'static>>> = LazyLock::new(|| {
    Provider::ALL
        .into_iter()
        .flat_map(|provider| {
            let name = provider.name();
            let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            [
                wide,
                name.as_bytes().to_vec(),
                provider.guid().to_bytes_le().to_vec(),
            ]
        })
        .map(|mark| Finder::new(&mark).into_owned())
        .collect()
});

/// Whether the live part of a chunk can hold a record of a selected provider.
pub(crate) fn may_be_ours(live: &[u8]) -> bool {
    MARKS.iter().any(|mark| mark.find(live).is_some())
}
