//! Names the first failing event of every Microsoft Entra Primary Refresh Token (PRT) acquisition
//! in exported Windows event logs.
//!
//! The modules stand in the order in which a byte takes its way:
//!
//! `input` (which files, out of which [`archive`]) → [`chunk`] (64 KiB slots, damage) → [`select`] (which records may be
//! ours) → [`record`] (decoded by the evtx crate) → [`event`] → [`mod@scan`] (the only one with threads) →
//! [`machine`] (whose event is it) → [`window`] (operations, with their [`evidence`]) and
//! [`registration`] (runs) → [`state`], [`diagnosis`] and [`analysis`] (what they come to) →
//! [`mod@report`] (one value, every format).
//!
//! From [`event`] on nothing reads files, clocks or the environment, and what goes wrong is a
//! [`problem::Problem`] in the result. The same bytes give the same report, whatever the number of
//! threads and the order of the inputs.
//!
//! ```no_run
//! use prtrace::{report, scan};
//!
//! # fn main() -> Result<(), scan::Error> {
//! let scan = scan::scan(&["authlogs".into()], scan::Options::default())?;
//! let analyses = report::analyze(&scan);
//! for machine in report::Report::new(&scan, &analyses).machines {
//!     for window in machine.windows.iter() {
//!         if let Some(first) = &window.first_failure {
//!             println!("{}: {} {:?}", machine.name, first.event_id, first.code);
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::print_stdout,
        clippy::print_stderr,
        clippy::exit,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod analysis;
pub mod archive;
mod binxml;
mod buffer;
mod bundle;
pub mod chunk;
pub mod code;
pub mod diagnosis;
pub mod drs;
pub mod encoding;
pub mod event;
pub mod evidence;
pub mod explain;
mod filetime;
mod identity;
mod input;
pub mod knowledge;
pub mod machine;
pub mod problem;
pub mod record;
pub mod registration;
pub mod report;
pub mod scan;
mod secret;
pub mod select;
pub mod state;
mod survey;
pub mod terminal;
pub mod token;
mod triage;
mod typed;
pub mod window;
