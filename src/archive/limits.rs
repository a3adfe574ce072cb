//! What an archive file may cost, and what it has cost so far.
//!
//! Threads share a budget: which of them passes a cap is chance, whether one does is not. So a file
//! that exhausts its budget gives its [refusal](Budget::refusal) and nothing else.

use super::{Refusal, RefusalKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A member is held to [`Limits::ratio`] beyond this: 64 MiB.
const RATIO_FROM: u64 = 64 << 20;

/// Every archive file may unpack to this, however small it is: 8 GiB.
const BYTES_FLOOR: u64 = 8 << 30;

/// Caps on what archives may cost. "One archive file" is a file on the disk, as it is named or found
/// in a folder, with all that is nested in it: it has its own [`Budget`], whatever else is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members of one archive file: nested ones, folders and those that are refused included.
    pub members: u64,
    /// Bytes that one archive file may unpack to, each layer of nesting counted. Only one of more
    /// than a gibibyte comes near the default of 1 TiB: a smaller one may unpack to
    /// [`Limits::ratio`] times its size, and any to 8 GiB, unless this is less.
    pub bytes: u64,
    /// What a byte may unpack to in a member of more than 64 MiB. One that claims more is not read,
    /// another is stopped. Logs that are mostly unused come to several hundred, nothing but zeros
    /// to 1030.
    pub ratio: u64,
    /// Archives inside archives: a file in a zip has depth 1.
    pub depth: u32,
    /// Memory for nested archives, in bytes, over all threads.
    pub nested: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            members: 1_000_000,
            bytes: 1 << 40,
            ratio: 1000,
            depth: 8,
            nested: 512 << 20,
        }
    }
}

/// What one archive file has used of its [`Limits`]. Threads share it.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    bytes_most: u64,
    members: AtomicU64,
    bytes: AtomicU64,
    exhausted: AtomicBool,
}

impl Budget {
    /// The budget of an archive file of this many bytes.
    #[must_use]
    pub fn new(limits: Limits, input: u64) -> Budget {
        let by_size = input.saturating_mul(limits.ratio).max(BYTES_FLOOR);
        Budget {
            limits,
            bytes_most: limits.bytes.min(by_size),
            members: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
        }
    }

    /// The caps it was made from.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a member; `false` if that is one too many.
    pub fn take_member(&self) -> bool {
        self.take(&self.members, 1, self.limits.members)
    }

    /// Counts unpacked bytes; `false` if those are too many.
    pub fn take_bytes(&self, bytes: u64) -> bool {
        self.take(&self.bytes, bytes, self.bytes_most)
    }

    /// Whether this many bytes are more than these packed ones may give.
    pub(super) fn over_ratio(&self, bytes: u64, packed: u64) -> bool {
        bytes > RATIO_FROM && bytes / packed.max(1) >= self.limits.ratio
    }

    /// How many bytes are said to be lost of those that are claimed: a claim beyond all that could
    /// be read tells nothing.
    pub(super) fn believed(&self, claimed: u64) -> u64 {
        claimed.min(self.bytes_most)
    }

    fn take(&self, counter: &AtomicU64, count: u64, most: u64) -> bool {
        let before = counter.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > most {
            self.exhausted.store(true, Ordering::Relaxed);
        }
        !self.exhausted()
    }

    /// Whether a cap was passed. Which members had been read by then depends on the threads: the
    /// caller drops all that the archive file gave, and says [why](Budget::refusal).
    #[must_use]
    pub fn exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    /// Why an archive file that exhausted its budget is not read.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        Refusal::new(
            RefusalKind::Limit,
            format!(
                "it holds more than {} members or unpacks to more than {}: if it is to be trusted, \
                 unpack it first, or raise --max-members, --max-bytes and --max-ratio",
                self.limits.members,
                size_text(self.bytes_most)
            ),
        )
    }
}

pub(super) fn over_ratio(budget: &Budget) -> Refusal {
    let ratio = budget.limits.ratio;
    Refusal::new(
        RefusalKind::TooLarge,
        format!(
            "it unpacks to more than {ratio} times its packed size, as no log does: if it is to be \
             trusted, unpack it first, or raise --max-ratio"
        ),
    )
}

/// A number of bytes for people.
pub(super) fn size_text(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
