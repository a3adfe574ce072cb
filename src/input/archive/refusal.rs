//! What an archive did not give, and why.
//!
//! A refusal is data beside what was read and never ends the reading of what is sound. An archive can
//! hold a million members that are all refused: so they are told one by one only up to a number of
//! each kind, and counted from there.

use crate::input;
use std::collections::BTreeMap;
use std::io;

/// What is said of what ends before its end.
pub(super) const CUT: &str = "it ends early: what is there was read; copy it again";

/// Why an archive, or a member of it, was not read or not wholly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The member's name for people; none if it is about the whole archive.
    pub member: Option<String>,
    /// What kind.
    pub kind: RefusalKind,
    /// What was found, and what to do about it.
    pub detail: String,
    /// How many unpacked bytes are missing because of it, as far as that can be told.
    pub lost_bytes: u64,
}

/// Every kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// It needs a password.
    Encrypted,
    /// A method or feature that is not read.
    Unsupported,
    /// A link or a device.
    NotFollowed,
    /// The end is missing.
    Truncated,
    /// It contradicts itself or its format.
    Damaged,
    /// It was read, but its checksum disagrees.
    Checksum,
    /// It unpacks to more than it may.
    TooLarge,
    /// The whole input passed a cap of its [`Budget`](super::Budget).
    Limit,
    /// The file underneath could not be read.
    Unreadable,
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind, detail: impl Into<String>) -> Refusal {
        Refusal {
            member: None,
            kind,
            detail: detail.into(),
            lost_bytes: 0,
        }
    }

    pub(super) fn of(mut self, member: &str) -> Refusal {
        self.member = Some(member.to_owned());
        self
    }

    pub(super) fn losing(mut self, bytes: u64) -> Refusal {
        self.lost_bytes = bytes;
        self
    }

    /// What an error of a reader means.
    pub(super) fn from_error(error: &io::Error) -> Refusal {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Refusal::new(RefusalKind::Truncated, CUT),
            io::ErrorKind::FileTooLarge => Refusal::new(RefusalKind::TooLarge, error.to_string()),
            io::ErrorKind::QuotaExceeded => Refusal::new(RefusalKind::Limit, error.to_string()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                let detail = "its packed bytes are damaged: what is before the damage was \
                              read; copy it again";
                Refusal::new(RefusalKind::Damaged, detail)
            }
            _ => Refusal::new(RefusalKind::Unreadable, input::plain(error)),
        }
    }

    /// The error that a reader gives for it, so that an archive inside knows what happened to it.
    pub(super) fn to_error(&self) -> io::Error {
        let kind = match self.kind {
            RefusalKind::Truncated => io::ErrorKind::UnexpectedEof,
            RefusalKind::TooLarge => io::ErrorKind::FileTooLarge,
            RefusalKind::Limit => io::ErrorKind::QuotaExceeded,
            RefusalKind::Unreadable => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, self.detail.clone())
    }
}

/// Refusals of members, up to a number of each kind that can still be read: beyond that they are
/// counted.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    /// How many of a kind are told one by one.
    most: u64,
    told: Vec<Refusal>,
    alike: BTreeMap<RefusalKind, Alike>,
}

#[derive(Clone, Debug, Default)]
struct Alike {
    count: u64,
    untold_bytes: u64,
}

/// How many members of an archive are told of one by one, of each kind of refusal.
const TOLD_MOST: u64 = 100;

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals::up_to(TOLD_MOST)
    }
}

impl Refusals {
    pub(super) fn up_to(most: u64) -> Refusals {
        Refusals {
            most,
            told: Vec::new(),
            alike: BTreeMap::new(),
        }
    }

    pub(super) fn push(&mut self, refusal: Refusal) {
        let alike = self.alike.entry(refusal.kind).or_default();
        alike.count += 1;
        if alike.count <= self.most {
            self.told.push(refusal);
        } else {
            alike.untold_bytes = alike.untold_bytes.saturating_add(refusal.lost_bytes);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether one of them says that the end is missing.
    pub(super) fn cut(&self) -> bool {
        self.alike.contains_key(&RefusalKind::Truncated)
    }

    pub(super) fn told(mut self) -> Vec<Refusal> {
        for (kind, alike) in &self.alike {
            let untold = alike.count.saturating_sub(self.most);
            if untold > 0 {
                let detail = format!("and {untold} more: not read, or not wholly, and not listed");
                let rest = Refusal::new(*kind, detail);
                self.told.push(rest.losing(alike.untold_bytes));
            }
        }
        self.told
    }
}

impl Extend<Refusal> for Refusals {
    fn extend<T: IntoIterator<Item = Refusal>>(&mut self, refusals: T) {
        refusals.into_iter().for_each(|refusal| self.push(refusal));
    }
}
