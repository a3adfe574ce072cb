//! Nested archives that are held in memory: those whose format has to be read at any place, and
//! which are packed themselves.
//!
//! Files are read by several threads at once, each of which may come upon such archives. They take
//! their memory out of one account before it is theirs, and no thread ever waits for another's: two
//! that each hold what the other needs would wait forever.

use super::limits::size_text;
use super::{Bytes, Refusal, RefusalKind};
use crate::base::buffer::Buffer;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory that nested archives may hold, shared by all inputs and threads.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Account>);

#[derive(Debug)]
struct Account {
    most: u64,
    used: AtomicU64,
}

impl Memory {
    /// An account of this many bytes, such as [`Limits::nested`](super::Limits::nested).
    #[must_use]
    pub fn new(most: u64) -> Memory {
        let used = AtomicU64::new(0);
        Memory(Arc::new(Account { most, used }))
    }

    /// The size of the account.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.0.most
    }

    /// Takes memory out of the account until the reservation is dropped; `None` if there is not
    /// enough left just now. Never waits.
    #[must_use]
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation {
            account: Arc::clone(&self.0),
            bytes: 0,
        };
        reservation.grow(bytes).then_some(reservation)
    }
}

/// Memory taken out of an account, given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    bytes: u64,
}

impl Reservation {
    fn grow(&mut self, bytes: u64) -> bool {
        let taken = self
            .account
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let after = used.checked_add(bytes)?;
                (after <= self.account.most).then_some(after)
            });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A nested archive in memory, with what it takes out of the account.
#[derive(Debug)]
pub struct Held {
    pub(super) bytes: Vec<u8>,
    // Only kept: dropping it gives the memory back.
    pub(super) _reservation: Option<Reservation>,
}

/// What came of [holding](hold) a nested archive.
#[derive(Debug)]
pub enum Hold {
    /// It is in memory.
    Held(Bytes),
    /// There is no memory for it now, other nested archives hold it: read the whole input again
    /// when they are done, with a new [`Budget`](super::Budget), for what was read of it so far is
    /// counted.
    Later,
    /// It is too large, or could not be read.
    Refused(Refusal),
}

/// Reads a nested archive into memory. The memory grows with what arrives; a claimed size is only
/// believed where it is too large.
///
/// `name` is for the refusal. Where the reader fails, the member that it reads has its own
/// refusal; what arrived before is held, so that what is intact in it can be read.
pub fn hold(reader: &mut dyn Read, name: &str, claimed: Option<u64>, memory: &Memory) -> Hold {
    let too_large = || {
        let most = size_text(memory.most());
        let detail =
            format!("a nested archive larger than {most}: unpack it first, or raise --max-nested");
        let refusal = Refusal::new(RefusalKind::TooLarge, detail).of(name);
        Hold::Refused(refusal.losing(claimed.unwrap_or(0)))
    };
    if claimed.is_some_and(|claimed| claimed > memory.most()) {
        return too_large();
    }
    // Room for the whole of it, before anything is read: so a retry reads nothing twice.
    let Some(mut reservation) = memory.try_reserve(claimed.unwrap_or(0)) else {
        return Hold::Later;
    };
    let mut bytes = Vec::new();
    let mut buffer = Buffer::default();
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let after = bytes.len() as u64 + count as u64;
                let more = after.saturating_sub(reservation.bytes);
                if more > 0 {
                    if after > memory.most() {
                        return too_large();
                    }
                    // Ahead in steps: the account is shared.
                    let step = more.max(1 << 20).min(memory.most() - reservation.bytes);
                    if !reservation.grow(step) {
                        return Hold::Later;
                    }
                }
                bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // A vector grows by doubling: what it has too much of would not be accounted for.
    bytes.shrink_to_fit();
    Hold::Held(Bytes::Memory(Arc::new(Held {
        bytes,
        _reservation: Some(reservation),
    })))
}
