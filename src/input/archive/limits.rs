//! What an archive file may cost, and what it has cost so far.
//!
//! Threads share a budget: which of them passes a cap is chance, whether one does is not. So a file
//! that exhausts its budget gives its [refusal](Budget::refusal) and nothing else. Which cap is passed
//! first may be chance, too, where an archive would pass both: a caller with several threads reads
//! it again with one.

use super::{Refusal, RefusalKind};
use crate::base::problem::counted;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

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
    passed: OnceLock<Cap>,
    input: u64,
}

/// A cap of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cap {
    Members,
    Bytes,
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
            passed: OnceLock::new(),
            input,
        }
    }

    /// The caps it was made from.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a member; `false` if that is one too many.
    pub fn take_member(&self) -> bool {
        self.take(&self.members, 1, self.limits.members, Cap::Members)
    }

    /// Counts unpacked bytes; `false` if those are too many.
    pub fn take_bytes(&self, bytes: u64) -> bool {
        self.take(&self.bytes, bytes, self.bytes_most, Cap::Bytes)
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

    fn take(&self, counter: &AtomicU64, count: u64, most: u64, cap: Cap) -> bool {
        let before = counter.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > most {
            self.passed.get_or_init(|| cap);
        }
        !self.exhausted()
    }

    /// Whether a cap was passed. Which members had been read by then depends on the threads: the
    /// caller drops all that the archive file gave, and says [why](Budget::refusal).
    #[must_use]
    pub fn exhausted(&self) -> bool {
        self.passed.get().is_some()
    }

    /// Why an archive file that exhausted its budget is not read: the cap that was passed first, and
    /// the option that raises it.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (what, raise) = match self.passed.get() {
            Some(Cap::Members) => {
                let most = counted(self.limits.members, "member");
                (
                    format!("it holds more than {most}"),
                    "--max-members".to_owned(),
                )
            }
            _ => {
                let what = format!("it unpacks to more than {}", size_text(self.bytes_most));
                if self.bytes_most == self.limits.bytes {
                    (what, "--max-bytes".to_owned())
                } else {
                    // What a file of this size may unpack to.
                    let ratio = self.bytes_most / self.input.max(1);
                    (what, format!("--max-ratio above {ratio}"))
                }
            }
        };
        Refusal::new(
            RefusalKind::Limit,
            format!("{what}: unpack it first, or raise {raise} if you trust it"),
        )
    }
}

pub(super) fn over_ratio(budget: &Budget) -> Refusal {
    let ratio = budget.limits.ratio;
    Refusal::new(
        RefusalKind::TooLarge,
        format!(
            "it unpacks to more than {ratio} times its packed size, as no log does: unpack it first, \
             or raise --max-ratio if you trust it"
        ),
    )
}

/// A number of bytes for people.
pub(crate) fn size_text(bytes: u64) -> String {
    match bytes {
        0..1024 => counted(bytes, "byte"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Limits};

    #[test]
    fn the_cap_that_was_passed_is_named() {
        let said = |members, bytes, input| {
            let limits = Limits {
                members: 1,
                ..Limits::default()
            };
            let budget = Budget::new(limits, input);
            for _ in 0..members {
                budget.take_member();
            }
            budget.take_bytes(bytes);
            assert!(budget.exhausted());
            budget.refusal().detail
        };
        let raise = "unpack it first, or raise --max-";
        let more = "it unpacks to more than";
        assert_eq!(
            said(2, u64::MAX, 0),
            format!("it holds more than 1 member: {raise}members if you trust it")
        );
        // A small file may unpack to 8 GiB, a larger one to 1000 times its size.
        assert_eq!(
            said(1, 9 << 30, 1 << 20),
            format!("{more} 8 GiB: {raise}ratio above 8192 if you trust it")
        );
        assert_eq!(
            said(1, 1 << 40, 1 << 28),
            format!("{more} 250 GiB: {raise}ratio above 1000 if you trust it")
        );
        assert_eq!(
            said(1, u64::MAX, 1 << 40),
            format!("{more} 1024 GiB: {raise}bytes if you trust it")
        );
    }
}
